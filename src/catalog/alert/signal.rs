//! Alerts: is the signal worth recording, and which channels are not?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "signal",
    group: "neural-signal",
    interval: 30,
    records: &[
        Record {
            name: "device:neural_device_bad_channels:ratio",
            expr: "neural_device_bad_channels / (neural_device_channels > 0)",
        },
        Record {
            name: "device:neural_device_bad_channels:ratio_rate5m",
            expr: "rate(neural_device_bad_channel_seconds_total[5m])\n/ on (job, instance, device) group_left ()\n(neural_device_channels > 0)",
        },
    ],
    alerts: &[&QUALITY, &BAD_CHANNELS, &BAD_CHANNEL, &RAILED, &FLAT, &HUM, &IMPEDANCE],
};

static QUALITY: Alert = Alert {
    name: "NeuralSignalQuality",
    level: Level::new(Severity::Medium, Priority::P2, 120, "neural_device_quality_ratio < ${device_quality}"),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        60,
        "neural_device_quality_ratio < ${device_quality_critical}",
    )),
    keep_firing: 60,
    summary: "The signal of {{ $labels.device }} on {{ $labels.instance }} is poor",
    description: "The mean score of its channels is {{ $value | humanizePercentage }}; the minimum is ${device_quality}, and below ${device_quality_critical} a recording is of no use.",
    meaning: "The channels of the device are poor on average: packets arrive, but contain hum, noise, railed or flat signals. If all channels became bad at once, the cause is what they share: the reference, the ground, or movement.",
    immediate: &[
        "See on the channels dashboard which are bad, why, and since when.",
        "If all are, reseat the reference and the ground, with paste or water as the montage requires.",
        "If a few are, reseat those.",
    ],
    short_term: &[
        "Unplug chargers and lamps near the set-up, and let the device run on its battery.",
        "Let the person sit still for ten seconds and look again: jaw and neck muscles are strong sources.",
    ],
    long_term: &["Check all scores before each session, and do not start below ${device_quality}."],
    queries: &[
        "neural_device_quality_ratio",
        "neural_device_bad_channels",
        "bottomk(5, neural_channel_quality_ratio)",
    ],
    related: &["NeuralSignalBadChannels", "NeuralDeviceElectrodeOff", "NeuralDevicePoorSignal"],
    fires: Case::fires(
        10,
        &[("neural_device_quality_ratio{device='cyton'}", "0.6x15")],
        &[("device", "cyton")],
        "60%",
    ),
    worsens: Some(Case::fires(
        10,
        &[("neural_device_quality_ratio{device='cyton'}", "0.25x15")],
        &[("device", "cyton")],
        "25%",
    )),
    quiet: Case::quiet(10, &[("neural_device_quality_ratio{device='cyton'}", "0.9x5 0.6x1 0.9x9")]),
    ..Alert::BLANK
};

static BAD_CHANNELS: Alert = Alert {
    name: "NeuralSignalBadChannels",
    level: Level::new(
        Severity::High,
        Priority::P2,
        120,
        "device:neural_device_bad_channels:ratio > ${device_bad_channels}",
    ),
    keep_firing: 60,
    summary: "Many channels of {{ $labels.device }} on {{ $labels.instance }} are bad",
    description: "{{ $value | humanizePercentage }} of its channels are bad; the limit is ${device_bad_channels}. Computations across channels are wrong, a common average above all.",
    meaning: "Too many channels are bad to exclude or interpolate them. Each channel lists its reasons.",
    immediate: &[
        "Find the bad ones on the channels dashboard.",
        "Reseat them, the reference and the ground first.",
    ],
    short_term: &["Exclude channels that stay bad from common averages and classifiers."],
    long_term: &["Replace electrodes and cables that are bad in every session."],
    queries: &[
        "device:neural_device_bad_channels:ratio",
        "sum by (device, reason) (neural_channel_bad)",
        "neural_channel_bad == 1",
    ],
    related: &["NeuralSignalQuality", "NeuralChannelBad"],
    fires: Case::fires(
        10,
        &[
            ("neural_device_bad_channels{device='cyton'}", "4x15"),
            ("neural_device_channels{device='cyton'}", "8x15"),
        ],
        &[("device", "cyton")],
        "50%",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_device_bad_channels{device='cyton'}", "2x15"),
            ("neural_device_channels{device='cyton'}", "8x15"),
        ],
    ),
    ..Alert::BLANK
};

static BAD_CHANNEL: Alert = Alert {
    name: "NeuralChannelBad",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        60,
        "rate(neural_channel_bad_seconds_total[10m])\n/ on (job, instance, device) group_left ()\n(rate(neural_device_assessed_seconds_total[10m]) > 0.1)\n> ${channel_bad}\nand on (job, instance, device)\nneural_device_bad_channels <= ${channel_alerts}",
    ),
    keep_firing: 300,
    summary: "Channel {{ $labels.channel }} of {{ $labels.device }} stays bad",
    description: "It was bad for {{ $value | humanizePercentage }} of the time assessed within ten minutes; the limit is ${channel_bad}. Exclude it, or reseat its electrode.",
    meaning: "One electrode has been bad for most of the time that its device streamed within the last ten minutes, and few others are. Less than a minute of signal is not enough. If more than ${channel_alerts} channels are bad at once, only the alert of the device fires: the cause is then not a single electrode.",
    immediate: &[
        "See the reason, and reseat the electrode; swap its cable with a good one to find which of them it is.",
    ],
    short_term: &["Note the channel as bad for this session."],
    long_term: &["Replace an electrode that is bad in every session."],
    queries: &[
        "rate(neural_channel_bad_seconds_total[10m])",
        "rate(neural_device_assessed_seconds_total[10m])",
        "neural_channel_bad == 1",
    ],
    related: &["NeuralSignalBadChannels", "NeuralDeviceElectrodeOff"],
    fires: Case::fires(
        15,
        &[
            // Streamed for half of the time, and bad for nearly all of that.
            ("neural_channel_bad_seconds_total{device='cyton',channel='3'}", "0+24x20"),
            ("neural_device_assessed_seconds_total{device='cyton'}", "0+30x20"),
            ("neural_device_bad_channels{device='cyton'}", "1x20"),
        ],
        &[("device", "cyton"), ("channel", "3")],
        "80%",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_channel_bad_seconds_total{device='cyton',channel='3'}", "0+60x20"),
            ("neural_channel_bad_seconds_total{device='knight',channel='1'}", "0+12x20"),
            // A few seconds of signal, all bad.
            ("neural_channel_bad_seconds_total{device='own',channel='1'}", "0+3x20"),
            ("neural_device_assessed_seconds_total{device='cyton'}", "0+60x20"),
            ("neural_device_assessed_seconds_total{device='knight'}", "0+60x20"),
            ("neural_device_assessed_seconds_total{device='own'}", "0+3x20"),
            ("neural_device_bad_channels{device='cyton'}", "9x20"),
            ("neural_device_bad_channels{device='knight'}", "1x20"),
            ("neural_device_bad_channels{device='own'}", "1x20"),
        ],
    ),
    ..Alert::BLANK
};

static RAILED: Alert = Alert {
    name: "NeuralSignalRailed",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "device:neural_device_bad_channels:ratio_rate5m{reason='railed'} > ${device_railed}",
    ),
    keep_firing: 60,
    summary: "Channels of {{ $labels.device }} on {{ $labels.instance }} are railed",
    description: "{{ $value | humanizePercentage }} of its channels were railed, on average over five minutes; the limit is ${device_railed}. They contain no signal.",
    meaning: "The converter outputs its highest or lowest count, or close to it: the input is out of range. An electrode without contact drifts there within seconds, and all of them do when the reference or the ground is off. Otherwise the offset of dry electrodes is too large for the gain.",
    immediate: &[
        "If all are railed, reseat the reference and the ground.",
        "If one is, push its plug in and reseat its electrode.",
    ],
    short_term: &["Lower the gain if the offsets are large and steady: `neural_channel_offset_volts`."],
    long_term: &["Use electrodes of one material, and let dry ones settle for some minutes."],
    queries: &[
        "neural_channel_bad{reason='railed'} == 1",
        "neural_channel_railed_ratio",
        "neural_channel_peak_ratio",
        "neural_channel_offset_volts",
    ],
    related: &["NeuralSignalFlat", "NeuralSignalBadChannels"],
    fires: Case::fires(
        15,
        &[
            ("neural_device_bad_channel_seconds_total{device='cyton',reason='railed'}", "0+120x20"),
            ("neural_device_channels{device='cyton'}", "8x20"),
        ],
        &[("device", "cyton"), ("reason", "railed")],
        "25%",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_device_bad_channel_seconds_total{device='cyton',reason='railed'}", "0+6x20"),
            ("neural_device_bad_channel_seconds_total{device='cyton',reason='noise'}", "0+480x20"),
            ("neural_device_channels{device='cyton'}", "8x20"),
        ],
    ),
    ..Alert::BLANK
};

static FLAT: Alert = Alert {
    name: "NeuralSignalFlat",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "device:neural_device_bad_channels:ratio_rate5m{reason='flat'} > ${device_flat}",
    ),
    keep_firing: 60,
    summary: "Channels of {{ $labels.device }} on {{ $labels.instance }} are flat",
    description: "{{ $value | humanizePercentage }} of its channels did not change, on average over five minutes; the limit is ${device_flat}. They contain no signal.",
    meaning: "The same value repeats. No electrode on skin does that: the channel is switched off or shorted in the board's settings, \
              its input is broken, or the board repeats old samples.",
    immediate: &[
        "See whether the channel is switched on in the recording program, and not set to its test or short.",
    ],
    short_term: &["Switch the board off and on, and look again."],
    long_term: &["Remove unused channels from the montage, or switch this alert off."],
    queries: &[
        "neural_channel_bad{reason='flat'} == 1",
        "neural_channel_flat_ratio",
        "neural_channel_rms_volts",
    ],
    related: &["NeuralSignalRailed", "NeuralSignalBadChannels"],
    fires: Case::fires(
        15,
        &[
            ("neural_device_bad_channel_seconds_total{device='cyton',reason='flat'}", "0+120x20"),
            ("neural_device_channels{device='cyton'}", "8x20"),
        ],
        &[("device", "cyton"), ("reason", "flat")],
        "25%",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_device_bad_channel_seconds_total{device='cyton',reason='flat'}", "0+6x20"),
            ("neural_device_channels{device='cyton'}", "8x20"),
        ],
    ),
    ..Alert::BLANK
};

static HUM: Alert = Alert {
    name: "NeuralSignalHum",
    level: Level::new(
        Severity::Low,
        Priority::P2,
        120,
        "device:neural_device_bad_channels:ratio_rate5m{reason='hum'} > ${device_hum}",
    ),
    keep_firing: 60,
    summary: "{{ $labels.device }} on {{ $labels.instance }} has mains hum",
    description: "In {{ $value | humanizePercentage }} of its channels mains hum is stronger than the signal, on average over five minutes; the limit is ${device_hum}.",
    meaning: "The power at the mains frequency is far above that of the band. In one channel the cause is a bad contact, in all of them the reference, the ground, or a mains-powered device nearby. \
              A notch filter hides the hum, but not the bad contact that lets it in.",
    immediate: &[
        "Unplug chargers near the set-up, the laptop's own supply first.",
        "Reseat reference and ground.",
    ],
    short_term: &["Twist the electrode cables together and lead them away from power cables and screens."],
    long_term: &["Keep the impedances low and alike, and the device on its battery."],
    queries: &["neural_channel_hum_ratio", "neural_channel_hum_decibels", "neural_device_mains_hertz"],
    related: &["NeuralSignalQuality", "NeuralSignalBadChannels"],
    fires: Case::fires(
        15,
        &[
            ("neural_device_bad_channel_seconds_total{device='cyton',reason='hum'}", "0+240x20"),
            ("neural_device_channels{device='cyton'}", "8x20"),
        ],
        &[("device", "cyton"), ("reason", "hum")],
        "50%",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_device_bad_channel_seconds_total{device='cyton',reason='hum'}", "0+60x20"),
            ("neural_device_channels{device='cyton'}", "8x20"),
        ],
    ),
    ..Alert::BLANK
};

static IMPEDANCE: Alert = Alert {
    name: "NeuralSignalImpedance",
    level: Level::new(
        Severity::Low,
        Priority::P2,
        30,
        "neural_device_electrode_impedance_ohms > ${device_impedance}",
    ),
    summary: "The impedance of channel {{ $labels.channel }} of {{ $labels.device }} is high",
    description: "It measured {{ $value | humanize }} ohms; the limit is ${device_impedance}. Hum and noise enter there.",
    meaning: "The device measured the electrode against its reference, and little current passes. The value is of the last measurement, which may be old: the agent measures only before a stream, with `impedance: at_start`. A Ganglion reports twice what the OpenBCI GUI shows, so ${device_impedance} are half of that there.",
    immediate: &["Part the hair, add paste or water, press the electrode on, and measure again."],
    short_term: &["If all are high, it is the reference."],
    long_term: &["Clean electrodes after each session; old paste insulates."],
    queries: &["neural_device_electrode_impedance_ohms"],
    related: &["NeuralDeviceElectrodeOff", "NeuralSignalHum"],
    fires: Case::fires(
        10,
        &[("neural_device_electrode_impedance_ohms{device='ganglion',channel='2'}", "250000x15")],
        &[("device", "ganglion"), ("channel", "2")],
        "250k",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_device_electrode_impedance_ohms{device='ganglion',channel='2'}", "20000x15")],
    ),
    ..Alert::BLANK
};
