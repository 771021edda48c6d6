//! `…_over_time`: what many samples of a series have in common.

use crate::promql::eval::Window;
use crate::promql::sums::{self, Average, Sum};

pub(super) fn avg(window: &mut Window<'_>) -> Option<f64> {
    let mut average = Average::default();
    window.samples.iter().for_each(|sample| average.add(sample.v));
    Some(average.value())
}

pub(super) fn sum(window: &mut Window<'_>) -> Option<f64> {
    let mut sum = Sum::default();
    window.samples.iter().for_each(|sample| sum.add(sample.v));
    Some(sum.value())
}

pub(super) fn count(window: &mut Window<'_>) -> Option<f64> {
    Some(window.samples.len() as f64)
}

pub(super) fn present(_: &mut Window<'_>) -> Option<f64> {
    Some(1.0)
}

pub(super) fn first(window: &mut Window<'_>) -> Option<f64> {
    Some(window.samples.first()?.v)
}

pub(super) fn last(window: &mut Window<'_>) -> Option<f64> {
    Some(window.samples.last()?.v)
}

/// The sample that `wins` over all others; NaN only if there is nothing else.
fn best(window: &Window<'_>, wins: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let better = |best: f64, value: f64| if best.is_nan() || wins(value, best) { value } else { best };
    window.samples.iter().map(|sample| sample.v).reduce(better)
}

pub(super) fn max(window: &mut Window<'_>) -> Option<f64> {
    best(window, |value, best| value > best)
}

pub(super) fn min(window: &mut Window<'_>) -> Option<f64> {
    best(window, |value, best| value < best)
}

pub(super) fn stdvar(window: &mut Window<'_>) -> Option<f64> {
    let (mut mean, mut spread) = (Sum::default(), Sum::default());
    let mut count = 0.0;
    for sample in window.samples {
        count += 1.0;
        let delta = sample.v - mean.plain();
        mean.add(delta / count);
        spread.add(delta * (sample.v - mean.plain()));
    }
    Some(spread.plain() / count)
}

pub(super) fn stddev(window: &mut Window<'_>) -> Option<f64> {
    stdvar(window).map(f64::sqrt)
}

pub(super) fn quantile(window: &mut Window<'_>) -> Option<f64> {
    let q = *window.args.first()?;
    window.notes.quantile(q, window.first_arg);
    window.scratch.clear();
    window.scratch.extend(window.samples.iter().map(|sample| sample.v));
    Some(sums::quantile(q, window.scratch))
}
