//! How fast a series changes, how often, and how often it began again: `rate` and its family.
//!
//! A counter that falls began again at 0. Facts: `extrapolatedRate` and `instantValue` in `promql/functions.go` of Prometheus.

use crate::promql::eval::Window;

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
    let pairs = window.samples.iter().zip(window.samples.iter().skip(1));
    pairs.filter(|(before, after)| after.v < before.v).map(|(before, _)| before.v)
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
