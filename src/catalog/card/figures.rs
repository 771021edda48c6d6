//! Numbers that stand for everything: what flows through the pipelines, the machine, and each group of processes.

use super::Ask::{self, Now, Past};
use crate::catalog::Unit;

/// A number.
#[derive(Debug)]
pub struct Figure {
    /// Its name; the unit is appended.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The number.
    pub ask: Ask,
}

impl Figure {
    /// The name with its unit: `latency_seconds`.
    #[must_use]
    pub fn key(&self) -> String {
        super::with_unit(self.name, self.unit)
    }
}

const fn figure(name: &'static str, about: &'static str, unit: Unit, ask: Ask) -> Figure {
    Figure { name, about, unit, ask }
}

/// What flows through the pipelines.
pub static FLOW: &[Figure] = &[
    figure(
        "throughput",
        "Runs a second of the busiest stage of each pipeline, in the last minute, added up.",
        Unit::Hertz,
        Past(
            "sum by () (max by (pipeline) (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count[1m]))))",
        ),
    ),
    figure(
        "latency",
        "Mean time of a run in the last five minutes: that of its stages added up, without one named `total`; of the slowest pipeline.",
        Unit::Seconds,
        Past(
            "max by () (sum by (pipeline) (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_sum{stage!='total'}[5m])) / (sum by (pipeline, stage) (rate(neural_stage_duration_seconds_count{stage!='total'}[5m])) > 0)))",
        ),
    ),
    figure(
        "failed",
        "Share of the stages' runs that failed in the last five minutes.",
        Unit::Ratio,
        Past(
            "sum by () (rate(neural_stage_failures_total[5m])) / (sum by () (rate(neural_stage_duration_seconds_count[5m])) > 0)",
        ),
    ),
    figure(
        "cache_hits",
        "Share of the lookups that caches answered in the last five minutes.",
        Unit::Ratio,
        Past(
            "sum by () (rate(neural_cache_hits_total[5m])) / (sum by () (rate(neural_cache_lookups_total[5m])) > 0)",
        ),
    ),
    figure("queue_depth", "What waits in all queues.", Unit::None, Now("sum by () (neural_queue_depth)")),
    figure(
        "sessions_active",
        "Sessions that are open.",
        Unit::None,
        Now("sum by () (neural_sessions_active)"),
    ),
    figure(
        "tokens_today",
        "Tokens of language models today.",
        Unit::None,
        Now("max by () (neural_llm_tokens_today)"),
    ),
    figure(
        "cost_today",
        "What they cost, in the configured currency.",
        Unit::None,
        Now("max by () (neural_llm_cost_today)"),
    ),
    figure(
        "tokens_used",
        "Share of the day's tokens that is used.",
        Unit::Ratio,
        Now("max by () (neural_llm_tokens_today / (neural_llm_daily_budget_tokens > 0))"),
    ),
];

/// How the machine is.
pub static SYSTEM: &[Figure] = &[
    figure(
        "cpu_used",
        "Share of its CPU time that was used in the last minute.",
        Unit::Ratio,
        Past(
            "1 - sum by () (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[1m])) / sum by () (rate(neural_host_cpu_seconds_total[1m]))",
        ),
    ),
    figure("memory_used", "Memory in use.", Unit::Bytes, Now("max by () (neural_host_memory_used_bytes)")),
    figure(
        "memory_used",
        "Share of its memory in use.",
        Unit::Ratio,
        Now("max by () (neural_host_memory_used_bytes / neural_host_memory_size_bytes)"),
    ),
    figure(
        "disk_used",
        "What is used of the fullest file system.",
        Unit::Bytes,
        Now(
            "max by () (neural_host_filesystem_size_bytes - neural_host_filesystem_available_bytes and topk(1, 1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes))",
        ),
    ),
    figure(
        "disk_used",
        "Share of the fullest file system that is used.",
        Unit::Ratio,
        Now("max by () (1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes)"),
    ),
    figure(
        "network_sent_total",
        "Bytes sent since the machine was started, but for those to itself.",
        Unit::Bytes,
        Now("sum by () (neural_host_network_transmitted_bytes_total{interface!='lo'})"),
    ),
    figure(
        "network_received_total",
        "Bytes received since the machine was started, but for those from itself.",
        Unit::Bytes,
        Now("sum by () (neural_host_network_received_bytes_total{interface!='lo'})"),
    ),
    figure("load1", "Load average over 1 minute.", Unit::None, Now("max by () (neural_host_load1)")),
    figure("load5", "Load average over 5 minutes.", Unit::None, Now("max by () (neural_host_load5)")),
    figure("load15", "Load average over 15 minutes.", Unit::None, Now("max by () (neural_host_load15)")),
    figure("tasks", "Tasks that run, or wait for a disk.", Unit::None, Now("sum by () (neural_host_tasks)")),
];

/// The label of a group of processes.
pub const GROUP: &str = "group";

/// How a group of processes is.
pub static SERVICE: &[Figure] = &[
    figure("processes", "Processes that run.", Unit::None, Now("neural_process_instances")),
    figure(
        "cpu_used",
        "CPU time a second in the last minute: 1 is one processor.",
        Unit::Ratio,
        Past("sum by (group) (rate(neural_process_cpu_seconds_total[1m]))"),
    ),
    figure("memory_used", "Resident memory.", Unit::Bytes, Now("neural_process_resident_memory_bytes")),
    figure(
        "memory_used",
        "Share of the machine's memory.",
        Unit::Ratio,
        Now("neural_process_resident_memory_bytes / scalar(max by () (neural_host_memory_size_bytes))"),
    ),
    figure("read_total", "Bytes read from disks.", Unit::Bytes, Now("neural_process_read_bytes_total")),
    figure(
        "written_total",
        "Bytes written to disks.",
        Unit::Bytes,
        Now("neural_process_written_bytes_total"),
    ),
    figure("threads", "Its threads.", Unit::None, Now("neural_process_threads")),
    figure("open_files", "Its open files, sockets included.", Unit::None, Now("neural_process_open_files")),
];

/// The requests of a service that tells them: see [`SERVICE`].
pub static REQUESTS: &[Figure] = &[
    figure(
        "requests_total",
        "Requests since the first one.",
        Unit::None,
        Now(
            "label_replace(sum by (service) (neural_api_request_duration_seconds_count), 'group', '$1', 'service', '(.*)')",
        ),
    ),
    figure(
        "request_failures_total",
        "Those of a status of 500 or more.",
        Unit::None,
        Now(
            "label_replace(sum by (service) (neural_api_request_failures_total), 'group', '$1', 'service', '(.*)')",
        ),
    ),
    figure(
        "response",
        "Mean time of a request in the last five minutes.",
        Unit::Seconds,
        Past(
            "label_replace(sum by (service) (rate(neural_api_request_duration_seconds_sum[5m])) / (sum by (service) (rate(neural_api_request_duration_seconds_count[5m])) > 0), 'group', '$1', 'service', '(.*)')",
        ),
    ),
];

/// Every figure.
pub fn figures() -> impl Iterator<Item = &'static Figure> {
    FLOW.iter().chain(SYSTEM).chain(SERVICE).chain(REQUESTS)
}
