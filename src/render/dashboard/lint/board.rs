//! Rules over a dashboard as a whole.

use serde_json::Value;

use super::super::query::Names;
use super::{Rule, list, panels, text};

pub(super) static RULES: &[Rule] = &[
    Rule { grafana: "9 to 13", broken: title },
    Rule { grafana: "9 to 13", broken: painted },
    Rule { grafana: "9 to 13", broken: areas },
    Rule { grafana: "9 to 13", broken: covered },
    Rule { grafana: "9 to 13", broken: jobs },
    Rule { grafana: "9 to 13", broken: numbers },
    Rule { grafana: "9 to 13", broken: closed },
    Rule { grafana: "9 to 13", broken: long },
];

/// How many letters of a heading stand in one line on a phone.
const HEADING: usize = 30;

/// How many numbers come first: on a phone they stand below each other.
const NUMBERS: usize = 6;

/// What a panel says that is empty until something is configured or plugged in that few have.
const RARE: &[&str] = &[
    "none monitored",
    "not enabled",
    "no engine is scraped",
    "no budget",
    "not reported by callers",
    "not counted by the driver",
    "not reported by the driver",
    "no USB port",
    "no tap",
    "no device reports it",
    "no device measures it",
    "not measured",
    "no sender sends its time",
    "this agent pushes nothing",
    "all gains are known",
];

/// A list of dashboards names the folder beside the title.
fn title(board: &Value, _: &Names<'_>) -> Option<String> {
    let twice = text(board, "title").starts_with("Neural / ");
    twice.then(|| "the folder is named twice; leave it out of the title".to_owned())
}

/// An annotation that lasts colours all panels for as long.
fn painted(board: &Value, _: &Names<'_>) -> Option<String> {
    let variables = list(&board["templating"], "list").iter().map(|of| text(of, "name"));
    let chosen: Vec<&str> = variables.filter(|of| ["instance", "device"].contains(of)).collect();
    let of_alerts = |of: &&Value| text(of, "expr").contains("ALERTS");
    list(&board["annotations"], "list").iter().filter(of_alerts).find_map(|annotation| {
        let expr = text(annotation, "expr");
        let missing = chosen.iter().find(|of| !expr.contains(&format!("{of}=~\"${of}|\"")));
        let why = if annotation["useValueForTime"] != true || !expr.contains("1000 * ALERTS_FOR_STATE{") {
            "covers the signal for as long as an alert fires; draw a line at the start".to_owned()
        } else if let Some(missing) = missing {
            format!(
                "marks the alerts of every {}; use what is chosen",
                if chosen.contains(&"device") { "device" } else { missing }
            )
        } else if !expr.contains("severity=~\"critical|high\"") {
            "marks every alert; mark those that are high and critical".to_owned()
        } else if !expr.contains("component=~\"") {
            "marks alerts of other subjects; choose by component".to_owned()
        } else {
            return None;
        };
        Some(format!("the annotation \"{}\" {why}", text(annotation, "name")))
    })
}

/// Fifty alerts that begin in an hour are fifty lines over what says the same.
fn covered(board: &Value, _: &Names<'_>) -> Option<String> {
    let over_time = |panel: &&Value| {
        panel["type"] == "state-timeline" && panel["targets"].to_string().contains("ALERTS{")
    };
    panels(board).find(over_time)?;
    let marks = |of: &&Value| of["enable"] == true && text(of, "expr").contains("ALERTS");
    let mark = list(&board["annotations"], "list").iter().find(marks)?;
    Some(format!(
        "the annotation \"{}\" covers the alerts that the panels show; switch it off at first",
        text(mark, "name")
    ))
}

/// `convertAnnotationsToRegions`: neighbours in time become one region, which colours all panels.
fn areas(board: &Value, _: &Names<'_>) -> Option<String> {
    // Of alerts another rule says more.
    let asked = |of: &&Value| of["expr"].is_string() && !text(of, "expr").contains("ALERTS");
    let mut all = list(&board["annotations"], "list").iter().filter(asked);
    let lasting = all.find(|of| !text(of, "expr").contains(" unless "))?;
    let why = "becomes an area where it happens in two minutes in a row; leave out what also happened a minute before";
    Some(format!("the annotation \"{}\" {why} (unless … offset)", text(lasting, "name")))
}

/// `.+` is also the job of the server itself and of every other exporter.
fn jobs(board: &Value, _: &Names<'_>) -> Option<String> {
    let mut all = list(&board["templating"], "list").iter().filter(|of| of["name"] == "job");
    let any = all.any(|of| ["", ".+", ".*"].contains(&text(of, "allValue")));
    any.then(|| "all jobs are those of Prometheus itself too; use the configured one".to_owned())
}

/// Panels that are open are below each other on a phone, in the order of their places.
fn numbers(board: &Value, _: &Names<'_>) -> Option<String> {
    let mut run = 0;
    for panel in list(board, "panels").iter().filter(|panel| panel["type"] != "row") {
        run = if ["stat", "gauge"].contains(&text(panel, "type")) { run + 1 } else { 0 };
        if run > NUMBERS {
            return Some(format!("more than {NUMBERS} numbers come before anything else on a phone"));
        }
    }
    None
}

/// A second line of a heading stands over the panels below it.
fn long(board: &Value, _: &Names<'_>) -> Option<String> {
    let rows = list(board, "panels").iter().filter(|panel| panel["type"] == "row");
    let title = rows.map(|row| text(row, "title")).find(|title| title.chars().count() > HEADING)?;
    Some(format!("the heading \"{title}\" needs two lines on a phone; shorten it to {HEADING} letters"))
}

/// Rows of panels that are empty by default are closed.
fn closed(board: &Value, _: &Names<'_>) -> Option<String> {
    let open = list(board, "panels").iter().filter(|panel| panel["type"] != "row");
    let rare = |panel: &&Value| RARE.contains(&text(&panel["fieldConfig"]["defaults"], "noValue"));
    let title = text(open.clone().find(rare)?, "title");
    // A dashboard of nothing else has nothing to show at first.
    let most = open.clone().filter(rare).count() < panels(board).count();
    most.then(|| format!("\"{title}\" is empty by default; put it into a row that is closed"))
}
