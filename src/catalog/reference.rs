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

Every metric that the agent exposes, by the question it answers. This text is written from the catalogue
in the program; `neural-exporter metrics --markdown` prints it for the configuration at hand, metrics of
your own included.

All values are in base units: seconds, bytes, hertz, ratios from 0 to 1. Names are given as a query has
them. Labels that Prometheus adds (`job`, `instance`) are not listed.

| type | in a scrape | what to do with it |
|---|---|---|
| counter | `name_total` | `rate(name_total[5m])`; it only grows, and begins at 0 with the agent |
| gauge | `name` | its value; it leaves when nothing has been heard of it for a while |
| histogram | `name_bucket{le=\"…\"}`, `name_sum`, `name_count` | `histogram_quantile(0.99, sum by (le) (rate(name_bucket[5m])))`; exemplars carry trace ids |
| info | `name_info`, always 1 | its labels are the facts; join them with `* on (…) group_left (…)` |
";

/// What stands after them.
const END: &str = "
Beside these the agent says of its process what every exporter says, under the names that all of them
share: `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`,
`process_open_fds`, `process_max_fds`, `process_threads` and `process_start_time_seconds`, without labels. What others
say under these names, such as a program that is scraped, has its labels: `process_open_fds{source=''}` is the agent. A
line without labels is refused as a conflict.

## Metrics of your own

A *pack* is a YAML file that declares metrics with the fields of the tables above: name, help, type, unit,
labels, buckets and how long a silent series stays. Packs lie in the folder `packs` beside the
configuration and join the catalogue when the agent starts or reloads; four to copy from are in
`deploy/packs`. A declared metric has its help, type and buckets from its pack whatever the sender says,
and one without labels exists at zero before its first event. When its type, unit, labels or buckets change, it begins
again with the reload; when it is gone from the packs, what senders say of it decides. Any source that carries values by name may
move it: a JSON line `{\"metric\":\"…\",\"value\":…,\"labels\":{…}}`, StatsD, or a scraped exposition.

A metric that nobody declared is taken as the line describes it. The first sender of a name decides its
type; later lines that disagree are refused and counted in `neural_source_faults_total{kind=\"conflict\"}`.
A series has at most 64 labels and 4,096 bytes of them. Families have a ceiling of series, all together one of
bytes (`limits.memory`), and one source takes at most three quarters of what others leave. A name too many
is refused with `kind=\"limit\"`; a counter or histogram over a ceiling continues in one series whose label
values are `_other`, a gauge is refused, and `neural_agent_series_refused_total` says how often.
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
    format!(
        "| `{}` | {} | {} | {unit} | {} |\n",
        queried(metric),
        called(metric.kind),
        labels.join(", "),
        metric.help.replace('|', r"\|"),
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
