//! Alerts: is each serial port there, ours and well?
//!
//! A port that is absent is `NeuralDeviceUnplugged`, or `NeuralSourceDown` if it never streamed; what is here says why another one does not stream.

use super::{Alert, Case, Chapter, Level, Priority, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "port",
    group: "neural-port",
    interval: 15,
    records: &[],
    alerts: &[
        &BUSY,
        &NOT_PERMITTED,
        &AMBIGUOUS,
        &WRONG_DEVICE,
        &SILENT,
        &FLAPPING,
        &LINE_ERRORS,
        &BACKLOG,
        &LATENCY_TIMER,
        &AUTOSUSPEND,
    ],
};

static BUSY: Alert = Alert {
    name: "NeuralPortBusy",
    level: Level::new(Severity::High, Priority::P1, 60, "neural_port_state{state='busy'} == 1"),
    summary: "Another program has the port of {{ $labels.device }} on {{ $labels.instance }}",
    description: "The agent cannot open the port of {{ $labels.device }}, because another program holds it. That program may be recording; the agent does not see it.",
    meaning: "A serial port has one reader. The first program that opens it keeps it, and the agent retries until it is free. The agent's log and `neural-exporter devices` name the program.",
    immediate: &[
        "See which program holds it: `neural-exporter devices`.",
        "If that program records, leave it: only the agent's metrics are missing.",
    ],
    short_term: &[
        "Give the source a `tap`, and let the program open the tap's path in place of the port; then both read.",
    ],
    long_term: &["Start the agent before the recording program, with a tap for each device."],
    queries: &["neural_port_state == 1", "neural_source_up"],
    related: &["NeuralDeviceUnplugged", "NeuralPortNotPermitted"],
    fires: Case::fires(
        10,
        &[("neural_port_state{device='cyton',state='busy'}", "0x3 1x12")],
        &[("device", "cyton"), ("state", "busy")],
        "1",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_port_state{device='cyton',state='busy'}", "0x15"),
            ("neural_port_state{device='cyton',state='open'}", "1x15"),
        ],
    ),
    ..Alert::BLANK
};

static NOT_PERMITTED: Alert = Alert {
    name: "NeuralPortNotPermitted",
    level: Level::new(Severity::High, Priority::P1, 60, "neural_port_state{state='not_permitted'} == 1"),
    summary: "The agent on {{ $labels.instance }} may not open the port of {{ $labels.device }}",
    description: "The port is present, and the agent's user may not open it. {{ $labels.device }} is not monitored.",
    meaning: "The device node belongs to a group that the agent's user is not in. The agent's log names the group, or the rule for udev that gives it the right.",
    immediate: &[
        "See how to fix it: `neural-exporter devices`, or `journalctl -u neural-exporter | grep -i permit`.",
        "On most systems: `sudo usermod -aG dialout neural-exporter`, then restart the agent.",
    ],
    short_term: &[
        "If the agent proposes a rule, put it into `/etc/udev/rules.d/70-neural-exporter.rules`, then `sudo udevadm control --reload` and plug it in again.",
    ],
    long_term: &["Install the agent from its package or unit, which include group and rule."],
    queries: &["neural_port_state == 1"],
    related: &["NeuralPortBusy", "NeuralSourceDown"],
    fires: Case::fires(
        10,
        &[("neural_port_state{device='cyton',state='not_permitted'}", "1x15")],
        &[("device", "cyton"), ("state", "not_permitted")],
        "1",
    ),
    quiet: Case::quiet(10, &[("neural_port_state{device='cyton',state='absent'}", "1x15")]),
    ..Alert::BLANK
};

static AMBIGUOUS: Alert = Alert {
    name: "NeuralPortAmbiguous",
    level: Level::new(Severity::High, Priority::P2, 60, "neural_port_state{state='ambiguous'} == 1"),
    summary: "More than one port on {{ $labels.instance }} fits {{ $labels.device }}",
    description: "The agent opens none of them, because it cannot tell which is {{ $labels.device }}.",
    meaning: "Several connected ports match the configuration of the device, such as its USB id. A guess could record one person under another's name.",
    immediate: &["See what is plugged in, and how the ports differ: `neural-exporter devices`."],
    short_term: &["Name the device by its serial number or by its USB port."],
    long_term: &["Label dongles with their serial numbers."],
    queries: &["neural_port_state == 1", "neural_port_usb_info"],
    related: &["NeuralPortWrongDevice"],
    fires: Case::fires(
        10,
        &[("neural_port_state{device='cyton',state='ambiguous'}", "1x15")],
        &[("device", "cyton"), ("state", "ambiguous")],
        "1",
    ),
    quiet: Case::quiet(10, &[("neural_port_state{device='cyton',state='ambiguous'}", "0x15")]),
    ..Alert::BLANK
};

static WRONG_DEVICE: Alert = Alert {
    name: "NeuralPortWrongDevice",
    level: Level::new(Severity::High, Priority::P1, 30, "neural_port_state{state='wrong_device'} == 1"),
    keep_firing: 60,
    summary: "The port of {{ $labels.device }} has a different device",
    description: "The data on the port does not match the protocol of {{ $labels.device }} on {{ $labels.instance }}. It cannot be decoded, or its channels are mixed up: do not trust its metrics.",
    meaning: "Another device was plugged into that port, the port got another number, or protocol or speed in the configuration are not those of the device. A Cyton with a Daisy sends the same frames as one without, and only the protocol says what is in them. The agent's log says which device it seems to be, and what to configure.",
    immediate: &[
        "Read the agent's guess: `journalctl -u neural-exporter | tail -50`.",
        "Compare protocol and baud rate with the device's.",
    ],
    short_term: &[
        "Name the device by USB id and serial number, or by `/dev/serial/by-id/`, and not by `ttyUSB0`.",
    ],
    long_term: &[],
    queries: &["neural_port_state == 1", "rate(neural_source_errors_total[5m])", "neural_port_usb_info"],
    related: &["NeuralSourceErrors", "NeuralPortAmbiguous"],
    fires: Case::fires(
        10,
        &[("neural_port_state{device='cyton',state='wrong_device'}", "0x3 1x12")],
        &[("device", "cyton"), ("state", "wrong_device")],
        "1",
    ),
    quiet: Case::quiet(10, &[("neural_port_state{device='cyton',state='silent'}", "1x15")]),
    ..Alert::BLANK
};

static SILENT: Alert = Alert {
    name: "NeuralPortSilent",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "neural_port_state{state='silent'} == 1\nunless on (job, instance, device)\nneural_device_samples_total > 0\nunless on (job, instance, device)\nneural_tap_open == 0",
    ),
    summary: "The port of {{ $labels.device }} on {{ $labels.instance }} is open, but silent",
    description: "For more than two minutes only text messages have arrived, or none, and {{ $labels.device }} has not streamed since the agent was started.",
    meaning: "The dongle or converter is plugged in, but the device behind it sends nothing. A dongle may still answer, or report that it has no headset; the log quotes it. A device that streamed and stopped is `NeuralDeviceSilent` instead; one behind a tap counts only while a program has the tap open.",
    immediate: &[
        "Switch the device on, and check that it is paired with this dongle.",
        "If a program has to start the stream, start it there, through the tap.",
    ],
    short_term: &["Check the baud rate, and that transmit and receive are not swapped on a home-made cable."],
    long_term: &[],
    queries: &["neural_port_state == 1", "neural_port_start_commands_total", "neural_device_messages_total"],
    related: &["NeuralDeviceSilent", "NeuralDeviceCommandFailed", "NeuralTapUnused"],
    fires: Case::fires(
        10,
        &[
            ("neural_port_state{device='cyton',state='silent'}", "1x15"),
            ("neural_device_streaming{device='cyton'}", "0x15"),
            ("neural_device_samples_total{device='cyton'}", "0x15"),
        ],
        &[("device", "cyton"), ("state", "silent")],
        "1",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_port_state{device='cyton',state='silent'}", "0x5 1x10"),
            ("neural_device_samples_total{device='cyton'}", "0+15000x5 75000x10"),
            ("neural_port_state{device='knight',state='silent'}", "1x15"),
            ("neural_tap_open{device='knight'}", "0x15"),
        ],
    ),
    ..Alert::BLANK
};

static FLAPPING: Alert = Alert {
    name: "NeuralPortReconnects",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "sum without (reason) (increase(neural_port_reconnects_total[10m])) > ${port_reconnects}",
    ),
    keep_firing: 300,
    summary: "The port of {{ $labels.device }} on {{ $labels.instance }} is lost repeatedly",
    description: "It was reopened {{ $value | humanize }} times in ten minutes; the limit is ${port_reconnects}. Each time samples are missing.",
    meaning: "The port disappears and returns. The label `reason` of `neural_port_reconnects_total` says why: `unplugged` is a contact, a hub or the bus; `hangup` and the errors are the driver or the other end.",
    immediate: &[
        "Push the plugs in, and secure the cable.",
        "Read the kernel log: `sudo dmesg --ctime | grep -i -e usb -e tty | tail -30`.",
    ],
    short_term: &["Try another port of the machine itself, without a hub, and another cable."],
    long_term: &["Use a powered hub, and disable autosuspend for the device."],
    queries: &[
        "increase(neural_port_disconnects_total[1h])",
        "increase(neural_port_usb_reenumerations_total[1h])",
        "neural_device_availability_ratio",
    ],
    related: &["NeuralSourceFlapping", "NeuralDeviceAvailability", "NeuralPortAutosuspend"],
    fires: Case::fires(
        10,
        &[
            ("neural_port_reconnects_total{device='cyton',reason='unplugged'}", "0 0 1 2 3 4 4 4 4 4 4"),
            ("neural_port_reconnects_total{device='cyton',reason='hangup'}", "0x15"),
        ],
        &[("device", "cyton")],
        "4",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_port_reconnects_total{device='cyton',reason='unplugged'}", "0 0 1 1 1 1 2 2 2 2 2")],
    ),
    ..Alert::BLANK
};

static LINE_ERRORS: Alert = Alert {
    name: "NeuralPortLineErrors",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "rate(neural_port_line_errors_total{kind!='break'}[5m]) > ${port_line_errors}",
    ),
    keep_firing: 120,
    summary: "The line of {{ $labels.device }} on {{ $labels.instance }} has errors: {{ $labels.kind }}",
    description: "{{ $value | humanize }} errors per second over five minutes; the limit is ${port_line_errors}. Each is a wrong or lost byte.",
    meaning: "The driver counts errors on the line itself. `frame` and `parity` mean a wrong baud rate or a bad cable, `overrun` and `buffer_overrun` a machine that did not read bytes in time.",
    immediate: &[
        "For `frame` or `parity`, compare the baud rate and change the cable; for overruns, see what keeps the machine busy.",
    ],
    short_term: &["Shorten the cable, and keep it away from power supplies and motors."],
    long_term: &["Use a converter with flow control or a larger buffer."],
    queries: &[
        "rate(neural_port_line_errors_total[5m])",
        "rate(neural_source_errors_total[5m])",
        "neural_port_baud",
    ],
    related: &["NeuralSourceErrors", "NeuralPortBacklog"],
    fires: Case::fires(
        10,
        &[("neural_port_line_errors_total{device='knight',kind='frame'}", "0+60x15")],
        &[("device", "knight"), ("kind", "frame")],
        "1",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_port_line_errors_total{device='knight',kind='frame'}", "3x15"),
            ("neural_port_line_errors_total{device='knight',kind='break'}", "0+60x15"),
        ],
    ),
    ..Alert::BLANK
};

static BACKLOG: Alert = Alert {
    name: "NeuralPortBacklog",
    level: Level::new(Severity::High, Priority::P2, 30, "neural_port_waiting_bytes > ${port_waiting}"),
    summary: "Bytes of {{ $labels.device }} on {{ $labels.instance }} pile up in the kernel",
    description: "{{ $value }} bytes wait to be read, and 4095 fit; more are lost.",
    meaning: "The agent does not read the port fast enough. The machine is overloaded, or was suspended.",
    immediate: &[
        "See what takes the processors: `top`, and `rate(neural_host_pressure_seconds_total[5m])` where available.",
    ],
    short_term: &["Move other work off the machine while it records."],
    long_term: &["Give the agent's unit a higher `CPUWeight=`."],
    queries: &["neural_port_waiting_bytes", "rate(neural_port_line_errors_total{kind='buffer_overrun'}[5m])"],
    related: &["NeuralPortLineErrors", "NeuralHostCpu"],
    fires: Case::fires(
        10,
        &[("neural_port_waiting_bytes{device='cyton'}", "4095x15")],
        &[("device", "cyton")],
        "4095",
    ),
    quiet: Case::quiet(10, &[("neural_port_waiting_bytes{device='cyton'}", "330x15")]),
    ..Alert::BLANK
};

static LATENCY_TIMER: Alert = Alert {
    name: "NeuralPortLatencyTimer",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        300,
        "neural_port_latency_timer_seconds > ${port_latency_timer}",
    ),
    summary: "The USB bridge of {{ $labels.device }} on {{ $labels.instance }} delays samples",
    description: "Its latency timer is {{ $value | humanizeDuration }}; the limit is ${port_latency_timer}. Samples arrive late and in bursts, but none is lost.",
    meaning: "An FTDI chip waits for more bytes until its latency timer ends, 16 ms by default. For a recording that is a delay, for a closed loop it is jitter. The agent sets it to 1 ms if it has the permission.",
    immediate: &[
        "`echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer`, with the port's own name.",
    ],
    short_term: &[
        "Put the rule that the agent's log proposes into `/etc/udev/rules.d/70-neural-exporter.rules`, so that the setting persists.",
    ],
    long_term: &["If the delay does not matter, set `latency_timer: keep` and switch this alert off."],
    queries: &["neural_port_latency_timer_seconds", "device:neural_device_latency_seconds:p95_rate5m"],
    related: &["NeuralDeviceLatency", "NeuralDeviceJitter"],
    fires: Case::fires(
        10,
        &[("neural_port_latency_timer_seconds{device='cyton'}", "0.016x15")],
        &[("device", "cyton")],
        "16ms",
    ),
    quiet: Case::quiet(10, &[("neural_port_latency_timer_seconds{device='cyton'}", "0.001x15")]),
    ..Alert::BLANK
};

static AUTOSUSPEND: Alert = Alert {
    name: "NeuralPortAutosuspend",
    level: Level::new(Severity::Low, Priority::P3, 300, "neural_port_usb_autosuspend == 1"),
    summary: "The kernel may suspend {{ $labels.device }} on {{ $labels.instance }}",
    description: "USB autosuspend is on for the device of the port. When the line is idle for a while, the dongle may be suspended and lose its radio link.",
    meaning: "The kernel may suspend a USB device that seems idle. Most devices are not affected while they stream; some fall off the bus when they resume, which ends the recording.",
    immediate: &[
        "`echo on | sudo tee /sys/bus/usb/devices/PLACE/power/control`, with the `place` of `neural_port_usb_info`.",
    ],
    short_term: &[
        "Put `ACTION==\"add\", SUBSYSTEM==\"usb\", ATTR{idVendor}==\"0403\", ATTR{power/control}=\"on\"` into `/etc/udev/rules.d/70-neural-exporter.rules`, with the vendor of the device.",
    ],
    long_term: &["On laptops, exclude the device from the power saver (`USB_DENYLIST` of TLP)."],
    queries: &["neural_port_usb_autosuspend", "neural_port_usb_awake", "neural_port_usb_info"],
    related: &["NeuralPortReconnects", "NeuralDeviceUnplugged"],
    fires: Case::fires(
        10,
        &[("neural_port_usb_autosuspend{device='cyton'}", "1x15")],
        &[("device", "cyton")],
        "1",
    ),
    quiet: Case::quiet(10, &[("neural_port_usb_autosuspend{device='cyton'}", "0x15")]),
    ..Alert::BLANK
};
