//! Alerts: does each device stream, at its rate and without gaps?

use super::arrival::{DRIFT, JITTER, LATENCY};
use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "device",
    group: "neural-device",
    interval: 15,
    records: &[
        Record {
            name: "device:neural_device_loss:ratio_rate5m",
            expr: "rate(neural_device_lost_packets_total[5m])\n/\n(rate(neural_device_frames_total[5m]) + rate(neural_device_lost_packets_total[5m]))",
        },
        Record {
            name: "device:neural_device_jitter_seconds:p95_rate5m",
            expr: "histogram_quantile(0.95, rate(neural_device_jitter_seconds_bucket[5m]))",
        },
        Record {
            name: "device:neural_device_latency_seconds:p95_rate5m",
            expr: "histogram_quantile(0.95, rate(neural_device_latency_seconds_bucket[5m]))",
        },
        Record {
            name: "device:neural_device_rate_hertz:zscore1h",
            expr: "(neural_device_rate_hertz - avg_over_time(neural_device_rate_hertz[1h] offset 10m))\n/\n(\n  stddev_over_time(neural_device_rate_hertz[1h] offset 10m) > 0.01 * neural_device_nominal_rate_hertz\n  or\n  0.01 * neural_device_nominal_rate_hertz\n)\nand\ncount_over_time(neural_device_rate_hertz[1h] offset 10m) > 30",
        },
    ],
    alerts: &[
        &UNPLUGGED, &SILENT, &LOSS, &GAPS, &PAUSE, &LOW_RATE, &HIGH_RATE, &LATENCY, &JITTER, &DRIFT,
        &UNSTABLE, &ANOMALY,
    ],
};

static UNPLUGGED: Alert = Alert {
    name: "NeuralDeviceUnplugged",
    level: Level::new(
        Severity::Critical,
        Priority::P0,
        30,
        "label_replace(neural_source_up{source!~'.+/.+'} == 0, 'device', '$1', 'source', '(.+)')\nand on (job, instance, device)\nneural_device_samples_total > 0\nunless on (job, instance, device)\nneural_port_state{state=~'busy|not_permitted|ambiguous'} == 1",
    ),
    keep_firing: 60,
    summary: "{{ $labels.device }} on {{ $labels.instance }} cannot be reached",
    description: "The port or connection of {{ $labels.device }} is closed, and it streamed before. Nothing is recorded from it.",
    meaning: "The agent cannot open the device's port or connection any more, although the device was there since the agent started. \
              The cable was pulled, the dongle or USB hub lost power, or a network device left the network. \
              Where the port is there but another program has it, or the agent may not open it, `NeuralPortBusy` and its like say so instead. \
              The agent tries again by itself, ever more slowly, up to its limit.",
    immediate: &[
        "Check whether the dongle's or the device's light is on, and push the plug in at both ends.",
        "On the machine, see whether the port still exists: `ls -l /dev/serial/by-id/`.",
        "See who holds the port: `sudo fuser -v /dev/ttyUSB0`; a program that opened it keeps the agent out.",
        "Stop or mark the recording: samples from now on are missing, not late.",
    ],
    short_term: &[
        "Read the kernel log about the plug: `sudo dmesg --ctime | grep -i -e usb -e tty | tail -20`; repeated disconnects mean a bad cable, hub or supply.",
        "If the port came back under another number, name it by `/dev/serial/by-id/` in the configuration.",
    ],
    long_term: &[
        "Plug the dongle into the machine or a powered hub, with a cable that locks or is strapped down.",
        "Switch off USB autosuspend for the device.",
        "Let the agent tap what the acquisition program forwards, where both need the same port.",
        "If devices are switched off at night, mute the alert: `alerts.quiet` with `priorities: [P0, P1, P2, P3]`.",
    ],
    queries: &["neural_source_up", "changes(neural_source_up[1h])", "neural_device_availability_ratio"],
    related: &["NeuralDeviceSilent", "NeuralSourceFlapping", "NeuralPortBusy", "NeuralPortReconnects"],
    fires: Case::fires(
        10,
        &[
            ("neural_source_up{source='cyton'}", "1x5 0x10"),
            ("neural_device_samples_total{device='cyton'}", "0+15000x15"),
        ],
        &[("device", "cyton"), ("source", "cyton")],
        "0",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_source_up{source='cyton'}", "1x15"),
            ("neural_device_samples_total{device='cyton'}", "0+15000x15"),
            ("neural_source_up{source='knight'}", "1x5 0x10"),
            ("neural_device_samples_total{device='knight'}", "0+15000x15"),
            ("neural_port_state{device='knight',state='busy'}", "0x5 1x10"),
        ],
    ),
    ..Alert::BLANK
};

static SILENT: Alert = Alert {
    name: "NeuralDeviceSilent",
    level: Level::new(
        Severity::Critical,
        Priority::P0,
        30,
        "label_replace(neural_device_streaming{device!~'.+/.+'} == 0\nunless on (job, instance, device)\n(neural_device_samples_total == 0 and on (job, instance, device) neural_port_state{state='open'})\nunless on (job, instance, device)\nneural_tap_open == 0, 'source', '$1', 'device', '([^:]+).*')\nunless on (job, instance, source)\nneural_program_state{state='idle'} == 1",
    ),
    keep_firing: 60,
    summary: "{{ $labels.device }} on {{ $labels.instance }} sends nothing",
    description: "The port of {{ $labels.device }} is open, but no sample has arrived for more than half a minute.",
    meaning: "The port is open and no data arrives. A board that is lost while it streams sends no error: its dongle simply stops, so silence is the only symptom. \
              Usual reasons are an empty battery, a board that was switched off, or a board out of the radio's range. \
              A board on a port that never streamed is `NeuralPortSilent` instead, behind a tap that no program has open a board may rest, \
              and the stream of a program that says it is idle is silent by right.",
    immediate: &[
        "Look at the light of the board, not that of the dongle: the dongle stays lit when the board is gone.",
        "Change or charge the battery, switch the board off and on, and start the stream again.",
        "Bring the board closer, with no person between it and the dongle.",
    ],
    short_term: &[
        "The agent starts a silent board again by itself, unless a tap is set; a Cyton whose stream was cut may need a power cycle first.",
        "Compare with the battery: see `NeuralDeviceBattery`.",
    ],
    long_term: &[
        "Begin sessions with a full battery, and write down how long one lasts with this montage.",
        "Put the dongle on a USB extension cable within a metre or two of the board.",
        "If devices are switched off at night, mute the alert: `alerts.quiet` with `priorities: [P0, P1, P2, P3]`.",
    ],
    queries: &[
        "neural_device_streaming",
        "neural_agent_time_seconds - on (job, instance) group_right neural_device_last_sample_timestamp_seconds",
        "neural_device_battery_ratio",
    ],
    related: &["NeuralDeviceUnplugged", "NeuralDeviceBattery", "NeuralDeviceCommandFailed"],
    fires: Case::fires(
        10,
        &[
            ("neural_device_streaming{device='cyton'}", "1x5 0x10"),
            ("neural_device_samples_total{device='cyton'}", "0+15000x5 75000x10"),
            ("neural_port_state{device='cyton',state='open'}", "1x5 0x10"),
            ("neural_tap_open{device='cyton'}", "1x15"),
            ("neural_program_state{source='intan',state='idle'}", "1x15"),
        ],
        &[("device", "cyton"), ("source", "cyton")],
        "0",
    ),
    // One streams, one waits to be recorded, one never began, and one's program is idle.
    quiet: Case::quiet(
        10,
        &[
            ("neural_device_streaming{device='cyton'}", "1x15"),
            ("neural_device_streaming{device='daisy'}", "1x5 0x10"),
            ("neural_device_samples_total{device='daisy'}", "0+15000x5 75000x10"),
            ("neural_tap_open{device='daisy'}", "1x5 0x10"),
            ("neural_device_streaming{device='knight'}", "0x15"),
            ("neural_device_samples_total{device='knight'}", "0x15"),
            ("neural_port_state{device='knight',state='open'}", "0x15"),
            ("neural_device_streaming{device='intan:waveforms'}", "1x5 0x10"),
            ("neural_program_state{source='intan',state='idle'}", "0x5 1x10"),
        ],
    ),
    ..Alert::BLANK
};

static LOSS: Alert = Alert {
    name: "NeuralDeviceLoss",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "device:neural_device_loss:ratio_rate5m > ${device_loss}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        60,
        "device:neural_device_loss:ratio_rate5m > ${device_loss_critical}",
    )),
    keep_firing: 120,
    summary: "{{ $labels.device }} on {{ $labels.instance }} loses packets",
    description: "{{ $value | humanizePercentage }} of its packets are missing over five minutes; the limit is ${device_loss}, above ${device_loss_critical} a recording is of no use.",
    meaning: "Numbered packets of the device never arrived. They are lost, not late: a filter or an average over the gap is wrong. \
              On a Cyton this is the radio: whole packets are missing, never damaged ones. The latency timer of an FTDI chip makes packets late and in bursts, but loses none.",
    immediate: &[
        "Bring board and dongle closer, and away from people and metal between them.",
        "Put the dongle on a USB extension cable, away from the machine's case, USB 3 disks and Wi-Fi antennas: all of them emit at 2.4 GHz.",
        "On a Cyton, change to another radio channel (1 to 25) in the acquisition program, and check whether the loss falls.",
        "Mark the time in the recording.",
    ],
    short_term: &[
        "Check whether the loss coincides with a phone, headset or microwave oven; try another channel or another room.",
        "If frames come damaged rather than missing (`neural_source_errors_total` grows), suspect the cable or hub and not the radio.",
        "If only one of several programs misses packets, it is that program that is too slow: compare with the processor's load.",
    ],
    long_term: &[
        "Give every board in the room a channel of its own, far from the others.",
        "Make the loss of a session part of its record, and decide beforehand how much is too much.",
    ],
    queries: &[
        "device:neural_device_loss:ratio_rate5m",
        "increase(neural_device_lost_packets_total[1h])",
        "increase(neural_device_gaps_total[1h])",
    ],
    related: &["NeuralDeviceGaps", "NeuralSourceErrors", "NeuralDeviceLowRate"],
    fires: Case::fires(
        15,
        &[
            ("neural_device_frames_total{device='cyton'}", "0+14700x20"),
            ("neural_device_lost_packets_total{device='cyton'}", "0+300x20"),
        ],
        &[("device", "cyton")],
        "2%",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_device_frames_total{device='cyton'}", "0+13500x20"),
            ("neural_device_lost_packets_total{device='cyton'}", "0+1500x20"),
        ],
        &[("device", "cyton")],
        "10%",
    )),
    quiet: Case::quiet(
        15,
        &[
            ("neural_device_frames_total{device='cyton'}", "0+14970x20"),
            ("neural_device_lost_packets_total{device='cyton'}", "0+30x20"),
        ],
    ),
    ..Alert::BLANK
};

static GAPS: Alert = Alert {
    name: "NeuralDeviceGaps",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        300,
        "60 * rate(neural_device_gaps_total[5m]) > ${device_gaps}",
    ),
    summary: "The stream of {{ $labels.device }} has many small gaps",
    description: "{{ $value | humanize }} gaps per minute; the limit is ${device_gaps}. Few packets may be missing in total, but hardly any stretch is complete.",
    meaning: "Packets are lost often, a few at a time. Averages may tolerate that; spectra, epochs and anything else that needs an unbroken stretch do not.",
    immediate: &["Treat it as `NeuralDeviceLoss`: distance, extension cable, radio channel."],
    short_term: &["Count how many of your epochs are complete before you continue."],
    long_term: &["Reject epochs with gaps by the device's own counter rather than by eye."],
    queries: &[
        "60 * rate(neural_device_gaps_total[5m])",
        "increase(neural_device_lost_packets_total[5m]) / increase(neural_device_gaps_total[5m])",
    ],
    related: &["NeuralDeviceLoss", "NeuralDeviceLongGap"],
    fires: Case::fires(
        15,
        &[("neural_device_gaps_total{device='cyton'}", "0+12x20")],
        &[("device", "cyton")],
        "12",
    ),
    quiet: Case::quiet(15, &[("neural_device_gaps_total{device='cyton'}", "0+2x20")]),
    ..Alert::BLANK
};

static PAUSE: Alert = Alert {
    name: "NeuralDeviceLongGap",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        30,
        "neural_device_longest_gap_seconds > ${device_gap} < 60\nand neural_device_streaming == 1",
    ),
    keep_firing: 120,
    summary: "The stream of {{ $labels.device }} paused",
    description: "No sample arrived for {{ $value | humanizeDuration }} within the last minute; the limit is ${device_gap}.",
    meaning: "The stream stopped and continued within a minute. If samples are missing too, the device or its link failed for that time; if not, they were delayed by the machine, a hub, or a suspended USB port.",
    immediate: &[
        "Check whether packets were lost at the same time: if not, nothing is lost, but a closed loop was interrupted.",
    ],
    short_term: &[
        "Compare with the processor's load and with tasks that wait for disks at that moment.",
        "Read `sudo dmesg --ctime` at that time for the USB port.",
    ],
    long_term: &["Switch off USB autosuspend, and keep heavy jobs off the machine while it records."],
    queries: &[
        "neural_device_longest_gap_seconds",
        "increase(neural_device_lost_packets_total[5m])",
        "rate(neural_host_pressure_seconds_total[5m])",
    ],
    related: &["NeuralDeviceLoss", "NeuralHostPressure"],
    fires: Case::fires(
        10,
        &[
            ("neural_device_longest_gap_seconds{device='cyton'}", "0.02x5 1.5x10"),
            ("neural_device_streaming{device='cyton'}", "1x15"),
        ],
        &[("device", "cyton")],
        "1.5s",
    ),
    // A stream that ended, or began, has not paused.
    quiet: Case::quiet(
        10,
        &[
            ("neural_device_longest_gap_seconds{device='cyton'}", "0.02x9 20x6"),
            ("neural_device_streaming{device='cyton'}", "1x9 0x6"),
            ("neural_device_longest_gap_seconds{device='knight'}", "7200x15"),
            ("neural_device_streaming{device='knight'}", "0x9 1x6"),
        ],
    ),
    ..Alert::BLANK
};

static LOW_RATE: Alert = Alert {
    name: "NeuralDeviceLowRate",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "neural_device_rate_ratio{device!~'.+/.+'} < ${device_rate} and neural_device_streaming == 1\nunless device:neural_device_loss:ratio_rate5m > ${device_loss}",
    ),
    keep_firing: 60,
    summary: "{{ $labels.device }} streams slower than it should, and nothing is missing",
    description: "It delivers {{ $value | humanizePercentage }} of its nominal rate; the minimum is ${device_rate}. By its own counter nothing is lost, so the device itself is slow or set to another rate.",
    meaning: "Fewer samples arrive than the nominal rate, and the counter has no gaps. It is set to a lower rate than the configuration says (a Cyton with Daisy gives 125 samples per second, not 250), \
              or it cannot keep up. Times derived from the sample number are wrong by that much.",
    immediate: &[
        "Compare the rate that is set in the acquisition program with the one in the agent's configuration.",
    ],
    short_term: &["Check the recording's header: a wrong rate there shifts every frequency band."],
    long_term: &[
        "Set the rate in one place, and take times from time stamps rather than from counting samples.",
    ],
    queries: &["neural_device_rate_hertz", "neural_device_nominal_rate_hertz", "neural_device_rate_ratio"],
    related: &["NeuralDeviceLoss", "NeuralDeviceHighRate", "NeuralDeviceDrift"],
    fires: Case::fires(
        10,
        &[
            ("neural_device_rate_ratio{device='cyton'}", "1x3 0.5x15"),
            ("neural_device_streaming{device='cyton'}", "1x18"),
        ],
        &[("device", "cyton")],
        "50%",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_device_rate_ratio{device='cyton'}", "0.99x18"),
            ("neural_device_streaming{device='cyton'}", "1x18"),
        ],
    ),
    ..Alert::BLANK
};

static HIGH_RATE: Alert = Alert {
    name: "NeuralDeviceHighRate",
    level: Level::new(Severity::Medium, Priority::P2, 120, "neural_device_rate_ratio > ${device_rate_high}"),
    summary: "{{ $labels.device }} streams faster than it should",
    description: "It delivers {{ $value | humanizePercentage }} of its nominal rate; the limit is ${device_rate_high}. Its rate in the configuration is wrong, or samples arrive twice.",
    meaning: "More samples arrive than the nominal rate. Either the nominal rate is wrong, or the forwarding program repeats samples.",
    immediate: &["Compare the rate in the acquisition program with the one in the agent's configuration."],
    short_term: &["If the stream is forwarded by another program, look for repeated samples in a recording."],
    long_term: &["Read the device itself where repeated samples matter."],
    queries: &["neural_device_rate_hertz", "neural_device_nominal_rate_hertz"],
    related: &["NeuralDeviceLowRate"],
    fires: Case::fires(
        10,
        &[("neural_device_rate_ratio{device='cyton'}", "2x15")],
        &[("device", "cyton")],
        "200%",
    ),
    quiet: Case::quiet(10, &[("neural_device_rate_ratio{device='cyton'}", "1.01x15")]),
    ..Alert::BLANK
};

static UNSTABLE: Alert = Alert {
    name: "NeuralDeviceAvailability",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "neural_device_availability_ratio{device!~'.+/.+'} < ${device_availability}\nunless on (job, instance, device)\nmin_over_time(neural_tap_open[10m]) == 0",
    ),
    worse: Some(Level::new(
        Severity::High,
        Priority::P1,
        60,
        "neural_device_availability_ratio{device!~'.+/.+'} < ${device_availability_critical}\nunless on (job, instance, device)\nmin_over_time(neural_tap_open[10m]) == 0",
    )),
    summary: "{{ $labels.device }} does not stream steadily",
    description: "It streamed for {{ $value | humanizePercentage }} of the last ten minutes; the minimum is ${device_availability}.",
    meaning: "The device was interrupted within the last ten minutes, or did not stream for a good part of them. It may stream right now. Behind a tap, only the time in which a program has it open counts; streams on the network are not judged.",
    immediate: &["Do not start a session before it has streamed for ten minutes."],
    short_term: &[
        "See from `neural_source_up` and `neural_device_streaming` whether the plug came loose or the board fell silent.",
    ],
    long_term: &["Change cable, hub or battery, whichever it was."],
    queries: &[
        "neural_device_availability_ratio",
        "changes(neural_source_up[1h])",
        "neural_device_streaming",
    ],
    related: &["NeuralDeviceUnplugged", "NeuralDeviceSilent", "NeuralSourceFlapping"],
    fires: Case::fires(
        10,
        &[("neural_device_availability_ratio{device='cyton'}", "0.7x15")],
        &[("device", "cyton")],
        "70%",
    ),
    worsens: Some(Case::fires(
        10,
        &[("neural_device_availability_ratio{device='cyton'}", "0.25x15")],
        &[("device", "cyton")],
        "25%",
    )),
    // A session has begun four minutes ago.
    quiet: Case::quiet(
        10,
        &[
            ("neural_device_availability_ratio{device='cyton'}", "0x6 0.1+0.1x9"),
            ("neural_tap_open{device='cyton'}", "0x6 1x9"),
            ("neural_device_availability_ratio{device='lsl/EEG'}", "0.2x15"),
        ],
    ),
    ..Alert::BLANK
};

static ANOMALY: Alert = Alert {
    name: "NeuralDeviceRateAnomaly",
    level: Level::new(
        Severity::Info,
        Priority::P3,
        300,
        "abs(device:neural_device_rate_hertz:zscore1h) > ${zscore}\nand on (job, instance, device)\nmin_over_time(neural_device_streaming[70m]) == 1",
    ),
    summary: "The rate of {{ $labels.device }} differs from the hour before",
    description: "It is {{ $value | humanize }} standard deviations from the mean of the hour before; the limit is ${zscore}. It may still be within its limits.",
    meaning: "The rate is unusual for this device compared with the hour that ended ten minutes ago. The standard deviation is taken as at least one per cent of the nominal rate. A device that did not stream all that time is not judged, so start and end of a session do not fire it.",
    immediate: &["Look at the rate over the last two hours, and at what changed at the step."],
    short_term: &["If the new rate is right, do nothing: the alert ends within an hour."],
    long_term: &[],
    queries: &["neural_device_rate_hertz", "device:neural_device_rate_hertz:zscore1h"],
    related: &["NeuralDeviceLowRate", "NeuralDeviceHighRate"],
    fires: Case::fires(
        128,
        &[
            ("neural_device_rate_hertz{device='cyton'}", "250x120 230x20"),
            ("neural_device_nominal_rate_hertz{device='cyton'}", "250x140"),
            ("neural_device_streaming{device='cyton'}", "1x140"),
        ],
        &[("device", "cyton")],
        "8",
    ),
    quiet: Case::quiet(
        128,
        &[
            ("neural_device_rate_hertz{device='cyton'}", "250x120 249x20"),
            ("neural_device_nominal_rate_hertz{device='cyton'}", "250x140"),
            ("neural_device_streaming{device='cyton'}", "1x140"),
            ("neural_device_rate_hertz{device='knight'}", "0x110 125x30"),
            ("neural_device_nominal_rate_hertz{device='knight'}", "125x140"),
            ("neural_device_streaming{device='knight'}", "0x110 1x30"),
        ],
    ),
    ..Alert::BLANK
};
