//! The history's file: one SQLite database, written by one thread.
//!
//! `scrape` holds the last hour or so, a row each: what a killed agent has of it when it starts again. `chunk` holds what is older,
//! an hour of one series in a row. `series` gives both their labels. The write-ahead log makes each transaction whole or nothing;
//! a file that cannot be read is set aside and never deleted.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::database::{Database, Failure, Lock, Schema, failure, is_at};
use super::row;
use crate::history::{Block, Changes, GAP, Head, Limits, Names, SeriesId, Target, decode, encode};
use crate::promql::{Labels, Sample};

/// Samples in a chunk of the file at most: an hour at the default interval. A query decodes whole chunks.
pub(super) const CHUNK: usize = 720;

const SCHEMA: Schema = Schema {
    // "NXhi"
    application: 0x4e58_6869,
    version: 1,
    tables: TABLES,
};

const TABLES: &str = "
    CREATE TABLE series(id INTEGER PRIMARY KEY, labels TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
    CREATE INDEX series_name ON series(name);
    -- times in ms since the epoch; thin: ms between two samples, 0 as scraped; data: checksum and chunk
    CREATE TABLE chunk(series INTEGER NOT NULL, start INTEGER NOT NULL, written INTEGER NOT NULL, end INTEGER NOT NULL,
        samples INTEGER NOT NULL, thin INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(series, start, written)) WITHOUT ROWID;
    CREATE TABLE scrape(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, data BLOB NOT NULL);
";

pub(super) const INSERT: &str = "INSERT OR REPLACE INTO chunk(series, start, written, end, samples, thin, data) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Device and inode of what was opened.
    pub(super) inode: (u64, u64),
    /// Whether it was made by this opening.
    pub(super) new: bool,
    pub(super) db: Connection,
    /// Held for as long as the file is open.
    _lock: Lock,
    /// Rows of the series that the head knows.
    rows: HashMap<SeriesId, i64>,
    /// The number that the next chunks are written with.
    written: i64,
}

impl File {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let Database { path, inode, new, db, lock } = Database::open(path, &SCHEMA)?;
        let read = "SELECT coalesce(max(written), 0) + 1 FROM chunk";
        let written = db.query_row(read, [], |row| row.get(0)).map_err(|error| failure(&path, &error))?;
        Ok(Self { path, inode, new, db, _lock: lock, rows: HashMap::new(), written })
    }

    /// Adds samples of series that are not the agent's own. They stand where others of the same series and time are.
    pub(super) fn import(&mut self, series: &HashMap<Labels, Vec<Sample>>) -> Result<(), Failure> {
        self.import_rows(series).map_err(|error| failure(&self.path, &error))
    }

    fn import_rows(&mut self, series: &HashMap<Labels, Vec<Sample>>) -> rusqlite::Result<()> {
        let change = self.db.transaction()?;
        let mut insert = change.prepare(INSERT)?;
        let mut bytes = Vec::new();
        for (labels, samples) in series {
            let row = series_row(&change, labels)?;
            for part in samples.chunks(CHUNK) {
                let (times, values): (Vec<i64>, Vec<f64>) =
                    part.iter().map(|sample| (sample.t, sample.v)).unzip();
                let (Some(start), Some(end)) = (times.first(), times.last()) else { continue };
                bytes.clear();
                encode(&times, &values, &mut bytes);
                insert.execute(params![
                    row,
                    start,
                    self.written,
                    end,
                    times.len() as i64,
                    0,
                    row::seal(&bytes)
                ])?;
            }
        }
        drop(insert);
        change.commit()?;
        self.written += 1;
        Ok(())
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        let empty = "DELETE FROM chunk; DELETE FROM scrape; DELETE FROM series; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);";
        self.db.execute_batch(empty).map_err(|error| failure(&self.path, &error))
    }

    /// Whether its path is still its own: SQLite writes on to a file that was removed, or whose disk was unplugged.
    pub(super) fn is_there(&self) -> bool {
        is_at(&self.path, self.inode)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what the last run had not put into chunks where it belongs. Says how many scrapes of it were lost: a row that cannot be
    /// read, and those after it that need it.
    pub(super) fn recover(&mut self) -> Result<usize, Failure> {
        let mut head = unbounded();
        let (mut rows, mut blocks) = (HashMap::new(), Vec::new());
        let (lost, last) = read_scrapes(&self.db, &mut head, &mut rows, &mut blocks)
            .map_err(|error| failure(&self.path, &error))?;
        let Some(last) = last else { return Ok(0) };
        if let Some((time, step)) = head.last() {
            blocks.extend(head.end(time.saturating_add(step.unwrap_or(1))));
        }
        let rows = std::mem::replace(&mut self.rows, rows);
        let done = self.consolidate(&blocks, last, |_| None);
        self.rows = rows;
        done.map(|()| lost)
    }

    /// Writes scrapes in one transaction. Returns the number of the last row. Series that are new get their labels from `labels`.
    pub(super) fn append(
        &mut self,
        scrapes: &[Changes],
        labels: impl Fn(SeriesId) -> Option<Labels>,
    ) -> Result<i64, Failure> {
        let mut added = Vec::new();
        let done = self.append_rows(scrapes, labels, &mut added);
        if done.is_err() {
            self.forget_rows(&added);
        }
        done.map_err(|error| failure(&self.path, &error))
    }

    fn append_rows(
        &mut self,
        scrapes: &[Changes],
        labels: impl Fn(SeriesId) -> Option<Labels>,
        added: &mut Vec<SeriesId>,
    ) -> rusqlite::Result<i64> {
        let change = self.db.transaction()?;
        let mut insert = change.prepare("INSERT INTO scrape(time, data) VALUES (?, ?)")?;
        let mut last = 0;
        for changes in scrapes {
            for (id, _) in &changes.values {
                if !self.rows.contains_key(id)
                    && let Some(labels) = labels(*id)
                {
                    self.rows.insert(*id, series_row(&change, &labels)?);
                    added.push(*id);
                }
            }
            last = insert
                .insert(params![changes.time, row::encode(changes, |id| self.rows.get(&id).copied())])?;
        }
        drop(insert);
        change.commit()?;
        Ok(last)
    }

    /// Puts sealed blocks into chunks, and lets the scrapes go that are in them, up to the row `last`. Series of which no scrape was
    /// written get their labels from `labels`.
    pub(super) fn consolidate(
        &mut self,
        blocks: &[Arc<Block>],
        last: i64,
        labels: impl Fn(SeriesId) -> Option<Labels>,
    ) -> Result<(), Failure> {
        let mut added = Vec::new();
        let done = self.write_chunks(blocks, last, labels, &mut added);
        if done.is_err() {
            self.forget_rows(&added);
        }
        done.map_err(|error| failure(&self.path, &error))
    }

    /// Their rows were taken back with the transaction.
    fn forget_rows(&mut self, added: &[SeriesId]) {
        for id in added {
            self.rows.remove(id);
        }
    }

    fn write_chunks(
        &mut self,
        blocks: &[Arc<Block>],
        last: i64,
        labels: impl Fn(SeriesId) -> Option<Labels>,
        added: &mut Vec<SeriesId>,
    ) -> rusqlite::Result<()> {
        let change = self.db.transaction()?;
        for id in blocks.iter().flat_map(|block| block.series()) {
            if !self.rows.contains_key(&id)
                && let Some(labels) = labels(id)
            {
                self.rows.insert(id, series_row(&change, &labels)?);
                added.push(id);
            }
        }
        let mut number = self.written;
        // Blocks that go forward are one chunk; where the clock was set another begins.
        let follows = |one: &Arc<Block>, next: &Arc<Block>| {
            one.end() < next.start() && next.start().saturating_sub(one.end()) <= GAP
        };
        for run in blocks.chunk_by(follows) {
            write_run(&change, run, &self.rows, number)?;
            number += 1;
        }
        change.execute("DELETE FROM scrape WHERE id <= ?", [last])?;
        change.commit()?;
        self.written = number;
        Ok(())
    }

    /// The connection.
    pub(super) fn db(&mut self) -> &mut Connection {
        &mut self.db
    }

    /// Rows of series that are being written.
    pub(super) fn known_rows(&self) -> HashSet<i64> {
        self.rows.values().copied().collect()
    }

    /// Forgets the rows of series that the head no longer knows.
    pub(super) fn keep_rows(&mut self, known: impl Fn(SeriesId) -> bool) {
        self.rows.retain(|id, _| known(*id));
    }
}

/// Reads the rows of `scrape` into a head. Returns how many were lost, and the number of the last row.
pub(super) fn read_scrapes(
    db: &Connection,
    head: &mut Head,
    rows: &mut HashMap<SeriesId, i64>,
    blocks: &mut Vec<Arc<Block>>,
) -> rusqlite::Result<(usize, Option<i64>)> {
    let mut ids: HashMap<i64, SeriesId> = HashMap::new();
    let (mut lost, mut last, mut broken) = (0, None, false);
    let mut labels = db.prepare("SELECT labels FROM series WHERE id = ?")?;
    let mut scrapes = db.prepare("SELECT id, time, data FROM scrape ORDER BY id")?;
    let mut found = scrapes.query([])?;
    while let Some(found) = found.next()? {
        last = Some(found.get(0)?);
        let read = row::decode(found.get_ref(2)?.as_blob().unwrap_or_default());
        // What depends on a scrape that was lost is lost up to the next that stands by itself.
        broken = read.as_ref().is_none_or(|(whole, _)| broken && !whole);
        let Some((whole, values)) = read.filter(|_| !broken) else {
            lost += 1;
            continue;
        };
        let mut known = Vec::with_capacity(values.len());
        for (series, value) in values {
            let id = ids.get(&series).copied().or_else(|| {
                let text: String = labels.query_row([series], |row| row.get(0)).ok()?;
                let id = head.restore_series(&Labels::decode(&text)?)?;
                ids.insert(series, id);
                rows.insert(id, series);
                Some(id)
            });
            known.extend(id.map(|id| (id, value)));
        }
        blocks.extend(head.restore(found.get(1)?, whole, &known));
    }
    Ok((lost, last))
}

/// Writes the samples that blocks of rising time have of each series.
fn write_run(
    change: &Transaction<'_>,
    run: &[Arc<Block>],
    rows: &HashMap<SeriesId, i64>,
    number: i64,
) -> rusqlite::Result<()> {
    let mut insert = change.prepare(INSERT)?;
    let mut ids: Vec<SeriesId> = run.iter().flat_map(|block| block.series()).collect();
    ids.sort_unstable();
    ids.dedup();
    let (mut times, mut values, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        let Some(series) = rows.get(&id) else { continue };
        times.clear();
        values.clear();
        for chunk in run.iter().filter_map(|block| block.chunk(id)) {
            // Chunks in memory are read as they were written.
            let _ = decode(chunk, &mut |time, value| {
                times.push(time);
                values.push(value);
            });
        }
        for (times, values) in times.chunks(CHUNK).zip(values.chunks(CHUNK)) {
            let (Some(start), Some(end)) = (times.first(), times.last()) else { continue };
            bytes.clear();
            encode(times, values, &mut bytes);
            insert.execute(params![series, start, number, end, times.len() as i64, 0, row::seal(&bytes)])?;
        }
    }
    Ok(())
}

/// A head that holds whatever a file has.
pub(super) fn unbounded() -> Head {
    let limits = Limits { span: i64::MAX, series: usize::MAX, bytes: usize::MAX, series_bytes: usize::MAX };
    Head::new(Target::default(), Names::default(), limits)
}

/// The row of a series, which is added if it is new.
fn series_row(change: &Transaction<'_>, labels: &Labels) -> rusqlite::Result<i64> {
    let known =
        change.query_row("SELECT id FROM series WHERE labels = ?", [labels.encoded()], |row| row.get(0));
    match known.optional()? {
        Some(row) => Ok(row),
        None => {
            change.execute(
                "INSERT INTO series(labels, name) VALUES (?, ?)",
                [labels.encoded(), labels.name()],
            )?;
            Ok(change.last_insert_rowid())
        }
    }
}
