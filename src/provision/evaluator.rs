//! Who evaluates the alert rules, so that each alert exists once: Grafana where a target says so, and then the others get
//! the recording rules alone. Pure: it reads the settings and the rules, and changes copies of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_yaml::Value;

use super::bundle::{self, Bundle, Group, RuleFile};
use super::plan::{Action, Kind, Step};
use super::ruler::span;
use super::settings::Target;
use super::target::Rules;
use crate::render::{File, RULES_OF_OPERATOR};

/// Seconds between two looks of Grafana's scheduler: intervals are multiples of it (`ValidateRuleGroupInterval`, 9 to 13).
const TICK: u64 = 10;

/// Who gets which rules.
pub(super) struct Share {
    /// Whether a Grafana evaluates the alert rules.
    grafana: bool,
    /// Whether a target gets the recording rules.
    recorded: bool,
}

impl Share {
    pub(super) fn of(targets: &[Target]) -> Self {
        let recorder = |target: &Target| matches!(rules_in(target), Rules::Evaluated | Rules::Filed);
        Self { grafana: targets.iter().any(evaluates), recorded: targets.iter().any(recorder) }
    }

    /// What a target gets of everything that is generated.
    pub(super) fn part<'a>(&self, target: &Target, all: &'a Bundle) -> Cow<'a, Bundle> {
        match rules_in(target) {
            Rules::Alerting => Cow::Owned(alerts(all)),
            Rules::Evaluated | Rules::Filed if self.grafana => Cow::Owned(recordings(all)),
            _ => Cow::Borrowed(all),
        }
    }

    /// Why a target cannot get a group, by the group's name: its alerts ask for series that nobody records.
    pub(super) fn orphans(&self, target: &Target, all: &Bundle) -> BTreeMap<String, String> {
        let mut orphans = BTreeMap::new();
        if self.recorded || !evaluates(target) {
            return orphans;
        }
        let records: Vec<&str> =
            groups(all).flat_map(rules).filter_map(|rule| word(rule, "record")).collect();
        for group in groups(all) {
            let needs = |rule: &&Value| {
                let expression = word(rule, "expr").unwrap_or_default();
                word(rule, "alert").is_some() && names(expression).any(|name| records.contains(&name))
            };
            let Some(rule) = rules(group).find(needs) else { continue };
            let expression = word(rule, "expr").unwrap_or_default();
            let series = names(expression).find(|name| records.contains(name)).unwrap_or_default();
            let why = format!(
                "{} needs {series}, which no target records\n  hint: add a target `prometheus:` or `mimir:` that gets \
                 the recording rules, or a `directory:` whose alert-rules a Prometheus loads",
                word(rule, "alert").unwrap_or_default()
            );
            orphans.insert(group.name.clone(), why);
        }
        orphans
    }

    /// What a person should know where rules of an earlier push stay that another server evaluates now.
    pub(super) fn doubled(&self, target: &Target, steps: &[Step]) -> Option<String> {
        let rules = |step: &Step| match step.kind {
            Kind::RuleFile | Kind::RuleGroup => true,
            Kind::File => bundle::rules_of(&step.name).is_some(),
            _ => false,
        };
        if !steps.iter().any(|step| step.action == Action::Leave && rules(step)) {
            return None;
        }
        let reason = match rules_in(target) {
            Rules::Evaluated if self.grafana => {
                "Grafana evaluates the alert rules now, and those that stay here notify a second time; --prune removes them"
            }
            Rules::Filed if self.grafana => {
                "Grafana evaluates the alert rules now, and a server that loads the rule files that stay here notifies a \
                 second time; --prune removes them"
            }
            Rules::Shown => {
                "another server evaluates the alert rules now, and those that stay here notify a second time, unless \
                 another agent pushes them; --prune --force removes them"
            }
            _ => return None,
        };
        Some(reason.to_owned())
    }

    /// What a person should know of the part of a target.
    pub(super) fn remarks(&self, target: &Target, all: &Bundle) -> Vec<String> {
        if !evaluates(target) {
            return Vec::new();
        }
        let mut slower: BTreeMap<(String, u64), Vec<&str>> = BTreeMap::new();
        for group in groups(all).filter(|group| rules(group).any(|rule| word(rule, "alert").is_some())) {
            let text = word(&group.value, "interval").unwrap_or_default();
            if let Some(seconds) = rounded(&group.value)
                && span(text) != format!("{seconds}s")
            {
                slower.entry((text.to_owned(), seconds)).or_default().push(&group.name);
            }
        }
        let describe = |((text, seconds), names): (&(String, u64), &Vec<&str>)| {
            format!(
                "evaluated every {seconds} s and not every {text}, because Grafana's scheduler takes multiples of {TICK} s: {}",
                names.join(", ")
            )
        };
        slower.iter().map(describe).collect()
    }
}

/// The names of the other targets that evaluate the alert rules as well as this one.
pub(super) fn others<'a>(target: &Target, targets: &'a [Target]) -> Vec<&'a str> {
    if !evaluates(target) {
        return Vec::new();
    }
    let other = |of: &&Target| evaluates(of) && of.name() != target.name();
    targets.iter().filter(other).map(Target::name).collect()
}

fn rules_in(target: &Target) -> Rules {
    target.settings().rules()
}

/// Whether a server that rules are pushed to evaluates them.
#[must_use]
pub fn evaluated_elsewhere(targets: &[Target]) -> bool {
    targets.iter().any(|target| matches!(rules_in(target), Rules::Evaluated | Rules::Filed | Rules::Alerting))
}

fn evaluates(target: &Target) -> bool {
    rules_in(target) == Rules::Alerting
}

fn groups(bundle: &Bundle) -> impl Iterator<Item = &Group> {
    bundle.rules.iter().flat_map(|file| &file.groups)
}

fn rules(group: &Group) -> impl Iterator<Item = &Value> {
    group.value.get("rules").and_then(Value::as_sequence).into_iter().flatten()
}

fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The names that an expression has: of series, functions, labels and whatever stands in its strings.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
}

/// The interval of a group that Grafana takes, if the group has one.
fn rounded(group: &Value) -> Option<u64> {
    let text = span(word(group, "interval")?);
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    // Casting a float keeps within the bounds of the integer.
    Some(((seconds.max(0.0).ceil() as u64).max(1)).div_ceil(TICK).saturating_mul(TICK))
}

/// The alert rules, at intervals that Grafana takes.
fn alerts(all: &Bundle) -> Bundle {
    let rules = all.rules.iter().filter_map(|file| {
        let mut file = only(file, "alert")?;
        for group in &mut file.groups {
            let seconds = rounded(&group.value);
            let Some(map) = group.value.as_mapping_mut() else { continue };
            if let Some(seconds) = seconds {
                map.insert("interval".into(), format!("{seconds}s").into());
            }
            for rule in map.get_mut("rules").and_then(Value::as_sequence_mut).into_iter().flatten() {
                for key in ["annotations", "labels"] {
                    let texts = rule.get_mut(key).and_then(Value::as_mapping_mut);
                    for (_, text) in texts.into_iter().flat_map(serde_yaml::Mapping::iter_mut) {
                        if let Value::String(text) = text {
                            *text = template(text);
                        }
                    }
                }
            }
        }
        Some(file)
    });
    Bundle { rules: rules.collect(), ..all.clone() }
}

/// A template as Grafana expands it. Its `$value` is a sentence about every node of a rule, and what takes a number of it
/// leaves the template as it stands; the number is that of the query. A rule without data has none.
fn template(text: &str) -> String {
    static WHOLE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\{\{(-?)\s*\$value\s*((?:\|[^{}]*?)?)\s*(-?)\}\}").ok());
    static PART: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$value\b").ok());
    let (Some(whole), Some(part)) = (&*WHOLE, &*PART) else { return text.to_owned() };
    let text = whole.replace_all(text, |parts: &Captures<'_>| {
        let part = |number: usize| parts.get(number).map_or("", |part| part.as_str()).trim();
        let pipe = if part(2).is_empty() { String::new() } else { format!("{} ", part(2)) };
        format!("{{{{{} with $values.query }}}}{{{{ .Value {pipe}}}}}{{{{ end {}}}}}", part(1), part(3))
    });
    part.replace_all(&text, "$$values.query.Value").into_owned()
}

/// The recording rules, and no file that says otherwise.
fn recordings(all: &Bundle) -> Bundle {
    let rules: Vec<RuleFile> = all.rules.iter().filter_map(|file| only(file, "record")).collect();
    let mut files = Vec::new();
    for file in &all.files {
        let Some(name) = bundle::rules_of(&file.path) else {
            // The tests of the alert rules go where these are.
            let kept = !file.path.starts_with("alert-rules/tests/");
            let text = if file.path == RULES_OF_OPERATOR { operator(&file.text) } else { file.text.clone() };
            files.extend(kept.then(|| File { path: file.path.clone(), text }));
            continue;
        };
        let text = rules.iter().find(|of| of.name == name).map(|of| of.text.clone());
        files.extend(text.map(|text| File { path: file.path.clone(), text }));
    }
    Bundle { rules, files, ..all.clone() }
}

/// The recording rules of an object of the Prometheus operator. What is no such object stays as it is.
fn operator(text: &str) -> String {
    let Ok(mut object) = serde_yaml::from_str::<Value>(text) else { return text.to_owned() };
    let groups = object.get_mut("spec").and_then(|spec| spec.get_mut("groups"));
    let Some(groups) = groups.and_then(Value::as_sequence_mut) else { return text.to_owned() };
    for rules in groups.iter_mut().filter_map(|group| group.get_mut("rules")?.as_sequence_mut()) {
        rules.retain(|rule| rule.get("record").is_some());
    }
    let some = |rules: &Value| rules.as_sequence().is_some_and(|rules| !rules.is_empty());
    groups.retain(|group| group.get("rules").is_some_and(some));
    format!("{}{}", alone("record"), serde_yaml::to_string(&object).unwrap_or_default())
}

/// The first line of a file with the rules of one kind alone.
fn alone(kind: &str) -> String {
    format!("# The {kind}ing rules alone; Grafana evaluates the others.\n")
}

/// A file with the rules of one kind alone; nothing if it has none of them.
fn only(file: &RuleFile, kind: &str) -> Option<RuleFile> {
    let mut kept = Vec::new();
    for group in &file.groups {
        let rules: Vec<Value> = rules(group).filter(|rule| rule.get(kind).is_some()).cloned().collect();
        let mut value = group.value.clone();
        if rules.is_empty() {
            continue;
        }
        let count = rules.len();
        if let Some(map) = value.as_mapping_mut() {
            map.insert("rules".into(), Value::Sequence(rules));
        }
        kept.push(Group { name: group.name.clone(), rules: count, value });
    }
    if kept.is_empty() {
        return None;
    }
    let count = |groups: &[Group]| groups.iter().map(|group| group.rules).sum::<usize>();
    if count(&kept) == count(&file.groups) {
        return Some(file.clone());
    }
    let values: Vec<Value> = kept.iter().map(|group| group.value.clone()).collect();
    let whole: serde_yaml::Mapping = [("groups".into(), Value::Sequence(values))].into_iter().collect();
    let text = serde_yaml::to_string(&whole).unwrap_or_default();
    let text = format!("{}{text}", alone(kind));
    Some(RuleFile { name: file.name.clone(), text, groups: kept })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        Bundle::of(vec![
            file(
                "alert-rules/device.yml",
                "groups: [{name: device, interval: 15s, rules: [\
                 {record: 'device:loss:rate', expr: 'rate(loss[5m])'}, {alert: Lost, expr: 'device:loss:rate > 1', for: 5m}]},\
                 {name: quiet, interval: 1m, rules: [{alert: Quiet, expr: 'up == 0'}]}]",
            ),
            file("alert-rules/rates.yml", "groups: [{name: rates, rules: [{record: 'a:b', expr: c}]}]"),
            file("alert-rules/tests/device.yml", "tests: []"),
            file("METRICS.md", "metrics"),
            file(
                RULES_OF_OPERATOR,
                "kind: PrometheusRule\nspec: {groups: [{name: device, rules: [\
                 {record: 'device:loss:rate', expr: 'rate(loss[5m])'}, {alert: Lost, expr: 'device:loss:rate > 1'}]},\
                 {name: quiet, rules: [{alert: Quiet, expr: 'up == 0'}]}]}",
            ),
        ])
        .unwrap()
    }

    fn targets(text: &str) -> Vec<Target> {
        let value: serde_json::Value = serde_yaml::from_str(text).unwrap();
        serde_json::from_value(value).unwrap()
    }

    const GRAFANA: &str = "- grafana: {url: 'http://g', alerts: grafana, alerts_datasource: p}\n";

    #[test]
    fn where_grafana_evaluates_the_others_record() {
        let all = bundle();
        let text = format!(
            "{GRAFANA}- prometheus: {{url: 'http://p', rules_directory: /r}}\n- directory: {{path: /d}}\n- loki: {{url: 'http://l'}}"
        );
        let targets = targets(&text);
        let share = Share::of(&targets);
        let part = share.part(&targets[0], &all);
        let names: Vec<&str> = groups(&part).map(|group| &*group.name).collect();
        assert_eq!(names, ["device", "quiet"], "recording rules stay with whoever has the data");
        assert!(groups(&part).all(|group| rules(group).all(|rule| rule.get("alert").is_some())));
        let intervals: Vec<_> = groups(&part).map(|group| word(&group.value, "interval")).collect();
        assert_eq!(intervals, [Some("20s"), Some("60s")]);
        assert_eq!(
            word(rules(groups(&part).next().unwrap()).next().unwrap(), "for"),
            Some("5m"),
            "what an alert waits stays"
        );

        let part = share.part(&targets[1], &all);
        assert_eq!(part.rules.len(), 2);
        assert!(groups(&part).all(|group| rules(group).all(|rule| rule.get("record").is_some())));
        assert!(!part.rules[0].text.contains("alert:") && part.rules[0].text.contains("interval: 15s"));
        assert_eq!(part.rules[1].text, all.rules[1].text, "a file that has no alerts stays as it is");

        let files = &share.part(&targets[2], &all).files;
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(
            paths,
            ["alert-rules/device.yml", "alert-rules/rates.yml", "METRICS.md", RULES_OF_OPERATOR]
        );
        assert_eq!(files[0].text, part.rules[0].text);
        let object: Value = serde_yaml::from_str(&files[3].text).unwrap();
        let [group] = &object["spec"]["groups"].as_sequence().unwrap()[..] else { panic!("{object:?}") };
        assert_eq!((&object["kind"], &group["name"]), (&"PrometheusRule".into(), &"device".into()));
        let [rule] = &group["rules"].as_sequence().unwrap()[..] else { panic!("{group:?}") };
        assert_eq!(rule["record"], "device:loss:rate");
        assert!(
            matches!(share.part(&targets[3], &all), Cow::Borrowed(_)),
            "rules over logs are nobody else's"
        );
        assert!(share.orphans(&targets[0], &all).is_empty());
        let remarks = share.remarks(&targets[0], &all);
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(
            remarks[0].starts_with("evaluated every 20 s and not every 15s")
                && remarks[0].ends_with(": device")
        );
    }

    #[test]
    fn where_grafana_only_shows_everything_stays() {
        let all = bundle();
        let targets =
            targets("- grafana: {url: 'http://g'}\n- prometheus: {url: 'http://p', rules_directory: /r}");
        let share = Share::of(&targets);
        for target in &targets {
            assert!(matches!(share.part(target, &all), Cow::Borrowed(_)));
            assert!(share.remarks(target, &all).is_empty() && share.orphans(target, &all).is_empty());
        }
    }

    #[test]
    fn what_nobody_records_is_refused() {
        let targets = targets(GRAFANA);
        let orphans = Share::of(&targets).orphans(&targets[0], &bundle());
        assert_eq!(orphans.keys().collect::<Vec<_>>(), ["device"]);
        assert!(orphans["device"].starts_with("Lost needs device:loss:rate, which no target records\n"));
    }

    #[test]
    fn rules_that_stay_are_named_whatever_they_stand_in() {
        let text = format!(
            "{GRAFANA}- prometheus: {{url: 'http://p', rules_directory: /r}}\n- directory: {{path: /d}}\n- mimir: {{url: 'http://m'}}"
        );
        let (with, without) = (targets(&text), targets(&text.replace("alerts: grafana", "alerts: none")));
        let left = |kind: Kind, name: &str| [Step::bare(kind, name, Action::Leave, None)];
        let (file, group) = (left(Kind::RuleFile, "a.yml"), left(Kind::RuleGroup, "a"));
        let plain = left(Kind::File, "alert-rules/device.yml");
        for (place, steps) in [(1, &file), (2, &plain), (3, &group)] {
            let reported = Share::of(&with).doubled(&with[place], steps);
            assert!(
                reported.is_some_and(|reported| reported.contains("second time; --prune removes")),
                "{place}"
            );
            assert_eq!(Share::of(&without).doubled(&without[place], steps), None, "{place}");
        }
        let reported = Share::of(&without).doubled(&without[0], &group);
        assert!(reported.is_some_and(|reported| reported.ends_with("--prune --force removes them")));
        assert_eq!(Share::of(&with).doubled(&with[0], &group), None, "it evaluates them itself");
        for steps in [left(Kind::File, "METRICS.md"), left(Kind::File, "alert-rules/tests/device.yml")] {
            assert_eq!(Share::of(&with).doubled(&with[2], &steps), None, "no rules");
        }
        let same = [Step::bare(Kind::File, "alert-rules/device.yml", Action::Unchanged, None)];
        assert_eq!(Share::of(&with).doubled(&with[2], &same), None);
    }

    #[test]
    fn two_that_evaluate_are_known() {
        let targets = targets(&format!("{GRAFANA}{}", GRAFANA.replace("url:", "name: second, url:")));
        assert_eq!(others(&targets[0], &targets), ["second"]);
        assert_eq!(others(&targets[1], &targets), ["grafana"]);
    }

    #[test]
    fn numbers_in_texts_are_those_of_the_query() {
        for (text, want) in [
            (
                "{{ $value | humanize }} of it",
                "{{ with $values.query }}{{ .Value | humanize }}{{ end }} of it",
            ),
            ("{{$value}}", "{{ with $values.query }}{{ .Value }}{{ end }}"),
            ("{{- $value -}}", "{{- with $values.query }}{{ .Value }}{{ end -}}"),
            ("{{ if gt $value 1.0 }}a{{ end }}", "{{ if gt $values.query.Value 1.0 }}a{{ end }}"),
            ("{{ $labels.device }} of $values.a", "{{ $labels.device }} of $values.a"),
        ] {
            assert_eq!(template(text), want);
        }
    }

    #[test]
    fn intervals_are_what_the_scheduler_takes() {
        for (text, want) in
            [("15s", 20), ("10s", 10), ("1m", 60), ("1s", 10), ("0s", 10), ("61s", 70), ("1500ms", 10)]
        {
            let group: Value = serde_yaml::from_str(&format!("interval: {text}")).unwrap();
            assert_eq!(rounded(&group), Some(want), "{text}");
        }
        assert_eq!(rounded(&serde_yaml::from_str("name: a").unwrap()), None);
    }
}
