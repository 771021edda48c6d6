//! One picture as Grafana's JSON of a panel, for every version from 9 to 13.
//!
//! Keys that only a newer version knows are harmless to an older one. The forms of options are those of the
//! panels' published schemas.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::field::{NOTHING, Thresholds, mappings, thresholds};
use super::frame::{Frame, link};
use super::grid::{COLUMNS, GridPos, PanelSize};
use super::panel_options::{custom, options};
use super::spec::{PanelSpec, Target, letter, named};
use super::table::{self, SEVERITIES, transformations};
use super::variable::MACHINE;
use super::{down, legend};
use crate::catalog::draw::Panel;

/// How high a number is at least that shows its past.
pub(super) const SMALL: u32 = 5;

/// How high lines are, and how high they become for their legend at most.
const LINES: u32 = 8;
const HIGHEST: u32 = 12;

/// What neighbours ask for that have as many beside each other. Where a legend has more lines than can be seen, fewer of them stand
/// beside each other; what that does not mend, on a phone either, makes the panel higher.
pub(super) fn sizes(run: &[PanelSpec]) -> Vec<PanelSize> {
    let most = run.first().map_or(1, |spec| spec.beside.max(1));
    let fits = |beside: u8| run.iter().all(|spec| lines(spec, beside) <= legend::room(LINES));
    let beside = if fits(most) { most } else { most.min(2) };
    let of = |spec: &PanelSpec| {
        let lines = lines(spec, beside).max(lines_on_a_phone(spec));
        let least = (LINES..=HIGHEST).find(|height| legend::room(*height) >= lines);
        let legend = if lines == 0 { 0 } else { least.unwrap_or(HIGHEST) };
        PanelSize { beside, height: height(spec).max(legend) }
    };
    run.iter().map(of).collect()
}

/// How many lines the legend of a panel has, if so many stand beside each other.
fn lines(spec: &PanelSpec, beside: u8) -> u32 {
    legend::lines(named_in_legend(spec), COLUMNS / u32::from(beside.max(1)))
}

fn lines_on_a_phone(spec: &PanelSpec) -> u32 {
    legend::lines_on_a_phone(named_in_legend(spec))
}

/// The legend and the query of each target that the legend of a panel over time names.
fn named_in_legend(spec: &PanelSpec) -> impl Iterator<Item = (&str, &str)> {
    let shown = spec.targets.iter().filter(|of| kind(spec.panel) == "timeseries" && !of.dashed);
    shown.map(|of| (of.legend.as_str(), of.expr.as_str()))
}

/// How high a panel is, whatever its legend.
fn height(spec: &PanelSpec) -> u32 {
    match spec.panel {
        // With the past below the number, for which Grafana 9 to 13 wants 100 pixels inside.
        Panel::Stat if spec.beside > 3 => SMALL,
        Panel::Gauge if spec.beside > 3 => 5,
        // A title and a header of 36 pixels each, and 36 for each row, in steps of 38.
        Panel::Table if spec.seen > 0 => ((spec.seen + 2) * 36 + 16).div_ceil(38),
        Panel::Table if channels(spec) => 12,
        Panel::Table if spec.beside == 1 => 7,
        Panel::Stat | Panel::Gauge => 6,
        Panel::Table if spec.beside == 3 => 6,
        // A line for each channel: a name needs its height.
        Panel::Cells | Panel::States if channels(spec) => 14,
        // Ten bars, each with its name, or one for each electrode.
        Panel::Bars => {
            if spec.targets.iter().any(|of| of.expr.contains("topk(")) {
                9
            } else {
                14
            }
        }
        Panel::Heat => (8..20).find(|height| readable(spec.buckets, *height)).unwrap_or(8),
        _ => LINES,
    }
}

/// How many points a status history is given. Grafana 9 to 13 draws none at all of more than half as many as the
/// panel has pixels, and rounds the step down so that up to 1.75 times as many come; a phone has 340.
pub(super) const CELLS: u32 = 96;

/// What a row of states has where it has none.
const GAP: &str = "no data";

/// How many points a number has of its past: so many that the last is not old.
const PAST: u32 = 500;

/// Whether the bounds of so many buckets can be read beside a heat map of that height. Grafana 9 to 13 writes all of
/// them, one more below and one above, and leaves every second away only where one has less than 10 pixels.
pub(super) fn readable(buckets: usize, height: u32) -> bool {
    // Its title, the times below and the scale of colours.
    let pixels = f64::from(height) * 38.0 - 8.0 - 100.0;
    let mut labels = buckets + 2;
    let room = |labels: usize| (pixels - 15.0) / labels as f64;
    while labels > 3 && room(labels) < 10.0 {
        labels = labels.div_ceil(2);
    }
    room(labels) >= 14.0
}

/// Whether it has a line for each channel.
fn channels(spec: &PanelSpec) -> bool {
    let each = |text: &str| text.contains("{{channel}}") || text.contains(", channel)");
    spec.targets.iter().any(|target| each(&target.legend) || each(&target.expr))
}

/// A panel as it is written. Keys are in the order of the alphabet, here and below, as everywhere in the files.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
    datasource: Source<'a>,
    description: &'a str,
    field_config: FieldConfig<'a>,
    grid_pos: GridPos,
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_data_points: Option<u32>,
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
    custom: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Value>,
    mappings: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    no_value: &'a str,
    thresholds: Thresholds,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Color {
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_color: Option<&'static str>,
    mode: &'static str,
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
pub(super) fn panel<'a>(spec: &'a PanelSpec, id: u32, place: GridPos, frame: Frame<'a>) -> Written<'a> {
    let targets = spec.targets.iter().enumerate();
    Written {
        datasource: Source { kind: "prometheus", uid: frame.datasource },
        description: &spec.about,
        field_config: FieldConfig { defaults: defaults(spec, frame), overrides: overrides(spec, frame) },
        grid_pos: place,
        id,
        interval: (spec.panel == Panel::Columns).then_some("1m"),
        links: if spec.to.is_empty() { Vec::new() } else { vec![link(spec.to, frame)] },
        max_data_points: match spec.panel {
            Panel::Cells => Some(CELLS),
            Panel::Stat if !instant(spec) => Some(PAST),
            _ => None,
        },
        options: options(spec),
        targets: targets.map(|(at, target)| query(spec, at, target, frame)).collect(),
        title: &spec.title,
        transformations: transformations(spec),
        kind: kind(spec.panel),
    }
}

/// Grafana's name of a kind of panel.
pub(super) fn kind(panel: Panel) -> &'static str {
    match panel {
        Panel::Auto | Panel::Hidden | Panel::Lines | Panel::Stack | Panel::Columns => "timeseries",
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

/// Whether it shows the present alone. A range would keep the last value of what is gone, but of a number alone, which
/// says so itself.
fn instant(spec: &PanelSpec) -> bool {
    match spec.panel {
        Panel::Stat => spec.targets.iter().any(|target| named(&target.legend)),
        Panel::Gauge | Panel::Bars | Panel::Table | Panel::Pie => true,
        _ => false,
    }
}

fn query<'a>(spec: &PanelSpec, at: usize, target: &'a Target, frame: Frame<'a>) -> Query<'a> {
    let instant = instant(spec);
    Query {
        datasource: Source { kind: "prometheus", uid: frame.datasource },
        editor_mode: "code",
        exemplar: !instant
            && spec.panel != Panel::Heat
            && spec.unit == "s"
            && target.expr.contains("_bucket{"),
        expr: &target.expr,
        format: match spec.panel {
            Panel::Table => "table",
            Panel::Heat => "heatmap",
            _ => "time_series",
        },
        instant,
        legend_format: match (spec.panel, target.legend.as_str()) {
            (Panel::Table, _) | (_, "") => "__auto",
            (_, legend) => legend,
        },
        range: !instant,
        ref_id: letter(at),
    }
}

fn defaults<'a>(spec: &'a PanelSpec, frame: Frame<'_>) -> Defaults<'a> {
    let color = match spec.panel {
        Panel::Lines | Panel::Stack | Panel::Columns | Panel::Pie => {
            Color { fixed_color: None, mode: "palette-classic" }
        }
        // By thresholds Grafana 9 to 13 merges neighbours by their band and shows that in place of the words.
        Panel::States => Color { fixed_color: Some("text"), mode: "fixed" },
        _ => Color { fixed_color: None, mode: "thresholds" },
    };
    let scaled = spec.panel != Panel::Table;
    let (empty, nothing) = match spec.panel {
        // Of names too Grafana 9 says that they are none, so only columns of numbers are set; see `overrides`.
        Panel::Table => (NOTHING, None),
        Panel::Stat | Panel::Gauge | Panel::Bars => (&*spec.empty, Some(&*spec.empty)),
        // The legend of states has it where a row has a gap; that there is no row at all is a state of its own.
        Panel::States | Panel::Cells => (GAP, None),
        _ => (&*spec.empty, None),
    };
    let absent = matches!(spec.panel, Panel::States | Panel::Cells).then_some(&*spec.empty);
    let absent = [absent, spec.unknown];
    Defaults {
        color,
        custom: custom(spec),
        display_name: name(spec),
        links: down::of_series(spec, frame),
        mappings: Value::Array(mappings(spec.states, absent, nothing)),
        max: spec.ceiling.filter(|_| scaled),
        min: spec.floor.filter(|_| scaled),
        no_value: empty,
        thresholds: thresholds(&spec.steps),
        // With a unit, names that are numbers are written as numbers: channel 1024 as 1.02 K. Columns have their own.
        unit: if scaled { &spec.unit } else { "" },
    }
}

/// What bars are called: Grafana 9 to 13 writes no name at one that is alone, unless it is asked to.
fn name(spec: &PanelSpec) -> Option<String> {
    let legend = &spec.targets.first().filter(|_| spec.panel == Panel::Bars)?.legend;
    // A name takes no labels that come out of a variable, as a legend does: bars always say the machine.
    let legend = legend.replace(&["${", MACHINE, "}"].concat(), "· {{instance}}");
    Some(legend.replace("{{", "${__field.labels.").replace("}}", "}"))
}

fn overrides(spec: &PanelSpec, frame: Frame<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for (at, _) in spec.targets.iter().enumerate().filter(|(_, target)| target.dashed) {
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
    if spec.targets.iter().any(|target| target.legend == "{{severity}}") {
        all.extend(SEVERITIES.iter().map(|(word, colour)| {
            json!({
                "matcher": {"id": "byName", "options": word},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
            })
        }));
    }
    // What blames the caller and what blames the service are the same everywhere, whatever stands before them.
    if spec
        .targets
        .iter()
        .any(|target| ["4xx", "5xx", "{{status}}"].iter().any(|of| target.legend.contains(of)))
    {
        for (class, colour) in [("4", "orange"), ("5", "red")] {
            all.push(json!({
                "matcher": {"id": "byRegexp", "options": format!("/\\b{class}(xx|\\d\\d)\\b/")},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
            }));
        }
    }
    if spec.panel == Panel::Table {
        all.extend(table::columns(spec, frame));
    }
    all
}
