//! A report with the fields of the system that is replaced.

use serde_json::{Map, Value as Json, json};

use super::{ErrorReply, course, of_day, percent, refused, value};
use crate::clock::now;
use crate::http::Site;
use crate::http::api::Parameters;
use crate::http::components::number;
use crate::promql::moment_ms;
use crate::view::report::{Cell, Report, Row, Time};

/// Minutes of a week.
const WEEK: usize = 7 * 24 * 60;

fn of(row: &Row, key: &str) -> Option<f64> {
    match row.values.get(key) {
        Some(Cell::Number(value)) => Some(*value),
        _ => None,
    }
}

fn rows<'r>(report: &'r Report, section: &str) -> &'r [Row] {
    report.sections.iter().find(|one| one.name == section).map_or(&[], |section| &section.rows)
}

/// The sum of what is known.
fn sum(rows: &[Row], key: &str) -> Option<f64> {
    rows.iter().filter_map(|row| of(row, key)).reduce(|a, b| a + b)
}

fn milliseconds(seconds: Option<f64>) -> Option<f64> {
    seconds.map(|seconds| seconds * 1000.0)
}

fn stage(row: &Row) -> Json {
    let (runs, mean) = (of(row, "runs"), milliseconds(of(row, "mean")));
    let failures = runs.map(|_| of(row, "failures").unwrap_or_default());
    json!({
        "count": runs,
        "totalDuration": runs.zip(mean).map(|(runs, mean)| runs * mean),
        "averageDuration": mean,
        "minDuration": null,
        "maxDuration": null,
        "p50Duration": milliseconds(of(row, "p50")),
        "p95Duration": milliseconds(of(row, "p95")),
        "p99Duration": milliseconds(of(row, "p99")),
        "errorCount": failures,
        "errorRate": failures.zip(runs.filter(|runs| *runs > 0.0)).map(|(failures, runs)| failures / runs * 100.0)
    })
}

/// Each stage by its name; with its pipeline before it where two pipelines have one of the same name.
fn stages(report: &Report) -> Map<String, Json> {
    let rows = rows(report, "stages");
    let label = |row: &Row, name: &str| row.labels.get(name).cloned().unwrap_or_default();
    let mut all = Map::new();
    for row in rows {
        let name = label(row, "stage");
        let alone = rows.iter().filter(|other| label(other, "stage") == name).count() == 1;
        let name = if alone { name } else { format!("{}/{name}", label(row, "pipeline")) };
        all.insert(name, stage(row));
    }
    all
}

/// The mean time of a run: of the stage that is named so; else that of the slowest pipeline.
fn total(report: &Report) -> Option<f64> {
    let whole = rows(report, "stages")
        .iter()
        .find(|row| row.labels.get("stage").is_some_and(|stage| stage == "total"));
    let of_stage = whole.and_then(|row| of(row, "mean"));
    let of_pipelines =
        rows(report, "pipelines").iter().filter_map(|row| of(row, "duration")).reduce(f64::max);
    milliseconds(of_stage.or(of_pipelines))
}

fn cache(report: &Report) -> Json {
    let caches = rows(report, "caches");
    let requests = sum(caches, "lookups");
    let hits = |row: &Row| Some(of(row, "lookups")? * of(row, "hits").unwrap_or_default());
    let hits = caches.iter().filter_map(hits).reduce(|a, b| a + b);
    json!({
        "totalRequests": requests,
        "cacheHits": hits,
        "cacheMisses": requests.zip(hits).map(|(requests, hits)| requests - hits),
        "hitRate": requests.filter(|requests| *requests > 0.0).zip(hits).map(|(requests, hits)| hits / requests * 100.0)
    })
}

impl Site {
    /// The report of the last minutes.
    pub(super) fn old_report(&self, parameters: &Parameters) -> Result<Json, ErrorReply> {
        let minutes = number(parameters, "window", 60, (1, WEEK))?;
        let (past, until) = self.patient()?;
        let end = now().wall_milliseconds();
        let window = i64::try_from(minutes).unwrap_or(60) * 60_000;
        let wrong = |error| refused(&error);
        let time = Time { start: end - window, end };
        let report = self.report_of(time, &[], &until).map_err(wrong)?;
        let pipelines = rows(&report, "pipelines");
        let runs = sum(pipelines, "runs");
        let a_minute = runs.map(|runs| runs / minutes as f64);
        let all = rows(&report, "stages");
        let (counted, failed) =
            (sum(all, "runs"), sum(all, "runs").map(|_| sum(all, "failures").unwrap_or_default()));
        let models = rows(&report, "models");
        let tokens = [sum(models, "prompt_tokens"), sum(models, "completion_tokens")]
            .into_iter()
            .flatten()
            .reduce(|a, b| a + b);
        let calls = sum(models, "calls").filter(|calls| *calls > 0.0);
        let figures = self.snapshot().figures.flow;
        let (today, cost, limit) = of_day(&figures);
        let depth = |over: &str| {
            value(past, &format!("sum by () ({over}(neural_queue_depth[{minutes}m]))"), end, &until)
        };
        let history =
            course(past, "sum by () (neural_queue_depth)", (time.start, end), &until).map_err(wrong)?;
        let history: Vec<Json> =
            history.iter().map(|(at, depth)| json!({"timestamp": moment_ms(*at), "depth": depth})).collect();
        Ok(json!({
            "generatedAt": moment_ms(end),
            "timeWindowMinutes": minutes,
            "averageTotalTime": total(&report),
            "stageBreakdown": stages(&report),
            "throughput": {
                "signalsPerMinute": sum(pipelines, "runs_now").map(|runs| runs * 60.0),
                "signalsPerHour": a_minute.map(|runs| runs * 60.0),
                "totalSignalsProcessed": runs,
                "averageSignalsPerMinute": a_minute
            },
            "errorRate": failed.zip(counted.filter(|runs| *runs > 0.0)).map(|(failed, runs)| failed / runs * 100.0),
            "totalErrors": failed,
            "cacheEfficiency": cache(&report),
            "tokenUsage": {
                "totalTokens": tokens,
                "totalCost": sum(models, "cost"),
                "averageTokensPerRequest": tokens.zip(calls).map(|(tokens, calls)| tokens / calls),
                "dailyTokens": today,
                "dailyCost": cost,
                "dailyLimit": limit,
                "percentOfLimit": percent(crate::view::data::get(&figures, "tokens_used_ratio"))
            },
            "queueMetrics": {
                "currentDepth": crate::view::data::get(&figures, "queue_depth"),
                "averageDepth": depth("avg_over_time").map_err(wrong)?,
                "maxDepth": depth("max_over_time").map_err(wrong)?,
                "depthHistory": history
            }
        }))
    }
}
