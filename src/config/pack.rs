//! A user's own page of the catalogue, written in YAML.
//!
//! The fields are those of [`Metric`]. Nothing moves such a metric but observations that carry
//! its declared name, so it listens to no topics. Which folder packs lie in is the
//! configuration's affair.

mod watch;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::draw::{Draw, Panel, Rating, Show, State};
use crate::catalog::limit::{Limit, Side};
use crate::catalog::lint::{self, Entry};
use crate::catalog::{COUNT, DURATION, Keep, LATENCY, Metric, PREFIX, Page, Unit};
use crate::document::{self, Document, Path, Problem};
use crate::event::Kind;

/// Versions of packs that a process reads, each of which it keeps: it restarts before that.
const MOST: usize = 1_000;

/// A page of metrics that a lab declares itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Pack of neural-exporter")]
struct Pack {
    /// One word in snake case, different from those of other pages.
    id: String,
    /// For a heading.
    title: String,
    /// One or two sentences: what the page answers.
    about: String,
    /// The metrics, in the order of the reference.
    #[schemars(length(min = 1, max = 1000))]
    metrics: Vec<Declared>,
}

/// One metric. It is exposed as `neural_`, the name, the unit and, if it is a counter, `_total`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Declared {
    /// In snake case, without `neural_`, unit and `_total`.
    name: String,
    /// What is measured: a capitalised phrase without a full stop.
    help: String,
    /// Its type.
    #[serde(default)]
    kind: Type,
    /// Its base unit, which is appended to the name.
    #[serde(default)]
    unit: Unit,
    /// The names of its labels.
    #[serde(default)]
    #[schemars(length(max = 8))]
    labels: Vec<String>,
    /// Upper bounds of a histogram's buckets: a named ladder or a list.
    #[serde(default)]
    buckets: Option<Buckets>,
    /// How long its series live; `always` for counters and histograms, `fresh` for gauges, if omitted.
    #[serde(default)]
    keep: Option<Lifetime>,
    /// When something is wrong: the metric then has an alert, its test and its runbook.
    #[serde(default)]
    alert: Option<watch::Watch>,
    /// How it is drawn on the pack's dashboard, if not as its type suggests.
    #[serde(default)]
    draw: Drawn,
}

/// How a metric is drawn.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Drawn {
    /// In what kind of panel.
    panel: Panel,
    /// Over the panel; written from the name if omitted.
    title: String,
    /// The row of panels it is in.
    row: Option<String>,
    /// What to do about it: whole sentences after the help.
    advice: String,
    /// For a counter: its growth as a share of that of this metric, by its name in queries.
    share_of: Option<String>,
    /// Numbers beyond which it is wrong, the worst last: they colour the panel.
    #[schemars(length(max = 2))]
    limits: Vec<f64>,
    /// On which side of the limits it is wrong.
    wrong: BadSide,
    /// What single values mean, as in `{value: 0, text: idle, rating: plain}`.
    #[schemars(length(max = 20))]
    states: Vec<Meaning>,
    /// Whether it may be below zero.
    signed: bool,
}

/// One side of a number.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BadSide {
    /// What is larger.
    #[default]
    Above,
    /// What is smaller.
    Below,
}

/// What a value means.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Meaning {
    /// The value.
    value: f64,
    /// What to write instead.
    text: String,
    /// Whether that is good.
    rating: Rating,
}

/// The types a pack can declare.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    #[default]
    Gauge,
    /// Counts by size.
    Histogram,
}

/// Upper bounds of buckets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Buckets {
    Named(Ladder),
    Own(Vec<f64>),
}

/// Ladders of buckets that have a name.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Ladder {
    /// Half a millisecond to ten seconds.
    Latency,
    /// A second to some hours.
    Duration,
    /// 1 to 1024.
    Count,
}

/// How long series live.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Lifetime {
    /// For ever.
    Always,
    /// Until no update arrived for the configured time.
    Fresh,
    /// As long as its source is up.
    WhileUp,
}

/// Reads a pack; `file` is how problems call it.
///
/// # Errors
/// Every mistake in it.
pub fn parse(file: &str, text: &str) -> Result<&'static Page, Vec<Problem>> {
    // Metrics are distinguished by their address and live as long as the process, so a pack that is
    // read becomes as permanent as the built-in pages. Keeping each distinct text once means that
    // a reload costs memory only for packs that changed, and that unchanged ones stay the same page.
    static KNOWN: Mutex<BTreeMap<String, &'static Page>> = Mutex::new(BTreeMap::new());
    read(file, text, &mut KNOWN.lock().unwrap_or_else(PoisonError::into_inner), MOST)
}

/// The page of a text, from those that are known if it is among them; of others no more than `most` in all.
fn read(
    file: &str,
    text: &str,
    known: &mut BTreeMap<String, &'static Page>,
    most: usize,
) -> Result<&'static Page, Vec<Problem>> {
    if let Some(page) = known.get(text) {
        return Ok(page);
    }
    let (pack, _) = document::read::<Pack>(file, text, &[], laws)?;
    if known.len() >= most {
        let message = format!("{most} versions of packs were read since the agent started");
        return Err(vec![Problem::of_file(file, message).hint("restart the agent")]);
    }
    let page = pack.leak();
    known.insert(text.to_owned(), page);
    Ok(page)
}

/// The JSON Schema of a pack, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Pack).to_value()
}

/// The laws of naming, reported at the lines that they are broken in.
fn laws(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    let text = |key: &str| document.part::<String>(&Path::from(key));
    if let (Some(id), Some(title), Some(about)) = (text("id"), text("title"), text("about")) {
        let findings = lint::lint_page(&id, &title, &about);
        problems.extend(findings.into_iter().map(|(field, why)| document.problem(&Path::from(field), why)));
    }
    let mut families: BTreeMap<String, usize> = BTreeMap::new();
    let metrics = Path::from("metrics");
    for index in 0..document.len(&metrics) {
        let path = metrics.item(index);
        let Some(declared) = document.part::<Declared>(&path) else { continue };
        let (labels, bounds) = (declared.labels(), declared.bounds());
        let entry = Entry {
            name: &declared.name,
            help: &declared.help,
            kind: declared.kind.into(),
            unit: declared.unit,
            labels: &labels,
            bounds: &bounds,
        };
        let mut findings = lint::lint_entry(&entry);
        findings.extend(declared.alert.as_ref().and_then(watch::Watch::wrong).map(|why| ("alert", why)));
        problems.extend(findings.into_iter().map(|(field, why)| document.problem(&path.key(field), why)));
        let name = family(entry.name, entry.unit);
        match families.get(&name) {
            None => drop(families.insert(name, index)),
            Some(first) => {
                let message = format!("{name} is already declared by metrics[{first}]");
                problems.push(document.problem(&path.key("name"), message));
            }
        }
    }
    problems
}

/// What [`Metric::family`] will say.
fn family(name: &str, unit: Unit) -> String {
    let unit = unit.suffix();
    format!("{PREFIX}{name}{}{unit}", if unit.is_empty() { "" } else { "_" })
}

impl Pack {
    fn leak(self) -> &'static Page {
        let metrics: Vec<&'static Metric> = self.metrics.into_iter().map(Declared::leak).collect();
        Box::leak(Box::new(Page {
            id: self.id.leak(),
            title: self.title.leak(),
            about: self.about.leak(),
            metrics: metrics.leak(),
        }))
    }
}

impl Declared {
    fn labels(&self) -> Vec<&str> {
        self.labels.iter().map(String::as_str).collect()
    }

    fn bounds(&self) -> Vec<f64> {
        match (&self.buckets, self.kind) {
            (Some(Buckets::Named(Ladder::Latency)), _) => LATENCY.to_vec(),
            (Some(Buckets::Named(Ladder::Duration)), _) => DURATION.to_vec(),
            (Some(Buckets::Named(Ladder::Count)), _) => COUNT.to_vec(),
            (Some(Buckets::Own(bounds)), _) => bounds.clone(),
            (None, Type::Histogram) => LATENCY.to_vec(),
            (None, _) => Vec::new(),
        }
    }

    fn leak(self) -> &'static Metric {
        let keep = match (self.keep, self.kind) {
            (Some(Lifetime::Always), _) | (None, Type::Counter | Type::Histogram) => Keep::Always,
            (Some(Lifetime::WhileUp), _) => Keep::WhileUp,
            (Some(Lifetime::Fresh), _) | (None, Type::Gauge) => Keep::Fresh,
        };
        let bounds = self.bounds();
        let labels: Vec<&'static str> = self.labels.into_iter().map(|label| &*label.leak()).collect();
        let watched = self.alert.as_ref().map(|watch| {
            let entry = Entry {
                name: &self.name,
                help: &self.help,
                kind: self.kind.into(),
                unit: self.unit,
                labels: &labels,
                bounds: &bounds,
            };
            watch.alert(&entry)
        });
        Box::leak(Box::new(Metric {
            name: self.name.leak(),
            help: self.help.leak(),
            alert: watched,
            kind: self.kind.into(),
            unit: self.unit,
            labels: labels.leak(),
            bounds: bounds.leak(),
            keep,
            draw: self.draw.leak(self.unit),
            ..Metric::BLANK
        }))
    }
}

impl Drawn {
    fn leak(self, unit: Unit) -> Draw {
        let wrong = match self.wrong {
            BadSide::Above => Side::Above,
            BadSide::Below => Side::Below,
        };
        // Without an id they are not among those that the configuration changes: the pack is where they are.
        let limit = |value| &*Box::leak(Box::new(Limit { id: "", help: "", unit, value, wrong }));
        let limits: Vec<&'static Limit> = self.limits.into_iter().map(limit).collect();
        let states: Vec<State> = self
            .states
            .into_iter()
            .map(|Meaning { value, text, rating }| State { value, text: text.leak(), rating })
            .collect();
        Draw {
            panel: self.panel,
            show: self.share_of.map_or(Show::Auto, |of| Show::Share(of.leak())),
            title: self.title.leak(),
            advice: self.advice.leak(),
            row: self.row.map_or(Draw::BLANK.row, |row| row.leak()),
            limits: limits.leak(),
            states: states.leak(),
            signed: self.signed,
            ..Draw::BLANK
        }
    }
}

impl From<Type> for Kind {
    fn from(of: Type) -> Self {
        match of {
            Type::Counter => Self::Counter,
            Type::Gauge => Self::Gauge,
            Type::Histogram => Self::Histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packs that ship.
    const SHIPPED: &[(&str, &str)] = &[
        ("reservoir.yml", include_str!("../../deploy/packs/reservoir.yml")),
        ("evolution.yml", include_str!("../../deploy/packs/evolution.yml")),
        ("embodied.yml", include_str!("../../deploy/packs/embodied.yml")),
        ("training.yml", include_str!("../../deploy/packs/training.yml")),
    ];

    fn problems_of(text: &str) -> String {
        let problems = parse("p.yml", text).unwrap_err();
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn versions_of_packs_are_bounded() {
        let (mut known, version) = (BTreeMap::new(), |n: u32| format!("# {n}\n{}", SHIPPED[0].1));
        let first = read("p.yml", &version(1), &mut known, 2).unwrap();
        read("p.yml", &version(2), &mut known, 2).unwrap();
        let why = read("p.yml", &version(3), &mut known, 2).unwrap_err();
        assert!(why[0].message.starts_with("2 versions of packs"), "{why:?}");
        // What is known stays the same page.
        assert!(std::ptr::eq(read("p.yml", &version(1), &mut known, 2).unwrap(), first));
    }

    #[test]
    fn the_shipped_packs_obey_the_laws() {
        let pages: Vec<&Page> = SHIPPED
            .iter()
            .map(|(file, text)| parse(file, text).unwrap_or_else(|problems| panic!("{problems:#?}")))
            .collect();
        assert_eq!(lint::lint(&pages), Vec::<String>::new());
    }

    #[test]
    fn each_shipped_metric_has_an_example_line_that_fits() {
        for (file, text) in SHIPPED {
            let page = parse(file, text).unwrap();
            let lines: Vec<serde_json::Value> = text
                .lines()
                .filter_map(|line| line.strip_prefix("#   {"))
                .map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap())
                .collect();
            assert_eq!(lines.len(), page.metrics.len(), "{file}");
            for (metric, line) in page.metrics.iter().zip(lines) {
                assert_eq!(line["metric"], metric.family(), "{file}");
                assert!(line["value"].is_number(), "{file}: {line}");
                let named = line["labels"].as_object().unwrap();
                let fits = named.len() == metric.labels.len()
                    && metric.labels.iter().all(|label| named.contains_key(*label));
                assert!(fits, "{file}: {line} has other labels than {:?}", metric.labels);
            }
        }
    }

    #[test]
    fn a_pack_that_did_not_change_is_the_same_page() {
        let text = "id: a\ntitle: A\nabout: B.\nmetrics: [{name: x, help: X}]\n";
        let first = parse("p", text).unwrap();
        assert!(std::ptr::eq(first, parse("q", text).unwrap()));
        assert!(!std::ptr::eq(first, parse("p", &format!("{text}# changed\n")).unwrap()));
        assert_eq!(first.metrics[0].keep, Keep::Fresh);
    }

    #[test]
    fn a_pack_says_how_it_is_drawn() {
        let text = "\
id: drawn
title: Drawn
about: B.
metrics:
  - name: state
    help: State
    draw: {panel: states, row: Top, states: [{value: 1, text: awake, rating: good}]}
  - name: load
    help: Load
    draw: {panel: gauge, limits: [0.8, 0.9], title: How full}
  - name: plain
    help: Plain
";
        let page = parse("p", text).unwrap();
        let [state, load, plain] = page.metrics else { panic!("{page:?}") };
        assert_eq!((state.draw.panel, state.draw.row), (Panel::States, "Top"));
        assert_eq!(state.draw.states, [State { value: 1.0, text: "awake", rating: Rating::Good }]);
        assert_eq!((load.draw.panel, load.draw.title), (Panel::Gauge, "How full"));
        assert_eq!(load.draw.limits.iter().map(|limit| limit.value).collect::<Vec<_>>(), [0.8, 0.9]);
        assert_eq!((plain.draw.panel, plain.draw.row), (Panel::Auto, Draw::BLANK.row));
    }

    #[test]
    fn every_mistake_in_a_pack_is_told() {
        let text = "\
id: Lab
title: The lab
about: What the lab measures.
metrics:
  - name: loss_total
    help: loss of the model.
    knid: gauge
  - name: tick
    help: Ticks
    kind: countr
  - name: delay
    help: Delay
    kind: histogram
    unit: milliseconds
  - name: delay
    help: Delay
    kind: histogram
    unit: seconds
    buckets: [0.1, 0.1]
  - name: delay
    help: Delay again
    unit: seconds
    labels: [le, job]
  - name: share
    help: Share
    kind: counter
    unit: ratio
    buckets: latenzy
  - help: Nameless
";
        let expected = "\
p.yml:1:5: id: \"Lab\" is not in snake case: a-z, 0-9 and single _, from a letter on
p.yml:5:11: metrics[0].name: \"_total\" belongs to the format; omit it
p.yml:6:11: metrics[0].help: the help ends in a full stop, which is added automatically
p.yml:6:11: metrics[0].help: the help does not begin with a capital
p.yml:7:5: metrics[0].knid: unknown key; did you mean \"kind\"?
p.yml:10:11: metrics[1].kind: unknown value \"countr\"; did you mean \"counter\"?
  hint: one of counter, gauge, histogram
p.yml:14:11: metrics[2].unit: unknown value \"milliseconds\"; did you mean \"seconds\"?
  hint: one of none, seconds, bytes, ratio, hertz, celsius, watts, joules, volts, ohms
p.yml:19:14: metrics[3].buckets: the bounds do not ascend: 0.1 comes after 0.1
p.yml:20:11: metrics[4].name: neural_delay_seconds is already declared by metrics[3]
p.yml:23:13: metrics[4].labels: the label \"le\" is reserved
p.yml:23:13: metrics[4].labels: the label \"job\" is reserved
p.yml:27:11: metrics[5].unit: ratio do not add up, so they are no counter
p.yml:28:14: metrics[5].buckets: unknown value \"latenzy\"; did you mean \"latency\"?
  hint: one of latency, duration, count
p.yml:29:5: metrics[6]: the key \"name\" is missing
";
        assert_eq!(problems_of(text), expected);
    }
}
