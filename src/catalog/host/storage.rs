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
    help: "Space that is free for users who are not root",
    unit: Unit::Bytes,
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, fs.available)),
    ..PART
};

pub(super) static FILESYSTEM_READONLY: Metric = Metric {
    name: "host_filesystem_readonly",
    help: "Whether the file system cannot be written, as after an error of its disk",
    labels: MOUNT,
    read: |event, row| filesystems(event, |labels, fs| row.set(labels, f64::from(fs.readonly))),
    ..PART
};

pub(super) static FILESYSTEM_STALLED: Metric = Metric {
    name: "host_filesystem_stalled",
    help: "Whether the kernel does not answer for the file systems, as when a file server is gone",
    read: |event, row| {
        put(row, host(event).and_then(|h| h.filesystems_stalled).map(f64::from));
    },
    ..GAUGE
};

pub(super) static DISK_READ: Metric = Metric {
    name: "host_disk_read",
    help: "Read from the disk",
    unit: Unit::Bytes,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.read_bytes),
    ..COUNTER
};

pub(super) static DISK_WRITTEN: Metric = Metric {
    name: "host_disk_written",
    help: "Written to the disk",
    unit: Unit::Bytes,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.written_bytes),
    ..COUNTER
};

pub(super) static DISK_READS: Metric = Metric {
    name: "host_disk_reads",
    help: "Reads that the disk completed",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.reads),
    ..COUNTER
};

pub(super) static DISK_WRITES: Metric = Metric {
    name: "host_disk_writes",
    help: "Writes that the disk completed",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.writes),
    ..COUNTER
};

pub(super) static DISK_READ_TIME: Metric = Metric {
    name: "host_disk_read_time",
    help: "How long reads took, summed over reads; over their number it is the mean latency",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.read_seconds),
    ..COUNTER
};

pub(super) static DISK_WRITE_TIME: Metric = Metric {
    name: "host_disk_write_time",
    help: "How long writes took, summed over writes; over their number it is the mean latency",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.write_seconds),
    ..COUNTER
};

pub(super) static DISK_BUSY: Metric = Metric {
    name: "host_disk_busy",
    help: "Time in which the disk had at least one request under way",
    unit: Unit::Seconds,
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.busy_seconds),
    ..COUNTER
};

pub(super) static DISK_IN_FLIGHT: Metric = Metric {
    name: "host_disk_requests_in_flight",
    help: "Requests that the disk has under way",
    labels: &["device"],
    read: |event, row| disks(event, row, |disk| disk.in_flight),
    ..PART
};
