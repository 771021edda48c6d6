//! The one place where events are folded into state.
//!
//! A source locks the hub for one batch of events, a scrape for one slice of its text. Nobody
//! holds the lock across an `await`, so a reader waits for microseconds and nothing needs a queue
//! between a socket and the series: what the agent cannot take yet waits in the kernel, where it
//! is bounded and, for datagrams, its loss is counted.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::analysis::{Budget, Peaks, Rates};
use crate::event::{Body, Event, Fault, FaultKind, SourceId, Timestamp, Topic};
use crate::metrics::{Cursor, Format, Registry};

/// Lines written to a scrape under one lock: some 100 microseconds.
const SLICE: usize = 2_000;

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
    /// How devices stream.
    rates: Rates,
    /// Events counted so far.
    accepted: u64,
    voice: Voice,
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
        let mut state = self.lock();
        state.voice.names.push(name.into());
        state.registry.add_source(name)
    }

    /// Appends every series to `out`, a slice at a time.
    pub fn write(&self, format: Format, out: &mut Vec<u8>) {
        let mut cursor = Some(Cursor::default());
        while let Some(from) = cursor {
            cursor = self.lock().registry.write(format, &from, SLICE, out);
        }
    }
}

impl State {
    fn new(registry: Registry, budget: Budget, peaks: Peaks) -> Self {
        Self { registry, budget, peaks, rates: Rates::default(), accepted: 0, voice: Voice::default() }
    }

    /// Folds one event: first the analysers see it, then the series.
    pub fn fold(&mut self, event: &Event<'_>) {
        self.budget.observe(event);
        self.peaks.observe(event);
        self.rates.observe(event);
        match self.registry.fold(event) {
            Err(kind) => self.fold(&Event { body: Body::Fault(Fault { kind, bytes: 0 }), ..*event }),
            Ok(()) => self.accepted += told(&event.body),
        }
        match event.body {
            Body::Fault(fault) => self.voice.fault(event.at, event.source, fault.kind),
            Body::Tick => self.derive(event),
            _ => {}
        }
    }

    /// Events counted so far: those that sources told, without the agent's own.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Folds what the analysers make of the last second. Derived events are shown to no analyser.
    fn derive(&mut self, tick: &Event<'_>) {
        let Self { registry, budget, peaks, rates, .. } = self;
        // Derived events are of the agent's making: the catalogue gives each its metric.
        let mut fold = |source: SourceId, body: Body<'_>| {
            let folded = registry.fold(&Event { at: tick.at, source, body });
            debug_assert!(folded.is_ok(), "only observations find no series");
        };
        budget.report(&mut |body| fold(tick.source, body));
        peaks.report(tick.at, &mut |body| fold(tick.source, body));
        rates.report(tick.at, &mut fold);
    }
}

/// How many events a source told with this one, rather than news of the source. A frame of a device is an
/// event, however many come in one read.
fn told(body: &Body<'_>) -> u64 {
    if let Body::Samples(samples) = body {
        return samples.frames.into();
    }
    match body.topic() {
        Topic::Link
        | Topic::Received
        | Topic::Fault
        | Topic::Shed
        | Topic::Pass
        | Topic::Socket
        | Topic::Clients
        | Topic::Device
        | Topic::Lost
        | Topic::Contact
        | Topic::Vital
        | Topic::Tick
        | Topic::StagePeak
        | Topic::QueuePeak
        | Topic::Spent
        | Topic::Hidden
        | Topic::Flow => 0,
        _ => 1,
    }
}

/// Says in the log what was refused, without being drowned in it.
#[derive(Debug, Default)]
struct Voice {
    names: Vec<Arc<str>>,
    said: HashMap<(SourceId, FaultKind), Said>,
}

#[derive(Debug, Default)]
struct Said {
    at: u32,
    unsaid: u64,
}

/// Seconds between two log lines of one kind of fault of one source.
const QUIET: u32 = 10;

impl Voice {
    fn fault(&mut self, at: Timestamp, source: SourceId, kind: FaultKind) {
        let now = at.whole_seconds();
        let said = self.said.entry((source, kind)).or_default();
        said.unsaid += 1;
        if now < said.at.saturating_add(QUIET) {
            return;
        }
        let name = self.names.get(source.0 as usize).map_or("agent", |n| &**n);
        tracing::warn!(source = name, kind = kind.as_str(), count = said.unsaid, "input was refused");
        *said = Said { at: now, unsaid: 0 };
    }
}
