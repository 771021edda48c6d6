//! Benchmarks and regressions with the fields of the system that is replaced.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{ErrorReply, success};
use crate::clock::now;
use crate::http::Site;
use crate::http::api::Parameters;
use crate::http::benchmarks::{self, Benchmarks};
use crate::http::components::number;
use crate::promql::moment_ms;
use crate::view::benchmark::{Benchmark, Line, Regression};
use crate::view::report::Time;

/// Minutes of a benchmark, at most: a day.
const MINUTES: i64 = 24 * 60;
/// The labels by which they name services.
const SERVICES: &[&str] = &["service", "group", "pipeline", "device", "model", "source"];

/// A benchmark that is to be recorded.
#[derive(Debug, Deserialize)]
pub(super) struct Recorded {
    name: String,
    #[serde(default = "hour")]
    duration_minutes: i64,
    #[serde(default)]
    services: Option<Vec<String>>,
    #[serde(default)]
    replace: bool,
}

/// A comparison. The name of the benchmark is that of the path.
#[derive(Debug, Deserialize)]
pub(super) struct Compared {
    #[serde(default = "hour")]
    duration_minutes: i64,
}

fn hour() -> i64 {
    60
}

fn without_kind((status, _, why): benchmarks::BenchmarkError) -> ErrorReply {
    (status, why)
}

/// So many minutes up to now.
fn time(minutes: i64) -> Result<Time, ErrorReply> {
    if !(1..=MINUTES).contains(&minutes) {
        return Err((StatusCode::BAD_REQUEST, format!("duration_minutes is from 1 to {MINUTES}")));
    }
    let end = now().wall_milliseconds();
    Ok(Time { start: end - minutes * 60_000, end })
}

fn is_of(line: &Line, services: &[String]) -> bool {
    SERVICES.iter().any(|label| line.labels.get(*label).is_some_and(|value| services.contains(value)))
}

/// The mean that a benchmark has of what regressed; its line has no name of a machine, where there is but one.
fn baseline_of(one: &Regression, benchmark: &Benchmark) -> Option<f64> {
    let same = |line: &&Line| {
        line.metric == one.metric
            && line.labels.iter().all(|(name, value)| one.labels.get(name) == Some(value))
    };
    benchmark.lines.iter().find(same).map(|line| line.values.mean)
}

fn regression(one: &Regression, baseline: Option<f64>) -> Json {
    let service = SERVICES.iter().find_map(|label| one.labels.get(*label));
    json!({
        "metric_name": one.metric,
        "service_name": service,
        "baseline_value": baseline,
        "current_value": baseline.zip(one.ratio).map(|(baseline, ratio)| baseline * ratio),
        "change_percent": one.ratio.map(|ratio| (ratio - 1.0) * 100.0),
        "is_regression": one.now > 0.0,
        "severity": one.severity.map(|severity| severity.as_str()),
        "detected_at": one.since.map(moment_ms),
        "description": format!("{}: {} times its limit over the baseline {}", one.subject, one.worst, one.baseline)
    })
}

impl Site {
    pub(super) fn old_regressions(&self, parameters: &Parameters) -> Result<Json, ErrorReply> {
        let hours = number(parameters, "hours", 24, (1, 168))?;
        let found = self.regressions_of(hours as f64).map_err(without_kind)?;
        // A benchmark that is gone meanwhile, or cannot be read, has no values to tell.
        let kept = self.benchmarks.load_full();
        let read = |name: &String| kept.as_ref()?.0.read(name).ok().flatten().map(|one| (name.clone(), one));
        let baselines: BTreeMap<String, Benchmark> = found.baselines.iter().filter_map(read).collect();
        let value = |one: &Regression| baseline_of(one, baselines.get(&one.baseline)?);
        let all: Vec<Json> = found.regressions.iter().map(|one| regression(one, value(one))).collect();
        Ok(success(&json!({
            "count": all.len(), "regressions": all, "analysis_period_hours": hours, "baselines": found.baselines
        })))
    }

    fn shelf(&self) -> Result<std::sync::Arc<Benchmarks>, ErrorReply> {
        let off = || {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "no benchmarks are kept: there is no state directory".to_owned(),
            )
        };
        self.benchmarks.load_full().ok_or_else(off)
    }

    pub(super) fn old_benchmarks(&self) -> Result<Json, ErrorReply> {
        let shelf = self.shelf()?;
        let listed = benchmarks::list(&*shelf.0).map_err(without_kind)?;
        let all = listed.get("benchmarks").cloned().unwrap_or_default();
        let count = all.as_array().map_or(0, Vec::len);
        Ok(success(&json!({"benchmarks": all, "count": count})))
    }

    pub(super) fn old_benchmark(&self, name: &str) -> Result<Json, ErrorReply> {
        let shelf = self.shelf()?;
        Ok(success(&json!(benchmarks::one(&*shelf.0, name).map_err(without_kind)?)))
    }

    /// Records one; not in the place of what has its name unless that is asked for, and not of a time in which something was wrong.
    pub(super) fn old_record(&self, wanted: &Recorded) -> Result<Json, ErrorReply> {
        let shelf = self.shelf()?;
        let measured =
            self.recorded(&wanted.name, time(wanted.duration_minutes)?, &[], false).map_err(without_kind)?;
        let mut benchmark: Benchmark = measured;
        if let Some(services) = wanted.services.as_deref().filter(|services| !services.is_empty()) {
            benchmark.lines.retain(|line| is_of(line, services));
            if benchmark.lines.is_empty() {
                return Err((
                    StatusCode::CONFLICT,
                    "nothing was measured of these services in this time".to_owned(),
                ));
            }
        }
        benchmarks::keep(&*shelf.0, &benchmark, wanted.replace, "\"replace\": true").map_err(without_kind)?;
        Ok(json!({
            "status": "success",
            "message": format!("Benchmark '{}' created successfully", benchmark.name),
            "data": benchmark
        }))
    }

    pub(super) fn old_comparison(&self, name: &str, wanted: &Compared) -> Result<Json, ErrorReply> {
        let shelf = self.shelf()?;
        let found = self.compared(&*shelf.0, name, time(wanted.duration_minutes)?).map_err(without_kind)?;
        Ok(success(&json!(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regression_has_the_values_of_its_baseline() {
        let labels = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
            all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let line = |stage: &str, mean: f64| {
            let labels = labels(&[("pipeline", "bci"), ("stage", stage)]);
            let mut line = Line { metric: "stage_duration".into(), labels, ..Line::default() };
            line.values.mean = mean;
            line
        };
        let benchmark =
            Benchmark { lines: vec![line("filter", 0.5), line("decode", 2.0)], ..Benchmark::default() };
        let one = Regression {
            metric: "stage_duration".into(),
            labels: labels(&[("pipeline", "bci"), ("stage", "decode"), ("instance", "lab:9612")]),
            ratio: Some(1.5),
            ..Regression::default()
        };
        let shown = regression(&one, baseline_of(&one, &benchmark));
        assert_eq!((&shown["baseline_value"], &shown["current_value"]), (&json!(2.0), &json!(3.0)));
        assert_eq!((&shown["service_name"], &shown["change_percent"]), (&json!("bci"), &json!(50.0)));
        // What is not known is null.
        let other = Regression { metric: "host_cpu".into(), ratio: None, ..one };
        let shown = regression(&other, baseline_of(&other, &benchmark));
        assert_eq!((&shown["baseline_value"], &shown["current_value"]), (&Json::Null, &Json::Null));
    }

    #[test]
    fn a_benchmark_takes_a_day_at_most() {
        assert_eq!(time(60).map(|time| time.end - time.start), Ok(3_600_000));
        for minutes in [0, -1, 1441, i64::MAX] {
            assert_eq!(time(minutes).unwrap_err().0, StatusCode::BAD_REQUEST, "{minutes}");
        }
    }
}
