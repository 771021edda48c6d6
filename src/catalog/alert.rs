//! What may go wrong, when that is said, how urgent it is and what to do: one entry per alert.
//!
//! Rules, their unit tests, runbooks and routes are readings of these entries.

/// One alert.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// In CamelCase, unique.
    pub name: &'static str,
    /// The page of the catalogue that it belongs to: the group of its rule.
    pub page: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// How soon somebody must look.
    pub priority: Priority,
    /// PromQL that has series while it is wrong. `${id}` stands for a limit's number.
    pub expr: &'static str,
    /// Seconds for which it must be wrong.
    pub hold: u32,
    /// Seconds for which it goes on after it was right again.
    pub keep_firing: u32,
    /// One line that names what is concerned; may use `{{ $labels.device }}`.
    pub summary: &'static str,
    /// The value, the limit and the consequence; may use `{{ $value }}`.
    pub description: &'static str,
    /// For the runbook: what it means, in a paragraph.
    pub meaning: &'static str,
    /// What to do now, within the day, and for good: steps, each a sentence.
    pub actions: Actions,
    /// Queries worth looking at.
    pub queries: &'static [&'static str],
    /// Series with which it must fire, and series with which it must not.
    pub cases: Cases,
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Actions {
    /// While it lasts.
    pub immediate: &'static [&'static str],
    /// Within the day.
    pub short_term: &'static [&'static str],
    /// So that it does not come back.
    pub long_term: &'static [&'static str],
}

/// Input of a rule's unit test.
#[derive(Clone, Copy, Debug)]
pub struct Cases {
    /// It must fire.
    pub fires: Case,
    /// It must be quiet.
    pub quiet: Case,
}

/// Series as promtool writes them, and when to look.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Series and values, one a minute: `("neural_source_up{source=\"c\"}", "1x5 0x20")`.
    pub series: &'static [(&'static str, &'static str)],
    /// Minutes after the beginning.
    pub at: u32,
    /// The labels that tell the alert's series apart, if it fires.
    pub labels: &'static [(&'static str, &'static str)],
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

/// How soon somebody must look.
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
