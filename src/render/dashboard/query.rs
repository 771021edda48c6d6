//! Queries: which metrics they name, and the selectors that each of them is given.
//!
//! It does not parse PromQL. Names of metrics are recognised by their prefix, and braces and
//! strings are all that has to be understood.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::alert::{CHAPTERS, Record};
use crate::catalog::{Metric, PREFIX, Page};
use crate::decode::engines::Profile;
use crate::event::Kind;

/// Series that are not of the catalogue: of the server that scrapes, and of every process.
const FOREIGN: &[&str] = &[
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_threads",
    "process_start_time_seconds",
];

/// The alerts as the server that evaluates rules keeps them. Many have neither `job` nor `instance`, because
/// their rule adds several up. Ours are recognised by the label `component`, which is the page that they are about.
const ALERTS: &[&str] = &["ALERTS", "ALERTS_FOR_STATE"];

/// Labels of a page that are called as something else is: what is chosen of the one says nothing of the other.
/// The device of a host is a disk.
const OTHERS: &[(&str, &str)] = &[("host", "device")];

/// What is no alert but a sign that alerting works, such as the watchdog, which always fires.
const SIGNS: &str = "severity!~\"none|info\"";

/// Metrics by the names that a scrape gives their samples.
#[derive(Debug)]
pub struct Names<'a> {
    metrics: BTreeMap<String, (&'static str, &'a Metric)>,
    engines: BTreeSet<String>,
    /// What recording rules make, by the metric that it is made of, whose labels it has.
    records: BTreeMap<&'static str, (&'static str, &'a Metric)>,
    components: String,
}

impl<'a> Names<'a> {
    /// Of these pages.
    #[must_use]
    pub fn of(pages: &[&'a Page]) -> Self {
        let metrics = pages.iter().flat_map(|page| page.metrics.iter().map(|metric| (page.id, *metric)));
        let engines = Profile::ALL.iter().flat_map(|profile| profile.engine().entries).copied().flatten();
        let metrics: BTreeMap<String, (&'static str, &Metric)> = metrics
            .flat_map(|(page, metric)| samples(metric).into_iter().map(move |name| (name, (page, metric))))
            .collect();
        let made_of = |record: &'static Record| {
            let mut words = record.expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            Some((record.name, *words.find_map(|word| metrics.get(word))?))
        };
        Self {
            records: CHAPTERS.iter().flat_map(|chapter| chapter.records).filter_map(made_of).collect(),
            metrics,
            engines: engines.flat_map(|entry| named(entry.to, entry.kind)).collect(),
            components: pages.iter().map(|page| page.id).collect::<Vec<_>>().join("|"),
        }
    }

    /// The metric that a sample is of.
    #[must_use]
    pub fn get(&self, sample: &str) -> Option<&'a Metric> {
        self.metrics.get(sample).map(|(_, metric)| *metric)
    }

    /// The labels of a sample that can be chosen by.
    fn labels(&self, sample: &str) -> Vec<&'a str> {
        let Some((page, metric)) = self.metrics.get(sample).or_else(|| self.records.get(sample)) else {
            return if self.of_engine(sample) { vec!["model"] } else { Vec::new() };
        };
        metric.labels.iter().copied().filter(|label| !OTHERS.contains(&(page, label))).collect()
    }

    /// Whether a recording rule of the product makes it.
    #[must_use]
    pub fn of_record(&self, name: &str) -> bool {
        self.records.contains_key(name)
    }

    /// What the label `component` of our alerts matches.
    #[must_use]
    pub fn components(&self) -> &str {
        &self.components
    }

    /// Whether it is what an engine's metric is called here; those have a table of their own.
    #[must_use]
    pub fn of_engine(&self, sample: &str) -> bool {
        self.engines.contains(sample)
    }
}

/// The names of a metric's samples.
#[must_use]
pub fn samples(metric: &Metric) -> Vec<String> {
    named(&metric.family(), metric.kind)
}

fn named(family: &str, kind: Kind) -> Vec<String> {
    let endings: &[&str] = match kind {
        Kind::Counter => &["_total"],
        Kind::Histogram | Kind::GaugeHistogram => &["_bucket", "_count", "_sum"],
        Kind::Info => &["_info"],
        _ => &[""],
    };
    endings.iter().map(|ending| format!("{family}{ending}")).collect()
}

/// A query with its selectors.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The whole text.
    pub expr: String,
    /// The metrics of the catalogue that it names.
    pub metrics: Vec<&'a Metric>,
    /// The variables that it uses.
    pub variables: BTreeSet<&'a str>,
}

/// Gives each selector of `expr` the job, the instance, and those of `variables` that its metric has as labels.
///
/// # Errors
/// A metric that is not in the catalogue, by name.
pub fn select<'a>(expr: &str, names: &Names<'a>, variables: &[&'a str]) -> Result<Selected<'a>, String> {
    select_over(expr, names, variables, None)
}

/// As [`select`]; with `worst` (`min` or `max`) each selector of a present value stands for the worst within a cell of
/// a status history, which has few of them: what lasted a moment must not fall between two.
///
/// # Errors
/// A metric that is not in the catalogue, by name.
pub fn select_over<'a>(
    expr: &str,
    names: &Names<'a>,
    variables: &[&'a str],
    worst: Option<&str>,
) -> Result<Selected<'a>, String> {
    let mut selected = Selected { expr: String::new(), metrics: Vec::new(), variables: BTreeSet::new() };
    let mut rest = expr;
    while let Some(first) = rest.chars().next() {
        let length = token(rest, first);
        let (word, after) = rest.split_at(length);
        let start = selected.expr.len();
        selected.expr.push_str(word);
        rest = after;
        let Some(matchers) = matchers(word, names, variables, &mut selected)? else { continue };
        match rest.strip_prefix('{') {
            Some(inside) => {
                selected.expr.push('{');
                selected.expr.push_str(&matchers);
                if !inside.starts_with('}') {
                    selected.expr.push(',');
                }
                let end = braces(inside);
                selected.expr.push_str(inside.get(..end).unwrap_or(inside));
                rest = inside.get(end..).unwrap_or_default();
            }
            None => {
                selected.expr.push('{');
                selected.expr.push_str(&matchers);
                selected.expr.push('}');
            }
        }
        // What only tells that something was there has no worst.
        let counter = word.ends_with("_total");
        if let Some(worst) = worst.filter(|_| !counter && !rest.starts_with('[')) {
            let selector = selected.expr.split_off(start);
            // Where samples are rarer than cells, the last one stands.
            let over = format!("({worst}_over_time({selector}[$__interval]) or {selector})");
            selected.expr.push_str(&over);
        }
    }
    Ok(selected)
}

/// What stands in the braces of a metric; nothing if the word is not one.
fn matchers<'a>(
    word: &str,
    names: &Names<'a>,
    variables: &[&'a str],
    selected: &mut Selected<'a>,
) -> Result<Option<String>, String> {
    if !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(None);
    }
    if ALERTS.contains(&word) {
        // Rules that add several up leave neither job nor instance: those are of every choice.
        let mut all: Vec<String> = ["job", "instance"].map(|of| format!("{of}=~\"${of}|\"")).into();
        selected.variables.extend(["job", "instance"]);
        for variable in variables.iter().filter(|variable| ["severity", "component"].contains(variable)) {
            all.push(format!("{variable}=~\"${variable}\""));
            selected.variables.insert(variable);
        }
        if !variables.contains(&"component") {
            all.push(format!("component=~\"{}\"", names.components));
        }
        all.push(SIGNS.to_owned());
        return Ok(Some(all.join(",")));
    }
    let metric = names.get(word);
    let engine = metric.is_none() && names.of_engine(word);
    if metric.is_none() && !engine && !names.of_record(word) && !FOREIGN.contains(&word) {
        return if word.starts_with(PREFIX) { Err(word.to_owned()) } else { Ok(None) };
    }
    let mut all: Vec<String> = ["job", "instance"].map(|of| format!("{of}=~\"${of}\"")).into();
    selected.metrics.extend(metric);
    selected.variables.extend(["job", "instance"]);
    let labels = names.labels(word);
    for variable in variables.iter().filter(|variable| labels.contains(variable)) {
        all.push(format!("{variable}=~\"${variable}\""));
        selected.variables.insert(variable);
    }
    Ok(Some(all.join(",")))
}

/// How long the word, the string or the sign is that a text begins with.
fn token(text: &str, first: char) -> usize {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '$';
    if part(first) {
        return text.find(|c| !part(c)).unwrap_or(text.len());
    }
    if first == '"' { string(text) } else { first.len_utf8() }
}

/// How long the string is that a text begins with, quotes included.
fn string(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How far it is to the end of braces that are open, that end included.
fn braces(text: &str) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        match rest.chars().next() {
            None => break,
            Some('}') => return at + 1,
            Some('"') => at += string(rest),
            Some(c) => at += c.len_utf8(),
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::PAGES;

    fn selected(expr: &str) -> Result<String, String> {
        select(expr, &Names::of(PAGES), &["device", "severity", "component"]).map(|selected| selected.expr)
    }

    #[test]
    fn a_cell_is_as_bad_as_the_worst_moment_in_it() {
        let of = |expr| select_over(expr, &Names::of(PAGES), &[], Some("min")).unwrap().expr;
        let selector = "neural_channel_quality_ratio{job=~\"$job\",instance=~\"$instance\"}";
        assert_eq!(
            of("min by (channel) (neural_channel_quality_ratio)"),
            format!("min by (channel) ((min_over_time({selector}[$__interval]) or {selector}))")
        );
        let rate = of("sum(rate(neural_channel_artefacts_total[$__rate_interval]))");
        assert!(!rate.contains("over_time"), "{rate}");
    }

    #[test]
    fn every_selector_is_given_what_its_metric_has() {
        let base = "job=~\"$job\",instance=~\"$instance\"";
        assert_eq!(
            selected("sum by (device) (rate(neural_device_samples_total[$__rate_interval])) / up").unwrap(),
            format!(
                "sum by (device) (rate(neural_device_samples_total{{{base},device=~\"$device\"}}\
                 [$__rate_interval])) / up{{{base}}}"
            )
        );
        assert_eq!(
            selected(r#"neural_host_cpu_seconds_total{mode=~"a}|\"b"} > 1"#).unwrap(),
            format!(r#"neural_host_cpu_seconds_total{{{base},mode=~"a}}|\"b"}} > 1"#)
        );
        assert_eq!(selected("neural_host_load1{}").unwrap(), format!("neural_host_load1{{{base}}}"));
        assert_eq!(
            selected("count(ALERTS{alertstate=\"firing\"})").unwrap(),
            "count(ALERTS{job=~\"$job|\",instance=~\"$instance|\",severity=~\"$severity\",component=~\"$component\",\
             severity!~\"none|info\",alertstate=\"firing\"})"
        );
        // A disk is no device that one can choose.
        let disk = selected("neural_host_filesystem_size_bytes").unwrap();
        assert!(!disk.contains("$device"), "{disk}");
        assert_eq!(
            selected("label_replace(up, \"a\", \"neural_b\", \"c\", \"\")").unwrap().matches('{').count(),
            1
        );
        let names = Names::of(PAGES);
        let burn = select("stage:neural_stage_slow:ratio_rate1h", &names, &["stage"]).unwrap();
        assert_eq!(burn.expr, format!("stage:neural_stage_slow:ratio_rate1h{{{base},stage=~\"$stage\"}}"));
        assert!(burn.metrics.is_empty() && !names.of_record("stage:neural_stage_slow:ratio_rate7d"));
        assert_eq!(selected("rate(neural_nothing_total[5m])").unwrap_err(), "neural_nothing_total");
        assert_eq!(selected("\"open").unwrap(), "\"open");
    }
}
