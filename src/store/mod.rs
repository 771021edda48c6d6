//! The history: the last hour in memory, what is older in a file, and both as one storage for queries.
//!
//! Two threads. One scrapes, as a Prometheus would, into memory, and waits for no disk. The other writes the file; whatever happens
//! to the file costs history on disk alone, and is said.

mod archive;
mod database;
mod file;
mod lines;
mod reader;
mod retain;
mod row;
mod scraper;
mod settings;
mod shelf;
mod window;
mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::now;
use crate::history::{Block, GAP, Head, Limits, Names, Pieces, SeriesId, Target, decode};
use crate::promql::{Each, Error, Labels, Matcher, NAME, Op, Sample, Select, Selection, Storage};
pub use archive::{Contents, Family, Imported, clear, contents, import, prune};
pub use database::{Database, Failure, Lock, Schema, failure, is_at, set_aside, used_bytes};
pub use lines::{Form, write_series};
use reader::Readers;
pub use retain::Retention;
pub use scraper::{Observer, Scrape, Tick};
pub use settings::Settings;
pub use shelf::{Benchmarks, Folder};
pub use window::{Stretch, Window};
pub use writer::Status;

/// What the history is to be, with every folder and label known.
#[derive(Clone, Debug)]
pub struct Options {
    /// From one scrape to the next.
    pub interval: Duration,
    /// What is held in memory.
    pub memory: Limits,
    /// The file, if there is to be one.
    pub file: Option<PathBuf>,
    /// From one write of the file to the next: what a killed agent loses at most.
    pub flush: Duration,
    /// What the file may keep.
    pub retention: Retention,
    /// The labels of the agent as a target.
    pub target: Target,
    /// Which metrics are remembered.
    pub names: Names,
}

/// What is remembered.
#[derive(Debug)]
pub struct History {
    head: Mutex<Head>,
    readers: Mutex<Option<Arc<Readers>>>,
    queue: writer::Queue,
    forgetting: Mutex<Option<writer::Forgetting>>,
    status: Mutex<Status>,
    /// When the write began that lasts, ns of the steady clock; 0 where there is none.
    writing: AtomicU64,
    /// The time of the last scrape that is whole, ms.
    taken: tokio::sync::watch::Sender<i64>,
    /// The last scrape that was not later than the one before it, or the first of all, with the time of the one before it, ms.
    turn: Mutex<(i64, i64)>,
    options: Options,
}

/// The history and its threads.
#[derive(Debug)]
pub struct Running {
    history: Arc<History>,
    scraper: std::thread::JoinHandle<()>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Options {
    /// Those of a history that is only read.
    fn reading() -> Self {
        Settings::default().options(None, Target::default(), usize::MAX)
    }
}

impl History {
    fn new(options: &Options) -> Self {
        Self {
            head: Mutex::new(Head::new(options.target.clone(), options.names.clone(), options.memory)),
            readers: Mutex::default(),
            queue: writer::Queue::default(),
            forgetting: Mutex::default(),
            status: Mutex::default(),
            writing: AtomicU64::new(0),
            taken: tokio::sync::watch::Sender::new(i64::MIN),
            turn: Mutex::new((i64::MIN, i64::MIN)),
            options: options.clone(),
        }
    }

    /// Removes what is older than so many days from the file with its next write, and waits for that. Gives how many chunks went.
    ///
    /// # Errors
    /// There is no file, it cannot be written, or another request waits for the same.
    pub fn forget(&self, days: u64) -> Result<u64, String> {
        if self.options.file.is_none() {
            return Err("the history is in memory alone, which has no more than an hour".to_owned());
        }
        let keep = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(86_400_000);
        let (answer, wait) = std::sync::mpsc::sync_channel(1);
        {
            let mut asked = self.forgetting.lock();
            if asked.is_some() {
                return Err("the history is being cleaned up already".to_owned());
            }
            *asked = Some((keep, answer));
        }
        let patience = self.options.flush.saturating_add(Duration::from_secs(20));
        let late = |_| "the disk is busy; it is done with a later write".to_owned();
        wait.recv_timeout(patience).map_err(late)?
    }

    /// Takes a scrape soon, out of turn: something changed.
    pub fn wake(&self) {
        self.queue.wake();
    }

    /// Begins to remember. `scrape` hands over what a scrape shows; `observer` sees each one on the thread that takes them.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        options: Options,
        scrape: Box<Scrape>,
        observer: Option<Box<dyn Observer>>,
    ) -> std::io::Result<Running> {
        let history = Arc::new(Self::new(&options));
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let writer = match &options.file {
            None => None,
            Some(path) => {
                let (history, options, path) = (history.clone(), options.clone(), path.clone());
                Some(thread("history-writer").spawn(move || writer::run(&history, &options, &path))?)
            }
        };
        let scraper = {
            let history = history.clone();
            thread("history").spawn(move || scraper::run(&history, &options, scrape, observer))?
        };
        Ok(Running { history, scraper, writer })
    }

    /// A history of scrapes of given times, ms since the epoch, written as often as an agent writes: for measurements.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn replay<T: AsRef<str>>(
        options: &Options,
        scrapes: impl IntoIterator<Item = (i64, T)>,
    ) -> Result<Self, String> {
        let history = Self::new(options);
        let path = options.file.clone();
        let mut writer = path.as_ref().map(|path| writer::Writer::new(&history, options, path));
        let often = (options.flush.as_millis() / options.interval.as_millis().max(1)).max(1) as usize;
        for (place, (time, text)) in scrapes.into_iter().enumerate() {
            scraper::take(&history, time, &mut |read| read(text.as_ref()), &mut |_| {});
            if let Some(writer) = writer.as_mut().filter(|_| place % often == often - 1) {
                writer.flush();
            }
        }
        drop(writer);
        match history.status().failing {
            Some(why) => Err(why),
            None => Ok(history),
        }
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let head = self.head.lock();
        let (refused, dropped) = head.lost();
        let status = self.status.lock().clone();
        let damaged =
            self.readers.lock().as_ref().map_or(0, |readers| readers.damaged.load(Ordering::Relaxed));
        Status {
            failing: status.failing.clone().or_else(|| status.slow.clone()),
            damaged,
            series: head.series_count(),
            memory_samples: head.samples(),
            memory_bytes: head.bytes(),
            series_bytes: head.series_bytes(),
            refused,
            dropped,
            ..status
        }
    }
}

impl History {
    /// Remembers whether the file could be read. What cannot be read costs what is on disk alone.
    fn was_read<T>(&self, read: &Result<T, Failure>) {
        let why = read.as_ref().err().map(Failure::to_string);
        let mut status = self.status.lock();
        if let Some(why) = why.as_ref().filter(|why| status.unread.as_ref() != Some(why)) {
            tracing::warn!("the history's file cannot be read: {why}");
        }
        status.unread = why;
    }
}

impl Running {
    /// What is remembered.
    #[must_use]
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Writes what is not written. Waits for so long; a disk that takes longer is left alone.
    pub fn stop(self, patience: Duration) {
        self.history.queue.stop();
        let until = now().steady + patience.as_nanos() as u64;
        let threads = std::iter::once(self.scraper).chain(self.writer);
        for thread in threads {
            while !thread.is_finished() && now().steady < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                // A panic was said by the hook.
                drop(thread.join());
            } else {
                tracing::warn!(
                    "the history's file takes longer than {} s; what was not written is lost",
                    patience.as_secs()
                );
            }
        }
    }
}

/// A series that was found, in memory or in the file.
#[derive(Debug, Default)]
struct Hit {
    memory: Option<SeriesId>,
    /// Where its samples of the open block stand in a buffer.
    open: std::ops::Range<usize>,
    row: Option<i64>,
}

/// The name that matchers ask for.
fn name_of(matchers: &[Matcher]) -> Option<&str> {
    matchers.iter().find(|m| m.name() == NAME && m.op() == Op::Equal).map(Matcher::value)
}

impl Select for History {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let Selection { matchers, from, to, .. } = *selection;
        let name = name_of(matchers);
        let mut found: HashMap<Labels, Hit> = HashMap::new();
        let mut open = Vec::new();
        // What is sealed is read without the lock.
        let (blocks, span) = {
            let head = self.head.lock();
            for (id, labels) in head.series(name).filter(|(_, labels)| Matcher::all(matchers, labels)) {
                let start = open.len();
                open.extend(head.open(id));
                found.insert(labels.clone(), Hit { memory: Some(id), open: start..open.len(), row: None });
            }
            (head.blocks(from, to).cloned().collect::<Vec<_>>(), head.span())
        };
        let readers = self.readers.lock().clone().filter(|_| !covers(span, from, to));
        let memory = |one: &Hit, pieces: &mut Pieces| {
            pieces.clear();
            add(pieces, open.get(one.open.clone()).unwrap_or_default());
            add_sealed(pieces, &blocks, one.memory);
        };
        let (mut pieces, mut samples) = (Pieces::default(), Vec::new());
        let mut answer = |labels: &Labels, pieces: &mut Pieces| {
            samples.clear();
            pieces.write(&mut samples);
            if samples.is_empty() { Ok(()) } else { each(labels, &samples) }
        };
        let Some(readers) = readers else {
            return found.iter().try_for_each(|(labels, one)| {
                memory(one, &mut pieces);
                answer(labels, &mut pieces)
            });
        };
        let mut outcome = None;
        let read = readers.with(|db| {
            let mut failure = None;
            for (row, labels) in readers.series(db, name, &|labels| Matcher::all(matchers, labels))? {
                found.entry(labels).or_default().row = Some(row);
            }
            let mut chunks = readers.chunks(db)?;
            // From here on each series is answered once, with what of it can be read.
            outcome = Some(found.iter().try_for_each(|(labels, one)| {
                memory(one, &mut pieces);
                if let Some(row) = one.row.filter(|_| failure.is_none()) {
                    failure = readers.samples(&mut chunks, row, from, to, &mut pieces).err();
                }
                answer(labels, &mut pieces)
            }));
            failure.map_or(Ok(()), Err)
        });
        self.was_read(&read);
        outcome.unwrap_or_else(|| {
            found.iter().try_for_each(|(labels, one)| {
                memory(one, &mut pieces);
                answer(labels, &mut pieces)
            })
        })
    }
}

impl Storage for History {
    fn series(
        &self,
        matchers: &[Matcher],
        from: i64,
        to: i64,
        each: &mut dyn FnMut(&Labels) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let name = name_of(matchers);
        let (found, span): (Vec<Labels>, _) = {
            let head = self.head.lock();
            let blocks: Vec<_> = head.blocks(from, to).collect();
            let is_there = |id: SeriesId| {
                blocks.iter().any(|block| block.has(id))
                    || head.open(id).any(|sample| (from..=to).contains(&sample.t))
            };
            let matching =
                head.series(name).filter(|(id, labels)| Matcher::all(matchers, labels) && is_there(*id));
            (matching.map(|(_, labels)| labels.clone()).collect(), head.span())
        };
        found.iter().try_for_each(&mut *each)?;
        let readers = self.readers.lock().clone().filter(|_| !covers(span, from, to));
        let Some(readers) = readers else { return Ok(()) };
        let read = readers.with(|db| {
            let found = readers.series(db, name, &|labels| Matcher::all(matchers, labels))?;
            let mut there = db.prepare(
                "SELECT EXISTS(SELECT 1 FROM chunk WHERE series = ?1 AND start <= ?3 AND end >= ?2)",
            )?;
            let mut outcome = Ok(());
            for (row, labels) in found {
                if there.query_row([row, from, to], |row| row.get::<_, bool>(0))? {
                    outcome = each(&labels);
                    if outcome.is_err() {
                        break;
                    }
                }
            }
            Ok(outcome)
        });
        self.was_read(&read);
        read.unwrap_or(Ok(()))
    }

    fn exemplars(&self, matchers: &[Matcher], from: i64, to: i64, each: &mut dyn FnMut(&Labels, &str)) {
        let head = self.head.lock();
        for (id, exemplar) in head.exemplars(from, to) {
            if let Some(labels) = head.labels(id).filter(|labels| Matcher::all(matchers, labels)) {
                each(labels, exemplar);
            }
        }
    }

    fn note(&self) -> Option<String> {
        let opening = self.options.file.is_some() && self.readers.lock().is_none();
        let status = self.status.lock();
        let why = match &status.unread {
            None if !opening => return None,
            None => status.failing.as_deref().unwrap_or("the file is being opened"),
            Some(why) => why,
        };
        Some(format!("samples on disk are missing in this answer: {why}"))
    }

    fn since(&self) -> Option<i64> {
        self.head.lock().span().map(|(start, _)| start)
    }

    fn retention(&self) -> String {
        let Retention { keep, keep_thin, bytes, .. } = self.options.retention;
        let days = |ms: i64| ms as f64 / 86_400_000.0;
        format!("{}d whole, {}d thinned, at most {} MB", days(keep), days(keep_thin), bytes / 1_000_000)
    }
}

/// Whether memory, which has every scrape of this span, has all there is between these times. Between the last scrape and the next there is
/// none; much later times are those of a clock that was ahead.
fn covers(span: Option<(i64, i64)>, from: i64, to: i64) -> bool {
    span.is_some_and(|(start, end)| from >= start && to <= end.saturating_add(GAP))
}

/// Adds samples as one piece.
fn add(pieces: &mut Pieces, samples: &[Sample]) {
    if let (Some(first), Some(last)) = (samples.first(), samples.last()) {
        pieces.begin(first.t, last.t);
        samples.iter().for_each(|sample| pieces.push(sample.t, sample.v));
        pieces.end(first.t, last.t);
    }
}

/// Adds what the blocks, oldest first, have of a series.
fn add_sealed(pieces: &mut Pieces, blocks: &[Arc<Block>], series: Option<SeriesId>) {
    for block in blocks.iter().rev() {
        let Some(chunk) = series.and_then(|id| block.chunk(id)) else { continue };
        let mut span = None;
        pieces.begin(block.start(), block.end());
        let read = decode(chunk, &mut |t, v| {
            span = Some((span.map_or(t, |(first, _)| first), t));
            pieces.push(t, v);
        });
        match span.filter(|_| read.is_some()) {
            Some((first, last)) => pieces.end(first, last),
            None => pieces.abandon(),
        }
    }
}

#[cfg(test)]
mod tests;
