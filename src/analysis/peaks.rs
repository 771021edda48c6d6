//! The busiest window of each stage and the fullest moment of each queue in the last minute: what a
//! scrape every 15 seconds cannot see.

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Analyser, Report};
use crate::event::{Body, Event, Peak, Timestamp};

/// More stages and queues than this are not followed.
const MOST: usize = 4_096;
/// Bytes of the names of one stage or queue; longer ones are not followed.
const NAMES: usize = 512;
/// A peak is remembered for this many slots of ten seconds.
const SLOTS: usize = 6;
const SLOT_NANOS: u64 = 10_000_000_000;

/// Follows stages and queues.
#[derive(Debug)]
pub struct Peaks {
    window: u64,
    stages: Followed,
    queues: Followed,
}

impl Peaks {
    /// Peaks over windows of this length.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(1_000_000);
        Self { window: nanos, stages: Followed::default(), queues: Followed::default() }
    }
}

impl Analyser for Peaks {
    fn observe(&mut self, event: &Event<'_>) {
        match &event.body {
            Body::Stage(s) => {
                let window = event.at.steady / self.window;
                let scale = 1e9 / self.window as f64;
                if let Some(one) = self.stages.find(s.pipeline, s.stage) {
                    one.runs = if one.window == window { one.runs + 1.0 } else { 1.0 };
                    one.window = window;
                    one.raise(event.at, one.runs * scale);
                }
            }
            Body::Queue(q) => {
                if let Some(one) = self.queues.find(q.pipeline, q.queue) {
                    one.raise(event.at, q.depth);
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, now: Timestamp, out: &mut Report<'_>) {
        self.stages.report(now, &mut |peak| out(None, Body::StagePeak(peak)));
        self.queues.report(now, &mut |peak| out(None, Body::QueuePeak(peak)));
    }
}

/// Things by pipeline and name.
#[derive(Debug, Default)]
struct Followed {
    table: HashTable<PeakTrack>,
    hasher: RandomState,
}

#[derive(Debug)]
struct PeakTrack {
    pipeline: Box<str>,
    name: Box<str>,
    /// Which window `runs` were counted in.
    window: u64,
    runs: f64,
    /// Greatest value by slot of ten seconds, and the slot's number.
    slots: [(u64, f64); SLOTS],
}

impl PeakTrack {
    fn raise(&mut self, at: Timestamp, value: f64) {
        let number = at.steady / SLOT_NANOS;
        let place = usize::try_from(number % SLOTS as u64).unwrap_or_default();
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = if slot.0 == number { (number, slot.1.max(value)) } else { (number, value) };
        }
    }

    fn peak(&self, now: Timestamp) -> Option<f64> {
        let oldest = (now.steady / SLOT_NANOS).saturating_sub(SLOTS as u64 - 1);
        self.slots.iter().filter(|s| s.0 >= oldest).map(|s| s.1).reduce(f64::max)
    }
}

impl Followed {
    fn find(&mut self, pipeline: &str, name: &str) -> Option<&mut PeakTrack> {
        let Self { table, hasher } = self;
        let hash = hasher.hash_one((pipeline, name));
        let full = table.len() >= MOST;
        let same = |one: &PeakTrack| *one.pipeline == *pipeline && *one.name == *name;
        match table.entry(hash, same, |o| hasher.hash_one((&*o.pipeline, &*o.name))) {
            Entry::Occupied(one) => Some(one.into_mut()),
            Entry::Vacant(_) if full || pipeline.len() + name.len() > NAMES => None,
            Entry::Vacant(place) => {
                let slots = [(0, 0.0); SLOTS];
                let one =
                    PeakTrack { pipeline: pipeline.into(), name: name.into(), window: 0, runs: 0.0, slots };
                Some(place.insert(one).into_mut())
            }
        }
    }

    fn report(&mut self, now: Timestamp, out: &mut dyn FnMut(Peak<'_>)) {
        self.table.retain(|one| {
            let peak = one.peak(now);
            if let Some(peak) = peak {
                out(Peak { pipeline: &one.pipeline, name: &one.name, peak });
            }
            peak.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Queue, SourceId, Stage};

    /// A moment, by a wall clock that is set back all the time.
    fn at(ms: u64) -> Timestamp {
        Timestamp { steady: ms * 1_000_000, wall: 1_000_000_000_000 - ms }
    }

    fn stage(peaks: &mut Peaks, ms: u64) {
        let body = Body::Stage(Stage {
            pipeline: "p",
            stage: "s",
            seconds: 0.1,
            error: None,
            items: None,
            ended: None,
            trace: None,
        });
        peaks.observe(&Event { at: at(ms), source: SourceId(0), body });
    }

    fn reported(peaks: &mut Peaks, ms: u64) -> Vec<f64> {
        let mut all = Vec::new();
        peaks.report(at(ms), &mut |_, body| match body {
            Body::StagePeak(p) | Body::QueuePeak(p) => all.push(p.peak),
            _ => {}
        });
        all
    }

    #[test]
    fn the_busiest_window_is_told_for_a_minute() {
        let mut peaks = Peaks::new(Duration::from_millis(100));
        for ms in [100_000, 100_010, 100_020, 100_200] {
            stage(&mut peaks, ms);
        }
        assert_eq!(reported(&mut peaks, 101_000), [30.0]);
        stage(&mut peaks, 140_000);
        assert_eq!(reported(&mut peaks, 150_000), [30.0]);
        assert_eq!(reported(&mut peaks, 170_000), [10.0]);
        assert!(reported(&mut peaks, 300_000).is_empty());
    }

    #[test]
    fn the_fullest_moment_of_a_queue() {
        let mut peaks = Peaks::new(Duration::from_millis(100));
        for (ms, depth) in [(100_000, 3.0), (100_001, 9.0), (100_002, 1.0)] {
            let body = Body::Queue(Queue { pipeline: "p", queue: "q", depth, limit: None });
            peaks.observe(&Event { at: at(ms), source: SourceId(0), body });
        }
        assert_eq!(reported(&mut peaks, 100_500), [9.0]);
    }
}
