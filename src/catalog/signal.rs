//! Page: how good is the signal, channel by channel?

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Kind, Quality, Reason, Signal, Topic};

/// How good is the signal, channel by channel?
pub static PAGE: Page = Page {
    id: "signal",
    title: "Signal quality",
    about: "Which electrodes are bad, since when and why. Each second of each channel is assessed beside the decoder, and its score is that of its worst measure. A channel is bad below 0.5, where a measure exceeds its limit. The gauges disappear when the device falls silent.",
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
    help: "Quality score of a channel, from 0 to 1, bad below 0.5",
    note: "The lowest of its parts, each 1.5 less the measure divided by its limit",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| Some(quality.score)),
    ..CHANNEL
};

static CALLED: Metric = Metric {
    name: "channel",
    help: "Number and electrode name of a channel, as shown on dashboards",
    note: "`channel_name` has leading zeros, so that lists sort in the order of the device, and the electrode name if the setting `names` or the stream has one",
    kind: Kind::Info,
    labels: &["device", "channel", "channel_name"],
    read: |event, row| {
        quality(event, |quality, channel| row.set(&[&row.source(), channel, &quality.channel_name], 1.0));
    },
    ..CHANNEL
};

static BAD: Metric = Metric {
    name: "channel_bad",
    help: "Whether a channel is bad for this reason (1) or no longer (0)",
    note: "Absent for reasons that never applied",
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
    help: "Seconds of signal in which the channel was bad",
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
    help: "Largest excursion from mid-range in the last three seconds, as a share of half the range",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| quality.peak),
    ..CHANNEL
};

static FLAT: Metric = Metric {
    name: "channel_flat",
    help: "Share of the last second in which the signal did not change",
    note: "Counted in tenths of a second",
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
    help: "Mean of the last second in converter counts",
    note: "For devices whose gain is unknown",
    read: |event, row| gauge(event, row, |quality| (!quality.volts).then_some(quality.offset)),
    ..CHANNEL
};

static RMS: Metric = Metric {
    name: "channel_rms",
    help: "Standard deviation of the last second",
    unit: Unit::Volts,
    read: |event, row| gauge(event, row, |quality| quality.volts.then_some(quality.rms)),
    ..CHANNEL
};

static RMS_COUNTS: Metric = Metric {
    name: "channel_rms_counts",
    help: "Standard deviation of the last second in converter counts",
    note: "For devices whose gain is unknown",
    read: |event, row| gauge(event, row, |quality| (!quality.volts).then_some(quality.rms)),
    ..CHANNEL
};

static BAND_RMS: Metric = Metric {
    name: "channel_band_rms",
    help: "RMS of the last two seconds in the configured band",
    note: "1 to 45 Hz unless configured otherwise",
    unit: Unit::Volts,
    read: |event, row| gauge(event, row, |quality| quality.band_rms.filter(|_| quality.volts)),
    ..CHANNEL
};

static BAND_RMS_COUNTS: Metric = Metric {
    name: "channel_band_rms_counts",
    help: "RMS of the last two seconds in the configured band, in converter counts",
    note: "For devices whose gain is unknown",
    read: |event, row| gauge(event, row, |quality| quality.band_rms.filter(|_| !quality.volts)),
    ..CHANNEL
};

static HUM: Metric = Metric {
    name: "channel_hum",
    help: "Power of the mains hum as a share of the hum and the band",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| quality.hum.map(|hum| hum.ratio)),
    ..CHANNEL
};

static HUM_DECIBELS: Metric = Metric {
    name: "channel_hum_decibels",
    help: "Mains peak over the median of the spectrum within 10 Hz, in decibels",
    read: |event, row| gauge(event, row, |quality| quality.hum.map(|hum| hum.decibels)),
    ..CHANNEL
};

static NOISE: Metric = Metric {
    name: "channel_noise",
    help: "Noise power above the band as a share of the noise and the band",
    note: "Estimated from the median of the spectrum above the band",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |quality| quality.noise),
    ..CHANNEL
};

static CORRELATION: Metric = Metric {
    name: "channel_correlation",
    help: "98th percentile of the absolute correlations with the other channels, in the band",
    note: "With more than 64 channels, of the eight neighbours on each side",
    read: |event, row| gauge(event, row, |quality| quality.correlation),
    ..CHANNEL
};

static KURTOSIS: Metric = Metric {
    name: "channel_kurtosis",
    help: "Excess kurtosis of the last two seconds",
    note: "0 for a normal distribution, positive for rare large values",
    read: |event, row| gauge(event, row, |quality| Some(quality.kurtosis)),
    ..CHANNEL
};

static ARTEFACTS: Metric = Metric {
    name: "channel_artefacts",
    help: "Sudden rises of the amplitude to more than four times, as in a blink or a step",
    note: "Compared from one tenth of a second to the next",
    read: |event, row| count(event, row, |quality| quality.artefacts),
    ..COUNTED
};

static DROPOUTS: Metric = Metric {
    name: "channel_dropouts",
    help: "Times the channel stopped changing for a tenth of a second or longer",
    read: |event, row| count(event, row, |quality| quality.dropouts),
    ..COUNTED
};

static DEVICE_QUALITY: Metric = Metric {
    name: "device_quality",
    help: "Mean quality score of the device's channels",
    unit: Unit::Ratio,
    read: |event, row| of_device(event, row, |signal| Some(signal.score)),
    ..DEVICE
};

static BAD_CHANNELS: Metric = Metric {
    name: "device_bad_channels",
    help: "Bad channels of the device",
    read: |event, row| of_device(event, row, |signal| Some(f64::from(signal.bad))),
    ..DEVICE
};

static JUDGED: Metric = Metric {
    name: "device_assessed",
    help: "Seconds of the device's signal that were assessed",
    note: "Bad seconds are a share of these",
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
    help: "Mains frequency used to measure hum",
    note: "Detected if it is not configured",
    unit: Unit::Hertz,
    read: |event, row| of_device(event, row, |signal| signal.mains),
    ..DEVICE
};

static BAD_CHANNEL_SECONDS: Metric = Metric {
    name: "device_bad_channel",
    help: "Bad seconds summed over the device's channels, by reason",
    note: "A second can be bad for several reasons",
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
