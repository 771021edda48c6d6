//! Where a series finds its place: families are admitted, names are claimed, limits are held.

use std::sync::Arc;

use foldhash::fast::RandomState;

use super::family::{self, Family, suffixes};
use super::occupancy::{LimitClass, Occupancy, is_fair};
use super::series::{Ladder, Series, first_bytes, zero_bytes};
use super::{OVERFLOW, Registry, lawful, vitals};
use crate::event::{Change, FaultKind, Kind, LABEL_SET_BYTES, SourceId, Spelled};

impl Registry {
    /// The family and slot of a series that was spelled out, made if need be, and what the change
    /// means to it. A change that means nothing makes no series.
    pub(super) fn place<'c>(
        &mut self,
        source: SourceId,
        spelled: &Spelled,
        change: Change<'c>,
    ) -> Result<(u32, u32, Change<'c>), FaultKind> {
        if let Some(&id) = self.declared.get(spelled.name.as_str()) {
            return self.place_declared(source, id, spelled, change);
        }
        let (id, change) = match self.taken.get(spelled.name.as_str()) {
            Some(&id) => {
                let family = self.families.get(id as usize).ok_or(FaultKind::Conflict)?;
                if &*family.name != spelled.name.as_str() || !compatible(family.kind, spelled) {
                    return Err(FaultKind::Conflict);
                }
                match family.metric {
                    Some(metric) if metric.on.is_empty() => {
                        return self.place_declared(source, id, spelled, change);
                    }
                    Some(_) => return Err(FaultKind::Conflict),
                    None => (id, lawful::change(change, family.kind)?),
                }
            }
            None => {
                let change = lawful::change(change, spelled.kind)?;
                return self.place_first(source, spelled, change);
            }
        };
        let slot = self
            .with_labels(spelled, |registry, labels, cut| registry.slot_of(id, labels, cut, source, &change));
        slot?.map(|slot| (id, slot, change)).ok_or(FaultKind::Limit)
    }

    /// A family that is new, and its first series.
    fn place_first<'c>(
        &mut self,
        source: SourceId,
        spelled: &Spelled,
        change: Change<'c>,
    ) -> Result<(u32, u32, Change<'c>), FaultKind> {
        // Nothing is built where everything is spent.
        if !self.occupancy.has_family(&self.limits, source.0, spelled.name.len()) {
            return Err(FaultKind::Limit);
        }
        let mut family = Family::new(&spelled.name, spelled.kind, RandomState::default());
        // The writer adds the full stop, as prometheus-client does.
        let help = spelled.help.trim_end_matches('.');
        family.help = if help.is_empty() { "Sent without help text" } else { help }.into();
        family.unit = spelled.unit.as_str().into();
        if spelled.kind == Kind::Histogram {
            let set = self.ladders.get(&spelled.name).map(Vec::as_slice);
            let bounds = set.or(spelled.bounds.as_deref()).unwrap_or(crate::catalog::LATENCY);
            family.ladder = Some(Ladder::new(bounds));
        }
        (family.owner, family.held) = (source.0, family.bytes());
        let slot = self.with_labels(spelled, |registry, labels, cut| {
            let new = registry.new_series(family.ladder.as_ref(), family.name.len(), labels, source)?;
            let bytes = family.held + new.held + first_bytes(&change, labels.len(), family.name.len());
            if !registry.occupancy.has_family(&registry.limits, source.0, bytes) {
                return Err(FaultKind::Limit);
            }
            registry.claim(&family.name, family.kind)?;
            registry.cut += cut;
            registry.occupancy.take_family(source.0, family.held);
            registry.occupancy.take_series(family.class, source.0, new.held);
            let slot = family.insert(new);
            Ok((registry.admit(family), slot))
        });
        let (id, slot) = slot??;
        Ok((id, slot, change))
    }

    /// Hands the labels of a spelled series over as they are written, and how many values were cut.
    fn with_labels<T>(
        &mut self,
        spelled: &Spelled,
        then: impl FnOnce(&mut Self, &[u8], u64) -> T,
    ) -> Result<T, FaultKind> {
        let mut labels = std::mem::take(&mut self.scratch);
        let cut = render_spelled(&spelled.labels, self.limits.label_value_bytes, &mut labels);
        let done = if labels.len() > LABEL_SET_BYTES {
            Err(FaultKind::Limit)
        } else if labels.is_empty() && vitals::has(&spelled.name) {
            // The one without labels is the agent's.
            Err(FaultKind::Conflict)
        } else {
            Ok(then(self, &labels, cut))
        };
        self.scratch = labels;
        done
    }

    /// A metric of a user pack: its labels are the declared ones, missing ones are empty.
    fn place_declared<'c>(
        &mut self,
        source: SourceId,
        id: u32,
        spelled: &Spelled,
        change: Change<'c>,
    ) -> Result<(u32, u32, Change<'c>), FaultKind> {
        let Some(metric) = self.families.get(id as usize).and_then(|f| f.metric) else {
            return Err(FaultKind::Limit);
        };
        if !compatible(metric.kind, spelled) {
            return Err(FaultKind::Conflict);
        }
        if spelled.labels.iter().any(|(name, _)| !metric.labels.contains(&name.as_str())) {
            return Err(FaultKind::Conflict);
        }
        let change = lawful::change(change, metric.kind)?;
        let value =
            |name: &&str| spelled.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
        let values: Vec<&str> = metric.labels.iter().map(value).collect();
        self.slot(id, &values, source, &change).map(|slot| (id, slot, change)).ok_or(FaultKind::Limit)
    }

    /// The slot of a catalogue metric's series, made if need be for this change.
    pub(super) fn slot(
        &mut self,
        id: u32,
        values: &[&str],
        source: SourceId,
        change: &Change<'_>,
    ) -> Option<u32> {
        let mut labels = std::mem::take(&mut self.scratch);
        let cut = self.label(id, values, &mut labels);
        let slot = cut.and_then(|cut| self.slot_of(id, &labels, cut, source, change));
        self.scratch = labels;
        slot
    }

    /// Writes the labels of a catalogue metric's series into `out`. Says how many values were cut.
    pub(super) fn label(&self, id: u32, values: &[&str], out: &mut Vec<u8>) -> Option<u64> {
        let family = self.families.get(id as usize)?;
        Some(family.render(values, self.limits.label_value_bytes, out))
    }

    pub(super) fn slot_of(
        &mut self,
        id: u32,
        labels: &[u8],
        cut: u64,
        source: SourceId,
        change: &Change<'_>,
    ) -> Option<u32> {
        let family = self.families.get(id as usize)?;
        if let Some(slot) = family.find(labels) {
            return Some(slot);
        }
        let slot = self.new_slot(id, labels, source, change)?;
        self.cut += cut;
        Some(slot)
    }

    #[cold]
    fn new_slot(&mut self, id: u32, labels: &[u8], source: SourceId, change: &Change<'_>) -> Option<u32> {
        let family = self.families.get(id as usize)?;
        let (class, name, ladder) = (family.class, family.name.len(), family.ladder.clone());
        // Who is refused repeatedly costs no memory meanwhile.
        let bytes =
            zero_bytes(ladder.as_deref(), labels.len(), name) + first_bytes(change, labels.len(), name);
        let Self { families, occupancy, limits, .. } = self;
        let family = families.get_mut(id as usize)?;
        // A family's first series is always admitted, or a configured metric could not be seen at all.
        let first = labels.is_empty() || (family.len() == 0 && family.metric.is_some());
        let admitted = first
            || (occupancy.has_series(limits, class, source.0, bytes)
                && has_place(family, limits.series_per_family, occupancy, source.0));
        if !admitted {
            family.refused += 1;
            return self.overflow(id);
        }
        let new = self.new_series(ladder.as_ref(), name, labels, source).ok()?;
        self.occupancy.take_series(class, source.0, new.held);
        Some(self.families.get_mut(id as usize)?.insert(new))
    }

    /// A series with these labels, which nobody has yet, under a name of so many bytes.
    fn new_series(
        &mut self,
        ladder: Option<&Arc<Ladder>>,
        name: usize,
        labels: &[u8],
        source: SourceId,
    ) -> Result<Series, FaultKind> {
        let text = std::str::from_utf8(labels).map_err(|_| FaultKind::Encoding)?;
        self.lives = self.lives.wrapping_add(1);
        let new = Series::new(text.into(), ladder);
        let held = new.bytes(name);
        Ok(Series { source: source.0, owner: source.0, born: self.now, held, life: self.lives, ..new })
    }

    /// The series of a family that takes the events of refused ones. Gauges have none: the last
    /// value of many things is no value of anything.
    fn overflow(&mut self, id: u32) -> Option<u32> {
        let family = self.families.get(id as usize)?;
        if matches!(
            family.kind,
            Kind::Gauge | Kind::Info | Kind::StateSet | Kind::Unknown | Kind::Summary | Kind::GaugeHistogram
        ) {
            return None;
        }
        if let Some(slot) = family.overflow {
            return Some(slot);
        }
        let mut labels = Vec::new();
        if family.before.is_empty() {
            labels.extend_from_slice(format!("overflow=\"{OVERFLOW}\"").as_bytes());
        } else {
            family.render(&vec![OVERFLOW; family.before.len()], usize::MAX, &mut labels);
        }
        let slot = match family.find(&labels) {
            Some(slot) => slot,
            None => {
                let (class, name, ladder) = (family.class, family.name.len(), family.ladder.clone());
                let nobody = SourceId::AGENT;
                let new = self.new_series(ladder.as_ref(), name, &labels, nobody).ok()?;
                self.occupancy.take_series(class, nobody.0, new.held);
                self.families.get_mut(id as usize)?.insert(new)
            }
        };
        self.families.get_mut(id as usize)?.overflow = Some(slot);
        Some(slot)
    }

    /// Takes a family in, at its place in the order.
    pub(super) fn admit(&mut self, family: Family) -> u32 {
        let id = self.next();
        let place = if self.built_in == 0 {
            self.order.len()
        } else {
            let users = self.order.get(self.built_in..).unwrap_or_default();
            let before = |&f: &u32| self.families.get(f as usize).is_some_and(|f| f.name < family.name);
            self.built_in + users.partition_point(before)
        };
        self.order.insert(place, id);
        match self.vacant.pop().and_then(|id| self.families.get_mut(id as usize)) {
            Some(vacant) => *vacant = family,
            None => self.families.push(family),
        }
        id
    }

    /// The place of the family that is admitted next.
    fn next(&self) -> u32 {
        self.vacant.last().copied().unwrap_or_else(|| u32::try_from(self.families.len()).unwrap_or(u32::MAX))
    }

    /// Claims every sample name of a family that is about to be admitted.
    pub(super) fn claim(&mut self, name: &str, kind: Kind) -> Result<(), FaultKind> {
        let id = self.next();
        let names: Vec<Box<str>> = suffixes(kind).iter().map(|s| format!("{name}{s}").into()).collect();
        if names.iter().any(|n| self.taken.contains_key(n)) {
            return Err(FaultKind::Conflict);
        }
        self.taken.extend(names.into_iter().map(|n| (n, id)));
        Ok(())
    }

    /// Keeps a family's sample names from everybody, because the agent itself exposes them.
    pub(super) fn reserve(&mut self, name: &str, kind: Kind) {
        self.taken.extend(suffixes(kind).iter().map(|s| (format!("{name}{s}").into(), u32::MAX)));
    }
}

/// Whether a family of at most so many series has a place for one more of a source.
fn has_place(family: &mut Family, most: usize, occupancy: &Occupancy, source: u32) -> bool {
    let (held, left) = (family.len(), most.saturating_sub(family.len()));
    if family.class == LimitClass::Health {
        return true;
    }
    // Counted only where there is little left: before that, nobody can have too much.
    let mut ours = || family.count(occupancy.group(source), |owner| occupancy.group(owner));
    left > 0 && (is_fair(held, left) || is_fair(ours(), left))
}

/// Whether a line of type `said` may move a metric of type `is`. Senders that do not say a type
/// may move anything.
fn compatible(is: Kind, said: &Spelled) -> bool {
    is == said.kind || said.guessed
}

/// Labels of a spelled series: sorted by name, without empty ones. Says how many values were cut.
fn render_spelled(labels: &[(String, String)], most: usize, out: &mut Vec<u8>) -> u64 {
    out.clear();
    let mut cut = 0;
    let mut sorted: Vec<&(String, String)> = labels.iter().filter(|(_, v)| !v.is_empty()).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        cut += u64::from(family::value(value, most, out));
        out.push(b'"');
    }
    cut
}
