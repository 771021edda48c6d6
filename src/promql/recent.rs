//! What was read lately, for those who ask many questions of one time.
//!
//! A report asks for the same series a dozen times: how much a counter grew is seven selections of it. Here they are read and
//! decoded once.

use std::cell::Cell;
use std::fmt::Write;
use std::ops::Range;

use super::error::Error;
use super::labels::Labels;
use super::sample::Sample;
use super::select::{Each, Select, Selection};

/// Samples that are kept, 16 bytes each: 8 MiB.
const MOST: usize = 1 << 19;
/// After so many samples it begins again at the front. The less memory is touched, the less of it the system has to clear first.
const ROUND: usize = MOST / 4;
/// What is read before the time that is asked for, in milliseconds: questions look back by the lookback, or by an hour to the value
/// that a counter had before.
const MARGIN: i64 = 3_600_000;

/// A storage that keeps what was read of another one, up to 8 MiB of samples.
pub struct Recent<'s> {
    storage: &'s dyn Select,
    /// Away while it is used: a question within a question goes to the storage.
    buffer: Cell<Option<Buffer>>,
}

impl std::fmt::Debug for Recent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

/// The samples that were read last, in one piece of memory that is written again and again: new memory is cleared page by
/// page, which takes longer than to decode what is written there.
#[derive(Default)]
struct Buffer {
    samples: Vec<Sample>,
    kept: Vec<CachedSeries>,
    /// Where the next series are written.
    next: usize,
}

/// The series of some matchers in a time.
struct CachedSeries {
    matchers: String,
    from: i64,
    to: i64,
    /// Where the samples of all of them are.
    place: Range<usize>,
    /// Each series, and where its samples end.
    series: Vec<(Labels, usize)>,
}

impl Buffer {
    fn find(&self, matchers: &str, from: i64, to: i64) -> Option<&CachedSeries> {
        self.kept.iter().find(|one| one.matchers == matchers && one.from <= from && one.to >= to)
    }

    fn each(&self, found: &CachedSeries, each: &mut Each<'_>) -> Result<(), Error> {
        let mut start = found.place.start;
        found.series.iter().try_for_each(|(labels, end)| {
            let samples = self.samples.get(start..*end).unwrap_or_default();
            start = *end;
            each(labels, samples)
        })
    }

    /// Writes one more series of `new` over what was there; `false` where it has no room.
    fn write(&mut self, labels: &Labels, samples: &[Sample], new: &mut CachedSeries) -> bool {
        let start = new.place.end;
        let end = start + samples.len();
        if end > MOST {
            return false;
        }
        self.kept.retain(|one| one.place.end <= start || end <= one.place.start);
        if self.samples.capacity() == 0 {
            // Only what is written takes memory.
            self.samples.reserve_exact(MOST);
        }
        let (over, more) = samples.split_at(samples.len().min(self.samples.len().saturating_sub(start)));
        if let Some(old) = self.samples.get_mut(start..start + over.len()) {
            old.copy_from_slice(over);
        }
        self.samples.extend_from_slice(more);
        new.place.end = end;
        new.series.push((labels.clone(), end));
        true
    }

    fn keep(&mut self, new: CachedSeries) {
        self.next = if new.place.end < ROUND { new.place.end } else { 0 };
        self.kept.push(new);
    }
}

impl<'s> Recent<'s> {
    /// One that has kept nothing yet.
    #[must_use]
    pub fn of(storage: &'s dyn Select) -> Self {
        Self { storage, buffer: Cell::new(Some(Buffer::default())) }
    }

    /// Reads what was asked for and the time before it, and keeps it.
    fn read(
        &self,
        buffer: &mut Buffer,
        matchers: String,
        selection: &Selection<'_>,
        each: &mut Each<'_>,
    ) -> Result<(), Error> {
        let from = selection.from.saturating_sub(MARGIN);
        let width = selection.to.saturating_sub(from).max(1);
        // All of the time and no windows, so that another question finds what lies between them.
        let whole = Selection { from, step: 0, width, ..*selection };
        let place = buffer.next..buffer.next;
        let mut new = CachedSeries { matchers, from, to: selection.to, place, series: Vec::new() };
        let mut fits = true;
        self.storage.select(&whole, &mut |labels, samples| {
            fits = fits && buffer.write(labels, samples, &mut new);
            each(labels, samples)
        })?;
        if fits {
            buffer.keep(new);
        }
        Ok(())
    }
}

impl Select for Recent<'_> {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let Some(mut buffer) = self.buffer.take() else { return self.storage.select(selection, each) };
        let mut matchers = String::new();
        for matcher in selection.matchers {
            // Writing to a string cannot fail.
            let _ = write!(matchers, "{matcher},");
        }
        let answer = match buffer.find(&matchers, selection.from, selection.to) {
            Some(found) => buffer.each(found, each),
            None => self.read(&mut buffer, matchers, selection, each),
        };
        self.buffer.set(Some(buffer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::matcher::{Matcher, Op};
    use crate::promql::{Query, When, evaluate, parse};

    fn value(name: &str, t: i64) -> f64 {
        if name == "a" { t as f64 } else { -t as f64 }
    }

    /// Series of a sample a second, that count how often they are read.
    struct Counted {
        samples: i64,
        reads: Cell<usize>,
    }

    impl Select for Counted {
        fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
            self.reads.set(self.reads.get() + 1);
            for name in ["a", "b"] {
                let labels = Labels::from_pairs([("__name__", name)]);
                if Matcher::all(selection.matchers, &labels) {
                    let times = (0..self.samples).map(|second| second * 1000);
                    let times = times.filter(|t| (selection.from..=selection.to).contains(t));
                    each(&labels, &times.map(|t| Sample { t, v: value(name, t) }).collect::<Vec<_>>())?;
                }
            }
            Ok(())
        }
    }

    fn read(storage: &dyn Select, name: &str, from: i64, to: i64) -> usize {
        let matchers = [Matcher::new("__name__", Op::Equal, name).unwrap()];
        let selection = Selection { matchers: &matchers, from, to, step: 0, width: to - from };
        let mut number = 0;
        storage
            .select(&selection, &mut |_, samples| {
                let is_right = |sample: &&Sample| {
                    (from..=to).contains(&sample.t) && sample.v.to_bits() == value(name, sample.t).to_bits()
                };
                number += samples.iter().filter(is_right).count();
                Ok(())
            })
            .unwrap();
        number
    }

    #[test]
    fn what_was_read_is_not_read_again() {
        let counted = Counted { samples: 10_000, reads: Cell::new(0) };
        let recent = Recent::of(&counted);
        assert_eq!(read(&recent, "a", 8_000_000, 9_000_000), 1001);
        assert_eq!(read(&recent, "a", 8_500_000, 8_600_000), 101);
        // An hour before as well.
        assert_eq!(read(&recent, "a", 5_000_000, 8_000_000), 3001);
        assert_eq!(counted.reads.get(), 1);
        assert_eq!(read(&recent, "b", 8_500_000, 8_600_000), 101);
        assert_eq!(read(&recent, "a", 8_500_000, 9_000_001), 501);
        assert_eq!(counted.reads.get(), 3, "another series, another time");
    }

    #[test]
    fn more_than_is_kept_is_read_again_and_answers_the_same() {
        let counted = Counted { samples: MOST as i64 + 1, reads: Cell::new(0) };
        let recent = Recent::of(&counted);
        let all = counted.samples * 1000;
        assert_eq!(read(&recent, "a", 0, all), MOST + 1);
        assert_eq!(read(&recent, "a", 0, all), MOST + 1);
        assert_eq!(counted.reads.get(), 2);
        // Each pushes out the others.
        for name in ["a", "b", "a", "b"] {
            assert_eq!(read(&recent, name, 4_000_000, 300_000_000), 296_001);
        }
        assert_eq!(counted.reads.get(), 6);
        let buffer = recent.buffer.take().unwrap();
        assert!(buffer.samples.len() <= MOST && buffer.samples.capacity() == MOST && buffer.kept.len() == 1);
    }

    #[test]
    fn what_is_written_over_is_not_answered() {
        let counted = Counted { samples: 400_000, reads: Cell::new(0) };
        let recent = Recent::of(&counted);
        let mut hits = 0;
        // As by chance, but always the same.
        for number in 0_i64..300 {
            let name = if number * 7 % 5 < 2 { "a" } else { "b" };
            let (from, long) = (4_000_000 + number * 7919 % 3 * 1_000_000, number * 104_729 % 13 * 5_000_000);
            let before = counted.reads.get();
            assert_eq!(read(&recent, name, from, from + long), long as usize / 1000 + 1, "{number}");
            hits += usize::from(counted.reads.get() == before);
        }
        assert!((30..270).contains(&hits), "{hits}");
    }

    #[test]
    fn a_question_that_ends_early_leaves_nothing_half() {
        let counted = Counted { samples: 100, reads: Cell::new(0) };
        let recent = Recent::of(&counted);
        let matchers = [Matcher::new("__name__", Op::Regex, "a|b").unwrap()];
        let selection = Selection { matchers: &matchers, from: 0, to: 50_000, step: 0, width: 50_000 };
        let ended = recent.select(&selection, &mut |_, _| Err(Error::storage("enough")));
        assert!(ended.is_err() && recent.buffer.take().unwrap().kept.is_empty());
    }

    #[test]
    fn answers_are_those_of_the_storage() {
        let counted = Counted { samples: 10_000, reads: Cell::new(0) };
        let recent = Recent::of(&counted);
        for text in [
            "increase(a[1h])",
            "max_over_time(a[30m] offset 1h)",
            "avg_over_time((a > 5)[1h:15s])",
            "a + b",
            "rate(a[5m]) + rate(b[10m])",
        ] {
            for when in [When::At(9_000_000), When::Range { start: 6_000_000, end: 9_000_000, step: 77_000 }]
            {
                let expr = parse(text).unwrap();
                let of = |storage: &dyn Select| evaluate(&expr, &Query::new(when), storage).unwrap().value;
                assert_eq!(of(&recent), of(&counted), "{text}");
            }
        }
    }
}
