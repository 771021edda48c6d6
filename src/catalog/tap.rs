//! Page: does everything between a device and the program that records it pass?

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, BothWays, Event, Kind, Tap, Topic};

/// Does everything between a device and the program that records it pass?
pub static PAGE: Page = Page {
    id: "tap",
    title: "Taps",
    about: "Bytes between a device and the program that records it through the agent. Dropped bytes are missing in the recording; undecoded bytes are missing in the agent's own metrics only.",
    metrics: &[&READER, &OPENS, &PASSED, &DROPPED, &WAITING, &DELAY, &UNSEEN, &WRONG_SPEED],
};

/// What every entry of this page has in common.
const ENTRY: Metric = Metric { labels: &["device"], keep: Keep::WhileUp, on: &[Topic::Tap], ..Metric::BLANK };

/// What every counter of this page has in common.
const COUNTED: Metric = Metric { kind: Kind::Counter, keep: Keep::Always, ..ENTRY };

fn tap<'a>(event: &Event<'a>) -> Option<&'a Tap<'a>> {
    if let Body::Tap(tap) = event.body { Some(tap) } else { None }
}

fn each(ways: BothWays, row: &mut dyn Row, with: fn(&mut dyn Row, &[&str], f64)) {
    let device = row.source();
    with(row, &[&device, "to_program"], ways.to_program as f64);
    with(row, &[&device, "to_device"], ways.to_device as f64);
}

static READER: Metric = Metric {
    name: "tap_open",
    prompt: true,
    help: "Whether a program has the tap open (1) or not (0)",
    read: |event, row| {
        if let Some(tap) = tap(event) {
            row.set(&[&row.source()], f64::from(tap.reader));
        }
    },
    ..ENTRY
};

static OPENS: Metric = Metric {
    name: "tap_opens",
    help: "Times a program opened the tap",
    note: "Not counted while another program has it open",
    read: |event, row| {
        if let Some(tap) = tap(event) {
            row.add(&[&row.source()], tap.opens as f64);
        }
    },
    ..COUNTED
};

static PASSED: Metric = Metric {
    name: "tap_forwarded",
    help: "Bytes forwarded, by direction",
    unit: Unit::Bytes,
    labels: &["device", "direction"],
    read: |event, row| {
        if let Some(tap) = tap(event) {
            each(tap.passed, row, |row, labels, by| row.add(labels, by));
        }
    },
    ..COUNTED
};

static DROPPED: Metric = Metric {
    name: "tap_dropped",
    help: "Bytes lost because the program or the device did not read them in time, by direction",
    unit: Unit::Bytes,
    labels: &["device", "direction"],
    read: |event, row| {
        if let Some(tap) = tap(event) {
            each(tap.dropped, row, |row, labels, by| row.add(labels, by));
        }
    },
    ..COUNTED
};

static WAITING: Metric = Metric {
    name: "tap_waiting",
    help: "Bytes waiting in the agent to be forwarded, by direction",
    unit: Unit::Bytes,
    labels: &["device", "direction"],
    read: |event, row| {
        if let Some(tap) = tap(event) {
            each(tap.waiting, row, |row, labels, to| row.set(labels, to));
        }
    },
    ..ENTRY
};

static DELAY: Metric = Metric {
    name: "tap_delay",
    help: "Time from reading bytes of the device to writing the last of them to the program",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: &[
        0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.1, 1.0, 10.0, 100.0,
    ],
    judged: &[&super::limit::TAP_DELAY],
    read: |event, row| {
        if let Some(tap) = tap(event) {
            let device = row.source();
            for seconds in tap.delays {
                row.observe(&[&device], *seconds, None);
            }
        }
    },
    ..COUNTED
};

static UNSEEN: Metric = Metric {
    name: "tap_undecoded",
    help: "Bytes forwarded that the agent did not decode, by reason",
    note: "`behind`: the decoder did not keep up. `failed`: the decoder failed. The recording is not affected",
    unit: Unit::Bytes,
    labels: &["device", "reason"],
    read: |event, row| {
        if let Some(tap) = tap(event) {
            let device = row.source();
            row.add(&[&device, "behind"], tap.behind as f64);
            row.add(&[&device, "failed"], tap.failed as f64);
        }
    },
    ..COUNTED
};

static WRONG_SPEED: Metric = Metric {
    name: "tap_baud_mismatch",
    help: "Whether the program set a baud rate other than the port's (1) or not (0)",
    note: "The port keeps the configured rate",
    read: |event, row| {
        if let Some(tap) = tap(event) {
            row.set(&[&row.source()], f64::from(tap.wrong_speed));
        }
    },
    ..ENTRY
};
