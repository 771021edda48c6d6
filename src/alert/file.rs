//! A rule file as Prometheus writes and checks it. Fact: `model/rulefmt` of Prometheus.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::rule::{Act, Rule};
use super::template::Template;
use crate::document::{self, Path, Positions, Problem};
use crate::promql::{self, NAME, read_duration};

/// A file of rules, read and checked.
#[derive(Debug)]
pub struct RuleFile {
    /// Its groups, in its order.
    pub groups: Vec<Definition>,
}

/// A group as a file defines it.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name, unique within the file.
    pub name: String,
    /// Milliseconds from one evaluation to the next, if it says so.
    pub interval: Option<i64>,
    /// How many milliseconds in the past its rules look.
    pub offset: Option<i64>,
    /// How many series or alerts a rule may have; 0 for any number.
    pub limit: usize,
    /// Its rules, in its order.
    pub rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    groups: Option<Vec<GroupText>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupText {
    #[serde(default)]
    name: String,
    interval: Option<String>,
    query_offset: Option<String>,
    #[serde(default)]
    limit: Option<i64>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    rules: Option<Vec<RuleText>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(default)]
    record: String,
    #[serde(default)]
    alert: String,
    #[serde(default)]
    expr: String,
    #[serde(rename = "for")]
    hold: Option<String>,
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl RuleFile {
    /// Reads a file; `name` is how problems call it.
    ///
    /// # Errors
    /// What Prometheus refuses as well, each with its line.
    pub fn read(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (file, places): (Option<File>, Positions) = document::lenient(name, text)?;
        let mut reader = Reader { file: name, places: &places, problems: Vec::new() };
        let mut names = HashSet::new();
        let mut groups = Vec::new();
        for (at, group) in file.and_then(|file| file.groups).unwrap_or_default().into_iter().enumerate() {
            let path = Path::from("groups").item(at);
            if group.name.is_empty() {
                reader.wrong(&path, "a group needs a name".into());
            } else if !names.insert(group.name.clone()) {
                reader.wrong(
                    &path.key("name"),
                    format!("the group \"{}\" is defined twice in this file", group.name),
                );
            }
            groups.push(reader.group(&path, group));
        }
        if reader.problems.is_empty() { Ok(Self { groups }) } else { Err(reader.problems) }
    }
}

struct Reader<'p> {
    file: &'p str,
    places: &'p Positions,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, path: &Path, message: String) {
        let place = self.places.value(path);
        self.problems.push(Problem {
            line: place.line,
            column: place.column,
            ..Problem::of_file(self.file, message)
        });
    }

    fn duration(&mut self, path: &Path, text: Option<String>) -> Option<i64> {
        match read_duration(&text?) {
            Ok(milliseconds) => Some(milliseconds),
            Err(why) => {
                self.wrong(path, why);
                None
            }
        }
    }

    fn group(&mut self, path: &Path, group: GroupText) -> Definition {
        let limit = usize::try_from(group.limit.unwrap_or(0)).unwrap_or(0);
        let shared = group.labels.unwrap_or_default();
        self.labels(&path.key("labels"), &shared, "");
        let mut rules = Vec::new();
        for (at, rule) in group.rules.unwrap_or_default().into_iter().enumerate() {
            rules.extend(self.rule(&path.key("rules").item(at), rule, &shared));
        }
        Definition {
            name: group.name,
            interval: self.duration(&path.key("interval"), group.interval).filter(|interval| *interval > 0),
            offset: self.duration(&path.key("query_offset"), group.query_offset),
            limit,
            rules,
        }
    }

    fn rule(&mut self, path: &Path, text: RuleText, shared: &BTreeMap<String, String>) -> Option<Rule> {
        let before = self.problems.len();
        let expr = match promql::parse(&text.expr) {
            _ if text.expr.is_empty() => {
                self.wrong(path, "a rule needs an expr".into());
                None
            }
            Ok(expr) => Some(expr),
            Err(error) => {
                self.wrong(&path.key("expr"), format!("could not parse expression: {}", error.text));
                None
            }
        };
        let mut labels = shared.clone();
        labels.extend(text.labels.unwrap_or_default());
        self.labels(&path.key("labels"), &labels, &text.alert);
        let annotations = text.annotations.unwrap_or_default();
        let hold = self.duration(&path.key("for"), text.hold);
        let keep = self.duration(&path.key("keep_firing_for"), text.keep_firing_for);
        let act = match (text.record.is_empty(), text.alert.is_empty()) {
            (true, true) => {
                self.wrong(path, "one of record and alert must be set".into());
                return None;
            }
            (false, false) => {
                self.wrong(path, "only one of record and alert may be set".into());
                return None;
            }
            (false, true) => {
                for (set, key) in [
                    (hold.is_some(), "for"),
                    (keep.is_some(), "keep_firing_for"),
                    (!annotations.is_empty(), "annotations"),
                ] {
                    if set {
                        self.wrong(&path.key(key), format!("a recording rule takes no {key}"));
                    }
                }
                if !metric_name(&text.record) {
                    self.wrong(
                        &path.key("record"),
                        format!("\"{}\" is not the name of a metric", text.record),
                    );
                }
                Act::Record(text.record)
            }
            (true, false) => Act::Alert {
                name: text.alert,
                hold: hold.unwrap_or(0),
                keep_firing: keep.unwrap_or(0),
                annotations: self.templates(&path.key("annotations"), annotations),
            },
        };
        let labels = match act {
            Act::Record(_) => {
                labels.into_iter().map(|(name, value)| (name, Template::Plain(value))).collect()
            }
            Act::Alert { .. } => self.templates(&path.key("labels"), labels),
        };
        // The last look at it: everything that is wrong with it was said.
        let expr = expr.filter(|_| self.problems.len() == before)?;
        Some(Rule::new(act, text.expr, expr, labels))
    }

    fn labels(&mut self, path: &Path, labels: &BTreeMap<String, String>, alert: &str) {
        for name in labels.keys() {
            if name == NAME || !label_name(name) {
                self.wrong(&path.key(name), format!("\"{name}\" cannot be a label of a rule"));
            }
            if !alert.is_empty() && name == super::ALERT_NAME {
                self.wrong(&path.key(name), "the label alertname is the name of the alert; omit it".into());
            }
        }
    }

    fn templates(&mut self, path: &Path, texts: BTreeMap<String, String>) -> Vec<(String, Template)> {
        let mut templates = Vec::new();
        for (name, text) in texts {
            match Template::parse(&text) {
                Ok(template) => templates.push((name, template)),
                Err(why) => self.wrong(&path.key(&name), format!("{name}: the template: {why}")),
            }
        }
        templates
    }
}

fn label_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn metric_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}
