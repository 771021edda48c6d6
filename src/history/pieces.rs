//! Samples of one series that were written at different times, as one series.

use crate::promql::Sample;

/// Collects pieces, the one that was written last first. Where two cover the same time, the one that was written later stands:
/// the clock was set back and the hour came again, or memory and file hold the same.
#[derive(Debug, Default)]
pub struct Pieces {
    samples: Vec<Sample>,
    /// Where each piece begins in `samples`, by time.
    pieces: Vec<(i64, std::ops::Range<usize>)>,
    /// Times that are covered, first and last, in no order.
    covered: Vec<(i64, i64)>,
    /// Those of them that the piece that is being added may meet, by rising time.
    met: Vec<(i64, i64)>,
    start: usize,
}

impl Pieces {
    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.pieces.clear();
        self.covered.clear();
        self.met.clear();
        self.start = 0;
    }

    /// Whether samples of this span would all be hidden by those that are there.
    #[must_use]
    pub fn hides(&self, from: i64, to: i64) -> bool {
        self.covered.iter().any(|&(first, last)| first <= from && to <= last)
    }

    /// Begins a piece whose samples lie within this span. Most pieces meet no other, and of those no sample is compared with anything.
    pub fn begin(&mut self, from: i64, to: i64) {
        self.met.clear();
        self.met.extend(self.covered.iter().filter(|&&(first, last)| first <= to && from <= last));
        self.met.sort_unstable();
    }

    /// Adds a sample of the piece that is being added. Samples come by rising time.
    #[inline]
    pub fn push(&mut self, t: i64, v: f64) {
        if self.met.is_empty() || self.met.iter().all(|&(first, last)| t < first || t > last) {
            self.samples.push(Sample { t, v });
        }
    }

    /// Takes back what was added of a piece that cannot be read to its end.
    pub fn abandon(&mut self) {
        self.samples.truncate(self.start);
    }

    /// Ends a piece, which covers this span.
    pub fn end(&mut self, from: i64, to: i64) {
        // A later piece that lies within this one splits it: what is before and what is after it are pieces of their own.
        let mut start = self.start;
        for at in 0..self.met.len() {
            let Some(&(cut, _)) = self.met.get(at) else { break };
            let rest = self.samples.get(start..).unwrap_or_default();
            let end = start + rest.partition_point(|sample| sample.t < cut);
            self.add(start..end);
            start = end;
        }
        self.add(start..self.samples.len());
        self.start = self.samples.len();
        match self.covered.iter_mut().find(|(first, last)| from <= *first && *last <= to) {
            Some(within) => *within = (from, to),
            None => self.covered.push((from, to)),
        }
    }

    fn add(&mut self, range: std::ops::Range<usize>) {
        if let Some(first) = self.samples.get(range.clone()).and_then(<[_]>::first) {
            self.pieces.push((first.t, range));
        }
    }

    /// Appends the samples by rising time.
    pub fn write(&mut self, out: &mut Vec<Sample>) {
        self.pieces.sort_unstable_by_key(|(first, _)| *first);
        for (_, range) in &self.pieces {
            out.extend_from_slice(self.samples.get(range.clone()).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[Vec<i64>]) -> Vec<(i64, f64)> {
        let mut all = Pieces::default();
        for (number, times) in pieces.iter().enumerate() {
            if let (Some(&first), Some(&last)) = (times.first(), times.last()) {
                all.begin(first, last);
                times.iter().for_each(|&t| all.push(t, number as f64));
                all.end(first, last);
            }
        }
        let mut out = Vec::new();
        all.write(&mut out);
        out.iter().map(|sample| (sample.t, sample.v)).collect()
    }

    #[test]
    fn what_was_written_last_stands() {
        assert_eq!(read(&[vec![10, 15], vec![0, 5]]), [(0, 1.0), (5, 1.0), (10, 0.0), (15, 0.0)]);
        assert_eq!(read(&[vec![10, 20], vec![0, 12, 18, 30]]), [(0, 1.0), (10, 0.0), (20, 0.0), (30, 1.0)]);
        assert_eq!(read(&[vec![10, 20], vec![10, 20]]), [(10, 0.0), (20, 0.0)]);
    }

    proptest! {
        #[test]
        fn the_latest_that_covers_a_time_says_what_is_there(
            pieces in prop::collection::vec(prop::collection::btree_set(0_i64..60, 1..12), 1..7),
        ) {
            let pieces: Vec<Vec<i64>> = pieces.into_iter().map(|times| times.into_iter().collect()).collect();
            let mut expected = Vec::new();
            for t in 0..60 {
                let covering = pieces.iter().position(|times| times[0] <= t && t <= times[times.len() - 1]);
                if let Some(number) = covering && pieces[number].contains(&t) {
                    expected.push((t, number as f64));
                }
            }
            prop_assert_eq!(read(&pieces), expected);
        }
    }
}
