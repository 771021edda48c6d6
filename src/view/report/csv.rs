//! A report as CSV: a line for each value, with what it is of, its unit and, where it has one, its time.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Cell, Episode, Fired, Gap, GapKind, Mark, Report};
use crate::promql::{moment_ms, number};
use crate::view::Status;
use crate::view::csv::field;

/// The names of the columns.
const HEAD: &str = "section,labels,key,unit,value,status,start,end\n";

/// The lines of one thing.
struct Lines<'o> {
    out: &'o mut String,
    section: &'static str,
    labels: String,
    status: &'static str,
    /// Its time: ms since the epoch.
    time: (Option<i64>, Option<i64>),
}

/// Labels in one field: `device=cyton;channel=3`.
fn labels_of(labels: &BTreeMap<String, String>) -> String {
    let all: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    field(&all.join(";"))
}

impl<'o> Lines<'o> {
    fn new(out: &'o mut String, section: &'static str) -> Self {
        Self { out, section, labels: field(""), status: "", time: (None, None) }
    }

    fn of(self, labels: &BTreeMap<String, String>) -> Self {
        Self { labels: labels_of(labels), ..self }
    }

    fn is(self, status: Status) -> Self {
        Self { status: status.as_str(), ..self }
    }

    fn from(self, start: i64, end: Option<i64>) -> Self {
        Self { time: (Some(start), end), ..self }
    }

    fn line(&mut self, key: &str, unit: &str, value: &str) {
        let (start, end) = self.time;
        let time = |at: Option<i64>| at.map_or_else(String::new, moment_ms);
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.out,
            "{},{},{key},{unit},{value},{},{},{}",
            self.section,
            self.labels,
            self.status,
            time(start),
            time(end)
        );
    }

    fn word(&mut self, key: &str, word: &str) {
        self.line(key, "", &field(word));
    }

    fn number(&mut self, key: &str, unit: &str, value: f64) {
        self.line(key, unit, &number(value));
    }
}

/// Writes a report. What has a time of its own has it in the last columns.
#[must_use]
pub fn write(report: &Report) -> String {
    let mut out = HEAD.to_owned();
    begin(&mut out, report);
    for section in &report.sections {
        for row in &section.rows {
            let labels = labels_of(&row.labels);
            for column in &section.columns {
                let value = match row.values.get(&column.key) {
                    Some(Cell::Number(value)) => number(*value),
                    Some(Cell::Word(word)) => field(word),
                    None => continue,
                };
                let status = row.status.as_str();
                let _ = writeln!(
                    out,
                    "{},{labels},{},{},{value},{status},,",
                    section.name, column.key, column.unit
                );
            }
        }
    }
    report.gaps.iter().for_each(|one| gap(&mut out, one));
    report.incidents.iter().flatten().for_each(|one| episode(&mut out, one));
    report.fired.iter().for_each(|one| fired(&mut out, one));
    report.marks.iter().for_each(|one| mark(&mut out, one));
    conclusions(&mut out, report);
    out
}

/// What the report is about, and its verdict.
fn begin(out: &mut String, report: &Report) {
    let mut about = Lines::new(out, "report").is(report.verdict.status).from(report.start, Some(report.end));
    about.word("usable", report.usable.answer.as_str());
    about.word("sentence", &report.usable.sentence);
    about.word("verdict", &report.verdict.words);
    about.word("source", &report.source);
    if let Some(session) = &report.session {
        let mut lines = Lines::new(out, "session").from(session.start, session.end);
        lines.word("name", &session.name);
        lines.word("id", &session.id);
        lines.word("origin", session.origin.as_str());
        lines.word("state", session.state.as_str());
        if let Some(seconds) = session.seconds {
            lines.number("duration", "seconds", seconds);
        }
    }
    for said in &report.verdict.sentences {
        let mut lines = Lines::new(out, "findings").is(said.status);
        lines.word("sentence", &said.text);
        said.advice.iter().for_each(|advice| lines.word("advice", advice));
    }
}

/// How much was lost between two times, and for how long.
fn gap(out: &mut String, gap: &Gap) {
    let mut lines = Lines::new(out, "gaps").of(&gap.labels).from(gap.from, Some(gap.to));
    if let Some(lost) = gap.lost {
        lines.number("lost", "", lost);
    }
    let key = if gap.kind == GapKind::Silent { "silent" } else { "duration" };
    if let Some(seconds) = gap.seconds {
        lines.number(key, "seconds", seconds);
    }
}

fn episode(out: &mut String, one: &Episode) {
    let labels = [("id", &one.id), ("alert", &one.alert), ("priority", &one.priority)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.clone())).into();
    let mut lines = Lines::new(out, "incidents").of(&labels).from(one.started, one.resolved);
    lines.word("state", &one.state);
    lines.word("summary", &one.summary);
    if let Some(at) = one.acknowledged {
        lines.word("acknowledged", &moment_ms(at));
    }
}

/// One that fires on has no end.
fn fired(out: &mut String, one: &Fired) {
    let end = (!one.on).then_some(one.to);
    Lines::new(out, "fired").of(&one.labels).from(one.from, end).word("alert", &one.alert);
}

fn mark(out: &mut String, one: &Mark) {
    Lines::new(out, "markers").of(&one.labels).from(one.at, Some(one.at)).number("markers", "", one.count);
}

/// What is concluded from the tables.
fn conclusions(out: &mut String, report: &Report) {
    for one in &report.bottlenecks {
        let mut lines = Lines::new(out, "bottlenecks").of(&one.labels);
        lines.number("share", "ratio", one.share);
        lines.number("mean", "seconds", one.mean);
        lines.number("gain", "seconds", one.gain);
        lines.word("text", &one.text);
    }
    for trend in &report.trends {
        let mut lines = Lines::new(out, "trends").of(&trend.labels).is(trend.status);
        lines.word(&trend.key, trend.course.as_str());
        if let Some(change) = trend.change {
            lines.number(&format!("{}_change", trend.key), "ratio", change);
        }
        lines.number(&format!("{}_confidence", trend.key), "ratio", trend.confidence);
    }
    if let Some(stability) = &report.stability {
        let mut lines = Lines::new(out, "stability");
        lines.number("score", "", stability.score);
        lines.word("formula", &stability.formula);
    }
    for note in &report.notes {
        Lines::new(out, "notes").word("note", note);
    }
}
