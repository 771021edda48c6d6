//! The thread that writes the file. A disk that is full, slow, gone or damaged costs history on disk, and nothing else.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::file::{Failure, File};
use super::reader::Readers;
use super::scraper::wall;
use super::{History, Options};
use crate::clock::now;
use crate::history::{Block, Changes};

/// Bytes of scrapes that wait for the disk. Beyond, those that wait go.
const WAITING: usize = 2 << 20;
/// Chunks on disk are of at least this span, ms.
const CHUNK: i64 = 3_600_000;
/// From one attempt to open the file to the next.
const AGAIN: Duration = Duration::from_secs(30);

/// Scrapes on their way to the file.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    scrapes: VecDeque<Changes>,
    bytes: usize,
    /// Blocks of which no scrape waits.
    blocks: Vec<Arc<Block>>,
    lost: u64,
    stopping: bool,
    ended: bool,
}

impl Queue {
    /// Adds a scrape. Where there is no room all that wait go, and the next one has to stand by itself: says whether that is so.
    #[must_use]
    pub(super) fn push(&self, changes: Changes) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.bytes += changes.bytes();
        waiting.scrapes.push_back(changes);
        let full = waiting.bytes > WAITING;
        if full {
            let Waiting { scrapes, bytes, blocks, lost, .. } = &mut *waiting;
            *lost += scrapes.len() as u64;
            *bytes = 0;
            blocks.extend(scrapes.drain(..).filter_map(|changes| changes.sealed));
        }
        full
    }

    /// Adds a block of which no scrape says that it was sealed.
    pub(super) fn push_block(&self, block: Option<Arc<Block>>) {
        self.waiting.lock().blocks.extend(block);
    }

    /// Tells both threads to end.
    pub(super) fn stop(&self) {
        self.waiting.lock().stopping = true;
        self.changed.notify_all();
    }

    /// The last scrape was taken.
    pub(super) fn end(&self) {
        self.waiting.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until `then`, ns of the steady clock, or until both threads are to end, which it says.
    pub(super) fn stopped_until(&self, then: u64) -> bool {
        self.until(then, |waiting| waiting.stopping)
    }

    /// Waits until `then`, or until the last scrape was taken, which it says.
    fn ended_until(&self, then: u64) -> bool {
        self.until(then, |waiting| waiting.ended)
    }

    fn until(&self, then: u64, done: impl Fn(&Waiting) -> bool) -> bool {
        let mut waiting = self.waiting.lock();
        loop {
            let left = then.saturating_sub(now().steady);
            if left == 0 || done(&waiting) {
                return done(&waiting);
            }
            self.changed.wait_for(&mut waiting, Duration::from_nanos(left));
        }
    }

    /// Everything that waits.
    fn take(&self) -> (Vec<Changes>, Vec<Arc<Block>>) {
        let mut waiting = self.waiting.lock();
        waiting.bytes = 0;
        (waiting.scrapes.drain(..).collect(), std::mem::take(&mut waiting.blocks))
    }

    /// Puts back what the disk did not take, before what came since.
    fn put_back(&self, scrapes: Vec<Changes>) {
        let mut waiting = self.waiting.lock();
        waiting.bytes += scrapes.iter().map(Changes::bytes).sum::<usize>();
        scrapes.into_iter().rev().for_each(|changes| waiting.scrapes.push_front(changes));
    }

    fn lost(&self) -> u64 {
        self.waiting.lock().lost
    }
}

/// How the history is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Series in memory.
    pub series: usize,
    /// Samples in memory that are compressed.
    pub memory_samples: usize,
    /// Bytes of them.
    pub memory_bytes: usize,
    /// Series that had no room.
    pub refused: u64,
    /// Blocks of the memory that went before their time.
    pub dropped: u64,
    /// The file, once it is open.
    pub file: Option<PathBuf>,
    /// Bytes of it.
    pub file_bytes: u64,
    /// Why nothing is written now.
    pub failing: Option<String>,
    /// Scrapes that never reached the file.
    pub lost: u64,
    /// Chunks of the file that could not be read.
    pub damaged: u64,
}

/// What the writer knows.
pub(super) struct Writer<'h> {
    history: &'h History,
    options: &'h Options,
    path: &'h Path,
    file: Option<File>,
    /// When the file is tried again, ns of the steady clock.
    retry: u64,
    /// What waits to become chunks.
    blocks: VecDeque<Arc<Block>>,
    /// The row of the last scrape that is in `blocks`.
    sealed: i64,
    /// Scrapes that could not be read when the file was opened.
    unread: u64,
}

pub(super) fn run(history: &History, options: &Options, path: &Path) {
    let mut writer = Writer::new(history, options, path);
    loop {
        let ended = history.queue.ended_until(now().steady + options.flush.as_nanos() as u64);
        writer.flush();
        if ended {
            return;
        }
    }
}

impl<'h> Writer<'h> {
    /// Opens the file, if it can be opened.
    pub(super) fn new(history: &'h History, options: &'h Options, path: &'h Path) -> Self {
        let (file, blocks) = (None, VecDeque::new());
        let mut writer = Self { history, options, path, file, retry: 0, blocks, sealed: 0, unread: 0 };
        writer.open();
        writer
    }

    /// Opens the file. One that is damaged is set aside and another one begun.
    fn open(&mut self) {
        let mut opened = open(self.path);
        if let Err(Failure::Damaged(_, why)) = &opened {
            opened = match set_aside(self.path) {
                Ok(aside) => {
                    tracing::warn!(
                        "the history's file was damaged ({why}); it is kept as {}, and a new one begins",
                        aside.display()
                    );
                    open(self.path)
                }
                Err(error) => Err(Failure::Disk(
                    self.path.into(),
                    format!("it is damaged ({why}) and cannot be moved: {error}"),
                )),
            };
        }
        match opened {
            Ok((file, lost)) => {
                if lost > 0 {
                    tracing::warn!("{lost} scrapes of the history could not be read and are lost");
                }
                self.unread += lost as u64;
                *self.history.readers.lock() = Some(Arc::new(Readers::new(self.path)));
                self.file = Some(file);
                self.retain();
                self.fine();
            }
            Err(failure) => self.fail(&failure),
        }
    }

    fn fine(&mut self) {
        let bytes = self.file.as_mut().and_then(|file| file.bytes().ok()).unwrap_or_default();
        let mut status = self.history.status.lock();
        if status.failing.take().is_some() {
            tracing::info!("the history is written again to {}", self.path.display());
        }
        status.file = Some(self.path.into());
        status.file_bytes = bytes;
        status.lost = self.unread + self.history.queue.lost();
    }

    fn fail(&mut self, failure: &Failure) {
        let why = failure.to_string();
        let mut status = self.history.status.lock();
        if status.failing.as_ref() != Some(&why) {
            tracing::warn!("the history is kept in memory alone: {why}");
        }
        status.failing = Some(why);
        status.lost = self.unread + self.history.queue.lost();
        drop(status);
        self.retry = now().steady + AGAIN.as_nanos() as u64;
        if matches!(failure, Failure::Damaged(..)) {
            self.close();
            self.retry = 0;
        }
    }

    fn close(&mut self) {
        self.file = None;
        if let Some(readers) = self.history.readers.lock().take() {
            readers.close();
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) {
        if self.file.is_none() && now().steady >= self.retry {
            self.open();
        }
        let (scrapes, blocks) = self.history.queue.take();
        self.blocks.extend(blocks);
        let Some(file) = &mut self.file else { return self.wait(scrapes) };
        let head = &self.history.head;
        match file.append(&scrapes, |id| head.lock().labels(id).cloned()) {
            Ok(last) => {
                let first = last + 1 - scrapes.len() as i64;
                for (row, changes) in (first..).zip(scrapes) {
                    if let Some(block) = changes.sealed {
                        self.blocks.push_back(block);
                        self.sealed = row - 1;
                    }
                }
                self.consolidate();
            }
            Err(failure) => {
                self.fail(&failure);
                self.wait(scrapes);
            }
        }
    }

    /// Holds what cannot be written, as far as there is room.
    fn wait(&mut self, scrapes: Vec<Changes>) {
        self.history.queue.put_back(scrapes);
        let mut bytes: usize = self.blocks.iter().map(|block| block.bytes()).sum();
        while bytes > self.options.memory.bytes {
            bytes -= self.blocks.pop_front().map_or(bytes, |block| block.bytes());
        }
    }

    /// Puts an hour of blocks into chunks.
    fn consolidate(&mut self) {
        let span = self.blocks.iter().map(|block| block.end() - block.start()).sum::<i64>();
        if let Some(file) = self.file.as_mut().filter(|_| span >= CHUNK * 9 / 10) {
            match file.consolidate(self.blocks.make_contiguous(), self.sealed) {
                Ok(()) => {
                    self.blocks.clear();
                    let head = self.history.head.lock();
                    file.keep_rows(|id| head.labels(id).is_some());
                    drop(head);
                    self.retain();
                }
                Err(failure) => return self.fail(&failure),
            }
        }
        self.fine();
    }

    fn retain(&mut self) {
        let Some(file) = &mut self.file else { return };
        if let Err(failure) = file.retain(&self.options.retention) {
            self.fail(&failure);
        }
    }
}

/// Opens the file and puts in order what the last run left.
fn open(path: &Path) -> Result<(File, usize), Failure> {
    let mut file = File::open(path)?;
    let lost = file.recover()?;
    Ok((file, lost))
}

/// Moves the file and its journal to names with the date.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let aside = path.with_extension(format!("damaged-{}.db", wall(now()) / 1000));
    for end in ["-wal", "-shm"] {
        let (from, to) = (with_end(path, end), with_end(&aside, end));
        if from.exists() {
            std::fs::rename(from, to)?;
        }
    }
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
