//! A scrape that is being taken into the head.

use std::sync::Arc;

use super::{BEGAN, Head, end_unseen};
use crate::history::{Block, SeriesId, line};

/// A scrape that is being taken.
#[derive(Debug)]
pub struct Taking<'h> {
    pub(super) head: &'h mut Head,
    pub(super) place: usize,
    pub(super) time: i64,
    /// Samples it held, and series that are new with it.
    pub(super) counts: (usize, usize),
    /// The series of the lines since the last comment.
    pub(super) latest: Vec<SeriesId>,
    /// What a store keeps of it.
    pub(super) changes: Changes,
}

/// What a scrape changed: enough to take it again from a file.
#[derive(Debug, Default)]
pub struct Changes {
    /// When.
    pub time: i64,
    /// Whether all values are here: it is the first of a block.
    pub whole: bool,
    /// The block that ended before it.
    pub sealed: Option<Arc<Block>>,
    /// Values that are others than in the scrape before, by series. A staleness mark where one went.
    pub values: Vec<(SeriesId, f64)>,
}

impl Changes {
    /// Bytes it takes while it waits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.values)
    }
}

impl Taking<'_> {
    /// Samples so far, and series that are new.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.counts
    }

    /// Takes the text of a scrape, or whole lines of it.
    pub fn text(&mut self, text: &str) {
        for line in text.lines() {
            let Some((series, value, rest)) = line::split(line) else {
                self.comment(line);
                continue;
            };
            if !self.head.names.take(series) {
                continue;
            }
            let id = self.sample(series, value);
            if let Some((id, exemplar)) = id.zip(rest.strip_prefix("# ")) {
                self.head.exemplars.take(id, exemplar, self.time);
            }
            self.latest.extend(id);
        }
    }

    /// Takes a line that is no sample: it may say when the series of the lines before it began.
    fn comment(&mut self, line: &str) {
        let began = line.strip_prefix(BEGAN).and_then(|seconds| seconds.parse::<i64>().ok());
        for id in self.latest.drain(..) {
            if let Some((began, series)) = began.zip(self.head.series.get_mut(&id)) {
                series.began = began.saturating_mul(1_000);
            }
        }
    }

    fn sample(&mut self, text: &str, value: f64) -> Option<SeriesId> {
        let hash = self.head.hash(text);
        let id = self.head.by_text.get(&hash).copied().or_else(|| self.add(hash, text))?;
        let series = self.head.series.get_mut(&id)?;
        // The first scrape of a block stands by itself.
        let before = series.value.filter(|_| self.place > 0 && series.live);
        series.push(self.place, value);
        if !series.live {
            // Another life.
            series.began = 0;
        }
        series.live = true;
        series.last = self.time;
        self.counts.0 += 1;
        if before.is_none_or(|before| before.to_bits() != value.to_bits()) {
            self.changes.values.push((id, value));
        }
        Some(id)
    }

    fn add(&mut self, hash: u128, text: &str) -> Option<SeriesId> {
        let head = &mut *self.head;
        // A series without room comes again with each scrape: it is counted before its text is read.
        if !head.has_room(text.len()) {
            return None;
        }
        let labels = head.target.labels(text)?;
        let id = head.insert(labels, Some(hash), self.time)?;
        head.by_text.insert(hash, id);
        self.counts.1 += 1;
        Some(id)
    }

    /// Ends the scrape: series that are no longer in it end with a staleness mark.
    pub fn end(mut self) -> Changes {
        end_unseen(&mut self.head.series, false, self.place, &mut self.changes);
        self.changes
    }
}
