//! Hooks: what the agent does by itself when an alert becomes an incident. Nothing, unless it is configured, and then it only says what it
//! would do, unless that is configured as well.
//!
//! A task of its own runs them, a few at a time. What one does is in the audit, in its incident and in the metrics.

mod audit;
mod run;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alert::action::{Happened, Step};
use crate::alert::incident::News;
use crate::clock::{SetClock, now};
use crate::quote::quote;
use crate::respond::incidents::Incidents;
use audit::Audit;
use run::Deed;
pub use settings::{Actions, Exec, Hook, Http, Match, Signal, SignalName, Systemctl, problems};

/// It looks so often whether a wait is over.
const LOOK: Duration = Duration::from_millis(500);
/// News that wait for it.
const WAITING: usize = 20_000;

/// How it went, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// How often what happened to which hook.
    pub steps: BTreeMap<(String, &'static str), u64>,
    /// Hooks, and whether they are left alone because they failed too often.
    pub closed: BTreeMap<String, bool>,
    /// Hooks that run now.
    pub running: usize,
    /// Lines of the audit that had no room, and news.
    pub lost: u64,
}

/// The hooks of an agent.
#[derive(Debug)]
pub struct Hooks {
    news: mpsc::Sender<News>,
    account: Arc<Mutex<Account>>,
}

/// One hook as it is run.
struct Ready {
    settings: Hook,
    deed: Deed,
    words: String,
}

struct Runner {
    ready: Vec<Arc<Ready>>,
    actions: crate::alert::action::Actions,
    incidents: Incidents,
    audit: Audit,
    account: Arc<Mutex<Account>>,
    running: JoinSet<Result<String, String>>,
    /// Which run a task is.
    numbers: HashMap<tokio::task::Id, u64>,
    seen: SetClock,
}

impl Hooks {
    /// Reads what hooks need, and makes the task that runs them until it is cancelled. A hook whose secrets cannot be read is reported
    /// and not run.
    pub fn new(
        actions: &Actions,
        hooks: &[Hook],
        audit: PathBuf,
        incidents: Incidents,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let mut ready = Vec::new();
        for settings in hooks {
            match Deed::open(settings) {
                Ok(deed) => {
                    let (words, settings) = (Deed::words(settings), settings.clone());
                    ready.push(Arc::new(Ready { settings, deed, words }));
                }
                Err(why) => tracing::error!(hook = settings.name, "a hook is not run: {why}"),
            }
        }
        let plans = ready.iter().map(|hook| hook.settings.plan(actions)).collect();
        let (news, waiting) = mpsc::channel(WAITING);
        let account: Arc<Mutex<Account>> = Arc::default();
        let runner = Runner {
            ready,
            actions: crate::alert::action::Actions::new(plans, actions.at_once),
            incidents,
            audit: Audit::start(audit, actions.audit_bytes.0),
            account: account.clone(),
            running: JoinSet::new(),
            numbers: HashMap::new(),
            seen: SetClock::default(),
        };
        (Self { news, account }, runner.run(waiting, stop))
    }

    /// Tells of what happened to incidents.
    pub fn tell(&self, news: &News) {
        if matches!(news, News::Opened(_) | News::Resolved(..)) && self.news.try_send(news.clone()).is_err() {
            self.account.lock().lost += 1;
        }
    }

    /// How it went.
    #[must_use]
    pub fn account(&self) -> Account {
        self.account.lock().clone()
    }
}

impl Runner {
    async fn run(mut self, mut news: mpsc::Receiver<News>, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.running.join_next_with_id() => {
                    let at = self.time();
                    let (task, outcome) = match ended {
                        Ok((task, outcome)) => (task, outcome),
                        Err(error) => (error.id(), Err("the run panicked; please report it".to_owned())),
                    };
                    if let Some(number) = self.numbers.remove(&task) {
                        self.actions.ended(number, outcome, at);
                    }
                }
                told = news.recv() => match told {
                    Some(told) => self.take(&told),
                    None => break,
                },
                () = tokio::time::sleep(LOOK) => {}
            }
            let at = self.time();
            self.actions.tick(at);
            while let Some(job) = self.actions.start(at) {
                let Some(ready) = self.ready.get(job.hook).cloned() else { continue };
                let number = job.number;
                let run = async move { ready.deed.run(&job, ready.settings.timeout.0).await };
                self.numbers.insert(self.running.spawn(run).id(), number);
            }
            self.say(at);
        }
        // What runs is ended with all that it started.
        self.running.shutdown().await;
    }

    fn take(&mut self, news: &News) {
        let at = self.time();
        match news {
            News::Opened(incident) => self.actions.opened(incident, at),
            News::Resolved(incident, _) => self.actions.resolved(incident, at),
            News::Acknowledged(..) | News::Escalated(..) => {}
        }
    }

    /// The time, in ms; if the clock was set, what waits goes along.
    fn time(&mut self) -> i64 {
        let at = now();
        let wall = at.wall_milliseconds();
        if let Some(jump) = self.seen.jump(wall, at.steady) {
            self.actions.shift(jump);
        }
        wall
    }

    /// Says what happened: in the audit, the incident, the log and the account.
    fn say(&mut self, at: i64) {
        let happened = self.actions.take_happened();
        for one in &happened {
            let Some(ready) = self.ready.get(one.hook) else { continue };
            self.say_one(ready, one);
        }
        let mut account = self.account.lock();
        account.running = self.actions.running();
        for (place, plan) in self.actions.plans().iter().enumerate() {
            account.closed.insert(plan.name.clone(), self.actions.is_closed(place, at));
        }
    }

    fn say_one(&self, ready: &Ready, happened: &Happened) {
        let (name, step, incident) = (&ready.settings.name, happened.step, &happened.incident);
        let text = match (step, happened.text.is_empty()) {
            (Step::DryRun, _) => format!("it would {}", ready.words),
            (Step::Started, _) => ready.words.clone(),
            (_, true) => String::new(),
            (_, false) => happened.text.clone(),
        };
        let outcome = format!("{}: {text}", step.as_str().replace('_', " "));
        self.incidents.note(&incident.labels, &format!("hook {name}"), outcome.trim_end_matches(": "));
        if step.escalates() {
            let why = format!("the hook {name} failed: {text}");
            self.incidents.escalate(&incident.labels, "action_failed", &why);
            tracing::warn!(hook = name, incident = incident.id, "an action failed: {}", quote(&text));
        } else {
            tracing::info!(hook = name, incident = incident.id, "an action: {}", quote(&outcome));
        }
        let wrote = self.audit.write(name, &ready.words, &Happened { text, ..happened.clone() });
        let mut account = self.account.lock();
        account.lost += u64::from(!wrote);
        *account.steps.entry((name.clone(), step.as_str())).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
