//! One picture as Grafana's JSON of a panel, for every version from 9 to 13.
//!
//! Keys that only a newer version knows are harmless to an older one. The forms of options are those of the
//! panels' published schemas.

use serde_json::{Map, Value, json};

use super::assemble::{Picture, Steps, Target};
use super::grid::Place;
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

/// The panel.
pub(super) fn panel(picture: &Picture, id: u32, place: Place, frame: Frame<'_>) -> Value {
    let Place { x, y, w, h } = place;
    let targets: Vec<Value> =
        picture.targets.iter().enumerate().map(|(at, target)| query(picture, at, target, frame)).collect();
    let mut panel = json!({
        "id": id,
        "type": kind(picture.panel),
        "title": picture.title,
        "description": picture.about,
        "datasource": datasource(frame.datasource),
        "gridPos": {"x": x, "y": y, "w": w, "h": h},
        "targets": targets,
        "fieldConfig": {"defaults": defaults(picture), "overrides": overrides(picture)},
        "options": options(picture, w),
    });
    let transformations = transformations(picture);
    if let (false, Some(panel)) = (transformations.is_empty(), panel.as_object_mut()) {
        panel.insert("transformations".to_owned(), Value::Array(transformations));
    }
    if let (false, Some(panel)) = (picture.to.is_empty(), panel.as_object_mut()) {
        panel.insert("links".to_owned(), json!([link(picture.to, frame)]));
    }
    panel
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

fn query(picture: &Picture, at: usize, target: &Target, frame: Frame<'_>) -> Value {
    let format = match picture.panel {
        Panel::Table => "table",
        Panel::Heat => "heatmap",
        _ => "time_series",
    };
    let legend = match (picture.panel, target.legend.as_str()) {
        (Panel::Table, _) | (_, "") => "__auto",
        (_, legend) => legend,
    };
    let instant = instant(picture.panel);
    json!({
        "refId": letter(at),
        "datasource": datasource(frame.datasource),
        "expr": target.expr,
        "legendFormat": legend,
        "editorMode": "code",
        "format": format,
        "instant": instant,
        "range": !instant,
        "exemplar": !instant && picture.unit == "s" && target.expr.contains("_bucket{"),
    })
}

/// A, B, C …
fn letter(at: usize) -> String {
    u8::try_from(at)
        .ok()
        .filter(|at| *at < 26)
        .map_or_else(|| format!("Q{at}"), |at| char::from(b'A' + at).to_string())
}

fn thresholds(steps: &Steps) -> Value {
    let mut all = vec![json!({"color": steps.base.unwrap_or("blue"), "value": null})];
    all.extend(steps.from.iter().map(|(number, colour)| json!({"color": colour, "value": number})));
    json!({"mode": "absolute", "steps": all})
}

fn mappings(states: &[State]) -> Value {
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
    if options.is_empty() { json!([]) } else { json!([{"type": "value", "options": options}]) }
}

fn defaults(picture: &Picture) -> Value {
    let lines = matches!(picture.panel, Panel::Lines | Panel::Stack | Panel::Pie);
    let mode = match picture.panel {
        _ if lines => "palette-classic",
        // Where nothing says what is wrong, more is redder; one colour for all would show nothing.
        Panel::Cells if picture.steps.base.is_none() && picture.states.is_empty() => "continuous-BlYlRd",
        _ => "thresholds",
    };
    let mut of = json!({
        "unit": picture.unit,
        "noValue": picture.empty,
        "color": {"mode": mode},
        "thresholds": thresholds(&picture.steps),
        "mappings": mappings(picture.states),
        "custom": custom(picture),
    });
    if let Some(of) = of.as_object_mut() {
        if let Some(floor) = picture.floor.filter(|_| picture.panel != Panel::Table) {
            of.insert("min".to_owned(), json!(floor));
        }
        if let Some(ceiling) = picture.ceiling.filter(|_| picture.panel != Panel::Table) {
            of.insert("max".to_owned(), json!(ceiling));
        }
    }
    of
}

fn custom(picture: &Picture) -> Value {
    let hide = json!({"legend": false, "tooltip": false, "viz": false});
    match picture.panel {
        Panel::Lines | Panel::Stack => {
            let stacked = picture.panel == Panel::Stack;
            let limits = if picture.steps.limits { "dashed" } else { "off" };
            json!({
                "drawStyle": "line",
                "lineInterpolation": "linear",
                "lineWidth": if stacked { 1 } else { 2 },
                "fillOpacity": if stacked { 60 } else { 8 },
                "gradientMode": "none",
                "showPoints": "never",
                "spanNulls": false,
                "stacking": {"mode": if stacked { "normal" } else { "none" }, "group": "A"},
                "thresholdsStyle": {"mode": limits},
                "axisPlacement": "auto",
                "axisLabel": "",
                "scaleDistribution": {"type": "linear"},
                "hideFrom": hide,
            })
        }
        Panel::States => json!({"lineWidth": 0, "fillOpacity": 75, "spanNulls": false, "hideFrom": hide}),
        Panel::Cells => json!({"lineWidth": 1, "fillOpacity": 75, "hideFrom": hide}),
        Panel::Heat => json!({"scaleDistribution": {"type": "linear"}, "hideFrom": hide}),
        Panel::Pie => json!({"hideFrom": hide}),
        Panel::Table => {
            json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false, "filterable": true, "minWidth": 80})
        }
        Panel::Auto | Panel::Hidden | Panel::Stat | Panel::Gauge | Panel::Bars => json!({}),
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
            properties.push(json!({"id": "mappings", "value": mappings(target.states)}));
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

fn options(picture: &Picture, width: u32) -> Value {
    let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    let tooltip = json!({"mode": "multi", "sort": "desc"});
    // A full line has room beside the lines for a table; elsewhere names stand below them.
    let legend = if width >= 24 {
        json!({"showLegend": true, "displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]})
    } else {
        json!({"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []})
    };
    match picture.panel {
        Panel::Auto | Panel::Hidden | Panel::Lines | Panel::Stack => {
            json!({"legend": legend, "tooltip": tooltip})
        }
        Panel::Stat => json!({
            "reduceOptions": reduce,
            "orientation": "auto",
            "textMode": if picture.targets.iter().any(|target| target.legend.contains("{{")) { "value_and_name" } else { "value" },
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "wideLayout": true,
            "showPercentChange": false,
            "percentChangeColorMode": "standard",
        }),
        Panel::Gauge => json!({
            "reduceOptions": reduce,
            "orientation": "auto",
            "showThresholdLabels": false,
            "showThresholdMarkers": true,
            "sizing": "auto",
            "minVizWidth": 75,
            "minVizHeight": 75,
        }),
        Panel::Bars => json!({
            "reduceOptions": reduce,
            "orientation": "horizontal",
            "displayMode": "gradient",
            "valueMode": "color",
            "namePlacement": "auto",
            "showUnfilled": true,
            "sizing": "auto",
            "minVizWidth": 8,
            "minVizHeight": 16,
            "maxVizHeight": 40,
            "legend": {"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []},
        }),
        Panel::States => json!({
            "mergeValues": true,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.85,
            "legend": {"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        }),
        Panel::Cells => json!({
            "rowHeight": 0.9,
            "colWidth": 0.95,
            "showValue": "never",
            "legend": {"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        }),
        Panel::Heat => json!({
            "calculate": false,
            "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential", "exponent": 0.5, "steps": 64, "reverse": false},
            "cellGap": 1,
            "cellValues": {},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": true},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "yHistogram": true},
            "yAxis": {"axisPlacement": "left", "reverse": false, "unit": picture.unit},
        }),
        Panel::Table => json!({
            "showHeader": true,
            "cellHeight": "sm",
            "frameIndex": 0,
            "sortBy": [],
            "footer": {"show": false, "reducer": ["sum"], "countRows": false},
        }),
        Panel::Pie => json!({
            "reduceOptions": reduce,
            "orientation": "auto",
            "pieType": "donut",
            "displayLabels": [],
            "legend": {"showLegend": true, "displayMode": "table", "placement": "right", "calcs": [], "values": ["percent"]},
            "tooltip": {"mode": "single", "sort": "none"},
        }),
    }
}
