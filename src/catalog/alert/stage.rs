//! Alerts: are the stages of the pipelines fast, and do they succeed?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "pipeline",
    group: "neural-stage",
    interval: 15,
    records: &[
        Record {
            name: "stage:neural_stage_runs:rate5m",
            expr: "rate(neural_stage_duration_seconds_count[5m])",
        },
        Record {
            name: "stage:neural_stage_duration_seconds:p50_rate5m",
            expr: "histogram_quantile(0.5, rate(neural_stage_duration_seconds_bucket[5m]))",
        },
        Record {
            name: "stage:neural_stage_duration_seconds:p95_rate5m",
            expr: "histogram_quantile(0.95, rate(neural_stage_duration_seconds_bucket[5m]))",
        },
        Record {
            name: "stage:neural_stage_duration_seconds:p99_rate5m",
            expr: "histogram_quantile(0.99, rate(neural_stage_duration_seconds_bucket[5m]))",
        },
        Record {
            // Nothing while nothing runs: one NaN would make NaN of each mean over time that it is in.
            name: "stage:neural_stage_duration_seconds:mean_rate5m",
            expr: "rate(neural_stage_duration_seconds_sum[5m])\n/\n(rate(neural_stage_duration_seconds_count[5m]) > 0)",
        },
        Record {
            name: "stage:neural_stage_failures:ratio_rate5m",
            expr: "rate(neural_stage_failures_total[5m]) / rate(neural_stage_duration_seconds_count[5m])",
        },
        Record {
            // Which stage takes the time of its pipeline.
            name: "stage:neural_stage_time:share_rate5m",
            expr: "rate(neural_stage_duration_seconds_sum[5m])\n/ ignoring (stage) group_left ()\nsum without (stage) (rate(neural_stage_duration_seconds_sum[5m]))",
        },
        Record {
            // 1 rises, -1 falls, 0 keeps within five per cent of an hour ago.
            name: "stage:neural_stage_duration_seconds:trend1h",
            expr: "(stage:neural_stage_duration_seconds:mean_rate5m > bool 1.05 * (stage:neural_stage_duration_seconds:mean_rate5m offset 1h))\n-\n(stage:neural_stage_duration_seconds:mean_rate5m < bool 0.95 * (stage:neural_stage_duration_seconds:mean_rate5m offset 1h))",
        },
        Record {
            name: "stage:neural_stage_duration_seconds:zscore1h",
            expr: "(\n  stage:neural_stage_duration_seconds:mean_rate5m\n  -\n  avg_over_time(stage:neural_stage_duration_seconds:mean_rate5m[1h] offset 10m)\n)\n/\n(\n  stddev_over_time(stage:neural_stage_duration_seconds:mean_rate5m[1h] offset 10m)\n    > 0.05 * avg_over_time(stage:neural_stage_duration_seconds:mean_rate5m[1h] offset 10m)\n  or\n  0.05 * avg_over_time(stage:neural_stage_duration_seconds:mean_rate5m[1h] offset 10m)\n)\nand\ncount_over_time(stage:neural_stage_duration_seconds:mean_rate5m[1h] offset 10m) > 30",
        },
    ],
    alerts: &[&LATENCY, &FAILURES, &ANOMALY, &REGRESSION, &THROUGHPUT, &SILENT, &LAG],
};

static LATENCY: Alert = Alert {
    name: "NeuralStageLatency",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "stage:neural_stage_duration_seconds:p95_rate5m > ${stage_latency}\nand stage:neural_stage_runs:rate5m > ${stage_traffic}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P0,
        60,
        "stage:neural_stage_duration_seconds:p95_rate5m > ${stage_latency_critical}\nand stage:neural_stage_runs:rate5m > ${stage_traffic}",
    )),
    keep_firing: 60,
    summary: "Stage {{ $labels.stage }} of {{ $labels.pipeline }} is slow",
    description: "95 of 100 runs take up to {{ $value | humanizeDuration }}; the limit is ${stage_latency}. A closed loop over this stage reacts late.",
    meaning: "A stage exceeds its time limit. If it is slower than its input, its queue grows, and then everything is late.",
    immediate: &[
        "See whether its queue grows: `queue:neural_queue_fill:ratio`.",
        "Check whether the machine is busy: processors, memory, a throttled card.",
        "Check whether only this stage became slow, or all of them: then the machine is the cause.",
    ],
    short_term: &[
        "Follow the trace of an exemplar to a slow run.",
        "Compare with the last change of the model or of the window's length.",
    ],
    long_term: &[
        "Give the stage its own core or card, or shorten its windows.",
        "Set the limit to what the experiment needs (`alerts.limits.stage_latency`).",
    ],
    queries: &[
        "stage:neural_stage_duration_seconds:p95_rate5m",
        "stage:neural_stage_time:share_rate5m",
        "rate(neural_stage_items_total[5m])",
    ],
    related: &["NeuralQueueFill", "NeuralHostCpu", "NeuralStageLatencyBudgetBurn", "NeuralGpuThrottled"],
    fires: Case::fires(
        15,
        &[
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='0.1'}", "0x20"),
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='0.25'}", "0+600x20"),
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='+Inf'}", "0+600x20"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x20"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "242.5ms",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='2.5'}", "0x20"),
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='5'}", "0+600x20"),
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='+Inf'}", "0+600x20"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x20"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "4.875s",
    )),
    // As slow, but one run in a minute is no judgement.
    quiet: Case::quiet(
        15,
        &[
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='0.1'}", "0x20"),
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='0.25'}", "0+1x20"),
            ("neural_stage_duration_seconds_bucket{pipeline='decoder',stage='filter',le='+Inf'}", "0+1x20"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+1x20"),
        ],
    ),
    ..Alert::BLANK
};

static FAILURES: Alert = Alert {
    name: "NeuralStageFailures",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "stage:neural_stage_failures:ratio_rate5m > ${stage_failures}\nand stage:neural_stage_runs:rate5m > ${stage_traffic}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P0,
        60,
        "stage:neural_stage_failures:ratio_rate5m > ${stage_failures_critical}\nand stage:neural_stage_runs:rate5m > ${stage_traffic}",
    )),
    keep_firing: 60,
    summary: "Stage {{ $labels.stage }} of {{ $labels.pipeline }} fails",
    description: "{{ $value | humanizePercentage }} of its runs fail; the limit is ${stage_failures}.",
    meaning: "Runs of a stage end in an error. Their data is missing in later stages.",
    immediate: &[
        "Look at the kinds: `sum by (stage, error) (rate(neural_stage_errors_total[5m]))`.",
        "Read the pipeline's log at that time.",
    ],
    short_term: &["If it began with a change of model, settings or montage, go back."],
    long_term: &["Add the case that failed to the pipeline's tests."],
    queries: &[
        "stage:neural_stage_failures:ratio_rate5m",
        "sum by (pipeline, stage, error) (rate(neural_stage_errors_total[5m]))",
    ],
    related: &["NeuralStageFailureBudgetBurn", "NeuralPipelineErrors", "NeuralPipelineSilent"],
    fires: Case::fires(
        15,
        &[
            ("neural_stage_failures_total{pipeline='decoder',stage='filter'}", "0+60x20"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x20"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "10%",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_stage_failures_total{pipeline='decoder',stage='filter'}", "0+300x20"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x20"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "50%",
    )),
    quiet: Case::quiet(
        15,
        &[
            ("neural_stage_failures_total{pipeline='decoder',stage='filter'}", "0+1x20"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+1x20"),
        ],
    ),
    ..Alert::BLANK
};

static ANOMALY: Alert = Alert {
    name: "NeuralStageLatencyAnomaly",
    level: Level::new(
        Severity::Info,
        Priority::P3,
        300,
        "stage:neural_stage_duration_seconds:zscore1h > ${zscore} and stage:neural_stage_runs:rate5m > ${stage_traffic}",
    ),
    summary: "Stage {{ $labels.stage }} of {{ $labels.pipeline }} is slower than in the hour before",
    description: "Its mean duration is {{ $value | humanize }} standard deviations above that of the hour before; the limit is ${zscore}. It may still be within its limits.",
    meaning: "The stage became slow compared with the hour that ended ten minutes ago. The standard deviation is taken as at least five per cent of the mean.",
    immediate: &["See what changed at the step: load of the machine, length of windows, another model."],
    short_term: &["If the new duration is right, do nothing: the alert ends within an hour."],
    long_term: &[],
    queries: &[
        "stage:neural_stage_duration_seconds:mean_rate5m",
        "stage:neural_stage_duration_seconds:zscore1h",
    ],
    related: &["NeuralStageLatency", "NeuralStageRegression"],
    // With a pause in the hour before.
    fires: Case::fires(
        128,
        &[
            (
                "neural_stage_duration_seconds_sum{pipeline='decoder',stage='filter'}",
                "0+6x79 480x20 480+6x19 600+12x20",
            ),
            (
                "neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}",
                "0+600x79 48000x20 48000+600x40",
            ),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "20",
    ),
    quiet: Case::quiet(
        128,
        &[
            ("neural_stage_duration_seconds_sum{pipeline='decoder',stage='filter'}", "0+6x140"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x140"),
        ],
    ),
    ..Alert::BLANK
};

static REGRESSION: Alert = Alert {
    name: "NeuralStageRegression",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        600,
        "avg_over_time(stage:neural_stage_duration_seconds:mean_rate5m[30m])\n/\navg_over_time(stage:neural_stage_duration_seconds:mean_rate5m[30m] offset 1d)\n> ${stage_regression}",
    ),
    worse: Some(Level::new(
        Severity::Medium,
        Priority::P2,
        600,
        "avg_over_time(stage:neural_stage_duration_seconds:mean_rate5m[30m])\n/\navg_over_time(stage:neural_stage_duration_seconds:mean_rate5m[30m] offset 1d)\n> ${stage_regression_critical}",
    )),
    summary: "Stage {{ $labels.stage }} of {{ $labels.pipeline }} is slower than yesterday",
    description: "It takes {{ $value | humanizePercentage }} of what it took a day ago; the limit is ${stage_regression}.",
    meaning: "Over half an hour the stage is slower than over the same half hour of yesterday. Faster stages do not fire this alert.",
    immediate: &["See what was installed or changed since yesterday."],
    short_term: &["Run yesterday's version beside today's on a recording."],
    long_term: &["Measure a stage before each release, on the same recording."],
    queries: &[
        "stage:neural_stage_duration_seconds:mean_rate5m",
        "stage:neural_stage_duration_seconds:mean_rate5m offset 1d",
    ],
    related: &["NeuralStageLatencyAnomaly", "NeuralStageLatency"],
    fires: Case::fires(
        1500,
        &[
            ("neural_stage_duration_seconds_sum{pipeline='decoder',stage='filter'}", "0+6x1440 8640+9x70"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x1510"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "150%",
    ),
    worsens: Some(Case::fires(
        1500,
        &[
            ("neural_stage_duration_seconds_sum{pipeline='decoder',stage='filter'}", "0+6x1440 8640+18x70"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x1510"),
        ],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "300%",
    )),
    quiet: Case::quiet(
        1500,
        &[
            ("neural_stage_duration_seconds_sum{pipeline='decoder',stage='filter'}", "0+6x1510"),
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x1510"),
        ],
    ),
    ..Alert::BLANK
};

static THROUGHPUT: Alert = Alert {
    name: "NeuralStageThroughput",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "stage:neural_stage_runs:rate5m / (stage:neural_stage_runs:rate5m offset 1h) < ${pipeline_throughput}\nand stage:neural_stage_runs:rate5m offset 1h > ${stage_traffic}\nand stage:neural_stage_runs:rate5m > 0",
    ),
    summary: "Stage {{ $labels.stage }} of {{ $labels.pipeline }} has a lower rate than an hour ago",
    description: "It runs at {{ $value | humanizePercentage }} of its rate an hour ago; the minimum is ${pipeline_throughput}.",
    meaning: "The stage runs less often than an hour ago, but still runs. The stage before it, the device, or the stage itself became slower.",
    immediate: &["Find the first stage of the pipeline whose rate fell: it is the cause."],
    short_term: &["If the rate of the device fell, see `NeuralDeviceLowRate`."],
    long_term: &["If the load simply varies, lower `pipeline_throughput`."],
    queries: &["stage:neural_stage_runs:rate5m", "stage:neural_stage_runs:rate5m offset 1h"],
    related: &["NeuralPipelineSilent", "NeuralDeviceLowRate", "NeuralQueueFill"],
    fires: Case::fires(
        105,
        &[(
            "neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}",
            "0+600x90 54000+150x30",
        )],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "25%",
    ),
    quiet: Case::quiet(
        105,
        &[(
            "neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}",
            "0+600x90 54000+500x30",
        )],
    ),
    ..Alert::BLANK
};

static SILENT: Alert = Alert {
    name: "NeuralPipelineSilent",
    level: Level::new(
        Severity::High,
        Priority::P1,
        60,
        "sum without (stage) (rate(neural_stage_duration_seconds_count[5m])) == 0\nand sum without (stage) (rate(neural_stage_duration_seconds_count[30m])) > 0\nunless (neural_sessions_active == 0 and neural_sessions_started_total > 0)",
    ),
    summary: "{{ $labels.pipeline }} is silent",
    description: "No stage has run for five minutes, and some did within the last half hour.",
    meaning: "A pipeline that worked fell silent. It ended, hangs, or receives no data. For a pipeline that sends `session` events, the alert fires only while a session is active.",
    immediate: &["Check that its process runs and that the device streams.", "Read the pipeline's log."],
    short_term: &[
        "If the session simply ended, let the pipeline send `session` events: the alert then does not fire.",
    ],
    long_term: &["Let a service manager restart the pipeline when it ends."],
    queries: &[
        "sum without (stage) (rate(neural_stage_duration_seconds_count[5m]))",
        "neural_sessions_active",
        "neural_process_instances",
    ],
    related: &["NeuralDeviceSilent", "NeuralProcessMissing", "NeuralSourceSilent"],
    fires: Case::fires(
        22,
        &[("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x12 7200x20")],
        &[("pipeline", "decoder")],
        "0",
    ),
    quiet: Case::quiet(
        22,
        &[
            ("neural_stage_duration_seconds_count{pipeline='decoder',stage='filter'}", "0+600x12 7200x20"),
            ("neural_sessions_active{pipeline='decoder'}", "1x12 0x20"),
            ("neural_sessions_started_total{pipeline='decoder'}", "1x32"),
        ],
    ),
    ..Alert::BLANK
};

static LAG: Alert = Alert {
    name: "NeuralStageClockLag",
    level: Level::new(Severity::Low, Priority::P3, 600, "abs(neural_stage_clock_lag_seconds) > ${stage_lag}"),
    summary: "Events of {{ $labels.pipeline }} are late, or its clock is wrong",
    description: "The arrival time and the sender's clock differ by {{ $value | humanizeDuration }} at stage {{ $labels.stage }}; the limit is ${stage_lag}.",
    meaning: "The sender's timestamp and the arrival time differ. If the difference grows, events wait somewhere; if it stays, one of the two clocks is wrong.",
    immediate: &["Compare the clocks: `timedatectl` on both machines."],
    short_term: &["If it grows, look for a backlog in the sender."],
    long_term: &["Keep both machines on the same NTP server."],
    queries: &["neural_stage_clock_lag_seconds"],
    related: &["NeuralQueueFill"],
    fires: Case::fires(
        20,
        &[("neural_stage_clock_lag_seconds{pipeline='decoder',stage='filter'}", "-30x25")],
        &[("pipeline", "decoder"), ("stage", "filter")],
        "30s",
    ),
    quiet: Case::quiet(
        20,
        &[("neural_stage_clock_lag_seconds{pipeline='decoder',stage='filter'}", "0.1x25")],
    ),
    ..Alert::BLANK
};
