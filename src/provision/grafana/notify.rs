//! Contact points and the policy tree, each only if a file with them is configured.
//!
//! A contact point's secrets cannot be read back, so its fixed id carries the hash of what was pushed. The policy tree
//! is one in an organisation: a tree that is not what the file says is replaced only by force.

use std::path::Path;

use serde_json::{Value, json};

use super::Connection;
use super::Grafana;
use crate::provision::client::{Failure, Request};
use crate::provision::escape;
use crate::provision::files;
use crate::provision::mark::hash;
use crate::provision::plan::{Action, ActualObject, DesiredObject, Kind, Step};

/// What the ids of our contact points begin with.
const PREFIX: &str = "nx-";
const POINTS: &str = "/api/v1/provisioning/contact-points";
const POLICIES: &str = "/api/v1/provisioning/policies";

pub(super) fn wanted(settings: &Grafana) -> Result<Vec<DesiredObject>, String> {
    let mut wanted = Vec::new();
    if let Some(file) = &settings.contact_points_file {
        let points = load(file)?;
        let points = points.as_array().ok_or_else(|| format!("{}: not a list", file.display()))?;
        for point in points {
            let word = |key: &str| point.get(key).and_then(Value::as_str);
            let (Some(name), Some(kind)) = (word("name"), word("type")) else {
                return Err(format!("{}: a contact point has a name, a type and settings", file.display()));
            };
            wanted.push(DesiredObject {
                kind: Kind::ContactPoint,
                name: format!("{name} ({kind})"),
                text: point.to_string(),
            });
        }
    }
    if let Some(file) = &settings.policies_file {
        let text = canonical(&load(file)?);
        wanted.push(DesiredObject { kind: Kind::Policies, name: String::new(), text });
    }
    Ok(wanted)
}

fn load(file: &Path) -> Result<Value, String> {
    let text = files::read(file)?.ok_or_else(|| format!("no such file: {}", file.display()))?;
    // The error omits the text, which may be a secret.
    serde_json::from_str(&text).map_err(|why| format!("{}:{}: not JSON", file.display(), why.line()))
}

fn canonical(tree: &Value) -> String {
    let mut tree = tree.clone();
    if let Some(map) = tree.as_object_mut() {
        map.remove("provenance");
    }
    format!("{}\n", serde_json::to_string_pretty(&tree).unwrap_or_default())
}

pub(super) async fn read_points(connection: &mut Connection) -> Result<Vec<ActualObject>, Failure> {
    let mut found = Vec::new();
    if connection.settings.contact_points_file.is_some() {
        let points = connection.get(POINTS).await?.unwrap_or_default();
        connection.points.clear();
        for point in points.as_array().into_iter().flatten() {
            let word = |key: &str| point.get(key).and_then(Value::as_str).unwrap_or_default();
            let name = format!("{} ({})", word("name"), word("type"));
            let mark = word("uid").strip_prefix(PREFIX).map(str::to_owned);
            // Those that are not ours may share the name: they stay beside ours.
            let Some(mark) = mark else { continue };
            connection.points.entry(name.clone()).or_default().push(word("uid").to_owned());
            let there = found.iter().any(|found: &ActualObject| found.name == name);
            if !there {
                found.push(ActualObject {
                    edited: false,
                    ..ActualObject::exact(Kind::ContactPoint, name, "", Some(mark))
                });
            }
        }
    }
    Ok(found)
}

pub(super) async fn read_tree(
    connection: &Connection,
    wanted: &[DesiredObject],
) -> Result<Vec<ActualObject>, Failure> {
    let Some(want) = wanted.iter().find(|want| want.kind == Kind::Policies) else { return Ok(Vec::new()) };
    let Some(tree) = connection.get(POLICIES).await? else { return Ok(Vec::new()) };
    let text = canonical(&tree);
    if text != want.text && untouched(&tree) {
        return Ok(Vec::new());
    }
    let mark = (text == want.text).then(|| hash(&text));
    Ok(vec![ActualObject::exact(Kind::Policies, "", text, mark)])
}

/// Whether a tree is the one that a fresh Grafana makes for itself, which is nobody's.
fn untouched(tree: &Value) -> bool {
    let word = |key: &str| tree.get(key).and_then(Value::as_str).unwrap_or_default();
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    let own = |(key, value): (&String, &Value)| match key.as_str() {
        "receiver" => true,
        "group_by" => empty(value) || *value == json!(["grafana_folder", "alertname"]),
        "group_wait" => value == "30s",
        "group_interval" => value == "5m",
        "repeat_interval" => value == "4h",
        "provenance" => empty(value),
        _ => empty(value),
    };
    // Some versions call it `empty` where mail is not set up.
    matches!(word("receiver"), "grafana-default-email" | "empty")
        && tree.as_object().is_some_and(|tree| tree.iter().all(own))
}

pub(super) async fn write(connection: &Connection, step: &Step) -> Result<Option<String>, Failure> {
    if step.kind == Kind::Policies {
        let request = match step.action {
            Action::Delete => Request::delete(POLICIES),
            _ => Request::put(POLICIES).json(&serde_json::from_str(&step.text).unwrap_or_default()),
        };
        return connection.client.call(request).await.map(|_| None);
    }
    if step.action != Action::Delete {
        let mut point: Value = serde_json::from_str(&step.text).unwrap_or_default();
        if let Some(map) = point.as_object_mut() {
            map.insert("uid".to_owned(), json!(format!("{PREFIX}{}", step.mark)));
        }
        connection.client.call(Request::post(POINTS).json(&point)).await?;
    }
    // The new one is there before the old one goes, so that policies always find one of the name.
    for uid in connection.points.get(&step.name).into_iter().flatten() {
        let answer = connection.client.send(Request::delete(format!("{POINTS}/{}", escape(uid)))).await?;
        if answer.status != 404 {
            answer.good()?;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_a_fresh_server_is_nobodys() {
        let fresh = json!({"receiver": "grafana-default-email", "group_by": ["grafana_folder", "alertname"]});
        assert!(untouched(&fresh) && untouched(&json!({"receiver": "grafana-default-email", "routes": []})));
        for (key, value) in [
            ("receiver", json!("lab")),
            ("group_by", json!(["device"])),
            ("routes", json!([{"receiver": "lab"}])),
            ("repeat_interval", json!("1h")),
            ("provenance", json!("file")),
        ] {
            let mut tree = fresh.clone();
            tree[key] = value;
            assert!(!untouched(&tree), "{tree}");
        }
    }
}
