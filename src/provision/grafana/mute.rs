//! Mute timings: the hours of `alerts.quiet`, for a Grafana that evaluates or routes alerts itself.
//!
//! They have no place for a mark. One that was written over the API cannot be edited in the browser, so the name and
//! where it comes from say whether it is ours; 9.x does not say that beside the timing, but in the configuration of its
//! Alertmanager. Deployments that push to one organisation share it, and the hours of the last one hold. Which policy names
//! it is for the owner of the policies.

use serde_json::{Value, json};

use super::{Alerts, Grafana};
use super::{Connection, PROVISIONED};
use crate::provision::Bundle;
use crate::provision::client::{Failure, Request};
use crate::provision::escape;
use crate::provision::mark::hash;
use crate::provision::plan::{Action, ActualObject, DesiredObject, Kind, Step};
use crate::render::QUIET;

const PATH: &str = "/api/v1/provisioning/mute-timings";
/// Where 9.x says which timings were written over the API.
const CONFIG: &str = "/api/alertmanager/grafana/config/api/v1/alerts";

/// Whether alerts have anything to do with this Grafana. A token for dashboards alone may not even read these.
fn concerns(settings: &Grafana) -> bool {
    settings.alerts != Alerts::None || settings.policies_file.is_some()
}

pub(super) fn wanted(settings: &Grafana, bundle: &Bundle) -> Vec<DesiredObject> {
    let all = bundle.mute_timings.iter().filter(|_| concerns(settings));
    let of = |timing: &Value| DesiredObject {
        kind: Kind::MuteTiming,
        name: timing.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        text: canonical(timing),
    };
    all.map(of).collect()
}

/// The hours alone, without what is empty.
fn canonical(timing: &Value) -> String {
    let mut hours = timing.get("time_intervals").cloned().unwrap_or_default();
    for hour in hours.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        hour.retain(|_, value| {
            !(value.is_null() || value == "" || value.as_array().is_some_and(Vec::is_empty))
        });
    }
    format!("{}\n", serde_json::to_string_pretty(&json!({"time_intervals": hours})).unwrap_or_default())
}

pub(super) async fn read(
    connection: &Connection,
    wanted: &[DesiredObject],
) -> Result<Vec<ActualObject>, Failure> {
    if !concerns(&connection.settings) {
        return Ok(Vec::new());
    }
    let all = connection.get(PATH).await?.unwrap_or_default();
    let mut found = Vec::new();
    for timing in all.as_array().into_iter().flatten() {
        let word = |key: &str| timing.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = word("name");
        if name != QUIET && !wanted.iter().any(|want| want.kind == Kind::MuteTiming && want.name == name) {
            continue;
        }
        let text = canonical(timing);
        let from = match timing.get("provenance") {
            Some(from) => Some(from.as_str().unwrap_or_default().to_owned()),
            None => provenance(connection, name).await,
        };
        let equal =
            wanted.iter().any(|want| want.kind == Kind::MuteTiming && want.name == name && want.text == text);
        // Where nothing says where it comes from, what is equal under our name is ours.
        let ours = from.as_ref().map_or(equal, |from| from == "api");
        let mark = ours.then(|| hash(&text));
        let locked = (from.as_deref() == Some("file")).then(|| PROVISIONED.to_owned());
        found.push(ActualObject { locked, ..ActualObject::exact(Kind::MuteTiming, name, text, mark) });
    }
    Ok(found)
}

/// Where a timing comes from, as the configuration of the Alertmanager says it: nothing for one of the browser. None where
/// that cannot be read.
async fn provenance(connection: &Connection, name: &str) -> Option<String> {
    let config = connection.get(CONFIG).await.ok()??;
    let all = config.pointer("/alertmanager_config/muteTimeProvenances");
    Some(all.and_then(|all| all.get(name)?.as_str()).unwrap_or_default().to_owned())
}

pub(super) async fn write(connection: &Connection, step: &Step) -> Result<Option<String>, Failure> {
    let path = format!("{PATH}/{}", escape(&step.name));
    if step.action == Action::Delete {
        let answer = connection.client.send(Request::delete(path)).await?;
        return match answer.status {
            404 => Ok(None),
            409 => Err(used(&answer.words()).into()),
            // As 9.x says it.
            500 if answer.words().contains("currently used") => Err(used(&answer.words()).into()),
            _ => answer.good().map(|_| None),
        };
    }
    let mut timing: Value = serde_json::from_str(&step.text).map_err(|why| why.to_string())?;
    if let Some(map) = timing.as_object_mut() {
        map.insert("name".to_owned(), json!(step.name));
    }
    let request = if step.action == Action::Create { Request::post(PATH) } else { Request::put(path) };
    connection.client.call(request.json(&timing)).await.map(|_| None)
}

fn used(words: &str) -> String {
    format!("{words}; a policy still uses it: remove it there first")
}
