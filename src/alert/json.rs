//! Rules and alerts as Prometheus' HTTP API tells them. Fact: `web/api/v1/api.go` of Prometheus.

use serde_json::{Map, Value as Json, json};

use super::group::{Group, Live};
use super::rule::{Act, Health};
use super::state::{Alert, State};
use super::template::Template;
use crate::promql::{Labels, exponent, moment_ms, number};

/// Which rules are asked for. What is empty restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct RuleFilter {
    /// Alerting rules alone, or recording rules alone.
    pub alerting: Option<bool>,
    /// Names of rules.
    pub names: Vec<String>,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Files of rules.
    pub files: Vec<String>,
    /// Whether alerts are left out.
    pub without_alerts: bool,
}

fn labels(labels: &Labels) -> Json {
    Json::Object(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

/// A number as Go's `strconv.FormatFloat(value, 'e', -1, 64)` writes it.
fn value(of: f64) -> String {
    if of.is_finite() { exponent(of) } else { number(of) }
}

/// One alert.
#[must_use]
pub fn alert(alert: &Alert) -> Json {
    let mut fields = json!({
        "labels": labels(&alert.labels),
        "annotations": labels(&alert.annotations),
        "state": alert.state.as_str(),
        "activeAt": moment_ms(alert.active_at),
        "value": value(alert.value),
    });
    if let (Some(since), Json::Object(fields)) = (alert.kept_since, &mut fields) {
        fields.insert("keepFiringSince".into(), moment_ms(since).into());
    }
    fields
}

/// The alerts of a group that are pending or firing.
pub fn alerts(group: &Group) -> impl Iterator<Item = Json> {
    group.rules.iter().flat_map(Live::active).map(alert)
}

/// A group, if one of its rules is asked for.
#[must_use]
pub fn group(group: &Group, wanted: &RuleFilter) -> Option<Json> {
    let named = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
    if !named(&wanted.groups, &group.name) || !named(&wanted.files, &group.file) {
        return None;
    }
    let of_kind = |live: &&Live| {
        let alerting = matches!(live.rule.act, Act::Alert { .. });
        wanted.alerting.is_none_or(|wanted| wanted == alerting) && named(&wanted.names, live.rule.name())
    };
    let rules: Vec<Json> = group.rules.iter().filter(of_kind).map(|live| rule(live, wanted)).collect();
    if rules.is_empty() && !(group.rules.is_empty() && wanted.alerting.is_none() && wanted.names.is_empty()) {
        return None;
    }
    let last = group.rules.iter().filter_map(|live| live.evaluated_at).max();
    Some(json!({
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": group.interval as f64 / 1000.0,
        "limit": group.limit,
        "evaluationTime": group.rules.iter().map(|live| live.seconds).sum::<f64>(),
        "lastEvaluation": evaluation(last),
    }))
}

/// A time of an evaluation; that of Go's zero if there was none.
fn evaluation(at: Option<i64>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".into(), moment_ms)
}

fn rule(live: &Live, wanted: &RuleFilter) -> Json {
    let templates = |all: &[(String, Template)]| -> Json {
        Json::Object(all.iter().map(|(name, template)| (name.clone(), template.text().into())).collect())
    };
    let mut fields = Map::new();
    fields.insert("name".into(), live.rule.name().into());
    fields.insert("query".into(), live.rule.text.trim().into());
    fields.insert("health".into(), live.health.as_str().into());
    fields.insert("evaluationTime".into(), live.seconds.into());
    fields.insert("lastEvaluation".into(), evaluation(live.evaluated_at).into());
    if let Health::Failed(why) = &live.health {
        fields.insert("lastError".into(), why.as_str().into());
    }
    match &live.rule.act {
        Act::Record(_) => {
            if !live.rule.labels.is_empty() {
                fields.insert("labels".into(), templates(&live.rule.labels));
            }
            fields.insert("type".into(), "recording".into());
        }
        Act::Alert { hold, keep_firing, annotations, .. } => {
            let state = live.active().map(|alert| alert.state).max().unwrap_or(State::Inactive);
            fields.insert("state".into(), state.as_str().into());
            fields.insert("duration".into(), (*hold as f64 / 1000.0).into());
            fields.insert("keepFiringFor".into(), (*keep_firing as f64 / 1000.0).into());
            fields.insert("labels".into(), templates(&live.rule.labels));
            fields.insert("annotations".into(), templates(annotations));
            let alerts = if wanted.without_alerts { Vec::new() } else { live.active().map(alert).collect() };
            fields.insert("alerts".into(), Json::Array(alerts));
            fields.insert("type".into(), "alerting".into());
        }
    }
    Json::Object(fields)
}
