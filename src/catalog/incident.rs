//! Page: incidents. Its metrics are the agent's own, as those of the page `agent`.

use super::{Metric, Page, Unit};
use crate::event::Kind;

/// Incidents.
pub static PAGE: Page = Page {
    id: "incident",
    title: "Incidents",
    about: "What became of alerts: how many, how soon they were acknowledged, and how long they took.",
    metrics: &[
        &INCIDENTS,
        &INCIDENTS_OPEN,
        &INCIDENTS_ESCALATED,
        &INCIDENT_ESCALATIONS,
        &INCIDENT_ACKNOWLEDGE,
        &INCIDENT_RESOLVE,
        &INCIDENTS_DROPPED,
        &INCIDENTS_FILE,
        &INCIDENTS_FAILING,
        &ACTIONS,
        &ACTIONS_MISSING,
        &ACTIONS_RUNNING,
        &ACTION_BREAKER,
        &ACTION_LINES_LOST,
        &TASK_RUNS,
        &TASK_FAILURES,
        &TASK_LAST_SUCCESS,
        &TASK_LAST_DURATION,
        &TASK_OVERDUE,
    ],
};

/// Bounds for the times in which people look: from ten seconds to a day.
const PATIENCE: &[f64] = &[10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0, 43_200.0, 86_400.0];
/// Incidents that were opened.
pub static INCIDENTS: Metric = Metric {
    name: "incidents",
    help: "Incidents opened, by alert and severity",
    note: "After 200 names of alerts, others count as `_other`",
    kind: Kind::Counter,
    labels: &["alert", "severity"],
    ..Metric::BLANK
};
/// Incidents that are open.
pub static INCIDENTS_OPEN: Metric = Metric {
    name: "incidents_open",
    help: "Incidents that are not resolved, by state and priority",
    note: "States: `open`, `escalated`, `acknowledged`",
    labels: &["state", "incident_priority"],
    ..Metric::BLANK
};
/// Incidents that wait for an acknowledgement.
pub static INCIDENTS_ESCALATED: Metric = Metric {
    name: "incidents_escalated",
    help: "Incidents escalated and not acknowledged yet, by alert and priority",
    labels: &["alert", "incident_priority"],
    ..Metric::BLANK
};
/// Escalations.
pub static INCIDENT_ESCALATIONS: Metric = Metric {
    name: "incident_escalations",
    help: "Incidents escalated, by reason",
    note: "`unacknowledged`: it was not acknowledged within the time of its priority. `action_failed`: what was to be done about it failed. `action_missing`: no hook is for it",
    kind: Kind::Counter,
    labels: &["reason"],
    ..Metric::BLANK
};
/// Time to acknowledge.
pub static INCIDENT_ACKNOWLEDGE: Metric = Metric {
    name: "incident_acknowledge_duration",
    help: "Time from the opening of an incident to its first acknowledgement",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    labels: &["incident_priority"],
    bounds: PATIENCE,
    ..Metric::BLANK
};
/// Time to resolve.
pub static INCIDENT_RESOLVE: Metric = Metric {
    name: "incident_resolve_duration",
    help: "Time from the start of an incident's alert to its end, or until it was closed by hand",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    labels: &["incident_priority"],
    bounds: PATIENCE,
    ..Metric::BLANK
};
/// Incidents without room.
pub static INCIDENTS_DROPPED: Metric = Metric {
    name: "incidents_dropped",
    help: "Alerts that became no incident, and incidents that were never written, for want of room",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Bytes of incidents on disk.
pub static INCIDENTS_FILE: Metric = Metric {
    name: "incidents_file",
    help: "Size of the incidents' file, without pages that are free",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Whether the file cannot be written.
pub static INCIDENTS_FAILING: Metric = Metric {
    name: "incidents_file_failing",
    help: "Whether the incidents' file cannot be written (1) or can (0)",
    note: "Open incidents are in memory meanwhile; the log says why",
    ..Metric::BLANK
};
/// What hooks did.
pub static ACTIONS: Metric = Metric {
    name: "actions",
    help: "Steps of hooks, by hook and step",
    note: "`succeeded`: the alert was over within the time that it had for that. `failed`: it was not, or the hook failed. `interrupted`: the agent ended while it ran. `dry_run`: nothing was done",
    kind: Kind::Counter,
    labels: &["hook", "step"],
    ..Metric::BLANK
};
/// Incidents without a hook.
pub static ACTIONS_MISSING: Metric = Metric {
    name: "actions_missing",
    help: "Incidents that should have had a hook and had none, by priority",
    note: "Of the priorities under `respond.actions.missing`, where there are hooks at all",
    kind: Kind::Counter,
    labels: &["incident_priority"],
    ..Metric::BLANK
};
/// Hooks that run.
pub static ACTIONS_RUNNING: Metric =
    Metric { name: "actions_running", help: "Hooks that run now", ..Metric::BLANK };
/// Hooks that are left alone.
pub static ACTION_BREAKER: Metric = Metric {
    name: "action_breaker_open",
    help: "Whether a hook is not run for ten minutes because it failed five times in a row (1) or is (0)",
    labels: &["hook"],
    ..Metric::BLANK
};
/// Lines of the audit that were lost.
pub static ACTION_LINES_LOST: Metric = Metric {
    name: "action_audit_lines_dropped",
    help: "Lines of the audit of hooks that had no room",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Runs of tasks.
pub static TASK_RUNS: Metric = Metric {
    name: "task_runs",
    help: "Runs of tasks that ended, by task",
    kind: Kind::Counter,
    labels: &["task"],
    ..Metric::BLANK
};
/// Runs of tasks that failed.
pub static TASK_FAILURES: Metric = Metric {
    name: "task_failures",
    help: "Runs of tasks that failed, by task",
    kind: Kind::Counter,
    labels: &["task"],
    ..Metric::BLANK
};
/// When a task succeeded last.
pub static TASK_LAST_SUCCESS: Metric = Metric {
    name: "task_last_success_timestamp",
    help: "Time at which a task last succeeded",
    note: "Absent for a task that never did. It is known after a restart",
    unit: Unit::Seconds,
    labels: &["task"],
    ..Metric::BLANK
};
/// How long the last run of a task took.
pub static TASK_LAST_DURATION: Metric = Metric {
    name: "task_last_duration",
    help: "Duration of the last run of a task",
    unit: Unit::Seconds,
    labels: &["task"],
    ..Metric::BLANK
};
/// Whether a task is overdue.
pub static TASK_OVERDUE: Metric = Metric {
    name: "task_overdue",
    help: "Whether a task has not succeeded for its expected time (1) or has (0)",
    labels: &["task"],
    ..Metric::BLANK
};
