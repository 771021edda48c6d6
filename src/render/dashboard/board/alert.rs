//! Alerts and incidents: what fires, what fired, how often and for how long.
//!
//! It reads the series that the server keeps of its own rules, so it shows alerts of this product,
//! whichever program delivers them.

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use crate::catalog::draw::{Panel, Rating, state};

pub(super) static BOARD: Board = Board {
    key: "alerts",
    title: "Alerts and incidents",
    about: "Which alerts fire and fired, how often and for how long.",
    pages: &["incident"],
    by_machine: false,
    variables: &[("severity", "Severity"), ("component", "Component")],
    range: "now-24h",
    refresh: "1m",
    rows: &[
        open("Now", &[
            stat("Firing", "none", "Alerts that fire now, of the selected severities. Where no server evaluates the rules, NeuralWatchdog does not fire either, and that is said.", &[q(
                concat!("count(ALERTS{alertstate=\"firing\"}) or vector(0)", evaluated!()),
                "",
            )])
            .zero_wanted()
            .empty("not evaluated"),
            stat("Critical", "none", "Critical alerts that fire now: data is being lost, or a closed loop is broken. Act immediately.", &[q(
                concat!("count(ALERTS{alertstate=\"firing\",severity=\"critical\"}) or vector(0)", evaluated!()),
                "",
            )])
            .zero_wanted()
            .empty("not evaluated"),
            stat("Pending", "none", "Alerts whose condition holds, but not yet for long enough to fire.", &[q(
                concat!("count(ALERTS{alertstate=\"pending\"}) or vector(0)", evaluated!()),
                "",
            )])
            .empty("not evaluated"),
            stat("Longest firing", "s", "For how long the oldest alert of all has been firing or pending.", &[q(
                concat!("clamp_min(time() - min(ALERTS_FOR_STATE), 0) or vector(0)", evaluated!()),
                "",
            )])
            .empty("not evaluated"),
            stat("Agents down", "none", "Agents that Prometheus does not reach; their alerts cannot fire.", &[q(
                "count(up == 0) or vector(0)",
                "",
            )])
            .zero_wanted()
            .to("agent"),
        ]),
        open("What is wrong", &[
            view(Panel::Table, "Active alerts", "s", "The alerts that fire now and for how long. The runbook of that name says what to do.", &[column(
                "clamp_min(time() - min by (severity, priority, alertname, where) (label_replace(label_join(ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{alertstate=\"firing\"}, \"where\", \" \", \"instance\", \"device\", \"gpu\", \"source\", \"stream\", \"channel\", \"input\", \"pipeline\", \"stage\", \"queue\", \"cache\", \"model\", \"engine\", \"service\", \"check\", \"database\", \"operation\", \"route\", \"group\", \"mount\", \"interface\", \"sensor\", \"resource\", \"reason\", \"kind\", \"error\", \"xid\", \"output\", \"family\", \"rule_group\", \"listen\", \"alert\", \"hook\", \"task\"), \"where\", \"$1\", \"where\", \"\\\\s*(.*?)\\\\s*\")), 0)",
                "For",
                "s",
            )])
            .first(&["priority", "alertname", "where", "severity"])
            .sorted(&[("priority", false), ("For", true)])
            .empty("no alert fires"),
            view(Panel::States, "Alerts over time", "none", "When alerts of each component fired, and the highest priority of them; the table above names them. Several that start together have one cause: look at the first.", &[q(
                "max by (component) (\n  ALERTS{alertstate=\"firing\",priority=\"P0\"} * 4\n  or ALERTS{alertstate=\"firing\",priority=\"P1\"} * 3\n  or ALERTS{alertstate=\"firing\",priority=\"P2\"} * 2\n  or ALERTS{alertstate=\"firing\",priority=\"P3\"} * 1\n)",
                "{{component}}",
            )])
            .states(&[
                state(4.0, "P0", Rating::Bad),
                state(3.0, "P1", Rating::Odd),
                state(2.0, "P2", Rating::Plain),
                state(1.0, "P3", Rating::Plain),
            ])
            .empty("no alert fired"),
        ]),
        open("History", &[
            lines("Alerts firing, by severity", "none", "How many alerts fired at a time.", &[q(
                "count by (severity) (ALERTS{alertstate=\"firing\"})",
                "{{severity}}",
            )])
            .empty("no alert fired"),
            view(Panel::Pie, "Severities", "s", "Firing time in the selected range, by severity.", &[q(
                "sum by (severity) (sum_over_time(ALERTS{alertstate=\"firing\"}[$__range]))",
                "{{severity}}",
            )])
            .beside(3)
            .empty("no alert fired"),
            lines("Alert frequency", "none", "Alerts that started to fire within an hour, by component. A flapping alert needs a longer hold time, or a fix of its cause; the table below names it.", &[q(
                "sum by (component) (count_over_time((ALERTS{alertstate=\"firing\"} unless ALERTS{alertstate=\"firing\"} offset 1m)[1h:1m]))",
                "{{component}}",
            )])
            .empty("no alert fired"),
            view(Panel::Table, "Alert history", "none", "Number of evaluations in which each alert fired within the selected range: minutes, at one per minute.", &[column(
                "sum by (severity, priority, alertname, where) (label_replace(label_join(count_over_time(ALERTS{alertstate=\"firing\"}[$__range]), \"where\", \" \", \"instance\", \"device\", \"gpu\", \"source\", \"stream\", \"channel\", \"input\", \"pipeline\", \"stage\", \"queue\", \"cache\", \"model\", \"engine\", \"service\", \"check\", \"database\", \"operation\", \"route\", \"group\", \"mount\", \"interface\", \"sensor\", \"resource\", \"reason\", \"kind\", \"error\", \"xid\", \"output\", \"family\", \"rule_group\", \"listen\", \"alert\", \"hook\", \"task\"), \"where\", \"$1\", \"where\", \"\\\\s*(.*?)\\\\s*\"))",
                "Evaluations",
                "none",
            )])
            .first(&["priority", "alertname", "where", "severity"])
            .sorted(&[("priority", false), ("Evaluations", true)])
            .empty("no alert fired"),
        ]),
        closed("Incidents", &[
            lines("Open incidents", "none", "Incidents that are not resolved, by state.", &[q(
                "sum by (instance, state) (neural_incidents_open)",
                "{{state}}",
            )])
            .empty("no incidents are kept"),
            lines("Incidents opened in an hour", "none", "Incidents opened within an hour, by alert.", &[q(
                "topk(10, sum by (instance, alert) (increase(neural_incidents_total[1h])))",
                "{{alert}}",
            )])
            .empty("none was opened"),
            lines("Escalations in an hour", "none", "Incidents escalated within an hour, by reason, and those that wait for an acknowledgement now.", &[
                q("sum by (instance, reason) (increase(neural_incident_escalations_total[1h]))", "{{reason}}"),
                q("sum by (instance) (neural_incidents_escalated)", "not acknowledged now"),
            ]),
            lines("Time to acknowledge and to resolve", "s", "Median over an hour of the time from the opening of an incident to its acknowledgement, and from the start of its alert to the end.", &[
                q("histogram_quantile(0.5, sum by (instance, le) (increase(neural_incident_acknowledge_duration_seconds_bucket[1h])))", "acknowledge"),
                q("histogram_quantile(0.5, sum by (instance, le) (increase(neural_incident_resolve_duration_seconds_bucket[1h])))", "resolve"),
            ])
            .empty("no incident was acknowledged or over"),
            lines("Incidents on disk", "bytes", "Size of the incidents' file.", &[q(
                "sum by (instance) (neural_incidents_file_bytes)",
                "{{instance}}",
            )]),
            lines("Incidents without room", "cps", "Alerts that became no incident per second, and whether the incidents' file cannot be written now.", &[
                q("sum by (instance) (rate(neural_incidents_dropped_total[$__rate_interval]))", "dropped"),
                q("max by (instance) (neural_incidents_file_failing)", "cannot be written"),
            ]),
            lines("Age of the last success of tasks", "s", "Time since each task last succeeded. One that is overdue fires NeuralTaskOverdue.", &[q(
                "clamp_min(time() - max by (instance, task) (neural_task_last_success_timestamp_seconds), 0)",
                "{{task}}",
            )])
            .empty("no task succeeded yet, or none is configured"),
            lines("Tasks that fail or are overdue", "none", "Runs of tasks within an hour, those that failed, and whether a task is overdue now.", &[
                q("sum by (instance, task) (increase(neural_task_runs_total[1h]))", "{{task}}: runs"),
                q("sum by (instance, task) (increase(neural_task_failures_total[1h]))", "{{task}}: failures"),
                q("max by (instance, task) (neural_task_overdue)", "{{task}}: overdue"),
            ])
            .empty("no task is configured"),
            lines("Duration of tasks", "s", "How long the last run of each task took.", &[q(
                "max by (instance, task) (neural_task_last_duration_seconds)",
                "{{task}}",
            )])
            .empty("no task is configured"),
        ]),
    ],
};
