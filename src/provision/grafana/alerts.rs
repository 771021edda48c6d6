//! Rules of Prometheus as rules of Grafana, through its provisioning API: for servers that cannot import them.
//!
//! Each rule has the three nodes that make Grafana judge as Prometheus does: a series that is there, fires. Recording
//! rules stay with Prometheus. The content is compared in a short form from which the long one follows, as far as the
//! server keeps it: what an older one drops is no edit.
//!
//! A group is written whole. 9.x takes only rules that it has in a group, and no group can be removed there: new rules are
//! made one by one first, and rules are removed one by one.

use serde_json::{Map, Value, json};
use serde_yaml::Value as Yaml;

use super::Connection;
use crate::provision::Bundle;
use crate::provision::client::{Answer, Failure, Request};
use crate::provision::escape;
use crate::provision::mark::{content, core, hash, is_unfinished, unfinished, with_core};
use crate::provision::plan::{Action, ActualObject, DesiredObject, Kind, Step};
use crate::provision::ruler::span;

/// Where all rules are.
const RULES: &str = "/api/v1/provisioning/alert-rules";
/// The annotation that has our mark.
const MARK: &str = "neural_exporter_mark";
/// What a rule may have that an older server drops (11 and before), by its name in the API.
const DROPPED: &[&str] = &["keep_firing_for"];
/// Seconds between two evaluations where a group does not say so.
const INTERVAL: u64 = 60;

pub(super) fn wanted(bundle: &Bundle, source: &str) -> Vec<DesiredObject> {
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
        wanted.push(DesiredObject { kind: Kind::RuleGroup, name: group.name.clone(), text });
    }
    wanted
}

fn text(interval: u64, rules: &[Value]) -> String {
    let group = json!({"interval": interval, "rules": rules});
    format!("{}\n", serde_json::to_string_pretty(&group).unwrap_or_default())
}

/// The same without what an older server drops.
fn core_text(interval: u64, rules: &[Value]) -> String {
    let mut rules = rules.to_vec();
    for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
        rule.retain(|key, _| !DROPPED.contains(&&**key));
    }
    text(interval, &rules)
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
    // What we never set says that it was edited.
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

pub(super) async fn read(
    connection: &Connection,
    wanted: &[DesiredObject],
) -> Result<Vec<ActualObject>, Failure> {
    let folder = &connection.settings.folder_uid;
    let rules = connection.get(RULES).await?.unwrap_or_default();
    let mut names: Vec<&str> = Vec::new();
    for rule in rules.as_array().into_iter().flatten() {
        let word = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
        if word("folderUID") == folder && !names.contains(&word("ruleGroup")) {
            names.push(word("ruleGroup"));
        }
    }
    let mut found = Vec::new();
    for name in names {
        found.extend(one(connection, name, wanted).await?);
    }
    Ok(found)
}

/// One group as it is there.
pub(super) async fn one(
    connection: &Connection,
    name: &str,
    wanted: &[DesiredObject],
) -> Result<Option<ActualObject>, Failure> {
    let Some(group) = connection.get(&path(connection, name)).await? else { return Ok(None) };
    let rules = group.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let want = wanted.iter().find(|want| want.kind == Kind::RuleGroup && want.name == name);
    Ok(Some(found(name, group.get("interval").and_then(Value::as_u64), rules, want)))
}

/// What a group of a server is, held against what shall be there.
fn found(name: &str, interval: Option<u64>, rules: &[Value], want: Option<&DesiredObject>) -> ActualObject {
    let marks: Vec<&str> =
        rules.iter().filter_map(|rule| rule.pointer(&format!("/annotations/{MARK}"))?.as_str()).collect();
    let unfinished = marks.iter().find(|mark| is_unfinished(mark));
    let mark = unfinished.or_else(|| marks.first()).map(|mark| (*mark).to_owned());
    let interval = interval.unwrap_or(INTERVAL);
    let mut short: Vec<Value> = rules.iter().map(shorten).collect();
    let core_there = core_text(interval, &short);
    // What the server does not give back is taken for what it should be: it neither was edited nor can be mended.
    let want: Value = want.and_then(|want| serde_json::from_str(&want.text).ok()).unwrap_or_default();
    let wanted = want.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let dropped: Vec<&&str> =
        DROPPED.iter().filter(|key| rules.iter().all(|rule| rule.get(**key).is_none())).collect();
    for rule in &mut short {
        let same = wanted.iter().find(|want| want.get("uid") == rule.get("uid"));
        for key in &dropped {
            if let (Some(map), Some(value)) = (rule.as_object_mut(), same.and_then(|same| same.get(**key))) {
                map.insert((**key).to_owned(), value.clone());
            }
        }
    }
    let found = ActualObject::exact(Kind::RuleGroup, name, text(interval, &short), mark);
    let whole = found.mark.as_deref().is_some_and(|mark| content(mark) == hash(&found.text));
    let kept = !dropped.is_empty() && found.mark.as_deref().and_then(core) == Some(&*hash(&core_there));
    let edited = found.mark.is_some() && unfinished.is_none() && !whole && !kept;
    ActualObject { edited, ..found }
}

fn path(connection: &Connection, group: &str) -> String {
    format!(
        "/api/v1/provisioning/folder/{}/rule-groups/{}",
        escape(&connection.settings.folder_uid),
        escape(group)
    )
}

pub(super) async fn write(connection: &Connection, step: &Step) -> Result<Option<String>, Failure> {
    let path = path(connection, &step.name);
    if step.action == Action::Delete {
        return remove(connection, &path).await.map(|()| None);
    }
    let group: Value = serde_json::from_str(&step.text).map_err(|why| why.to_string())?;
    let folder = &connection.settings.folder_uid;
    let rules = group.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
    let interval = group.get("interval").and_then(Value::as_u64).unwrap_or(INTERVAL);
    let mark = with_core(&step.mark, &core_text(interval, &rules));
    let long =
        |mark: &str| rules.iter().map(|rule| expand(rule, &step.name, folder, mark)).collect::<Vec<_>>();
    let body = json!({"title": step.name, "folderUid": folder, "interval": interval, "rules": long(&mark)});
    let put = || async { connection.client.send(Request::put(&path).json(&body)).await };
    let answer = put().await?;
    if !unknown(&answer) {
        return answer.good().map(|_| None);
    }
    make(connection, &long(&unfinished(&step.mark))).await?;
    put().await?.good().map(|_| None)
}

/// Whether a server refuses a group because of a rule that it does not have.
fn unknown(answer: &Answer) -> bool {
    answer.status >= 400 && answer.words().contains("could not find alert rule")
}

/// Makes the rules of a group that the server does not have.
async fn make(connection: &Connection, rules: &[Value]) -> Result<(), Failure> {
    let there = connection.get(RULES).await?.unwrap_or_default();
    let has = |rule: &Value| {
        let there = there.as_array().into_iter().flatten();
        there.into_iter().any(|there| there.get("uid") == rule.get("uid"))
    };
    for rule in rules.iter().filter(|rule| !has(rule)) {
        connection.client.call(Request::post(RULES).json(rule)).await?;
    }
    Ok(())
}

/// Removes a group, or its rules one by one where a group cannot be removed.
async fn remove(connection: &Connection, path: &str) -> Result<(), Failure> {
    let answer = connection.client.send(Request::delete(path)).await?;
    if !matches!(answer.status, 404 | 405) {
        return answer.good().map(drop);
    }
    let Some(group) = connection.get(path).await? else { return Ok(()) };
    for rule in group.get("rules").and_then(Value::as_array).into_iter().flatten() {
        let uid = rule.get("uid").and_then(Value::as_str).unwrap_or_default();
        let answer = connection.client.send(Request::delete(format!("{RULES}/{}", escape(uid)))).await?;
        if answer.status != 404 {
            answer.good()?;
        }
    }
    Ok(())
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

    /// A group as it is wanted, and its rules as a server gives them back that was given this mark.
    fn pushed(mark: impl Fn(&str, &str) -> String) -> (DesiredObject, u64, Vec<Value>) {
        let text = "groups: [{name: g, interval: 30s, rules: [\
            {alert: A, expr: 'up == 0', keep_firing_for: 5m}, {alert: B, expr: 'up == 0'}]}]";
        let bundle = Bundle { rules: vec![rule_file("a.yml", text).unwrap()], ..Bundle::default() };
        let want = wanted(&bundle, "prom").remove(0);
        let value: Value = serde_json::from_str(&want.text).unwrap();
        let rules = value["rules"].as_array().unwrap();
        let mark = mark(&want.text, &core_text(30, rules));
        let long = rules.iter().map(|rule| expand(rule, "g", "f", &mark)).collect();
        (want, 30, long)
    }

    fn marked(text: &str, core: &str) -> String {
        with_core(&crate::provision::mark::mark(text, "neural"), core)
    }

    #[test]
    fn what_an_older_server_drops_is_no_edit() {
        let (want, interval, mut rules) = pushed(marked);
        let whole = found("g", Some(interval), &rules, Some(&want));
        assert!(!whole.edited && whole.text == want.text);
        rules[0]["keep_firing_for"] = json!("1m");
        assert!(found("g", Some(interval), &rules, Some(&want)).edited, "a server that keeps it");
        for rule in &mut rules {
            rule.as_object_mut().unwrap().remove("keep_firing_for");
        }
        let there = found("g", Some(interval), &rules, Some(&want));
        assert!(!there.edited && there.text == want.text);
        // What is generated changes meanwhile.
        let other = DesiredObject { text: want.text.replace("300s", "600s"), ..want.clone() };
        let there = found("g", Some(interval), &rules, Some(&other));
        assert!(!there.edited);
        assert!(!found("g", Some(interval), &rules, None).edited, "nor where it is no longer generated");
        rules[1]["data"][0]["model"]["expr"] = json!("up < 1");
        assert!(found("g", Some(interval), &rules, Some(&want)).edited);
        assert!(found("g", Some(60), &rules, Some(&want)).edited);
    }

    #[test]
    fn a_group_that_was_not_finished_is_gone_on_with() {
        let (want, _, rules) = pushed(|text, _| unfinished(&crate::provision::mark::mark(text, "neural")));
        let there = found("g", Some(60), &rules[..1], Some(&want));
        assert!(!there.edited && there.mark.is_some());
        let steps = crate::provision::plan(&[want], &[there], crate::provision::How::default(), "neural");
        assert_eq!(steps[0].action, Action::Update);
    }
}
