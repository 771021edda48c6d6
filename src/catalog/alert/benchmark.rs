//! Alerts: what is worse than in the baselines that the configuration names.

use super::{Alert, Case, Chapter, Level, Priority, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "benchmark",
    group: "neural-benchmark",
    interval: 60,
    records: &[],
    alerts: &[&REGRESSION, &FAILING],
};

static REGRESSION: Alert = Alert {
    name: "NeuralBaselineRegression",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        0,
        "neural_baseline_regression_ratio >= ${regression_warning}",
    ),
    worse: Some(Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "neural_baseline_regression_ratio >= ${regression_critical}",
    )),
    summary: "{{ $labels.metric }} on {{ $labels.instance }} is worse than in the baseline {{ $labels.baseline }}",
    description: "Over the last minutes it is worse by {{ $value }} times what is permitted, and not by chance.",
    meaning: "The last minutes were compared with a benchmark that was recorded when all was well. What this line measures is worse by more than its limit permits, and a test of both times says that this is not by chance.",
    immediate: &[
        "See everything that changed: `neural-exporter benchmark compare NAME`.",
        "See where the time goes: `neural-exporter report --last 1h`.",
    ],
    short_term: &[
        "Find what changed at that time: a new version, other settings, more data, another load on this machine.",
    ],
    long_term: &[
        "If it is to stay so, record the benchmark again: `neural-exporter benchmark record NAME --last 1h --replace`.",
        "Run `neural-exporter benchmark compare` in the CI job of the pipeline: it ends with 3 on a regression.",
    ],
    queries: &["neural_baseline_regression_ratio", "neural_baseline_ratio"],
    related: &["NeuralStageLatency", "NeuralHostCpu", "NeuralBaselineFailing"],
    fires: Case::fires(
        5,
        &[(
            "neural_baseline_regression_ratio{baseline='tuesday',metric='stage_duration',pipeline='bci',stage='decode'}",
            "1.6x10",
        )],
        &[("baseline", "tuesday"), ("metric", "stage_duration"), ("pipeline", "bci"), ("stage", "decode")],
        "1.6",
    ),
    worsens: Some(Case::fires(
        5,
        &[("neural_baseline_regression_ratio{baseline='tuesday',metric='host_cpu'}", "2.5x10")],
        &[("baseline", "tuesday"), ("metric", "host_cpu")],
        "2.5",
    )),
    quiet: Case::quiet(
        10,
        &[("neural_baseline_regression_ratio{baseline='tuesday',metric='host_cpu'}", "1.4x10")],
    ),
    ..Alert::BLANK
};

static FAILING: Alert = Alert {
    name: "NeuralBaselineFailing",
    level: Level::new(Severity::Low, Priority::P3, 1800, "neural_baseline_failing == 1"),
    summary: "The agent on {{ $labels.instance }} cannot compare with the baseline {{ $labels.baseline }}",
    description: "For half an hour nothing could be compared with it, so that no regression is found.",
    meaning: "The configuration names a baseline that is not there or cannot be read, the history is off or cannot be asked, or nothing of what the benchmark has was measured for long enough.",
    immediate: &[
        "Read the reason: `journalctl -u neural-exporter | grep baseline`.",
        "List what is there: `neural-exporter benchmark list`.",
    ],
    short_term: &["Record it, or take its name out of `benchmarks.baselines`."],
    long_term: &["Keep a copy of each benchmark: `neural-exporter benchmark export NAME > NAME.json`."],
    queries: &["neural_baseline_failing", "neural_baseline_compared_timestamp_seconds"],
    related: &["NeuralBaselineRegression", "NeuralAgentHistoryFailing"],
    fires: Case::fires(
        45,
        &[("neural_baseline_failing{baseline='tuesday'}", "1x50")],
        &[("baseline", "tuesday")],
        "1",
    ),
    quiet: Case::quiet(45, &[("neural_baseline_failing{baseline='tuesday'}", "1x20 0x30")]),
    ..Alert::BLANK
};
