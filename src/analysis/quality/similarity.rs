//! How like a channel is to the others: PREP's measure of channels that go their own way.
//!
//! Up to [`ALL`] channels each is compared with each; of more, each with the [`NEAR`] before and after it, because
//! neighbours on a probe or a cap have neighbouring numbers and a thousand channels have half a million pairs.

use super::pass::LANES;
use super::spectrum::quantile;

/// Channels that are compared with all others.
const ALL: usize = 64;
/// Neighbours to each side, if there are more.
const NEAR: usize = 8;
/// Of the correlations with the others, this quantile is the channel's (PREP, by way of pyprep).
const QUANTILE: f64 = 0.98;

/// Compares channels.
#[derive(Debug)]
pub(super) struct Similarity {
    channels: usize,
    /// How many of those after it a channel is compared with.
    reach: usize,
    /// Correlations without their sign, by channel and by how much later the other is.
    pairs: Vec<f32>,
    scratch: Vec<f32>,
}

impl Similarity {
    pub(super) fn new(channels: usize) -> Self {
        let reach = if channels <= ALL { channels.saturating_sub(1) } else { NEAR };
        let scratch = Vec::with_capacity(2 * reach);
        Self { channels, reach, pairs: vec![0.0; channels * reach], scratch }
    }

    /// Whether there is anything to compare with.
    pub(super) fn tells(&self) -> bool {
        self.reach > 0
    }

    /// Compares shapes of a width, each of length 1 or 0.
    pub(super) fn compare(&mut self, shapes: &[f32], width: usize) {
        if !self.tells() || width == 0 {
            return;
        }
        for (first, pairs) in self.pairs.chunks_exact_mut(self.reach).enumerate() {
            let mut others = shapes.chunks_exact(width).skip(first);
            let Some(shape) = others.next() else { return };
            for (pair, other) in pairs.iter_mut().zip(others) {
                *pair = product(shape, other).abs().min(1.0);
            }
        }
    }

    /// The likeness of a channel, from 0 to 1.
    pub(super) fn of(&mut self, channel: usize) -> f64 {
        let Self { channels, reach, pairs, scratch } = self;
        scratch.clear();
        let pair = |one: usize, after: usize| pairs.get(one * *reach + after - 1).copied();
        let later = (1..=*reach).take_while(|after| channel + after < *channels);
        scratch.extend(later.filter_map(|after| pair(channel, after)));
        let earlier = (1..=*reach).take_while(|before| *before <= channel);
        scratch.extend(earlier.filter_map(|before| pair(channel - before, before)));
        quantile(scratch, QUANTILE)
    }
}

/// The sum of products, in as many strands as a vector unit takes.
fn product(one: &[f32], two: &[f32]) -> f32 {
    let mut strands = [0.0; LANES];
    let (ones, twos) = (one.chunks_exact(LANES), two.chunks_exact(LANES));
    let rest = ones.remainder().iter().zip(twos.remainder()).map(|(a, b)| a * b).sum::<f32>();
    for (a, b) in ones.zip(twos) {
        for (strand, (a, b)) in strands.iter_mut().zip(a.iter().zip(b)) {
            *strand += a * b;
        }
    }
    strands.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_channels_are_compared_with_all_and_many_with_their_neighbours() {
        // Shapes along two axes: even channels the one, odd the other.
        let shapes = |n: usize| (0..n).flat_map(|i| if i % 2 == 0 { [1.0, 0.0] } else { [0.0, -1.0] });
        for n in [2, 3, 64, 65, 300] {
            let mut similarity = Similarity::new(n);
            similarity.compare(&shapes(n).collect::<Vec<_>>(), 2);
            for channel in 0..n {
                let want = if n == 2 || (n == 3 && channel == 1) { 0.0 } else { 1.0 };
                let is = similarity.of(channel);
                assert!((is - want).abs() < if n == 3 { 0.03 } else { 1e-6 }, "{channel} of {n}: {is}");
            }
            assert!(similarity.pairs.len() <= n * ALL);
        }
        assert!(!Similarity::new(1).tells() && !Similarity::new(0).tells());
    }
}
