//! What was read lately, for those who ask many questions of one time.
//!
//! A report asks for the same series a dozen times: how much a counter grew is seven selections of it. Here they are read and
//! decoded once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Write;
use std::rc::Rc;

use super::error::Error;
use super::labels::Labels;
use super::sample::Sample;
use super::select::{Each, Select, Selection};

/// Samples that are kept, 16 bytes each.
const MOST: usize = 1 << 19;
/// What is read before the time that is asked for, in milliseconds: questions look back by the lookback, or by an hour to the value
/// that a counter had before.
const MARGIN: i64 = 3_600_000;

/// A storage that keeps what was read of another one, up to 8 MiB of samples. The memory that they take may be twice as much, and one more piece
/// of it may wait to be used again.
pub struct Recent<'s> {
    storage: &'s dyn Select,
    kept: RefCell<VecDeque<(String, Rc<CachedSeries>)>>,
    size: Cell<usize>,
    /// The memory of what was let go, for what is read next: new memory would be cleared page by page.
    spare: RefCell<Vec<Sample>>,
}

impl std::fmt::Debug for Recent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The series of some matchers in a time.
struct CachedSeries {
    from: i64,
    to: i64,
    /// The samples of all series, one after another.
    samples: Vec<Sample>,
    /// Each series, and where its samples end.
    series: Vec<(Labels, usize)>,
}

impl CachedSeries {
    fn each(&self, each: &mut Each<'_>) -> Result<(), Error> {
        let mut start = 0;
        self.series.iter().try_for_each(|(labels, end)| {
            let samples = self.samples.get(start..*end).unwrap_or_default();
            start = *end;
            each(labels, samples)
        })
    }
}

impl<'s> Recent<'s> {
    /// One that has kept nothing yet.
    #[must_use]
    pub fn of(storage: &'s dyn Select) -> Self {
        Self { storage, kept: RefCell::default(), size: Cell::new(0), spare: RefCell::default() }
    }

    fn find(&self, key: &str, from: i64, to: i64) -> Option<Rc<CachedSeries>> {
        let kept = self.kept.borrow();
        let found = kept.iter().find(|(other, one)| other == key && one.from <= from && one.to >= to);
        found.map(|(_, one)| one.clone())
    }

    fn keep(&self, key: String, new: CachedSeries) {
        let mut kept = self.kept.borrow_mut();
        let mut size = self.size.get() + new.samples.len();
        while size > MOST
            && let Some((_, old)) = kept.pop_front()
        {
            size -= old.samples.len();
            if let Some(old) = Rc::into_inner(old) {
                self.let_go(old.samples);
            }
        }
        self.size.set(size);
        kept.push_back((key, Rc::new(new)));
    }
}

impl Recent<'_> {
    /// Keeps the larger of two pieces of memory for what is read next.
    fn let_go(&self, mut samples: Vec<Sample>) {
        samples.clear();
        let mut spare = self.spare.borrow_mut();
        if samples.capacity() > spare.capacity() {
            *spare = samples;
        }
    }
}

impl Select for Recent<'_> {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let mut key = String::new();
        for matcher in selection.matchers {
            // Writing to a string cannot fail.
            let _ = write!(key, "{matcher},");
        }
        if let Some(kept) = self.find(&key, selection.from, selection.to) {
            return kept.each(each);
        }
        let from = selection.from.saturating_sub(MARGIN);
        let width = selection.to.saturating_sub(from).max(1);
        // All of the time and no windows, so that another question finds what lies between them.
        let whole = Selection { from, step: 0, width, ..*selection };
        let (mut series, mut all, mut size) = (Vec::new(), self.spare.take(), 0);
        let read = self.storage.select(&whole, &mut |labels, samples| {
            size += samples.len();
            if size <= MOST {
                all.extend_from_slice(samples);
                series.push((labels.clone(), size));
            }
            each(labels, samples)
        });
        if read.is_ok() && size <= MOST {
            self.keep(key, CachedSeries { from, to: selection.to, samples: all, series });
        } else {
            self.let_go(all);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::matcher::{Matcher, Op};
    use crate::promql::{Query, When, evaluate, parse};

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
                    each(&labels, &times.map(|t| Sample { t, v: t as f64 }).collect::<Vec<_>>())?;
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
                number += samples.iter().filter(|sample| (from..=to).contains(&sample.t)).count();
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
        assert!(recent.size.get() <= MOST && recent.kept.borrow().len() == 1);
    }

    #[test]
    fn a_question_that_ends_early_leaves_nothing_half() {
        let counted = Counted { samples: 100, reads: Cell::new(0) };
        let recent = Recent::of(&counted);
        let matchers = [Matcher::new("__name__", Op::Regex, "a|b").unwrap()];
        let selection = Selection { matchers: &matchers, from: 0, to: 50_000, step: 0, width: 50_000 };
        let ended = recent.select(&selection, &mut |_, _| Err(Error::storage("enough")));
        assert!(ended.is_err() && recent.kept.borrow().is_empty());
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
