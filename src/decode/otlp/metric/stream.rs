//! What each sender said last of a sum that it keeps itself, so that the agent adds up what came since.
//!
//! A sender that starts again begins at nothing and says when it began; another time of beginning is another stream, and so
//! is another process. All of them grow one series, whose value is then that of all processes, whichever ended. What is
//! remembered is bounded in bytes: who was silent for an hour is forgotten first, and what can no longer be told from what
//! was forgotten counts from then on.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::event::FaultKind;

/// Bytes of what is remembered.
const MOST: usize = 8 << 20;
/// Seconds of silence after which a stream may be forgotten. Senders report each minute if nobody says otherwise.
const SILENT: u32 = 3_600;
/// Seconds for which a gauge is of the sender that set it last.
const HELD: u32 = 150;
/// Seconds between two attempts to forget.
const PAUSE: u32 = 10;
/// Nanoseconds by which a point may be older than the last without a clock that was set back.
const LATE: u64 = 3_600 * 1_000_000_000;

/// What tells one stream, or one series, from all others. Of 128 bits, two that only look alike do not occur.
pub(super) type Identity = u128;

/// All streams.
#[derive(Debug, Default)]
pub(in crate::decode::otlp) struct Streams {
    sums: HashTable<Sum>,
    holders: HashTable<Holder>,
    /// Bytes of the counts of histograms.
    counts: usize,
    /// The last time, by its sender's clock, of what was forgotten.
    forgotten: u64,
    /// When something may be forgotten again, in seconds.
    next: u32,
    hashers: (RandomState, RandomState),
}

/// A sum or a histogram, as its sender said last.
#[derive(Debug)]
struct Sum {
    id: Identity,
    time: u64,
    seen: u32,
    value: f64,
    counts: Box<[f64]>,
}

/// Who sets a gauge.
#[derive(Debug)]
struct Holder {
    id: Identity,
    sender: u64,
    seen: u32,
}

/// When something was said: by the sender's clock, and by ours in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub start: u64,
    pub time: u64,
    pub now: u32,
}

impl Streams {
    /// Those of a reader that does not know what was counted before this time.
    pub(in crate::decode::otlp) fn since(time: u64) -> Self {
        Self { forgotten: time, ..Self::default() }
    }

    /// What tells this from all else.
    pub(super) fn identity(&self, of: &impl Hash) -> Identity {
        let (one, two) = &self.hashers;
        Identity::from(one.hash_one(of)) << 64 | Identity::from(two.hash_one((of, 1)))
    }

    /// Turns what a sender counted in all into what came since it said so last.
    ///
    /// # Errors
    /// It is older than what was said last, or one stream too many.
    pub(super) fn advance(
        &mut self,
        id: Identity,
        when: When,
        value: &mut f64,
        counts: &mut [(f64, f64)],
    ) -> Result<(), FaultKind> {
        if let Some(sum) = self.sums.find_mut(short(id), |sum| sum.id == id) {
            return sum.advance(when, value, counts);
        }
        let needed = size_of::<Sum>() + counts.len() * size_of::<f64>();
        if self.bytes() + needed > MOST {
            self.forget(when.now);
            if self.bytes() + needed > MOST {
                return Err(FaultKind::Limit);
            }
        }
        let all: Box<[f64]> = counts.iter().map(|(_, count)| *count).collect();
        self.counts += size_of_val(&*all);
        let sum = Sum { id, time: when.time, seen: when.now, value: *value, counts: all };
        self.sums.insert_unique(short(id), sum, |sum| short(sum.id));
        // It may be one that was forgotten, of which a part was counted.
        if self.forgotten > 0 && when.start <= self.forgotten {
            *value = 0.0;
            counts.iter_mut().for_each(|(_, count)| *count = 0.0);
        }
        Ok(())
    }

    /// Whether a sender may set this gauge: another one that does it now would make it jump between the two.
    pub(super) fn holds(&mut self, id: Identity, sender: u64, now: u32) -> bool {
        if let Some(holder) = self.holders.find_mut(short(id), |holder| holder.id == id) {
            let may = holder.sender == sender || now.saturating_sub(holder.seen) > HELD;
            if may {
                (holder.sender, holder.seen) = (sender, now);
            }
            return may;
        }
        if self.bytes() + size_of::<Holder>() > MOST {
            self.forget(now);
        }
        // Without room nobody holds it, and who sets it last is believed.
        if self.bytes() + size_of::<Holder>() <= MOST {
            self.holders
                .insert_unique(short(id), Holder { id, sender, seen: now }, |holder| short(holder.id));
        }
        true
    }

    fn bytes(&self) -> usize {
        // A table is full at seven eighths, and each place has a byte of its own.
        let table = |places: usize, each: usize| places * (each + 1) * 8 / 7;
        table(self.sums.len(), size_of::<Sum>())
            + table(self.holders.len(), size_of::<Holder>())
            + self.counts
    }

    /// Forgets who is silent.
    #[cold]
    fn forget(&mut self, now: u32) {
        if now < self.next {
            return;
        }
        self.next = now.saturating_add(PAUSE);
        let Self { sums, holders, counts, forgotten, .. } = self;
        sums.retain(|sum| {
            let stays = now.saturating_sub(sum.seen) <= SILENT;
            if !stays {
                *counts -= size_of_val(&*sum.counts);
                *forgotten = (*forgotten).max(sum.time);
            }
            stays
        });
        holders.retain(|holder| now.saturating_sub(holder.seen) <= HELD);
    }
}

impl Sum {
    fn advance(&mut self, when: When, value: &mut f64, counts: &mut [(f64, f64)]) -> Result<(), FaultKind> {
        let back = self.time.saturating_sub(when.time);
        if back > 0 && back < LATE {
            return Err(FaultKind::ClockSkew);
        }
        let same = self.counts.len() == counts.len();
        if !same && !counts.is_empty() && !self.counts.is_empty() {
            return Err(FaultKind::Conflict);
        }
        let fell = if counts.is_empty() {
            *value < self.value
        } else {
            self.counts.iter().zip(&*counts).any(|(old, (_, new))| new < old)
        };
        let (old, new) = (self.value, *value);
        (self.time, self.seen, self.value) = (when.time, when.now, new);
        // Where the sender's clock was set back, or it began again and did not say so, nothing that was said before counts.
        let (again, unknown) = (fell, back >= LATE);
        if unknown {
            *value = 0.0;
        } else if !again {
            *value = new - old;
        }
        for (kept, (_, count)) in self.counts.iter_mut().zip(counts) {
            let before = std::mem::replace(kept, *count);
            if unknown {
                *count = 0.0;
            } else if !again {
                *count -= before;
            }
        }
        Ok(())
    }
}

fn short(id: Identity) -> u64 {
    id as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(start: u64, time: u64, now: u32) -> When {
        let second = 1_000_000_000;
        When { start: start * second, time: time * second, now }
    }

    fn sum(streams: &mut Streams, id: u128, when: When, mut value: f64) -> Result<f64, FaultKind> {
        let id = streams.identity(&id);
        streams.advance(id, when, &mut value, &mut [])?;
        Ok(value)
    }

    #[test]
    fn what_came_since_is_what_counts() {
        let mut streams = Streams::default();
        assert_eq!(sum(&mut streams, 1, when(1, 10, 10), 5.0), Ok(5.0));
        assert_eq!(sum(&mut streams, 1, when(1, 20, 20), 7.0), Ok(2.0));
        assert_eq!(sum(&mut streams, 1, when(1, 20, 21), 7.0), Ok(0.0), "sent again");
        assert_eq!(sum(&mut streams, 1, when(1, 15, 22), 6.0), Err(FaultKind::ClockSkew));
        assert_eq!(sum(&mut streams, 1, when(1, 30, 30), 3.0), Ok(3.0), "it began again and did not say so");
        assert_eq!(sum(&mut streams, 2, when(25, 30, 30), 4.0), Ok(4.0), "another process");
        // A clock that was set: what it says from then on is compared with that.
        assert_eq!(sum(&mut streams, 1, when(1, 1_000_000, 40), 4.0), Ok(1.0));
        assert_eq!(sum(&mut streams, 1, when(1, 50, 50), 6.0), Ok(0.0));
        assert_eq!(sum(&mut streams, 1, when(1, 60, 60), 7.0), Ok(1.0));
    }

    #[test]
    fn histograms_are_compared_bucket_by_bucket() {
        let mut streams = Streams::default();
        let mut advance = |time, counts: [f64; 2], total: f64| {
            let mut buckets = [(1.0, counts[0]), (f64::INFINITY, counts[1])];
            let mut total = total;
            streams
                .advance(9, when(1, time, 1), &mut total, &mut buckets)
                .map(|()| (buckets.map(|b| b.1), total))
        };
        assert_eq!(advance(1, [2.0, 1.0], 3.5), Ok(([2.0, 1.0], 3.5)));
        assert_eq!(advance(2, [2.0, 4.0], 2.5), Ok(([0.0, 3.0], -1.0)), "what was observed may be negative");
        assert_eq!(advance(3, [1.0, 4.0], 1.5), Ok(([1.0, 4.0], 1.5)), "it began again");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_forgotten_is_not_counted_twice() {
        let mut streams = Streams::default();
        let mut refused = 0;
        for id in 0..300_000 {
            refused += u32::from(sum(&mut streams, id, when(1, 10, 10), 5.0) == Err(FaultKind::Limit));
        }
        assert!(refused > 0 && streams.bytes() <= MOST, "{refused}");
        // An hour later there is room, but not for what was there before.
        assert_eq!(
            sum(&mut streams, 299_999, when(1, 4_000, 4_000), 8.0),
            Ok(0.0),
            "nobody knows what of it is new"
        );
        assert_eq!(sum(&mut streams, 299_999, when(1, 4_001, 4_001), 9.0), Ok(1.0));
        assert_eq!(
            sum(&mut streams, 7, when(1, 4_001, 4_001), 6.0),
            Ok(0.0),
            "it was counted before it was forgotten"
        );
        assert_eq!(sum(&mut streams, 7, when(3_999, 4_001, 4_001), 6.0), Ok(0.0));
        assert_eq!(sum(&mut streams, 8, when(3_999, 4_001, 4_001), 6.0), Ok(6.0));
    }

    #[test]
    fn a_gauge_is_of_one_sender_at_a_time() {
        let mut streams = Streams::default();
        assert!(streams.holds(1, 1, 100));
        assert!(!streams.holds(1, 2, 101));
        assert!(streams.holds(2, 2, 101));
        assert!(streams.holds(1, 1, 200));
        assert!(!streams.holds(1, 2, 350));
        assert!(streams.holds(1, 2, 351));
        assert!(!streams.holds(1, 1, 352));
        for number in 0..300_000 {
            let id = streams.identity(&number);
            streams.holds(id, 1, 400);
        }
        assert!(streams.bytes() <= MOST);
    }
}
