//! Page: how is what others depend on, looked at from here?

use super::draw::{Draw, Panel, Rating, State, state};
use super::{Keep, Metric, Page, Unit};
use crate::event::{Body, Kind, ProbeState, Topic};

/// How is what others depend on, looked at from here?
pub static PAGE: Page = Page {
    id: "probe",
    title: "Probes",
    about: "Endpoints, ports, processes, units, commands and names that the agent looks at itself: how each is now, how \
            long it was, and how fast it answers. A target that does not answer leaves its source up.",
    metrics: &[&STATUS, &SUCCESS, &DURATION, &STATE_SECONDS, &CRITICAL],
};

/// What the values of the status mean.
pub const STATES: &[State] = &[
    state(0.0, "healthy", Rating::Good),
    state(1.0, "degraded", Rating::Odd),
    state(2.0, "unhealthy", Rating::Bad),
    state(3.0, "unknown", Rating::Plain),
];

/// What every entry of this page has in common.
const ENTRY: Metric =
    Metric { labels: &["source"], keep: Keep::Always, on: &[Topic::Probe], ..Metric::BLANK };

static STATUS: Metric = Metric {
    name: "probe_status",
    prompt: true,
    help: "State of the target: 0 healthy, 1 degraded, 2 unhealthy, 3 unknown",
    note: "Unhealthy after as many failures in a row as `failures` says, and what it was until then. Unknown before the \
           first attempt, and while no attempt can be made; the source is then down",
    draw: Draw { panel: Panel::States, states: STATES, ..Draw::BLANK },
    read: |event, row| {
        if let Body::Probe(probe) = event.body {
            row.set(&[&row.source()], probe.state.code());
        }
    },
    ..ENTRY
};

static SUCCESS: Metric = Metric {
    name: "probe_success",
    help: "Whether the last attempt found the target as it should be, late or not (1), or did not (0)",
    read: |event, row| {
        if let Body::Probe(probe) = event.body
            && let Some(attempt) = probe.attempt
        {
            row.set(&[&row.source()], f64::from(attempt.ok));
        }
    },
    ..ENTRY
};

static DURATION: Metric = Metric {
    name: "probe_duration",
    help: "Duration of the last attempt that was answered",
    unit: Unit::Seconds,
    read: |event, row| {
        if let Body::Probe(probe) = event.body
            && let Some(seconds) = probe.attempt.and_then(|attempt| attempt.seconds)
        {
            row.set(&[&row.source()], seconds);
        }
    },
    ..ENTRY
};

static STATE_SECONDS: Metric = Metric {
    name: "probe_state",
    help: "Time that the target spent in each state",
    note: "Grows with each attempt; the time before it belongs to the state that held until then",
    kind: Kind::Counter,
    unit: Unit::Seconds,
    labels: &["source", "state"],
    read: |event, row| {
        if let Body::Probe(probe) = event.body {
            for state in ProbeState::ALL {
                let held = if *state == probe.before { probe.held } else { 0.0 };
                row.add(&[&row.source(), state.as_str()], held);
            }
        }
    },
    ..ENTRY
};

static CRITICAL: Metric = Metric {
    name: "probe_critical",
    help: "Whether others depend on the target, as the configuration says (1), or not (0)",
    read: |event, row| {
        if let Body::Probe(probe) = event.body {
            row.set(&[&row.source()], f64::from(probe.critical));
        }
    },
    ..ENTRY
};
