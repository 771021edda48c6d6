//! Dashboards for Grafana, from the catalogue and the tables of `board`.
//!
//! One model is written in two flavours that are never mixed: *shareable*, which asks for its data source when a
//! person imports it, and *provisioned*, which has a variable for it because Grafana's file provider resolves no
//! questions. Nothing here says when it was written, so the same catalogue gives the same bytes.

pub mod assemble;
mod board;
mod default;
mod down;
mod grid;
pub mod lint;
mod manner;
mod mark;
mod panel;
pub mod query;
pub mod variable;
pub mod view;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use self::assemble::{Dashboard, Heading};
use self::grid::{COLUMNS, Place, Wish};
use self::panel::{Frame, Written, datasource};
use super::{File, Settings};
use crate::catalog::Page;

/// What all our dashboards are tagged with, and found by.
pub const TAG: &str = "neural-exporter";

/// The folder that provisioned dashboards lie in.
const FOLDER: &str = "Neural";

/// Newest that Grafana 9 does not stumble over: it ignores what it does not know, and newer ones migrate.
const SCHEMA: u32 = 39;

/// The variable that names the data source in the provisioned flavour.
const SOURCE_VARIABLE: &str = "datasource";

/// A way to name the data source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Asked for when a person imports the file.
    Shareable,
    /// Chosen at the top of the dashboard.
    Provisioned,
}

impl Flavour {
    fn uid(self) -> &'static str {
        match self {
            Self::Shareable => "${DS_PROMETHEUS}",
            Self::Provisioned => "${datasource}",
        }
    }
}

/// Every dashboard in both flavours, and what tells Grafana of the folder and the data source.
#[must_use]
pub fn files(pages: &[&Page], settings: &Settings) -> Vec<File> {
    let mut files = Vec::new();
    for dashboard in assemble::dashboards(pages, settings) {
        let panels = panels(&dashboard);
        for (folder, flavour) in
            [("dashboards", Flavour::Shareable), ("provisioning/grafana/dashboards", Flavour::Provisioned)]
        {
            let text = text(&dashboard, flavour, &panels);
            files.push(File { path: format!("{folder}/{}.json", dashboard.key), text });
        }
    }
    for (name, text) in [("dashboards", PROVIDER), ("datasources", SOURCE)] {
        files.push(File {
            path: format!("provisioning/grafana/{name}/neural-exporter.yml"),
            text: text.to_owned(),
        });
    }
    files
}

/// The uid of the dashboard that draws a page: what links of alerts lead to.
#[must_use]
pub fn uid(page: &Page) -> String {
    panel::uid(&assemble::key(page))
}

/// Whether a label can be chosen from on the dashboard that draws a page.
#[must_use]
pub fn chooses(page: &Page, label: &str) -> bool {
    ["job", "instance"].contains(&label) || assemble::labels(page).contains(&label)
}

/// The dashboard as Grafana's JSON (classic model).
#[must_use]
pub fn json(dashboard: &Dashboard, flavour: Flavour) -> Value {
    // It was written a moment ago.
    serde_json::from_str(&text(dashboard, flavour, &panels(dashboard))).unwrap_or_default()
}

/// The dashboard as text, around its panels. Those are nearly all of it, and the same
/// in both flavours but for the name of the data source.
fn text(dashboard: &Dashboard, flavour: Flavour, panels: &str) -> String {
    let mut text = pretty(&around(dashboard, flavour));
    text.push('\n');
    // No other line of it is this one: keys of the dashboard itself stand at this distance from the margin.
    let Some((before, after)) = text.split_once(&key("null")) else { return text };
    let panels = match flavour {
        Flavour::Provisioned => Cow::Borrowed(panels),
        Flavour::Shareable => {
            let carried = ["&${", SOURCE_VARIABLE, ":queryparam}"].concat();
            Cow::Owned(panels.replace(&carried, "").replace(Flavour::Provisioned.uid(), flavour.uid()))
        }
    };
    [before, &key(&panels), after].concat()
}

/// Values that are made of strings and numbers can be written.
fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The key of the panels as it stands in a dashboard.
fn key(value: &str) -> String {
    format!("\n  \"panels\": {value}")
}

/// The panels as they stand in a provisioned dashboard.
fn panels(dashboard: &Dashboard) -> String {
    let own = dashboard.variables.iter().map(|of| of.name.as_str());
    let variables: Vec<&str> = [SOURCE_VARIABLE].into_iter().chain(own).collect();
    let frame = Frame {
        datasource: Flavour::Provisioned.uid(),
        variables: &variables,
        here: &dashboard.key,
        runbooks: &dashboard.runbooks,
    };
    let alone = pretty(&BTreeMap::from([("panels", placed(&dashboard.rows, frame))]));
    let inside = alone.strip_prefix('{').and_then(|text| text.strip_prefix(key("").as_str()));
    inside.and_then(|text| text.strip_suffix("\n}")).unwrap_or("[]").to_owned()
}

/// In the folder [`FOLDER`] the title alone; a file that a person imports anywhere says what it is of.
fn title(dashboard: &Dashboard, flavour: Flavour) -> String {
    match flavour {
        Flavour::Provisioned => dashboard.title.clone(),
        Flavour::Shareable => format!("{FOLDER} / {}", dashboard.title),
    }
}

/// The dashboard without its panels.
fn around(dashboard: &Dashboard, flavour: Flavour) -> Value {
    let mut whole = json!({
        "id": null,
        "uid": panel::uid(&dashboard.key),
        "title": title(dashboard, flavour),
        "description": format!("{} Generated by neural-exporter: change the catalogue or the limits, not this.", dashboard.about),
        "tags": ["generated", TAG],
        "timezone": "browser",
        "editable": flavour == Flavour::Shareable,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "liveNow": false,
        "time": {"from": dashboard.range, "to": "now"},
        "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m", "15m", "1h"]},
        "refresh": dashboard.refresh,
        "schemaVersion": SCHEMA,
        "panels": null,
        "templating": {"list": choices(dashboard, flavour)},
        "annotations": {"list": mark::annotations(dashboard, flavour.uid())},
        "links": [{
            "type": "dashboards",
            "title": "Neural dashboards",
            "tags": [TAG],
            "asDropdown": true,
            "includeVars": true,
            "keepTime": true,
            "targetBlank": false,
            "icon": "external link",
            "tooltip": "",
            "url": "",
        }],
    });
    if let (Flavour::Shareable, Some(whole)) = (flavour, whole.as_object_mut()) {
        whole.insert("__inputs".to_owned(), inputs());
        whole.insert("__requires".to_owned(), requires(&dashboard.rows));
        whole.insert("__elements".to_owned(), json!({}));
    }
    whole
}

/// What stands on a dashboard.
#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Panel(Box<Written<'a>>),
    Row(Row<'a>),
}

/// A heading. One that is closed holds its panels, others stand before theirs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    collapsed: bool,
    grid_pos: Place,
    id: u32,
    panels: Vec<Written<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    repeat: &'a str,
    title: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
}

fn placed<'a>(rows: &'a [Heading], frame: Frame<'a>) -> Vec<Item<'a>> {
    let (mut all, mut id, mut y) = (Vec::new(), 0, 0);
    for Heading { title, open, each, pictures } in rows {
        id += 1;
        let grid_pos = Place { x: 0, y, w: COLUMNS, h: 1 };
        let mut row =
            Row { collapsed: !open, grid_pos, id, panels: Vec::new(), repeat: each, title, kind: "row" };
        let wishes: Vec<Wish> =
            pictures.iter().map(|of| Wish { beside: of.beside, height: panel::height(of) }).collect();
        let (places, below) = grid::places(&wishes, y + 1);
        let inside = pictures.iter().zip(places).map(|(picture, place)| {
            id += 1;
            panel::panel(picture, id, place, frame)
        });
        // What is in a closed row takes no room below it.
        if *open {
            all.push(Item::Row(row));
            all.extend(inside.map(|panel| Item::Panel(Box::new(panel))));
            y = below;
        } else {
            row.panels.extend(inside);
            all.push(Item::Row(row));
            y += 1;
        }
    }
    all
}

fn choices(dashboard: &Dashboard, flavour: Flavour) -> Vec<Value> {
    let mut all = Vec::new();
    if flavour == Flavour::Provisioned {
        all.push(json!({
            "type": "datasource",
            "name": SOURCE_VARIABLE,
            "label": "Data source",
            "query": "prometheus",
            "regex": "",
            "hide": 0,
            "refresh": 1,
            "multi": false,
            "includeAll": false,
            "options": [],
            "skipUrlSync": false,
        }));
    }
    all.extend(dashboard.variables.iter().map(|variable| {
        if let Some(part) = variable.derived {
            return json!({
                "type": "query",
                "name": variable.name,
                "label": variable.label,
                "datasource": datasource(flavour.uid()),
                "definition": variable.values,
                "query": {"query": variable.values, "refId": "StandardVariableQuery"},
                "current": {"text": "", "value": "", "selected": false},
                "multi": false,
                "includeAll": false,
                "refresh": 2,
                "sort": 0,
                "regex": part,
                // Nobody chooses it.
                "hide": 2,
                "options": [],
                "skipUrlSync": true,
            });
        }
        json!({
            "type": "query",
            "name": variable.name,
            "label": variable.label,
            "datasource": datasource(flavour.uid()),
            "definition": variable.values,
            "query": {"query": variable.values, "refId": "StandardVariableQuery"},
            "current": {"text": ["All"], "value": ["$__all"], "selected": true},
            "multi": true,
            "includeAll": true,
            "allValue": variable.all,
            "refresh": 2,
            "sort": 7,
            "regex": "",
            "hide": 0,
            "options": [],
            "skipUrlSync": false,
        })
    }));
    all
}

fn inputs() -> Value {
    json!([{
        "name": "DS_PROMETHEUS",
        "label": "Prometheus",
        "description": "The Prometheus that scrapes the agents.",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }])
}

/// What an import needs: the server, the source, and each kind of panel.
fn requires(rows: &[Heading]) -> Value {
    let pictures = rows.iter().flat_map(|row| &row.pictures);
    let kinds: BTreeSet<&str> = pictures.map(|picture| panel::kind(picture.panel)).collect();
    let mut all = vec![
        json!({"type": "grafana", "id": "grafana", "name": "Grafana", "version": "9.0.0"}),
        json!({"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"}),
    ];
    all.extend(kinds.iter().map(|kind| json!({"type": "panel", "id": kind, "name": kind, "version": ""})));
    Value::Array(all)
}

/// Tells Grafana where the dashboards lie. Mount `provisioning/grafana` as `/etc/grafana/provisioning`.
const PROVIDER: &str = "\
# Generated by neural-exporter. Grafana reads the dashboards beside this file; mount the folder above it as
# /etc/grafana/provisioning.
apiVersion: 1
providers:
  - name: neural-exporter
    folder: Neural
    folderUid: neural-exporter
    type: file
    disableDeletion: false
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: /etc/grafana/provisioning/dashboards
";

/// A data source that the dashboards can be used with.
const SOURCE: &str = "\
# Generated by neural-exporter. The interval is how often Prometheus scrapes; rates are empty if it is too short.
# Exemplars need --enable-feature=exemplar-storage on Prometheus; their link leads to a trace in Jaeger.
apiVersion: 1
datasources:
  - name: Prometheus
    uid: neural-prometheus
    type: prometheus
    access: proxy
    url: http://prometheus:9090
    isDefault: true
    jsonData:
      httpMethod: POST
      timeInterval: 5s
      exemplarTraceIdDestinations:
        - name: trace_id
          url: http://localhost:16686/trace/$${__value.raw}
          urlDisplayLabel: Open the trace
";
