//! The shape of a mapping file, and every mistake in one.
//!
//! It does not apply a rule.

use std::hash::BuildHasher;
use std::sync::Arc;

use regex::RegexSet;

use super::super::glob::{Globs, StatsdType, Template, is_pattern};
use super::document::{Defaults, Entry, File, HistogramOptions};
use super::report::{LEGACY, MappingReport, NATIVE, Problem, SUMMARY};
use super::{Mapper, Rule, Shape};
use crate::document;
use crate::re2;

impl Mapper {
    /// Reads a mapping file. Beside the rules, gives sentences about what in it has no effect.
    ///
    /// # Errors
    /// Every mistake in it; only the first, if it cannot be read as YAML of this shape.
    pub fn parse(yaml: &str) -> Result<(Self, Vec<String>), Vec<Problem>> {
        let (file, places): (Option<File>, _) = document::lenient("", yaml)
            .map_err(|problems| problems.into_iter().map(Problem::from).collect::<Vec<_>>())?;
        let file = file.unwrap_or_default();
        let defaults = file.defaults.unwrap_or_default();
        let mut said = MappingReport::default();
        let base = Base::read(&defaults, &mut said);
        let entries = file.mappings.unwrap_or_default();
        let mut globs = Globs::new(defaults.glob_disable_ordering);
        let mut rules = Vec::with_capacity(entries.len());
        for (number, entry) in (0_u32..).zip(&entries) {
            said.rule = Some(number);
            if let Some(rule) = Rule::read(entry, &base, &mut globs, number, &mut said) {
                rules.push(rule);
            }
        }
        if !said.problems.is_empty() {
            return Err(said.placed(&places));
        }
        let expression = |(at, rule): (usize, &Rule)| match &rule.shape {
            Shape::Expression { pattern, .. } => Some((at, pattern.as_str().to_owned())),
            Shape::Glob { .. } => None,
        };
        let (expressions, patterns): (Vec<_>, Vec<_>) =
            rules.iter().enumerate().filter_map(expression).unzip();
        let mapper = Self {
            decides: rules.iter().any(|rule| rule.drop || rule.scale != 1.0),
            // Too large a set is no mistake: the expressions are then asked one by one.
            any: if patterns.is_empty() { None } else { RegexSet::new(patterns).ok() },
            expressions,
            rules,
            globs: Some(globs),
            ttl: base.ttl,
            bounds: base.bounds,
            edition: foldhash::quality::FixedState::default().hash_one(yaml) as u32,
        };
        Ok((mapper, said.notes()))
    }
}

/// What rules inherit.
struct Base {
    expression: bool,
    histogram: bool,
    ttl: u32,
    bounds: Option<Arc<[f64]>>,
}

impl Base {
    fn read(defaults: &Defaults, said: &mut MappingReport) -> Self {
        let observer = defaults.observer_type.as_deref().or(defaults.timer_type.as_deref());
        let histogram = observer_is_histogram(observer, false, said);
        said.note_deprecated(defaults.summary_options.is_some() || defaults.quantiles.is_some(), SUMMARY);
        said.note_deprecated(
            defaults.timer_type.is_some() || defaults.buckets.is_some() || defaults.quantiles.is_some(),
            LEGACY,
        );
        Self {
            expression: match_is_expression(defaults.match_type.as_deref(), false, said),
            histogram,
            ttl: defaults.ttl.as_deref().map_or(0, |text| ttl(text, said)),
            bounds: bounds(defaults.histogram_options.as_ref(), defaults.buckets.as_deref(), said),
        }
    }
}

impl Rule {
    /// Reads one rule; its mistakes are in `said`.
    fn read(
        entry: &Entry,
        base: &Base,
        globs: &mut Globs,
        number: u32,
        said: &mut MappingReport,
    ) -> Option<Self> {
        let before = said.problems.len();
        let (drop, kind) = (entry.drops(said), entry.kind(said));
        entry.check_names(drop, said);
        let scale = entry.scale.unwrap_or(1.0);
        if !scale.is_finite() {
            said.problem("scale is not a finite number");
        }
        let ttl = entry.ttl.as_deref().map_or(0, |text| ttl(text, said));
        entry.check_observer(base, said);
        let own_bounds = bounds(entry.histogram_options.as_ref(), entry.buckets.as_deref(), said);
        let shape = if match_is_expression(entry.match_type.as_deref(), base.expression, said) {
            entry.expression(said)
        } else {
            entry.glob(globs, kind, number, said)
        };
        (said.problems.len() == before).then_some(())?;
        Some(Self {
            kind,
            shape: shape?,
            drop,
            honor_labels: entry.honor_labels,
            help: entry.help.clone().unwrap_or_default(),
            ttl: if ttl == 0 { base.ttl } else { ttl },
            bounds: own_bounds.or_else(|| base.bounds.clone()),
            scale,
        })
    }
}

impl Entry {
    /// Whether what matches is dropped.
    fn drops(&self, said: &mut MappingReport) -> bool {
        match self.action.as_deref() {
            None | Some("" | "map") => false,
            Some("drop") => true,
            Some(other) => {
                said.problem(format_args!("action \"{other}\" is neither map nor drop"));
                false
            }
        }
    }

    /// The type of metric that it is for, if not for all.
    fn kind(&self, said: &mut MappingReport) -> Option<StatsdType> {
        match self.match_metric_type.as_deref()? {
            "counter" => Some(StatsdType::Counter),
            "gauge" => Some(StatsdType::Gauge),
            "observer" => Some(StatsdType::Observer),
            other => {
                said.problem(format_args!(
                    "match_metric_type \"{other}\" is none of counter, gauge and observer"
                ));
                None
            }
        }
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn labels(&self) -> impl Iterator<Item = (&String, &String)> {
        self.labels.iter().flatten()
    }

    fn check_names(&self, drop: bool, said: &mut MappingReport) {
        let name = self.name();
        if name.is_empty() && !drop {
            said.problem("the name is missing");
        } else if !name.is_empty() && !is_name(name) {
            said.problem(format_args!("\"{name}\" is not a metric name"));
        }
        for (label, _) in self.labels().filter(|(label, _)| !is_label(label)) {
            said.problem(format_args!("\"{label}\" is not a label name"));
        }
    }

    /// What is wrong with the options of histograms and summaries, and which of them mean nothing here.
    fn check_observer(&self, base: &Base, said: &mut MappingReport) {
        let observer = self.observer_type.as_deref().or(self.timer_type.as_deref());
        let histogram = observer_is_histogram(observer, base.histogram, said);
        if observer.is_some() && histogram && self.summary_options.is_some() {
            said.problem("a histogram has no summary_options");
        }
        if observer.is_some() && !histogram && self.histogram_options.is_some() {
            said.problem("a summary has no histogram_options");
        }
        let quantiles = self.quantiles.is_some();
        if quantiles && self.summary_options.as_ref().is_some_and(|o| o.quantiles.is_some()) {
            said.problem("quantiles are given twice");
        }
        said.note_deprecated(self.summary_options.is_some() || quantiles, SUMMARY);
        said.note_deprecated(self.timer_type.is_some() || self.buckets.is_some() || quantiles, LEGACY);
    }

    fn expression(&self, said: &mut MappingReport) -> Option<Shape> {
        match re2::compile(&self.pattern) {
            Ok(pattern) => {
                let labels = self.labels().map(|(key, text)| (key.clone(), text.clone())).collect();
                Some(Shape::Expression { pattern, name: self.name().to_owned(), labels })
            }
            Err(why) => {
                said.problem(format_args!("\"{}\" is not a regular expression: {why}", self.pattern));
                None
            }
        }
    }

    fn glob(
        &self,
        globs: &mut Globs,
        kind: Option<StatsdType>,
        number: u32,
        said: &mut MappingReport,
    ) -> Option<Shape> {
        let pattern = &self.pattern;
        if !is_pattern(pattern) {
            said.problem(format_args!("\"{pattern}\" is not a glob over a dotted name"));
            return None;
        }
        if globs.add(pattern, kind, number) {
            said.note(format_args!("an earlier rule matches \"{pattern}\" too, so this one never applies"));
        }
        let stars = pattern.split('.').filter(|component| *component == "*").count();
        let template = |of: &str, text: &str, said: &mut MappingReport| {
            let template = Template::new(text);
            if template.misses(stars) {
                said.note(format_args!("{of} refers to more than the match catches; that part stays empty"));
            }
            template
        };
        let name = template("the name", self.name(), said);
        let label =
            |(key, text): (&String, &String)| (key.clone(), template(&format!("label {key}"), text, said));
        Some(Shape::Glob { name, labels: self.labels().map(label).collect() })
    }
}

/// Whether timers are asked to be histograms. They are, either way.
fn observer_is_histogram(observer: Option<&str>, base: bool, said: &mut MappingReport) -> bool {
    match observer {
        None => base,
        Some("histogram") => true,
        Some("" | "summary") => {
            said.note_deprecated(true, SUMMARY);
            false
        }
        Some(other) => {
            said.problem(format_args!("observer_type \"{other}\" is neither histogram nor summary"));
            false
        }
    }
}

fn match_is_expression(match_type: Option<&str>, base: bool, said: &mut MappingReport) -> bool {
    match match_type {
        None => base,
        Some("regex") => true,
        Some("" | "glob") => false,
        Some(other) => {
            said.problem(format_args!("match_type \"{other}\" is neither glob nor regex"));
            false
        }
    }
}

/// The buckets of either spelling, without an infinite one.
fn bounds(
    options: Option<&HistogramOptions>,
    legacy: Option<&[f64]>,
    said: &mut MappingReport,
) -> Option<Arc<[f64]>> {
    let native = |o: &HistogramOptions| {
        o.native_histogram_bucket_factor.is_some() || o.native_histogram_max_buckets.is_some()
    };
    said.note_deprecated(options.is_some_and(native), NATIVE);
    let own = options.and_then(|options| options.buckets.as_deref());
    if own.is_some() && legacy.is_some() {
        said.problem("buckets are given twice");
    }
    let bounds = own.or(legacy)?;
    let bounds = bounds.strip_suffix(&[f64::INFINITY]).unwrap_or(bounds);
    if bounds.iter().any(|bound| !bound.is_finite()) || !bounds.is_sorted_by(|a, b| a < b) {
        said.problem("buckets are not finite numbers that grow");
    }
    (!bounds.is_empty()).then(|| Arc::from(bounds))
}

/// Whole seconds of a span written as in Go, such as `1m20s`; a part of a second counts as one.
fn ttl(text: &str, said: &mut MappingReport) -> u32 {
    if text == "0" || text.is_empty() {
        return 0;
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => f64::NAN,
        };
        seconds += number.parse::<f64>().unwrap_or(f64::NAN) * scale;
        rest = after;
    }
    if seconds.is_nan() {
        said.problem(format_args!("ttl \"{text}\" is not a time such as 30s or 1m20s"));
        return 0;
    }
    // A cast of a float stops at the ends of the range.
    seconds.ceil() as u32
}

/// A metric name in which references may stand for characters.
fn is_name(name: &str) -> bool {
    let mut rest = name;
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let legal = match c {
            'a'..='z' | 'A'..='Z' | '_' => rest.strip_prefix(c),
            '0'..='9' if !first => rest.strip_prefix(c),
            '$' => {
                let inner = rest.strip_prefix("${").or_else(|| rest.strip_prefix('$')).unwrap_or(rest);
                let after = inner.trim_start_matches(|c: char| c.is_ascii_digit());
                (after.len() < inner.len()).then(|| after.strip_prefix('}').unwrap_or(after))
            }
            _ => None,
        };
        let Some(after) = legal else { return false };
        rest = after;
        first = false;
    }
    !first
}

fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !name.starts_with("__")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str) -> (Mapper, Vec<String>) {
        Mapper::parse(yaml).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn problems(yaml: &str) -> Vec<String> {
        let decoded = |p: Problem| match (p.line, p.column) {
            (Some(line), Some(column)) => format!("{line}:{column}: {}", p.message),
            _ => p.message,
        };
        Mapper::parse(yaml).map(|_| ()).unwrap_err().into_iter().map(decoded).collect()
    }

    #[test]
    fn an_empty_file_is_no_rules() {
        for empty in ["", "---\n", "# nothing\n", "mappings:\n", "mappings: []\ndefaults:\n"] {
            assert!(load(empty).0.is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn everything_is_accepted_and_what_has_no_effect_is_told() {
        let (mapper, notes) = load(
            r#"
defaults:
  observer_type: histogram
  match_type: glob
  glob_disable_ordering: yes
  ttl: 1m20s
  summary_options:
    quantiles: [{quantile: 0.99, error: 0.001}]
    max_age: 5m
    age_buckets: 2
    buf_cap: 1000
  histogram_options:
    buckets: [.005, 1, 2.5]
    native_histogram_bucket_factor: 1.1
    native_histogram_max_buckets: 160
mappings:
- match: a.*
  name: a
  labels: {version: 1.10, build: 007, on: yes, what: "$2"}
  honor_labels: true
  help: All of a
  match_metric_type: observer
  histogram_options: {buckets: [1, 10, .inf]}
  ttl: 1500ms
  scale: 1e-3
  action: map
- match: a.*
  name: never
  match_metric_type: observer
- match: old.*
  name: old
  timer_type: histogram
  buckets: [1, 2]
- match: older.*
  name: older
  timer_type: summary
  quantiles: [{quantile: 0.5, error: 0.1}]
- match: .
  match_type: regex
  action: drop
"#,
        );
        assert_eq!(mapper.len(), 5);
        assert_eq!((mapper.ttl(), mapper.bounds().as_deref()), (80, Some(&[0.005, 1.0, 2.5][..])));
        let super::super::Mapped::Renamed(a) = mapper.map("a.x", StatsdType::Observer) else { panic!() };
        assert_eq!((a.ttl, a.scale, a.help, a.honor_labels), (2, 0.001, "All of a", true));
        assert_eq!(a.bounds.as_deref(), Some(&[1.0, 10.0][..]));
        let labels: Vec<_> = a.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(labels, ["build=007", "on=yes", "version=1.10", "what="]);
        assert_eq!(
            notes,
            [
                "rule 1: label what refers to more than the match catches; that part stays empty".to_owned(),
                "rule 2: an earlier rule matches \"a.*\" too, so this one never applies".to_owned(),
                format!("{NATIVE} (1 place)"),
                format!("{SUMMARY} (2 places)"),
                format!("{LEGACY} (2 places)"),
            ]
        );
    }

    #[test]
    fn yaml_is_what_go_makes_of_it() {
        let (mapper, _) = load(
            "\u{feff}mappings:
- &usual
  match: a.*
  name: a
  labels: {none: ~, word: 'null', version: 1_000}
  ttl: null
  scale: 1_000
- <<: *usual
  match: b.*
  match_type: ~
  help: null
",
        );
        for name in ["a.x", "b.x"] {
            let super::super::Mapped::Renamed(rule) = mapper.map(name, StatsdType::Counter) else { panic!() };
            let labels: Vec<_> = rule.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!((&*rule.name, rule.scale, rule.help, rule.ttl), ("a", 1000.0, "", 0));
            assert_eq!(labels, ["none=", "version=1_000", "word=null"]);
        }
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_rule() {
        let decoded = problems(
            "defaults:
  observer_type: wrong
  ttl: soon
mappings:
- match: bad!!line.*
  name: 0foo
  labels:
    __x: a
    ä: b
  action: keep
- match: fine.*
  name: fine
- {match: '(', match_type: regex, name: x, ttl: 5, scale: .nan}
- match: a.*
  match_type: prefix
  match_metric_type: timer
  buckets: [2, 1]
  histogram_options: {buckets: [1]}
- match: a.b
  name: a
  observer_type: histogram
  summary_options: {}
",
        );
        let begins = [
            "defaults: ttl \"soon\"",
            "5:3: rule 1: action \"keep\"",
            "5:3: rule 1: \"0foo\" is not a metric name",
            "5:3: rule 1: \"__x\" is not a label name",
            "5:3: rule 1: \"ä\" is not a label name",
            "5:3: rule 1: \"bad!!line.*\" is not a glob",
            "13:3: rule 3: scale",
            "13:3: rule 3: ttl \"5\"",
            "13:3: rule 3: \"(\" is not a regular expression",
            "14:3: rule 4: match_metric_type",
            "14:3: rule 4: the name is missing",
            "14:3: rule 4: buckets are given twice",
            "14:3: rule 4: match_type",
            "17:3: rule 5",
        ];
        for begin in begins.iter().take(begins.len() - 1) {
            assert!(decoded.iter().any(|t| t.starts_with(begin)), "{begin}\n{decoded:#?}");
        }
        assert!(
            decoded.iter().any(|t| t.contains("rule 5: a histogram has no summary_options")),
            "{decoded:#?}"
        );
        assert!(!decoded.iter().any(|t| t.contains("rule 2")), "{decoded:#?}");
    }

    #[test]
    fn what_is_not_of_the_shape_has_a_place() {
        let decoded = problems("mappings:\n- match: a\n  nmae: b\n");
        assert_eq!(decoded.len(), 1);
        assert!(decoded[0].starts_with("3:3: ") && decoded[0].contains("nmae"), "{decoded:?}");
        assert_eq!(problems("mappings:\n- match: *.test.*\n  name: b\n").len(), 1);
        assert_eq!(problems("mappings: 3").len(), 1);
    }

    #[test]
    fn names_and_times() {
        for good in ["a", "_a9", "$1", "${2}_total", "a_$1", "$0"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "9a", "a.b", "a:b", "$", "${", "$x", "a b", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
        let mut said = MappingReport::default();
        let times = ["0", "1h", "1m20s", "1.5s", "10ms", "3us", "99999999h"];
        assert_eq!(times.map(|t| ttl(t, &mut said)), [0, 3600, 80, 2, 1, 1, u32::MAX]);
        assert!(said.problems.is_empty());
        for bad in ["5", "s", "1x", "-1s", "1m 20s"] {
            ttl(bad, &mut said);
        }
        assert_eq!(said.problems.len(), 5);
    }
}
