//! The file of the incidents: a SQLite database of its own, so that a history that is full or broken costs no incident.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use crate::alert::incident::{Incident, IncidentFilter};
use crate::clock::EARLIEST;
use crate::store::{Database, Failure, Schema, failure, is_at, set_aside, used_bytes};

const SCHEMA: Schema = Schema {
    // "NXin"
    application: 0x4e58_696e,
    version: 1,
    tables: "
    -- times in ms since the epoch; record: the incident as JSON
    CREATE TABLE incident(id TEXT PRIMARY KEY, started INTEGER NOT NULL, resolved INTEGER, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX incident_started ON incident(started);
    CREATE INDEX incident_resolved ON incident(resolved);
",
};

/// Incidents that are removed at once when the file is too large.
const PORTION: i64 = 200;

/// What the file may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how long after its end an incident is kept, ms.
    pub keep: i64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Device and number of a file.
pub(super) type Inode = (u64, u64);

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct File(Database);

impl File {
    /// Opens the file, or makes it. One that is damaged is set aside and another one begun: says where it lies. The one with the number
    /// `checked` is not checked again.
    pub(super) fn open(path: &Path, checked: Option<Inode>) -> Result<(Self, Option<PathBuf>), Failure> {
        let opened = Database::open(path, &SCHEMA).and_then(|database| match checked {
            Some(inode) if inode == database.inode && !database.new => Ok(Self(database)),
            _ => Self::check(database),
        });
        match opened {
            Ok(file) => Ok((file, None)),
            Err(Failure::Damaged(path, why)) => {
                let aside = set_aside(&path).map_err(|error| {
                    Failure::Disk(path.clone(), format!("it is damaged ({why}) and cannot be moved: {error}"))
                })?;
                Database::open(&path, &SCHEMA).map(|database| (Self(database), Some(aside)))
            }
            Err(failure) => Err(failure),
        }
    }

    fn check(database: Database) -> Result<Self, Failure> {
        let said: Result<String, _> = database.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match said {
            Ok(said) if said == "ok" => Ok(Self(database)),
            Ok(said) => Err(Failure::Damaged(database.path, said)),
            Err(error) => Err(failure(&database.path, &error)),
        }
    }

    fn failed(&self, error: &rusqlite::Error) -> Failure {
        failure(&self.0.path, error)
    }

    /// Which file it is.
    pub(super) fn inode(&self) -> Inode {
        self.0.inode
    }

    /// Whether it was made when it was opened: its inode may be that of one that was removed.
    pub(super) fn is_new(&self) -> bool {
        self.0.new
    }

    /// Closes the file and writes nothing: its journal stays as it is, and is read when it is opened again.
    pub(super) fn leave(self) {
        drop(self.0.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true));
    }

    /// Whether its path is still its own.
    pub(super) fn is_there(&self) -> bool {
        is_at(&self.0.path, self.0.inode)
    }

    /// Writes incidents in one transaction.
    pub(super) fn write(&mut self, incidents: &[Incident]) -> Result<(), Failure> {
        let path = self.0.path.clone();
        self.write_rows(incidents).map_err(|error| failure(&path, &error))
    }

    fn write_rows(&mut self, incidents: &[Incident]) -> rusqlite::Result<()> {
        let change = self.0.db.transaction()?;
        let mut insert = change
            .prepare("INSERT OR REPLACE INTO incident(id, started, resolved, record) VALUES (?, ?, ?, ?)")?;
        for incident in incidents {
            let record = incident.json().to_string();
            insert.execute(params![incident.id, incident.started, incident.resolved, record])?;
        }
        drop(insert);
        change.commit()
    }

    /// The incidents that are open, and as many that are over as ends are remembered.
    pub(super) fn load(&self, ends: usize) -> Result<Vec<Incident>, Failure> {
        let mut found = Vec::new();
        let open = "SELECT record FROM incident WHERE resolved IS NULL";
        let over = "SELECT record FROM incident WHERE resolved IS NOT NULL ORDER BY resolved DESC LIMIT ?";
        let read = |sql: &str, limit: Option<i64>, found: &mut Vec<Incident>| -> rusqlite::Result<()> {
            let mut rows = self.0.db.prepare(sql)?;
            let mut rows = match limit {
                Some(limit) => rows.query([limit])?,
                None => rows.query([])?,
            };
            while let Some(row) = rows.next()? {
                found.extend(record(row.get_ref(0)?.as_str().unwrap_or_default()));
            }
            Ok(())
        };
        read(open, None, &mut found).map_err(|error| self.failed(&error))?;
        let ends = i64::try_from(ends).unwrap_or(i64::MAX);
        read(over, Some(ends), &mut found).map_err(|error| self.failed(&error))?;
        Ok(found)
    }

    /// The newest time of an incident that has one.
    pub(super) fn newest(&self) -> Option<i64> {
        let newest = "SELECT max(max(started), ifnull(max(resolved), 0)) FROM incident";
        self.0.db.query_row(newest, [], |row| row.get(0)).ok().flatten()
    }

    /// Removes what is too old at `now`, if that is believed, then the oldest until the file is small enough. What is open stays. Says how many went.
    pub(super) fn prune(&mut self, retention: &Retention, now: Option<i64>) -> Result<usize, Failure> {
        let path = self.0.path.clone();
        self.prune_rows(retention, now).map_err(|error| failure(&path, &error))
    }

    fn prune_rows(&self, retention: &Retention, now: Option<i64>) -> rusqlite::Result<usize> {
        let db = &self.0.db;
        let mut gone = 0;
        if let Some(now) = now {
            // One that ended before there was this program ended by a wrong clock: how old it is nobody knows.
            let old = [now.saturating_sub(retention.keep), EARLIEST];
            gone += db.execute("DELETE FROM incident WHERE resolved < ? AND resolved >= ?", old)?;
        }
        while used_bytes(db)? > retention.bytes {
            let oldest = "DELETE FROM incident WHERE id IN \
                          (SELECT id FROM incident WHERE resolved IS NOT NULL ORDER BY resolved LIMIT ?)";
            let some = db.execute(oldest, [PORTION])?;
            if some == 0 {
                break;
            }
            gone += some;
        }
        if gone > 0 {
            db.execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")?;
        }
        Ok(gone)
    }

    /// Bytes of the file that are in use.
    pub(super) fn bytes(&self) -> u64 {
        used_bytes(&self.0.db).unwrap_or_default()
    }
}

/// Reads beside the one who writes.
#[derive(Debug)]
pub(super) struct Reader {
    db: Connection,
    path: PathBuf,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let wrong = |error: rusqlite::Error| failure(path, &error);
        let db = Connection::open_with_flags(path, flags).map_err(wrong)?;
        db.busy_timeout(std::time::Duration::from_secs(1)).map_err(wrong)?;
        Ok(Self { db, path: path.into() })
    }

    /// Shows incidents whose alert fired in the span that is asked for, the newest first, until `each` has enough.
    pub(super) fn list(
        &self,
        wanted: &IncidentFilter,
        each: &mut dyn FnMut(Incident) -> bool,
    ) -> Result<(), Failure> {
        let mut read = || -> rusqlite::Result<()> {
            let mut rows = self.db.prepare(
                "SELECT record FROM incident WHERE started BETWEEN ? AND ? ORDER BY started DESC, id",
            )?;
            let span = [wanted.from.unwrap_or(i64::MIN), wanted.to.unwrap_or(i64::MAX)];
            let mut rows = rows.query(span)?;
            while let Some(row) = rows.next()? {
                let incident = record(row.get_ref(0)?.as_str().unwrap_or_default());
                if incident.is_some_and(|incident| !each(incident)) {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(|error| failure(&self.path, &error))
    }

    /// The incidents whose number begins so, two at most.
    pub(super) fn find(&self, id: &str) -> Result<Vec<Incident>, Failure> {
        let read = || -> rusqlite::Result<Vec<Incident>> {
            let mut rows = self
                .db
                .prepare("SELECT record FROM incident WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2")?;
            let rows = rows.query_map([id], |row| row.get::<_, String>(0))?;
            rows.filter_map(|row| row.map(|text| record(&text)).transpose()).collect()
        };
        read().map_err(|error| failure(&self.path, &error))
    }

    /// Whether there is one with exactly this number.
    #[cfg(test)]
    pub(super) fn has(&self, id: &str) -> bool {
        self.db.query_row("SELECT 1 FROM incident WHERE id = ?", [id], |_| Ok(())).is_ok()
    }
}

/// An incident from its record; nothing if it is not one.
fn record(text: &str) -> Option<Incident> {
    serde_json::from_str(text).ok()
}
