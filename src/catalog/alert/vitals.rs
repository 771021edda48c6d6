//! Alerts: what a device says of itself: battery, electrodes, commands that failed.

use super::{Alert, Case, Chapter, Level, Priority, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "device",
    group: "neural-device-vitals",
    interval: 30,
    records: &[],
    alerts: &[&BATTERY, &BATTERY_FORECAST, &CONTACT, &POOR_SIGNAL, &COMMAND],
};

static BATTERY: Alert = Alert {
    name: "NeuralDeviceBattery",
    level: Level::new(Severity::Medium, Priority::P2, 120, "neural_device_battery_ratio < ${device_battery}"),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        60,
        "neural_device_battery_ratio < ${device_battery_critical}",
    )),
    keep_firing: 300,
    summary: "The battery of {{ $labels.device }} is low",
    description: "{{ $value | humanizePercentage }} are left; the limit is ${device_battery}, and below ${device_battery_critical} it may stop at any moment.",
    meaning: "The device will soon stop, without a message. Many boards lose radio range before that, so loss may come first.",
    immediate: &[
        "Pause after the running block and change or charge the battery.",
        "Do not charge a device that is on a person.",
    ],
    short_term: &["Keep charged spares beside the set-up."],
    long_term: &["Write down how long a charge lasts, and change batteries that have become weak."],
    queries: &["neural_device_battery_ratio", "deriv(neural_device_battery_ratio[30m]) * 3600"],
    related: &["NeuralDeviceBatteryForecast", "NeuralDeviceSilent", "NeuralDeviceLoss"],
    fires: Case::fires(
        10,
        &[("neural_device_battery_ratio{device='headset'}", "0.15x15")],
        &[("device", "headset")],
        "15%",
    ),
    worsens: Some(Case::fires(
        10,
        &[("neural_device_battery_ratio{device='headset'}", "0.05x15")],
        &[("device", "headset")],
        "5%",
    )),
    quiet: Case::quiet(10, &[("neural_device_battery_ratio{device='headset'}", "0.8x15")]),
    ..Alert::BLANK
};

static BATTERY_FORECAST: Alert = Alert {
    name: "NeuralDeviceBatteryForecast",
    level: Level::new(
        Severity::Low,
        Priority::P2,
        300,
        "predict_linear(neural_device_battery_ratio[30m], 3600) < 0\nand neural_device_battery_ratio < 0.5\nand deriv(neural_device_battery_ratio[30m]) < 0",
    ),
    summary: "The battery of {{ $labels.device }} will be empty within the hour",
    description: "At the rate of the last half hour it will be at {{ $value | humanizePercentage }} in an hour. Do not start a long session with it.",
    meaning: "A linear forecast from the last half hour reaches zero within an hour. The alert does not fire while the battery charges or is more than half full.",
    immediate: &["Change or charge the battery before the next block."],
    short_term: &["If a full battery falls this fast, it is worn out."],
    long_term: &["Replace it."],
    queries: &["neural_device_battery_ratio", "predict_linear(neural_device_battery_ratio[30m], 3600)"],
    related: &["NeuralDeviceBattery"],
    fires: Case::fires(
        40,
        &[("neural_device_battery_ratio{device='headset'}", "0.6-0.01x45")],
        &[("device", "headset")],
        "-40%",
    ),
    quiet: Case::quiet(40, &[("neural_device_battery_ratio{device='headset'}", "0.45-0.001x45")]),
    ..Alert::BLANK
};

static CONTACT: Alert = Alert {
    name: "NeuralDeviceElectrodeOff",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_device_electrode_contact == 0"),
    keep_firing: 60,
    summary: "Electrode {{ $labels.channel }} ({{ $labels.input }}) of {{ $labels.device }} has no contact",
    description: "The device itself measures that channel {{ $labels.channel }} is off. That channel records noise only.",
    meaning: "The device's own lead-off detection says that an electrode has no contact. If all channels of a device are off at once, it is the reference or ground that came off.",
    immediate: &[
        "Press the electrode on, part the hair, add gel or water.",
        "If every channel is off, look at the reference and the ground first.",
    ],
    short_term: &["Check the lead: swap it with a good channel and see whether the fault moves with it."],
    long_term: &["Replace electrodes whose coating is worn, and note the impedance before each session."],
    queries: &[
        "neural_device_electrode_contact == 0",
        "count by (device) (neural_device_electrode_contact == 0)",
    ],
    related: &["NeuralDevicePoorSignal"],
    fires: Case::fires(
        10,
        &[("neural_device_electrode_contact{device='knight',channel='3',input='positive'}", "1x3 0x12")],
        &[("device", "knight"), ("channel", "3"), ("input", "positive")],
        "0",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_device_electrode_contact{device='knight',channel='3',input='positive'}", "1x15")],
    ),
    ..Alert::BLANK
};

static POOR_SIGNAL: Alert = Alert {
    name: "NeuralDevicePoorSignal",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "neural_device_poor_signal_ratio > ${device_poor_signal}",
    ),
    summary: "{{ $labels.device }} reports a poor signal",
    description: "It reports {{ $value | humanizePercentage }}, where 0 % is good and 100 % not on skin; the limit is ${device_poor_signal}.",
    meaning: "A headset of the ThinkGear family reports how poor its signal is: 0 is good, up to 199 noisy, 200 off the head; the metric is that number over 200. Its derived values, such as attention, are meaningless until the signal is good.",
    immediate: &["Set the headset on again, wipe forehead and ear clip, and wait ten seconds."],
    short_term: &["Dry skin helps little: moisten the ear clip's contact."],
    long_term: &["Clean the contacts with alcohol after each person."],
    queries: &["neural_device_poor_signal_ratio"],
    related: &["NeuralDeviceElectrodeOff"],
    fires: Case::fires(
        10,
        &[("neural_device_poor_signal_ratio{device='headset'}", "0x3 1x12")],
        &[("device", "headset")],
        "100%",
    ),
    quiet: Case::quiet(10, &[("neural_device_poor_signal_ratio{device='headset'}", "0.1x15")]),
    ..Alert::BLANK
};

static COMMAND: Alert = Alert {
    name: "NeuralDeviceCommandFailed",
    level: Level::new(
        Severity::High,
        Priority::P1,
        0,
        "increase(neural_device_error_messages_total[5m]) > 0",
    ),
    summary: "{{ $labels.device }} reports a failure",
    description: "{{ $value | humanize }} messages in the last five minutes report a failure: usually a dongle whose board is off, out of range or on another channel.",
    meaning: "The device sent a message that begins with a failure. A Cyton's dongle says `Failure: Communications timeout - Device failed to poll Host` to every command when its board is off, too far away or on another radio channel.",
    immediate: &[
        "Switch the board on (not to its Bluetooth position), and bring it within two metres.",
        "Check the dongle's link in the acquisition program: system up or down.",
    ],
    short_term: &[
        "Set board and dongle to the same channel again; a dongle alone can be put on the board's channel.",
    ],
    long_term: &["Write the channel on board and dongle."],
    queries: &["increase(neural_device_error_messages_total[1h])", "neural_device_streaming"],
    related: &["NeuralDeviceSilent"],
    fires: Case::fires(
        10,
        &[("neural_device_error_messages_total{device='cyton'}", "0x6 5x9")],
        &[("device", "cyton")],
        "5",
    ),
    quiet: Case::quiet(10, &[("neural_device_error_messages_total{device='cyton'}", "3x15")]),
    ..Alert::BLANK
};
