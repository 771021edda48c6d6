//! What there is to be healthy, and the objectives: a row each.

use super::limit::{self, Limit};

/// A kind of component.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// Its name: `device`.
    pub name: &'static str,
    /// The pages whose alerts are about it: their label `component`.
    pub pages: &'static [&'static str],
    /// The labels that tell one from another, of its series and of its alerts; none if there is one alone.
    pub labels: &'static [&'static str],
    /// The metric of which each has a series.
    pub present: &'static str,
}

/// Every kind of component, in the order in which they are listed.
pub static COMPONENTS: &[Component] = &[
    Component {
        name: "device",
        pages: &["device", "signal", "port", "tap"],
        labels: &["device"],
        present: "neural_device_streaming",
    },
    Component {
        name: "stream",
        pages: &["stream"],
        labels: &["source", "stream"],
        present: "neural_stream_present",
    },
    Component { name: "program", pages: &["program"], labels: &["source"], present: "neural_program_state" },
    Component { name: "source", pages: &["source"], labels: &["source"], present: "neural_source_up" },
    Component {
        name: "pipeline",
        pages: &["pipeline"],
        labels: &["pipeline"],
        present: "neural_stage_duration_seconds_count",
    },
    Component {
        name: "inference",
        pages: &["inference"],
        labels: &["engine", "model"],
        present: "neural_llm_calls_total",
    },
    Component {
        name: "service",
        pages: &["service"],
        labels: &["service", "database", "check"],
        present: "neural_check_status",
    },
    Component { name: "probe", pages: &["probe"], labels: &["source"], present: "neural_probe_status" },
    Component {
        name: "process",
        pages: &["process"],
        labels: &["group"],
        present: "neural_process_instances",
    },
    Component { name: "gpu", pages: &["gpu"], labels: &["gpu"], present: "neural_gpu_awake" },
    Component { name: "incident", pages: &["incident"], labels: &[], present: "neural_incidents_open" },
    Component {
        name: "benchmark",
        pages: &["benchmark"],
        labels: &["baseline"],
        present: "neural_baseline_failing",
    },
    Component { name: "host", pages: &["host"], labels: &[], present: "neural_host_uptime_seconds" },
    Component { name: "agent", pages: &["agent"], labels: &[], present: "neural_agent_build_info" },
];

/// A share that has to be kept over a window of time.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    /// The limit that holds the share.
    pub target: &'static Limit,
    /// What it asks, for people.
    pub about: &'static str,
    /// The recorded share of what did not meet it.
    pub missed: &'static str,
    /// The labels that tell one from another.
    pub labels: &'static [&'static str],
}

/// Every objective.
pub static OBJECTIVES: &[Objective] = &[
    Objective {
        target: &limit::SLO_STAGE_FAST,
        about: "runs within the stage's time",
        missed: "stage:neural_stage_slow:ratio_rate5m",
        labels: &["pipeline", "stage"],
    },
    Objective {
        target: &limit::SLO_STAGE_SUCCESS,
        about: "runs without an error",
        missed: "stage:neural_stage_failed:ratio_rate5m",
        labels: &["pipeline", "stage"],
    },
    Objective {
        target: &limit::SLO_PROBE_AVAILABLE,
        about: "of the time not unhealthy",
        missed: "source:neural_probe_unhealthy:ratio_rate5m",
        labels: &["source"],
    },
];
