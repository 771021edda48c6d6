//! One family: series of one name and type, found by their labels in one hash.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::occupancy::{LimitClass, Occupancy};
use super::series::{Ladder, Series};
use crate::catalog::{Keep, Metric};
use crate::event::Kind;

/// Series of one name and type.
#[derive(Debug)]
pub(super) struct Family {
    /// As exposed, without `_total`.
    pub name: Box<str>,
    pub kind: Kind,
    pub help: Box<str>,
    pub unit: Box<str>,
    pub keep: Keep,
    /// Its entry in the catalogue, unless a user made it up on the wire.
    pub metric: Option<&'static Metric>,
    /// What stands before each label value of a catalogue metric: `pipeline="`, `",stage="`.
    pub before: Box<[Box<str>]>,
    /// The ladder of new histograms; of mirrored ones, the last seen.
    pub ladder: Option<Arc<Ladder>>,
    /// Events that found no series because there were too many.
    pub refused: u64,
    /// The series that takes the events of refused ones.
    pub overflow: Option<u32>,
    /// Who may be refused a series of it, and for what.
    pub class: LimitClass,
    /// Who named it, if a sender did.
    pub owner: u32,
    /// Bytes that were counted for it, without its series.
    pub held: usize,
    /// Whether it stays when it has no series.
    pub stays: bool,
    slots: Vec<Option<Series>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Slots in the order of their labels.
    order: Vec<u32>,
    /// Whose series were counted last, and how many they are, until one comes, goes or changes hands.
    counted: Option<(u32, usize)>,
    hasher: RandomState,
}

/// Bytes of a name among those that are taken, beside its text.
const NAME: usize = 64;
/// Slots that are kept although they are empty.
const SPARE: usize = 64;

impl Family {
    pub(super) fn new(name: &str, kind: Kind, hasher: RandomState) -> Self {
        Self {
            name: name.into(),
            kind,
            help: "".into(),
            unit: "".into(),
            keep: Keep::Fresh,
            metric: None,
            before: Box::default(),
            ladder: None,
            refused: 0,
            overflow: None,
            class: LimitClass::Named,
            owner: u32::MAX,
            held: 0,
            stays: false,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            order: Vec::new(),
            counted: None,
            hasher,
        }
    }

    /// The family of a catalogue metric.
    pub(super) fn of(metric: &'static Metric, bounds: &[f64], hasher: RandomState) -> Self {
        let before = metric.labels.iter().enumerate();
        let before = before.map(|(i, name)| format!("{}{name}=\"", if i == 0 { "" } else { "\"," }).into());
        Self {
            help: metric.help.into(),
            unit: metric.unit.suffix().into(),
            keep: metric.keep,
            class: LimitClass::of(metric),
            metric: Some(metric),
            stays: true,
            before: before.collect(),
            ladder: (metric.kind == Kind::Histogram).then(|| Ladder::new(bounds)),
            ..Self::new(&metric.family(), metric.kind, hasher)
        }
    }

    /// How many series it has.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether a sender named it and has nothing in it any more.
    pub(super) fn is_left(&self) -> bool {
        !self.stays && self.order.is_empty() && !self.name.is_empty()
    }

    /// Bytes it takes without its series: what it is, its names among those that are taken, and its head in a scrape.
    pub(super) fn bytes(&self) -> usize {
        let names = suffixes(self.kind).iter().map(|suffix| self.name.len() + suffix.len() + NAME);
        let ladder = self.ladder.as_ref().map_or(0, |ladder| ladder.bytes());
        let head = 3 * (self.name.len() + 16) + self.help.len();
        size_of::<Self>() + self.name.len() + 2 * self.help.len() + names.sum::<usize>() + ladder + head
    }

    /// Writes the labels of a catalogue metric with these values into `out`. Says how many values were cut.
    pub(super) fn render(&self, values: &[&str], most: usize, out: &mut Vec<u8>) -> u64 {
        out.clear();
        let mut cut = 0;
        for (before, text) in self.before.iter().zip(values) {
            out.extend_from_slice(before.as_bytes());
            cut += u64::from(value(text, most, out));
        }
        if !self.before.is_empty() {
            out.push(b'"');
        }
        cut
    }

    /// The slot of the series with these labels.
    pub(super) fn find(&self, labels: &[u8]) -> Option<u32> {
        let same = |&slot: &u32| self.get(slot).is_some_and(|s| s.labels.as_bytes() == labels);
        self.index.find(self.hash(labels), same).copied()
    }

    /// Adds a series whose labels are new.
    pub(super) fn insert(&mut self, series: Series) -> u32 {
        let hash = self.hash(series.labels.as_bytes());
        let place = self.order.partition_point(|&s| self.get(s).is_some_and(|s| s.labels < series.labels));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(series);
        }
        self.order.insert(place, slot);
        self.counted = None;
        let Self { index, slots, hasher, .. } = self;
        index.insert_unique(hash, slot, |&s| hash_in(slots, hasher, s));
        slot
    }

    /// Forgets the series for which `keep` says no, and shows them to `gone`.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Series) -> bool, mut gone: impl FnMut(&Series)) {
        let doomed: Vec<u32> =
            self.order.iter().copied().filter(|&s| self.get(s).is_some_and(|s| !keep(s))).collect();
        if doomed.is_empty() {
            return;
        }
        self.counted = None;
        for &slot in &doomed {
            let Some(place) = self.slots.get_mut(slot as usize) else { continue };
            let Some(series) = place.take() else { continue };
            let hash = self.hash(series.labels.as_bytes());
            if let Ok(entry) = self.index.find_entry(hash, |&s| s == slot) {
                entry.remove();
            }
            gone(&series);
            self.free.push(slot);
        }
        let Self { order, slots, .. } = self;
        order.retain(|&s| slots.get(s as usize).is_some_and(Option::is_some));
        if self.overflow.is_some_and(|s| self.get(s).is_none()) {
            self.overflow = None;
        }
        if self.slots.len() > SPARE && self.order.len() < self.slots.len() / 4 {
            self.shrink();
        }
    }

    /// Moves the series together and gives back the memory of those that are gone. Who remembers a slot looks for the
    /// labels again.
    fn shrink(&mut self) {
        let old = std::mem::take(&mut self.order);
        let overflow = self.overflow.take();
        self.overflow = old.iter().position(|&s| Some(s) == overflow).and_then(|at| u32::try_from(at).ok());
        let mut slots = std::mem::take(&mut self.slots);
        self.slots = old.iter().map(|&s| slots.get_mut(s as usize).and_then(Option::take)).collect();
        self.order = (0..u32::try_from(old.len()).unwrap_or(u32::MAX)).collect();
        self.free = Vec::new();
        let Self { index, slots, order, hasher, .. } = self;
        index.clear();
        index.shrink_to_fit(|_| 0);
        for &slot in &*order {
            index.insert_unique(hash_in(slots, hasher, slot), slot, |&s| hash_in(slots, hasher, s));
        }
    }

    /// Every series begins at zero, with other bounds.
    pub(super) fn begin_anew(&mut self, ladder: Arc<Ladder>, now: u32, occupancy: &mut Occupancy) {
        let (name, class) = (self.name.len(), self.class);
        let mut old = Vec::new();
        let mut anew = |s: &Series| {
            occupancy.give_series(class, s.owner, s.held);
            let Series { source, owner, life, .. } = *s;
            let new = Series::new(s.labels.clone(), Some(&ladder));
            old.push(Series { source, owner, life, born: now, ..new });
        };
        self.retain(|_| false, &mut anew);
        for mut series in old {
            series.held = series.bytes(name);
            occupancy.take_series(class, series.owner, series.held);
            self.insert(series);
        }
        self.ladder = Some(ladder);
    }

    /// How many of its series were created by a group of sources; `group` says of which one a source is. Who is refused
    /// repeatedly costs one count.
    pub(super) fn count(&mut self, ours: u32, group: impl Fn(u32) -> u32) -> usize {
        let Self { slots, counted, .. } = self;
        let known = counted.filter(|(whose, _)| *whose == ours);
        let count = || slots.iter().flatten().filter(|s| group(s.owner) == ours).count();
        counted.insert(known.unwrap_or_else(|| (ours, count()))).1
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Series> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The series in a slot and the ladder it may share.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<(&mut Series, &mut Option<Arc<Ladder>>)> {
        Some((self.slots.get_mut(slot as usize)?.as_mut()?, &mut self.ladder))
    }

    /// Series in the order of their labels, those after `after` if it is given.
    pub(super) fn series(&self, after: Option<&str>) -> impl Iterator<Item = &Series> {
        let from = after
            .map_or(0, |a| self.order.partition_point(|&s| self.get(s).is_some_and(|s| *s.labels <= *a)));
        self.order.get(from..).unwrap_or_default().iter().filter_map(|&s| self.get(s))
    }

    /// Every series, to change it.
    pub(super) fn series_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        self.counted = None;
        self.slots.iter_mut().flatten()
    }

    fn hash(&self, labels: &[u8]) -> u64 {
        hash_of(&self.hasher, labels)
    }
}

/// The hash of the labels in a slot.
fn hash_in(slots: &[Option<Series>], hasher: &RandomState, slot: u32) -> u64 {
    let series = slots.get(slot as usize).and_then(Option::as_ref);
    hash_of(hasher, series.map(|s| s.labels.as_bytes()).unwrap_or_default())
}

fn hash_of(hasher: &RandomState, labels: &[u8]) -> u64 {
    hasher.hash_one(labels)
}

/// Appends a label value of at most `most` bytes. One that is longer ends in a hash of the whole, so that two of them
/// stay two. Says whether it was cut.
pub(super) fn value(text: &str, most: usize, out: &mut Vec<u8>) -> bool {
    if text.len() <= most {
        escape(text, out);
        return false;
    }
    // FNV-1a: the same on every machine and in every release, as the names of series must be.
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash);
    let occupancy = text.floor_char_boundary(most.saturating_sub(HASH));
    escape(text.get(..occupancy).unwrap_or_default(), out);
    out.push(b'#');
    for shift in (0..64).step_by(4).rev() {
        out.push(b"0123456789abcdef"[(hash >> shift) as usize & 15]);
    }
    true
}

/// Bytes of the hash that a value which was cut ends in, with its mark.
const HASH: usize = 17;

/// Appends a label value, escaped as both text formats want it.
pub(super) fn escape(value: &str, out: &mut Vec<u8>) {
    let bytes = value.as_bytes();
    if !bytes.iter().any(|b| matches!(b, b'\\' | b'"' | b'\n')) {
        return out.extend_from_slice(bytes);
    }
    for &b in bytes {
        match b {
            b'\\' => out.extend_from_slice(br"\\"),
            b'"' => out.extend_from_slice(br#"\""#),
            b'\n' => out.extend_from_slice(br"\n"),
            b => out.push(b),
        }
    }
}

/// What samples of a type append to the family's name.
pub(super) fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
        Kind::GaugeHistogram => &["", "_bucket", "_gcount", "_gsum"],
        Kind::Summary => &["", "_count", "_sum", "_created"],
        Kind::Info => &["", "_info"],
        Kind::Gauge | Kind::StateSet | Kind::Unknown => &[""],
    }
}
