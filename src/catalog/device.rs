//! Page: does each acquisition device stream, at its rate and without holes?

use super::{Keep, Metric, Page, Unit, limit};
use crate::event::{Body, Delay, Event, Flow, Kind, Topic, Vital};

/// Does each acquisition device stream, at its rate and without holes?
pub static PAGE: Page = Page {
    id: "device",
    title: "Acquisition devices",
    about: "Whether the signal is whole: samples, what is missing between them by counter and by time, rate, \
            silence, and what a device says of itself. A rate that is low without loss is not loss, and \
            silence is a state of its own.",
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
    help: "The protocol that a device speaks",
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
    help: "Samples that came, each with all its channels",
    on: &[Topic::Device, Topic::Samples],
    read: |event, row| {
        let by = if let Body::Samples(samples) = &event.body { samples.count() } else { 0 };
        row.add(&[&row.source()], by as f64);
    },
    ..COUNTED
};

static FRAMES: Metric = Metric {
    name: "device_frames",
    help: "Frames that were understood",
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
    help: "Packets that are missing, by the device's counter and, where it hides some, by time: a pause in which the \
           counter may have gone round, held against the rate that was measured before or after it and never against \
           the nominal one; a counter that begins again after a start is no loss. Absent where the device tells \
           neither numbers nor times: its loss is seen as a low rate",
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
    help: "Times that packets are missing, however many",
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
    help: "Samples that are missing because packets are, where packets are not one sample each: those that the missing \
           packets held, and those of packets that came and hold only differences from them, up to the next whole one; \
           counted when samples come again. Those that a pause hid are among the lost packets alone",
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
    help: "Packets that came once more, with the number and the bytes of the packet before; their samples are not counted again",
    on: &[Topic::Device, Topic::Repeated],
    read: |event, row| {
        let by = if let Body::Repeated(repeated) = event.body { repeated.packets } else { 0 };
        row.add(&[&row.source()], by.into());
    },
    ..COUNTED
};

static OUT_OF_ORDER: Metric = Metric {
    name: "device_out_of_order_packets",
    help: "Packets that came after packets that were sent later, as datagrams do that overtake each other: they are \
           counted with the others, and what comes within eight datagrams is not lost",
    on: &[Topic::Device, Topic::Overtaken],
    read: |event, row| {
        let by = if let Body::Overtaken(overtaken) = event.body { overtaken.packets } else { 0 };
        row.add(&[&row.source()], by.into());
    },
    ..COUNTED
};

static NOMINAL_RATE: Metric = Metric {
    name: "device_nominal_rate",
    help: "Samples that the device should bring in a second",
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
    help: "Channels of one sample",
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
    help: "Samples a second over the last ten seconds",
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
    help: "Samples a second over the last ten seconds, as a share of the nominal rate",
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
    help: "Longest time without a sample within the last minute",
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
    help: "When the last sample came, seconds since the epoch",
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
    help: "Whether a sample came within the last second, or two periods of a slower device: 1 if so, 0 if it is silent",
    read: |event, row| {
        if let Some(flow) = flow(event) {
            row.set(&[&row.source()], f64::from(flow.streaming));
        }
    },
    ..FLOW
};

static STABILITY: Metric = Metric {
    name: "device_stability",
    help: "For how much of the last ten minutes the device streamed, unplugged or not",
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
    help: "How much faster than it should the device runs, by this machine's clock: 0.00005 are 50 ppm; told \
           after two minutes",
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
    help: "How much later than on its quickest way the newest packet of a read came",
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
    help: "How much later than on its quickest way the oldest packet of a read came, which waited for the \
           others: with an FTDI chip, as long as its latency timer",
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
    help: "Packets that came in one read",
    bounds: super::COUNT,
    read: |event, row| {
        delays(event).iter().for_each(|delay| row.observe(&[&row.source()], delay.packets.into(), None));
    },
    ..ARRIVAL
};

static ANSWERS: Metric = Metric {
    name: "device_answers",
    help: "Texts and messages that the device wrote in place of frames",
    on: &[Topic::Device, Topic::Answer],
    read: |event, row| {
        let answer = matches!(event.body, Body::Answer(_));
        row.add(&[&row.source()], f64::from(answer));
    },
    ..COUNTED
};

static ANSWER_FAILURES: Metric = Metric {
    name: "device_answer_failures",
    help: "Texts and messages of the device that say that something failed, as a dongle does whose board is off",
    on: &[Topic::Device, Topic::Answer],
    read: |event, row| {
        let failed = matches!(event.body, Body::Answer(answer) if answer.failed);
        row.add(&[&row.source()], f64::from(failed));
    },
    ..COUNTED
};

static FIRMWARE: Metric = Metric {
    name: "device_firmware",
    help: "The version of its firmware that a device told",
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
    name: "device_contact",
    help: "Whether an electrode touches, as the device itself measures it: 1 if so, 0 if it is off",
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
    name: "device_impedance",
    help: "Impedance of an electrode; of a Ganglion the number that the board tells, which its documentation calls ohms and the maker's program shows halved as kiloohms",
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
    help: "Charge of the device's battery",
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
    help: "Temperature of the device, of boards that tell it",
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
    help: "How poor the device itself finds its signal: 0 good, 1 not on skin",
    unit: Unit::Ratio,
    on: &[Topic::Vital],
    read: |event, row| {
        if let Body::Vital(Vital::PoorSignal(ratio)) = event.body {
            row.set(&[&row.source()], ratio);
        }
    },
    ..ENTRY
};
