//! Columns of tables: what they are called, how wide they are, in which order and in which colours.

use serde_json::{Map, Value, json};

use super::down;
use super::field::{NOTHING, mappings, thresholds};
use super::frame::Frame;
use super::nothing::grouped;
use super::spec::{PanelSpec, Target, heading, letter};
use super::variable::{MACHINE, MACHINE_FIRST};
use crate::catalog::draw::{Panel, State};

/// How wide the names of alerts and where they are must be at least, on a phone too, where both are seen beside the priority: the
/// names but for their last letters.
const ALERT_WIDTH: usize = 190;
const WHERE_WIDTH: usize = 130;

/// How wide each column is at least; see `custom`.
const LEAST_WIDTH: usize = 80;

/// How wide a column of shares is at least: `0.00400%`.
const SHARE_WIDTH: usize = 88;

/// How wide the column of a label is at least, so that its usual values are not cut where columns share the width of a phone, which
/// can be pushed: seven and a half pixels a letter, and the margins. What a label holds depends on what is asked.
pub(super) fn room(label: &str, exprs: &str) -> u32 {
    let letters = match label {
        // The name of an operating system, of a card, of an alert.
        "system" => 27,
        "model" | "name" => 23,
        "alert" => 28,
        "metric" => 14,
        "content" | "driver" => 17,
        "kernel" | "device" | "architecture" | "hook" | "task" => 15,
        // Of every kind: `open_ephys:zmq`. Other tables have those of programs or of streams.
        "source" if exprs.contains("neural_source_") => 15,
        "instance" | "source" | "stream" => 13,
        "pipeline" | "stage" => 9,
        "channel" | "channel_name" | "gpu" | "label" | "fstype" | "node" => 7,
        _ => 12,
    };
    letters * 15 / 2 + 24
}

/// How bad an alert is, and in which colour that is said.
pub(super) const SEVERITIES: &[(&str, &str)] =
    &[("critical", "red"), ("high", "orange"), ("medium", "yellow"), ("low", "blue"), ("info", "text")];

/// How wide a column must be at least so that its header, with an arrow where the table is sorted by it, and its longest word are not
/// cut; nothing if that is as wide as every column is.
pub(super) fn least(header: &str, sorted: bool, word: usize) -> Option<usize> {
    let header = if sorted { written(header) + 44 } else { header.chars().count() * 8 + 24 };
    let width = header.max(word * 7 + 16);
    (width > LEAST_WIDTH).then_some(width)
}

/// How many pixels a header takes in Grafana's font, of which an `l` takes half of an `o`.
fn written(header: &str) -> usize {
    let wide = |letter: char| match letter {
        'f' | 'i' | 'j' | 'l' | 'r' | 't' | 'I' | ' ' | ',' | '.' | '/' => 10,
        'm' | 'w' | 'M' | 'W' => 24,
        _ => 17,
    };
    header.chars().map(wide).sum::<usize>() / 2
}

/// Letters of the longest word that a column may hold.
fn longest(states: &[State]) -> usize {
    states.iter().map(|state| state.text.chars().count()).max().unwrap_or_default()
}

/// A colour of text, as Grafana from 10 on reads it and as 9 does.
fn coloured() -> [Value; 2] {
    [
        json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}),
        json!({"id": "custom.displayMode", "value": "color-text"}),
    ]
}

/// What is said of single columns.
pub(super) fn columns(spec: &PanelSpec, frame: Frame<'_>) -> Vec<Value> {
    let mut all = down::of_columns(spec, frame);
    all.push(json!({
        "matcher": {"id": "byType", "options": "number"},
        "properties": [{"id": "mappings", "value": mappings(spec.states, [None; 2], Some(NOTHING))}],
    }));
    for target in spec.targets.iter().filter(|target| !target.legend.is_empty()) {
        let mut properties = vec![json!({"id": "unit", "value": target.unit})];
        if target.steps.base.is_some() {
            properties.push(json!({"id": "thresholds", "value": thresholds(&target.steps)}));
        }
        if !target.states.is_empty() {
            properties
                .push(json!({"id": "mappings", "value": mappings(target.states, [None; 2], Some(NOTHING))}));
        }
        if target.steps.base.is_some() || !target.states.is_empty() {
            properties.extend(coloured());
        }
        // Columns share the width of a phone evenly, whatever stands above them.
        let sorted = spec.sorted.iter().any(|(column, _)| *column == target.legend);
        let share = (target.unit == "percentunit").then_some(SHARE_WIDTH);
        if let Some(width) = least(&target.legend, sorted, longest(target.states)).max(share) {
            properties.push(json!({"id": "custom.minWidth", "value": width}));
        }
        all.push(json!({"matcher": {"id": "byName", "options": target.legend}, "properties": properties}));
    }
    let mut labels: Vec<&str> = spec.targets.iter().flat_map(|target| grouped(&target.expr)).collect();
    labels.sort_unstable();
    labels.dedup();
    // Columns share the width of a phone evenly, which cuts names and leaves room beside numbers. Of alerts more is said below.
    let own = labels.iter().filter(|label| !["alertname", "where", "severity", "priority"].contains(*label));
    let exprs: String = spec.targets.iter().map(|target| target.expr.as_str()).collect();
    let wide = |label: &&str| {
        let header = heading(label);
        let sorted = spec.sorted.iter().any(|(column, _)| *column == header);
        (room(label, &exprs) as usize).max(least(&header, sorted, 0).unwrap_or_default())
    };
    let wide = own.map(|label| (label, wide(label))).filter(|(_, width)| *width > LEAST_WIDTH);
    all.extend(wide.map(|(label, width)| as_wide(label, width)));
    if labels.contains(&"alertname") {
        all.extend(of_alerts());
    }
    all
}

/// A label's column that is so wide at least.
fn as_wide(label: &str, width: usize) -> Value {
    json!({
        "matcher": {"id": "byName", "options": heading(label)},
        "properties": [{"id": "custom.minWidth", "value": width}],
    })
}

/// Columns of a table of alerts: how bad each is, what it is and where.
fn of_alerts() -> Vec<Value> {
    let words: Map<String, Value> = SEVERITIES
        .iter()
        .enumerate()
        .map(|(index, (word, colour))| ((*word).to_owned(), json!({"color": colour, "index": index})))
        .collect();
    let mut properties = vec![json!({"id": "mappings", "value": [{"type": "value", "options": words}]})];
    properties.extend(coloured());
    // Two short words; where an alert is needs the width.
    properties.push(json!({"id": "custom.width", "value": 100}));
    vec![
        json!({"matcher": {"id": "byName", "options": heading("severity")}, "properties": properties}),
        json!({
            "matcher": {"id": "byName", "options": heading("priority")},
            "properties": [{"id": "custom.width", "value": 74}],
        }),
        as_wide("alertname", ALERT_WIDTH),
        as_wide("where", WHERE_WIDTH),
    ]
}

/// Where two agents are on one machine, one of them has another port, which stays.
fn without_port() -> Value {
    json!({"id": "renameByRegex", "options": {"regex": "/:9612( |$)/", "renamePattern": "$1"}})
}

/// Whether a table has more columns than a phone shows, and says which come first.
fn wide(spec: &PanelSpec) -> bool {
    let labels = spec.targets.iter().map(|target| grouped(&target.expr).len()).max().unwrap_or_default();
    spec.targets.len() + labels > 5 && !spec.first.is_empty()
}

/// A table's columns: one query's column is called `Value`, those of several `Value #A` and so on. Names of series lose the port that
/// each agent has by default: it says nothing, and a phone has no room for it.
pub(super) fn transformations(spec: &PanelSpec) -> Vec<Value> {
    if spec.panel != Panel::Table {
        let over_time =
            matches!(spec.panel, Panel::Lines | Panel::Stack | Panel::Columns | Panel::States | Panel::Cells);
        let machine = |of: &Target| {
            [MACHINE, MACHINE_FIRST, "{{instance}}"].iter().any(|name| of.legend.contains(name))
        };
        return if over_time && spec.targets.iter().any(machine) { vec![without_port()] } else { Vec::new() };
    }
    let several = spec.targets.len() > 1;
    let mut hidden = Map::from_iter([("Time".to_owned(), json!(true))]);
    if several {
        // Where one query alone has an answer, its column has no letter: nothing says which it is.
        hidden.insert("Value".to_owned(), json!(true));
    }
    let mut renamed = Map::new();
    for label in spec.targets.iter().flat_map(|target| grouped(&target.expr)) {
        renamed.insert(label.to_owned(), json!(heading(label)));
    }
    for (at, target) in spec.targets.iter().enumerate() {
        let column = if several { format!("Value #{}", letter(at)) } else { "Value".to_owned() };
        if target.legend.is_empty() {
            hidden.insert(column, json!(true));
        } else {
            renamed.insert(column, json!(target.legend));
        }
    }
    // What a table is about and what it says come before where that is: a phone shows four columns.
    let values = (0..spec.targets.len()).map(|at| format!("Value #{}", letter(at)));
    let values = values.filter(|column| wide(spec) && !spec.first.contains(&column.as_str()));
    let listed = spec.first.iter().map(|column| (*column).to_owned()).chain(values);
    let order: Map<String, Value> = listed.enumerate().map(|(at, column)| (column, json!(at))).collect();
    let organize = json!({"id": "organize", "options": {"excludeByName": hidden, "indexByName": order, "renameByName": renamed}});
    if several { vec![json!({"id": "merge", "options": {}}), organize] } else { vec![organize] }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chromium cuts "Opened" at 90 pixels and shows these whole.
    #[test]
    fn a_header_with_an_arrow_is_as_wide_as_it_was_seen() {
        let wide = |header| least(header, true, 0).unwrap_or(LEAST_WIDTH);
        assert_eq!((wide("Opened"), wide("Channel"), wide("Quality")), (95, 100, 93));
        assert_eq!((wide("Name"), wide("Up"), wide("Port")), (81, 80, 80));
        assert_eq!(least("Last seen", false, 0), Some(96));
        assert_eq!((room("source", "neural_source_up"), room("source", "neural_program_state")), (136, 121));
    }
}
