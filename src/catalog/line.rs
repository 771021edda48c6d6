//! The lines whose course is told and compared: reports tell their trends, benchmarks keep what they were.
//!
//! A line is PromQL, asked at equal distances. `$step` stands for the time from one point to the next, so that each point is of the time since
//! the one before it. Counters are asked by their rates.

use super::Unit;
use super::limit::{self, Limit};

/// A number over time.
#[derive(Debug)]
pub struct Line {
    /// Its name in JSON and CSV, and in the label `metric`.
    pub key: &'static str,
    /// The labels that tell lines apart.
    pub labels: &'static [&'static str],
    /// What a sentence calls a line; `{device}` is the value of that label.
    pub subject: &'static str,
    /// The number, with `$step`.
    pub ask: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What is better.
    pub better: Better,
    /// How much worse than a benchmark is a regression; nothing if its level says nothing about how well something works, as
    /// that of a battery.
    pub limit: Option<&'static Limit>,
    /// A difference that is not worth a word, in its unit: idle machines differ by more than any share.
    pub small: f64,
}

/// What is better of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More.
    Higher,
    /// Less.
    Lower,
    /// Neither.
    Neither,
}

impl Better {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::Neither => "neither",
        }
    }
}

/// The question of a line, with the time from one point to the next in ms.
#[must_use]
pub fn stepped(ask: &str, step: i64) -> String {
    ask.replace("$step", &format!("{step}ms"))
}

/// Every label that tells lines apart, once.
pub const LABELS: &[&str] = &[
    "device", "source", "stream", "pipeline", "stage", "cache", "model", "service", "database", "group",
    "gpu",
];

/// The lines, in the order in which they are told.
pub static LINES: &[Line] = &[
    Line {
        key: "device_loss",
        labels: &["device"],
        subject: "loss of {device}",
        ask: "sum by (instance, device) (rate(neural_device_lost_packets_total[$step])) \
              / (sum by (instance, device) (rate(neural_device_frames_total[$step])) + sum by (instance, device) (rate(neural_device_lost_packets_total[$step])) > 0)",
        unit: Unit::Ratio,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_ERRORS),
        small: 0.001,
    },
    Line {
        key: "device_rate",
        labels: &["device"],
        subject: "rate of {device}",
        ask: "avg by (instance, device) (avg_over_time(neural_device_rate_hertz[$step]))",
        unit: Unit::Hertz,
        better: Better::Higher,
        limit: Some(&limit::REGRESSION_OTHER),
        small: 0.0,
    },
    Line {
        key: "device_bad_channels",
        labels: &["device"],
        subject: "number of bad channels of {device}",
        ask: "avg by (instance, device) (avg_over_time(neural_device_bad_channels[$step]))",
        unit: Unit::None,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_OTHER),
        small: 0.5,
    },
    Line {
        key: "device_quality",
        labels: &["device"],
        subject: "signal quality of {device}",
        ask: "avg by (instance, device) (avg_over_time(neural_device_quality_ratio[$step]))",
        unit: Unit::Ratio,
        better: Better::Higher,
        limit: Some(&limit::REGRESSION_OTHER),
        small: 0.02,
    },
    Line {
        key: "device_battery",
        labels: &["device"],
        subject: "battery of {device}",
        ask: "avg by (instance, device) (avg_over_time(neural_device_battery_ratio[$step]))",
        unit: Unit::Ratio,
        better: Better::Higher,
        limit: None,
        small: 0.0,
    },
    Line {
        key: "stream_rate",
        labels: &["source", "stream"],
        subject: "share of its rate that {stream} has",
        ask: "min by (instance, source, stream) (avg_over_time(neural_stream_rate_ratio[$step]))",
        unit: Unit::Ratio,
        better: Better::Higher,
        limit: Some(&limit::REGRESSION_OTHER),
        small: 0.01,
    },
    Line {
        key: "stage_duration",
        labels: &["pipeline", "stage"],
        subject: "mean duration of {stage} of {pipeline}",
        ask: "sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_sum[$step])) \
              / (sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[$step])) > 0)",
        unit: Unit::Seconds,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_TIME),
        small: 0.0,
    },
    Line {
        key: "stage_p95",
        labels: &["pipeline", "stage"],
        subject: "95th percentile of the duration of {stage} of {pipeline}",
        ask: "histogram_quantile(0.95, sum by (instance, pipeline, stage, le) (rate(neural_stage_duration_seconds_bucket[$step])))",
        unit: Unit::Seconds,
        better: Better::Lower,
        // Between the bounds of two buckets it is estimated, and moves by more than the durations do.
        limit: None,
        small: 0.0,
    },
    Line {
        key: "stage_failures",
        labels: &["pipeline", "stage"],
        subject: "share of the runs of {stage} of {pipeline} that fail",
        // What never happened has no counter yet.
        ask: "(sum by (instance, pipeline, stage) (rate(neural_stage_failures_total[$step])) or sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[$step])) * 0) \
              / (sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[$step])) > 0)",
        unit: Unit::Ratio,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_ERRORS),
        small: 0.001,
    },
    Line {
        key: "pipeline_runs",
        labels: &["pipeline"],
        subject: "runs a second of {pipeline}",
        ask: "max by (instance, pipeline) (sum by (instance, pipeline, stage) (rate(neural_stage_duration_seconds_count[$step])))",
        unit: Unit::Hertz,
        better: Better::Higher,
        limit: Some(&limit::REGRESSION_OTHER),
        small: 0.0,
    },
    Line {
        key: "cache_hits",
        labels: &["pipeline", "cache"],
        subject: "share of hits of the cache {cache} of {pipeline}",
        // What never happened has no counter yet.
        ask: "(sum by (instance, pipeline, cache) (rate(neural_cache_hits_total[$step])) or sum by (instance, pipeline, cache) (rate(neural_cache_lookups_total[$step])) * 0) \
              / (sum by (instance, pipeline, cache) (rate(neural_cache_lookups_total[$step])) > 0)",
        unit: Unit::Ratio,
        better: Better::Higher,
        limit: Some(&limit::REGRESSION_OTHER),
        small: 0.02,
    },
    Line {
        key: "model_duration",
        labels: &["model"],
        subject: "mean duration of a call of {model}",
        ask: "sum by (instance, model) (rate(neural_llm_duration_seconds_sum[$step])) / (sum by (instance, model) (rate(neural_llm_duration_seconds_count[$step])) > 0)",
        unit: Unit::Seconds,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_TIME),
        small: 0.0,
    },
    Line {
        key: "model_first_token",
        labels: &["model"],
        subject: "mean time to the first token of {model}",
        ask: "sum by (instance, model) (rate(neural_llm_time_to_first_token_seconds_sum[$step])) \
              / (sum by (instance, model) (rate(neural_llm_time_to_first_token_seconds_count[$step])) > 0)",
        unit: Unit::Seconds,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_TIME),
        small: 0.0,
    },
    Line {
        key: "model_failures",
        labels: &["model"],
        subject: "share of the calls of {model} that fail",
        // What never happened has no counter yet.
        ask: "(sum by (instance, model) (rate(neural_llm_failures_total[$step])) or sum by (instance, model) (rate(neural_llm_calls_total[$step])) * 0) \
              / (sum by (instance, model) (rate(neural_llm_calls_total[$step])) > 0)",
        unit: Unit::Ratio,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_ERRORS),
        small: 0.001,
    },
    Line {
        key: "model_tokens",
        labels: &["model"],
        subject: "tokens a second of {model}",
        ask: "sum by (instance, model) (rate(neural_llm_prompt_tokens_total[$step]) + rate(neural_llm_completion_tokens_total[$step]))",
        unit: Unit::None,
        better: Better::Neither,
        limit: None,
        small: 0.0,
    },
    Line {
        key: "api_duration",
        labels: &["service"],
        subject: "mean duration of a request to {service}",
        ask: "sum by (instance, service) (rate(neural_api_request_duration_seconds_sum[$step])) / (sum by (instance, service) (rate(neural_api_request_duration_seconds_count[$step])) > 0)",
        unit: Unit::Seconds,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_TIME),
        small: 0.0,
    },
    Line {
        key: "api_failures",
        labels: &["service"],
        subject: "share of the requests to {service} that fail",
        // What never happened has no counter yet.
        ask: "(sum by (instance, service) (rate(neural_api_request_failures_total[$step])) or sum by (instance, service) (rate(neural_api_request_duration_seconds_count[$step])) * 0) \
              / (sum by (instance, service) (rate(neural_api_request_duration_seconds_count[$step])) > 0)",
        unit: Unit::Ratio,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_ERRORS),
        small: 0.001,
    },
    Line {
        key: "db_duration",
        labels: &["database"],
        subject: "mean duration of a query of {database}",
        ask: "sum by (instance, database) (rate(neural_db_query_duration_seconds_sum[$step])) / (sum by (instance, database) (rate(neural_db_query_duration_seconds_count[$step])) > 0)",
        unit: Unit::Seconds,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_TIME),
        small: 0.0,
    },
    Line {
        key: "probe_duration",
        labels: &["source"],
        subject: "duration of the probe {source}",
        ask: "avg by (instance, source) (avg_over_time(neural_probe_duration_seconds[$step]))",
        unit: Unit::Seconds,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_TIME),
        small: 0.001,
    },
    Line {
        key: "gpu_memory",
        labels: &["gpu"],
        subject: "memory in use on GPU {gpu}",
        ask: "max by (instance, gpu) (avg_over_time(neural_gpu_memory_used_bytes[$step]))",
        unit: Unit::Bytes,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_MEMORY),
        small: 50e6,
    },
    Line {
        key: "process_cpu",
        labels: &["group"],
        subject: "CPU use of {group}, in cores",
        ask: "sum by (instance, group) (rate(neural_process_cpu_seconds_total[$step]))",
        unit: Unit::None,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_CPU),
        small: 0.05,
    },
    Line {
        key: "process_memory",
        labels: &["group"],
        subject: "memory of {group}",
        ask: "max by (instance, group) (avg_over_time(neural_process_resident_memory_bytes[$step]))",
        unit: Unit::Bytes,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_MEMORY),
        small: 10e6,
    },
    Line {
        key: "host_cpu",
        labels: &[],
        subject: "CPU use of this machine",
        ask: "1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[$step])) / sum by (instance) (rate(neural_host_cpu_seconds_total[$step]))",
        unit: Unit::Ratio,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_CPU),
        small: 0.05,
    },
    Line {
        key: "host_memory",
        labels: &[],
        subject: "memory use of this machine",
        ask: "max by (instance) (avg_over_time(neural_host_memory_used_bytes[$step]) / avg_over_time(neural_host_memory_size_bytes[$step]))",
        unit: Unit::Ratio,
        better: Better::Lower,
        limit: Some(&limit::REGRESSION_MEMORY),
        small: 0.02,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_is_whole_and_there_once() {
        let mut keys = BTreeSet::new();
        for line in LINES {
            assert!(keys.insert(line.key), "{} is there twice", line.key);
            assert!(!stepped(line.ask, 60_000).contains('$'), "{}", line.key);
            assert!(line.limit.is_none() || line.better != Better::Neither, "{}", line.key);
            for label in line.labels {
                assert!(
                    LABELS.contains(label) && line.subject.contains(&format!("{{{label}}}"))
                        || *label == "source",
                    "{}",
                    line.key
                );
            }
        }
    }
}
