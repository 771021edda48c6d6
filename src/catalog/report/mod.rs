//! What a report says of a time: a section for each kind of thing, a column of it for each number.
//!
//! A number is PromQL, evaluated at the end of the time. `$window` stands for its length, `$seconds` for the same in seconds, `$start`
//! for its begin in seconds since the epoch, `$early` for a minute after its begin, `$during` for the range of its length without the end in which what ended it is gone by now, `$growth(counter)` for by how much a counter grew in it that the agent counts itself, and `$moved(counter)` for the same of a
//! counter that is older than the agent, as the bytes of a network interface are: see [`growth`] and [`moved`].

pub mod details;
mod sections;

use std::fmt::Write;

use super::Unit;
use super::card::Threshold;
pub use details::DETAILS;
pub use sections::SECTIONS;

/// What is known so long after the begin of a time is how it was at its begin, in ms.
const EARLY: i64 = 60_000;

/// A table of a report.
#[derive(Debug)]
pub struct Section {
    /// Its name in JSON and CSV.
    pub name: &'static str,
    /// Its heading.
    pub heading: &'static str,
    /// The labels that tell its rows apart; none if there is one row.
    pub labels: &'static [&'static str],
    /// What a sentence calls a row; `{channel}` is the value of that label.
    pub subject: &'static str,
    /// Its numbers. There is a row for what the first one has a value for.
    pub columns: &'static [Column],
}

/// A number of each row of a table.
#[derive(Debug)]
pub struct Column {
    /// Its name in JSON and CSV.
    pub key: &'static str,
    /// Its heading.
    pub label: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The number, with `$window`, `$start` and `$growth(…)`.
    pub ask: &'static str,
    /// What is shown is this label of the answer, not its value.
    pub shows: Option<&'static str>,
    /// When it is wrong.
    pub judged: Option<Threshold>,
    /// Whether it is a share of the time, or of all, that went well: the stability is a mean of these.
    pub is_share_well: bool,
}

/// What a report lists or draws over its time, point by point.
#[derive(Debug)]
pub struct Detail {
    /// Its name.
    pub key: &'static str,
    /// The labels that tell lines apart; those of an answer are all kept where an alert's are.
    pub labels: &'static [&'static str],
    /// How near its points are.
    pub points: Points,
    /// The number, over time. `$step` stands for the time from one point to the next, `$since(counter)` for by how much a counter grew
    /// since the point before: see [`since`].
    pub ask: &'static str,
}

/// How near the points of a line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// As near as scrapes are, for what has a time.
    Close,
    /// The same, and one before the first of them.
    Edges,
    /// So many as fit on a page, for what is drawn.
    Few,
}

/// By how much a counter that the agent counts grew since the point before. What is added over all points is what was counted, to the unit:
/// its value less the one before; its value, where it is new or began again and the agent was there before it; or its value less
/// the first one of the step, where the server began to scrape in it.
#[must_use]
pub fn since(counter: &str) -> String {
    format!(
        "({counter} - ({counter} offset $step <= {counter}) \
         or {counter} and on (job, instance) neural_agent_build_info offset $step \
         or {counter} - min_over_time({counter}[$step]))"
    )
}

/// By how much a counter grew in `$window`, as PromQL: exactly, as far as scrapes tell. `increase` is no such number: it adds what it
/// supposes happened before the first scrape and after the last, so that a thousand lost packets are a thousand and three.
///
/// In this order:
/// 1. The counter began again in between: what `increase` says. It cannot be known exactly.
/// 2. It was scraped in the hour before: its last value less the last of before.
/// 3. It is new or began again, and the agent was there before it or began in this time: its last value, since it began at 0. When a
///    process began is known to a second or two.
/// 4. The server began to scrape in this time, and not the agent to count: its last value less the first.
#[must_use]
pub fn growth(counter: &str) -> String {
    let own = format!(
        "last_over_time({counter}[$window]) and on (job, instance) \
         (process_start_time_seconds{{source=''}} > $start - 2 or neural_agent_build_info offset $window)"
    );
    grown(counter, &own)
}

/// The same of a counter that is not the agent's own: the third case is none, for it does not begin at 0 with the agent.
#[must_use]
pub fn moved(counter: &str) -> String {
    grown(counter, "")
}

fn grown(counter: &str, own: &str) -> String {
    let own = if own.is_empty() { String::new() } else { format!("or {own} ") };
    format!(
        "(increase({counter}[$window]) and resets({counter}[$window]) > 0 \
         or last_over_time({counter}[$window]) - (last_over_time({counter}[1h] offset $window) <= min_over_time({counter}[$window])) \
         {own}or last_over_time({counter}[$window]) - min_over_time({counter}[$window]))"
    )
}

/// A question with its time: `start` and `window` in ms. `late` is how much of its end is not asked of what is `$during` it.
#[must_use]
pub fn text(ask: &str, start: i64, window: i64, late: i64) -> String {
    let within = window.saturating_sub(late).max(1);
    let ask = &ask.replace("$during", &format!("[{within}ms] offset {late}ms"));
    let out = written(&written(ask, "$growth(", growth), "$moved(", moved);
    let mut seconds = String::new();
    // Writing to a string cannot fail.
    let _ = write!(seconds, "{}.{:03}", start.div_euclid(1000), start.rem_euclid(1000));
    let early = start.saturating_add(EARLY.min(window));
    let early = format!("{}.{:03}", early.div_euclid(1000), early.rem_euclid(1000));
    let out =
        out.replace("$window", &format!("{window}ms")).replace("$start", &seconds).replace("$early", &early);
    out.replace("$seconds", &format!("{}", window as f64 / 1000.0))
}

/// A text in which every `begin`, up to the next closing bracket, is replaced by what is made of what stands between.
fn written(text: &str, begin: &str, make: fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(begin) {
        let (counter, after) = after.split_once(')').unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(&make(counter));
        rest = after;
    }
    out + rest
}

/// A question of a detail, with the time from one point to the next in ms.
#[must_use]
pub fn stepped(ask: &str, step: i64) -> String {
    written(ask, "$since(", since).replace("$step", &format!("{step}ms"))
}

impl Column {
    const fn new(key: &'static str, label: &'static str, unit: Unit, ask: &'static str) -> Self {
        Self { key, label, unit, ask, shows: None, judged: None, is_share_well: false }
    }

    const fn judged(self, judged: Threshold) -> Self {
        Self { judged: Some(judged), ..self }
    }

    const fn shows(self, label: &'static str) -> Self {
        Self { shows: Some(label), ..self }
    }

    const fn share_well(self) -> Self {
        Self { is_share_well: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalog::alert::CHAPTERS;

    #[test]
    fn every_question_is_whole_and_names_what_there_is() {
        let alerts: BTreeSet<&str> =
            CHAPTERS.iter().flat_map(|chapter| chapter.alerts).map(|alert| alert.name).collect();
        let mut names = BTreeSet::new();
        for section in SECTIONS {
            assert!(names.insert(section.name), "{} is there twice", section.name);
            let mut keys = BTreeSet::new();
            for column in section.columns {
                assert!(keys.insert(column.key), "{}: {} is there twice", section.name, column.key);
                let text = text(column.ask, 1_700_000_000_000, 1_800_000, 0);
                assert!(!text.contains('$'), "{text}");
                for alert in column.judged.iter().flat_map(|judged| judged.alerts) {
                    assert!(alerts.contains(alert), "{alert} is no alert");
                }
            }
        }
        for ask in DETAILS.iter().map(|detail| detail.ask) {
            assert!(!stepped(ask, 60_000).contains('$'), "{ask}");
        }
    }
}
