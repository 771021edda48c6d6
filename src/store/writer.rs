//! The thread that writes the file. A disk that is full, slow, gone or damaged costs history on disk, and nothing else.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::database::{Failure, set_aside};
use super::file::File;
use super::reader::Readers;
use super::{History, Options};
use crate::clock::now;
use crate::history::{Block, Changes, GAP, SeriesId};
use crate::promql::Labels;

/// Bytes of scrapes that wait for the disk. Beyond, they wait as blocks, which are smaller.
const WAITING: usize = 2 << 20;
/// Chunks on disk are of at least this span, ms.
const CHUNK: i64 = 3_600_000;
/// From one attempt to open the file to the next.
const AGAIN: Duration = Duration::from_secs(30);
/// A disk that takes longer for what comes in a few seconds is too slow.
const SLOW: Duration = Duration::from_secs(5);

/// Scrapes on their way to the file.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<WriteQueue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WriteQueue {
    scrapes: VecDeque<Changes>,
    bytes: usize,
    /// Blocks of which no scrape waits.
    blocks: Vec<Arc<Block>>,
    /// Whether a scrape is wanted out of turn.
    woken: bool,
    stopping: bool,
    ended: bool,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The time has come.
    Over,
    /// A scrape is wanted.
    Woken,
    /// The thread is to end.
    Stopped,
}

impl WriteQueue {
    /// Lets the scrapes go whose samples are in blocks.
    fn drop_scrapes(&mut self) {
        self.bytes = 0;
        self.blocks.extend(self.scrapes.drain(..).filter_map(|changes| changes.sealed));
    }
}

impl Queue {
    /// Adds a scrape. Where there is no room all that wait go, and the caller has to [seal](Head::seal) the block that they are in:
    /// says whether that is so.
    ///
    /// [`Head::seal`]: crate::history::Head::seal
    #[must_use]
    pub(super) fn push(&self, changes: Changes) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.bytes += changes.bytes();
        waiting.scrapes.push_back(changes);
        let full = waiting.bytes > WAITING;
        if full {
            waiting.drop_scrapes();
        }
        full
    }

    /// Adds a block of which no scrape says that it was sealed.
    pub(super) fn push_block(&self, block: Option<Arc<Block>>) {
        self.waiting.lock().blocks.extend(block);
    }

    /// Everything that waits, as blocks; the caller seals the one that is open.
    fn take_blocks(&self) -> Vec<Arc<Block>> {
        let mut waiting = self.waiting.lock();
        waiting.drop_scrapes();
        std::mem::take(&mut waiting.blocks)
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

    /// Asks for a scrape out of turn.
    pub(super) fn wake(&self) {
        self.waiting.lock().woken = true;
        self.changed.notify_all();
    }

    /// Waits until `then`, ns of the steady clock, or until both threads are to end, or if `may_wake` until a scrape is wanted.
    pub(super) fn wait_until(&self, then: u64, may_wake: bool) -> Wait {
        self.until(then, |waiting| waiting.stopping || may_wake && waiting.woken);
        let mut waiting = self.waiting.lock();
        let woken = may_wake && std::mem::take(&mut waiting.woken);
        match (waiting.stopping, woken) {
            (true, _) => Wait::Stopped,
            (false, true) => Wait::Woken,
            (false, false) => Wait::Over,
        }
    }

    /// Waits until `then`, or until the last scrape was taken, which it says.
    fn ended_until(&self, then: u64) -> bool {
        self.until(then, |waiting| waiting.ended)
    }

    fn until(&self, then: u64, done: impl Fn(&WriteQueue) -> bool) -> bool {
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
    /// Bytes of the series in memory, and of their labels.
    pub series_bytes: usize,
    /// Series that had no room.
    pub refused: u64,
    /// Blocks of the memory that went before their time.
    pub dropped: u64,
    /// The file, once it is open.
    pub file: Option<PathBuf>,
    /// Bytes of it.
    pub file_bytes: u64,
    /// Why nothing is written now, or only slowly.
    pub failing: Option<String>,
    /// What a disk is too slow for.
    pub(super) slow: Option<String>,
    /// Why the file could not be read the last time.
    pub(super) unread: Option<String>,
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
    pub(super) retry: u64,
    /// What waits to become chunks.
    blocks: VecDeque<Arc<Block>>,
    /// The row of the last scrape that is in `blocks`.
    sealed: i64,
    /// Scrapes that never reached the file, or could not be read when it was opened.
    lost: u64,
    /// Labels of the series in `blocks` of which no scrape was written: memory may forget them first.
    labels: HashMap<SeriesId, Labels>,
    /// Whether what waits becomes chunks at once: of some blocks no scrape was written, or the clock was set and memory may soon take
    /// them for old.
    due: bool,
    /// The file that was open last, by device and inode.
    before: Option<(u64, u64)>,
}

pub(super) fn run(history: &History, options: &Options, path: &Path) {
    let mut writer = Writer::new(history, options, path);
    loop {
        let ended = history.queue.ended_until(now().steady + options.flush.as_nanos() as u64);
        let began = now().steady;
        history.writing.store(began, Ordering::Relaxed);
        writer.flush();
        writer.forget();
        history.writing.store(0, Ordering::Relaxed);
        history.wrote_for(Duration::from_nanos(now().steady.saturating_sub(began)));
        if ended {
            return;
        }
    }
}

impl<'h> Writer<'h> {
    /// Opens the file, if it can be opened.
    pub(super) fn new(history: &'h History, options: &'h Options, path: &'h Path) -> Self {
        let mut writer = Self {
            history,
            options,
            path,
            file: None,
            retry: 0,
            blocks: VecDeque::new(),
            sealed: 0,
            lost: 0,
            labels: HashMap::new(),
            due: false,
            before: None,
        };
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
                self.lost += lost as u64;
                *self.history.readers.lock() = Some(Arc::new(Readers::new(self.path)));
                if let Some(before) = self.before.replace(file.inode) {
                    self.begin_again(file.new || file.inode != before);
                }
                self.file = Some(file);
                if self.retain() {
                    self.fine();
                }
            }
            Err(failure) => self.fail(&failure),
        }
    }

    /// What waits depends on scrapes that the file that was open before had: it becomes blocks, which depend on nothing. Another file,
    /// in the place of one that was unplugged or removed, gets all that memory has.
    fn begin_again(&mut self, everything: bool) {
        (self.sealed, self.due) = (0, true);
        let mut head = self.history.head.lock();
        let sealed = head.seal();
        self.blocks.extend(self.history.queue.take_blocks());
        self.blocks.extend(sealed);
        if everything {
            let held: Vec<Arc<Block>> = head.blocks(i64::MIN, i64::MAX).cloned().collect();
            self.blocks.retain(|block| !held.iter().any(|held| Arc::ptr_eq(held, block)));
            self.blocks.extend(held);
        }
        drop(head);
        self.name(&[]);
    }

    fn fine(&mut self) {
        let bytes = self.file.as_mut().and_then(|file| file.bytes().ok()).unwrap_or_default();
        let mut status = self.history.status.lock();
        if status.failing.take().is_some() {
            tracing::info!("the history is written again to {}", self.path.display());
        }
        status.file = Some(self.path.into());
        status.file_bytes = bytes;
        status.lost = self.lost;
    }

    fn fail(&mut self, failure: &Failure) {
        let why = failure.to_string();
        let mut status = self.history.status.lock();
        if status.failing.as_ref() != Some(&why) {
            tracing::warn!("the history is kept in memory alone: {why}");
        }
        status.failing = Some(why);
        status.lost = self.lost;
        drop(status);
        let retry = |after: Duration| now().steady + after.as_nanos() as u64;
        match failure {
            // The same file is written again when there is room, or the other program is through.
            Failure::Full(_) | Failure::Busy(_) if self.file.is_some() => {}
            Failure::Damaged(..) => {
                self.close();
                self.retry = 0;
            }
            // What was read so far can be read on: the file may be there, and not be written.
            _ => {
                self.file = None;
                if let Some(readers) = &*self.history.readers.lock() {
                    readers.leave();
                }
                self.retry = retry(AGAIN);
            }
        }
    }

    /// Closes the file for readers as well.
    fn close(&mut self) {
        self.file = None;
        if let Some(readers) = self.history.readers.lock().take() {
            readers.leave();
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) {
        if self.file.as_ref().is_some_and(|file| !file.is_there()) {
            self.fail(&Failure::Disk(self.path.into(), "it was removed, or its disk was".into()));
            self.close();
            self.retry = 0;
        }
        if self.file.is_none() && now().steady >= self.retry {
            self.open();
        }
        let (scrapes, blocks) = self.history.queue.take();
        self.due |= !blocks.is_empty();
        self.blocks.extend(blocks);
        let Some(file) = &mut self.file else { return self.wait(scrapes) };
        let (head, kept) = (&self.history.head, &self.labels);
        let labels = |id: SeriesId| kept.get(&id).cloned().or_else(|| head.lock().labels(id).cloned());
        match file.append(&scrapes, labels) {
            Ok(last) => {
                let first = last + 1 - scrapes.len() as i64;
                for (row, changes) in (first..).zip(scrapes) {
                    if let Some(block) = changes.sealed {
                        let after = changes.time.saturating_sub(block.end());
                        self.due |= !(0..=GAP).contains(&after);
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

    /// Keeps the labels of the series in what waits.
    fn name(&mut self, scrapes: &[Changes]) {
        let head = self.history.head.lock();
        for id in series_of(&self.blocks, scrapes) {
            if let Some(labels) = head.labels(id) {
                self.labels.entry(id).or_insert_with(|| labels.clone());
            }
        }
    }

    /// Holds what cannot be written, as far as there is room: the oldest blocks go, and are counted.
    fn wait(&mut self, scrapes: Vec<Changes>) {
        self.name(&scrapes);
        let mut gone = 0;
        while self.waiting_bytes() > self.options.memory.bytes {
            let Some(block) = self.blocks.pop_front() else { break };
            gone += block.scrapes() as u64;
            let needed: HashSet<SeriesId> = series_of(&self.blocks, &scrapes).collect();
            self.labels.retain(|id, _| needed.contains(id));
        }
        self.history.queue.put_back(scrapes);
        self.lost += gone;
        self.history.status.lock().lost = self.lost;
    }

    /// Bytes of blocks that wait, and of the labels that they need.
    pub(super) fn waiting_bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.bytes()).sum();
        // Two counters and a place in a table beside the text.
        let labels: usize = self.labels.values().map(|labels| labels.encoded().len() + 64).sum();
        blocks + labels
    }

    /// Puts an hour of blocks into chunks.
    fn consolidate(&mut self) {
        let span = self.blocks.iter().map(|block| block.end() - block.start()).sum::<i64>();
        if let Some(file) = self.file.as_mut().filter(|_| self.due || span >= CHUNK * 9 / 10) {
            let (head, kept) = (&self.history.head, &self.labels);
            let labels = |id: SeriesId| kept.get(&id).cloned().or_else(|| head.lock().labels(id).cloned());
            match file.consolidate(self.blocks.make_contiguous(), self.sealed, labels) {
                Ok(()) => {
                    self.blocks.clear();
                    self.due = false;
                    self.labels.clear();
                    let head = head.lock();
                    file.keep_rows(|id| head.labels(id).is_some());
                    drop(head);
                    if !self.retain() {
                        return;
                    }
                }
                Err(failure) => return self.fail(&failure),
            }
        }
        self.fine();
    }

    /// Removes what a request wants to be removed before its time.
    fn forget(&mut self) {
        let Some((keep, answer)) = self.history.forgetting.lock().take() else { return };
        let wanted = self.options.retention;
        // What is to be kept longer than the configuration says goes as it says.
        let wanted =
            super::Retention { keep: wanted.keep.min(keep), keep_thin: wanted.keep_thin.min(keep), ..wanted };
        let done = match &mut self.file {
            Some(file) => file.retain(&wanted).map_err(|failure| failure.to_string()),
            None => Err("the file of the history cannot be written now".to_owned()),
        };
        // Who asked may be gone.
        drop(answer.try_send(done));
    }

    /// Applies the retention; says whether that worked.
    fn retain(&mut self) -> bool {
        let Some(file) = &mut self.file else { return false };
        let done = file.retain(&self.options.retention);
        if let Err(failure) = &done {
            self.fail(failure);
        }
        done.is_ok()
    }
}

/// Who wants that what is older than so many ms is removed, and hears how much that was.
pub(super) type Forgetting = (i64, SyncSender<Result<u64, String>>);

/// The series of blocks, and those of scrapes with the blocks that they ended.
fn series_of<'b>(
    blocks: &'b VecDeque<Arc<Block>>,
    scrapes: &'b [Changes],
) -> impl Iterator<Item = SeriesId> + 'b {
    let ended = scrapes.iter().filter_map(|changes| changes.sealed.as_ref());
    let of_blocks = blocks.iter().chain(ended).flat_map(|block| block.series());
    of_blocks.chain(scrapes.iter().flat_map(|changes| changes.values.iter().map(|(id, _)| *id)))
}

impl History {
    /// Says when the disk is too slow, and when it no longer is: one write took so long.
    fn wrote_for(&self, took: Duration) {
        let mut status = self.status.lock();
        let path = self.options.file.as_deref().unwrap_or_else(|| Path::new(""));
        let slow = (took > SLOW).then(|| format!("{}: a write takes {} s", path.display(), took.as_secs()));
        if let Some(why) = slow.as_ref().filter(|_| status.slow.is_none()) {
            tracing::warn!("the disk of the history is too slow, and samples wait in memory: {why}");
        } else if slow.is_none() && status.slow.is_some() {
            tracing::info!("the disk of the history is fast enough again");
        }
        status.slow = slow;
    }

    /// Looks whether a write lasts too long now.
    pub(super) fn watch_writer(&self) {
        let began = self.writing.load(Ordering::Relaxed);
        let took = Duration::from_nanos(now().steady.saturating_sub(began));
        if began > 0 && took > SLOW {
            self.wrote_for(took);
        }
    }
}

/// Opens the file and puts in order what the last run left.
fn open(path: &Path) -> Result<(File, usize), Failure> {
    let mut file = File::open(path)?;
    let lost = file.recover()?;
    Ok((file, lost))
}
