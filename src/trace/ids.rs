//! Ids of spans and traces that are made here.

use std::num::{NonZeroU64, NonZeroU128};

use crate::event::{SpanId, TraceId};

/// The number that follows this one, as by chance (splitmix64).
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Ids that no other agent makes, as far as its seed is by chance.
#[derive(Debug)]
pub(super) struct Ids {
    seed: u64,
    count: u64,
}

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    /// The id of one more span.
    pub(super) fn span(&mut self) -> SpanId {
        self.count = self.count.wrapping_add(1);
        SpanId(never_zero(mix(self.seed ^ mix(self.count))))
    }
}

/// The trace and the root span of something that has a name of its own: the same whenever it is asked.
pub(super) fn named(name: &str) -> (TraceId, SpanId) {
    let fold = |seed: u64| name.bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
    let (high, low) = (never_zero(fold(1)), never_zero(fold(2)));
    let trace = NonZeroU128::from(low) | (u128::from(high.get()) << 64);
    (TraceId(trace), SpanId(never_zero(fold(3))))
}

fn never_zero(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap_or(NonZeroU64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ() {
        let mut all = HashSet::new();
        for seed in [0, 1, u64::MAX] {
            let mut ids = Ids::new(seed);
            assert!((0..10_000).all(|_| all.insert(ids.span().0)), "{seed}");
        }
        assert_eq!(named("a"), named("a"));
        assert_ne!(named("a"), named("b"));
    }
}
