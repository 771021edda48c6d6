//! A dashboard before it is written: its rows, panels, queries, colours and marks.
//!
//! It knows nothing of JSON, nor of how a dashboard is assembled.

use super::variable::Variable;
use crate::catalog::draw::{Panel, State};
use crate::catalog::limit::{Limit, Limits, Side};

/// A dashboard, whole but for its form.
#[derive(Debug)]
pub struct Dashboard {
    /// The end of its uid and its file's name.
    pub key: String,
    /// What people call it.
    pub title: String,
    /// What it answers.
    pub about: String,
    /// How far back it looks.
    pub range: &'static str,
    /// How often it asks again.
    pub refresh: &'static str,
    /// Where the runbooks of alerts lie.
    pub runbooks: String,
    /// What can be chosen.
    pub variables: Vec<Variable>,
    /// What the label `component` matches of the alerts that it is about.
    pub components: String,
    /// What is marked in the panels over time, beside those alerts.
    pub(super) marks: Vec<Marked>,
    /// From the top.
    pub rows: Vec<Heading>,
}

/// Panels under one heading.
#[derive(Debug)]
pub struct Heading {
    /// The heading.
    pub title: String,
    /// Whether it is open at first.
    pub open: bool,
    /// The variable for each of whose values it stands once, or nothing.
    pub each: &'static str,
    /// Its panels.
    pub panels: Vec<PanelSpec>,
}

/// One panel, whole but for its form.
#[derive(Debug)]
pub struct PanelSpec {
    /// Over the panel.
    pub title: String,
    /// What it means and what to do.
    pub about: String,
    /// Of what kind; never automatic.
    pub panel: Panel,
    /// Grafana's name of the unit.
    pub unit: String,
    /// What it shows.
    pub targets: Vec<Target>,
    /// From which numbers on it has which colour.
    pub steps: Steps,
    /// What single values mean.
    pub states: &'static [State],
    /// Panels of its kind beside each other, at least 1.
    pub beside: u8,
    /// The lower end of its scale.
    pub floor: Option<f64>,
    /// The upper end of its scale.
    pub ceiling: Option<f64>,
    /// What to write where there is nothing.
    pub empty: String,
    /// What to write where nothing is because nobody looks.
    pub unknown: Option<&'static str>,
    /// The key of the dashboard that says more.
    pub to: &'static str,
    /// In a table, the columns that stand first.
    pub first: &'static [&'static str],
    /// In a table, the columns by which it is sorted, and whether the largest comes first.
    pub sorted: &'static [(&'static str, bool)],
    /// In a table, how many rows are seen without scrolling; 0 is as fits the panel.
    pub seen: u32,
    /// Whether a number is replaced by the name of its series.
    pub words: bool,
    /// How many buckets the histogram has of which it shows the spread.
    pub buckets: usize,
}

/// One query, whole.
#[derive(Debug, Default)]
pub struct Target {
    /// PromQL.
    pub expr: String,
    /// The name of its series, or of its column.
    pub legend: String,
    /// In a table, the unit of its column.
    pub unit: String,
    /// In a table, its colours.
    pub steps: Steps,
    /// In a table, what single values mean.
    pub states: &'static [State],
    /// Drawn as what something is compared with.
    pub dashed: bool,
}

/// Colours by number, ascending; the first has no number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Below the first number, if anything is coloured.
    pub base: Option<&'static str>,
    /// From each number on.
    pub from: Vec<(f64, &'static str)>,
    /// Whether the numbers are limits, which lines may show.
    pub limits: bool,
}

/// Something that happens at a time.
#[derive(Debug)]
pub(super) struct Mark {
    /// What it is called where one switches it on and off.
    pub(super) name: &'static str,
    /// Grafana's name of its colour.
    pub(super) colour: &'static str,
    /// PromQL, as in a view: there at the minute in which it happened, and at no other.
    pub(super) expr: &'static str,
    /// What is written at it; `{{label}}` is filled in.
    pub(super) title: &'static str,
    /// And below.
    pub(super) text: &'static str,
    /// The dashboards whose signal it concerns.
    pub(super) boards: &'static [&'static str],
}

/// A mark, with its selectors.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) mark: &'static Mark,
    /// PromQL.
    pub(super) expr: String,
}

/// Whether the name of a series tells it from others, so that there may be several.
pub(super) fn named(legend: &str) -> bool {
    legend.contains("{{")
}

/// How many panels of a kind stand beside each other.
pub(super) fn beside(asked: u8, panel: Panel) -> u8 {
    match (asked, panel) {
        (0, Panel::Stat | Panel::Gauge) => 6,
        (0, Panel::States | Panel::Cells | Panel::Table) => 1,
        (0, _) => 3,
        (asked, _) => asked.min(6),
    }
}

/// Grafana's names of the colours.
pub(super) const GOOD: &str = "green";
pub(super) const ODD: &str = "orange";
pub(super) const FAIR: &str = "yellow";
pub(super) const BAD: &str = "red";

/// Green on the right side of every limit, red beyond the last, orange between, and yellow beyond the first of three.
pub(super) fn colours(of: &[&Limit], limits: &Limits) -> Steps {
    let Some(side) = of.first().map(|limit| limit.wrong) else { return Steps::default() };
    let mut numbers: Vec<f64> = of.iter().map(|limit| limits.of(limit)).collect();
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().saturating_sub(1);
    let odd = |many: bool| if many { ODD } else { BAD };
    let (base, from) = match side {
        Side::Above => {
            let colour = |at: usize| match last - at {
                0 => BAD,
                1 => ODD,
                _ => FAIR,
            };
            (GOOD, numbers.iter().enumerate().map(|(at, number)| (*number, colour(at))).collect())
        }
        Side::Below => {
            let colour = |at: usize| if at == last { GOOD } else { odd(last > 0) };
            (BAD, numbers.iter().enumerate().map(|(at, number)| (*number, colour(at))).collect())
        }
    };
    Steps { base: Some(base), from, limits: true }
}

/// The name of a query of a panel: A, B, C …
pub(super) fn letter(at: usize) -> String {
    u8::try_from(at)
        .ok()
        .filter(|at| *at < 26)
        .map_or_else(|| format!("Q{at}"), |at| char::from(b'A' + at).to_string())
}

/// What is written in capitals wherever it stands.
pub(super) const ABBREVIATIONS: &[&str] = &[
    "API", "CPU", "GPU", "HTTP", "ID", "LSL", "OTLP", "PCIe", "RMS", "RTT", "TCP", "TLS", "UDP", "URL",
    "USB", "XID",
];

/// The abbreviation that a word is, whatever its case.
pub(super) fn abbreviation(word: &str) -> Option<&'static str> {
    ABBREVIATIONS.iter().copied().find(|of| of.eq_ignore_ascii_case(word))
}

/// A name as one says it: `queue_depth` is "Queue depth", `otlp_clock_lag` "OTLP clock lag".
pub(super) fn spoken(name: &str) -> String {
    let words: Vec<&str> = name.split('_').map(|word| abbreviation(word).unwrap_or(word)).collect();
    let words = words.join(" ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a column of labels is called. Columns of values have titles of their own, which begin with a capital too.
pub(super) fn heading(label: &str) -> String {
    match label {
        "alertname" => "Alert".to_owned(),
        // The column holds the number and the name of a channel, which is longer than what it holds.
        "channel_name" => "Name".to_owned(),
        // Two letters stand below it, and a phone needs the room.
        "priority" => "Prio".to_owned(),
        "fstype" => "Type".to_owned(),
        // The host that a stream comes from; the agent that follows it is the instance.
        "machine" => "Sender".to_owned(),
        _ => spoken(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_are_written_in_capitals() {
        assert_eq!(spoken("otlp_clock_lag"), "OTLP clock lag");
        assert_eq!(spoken("gpu_pcie_bytes"), "GPU PCIe bytes");
        assert_eq!((spoken("queue_depth"), spoken("")), ("Queue depth".to_owned(), String::new()));
        assert_eq!(
            (heading("gpu"), heading("id"), heading("source")),
            ("GPU".into(), "ID".into(), "Source".into())
        );
    }
}
