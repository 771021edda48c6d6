//! Alerts that only the agent's log can raise, for a ruler that evaluates logs: what it writes before it can be
//! scraped, and what no metric tells. `${logs}` stands for the selector of its log, as it is configured.
//!
//! Their expressions are LogQL, so they are in none of the chapters that Prometheus evaluates. They keep the labels of
//! the log's streams, and those are whatever the collector of the logs gave them.

use super::{Alert, Chapter, Level, Priority, Severity};

/// The alerts on the agent's log.
pub static LOGS: Chapter = Chapter {
    page: "agent",
    group: "neural-agent-log",
    interval: 60,
    records: &[],
    alerts: &[&REFUSED, &BROKEN, &ERRORS],
};

static REFUSED: Alert = Alert {
    name: "NeuralLogCannotStart",
    level: Level::new(
        Severity::High,
        Priority::P1,
        0,
        "count_over_time(${logs} |~ `^neural-exporter: ` [5m]) > 0",
    ),
    local: false,
    summary: "An agent cannot start, or ended with an error",
    description: "{{ $value }} lines in the last five minutes say why. Until it runs, the state of its devices and pipelines is unknown.",
    meaning: "Before its log starts, and when it exits, the agent writes errors as plain lines that begin with its name: an invalid configuration, an address in use. No metric shows them, because there is no agent to scrape.",
    immediate: &[
        "Read the lines: they name the file, the line and what to write instead.",
        "Try the configuration: `neural-exporter check --config /etc/neural-exporter/config.yml`.",
    ],
    short_term: &["Go back to the previous configuration."],
    long_term: &["Run `neural-exporter check` before you deploy a configuration."],
    queries: &["${logs} |~ `^neural-exporter: `"],
    related: &["NeuralAgentDown", "NeuralAgentRestarting"],
    ..Alert::BLANK
};

static BROKEN: Alert = Alert {
    name: "NeuralLogPanic",
    level: Level::new(Severity::High, Priority::P1, 0, "count_over_time(${logs} |= `panicked at` [5m]) > 0"),
    local: false,
    summary: "A thread of an agent panicked",
    description: "{{ $value }} log lines in the last five minutes report a bug in the agent. The other threads continue; the data of that thread is missing.",
    meaning: "A thread of the agent reached a state that should be impossible, and ended. The line names the place in the source code.",
    immediate: &[
        "See under sources in `/metrics` which one is down, and restart the agent if it does not come back.",
    ],
    short_term: &["Report the line with the version of the agent and its input at that time."],
    long_term: &["Install the version that fixes it."],
    queries: &["${logs} |= `panicked at`"],
    related: &["NeuralSourceDown"],
    ..Alert::BLANK
};

static ERRORS: Alert = Alert {
    name: "NeuralLogErrors",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "count_over_time(${logs} |~ `^([^ ]+ )?ERROR |\"level\":\"ERROR\"` [15m]) > 0",
    ),
    local: false,
    summary: "An agent writes errors into its log",
    description: "{{ $value }} errors in the last fifteen minutes: something you asked for is not done.",
    meaning: "A warning resolves by itself; an error stays until you act: a reload with a bad configuration, a target that cannot be provisioned, a thread that does not start.",
    immediate: &["Read the lines: they say what was tried, and what to do."],
    short_term: &["Reload or restart the agent when the cause is gone."],
    long_term: &["Run `neural-exporter check` before a reload."],
    queries: &["${logs} |~ `^([^ ]+ )?ERROR |\"level\":\"ERROR\"`", "${logs} |= `WARN`"],
    related: &["NeuralAgentReloadFailed"],
    ..Alert::BLANK
};
