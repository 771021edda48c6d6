//! Every card: an entry each.

use super::Ask::{Now, Past};
use super::Bound::{Over, Under};
use super::{Bound, Card, Fact, Line, Parts, Threshold};
use crate::catalog::Unit;
use crate::catalog::limit::{self, Limit};

const fn is(limit: &'static Limit) -> Bound {
    Bound::Limit(limit)
}

/// What 0 and 1 mean.
const NO_YES: &[&str] = &["no", "yes"];

/// Every card, in the order in which they are shown.
pub static CARDS: &[Card] = &[DEVICE, STREAM, PROGRAM, PIPELINE, MODEL, SERVICE, PROBE, GPU, HOST, AGENT];

const DEVICE: Card = Card {
    component: "device",
    title: "device",
    heading: "Devices and streams",
    labels: &["device"],
    present: Now(
        "max by (device) (neural_device_streaming or neural_device_info or neural_port_state or neural_device_nominal_rate_hertz)",
    ),
    facts: &[
        Fact::plain("rate", "Rate", Unit::Hertz, Now("neural_device_rate_hertz"))
            .beside("of", "of", Now("neural_device_nominal_rate_hertz"))
            .judged(
                Threshold::limit(
                    is(&limit::DEVICE_RATE),
                    "delivers {} of its rate",
                    &["NeuralDeviceLowRate", "NeuralStreamLowRate"],
                )
                .by(Unit::Ratio, Now("neural_device_rate_ratio and on (device) neural_device_streaming == 1")),
            ),
        Fact::plain("lost_in_the_last_minute", "Lost in the last minute", Unit::Ratio, Past(
            "rate(neural_device_lost_packets_total[1m]) / (rate(neural_device_frames_total[1m]) + rate(neural_device_lost_packets_total[1m]))",
        ))
        .judged(
            Threshold::limit(is(&limit::DEVICE_LOSS), "lost {} of its packets in the last minute", &["NeuralDeviceLoss"])
                .critical(is(&limit::DEVICE_LOSS_CRITICAL)),
        ),
        Fact::plain("lost_in_the_last_hour", "Lost in the last hour", Unit::Ratio, Past(
            "increase(neural_device_lost_packets_total[1h]) / (increase(neural_device_frames_total[1h]) + increase(neural_device_lost_packets_total[1h]))",
        )),
        Fact::plain("last_sample", "Last sample", Unit::Seconds, Now("time() - neural_device_last_sample_timestamp_seconds")),
        Fact::plain("bad_channels", "Bad channels", Unit::None, Now("neural_device_bad_channels"))
            .beside("of", "of", Now("neural_device_channels")),
        Fact::plain("battery", "Battery", Unit::Ratio, Now("neural_device_battery_ratio")).judged(
            Threshold::limit(is(&limit::DEVICE_BATTERY), "has {} of its battery left", &["NeuralDeviceBattery"])
                .critical(is(&limit::DEVICE_BATTERY_CRITICAL)),
        ),
        Fact::plain("poor_signal", "Poor signal", Unit::Ratio, Now("neural_device_poor_signal_ratio")).judged(Threshold::limit(
            is(&limit::DEVICE_POOR_SIGNAL),
            "reports a poor signal ({})",
            &["NeuralDevicePoorSignal"],
        )),
        Fact::plain("temperature", "Temperature", Unit::Celsius, Now("neural_device_temperature_celsius")),
    ],
    lines: &[
        Line { label: "Rate", ask: Past("neural_device_rate_hertz"), unit: Unit::Hertz, bound: None },
        Line {
            label: "Lost",
            ask: Past(
                "rate(neural_device_lost_packets_total[1m]) / (rate(neural_device_frames_total[1m]) + rate(neural_device_lost_packets_total[1m]))",
            ),
            unit: Unit::Ratio,
            bound: Some(is(&limit::DEVICE_LOSS)),
        },
        Line {
            label: "Bad channels",
            ask: Past("neural_device_bad_channels"),
            unit: Unit::None,
            bound: Some(Over(0.0)),
        },
    ],
    parts: Some(&Parts {
        title: "channel",
        heading: "Channels",
        list: "channels",
        label: "channel",
        present: Now("max by (device, channel) (neural_channel_quality_ratio or neural_channel_info or neural_device_electrode_impedance_ohms)"),
        name: Some((Now("neural_channel_info"), "channel_name")),
        bad: Some((Now("neural_channel_bad == 1"), "reason")),
        facts: &[
            Fact::plain("quality", "Quality", Unit::Ratio, Now("neural_channel_quality_ratio")),
            Fact::plain("hum", "Hum", Unit::Ratio, Now("neural_channel_hum_ratio")),
            Fact::plain("noise", "Noise", Unit::Ratio, Now("neural_channel_noise_ratio")),
            Fact::plain("at_the_rail", "At the rail", Unit::Ratio, Now("neural_channel_railed_ratio")),
            Fact::plain("flat", "Flat", Unit::Ratio, Now("neural_channel_flat_ratio")),
            Fact::plain("rms", "RMS", Unit::Volts, Now("neural_channel_rms_volts")),
            Fact::plain("offset", "Offset", Unit::Volts, Now("neural_channel_offset_volts")),
            Fact::plain("impedance", "Impedance", Unit::Ohms, Now("neural_device_electrode_impedance_ohms")).judged(Threshold::limit(
                is(&limit::DEVICE_IMPEDANCE),
                "has {} of impedance",
                &["NeuralSignalImpedance"],
            )),
            Fact::plain("bad_in_the_last_hour", "Bad in the last hour", Unit::Seconds, Past("increase(neural_channel_bad_seconds_total[1h])")),
        ],
        columns: &[],
        lines: &[Line {
            label: "Quality",
            ask: Past("neural_channel_quality_ratio"),
            unit: Unit::Ratio,
            bound: None,
        }],
    }),
};

const STREAM: Card = Card {
    component: "stream",
    title: "expected stream",
    heading: "Expected streams",
    labels: &["source", "stream"],
    present: Now("neural_stream_present"),
    facts: &[Fact::plain("present", "Present", Unit::None, Now("neural_stream_present"))
        .words(NO_YES)
        .judged(
            Threshold::limit(Under(1.0), "is not there", &["NeuralStreamMissing", "NeuralStreamAbsent"])
                .critical(Under(1.0)),
        )],
    lines: &[],
    parts: None,
};

const PROGRAM: Card = Card {
    component: "program",
    title: "program",
    heading: "Recording programs",
    labels: &["source"],
    present: Now("max by (source) (neural_program_state)"),
    facts: &[
        Fact::plain("as_expected", "As expected", Unit::None, Now("neural_program_expected_state"))
            .words(NO_YES)
            .judged(
                Threshold::limit(
                    Under(1.0),
                    "is not in the state that is expected",
                    &["NeuralProgramNotRecording"],
                )
                .critical(Under(1.0)),
            ),
        Fact::plain("rate", "Rate", Unit::Hertz, Now("neural_program_rate_hertz"))
            .beside("of", "of", Now("neural_program_nominal_rate_hertz"))
            .judged(
                Threshold::limit(
                    is(&limit::PROGRAM_RATE),
                    "delivers {} of its rate",
                    &["NeuralProgramBehind"],
                )
                .by(Unit::Ratio, Now("neural_program_rate_ratio")),
            ),
        Fact::plain("its_own_cpu", "Its own CPU", Unit::Ratio, Now("neural_program_cpu_ratio")).judged(
            Threshold::limit(is(&limit::PROGRAM_CPU), "uses {} of the time it has", &["NeuralProgramCpu"]),
        ),
        Fact::plain(
            "slowest_step",
            "Slowest step",
            Unit::Seconds,
            Now("max by (source) (neural_program_latency_seconds)"),
        )
        .judged(Threshold::limit(
            is(&limit::PROGRAM_LATENCY),
            "takes {} for a step",
            &["NeuralProgramLatency"],
        )),
    ],
    lines: &[Line { label: "Rate", ask: Past("neural_program_rate_hertz"), unit: Unit::Hertz, bound: None }],
    parts: None,
};

const PIPELINE: Card = Card {
    component: "pipeline",
    title: "pipeline",
    heading: "Pipelines",
    labels: &["pipeline"],
    present: Now("max by (pipeline) (neural_stage_duration_seconds_count or neural_queue_depth or neural_sessions_started_total)"),
    facts: &[
        // Of quantiles there is no sum.
        Fact::plain("from_start_to_end_mean", "From start to end, mean", Unit::Seconds, Past(
            "sum by (pipeline) (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_sum[5m])) / (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[5m])) > 0))",
        )),
        Fact::plain("runs", "Runs", Unit::Hertz, Past("max by (pipeline) (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[1m])))")),
        Fact::plain("failed_in_five_minutes", "Failed in five minutes", Unit::Ratio, Past(
            "sum by (pipeline) (rate(neural_stage_failures_total[5m])) / sum by (pipeline) (rate(neural_stage_duration_seconds_count[5m]))",
        ))
        .judged(
            Threshold::limit(is(&limit::STAGE_FAILURES), "fails {} of its runs", &["NeuralStageFailures"])
                .critical(is(&limit::STAGE_FAILURES_CRITICAL)),
        ),
        Fact::plain("fullest_queue", "Fullest queue", Unit::Ratio, Now("max by (pipeline) (neural_queue_depth / (neural_queue_capacity > 0))")).judged(
            Threshold::limit(is(&limit::QUEUE_FILL), "has a queue that is {} full", &["NeuralQueueFill"])
                .critical(is(&limit::QUEUE_FILL_CRITICAL)),
        ),
        Fact::plain("sessions_now", "Sessions now", Unit::None, Now("sum by (pipeline) (neural_sessions_active)")),
        Fact::plain("data_quality", "Data quality", Unit::Ratio, Now("neural_data_quality_ratio")).judged(
            Threshold::limit(is(&limit::DATA_QUALITY), "has data of a quality of {}", &["NeuralDataQuality"])
                .critical(is(&limit::DATA_QUALITY_CRITICAL)),
        ),
    ],
    lines: &[
        Line {
            label: "Slowest stage, p95",
            ask: Past("max by (pipeline) (histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[1m]))))"),
            unit: Unit::Seconds,
            bound: Some(is(&limit::STAGE_LATENCY)),
        },
        Line {
            label: "Runs",
            ask: Past("max by (pipeline) (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[1m])))"),
            unit: Unit::Hertz,
            bound: None,
        },
    ],
    parts: Some(&Parts {
        title: "stage",
        heading: "Stages",
        list: "stages",
        label: "stage",
        present: Now("neural_stage_duration_seconds_count"),
        name: None,
        bad: None,
        facts: &[
            Fact::plain("p50", "p50", Unit::Seconds, Past(
                "histogram_quantile(0.5, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[5m])))",
            )),
            Fact::plain("p95", "p95", Unit::Seconds, Past(
                "histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[5m])))",
            ))
            .judged(
                Threshold::limit(is(&limit::STAGE_LATENCY), "takes {}", &["NeuralStageLatency"])
                    .critical(is(&limit::STAGE_LATENCY_CRITICAL)),
            ),
            Fact::plain("runs", "Runs", Unit::Hertz, Past("sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[1m]))")),
            Fact::plain("failed", "Failed", Unit::Ratio, Past(
                "sum by (pipeline, stage) (rate(neural_stage_failures_total[5m])) / sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[5m]))",
            ))
            .judged(
                Threshold::limit(is(&limit::STAGE_FAILURES), "fails {} of its runs", &["NeuralStageFailures"])
                    .critical(is(&limit::STAGE_FAILURES_CRITICAL)),
            ),
        ],
        columns: &["p50", "p95", "Failed"],
        lines: &[Line {
            label: "p95",
            ask: Past("histogram_quantile(0.95, sum by (pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[1m])))"),
            unit: Unit::Seconds,
            bound: Some(is(&limit::STAGE_LATENCY)),
        }],
    }),
};

const MODEL: Card = Card {
    component: "inference",
    title: "model",
    heading: "Models",
    labels: &["model"],
    present: Now("max by (model) (neural_llm_calls_total)"),
    facts: &[
        Fact::plain("calls", "Calls", Unit::Hertz, Past("sum by (model) (rate(neural_llm_calls_total[5m]))")),
        Fact::plain("failed_in_ten_minutes", "Failed in ten minutes", Unit::Ratio, Past(
            "sum by (model) (rate(neural_llm_failures_total[10m])) / sum by (model) (rate(neural_llm_calls_total[10m]))",
        ))
        .judged(
            Threshold::limit(is(&limit::LLM_FAILURES), "fails {} of its calls", &["NeuralLlmFailures"])
                .critical(is(&limit::LLM_FAILURES_CRITICAL)),
        ),
        Fact::plain("duration_p95", "Duration, p95", Unit::Seconds, Past(
            "histogram_quantile(0.95, sum by (model, le) (rate(neural_llm_duration_seconds_bucket[10m])))",
        ))
        .judged(Threshold::limit(is(&limit::LLM_LATENCY), "takes {} for a call", &["NeuralLlmLatency"])),
        Fact::plain("first_token_p95", "First token, p95", Unit::Seconds, Past(
            "histogram_quantile(0.95, sum by (model, le) (rate(neural_llm_time_to_first_token_seconds_bucket[10m])))",
        ))
        .judged(Threshold::limit(is(&limit::LLM_FIRST_TOKEN), "takes {} to its first token", &["NeuralLlmFirstToken"])),
        Fact::plain("tokens_a_second", "Tokens a second", Unit::None, Past(
            "sum by (model) (rate(neural_llm_prompt_tokens_total[5m]) + rate(neural_llm_completion_tokens_total[5m]))",
        )),
        Fact::plain("cost_in_the_last_hour", "Cost in the last hour", Unit::None, Past("sum by (model) (increase(neural_llm_cost_total[1h]))"))
            .suffix(Now("neural_llm_currency_info"), "currency"),
        // A budget is for all models together.
        Fact::plain("tokens_today_all_models", "Tokens today, all models", Unit::None, Now(
            "max by (model) (neural_llm_calls_total) * 0 + on () group_left () neural_llm_tokens_today",
        ))
        .beside("of", "of", Now("max by (model) (neural_llm_calls_total) * 0 + on () group_left () neural_llm_daily_budget_tokens")),
        Fact::plain("cost_today_all_models", "Cost today, all models", Unit::None, Now(
            "max by (model) (neural_llm_calls_total) * 0 + on () group_left () neural_llm_cost_today",
        ))
        .suffix(Now("neural_llm_currency_info"), "currency")
        .beside("of", "of", Now("max by (model) (neural_llm_calls_total) * 0 + on () group_left () neural_llm_daily_budget_cost")),
    ],
    lines: &[Line {
        label: "Tokens a second",
        ask: Past("sum by (model) (rate(neural_llm_prompt_tokens_total[1m]) + rate(neural_llm_completion_tokens_total[1m]))"),
        unit: Unit::None,
        bound: None,
    }],
    parts: None,
};

const SERVICE: Card = Card {
    component: "service",
    title: "check",
    heading: "Checks",
    labels: &["check"],
    present: Now("neural_check_status"),
    facts: &[],
    lines: &[],
    parts: None,
};

const PROBE: Card = Card {
    component: "probe",
    title: "probe",
    heading: "Probes",
    labels: &["source"],
    present: Now("neural_probe_status"),
    facts: &[
        Fact::plain("duration", "Duration", Unit::Seconds, Now("neural_probe_duration_seconds")),
        Fact::plain(
            "successful_in_the_last_hour",
            "Successful in the last hour",
            Unit::Ratio,
            Past("avg_over_time(neural_probe_success[1h])"),
        ),
    ],
    lines: &[Line {
        label: "Duration",
        ask: Past("neural_probe_duration_seconds"),
        unit: Unit::Seconds,
        bound: None,
    }],
    parts: None,
};

const GPU: Card = Card {
    component: "gpu",
    title: "GPU",
    heading: "GPUs",
    labels: &["gpu"],
    present: Now("neural_gpu_awake"),
    facts: &[
        Fact::plain("used", "Used", Unit::Ratio, Now("neural_gpu_utilization_ratio")),
        Fact::plain(
            "memory",
            "Memory",
            Unit::Ratio,
            Now("neural_gpu_memory_used_bytes / neural_gpu_memory_size_bytes"),
        )
        .judged(Threshold::limit(
            is(&limit::GPU_MEMORY),
            "has {} of its memory in use",
            &["NeuralGpuMemory"],
        )),
        Fact::plain(
            "temperature",
            "Temperature",
            Unit::Celsius,
            Now("max by (gpu) (neural_gpu_temperature_celsius)"),
        )
        .judged(Threshold::limit(is(&limit::GPU_TEMPERATURE), "is at {}", &["NeuralGpuTemperature"])),
        Fact::plain("power", "Power", Unit::Watts, Now("neural_gpu_power_watts")).beside(
            "of",
            "of",
            Now("neural_gpu_power_limit_watts"),
        ),
    ],
    lines: &[Line {
        label: "Used",
        ask: Past("neural_gpu_utilization_ratio"),
        unit: Unit::Ratio,
        bound: None,
    }],
    parts: None,
};

const HOST: Card = Card {
    component: "host",
    title: "host",
    heading: "This machine",
    labels: &[],
    present: Now("max by () (neural_host_uptime_seconds)"),
    facts: &[
        Fact::plain("cpu_in_the_last_minute", "CPU in the last minute", Unit::Ratio, Past(
            "1 - sum by () (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[1m])) / sum by () (rate(neural_host_cpu_seconds_total[1m]))",
        ))
        .judged(
            // A busy minute is nothing: the alert says when it lasts.
            Threshold::limit(is(&limit::HOST_CPU), "uses {} of its CPU time", &["NeuralHostCpu"]),
        ),
        Fact::plain("memory", "Memory", Unit::Ratio, Now("max by () (neural_host_memory_used_bytes / neural_host_memory_size_bytes)")).judged(
            Threshold::limit(is(&limit::HOST_MEMORY), "has {} of its memory in use", &["NeuralHostMemory"])
                .critical(is(&limit::HOST_MEMORY_CRITICAL)),
        ),
        Fact::plain("fullest_file_system", "Fullest file system", Unit::Ratio, Now(
            "max by () (1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes)",
        ))
        .judged(
            Threshold::limit(is(&limit::FILESYSTEM), "has a file system that is {} full", &["NeuralHostFilesystem"])
                .critical(is(&limit::FILESYSTEM_CRITICAL)),
        ),
        Fact::plain("hottest_sensor", "Hottest sensor", Unit::Celsius, Now("max by () (neural_host_temperature_celsius)")),
    ],
    lines: &[
        Line {
            label: "CPU",
            ask: Past(
                "1 - sum by () (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[1m])) / sum by () (rate(neural_host_cpu_seconds_total[1m]))",
            ),
            unit: Unit::Ratio,
            bound: Some(is(&limit::HOST_CPU)),
        },
        Line {
            label: "Memory",
            ask: Past("max by () (neural_host_memory_used_bytes / neural_host_memory_size_bytes)"),
            unit: Unit::Ratio,
            bound: Some(is(&limit::HOST_MEMORY)),
        },
    ],
    parts: None,
};

const AGENT: Card = Card {
    component: "agent",
    title: "agent",
    heading: "The agent",
    labels: &[],
    present: Now("max by () (neural_agent_build_info)"),
    facts: &[
        Fact::plain("memory", "Memory", Unit::Bytes, Now("max by () (process_resident_memory_bytes)"))
            .judged(Threshold::limit(is(&limit::AGENT_MEMORY), "uses {} of memory", &["NeuralAgentMemory"])),
        Fact::plain(
            "cpu_in_the_last_minute",
            "CPU in the last minute",
            Unit::Ratio,
            Past("max by () (rate(process_cpu_seconds_total[1m]))"),
        ),
        Fact::plain("series", "Series", Unit::None, Now("max by () (neural_agent_series)")).beside(
            "of",
            "of",
            Now("max by () (neural_agent_series_limit)"),
        ),
        Fact::plain("history", "History", Unit::Bytes, Now("max by () (neural_history_file_bytes)")),
        Fact::plain(
            "events",
            "Events",
            Unit::Hertz,
            Past("sum by () (rate(neural_source_events_total[1m]))"),
        ),
    ],
    lines: &[],
    parts: None,
};
