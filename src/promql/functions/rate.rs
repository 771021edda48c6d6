//! How fast a series changes, how often, and how often it began again: `rate` and its family.
//!
//! A counter that falls began again at 0. Facts: `extrapolatedRate` and `instantValue` in `promql/functions.go` of Prometheus.

use crate::promql::eval::Window;
use crate::promql::sample::Sample;

pub(super) fn rate(window: &mut Window<'_>) -> Option<f64> {
    let seconds = window.width() as f64 / 1000.0;
    extrapolated(window, true).map(|(change, factor)| change * (factor / seconds))
}

pub(super) fn increase(window: &mut Window<'_>) -> Option<f64> {
    extrapolated(window, true).map(|(change, factor)| change * factor)
}

pub(super) fn delta(window: &mut Window<'_>) -> Option<f64> {
    extrapolated(window, false).map(|(change, factor)| change * factor)
}

/// What a counter had before each fall.
fn resets_of(window: &Window<'_>) -> impl Iterator<Item = f64> {
    // Most counters never fall. Some pairs at a time are compared at once, and looked at one by one only where one of them fell.
    let samples = window.samples;
    let starts = (0..samples.len()).step_by(TOGETHER);
    let parts = starts.filter_map(move |start| samples.get(start..samples.len().min(start + TOGETHER + 1)));
    parts.filter(|part| fell(part)).flat_map(|part| {
        let pairs = part.iter().zip(part.iter().skip(1));
        pairs.filter(|(before, after)| after.v < before.v).map(|(before, _)| before.v)
    })
}

/// Pairs of samples that are compared at once.
const TOGETHER: usize = 64;

/// Whether a sample is less than the one before it.
fn fell(samples: &[Sample]) -> bool {
    let pairs = samples.iter().zip(samples.iter().skip(1));
    pairs.fold(false, |any, (before, after)| any | (after.v < before.v))
}

/// The change between first and last sample, and by how much the window is longer than what they span.
///
/// Samples that end near a bound are taken to go on to it; else by half of the mean distance between samples. A counter is
/// not extended to before it was 0.
fn extrapolated(window: &Window<'_>, counter: bool) -> Option<(f64, f64)> {
    let (first, last) = (window.samples.first()?, window.samples.last()?);
    if window.samples.len() < 2 {
        return None;
    }
    let mut change = last.v - first.v;
    if counter {
        resets_of(window).for_each(|before| change += before);
    }
    let seconds = |from: i64, to: i64| to.saturating_sub(from) as f64 / 1000.0;
    let sampled = seconds(first.t, last.t);
    let distance = sampled / (window.samples.len() - 1) as f64;
    let near = |gap: f64| if gap >= distance * 1.1 { distance / 2.0 } else { gap };
    let mut before = near(seconds(window.start, first.t));
    let after = near(seconds(last.t, window.end));
    if counter && change > 0.0 && first.v >= 0.0 {
        let since_zero = sampled * (first.v / change);
        if since_zero < before {
            before = since_zero;
        }
    }
    let factor = if sampled == 0.0 { 1.0 } else { (sampled + before + after) / sampled };
    Some((change, factor))
}

pub(super) fn irate(window: &mut Window<'_>) -> Option<f64> {
    let (change, seconds) = newest(window, true)?;
    Some(change / seconds)
}

pub(super) fn idelta(window: &mut Window<'_>) -> Option<f64> {
    newest(window, false).map(|(change, _)| change)
}

/// The change between the two newest samples, and the seconds between them.
fn newest(window: &Window<'_>, counter: bool) -> Option<(f64, f64)> {
    let [.., before, last] = window.samples else { return None };
    let milliseconds = last.t.saturating_sub(before.t);
    if milliseconds == 0 {
        return None;
    }
    let reset = counter && last.v < before.v;
    Some((if reset { last.v } else { last.v - before.v }, milliseconds as f64 / 1000.0))
}

pub(super) fn resets(window: &mut Window<'_>) -> Option<f64> {
    Some(resets_of(window).count() as f64)
}

pub(super) fn changes(window: &mut Window<'_>) -> Option<f64> {
    let pairs = window.samples.iter().zip(window.samples.iter().skip(1));
    let differs = |a: f64, b: f64| a != b && !(a.is_nan() && b.is_nan());
    Some(pairs.filter(|(before, after)| differs(before.v, after.v)).count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::eval::Notes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_fall_is_found_once(values in prop::collection::vec((0_i8..4).prop_map(f64::from), 0..300), still in any::<bool>()) {
            let rising = |(at, v): (usize, &f64)| Sample { t: 0, v: if still { at as f64 } else { *v } };
            let samples: Vec<Sample> = values.iter().enumerate().map(rising).collect();
            let window = Window {
                samples: &samples, now: 0, start: 0, end: 0, args: &[], first_arg: 0, notes: &mut Notes::default(), scratch: &mut Vec::new(),
            };
            let plain: Vec<f64> = samples.windows(2).filter(|pair| pair[1].v < pair[0].v).map(|pair| pair[0].v).collect();
            prop_assert_eq!(resets_of(&window).collect::<Vec<_>>(), plain);
        }
    }
}
