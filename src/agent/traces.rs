//! The spans of a running agent: which are collected and where they are sent, sessions as spans, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Agent, place};
use crate::backoff::draw;
use crate::clock::now;
use crate::metrics::{DroppedSpans, OfQueue, OfTarget, Own};
use crate::respond::OpenTrace;
use crate::respond::traces::{Account, DROPPED, Report, Traces};
use crate::session::{SessionFilter, State};
use crate::trace::{EndedSession, Sampling, SessionEvent, SessionTrace, Sessions};

/// Sessions that are looked at: those that may be open at once.
const SESSIONS: usize = 256;
/// The newest sessions, which are looked at whether they are open or not.
const NEWEST: usize = 64;
/// Open incidents that are looked at.
const INCIDENTS: usize = 1_000;

/// What sends spans, if anything does, and what is known of sessions and incidents.
#[derive(Debug, Default)]
pub(super) struct Tracing {
    running: Mutex<Option<Traces>>,
    known: Mutex<OpenItems>,
    /// Of which trace is what hooks do: of the session that began last of those that are open, where sessions are sent.
    pub(super) parent: OpenTrace,
}

/// What was open when it was last looked at.
#[derive(Debug, Default)]
struct OpenItems {
    sessions: Sessions,
    /// Open incidents by id, with what is said of them when they are over.
    incidents: BTreeMap<String, Incident>,
    /// When the first look was, ms, and the sessions among the newest that became spans: one may be over before it was seen open.
    since: Option<i64>,
    done: BTreeSet<String>,
    /// Whether it was looked at incidents before: those that are open at first did not begin now.
    looked: bool,
}

/// What is said of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Incident {
    alert: String,
    severity: String,
    /// What it is of: a device, a source, a pipeline.
    of: String,
    /// When it was opened, ms.
    opened: i64,
}

/// Labels of alerts that say what it is of, the first that is there.
const OF: [&str; 5] = ["device", "stream", "source", "pipeline", "input"];

impl Agent {
    /// Sends spans as the configuration says, in the place of what is sent now.
    pub(super) async fn trace(&self) {
        let settings = &self.config.trace;
        let before = self.tracing.running.lock().take();
        let wanted = !settings.targets.is_empty();
        if wanted {
            let sampling = Some(Arc::new(Sampling::new(&settings.sampling)));
            self.hub.lock().collect_traces(sampling, draw());
        }
        let running = match before {
            Some(running) if running.is(settings) => Some(running),
            Some(running) if wanted => Some(running.configure(&self.hub, settings).await),
            Some(running) => {
                self.count(&running.end().await);
                self.hub.lock().collect_traces(None, 0);
                None
            }
            None if wanted => {
                let folder = self.config.state_directory.clone().or_else(place::state_folder);
                if folder.is_none() && settings.queue.disk.0 > 0 {
                    tracing::warn!("spans that wait are kept in memory alone: there is no state directory");
                }
                Some(Traces::start(&self.hub, settings, folder))
            }
            None => None,
        };
        *self.tracing.running.lock() = running;
        self.own.trace_failing.clear();
        self.own.trace_waiting.clear();
        self.own.trace_queue.clear();
        self.look_at_traces();
    }

    /// The agent's second: sessions and incidents, and the metrics.
    pub(super) fn look_at_traces(&self) {
        let report = self.tracing.running.lock().as_ref().map(Traces::report);
        if report.is_none() || !self.config.trace.sessions {
            self.tracing.parent.store(None);
        }
        if let Some(report) = report {
            if self.config.trace.sessions {
                self.look_at_sessions();
            }
            self.count(&report);
        }
    }

    /// Sends what waits, for a while.
    pub(super) async fn end_traces(&self) {
        let running = self.tracing.running.lock().take();
        if let Some(running) = running {
            self.count(&running.end().await);
        }
    }

    fn count(&self, report: &Report) {
        self.own.trace_unsampled.inc_by(report.unsampled);
        for account in &report.targets {
            count(&self.own, account);
        }
    }

    /// What began and ended of sessions and incidents since the last look.
    fn look_at_sessions(&self) {
        let Some(desk) = self.site.sessions.load_full() else { return };
        let mut known = self.tracing.known.lock();
        let mut open = Vec::new();
        desk.0.list(
            &SessionFilter { states: vec![State::Open], ..SessionFilter::default() },
            &mut |session| {
                open.push(session.id.clone());
                open.len() < SESSIONS
            },
        );
        // The newest is listed first.
        let parent = open.first().map(|id| SessionTrace::of(id).context());
        self.tracing.parent.store(parent.map(Arc::new));
        let mut over = known.sessions.look(&open);
        let since = *known.since.get_or_insert_with(|| now().wall_milliseconds());
        let (mut listed, mut looked) = (BTreeSet::new(), 0);
        desk.0.list(&SessionFilter::default(), &mut |session| {
            if session.state != State::Open && session.start >= since {
                listed.insert(session.id.clone());
            }
            looked += 1;
            looked < NEWEST
        });
        over.extend(
            listed
                .iter()
                .filter(|id| !known.done.contains(*id) && !over.contains(id))
                .cloned()
                .collect::<Vec<_>>(),
        );
        known.done = listed;
        self.look_at_incidents(&mut known);
        for id in over {
            // One that was forgotten meanwhile has no times.
            let Ok(session) = desk.0.find(&id) else { continue };
            let over = EndedSession {
                id: &session.id,
                origin: session.origin.as_str(),
                of: &session.of,
                state: session.state.as_str(),
                time: (nanos(session.start), nanos(session.end.unwrap_or(session.seen))),
                failed: session.state == State::Failed,
            };
            if let Some(outbox) = self.hub.lock().traces() {
                outbox.end(&mut known.sessions, &over);
            }
        }
    }

    fn look_at_incidents(&self, known: &mut OpenItems) {
        let Some(desk) = self.site.incidents.load_full() else { return };
        let mut open = BTreeMap::new();
        desk.0.open(&mut |incident| {
            if open.len() < INCIDENTS {
                let of = OF.iter().map(|name| incident.labels.get(name)).find(|of| !of.is_empty());
                let said = Incident {
                    alert: incident.alert.clone(),
                    severity: incident.severity.clone(),
                    of: of.unwrap_or_default().to_owned(),
                    opened: incident.opened,
                };
                open.insert(incident.id.clone(), said);
            }
        });
        let OpenItems { sessions, incidents, looked, .. } = known;
        let mut say = |name: &str, at: i64, id: &str, incident: &Incident| {
            let attributes = [
                ("neural.incident.id", id),
                ("neural.alert", &*incident.alert),
                ("neural.severity", &*incident.severity),
                ("neural.of", &*incident.of),
            ];
            sessions.happened(&SessionEvent { at: nanos(at), name, attributes: &attributes });
        };
        if *looked {
            let begun = open.iter().filter(|(id, _)| !incidents.contains_key(*id));
            begun.for_each(|(id, incident)| say("incident.opened", incident.opened, id, incident));
            let over = incidents.iter().filter(|(id, _)| !open.contains_key(*id));
            for (id, incident) in over {
                let at = desk.0.find(id).ok().and_then(|incident| incident.resolved);
                say("incident.resolved", at.unwrap_or_else(|| now().wall_milliseconds()), id, incident);
            }
        }
        (*incidents, *looked) = (open, true);
    }
}

/// A time in ms as ns.
fn nanos(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default().saturating_mul(1_000_000)
}

/// Adds what became of spans since the last report.
fn count(own: &Own, account: &Account) {
    let of = OfTarget { target: account.target.clone() };
    own.trace_sent.get_or_create_owned(&of).inc_by(account.sent);
    own.trace_failures.get_or_create_owned(&of).inc_by(account.failures);
    for reason in DROPPED {
        let of = DroppedSpans { target: account.target.clone(), reason };
        let dropped = account.dropped.get(reason).copied().unwrap_or_default();
        own.trace_dropped.get_or_create_owned(&of).inc_by(dropped);
    }
    // What is counted stays; how a target is now goes with it.
    if account.ended {
        return;
    }
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    own.trace_failing.get_or_create_owned(&of).set(account.failing.is_some().into());
    own.trace_waiting.get_or_create_owned(&of).set(whole(account.waiting));
    for (place, bytes) in [("memory", account.memory), ("disk", account.disk)] {
        let of = OfQueue { target: account.target.clone(), place };
        own.trace_queue.get_or_create_owned(&of).set(whole(bytes));
    }
}
