//! Alerts: incidents that nobody takes care of, and whether incidents are kept.

use super::{Alert, Case, Chapter, Level, Priority, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "incident",
    group: "neural-incident",
    interval: 15,
    records: &[],
    alerts: &[&ESCALATED, &FAILING, &BREAKER, &OVERDUE],
};

// It makes no incident itself: `alert::incident` knows its name.
static ESCALATED: Alert = Alert {
    name: "NeuralIncidentEscalated",
    level: Level::new(Severity::High, Priority::P1, 0, "neural_incidents_escalated > 0"),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P0,
        0,
        "neural_incidents_escalated{incident_priority='P0'} > 0",
    )),
    summary: "An incident of {{ $labels.alert }} on {{ $labels.instance }} was escalated",
    description: "{{ $value }} incidents of priority {{ $labels.incident_priority }} were not acknowledged in time, or what was done about them failed.",
    meaning: "An alert became an incident, and was not acknowledged within the time of its priority, or an action that the agent was to take about it failed. `alerts.escalations` says who comes next and is notified of it: it fires until each of these incidents is acknowledged or over.",
    immediate: &[
        "List them: `neural-exporter incidents list --state escalated`; `neural-exporter incidents show NUMBER` says what happened.",
        "Say that you take care of one: `neural-exporter incidents ack NUMBER --why TEXT`.",
        "Follow the runbook of the alert that the incident is of.",
    ],
    short_term: &["Find out why it was not acknowledged: see at Alertmanager who was notified, and when."],
    long_term: &[
        "Set times that people can keep under `respond.incidents.acknowledge`, or give the alert another priority.",
    ],
    queries: &[
        "neural_incidents_escalated",
        "neural_incidents_open",
        "increase(neural_incident_escalations_total[1d])",
    ],
    related: &["NeuralAgentIncidentsFailing", "NeuralAlertsUndelivered"],
    fires: Case::fires(
        5,
        &[("neural_incidents_escalated{alert='NeuralDeviceSilent',incident_priority='P2'}", "1x10")],
        &[("alert", "NeuralDeviceSilent"), ("incident_priority", "P2")],
        "1",
    ),
    worsens: Some(Case::fires(
        5,
        &[("neural_incidents_escalated{alert='NeuralDeviceSilent',incident_priority='P0'}", "2x10")],
        &[("alert", "NeuralDeviceSilent"), ("incident_priority", "P0")],
        "2",
    )),
    // Acknowledged: its series is gone.
    quiet: Case::quiet(
        10,
        &[("neural_incidents_escalated{alert='NeuralDeviceSilent',incident_priority='P0'}", "1x3 stale")],
    ),
    ..Alert::BLANK
};

static FAILING: Alert = Alert {
    name: "NeuralAgentIncidentsFailing",
    level: Level::new(Severity::Low, Priority::P2, 600, "neural_incidents_file_failing == 1"),
    summary: "The agent on {{ $labels.instance }} does not write its incidents to disk",
    description: "For more than ten minutes the file could not be written. Incidents are in memory; a restart loses what is not written.",
    meaning: "The file of the incidents in the state directory cannot be written: its disk is full, read-only or gone, another agent has the same state directory, or a newer version of the program wrote the file. Alerts and notifications do not depend on it.",
    immediate: &[
        "Read the reason: `journalctl -u neural-exporter | grep incidents`.",
        "With a full disk: free space where the state directory is. The agent continues by itself.",
    ],
    short_term: &["Of two agents with one state directory: give each its own with `state_directory`."],
    long_term: &["Alert on the space of that disk: NeuralHostFilesystem."],
    queries: &[
        "neural_incidents_file_failing",
        "neural_incidents_dropped_total",
        "neural_incidents_file_bytes",
    ],
    related: &["NeuralAgentHistoryFailing", "NeuralHostFilesystem"],
    fires: Case::fires(20, &[("neural_incidents_file_failing", "0x2 1x20")], &[], "1"),
    quiet: Case::quiet(20, &[("neural_incidents_file_failing", "0x2 1x5 0x15")]),
    ..Alert::BLANK
};

static BREAKER: Alert = Alert {
    name: "NeuralActionBreakerOpen",
    level: Level::new(Severity::Medium, Priority::P2, 30, "neural_action_breaker_open == 1"),
    summary: "The hook {{ $labels.hook }} on {{ $labels.instance }} failed five times in a row",
    description: "It is not run for ten minutes; incidents that it is for are escalated instead.",
    meaning: "A hook of the agent ended badly, took too long, or ended well while its alert was still there, five times in a row. It is left alone for ten minutes, then one run shows whether it works again.",
    immediate: &[
        "Read what it said: `neural-exporter incidents show NUMBER`, or `actions.jsonl` in the state directory.",
        "Run what it runs by hand, as the agent's user.",
    ],
    short_term: &["Set `dry_run: true` for it until it works."],
    long_term: &[
        "Let a hook do one thing that is known to end the alert, and give it the time for that: `verify`.",
    ],
    queries: &["neural_action_breaker_open", "increase(neural_actions_total{step='failed'}[1h])"],
    related: &["NeuralIncidentEscalated"],
    fires: Case::fires(
        5,
        &[("neural_action_breaker_open{hook='shed-caches'}", "0x2 1x10")],
        &[("hook", "shed-caches")],
        "1",
    ),
    quiet: Case::quiet(5, &[("neural_action_breaker_open{hook='shed-caches'}", "0x10")]),
    ..Alert::BLANK
};

static OVERDUE: Alert = Alert {
    name: "NeuralTaskOverdue",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_task_overdue == 1"),
    summary: "The task {{ $labels.task }} on {{ $labels.instance }} has not succeeded for its expected time",
    description: "Its runs fail, hang or do not take place. What it cleans, checks or keeps is as old as its last success.",
    meaning: "A task of `respond.tasks` has had no run that succeeded for its expected time: `expected`, or twice its interval.",
    immediate: &[
        "See what its last run said: `neural-exporter task list`, or `journalctl -u neural-exporter | grep task`.",
        "Run it: `neural-exporter task run NAME`.",
    ],
    short_term: &[
        "Fix what it says: a folder that cannot be read, a disk that is full, a program that fails.",
    ],
    long_term: &["Give a run that takes long more time: `timeout`. Set `expected` to what is really needed."],
    queries: &[
        "time() - neural_task_last_success_timestamp_seconds",
        "increase(neural_task_failures_total[1d])",
        "neural_task_last_duration_seconds",
    ],
    related: &["NeuralHostFilesystem", "NeuralActionBreakerOpen"],
    fires: Case::fires(5, &[("neural_task_overdue{task='raw'}", "0x2 1x10")], &[("task", "raw")], "1"),
    quiet: Case::quiet(5, &[("neural_task_overdue{task='raw'}", "0x2 1x1 0x10")]),
    ..Alert::BLANK
};
