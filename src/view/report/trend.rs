//! Whether a line rose, fell, or stayed as it was.
//!
//! The slope is that of Theil and Sen, the median of the slopes between any two points; whether there is one at all is the test of Mann and
//! Kendall. Both know nothing of how the numbers are distributed, and a few wild ones change neither. Points of one load resemble their
//! neighbours, which makes any test too sure: means of parts of the time are tested, and a change that is small is none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, instances, is_wanted, subject};
use crate::catalog::line::{Better, Line};
use crate::promql::{Labels, Value};
use crate::view::Status;
use crate::view::statistics::{LEAST, both_tails, means, median};

/// How sure the test must be that it is not by chance.
const SURE: f64 = 0.99;
/// Less of a change over the whole time than this share of the median is none.
const SMALL: f64 = 0.05;

/// Where a line goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ReportCourse")]
pub enum Course {
    /// Up.
    Rising,
    /// Down.
    Falling,
    /// Neither, as far as can be told.
    #[default]
    Stable,
}

impl Course {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Stable => "stable",
        }
    }
}

/// The trend of a line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportTrend")]
pub struct Trend {
    /// Which line: `stage_duration`.
    pub key: String,
    /// What it is, in words.
    pub subject: String,
    /// The labels that it has.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Where it goes.
    pub course: Course,
    /// Its slope, in its unit per hour.
    pub slope: f64,
    /// By how much it changed from the begin to the end, as a share of its median; absent where that is 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<f64>,
    /// How sure it is that this is not by chance, from 0 to 1.
    pub confidence: f64,
    /// Its median.
    pub median: f64,
    /// Its unit: `seconds`.
    pub unit: String,
    /// How good or bad that is.
    pub status: Status,
    /// The first and the last time of its points: ms since the epoch.
    pub span: (i64, i64),
    /// Its points at equal distances; nothing where there was none.
    pub points: Vec<Option<f64>>,
}

/// The trends of lines.
pub(super) fn of(
    trend: &'static Line,
    lines: Option<&Value>,
    time: Time,
    only: &[(String, String)],
) -> Vec<Trend> {
    let Some(Value::Matrix(series)) = lines else { return Vec::new() };
    let wanted = |labels: &Labels| is_wanted(labels, trend.labels, only);
    let series: Vec<_> = series.iter().filter(|one| wanted(&one.labels)).collect();
    let named = instances(&series.iter().map(|one| &one.labels).collect::<Vec<_>>()) > 1;
    let step = time.step();
    let number = (time.window() / step).max(1);
    let first = time.end - (number - 1) * step;
    let mut found = Vec::new();
    for one in series {
        let mut points = vec![None; usize::try_from(number).unwrap_or(1)];
        for sample in one.samples.iter().filter(|sample| sample.v.is_finite()) {
            let place = usize::try_from((sample.t - first) / step).ok();
            if let Some(point) = place.and_then(|place| points.get_mut(place)) {
                *point = Some(sample.v);
            }
        }
        let names = named.then_some("instance").into_iter().chain(trend.labels.iter().copied());
        let labels = names.map(|name| (name.to_owned(), one.labels.get(name).to_owned())).collect();
        let Some(judged) = judge(&points, step) else { continue };
        let status = match (judged.course, trend.better) {
            (Course::Rising, Better::Lower) | (Course::Falling, Better::Higher) => Status::Degraded,
            _ => Status::Healthy,
        };
        found.push(Trend {
            key: trend.key.to_owned(),
            subject: subject(trend.subject, &labels),
            labels,
            unit: trend.unit.suffix().to_owned(),
            status,
            span: (first, time.end),
            points,
            ..judged
        });
    }
    found.sort_by(|a, b| a.subject.cmp(&b.subject));
    found
}

/// What is told of points at equal distances of `step` ms; nothing of too few.
fn judge(points: &[Option<f64>], step: i64) -> Option<Trend> {
    let parts = means(points);
    if parts.len() < LEAST {
        return None;
    }
    let middle = median(parts.iter().map(|(_, value)| *value).collect());
    let slope = slope(&parts);
    let (first, last) = (parts.first()?.0, parts.last()?.0);
    let rise = slope * (last - first);
    let (confidence, up) = mann_kendall(&parts);
    let change = (middle != 0.0).then(|| rise / middle.abs());
    let large = change.is_none_or(|change| change.abs() >= SMALL) && rise != 0.0;
    let course = match (confidence >= SURE && large, up) {
        (true, true) => Course::Rising,
        (true, false) => Course::Falling,
        (false, _) => Course::Stable,
    };
    let an_hour = 3_600_000.0 / step as f64;
    Some(Trend { course, slope: slope * an_hour, change, confidence, median: middle, ..Trend::default() })
}

/// Every pair of two points, the earlier one first.
fn pairs(points: &[(f64, f64)]) -> impl Iterator<Item = ((f64, f64), (f64, f64))> {
    points.iter().enumerate().flat_map(move |(place, a)| points.iter().skip(place + 1).map(move |b| (*a, *b)))
}

/// The slope of Theil and Sen, a point.
fn slope(points: &[(f64, f64)]) -> f64 {
    median(pairs(points).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect())
}

/// The test of Mann and Kendall with its correction for ties: how sure it is that the points rise or fall, and whether they rise.
fn mann_kendall(points: &[(f64, f64)]) -> (f64, bool) {
    let sum: i64 = pairs(points).map(|(a, b)| b.1.total_cmp(&a.1) as i64).sum();
    let spread = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    let ties: f64 = values.chunk_by(|a, b| a == b).map(|equal| spread(equal.len() as f64)).sum();
    let variance = (spread(points.len() as f64) - ties) / 18.0;
    if sum == 0 || variance <= 0.0 {
        return (0.0, false);
    }
    let score = (sum.abs() - 1) as f64 / variance.sqrt();
    (1.0 - both_tails(score), sum > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(points: &[f64]) -> Trend {
        judge(&points.iter().copied().map(Some).collect::<Vec<_>>(), 60_000).unwrap()
    }

    /// Numbers without a pattern, from 0 to 1.
    fn noise(seed: u64, number: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        (0..number).map(|_| next()).collect()
    }

    #[test]
    fn a_line_that_rises_is_rising_by_so_much() {
        let rising = course(&(0..60).map(|n| 10.0 + f64::from(n)).collect::<Vec<_>>());
        assert_eq!(rising.course, Course::Rising);
        assert!((rising.slope - 60.0).abs() < 1e-9, "one a minute is sixty an hour: {}", rising.slope);
        assert!((rising.median - 39.5).abs() < 1e-9 && rising.confidence > 0.999_999);
        let falling = course(&(0..60).map(|n| 100.0 - f64::from(n)).collect::<Vec<_>>());
        assert_eq!(falling.course, Course::Falling);
    }

    #[test]
    fn noise_has_no_trend_and_a_wild_point_changes_none() {
        let wrong = (0..200).filter(|seed| course(&noise(*seed, 60)).course != Course::Stable).count();
        assert!(wrong <= 6, "of 200 by chance 2: {wrong}");
        let mut line: Vec<f64> = noise(7, 60).iter().map(|value| 100.0 + value).collect();
        line[3] = 1e9;
        assert_eq!(course(&line).course, Course::Stable);
    }

    #[test]
    fn what_hardly_changes_is_stable_and_what_is_constant_too() {
        assert_eq!(
            course(&(0..60).map(|n| 1000.0 + f64::from(n) / 10.0).collect::<Vec<_>>()).course,
            Course::Stable
        );
        let constant = course(&[5.0; 60]);
        assert_eq!((constant.course, constant.confidence, constant.slope), (Course::Stable, 0.0, 0.0));
        assert_eq!(course(&[0.0; 60]).course, Course::Stable);
    }

    #[test]
    fn a_slower_stage_is_found_in_the_noise() {
        let line: Vec<f64> =
            noise(3, 60).iter().enumerate().map(|(n, v)| if n < 30 { 1.0 } else { 1.3 } + v / 10.0).collect();
        let found = course(&line);
        assert_eq!(found.course, Course::Rising);
        assert!(found.change.unwrap() > 0.2, "{found:?}");
    }

    #[test]
    fn too_few_points_say_nothing() {
        assert!(judge(&[Some(1.0); 7], 60_000).is_none());
        assert!(judge(&[None; 60], 60_000).is_none());
        assert!(judge(&[Some(1.0); 8], 60_000).is_some());
    }
}
