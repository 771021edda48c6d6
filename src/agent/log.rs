//! The log's way out: a bounded queue, and one thread that writes to standard error.
//!
//! Logging never waits: a log that nobody reads, a disk that is full or a pipe that closed costs lines, which are
//! counted, and nothing else. What a line says and which are wanted is not known here.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::metrics::LOST_LINES;

/// Lines that may wait.
const LINES: usize = 8192;
/// Bytes that may wait.
const BYTES: usize = 1 << 20;
/// Bytes of the last lines that are kept to be shown, and how many lines.
const SHOWN: usize = 128 << 10;
const SHOWN_LINES: usize = 1000;
/// Bytes of one of them.
const SHOWN_LINE: usize = 4 << 10;
/// How long a writer waits after `EAGAIN`, on a non-blocking terminal or pipe.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the end waits for what is left.
const LAST: Duration = Duration::from_secs(1);

/// The log of this process: tracing, panics and last words all go through it.
static LOG: OnceLock<Log> = OnceLock::new();

/// Lines on their way to a writer.
#[derive(Debug, Default)]
struct Log {
    waiting: Mutex<LogQueue>,
    /// The last lines, whether they could be written or not.
    last: Mutex<Last>,
    /// There is a line.
    more: Condvar,
    /// There is none, and the last one is written.
    idle: Condvar,
    lost: Lost,
    /// Whether the last line got through.
    through: AtomicBool,
    said: AtomicU64,
}

#[derive(Debug, Default)]
struct LogQueue {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Whether the thread is at a line.
    writing: bool,
}

/// The last lines, for who looks at the agent and not at its log.
#[derive(Debug, Default)]
struct Last {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Last {
    fn add(&mut self, line: &[u8]) {
        let line = line.get(..SHOWN_LINE).unwrap_or(line);
        self.bytes += line.len();
        self.lines.push_back(line.into());
        while self.bytes > SHOWN || self.lines.len() > SHOWN_LINES {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes -= first.len();
        }
    }
}

/// How many lines were lost, by why.
#[derive(Debug, Default)]
struct Lost {
    full: AtomicU64,
    failed: AtomicU64,
}

impl Log {
    /// Takes a line, or counts it as lost if there is no room.
    fn say(&self, line: &[u8]) {
        self.last.lock().add(line);
        let mut waiting = self.waiting.lock();
        if waiting.lines.len() == LINES || waiting.bytes + line.len() > BYTES {
            self.lost.full.fetch_add(1, Ordering::Relaxed);
            self.through.store(false, Ordering::Relaxed);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.into());
        drop(waiting);
        self.more.notify_one();
    }

    /// Writes lines for ever.
    fn write(&self, mut out: impl Write) {
        // Whether the last line broke off in its middle: the next one must not be glued to it.
        let mut torn = false;
        let mut waiting = self.waiting.lock();
        loop {
            let Some(line) = waiting.lines.pop_front() else {
                waiting.writing = false;
                self.idle.notify_all();
                self.more.wait(&mut waiting);
                continue;
            };
            waiting.bytes -= line.len();
            waiting.writing = true;
            drop(waiting);
            let begin: &[u8] = if torn { b"\n" } else { b"" };
            let (mut done, outcome) = put(&mut out, begin);
            let outcome = outcome.and_then(|()| {
                let (written, outcome) = put(&mut out, &line);
                done = written;
                torn = written > 0 && outcome.is_err();
                outcome
            });
            self.through.store(outcome.is_ok(), Ordering::Relaxed);
            if outcome.is_err() {
                self.lost.failed.fetch_add(1, Ordering::Relaxed);
            }
            waiting = self.waiting.lock();
        }
    }

    /// Waits until everything is written, for so long at most.
    fn flush(&self, most: Duration) {
        let mut waiting = self.waiting.lock();
        let busy = |waiting: &mut LogQueue| waiting.writing || !waiting.lines.is_empty();
        // What is not written by then is lost, like the process.
        let _ = self.idle.wait_while_for(&mut waiting, busy, most);
    }

    fn news(&self) -> Option<u64> {
        let lost = self.lost.full.load(Ordering::Relaxed) + self.lost.failed.load(Ordering::Relaxed);
        let news = lost - self.said.load(Ordering::Relaxed);
        if news == 0 || !self.through.load(Ordering::Relaxed) {
            return None;
        }
        self.said.store(lost, Ordering::Relaxed);
        Some(news)
    }
}

/// Writes all of it, and says how much it was.
fn put(out: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(e) => return (done, Err(e)),
        }
    }
    (done, Ok(()))
}

/// Lets everything that is said from now on, panics among it, go through a queue to standard error. Once a process.
///
/// # Errors
/// There can be no thread.
pub fn open() -> io::Result<()> {
    if LOG.get().is_some() {
        return Ok(());
    }
    // Not through the standard library's handle: its lock would be held for as long as a write lasts.
    let out = std::fs::File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let log = LOG.get_or_init(Log::default);
    std::thread::Builder::new().name("log".to_owned()).spawn(move || log.write(out))?;
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let (name, what) = (thread.name().unwrap_or("<unnamed>"), info.payload_as_str().unwrap_or("?"));
        let place = info.location().map_or_else(String::new, ToString::to_string);
        let trace = std::backtrace::Backtrace::capture();
        let trace = match trace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("{trace}\n"),
            _ => String::new(),
        };
        log.say(format!("thread '{name}' panicked at {place}:\n{what}\n{trace}").as_bytes());
    }));
    Ok(())
}

/// Says a line, with its end. `false` if there is no queue, and the caller must write it.
#[must_use]
pub fn say(line: &[u8]) -> bool {
    LOG.get().is_some_and(|log| {
        log.say(line);
        true
    })
}

/// Waits for a moment until what was said is written.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(LAST);
    }
}

/// The last lines that were said, in their order.
pub(super) fn last() -> Vec<String> {
    let Some(log) = LOG.get() else { return Vec::new() };
    log.last.lock().lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// Lines that were lost so far: those that found no room in the queue, and those that could not be written.
pub(super) fn lost() -> [(&'static str, u64); 2] {
    let of =
        |count: fn(&Lost) -> &AtomicU64| LOG.get().map_or(0, |log| count(&log.lost).load(Ordering::Relaxed));
    let [full, failed] = LOST_LINES;
    [(full, of(|lost| &lost.full)), (failed, of(|lost| &lost.failed))]
}

/// How many lines were lost since this was last said, if lines get through again.
pub(super) fn news() -> Option<u64> {
    LOG.get().and_then(Log::news)
}

/// What is said is written to the log.
#[derive(Clone, Copy, Debug)]
pub struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Before there is a log there is nobody who writes to it.
        let _ = say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::sync::Arc;

    use super::*;

    fn started(out: impl Write + Send + 'static) -> Arc<Log> {
        let log = Arc::new(Log::default());
        let writer = log.clone();
        std::thread::spawn(move || writer.write(out));
        log
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_no_time() {
        let (reader, writer) = io::pipe().unwrap();
        let log = started(writer);
        let began = now();
        let line = |number: u32| format!("{number:099}\n");
        for number in 0..20_000 {
            log.say(line(number).as_bytes());
        }
        assert!(began.elapsed() < Duration::from_secs(5));
        let full = log.lost.full.load(Ordering::Relaxed);
        assert!(full > 0 && log.waiting.lock().lines.len() <= LINES);
        assert_eq!(log.news(), None, "nothing gets through");
        let began = now();
        log.flush(Duration::from_millis(50));
        assert!(began.elapsed() < Duration::from_secs(5));
        // It reads on: what waited comes in its order, and then it is said what does not.
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        let kept = 20_000 - u32::try_from(full).unwrap();
        // The pipe may have taken some after the first were lost.
        let mut next = 0;
        for _ in 0..kept {
            let read = lines.next().unwrap();
            let number: u32 = read.parse().unwrap();
            assert!(number >= next && read == line(number).trim_end(), "{read} after {next}");
            next = number + 1;
        }
        log.flush(Duration::from_secs(5));
        assert_eq!(log.news(), Some(full));
        assert_eq!(log.news(), None);
        log.say(b"the last\n");
        assert_eq!(lines.next().unwrap(), "the last");
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (reader, closed) = io::pipe().unwrap();
        drop(reader);
        for log in [started(full), started(closed)] {
            log.say(b"one\n");
            log.say(b"two\n");
            log.flush(Duration::from_secs(5));
            assert_eq!(log.lost.failed.load(Ordering::Relaxed), 2);
            assert_eq!(log.news(), None, "it would be lost as well");
        }
    }

    #[test]
    fn the_last_lines_are_kept_within_their_bounds() {
        let log = Log::default();
        for number in 0..20_000 {
            log.say(format!("{number}\n").as_bytes());
        }
        let kept = |log: &Log| {
            let last = log.last.lock();
            assert_eq!(last.bytes, last.lines.iter().map(|line| line.len()).sum::<usize>());
            (last.lines.len(), last.bytes, last.lines.back().map(|line| line.to_vec()))
        };
        assert_eq!(
            kept(&log),
            (SHOWN_LINES, SHOWN_LINES * 6, Some(b"19999\n".to_vec())),
            "also what was lost"
        );
        for _ in 0..100 {
            log.say(&[b'x'; 100_000]);
        }
        assert_eq!(kept(&log), (SHOWN / SHOWN_LINE, SHOWN, Some(vec![b'x'; SHOWN_LINE])));
    }

    /// Takes ten bytes, then has no room, then room again.
    struct Disk(Arc<Mutex<Vec<u8>>>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut kept = self.0.lock();
            if kept.len() == 10 && self.1 > 0 {
                self.1 -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let room = if self.1 > 0 { 10 - kept.len() } else { bytes.len() };
            let taken = bytes.get(..room).unwrap_or(bytes);
            kept.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_broke_off_is_not_glued_to_the_next() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let log = started(Disk(kept.clone(), 3));
        for line in [&b"first\n"[..], b"second\n", b"third\n", b"fourth\n", b"fifth\n"] {
            log.say(line);
        }
        log.flush(Duration::from_secs(5));
        assert_eq!(kept.lock().as_slice(), b"first\nseco\nfifth\n");
        assert_eq!((log.lost.failed.load(Ordering::Relaxed), log.news()), (3, Some(3)));
    }

    #[expect(clippy::disallowed_methods, reason = "that nobody waits is what is tested")]
    fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}
