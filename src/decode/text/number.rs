//! Decimal numbers straight from bytes.
//!
//! A short plain decimal is read by hand; everything else goes to the standard library, and the
//! two always agree. It does not judge: NaN and infinities are numbers here.

/// Powers of ten that an `f64` holds exactly, as far as [`leading`] needs them.
const TENS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The plain decimal that `bytes` begin with, and how many bytes it takes.
///
/// `None` if there is no digit, or more than 15 of them: 15 digits and a power of ten up to
/// 10^15 are exact in an `f64`, so their quotient is the nearest number there is.
#[inline]
#[must_use]
pub fn leading(bytes: &[u8]) -> Option<(f64, usize)> {
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let begin = at;
    let mut mantissa = 0_u64;
    while let Some(digit) = digit(bytes, at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    let mut digits = at - begin;
    let mut decimals = 0;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let point = at;
        while let Some(digit) = digit(bytes, at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(digit);
            at += 1;
        }
        decimals = at - point;
        digits += decimals;
    }
    if digits == 0 || digits > 15 {
        return None;
    }
    let value = mantissa as f64 / TENS.get(decimals)?;
    Some((if bytes.first() == Some(&b'-') { -value } else { value }, at))
}

/// The number that all of `bytes` are, if they are one.
#[inline]
#[must_use]
pub fn whole(bytes: &[u8]) -> Option<f64> {
    match leading(bytes) {
        Some((value, length)) if length == bytes.len() => Some(value),
        _ => std::str::from_utf8(bytes).ok()?.parse().ok(),
    }
}

#[inline]
fn digit(bytes: &[u8], at: usize) -> Option<u64> {
    let digit = bytes.get(at)?.wrapping_sub(b'0');
    (digit < 10).then_some(u64::from(digit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_decimals_and_what_follows_them() {
        assert_eq!(leading(b"3|c"), Some((3.0, 1)));
        assert_eq!(leading(b"-0.25:7"), Some((-0.25, 5)));
        assert_eq!(leading(b"+5."), Some((5.0, 3)));
        assert_eq!(leading(b".5"), Some((0.5, 2)));
        assert_eq!(leading(b"1e5"), Some((1.0, 1)));
        for none in [&b""[..], b"-", b".", b"+.", b"x", b"1234567890123456", b"0.1234567890123456"] {
            assert_eq!(leading(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_rest_is_left_to_the_standard_library() {
        assert_eq!(whole(b"1e5"), Some(1e5));
        assert_eq!(whole(b"0.30000000000000004"), Some(0.1 + 0.2));
        assert_eq!(whole(b"-inf"), Some(f64::NEG_INFINITY));
        assert!(whole(b"nan").unwrap().is_nan());
        for none in [&b""[..], b"1.2.3", b"1 ", b"0x10", b"1_000", b"\xff", b"12three"] {
            assert_eq!(whole(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn by_hand_and_by_the_book_agree(text in "[+-]?[0-9]{0,12}(\\.[0-9]{0,12})?") {
            let book = text.parse::<f64>().ok();
            prop_assert_eq!(whole(text.as_bytes()).map(f64::to_bits), book.map(f64::to_bits));
        }
    }
}
