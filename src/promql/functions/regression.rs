//! The straight line through the samples of a window: its slope, and where it leads.

use crate::promql::eval::Window;
use crate::promql::sample::Sample;
use crate::promql::sums::Sum;

pub(super) fn deriv(window: &mut Window<'_>) -> Option<f64> {
    // Times near those of the samples keep the sums small.
    let (slope, _) = line(window.samples, window.samples.first()?.t)?;
    Some(slope)
}

pub(super) fn predict(window: &mut Window<'_>) -> Option<f64> {
    let seconds = *window.args.first()?;
    let (slope, now) = line(window.samples, window.now)?;
    Some(slope * seconds + now)
}

/// Slope by second, and value at a time; from two samples on.
fn line(samples: &[Sample], at: i64) -> Option<(f64, f64)> {
    let [first, _, ..] = samples else { return None };
    if samples.iter().all(|sample| sample.v == first.v) {
        return Some(if first.v.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first.v) });
    }
    let [mut x, mut y, mut xy, mut xx] = [Sum::default(); 4];
    for sample in samples {
        let seconds = sample.t.saturating_sub(at) as f64 / 1000.0;
        x.add(seconds);
        y.add(sample.v);
        xy.add(seconds * sample.v);
        xx.add(seconds * seconds);
    }
    let n = samples.len() as f64;
    let [x, y, xy, xx] = [x, y, xy, xx].map(|sum| sum.plain());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Some((slope, y / n - slope * x / n))
}
