//! Alerts: does everything between a device and the program that records it pass?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "tap",
    group: "neural-tap",
    interval: 15,
    records: &[Record {
        name: "device:neural_tap_delay_seconds:p99_rate5m",
        expr: "histogram_quantile(0.99, rate(neural_tap_delay_seconds_bucket[5m]))",
    }],
    alerts: &[&DROPPED, &UNHEARD, &UNSEEN, &DELAY, &WRONG_SPEED, &NOBODY],
};

static DROPPED: Alert = Alert {
    name: "NeuralTapDropped",
    level: Level::new(
        Severity::Critical,
        Priority::P0,
        0,
        "increase(neural_tap_dropped_bytes_total{direction='to_program'}[5m]) > 0",
    ),
    keep_firing: 300,
    summary: "The recording of {{ $labels.device }} on {{ $labels.instance }} has a gap",
    description: "{{ $value | humanize }} bytes of {{ $labels.device }} were lost within five minutes, because the recording program did not take them.",
    meaning: "The program that has the tap open stopped reading for so long that the agent's buffer for it ran full, and the oldest bytes were thrown away. They are missing in its recording. \
              The agent itself read them along, so its own figures of the device have no such gap.",
    immediate: &[
        "See whether the recording program hangs: its window, or `ps` for the state D or T.",
        "Mark the place in the recording; samples after it are shifted in programs that count them.",
    ],
    short_term: &[
        "Stop what else the program does, such as drawing or filtering, and see whether its disk keeps up.",
    ],
    long_term: &["Record to a local disk, and analyse in another process."],
    queries: &["increase(neural_tap_dropped_bytes_total[1h])", "neural_tap_waiting_bytes", "neural_tap_open"],
    related: &["NeuralTapDelay", "NeuralHostDiskBusy"],
    fires: Case::fires(
        10,
        &[
            ("neural_tap_dropped_bytes_total{device='cyton',direction='to_program'}", "0+60x15"),
            ("neural_tap_dropped_bytes_total{device='cyton',direction='to_device'}", "0x20"),
        ],
        &[("device", "cyton"), ("direction", "to_program")],
        "300",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_tap_dropped_bytes_total{device='cyton',direction='to_program'}", "4096x15")],
    ),
    ..Alert::BLANK
};

static UNHEARD: Alert = Alert {
    name: "NeuralTapCommandLost",
    level: Level::new(
        Severity::High,
        Priority::P1,
        0,
        "increase(neural_tap_dropped_bytes_total{direction='to_device'}[5m]) > 0",
    ),
    keep_firing: 300,
    summary: "{{ $labels.device }} on {{ $labels.instance }} did not receive a command of the program",
    description: "{{ $value | humanize }} bytes to {{ $labels.device }} were lost within five minutes. A setting or a start may not have arrived.",
    meaning: "The recording program wrote to the tap, and the device did not take it, or its port was closed. The device may run with other gains or channels than the program believes.",
    immediate: &["Stop the stream in the program, apply its settings again, and start it."],
    short_term: &["See whether the port was lost at that time: `neural_port_disconnects_total`."],
    long_term: &[],
    queries: &["increase(neural_tap_dropped_bytes_total[1h])", "neural_port_state == 1"],
    related: &["NeuralPortReconnects", "NeuralDeviceCommandFailed"],
    fires: Case::fires(
        10,
        &[("neural_tap_dropped_bytes_total{device='cyton',direction='to_device'}", "0+2x15")],
        &[("device", "cyton"), ("direction", "to_device")],
        "10",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_tap_dropped_bytes_total{device='cyton',direction='to_program'}", "0x7 4x10")],
    ),
    ..Alert::BLANK
};

static UNSEEN: Alert = Alert {
    name: "NeuralTapUndecoded",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        30,
        "increase(neural_tap_undecoded_bytes_total[5m]) > 0",
    ),
    keep_firing: 120,
    summary: "The agent on {{ $labels.instance }} does not decode all bytes of {{ $labels.device }}",
    description: "{{ $value | humanize }} bytes were forwarded within five minutes without being decoded. The recording is complete; the agent's metrics of the device are not.",
    meaning: "The tap forwards bytes first and decodes them second. Either the decoder fell behind (`behind`), or it failed (`failed`). Until it recovers, loss and rate of the device are wrong.",
    immediate: &[
        "For `behind`, see what uses the processors; for `failed`, read the agent's log and report it.",
    ],
    short_term: &["Restart the agent between two sessions."],
    long_term: &[],
    queries: &["increase(neural_tap_undecoded_bytes_total[5m])", "neural_host_load1"],
    related: &["NeuralDeviceLoss", "NeuralHostCpu"],
    fires: Case::fires(
        10,
        &[("neural_tap_undecoded_bytes_total{device='cyton',reason='behind'}", "0+4000x15")],
        &[("device", "cyton"), ("reason", "behind")],
        "20k",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_tap_undecoded_bytes_total{device='cyton',reason='behind'}", "4000x15")],
    ),
    ..Alert::BLANK
};

static DELAY: Alert = Alert {
    name: "NeuralTapDelay",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "device:neural_tap_delay_seconds:p99_rate5m > ${tap_delay}",
    ),
    keep_firing: 60,
    summary: "The recording program reads {{ $labels.device }} on {{ $labels.instance }} slowly",
    description: "One of a hundred pieces waited for {{ $value | humanizeDuration }} or longer; the limit is ${tap_delay}. A program that falls behind further loses bytes.",
    meaning: "Bytes wait in the agent because the program does not fetch them, or because the machine has no time for either. A healthy tap adds well below a millisecond.",
    immediate: &["See whether the program keeps up, and what else takes the processors."],
    short_term: &["Close other windows of the program; drawing is what takes the time."],
    long_term: &["Record and look in two processes."],
    queries: &["device:neural_tap_delay_seconds:p99_rate5m", "neural_tap_waiting_bytes"],
    related: &["NeuralTapDropped", "NeuralHostCpu"],
    fires: Case::fires(
        15,
        &[
            ("neural_tap_delay_seconds_bucket{device='cyton',le='0.01'}", "0x20"),
            ("neural_tap_delay_seconds_bucket{device='cyton',le='0.1'}", "0+600x20"),
            ("neural_tap_delay_seconds_bucket{device='cyton',le='+Inf'}", "0+600x20"),
        ],
        &[("device", "cyton")],
        "99.1ms",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_tap_delay_seconds_bucket{device='cyton',le='0.0001'}", "0+600x20"),
            ("neural_tap_delay_seconds_bucket{device='cyton',le='+Inf'}", "0+600x20"),
        ],
    ),
    ..Alert::BLANK
};

static WRONG_SPEED: Alert = Alert {
    name: "NeuralTapBaudMismatch",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_tap_baud_mismatch == 1"),
    summary: "The program set a different baud rate for {{ $labels.device }} than its port has",
    description: "The port on {{ $labels.instance }} stays at the baud rate of the agent's configuration. One of the two is wrong.",
    meaning: "The program that has the tap open set a baud rate that is not the one the agent opened the port with. The agent does not change it, because it decodes the same bytes.",
    immediate: &[
        "Compare the program's baud rate with `neural_port_baud`, and the two with the device's manual.",
    ],
    short_term: &["Set `baud` of the source, or the program's setting, to what the device speaks."],
    long_term: &[],
    queries: &["neural_tap_baud_mismatch", "neural_port_baud"],
    related: &["NeuralPortWrongDevice", "NeuralSourceErrors"],
    fires: Case::fires(
        10,
        &[("neural_tap_baud_mismatch{device='cyton'}", "0x3 1x12")],
        &[("device", "cyton")],
        "1",
    ),
    quiet: Case::quiet(10, &[("neural_tap_baud_mismatch{device='cyton'}", "0x15")]),
    ..Alert::BLANK
};

static NOBODY: Alert = Alert {
    name: "NeuralTapUnused",
    level: Level::new(
        Severity::Info,
        Priority::P3,
        900,
        "neural_tap_open == 0\nand on (job, instance, device)\nneural_device_streaming == 1",
    ),
    summary: "{{ $labels.device }} on {{ $labels.instance }} streams, but no program records it",
    description: "For fifteen minutes samples have arrived, and no program had the tap open.",
    meaning: "Only the agent receives the stream. That drains the battery, and you may believe that it is being recorded.",
    immediate: &["If a session is meant to run, start the recording; otherwise switch the device off."],
    short_term: &[],
    long_term: &["If devices are meant to stream unrecorded, switch this alert off (`alerts.off`)."],
    queries: &["neural_tap_open", "neural_device_streaming", "neural_tap_opens_total"],
    related: &["NeuralDeviceBattery", "NeuralPortSilent"],
    fires: Case::fires(
        20,
        &[
            ("neural_tap_open{device='cyton'}", "1x2 0x25"),
            ("neural_device_streaming{device='cyton'}", "1x30"),
        ],
        &[("device", "cyton")],
        "0",
    ),
    quiet: Case::quiet(
        20,
        &[("neural_tap_open{device='cyton'}", "0x30"), ("neural_device_streaming{device='cyton'}", "0x30")],
    ),
    ..Alert::BLANK
};
