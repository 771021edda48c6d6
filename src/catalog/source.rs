//! Page: is each input open, talking and making sense?

use super::{Keep, Metric, Page, Unit};
use crate::event::{Body, Kind, Link, Topic};

/// Is each input open, talking and making sense?
pub static PAGE: Page = Page {
    id: "source",
    title: "Sources",
    about: "Every input's own health. What was sent is what was counted (events), refused (faults), \
            dropped on purpose (shed) and dropped by the kernel, to the unit.",
    metrics: &[
        &UP,
        &EVENTS,
        &MESSAGES,
        &FAULTS,
        &FAULT_BYTES,
        &SHED,
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
    help: "Whether the source can be heard: 1 while it listens or answers, 0 otherwise",
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
    help: "Events that were understood and counted",
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
    help: "Messages of a program that were understood and hold no samples: greetings, headers, messages of other kinds",
    kind: Kind::Counter,
    on: &[Topic::Aside],
    read: |_, row| row.add(&[&row.source()], 1.0),
    ..ENTRY
};

static FAULTS: Metric = Metric {
    name: "source_faults",
    help: "Pieces of input that were refused, by what was wrong with them",
    kind: Kind::Counter,
    labels: &["source", "kind"],
    on: &[Topic::Fault],
    read: |event, row| {
        if let Body::Fault(fault) = event.body {
            row.add(&[&row.source(), fault.kind.as_str()], 1.0);
        }
    },
    ..ENTRY
};

static FAULT_BYTES: Metric = Metric {
    name: "source_fault",
    help: "Bytes of input that could not be read; what was read and found no series, a conflict for instance, adds none",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    on: &[Topic::Link, Topic::Fault],
    read: |event, row| match event.body {
        Body::Fault(fault) => row.add(&[&row.source()], fault.bytes as f64),
        _ => row.add(&[&row.source()], 0.0),
    },
    ..ENTRY
};

static SHED: Metric = Metric {
    name: "source_shed",
    help: "Events dropped on purpose: the source was over its configured rate, or a mapping rule drops them",
    kind: Kind::Counter,
    on: &[Topic::Link, Topic::Shed],
    read: |event, row| match event.body {
        Body::Shed(events) => row.add(&[&row.source()], events as f64),
        _ => row.add(&[&row.source()], 0.0),
    },
    ..ENTRY
};

static READS: Metric = Metric {
    name: "source_reads",
    help: "Datagrams, or reads of a stream, that brought bytes",
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
    help: "Bytes read",
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
    help: "When the source last brought an event, seconds since the epoch",
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
    name: "source_success",
    help: "Whether the last attempt to ask a polled source brought an answer",
    on: &[Topic::Pass],
    read: |event, row| {
        if let Body::Pass(pass) = event.body {
            row.set(&[&row.source()], f64::from(pass.ok));
        }
    },
    ..ENTRY
};

static DURATION: Metric = Metric {
    name: "source_duration",
    help: "How long the last attempt to ask a polled source took",
    unit: Unit::Seconds,
    on: &[Topic::Pass],
    read: |event, row| {
        if let Body::Pass(pass) = event.body {
            row.set(&[&row.source()], pass.seconds);
        }
    },
    ..ENTRY
};

static PASSES: Metric = Metric {
    name: "source_passes",
    help: "Attempts to ask a polled source",
    kind: Kind::Counter,
    on: &[Topic::Pass],
    read: |_, row| row.add(&[&row.source()], 1.0),
    ..ENTRY
};

static PASS_FAILURES: Metric = Metric {
    name: "source_pass_failures",
    help: "Attempts to ask a polled source that brought no answer",
    kind: Kind::Counter,
    on: &[Topic::Pass],
    read: |event, row| {
        if let Body::Pass(pass) = event.body {
            row.add(&[&row.source()], f64::from(!pass.ok));
        }
    },
    ..ENTRY
};

static CLIENTS: Metric = Metric {
    name: "source_clients",
    help: "Connections open now",
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
    help: "Connections accepted",
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
    help: "Connections closed at once because too many were open",
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
    help: "Datagrams that the kernel dropped because the receive buffer was full",
    kind: Kind::Counter,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.add(&[&row.source(), socket.listen], socket.drops as f64);
        }
    },
    ..SOCKET
};

static BUFFER_ASKED: Metric = Metric {
    name: "source_receive_buffer_asked",
    help: "Receive buffer that was asked for",
    unit: Unit::Bytes,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.set(&[&row.source(), socket.listen], socket.asked as f64);
        }
    },
    ..SOCKET
};

static BUFFER_GRANTED: Metric = Metric {
    name: "source_receive_buffer_granted",
    help: "Receive buffer that the kernel granted, as it accounts memory",
    unit: Unit::Bytes,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.set(&[&row.source(), socket.listen], socket.granted as f64);
        }
    },
    ..SOCKET
};

static BUFFER_QUEUED: Metric = Metric {
    name: "source_receive_buffer_queued",
    help: "Memory of datagrams that wait in the receive buffer now",
    unit: Unit::Bytes,
    read: |event, row| {
        if let Body::Socket(socket) = event.body {
            row.set(&[&row.source(), socket.listen], socket.queued as f64);
        }
    },
    ..SOCKET
};

static TEXTFILE_SUCCESS: Metric = Metric {
    name: "textfile_success",
    help: "Whether the file could be read",
    read: |event, row| {
        if let Body::Textfile(textfile) = event.body {
            row.set(&[&row.source(), textfile.file], f64::from(textfile.ok));
        }
    },
    ..TEXTFILE
};

static TEXTFILE_WRITTEN: Metric = Metric {
    name: "textfile_mtime",
    help: "When the file was last written, in seconds since the epoch",
    unit: Unit::Seconds,
    read: |event, row| {
        if let Body::Textfile(textfile) = event.body
            && let Some(written) = textfile.written
        {
            row.set(&[&row.source(), textfile.file], written);
        }
    },
    ..TEXTFILE
};
