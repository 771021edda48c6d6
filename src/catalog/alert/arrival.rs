//! Alerts: do the packets of a device come in time, and by whose clock? They are of the group of `device`.

use super::{Alert, Case, Level, Priority, Severity};

pub(super) static LATENCY: Alert = Alert {
    name: "NeuralDeviceLatency",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "device:neural_device_latency_seconds:p95_rate5m > ${device_latency}",
    ),
    keep_firing: 120,
    summary: "Packets of {{ $labels.device }} arrive late",
    description: "The oldest packet of a read waited {{ $value | humanizeDuration }} or less in 95 of 100 reads; the limit is ${device_latency}.",
    meaning: "Packets wait before they can be read. An FTDI chip hands its bytes over when its packet is full or its latency timer ends, 16 ms by default: that much is normal and loses nothing. Longer delays come from a busy machine, a slow hub, or a wireless link that retransmits.",
    immediate: &["Check whether the processor or the disks are busy: `NeuralHostCpu`, `NeuralHostPressure`."],
    short_term: &[
        "Set the latency timer to 1 ms: `echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer`.",
    ],
    long_term: &["Make the timer's setting last with a udev rule, and leave out hubs that are not needed."],
    queries: &[
        "device:neural_device_latency_seconds:p95_rate5m",
        "device:neural_device_jitter_seconds:p95_rate5m",
    ],
    related: &["NeuralDeviceJitter", "NeuralHostCpu"],
    fires: Case::fires(
        15,
        &[
            ("neural_device_latency_seconds_bucket{device='cyton',le='0.25'}", "0x20"),
            ("neural_device_latency_seconds_bucket{device='cyton',le='0.5'}", "0+600x20"),
            ("neural_device_latency_seconds_bucket{device='cyton',le='+Inf'}", "0+600x20"),
        ],
        &[("device", "cyton")],
        "487.5ms",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_device_latency_seconds_bucket{device='cyton',le='0.025'}", "0+600x20"),
            ("neural_device_latency_seconds_bucket{device='cyton',le='+Inf'}", "0+600x20"),
        ],
    ),
    ..Alert::BLANK
};

pub(super) static JITTER: Alert = Alert {
    name: "NeuralDeviceJitter",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        300,
        "device:neural_device_jitter_seconds:p95_rate5m > ${device_jitter}",
    ),
    summary: "Packets of {{ $labels.device }} arrive unevenly",
    description: "The newest packet of a read is up to {{ $value | humanizeDuration }} late in 95 of 100 reads; the limit is ${device_jitter}. Arrival times are that uncertain.",
    meaning: "The transport from the device to the agent varies. Timestamps made at arrival are wrong by that much. For lost samples see `NeuralDeviceLoss`, `NeuralStreamGaps`.",
    immediate: &[
        "For event-related work, take times from a trigger channel of the device, not from arrival.",
    ],
    short_term: &["Set an FTDI chip's latency timer to 1 ms, and see whether the processor is busy."],
    long_term: &["Use a wired trigger where a few milliseconds count."],
    queries: &[
        "device:neural_device_jitter_seconds:p95_rate5m",
        "histogram_quantile(0.5, rate(neural_device_burst_packets_bucket[5m]))",
    ],
    related: &["NeuralDeviceLatency"],
    fires: Case::fires(
        15,
        &[
            ("neural_device_jitter_seconds_bucket{device='cyton',le='0.05'}", "0x20"),
            ("neural_device_jitter_seconds_bucket{device='cyton',le='0.1'}", "0+600x20"),
            ("neural_device_jitter_seconds_bucket{device='cyton',le='+Inf'}", "0+600x20"),
        ],
        &[("device", "cyton")],
        "97.5ms",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_device_jitter_seconds_bucket{device='cyton',le='0.01'}", "0+600x20"),
            ("neural_device_jitter_seconds_bucket{device='cyton',le='+Inf'}", "0+600x20"),
        ],
    ),
    ..Alert::BLANK
};

pub(super) static DRIFT: Alert = Alert {
    name: "NeuralDeviceDrift",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        600,
        "abs(neural_device_clock_drift_ratio) > ${device_drift}",
    ),
    summary: "The clock of {{ $labels.device }} drifts from this machine's",
    description: "They differ by {{ $value | humanize }} seconds per second, the limit is ${device_drift}: an hour of recording is off by 3600 times that.",
    meaning: "A second of the device is longer or shorter than a second of the machine. Quartz clocks differ by up to some 50 ppm; more means a wrong nominal rate, or a machine whose clock is being corrected. \
              Streams of two devices drift apart by that much.",
    immediate: &["See whether the machine's clock is kept by NTP: `timedatectl`."],
    short_term: &["If the drift is steady, correct for it when streams are joined."],
    long_term: &["Record a common trigger into all streams at the beginning and the end of a session."],
    queries: &["neural_device_clock_drift_ratio"],
    related: &["NeuralDeviceLowRate"],
    fires: Case::fires(
        20,
        &[("neural_device_clock_drift_ratio{device='cyton'}", "-0.0005x30")],
        &[("device", "cyton")],
        "500u",
    ),
    quiet: Case::quiet(20, &[("neural_device_clock_drift_ratio{device='cyton'}", "0.00003x30")]),
    ..Alert::BLANK
};
