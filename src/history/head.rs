//! The history in memory: what each scrape showed, compressed in blocks, the last hour of it.
//!
//! It takes text, as a Prometheus does, and so knows exactly what a scrape shows. Each series is found by a hash of the part of the
//! line that names it. It reads no clock and no file.

mod taking;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::SeriesId;
use super::block::{Block, BlockWriter};
use super::exemplars::{ExemplarSlice, Exemplars};
use super::line::{Names, Target};
use crate::promql::{Labels, STALE, Sample, is_stale};

pub use taking::{Changes, Taking};

/// What the memory may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Milliseconds that are held.
    pub span: i64,
    /// Series; further ones are refused and counted.
    pub series: usize,
    /// Bytes of blocks; beyond, the oldest block goes.
    pub bytes: usize,
    /// Bytes of series and their labels; further series are refused and counted.
    pub series_bytes: usize,
}

/// Bytes of a series in the tables of the head, without its labels: it is found by the hash of its text, its name and its number.
const SERIES: usize = size_of::<(u128, SeriesId)>() + size_of::<(SeriesId, Series)>() + size_of::<SeriesId>();

/// Samples of a series in a block at most: with the default interval ten minutes.
pub const BLOCK: usize = 120;

/// What stands before the second in which the series of the lines before it began to count; 0 where that is not known. No scraper gets
/// such a line but the history.
pub const BEGAN: &str = "# BEGAN ";

/// A longer time without a scrape is a gap, ms.
pub const GAP: i64 = 600_000;

/// The history in memory.
#[derive(Debug)]
pub struct Head {
    target: Target,
    names: Names,
    limits: Limits,
    hashers: [foldhash::fast::RandomState; 2],
    by_text: HashMap<u128, SeriesId, foldhash::fast::FixedState>,
    by_name: HashMap<Box<str>, Vec<SeriesId>>,
    series: HashMap<SeriesId, Series, foldhash::fast::FixedState>,
    next: SeriesId,
    /// Times of the block that is open.
    times: Vec<i64>,
    /// The others, oldest first.
    blocks: VecDeque<Arc<Block>>,
    block_bytes: usize,
    series_bytes: usize,
    exemplars: Exemplars,
    refused: u64,
    dropped: u64,
}

/// A value that was not there. A NaN of our own, which no scrape can contain: text has one NaN.
const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0003);

#[derive(Debug)]
struct Series {
    /// Hash of the text that names it in a scrape; unknown until one shows it.
    text: Option<u128>,
    labels: Labels,
    /// Where in the open block it begins.
    first: usize,
    column: Column,
    /// The last value.
    value: Option<f64>,
    /// Whether it was in the last scrape.
    live: bool,
    /// Whether a rule made it, and no scrape.
    made: bool,
    /// When it was last in one.
    last: i64,
    /// When it began to count, ms; 0 where that is not known.
    began: i64,
}

/// Values of the open block. Most series of a minute do not change.
#[derive(Debug)]
enum Column {
    Same { value: f64, count: usize },
    Each(Vec<f64>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Same { count, .. } => *count,
            Self::Each(values) => values.len(),
        }
    }

    fn push(&mut self, value: f64) {
        match self {
            Self::Same { count: 0, .. } => *self = Self::Same { value, count: 1 },
            Self::Same { value: same, count } if same.to_bits() == value.to_bits() => *count += 1,
            Self::Same { value: same, count } => {
                let mut values = vec![*same; *count];
                values.push(value);
                *self = Self::Each(values);
            }
            Self::Each(values) => values.push(value),
        }
    }

    fn get(&self, place: usize) -> Option<f64> {
        match self {
            Self::Same { value, count } => (place < *count).then_some(*value),
            Self::Each(values) => values.get(place).copied(),
        }
    }
}

impl Series {
    /// Adds what it has at the given place of the open block.
    fn push(&mut self, place: usize, value: f64) {
        if self.column.len() == 0 {
            self.first = place;
        }
        while self.first + self.column.len() < place {
            self.column.push(ABSENT);
        }
        // A second line of the same series is not counted twice; a scrape of ours has none.
        if self.first + self.column.len() == place {
            self.column.push(value);
            self.value = Some(value);
        }
    }

    /// Its samples in the open block.
    fn open<'s>(&'s self, times: &'s [i64]) -> impl Iterator<Item = Sample> + 's {
        let of_block = times.iter().skip(self.first).enumerate();
        let samples = of_block.filter_map(|(place, &t)| Some(Sample { t, v: self.column.get(place)? }));
        samples.filter(|sample| sample.v.to_bits() != ABSENT.to_bits())
    }
}

impl Head {
    /// An empty one. Series get their labels with those of this target.
    #[must_use]
    pub fn new(target: Target, names: Names, limits: Limits) -> Self {
        Self {
            target,
            names,
            limits,
            hashers: Default::default(),
            by_text: HashMap::default(),
            by_name: HashMap::default(),
            series: HashMap::default(),
            next: 0,
            times: Vec::with_capacity(BLOCK),
            blocks: VecDeque::new(),
            block_bytes: 0,
            series_bytes: 0,
            exemplars: Exemplars::default(),
            refused: 0,
            dropped: 0,
        }
    }

    /// Begins to take a scrape at this time, ms since the epoch. A time that is not later than the last one begins a block:
    /// the clock was set back, and from there on the newer samples stand. So does one that is much later, so that no block spans times
    /// of which nothing is known.
    pub fn take(&mut self, time: i64) -> Taking<'_> {
        let jumps = |last: i64| time <= last || time.saturating_sub(last) > GAP;
        let jumped = self.times.last().is_some_and(|&last| jumps(last));
        if self.times.last().is_some_and(|&last| time < last) {
            self.exemplars.set_back(time);
        }
        let sealed = if jumped || self.times.len() >= BLOCK { self.seal() } else { None };
        self.times.push(time);
        let place = self.times.len() - 1;
        Taking {
            head: self,
            place,
            time,
            counts: (0, 0),
            latest: Vec::new(),
            changes: Changes { time, whole: place == 0, sealed, ..Changes::default() },
        }
    }

    /// Takes a series that a file knows, before the scrapes that it is in are [restored](Self::restore).
    pub fn restore_series(&mut self, labels: &Labels) -> Option<SeriesId> {
        let id = self.insert(labels.clone(), None, i64::MIN)?;
        self.series.get_mut(&id)?.live = false;
        Some(id)
    }

    /// Takes a scrape from a file: what changed then. What did not change is what it was. Returns the block that it ended.
    pub fn restore(&mut self, time: i64, whole: bool, values: &[(SeriesId, f64)]) -> Option<Arc<Block>> {
        let ended = if whole { self.seal() } else { None };
        let taking = self.take(time);
        for series in taking.head.series.values_mut().filter(|_| whole) {
            series.live = false;
        }
        for &(id, value) in values {
            let Some(series) = taking.head.series.get_mut(&id) else { continue };
            series.push(taking.place, value);
            series.live = !is_stale(value);
            series.last = time;
        }
        for series in taking.head.series.values_mut().filter(|series| series.live && series.last != time) {
            if let Some(value) = series.value {
                series.push(taking.place, value);
                series.last = time;
            }
        }
        ended.or(taking.changes.sealed)
    }

    /// Adds a sample to the scrape that was taken last, of a series that a rule makes. `changes` are those of that scrape.
    pub fn append(&mut self, labels: &Labels, value: f64, changes: &mut Changes) {
        let Some(place) = self.times.len().checked_sub(1) else { return };
        let hash = self.hash(labels.encoded());
        let id = match self.by_text.get(&hash) {
            Some(id) => *id,
            None if is_stale(value) => return,
            None => {
                let Some(id) = self.insert(labels.clone(), Some(hash), changes.time) else { return };
                self.by_text.insert(hash, id);
                id
            }
        };
        let Some(series) = self.series.get_mut(&id) else { return };
        let before = series.value.filter(|_| place > 0 && series.live);
        series.push(place, value);
        (series.live, series.made, series.last) = (!is_stale(value), true, changes.time);
        if before.is_none_or(|before| before.to_bits() != value.to_bits()) {
            changes.values.push((id, value));
        }
    }

    /// Ends the series of rules that got no sample in the scrape that was taken last.
    pub fn end_made(&mut self, changes: &mut Changes) {
        let Some(place) = self.times.len().checked_sub(1) else { return };
        end_unseen(&mut self.series, true, place, changes);
    }

    /// Ends all series at this time, as a server marks those of a target that is gone, and seals what is open.
    pub fn end(&mut self, time: i64) -> Option<Arc<Block>> {
        let mut changes = self.take(time).end();
        self.end_made(&mut changes);
        let sealed = changes.sealed;
        debug_assert!(sealed.is_none() || self.times.len() == 1);
        self.seal().or(sealed)
    }

    /// The labels of a series.
    #[must_use]
    pub fn labels(&self, id: SeriesId) -> Option<&Labels> {
        self.series.get(&id).map(|series| &series.labels)
    }

    /// The time of the last scrape, and how long after the one before it was, ms.
    #[must_use]
    pub fn last(&self) -> Option<(i64, Option<i64>)> {
        let last = *self.times.last()?;
        let before = self.times.len().checked_sub(2).and_then(|at| self.times.get(at));
        Some((last, before.map(|before| last - before)))
    }

    fn insert(&mut self, labels: Labels, text: Option<u128>, time: i64) -> Option<SeriesId> {
        if !self.has_room(labels.encoded().len()) {
            return None;
        }
        let id = self.next;
        self.next = self.next.checked_add(1)?;
        self.series_bytes += SERIES + labels.encoded().len();
        self.by_name.entry(labels.name().into()).or_default().push(id);
        let column = Column::Same { value: 0.0, count: 0 };
        self.series.insert(
            id,
            Series {
                text,
                labels,
                first: 0,
                column,
                value: None,
                live: true,
                made: false,
                last: time,
                began: 0,
            },
        );
        Some(id)
    }

    /// Whether there is room for one more series with labels of so many bytes; counts that there is none.
    fn has_room(&mut self, bytes: usize) -> bool {
        let room = self.series.len() < self.limits.series
            && self.series_bytes + SERIES + bytes <= self.limits.series_bytes;
        self.refused += u64::from(!room);
        room
    }

    fn hash(&self, text: &str) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| {
            let mut hasher = hasher.build_hasher();
            hasher.write(text.as_bytes());
            u128::from(hasher.finish())
        });
        (high << 64) | low
    }

    /// Compresses the open block and lets the oldest go where there are more than may be held.
    ///
    /// Returns what was sealed.
    pub fn seal(&mut self) -> Option<Arc<Block>> {
        let newest = *self.times.last()?;
        let mut block = BlockWriter::default();
        let mut ids: Vec<SeriesId> =
            self.series.iter().filter(|(_, s)| s.column.len() > 0).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let (mut times, mut values) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        for id in ids {
            let Some(series) = self.series.get_mut(&id) else { continue };
            times.clear();
            values.clear();
            for sample in series.open(&self.times) {
                times.push(sample.t);
                values.push(sample.v);
            }
            block.push(id, &times, &values);
            series.column = Column::Same { value: 0.0, count: 0 };
        }
        let block = Arc::new(block.finish(self.times.len()));
        self.block_bytes += block.bytes();
        self.blocks.push_back(block.clone());
        self.times.clear();
        self.forget(newest);
        self.exemplars.forget(newest.saturating_sub(self.limits.span));
        Some(block)
    }

    /// Lets go what is older than may be held, and series of which nothing is left.
    fn forget(&mut self, newest: i64) {
        let count = self.blocks.len();
        // What a clock that was ahead wrote is as far away as what is old.
        let near = newest.saturating_sub(self.limits.span)..=newest.saturating_add(self.limits.span);
        self.blocks.retain(|block| block.end() >= *near.start() && block.start() <= *near.end());
        self.block_bytes = self.blocks.iter().map(|block| block.bytes()).sum();
        while self.block_bytes > self.limits.bytes {
            let Some(oldest) = self.blocks.pop_front() else { break };
            self.block_bytes -= oldest.bytes();
            self.dropped += 1;
        }
        if self.blocks.len() == count {
            return;
        }
        let blocks = &self.blocks;
        let Self { series, by_text, by_name, series_bytes, .. } = self;
        series.retain(|id, one| {
            let needed = one.live || one.column.len() > 0 || blocks.iter().any(|block| block.has(*id));
            if !needed {
                *series_bytes -= SERIES + one.labels.encoded().len();
                if let Some(text) = one.text {
                    by_text.remove(&text);
                }
                if let Some(ids) = by_name.get_mut(one.labels.name()) {
                    ids.retain(|other| other != id);
                }
            }
            needed
        });
        by_name.retain(|_, ids| !ids.is_empty());
    }

    /// The series of this name, or all, with their labels.
    pub fn series(&self, name: Option<&str>) -> impl Iterator<Item = (SeriesId, &Labels)> {
        let named = name.map(|name| self.by_name.get(name).map_or(&[][..], Vec::as_slice));
        let some =
            named.unwrap_or_default().iter().filter_map(|id| Some((*id, &self.series.get(id)?.labels)));
        let all = named.is_none().then(|| self.series.iter().map(|(id, series)| (*id, &series.labels)));
        some.chain(all.into_iter().flatten())
    }

    /// The sealed blocks that may hold samples of this time, oldest first.
    pub fn blocks(&self, from: i64, to: i64) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.iter().filter(move |block| block.end() >= from && block.start() <= to)
    }

    /// The exemplars of a series between these times, oldest first, as a scrape shows them.
    pub fn exemplars(&self, from: i64, to: i64) -> impl Iterator<Item = (SeriesId, &str)> {
        self.exemplars.between(from, to)
    }

    /// Exemplars to be passed on that scrapes showed up to this time, from number `since` on.
    #[must_use]
    pub fn shown_exemplars(&self, since: u64, to: i64) -> ExemplarSlice<'_> {
        self.exemplars.shown(since, to)
    }

    /// When a series began to count whose scrapes say so, ms: what it was at that time and later is of this life.
    #[must_use]
    pub fn began(&self, id: SeriesId) -> Option<i64> {
        self.series.get(&id).map(|series| series.began).filter(|began| *began != 0)
    }

    /// The samples of a series in the open block.
    pub fn open(&self, id: SeriesId) -> impl Iterator<Item = Sample> {
        self.series.get(&id).into_iter().flat_map(|series| series.open(&self.times))
    }

    /// The samples of a series in the open block between these times.
    #[must_use]
    pub fn open_within(&self, id: SeriesId, from: i64, to: i64) -> Vec<Sample> {
        // Times of one block ascend.
        let (first, end) =
            (self.times.partition_point(|t| *t < from), self.times.partition_point(|t| *t <= to));
        let Some(series) = self.series.get(&id) else { return Vec::new() };
        let of = |place: usize| {
            let v = series.column.get(place.checked_sub(series.first)?)?;
            Some(Sample { t: *self.times.get(place)?, v })
        };
        (first..end).filter_map(of).filter(|sample| sample.v.to_bits() != ABSENT.to_bits()).collect()
    }

    /// The first and the last time of the open block.
    #[must_use]
    pub fn open_span(&self) -> Option<(i64, i64)> {
        self.times.first().zip(self.times.last()).map(|(first, last)| (*first, *last))
    }

    /// The span of which it holds every scrape, the last one included. What is before it, or before a gap, or of a clock that was set, may
    /// be held in part.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let open = self.open_span();
        let sealed = self.blocks.iter().rev().map(|block| (block.start(), block.end()));
        let mut spans = open.into_iter().chain(sealed);
        let (mut start, end) = spans.next()?;
        for (first, last) in spans {
            if !(0..=GAP).contains(&start.saturating_sub(last)) {
                break;
            }
            start = first;
        }
        Some((start, end))
    }

    /// Samples in sealed blocks.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.blocks.iter().map(|block| block.samples()).sum()
    }

    /// Series that it knows now.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Bytes of sealed blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.block_bytes
    }

    /// Bytes of series and their labels.
    #[must_use]
    pub fn series_bytes(&self) -> usize {
        self.series_bytes
    }

    /// Series that had no room, and blocks that went before their time.
    #[must_use]
    pub fn lost(&self) -> (u64, u64) {
        (self.refused, self.dropped)
    }
}

/// Marks the end of series that were there before the scrape and are not in it: those of rules, or those of scrapes.
fn end_unseen(
    all: &mut HashMap<SeriesId, Series, foldhash::fast::FixedState>,
    made: bool,
    place: usize,
    changes: &mut Changes,
) {
    for (id, series) in all {
        if series.live && series.made == made && series.last != changes.time {
            series.live = false;
            series.push(place, STALE);
            changes.values.push((*id, STALE));
        }
    }
}
