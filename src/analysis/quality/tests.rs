//! Devices that are judged, from their first sample on.

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;
use crate::event::{Contact, Rails};

const BOARD: Device = Device {
    protocol: "x",
    channels: 8,
    rate: 250.0,
    packet_rate: 250.0,
    volts: true,
    modulus: 256,
    rails: Rails::All(-0.1875, 0.1875),
};

/// What was reported.
#[derive(Default)]
struct Report {
    channels: Vec<Quality>,
    signals: Vec<Signal>,
}

fn collect(judge: &mut Judge, report: &mut Report) {
    while judge.process_deferred() {
        judge.emit(&mut |body| match body {
            Body::Quality(quality) => report.channels.push(quality.clone()),
            Body::Signal(signal) => report.signals.push(*signal),
            other => panic!("{other:?}"),
        });
    }
}

fn observe(judge: &mut Judge, device: Device, values: &[f32], report: &mut Report) {
    for values in values.chunks(usize::from(device.channels) * 5) {
        judge.observe(&Body::Samples(Samples { values, channels: device.channels, frames: 1, bytes: 0 }));
        collect(judge, report);
    }
}

/// Judges so many seconds of a device whose channels are functions of seconds.
fn judged(
    settings: Settings,
    device: Device,
    seconds: usize,
    mut value: impl FnMut(usize, f64) -> f64,
) -> Report {
    let (mut judge, mut report) = (Judge::new(settings), Report::default());
    judge.observe(&Body::Device(device));
    let width = usize::from(device.channels);
    let rows = seconds * device.rate as usize;
    let values: Vec<f32> =
        (0..rows * width).map(|i| value(i % width, (i / width) as f64 / device.rate) as f32).collect();
    observe(&mut judge, device, &values, &mut report);
    report
}

#[test]
fn channels_are_called_by_number_and_name_in_their_order() {
    let settings = Settings { names: vec!["Fp1".into(), "Fp2".into()], ..Settings::default() };
    let device = Device { channels: 10, ..BOARD };
    let report = judged(settings, device, 5, |channel, t| (t * channel as f64).sin() * 1e-5);
    let called: Vec<&str> = report.channels.iter().take(10).map(|channel| &*channel.channel_name).collect();
    assert_eq!(called, ["01 Fp1", "02 Fp2", "03", "04", "05", "06", "07", "08", "09", "10"]);
    // Each second that was judged is reported once: bad seconds are a share of these.
    let seconds: u32 = report.signals.iter().map(|signal| signal.seconds).sum();
    assert_eq!(seconds as usize, report.signals.len());
    assert_eq!(seconds as usize * 10, report.channels.len());
}

/// Noise of Gauss, the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..12 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (self.0 >> 40) as f64 / f64::from(1 << 24);
        }
        sum - 6.0
    }
}

/// Something like EEG: what all channels have in common and a little of their own, all of it slow.
fn brain() -> impl FnMut(usize, f64) -> f64 {
    let mut noise = Noise(1);
    let (mut common, mut own, mut at) = (0.0, [0.0; 8], -1.0);
    move |channel, t| {
        if t > at {
            (common, at) = (0.95 * common + 3e-6 * noise.next(), t);
        }
        own[channel] = 0.9 * own[channel] + 0.5e-6 * noise.next();
        common + own[channel]
    }
}

fn reasons(quality: &Quality) -> Vec<&'static str> {
    Reason::ALL.iter().filter(|r| quality.bad.contains(**r)).map(|r| r.as_str()).collect()
}

#[test]
fn a_good_board_is_good_and_told_once_a_second() {
    let report = judged(Settings::default(), BOARD, 10, brain());
    // None before two seconds are there.
    assert_eq!((report.channels.len(), report.signals.len()), (72, 9));
    for quality in &report.channels {
        assert!(quality.score > 0.7, "{quality:?}");
        assert!(quality.correlation.unwrap() > 0.8, "{quality:?}");
        assert_eq!((quality.flat, quality.railed, quality.dropouts), (0.0, Some(0.0), 0));
    }
    let last = report.signals.last().unwrap();
    assert!(last.bad == 0 && last.score > 0.9 && last.bad_seconds == [0; 8], "{last:?}");
}

#[test]
fn each_trouble_is_named_and_leaves_the_others_alone() {
    let (mut brain, mut noise) = (brain(), Noise(2));
    let report = judged(Settings::default(), BOARD, 10, |channel, t| {
        let good = brain(channel, t);
        match channel {
            1 => 0.1875,
            2 => good + 60e-6 * (TAU * 60.0 * t).sin(),
            3 => 20e-6 * noise.next(),
            4 => good * 20.0,
            5 => good * 0.01,
            _ => good,
        }
    });
    let last = &report.channels[report.channels.len() - 8..];
    let bad: Vec<_> = last.iter().map(reasons).collect();
    assert_eq!(bad[0], [""; 0]);
    assert!(bad[1].starts_with(&["railed", "flat", "quiet"]), "{bad:?}");
    assert_eq!(bad[2], ["hum"]);
    assert!(bad[3].starts_with(&["noise", "correlation"]), "{bad:?}");
    assert_eq!(bad[4], ["loud"]);
    assert_eq!(bad[5], ["quiet"]);
    assert_eq!((bad[6].len(), bad[7].len()), (0, 0));
    assert!((last[1].peak.unwrap() - 1.0).abs() < 1e-6 && last[1].railed == Some(1.0), "{:?}", last[1]);
    let signal = report.signals.last().unwrap();
    assert_eq!((signal.bad, signal.bad_seconds[Reason::Hum as usize]), (5, 1));
}

#[test]
fn the_mains_are_found_and_kept() {
    let mains = |hertz: fn(f64) -> f64, settings: Settings| {
        let mut brain = brain();
        let report =
            judged(settings, BOARD, 12, |channel, t| brain(channel, t) + 5e-6 * (TAU * hertz(t) * t).sin());
        report.signals.iter().map(|signal| signal.mains.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(mains(|_| 50.0, Settings::default()), [50.0; 11]);
    assert_eq!(mains(|_| 60.0, Settings::default()), [60.0; 11]);
    assert_eq!(mains(|_| 50.0, Settings { mains: Mains::Sixty, ..Settings::default() }), [60.0; 11]);
    // A second of the other changes nothing, ten do.
    assert_eq!(mains(|t| if (5.0..6.0).contains(&t) { 60.0 } else { 50.0 }, Settings::default()), [50.0; 11]);
    let moved = mains(|t| if t < 4.0 { 50.0 } else { 60.0 }, Settings::default());
    assert!(moved.starts_with(&[50.0; 4]) && moved.ends_with(&[60.0; 4]), "{moved:?}");
}

#[test]
fn what_a_device_cannot_say_is_not_told() {
    let counts = Device { channels: 1, rate: 90.0, volts: false, rails: Rails::Unknown, ..BOARD };
    let report = judged(Settings::default(), counts, 4, |_, t| 100.0 * (TAU * 10.0 * t).sin());
    let Quality { volts, railed, peak, hum, correlation, score, .. } = report.channels[0];
    assert_eq!((volts, railed, peak, hum, correlation, score), (false, None, None, None, None, 1.0));
    assert!((report.channels[0].band_rms.unwrap() / 70.71 - 1.0).abs() < 0.01, "{:?}", report.channels[0]);
    for (channels, rate) in [(0, 250.0), (8, 0.0), (8, 7.0), (8, f64::NAN), (8, f64::INFINITY), (5000, 250.0)]
    {
        let mut judge = Judge::new(Settings::default());
        judge.observe(&Body::Device(Device { channels, rate, ..BOARD }));
        assert!(judge.state.is_none(), "{channels} {rate}");
    }
}

#[test]
fn hum_beside_a_band_that_the_rate_cuts_off_is_none_of_the_band() {
    // The band ends at 0.45 of 125 Hz, below the mains: powers of 1/2 in it and 1/8 of hum.
    let settings = Settings { mains: Mains::Sixty, band: [1.0, 100.0], ..Settings::default() };
    let wave = |hertz: f64, t: f64| (TAU * hertz * t).sin();
    let slow = Device { rate: 125.0, ..BOARD };
    let report = judged(settings, slow, 4, |_, t| 1e-5 * (wave(10.0, t) + 0.5 * wave(60.0, t)));
    let hum = report.channels[0].hum.unwrap();
    assert!((hum.ratio - 0.2).abs() < 0.005, "{hum:?}");
}

#[test]
fn samples_without_a_device_and_after_an_end_are_nothing() {
    let (mut judge, mut report) = (Judge::new(Settings::default()), Report::default());
    observe(&mut judge, BOARD, &vec![1e-6; 8 * 1000], &mut report);
    assert_eq!(report.channels.len(), 0);
    judge.observe(&Body::Device(BOARD));
    observe(&mut judge, BOARD, &vec![1e-6; 8 * 450], &mut report);
    judge.end(&mut |_| panic!("nothing is complete"));
    observe(&mut judge, BOARD, &vec![1e-6; 8 * 1000], &mut report);
    // The same device again begins again.
    judge.observe(&Body::Device(BOARD));
    observe(&mut judge, BOARD, &vec![1e-6; 8 * 450], &mut report);
    assert_eq!(report.channels.len(), 0);
}

#[test]
fn a_contact_that_is_off_is_a_reason() {
    let (mut judge, mut report) = (Judge::new(Settings::default()), Report::default());
    judge.observe(&Body::Device(BOARD));
    for channel in [0, 3, 9, u16::MAX] {
        judge.observe(&Body::Contact(Contact { channel, input: Input::Negative, on: false }));
    }
    let mut brain = brain();
    let values: Vec<f32> = (0..500 * 8).map(|i| brain(i % 8, (i / 8) as f64 / 250.0) as f32).collect();
    observe(&mut judge, BOARD, &values, &mut report);
    let off: Vec<u16> =
        report.channels.iter().filter(|q| q.bad.contains(Reason::Contact)).map(|q| q.channel).collect();
    assert_eq!(off, [1, 3]);
}

#[test]
fn what_is_not_told_at_once_is_not_lost() {
    // All of it in one go, as a replay sends it: the gauges are of the last second, the counters of all.
    let (mut judge, mut report) = (Judge::new(Settings::default()), Report::default());
    judge.observe(&Body::Device(BOARD));
    let values = vec![0.1875; 8 * 250 * 60];
    judge.observe(&Body::Samples(Samples { values: &values, channels: 8, frames: 1, bytes: 0 }));
    collect(&mut judge, &mut report);
    assert_eq!((report.channels.len(), report.signals.len()), (8, 1));
    assert_eq!(report.channels[0].bad_seconds, 59);
    assert_eq!(report.signals[0].bad_seconds[Reason::Railed as usize], 59 * 8);
}

#[test]
fn a_board_of_sixteen_channels_fits_in_200_kb() {
    for (channels, rate) in [(8, 250.0), (16, 125.0), (16, 1000.0), (16, 999.0), (16, 30_000.0)] {
        let counted = allocation_counter::measure(|| {
            let mut judge = Judge::new(Settings::default());
            judge.observe(&Body::Device(Device { channels, rate, ..BOARD }));
            std::mem::forget(judge);
        });
        assert!(counted.bytes_max < 200_000, "{channels} channels at {rate} Hz: {counted:?}");
    }
}

/// Values as devices and damaged streams can send them.
fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<f32>().prop_map(|v| if v.is_nan() { f32::INFINITY } else { v }),
        Just(0.0),
        Just(f32::MAX),
        Just(f32::MIN_POSITIVE / 8.0),
        (-1e-4_f32..1e-4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_signal_makes_a_number_that_is_none(
        channels in 1_u16..20,
        rate in prop_oneof![Just(8.0), Just(9.7), Just(125.0), Just(250.0), Just(512.0), Just(1234.5)],
        volts: bool,
        band in (0.0_f64..60.0, 0.0_f64..450.0),
        pattern in prop::collection::vec(any_value(), 1..40),
        constant: bool,
        limits in (0.0_f64..2.0, 0.0_f64..2.0),
    ) {
        let rails = if volts { Rails::Each(&[(0.0, 0.0), (-1.0, 1.0), (f32::MIN, f32::MAX)]) } else { Rails::Unknown };
        let device = Device { channels, rate, volts, rails, ..BOARD };
        let (railed, quiet) = limits;
        let settings = Settings { band: band.into(), railed, quiet, hum: quiet, ..Settings::default() };
        let (mut judge, mut report) = (Judge::new(settings), Report::default());
        judge.observe(&Body::Device(device));
        let rows = (rate * 4.0) as usize * usize::from(channels);
        let values: Vec<f32> =
            pattern.iter().copied().cycle().step_by(if constant { pattern.len() } else { 1 }).take(rows).collect();
        observe(&mut judge, device, &values, &mut report);
        prop_assert!(!report.channels.is_empty());
        for quality in report.channels {
            let Quality { railed, peak, flat, offset, rms, band_rms, hum, noise, correlation, .. } = quality;
            let ratios = [railed, peak, Some(flat), noise, correlation, hum.map(|h| h.ratio), Some(quality.score)];
            prop_assert!(ratios.into_iter().flatten().all(|r| (0.0..=1.0).contains(&r)), "{quality:?}");
            let others = [Some(offset), Some(rms), band_rms, hum.map(|h| h.decibels), Some(quality.kurtosis)];
            prop_assert!(others.into_iter().flatten().all(f64::is_finite), "{quality:?}");
        }
        prop_assert!(report.signals.iter().all(|s| (0.0..=1.0).contains(&s.score)));
    }
}

#[test]
fn what_is_told_has_the_digits_that_mean_something() {
    for (value, report) in [
        (0.0, 0.0),
        (1.0, 1.0),
        (-0.123_456_7, -0.123_46),
        (12.345_67e-6, 12.346e-6),
        (0.999_999_9, 1.0),
        (1_234_567.0, 1_234_600.0),
        (9.999_99e-5, 1e-4),
        (f64::INFINITY, f64::INFINITY),
    ] {
        assert_eq!(significant(value, 5), report, "{value}");
    }
    assert_eq!((significant(0.187_500_123, 6), significant(0.012_346, 4)), (0.1875, 0.012_35));
    assert!(significant(f64::NAN, 4).is_nan());
}
