//! Tasks: what the agent does by itself from time to time. None, unless it is configured.
//!
//! Each runs by itself, once at a time; one that hangs, fails or has no disk costs nothing but itself. When it ran last is in a file, so
//! that a restart neither repeats nor forgets one. Times are counted by the clock that is never set.

mod clean;
mod compact;
mod exec;
mod health;
mod job;
mod report;
mod rotate;
mod schedule;
mod settings;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::schedule::{Before, Standing};
use super::saver::{self, Saver};
use crate::backoff::within;
use crate::clock::{SetClock, Trusted, now};
use crate::quote::quote;
pub use job::{Around, Verdict};
pub use settings::{Task, problems};
pub use work::Work;

/// It looks at its clock at least so often: the machine may have slept.
const LOOK: Duration = Duration::from_secs(10);
/// Bytes of the file.
const LONGEST: u64 = 1 << 20;
/// An hour, ms.
const HOUR: i64 = 3_600_000;
/// Requests that wait.
const WAITING: usize = 64;
/// Characters of an outcome that are kept.
const SHOWN: usize = 400;

/// How a task stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// What it does, in one word.
    pub kind: &'static str,
    /// Whether it runs now.
    pub running: bool,
    /// Runs that ended since the start.
    pub runs: u64,
    /// Those that failed.
    pub failures: u64,
    /// When it succeeded last, ms since 1970.
    pub last_success: Option<i64>,
    /// How long its last run took, s.
    pub last_seconds: Option<f64>,
    /// Whether its last run failed.
    pub failing: bool,
    /// What its last run did, or why it failed.
    pub outcome: String,
    /// When it is due, in so many seconds.
    pub due_seconds: Option<f64>,
    /// Whether it has not succeeded for its expected time.
    pub overdue: bool,
    /// How long a run may take, s.
    pub timeout_seconds: f64,
}

/// Why a task is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// There is none of that name.
    Unknown,
    /// It runs already.
    Running,
    /// Too many wait.
    Busy,
}

/// What is known of a task after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct TaskTimes {
    /// Times in ms since 1970.
    started: Option<i64>,
    succeeded: Option<i64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    version: u32,
    /// When the clock was last believed, ms since 1970.
    clock: Option<i64>,
    /// Spans of time that a clock said which was wrong, ms since 1970; the newest.
    wrong: Vec<(i64, i64)>,
    tasks: BTreeMap<String, TaskTimes>,
}

#[derive(Debug)]
struct TaskState {
    task: Arc<Task>,
    standing: Standing,
    known: TaskTimes,
    status: Status,
}

/// The tasks of an agent.
#[derive(Clone, Debug)]
pub struct Tasks {
    all: Arc<Mutex<Vec<TaskState>>>,
    asked: mpsc::Sender<usize>,
}

struct Runner {
    all: Arc<Mutex<Vec<TaskState>>>,
    around: Arc<Around>,
    saver: Option<Saver>,
    running: JoinSet<Result<String, String>>,
    /// Which task it is, and since when it runs.
    numbers: HashMap<tokio::task::Id, (usize, u64)>,
    /// When the clock was last believed, as it is kept.
    known: Option<i64>,
    seen: SetClock,
}

/// Spans of a wrong clock that are remembered.
const WRONG: usize = 64;

/// Milliseconds of the steady clock.
fn steady() -> u64 {
    now().steady / 1_000_000
}

/// A number from 0 to 1, by chance.
fn chance() -> f64 {
    within(Duration::from_secs(1)).as_secs_f64()
}

impl Tasks {
    /// Reads when tasks ran, and makes the task that runs them until it is cancelled. Without a file a restart begins again.
    pub fn new(
        tasks: &[Task],
        around: Around,
        file: Option<PathBuf>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let known = file.as_deref().map(|file| saver::read(file, LONGEST, "the times of tasks"));
        let known: Document = known.unwrap_or_default();
        let (at, wall) = (steady(), now().wall_milliseconds());
        let one = |task: &Task| {
            let known = known.tasks.get(&task.name).copied().unwrap_or_default();
            let ago = |time: Option<i64>| time.map(|time| wall.saturating_sub(time));
            let before = Before { started: ago(known.started), succeeded: ago(known.succeeded) };
            let status = Status {
                name: task.name.clone(),
                kind: task.work.kind(),
                last_success: known.succeeded,
                timeout_seconds: task.timeout.0.as_secs_f64(),
                ..Status::default()
            };
            let standing = Standing::new(task.schedule(), before, at, chance());
            TaskState { task: Arc::new(task.clone()), standing, known, status }
        };
        let all: Arc<Mutex<Vec<TaskState>>> = Arc::new(Mutex::new(tasks.iter().map(one).collect()));
        let (asked, waiting) = mpsc::channel(WAITING);
        let (saved, clock, wrong) = (all.clone(), around.clock.clone(), around.wrong.clone());
        *clock.lock() = Trusted::since(known.clock);
        *wrong.lock() = known.wrong;
        let text = move || {
            let tasks = saved.lock().iter().map(|one| (one.task.name.clone(), one.known)).collect();
            serde_json::to_vec(&Document {
                version: 1,
                clock: clock.lock().known(),
                wrong: wrong.lock().clone(),
                tasks,
            })
            .ok()
        };
        let runner = Runner {
            all: all.clone(),
            around: Arc::new(around),
            saver: file.map(|file| Saver::new(file, "the times of tasks", text)),
            running: JoinSet::new(),
            numbers: HashMap::new(),
            known: known.clock,
            seen: SetClock::default(),
        };
        (Self { all, asked }, runner.run(waiting, stop))
    }

    /// How each stands.
    #[must_use]
    pub fn list(&self) -> Vec<Status> {
        let at = steady();
        let status = |one: &TaskState| Status {
            running: one.standing.is_running(),
            due_seconds: one.standing.due().map(|due| due.saturating_sub(at) as f64 / 1e3),
            overdue: one.standing.is_overdue(at),
            ..one.status.clone()
        };
        self.all.lock().iter().map(status).collect()
    }

    /// Begins one now. Gives how many runs of it ended before.
    ///
    /// # Errors
    /// It is not begun.
    pub fn begin(&self, name: &str) -> Result<u64, StartError> {
        let all = self.all.lock();
        let place = all.iter().position(|one| one.task.name == name).ok_or(StartError::Unknown)?;
        let one = all.get(place).filter(|one| !one.standing.is_running()).ok_or(StartError::Running)?;
        let runs = one.status.runs;
        self.asked.try_send(place).map_err(|_| StartError::Busy)?;
        Ok(runs)
    }
}

impl Runner {
    async fn run(mut self, mut asked: mpsc::Receiver<usize>, stop: CancellationToken) {
        loop {
            let due = self.begin_due();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.running.join_next_with_id() => self.end(ended),
                place = asked.recv() => match place {
                    Some(place) => self.begin(place),
                    None => break,
                },
                () = tokio::time::sleep(due) => {}
            }
        }
        // What runs is ended with all that it started.
        self.running.shutdown().await;
        if let Some(saver) = self.saver.take() {
            // A panic was said by the hook.
            drop(tokio::task::spawn_blocking(move || saver.stop()).await);
        }
    }

    /// A clock that was set moves the times of runs along. What it said before, if that was far in the past, is remembered: files have such times.
    fn follow_clock(&mut self) {
        let at = now();
        let Some(jump) = self.seen.jump(at.wall_milliseconds(), at.steady) else { return };
        for one in self.all.lock().iter_mut() {
            let times = [&mut one.known.started, &mut one.known.succeeded, &mut one.status.last_success];
            times.into_iter().flatten().for_each(|time| jump.shift(time));
        }
        if jump.is_leap() {
            let mut wrong = self.around.wrong.lock();
            wrong.push((jump.from, jump.to));
            let more = wrong.len().saturating_sub(WRONG);
            wrong.drain(..more);
        }
        self.keep();
    }

    /// Keeps once an hour until when the clock was believed: after a restart it is compared with that.
    fn look_at_clock(&mut self) {
        self.follow_clock();
        // A clock that is not believed changes nothing here; a task says so.
        let _ = self.around.trusts_clock(false);
        let known = self.around.clock.lock().known();
        let apart = |kept: i64| known.is_none_or(|known| known.saturating_sub(kept).saturating_abs() > HOUR);
        if self.known.is_none_or(apart) && known.is_some() {
            self.known = known;
            self.keep();
        }
    }

    /// Begins what is due, and says how long nothing else is.
    fn begin_due(&mut self) -> Duration {
        self.look_at_clock();
        let at = steady();
        let all: Vec<Option<u64>> = self.all.lock().iter().map(|one| one.standing.due()).collect();
        for (place, _) in all.iter().enumerate().filter(|(_, due)| due.is_some_and(|due| due <= at)) {
            self.begin(place);
        }
        let next = self.all.lock().iter().filter_map(|one| one.standing.due()).min();
        next.map_or(LOOK, |due| Duration::from_millis(due.saturating_sub(at))).min(LOOK)
    }

    fn begin(&mut self, place: usize) {
        self.follow_clock();
        let at = steady();
        let mut all = self.all.lock();
        let Some(one) = all.get_mut(place) else { return };
        if !one.standing.begin(at, chance()) {
            return;
        }
        one.known.started = Some(now().wall_milliseconds());
        let (task, around) = (one.task.clone(), self.around.clone());
        drop(all);
        let run = async move {
            let patience = task.timeout.0;
            let late = |_| Err(format!("it took more than {} s", patience.as_secs_f64()));
            let job = task.work.job().run(&around, patience);
            tokio::time::timeout(patience, job).await.unwrap_or_else(late)
        };
        self.numbers.insert(self.running.spawn(run).id(), (place, at));
        self.keep();
    }

    fn end(&mut self, ended: Result<(tokio::task::Id, Result<String, String>), tokio::task::JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), Err("the run panicked; please report it".to_owned())),
        };
        let Some((place, began)) = self.numbers.remove(&id) else { return };
        let at = steady();
        let mut all = self.all.lock();
        let Some(one) = all.get_mut(place) else { return };
        one.standing.end(at, outcome.is_ok());
        let (status, name) = (&mut one.status, &one.task.name);
        status.runs += 1;
        status.last_seconds = Some(at.saturating_sub(began) as f64 / 1e3);
        status.failing = outcome.is_err();
        match &outcome {
            Ok(done) => {
                let wall = Some(now().wall_milliseconds());
                (one.known.succeeded, status.last_success) = (wall, wall);
                tracing::info!(task = name, "a task succeeded: {}", quote(done));
            }
            Err(why) => {
                status.failures += 1;
                tracing::warn!(task = name, "a task failed: {}", quote(why));
            }
        }
        let text = outcome.unwrap_or_else(|why| why);
        status.outcome = text.chars().take(SHOWN).collect();
        drop(all);
        self.keep();
    }

    fn keep(&self) {
        if let Some(saver) = &self.saver {
            saver.changed();
        }
    }
}
