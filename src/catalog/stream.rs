//! Page: is each stream on the network there, whole and on time?

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Kind, StreamClock, StreamName, StreamState, Streams, Topic};

/// Is each stream on the network there, whole and on time?
pub static PAGE: Page = Page {
    id: "stream",
    title: "Network streams",
    about: "Streams of the Lab Streaming Layer and of recording programs: whether those that are expected are there, \
            their senders' clocks, and what their timestamps and counters say. Samples that arrive are on the page of \
            devices, where a stream of LSL is called after its source and itself.",
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
    help: "Streams that there are, followed or not",
    read: |event, row| all(event, row, |streams| streams.found),
    ..ALL
};

static SAME_NAME: Metric = Metric {
    name: "streams_same_name",
    help: "Streams that have the name of another one, so that a program that asks by name gets either",
    read: |event, row| all(event, row, |streams| streams.same_name),
    ..ALL
};

static SAME_ID: Metric = Metric {
    name: "streams_same_id",
    help: "Streams that have the source id of another one, so that a recorder that reconnects gets either",
    read: |event, row| all(event, row, |streams| streams.same_id),
    ..ALL
};

static REFUSED: Metric = Metric {
    name: "streams_refused",
    help: "Streams that are not followed because there are too many",
    read: |event, row| all(event, row, |streams| streams.refused),
    ..ALL
};

static PRESENT: Metric = Metric {
    name: "stream_present",
    help: "Whether a stream is there that is expected: 1 if so, 0 if it is missing",
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
    help: "What a stream brings, and as what",
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
    help: "Samples that the stream claims to bring in a second; 0 if they come when they come",
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
    help: "Channels of one sample",
    read: |event, row| {
        if let Body::Stream(stream) = event.body {
            row.set(&labels(&stream.name), stream.channels.into());
        }
    },
    ..FACT
};

static CHANNEL: Metric = Metric {
    name: "stream_channel",
    help: "A channel by its number, as the stream describes it",
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
    help: "Samples a second by the sender's timestamps over the last seconds or the last look",
    unit: Unit::Hertz,
    read: |event, row| gauge(event, row, |state| state.rate.map(|(rate, _)| rate)),
    ..ENTRY
};

static RATE_RATIO: Metric = Metric {
    name: "stream_rate",
    help: "Samples a second by the sender's timestamps, as a share of the nominal rate",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |state| state.rate.and_then(|(_, ratio)| ratio)),
    ..ENTRY
};

static AGE: Metric = Metric {
    name: "stream_sample_age",
    help: "How old the newest sample of a read was, by the sender's timestamp put right by its clock's offset; \
           0 if it is a little ahead",
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
    name: "stream_ahead_samples",
    help: "Newest samples of a read that have no age: stamped later than they came, by more than 0.1 s beyond the doubt \
           about the sender's clock",
    read: |event, row| {
        count(event, row, |state| state.ages.iter().filter(|age| is_ahead(state, **age)).count() as u64);
    },
    ..COUNTED
};

static GAPS: Metric = Metric {
    name: "stream_gaps",
    help: "Holes in a stream's timestamps in which samples are missing: what they count is that of \
           `neural_stream_missing_samples_total`",
    read: |event, row| count(event, row, |state| state.gaps),
    ..COUNTED
};

static MISSING: Metric = Metric {
    name: "stream_missing_samples",
    help: "Samples that are missing in the holes of a stream's timestamps, by the period that is measured of it. Told when \
           the stamps that follow show it: some samples later where stamps are even, half a second and three groups \
           later where programs push in groups, and no less than 0.1 s of samples there. Not missing is what the samples \
           around a hole make up for, a hole in which none was waited for while samples came as fast as they are \
           made, and a clock that was set back and forth again",
    read: |event, row| count(event, row, |state| state.missing),
    ..COUNTED
};

static IRREGULAR: Metric = Metric {
    name: "stream_irregular_samples",
    help: "Samples whose timestamp is more than half a period early or late, holes in which samples are missing left out; \
           many where a program stamps in groups, or stood still and caught up",
    read: |event, row| count(event, row, |state| state.irregular),
    ..COUNTED
};

static BACKWARD: Metric = Metric {
    name: "stream_backward_samples",
    help: "Samples out of order: their timestamp is before that of the sample before, as one was overtaken or a clock was \
           set back",
    read: |event, row| count(event, row, |state| state.backward),
    ..COUNTED
};

static WRONG_UNIT: Metric = Metric {
    name: "stream_wrong_unit",
    help: "Whether the timestamps of a stream with a rate are not in seconds: 1 if they are milliseconds, microseconds or \
           nanoseconds, or count samples; neither its age nor its rate can be told then",
    read: |event, row| {
        gauge(event, row, |state| state.in_seconds.map(|in_seconds| f64::from(u8::from(!in_seconds))));
    },
    ..ENTRY
};

static NOT_FINITE: Metric = Metric {
    name: "stream_not_finite_values",
    help: "Values that were NaN or infinite, and judged as 0",
    read: |event, row| count(event, row, |state| state.not_finite),
    ..COUNTED
};

static MARKERS: Metric = Metric {
    name: "stream_markers",
    help: "Markers that came: samples of a stream of texts",
    read: |event, row| count(event, row, |state| state.markers),
    ..COUNTED
};

static RECONNECTS: Metric = Metric {
    name: "stream_reconnects",
    help: "Times that a stream came back, after its program was restarted or its connection broke",
    read: |event, row| count(event, row, |state| state.reconnects),
    ..COUNTED
};

static BACKLOG: Metric = Metric {
    name: "stream_backlog",
    help: "Bytes that had come and were not read yet, at the last look",
    unit: Unit::Bytes,
    read: |event, row| gauge(event, row, |state| state.backlog.map(|bytes| bytes as f64)),
    ..ENTRY
};

static BLOCKING: Metric = Metric {
    name: "stream_blocking",
    help: "Whether the outlet of a stream makes its program wait for each reader (liblsl's `transp_sync_blocking`): 1 if \
           so, and its samples are read only where `read_blocking` says so",
    read: |event, row| gauge(event, row, |state| state.blocking.map(f64::from)),
    ..ENTRY
};

static OFFSET: Metric = Metric {
    name: "stream_clock_offset",
    help: "What is added to a sender's timestamp to have it by this machine's clock",
    unit: Unit::Seconds,
    read: |event, row| clock(event, row, |clock| Some(clock.offset)),
    ..ENTRY
};

static UNCERTAINTY: Metric = Metric {
    name: "stream_clock_uncertainty",
    help: "By how much the offset of a sender's clock may be wrong, however uneven the ways there and back are",
    unit: Unit::Seconds,
    read: |event, row| clock(event, row, |clock| Some(clock.uncertainty)),
    ..ENTRY
};

static RTT: Metric = Metric {
    name: "stream_clock_round_trip",
    help: "How long the quickest of the last questions for a sender's time took, there and back",
    unit: Unit::Seconds,
    read: |event, row| clock(event, row, |clock| Some(clock.rtt)),
    ..ENTRY
};

static DRIFT: Metric = Metric {
    name: "stream_clock_drift",
    help: "How much faster a sender's clock runs than this machine's: 0.00005 are 50 ppm; told after a minute",
    unit: Unit::Ratio,
    read: |event, row| clock(event, row, |clock| clock.drift),
    ..ENTRY
};

static JUMPS: Metric = Metric {
    name: "stream_clock_jumps",
    help: "Times that the offset of a sender's clock changed by more than clocks drift",
    read: |event, row| count(event, row, |state| state.jumps),
    ..COUNTED
};
