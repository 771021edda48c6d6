//! The file of a recording: a bounded queue, and one thread that writes.
//!
//! Who records never waits for the disk. While the disk is full or stalls, pieces wait in memory as far as there is
//! room; beyond it they are lost, which is counted, said at once, and marked in the file as soon as it can be written
//! again.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Hole, header, whole};
use crate::clock::now;
use crate::event::Timestamp;
use crate::quote::LogLimit;

/// Bytes that may wait for the disk.
const ROOM: usize = 16 << 20;
/// A buffer that grew beyond this is not kept.
const KEPT: usize = 2 << 20;
/// Bytes that are not left waiting.
const ENOUGH: usize = 256 << 10;
/// How long bytes are left waiting, so that a crash costs no more; and how long after a failure it is tried again.
const OFTEN: Duration = Duration::from_millis(300);
/// Streams whose losses are distinguished; those of all others are one gap.
const STREAMS: usize = 1024;

/// What became of a recording so far.
#[derive(Debug, Default)]
pub struct Account {
    /// Whether the file cannot be written now.
    failing: AtomicBool,
    lost_pieces: AtomicU64,
    lost_bytes: AtomicU64,
}

impl Account {
    /// Whether the file cannot be written now.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Pieces, and bytes in them, that are not in the file and never will be.
    #[must_use]
    pub fn lost(&self) -> (u64, u64) {
        (self.lost_pieces.load(Ordering::Relaxed), self.lost_bytes.load(Ordering::Relaxed))
    }
}

/// Pieces on their way to a file.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Queue>,
    /// There is enough to write, or an end.
    more: Condvar,
    /// The thread has ended.
    ended: Condvar,
    pub(super) account: Arc<Account>,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Bytes that the thread has taken and not written yet.
    taken: usize,
    holes: Holes,
    finish: bool,
    /// How it ended.
    end: Option<io::Result<()>>,
}

/// What was lost since there was last room, by source and stream.
#[derive(Debug, Default)]
struct Holes {
    of: HashMap<(u32, u32), Hole>,
    since: Timestamp,
}

impl Holes {
    fn add(&mut self, at: Timestamp, source: u32, stream: u32, bytes: usize) {
        if self.of.is_empty() {
            self.since = at;
        }
        let known = self.of.len() < STREAMS || self.of.contains_key(&(source, stream));
        let (source, stream) = if known { (source, stream) } else { Hole::ANY };
        let hole = self.of.entry((source, stream)).or_insert(Hole { source, stream, pieces: 0, bytes: 0 });
        hole.pieces += 1;
        hole.bytes += bytes as u64;
    }
}

impl Writer {
    /// Starts to write to a file, behind what is there.
    pub(super) fn start(file: File, path: PathBuf) -> io::Result<Arc<Self>> {
        let writer = Arc::new(Self {
            queue: Mutex::default(),
            more: Condvar::new(),
            ended: Condvar::new(),
            account: Arc::default(),
        });
        let own = writer.clone();
        std::thread::Builder::new().name("recording".to_owned()).spawn(move || {
            let end = own.write(&file, &path);
            own.queue.lock().end = Some(end);
            own.ended.notify_all();
        })?;
        Ok(writer)
    }

    /// Takes a piece, or counts it as lost. Never waits for the disk.
    pub(super) fn piece(&self, at: Timestamp, source: u32, stream: u32, bytes: &[u8]) {
        let mut queue = self.queue.lock();
        let head = header(at, source, stream, bytes.len());
        let holes = queue.holes.of.len() * (head.len() + Hole::BYTES);
        if queue.bytes.len() + queue.taken + holes + head.len() + bytes.len() > ROOM {
            queue.holes.add(at, source, stream, bytes.len());
            drop(queue);
            self.account.lost_pieces.fetch_add(1, Ordering::Relaxed);
            self.account.lost_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            return;
        }
        queue.mark_holes();
        queue.bytes.extend_from_slice(&head);
        queue.bytes.extend_from_slice(bytes);
        // Who wakes the thread for each piece wakes it for nothing.
        if queue.bytes.len() >= ENOUGH && queue.taken == 0 {
            self.more.notify_one();
        }
    }

    /// Writes what is left, if that takes no longer than `patience`.
    pub(super) fn finish(&self, patience: Duration) -> io::Result<()> {
        let mut queue = self.queue.lock();
        queue.finish = true;
        self.more.notify_one();
        let busy = |queue: &mut Queue| queue.end.is_none();
        if self.ended.wait_while_for(&mut queue, busy, patience).timed_out() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"));
        }
        queue.end.take().unwrap_or(Ok(()))?;
        match self.account.lost() {
            (0, _) => Ok(()),
            (pieces, bytes) => {
                Err(io::Error::other(format!("{pieces} pieces with {bytes} bytes are missing in it")))
            }
        }
    }

    fn write(&self, file: &File, path: &std::path::Path) -> io::Result<()> {
        let mut end = file.metadata()?.len();
        let mut bytes = Vec::new();
        let (mut failed, mut entry) = (None, Logged::default());
        loop {
            let finish = {
                let mut queue = self.queue.lock();
                let idle =
                    |queue: &mut Queue| !queue.finish && (failed.is_some() || queue.bytes.len() < ENOUGH);
                self.more.wait_while_for(&mut queue, idle, OFTEN);
                if bytes.is_empty() {
                    queue.mark_holes();
                    std::mem::swap(&mut queue.bytes, &mut bytes);
                    queue.taken = bytes.len();
                }
                queue.finish
            };
            let outcome = append(file, &mut end, &mut bytes);
            self.queue.lock().taken = bytes.len();
            if bytes.capacity() > KEPT && bytes.is_empty() {
                bytes = Vec::new();
            }
            self.account.failing.store(outcome.is_err(), Ordering::Relaxed);
            let (lost, second) = (self.account.lost().0, now().steady_second());
            match entry.of(outcome.as_ref().err(), lost, second) {
                Some(LogEntry::Fails(why)) => {
                    tracing::error!(path = %path.display(), %why, "cannot write the recording; data waits in memory while there is room, and is then lost; free disk space");
                }
                Some(LogEntry::GoesOn(lost)) => {
                    tracing::warn!(path = %path.display(), lost, "the recording continues; lost pieces are marked in it");
                }
                Some(LogEntry::Slow(lost)) => {
                    tracing::warn!(path = %path.display(), lost, "the disk is too slow for the recording; what is lost of it, in pieces, is marked in it");
                }
                None => {}
            }
            failed = outcome.err();
            let queue = self.queue.lock();
            if finish
                && (failed.is_some()
                    || (bytes.is_empty() && queue.bytes.is_empty() && queue.holes.of.is_empty()))
            {
                return failed.map_or(Ok(()), Err);
            }
        }
    }
}

/// What is logged of a recording.
#[derive(Debug)]
enum LogEntry<'e> {
    /// It cannot be written, and why.
    Fails(&'e io::Error),
    /// It can be written again; so many pieces were lost meanwhile.
    GoesOn(u64),
    /// So many pieces were lost although it can be written.
    Slow(u64),
}

/// What was logged: it is logged again if that no longer holds, and rarely enough to be readable.
#[derive(Debug, Default)]
struct Logged {
    failing: bool,
    lost: u64,
    seldom: LogLimit,
}

impl Logged {
    fn of<'e>(&mut self, why: Option<&'e io::Error>, lost: u64, second: u32) -> Option<LogEntry<'e>> {
        let more = lost - self.lost;
        let (kind, entry) = match (why, self.failing) {
            (Some(why), false) => ("fails", LogEntry::Fails(why)),
            (None, true) => ("continues", LogEntry::GoesOn(more)),
            (None, false) if more > 0 => ("slow", LogEntry::Slow(more)),
            _ => return None,
        };
        self.seldom.admits(kind, second)?;
        if why.is_none() {
            self.lost = lost;
        }
        self.failing = why.is_some();
        Some(entry)
    }
}

impl Queue {
    /// Marks what was lost, before what comes after it.
    fn mark_holes(&mut self) {
        let since = self.holes.since;
        for hole in self.holes.of.drain().map(|(_, hole)| hole) {
            let text = hole.write();
            self.bytes.extend_from_slice(&header(since, Hole::SOURCE, 0, text.len()));
            self.bytes.extend_from_slice(&text);
        }
    }
}

/// Writes bytes behind `end`. If it fails, whole pieces that got through stay in the file and leave the buffer, and
/// nothing else does.
fn append(file: &File, end: &mut u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let (mut done, mut outcome) = (0, Ok(()));
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, *end + done as u64) {
            Ok(0) => outcome = Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                done += n;
                continue;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => outcome = Err(e),
        }
        break;
    }
    let good = if outcome.is_ok() { done } else { whole(bytes, done) };
    bytes.drain(..good);
    *end += good as u64;
    if outcome.is_err() {
        // Of a piece that broke off nothing stays, not even if nothing is written after it.
        file.set_len(*end)?;
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_seldom_and_the_losses_add_up() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let mut logged = Logged::default();
        // A disk that is too slow three times a second, for ten minutes.
        let (mut lines, mut said) = (0, 0);
        for round in 0..1800_u32 {
            if let Some(LogEntry::Slow(lost)) = logged.of(None, u64::from(round) + 1, 100 + round / 3) {
                (lines, said) = (lines + 1, said + lost);
            }
        }
        assert!(lines < 120 && said > 1750, "{lines} lines of {said} pieces");
        // One that is full and not, ten times a second: each word follows the other, and the last one holds.
        let mut logged = Logged::default();
        let (mut lines, mut failing) = (0, false);
        for round in 0..6000_u32 {
            let why = (round < 5990 && round % 2 == 0).then_some(&full);
            if let Some(entry) = logged.of(why, 0, 100 + round / 10) {
                assert_ne!(matches!(entry, LogEntry::Fails(_)), failing);
                (lines, failing) = (lines + 1, !failing);
            }
        }
        assert!(lines < 240, "{lines}");
        assert!(
            (700..710)
                .any(|second| !failing || matches!(logged.of(None, 0, second), Some(LogEntry::GoesOn(0))))
        );
    }
}
