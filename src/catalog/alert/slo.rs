//! Alerts: how fast the stages use up what they may do wrong in thirty days.
//!
//! Two windows at a time, so that an alert comes fast and goes fast. The factors are those of a budget for
//! thirty days: 2 % in an hour, 5 % in six, 10 % in a day and in three.

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

/// The share that was wrong over each window; nothing where nothing ran, so that means over time have no NaN in
/// them. Buckets are added up, because a server that writes `1` as `1.0` since today has both.
macro_rules! windows {
    ($name:literal, $from:literal, $to:literal, $end:literal, [$($window:literal),*]) => {
        &[$(Record {
            name: concat!($name, ":ratio_rate", $window),
            expr: concat!($from, "[", $window, "])", $to, "[", $window, "])", $end),
        }),*]
    };
}

/// Both windows use up the budget faster than so many times what would just do.
macro_rules! burns {
    ($name:literal, $objective:literal, $long:literal, $short:literal, $factor:literal) => {
        concat!(
            "(\n  ",
            $name,
            ":ratio_rate",
            $long,
            " > ",
            $factor,
            " * (1 - ${",
            $objective,
            "})\n  and\n  ",
            $name,
            ":ratio_rate",
            $short,
            " > ",
            $factor,
            " * (1 - ${",
            $objective,
            "})\n)"
        )
    };
    (page $name:literal, $objective:literal) => {
        concat!(
            burns!($name, $objective, "1h", "5m", "14.4"),
            "\nor\n",
            burns!($name, $objective, "6h", "30m", "6")
        )
    };
    (ticket $name:literal, $objective:literal) => {
        concat!(
            burns!($name, $objective, "1d", "2h", "3"),
            "\nor\n",
            burns!($name, $objective, "3d", "6h", "1")
        )
    };
}

const SLOW: &[Record] = windows!(
    "stage:neural_stage_slow",
    "1 -\nsum without (le) (rate(neural_stage_duration_seconds_bucket{le=~'${stage_latency:le}'}",
    ")\n/\n(rate(neural_stage_duration_seconds_count",
    " > 0)",
    ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
);

const FAILED: &[Record] = windows!(
    "stage:neural_stage_failed",
    "rate(neural_stage_failures_total",
    "\n/\n(rate(neural_stage_duration_seconds_count",
    " > 0)",
    ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
);

/// Both lists in a row.
static RECORDS: [Record; 14] = {
    let mut all = [Record { name: "", expr: "" }; 14];
    let mut index = 0;
    while index < 7 {
        all[index] = SLOW[index];
        all[index + 7] = FAILED[index];
        index += 1;
    }
    all
};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "pipeline",
    group: "neural-slo",
    interval: 60,
    records: &RECORDS,
    alerts: &[&SLOW_BURN, &FAILURE_BURN],
};

/// Availability of what probes look at, over the windows; that of five minutes is recorded with the alerts of probes.
pub(super) static PROBE_CHAPTER: Chapter = Chapter {
    page: "probe",
    group: "neural-slo-probe",
    interval: 60,
    records: windows!(
        "source:neural_probe_unhealthy",
        "sum without (state) (rate(neural_probe_state_seconds_total{state='unhealthy'}",
        ")\n/\n(sum without (state) (rate(neural_probe_state_seconds_total{state!='unknown'}",
        ") > 0)",
        ["30m", "1h", "2h", "6h", "1d", "3d"]
    ),
    alerts: &[&PROBE_BURN],
};

static PROBE_BURN: Alert = Alert {
    name: "NeuralProbeBudgetBurn",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        900,
        burns!(ticket "source:neural_probe_unhealthy", "slo_probe_available"),
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        120,
        burns!(page "source:neural_probe_unhealthy", "slo_probe_available"),
    )),
    summary: "The target of {{ $labels.source }} is burning its availability budget",
    description: "{{ $value | humanizePercentage }} of the time it was unhealthy; over 30 days it must not be for at least ${slo_probe_available}.",
    meaning: "The objective says for which share of thirty days the target of a probe must not be unhealthy. At the present rate the error budget will be used up early. \
              Time in which the probe could not look counts for neither side.",
    immediate: &["Treat it as `NeuralProbeUnhealthy`, if that fires as well."],
    short_term: &["See when it was unhealthy: many short times have another cause than one long one."],
    long_term: &[
        "Remove the cause that comes back, or set an objective that the experiment needs (`slo_probe_available`).",
    ],
    queries: &[
        "source:neural_probe_unhealthy:ratio_rate1h",
        "source:neural_probe_unhealthy:ratio_rate3d",
        "avg_over_time(source:neural_probe_unhealthy:ratio_rate5m[30d])",
    ],
    related: &["NeuralProbeUnhealthy", "NeuralProbeDegraded"],
    fires: Case::fires(
        180,
        &[
            ("neural_probe_state_seconds_total{source='engine',state='unhealthy'}", "0+2.4x190"),
            ("neural_probe_state_seconds_total{source='engine',state='healthy'}", "0+57.6x190"),
        ],
        &[("source", "engine")],
        "4%",
    ),
    worsens: Some(Case::fires(
        180,
        &[
            ("neural_probe_state_seconds_total{source='engine',state='unhealthy'}", "0+30x190"),
            ("neural_probe_state_seconds_total{source='engine',state='healthy'}", "0+30x190"),
        ],
        &[("source", "engine")],
        "50%",
    )),
    // A bad minute, long ago, and hours in which it could not look.
    quiet: Case::quiet(
        180,
        &[
            ("neural_probe_state_seconds_total{source='engine',state='unhealthy'}", "0x60 60x139"),
            ("neural_probe_state_seconds_total{source='engine',state='healthy'}", "0+60x199"),
            ("neural_probe_state_seconds_total{source='broker',state='unknown'}", "0+60x199"),
        ],
    ),
    ..Alert::BLANK
};

static SLOW_BURN: Alert = Alert {
    name: "NeuralStageLatencyBudgetBurn",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        900,
        burns!(ticket "stage:neural_stage_slow", "slo_stage_fast"),
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        120,
        burns!(page "stage:neural_stage_slow", "slo_stage_fast"),
    )),
    summary: "Stage {{ $labels.stage }} of {{ $labels.pipeline }} is burning its latency budget",
    description: "{{ $value | humanizePercentage }} of its runs took longer than ${stage_latency}; over 30 days, at least ${slo_stage_fast} must be faster.",
    meaning: "The objective says which share of runs must stay within the stage's time over thirty days. At the present rate the error budget will be used up early: at the higher level within two to five days, at the lower within ten to thirty. \
              One slow minute does not fire it, a slow hour does.",
    immediate: &["Treat it as `NeuralStageLatency`."],
    short_term: &["Find what most slow runs have in common: time of day, session, length of windows."],
    long_term: &[
        "Make the stage faster before adding to it, or set an objective that the experiment needs (`slo_stage_fast`, `stage_latency`).",
    ],
    queries: &[
        "stage:neural_stage_slow:ratio_rate1h",
        "stage:neural_stage_slow:ratio_rate3d",
        "avg_over_time(stage:neural_stage_slow:ratio_rate5m[30d])",
    ],
    related: &["NeuralStageLatency", "NeuralStageFailureBudgetBurn"],
    fires: Case::fires(
        180,
        &[
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='0.1'}", "0+576x190"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x190"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "4%",
    ),
    worsens: Some(Case::fires(
        180,
        &[
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='0.1'}", "0+300x190"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x190"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "50%",
    )),
    // Three bad minutes, long ago.
    quiet: Case::quiet(
        180,
        &[
            (
                "neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='0.1'}",
                "0+600x60 36300 36600 36900 37500+600x130",
            ),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x200"),
        ],
    ),
    ..Alert::BLANK
};

static FAILURE_BURN: Alert = Alert {
    name: "NeuralStageFailureBudgetBurn",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        900,
        burns!(ticket "stage:neural_stage_failed", "slo_stage_success"),
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        120,
        burns!(page "stage:neural_stage_failed", "slo_stage_success"),
    )),
    summary: "Stage {{ $labels.stage }} of {{ $labels.pipeline }} is burning its failure budget",
    description: "{{ $value | humanizePercentage }} of its runs failed; over 30 days ${slo_stage_success} must succeed.",
    meaning: "The objective says which share of runs must succeed over thirty days. At the present rate the error budget will be used up early.",
    immediate: &["Treat it as `NeuralStageFailures`."],
    short_term: &["See which error occurs most often."],
    long_term: &["Fix that error, or set an objective that the experiment needs (`slo_stage_success`)."],
    queries: &[
        "stage:neural_stage_failed:ratio_rate1h",
        "stage:neural_stage_failed:ratio_rate3d",
        "topk(5, increase(neural_stage_errors_total[1d]))",
    ],
    related: &["NeuralStageFailures", "NeuralStageLatencyBudgetBurn"],
    fires: Case::fires(
        180,
        &[
            ("neural_stage_failures_total{pipeline='decoder',stage='filter'}", "0+3x190"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x190"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "0.5%",
    ),
    worsens: Some(Case::fires(
        180,
        &[
            ("neural_stage_failures_total{pipeline='decoder',stage='filter'}", "0+60x190"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x190"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "10%",
    )),
    quiet: Case::quiet(
        180,
        &[
            ("neural_stage_failures_total{pipeline='decoder',stage='filter'}", "0x190"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x190"),
        ],
    ),
    ..Alert::BLANK
};
