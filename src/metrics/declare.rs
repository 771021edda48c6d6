//! What the configuration says of series before any event: which metrics there are, their buckets, what is expected.
//!
//! A reload says all of it again. A family that is declared otherwise begins again, as after a restart; the others
//! continue.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::family::Family;
use super::family::suffixes;
use super::series::Ladder;
use super::{Registry, momentary};
use crate::catalog::{Metric, Page};
use crate::event::{Change, Kind, SourceId};

impl Registry {
    /// Takes the pages in that are there from the beginning.
    pub(super) fn build_in(&mut self, pages: &[&'static Page]) {
        for metric in pages.iter().flat_map(|p| p.metrics).copied() {
            self.enter(metric);
        }
    }

    /// Takes these pages for the user's, in place of those before. A metric that is declared as it was continues. One
    /// that changed begins again, with what a sender declared under its name; one that is gone is forgotten.
    pub fn declare(&mut self, pages: &[&'static Page]) {
        let metrics = || pages.iter().flat_map(|p| p.metrics).copied();
        let said: HashMap<String, &'static Metric> = metrics().map(|m| (m.family(), m)).collect();
        for id in self.users() {
            let Some(family) = self.families.get_mut(id as usize) else { continue };
            let Some(old) = family.metric else { continue };
            match said.get(&*family.name) {
                Some(new) if same(old, new) => {
                    family.help = new.help.into();
                    family.keep = new.keep;
                    family.metric = Some(new);
                }
                _ => self.withdraw(id),
            }
        }
        for (name, metric) in &said {
            for suffix in suffixes(metric.kind) {
                let holder = self.taken.get(format!("{name}{suffix}").as_str()).copied();
                let of_sender =
                    |&id: &u32| self.families.get(id as usize).is_some_and(|f| f.metric.is_none());
                if let Some(id) = holder.filter(of_sender) {
                    self.withdraw(id);
                }
            }
        }
        metrics().for_each(|metric| self.enter(metric));
    }

    /// Takes other bounds. Families whose bounds changed begin again.
    pub fn set_ladders(&mut self, ladders: HashMap<String, Vec<f64>>) {
        let before = std::mem::replace(&mut self.ladders, ladders);
        for family in &mut self.families {
            let Some(metric) = family.metric.filter(|m| m.kind == Kind::Histogram) else { continue };
            let bounds = self.ladders.get(&*family.name).map_or(metric.bounds, Vec::as_slice);
            let ladder = Ladder::new(bounds);
            if family.ladder.as_ref() != Some(&ladder) {
                family.begin_anew(ladder, self.now, &mut self.occupancy);
            }
        }
        // Of what senders declare, they know the usual bounds: their next line says them again.
        for id in self.users() {
            let Some(family) = self.families.get(id as usize) else { continue };
            let theirs = family.metric.is_none() && family.kind == Kind::Histogram;
            if theirs && before.get(&*family.name) != self.ladders.get(&*family.name) {
                self.withdraw(id);
            }
        }
    }

    /// Forgets the gauges that were announced and never came: the configuration that is read now says again what is
    /// expected.
    pub fn expect_nothing(&mut self) {
        self.retain(|(kind, _), s| !(s.awaited() && momentary(kind)));
    }

    /// Creates the series of a built-in metric at zero. It stays until [`Self::expect_nothing`] is said, or
    /// until an event came and then no other for the usual time.
    pub fn announce(&mut self, metric: &Metric, labels: &[&str]) {
        if let Some(&id) = self.taken.get(metric.family().as_str()) {
            self.slot(id, labels, SourceId::AGENT, &Change::Set(0.0));
        }
    }

    /// Takes a metric in, if nobody has its name.
    fn enter(&mut self, metric: &'static Metric) {
        let name = metric.family();
        if self.claim(&name, metric.kind).is_ok() {
            let bounds = self.ladders.get(&name).map_or(metric.bounds, Vec::as_slice);
            let mut family = Family::of(metric, bounds, RandomState::default());
            family.held = family.bytes();
            self.occupancy.resize(u32::MAX, 0, family.held);
            let id = self.admit(family);
            for &topic in metric.on {
                if let Some(listeners) = self.listeners.get_mut(topic as usize) {
                    listeners.push(id);
                }
            }
            if metric.on.is_empty() {
                self.declared.insert(metric.name, id);
            }
        }
        if let Some(&id) = self.declared.get(metric.name)
            && metric.labels.is_empty()
        {
            // A series that must exist before its first event, or `rate()` misses it.
            self.slot(id, &[], SourceId::AGENT, &Change::Set(0.0));
        }
    }

    /// The families that are not built in.
    fn users(&self) -> Vec<u32> {
        self.order.get(self.built_in..).unwrap_or_default().to_vec()
    }

    /// Forgets a family that is not built in, with its series and its name; its place is for another.
    fn withdraw(&mut self, id: u32) {
        let Some(name) = self.families.get(id as usize).map(|f| f.name.clone()) else { return };
        self.retain_of(|family| family.name == name, |_, _| false);
        self.remove(&[id]);
    }

    /// Forgets the families that senders left.
    pub(super) fn clear_out(&mut self) {
        let left = |id: &u32| self.families.get(*id as usize).is_some_and(Family::is_left);
        let empty: Vec<u32> = self.order.iter().copied().filter(left).collect();
        self.remove(&empty);
    }

    /// Forgets families that have no series and are not built in.
    fn remove(&mut self, ids: &[u32]) {
        for &id in ids {
            let Some(family) = self.families.get_mut(id as usize).filter(|f| !f.name.is_empty()) else {
                continue;
            };
            let family = std::mem::replace(family, Family::new("", Kind::Unknown, RandomState::default()));
            if family.metric.is_none() {
                self.occupancy.give_family(family.owner, family.held);
            } else {
                self.occupancy.resize(u32::MAX, family.held, 0);
            }
            for suffix in suffixes(family.kind) {
                self.taken.remove(format!("{}{suffix}", family.name).as_str());
            }
            self.vacant.push(id);
        }
        let Self { order, families, declared, vacant, taken, .. } = self;
        let gone = |id: &u32| families.get(*id as usize).is_none_or(|f| f.name.is_empty());
        order.retain(|id| !gone(id));
        declared.retain(|_, id| !gone(id));
        while families.last().is_some_and(|f| f.name.is_empty()) {
            families.pop();
        }
        vacant.retain(|id| (*id as usize) < families.len());
        if taken.len() < taken.capacity() / 4 {
            taken.shrink_to_fit();
            families.shrink_to_fit();
            vacant.shrink_to_fit();
        }
    }
}

/// Whether the series of a metric can continue under its new declaration.
fn same(old: &Metric, new: &Metric) -> bool {
    (old.name, old.kind, old.unit, old.labels, old.bounds)
        == (new.name, new.kind, new.unit, new.labels, new.bounds)
}
