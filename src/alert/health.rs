//! One verdict over everything that is watched: the components, and the alerts that fire about them. Pure.
//!
//! The limits, exceptions and times of waiting are those of the alerts: a board that is meant to be silent is healthy here as well.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::rule::{Act, Health};
use super::{ALERT_NAME, Group, State};
use crate::catalog::health::{COMPONENTS, Component};
use crate::promql::{Labels, moment_ms, read_moment};

/// How something is, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// No alert fires about it.
    #[default]
    Healthy,
    /// Nobody knows: no rule was evaluated.
    Unknown,
    /// An alert fires about it.
    Degraded,
    /// An alert of the severity `critical` fires about it.
    Unhealthy,
}

impl Status {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The whole verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Health")]
pub struct Verdict {
    /// That of the worst component.
    pub status: Status,
    /// When it was found: RFC 3339.
    pub time: String,
    /// The server whose alerts these are, where the agent evaluates none itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_by: Option<String>,
    /// Every component, the worst first.
    pub components: Vec<ComponentHealth>,
    /// The objectives, where something runs that has one.
    pub objectives: Vec<ObjectiveHealth>,
    /// What keeps the verdict from being complete.
    pub notes: Vec<String>,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentHealth {
    /// What it is: `device`.
    pub component: String,
    /// Which one; empty if there is one alone.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<Reason>,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Its name.
    pub alert: String,
    /// Its severity.
    pub severity: String,
    /// Its priority: P0 to P3.
    pub priority: String,
    /// Since when it fires: RFC 3339.
    pub since: String,
    /// What it says.
    pub summary: String,
}

/// How an objective is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectiveHealth {
    /// What it asks.
    pub objective: String,
    /// The pipeline and the stage, or the probe.
    pub name: String,
    /// The share that has to be kept.
    pub target: f64,
    /// The share that was kept.
    pub kept: f64,
    /// The share of what may miss the objective that is left; negative if more did.
    pub budget_left: f64,
    /// Over which time, as far as the history reaches: `30d`.
    pub window: String,
}

/// A server that evaluates the agent's rules in its place, and what it says of them.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// Where it is, as it may be shown.
    pub server: String,
    /// What it says, or why nothing is known of it.
    pub said: Result<ServerRules, String>,
}

/// What a server says of the rules that it evaluates.
#[derive(Clone, Debug, Default)]
pub struct ServerRules {
    rules: Rules,
    firing: Vec<Firing>,
}

/// An alert that fires there.
#[derive(Clone, Debug)]
struct Firing {
    labels: Labels,
    annotations: Labels,
    since: i64,
}

impl ServerRules {
    /// Reads what `/api/v1/rules` gives: of the alerts with these names, those of this job and instance. Nothing if it is no such answer.
    #[must_use]
    pub fn read(data: &Json, known: &BTreeSet<String>, job: &str, instance: &str) -> Option<Self> {
        let text = |of: &Json, name: &str| of.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let list = |of: &Json, name: &str| of.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
        let labels = |of: &Json, name: &str| {
            let pairs = of.get(name).and_then(Json::as_object).into_iter().flatten();
            Labels::from_pairs(pairs.filter_map(|(name, value)| Some((name, value.as_str()?))))
        };
        let mut said = Self::default();
        for group in data.get("groups")?.as_array()? {
            for rule in list(group, "rules") {
                if text(&rule, "type") != "alerting" || !known.contains(&text(&rule, "name")) {
                    continue;
                }
                said.rules.all += 1;
                let health = text(&rule, "health");
                said.rules.not_yet += usize::from(health == "unknown");
                said.rules.failing += usize::from(health == "err");
                for alert in list(&rule, "alerts") {
                    let of = labels(&alert, "labels");
                    let ours = of.get("job") == job && of.get("instance") == instance;
                    if ours && text(&alert, "state") == "firing" {
                        let since = read_moment(&text(&alert, "activeAt")).unwrap_or_default();
                        let annotations = labels(&alert, "annotations");
                        said.firing.push(Firing { labels: of, annotations, since });
                    }
                }
            }
        }
        Some(said)
    }

    /// Whether it evaluates none of these rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.all == 0
    }
}

/// Collects what a verdict is made of.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// By place in the list of kinds, kind and name.
    components: BTreeMap<(usize, String, String), (Status, Vec<Reason>)>,
    rules: Rules,
    /// Who evaluates in the agent's place, and why nothing is known of that.
    elsewhere: Option<(String, Option<String>)>,
}

/// How many rules there are.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    all: usize,
    not_yet: usize,
    failing: usize,
}

impl Judge {
    /// There is a component with these labels.
    pub fn present(&mut self, component: &'static Component, labels: &Labels) {
        self.components.entry(key(component, labels)).or_default();
    }

    /// Takes the alerts of a group.
    pub fn take(&mut self, group: &Group) {
        let alerting = group.rules.iter().filter(|live| matches!(live.rule.act, Act::Alert { .. }));
        for live in alerting {
            self.rules.all += 1;
            self.rules.not_yet += usize::from(live.health == Health::Unknown);
            self.rules.failing += usize::from(matches!(live.health, Health::Failed(_)));
            for alert in live.active().filter(|alert| alert.state == State::Firing) {
                self.fires(&alert.labels, &alert.annotations, alert.fired_at.unwrap_or(alert.active_at));
            }
        }
    }

    /// Takes what a server says that evaluates in the agent's place.
    pub fn hear(&mut self, elsewhere: &Elsewhere) {
        let why = match &elsewhere.said {
            Ok(said) => {
                self.rules.all += said.rules.all;
                self.rules.not_yet += said.rules.not_yet;
                self.rules.failing += said.rules.failing;
                for Firing { labels, annotations, since } in &said.firing {
                    self.fires(labels, annotations, *since);
                }
                None
            }
            Err(why) => Some(why.clone()),
        };
        self.elsewhere = Some((elsewhere.server.clone(), why));
    }

    fn fires(&mut self, labels: &Labels, annotations: &Labels, since: i64) {
        let severity = labels.get("severity");
        let status = match severity {
            "info" | "none" => return,
            "critical" => Status::Unhealthy,
            _ => Status::Degraded,
        };
        let (name, summary) = (labels.get(ALERT_NAME), annotations.get("summary"));
        let page = labels.get("component");
        let key = match COMPONENTS.iter().find(|component| component.pages.contains(&page)) {
            Some(component) => key(component, labels),
            // A rule of the user's own.
            None => {
                (COMPONENTS.len(), if page.is_empty() { "rule" } else { page }.to_owned(), name.to_owned())
            }
        };
        let (worst, reasons) = self.components.entry(key).or_default();
        *worst = status.max(*worst);
        reasons.push(Reason {
            alert: name.to_owned(),
            severity: severity.to_owned(),
            priority: labels.get("priority").to_owned(),
            since: moment_ms(since),
            summary: if summary.is_empty() { name } else { summary }.to_owned(),
        });
    }

    /// What everything is at least: what no rule looked at is not healthy.
    fn least(&self) -> Status {
        let Rules { all, not_yet, failing } = self.rules;
        if not_yet + failing == all { Status::Unknown } else { Status::Healthy }
    }

    /// That of the worst component. A rule that fails may hide a worse one.
    #[must_use]
    pub fn status(&self) -> Status {
        let failing = if self.rules.failing > 0 { Status::Degraded } else { Status::Healthy };
        self.components.values().map(|(status, _)| *status).fold(self.least().max(failing), Status::max)
    }

    /// The verdict, found at this time in milliseconds.
    #[must_use]
    pub fn verdict(self, at: i64) -> Verdict {
        let (least, status) = (self.least(), self.status());
        let Rules { all, not_yet, failing } = self.rules;
        let judged = |((_, component, name), (status, reasons))| ComponentHealth {
            component,
            name,
            status: least.max(status),
            reasons,
        };
        let mut components: Vec<ComponentHealth> = self.components.into_iter().map(judged).collect();
        // Those that are alike stay in the order of the kinds.
        components.sort_by_key(|one| std::cmp::Reverse(one.status));
        let mut notes = Vec::new();
        let (evaluated_by, unheard) = self.elsewhere.unzip();
        if let (Some(server), Some(Some(why))) = (&evaluated_by, &unheard) {
            notes.push(format!("the alerts are evaluated by {server}, so nobody knows: {why}"));
        } else if all == 0 {
            notes
                .push("the agent evaluates no alerts, so nobody knows; set alerts.evaluate: true".to_owned());
        } else if not_yet == all {
            notes.push("the alerts were not evaluated yet".to_owned());
        }
        if failing > 0 {
            let server = evaluated_by.as_deref().unwrap_or_default();
            notes.push(format!("{failing} of {all} alerts cannot be evaluated: see {server}/api/v1/rules"));
        }
        Verdict { status, time: moment_ms(at), evaluated_by, components, objectives: Vec::new(), notes }
    }
}

/// Where a component stands.
fn key(component: &Component, labels: &Labels) -> (usize, String, String) {
    let values: Vec<&str> =
        component.labels.iter().map(|label| labels.get(label)).filter(|value| !value.is_empty()).collect();
    let place = COMPONENTS.iter().position(|other| other.name == component.name).unwrap_or(COMPONENTS.len());
    (place, component.name.to_owned(), values.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Memory;
    use super::super::tests::{evaluate, group};
    use super::*;
    use crate::catalog;
    use crate::promql::read_labels;

    /// An alert of each kind, whose expression is the series of its name.
    fn rules() -> Group {
        let rule = |name: &str, severity: &str, component: &str| {
            format!(
                "  - alert: {name}\n    expr: {name} > 0\n    labels: {{severity: {severity}, component: {component}}}\n    \
                 annotations: {{summary: '{name} of {{{{ $labels.device }}}}'}}\n"
            )
        };
        let rules = [
            rule("silent", "critical", "device"),
            rule("noisy", "medium", "signal"),
            rule("told", "info", "device"),
            rule("own", "high", "''"),
        ];
        group(&format!("groups:\n- name: a\n  rules:\n{}", rules.concat()))
    }

    fn judged(group: &Group) -> Verdict {
        let mut judge = Judge::default();
        for (component, labels) in
            [("device", "{device=\"cyton\"}"), ("device", "{device=\"other\"}"), ("host", "{}")]
        {
            let component = COMPONENTS.iter().find(|one| one.name == component).unwrap();
            judge.present(component, &read_labels(labels).unwrap());
        }
        judge.take(group);
        assert_eq!(judge.status(), judge.clone().verdict(0).status);
        judge.verdict(60_000)
    }

    fn listed(verdict: &Verdict) -> Vec<(&str, &str, Status, usize)> {
        verdict.components.iter().map(|c| (&*c.component, &*c.name, c.status, c.reasons.len())).collect()
    }

    #[test]
    fn what_no_rule_looked_at_is_unknown() {
        let verdict = Judge::default().verdict(0);
        assert_eq!((verdict.status, verdict.notes.len()), (Status::Unknown, 1));
        let verdict = judged(&rules());
        assert_eq!(verdict.status, Status::Unknown);
        assert!(verdict.components.iter().all(|one| one.status == Status::Unknown), "{verdict:?}");
        assert_eq!(verdict.notes, ["the alerts were not evaluated yet"]);
    }

    #[test]
    fn the_worst_alert_of_a_component_says_how_it_is() {
        let (mut group, memory) = (rules(), Memory::default());
        evaluate(&mut group, 0, &memory);
        let verdict = judged(&group);
        assert_eq!((verdict.status, verdict.notes.len()), (Status::Healthy, 0));
        assert_eq!(verdict.components.len(), 3);
        for (series, value) in [
            ("noisy{device=\"cyton\"}", 1.0),
            ("told{device=\"other\"}", 1.0),
            ("own{unit=\"x\"}", 1.0),
            ("silent{device=\"gone\"}", 0.0),
        ] {
            memory.set(series, 30, value);
        }
        evaluate(&mut group, 30, &memory);
        let verdict = judged(&group);
        assert_eq!(verdict.status, Status::Degraded);
        let expected = [
            ("device", "cyton", Status::Degraded, 1),
            ("rule", "own", Status::Degraded, 1),
            ("device", "other", Status::Healthy, 0),
            ("host", "", Status::Healthy, 0),
        ];
        assert_eq!(listed(&verdict), expected);
        // What is no longer there is listed for as long as its alert fires.
        memory.set("silent{device=\"gone\"}", 60, 1.0);
        memory.set("silent{device=\"cyton\"}", 60, 1.0);
        evaluate(&mut group, 60, &memory);
        let verdict = judged(&group);
        assert_eq!(verdict.status, Status::Unhealthy);
        assert_eq!(
            listed(&verdict)[..2],
            [("device", "cyton", Status::Unhealthy, 2), ("device", "gone", Status::Unhealthy, 1)]
        );
        let reason = &verdict.components[1].reasons[0];
        assert_eq!(
            (&*reason.summary, &*reason.severity, &*reason.since),
            ("silent of gone", "critical", "1970-01-01T00:01:00.000Z")
        );
    }

    #[test]
    fn what_another_server_says_counts_for_this_agent_alone() {
        let alert = |instance: &str, state: &str| {
            serde_json::json!({
                "labels": {"alertname": "silent", "severity": "critical", "component": "device", "device": "cyton",
                           "job": "neural", "instance": instance},
                "annotations": {"summary": "away"}, "state": state, "activeAt": "2026-11-30T10:00:00.5Z"
            })
        };
        let rule = |name: &str, health: &str, alerts: Vec<Json>| serde_json::json!({"type": "alerting", "name": name, "health": health, "alerts": alerts});
        let heard = |rules: Vec<Json>| {
            let data = serde_json::json!({"groups": [{"rules": rules}]});
            let known = ["silent", "other"].map(str::to_owned).into();
            let said = ServerRules::read(&data, &known, "neural", "a:1").unwrap();
            let mut judge = Judge::default();
            judge.hear(&Elsewhere { server: "http://p".to_owned(), said: Ok(said) });
            judge.verdict(0)
        };
        let verdict =
            heard(vec![rule("silent", "ok", vec![alert("b:1", "firing"), alert("a:1", "pending")])]);
        assert_eq!((verdict.status, verdict.evaluated_by.as_deref()), (Status::Healthy, Some("http://p")));
        let verdict = heard(vec![rule("silent", "ok", vec![alert("a:1", "firing")])]);
        assert_eq!(listed(&verdict), [("device", "cyton", Status::Unhealthy, 1)]);
        assert_eq!(verdict.components[0].reasons[0].since, "2026-11-30T10:00:00.500Z");
        // Rules of others, and rules that were not evaluated or cannot be.
        for (rules, status, note) in [
            (vec![rule("theirs", "ok", vec![])], Status::Unknown, "the agent evaluates no alerts"),
            (vec![rule("silent", "unknown", vec![])], Status::Unknown, "the alerts were not evaluated yet"),
            (
                vec![rule("silent", "ok", vec![]), rule("other", "err", vec![])],
                Status::Degraded,
                "1 of 2 alerts cannot be evaluated: see http://p/api/v1/rules",
            ),
        ] {
            let verdict = heard(rules);
            assert_eq!(verdict.status, status);
            assert!(verdict.notes[0].starts_with(note), "{:?}", verdict.notes);
        }
        let mut judge = Judge::default();
        judge.hear(&Elsewhere { server: "http://p".to_owned(), said: Err("it is away".to_owned()) });
        let verdict = judge.verdict(0);
        assert_eq!(verdict.status, Status::Unknown);
        assert_eq!(verdict.notes, ["the alerts are evaluated by http://p, so nobody knows: it is away"]);
        assert!(ServerRules::read(&serde_json::json!({"alerts": []}), &BTreeSet::new(), "", "").is_none());
    }

    #[test]
    fn a_rule_that_fails_hides_nothing() {
        let text = "groups:\n- name: a\n  rules:\n  - {alert: Fine, expr: a > 0}\n  - {alert: Fails, expr: 'a + on () group_left () b'}\n";
        let (mut group, memory) = (group(text), Memory::default());
        for series in ["a{n=\"1\"}", "b{n=\"1\"}", "b{n=\"2\"}"] {
            memory.set(series, 0, 0.0);
        }
        evaluate(&mut group, 0, &memory);
        let verdict = judged(&group);
        assert_eq!(verdict.status, Status::Degraded);
        assert!(verdict.notes[0].starts_with("1 of 2 alerts cannot be evaluated"), "{:?}", verdict.notes);
    }

    /// A row that names a page, a label or a metric that is not there would make a component that is always healthy.
    #[test]
    fn the_rows_name_what_there_is() {
        let pages: Vec<&catalog::Page> = catalog::PAGES.iter().chain(catalog::OWN).copied().collect();
        for component in COMPONENTS {
            let of_page = |page: &&&catalog::Page| component.pages.contains(&page.id);
            let metrics: Vec<_> = pages.iter().filter(of_page).flat_map(|page| page.metrics).collect();
            let stem = component
                .present
                .trim_end_matches("_count")
                .trim_end_matches("_info")
                .trim_end_matches("_total");
            let metric = metrics.iter().find(|metric| metric.family() == stem);
            let metric =
                metric.unwrap_or_else(|| panic!("{} is on no page of {}", component.present, component.name));
            let known = component.labels.iter().any(|label| metric.labels.contains(label));
            assert!(
                known || component.labels.is_empty(),
                "{} has none of {:?}",
                component.present,
                component.labels
            );
        }
        for chapter in catalog::alert::CHAPTERS {
            let rows = COMPONENTS.iter().filter(|component| component.pages.contains(&chapter.page)).count();
            assert_eq!(
                rows, 1,
                "alerts of the page {} belong to one kind of component: a row of catalog/health.rs",
                chapter.page
            );
        }
    }
}
