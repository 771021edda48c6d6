//! Alerts: can each input be heard, and is what it sends understood?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "source",
    group: "neural-source",
    interval: 15,
    records: &[
        Record {
            name: "source:neural_source_errors:rate5m",
            expr: "sum without (reason) (rate(neural_source_errors_total[5m]))",
        },
        Record {
            name: "source:neural_source_errors:ratio_rate5m",
            expr: "source:neural_source_errors:rate5m\n/\n(source:neural_source_errors:rate5m + rate(neural_source_events_total[5m]))",
        },
    ],
    alerts: &[&DOWN, &FLAPPING, &FAULTS, &SHED, &KERNEL_DROPS, &QUIET, &POLLS, &CLIENTS],
};

static DOWN: Alert = Alert {
    name: "NeuralSourceDown",
    level: Level::new(
        Severity::High,
        Priority::P1,
        60,
        "neural_source_up{source!~'.+/.+'} == 0\nunless on (job, instance, source)\nlabel_replace(neural_device_samples_total > 0, 'source', '$1', 'device', '(.+)')\nunless on (job, instance, source)\nneural_program_state_changes_total",
    ),
    keep_firing: 60,
    summary: "The source {{ $labels.source }} on {{ $labels.instance }} is down",
    description: "The source {{ $labels.source }} does not listen or does not answer. Its metrics are missing.",
    meaning: "A configured source is down: its socket or port cannot be opened, or the polled endpoint does not answer. For a device that streamed before, `NeuralDeviceUnplugged` fires instead, for a program that answered before `NeuralProgramDown`.",
    immediate: &[
        "Read the agent's log for the source's name: `journalctl -u neural-exporter -n 50`.",
        "Check that the polled program runs, and query it by hand.",
    ],
    short_term: &[
        "Check permissions: a serial port needs the group `dialout`, a Unix socket its mode and group.",
    ],
    long_term: &["Remove sources from the configuration that no longer exist."],
    queries: &["neural_source_up", "rate(neural_source_poll_failures_total[5m])"],
    related: &["NeuralDeviceUnplugged", "NeuralSourceFlapping", "NeuralSourcePollFailures"],
    fires: Case::fires(
        10,
        &[
            ("neural_source_up{source='engine'}", "1x3 0x12"),
            // A board that never streamed is no more than a source.
            ("neural_device_samples_total{device='engine'}", "0x15"),
        ],
        &[("source", "engine")],
        "0",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_source_up{source='cyton'}", "0x15"),
            ("neural_device_samples_total{device='cyton'}", "5x15"),
            ("neural_source_up{source='intan'}", "0x15"),
            ("neural_program_state_changes_total{source='intan',state='idle'}", "1x15"),
        ],
    ),
    ..Alert::BLANK
};

static FLAPPING: Alert = Alert {
    name: "NeuralSourceFlapping",
    level: Level::new(Severity::Medium, Priority::P2, 0, "changes(neural_source_up[10m]) > 4"),
    keep_firing: 600,
    summary: "{{ $labels.source }} is flapping",
    description: "It went up or down {{ $value }} times in ten minutes. Data is missing each time.",
    meaning: "The source is lost and found repeatedly: a loose plug, a hub without enough power, a program that crashes and restarts, a network that drops out.",
    immediate: &["Push plugs in; try another port, without a hub."],
    short_term: &[
        "Read `sudo dmesg --ctime | tail -50` for USB disconnects, or the log of the polled program.",
    ],
    long_term: &["Replace the cable or hub, or give the device its own power supply."],
    queries: &["changes(neural_source_up[10m])", "neural_source_up"],
    related: &["NeuralDeviceUnplugged", "NeuralDeviceAvailability"],
    fires: Case::fires(
        10,
        &[("neural_source_up{source='cyton'}", "1 1 1 0 1 0 1 0 1 0 1")],
        &[("source", "cyton")],
        "8",
    ),
    quiet: Case::quiet(10, &[("neural_source_up{source='cyton'}", "1 1 1 1 1 0 1 1 1 1 1")]),
    ..Alert::BLANK
};

static FAULTS: Alert = Alert {
    name: "NeuralSourceErrors",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "source:neural_source_errors:rate5m > ${source_errors}",
    ),
    worse: Some(Level::new(
        Severity::High,
        Priority::P1,
        120,
        "source:neural_source_errors:rate5m > ${source_errors}\nand source:neural_source_errors:ratio_rate5m > ${source_error_ratio}",
    )),
    keep_firing: 120,
    summary: "{{ $labels.source }} sends input that is rejected",
    description: "{{ $value | humanize }} errors per second; the limit is ${source_errors}. Rejected input is counted nowhere else.",
    meaning: "The source sends bytes that do not follow its format: damaged frames of a board, or lines that break the protocol. The label `reason` of `neural_source_errors_total` says what is wrong. \
              Damaged frames mean a bad serial line or USB cable; radio loss shows as missing frames instead.",
    immediate: &[
        "See the reasons: `sum by (reason) (rate(neural_source_errors_total[5m]))`.",
        "For a board, check protocol and baud rate in the configuration, then the cable.",
    ],
    short_term: &[
        "For a program, set `log: {level: debug}` and restart the agent: its log then shows the beginning of one rejected line for each reason, every ten seconds. Fix the sender.",
    ],
    long_term: &["Check senders against the schema: `neural-exporter schema events`."],
    queries: &[
        "sum by (source, reason) (rate(neural_source_errors_total[5m]))",
        "source:neural_source_errors:ratio_rate5m",
        "rate(neural_source_error_bytes_total[5m])",
    ],
    related: &["NeuralDeviceLoss"],
    fires: Case::fires(
        15,
        &[
            ("neural_source_errors_total{source='cyton',reason='checksum'}", "0+6x20"),
            ("neural_source_events_total{source='cyton'}", "0+6000x20"),
        ],
        &[("source", "cyton")],
        "100m",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_source_errors_total{source='cyton',reason='checksum'}", "0+600x20"),
            ("neural_source_events_total{source='cyton'}", "0+600x20"),
        ],
        &[("source", "cyton")],
        "10",
    )),
    quiet: Case::quiet(
        15,
        &[
            ("neural_source_errors_total{source='cyton',reason='checksum'}", "0 1x20"),
            ("neural_source_events_total{source='cyton'}", "0+6000x20"),
        ],
    ),
    ..Alert::BLANK
};

static SHED: Alert = Alert {
    name: "NeuralSourceRateLimited",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "rate(neural_source_dropped_events_total{reason='rate_limit'}[5m]) > 0",
    ),
    keep_firing: 120,
    summary: "{{ $labels.source }} exceeds its rate limit",
    description: "{{ $value | humanize }} events per second are dropped because the source exceeds `events_per_second`. Its counters are too low by that much.",
    meaning: "The source sends more than `events_per_second`, and the agent drops the excess so that it never slows down what it monitors. Durations and ratios stay right, as they are of a sample; totals do not.",
    immediate: &["See what sends so much: a loop, or a forgotten debug switch."],
    short_term: &[
        "Raise `events_per_second` of the source if the machine has enough processor time, or let the sender sample and report its sample rate.",
    ],
    long_term: &["Send one event per run of a stage, not one per sample."],
    queries: &["rate(neural_source_dropped_events_total[5m])", "rate(neural_source_events_total[5m])"],
    related: &["NeuralSourceKernelDrops"],
    fires: Case::fires(
        10,
        &[("neural_source_dropped_events_total{source='pipeline',reason='rate_limit'}", "0+600x15")],
        &[("source", "pipeline"), ("reason", "rate_limit")],
        "10",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_source_dropped_events_total{source='pipeline',reason='rate_limit'}", "7x15")],
    ),
    ..Alert::BLANK
};

static KERNEL_DROPS: Alert = Alert {
    name: "NeuralSourceKernelDrops",
    level: Level::new(Severity::High, Priority::P2, 0, "increase(neural_source_kernel_drops_total[5m]) > 0"),
    keep_firing: 300,
    summary: "The kernel drops datagrams for {{ $labels.source }}",
    description: "{{ $value | humanize }} datagrams in five minutes did not reach the agent, because the receive buffer of {{ $labels.listen }} was full.",
    meaning: "Datagrams arrived faster than the agent was scheduled, and the kernel dropped them. Their content is unknown.",
    immediate: &["Check whether the machine's processors are busy: the agent then runs late."],
    short_term: &[
        "Raise `receive_buffer` of the source and, if the kernel allocates less than requested, `sudo sysctl net.core.rmem_max=8388608`.",
    ],
    long_term: &[
        "Let senders on the same machine use the Unix socket, where senders wait instead of losing datagrams.",
    ],
    queries: &[
        "increase(neural_source_kernel_drops_total[1h])",
        "neural_source_receive_buffer_size_bytes",
        "neural_source_receive_buffer_used_bytes",
    ],
    related: &["NeuralHostUdpOverflows", "NeuralSourceRateLimited"],
    fires: Case::fires(
        10,
        &[("neural_source_kernel_drops_total{source='statsd',listen='udp://127.0.0.1:8125'}", "0x5 8x10")],
        &[("source", "statsd"), ("listen", "udp://127.0.0.1:8125")],
        "8",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_source_kernel_drops_total{source='statsd',listen='udp://127.0.0.1:8125'}", "8x15")],
    ),
    ..Alert::BLANK
};

static QUIET: Alert = Alert {
    name: "NeuralSourceSilent",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        60,
        "neural_agent_time_seconds - on (job, instance) group_right neural_source_last_event_timestamp_seconds{source!~'.+/.+'} > ${source_silence} and neural_source_up == 1\nunless neural_source_polls_total",
    ),
    summary: "{{ $labels.source }} sends nothing",
    description: "Its last event arrived {{ $value | humanizeDuration }} ago; the limit is ${source_silence}. The source is up, but sends nothing.",
    meaning: "The source is open and idle. That is normal between sessions. During one, its sender stopped or sends elsewhere. Polled sources do not fire this alert.",
    immediate: &["See whether the sending program runs, and to which address it sends."],
    short_term: &[
        "If the source is meant to be idle, switch this alert off (`alerts.off`) or raise `source_silence`.",
    ],
    long_term: &[],
    queries: &[
        "neural_agent_time_seconds - on (job, instance) group_right neural_source_last_event_timestamp_seconds",
        "rate(neural_source_events_total[5m])",
    ],
    related: &["NeuralPipelineSilent", "NeuralDeviceSilent"],
    fires: Case::fires(
        10,
        &[
            ("neural_agent_time_seconds", "0+60x15"),
            ("neural_source_last_event_timestamp_seconds{source='pipeline'}", "0x15"),
            ("neural_source_up{source='pipeline'}", "1x15"),
        ],
        &[("source", "pipeline")],
        "10m 0s",
    ),
    quiet: Case::quiet(
        10,
        &[
            // Its clock is five minutes slow.
            ("neural_agent_time_seconds", "-300+60x15"),
            ("neural_source_last_event_timestamp_seconds{source='pipeline'}", "-300+60x15"),
            ("neural_source_up{source='pipeline'}", "1x15"),
            ("neural_source_last_event_timestamp_seconds{source='amplifier'}", "0x15"),
            ("neural_source_up{source='amplifier'}", "1x15"),
            ("neural_source_polls_total{source='amplifier'}", "1x15"),
        ],
    ),
    ..Alert::BLANK
};

static POLLS: Alert = Alert {
    name: "NeuralSourcePollFailures",
    level: Level::new(
        Severity::Low,
        Priority::P2,
        300,
        "rate(neural_source_poll_failures_total[10m]) / rate(neural_source_polls_total[10m]) > 0.1",
    ),
    summary: "{{ $labels.source }} often does not answer",
    description: "{{ $value | humanizePercentage }} of the polls failed. Its metrics have gaps.",
    meaning: "A source that is polled answers sometimes. It is slow, overloaded, or the time limit is too short.",
    immediate: &["Ask it by hand and watch how long it takes."],
    short_term: &["Raise `timeout` or `interval` of the source."],
    long_term: &[],
    queries: &["neural_source_poll_duration_seconds", "rate(neural_source_poll_failures_total[10m])"],
    related: &["NeuralSourceDown"],
    fires: Case::fires(
        20,
        &[
            ("neural_source_poll_failures_total{source='engine'}", "0+3x30"),
            ("neural_source_polls_total{source='engine'}", "0+12x30"),
        ],
        &[("source", "engine")],
        "25%",
    ),
    quiet: Case::quiet(
        20,
        &[
            ("neural_source_poll_failures_total{source='engine'}", "0x30"),
            ("neural_source_polls_total{source='engine'}", "0+12x30"),
        ],
    ),
    ..Alert::BLANK
};

static CLIENTS: Alert = Alert {
    name: "NeuralSourceClientsRefused",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "increase(neural_source_clients_refused_total[5m]) > 0",
    ),
    keep_firing: 300,
    summary: "{{ $labels.source }} has too many connections",
    description: "{{ $value | humanize }} connections were refused in five minutes because too many are open. The data of their senders is lost.",
    meaning: "More programs connect than the source lets in. Usually one of them opens a connection for each line and never closes it.",
    immediate: &["See who is connected: `ss -xp` for Unix sockets, `ss -tp` for TCP."],
    short_term: &["Fix the sender that leaves connections open, or raise `limits.connections`."],
    long_term: &["Keep one connection for each process."],
    queries: &["neural_source_clients", "rate(neural_source_clients_accepted_total[5m])"],
    related: &[],
    fires: Case::fires(
        10,
        &[("neural_source_clients_refused_total{source='pipeline'}", "0x5 3x10")],
        &[("source", "pipeline")],
        "3",
    ),
    quiet: Case::quiet(10, &[("neural_source_clients_refused_total{source='pipeline'}", "0x15")]),
    ..Alert::BLANK
};
