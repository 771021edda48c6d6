//! A pseudo-terminal that looks like a board's serial port, with a name of its own choosing.
//!
//! It never waits: what a reader is too slow for, or nobody is there to read, is not taken. Linux alone.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};

use crate::file::lead;

/// Bytes that wait for a reader that is slow. The kernel holds some more.
const WAITING: usize = 65_536;
/// Opened by the board itself, which is no reader.
const QUIETLY: OFlags = OFlags::NOCTTY.union(OFlags::NONBLOCK);
/// How often it is looked whether a reader came, while there is none.
const LOOK: Duration = Duration::from_millis(20);

/// The board's end of the line.
#[derive(Debug)]
pub struct Terminal {
    board: OwnedFd,
    slave: PathBuf,
    link: Option<PathBuf>,
    /// What the kernel had no room for.
    waiting: Vec<u8>,
    /// Whether a reader has the other end open.
    read: bool,
}

impl Terminal {
    /// Makes one, in raw mode, with a symlink to it if a place for that is given.
    ///
    /// # Errors
    /// What the kernel says; and if something that is no symlink is at the place already.
    pub fn open(link: Option<&Path>) -> io::Result<Self> {
        if let Some(link) = link
            && link.symlink_metadata().is_ok_and(|is| !is.file_type().is_symlink())
        {
            let why = format!("{} is there already and is no symlink", link.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&board)?;
        unlockpt(&board)?;
        rustix::fs::fcntl_setfl(&board, OFlags::NONBLOCK)?;
        let name = ptsname(&board, Vec::new())?;
        let slave = PathBuf::from(name.to_string_lossy().into_owned());
        // Opened once, so that the kernel tells from now on when nobody has it open. Settings stay.
        let other = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(QUIETLY.bits().cast_signed())
            .open(&slave)?;
        let mut settings = tcgetattr(&other)?;
        settings.make_raw();
        tcsetattr(&other, OptionalActions::Now, &settings)?;
        drop(other);
        let mut made = Self { board, slave, link: None, waiting: Vec::new(), read: false };
        if let Some(link) = link {
            lead(link, &made.slave)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", link.display())))?;
            made.link = Some(link.to_owned());
        }
        Ok(made)
    }

    /// The name that the kernel gave it.
    #[must_use]
    pub fn slave(&self) -> &Path {
        &self.slave
    }

    /// Waits for so long, or until there is something to read, and says whether a reader is there.
    pub fn wait(&mut self, time: Duration) -> bool {
        let mut flags = PollFlags::IN;
        if !self.waiting.is_empty() {
            flags |= PollFlags::OUT;
        }
        let time = if self.read { time } else { time.min(LOOK) };
        let mut ends = [PollFd::new(&self.board, flags)];
        let limit = Timespec::try_from(time).ok();
        let polled = poll(&mut ends, limit.as_ref());
        let [end] = ends.map(|end| end.revents());
        let gone = polled.is_err() || end.contains(PollFlags::HUP);
        if gone {
            if self.read {
                self.forget();
            }
            // A hang-up is reported immediately and repeatedly.
            if !end.contains(PollFlags::IN) {
                std::thread::sleep(time);
            }
        }
        self.read = !gone;
        self.read
    }

    /// Throws away what nobody read: it is not for the next reader.
    fn forget(&mut self) {
        self.waiting.clear();
        let other =
            OpenOptions::new().read(true).custom_flags(QUIETLY.bits().cast_signed()).open(&self.slave);
        if let Ok(other) = other {
            // Old bytes are a nuisance and no failure.
            let _ = tcflush(&other, QueueSelector::IFlush);
        }
    }

    /// What the reader wrote.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        // Nothing there, or nobody: both are no bytes.
        let heard = rustix::io::read(&self.board, buffer).unwrap_or_default();
        // Who wrote may have come since it was looked.
        self.read |= heard > 0;
        heard
    }

    /// Writes all of it, now or when there is room, or none of it. Says whether it will.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        if !self.read || self.waiting.len() + bytes.len() > WAITING {
            self.push();
            return false;
        }
        self.waiting.extend_from_slice(bytes);
        self.push();
        true
    }

    /// Gives the kernel what it has room for.
    pub fn push(&mut self) {
        while !self.waiting.is_empty() {
            match rustix::io::write(self.board.as_fd(), &self.waiting) {
                Ok(0) => break,
                Ok(written) => drop(self.waiting.drain(..written.min(self.waiting.len()))),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
    }

    /// Whether the kernel has all that was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(link) = &self.link
            && std::fs::read_link(link).is_ok_and(|to| to == self.slave)
        {
            drop(std::fs::remove_file(link));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    fn reader(path: &Path) -> File {
        let flags = OFlags::NOCTTY.bits().cast_signed();
        OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
    }

    fn until(mut true_: impl FnMut() -> bool) {
        for _ in 0..500 {
            if true_() {
                return;
            }
        }
        panic!("it did not happen");
    }

    #[test]
    fn bytes_pass_unchanged_and_readers_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("board");
        let mut terminal = Terminal::open(Some(&link)).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), terminal.slave());
        assert!(!terminal.wait(Duration::ZERO) && !terminal.write(b"to nobody"));
        let all: Vec<u8> = (0..=255).collect();
        for _ in 0..2 {
            let mut host = reader(&link);
            until(|| terminal.wait(Duration::from_millis(10)));
            assert!(terminal.write(&all));
            let mut came = vec![0; all.len()];
            host.read_exact(&mut came).unwrap();
            assert_eq!(came, all);
            host.write_all(&all).unwrap();
            let mut heard = Vec::new();
            until(|| {
                let mut buffer = [0; 100];
                terminal.wait(Duration::from_millis(10));
                let n = terminal.read(&mut buffer);
                heard.extend_from_slice(&buffer[..n]);
                heard.len() == all.len()
            });
            assert_eq!(heard, all);
            // What is not read is gone with the reader.
            assert!(terminal.write(b"unread"));
            drop(host);
            until(|| !terminal.wait(Duration::from_millis(10)));
        }
        drop(terminal);
        assert!(link.symlink_metadata().is_err());
    }

    #[test]
    fn a_reader_that_does_not_read_stops_nothing() {
        let mut terminal = Terminal::open(None).unwrap();
        let host = reader(terminal.slave());
        until(|| terminal.wait(Duration::from_millis(10)));
        let taken = (0..1000).filter(|_| terminal.write(&[7; 1000])).count();
        assert!((60..1000).contains(&taken) && !terminal.is_empty(), "{taken}");
        drop(host);
    }

    #[test]
    fn what_is_no_symlink_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        std::fs::write(&place, "mine").unwrap();
        let error = Terminal::open(Some(&place)).unwrap_err();
        assert!(error.to_string().contains("no symlink"), "{error}");
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "mine");
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink("/nowhere", &place).unwrap();
        drop(Terminal::open(Some(&place)).unwrap());
        assert!(place.symlink_metadata().is_err());
    }
}
