//! The tasks of a running agent: which ones, what they may use, and what is counted of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::sessions::Recordings;
use super::{Agent, history, place};
use crate::config::Config;
use crate::http;
use crate::hub::Hub;
use crate::metrics::{OfReports, OfTask, Own};
use crate::respond::lines::Lines;
use crate::respond::sessions;
use crate::respond::tasks::{Around, StartError, Status, Task, Tasks};
use crate::source::aside::apart;

/// What the reading of the times is called while it lasts.
const TIMES: &str = "the times of tasks";
/// How long that may take, and the end of what runs.
const PATIENCE: Duration = Duration::from_secs(2);

/// The kind of the tasks that make reports.
const REPORT: &str = "report";

/// Tasks that run, and as what.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    of: Vec<Task>,
    reports: sessions::Settings,
    pub(super) sessions: Option<Recordings>,
    running: Option<(Tasks, CancellationToken, JoinHandle<()>)>,
    /// Runs and failures that were counted.
    counted: BTreeMap<String, (u64, u64)>,
}

impl Maintenance {
    /// Looks at the sessions, and updates the metrics.
    pub(super) fn look(&mut self, hub: &Hub, own: &Own) {
        if let Some(sessions) = &self.sessions {
            sessions.look(hub, own);
        }
        let list = self.running.as_ref().map_or_else(Vec::new, |(tasks, ..)| tasks.list());
        let unreported = list.iter().any(|task| task.kind == REPORT && task.failing);
        own.reports_failing.get_or_create_owned(&OfReports { operation: "schedule" }).set(unreported.into());
        for Status { name, runs, failures, last_success, last_seconds, overdue, .. } in list {
            let of = OfTask { task: name.clone() };
            let (runs_before, failures_before) =
                self.counted.insert(name, (runs, failures)).unwrap_or_default();
            own.task_runs.get_or_create_owned(&of).inc_by(runs.saturating_sub(runs_before));
            own.task_failures.get_or_create_owned(&of).inc_by(failures.saturating_sub(failures_before));
            own.task_overdue.get_or_create_owned(&of).set(overdue.into());
            if let Some(at) = last_success {
                own.task_last_success.get_or_create_owned(&of).set(at as f64 / 1e3);
            }
            if let Some(seconds) = last_seconds {
                own.task_last_duration.get_or_create_owned(&of).set(seconds);
            }
        }
    }

    /// Ends everything.
    pub(super) async fn end(&mut self) {
        self.end_tasks().await;
        if let Some(sessions) = self.sessions.take() {
            sessions.end().await;
        }
    }

    /// Ends what runs, with all that it started.
    async fn end_tasks(&mut self) {
        if let Some((_, stop, task)) = self.running.take() {
            stop.cancel();
            drop(tokio::time::timeout(PATIENCE, task).await);
        }
        self.counted.clear();
    }
}

/// The tasks that a configuration has: its own, and the report of each day or week.
fn wanted(config: &Config) -> Vec<Task> {
    let report = config.reports.every.map(|every| Task::report(every.as_str(), every.span()));
    config.respond.tasks.iter().cloned().chain(report).collect()
}

impl Agent {
    /// Runs the tasks that the configuration has, in the place of those that run now.
    pub(super) async fn maintain(&self, maintenance: &mut Maintenance, events: &Lines) {
        self.keep_sessions(&mut maintenance.sessions).await;
        let wanted = wanted(&self.config);
        let same = maintenance.of == wanted && maintenance.reports == self.config.reports;
        if same && (maintenance.running.is_some() || wanted.is_empty()) {
            return;
        }
        maintenance.end_tasks().await;
        // Those of a task that is gone go with it.
        self.own.task_overdue.clear();
        self.own.task_last_success.clear();
        self.own.task_last_duration.clear();
        maintenance.of.clone_from(&wanted);
        maintenance.reports.clone_from(&self.config.reports);
        if wanted.is_empty() {
            self.site.tasks.store(None);
            return;
        }
        let folder = self.config.state_directory.clone().or_else(place::state_folder);
        if folder.is_none() {
            tracing::warn!(
                "when tasks ran is not kept: there is no state directory; name one as state_directory"
            );
        }
        let incidents = folder.as_ref().map(|folder| folder.join(INCIDENTS));
        let databases = history::history_file(&self.config).into_iter().chain(incidents).collect();
        let site = self.site.clone();
        let verdict = Arc::new(move || site.well());
        let make = self.make_reports();
        let around = Around {
            databases,
            events: events.clone(),
            verdict,
            make,
            reports: self.config.reports.clone(),
            url: self.url(),
            clock: Arc::default(),
            wrong: Arc::default(),
        };
        let (stop, file) = (CancellationToken::new(), folder.map(|folder| folder.join("tasks.json")));
        let own = stop.clone();
        let made = apart(TIMES, PATIENCE, move || Tasks::new(&wanted, around, file, own)).await;
        match made {
            Ok((tasks, run)) => {
                self.site.tasks.store(Some(Arc::new(served(tasks.clone()))));
                maintenance.running = Some((tasks, stop, tokio::spawn(run)));
            }
            Err(why) => tracing::error!("no task is run: {why}"),
        }
    }
}

/// The file of the incidents in the state directory.
const INCIDENTS: &str = "incidents.db";

/// The tasks for those who ask over HTTP.
fn served(tasks: Tasks) -> http::Tasks {
    let listed = tasks.clone();
    http::Tasks {
        list: Box::new(move || serde_json::to_value(listed.list()).unwrap_or_default()),
        begin: Box::new(move |name| {
            tasks.begin(name).map_err(|why| match why {
                StartError::Unknown => http::NotBegun::Unknown,
                StartError::Running => http::NotBegun::Running,
                StartError::Busy => http::NotBegun::Busy,
            })
        }),
    }
}
