//! The page of the machine: processors, memory, file systems, disks, network, temperatures.
//!
//! It says nothing of single programs (page `process`) or of graphics processors (page `gpu`).

mod network;
mod storage;

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Host, Kind, Sensor, Topic};

/// The page.
pub static PAGE: Page = Page {
    id: "host",
    title: "Host",
    about: "Whether the machine has processor time, memory, disk and network left for its pipelines. Remove the source if another exporter reports the same.",
    metrics: &[
        &INFO,
        &BOOT_TIME,
        &UPTIME,
        &PROCESSORS,
        &CPU,
        &CPU_CORE,
        &LOAD1,
        &LOAD5,
        &LOAD15,
        &CONTEXT_SWITCHES,
        &FORKS,
        &TASKS,
        &MEMORY_SIZE,
        &MEMORY_AVAILABLE,
        &MEMORY_USED,
        &MEMORY_FREE,
        &MEMORY_CACHED,
        &MEMORY_DIRTY,
        &SWAP_SIZE,
        &SWAP_USED,
        &SWAP_FREE,
        &PRESSURE,
        &storage::FILESYSTEM_SIZE,
        &storage::FILESYSTEM_AVAILABLE,
        &storage::FILESYSTEM_READONLY,
        &storage::FILESYSTEM_STALLED,
        &storage::DISK_READ,
        &storage::DISK_WRITTEN,
        &storage::DISK_READS,
        &storage::DISK_WRITES,
        &storage::DISK_READ_TIME,
        &storage::DISK_WRITE_TIME,
        &storage::DISK_BUSY,
        &storage::DISK_IN_FLIGHT,
        &network::NETWORK_RECEIVED,
        &network::NETWORK_TRANSMITTED,
        &network::NETWORK_PACKETS,
        &network::NETWORK_ERRORS,
        &network::NETWORK_DROPS,
        &network::SOCKETS,
        &network::TCP_CONNECTIONS,
        &network::TCP_RETRANSMITS,
        &network::UDP_OVERFLOWS,
        &TEMPERATURE,
        &TEMPERATURE_CRITICAL,
        &FILES,
        &FILES_LIMIT,
    ],
};

/// Of the machine itself: there as long as it is read.
const GAUGE: Metric = Metric { keep: Keep::WhileUp, on: &[Topic::Host], ..Metric::BLANK };
/// Of a part that may be unplugged or unmounted.
const PART: Metric = Metric { keep: Keep::Fresh, on: &[Topic::Host], ..Metric::BLANK };
/// Counted by the kernel.
const COUNTER: Metric =
    Metric { kind: Kind::Counter, keep: Keep::Always, on: &[Topic::Host], ..Metric::BLANK };

fn host<'a>(event: &Event<'a>) -> Option<&'a Host> {
    match event.body {
        Body::Host(host) => Some(host),
        _ => None,
    }
}

fn put(row: &mut dyn Row, value: Option<f64>) {
    if let Some(value) = value {
        row.set(&[], value);
    }
}

fn sensors<'a>(event: &Event<'a>) -> &'a [Sensor] {
    host(event).map_or(&[], |host| &host.sensors)
}

static INFO: Metric = Metric {
    name: "host",
    help: "Operating system, kernel and architecture of the machine",
    kind: Kind::Info,
    labels: &["system", "kernel", "architecture"],
    read: |event, row| {
        if let Some(Host { info, .. }) = host(event) {
            row.set(&[&info.system, &info.kernel, &info.architecture], 1.0);
        }
    },
    ..GAUGE
};

static BOOT_TIME: Metric = Metric {
    name: "host_boot_time",
    help: "Unix time of the last boot",
    unit: Unit::Seconds,
    read: |event, row| put(row, host(event).and_then(|host| host.boot_time)),
    ..GAUGE
};

static UPTIME: Metric = Metric {
    name: "host_uptime",
    help: "Time since the last boot",
    unit: Unit::Seconds,
    read: |event, row| put(row, host(event).and_then(|host| host.uptime)),
    ..GAUGE
};

static PROCESSORS: Metric = Metric {
    name: "host_cpus",
    help: "Processors online",
    read: |event, row| put(row, host(event).and_then(|host| host.processors)),
    ..GAUGE
};

static CPU: Metric = Metric {
    name: "host_cpu",
    help: "CPU time of all processors, by mode",
    unit: Unit::Seconds,
    labels: &["mode"],
    read: |event, row| {
        for (mode, seconds) in host(event).and_then(|host| host.cpu).iter().flat_map(|cpu| cpu.modes()) {
            row.set(&[mode], seconds);
        }
    },
    ..COUNTER
};

static CPU_CORE: Metric = Metric {
    name: "host_cpu_core",
    help: "CPU time of each processor, by mode",
    note: "Only with the setting `per_cpu`",
    unit: Unit::Seconds,
    labels: &["cpu", "mode"],
    read: |event, row| {
        let mut number = itoa::Buffer::new();
        for (cpu, seconds) in host(event).map_or(&[][..], |host| &host.cores) {
            let cpu = number.format(*cpu);
            for (mode, seconds) in seconds.modes() {
                row.set(&[cpu, mode], seconds);
            }
        }
    },
    ..COUNTER
};

static LOAD1: Metric = Metric {
    name: "host_load1",
    help: "Load average over 1 minute",
    read: |event, row| put(row, host(event).and_then(|host| host.load).map(|load| load.one)),
    ..GAUGE
};

static LOAD5: Metric = Metric {
    name: "host_load5",
    help: "Load average over 5 minutes",
    read: |event, row| put(row, host(event).and_then(|host| host.load).map(|load| load.five)),
    ..GAUGE
};

static LOAD15: Metric = Metric {
    name: "host_load15",
    help: "Load average over 15 minutes",
    read: |event, row| put(row, host(event).and_then(|host| host.load).map(|load| load.fifteen)),
    ..GAUGE
};

static CONTEXT_SWITCHES: Metric = Metric {
    name: "host_context_switches",
    help: "Context switches of all processors",
    read: |event, row| put(row, host(event).and_then(|h| h.scheduler).map(|s| s.context_switches)),
    ..COUNTER
};

static FORKS: Metric = Metric {
    name: "host_forks",
    help: "Processes and threads created",
    read: |event, row| put(row, host(event).and_then(|h| h.scheduler).map(|s| s.forks)),
    ..COUNTER
};

static TASKS: Metric = Metric {
    name: "host_tasks",
    help: "Tasks that are running or blocked by I/O, by state",
    labels: &["state"],
    read: |event, row| {
        if let Some(scheduler) = host(event).and_then(|host| host.scheduler) {
            row.set(&["running"], scheduler.running);
            row.set(&["blocked"], scheduler.blocked);
        }
    },
    ..GAUGE
};

static MEMORY_SIZE: Metric = Metric {
    name: "host_memory_size",
    help: "Main memory",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).map(|m| m.size)),
    ..GAUGE
};

static MEMORY_AVAILABLE: Metric = Metric {
    name: "host_memory_available",
    help: "Memory available to programs without swapping",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).map(|m| m.available)),
    ..GAUGE
};

static MEMORY_USED: Metric = Metric {
    name: "host_memory_used",
    help: "Memory in use: size less available memory",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).map(|m| m.used)),
    ..GAUGE
};

static MEMORY_FREE: Metric = Metric {
    name: "host_memory_free",
    help: "Unused memory, caches not included",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).map(|m| m.free)),
    ..GAUGE
};

static MEMORY_CACHED: Metric = Metric {
    name: "host_memory_cached",
    help: "Memory used as page cache",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).and_then(|m| m.cached)),
    ..GAUGE
};

static MEMORY_DIRTY: Metric = Metric {
    name: "host_memory_dirty",
    help: "Memory that waits to be written to disk",
    note: "Grows when a recording is faster than its disk",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).and_then(|m| m.dirty)),
    ..GAUGE
};

static SWAP_SIZE: Metric = Metric {
    name: "host_swap_size",
    help: "Swap space",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.swap).map(|s| s.size)),
    ..GAUGE
};

static SWAP_USED: Metric = Metric {
    name: "host_swap_used",
    help: "Swap space in use",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.swap).map(|s| s.used)),
    ..GAUGE
};

static SWAP_FREE: Metric = Metric {
    name: "host_swap_free",
    help: "Free swap space",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.swap).map(|s| s.free)),
    ..GAUGE
};

static PRESSURE: Metric = Metric {
    name: "host_pressure",
    help: "Time in which some tasks or all tasks (full) waited for CPU, I/O or memory",
    unit: Unit::Seconds,
    labels: &["resource", "stall"],
    read: |event, row| {
        for pressure in host(event).map_or(&[][..], |host| &host.pressure) {
            row.set(&[pressure.resource, "some"], pressure.some);
            if let Some(full) = pressure.full {
                row.set(&[pressure.resource, "full"], full);
            }
        }
    },
    ..COUNTER
};

static TEMPERATURE: Metric = Metric {
    name: "host_temperature",
    help: "Temperature, by sensor",
    unit: Unit::Celsius,
    labels: &["sensor"],
    read: |event, row| {
        for sensor in sensors(event) {
            row.set(&[&sensor.name], sensor.celsius);
        }
    },
    ..PART
};

static TEMPERATURE_CRITICAL: Metric = Metric {
    name: "host_temperature_critical",
    help: "Critical temperature of the sensor, at which the hardware protects itself",
    unit: Unit::Celsius,
    labels: &["sensor"],
    read: |event, row| {
        for sensor in sensors(event) {
            if let Some(critical) = sensor.critical {
                row.set(&[&sensor.name], critical);
            }
        }
    },
    ..PART
};

static FILES: Metric = Metric {
    name: "host_file_handles",
    help: "File handles in use",
    read: |event, row| put(row, host(event).and_then(|h| h.files).map(|files| files.allocated)),
    ..GAUGE
};

static FILES_LIMIT: Metric = Metric {
    name: "host_file_handles_limit",
    help: "Limit of file handles",
    read: |event, row| put(row, host(event).and_then(|h| h.files).map(|files| files.limit)),
    ..GAUGE
};

#[cfg(test)]
mod tests {
    use super::super::process::tests::readings;
    use super::*;
    use crate::event::{
        CpuSeconds, Disk, Filesystem, Interface, Load, Memory, OpenFiles, Pressure, Scheduler, Sockets, Swap,
        Traffic,
    };

    fn full() -> Host {
        let cpu = CpuSeconds { user: 3.0, idle: 7.0, ..CpuSeconds::default() };
        let traffic = Traffic { bytes: 10.0, drops: Some(1.0), ..Traffic::default() };
        Host {
            boot_time: Some(1.0),
            uptime: Some(2.0),
            processors: Some(1.0),
            cpu: Some(cpu),
            cores: vec![(0, cpu)],
            load: Some(Load { one: 0.1, five: 0.5, fifteen: 0.15 }),
            scheduler: Some(Scheduler::default()),
            memory: Some(Memory { cached: Some(1.0), dirty: Some(1.0), ..Memory::default() }),
            swap: Some(Swap::default()),
            pressure: vec![Pressure { resource: "io", some: 1.0, full: Some(0.5) }],
            filesystems: vec![Filesystem { mount: "/".to_owned(), readonly: true, ..Filesystem::default() }],
            filesystems_stalled: Some(false),
            disks: vec![Disk { device: "sda".to_owned(), ..Disk::default() }],
            interfaces: vec![Interface { name: "eth0".to_owned(), received: traffic, transmitted: traffic }],
            sockets: Sockets {
                used: Some(1.0),
                tcp_established: Some(2.0),
                tcp_waiting: Some(3.0),
                tcp_retransmits: Some(4.0),
                udp_overflows: Some(5.0),
            },
            sensors: vec![Sensor { name: "cpu".to_owned(), celsius: 40.0, critical: Some(100.0) }],
            files: Some(OpenFiles { allocated: 1.0, limit: 2.0 }),
            ..Host::default()
        }
    }

    #[test]
    fn every_metric_reads_a_machine_that_tells_everything() {
        let got = readings(&PAGE, Body::Host(&full()));
        for (name, row) in &got {
            assert!(!row.rows.is_empty(), "{name} reads nothing");
        }
        assert_eq!(got["neural_host_cpu_seconds"].rows[&vec!["idle".to_owned()]], 7.0);
        let of_root = vec!["/".to_owned(), String::new(), String::new()];
        assert_eq!(got["neural_host_filesystem_readonly"].rows[&of_root], 1.0);
    }

    #[test]
    fn a_machine_that_tells_nothing_has_no_zeros() {
        for (name, row) in readings(&PAGE, Body::Host(&Host::default())) {
            assert!(row.rows.is_empty() || name == "neural_host", "{name} reads {row:?}");
        }
    }
}
