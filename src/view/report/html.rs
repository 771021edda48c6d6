//! A report as one HTML file that needs nothing else: it opens offline and prints.

use std::fmt::Write;

use super::text::{about, cells, moved, no_trend};
use super::{HTML_MARK, Report, Trend, strip};
use crate::view::Plot;
use crate::view::Status;
use crate::view::html::{class_of, escape, plot};
use crate::view::screen::{clean, sign};

/// Rows of a table on a page.
const ROWS: usize = 128;
/// Lines that are drawn.
const LINES: usize = 60;

const STYLE: &str = include_str!("report.css");

/// Writes a report.
#[must_use]
pub fn write(report: &Report) -> String {
    let verdict = &report.verdict;
    let words = escape(&verdict.words);
    // What it is about stands near its begin, so that who files reports knows one again.
    let id =
        report.session.as_ref().map_or_else(String::new, |one| format!("\"id\":\"{}\",", escape(&one.id)));
    let name =
        report.session.as_ref().map_or_else(String::new, |one| format!("{}: ", escape(&clean(&one.name))));
    let mut out = format!(
        "{HTML_MARK}<meta name=report content='{id}\"start\":{}'><title>Report: {name}{words}</title>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head><body><main>\
         <h1 class={}><span aria-hidden=true>{}</span> {name}{words}</h1><p class=usable>{}.</p>",
        report.start,
        class_of(verdict.status),
        sign(verdict.status),
        escape(&report.usable.sentence)
    );
    if let Some(session) = strip::session(report) {
        let _ = write!(out, "<p>{}.</p>", escape(&session));
    }
    let _ = write!(out, "<p>{}</p>", escape(&about(report)));
    if !verdict.sentences.is_empty() {
        out.push_str("<ul class=said>");
        for said in &verdict.sentences {
            let advice = said
                .advice
                .as_deref()
                .map_or_else(String::new, |advice| format!("<br><small>{}</small>", code(advice)));
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "<li class={}>{} {}{advice}</li>",
                class_of(said.status),
                sign(said.status),
                escape(&said.text)
            );
        }
        out.push_str("</ul>");
    }
    for section in &report.sections {
        table(&mut out, section);
        if section.name == "channels" {
            strip::channels(&mut out, report);
        }
    }
    strip::times(&mut out, report);
    conclusions(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

/// What a report concludes from its tables.
fn conclusions(out: &mut String, report: &Report) {
    out.push_str("<h2>Where the time goes</h2>");
    if report.bottlenecks.is_empty() {
        out.push_str("<p>No pipeline has several stages.</p>");
    }
    for one in &report.bottlenecks {
        let _ = write!(out, "<p>{}</p>", escape(&one.text));
    }
    out.push_str("<h2>Trends</h2>");
    let moved = moved(report);
    if moved.is_empty() {
        let _ = write!(out, "<p>{}</p>", no_trend(report));
    } else {
        out.push_str("<ul>");
        moved.iter().for_each(|(status, text)| {
            let _ = write!(out, "<li class={}>{}</li>", class_of(*status), escape(text));
        });
        out.push_str("</ul>");
    }
    out.push_str("<div class=lines>");
    report.trends.iter().take(LINES).for_each(|trend| line(out, trend));
    out.push_str("</div>");
    if let Some(stability) = &report.stability {
        let _ = write!(
            out,
            "<h2>Stability: {} of 100</h2><p>{}.</p>",
            stability.shown(),
            escape(&stability.formula)
        );
    }
    if !report.notes.is_empty() {
        out.push_str("<h2>Notes</h2><ul>");
        report.notes.iter().for_each(|note| {
            let _ = write!(out, "<li>{}</li>", escape(note));
        });
        out.push_str("</ul>");
    }
}

/// Text with `code` in backticks.
fn code(text: &str) -> String {
    let mut out = String::new();
    for (place, piece) in escape(text).split('`').enumerate() {
        let _ = if place % 2 == 1 { write!(out, "<code>{piece}</code>") } else { write!(out, "{piece}") };
    }
    out
}

fn table(out: &mut String, section: &super::Section) {
    let (head, rows) = cells(section);
    let heading = escape(&section.heading);
    let _ = write!(
        out,
        "<h2>{heading}</h2><div class=wide tabindex=0 role=region aria-label=\"{heading}\"><table><thead><tr>"
    );
    for label in &head {
        let _ = write!(out, "<th scope=col>{}</th>", escape(label));
    }
    out.push_str("</tr></thead><tbody>");
    // What is wrong is not left out.
    let mut rows: Vec<_> = rows.into_iter().collect();
    let more = rows.len().saturating_sub(ROWS);
    if more > 0 {
        rows.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
        rows.truncate(ROWS);
    }
    for (status, row) in &rows {
        let _ = write!(out, "<tr class={}>", class_of(*status));
        for (place, cell) in row.iter().enumerate() {
            let mark = if place == 0 && *status != Status::Healthy {
                format!("{} ", sign(*status))
            } else {
                String::new()
            };
            let cell = escape(cell);
            let _ = if place < section.labels.len() {
                write!(out, "<th scope=row>{mark}{cell}</th>")
            } else {
                write!(out, "<td>{mark}{cell}</td>")
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if more > 0 {
        let _ = write!(out, "<p>and {more} more, which are in the JSON; what is wrong stands first.</p>");
    }
}

/// A line over the time of the report.
fn line(out: &mut String, trend: &Trend) {
    let values = || trend.points.iter().flatten().copied();
    let (least, most) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let unit = super::unit_of(&trend.unit);
    let plot = Plot {
        label: format!("{} ({})", trend.subject, trend.course.as_str()),
        span: trend.span,
        points: trend.points.clone(),
        range: (super::amount(least, unit), super::amount(most, unit)),
        ..Plot::default()
    };
    plot::write(out, &plot, true);
}
