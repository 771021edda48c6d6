//! A kind of work, and what it may use.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Doubt, Trusted, now};
use crate::respond::lines::Lines;
use crate::respond::sessions::{self, Make};
use crate::secret::Exposed;
use crate::sys::is_clock_synchronised;

/// What comes of a run: what was done, or why it failed.
pub(super) type Run<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>>;

/// Says whether everything that is watched is well, and what is not.
pub type Verdict = dyn Fn() -> Result<String, String> + Send + Sync;

/// What tasks need of the agent.
#[derive(Clone)]
pub struct Around {
    /// The agent's own databases.
    pub databases: Vec<PathBuf>,
    /// Its event log.
    pub events: Lines,
    /// Whether things are well. It may wait for a disk.
    pub verdict: Arc<Verdict>,
    /// Makes a report.
    pub make: Arc<Make>,
    /// Where reports are filed, and who is sent them.
    pub reports: sessions::Settings,
    /// Where people see the agent.
    pub url: String,
    /// Whether the machine's clock can be believed.
    pub clock: Arc<Mutex<Trusted>>,
    /// Spans of time, ms since 1970, that a clock said which was wrong: files that were changed in them are of an unknown age.
    pub wrong: Arc<Mutex<Vec<(i64, i64)>>>,
}

impl Around {
    /// Whether something may be removed by its age, as the clock reads now; it may if a person says that the clock is right.
    pub(super) fn trusts_clock(&self, right: bool) -> Result<(), Doubt> {
        let (at, mut clock) = (now(), self.clock.lock());
        if right {
            clock.believe(at);
        }
        clock.judge(at, is_clock_synchronised(at.wall_milliseconds()))
    }
}

impl std::fmt::Debug for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").field("databases", &self.databases).finish_non_exhaustive()
    }
}

/// A kind of work.
pub(super) trait Job: Send + Sync {
    /// Files and folders that are named.
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }

    /// Secrets that are written in the configuration itself.
    fn expose(&self, _found: &mut Exposed<'_>) {}

    /// What is wrong with its settings.
    fn problem(&self) -> Option<String> {
        None
    }

    /// Does it. Dropping the future ends what can be ended; `patience` is how long it lives.
    fn run<'a>(&'a self, around: &'a Around, patience: Duration) -> Run<'a>;
}
