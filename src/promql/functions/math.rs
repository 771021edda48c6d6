//! Functions of one value and some numbers, where NaN and signed zeros have a say.

/// The smaller one; NaN if one is.
pub(in crate::promql) fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The greater one; NaN if one is.
pub(in crate::promql) fn greatest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn between(value: f64, low: f64, high: f64) -> Option<f64> {
    if high < low { None } else { Some(greatest(low, least(high, value))) }
}

pub(super) fn clamp(value: f64, bounds: &[f64]) -> Option<f64> {
    between(value, *bounds.first()?, *bounds.get(1)?)
}

pub(super) fn clamp_min(value: f64, bounds: &[f64]) -> Option<f64> {
    between(value, *bounds.first()?, f64::INFINITY)
}

pub(super) fn clamp_max(value: f64, bounds: &[f64]) -> Option<f64> {
    between(value, f64::NEG_INFINITY, *bounds.first()?)
}

/// To the nearest multiple; halves go up.
pub(super) fn round(value: f64, nearest: &[f64]) -> Option<f64> {
    // Multiplied by the inverse, as Prometheus does.
    let inverse = 1.0 / nearest.first().copied().unwrap_or(1.0);
    Some((value * inverse + 0.5).floor() / inverse)
}

pub(super) fn sgn(value: f64, _: &[f64]) -> Option<f64> {
    Some(if value == 0.0 || value.is_nan() { value } else { value.signum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_never_lost() {
        assert!(least(f64::NAN, 1.0).is_nan() && greatest(1.0, f64::NAN).is_nan());
        assert!(clamp(1.0, &[f64::NAN, 2.0]).is_some_and(f64::is_nan));
        assert_eq!(clamp(1.0, &[5.0, -5.0]), None);
        assert_eq!(sgn(-3.0, &[]), Some(-1.0));
        assert!(sgn(-0.0, &[]).is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
    }

    #[test]
    fn halves_are_rounded_up() {
        assert_eq!(
            (round(-2.5, &[]), round(2.5, &[]), round(7.0, &[5.0])),
            (Some(-2.0), Some(3.0), Some(5.0))
        );
    }
}
