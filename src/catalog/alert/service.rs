//! Alerts: services that pipelines lean on: their checks, requests and databases.

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "service",
    group: "neural-service",
    interval: 30,
    records: &[
        Record {
            name: "service:neural_api_requests:rate5m",
            expr: "sum without (method, route, status) (rate(neural_api_request_duration_seconds_count[5m]))",
        },
        Record {
            name: "service:neural_api_request_failures:ratio_rate5m",
            expr: "sum without (method, route) (rate(neural_api_request_failures_total[5m]))\n/\nservice:neural_api_requests:rate5m",
        },
        Record {
            name: "service:neural_api_request_duration_seconds:p95_rate5m",
            expr: "histogram_quantile(0.95, sum without (method, route, status) (rate(neural_api_request_duration_seconds_bucket[5m])))",
        },
        Record {
            name: "database:neural_db_query_failures:ratio_rate5m",
            expr: "sum without (operation) (rate(neural_db_query_failures_total[5m]))\n/\nsum without (operation) (rate(neural_db_query_duration_seconds_count[5m]))",
        },
        Record {
            name: "database:neural_db_query_duration_seconds:p95_rate5m",
            expr: "histogram_quantile(0.95, sum without (operation) (rate(neural_db_query_duration_seconds_bucket[5m])))",
        },
    ],
    alerts: &[&CHECK, &API_FAILURES, &API_LATENCY, &DB_FAILURES, &DB_LATENCY],
};

static CHECK: Alert = Alert {
    name: "NeuralCheckFailing",
    level: Level::new(Severity::Medium, Priority::P2, 120, "neural_check_status > 0"),
    worse: Some(Level::new(Severity::Critical, Priority::P1, 60, "neural_check_status == 2")),
    keep_firing: 60,
    summary: "The check {{ $labels.check }} fails",
    description: "Its status is {{ $value }}: 1 is a warning, 2 critical, 3 unknown.",
    meaning: "A service reports a problem with itself.",
    immediate: &["Read the log of the service; the text of the check is at its sender."],
    short_term: &["Restart the service only after you have read its log."],
    long_term: &["Let the service send one check per dependency."],
    queries: &["neural_check_status"],
    related: &["NeuralApiFailures", "NeuralProcessMissing"],
    fires: Case::fires(10, &[("neural_check_status{check='lsl'}", "0x3 1x12")], &[("check", "lsl")], "1"),
    worsens: Some(Case::fires(
        10,
        &[("neural_check_status{check='lsl'}", "0x3 2x12")],
        &[("check", "lsl")],
        "2",
    )),
    quiet: Case::quiet(10, &[("neural_check_status{check='lsl'}", "0x15")]),
    ..Alert::BLANK
};

static API_FAILURES: Alert = Alert {
    name: "NeuralApiFailures",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "service:neural_api_request_failures:ratio_rate5m > ${api_failures} and service:neural_api_requests:rate5m > ${api_traffic}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P0,
        60,
        "service:neural_api_request_failures:ratio_rate5m > ${api_failures_critical} and service:neural_api_requests:rate5m > ${api_traffic}",
    )),
    keep_firing: 60,
    summary: "Requests to {{ $labels.service }} fail",
    description: "{{ $value | humanizePercentage }} are answered with a status of 500 or above; the limit is ${api_failures}.",
    meaning: "The service fails on its side, not because of its callers.",
    immediate: &[
        "Find the route: `sum by (service, route) (rate(neural_api_request_failures_total[5m]))`.",
        "Read the service's log for it.",
    ],
    short_term: &["If it started with a change, go back to the previous version."],
    long_term: &["Test that route with the input that broke it."],
    queries: &[
        "sum by (service, method, route) (rate(neural_api_request_failures_total[5m]))",
        "service:neural_api_request_failures:ratio_rate5m",
    ],
    related: &["NeuralApiLatency", "NeuralDbFailures", "NeuralCheckFailing"],
    fires: Case::fires(
        15,
        &[
            ("neural_api_request_failures_total{service='gateway',method='GET',route='/predict'}", "0+6x20"),
            (
                "neural_api_request_duration_seconds_count{service='gateway',method='GET',route='/predict',status='2xx'}",
                "0+54x20",
            ),
            (
                "neural_api_request_duration_seconds_count{service='gateway',method='GET',route='/predict',status='5xx'}",
                "0+6x20",
            ),
        ],
        &[("service", "gateway")],
        "10%",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_api_request_failures_total{service='gateway',method='GET',route='/predict'}", "0+60x20"),
            (
                "neural_api_request_duration_seconds_count{service='gateway',method='GET',route='/predict',status='5xx'}",
                "0+60x20",
            ),
        ],
        &[("service", "gateway")],
        "100%",
    )),
    quiet: Case::quiet(
        15,
        &[
            ("neural_api_request_failures_total{service='gateway',method='GET',route='/predict'}", "0+1x20"),
            (
                "neural_api_request_duration_seconds_count{service='gateway',method='GET',route='/predict',status='5xx'}",
                "0+1x20",
            ),
        ],
    ),
    ..Alert::BLANK
};

static API_LATENCY: Alert = Alert {
    name: "NeuralApiLatency",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "service:neural_api_request_duration_seconds:p95_rate5m > ${api_latency} and service:neural_api_requests:rate5m > ${api_traffic}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        120,
        "service:neural_api_request_duration_seconds:p95_rate5m > ${api_latency_critical} and service:neural_api_requests:rate5m > ${api_traffic}",
    )),
    keep_firing: 60,
    summary: "{{ $labels.service }} answers slowly",
    description: "95 of 100 requests take up to {{ $value | humanizeDuration }}; the limit is ${api_latency}.",
    meaning: "Requests take too long. Something the service waits for is slow, or there are too many requests.",
    immediate: &["See whether the rate of requests rose, and whether the database is slow."],
    short_term: &["Follow an exemplar's trace to a slow request."],
    long_term: &["Limit the work of one request."],
    queries: &[
        "service:neural_api_request_duration_seconds:p95_rate5m",
        "service:neural_api_requests:rate5m",
    ],
    related: &["NeuralDbLatency", "NeuralHostCpu"],
    fires: Case::fires(
        15,
        &[
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='1'}",
                "0x20",
            ),
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='2.5'}",
                "0+60x20",
            ),
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='+Inf'}",
                "0+60x20",
            ),
            (
                "neural_api_request_duration_seconds_count{service='gateway',method='GET',route='/predict',status='2xx'}",
                "0+60x20",
            ),
        ],
        &[("service", "gateway")],
        "2.425s",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='5'}",
                "0x20",
            ),
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='10'}",
                "0+60x20",
            ),
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='+Inf'}",
                "0+60x20",
            ),
            (
                "neural_api_request_duration_seconds_count{service='gateway',method='GET',route='/predict',status='2xx'}",
                "0+60x20",
            ),
        ],
        &[("service", "gateway")],
        "9.75s",
    )),
    quiet: Case::quiet(
        15,
        &[
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='0.1'}",
                "0+60x20",
            ),
            (
                "neural_api_request_duration_seconds_bucket{service='gateway',method='GET',route='/predict',status='2xx',le='+Inf'}",
                "0+60x20",
            ),
            (
                "neural_api_request_duration_seconds_count{service='gateway',method='GET',route='/predict',status='2xx'}",
                "0+60x20",
            ),
        ],
    ),
    ..Alert::BLANK
};

static DB_FAILURES: Alert = Alert {
    name: "NeuralDbFailures",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "database:neural_db_query_failures:ratio_rate5m > ${db_failures}\nand sum without (operation) (rate(neural_db_query_failures_total[5m])) > 0.05",
    ),
    summary: "Queries of {{ $labels.database }} fail",
    description: "{{ $value | humanizePercentage }} of its queries fail; the limit is ${db_failures}.",
    meaning: "A database rejects queries, or cannot be reached.",
    immediate: &[
        "Find the kind of query: `sum by (database, operation) (rate(neural_db_query_failures_total[5m]))`.",
        "Check that the database runs and has free disk space.",
    ],
    short_term: &["Count its connections: a pool that is too large starves the others."],
    long_term: &["Let the pipeline continue without the database, and write later."],
    queries: &["sum by (database, operation) (rate(neural_db_query_failures_total[5m]))"],
    related: &["NeuralDbLatency", "NeuralHostFilesystem"],
    fires: Case::fires(
        15,
        &[
            ("neural_db_query_failures_total{database='sessions',operation='insert'}", "0+12x20"),
            ("neural_db_query_duration_seconds_count{database='sessions',operation='insert'}", "0+60x20"),
        ],
        &[("database", "sessions")],
        "20%",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_db_query_failures_total{database='sessions',operation='insert'}", "0x20"),
            ("neural_db_query_duration_seconds_count{database='sessions',operation='insert'}", "0+60x20"),
        ],
    ),
    ..Alert::BLANK
};

static DB_LATENCY: Alert = Alert {
    name: "NeuralDbLatency",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "database:neural_db_query_duration_seconds:p95_rate5m > ${db_latency}",
    ),
    worse: Some(Level::new(
        Severity::High,
        Priority::P1,
        120,
        "database:neural_db_query_duration_seconds:p95_rate5m > ${db_latency_critical}",
    )),
    summary: "{{ $labels.database }} is slow",
    description: "95 of 100 queries take up to {{ $value | humanizeDuration }}; the limit is ${db_latency}.",
    meaning: "Queries take too long: a lock, a missing index, or a disk that is busy with a recording.",
    immediate: &["See whether a disk is busy, and whether a lock is held."],
    short_term: &["Find the kind of query, and look at its plan."],
    long_term: &["Keep the database and the recordings on different disks."],
    queries: &[
        "histogram_quantile(0.95, sum by (le, database, operation) (rate(neural_db_query_duration_seconds_bucket[5m])))",
        "rate(neural_host_disk_busy_seconds_total[5m])",
    ],
    related: &["NeuralHostDiskBusy", "NeuralApiLatency"],
    fires: Case::fires(
        15,
        &[
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='0.5'}",
                "0x20",
            ),
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='1'}",
                "0+60x20",
            ),
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='+Inf'}",
                "0+60x20",
            ),
        ],
        &[("database", "sessions")],
        "975ms",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='2.5'}",
                "0x20",
            ),
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='5'}",
                "0+60x20",
            ),
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='+Inf'}",
                "0+60x20",
            ),
        ],
        &[("database", "sessions")],
        "4.875s",
    )),
    quiet: Case::quiet(
        15,
        &[
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='0.01'}",
                "0+60x20",
            ),
            (
                "neural_db_query_duration_seconds_bucket{database='sessions',operation='insert',le='+Inf'}",
                "0+60x20",
            ),
        ],
    ),
    ..Alert::BLANK
};
