//! What changes between two texts, by lines, for a person to read; between two dashboards, by panels. Secrets do not
//! appear in it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use serde_yaml::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use crate::secret::redacted;

/// Lines that are shown around a change.
const AROUND: usize = 2;
/// Lines that a diff has at most.
const LINES: usize = 200;
/// How long the smallest difference of two objects is looked for; what is left then is shown as replaced.
const TIME: Duration = Duration::from_secs(1);

/// The changed lines with `-` and `+`, and some around them. Empty if nothing changes.
#[must_use]
pub fn diff(old: &str, new: &str) -> String {
    until(old, new, end())
}

/// When the differences of an object that is looked at now have to be found.
#[expect(clippy::disallowed_methods, reason = "how long one looks for them is decided here")]
fn end() -> Instant {
    Instant::now() + TIME
}

/// The same as [`diff`], with what is found until then.
fn until(old: &str, new: &str, end: Instant) -> String {
    if old == new {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let lines = edits(&old, &new, end);
    let mut text = String::new();
    let (mut shown, mut last) = (0, None);
    for (place, (sign, line)) in lines.iter().enumerate() {
        let near = lines.iter().skip(place.saturating_sub(AROUND)).take(AROUND + 1 + place.min(AROUND));
        if !near.clone().any(|(sign, _)| *sign != ' ') {
            continue;
        }
        if shown == LINES {
            text.push_str("… and more\n");
            break;
        }
        if last.is_some_and(|last| last + 1 != place) {
            text.push_str("…\n");
        }
        last = Some(place);
        shown += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{sign} {}", redacted(line));
    }
    text
}

/// Every line of both, each with `-`, `+` or a blank.
fn edits<'a>(old: &[&'a str], new: &[&'a str], end: Instant) -> Vec<(char, &'a str)> {
    let mut lines = Vec::new();
    let mut add = |sign: char, of: &[&'a str], from: usize, count: usize| {
        lines.extend(of.iter().skip(from).take(count).map(|line| (sign, *line)));
    };
    for op in capture_diff_slices_deadline(Algorithm::Myers, old, new, Some(end)) {
        match op {
            DiffOp::Equal { old_index, len, .. } => add(' ', old, old_index, len),
            DiffOp::Delete { old_index, old_len, .. } => add('-', old, old_index, old_len),
            DiffOp::Insert { new_index, new_len, .. } => add('+', new, new_index, new_len),
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                add('-', old, old_index, old_len);
                add('+', new, new_index, new_len);
            }
        }
    }
    lines
}

/// What changes between two dashboards, by panel: each panel that changes is named, with the changed parts of it.
#[must_use]
pub(super) fn boards(old: &str, new: &str) -> String {
    let (Some(was), Some(is)) = (Board::read(old), Board::read(new)) else { return diff(old, new) };
    let (mut parts, end) = (Vec::new(), end());
    let about = until(&was.about, &is.about, end);
    if !about.is_empty() {
        parts.push(about);
    }
    let (names, others) = (is.names(), was.names());
    for (name, panel) in names.iter().zip(&is.panels) {
        match others.iter().position(|other| other == name).and_then(|place| was.panels.get(place)) {
            None => parts.push(format!("+ {name}\n")),
            Some(old) if old != panel => parts.push(changes(name, old, panel, end)),
            Some(_) => {}
        }
    }
    parts.extend(others.iter().filter(|name| !names.contains(name)).map(|name| format!("- {name}\n")));
    if parts.is_empty() && old != new {
        let moved = names != others;
        parts.push(if moved { "the order of the panels\n".to_owned() } else { until(old, new, end) });
    }
    let text = parts.concat();
    let mut lines: Vec<&str> = text.lines().take(LINES + 1).collect();
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines.push("… and more");
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// `panel "GPUs awake": fieldConfig.defaults.thresholds`, and the lines of each part that changes.
fn changes(name: &str, old: &Json, new: &Json, end: Instant) -> String {
    let mut paths = Vec::new();
    differing(old, new, &mut Vec::new(), &mut paths);
    let mut text = String::new();
    for path in paths {
        let at = |panel: &Json| {
            let there = path.iter().try_fold(panel, |value, key| value.get(key));
            there.map(|there| serde_json::to_string_pretty(there).unwrap_or_default()).unwrap_or_default()
        };
        let lines = until(&at(old), &at(new), end);
        // Writing to a string cannot fail.
        let _ = write!(text, "{name}: {}\n{lines}", path.join("."));
    }
    text
}

/// Where two values differ: the paths of mappings to what is in only one of them, or is no mapping in both.
fn differing(old: &Json, new: &Json, at: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let (Json::Object(was), Json::Object(is)) = (old, new) else {
        paths.extend((old != new).then(|| at.clone()));
        return;
    };
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for key in keys {
        at.push(key.clone());
        match (was.get(key), is.get(key)) {
            (Some(old), Some(new)) => differing(old, new, at, paths),
            _ => paths.push(at.clone()),
        }
        at.pop();
    }
}

/// A dashboard, taken apart.
struct Board {
    /// Everything but the panels.
    about: String,
    /// Every panel, those of closed rows as well.
    panels: Vec<Json>,
}

impl Board {
    /// Takes the text of a dashboard apart: a line with its folder, and its model.
    fn read(text: &str) -> Option<Self> {
        let (folder, model) = text.split_once('\n')?;
        let mut model: Json = serde_json::from_str(model).ok()?;
        without_saved(&mut model);
        let mut panels = Vec::new();
        for mut panel in model.as_object_mut()?.remove("panels")?.as_array()?.iter().cloned() {
            let inner = panel.as_object_mut().and_then(|panel| panel.remove("panels"));
            panels.push(panel);
            panels.extend(inner.and_then(|inner| inner.as_array().cloned()).unwrap_or_default());
        }
        let about = format!("{folder}\n{}\n", serde_json::to_string_pretty(&model).ok()?);
        Some(Self { about, panels })
    }

    /// What each panel is called; by its number as well where another one has the same title.
    fn names(&self) -> Vec<String> {
        let word = |panel: &Json, key: &str| match panel.get(key) {
            Some(Json::String(word)) => word.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let name = |panel: &Json| {
            let what = if word(panel, "type") == "row" { "row" } else { "panel" };
            format!("{what} \"{}\"", word(panel, "title"))
        };
        let names: Vec<String> = self.panels.iter().map(name).collect();
        let twice = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
        let whole = |(name, panel): (&String, &Json)| {
            if twice(name) { format!("{name} ({})", word(panel, "id")) } else { name.clone() }
        };
        names.iter().zip(&self.panels).map(whole).collect()
    }
}

/// Leaves away what a browser changes in a dashboard whenever it saves it, in which the edit would be lost: of each number the form,
/// what is null, the schema that it was migrated to, and the target of the annotations that each dashboard has.
fn without_saved(model: &mut Json) {
    if let Some(map) = model.as_object_mut() {
        for key in ["schemaVersion", "style", "revision"] {
            map.remove(key);
        }
    }
    let marks = model.pointer_mut("/annotations/list").and_then(Json::as_array_mut);
    for mark in marks.into_iter().flatten().filter_map(Json::as_object_mut) {
        if mark.contains_key("builtIn") {
            mark.remove("target");
        }
    }
    plain(model);
}

/// The same value without nulls in mappings, and with whole numbers as such.
fn plain(value: &mut Json) {
    match value {
        Json::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(plain);
        }
        Json::Array(items) => items.iter_mut().for_each(plain),
        Json::Number(number) => {
            let whole = number.as_f64().filter(|of| number.is_f64() && of.fract() == 0.0 && of.abs() < 1e15);
            // Within what an i64 holds.
            if let Some(whole) = whole {
                *value = Json::from(whole as i64);
            }
        }
        _ => {}
    }
}

/// Words that the key of a secret has in an Alertmanager's configuration. What ends in `_file` is none.
const SECRETS: &[&str] = &[
    "password",
    "secret",
    "token",
    "key",
    "credentials",
    "url",
    "authorization",
    "bearer",
    "headers",
    "identity",
];

/// A YAML text with `<secret>` where secrets may be; nothing but a word about it if it is not YAML.
#[must_use]
pub(super) fn conceal(text: &str) -> String {
    match serde_yaml::from_str::<Value>(text) {
        Ok(mut value) => {
            conceal_value(&mut value);
            serde_yaml::to_string(&value).unwrap_or_default()
        }
        Err(_) => "# not YAML, and not shown because it may hold secrets\n".to_owned(),
    }
}

fn conceal_value(value: &mut Value) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                let key = key.as_str().unwrap_or_default().to_ascii_lowercase();
                let secret = SECRETS.iter().any(|word| key.contains(word));
                if secret && !key.ends_with("_file") && key != "runbook_url" && !value.is_null() {
                    *value = Value::String("<secret>".to_owned());
                } else {
                    conceal_value(value);
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(conceal_value),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_shown_with_its_neighbours() {
        let old: String = (0..20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n5\n", "\nfive\n").replace("\n15\n", "\n15\n15b\n");
        assert_eq!(diff(&old, &new), "  3\n  4\n- 5\n+ five\n  6\n  7\n…\n  14\n  15\n+ 15b\n  16\n  17\n");
        assert_eq!(diff(&old, &old), "");
        assert_eq!(diff("", "a\n"), "+ a\n");
        assert_eq!(diff("a\n", ""), "- a\n");
        assert_eq!(diff("a\nb\nc\n", "b\nc\na\n"), "- a\n  b\n  c\n+ a\n");
    }

    #[test]
    fn large_texts_are_cut() {
        let (old, new): (String, String) =
            ((0..3000).map(|n| format!("a{n}\n")).collect(), (0..3000).map(|n| format!("b{n}\n")).collect());
        let text = diff(&old, &new);
        assert_eq!(text.lines().count(), LINES + 1);
        assert!(text.ends_with("… and more\n"));
    }

    #[test]
    fn texts_that_differ_throughout_take_no_minutes() {
        // Every line is in both, and no two that follow each other in one do so in the other.
        let text =
            |step: usize| -> String { (0..200_000).map(|n| format!("{}\n", n * step % 200_003)).collect() };
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let begun = Instant::now();
        let redacted = diff(&text(1), &text(77_777));
        assert!(begun.elapsed() < TIME * 8, "{:?}", begun.elapsed());
        assert_eq!(redacted.lines().count(), LINES + 1);
    }

    #[test]
    fn a_difference_in_no_panel_is_shown() {
        let old = board("A", "{\"id\": 1, \"title\": \"Heat\"}");
        let flat = old.replace("  \"title\": \"A\"", "\"title\": \"A\"");
        assert_ne!(old, flat);
        assert!(boards(&old, &flat).contains("+ \"title\": \"A\""), "{}", boards(&old, &flat));
    }

    #[test]
    fn two_changes_far_from_each_other_stay_two() {
        let old: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 1\n", "first\n").replace("line 4998\n", "last\n");
        let redacted = diff(&old, &new);
        assert_eq!(redacted.lines().filter(|line| line.starts_with(['-', '+'])).count(), 4, "{redacted}");
        assert!(redacted.lines().count() < 20);
    }

    fn board(title: &str, panels: &str) -> String {
        let model: Json =
            serde_json::from_str(&format!("{{\"title\": \"{title}\", \"panels\": [{panels}]}}")).unwrap();
        format!("folder: f\n{}\n", serde_json::to_string_pretty(&model).unwrap())
    }

    #[test]
    fn dashboards_are_compared_by_panels() {
        let awake = |limit: u32| {
            format!(
                "{{\"id\": 1, \"title\": \"GPUs awake\", \"fieldConfig\": {{\"defaults\": {{\"max\": 1, \"thresholds\": [{limit}]}}}}}}"
            )
        };
        let more = "{\"id\": 2, \"title\": \"Memory\"}";
        let row = "{\"id\": 3, \"type\": \"row\", \"title\": \"More\", \"panels\": [{\"id\": 4, \"title\": \"Heat\"}]}";
        let old = board("A", &format!("{}, {more}, {row}", awake(1)));
        let new = board("B", &format!("{more}, {}, {}", awake(2), row.replace("Heat", "Cold")));
        assert_eq!(
            boards(&old, &new),
            "  folder: f\n  {\n-   \"title\": \"A\"\n+   \"title\": \"B\"\n  }\n\
             panel \"GPUs awake\": fieldConfig.defaults.thresholds\n  [\n-   1\n+   2\n  ]\n\
             + panel \"Cold\"\n- panel \"Heat\"\n"
        );
        assert_eq!(boards(&old, &old), "");
        let two = board("A", &format!("{more}, {}", awake(1)));
        assert_eq!(boards(&two, &board("A", &format!("{}, {more}", awake(1)))), "the order of the panels\n");
        assert_eq!(boards("folder: f\nno JSON\n", &two), diff("folder: f\nno JSON\n", &two));
    }

    /// As a browser with Grafana 9.4 saved a dashboard of which one title was changed.
    #[test]
    fn what_a_browser_saves_besides_hides_no_edit() {
        let text = |model: Json| format!("folder: f\n{}\n", serde_json::to_string_pretty(&model).unwrap());
        let ours = text(json!({
            "annotations": {"list": [{"builtIn": 1, "name": "Annotations & Alerts"}]},
            "panels": [{"title": "Use", "max": 1.0, "min": 0.0, "steps": [{"color": "green", "value": null}, {"value": 0.5}]}],
            "schemaVersion": 39,
        }));
        let saved = |title: &str| {
            text(json!({
                "annotations": {"list": [{"builtIn": 1, "name": "Annotations & Alerts", "target": {"limit": 100}}]},
                "panels": [{"title": title, "max": 1, "min": 0, "steps": [{"color": "green"}, {"value": 0.5}]}],
                "revision": 1, "schemaVersion": 37, "style": "dark",
            }))
        };
        assert_eq!(boards(&saved("By hand"), &ours), "+ panel \"Use\"\n- panel \"By hand\"\n");
        // It was saved, and nothing else was done: that is not silent.
        assert!(boards(&saved("Use"), &ours).contains("schemaVersion"));
    }

    #[test]
    fn panels_of_one_title_are_told_apart() {
        let two = |limit: u32| {
            format!("{{\"id\": 1, \"title\": \"A\"}}, {{\"id\": 2, \"title\": \"A\", \"max\": {limit}}}")
        };
        assert_eq!(boards(&board("T", &two(1)), &board("T", &two(2))), "panel \"A\" (2): max\n- 1\n+ 2\n");
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "global: {slack_api_url: 'https://hooks/T0/abc', smtp_auth_password_file: /run/p}\n\
                    receivers:\n- name: a\n  pagerduty_configs: [{routing_key: abc}]\n\
                    \x20 webhook_configs:\n  - url: >-\n      http://u:abc@h/\n";
        let shown = conceal(text);
        assert!(!shown.contains("abc"), "{shown}");
        assert!(shown.contains("/run/p") && shown.contains("name: a"), "{shown}");
        assert!(!conceal("a: [abc").contains("abc"));
    }
}
