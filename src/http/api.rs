//! Prometheus' HTTP API over the history: what Grafana, promtool and `curl` ask.
//!
//! Paths, parameters, errors and statuses are those of Prometheus 3 (`web/api/v1/api.go`); what is not here answers 404. A query runs
//! on a thread of its own, a few at a time, and ends when its time is over or its client goes.

mod health;
mod parameters;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use hyper::http::request::Parts;

use super::disk::Unmade;
use super::routes::Endpoint;
use super::{Groups, Reply, Site, reply};
use crate::alert::{self, json::RuleFilter};
use crate::clock::now;
use crate::decode::text::families::Families;
use crate::promql::{self, Error, Expr, Interrupt, Kind, Labels, NAME, Query, Recent, Storage, When, json};

pub(super) use parameters::Parameters;
use parameters::invalid;

/// Queries at once; others wait.
pub(super) const AT_ONCE: usize = 4;
/// The time a query may take where it does not ask for less.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Values that a query may hold at once, 16 bytes each.
const SAMPLES: usize = 4_000_000;
/// Bytes of an answer.
const ANSWER: usize = 64 << 20;
/// The version of Prometheus whose API and language this is: clients ask for it to know what they may ask.
const VERSION: &str = "3.14.0";

/// What is dropped when the client goes.
#[derive(Debug)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What ends a query: its time, or that nobody waits.
#[derive(Clone, Debug)]
pub(super) struct Until {
    gone: Arc<AtomicBool>,
    /// ns of the steady clock.
    deadline: u64,
}

impl Until {
    /// The usual time, for work that no client ends.
    pub(super) fn usual() -> Self {
        Self::within(TIMEOUT)
    }

    /// What ends after so long.
    pub(super) fn within(time: Duration) -> Self {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self { gone: Arc::default(), deadline: now().steady.saturating_add(time) }
    }

    pub(super) fn interrupt(&self) -> Option<Interrupt> {
        if self.gone.load(Ordering::Relaxed) {
            Some(Interrupt::Canceled)
        } else if now().steady > self.deadline {
            Some(Interrupt::Timeout)
        } else {
            None
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.interrupt().map_or(Ok(()), |interrupt| Err(interrupt.into()))
    }
}

impl Site {
    /// Answers a question; of a label, whose name it has from its path.
    pub(super) async fn api(
        self: &Arc<Self>,
        endpoint: Endpoint,
        label: Option<String>,
        request: &Parts,
        body: &[u8],
    ) -> Reply {
        let parameters = Parameters::read(request, body);
        let form = (endpoint == Endpoint::Report).then(|| report::kind(&parameters));
        match self.ask(endpoint, label.unwrap_or_default(), parameters).await {
            Ok((status, body)) => match form {
                Some(kind) => reply::report(kind, body),
                None => reply::json(status, body),
            },
            Err(error) => {
                let status =
                    StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                reply::json(status, json::failure(&error))
            }
        }
    }

    async fn ask(
        self: &Arc<Self>,
        endpoint: Endpoint,
        label: String,
        parameters: Parameters,
    ) -> Result<(StatusCode, String), Error> {
        let gone = CancelOnDrop(Arc::default());
        let timeout = parameters.timeout()?;
        let deadline = now().steady.saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        let until = Until { gone: gone.0.clone(), deadline };
        let site = self.clone();
        let work = move || site.answer_query(endpoint, &label, &parameters, &until);
        let answer = self.queries.work(timeout, work).await.map_err(|why| match why {
            Unmade::Busy => Interrupt::Timeout.into(),
            Unmade::Panicked => Error::storage("the query panicked; please report it"),
        })?;
        drop(gone);
        answer.and_then(|answer| if answer.1.len() > ANSWER { Err(too_large()) } else { Ok(answer) })
    }

    fn answer_query(
        &self,
        endpoint: Endpoint,
        label: &str,
        p: &Parameters,
        until: &Until,
    ) -> Result<(StatusCode, String), Error> {
        let past = || {
            self.history
                .get()
                .map(|past| &**past)
                .ok_or_else(|| Error::storage("the history is off: history.enabled is false"))
        };
        let body = match endpoint {
            Endpoint::Query => query(past()?, p, until),
            Endpoint::QueryRange => query_range(past()?, p, until),
            Endpoint::Series => series(past()?, p, until),
            Endpoint::Labels => {
                labels(past()?, p, until, |labels| labels.iter().map(|(name, _)| name.to_owned()).collect())
            }
            Endpoint::Values => {
                if label.is_empty() {
                    return Err(Error { kind: Kind::Invalid, text: "invalid label name: \"\"".into() });
                }
                let value =
                    |labels: &Labels| Some(labels.get(label).to_owned()).filter(|value| !value.is_empty());
                labels(past()?, p, until, |labels| value(labels).into_iter().collect())
            }
            Endpoint::Metadata => self.metadata(p),
            Endpoint::Exemplars => exemplars(past()?, p),
            Endpoint::Format => {
                let expr = promql::parse(p.get("query").unwrap_or_default())
                    .map_err(|error| invalid("query", &error.text))?;
                Ok(success(&string(&promql::format(&expr))))
            }
            Endpoint::BuildInfo => Ok(build_info()),
            Endpoint::RuntimeInfo => Ok(self.runtime_info(past()?)),
            Endpoint::Tsdb => tsdb(past()?, p, until),
            Endpoint::Health => return self.health(p, until),
            Endpoint::Report => self.report(p, until),
            Endpoint::Rules => self.rules(p),
            Endpoint::Alerts => {
                let mut all = Vec::new();
                self.groups(&mut |group| all.extend(alert::json::alerts(group)));
                Ok(success(&serde_json::json!({ "alerts": all }).to_string()))
            }
        }?;
        Ok((StatusCode::OK, body))
    }

    /// Asks the history one question after the other.
    pub(super) fn answers(
        &self,
        questions: &[(String, When)],
        until: &Until,
    ) -> Result<Vec<Option<promql::Value>>, Error> {
        let off = || Error::storage("the history is off: history.enabled is false");
        let past = self.history.get().ok_or_else(off)?;
        ask_all(&**past, questions, until)
    }

    /// Shows each group of rules that the agent evaluates.
    fn groups(&self, see: &mut dyn FnMut(&alert::Group)) {
        if let Some(Groups(visit)) = self.rules.load().as_deref() {
            visit(see);
        }
    }

    fn rules(&self, p: &Parameters) -> Result<String, Error> {
        let alerting = match p.get("type").unwrap_or_default() {
            "" => None,
            "alert" => Some(true),
            "record" => Some(false),
            other => return Err(invalid("type", &format!("not supported value {}", string(other)))),
        };
        let all = |name: &str| p.all(name).map(str::to_owned).collect();
        let wanted = RuleFilter {
            alerting,
            names: all("rule_name[]"),
            groups: all("rule_group[]"),
            files: all("file[]"),
            without_alerts: p.get("exclude_alerts") == Some("true"),
        };
        let mut groups = Vec::new();
        self.groups(&mut |group| groups.extend(alert::json::group(group, &wanted)));
        Ok(success(&serde_json::json!({ "groups": groups }).to_string()))
    }
}

/// Threads that answer the questions of one request.
const TOGETHER: usize = 2;

/// The answers to many questions, in their order, or the first error.
fn ask_all(
    past: &dyn Storage,
    questions: &[(String, When)],
    until: &Until,
) -> Result<Vec<Option<promql::Value>>, Error> {
    let exprs: Vec<Expr> = questions.iter().map(|(text, _)| promql::parse(text)).collect::<Result<_, _>>()?;
    // A thread takes all questions of a metric: what was read for one serves the next.
    let mut places: Vec<usize> = (0..questions.len()).collect();
    let metric = |place: &usize| exprs.get(*place).and_then(|expr| expr.metrics().next());
    places.sort_by_cached_key(metric);
    let parts: Vec<&[usize]> = places.chunk_by(|one, next| metric(one) == metric(next)).collect();
    let next = AtomicUsize::new(0);
    // Each thread has what it read for itself alone, and needs no lock.
    let work = || {
        let (recent, interrupt) = (Recent::of(past), || until.interrupt());
        let mut answers = Vec::new();
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            for place in *part {
                let (Some(expr), Some((_, when))) = (exprs.get(*place), questions.get(*place)) else {
                    continue;
                };
                let query = Query { max_samples: SAMPLES, interrupt: &interrupt, ..Query::new(*when) };
                let answer = promql::evaluate(expr, &query, &recent).map(|answer| Some(answer.value));
                let failed = answer.is_err();
                answers.push((*place, answer));
                if failed {
                    // Nobody needs the others.
                    next.store(parts.len(), Ordering::Relaxed);
                    return answers;
                }
            }
        }
        answers
    };
    let mut answers = std::thread::scope(|scope| {
        let others = TOGETHER.min(parts.len()).saturating_sub(1);
        let start = |_| std::thread::Builder::new().name("report".into()).spawn_scoped(scope, work);
        // Where there is no thread to be had, one does it all.
        let others: Vec<_> = (0..others).map_while(|at| start(at).ok()).collect();
        let mut answers = work();
        for other in others {
            match other.join() {
                Ok(more) => answers.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        answers
    });
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn too_large() -> Error {
    Error { kind: Kind::Limit, text: format!("the answer has more than {} MiB; ask for less", ANSWER >> 20) }
}

fn success(data: &str) -> String {
    format!("{{\"status\":\"success\",\"data\":{data}}}")
}

fn string(text: &str) -> String {
    let mut out = String::new();
    json::write_string(&mut out, text);
    out
}

/// What an expression asks for, at the time that is now where none is given.
fn query(past: &dyn Storage, p: &Parameters, until: &Until) -> Result<String, Error> {
    let at = match p.time("time")? {
        Some(at) => at,
        None => now().wall_milliseconds(),
    };
    evaluate(past, p, When::At(at), until)
}

fn query_range(past: &dyn Storage, p: &Parameters, until: &Until) -> Result<String, Error> {
    let (start, end) = (p.required_time("start")?, p.required_time("end")?);
    let step = p.duration("step")?.ok_or_else(|| invalid("step", "cannot parse \"\" to a valid duration"))?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    if step <= 0 {
        return Err(invalid(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if (end - start) / step > 11_000 {
        let why = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(Error { kind: Kind::Invalid, text: why.into() });
    }
    evaluate(past, p, When::Range { start, end, step }, until)
}

fn evaluate(past: &dyn Storage, p: &Parameters, when: When, until: &Until) -> Result<String, Error> {
    let text = p.get("query").unwrap_or_default();
    let expr = promql::parse(text).map_err(|error| invalid("query", &error.text))?;
    let interrupt = || until.interrupt();
    let mut query = Query { max_samples: SAMPLES, interrupt: &interrupt, ..Query::new(when) };
    if let Some(lookback) = p.duration("lookback_delta")? {
        query.lookback = lookback;
    }
    let limit = p.limit()?;
    let mut answer = promql::evaluate(&expr, &query, past)?;
    if limit > 0 && answer.value.truncate(limit) {
        answer.warnings.push("results truncated due to limit".into());
    }
    answer.warnings.extend(past.note());
    Ok(json::success(&answer, when))
}

/// The time between which series are looked for: all there is where nothing is said.
fn span(p: &Parameters) -> Result<(i64, i64), Error> {
    let (start, end) = (p.time("start")?.unwrap_or(i64::MIN), p.time("end")?.unwrap_or(i64::MAX));
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    Ok((start, end))
}

fn series(past: &dyn Storage, p: &Parameters, until: &Until) -> Result<String, Error> {
    let selectors = p.selectors()?;
    if selectors.is_empty() {
        return Err(Error { kind: Kind::Invalid, text: "no match[] parameter provided".into() });
    }
    let ((from, to), limit) = (span(p)?, p.limit()?);
    let mut found = BTreeSet::new();
    for matchers in &selectors {
        past.series(matchers, from, to, &mut |labels| {
            found.insert(labels.clone());
            until.check()
        })?;
    }
    let count = found.len();
    let shown = found.iter().take(if limit == 0 { usize::MAX } else { limit });
    Ok(list(shown, json::write_labels, limit > 0 && count > limit))
}

/// Names or values of labels of the series that match, or of all.
fn labels(
    past: &dyn Storage,
    p: &Parameters,
    until: &Until,
    of: impl Fn(&Labels) -> Vec<String>,
) -> Result<String, Error> {
    let (mut selectors, (from, to), limit) = (p.selectors()?, span(p)?, p.limit()?);
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let mut found = BTreeSet::new();
    for matchers in &selectors {
        past.series(matchers, from, to, &mut |labels| {
            found.extend(of(labels));
            until.check()
        })?;
    }
    let count = found.len();
    let shown = found.iter().take(if limit == 0 { usize::MAX } else { limit });
    Ok(list(shown, |out, text| json::write_string(out, text), limit > 0 && count > limit))
}

/// A list as the data of an answer.
fn list<T>(items: impl Iterator<Item = T>, write: impl Fn(&mut String, T), truncated: bool) -> String {
    let mut out = String::from("{\"status\":\"success\",\"data\":[");
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(&mut out, item);
    }
    out.push(']');
    if truncated {
        out.push_str(",\"warnings\":[\"results truncated due to limit\"]");
    }
    out.push('}');
    out
}

fn build_info() -> String {
    let own = concat!("neural-exporter ", env!("CARGO_PKG_VERSION"));
    success(&format!(
        "{{\"version\":{},\"revision\":{},\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}}",
        string(VERSION),
        string(own)
    ))
}

impl Site {
    /// What the agent itself exposes now, by the name that Prometheus knows a family by.
    fn metadata(&self, p: &Parameters) -> Result<String, Error> {
        let (only, limit) = (p.get("metric"), p.limit()?);
        let mut families = Families::default();
        self.scrape(&mut |text| families = Families::of(text));
        let mut out = String::from("{");
        let shown = families.iter().filter(|(name, _)| only.is_none_or(|only| *name == only));
        for (place, (name, family)) in shown.take(if limit == 0 { usize::MAX } else { limit }).enumerate() {
            let _ = write!(
                out,
                "{}{}:[{{\"type\":{},\"help\":{},\"unit\":{}}}]",
                if place > 0 { "," } else { "" },
                string(name),
                string(&family.kind),
                string(&family.help),
                string(&family.unit)
            );
        }
        out.push('}');
        Ok(success(&out))
    }

    fn runtime_info(&self, past: &dyn Storage) -> String {
        let since = past.since().map_or(0.0, |ms| ms as f64 / 1000.0);
        let series = self.hub.lock().registry.len();
        success(&format!(
            "{{\"startTime\":\"\",\"CWD\":\"\",\"reloadConfigSuccess\":{},\"corruptionCount\":0,\"goroutineCount\":0,\
             \"GOMAXPROCS\":{},\"storageRetention\":{},\"timeSeriesCount\":{series},\"oldestSampleSeconds\":{since}}}",
            self.own.config_successful.get() == 1,
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            string(&past.retention())
        ))
    }
}

/// The exemplars of the series that an expression asks for.
fn exemplars(past: &dyn Storage, p: &Parameters) -> Result<String, Error> {
    let expr =
        promql::parse(p.get("query").unwrap_or_default()).map_err(|error| invalid("query", &error.text))?;
    let (from, to) = span(p)?;
    // A series of two selectors has its exemplars once.
    let mut found: BTreeMap<Labels, Vec<String>> = BTreeMap::new();
    for matchers in expr.selectors() {
        past.exemplars(matchers, from, to, &mut |labels, text| {
            let known = found.entry(labels.clone()).or_default();
            known.extend(exemplar_of(text).filter(|exemplar| !known.contains(exemplar)));
        });
    }
    let write = |out: &mut String, (labels, exemplars): (&Labels, &Vec<String>)| {
        out.push_str("{\"seriesLabels\":");
        json::write_labels(out, labels);
        let _ = write!(out, ",\"exemplars\":[{}]}}", exemplars.join(","));
    };
    Ok(list(found.iter(), write, false))
}

/// An exemplar, from its text: `{trace_id="…"} value seconds`.
fn exemplar_of(text: &str) -> Option<String> {
    let (labels, rest) = text.strip_prefix('{')?.split_once("} ")?;
    let (value, at) = rest.split_once(' ')?;
    let seconds = at.trim().parse::<f64>().ok()?;
    let (name, id) = labels.split_once("=\"")?;
    let id = id.strip_suffix('"')?;
    Some(format!(
        "{{\"labels\":{{{}:{}}},\"value\":{},\"timestamp\":{seconds}}}",
        string(name),
        string(id),
        string(value)
    ))
}

/// Which metrics and labels have the most series.
fn tsdb(past: &dyn Storage, p: &Parameters, until: &Until) -> Result<String, Error> {
    let limit = match p.limit()? {
        0 => 10,
        limit => limit,
    };
    let (mut by_name, mut by_label, mut by_pair) =
        (BTreeMap::new(), BTreeMap::<String, BTreeSet<String>>::new(), BTreeMap::new());
    let mut count = 0;
    past.series(&[], i64::MIN, i64::MAX, &mut |labels| {
        count += 1;
        for (name, value) in labels {
            by_label.entry(name.to_owned()).or_default().insert(value.to_owned());
            *by_pair.entry(format!("{name}={value}")).or_insert(0) += 1;
        }
        *by_name.entry(labels.get(NAME).to_owned()).or_insert(0) += 1;
        until.check()
    })?;
    let most = |counts: BTreeMap<String, usize>| {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let rows: Vec<String> = counts
            .iter()
            .take(limit)
            .map(|(name, count)| format!("{{\"name\":{},\"value\":{count}}}", string(name)))
            .collect();
        rows.join(",")
    };
    let pairs = by_label.values().map(BTreeSet::len).sum::<usize>();
    let labels: BTreeMap<String, usize> =
        by_label.iter().map(|(name, values)| (name.clone(), values.len())).collect();
    let memory: BTreeMap<String, usize> =
        by_label.into_iter().map(|(name, values)| (name, values.iter().map(String::len).sum())).collect();
    Ok(success(&format!(
        "{{\"headStats\":{{\"numSeries\":{count},\"numLabelPairs\":{pairs},\"chunkCount\":0,\"minTime\":{},\"maxTime\":{}}},\
         \"seriesCountByMetricName\":[{}],\"labelValueCountByLabelName\":[{}],\"memoryInBytesByLabelName\":[{}],\
         \"seriesCountByLabelValuePair\":[{}]}}",
        past.since().unwrap_or_default(),
        now().wall / 1_000_000,
        most(by_name),
        most(labels),
        most(memory),
        most(by_pair)
    )))
}
