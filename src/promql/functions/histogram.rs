//! Quantiles and fractions of classic histograms: series of buckets that differ in `le`.
//!
//! Facts: `promql/quantile.go` of Prometheus.

use hashbrown::HashMap;

use super::At;
use crate::promql::error::Error;
use crate::promql::eval::{Evaluator, Matrix, present};
use crate::promql::labels::{BUCKET, Labels};
use crate::promql::sums::almost_equal;
use crate::promql::syntax::Call;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    upper: f64,
    /// How many values are at most that.
    count: f64,
}

/// What had to be changed for counts that rise with the bounds.
#[derive(Clone, Copy, Debug)]
pub(in crate::promql) struct Forced {
    pub(in crate::promql) low: f64,
    pub(in crate::promql) high: f64,
    pub(in crate::promql) most: f64,
}

pub(super) fn quantile(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let [q, vector] = call.args.as_slice() else { return Ok(evaluator.empty(at.frame)) };
    let quantiles = evaluator.eval(q, at.frame)?;
    let (q_place, place) = (q.at, vector.at);
    let buckets = evaluator.eval(vector, at.frame)?;
    quantiles.cells().iter().for_each(|q| evaluator.notes.quantile(*q, q_place));
    each_histogram(evaluator, at, place, &buckets, |evaluator, step, buckets| {
        let q = quantiles.cells().get(step).copied().unwrap_or(f64::NAN);
        let (value, forced) = bucket_quantile(q, buckets);
        if let Some(forced) = forced {
            evaluator.notes.forced_monotonicity(place, at.frame.at(step), forced);
        }
        value
    })
}

pub(super) fn fraction(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let [lower, upper, vector] = call.args.as_slice() else { return Ok(evaluator.empty(at.frame)) };
    let (lower, upper) = (evaluator.eval(lower, at.frame)?, evaluator.eval(upper, at.frame)?);
    let buckets = evaluator.eval(vector, at.frame)?;
    each_histogram(evaluator, at, vector.at, &buckets, |_, step, buckets| {
        let at = |scalar: &Matrix| scalar.cells().get(step).copied().unwrap_or(f64::NAN);
        bucket_fraction(at(&lower), at(&upper), buckets)
    })
}

/// One row for all buckets whose other labels are the same.
fn each_histogram(
    evaluator: &mut Evaluator<'_>,
    at: At,
    place: usize,
    buckets: &Matrix,
    compute: impl Fn(&mut Evaluator<'_>, usize, &mut Vec<Bucket>) -> f64,
) -> Result<Matrix, Error> {
    let mut groups: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<(Labels, Vec<(f64, usize)>)> = Vec::new();
    for (row, labels) in buckets.rows().iter().enumerate() {
        let Ok(upper) = labels.get(BUCKET).parse::<f64>() else {
            evaluator.notes.bad_bucket(labels.get(BUCKET), place);
            continue;
        };
        let rest = labels.filtered(|name| name != BUCKET);
        let group = *groups.entry(rest).or_insert_with_key(|rest| {
            histograms.push((rest.clone(), Vec::new()));
            histograms.len() - 1
        });
        if let Some((_, rows)) = histograms.get_mut(group) {
            rows.push((upper, row));
        }
    }
    let mut result = evaluator.empty(at.frame);
    let mut scratch = Vec::new();
    for (labels, rows) in &histograms {
        evaluator.check()?;
        let row = result.add(labels.nameless())?;
        for step in 0..at.frame.steps {
            scratch.clear();
            scratch.extend(rows.iter().filter_map(|(upper, row)| {
                let count = buckets.row(*row).get(step).copied().filter(|count| present(*count))?;
                Some(Bucket { upper: *upper, count })
            }));
            if !scratch.is_empty() {
                let value = compute(evaluator, step, &mut scratch);
                result.set(row, step, value);
            }
        }
    }
    result.without_empty().merged()
}

/// By rising bounds, those of one bound together; `None` without the last one.
fn whole(buckets: &mut Vec<Bucket>) -> Option<()> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        kept.count += if same { next.count } else { 0.0 };
        same
    });
    buckets.last().filter(|last| last.upper == f64::INFINITY).map(|_| ())
}

fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if whole(buckets).is_none() {
        return (f64::NAN, None);
    }
    let forced = force_monotonicity(buckets);
    (interpolated(q, buckets).unwrap_or(f64::NAN), forced)
}

fn interpolated(q: f64, buckets: &[Bucket]) -> Option<f64> {
    let ([first, .., last], [.., second_last, _]) = (buckets, buckets) else { return None };
    if last.count == 0.0 {
        return None;
    }
    let rank = q * last.count;
    // Where counts are NaN nothing is at least the rank.
    let place = buckets
        .split_last()?
        .1
        .partition_point(|bucket| bucket.count < rank || bucket.count.is_nan() || rank.is_nan());
    if place == buckets.len() - 1 {
        return Some(second_last.upper);
    }
    if place == 0 && first.upper <= 0.0 {
        return Some(first.upper);
    }
    let bucket = buckets.get(place)?;
    let below = place.checked_sub(1).and_then(|place| buckets.get(place)).copied();
    let Bucket { upper: start, count: before } = below.unwrap_or(Bucket { upper: 0.0, count: 0.0 });
    Some(start + (bucket.upper - start) * ((rank - before) / (bucket.count - before)))
}

/// Differences between counts that are taken for errors of arithmetic.
const TOLERANCE: f64 = 1e-12;

fn force_monotonicity(buckets: &mut [Bucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut buckets = buckets.iter_mut();
    let mut before = buckets.next()?.count;
    for bucket in buckets {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if almost_equal(before, count, TOLERANCE) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let change =
                forced.get_or_insert(Forced { low: f64::INFINITY, high: f64::NEG_INFINITY, most: 0.0 });
            change.low = change.low.min(bucket.upper);
            change.high = change.high.max(bucket.upper);
            change.most = change.most.max(before - count);
        } else {
            before = count;
        }
    }
    forced
}

fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    let count = match whole(buckets).and_then(|()| buckets.last()) {
        Some(last) if last.count != 0.0 && !lower.is_nan() && !upper.is_nan() => last.count,
        _ => return f64::NAN,
    };
    if lower >= upper {
        return 0.0;
    }
    let capped = |rank: Option<f64>| match rank {
        Some(rank) if rank > count => count,
        rank => rank.unwrap_or(count),
    };
    (capped(rank_of(upper, buckets)) - capped(rank_of(lower, buckets))) / count
}

/// How many values are at most `value`, interpolated within its bucket.
fn rank_of(value: f64, buckets: &[Bucket]) -> Option<f64> {
    let first = buckets.first()?.upper;
    // Buckets begin at 0 if the first one ends above it.
    let (mut start, mut rank) = (if first <= 0.0 { f64::NEG_INFINITY } else { 0.0 }, 0.0);
    for bucket in buckets {
        if start >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            let infinite = start == f64::NEG_INFINITY;
            let share = (value - start) / (bucket.upper - start);
            return Some(if infinite { bucket.count } else { rank + (bucket.count - rank) * share });
        }
        (start, rank) = (bucket.upper, bucket.count);
    }
    None
}
