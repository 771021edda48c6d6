//! What happened when: gaps, the course of each channel, markers, alerts and incidents.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, is_wanted};
use crate::alert::incident::Incident;
use crate::catalog::report::details::{
    ASSESSED, BAD, FIRING, KNOWN, LOST, MARKERS, MISSING, RATE, SCRAPED, STREAMED,
};
use crate::catalog::report::{DETAILS, Detail, Points};
use crate::promql::{Labels, Value};

/// From one close point to the next, ms: the shortest usual time between scrapes.
const CLOSEST: i64 = 1_000;
/// The same where there would be more points than [`FINE`]: the usual time; longer where there would be more than [`MOST`].
const CLOSE: i64 = 5_000;
/// Points that cost nothing that is felt.
const FINE: i64 = 1_800;
/// Close points at most: a Prometheus answers no more than 11,000.
const MOST: i64 = 10_000;
/// Points of what is drawn.
const FEW: i64 = 120;
/// The least time from one of these to the next, ms.
const LEAST: i64 = 5_000;
/// Gaps, marks and alerts that are listed, each.
const LISTED: usize = 2_000;
/// Strips that are made.
const STRIPS: usize = 2_000;
/// Less of a part than this in which a channel was bad is none.
const SMALL: f64 = 0.005;

/// Samples that are missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportGap")]
pub struct Gap {
    /// The device or the stream.
    pub labels: BTreeMap<String, String>,
    /// What kind of gap it is.
    pub kind: GapKind,
    /// It did not begin before this: ms since the epoch.
    pub from: i64,
    /// It was known at this time: ms since the epoch.
    pub to: i64,
    /// How many packets of a device, or samples of a stream, were lost; absent where it was silent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lost: Option<f64>,
    /// How long it was: of the lost packets at the nominal rate, or of the silence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds: Option<f64>,
}

/// What kind of gap it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ReportGapKind")]
pub enum GapKind {
    /// Packets or samples were lost while it went on.
    #[default]
    Lost,
    /// It did not stream.
    Silent,
}

/// The course of a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportStrip")]
pub struct Strip {
    /// The device and the channel.
    pub labels: BTreeMap<String, String>,
    /// Its parts in order. Of the time between two that do not meet nothing is known.
    pub parts: Vec<StripPart>,
}

/// A part of the time of a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportStripPart")]
pub struct StripPart {
    /// Its begin: ms since the epoch.
    pub start: i64,
    /// Its end: ms since the epoch.
    pub end: i64,
    /// The share of it in which the channel was bad for this reason, from 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub bad: f64,
    /// Why it was bad for most of that, several reasons with commas; empty where it was good.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
}

/// Markers of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportMark")]
pub struct Mark {
    /// The stream.
    pub labels: BTreeMap<String, String>,
    /// When they were known: ms since the epoch.
    pub at: i64,
    /// How many.
    pub count: f64,
}

/// A time in which an alert fired.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportFired")]
pub struct Fired {
    /// The alert.
    pub alert: String,
    /// The labels of what it fired for.
    pub labels: BTreeMap<String, String>,
    /// Since when it was known to fire: ms since the epoch.
    pub from: i64,
    /// Until when: ms since the epoch.
    pub to: i64,
    /// Whether it fired at the end of the report's time.
    pub on: bool,
}

/// An incident that was open in the time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportEpisode")]
pub struct Episode {
    /// Its number.
    pub id: String,
    /// Its alert.
    pub alert: String,
    /// What it is about.
    pub summary: String,
    /// P0 to P3.
    pub priority: String,
    /// How far it was when the report was made.
    pub state: String,
    /// Since when: ms since the epoch.
    pub started: i64,
    /// When a person took care of it: ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acknowledged: Option<i64>,
    /// Until when: ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved: Option<i64>,
}

impl Episode {
    /// An incident, if it was open in the time.
    #[must_use]
    pub fn of(incident: &Incident, time: Time) -> Option<Self> {
        let before = incident.resolved.is_some_and(|end| end < time.start);
        (incident.started <= time.end && !before).then(|| Self {
            id: incident.id.clone(),
            alert: incident.alert.clone(),
            summary: incident.summary().to_owned(),
            priority: incident.priority.as_str().to_owned(),
            state: incident.status.as_str().to_owned(),
            started: incident.started,
            acknowledged: incident.acknowledged,
            resolved: incident.resolved,
        })
    }
}

/// What happened when.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) gaps: Vec<Gap>,
    pub(super) strips: Vec<Strip>,
    pub(super) marks: Vec<Mark>,
    pub(super) fired: Vec<Fired>,
    /// What had no room.
    pub(super) notes: Vec<String>,
}

/// The points of a line: the first, and from one to the next. Each tells of the time since the one before. Where scrapes are farther
/// apart than points, several points see the same scrape: [`Scrapes`] tells which.
pub(super) fn grid(points: Points, time: Time) -> (i64, i64) {
    let window = time.window();
    let (nearest, most) = match points {
        Points::Close | Points::Edges => ((window / FINE).clamp(CLOSEST, CLOSE), MOST),
        Points::Few => (LEAST, FEW),
    };
    // They fill the time, but for less than a step: what is lost in it is in one of them.
    let number = (window / nearest).clamp(1, most);
    let step = (window / number).max(1);
    let before = i64::from(points == Points::Edges);
    (time.end - (number - 1 + before) * step, step)
}

/// Labels of an answer that tell lines apart, if they are asked for.
fn labels_of(line: &Detail, labels: &Labels, only: &[(String, String)]) -> Option<BTreeMap<String, String>> {
    is_wanted(labels, line.labels, only).then(|| {
        let own = line.labels.iter().copied().map(|name| (name.to_owned(), labels.get(name).to_owned()));
        own.collect()
    })
}

/// The answers by line.
struct AnswersByLine<'a> {
    answers: Vec<(&'static Detail, Option<Value>)>,
    time: Time,
    only: &'a [(String, String)],
    /// Whether there are several machines, which are then named.
    many: bool,
}

type Series = (BTreeMap<String, String>, Vec<(i64, f64)>);

/// When each machine was scraped last, by point.
struct Scrapes(Vec<Series>);

impl Scrapes {
    /// The last scrape of the machine that labels are of, as a point sees it; the point itself where none is known.
    fn last(&self, labels: &BTreeMap<String, String>, point: i64) -> i64 {
        let here = self.0.iter().find(|(of, _)| of.get("instance") == labels.get("instance"));
        let points = here.map(|(_, points)| &**points).unwrap_or_default();
        let place = points.binary_search_by_key(&point, |(at, _)| *at).ok();
        place.and_then(|place| points.get(place)).map_or(point, |(_, seconds)| (seconds * 1e3).round() as i64)
    }
}

impl AnswersByLine<'_> {
    fn scrapes(&self) -> Scrapes {
        Scrapes(self.series(&SCRAPED))
    }

    fn series(&self, line: &'static Detail) -> Vec<Series> {
        let answer =
            self.answers.iter().find(|(one, _)| one.key == line.key).and_then(|(_, value)| value.as_ref());
        let Some(Value::Matrix(series)) = answer else { return Vec::new() };
        let found = series.iter().filter_map(|one| {
            let mut labels = labels_of(line, &one.labels, self.only)?;
            if self.many {
                labels.insert("instance".to_owned(), one.labels.get("instance").to_owned());
            }
            let points = one.samples.iter().filter(|sample| sample.v.is_finite());
            Some((labels, points.map(|sample| (sample.t, sample.v)).collect()))
        });
        found.collect()
    }

    /// Times at which something was lost, and times in which a device did not stream although the agent was there.
    fn gaps(&self) -> Vec<Gap> {
        let (_, step) = grid(Points::Close, self.time);
        let scrapes = self.scrapes();
        let rates = self.series(&RATE);
        let mut gaps = Vec::new();
        for (line, timed) in [(&LOST, true), (&MISSING, false)] {
            for (labels, points) in self.series(line) {
                let rate = rates.iter().find(|(of, _)| timed && *of == labels);
                let rate = rate.and_then(|(_, points)| points.last()).map(|(_, rate)| *rate);
                let rate = rate.filter(|rate| *rate > 0.0);
                gaps.extend(points.into_iter().map(|(at, lost)| Gap {
                    kind: GapKind::Lost,
                    from: scrapes.last(&labels, at - step),
                    to: scrapes.last(&labels, at),
                    labels: labels.clone(),
                    lost: Some(lost),
                    seconds: rate.map(|rate| lost / rate),
                }));
            }
        }
        let known = self.series(&KNOWN);
        for (labels, points) in self.series(&STREAMED) {
            let here = |(of, _): &&Series| of.get("instance") == labels.get("instance");
            let there = known.iter().find(here).map(|(_, points)| &**points).unwrap_or_default();
            let streamed: BTreeMap<i64, f64> = points.into_iter().collect();
            let silent = |at: i64| streamed.get(&at).is_none_or(|value| *value < 1.0);
            let silent = there.iter().filter(|(at, there)| *there > 0.0 && silent(*at)).map(|(at, _)| *at);
            for (from, to) in runs(silent, step) {
                let (from, to) = (scrapes.last(&labels, from), scrapes.last(&labels, to));
                let seconds = Some((to - from) as f64 / 1e3);
                gaps.push(Gap {
                    labels: labels.clone(),
                    kind: GapKind::Silent,
                    from,
                    to,
                    lost: None,
                    seconds,
                });
            }
        }
        gaps.sort_by(|a, b| (a.from, &a.labels).cmp(&(b.from, &b.labels)));
        gaps
    }

    fn strips(&self) -> Vec<Strip> {
        let (_, step) = grid(Points::Few, self.time);
        let mut worst: BTreeMap<BTreeMap<String, String>, BTreeMap<i64, (f64, String)>> = BTreeMap::new();
        for (mut labels, points) in self.series(&BAD) {
            let reason = labels.remove("reason").unwrap_or_default();
            let of = worst.entry(labels).or_default();
            for (at, share) in points {
                let one = of.entry(at).or_default();
                let share = share.min(1.0);
                if (share - one.0).abs() < SMALL && !one.1.is_empty() {
                    // Several are right: all of them.
                    one.1 = format!("{}, {reason}", one.1);
                } else if share > one.0 {
                    *one = (share, reason.clone());
                }
            }
        }
        let mut strips: Vec<Strip> = Vec::new();
        for (labels, points) in self.series(&ASSESSED) {
            let bad = worst.get(&labels);
            let mut parts: Vec<StripPart> = Vec::new();
            for (at, _) in points {
                let (share, reason) = bad.and_then(|bad| bad.get(&at)).cloned().unwrap_or_default();
                let (share, reason) = if share < SMALL { (0.0, String::new()) } else { (share, reason) };
                let share = (share * 100.0).round() / 100.0;
                match parts.last_mut() {
                    Some(last) if last.end == at - step && last.bad == share && last.reason == reason => {
                        last.end = at;
                    }
                    _ => parts.push(StripPart { start: at - step, end: at, bad: share, reason }),
                }
            }
            strips.push(Strip { labels, parts });
        }
        let id = |labels: &BTreeMap<String, String>| -> Vec<_> {
            let of = |name| labels.get(name).map_or("", |text: &String| &**text);
            ["instance", "device", "channel"]
                .into_iter()
                .map(|name| crate::view::build::natural(of(name)))
                .collect()
        };
        strips.sort_by_cached_key(|strip| id(&strip.labels));
        strips
    }

    fn marks(&self) -> Vec<Mark> {
        let scrapes = self.scrapes();
        let mut marks: Vec<Mark> = Vec::new();
        for (labels, points) in self.series(&MARKERS) {
            marks.extend(points.into_iter().map(|(at, count)| Mark {
                at: scrapes.last(&labels, at),
                labels: labels.clone(),
                count,
            }));
        }
        marks.sort_by(|a, b| (a.at, &a.labels).cmp(&(b.at, &b.labels)));
        marks
    }

    fn fired(&self) -> Vec<Fired> {
        let (_, step) = grid(Points::Close, self.time);
        let answer = self.answers.iter().find(|(one, _)| one.key == FIRING.key);
        let Some((_, Some(Value::Matrix(series)))) = answer else { return Vec::new() };
        let mut fired = Vec::new();
        for one in series {
            let wanted = self.only.iter().all(|(name, value)| {
                let own = one.labels.get(name);
                own.is_empty() || own == value
            });
            if !wanted {
                continue;
            }
            let aside = ["__name__", "alertname", "alertstate", "job"];
            let shown = one
                .labels
                .iter()
                .filter(|(name, _)| !aside.contains(name) && (self.many || *name != "instance"));
            let labels: BTreeMap<String, String> =
                shown.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            for (from, to) in runs(one.samples.iter().map(|sample| sample.t), step) {
                fired.push(Fired {
                    alert: one.labels.get("alertname").to_owned(),
                    labels: labels.clone(),
                    // It is known to fire at the first of its points, and not before.
                    from: from + step,
                    to,
                    on: to >= self.time.end,
                });
            }
        }
        fired.sort_by(|a, b| (a.from, &a.alert, &a.labels).cmp(&(b.from, &b.alert, &b.labels)));
        fired
    }
}

/// Points that follow each other, as times from the point before the first to the last.
fn runs(points: impl Iterator<Item = i64>, step: i64) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    for at in points {
        match found.last_mut() {
            Some((_, to)) if at - *to <= step => *to = at,
            _ => found.push((at - step, at)),
        }
    }
    found
}

/// What happened when, of the answers to the lines in their order.
pub(super) fn of(
    answers: impl Iterator<Item = Option<Value>>,
    time: Time,
    only: &[(String, String)],
) -> Details {
    let answers: Vec<_> = DETAILS.iter().copied().zip(answers).collect();
    let machines = answers.iter().find(|(line, _)| line.key == KNOWN.key);
    let many = matches!(machines, Some((_, Some(Value::Matrix(series)))) if series.len() > 1);
    let answered = AnswersByLine { answers, time, only, many };
    let mut details = Details {
        gaps: answered.gaps(),
        strips: answered.strips(),
        marks: answered.marks(),
        fired: answered.fired(),
        notes: Vec::new(),
    };
    let Details { gaps, strips, marks, fired, notes } = &mut details;
    for (what, length, most) in [
        ("gaps", gaps.len(), LISTED),
        ("courses of channels", strips.len(), STRIPS),
        ("times of markers", marks.len(), LISTED),
        ("times of alerts", fired.len(), LISTED),
    ] {
        if length > most {
            notes.push(format!("of {length} {what} the first {most} are listed"));
        }
    }
    gaps.truncate(LISTED);
    strips.truncate(STRIPS);
    marks.truncate(LISTED);
    fired.truncate(LISTED);
    details
}
