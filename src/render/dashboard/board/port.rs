//! Ports, USB and taps: rows of the dashboard of devices. It is no dashboard of its own, because a port is where
//! one looks when its device does not stream.

use super::super::view::{Row, closed, column, lines, open, q, view};
use crate::catalog::draw::{Mood, Panel, State, TROUBLE, state};
use crate::catalog::limit::{PORT_LATENCY_TIMER, PORT_LINE_ERRORS, PORT_WAITING, TAP_DELAY};

/// How a port is, as one of the numbers of `STATES`: exactly one of its series is 1.
pub(super) const STATE: &str = "sum by (instance, device) (\n  neural_port_state{state=\"open\"} * 1\n  or neural_port_state{state=\"silent\"} * 2\n  or neural_port_state{state=\"wrong_device\"} * 3\n  or neural_port_state{state=\"absent\"} * 4\n  or neural_port_state{state=\"busy\"} * 5\n  or neural_port_state{state=\"not_permitted\"} * 6\n  or neural_port_state{state=\"ambiguous\"} * 7\n  or neural_port_state{state=\"failed\"} * 8\n)";

/// What the numbers of `STATE` mean.
pub(super) const STATES: &[State] = &[
    state(1.0, "open", Mood::Good),
    state(2.0, "silent", Mood::Odd),
    state(3.0, "wrong device", Mood::Bad),
    state(4.0, "absent", Mood::Bad),
    state(5.0, "busy", Mood::Odd),
    state(6.0, "not permitted", Mood::Bad),
    state(7.0, "ambiguous", Mood::Bad),
    state(8.0, "failed", Mood::Bad),
];

pub(super) static PORTS: Row = open("Ports", &[
    view(
        Panel::States,
        "Port",
        "none",
        "How each serial port was. Absent: unplugged. Busy: another program has it. Not permitted: the agent may not open it. Silent: open, and nothing comes but answers.",
        &[q(STATE, "{{device}}")],
    )
    .states(STATES)
    .beside(2)
    .empty("no serial port"),
    view(
        Panel::Stack,
        "Losses and reconnects",
        "none",
        "How often an open port was lost in the hour before, by how, and how often it was opened again. Unplugged is a contact, a hub or the bus; the others are the driver or the other end.",
        &[
            q("sum by (instance, device, reason) (increase(neural_port_disconnects_total[1h])) > 0", "{{device}} {{reason}}"),
            q("sum by (instance, device) (increase(neural_port_reconnects_total[1h])) > 0", "{{device}} back"),
        ],
    )
    .beside(2)
    .empty("no port was lost"),
]);

pub(super) static USB: Row = closed("Line and USB", &[
    lines(
        "Line errors",
        "cps",
        "Errors of the line in a second, by kind. Frame and parity are a wrong speed or a bad cable, overruns a machine that does not fetch bytes in time.",
        &[q(
            "sum by (instance, device, kind) (rate(neural_port_line_errors_total[$__rate_interval]))",
            "{{device}} {{kind}}",
        )],
    )
    .limits(&[&PORT_LINE_ERRORS])
    .empty("no driver counts them"),
    lines(
        "Waiting bytes",
        "bytes",
        "Bytes that wait in the kernel to be read; at most 4095 fit, and what comes beyond is lost.",
        &[q("max by (instance, device) (neural_port_waiting_bytes)", "{{device}}")],
    )
    .limits(&[&PORT_WAITING])
    .empty("no driver tells it"),
    lines(
        "Started by the agent",
        "none",
        "How often within the hour before a device was told to start: because its port was opened, or because it was silent.",
        &[q(
            "sum by (instance, device, reason) (increase(neural_port_start_commands_total[1h]))",
            "{{device}} {{reason}}",
        )],
    )
    .empty("no serial port"),
    view(
        Panel::Table,
        "Lines",
        "none",
        "Speed of each line, and how long its chip holds bytes back: 1 ms is right, 16 ms makes bursts.",
        &[
            column("max by (instance, device) (neural_port_baud)", "Baud", "none"),
            column("max by (instance, device) (neural_port_latency_timer_seconds)", "Latency timer", "s")
                .limits(&[&PORT_LATENCY_TIMER]),
        ],
    )
    .beside(3)
    .empty("no serial port"),
    view(
        Panel::Table,
        "USB",
        "short",
        "What makes each port, and where it hangs. Autosuspend is a risk to a recording.",
        &[
            column("max by (instance, device, product, id, serial, place) (neural_port_usb_info)", "", "none"),
            column("max by (instance, device) (neural_port_usb_bits_per_second)", "Bits a second", "short"),
            column("max by (instance, device) (neural_port_usb_awake)", "Awake", "none")
                .states(&[state(1.0, "yes", Mood::Good), state(0.0, "suspended", Mood::Bad)]),
            column("max by (instance, device) (neural_port_usb_autosuspend)", "Autosuspend", "none").states(TROUBLE),
            column("max by (instance, device) (neural_port_usb_power_limit_watts)", "May draw", "watt"),
            column("sum by (instance, device) (increase(neural_port_usb_reenumerations_total[1h]))", "Renumbered in 1 h", "none"),
        ],
    )
    .beside(1)
    .empty("no USB port"),
]);

pub(super) static TAPS: Row = closed("Taps", &[
    view(
        Panel::States,
        "Recorded",
        "none",
        "When a program had the tap of a device open.",
        &[q("max by (instance, device) (neural_tap_open)", "{{device}}")],
    )
    .states(&[state(1.0, "recorded", Mood::Good), state(0.0, "nobody records", Mood::Plain)])
    .beside(3)
    .empty("no tap"),
    lines(
        "Passed through taps",
        "Bps",
        "Bytes in a second between devices and the programs that record them.",
        &[q(
            "sum by (instance, device, direction) (rate(neural_tap_forwarded_bytes_total[$__rate_interval]))",
            "{{device}} {{direction}}",
        )],
    )
    .empty("no tap"),
    lines(
        "Lost in taps",
        "Bps",
        "Bytes in a second that the program or the device did not take, which are a hole in the recording, and those that only the agent did not see.",
        &[
            q(
                "sum by (instance, device, direction) (rate(neural_tap_dropped_bytes_total[$__rate_interval]))",
                "{{device}} {{direction}}",
            ),
            q(
                "sum by (instance, device, reason) (rate(neural_tap_undecoded_bytes_total[$__rate_interval]))",
                "{{device}} unseen, {{reason}}",
            ),
        ],
    )
    .empty("no tap"),
    lines(
        "Delay of taps",
        "s",
        "Time from reading a piece of the device's bytes until the program has it. It grows when the program does not read.",
        &[
            q(
                "histogram_quantile(0.5, sum by (instance, device, le) (rate(neural_tap_delay_seconds_bucket[$__rate_interval])))",
                "p50 {{device}}",
            ),
            q(
                "histogram_quantile(0.99, sum by (instance, device, le) (rate(neural_tap_delay_seconds_bucket[$__rate_interval])))",
                "p99 {{device}}",
            ),
        ],
    )
    .limits(&[&TAP_DELAY])
    .empty("no tap"),
    lines(
        "Waiting in taps",
        "bytes",
        "Bytes that wait in the agent to be taken. When its buffer is full the oldest are lost.",
        &[q(
            "max by (instance, device, direction) (neural_tap_waiting_bytes)",
            "{{device}} {{direction}}",
        )],
    )
    .empty("no tap"),
    view(
        Panel::Table,
        "Programs",
        "none",
        "How often a program opened each tap within an hour, and whether it asked for another speed than the port has.",
        &[
            column("sum by (instance, device) (increase(neural_tap_opens_total[1h]))", "Opened in 1 h", "none"),
            column("max by (instance, device) (neural_tap_baud_mismatch)", "Wrong speed", "none").states(TROUBLE),
        ],
    )
    .beside(3)
    .empty("no tap"),
]);
