//! Page: how good is the signal, channel by channel?

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Kind, Quality, Reason, Signal, Topic};

/// How good is the signal, channel by channel?
pub static PAGE: Page = Page {
    id: "signal",
    title: "Signal quality",
    about: "Which electrode is bad, since when and why: each second of each channel is judged beside the decoder, \
            and its score is that of its worst part. A channel is bad below 0.5, which is when a measure is beyond \
            its limit. What says how the signal is now goes when the device falls silent.",
    metrics: &[
        &QUALITY,
        &CALLED,
        &BAD,
        &BAD_SECONDS,
        &RAILED,
        &PEAK,
        &FLAT,
        &OFFSET,
        &OFFSET_COUNTS,
        &RMS,
        &RMS_COUNTS,
        &BAND_RMS,
        &BAND_RMS_COUNTS,
        &HUM,
        &HUM_DECIBELS,
        &NOISE,
        &CORRELATION,
        &KURTOSIS,
        &ARTEFACTS,
        &DROPOUTS,
        &DEVICE_QUALITY,
        &BAD_CHANNELS,
        &JUDGED,
        &MAINS,
        &BAD_CHANNEL_SECONDS,
    ],
};

/// What the gauges of channels have in common.
const CHANNEL: Metric = Metric {
    labels: &["device", "channel"],
    keep: Keep::WhileStreaming,
    on: &[Topic::Quality],
    ..Metric::BLANK
};

/// What their counters have in common.
const COUNTED: Metric = Metric { kind: Kind::Counter, keep: Keep::Always, ..CHANNEL };

/// What the gauges of devices have in common.
const DEVICE: Metric =
    Metric { labels: &["device"], keep: Keep::WhileStreaming, on: &[Topic::Signal], ..Metric::BLANK };

/// Calls with what was judged and the value of its `channel` label.
fn quality(event: &Event<'_>, with: impl FnOnce(&Quality, &str)) {
    if let Body::Quality(quality) = event.body {
        with(quality, itoa::Buffer::new().format(quality.channel));
    }
}

fn gauge(event: &Event<'_>, row: &mut dyn Row, number: fn(&Quality) -> Option<f64>) {
    quality(event, |quality, channel| {
        if let Some(number) = number(quality) {
            row.set(&[&row.source(), channel], number);
        }
    });
}

fn count(event: &Event<'_>, row: &mut dyn Row, number: fn(&Quality) -> u32) {
    quality(event, |quality, channel| row.add(&[&row.source(), channel], number(quality).into()));
}

fn signal<'e>(event: &Event<'e>) -> Option<&'e Signal> {
    if let Body::Signal(signal) = event.body { Some(signal) } else { None }
}

fn of_device(event: &Event<'_>, row: &mut dyn Row, number: fn(&Signal) -> Option<f64>) {
    if let Some(number) = signal(event).and_then(number) {
        row.set(&[&row.source()], number);
    }
}

static QUALITY: Metric = Metric {
    name: "channel_quality",
    help: "Score of a channel, the least of its parts: 1.5 less a measure over its limit, from 0 to 1; below 0.5 the channel is bad",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| Some(quality.score)),
    ..CHANNEL
};

static CALLED: Metric = Metric {
    name: "channel",
    help: "What a channel is called on dashboards: its number, with leading zeros so that lists are in the order of the device, and the name of its electrode where the setting names or the stream gives one",
    kind: Kind::Info,
    labels: &["device", "channel", "called"],
    read: |event, row| {
        quality(event, |quality, channel| row.set(&[&row.source(), channel, &quality.called], 1.0));
    },
    ..CHANNEL
};

static BAD: Metric = Metric {
    name: "channel_bad",
    help: "Whether a channel is bad for this reason: 1 if so, 0 if it was and is no more; there is none that it never had",
    labels: &["device", "channel", "reason"],
    read: |event, row| {
        quality(event, |quality, channel| {
            for reason in Reason::ALL.iter().filter(|reason| quality.ever.contains(**reason)) {
                let bad = f64::from(quality.bad.contains(*reason));
                row.set(&[&row.source(), channel, reason.as_str()], bad);
            }
        });
    },
    ..CHANNEL
};

static BAD_SECONDS: Metric = Metric {
    name: "channel_bad",
    help: "Seconds of signal that a channel was bad, for whatever reason",
    unit: Unit::Seconds,
    read: |event, row| count(event, row, |quality| quality.bad_seconds),
    ..COUNTED
};

static RAILED: Metric = Metric {
    name: "channel_railed",
    help: "Share of the samples of the last second at a rail of the converter",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| quality.railed),
    ..CHANNEL
};

static PEAK: Metric = Metric {
    name: "channel_peak",
    help: "Largest distance of a sample from the middle of the range in the last three seconds, as a share of half the range",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| quality.peak),
    ..CHANNEL
};

static FLAT: Metric = Metric {
    name: "channel_flat",
    help: "Share of the tenths of the last second in which no sample differed from the one before",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| Some(quality.flat)),
    ..CHANNEL
};

static OFFSET: Metric = Metric {
    name: "channel_offset",
    help: "Mean of the last second",
    unit: Unit::Volts,
    read: |event, row| gauge(event, row, |quality| quality.volts.then_some(quality.offset)),
    ..CHANNEL
};

static OFFSET_COUNTS: Metric = Metric {
    name: "channel_offset_counts",
    help: "Mean of the last second, in counts of the converter of a device whose gain is not known",
    read: |event, row| gauge(event, row, |quality| (!quality.volts).then_some(quality.offset)),
    ..CHANNEL
};

static RMS: Metric = Metric {
    name: "channel_rms",
    help: "Root mean square of the last second about its mean, which is its standard deviation",
    unit: Unit::Volts,
    read: |event, row| gauge(event, row, |quality| quality.volts.then_some(quality.rms)),
    ..CHANNEL
};

static RMS_COUNTS: Metric = Metric {
    name: "channel_rms_counts",
    help: "Root mean square of the last second about its mean, which is its standard deviation, in counts of the converter of a device whose gain is not known",
    read: |event, row| gauge(event, row, |quality| (!quality.volts).then_some(quality.rms)),
    ..CHANNEL
};

static BAND_RMS: Metric = Metric {
    name: "channel_band_rms",
    help: "Root mean square of the last two seconds in the band of frequencies that is set, 1 to 45 Hz if none is",
    unit: Unit::Volts,
    read: |event, row| gauge(event, row, |quality| quality.band_rms.filter(|_| quality.volts)),
    ..CHANNEL
};

static BAND_RMS_COUNTS: Metric = Metric {
    name: "channel_band_rms_counts",
    help: "Root mean square of the last two seconds in the band of frequencies that is set, 1 to 45 Hz if none is, in counts of the converter of a device whose gain is not known",
    read: |event, row| gauge(event, row, |quality| quality.band_rms.filter(|_| !quality.volts)),
    ..CHANNEL
};

static HUM: Metric = Metric {
    name: "channel_hum",
    help: "Power of the mains hum as a share of its own and that of the band",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| quality.hum.map(|hum| hum.ratio)),
    ..CHANNEL
};

static HUM_DECIBELS: Metric = Metric {
    name: "channel_hum_decibels",
    help: "Peak of the mains hum over the median of the spectrum within 10 Hz of it, decibels",
    read: |event, row| gauge(event, row, |quality| quality.hum.map(|hum| hum.decibels)),
    ..CHANNEL
};

static NOISE: Metric = Metric {
    name: "channel_noise",
    help: "Power above the band, from the median of its spectrum, as a share of that and the power of the band",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| quality.noise),
    ..CHANNEL
};

static CORRELATION: Metric = Metric {
    name: "channel_correlation",
    help: "Likeness to the other channels in the band: 98th percentile of the correlations without their sign; beyond 64 channels with the eight neighbours on each side",
    read: |event, row| gauge(event, row, |quality| quality.correlation),
    ..CHANNEL
};

static KURTOSIS: Metric = Metric {
    name: "channel_kurtosis",
    help: "Excess kurtosis of the last two seconds: 0 of a normal distribution, above it for rare large values",
    read: |event, row| gauge(event, row, |quality| Some(quality.kurtosis)),
    ..CHANNEL
};

static ARTEFACTS: Metric = Metric {
    name: "channel_artefacts",
    help: "Times that a tenth of a second became more than four times as high as before, as in a blink or a step",
    read: |event, row| count(event, row, |quality| quality.artefacts),
    ..COUNTED
};

static DROPOUTS: Metric = Metric {
    name: "channel_dropouts",
    help: "Times that a channel stopped changing for a tenth of a second or longer",
    read: |event, row| count(event, row, |quality| quality.dropouts),
    ..COUNTED
};

static DEVICE_QUALITY: Metric = Metric {
    name: "device_quality",
    help: "Mean of the scores of a device's channels",
    unit: Unit::Ratio,
    read: |event, row| of_device(event, row, |signal| Some(signal.score)),
    ..DEVICE
};

static BAD_CHANNELS: Metric = Metric {
    name: "device_bad_channels",
    help: "Channels of a device that are bad",
    read: |event, row| of_device(event, row, |signal| Some(f64::from(signal.bad))),
    ..DEVICE
};

static JUDGED: Metric = Metric {
    name: "device_judged",
    help: "Seconds of a device's signal that were judged, each of all its channels: what bad seconds are a share of",
    kind: Kind::Counter,
    unit: Unit::Seconds,
    keep: Keep::Always,
    read: |event, row| {
        if let Some(signal) = signal(event) {
            row.add(&[&row.source()], signal.seconds.into());
        }
    },
    ..DEVICE
};

static MAINS: Metric = Metric {
    name: "device_mains",
    help: "Frequency that is taken for that of the mains, where it is not set the one that stands out more",
    unit: Unit::Hertz,
    read: |event, row| of_device(event, row, |signal| signal.mains),
    ..DEVICE
};

static BAD_CHANNEL_SECONDS: Metric = Metric {
    name: "device_bad_channel",
    help: "Seconds that channels of a device were bad, added up over them, by reason; some have more than one",
    kind: Kind::Counter,
    unit: Unit::Seconds,
    labels: &["device", "reason"],
    keep: Keep::Always,
    read: |event, row| {
        for (reason, seconds) in Reason::ALL.iter().zip(signal(event).into_iter().flat_map(|s| s.bad_seconds))
        {
            row.add(&[&row.source(), reason.as_str()], seconds.into());
        }
    },
    ..DEVICE
};
