//! Alerts: has the machine processor time, memory and network left, and is it cool?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "host",
    group: "neural-host",
    interval: 30,
    records: &[
        Record {
            name: "instance:neural_host_cpu:ratio_rate5m",
            expr: "1 -\nsum without (mode) (rate(neural_host_cpu_seconds_total{mode=~'idle|iowait'}[5m]))\n/\nsum without (mode) (rate(neural_host_cpu_seconds_total[5m]))",
        },
        Record {
            name: "instance:neural_host_memory:ratio",
            expr: "neural_host_memory_used_bytes / neural_host_memory_size_bytes",
        },
        Record { name: "instance:neural_host_load5:per_cpu", expr: "neural_host_load5 / neural_host_cpus" },
        Record {
            name: "interface:neural_host_network_errors:rate5m",
            expr: "sum without (direction) (rate(neural_host_network_errors_total[5m]))\n+\nsum without (direction) (rate(neural_host_network_drops_total[5m]))",
        },
    ],
    alerts: &[&CPU, &MEMORY, &LOAD, &PRESSURE, &TEMPERATURE, &NETWORK, &UDP, &FILES, &REBOOTED],
};

static CPU: Alert = Alert {
    name: "NeuralHostCpu",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "instance:neural_host_cpu:ratio_rate5m > ${host_cpu}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        300,
        "instance:neural_host_cpu:ratio_rate5m > ${host_cpu_critical}",
    )),
    keep_firing: 60,
    summary: "The processors of {{ $labels.instance }} are busy",
    description: "{{ $value | humanizePercentage }} of their time is used; the limit is ${host_cpu}, and above ${host_cpu_critical} stages wait.",
    meaning: "The machine has little processor time left. Time-critical work, such as reading a port, runs late.",
    immediate: &[
        "See who takes it: `top`, or `rate(neural_process_cpu_seconds_total[5m])`.",
        "Stop what can wait: updates, indexing, a second browser.",
    ],
    short_term: &["Move analysis to another machine while this one records."],
    long_term: &["Reserve a core for the acquisition program, or use a larger machine."],
    queries: &[
        "instance:neural_host_cpu:ratio_rate5m",
        "rate(neural_host_cpu_seconds_total[5m])",
        "topk(5, rate(neural_process_cpu_seconds_total[5m]))",
    ],
    related: &["NeuralHostLoad", "NeuralStageLatency", "NeuralDeviceLatency"],
    fires: Case::fires(
        15,
        &[
            ("neural_host_cpu_seconds_total{mode='idle'}", "0+36x20"),
            ("neural_host_cpu_seconds_total{mode='user'}", "0+204x20"),
        ],
        &[],
        "85%",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_host_cpu_seconds_total{mode='idle'}", "0+12x20"),
            ("neural_host_cpu_seconds_total{mode='user'}", "0+228x20"),
        ],
        &[],
        "95%",
    )),
    quiet: Case::quiet(
        15,
        &[
            ("neural_host_cpu_seconds_total{mode='idle'}", "0+200x20"),
            ("neural_host_cpu_seconds_total{mode='user'}", "0+40x20"),
        ],
    ),
    ..Alert::BLANK
};

static MEMORY: Alert = Alert {
    name: "NeuralHostMemory",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "instance:neural_host_memory:ratio > ${host_memory}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        120,
        "instance:neural_host_memory:ratio > ${host_memory_critical}",
    )),
    keep_firing: 60,
    summary: "{{ $labels.instance }} is running out of memory",
    description: "{{ $value | humanizePercentage }} of it is used, caches not counted; the limit is ${host_memory}, and above ${host_memory_critical} the kernel may kill a program.",
    meaning: "Hardly any memory is available. When there is none, the kernel kills the largest program, which is often the one that records.",
    immediate: &[
        "See which process uses it: `neural_process_resident_memory_bytes`, or `ps aux --sort -rss | head`.",
        "Close what you do not need.",
    ],
    short_term: &["If one program grows steadily, restart it between sessions: see `NeuralProcessLeak`."],
    long_term: &["Limit recordings that are held in memory, or add memory."],
    queries: &[
        "instance:neural_host_memory:ratio",
        "topk(5, neural_process_resident_memory_bytes)",
        "neural_host_swap_used_bytes",
    ],
    related: &["NeuralProcessLeak", "NeuralHostPressure"],
    fires: Case::fires(
        10,
        &[("neural_host_memory_used_bytes", "85x15"), ("neural_host_memory_size_bytes", "100x15")],
        &[],
        "85%",
    ),
    worsens: Some(Case::fires(
        10,
        &[("neural_host_memory_used_bytes", "97x15"), ("neural_host_memory_size_bytes", "100x15")],
        &[],
        "97%",
    )),
    quiet: Case::quiet(
        10,
        &[("neural_host_memory_used_bytes", "40x15"), ("neural_host_memory_size_bytes", "100x15")],
    ),
    ..Alert::BLANK
};

static LOAD: Alert = Alert {
    name: "NeuralHostLoad",
    level: Level::new(Severity::Low, Priority::P3, 600, "instance:neural_host_load5:per_cpu > ${host_load}"),
    summary: "Tasks queue up on {{ $labels.instance }}",
    description: "{{ $value | humanize }} tasks want to run per processor; the limit is ${host_load}.",
    meaning: "More tasks want to run than there are processors, or many wait for a disk.",
    immediate: &["If the processors are not busy, the tasks wait for disks: see `NeuralHostPressure`."],
    short_term: &["See what starts so many tasks."],
    long_term: &["Spread the work over time."],
    queries: &["neural_host_load5 / neural_host_cpus", "neural_host_tasks"],
    related: &["NeuralHostCpu", "NeuralHostPressure"],
    fires: Case::fires(20, &[("neural_host_load5", "12x25"), ("neural_host_cpus", "4x25")], &[], "3"),
    quiet: Case::quiet(20, &[("neural_host_load5", "3x25"), ("neural_host_cpus", "4x25")]),
    ..Alert::BLANK
};

static PRESSURE: Alert = Alert {
    name: "NeuralHostPressure",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "rate(neural_host_pressure_seconds_total{resource=~'io|memory',stall='some'}[5m]) > ${host_pressure}",
    ),
    keep_firing: 60,
    summary: "Tasks of {{ $labels.instance }} wait for {{ $labels.resource }}",
    description: "Some task waited for {{ $value | humanizePercentage }} of the time; the limit is ${host_pressure}.",
    meaning: "Tasks are stalled because memory or a disk is not available. A recording that waits for its disk keeps its data in memory until memory is full.",
    immediate: &["For `io`, see which disk is busy; for `memory`, see which process uses it."],
    short_term: &["Stop copies and backups while a session runs."],
    long_term: &["Record to a local solid-state disk, and copy afterwards."],
    queries: &[
        "rate(neural_host_pressure_seconds_total[5m])",
        "rate(neural_host_disk_busy_seconds_total[5m])",
    ],
    related: &["NeuralHostDiskBusy", "NeuralHostMemory"],
    fires: Case::fires(
        15,
        &[("neural_host_pressure_seconds_total{resource='io',stall='some'}", "0+30x20")],
        &[("resource", "io"), ("stall", "some")],
        "50%",
    ),
    quiet: Case::quiet(15, &[("neural_host_pressure_seconds_total{resource='io',stall='some'}", "0+3x20")]),
    ..Alert::BLANK
};

static TEMPERATURE: Alert = Alert {
    name: "NeuralHostTemperature",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "neural_host_temperature_celsius / (neural_host_temperature_critical_celsius > 0) > ${host_temperature}",
    ),
    keep_firing: 120,
    summary: "{{ $labels.sensor }} of {{ $labels.instance }} is hot",
    description: "It is at {{ $value | humanizePercentage }} of its critical temperature; the limit is ${host_temperature}. A hot processor slows down.",
    meaning: "A sensor is close to the temperature at which its hardware slows down or switches off.",
    immediate: &["Check the air flow of the machine: fans, vents, what it stands on."],
    short_term: &["Reduce its load."],
    long_term: &["Clean its fans, and keep it out of closed shelves."],
    queries: &["neural_host_temperature_celsius", "neural_host_temperature_critical_celsius"],
    related: &["NeuralHostCpu", "NeuralGpuTemperature"],
    fires: Case::fires(
        10,
        &[
            ("neural_host_temperature_celsius{sensor='package'}", "95x15"),
            ("neural_host_temperature_critical_celsius{sensor='package'}", "100x15"),
        ],
        &[("sensor", "package")],
        "95%",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_host_temperature_celsius{sensor='package'}", "60x15"),
            ("neural_host_temperature_critical_celsius{sensor='package'}", "100x15"),
        ],
    ),
    ..Alert::BLANK
};

static NETWORK: Alert = Alert {
    name: "NeuralHostNetwork",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        300,
        "interface:neural_host_network_errors:rate5m > ${host_network_errors}",
    ),
    summary: "Packets are lost at {{ $labels.interface }} of {{ $labels.instance }}",
    description: "{{ $value | humanize }} per second have errors or are dropped; the limit is ${host_network_errors}.",
    meaning: "A network interface damages or drops packets. Devices and streams on that network lose data or arrive late.",
    immediate: &["Reseat the network cable; on Wi-Fi, move closer or use a cable."],
    short_term: &["Try another cable and another port of the switch."],
    long_term: &["Connect devices by cable, on a network of their own."],
    queries: &[
        "rate(neural_host_network_errors_total[5m])",
        "rate(neural_host_network_drops_total[5m])",
        "rate(neural_host_tcp_retransmits_total[5m])",
    ],
    related: &["NeuralHostUdpOverflows"],
    fires: Case::fires(
        15,
        &[
            ("neural_host_network_errors_total{interface='eth0',direction='receive'}", "0+600x20"),
            ("neural_host_network_drops_total{interface='eth0',direction='receive'}", "0x20"),
        ],
        &[("interface", "eth0")],
        "10",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_host_network_errors_total{interface='eth0',direction='receive'}", "0+1x20"),
            ("neural_host_network_drops_total{interface='eth0',direction='receive'}", "0x20"),
        ],
    ),
    ..Alert::BLANK
};

static UDP: Alert = Alert {
    name: "NeuralHostUdpOverflows",
    level: Level::new(Severity::Medium, Priority::P2, 60, "rate(neural_host_udp_overflows_total[5m]) > 0"),
    keep_firing: 120,
    summary: "A program on {{ $labels.instance }} loses datagrams",
    description: "{{ $value | humanize }} per second are lost because its receive buffer is full.",
    meaning: "A program does not read its datagrams fast enough, and the kernel drops them: the agent (then `NeuralSourceKernelDrops` fires too), or a program that receives a stream over UDP.",
    immediate: &[
        "Find the program: `ss --udp --memory --processes`, the last number in `skmem` counts its drops.",
    ],
    short_term: &["Raise `net.core.rmem_default`, or give the program more processor time."],
    long_term: &["Use TCP or a Unix socket where nothing may be lost."],
    queries: &["rate(neural_host_udp_overflows_total[5m])", "rate(neural_source_kernel_drops_total[5m])"],
    related: &["NeuralSourceKernelDrops"],
    fires: Case::fires(10, &[("neural_host_udp_overflows_total", "0+60x15")], &[], "1"),
    quiet: Case::quiet(10, &[("neural_host_udp_overflows_total", "9x15")]),
    ..Alert::BLANK
};

static FILES: Alert = Alert {
    name: "NeuralHostFileHandles",
    level: Level::new(
        Severity::High,
        Priority::P2,
        120,
        "neural_host_file_handles / (neural_host_file_handles_limit > 0) > ${host_files}",
    ),
    summary: "{{ $labels.instance }} is running out of file handles",
    description: "{{ $value | humanizePercentage }} of them are in use; the limit is ${host_files}. At 100 % no file or connection can be opened.",
    meaning: "Nearly all file handles of the machine are in use, usually by one program that never closes its files.",
    immediate: &[
        "Find the program: `neural_process_open_files`, or `sudo lsof -n | cut -d' ' -f1 | sort | uniq -c | sort -n | tail`.",
    ],
    short_term: &["Restart it between sessions."],
    long_term: &["Fix the leak; raise `fs.file-max` only if the number is really needed."],
    queries: &[
        "neural_host_file_handles / neural_host_file_handles_limit",
        "topk(5, neural_process_open_files)",
    ],
    related: &["NeuralProcessOpenFiles"],
    fires: Case::fires(
        10,
        &[("neural_host_file_handles", "95x15"), ("neural_host_file_handles_limit", "100x15")],
        &[],
        "95%",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_host_file_handles", "20x15"), ("neural_host_file_handles_limit", "100x15")],
    ),
    ..Alert::BLANK
};

static REBOOTED: Alert = Alert {
    name: "NeuralHostRebooted",
    level: Level::new(Severity::Info, Priority::P3, 0, "neural_host_uptime_seconds < 600"),
    summary: "{{ $labels.instance }} was rebooted",
    description: "It has been up for {{ $value | humanizeDuration }}. If it was not restarted on purpose, it crashed or lost power.",
    meaning: "The machine was started within the last ten minutes.",
    immediate: &[
        "If it was not intended, save the data of the session and check whether the recording is complete.",
    ],
    short_term: &["Read the end of the last boot's log: `journalctl --boot -1 --pager-end`."],
    long_term: &["Keep updates that restart the machine out of working hours."],
    queries: &["neural_host_uptime_seconds", "neural_host_boot_time_seconds"],
    related: &["NeuralAgentRestarting"],
    fires: Case::fires(5, &[("neural_host_uptime_seconds", "60+60x10")], &[], "6m 0s"),
    quiet: Case::quiet(5, &[("neural_host_uptime_seconds", "86400+60x10")]),
    ..Alert::BLANK
};
