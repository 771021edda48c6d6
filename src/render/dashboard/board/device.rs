//! Devices: does each stream, at its rate and without gaps?
//!
//! The rows of their ports and taps are in `port`.

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use super::{SAID, port};
use crate::catalog::draw::{Panel, Rating, State, state};
use crate::catalog::limit::{
    DEVICE_AVAILABILITY, DEVICE_AVAILABILITY_CRITICAL, DEVICE_BATTERY, DEVICE_BATTERY_CRITICAL, DEVICE_DRIFT,
    DEVICE_GAP, DEVICE_IMPEDANCE, DEVICE_JITTER, DEVICE_LATENCY, DEVICE_LOSS, DEVICE_LOSS_CRITICAL,
    DEVICE_POOR_SIGNAL, DEVICE_RATE,
};

/// Whether each device streams. One that was there within the chosen time and is not now, such as a stream of LSL that
/// ended, sends no series any more: it is gone. One that was not there then is told by its port, or by its counters, which stay, where
/// its source is down; markers stream now and then, and have counters alone.
pub(super) const STREAMS: &str = "max by (instance, device) (neural_device_streaming) or max by (instance, device) (last_over_time(neural_device_info[$__range])) * 0 - 1 or max by (instance, device) (neural_port_state) * 0 - 2 or max by (instance, device) (neural_device_frames_total) * 0 - 1 and on (instance, device) label_replace(neural_source_up == 0, \"device\", \"$1\", \"source\", \"(.*)\")";

/// What the numbers of `STREAMS` mean.
pub(super) const STREAMING: &[State] = &[
    state(1.0, "yes", Rating::Good),
    state(0.0, "silent", Rating::Bad),
    state(-1.0, "gone", Rating::Bad),
    state(-2.0, "no", Rating::Bad),
];

pub(super) static BOARD: Board = Board {
    key: "devices",
    title: "Devices",
    about: "Whether each acquisition device streams, at its rate and without gaps.",
    pages: &["device", "port", "tap"],
    by_machine: true,
    variables: &[("device", "Device")],
    range: "now-1h",
    refresh: "10s",
    rows: &[
        open("Now", &[
            stat(
                "Connected devices",
                "none",
                "Devices whose link is up, streaming or not, of all that are configured or were there within the chosen time. Red while a port that should be open is not.",
                &[q(
                    of!(
                        part: concat!("(sum(", devices!(), ") or vector(0))"),
                        whole: concat!("count(", devices!(), ")"),
                        none: "none"
                    ),
                    SAID,
                )],
            )
            .words()
            .zero_wanted()
            .empty("none"),
            stat(
                "Streaming now",
                "none",
                "Devices that sent a sample within the last second, of all. Fewer than connected: one is silent, so start its stream.",
                &[q(streaming!(), SAID)],
            )
            .words()
            .zero_wanted()
            .empty("none"),
            stat(
                "Worst packet loss",
                "percentunit",
                "Share of packets that are missing over the last five minutes, of the device that loses most. Check its radio, cable and hub.",
                &[q(
                    "max(sum by (instance, device) (rate(neural_device_lost_packets_total[5m])) / (sum by (instance, device) (rate(neural_device_frames_total[5m])) + sum by (instance, device) (rate(neural_device_lost_packets_total[5m]))))",
                    "",
                )],
            )
            .limits(&[&DEVICE_LOSS, &DEVICE_LOSS_CRITICAL]),
            stat(
                "Lowest availability",
                "percentunit",
                "Lowest share of the last ten minutes in which a device streamed.",
                &[q("min(neural_device_availability_ratio)", "")],
            )
            .limits(&[&DEVICE_AVAILABILITY, &DEVICE_AVAILABILITY_CRITICAL]),
            stat(
                "Longest gap now",
                "s",
                "The longest time without a sample within the last minute, of any device.",
                &[q("max(neural_device_longest_gap_seconds)", "")],
            )
            .limits(&[&DEVICE_GAP]),
            stat(
                "Lowest battery",
                "percentunit",
                "Lowest battery charge, of devices that report it. Replace the battery before the next session.",
                &[q("min(neural_device_battery_ratio)", "")],
            )
            .limits(&[&DEVICE_BATTERY, &DEVICE_BATTERY_CRITICAL])
            .empty("not reported"),
        ]),
        open("Each device", &[
            view(
                Panel::Table,
                "Devices",
                "short",
                "Every device with its most important values, those that are gone or have a closed port first. A low rate without loss is a slow device; silence is a state of its own. A device with a closed port has no rate.",
                &[
                    column(port::STATE, "Port", "none").states(port::STATES),
                    column(STREAMS, "Streams", "none").states(STREAMING),
                    column("max by (instance, device) (neural_device_channels)", "Channels", "none"),
                    column("max by (instance, device) (neural_device_nominal_rate_hertz)", "Nominal", "rothz"),
                    column("max by (instance, device) (neural_device_rate_hertz)", "Rate", "rothz"),
                    column("max by (instance, device) (neural_device_rate_ratio)", "Of nominal", "percentunit")
                        .limits(&[&DEVICE_RATE]),
                    column(
                        "sum by (instance, device) (rate(neural_device_lost_packets_total[5m])) / (sum by (instance, device) (rate(neural_device_frames_total[5m])) + sum by (instance, device) (rate(neural_device_lost_packets_total[5m])))",
                        "Lost",
                        "percentunit",
                    )
                    .limits(&[&DEVICE_LOSS, &DEVICE_LOSS_CRITICAL]),
                    column("max by (instance, device) (neural_device_longest_gap_seconds)", "Worst gap", "s")
                        .limits(&[&DEVICE_GAP]),
                    column("max by (instance, device) (neural_device_availability_ratio)", "Stability", "percentunit")
                        .limits(&[&DEVICE_AVAILABILITY, &DEVICE_AVAILABILITY_CRITICAL]),
                    column(
                        "clamp_min(max by (instance) (neural_agent_time_seconds) - on (instance) group_right max by (instance, device) (neural_device_last_sample_timestamp_seconds), 0)",
                        "Last sample",
                        "s",
                    ),
                ],
            )
            .first(&["device", "Value #A", "Value #B"])
            .sorted(&[("Streams", false), ("Port", true)])
            .seen(8)
            .empty("no device"),
        ]),
        open("Over the selected time", &[
            view(
                Panel::Table,
                "Devices over the selected time",
                "short",
                "Losses of each device, and the share of the selected time in which its port was open and it streamed; the longest gap is one while it was connected. Select the time of a session to get its report.",
                &[
                    column("round(sum by (instance, device) (increase(neural_device_lost_packets_total[$__range])))", "Packets lost", "short"),
                    column(
                        "sum by (instance, device) (increase(neural_device_lost_packets_total[$__range])) / (sum by (instance, device) (increase(neural_device_frames_total[$__range])) + sum by (instance, device) (increase(neural_device_lost_packets_total[$__range])))",
                        "Lost",
                        "percentunit",
                    )
                    .limits(&[&DEVICE_LOSS, &DEVICE_LOSS_CRITICAL]),
                    column("max by (instance, device) (max_over_time(neural_device_longest_gap_seconds[$__range]))", "Longest gap", "s")
                        .limits(&[&DEVICE_GAP]),
                    column("round(sum by (instance, device) (increase(neural_port_reconnects_total[$__range])))", "Reconnects", "short"),
                    column(
                        "sum by (instance, device) (avg_over_time(neural_port_state{state=~\"open|silent\"}[$__range]))",
                        "Port open",
                        "percentunit",
                    )
                    .limits(&[&DEVICE_AVAILABILITY, &DEVICE_AVAILABILITY_CRITICAL]),
                    // A device that is gone tells nothing; that the agent was there says how long it could have.
                    column(
                        "clamp_max(max by (instance, device) (sum_over_time(neural_device_streaming[$__range])) / on (instance) group_left () max by (instance) (sum_over_time(up[$__range])), 1)",
                        "Streamed",
                        "percentunit",
                    )
                    .limits(&[&DEVICE_AVAILABILITY, &DEVICE_AVAILABILITY_CRITICAL]),
                ],
            )
            .first(&["device"])
            .sorted(&[("Lost", true)])
            .empty("no device"),
            view(
                Panel::Columns,
                "Packets lost per minute",
                "short",
                "Packets that each device lost in each minute. Single bars are a moment's interference, a row of them a bad link.",
                &[q("60 * sum by (instance, device) (rate(neural_device_lost_packets_total[$__rate_interval]))", "{{device}}")],
            )
            .beside(1)
            .empty("no device"),
        ]),
        open("Rate and loss", &[
            lines(
                "Sample rate, of nominal",
                "percentunit",
                "Samples per second, as a share of the nominal rate. Below the limit without loss, the device's clock or mode is wrong.",
                &[q(
                    "sum by (instance, device) (rate(neural_device_samples_total[$__rate_interval])) / (max by (instance, device) (neural_device_nominal_rate_hertz) > 0)",
                    "{{device}}",
                )],
            )
            .limits(&[&DEVICE_RATE]),
            lines(
                "Packet loss",
                "percentunit",
                "Share of packets that are missing, by the device's own counter and, where that hides some, by time. Bring the receiver nearer, off USB hubs, away from Wi-Fi.",
                &[q(
                    "sum by (instance, device) (rate(neural_device_lost_packets_total[$__rate_interval])) / (sum by (instance, device) (rate(neural_device_frames_total[$__rate_interval])) + sum by (instance, device) (rate(neural_device_lost_packets_total[$__rate_interval])))",
                    "{{device}}",
                )],
            )
            .limits(&[&DEVICE_LOSS, &DEVICE_LOSS_CRITICAL]),
            lines(
                "Availability",
                "percentunit",
                "Share of the last ten minutes in which each device streamed. A saw tooth is a loose contact.",
                &[q("max by (instance, device) (neural_device_availability_ratio)", "{{device}}")],
            )
            .limits(&[&DEVICE_AVAILABILITY, &DEVICE_AVAILABILITY_CRITICAL])
            .whole(),
            view(
                Panel::States,
                "Streaming",
                "none",
                "When each device streamed. The dashed marks above are connects and disconnects.",
                &[q("max by (instance, device) (neural_device_streaming) or max by (instance, device) (neural_port_state) * 0 - 3 or max by (instance, device) (neural_device_frames_total) * 0 - 3 and on (instance, device) label_replace(neural_source_up == 0, \"device\", \"$1\", \"source\", \"(.*)\")", "{{device}}")],
            )
            .states(&[state(1.0, "streams", Rating::Good), state(0.0, "silent", Rating::Bad), state(-3.0, "no samples", Rating::Bad)])
            .beside(2)
            .empty("no device"),
            lines(
                "Errors",
                "cps",
                "Rejected input of a device per second, by reason: the four kinds with most. Bad checksums and lost frames mean a bad link; framing errors a wrong protocol or baud rate.",
                &[
                    q(
                        concat!(
                            busiest!("4", "neural_source_errors_total", "source, reason"),
                            " and on (instance, source) label_replace(neural_device_info, \"source\", \"$1\", \"device\", \"(.*)\")"
                        ),
                        "{{source}} {{reason}}",
                    ),
                ],
            )
            .empty("no errors")
            .beside(2),
        ]),
        port::PORTS,
        open("Latency and jitter", &[
            lines(
                "Communication latency",
                "s",
                "Delay of the oldest packet in a read over the fastest delivery, 95th percentile; the heat map shows its spread. With an FTDI chip it is its latency timer: set that to 1 ms.",
                &[
                    q(
                        "histogram_quantile(0.95, sum by (instance, device, le) (rate(neural_device_latency_seconds_bucket[$__rate_interval])))",
                        "{{device}}",
                    ),
                ],
            )
            .limits(&[&DEVICE_LATENCY])
            .beside(2),
            view(
                Panel::Heat,
                "Latency spread",
                "s",
                "Distribution of the latency of packets over time. Two bands are two delivery paths, such as a radio that retransmits.",
                &[q("sum by (le) (increase(neural_device_latency_seconds_bucket[$__rate_interval]))", "{{le}}")],
            )
            .beside(2),
            lines(
                "Jitter",
                "s",
                "Delay of the newest packet in a read over the fastest delivery, 95th percentile. It grows with a busy machine or radio.",
                &[
                    q(
                        "histogram_quantile(0.95, sum by (instance, device, le) (rate(neural_device_jitter_seconds_bucket[$__rate_interval])))",
                        "{{device}}",
                    ),
                ],
            )
            .limits(&[&DEVICE_JITTER])
            .beside(2),
            view(
                Panel::Heat,
                "Jitter spread",
                "s",
                "Distribution of the jitter of packets over time.",
                &[q("sum by (le) (increase(neural_device_jitter_seconds_bucket[$__rate_interval]))", "{{le}}")],
            )
            .beside(2),
        ]),
        closed("Clock and bursts", &[
            lines(
                "Packets in one read",
                "none",
                "Packets received in one read, 99th percentile. Large bursts mean that something between device and agent collects them.",
                &[
                    q(
                        "histogram_quantile(0.99, sum by (instance, device, le) (rate(neural_device_burst_packets_bucket[$__rate_interval])))",
                        "{{device}}",
                    ),
                ],
            ),
            lines(
                "Clock drift",
                "ppm",
                "How much faster than it should the device runs, by this machine's clock. Correct for it when streams of several devices are joined.",
                &[q("1e6 * max by (instance, device) (neural_device_clock_drift_ratio)", "{{device}}")],
            )
            .limits(&[&DEVICE_DRIFT])
            .signed(),
            lines(
                "Gaps",
                "cps",
                "Gaps, whatever their length, and duplicate packets. Many short gaps are a weak radio, few long ones a cable.",
                &[
                    q("sum by (instance, device) (rate(neural_device_gaps_total[$__rate_interval])) > 0", "{{device}}"),
                    q(
                        "sum by (instance, device) (rate(neural_device_duplicate_packets_total[$__rate_interval])) > 0",
                        "{{device}} twice",
                    ),
                ],
            ),
            lines(
                "Longest gap",
                "s",
                "The longest time without a sample within the last minute.",
                &[q("max by (instance, device) (neural_device_longest_gap_seconds)", "{{device}}")],
            )
            .limits(&[&DEVICE_GAP]),
            lines(
                "Text messages of devices",
                "cps",
                "Text messages of a device, and how many of them report a failure, as a dongle does whose board is off.",
                &[
                    q("sum by (instance, device) (rate(neural_device_messages_total[$__rate_interval])) > 0", "{{device}}"),
                    q(
                        "sum by (instance, device) (rate(neural_device_error_messages_total[$__rate_interval])) > 0",
                        "{{device}} failures",
                    ),
                ],
            ),
        ]),
        port::TAPS,
        port::USB,
        closed("Reported by the devices", &[
            lines(
                "Battery",
                "percentunit",
                "Charge of each battery. A curve that bends down ends within minutes.",
                &[q("max by (instance, device) (neural_device_battery_ratio)", "{{device}}")],
            )
            .limits(&[&DEVICE_BATTERY, &DEVICE_BATTERY_CRITICAL])
            .whole()
            .empty("no device reports it"),
            lines(
                "Temperature",
                "celsius",
                "Temperature of each device. A curve that does not level out is a fan, a charger or the sun.",
                &[q("max by (instance, device) (neural_device_temperature_celsius)", "{{device}}")],
            )
            .empty("no device reports it"),
            lines(
                "Poor signal",
                "percentunit",
                "How poor the signal is by the device's own report: 0 is good, 100 % is not on skin. Reseat the electrode.",
                &[q("max by (instance, device) (neural_device_poor_signal_ratio)", "{{device}}")],
            )
            .limits(&[&DEVICE_POOR_SIGNAL])
            .whole()
            .empty("no device reports it"),
            lines(
                "Impedance",
                "ohm",
                "The five highest of the last measured impedances. The agent measures only before a stream, with impedance: at_start.",
                &[q(highest!("5", "neural_device_electrode_impedance_ohms", "device, channel"), "{{device}} {{channel}}")],
            )
            .limits(&[&DEVICE_IMPEDANCE])
            .empty("not measured"),
            view(
                Panel::Table,
                "Protocol and firmware",
                "none",
                "Protocol of each device, and its firmware version if it reports one.",
                &[
                    column(
                        "max by (instance, device, protocol) (neural_device_info)",
                        "",
                        "none",
                    ),
                    column("max by (instance, device, version) (neural_device_firmware_info)", "", "none"),
                ],
            )
            .beside(2)
            .empty("no device"),
            view(
                Panel::States,
                "Electrode contact",
                "none",
                "Whether each electrode has contact, as the device measures it.",
                &[q(
                    "min by (instance, device, channel, input) (neural_device_electrode_contact)",
                    "{{device}} {{channel}} {{input}}",
                )],
            )
            .states(&[state(1.0, "on", Rating::Good), state(0.0, "off", Rating::Bad)])
            .beside(2)
            .empty("no device measures it"),
        ]),
    ],
};
