//! The task that files reports. A folder that is full, gone or on a server that does not answer costs reports alone, and those are tried
//! again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::folder::{self, Piece};
use super::settings::Form;
use super::{Sessions, Settings};
use crate::clock::now;
use crate::quote::quote;
use crate::session::{Filed, SETTLE, Session, State, name};
use crate::source::aside::apart;
use crate::sys::is_clock_synchronised;
use crate::view::report::{HTML_MARK, JSON_MARK};

/// From one look at what is to be filed to the next.
const LOOK: Duration = Duration::from_secs(1);
/// After an attempt that failed, when the next is.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a folder may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one look for reports that are too old to the next.
const TIDY: Duration = Duration::from_secs(3_600);
/// How long after the end of a session its report is made, ms: the history has looked by then.
const DUE: i64 = SETTLE + 1_000;
/// For how long it is tried to file a report, ms.
const GIVEN_UP: i64 = 7 * 86_400_000;
/// Characters of a reason that are kept.
const SHOWN: usize = 300;

/// What becomes of the report of a session that has just ended.
pub(super) const UNTRIED: Filed = Filed::Waiting { why: String::new() };

/// A report, written for people and for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenReport {
    /// One file that opens offline.
    pub html: String,
    /// Every number.
    pub json: String,
    /// The verdict, in a sentence.
    pub verdict: String,
    /// What is wrong, each in a sentence.
    pub said: Vec<String>,
}

/// Makes the report of a session, or of a time (from, to; ms) that is none.
pub type Make = dyn Fn(Option<&Session>, (i64, i64)) -> Result<WrittenReport, String> + Send + Sync;

/// Files what is to be filed, until it is cancelled.
pub async fn file_reports(sessions: Sessions, make: Arc<Make>, stop: CancellationToken) {
    let (mut pause, mut tidying) = (LOOK, Tidying::default());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let settings = sessions.settings();
        pause = LOOK;
        let Some(folder) = settings.folder.clone() else { continue };
        let mut wrote = false;
        if let Some(session) = sessions.due() {
            match one(&session, &settings, folder.clone(), make.clone()).await {
                Ok(files) => {
                    tracing::info!(session = %quote(&session.name), "a report is written: {}", files.join(", "));
                    sessions.filed(&session.id, Filed::Written { files }, Ok(()));
                    wrote = true;
                }
                Err(why) => {
                    sessions.failed(&session, &why);
                    // One that was not tried yet is not held up.
                    let new = sessions.due().is_some_and(|next| next.report == Some(UNTRIED));
                    pause = if new { LOOK } else { AGAIN };
                }
            }
        }
        if wrote || now().steady >= tidying.due {
            sessions.tidy(folder, &settings, &mut tidying).await;
        }
    }
}

/// When the folder is looked at next for reports that are too old.
#[derive(Debug, Default)]
struct Tidying {
    /// Ns of the steady clock.
    due: u64,
    /// Why it failed the last time; empty if it did not.
    why: String,
}

/// Files the report of a time that is no session: its name is that of `about`. Returns the names of its files.
///
/// # Errors
/// It cannot be made, or not be written.
pub async fn file_window(
    folder: PathBuf,
    forms: &[Form],
    about: &'static str,
    start: i64,
    made: &WrittenReport,
) -> Result<Vec<String>, String> {
    let stem = move |turn: usize| name::dated(start, about, turn);
    let mark = format!("\"start\":{start}");
    write(folder, stem, mark, pieces(forms, made)).await
}

fn pieces(forms: &[Form], made: &WrittenReport) -> Vec<Piece> {
    let text = |form: Form| match form {
        Form::Html => made.html.clone().into_bytes(),
        Form::Json => made.json.clone().into_bytes(),
    };
    forms.iter().map(|form| (form.ending(), text(*form))).collect()
}

async fn write(
    folder: PathBuf,
    stem: impl Fn(usize) -> String + Send + 'static,
    mark: String,
    pieces: Vec<Piece>,
) -> Result<Vec<String>, String> {
    let key = format!("reports in {}", folder.display());
    apart(&key, PATIENCE, move || folder::put(&folder, &stem, &mark, &pieces)).await.flatten()
}

async fn one(
    session: &Session,
    of: &Settings,
    folder: PathBuf,
    make: Arc<Make>,
) -> Result<Vec<String>, String> {
    let (own, time) = (session.clone(), session.time(now().wall_milliseconds()));
    let made = tokio::task::spawn_blocking(move || make(Some(&own), time)).await;
    let made = made.map_err(|_| "the report panicked; please report it".to_owned()).flatten()?;
    let own = session.clone();
    let mark = format!("\"id\":\"{}\"", session.id);
    write(folder, move |turn| name::stem(&own, turn), mark, pieces(&of.formats, &made)).await
}

impl Sessions {
    /// A session whose report is to be written now: one that was not tried yet, or else each in its turn, so that one that fails
    /// holds up no other.
    fn due(&self) -> Option<Session> {
        let at = now().wall_milliseconds();
        // A clock that was set back by more keeps nothing waiting.
        let due = |one: &&Session| {
            one.state != State::Open && one.end.is_some_and(|end| !(end - DUE..end + DUE).contains(&at))
        };
        let turn = self.0.account.lock().failures;
        let book = self.0.book.lock();
        let (mut new, mut tried) = (None, Vec::new());
        for one in book.all().iter().filter(due) {
            match &one.report {
                Some(Filed::Waiting { why }) if why.is_empty() => new = new.or(Some(one)),
                Some(Filed::Waiting { .. }) => tried.push(one),
                _ => {}
            }
        }
        let again = || tried.get(usize::try_from(turn).unwrap_or(0) % tried.len().max(1)).copied();
        new.or_else(again).cloned()
    }

    /// What became of an attempt.
    fn filed(&self, id: &str, filed: Filed, outcome: Result<(), ()>) {
        let mut account = self.0.account.lock();
        match outcome {
            Ok(()) => account.written += 1,
            Err(()) => account.failures += 1,
        }
        drop(account);
        self.0.book.lock().file(id, Some(filed));
        self.keep();
    }

    fn failed(&self, session: &Session, why: &str) {
        let late = now().wall_milliseconds().saturating_sub(session.end.unwrap_or_default()) > GIVEN_UP;
        let why: String = why.chars().take(SHOWN).collect();
        // Each reason is said once of each session, and once more after a restart.
        let known = session.report == Some(Filed::Waiting { why: why.clone() });
        let said = known && self.0.account.lock().failures > 0;
        if !said || late {
            let then = if late { "it is given up" } else { "it is tried again" };
            tracing::warn!(session = %quote(&session.name), "a report is not written, {then}: {}", quote(&why));
        }
        self.0.account.lock().dropped += u64::from(late);
        let filed = if late { Filed::Not { why } } else { Filed::Waiting { why } };
        self.filed(&session.id, filed, Err(()));
    }

    /// Deletes reports that are too old, too many or too large.
    async fn tidy(&self, folder: PathBuf, settings: &Settings, last: &mut Tidying) {
        let at = now();
        let judged = self.0.clock.lock().judge(at, is_clock_synchronised(at.wall_milliseconds()));
        let (keep, wall) = (settings.keep.clone(), judged.is_ok().then(|| at.wall_milliseconds()));
        let key = format!("reports in {}", folder.display());
        let own = folder.clone();
        let tidied =
            apart(&key, PATIENCE, move || folder::tidy(&own, &keep, wall, &[JSON_MARK, HTML_MARK])).await;
        let failed = match tidied {
            Ok(Ok((gone, bytes))) => {
                self.0.account.lock().bytes = bytes;
                if gone > 0 {
                    tracing::info!(
                        "{gone} reports are deleted from {}, as reports.keep says",
                        folder.display()
                    );
                }
                String::new()
            }
            Ok(Err(why)) => format!("{}: {why}", folder.display()),
            Err(why) => why,
        };
        self.0.account.lock().untidy = !failed.is_empty();
        let pause = if failed.is_empty() { TIDY } else { AGAIN };
        last.due = now().steady.saturating_add(pause.as_nanos() as u64);
        if !failed.is_empty() && failed != last.why {
            tracing::warn!("the folder of reports cannot be kept tidy, old ones stay: {failed}");
        }
        last.why = failed;
    }
}
