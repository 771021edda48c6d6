//! The data source of metrics, if one is wanted, and that of traces. They send no secrets: a server with a password is set up by hand.

use serde_json::{Map, Value, json};

use super::{Connection, PROVISIONED};
use crate::provision::asked::DataSource;
use crate::provision::client::{Failure, Request};
use crate::provision::escape;
use crate::provision::plan::{Action, ActualObject, DesiredObject, Kind, Step};
use crate::render::Source;
use crate::render::dashboard::source::TRACES;

/// The key of `jsonData` that has our mark.
const MARK: &str = "neuralExporter";
/// The type of a data source of metrics.
const METRICS: &str = "prometheus";

pub(super) fn wanted(source: &DataSource) -> impl Iterator<Item = DesiredObject> {
    let of = |uid: &str, model: &Value| DesiredObject {
        kind: Kind::DataSource,
        name: uid.to_owned(),
        text: canonical(model),
    };
    let traces = source.traces.iter().map(move |traces| of(&traces.uid, &traces.model(&source.uid)));
    std::iter::once(of(&source.uid, &Source::from(source).model())).chain(traces)
}

/// What we set, and nothing that the server adds.
fn canonical(model: &Value) -> String {
    let of = |key: &str| model.get(key).cloned().unwrap_or_default();
    let data = |key: &str| model.pointer(&format!("/jsonData/{key}")).cloned().unwrap_or_default();
    let always: &[&str] = if of("type") == METRICS { &["httpMethod", "timeInterval"] } else { &[] };
    let mut known: Map<String, Value> = always.iter().map(|key| ((*key).to_owned(), data(key))).collect();
    for key in [TRACES, "nodeGraph", "serviceMap"] {
        let value = data(key);
        if !value.is_null() && value != json!([]) {
            known.insert(key.to_owned(), value);
        }
    }
    let model = json!({
        "name": of("name"),
        "type": of("type"),
        "access": of("access"),
        "url": of("url"),
        "jsonData": known,
    });
    format!("{}\n", serde_json::to_string_pretty(&model).unwrap_or_default())
}

pub(super) async fn read(
    connection: &mut Connection,
    want: &DesiredObject,
) -> Result<Option<ActualObject>, Failure> {
    let path = format!("/api/datasources/uid/{}", escape(&want.name));
    let Some(model) = connection.get_object(&path).await? else { return Ok(None) };
    let version = model.get("version").and_then(Value::as_i64).unwrap_or_default();
    connection.versions.insert((Kind::DataSource, want.name.clone()), version);
    let mark = model.pointer(&format!("/jsonData/{MARK}")).and_then(Value::as_str).map(str::to_owned);
    let locked = model.get("readOnly").and_then(Value::as_bool) == Some(true);
    let locked = locked.then(|| PROVISIONED.to_owned());
    Ok(Some(ActualObject {
        locked,
        ..ActualObject::exact(Kind::DataSource, &*want.name, canonical(&model), mark)
    }))
}

pub(super) async fn write(connection: &Connection, step: &Step) -> Result<Option<String>, Failure> {
    let path = format!("/api/datasources/uid/{}", escape(&step.name));
    if step.action == Action::Delete {
        let answer = connection.client.send(Request::delete(path)).await?;
        return if answer.status == 404 { Ok(None) } else { answer.good().map(|_| None) };
    }
    let mut model: Value = serde_json::from_str(&step.text).map_err(|why| why.to_string())?;
    if let Some(map) = model.as_object_mut() {
        map.insert("uid".to_owned(), json!(step.name));
        if let Some(data) = map.get_mut("jsonData").and_then(Value::as_object_mut) {
            data.insert(MARK.to_owned(), json!(step.mark));
        }
        if step.action == Action::Update {
            let version = connection.versions.get(&(Kind::DataSource, step.name.clone())).copied();
            map.insert("version".to_owned(), json!(version.unwrap_or_default()));
        }
    }
    let request = match step.action {
        Action::Create => Request::post("/api/datasources"),
        _ => Request::put(&path),
    };
    let answer = connection.client.send(request.json(&model)).await?;
    if answer.status == 409 && step.action == Action::Create {
        let hint = "another data source has this name: set datasource.name";
        return Err(answer.failure().map_reason(|why| format!("{why}\n  hint: {hint}")));
    }
    if answer.status == 403 {
        let needs = "datasources:create and datasources:write, which the role Admin has";
        return Err(answer.failure().map_reason(|why| format!("{why}: it needs {needs}")));
    }
    answer.good()?;
    let is_metrics = model.get("type").is_some_and(|kind| kind == METRICS);
    Ok(trouble(connection, &step.name, is_metrics)
        .await
        .map(|words| format!("Grafana cannot query it yet: {words}")))
}

/// Why Grafana cannot ask the data source, if it cannot. 9.x has no health check for Prometheus, so a query stands in. Of those of
/// traces it has none either, and says so with 404 or, of Jaeger, with 503.
async fn trouble(connection: &Connection, uid: &str, is_metrics: bool) -> Option<String> {
    let health = Request::get(format!("/api/datasources/uid/{}/health", escape(uid)));
    if !is_metrics {
        let failure = connection.client.send_once(&health).await.err()?;
        return (!matches!(failure.status(), Some(404 | 503))).then(|| failure.into());
    }
    match connection.client.send(health).await {
        Ok(answer) if answer.status != 404 => answer.good().err().map(String::from),
        Ok(_) => {
            let query = json!({"refId": "A", "datasource": {"uid": uid, "type": "prometheus"}, "expr": "1",
                "instant": true, "range": false, "intervalMs": 15_000, "maxDataPoints": 1});
            let body = json!({"queries": [query], "from": "now-1m", "to": "now"});
            let asked = connection.client.call(Request::post("/api/ds/query").json(&body)).await;
            match asked.map_err(String::from).and_then(|answer| answer.json()) {
                Ok(said) => said.pointer("/results/A/error").and_then(Value::as_str).map(str::to_owned),
                Err(why) => Some(why),
            }
        }
        Err(why) => Some(why.into()),
    }
}
