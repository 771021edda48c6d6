//! Alerts: is there room to record, and do the disks keep up?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "host",
    group: "neural-disk",
    interval: 60,
    records: &[Record {
        name: "mount:neural_host_filesystem:ratio",
        expr: "1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes",
    }],
    alerts: &[&FULL, &FORECAST, &READONLY, &STALLED, &BUSY, &DIRTY],
};

static FULL: Alert = Alert {
    name: "NeuralHostFilesystem",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "mount:neural_host_filesystem:ratio > ${filesystem}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        120,
        "mount:neural_host_filesystem:ratio > ${filesystem_critical}",
    )),
    summary: "{{ $labels.mount }} of {{ $labels.instance }} is nearly full",
    description: "{{ $value | humanizePercentage }} of it is in use; the limit is ${filesystem}, and above ${filesystem_critical} recordings stop.",
    meaning: "A file system is nearly full. Recordings to it stop when it is full, often without an error message.",
    immediate: &[
        "Find what is large: `sudo du -xh --max-depth 2 MOUNT | sort -h | tail`.",
        "Move finished recordings to another disk; delete nothing without a copy.",
    ],
    short_term: &["Record to another disk for the next session."],
    long_term: &["Move recordings to an archive every night, and verify the copy."],
    queries: &["mount:neural_host_filesystem:ratio", "neural_host_filesystem_available_bytes"],
    related: &["NeuralHostFilesystemForecast", "NeuralHostFilesystemReadonly"],
    fires: Case::fires(
        15,
        &[
            ("neural_host_filesystem_available_bytes{mount='/data',device='sda1',fstype='ext4'}", "8x20"),
            ("neural_host_filesystem_size_bytes{mount='/data',device='sda1',fstype='ext4'}", "100x20"),
        ],
        &[("mount", "/data"), ("device", "sda1"), ("fstype", "ext4")],
        "92%",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_host_filesystem_available_bytes{mount='/data',device='sda1',fstype='ext4'}", "2x20"),
            ("neural_host_filesystem_size_bytes{mount='/data',device='sda1',fstype='ext4'}", "100x20"),
        ],
        &[("mount", "/data"), ("device", "sda1"), ("fstype", "ext4")],
        "98%",
    )),
    quiet: Case::quiet(
        15,
        &[
            ("neural_host_filesystem_available_bytes{mount='/data',device='sda1',fstype='ext4'}", "60x20"),
            ("neural_host_filesystem_size_bytes{mount='/data',device='sda1',fstype='ext4'}", "100x20"),
        ],
    ),
    ..Alert::BLANK
};

static FORECAST: Alert = Alert {
    name: "NeuralHostFilesystemForecast",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        3600,
        "predict_linear(neural_host_filesystem_available_bytes[6h], 86400) < 0\nand mount:neural_host_filesystem:ratio > 0.6\nand deriv(neural_host_filesystem_available_bytes[6h]) < 0",
    ),
    worse: Some(Level::new(
        Severity::High,
        Priority::P1,
        1800,
        "predict_linear(neural_host_filesystem_available_bytes[1h], 14400) < 0\nand mount:neural_host_filesystem:ratio > 0.8\nand deriv(neural_host_filesystem_available_bytes[1h]) < 0",
    )),
    summary: "{{ $labels.mount }} of {{ $labels.instance }} will be full soon",
    description: "At the rate of the last hours it will be full within a day; at the higher severity, within four hours.",
    meaning: "A straight line through the last hours ends at a full disk. The first level looks a day ahead from six hours, the second four hours ahead from one.",
    immediate: &["See what grows, and whether it will stop by itself with the session."],
    short_term: &["Free space before the next long recording: see `NeuralHostFilesystem`."],
    long_term: &["Plan the disk space of a session: channels × rate × bytes × seconds."],
    queries: &[
        "predict_linear(neural_host_filesystem_available_bytes[6h], 86400)",
        "-deriv(neural_host_filesystem_available_bytes[1h]) * 3600",
    ],
    related: &["NeuralHostFilesystem"],
    fires: Case::fires(
        480,
        &[
            (
                "neural_host_filesystem_available_bytes{mount='/data',device='sda1',fstype='ext4'}",
                "39000-25x490",
            ),
            ("neural_host_filesystem_size_bytes{mount='/data',device='sda1',fstype='ext4'}", "100000x490"),
        ],
        &[("mount", "/data"), ("device", "sda1"), ("fstype", "ext4")],
        "",
    ),
    worsens: Some(Case::fires(
        480,
        &[
            (
                "neural_host_filesystem_available_bytes{mount='/data',device='sda1',fstype='ext4'}",
                "39000-80x490",
            ),
            ("neural_host_filesystem_size_bytes{mount='/data',device='sda1',fstype='ext4'}", "100000x490"),
        ],
        &[("mount", "/data"), ("device", "sda1"), ("fstype", "ext4")],
        "",
    )),
    quiet: Case::quiet(
        480,
        &[
            (
                "neural_host_filesystem_available_bytes{mount='/data',device='sda1',fstype='ext4'}",
                "39000-1x490",
            ),
            ("neural_host_filesystem_size_bytes{mount='/data',device='sda1',fstype='ext4'}", "100000x490"),
        ],
    ),
    ..Alert::BLANK
};

static READONLY: Alert = Alert {
    name: "NeuralHostFilesystemReadonly",
    level: Level::new(
        Severity::Critical,
        Priority::P0,
        60,
        "neural_host_filesystem_readonly == 1 and neural_host_filesystem_readonly offset 30m == 0",
    ),
    keep_firing: 3600,
    summary: "{{ $labels.mount }} of {{ $labels.instance }} became read-only",
    description: "It was writable half an hour ago. The kernel does this after a disk error: nothing more is recorded there.",
    meaning: "A writable file system became read-only. Usually the kernel found a disk error and protects the data.",
    immediate: &[
        "Record to another disk immediately.",
        "Read `sudo dmesg --ctime | grep -i -e error -e remount`.",
    ],
    short_term: &["Copy the data first; then check the disk: `sudo smartctl --all /dev/sdX`."],
    long_term: &["Replace the disk."],
    queries: &["neural_host_filesystem_readonly"],
    related: &["NeuralHostFilesystemStalled"],
    fires: Case::fires(
        40,
        &[("neural_host_filesystem_readonly{mount='/data',device='sda1',fstype='ext4'}", "0x30 1x20")],
        &[("mount", "/data"), ("device", "sda1"), ("fstype", "ext4")],
        "1",
    ),
    quiet: Case::quiet(
        40,
        &[("neural_host_filesystem_readonly{mount='/data',device='sda1',fstype='ext4'}", "1x50")],
    ),
    ..Alert::BLANK
};

static STALLED: Alert = Alert {
    name: "NeuralHostFilesystemStalled",
    level: Level::new(Severity::High, Priority::P1, 60, "neural_host_filesystem_stalled == 1"),
    summary: "A file system of {{ $labels.instance }} does not answer",
    description: "Reading the state of the file systems hangs, as when a file server is gone. Programs that write there hang too.",
    meaning: "Reading the state of the file systems hangs. The usual reason is a network share whose server is gone; every program that accesses it hangs as well.",
    immediate: &[
        "See which mount it is: `timeout 5 ls` on each.",
        "Bring the file server or the network back.",
    ],
    short_term: &["Record to a local disk."],
    long_term: &["Mount shares with `soft` or an automounter, and never record to one."],
    queries: &["neural_host_filesystem_stalled"],
    related: &["NeuralHostPressure"],
    fires: Case::fires(10, &[("neural_host_filesystem_stalled", "0x3 1x12")], &[], "1"),
    quiet: Case::quiet(10, &[("neural_host_filesystem_stalled", "0x15")]),
    ..Alert::BLANK
};

static BUSY: Alert = Alert {
    name: "NeuralHostDiskBusy",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        600,
        "rate(neural_host_disk_busy_seconds_total[5m]) > ${host_disk_busy}",
    ),
    summary: "Disk {{ $labels.device }} of {{ $labels.instance }} is saturated",
    description: "It was busy for {{ $value | humanizePercentage }} of the time; the limit is ${host_disk_busy}.",
    meaning: "The disk always has a request in flight. For a spinning disk that is its limit; a solid-state disk may still take more.",
    immediate: &["See who writes: `rate(neural_process_written_bytes_total[5m])`."],
    short_term: &["Keep backups and copies out of recording hours."],
    long_term: &["Record to a dedicated disk."],
    queries: &[
        "rate(neural_host_disk_busy_seconds_total[5m])",
        "rate(neural_host_disk_write_time_seconds_total[5m]) / rate(neural_host_disk_writes_total[5m])",
        "topk(5, rate(neural_process_written_bytes_total[5m]))",
    ],
    related: &["NeuralHostPressure", "NeuralHostDirtyMemory"],
    fires: Case::fires(
        20,
        &[("neural_host_disk_busy_seconds_total{device='sda'}", "0+60x25")],
        &[("device", "sda")],
        "100%",
    ),
    quiet: Case::quiet(20, &[("neural_host_disk_busy_seconds_total{device='sda'}", "0+6x25")]),
    ..Alert::BLANK
};

static DIRTY: Alert = Alert {
    name: "NeuralHostDirtyMemory",
    level: Level::new(Severity::Medium, Priority::P2, 120, "neural_host_memory_dirty_bytes > ${host_dirty}"),
    summary: "The disks of {{ $labels.instance }} are slower than its recordings",
    description: "{{ $value | humanize1024 }}B wait to be written; the limit is ${host_dirty}. A power cut would lose them.",
    meaning: "Programs write faster than the disk. The rest waits in memory, and when memory is full, writes block for seconds.",
    immediate: &["See which disk is busy, and stop other writers."],
    short_term: &["Record to a faster disk."],
    long_term: &["Compress before writing, or write fewer channels."],
    queries: &["neural_host_memory_dirty_bytes", "rate(neural_host_disk_written_bytes_total[5m])"],
    related: &["NeuralHostDiskBusy", "NeuralHostPressure"],
    fires: Case::fires(10, &[("neural_host_memory_dirty_bytes", "3221225472x15")], &[], "3Gi"),
    quiet: Case::quiet(10, &[("neural_host_memory_dirty_bytes", "20000000x15")]),
    ..Alert::BLANK
};
