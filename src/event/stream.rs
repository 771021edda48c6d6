//! What a stream on the network tells beside its samples: that it is there, its clock, and what its timestamps say.
//!
//! Seconds and counts. Who a stream is, is a name that people gave it; no identifier that changes with each start.

/// Which stream something is said of: the values of the labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamName<'a> {
    /// The configured name of the source that found it.
    pub source: &'a str,
    /// Its name.
    pub stream: &'a str,
    /// Its machine, where the name alone does not tell it from others; empty where it does.
    pub host: &'a str,
}

/// Streams that a source has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// How many there are now.
    pub found: u32,
    /// How many of them have the name of another one.
    pub same_name: u32,
    /// How many of them have the source id of another one.
    pub same_id: u32,
    /// How many could not be followed, because there are too many.
    pub refused: u32,
}

/// A stream that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Its name.
    pub stream: &'a str,
    /// Whether there is one of this name.
    pub present: bool,
}

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream<'a> {
    /// Which.
    pub name: StreamName<'a>,
    /// What it carries: `EEG`, `Markers` …
    pub kind: &'a str,
    /// What its values are: `float32`, `string` …
    pub format: &'static str,
    /// Channels of one sample.
    pub channels: u16,
    /// Samples per second that it claims to send; 0 if they come when they come.
    pub rate: f64,
}

/// A channel of a stream, in the words of its maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel<'a> {
    /// Which stream.
    pub name: StreamName<'a>,
    /// The channel, from 1.
    pub channel: u16,
    /// Such as `Cz`.
    pub label: &'a str,
    /// Such as `microvolts`.
    pub unit: &'a str,
    /// Such as `EEG`.
    pub kind: &'a str,
}

/// How a stream is now, and what happened to it since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamState<'a> {
    /// Which.
    pub name: StreamName<'a>,
    /// Times that it came back, after its program was restarted or its connection broke.
    pub reconnects: u64,
    /// Markers: samples of texts.
    pub markers: u64,
    /// Holes in its timestamps.
    pub gaps: u64,
    /// Samples that are missing in them.
    pub missing: u64,
    /// Timestamps that are more than half a period early or late.
    pub irregular: u64,
    /// Whether timestamps are in seconds. `None` until it is known, and of a stream without a rate.
    pub in_seconds: Option<bool>,
    /// Whether its outlet makes its program wait for each reader. `None` if that was not asked.
    pub blocking: Option<bool>,
    /// Timestamps that are before the one before.
    pub backward: u64,
    /// Values that were NaN or infinite.
    pub not_finite: u64,
    /// Times that the sender's clock or this one was set.
    pub jumps: u64,
    /// How old the newest sample of each read was, seconds; below 0 if it was stamped later than it came.
    pub ages: &'a [f64],
    /// Samples per second by the sender's timestamps, and the same as a share of what is nominal.
    pub rate: Option<(f64, Option<f64>)>,
    /// Bytes that waited to be read.
    pub backlog: Option<u64>,
    /// The sender's clock.
    pub clock: Option<StreamClock>,
}

/// A sender's clock beside this machine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamClock {
    /// What is added to a sender's timestamp to have it by this machine's clock, seconds.
    pub offset: f64,
    /// By how much that may be wrong, seconds.
    pub uncertainty: f64,
    /// How long a question and its answer took, seconds.
    pub rtt: f64,
    /// How much faster the sender's clock runs: 0.00005 are 50 ppm. `None` in the first minute.
    pub drift: Option<f64>,
}
