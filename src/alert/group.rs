//! A group of rules and its evaluation, in order, at one time.

use std::collections::{BTreeMap, BTreeSet};

use super::file::Definition;
use super::rule::{Act, Health, Rule};
use super::state::{Alert, Alerts, State, Times};
use super::template::{Data, Template};
use super::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE};
use crate::event::Jump;
use crate::promql::{self, Element, Interrupt, Labels, NAME, Query, STALE, Sample, Select, Value, When};

/// Where rules look, and where what comes of them is put.
pub trait Storage: Select {
    /// Adds a sample. A rule sees what the rules before it in its group added.
    fn append(&self, labels: &Labels, sample: Sample);
}

/// How rules are evaluated.
pub struct Context<'a> {
    /// What they look at.
    pub storage: &'a dyn Storage,
    /// Labels of the whole server, for templates.
    pub external_labels: &'a Labels,
    /// The address under which people reach it, for templates.
    pub external_url: &'a str,
    /// The step of a subquery that names none, in milliseconds.
    pub subquery_step: i64,
    /// How many values a query may hold at once.
    pub max_samples: usize,
    /// Ends an evaluation that takes too long.
    pub interrupt: &'a dyn Fn() -> Option<Interrupt>,
    /// Nanoseconds of a clock that never goes back, for what an evaluation took.
    pub clock: &'a dyn Fn() -> u64,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("external_url", &self.external_url).finish_non_exhaustive()
    }
}

/// A rule and what is known of it.
#[derive(Debug)]
pub struct Live {
    /// The rule.
    pub rule: Rule,
    /// How its last evaluation went.
    pub health: Health,
    /// When it was last evaluated, in milliseconds.
    pub evaluated_at: Option<i64>,
    /// Seconds that its last evaluation took.
    pub seconds: f64,
    alerts: Alerts,
    /// The series that its last evaluation made.
    series: BTreeMap<Labels, f64>,
}

/// A group of rules with their states.
#[derive(Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The file it is from, for people.
    pub file: String,
    /// Milliseconds from one evaluation to the next.
    pub interval: i64,
    /// How many milliseconds in the past its rules look.
    pub offset: i64,
    /// How many series or alerts a rule may have; 0 for any number.
    pub limit: usize,
    /// Its rules.
    pub rules: Vec<Live>,
}

impl Group {
    /// A group before its first evaluation; `interval` is that of groups that name none.
    #[must_use]
    pub fn new(file: &str, definition: Definition, interval: i64) -> Self {
        let live = |rule| Live {
            rule,
            health: Health::Unknown,
            evaluated_at: None,
            alerts: Alerts::default(),
            series: BTreeMap::new(),
            seconds: 0.0,
        };
        Self {
            name: definition.name,
            file: file.to_owned(),
            interval: definition.interval.unwrap_or(interval),
            offset: definition.offset.unwrap_or(0),
            limit: definition.limit,
            rules: definition.rules.into_iter().map(live).collect(),
        }
    }

    /// Evaluates all rules at a time. How it went is in their [`Live::health`].
    pub fn evaluate(&mut self, now: i64, context: &Context<'_>) {
        let at = now.saturating_sub(self.offset);
        for live in &mut self.rules {
            live.look(now, at, self.limit, context);
        }
    }

    /// Evaluates the rules whose place is true, in their order. What the others made the last time is there again.
    pub fn evaluate_some(&mut self, now: i64, context: &Context<'_>, wanted: &[bool]) {
        let at = now.saturating_sub(self.offset);
        for (live, wanted) in self.rules.iter_mut().zip(wanted) {
            if *wanted {
                live.look(now, at, self.limit, context);
            } else {
                live.repeat(now, context.storage);
            }
        }
    }

    /// When a rule is to be evaluated again, though no time of the group has come: a time of waiting ends.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        self.rules.iter().filter_map(|live| live.alerts.due(live.times(self.limit)?)).min()
    }

    /// Adds to a scrape between two evaluations what the last one made.
    pub fn repeat(&self, now: i64, storage: &dyn Storage) {
        self.rules.iter().for_each(|live| live.repeat(now, storage));
    }

    /// Takes over an alert as it was when its state was kept, if there is such a rule still.
    pub fn restore(&mut self, rule: &str, alert: Alert) {
        // Rules of one name, of two severities, tell their alerts apart by labels of their own.
        let own = |live: &&mut Live| live.rule.name() == rule && live.makes(&alert.labels);
        if let Some(live) = self.rules.iter_mut().find(own) {
            live.alerts.insert(alert);
        }
    }

    /// Moves the times of all alerts: the clock was set.
    pub fn shift(&mut self, jump: &Jump) {
        for live in &mut self.rules {
            live.alerts.iter_mut().for_each(|alert| alert.shift(jump));
            live.evaluated_at.iter_mut().for_each(|at| jump.shift(at));
        }
    }
}

impl Live {
    /// Its alerts, those that are over for a quarter of an hour among them.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter()
    }

    /// Its alerts that are pending or firing.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.state != State::Inactive)
    }

    /// The alerts that are to be sent at `now`, marked as sent then.
    pub fn sent(&mut self, now: i64, resend: i64) -> Vec<Alert> {
        let due = self.alerts.iter_mut().filter(|alert| alert.needs_sending(now, resend));
        due.map(|alert| {
            alert.sent_at = Some(now);
            alert.clone()
        })
        .collect()
    }

    /// Whether an alert with these labels may be one of this rule: the labels that it adds as they are written are there.
    fn makes(&self, labels: &Labels) -> bool {
        let fixed = |(name, template): &(String, Template)| match template {
            Template::Plain(value) => labels.get(name) == value,
            Template::Nodes(_) => true,
        };
        self.rule.labels.iter().all(fixed)
    }

    fn times(&self, limit: usize) -> Option<Times> {
        match self.rule.act {
            Act::Alert { hold, keep_firing, .. } => Some(Times { hold, keep_firing, limit }),
            Act::Record(_) => None,
        }
    }

    fn repeat(&self, now: i64, storage: &dyn Storage) {
        for (labels, v) in &self.series {
            storage.append(labels, Sample { t: now, v: *v });
        }
    }

    /// Evaluates it, and remembers how that went.
    fn look(&mut self, now: i64, at: i64, limit: usize, context: &Context<'_>) {
        let began = (context.clock)();
        self.health = match self.evaluate(now, at, limit, context) {
            Ok(()) => Health::Ok,
            Err(why) => Health::Failed(why),
        };
        self.evaluated_at = Some(now);
        self.seconds = (context.clock)().saturating_sub(began) as f64 / 1e9;
    }

    fn evaluate(&mut self, now: i64, at: i64, limit: usize, context: &Context<'_>) -> Result<(), String> {
        let answer = query(&self.rule.expr, at, context)?;
        let written = match (&self.rule.act, self.times(limit)) {
            (Act::Record(name), _) => record(&self.rule, name, answer, limit)?,
            (Act::Alert { name, annotations, .. }, Some(times)) => {
                let found = found(&self.rule, name, annotations, answer, now, at, context)?;
                self.alerts.advance(now, found, times)?;
                self.active().flat_map(series_of).collect()
            }
            (Act::Alert { .. }, None) => Vec::new(),
        };
        let mut series = BTreeMap::new();
        for (labels, v) in written {
            context.storage.append(&labels, Sample { t: at, v });
            series.insert(labels, v);
        }
        // What was there before and is not any more.
        for labels in self.series.keys().filter(|labels| !series.contains_key(*labels)) {
            context.storage.append(labels, Sample { t: at, v: STALE });
        }
        self.series = series;
        Ok(())
    }
}

/// The series of an active alert.
fn series_of(alert: &Alert) -> [(Labels, f64); 2] {
    let state = [(NAME, ALERTS), ("alertstate", alert.state.as_str())];
    let since = [(NAME, ALERTS_FOR_STATE)];
    // Prometheus writes whole seconds.
    let seconds = alert.active_at.div_euclid(1000) as f64;
    [(alert.labels.with(&state), 1.0), (alert.labels.with(&since), seconds)]
}

fn query(expr: &promql::Expr, at: i64, context: &Context<'_>) -> Result<Vec<Element>, String> {
    let query = Query {
        subquery_step: context.subquery_step,
        max_samples: context.max_samples,
        interrupt: context.interrupt,
        ..Query::new(When::At(at))
    };
    let answer = promql::evaluate(expr, &query, context.storage).map_err(|error| error.text)?;
    match answer.value {
        Value::Vector(elements) => Ok(elements),
        Value::Scalar(value) => Ok(vec![Element { labels: Labels::empty(), value }]),
        Value::Text(_) | Value::Matrix(_) => Err("rule result is not a vector or scalar".into()),
    }
}

fn record(rule: &Rule, name: &str, answer: Vec<Element>, limit: usize) -> Result<Vec<(Labels, f64)>, String> {
    let mut changes = vec![(NAME, name)];
    for (label, value) in &rule.labels {
        if let Template::Plain(value) = value {
            changes.push((label, value));
        }
    }
    let mut seen = BTreeSet::new();
    let mut written = Vec::with_capacity(answer.len());
    for Element { labels, value } in answer {
        let labels = labels.with(&changes);
        if !seen.insert(labels.clone()) {
            return Err("vector contains metrics with the same labelset after applying rule labels".into());
        }
        written.push((labels, value));
    }
    if limit > 0 && written.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", written.len()));
    }
    Ok(written)
}

/// The alerts that an answer stands for.
fn found(
    rule: &Rule,
    name: &str,
    annotations: &[(String, Template)],
    answer: Vec<Element>,
    now: i64,
    at: i64,
    context: &Context<'_>,
) -> Result<BTreeMap<Labels, Alert>, String> {
    let ask = |text: &str| {
        let expr = promql::parse(text).map_err(|error| error.text)?;
        query(&expr, at, context)
    };
    let mut found = BTreeMap::new();
    for Element { labels, value } in answer {
        let data = Data {
            labels: &labels,
            value,
            external_labels: context.external_labels,
            external_url: context.external_url,
            now,
            query: &ask,
        };
        let expand = |(name, template): &(String, Template)| {
            let text = template.expand(&data);
            (name.clone(), text.unwrap_or_else(|why| format!("<error expanding template: {why}>")))
        };
        let added: Vec<(String, String)> = rule.labels.iter().map(expand).collect();
        let changes =
            [(NAME, "")].into_iter().chain(added.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let changes: Vec<(&str, &str)> = changes.chain([(ALERT_NAME, name)]).collect();
        let alert = Alert {
            state: State::Pending,
            labels: labels.with(&changes),
            annotations: Labels::from_pairs(annotations.iter().map(expand)),
            value,
            active_at: now,
            fired_at: None,
            resolved_at: None,
            kept_since: None,
            sent_at: None,
        };
        if found.insert(alert.labels.clone(), alert).is_some() {
            return Err("vector contains metrics with the same labelset after applying alert labels".into());
        }
    }
    Ok(found)
}
