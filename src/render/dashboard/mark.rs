//! What is marked in panels over time: when alerts began, when a source came or went, sessions and recordings.
//!
//! A mark is a line where something began. What lasts is not painted: it would cover the signal that one looks at. Grafana
//! makes an area of what happens in two minutes in a row, so that only the first of them is marked.

use serde_json::{Value, json};

use super::frame::datasource;
use super::spec::{Dashboard, Mark, Marked};

/// Where a recording or a session matters.
const SIGNAL: &[&str] = &["overview", "devices", "channels", "streams", "program", "processing"];

pub(super) static MARKS: &[Mark] = &[
    Mark {
        name: "Reconnects",
        colour: "blue",
        expr: "(max by (instance, source) (neural_source_up) != max by (instance, source) (neural_source_up offset 1m)) + 1 unless max by (instance, source) (neural_source_up offset 1m) != max by (instance, source) (neural_source_up offset 2m)",
        title: "{{source}} came or went",
        text: "{{instance}}",
        boards: &["agent"],
    },
    Mark {
        name: "Devices that came or went",
        colour: "blue",
        expr: "(max by (instance, source) (neural_source_up{source=~\"$device\"}) != max by (instance, source) (neural_source_up{source=~\"$device\"} offset 1m)) + 1 unless max by (instance, source) (neural_source_up{source=~\"$device\"} offset 1m) != max by (instance, source) (neural_source_up{source=~\"$device\"} offset 2m)",
        title: "{{source}} came or went",
        text: "{{instance}}",
        boards: &["overview", "devices", "channels"],
    },
    Mark {
        name: "Sessions",
        colour: "purple",
        expr: "sum by (instance, pipeline) (neural_sessions_started_total) > sum by (instance, pipeline) (neural_sessions_started_total offset 1m) unless sum by (instance, pipeline) (neural_sessions_started_total offset 1m) > sum by (instance, pipeline) (neural_sessions_started_total offset 2m)",
        title: "session of {{pipeline}} began",
        text: "{{instance}}",
        boards: SIGNAL,
    },
    Mark {
        name: "Recordings",
        colour: "green",
        expr: "max by (instance, source) (neural_program_state{state=\"recording\"}) == 1 unless max by (instance, source) (neural_program_state{state=\"recording\"} offset 1m) == 1",
        title: "{{source}} began to record",
        text: "{{instance}}",
        boards: SIGNAL,
    },
];

/// Every mark as Grafana's JSON; `uid` names the data source.
pub(super) fn annotations(dashboard: &Dashboard, uid: &str) -> Vec<Value> {
    let mut all = vec![json!({
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": true,
        "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    })];
    let alerts = Mark {
        name: "High and critical alerts",
        colour: "red",
        expr: "",
        title: "{{alertname}}",
        text: "{{severity}} {{instance}} {{device}} {{pipeline}} {{stage}} {{source}}",
        boards: &[],
    };
    let mut began = one(&alerts, &began(dashboard), uid, true);
    // What the dashboard of alerts shows would be covered by marks of the same; who wants them switches them on above.
    began["enable"] = json!(dashboard.key != "alerts");
    all.push(began);
    all.extend(dashboard.marks.iter().map(|Marked { mark, expr }| one(mark, expr, uid, false)));
    all
}

/// When each alert began that the dashboard is about, in milliseconds. A label that an alert does not have is one
/// of every choice.
fn began(dashboard: &Dashboard) -> String {
    let chosen = dashboard.variables.iter().filter(|of| of.derived.is_none());
    let chosen = chosen.filter(|of| !["component", "severity"].contains(&of.name.as_str()));
    let mut matchers = format!("component=~\"{}\",severity=~\"critical|high\"", dashboard.components);
    matchers.extend(chosen.map(|of| format!(",{0}=~\"${0}|\"", of.name)));
    format!(
        "1000 * ALERTS_FOR_STATE{{{matchers}}} and ignoring (alertstate) ALERTS{{alertstate=\"firing\",{matchers}}}"
    )
}

fn one(mark: &Mark, expr: &str, uid: &str, times: bool) -> Value {
    json!({
        "name": mark.name,
        "datasource": datasource(uid),
        "enable": true,
        "hide": false,
        "iconColor": mark.colour,
        "expr": expr,
        "step": "60s",
        "titleFormat": mark.title,
        "textFormat": mark.text,
        "tagKeys": "",
        "useValueForTime": times,
    })
}
