//! Reads the history's file beside the one who writes it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, Statement};

use super::database::{Failure, failure};
use super::row;
use crate::history::{Pieces, decode};
use crate::promql::Labels;

/// Connections that are kept open for the next query.
const KEPT: usize = 4;

/// Connections that only read.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Whether no connection is kept: it would hold a disk that has to be repaired.
    leaves: AtomicBool,
    /// Chunks that failed their checksum.
    pub(super) damaged: AtomicU64,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            idle: Mutex::default(),
            leaves: AtomicBool::new(false),
            damaged: AtomicU64::new(0),
        }
    }

    /// Runs `read` with a connection.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        let wrong = |error: rusqlite::Error| failure(&self.path, &error);
        let idle = self.idle.lock().pop();
        let db = match idle {
            Some(db) => db,
            None => self.connect().map_err(wrong)?,
        };
        let answer = read(&db).map_err(wrong)?;
        let mut idle = self.idle.lock();
        if idle.len() < KEPT && !self.leaves.load(Ordering::Relaxed) {
            idle.push(db);
        }
        Ok(answer)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        db.busy_timeout(std::time::Duration::from_secs(1))?;
        db.pragma_update(None, "cache_size", -512)?;
        Ok(db)
    }

    /// Closes what is idle, and keeps none from now on: the file is not written any longer, or not there.
    pub(super) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
        self.idle.lock().clear();
    }

    /// Series of this name, or all, that `matches`.
    pub(super) fn series(
        &self,
        db: &Connection,
        name: Option<&str>,
        matches: &dyn Fn(&Labels) -> bool,
    ) -> rusqlite::Result<Vec<(i64, Labels)>> {
        let mut read = match name {
            Some(_) => db.prepare("SELECT id, labels FROM series WHERE name = ?")?,
            None => db.prepare("SELECT id, labels FROM series")?,
        };
        let mut rows = match name {
            Some(name) => read.query([name])?,
            None => read.query([])?,
        };
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(labels) = row.get_ref(1)?.as_str().ok().and_then(Labels::decode) else { continue };
            if matches(&labels) {
                found.push((row.get(0)?, labels));
            }
        }
        Ok(found)
    }

    /// The question for the chunks of a series, read once for many of them.
    pub(super) fn chunks<'db>(&self, db: &'db Connection) -> rusqlite::Result<Statement<'db>> {
        db.prepare(
            "SELECT start, end, data FROM chunk WHERE series = ?1 AND start <= ?3 AND end >= ?2 ORDER BY written DESC",
        )
    }

    /// Adds what the file has of a series in this span to the pieces that are there.
    pub(super) fn samples(
        &self,
        chunks: &mut Statement<'_>,
        series: i64,
        from: i64,
        to: i64,
        pieces: &mut Pieces,
    ) -> rusqlite::Result<()> {
        let mut rows = chunks.query([series, from, to])?;
        while let Some(row) = rows.next()? {
            let (start, end) = (row.get(0)?, row.get(1)?);
            if pieces.hides(start, end) {
                continue;
            }
            pieces.begin(start, end);
            let chunk = row::unseal(row.get_ref(2)?.as_blob().unwrap_or_default());
            match chunk.and_then(|chunk| decode(chunk, &mut |t, v| pieces.push(t, v))) {
                Some(()) => pieces.end(start, end),
                None => {
                    pieces.abandon();
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }
}
