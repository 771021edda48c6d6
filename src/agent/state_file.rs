//! What outlives a restart: the day's tokens and cost, in one small file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::place;
use crate::analysis::Day;
use crate::file::{PRIVATE, make_folders, replace};
use crate::source::aside::{apart, apart_at_start};
use crate::sys::file;

/// How long the disk may take, at the end too.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes the file may have.
const LONGEST: u64 = 64 * 1024;

/// The file, and what it holds.
#[derive(Debug)]
pub(super) struct StateFile {
    file: Option<PathBuf>,
    day: Arc<Mutex<Option<Day>>>,
    /// Why it could not be written when that was last said.
    said: Mutex<Option<String>>,
}

impl StateFile {
    /// Reads the file in `folder`, or in the usual place. One that cannot be read as a file is not written either.
    pub(super) fn open(folder: Option<&Path>) -> Self {
        let folder = folder.map(Path::to_owned).or_else(place::state_folder);
        let mut file = folder.map(|f| f.join("day.json"));
        let text = file.clone().map(|path| {
            let read = apart_at_start(&path.display().to_string(), PATIENCE, {
                let path = path.clone();
                move || file::text(&path, LONGEST)
            });
            (path, read.unwrap_or_else(|why| Err(io::Error::other(why))))
        });
        let day = text.and_then(|(path, text)| match text {
            Ok(text) => {
                let warn = |error: &serde_json::Error| {
                    tracing::warn!(%error, "cannot read {}: the day's totals start at zero", path.display());
                };
                serde_json::from_str(&text).inspect_err(warn).ok()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "cannot read {}: the day's totals start at zero and do not survive a restart", path.display());
                file = None;
                None
            }
        });
        Self { file, day: Arc::new(Mutex::new(day)), said: Mutex::default() }
    }

    /// What was kept.
    pub(super) fn day(&self) -> Option<Day> {
        *self.day.lock()
    }

    /// Keeps `day`, if it changed, and says in the log if it cannot.
    pub(super) async fn keep(&self, day: Option<Day>) {
        let why = self.write(day).await.err();
        let mut said = self.said.lock();
        if let Some(why) = why.as_ref().filter(|why| said.as_ref() != Some(*why)) {
            tracing::warn!(%why, "cannot save the day's totals; they are lost at a restart");
        }
        *said = why;
    }

    async fn write(&self, day: Option<Day>) -> Result<(), String> {
        let (Some(path), true) = (self.file.clone(), day.is_some()) else { return Ok(()) };
        let held = self.day.clone();
        let work = move || -> io::Result<()> {
            if *held.lock() == day {
                return Ok(());
            }
            make_folders(&path)?;
            replace(&path, serde_json::to_string(&day)?.as_bytes(), PRIVATE)?;
            *held.lock() = day;
            Ok(())
        };
        let key = self.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        apart(&key, PATIENCE, work).await?.map_err(|why| format!("{key}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[tokio::test]
    async fn the_day_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let day = Day { day: 20_000, tokens: 12.0, cost: 0.5 };
        let state_file = StateFile::open(Some(folder.path()));
        assert_eq!(state_file.day(), None);
        state_file.write(Some(day)).await.unwrap();
        assert_eq!(StateFile::open(Some(folder.path())).day(), Some(day));
        std::fs::write(folder.path().join("day.json"), "{damaged").unwrap();
        assert_eq!(StateFile::open(Some(folder.path())).day(), None, "a damaged file is as good as none");
    }

    #[tokio::test]
    async fn a_pipe_in_its_place_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.json");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let state_file = StateFile::open(Some(folder.path()));
        assert_eq!(state_file.day(), None);
        state_file.write(Some(Day { day: 20_000, tokens: 12.0, cost: 0.5 })).await.unwrap();
        assert!(std::fs::metadata(&path).unwrap().file_type().is_fifo());
    }
}
