//! Page: how fast and how sound are the stages, queues and caches of each pipeline?

use super::{COUNT, DURATION as LONG, Keep, Metric, Page, Unit, limit};
use crate::event::{Body, Kind, SessionStep, Topic};

/// How fast and how sound are the stages, queues and caches of each pipeline?
pub static PAGE: Page = Page {
    id: "pipeline",
    title: "Neural processing",
    about: "Stages, throughput, queues, caches, sessions and errors of the pipelines that send events.",
    metrics: &[
        &DURATION,
        &FAILURES,
        &ERRORS_BY_KIND,
        &ITEMS,
        &BATCH,
        &LAG,
        &PEAK_RATE,
        &QUEUE_DEPTH,
        &QUEUE_PEAK,
        &QUEUE_LIMIT,
        &CACHE_LOOKUPS,
        &CACHE_HITS,
        &ERRORS,
        &SESSIONS_STARTED,
        &SESSIONS_ENDED,
        &SESSIONS_FAILED,
        &SESSIONS_ACTIVE,
        &SESSION_DURATION,
    ],
};

/// What every stage metric has in common.
const STAGE: Metric = Metric { labels: &["pipeline", "stage"], on: &[Topic::Stage], ..Metric::BLANK };

/// Bounds for the time of a stage: as for other times, but closer where a closed loop has its limit. A quantile is
/// interpolated between its bounds, so that 77 ms between 50 and 100 ms could read as 95 ms.
const STAGES: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.035, 0.05, 0.065, 0.08, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The time one stage took for one item of work.
pub static DURATION: Metric = Metric {
    name: "stage_duration",
    help: "Duration of one run of a stage",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: STAGES,
    judged: &[&limit::STAGE_LATENCY, &limit::STAGE_LATENCY_CRITICAL],
    read: |event, row| {
        if let Body::Stage(s) = &event.body {
            row.observe(&[s.pipeline, s.stage], s.seconds, s.trace.map(|trace| trace.id));
        }
    },
    ..STAGE
};

/// Runs of a stage that failed.
pub static FAILURES: Metric = Metric {
    name: "stage_failures",
    help: "Runs of a stage that failed",
    kind: Kind::Counter,
    read: |event, row| {
        // A success adds nothing, and so creates the series before the first failure.
        if let Body::Stage(s) = &event.body {
            row.add(&[s.pipeline, s.stage], f64::from(s.error.is_some()));
        }
    },
    ..STAGE
};

static ERRORS_BY_KIND: Metric = Metric {
    name: "stage_errors",
    help: "Runs of a stage that failed, by error",
    kind: Kind::Counter,
    labels: &["pipeline", "stage", "error"],
    read: |event, row| {
        if let Body::Stage(s) = &event.body
            && let Some(error) = s.error
        {
            row.add(&[s.pipeline, s.stage, error], 1.0);
        }
    },
    ..STAGE
};

static ITEMS: Metric = Metric {
    name: "stage_items",
    help: "Items (samples, epochs, tokens) processed by a stage",
    kind: Kind::Counter,
    read: |event, row| {
        if let Body::Stage(s) = &event.body
            && let Some(items) = s.items
        {
            row.add(&[s.pipeline, s.stage], items);
        }
    },
    ..STAGE
};

static BATCH: Metric = Metric {
    name: "stage_batch_size",
    help: "Items in one run of a stage",
    kind: Kind::Histogram,
    bounds: COUNT,
    read: |event, row| {
        if let Body::Stage(s) = &event.body
            && let Some(items) = s.items
        {
            row.observe(&[s.pipeline, s.stage], items, None);
        }
    },
    ..STAGE
};

static LAG: Metric = Metric {
    name: "stage_clock_lag",
    help: "Time from the end of the last run, by the sender's clock, to its arrival at the agent",
    note: "Far from 0 means that the clocks differ or that events arrive late",
    unit: Unit::Seconds,
    read: |event, row| {
        if let Body::Stage(s) = &event.body
            && let Some(ended) = s.ended
        {
            row.set(&[s.pipeline, s.stage], event.at.wall_seconds() - ended);
        }
    },
    ..STAGE
};

static PEAK_RATE: Metric = Metric {
    name: "stage_peak_rate",
    help: "Highest rate of runs in a short window of the last minute",
    note: "The window is 100 ms unless configured otherwise",
    unit: Unit::Hertz,
    on: &[Topic::StagePeak],
    read: |event, row| {
        if let Body::StagePeak(p) = &event.body {
            row.set(&[p.pipeline, p.name], p.peak);
        }
    },
    ..STAGE
};

/// What every queue metric has in common.
const QUEUE: Metric = Metric { labels: &["pipeline", "queue"], on: &[Topic::Queue], ..Metric::BLANK };

/// Items waiting in a queue.
pub static QUEUE_DEPTH: Metric = Metric {
    name: "queue_depth",
    help: "Items waiting in a queue",
    read: |event, row| {
        if let Body::Queue(q) = &event.body {
            row.set(&[q.pipeline, q.queue], q.depth);
        }
    },
    ..QUEUE
};

static QUEUE_PEAK: Metric = Metric {
    name: "queue_peak_depth",
    help: "Most items waiting in a queue at once in the last minute",
    on: &[Topic::QueuePeak],
    read: |event, row| {
        if let Body::QueuePeak(p) = &event.body {
            row.set(&[p.pipeline, p.name], p.peak);
        }
    },
    ..QUEUE
};

static QUEUE_LIMIT: Metric = Metric {
    name: "queue_capacity",
    help: "Items a queue can hold",
    read: |event, row| {
        if let Body::Queue(q) = &event.body
            && let Some(limit) = q.limit
        {
            row.set(&[q.pipeline, q.queue], limit);
        }
    },
    ..QUEUE
};

/// What every cache metric has in common.
const CACHE: Metric =
    Metric { labels: &["pipeline", "cache"], kind: Kind::Counter, on: &[Topic::Cache], ..Metric::BLANK };

/// Look-ups in a cache.
pub static CACHE_LOOKUPS: Metric = Metric {
    name: "cache_lookups",
    help: "Lookups in a cache",
    read: |event, row| {
        if let Body::Cache(c) = &event.body {
            row.add(&[c.pipeline, c.cache], c.hits + c.misses);
        }
    },
    ..CACHE
};

/// Look-ups in a cache that found something.
pub static CACHE_HITS: Metric = Metric {
    name: "cache_hits",
    help: "Lookups in a cache that found an entry",
    read: |event, row| {
        if let Body::Cache(c) = &event.body {
            row.add(&[c.pipeline, c.cache], c.hits);
        }
    },
    ..CACHE
};

static ERRORS: Metric = Metric {
    name: "pipeline_errors",
    help: "Errors of a pipeline outside its stages, by error",
    kind: Kind::Counter,
    labels: &["pipeline", "error"],
    on: &[Topic::Error],
    read: |event, row| {
        if let Body::Error(e) = &event.body {
            row.add(&[e.pipeline, e.kind], 1.0);
        }
    },
    ..Metric::BLANK
};

/// What every session metric has in common.
const SESSION: Metric =
    Metric { labels: &["pipeline"], kind: Kind::Counter, on: &[Topic::Session], ..Metric::BLANK };

static SESSIONS_STARTED: Metric = Metric {
    name: "sessions_started",
    help: "Recording or user sessions started",
    read: |event, row| {
        if let Body::Session(s) = &event.body {
            row.add(&[s.pipeline], f64::from(s.step == SessionStep::Started));
        }
    },
    ..SESSION
};

static SESSIONS_ENDED: Metric = Metric {
    name: "sessions_ended",
    help: "Recording or user sessions ended, failed ones included",
    read: |event, row| {
        if let Body::Session(s) = &event.body {
            row.add(&[s.pipeline], f64::from(s.step != SessionStep::Started));
        }
    },
    ..SESSION
};

static SESSIONS_FAILED: Metric = Metric {
    name: "sessions_failed",
    help: "Recording or user sessions that failed",
    read: |event, row| {
        if let Body::Session(s) = &event.body {
            row.add(&[s.pipeline], f64::from(matches!(s.step, SessionStep::Failed { .. })));
        }
    },
    ..SESSION
};

static SESSIONS_ACTIVE: Metric = Metric {
    name: "sessions_active",
    help: "Sessions started and not ended, as far as the agent received the events",
    kind: Kind::Gauge,
    keep: Keep::Always,
    read: |event, row| {
        if let Body::Session(s) = &event.body {
            row.shift(&[s.pipeline], if s.step == SessionStep::Started { 1.0 } else { -1.0 });
        }
    },
    ..SESSION
};

static SESSION_DURATION: Metric = Metric {
    name: "session_duration",
    help: "Duration of sessions",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: LONG,
    read: |event, row| {
        if let Body::Session(s) = &event.body
            && let SessionStep::Ended { seconds: Some(seconds) }
            | SessionStep::Failed { seconds: Some(seconds) } = s.step
        {
            row.observe(&[s.pipeline], seconds, None);
        }
    },
    ..SESSION
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What Prometheus makes of the counts of a histogram: a straight line between the bounds around the quantile.
    fn quantile(share: f64, times: &[f64]) -> f64 {
        let rank = share * times.len() as f64;
        let mut below = 0.0;
        for (at, bound) in STAGES.iter().enumerate() {
            let count = times.iter().filter(|time| *time <= bound).count() as f64;
            if count >= rank {
                let start = if at == 0 { 0.0 } else { STAGES[at - 1] };
                return start + (bound - start) * (rank - below) / (count - below);
            }
            below = count;
        }
        f64::INFINITY
    }

    #[test]
    fn a_stage_is_told_from_its_limit() {
        for real in [0.03, 0.04, 0.06, 0.077, 0.09] {
            // As long as can be, and nothing beyond it.
            let times: Vec<f64> = (0..1000).map(|at| real * (0.8 + 0.2 * f64::from(at) / 950.0)).collect();
            let read = quantile(0.95, &times);
            assert!((read / real - 1.0).abs() < 0.25, "{real} reads {read}");
        }
    }
}
