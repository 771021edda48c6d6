//! Traces: how fast and how sound the spans of services and the stages are, and what became of those that are sent on.

use super::super::view::{Board, lines, open, q, stat, view};
use crate::catalog::draw::{Panel, Rating, State, state};

/// Whether the last request failed.
const TARGET: &[State] = &[state(0.0, "accepts spans", Rating::Good), state(1.0, "does not", Rating::Bad)];

pub(super) static BOARD: Board = Board {
    key: "traces",
    title: "Traces",
    about: "Spans of services that send by OpenTelemetry, the slowest stages, and the spans that are sent to a tracing server.",
    pages: &["telemetry", "trace"],
    by_machine: false,
    variables: &[("service", "Service"), ("target", "Target")],
    range: "now-1h",
    refresh: "30s",
    rows: &[
        open("Now", &[
            stat("Spans now", "ops", "Spans per second, of all selected services.", &[q(
                "sum(rate(neural_span_duration_seconds_count[5m]))",
                "",
            )])
            .empty("no span"),
            stat("Failed, worst service", "percentunit", "Share of spans whose status is that of an error, of the service that fails most.", &[q(
                "max(sum by (service) (rate(neural_span_failures_total[5m])) / sum by (service) (rate(neural_span_duration_seconds_count[5m])))",
                "",
            )])
            .empty("no span"),
            stat("Sent now", "ops", "Spans per second that all targets accept.", &[q(
                "sum(rate(neural_agent_trace_sent_spans_total[5m]))",
                "",
            )])
            .empty("no target"),
            stat("Waiting", "none", "Spans that wait for a target.", &[q("sum(neural_agent_trace_waiting_spans)", "")])
                .empty("no target"),
        ]),
        open("Spans", &[
            lines("Spans of services", "ops", "Spans per second, by service and kind.", &[q(
                "sum by (service, kind) (rate(neural_span_duration_seconds_count[$__rate_interval]))",
                "{{service}} {{kind}}",
            )])
            .empty("no span"),
            lines("Failed spans", "percentunit", "Share of spans of each service whose status is that of an error.", &[q(
                "sum by (service) (rate(neural_span_failures_total[$__rate_interval])) / sum by (service) (rate(neural_span_duration_seconds_count[$__rate_interval]))",
                "{{service}}",
            )])
            .empty("no span"),
            lines("Duration of spans, p95", "s", "95th percentile of the duration of the spans of each service. Its exemplars are traces.", &[q(
                "histogram_quantile(0.95, sum by (service, le) (rate(neural_span_duration_seconds_bucket[$__rate_interval])))",
                "{{service}}",
            )])
            .empty("no span"),
            view(Panel::Bars, "Slowest spans, p95", "s", "The ten names of spans with the longest duration.", &[q(
                "topk(10, histogram_quantile(0.95, sum by (service, span, le) (rate(neural_span_duration_seconds_bucket[5m]))))",
                "{{service}} {{span}}",
            )])
            .beside(2)
            .empty("no span"),
            view(Panel::Bars, "Slowest stages, p95", "s", "The ten stages with the longest duration.", &[q(
                "topk(10, histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[5m]))))",
                "{{pipeline}} {{stage}}",
            )])
            .beside(2)
            .empty("no stage"),
        ]),
        open("Sent", &[
            view(Panel::States, "Targets over time", "none", "Whether each target accepted the last request, the worst of all machines.", &[q(
                "max by (target) (neural_agent_trace_failing)",
                "{{target}}",
            )])
            .states(TARGET)
            .beside(2)
            .empty("no target"),
            lines("Requests that failed", "ops", "Requests per second that each target did not accept.", &[q(
                "sum by (target) (rate(neural_agent_trace_failures_total[$__rate_interval]))",
                "{{target}}",
            )])
            .beside(2)
            .empty("no target"),
            lines("Spans that are sent", "ops", "Spans per second that each target accepts.", &[q(
                "sum by (target) (rate(neural_agent_trace_sent_spans_total[$__rate_interval]))",
                "{{target}}",
            )])
            .beside(2)
            .empty("no target"),
            lines("Spans that are dropped", "ops", "Spans per second that a target does not get, by reason.", &[q(
                "sum by (target, reason) (rate(neural_agent_trace_dropped_spans_total[$__rate_interval]))",
                "{{target}} {{reason}}",
            )])
            .beside(2)
            .empty("no target"),
        ]),
    ],
};
