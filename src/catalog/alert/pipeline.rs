//! Alerts: queues, caches, sessions and errors of the pipelines, and how good their data are.

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "pipeline",
    group: "neural-pipeline",
    interval: 30,
    records: &[
        Record {
            name: "queue:neural_queue_fill:ratio",
            expr: "neural_queue_depth / (neural_queue_capacity > 0)",
        },
        Record {
            name: "cache:neural_cache_hits:ratio_rate15m",
            expr: "rate(neural_cache_hits_total[15m]) / rate(neural_cache_lookups_total[15m])",
        },
    ],
    alerts: &[&FILL, &BACKLOG, &FILL_FORECAST, &CACHE, &ERRORS, &SESSIONS, &QUALITY, &ACCURACY],
};

static FILL: Alert = Alert {
    name: "NeuralQueueFill",
    level: Level::new(Severity::Medium, Priority::P2, 60, "queue:neural_queue_fill:ratio > ${queue_fill}"),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        60,
        "queue:neural_queue_fill:ratio > ${queue_fill_critical}",
    )),
    keep_firing: 60,
    summary: "Queue {{ $labels.queue }} of {{ $labels.pipeline }} is filling up",
    description: "It is {{ $value | humanizePercentage }} full; the limit is ${queue_fill}, and above ${queue_fill_critical} it overflows.",
    meaning: "More items enter than leave. Waiting items are already late; when the queue is full, items are dropped or the stage before it blocks.",
    immediate: &[
        "Find the stage that reads this queue, and see whether it became slow.",
        "Pause what fills the queue, if the experiment allows it.",
    ],
    short_term: &["Give the reading stage more workers, or larger batches."],
    long_term: &["A longer queue only delays results: make the stage faster or send it less."],
    queries: &[
        "queue:neural_queue_fill:ratio",
        "neural_queue_peak_depth / neural_queue_capacity",
        "stage:neural_stage_duration_seconds:p95_rate5m",
    ],
    related: &["NeuralQueueBacklog", "NeuralStageLatency", "NeuralQueueForecast"],
    fires: Case::fires(
        10,
        &[
            ("neural_queue_depth{pipeline='decoder',queue='windows'}", "90x15"),
            ("neural_queue_capacity{pipeline='decoder',queue='windows'}", "100x15"),
        ],
        &[("pipeline", "decoder"), ("queue", "windows")],
        "90%",
    ),
    worsens: Some(Case::fires(
        10,
        &[
            ("neural_queue_depth{pipeline='decoder',queue='windows'}", "100x15"),
            ("neural_queue_capacity{pipeline='decoder',queue='windows'}", "100x15"),
        ],
        &[("pipeline", "decoder"), ("queue", "windows")],
        "100%",
    )),
    quiet: Case::quiet(
        10,
        &[
            ("neural_queue_depth{pipeline='decoder',queue='windows'}", "300x15"),
            ("neural_queue_capacity{pipeline='decoder',queue='windows'}", "1000x15"),
        ],
    ),
    ..Alert::BLANK
};

static BACKLOG: Alert = Alert {
    name: "NeuralQueueBacklog",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "neural_queue_depth > ${queue_depth} unless neural_queue_capacity > 0",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        60,
        "neural_queue_depth > ${queue_depth_critical} unless neural_queue_capacity > 0",
    )),
    keep_firing: 60,
    summary: "Many items wait in queue {{ $labels.queue }} of {{ $labels.pipeline }}",
    description: "{{ $value }} items wait; the limit is ${queue_depth} for a queue of unknown capacity.",
    meaning: "Items wait in a queue of unknown capacity. Waiting items are late.",
    immediate: &["Find the stage that reads this queue, and see whether it became slow or stopped."],
    short_term: &["Let the pipeline send the queue's limit, so that `NeuralQueueFill` applies."],
    long_term: &["Limit the queue: one without a limit fills the memory."],
    queries: &["neural_queue_depth", "deriv(neural_queue_depth[10m])"],
    related: &["NeuralQueueFill", "NeuralStageLatency"],
    fires: Case::fires(
        10,
        &[("neural_queue_depth{pipeline='decoder',queue='windows'}", "150x15")],
        &[("pipeline", "decoder"), ("queue", "windows")],
        "150",
    ),
    worsens: Some(Case::fires(
        10,
        &[("neural_queue_depth{pipeline='decoder',queue='windows'}", "500x15")],
        &[("pipeline", "decoder"), ("queue", "windows")],
        "500",
    )),
    quiet: Case::quiet(
        10,
        &[
            ("neural_queue_depth{pipeline='decoder',queue='windows'}", "500x15"),
            ("neural_queue_capacity{pipeline='decoder',queue='windows'}", "10000x15"),
        ],
    ),
    ..Alert::BLANK
};

static FILL_FORECAST: Alert = Alert {
    name: "NeuralQueueForecast",
    level: Level::new(
        Severity::Low,
        Priority::P2,
        120,
        "predict_linear(neural_queue_depth[10m], 1800) / (neural_queue_capacity > 0) > 1\nand queue:neural_queue_fill:ratio > 0.3\nand deriv(neural_queue_depth[10m]) > 0",
    ),
    summary: "Queue {{ $labels.queue }} of {{ $labels.pipeline }} will be full within half an hour",
    description: "At the rate of the last ten minutes it will be at {{ $value | humanizePercentage }} of its capacity.",
    meaning: "The queue grows steadily and will be full within half an hour. You have time to act.",
    immediate: &["See which stage lags behind, before anything is lost."],
    short_term: &["Treat it as `NeuralQueueFill`."],
    long_term: &[],
    queries: &["neural_queue_depth", "deriv(neural_queue_depth[10m]) * 60"],
    related: &["NeuralQueueFill"],
    fires: Case::fires(
        20,
        &[
            ("neural_queue_depth{pipeline='decoder',queue='windows'}", "0+25x30"),
            ("neural_queue_capacity{pipeline='decoder',queue='windows'}", "1000x30"),
        ],
        &[("pipeline", "decoder"), ("queue", "windows")],
        "125%",
    ),
    quiet: Case::quiet(
        20,
        &[
            ("neural_queue_depth{pipeline='decoder',queue='windows'}", "400x30"),
            ("neural_queue_capacity{pipeline='decoder',queue='windows'}", "1000x30"),
        ],
    ),
    ..Alert::BLANK
};

static CACHE: Alert = Alert {
    name: "NeuralCacheHits",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        900,
        "cache:neural_cache_hits:ratio_rate15m < ${cache_hits} and rate(neural_cache_lookups_total[15m]) > ${cache_traffic}",
    ),
    summary: "Cache {{ $labels.cache }} of {{ $labels.pipeline }} has few hits",
    description: "It answers {{ $value | humanizePercentage }} of the lookups; the minimum is ${cache_hits}.",
    meaning: "Most lookups find nothing, and the work is repeated. After a start this is normal until the cache is warm.",
    immediate: &["Wait a quarter of an hour after a restart."],
    short_term: &["See whether the keys changed, for example with a new model or window."],
    long_term: &["Make the cache larger or its entries live longer; or remove it."],
    queries: &["cache:neural_cache_hits:ratio_rate15m", "rate(neural_cache_lookups_total[15m])"],
    related: &["NeuralStageLatency"],
    fires: Case::fires(
        40,
        &[
            ("neural_cache_hits_total{pipeline='decoder',cache='features'}", "0+6x50"),
            ("neural_cache_lookups_total{pipeline='decoder',cache='features'}", "0+60x50"),
        ],
        &[("pipeline", "decoder"), ("cache", "features")],
        "10%",
    ),
    quiet: Case::quiet(
        40,
        &[
            ("neural_cache_hits_total{pipeline='decoder',cache='features'}", "0x50"),
            ("neural_cache_lookups_total{pipeline='decoder',cache='features'}", "0+1x50"),
        ],
    ),
    ..Alert::BLANK
};

static ERRORS: Alert = Alert {
    name: "NeuralPipelineErrors",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "rate(neural_pipeline_errors_total[5m]) > ${pipeline_errors}",
    ),
    keep_firing: 120,
    summary: "{{ $labels.pipeline }} has errors: {{ $labels.error }}",
    description: "{{ $value | humanize }} per second outside its stages; the limit is ${pipeline_errors}.",
    meaning: "The pipeline reports errors that belong to no stage: connections, files, settings.",
    immediate: &["Read the pipeline's log for that kind of error."],
    short_term: &["Fix its cause; retries that never succeed count here as well."],
    long_term: &[],
    queries: &["sum by (pipeline, error) (rate(neural_pipeline_errors_total[5m]))"],
    related: &["NeuralStageFailures"],
    fires: Case::fires(
        15,
        &[("neural_pipeline_errors_total{pipeline='decoder',error='timeout'}", "0+60x20")],
        &[("pipeline", "decoder"), ("error", "timeout")],
        "1",
    ),
    quiet: Case::quiet(15, &[("neural_pipeline_errors_total{pipeline='decoder',error='timeout'}", "0+1x20")]),
    ..Alert::BLANK
};

static SESSIONS: Alert = Alert {
    name: "NeuralSessionFailed",
    level: Level::new(Severity::Medium, Priority::P2, 0, "increase(neural_sessions_failed_total[15m]) > 0"),
    keep_firing: 300,
    summary: "A session of {{ $labels.pipeline }} failed",
    description: "{{ $value | humanize }} sessions failed in the last fifteen minutes.",
    meaning: "The pipeline reports that a recording or user session failed.",
    immediate: &["Contact the person who ran the session, and save the recording."],
    short_term: &["Look at the alerts that fired within its last minutes."],
    long_term: &["Note why sessions fail, and fix what happens repeatedly."],
    queries: &["increase(neural_sessions_failed_total[1d])", "increase(neural_sessions_ended_total[1d])"],
    related: &["NeuralPipelineSilent", "NeuralDeviceSilent"],
    fires: Case::fires(
        20,
        &[("neural_sessions_failed_total{pipeline='decoder'}", "0x10 1x15")],
        &[("pipeline", "decoder")],
        "1",
    ),
    quiet: Case::quiet(20, &[("neural_sessions_failed_total{pipeline='decoder'}", "1x25")]),
    ..Alert::BLANK
};

static QUALITY: Alert = Alert {
    name: "NeuralDataQuality",
    level: Level::new(Severity::Medium, Priority::P2, 300, "neural_data_quality_ratio < ${data_quality}"),
    worse: Some(Level::new(
        Severity::High,
        Priority::P1,
        300,
        "neural_data_quality_ratio < ${data_quality_critical}",
    )),
    summary: "The data of {{ $labels.pipeline }} are poor",
    description: "The pipeline scores them {{ $value | humanizePercentage }}; the minimum is ${data_quality}.",
    meaning: "The pipeline reports a low quality of its data. The score is defined by the pipeline.",
    immediate: &["Look at contact and loss of the devices first: they are the usual cause."],
    short_term: &["Check the montage and the room for mains hum and movement."],
    long_term: &["Set the limit to what your analysis really needs (`data_quality`)."],
    queries: &["neural_data_quality_ratio", "neural_device_electrode_contact == 0"],
    related: &["NeuralDeviceElectrodeOff", "NeuralDeviceLoss", "NeuralModelAccuracy"],
    fires: Case::fires(
        15,
        &[("neural_data_quality_ratio{pipeline='decoder'}", "0.5x20")],
        &[("pipeline", "decoder")],
        "50%",
    ),
    worsens: Some(Case::fires(
        15,
        &[("neural_data_quality_ratio{pipeline='decoder'}", "0.2x20")],
        &[("pipeline", "decoder")],
        "20%",
    )),
    quiet: Case::quiet(15, &[("neural_data_quality_ratio{pipeline='decoder'}", "0.9x20")]),
    ..Alert::BLANK
};

static ACCURACY: Alert = Alert {
    name: "NeuralModelAccuracy",
    level: Level::new(Severity::Medium, Priority::P2, 300, "neural_model_accuracy_ratio < ${model_accuracy}"),
    summary: "{{ $labels.model }} of {{ $labels.pipeline }} is often wrong",
    description: "{{ $value | humanizePercentage }} of its predictions are right; the minimum is ${model_accuracy}.",
    meaning: "The accuracy of a model, as measured by the pipeline, is low. Bad input causes that as well as a bad model.",
    immediate: &["Check the quality of the data before you change the model."],
    short_term: &["Calibrate again with this person and montage."],
    long_term: &["Keep the model's figures by session, to see drift."],
    queries: &["neural_model_accuracy_ratio", "neural_data_quality_ratio"],
    related: &["NeuralDataQuality"],
    fires: Case::fires(
        15,
        &[("neural_model_accuracy_ratio{pipeline='decoder',model='csp'}", "0.5x20")],
        &[("pipeline", "decoder"), ("model", "csp")],
        "50%",
    ),
    quiet: Case::quiet(15, &[("neural_model_accuracy_ratio{pipeline='decoder',model='csp'}", "0.9x20")]),
    ..Alert::BLANK
};
