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
    description: "The agent cannot open the port of {{ $labels.device }}, because a program holds it. That program may well record; the agent does not see it.",
    meaning: "A serial port has one reader. Whoever opened it first has it, and the agent tries again until it is free. The agent's log and `neural-exporter devices` name the program.",
    immediate: &[
        "See who holds it: `neural-exporter devices`.",
        "If that program records, let it: what is missing is the agent's view of it.",
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
    description: "The port is there, and the agent's user has no right to it. Nothing of {{ $labels.device }} is measured.",
    meaning: "The device node belongs to a group that the agent's user is not in. The agent's log names the group, or the rule for udev that gives it the right.",
    immediate: &[
        "Read what would mend it: `neural-exporter devices`, or `journalctl -u neural-exporter | grep -i permit`.",
        "On most systems: `sudo usermod -aG dialout neural-exporter`, then restart the agent.",
    ],
    short_term: &[
        "If the agent proposes a rule, put it into `/etc/udev/rules.d/70-neural-exporter.rules`, then `sudo udevadm control --reload` and plug it in again.",
    ],
    long_term: &["Install the agent from its package or unit, which bring group and rule with them."],
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
    meaning: "What the configuration says of the device, such as its USB id, is true of several ports that are plugged in. Guessing would record one person under another's name.",
    immediate: &["See what is plugged in, and what tells the ports apart: `neural-exporter devices`."],
    short_term: &["Name the device by its serial number or by the USB port that it hangs on."],
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
    summary: "What answers on the port of {{ $labels.device }} is something else",
    description: "What comes from the port is not what the protocol of {{ $labels.device }} on {{ $labels.instance }} says. It cannot be read, or its channels are mixed up: no figure of it can be trusted.",
    meaning: "Another device was plugged into that port, the port got another number, or protocol or speed in the configuration are not those of the device. A Cyton with a Daisy sends the same frames as one without, and only the protocol tells what is in them. The agent's log says what it seems to be, and what to write.",
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
    summary: "The port of {{ $labels.device }} on {{ $labels.instance }} is open, and nothing comes",
    description: "For more than two minutes nothing has come but answers, or what the device says in place of samples, and {{ $labels.device }} has not streamed since the agent was started.",
    meaning: "The dongle or converter is plugged in, and what is behind it says nothing; a dongle may still answer, or say that it has no headset, and the log quotes it. A device that streamed and stopped is `NeuralDeviceSilent` instead; one behind a tap is told of while a program has that open.",
    immediate: &[
        "Switch the device on, and see that it is paired with this dongle.",
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
    summary: "The port of {{ $labels.device }} on {{ $labels.instance }} is lost again and again",
    description: "It was opened again {{ $value | humanize }} times in ten minutes; ${port_reconnects} times may be. Each time samples are missing.",
    meaning: "The port goes away and comes back, more often than anybody plugs. The cause is counted: `unplugged` is a contact, a hub or the bus; `hangup` and the errors are the driver or the other end.",
    immediate: &[
        "Push the plugs in, and strap the cable down.",
        "Read the kernel's words: `sudo dmesg --ctime | grep -i -e usb -e tty | tail -30`.",
    ],
    short_term: &["Try another port of the machine itself, without a hub, and another cable."],
    long_term: &["Use a powered hub, and switch autosuspend off for the device."],
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
    description: "{{ $value | humanize }} errors a second over five minutes; ${port_line_errors} may be. Each is a byte that is wrong or gone.",
    meaning: "The driver counts what went wrong on the line itself. `frame` and `parity` are a wrong speed or a bad cable, `overrun` and `buffer_overrun` a machine that did not fetch bytes in time.",
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
    description: "{{ $value }} bytes wait to be read, and 4095 fit; what comes beyond is lost.",
    meaning: "The agent does not fetch what the port brings. The machine is overloaded, or was suspended.",
    immediate: &[
        "See what takes the processors: `top`, and `rate(neural_host_pressure_seconds_total[5m])` where it is told.",
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
    summary: "The chip of {{ $labels.device }} on {{ $labels.instance }} holds samples back",
    description: "Its latency timer is {{ $value | humanizeDuration }}; ${port_latency_timer} is the most. Samples come late and in bursts, but none is lost.",
    meaning: "An FTDI chip waits for more bytes until its latency timer ends, 16 ms unless told otherwise. For a recording that is a delay, for a closed loop it is jitter. The agent sets it to 1 ms where it may.",
    immediate: &[
        "`echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer`, with the port's own name.",
    ],
    short_term: &[
        "Put the rule that the agent's log proposes into `/etc/udev/rules.d/70-neural-exporter.rules`, so that it stays.",
    ],
    long_term: &["If the delay does not matter, say `latency_timer: keep` and switch this alert off."],
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
    summary: "The kernel may switch {{ $labels.device }} on {{ $labels.instance }} off to save power",
    description: "USB autosuspend is on for the device that makes the port. When the line is quiet for a while, the dongle may go to sleep and lose its radio.",
    meaning: "The bus may suspend a device that seems idle. Most do no harm while they stream; some fall off the bus when they wake up, and a recording ends with them.",
    immediate: &[
        "`echo on | sudo tee /sys/bus/usb/devices/PLACE/power/control`, with the place that `neural_port_usb_info` tells.",
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
