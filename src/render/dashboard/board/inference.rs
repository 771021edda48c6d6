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
    about: "Calls of language models that pipelines report, their tokens and their cost, and the engines that answer them.",
    pages: &["inference"],
    by_machine: false,
    variables: &[("model", "Model")],
    range: "now-1h",
    refresh: "30s",
    rows: &[
        open("Now", &[
            stat("Calls now", "ops", "Calls in a second, of all chosen models.", &[q("sum(rate(neural_llm_calls_total[5m]))", "")]),
            stat(
                "Failed now",
                "percentunit",
                "Share of calls that failed over the last five minutes. See the kinds of errors below.",
                &[q("sum(rate(neural_llm_failures_total[5m])) / sum(rate(neural_llm_calls_total[5m]))", "")],
            )
            .limits(&[&LLM_FAILURES, &LLM_FAILURES_CRITICAL]),
            stat(
                "Duration, p95",
                "s",
                "The time that 95 of a hundred calls take to their last token.",
                &[q("histogram_quantile(0.95, sum by (le) (rate(neural_llm_duration_seconds_bucket[5m])))", "")],
            )
            .limits(&[&LLM_LATENCY]),
            stat(
                "Tokens a minute",
                "short",
                "Tokens sent and received in a minute.",
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
                "Cost since 00:00 UTC, by the currency that each agent is configured with.",
                &[q(concat!("sum by (currency) (neural_llm_cost_today", currency!(), ")"), "{{currency}}")],
            ),
        ]),
        open("Rate, errors, duration", &[
            lines("Calls", "ops", "Calls in a second, by model.", &[q(
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
            lines("Errors, by kind", "cps", "Failed calls in a second, by kind of error.", &[q(
                "sum by (model, error) (rate(neural_llm_errors_total[$__rate_interval]))",
                "{{model}} {{error}}",
            )])
            .empty("no errors"),
            lines(
                "Duration",
                "s",
                "The time from request to last token, half, 95 and 99 of a hundred. It grows with the length of answers and with the queue of the engine.",
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
                "The time from request to first token: queue and prompt, without the answer.",
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
                "Tokens",
                "short",
                "Tokens sent and received in a second.",
                &[
                    q("sum by (model) (rate(neural_llm_prompt_tokens_total[$__rate_interval]))", "{{model}} sent"),
                    q("sum by (model) (rate(neural_llm_completion_tokens_total[$__rate_interval]))", "{{model}} received"),
                ],
            ),
            lines("Cost an hour", "none", "What an hour at this rate costs, by model and currency.", &[q(
                concat!("3600 * sum by (model, currency) (rate(neural_llm_cost_total[$__rate_interval])", currency!(), ")"),
                "{{model}} {{currency}}",
            )]),
            view(Panel::Table, "Currency", "none", "What costs are counted in.", &[q(
                "max by (currency) (neural_llm_currency_info)",
                "",
            )])
            .beside(3),
        ]),
        closed("Budget and caches", &[
            lines(
                "Cache hit rate",
                "percentunit",
                "Share of calls whose answer came from a cache.",
                &[q(
                    "sum by (model) (rate(neural_llm_cache_hits_total[$__rate_interval])) / sum by (model) (rate(neural_llm_cache_lookups_total[$__rate_interval]))",
                    "{{model}}",
                )],
            )
            .limits(&[&CACHE_HITS])
            .whole()
            .empty("no caller tells"),
            view(
                Panel::Gauge,
                "Tokens of the day's budget",
                "percentunit",
                "Share of the tokens that may be used in a day, if a budget is configured.",
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
                "Share of the cost that may be incurred in a day, if a budget is configured.",
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
                "Requests that an engine works on, and those that wait. A queue that stays is an engine that is too small.",
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
                "Part of the key-value cache that is in use. A full one makes requests wait, or be put back.",
                &[q("max by (engine, model) (neural_engine_kv_cache_usage_ratio)", "{{engine}} {{model}}")],
            )
            .limits(&[&ENGINE_CACHE])
            .whole()
            .empty("no engine is scraped"),
            lines(
                "Tokens of engines",
                "short",
                "Prompt tokens read and completion tokens written in a second.",
                &[
                    q("sum by (engine, model) (rate(neural_engine_prompt_tokens_total[$__rate_interval]))", "{{engine}} {{model}} read"),
                    q("sum by (engine, model) (rate(neural_engine_completion_tokens_total[$__rate_interval]))", "{{engine}} {{model}} written"),
                ],
            )
            .empty("no engine is scraped"),
        ]),
    ],
};
