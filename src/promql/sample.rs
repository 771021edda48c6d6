//! What a series is made of, and the mark that ends one.

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub t: i64,
    /// The value; [`STALE`] if the series ended here.
    pub v: f64,
}

/// Prometheus' staleness mark: a NaN of its own. Fact: `model/value` of Prometheus.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is the staleness mark, and no other NaN.
#[inline]
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_no_other_nan() {
        assert!(is_stale(STALE) && STALE.is_nan());
        assert!(!is_stale(f64::NAN) && !is_stale(f64::from_bits(0x7ff8_0000_0000_0001)) && !is_stale(1.0));
    }
}
