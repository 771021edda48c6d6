//! One metric reading one event: how the catalogue's entries reach their series.

use std::sync::Arc;

use super::series::Value;
use super::{Registry, resize};
use crate::catalog::Row;
use crate::event::{Change, Event, Timestamp, TraceId};

/// One metric reading one event.
pub(super) struct Reader<'r, 'e> {
    pub(super) registry: &'r mut Registry,
    pub(super) family: u32,
    pub(super) event: &'r Event<'e>,
}

impl Reader<'_, '_> {
    fn change(&mut self, labels: &[&str], change: &Change<'_>, trace: Option<TraceId>) {
        let (source, at) = (self.event.source, self.event.at);
        let Some(slot) = self.registry.slot(self.family, labels, source, change) else { return };
        let Registry { families, occupancy, limits, sources, .. } = &mut *self.registry;
        let Some(family) = families.get_mut(self.family as usize) else { return };
        let (class, name) = (family.class, family.name.len());
        let prompt = family.metric.is_some_and(|metric| metric.prompt);
        let Some((series, ladder)) = family.get_mut(slot) else { return };
        let before = if prompt { series.number() } else { None };
        match (&mut series.value, change) {
            // A count of what there is now: of what began before the agent did, the end alone is seen.
            (Value::Number(v), Change::Shift(by)) => *v = (*v + by).max(0.0),
            _ => {
                let left = if trace.is_some() { occupancy.left(limits, class, series.owner) } else { 0 };
                // What no series could hold was refused by the decoder.
                if series.change(change, trace, at, ladder, left) == Ok(true) {
                    resize(occupancy, series, name);
                }
            }
        }
        series.touched = at.steady_second();
        series.source = source.0;
        series.poll = sources.get(source.0 as usize).map_or(0, |s| s.poll);
        let changed = prompt && series.number() != before;
        self.registry.changed |= changed;
    }
}

impl Row for Reader<'_, '_> {
    fn source(&self) -> Arc<str> {
        self.registry.sources.get(self.event.source.0 as usize).map(|s| s.name.clone()).unwrap_or_default()
    }

    fn add(&mut self, labels: &[&str], by: f64) {
        self.change(labels, &Change::Add(by), None);
    }

    fn set(&mut self, labels: &[&str], to: f64) {
        self.change(labels, &Change::Set(to), None);
    }

    fn stamp(&mut self, labels: &[&str], at: Timestamp) {
        self.change(labels, &Change::Moment(at), None);
    }

    fn shift(&mut self, labels: &[&str], by: f64) {
        self.change(labels, &Change::Shift(by), None);
    }

    fn observe(&mut self, labels: &[&str], value: f64, trace: Option<TraceId>) {
        self.change(labels, &Change::Observe { value, weight: 1.0 }, trace);
    }
}
