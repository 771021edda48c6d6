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
    description: "{{ $value | humanizePercentage }} of it is in use; ${gpu_memory} is the most. The next model or batch may not fit.",
    meaning: "Hardly any memory of the card is free. Engines that take all of it at their start on purpose are the exception: then raise `gpu_memory`, or switch this alert off.",
    immediate: &["See who holds it: `neural_gpu_process_memory_bytes`, or `nvidia-smi`."],
    short_term: &["End programs that were forgotten, make batches smaller."],
    long_term: &["Keep one program to a card while it records."],
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
    description: "Its sensor {{ $labels.sensor }} reads {{ $value }} °C; ${gpu_temperature} is the most. It will slow down.",
    meaning: "The card comes near the temperature at which it slows down to protect itself. The hottest spot and the memory of a card may be far hotter than its sensor at the edge, and are not judged.",
    immediate: &["See that it gets air, and that its fans turn: `neural_gpu_fan_speed_ratio`."],
    short_term: &["Take load off it, or lower its power limit: `sudo nvidia-smi --power-limit WATTS`."],
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
    description: "For more than five minutes it runs slower than it could. Stages on it take longer.",
    meaning: "The card lowered its clock for heat or for want of power. A power cap that was set does not count.",
    immediate: &["See its temperature and power."],
    short_term: &["For a power brake, check the plugs of its supply."],
    long_term: &["Better cooling, or a stronger supply."],
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
    summary: "Card {{ $labels.gpu }} on {{ $labels.instance }} never rests",
    description: "It was busy for {{ $value | humanizePercentage }} of ten minutes; ${gpu_utilization} is the most. That is fine for training, and late for a closed loop.",
    meaning: "Something always runs on the card. A stage that needs it in time has to wait for what is before it.",
    immediate: &["If a closed loop runs on it, see whether something else does as well."],
    short_term: &["Train at another time."],
    long_term: &["Give the closed loop a card of its own."],
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
    description: "{{ $value | humanize }} errors of the last quarter of an hour could not be corrected. What was computed may be wrong.",
    meaning: "The card found errors in its memory that it could not put right. The program that held that memory has been ended, or has computed with wrong numbers.",
    immediate: &["Stop what runs on the card, and do not trust its last results."],
    short_term: &["Restart the machine, so that the damaged pages are left out; test the card."],
    long_term: &["If it comes again, replace the card."],
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
    description: "{{ $value | humanize }} times in a quarter of an hour.",
    meaning: "The NVIDIA driver reports an XID error. 13, 31 and 43 are mostly a program's fault; 48, 63, 64, 79, 94 and 95 the hardware's. 79 means that the card is gone from the bus.",
    immediate: &[
        "Read the kernel's line: `sudo dmesg --ctime | grep -i xid`.",
        "Look the number up in NVIDIA's list of XID errors.",
    ],
    short_term: &[
        "For a program's fault, run it again alone; for the hardware's, restart the machine and test the card.",
    ],
    long_term: &["Keep driver and firmware up to date; replace a card that goes on."],
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
    description: "It was there a quarter of an hour ago, and the driver does not tell of it any more.",
    meaning: "The driver lost a card, or the driver itself is gone. Programs on it have failed. After fifteen minutes the alert goes by itself: then it is no longer news, not mended.",
    immediate: &["See `nvidia-smi` and `sudo dmesg --ctime | grep -i -e nvrm -e xid`."],
    short_term: &["Restart the machine; push the card and its power plugs in."],
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
