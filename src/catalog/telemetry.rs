//! Page: how fast and how sound are the services that send by OpenTelemetry?

use super::{LATENCY, Metric, Page, Unit};
use crate::event::{Body, Kind, Topic};

/// How fast and how sound are the services that send by OpenTelemetry?
pub static PAGE: Page = Page {
    id: "telemetry",
    title: "Traces and logs",
    about: "Spans and records of logs that services send by OpenTelemetry, added up: no span and no record is kept.",
    metrics: &[&SPAN_DURATION, &SPAN_FAILURES, &LOG_RECORDS, &CLOCK_LAG],
};

/// What the metrics of spans have in common.
const SPAN: Metric = Metric { labels: &["service", "span", "kind"], on: &[Topic::Span], ..Metric::BLANK };

static SPAN_DURATION: Metric = Metric {
    name: "span_duration",
    help: "Duration of spans, by service, name and kind",
    note: "Its count is that of all spans, failed ones included; spans that are runs of a stage are in `neural_stage_duration_seconds` instead. \
           Beyond the first `span_names` names of a service, the name is `_other`",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: LATENCY,
    read: |event, row| {
        if let Body::Span(s) = &event.body {
            row.observe(&[s.service, s.name, s.kind.as_str()], s.seconds, s.trace);
        }
    },
    ..SPAN
};

static SPAN_FAILURES: Metric = Metric {
    name: "span_failures",
    help: "Spans whose status is that of an error, by service, name and kind",
    kind: Kind::Counter,
    read: |event, row| {
        if let Body::Span(s) = &event.body {
            row.add(&[s.service, s.name, s.kind.as_str()], f64::from(s.failed));
        }
    },
    ..SPAN
};

static LOG_RECORDS: Metric = Metric {
    name: "log_records",
    help: "Records of logs, by service and severity",
    kind: Kind::Counter,
    labels: &["service", "severity"],
    on: &[Topic::LogRecord],
    read: |event, row| {
        if let Body::LogRecord(r) = &event.body {
            row.add(&[r.service, r.severity.as_str()], 1.0);
        }
    },
    ..Metric::BLANK
};

static CLOCK_LAG: Metric = Metric {
    name: "otlp_clock_lag",
    help: "Time from the newest item of an OTLP request, by the sender's clock, to its arrival at the agent",
    note: "An item is a span, a data point or a record. Some seconds are those in which the sender collects; below 0, or far above, the clocks differ",
    unit: Unit::Seconds,
    labels: &["service", "signal"],
    on: &[Topic::Export],
    read: |event, row| {
        if let Body::Export(e) = &event.body
            && let Some(newest) = e.newest
        {
            row.set(&[e.service, e.signal.as_str()], event.at.wall_seconds() - newest);
        }
    },
    ..Metric::BLANK
};
