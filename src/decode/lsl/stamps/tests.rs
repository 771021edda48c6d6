//! Streams that lose, and streams that only look as if they did.

use super::*;

fn even(stamps: &mut Stamps, from: f64, count: u32) -> f64 {
    (0..count).for_each(|k| stamps.observe(Some(from + f64::from(k) / 100.0)));
    from + f64::from(count) / 100.0
}

#[test]
fn one_sample_that_is_missing_between_even_ones() {
    let mut stamps = Stamps::new(100.0);
    let then = even(&mut stamps, 1000.0, 1000);
    let then = even(&mut stamps, then + 0.01, 200);
    assert_eq!((stamps.gaps, stamps.missing, stamps.irregular), (1, 1, 0));
    even(&mut stamps, then + 2.0, 10);
    assert_eq!((stamps.gaps, stamps.missing, stamps.samples), (2, 201, 1210));
    let rate = stamps.rate().unwrap();
    assert!((rate - 1209.0 / (0.01 * 1410.0)).abs() < 0.01, "{rate}");
    assert_eq!(stamps.rate(), None);
    even(&mut stamps, 0.0, 101);
    assert_eq!((stamps.backward, stamps.gaps), (1, 2));
    assert!((stamps.rate().unwrap() - 100.0).abs() < 0.001);
}

#[test]
fn a_stream_that_loses_from_its_first_sample_on() {
    let mut stamps = Stamps::new(250.0);
    let mut lost = 0;
    for k in 0..10_000_u32 {
        // Some 5 %, by chance.
        if k.wrapping_mul(2_654_435_761) % 100 < 5 {
            lost += u64::from(k > 1000);
        } else {
            stamps.observe(Some(f64::from(k) / 250.0));
            if k == 1000 {
                stamps.missing = 0;
            }
        }
    }
    assert!(stamps.missing == lost && lost > 300, "{} of {lost}", stamps.missing);
}

#[test]
fn groups_are_uneven_and_nothing_is_missing() {
    let mut stamps = Stamps::new(250.0);
    for group in 0..100 {
        (0..5).for_each(|_| stamps.observe(Some(f64::from(group) * 0.02)));
    }
    assert_eq!((stamps.gaps, stamps.missing), (0, 0));
    assert_eq!(stamps.irregular, 499);
    (0..5).for_each(|_| stamps.observe(Some(3.0)));
    stamps.observe(Some(3.02));
    assert_eq!((stamps.gaps, stamps.missing), (0, 0), "stamps may be wrong");
    (0..4).for_each(|_| stamps.observe(Some(3.02)));
    (2..40).for_each(|group| (0..5).for_each(|_| stamps.observe(Some(3.0 + f64::from(group) * 0.02))));
    assert_eq!((stamps.gaps, stamps.missing), (1, 250));
}

#[test]
fn groups_that_come_late_are_no_holes() {
    let (mut stamps, mut now) = (Stamps::new(500.0), 0.0);
    for group in 0..200 {
        stamps.observe(Some(now));
        (0..19).for_each(|_| stamps.observe(None));
        now += 0.04 + if group % 3 == 0 { 0.0016 } else { 0.0003 };
    }
    assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{stamps:?}");
}

#[test]
fn stamps_that_are_not_sent() {
    let mut stamps = Stamps::new(100.0);
    stamps.observe(None);
    assert_eq!(stamps.last, None);
    stamps.observe(Some(5.0));
    (0..100).for_each(|_| stamps.observe(None));
    assert!((stamps.last.unwrap() - 6.0).abs() < 1e-9 && stamps.samples == 102);
    stamps.observe(Some(f64::NAN));
    assert!((stamps.last.unwrap() - 6.01).abs() < 1e-9);
    let mut markers = Stamps::new(0.0);
    [1.0, 5.0, 5.0, 900.0].iter().for_each(|stamp| markers.observe(Some(*stamp)));
    markers.observe(None);
    assert_eq!((markers.gaps, markers.irregular, markers.backward), (0, 0, 0));
    assert_eq!(markers.last, Some(900.0));
}

/// Samples of 250 Hz in groups, of which the first is stamped, with 25 missing from each of these places on.
fn stream(count: u32, group: u32, holes: &[u32], shift: impl Fn(u32) -> f64) -> Stamps {
    let mut stamps = Stamps::new(250.0);
    for sample in 0..count {
        let missing = 25 * holes.iter().filter(|hole| **hole <= sample).count() as u32;
        let at = 1000.0 + f64::from(sample + missing) / 250.0 + shift(sample);
        stamps.observe(sample.is_multiple_of(group).then_some(at));
    }
    stamps
}

#[test]
fn one_stamp_that_is_wrong_is_no_loss() {
    let holes = [1000, 3000, 5000];
    for group in [1, 20] {
        for (shift, irregular) in [(-1.0, 0), (-0.1, 0), (1.0, 1), (60.0, 1), (-1e9, 0), (1e9, 1)] {
            let stray = |sample: u32| if sample / group == 4000 / group { shift } else { 0.0 };
            let mut stamps = stream(7425, group, &holes, stray);
            let decoded = (stamps.gaps, stamps.missing, stamps.backward, stamps.irregular);
            assert_eq!(decoded, (3, 75, 1, irregular), "{group} {shift}");
            assert!((stamps.rate().unwrap() - 250.0 * 7424.0 / 7499.0).abs() < 0.1, "{group} {shift}");
        }
    }
    // Beside a gap, before or after it, each is still distinguished from the other.
    for stray in [999, 1000, 1001] {
        for shift in [-1.0, 1.0] {
            let stamps = stream(7425, 1, &holes, |sample| if sample == stray { shift } else { 0.0 });
            assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (3, 75, 1), "{stray} {shift}");
        }
    }
    // One of each, one after the other, and another that is alone.
    let stamps = stream(7425, 1, &holes, |sample| match sample {
        2000 | 6000 => 1.0,
        2001 => -1.0,
        _ => 0.0,
    });
    assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (3, 75, 2));
}

#[test]
fn a_clock_that_is_set_back_is_believed() {
    for (group, by) in [(1, 1.0), (1, 0.1), (5, 1.0), (1, 1e9)] {
        let mut stamps = stream(2000, group, &[1800], |sample| if sample < 1000 { 0.0 } else { -by });
        assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (1, 25, 1), "{group} {by}");
        let rate = stamps.rate().unwrap();
        assert!((200.0..250.0).contains(&rate) && stamps.irregular == 0, "{group} {by}: {rate}");
    }
    // A clock that is set for a while and back again has lost nothing.
    let stamps = stream(2000, 1, &[], |sample| if (1000..1010).contains(&sample) { -1.0 } else { 0.0 });
    assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (0, 0, 1));
}

#[test]
fn a_group_that_was_held_up_and_those_after_it_are_no_hole() {
    let late = |sample: u32| match sample / 20 {
        50 => 0.12,
        51 => 0.045,
        _ => 0.0,
    };
    let stamps = stream(2000, 20, &[], late);
    assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{stamps:?}");
}

#[test]
fn who_stamps_once_is_believed_after_a_second() {
    let mut stamps = Stamps::new(250.0);
    let then = (0..500).fold(0.0, |at, _| {
        stamps.observe(Some(at));
        at + 0.004
    });
    stamps.observe(Some(then + 1.0));
    (0..250).for_each(|_| stamps.observe(None));
    assert_eq!((stamps.gaps, stamps.missing), (0, 0));
    stamps.observe(None);
    assert_eq!((stamps.gaps, stamps.missing), (1, 250));
}

/// What is missing, of a stream of 250 Hz with these stamps.
fn missing(all: impl IntoIterator<Item = f64>) -> Stamps {
    let mut stamps = Stamps::new(250.0);
    all.into_iter().for_each(|stamp| stamps.observe(Some(stamp)));
    stamps
}

/// Stamps of a program that is late by up to so many seconds, differently each time.
fn late(at: f64, number: u32, by: f64) -> f64 {
    at + f64::from(number.wrapping_mul(2_654_435_761) >> 16) / 65_536.0 * by
}

#[test]
fn programs_that_push_in_groups_lose_nothing() {
    for (each, jitter) in [(0.2, 0.0), (0.2, 0.02), (1.0, 0.0), (1.0, 0.05), (0.02, 0.002), (5.0, 0.1)] {
        let group = (each * 250.0) as u32;
        // A few microseconds from one to the next.
        let pushed = |sample: u32| {
            let (number, within) = (sample / group, sample % group);
            1000.0 + late(f64::from(number) * each, number, jitter) + f64::from(within) * 7e-6
        };
        let stamps = missing((0..20_000).map(pushed));
        assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (0, 0, 0), "{each} {jitter}");
        assert!(stamps.irregular > 15_000, "{each}: {}", stamps.irregular);
        // And a group that is lost is seen, in the first seconds and later.
        for lost in [4, 30] {
            let all = (0..20_000).filter(|sample| sample / group != lost).map(pushed);
            let stamps = missing(all);
            let right = if each >= HOLE && u64::from(20_000 / group) > u64::from(lost) + 4 {
                u64::from(group)
            } else {
                0
            };
            let off = stamps.missing.abs_diff(right) as f64;
            assert!(off <= jitter * 250.0 + 1.0, "{each} {jitter} {lost}: {} of {right}", stamps.missing);
        }
    }
}

#[test]
fn a_program_that_stood_still_and_catches_up_lost_nothing() {
    for (jitter, faster) in [(0.0, 0.0), (0.0002, 0.0), (0.002, 0.0), (0.0, 0.5), (0.0, 0.8), (0.0002, 0.8)] {
        for stall in [100, 1000] {
            let mut ready = 0.0_f64;
            let pushed = |sample: u32| {
                let made = f64::from(sample) / 250.0;
                let begins = if sample >= stall { f64::from(stall) / 250.0 + 0.6 } else { 0.0 };
                ready = late(made, sample, jitter).max(begins).max(ready + 0.004 * faster + 3e-6);
                1000.0 + ready
            };
            let stamps = missing((0..5000).map(pushed));
            assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{jitter} {faster} {stall}");
            assert!(stamps.irregular > 0, "{jitter} {faster}");
        }
    }
    // A third of what waited was dropped.
    let stalled = |sample: u32| match sample {
        ..1000 => Some(f64::from(sample) / 250.0),
        1000..1050 => None,
        1050..1150 => Some(4.6 + f64::from(sample) * 1e-6),
        _ => Some(f64::from(sample) / 250.0),
    };
    assert_eq!(missing((0..5000).filter_map(stalled)).missing, 50);
}

#[test]
fn stamps_that_are_not_in_seconds_are_no_holes() {
    for unit in [1e3, 1e6, 1e9, 250.0] {
        for from in [1000.0, 1.7e9] {
            let at = |sample: u32| (from * unit + f64::from(sample) * 0.004 * unit).round();
            let mut stamps = missing((0..2000).map(at));
            assert_eq!((stamps.gaps, stamps.missing, stamps.irregular), (0, 0, 0), "{unit}");
            assert_eq!((stamps.in_seconds(), stamps.rate()), (Some(false), None), "{unit}");
            // What is lost is seen in any unit.
            let lost = missing((0..2000).filter(|sample| !(1000..1100).contains(sample)).map(at));
            assert_eq!(lost.missing, 100, "{unit}");
        }
    }
    let mut stamps = missing((0..2000).map(|sample| f64::from(sample) / 250.0));
    assert_eq!(stamps.in_seconds(), Some(true));
    assert!(stamps.rate().is_some());
    // 256 Hz in whole milliseconds, and pushed in groups.
    let mut stamps = Stamps::new(256.0);
    (0..5000).for_each(|sample| stamps.observe(Some((f64::from(sample) * 1000.0 / 256.0).floor())));
    assert_eq!((stamps.missing, stamps.in_seconds()), (0, Some(false)));
    let stamps = missing((0..5000).map(|sample| f64::from(sample / 50) * 200.0));
    assert_eq!((stamps.missing, stamps.in_seconds()), (0, Some(false)));
    // A stream that is slow by a thousand, as those who wait for it see, is slow.
    let mut stamps = Stamps::new(1000.0);
    for sample in 0..40 {
        stamps.came(7.0 + f64::from(sample));
        stamps.observe(Some(f64::from(sample)));
    }
    assert_eq!((stamps.missing, stamps.in_seconds()), (0, Some(true)));
}

#[test]
fn what_overtakes_is_out_of_order_and_not_lost() {
    for group in [1_u32, 2, 3, 12, 50] {
        let swapped = |sample: u32| sample / (2 * group) * 2 * group + (sample + group) % (2 * group);
        let stamps = missing((0..6000).map(|sample| 1000.0 + f64::from(swapped(sample)) / 250.0));
        assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{group}");
        assert_eq!(stamps.backward, u64::from(6000 / (2 * group)), "{group}");
    }
    // One pair among all others.
    let pair = |sample: u32| match sample {
        1000 => 1001,
        1001 => 1000,
        other => other,
    };
    let stamps = missing((0..3000).map(|sample| f64::from(pair(sample)) / 250.0));
    assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (0, 0, 1));
}

#[test]
fn a_clock_that_goes_back_and_forth_again_lost_nothing() {
    for (by, long) in [(2.0, 10), (2.0, 250), (2.0, 2000), (0.3, 50), (20.0, 1000), (-2.0, 1), (-2.0, 300)] {
        for jitter in [0.0, 0.002] {
            let mut stamps = Stamps::new(250.0);
            for sample in 0..12_000_u32 {
                let set = if (1000..1000 + long).contains(&(sample % 4000)) { -by } else { 0.0 };
                // Where it is long, or goes forth first, it takes arrivals to tell.
                if long > 1 && f64::from(long) / 250.0 > by {
                    stamps.came(f64::from(sample) / 250.0);
                }
                stamps.observe(Some(1000.0 + late(f64::from(sample) / 250.0, sample, jitter) + set));
            }
            assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{by} {long} {jitter}");
            assert!(stamps.backward >= 3, "{by} {long}");
        }
    }
}

#[test]
fn a_stream_that_is_slower_or_faster_than_declared_lost_nothing() {
    for (real, chunk, jitter) in [
        (125.0, 1, 0.0),
        (125.0, 1, 0.001),
        (125.0, 25, 0.0),
        (249.0, 1, 0.0),
        (240.0, 1, 0.0005),
        (200.0, 1, 0.0),
        (500.0, 1, 0.0),
        (256.0, 32, 0.002),
        (50.0, 10, 0.01),
    ] {
        // Chunks of which the first sample is stamped, and groups that are stamped when they are pushed.
        for deduced in [true, false] {
            let run = |holes: bool| {
                let mut stamps = Stamps::new(250.0);
                for sample in 0..20_000_u32 {
                    let lost = holes && ((2000..2400).contains(&sample));
                    let stamp = 50.0 + late(f64::from(sample / chunk * chunk) / real, sample / chunk, jitter);
                    if !lost {
                        stamps.observe((!deduced || sample % chunk == 0).then_some(stamp));
                    }
                }
                stamps
            };
            let mut stamps = run(false);
            assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{real} {chunk} {jitter} {deduced}");
            let rate = stamps.rate().unwrap();
            assert!((rate / real - 1.0).abs() < 0.01, "{real} {chunk}: {rate}");
            let lost = run(true).missing;
            assert!(lost.abs_diff(400) <= 8, "{real} {chunk} {jitter} {deduced}: {lost} of 400");
        }
    }
}

/// A live stream of 250 Hz whose clock and whose samples go so far ahead from sample 2000 on, seconds.
fn live(clock: f64, samples: f64, faster: f64) -> Stamps {
    let mut stamps = Stamps::new(250.0);
    for sample in 0..5000_u32 {
        let after = |by: f64| if sample >= 2000 { by } else { 0.0 };
        let made = f64::from(sample) / 250.0 + after(samples);
        // They come in pieces of eight, up to 30 ms late.
        stamps
            .came(90.0 + late(f64::from(sample / 8 * 8) / 250.0 + after(samples), sample / 8, 0.03) / faster);
        stamps.observe(Some(1000.0 + made + after(clock)));
    }
    stamps
}

#[test]
fn a_clock_that_is_set_forward_is_seen_by_arrivals() {
    let decoded = |stamps: Stamps| (stamps.gaps, stamps.missing);
    assert_eq!(decoded(live(0.0, 0.0, 1.0)), (0, 0));
    assert_eq!(decoded(live(2.0, 0.0, 1.0)), (0, 0));
    assert_eq!(decoded(live(3600.0, 0.0, 1.0)), (0, 0));
    // Samples are missing, and one waited for them.
    assert_eq!(decoded(live(0.0, 2.0, 1.0)), (1, 500));
    assert_eq!(decoded(live(0.0, 0.004, 1.0)), (1, 1));
    assert_eq!(decoded(live(0.0, 0.2, 1.0)), (1, 50));
    // What was kept somewhere comes faster than it is made, and its pauses are gone.
    assert_eq!(decoded(live(2.0, 0.0, 100.0)), (1, 500));
    let mut kept = live(0.0, 0.0, 1.0);
    let from = kept.last.unwrap();
    kept.came(130.0);
    (0..2500).for_each(|sample| kept.observe(Some(from + 12.0 + f64::from(sample) / 250.0)));
    assert_eq!(kept.missing, 2999);
}

#[test]
fn samples_that_are_lost_at_once_are_seen() {
    for from in [20, 40, 70, 500, 5000] {
        let lost =
            missing((0..9000_u32).filter(|sample| *sample != from).map(|sample| f64::from(sample) / 250.0));
        assert_eq!((lost.gaps, lost.missing), (1, 1), "{from}");
        let range = from..from + 150;
        let lost = missing(
            (0..9000_u32).filter(|sample| !range.contains(sample)).map(|sample| f64::from(sample) / 250.0),
        );
        assert_eq!((lost.gaps, lost.missing), (1, 150), "{from}");
    }
}

#[test]
fn no_stamps_make_it_panic() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for rate in [0.0, 1e-3, 250.0, 1e6] {
        let mut stamps = Stamps::new(rate);
        for _ in 0..50_000 {
            let stamp = match next() % 8 {
                0 => None,
                1 => Some(f64::from_bits(next())),
                2 => Some(next() as f64 * 1e3),
                3 => stamps.last,
                _ => stamps.last.map(|last| last + (next() % 100) as f64 / 250.0),
            };
            if next().is_multiple_of(3) {
                stamps.came((next() % 1000) as f64);
            }
            stamps.observe(stamp);
            if next().is_multiple_of(5000) {
                assert!(stamps.rate().is_none_or(f64::is_finite));
            }
            assert!(stamps.level.is_finite());
        }
        assert!(stamps.in_seconds().is_some() || rate == 0.0);
    }
}
