//! The generated files, sorted by what they are pushed as. It takes them by their paths and changes nothing.

use serde_json::Value;

use crate::render::File;

/// Where dashboards lie that have a fixed id.
const DASHBOARDS: &str = "dashboards/";
/// Where rules lie. Folders below it are for people, tests for example.
const RULES: &str = "alert-rules/";
/// Where rules lie that are evaluated over logs.
const LOG_RULES: &str = "alert-rules/loki/";
/// The configuration of an Alertmanager.
const ALERTMANAGER: &str = "provisioning/alertmanager/";

/// What Grafana's own alerting cannot find in rules.
const ALERTING: &str = "provisioning/grafana/alerting/";

/// Everything that can be pushed.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    /// In the order of their files.
    pub dashboards: Vec<Dashboard>,
    /// In the order of their names.
    pub rules: Vec<RuleFile>,
    /// Rules over logs, in the order of their names.
    pub log_rules: Vec<RuleFile>,
    /// The text of the Alertmanager's configuration, if there is one.
    pub alertmanager: Option<String>,
    /// Quiet hours, each with its `name`, as Grafana's API takes them.
    pub mute_timings: Vec<Value>,
    /// The files themselves.
    pub files: Vec<File>,
}

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Its fixed id.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// The whole model.
    pub model: Value,
}

/// A file of rules in the format of Prometheus.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// The file's name: `device.yml`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its groups.
    pub groups: Vec<Group>,
}

/// A group of rules.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many rules it has.
    pub rules: usize,
    /// The group as it stands in the file.
    pub value: serde_yaml::Value,
}

impl Bundle {
    /// Sorts files.
    ///
    /// # Errors
    /// Every file that is not what its place says.
    pub fn of(files: Vec<File>) -> Result<Self, Vec<String>> {
        let (mut bundle, mut wrong) = (Self::default(), Vec::new());
        let mut tell = |path: &str, why: String| wrong.push(format!("{path}: {why}"));
        for File { path, text } in &files {
            if path.starts_with(DASHBOARDS) && path.ends_with(".json") {
                match dashboard(text) {
                    Ok(dashboard) => bundle.dashboards.push(dashboard),
                    Err(why) => tell(path, why),
                }
            } else if let Some(name) = direct(path, RULES) {
                match rule_file(name, text) {
                    Ok(rules) => bundle.rules.push(rules),
                    Err(why) => tell(path, why),
                }
            } else if let Some(name) = direct(path, LOG_RULES) {
                match rule_file(name, text) {
                    Ok(rules) => bundle.log_rules.push(rules),
                    Err(why) => tell(path, why),
                }
            } else if direct(path, ALERTING).is_some() {
                match mute_timings(text) {
                    Ok(timings) => bundle.mute_timings.extend(timings),
                    Err(why) => tell(path, why),
                }
            } else if let Some(name) = direct(path, ALERTMANAGER)
                && (bundle.alertmanager.is_none() || name == "alertmanager.yml")
            {
                bundle.alertmanager = Some(text.clone());
            }
        }
        bundle.files = files;
        if wrong.is_empty() { Ok(bundle) } else { Err(wrong) }
    }
}

/// The name of a file of rules for Prometheus, if that is what a path leads to.
pub(super) fn rules_of(path: &str) -> Option<&str> {
    direct(path, RULES)
}

/// The name of a YAML file that lies in a folder itself.
fn direct<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let name = path.strip_prefix(folder)?;
    (!name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"))).then_some(name)
}

fn dashboard(text: &str) -> Result<Dashboard, String> {
    let model: Value = serde_json::from_str(text).map_err(|why| format!("not JSON: {why}"))?;
    let word = |key: &str| model.get(key).and_then(Value::as_str).map(str::to_owned);
    let uid = word("uid").ok_or("a dashboard without a fixed uid cannot be pushed twice")?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if uid.is_empty() || uid.len() > 40 || !uid.chars().all(good) {
        return Err(format!("\"{uid}\" is not a uid: up to 40 of a-z, A-Z, 0-9, \"-\" and \"_\""));
    }
    let title = word("title").filter(|title| !title.is_empty()).ok_or("a dashboard needs a title")?;
    Ok(Dashboard { uid, title, model })
}

/// The mute timings of a file in the format of Grafana's file provisioning.
fn mute_timings(text: &str) -> Result<Vec<Value>, String> {
    let value: Value = serde_yaml::from_str(text).map_err(|why| format!("not YAML: {why}"))?;
    let timings = value.get("muteTimes").and_then(Value::as_array).cloned().unwrap_or_default();
    let named =
        |timing: &Value| timing.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if timings.iter().all(named) { Ok(timings) } else { Err("every mute timing has a name".to_owned()) }
}

/// The groups of a file, each with its name.
///
/// # Errors
/// What makes it no file of rules.
pub(super) fn rule_file(name: &str, text: &str) -> Result<RuleFile, String> {
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|why| format!("not YAML: {why}"))?;
    let groups = value.get("groups").and_then(serde_yaml::Value::as_sequence);
    let groups = groups.ok_or("a file of rules has a list of groups")?;
    let group = |value: &serde_yaml::Value| {
        let name = value.get("name").and_then(serde_yaml::Value::as_str)?.to_owned();
        let rules = value.get("rules").and_then(serde_yaml::Value::as_sequence).map_or(0, Vec::len);
        Some(Group { name, rules, value: value.clone() })
    };
    let groups: Option<Vec<Group>> = groups.iter().map(group).collect();
    let groups = groups.ok_or("every group of rules has a name")?;
    Ok(RuleFile { name: name.to_owned(), text: text.to_owned(), groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn files_are_taken_by_their_places() {
        let bundle = Bundle::of(vec![
            file("alert-rules/device.yml", "groups: [{name: device, rules: [{record: a, expr: b}]}]"),
            file("alert-rules/tests/device.yml", "tests: []"),
            file("alert-rules/loki/agent.yml", "groups: [{name: log, rules: []}]"),
            file("dashboards/kustomization.yml", "kind: Kustomization"),
            file("provisioning/alertmanager/alertmanager.yml", "route: {receiver: a}"),
            file("provisioning/alertmanager/fragment.yml", "routes: []"),
            file("provisioning/grafana/alerting/quiet.yml", "muteTimes: [{orgId: 1, name: night}]"),
            file("dashboards/overview.json", "{\"uid\":\"neural\",\"title\":\"Overview\"}"),
        ])
        .unwrap();
        assert_eq!(bundle.rules.len(), 1);
        assert_eq!(bundle.rules[0].groups[0].rules, 1);
        assert_eq!(bundle.log_rules[0].groups[0].name, "log");
        assert_eq!(bundle.alertmanager.as_deref(), Some("route: {receiver: a}"));
        assert_eq!(bundle.dashboards[0].uid, "neural");
        assert_eq!(bundle.mute_timings[0]["name"], "night");
        assert_eq!(bundle.files.len(), 8);
    }

    #[test]
    fn every_file_that_is_wrong_is_told() {
        let wrong = Bundle::of(vec![
            file("alert-rules/a.yml", "groups: 1"),
            file("alert-rules/b.yml", "groups: [{rules: []}]"),
            file("dashboards/c.json", "{\"title\":\"No id\"}"),
            file("dashboards/d.json", "{\"title\":\"Bad id\",\"uid\":\"a b\"}"),
            file("provisioning/grafana/alerting/e.yml", "muteTimes: [{orgId: 1}]"),
        ])
        .unwrap_err();
        assert_eq!(wrong.len(), 5, "{wrong:#?}");
    }
}
