//! The table itself: what each engine's metric is called here. No code runs here.

use crate::event::Kind;

use super::Label::{Add, Rename};
use super::{Engine, Entry, Label};

const fn entry(kind: Kind, to: &'static str, help: &'static str) -> Entry {
    Entry { from: &[], to, help, kind, per: 1.0, labels: &[], sum: false }
}

const fn gauge(to: &'static str, help: &'static str) -> Entry {
    entry(Kind::Gauge, to, help)
}

const fn counter(to: &'static str, help: &'static str) -> Entry {
    entry(Kind::Counter, to, help)
}

const fn histogram(to: &'static str, help: &'static str) -> Entry {
    entry(Kind::Histogram, to, help)
}

impl Entry {
    const fn from(self, from: &'static [&'static str]) -> Self {
        Self { from, ..self }
    }

    const fn per(self, per: f64) -> Self {
        Self { per, ..self }
    }

    const fn labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    const fn sum(self) -> Self {
        Self { sum: true, ..self }
    }
}

// What is going on now.
const RUNNING: Entry = gauge("neural_engine_requests_running", "Requests running");
const WAITING: Entry = gauge("neural_engine_requests_waiting", "Requests waiting");
const WAITING_BY_REASON: Entry =
    gauge("neural_engine_requests_waiting_by_reason", "Requests waiting, by reason");
const SWAPPED: Entry = gauge("neural_engine_requests_swapped", "Requests swapped out of GPU memory");
const RETRACTED: Entry =
    gauge("neural_engine_requests_retracted", "Requests returned to the queue for lack of memory");
const PAUSED: Entry = gauge("neural_engine_requests_paused", "Requests paused");
const SLEEP: Entry = gauge(
    "neural_engine_sleep_state",
    "Sleep state of the engine, 1 for the current state and 0 for the others",
);
const KV_USAGE: Entry = gauge("neural_engine_kv_cache_usage_ratio", "Share of the key-value cache in use");
const KV_HOST_USAGE: Entry =
    gauge("neural_engine_kv_cache_host_usage_ratio", "Share of the key-value cache in host memory in use");
const KV_USED: Entry = gauge("neural_engine_kv_cache_used_tokens", "Tokens in the key-value cache");
const KV_CAPACITY: Entry =
    gauge("neural_engine_kv_cache_capacity_tokens", "Tokens the key-value cache can hold");
const HIT_RATIO: Entry = gauge(
    "neural_engine_prefix_cache_hit_ratio",
    "Share of prompt tokens found in the prefix cache, as averaged by the engine",
);
const UTILIZATION: Entry = gauge("neural_engine_utilization_ratio", "Utilization reported by the engine");
const PROMPT_RATE: Entry =
    gauge("neural_engine_prompt_tokens_per_second", "Prompt tokens per second, as averaged by the engine");
const COMPLETION_RATE: Entry = gauge(
    "neural_engine_completion_tokens_per_second",
    "Completion tokens per second, as averaged by the engine",
);
const BATCH_MAX_TOKENS: Entry =
    gauge("neural_engine_batch_max_tokens", "Maximum size of the current batch in tokens");
const BUSY_SLOTS: Entry = gauge("neural_engine_busy_slots", "Mean number of busy slots in a decode call");
const CONTEXT_MAX: Entry =
    gauge("neural_engine_context_tokens_peak", "Highest number of tokens in a context");
const DRAFT_LENGTH: Entry = gauge(
    "neural_engine_draft_accepted_length",
    "Mean number of tokens gained in a round of speculative decoding",
);
const DRAFT_RATIO: Entry =
    gauge("neural_engine_draft_accepted_ratio", "Mean share of drafted tokens that were accepted");
const WEBSOCKETS: Entry = gauge("neural_engine_websockets_open", "WebSocket connections open");

// What has happened.
const REQUESTS: Entry = counter("neural_engine_requests", "Requests ended, by finish reason");
const RECEIVED: Entry = counter("neural_engine_requests_received", "Requests received");
const REJECTIONS: Entry = counter("neural_engine_requests_rejected", "Requests rejected");
const CORRUPTED: Entry = counter("neural_engine_requests_corrupted", "Requests with NaN in their logits");
const PREEMPTIONS: Entry = counter("neural_engine_preemptions", "Requests preempted");
const PROMPT_TOKENS: Entry = counter("neural_engine_prompt_tokens", "Prompt tokens processed");
const PROMPT_BY_SOURCE: Entry =
    counter("neural_engine_prompt_tokens_by_source", "Prompt tokens, by the source in `exported_source`");
const PROMPT_CACHED: Entry = counter("neural_engine_prompt_tokens_cached", "Prompt tokens found in a cache");
const COMPLETION_TOKENS: Entry = counter("neural_engine_completion_tokens", "Completion tokens generated");
const REALTIME_TOKENS: Entry =
    counter("neural_engine_realtime_tokens", "Tokens computed, running requests included, by mode");
const EVICTED_TOKENS: Entry =
    counter("neural_engine_kv_cache_evicted_tokens", "Tokens evicted from the key-value cache");
const PREFIX_QUERIES: Entry =
    counter("neural_engine_prefix_cache_queries", "Tokens looked up in the prefix cache");
const PREFIX_HITS: Entry = counter("neural_engine_prefix_cache_hits", "Tokens found in the prefix cache");
const EXTERNAL_QUERIES: Entry = counter(
    "neural_engine_external_prefix_cache_queries",
    "Tokens looked up in a prefix cache shared between engines",
);
const EXTERNAL_HITS: Entry = counter(
    "neural_engine_external_prefix_cache_hits",
    "Tokens found in a prefix cache shared between engines",
);
const MEDIA_QUERIES: Entry =
    counter("neural_engine_media_cache_queries", "Images, sounds and videos looked up in the input cache");
const MEDIA_HITS: Entry =
    counter("neural_engine_media_cache_hits", "Images, sounds and videos found in the input cache");
const RESPONSE_HITS: Entry =
    counter("neural_engine_response_cache_hits", "Responses found in the response cache");
const RESPONSE_MISSES: Entry =
    counter("neural_engine_response_cache_misses", "Responses not found in the response cache");
const DRAFTS: Entry = counter("neural_engine_drafts", "Rounds of speculative decoding");
const DRAFT_TOKENS: Entry = counter("neural_engine_draft_tokens", "Tokens drafted by speculative decoding");
const DRAFT_ACCEPTED: Entry =
    counter("neural_engine_draft_tokens_accepted", "Drafted tokens that were accepted");
const DRAFT_POSITIONS: Entry = counter(
    "neural_engine_draft_tokens_accepted_by_position",
    "Drafted tokens that were accepted, by position in the draft",
);
const FLOPS: Entry =
    counter("neural_engine_estimated_operations", "Floating-point operations on a GPU, estimated");
const READ_BYTES: Entry =
    counter("neural_engine_estimated_read_bytes", "Bytes read from the memory of a GPU, estimated");
const WRITE_BYTES: Entry =
    counter("neural_engine_estimated_write_bytes", "Bytes written to the memory of a GPU, estimated");
const INFERENCES: Entry = counter("neural_engine_inferences", "Inferences, where a batch of n counts n");
const BATCHES: Entry = counter("neural_engine_batches", "Batches processed");
const BATCHES_DONE: Entry = counter("neural_engine_batches_finished", "Batches ended, by outcome");
const DECODE_CALLS: Entry = counter("neural_engine_decode_calls", "Calls of the decode function");
const HTTP_REQUESTS: Entry = counter("neural_engine_http_requests", "HTTP requests received by the engine");
const HTTP_RESPONSES: Entry = counter("neural_engine_http_responses", "HTTP responses sent by the engine");
const WEBSOCKETS_SEEN: Entry = counter("neural_engine_websockets", "WebSocket connections opened");

// Time as a sum: over the number it is a mean.
const REQUEST_TIME: Entry = counter("neural_engine_request_time_seconds", "Duration of requests, summed");
const QUEUE_TIME: Entry =
    counter("neural_engine_queue_time_seconds", "Time requests spent in the queue, summed");
const INPUT_TIME: Entry = counter("neural_engine_input_time_seconds", "Time spent preparing inputs, summed");
const INFERENCE_TIME: Entry =
    counter("neural_engine_inference_time_seconds", "Time spent in inference, summed");
const OUTPUT_TIME: Entry =
    counter("neural_engine_output_time_seconds", "Time spent returning outputs, summed");
const PREFILL_TIME: Entry =
    counter("neural_engine_prefill_time_seconds", "Time spent processing prompts, summed");
const DECODE_TIME: Entry =
    counter("neural_engine_decode_time_seconds", "Time spent generating completions, summed");
const RESPONSE_HIT_TIME: Entry = counter(
    "neural_engine_response_cache_hit_time_seconds",
    "Time spent on hits in the response cache, summed",
);
const RESPONSE_MISS_TIME: Entry = counter(
    "neural_engine_response_cache_miss_time_seconds",
    "Time spent on misses in the response cache, summed",
);

// Time, how it is spread.
const FIRST_TOKEN: Entry = histogram(
    "neural_engine_time_to_first_token_seconds",
    "Time from the arrival of a request to its first token",
);
const INTER_TOKEN: Entry = histogram("neural_engine_inter_token_latency_seconds", "Time between two tokens");
const PER_TOKEN: Entry = histogram(
    "neural_engine_time_per_output_token_seconds",
    "Mean time per token after the first, of a request",
);
const REQUEST: Entry =
    histogram("neural_engine_request_duration_seconds", "Time from the arrival of a request to its end");
const QUEUE: Entry = histogram("neural_engine_queue_duration_seconds", "Time a request spent in the queue");
const INFERENCE: Entry =
    histogram("neural_engine_inference_duration_seconds", "Time a request spent in inference");
const PREFILL: Entry =
    histogram("neural_engine_prefill_duration_seconds", "Time to process a request's prompt");
const DECODE: Entry =
    histogram("neural_engine_decode_duration_seconds", "Time to generate a request's completion");
const VALIDATION: Entry =
    histogram("neural_engine_validation_duration_seconds", "Time to validate a request");
const STAGE: Entry =
    histogram("neural_engine_stage_duration_seconds", "Time a request spent in a stage of the engine");
const FUNCTION: Entry =
    histogram("neural_engine_function_duration_seconds", "Duration of a function of the engine");
const BATCH: Entry = histogram("neural_engine_batch_duration_seconds", "Duration of a batch, by method");
const BATCH_FORWARD: Entry = histogram(
    "neural_engine_batch_forward_duration_seconds",
    "Duration of a batch's forward pass, by method",
);
const BLOCK_LIFE: Entry =
    histogram("neural_engine_kv_block_lifetime_seconds", "Time a block stayed in the key-value cache");
const BLOCK_IDLE: Entry = histogram(
    "neural_engine_kv_block_idle_seconds",
    "Time a block was idle before its eviction from the key-value cache",
);
const BLOCK_REUSE: Entry = histogram(
    "neural_engine_kv_block_reuse_gap_seconds",
    "Time between two uses of a block in the key-value cache",
);
const WEBSOCKET: Entry =
    histogram("neural_engine_websocket_duration_seconds", "Time a WebSocket connection was open");

// Sizes.
const REQUEST_PROMPT: Entry = histogram("neural_engine_request_prompt_tokens", "Prompt tokens of a request");
const REQUEST_COMPLETION: Entry =
    histogram("neural_engine_request_completion_tokens", "Completion tokens of a request");
const ITERATION: Entry = histogram("neural_engine_iteration_tokens", "Tokens in one step of the engine");
const REQUEST_LONGEST: Entry = histogram(
    "neural_engine_request_longest_completion_tokens",
    "Tokens of the longest completion of a request",
);
const REQUEST_CHOICES: Entry =
    histogram("neural_engine_request_choices", "Completions requested by a request");
const REQUEST_LIMIT: Entry =
    histogram("neural_engine_request_token_limit", "Limit of completion tokens of a request");
const REQUEST_COMPUTED: Entry =
    histogram("neural_engine_request_prefill_tokens", "Prompt tokens of a request that were not in a cache");
const REQUEST_SKIPPED: Entry =
    histogram("neural_engine_request_skipped_tokens", "Tokens of a request that speculation skipped");
const BATCH_SIZE: Entry = histogram("neural_engine_batch_requests", "Requests in a batch");

/// The names of vLLM and its forks.
const VLLM_NAMES: &[Entry] = &[
    RUNNING.from(&["num_requests_running"]),
    WAITING.from(&["num_requests_waiting"]),
    WAITING_BY_REASON.from(&["num_requests_waiting_by_reason"]),
    SWAPPED.from(&["num_requests_swapped"]),
    SLEEP.from(&["engine_sleep_state"]),
    KV_USAGE.from(&["kv_cache_usage_perc", "gpu_cache_usage_perc"]),
    KV_HOST_USAGE.from(&["cpu_cache_usage_perc"]),
    PROMPT_RATE.from(&["avg_prompt_throughput_toks_per_s"]),
    COMPLETION_RATE.from(&["avg_generation_throughput_toks_per_s"]),
    REQUESTS.from(&["request_success"]).labels(&[Rename("finished_reason", "finish")]),
    REJECTIONS.from(&["admission_rejections"]),
    CORRUPTED.from(&["corrupted_requests"]),
    PREEMPTIONS.from(&["num_preemptions"]),
    PROMPT_TOKENS.from(&["prompt_tokens"]),
    PROMPT_BY_SOURCE.from(&["prompt_tokens_by_source"]),
    PROMPT_CACHED.from(&["prompt_tokens_cached"]),
    COMPLETION_TOKENS.from(&["generation_tokens"]),
    PREFIX_QUERIES.from(&["prefix_cache_queries", "gpu_prefix_cache_queries"]),
    PREFIX_HITS.from(&["prefix_cache_hits", "gpu_prefix_cache_hits"]),
    EXTERNAL_QUERIES.from(&["external_prefix_cache_queries"]),
    EXTERNAL_HITS.from(&["external_prefix_cache_hits"]),
    MEDIA_QUERIES.from(&["mm_cache_queries"]),
    MEDIA_HITS.from(&["mm_cache_hits"]),
    DRAFTS.from(&["spec_decode_num_drafts"]),
    DRAFT_TOKENS.from(&["spec_decode_num_draft_tokens"]),
    DRAFT_ACCEPTED.from(&["spec_decode_num_accepted_tokens"]),
    DRAFT_POSITIONS.from(&["spec_decode_num_accepted_tokens_per_pos"]),
    FLOPS.from(&["estimated_flops_per_gpu"]),
    READ_BYTES.from(&["estimated_read_bytes_per_gpu"]),
    WRITE_BYTES.from(&["estimated_write_bytes_per_gpu"]),
    FIRST_TOKEN.from(&["time_to_first_token_seconds"]),
    INTER_TOKEN.from(&["inter_token_latency_seconds", "time_per_output_token_seconds"]),
    PER_TOKEN.from(&["request_time_per_output_token_seconds"]),
    REQUEST.from(&["e2e_request_latency_seconds"]),
    QUEUE.from(&["request_queue_time_seconds"]),
    INFERENCE.from(&["request_inference_time_seconds"]),
    PREFILL.from(&["request_prefill_time_seconds"]),
    DECODE.from(&["request_decode_time_seconds"]),
    BLOCK_LIFE.from(&["kv_block_lifetime_seconds"]),
    BLOCK_IDLE.from(&["kv_block_idle_before_evict_seconds"]),
    BLOCK_REUSE.from(&["kv_block_reuse_gap_seconds"]),
    REQUEST_PROMPT.from(&["request_prompt_tokens"]),
    REQUEST_COMPLETION.from(&["request_generation_tokens"]),
    ITERATION.from(&["iteration_tokens"]),
    REQUEST_LONGEST.from(&["request_max_num_generation_tokens"]),
    REQUEST_CHOICES.from(&["request_params_n"]),
    REQUEST_LIMIT.from(&["request_params_max_tokens"]),
    REQUEST_COMPUTED.from(&["request_prefill_kv_computed_tokens"]),
];

/// Which model; and which of the engine's own cores, since `engine` says which program.
const VLLM_LABELS: &[Label] = &[Rename("model_name", "model"), Rename("engine", "replica")];

pub(super) static VLLM: Engine =
    Engine { name: "vllm", prefix: "vllm:", labels: VLLM_LABELS, entries: &[VLLM_NAMES] };

pub(super) static APHRODITE: Engine = Engine {
    name: "aphrodite",
    prefix: "aphrodite:",
    labels: VLLM_LABELS,
    entries: &[
        VLLM_NAMES,
        &[
            WEBSOCKETS.from(&["websocket_connections_active"]),
            WEBSOCKETS_SEEN.from(&["websocket_connections"]),
            WEBSOCKET
                .from(&["websocket_connection_duration_seconds", "websocket_connections_duration_seconds"]),
        ],
    ],
};

pub(super) static SGLANG: Engine = Engine {
    name: "sglang",
    prefix: "sglang:",
    labels: &[Rename("model_name", "model"), Rename("engine", "replica")],
    entries: &[&[
        RUNNING.from(&["num_running_reqs"]),
        WAITING.from(&["num_queue_reqs"]),
        WAITING_BY_REASON.from(&["num_grammar_queue_reqs"]).labels(&[Add("reason", "grammar")]),
        RETRACTED.from(&["num_retracted_reqs"]),
        PAUSED.from(&["num_paused_reqs"]),
        KV_USAGE.from(&["token_usage"]),
        KV_USED.from(&["num_used_tokens"]),
        KV_CAPACITY.from(&["max_total_num_tokens"]),
        HIT_RATIO.from(&["cache_hit_rate"]),
        UTILIZATION.from(&["utilization"]),
        COMPLETION_RATE.from(&["gen_throughput"]),
        DRAFT_LENGTH.from(&["spec_accept_length"]),
        DRAFT_RATIO.from(&["spec_accept_rate"]),
        REQUESTS.from(&["num_requests"]).labels(&[Add("finish", "done")]),
        REQUESTS.from(&["num_aborted_requests"]).labels(&[Add("finish", "abort")]),
        PROMPT_TOKENS.from(&["prompt_tokens"]),
        PROMPT_CACHED.from(&["cached_tokens"]),
        COMPLETION_TOKENS.from(&["generation_tokens"]),
        REALTIME_TOKENS.from(&["realtime_tokens"]),
        EVICTED_TOKENS.from(&["evicted_tokens"]),
        HTTP_REQUESTS.from(&["http_requests"]),
        HTTP_RESPONSES.from(&["http_responses"]),
        FIRST_TOKEN.from(&["time_to_first_token_seconds"]),
        INTER_TOKEN.from(&["inter_token_latency_seconds", "time_per_output_token_seconds"]),
        PER_TOKEN.from(&["request_time_per_output_token_seconds"]),
        REQUEST.from(&["e2e_request_latency_seconds"]),
        QUEUE.from(&["queue_time_seconds"]),
        STAGE.from(&["per_stage_req_latency_seconds"]),
        FUNCTION.from(&["func_latency_seconds"]).labels(&[Rename("name", "function")]),
        REQUEST_PROMPT.from(&["prompt_tokens_histogram"]),
        REQUEST_COMPLETION.from(&["generation_tokens_histogram"]),
    ]],
};

pub(super) static TGI: Engine = Engine {
    name: "tgi",
    prefix: "tgi_",
    labels: &[Rename("engine", "replica")],
    entries: &[&[
        RUNNING.from(&["batch_current_size"]),
        WAITING.from(&["queue_size"]),
        BATCH_MAX_TOKENS.from(&["batch_current_max_tokens"]),
        RECEIVED.from(&["request_count"]),
        REQUESTS.from(&["request_success"]).labels(&[Add("finish", "success")]),
        REQUESTS.from(&["request_failure"]).labels(&[Rename("err", "finish")]),
        BATCHES.from(&["batch_inference_count"]),
        BATCHES_DONE.from(&["batch_inference_success"]).labels(&[Add("outcome", "success")]),
        BATCHES_DONE.from(&["batch_inference_failure"]).labels(&[Add("outcome", "failure")]),
        PROMPT_TOKENS.from(&["request_input_length"]).sum(),
        COMPLETION_TOKENS.from(&["request_generated_tokens"]).sum(),
        REQUEST.from(&["request_duration"]),
        QUEUE.from(&["request_queue_duration"]),
        INFERENCE.from(&["request_inference_duration"]),
        VALIDATION.from(&["request_validation_duration"]),
        PER_TOKEN.from(&["request_mean_time_per_token_duration"]),
        BATCH.from(&["batch_inference_duration"]),
        BATCH_FORWARD.from(&["batch_forward_duration"]),
        REQUEST_PROMPT.from(&["request_input_length"]),
        REQUEST_COMPLETION.from(&["request_generated_tokens"]),
        REQUEST_LIMIT.from(&["request_max_new_tokens"]),
        REQUEST_SKIPPED.from(&["request_skipped_tokens"]),
        BATCH_SIZE.from(&["batch_next_size"]),
    ]],
};

/// Microseconds in a second.
const MICRO: f64 = 1e6;

pub(super) static TRITON: Engine = Engine {
    name: "triton",
    prefix: "nv_",
    labels: &[Rename("engine", "replica")],
    entries: &[&[
        WAITING.from(&["inference_pending_request_count"]),
        REQUESTS.from(&["inference_request_success"]).labels(&[Add("finish", "success")]),
        REQUESTS.from(&["inference_request_failure"]).labels(&[Rename("reason", "finish")]),
        INFERENCES.from(&["inference_count"]),
        BATCHES.from(&["inference_exec_count"]),
        RESPONSE_HITS.from(&["cache_num_hits_per_model"]),
        RESPONSE_MISSES.from(&["cache_num_misses_per_model"]),
        REQUEST_TIME.from(&["inference_request_duration_us"]).per(MICRO),
        QUEUE_TIME.from(&["inference_queue_duration_us"]).per(MICRO),
        INPUT_TIME.from(&["inference_compute_input_duration_us"]).per(MICRO),
        INFERENCE_TIME.from(&["inference_compute_infer_duration_us"]).per(MICRO),
        OUTPUT_TIME.from(&["inference_compute_output_duration_us"]).per(MICRO),
        RESPONSE_HIT_TIME.from(&["cache_hit_duration_per_model"]).per(MICRO),
        RESPONSE_MISS_TIME.from(&["cache_miss_duration_per_model"]).per(MICRO),
        FIRST_TOKEN.from(&["inference_first_response_histogram_ms"]).per(1e3),
    ]],
};

pub(super) static LLAMACPP: Engine = Engine {
    name: "llamacpp",
    prefix: "llamacpp:",
    labels: &[Rename("engine", "replica")],
    entries: &[&[
        RUNNING.from(&["requests_processing"]),
        WAITING.from(&["requests_deferred"]),
        BUSY_SLOTS.from(&["n_busy_slots_per_decode"]),
        KV_USAGE.from(&["kv_cache_usage_ratio"]),
        KV_USED.from(&["kv_cache_tokens"]),
        CONTEXT_MAX.from(&["n_tokens_max"]),
        PROMPT_RATE.from(&["prompt_tokens_seconds"]),
        COMPLETION_RATE.from(&["predicted_tokens_seconds"]),
        PROMPT_TOKENS.from(&["prompt_tokens"]),
        COMPLETION_TOKENS.from(&["tokens_predicted"]),
        PREFILL_TIME.from(&["prompt_seconds"]),
        DECODE_TIME.from(&["tokens_predicted_seconds"]),
        DECODE_CALLS.from(&["n_decode"]),
        DRAFTS.from(&["spec_decode_num_drafts"]),
        DRAFT_TOKENS.from(&["spec_decode_num_draft_tokens"]),
        DRAFT_ACCEPTED.from(&["spec_decode_num_accepted_tokens"]),
        DRAFT_POSITIONS.from(&["spec_decode_num_accepted_tokens_per_pos"]),
    ]],
};
