//! Rules of Prometheus as rules of Grafana, through its provisioning API: for servers that cannot import them.
//!
//! Each rule has the three nodes that make Grafana judge as Prometheus does: a series that is there, fires. Recording
//! rules stay with Prometheus. The content is compared in a short form from which the long one follows.

use serde_json::{Map, Value, json};
use serde_yaml::Value as Yaml;

use super::Place;
use crate::provision::Bundle;
use crate::provision::client::{Ask, escape};
use crate::provision::mark::hash;
use crate::provision::plan::{Action, Found, Kind, Step, Wanted};
use crate::provision::ruler::span;

/// The annotation that has our mark.
const MARK: &str = "neural_exporter_mark";
/// Seconds between two evaluations where a group does not say so.
const INTERVAL: u64 = 60;

pub(super) fn wanted(bundle: &Bundle, source: &str) -> Vec<Wanted> {
    let groups: Vec<_> = bundle.rules.iter().flat_map(|file| &file.groups).collect();
    let mut titles: Vec<String> = Vec::new();
    let mut wanted = Vec::new();
    for group in groups {
        let rules = group.value.get("rules").and_then(Yaml::as_sequence);
        let alerts = rules.into_iter().flatten().filter(|rule| rule.get("alert").is_some());
        let rules: Vec<Value> = alerts.map(|rule| short(rule, &group.name, source, &mut titles)).collect();
        if rules.is_empty() {
            continue;
        }
        let interval = group.value.get("interval").and_then(Yaml::as_str).map(span);
        let interval = interval.and_then(|text| text.strip_suffix('s')?.parse().ok()).unwrap_or(INTERVAL);
        let text = text(interval, &rules);
        wanted.push(Wanted { kind: Kind::RuleGroup, name: group.name.clone(), text });
    }
    wanted
}

fn text(interval: u64, rules: &[Value]) -> String {
    let group = json!({"interval": interval, "rules": rules});
    format!("{}\n", serde_json::to_string_pretty(&group).unwrap_or_default())
}

/// A rule of Prometheus in the short form. Titles are unique in a folder.
fn short(rule: &Yaml, group: &str, source: &str, titles: &mut Vec<String>) -> Value {
    let word = |key: &str| rule.get(key).and_then(Yaml::as_str).unwrap_or_default();
    let map = |key: &str| {
        serde_json::to_value(rule.get(key)).ok().filter(Value::is_object).unwrap_or_else(|| json!({}))
    };
    let severity = rule.get("labels").and_then(|labels| labels.get("severity")?.as_str()).unwrap_or_default();
    let mut title = word("alert").to_owned();
    for number in 1.. {
        if !titles.contains(&title) {
            break;
        }
        title = if number == 1 && !severity.is_empty() {
            format!("{} ({severity})", word("alert"))
        } else {
            format!("{} ({severity} {number})", word("alert"))
        };
    }
    titles.push(title.clone());
    let spans = |key: &str| if word(key).is_empty() { "0s".to_owned() } else { span(word(key)) };
    json!({
        "uid": format!("nx-{}", hash(&format!("{group}\n{title}"))),
        "title": title,
        "expr": word("expr"),
        "datasource": source,
        "for": spans("for"),
        "keep_firing_for": spans("keep_firing_for"),
        "labels": map("labels"),
        "annotations": map("annotations"),
    })
}

/// The short form of what a server has, without our mark.
fn shorten(rule: &Value) -> Value {
    let of = |key: &str| rule.get(key).cloned().unwrap_or_default();
    let map = |key: &str| rule.get(key).filter(|map| map.is_object()).cloned().unwrap_or_else(|| json!({}));
    let spans = |key: &str| {
        let text = rule.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map_or_else(|| "0s".to_owned(), span)
    };
    let mut annotations = map("annotations");
    if let Some(map) = annotations.as_object_mut() {
        map.remove(MARK);
    }
    let query = rule.pointer("/data/0").cloned().unwrap_or_default();
    let mut short = json!({
        "uid": of("uid"),
        "title": of("title"),
        "expr": query.pointer("/model/expr").cloned().unwrap_or_default(),
        "datasource": query.get("datasourceUid").cloned().unwrap_or_default(),
        "for": spans("for"),
        "keep_firing_for": spans("keep_firing_for"),
        "labels": map("labels"),
        "annotations": annotations,
    });
    // What we never set says that somebody edited it.
    let paused = rule.get("isPaused").and_then(Value::as_bool) == Some(true);
    let usual =
        rule.get("noDataState") == Some(&"OK".into()) && rule.get("execErrState") == Some(&"Error".into());
    if let Some(map) = short.as_object_mut().filter(|_| paused || !usual) {
        map.insert("edited".to_owned(), json!(true));
    }
    short
}

/// The long form of a rule, with every default written out.
fn expand(short: &Value, group: &str, folder: &str, mark: &str) -> Value {
    let of = |key: &str| short.get(key).cloned().unwrap_or_default();
    let mut annotations =
        short.get("annotations").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    annotations.insert(MARK.to_owned(), json!(mark));
    let range = json!({"from": 600, "to": 0});
    let node = |name: &str, kind: &str, expression: &str, conditions: Value| {
        let mut model = json!({"refId": name, "type": kind, "expression": expression, "intervalMs": 1000,
            "maxDataPoints": 43200, "datasource": {"type": "__expr__", "uid": "__expr__"}});
        if let Some(map) = model.as_object_mut().filter(|_| !conditions.is_null()) {
            map.insert("conditions".to_owned(), conditions);
        }
        json!({"refId": name, "queryType": "", "relativeTimeRange": range, "datasourceUid": "__expr__", "model": model})
    };
    let query = json!({
        "refId": "query",
        "queryType": "",
        "relativeTimeRange": range,
        "datasourceUid": of("datasource"),
        "model": {"refId": "query", "expr": of("expr"), "instant": true, "range": false, "intervalMs": 1000,
            "maxDataPoints": 43200, "datasource": {"type": "prometheus", "uid": of("datasource")}},
    });
    let there = "is_number($query) || is_nan($query) || is_inf($query)";
    let above = json!([{"evaluator": {"type": "gt", "params": [0]}}]);
    json!({
        "uid": of("uid"),
        "title": of("title"),
        "orgID": 1,
        "folderUID": folder,
        "ruleGroup": group,
        "condition": "threshold",
        "data": [
            query,
            node("prometheus_math", "math", there, Value::Null),
            node("threshold", "threshold", "prometheus_math", above),
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "missingSeriesEvalsToResolve": 1,
        "for": of("for"),
        "keep_firing_for": of("keep_firing_for"),
        "labels": of("labels"),
        "annotations": annotations,
        "isPaused": false,
    })
}

pub(super) async fn read(place: &Place) -> Result<Vec<Found>, String> {
    let folder = &place.settings.folder_uid;
    let rules = place.get("/api/v1/provisioning/alert-rules").await?.unwrap_or_default();
    let mut names: Vec<&str> = Vec::new();
    for rule in rules.as_array().into_iter().flatten() {
        let word = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
        if word("folderUID") == folder && !names.contains(&word("ruleGroup")) {
            names.push(word("ruleGroup"));
        }
    }
    let mut found = Vec::new();
    for name in names {
        let Some(group) = place.get(&path(place, name)).await? else { continue };
        let rules = group.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
        let mark = rules.iter().find_map(|rule| rule.pointer(&format!("/annotations/{MARK}"))?.as_str());
        let short: Vec<Value> = rules.iter().map(shorten).collect();
        let interval = group.get("interval").and_then(Value::as_u64).unwrap_or(INTERVAL);
        found.push(Found::exact(Kind::RuleGroup, name, text(interval, &short), mark.map(str::to_owned)));
    }
    Ok(found)
}

fn path(place: &Place, group: &str) -> String {
    format!(
        "/api/v1/provisioning/folder/{}/rule-groups/{}",
        escape(&place.settings.folder_uid),
        escape(group)
    )
}

pub(super) async fn write(place: &Place, step: &Step) -> Result<Option<String>, String> {
    let path = path(place, &step.name);
    if step.action == Action::Delete {
        let answer = place.client.send(Ask::delete(path)).await?;
        return if answer.status == 404 { Ok(None) } else { answer.good().map(|_| None) };
    }
    let group: Value = serde_json::from_str(&step.text).map_err(|why| why.to_string())?;
    let (folder, mark) = (&place.settings.folder_uid, &step.mark);
    let rules = group.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
    let rules: Vec<Value> = rules.iter().map(|rule| expand(rule, &step.name, folder, mark)).collect();
    let body = json!({
        "title": step.name,
        "folderUid": folder,
        "interval": group.get("interval").cloned().unwrap_or_default(),
        "rules": rules,
    });
    place.client.ask(Ask::put(path).json(&body)).await.map(|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::bundle::rule_file;

    #[test]
    fn the_short_form_follows_from_the_long_one() {
        let text = "groups: [{name: g, interval: 30s, rules: [\
            {record: a, expr: b}, {alert: A, expr: 'up == 0', for: 1h, labels: {severity: high}, annotations: {summary: s}},\
            {alert: A, expr: 'up < 1', labels: {severity: low}}]}]";
        let bundle = Bundle { rules: vec![rule_file("a.yml", text).unwrap()], ..Bundle::default() };
        let [group] = &wanted(&bundle, "prom")[..] else { panic!("one group") };
        let value: Value = serde_json::from_str(&group.text).unwrap();
        assert_eq!(value["interval"], 30);
        let rules = value["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 2, "recording rules stay with Prometheus");
        assert_eq!(rules[1]["title"], "A (low)");
        for rule in rules {
            let long = expand(rule, "g", "f", "0123456789abcdef");
            assert_eq!(long["annotations"][MARK], "0123456789abcdef");
            assert_eq!(shorten(&long), *rule);
        }
        let mut paused = expand(&rules[0], "g", "f", "m");
        paused["isPaused"] = json!(true);
        assert_ne!(shorten(&paused), rules[0]);
    }
}
