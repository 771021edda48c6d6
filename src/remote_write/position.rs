//! Up to when a target has everything, in a small file that outlives a restart and a kill.

use std::path::PathBuf;
use std::time::Duration;

use crate::file::{PRIVATE, make_folders, replace};
use crate::source::aside::apart;
use crate::sys::file;

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes the file may have.
const LONGEST: u64 = 64;

/// The file, if there is a state directory.
#[derive(Debug)]
pub(super) struct Position {
    path: Option<PathBuf>,
    /// Whether it was said that it cannot be written.
    failing: bool,
}

impl Position {
    pub(super) fn new(folder: Option<PathBuf>, name: &str) -> Self {
        Self { path: folder.map(|folder| folder.join(format!("remote-write.{name}"))), failing: false }
    }

    /// What was kept, ms since the epoch.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(super) async fn read(&self) -> Result<Option<i64>, String> {
        let Some(path) = self.path.clone() else { return Ok(None) };
        let key = path.display().to_string();
        let text = apart(&key, PATIENCE, move || file::text(&path, LONGEST)).await?;
        match text {
            Ok(text) => {
                text.trim().parse().map(Some).map_err(|_| format!("{key} is not a time in milliseconds"))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{key}: {error}")),
        }
    }

    /// Keeps it, and says in the log if it cannot.
    pub(super) async fn keep(&mut self, at: i64) {
        let Some(path) = self.path.clone() else { return };
        let key = path.display().to_string();
        let work =
            move || make_folders(&path).and_then(|()| replace(&path, at.to_string().as_bytes(), PRIVATE));
        let kept = apart(&key, PATIENCE, work).await.and_then(|done| done.map_err(|why| why.to_string()));
        match kept {
            Ok(_) => self.failing = false,
            Err(why) if !self.failing => {
                self.failing = true;
                tracing::warn!(
                    "the position of remote write cannot be kept in {key}, a restart sends again what was sent: {why}"
                );
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut position = Position::new(Some(folder.path().join("state")), "a");
        assert_eq!(position.read().await, Ok(None));
        position.keep(1_764_460_800_123).await;
        let again = Position::new(Some(folder.path().join("state")), "a");
        assert_eq!(again.read().await, Ok(Some(1_764_460_800_123)));
        std::fs::write(folder.path().join("state/remote-write.a"), "x").unwrap();
        assert!(again.read().await.unwrap_err().contains("is not a time"));
    }
}
