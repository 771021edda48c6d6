//! `metrics`: the catalogue as a table.

use std::fmt::Write;

use serde::Serialize;

use super::{Exit, FileArgs, Form, complain, json, print, run};
use crate::agent::Failure;
use crate::catalog::{Metric, OWN, PAGES, Page};
use crate::event::Kind;

pub(super) fn list(args: &FileArgs, markdown: bool, output: Form) -> Exit {
    let config = match run::load(run::chosen(args).as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            complain(&Failure::Config(problems));
            return Exit::Usage;
        }
    };
    let pages: Vec<&Page> = PAGES.iter().copied().chain(OWN.iter().copied()).chain(config.pages.0).collect();
    if markdown {
        let text =
            crate::catalog::reference::markdown(&pages) + &crate::decode::engines::reference::markdown();
        return print(text.as_bytes());
    }
    if output == Form::Json {
        let all: Vec<Row<'_>> =
            pages.iter().flat_map(|page| page.metrics).map(|metric| Row::of(metric)).collect();
        return print(&json(&all));
    }
    let mut text = String::new();
    for page in pages {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n  {}\n", page.title, page.about);
        let rows: Vec<(String, &Metric)> = page.metrics.iter().map(|m| (name(m), *m)).collect();
        let wide = rows.iter().map(|r| r.0.len()).max().unwrap_or_default();
        for (name, metric) in rows {
            let _ = writeln!(text, "  {name:wide$}  {:9}  {}", kind(metric.kind), metric.help);
        }
        text.push('\n');
    }
    print(text.as_bytes())
}

/// One metric as JSON has it.
#[derive(Serialize)]
struct Row<'m> {
    name: String,
    r#type: &'static str,
    unit: &'static str,
    labels: &'m [&'m str],
    help: &'m str,
}

impl<'m> Row<'m> {
    fn of(metric: &'m Metric) -> Self {
        let Metric { labels, help, unit, .. } = metric;
        Self { name: exposed(metric), r#type: kind(metric.kind), unit: unit.suffix(), labels, help }
    }
}

/// The name as a query has it.
fn exposed(metric: &Metric) -> String {
    let suffix = match metric.kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        _ => "",
    };
    format!("{}{suffix}", metric.family())
}

/// The same with its labels.
fn name(metric: &Metric) -> String {
    let labels =
        if metric.labels.is_empty() { String::new() } else { format!("{{{}}}", metric.labels.join(",")) };
    exposed(metric) + &labels
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram | Kind::GaugeHistogram => "histogram",
        Kind::Summary => "summary",
        Kind::Info => "info",
        Kind::StateSet => "stateset",
        Kind::Unknown => "unknown",
    }
}
