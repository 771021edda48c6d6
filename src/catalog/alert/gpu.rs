//! Alerts: have the graphics processors memory left, and do they run as fast as they should?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "gpu",
    group: "neural-gpu",
    interval: 30,
    records: &[Record {
        name: "gpu:neural_gpu_memory:ratio",
        expr: "neural_gpu_memory_used_bytes / neural_gpu_memory_size_bytes",
    }],
    alerts: &[&MEMORY, &TEMPERATURE, &THROTTLED, &BUSY, &ERRORS, &XID, &GONE],
};

static MEMORY: Alert = Alert {
    name: "NeuralGpuMemory",
    level: Level::new(Severity::High, Priority::P2, 120, "gpu:neural_gpu_memory:ratio > ${gpu_memory}"),
    summary: "The memory of card {{ $labels.gpu }} on {{ $labels.instance }} is full",
    description: "{{ $value | humanizePercentage }} of it is in use; the limit is ${gpu_memory}. The next model or batch may not fit.",
    meaning: "Hardly any memory of the card is free. Engines that reserve all of it at start are the exception: raise `gpu_memory`, or switch this alert off.",
    immediate: &["See which process uses it: `neural_gpu_process_memory_bytes`, or `nvidia-smi`."],
    short_term: &["Stop forgotten programs, or use smaller batches."],
    long_term: &["Run one program per card while it records."],
    queries: &["gpu:neural_gpu_memory:ratio", "topk(5, neural_gpu_process_memory_bytes)"],
    related: &["NeuralEngineCacheFull"],
    fires: Case::fires(
        10,
        &[
            ("neural_gpu_memory_used_bytes{gpu='0'}", "98x15"),
            ("neural_gpu_memory_size_bytes{gpu='0'}", "100x15"),
        ],
        &[("gpu", "0")],
        "98%",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_gpu_memory_used_bytes{gpu='0'}", "50x15"),
            ("neural_gpu_memory_size_bytes{gpu='0'}", "100x15"),
        ],
    ),
    ..Alert::BLANK
};

static TEMPERATURE: Alert = Alert {
    name: "NeuralGpuTemperature",
    level: Level::new(
        Severity::High,
        Priority::P2,
        120,
        "neural_gpu_temperature_celsius{sensor!~'junction|memory'} > ${gpu_temperature}",
    ),
    keep_firing: 120,
    summary: "Card {{ $labels.gpu }} on {{ $labels.instance }} is hot",
    description: "Its sensor {{ $labels.sensor }} reads {{ $value }} °C; the limit is ${gpu_temperature}. It will slow down.",
    meaning: "The card comes near the temperature at which it slows down to protect itself. The hottest spot and the memory of a card may be far hotter than its sensor at the edge, and are not judged.",
    immediate: &["Check its air flow and its fans: `neural_gpu_fan_speed_ratio`."],
    short_term: &["Reduce its load, or lower its power limit: `sudo nvidia-smi --power-limit WATTS`."],
    long_term: &["Clean the machine, or give the card more room."],
    queries: &["neural_gpu_temperature_celsius", "neural_gpu_power_watts", "neural_gpu_fan_speed_ratio"],
    related: &["NeuralGpuThrottled"],
    fires: Case::fires(
        10,
        &[("neural_gpu_temperature_celsius{gpu='0',sensor='core'}", "92x15")],
        &[("gpu", "0"), ("sensor", "core")],
        "92",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_gpu_temperature_celsius{gpu='0',sensor='edge'}", "70x15"),
            ("neural_gpu_temperature_celsius{gpu='0',sensor='junction'}", "95x15"),
        ],
    ),
    ..Alert::BLANK
};

static THROTTLED: Alert = Alert {
    name: "NeuralGpuThrottled",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        300,
        "neural_gpu_throttled{reason=~'.*thermal|hardware_slowdown|power_brake'} == 1",
    ),
    keep_firing: 60,
    summary: "Card {{ $labels.gpu }} on {{ $labels.instance }} slowed down: {{ $labels.reason }}",
    description: "It has been throttled for more than five minutes. Stages on it take longer.",
    meaning: "The card lowered its clock because of heat or lack of power. A configured power cap does not count.",
    immediate: &["See its temperature and power."],
    short_term: &["For a power brake, check the plugs of its supply."],
    long_term: &["Improve the cooling, or use a stronger power supply."],
    queries: &["neural_gpu_throttled == 1", "neural_gpu_clock_hertz", "neural_gpu_power_watts"],
    related: &["NeuralGpuTemperature", "NeuralStageLatency"],
    fires: Case::fires(
        15,
        &[("neural_gpu_throttled{gpu='0',reason='hardware_thermal'}", "0x3 1x20")],
        &[("gpu", "0"), ("reason", "hardware_thermal")],
        "1",
    ),
    quiet: Case::quiet(15, &[("neural_gpu_throttled{gpu='0',reason='idle'}", "1x20")]),
    ..Alert::BLANK
};

static BUSY: Alert = Alert {
    name: "NeuralGpuBusy",
    level: Level::new(
        Severity::Info,
        Priority::P3,
        600,
        "avg_over_time(neural_gpu_utilization_ratio[10m]) > ${gpu_utilization}",
    ),
    summary: "Card {{ $labels.gpu }} on {{ $labels.instance }} is saturated",
    description: "It was busy for {{ $value | humanizePercentage }} of ten minutes; the limit is ${gpu_utilization}. That is fine for training, but delays a closed loop.",
    meaning: "The card is always busy. A stage with a deadline has to wait for the work before it.",
    immediate: &["If a closed loop runs on it, see whether something else does as well."],
    short_term: &["Train at another time."],
    long_term: &["Give the closed loop its own card."],
    queries: &["neural_gpu_utilization_ratio", "neural_gpu_process_memory_bytes"],
    related: &["NeuralStageLatency"],
    fires: Case::fires(30, &[("neural_gpu_utilization_ratio{gpu='0'}", "1x40")], &[("gpu", "0")], "100%"),
    quiet: Case::quiet(30, &[("neural_gpu_utilization_ratio{gpu='0'}", "0.5x40")]),
    ..Alert::BLANK
};

static ERRORS: Alert = Alert {
    name: "NeuralGpuMemoryErrors",
    level: Level::new(
        Severity::Critical,
        Priority::P1,
        0,
        "increase(neural_gpu_memory_errors_total{severity='uncorrected'}[15m]) > 0",
    ),
    keep_firing: 900,
    summary: "The memory of card {{ $labels.gpu }} on {{ $labels.instance }} is damaged",
    description: "{{ $value | humanize }} uncorrectable errors in fifteen minutes. Results may be wrong.",
    meaning: "The card found memory errors that it could not correct. The program that used that memory was stopped, or computed with wrong numbers.",
    immediate: &["Stop what runs on the card, and do not trust its last results."],
    short_term: &["Restart the machine, so that the damaged pages are retired; test the card."],
    long_term: &["If it happens again, replace the card."],
    queries: &["neural_gpu_memory_errors_total", "increase(neural_gpu_xid_errors_total[1d])"],
    related: &["NeuralGpuXid"],
    fires: Case::fires(
        20,
        &[("neural_gpu_memory_errors_total{gpu='0',severity='uncorrected'}", "0x10 2x15")],
        &[("gpu", "0")],
        "2",
    ),
    quiet: Case::quiet(20, &[("neural_gpu_memory_errors_total{gpu='0',severity='corrected'}", "0+5x25")]),
    ..Alert::BLANK
};

static XID: Alert = Alert {
    name: "NeuralGpuXid",
    // The first error of a kind makes its series, which has nothing to grow from.
    level: Level::new(
        Severity::High,
        Priority::P2,
        0,
        "increase(neural_gpu_xid_errors_total[15m]) > 0\nor\n(neural_gpu_xid_errors_total unless neural_gpu_xid_errors_total offset 15m)",
    ),
    keep_firing: 900,
    summary: "The driver reports error {{ $labels.xid }} of card {{ $labels.gpu }} on {{ $labels.instance }}",
    description: "{{ $value | humanize }} times in fifteen minutes.",
    meaning: "The NVIDIA driver reports an XID error. 13, 31 and 43 are mostly a program's fault; 48, 63, 64, 79, 94 and 95 the hardware's. 79 means that the card has fallen off the bus.",
    immediate: &[
        "Read the kernel's line: `sudo dmesg --ctime | grep -i xid`.",
        "Look the number up in NVIDIA's list of XID errors.",
    ],
    short_term: &[
        "For a program's fault, run it again alone; for the hardware's, restart the machine and test the card.",
    ],
    long_term: &["Keep driver and firmware up to date; replace a card that keeps failing."],
    queries: &["increase(neural_gpu_xid_errors_total[1d])"],
    related: &["NeuralGpuMemoryErrors", "NeuralGpuMissing"],
    fires: Case::fires(
        20,
        &[("neural_gpu_xid_errors_total{gpu='0',xid='79'}", "_x10 1x15")],
        &[("gpu", "0"), ("xid", "79")],
        "1",
    ),
    // Half an hour ago it was news.
    quiet: Case::quiet(40, &[("neural_gpu_xid_errors_total{gpu='0',xid='13'}", "4x45")]),
    ..Alert::BLANK
};

static GONE: Alert = Alert {
    name: "NeuralGpuMissing",
    level: Level::new(
        Severity::High,
        Priority::P1,
        60,
        "neural_gpu_awake offset 15m unless neural_gpu_awake\nand on (job, instance) up == 1",
    ),
    summary: "Card {{ $labels.gpu }} on {{ $labels.instance }} is gone",
    description: "It was present fifteen minutes ago, and the driver no longer lists it.",
    meaning: "The driver lost a card, or the driver itself is gone. Programs on the card have failed. The alert ends after fifteen minutes even if the card is still missing.",
    immediate: &["See `nvidia-smi` and `sudo dmesg --ctime | grep -i -e nvrm -e xid`."],
    short_term: &["Restart the machine; reseat the card and its power plugs."],
    long_term: &["See whether its supply is strong enough."],
    queries: &["neural_gpu_awake", "neural_gpu_info"],
    related: &["NeuralGpuXid"],
    fires: Case::fires(
        20,
        &[("neural_gpu_awake{gpu='0'}", "1x10 _x20"), ("up", "1x30")],
        &[("gpu", "0")],
        "1",
    ),
    quiet: Case::quiet(20, &[("neural_gpu_awake{gpu='0'}", "1x30"), ("up", "1x30")]),
    ..Alert::BLANK
};
