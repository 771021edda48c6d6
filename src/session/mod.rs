//! Sessions: from the begin of a recording to its end, which is what a report of its data is about.
//!
//! Pure: time is data. What is kept, and where, is not decided here, nor what a report says of a session.

mod book;
pub mod name;

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{SessionStep, Timestamp};

pub use book::{Book, NewSession, SessionFilter};

/// Bytes of a name.
const NAME: usize = 200;

/// Who says when a session begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SessionOrigin")]
pub enum Origin {
    /// A pipeline, by an event of type `session`.
    Event,
    /// A recording program, which records and stops.
    Program,
    /// A stream of LSL with a fixed rate, which comes and goes.
    Stream,
    /// A person: `neural-exporter session start`.
    Hand,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Event, Self::Program, Self::Stream, Self::Hand];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Program => "program",
            Self::Stream => "stream",
            Self::Hand => "hand",
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|origin| origin.as_str() == text);
        found.ok_or_else(|| format!("no origin {text:?}; origins are {}", names()))
    }
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SessionState")]
pub enum State {
    /// It goes on.
    Open,
    /// It ended as it should.
    Ended,
    /// It broke off.
    Failed,
    /// Its end was not seen: the agent was away, another one began in its place, or there were too many. Its end is when it was last seen.
    Lost,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Ended, Self::Failed, Self::Lost];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("no state {text:?}; states are {}", names()))
    }
}

/// What became of the report of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "state")]
#[schemars(rename = "SessionFiled")]
pub enum Filed {
    /// It will be written.
    Waiting {
        /// Why it could not be written yet.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// It is written.
    Written {
        /// The names of its files in the folder of reports.
        files: Vec<String>,
    },
    /// It will not be written.
    Not {
        /// Why.
        why: String,
    },
}

impl Filed {
    /// Whether it could not be written, and is still to be.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        matches!(self, Self::Waiting { why } if !why.is_empty())
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Sixteen hexadecimal digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Who says when it begins and ends.
    pub origin: Origin,
    /// The pipeline, source or stream that says so; empty if a person does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// How far it is.
    pub state: State,
    /// When it began: ms since the epoch.
    pub start: i64,
    /// When it ended; nothing while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// When it was last known to go on.
    pub seen: i64,
    /// How long it lasted, by a clock that is never set; from begin to end where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// By how many ms the clock was set while it went on, all in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_set: i64,
    /// What became of its report; nothing where none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Filed>,
    /// When it began by the steady clock, ns: known until the agent ends.
    #[serde(skip)]
    #[schemars(skip)]
    steady: Option<u64>,
    /// Since when what is looked at is gone.
    #[serde(skip)]
    #[schemars(skip)]
    absent: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Session {
    /// The same without what becomes of its report, which the report itself cannot know.
    #[must_use]
    pub fn unfiled(self) -> Self {
        Self { report: None, ..self }
    }

    /// The time that its report is about: up to `now` while it is open.
    ///
    /// The agent scrapes itself when a session begins and when it ends, a moment later. So that what is counted lies between these two
    /// scrapes, the time begins and ends [`SETTLE`] later than the session.
    #[must_use]
    pub fn time(&self, now: i64) -> (i64, i64) {
        let end = self.end.map_or(now, |end| end.saturating_add(SETTLE));
        let start = self.start.saturating_add(SETTLE);
        (start.min(end.saturating_sub(1)), end)
    }

    /// For how long at the end of that time what ended the session may be gone, in ms: a program that stopped recording when its
    /// recording was over did what it should.
    #[must_use]
    pub fn gone(&self) -> i64 {
        let ends_it = matches!(self.origin, Origin::Program | Origin::Stream) && self.state != State::Open;
        if ends_it { SETTLE + LOOK } else { 0 }
    }
}

/// A program or a stream is looked at once a second: so long after it went its session ends, at most, in ms.
const LOOK: i64 = 1_500;

/// How much later than a session its report's time begins and ends, in ms.
pub const SETTLE: i64 = 2_000;

/// What a pipeline said of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionNotice {
    /// The pipeline.
    pub pipeline: String,
    /// What it calls the session; may be empty.
    pub name: String,
    /// What happened.
    pub step: SessionStep,
    /// When.
    pub at: Timestamp,
}

/// A name without what moves a cursor, and no longer than names are.
fn plain(name: &str) -> String {
    let clean: String = name.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = clean.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= NAME).last();
    clean.get(..end.unwrap_or_default()).unwrap_or_default().trim().to_owned()
}

/// Who holds the sessions. It waits for nothing.
pub trait Desk: Send + Sync {
    /// Shows the sessions that are asked for, the newest first, until `each` says that it has enough.
    fn list(&self, wanted: &SessionFilter, each: &mut dyn FnMut(&Session) -> bool);

    /// The session of this id, or begin of an id, or the newest of this name; `last` is the one that ended last.
    ///
    /// # Errors
    /// There is none.
    fn find(&self, name: &str) -> Result<Session, String>;

    /// Begins one by hand.
    ///
    /// # Errors
    /// It has no name, or one of its name is open.
    fn start(&self, name: &str) -> Result<Session, String>;

    /// Ends one that was begun by hand: that of this name or id, or the only one that is open if the name is empty.
    ///
    /// # Errors
    /// None is open, or several are.
    fn stop(&self, name: &str) -> Result<Session, String>;
}
