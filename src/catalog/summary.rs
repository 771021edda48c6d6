//! The summary line of the log: a row each. `$window` is the time since the last one.

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Something that is counted.
    Count,
    /// A share of all.
    Percent,
    /// Seconds, as milliseconds.
    Milliseconds,
    /// How many a second.
    Rate,
}

/// One number of the line. It is left out where its question has no answer.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// What is asked.
    pub expr: &'static str,
    /// How it is written.
    pub form: Form,
}

const fn figure(name: &'static str, form: Form, expr: &'static str) -> Figure {
    Figure { name, expr, form }
}

/// Every number, in the order of the line.
pub static FIGURES: &[Figure] = &[
    figure("events", Form::Count, "sum(increase(neural_source_events_total[$window]))"),
    figure("refused", Form::Count, "sum(increase(neural_source_errors_total[$window]))"),
    figure("devices streaming", Form::Count, "sum(neural_device_streaming)"),
    figure("devices silent", Form::Count, "count(neural_device_streaming == 0)"),
    figure("packets lost", Form::Count, "sum(increase(neural_device_lost_packets_total[$window]))"),
    figure("bad channels", Form::Count, "count(max by (device, channel) (neural_channel_bad) == 1)"),
    figure("stage runs", Form::Count, "sum(increase(neural_stage_duration_seconds_count[$window]))"),
    figure("runs per second", Form::Rate, "sum(rate(neural_stage_duration_seconds_count[$window]))"),
    figure("failed", Form::Count, "sum(increase(neural_stage_failures_total[$window]))"),
    figure(
        "p95 of the slowest stage",
        Form::Milliseconds,
        "1000 * max(histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[$window]))))",
    ),
    figure("items queued", Form::Count, "sum(neural_queue_depth)"),
    figure(
        "cache hits",
        Form::Percent,
        "100 * sum(increase(neural_cache_hits_total[$window])) / sum(increase(neural_cache_lookups_total[$window]))",
    ),
    figure("tokens today", Form::Count, "sum(neural_llm_tokens_today)"),
    figure(
        "token budget used",
        Form::Percent,
        "100 * sum(neural_llm_tokens_today) / sum(neural_llm_daily_budget_tokens)",
    ),
    figure("alerts firing", Form::Count, "count(ALERTS{alertstate='firing',severity!~'info|none'})"),
    figure("incidents open", Form::Count, "sum(neural_incidents_open)"),
];
