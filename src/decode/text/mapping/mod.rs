//! Mapping files of statsd_exporter: rules that turn dotted names into names with labels.
//!
//! An existing file loads unchanged. What it asks for and does not get here, such as a summary, is
//! reported in plain sentences and not in an error. It opens no file and makes no name legal.

mod document;
mod file;
mod report;

use std::sync::Arc;

use regex::{Regex, RegexSet};

pub use self::report::Problem;
pub use super::glob::StatsdType;
use super::glob::{Globs, Template};

/// The rules of one file.
#[derive(Debug, Default)]
pub struct Mapper {
    rules: Vec<Rule>,
    globs: Option<Globs>,
    /// Positions in `rules` of those that are regular expressions, and all of these at once.
    expressions: Vec<usize>,
    any: Option<RegexSet>,
    ttl: u32,
    bounds: Option<Arc<[f64]>>,
    edition: u32,
    decides: bool,
}

#[derive(Debug)]
struct Rule {
    kind: Option<StatsdType>,
    shape: Shape,
    drop: bool,
    honor_labels: bool,
    help: String,
    ttl: u32,
    bounds: Option<Arc<[f64]>>,
    scale: f64,
}

#[derive(Debug)]
enum Shape {
    Glob { name: Template, labels: Vec<(String, Template)> },
    Expression { pattern: Regex, name: String, labels: Vec<(String, String)> },
}

/// What the rules make of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped<'m> {
    /// No rule fits: the name stands as it is.
    Unmatched,
    /// It is to be thrown away.
    Dropped,
    /// A rule fits.
    Renamed(Renamed<'m>),
}

/// A name and labels by a rule. The name is not made legal yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Renamed<'m> {
    /// The metric's name.
    pub name: String,
    /// Labels that the rule sets.
    pub labels: Vec<(&'m str, String)>,
    /// Whether a tag of the line beats a label of the rule.
    pub honor_labels: bool,
    /// What the metric means; may be empty.
    pub help: &'m str,
    /// Seconds until a silent series leaves; 0 if nobody said.
    pub ttl: u32,
    /// Upper bounds of a histogram's buckets.
    pub bounds: Option<Arc<[f64]>>,
    /// What values are multiplied by.
    pub scale: f64,
}

/// What must be known of a name before its value can be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether its lines are thrown away.
    pub drop: bool,
    /// What its values are multiplied by.
    pub scale: f64,
}

impl Mapper {
    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Seconds until a silent series leaves that no rule fits; 0 if nobody said.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Buckets of a histogram that no rule fits.
    #[must_use]
    pub fn bounds(&self) -> Option<Arc<[f64]>> {
        self.bounds.clone()
    }

    /// A number that differs between files with different text.
    #[must_use]
    pub fn edition(&self) -> u32 {
        self.edition
    }

    /// Whether some rule drops lines or scales values, so that [`Mapper::verdict`] must be asked.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.decides
    }

    /// What must be known of a line's name before its value can be used.
    #[must_use]
    pub fn verdict(&self, name: &str, kind: StatsdType) -> Verdict {
        let rule = self.find(name, kind);
        Verdict {
            drop: rule.as_ref().is_some_and(|found| found.rule().drop),
            scale: rule.as_ref().map_or(1.0, |found| found.rule().scale),
        }
    }

    /// What becomes of the metric `name`, bare of tags.
    #[must_use]
    pub fn map(&self, name: &str, kind: StatsdType) -> Mapped<'_> {
        let Some(found) = self.find(name, kind) else { return Mapped::Unmatched };
        let rule = found.rule();
        if rule.drop {
            return Mapped::Dropped;
        }
        let (new_name, labels) = match (&rule.shape, &found) {
            (Shape::Glob { name, labels }, RuleMatch::Glob(_, caught)) => {
                let labels = labels.iter().map(|(k, v)| (k.as_str(), v.fill(caught))).collect();
                (name.fill(caught), labels)
            }
            (Shape::Expression { pattern, name: new_name, labels }, _) => {
                let Some(caught) = pattern.captures(name) else { return Mapped::Unmatched };
                let fill = |template: &str| {
                    let mut out = String::new();
                    caught.expand(template, &mut out);
                    out
                };
                (fill(new_name), labels.iter().map(|(k, v)| (k.as_str(), fill(v))).collect())
            }
            (Shape::Glob { .. }, RuleMatch::Expression(_)) => return Mapped::Unmatched,
        };
        Mapped::Renamed(Renamed {
            name: new_name,
            labels,
            honor_labels: rule.honor_labels,
            help: &rule.help,
            ttl: rule.ttl,
            bounds: rule.bounds.clone(),
            scale: rule.scale,
        })
    }

    /// Globs first, then the expressions in the order of the file.
    fn find<'m, 'n>(&'m self, name: &'n str, kind: StatsdType) -> Option<RuleMatch<'m, 'n>> {
        if let Some((rule, caught)) = self.globs.as_ref().and_then(|globs| globs.find(name, kind)) {
            return self.rules.get(rule as usize).map(|rule| RuleMatch::Glob(rule, caught));
        }
        let fits = |rule: &&Rule| rule.kind.is_none_or(|only| only == kind);
        let rule = |at: usize| self.expressions.get(at).and_then(|at| self.rules.get(*at));
        if let Some(any) = &self.any {
            return any.matches(name).into_iter().filter_map(rule).find(fits).map(RuleMatch::Expression);
        }
        let matches =
            |rule: &&Rule| matches!(&rule.shape, Shape::Expression { pattern, .. } if pattern.is_match(name));
        (0..self.expressions.len()).filter_map(rule).filter(fits).find(matches).map(RuleMatch::Expression)
    }
}

enum RuleMatch<'m, 'n> {
    Glob(&'m Rule, Vec<&'n str>),
    Expression(&'m Rule),
}

impl<'m> RuleMatch<'m, '_> {
    fn rule(&self) -> &'m Rule {
        match self {
            Self::Glob(rule, _) | Self::Expression(rule) => rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StatsdType::{Counter, Gauge, Observer};
    use super::*;

    fn mapper(yaml: &str) -> Mapper {
        Mapper::parse(yaml).unwrap_or_else(|problems| panic!("{problems:?}")).0
    }

    /// `name{k=v,…}`, `drop` or `-`.
    fn mapped(mapper: &Mapper, name: &str, kind: StatsdType) -> String {
        match mapper.map(name, kind) {
            Mapped::Unmatched => "-".into(),
            Mapped::Dropped => "drop".into(),
            Mapped::Renamed(renamed) => {
                let labels: Vec<_> = renamed.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{}{{{}}}", renamed.name, labels.join(","))
            }
        }
    }

    #[test]
    fn globs_come_before_expressions_and_expressions_in_order() {
        let mapper = mapper(
            r#"
mappings:
- match: '(?P<what>\w+)\.(.*)-(.*)'
  match_type: regex
  name: "by_${2}"
  labels: {what: "$what", all: "$0", none: "$1x", cents: "$$5"}
- match: 'lab\..*'
  match_type: regex
  name: later
- match: "lab.*"
  name: glob
  labels: {rig: "rig-$1"}
- match: '^gone'
  match_type: regex
  action: drop
- match: gone.not
  match_metric_type: gauge
  name: kept
"#,
        );
        for (name, want) in [
            ("lab.a-b", "glob{rig=rig-a-b}"),
            ("lab.x.y-z", "by_x.y{all=lab.x.y-z,cents=$5,none=,what=lab}"),
            ("lab.x.y", "later{}"),
            ("gone.too", "drop"),
            ("else", "-"),
        ] {
            assert_eq!(mapped(&mapper, name, Counter), want, "{name}");
        }
        assert_eq!(mapped(&mapper, "gone.not", Counter), "drop");
        assert_eq!(mapped(&mapper, "gone.not", Gauge), "kept{}");
    }

    #[test]
    fn an_expression_for_another_type_is_passed_over() {
        let mapper = mapper(
            "
mappings:
- {match: '.*', match_type: regex, match_metric_type: observer, name: seen}
- {match: '.*', match_type: regex, match_metric_type: counter, name: counted}
",
        );
        assert_eq!(mapped(&mapper, "x", Observer), "seen{}");
        assert_eq!(mapped(&mapper, "x", Counter), "counted{}");
        assert_eq!(mapped(&mapper, "x", Gauge), "-");
    }

    #[test]
    fn verdicts_are_asked_for_only_when_a_rule_needs_one() {
        assert!(!mapper("mappings: [{match: a.*, name: a}]").decides());
        let mapper = mapper(
            "
mappings:
- {match: size.kb, name: size_bytes, scale: 1024}
- {match: noise.*, action: drop}
",
        );
        assert!(mapper.decides());
        assert_eq!(mapper.verdict("size.kb", Gauge), Verdict { drop: false, scale: 1024.0 });
        assert_eq!(mapper.verdict("noise.x", Gauge), Verdict { drop: true, scale: 1.0 });
        assert_eq!(mapper.verdict("other", Gauge), Verdict { drop: false, scale: 1.0 });
    }

    #[test]
    fn no_rules_match_nothing() {
        let mapper = Mapper::default();
        assert_eq!(mapped(&mapper, "a.b", Counter), "-");
        assert!(mapper.is_empty() && !mapper.decides());
        assert_ne!(mapper.edition(), self::mapper("").edition());
    }

    const RULE: &str = "- {match: 'rig{i}.*.stage.*', name: 'm{i}', labels: {a: '$1', b: '$2'}}\n";

    #[test]
    fn a_thousand_rules_answer_quickly() {
        let mut yaml = String::from("mappings:\n");
        for i in 0..1000 {
            yaml.push_str(&RULE.replace("{i}", &i.to_string()));
        }
        let mapper = mapper(&yaml);
        assert_eq!(mapped(&mapper, "rig999.x.stage.y", Counter), "m999{a=x,b=y}");
        for i in 0..100_000_u32 {
            assert_eq!(mapper.map(&format!("random.{i}.stage"), Counter), Mapped::Unmatched);
        }
    }
}
