//! Services: APIs, databases and the checks that services make of themselves.

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use super::pipeline::{BUDGET, BUDGET_GONE, BURN, BURN_PAGE};
use crate::catalog::draw::{Panel, Rating, State, state};
use crate::catalog::limit::{
    API_FAILURES, API_FAILURES_CRITICAL, API_LATENCY, API_LATENCY_CRITICAL, DATA_QUALITY,
    DATA_QUALITY_CRITICAL, DB_FAILURES, DB_LATENCY, DB_LATENCY_CRITICAL, MODEL_ACCURACY,
};
use crate::catalog::probe::STATES;

/// What a check says.
const VERDICTS: &[State] = &[
    state(0.0, "healthy", Rating::Good),
    state(1.0, "warning", Rating::Odd),
    state(2.0, "critical", Rating::Bad),
    state(3.0, "unknown", Rating::Plain),
];

/// How an attempt of a probe ended.
const ATTEMPT: &[State] = &[state(1.0, "succeeded", Rating::Good), state(0.0, "failed", Rating::Bad)];

/// Whether others depend on a target.
const CRITICAL: &[State] = &[state(1.0, "yes", Rating::Plain), state(0.0, "no", Rating::Plain)];

pub(super) static BOARD: Board = Board {
    key: "services",
    title: "Services, API and database",
    about: "Latency and errors of the APIs, databases and services that report to the agent.",
    pages: &["service", "probe"],
    by_machine: false,
    variables: &[("service", "Service"), ("database", "Database")],
    range: "now-1h",
    refresh: "30s",
    rows: &[
        open("Now", &[
            stat("Requests now", "reqps", "Requests per second, of all selected services.", &[q(
                "sum(rate(neural_api_request_duration_seconds_count[5m]))",
                "",
            )]),
            stat(
                "Failed, worst service",
                "percentunit",
                "Share of requests that were answered with a status of 500 or above, of the service that fails most.",
                &[q(
                    "max(sum by (service) (rate(neural_api_request_failures_total[5m])) / sum by (service) (rate(neural_api_request_duration_seconds_count[5m])))",
                    "",
                )],
            )
            .limits(&[&API_FAILURES, &API_FAILURES_CRITICAL]),
            stat("Slowest service, p95", "s", "95th percentile of the duration of requests, of the slowest service.", &[q(
                "max(histogram_quantile(0.95, sum by (service, le) (rate(neural_api_request_duration_seconds_bucket[5m]))))",
                "",
            )])
            .limits(&[&API_LATENCY, &API_LATENCY_CRITICAL]),
            stat("Slowest database, p95", "s", "95th percentile of the duration of queries, of the slowest database.", &[q(
                "max(histogram_quantile(0.95, sum by (database, le) (rate(neural_db_query_duration_seconds_bucket[5m]))))",
                "",
            )])
            .limits(&[&DB_LATENCY, &DB_LATENCY_CRITICAL]),
        ]),
        open("Health", &[
            view(
                Panel::Stat,
                "Service health",
                "none",
                "Status of each check now. Unknown is a check that could not run.",
                &[q("max by (check) (neural_check_status)", "{{check}}")],
            )
            .states(VERDICTS)
            .beside(2)
            .empty("no check"),
            view(
                Panel::States,
                "Service health over time",
                "none",
                "Status of each check, the worst of all machines.",
                &[q("max by (check) (neural_check_status)", "{{check}}")],
            )
            .states(VERDICTS)
            .beside(2)
            .empty("no check"),
        ]),
        open("Probes", &[
            view(
                Panel::States,
                "Probes over time",
                "none",
                "State of each target that agents look at, the worst of all machines. Unknown is a probe that could not look.",
                &[q("max by (source) (neural_probe_status)", "{{source}}")],
            )
            .states(STATES)
            .beside(2)
            .empty("no probe"),
            lines(
                "Time to answer",
                "s",
                "Duration of the last attempt that was answered, by probe. A line that is flat may be of a target that no longer answers.",
                &[q("max by (source) (neural_probe_duration_seconds)", "{{source}}")],
            )
            .beside(2)
            .empty("no probe"),
            view(
                Panel::Table,
                "Targets",
                "none",
                "Each target that the agent looks at. Availability is the share of the selected time in which it was not unhealthy; time in which its state was unknown does not count. Others depend on one that is critical.",
                &[
                    column("max by (instance, source) (neural_probe_status)", "State", "none").states(STATES),
                    column("max by (instance, source) (neural_probe_success)", "Last attempt", "none").states(ATTEMPT),
                    column("max by (instance, source) (neural_probe_duration_seconds)", "Time", "s"),
                    column(
                        "1 - sum by (instance, source) (increase(neural_probe_state_seconds_total{state=\"unhealthy\"}[$__range])) / (sum by (instance, source) (increase(neural_probe_state_seconds_total{state!=\"unknown\"}[$__range])) > 0)",
                        "Availability",
                        "percentunit",
                    ),
                    column("max by (instance, source) (neural_probe_critical)", "Critical", "none").states(CRITICAL),
                ],
            )
            .first(&["source", "Value #A", "Value #B"])
            .sorted(&[("Availability", false), ("State", true)])
            .empty("no probe"),
        ]),
        closed("Availability of probes", &[
            view(
                Panel::Table,
                "Error budget left of probes, 30 days",
                "percentunit",
                "Remaining share of the time within thirty days in which what a probe looks at may be unhealthy: 100 % is the whole budget, below 0 the objective is missed. Time in which its state was unknown does not count. The recording rules of the objectives must be evaluated.",
                &[
                    column(
                        "1 - max by (instance, source) (avg_over_time(source:neural_probe_unhealthy:ratio_rate5m[30d]))",
                        "Availability",
                        "percentunit",
                    ),
                    column(
                        "1 - max by (instance, source) (avg_over_time(source:neural_probe_unhealthy:ratio_rate5m[30d])) / (1 - ${slo_probe_available})",
                        "Budget left",
                        "percentunit",
                    )
                    .limits(&[&BUDGET, &BUDGET_GONE]),
                ],
            )
            .first(&["source"])
            .sorted(&[("Budget left", false)])
            .beside(2)
            .empty("no rule was evaluated"),
            lines(
                "Burn rate of probes",
                "none",
                "How fast the budget of each probe is used up, over the last hour: at 1 it lasts thirty days, at 14.4 two.",
                &[q(
                    "max by (source) (source:neural_probe_unhealthy:ratio_rate1h) / (1 - ${slo_probe_available})",
                    "{{source}}",
                )],
            )
            .limits(&[&BURN, &BURN_PAGE])
            .beside(2)
            .empty("no rule was evaluated"),
        ]),
        open("API", &[
            lines("API requests", "reqps", "Requests per second, by service and class of status.", &[q(
                "sum by (service, status) (rate(neural_api_request_duration_seconds_count[$__rate_interval]))",
                "{{service}} {{status}}",
            )]),
            lines(
                "Failed requests",
                "percentunit",
                "Share of requests of each service that were answered with a status of 500 or above.",
                &[q(
                    "sum by (service) (rate(neural_api_request_failures_total[$__rate_interval])) / sum by (service) (rate(neural_api_request_duration_seconds_count[$__rate_interval]))",
                    "{{service}}",
                )],
            )
            .limits(&[&API_FAILURES, &API_FAILURES_CRITICAL]),
            lines(
                "API response time",
                "s",
                "Median, 95th and 99th percentile of the duration of requests of each service.",
                &[
                    q("histogram_quantile(0.5, sum by (service, le) (rate(neural_api_request_duration_seconds_bucket[$__rate_interval])))", "p50 {{service}}"),
                    q("histogram_quantile(0.95, sum by (service, le) (rate(neural_api_request_duration_seconds_bucket[$__rate_interval])))", "p95 {{service}}"),
                    q("histogram_quantile(0.99, sum by (service, le) (rate(neural_api_request_duration_seconds_bucket[$__rate_interval])))", "p99 {{service}}"),
                ],
            )
            .limits(&[&API_LATENCY]),
            lines(
                "Share of 4xx and 5xx",
                "percentunit",
                "Share of responses with client errors (4xx) and server errors (5xx).",
                &[
                    q("sum(rate(neural_api_request_duration_seconds_count{status=\"4xx\"}[$__rate_interval])) / sum(rate(neural_api_request_duration_seconds_count[$__rate_interval]))", "4xx"),
                    q("sum(rate(neural_api_request_duration_seconds_count{status=\"5xx\"}[$__rate_interval])) / sum(rate(neural_api_request_duration_seconds_count[$__rate_interval]))", "5xx"),
                ],
            )
            .beside(2)
            .empty("no errors"),
            view(
                Panel::Bars,
                "Slowest routes, p95",
                "s",
                "The ten routes with the longest response time.",
                &[q(
                    "topk(10, histogram_quantile(0.95, sum by (service, method, route, le) (rate(neural_api_request_duration_seconds_bucket[5m]))))",
                    "{{service}} {{method}} {{route}}",
                )],
            )
            .limits(&[&API_LATENCY, &API_LATENCY_CRITICAL])
            .beside(2),
        ]),
        open("Database", &[
            lines("Queries", "ops", "Queries per second, by database and operation.", &[q(
                "sum by (database, operation) (rate(neural_db_query_duration_seconds_count[$__rate_interval]))",
                "{{database}} {{operation}}",
            )]),
            lines(
                "Database performance, p95",
                "s",
                "95th percentile of the duration of queries, by operation. One that grows may need an index.",
                &[q(
                    "histogram_quantile(0.95, sum by (database, operation, le) (rate(neural_db_query_duration_seconds_bucket[$__rate_interval])))",
                    "{{database}} {{operation}}",
                )],
            )
            .limits(&[&DB_LATENCY]),
            lines("Failed queries", "percentunit", "Share of queries that failed, by operation.", &[q(
                "sum by (database, operation) (rate(neural_db_query_failures_total[$__rate_interval])) / sum by (database, operation) (rate(neural_db_query_duration_seconds_count[$__rate_interval]))",
                "{{database}} {{operation}}",
            )])
            .limits(&[&DB_FAILURES]),
        ]),
        closed("Quality of data and models", &[
            lines("Data quality of pipelines", "percentunit", "Data quality reported by each pipeline.", &[q(
                "min by (pipeline) (neural_data_quality_ratio)",
                "{{pipeline}}",
            )])
            .limits(&[&DATA_QUALITY, &DATA_QUALITY_CRITICAL])
            .whole(),
            lines("Accuracy", "percentunit", "Share of predictions that are right, by model.", &[q(
                "min by (pipeline, model) (neural_model_accuracy_ratio)",
                "{{pipeline}} {{model}}",
            )])
            .limits(&[&MODEL_ACCURACY])
            .whole(),
        ]),
    ],
};
