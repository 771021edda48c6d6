//! Page: is each input open, talking and making sense?

use super::draw::{Draw, Panel, Rating, Show, State, state};
use super::{Keep, Metric, Page, Unit};
use crate::event::{Body, DropReason, Kind, Link, Topic};

/// Is each input open, talking and making sense?
pub static PAGE: Page = Page {
    id: "source",
    title: "Sources",
    about: "Health of each input. Everything that was sent is in one of four counters: decoded (events), rejected \
            (errors), dropped on purpose (dropped events) or dropped by the kernel (kernel drops).",
    metrics: &[
        &UP,
        &EVENTS,
        &MESSAGES,
        &FAULTS,
        &FAULT_BYTES,
        &DROPPED,
        &READS,
        &BYTES,
        &LAST_EVENT,
        &SUCCESS,
        &DURATION,
        &PASSES,
        &PASS_FAILURES,
        &CLIENTS,
        &CLIENTS_ACCEPTED,
        &CLIENTS_REFUSED,
        &KERNEL_DROPS,
        &BUFFER_ASKED,
        &BUFFER_GRANTED,
        &BUFFER_QUEUED,
        &TEXTFILE_SUCCESS,
        &TEXTFILE_WRITTEN,
    ],
};

/// What every entry of this page has in common.
const ENTRY: Metric = Metric { labels: &["source"], keep: Keep::Always, ..Metric::BLANK };

/// What every entry about a datagram socket has in common.
const SOCKET: Metric = Metric { labels: &["source", "listen"], on: &[Topic::Socket], ..ENTRY };

/// What every entry about a file of metrics has in common: it leaves with the file.
const TEXTFILE: Metric =
    Metric { labels: &["source", "file"], keep: Keep::WhileUp, on: &[Topic::Textfile], ..Metric::BLANK };

static UP: Metric = Metric {
    name: "source_up",
    prompt: true,
    help: "Whether the source is listening or answering (1) or not (0)",
    on: &[Topic::Link],
    read: |event, row| {
        if let Body::Link(link) = event.body {
            row.set(&[&row.source()], f64::from(link == Link::Up));
        }
    },
    ..ENTRY
};

static EVENTS: Metric = Metric {
    name: "source_events",
    help: "Events decoded and counted",
    kind: Kind::Counter,
    on: &[Topic::Link, Topic::Received],
    read: |event, row| match event.body {
        Body::Received(r) => row.add(&[&row.source()], r.events as f64),
        _ => row.add(&[&row.source()], 0.0),
    },
    ..ENTRY
};

static MESSAGES: Metric = Metric {
    name: "source_other_messages",
    help: "Messages of a program without samples, such as handshakes and headers",
    draw: Draw { title: "Messages without samples", ..Draw::BLANK },
    kind: Kind::Counter,
    on: &[Topic::ProgramMessage],
    read: |_, row| row.add(&[&row.source()], 1.0),
    ..ENTRY
};

static FAULTS: Metric = Metric {
    name: "source_errors",
    help: "Parts of the input that were rejected, by reason",
    kind: Kind::Counter,
    labels: &["source", "reason"],
    on: &[Topic::Fault],
    read: |event, row| {
        if let Body::Fault(fault) = event.body {
            row.add(&[&row.source(), fault.kind.as_str()], 1.0);
        }
    },
    ..ENTRY
};

static FAULT_BYTES: Metric = Metric {
    name: "source_error",
    help: "Bytes of the input that could not be decoded",
    note: "Input that was decoded and then rejected, as a conflict, adds none",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    on: &[Topic::Link, Topic::Fault],
    read: |event, row| match event.body {
        Body::Fault(fault) => row.add(&[&row.source()], fault.bytes as f64),
        _ => row.add(&[&row.source()], 0.0),
    },
    ..ENTRY
};

static DROPPED: Metric = Metric {
    name: "source_dropped_events",
    help: "Events dropped on purpose, by reason",
    note: "`rate_limit`: the source exceeds `events_per_second`. `mapping`: a mapping rule drops them",
    kind: Kind::Counter,
    labels: &["source", "reason"],
    on: &[Topic::Link, Topic::Dropped],
    read: |event, row| match event.body {
        Body::Dropped(dropped) => {
            row.add(&[&row.source(), dropped.reason.as_str()], dropped.events as f64);
        }
        _ => DropReason::ALL.iter().for_each(|reason| row.add(&[&row.source(), reason.as_str()], 0.0)),
    },
    ..ENTRY
};

static READS: Metric = Metric {
    name: "source_reads",
    help: "Datagrams received, or reads from a stream that returned data",
    kind: Kind::Counter,
    on: &[Topic::Received],
    read: |event, row| {
        if let Body::Received(r) = event.body {
            row.add(&[&row.source()], r.reads as f64);
        }
    },
    ..ENTRY
};

static BYTES: Metric = Metric {
    name: "source_received",
    help: "Bytes received",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    on: &[Topic::Received],
    read: |event, row| {
        if let Body::Received(r) = event.body {
            row.add(&[&row.source()], r.bytes as f64);
        }
    },
    ..ENTRY
};

static LAST_EVENT: Metric = Metric {
    name: "source_last_event_timestamp",
    help: "Unix time of the last event",
    unit: Unit::Seconds,
    on: &[Topic::Received],
    read: |event, row| {
        if let Body::Received(r) = event.body
            && r.events > 0
        {
            row.stamp(&[&row.source()], event.at);
        }
    },
    ..ENTRY
};

static SUCCESS: Metric = Metric {
    name: "source_poll_success",
    prompt: true,
    help: "Whether the last poll succeeded (1) or not (0)",
    on: &[Topic::Poll],
    read: |event, row| {
        if let Body::Poll(poll) = event.body {
            row.set(&[&row.source()], f64::from(poll.ok));
        }
    },
    ..ENTRY
};

static DURATION: Metric = Metric {
    name: "source_poll_duration",
    help: "Duration of the last poll",
    unit: Unit::Seconds,
    on: &[Topic::Poll],
    read: |event, row| {
        if let Body::Poll(poll) = event.body {
            row.set(&[&row.source()], poll.seconds);
        }
    },
    ..ENTRY
};

static PASSES: Metric = Metric {
    name: "source_polls",
    help: "Polls of the source",
    kind: Kind::Counter,
    on: &[Topic::Poll],
    read: |_, row| row.add(&[&row.source()], 1.0),
    ..ENTRY
};

static PASS_FAILURES: Metric = Metric {
    name: "source_poll_failures",
    help: "Polls of the source that failed",
    kind: Kind::Counter,
    on: &[Topic::Poll],
    read: |event, row| {
        if let Body::Poll(poll) = event.body {
            row.add(&[&row.source()], f64::from(!poll.ok));
        }
    },
    ..ENTRY
};

static CLIENTS: Metric = Metric {
    name: "source_clients",
    help: "Client connections open",
    on: &[Topic::Clients],
    read: |event, row| {
        if let Body::Clients(clients) = event.body {
            row.shift(&[&row.source()], clients.accepted as f64 - clients.ended as f64);
        }
    },
    ..ENTRY
};

static CLIENTS_ACCEPTED: Metric = Metric {
    name: "source_clients_accepted",
    help: "Client connections accepted",
    kind: Kind::Counter,
    on: &[Topic::Clients],
    read: |event, row| {
        if let Body::Clients(clients) = event.body {
            row.add(&[&row.source()], clients.accepted as f64);
        }
    },
    ..ENTRY
};

static CLIENTS_REFUSED: Metric = Metric {
    name: "source_clients_refused",
    help: "Client connections refused because the limit was reached",
    kind: Kind::Counter,
    on: &[Topic::Clients],
    read: |event, row| {
        if let Body::Clients(clients) = event.body {
            row.add(&[&row.source()], clients.refused as f64);
        }
    },
    ..ENTRY
};

static KERNEL_DROPS: Metric = Metric {
    name: "source_kernel_drops",
    help: "Datagrams dropped by the kernel because the receive buffer was full",
    kind: Kind::Counter,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.add(&[&row.source(), socket.listen], socket.drops as f64);
        }
    },
    ..SOCKET
};

static BUFFER_ASKED: Metric = Metric {
    name: "source_receive_buffer_requested",
    help: "Receive buffer size requested from the kernel",
    unit: Unit::Bytes,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.set(&[&row.source(), socket.listen], socket.asked as f64);
        }
    },
    ..SOCKET
};

static BUFFER_GRANTED: Metric = Metric {
    name: "source_receive_buffer_size",
    help: "Receive buffer size allocated by the kernel",
    note: "As the kernel accounts it: twice what was requested, up to its own limit",
    unit: Unit::Bytes,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.set(&[&row.source(), socket.listen], socket.granted as f64);
        }
    },
    ..SOCKET
};

static BUFFER_QUEUED: Metric = Metric {
    name: "source_receive_buffer_used",
    help: "Memory of the datagrams waiting in the receive buffer",
    unit: Unit::Bytes,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.set(&[&row.source(), socket.listen], socket.queued as f64);
        }
    },
    ..SOCKET
};

/// Whether a file was read.
const READ: &[State] = &[state(1.0, "read", Rating::Good), state(0.0, "not read", Rating::Bad)];

static TEXTFILE_SUCCESS: Metric = Metric {
    name: "textfile_success",
    help: "Whether the file was read (1) or not (0)",
    draw: Draw { panel: Panel::States, title: "Text files", states: READ, ..Draw::BLANK },
    read: |event, row| {
        if let Body::Textfile(textfile) = event.body {
            row.set(&[&row.source(), textfile.file], f64::from(textfile.ok));
        }
    },
    ..TEXTFILE
};

static TEXTFILE_WRITTEN: Metric = Metric {
    name: "textfile_mtime",
    help: "Unix time of the file's last modification",
    unit: Unit::Seconds,
    draw: Draw { show: Show::Age, title: "Age of text files", ..Draw::BLANK },
    read: |event, row| {
        if let Body::Textfile(textfile) = event.body
            && let Some(written) = textfile.written
        {
            row.set(&[&row.source(), textfile.file], written);
        }
    },
    ..TEXTFILE
};
