//! The one place where events are folded into state.
//!
//! A source locks the hub for one batch of events, a scrape for one slice of its text. Nobody
//! holds the lock across an `await`, so a reader waits for microseconds and nothing needs a queue
//! between a socket and the series: what the agent cannot take yet waits in the kernel, where it
//! is bounded and, for datagrams, its loss is counted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::analysis::{Analyser, Budget, EnvelopeView, Envelopes, Peaks, Rates};
use crate::event::{Body, Event, Fault, FaultKind, Link, Origin, Port, SourceId, Timestamp};
use crate::metrics::{Cursor, Format, Registry};
use crate::session::SessionNotice;
use crate::trace::{Outbox, PassedSpans, Sampling};

/// Lines written to a scrape under one lock: some 100 microseconds.
const SLICE: usize = 2_000;
/// Names of sources, beyond which one that came from outside is not taken: streams named by the second would fill the
/// memory otherwise.
const MOST: usize = 4_096;
/// What pipelines say of sessions within a second; what is more is counted by the series alone.
const SESSIONS: usize = 1_000;

/// Everything the agent knows, behind one lock.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug)]
pub struct State {
    /// The series.
    pub registry: Registry,
    /// The day's tokens and cost.
    pub budget: Budget,
    /// The busiest moments of the last minute.
    pub peaks: Peaks,
    /// What the last seconds of signals looked like, where that is wanted.
    envelopes: Option<Envelopes>,
    /// How devices stream.
    rates: Rates,
    /// Events counted so far.
    accepted: u64,
    complaint_log: ComplaintLog,
    /// What was said of sessions since it was last taken.
    sessions: Vec<SessionNotice>,
    /// Spans that are to be sent, where any are.
    traces: Option<Box<Outbox>>,
    alarm: Alarm,
}

/// Who is told that something changed whose rules are evaluated at once.
#[derive(Default)]
struct Alarm(Option<Box<dyn Fn() + Send>>);

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Alarm").field(&self.0.is_some()).finish()
    }
}

impl Default for Hub {
    /// A hub of the built-in catalogue, with the limits that nobody changed.
    fn default() -> Self {
        let registry =
            Registry::new(crate::catalog::PAGES, crate::metrics::Limits::default(), HashMap::new());
        let peaks = Peaks::new(std::time::Duration::from_millis(100));
        Self { state: Mutex::new(State::new(registry, Budget::default(), peaks)) }
    }
}

impl Hub {
    /// A hub of this state.
    #[must_use]
    pub fn new(registry: Registry, budget: Budget, peaks: Peaks) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(registry, budget, peaks)) })
    }

    /// Waits for the state. Held for one batch of events or one slice of a scrape, never across an `await`.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Adds a source, under the name its series and log lines have.
    pub fn add_source(&self, name: &str) -> SourceId {
        self.lock().add_source(name)
    }

    /// The source of this name, which is added if there is none: that of a thing that a source finds.
    pub fn source_named(&self, name: &str) -> SourceId {
        let mut state = self.lock();
        state.known(name).unwrap_or_else(|| state.add_source(name))
    }

    /// The same for a name that came from outside. Where there are too many it takes the place of the one that was
    /// forgotten first; nothing if none was.
    pub fn source_found(&self, name: &str) -> Option<SourceId> {
        let mut state = self.lock();
        if let Some(known) = state.known(name) {
            state.complaint_log.forgotten.retain(|source| *source != known);
            return Some(known);
        }
        if state.complaint_log.names.len() < MOST {
            Some(state.add_source(name))
        } else {
            state.replace_source(name)
        }
    }

    /// What is to be said of refused input now. The log is written by the caller, without the
    /// lock: a log that nobody reads must not stop the data.
    pub fn complaints(&self, now: Timestamp) -> Vec<Complaint> {
        self.lock().complaint_log.due(now.steady_second())
    }

    /// Appends every series to `out` as it is at `now`, a slice at a time.
    pub fn write(&self, format: Format, now: Timestamp, out: &mut Vec<u8>) {
        self.write_from(format, Cursor::new(now), out);
    }

    /// The same from a cursor on, with what it says.
    pub fn write_from(&self, format: Format, cursor: Cursor, out: &mut Vec<u8>) {
        let mut cursor = Some(cursor);
        while let Some(from) = cursor {
            cursor = self.lock().registry.write(format, &from, SLICE, out);
        }
    }
}

impl State {
    fn new(registry: Registry, budget: Budget, peaks: Peaks) -> Self {
        Self {
            registry,
            budget,
            peaks,
            envelopes: None,
            rates: Rates::default(),
            accepted: 0,
            complaint_log: ComplaintLog::default(),
            sessions: Vec::new(),
            traces: None,
            alarm: Alarm::default(),
        }
    }

    /// Who is told that something changed whose rules are evaluated at once. It is called with the lock held, and waits for nothing.
    pub fn set_alarm(&mut self, alarm: Box<dyn Fn() + Send>) {
        self.alarm = Alarm(Some(alarm));
    }

    /// Has the history look now.
    pub fn ring(&self) {
        if let Alarm(Some(alarm)) = &self.alarm {
            alarm();
        }
    }

    fn known(&self, name: &str) -> Option<SourceId> {
        let place = self.complaint_log.names.iter().position(|known| **known == *name)?;
        u32::try_from(place).ok().map(SourceId)
    }

    /// Gives the place of a source that was forgotten to another one.
    fn replace_source(&mut self, name: &str) -> Option<SourceId> {
        let source = self.complaint_log.forgotten.pop_front()?;
        self.complaint_log.rename(source, name);
        self.registry.rename_source(source, name);
        Some(source)
    }

    fn add_source(&mut self, name: &str) -> SourceId {
        self.complaint_log.names.push(name.into());
        self.registry.add_source(name)
    }

    /// Folds one event: first the analysers see it, then the series.
    pub fn fold(&mut self, event: &Event<'_>) {
        self.budget.observe(event);
        self.peaks.observe(event);
        self.rates.observe(event);
        match self.registry.fold(event) {
            Err(kind) => {
                self.fold(&Event { body: Body::Fault(Fault { kind, bytes: 0 }), ..*event });
                if let Body::Observation(observation) = &event.body {
                    self.complaint_log.refused(event.source, observation.key);
                }
            }
            Ok(()) => self.accepted += event_count(&event.body),
        }
        if let Some(traces) = &mut self.traces {
            traces.observe(event);
        }
        match event.body {
            Body::Fault(fault) => self.complaint_log.fault(event.source, fault.kind),
            Body::Refused(line) => self.complaint_log.refused(event.source, line),
            // Who says that a port is not well says why right after.
            Body::Link(Link::Up | Link::Waiting) | Body::Port(Port::State(_)) => {
                drop(self.complaint_log.down.remove(&event.source));
            }
            Body::Tick => self.derive(event),
            Body::Session(session) if self.sessions.len() < SESSIONS => {
                let (pipeline, name) = (session.pipeline.to_owned(), session.name.to_owned());
                self.sessions.push(SessionNotice { pipeline, name, step: session.step, at: event.at });
            }
            Body::Device(_) | Body::Samples(_) => {
                if let Some(envelopes) = &mut self.envelopes {
                    envelopes.observe(event);
                }
            }
            _ => {}
        }
        if self.registry.take_changed()
            && let Alarm(Some(alarm)) = &self.alarm
        {
            alarm();
        }
    }

    /// The source is no longer configured: what was known of its present is forgotten.
    pub fn retire(&mut self, source: SourceId) {
        self.complaint_log.retire(source);
        self.rates.retire(source);
        self.envelopes.iter_mut().for_each(|envelopes| envelopes.retire(source));
        self.registry.retire(source);
    }

    /// Whether the last seconds of signals are kept to be seen. What was kept goes when they are not.
    pub fn keep_envelopes(&mut self, wanted: bool) {
        if !wanted {
            self.envelopes = None;
        } else if self.envelopes.is_none() {
            let mut envelopes = Envelopes::default();
            // A device says what it is once.
            self.rates.devices().for_each(|(source, device)| envelopes.begin(source, device));
            self.envelopes = Some(envelopes);
        }
    }

    /// What the last seconds of a device's signal looked like; nothing if that is not kept, or it does not stream.
    #[must_use]
    pub fn envelope(&self, device: &str, now: Timestamp) -> Option<EnvelopeView> {
        self.envelopes.as_ref()?.seen(self.known(device)?, now)
    }

    /// Whether the last seconds of signals are kept.
    #[must_use]
    pub fn keeps_envelopes(&self) -> bool {
        self.envelopes.is_some()
    }

    /// The source is down, or still is, and why. Says whether that is news for the log.
    pub fn down(&mut self, at: Timestamp, source: SourceId, why: &str) -> bool {
        self.complaint_log.down(at.steady_second(), source, why)
    }

    /// Why the source of this name is down, as far as that is known.
    #[must_use]
    pub fn why(&self, name: &str) -> Option<&str> {
        self.known(name).and_then(|source| self.complaint_log.down.get(&source)).map(|down| &*down.why)
    }

    /// What pipelines said of sessions since this was last asked.
    pub fn take_sessions(&mut self) -> Vec<SessionNotice> {
        std::mem::take(&mut self.sessions)
    }

    /// Collects spans from now on, of which this decides; or none, and what was collected is gone. `seed` is by chance.
    pub fn collect_traces(&mut self, sampling: Option<Arc<Sampling>>, seed: u64) {
        match (sampling, &mut self.traces) {
            (None, _) => self.traces = None,
            (Some(sampling), Some(traces)) => traces.set_sampling(sampling),
            (Some(sampling), none) => *none = Some(Box::new(Outbox::new(sampling, seed))),
        }
    }

    /// What decides of spans, where they are collected.
    #[must_use]
    pub fn sampling(&self) -> Option<Arc<Sampling>> {
        self.traces.as_ref().map(|traces| traces.sampling())
    }

    /// Passes on what came as spans.
    pub fn pass(&mut self, passed: PassedSpans) {
        if let Some(traces) = &mut self.traces {
            traces.pass(passed);
        }
    }

    /// The spans that are collected, where any are.
    pub fn traces(&mut self) -> Option<&mut Outbox> {
        self.traces.as_deref_mut()
    }

    /// Events counted so far: those that sources reported, without the agent's own.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Folds what the analysers make of the last second. Derived events are shown to no analyser.
    fn derive(&mut self, tick: &Event<'_>) {
        let Self { registry, budget, peaks, rates, .. } = self;
        // Derived events are of the agent's making: the catalogue gives each its metric.
        let mut fold = |source: Option<SourceId>, body: Body<'_>| {
            debug_assert_eq!(body.topic().origin(), Origin::Derived, "what sources say is not derived");
            let source = source.unwrap_or(tick.source);
            let folded = registry.fold(&Event { at: tick.at, source, body });
            debug_assert!(folded.is_ok(), "only observations find no series");
        };
        let analysers: [&mut dyn Analyser; 3] = [budget, peaks, rates];
        for analyser in analysers {
            analyser.report(tick.at, &mut fold);
        }
    }
}

/// How many events a source reported with this one, rather than news of the source. A frame of a device is an
/// event, however many come in one read.
fn event_count(body: &Body<'_>) -> u64 {
    if let Body::Samples(samples) = body {
        return samples.frames.into();
    }
    u64::from(body.topic().origin() == Origin::Fact)
}

/// What a source sent and was refused since this was last said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The source's name.
    pub source: Arc<str>,
    /// What was wrong.
    pub kind: FaultKind,
    /// How often.
    pub count: u64,
    /// The beginning of one such line, if it was a line. What senders write is theirs: it is for a log that was asked
    /// for it, and for nothing else.
    pub line: Option<Box<str>>,
}

/// Remembers what was refused until it is said, and says it seldom enough that nobody drowns in it.
#[derive(Debug, Default)]
struct ComplaintLog {
    names: Vec<Arc<str>>,
    /// Sources that were found and are no longer there, in the order in which they went.
    forgotten: VecDeque<SourceId>,
    said: HashMap<(SourceId, FaultKind), LoggedAt>,
    /// What the last fault was.
    last: Option<(SourceId, FaultKind)>,
    /// Sources that are down, with the reason if it is known.
    down: HashMap<SourceId, Down>,
}

#[derive(Debug)]
struct Down {
    why: String,
    /// What was logged, and when.
    said: String,
    at: u32,
}

#[derive(Debug, Default)]
struct LoggedAt {
    /// When it was logged; 0 if never.
    at: u32,
    unsaid: u64,
    line: Option<Box<str>>,
}

/// Bytes of a refused line that are kept.
const EXCERPT: usize = 160;

/// Seconds between two log lines of one kind of fault of one source, and between two reasons why it is down.
const QUIET: u32 = 10;
/// Complaints of one second; the others wait for the next.
const COMPLAINTS_PER_SECOND: usize = 20;
/// Bytes that are kept of a reason.
const REASON: usize = 500;

impl ComplaintLog {
    fn retire(&mut self, source: SourceId) {
        self.down.remove(&source);
        // What the configuration names is bounded by it.
        let found = self.names.get(source.0 as usize).is_some_and(|name| name.contains('/'));
        if found && !self.forgotten.contains(&source) {
            self.forgotten.push_back(source);
        }
    }

    fn rename(&mut self, source: SourceId, name: &str) {
        if let Some(known) = self.names.get_mut(source.0 as usize) {
            *known = name.into();
        }
        self.said.retain(|(of, _), _| *of != source);
        self.down.remove(&source);
    }

    fn fault(&mut self, source: SourceId, kind: FaultKind) {
        self.said.entry((source, kind)).or_default().unsaid += 1;
        self.last = Some((source, kind));
    }

    /// Keeps the first line of each kind until it is said.
    fn refused(&mut self, source: SourceId, line: &[u8]) {
        let of = self.last.filter(|last| last.0 == source).and_then(|last| self.said.get_mut(&last));
        if let Some(said) = of.filter(|said| said.line.is_none()) {
            said.line = Some(line.get(..EXCERPT).unwrap_or(line).escape_ascii().to_string().into());
        }
    }

    fn down(&mut self, now: u32, source: SourceId, why: &str) -> bool {
        let why = why.get(..why.floor_char_boundary(REASON)).unwrap_or_default();
        let Some(down) = self.down.get_mut(&source) else {
            let (why, said) = (why.to_owned(), why.to_owned());
            self.down.insert(source, Down { why, said, at: now });
            return true;
        };
        why.clone_into(&mut down.why);
        // Numbers in a reason may be others each time: a line, a size, how long it took.
        let plain = |why: &str| why.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let news = now >= down.at.saturating_add(QUIET) && plain(why) != plain(&down.said);
        if news {
            why.clone_into(&mut down.said);
            down.at = now;
        }
        news
    }

    fn due(&mut self, now: u32) -> Vec<Complaint> {
        let Self { names, said, .. } = self;
        let is_time = |s: &LoggedAt| s.at == 0 || now >= s.at.saturating_add(QUIET);
        let due = said.iter_mut().filter(|(_, s)| s.unsaid > 0 && is_time(s));
        due.take(COMPLAINTS_PER_SECOND)
            .map(|(&(source, kind), s)| {
                let (count, line) = (std::mem::take(&mut s.unsaid), s.line.take());
                s.at = now;
                let source = names.get(source.0 as usize).cloned().unwrap_or_else(|| "agent".into());
                Complaint { source, kind, count, line }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_not_without_end() {
        let hub = Hub::default();
        let first = hub.source_found("lsl/0");
        for number in 1..2 * MOST {
            hub.source_found(&format!("lsl/{number}"));
        }
        assert_eq!(hub.source_found("one more"), None);
        assert_eq!(hub.lock().complaint_log.names.len(), MOST);
        // Who is known stays known, and the configuration always has room.
        assert!(first.is_some() && hub.source_found("lsl/0") == first);
        assert_eq!(hub.source_named("configured"), hub.source_named("configured"));
    }

    #[test]
    fn a_name_that_was_forgotten_gives_its_place_to_another() {
        let hub = Hub::default();
        hub.add_source("lsl");
        let found = |name: &str| hub.source_found(name);
        let bring = |source, bytes| {
            let body = Body::Received(crate::event::Received { bytes, reads: 1, events: 1 });
            hub.lock().fold(&Event { at: Timestamp::both(1_000_000_000), source, body });
        };
        for number in 1..MOST {
            bring(found(&format!("lsl/{number}")).unwrap(), 7);
        }
        assert_eq!(found("lsl/new"), None);
        let [one, two] = ["lsl/1", "lsl/2"].map(|name| found(name).unwrap());
        hub.lock().retire(one);
        hub.lock().retire(two);
        // One that is back keeps its place.
        assert_eq!(found("lsl/1"), Some(one));
        assert_eq!(found("lsl/new"), Some(two));
        assert_eq!(found("lsl/newer"), None);
        bring(two, 5);
        let state = hub.lock();
        let bytes =
            |name| state.registry.number("neural_source_received_bytes", &format!("source=\"{name}\""));
        assert_eq!((bytes("lsl/2"), bytes("lsl/new"), bytes("lsl/1")), (Some(7.0), Some(5.0), Some(7.0)));
        drop(state);
        // What the first one left is not the second one's.
        hub.lock().retire(two);
        assert_eq!(found("lsl/2"), Some(two));
        bring(two, 1);
        assert_eq!(hub.lock().registry.number("neural_source_received_bytes", "source=\"lsl/2\""), Some(8.0));
        assert_eq!(hub.lock().complaint_log.names.len(), MOST);
    }

    #[test]
    fn the_reason_why_a_source_is_down_is_the_last_one() {
        let hub = Hub::default();
        let source = hub.add_source("s");
        let down =
            |second: u64, why: &str| hub.lock().down(Timestamp::both(second * 1_000_000_000), source, why);
        assert!(down(100, "refused"));
        assert!(!down(200, "refused"), "said once");
        assert!(down(205, "line 7 is wrong"));
        assert!(!down(220, "line 8 is wrong"), "a number is no news");
        assert_eq!(hub.lock().why("s"), Some("line 8 is wrong"));
        assert!(down(221, "refused") && !down(222, "line 9 is wrong"), "not each second another");
        assert!(down(231, "line 9 is wrong"), "but once it is time");
        let link = |link| hub.lock().fold(&Event { at: Timestamp::both(0), source, body: Body::Link(link) });
        link(Link::Down);
        assert_eq!(hub.lock().why("s"), Some("line 9 is wrong"));
        link(Link::Up);
        assert_eq!(hub.lock().why("s"), None);
        assert!(down(232, "line 9 is wrong"), "down again");
        hub.lock().retire(source);
        assert_eq!(hub.lock().why("s"), None);
    }

    #[test]
    fn complaints_are_seldom_and_complete() {
        let hub = Hub::default();
        let source = hub.add_source("p");
        let fault = || {
            let body = Body::Fault(Fault { kind: FaultKind::Syntax, bytes: 1 });
            hub.lock().fold(&Event { at: Timestamp::both(0), source, body });
        };
        let logged =
            |second: u64| hub.complaints(Timestamp::both(second * 1_000_000_000)).first().map(|c| c.count);
        assert_eq!(logged(100), None);
        fault();
        assert_eq!(logged(100), Some(1));
        (0..5).for_each(|_| fault());
        assert_eq!(logged(105), None);
        fault();
        assert_eq!(logged(110), Some(6));
        assert_eq!(logged(200), None);
    }

    #[test]
    fn a_clock_that_is_set_silences_no_complaint() {
        let hub = Hub::default();
        let source = hub.add_source("p");
        let logged = |second: u64, wall: u64| {
            let body = Body::Fault(Fault { kind: FaultKind::Syntax, bytes: 1 });
            hub.lock().fold(&Event { at: Timestamp::both(0), source, body });
            let at = |second| second * 1_000_000_000;
            hub.complaints(Timestamp { steady: at(second), wall: at(wall) }).first().map(|c| c.count)
        };
        // The machine was started a second ago.
        assert_eq!(logged(1, 1_700_000_000), Some(1));
        assert_eq!(logged(2, 1_700_003_600), None);
        assert_eq!(logged(12, 1_600_000_000), Some(2));
    }

    #[test]
    fn one_line_of_each_kind_can_be_looked_at() {
        let hub = Hub::default();
        let source = hub.add_source("p");
        let fold = |body| hub.lock().fold(&Event { at: Timestamp::both(0), source, body });
        for line in [&b"a\xff\n"[..], b"later"] {
            fold(Body::Fault(Fault { kind: FaultKind::Syntax, bytes: 1 }));
            fold(Body::Refused(line));
        }
        fold(Body::Fault(Fault { kind: FaultKind::Cut, bytes: 1 }));
        fold(Body::Refused(&[b'x'; 1000]));
        let mut logged = hub.complaints(Timestamp::both(100_000_000_000));
        logged.sort_by_key(|complaint| complaint.count);
        let lines: Vec<_> = logged.iter().map(|complaint| complaint.line.as_deref().unwrap()).collect();
        assert_eq!(lines, ["x".repeat(EXCERPT).as_str(), r"a\xff\n"]);
    }
}
