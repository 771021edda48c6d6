//! The series: events are folded into them, limits hold them, time forgets them.
//!
//! It does no I/O and reads no clock: time comes with the events.

mod collector;
mod declare;
mod family;
mod keys;
mod labels;
mod lawful;
mod number;
mod occupancy;
mod own;
mod place;
mod read;
mod reader;
mod series;
#[cfg(test)]
mod tests;
mod vitals;
mod write;
mod writes;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

pub use collector::Mirror;
pub use labels::{
    Answered, DroppedSpans, EscalatedIncidents, Escalation, LOST_LINES, LostLines, Notified, OfBaseline,
    OfCertificate, OfHook, OfHookStep, OfIncident, OfLine, OfPriority, OfQueue, OfReports, OfState, OfTarget,
    OfTask, OpenIncidents, PushedObjects, SeriesRefusal, UNSHAKEN, Unshaken,
};
pub use own::Own;
pub use read::{Labels, Sample};
pub use vitals::Vitals;
pub use write::{Cursor, Format};

use crate::catalog::{Keep, Page};
use crate::event::{Body, Event, FaultKind, Kind, Link, Observation, Poll, SourceId, Spelled, Topic};
use family::Family;
use keys::{Keys, SeriesRef};
use occupancy::Occupancy;
use reader::Reader;
use series::Series;

/// What the registry may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series in all.
    pub series: usize,
    /// Series of one family.
    pub series_per_family: usize,
    /// Series that one source may create.
    pub series_per_source: usize,
    /// Families in all.
    pub families: usize,
    /// Bytes of series, families and keys, and of the text of a scrape.
    pub memory: usize,
    /// Bytes of one label value; longer ones are cut and end in a hash of the whole.
    pub label_value_bytes: usize,
    /// Seconds after which a silent gauge leaves.
    pub fresh_seconds: u32,
}

impl Limits {
    /// Bytes of keys that are remembered.
    fn keys(&self) -> usize {
        self.memory / 4
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series: 50_000,
            series_per_family: 2_000,
            series_per_source: 20_000,
            families: 5_000,
            memory: 64 << 20,
            label_value_bytes: 256,
            fresh_seconds: 300,
        }
    }
}

/// The label value, and for families without fixed labels the label, of the series that takes
/// the events of refused ones.
pub const OVERFLOW: &str = "_other";

/// Seconds in one window of a set.
const WINDOW: u32 = 10;

/// All series, and the way events reach them.
#[derive(Debug)]
pub struct Registry {
    limits: Limits,
    families: Vec<Family>,
    /// Places in `families` of those that left.
    vacant: Vec<u32>,
    /// Built-in families as the catalogue has them, then the others by name.
    order: Vec<u32>,
    built_in: usize,
    /// Names of samples that are taken, with the family that took them; `u32::MAX` is the agent itself.
    taken: HashMap<Box<str>, u32, RandomState>,
    /// Families by the topic they listen to.
    listeners: [Vec<u32>; Topic::ALL.len()],
    sources: Vec<Source>,
    /// User-declared metrics by the name they are declared under.
    declared: HashMap<&'static str, u32, RandomState>,
    /// The same kind of ladder for a metric that users set other bounds for.
    ladders: HashMap<String, Vec<f64>>,
    keys: Keys,
    occupancy: Occupancy,
    /// Series there ever were: each has a number of its own.
    lives: u32,
    next_sweep: u32,
    /// When the last event happened by the wall clock, whole seconds.
    now: u32,
    created: bool,
    /// Label values that were cut, of series that came into being.
    cut: u64,
    /// Whether a metric changed whose rules are evaluated at once.
    changed: bool,
    scratch: Vec<u8>,
    spelled: Spelled,
}

/// What the registry knows of a source.
#[derive(Debug, Default)]
struct Source {
    name: Arc<str>,
    poll: u32,
}

/// A family as the page of sources lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its name.
    pub family: String,
    /// Series it has.
    pub series: usize,
    /// Events that found no series of their own.
    pub refused: u64,
}

impl Registry {
    /// A registry of these pages, without series. `ladders` overrides the bounds of histograms by
    /// family name.
    #[must_use]
    pub fn new(pages: &[&'static Page], limits: Limits, ladders: HashMap<String, Vec<f64>>) -> Self {
        let mut registry = Self {
            limits,
            families: Vec::new(),
            vacant: Vec::new(),
            order: Vec::new(),
            built_in: 0,
            taken: HashMap::default(),
            listeners: std::array::from_fn(|_| Vec::new()),
            sources: Vec::new(),
            declared: HashMap::default(),
            ladders,
            keys: Keys::default(),
            occupancy: Occupancy::default(),
            lives: 0,
            next_sweep: 0,
            now: 0,
            created: false,
            cut: 0,
            changed: false,
            scratch: Vec::new(),
            spelled: Spelled::default(),
        };
        for (name, kind) in own::names() {
            registry.reserve(&name, kind);
        }
        for name in own::SERVER {
            registry.reserve(name, Kind::Gauge);
        }
        registry.build_in(pages);
        registry.admit_vitals();
        registry.built_in = registry.order.len();
        registry
    }

    /// Whether OpenMetrics text says when each counter and histogram began.
    pub fn set_created(&mut self, created: bool) {
        self.created = created;
    }

    /// Takes other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds a source; its id is its position. What a source finds, `source/thing`, has a part of that source's share.
    pub fn add_source(&mut self, name: &str) -> SourceId {
        let finder = name.split_once('/').and_then(|(finder, _)| {
            u32::try_from(self.sources.iter().position(|known| *known.name == *finder)?).ok()
        });
        self.occupancy.add(finder);
        self.sources.push(Source { name: name.into(), ..Source::default() });
        SourceId(u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX))
    }

    /// Folds one event.
    ///
    /// # Errors
    /// Why an observation found no series.
    pub fn fold(&mut self, event: &Event<'_>) -> Result<(), FaultKind> {
        self.now = event.at.wall_second();
        match &event.body {
            Body::Observation(observation) => return self.observe(event, observation),
            Body::Link(Link::Down) => self.forget(event.source),
            Body::Device(_) => self.forget_signal(event.source),
            Body::Flow(flow) if !flow.streaming => self.forget_signal(event.source),
            Body::Poll(Poll { ok: true, .. }) => self.end_poll(event.source),
            Body::Tick => self.sweep(event.at.steady_second()),
            _ => {}
        }
        let topic = event.body.topic() as usize;
        let count = self.listeners.get(topic).map_or(0, Vec::len);
        for i in 0..count {
            let Some(&id) = self.listeners.get(topic).and_then(|l| l.get(i)) else { continue };
            let Some(metric) = self.families.get(id as usize).and_then(|f| f.metric) else { continue };
            (metric.read)(event, &mut Reader { registry: self, family: id, event });
        }
        Ok(())
    }

    /// Whether a metric changed, since this was last asked, whose rules are evaluated at once.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The families with the most series first, then those that refused.
    #[must_use]
    pub fn usage(&self, most: usize) -> Vec<Usage> {
        let mut all: Vec<&Family> = self.families.iter().filter(|f| f.len() > 0).collect();
        all.sort_by(|a, b| (b.refused, b.len()).cmp(&(a.refused, a.len())).then_with(|| a.name.cmp(&b.name)));
        let usage = |f: &&Family| Usage { family: f.name.to_string(), series: f.len(), refused: f.refused };
        all.iter().take(most).map(usage).collect()
    }

    /// Series in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.occupancy.series()
    }

    /// Whether there is no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that series, families and keys take, and the text of a scrape.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.occupancy.bytes() + self.keys.bytes()
    }

    /// Families in all, and the events they refused, by family, those that refused some.
    pub fn refusals(&self) -> impl Iterator<Item = (&str, u64)> {
        self.families.iter().filter(|f| f.refused > 0).map(|f| (&*f.name, f.refused))
    }

    /// Label values that were cut, of all the series that came into being.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// The value of one series, whose labels are written as in the text format.
    #[must_use]
    pub fn number(&self, family: &str, labels: &str) -> Option<f64> {
        let family = self.families.get(*self.taken.get(family)? as usize)?;
        family.get(family.find(labels.as_bytes())?)?.number()
    }

    fn observe(&mut self, event: &Event<'_>, o: &Observation<'_>) -> Result<(), FaultKind> {
        let source = event.source.0;
        let Some(place) = self.keys.find(source, o.key, self.limits.keys()) else {
            return self.observe_new(event, o);
        };
        let Self { families, occupancy, limits, sources, .. } = self;
        if let Some(family) = families.get_mut(place.family as usize)
            && let (kind, class, name) = (family.kind, family.class, family.name.len())
            && let Some((series, ladder)) = family.get_mut(place.slot).filter(|(s, _)| s.life == place.life)
        {
            let change = lawful::change(o.change, kind)?;
            let grows = series::grows(&change, o.trace);
            let left = if grows { occupancy.left(limits, class, series.owner) } else { 0 };
            if series.change(&change, o.trace, event.at, ladder, left)? {
                resize(occupancy, series, name);
            }
            series.touched = event.at.steady_second();
            series.source = source;
            series.poll = sources.get(source as usize).map_or(0, |s| s.poll);
            return Ok(());
        }
        self.observe_new(event, o)
    }

    /// The slow way, once a key: spells it out and remembers where it leads.
    #[cold]
    fn observe_new(&mut self, event: &Event<'_>, o: &Observation<'_>) -> Result<(), FaultKind> {
        let mut spelled = std::mem::take(&mut self.spelled);
        spelled.clear();
        let found = (o.spelling.spell(&mut spelled))
            .and_then(|()| lawful::series(&mut spelled))
            .and_then(|()| self.place(event.source, &spelled, o.change));
        let ttl = spelled.ttl;
        self.spelled = spelled.spare();
        let (id, slot, change) = found?;
        let source = event.source.0;
        let Self { families, occupancy, limits, sources, keys, .. } = self;
        let Some(family) = families.get_mut(id as usize) else { return Err(FaultKind::Limit) };
        let overflow = family.overflow == Some(slot);
        let (class, name) = (family.class, family.name.len());
        let Some((series, ladder)) = family.get_mut(slot) else { return Err(FaultKind::Limit) };
        // What the first change takes was asked for with the series.
        let new = series.touched == 0 && !series.awaited();
        let left = if new { usize::MAX } else { occupancy.left(limits, class, series.owner) };
        if series.change(&change, o.trace, event.at, ladder, left)? {
            resize(occupancy, series, name);
        }
        series.touched = event.at.steady_second();
        series.ttl = ttl;
        series.source = source;
        series.poll = sources.get(source as usize).map_or(0, |s| s.poll);
        if !overflow {
            let place = SeriesRef { family: id, slot, life: series.life };
            keys.insert(source, o.key, place, limits.keys());
        }
        Ok(())
    }

    /// The source is gone: so is what lived with its link, or mirrored what it kept.
    fn forget(&mut self, source: SourceId) {
        self.retain(|(_, keep), s| {
            s.source != source.0 || !(matches!(keep, Keep::WhileUp | Keep::WhileStreaming) || s.foreign)
        });
    }

    /// The device is silent, or another one: what said how its signal is does not hold, and of channels that it
    /// no longer has nobody will say more.
    fn forget_signal(&mut self, source: SourceId) {
        // Asked for each second of a silent device: the other families are not looked at.
        self.retain_of(|family| family.keep == Keep::WhileStreaming, |_, s| s.source != source.0);
    }

    /// The source is no longer configured: what it said of the present is gone, and so are the metrics that it named
    /// itself, whose room is for others. What the catalogue adds up stays.
    pub fn retire(&mut self, source: SourceId) {
        self.retain(|(kind, _), s| s.source != source.0 || !(momentary(kind) || s.foreign));
        self.retain_of(|family| family.metric.is_none(), |_, s| s.source != source.0);
        // What it began and others continue with is theirs now.
        let Self { families, occupancy, .. } = self;
        for family in families.iter_mut().filter(|family| family.metric.is_none()) {
            let class = family.class;
            for series in family.series_mut().filter(|s| s.owner == source.0) {
                occupancy.give_series(class, series.owner, series.held);
                series.owner = series.source;
                occupancy.take_series(class, series.owner, series.held);
            }
            if family.owner == source.0 {
                let next = family.series(None).next().map_or(u32::MAX, |s| s.source);
                occupancy.give_family(source.0, family.held);
                family.owner = next;
                occupancy.take_family(next, family.held);
            }
        }
    }

    /// Gives the place of a source that was retired to another one. What the first one added up stays under its name,
    /// and counts for the source that found it.
    pub fn rename_source(&mut self, source: SourceId, name: &str) {
        let Self { families, occupancy, sources, .. } = self;
        if let Some(known) = sources.get_mut(source.0 as usize) {
            known.name = name.into();
        }
        let heir = occupancy.group(source.0);
        for family in families.iter_mut() {
            let class = family.class;
            for series in family.series_mut() {
                if series.owner == source.0 {
                    occupancy.give_series(class, series.owner, series.held);
                    series.owner = heir;
                    occupancy.take_series(class, heir, series.held);
                }
                if series.source == source.0 {
                    series.source = heir;
                }
            }
        }
    }

    /// The source listens there no more: what was said of that socket's present is gone, what it added up stays.
    pub fn close(&mut self, source: SourceId, listen: &str) {
        let name = self.sources.get(source.0 as usize).map(|s| s.name.clone()).unwrap_or_default();
        let mut labels = Vec::new();
        let one = self.listeners.get(Topic::Socket as usize).and_then(|l| l.first()).copied();
        // All that is said of a socket has the same labels.
        if one.and_then(|id| self.label(id, &[&*name, listen], &mut labels)).is_some() {
            let of_socket =
                |f: &Family| momentary(f.kind) && f.metric.is_some_and(|m| m.on.contains(&Topic::Socket));
            self.retain_of(of_socket, |_, s| s.labels.as_bytes() != labels);
        }
    }

    /// A pass over a polled source is complete: what it did not show again is gone.
    fn end_poll(&mut self, source: SourceId) {
        let Some(this) = self.sources.get_mut(source.0 as usize) else { return };
        let poll = this.poll;
        this.poll = poll.wrapping_add(1);
        self.retain(|(kind, keep), s| {
            s.source != source.0
                || s.poll == poll
                || keep == Keep::Always
                || !(s.foreign || kind == Kind::Gauge)
        });
    }

    /// Once in a while: ends the windows of sets, forgets what has been silent for too long.
    fn sweep(&mut self, now: u32) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now.saturating_add(WINDOW);
        self.keys.age(now);
        let Self { families, occupancy, .. } = self;
        for family in families.iter_mut().filter(|f| f.kind == Kind::Gauge && f.metric.is_none()) {
            let name = family.name.len();
            for series in family.series_mut() {
                if series.roll() {
                    resize(occupancy, series, name);
                }
            }
        }
        let fresh = self.limits.fresh_seconds;
        self.retain(|(kind, keep), s| {
            let silent = now.saturating_sub(s.touched);
            // What lives with its link goes with it, however rarely it is reported: what a device is, is reported once.
            let linked = matches!(keep, Keep::WhileUp | Keep::WhileStreaming) && !s.foreign;
            let lasts = keep == Keep::Always || linked || !(momentary(kind) || s.foreign);
            let usual = lasts || silent <= fresh;
            s.awaited() || if s.ttl > 0 { silent <= s.ttl } else { usual }
        });
    }

    fn retain(&mut self, keep: impl FnMut((Kind, Keep), &Series) -> bool) {
        self.retain_of(|_| true, keep);
    }

    fn retain_of(
        &mut self,
        of: impl Fn(&Family) -> bool,
        mut keep: impl FnMut((Kind, Keep), &Series) -> bool,
    ) {
        let Self { families, occupancy, .. } = self;
        let mut empty = false;
        for family in families.iter_mut().filter(|family| of(family)) {
            let (facts, class) = ((family.kind, family.keep), family.class);
            family.retain(|s| keep(facts, s), |s| occupancy.give_series(class, s.owner, s.held));
            empty |= family.is_left();
        }
        if empty {
            self.clear_out();
        }
    }
}

/// Counts the bytes of a series again.
fn resize(occupancy: &mut Occupancy, series: &mut Series, name: usize) {
    let held = series.bytes(name);
    occupancy.resize(series.owner, series.held, held);
    series.held = held;
}

/// Whether series of this type say what is now, rather than what has added up.
fn momentary(kind: Kind) -> bool {
    !matches!(kind, Kind::Counter | Kind::Histogram)
}
