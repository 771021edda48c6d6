//! Page: APIs, databases, service checks, and how good data and answers are.

use super::{LATENCY, Metric, Page, Unit, limit};
use crate::event::{Body, Kind, ScoreSubject, Topic};

/// APIs, databases, service checks, and how good data and answers are.
pub static PAGE: Page = Page {
    id: "service",
    title: "Quality, API and database",
    about: "Requests, queries and checks reported by services, and scores from 0 to 1 for data and models.",
    metrics: &[
        &DATA_QUALITY,
        &ACCURACY,
        &REQUEST_DURATION,
        &REQUEST_FAILURES,
        &QUERY_DURATION,
        &QUERY_FAILURES,
        &CHECK,
    ],
};

static DATA_QUALITY: Metric = Metric {
    name: "data_quality",
    help: "Quality of a pipeline's data, from 0 to 1",
    unit: Unit::Ratio,
    labels: &["pipeline"],
    on: &[Topic::Score],
    read: |event, row| {
        if let Body::Score(s) = &event.body
            && s.of == ScoreSubject::Data
        {
            row.set(&[s.pipeline], s.ratio);
        }
    },
    ..Metric::BLANK
};

static ACCURACY: Metric = Metric {
    name: "model_accuracy",
    help: "Share of a model's predictions that are right",
    unit: Unit::Ratio,
    labels: &["pipeline", "model"],
    on: &[Topic::Score],
    read: |event, row| {
        if let Body::Score(s) = &event.body
            && let ScoreSubject::Model(model) = s.of
        {
            row.set(&[s.pipeline, model], s.ratio);
        }
    },
    ..Metric::BLANK
};

static REQUEST_DURATION: Metric = Metric {
    name: "api_request_duration",
    help: "Duration of API requests, by service, method, route and status class",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: LATENCY,
    judged: &[&limit::API_LATENCY, &limit::API_LATENCY_CRITICAL],
    labels: &["service", "method", "route", "status"],
    on: &[Topic::Request],
    read: |event, row| {
        if let Body::Request(r) = &event.body {
            row.observe(
                &[r.service, r.method, r.route, class(r.status)],
                r.seconds,
                r.trace.map(|trace| trace.id),
            );
        }
    },
    ..Metric::BLANK
};

static REQUEST_FAILURES: Metric = Metric {
    name: "api_request_failures",
    help: "API requests with a status of 500 or above",
    kind: Kind::Counter,
    labels: &["service", "method", "route"],
    on: &[Topic::Request],
    read: |event, row| {
        if let Body::Request(r) = &event.body {
            row.add(&[r.service, r.method, r.route], f64::from(r.status >= 500));
        }
    },
    ..Metric::BLANK
};

static QUERY_DURATION: Metric = Metric {
    name: "db_query_duration",
    help: "Duration of database queries, by operation",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: LATENCY,
    judged: &[&limit::DB_LATENCY, &limit::DB_LATENCY_CRITICAL],
    labels: &["database", "operation"],
    on: &[Topic::Query],
    read: |event, row| {
        if let Body::Query(q) = &event.body {
            row.observe(&[q.database, q.operation], q.seconds, q.trace.map(|trace| trace.id));
        }
    },
    ..Metric::BLANK
};

static QUERY_FAILURES: Metric = Metric {
    name: "db_query_failures",
    help: "Database queries that failed, by operation",
    kind: Kind::Counter,
    labels: &["database", "operation"],
    on: &[Topic::Query],
    read: |event, row| {
        if let Body::Query(q) = &event.body {
            row.add(&[q.database, q.operation], f64::from(q.failed));
        }
    },
    ..Metric::BLANK
};

static CHECK: Metric = Metric {
    name: "check_status",
    help: "Result of a service check: 0 ok, 1 warning, 2 critical, 3 unknown",
    labels: &["check"],
    on: &[Topic::Check],
    read: |event, row| {
        if let Body::Check(c) = &event.body {
            row.set(&[c.check], f64::from(c.status));
        }
    },
    ..Metric::BLANK
};

/// A status code's class: five values instead of hundreds.
fn class(status: u16) -> &'static str {
    match status {
        0..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}
