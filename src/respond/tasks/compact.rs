//! The agent's own databases, made as small as what they hold: free pages go back to the file system, journals are emptied.
//!
//! What is too old is removed by the threads that write these files; here nothing is removed. It is done in small steps, so that who
//! writes waits for one of them at most.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Around, Job, Run};
use crate::source::aside::apart;
use crate::store::failure;

/// What it is called while it lasts.
const COMPACT: &str = "the agent's own databases";
/// Pages that one step gives back.
const STEP: u32 = 256;
/// How long a step waits for who writes.
const BUSY: Duration = Duration::from_secs(2);

/// It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TaskCompact")]
pub struct Settings {}

impl Job for Settings {
    fn run<'a>(&'a self, around: &'a Around, patience: Duration) -> Run<'a> {
        let files = around.databases.clone();
        Box::pin(async move {
            let work = move || {
                let mut freed = 0;
                for file in files.iter().filter(|file| file.exists()) {
                    freed += compact(file).map_err(|error| failure(file, &error).to_string())?;
                }
                Ok(format!("{freed} bytes were given back to the file system"))
            };
            apart(COMPACT, patience, work).await.flatten()
        })
    }
}

/// Makes one as small as it can be. Says by how many bytes.
fn compact(file: &Path) -> rusqlite::Result<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.busy_timeout(BUSY)?;
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let (before, size) = (number("page_count")?, number("page_size")?);
    let mut free = number("freelist_count")?;
    while free > 0 {
        db.execute_batch(&format!("PRAGMA incremental_vacuum({STEP})"))?;
        // One whose pages cannot be given back singly keeps them.
        match number("freelist_count")? {
            left if left < free => free = left,
            _ => break,
        }
    }
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(u64::from(before.saturating_sub(number("page_count")?)) * u64::from(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_pages_are_given_back_while_another_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
            .unwrap();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO t SELECT zeroblob(1000) FROM n";
        db.execute_batch(fill).unwrap();
        db.execute_batch("DELETE FROM t WHERE rowid > 10").unwrap();
        assert!(compact(&path).unwrap() > 3_000_000);
        assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
        assert_eq!(compact(&path).unwrap(), 0);
        assert_eq!(db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 10);
        std::fs::write(
            folder.path().join("b.db"),
            "no database, and longer than the head of one, so that it is read: ".repeat(20),
        )
        .unwrap();
        assert!(compact(&folder.path().join("b.db")).is_err());
        assert!(compact(&folder.path().join("none.db")).is_err() && !folder.path().join("none.db").exists());
    }
}
