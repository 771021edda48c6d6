//! Page: does each acquisition device stream, at its rate and without gaps?

use super::{Keep, Metric, Page, Unit, limit};
use crate::event::{Body, Delay, Event, Flow, Kind, Topic, Vital};

/// Does each acquisition device stream, at its rate and without gaps?
pub static PAGE: Page = Page {
    id: "device",
    title: "Acquisition devices",
    about: "Whether the signal is complete: samples, losses, rate, silence, and what the device reports about itself. A low rate without loss is not a loss, and silence is a state of its own.",
    metrics: &[
        &INFO,
        &SAMPLES,
        &FRAMES,
        &LOST,
        &GAPS,
        &LOST_SAMPLES,
        &REPEATED,
        &OUT_OF_ORDER,
        &NOMINAL_RATE,
        &CHANNELS,
        &RATE,
        &RATE_RATIO,
        &LONGEST_GAP,
        &LAST_SAMPLE,
        &STREAMING,
        &STABILITY,
        &DRIFT,
        &JITTER,
        &LATENCY,
        &BURST,
        &ANSWERS,
        &ANSWER_FAILURES,
        &FIRMWARE,
        &CONTACT,
        &IMPEDANCE,
        &BATTERY,
        &TEMPERATURE,
        &POOR_SIGNAL,
    ],
};

/// What every entry of this page has in common.
const ENTRY: Metric = Metric { labels: &["device"], keep: Keep::WhileUp, ..Metric::BLANK };

/// What every counter of this page has in common: it is there, at zero, as soon as the device is.
const COUNTED: Metric = Metric { kind: Kind::Counter, keep: Keep::Always, ..ENTRY };

/// What the metrics that an analyser keeps have in common.
const FLOW: Metric = Metric { on: &[Topic::Flow], ..ENTRY };

fn flow(event: &Event<'_>) -> Option<Flow> {
    if let Body::Flow(flow) = event.body { Some(flow) } else { None }
}

static INFO: Metric = Metric {
    name: "device",
    help: "Protocol of the device",
    kind: Kind::Info,
    labels: &["device", "protocol"],
    on: &[Topic::Device],
    read: |event, row| {
        if let Body::Device(device) = event.body {
            row.set(&[&row.source(), device.protocol], 1.0);
        }
    },
    ..ENTRY
};

/// Samples that came.
pub static SAMPLES: Metric = Metric {
    name: "device_samples",
    help: "Samples received",
    note: "One sample holds a value of every channel",
    on: &[Topic::Device, Topic::Samples],
    read: |event, row| {
        let by = if let Body::Samples(samples) = &event.body { samples.count() } else { 0 };
        row.add(&[&row.source()], by as f64);
    },
    ..COUNTED
};

static FRAMES: Metric = Metric {
    name: "device_frames",
    help: "Frames decoded",
    on: &[Topic::Device, Topic::Samples],
    read: |event, row| {
        let by = if let Body::Samples(samples) = &event.body { samples.frames } else { 0 };
        row.add(&[&row.source()], by.into());
    },
    ..COUNTED
};

/// Packets that are missing.
pub static LOST: Metric = Metric {
    name: "device_lost_packets",
    help: "Packets lost, by the device's packet counter",
    note: "Where the counter is short, a pause in which it may have wrapped is compared with the measured rate. A counter that restarts with the stream is no loss. Absent for devices that send neither counters nor timestamps: their loss shows as a low rate",
    on: &[Topic::Device, Topic::Lost, Topic::Hidden],
    read: |event, row| {
        let by = match event.body {
            Body::Device(device) if !device.tells_loss() => return,
            Body::Lost(lost) => lost.packets.into(),
            Body::Hidden(hidden) => hidden.packets as f64,
            _ => 0.0,
        };
        row.add(&[&row.source()], by);
    },
    ..COUNTED
};

static GAPS: Metric = Metric {
    name: "device_gaps",
    help: "Gaps in the packet counter, whatever their length",
    on: &[Topic::Device, Topic::Lost, Topic::Hidden],
    read: |event, row| {
        let gap = match event.body {
            Body::Device(device) if !device.tells_loss() => return,
            Body::Lost(_) => true,
            Body::Hidden(hidden) => hidden.unseen,
            _ => false,
        };
        row.add(&[&row.source()], f64::from(gap));
    },
    ..COUNTED
};

static LOST_SAMPLES: Metric = Metric {
    name: "device_lost_samples",
    help: "Samples lost with lost packets",
    note: "Only for devices whose packets do not hold exactly one sample. Includes received samples that are encoded as differences from a lost one. Counted when samples arrive again; packets lost in a long pause are in `neural_device_lost_packets_total` only",
    on: &[Topic::Device, Topic::LostSamples],
    read: |event, row| {
        let by = match event.body {
            Body::Device(device) if !device.tells_lost_samples() => return,
            Body::LostSamples(lost) => lost.samples,
            _ => 0,
        };
        row.add(&[&row.source()], by.into());
    },
    ..COUNTED
};

static REPEATED: Metric = Metric {
    name: "device_duplicate_packets",
    help: "Packets received twice",
    note: "A packet counts if its number and bytes are those of the packet before; its samples are not counted again",
    on: &[Topic::Device, Topic::Repeated],
    read: |event, row| {
        let by = if let Body::Repeated(repeated) = event.body { repeated.packets } else { 0 };
        row.add(&[&row.source()], by.into());
    },
    ..COUNTED
};

static OUT_OF_ORDER: Metric = Metric {
    name: "device_out_of_order_packets",
    help: "Packets received after a packet that was sent later",
    note: "Their samples are counted. A packet that arrives within eight datagrams is not lost",
    on: &[Topic::Device, Topic::Overtaken],
    read: |event, row| {
        let by = if let Body::Overtaken(overtaken) = event.body { overtaken.packets } else { 0 };
        row.add(&[&row.source()], by.into());
    },
    ..COUNTED
};

static NOMINAL_RATE: Metric = Metric {
    name: "device_nominal_rate",
    help: "Nominal sampling rate of the device",
    unit: Unit::Hertz,
    on: &[Topic::Device],
    read: |event, row| {
        if let Body::Device(device) = event.body {
            row.set(&[&row.source()], device.rate);
        }
    },
    ..ENTRY
};

static CHANNELS: Metric = Metric {
    name: "device_channels",
    help: "Channels of the device",
    on: &[Topic::Device],
    read: |event, row| {
        if let Body::Device(device) = event.body {
            row.set(&[&row.source()], device.channels.into());
        }
    },
    ..ENTRY
};

static RATE: Metric = Metric {
    name: "device_rate",
    help: "Samples received per second over the last 10 seconds",
    unit: Unit::Hertz,
    read: |event, row| {
        if let Some(rate) = flow(event).and_then(|flow| flow.rate) {
            row.set(&[&row.source()], rate);
        }
    },
    ..FLOW
};

static RATE_RATIO: Metric = Metric {
    name: "device_rate",
    help: "Received sampling rate as a share of the nominal rate, over the last 10 seconds",
    unit: Unit::Ratio,
    read: |event, row| {
        if let Some(ratio) = flow(event).and_then(|flow| flow.ratio) {
            row.set(&[&row.source()], ratio);
        }
    },
    ..FLOW
};

static LONGEST_GAP: Metric = Metric {
    name: "device_longest_gap",
    help: "Longest time between two samples in the last minute",
    unit: Unit::Seconds,
    read: |event, row| {
        if let Some(flow) = flow(event) {
            row.set(&[&row.source()], flow.longest_gap);
        }
    },
    ..FLOW
};

static LAST_SAMPLE: Metric = Metric {
    name: "device_last_sample_timestamp",
    help: "Unix time of the last sample",
    unit: Unit::Seconds,
    read: |event, row| {
        if let Some(last) = flow(event).and_then(|flow| flow.last) {
            row.stamp(&[&row.source()], last);
        }
    },
    ..FLOW
};

static STREAMING: Metric = Metric {
    name: "device_streaming",
    prompt: true,
    help: "Whether the device is streaming (1) or silent (0)",
    note: "Streaming: a sample arrived within the last second, or within two sample periods of a slower device",
    read: |event, row| {
        if let Some(flow) = flow(event) {
            row.set(&[&row.source()], f64::from(flow.streaming));
        }
    },
    ..FLOW
};

static STABILITY: Metric = Metric {
    name: "device_availability",
    help: "Share of the last 10 minutes in which the device streamed",
    unit: Unit::Ratio,
    keep: Keep::Always,
    on: &[Topic::Stability],
    read: |event, row| {
        if let Body::Stability(stability) = event.body {
            row.set(&[&row.source()], stability.ratio);
        }
    },
    ..ENTRY
};

static DRIFT: Metric = Metric {
    name: "device_clock_drift",
    help: "Clock drift of the device relative to this machine, positive if the device is fast",
    note: "0.00005 is 50 ppm. Available after two minutes",
    unit: Unit::Ratio,
    read: |event, row| {
        if let Some(drift) = flow(event).and_then(|flow| flow.drift) {
            row.set(&[&row.source()], drift);
        }
    },
    ..FLOW
};

/// What the metrics of reads have in common.
const ARRIVAL: Metric = Metric { kind: Kind::Histogram, keep: Keep::Always, on: &[Topic::Arrivals], ..ENTRY };

fn delays<'a>(event: &Event<'a>) -> &'a [Delay] {
    if let Body::Arrivals(arrivals) = event.body { arrivals.delays } else { &[] }
}

static JITTER: Metric = Metric {
    name: "device_jitter",
    help: "Delay of the newest packet in a read over the fastest delivery seen",
    unit: Unit::Seconds,
    bounds: super::LATENCY,
    judged: &[&limit::DEVICE_JITTER],
    read: |event, row| {
        delays(event).iter().for_each(|delay| row.observe(&[&row.source()], delay.newest, None));
    },
    ..ARRIVAL
};

static LATENCY: Metric = Metric {
    name: "device_latency",
    help: "Delay of the oldest packet in a read over the fastest delivery seen",
    note: "Includes the time it waited for the rest of the read: with an FTDI chip, up to its latency timer",
    unit: Unit::Seconds,
    bounds: super::LATENCY,
    judged: &[&limit::DEVICE_LATENCY],
    read: |event, row| {
        delays(event).iter().for_each(|delay| row.observe(&[&row.source()], delay.oldest, None));
    },
    ..ARRIVAL
};

static BURST: Metric = Metric {
    name: "device_burst_packets",
    help: "Packets received in one read",
    bounds: super::COUNT,
    read: |event, row| {
        delays(event).iter().for_each(|delay| row.observe(&[&row.source()], delay.packets.into(), None));
    },
    ..ARRIVAL
};

static ANSWERS: Metric = Metric {
    name: "device_messages",
    help: "Text messages the device sent instead of frames",
    on: &[Topic::Device, Topic::Answer],
    read: |event, row| {
        let answer = matches!(event.body, Body::Answer(_));
        row.add(&[&row.source()], f64::from(answer));
    },
    ..COUNTED
};

static ANSWER_FAILURES: Metric = Metric {
    name: "device_error_messages",
    help: "Messages in which the device reports a failure",
    note: "Such as those of a dongle whose board is off",
    on: &[Topic::Device, Topic::Answer],
    read: |event, row| {
        let failed = matches!(event.body, Body::Answer(answer) if answer.failed);
        row.add(&[&row.source()], f64::from(failed));
    },
    ..COUNTED
};

static FIRMWARE: Metric = Metric {
    name: "device_firmware",
    help: "Firmware version reported by the device",
    kind: Kind::Info,
    labels: &["device", "version"],
    on: &[Topic::Answer],
    read: |event, row| {
        if let Body::Answer(answer) = event.body
            && let Some(version) = answer.firmware
        {
            row.set(&[&row.source(), version], 1.0);
        }
    },
    ..ENTRY
};

static CONTACT: Metric = Metric {
    name: "device_electrode_contact",
    help: "Whether an electrode has contact according to the device (1) or not (0)",
    note: "`input` is `p` for the positive and `n` for the negative input of the channel",
    labels: &["device", "channel", "input"],
    on: &[Topic::Contact],
    read: |event, row| {
        if let Body::Contact(contact) = event.body {
            let mut digits = itoa::Buffer::new();
            let channel = digits.format(contact.channel);
            row.set(&[&row.source(), channel, contact.input.as_str()], f64::from(contact.on));
        }
    },
    ..ENTRY
};

static IMPEDANCE: Metric = Metric {
    name: "device_electrode_impedance",
    help: "Electrode impedance of a channel",
    note: "For a Ganglion, the number the board sends: its documentation calls it ohms, the OpenBCI GUI shows half of it in kiloohms",
    unit: Unit::Ohms,
    labels: &["device", "channel"],
    on: &[Topic::Impedance],
    read: |event, row| {
        if let Body::Impedance(impedance) = event.body {
            let mut digits = itoa::Buffer::new();
            let channel = match impedance.channel {
                0 => "reference",
                number => digits.format(number),
            };
            row.set(&[&row.source(), channel], impedance.ohms);
        }
    },
    ..ENTRY
};

static BATTERY: Metric = Metric {
    name: "device_battery",
    help: "Battery charge of the device",
    unit: Unit::Ratio,
    on: &[Topic::Vital],
    read: |event, row| {
        if let Body::Vital(Vital::Battery(ratio)) = event.body {
            row.set(&[&row.source()], ratio);
        }
    },
    ..ENTRY
};

static TEMPERATURE: Metric = Metric {
    name: "device_temperature",
    help: "Temperature of the device",
    unit: Unit::Celsius,
    on: &[Topic::Vital],
    read: |event, row| {
        if let Body::Vital(Vital::Temperature(celsius)) = event.body {
            row.set(&[&row.source()], celsius);
        }
    },
    ..ENTRY
};

static POOR_SIGNAL: Metric = Metric {
    name: "device_poor_signal",
    help: "Signal quality reported by the device, from 0 (good) to 1 (not on skin)",
    unit: Unit::Ratio,
    on: &[Topic::Vital],
    read: |event, row| {
        if let Body::Vital(Vital::PoorSignal(ratio)) = event.body {
            row.set(&[&row.source()], ratio);
        }
    },
    ..ENTRY
};
