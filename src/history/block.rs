//! A block: chunks of many series over the same span, one after another in one piece of memory.

use super::SeriesId;
use super::chunk;

/// Sealed: it is only read, and may be read while others are written.
#[derive(Debug, Default)]
pub struct Block {
    start: i64,
    end: i64,
    samples: usize,
    scrapes: usize,
    /// Series, by number, and where the chunk of each ends.
    index: Box<[(SeriesId, u32)]>,
    chunks: Box<[u8]>,
}

impl Block {
    /// Time of the first sample.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Time of the last one.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Samples it holds.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Scrapes that it holds.
    #[must_use]
    pub fn scrapes(&self) -> usize {
        self.scrapes
    }

    /// Bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.len() + size_of_val(&*self.index)
    }

    /// The series it has, by rising number.
    pub fn series(&self) -> impl Iterator<Item = SeriesId> + '_ {
        self.index.iter().map(|(id, _)| *id)
    }

    /// Whether it has samples of a series.
    #[must_use]
    pub fn has(&self, id: SeriesId) -> bool {
        self.place(id).is_some()
    }

    fn place(&self, id: SeriesId) -> Option<usize> {
        self.index.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    /// The chunk of a series.
    #[must_use]
    pub fn chunk(&self, id: SeriesId) -> Option<&[u8]> {
        let place = self.place(id)?;
        let start = place.checked_sub(1).and_then(|before| self.index.get(before)).map_or(0, |(_, end)| *end);
        self.chunks.get(start as usize..self.index.get(place)?.1 as usize)
    }
}

/// A block that grows.
#[derive(Debug)]
pub(super) struct BlockWriter {
    start: i64,
    end: i64,
    samples: usize,
    index: Vec<(SeriesId, u32)>,
    chunks: Vec<u8>,
}

impl Default for BlockWriter {
    fn default() -> Self {
        Self { start: i64::MAX, end: i64::MIN, samples: 0, index: Vec::new(), chunks: Vec::new() }
    }
}

impl BlockWriter {
    /// Adds the samples of a series, whose number is above all before.
    pub(super) fn push(&mut self, id: SeriesId, times: &[i64], values: &[f64]) {
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return };
        let before = self.chunks.len();
        chunk::encode(times, values, &mut self.chunks);
        let Ok(end) = u32::try_from(self.chunks.len()) else {
            self.chunks.truncate(before);
            return;
        };
        self.index.push((id, end));
        self.samples += times.len();
        self.start = self.start.min(first);
        self.end = self.end.max(last);
    }

    /// Ends a block of so many scrapes.
    pub(super) fn finish(self, scrapes: usize) -> Block {
        let Self { start, end, samples, index, chunks } = self;
        Block { start, end, samples, scrapes, index: index.into(), chunks: chunks.into() }
    }
}
