//! Unit tests of rules as promtool runs them: series that are made up, and what rules and expressions must make of them.
//!
//! Fact: `cmd/promtool/unittest.go` of Prometheus.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use super::file::Definition;
use super::group::{Context, Group, Storage};
use super::rule::{Act, Health};
use super::state::State;
use crate::document::{self, Problem};
use crate::promql::{
    self, Each, Error, Labels, Matcher, Point, Query, Sample, Select, Selection, Value, When, almost_equal,
    read_duration,
};

/// A file of unit tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Files of rules, relative to this one, with `*` and its kin.
    #[serde(default)]
    pub rule_files: Vec<String>,
    #[serde(default)]
    evaluation_interval: Option<Span>,
    /// The order in which groups are evaluated; groups that are not named come first.
    #[serde(default)]
    group_eval_order: Vec<String>,
    /// The tests.
    #[serde(default)]
    pub tests: Vec<Case>,
    #[serde(default)]
    fuzzy_compare: bool,
}

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Span(i64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        read_duration(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, if it has one.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    interval: Option<Span>,
    #[serde(default)]
    input_series: Vec<Input>,
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    promql_expr_test: Vec<ExprTest>,
    #[serde(default)]
    external_labels: BTreeMap<String, String>,
    #[serde(default)]
    external_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    series: String,
    values: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertTest {
    #[serde(default)]
    eval_time: Span,
    alertname: String,
    #[serde(default)]
    exp_alerts: Option<Vec<Expected>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(default)]
    exp_labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    exp_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExprTest {
    expr: String,
    #[serde(default)]
    eval_time: Span,
    #[serde(default)]
    exp_samples: Option<Vec<ExpectedSample>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedSample {
    #[serde(default)]
    labels: String,
    #[serde(default)]
    value: f64,
    #[serde(default)]
    histogram: Option<String>,
}

/// What a test expected and did not get.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// The alert or the expression, and when.
    pub of: String,
    /// What was expected, a line for each alert or sample.
    pub expected: Vec<String>,
    /// What there was.
    pub found: Vec<String>,
}

impl Mistake {
    fn failed(of: impl Into<String>, why: impl Into<String>) -> Self {
        Self { of: of.into(), expected: Vec::new(), found: vec![why.into()] }
    }
}

/// Evaluations that a test may take.
const LONGEST: i64 = 1_000_000;
/// The interval of evaluations and samples, if a file names none.
const MINUTE: i64 = 60_000;

impl Suite {
    /// Reads a file of tests; `name` is how problems call it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        document::lenient(name, text).map(|(suite, _)| suite)
    }

    fn interval(&self) -> i64 {
        self.evaluation_interval.filter(|span| span.0 > 0).map_or(MINUTE, |span| span.0)
    }

    /// Runs a test over these groups. It was passed if there are no mistakes.
    #[must_use]
    pub fn run(&self, test: &Case, definitions: &[(String, Definition)]) -> Vec<Mistake> {
        let memory = match Memory::new(test, self.interval()) {
            Ok(memory) => memory,
            Err(why) => return vec![Mistake::failed("input_series", why)],
        };
        let external = Labels::from_pairs(&test.external_labels);
        let context = Context {
            storage: &memory,
            external_labels: &external,
            external_url: &test.external_url,
            subquery_step: self.interval(),
            max_samples: 50_000_000,
            interrupt: &|| None,
            clock: &|| 0,
        };
        let mut groups: Vec<Group> = definitions
            .iter()
            .map(|(file, group)| Group::new(file, group.clone(), self.interval()))
            .collect();
        let place = |group: &Group| self.group_eval_order.iter().position(|name| *name == group.name);
        groups.sort_by_key(place);
        let mut mistakes = self.alerts(test, &mut groups, &memory, &context);
        memory.until.set(i64::MAX);
        mistakes.extend(test.promql_expr_test.iter().filter_map(|test| self.expression(test, &memory)));
        mistakes
    }

    /// Evaluates the groups up to the last time that is asked for, and looks at the alerts on the way.
    fn alerts(
        &self,
        test: &Case,
        groups: &mut [Group],
        memory: &Memory,
        context: &Context<'_>,
    ) -> Vec<Mistake> {
        let mut asked: Vec<&AlertTest> = test.alert_rule_test.iter().collect();
        asked.sort_by_key(|test| test.eval_time);
        let times = asked
            .iter()
            .map(|test| test.eval_time)
            .chain(test.promql_expr_test.iter().map(|test| test.eval_time));
        let end = times.max().unwrap_or_default().0;
        let step = self.interval();
        if end / step > LONGEST {
            return vec![Mistake::failed("eval_time", format!("more than {LONGEST} evaluations"))];
        }
        let mut mistakes = Vec::new();
        let mut asked = asked.into_iter().peekable();
        let mut now = 0;
        while now <= end {
            memory.until.set(now);
            for group in &mut *groups {
                group.evaluate(now, context);
                for live in &group.rules {
                    if let Health::Failed(why) = &live.health {
                        let of = format!("rule {} at {}", live.rule.name(), duration(now));
                        mistakes.push(Mistake::failed(of, why.as_str()));
                    }
                }
            }
            if !mistakes.is_empty() {
                return mistakes;
            }
            while let Some(test) = asked.next_if(|test| test.eval_time.0 < now.saturating_add(step)) {
                mistakes.extend(alert(test, groups));
            }
            now = now.saturating_add(step);
        }
        mistakes
    }

    fn expression(&self, test: &ExprTest, memory: &Memory) -> Option<Mistake> {
        let of = format!("{} at {}", test.expr, duration(test.eval_time.0));
        let answer = promql::parse(&test.expr).and_then(|expr| {
            let query = Query { subquery_step: self.interval(), ..Query::new(When::At(test.eval_time.0)) };
            promql::evaluate(&expr, &query, memory)
        });
        let mut found: Vec<(Labels, f64)> = match answer.map(|answer| answer.value) {
            Ok(Value::Vector(elements)) => elements.into_iter().map(|one| (one.labels, one.value)).collect(),
            Ok(Value::Scalar(value)) => vec![(Labels::empty(), value)],
            Ok(_) => return Some(Mistake::failed(of, "the answer is neither a vector nor a scalar")),
            Err(error) => return Some(Mistake::failed(of, error.text)),
        };
        let mut expected = Vec::new();
        for sample in test.exp_samples.iter().flatten() {
            if sample.histogram.is_some() {
                return Some(Mistake::failed(of, "a native histogram is expected; they are not supported"));
            }
            let labels = sample.labels.trim();
            let labels = if labels.is_empty() { Ok(Labels::empty()) } else { promql::read_labels(labels) };
            match labels {
                Ok(labels) => expected.push((labels, sample.value)),
                Err(error) => return Some(Mistake::failed(of, format!("{}: {}", sample.labels, error.text))),
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let close = |a: f64, b: f64| match self.fuzzy_compare {
            true => almost_equal(a, b, 1e-6),
            false => a == b || a.is_nan() && b.is_nan(),
        };
        let same = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(a, b)| a.0 == b.0 && close(a.1, b.1));
        let lines = |samples: &[(Labels, f64)]| {
            samples.iter().map(|(labels, value)| format!("{labels} {}", promql::short(*value))).collect()
        };
        (!same).then(|| Mistake { of, expected: lines(&expected), found: lines(&found) })
    }
}

/// A time of a test.
fn duration(milliseconds: i64) -> String {
    promql::duration(milliseconds)
}

/// Compares the alerts of a name that fire with those that are expected.
fn alert(test: &AlertTest, groups: &[Group]) -> Option<Mistake> {
    let live = groups.iter().flat_map(|group| &group.rules);
    let of_name =
        live.filter(|live| matches!(&live.rule.act, Act::Alert { name, .. } if *name == test.alertname));
    let firing = of_name.flat_map(|live| live.active()).filter(|alert| alert.state == State::Firing);
    let mut found: Vec<(Labels, Labels)> =
        firing.map(|alert| (alert.labels.clone(), alert.annotations.clone())).collect();
    let mut expected: Vec<(Labels, Labels)> = Vec::new();
    for one in test.exp_alerts.iter().flatten() {
        let labels = one.exp_labels.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Labels::from_pairs(labels.chain([(super::ALERT_NAME, test.alertname.as_str())]));
        expected.push((labels, Labels::from_pairs(one.exp_annotations.iter().flatten())));
    }
    found.sort();
    expected.sort();
    let lines = |alerts: &[(Labels, Labels)]| {
        let line = |(labels, annotations): &(Labels, Labels)| {
            let mut line = labels.to_string();
            if !annotations.is_empty() {
                // Writing to a string cannot fail.
                let _ = write!(line, " {annotations}");
            }
            line
        };
        alerts.iter().map(line).collect()
    };
    let of = format!("alert {} at {}", test.alertname, duration(test.eval_time.0));
    (found != expected).then(|| Mistake { of, expected: lines(&expected), found: lines(&found) })
}

/// The series of a test, and what the rules make of them.
struct Memory {
    series: RefCell<BTreeMap<Labels, Vec<Sample>>>,
    /// What is later was not yet written.
    until: Cell<i64>,
}

impl Memory {
    fn new(test: &Case, interval: i64) -> Result<Self, String> {
        let step = test.interval.filter(|span| span.0 > 0).map_or(interval, |span| span.0);
        let mut series = BTreeMap::new();
        for Input { series: metric, values } in &test.input_series {
            let read = promql::read_series(&format!("{metric} {values}"));
            let (labels, points) = read.map_err(|error| format!("{metric}: {}", error.text))?;
            let timed = (0_i64..).map(|i| i.saturating_mul(step)).zip(points);
            let mut samples = Vec::new();
            for (t, point) in timed {
                match point {
                    Point::Value(v) => samples.push(Sample { t, v }),
                    Point::Missing => {}
                    Point::Histogram => return Err(format!("{metric}: native histograms are not supported")),
                }
            }
            series.insert(labels, samples);
        }
        Ok(Self { series: RefCell::new(series), until: Cell::new(0) })
    }
}

impl Select for Memory {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let until = self.until.get();
        for (labels, samples) in &*self.series.borrow() {
            if Matcher::all(selection.matchers, labels) {
                let known = samples.partition_point(|sample| sample.t <= until);
                each(labels, samples.get(..known).unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

impl Storage for Memory {
    fn append(&self, labels: &Labels, sample: Sample) {
        let mut series = self.series.borrow_mut();
        let samples = series.entry(labels.clone()).or_default();
        // A series of the test that has the name of a rule's may have samples of later.
        let at = samples.partition_point(|known| known.t < sample.t);
        match samples.get_mut(at).filter(|known| known.t == sample.t) {
            Some(known) => *known = sample,
            None => samples.insert(at, sample),
        }
    }
}
