//! The tables of a report.

use super::{Column, Section};
use crate::catalog::Unit;
use crate::catalog::card::{Bound, Threshold};
use crate::catalog::limit::{self, Limit};

const fn is(limit: &'static Limit) -> Bound {
    Bound::Limit(limit)
}

/// The tables, in the order in which they are shown.
pub static SECTIONS: &[Section] = &[
    DEVICES,
    CHANNELS,
    STREAMS,
    EXPECTED,
    PROGRAMS,
    PIPELINES,
    STAGES,
    CACHES,
    MODELS,
    BUDGET,
    PROBES,
    CHECKS,
    GPUS,
    PROCESSES,
    HOST,
    FILESYSTEMS,
    ALERTS,
    AGENT,
];

const DEVICES: Section = Section {
    name: "devices",
    heading: "Devices",
    labels: &["device"],
    subject: "{device}",
    columns: &[
        Column::new("samples", "Samples", Unit::None, "sum by (instance, device) ($growth(neural_device_samples_total))"),
        Column::new("lost", "Lost packets", Unit::None, "sum by (instance, device) ($growth(neural_device_lost_packets_total))"),
        Column::new(
            "loss",
            "Loss",
            Unit::Ratio,
            "sum by (instance, device) ($growth(neural_device_lost_packets_total)) \
             / (sum by (instance, device) ($growth(neural_device_frames_total)) + sum by (instance, device) ($growth(neural_device_lost_packets_total)))",
        )
        .judged(
            Threshold::limit(is(&limit::DEVICE_LOSS), "lost {} of its packets", &["NeuralDeviceLoss"])
                .critical(is(&limit::DEVICE_LOSS_CRITICAL)),
        ),
        Column::new("gaps", "Gaps", Unit::None, "sum by (instance, device) ($growth(neural_device_gaps_total))"),
        Column::new("longest_gap", "Longest gap", Unit::Seconds, "max by (instance, device) (max_over_time(neural_device_longest_gap_seconds[$window]))")
            .judged(Threshold::limit(is(&limit::DEVICE_GAP), "had a gap of {} between two samples", &["NeuralDeviceLongGap"])),
        Column::new("streamed", "Streamed", Unit::Ratio, "avg by (instance, device) (avg_over_time(neural_device_streaming[$window]))")
            .judged(
                Threshold::limit(is(&limit::DEVICE_AVAILABILITY), "streamed for {} of the time", &["NeuralDeviceAvailability"])
                    .critical(is(&limit::DEVICE_AVAILABILITY_CRITICAL)),
            )
            .share_well(),
        Column::new("rate", "Rate while it streamed", Unit::Hertz, "avg by (instance, device) (avg_over_time((neural_device_rate_hertz > 0)[$window:5s]))"),
        Column::new("nominal_rate", "Nominal rate", Unit::Hertz, "max by (instance, device) (last_over_time(neural_device_nominal_rate_hertz[$window]))"),
        Column::new("reconnects", "Reconnects", Unit::None, "sum by (instance, device) ($growth(neural_port_reconnects_total))"),
        Column::new("clock_drift", "Clock drift", Unit::Ratio, "max by (instance, device) (last_over_time(neural_device_clock_drift_ratio[$window]))"),
        Column::new("bad_channels", "Most bad channels", Unit::None, "max by (instance, device) (max_over_time(neural_device_bad_channels[$window]))"),
        Column::new("quality", "Signal quality", Unit::Ratio, "avg by (instance, device) (avg_over_time(neural_device_quality_ratio[$window]))"),
        Column::new("battery_start", "Battery at the begin", Unit::Ratio, "min by (instance, device) (last_over_time(neural_device_battery_ratio[5m] @ $early))"),
        Column::new("battery", "Battery at the end", Unit::Ratio, "min by (instance, device) (last_over_time(neural_device_battery_ratio[$window]))")
            .judged(
                Threshold::limit(is(&limit::DEVICE_BATTERY), "has {} of its battery left", &["NeuralDeviceBattery"])
                    .critical(is(&limit::DEVICE_BATTERY_CRITICAL)),
            ),
        Column::new(
            "battery_left",
            "Battery lasts",
            Unit::Seconds,
            "min by (instance, device) (last_over_time(neural_device_battery_ratio[$window]) / (-deriv(neural_device_battery_ratio[$window]) > 0) \
             and max_over_time(neural_device_battery_ratio[$window]) - min_over_time(neural_device_battery_ratio[$window]) >= 0.01)",
        ),
    ],
};

const CHANNELS: Section = Section {
    name: "channels",
    heading: "Channels",
    labels: &["device", "channel"],
    subject: "channel {channel} of {device}",
    columns: &[
        Column::new(
            "good",
            "Good",
            Unit::Ratio,
            "1 - sum by (instance, device, channel) ($growth(neural_channel_bad_seconds_total)) \
             / on (instance, device) group_left sum by (instance, device) ($growth(neural_device_assessed_seconds_total) > 0)",
        )
        .judged(
            Threshold::limit(Bound::Rest(&limit::CHANNEL_BAD_FAIR), "was good for {} of the time", &["NeuralChannelBad"])
                .critical(Bound::Rest(&limit::CHANNEL_BAD)),
        )
        .share_well(),
        Column::new(
            "reason",
            "Most often bad for",
            Unit::None,
            "topk by (instance, device, channel) (1, sum by (instance, device, channel, reason) (sum_over_time(neural_channel_bad[$window])) > 0)",
        )
        .shows("reason"),
        Column::new("name", "Name", Unit::None, "max by (instance, device, channel, channel_name) (last_over_time(neural_channel_info[$window]))")
            .shows("channel_name"),
        Column::new("quality", "Quality", Unit::Ratio, "avg by (instance, device, channel) (avg_over_time(neural_channel_quality_ratio[$window]))"),
        Column::new("hum", "Hum", Unit::Ratio, "avg by (instance, device, channel) (avg_over_time(neural_channel_hum_ratio[$window]))"),
        Column::new("noise", "Noise", Unit::Ratio, "avg by (instance, device, channel) (avg_over_time(neural_channel_noise_ratio[$window]))"),
        Column::new("railed", "At the rail", Unit::Ratio, "avg by (instance, device, channel) (avg_over_time(neural_channel_railed_ratio[$window]))"),
        Column::new("flat", "Flat", Unit::Ratio, "avg by (instance, device, channel) (avg_over_time(neural_channel_flat_ratio[$window]))"),
        Column::new(
            "impedance_start",
            "Impedance at the begin",
            Unit::Ohms,
            "max by (instance, device, channel) (last_over_time(neural_device_electrode_impedance_ohms[5m] @ $early))",
        ),
        Column::new("impedance", "Impedance", Unit::Ohms, "max by (instance, device, channel) (last_over_time(neural_device_electrode_impedance_ohms[$window]))")
            .judged(Threshold::limit(is(&limit::DEVICE_IMPEDANCE), "has an impedance of {}", &["NeuralSignalImpedance"])),
    ],
};

const STREAMS: Section = Section {
    name: "streams",
    heading: "Streams",
    labels: &["source", "stream"],
    subject: "{stream}",
    columns: &[
        Column::new(
            "rate_ratio",
            "Share of its rate",
            Unit::Ratio,
            "min by (instance, source, stream) (avg_over_time(neural_stream_rate_ratio[$window]))",
        )
        .judged(Threshold::limit(
            is(&limit::STREAM_RATE),
            "had {} of its rate",
            &["NeuralStreamLowRate"],
        )),
        Column::new(
            "missing",
            "Missing samples",
            Unit::None,
            "sum by (instance, source, stream) ($growth(neural_stream_missing_samples_total))",
        ),
        Column::new(
            "gaps",
            "Gaps",
            Unit::None,
            "sum by (instance, source, stream) ($growth(neural_stream_gaps_total))",
        ),
        Column::new(
            "out_of_order",
            "Out of order",
            Unit::None,
            "sum by (instance, source, stream) ($growth(neural_stream_out_of_order_samples_total))",
        ),
        Column::new(
            "reconnects",
            "Reconnects",
            Unit::None,
            "sum by (instance, source, stream) ($growth(neural_stream_reconnects_total))",
        ),
        Column::new(
            "markers",
            "Markers",
            Unit::None,
            "sum by (instance, source, stream) ($growth(neural_stream_markers_total))",
        ),
        Column::new(
            "clock_drift",
            "Clock drift",
            Unit::Ratio,
            "max by (instance, source, stream) (last_over_time(neural_stream_clock_drift_ratio[$window]))",
        ),
        Column::new(
            "clock_jumps",
            "Clock jumps",
            Unit::None,
            "sum by (instance, source, stream) ($growth(neural_stream_clock_jumps_total))",
        ),
    ],
};

const EXPECTED: Section = Section {
    name: "expected_streams",
    heading: "Expected streams",
    labels: &["source", "stream"],
    subject: "{stream}",
    columns: &[Column::new(
        "present",
        "Present",
        Unit::Ratio,
        "avg by (instance, source, stream) (avg_over_time(neural_stream_present$during))",
    )
    .judged(
        Threshold::limit(Bound::Under(0.999), "was there for {} of the time", &["NeuralStreamMissing"])
            .critical(Bound::Under(0.9)),
    )
    .share_well()],
};

const PROGRAMS: Section = Section {
    name: "programs",
    heading: "Recording programs",
    labels: &["source"],
    subject: "{source}",
    columns: &[
        Column::new(
            "recorded",
            "Recorded",
            Unit::Ratio,
            "max by (instance, source) (avg_over_time(neural_program_state{state='recording'}$during)) \
             or max by (instance, source) (avg_over_time(neural_program_state$during)) * 0",
        ),
        Column::new(
            "as_expected",
            "As expected",
            Unit::Ratio,
            "min by (instance, source) (avg_over_time(neural_program_expected_state$during))",
        )
        .judged(
            Threshold::limit(
                Bound::Under(0.999),
                "was in the state that is expected for {} of the time",
                &["NeuralProgramNotRecording"],
            )
            .critical(Bound::Under(0.9)),
        )
        .share_well(),
        Column::new(
            "rate_ratio",
            "Share of its rate",
            Unit::Ratio,
            "min by (instance, source) (avg_over_time(neural_program_rate_ratio[$window]))",
        )
        .judged(Threshold::limit(
            is(&limit::PROGRAM_RATE),
            "delivered {} of its rate",
            &["NeuralProgramBehind"],
        )),
    ],
};

const PIPELINES: Section = Section {
    name: "pipelines",
    heading: "Pipelines",
    labels: &["pipeline"],
    subject: "{pipeline}",
    columns: &[
        Column::new(
            "runs",
            "Runs",
            Unit::None,
            "max by (instance, pipeline) (sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_count)))",
        ),
        Column::new(
            "runs_now",
            "Runs a second, at the end",
            Unit::Hertz,
            "max by (instance, pipeline) (sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[1m])))",
        ),
        Column::new(
            "runs_mean",
            "On average",
            Unit::Hertz,
            "max by (instance, pipeline) (sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[$window])))",
        ),
        Column::new(
            "runs_peak",
            "At most in a minute",
            Unit::Hertz,
            "max by (instance, pipeline) (max_over_time((sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[1m])))[$window:30s]))",
        ),
        Column::new(
            "duration",
            "Mean from start to end",
            Unit::Seconds,
            "sum by (instance, pipeline) (sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_sum)) \
             / sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_count) > 0))",
        ),
        Column::new(
            "well",
            "Runs without a failure",
            Unit::Ratio,
            "1 - (sum by (instance, pipeline) ($growth(neural_stage_failures_total)) or sum by (instance, pipeline) (last_over_time(neural_stage_duration_seconds_count[$window])) * 0) \
             / sum by (instance, pipeline) ($growth(neural_stage_duration_seconds_count) > 0)",
        )
        .share_well(),
        Column::new("quality", "Data quality", Unit::Ratio, "avg by (instance, pipeline) (avg_over_time(neural_data_quality_ratio[$window]))")
            .judged(
                Threshold::limit(is(&limit::DATA_QUALITY), "had data of a quality of {}", &["NeuralDataQuality"])
                    .critical(is(&limit::DATA_QUALITY_CRITICAL)),
            ),
        Column::new(
            "fullest_queue",
            "Fullest queue",
            Unit::Ratio,
            "max by (instance, pipeline) (max_over_time((neural_queue_peak_depth / (neural_queue_capacity > 0))[$window:15s]))",
        )
        .judged(
            Threshold::limit(is(&limit::QUEUE_FILL), "had a queue that was {} full", &["NeuralQueueFill"])
                .critical(is(&limit::QUEUE_FILL_CRITICAL)),
        ),
        Column::new("errors", "Errors outside stages", Unit::None, "sum by (instance, pipeline) ($growth(neural_pipeline_errors_total))"),
        Column::new("sessions", "Sessions started", Unit::None, "sum by (instance, pipeline) ($growth(neural_sessions_started_total))"),
        Column::new("sessions_failed", "Sessions failed", Unit::None, "sum by (instance, pipeline) ($growth(neural_sessions_failed_total))"),
    ],
};

const STAGES: Section = Section {
    name: "stages",
    heading: "Stages",
    labels: &["pipeline", "stage"],
    subject: "{stage} of {pipeline}",
    columns: &[
        Column::new("runs", "Runs", Unit::None, "sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_count))"),
        Column::new(
            "mean",
            "Mean",
            Unit::Seconds,
            "sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_sum)) \
             / sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_count) > 0)",
        ),
        Column::new(
            "p50",
            "p50",
            Unit::Seconds,
            "histogram_quantile(0.5, sum by (instance, pipeline, stage, le) (increase(neural_stage_duration_seconds_bucket[$window])))",
        ),
        Column::new(
            "p95",
            "p95",
            Unit::Seconds,
            "histogram_quantile(0.95, sum by (instance, pipeline, stage, le) (increase(neural_stage_duration_seconds_bucket[$window])))",
        )
        .judged(
            Threshold::limit(is(&limit::STAGE_LATENCY), "took {} or longer in 5 of 100 runs", &["NeuralStageLatency"])
                .critical(is(&limit::STAGE_LATENCY_CRITICAL)),
        ),
        Column::new(
            "p99",
            "p99",
            Unit::Seconds,
            "histogram_quantile(0.99, sum by (instance, pipeline, stage, le) (increase(neural_stage_duration_seconds_bucket[$window])))",
        ),
        Column::new("failures", "Failed", Unit::None, "sum by (instance, pipeline, stage) ($growth(neural_stage_failures_total))"),
        Column::new(
            "failure_ratio",
            "Share failed",
            Unit::Ratio,
            "sum by (instance, pipeline, stage) ($growth(neural_stage_failures_total)) \
             / sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_count) > 0)",
        )
        .judged(
            Threshold::limit(is(&limit::STAGE_FAILURES), "failed in {} of its runs", &["NeuralStageFailures"])
                .critical(is(&limit::STAGE_FAILURES_CRITICAL)),
        ),
        Column::new(
            "share",
            "Share of the time",
            Unit::Ratio,
            "sum by (instance, pipeline, stage) ($growth(neural_stage_duration_seconds_sum)) \
             / on (instance, pipeline) group_left sum by (instance, pipeline) ($growth(neural_stage_duration_seconds_sum) > 0)",
        ),
    ],
};

const CACHES: Section = Section {
    name: "caches",
    heading: "Caches",
    labels: &["pipeline", "cache"],
    subject: "the cache {cache} of {pipeline}",
    columns: &[
        Column::new(
            "lookups",
            "Lookups",
            Unit::None,
            "sum by (instance, pipeline, cache) ($growth(neural_cache_lookups_total))",
        ),
        Column::new(
            "hits",
            "Answered by the cache",
            Unit::Ratio,
            "sum by (instance, pipeline, cache) ($growth(neural_cache_hits_total)) \
             / sum by (instance, pipeline, cache) ($growth(neural_cache_lookups_total) > 0)",
        )
        .judged(Threshold::limit(
            is(&limit::CACHE_HITS),
            "answered {} of the lookups",
            &["NeuralCacheHits"],
        )),
    ],
};

const MODELS: Section = Section {
    name: "models",
    heading: "Models",
    labels: &["model"],
    subject: "{model}",
    columns: &[
        Column::new("calls", "Calls", Unit::None, "sum by (instance, model) ($growth(neural_llm_calls_total))"),
        Column::new("prompt_tokens", "Tokens sent", Unit::None, "sum by (instance, model) ($growth(neural_llm_prompt_tokens_total))"),
        Column::new("completion_tokens", "Tokens received", Unit::None, "sum by (instance, model) ($growth(neural_llm_completion_tokens_total))"),
        Column::new("cost", "Cost", Unit::None, "sum by (instance, model) ($growth(neural_llm_cost_total))"),
        Column::new(
            "failure_ratio",
            "Share failed",
            Unit::Ratio,
            "sum by (instance, model) ($growth(neural_llm_failures_total)) / sum by (instance, model) ($growth(neural_llm_calls_total) > 0)",
        )
        .judged(
            Threshold::limit(is(&limit::LLM_FAILURES), "failed in {} of its calls", &["NeuralLlmFailures"])
                .critical(is(&limit::LLM_FAILURES_CRITICAL)),
        ),
        Column::new(
            "p95",
            "p95",
            Unit::Seconds,
            "histogram_quantile(0.95, sum by (instance, model, le) (increase(neural_llm_duration_seconds_bucket[$window])))",
        )
        .judged(Threshold::limit(is(&limit::LLM_LATENCY), "took {} or longer in 5 of 100 calls", &["NeuralLlmLatency"])),
        Column::new(
            "first_token_p95",
            "First token, p95",
            Unit::Seconds,
            "histogram_quantile(0.95, sum by (instance, model, le) (increase(neural_llm_time_to_first_token_seconds_bucket[$window])))",
        )
        .judged(Threshold::limit(is(&limit::LLM_FIRST_TOKEN), "took {} or longer to its first token in 5 of 100 calls", &["NeuralLlmFirstToken"])),
        Column::new(
            "cache_hits",
            "Answered by a cache",
            Unit::Ratio,
            "sum by (instance, model) ($growth(neural_llm_cache_hits_total)) / sum by (instance, model) ($growth(neural_llm_cache_lookups_total) > 0)",
        ),
    ],
};

const BUDGET: Section = Section {
    name: "budget",
    heading: "Budget of the day",
    labels: &[],
    subject: "models",
    columns: &[
        Column::new("tokens_used", "Tokens used", Unit::Ratio, "max by (instance) (last_over_time(neural_llm_tokens_today[$window]) / last_over_time(neural_llm_daily_budget_tokens[$window]))")
            .judged(
                Threshold::limit(is(&limit::LLM_BUDGET), "used {} of the tokens of the day", &["NeuralLlmTokenBudget"])
                    .critical(is(&limit::LLM_BUDGET_CRITICAL)),
            ),
        Column::new(
            "tokens_left_for",
            "Tokens last, as they are used here",
            Unit::Seconds,
            "max by (instance) ((neural_llm_daily_budget_tokens - neural_llm_tokens_today > 0) \
             / on (instance) (sum by (instance) (rate(neural_llm_prompt_tokens_total[$window])) + sum by (instance) (rate(neural_llm_completion_tokens_total[$window])) > 0))",
        ),
        Column::new("cost_used", "Cost used", Unit::Ratio, "max by (instance) (last_over_time(neural_llm_cost_today[$window]) / last_over_time(neural_llm_daily_budget_cost[$window]))")
            .judged(
                Threshold::limit(is(&limit::LLM_BUDGET), "used {} of the budget of the day", &["NeuralLlmCostBudget"])
                    .critical(is(&limit::LLM_BUDGET_CRITICAL)),
            ),
        Column::new(
            "cost_left_for",
            "Budget lasts, as it is used here",
            Unit::Seconds,
            "max by (instance) ((neural_llm_daily_budget_cost - neural_llm_cost_today > 0) / on (instance) (sum by (instance) (rate(neural_llm_cost_total[$window])) > 0))",
        ),
    ],
};

const PROBES: Section = Section {
    name: "probes",
    heading: "Probes",
    labels: &["source"],
    subject: "{source}",
    columns: &[
        Column::new(
            "available",
            "Healthy or degraded",
            Unit::Ratio,
            "sum by (instance, source) ($growth(neural_probe_state_seconds_total{state=~'healthy|degraded'})) \
             / sum by (instance, source) ($growth(neural_probe_state_seconds_total{state!='unknown'}) > 0)",
        )
        .judged(Threshold::limit(is(&limit::SLO_PROBE_AVAILABLE), "was there for {} of the time", &["NeuralProbeBudgetBurn"]))
        .share_well(),
        Column::new("duration", "Mean duration", Unit::Seconds, "avg by (instance, source) (avg_over_time(neural_probe_duration_seconds[$window]))"),
        Column::new("longest", "Longest", Unit::Seconds, "max by (instance, source) (max_over_time(neural_probe_duration_seconds[$window]))"),
    ],
};

const CHECKS: Section = Section {
    name: "checks",
    heading: "Checks",
    labels: &["check"],
    subject: "{check}",
    columns: &[Column::new(
        "well",
        "Well",
        Unit::Ratio,
        "avg by (instance, check) (avg_over_time((neural_check_status <= bool 1)[$window:15s]))",
    )
    .judged(Threshold::limit(Bound::Under(0.99), "was well for {} of the time", &["NeuralCheckFailing"]))
    .share_well()],
};

const GPUS: Section = Section {
    name: "gpus",
    heading: "GPUs",
    labels: &["gpu"],
    subject: "GPU {gpu}",
    columns: &[
        Column::new("used", "Used", Unit::Ratio, "avg by (instance, gpu) (avg_over_time(neural_gpu_utilization_ratio[$window]))"),
        Column::new(
            "memory",
            "Memory at most",
            Unit::Ratio,
            "max by (instance, gpu) (max_over_time((neural_gpu_memory_used_bytes / neural_gpu_memory_size_bytes)[$window:15s]))",
        )
        .judged(Threshold::limit(is(&limit::GPU_MEMORY), "had {} of its memory in use", &["NeuralGpuMemory"])),
        Column::new("temperature", "Hottest", Unit::Celsius, "max by (instance, gpu) (max_over_time(neural_gpu_temperature_celsius[$window]))")
            .judged(Threshold::limit(is(&limit::GPU_TEMPERATURE), "was at {}", &["NeuralGpuTemperature"])),
        Column::new("energy", "Energy", Unit::Joules, "sum by (instance, gpu) ($moved(neural_gpu_energy_joules_total))"),
    ],
};

const PROCESSES: Section = Section {
    name: "processes",
    heading: "Processes",
    labels: &["group"],
    subject: "{group}",
    columns: &[
        Column::new(
            "cpu",
            "CPU, in cores",
            Unit::None,
            "sum by (instance, group) (rate(neural_process_cpu_seconds_total[$window]))",
        ),
        Column::new(
            "memory",
            "Memory at most",
            Unit::Bytes,
            "max by (instance, group) (max_over_time(neural_process_resident_memory_bytes[$window]))",
        ),
        Column::new(
            "growth",
            "Memory grew by, an hour",
            Unit::Bytes,
            "max by (instance, group) (deriv(neural_process_resident_memory_bytes[$window])) * 3600",
        ),
    ],
};

const HOST: Section = Section {
    name: "host",
    heading: "This machine",
    labels: &[],
    subject: "this machine",
    columns: &[
        Column::new(
            "cpu",
            "CPU",
            Unit::Ratio,
            "1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[$window])) / sum by (instance) (rate(neural_host_cpu_seconds_total[$window]))",
        )
        .judged(
            Threshold::limit(is(&limit::HOST_CPU), "used {} of its CPU time", &["NeuralHostCpu"])
                .critical(is(&limit::HOST_CPU_CRITICAL)),
        ),
        Column::new(
            "cpu_peak",
            "CPU, busiest minute",
            Unit::Ratio,
            "max_over_time((1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[1m])) / sum by (instance) (rate(neural_host_cpu_seconds_total[1m])))[$window:30s])",
        ),
        Column::new(
            "memory",
            "Memory at most",
            Unit::Ratio,
            "max by (instance) (max_over_time((neural_host_memory_used_bytes / neural_host_memory_size_bytes)[$window:15s]))",
        )
        .judged(
            Threshold::limit(is(&limit::HOST_MEMORY), "had {} of its memory in use", &["NeuralHostMemory"])
                .critical(is(&limit::HOST_MEMORY_CRITICAL)),
        ),
        Column::new("received", "Received", Unit::Bytes, "sum by (instance) ($moved(neural_host_network_received_bytes_total{interface!='lo'}))"),
        Column::new("transmitted", "Transmitted", Unit::Bytes, "sum by (instance) ($moved(neural_host_network_transmitted_bytes_total{interface!='lo'}))"),
        Column::new("temperature", "Hottest sensor", Unit::Celsius, "max by (instance) (max_over_time(neural_host_temperature_celsius[$window]))"),
    ],
};

const FILESYSTEMS: Section = Section {
    name: "filesystems",
    heading: "File systems",
    labels: &["mount"],
    subject: "the file system {mount}",
    columns: &[
        Column::new(
            "used",
            "Used at the end",
            Unit::Ratio,
            "max by (instance, mount) (1 - last_over_time(neural_host_filesystem_available_bytes[$window]) / last_over_time(neural_host_filesystem_size_bytes[$window]))",
        )
        .judged(
            Threshold::limit(is(&limit::FILESYSTEM), "is {} full", &["NeuralHostFilesystem"])
                .critical(is(&limit::FILESYSTEM_CRITICAL)),
        ),
        Column::new("available", "Available", Unit::Bytes, "min by (instance, mount) (last_over_time(neural_host_filesystem_available_bytes[$window]))"),
        Column::new(
            "full_in",
            "Full in, as it fills here",
            Unit::Seconds,
            "min by (instance, mount) (last_over_time(neural_host_filesystem_available_bytes[$window]) / (-deriv(neural_host_filesystem_available_bytes[$window]) > 0) < 2592000)",
        )
        .judged(Threshold::limit(Bound::Under(86_400.0), "will be full in {}", &["NeuralHostFilesystemForecast"])),
    ],
};

const ALERTS: Section = Section {
    name: "alerts",
    heading: "Alerts that fired",
    labels: &["alertname", "severity"],
    subject: "{alertname}",
    columns: &[
        Column::new(
            "times",
            "Of how many things",
            Unit::None,
            "count by (instance, alertname, severity) (last_over_time(ALERTS{alertstate='firing',severity!~'info|none'}[$window]))",
        ),
        Column::new(
            "fired",
            "Longest",
            Unit::Seconds,
            "max by (instance, alertname, severity) (count_over_time(ALERTS{alertstate='firing',severity!~'info|none'}[$window:15s])) * 15",
        ),
    ],
};

const AGENT: Section = Section {
    name: "agent",
    heading: "The agent",
    labels: &[],
    subject: "the agent",
    columns: &[
        Column::new(
            "known",
            "Share of the time that is known",
            Unit::Ratio,
            "clamp_max(max by (instance) (count_over_time(neural_agent_build_info[$window:15s])) * 15 / $seconds, 1)",
        ),
        Column::new(
            "events",
            "Events",
            Unit::None,
            "sum by (instance) ($growth(neural_source_events_total))",
        ),
        Column::new(
            "dropped",
            "Dropped events",
            Unit::None,
            "sum by (instance) ($growth(neural_source_dropped_events_total))",
        ),
        Column::new(
            "errors",
            "Refused or damaged",
            Unit::None,
            "sum by (instance) ($growth(neural_source_errors_total))",
        ),
        Column::new(
            "cpu",
            "CPU, in cores",
            Unit::None,
            "max by (instance) (rate(process_cpu_seconds_total{source=''}[$window]))",
        ),
        Column::new(
            "memory",
            "Memory at most",
            Unit::Bytes,
            "max by (instance) (max_over_time(process_resident_memory_bytes{source=''}[$window]))",
        ),
        Column::new(
            "restarts",
            "Restarts",
            Unit::None,
            "max by (instance) (changes(process_start_time_seconds{source=''}[$window]))",
        ),
    ],
};
