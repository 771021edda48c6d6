//! Alerts: does each acquisition program record, keep up and hand on what it should?

use super::{Alert, Case, Chapter, Level, Priority, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "program",
    group: "neural-program",
    interval: 15,
    records: &[],
    alerts: &[&NOT_AS_EXPECTED, &DOWN, &BEHIND, &CPU, &LATENCY, &OUTPUT_LOST],
};

static NOT_AS_EXPECTED: Alert = Alert {
    name: "NeuralProgramNotRecording",
    level: Level::new(Severity::Critical, Priority::P0, 30, "neural_program_expected_state == 0"),
    keep_firing: 60,
    summary: "{{ $labels.source }} on {{ $labels.instance }} is not in the expected state",
    description: "The configuration expects {{ $labels.source }} to record, or to acquire, and for half a minute it has not. Data that is not recorded now is lost.",
    meaning: "The program answers and is idle, or displays signals without recording. It was stopped, it was never started, a trigger has not come, or it stopped by itself: a full disk, \
              a file it could not write, a board that was lost.",
    immediate: &[
        "Look at the program's window, and start the recording.",
        "See its states: `neural_program_state == 1`.",
        "If it will not start, look at its messages and at the space on its disk.",
    ],
    short_term: &[
        "See when it stopped: `changes(neural_program_state{state='recording'}[6h])`, and what else happened then.",
        "If no recording was meant, silence this alert for the session, or take `expect` out of the source.",
    ],
    long_term: &[
        "Set `expect` only on machines that should always record, or mute the alert for the rest of the day.",
    ],
    queries: &[
        "neural_program_state == 1",
        "increase(neural_program_state_changes_total[6h])",
        "neural_program_recording_number",
    ],
    related: &["NeuralProgramDown", "NeuralHostFilesystem", "NeuralProgramBehind"],
    fires: Case::fires(
        10,
        &[("neural_program_expected_state{source='intan'}", "1x5 0x10")],
        &[("source", "intan")],
        "0",
    ),
    quiet: Case::quiet(10, &[("neural_program_expected_state{source='intan'}", "0x3 1x12")]),
    ..Alert::BLANK
};

static DOWN: Alert = Alert {
    name: "NeuralProgramDown",
    level: Level::new(
        Severity::Critical,
        Priority::P1,
        60,
        "neural_source_up == 0\nand on (job, instance, source)\nneural_program_state_changes_total",
    ),
    keep_firing: 60,
    summary: "{{ $labels.source }} on {{ $labels.instance }} no longer answers",
    description: "The program answered since the agent started, and does not any more. Whether it records is unknown.",
    meaning: "The program was closed, crashed or hangs, or its server was switched off. Of Intan RHX: its command port takes one client, and does not listen again after one has left until `Connect` is pressed in its remote control window.",
    immediate: &[
        "See whether the program runs, and whether its window responds.",
        "Of Intan RHX, open the remote control window: if it says Disconnected, press Connect.",
        "Of Open Ephys, see that the HTTP server is on in the File menu.",
    ],
    short_term: &[
        "Read the program's log and the system's: `journalctl --since -1h | grep -i -e oom -e segfault`.",
    ],
    long_term: &["Run nothing else on the machine while it records."],
    queries: &["neural_source_up", "neural_program_info"],
    related: &["NeuralProgramNotRecording", "NeuralSourcePollFailures", "NeuralProcessMissing"],
    fires: Case::fires(
        10,
        &[
            ("neural_source_up{source='intan'}", "1x5 0x10"),
            ("neural_program_state_changes_total{source='intan',state='idle'}", "1x15"),
            ("neural_program_state_changes_total{source='intan',state='recording'}", "1x15"),
        ],
        &[("source", "intan")],
        "0",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_source_up{source='intan'}", "1x15"),
            ("neural_program_state_changes_total{source='intan',state='idle'}", "1x15"),
            ("neural_source_up{source='engine'}", "0x15"),
        ],
    ),
    ..Alert::BLANK
};

static BEHIND: Alert = Alert {
    name: "NeuralProgramBehind",
    level: Level::new(Severity::High, Priority::P1, 60, "neural_program_rate_ratio < ${program_rate}"),
    keep_firing: 120,
    summary: "{{ $labels.source }} on {{ $labels.instance }} acquires more slowly than it should",
    description: "Its own count of samples goes up at {{ $value | humanizePercentage }} of its rate; the minimum is ${program_rate}. It falls behind, or loses samples.",
    meaning: "The agent polls the number of the newest sample. It should rise by the sampling rate. If it does not, the program or the machine is too slow and data pile up \
              in the board, whose memory then overflows; or the connection to the board is too slow.",
    immediate: &[
        "Close what else runs on the machine, and displays of the program that are not needed.",
        "Look at the program's own figures of its buffers and of the processor's load.",
    ],
    short_term: &[
        "Plug the board into a USB port of its own.",
        "Record fewer channels or bands, or at a lower rate.",
    ],
    long_term: &["Record to a fast local disk; run the program on a machine of its own."],
    queries: &["neural_program_rate_ratio", "neural_program_rate_hertz", "neural_program_cpu_ratio"],
    related: &["NeuralProgramCpu", "NeuralHostCpu", "NeuralHostDiskBusy"],
    fires: Case::fires(
        10,
        &[("neural_program_rate_ratio{source='intan'}", "1x5 0.9x10")],
        &[("source", "intan")],
        "90%",
    ),
    quiet: Case::quiet(10, &[("neural_program_rate_ratio{source='intan'}", "0.9x3 0.999x12")]),
    ..Alert::BLANK
};

static CPU: Alert = Alert {
    name: "NeuralProgramCpu",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_program_cpu_ratio > ${program_cpu}"),
    keep_firing: 120,
    summary: "{{ $labels.source }} on {{ $labels.instance }} barely keeps up",
    description: "It needs {{ $value | humanizePercentage }} of real time to process its blocks; the limit is ${program_cpu}. Beyond 100 % it drops data.",
    meaning: "The program must process each block before the next one arrives, and reports the share of time it needs. Close to 100 %, any disturbance loses data.",
    immediate: &[
        "Close viewers and displays in the program; they cost more than recording.",
        "Close what else runs on the machine.",
    ],
    short_term: &[
        "Find the slow step: `topk(5, neural_program_latency_seconds)`.",
        "Make the program's blocks longer, if nothing depends on short ones.",
    ],
    long_term: &["Move analysis that need not be immediate to another machine."],
    queries: &["neural_program_cpu_ratio", "topk(5, neural_program_latency_seconds)"],
    related: &["NeuralProgramBehind", "NeuralProgramLatency", "NeuralHostCpu"],
    fires: Case::fires(
        10,
        &[("neural_program_cpu_ratio{source='open_ephys'}", "0.2x5 0.95x10")],
        &[("source", "open_ephys")],
        "95%",
    ),
    quiet: Case::quiet(10, &[("neural_program_cpu_ratio{source='open_ephys'}", "0.9x2 0.4x13")]),
    ..Alert::BLANK
};

static LATENCY: Alert = Alert {
    name: "NeuralProgramLatency",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "max by (job, instance, source) (neural_program_latency_seconds) > ${program_latency}",
    ),
    keep_firing: 120,
    summary: "Processing is slow in {{ $labels.source }} on {{ $labels.instance }}",
    description: "The slowest step takes {{ $value | humanizeDuration }}; the limit is ${program_latency}. A closed loop reacts that much later.",
    meaning: "The program reports the time from the start of a block to the end of each step. A slow step delays all later ones.",
    immediate: &[
        "Find the step: `topk(5, neural_program_latency_seconds)`, and remove it if it is not needed.",
    ],
    short_term: &["Compare with the length of the program's blocks: no step can be faster than one block."],
    long_term: &["Put what must react first early in the chain, on its own branch."],
    queries: &["topk(5, neural_program_latency_seconds)", "neural_program_cpu_ratio"],
    related: &["NeuralProgramCpu", "NeuralStageLatency"],
    fires: Case::fires(
        10,
        &[
            (
                "neural_program_latency_seconds{source='open_ephys',processor='101 Filter',stream='a'}",
                "0.01x5 0.5x10",
            ),
            (
                "neural_program_latency_seconds{source='open_ephys',processor='102 Record',stream='a'}",
                "0.01x15",
            ),
        ],
        &[("source", "open_ephys")],
        "500ms",
    ),
    quiet: Case::quiet(
        10,
        &[(
            "neural_program_latency_seconds{source='open_ephys',processor='101 Filter',stream='a'}",
            "0.5x2 0.02x13",
        )],
    ),
    ..Alert::BLANK
};

static OUTPUT_LOST: Alert = Alert {
    name: "NeuralProgramOutputLost",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "increase(neural_program_output_lost_messages_total[5m]) > 0",
    ),
    keep_firing: 300,
    summary: "Messages of {{ $labels.source }} on {{ $labels.instance }} are missing at {{ $labels.output }}",
    description: "{{ $value | humanize }} messages did not arrive within five minutes. The program's own recording is not affected.",
    meaning: "The program numbers its messages, and numbers are missing. A publisher drops messages for one receiver when that receiver or the network is too slow; others may have received them.",
    immediate: &["Check whether the agent's machine is overloaded: `neural_host_load1`."],
    short_term: &[
        "If closed-loop programs on the same machine use this output, check whether they lose messages too.",
    ],
    long_term: &["Publish only the channels that are used."],
    queries: &[
        "increase(neural_program_output_lost_messages_total[1h])",
        "rate(neural_device_lost_packets_total[5m])",
    ],
    related: &["NeuralDeviceLoss", "NeuralHostCpu"],
    fires: Case::fires(
        10,
        &[("neural_program_output_lost_messages_total{source='open_ephys',output='zmq'}", "0+6x15")],
        &[("source", "open_ephys"), ("output", "zmq")],
        "30",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_program_output_lost_messages_total{source='open_ephys',output='zmq'}", "12x15")],
    ),
    ..Alert::BLANK
};
