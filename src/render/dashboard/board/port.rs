//! Ports, USB and taps: rows of the dashboard of devices. It is no dashboard of its own, because a port is where
//! one looks when its device does not stream.

use super::super::view::{Row, closed, column, lines, open, q, view};
use crate::catalog::draw::{Panel, Rating, State, TROUBLE, state};
use crate::catalog::limit::{PORT_LATENCY_TIMER, PORT_LINE_ERRORS, PORT_WAITING, TAP_DELAY};

/// How a port is, as one of the numbers of `STATES`: exactly one of its series is 1, and over time the worst.
pub(super) const STATE: &str = "max by (instance, device) (\n  neural_port_state{state=\"open\"} * 1\n  or neural_port_state{state=\"silent\"} * 2\n  or neural_port_state{state=\"wrong_device\"} * 3\n  or neural_port_state{state=\"absent\"} * 4\n  or neural_port_state{state=\"busy\"} * 5\n  or neural_port_state{state=\"not_permitted\"} * 6\n  or neural_port_state{state=\"ambiguous\"} * 7\n  or neural_port_state{state=\"failed\"} * 8\n)";

/// Whether a program has each tap open. A tap is not there while its device is not, and then nothing is recorded; its counters stay.
pub(super) const OPEN: &str =
    "max by (instance, device) (neural_tap_open) or 0 * max by (instance, device) (neural_tap_opens_total)";

/// What the numbers of `STATE` mean.
pub(super) const STATES: &[State] = &[
    state(1.0, "open", Rating::Good),
    state(2.0, "silent", Rating::Odd),
    state(3.0, "wrong device", Rating::Bad),
    state(4.0, "absent", Rating::Bad),
    state(5.0, "busy", Rating::Odd),
    state(6.0, "not permitted", Rating::Bad),
    state(7.0, "ambiguous", Rating::Bad),
    state(8.0, "failed", Rating::Bad),
];

pub(super) static PORTS: Row = open("Ports", &[
    view(
        Panel::States,
        "Port",
        "none",
        "State of each serial port. Absent: unplugged. Busy: another program has it. Not permitted: the agent may not open it. Silent: open, and no samples arrive.",
        &[q(STATE, "{{device}}")],
    )
    .states(STATES)
    .beside(2)
    .empty("no serial port"),
    view(
        Panel::Stack,
        "Disconnects in 1 h",
        "none",
        "Disconnects in the hour before, by reason. Unplugged is a contact, a hub or the bus; the others are the driver or the other end.",
        &[q("sum by (instance, device, reason) (increase(neural_port_disconnects_total[1h])) > 0", "{{device}} {{reason}}")],
    )
    .beside(2)
    .empty("no disconnect"),
    view(
        Panel::Stack,
        "Reconnects in 1 h",
        "none",
        "How often the port of each device was opened again in the hour before. Fewer than disconnects: a device is still away.",
        &[q("sum by (instance, device) (increase(neural_port_reconnects_total[1h])) > 0", "{{device}}")],
    )
    .beside(2)
    .empty("no reconnect"),
]);

pub(super) static USB: Row = closed("Line and USB", &[
    lines(
        "Line errors",
        "cps",
        "Line errors per second, by kind: the five with most. Frame and parity mean a wrong baud rate or a bad cable, overruns a machine that does not read bytes in time.",
        &[q(
            busiest!("5", "neural_port_line_errors_total", "device, kind"),
            "{{device}} {{kind}}",
        )],
    )
    .limits(&[&PORT_LINE_ERRORS])
    .empty("not counted by the driver"),
    lines(
        "Waiting bytes",
        "bytes",
        "Bytes waiting in the kernel to be read; at most 4095 fit, more are lost.",
        &[q("max by (instance, device) (neural_port_waiting_bytes)", "{{device}}")],
    )
    .limits(&[&PORT_WAITING])
    .empty("not reported by the driver"),
    lines(
        "Started by the agent",
        "none",
        "Start commands sent to a device in the hour before: because its port was opened, because it was silent, or because a hook asked for it.",
        &[q(
            "sum by (instance, device, reason) (increase(neural_port_start_commands_total[1h])) > 0",
            "{{device}} {{reason}}",
        )],
    )
    .empty("none was started"),
    view(
        Panel::Table,
        "Lines",
        "none",
        "Baud rate of each port, and the latency timer of its chip: 1 ms is right, 16 ms causes bursts.",
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
        "USB device of each port, and its USB place. Autosuspend is a risk to a recording; enumerations are those of the last hour.",
        &[
            column("max by (instance, device, product, id, serial, place) (neural_port_usb_info)", "", "none"),
            column("max by (instance, device) (neural_port_usb_bits_per_second)", "Bits/s", "short"),
            column("max by (instance, device) (neural_port_usb_awake)", "Awake", "none")
                .states(&[state(1.0, "yes", Rating::Good), state(0.0, "suspended", Rating::Bad)]),
            column("max by (instance, device) (neural_port_usb_autosuspend)", "Autosuspend", "none").states(TROUBLE),
            column("max by (instance, device) (neural_port_usb_power_limit_watts)", "Power limit", "watt"),
            column("round(sum by (instance, device) (increase(neural_port_usb_reenumerations_total[1h])))", "Enumerated", "none"),
        ],
    )
    .first(&["device", "Value #C"])
    .beside(1)
    .empty("no USB port"),
]);

pub(super) static TAPS: Row = closed("Taps", &[
    view(
        Panel::States,
        "Recorded",
        "none",
        "When a program had the tap of a device open.",
        &[q(OPEN, "{{device}}")],
    )
    .states(&[state(1.0, "recorded", Rating::Good), state(0.0, "no program records", Rating::Plain)])
    .beside(3)
    .empty("no tap"),
    lines(
        "Forwarded by taps",
        "Bps",
        "Bytes per second between devices and the programs that record them.",
        &[q(
            "sum by (instance, device, direction) (rate(neural_tap_forwarded_bytes_total[$__rate_interval]))",
            "{{device}} {{direction}}",
        )],
    )
    .empty("no tap"),
    lines(
        "Lost in taps",
        "Bps",
        "Bytes per second dropped because the program or the device did not read them, which are a gap in the recording, and bytes that only the agent did not decode.",
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
        "Time from reading bytes of the device to writing them to the program, 99th percentile. It grows when the program does not read.",
        &[
            q(
                "histogram_quantile(0.99, sum by (instance, device, le) (rate(neural_tap_delay_seconds_bucket[$__rate_interval])))",
                "{{device}}",
            ),
        ],
    )
    .limits(&[&TAP_DELAY])
    .empty("no tap"),
    lines(
        "Waiting in taps",
        "bytes",
        "Bytes waiting in the agent. When its buffer is full, the oldest are lost.",
        &[q(
            "max by (instance, device, direction) (neural_tap_waiting_bytes)",
            "{{device}} {{direction}}",
        )],
    )
    .empty("no tap is open"),
    view(
        Panel::Table,
        "Programs",
        "none",
        "Times a program opened each tap within an hour, and whether it set another baud rate than the port's.",
        &[
            column("round(sum by (instance, device) (increase(neural_tap_opens_total[1h])))", "Opened", "none"),
            column("max by (instance, device) (neural_tap_baud_mismatch)", "Other baud", "none").states(TROUBLE),
        ],
    )
    .beside(3)
    .empty("no tap"),
]);
