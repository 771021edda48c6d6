//! Page: is each serial port there, ours and well, and what does the USB say of it?

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Greeting, Kind, Port, PortEnd, PortLine, PortState, Topic, UsbDevice};

/// Is each serial port there, ours and well, and what does the USB say of it?
pub static PAGE: Page = Page {
    id: "port",
    title: "Serial ports and USB",
    about: "State of each device's port, why it was lost, and what line and bus report: errors, waiting bytes, latency timer, power. What a driver does not report is absent.",
    metrics: &[
        &STATE,
        &LOSSES,
        &RECONNECTS,
        &GREETINGS,
        &BAUD,
        &LATENCY_TIMER,
        &WAITING,
        &LINE_ERRORS,
        &USB_INFO,
        &USB_SPEED,
        &USB_AWAKE,
        &USB_AUTOSUSPEND,
        &USB_POWER_LIMIT,
        &USB_RENUMBERED,
    ],
};

/// What every entry of this page has in common.
const ENTRY: Metric =
    Metric { labels: &["device"], keep: Keep::WhileUp, on: &[Topic::Port], ..Metric::BLANK };

/// What every counter of this page has in common.
const COUNTED: Metric = Metric { kind: Kind::Counter, keep: Keep::Always, ..ENTRY };

fn port<'a>(event: &Event<'a>) -> Option<Port<'a>> {
    if let Body::Port(port) = event.body { Some(port) } else { None }
}

fn line(event: &Event<'_>, row: &mut dyn Row, value: fn(&PortLine) -> Option<f64>) {
    if let Some(Port::Line(line)) = port(event)
        && let Some(value) = value(line)
    {
        row.set(&[&row.source()], value);
    }
}

fn usb(event: &Event<'_>, row: &mut dyn Row, value: fn(&UsbDevice) -> Option<f64>) {
    if let Some(Port::Usb(usb)) = port(event)
        && let Some(value) = value(usb)
    {
        row.set(&[&row.source()], value);
    }
}

static STATE: Metric = Metric {
    name: "port_state",
    prompt: true,
    help: "State of the port, 1 for the current state and 0 for the others",
    labels: &["device", "state"],
    keep: Keep::Always,
    read: |event, row| {
        if let Some(Port::State(now)) = port(event) {
            for &state in PortState::ALL {
                row.set(&[&row.source(), state.as_str()], f64::from(state == now));
            }
        }
    },
    ..ENTRY
};

static LOSSES: Metric = Metric {
    name: "port_disconnects",
    help: "Times the open port was lost, by reason",
    labels: &["device", "reason"],
    read: |event, row| ends(event, row, |port| if let Port::Lost(end) = port { Some(end) } else { None }),
    ..COUNTED
};

static RECONNECTS: Metric = Metric {
    name: "port_reconnects",
    help: "Times the port was reopened after a disconnect, by reason of the disconnect",
    labels: &["device", "reason"],
    read: |event, row| ends(event, row, |port| if let Port::Back(end) = port { Some(end) } else { None }),
    ..COUNTED
};

/// Counts ends. They are announced at zero as soon as the port has a state.
fn ends(event: &Event<'_>, row: &mut dyn Row, counted: fn(Port<'_>) -> Option<PortEnd>) {
    match port(event) {
        Some(Port::State(_)) => {
            PortEnd::ALL.iter().for_each(|end| row.add(&[&row.source(), end.as_str()], 0.0));
        }
        Some(port) => {
            if let Some(end) = counted(port) {
                row.add(&[&row.source(), end.as_str()], 1.0);
            }
        }
        None => {}
    }
}

static GREETINGS: Metric = Metric {
    name: "port_start_commands",
    help: "Start commands sent to the device, by reason",
    note: "`opened`: the port was opened. `silent`: the device stopped sending. `requested`: a hook requested it",
    labels: &["device", "reason"],
    read: |event, row| {
        if let Some(Port::Greeted(greeting)) = port(event) {
            for &reason in Greeting::ALL {
                row.add(&[&row.source(), reason.as_str()], f64::from(reason == greeting));
            }
        }
    },
    ..COUNTED
};

static BAUD: Metric = Metric {
    name: "port_baud",
    help: "Baud rate of the port",
    read: |event, row| line(event, row, |line| Some(line.baud.into())),
    ..ENTRY
};

static LATENCY_TIMER: Metric = Metric {
    name: "port_latency_timer",
    help: "Time the USB bridge holds bytes back to send more of them together",
    note: "At 16 ms samples arrive in bursts",
    unit: Unit::Seconds,
    read: |event, row| line(event, row, |line| line.latency_timer),
    ..ENTRY
};

static WAITING: Metric = Metric {
    name: "port_waiting",
    help: "Bytes waiting in the kernel to be read",
    note: "At most 4095 fit",
    unit: Unit::Bytes,
    read: |event, row| line(event, row, |line| line.waiting.map(|bytes| bytes as f64)),
    ..ENTRY
};

static LINE_ERRORS: Metric = Metric {
    name: "port_line_errors",
    help: "Line errors counted by the driver since the port was opened, by kind",
    labels: &["device", "kind"],
    read: |event, row| {
        if let Some(Port::Line(PortLine { errors: Some(errors), .. })) = port(event) {
            let kinds = [
                ("frame", errors.frame),
                ("parity", errors.parity),
                ("overrun", errors.overrun),
                ("buffer_overrun", errors.buffer_overrun),
                ("break", errors.breaks),
            ];
            for (kind, count) in kinds {
                row.add(&[&row.source(), kind], count.into());
            }
        }
    },
    ..COUNTED
};

static USB_INFO: Metric = Metric {
    name: "port_usb",
    help: "USB device of the port, as it describes itself, and its port path",
    kind: Kind::Info,
    labels: &["device", "id", "product", "manufacturer", "serial", "place"],
    read: |event, row| {
        if let Some(Port::Usb(usb)) = port(event) {
            let UsbDevice { id, product, manufacturer, serial, place, .. } = usb;
            row.set(&[&row.source(), id, product, manufacturer, serial, place], 1.0);
        }
    },
    ..ENTRY
};

static USB_SPEED: Metric = Metric {
    name: "port_usb_bits_per_second",
    help: "Speed of the USB device, where 12000000 is full speed",
    read: |event, row| usb(event, row, |usb| usb.bits_per_second),
    ..ENTRY
};

static USB_AWAKE: Metric = Metric {
    name: "port_usb_awake",
    help: "Whether the USB device is powered (1) or suspended (0)",
    read: |event, row| usb(event, row, |usb| usb.awake.map(f64::from)),
    ..ENTRY
};

static USB_AUTOSUSPEND: Metric = Metric {
    name: "port_usb_autosuspend",
    help: "Whether the kernel may suspend the idle USB device (1) or not (0)",
    note: "A suspended device stops a recording",
    read: |event, row| usb(event, row, |usb| usb.autosuspend.map(f64::from)),
    ..ENTRY
};

static USB_POWER_LIMIT: Metric = Metric {
    name: "port_usb_power_limit",
    help: "Power the USB device may draw by its own description, at 5 V",
    unit: Unit::Watts,
    read: |event, row| usb(event, row, |usb| usb.power_limit),
    ..ENTRY
};

static USB_RENUMBERED: Metric = Metric {
    name: "port_usb_reenumerations",
    help: "Times the USB device was enumerated again",
    note: "It was plugged in again, or the bus lost it and found it again",
    read: |event, row| {
        if let Some(Port::Usb(usb)) = port(event) {
            row.add(&[&row.source()], usb.renumbered as f64);
        }
    },
    ..COUNTED
};
