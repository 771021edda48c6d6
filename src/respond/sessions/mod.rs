//! The sessions of a running agent, kept in a file of the state directory, and the reports that are filed of them.
//!
//! The book is in memory, and a thread of its own writes it: a disk that does not answer holds nothing up. Reports are written by a task
//! that waits for its folder alone.

mod filing;
mod folder;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::saver::{self, Saver};
use crate::clock::{SetClock, Trusted, now};
use crate::event::Timestamp;
use crate::session::{Book, Desk, Filed, Origin, Session, SessionFilter, SessionNotice, State};

pub use filing::{Make, WrittenReport, file_reports, file_window};
pub use settings::{Every, Form, Keep, Settings};

/// Bytes of the file.
const LONGEST: u64 = 4 << 20;
/// From one write of until when sessions were seen to the next, ns: a killed agent forgets no more.
const SEEN: u64 = 30_000_000_000;

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    version: u32,
    /// When the clock was last believed, ms since 1970.
    clock: Option<i64>,
    sessions: Vec<Session>,
}

/// What is counted of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Reports that were written.
    pub written: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Reports that will never be written: they were tried for a week, or their sessions were forgotten.
    pub dropped: u64,
    /// Whether one could not be written, and is still to be.
    pub failing: bool,
    /// Whether old reports could not be looked for, or not be deleted.
    pub untidy: bool,
    /// Bytes of the reports in the folder, as far as that was looked at.
    pub bytes: u64,
    /// Sessions that are open.
    pub open: usize,
}

/// What changes with the clock.
#[derive(Debug, Default)]
struct Times {
    set: SetClock,
    /// When it was last written until when sessions were seen, ns of the steady clock.
    kept: u64,
}

struct Shared {
    book: Mutex<Book>,
    settings: Mutex<Settings>,
    account: Mutex<Account>,
    clock: Arc<Mutex<Trusted>>,
    times: Mutex<Times>,
    saver: Option<Saver>,
    /// Has the history look now.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("account", &self.account).finish_non_exhaustive()
    }
}

/// The sessions of an agent.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Shared>);

/// What is open as the series say: recording programs and streams, each with its name for people.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// Programs that record.
    pub programs: Vec<(String, String)>,
    /// Streams with a fixed rate.
    pub streams: Vec<(String, String)>,
}

impl Sessions {
    /// Reads what is kept, and begins to keep. Without a file nothing outlives a restart. `wake` has the history look at once.
    #[must_use]
    pub fn open(file: Option<PathBuf>, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        let document = file.as_deref().map(|file| saver::read(file, LONGEST, "sessions"));
        let document: Document = document.unwrap_or_default();
        let clock = Arc::new(Mutex::new(Trusted::since(document.clock)));
        // The thread that writes must not keep alive what it writes for.
        let shared = Arc::new_cyclic(|weak: &std::sync::Weak<Shared>| {
            let of = weak.clone();
            let text = move || {
                let shared = of.upgrade()?;
                let document = Document {
                    version: 1,
                    clock: shared.clock.lock().known(),
                    sessions: shared.book.lock().all().to_vec(),
                };
                serde_json::to_vec(&document).ok()
            };
            Shared {
                book: Mutex::new(Book::new(document.sessions)),
                settings: Mutex::default(),
                account: Mutex::default(),
                clock,
                times: Mutex::default(),
                saver: file.map(|file| Saver::new(file, "the sessions", text)),
                wake,
            }
        });
        Self(shared)
    }

    /// What is filed from now on.
    pub fn configure(&self, settings: &Settings) {
        self.0.settings.lock().clone_from(settings);
    }

    /// What is set now.
    fn settings(&self) -> Settings {
        self.0.settings.lock().clone()
    }

    /// What is counted.
    #[must_use]
    pub fn account(&self) -> Account {
        let account = *self.0.account.lock();
        // Where no folder is named nothing is to be written.
        let named = self.0.settings.lock().folder.is_some();
        let book = self.0.book.lock();
        let fails = |one: &Session| one.report.as_ref().is_some_and(Filed::is_failing);
        Account {
            open: book.open().count(),
            dropped: account.dropped + book.unwritten(),
            failing: named && book.all().iter().any(fails),
            untidy: named && account.untidy,
            ..account
        }
    }

    /// The agent's second: what pipelines said, and what is there now.
    pub fn look(&self, at: Timestamp, told: &[SessionNotice], present: &Present) {
        let jump = self.0.times.lock().set.jump(at.wall_milliseconds(), at.steady);
        self.change(|book| {
            if let Some(jump) = jump {
                book.follow(&jump);
            }
            told.iter().for_each(|told| book.take(told));
            book.look(Origin::Program, &present.programs, at);
            book.look(Origin::Stream, &present.streams, at);
            book.see(at.wall_milliseconds());
        });
        let mut times = self.0.times.lock();
        let open = self.0.book.lock().open().next().is_some();
        if open && at.steady.saturating_sub(times.kept) >= SEEN {
            times.kept = at.steady;
            self.keep();
        }
    }

    /// Changes the book. What begins or ends is seen by the history at once, and what ended has its report decided.
    fn change<A>(&self, change: impl FnOnce(&mut Book) -> A) -> A {
        let settings = self.settings();
        let mut book = self.0.book.lock();
        let (before, lost) = (book.edition(), book.unwritten());
        let answer = change(&mut book);
        let lost = book.unwritten() - lost;
        if lost > 0 {
            tracing::warn!("{lost} reports will never be written: there were too many sessions meanwhile");
        }
        if book.edition() == before {
            return answer;
        }
        let ended = |one: &&Session| one.state != State::Open && one.report.is_none();
        let ended: Vec<Session> = book.all().iter().filter(ended).cloned().collect();
        for one in ended {
            let filed = match settings.refuses(&one) {
                Some(why) => Filed::Not { why },
                None => filing::UNTRIED,
            };
            book.file(&one.id, Some(filed));
        }
        drop(book);
        (self.0.wake)();
        self.keep();
        answer
    }

    fn keep(&self) {
        if let Some(saver) = &self.0.saver {
            saver.changed();
        }
    }

    /// Writes what is not written.
    pub fn stop(&self) {
        if let Some(saver) = &self.0.saver {
            let last = saver.changed();
            // As long as that may take: the disk may be away.
            for _ in 0..40 {
                if saver.has(last) {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
}

impl Desk for Sessions {
    fn list(&self, wanted: &SessionFilter, each: &mut dyn FnMut(&Session) -> bool) {
        let book = self.0.book.lock();
        // It ends with the first that is enough.
        let _ = book.list(wanted).all(each);
    }

    fn find(&self, name: &str) -> Result<Session, String> {
        self.0.book.lock().find(name).cloned()
    }

    fn start(&self, name: &str) -> Result<Session, String> {
        self.change(|book| book.start(name, now()))
    }

    fn stop(&self, name: &str) -> Result<Session, String> {
        self.change(|book| book.stop(name, now()))
    }
}

/// The sessions that a file of an agent has, whether it runs or not.
#[must_use]
pub fn kept(file: &Path) -> Book {
    Book::new(saver::read::<Document>(file, LONGEST, "sessions").sessions)
}

#[cfg(test)]
mod tests;
