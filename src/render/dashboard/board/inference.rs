//! Inference and language models: calls that pipelines report, and engines that are scraped.

use super::super::view::{Board, closed, lines, open, q, stat, view};
use crate::catalog::draw::Panel;
use crate::catalog::limit::{
    CACHE_HITS, ENGINE_CACHE, ENGINE_WAITING, LLM_BUDGET, LLM_BUDGET_CRITICAL, LLM_FAILURES,
    LLM_FAILURES_CRITICAL, LLM_FIRST_TOKEN, LLM_LATENCY,
};

/// Gives costs the currency of their agent: those of several are not added up.
macro_rules! currency {
    () => {
        "\n* on (job, instance) group_left (currency) neural_llm_currency_info"
    };
}

pub(super) static BOARD: Board = Board {
    key: "inference",
    title: "Inference and LLM",
    about: "Calls of language models reported by pipelines, their tokens and cost, and the inference engines.",
    pages: &["inference"],
    by_machine: false,
    variables: &[("model", "Model")],
    range: "now-1h",
    refresh: "30s",
    rows: &[
        open("Now", &[
            stat("Calls now", "ops", "Calls per second, of all selected models.", &[q("sum(rate(neural_llm_calls_total[5m]))", "")]),
            stat(
                "Failed, worst model",
                "percentunit",
                "Share of calls that failed over the last five minutes, of the model that fails most. See the errors below.",
                &[q("max(sum by (model) (rate(neural_llm_failures_total[5m])) / sum by (model) (rate(neural_llm_calls_total[5m])))", "")],
            )
            .limits(&[&LLM_FAILURES, &LLM_FAILURES_CRITICAL]),
            stat(
                "Slowest model, p95",
                "s",
                "95th percentile of the time to the last token, of the slowest model.",
                &[q("max(histogram_quantile(0.95, sum by (model, le) (rate(neural_llm_duration_seconds_bucket[5m]))))", "")],
            )
            .limits(&[&LLM_LATENCY]),
            stat(
                "Tokens a minute",
                "short",
                "Tokens sent and received per minute.",
                &[q(
                    "60 * (sum(rate(neural_llm_prompt_tokens_total[5m])) + sum(rate(neural_llm_completion_tokens_total[5m])))",
                    "",
                )],
            ),
            stat(
                "Tokens today",
                "short",
                "Tokens since 00:00 UTC.",
                &[q("sum(neural_llm_tokens_today)", "")],
            ),
            stat(
                "Cost today",
                "none",
                "Cost since 00:00 UTC, by configured currency.",
                &[q(concat!("sum by (currency) (neural_llm_cost_today", currency!(), ")"), "{{currency}}")],
            ),
        ]),
        open("Rate, errors, duration", &[
            lines("Calls", "ops", "Calls per second, by model.", &[q(
                "sum by (model) (rate(neural_llm_calls_total[$__rate_interval]))",
                "{{model}}",
            )]),
            lines(
                "Failed calls",
                "percentunit",
                "Share of calls that failed, by model. Look at the provider's status, the keys and the limits of the account.",
                &[q(
                    "sum by (model) (rate(neural_llm_failures_total[$__rate_interval])) / sum by (model) (rate(neural_llm_calls_total[$__rate_interval]))",
                    "{{model}}",
                )],
            )
            .limits(&[&LLM_FAILURES, &LLM_FAILURES_CRITICAL]),
            lines("Errors, by kind", "cps", "Failed calls per second, by kind of error.", &[q(
                "sum by (model, error) (rate(neural_llm_errors_total[$__rate_interval]))",
                "{{model}} {{error}}",
            )])
            .empty("no errors"),
            lines(
                "Duration",
                "s",
                "Time from request to last token: median, 95th and 99th percentile. It grows with the length of responses and the queue of the engine.",
                &[
                    q("histogram_quantile(0.5, sum by (model, le) (rate(neural_llm_duration_seconds_bucket[$__rate_interval])))", "p50 {{model}}"),
                    q("histogram_quantile(0.95, sum by (model, le) (rate(neural_llm_duration_seconds_bucket[$__rate_interval])))", "p95 {{model}}"),
                    q("histogram_quantile(0.99, sum by (model, le) (rate(neural_llm_duration_seconds_bucket[$__rate_interval])))", "p99 {{model}}"),
                ],
            )
            .limits(&[&LLM_LATENCY])
            .beside(2),
            lines(
                "Time to first token",
                "s",
                "Time from request to first token: queue and prompt, without the response.",
                &[
                    q("histogram_quantile(0.5, sum by (model, le) (rate(neural_llm_time_to_first_token_seconds_bucket[$__rate_interval])))", "p50 {{model}}"),
                    q("histogram_quantile(0.95, sum by (model, le) (rate(neural_llm_time_to_first_token_seconds_bucket[$__rate_interval])))", "p95 {{model}}"),
                ],
            )
            .limits(&[&LLM_FIRST_TOKEN])
            .beside(2),
        ]),
        open("Tokens and cost", &[
            view(
                Panel::Stack,
                "Tokens a second",
                "short",
                "Tokens sent and received per second.",
                &[
                    q("sum by (model) (rate(neural_llm_prompt_tokens_total[$__rate_interval]))", "{{model}} sent"),
                    q("sum by (model) (rate(neural_llm_completion_tokens_total[$__rate_interval]))", "{{model}} received"),
                ],
            ),
            lines("Cost an hour", "none", "Cost of an hour at this rate, by model and currency.", &[q(
                concat!("3600 * sum by (model, currency) (rate(neural_llm_cost_total[$__rate_interval])", currency!(), ")"),
                "{{model}} {{currency}}",
            )]),
        ]),
        closed("Budget and caches", &[
            lines(
                "Cache hit rate",
                "percentunit",
                "Share of calls whose response came from a cache.",
                &[q(
                    "sum by (model) (rate(neural_llm_cache_hits_total[$__rate_interval])) / sum by (model) (rate(neural_llm_cache_lookups_total[$__rate_interval]))",
                    "{{model}}",
                )],
            )
            .limits(&[&CACHE_HITS])
            .whole()
            .empty("not reported by callers"),
            view(
                Panel::Gauge,
                "Tokens of the day's budget",
                "percentunit",
                "Share of the daily token budget that is used, if one is configured.",
                &[q("max(neural_llm_tokens_today / neural_llm_daily_budget_tokens)", "")],
            )
            .limits(&[&LLM_BUDGET, &LLM_BUDGET_CRITICAL])
            .whole()
            .beside(3)
            .empty("no budget"),
            view(
                Panel::Gauge,
                "Cost of the day's budget",
                "percentunit",
                "Share of the daily cost budget that is used, if one is configured.",
                &[q("max(neural_llm_cost_today / neural_llm_daily_budget_cost)", "")],
            )
            .limits(&[&LLM_BUDGET, &LLM_BUDGET_CRITICAL])
            .whole()
            .beside(3)
            .empty("no budget"),
        ]),
        closed("Engines", &[
            lines(
                "Requests running and waiting",
                "none",
                "Requests running and waiting. A permanent queue means that the engine is too small.",
                &[
                    q("sum by (engine, model) (neural_engine_requests_running)", "{{engine}} {{model}} running"),
                    q("sum by (engine, model) (neural_engine_requests_waiting)", "{{engine}} {{model}} waiting"),
                ],
            )
            .limits(&[&ENGINE_WAITING])
            .empty("no engine is scraped"),
            lines(
                "Key-value cache",
                "percentunit",
                "Share of the key-value cache in use. If it is full, requests wait or are preempted.",
                &[q("max by (engine, model) (neural_engine_kv_cache_usage_ratio)", "{{engine}} {{model}}")],
            )
            .limits(&[&ENGINE_CACHE])
            .whole()
            .empty("no engine is scraped"),
            lines(
                "Tokens of engines",
                "short",
                "Prompt tokens processed and completion tokens generated per second.",
                &[
                    q("sum by (engine, model) (rate(neural_engine_prompt_tokens_total[$__rate_interval]))", "{{engine}} {{model}} read"),
                    q("sum by (engine, model) (rate(neural_engine_completion_tokens_total[$__rate_interval]))", "{{engine}} {{model}} written"),
                ],
            )
            .empty("no engine is scraped"),
        ]),
    ],
};
