//! The metrics reference: the catalogue as Markdown.
//!
//! A reading of the table like any other: what it says of a metric is the metric's entry. It does not
//! know which engines can be scraped; their names are a table of their own.

use std::fmt::Write;

use super::{Metric, Page};
use crate::event::Kind;

/// What stands before the pages.
const BEGINNING: &str = "\
# Metrics

All metrics that the agent exposes, by subject. This page is generated from the program;
`neural-exporter metrics --markdown` prints it for your configuration, your own metrics included.

All values are in base units: seconds, bytes, hertz, ratios from 0 to 1. Names are as you query them.
Labels that Prometheus adds (`job`, `instance`) are not listed. The first sentence of a meaning is the HELP text.

| type | in a scrape | how to query it |
|---|---|---|
| counter | `name_total` | `rate(name_total[5m])`; it only grows, and starts at 0 with the agent |
| gauge | `name` | its value; the series disappears when no event updates it for a while (`expire.gauges`) |
| histogram | `name_bucket{le=\"…\"}`, `name_sum`, `name_count` | `histogram_quantile(0.99, sum by (le) (rate(name_bucket[5m])))`; exemplars carry trace ids |
| info | `name_info`, always 1 | its labels hold the information; join them with `* on (…) group_left (…)` |
";

/// What stands after them.
const END: &str = "
The agent also exposes the standard process metrics: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`,
`process_open_fds`, `process_max_fds`, `process_threads` and `process_start_time_seconds`, without labels. The same
metrics of scraped programs have labels, so `process_open_fds{source=''}` is the agent. A scraped
series of these names without labels is rejected as a conflict.

## Metrics of your own

A *pack* is a YAML file that declares metrics with the fields of the tables above: name, help, type, unit,
labels, buckets and how long a silent series stays. The agent reads the packs in the folder `packs` beside the
configuration at start and at each reload; `deploy/packs` has four examples. The help, type and buckets of a declared
metric are those of its pack, whatever the sender says, and a metric without labels exists at zero before its first
event. A reload that changes its type, unit, labels or buckets restarts it. Any source that carries values by name can
set it: a JSON line `{\"metric\":\"…\",\"value\":…,\"labels\":{…}}`, StatsD, or a scraped exposition.

An undeclared metric has the type that its first sender gives it; later lines that disagree are rejected and counted
in `neural_source_errors_total{reason=\"conflict\"}`. A series has at most 64 labels and 4,096 bytes of them. The number of
series of a family is limited, and the memory of all series together (`limits.memory`); one source takes at most three
quarters of what the others leave. A name above the limit is rejected with `reason=\"limit\"`. A counter or histogram above
the limit continues in one series with the label value `_other`; a gauge is rejected.
`neural_agent_series_refused_total` counts both.
";

/// The reference of these pages.
#[must_use]
pub fn markdown(pages: &[&Page]) -> String {
    let mut text = BEGINNING.to_owned();
    for page in pages {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n## {}\n\n{}\n\n{HEAD}", page.title, page.about);
        for metric in page.metrics {
            text.push_str(&row(metric));
        }
    }
    text.push_str(END);
    text
}

const HEAD: &str = "| name | type | labels | unit | meaning |\n|---|---|---|---|---|";

fn row(metric: &Metric) -> String {
    let unit = metric.unit.suffix();
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let note = if metric.note.is_empty() { String::new() } else { format!(". {}", metric.note) };
    format!(
        "| `{}` | {} | {} | {unit} | {}{} |\n",
        queried(metric),
        called(metric.kind),
        labels.join(", "),
        metric.help.replace('|', r"\|"),
        note.replace('|', r"\|"),
    )
}

/// The name as a query has it.
#[must_use]
pub fn queried(metric: &Metric) -> String {
    let suffix = match metric.kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        _ => "",
    };
    format!("{}{suffix}", metric.family())
}

/// What a type is called.
fn called(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::GaugeHistogram => "gauge histogram",
        Kind::Summary => "summary",
        Kind::Info => "info",
        Kind::StateSet => "stateset",
        Kind::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Unit;

    #[test]
    fn a_metric_is_a_row() {
        static WAIT: Metric = Metric {
            name: "queue_wait",
            help: "Time spent waiting, \"a|b\"",
            kind: Kind::Counter,
            unit: Unit::Seconds,
            labels: &["pipeline", "queue"],
            ..Metric::BLANK
        };
        const PAGE: Page = Page { id: "queues", title: "Queues", about: "What waits.", metrics: &[&WAIT] };
        let text = markdown(&[&PAGE]);
        let row = "| `neural_queue_wait_seconds_total` | counter | `pipeline`, `queue` | seconds | \
                   Time spent waiting, \"a\\|b\" |";
        assert!(text.lines().any(|line| line == row), "{text}");
        assert!(text.contains("\n## Queues\n\nWhat waits.\n"));
    }
}
