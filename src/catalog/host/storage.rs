//! What is stored: file systems and disks of the page of the machine.
//!
//! It says nothing of which of them are read; that is a setting.

use super::super::{Metric, Row, Unit};
use super::{COUNTER, GAUGE, PART, host, put};
use crate::event::{Disk, Event, Filesystem};

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

/// What tells one file system from another.
const MOUNT: &[&str] = &["mount", "device", "fstype"];

pub(super) static FILESYSTEM_SIZE: Metric = Metric {
    name: "host_filesystem_size",
    help: "Size of the file system",
    unit: Unit::Bytes,
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, fs.size)),
    ..PART
};

pub(super) static FILESYSTEM_AVAILABLE: Metric = Metric {
    name: "host_filesystem_available",
    help: "File system space available to non-root users",
    unit: Unit::Bytes,
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, fs.available)),
    ..PART
};

pub(super) static FILESYSTEM_READONLY: Metric = Metric {
    name: "host_filesystem_readonly",
    help: "Whether the file system is read-only (1) or not (0)",
    note: "The kernel makes it read-only after errors of its disk",
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, f64::from(fs.readonly))),
    ..PART
};

pub(super) static FILESYSTEM_STALLED: Metric = Metric {
    name: "host_filesystem_stalled",
    help: "Whether reading the file systems hangs (1) or not (0)",
    note: "As when a file server does not answer",
    read: |event, row| {
        put(row, host(event).and_then(|h| h.filesystems_stalled).map(f64::from));
    },
    ..GAUGE
};

pub(super) static DISK_READ: Metric = Metric {
    name: "host_disk_read",
    help: "Bytes read from the disk",
    unit: Unit::Bytes,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.read_bytes),
    ..COUNTER
};

pub(super) static DISK_WRITTEN: Metric = Metric {
    name: "host_disk_written",
    help: "Bytes written to the disk",
    unit: Unit::Bytes,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.written_bytes),
    ..COUNTER
};

pub(super) static DISK_READS: Metric = Metric {
    name: "host_disk_reads",
    help: "Reads completed by the disk",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.reads),
    ..COUNTER
};

pub(super) static DISK_WRITES: Metric = Metric {
    name: "host_disk_writes",
    help: "Writes completed by the disk",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.writes),
    ..COUNTER
};

pub(super) static DISK_READ_TIME: Metric = Metric {
    name: "host_disk_read_time",
    help: "Time spent on reads, summed over reads",
    note: "Divided by the number of reads it is the mean latency",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.read_seconds),
    ..COUNTER
};

pub(super) static DISK_WRITE_TIME: Metric = Metric {
    name: "host_disk_write_time",
    help: "Time spent on writes, summed over writes",
    note: "Divided by the number of writes it is the mean latency",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.write_seconds),
    ..COUNTER
};

pub(super) static DISK_BUSY: Metric = Metric {
    name: "host_disk_busy",
    help: "Time in which the disk had at least one request in flight",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.busy_seconds),
    ..COUNTER
};

pub(super) static DISK_IN_FLIGHT: Metric = Metric {
    name: "host_disk_requests_in_flight",
    help: "Disk requests in flight",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.in_flight),
    ..PART
};
