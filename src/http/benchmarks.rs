//! Benchmarks over HTTP: listed, recorded, taken over, removed, compared; and the regressions of the last hours.
//!
//! Answers have the form of Prometheus' API. What they say is `view::benchmark`'s.

use std::sync::Arc;

use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Value as Json, json};

use super::api::{Parameters, Until};
use super::gate::Pass;
use super::incidents::{error, success};
use super::routes::Benchmark as Asked;
use super::{Reply, Site};
use crate::clock::now;
use crate::promql::{Error, Kind};
use crate::view::Status;
use crate::view::benchmark::{
    self, Benchmark, Comparison, Listed, Outcome, Regressions, Shelf, check_name, check_step,
    regression_questions, regressions,
};
use crate::view::report::Time;

/// The time that is recorded where nothing is said, in ms.
const RECORDED: i64 = 3_600_000;
/// The time that is compared where nothing is said, in ms.
const COMPARED: i64 = 1_800_000;
/// Hours of regressions, at most.
const HOURS: f64 = 168.0;

/// Where the benchmarks are kept.
pub struct Benchmarks(pub Box<dyn Shelf>);

impl std::fmt::Debug for Benchmarks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Benchmarks")
    }
}

/// Why something is not done.
pub(super) type BenchmarkError = (StatusCode, &'static str, String);

impl Site {
    /// Answers a path of benchmarks, and a name where the path has one.
    pub(super) async fn benchmarks(
        self: &Arc<Self>,
        (asked, name): (Asked, &str),
        request: &Parts,
        body: &[u8],
        _: Pass,
    ) -> Reply {
        let (site, method, name) = (self.clone(), request.method.clone(), name.to_owned());
        let parameters = Parameters::read(request, body);
        let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let document = kind.starts_with("application/json").then(|| body.to_vec());
        self.aside(move || {
            let Some(benchmarks) = site.benchmarks.load_full() else {
                let why = "no benchmarks are kept: there is no state directory; name one as state_directory";
                return error(StatusCode::NOT_FOUND, "not_found", why);
            };
            let shelf = &*benchmarks.0;
            let done = match (asked, method) {
                (Asked::List, Method::POST) => site.take(shelf, document.as_deref(), &parameters),
                (Asked::List, _) => list(shelf),
                (Asked::One, Method::DELETE) => remove(shelf, &name),
                (Asked::One, _) => one(shelf, &name).map(|one| json!(one)),
                (Asked::Compare, _) => site.comparison(shelf, &name, &parameters).map(|found| json!(found)),
            };
            done.map_or_else(|(status, kind, why)| error(status, kind, &why), |data| success(&data))
        })
        .await
    }

    /// Answers for the regressions of the last hours.
    pub(super) async fn regressions(self: &Arc<Self>, request: &Parts) -> Reply {
        let (site, parameters) = (self.clone(), Parameters::read(request, &[]));
        self.aside(move || {
            let found = || -> Result<Json, BenchmarkError> {
                let hours = match parameters.get("hours").map(str::parse::<f64>) {
                    None => 24.0,
                    Some(Ok(hours)) if (1.0..=HOURS).contains(&hours) => hours,
                    Some(_) => return Err(wrong("hours is a number from 1 to 168")),
                };
                Ok(json!(site.regressions_of(hours)?))
            };
            found().map_or_else(|(status, kind, why)| error(status, kind, &why), |data| success(&data))
        })
        .await
    }

    /// The regressions of the last hours.
    pub(super) fn regressions_of(&self, hours: f64) -> Result<Regressions, BenchmarkError> {
        let questions = regression_questions(now().wall_milliseconds(), (hours * 3.6e6) as i64);
        let answers = self.answers(&questions, &Until::usual()).map_err(|error| unasked(&error))?;
        Ok(regressions(answers, &self.catalogue.load().settings.limits))
    }

    /// Takes over a benchmark, or records one of the last time.
    fn take(
        &self,
        shelf: &dyn Shelf,
        document: Option<&[u8]>,
        p: &Parameters,
    ) -> Result<Json, BenchmarkError> {
        let given = match document {
            Some(text) => Benchmark::read(text).map_err(|why| wrong(&why))?,
            None => self.record(p)?,
        };
        keep(shelf, &given, p.get("replace") == Some("true"), "replace=true")?;
        Ok(json!(Listed::of(&given)))
    }

    fn record(&self, p: &Parameters) -> Result<Benchmark, BenchmarkError> {
        let name = p.get("name").ok_or_else(|| wrong("name is missing"))?;
        let (time, only) = (time(p, RECORDED)?, wanted(p)?);
        let note = p.get("note").unwrap_or_default().chars().take(1000).collect();
        let recorded = self.recorded(name, time, &only, p.get("allow_bad") == Some("true"))?;
        Ok(Benchmark { note, ..recorded })
    }

    /// A benchmark of a time; of one in which something was wrong only where that is allowed.
    pub(super) fn recorded(
        &self,
        name: &str,
        time: Time,
        only: &[(String, String)],
        allow_bad: bool,
    ) -> Result<Benchmark, BenchmarkError> {
        check_name(name).map_err(|why| wrong(&why))?;
        let (verdict, sentences) = self.how_it_was(time)?;
        if verdict != Status::Healthy && !allow_bad {
            let why =
                format!("all was not well in this time: {sentences}; allow_bad=true records it all the same");
            return Err((StatusCode::CONFLICT, "not_well", why));
        }
        let benchmark = self.measured(name, time, benchmark::usual_step(time), only)?;
        if benchmark.lines.is_empty() {
            return Err((StatusCode::CONFLICT, "empty", "nothing was measured in this time".to_owned()));
        }
        Ok(Benchmark { verdict: sentences, ..benchmark })
    }

    /// What a report says of a time, in short.
    fn how_it_was(&self, time: Time) -> Result<(Status, String), BenchmarkError> {
        let verdict = self.report_of(time, &[], &Until::usual()).map_err(|error| unasked(&error))?.verdict;
        Ok((verdict.status, verdict.in_short()))
    }

    fn measured(
        &self,
        name: &str,
        time: Time,
        step: i64,
        only: &[(String, String)],
    ) -> Result<Benchmark, BenchmarkError> {
        check_step(time, step).map_err(|why| wrong(&why))?;
        let questions = benchmark::questions(time, step);
        let answers = self.answers(&questions, &Until::usual()).map_err(|error| unasked(&error))?;
        let (name, source) = (name.to_owned(), "the agent's history".to_owned());
        Ok(benchmark::build(benchmark::BenchmarkInput { name, time, step, source, answers, only }))
    }

    fn comparison(
        &self,
        shelf: &dyn Shelf,
        name: &str,
        p: &Parameters,
    ) -> Result<Comparison, BenchmarkError> {
        self.compared(shelf, name, time(p, COMPARED)?)
    }

    /// The time up to now, as long as this in ms, beside the benchmark of a name.
    ///
    /// # Errors
    /// There is none, nothing can be asked, or nothing could be judged.
    pub fn beside(&self, name: &str, window: i64) -> Result<Comparison, String> {
        let kept = self.benchmarks.load_full().ok_or("there is no state directory to keep benchmarks in")?;
        let end = now().wall_milliseconds();
        let time = Time { start: end.saturating_sub(window), end };
        let comparison = self.compared(&*kept.0, name, time).map_err(|(.., why)| why)?;
        if comparison.rows.iter().all(|row| row.outcome == Outcome::Unjudged) {
            return Err("nothing of it was measured for eight minutes in that time".to_owned());
        }
        Ok(comparison)
    }

    /// A time beside a benchmark.
    pub(super) fn compared(
        &self,
        shelf: &dyn Shelf,
        name: &str,
        time: Time,
    ) -> Result<Comparison, BenchmarkError> {
        let baseline = one(shelf, name)?;
        let current =
            self.measured("", time, benchmark::usual_step(time).min(baseline.step), &baseline.only)?;
        let limits = &self.catalogue.load().settings.limits;
        Ok(benchmark::compare(&baseline, &current, limits))
    }
}

/// Keeps a benchmark; one of its name is replaced only where that is asked for, in the words of `how`.
pub(super) fn keep(
    shelf: &dyn Shelf,
    given: &Benchmark,
    replace: bool,
    how: &str,
) -> Result<(), BenchmarkError> {
    if shelf.write(given, replace).map_err(failed)? {
        return Ok(());
    }
    let why = format!("there is a benchmark {} already; {how} replaces it", given.name);
    Err((StatusCode::CONFLICT, "exists", why))
}

fn wrong(why: &str) -> BenchmarkError {
    (StatusCode::BAD_REQUEST, "bad_data", why.to_owned())
}

fn failed(why: String) -> BenchmarkError {
    (StatusCode::SERVICE_UNAVAILABLE, "storage", why)
}

fn unasked(error: &Error) -> BenchmarkError {
    let kind = if error.kind == Kind::Invalid { "bad_data" } else { "execution" };
    let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, kind, error.text.clone())
}

/// The time that is asked about.
fn time(p: &Parameters, usual: i64) -> Result<Time, BenchmarkError> {
    let read = |error: Error| wrong(&error.text);
    let end = p.time("end").map_err(read)?.unwrap_or_else(|| now().wall_milliseconds());
    let window = p.duration("window").map_err(read)?.unwrap_or(usual);
    let start = p.time("start").map_err(read)?.unwrap_or_else(|| end.saturating_sub(window));
    if start >= end {
        return Err(wrong("the time is empty: start is not before end"));
    }
    Ok(Time { start, end })
}

/// Which lines are recorded: `match=device=cyton`.
fn wanted(p: &Parameters) -> Result<Vec<(String, String)>, BenchmarkError> {
    let pair = |text: &str| {
        let (name, value) =
            text.split_once('=').ok_or_else(|| wrong("match is a label and its value: device=cyton"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    p.all("match").map(pair).collect()
}

pub(super) fn list(shelf: &dyn Shelf) -> Result<Json, BenchmarkError> {
    let (mut all, mut damaged) = (Vec::new(), Vec::new());
    for name in shelf.names().map_err(failed)? {
        match shelf.read(&name) {
            Ok(Some(one)) => all.push(Listed::of(&one)),
            Ok(None) => {}
            Err(why) => damaged.push(why),
        }
    }
    Ok(json!({ "benchmarks": all, "damaged": damaged }))
}

pub(super) fn one(shelf: &dyn Shelf, name: &str) -> Result<Benchmark, BenchmarkError> {
    check_name(name).map_err(|why| wrong(&why))?;
    let unknown = || (StatusCode::NOT_FOUND, "not_found", format!("there is no benchmark {name}"));
    shelf.read(name).map_err(failed)?.ok_or_else(unknown)
}

fn remove(shelf: &dyn Shelf, name: &str) -> Result<Json, BenchmarkError> {
    check_name(name).map_err(|why| wrong(&why))?;
    match shelf.remove(name).map_err(failed)? {
        true => Ok(json!({ "removed": name })),
        false => Err((StatusCode::NOT_FOUND, "not_found", format!("there is no benchmark {name}"))),
    }
}
