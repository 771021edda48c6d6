//! Page: language-model calls, their tokens, their cost and the day's budget.

use super::{Keep, LATENCY, Metric, Page, Unit, limit};
use crate::event::{Body, Kind, Topic};

/// Language-model calls, their tokens, their cost and the day's budget.
pub static PAGE: Page = Page {
    id: "inference",
    title: "Inference and language models",
    about: "Calls of language models reported by pipelines. Costs are in the configured currency; a day begins at 00:00 UTC, and its totals survive a restart.",
    metrics: &[
        &CALLS,
        &FAILURES,
        &ERRORS,
        &PROMPT_TOKENS,
        &COMPLETION_TOKENS,
        &COST,
        &DURATION,
        &FIRST_TOKEN,
        &CACHE_LOOKUPS,
        &CACHE_HITS,
        &DAY_TOKENS,
        &DAY_COST,
        &BUDGET_TOKENS,
        &BUDGET_COST,
        &CURRENCY,
    ],
};

/// What every call metric has in common.
const CALL: Metric = Metric { labels: &["model"], kind: Kind::Counter, on: &[Topic::Call], ..Metric::BLANK };

static CALLS: Metric = Metric {
    name: "llm_calls",
    help: "Calls of a language model",
    read: |event, row| {
        if let Body::Call(c) = &event.body {
            row.add(&[c.model], 1.0);
        }
    },
    ..CALL
};

static FAILURES: Metric = Metric {
    name: "llm_failures",
    help: "Calls of a language model that failed",
    read: |event, row| {
        if let Body::Call(c) = &event.body {
            row.add(&[c.model], f64::from(c.error.is_some()));
        }
    },
    ..CALL
};

static ERRORS: Metric = Metric {
    name: "llm_errors",
    help: "Calls of a language model that failed, by error",
    labels: &["model", "error"],
    read: |event, row| {
        if let Body::Call(c) = &event.body
            && let Some(error) = c.error
        {
            row.add(&[c.model, error], 1.0);
        }
    },
    ..CALL
};

static PROMPT_TOKENS: Metric = Metric {
    name: "llm_prompt_tokens",
    help: "Tokens sent to a language model",
    read: |event, row| {
        if let Body::Call(c) = &event.body {
            row.add(&[c.model], c.prompt_tokens);
        }
    },
    ..CALL
};

static COMPLETION_TOKENS: Metric = Metric {
    name: "llm_completion_tokens",
    help: "Tokens received from a language model",
    read: |event, row| {
        if let Body::Call(c) = &event.body {
            row.add(&[c.model], c.completion_tokens);
        }
    },
    ..CALL
};

static COST: Metric = Metric {
    name: "llm_cost",
    help: "Cost of calls of a language model, in the configured currency",
    read: |event, row| {
        if let Body::Call(c) = &event.body {
            row.add(&[c.model], c.cost.unwrap_or_default());
        }
    },
    ..CALL
};

static DURATION: Metric = Metric {
    name: "llm_duration",
    help: "Time from the request to the last token",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0],
    judged: &[&limit::LLM_LATENCY],
    read: |event, row| {
        if let Body::Call(c) = &event.body
            && let Some(seconds) = c.seconds
        {
            row.observe(&[c.model], seconds, c.trace.map(|trace| trace.id));
        }
    },
    ..CALL
};

static FIRST_TOKEN: Metric = Metric {
    name: "llm_time_to_first_token",
    help: "Time from the request to the first token",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: LATENCY,
    judged: &[&limit::LLM_FIRST_TOKEN],
    read: |event, row| {
        if let Body::Call(c) = &event.body
            && let Some(seconds) = c.first_token_seconds
        {
            row.observe(&[c.model], seconds, c.trace.map(|trace| trace.id));
        }
    },
    ..CALL
};

static CACHE_LOOKUPS: Metric = Metric {
    name: "llm_cache_lookups",
    help: "Calls that report whether the response came from a cache",
    read: |event, row| {
        if let Body::Call(c) = &event.body
            && c.cache_hit.is_some()
        {
            row.add(&[c.model], 1.0);
        }
    },
    ..CALL
};

static CACHE_HITS: Metric = Metric {
    name: "llm_cache_hits",
    help: "Calls whose response came from a cache",
    read: |event, row| {
        if let Body::Call(c) = &event.body
            && let Some(hit) = c.cache_hit
        {
            row.add(&[c.model], f64::from(hit));
        }
    },
    ..CALL
};

/// What every budget metric has in common.
const BUDGET: Metric = Metric { keep: Keep::Always, on: &[Topic::Spent], ..Metric::BLANK };

static DAY_TOKENS: Metric = Metric {
    name: "llm_tokens_today",
    help: "Tokens sent and received since 00:00 UTC",
    read: |event, row| {
        if let Body::Spent(s) = &event.body {
            row.set(&[], s.tokens);
        }
    },
    ..BUDGET
};

static DAY_COST: Metric = Metric {
    name: "llm_cost_today",
    help: "Cost since 00:00 UTC, in the configured currency",
    read: |event, row| {
        if let Body::Spent(s) = &event.body {
            row.set(&[], s.cost);
        }
    },
    ..BUDGET
};

static BUDGET_TOKENS: Metric = Metric {
    name: "llm_daily_budget_tokens",
    help: "Configured daily budget of tokens",
    read: |event, row| {
        if let Body::Spent(s) = &event.body
            && let Some(budget) = s.tokens_budget
        {
            row.set(&[], budget);
        }
    },
    ..BUDGET
};

static BUDGET_COST: Metric = Metric {
    name: "llm_daily_budget_cost",
    help: "Configured daily budget, in the configured currency",
    read: |event, row| {
        if let Body::Spent(s) = &event.body
            && let Some(budget) = s.cost_budget
        {
            row.set(&[], budget);
        }
    },
    ..BUDGET
};

static CURRENCY: Metric = Metric {
    name: "llm_currency",
    help: "Configured currency of costs",
    kind: Kind::Info,
    labels: &["currency"],
    read: |event, row| {
        if let Body::Spent(s) = &event.body {
            row.set(&[s.currency], 1.0);
        }
    },
    ..BUDGET
};
