//! Page: is each stream on the network there, whole and on time?

use super::draw::{Draw, Panel, TROUBLE};
use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Kind, StreamClock, StreamName, StreamState, Streams, Topic};

/// Is each stream on the network there, whole and on time?
pub static PAGE: Page = Page {
    id: "stream",
    title: "Network streams",
    about: "Streams of the Lab Streaming Layer and of recording programs: presence, clocks, timestamps and counters. Their samples are on the page of devices, where an LSL stream is named `source/stream`.",
    metrics: &[
        &FOUND,
        &SAME_NAME,
        &SAME_ID,
        &REFUSED,
        &PRESENT,
        &INFO,
        &NOMINAL_RATE,
        &CHANNELS,
        &CHANNEL,
        &RATE,
        &RATE_RATIO,
        &AGE,
        &AHEAD,
        &GAPS,
        &MISSING,
        &IRREGULAR,
        &BACKWARD,
        &WRONG_UNIT,
        &NOT_FINITE,
        &MARKERS,
        &RECONNECTS,
        &BACKLOG,
        &BLOCKING,
        &OFFSET,
        &UNCERTAINTY,
        &RTT,
        &DRIFT,
        &JUMPS,
    ],
};

/// What every entry about all streams of a source has in common.
const ALL: Metric =
    Metric { labels: &["source"], keep: Keep::WhileUp, on: &[Topic::Streams], ..Metric::BLANK };

/// What every entry about what a stream is has in common.
const FACT: Metric = Metric {
    labels: &["source", "stream", "machine"],
    keep: Keep::WhileUp,
    on: &[Topic::Stream],
    ..Metric::BLANK
};

/// What every entry about how a stream is has in common.
const ENTRY: Metric = Metric { on: &[Topic::StreamState], ..FACT };

/// What every counter of a stream has in common: it is there, at zero, as soon as the stream is.
const COUNTED: Metric = Metric { kind: Kind::Counter, keep: Keep::Always, ..ENTRY };

fn all(event: &Event<'_>, row: &mut dyn Row, number: fn(&Streams) -> u32) {
    if let Body::Streams(streams) = &event.body {
        row.set(&[&row.source()], number(streams).into());
    }
}

fn labels<'a>(name: &StreamName<'a>) -> [&'a str; 3] {
    [name.source, name.stream, name.host]
}

fn count(event: &Event<'_>, row: &mut dyn Row, number: fn(&StreamState<'_>) -> u64) {
    if let Body::StreamState(state) = event.body {
        row.add(&labels(&state.name), number(state) as f64);
    }
}

fn gauge(event: &Event<'_>, row: &mut dyn Row, number: fn(&StreamState<'_>) -> Option<f64>) {
    if let Body::StreamState(state) = event.body
        && let Some(number) = number(state)
    {
        row.set(&labels(&state.name), number);
    }
}

fn clock(event: &Event<'_>, row: &mut dyn Row, number: fn(&StreamClock) -> Option<f64>) {
    if let Body::StreamState(StreamState { name, clock: Some(clock), .. }) = event.body
        && let Some(number) = number(clock)
    {
        row.set(&labels(name), number);
    }
}

/// By how much more than clocks are in doubt a sample may be stamped later than it came, seconds: programs deduce the
/// stamps of what they push at once, and those of its end may lie ahead. It is far below what a wrong clock makes.
const EARLY: f64 = 0.1;

/// Whether a sample of this age has none, because another clock stamped it than the one that is known.
fn is_ahead(state: &StreamState<'_>, age: f64) -> bool {
    age < -EARLY - state.clock.map_or(0.0, |clock| clock.uncertainty)
}

static FOUND: Metric = Metric {
    name: "streams",
    help: "Streams found on the network",
    read: |event, row| all(event, row, |streams| streams.found),
    ..ALL
};

static SAME_NAME: Metric = Metric {
    name: "streams_duplicate_name",
    help: "Streams that share their name with another stream",
    note: "A program that resolves by name gets either of them",
    read: |event, row| all(event, row, |streams| streams.same_name),
    ..ALL
};

static SAME_ID: Metric = Metric {
    name: "streams_duplicate_id",
    help: "Streams that share their source id with another stream",
    note: "A recorder that reconnects gets either of them",
    read: |event, row| all(event, row, |streams| streams.same_id),
    ..ALL
};

static REFUSED: Metric = Metric {
    name: "streams_over_limit",
    help: "Streams that are not read because there are too many",
    read: |event, row| all(event, row, |streams| streams.refused),
    ..ALL
};

static PRESENT: Metric = Metric {
    name: "stream_present",
    prompt: true,
    help: "Whether an expected stream is present (1) or missing (0)",
    labels: &["source", "stream"],
    on: &[Topic::Expected],
    read: |event, row| {
        if let Body::Expected(expected) = event.body {
            row.set(&[&row.source(), expected.stream], f64::from(expected.present));
        }
    },
    ..ALL
};

static INFO: Metric = Metric {
    name: "stream",
    help: "Content type and sample format of the stream",
    kind: Kind::Info,
    labels: &["source", "stream", "machine", "content", "format"],
    read: |event, row| {
        if let Body::Stream(stream) = event.body {
            let [source, name, host] = labels(&stream.name);
            row.set(&[source, name, host, stream.kind, stream.format], 1.0);
        }
    },
    ..FACT
};

static NOMINAL_RATE: Metric = Metric {
    name: "stream_nominal_rate",
    help: "Nominal sampling rate of the stream, 0 if irregular",
    unit: Unit::Hertz,
    read: |event, row| {
        if let Body::Stream(stream) = event.body {
            row.set(&labels(&stream.name), stream.rate);
        }
    },
    ..FACT
};

static CHANNELS: Metric = Metric {
    name: "stream_channels",
    help: "Channels of the stream",
    read: |event, row| {
        if let Body::Stream(stream) = event.body {
            row.set(&labels(&stream.name), stream.channels.into());
        }
    },
    ..FACT
};

static CHANNEL: Metric = Metric {
    name: "stream_channel",
    help: "Label, unit and type of a channel, as the stream describes it",
    kind: Kind::Info,
    labels: &["source", "stream", "machine", "channel", "label", "unit", "content"],
    on: &[Topic::Channel],
    read: |event, row| {
        if let Body::Channel(channel) = event.body {
            let [source, name, host] = labels(&channel.name);
            let mut digits = itoa::Buffer::new();
            let number = digits.format(channel.channel);
            row.set(&[source, name, host, number, channel.label, channel.unit, channel.kind], 1.0);
        }
    },
    ..FACT
};

static RATE: Metric = Metric {
    name: "stream_effective_rate",
    help: "Effective sampling rate by the sender's timestamps",
    unit: Unit::Hertz,
    read: |event, row| gauge(event, row, |state| state.rate.map(|(rate, _)| rate)),
    ..ENTRY
};

static RATE_RATIO: Metric = Metric {
    name: "stream_rate",
    help: "Effective sampling rate as a share of the nominal rate",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |state| state.rate.and_then(|(_, ratio)| ratio)),
    ..ENTRY
};

static AGE: Metric = Metric {
    name: "stream_sample_age",
    help: "Age of the newest sample in a read, corrected by the offset of the sender's clock",
    note: "A sample that is a little ahead has the age 0",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: super::LATENCY,
    judged: &[&super::limit::STREAM_AGE],
    keep: Keep::Always,
    read: |event, row| {
        if let Body::StreamState(state) = event.body {
            let aged = state.ages.iter().filter(|age| !is_ahead(state, **age));
            // Clocks are known to some microseconds, and some programs stamp ahead; but no sum may fall.
            aged.for_each(|age| row.observe(&labels(&state.name), age.max(0.0), None));
        }
    },
    ..ENTRY
};

static AHEAD: Metric = Metric {
    name: "stream_future_samples",
    help: "Newest samples of a read whose timestamps are in the future",
    note: "By more than 0.1 s beyond the uncertainty of the clock offset. They have no age",
    read: |event, row| {
        count(event, row, |state| state.ages.iter().filter(|age| is_ahead(state, **age)).count() as u64);
    },
    ..COUNTED
};

static GAPS: Metric = Metric {
    name: "stream_gaps",
    help: "Gaps in the stream's timestamps in which samples are missing",
    note: "`neural_stream_missing_samples_total` counts the samples",
    read: |event, row| count(event, row, |state| state.gaps),
    ..COUNTED
};

static MISSING: Metric = Metric {
    name: "stream_missing_samples",
    help: "Samples missing in gaps of the stream's timestamps, by the measured sample period",
    note: "Counted once the following timestamps confirm the gap: some samples later, or half a second and three chunks later if the program pushes chunks, where gaps below 0.1 s are not counted. Not counted: gaps that the surrounding samples make up for, gaps in which no sample was due, and clocks that were set back and forth",
    read: |event, row| count(event, row, |state| state.missing),
    ..COUNTED
};

static IRREGULAR: Metric = Metric {
    name: "stream_irregular_samples",
    help: "Samples whose timestamp is more than half a sample period early or late",
    note: "Gaps with missing samples are not counted here. Many if the program stamps chunks, or paused and caught up",
    read: |event, row| count(event, row, |state| state.irregular),
    ..COUNTED
};

static BACKWARD: Metric = Metric {
    name: "stream_out_of_order_samples",
    help: "Samples whose timestamp is before that of the previous sample",
    read: |event, row| count(event, row, |state| state.backward),
    ..COUNTED
};

static WRONG_UNIT: Metric = Metric {
    name: "stream_wrong_timestamp_unit",
    help: "Whether the stream's timestamps are not in seconds (1) or are (0)",
    draw: Draw { panel: Panel::States, title: "Timestamps in another unit", states: TROUBLE, ..Draw::BLANK },
    note: "They count milliseconds, microseconds, nanoseconds or samples. Age and rate of the stream are then absent",
    read: |event, row| {
        gauge(event, row, |state| state.in_seconds.map(|in_seconds| f64::from(u8::from(!in_seconds))));
    },
    ..ENTRY
};

static NOT_FINITE: Metric = Metric {
    name: "stream_not_finite_values",
    help: "Values that are NaN or infinite",
    note: "Signal quality takes them as 0",
    read: |event, row| count(event, row, |state| state.not_finite),
    ..COUNTED
};

static MARKERS: Metric = Metric {
    name: "stream_markers",
    help: "Markers received",
    read: |event, row| count(event, row, |state| state.markers),
    ..COUNTED
};

static RECONNECTS: Metric = Metric {
    name: "stream_reconnects",
    help: "Times the stream came back after its program restarted or its connection broke",
    read: |event, row| count(event, row, |state| state.reconnects),
    ..COUNTED
};

static BACKLOG: Metric = Metric {
    name: "stream_backlog",
    help: "Bytes received by the kernel and not yet read",
    unit: Unit::Bytes,
    read: |event, row| gauge(event, row, |state| state.backlog.map(|bytes| bytes as f64)),
    ..ENTRY
};

static BLOCKING: Metric = Metric {
    name: "stream_blocking",
    help: "Whether the outlet blocks its program while a reader is slow (1) or not (0)",
    draw: Draw {
        panel: Panel::States,
        title: "Outlets that block their program",
        states: TROUBLE,
        ..Draw::BLANK
    },
    note: "Set by `transp_sync_blocking` of liblsl. Samples of such an outlet are read only with `read_blocking`",
    read: |event, row| gauge(event, row, |state| state.blocking.map(f64::from)),
    ..ENTRY
};

static OFFSET: Metric = Metric {
    name: "stream_clock_offset",
    help: "Offset to add to the sender's timestamps to get this machine's time",
    unit: Unit::Seconds,
    read: |event, row| clock(event, row, |clock| Some(clock.offset)),
    ..ENTRY
};

static UNCERTAINTY: Metric = Metric {
    name: "stream_clock_uncertainty",
    help: "Largest possible error of the clock offset, however asymmetric the network is",
    unit: Unit::Seconds,
    read: |event, row| clock(event, row, |clock| Some(clock.uncertainty)),
    ..ENTRY
};

static RTT: Metric = Metric {
    name: "stream_clock_round_trip",
    help: "Shortest round trip time of the last clock measurements",
    unit: Unit::Seconds,
    read: |event, row| clock(event, row, |clock| Some(clock.rtt)),
    ..ENTRY
};

static DRIFT: Metric = Metric {
    name: "stream_clock_drift",
    help: "Clock drift of the sender relative to this machine, positive if the sender is fast",
    note: "0.00005 is 50 ppm. Available after a minute",
    unit: Unit::Ratio,
    read: |event, row| clock(event, row, |clock| clock.drift),
    ..ENTRY
};

static JUMPS: Metric = Metric {
    name: "stream_clock_jumps",
    help: "Jumps of the sender's clock offset that drift does not explain",
    read: |event, row| count(event, row, |state| state.jumps),
    ..COUNTED
};
