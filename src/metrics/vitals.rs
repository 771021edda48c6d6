//! What the agent itself costs, under the names that every exporter has for it.
//!
//! Others have the same names: programs that are scraped, or leave files of metrics. So these are families of the
//! registry like any other, in which the agent has the series without labels, and nobody else can have that one.

use foldhash::fast::RandomState;

use super::family::Family;
use super::{Registry, series};
use crate::event::{Change, Kind, SourceId, Timestamp};

/// What the agent costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vitals {
    /// CPU time used, seconds.
    pub cpu_seconds: f64,
    /// Resident memory, bytes.
    pub resident: i64,
    /// Virtual memory, bytes.
    pub virtual_memory: i64,
    /// Open files.
    pub open_files: i64,
    /// Files that may be open.
    pub max_files: i64,
    /// Threads.
    pub threads: i64,
    /// When the process started, seconds since the epoch.
    pub started: f64,
}

/// A family: its name, type, unit and meaning, and the agent's value.
type Row = (&'static str, Kind, &'static str, &'static str, fn(&Vitals) -> f64);

const ROWS: [Row; 7] = [
    ("process_cpu_seconds", Kind::Counter, "seconds", "CPU time used by the process", |v| v.cpu_seconds),
    ("process_resident_memory_bytes", Kind::Gauge, "bytes", "Memory of the process in RAM", |v| {
        v.resident as f64
    }),
    ("process_virtual_memory_bytes", Kind::Gauge, "bytes", "Address space of the process", |v| {
        v.virtual_memory as f64
    }),
    ("process_open_fds", Kind::Gauge, "", "Files the process has open", |v| v.open_files as f64),
    ("process_max_fds", Kind::Gauge, "", "Files the process may have open", |v| v.max_files as f64),
    ("process_threads", Kind::Gauge, "", "Threads of the process", |v| v.threads as f64),
    ("process_start_time_seconds", Kind::Gauge, "seconds", "When the process started", |v| v.started),
];

/// Whether the series of this family that has no labels is the agent's.
pub(super) fn has(family: &str) -> bool {
    ROWS.iter().any(|(name, ..)| *name == family)
}

impl Registry {
    /// Takes the families in. They count as built in.
    pub(super) fn admit_vitals(&mut self) {
        for (name, kind, unit, help, _) in ROWS {
            if self.claim(name, kind).is_ok() {
                let mut family = Family::new(name, kind, RandomState::default());
                (family.unit, family.help, family.stays) = (unit.into(), help.into(), true);
                family.held = family.bytes();
                self.occupancy.resize(u32::MAX, 0, family.held);
                self.admit(family);
            }
        }
    }

    /// Takes what the agent costs at this time.
    pub fn set_vitals(&mut self, at: Timestamp, vitals: &Vitals) {
        for (name, .., read) in ROWS {
            let Some(&id) = self.taken.get(name) else { continue };
            let Some(slot) = self.slot_of(id, b"", 0, SourceId::AGENT, &Change::Set(0.0)) else {
                continue;
            };
            let family = self.families.get_mut(id as usize);
            if let Some((series, _)) = family.and_then(|family| family.get_mut(slot)) {
                series.value = series::Value::Number(read(vitals));
                series.born = vitals.started as u32;
                series.touched = at.steady_second();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::{Format, Limits};
    use super::*;
    use crate::event::{Body, Event, FaultKind, Observation, Spell, Spelled};

    #[test]
    fn the_agent_has_its_own_series_under_the_names_of_all() {
        let mut registry = Registry::new(&[], Limits::default(), HashMap::new());
        registry
            .set_vitals(Timestamp::both(0), &Vitals { cpu_seconds: 1.5, open_files: 7, ..Vitals::default() });
        let mut out = Vec::new();
        registry.write_all(Format::OpenMetrics, Timestamp::both(0), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE process_")).count(), ROWS.len());
        for line in
            ["process_cpu_seconds_total 1.5", "process_open_fds 7", "# UNIT process_cpu_seconds seconds"]
        {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(has("process_open_fds") && !has("process_io_bytes"));
    }

    #[test]
    fn others_have_these_names_with_labels() {
        struct Open(Option<&'static str>);
        impl Spell for Open {
            fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
                "process_open_fds".clone_into(&mut out.name);
                out.kind = Kind::Gauge;
                out.labels.extend(self.0.map(|value| ("source".to_owned(), value.to_owned())));
                Ok(())
            }
        }
        let mut registry = Registry::new(&[], Limits::default(), HashMap::new());
        let source = registry.add_source("s");
        registry.set_vitals(Timestamp::both(0), &Vitals { open_files: 7, ..Vitals::default() });
        let mut fold = |key: &[u8], spelling: &Open| {
            let o = Observation { key, spelling, change: Change::Reads(3.0), trace: None };
            registry.fold(&Event { at: Timestamp::both(0), source, body: Body::Observation(o) })
        };
        assert_eq!(fold(b"a", &Open(Some("s"))), Ok(()));
        assert_eq!(fold(b"b", &Open(None)), Err(FaultKind::Conflict));
        assert_eq!(registry.number("process_open_fds", "source=\"s\""), Some(3.0));
        assert_eq!(registry.number("process_open_fds", ""), Some(7.0));
    }
}
