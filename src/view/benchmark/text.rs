//! Benchmarks and comparisons as text for a terminal, as Markdown, and as CSV.

use std::fmt::Write;

use super::{Benchmark, Comparison, Line, Listed, Outcome, Row};
use crate::promql::{moment, number};
use crate::view::Status;
use crate::view::csv::field;
use crate::view::report::unit_of;
use crate::view::screen::{clean, sign};
use crate::view::table::{Cell, plain, table};
use crate::view::words::{amount, count, digits, span};

fn time(start: i64, end: i64) -> String {
    let length = span(end.saturating_sub(start) as f64 / 1000.0);
    format!("{} to {} ({length})", moment(start), moment(end))
}

/// What came of it, in a sentence.
fn verdict(comparison: &Comparison) -> String {
    let number = |outcome| comparison.counts.get(&outcome).copied().unwrap_or_default();
    let (degraded, improved) = (number(Outcome::Degraded), number(Outcome::Improved));
    let judged = degraded + improved + number(Outcome::Stable);
    if judged == 0 {
        return "Nothing could be compared: the times have no line in common with eight parts in both"
            .to_owned();
    }
    let better = if improved > 0 { format!(", {improved} improved") } else { String::new() };
    match degraded {
        0 => format!("No regression in {}{better}", count(judged, "line")),
        _ => format!("{} in {}{better}", count(degraded, "regression"), count(judged, "line")),
    }
}

fn change(row: &Row) -> String {
    match row.change {
        Some(change) => format!("{}{} %", if change > 0.0 { "+" } else { "" }, digits(change * 100.0)),
        None if row.current == 0.0 => "0 %".to_owned(),
        None => "from 0".to_owned(),
    }
}

fn outcome(row: &Row) -> String {
    match row.severity {
        Some(severity) => format!("{} ({})", row.outcome.as_str(), severity.as_str()),
        None => row.outcome.as_str().to_owned(),
    }
}

fn status(row: &Row) -> Status {
    match row.severity {
        Some(super::Severity::Critical) => Status::Unhealthy,
        Some(_) => Status::Degraded,
        None if row.outcome == Outcome::Unjudged => Status::Unknown,
        None => Status::Healthy,
    }
}

/// The headings of a comparison's table: the sign, then what [`cells`] gives.
const HEAD: [&str; 7] = ["", "", "#baseline", "#now", "#change", "#sure", ""];

fn cells(row: &Row) -> [String; 6] {
    let unit = unit_of(&row.unit);
    let sure = if row.confidence > 0.999 {
        "> 99.9 %".to_owned()
    } else {
        format!("{} %", digits(row.confidence * 100.0))
    };
    [
        clean(&row.subject),
        amount(row.baseline, unit),
        amount(row.current, unit),
        change(row),
        sure,
        outcome(row),
    ]
}

/// A comparison for a terminal. Lines that are stable are counted, unless all are wanted.
#[must_use]
pub fn write(comparison: &Comparison, all: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{} {}", sign(comparison.status), verdict(comparison));
    let _ = writeln!(
        out,
        "  {}, answered by {}\n  beside {}: {}, {}",
        time(comparison.start, comparison.end),
        comparison.source,
        comparison.benchmark,
        time(comparison.baseline_start, comparison.baseline_end),
        clean(&comparison.baseline_verdict)
    );
    let shown = |row: &&Row| all || matches!(row.outcome, Outcome::Degraded | Outcome::Improved);
    let mark = |row: &Row| if status(row) == Status::Healthy { " " } else { sign(status(row)) };
    let rows: Vec<Vec<Cell>> = comparison
        .rows
        .iter()
        .filter(shown)
        .map(|row| {
            let cells = cells(row);
            std::iter::once(mark(row)).chain(cells.iter().map(String::as_str)).map(Cell::plain).collect()
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(out, "\n{}", plain(&table(&HEAD, &rows), "  "));
    }
    for (outcome, words) in [(Outcome::Stable, "stable"), (Outcome::Unjudged, "not judged")] {
        let number = comparison.counts.get(&outcome).copied().unwrap_or_default();
        if number > 0 && !all {
            let _ = writeln!(out, "\n  {}, {words}: --all shows them", count(number, "line"));
        }
    }
    if !comparison.missing.is_empty() {
        let _ = writeln!(out, "\n  not measured now: {}", clean(&comparison.missing.join("; ")));
    }
    for note in &comparison.notes {
        let _ = writeln!(out, "\nnote: {}", clean(note));
    }
    out
}

/// A comparison as Markdown, for a CI job's summary.
#[must_use]
pub fn write_markdown(comparison: &Comparison) -> String {
    let safe = |text: &str| clean(text).replace('|', "\\|").replace('<', "&lt;");
    let mut out = String::new();
    let _ = writeln!(out, "# {} {}\n", sign(comparison.status), verdict(comparison));
    let _ = writeln!(
        out,
        "{}, beside {}: {}\n",
        time(comparison.start, comparison.end),
        safe(&comparison.benchmark),
        time(comparison.baseline_start, comparison.baseline_end)
    );
    let _ = writeln!(out, "| | baseline | now | change | sure | |\n|---|---:|---:|---:|---:|---|");
    for row in &comparison.rows {
        let _ = writeln!(out, "| {} |", cells(row).map(|cell| safe(&cell)).join(" | "));
    }
    for missing in &comparison.missing {
        let _ = writeln!(out, "\nNot measured now: {}", safe(missing));
    }
    for note in &comparison.notes {
        let _ = writeln!(out, "\nNote: {}", safe(note));
    }
    out
}

/// A comparison as CSV, a line for each line.
#[must_use]
pub fn write_csv(comparison: &Comparison) -> String {
    let mut out =
        String::from("metric,labels,unit,better,baseline,current,change,confidence,limit,outcome,severity\n");
    for row in &comparison.rows {
        let labels: Vec<String> = row.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let optional = |value: Option<f64>| value.map(number).unwrap_or_default();
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{}",
            row.metric,
            field(&labels.join(";")),
            row.unit,
            row.better,
            number(row.baseline),
            number(row.current),
            optional(row.change),
            number(row.confidence),
            optional(row.limit),
            row.outcome.as_str(),
            row.severity.map_or("", super::Severity::as_str)
        );
    }
    out
}

/// A list of benchmarks, of what the API says of each.
#[must_use]
pub fn write_list(all: &[Listed]) -> String {
    let mut out = String::new();
    if all.is_empty() {
        out.push_str("no benchmark\n  hint: neural-exporter benchmark record NAME --last 1h\n");
    }
    let wide = all.iter().map(|one| one.name.len()).max().unwrap_or(0);
    for one in all {
        let note = if one.note.is_empty() { String::new() } else { format!("  {}", clean(&one.note)) };
        let _ = writeln!(
            out,
            "{:wide$}  {}  {}  {}{note}",
            one.name,
            time(one.start, one.end),
            count(one.lines, "line"),
            clean(&one.verdict)
        );
    }
    out
}

/// One benchmark.
#[must_use]
pub fn write_one(one: &Benchmark) -> String {
    let mut out =
        format!("{}\n  {}, answered by {}\n", one.name, time(one.start, one.end), clean(&one.source));
    let _ = writeln!(out, "  {}", clean(&one.verdict));
    if !one.note.is_empty() {
        let _ = writeln!(out, "  {}", clean(&one.note));
    }
    let row = |line: &Line| {
        let (unit, values) = (unit_of(&line.unit), line.values);
        let shown = |value| Cell::plain(&amount(value, unit));
        let range = format!("{} to {}", amount(values.min, unit), amount(values.max, unit));
        vec![
            Cell::plain(&line.subject()),
            shown(values.mean),
            shown(values.median),
            shown(values.p95),
            Cell::plain(&range),
            Cell::plain(&line.better.replace("neither", "")),
        ]
    };
    let rows: Vec<Vec<Cell>> = one.lines.iter().map(row).collect();
    let head = ["", "#mean", "#median", "#p95", "#from least to most", "better"];
    let _ = write!(out, "\n{}", plain(&table(&head, &rows), "  "));
    for note in &one.notes {
        let _ = writeln!(out, "\nnote: {}", clean(note));
    }
    out
}
