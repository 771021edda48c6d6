//! The books of a group of watched processes: what its members hold, and what they ever took.
//!
//! Who belongs is written in from outside.

use std::collections::HashMap;
use std::path::Path;

use super::super::linux;
use crate::event::{ProcessGauges, ProcessGroup};

/// One process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// When it started, seconds since the epoch: with the number it tells processes apart.
    started: u64,
    grown: Grown,
    resident: f64,
    address_space: f64,
    threads: Option<f64>,
    files: Option<f64>,
    files_limit: Option<f64>,
}

/// What only grows as long as a process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Grown {
    cpu: f64,
    /// Bytes read and written, if the agent may know.
    disk: Option<(f64, f64)>,
    faults: Option<f64>,
    /// Context switches, voluntary and not.
    switches: Option<(f64, f64)>,
}

impl Grown {
    /// Adds what was gained from `before` to `after`.
    fn add(&mut self, before: &Self, after: &Self) {
        let gain = |before: f64, after: f64| (after - before).max(0.0);
        let pair = |sum: &mut Option<(f64, f64)>, before: Option<(f64, f64)>, after: Option<(f64, f64)>| {
            if let Some(after) = after {
                let (before, sum) = (before.unwrap_or_default(), sum.get_or_insert_default());
                *sum = (sum.0 + gain(before.0, after.0), sum.1 + gain(before.1, after.1));
            }
        };
        self.cpu += gain(before.cpu, after.cpu);
        if let Some(after) = after.faults {
            *self.faults.get_or_insert_default() += gain(before.faults.unwrap_or_default(), after);
        }
        pair(&mut self.disk, before.disk, after.disk);
        pair(&mut self.switches, before.switches, after.switches);
    }
}

pub(super) fn reading(process: &sysinfo::Process, buffer: &mut Vec<u8>) -> Reading {
    let folder = Path::new("/proc").join(process.pid().to_string());
    let task = linux::slurp(folder.join("stat"), buffer).and_then(linux::task_stat);
    let switches = linux::slurp(folder.join("status"), buffer).and_then(linux::task_switches);
    let disk = process.disk_usage();
    let disk = (disk.total_read_bytes as f64, disk.total_written_bytes as f64);
    // A process that may not be asked reads as zeros.
    let disk = (disk != (0.0, 0.0) || std::fs::File::open(folder.join("io")).is_ok()).then_some(disk);
    let files = process.open_files().map(|files| files as f64);
    Reading {
        started: process.start_time(),
        grown: Grown {
            cpu: process.accumulated_cpu_time() as f64 / 1e3,
            disk,
            faults: task.map(|task| task.major_faults),
            switches,
        },
        resident: process.memory() as f64,
        address_space: process.virtual_memory() as f64,
        threads: task.map(|task| task.threads),
        files,
        files_limit: files.and_then(|_| process.open_files_limit()).map(|limit| limit as f64),
    }
}

/// A group's books.
pub(super) struct Account {
    group: String,
    /// Who belongs, with the last reading that the sum already contains.
    pub(super) members: HashMap<u32, Option<Reading>>,
    sum: Grown,
}

impl Account {
    pub(super) fn new(group: &str) -> Self {
        Self { group: group.to_owned(), members: HashMap::new(), sum: Grown::default() }
    }

    /// Books what the living members gained, and lets go of the dead and of those whose number
    /// belongs to another process now. The wall clock was set by `set` seconds since the first reading.
    pub(super) fn settle(&mut self, alive: &HashMap<u32, Reading>, set: f64) -> ProcessGroup {
        let sum = &mut self.sum;
        self.members.retain(|pid, last| {
            let Some(reading) = alive.get(pid) else { return false };
            if last.is_some_and(|last| last.started != reading.started) {
                return false;
            }
            sum.add(&last.map(|last| last.grown).unwrap_or_default(), &reading.grown);
            *last = Some(*reading);
            true
        });
        let living: Vec<&Reading> = self.members.values().flatten().collect();
        ProcessGroup {
            group: self.group.clone(),
            alive: living.len() as f64,
            cpu_seconds: sum.cpu,
            read_bytes: sum.disk.map(|(read, _)| read),
            written_bytes: sum.disk.map(|(_, written)| written),
            major_faults: sum.faults,
            voluntary_switches: sum.switches.map(|(voluntary, _)| voluntary),
            involuntary_switches: sum.switches.map(|(_, forced)| forced),
            now: gauges(&living, set),
        }
    }
}

/// What the living hold together. A sum that one of them does not contribute to is not reported.
fn gauges(living: &[&Reading], set: f64) -> Option<ProcessGauges> {
    let oldest = living.iter().map(|one| one.started).min()?;
    let sum = |value: fn(&Reading) -> Option<f64>| living.iter().copied().map(value).sum::<Option<f64>>();
    let shares =
        || living.iter().filter_map(|one| Some(one.files? / one.files_limit.filter(|limit| *limit > 0.0)?));
    Some(ProcessGauges {
        resident_bytes: living.iter().map(|one| one.resident).sum(),
        virtual_bytes: living.iter().map(|one| one.address_space).sum(),
        threads: sum(|one| one.threads),
        open_files: sum(|one| one.files),
        open_files_limit: living.iter().filter_map(|one| one.files_limit).reduce(f64::min),
        open_files_ratio: shares().reduce(f64::max),
        oldest_start: Some(oldest as f64 + set),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(started: u64, cpu: f64, resident: f64) -> Reading {
        Reading {
            started,
            grown: Grown { cpu, disk: Some((cpu * 10.0, 0.0)), faults: Some(1.0), switches: None },
            resident,
            threads: Some(2.0),
            files: Some(5.0),
            files_limit: Some(10.0),
            ..Reading::default()
        }
    }

    #[test]
    fn a_process_that_ends_takes_nothing_away() {
        let mut account = Account::new("decoder");
        account.members.extend([(1, None), (2, None)]);
        let both = HashMap::from([(1, process(100, 3.0, 50.0)), (2, process(90, 4.0, 60.0))]);
        let got = account.settle(&both, 0.0);
        assert_eq!((got.alive, got.cpu_seconds, got.read_bytes), (2.0, 7.0, Some(70.0)));
        let now = got.now.unwrap();
        assert_eq!((now.resident_bytes, now.threads, now.oldest_start), (110.0, Some(4.0), Some(90.0)));
        assert_eq!(
            (now.open_files, now.open_files_limit, now.open_files_ratio),
            (Some(10.0), Some(10.0), Some(0.5))
        );

        let one = HashMap::from([(1, process(100, 3.5, 50.0))]);
        // The wall clock was set back by an hour: it is the same process.
        let got = account.settle(&one, -3600.0);
        assert_eq!((got.alive, got.cpu_seconds), (1.0, 7.5));
        assert_eq!(got.now.unwrap().oldest_start, Some(-3500.0));
        assert_eq!(got.voluntary_switches, None);

        let none = account.settle(&HashMap::new(), 0.0);
        assert_eq!((none.alive, none.cpu_seconds, none.now), (0.0, 7.5, None));

        // The number came back as another process; it belongs only once a scan says so.
        assert_eq!(account.settle(&one, 0.0).alive, 0.0);
        account.members.insert(1, None);
        assert_eq!(account.settle(&one, 0.0).cpu_seconds, 11.0);
        let reused = HashMap::from([(1, process(200, 0.1, 1.0))]);
        assert_eq!((account.settle(&reused, 0.0).alive, account.sum.cpu), (0.0, 11.0));
    }

    #[test]
    fn what_one_process_does_not_tell_is_not_summed() {
        let mut account = Account::new("decoder");
        account.members.extend([(1, None), (2, None)]);
        let silent = Reading { files: None, files_limit: None, ..process(1, 1.0, 1.0) };
        let now = account.settle(&HashMap::from([(1, process(1, 1.0, 1.0)), (2, silent)]), 0.0).now.unwrap();
        assert_eq!((now.open_files, now.open_files_ratio), (None, Some(0.5)));
    }
}
