//! The panel of a metric that no view shows, by its type and what its entry says.

use super::spec::{PanelSpec, Steps, Target, beside, colours, spoken};
use crate::catalog::draw::{Draw, Panel, Show};
use crate::catalog::limit::Limits;
use crate::catalog::reference::queried;
use crate::catalog::{Metric, Unit};
use crate::event::Kind;

/// How a metric is drawn by itself; nothing if its entry wants none.
#[must_use]
pub(super) fn spec(metric: &Metric, by_machine: bool, limits: &Limits) -> Option<PanelSpec> {
    let Draw { title, advice, limits: of, states, signed, .. } = metric.draw;
    let panel = panel(metric);
    if panel == Panel::Hidden {
        return None;
    }
    let (targets, unit) = targets(metric, panel, by_machine);
    let help = format!("{}.", metric.help);
    let title = if title.is_empty() { spoken(metric.name) } else { title.to_owned() };
    Some(PanelSpec {
        title,
        about: if advice.is_empty() { help } else { format!("{help} {advice}") },
        panel,
        unit: unit.to_owned(),
        targets,
        steps: colours(of, limits),
        states,
        beside: beside(metric.draw.beside, panel),
        floor: (!signed).then_some(0.0),
        ceiling: None,
        empty: "not reported".to_owned(),
        unknown: None,
        to: "",
        first: &[],
        sorted: &[],
        seen: 0,
        words: false,
        buckets: if panel == Panel::Heat { metric.ladder(None, limits).len() } else { 0 },
    })
}

fn panel(metric: &Metric) -> Panel {
    if metric.draw.panel != Panel::Auto {
        return metric.draw.panel;
    }
    match metric.kind {
        Kind::Info => Panel::Table,
        Kind::StateSet => Panel::States,
        _ if !metric.draw.states.is_empty() => Panel::States,
        // A line for each channel is a tangle; a row of cells for each can be read, if limits colour them.
        Kind::Gauge if metric.labels.contains(&"channel") => {
            if metric.draw.limits.is_empty() {
                Panel::Table
            } else {
                Panel::Cells
            }
        }
        _ => Panel::Lines,
    }
}

/// What it shows, and the unit of that.
fn targets(metric: &Metric, panel: Panel, by_machine: bool) -> (Vec<Target>, &'static str) {
    let machine = if by_machine { &["instance"][..] } else { &[] };
    let labels: Vec<&str> = machine.iter().chain(metric.labels).copied().collect();
    let legend: Vec<String> = metric.labels.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    let legend = match (legend.is_empty(), by_machine) {
        (true, true) => "{{instance}}".to_owned(),
        (true, false) => spoken(metric.name),
        _ => legend.join(" "),
    };
    let by = |of: &[&str]| if of.is_empty() { String::new() } else { format!(" by ({})", of.join(", ")) };
    let name = queried(metric);
    let family = metric.family();
    let one = |expr: String, unit| (vec![target(expr, legend.clone())], unit);
    let growth = |name: &str| format!("sum{} (rate({name}[$__rate_interval]))", by(&labels));
    match (metric.draw.show, metric.kind) {
        _ if panel == Panel::Heat => {
            let expr = format!("sum by (le) (increase({family}_bucket[$__rate_interval]))");
            (vec![target(expr, "{{le}}".to_owned())], unit(metric.unit))
        }
        (Show::Share(of), _) => one(format!("{} / {}", growth(&name), growth(of)), "percentunit"),
        (Show::Quantiles | Show::Auto, Kind::Histogram | Kind::GaugeHistogram) => {
            let quantile = |share: &str, called: &str| {
                let mut all = labels.clone();
                all.push("le");
                let inner = format!("sum{} (rate({family}_bucket[$__rate_interval]))", by(&all));
                // The machine comes behind every name, where there are several.
                let of =
                    if legend == "{{instance}}" { called.to_owned() } else { format!("{called} {legend}") };
                target(format!("histogram_quantile({share}, {inner})"), of)
            };
            let targets = [("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")];
            (targets.iter().map(|(share, called)| quantile(share, called)).collect(), unit(metric.unit))
        }
        (Show::Rate | Show::Auto, Kind::Counter) => one(growth(&name), pace(metric.unit)),
        (Show::Rate, _) => one(growth(&name), pace(metric.unit)),
        (Show::Age, _) => one(age(&name, &by(&labels)), "s"),
        (Show::Auto, _) if metric.name.ends_with("_timestamp") => one(age(&name, &by(&labels)), "s"),
        _ => one(format!("max{} ({name})", by(&labels)), unit(metric.unit)),
    }
}

/// How long ago a timestamp was. A clock that was set back makes that no time before now.
fn age(name: &str, by: &str) -> String {
    format!("clamp_min(time() - max{by} ({name}), 0)")
}

fn target(expr: String, legend: String) -> Target {
    Target { expr, legend, unit: "short".to_owned(), steps: Steps::default(), states: &[], dashed: false }
}

/// Grafana's name of a unit.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::None => "short",
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::Ratio => "percentunit",
        Unit::Hertz => "rothz",
        Unit::Celsius => "celsius",
        Unit::Watts => "watt",
        Unit::Joules => "joule",
        Unit::Volts => "volt",
        Unit::Ohms => "ohm",
    }
}

/// Grafana's name of a unit a second.
fn pace(of: Unit) -> &'static str {
    match of {
        Unit::None => "cps",
        Unit::Seconds => "percentunit",
        Unit::Bytes => "Bps",
        Unit::Joules => "watt",
        other => unit(other),
    }
}
