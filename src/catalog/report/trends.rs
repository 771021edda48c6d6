//! The lines whose trends a report tells.

use super::{Better, Trend};
use crate::catalog::Unit;

/// The lines whose trends are told.
pub static TRENDS: &[Trend] = &[
    Trend {
        key: "device_loss",
        labels: &["device"],
        subject: "loss of {device}",
        ask: "sum by (instance, device) (rate(neural_device_lost_packets_total[$step])) \
              / (sum by (instance, device) (rate(neural_device_frames_total[$step])) + sum by (instance, device) (rate(neural_device_lost_packets_total[$step])) > 0)",
        unit: Unit::Ratio,
        better: Better::Lower,
    },
    Trend {
        key: "device_rate",
        labels: &["device"],
        subject: "rate of {device}",
        ask: "avg by (instance, device) (avg_over_time(neural_device_rate_hertz[$step]))",
        unit: Unit::Hertz,
        better: Better::Higher,
    },
    Trend {
        key: "device_bad_channels",
        labels: &["device"],
        subject: "number of bad channels of {device}",
        ask: "avg by (instance, device) (avg_over_time(neural_device_bad_channels[$step]))",
        unit: Unit::None,
        better: Better::Lower,
    },
    Trend {
        key: "device_battery",
        labels: &["device"],
        subject: "battery of {device}",
        ask: "avg by (instance, device) (avg_over_time(neural_device_battery_ratio[$step]))",
        unit: Unit::Ratio,
        better: Better::Higher,
    },
    Trend {
        key: "stage_duration",
        labels: &["pipeline", "stage"],
        subject: "mean duration of {stage} of {pipeline}",
        ask: "sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_sum[$step])) \
              / (sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[$step])) > 0)",
        unit: Unit::Seconds,
        better: Better::Lower,
    },
    Trend {
        key: "pipeline_runs",
        labels: &["pipeline"],
        subject: "runs a second of {pipeline}",
        ask: "max by (instance, pipeline) (sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[$step])))",
        unit: Unit::Hertz,
        better: Better::Higher,
    },
    Trend {
        key: "model_tokens",
        labels: &["model"],
        subject: "tokens a second of {model}",
        ask: "sum by (instance, model) (rate(neural_llm_prompt_tokens_total[$step]) + rate(neural_llm_completion_tokens_total[$step]))",
        unit: Unit::None,
        better: Better::Neither,
    },
    Trend {
        key: "host_cpu",
        labels: &[],
        subject: "CPU use of this machine",
        ask: "1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[$step])) / sum by (instance) (rate(neural_host_cpu_seconds_total[$step]))",
        unit: Unit::Ratio,
        better: Better::Lower,
    },
    Trend {
        key: "host_memory",
        labels: &[],
        subject: "memory use of this machine",
        ask: "max by (instance) (avg_over_time(neural_host_memory_used_bytes[$step]) / avg_over_time(neural_host_memory_size_bytes[$step]))",
        unit: Unit::Ratio,
        better: Better::Lower,
    },
    Trend {
        key: "process_memory",
        labels: &["group"],
        subject: "memory of {group}",
        ask: "max by (instance, group) (avg_over_time(neural_process_resident_memory_bytes[$step]))",
        unit: Unit::Bytes,
        better: Better::Lower,
    },
];
