//! A file of ours that is a SQLite database: opened by one process, made if it is not there, refused if a newer program wrote it.
//!
//! The write-ahead log makes each transaction whole or nothing. What is in the tables is the matter of who opens it.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, FlockOperation, access, flock};

use crate::clock::now;
use crate::file::{PRIVATE, make_folders};

/// What kind of database it is.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Four letters in the header of the file.
    pub application: i32,
    /// The form of the tables. A file with a higher one is of a newer program.
    pub version: i32,
    /// What makes the tables.
    pub tables: &'static str,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub enum Failure {
    /// Another process has it.
    Taken(PathBuf),
    /// A newer program wrote it: the version that it has, and that which is known.
    Newer(PathBuf, i32, i32),
    /// It is no such database, or damaged.
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
            Self::Newer(path, version, known) => write!(
                f,
                "{}: it has format {version}, this program knows up to {known}; run the newer program, or move the file away",
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
pub struct Database {
    /// Where it is.
    pub path: PathBuf,
    /// Device and inode of what was opened.
    pub inode: (u64, u64),
    /// Whether it was made by this opening.
    pub new: bool,
    /// The connection.
    pub db: Connection,
    /// Held for as long as the file is open.
    pub lock: Lock,
}

/// That no other process writes the file.
#[derive(Debug)]
pub struct Lock(fs::File);

impl Lock {
    fn take(path: &Path) -> Result<Self, Failure> {
        let disk = |why: std::io::Error| Failure::Disk(path.into(), why.to_string());
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))
            .map_err(disk)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::Taken(path.into())),
            Err(other) => Err(disk(other.into())),
        }
    }
}

impl Drop for Lock {
    /// Closing alone would not give it up: a command that another thread starts has the descriptor as well until it becomes its program,
    /// and with a slow disk that takes a while.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Database {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// Another process has it, a newer program wrote it, it is damaged, or the disk does not let us.
    pub fn open(path: &Path, form: &Schema) -> Result<Self, Failure> {
        let disk = |why: std::io::Error| Failure::Disk(path.into(), why.to_string());
        make_folders(path).map_err(disk)?;
        let lock = Lock::take(path)?;
        // SQLite gives its journal the mode of the file; what a laboratory measures is nobody else's business.
        let made = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path).map_err(disk)?;
        let inode = made.metadata().map(|of| (of.dev(), of.ino())).map_err(disk)?;
        // Before SQLite locks it: to close a file takes away every lock that this process has on it.
        drop(made);
        let mut db = connect(path)?;
        let new = prepare(&mut db, path, form)?;
        Ok(Self { path: path.into(), inode, new, db, lock })
    }
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| failure(path, &error))
}

/// Makes the tables where there are none. Says whether it did.
fn prepare(db: &mut Connection, path: &Path, form: &Schema) -> Result<bool, Failure> {
    let wrong = |error: rusqlite::Error| failure(path, &error);
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) =
        (number("application_id").map_err(wrong)?, number("user_version").map_err(wrong)?);
    let empty = number("schema_version").map_err(wrong)? == 0;
    if !empty && application != form.application {
        return Err(Failure::Disk(path.into(), "it is the database of another program; move it away".into()));
    }
    if version > form.version {
        return Err(Failure::Newer(path.into(), version, form.version));
    }
    db.busy_timeout(std::time::Duration::from_secs(1)).map_err(wrong)?;
    if empty {
        // Before the first table, or it has no effect.
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(wrong)?;
    }
    for (name, value) in [("journal_mode", "WAL"), ("synchronous", "NORMAL"), ("temp_store", "MEMORY")] {
        db.pragma_update(None, name, value).map_err(wrong)?;
    }
    // Kibibytes, where the number is negative; the journal is cut to so many bytes.
    db.pragma_update(None, "cache_size", -512).map_err(wrong)?;
    db.pragma_update(None, "journal_size_limit", 1 << 20).map_err(wrong)?;
    if empty {
        let change = db.transaction().map_err(wrong)?;
        change.execute_batch(form.tables).map_err(wrong)?;
        change.pragma_update(None, "application_id", form.application).map_err(wrong)?;
        change.pragma_update(None, "user_version", form.version).map_err(wrong)?;
        change.commit().map_err(wrong)?;
    }
    Ok(empty)
}

/// Bytes of the file that are in use.
///
/// # Errors
/// The file cannot be read.
pub fn used_bytes(db: &Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let (pages, free) = (number("page_count")?, number("freelist_count")?);
    Ok(u64::from(pages.saturating_sub(free)) * u64::from(number("page_size")?))
}

/// Whether this file is still at its path: SQLite writes on to a file that was removed, or whose disk was unplugged.
#[must_use]
pub fn is_at(path: &Path, inode: (u64, u64)) -> bool {
    fs::metadata(path).is_ok_and(|of| (of.dev(), of.ino()) == inode)
}

/// Moves a damaged file and its journal out of the way.
///
/// # Errors
/// They cannot be moved.
pub fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let aside = path.with_extension(format!("damaged-{}.db", now().wall_milliseconds() / 1000));
    for end in ["-wal", "-shm"] {
        let (from, to) = (with_end(path, end), with_end(&aside, end));
        if from.exists() {
            fs::rename(from, to)?;
        }
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn is_full(path: &Path) -> bool {
    path.parent().and_then(|folder| rustix::fs::statvfs(folder).ok()).is_some_and(|of| of.f_bavail == 0)
}

/// What went wrong, in words that help.
#[must_use]
pub fn failure(path: &Path, error: &rusqlite::Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Failure::Damaged(path.into(), error.to_string())
        }
        Some(ErrorCode::DiskFull) => Failure::Full(path.into()),
        // What lies beside a file that is opened needs room as well.
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if is_full(path) => {
            Failure::Full(path.into())
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Busy(path.into()),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            Failure::Disk(path.into(), "it cannot be written: permission denied or read-only".into())
        }
        // SQLite does not say what the system said; who asks it again hears it.
        // The file is not opened for that: to close it would take away SQLite's locks.
        _ => match access(path, Access::WRITE_OK) {
            Err(why) => Failure::Disk(path.into(), std::io::Error::from(why).to_string()),
            Ok(()) => Failure::Disk(path.into(), error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_can_be_opened_while_a_command_that_is_started_has_its_descriptors() {
        const SCHEMA: Schema = Schema { application: 1, version: 1, tables: "CREATE TABLE one(id INTEGER);" };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let first = Database::open(&path, &SCHEMA).unwrap();
        assert!(matches!(Database::open(&path, &SCHEMA), Err(Failure::Taken(_))));
        // As a fork has it.
        let inherited = first.lock.0.try_clone().unwrap();
        drop(first);
        let second = Database::open(&path, &SCHEMA).unwrap();
        drop(inherited);
        assert!(matches!(Database::open(&path, &SCHEMA), Err(Failure::Taken(_))));
        drop(second);
    }
}
