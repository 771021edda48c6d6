//! What an acquisition or recording program tells of itself: what it does, whether it keeps up, what it hands on.
//!
//! Seconds, hertz, ratios and counts. Where it records to is not said: folders have the names of people.

/// How a program is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Program<'a> {
    /// Which program: the key of its kind of source.
    pub program: &'static str,
    /// Its version; empty if it does not say.
    pub version: &'a str,
    /// What it does.
    pub state: ProgramState,
    /// Whether it did something else at the last report, or nothing was known of it.
    pub changed: bool,
    /// Whether it does at least what is expected of it; `None` if nothing is.
    pub expected: Option<bool>,
    /// Samples since it began to acquire, by its own count.
    pub position: Option<f64>,
    /// Samples per second that it says it acquires.
    pub rate: Option<f64>,
    /// Samples per second by which its own count goes up.
    pub effective_rate: Option<f64>,
    /// Share of the time it has that it needs to process what comes.
    pub cpu: Option<f64>,
}

labels! {
    /// What a program does, the least first. Closed, because it becomes a label.
    #[derive(Default)]
    ProgramState {
        /// Nothing.
        #[default]
        Idle = "idle",
        /// It acquires, and keeps nothing.
        Acquiring = "acquiring",
        /// It acquires, and will record when it is triggered.
        Waiting = "waiting",
        /// It records.
        Recording = "recording",
    }
}

/// How long samples of one stream take through one step of a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Processing<'a> {
    /// The step: its number and its name, such as `101 Bandpass Filter`.
    pub processor: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// Seconds.
    pub latency: f64,
}

/// A part of a program that writes files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordNode<'a> {
    /// Its number within the program.
    pub node: &'a str,
    /// The number of the experiment, which goes up each time acquisition begins with other settings.
    pub experiment: f64,
    /// The number of the recording within the experiment.
    pub recording: f64,
    /// Whether its streams are on one clock; `None` if it does not say.
    pub synchronized: Option<bool>,
}

/// What a program hands on to other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// Which output.
    pub output: &'a str,
    /// Whether another program takes it; `None` if that is not reported.
    pub taken: Option<bool>,
    /// Messages of it that are missing since the last report, by their numbers; `None` if they have none.
    pub lost: Option<u64>,
}
