//! Channels: is each worth recording, and if not, why?

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use super::SAID;
use crate::catalog::draw::{Panel, Rating, State, state};
use crate::catalog::limit::{
    CHANNEL_BAD, CHANNEL_BAD_FAIR, CHANNEL_QUALITY, CHANNEL_QUALITY_GOOD, DEVICE_IMPEDANCE,
    DEVICE_IMPEDANCE_FAIR, DEVICE_IMPEDANCE_GOOD, DEVICE_QUALITY, DEVICE_QUALITY_CRITICAL,
};

/// The reason for which a channel is bad, as one of the numbers of `REASONS`; of several the one to begin with. One that
/// was there within the chosen time and is not now has no signal.
const WHY: &str = "max by (instance, device, channel) (\n  (neural_channel_bad{reason=\"contact\"} == 1) * 8\n  or (neural_channel_bad{reason=\"railed\"} == 1) * 7\n  or (neural_channel_bad{reason=\"flat\"} == 1) * 6\n  or (neural_channel_bad{reason=\"quiet\"} == 1) * 5\n  or (neural_channel_bad{reason=\"loud\"} == 1) * 4\n  or (neural_channel_bad{reason=\"hum\"} == 1) * 3\n  or (neural_channel_bad{reason=\"noise\"} == 1) * 2\n  or (neural_channel_bad{reason=\"correlation\"} == 1) * 1\n  or (last_over_time(neural_channel_info[$__range]) unless on (job, instance, device, channel) neural_channel_quality_ratio) * 9\n)";

const REASONS: &[State] = &[
    state(9.0, "no signal", Rating::Bad),
    state(8.0, "no contact", Rating::Bad),
    state(7.0, "railed", Rating::Bad),
    state(6.0, "flat", Rating::Bad),
    state(5.0, "too quiet", Rating::Bad),
    state(4.0, "too loud", Rating::Bad),
    state(3.0, "mains hum", Rating::Bad),
    state(2.0, "noise", Rating::Bad),
    state(1.0, "uncorrelated", Rating::Bad),
];

/// The share of its judged time for which each channel was bad, within the chosen time.
macro_rules! bad {
    () => {
        "sum by (job, instance, device, channel) (increase(neural_channel_bad_seconds_total[$__range]))\n/ on (job, instance, device) group_left ()\n(sum by (job, instance, device) (increase(neural_device_assessed_seconds_total[$__range])) > 0)"
    };
}

pub(super) static BOARD: Board = Board {
    key: "channels",
    title: "Channel quality",
    about: "Which electrodes are bad, since when and why.",
    pages: &["signal"],
    by_machine: true,
    variables: &[("device", "Device"), ("channel", "Channel")],
    range: "now-30m",
    refresh: "10s",
    rows: &[
        open("Now", &[
            stat("Bad channels", "none", "Channels that are bad now, of all that are assessed; coloured by the worst. Reseat their electrodes, or exclude them.", &[q(
                bad_channels!(),
                SAID,
            )])
            .words()
            .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY])
            .empty("no signal"),
            stat("Lowest signal quality", "percentunit", "The lowest of the mean scores of the selected devices. Two dead electrodes of eight hardly change it: see the worst channel.", &[q(
                "min(neural_device_quality_ratio)",
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
            stat("Channels assessed", "none", "Channels of devices that stream now.", &[q("count(neural_channel_quality_ratio)", "")])
                .zero_missing()
                .empty("no signal"),
            stat("Mains", "rothz", "Mains frequency used to measure hum.", &[q("max(neural_device_mains_hertz)", "")])
                .empty("not seen"),
        ]),
        open("$device", &[
            view(Panel::Cells, "Quality of channels", "percentunit", "The score of each channel over time; red is bad. A bad row is an electrode, a bad column is the reference, the ground or movement.", &[q(
                ordered!(concat!("min by (instance, device, channel, channel_name) (", named!("neural_channel_quality_ratio"), ")")),
                "{{channel_name}}",
            )])
            .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY])
            .whole()
            .beside(2)
            .empty("no signal"),
            view(Panel::States, "Why channels are bad", "none", "When each channel was bad, and for which reason. Railed or flat: the electrode is off or the cable broken. Hum: bad contact, or a power supply near it. Noise: muscles, or a dry electrode.", &[q(
                ordered!(concat!("max by (instance, device, channel, channel_name, reason) (", named!("neural_channel_bad == 1"), ")")),
                "{{channel_name}} {{reason}}",
            )])
            .states(&[state(1.0, "bad", Rating::Bad)])
            .beside(2)
            .empty("no channel is bad")
            .judged("neural_channel_quality_ratio", "no signal"),
            view(Panel::Table, "Channels", "short", "Every channel with the measurements of the last seconds, the worst first; those of a device that is gone have no signal. Its name links to its history.", &[
                column(concat!(
                    "min by (instance, device, channel, channel_name) (", named!("neural_channel_quality_ratio"),
                    ")\nor NaN * max by (instance, device, channel, channel_name) (last_over_time(neural_channel_info[$__range]) unless on (job, instance, device, channel) neural_channel_quality_ratio)"
                ), "Quality", "percentunit")
                    .limits(&[&CHANNEL_QUALITY_GOOD, &CHANNEL_QUALITY]),
                column(WHY, "Why", "none").states(REASONS),
                column("max by (instance, device, channel) (neural_device_electrode_impedance_ohms)", "Impedance", "ohm")
                    .limits(&[&DEVICE_IMPEDANCE_GOOD, &DEVICE_IMPEDANCE_FAIR, &DEVICE_IMPEDANCE]),
                column("sum by (instance, device, channel) (increase(neural_channel_bad_seconds_total[$__range]))", "Bad for", "s"),
                column("max by (instance, device, channel) (neural_channel_railed_ratio)", "Railed", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_flat_ratio)", "Flat", "percentunit"),
                column("round(max by (instance, device, channel) (neural_channel_hum_ratio), 1e-5)", "Hum", "percentunit"),
                column("round(max by (instance, device, channel) (neural_channel_noise_ratio), 1e-5)", "Noise", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_band_rms_volts)", "Band RMS", "volt"),
            ])
            // On a phone three columns are seen: the number and name, how good it is, and why.
            .first(&["channel_name", "Value #A", "Value #B"])
            .sorted(&[("Quality", false), ("Name", false)])
            .empty("no signal"),
        ])
        .each("device"),
        open("Over the selected time", &[
            view(Panel::Bars, "Bad for longest", "percentunit", "The ten channels with the largest share of bad time in the selected range. Time without a signal does not count.", &[q(
                concat!("topk(10, ", named!(bad!(), "last_over_time(neural_channel_info[$__range])"), ")"),
                "{{device}} {{channel_name}}",
            )])
            .limits(&[&CHANNEL_BAD_FAIR, &CHANNEL_BAD])
            .beside(2)
            .whole()
            .empty("no signal"),
            view(Panel::Bars, "Bad minutes", "s", "How long the ten worst channels were bad in the selected time.", &[q(
                concat!(
                    "topk(10, ",
                    named!(
                        "sum by (job, instance, device, channel) (increase(neural_channel_bad_seconds_total[$__range]))",
                        "last_over_time(neural_channel_info[$__range])"
                    ),
                    ")"
                ),
                "{{device}} {{channel_name}}",
            )])
            .beside(2)
            .empty("no signal"),
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
            view(Panel::Stack, "Bad channels, by reason", "none", "Bad channels of the selected devices, by reason; one with two reasons counts twice.", &[q(
                "sum by (reason) (rate(neural_device_bad_channel_seconds_total[$__rate_interval])) > 0",
                "{{reason}}",
            )])
            .beside(2)
            // Nor where there is no signal to judge.
            .empty("none is known to be bad"),
        ]),
        closed("More measures", &[
            view(Panel::Table, "Spectrum and spikes", "short", "Measures of each channel without a limit. Artefacts and dropouts are those of the last hour; the range used is the peak as a share of half the input range. Sort by a column to find outliers.", &[
                column(concat!("sum by (instance, device, channel, channel_name) (", named!("round(increase(neural_channel_artefacts_total[1h]))"), ")"), "Artefacts", "none"),
                column("round(sum by (instance, device, channel) (increase(neural_channel_dropouts_total[1h])))", "Dropouts", "none"),
                column("max by (instance, device, channel) (neural_channel_hum_decibels)", "Hum, dB", "none"),
                column("round(max by (instance, device, channel) (neural_channel_peak_ratio), 1e-5)", "Range used", "percentunit"),
                column("max by (instance, device, channel) (neural_channel_rms_volts)", "RMS", "volt"),
                column("max by (instance, device, channel) (neural_channel_offset_volts)", "Offset", "volt"),
                column("max by (instance, device, channel) (neural_channel_correlation)", "Correlation", "short"),
                column("max by (instance, device, channel) (neural_channel_kurtosis)", "Kurtosis", "none"),
            ])
            .first(&["device", "channel_name"])
            .sorted(&[("Device", false), ("Name", false)])
            .empty("no signal"),
            view(Panel::Table, "In counts", "short", "The same for devices of unknown gain, in converter counts.", &[
                column(concat!("max by (instance, device, channel, channel_name) (", named!("neural_channel_band_rms_counts"), ")"), "RMS in band", "short"),
                column("max by (instance, device, channel) (neural_channel_rms_counts)", "RMS", "short"),
                column("max by (instance, device, channel) (neural_channel_offset_counts)", "Offset", "short"),
            ])
            .first(&["device", "channel_name"])
            .sorted(&[("Device", false), ("Name", false)])
            .empty("all gains are known"),
        ]),
        closed("Electrode impedance", &[
            view(Panel::Bars, "Impedance now", "ohm", "Last measured impedance of each electrode, the worst first. Up to 5 kΩ is good for gel, up to 20 kΩ for most recordings; beyond 100 kΩ the electrode is off.", &[q(
                // Measured before a stream, when its channels may not have names yet.
                concat!(
                    "sort_desc(max by (instance, device, channel, channel_name) (", named!("neural_device_electrode_impedance_ohms"),
                    "\nor label_replace(neural_device_electrode_impedance_ohms unless on (job, instance, device, channel) neural_channel_info, \"channel_name\", \"$1\", \"channel\", \"(.*)\")))"
                ),
                "{{device}} {{channel_name}}",
            )])
            .limits(&[&DEVICE_IMPEDANCE_GOOD, &DEVICE_IMPEDANCE_FAIR, &DEVICE_IMPEDANCE])
            .beside(1)
            .empty("not measured"),
        ]),
    ],
};
