//! Hooks: what the agent does by itself when an alert becomes an incident. Nothing, unless it is configured, and then it only says what it
//! would do, unless that is configured as well.
//!
//! A task of its own runs them, a few at a time. What one does is in the audit, in its incident and in the metrics.

mod run;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alert::action::{Happened, Job, Step};
use crate::alert::incident::{Desk, Incident, News};
use crate::clock::{SetClock, now};
use crate::quote::quote;
use crate::respond::OpenTrace;
use crate::respond::event_log::object;
use crate::respond::incidents::Incidents;
use crate::respond::lines::{Lines, Rotation};
use crate::source::request::Devices;
use run::Operation;
pub use settings::{Actions, Device, Exec, Hook, Http, Match, Signal, SignalName, Systemctl, problems};

/// It looks so often whether a wait is over.
const LOOK: Duration = Duration::from_millis(500);
/// News that wait for it.
const WAITING: usize = 20_000;
/// How long the last lines of the audit may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// What an incident says that should have a hook and has none.
const MISSING: &str = "no action is configured for it";

/// How it went, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// How often what happened to which hook.
    pub steps: BTreeMap<(String, &'static str), u64>,
    /// Hooks, and whether they are left alone because they failed too often.
    pub closed: BTreeMap<String, bool>,
    /// Hooks that run now.
    pub running: usize,
    /// Incidents that should have had a hook and had none, by priority.
    pub missing: BTreeMap<&'static str, u64>,
    /// Lines of the audit that had no room, and news.
    pub lost: u64,
}

/// The hooks of an agent.
#[derive(Debug)]
pub struct Hooks {
    news: mpsc::Sender<News>,
    account: Arc<Mutex<Account>>,
    audit: Lines,
}

/// One hook as it is run.
struct Ready {
    settings: Hook,
    operation: Operation,
    words: String,
}

struct Runner {
    ready: Vec<Arc<Ready>>,
    actions: crate::alert::action::Actions,
    incidents: Incidents,
    missing: settings::Missing,
    audit: Lines,
    events: Lines,
    account: Arc<Mutex<Account>>,
    running: JoinSet<Result<String, String>>,
    /// Which run a task is.
    numbers: HashMap<tokio::task::Id, u64>,
    seen: SetClock,
    /// Whether it began: what an agent before this one ran is known.
    began: bool,
    /// What a hook's program or server is told of its place in a trace.
    trace: OpenTrace,
}

impl Hooks {
    /// Reads what hooks need, and makes the task that runs them until it is cancelled. A hook whose secrets cannot be read is reported
    /// and not run.
    pub fn new(
        actions: &Actions,
        hooks: &[Hook],
        (audit, events): (PathBuf, Lines),
        (incidents, devices, trace): (Incidents, &Devices, OpenTrace),
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let mut ready = Vec::new();
        for settings in hooks {
            match Operation::open(settings, devices) {
                Ok(operation) => {
                    let (words, settings) = (Operation::words(settings), settings.clone());
                    ready.push(Arc::new(Ready { settings, operation, words }));
                }
                Err(why) => tracing::error!(hook = settings.name, "a hook is not run: {why}"),
            }
        }
        let plans = ready.iter().map(|hook| hook.settings.plan(actions)).collect();
        let (news, waiting) = mpsc::channel(WAITING);
        let account: Arc<Mutex<Account>> = Arc::default();
        let rotation = Rotation { bytes: actions.audit_bytes.0, keep: 1, gzip: false };
        let audit = Lines::start("audit of actions", audit, rotation);
        let runner = Runner {
            ready,
            actions: crate::alert::action::Actions::new(plans, actions.at_once),
            incidents,
            missing: actions.missing.clone(),
            audit: audit.clone(),
            events,
            account: account.clone(),
            running: JoinSet::new(),
            numbers: HashMap::new(),
            seen: SetClock::default(),
            began: false,
            trace,
        };
        (Self { news, account, audit }, runner.run(waiting, stop))
    }

    /// Tells of what happened to incidents.
    pub fn tell(&self, news: &News) {
        let concerns = matches!(news, News::Opened(_) | News::Continued(_) | News::Resolved(..));
        if concerns && self.news.try_send(news.clone()).is_err() {
            self.account.lock().lost += 1;
        }
    }

    /// How it went.
    #[must_use]
    pub fn account(&self) -> Account {
        let mut account = self.account.lock().clone();
        account.lost += self.audit.account().0;
        account
    }
}

impl Runner {
    async fn run(mut self, mut news: mpsc::Receiver<News>, stop: CancellationToken) {
        loop {
            self.begin();
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
                    // What is open by then is looked at when it begins.
                    Some(_) if !self.began => {}
                    Some(told) => self.take(&told),
                    None => break,
                },
                () = tokio::time::sleep(LOOK) => {}
            }
            let at = self.time();
            self.actions.tick(at);
            let due: Vec<Job> = std::iter::from_fn(|| self.actions.start(at)).collect();
            self.say(at);
            due.into_iter().for_each(|job| self.spawn(job));
        }
        // What runs is ended with all that it started.
        self.running.shutdown().await;
        let at = self.time();
        self.actions.end(at);
        self.say(at);
        let audit = self.audit;
        drop(tokio::task::spawn_blocking(move || audit.stop(PATIENCE)).await);
    }

    /// Begins with what is open, once it is known which hooks were run. After a restart these are incidents of an agent before this one,
    /// after a reload those that other hooks were run for, or none.
    fn begin(&mut self) {
        if self.began || !self.incidents.is_known() {
            return;
        }
        self.began = true;
        let at = self.time();
        self.actions.recall(&self.incidents.acted_on(), at);
        let mut open = Vec::new();
        self.incidents.open(&mut |incident| open.extend(incident.current.then(|| incident.clone())));
        open.iter().for_each(|incident| self.opened(incident));
        // Before it is told of them as news.
        self.say(at);
    }

    /// Runs a hook once it is on disk that it is run: an agent that is killed does not run it again.
    fn spawn(&mut self, job: Job) {
        let Some(ready) = self.ready.get(job.hook).cloned() else { return };
        let (incidents, number) = (self.incidents.clone(), job.number);
        let trace = self.trace.load_full();
        let run = async move {
            drop(tokio::task::spawn_blocking(move || incidents.settle()).await);
            ready.operation.run(&job, trace.as_deref(), ready.settings.timeout.0).await
        };
        self.numbers.insert(self.running.spawn(run).id(), number);
    }

    fn take(&mut self, news: &News) {
        let at = self.time();
        match news {
            // By now hooks may have been run for it, if these are others than when it was opened.
            News::Opened(incident) | News::Continued(incident) => {
                if let Some(incident) = self.incidents.of(&incident.labels) {
                    self.opened(&incident);
                }
            }
            News::Resolved(incident, _) => self.actions.resolved(incident, at),
            News::Acknowledged(..) | News::Escalated(..) => {}
        }
    }

    /// Has the hooks run that an incident needs. That there is none is said where one is expected.
    fn opened(&mut self, incident: &Incident) {
        let at = self.time();
        let expected = self.missing.priorities.iter().any(|one| one.as_str() == incident.priority.as_str());
        if self.actions.opened(incident, at)
            || !expected
            || incident.history.iter().any(|entry| entry.why == MISSING)
        {
            return;
        }
        self.incidents.note(incident, None, MISSING);
        if self.missing.escalate {
            self.incidents.escalate(&incident.labels, "action_missing", MISSING);
        }
        *self.account.lock().missing.entry(incident.priority.as_str()).or_default() += 1;
        self.line(at, incident, json!({"step": "missing", "text": MISSING}));
    }

    /// The time, in ms; if the clock was set, what waits goes along.
    fn time(&mut self) -> i64 {
        let at = now();
        let wall = at.wall_milliseconds();
        if let Some(jump) = self.seen.jump(wall, at.steady) {
            self.actions.shift(&jump);
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
        let hook = Some((&**name, step.as_str()));
        self.incidents.note(incident, hook, outcome.trim_end_matches(": "));
        if step.escalates() {
            let why = format!("the hook {name} failed: {text}");
            self.incidents.escalate(&incident.labels, "action_failed", &why);
            tracing::warn!(hook = name, incident = incident.id, "an action failed: {}", quote(&text));
        } else {
            tracing::info!(hook = name, incident = incident.id, "an action: {}", quote(&outcome));
        }
        let line = json!({"hook": name, "step": step.as_str(), "do": ready.words, "text": text});
        self.line(happened.at, incident, line);
        *self.account.lock().steps.entry((name.clone(), step.as_str())).or_default() += 1;
    }

    /// Writes a line of the audit, which is one of the event log as well.
    fn line(&self, at: i64, incident: &Incident, mut line: Value) {
        line["incident"] = incident.id.as_str().into();
        line["alert"] = incident.alert.as_str().into();
        line["labels"] = object(&incident.labels).into();
        for log in [&self.audit, &self.events] {
            log.write(at, "action", &line);
        }
    }
}

#[cfg(test)]
mod tests;
