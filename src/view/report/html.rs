//! A report as one HTML file that needs nothing else: it opens offline and prints.

use std::fmt::Write;

use super::text::{about, cells, moved, no_trend, sign};
use super::{Report, Trend};
use crate::promql::moment;
use crate::view::Status;
use crate::view::html::escape;

const STYLE: &str = include_str!("report.css");
/// The drawing's own units of a line.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 40.0;

fn class(status: Status) -> &'static str {
    match status {
        Status::Healthy => "ok",
        Status::Unknown => "unknown",
        Status::Degraded => "attention",
        Status::Unhealthy => "danger",
    }
}

/// Writes a report.
#[must_use]
pub fn write(report: &Report) -> String {
    let verdict = &report.verdict;
    let words = escape(&verdict.words);
    let mut out = format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>Report: {words}</title>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head><body><main>\
         <h1 class={}><span aria-hidden=true>{}</span> {words}</h1><p>{}</p>",
        class(verdict.status),
        sign(verdict.status),
        escape(&about(report))
    );
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
                class(said.status),
                sign(said.status),
                escape(&said.text)
            );
        }
        out.push_str("</ul>");
    }
    for section in &report.sections {
        table(&mut out, section);
    }
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
            let _ = write!(out, "<li class={}>{}</li>", class(*status), escape(text));
        });
        out.push_str("</ul>");
    }
    out.push_str("<div class=lines>");
    report.trends.iter().for_each(|trend| line(out, trend));
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
    for (status, row) in &rows {
        let _ = write!(out, "<tr class={}>", class(*status));
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
}

/// A line over the time of the report. A gap is a gap.
fn line(out: &mut String, trend: &Trend) {
    let values = || trend.points.iter().flatten().copied();
    let (least, most) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if least > most {
        return;
    }
    let room = (most - least).max(most.abs() * 0.02).max(1e-12);
    let base = (most + least - room) / 2.0;
    let unit = super::unit_of(&trend.unit);
    let words = format!("{} to {}", super::amount(least, unit), super::amount(most, unit));
    let subject = escape(&trend.subject);
    let mut path = String::new();
    let mut pen = false;
    for (place, value) in trend.points.iter().enumerate() {
        let Some(value) = value else {
            pen = false;
            continue;
        };
        let x = place as f64 / (trend.points.len().max(2) - 1) as f64 * WIDTH;
        let y = HEIGHT - 2.0 - (value - base) / room * (HEIGHT - 4.0);
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen { 'L' } else { 'M' });
        if !pen {
            // A point without neighbours can be seen.
            path.push_str("h.5");
        }
        pen = true;
    }
    let _ = write!(
        out,
        "<figure><figcaption>{subject}: <b>{}</b>, {}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none role=img \
         aria-label=\"{subject}: {}\"><path d=\"{path}\"/></svg><div class=times><span>{}</span><span>{}</span></div></figure>",
        escape(&words),
        trend.course.as_str(),
        escape(&words),
        moment(trend.span.0),
        moment(trend.span.1)
    );
}
