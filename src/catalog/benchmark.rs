//! Page: benchmarks. Its metrics are the agent's own, as those of the page `agent`.

use super::{Metric, Page, Unit, line};

/// Benchmarks.
pub static PAGE: Page = Page {
    id: "benchmark",
    title: "Benchmarks",
    about: "How the last minutes compare with the benchmarks that `benchmarks.baselines` names.",
    metrics: &[&RATIO, &REGRESSION, &COMPARED, &FAILING],
};

/// What was measured in the last minutes, as a share of what the baseline has.
pub static RATIO: Metric = Metric {
    name: "baseline",
    help: "Mean of a metric over the last minutes divided by its mean in the baseline",
    note: "Absent where the mean in the baseline is 0. `metric` is the name of a line, such as `stage_duration`; of the other labels those are there that the line has",
    unit: Unit::Ratio,
    labels: COMPARED_LABELS,
    ..Metric::BLANK
};
/// How much worse it is.
pub static REGRESSION: Metric = Metric {
    name: "baseline_regression",
    help: "By how many times its limit a metric is worse than the baseline",
    note: "0 where it is not worse, or may be so by chance. 1 is at the limit: `regression_cpu`, `regression_memory`, `regression_time`, `regression_errors`, `regression_other`. Absent for what is not judged",
    unit: Unit::Ratio,
    labels: COMPARED_LABELS,
    ..Metric::BLANK
};
/// When it was compared.
pub static COMPARED: Metric = Metric {
    name: "baseline_compared_timestamp",
    help: "When the last minutes were last compared with the baseline",
    unit: Unit::Seconds,
    labels: &["baseline"],
    ..Metric::BLANK
};
/// Whether that failed.
pub static FAILING: Metric = Metric {
    name: "baseline_failing",
    help: "Whether the last minutes could not be compared with the baseline: 1 or 0",
    note: "There is no benchmark of this name, the history does not answer, or nothing of it was measured for long enough",
    labels: &["baseline"],
    ..Metric::BLANK
};

/// The labels of what is compared: those of every line.
const COMPARED_LABELS: &[&str] = &COMPARED_NAMES;
const COMPARED_NAMES: [&str; line::LABELS.len() + 2] = {
    let mut names = ["baseline"; line::LABELS.len() + 2];
    names[1] = "metric";
    let mut place = 0;
    while place < line::LABELS.len() {
        names[place + 2] = line::LABELS[place];
        place += 1;
    }
    names
};

/// What is asked about regressions of the last hours. `$window` stands for them.
pub static REGRESSIONS: &[(&str, &str)] = &[
    ("worst", "max_over_time(neural_baseline_regression_ratio[$window]) >= 1"),
    ("now", "neural_baseline_regression_ratio"),
    ("since", "min_over_time(timestamp(neural_baseline_regression_ratio >= 1)[$window:1m])"),
    ("last", "max_over_time(timestamp(neural_baseline_regression_ratio >= 1)[$window:1m])"),
    ("ratio", "last_over_time(neural_baseline_ratio[$window])"),
    ("compared", "max by (baseline) (max_over_time(neural_baseline_compared_timestamp_seconds[$window]))"),
];
