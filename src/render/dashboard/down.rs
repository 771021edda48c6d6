//! Ways down: links of cells and series to the dashboard, or the runbook, that says more of what they name.

use serde_json::{Value, json};

use super::frame::{Frame, url};
use super::spec::{PanelSpec, heading};
use crate::catalog::draw::Panel;

/// The dashboard that says more of one thing, by the label that names it and can be chosen there.
const BOARDS: &[(&str, &str, &str)] = &[
    ("device", "channels", "Channels of this device"),
    ("stream", "streams", "This stream"),
    ("pipeline", "processing", "This pipeline"),
    ("service", "services", "This service"),
];

/// Links of a table's columns.
pub(super) fn of_columns(spec: &PanelSpec, frame: Frame<'_>) -> Vec<Value> {
    let cell = |label: &str| format!("${{__data.fields.{label}}}");
    let mut all = Vec::new();
    let mut column = |label: &str, links: Vec<Value>| {
        if !links.is_empty() {
            all.push(json!({
                "matcher": {"id": "byName", "options": heading(label)},
                "properties": [{"id": "links", "value": links}],
            }));
        }
    };
    for (label, ..) in BOARDS.iter().filter(|(label, ..)| groups(spec, label)) {
        column(label, board(label, frame, &cell).into_iter().collect());
    }
    if groups(spec, "channel") {
        // The name holds the number, and stands first.
        let named = if groups(spec, "channel_name") { "channel_name" } else { "channel" };
        column(named, channel(frame, &cell).into_iter().collect());
    }
    if groups(spec, "alertname") {
        let url = format!("{}{}.md", frame.runbooks, cell("alertname"));
        column("alertname", vec![json!({"title": "What to do", "url": url, "targetBlank": true})]);
    }
    all
}

/// Links of the lines and cells of a panel over time.
pub(super) fn of_series(spec: &PanelSpec, frame: Frame<'_>) -> Vec<Value> {
    let over_time =
        matches!(spec.panel, Panel::Lines | Panel::Stack | Panel::Columns | Panel::States | Panel::Cells);
    if !over_time {
        return Vec::new();
    }
    let series = |label: &str| format!("${{__field.labels.{label}}}");
    if groups(spec, "channel") {
        return channel(frame, &series).into_iter().collect();
    }
    let named = BOARDS.iter().filter(|(label, ..)| groups(spec, label));
    named.filter_map(|(label, ..)| board(label, frame, &series)).collect()
}

/// The dashboard of the thing that a label names, unless this is it. A label that cannot be chosen here may be
/// something else: the devices of a machine are its disks.
fn board(label: &str, frame: Frame<'_>, value: &dyn Fn(&str) -> String) -> Option<Value> {
    let (_, to, title) = BOARDS.iter().find(|(of, to, _)| *of == label && *to != frame.here)?;
    let url = format!("{}&var-{label}={}", url(to, frame), value(label));
    frame.variables.contains(&label).then(|| json!({"title": title, "url": url}))
}

/// The history of a channel.
fn channel(frame: Frame<'_>, value: &dyn Fn(&str) -> String) -> Option<Value> {
    let (device, channel) = (value("device"), value("channel"));
    let url = format!("{}&var-device={device}&var-channel={channel}", url("channels", frame));
    frame.variables.contains(&"device").then(|| json!({"title": "History of this channel", "url": url}))
}

/// Whether a panel's series are distinguished by a label.
fn groups(spec: &PanelSpec, label: &str) -> bool {
    let listed = |expr: &str| {
        let lists = expr.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
        lists.flat_map(|list| list.split(", ")).any(|name| name == label)
    };
    spec.targets.iter().any(|target| listed(&target.expr))
}
