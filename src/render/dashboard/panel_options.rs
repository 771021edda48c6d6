//! How a kind of panel draws: its options, and what Grafana calls custom. What it shows is not known here.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::spec::{PanelSpec, named};
use crate::catalog::draw::Panel;

// Beside the lines names would leave a stripe of them on a phone.
static BELOW: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "legend": {"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    })
});

fn line(spec: &PanelSpec) -> Value {
    let bars = spec.panel == Panel::Columns;
    let (stacked, limits) = (bars || spec.panel == Panel::Stack, spec.steps.limits);
    let mut line = json!({
        "drawStyle": if bars { "bars" } else { "line" },
        "lineInterpolation": "linear",
        "lineWidth": if stacked { 1 } else { 2 },
        "fillOpacity": if stacked { 60 } else { 8 },
        "gradientMode": "none",
        "showPoints": "never",
        "spanNulls": false,
        "stacking": {"mode": if stacked { "normal" } else { "none" }, "group": "A"},
        "thresholdsStyle": {"mode": if limits { "dashed" } else { "off" }},
        "axisPlacement": "auto",
        "axisLabel": "",
        "scaleDistribution": {"type": "linear"},
        "hideFrom": shown(),
    });
    if let (None, Some(line)) = (spec.ceiling, line.as_object_mut()) {
        let most = soft(spec);
        line.insert("axisSoftMax".to_owned(), json!(most));
        if spec.floor.is_none() {
            line.insert("axisSoftMin".to_owned(), json!(-most));
        }
    }
    line
}

/// How far an axis goes at least. Without it Grafana draws a line that stands at zero on an axis to 100, which of a
/// ratio are 10,000 %. What is larger makes the axis longer.
fn soft(spec: &PanelSpec) -> f64 {
    let last = spec.steps.from.last().map(|(number, _)| *number);
    match (spec.unit.as_str(), last.filter(|_| spec.steps.limits)) {
        ("percentunit" | "ppm", Some(limit)) => limit * 1.25,
        ("percentunit", None) => 0.1,
        ("s", _) => 0.01,
        ("bytes" | "Bps", _) => 1024.0,
        ("volt", _) => 1e-5,
        ("ohm", _) => 1000.0,
        _ => 1.0,
    }
}

fn shown() -> Value {
    json!({"legend": false, "tooltip": false, "viz": false})
}

/// What a picture of one number at a time makes of many. The last of them, and none if the last is none: the last
/// that was there may be of a thing that is gone.
fn reduced() -> Value {
    json!({"calcs": ["last"], "fields": "", "values": false})
}

fn stat(spec: &PanelSpec) -> Value {
    let named = spec.targets.iter().any(|target| named(&target.legend));
    // Words are written as large as the panel is high, and then over two lines and the title.
    let text = if spec.words { json!({"valueSize": 36}) } else { json!({}) };
    json!({
        "text": text,
        "reduceOptions": reduced(),
        "orientation": "auto",
        "textMode": match (spec.words, named) {
            (true, _) => "name",
            (false, true) => "value_and_name",
            (false, false) => "value",
        },
        "colorMode": "value",
        "graphMode": if named { "none" } else { "area" },
        // Where a name and its number stand in one line, they touch if both are in the middle.
        "justifyMode": if named { "auto" } else { "center" },
        "wideLayout": true,
        "showPercentChange": false,
        "percentChangeColorMode": "standard",
    })
}

/// How lines, cells and columns look.
pub(super) fn custom(spec: &PanelSpec) -> Value {
    match spec.panel {
        Panel::Lines | Panel::Stack | Panel::Columns => line(spec),
        Panel::States => json!({"lineWidth": 0, "fillOpacity": 75, "spanNulls": false, "hideFrom": shown()}),
        Panel::Cells => json!({"lineWidth": 1, "fillOpacity": 75, "hideFrom": shown()}),
        Panel::Heat => json!({"scaleDistribution": {"type": "linear"}, "hideFrom": shown()}),
        Panel::Pie => json!({"hideFrom": shown()}),
        Panel::Table => {
            json!({"align": "auto", "cellOptions": {"type": "auto"}, "displayMode": "auto", "inspect": false, "filterable": false, "minWidth": 80})
        }
        Panel::Auto | Panel::Hidden | Panel::Stat | Panel::Gauge | Panel::Bars => json!({}),
    }
}

/// The options of the panel as a whole.
// Long: one arm for each kind of panel, each the JSON that Grafana reads.
pub(super) fn options(spec: &PanelSpec) -> Cow<'static, Value> {
    Cow::Owned(match spec.panel {
        Panel::Auto | Panel::Hidden | Panel::Lines | Panel::Stack | Panel::Columns => {
            return Cow::Borrowed(&BELOW);
        }
        Panel::Stat => stat(spec),
        Panel::Gauge => json!({
            "reduceOptions": reduced(),
            "orientation": "auto",
            "showThresholdLabels": false,
            "showThresholdMarkers": true,
            "sizing": "auto",
            "minVizWidth": 75,
            "minVizHeight": 75,
        }),
        Panel::Bars => json!({
            "reduceOptions": reduced(),
            "orientation": "horizontal",
            "displayMode": "basic",
            "valueMode": "color",
            "namePlacement": "auto",
            "showUnfilled": true,
            // Sizes are looked at where they are ours alone.
            "sizing": "manual",
            "minVizWidth": 8,
            "minVizHeight": 16,
            "maxVizHeight": 40,
            // Names and numbers grow with the bars otherwise, which are high where they are few. Room for names is measured
            // at 12 pixels where they are many.
            "text": {"titleSize": 12, "valueSize": 20},
            "legend": {"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []},
        }),
        Panel::States => json!({
            "mergeValues": true,
            "showValue": "auto",
            "alignValue": "center",
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
            "yAxis": {"axisPlacement": "left", "reverse": false, "unit": spec.unit},
        }),
        Panel::Table => json!({
            "showHeader": true,
            "cellHeight": "sm",
            "frameIndex": 0,
            "sortBy": spec.sorted.iter().map(|(column, down)| json!({"displayName": column, "desc": down})).collect::<Vec<_>>(),
            "footer": {"show": false, "reducer": ["sum"], "countRows": false},
        }),
        Panel::Pie => json!({
            "reduceOptions": reduced(),
            "orientation": "auto",
            "pieType": "donut",
            "displayLabels": [],
            "legend": {"showLegend": true, "displayMode": "table", "placement": "right", "calcs": [], "values": ["percent"]},
            "tooltip": {"mode": "single", "sort": "none"},
        }),
    })
}
