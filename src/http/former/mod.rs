//! The routes of two systems that the agent replaces, under their names and with their fields: `/api/performance/…` and
//! `/api/metrics/…`.
//!
//! Each is answered from what other routes answer from. Their units are theirs: percent, milliseconds, runs a minute. What is not known
//! is null. Errors are problem details, whose `detail` is the field that their clients read.

mod benchmarks;
mod metrics;
mod report;

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::{Map, Value as Json, json};

use super::api::{Parameters, Until};
use super::components::{ErrorReply, number};
use super::routes::{Former, RouteMatch};
use super::{Reply, Site, reply};
use crate::catalog::card::{FLOW, SYSTEM};
use crate::clock::now;
use crate::promql::{self, Error, Kind, Query, Select, Selection, Storage, Value, When, moment_ms};
use crate::view::{Numbers, Snapshot, Status, data};

/// From one point of a course to the next, in ms.
const STEP: i64 = 60_000;
const HOUR: i64 = 3_600_000;
/// A change of a course that is worth a word.
const CHANGE: f64 = 0.05;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The media type of bodies.
const JSON: &str = "application/json";

/// An answer as theirs are.
fn success(data: &Json) -> Json {
    json!({"status": "success", "data": data})
}

fn percent(ratio: Option<f64>) -> Option<f64> {
    ratio.map(|ratio| ratio * 100.0)
}

fn refused(error: &Error) -> ErrorReply {
    let status = match error.kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}

/// A body of JSON.
fn body_of<T: serde::de::DeserializeOwned>(request: &Parts, body: &[u8]) -> Result<T, ErrorReply> {
    let kind = request.headers.get(hyper::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(JSON) {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the body is {JSON}, and says so in Content-Type"),
        ));
    }
    serde_json::from_slice(body)
        .map_err(|why| (StatusCode::BAD_REQUEST, format!("the body is not as it should be: {why}")))
}

/// What is posted.
#[derive(Debug)]
enum PostedBody {
    Metric(metrics::PostedMetric),
    Recorded(benchmarks::Recorded),
    Compared(benchmarks::Compared),
}

impl PostedBody {
    /// Reads it, if there is a body.
    fn read(asked: Former, request: &Parts, body: &[u8]) -> Result<Option<Self>, ErrorReply> {
        Ok(match asked {
            Former::Metrics => Some(Self::Metric(body_of(request, body)?)),
            Former::Benchmarks => Some(Self::Recorded(body_of(request, body)?)),
            Former::Compare => Some(Self::Compared(body_of(request, body)?)),
            _ => None,
        })
    }
}

impl Site {
    /// Answers one of them.
    pub(super) async fn former(
        self: &Arc<Self>,
        asked: Former,
        found: RouteMatch<'_>,
        request: &Parts,
        body: &[u8],
    ) -> Reply {
        if asked == Former::Prometheus {
            return self.metrics(&request.headers);
        }
        let (site, name) = (self.clone(), found.decoded().unwrap_or_default());
        let (parameters, posted) = (Parameters::read(request, &[]), request.method == hyper::Method::POST);
        let posted = match posted.then(|| PostedBody::read(asked, request, body)).transpose() {
            Ok(posted) => posted.flatten(),
            Err((status, why)) => return reply::problem(status, &why),
        };
        self.aside(move || {
            let answer = match (asked, &posted) {
                (_, Some(PostedBody::Metric(metric))) => site.take_metric(metric),
                (_, Some(PostedBody::Recorded(wanted))) => site.old_record(wanted),
                (_, Some(PostedBody::Compared(wanted))) => site.old_comparison(&name, wanted),
                (Former::Metrics, None) => site.old_metrics(&parameters),
                (Former::Report, _) => site.old_report(&parameters),
                (Former::Cleanup, _) => site.clean_up(&parameters),
                (Former::Health, _) => site.monitoring_health(),
                (Former::Regressions, _) => site.old_regressions(&parameters),
                (Former::Benchmarks, _) => site.old_benchmarks(),
                (Former::Benchmark, _) => site.old_benchmark(&name),
                _ => site.of_snapshot(asked, &name),
            };
            match answer {
                Ok(body) => reply::json(StatusCode::OK, body.to_string()),
                Err((status, why)) => reply::problem(status, &why),
            }
        })
        .await
    }

    /// What is told by what the page shows.
    fn of_snapshot(&self, asked: Former, name: &str) -> Result<Json, ErrorReply> {
        let snapshot = self.snapshot();
        Ok(match asked {
            Former::System => success(&system(&snapshot)),
            Former::Service => success(&service(&snapshot, name)?),
            Former::Realtime => realtime(&snapshot),
            Former::Issues => issues(&snapshot),
            Former::Export => {
                let mut answer = success(&self.dashboard(&snapshot)?);
                if let Some(answer) = answer.as_object_mut() {
                    answer.insert("exported_at".to_owned(), moment_ms(snapshot.at).into());
                }
                answer
            }
            _ => success(&self.dashboard(&snapshot)?),
        })
    }

    /// What is to be asked of the past, and for how long.
    fn patient(&self) -> Result<(&dyn Storage, Until), ErrorReply> {
        let off =
            || (StatusCode::SERVICE_UNAVAILABLE, "the history is off: history.enabled is false".to_owned());
        let past = self.history.get().ok_or_else(off)?;
        Ok((&**past, Until::within(PATIENCE)))
    }

    /// The last hour of each figure.
    fn dashboard(&self, snapshot: &Snapshot) -> Result<Json, ErrorReply> {
        let (past, until) = self.patient()?;
        let (start, end) = (snapshot.at - HOUR, snapshot.at);
        let mut metrics = Map::new();
        // Of what only grows a mean says nothing.
        for figure in FLOW.iter().chain(SYSTEM).filter(|figure| !figure.name.ends_with("_total")) {
            let course =
                course(past, figure.ask.text(), (start, end), &until).map_err(|error| refused(&error))?;
            metrics.insert(figure.key(), summary(&course));
        }
        let alerts: Vec<Json> =
            snapshot.alerts.iter().filter(|alert| alert.firing).map(|alert| json!(alert)).collect();
        Ok(json!({
            "timestamp": moment_ms(end),
            "time_range": {"start": moment_ms(start), "end": moment_ms(end)},
            "status": snapshot.verdict.status,
            "metrics": metrics,
            "services": snapshot.figures.services,
            "active_alerts": alerts
        }))
    }

    fn monitoring_health(&self) -> Result<Json, ErrorReply> {
        let (past, until) = self.patient()?;
        let to = now().wall_milliseconds();
        let matchers = promql::parse_selector("up").map_err(|error| refused(&error))?;
        let mut times: Vec<i64> = Vec::new();
        let selection = Selection { matchers: &matchers, from: to - 5 * 60_000, to, step: 0, width: 0 };
        let found = past.select(&selection, &mut |_, samples| {
            times.extend(samples.iter().map(|sample| sample.t));
            until.check()
        });
        found.map_err(|error| refused(&error))?;
        times.sort_unstable();
        let last = times.last().copied();
        let interval =
            last.zip(times.iter().rev().nth(1)).map(|(last, before)| (last - before) as f64 / 1000.0);
        Ok(success(&json!({
            "monitoring_active": true,
            "collection_interval": interval,
            "recent_metrics_count": self.own.history_series.get(),
            "database_path": null,
            "dashboard_active": true,
            "last_collection": last.map(moment_ms)
        })))
    }

    /// Forgets what is older than so many days.
    fn clean_up(&self, parameters: &Parameters) -> Result<Json, ErrorReply> {
        let days = number(parameters, "retention_days", 30, (1, 365))?;
        let off = || (StatusCode::SERVICE_UNAVAILABLE, "there is no history to clean up".to_owned());
        let forget = self.forget.get().ok_or_else(off)?;
        let deleted = (forget.0)(days as u64).map_err(|why| (StatusCode::SERVICE_UNAVAILABLE, why))?;
        Ok(json!({
            "status": "success",
            "message": format!("removed {deleted} pieces of the history"),
            "data": {"deleted_records": deleted, "retention_days": days}
        }))
    }
}

/// The values of an expression over a time, the first series of it: a minute apart.
fn course(
    past: &dyn Select,
    text: &str,
    (start, end): (i64, i64),
    until: &Until,
) -> Result<Vec<(i64, f64)>, Error> {
    let interrupt = || until.interrupt();
    let step = ((end - start) / 60).max(STEP);
    let query = Query { interrupt: &interrupt, ..Query::new(When::Range { start, end, step }) };
    let Value::Matrix(series) = promql::evaluate(&promql::parse(text)?, &query, past)?.value else {
        return Ok(Vec::new());
    };
    let samples = series.into_iter().next().map(|one| one.samples).unwrap_or_default();
    Ok(samples.into_iter().filter(|sample| sample.v.is_finite()).map(|sample| (sample.t, sample.v)).collect())
}

/// The value of an expression at a time: of its first series.
fn value(past: &dyn Select, text: &str, at: i64, until: &Until) -> Result<Option<f64>, Error> {
    let interrupt = || until.interrupt();
    let query = Query { interrupt: &interrupt, ..Query::new(When::At(at)) };
    let Value::Vector(elements) = promql::evaluate(&promql::parse(text)?, &query, past)?.value else {
        return Ok(None);
    };
    Ok(elements.first().map(|element| element.value).filter(|value| value.is_finite()))
}

fn mean(of: &[(i64, f64)]) -> Option<f64> {
    (!of.is_empty()).then(|| of.iter().map(|(_, value)| value).sum::<f64>() / of.len() as f64)
}

/// A course in numbers: its second half is compared with its first.
fn summary(course: &[(i64, f64)]) -> Json {
    let values = || course.iter().map(|(_, value)| *value);
    let (first, second) = course.split_at(course.len() / 2);
    let trend = mean(first).zip(mean(second)).map(|(first, second)| {
        let change = second - first;
        if change.abs() <= CHANGE * first.abs() {
            "stable"
        } else if change > 0.0 {
            "increasing"
        } else {
            "decreasing"
        }
    });
    json!({
        "current": course.last().map(|(_, value)| value),
        "average": mean(course),
        "min": values().reduce(f64::min),
        "max": values().reduce(f64::max),
        "trend": trend
    })
}

fn system(snapshot: &Snapshot) -> Json {
    let of = |name: &str| data::get(&snapshot.figures.system, name);
    json!({
        "timestamp": moment_ms(snapshot.at),
        "cpu_percent": percent(of("cpu_used_ratio")),
        "memory": {"usage_bytes": of("memory_used_bytes"), "usage_percent": percent(of("memory_used_ratio"))},
        "disk": {"usage_bytes": of("disk_used_bytes"), "usage_percent": percent(of("disk_used_ratio"))},
        "network": {"bytes_sent": of("network_sent_total_bytes"), "bytes_recv": of("network_received_total_bytes")},
        "load_average": {"1min": of("load1"), "5min": of("load5"), "15min": of("load15")},
        "processes": {"count": null, "threads": null, "running": of("tasks")}
    })
}

fn service(snapshot: &Snapshot, name: &str) -> Result<Json, ErrorReply> {
    let services = &snapshot.figures.services;
    let Some(numbers) = services.get(name) else {
        let known: Vec<&str> = services.keys().take(20).map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let why = format!(
            "service {name:?} is not found or not running; known are: {known} (groups of a process source, and services that send requests)"
        );
        return Err((StatusCode::NOT_FOUND, why));
    };
    let of = |key: &str| data::get(numbers, key);
    Ok(json!({
        "service_name": name,
        "timestamp": moment_ms(snapshot.at),
        "cpu_percent": percent(of("cpu_used_ratio")),
        "memory": {"usage_bytes": of("memory_used_bytes"), "usage_percent": percent(of("memory_used_ratio"))},
        "io": {"read_bytes": of("read_total_bytes"), "write_bytes": of("written_total_bytes")},
        "threads": of("threads"),
        "files": {"open": of("open_files")},
        "network": {"connections": null},
        "requests": {
            "count": of("requests_total"), "errors": of("request_failures_total"), "response_time": of("response_seconds")
        }
    }))
}

fn realtime(snapshot: &Snapshot) -> Json {
    let of = |name: &str| data::get(&snapshot.figures.flow, name);
    json!({
        "timestamp": moment_ms(snapshot.at),
        "currentThroughput": of("throughput_hertz").map(|runs| runs * 60.0),
        "averageLatency": of("latency_seconds").map(|seconds| seconds * 1000.0),
        "errorRate": percent(of("failed_ratio")),
        "cacheHitRate": percent(of("cache_hits_ratio")),
        "queueDepth": of("queue_depth"),
        "activeIssues": snapshot.verdict.sentences.len(),
        "tokenUsagePercent": percent(of("tokens_used_ratio"))
    })
}

/// What is wrong, each with what to do.
fn issues(snapshot: &Snapshot) -> Json {
    let mut all = Vec::new();
    for card in &snapshot.cards {
        for said in &card.sentences {
            let kind = said.alert.clone().unwrap_or_else(|| card.kind.clone());
            all.push(json!({
                "id": format!("{kind}/{}", card.name),
                "type": kind,
                "category": card.kind,
                "severity": if said.status == Status::Unhealthy { "critical" } else { "warning" },
                "message": said.text,
                "currentValue": null,
                "threshold": null,
                "timestamp": moment_ms(said.since.unwrap_or(snapshot.at)),
                "recommendation": said.advice
            }));
        }
    }
    Json::Array(all)
}

/// A number of some, for what is told of the day.
fn of_day(numbers: &Numbers) -> (Option<f64>, Option<f64>, Option<f64>) {
    let tokens = data::get(numbers, "tokens_today");
    let used = data::get(numbers, "tokens_used_ratio");
    let limit = tokens.zip(used.filter(|used| *used > 0.0)).map(|(tokens, used)| (tokens / used).round());
    (tokens, data::get(numbers, "cost_today"), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_rises_falls_or_is_stable() {
        let of = |values: &[f64]| {
            let course: Vec<(i64, f64)> = values.iter().zip(0..).map(|(value, at)| (at, *value)).collect();
            summary(&course)
        };
        let seen = of(&[1.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            seen,
            json!({"current": 3.0, "average": 1.75, "min": 1.0, "max": 3.0, "trend": "increasing"})
        );
        assert_eq!(of(&[100.0, 104.0])["trend"], "stable");
        assert_eq!(of(&[100.0, 94.0])["trend"], "decreasing");
        assert_eq!(of(&[0.0, 0.0])["trend"], "stable");
        let none = json!({"current": null, "average": null, "min": null, "max": null, "trend": null});
        assert_eq!(of(&[]), none);
    }

    #[test]
    fn what_is_not_known_is_null() {
        let seen = realtime(&Snapshot::default());
        for name in [
            "currentThroughput",
            "averageLatency",
            "errorRate",
            "cacheHitRate",
            "queueDepth",
            "tokenUsagePercent",
        ] {
            assert_eq!(seen[name], Json::Null, "{name}");
        }
        assert_eq!(service(&Snapshot::default(), "api").unwrap_err().0, StatusCode::NOT_FOUND);
        assert_eq!(system(&Snapshot::default())["cpu_percent"], Json::Null);
    }
}
