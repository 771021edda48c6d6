//! Neural processing: how fast and how sound are the stages, queues and caches of each pipeline?

use super::super::view::{Board, Query, closed, column, lines, open, q, stat, view};
use crate::catalog::Unit;
use crate::catalog::draw::Panel;
use crate::catalog::limit::{
    CACHE_HITS, DATA_QUALITY, DATA_QUALITY_CRITICAL, Limit, MODEL_ACCURACY, PIPELINE_ERRORS, QUEUE_FILL,
    QUEUE_FILL_CRITICAL, STAGE_FAILURES, STAGE_FAILURES_CRITICAL, STAGE_LAG, STAGE_LATENCY,
    STAGE_LATENCY_CRITICAL, Side,
};

/// Quantiles of all stages that are chosen, together.
const LATENCY: &[Query] = &[
    q(
        "histogram_quantile(0.5, sum by (le) (rate(neural_stage_duration_seconds_bucket[$__rate_interval])))",
        "p50",
    ),
    q(
        "histogram_quantile(0.95, sum by (le) (rate(neural_stage_duration_seconds_bucket[$__rate_interval])))",
        "p95",
    ),
    q(
        "histogram_quantile(0.99, sum by (le) (rate(neural_stage_duration_seconds_bucket[$__rate_interval])))",
        "p99",
    ),
];

/// A share of the budget below which one should look, and none of it.
pub(super) static BUDGET: Limit = Limit {
    id: "budget",
    help: "Share of an error budget that should be left",
    unit: Unit::Ratio,
    value: 0.25,
    wrong: Side::Below,
};
pub(super) static BUDGET_GONE: Limit = Limit { id: "budget_gone", value: 0.0, ..BUDGET };

/// The burn rates for a ticket and for a page: the factors of the alerts of the objectives.
pub(super) static BURN: Limit = Limit {
    id: "burn",
    help: "How fast an error budget may be used up",
    unit: Unit::None,
    value: 1.0,
    wrong: Side::Above,
};
pub(super) static BURN_PAGE: Limit = Limit { id: "burn_page", value: 14.4, ..BURN };

pub(super) static BOARD: Board = Board {
    key: "processing",
    title: "Neural processing",
    about: "Latency, errors and throughput of the stages, queues and caches of each pipeline, and the quality of their results.",
    pages: &["pipeline"],
    by_machine: false,
    variables: &[("pipeline", "Pipeline"), ("stage", "Stage")],
    range: "now-1h",
    refresh: "10s",
    rows: &[
        open("Now", &[
            stat(
                "Runs now",
                "ops",
                "Runs of all stages per second. No data means that the pipelines are stopped or send no events.",
                &[q("sum(rate(neural_stage_duration_seconds_count[5m]))", "")],
            ),
            stat(
                "Slowest stage, p95",
                "s",
                "95th percentile of the duration of the slowest stage.",
                &[q(
                    "max(histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[5m]))))",
                    "",
                )],
            )
            .limits(&[&STAGE_LATENCY, &STAGE_LATENCY_CRITICAL]),
            stat(
                "Failed, worst stage",
                "percentunit",
                "Share of runs that failed over the last five minutes, of the stage that fails most.",
                &[q(
                    "max(sum by (pipeline, stage) (rate(neural_stage_failures_total[5m])) / sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[5m])))",
                    "",
                )],
            )
            .limits(&[&STAGE_FAILURES, &STAGE_FAILURES_CRITICAL]),
            stat(
                "Fullest queue",
                "percentunit",
                "Fill level of the fullest queue. A full queue drops or blocks.",
                &[q("max(neural_queue_depth / neural_queue_capacity)", "")],
            )
            .limits(&[&QUEUE_FILL, &QUEUE_FILL_CRITICAL])
            .empty("no queue"),
            view(
                Panel::Gauge,
                "Worst pipeline quality",
                "percentunit",
                "The lowest of the qualities that pipelines report of their data. The agent's assessment of electrodes is on the channels dashboard.",
                &[q("min(neural_data_quality_ratio)", "")],
            )
            .limits(&[&DATA_QUALITY, &DATA_QUALITY_CRITICAL])
            .whole(),
            view(
                Panel::Gauge,
                "Lowest accuracy",
                "percentunit",
                "Share of predictions that are right, of the model that is right least often. Retrain or recalibrate it.",
                &[q("min(neural_model_accuracy_ratio)", "")],
            )
            .limits(&[&MODEL_ACCURACY])
            .whole(),
        ]),
        open("Rate, errors, duration", &[
            lines(
                "Processing latency",
                "s",
                "Median, 95th and 99th percentile of the duration of the selected stages. The dots are single runs: click one for its trace.",
                LATENCY,
            )
            .limits(&[&STAGE_LATENCY])
            .beside(2),
            view(
                Panel::Heat,
                "Latency spread",
                "s",
                "Distribution of the duration of all selected stages. A second band is a slow path: select single stages above to find it.",
                &[q("sum by (le) (increase(neural_stage_duration_seconds_bucket[$__rate_interval]))", "{{le}}")],
            )
            .beside(2),
            lines(
                "Processing throughput",
                "ops",
                "Items (samples, epochs, tokens) that stages worked on per second. Stages of one pipeline that drift apart have a queue between them that fills.",
                &[q("sum by (pipeline, stage) (rate(neural_stage_items_total[$__rate_interval]))", "{{pipeline}} {{stage}}")],
            ),
            lines(
                "Runs",
                "ops",
                "Runs of each stage per second, failed ones included.",
                &[q(
                    "sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[$__rate_interval]))",
                    "{{pipeline}} {{stage}}",
                )],
            ),
            lines(
                "Failed runs",
                "percentunit",
                "Share of the runs of each stage that failed.",
                &[q(
                    "sum by (pipeline, stage) (rate(neural_stage_failures_total[$__rate_interval])) / sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[$__rate_interval]))",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .limits(&[&STAGE_FAILURES, &STAGE_FAILURES_CRITICAL]),
        ]),
        open("Stages", &[
            lines(
                "Latency of stages, p95",
                "s",
                "95th percentile of the duration of each stage. Look at the slowest stage.",
                &[q(
                    "histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[$__rate_interval])))",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .limits(&[&STAGE_LATENCY])
            .beside(2),
            lines(
                "End to end, mean",
                "s",
                "Sum of the mean durations of a pipeline's stages: processing time from the first stage to the last, without waiting in queues.",
                &[q(
                    "sum by (pipeline) (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_sum[$__rate_interval])) / (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[$__rate_interval])) > 0))",
                    "{{pipeline}}",
                )],
            )
            .beside(2),
            view(
                Panel::Stack,
                "Time by stage",
                "percentunit",
                "Processing time of stages per second: 100 % is one processor. The largest area is the bottleneck.",
                &[q(
                    "sum by (pipeline, stage) (rate(neural_stage_duration_seconds_sum[$__rate_interval]))",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .beside(2),
            lines(
                "Feature extraction time, p95",
                "s",
                "Duration of stages with feature in their name, 95th percentile. Empty if no such stage is selected.",
                &[
                    q(
                        "histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket{stage=~\".*feature.*\"}[$__rate_interval])))",
                        "{{pipeline}} {{stage}}",
                    ),
                ],
            )
            .limits(&[&STAGE_LATENCY])
            .beside(2)
            .empty("no stage of that name"),
            lines(
                "Model inference time, p95",
                "s",
                "95th percentile of the duration of stages that classify, decode, predict or infer.",
                &[q(
                    "histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket{stage=~\".*(infer|classif|decod|predict|model).*\"}[$__rate_interval])))",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .limits(&[&STAGE_LATENCY])
            .beside(2)
            .empty("no stage of that name"),
        ]),
        open("Queues and caches", &[
            lines(
                "Queue depth",
                "none",
                "Items waiting; the dashed line is the peak of the last minute. Steady growth means that the next stage is too slow.",
                &[
                    q("max by (pipeline, queue) (neural_queue_depth)", "{{pipeline}} {{queue}}"),
                    q("max by (pipeline, queue) (neural_queue_peak_depth)", "peak {{pipeline}} {{queue}}").dashed(),
                ],
            ),
            lines(
                "Queue fill",
                "percentunit",
                "Fill level of each queue.",
                &[q(
                    "max by (pipeline, queue) (neural_queue_depth) / max by (pipeline, queue) (neural_queue_capacity)",
                    "{{pipeline}} {{queue}}",
                )],
            )
            .limits(&[&QUEUE_FILL, &QUEUE_FILL_CRITICAL])
            .whole()
            .empty("no queue with a limit"),
            lines(
                "Cache hit rate",
                "percentunit",
                "Share of lookups that a cache answered. If it is low, enlarge the cache or improve its keys.",
                &[q(
                    "sum by (pipeline, cache) (rate(neural_cache_hits_total[$__rate_interval])) / sum by (pipeline, cache) (rate(neural_cache_lookups_total[$__rate_interval]))",
                    "{{pipeline}} {{cache}}",
                )],
            )
            .limits(&[&CACHE_HITS])
            .whole(),
        ]),
        closed("Objectives", &[
            view(
                Panel::Table,
                "Error budget left, 30 days",
                "percentunit",
                "Remaining share of the runs that may be slow, and of those that may fail, within thirty days: 100 % is the whole budget, below 0 the objective is missed. The recording rules of the objectives must be evaluated.",
                &[
                    column(
                        "1 - max by (pipeline, stage) (avg_over_time(stage:neural_stage_slow:ratio_rate5m[30d])) / (1 - ${slo_stage_fast})",
                        "Slow runs",
                        "percentunit",
                    )
                    .limits(&[&BUDGET, &BUDGET_GONE]),
                    column(
                        "1 - max by (pipeline, stage) (avg_over_time(stage:neural_stage_failed:ratio_rate5m[30d])) / (1 - ${slo_stage_success})",
                        "Failures",
                        "percentunit",
                    )
                    .limits(&[&BUDGET, &BUDGET_GONE]),
                ],
            )
            .first(&["pipeline", "stage"])
            .sorted(&[("Failures", false)])
            .beside(3)
            .empty("no rule was evaluated"),
            lines(
                "Burn rate, slow runs",
                "none",
                "How fast the budget of slow runs is used up, over the last hour: at 1 it lasts thirty days, at 14.4 two.",
                &[q(
                    "max by (pipeline, stage) (stage:neural_stage_slow:ratio_rate1h) / (1 - ${slo_stage_fast})",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .limits(&[&BURN, &BURN_PAGE])
            .empty("no rule was evaluated"),
            lines(
                "Burn rate, failures",
                "none",
                "How fast the budget of failures is used up, over the last hour: at 1 it lasts thirty days, at 14.4 two.",
                &[q(
                    "max by (pipeline, stage) (stage:neural_stage_failed:ratio_rate1h) / (1 - ${slo_stage_success})",
                    "{{pipeline}} {{stage}}",
                )],
            )
            .limits(&[&BURN, &BURN_PAGE])
            .empty("no rule was evaluated"),
        ]),
        closed("Errors", &[
            lines(
                "Errors of stages",
                "cps",
                "Failed runs per second, by error.",
                &[q(
                    "sum by (pipeline, stage, error) (rate(neural_stage_errors_total[$__rate_interval]))",
                    "{{pipeline}} {{stage}} {{error}}",
                )],
            )
            .empty("no errors"),
            lines(
                "Errors outside stages",
                "cps",
                "Errors of a pipeline outside its stages, by error.",
                &[q("sum by (pipeline, error) (rate(neural_pipeline_errors_total[$__rate_interval]))", "{{pipeline}} {{error}}")],
            )
            .limits(&[&PIPELINE_ERRORS])
            .empty("no errors"),
        ]),
        closed("Peaks, batches and clocks", &[
            lines(
                "Peak rate",
                "rothz",
                "Highest rate of runs in a short window of the last minute: the load that a mean hides.",
                &[q("max by (pipeline, stage) (neural_stage_peak_rate_hertz)", "{{pipeline}} {{stage}}")],
            ),
            lines(
                "Batch size, p95",
                "none",
                "Items in one run of a stage, 95th percentile. Larger batches cost less and add delay.",
                &[
                    q(
                        "histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_batch_size_bucket[$__rate_interval])))",
                        "{{pipeline}} {{stage}}",
                    ),
                ],
            ),
            lines(
                "Clock lag",
                "s",
                "Arrival time at the agent minus the end of the run by the sender's clock. Far from 0 means a skewed clock or a backlog.",
                &[q("max by (pipeline, stage) (neural_stage_clock_lag_seconds)", "{{pipeline}} {{stage}}")],
            )
            .limits(&[&STAGE_LAG])
            .signed()
            .empty("no sender sends its time"),
        ]),
        closed("Quality and sessions", &[
            lines(
                "Data quality of pipelines",
                "percentunit",
                "Data quality reported by each pipeline.",
                &[q("min by (pipeline) (neural_data_quality_ratio)", "{{pipeline}}")],
            )
            .limits(&[&DATA_QUALITY, &DATA_QUALITY_CRITICAL])
            .whole(),
            lines(
                "Accuracy",
                "percentunit",
                "Share of predictions that are right, by model.",
                &[q("min by (pipeline, model) (neural_model_accuracy_ratio)", "{{pipeline}} {{model}}")],
            )
            .limits(&[&MODEL_ACCURACY])
            .whole(),
            lines(
                "Sessions active",
                "none",
                "Sessions started and not ended.",
                &[q("sum by (pipeline) (neural_sessions_active)", "{{pipeline}}")],
            ),
            lines(
                "Sessions an hour",
                "none",
                "Sessions started, ended and failed within an hour, and reports of them that were written.",
                &[
                    q("sum by (pipeline) (increase(neural_sessions_started_total[1h]))", "{{pipeline}} began"),
                    q("sum by (pipeline) (increase(neural_sessions_ended_total[1h]))", "{{pipeline}} ended"),
                    q("sum by (pipeline) (increase(neural_sessions_failed_total[1h]))", "{{pipeline}} failed"),
                    q("sum(increase(neural_agent_reports_written_total[1h]))", "reports written"),
                ],
            )
            .beside(2),
            lines(
                "Session duration",
                "s",
                "Median and 95th percentile of the duration of sessions.",
                &[
                    q(
                        "histogram_quantile(0.5, sum by (pipeline, le) (increase(neural_session_duration_seconds_bucket[1h])))",
                        "p50 {{pipeline}}",
                    ),
                    q(
                        "histogram_quantile(0.95, sum by (pipeline, le) (increase(neural_session_duration_seconds_bucket[1h])))",
                        "p95 {{pipeline}}",
                    ),
                ],
            )
            .beside(2)
            .empty("none ended"),
        ]),
    ],
};
