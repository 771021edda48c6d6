//! Alerts: do the programs of a pipeline run, and what do they take?

use super::{Alert, Case, Chapter, Level, Priority, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "process",
    group: "neural-process",
    interval: 30,
    records: &[],
    alerts: &[&MISSING, &RESTARTING, &LEAK, &FILES, &CPU],
};

static MISSING: Alert = Alert {
    name: "NeuralProcessMissing",
    level: Level::new(Severity::Critical, Priority::P1, 60, "neural_process_instances == 0"),
    keep_firing: 60,
    summary: "{{ $labels.group }} is not running on {{ $labels.instance }}",
    description: "No process of the group {{ $labels.group }} is running.",
    meaning: "A configured program is not running: it was not started, ended, or crashed.",
    immediate: &[
        "Start it, and check that it keeps running.",
        "See why it ended: its log, or `journalctl --since -15m | grep -i -e oom -e segfault`.",
    ],
    short_term: &["If the kernel killed it for lack of memory, see `NeuralHostMemory`."],
    long_term: &["Let systemd restart it: `Restart=on-failure`."],
    queries: &["neural_process_instances", "neural_process_oldest_start_time_seconds"],
    related: &["NeuralPipelineSilent", "NeuralProcessRestarting", "NeuralHostMemory"],
    fires: Case::fires(
        10,
        &[("neural_process_instances{group='recorder'}", "1x3 0x12")],
        &[("group", "recorder")],
        "0",
    ),
    quiet: Case::quiet(10, &[("neural_process_instances{group='recorder'}", "1x15")]),
    ..Alert::BLANK
};

static RESTARTING: Alert = Alert {
    name: "NeuralProcessRestarting",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "changes(neural_process_oldest_start_time_seconds[15m]) > 2",
    ),
    keep_firing: 900,
    summary: "{{ $labels.group }} on {{ $labels.instance }} restarts repeatedly",
    description: "It was started {{ $value }} times in fifteen minutes.",
    meaning: "The program ends soon after each start and is restarted.",
    immediate: &["Read the last lines of its log before each end."],
    short_term: &["Go back to the last working settings or version."],
    long_term: &["Let it wait between attempts and log why it ends."],
    queries: &["changes(neural_process_oldest_start_time_seconds[15m])", "neural_process_instances"],
    related: &["NeuralProcessMissing"],
    fires: Case::fires(
        10,
        &[("neural_process_oldest_start_time_seconds{group='recorder'}", "1 1 1 2 2 3 3 4 4 5 5")],
        &[("group", "recorder")],
        "4",
    ),
    quiet: Case::quiet(10, &[("neural_process_oldest_start_time_seconds{group='recorder'}", "1x5 2x5")]),
    ..Alert::BLANK
};

static LEAK: Alert = Alert {
    name: "NeuralProcessLeak",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        3600,
        "deriv(neural_process_resident_memory_bytes[1h]) > ${process_leak}\nand neural_process_resident_memory_bytes > 1.1 * (neural_process_resident_memory_bytes offset 1h)",
    ),
    summary: "{{ $labels.group }} on {{ $labels.instance }} grows steadily",
    description: "It grows by {{ $value | humanize1024 }}B per second, for hours.",
    meaning: "The memory of the program grows steadily. It may keep a recording in memory, or leak memory.",
    immediate: &["Estimate how long it can continue: free memory divided by the growth per second."],
    short_term: &["Restart it between sessions."],
    long_term: &["Fix the leak, or let it write its data to disk."],
    queries: &["neural_process_resident_memory_bytes", "deriv(neural_process_resident_memory_bytes[1h])"],
    related: &["NeuralHostMemory"],
    fires: Case::fires(
        240,
        &[("neural_process_resident_memory_bytes{group='recorder'}", "200000000+6291456x250")],
        &[("group", "recorder")],
        "102.4ki",
    ),
    quiet: Case::quiet(240, &[("neural_process_resident_memory_bytes{group='recorder'}", "200000000x250")]),
    ..Alert::BLANK
};

static FILES: Alert = Alert {
    name: "NeuralProcessOpenFiles",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "neural_process_open_files_ratio > ${process_files}",
    ),
    summary: "{{ $labels.group }} on {{ $labels.instance }} is close to its limit of open files",
    description: "{{ $value | humanizePercentage }} of its limit; the limit is ${process_files}. The next file or connection may fail.",
    meaning: "One process of the group is close to its limit of open files, sockets included.",
    immediate: &["See what it has open: `sudo ls -l /proc/PID/fd | tail`."],
    short_term: &["Restart it between sessions, or raise its limit (`LimitNOFILE=` in its unit)."],
    long_term: &["Fix the program to close its files."],
    queries: &["neural_process_open_files_ratio", "neural_process_open_files"],
    related: &["NeuralHostFileHandles"],
    fires: Case::fires(
        10,
        &[("neural_process_open_files_ratio{group='recorder'}", "0.95x15")],
        &[("group", "recorder")],
        "95%",
    ),
    quiet: Case::quiet(10, &[("neural_process_open_files_ratio{group='recorder'}", "0.1x15")]),
    ..Alert::BLANK
};

static CPU: Alert = Alert {
    name: "NeuralProcessCpu",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        600,
        "rate(neural_process_cpu_seconds_total[5m]) / on (job, instance) group_left () neural_host_cpus > ${host_cpu}",
    ),
    summary: "{{ $labels.group }} uses most of the processors of {{ $labels.instance }}",
    description: "It uses {{ $value | humanizePercentage }} of all of them; the limit is ${host_cpu}.",
    meaning: "One group of programs uses nearly the whole machine. The others, including the one that records, run late.",
    immediate: &["If it can wait, stop it; else lower its weight: `renice +10 -p PID`."],
    short_term: &["Limit its threads."],
    long_term: &["Run it on another machine, or with `CPUQuota=` in its unit."],
    queries: &["rate(neural_process_cpu_seconds_total[5m])", "neural_process_threads"],
    related: &["NeuralHostCpu"],
    fires: Case::fires(
        20,
        &[("neural_process_cpu_seconds_total{group='training'}", "0+228x25"), ("neural_host_cpus", "4x25")],
        &[("group", "training")],
        "95%",
    ),
    quiet: Case::quiet(
        20,
        &[("neural_process_cpu_seconds_total{group='training'}", "0+60x25"), ("neural_host_cpus", "4x25")],
    ),
    ..Alert::BLANK
};
