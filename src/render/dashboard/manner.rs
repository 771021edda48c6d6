//! How a kind of panel draws: its options, and what Grafana calls custom. What it shows is not known here.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::assemble::Picture;
use super::grid::COLUMNS;
use crate::catalog::draw::Panel;

// Most panels are lines and numbers, which differ in little: what they share is made once.
static LINE: LazyLock<Value> = LazyLock::new(|| line(false, false));
static LINE_LIMITS: LazyLock<Value> = LazyLock::new(|| line(false, true));
static STACK: LazyLock<Value> = LazyLock::new(|| line(true, false));
static STACK_LIMITS: LazyLock<Value> = LazyLock::new(|| line(true, true));
static NAMELESS: LazyLock<Value> = LazyLock::new(|| stat("value"));
static NAMED: LazyLock<Value> = LazyLock::new(|| stat("value_and_name"));
// A full line has room beside the lines for a table; elsewhere names stand below them.
static BESIDE: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "legend": {"showLegend": true, "displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    })
});
static BELOW: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "legend": {"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    })
});

fn line(stacked: bool, limits: bool) -> Value {
    json!({
        "drawStyle": "line",
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
    })
}

fn shown() -> Value {
    json!({"legend": false, "tooltip": false, "viz": false})
}

/// What a picture of one number at a time makes of many.
fn reduced() -> Value {
    json!({"calcs": ["lastNotNull"], "fields": "", "values": false})
}

fn stat(text: &str) -> Value {
    json!({
        "reduceOptions": reduced(),
        "orientation": "auto",
        "textMode": text,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "center",
        "wideLayout": true,
        "showPercentChange": false,
        "percentChangeColorMode": "standard",
    })
}

/// How lines, cells and columns look.
pub(super) fn custom(picture: &Picture) -> Cow<'static, Value> {
    Cow::Owned(match picture.panel {
        Panel::Lines | Panel::Stack => {
            return Cow::Borrowed(match (picture.panel == Panel::Stack, picture.steps.limits) {
                (false, false) => &LINE,
                (false, true) => &LINE_LIMITS,
                (true, false) => &STACK,
                (true, true) => &STACK_LIMITS,
            });
        }
        Panel::States => json!({"lineWidth": 0, "fillOpacity": 75, "spanNulls": false, "hideFrom": shown()}),
        Panel::Cells => json!({"lineWidth": 1, "fillOpacity": 75, "hideFrom": shown()}),
        Panel::Heat => json!({"scaleDistribution": {"type": "linear"}, "hideFrom": shown()}),
        Panel::Pie => json!({"hideFrom": shown()}),
        Panel::Table => {
            json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false, "filterable": true, "minWidth": 80})
        }
        Panel::Auto | Panel::Hidden | Panel::Stat | Panel::Gauge | Panel::Bars => json!({}),
    })
}

/// What the panel as a whole is told.
pub(super) fn options(picture: &Picture, width: u32) -> Cow<'static, Value> {
    Cow::Owned(match picture.panel {
        Panel::Auto | Panel::Hidden | Panel::Lines | Panel::Stack => {
            return Cow::Borrowed(if width >= COLUMNS { &BESIDE } else { &BELOW });
        }
        Panel::Stat => {
            let named = picture.targets.iter().any(|target| target.legend.contains("{{"));
            return Cow::Borrowed(if named { &NAMED } else { &NAMELESS });
        }
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
            "reduceOptions": reduced(),
            "orientation": "auto",
            "pieType": "donut",
            "displayLabels": [],
            "legend": {"showLegend": true, "displayMode": "table", "placement": "right", "calcs": [], "values": ["percent"]},
            "tooltip": {"mode": "single", "sort": "none"},
        }),
    })
}
