//! Numbers as an exposition writes them.

/// Appends a sample value: whole numbers without a point, others as short as they read back.
pub(super) fn value(out: &mut Vec<u8>, v: f64) {
    // Below 2^53 every whole number has its own f64.
    if v.fract() == 0.0 && v.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        out.extend_from_slice(itoa::Buffer::new().format(v as i64).as_bytes());
    } else {
        float(out, v);
    }
}

/// Appends a number that is a float even when it is whole, as sums of observations are.
pub(super) fn float(out: &mut Vec<u8>, v: f64) {
    if v.is_finite() {
        out.extend_from_slice(dtoa::Buffer::new().format_finite(v).as_bytes());
    } else if v.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if v > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

/// A bucket's bound or a quantile in the canonical form of OpenMetrics 1.0: `0.005`, `1.0`, `1e+06`.
pub(super) fn bound(v: f64) -> String {
    if v.is_infinite() {
        return if v > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let shortest = format!("{v:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if v != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{v}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: fn(&mut Vec<u8>, f64), v: f64) -> String {
        let mut out = Vec::new();
        write(&mut out, v);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values() {
        for (v, want) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (1e15, "1000000000000000"),
            (0.25, "0.25"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(value, v), want);
        }
        assert_eq!(text(float, 2.0), "2.0");
        assert_eq!(text(value, 1e300).parse::<f64>().unwrap(), 1e300);
    }

    #[test]
    fn bounds_are_canonical() {
        for (v, want) in [
            (0.005, "0.005"),
            (1.0, "1.0"),
            (10.0, "10.0"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1.5e6, "1.5e+06"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (0.0, "0.0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(bound(v), want);
        }
    }
}
