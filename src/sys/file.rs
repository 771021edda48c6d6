//! Files that are read, opened so that no pipe is waited for.
//!
//! A file system that never answers holds the thread that asks it. That is a matter of the caller, who asks on a thread of its
//! own and learns from [`At`] where that thread stands.

use std::cell::RefCell;
use std::fs::{File, OpenOptions, ReadDir};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::OFlags;

thread_local! {
    static HERE: RefCell<Option<At>> = const { RefCell::new(None) };
}

/// Which path a thread is at.
#[derive(Clone, Debug)]
pub struct At(Arc<Mutex<PathBuf>>);

impl At {
    /// At this one.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(Arc::new(Mutex::new(path.to_owned())))
    }

    /// Follows the thread that calls this: whatever it opens here is where it is.
    pub fn follow(&self) {
        HERE.set(Some(self.clone()));
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.lock().clone()
    }
}

/// The calling thread turns to this path.
pub fn turn_to(path: &Path) {
    HERE.with_borrow(|here| {
        if let Some(here) = here {
            path.clone_into(&mut here.0.lock());
        }
    });
}

/// Opens a regular file for reading. Anything else is refused, without waiting for it and without a byte to it.
///
/// # Errors
/// What the system says, or that it is not a file.
pub fn open(path: &Path) -> io::Result<File> {
    turn_to(path);
    let regular = |about: &std::fs::Metadata| {
        if about.is_file() { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_A_FILE)) }
    };
    // Before it is opened, because to open a port resets what is behind it; and after, because another may stand
    // there now.
    regular(&std::fs::metadata(path)?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// What is said of a folder, a pipe or a device where a file should be.
pub const NOT_A_FILE: &str = "it is not a file";

/// The bytes of a regular file that has so many at most.
///
/// # Errors
/// What the system says, that it is not a file, or that it is too long.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// The text of a regular file that has so many bytes at most.
///
/// # Errors
/// As [`read`]; or that it is not UTF-8.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// What is in a folder.
///
/// # Errors
/// What the system says.
pub fn list(folder: &Path) -> io::Result<ReadDir> {
    turn_to(folder);
    std::fs::read_dir(folder)
}

/// Makes a file that must not be there yet, which the owner alone can write, whatever the umask is.
///
/// # Errors
/// What the system says.
pub fn create(path: &Path) -> io::Result<File> {
    turn_to(path);
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        pipe(&path);
        for path in [&*path, folder.path(), Path::new("/dev/null")] {
            assert_eq!(read(path, 10).unwrap_err().to_string(), NOT_A_FILE);
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(text(&file, 10).unwrap(), "0123456789");
        assert_eq!(read(&file, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    /// Between the check and the opening another process may put a pipe there.
    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&path, "1").unwrap();
        pipe(&other);
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let swapping = std::thread::spawn({
            let (stop, path, other) = (stop.clone(), path.clone(), other.clone());
            move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    rustix::fs::renameat_with(CWD, &path, CWD, &other, rustix::fs::RenameFlags::EXCHANGE)
                        .unwrap();
                }
            }
        });
        let mut seen = [0, 0];
        for _ in 0..20_000 {
            match read(&path, 10) {
                Ok(bytes) => {
                    assert_eq!(bytes, b"1");
                    seen[0] += 1;
                }
                Err(e) => {
                    assert_eq!(e.to_string(), NOT_A_FILE);
                    seen[1] += 1;
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        swapping.join().unwrap();
        assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    }

    #[test]
    fn it_is_known_where_a_thread_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = At::new(Path::new("/"));
        at.follow();
        let _ = list(folder.path());
        assert_eq!(at.path(), folder.path());
    }
}
