//! The page of watched programs, by the name of their group.
//!
//! It says nothing of programs that no group asks for; those of a graphics processor are on its page.

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Kind, ProcessGauges, ProcessGroup, Topic};

/// The page.
pub static PAGE: Page = Page {
    id: "process",
    title: "Processes",
    about: "Whether the programs of a pipeline run, and what resources they use. A program that restarts does not make counters fall.",
    metrics: &[
        &ALIVE,
        &CPU,
        &RESIDENT,
        &VIRTUAL,
        &THREADS,
        &OPEN_FILES,
        &OPEN_FILES_LIMIT,
        &OPEN_FILES_RATIO,
        &OLDEST_START,
        &READ,
        &WRITTEN,
        &MAJOR_FAULTS,
        &CONTEXT_SWITCHES,
    ],
};

/// Of what is alive; it goes when nothing is.
const GAUGE: Metric =
    Metric { labels: &["group"], keep: Keep::Fresh, on: &[Topic::Process], ..Metric::BLANK };
/// Counted over the group's life.
const COUNTER: Metric = Metric { kind: Kind::Counter, keep: Keep::Always, ..GAUGE };

fn group(event: &Event<'_>, row: &mut dyn Row, value: fn(&ProcessGroup) -> Option<f64>) {
    if let Body::Process(group) = event.body
        && let Some(value) = value(group)
    {
        row.set(&[&group.group], value);
    }
}

fn now(event: &Event<'_>, row: &mut dyn Row, value: fn(&ProcessGauges) -> Option<f64>) {
    if let Body::Process(group) = event.body
        && let Some(value) = group.now.as_ref().and_then(value)
    {
        row.set(&[&group.group], value);
    }
}

static ALIVE: Metric = Metric {
    name: "process_instances",
    help: "Running processes of the group",
    keep: Keep::WhileUp,
    read: |event, row| group(event, row, |g| Some(g.alive)),
    ..GAUGE
};

static CPU: Metric = Metric {
    name: "process_cpu",
    help: "CPU time of the group, processes that ended included",
    unit: Unit::Seconds,
    read: |event, row| group(event, row, |g| Some(g.cpu_seconds)),
    ..COUNTER
};

static RESIDENT: Metric = Metric {
    name: "process_resident_memory",
    help: "Resident memory of the group",
    note: "Shared pages count in each process",
    unit: Unit::Bytes,
    read: |event, row| now(event, row, |g| Some(g.resident_bytes)),
    ..GAUGE
};

static VIRTUAL: Metric = Metric {
    name: "process_virtual_memory",
    help: "Virtual memory of the group",
    unit: Unit::Bytes,
    read: |event, row| now(event, row, |g| Some(g.virtual_bytes)),
    ..GAUGE
};

static THREADS: Metric = Metric {
    name: "process_threads",
    help: "Threads of the group",
    read: |event, row| now(event, row, |g| g.threads),
    ..GAUGE
};

static OPEN_FILES: Metric = Metric {
    name: "process_open_files",
    help: "Open files of the group, sockets included",
    note: "Absent if the agent may not count those of every process",
    read: |event, row| now(event, row, |g| g.open_files),
    ..GAUGE
};

static OPEN_FILES_LIMIT: Metric = Metric {
    name: "process_open_files_limit",
    help: "Lowest limit of open files of one process in the group",
    read: |event, row| now(event, row, |g| g.open_files_limit),
    ..GAUGE
};

static OPEN_FILES_RATIO: Metric = Metric {
    name: "process_open_files",
    help: "Highest share of its limit of open files that one process uses",
    unit: Unit::Ratio,
    read: |event, row| now(event, row, |g| g.open_files_ratio),
    ..GAUGE
};

static OLDEST_START: Metric = Metric {
    name: "process_oldest_start_time",
    help: "Unix time at which the oldest running process was started",
    unit: Unit::Seconds,
    read: |event, row| now(event, row, |g| g.oldest_start),
    ..GAUGE
};

static READ: Metric = Metric {
    name: "process_read",
    help: "Bytes read from disks by the group",
    note: "Absent if the agent may not read them",
    unit: Unit::Bytes,
    read: |event, row| group(event, row, |g| g.read_bytes),
    ..COUNTER
};

static WRITTEN: Metric = Metric {
    name: "process_written",
    help: "Bytes written to disks by the group",
    note: "Absent if the agent may not read them",
    unit: Unit::Bytes,
    read: |event, row| group(event, row, |g| g.written_bytes),
    ..COUNTER
};

static MAJOR_FAULTS: Metric = Metric {
    name: "process_major_faults",
    help: "Page faults that needed a disk",
    read: |event, row| group(event, row, |g| g.major_faults),
    ..COUNTER
};

static CONTEXT_SWITCHES: Metric = Metric {
    name: "process_context_switches",
    help: "Context switches of the main threads, voluntary or involuntary",
    labels: &["group", "reason"],
    read: |event, row| {
        let Body::Process(group) = event.body else { return };
        for (reason, switches) in
            [("voluntary", group.voluntary_switches), ("involuntary", group.involuntary_switches)]
        {
            if let Some(switches) = switches {
                row.set(&[&group.group, reason], switches);
            }
        }
    },
    ..COUNTER
};

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{SourceId, Timestamp, TraceId};

    /// Remembers what metrics put into their rows.
    #[derive(Debug, Default)]
    pub(in super::super) struct Recording {
        labels: usize,
        pub rows: BTreeMap<Vec<String>, f64>,
    }

    impl Row for Recording {
        fn source(&self) -> std::sync::Arc<str> {
            "test".into()
        }
        fn add(&mut self, _: &[&str], _: f64) {
            panic!("a machine's numbers are read, not counted here");
        }
        fn set(&mut self, labels: &[&str], to: f64) {
            assert_eq!(labels.len(), self.labels);
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            assert_eq!(self.rows.insert(labels, to), None, "set twice");
        }
        fn stamp(&mut self, _: &[&str], _: Timestamp) {
            panic!("a machine's numbers are no moments");
        }
        fn shift(&mut self, _: &[&str], _: f64) {
            panic!("a machine's numbers are read, not moved");
        }
        fn observe(&mut self, _: &[&str], _: f64, _: Option<TraceId>) {
            panic!("a machine has no histograms");
        }
    }

    /// What every metric of `page` reads of `body`, by its exposed name.
    pub(in super::super) fn readings(page: &Page, body: Body<'_>) -> BTreeMap<String, Recording> {
        let event = Event { at: Timestamp::both(0), source: SourceId(0), body };
        let mut out = BTreeMap::new();
        for metric in page.metrics {
            assert_eq!(metric.on, [body.topic()], "{metric:?}");
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{metric:?}");
            assert_eq!(metric.kind == Kind::Counter, metric.keep == Keep::Always, "{metric:?}");
            let mut row = Recording { labels: metric.labels.len(), ..Recording::default() };
            (metric.read)(&event, &mut row);
            assert!(out.insert(metric.family(), row).is_none(), "{metric:?} is there twice");
        }
        out
    }

    #[test]
    fn every_metric_reads_a_group_that_tells_everything() {
        let group = ProcessGroup {
            group: "decoder".to_owned(),
            alive: 2.0,
            cpu_seconds: 3.5,
            read_bytes: Some(1.0),
            written_bytes: Some(2.0),
            major_faults: Some(3.0),
            voluntary_switches: Some(4.0),
            involuntary_switches: Some(5.0),
            now: Some(ProcessGauges {
                threads: Some(6.0),
                open_files: Some(7.0),
                open_files_limit: Some(8.0),
                open_files_ratio: Some(0.875),
                oldest_start: Some(9.0),
                ..ProcessGauges::default()
            }),
        };
        let got = readings(&PAGE, Body::Process(&group));
        for (name, row) in &got {
            assert!(!row.rows.is_empty(), "{name} reads nothing");
        }
        assert_eq!(got["neural_process_cpu_seconds"].rows[&vec!["decoder".to_owned()]], 3.5);
        assert_eq!(got["neural_process_open_files_ratio"].rows[&vec!["decoder".to_owned()]], 0.875);

        let dead = ProcessGroup { group: "decoder".to_owned(), ..ProcessGroup::default() };
        let exposed: Vec<String> = readings(&PAGE, Body::Process(&dead))
            .into_iter()
            .filter_map(|(name, row)| (!row.rows.is_empty()).then_some(name))
            .collect();
        assert_eq!(exposed, ["neural_process_cpu_seconds", "neural_process_instances"]);
    }
}
