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
    // Four parts side by side, so that a comparison need not wait for the one before it; and their bests in order, so that of equal
    // ones the first is taken, as if there were one part.
    let quarter = window.samples.len() / 4;
    let (one, rest) = window.samples.split_at(quarter);
    let (two, rest) = rest.split_at(quarter);
    let (three, four) = rest.split_at(quarter);
    let beside = one.iter().zip(two).zip(three.iter().zip(four));
    let beside = beside.map(|((one, two), (three, four))| [one.v, two.v, three.v, four.v]);
    let bests = beside.reduce(|best, values| {
        let ([a, b, c, d], [e, f, g, h]) = (best, values);
        [better(a, e), better(b, f), better(c, g), better(d, h)]
    });
    let last = four.get(quarter..).unwrap_or_default().iter().map(|sample| sample.v);
    bests.into_iter().flatten().chain(last).reduce(better)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Sample;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_of_parts_is_the_best_of_all(
            values in prop::collection::vec(prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(f64::INFINITY), -3.0..3.0_f64, (-2_i8..2).prop_map(f64::from)], 1..40),
        ) {
            let samples: Vec<Sample> = values.iter().map(|&v| Sample { t: 0, v }).collect();
            let mut notes = crate::promql::eval::Notes::default();
            let mut window = Window {
                samples: &samples, now: 0, start: 0, end: 0, args: &[], first_arg: 0, notes: &mut notes, scratch: &mut Vec::new(),
            };
            let plain = |wins: fn(f64, f64) -> bool| {
                values.iter().copied().reduce(|best, value| if best.is_nan() || wins(value, best) { value } else { best })
            };
            prop_assert_eq!(max(&mut window).map(f64::to_bits), plain(|value, best| value > best).map(f64::to_bits));
            prop_assert_eq!(min(&mut window).map(f64::to_bits), plain(|value, best| value < best).map(f64::to_bits));
        }
    }
}
