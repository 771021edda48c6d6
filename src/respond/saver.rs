//! A small file that follows a state. A thread writes it whenever the state changed, and only what is newest: a disk that does not
//! answer holds nothing up, and a state that changes a thousand times a second is not written a thousand times.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde::de::DeserializeOwned;

use crate::file;

/// How long the last write may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a write that failed, when the next is tried though nothing changed.
const AGAIN: Duration = Duration::from_secs(10);

/// What such a file says, up to so many bytes. One that cannot be read is reported, and what it holds begins again: `what` names that.
pub(super) fn read<T: DeserializeOwned + Default>(path: &Path, most: u64, what: &str) -> T {
    let document = match crate::sys::file::text(path, most) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error.to_string()),
    };
    document.unwrap_or_else(|why| {
        tracing::warn!("{what} cannot be read from {}, they begin again: {why}", path.display());
        T::default()
    })
}

#[derive(Debug, Default)]
struct Slot {
    /// Changes that were announced, and those that the file has.
    announced: u64,
    written: u64,
    stopping: bool,
    ended: bool,
}

/// The file and its thread.
#[derive(Debug)]
pub(super) struct Saver {
    shared: Arc<(Mutex<Slot>, Condvar)>,
    /// Whether there is a thread.
    runs: bool,
}

impl Saver {
    /// A file that holds what `text` gives; nothing is written where that is nothing. `what` is what the file holds, for people.
    pub(super) fn new(
        path: PathBuf,
        what: &'static str,
        text: impl FnMut() -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let shared: Arc<(Mutex<Slot>, Condvar)> = Arc::default();
        let own = shared.clone();
        let thread = std::thread::Builder::new().name("alert-states".into());
        let thread = thread.spawn(move || write(&own, &path, what, text));
        let warn = |error: &std::io::Error| tracing::warn!(%error, "{what} are not kept: no thread for them");
        Self { shared, runs: thread.inspect_err(warn).is_ok() }
    }

    /// The state changed. Gives a number for [`Saver::has`].
    pub(super) fn changed(&self) -> u64 {
        let mut slot = self.shared.0.lock();
        slot.announced += 1;
        self.shared.1.notify_all();
        slot.announced
    }

    /// Whether the file has a change. Without a thread it has what it will ever have.
    pub(super) fn has(&self, change: u64) -> bool {
        !self.runs || self.shared.0.lock().written >= change
    }

    /// Waits until the file has every change, as long as that may take.
    pub(super) fn stop(self) {
        let (slot, changed) = &*self.shared;
        let mut slot = slot.lock();
        slot.stopping = true;
        changed.notify_all();
        if self.runs && !slot.ended {
            changed.wait_for(&mut slot, PATIENCE);
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.shared.0.lock().stopping = true;
        self.shared.1.notify_all();
    }
}

/// The thread.
fn write(
    shared: &(Mutex<Slot>, Condvar),
    path: &Path,
    what: &str,
    mut text: impl FnMut() -> Option<Vec<u8>>,
) {
    let (slot, changed) = shared;
    let mut failing = false;
    loop {
        let announced = {
            let mut slot = slot.lock();
            while slot.announced == slot.written && !slot.stopping {
                changed.wait(&mut slot);
            }
            if slot.announced == slot.written || failing && slot.stopping {
                slot.ended = true;
                changed.notify_all();
                return;
            }
            slot.announced
        };
        let put = text().map_or(Ok(()), |text| file::replace(path, &text, file::PRIVATE).map(drop));
        match put {
            Ok(()) => {
                slot.lock().written = announced;
                if std::mem::take(&mut failing) {
                    tracing::info!("{what} are written again to {}", path.display());
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("{what} cannot be written to {}: {error}", path.display());
                }
                let mut slot = slot.lock();
                if !slot.stopping {
                    changed.wait_for(&mut slot, AGAIN);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn what_is_newest_is_in_the_file_at_the_end_and_a_number_tells_when() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        let state = Arc::new(AtomicU32::new(0));
        let own = state.clone();
        let text = move || Some(own.load(Ordering::SeqCst).to_string().into_bytes());
        let saver = Saver::new(path.clone(), "the numbers", text);
        assert!(!path.exists());
        for number in 1..=200 {
            state.store(number, Ordering::SeqCst);
            saver.changed();
        }
        let last = saver.changed();
        while !saver.has(last) {
            std::thread::yield_now();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "200");
        state.store(201, Ordering::SeqCst);
        saver.changed();
        saver.stop();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "201");
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("away/x.json");
        std::fs::write(folder.path().join("away"), "a file in its place").unwrap();
        let saver = Saver::new(path, "the numbers", || Some(b"1".to_vec()));
        let change = saver.changed();
        std::thread::sleep(Duration::from_millis(50));
        assert!(!saver.has(change));
        let began = crate::clock::now().steady;
        saver.stop();
        assert!(crate::clock::now().steady - began < 1_000_000_000);
    }
}
