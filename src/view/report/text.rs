//! A report as text for a terminal, and as Markdown.

use std::fmt::Write;

use super::{Report, Row, Section};
use crate::promql::moment;
use crate::view::screen::{blocks, clean as visible, sign};
use crate::view::words::{digits, span};
use crate::view::{Sentence, Status};

/// The time that a report is about, in words.
pub(super) fn about(report: &Report) -> String {
    let length = span(report.end.saturating_sub(report.start) as f64 / 1000.0);
    format!("{} to {} ({length}), answered by {}", moment(report.start), moment(report.end), report.source)
}

/// What rose or fell, or that nothing did.
pub(super) fn moved(report: &Report) -> Vec<(Status, String)> {
    let lines = report.trends.iter().filter(|trend| trend.course != super::Course::Stable);
    lines
        .map(|trend| {
            let change = trend.change.map_or_else(String::new, |change| {
                let percent = digits(change.abs() * 100.0);
                let way = if change < 0.0 { "less" } else { "more" };
                format!(", {percent} % {way} from begin to end")
            });
            let sure =
                if trend.confidence > 0.999 { "over 99.9".into() } else { digits(trend.confidence * 100.0) };
            (
                trend.status,
                format!("the {} is {}{change}; {sure} % sure", trend.subject, trend.course.as_str()),
            )
        })
        .collect()
}

/// That trends were looked for, where none was found.
pub(super) fn no_trend(report: &Report) -> &'static str {
    if report.trends.is_empty() {
        "The time is too short to tell a trend, or nothing was measured in it."
    } else {
        "Nothing rose or fell."
    }
}

/// What stands at the begin of a row.
fn name(section: &Section, row: &Row) -> Vec<String> {
    section
        .labels
        .iter()
        .map(|label| row.labels.get(label).map_or_else(String::new, |value| visible(value)))
        .collect()
}

/// A table: its headings, and its rows with their signs.
pub(super) fn cells(section: &Section) -> (Vec<String>, Vec<(Status, Vec<String>)>) {
    let keys: Vec<&str> = section.used().map(|column| &*column.key).collect();
    let head =
        section.labels.iter().cloned().chain(section.used().map(|column| column.label.clone())).collect();
    let rows = section.rows.iter().map(|row| {
        let values = keys.iter().map(|key| visible(&section.shown(row, key)));
        (row.status, name(section, row).into_iter().chain(values).collect())
    });
    (head, rows.collect())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// For a terminal.
#[must_use]
pub fn write(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{} {}", sign(report.verdict.status), report.verdict.words);
    let _ = writeln!(out, "  {}", visible(&report.usable.sentence));
    if let Some(session) = super::strip::session(report) {
        let _ = writeln!(out, "  {session}");
    }
    let _ = writeln!(out, "  {}", about(report));
    for said in &report.verdict.sentences {
        let _ = writeln!(out, "\n  {} {}", sign(said.status), visible(&said.text));
        if let Some(advice) = &said.advice {
            let _ = writeln!(out, "    {advice}");
        }
    }
    for section in &report.sections {
        let _ = writeln!(out, "\n{}", section.heading.to_uppercase());
        columns(&mut out, section);
    }
    for (heading, lines) in super::strip::lists(report) {
        let _ = writeln!(out, "\n{}", heading.to_uppercase());
        lines.iter().for_each(|line| {
            let _ = writeln!(out, "  {line}");
        });
    }
    let _ = writeln!(out, "\nWHERE THE TIME GOES");
    if report.bottlenecks.is_empty() {
        let _ = writeln!(out, "  No pipeline has several stages.");
    }
    for one in &report.bottlenecks {
        let _ = writeln!(out, "  {}", visible(&one.text));
    }
    let _ = writeln!(out, "\nTRENDS");
    let moved = moved(report);
    if moved.is_empty() {
        let _ = writeln!(out, "  {}", no_trend(report));
    }
    for (status, text) in &moved {
        let _ = writeln!(
            out,
            "  {} {}",
            if *status == Status::Healthy { " " } else { sign(*status) },
            visible(text)
        );
    }
    for trend in &report.trends {
        let _ =
            writeln!(out, "    {}  {}", blocks(&trend.points, trend.points.len()), visible(&trend.subject));
    }
    if let Some(stability) = &report.stability {
        let _ = writeln!(out, "\nSTABILITY {} of 100\n  {}", stability.shown(), stability.formula);
    }
    for note in &report.notes {
        let _ = writeln!(out, "\nnote: {}", visible(note));
    }
    out
}

/// A table whose columns are aligned; one that is wider than a terminal is told row by row.
fn columns(out: &mut String, section: &Section) {
    let (head, rows) = cells(section);
    let widths: Vec<usize> = (0..head.len())
        .map(|place| {
            let cells = rows.iter().filter_map(|(_, row)| row.get(place)).map(|cell| width(cell));
            cells.chain(head.get(place).map(|cell| width(cell))).max().unwrap_or(0)
        })
        .collect();
    let total: usize = widths.iter().map(|width| width + 2).sum();
    if total > 150 || rows.len() == 1 && total > 78 {
        return one_by_one(out, &head, &rows, section.labels.len());
    }
    let mut line = |mark: &str, cells: &[String]| {
        let _ = write!(out, "  {mark}");
        for (place, (cell, wide)) in cells.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(wide.saturating_sub(width(cell)));
            // Names stand left, numbers right.
            let _ = if place < section.labels.len() {
                write!(out, " {cell}{pad} ")
            } else {
                write!(out, " {pad}{cell} ")
            };
        }
        while out.ends_with(' ') {
            out.pop();
        }
        out.push('\n');
    };
    line(" ", &head);
    for (status, row) in &rows {
        line(if *status == Status::Healthy { " " } else { sign(*status) }, row);
    }
}

/// A row as a paragraph, for what has many columns.
fn one_by_one(out: &mut String, head: &[String], rows: &[(Status, Vec<String>)], names: usize) {
    let wide = head.iter().skip(names).map(|cell| width(cell)).max().unwrap_or(0);
    for (status, row) in rows {
        let mark = if *status == Status::Healthy { " " } else { sign(*status) };
        let name: Vec<&str> = row.iter().take(names).map(|cell| &**cell).collect();
        if names > 0 {
            let _ = writeln!(out, "  {mark} {}", name.join(" "));
        }
        for (label, cell) in head.iter().zip(row).skip(names).filter(|(_, cell)| *cell != "–") {
            let _ = writeln!(out, "      {label}{}  {cell}", " ".repeat(wide.saturating_sub(width(label))));
        }
    }
}

/// As Markdown, for an issue or a notebook.
#[must_use]
pub fn write_markdown(report: &Report) -> String {
    let safe = |text: &str| visible(text).replace('|', "\\|").replace('<', "&lt;");
    let mut out = String::new();
    let _ = writeln!(
        out,
        "# {} {}\n\n{}.\n",
        sign(report.verdict.status),
        report.verdict.words,
        safe(&report.usable.sentence)
    );
    if let Some(session) = super::strip::session(report) {
        let _ = writeln!(out, "{}.\n", safe(&session));
    }
    let _ = writeln!(out, "{}\n", safe(&about(report)));
    for Sentence { status, text, advice, .. } in &report.verdict.sentences {
        let advice = advice.as_deref().map_or_else(String::new, |advice| format!(" {advice}"));
        let _ = writeln!(out, "- {} {}.{}", sign(*status), safe(text), safe(&advice));
    }
    for section in &report.sections {
        let (head, rows) = cells(section);
        let line = |cells: &[String]| {
            format!("{} |", cells.iter().map(|cell| safe(cell)).collect::<Vec<_>>().join(" | "))
        };
        let sides = (0..head.len()).map(|place| if place < section.labels.len() { "---" } else { "---:" });
        let _ = writeln!(
            out,
            "\n## {}\n\n| | {}\n|---|{}|",
            section.heading,
            line(&head),
            sides.collect::<Vec<_>>().join("|")
        );
        for (status, row) in &rows {
            let _ = writeln!(
                out,
                "| {} | {}",
                if *status == Status::Healthy { "" } else { sign(*status) },
                line(row)
            );
        }
    }
    for (heading, lines) in super::strip::lists(report) {
        let _ = writeln!(out, "\n## {heading}\n");
        lines.iter().for_each(|line| {
            let _ = writeln!(out, "- {}", safe(line));
        });
    }
    let _ = writeln!(out, "\n## Where the time goes\n");
    for one in &report.bottlenecks {
        let _ = writeln!(out, "- {}", safe(&one.text));
    }
    let _ = writeln!(out, "\n## Trends\n");
    let moved = moved(report);
    if moved.is_empty() {
        let _ = writeln!(out, "{}", no_trend(report));
    }
    for (_, text) in moved {
        let _ = writeln!(out, "- {}", safe(&text));
    }
    if let Some(stability) = &report.stability {
        let _ = writeln!(out, "\n## Stability: {} of 100\n\n{}", stability.shown(), stability.formula);
    }
    for note in &report.notes {
        let _ = writeln!(out, "\nNote: {}", safe(note));
    }
    out
}
