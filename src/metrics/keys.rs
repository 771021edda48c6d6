//! Keys that were seen on the wire, and where they lead, so that a line that came before is not spelled out again.
//!
//! Bounded in bytes, in two generations: what is used moves into the young one, what is not used for a generation is
//! forgotten. A key that is forgotten costs time, never truth: it is spelled out again. Keys are kept whole, since two
//! that only look alike must not lead to one series.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Bytes of a key that is remembered; the label sets that are accepted are shorter.
const LONGEST: usize = 4_096;
/// Seconds after which a generation ends although it is not full.
const GENERATION: u32 = 20;
/// Bytes that are kept for the next keys.
const SPARE: usize = 65_536;

/// Where a key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesRef {
    pub family: u32,
    pub slot: u32,
    /// The series that was there then.
    pub life: u32,
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    young: Generation,
    old: Generation,
    /// When the young one began, in seconds.
    began: u32,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Generation {
    /// All keys, one after the other.
    text: Vec<u8>,
    table: HashTable<Entry>,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    source: u32,
    at: u32,
    length: u32,
    place: SeriesRef,
}

impl Keys {
    /// Where a source's key leads, if that is remembered. Both generations together have at most so many bytes.
    #[inline]
    pub(super) fn find(&mut self, source: u32, key: &[u8], most: usize) -> Option<SeriesRef> {
        let hash = self.hash(source, key);
        if let Some(entry) = self.young.find(hash, source, key) {
            return Some(entry.place);
        }
        self.find_old(hash, source, key, most)
    }

    #[cold]
    fn find_old(&mut self, hash: u64, source: u32, key: &[u8], most: usize) -> Option<SeriesRef> {
        let place = self.old.find(hash, source, key)?.place;
        self.put(hash, source, key, place, most);
        Some(place)
    }

    /// Remembers where a key leads.
    pub(super) fn insert(&mut self, source: u32, key: &[u8], place: SeriesRef, most: usize) {
        let hash = self.hash(source, key);
        match self.young.find_mut(hash, source, key) {
            Some(entry) => entry.place = place,
            None => self.put(hash, source, key, place, most),
        }
    }

    /// Forgets what was not used for a while.
    pub(super) fn age(&mut self, now: u32) {
        if now.saturating_sub(self.began) >= GENERATION {
            self.turn();
            self.began = now;
        }
    }

    /// Bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        self.young.bytes() + self.old.bytes()
    }

    fn put(&mut self, hash: u64, source: u32, key: &[u8], place: SeriesRef, most: usize) {
        if key.len() > LONGEST {
            return;
        }
        if self.young.bytes_with(key.len()) > most / 2 {
            self.turn();
        }
        if self.young.bytes_with(key.len()) <= most / 2 {
            self.young.push(hash, source, key, place);
        }
    }

    /// The young generation becomes the old one.
    fn turn(&mut self) {
        std::mem::swap(&mut self.young, &mut self.old);
        let needed = self.old.text.len() + self.old.table.len() * size_of::<Entry>();
        if self.young.bytes() > (4 * needed).max(SPARE) {
            self.young = Generation::default();
        } else {
            self.young.text.clear();
            self.young.table.clear();
        }
    }

    fn hash(&self, source: u32, key: &[u8]) -> u64 {
        // An odd factor, so that sources with the same keys do not share places.
        self.hasher.hash_one(key) ^ u64::from(source).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

impl Generation {
    fn bytes(&self) -> usize {
        self.text.capacity() + self.table.allocation_size()
    }

    /// Bytes once a key of this length is in it.
    fn bytes_with(&self, key: usize) -> usize {
        let (length, capacity) = (self.text.len() + key, self.text.capacity());
        let text = if length > capacity { length.max(2 * capacity) } else { capacity };
        let full = self.table.len() == self.table.capacity();
        text + self.table.allocation_size() * if full { 2 } else { 1 }
    }

    fn same(&self, entry: &Entry, source: u32, key: &[u8]) -> bool {
        let at = entry.at as usize;
        entry.source == source && self.text.get(at..at + entry.length as usize) == Some(key)
    }

    fn find(&self, hash: u64, source: u32, key: &[u8]) -> Option<&Entry> {
        self.table.find(hash, |entry| entry.hash == hash && self.same(entry, source, key))
    }

    fn find_mut(&mut self, hash: u64, source: u32, key: &[u8]) -> Option<&mut Entry> {
        let Self { text, table } = self;
        table.find_mut(hash, |entry| {
            let at = entry.at as usize;
            entry.source == source && text.get(at..at + entry.length as usize) == Some(key)
        })
    }

    fn push(&mut self, hash: u64, source: u32, key: &[u8], place: SeriesRef) {
        let (Ok(at), Ok(length)) = (u32::try_from(self.text.len()), u32::try_from(key.len())) else { return };
        self.text.extend_from_slice(key);
        self.table.insert_unique(hash, Entry { hash, source, at, length, place }, |entry| entry.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(slot: u32) -> SeriesRef {
        SeriesRef { family: 1, slot, life: slot }
    }

    #[test]
    fn keys_are_of_their_source_and_lead_where_they_led_last() {
        let mut keys = Keys::default();
        keys.insert(0, b"a", place(1), 1 << 20);
        keys.insert(1, b"a", place(2), 1 << 20);
        keys.insert(0, b"a", place(3), 1 << 20);
        let mut find = |source, key: &[u8]| keys.find(source, key, 1 << 20);
        assert_eq!((find(0, b"a"), find(1, b"a")), (Some(place(3)), Some(place(2))));
        assert_eq!((find(2, b"a"), find(0, b"")), (None, None));
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_what_is_used_stays() {
        let most = 256 << 10;
        let mut keys = Keys::default();
        for number in 0..100_000_u32 {
            let key = format!("{number}:{}", "x".repeat(number as usize % 300));
            keys.insert(0, key.as_bytes(), place(number), most);
            if number % 100 == 0 {
                assert!(number == 0 || keys.find(1, b"used", most).is_some(), "after {number}");
                keys.insert(1, b"used", place(7), most);
            }
            assert!(keys.bytes() <= most, "{} after {number}", keys.bytes());
        }
        keys.insert(0, &[b'x'; LONGEST + 1], place(1), most);
        assert_eq!(keys.find(0, &[b'x'; LONGEST + 1], most), None, "a long one is spelled out each time");
    }

    #[test]
    fn what_nobody_uses_is_forgotten_and_its_memory_given_back() {
        let mut keys = Keys::default();
        for number in 0..20_000_u32 {
            keys.insert(0, &number.to_ne_bytes().repeat(20), place(number), 16 << 20);
        }
        assert!(keys.bytes() > 1 << 20);
        for minute in 1..=3 {
            keys.age(minute * GENERATION);
        }
        assert_eq!(keys.find(0, &1_u32.to_ne_bytes().repeat(20), 16 << 20), None);
        assert!(keys.bytes() < SPARE, "{}", keys.bytes());
    }
}
