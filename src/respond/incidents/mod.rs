//! Incidents in a running agent: the open ones in memory, all of them in a file of their own, and a thread that writes it.
//!
//! To tell of an alert, or to ask for an incident that is open, waits for no disk. A disk that is full, broken or slow costs what
//! could not be written, and that is said.

mod file;
mod settings;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::alert::incident::{
    Book, Changed, Desk, Incident, IncidentFilter, Limits, News, Notice, Refusal, Status as Progress,
    Transition, Untaken, webhook,
};
use crate::clock::{SetClock, now};
use crate::promql::Labels;
pub use file::Retention;
pub use settings::{Acknowledge, Settings, WebhookSettings};

/// How long a client that changes an incident waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the file may take to be read before incidents begin without it, ns.
const READING: u64 = 10_000_000_000;
/// And before hooks are run without it: what it has to say is which of them were run already.
const READING_FOR_HOOKS: u64 = 120_000_000_000;

/// What the store is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// Bounds and times.
    pub limits: Limits,
    /// What the file may keep.
    pub retention: Retention,
    /// Whether the agent evaluates rules.
    pub evaluates: bool,
    /// Whether an Alertmanager may post.
    pub webhook: Option<Webhook>,
}

/// Alertmanager's webhook, and the token that it has to know, if there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook(pub Option<String>);

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Webhook").field(&self.0.as_ref().map(|_| "***")).finish()
    }
}

/// How it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why nothing is written now.
    pub failing: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Incidents that had no room, in memory or on their way to the disk.
    pub dropped: u64,
}

/// What is held under one lock, for moments.
#[derive(Debug)]
struct BookState {
    book: Book,
    /// Whether the file was read, or is not waited for any longer.
    ready: bool,
    /// Whether it was read: what was done about open incidents is known.
    read: bool,
    /// Whether the clock was set meanwhile.
    seen: SetClock,
}

impl BookState {
    /// The time, in ms; if the clock was set, the times of what lasts go along.
    fn time(&mut self) -> i64 {
        let at = now();
        let wall = at.wall_milliseconds();
        if let Some(jump) = self.seen.jump(wall, at.steady) {
            self.book.shift(&jump);
        }
        wall
    }
}

/// What the thread is asked, and what it did.
#[derive(Debug, Default)]
struct Signal {
    /// How often a write was asked for, and up to which of these it was tried.
    asked: u64,
    done: u64,
    /// Whether the last one succeeded.
    wrote: bool,
    stopping: bool,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    held: Mutex<BookState>,
    signal: Mutex<Signal>,
    changed: Condvar,
    options: Mutex<Options>,
    status: Mutex<Status>,
    /// When it began, ns of the steady clock.
    began: u64,
}

/// The incidents of an agent.
#[derive(Clone, Debug)]
pub struct Incidents(Arc<Shared>);

impl Incidents {
    /// Begins to keep incidents.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let book = Book::new(options.limits);
        let shared = Arc::new(Shared {
            held: Mutex::new(BookState { book, ready: false, read: false, seen: SetClock::default() }),
            signal: Mutex::default(),
            changed: Condvar::new(),
            options: Mutex::new(options),
            status: Mutex::default(),
            began: now().steady,
        });
        let own = shared.clone();
        std::thread::Builder::new().name("incidents".into()).spawn(move || thread::run(&own))?;
        Ok(Self(shared))
    }

    /// Takes other settings; the file stays the one it is.
    pub fn configure(&self, options: Options) {
        self.0.held.lock().book.set_limits(options.limits);
        *self.0.options.lock() = options;
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.options.lock().path.clone()
    }

    /// All alerts that fire here now. `firing` is asked once the file was read.
    pub fn survey(&self, firing: impl FnOnce() -> Vec<Notice>) {
        self.with(|book, at| book.survey(&firing(), at));
    }

    /// Something was done about an incident: by this hook and how far it is, or by nobody.
    pub fn note(&self, incident: &Incident, hook: Option<(&str, &str)>, outcome: &str) {
        self.with(|book, at| book.note(incident, hook, outcome, at));
    }

    /// The incident of an alert that is open, as it is now.
    #[must_use]
    pub fn of(&self, labels: &Labels) -> Option<Incident> {
        self.0.held.lock().book.of(labels).cloned()
    }

    /// Whether it is known what was done about the incidents that are open: their file was read, or cannot be read for minutes.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.held.lock().read || now().steady.saturating_sub(self.0.began) > READING_FOR_HOOKS
    }

    /// Shows the incidents that hooks were run for: those that are open, and the last ones that are over.
    pub fn acted_on(&self) -> Vec<Incident> {
        self.0.held.lock().book.acted_on().cloned().collect()
    }

    /// Waits until what was noted is on disk, or cannot be: for a moment at most. It blocks.
    pub fn settle(&self) {
        if self.failing().is_none() {
            self.0.wait(self.0.ask());
        }
    }

    /// What was done about an alert failed: who comes next is to hear of it.
    pub fn escalate(&self, labels: &Labels, reason: &'static str, why: &str) {
        self.with(|book, at| book.escalate(labels, reason, why, at));
    }

    /// What happened since it was last asked.
    #[must_use]
    pub fn news(&self) -> Vec<News> {
        self.0.held.lock().book.take_news()
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let dropped = self.0.held.lock().book.dropped();
        Status { dropped, ..self.0.status.lock().clone() }
    }

    /// Writes what is not written, and ends; waits for so long.
    pub fn stop(&self, patience: Duration) {
        let mut signal = self.0.signal.lock();
        signal.stopping = true;
        self.0.changed.notify_all();
        let until = now().steady.saturating_add(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
        while !signal.ended {
            let left = until.saturating_sub(now().steady);
            if left == 0 {
                tracing::warn!(
                    "the incidents' file takes longer than {} s; what was not written is lost",
                    patience.as_secs()
                );
                return;
            }
            self.0.changed.wait_for(&mut signal, Duration::from_nanos(left));
        }
    }

    /// Does something with the book, once there is one, and has what changed written.
    fn with(&self, act: impl FnOnce(&mut Book, i64)) {
        let changed = {
            let mut held = self.0.held.lock();
            if !self.is_ready(&mut held) {
                return;
            }
            let at = held.time();
            act(&mut held.book, at);
            held.book.is_changed()
        };
        if changed {
            self.0.ask();
        }
    }

    /// Whether the file was read. One that takes too long is not waited for.
    fn is_ready(&self, held: &mut BookState) -> bool {
        held.ready |= now().steady.saturating_sub(self.0.began) > READING;
        held.ready
    }
}

impl Shared {
    /// Asks for a write. Returns which one it is.
    fn ask(&self) -> u64 {
        let mut signal = self.signal.lock();
        signal.asked += 1;
        self.changed.notify_all();
        signal.asked
    }

    /// Waits for a write. Says whether it succeeded.
    fn wait(&self, asked: u64) -> bool {
        let until = now().steady.saturating_add(PATIENCE.as_nanos() as u64);
        let mut signal = self.signal.lock();
        while signal.done < asked && !signal.ended {
            let left = until.saturating_sub(now().steady);
            if left == 0 {
                return false;
            }
            self.changed.wait_for(&mut signal, Duration::from_nanos(left));
        }
        signal.done >= asked && signal.wrote
    }
}

impl Desk for Incidents {
    fn list(&self, wanted: &IncidentFilter, each: &mut dyn FnMut(Incident) -> bool) -> Option<String> {
        // What is in memory is newer than what is in the file.
        let newer: Vec<Incident> = self.0.held.lock().book.visible().cloned().collect();
        let known: std::collections::HashSet<String> =
            newer.iter().map(|incident| incident.id.clone()).collect();
        let mut newer: Vec<Incident> = newer.into_iter().filter(|incident| wanted.takes(incident)).collect();
        newer.sort_by(|a, b| a.started.cmp(&b.started).then_with(|| b.id.cmp(&a.id)));
        let mut enough = false;
        let path = self.path();
        let read = file::Reader::open(&path).and_then(|reader| {
            reader.list(wanted, &mut |incident| {
                while !enough && newer.last().is_some_and(|newest| newest.started >= incident.started) {
                    enough = newer.pop().is_some_and(|newest| !each(newest));
                }
                if !enough && wanted.takes(&incident) && !known.contains(&incident.id) {
                    enough = !each(incident);
                }
                !enough
            })
        });
        while !enough && let Some(newest) = newer.pop() {
            enough = !each(newest);
        }
        read.err().map(|why| format!("incidents on disk are missing in this answer: {why}"))
    }

    fn find(&self, id: &str) -> Result<Incident, Refusal> {
        let mut found: Vec<Incident> = {
            let held = self.0.held.lock();
            held.book.visible().filter(|incident| incident.id.starts_with(id)).cloned().collect()
        };
        let written = file::Reader::open(&self.path()).and_then(|reader| reader.find(id));
        for incident in written.unwrap_or_default() {
            if !found.iter().any(|newer| newer.id == incident.id) {
                found.push(incident);
            }
        }
        match (id.is_empty(), found.pop()) {
            (true, _) | (_, None) => Err(Refusal::Unknown),
            (_, Some(incident)) if found.is_empty() => Ok(incident),
            _ => Err(Refusal::Ambiguous(found.len() + 1)),
        }
    }

    fn change(&self, transition: Transition, id: &str, by: &str, why: &str) -> Result<Changed, Refusal> {
        let changed = {
            let mut held = self.0.held.lock();
            let at = held.time();
            match transition {
                Transition::Acknowledge => held.book.acknowledge(id, by, why, at),
                Transition::Resolve => held.book.resolve(id, by, why, at),
            }
        };
        match changed {
            Ok(incident) => Ok(Changed { incident, kept: self.0.wait(self.0.ask()) }),
            // One that is over is in the file, and an open one has been in memory from the start.
            Err(Refusal::Unknown) => Err(match self.find(id) {
                Ok(incident) if incident.status == Progress::Resolved => Refusal::Resolved,
                Err(Refusal::Ambiguous(some)) => Refusal::Ambiguous(some),
                _ => Refusal::Unknown,
            }),
            Err(refusal) => Err(refusal),
        }
    }

    fn post(&self, token: Option<&str>, body: &[u8]) -> Result<String, Untaken> {
        let Some(Webhook(wanted)) = self.0.options.lock().webhook.clone() else { return Err(Untaken::Off) };
        if wanted.is_some_and(|wanted| !token.is_some_and(|token| same(&wanted, token))) {
            return Err(Untaken::Stranger);
        }
        let message = {
            let mut held = self.0.held.lock();
            if !self.is_ready(&mut held) {
                return Err(Untaken::Later("the incidents are being read from their file".into()));
            }
            held.time()
        };
        let message = webhook::read(body, message).map_err(Untaken::Wrong)?;
        self.with(|book, at| {
            message.firing.iter().for_each(|notice| book.fires(notice, at));
            message.resolved.iter().for_each(|(labels, since)| book.over(labels, *since, at));
        });
        let webhook::Message { firing, resolved, ignored } = message;
        Ok(format!("{} firing, {} resolved, {ignored} without an incident", firing.len(), resolved.len()))
    }

    fn open(&self, each: &mut dyn FnMut(&Incident)) {
        self.0.held.lock().book.open().for_each(each);
    }

    fn failing(&self) -> Option<String> {
        self.0.status.lock().failing.clone()
    }
}

/// Whether two tokens are the same; how long that takes does not tell where they differ.
fn same(one: &str, two: &str) -> bool {
    let differ = one.bytes().zip(two.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    differ == 0 && one.len() == two.len()
}

#[cfg(test)]
mod tests;
