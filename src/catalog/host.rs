//! The page of the machine: processors, memory, file systems, disks, network, temperatures.
//!
//! It says nothing of single programs (page `process`) or of graphics processors (page `gpu`).

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Disk, Event, Filesystem, Host, Interface, Kind, Sensor, Sockets, Topic};

/// The page.
pub static PAGE: Page = Page {
    id: "host",
    title: "Host",
    about: "Whether the machine has processor time, memory, disk and network left for the pipelines on it. \
            Switch the source off where another exporter tells the same.",
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
        &FILESYSTEM_SIZE,
        &FILESYSTEM_AVAILABLE,
        &FILESYSTEM_READONLY,
        &FILESYSTEM_STALLED,
        &DISK_READ,
        &DISK_WRITTEN,
        &DISK_READS,
        &DISK_WRITES,
        &DISK_READ_TIME,
        &DISK_WRITE_TIME,
        &DISK_BUSY,
        &DISK_IN_FLIGHT,
        &NETWORK_RECEIVED,
        &NETWORK_TRANSMITTED,
        &NETWORK_PACKETS,
        &NETWORK_ERRORS,
        &NETWORK_DROPS,
        &SOCKETS,
        &TCP_CONNECTIONS,
        &TCP_RETRANSMITS,
        &UDP_OVERFLOWS,
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

fn filesystems(event: &Event<'_>, mut each: impl FnMut(&[&str], &Filesystem)) {
    for fs in host(event).map_or(&[][..], |host| &host.filesystems) {
        each(&[&fs.mount, &fs.device, &fs.fstype], fs);
    }
}

fn disks(event: &Event<'_>, row: &mut dyn Row, value: fn(&Disk) -> f64) {
    for disk in host(event).map_or(&[][..], |host| &host.disks) {
        row.set(&[&disk.device], value(disk));
    }
}

fn interfaces<'a>(event: &Event<'a>) -> &'a [Interface] {
    host(event).map_or(&[], |host| &host.interfaces)
}

fn sensors<'a>(event: &Event<'a>) -> &'a [Sensor] {
    host(event).map_or(&[], |host| &host.sensors)
}

fn sockets(event: &Event<'_>) -> Sockets {
    host(event).map(|host| host.sockets).unwrap_or_default()
}

static INFO: Metric = Metric {
    name: "host",
    help: "What runs on the machine",
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
    help: "When the machine was started, since the epoch",
    unit: Unit::Seconds,
    read: |event, row| put(row, host(event).and_then(|host| host.boot_time)),
    ..GAUGE
};

static UPTIME: Metric = Metric {
    name: "host_uptime",
    help: "How long the machine has been running",
    unit: Unit::Seconds,
    read: |event, row| put(row, host(event).and_then(|host| host.uptime)),
    ..GAUGE
};

static PROCESSORS: Metric = Metric {
    name: "host_cpus",
    help: "Processors that are online",
    read: |event, row| put(row, host(event).and_then(|host| host.processors)),
    ..GAUGE
};

static CPU: Metric = Metric {
    name: "host_cpu",
    help: "CPU time of all processors together, by what it was spent on",
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
    help: "CPU time of each processor, by what it was spent on, if the setting per_cpu asks for it",
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
    help: "Tasks that run or want to, averaged over one minute",
    read: |event, row| put(row, host(event).and_then(|host| host.load).map(|load| load.one)),
    ..GAUGE
};

static LOAD5: Metric = Metric {
    name: "host_load5",
    help: "Tasks that run or want to, averaged over five minutes",
    read: |event, row| put(row, host(event).and_then(|host| host.load).map(|load| load.five)),
    ..GAUGE
};

static LOAD15: Metric = Metric {
    name: "host_load15",
    help: "Tasks that run or want to, averaged over fifteen minutes",
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
    help: "Tasks that are running, or blocked by a disk",
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
    help: "Memory that programs could still have, caches given up",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).map(|m| m.available)),
    ..GAUGE
};

static MEMORY_USED: Metric = Metric {
    name: "host_memory_used",
    help: "Memory that programs could not have: size less what is available",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).map(|m| m.used)),
    ..GAUGE
};

static MEMORY_FREE: Metric = Metric {
    name: "host_memory_free",
    help: "Memory that nobody uses, not even as a cache",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).map(|m| m.free)),
    ..GAUGE
};

static MEMORY_CACHED: Metric = Metric {
    name: "host_memory_cached",
    help: "Memory that holds contents of files",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.memory).and_then(|m| m.cached)),
    ..GAUGE
};

static MEMORY_DIRTY: Metric = Metric {
    name: "host_memory_dirty",
    help: "Memory that holds changed contents of files, not written yet: grows when a recording outruns its disk",
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
    help: "Swap space that is free",
    unit: Unit::Bytes,
    read: |event, row| put(row, host(event).and_then(|h| h.swap).map(|s| s.free)),
    ..GAUGE
};

static PRESSURE: Metric = Metric {
    name: "host_pressure",
    help: "Time in which some task, or every task (full), waited for cpu, io or memory",
    unit: Unit::Seconds,
    labels: &["resource", "share"],
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

/// What tells one file system from another.
const MOUNT: &[&str] = &["mount", "device", "fstype"];

static FILESYSTEM_SIZE: Metric = Metric {
    name: "host_filesystem_size",
    help: "Size of the file system",
    unit: Unit::Bytes,
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, fs.size)),
    ..PART
};

static FILESYSTEM_AVAILABLE: Metric = Metric {
    name: "host_filesystem_available",
    help: "Space that is free for users who are not root",
    unit: Unit::Bytes,
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, fs.available)),
    ..PART
};

static FILESYSTEM_READONLY: Metric = Metric {
    name: "host_filesystem_readonly",
    help: "Whether the file system cannot be written, as after an error of its disk",
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, f64::from(u8::from(fs.readonly)))),
    ..PART
};

static FILESYSTEM_STALLED: Metric = Metric {
    name: "host_filesystem_stalled",
    help: "Whether the kernel does not answer for the file systems, as when a file server is gone",
    read: |event, row| {
        put(row, host(event).and_then(|h| h.filesystems_stalled).map(|stalled| f64::from(u8::from(stalled))));
    },
    ..GAUGE
};

static DISK_READ: Metric = Metric {
    name: "host_disk_read",
    help: "Read from the disk",
    unit: Unit::Bytes,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.read_bytes),
    ..COUNTER
};

static DISK_WRITTEN: Metric = Metric {
    name: "host_disk_written",
    help: "Written to the disk",
    unit: Unit::Bytes,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.written_bytes),
    ..COUNTER
};

static DISK_READS: Metric = Metric {
    name: "host_disk_reads",
    help: "Reads that the disk completed",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.reads),
    ..COUNTER
};

static DISK_WRITES: Metric = Metric {
    name: "host_disk_writes",
    help: "Writes that the disk completed",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.writes),
    ..COUNTER
};

static DISK_READ_TIME: Metric = Metric {
    name: "host_disk_read_time",
    help: "How long reads took, summed over reads; over their number it is the mean latency",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.read_seconds),
    ..COUNTER
};

static DISK_WRITE_TIME: Metric = Metric {
    name: "host_disk_write_time",
    help: "How long writes took, summed over writes; over their number it is the mean latency",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.write_seconds),
    ..COUNTER
};

static DISK_BUSY: Metric = Metric {
    name: "host_disk_busy",
    help: "Time in which the disk had at least one request under way",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.busy_seconds),
    ..COUNTER
};

static DISK_IN_FLIGHT: Metric = Metric {
    name: "host_disk_requests_in_flight",
    help: "Requests that the disk has under way",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.in_flight),
    ..PART
};

static NETWORK_RECEIVED: Metric = Metric {
    name: "host_network_received",
    help: "Received by the interface",
    unit: Unit::Bytes,
    labels: &["interface"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name], interface.received.bytes);
        }
    },
    ..COUNTER
};

static NETWORK_TRANSMITTED: Metric = Metric {
    name: "host_network_transmitted",
    help: "Transmitted by the interface",
    unit: Unit::Bytes,
    labels: &["interface"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name], interface.transmitted.bytes);
        }
    },
    ..COUNTER
};

static NETWORK_PACKETS: Metric = Metric {
    name: "host_network_packets",
    help: "Packets that passed the interface",
    labels: &["interface", "direction"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name, "received"], interface.received.packets);
            row.set(&[&interface.name, "transmitted"], interface.transmitted.packets);
        }
    },
    ..COUNTER
};

static NETWORK_ERRORS: Metric = Metric {
    name: "host_network_errors",
    help: "Packets with errors at the interface",
    labels: &["interface", "direction"],
    read: |event, row| {
        for interface in interfaces(event) {
            row.set(&[&interface.name, "received"], interface.received.errors);
            row.set(&[&interface.name, "transmitted"], interface.transmitted.errors);
        }
    },
    ..COUNTER
};

static NETWORK_DROPS: Metric = Metric {
    name: "host_network_drops",
    help: "Packets dropped at the interface",
    labels: &["interface", "direction"],
    read: |event, row| {
        for interface in interfaces(event) {
            for (direction, traffic) in
                [("received", interface.received), ("transmitted", interface.transmitted)]
            {
                if let Some(drops) = traffic.drops {
                    row.set(&[&interface.name, direction], drops);
                }
            }
        }
    },
    ..COUNTER
};

static SOCKETS: Metric = Metric {
    name: "host_sockets",
    help: "Sockets of any kind in use",
    read: |event, row| put(row, sockets(event).used),
    ..GAUGE
};

static TCP_CONNECTIONS: Metric = Metric {
    name: "host_tcp_connections",
    help: "TCP connections that are established, or wait for stray packets after their end",
    labels: &["state"],
    read: |event, row| {
        let sockets = sockets(event);
        for (state, number) in [("established", sockets.tcp_established), ("time_wait", sockets.tcp_waiting)]
        {
            if let Some(number) = number {
                row.set(&[state], number);
            }
        }
    },
    ..GAUGE
};

static TCP_RETRANSMITS: Metric = Metric {
    name: "host_tcp_retransmits",
    help: "TCP segments that had to be sent again",
    read: |event, row| put(row, sockets(event).tcp_retransmits),
    ..COUNTER
};

static UDP_OVERFLOWS: Metric = Metric {
    name: "host_udp_overflows",
    help: "Datagrams that were lost because the receive buffer of some program was full",
    read: |event, row| put(row, sockets(event).udp_overflows),
    ..COUNTER
};

static TEMPERATURE: Metric = Metric {
    name: "host_temperature",
    help: "What the sensor reads",
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
    help: "At what the hardware of the sensor protects itself",
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
    help: "File handles in use on the machine",
    read: |event, row| put(row, host(event).and_then(|h| h.files).map(|files| files.allocated)),
    ..GAUGE
};

static FILES_LIMIT: Metric = Metric {
    name: "host_file_handles_limit",
    help: "File handles there can be on the machine",
    read: |event, row| put(row, host(event).and_then(|h| h.files).map(|files| files.limit)),
    ..GAUGE
};
