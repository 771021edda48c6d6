//! What the file may keep: at full interval for a while, thinned for longer, and never more than so many bytes.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::database::{Failure, failure, used_bytes};
use super::file::{CHUNK, File, INSERT};
use super::row;
use crate::history::{Pieces, decode, encode};
use crate::promql::{Labels, Sample, is_stale};

/// A day, in which thinned samples of a series are one chunk, ms.
const DAY: i64 = 86_400_000;

/// Times that a clock may have been set wrong in what is kept.
const CLOCKS: usize = 8;

/// For how long, how dense, how much. Times in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Samples are kept as scraped for so long, up to the end of the day.
    pub keep: i64,
    /// Then one for each span of this length.
    pub thin: i64,
    /// And those for so long.
    pub keep_thin: i64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl File {
    /// Applies the retention as of the time of the newest chunk. A clock that is set to next year for an hour must not empty the file:
    /// see [`believed`](Self::believed). Gives how many chunks were too old.
    pub(super) fn retain(&mut self, retention: &Retention) -> Result<u64, Failure> {
        let path = self.path().to_owned();
        self.retain_rows(retention).map_err(|error| failure(&path, &error))
    }

    fn retain_rows(&mut self, retention: &Retention) -> rusqlite::Result<u64> {
        let mut gone = 0;
        let series = self.all_series()?;
        let old = self.believed(&series, retention.keep_thin.max(retention.keep))?;
        let raw = self.believed(&series, retention.keep)?;
        for batch in series.chunks(500) {
            let change = self.db().transaction()?;
            for (id, labels) in batch {
                if let Some(old) = old {
                    let old = [id, &old];
                    gone += change
                        .execute("DELETE FROM chunk WHERE series = ?1 AND start < ?2 AND end < ?2", old)?
                        as u64;
                }
                if let Some(raw) = raw {
                    thin(&change, *id, is_counter(labels.name()), raw.div_euclid(DAY) * DAY, retention.thin)?;
                }
            }
            change.commit()?;
        }
        self.shrink(retention.bytes, &series)?;
        self.forget_series(&series)?;
        Ok(gone)
    }

    /// The time before which samples are too old: so long before the newest one that is believed. A clock is believed once it wrote half a
    /// day, or half of what is kept; what it wrote before that is neither old nor makes anything old.
    fn believed(&mut self, series: &[(i64, Labels)], keep: i64) -> rusqlite::Result<Option<i64>> {
        let mut last = self.db.prepare(
            "SELECT start, end FROM chunk WHERE series = ?1 AND start < ?2 ORDER BY start DESC LIMIT 1",
        )?;
        let mut first = self.db.prepare(
            "SELECT start FROM chunk WHERE series = ?1 AND start >= ?2 AND start < ?3 ORDER BY start LIMIT 1",
        )?;
        let mut until = i64::MAX;
        for _ in 0..CLOCKS {
            let (mut newest, mut begin) = (i64::MIN, until);
            for (id, _) in series {
                let chunk = last.query_row([id, &until], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                if let Some((start, end)) = chunk.filter(|(_, end)| *end > newest) {
                    (newest, begin) = (end, start);
                }
            }
            if newest == i64::MIN {
                return Ok(None);
            }
            let before = newest.saturating_sub(keep);
            for (id, _) in series {
                let start = first.query_row([id, &before, &until], |row| row.get(0)).optional()?;
                begin = begin.min(start.unwrap_or(begin));
            }
            if newest.saturating_sub(begin.max(before)) >= (keep / 2).min(DAY / 2) {
                return Ok(Some(before));
            }
            until = begin;
        }
        Ok(None)
    }

    /// Every series with its number.
    fn all_series(&mut self) -> rusqlite::Result<Vec<(i64, Labels)>> {
        let mut read = self.db().prepare("SELECT id, labels FROM series")?;
        let rows = read.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.filter_map(|row| row.map(|(id, text)| Some((id, Labels::decode(&text)?))).transpose()).collect()
    }

    /// Bytes of the file that are in use.
    pub(super) fn bytes(&mut self) -> rusqlite::Result<u64> {
        used_bytes(&self.db)
    }

    /// Lets the oldest go until the file is as small as it has to be.
    fn shrink(&mut self, most: u64, series: &[(i64, Labels)]) -> rusqlite::Result<()> {
        loop {
            let bytes = self.bytes()?;
            if bytes <= most {
                break;
            }
            let Some((first, last)) = self.span(series)? else { break };
            // The share of the time that is the share of the bytes, but an hour at least.
            let share = (bytes - most) as f64 / bytes as f64 * (last - first) as f64;
            let until = first.saturating_add((share as i64).max(3_600_000));
            let change = self.db().transaction()?;
            let mut gone = 0;
            for (id, _) in series {
                gone += change.execute(
                    "DELETE FROM chunk WHERE series = ?1 AND start < ?2 AND end <= ?2",
                    [id, &until],
                )?;
            }
            change.commit()?;
            if gone == 0 {
                break;
            }
        }
        self.db().execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")
    }

    /// First and last time of all chunks.
    fn span(&mut self, series: &[(i64, Labels)]) -> rusqlite::Result<Option<(i64, i64)>> {
        let mut read = self.db().prepare(
            "SELECT (SELECT start FROM chunk WHERE series = ?1 ORDER BY start LIMIT 1), (SELECT end FROM chunk WHERE series = ?1 ORDER BY start DESC LIMIT 1)",
        )?;
        let mut span = None;
        for (id, _) in series {
            let one: (Option<i64>, Option<i64>) =
                read.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if let (Some(first), Some(last)) = one {
                let (a, b) = span.unwrap_or((first, last));
                span = Some((first.min(a), last.max(b)));
            }
        }
        Ok(span)
    }

    /// Forgets series of which nothing is left.
    fn forget_series(&mut self, series: &[(i64, Labels)]) -> rusqlite::Result<()> {
        let live = self.known_rows();
        let change = self.db().transaction()?;
        {
            let mut has = change.prepare("SELECT EXISTS(SELECT 1 FROM chunk WHERE series = ?)")?;
            for (id, _) in series.iter().filter(|(id, _)| !live.contains(id)) {
                if !has.query_row([id], |row| row.get::<_, bool>(0))? {
                    change.execute("DELETE FROM series WHERE id = ?", [id])?;
                }
            }
        }
        change.commit()
    }
}

/// Whether a series only grows, by its name.
fn is_counter(name: &str) -> bool {
    ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
}

/// Thins the days of a series that end before this time.
fn thin(
    change: &Transaction<'_>,
    series: i64,
    counter: bool,
    before: i64,
    interval: i64,
) -> rusqlite::Result<()> {
    let mut read = change
        .prepare("SELECT start, end, data, written FROM chunk WHERE series = ?1 AND start < ?2 AND end < ?2 AND thin = 0 ORDER BY written DESC")?;
    let mut days: BTreeMap<i64, (Pieces, Vec<(i64, i64)>)> = BTreeMap::new();
    let mut rows = read.query([series, before])?;
    while let Some(row) = rows.next()? {
        let (start, end): (i64, i64) = (row.get(0)?, row.get(1)?);
        // A chunk that spans midnight belongs to the day in which it begins.
        let (pieces, chunks) = days.entry(start.div_euclid(DAY)).or_default();
        let chunk = row::unseal(row.get_ref(2)?.as_blob().unwrap_or_default());
        pieces.begin(start, end);
        // A damaged chunk is left where it is for as long as the others, and is counted when it is read.
        match chunk.and_then(|chunk| decode(chunk, &mut |t, v| pieces.push(t, v))) {
            Some(()) => {
                pieces.end(start, end);
                chunks.push((start, row.get(3)?));
            }
            None => pieces.abandon(),
        }
    }
    drop(rows);
    drop(read);
    let mut samples = Vec::new();
    for (mut pieces, chunks) in days.into_values() {
        samples.clear();
        pieces.write(&mut samples);
        let kept = thinned(&samples, interval, counter);
        for (start, written) in chunks {
            change.execute(
                "DELETE FROM chunk WHERE series = ? AND start = ? AND written = ?",
                [series, start, written],
            )?;
        }
        for part in kept.chunks(CHUNK) {
            let (times, values): (Vec<i64>, Vec<f64>) =
                part.iter().map(|sample| (sample.t, sample.v)).unzip();
            let (Some(start), Some(end)) = (times.first(), times.last()) else { continue };
            let mut bytes = Vec::new();
            encode(&times, &values, &mut bytes);
            change.execute(
                INSERT,
                params![series, start, 0, end, times.len() as i64, interval, row::seal(&bytes)],
            )?;
        }
    }
    Ok(())
}

/// The samples that stand for all: the last of each interval, what ends a series, and of a counter those before and after it
/// began again, so that its increase stays what it was.
fn thinned(samples: &[Sample], interval: i64, counter: bool) -> Vec<Sample> {
    let place = |sample: &Sample| sample.t.div_euclid(interval);
    let reset = |one: &Sample, next: &Sample| counter && next.v < one.v;
    let needed = |at: usize, sample: &Sample| {
        let before = at.checked_sub(1).and_then(|at| samples.get(at));
        samples
            .get(at + 1)
            .is_none_or(|next| place(next) != place(sample) || is_stale(next.v) || reset(sample, next))
            || is_stale(sample.v)
            || before.is_some_and(|before| reset(before, sample))
    };
    samples.iter().enumerate().filter(|(at, sample)| needed(*at, sample)).map(|(_, sample)| *sample).collect()
}
