//! Alerts: calls of language models, their budget, and engines that are scraped.

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "inference",
    group: "neural-inference",
    interval: 30,
    records: &[
        Record { name: "model:neural_llm_calls:rate10m", expr: "rate(neural_llm_calls_total[10m])" },
        Record {
            name: "model:neural_llm_failures:ratio_rate10m",
            expr: "rate(neural_llm_failures_total[10m]) / rate(neural_llm_calls_total[10m])",
        },
        Record {
            name: "model:neural_llm_duration_seconds:p95_rate10m",
            expr: "histogram_quantile(0.95, rate(neural_llm_duration_seconds_bucket[10m]))",
        },
        Record {
            name: "model:neural_llm_time_to_first_token_seconds:p95_rate10m",
            expr: "histogram_quantile(0.95, rate(neural_llm_time_to_first_token_seconds_bucket[10m]))",
        },
    ],
    alerts: &[&FAILURES, &LATENCY, &FIRST_TOKEN, &TOKENS, &COST, &FORECAST, &CACHE, &WAITING],
};

static FAILURES: Alert = Alert {
    name: "NeuralLlmFailures",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "model:neural_llm_failures:ratio_rate10m > ${llm_failures} and model:neural_llm_calls:rate10m > ${llm_traffic}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P0,
        120,
        "model:neural_llm_failures:ratio_rate10m > ${llm_failures_critical} and model:neural_llm_calls:rate10m > ${llm_traffic}",
    )),
    keep_firing: 120,
    summary: "Calls of {{ $labels.model }} fail",
    description: "{{ $value | humanizePercentage }} of them fail; the limit is ${llm_failures}.",
    meaning: "A language model does not answer or rejects requests. The errors say why: a rate limit, a timeout, an invalid key.",
    immediate: &[
        "Look at the kinds: `sum by (model, error) (rate(neural_llm_errors_total[10m]))`.",
        "Look at the provider's status page, or the engine's log.",
    ],
    short_term: &["Let the pipeline wait longer between retries, or switch to another model."],
    long_term: &["Have a fallback model."],
    queries: &[
        "sum by (model, error) (rate(neural_llm_errors_total[10m]))",
        "model:neural_llm_failures:ratio_rate10m",
    ],
    related: &["NeuralLlmLatency", "NeuralEngineWaiting"],
    fires: Case::fires(
        20,
        &[
            ("neural_llm_failures_total{model='small'}", "0+6x30"),
            ("neural_llm_calls_total{model='small'}", "0+60x30"),
        ],
        &[("model", "small")],
        "10%",
    ),
    worsens: Some(Case::fires(
        20,
        &[
            ("neural_llm_failures_total{model='small'}", "0+30x30"),
            ("neural_llm_calls_total{model='small'}", "0+60x30"),
        ],
        &[("model", "small")],
        "50%",
    )),
    quiet: Case::quiet(
        20,
        &[
            ("neural_llm_failures_total{model='small'}", "0+0.2x30"),
            ("neural_llm_calls_total{model='small'}", "0+0.4x30"),
        ],
    ),
    ..Alert::BLANK
};

static LATENCY: Alert = Alert {
    name: "NeuralLlmLatency",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "model:neural_llm_duration_seconds:p95_rate10m > ${llm_latency} and model:neural_llm_calls:rate10m > ${llm_traffic}",
    ),
    keep_firing: 120,
    summary: "Calls of {{ $labels.model }} take long",
    description: "95 of 100 take up to {{ $value | humanizeDuration }}; the limit is ${llm_latency}.",
    meaning: "The time from request to last token is too long. Check whether there are more tokens, or fewer tokens per second.",
    immediate: &[
        "Compare with the time to the first token: if that is long as well, requests wait; if not, responses are long.",
    ],
    short_term: &["Limit the length of responses, or stream them."],
    long_term: &["Use a smaller model where it is good enough."],
    queries: &[
        "model:neural_llm_duration_seconds:p95_rate10m",
        "rate(neural_llm_completion_tokens_total[10m]) / rate(neural_llm_calls_total[10m])",
    ],
    related: &["NeuralLlmFirstToken", "NeuralEngineWaiting"],
    fires: Case::fires(
        20,
        &[
            ("neural_llm_duration_seconds_bucket{model='small',le='20'}", "0x30"),
            ("neural_llm_duration_seconds_bucket{model='small',le='40'}", "0+60x30"),
            ("neural_llm_duration_seconds_bucket{model='small',le='+Inf'}", "0+60x30"),
            ("neural_llm_calls_total{model='small'}", "0+60x30"),
        ],
        &[("model", "small")],
        "39s",
    ),
    quiet: Case::quiet(
        20,
        &[
            ("neural_llm_duration_seconds_bucket{model='small',le='2.5'}", "0+60x30"),
            ("neural_llm_duration_seconds_bucket{model='small',le='+Inf'}", "0+60x30"),
            ("neural_llm_calls_total{model='small'}", "0+60x30"),
        ],
    ),
    ..Alert::BLANK
};

static FIRST_TOKEN: Alert = Alert {
    name: "NeuralLlmFirstToken",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        300,
        "model:neural_llm_time_to_first_token_seconds:p95_rate10m > ${llm_first_token}",
    ),
    summary: "{{ $labels.model }} hesitates",
    description: "95 of 100 calls wait up to {{ $value | humanizeDuration }} for their first token; the limit is ${llm_first_token}.",
    meaning: "Requests wait before the model responds: in a queue, or because long prompts are processed first.",
    immediate: &["See how many requests wait in the engine."],
    short_term: &["Shorten prompts, or keep their beginning equal so that a prefix cache helps."],
    long_term: &["Add a replica."],
    queries: &[
        "model:neural_llm_time_to_first_token_seconds:p95_rate10m",
        "rate(neural_llm_prompt_tokens_total[10m]) / rate(neural_llm_calls_total[10m])",
    ],
    related: &["NeuralLlmLatency", "NeuralEngineWaiting"],
    fires: Case::fires(
        20,
        &[
            ("neural_llm_time_to_first_token_seconds_bucket{model='small',le='2.5'}", "0x30"),
            ("neural_llm_time_to_first_token_seconds_bucket{model='small',le='5'}", "0+60x30"),
            ("neural_llm_time_to_first_token_seconds_bucket{model='small',le='+Inf'}", "0+60x30"),
        ],
        &[("model", "small")],
        "4.875s",
    ),
    quiet: Case::quiet(
        20,
        &[
            ("neural_llm_time_to_first_token_seconds_bucket{model='small',le='0.5'}", "0+60x30"),
            ("neural_llm_time_to_first_token_seconds_bucket{model='small',le='+Inf'}", "0+60x30"),
        ],
    ),
    ..Alert::BLANK
};

static TOKENS: Alert = Alert {
    name: "NeuralLlmTokenBudget",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "neural_llm_tokens_today / (neural_llm_daily_budget_tokens > 0) > ${llm_budget}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        0,
        "neural_llm_tokens_today / (neural_llm_daily_budget_tokens > 0) > ${llm_budget_critical}",
    )),
    summary: "The day's tokens are nearly used up",
    description: "{{ $value | humanizePercentage }} of the day's tokens are used; the limits are ${llm_budget} and ${llm_budget_critical}. The agent stops nothing.",
    meaning: "The tokens since 00:00 UTC are close to the configured daily budget. The agent counts, it stops nothing.",
    immediate: &["See which model uses them, and stop what you do not need today."],
    short_term: &["Cache responses, and shorten prompts."],
    long_term: &["Set the budget to what you intend (`llm.budget`)."],
    queries: &[
        "sum by (model) (increase(neural_llm_prompt_tokens_total[1h]) + increase(neural_llm_completion_tokens_total[1h]))",
        "neural_llm_tokens_today / neural_llm_daily_budget_tokens",
    ],
    related: &["NeuralLlmCostBudget", "NeuralLlmBudgetForecast"],
    fires: Case::fires(
        10,
        &[("neural_llm_tokens_today", "850000x15"), ("neural_llm_daily_budget_tokens", "1000000x15")],
        &[],
        "85%",
    ),
    worsens: Some(Case::fires(
        10,
        &[("neural_llm_tokens_today", "990000x15"), ("neural_llm_daily_budget_tokens", "1000000x15")],
        &[],
        "99%",
    )),
    quiet: Case::quiet(
        10,
        &[("neural_llm_tokens_today", "500000x15"), ("neural_llm_daily_budget_tokens", "1000000x15")],
    ),
    ..Alert::BLANK
};

static COST: Alert = Alert {
    name: "NeuralLlmCostBudget",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "neural_llm_cost_today / (neural_llm_daily_budget_cost > 0) > ${llm_budget}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        0,
        "neural_llm_cost_today / (neural_llm_daily_budget_cost > 0) > ${llm_budget_critical}",
    )),
    summary: "The day's budget for language models is nearly spent",
    description: "{{ $value | humanizePercentage }} of it is used; the limits are ${llm_budget} and ${llm_budget_critical}. The agent stops nothing.",
    meaning: "The cost since 00:00 UTC is close to the configured daily budget.",
    immediate: &["See which model costs most, and stop what you do not need today."],
    short_term: &["Check the prices in the configuration, if calls do not report their cost."],
    long_term: &["Use a cheaper model where it is good enough."],
    queries: &[
        "sum by (model) (increase(neural_llm_cost_total[1h]))",
        "neural_llm_cost_today / neural_llm_daily_budget_cost",
    ],
    related: &["NeuralLlmTokenBudget"],
    fires: Case::fires(
        10,
        &[("neural_llm_cost_today", "8.5x15"), ("neural_llm_daily_budget_cost", "10x15")],
        &[],
        "85%",
    ),
    worsens: Some(Case::fires(
        10,
        &[("neural_llm_cost_today", "12x15"), ("neural_llm_daily_budget_cost", "10x15")],
        &[],
        "120%",
    )),
    quiet: Case::quiet(10, &[("neural_llm_cost_today", "5x15"), ("neural_llm_daily_budget_cost", "10x15")]),
    ..Alert::BLANK
};

static FORECAST: Alert = Alert {
    name: "NeuralLlmBudgetForecast",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        600,
        "predict_linear(neural_llm_tokens_today[1h], 86400 - time() % 86400) / (neural_llm_daily_budget_tokens > 0) > 1\nand neural_llm_tokens_today / (neural_llm_daily_budget_tokens > 0) > 0.2\nand on () hour() >= 1",
    ),
    summary: "The day's tokens will not last until midnight",
    description: "At the rate of the last hour, {{ $value | humanizePercentage }} of the budget will be used by 00:00 UTC.",
    meaning: "A linear forecast from the last hour exceeds the budget before the day ends. The alert does not fire in the first hour of a day, or before a fifth of the budget is used.",
    immediate: &["See which model uses the tokens, and whether that work can wait."],
    short_term: &["Treat it as `NeuralLlmTokenBudget`."],
    long_term: &[],
    queries: &[
        "predict_linear(neural_llm_tokens_today[1h], 86400 - time() % 86400)",
        "neural_llm_daily_budget_tokens",
    ],
    related: &["NeuralLlmTokenBudget"],
    fires: Case::fires(
        120,
        &[("neural_llm_tokens_today", "0+2500x130"), ("neural_llm_daily_budget_tokens", "1000000x130")],
        &[],
        "360%",
    ),
    quiet: Case::quiet(
        120,
        &[("neural_llm_tokens_today", "0+500x130"), ("neural_llm_daily_budget_tokens", "1000000x130")],
    ),
    ..Alert::BLANK
};

static CACHE: Alert = Alert {
    name: "NeuralEngineCacheFull",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "neural_engine_kv_cache_usage_ratio > ${engine_cache}",
    ),
    summary: "The key-value cache of {{ $labels.engine }} is full",
    description: "{{ $value | humanizePercentage }} of it is in use; the limit is ${engine_cache}. Requests will be preempted or wait.",
    meaning: "An inference engine has hardly any memory left for the contexts of running requests. It preempts requests and computes them again.",
    immediate: &[
        "See whether requests wait or are preempted: `neural_engine_requests_waiting`, `neural_engine_preemptions_total`.",
    ],
    short_term: &["Run fewer requests at once, or shorten contexts."],
    long_term: &["Give the engine more memory, or add a replica."],
    queries: &["neural_engine_kv_cache_usage_ratio", "rate(neural_engine_preemptions_total[5m])"],
    related: &["NeuralEngineWaiting", "NeuralGpuMemory"],
    fires: Case::fires(
        15,
        &[("neural_engine_kv_cache_usage_ratio{engine='vllm',source='engine'}", "0.99x20")],
        &[("engine", "vllm"), ("source", "engine")],
        "99%",
    ),
    quiet: Case::quiet(
        15,
        &[("neural_engine_kv_cache_usage_ratio{engine='vllm',source='engine'}", "0.5x20")],
    ),
    ..Alert::BLANK
};

static WAITING: Alert = Alert {
    name: "NeuralEngineWaiting",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "neural_engine_requests_waiting > ${engine_waiting}",
    ),
    summary: "Requests wait for {{ $labels.engine }}",
    description: "{{ $value }} requests wait; the limit is ${engine_waiting}.",
    meaning: "Requests arrive faster than the engine finishes them, so every response is delayed.",
    immediate: &["See which program sends so many, and slow it down."],
    short_term: &["Send in batches, or limit the open requests of each program."],
    long_term: &["Add a replica."],
    queries: &["neural_engine_requests_waiting", "neural_engine_requests_running"],
    related: &["NeuralEngineCacheFull", "NeuralLlmFirstToken"],
    fires: Case::fires(
        10,
        &[("neural_engine_requests_waiting{engine='vllm',source='engine'}", "50x15")],
        &[("engine", "vllm"), ("source", "engine")],
        "50",
    ),
    quiet: Case::quiet(10, &[("neural_engine_requests_waiting{engine='vllm',source='engine'}", "2x15")]),
    ..Alert::BLANK
};
