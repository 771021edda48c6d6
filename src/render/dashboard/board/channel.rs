//! Channels: is each worth recording, and if not, why?

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use crate::catalog::draw::{Mood, Panel, state};
use crate::catalog::limit::{
    CHANNEL_BAD, CHANNEL_QUALITY, CHANNEL_QUALITY_GOOD, DEVICE_IMPEDANCE, DEVICE_IMPEDANCE_FAIR,
    DEVICE_IMPEDANCE_GOOD, DEVICE_QUALITY, DEVICE_QUALITY_CRITICAL,
};

pub(super) static BOARD: Board = Board {
    key: "channels",
    title: "Channel quality",
    about: "Which electrode is bad, since when and why?",
    pages: &["signal"],
    by_machine: true,
    variables: &[("device", "Device"), ("channel", "Channel")],
    range: "now-30m",
    refresh: "10s",
    rows: &[
        open("Now", &[
            stat("Signal quality", "percentunit", "Mean of the scores of all channels of the devices that are chosen.", &[q(
                "avg(neural_device_quality_ratio)",
                "",
            )])
            .limits(&[&DEVICE_QUALITY, &DEVICE_QUALITY_CRITICAL])
            .empty("no signal"),
            stat("Worst channel", "percentunit", "The lowest score of a channel. Look at it first: the panels below say why it is bad.", &[q(
                "min(neural_channel_quality_ratio)",
                "",
            )])
            .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY])
            .empty("no signal"),
            stat("Bad channels", "none", "Channels that are bad now. Seat their electrodes anew, or leave them out.", &[q(
                "sum(neural_device_bad_channels)",
                "",
            )])
            .zero_wanted()
            .empty("no signal"),
            stat("Channels judged", "none", "Channels of devices that stream now.", &[q("count(neural_channel_quality_ratio)", "")])
                .zero_missing()
                .empty("no signal"),
            stat("Mains", "rothz", "The frequency that is taken for that of the mains.", &[q("max(neural_device_mains_hertz)", "")])
                .empty("not seen"),
        ]),
        open("Every channel", &[
            view(Panel::Cells, "Quality of channels", "percentunit", "The score of each channel, second by second; red is bad. A row is an electrode, a column that changes everywhere is the reference, the ground or the person moving.", &[q(
                "min by (instance, device, channel) (neural_channel_quality_ratio)",
                "{{device}} {{channel}}",
            )])
            .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY])
            .whole()
            .empty("no signal"),
            view(Panel::States, "Why channels are bad", "none", "When each channel was bad, and for which reason. Railed or flat: the electrode is off or the cable broken. Hum: bad contact, or a power supply near it. Noise: muscles, or a dry electrode.", &[q(
                "max by (instance, device, channel, reason) (neural_channel_bad) == 1",
                "{{device}} {{channel}} {{reason}}",
            )])
            .states(&[state(1.0, "bad", Mood::Bad)])
            .empty("no channel is bad"),
        ]),
        open("Devices", &[
            lines("Signal quality of devices", "percentunit", "Mean of the scores of a device's channels.", &[q(
                "min by (instance, device) (neural_device_quality_ratio)",
                "{{device}}",
            )])
            .limits(&[&DEVICE_QUALITY, &DEVICE_QUALITY_CRITICAL])
            .whole()
            .beside(2)
            .empty("no signal"),
            view(Panel::Stack, "Bad channels, by reason", "none", "How many channels are bad at a time, by reason; one that has two reasons counts twice.", &[q(
                "sum by (instance, device, reason) (rate(neural_device_bad_channel_seconds_total[$__rate_interval])) > 0",
                "{{device}} {{reason}}",
            )])
            .beside(2)
            .empty("no channel is bad"),
            view(Panel::Bars, "Bad for longest", "percentunit", "The ten channels that were bad for the largest part of the last hour.", &[q(
                "topk(10, sum by (instance, device, channel) (rate(neural_channel_bad_seconds_total[1h])))",
                "{{device}} {{channel}}",
            )])
            .limits(&[&CHANNEL_BAD])
            .beside(1)
            .whole()
            .empty("no signal"),
        ]),
        open("Measures now", &[
            view(Panel::Table, "Channels", "short", "Every channel with what was measured in the last seconds. Sort by a column to find the odd one.", &[
                column("min by (instance, device, channel) (neural_channel_quality_ratio)", "Quality", "percentunit")
                    .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY]),
                column("max by (instance, device, channel) (neural_channel_railed_ratio)", "Railed", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_flat_ratio)", "Flat", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_hum_ratio)", "Hum", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_noise_ratio)", "Noise", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_band_rms_volts)", "RMS in band", "volt"),
                column("max by (instance, device, channel) (neural_channel_offset_volts)", "Offset", "volt"),
                column("max by (instance, device, channel) (neural_channel_correlation)", "Correlation", "short"),
            ])
            .empty("no signal"),
        ]),
        closed("More measures", &[
            view(Panel::Table, "Spectrum and spikes", "short", "Measures of each channel that have no limit of their own. Sort by a column to find the channel that leaves the others.", &[
                column("sum by (instance, device, channel) (increase(neural_channel_artefacts_total[1h]))", "Artefacts, 1 h", "none"),
                column("sum by (instance, device, channel) (increase(neural_channel_dropouts_total[1h]))", "Dropouts, 1 h", "none"),
                column("max by (instance, device, channel) (neural_channel_hum_decibels)", "Hum, dB", "none"),
                column("max by (instance, device, channel) (neural_channel_peak_ratio)", "Peak, of half range", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_rms_volts)", "RMS", "volt"),
                column("max by (instance, device, channel) (neural_channel_kurtosis)", "Kurtosis", "none"),
            ])
            .empty("no signal"),
            view(Panel::Table, "In counts", "short", "The same of devices whose gain is not known, in counts of the converter.", &[
                column("max by (instance, device, channel) (neural_channel_band_rms_counts)", "RMS in band", "short"),
                column("max by (instance, device, channel) (neural_channel_rms_counts)", "RMS", "short"),
                column("max by (instance, device, channel) (neural_channel_offset_counts)", "Offset", "short"),
            ])
            .empty("all gains are known"),
        ]),
        closed("Electrode impedance", &[
            view(Panel::Bars, "Impedance now", "ohm", "Impedance of each electrode as it was measured last, the worst first. Up to 5 kΩ is good for gel, up to 20 kΩ for most recordings; beyond 100 kΩ the electrode is off.", &[q(
                "sort_desc(max by (instance, device, channel) (neural_device_impedance_ohms))",
                "{{device}} {{channel}}",
            )])
            .limits(&[&DEVICE_IMPEDANCE_GOOD, &DEVICE_IMPEDANCE_FAIR, &DEVICE_IMPEDANCE])
            .beside(1)
            .empty("not measured"),
        ]),
    ],
};
