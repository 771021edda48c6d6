//! The incidents of a running agent: whether they are kept, who reads them, and what is counted of them.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Agent, place};
use crate::alert::incident::{Desk, News, Status};
use crate::http;
use crate::metrics::{
    EscalatedIncidents, Escalation, OfHook, OfHookStep, OfIncident, OfPriority, OpenIncidents, Own,
};
use crate::quote::quote;
use crate::respond::event_log;
use crate::respond::hooks::{Actions, Hook, Hooks};
use crate::respond::incidents::Incidents;
use crate::respond::lines::Lines;
use crate::source::aside::apart;

/// What the reading of the token is called while it lasts.
const TOKEN: &str = "the token of the incidents' webhook";
/// What the reading of the hooks' secrets is called while it lasts.
const HOOKS: &str = "the secrets of the hooks";
/// How long that may take, and the last write.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names of alerts that are counted by themselves.
const NAMES: usize = 200;
/// What the others are counted as.
const OTHER: &str = "_other";

/// The incidents, if they are kept, and the names that were counted.
#[derive(Debug, Default)]
pub(super) struct IncidentLog {
    kept: Option<Incidents>,
    names: HashSet<String>,
    dropped: u64,
    hooks: Option<Running>,
}

/// Hooks that run, and as what.
#[derive(Debug)]
struct Running {
    of: (Actions, Vec<Hook>),
    hooks: Hooks,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Updates the metrics.
    fn show(&self, own: &Own) {
        let account = self.hooks.account();
        for ((hook, step), count) in account.steps {
            let counter = own.actions.get_or_create_owned(&OfHookStep { hook, step });
            // It begins again with a reload.
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        own.action_breaker.clear();
        for (hook, closed) in account.closed {
            own.action_breaker.get_or_create_owned(&OfHook { hook }).set(closed.into());
        }
        for (incident_priority, count) in account.missing {
            let counter = own.actions_missing.get_or_create_owned(&OfPriority { incident_priority });
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        own.actions_running.set(i64::try_from(account.running).unwrap_or(i64::MAX));
        own.action_lines_lost.inc_by(account.lost.saturating_sub(own.action_lines_lost.get()));
    }

    /// Ends what runs, with all that it started.
    async fn end(self) {
        self.stop.cancel();
        drop(tokio::time::timeout(PATIENCE, self.task).await);
    }
}

impl IncidentLog {
    /// Those that are kept.
    pub(super) fn kept(&self) -> Option<Incidents> {
        self.kept.clone()
    }

    /// Writes what is not written.
    pub(super) async fn end(&mut self) {
        if let Some(hooks) = self.hooks.take() {
            hooks.end().await;
        }
        if let Some(incidents) = self.kept.take() {
            drop(tokio::task::spawn_blocking(move || incidents.stop(PATIENCE)).await);
        }
    }

    /// The name under which an alert is counted.
    fn counted(&mut self, alert: &str) -> String {
        if self.names.len() < NAMES && !self.names.contains(alert) {
            self.names.insert(alert.to_owned());
        }
        if self.names.contains(alert) { alert.to_owned() } else { OTHER.to_owned() }
    }

    /// Updates the metrics, and writes what happened into the event log.
    pub(super) fn show(&mut self, own: &Own, events: &Lines) {
        let Some(incidents) = self.kept.clone() else {
            own.incidents_open.clear();
            own.incidents_escalated.clear();
            return;
        };
        if let Some(hooks) = &self.hooks {
            hooks.show(own);
        }
        for news in incidents.news() {
            event_log::incident(events, &news);
            if let Some(hooks) = &self.hooks {
                hooks.hooks.tell(&news);
            }
            self.count(own, &news);
        }
        let (mut open, mut escalated) = (BTreeMap::new(), BTreeMap::new());
        incidents.open(&mut |incident| {
            *open.entry((incident.status, incident.priority)).or_insert(0_i64) += 1;
            if incident.status == Status::Escalated {
                *escalated.entry((incident.alert.clone(), incident.priority)).or_insert(0_i64) += 1;
            }
        });
        for state in [Status::Open, Status::Escalated, Status::Acknowledged] {
            for priority in crate::catalog::alert::Priority::ALL {
                let of = OpenIncidents { state: state.as_str(), incident_priority: priority.as_str() };
                let count = open.get(&(state, priority)).copied().unwrap_or_default();
                own.incidents_open.get_or_create_owned(&of).set(count);
            }
        }
        // Those that are acknowledged go.
        own.incidents_escalated.clear();
        for ((alert, priority), count) in escalated {
            let of = EscalatedIncidents { alert: self.counted(&alert), incident_priority: priority.as_str() };
            own.incidents_escalated.get_or_create_owned(&of).inc_by(count);
        }
        let status = incidents.status();
        own.incidents_failing.set(status.failing.is_some().into());
        own.incidents_file.set(i64::try_from(status.bytes).unwrap_or(i64::MAX));
        own.incidents_dropped.inc_by(status.dropped.saturating_sub(self.dropped));
        self.dropped = status.dropped;
    }

    fn count(&mut self, own: &Own, news: &News) {
        let seconds = |ms: i64| ms.max(0) as f64 / 1000.0;
        let of =
            |priority: &crate::catalog::alert::Priority| OfPriority { incident_priority: priority.as_str() };
        match news {
            News::Opened(incident) => {
                let of = OfIncident {
                    alert: self.counted(&incident.alert),
                    severity: incident.severity.chars().take(32).collect(),
                };
                own.incidents.get_or_create_owned(&of).inc();
            }
            News::Continued(_) => {}
            News::Acknowledged(incident, ms) => {
                own.incident_acknowledge.get_or_create_owned(&of(&incident.priority)).observe(seconds(*ms));
            }
            News::Resolved(incident, ms) => {
                own.incident_resolve.get_or_create_owned(&of(&incident.priority)).observe(seconds(*ms));
            }
            News::Escalated(incident, reason) => {
                own.incident_escalations.get_or_create_owned(&Escalation { reason }).inc();
                let why = incident.history.last().map(|entry| &*entry.why).unwrap_or_default();
                tracing::warn!(
                    incident = incident.id,
                    priority = incident.priority.as_str(),
                    "an incident is escalated: {}: {}",
                    quote(incident.summary()),
                    quote(why)
                );
            }
        }
    }
}

impl Agent {
    /// Keeps incidents as the configuration says, in the place of what is kept now. Those that are open stay.
    pub(super) async fn keep_incidents(&self, incidents: &mut IncidentLog, events: &Lines) {
        let config = &self.config;
        let folder = config.state_directory.clone().or_else(place::state_folder);
        let Some(folder) = folder.filter(|_| config.keeps_incidents()) else {
            if !config.respond.hooks.is_empty() {
                tracing::warn!(
                    "no hook is run: no incidents are kept, because the agent evaluates no rules or has no state directory\n  \
                     hint: set alerts.evaluate: true, or respond.incidents.webhook.enabled: true"
                );
            }
            self.site.incidents.store(None);
            incidents.end().await;
            return;
        };
        let (settings, evaluates) = (config.respond.incidents.clone(), config.evaluates());
        let read = apart(TOKEN, PATIENCE, move || settings.options(&folder, evaluates)).await.flatten();
        let options = match read {
            Ok(options) => options,
            Err(why) => {
                tracing::error!("Alertmanager's messages are not taken: {why}");
                return;
            }
        };
        let audit = options.path.with_file_name("actions.jsonl");
        match &incidents.kept {
            // A file of another folder is taken at the next start, as the history's is.
            Some(kept) => kept.configure(options),
            None => match Incidents::start(options) {
                Ok(started) => {
                    self.site
                        .incidents
                        .store(Some(std::sync::Arc::new(http::Incidents(Box::new(started.clone())))));
                    (incidents.kept, incidents.dropped) = (Some(started), 0);
                }
                Err(error) => tracing::warn!(%error, "no incidents are kept: no thread for them"),
            },
        }
        Box::pin(self.run_hooks(incidents, (audit, events.clone()))).await;
    }

    /// Runs the hooks that the configuration has, in the place of those that run now.
    async fn run_hooks(&self, incidents: &mut IncidentLog, logs: (PathBuf, Lines)) {
        let respond = &self.config.respond;
        let of = (respond.actions.clone(), respond.hooks.clone());
        if incidents.hooks.as_ref().is_some_and(|running| running.of == of) {
            return;
        }
        if let Some(running) = incidents.hooks.take() {
            running.end().await;
        }
        let Some(kept) = incidents.kept().filter(|_| !of.1.is_empty()) else { return };
        let (stop, made) = (CancellationToken::new(), of.clone());
        let (own, with) = (stop.clone(), (kept, self.devices.clone(), self.tracing.parent.clone()));
        let opened = apart(HOOKS, PATIENCE, move || {
            Hooks::new(&made.0, &made.1, logs, (with.0, &with.1, with.2), own)
        })
        .await;
        match opened {
            Ok((hooks, task)) => {
                let task = tokio::spawn(task);
                incidents.hooks = Some(Running { of, hooks, stop, task });
            }
            Err(why) => tracing::error!("no hook is run: {why}"),
        }
    }
}
