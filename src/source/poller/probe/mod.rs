//! Looks at something every so often and tells how it is: an endpoint, a port, a process, a unit, a command, a name.
//!
//! A target that does not answer is no source that is down: the source is up as long as attempts can be made. What an
//! answer says beyond whether all is well is not kept.

mod check;
mod command;
mod http;
mod net;
mod process;
mod state;
mod target;
mod unit;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use check::Check;
use state::{Machine, Outcome};
use target::Ask;

use crate::clock::now;
use crate::document::{self, Path};
use crate::event::{Body, ProbeState};
use crate::quote::quote;
use crate::secret::Exposed;
use crate::setting::Span;
use crate::source::kind::{Kind, Prepared, Probing, Start};
use crate::source::look::{Finding, Verdict};
use crate::source::{Feed, poll};

/// The shortest interval; anything below is a mistake in writing.
const SHORTEST: Span = Span::millis(100);

/// A target, how it is looked at, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The source's name; the value of the label `source`.
    pub name: String,
    /// What is looked at: a mapping with one key, the kind of the check.
    pub check: Check,
    /// How often it is looked at.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long an answer may take. Later is none.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// How many attempts in a row fail until the target is unhealthy. Until then it stays what it was.
    #[serde(default = "failures")]
    #[schemars(range(min = 1))]
    pub failures: u32,
    /// How long an answer may take until the target is degraded; as long as `timeout` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Span>,
    /// Whether others depend on the target: its alert is then of the highest level.
    #[serde(default)]
    pub critical: bool,
}

fn interval() -> Span {
    Span::seconds(10)
}

fn timeout() -> Span {
    Span::seconds(2)
}

fn failures() -> u32 {
    3
}

impl Settings {
    fn open(&self) -> Result<Ask, String> {
        self.check.target().open(&self.name, self.timeout.0)
    }

    /// Makes one attempt, and tells how long it took.
    async fn attempt(&self, ask: &Ask) -> (Outcome, Duration) {
        let begun = now();
        let late = |_| Outcome::Silent(format!("no answer within {} s", self.timeout.0.as_secs_f64()));
        let outcome = tokio::time::timeout(self.timeout.0, ask()).await.unwrap_or_else(late);
        let took = Duration::from_nanos(now().steady.saturating_sub(begun.steady));
        (outcome.within(self.degraded, took), took)
    }
}

impl Kind for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        self.check.target().place()
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.check.target_mut().paths()
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        self.check.target().expose(found);
    }

    fn check(&self, check: &mut document::Check<'_>, path: &Path) {
        // What is shorter than any span may be is reported already.
        if self.interval < SHORTEST && !check.reported(&path.key("interval")) {
            check.wrong(&path.key("interval"), format!("the shortest interval is {SHORTEST}"));
        }
        if self.timeout > self.interval && check.document.keys(path).iter().any(|key| key == "timeout") {
            let message = format!("{} is longer than the interval, {}", self.timeout, self.interval);
            check.wrong(&path.key("timeout"), message);
        }
        if let Some(degraded) = self.degraded.filter(|degraded| *degraded >= self.timeout) {
            let message =
                format!("{degraded} is not below the timeout, {}: an answer that late is none", self.timeout);
            check.wrong(&path.key("degraded"), message);
        }
        let Some(folder) = check.folder else { return };
        let mut settled = self.clone();
        for file in settled.paths() {
            *file = folder.join(&*file);
        }
        if !check.reported(path)
            && let Err(why) = settled.open()
        {
            check.wrong(&path.key("check"), why);
        }
    }

    /// Reads the certificates.
    fn prepare(&self) -> Result<Prepared, String> {
        let opened = self.open().map(|ask| Prepared::Own(Box::new(ask)));
        opened.map_err(|why| format!("cannot probe with source {}: {why}", self.name))
    }

    fn look<'a>(&'a self, path: &'a str, _running: bool) -> Probing<'a> {
        Box::pin(async move {
            let outcome = match self.open() {
                Ok(ask) => self.attempt(&ask).await.0,
                Err(why) => Outcome::Unknown(why),
            };
            let (verdict, message) = match &outcome {
                Outcome::Good => (Verdict::Ok, "is healthy"),
                // The agent runs all the same, and says so.
                Outcome::Warning(why) | Outcome::Bad(why) | Outcome::Silent(why) => {
                    (Verdict::Warning, &**why)
                }
                Outcome::Unknown(why) => (Verdict::Failed, &**why),
            };
            vec![Finding::new(path, &self.name, verdict, message)]
        })
    }

    fn start(&self, start: Start) {
        if let Prepared::Own(own) = start.prepared
            && let Ok(ask) = own.downcast::<Ask>()
        {
            drop(start.tasks.spawn(run(self.clone(), *ask, start.feed, start.stop)));
        }
    }
}

/// A target that is looked at repeatedly.
struct Probe {
    settings: Settings,
    ask: Ask,
    machine: Mutex<Machine>,
}

impl Probe {
    async fn look(&self, feed: &Feed) -> Result<(), String> {
        let (outcome, took) = self.settings.attempt(&self.ask).await;
        let at = now();
        let seen = self.machine.lock().see(&outcome, took, at.steady);
        feed.send_at(at, Body::Probe(seen));
        if seen.state != seen.before {
            tell(feed, seen.state, outcome.why());
        }
        match outcome {
            Outcome::Unknown(why) => Err(why),
            _ => Ok(()),
        }
    }
}

/// Looks at the target until it is cancelled.
async fn run(settings: Settings, ask: Ask, feed: Feed, stop: CancellationToken) {
    let machine = Machine::new(settings.failures, settings.critical, now().steady);
    feed.send(Body::Probe(machine.announce()));
    let (interval, timeout) = (settings.interval.max(SHORTEST).0, settings.timeout.0);
    let probe = Arc::new(Probe { settings, ask, machine: Mutex::new(machine) });
    let look = move |feed: &Feed| {
        let (probe, feed) = (Arc::clone(&probe), feed.clone());
        async move { probe.look(&feed).await }
    };
    // The wait of the attempt ends first.
    poll(feed, interval, timeout * 2, stop, look).await;
}

/// Says that the state changed. That nothing is known is what makes the source down, which is said there.
fn tell(feed: &Feed, state: ProbeState, why: &str) {
    match state {
        ProbeState::Healthy => say!(feed, info, "probe is healthy"),
        ProbeState::Degraded => say!(feed, warn, "probe is degraded", why = %quote(why)),
        ProbeState::Unhealthy => say!(feed, warn, "probe is unhealthy", why = %quote(why)),
        ProbeState::Unknown => {}
    }
}

#[cfg(test)]
mod tests;
