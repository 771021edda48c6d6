//! Exponential histograms as classic ones.
//!
//! Bucket `i` of scale `s` holds what is above `base^i` and not above `base^(i+1)`, with `base = 2^(2^-s)`. Its buckets
//! never lie across a power of two where the scale is not negative. So the counts below each power of two are exact, at
//! every scale that a sender may choose, and they stay comparable when it chooses another one.

use crate::event::FaultKind;
use crate::protobuf::{Fields, Value, numbers, zigzag};

/// Buckets of one point, beyond which it is refused: SDKs have 160.
const MOST: usize = 20_000;

/// The exponents of the bounds that suit a unit: the first, the last, and the step between two.
fn exponents(unit: &str) -> (i32, i32, usize) {
    match unit {
        // 61 µs to 512 s.
        "s" => (-14, 9, 1),
        "ms" => (-4, 19, 1),
        "us" => (0, 29, 1),
        "ns" => (10, 39, 1),
        // A byte to a tebibyte.
        "By" => (0, 40, 2),
        _ => (-10, 30, 2),
    }
}

/// A point, as far as its buckets go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exponential<'a> {
    pub scale: i64,
    pub zeros: u64,
    pub threshold: f64,
    pub positive: &'a [u8],
    pub negative: &'a [u8],
}

impl Exponential<'_> {
    /// Fills `out` with classic buckets, their bounds and counts, not cumulative.
    ///
    /// # Errors
    /// It makes no sense.
    pub(super) fn classic(&self, unit: &str, out: &mut Vec<(f64, f64)>) -> Result<(), FaultKind> {
        // The scales that base 2^(2^-s) has a meaning for in 64 bits.
        if !(-10..=20).contains(&self.scale) || self.threshold.is_nan() || self.threshold < 0.0 {
            return Err(FaultKind::BadValue);
        }
        let (first, last, step) = exponents(unit);
        out.clear();
        out.extend((first..=last).step_by(step).map(|exponent| (2_f64.powi(exponent), 0.0)));
        out.push((f64::INFINITY, 0.0));
        // What is not above zero is below every bound.
        let below = buckets(self.negative)?.map(|(_, count)| count as f64).sum::<f64>();
        let zeros = out.iter().position(|(bound, _)| *bound >= self.threshold).unwrap_or_default();
        let mut add = |place: usize, count: f64| {
            if let Some((_, all)) = out.get_mut(place) {
                *all += count;
            }
        };
        add(0, below);
        add(zeros, self.zeros as f64);
        let (first, step) = (i64::from(first), i64::try_from(step).unwrap_or(1));
        let bounds = (i64::from(last) - first) / step + 1;
        for (index, count) in buckets(self.positive)? {
            let upper = self.upper(index);
            // The first bound that is not below the bucket's own.
            let place = ((upper.saturating_sub(first).max(0).saturating_add(step - 1)) / step).min(bounds);
            add(usize::try_from(place).unwrap_or_default(), count as f64);
        }
        Ok(())
    }

    /// The exponent of the first power of two that is not below what a bucket holds.
    fn upper(&self, index: i64) -> i64 {
        let next = index.saturating_add(1);
        if self.scale >= 0 {
            -(next.saturating_neg() >> self.scale)
        } else {
            next.saturating_mul(1 << -self.scale)
        }
    }
}

/// The indexes and counts of a `Buckets`.
fn buckets(message: &[u8]) -> Result<impl Iterator<Item = (i64, u64)>, FaultKind> {
    let offset = Fields::of(message).filter_map(|field| match field {
        (1, Value::Varint(offset)) => Some(zigzag(offset)),
        _ => None,
    });
    let offset = offset.last().unwrap_or_default();
    if numbers(message, 2, false).nth(MOST).is_some() {
        return Err(FaultKind::Limit);
    }
    let places = (0_i64..).map(move |at| offset.saturating_add(at));
    Ok(places.zip(numbers(message, 2, false)).filter(|(_, count)| *count > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::put_varint;

    fn message(offset: i64, counts: &[u64]) -> Vec<u8> {
        let mut out = vec![0x08];
        put_varint(((offset << 1) ^ (offset >> 63)).cast_unsigned(), &mut out);
        for count in counts {
            out.push(0x10);
            put_varint(*count, &mut out);
        }
        out
    }

    /// What an SDK does with a value: the index of its bucket at a scale.
    fn index(value: f64, scale: i32) -> i64 {
        let exact = value.log2() * 2_f64.powi(scale);
        (if exact.fract() == 0.0 { exact - 1.0 } else { exact.floor() }) as i64
    }

    #[test]
    fn counts_below_each_bound_are_exact_at_every_scale() {
        let values =
            [0.000_01, 0.001, 0.003, 0.125, 0.126, 0.9, 1.0, 1.1, 2.0, 3.0, 511.0, 512.0, 513.0, 1e6];
        for scale in 0..=20 {
            let mut bins = std::collections::BTreeMap::<i64, u64>::new();
            for value in values {
                *bins.entry(index(value, scale)).or_default() += 1;
            }
            // One point a value, since indexes are far apart at high scales.
            let mut all = Vec::<(f64, f64)>::new();
            for (at, count) in bins {
                let positive = message(at, &[count]);
                let of = Exponential { scale: scale.into(), positive: &positive, ..Exponential::default() };
                let mut one = Vec::new();
                of.classic("s", &mut one).unwrap();
                all.resize(one.len(), (0.0, 0.0));
                for (sum, one) in all.iter_mut().zip(one) {
                    *sum = (one.0, sum.1 + one.1);
                }
            }
            let mut below = 0.0;
            for (bound, count) in all {
                below += count;
                let real = values.iter().filter(|value| **value <= bound).count();
                assert_eq!(below, real as f64, "scale {scale}, bound {bound}");
            }
        }
    }

    #[test]
    fn coarse_scales_zeros_and_negatives_have_their_place() {
        let (positive, negative) = (message(-1, &[1, 2]), message(5, &[4]));
        let of =
            Exponential { scale: -2, zeros: 8, threshold: 0.1, positive: &positive, negative: &negative };
        let mut out = Vec::new();
        of.classic("s", &mut out).unwrap();
        let count = |bound: f64| out.iter().find(|(at, _)| *at == bound).unwrap().1;
        // Base 16: above 1/16 up to 1, above 1 up to 16.
        assert_eq!((count(1.0), count(16.0), count(2_f64.powi(-14)), count(0.125)), (1.0, 2.0, 4.0, 8.0));
        assert_eq!(out.iter().map(|(_, count)| count).sum::<f64>(), 15.0);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let many = message(0, &vec![1; MOST + 1]);
        let far = message(i64::MAX, &[1, 1]);
        let mut out = Vec::new();
        let mut classic = |of: Exponential<'_>| of.classic("By", &mut out);
        assert_eq!(classic(Exponential { scale: 21, ..Exponential::default() }), Err(FaultKind::BadValue));
        assert_eq!(
            classic(Exponential { threshold: f64::NAN, ..Exponential::default() }),
            Err(FaultKind::BadValue)
        );
        assert_eq!(classic(Exponential { positive: &many, ..Exponential::default() }), Err(FaultKind::Limit));
        assert_eq!(classic(Exponential { positive: &far, scale: -10, ..Exponential::default() }), Ok(()));
        let last = out.last().unwrap().1;
        assert_eq!(last, 2.0);
    }
}
