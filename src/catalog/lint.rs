//! The laws of naming, as a function over pages.
//!
//! A test holds the built-in pages to them, and user packs are held to them where they are read.
//! Whether a metric is worth having is for people to judge.

use std::collections::{BTreeMap, BTreeSet};

use super::{Metric, Page, Unit};
use crate::event::Kind;

/// Endings that the exposition formats append; typed into a name they would stand there twice or
/// pretend to be another metric's series.
const ENDINGS: &[&str] = &["total", "sum", "count", "bucket", "info", "created", "gcount", "gsum"];

/// Label names that belong to the format, to Prometheus, or to what people call their targets.
/// `stage` and `service` are on Prometheus's list of words that may collide; they stay, because
/// they are what the domain calls these things.
const LABELS: &[&str] = &[
    "le",
    "quantile",
    "job",
    "instance",
    "type",
    "env",
    "environment",
    "region",
    "zone",
    "host",
    "hostname",
    "cluster",
    "namespace",
    "exported_job",
    "exported_instance",
];

/// Words for quantities that are not the base unit, and the unit to use.
const SCALED: &[(&str, &str)] = &[
    ("ms", "seconds"),
    ("us", "seconds"),
    ("ns", "seconds"),
    ("milliseconds", "seconds"),
    ("microseconds", "seconds"),
    ("nanoseconds", "seconds"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("percent", "ratio"),
    ("pct", "ratio"),
    ("kb", "bytes"),
    ("mb", "bytes"),
    ("gb", "bytes"),
    ("kilobytes", "bytes"),
    ("megabytes", "bytes"),
    ("khz", "hertz"),
    ("mhz", "hertz"),
    ("microvolts", "volts"),
    ("millivolts", "volts"),
    ("kohms", "ohms"),
];

const UNITS: &[Unit] = &[
    Unit::Seconds,
    Unit::Bytes,
    Unit::Ratio,
    Unit::Hertz,
    Unit::Celsius,
    Unit::Watts,
    Unit::Joules,
    Unit::Volts,
    Unit::Ohms,
];

/// Everything in these pages that breaks a law; empty if all is well.
#[must_use]
pub fn lint(pages: &[&Page]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut families: BTreeMap<String, &str> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for page in pages {
        let about = lint_page(page.id, page.title, page.about);
        problems.extend(about.into_iter().map(|(_, message)| format!("page {}: {message}", page.id)));
        if !ids.insert(page.id) {
            problems.push(format!("page {}: a second page of that name", page.id));
        }
        for metric in page.metrics {
            let at = format!("{}/{}", page.id, metric.name);
            problems.extend(
                lint_entry(&Entry::from(*metric)).into_iter().map(|(_, message)| format!("{at}: {message}")),
            );
            if let Some(first) = families.insert(metric.family(), page.id) {
                problems.push(format!("{at}: {} is already on page {first}", metric.family()));
            }
        }
    }
    problems
}

/// What is wrong with a page itself, each with the field it is about.
#[must_use]
pub fn lint_page(id: &str, title: &str, about: &str) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if let Some(why) = not_a_name(id) {
        problems.push(("id", why));
    }
    if title.is_empty() || title.ends_with('.') {
        problems.push(("title", "a title is a few words without a full stop".to_owned()));
    }
    if about.is_empty() {
        problems.push(("about", "the page does not say what it answers".to_owned()));
    }
    problems
}

/// What the laws look at in a metric, wherever it was declared.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// As in [`Metric`].
    pub name: &'a str,
    /// As in [`Metric`].
    pub help: &'a str,
    /// As in [`Metric`].
    pub kind: Kind,
    /// As in [`Metric`].
    pub unit: Unit,
    /// As in [`Metric`].
    pub labels: &'a [&'a str],
    /// As in [`Metric`].
    pub bounds: &'a [f64],
}

impl<'a> From<&'a Metric> for Entry<'a> {
    fn from(metric: &'a Metric) -> Self {
        let Metric { name, help, kind, unit, labels, bounds, .. } = *metric;
        Self { name, help, kind, unit, labels, bounds }
    }
}

/// What is wrong with one metric, each with the field it is about.
#[must_use]
pub fn lint_entry(metric: &Entry<'_>) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    name(metric, &mut problems);
    help(metric.help, &mut problems);
    labels(metric.labels, &mut problems);
    bounds(metric, &mut problems);
    let adds_up = matches!(metric.unit, Unit::None | Unit::Seconds | Unit::Bytes | Unit::Joules);
    if metric.kind == Kind::Counter && !adds_up {
        problems.push(("unit", format!("{} do not add up, so they are no counter", metric.unit.suffix())));
    }
    if matches!(metric.kind, Kind::Info | Kind::StateSet) && metric.unit != Unit::None {
        problems.push(("unit", "facts have no unit".to_owned()));
    }
    problems
}

fn not_a_name(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let right = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('_')
        && !name.contains("__");
    (!right).then(|| format!("\"{name}\" is not in snake case: a-z, 0-9 and single _, from a letter on"))
}

fn name(metric: &Entry<'_>, problems: &mut Vec<(&'static str, String)>) {
    let mut say = |message: String| problems.push(("name", message));
    let name = metric.name;
    if let Some(why) = not_a_name(name) {
        return say(why);
    }
    if name.len() > 80 {
        say(format!("the name has {} characters; 80 is the limit", name.len()));
    }
    if let Some(rest) = name.strip_prefix(super::PREFIX) {
        say(format!("\"{}\" is put in front of every name; write \"{rest}\"", super::PREFIX));
    }
    let last = name.rsplit('_').next().unwrap_or(name);
    if ENDINGS.contains(&last) {
        say(format!("\"_{last}\" belongs to the format; omit it"));
    }
    if let Some(unit) = UNITS.iter().find(|unit| unit.suffix() == last) {
        say(if *unit == metric.unit {
            format!("the unit is appended automatically; omit \"_{last}\"")
        } else {
            format!("the unit does not belong into the name; write unit: {last}")
        });
    }
    if let Some((_, base)) = SCALED.iter().find(|(word, _)| *word == last) {
        say(format!("\"{last}\" is not a base unit; measure in {base}"));
    }
}

fn help(help: &str, problems: &mut Vec<(&'static str, String)>) {
    let mut say = |message: &str| problems.push(("help", message.to_owned()));
    if help.trim().is_empty() {
        return say("the help does not say what is measured");
    }
    if help.ends_with('.') {
        say("the help ends in a full stop, which is added automatically");
    }
    if !help.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit()) {
        say("the help does not begin with a capital");
    }
    if help.contains(['\n', '\r']) || help.trim() != help {
        say("the help is more than one line");
    }
}

fn labels(labels: &[&str], problems: &mut Vec<(&'static str, String)>) {
    let mut seen = BTreeSet::new();
    for label in labels {
        if let Some(why) = not_a_name(label) {
            problems.push(("labels", why));
        } else if LABELS.contains(label) {
            problems.push(("labels", format!("the label \"{label}\" is reserved")));
        }
        if !seen.insert(label) {
            problems.push(("labels", format!("the label \"{label}\" is there twice")));
        }
    }
}

fn bounds(metric: &Entry<'_>, problems: &mut Vec<(&'static str, String)>) {
    let mut say = |message: &str| problems.push(("buckets", message.to_owned()));
    let histogram = matches!(metric.kind, Kind::Histogram | Kind::GaugeHistogram);
    if !histogram {
        if !metric.bounds.is_empty() {
            say("only a histogram has buckets");
        }
        return;
    }
    if let Some(why) = not_a_ladder(metric.bounds) {
        say(&why);
    }
}

/// Why these cannot be the upper bounds of a histogram's buckets, if they cannot.
#[must_use]
pub fn not_a_ladder(bounds: &[f64]) -> Option<String> {
    if bounds.is_empty() {
        return Some("a histogram needs buckets".to_owned());
    }
    if bounds.len() > 64 {
        return Some(format!("{} buckets are more than 64", bounds.len()));
    }
    if let Some(bound) = bounds.iter().find(|bound| !bound.is_finite()) {
        return Some(format!("the bound {bound} is not finite; the infinite one is added automatically"));
    }
    bounds
        .windows(2)
        .find(|pair| pair[0] >= pair[1])
        .map(|pair| format!("the bounds do not ascend: {} comes after {}", pair[1], pair[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Metric = Metric { name: "queue_depth", help: "Items waiting", ..Metric::BLANK };

    #[track_caller]
    fn breaks(metric: Metric, law: &str) {
        let problems = lint_entry(&Entry::from(&metric));
        assert!(problems.len() == 1 && problems[0].1.contains(law), "{metric:?}: {problems:?}");
    }

    #[test]
    fn each_law_is_watched() {
        assert_eq!(lint_entry(&Entry::from(&GOOD)), []);
        breaks(Metric { name: "QueueDepth", ..GOOD }, "snake case");
        breaks(Metric { name: "", ..GOOD }, "snake case");
        breaks(Metric { name: "queue__depth", ..GOOD }, "snake case");
        breaks(Metric { name: "neural_queue_depth", ..GOOD }, "in front of every name");
        breaks(Metric { name: "queue_total", ..GOOD }, "belongs to the format");
        breaks(Metric { name: "count", ..GOOD }, "belongs to the format");
        breaks(Metric { name: "wait_seconds", unit: Unit::Seconds, ..GOOD }, "appended automatically");
        breaks(Metric { name: "wait_seconds", ..GOOD }, "write unit: seconds");
        breaks(Metric { name: "wait_ms", unit: Unit::Seconds, ..GOOD }, "not a base unit");
        breaks(Metric { help: "Items waiting.", ..GOOD }, "full stop");
        breaks(Metric { help: "items waiting", ..GOOD }, "capital");
        breaks(Metric { help: "", ..GOOD }, "does not say");
        breaks(Metric { labels: &["le"], ..GOOD }, "reserved");
        breaks(Metric { labels: &["a", "a"], ..GOOD }, "twice");
        breaks(Metric { labels: &["A"], ..GOOD }, "snake case");
        breaks(Metric { bounds: &[1.0], ..GOOD }, "only a histogram");
        let histogram = Metric { kind: Kind::Histogram, ..GOOD };
        breaks(histogram, "needs buckets");
        breaks(Metric { bounds: &[1.0, 1.0], ..histogram }, "do not ascend");
        breaks(Metric { bounds: &[1.0, f64::INFINITY], ..histogram }, "not finite");
        let ratio = Metric { kind: Kind::Counter, unit: Unit::Ratio, ..GOOD };
        breaks(ratio, "do not add up");
        assert_eq!(lint_entry(&Entry::from(&Metric { labels: &["stage", "service"], ..GOOD })), []);
    }

    #[test]
    fn no_metric_is_there_twice() {
        static ONE: Metric = GOOD;
        const PAGE: Page = Page { id: "queues", title: "Queues", about: "What waits.", metrics: &[&ONE] };
        assert_eq!(lint(&[&PAGE]), Vec::<String>::new());
        let problems = lint(&[&PAGE, &Page { id: "more", ..PAGE }]);
        assert_eq!(problems, ["more/queue_depth: neural_queue_depth is already on page queues"]);
        let problems = lint(&[&PAGE, &Page { metrics: &[], ..PAGE }]);
        assert_eq!(problems, ["page queues: a second page of that name"]);
    }
}
