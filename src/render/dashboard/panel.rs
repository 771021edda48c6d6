//! One picture as Grafana's JSON of a panel, for every version from 9 to 13.
//!
//! Keys that only a newer version knows are harmless to an older one. The forms of options are those of the
//! panels' published schemas.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::assemble::{Picture, Steps, Target};
use super::grid::Place;
use super::manner::{custom, options};
use crate::catalog::draw::{Mood, Panel, State};

/// What a panel needs of its dashboard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The uid of the data source, or what stands for it.
    pub(super) datasource: &'a str,
    /// The names of the variables, to be carried along by links.
    pub(super) variables: &'a [&'a str],
}

/// What a query refers to.
pub(super) fn datasource(uid: &str) -> Value {
    json!({"type": "prometheus", "uid": uid})
}

/// Columns of values beyond which a table is short of width.
const MANY: usize = 5;

/// How high a panel is.
pub(super) fn height(picture: &Picture) -> u32 {
    match picture.panel {
        Panel::Stat if picture.beside > 3 => 4,
        Panel::Gauge if picture.beside > 3 => 5,
        Panel::Table if channels(picture) => 12,
        Panel::Table if picture.beside == 1 => 7,
        Panel::Stat | Panel::Gauge => 6,
        Panel::Table if picture.beside == 3 => 6,
        // A line for each channel: a name needs its height.
        Panel::Cells | Panel::States if channels(picture) => 14,
        _ => 8,
    }
}

/// Whether it has a line for each channel.
fn channels(picture: &Picture) -> bool {
    let each = |text: &str| text.contains("{{channel}}") || text.contains(", channel)");
    picture.targets.iter().any(|target| each(&target.legend) || each(&target.expr))
}

/// A panel as it is written. Keys are in the order of the alphabet, here and below, as everywhere in the files.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
    datasource: Source<'a>,
    description: &'a str,
    field_config: FieldConfig<'a>,
    grid_pos: Place,
    id: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Value>,
    options: Cow<'static, Value>,
    targets: Vec<Query<'a>>,
    title: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transformations: Vec<Value>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// What a query refers to.
#[derive(Clone, Copy, Serialize)]
struct Source<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    uid: &'a str,
}

#[derive(Serialize)]
struct FieldConfig<'a> {
    defaults: Defaults<'a>,
    overrides: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Defaults<'a> {
    color: Color,
    custom: Cow<'static, Value>,
    mappings: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    no_value: &'a str,
    thresholds: Thresholds,
    unit: &'a str,
}

#[derive(Serialize)]
struct Color {
    mode: &'static str,
}

#[derive(Serialize)]
struct Thresholds {
    mode: &'static str,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    color: &'static str,
    value: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Query<'a> {
    datasource: Source<'a>,
    editor_mode: &'static str,
    exemplar: bool,
    expr: &'a str,
    format: &'static str,
    instant: bool,
    legend_format: &'a str,
    range: bool,
    ref_id: String,
}

/// The panel.
pub(super) fn panel<'a>(picture: &'a Picture, id: u32, place: Place, frame: Frame<'a>) -> Written<'a> {
    let targets = picture.targets.iter().enumerate();
    Written {
        datasource: Source { kind: "prometheus", uid: frame.datasource },
        description: &picture.about,
        field_config: FieldConfig { defaults: defaults(picture), overrides: overrides(picture) },
        grid_pos: place,
        id,
        links: if picture.to.is_empty() { Vec::new() } else { vec![link(picture.to, frame)] },
        options: options(picture, place.w),
        targets: targets.map(|(at, target)| query(picture, at, target, frame)).collect(),
        title: &picture.title,
        transformations: transformations(picture),
        kind: kind(picture.panel),
    }
}

/// The word for a dashboard's uid.
pub(super) fn uid(key: &str) -> String {
    format!("neural-{key}")
}

fn link(to: &str, frame: Frame<'_>) -> Value {
    let mut url = format!("/d/{}?${{__url_time_range}}", uid(to));
    for variable in frame.variables.iter().filter(|of| ["datasource", "job", "instance"].contains(of)) {
        url.push_str(&["&${", variable, ":queryparam}"].concat());
    }
    // All the keys of a dashboard's link, which the schema asks for.
    json!({
        "type": "link",
        "title": "More of this",
        "url": url,
        "icon": "dashboard",
        "tooltip": "",
        "tags": [],
        "asDropdown": false,
        "includeVars": false,
        "keepTime": false,
        "targetBlank": false,
    })
}

/// Grafana's name of a kind of panel.
pub(super) fn kind(panel: Panel) -> &'static str {
    match panel {
        Panel::Auto | Panel::Hidden | Panel::Lines | Panel::Stack => "timeseries",
        Panel::Stat => "stat",
        Panel::Gauge => "gauge",
        Panel::Bars => "bargauge",
        Panel::States => "state-timeline",
        Panel::Heat => "heatmap",
        Panel::Cells => "status-history",
        Panel::Table => "table",
        Panel::Pie => "piechart",
    }
}

/// Whether it shows the present alone. A range would keep the last value of what is gone.
fn instant(panel: Panel) -> bool {
    matches!(panel, Panel::Stat | Panel::Gauge | Panel::Bars | Panel::Table | Panel::Pie)
}

fn query<'a>(picture: &Picture, at: usize, target: &'a Target, frame: Frame<'a>) -> Query<'a> {
    let instant = instant(picture.panel);
    Query {
        datasource: Source { kind: "prometheus", uid: frame.datasource },
        editor_mode: "code",
        exemplar: !instant && picture.unit == "s" && target.expr.contains("_bucket{"),
        expr: &target.expr,
        format: match picture.panel {
            Panel::Table => "table",
            Panel::Heat => "heatmap",
            _ => "time_series",
        },
        instant,
        legend_format: match (picture.panel, target.legend.as_str()) {
            (Panel::Table, _) | (_, "") => "__auto",
            (_, legend) => legend,
        },
        range: !instant,
        ref_id: letter(at),
    }
}

/// A, B, C …
fn letter(at: usize) -> String {
    u8::try_from(at)
        .ok()
        .filter(|at| *at < 26)
        .map_or_else(|| format!("Q{at}"), |at| char::from(b'A' + at).to_string())
}

fn thresholds(steps: &Steps) -> Thresholds {
    let lowest = Step { color: steps.base.unwrap_or("blue"), value: None };
    let rest = steps.from.iter().map(|(number, color)| Step { color, value: Some(*number) });
    Thresholds { mode: "absolute", steps: [lowest].into_iter().chain(rest).collect() }
}

fn mappings(states: &[State], panel: Panel) -> Value {
    let of = |state: &State, index: usize| {
        let colour = match state.mood {
            Mood::Good => "green",
            Mood::Odd => "orange",
            Mood::Bad => "red",
            Mood::Plain => "blue",
        };
        (state.value.to_string(), json!({"text": state.text, "color": colour, "index": index}))
    };
    let options: Map<String, Value> =
        states.iter().enumerate().map(|(index, state)| of(state, index)).collect();
    let mut all = Vec::new();
    if !options.is_empty() {
        all.push(json!({"type": "value", "options": options}));
    }
    // What a table says where it is empty is no word for a cell, and its lowest colour is none for nothing.
    if panel == Panel::Table {
        let result = json!({"text": "–", "color": "text", "index": states.len()});
        all.push(json!({"type": "special", "options": {"match": "null+nan", "result": result}}));
    }
    Value::Array(all)
}

fn defaults(picture: &Picture) -> Defaults<'_> {
    let lines = matches!(picture.panel, Panel::Lines | Panel::Stack | Panel::Pie);
    let mode = match picture.panel {
        _ if lines => "palette-classic",
        // Where nothing says what is wrong, more is redder; one colour for all would show nothing.
        Panel::Cells if picture.steps.base.is_none() && picture.states.is_empty() => "continuous-BlYlRd",
        _ => "thresholds",
    };
    let scaled = picture.panel != Panel::Table;
    Defaults {
        color: Color { mode },
        custom: custom(picture),
        mappings: mappings(picture.states, picture.panel),
        max: picture.ceiling.filter(|_| scaled),
        min: picture.floor.filter(|_| scaled),
        no_value: &picture.empty,
        thresholds: thresholds(&picture.steps),
        unit: &picture.unit,
    }
}

fn overrides(picture: &Picture) -> Vec<Value> {
    let mut all = Vec::new();
    for (at, _) in picture.targets.iter().enumerate().filter(|(_, target)| target.dashed) {
        all.push(json!({
            "matcher": {"id": "byFrameRefID", "options": letter(at)},
            "properties": [
                {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}},
                {"id": "custom.lineWidth", "value": 1},
                {"id": "custom.fillOpacity", "value": 0},
                // The description says what is dashed; names of what is measured need the room.
                {"id": "custom.hideFrom", "value": {"legend": true, "tooltip": false, "viz": false}},
            ],
        }));
    }
    let severity =
        [("critical", "red"), ("high", "orange"), ("medium", "yellow"), ("low", "blue"), ("info", "text")];
    if picture.targets.iter().any(|target| target.legend == "{{severity}}") {
        all.extend(severity.iter().map(|(word, colour)| {
            json!({
                "matcher": {"id": "byName", "options": word},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
            })
        }));
    }
    if picture.panel != Panel::Table {
        return all;
    }
    for target in picture.targets.iter().filter(|target| !target.legend.is_empty()) {
        let mut properties = vec![json!({"id": "unit", "value": target.unit})];
        if target.steps.base.is_some() {
            properties.push(json!({"id": "thresholds", "value": thresholds(&target.steps)}));
        }
        if !target.states.is_empty() {
            properties.push(json!({"id": "mappings", "value": mappings(target.states, picture.panel)}));
        }
        if target.steps.base.is_some() || !target.states.is_empty() {
            properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
        }
        all.push(json!({"matcher": {"id": "byName", "options": target.legend}, "properties": properties}));
    }
    // The address of a machine is longer than numbers are: where columns are many, it needs more of the width.
    if picture.targets.len() > MANY && picture.targets.iter().any(|target| target.expr.contains("(instance"))
    {
        all.push(json!({
            "matcher": {"id": "byName", "options": "instance"},
            "properties": [{"id": "custom.width", "value": 160}],
        }));
    }
    if picture.targets.iter().any(|target| target.expr.contains("severity")) {
        let words: Map<String, Value> = severity
            .iter()
            .enumerate()
            .map(|(index, (word, colour))| ((*word).to_owned(), json!({"color": colour, "index": index})))
            .collect();
        all.push(json!({
            "matcher": {"id": "byName", "options": "severity"},
            "properties": [
                {"id": "mappings", "value": [{"type": "value", "options": words}]},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ],
        }));
    }
    all
}

/// A table's columns: one query's column is called `Value`, those of several `Value #A` and so on.
fn transformations(picture: &Picture) -> Vec<Value> {
    if picture.panel != Panel::Table {
        return Vec::new();
    }
    let several = picture.targets.len() > 1;
    let mut hidden = Map::from_iter([("Time".to_owned(), json!(true))]);
    let mut renamed = Map::new();
    for (at, target) in picture.targets.iter().enumerate() {
        let column = if several { format!("Value #{}", letter(at)) } else { "Value".to_owned() };
        if target.legend.is_empty() {
            hidden.insert(column, json!(true));
        } else {
            renamed.insert(column, json!(target.legend));
        }
    }
    let organize = json!({"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": renamed}});
    if several { vec![json!({"id": "merge", "options": {}}), organize] } else { vec![organize] }
}
