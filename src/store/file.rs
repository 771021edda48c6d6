//! The history's file: one SQLite database, written by one thread.
//!
//! `scrape` holds the last hour or so, a row each: what a killed agent has of it when it starts again. `chunk` holds what is older,
//! an hour of one series in a row. `series` gives both their labels. The write-ahead log makes each transaction whole or nothing;
//! a file that cannot be read is set aside and never deleted.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, params};
use rustix::fs::{FlockOperation, flock};

use super::row;
use crate::file::{PRIVATE, make_folders};
use crate::history::{Block, Changes, GAP, Head, Limits, Names, SeriesId, Target, decode, encode};
use crate::promql::{Labels, Sample};

/// "NXhi", in the header of the file: what kind of database it is.
const APPLICATION: i32 = 0x4e58_6869;

/// Samples in a chunk of the file at most: an hour at the default interval. A query decodes whole chunks.
pub(super) const CHUNK: usize = 720;

/// The form of the tables. A file with a higher one is of a newer program.
const VERSION: i32 = 1;

const TABLES: &str = "
    CREATE TABLE series(id INTEGER PRIMARY KEY, labels TEXT NOT NULL UNIQUE, name TEXT NOT NULL);
    CREATE INDEX series_name ON series(name);
    -- times in ms since the epoch; thin: ms between two samples, 0 as scraped; data: checksum and chunk
    CREATE TABLE chunk(series INTEGER NOT NULL, start INTEGER NOT NULL, written INTEGER NOT NULL, end INTEGER NOT NULL,
        samples INTEGER NOT NULL, thin INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(series, start, written)) WITHOUT ROWID;
    CREATE TABLE scrape(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, data BLOB NOT NULL);
";

pub(super) const INSERT: &str = "INSERT OR REPLACE INTO chunk(series, start, written, end, samples, thin, data) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// Why there is no history on disk.
#[derive(Debug)]
pub enum Failure {
    /// Another process has it.
    Taken(PathBuf),
    /// A newer program wrote it.
    Newer(PathBuf, i32),
    /// It is no history, or damaged.
    Damaged(PathBuf, String),
    /// The disk is full. The file stays open: it is written when there is room again.
    Full(PathBuf),
    /// Another program holds the file for a moment.
    Busy(PathBuf),
    /// The disk, the folder or the file do not let us.
    Disk(PathBuf, String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(path) => write!(
                f,
                "{}: another agent writes it; give this one a state_directory of its own",
                path.display()
            ),
            Self::Newer(path, version) => write!(
                f,
                "{}: it has format {version}, this program knows up to {VERSION}; run the newer program, or move the file away",
                path.display()
            ),
            Self::Damaged(path, why) => write!(f, "{}: it is damaged: {why}", path.display()),
            Self::Full(path) => write!(f, "{}: the disk is full", path.display()),
            Self::Busy(path) => write!(f, "{}: another program holds it", path.display()),
            Self::Disk(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for Failure {}

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
    _lock: fs::File,
    /// Rows of the series that the head knows.
    rows: HashMap<SeriesId, i64>,
    /// The number that the next chunks are written with.
    written: i64,
}

impl File {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let disk = |why: std::io::Error| Failure::Disk(path.into(), why.to_string());
        make_folders(path).map_err(disk)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))
            .map_err(disk)?;
        if let Err(errno) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            return Err(match errno {
                rustix::io::Errno::WOULDBLOCK => Failure::Taken(path.into()),
                other => disk(other.into()),
            });
        }
        // SQLite gives its journal the mode of the file; what a laboratory measures is nobody else's business.
        let made = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path).map_err(disk)?;
        let inode = made.metadata().map(|of| (of.dev(), of.ino())).map_err(disk)?;
        let db = Self::connect(path)?;
        let rows = HashMap::new();
        let mut file = Self { path: path.into(), inode, new: false, db, _lock: lock, rows, written: 0 };
        file.prepare()?;
        Ok(file)
    }

    fn connect(path: &Path) -> Result<Connection, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(path, flags).map_err(|error| failure(path, &error))
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        let path = self.path.clone();
        let wrong = |error: rusqlite::Error| failure(&path, &error);
        let number = |name: &str| self.db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let (application, version) =
            (number("application_id").map_err(wrong)?, number("user_version").map_err(wrong)?);
        let empty = number("schema_version").map_err(wrong)? == 0;
        if !empty && application != APPLICATION {
            return Err(Failure::Disk(path, "it is the database of another program; move it away".into()));
        }
        if version > VERSION {
            return Err(Failure::Newer(path, version));
        }
        self.db.busy_timeout(std::time::Duration::from_secs(1)).map_err(wrong)?;
        if empty {
            // Before the first table, or it has no effect.
            self.db.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(wrong)?;
        }
        for (name, value) in [("journal_mode", "WAL"), ("synchronous", "NORMAL"), ("temp_store", "MEMORY")] {
            self.db.pragma_update(None, name, value).map_err(wrong)?;
        }
        // Kibibytes, where the number is negative; the journal is cut to so many bytes.
        self.db.pragma_update(None, "cache_size", -512).map_err(wrong)?;
        self.db.pragma_update(None, "journal_size_limit", 1 << 20).map_err(wrong)?;
        if empty {
            let change = self.db.transaction().map_err(wrong)?;
            change.execute_batch(TABLES).map_err(wrong)?;
            change.pragma_update(None, "application_id", APPLICATION).map_err(wrong)?;
            change.pragma_update(None, "user_version", VERSION).map_err(wrong)?;
            change.commit().map_err(wrong)?;
            self.new = true;
        }
        self.written = self
            .db
            .query_row("SELECT coalesce(max(written), 0) + 1 FROM chunk", [], |row| row.get(0))
            .map_err(wrong)?;
        Ok(())
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
        fs::metadata(&self.path).is_ok_and(|of| (of.dev(), of.ino()) == self.inode)
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

/// What went wrong, in words that help.
pub(super) fn failure(path: &Path, error: &rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Failure::Damaged(path.into(), error.to_string())
        }
        Some(ErrorCode::DiskFull) => Failure::Full(path.into()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Busy(path.into()),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            Failure::Disk(path.into(), "it cannot be written: permission denied or read-only".into())
        }
        // SQLite does not say what the system said; who asks it again hears it.
        _ => match OpenOptions::new().append(true).open(path) {
            Err(why) => Failure::Disk(path.into(), why.to_string()),
            Ok(_) => Failure::Disk(path.into(), error.to_string()),
        },
    }
}
