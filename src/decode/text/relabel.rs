//! Which scraped series are wanted and what they are called: allow and deny lists, relabelling steps.
//!
//! The steps mean what they mean to Prometheus, with one difference that comes from reading whole
//! metrics: a histogram or summary is one series here, called by its family's name, so no step sees
//! `_bucket`, `le` or `quantile`. A counter is seen with its `_total`. There is no `hashmod`, because
//! one agent does not share its targets with others.

use std::borrow::Cow;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Kind;

use super::openmetrics::{Labels, is_label_name};
use crate::re2;

/// The label that stands for the metric's name while steps run.
const NAME: &str = "__name__";

/// One relabelling step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RelabelStep {
    /// Labels whose values are joined and compared with `regex`. `__name__` is the metric's name.
    pub source_labels: Vec<String>,
    /// What stands between the joined values.
    pub separator: String,
    /// What the joined values must match from beginning to end; for `labelmap`, `labeldrop` and `labelkeep`, what a label's name must match.
    pub regex: String,
    /// The label that `replace`, `lowercase` and `uppercase` write. `$1` is the first group of `regex`.
    pub target_label: String,
    /// What `replace` writes, or the new name that `labelmap` gives. `$1` is the first group of `regex`; nothing removes the label.
    pub replacement: String,
    /// What is done with a match.
    pub action: Action,
}

impl Default for RelabelStep {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".into(),
            regex: "(.*)".into(),
            target_label: String::new(),
            replacement: "$1".into(),
            action: Action::default(),
        }
    }
}

/// What a step does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Writes `replacement` into `target_label`, if the values match.
    #[default]
    Replace,
    /// Drops the series whose values do not match.
    Keep,
    /// Drops the series whose values match.
    Drop,
    /// Copies every label whose name matches to the name in `replacement`.
    LabelMap,
    /// Removes every label whose name matches.
    LabelDrop,
    /// Removes every label whose name does not match.
    LabelKeep,
    /// Writes the joined values in lower case into `target_label`.
    Lowercase,
    /// Writes the joined values in upper case into `target_label`.
    Uppercase,
}

/// Lists and steps, ready to run.
#[derive(Clone, Debug, Default)]
pub struct Relabel {
    keep: Vec<Regex>,
    drop: Vec<Regex>,
    steps: Vec<(RelabelStep, Regex)>,
}

impl Relabel {
    /// Compiles name patterns and steps.
    ///
    /// # Errors
    /// A pattern that is no regular expression, or a step that lacks its target, in words for the user.
    pub fn compile(keep: &[String], drop: &[String], steps: &[RelabelStep]) -> Result<Self, String> {
        let compile_all =
            |patterns: &[String]| patterns.iter().map(|p| anchored(p)).collect::<Result<Vec<_>, _>>();
        let steps = steps.iter().enumerate().map(|(place, step)| {
            let wrong = |why: &str| format!("cannot use relabel step {}: {why}", place + 1);
            if matches!(step.action, Action::Replace | Action::Lowercase | Action::Uppercase)
                && step.target_label.is_empty()
            {
                return Err(wrong("it needs a target_label"));
            }
            let regex = anchored(&step.regex).map_err(|why| wrong(&why))?;
            Ok((step.clone(), regex))
        });
        Ok(Self {
            keep: compile_all(keep)?,
            drop: compile_all(drop)?,
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// Runs everything on one series. `false` if it is not wanted; then it is half changed.
    pub fn apply<'t>(&self, name: &mut Cow<'t, str>, kind: Kind, labels: &mut Labels<'t>) -> bool {
        if self.keep.is_empty() && self.drop.is_empty() && self.steps.is_empty() {
            return true;
        }
        let exposed = if kind == Kind::Counter { Cow::Owned(format!("{name}_total")) } else { name.clone() };
        let listed =
            |list: &[Regex]| list.iter().any(|regex| regex.is_match(&exposed) || regex.is_match(name));
        if (!self.keep.is_empty() && !listed(&self.keep)) || listed(&self.drop) {
            return false;
        }
        if self.steps.is_empty() {
            return true;
        }
        labels.push((NAME.into(), exposed));
        if !self.steps.iter().all(|(step, regex)| run(step, regex, labels)) {
            return false;
        }
        let renamed =
            labels.iter().position(|(label, _)| label == NAME).map(|place| labels.swap_remove(place).1);
        *name = match renamed {
            Some(renamed) if kind == Kind::Counter && renamed.ends_with("_total") => {
                renamed.strip_suffix("_total").unwrap_or_default().to_owned().into()
            }
            Some(renamed) => renamed,
            None => "".into(),
        };
        labels.retain(|(label, value)| !label.starts_with("__") && !value.is_empty());
        true
    }
}

/// A pattern that must match from beginning to end.
fn anchored(pattern: &str) -> Result<Regex, String> {
    re2::anchored(pattern).map_err(|why| format!("\"{pattern}\" is not a regular expression: {why}"))
}

/// Runs one step. `false` if it drops the series.
fn run<'t>(step: &RelabelStep, regex: &Regex, labels: &mut Labels<'t>) -> bool {
    match step.action {
        Action::LabelDrop => labels.retain(|(label, _)| label == NAME || !regex.is_match(label)),
        Action::LabelKeep => labels.retain(|(label, _)| label == NAME || regex.is_match(label)),
        Action::LabelMap => {
            let copies: Vec<(String, Cow<'t, str>)> = (labels.iter())
                .filter(|(label, _)| regex.is_match(label))
                .map(|(label, value)| {
                    (regex.replace(label, step.replacement.as_str()).into_owned(), value.clone())
                })
                .collect();
            for (label, value) in copies {
                write(labels, &label, value);
            }
        }
        _ => {
            let joined = join(step, labels);
            match step.action {
                Action::Keep => return regex.is_match(&joined),
                Action::Drop => return !regex.is_match(&joined),
                Action::Lowercase => write(labels, &step.target_label, joined.to_lowercase().into()),
                Action::Uppercase => write(labels, &step.target_label, joined.to_uppercase().into()),
                _ => {
                    if let Some(groups) = regex.captures(&joined) {
                        let (mut target, mut value) = (String::new(), String::new());
                        groups.expand(&step.target_label, &mut target);
                        groups.expand(&step.replacement, &mut value);
                        write(labels, &target, value.into());
                    }
                }
            }
        }
    }
    true
}

fn join(step: &RelabelStep, labels: &Labels<'_>) -> String {
    let mut joined = String::new();
    for (place, source) in step.source_labels.iter().enumerate() {
        if place > 0 {
            joined.push_str(&step.separator);
        }
        if let Some((_, value)) = labels.iter().find(|(label, _)| label == source) {
            joined.push_str(value);
        }
    }
    joined
}

/// Sets a label; an empty value removes it, and a name that is none is left alone.
fn write<'t>(labels: &mut Labels<'t>, label: &str, value: Cow<'t, str>) {
    if !is_label_name(label) {
        return;
    }
    let place = labels.iter().position(|(known, _)| known == label);
    match (place, value.is_empty()) {
        (Some(place), true) => {
            labels.swap_remove(place);
        }
        (Some(place), false) => {
            if let Some((_, old)) = labels.get_mut(place) {
                *old = value;
            }
        }
        (None, true) => {}
        (None, false) => labels.push((label.to_owned().into(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relabel(yaml: &str) -> Relabel {
        let steps: Vec<RelabelStep> = serde_yaml::from_str(yaml).unwrap();
        Relabel::compile(&[], &[], &steps).unwrap()
    }

    fn after(relabel: &Relabel, name: &str, kind: Kind, labels: &[(&str, &str)]) -> Option<String> {
        let mut name = Cow::Owned(name.to_owned());
        let mut labels: Labels<'static> =
            labels.iter().map(|(n, v)| ((*n).to_owned().into(), (*v).to_owned().into())).collect();
        relabel.apply(&mut name, kind, &mut labels).then(|| {
            labels.sort();
            let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
            format!("{name} {}", labels.join(" "))
        })
    }

    #[test]
    fn lists_choose_by_whole_name() {
        let lists = Relabel::compile(&["a.*".into(), "b_total".into()], &["a_bad".into()], &[]).unwrap();
        for (name, kind, wanted) in [
            ("a_x", Kind::Gauge, true),
            ("a_bad", Kind::Gauge, false),
            ("a_bad_not", Kind::Gauge, true),
            ("b", Kind::Counter, true),
            ("b", Kind::Gauge, false),
            ("xa", Kind::Gauge, false),
        ] {
            assert_eq!(after(&lists, name, kind, &[]).is_some(), wanted, "{name}");
        }
    }

    #[test]
    fn steps_mean_what_they_mean_to_prometheus() {
        let joined = relabel(
            "[{source_labels: [a, b], regex: '(.+);(.+)', target_label: c, replacement: '$2-${1}x'}]",
        );
        assert_eq!(after(&joined, "m", Kind::Gauge, &[("a", "1"), ("b", "2")]).unwrap(), "m a=1 b=2 c=2-1x");
        assert_eq!(after(&joined, "m", Kind::Gauge, &[("a", "1")]).unwrap(), "m a=1", "no match, no change");

        let removed = relabel("[{source_labels: [a], regex: '1', target_label: a, replacement: ''}]");
        assert_eq!(after(&removed, "m", Kind::Gauge, &[("a", "1")]).unwrap(), "m ");
        assert_eq!(after(&removed, "m", Kind::Gauge, &[("a", "11")]).unwrap(), "m a=11");

        let kept = relabel("[{source_labels: [a], regex: 'x|y', action: keep}]");
        assert!(after(&kept, "m", Kind::Gauge, &[("a", "x")]).is_some());
        assert!(after(&kept, "m", Kind::Gauge, &[("a", "xy")]).is_none());
        let dropped = relabel("[{source_labels: [__name__], regex: 'm_total', action: drop}]");
        assert!(after(&dropped, "m", Kind::Counter, &[]).is_none());
        assert!(after(&dropped, "m", Kind::Gauge, &[]).is_some());

        let mapped = relabel("[{regex: 'k_(.+)', action: labelmap}, {regex: 'k_.*', action: labeldrop}]");
        assert_eq!(after(&mapped, "m", Kind::Gauge, &[("k_a", "1"), ("b", "2")]).unwrap(), "m a=1 b=2");
        let only = relabel("[{regex: 'a', action: labelkeep}]");
        assert_eq!(after(&only, "m", Kind::Gauge, &[("a", "1"), ("b", "2")]).unwrap(), "m a=1");
        let cases = relabel(
            "[{source_labels: [a], target_label: l, action: lowercase}, {source_labels: [a], target_label: u, action: uppercase}]",
        );
        assert_eq!(after(&cases, "m", Kind::Gauge, &[("a", "xY")]).unwrap(), "m a=xY l=xy u=XY");
    }

    #[test]
    fn names_change_and_counters_keep_their_suffix() {
        let renamed = relabel(
            "[{source_labels: [__name__], regex: 'old_(.*)', target_label: __name__, replacement: 'new_$1'}]",
        );
        assert_eq!(after(&renamed, "old_a", Kind::Counter, &[]).unwrap(), "new_a ");
        assert_eq!(after(&renamed, "old_b", Kind::Histogram, &[("__tmp", "1")]).unwrap(), "new_b ");
    }

    #[test]
    fn a_bad_step_says_what_is_wrong_with_it() {
        let bad = RelabelStep { regex: "(".into(), action: Action::Keep, ..RelabelStep::default() };
        assert!(Relabel::compile(&[], &[], &[bad]).unwrap_err().starts_with("cannot use relabel step 1"));
        assert!(Relabel::compile(&[], &[], &[RelabelStep::default()]).unwrap_err().contains("target_label"));
        assert!(Relabel::compile(&["(".into()], &[], &[]).is_err());
    }
}
