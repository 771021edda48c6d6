//! What is told of numbers: how they are distributed, and whether two times differ by more than chance.
//!
//! Points of one load resemble their neighbours, which makes any test too sure: means of parts of a time are tested, at most [`PARTS`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parts whose means are tested.
pub(super) const PARTS: usize = 20;
/// Parts without which nothing is said.
pub(super) const LEAST: usize = 8;

/// How numbers are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// How many there are.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The one in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Their standard deviation, by one less than there are; 0 of a single one.
    pub standard_deviation: f64,
    /// Above 95 of 100; between two numbers in proportion, as NumPy's `percentile` does by default.
    pub p95: f64,
    /// Above 99 of 100.
    pub p99: f64,
}

impl Distribution {
    /// That of finite numbers; nothing of none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let number = sorted.len() as f64;
        let mean = mean(&sorted);
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            count: sorted.len() as u64,
            mean,
            median: quantile(&sorted, 0.5),
            min,
            max,
            standard_deviation: (squares / (number - 1.0).max(1.0)).sqrt(),
            p95: quantile(&sorted, 0.95),
            p99: quantile(&sorted, 0.99),
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The number at a share of the way through sorted ones.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let (low, rest) = (place.floor() as usize, place.fract());
    match (sorted.get(low), sorted.get(low + 1)) {
        (Some(a), Some(b)) => a + (b - a) * rest,
        (Some(a), None) => *a,
        _ => f64::NAN,
    }
}

/// The number in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Means of parts of the points, each at the middle of its part. A part without points is none.
pub(super) fn means(points: &[Option<f64>]) -> Vec<(f64, f64)> {
    let width = points.len().div_ceil(PARTS).max(1);
    let one = |(place, part): (usize, &[Option<f64>])| {
        let values: Vec<f64> = part.iter().flatten().copied().collect();
        let middle = (place * width) as f64 + (part.len() - 1) as f64 / 2.0;
        (!values.is_empty()).then(|| (middle, mean(&values)))
    };
    points.chunks(width).enumerate().filter_map(one).collect()
}

/// How likely a normal number is at least so far from 0, on either side: 7.1.26 of Abramowitz and Stegun, to 1.5e-7.
pub(super) fn both_tails(score: f64) -> f64 {
    let x = score.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    sum.iter().fold(0.0, |sum, factor| (sum + factor) * t) * (-x * x).exp()
}

/// The test of Mann and Whitney of two samples, with its correction for ties: how sure it is that one of them tends to greater numbers,
/// from 0 to 1. It knows nothing of how the numbers are distributed, and a few wild ones do not decide it.
pub(super) fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let (m, n) = (a.len() as f64, b.len() as f64);
    let all = m + n;
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let mut sorted: Vec<(f64, bool)> =
        a.iter().map(|value| (*value, true)).chain(b.iter().map(|value| (*value, false))).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut ties, mut before) = (0.0, 0.0, 0.0);
    for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
        let size = equal.len() as f64;
        // Equal numbers share the mean of their ranks.
        let rank = before + f64::midpoint(size, 1.0);
        ranks += rank * equal.iter().filter(|(_, first)| *first).count() as f64;
        ties += size * (size * size - 1.0);
        before += size;
    }
    let above = ranks - m * (m + 1.0) / 2.0;
    let distance = (above - m * n / 2.0).abs() - 0.5;
    let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if distance <= 0.0 || variance <= 0.0 { 0.0 } else { 1.0 - both_tails(distance / variance.sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tails_are_those_of_tables() {
        for (score, p) in [(1.959_964, 0.05), (2.575_829, 0.01), (3.290_527, 0.001), (0.0, 1.0)] {
            assert!((both_tails(score) - p).abs() < 1e-6, "{score}");
        }
    }

    /// By NumPy 2: `mean`, `median`, `std(ddof=1)`, `percentile`.
    #[test]
    fn a_distribution_is_that_of_numpy() {
        let of = Distribution::of(&[4.0, 1.0, 3.0, 2.0, 10.0]).unwrap();
        assert_eq!((of.count, of.mean, of.median, of.min, of.max), (5, 4.0, 3.0, 1.0, 10.0));
        assert!((of.standard_deviation - 3.535_533_905_932_737_6).abs() < 1e-12, "{of:?}");
        assert!((of.p95 - 8.8).abs() < 1e-12 && (of.p99 - 9.76).abs() < 1e-12, "{of:?}");
        assert!(Distribution::of(&[]).is_none());
        assert_eq!(Distribution::of(&[7.0]).map(|of| (of.p99, of.standard_deviation)), Some((7.0, 0.0)));
    }

    /// By SciPy 1.17: `mannwhitneyu(a, b, method="asymptotic").pvalue`.
    #[test]
    fn the_test_is_that_of_scipy() {
        let line = |from: i32, to: i32| (from..to).map(f64::from).collect::<Vec<_>>();
        for (a, b, p) in [
            (line(0, 8), line(8, 16), 0.000_939_105_699),
            (line(0, 20), line(10, 30), 0.000_052_125_496),
            (
                vec![1.0, 1.0, 2.0, 2.0, 3.0, 5.0, 5.0, 9.0],
                vec![2.0, 3.0, 3.0, 5.0, 8.0, 9.0, 9.0, 9.0],
                0.109_011_525_868,
            ),
        ] {
            assert!((1.0 - mann_whitney(&a, &b) - p).abs() < 1e-6, "{p}: {}", 1.0 - mann_whitney(&a, &b));
            assert!((mann_whitney(&a, &b) - mann_whitney(&b, &a)).abs() < 1e-12);
        }
        assert_eq!(mann_whitney(&[1.0; 8], &[1.0; 8]), 0.0);
        assert_eq!(mann_whitney(&[], &[1.0; 8]), 0.0);
    }
}
