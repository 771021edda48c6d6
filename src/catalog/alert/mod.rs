//! What may go wrong, when that is said, how urgent it is and what to do: one entry per alert.
//!
//! Rules, their unit tests, runbooks and routes are readings of these entries. Nothing is evaluated here.

mod agent;
mod arrival;
mod benchmark;
mod device;
mod disk;
mod gpu;
mod host;
mod incident;
mod inference;
mod log;
mod pipeline;
mod port;
mod probe;
mod process;
mod program;
mod service;
mod signal;
mod slo;
mod source;
mod stage;
mod stream;
mod tap;
mod vitals;

pub use log::LOGS;

/// The alerts and recording rules of one subject: a file, and a group of rules.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// The page of the catalogue it belongs to: the file's name and the label `component`. Chapters with the
    /// same page are parts of one file.
    pub page: &'static str,
    /// The name of the group; stable, because the state of an alert hangs on it.
    pub group: &'static str,
    /// Seconds from one evaluation to the next.
    pub interval: u32,
    /// What is computed first, in this order.
    pub records: &'static [Record],
    /// The alerts.
    pub alerts: &'static [&'static Alert],
}

/// The built-in chapters. Those of one page stand together.
pub static CHAPTERS: &[&Chapter] = &[
    &source::CHAPTER,
    &device::CHAPTER,
    &vitals::CHAPTER,
    &signal::CHAPTER,
    &port::CHAPTER,
    &stream::CHAPTER,
    &tap::CHAPTER,
    &program::CHAPTER,
    &stage::CHAPTER,
    &slo::CHAPTER,
    &pipeline::CHAPTER,
    &inference::CHAPTER,
    &service::CHAPTER,
    &probe::CHAPTER,
    &slo::PROBE_CHAPTER,
    &host::CHAPTER,
    &disk::CHAPTER,
    &process::CHAPTER,
    &gpu::CHAPTER,
    &agent::CHAPTER,
    &incident::CHAPTER,
    &benchmark::CHAPTER,
];

/// A recording rule.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// `level:metric:operation`.
    pub name: &'static str,
    /// PromQL.
    pub expr: &'static str,
}

/// One alert.
///
/// In expressions `${id}` stands for a limit's number, `${id:le}` for the bucket of a stage's duration that it
/// bounds, `${job}` for the name of the scrape job, and `${logs}` for the selector of the agent's log. In texts
/// `${id}` is the number with its unit.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// In CamelCase, from `Neural` on, unique.
    pub name: &'static str,
    /// When it fires, and how bad that is.
    pub level: Level,
    /// When it fires a second time under the same name, because it is worse.
    pub worse: Option<Level>,
    /// Seconds for which it continues after it was right again.
    pub keep_firing: u32,
    /// Whether its series are of one agent, with the labels `job` and `instance`.
    pub local: bool,
    /// One line that names what is concerned; may use `{{ $labels.device }}`.
    pub summary: &'static str,
    /// The value, the limit and the consequence; may use `{{ $value }}` once.
    pub description: &'static str,
    /// For the runbook: what it means, in a paragraph.
    pub meaning: &'static str,
    /// What to do while it lasts: steps, each a sentence.
    pub immediate: &'static [&'static str],
    /// What to do within the day.
    pub short_term: &'static [&'static str],
    /// What to do so that it does not come back.
    pub long_term: &'static [&'static str],
    /// Queries worth looking at.
    pub queries: &'static [&'static str],
    /// The names of alerts that often come with it, or instead of it.
    pub related: &'static [&'static str],
    /// Series with which its first level must fire.
    pub fires: Case,
    /// Series with which both levels must fire, if there are two.
    pub worsens: Option<Case>,
    /// Series with which it must not.
    pub quiet: Case,
}

impl Alert {
    /// What an entry that says nothing else has.
    pub const BLANK: Self = Self {
        name: "",
        level: Level::new(Severity::Info, Priority::P3, 0, ""),
        worse: None,
        keep_firing: 0,
        local: true,
        summary: "",
        description: "",
        meaning: "",
        immediate: &[],
        short_term: &[],
        long_term: &[],
        queries: &[],
        related: &[],
        fires: Case::quiet(0, &[]),
        worsens: None,
        quiet: Case::quiet(0, &[]),
    };

    /// Its levels, the milder first.
    pub fn levels(&self) -> impl Iterator<Item = &Level> {
        std::iter::once(&self.level).chain(&self.worse)
    }
}

/// When an alert fires, and how bad that is.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// How bad it is.
    pub severity: Severity,
    /// How soon you must look.
    pub priority: Priority,
    /// Seconds for which it must be wrong.
    pub hold: u32,
    /// PromQL that has series while it is wrong.
    pub expr: &'static str,
}

impl Level {
    /// From how bad, how urgent, for how many seconds and when.
    #[must_use]
    pub const fn new(severity: Severity, priority: Priority, hold: u32, expr: &'static str) -> Self {
        Self { severity, priority, hold, expr }
    }
}

/// Series as promtool writes them, and when to look.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Minutes after the beginning.
    pub at: u32,
    /// Series and values, one a minute: `("neural_source_up{source='c'}", "1x5 0x20")`. The labels `job` and
    /// `instance` are added.
    pub series: &'static [(&'static str, &'static str)],
    /// The labels that tell the alert's series apart, without `job` and `instance`.
    pub labels: &'static [(&'static str, &'static str)],
    /// What stands where the description has `{{ $value }}`.
    pub value: &'static str,
}

impl Case {
    /// The alert fires after so many minutes, with these labels and this value.
    #[must_use]
    pub const fn fires(
        at: u32,
        series: &'static [(&'static str, &'static str)],
        labels: &'static [(&'static str, &'static str)],
        value: &'static str,
    ) -> Self {
        Self { at, series, labels, value }
    }

    /// Nothing fires after so many minutes.
    #[must_use]
    pub const fn quiet(at: u32, series: &'static [(&'static str, &'static str)]) -> Self {
        Self { at, series, labels: &[], value: "" }
    }
}

/// How bad it is. Where only three are wanted, critical and high are `critical`, medium is `warning`, the rest
/// `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Data are being lost, or a closed loop is open.
    Critical,
    /// They soon will be.
    High,
    /// Something is wrong that can wait for an hour.
    Medium,
    /// Something is odd.
    Low,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// Its name among five.
    #[must_use]
    pub fn of_five(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }

    /// Its name among three.
    #[must_use]
    pub fn of_three(self) -> &'static str {
        match self {
            Self::Critical | Self::High => "critical",
            Self::Medium => "warning",
            Self::Low | Self::Info => "info",
        }
    }
}

/// How soon you must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// At once.
    P0,
    /// Within a quarter of an hour.
    P1,
    /// Today.
    P2,
    /// When there is time.
    P3,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 4] = [Self::P0, Self::P1, Self::P2, Self::P3];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == name)
    }
}
