//! Rule files of Prometheus, and the tests that promtool runs on them.
//!
//! Where a user changed a limit, the tests of its alerts are left out: their series were made for the number
//! that was.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use super::{File, GENERATED, Prometheus, Settings, Severities, dashboard, yaml};
use crate::catalog::Page;
use crate::catalog::alert::{Alert, CHAPTERS, Case, Chapter, LOGS, Level, Record};
use crate::catalog::limit::with_unit;
use crate::setting::Span;

/// A file of rules.
#[derive(Serialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    interval: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_offset: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<String>,
    expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// The rules of one group.
pub(super) struct Part<'a> {
    pub(super) page: &'a Page,
    group: Cow<'a, str>,
    interval: u32,
    records: &'a [Record],
    pub(super) alerts: Vec<&'a Alert>,
}

impl<'a> Part<'a> {
    fn of(page: &'a Page, chapter: &'a Chapter, settings: &Settings) -> Self {
        let alerts = chapter.alerts.iter().copied().filter(|alert| wanted(alert, settings));
        Self {
            page,
            group: chapter.group.into(),
            interval: chapter.interval,
            records: chapter.records,
            alerts: alerts.collect(),
        }
    }
}

/// Whether an alert is not switched off.
fn wanted(alert: &Alert, settings: &Settings) -> bool {
    !settings.alerts.off.iter().any(|name| name == alert.name)
}

/// What a ruler over logs evaluates, if there is anything.
pub(super) fn logs<'a>(pages: &[&'a Page], settings: &Settings) -> Option<Part<'a>> {
    let page = pages.iter().find(|page| page.id == LOGS.page)?;
    Some(Part::of(page, &LOGS, settings)).filter(|part| !part.alerts.is_empty())
}

/// The parts of these pages, without alerts that are switched off. Those of one page stand together.
pub(super) fn parts<'a>(pages: &[&'a Page], settings: &Settings) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for page in pages {
        let chapters = CHAPTERS.iter().filter(|chapter| chapter.page == page.id);
        parts.extend(chapters.map(|chapter| Part::of(page, chapter, settings)));
        let own = page.metrics.iter().filter_map(|metric| metric.alert);
        let own: Vec<&Alert> = own.filter(|alert| wanted(alert, settings)).collect();
        if !own.is_empty() {
            let group = format!("neural-{}-own", page.id).replace('_', "-").into();
            parts.push(Part { page, group, interval: 30, records: &[], alerts: own });
        }
    }
    parts
}

pub(super) fn render(pages: &[&Page], settings: &Settings, files: &mut Vec<File>) {
    if let Some(part) = logs(pages, settings) {
        // What looks into the past is for servers of metrics.
        let rules = Rules { groups: vec![Group { query_offset: None, ..group(&part, settings) }] };
        files.push(File { path: format!("alert-rules/loki/{}.yml", part.page.id), text: yaml(&rules) });
    }
    files.extend(self::files(pages, settings));
    let parts = parts(pages, settings);
    for parts in parts.chunk_by(|a, b| a.page.id == b.page.id) {
        let Some(Part { page, .. }) = parts.first() else { continue };
        let id = page.id;
        if offset(settings).is_some() {
            // The cases are reported in the rules' own time.
            continue;
        }
        let alerts = parts.iter().flat_map(|part| part.alerts.iter().copied());
        // What looks back over a day is a file of its own, evaluated less often: promtool evaluates every rule
        // of the file at every step.
        let (long, short): (Vec<&Alert>, Vec<&Alert>) = alerts.partition(|alert| alert.fires.at > LONG);
        for (alerts, name, step) in [(short, "", "1m"), (long, "_long", "10m")] {
            if !alerts.is_empty() {
                let text = tests(page, &alerts, step, settings);
                files.push(File { path: format!("alert-rules/tests/{id}{name}_test.yml"), text });
            }
        }
    }
}

/// The files of rules over metrics, one for each page.
pub(super) fn files(pages: &[&Page], settings: &Settings) -> Vec<File> {
    let parts = parts(pages, settings);
    let of_page = parts.chunk_by(|a, b| a.page.id == b.page.id).filter_map(|parts| {
        let id = parts.first()?.page.id;
        let rules = Rules { groups: parts.iter().map(|part| group(part, settings)).collect() };
        Some(File { path: format!("alert-rules/{id}.yml"), text: yaml(&rules) })
    });
    of_page.collect()
}

/// How far in the past rules are evaluated, where the server can do so.
fn offset(settings: &Settings) -> Option<Span> {
    settings.alerts.query_offset.filter(|_| settings.alerts.prometheus == Prometheus::From3)
}

/// The rules of a part.
fn group(part: &Part<'_>, settings: &Settings) -> Group {
    let records = part.records.iter().map(|record| Rule {
        record: Some(record.name.to_owned()),
        alert: None,
        expr: expression(record.expr, settings),
        hold: None,
        keep_firing_for: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    });
    let alerts = part.alerts.iter().flat_map(|alert| {
        alert.levels().map(|level| Rule {
            record: None,
            alert: Some(alert.name.to_owned()),
            expr: expression(level.expr, settings),
            hold: span(level.hold),
            keep_firing_for: span(alert.keep_firing),
            labels: labels(part.page.id, level, settings),
            annotations: annotations(part.page, alert, settings),
        })
    });
    let own = || span(part.interval).unwrap_or_else(|| "30s".to_owned());
    Group {
        name: part.group.clone().into_owned(),
        interval: settings.alerts.interval.map_or_else(own, |interval| interval.to_string()),
        query_offset: offset(settings).map(|offset| offset.to_string()),
        rules: records.chain(alerts).collect(),
    }
}

/// PromQL with the numbers in it, or LogQL.
pub(super) fn expression(text: &str, settings: &Settings) -> String {
    let text = text.replace("${job}", &settings.alerts.job).replace("${logs}", &settings.alerts.logs);
    let filled = settings.limits.fill(&text, |_, number, how| match how {
        "le" => bucket(number),
        _ => number.to_string(),
    });
    // A test fills every expression of the catalogue; a pack's own has no numbers to fill in.
    filled.unwrap_or(text)
}

/// What matches a bound as either format writes it. Whatever a histogram is judged by is a bound of it.
fn bucket(bound: f64) -> String {
    if bound.fract() == 0.0 { format!("{bound}|{bound}.0") } else { bound.to_string() }
}

/// A text with the numbers in it, and their units.
pub(super) fn text(text: &str, settings: &Settings) -> String {
    let text = text.replace("${job}", &settings.alerts.job);
    settings.limits.fill(&text, |limit, number, _| with_unit(number, limit.unit)).unwrap_or(text)
}

/// The word for how bad it is.
pub(super) fn severity(level: &Level, settings: &Settings) -> &'static str {
    match settings.alerts.severities {
        Severities::Five => level.severity.of_five(),
        Severities::Three => level.severity.of_three(),
    }
}

fn labels(page: &str, level: &Level, settings: &Settings) -> BTreeMap<String, String> {
    let own =
        [("severity", severity(level, settings)), ("priority", level.priority.as_str()), ("component", page)];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    settings.alerts.labels.clone().into_iter().chain(own).collect()
}

fn annotations(page: &Page, alert: &Alert, settings: &Settings) -> BTreeMap<String, String> {
    let base = settings.alerts.runbooks();
    let all = [
        ("summary", text(alert.summary, settings)),
        ("description", text(alert.description, settings)),
        ("runbook_url", format!("{base}{}.md", alert.name)),
    ];
    let link =
        settings.alerts.grafana.as_ref().map(|root| ("dashboard_url", link(root.expose(), page, alert)));
    all.into_iter().chain(link).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The dashboard of a page, with what the alert is about chosen on it.
fn link(root: &str, page: &Page, alert: &Alert) -> String {
    let mut url = format!("{}/d/{}", root.trim_end_matches('/'), dashboard::uid(page));
    let own = alert.fires.labels.iter().map(|(name, _)| *name);
    let scraped = if alert.local { &["job", "instance"][..] } else { &[] };
    for (at, label) in
        scraped.iter().copied().chain(own).filter(|of| dashboard::chooses(page, of)).enumerate()
    {
        let sign = if at == 0 { '?' } else { '&' };
        // Writing to a string cannot fail.
        let _ = write!(url, "{sign}var-{label}={{{{ $labels.{label} | urlquery }}}}");
    }
    url
}

/// Seconds as Prometheus writes them; nothing for none.
pub(super) fn span(seconds: u32) -> Option<String> {
    match seconds {
        0 => None,
        _ if seconds.is_multiple_of(3600) => Some(format!("{}h", seconds / 3600)),
        _ if seconds.is_multiple_of(60) => Some(format!("{}m", seconds / 60)),
        _ => Some(format!("{seconds}s")),
    }
}

#[derive(Serialize)]
struct Tests {
    rule_files: Vec<String>,
    evaluation_interval: &'static str,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: String,
    interval: &'static str,
    input_series: Vec<Series>,
    alert_rule_test: [Question; 1],
}

#[derive(Serialize)]
struct Series {
    series: String,
    values: String,
}

#[derive(Serialize)]
struct Question {
    eval_time: String,
    alertname: String,
    exp_alerts: Vec<Expected>,
}

#[derive(Serialize)]
struct Expected {
    exp_labels: BTreeMap<String, String>,
    exp_annotations: BTreeMap<String, String>,
}

/// Minutes beyond which a case is a long one.
const LONG: u32 = 500;

/// What the tests call the agent.
const INSTANCE: &str = "lab:9612";

fn tests(page: &Page, alerts: &[&Alert], step: &'static str, settings: &Settings) -> String {
    let mut tests = Vec::new();
    let mut left_out = String::new();
    for alert in alerts {
        let of = limits(alert);
        if let Some(limit) = settings.limits.altered().find(|id| of.contains(id)) {
            // Writing to a string cannot fail.
            let _ = writeln!(left_out, "# {}: its cases are for another {limit}.", alert.name);
            continue;
        }
        let first = std::slice::from_ref(&alert.level);
        let both: Vec<Level> = alert.levels().copied().collect();
        let mut cases = vec![("fires", &alert.fires, first)];
        cases.extend(alert.worsens.as_ref().map(|case| ("is worse", case, both.as_slice())));
        if !alert.quiet.series.is_empty() {
            cases.push(("is quiet", &alert.quiet, &[]));
        }
        tests.extend(cases.into_iter().map(|(what, case, levels)| Test {
            name: format!("{} {what}", alert.name),
            interval: "1m",
            input_series: case.series.iter().map(|(name, values)| series(name, values, settings)).collect(),
            alert_rule_test: [Question {
                eval_time: format!("{}m", case.at),
                alertname: alert.name.to_owned(),
                exp_alerts: levels.iter().map(|level| expected(page, alert, level, case, settings)).collect(),
            }],
        }));
    }
    let rule_files = vec![format!("../{}.yml", page.id)];
    let text = yaml(&Tests { rule_files, evaluation_interval: step, tests });
    match text.strip_prefix(&format!("# {GENERATED}\n")) {
        Some(rest) if !left_out.is_empty() => format!("# {GENERATED}\n# Left out:\n{left_out}{rest}"),
        _ => text,
    }
}

/// The ids of the limits that an alert has to do with.
pub(super) fn limits(alert: &Alert) -> BTreeSet<&'static str> {
    let said = alert.levels().map(|level| level.expr).chain([alert.description]);
    // Behind each opening there is an id, up to the end or to how it is written.
    let ids = said.flat_map(|text| text.split("${").skip(1)).filter_map(|rest| rest.split(['}', ':']).next());
    ids.collect()
}

/// A series with the labels that a scrape adds.
fn series(name: &str, values: &str, settings: &Settings) -> Series {
    let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
    let own = labels.trim_end_matches('}');
    let mut labels = Vec::new();
    if !own.starts_with("job=") {
        labels.push(format!("job='{}'", settings.alerts.job));
    }
    labels.push(format!("instance='{INSTANCE}'"));
    labels.extend((!own.is_empty()).then(|| own.to_owned()));
    Series { series: format!("{name}{{{}}}", labels.join(",")), values: values.to_owned() }
}

fn expected(page: &Page, alert: &Alert, level: &Level, case: &Case, settings: &Settings) -> Expected {
    let mut exp_labels: BTreeMap<String, String> = BTreeMap::new();
    if alert.local {
        exp_labels.insert("job".to_owned(), settings.alerts.job.clone());
        exp_labels.insert("instance".to_owned(), INSTANCE.to_owned());
    }
    let own = case.labels.iter().map(|(name, value)| ((*name).to_owned(), text(value, settings)));
    exp_labels.extend(own);
    let written = annotations(page, alert, settings).into_iter();
    let exp_annotations =
        written.map(|(name, text)| (name, expand(&text, &exp_labels, case.value))).collect();
    exp_labels.extend(labels(page.id, level, settings));
    Expected { exp_labels, exp_annotations }
}

/// A template with labels and value in it. What stands where the value does is the case's word for it.
fn expand(template: &str, labels: &BTreeMap<String, String>, value: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, behind) = after.split_once("}}").unwrap_or((after, ""));
        let inside = inside.trim();
        text.push_str(before);
        let (inside, escaped) =
            inside.strip_suffix("| urlquery").map_or((inside, false), |of| (of.trim_end(), true));
        match inside.strip_prefix("$labels.").map(|name| labels.get(name).map_or("", String::as_str)) {
            Some(label) if escaped => escape(label, &mut text),
            Some(label) => text.push_str(label),
            None => text.push_str(value),
        }
        rest = behind;
    }
    text + rest
}

/// As `urlquery` of a template does it.
fn escape(label: &str, text: &mut String) {
    for byte in label.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
}
