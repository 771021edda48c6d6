//! What outlives a restart: the day's tokens and cost, in one small file.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::place;
use crate::analysis::Day;
use crate::file::{PRIVATE, replace};

/// The file, and what it holds.
#[derive(Debug)]
pub(super) struct Kept {
    file: Option<PathBuf>,
    day: Mutex<Option<Day>>,
}

impl Kept {
    /// Reads the file in `folder`, or in the usual place.
    pub(super) fn open(folder: Option<&Path>) -> Self {
        let folder = folder.map(Path::to_owned).or_else(place::state_folder);
        let file = folder.map(|f| f.join("day.json"));
        let text = file.as_ref().and_then(|f| std::fs::read_to_string(f).ok());
        let told = |error: &serde_json::Error| {
            tracing::warn!(%error, "cannot read day.json: the day's totals begin at nothing");
        };
        let day = text.and_then(|text| serde_json::from_str(&text).inspect_err(told).ok());
        Self { file, day: Mutex::new(day) }
    }

    /// What was kept.
    pub(super) fn day(&self) -> Option<Day> {
        *self.day.lock()
    }

    /// Whether somebody writes it now.
    pub(super) fn is_busy(&self) -> bool {
        self.day.is_locked()
    }

    /// Keeps `day`, if it changed, and says in the log if it cannot.
    pub(super) fn keep(&self, day: Option<Day>) {
        if let Err(error) = self.write(day) {
            tracing::warn!(%error, "cannot keep the day's totals over a restart");
        }
    }

    /// The file is replaced whole, so that a crash leaves the old one.
    fn write(&self, day: Option<Day>) -> io::Result<()> {
        let mut kept = self.day.lock();
        let (Some(file), true) = (&self.file, day.is_some() && *kept != day) else { return Ok(()) };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        replace(file, serde_json::to_string(&day)?.as_bytes(), PRIVATE)?;
        *kept = day;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let day = Day { day: 20_000, tokens: 12.0, cost: 0.5 };
        let kept = Kept::open(Some(folder.path()));
        assert_eq!(kept.day(), None);
        kept.write(Some(day)).unwrap();
        assert_eq!(Kept::open(Some(folder.path())).day(), Some(day));
        std::fs::write(folder.path().join("day.json"), "{damaged").unwrap();
        assert_eq!(Kept::open(Some(folder.path())).day(), None, "a damaged file is as good as none");
    }
}
