//! Alerts and incidents: what fires, what fired, how often and for how long.
//!
//! It reads the series that the server keeps of its own rules, so it shows alerts of this product,
//! whichever program delivers them.

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use super::WRITTEN;
use crate::catalog::Unit;
use crate::catalog::draw::{Panel, Rating, State, TROUBLE, state};
use crate::catalog::limit::{Limit, REGRESSION_CRITICAL, REGRESSION_WARNING, Side};

/// Whether a hook is run.
const HOOK: &[State] = &[state(0.0, "ready", Rating::Good), state(1.0, "paused", Rating::Bad)];

/// From here on a line is worse than its baseline, by the limit of its kind.
static REGRESSED: Limit = Limit {
    id: "regressed",
    help: "By how many times its limit a line is worse than its baseline",
    unit: Unit::None,
    value: 1.0,
    wrong: Side::Above,
};

/// A line that is compared, with what it is of in one label.
macro_rules! compared {
    ($metric:literal) => {
        concat!("label_join(", $metric, ", \"of\", \" \", \"pipeline\", \"stage\", \"device\", \"source\", \"stream\", \"cache\", \"model\", \"service\", \"database\", \"group\", \"gpu\")")
    };
}

pub(super) static BOARD: Board = Board {
    key: "alerts",
    title: "Alerts and incidents",
    about: "Which alerts fire and fired, how often and for how long.",
    pages: &["incident", "benchmark"],
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
                concat!("clamp_min(time() - min by (severity, priority, alertname, where) (", placed!("ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{alertstate=\"firing\"}"), "), 0)"),
                "For",
                "s",
            )])
            .first(&["priority", "where", "alertname", "severity"])
            .sorted(&[("Prio", false), ("For", true)])
            .seen(10)
            .empty("no alert fires"),
            view(Panel::States, "Alerts over time", "none", "When alerts of each component fired, and the highest priority of them; the table above names them. Several that start together have one cause: look at the first.", &[q(
                "max by (component) (\n  ALERTS{alertstate=\"firing\",priority=\"P0\"} * 4\n  or ALERTS{alertstate=\"firing\",priority=\"P1\"} * 3\n  or ALERTS{alertstate=\"firing\",priority=\"P2\"} * 2\n  or ALERTS{alertstate=\"firing\",priority=\"P3\"} * 1\n)",
                "{{component}}",
            )])
            .states(&[
                state(4.0, "P0", Rating::Bad),
                state(3.0, "P1", Rating::Odd),
                state(2.0, "P2", Rating::Fair),
                state(1.0, "P3", Rating::Plain),
            ])
            .empty("no alert fired")
            // The watchdog fires where rules are evaluated; without braces of its own name no choice hides it.
            .judged("{__name__=\"ALERTS\",alertname=\"NeuralWatchdog\"}", "not evaluated"),
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
            .empty("no alert began"),
            view(Panel::Table, "Alert history", "none", "Number of evaluations in which each alert fired within the selected range: minutes, at one per minute.", &[column(
                concat!("sum by (severity, priority, alertname, where) (", placed!("count_over_time(ALERTS{alertstate=\"firing\"}[$__range])"), ")"),
                "Evaluations",
                "none",
            )])
            .first(&["priority", "where", "alertname", "severity"])
            .sorted(&[("Prio", false), ("Evaluations", true)])
            .seen(10)
            .empty("no alert fired"),
        ]),
        closed("Incidents", &[
            lines("Open incidents", "none", "Incidents that are not resolved, by state.", &[q(
                "sum by (state) (neural_incidents_open)",
                "{{state}}",
            )])
            .empty("no incidents are kept"),
            lines("Incidents opened in an hour", "none", "Incidents opened within an hour, by severity.", &[q(
                "sum by (severity) (increase(neural_incidents_total[1h]))",
                "{{severity}}",
            )])
            .empty("none was opened"),
            lines("Escalations in an hour", "none", "Incidents escalated within an hour, by reason, and those that wait for an acknowledgement now.", &[
                q("sum by (reason) (increase(neural_incident_escalations_total[1h]))", "{{reason}}"),
                q("sum(neural_incidents_escalated)", "not acknowledged now"),
            ])
            .empty("none was escalated"),
            lines("Time to acknowledge and to resolve", "s", "Median over an hour of the time from the opening of an incident to its acknowledgement, and from the start of its alert to the end.", &[
                q("histogram_quantile(0.5, sum by (instance, le) (increase(neural_incident_acknowledge_duration_seconds_bucket[1h])))", "acknowledge"),
                q("histogram_quantile(0.5, sum by (instance, le) (increase(neural_incident_resolve_duration_seconds_bucket[1h])))", "resolve"),
            ])
            .empty("no incident was acknowledged or over"),
            view(Panel::Table, "Incidents, by alert", "none", "Incidents opened within the selected time, the most frequent alert first, and those that wait for an acknowledgement now.", &[
                column("round(sum by (alert) (increase(neural_incidents_total[$__range]))) > 0", "Opened", "none"),
                column("sum by (alert) (neural_incidents_escalated) > 0", "Escalated", "none"),
            ])
            .first(&["alert"])
            .sorted(&[("Opened", true)])
            .empty("no incident"),
            lines("Incidents on disk", "bytes", "Size of the incidents' file.", &[q(
                "sum by (instance) (neural_incidents_file_bytes)",
                "{{instance}}",
            )])
            .empty("no incidents are kept"),
            lines("Incidents without room", "cps", "Alerts that became no incident per second, for want of room.", &[q(
                "sum by (instance) (rate(neural_incidents_dropped_total[$__rate_interval]))",
                "{{instance}}",
            )])
            .empty("no incidents are kept"),
            view(Panel::States, "Incidents' file", "none", "Whether the incidents' file can be written. If not, the log says why; open incidents are in memory meanwhile.", &[q(
                "max by (instance) (neural_incidents_file_failing)",
                "{{instance}}",
            )])
            .states(WRITTEN)
            .beside(3)
            .empty("no incidents are kept"),
        ]),
        closed("Baselines", &[
            view(Panel::Table, "Worse than the baseline", "none", "What is worse now than in the baselines that the configuration names, by how many times its limit, and not by chance: 1 is at the limit. Beside it, what it is now as a share of the baseline; none where that has nothing.", &[
                column(concat!("max by (instance, baseline, metric, of) (", compared!("neural_baseline_regression_ratio"), ") >= 1"), "× limit", "none").limits(&[&REGRESSED, &REGRESSION_WARNING, &REGRESSION_CRITICAL]),
                column(concat!("max by (instance, baseline, metric, of) (", compared!("neural_baseline_ratio"), ") and on (instance, baseline, metric, of) max by (instance, baseline, metric, of) (", compared!("neural_baseline_regression_ratio"), ") >= 1"), "Of baseline", "percentunit"),
            ])
            .first(&["metric", "of", "baseline"])
            .sorted(&[("× limit", true)])
            .empty("no regression"),
            lines("Worst regression", "none", "By how many times its limit the worst line of each baseline is worse than in the baseline. 0 if none is.", &[q(
                "max by (baseline) (neural_baseline_regression_ratio)",
                "{{baseline}}",
            )])
            .limits(&[&REGRESSION_WARNING, &REGRESSION_CRITICAL])
            .beside(2)
            .empty("no baseline is configured"),
            view(Panel::States, "Comparisons", "none", "Whether the last minutes could be compared with each baseline, on all machines. If not, the log says why.", &[q(
                "max by (baseline) (neural_baseline_failing)",
                "{{baseline}}",
            )])
            .states(&[state(0.0, "compared", Rating::Good), state(1.0, "failed", Rating::Bad)])
            .beside(2)
            .empty("no baseline is configured"),
            lines("Age of the comparisons", "s", "Time since the last minutes were last compared with each baseline.", &[q(
                "clamp_min(time() - max by (baseline) (neural_baseline_compared_timestamp_seconds), 0)",
                "{{baseline}}",
            )])
            .empty("no baseline is configured"),
        ]),
        closed("Actions", &[
            view(Panel::Table, "Hooks", "none", "Each hook with the steps of its runs within the selected time. Succeeded: the alert was over in time. Failed: it was not, or the hook failed. Not run: in its cooldown, paused, or for want of room. A hook that failed five times in a row is paused for ten minutes.", &[
                column("max by (instance, hook) (neural_action_breaker_open)", "State", "none").states(HOOK),
                column("round(sum by (instance, hook) (increase(neural_actions_total{step=\"failed\"}[$__range]))) or 0 * max by (instance, hook) (neural_action_breaker_open)", "Failed", "none").zero_wanted(),
                column("round(sum by (instance, hook) (increase(neural_actions_total{step=\"succeeded\"}[$__range]))) or 0 * max by (instance, hook) (neural_action_breaker_open)", "Succeeded", "none"),
                column("round(sum by (instance, hook) (increase(neural_actions_total{step=\"retried\"}[$__range])))", "Retried", "none"),
                column("round(sum by (instance, hook) (increase(neural_actions_total{step=\"dry_run\"}[$__range])))", "Dry runs", "none"),
                column("round(sum by (instance, hook) (increase(neural_actions_total{step=~\"cooling_down|breaker_open|no_room\"}[$__range])))", "Not run", "none"),
            ])
            .first(&["hook", "Value #A", "Value #B", "Value #C"])
            .sorted(&[("Failed", true)])
            .empty("no hook"),
            view(Panel::States, "Hooks over time", "none", "When each hook was paused because it failed five times in a row, on any machine. Its alerts are escalated at once meanwhile.", &[q(
                "max by (hook) (neural_action_breaker_open)",
                "{{hook}}",
            )])
            .states(HOOK)
            .beside(2)
            .empty("no hook"),
            view(Panel::Columns, "Actions that failed", "none", "Failed actions of each hook in each minute: the hook failed, or the alert was not over in time.", &[q(
                "60 * sum by (hook) (rate(neural_actions_total{step=\"failed\"}[$__rate_interval]))",
                "{{hook}}",
            )])
            .beside(2)
            .empty("none failed"),
            lines("Hooks that run", "none", "Hooks that run at a time.", &[q("sum(neural_actions_running)", "running")])
                .beside(3)
                .empty("no hook"),
            lines("Incidents without a hook", "none", "Incidents of the last hour that should have had a hook and had none, by priority.", &[q(
                "sum by (incident_priority) (increase(neural_actions_missing_total[1h]))",
                "{{incident_priority}}",
            )])
            .beside(3)
            .empty("none"),
            lines("Audit lines lost", "cps", "Lines of the audit of actions that were lost per second, for want of room or because its file cannot be written.", &[q(
                "sum by (instance) (rate(neural_action_audit_lines_dropped_total[$__rate_interval]))",
                "{{instance}}",
            )])
            .beside(3)
            .empty("no hook"),
        ]),
        closed("Tasks", &[
            view(Panel::Table, "Tasks", "none", "Each task with its runs within the selected time. One that is overdue fires NeuralTaskOverdue.", &[
                column("max by (instance, task) (neural_task_overdue)", "Overdue", "none").states(TROUBLE),
                column("clamp_min(time() - max by (instance, task) (neural_task_last_success_timestamp_seconds), 0)", "Last success", "s"),
                column("round(sum by (instance, task) (increase(neural_task_runs_total[$__range])))", "Runs", "none"),
                column("round(sum by (instance, task) (increase(neural_task_failures_total[$__range])))", "Failures", "none").zero_wanted(),
                column("max by (instance, task) (neural_task_last_duration_seconds)", "Duration", "s"),
            ])
            .first(&["task", "Value #A", "Value #D"])
            .sorted(&[("Overdue", true)])
            .empty("no task is configured"),
            view(Panel::States, "Tasks over time", "none", "When each task was overdue, on any machine.", &[q(
                "max by (task) (neural_task_overdue)",
                "{{task}}",
            )])
            .states(&[state(0.0, "on time", Rating::Good), state(1.0, "overdue", Rating::Bad)])
            .beside(2)
            .empty("no task is configured"),
            lines("Duration of tasks", "s", "How long the last run of each task took.", &[q(
                "max by (task) (neural_task_last_duration_seconds)",
                "{{task}}",
            )])
            .beside(2)
            .empty("no task is configured"),
        ]),
    ],
};
