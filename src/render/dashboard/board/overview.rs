//! Overview: is everything well, and where must one look?

use super::super::view::{Board, column, lines, open, q, stat, view};
use super::device::{STREAMING, STREAMS};
use super::{SAID, port};
use crate::catalog::draw::{Panel, Rating, UP, state};
use crate::catalog::limit::{
    CHANNEL_QUALITY, CHANNEL_QUALITY_GOOD, DATA_QUALITY, DATA_QUALITY_CRITICAL, DEVICE_AVAILABILITY,
    DEVICE_AVAILABILITY_CRITICAL, DEVICE_LOSS, DEVICE_LOSS_CRITICAL, DEVICE_RATE, FILESYSTEM,
    FILESYSTEM_CRITICAL, HOST_CPU, HOST_CPU_CRITICAL, HOST_MEMORY, HOST_MEMORY_CRITICAL, STAGE_FAILURES,
    STAGE_FAILURES_CRITICAL, STAGE_LATENCY, STAGE_LATENCY_CRITICAL,
};

/// 1 of whatever does what it should so that a recording is made, 0 of what does not.
macro_rules! recorded {
    () => {
        "neural_program_expected_state or neural_tap_open or 0 * neural_tap_opens_total or neural_stream_present"
    };
}

pub(super) static BOARD: Board = Board {
    key: "overview",
    title: "Overview",
    about: "State of everything at a glance. Every panel links to the dashboard with the details.",
    pages: &[],
    by_machine: true,
    variables: &[("device", "Device"), ("pipeline", "Pipeline")],
    range: "now-1h",
    refresh: "10s",
    rows: &[
        open("Now", &[
            stat(
                "Firing alerts",
                "none",
                "Alerts that fire now. Look at the worst first: its runbook says what to do. Where no server evaluates the rules, NeuralWatchdog does not fire either, and that is said.",
                &[q(concat!("count(ALERTS{alertstate=\"firing\"}) or vector(0)", evaluated!()), "")],
            )
            .zero_wanted()
            .empty("not evaluated")
            .to("alerts"),
            stat(
                "Devices streaming",
                "none",
                "Devices that sent a sample within the last second, of all that are configured or were there within the chosen time. Red while one does not, or its port is not open.",
                &[q(streaming!(), SAID)],
            )
            .words()
            .zero_wanted()
            .empty("no device")
            .to("devices"),
            stat(
                "Bad channels",
                "none",
                "Channels that are bad now, of all that are assessed; coloured by the worst. The channels dashboard says which electrode and why.",
                &[q(bad_channels!(), SAID)],
            )
            .words()
            .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY])
            .empty("no signal")
            .to("channels"),
            stat(
                "Recording",
                "none",
                "Programs in the expected state, taps that a program has open, and expected streams that are present, of all of these. Data that is not recorded now is lost.",
                &[q(
                    of!(
                        part: concat!("(sum(", recorded!(), ") or vector(0))"),
                        whole: concat!("count(", recorded!(), ")"),
                        none: "nothing is expected"
                    ),
                    SAID,
                )],
            )
            .words()
            .zero_wanted()
            .empty("nothing is expected")
            .to("program"),
            stat(
                "Worst packet loss",
                "percentunit",
                "Share of packets that are missing over the last five minutes, of the device that loses most. Check its radio, cable and hub.",
                &[q(
                    "max(sum by (instance, device) (rate(neural_device_lost_packets_total[5m])) / (sum by (instance, device) (rate(neural_device_frames_total[5m])) + sum by (instance, device) (rate(neural_device_lost_packets_total[5m]))))",
                    "",
                )],
            )
            .limits(&[&DEVICE_LOSS, &DEVICE_LOSS_CRITICAL])
            .empty("no device")
            .to("devices"),
            stat(
                "Sources down",
                "none",
                "Inputs of the agent that are down. The agent dashboard names them.",
                &[q("count(neural_source_up == 0) or vector(0)", "")],
            )
            .zero_wanted()
            .to("agent"),
        ]),
        open("What is wrong", &[
            view(
                Panel::Table,
                "Alerts that fire",
                "none",
                "Alerts that fire now, by severity. An empty list is good.",
                &[column(
                    concat!("max by (severity, priority, alertname, where) (", placed!("ALERTS{alertstate=\"firing\"}"), ")"),
                    "",
                    "none",
                )],
            )
            .first(&["priority", "where", "alertname", "severity"])
            .sorted(&[("Prio", false), ("Severity", false)])
            .seen(7)
            .empty("no alert fires")
            .to("alerts"),
            view(
                Panel::Table,
                "Devices",
                "short",
                "Every device with its most important values, those that are gone or have a closed port first. A low rate without loss is a slow device; silence is a state of its own.",
                &[
                    column(port::STATE, "Port", "none").states(port::STATES),
                    column(STREAMS, "Streams", "none").states(STREAMING),
                    column("max by (instance, device) (neural_device_rate_hertz)", "Rate", "rothz"),
                    column("max by (instance, device) (neural_device_rate_ratio)", "Of nominal", "percentunit")
                        .limits(&[&DEVICE_RATE]),
                    column(
                        "sum by (instance, device) (rate(neural_device_lost_packets_total[5m])) / (sum by (instance, device) (rate(neural_device_frames_total[5m])) + sum by (instance, device) (rate(neural_device_lost_packets_total[5m])))",
                        "Lost",
                        "percentunit",
                    )
                    .limits(&[&DEVICE_LOSS, &DEVICE_LOSS_CRITICAL]),
                    column("max by (instance, device) (neural_device_availability_ratio)", "Stability", "percentunit")
                        .limits(&[&DEVICE_AVAILABILITY, &DEVICE_AVAILABILITY_CRITICAL]),
                    column("max by (instance, device) (neural_device_bad_channels)", "Bad channels", "none"),
                    column("min by (instance, device) (neural_channel_quality_ratio)", "Worst channel", "percentunit")
                        .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY]),
                ],
            )
            .first(&["device", "Value #A", "Value #B"])
            .sorted(&[("Streams", false), ("Port", true), ("Worst channel", false)])
            .empty("no device")
            .to("devices"),
        ]),
        open("Signal", &[
            lines(
                "Sample rate, of nominal",
                "percentunit",
                "Samples per second of each device, as a share of its nominal rate. A step down is a device that lost its rate, a gap one that was gone.",
                &[q(
                    "sum by (instance, device) (rate(neural_device_samples_total[$__rate_interval])) / (max by (instance, device) (neural_device_nominal_rate_hertz) > 0)",
                    "{{device}}",
                )],
            )
            .limits(&[&DEVICE_RATE])
            .beside(3)
            .empty("no device")
            .to("devices"),
            view(
                Panel::States,
                "Recording over time",
                "none",
                "When each program was in the expected state, each tap was open in a program, and each expected stream was present.",
                &[
                    q("max by (instance, source) (neural_program_expected_state)", "{{source}}"),
                    q(port::OPEN, "tap {{device}}"),
                    q("max by (instance, source, stream) (neural_stream_present)", "{{stream}}"),
                ],
            )
            .states(&[state(1.0, "yes", Rating::Good), state(0.0, "no", Rating::Bad)])
            .beside(3)
            .empty("nothing is expected")
            .to("program"),
            view(
                Panel::States,
                "Sources that were down",
                "none",
                "Inputs of the agent that were down in the selected time, and when.",
                &[q(
                    "max by (instance, source) (neural_source_up) and on (instance, source) max by (instance, source) (min_over_time(neural_source_up[$__range] @ end())) == 0",
                    "{{source}}",
                )],
            )
            .states(UP)
            .beside(3)
            .empty("none was down")
            .judged("neural_source_up", "no agent")
            .to("agent"),
        ]),
        open("Processing", &[
            stat(
                "Lowest pipeline data quality",
                "percentunit",
                "The lowest of the qualities that pipelines report of their data. The agent's assessment of electrodes is under Bad channels.",
                &[q("min(neural_data_quality_ratio)", "")],
            )
            .limits(&[&DATA_QUALITY, &DATA_QUALITY_CRITICAL])
            .to("processing"),
            stat(
                "Slowest stage, p95",
                "s",
                "95th percentile of the duration of the slowest stage. Above the limit a closed loop is late.",
                &[q(
                    "max(histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[5m]))))",
                    "",
                )],
            )
            .limits(&[&STAGE_LATENCY, &STAGE_LATENCY_CRITICAL])
            .to("processing"),
            stat(
                "Failed runs, worst stage",
                "percentunit",
                "Share of runs that failed in the last five minutes, of the stage that fails most.",
                &[q(
                    "max(sum by (pipeline, stage) (rate(neural_stage_failures_total[5m])) / sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[5m])))",
                    "",
                )],
            )
            .limits(&[&STAGE_FAILURES, &STAGE_FAILURES_CRITICAL])
            .to("processing"),
            stat(
                "Sessions active",
                "none",
                "Sessions started and not ended.",
                &[q("sum(neural_sessions_active)", "")],
            )
            .empty("none")
            .to("processing"),
            lines(
                "Latency of stages, p95",
                "s",
                "95th percentile of the duration of each stage. Look at the slowest stage.",
                &[q(
                    "histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[$__rate_interval])))",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .limits(&[&STAGE_LATENCY])
            .to("processing"),
            lines(
                "Throughput",
                "ops",
                "Runs of each stage per second. Stages of one pipeline that drift apart have a queue between them that fills.",
                &[q(
                    "sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[$__rate_interval]))",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .to("processing"),
            lines(
                "Failed runs",
                "percentunit",
                "Share of the runs of each stage that failed. The errors are on the processing dashboard.",
                &[q(
                    "sum by (pipeline, stage) (rate(neural_stage_failures_total[$__rate_interval])) / sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[$__rate_interval]))",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .limits(&[&STAGE_FAILURES])
            .to("processing"),
        ]),
        open("Machines and agents", &[
            stat(
                "Agents up",
                "none",
                "Agents that Prometheus reaches. Without one, this dashboard is empty or outdated.",
                &[q("sum(up)", "")],
            )
            .zero_missing()
            .empty("no agent")
            .to("agent"),
            stat(
                "CPU in use",
                "percentunit",
                "Share of processor time in use on the busiest machine. Beyond the limit samples wait.",
                &[q(
                    "max(1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~\"idle|iowait\"}[5m])) / sum by (instance) (rate(neural_host_cpu_seconds_total[5m])))",
                    "",
                )],
            )
            .limits(&[&HOST_CPU, &HOST_CPU_CRITICAL])
            .to("system"),
            stat(
                "Memory in use",
                "percentunit",
                "Share of memory in use on the fullest machine. When it is full, the kernel kills a program.",
                &[q("max(neural_host_memory_used_bytes / neural_host_memory_size_bytes)", "")],
            )
            .limits(&[&HOST_MEMORY, &HOST_MEMORY_CRITICAL])
            .to("system"),
            stat(
                "Fullest file system",
                "percentunit",
                "Share in use of the fullest file system. A recording stops when it is full.",
                &[q("max(1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes)", "")],
            )
            .limits(&[&FILESYSTEM, &FILESYSTEM_CRITICAL])
            .to("system"),
        ]),
    ],
};
