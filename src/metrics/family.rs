//! One family: series of one name and type, found by their labels in one hash.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

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
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Slots in the order of their labels.
    order: Vec<u32>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Slot {
    /// Counts the lives of the slot, so that an alias of a dead series does not move a new one.
    life: u32,
    series: Option<Series>,
}

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
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            order: Vec::new(),
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
            metric: Some(metric),
            before: before.collect(),
            ladder: (metric.kind == Kind::Histogram).then(|| Ladder::new(bounds)),
            ..Self::new(&metric.family(), metric.kind, hasher)
        }
    }

    /// How many series it has.
    pub(super) fn len(&self) -> usize {
        self.order.len()
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
            self.slots.push(Slot { life: 0, series: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(s) = self.slots.get_mut(slot as usize) {
            s.series = Some(series);
        }
        self.order.insert(place, slot);
        let Self { index, slots, hasher, .. } = self;
        index.insert_unique(hash, slot, |&s| {
            let labels = slots.get(s as usize).and_then(|s| s.series.as_ref()).map(|s| s.labels.as_bytes());
            hash_of(hasher, labels.unwrap_or_default())
        });
        slot
    }

    /// Forgets the series for which `keep` says no; says how many those were, by source.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Series) -> bool, mut gone: impl FnMut(u32)) {
        let doomed: Vec<u32> =
            self.order.iter().copied().filter(|&s| self.get(s).is_some_and(|s| !keep(s))).collect();
        if doomed.is_empty() {
            return;
        }
        for &slot in &doomed {
            let Some(place) = self.slots.get_mut(slot as usize) else { continue };
            place.life = place.life.wrapping_add(1);
            let Some(series) = place.series.take() else { continue };
            let hash = self.hash(series.labels.as_bytes());
            if let Ok(entry) = self.index.find_entry(hash, |&s| s == slot) {
                entry.remove();
            }
            gone(series.source);
            self.free.push(slot);
        }
        let Self { order, slots, .. } = self;
        order.retain(|&s| slots.get(s as usize).is_some_and(|s| s.series.is_some()));
        if self.overflow.is_some_and(|s| self.get(s).is_none()) {
            self.overflow = None;
        }
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Series> {
        self.slots.get(slot as usize)?.series.as_ref()
    }

    /// The series in a slot and the ladder it may share.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<(&mut Series, &mut Option<Arc<Ladder>>)> {
        Some((self.slots.get_mut(slot as usize)?.series.as_mut()?, &mut self.ladder))
    }

    /// The life of a slot: an alias holds as long as it has not changed.
    pub(super) fn life(&self, slot: u32) -> u32 {
        self.slots.get(slot as usize).map_or(0, |s| s.life)
    }

    /// Series in the order of their labels, those after `after` if it is given.
    pub(super) fn series(&self, after: Option<&str>) -> impl Iterator<Item = &Series> {
        let from = after
            .map_or(0, |a| self.order.partition_point(|&s| self.get(s).is_some_and(|s| *s.labels <= *a)));
        self.order.get(from..).unwrap_or_default().iter().filter_map(|&s| self.get(s))
    }

    /// Every series, to change it.
    pub(super) fn series_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        self.slots.iter_mut().filter_map(|s| s.series.as_mut())
    }

    fn hash(&self, labels: &[u8]) -> u64 {
        hash_of(&self.hasher, labels)
    }
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
    let room = text.floor_char_boundary(most.saturating_sub(HASH));
    escape(text.get(..room).unwrap_or_default(), out);
    out.push(b'#');
    for shift in (0..64).step_by(4).rev() {
        out.push(b"0123456789abcdef"[(hash >> shift) as usize & 15]);
    }
    true
}

/// Bytes of the hash that a value which was cut ends in, with its mark.
const HASH: usize = 17;

/// Appends a label value, escaped as both text formats want it.
fn escape(value: &str, out: &mut Vec<u8>) {
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
