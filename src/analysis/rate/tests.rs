//! Streams with gaps, bursts and machines that are busy, by a clock of milliseconds.

use super::*;
use crate::event::{Lost, Samples, StreamState};

const BEGAN: u64 = 1_700_000_000 * SECOND;
const MS: u64 = 1_000_000;

/// A device of one channel, 250 Hz and a counter of 8 bits.
const DEVICE: Device = Device {
    protocol: "x",
    channels: 1,
    rate: 250.0,
    packet_rate: 250.0,
    volts: true,
    modulus: 256,
    rails: crate::event::Rails::Unknown,
};

/// A device, and a clock of milliseconds.
struct Bench {
    rates: Rates,
    ms: u64,
    /// Milliseconds by which the wall clock was set.
    set: i64,
    flow: Option<Flow>,
    hidden: Vec<Hidden>,
    delays: Vec<Delay>,
    stability: f64,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self {
            rates: Rates::default(),
            ms: 0,
            set: 0,
            flow: None,
            hidden: Vec::new(),
            delays: Vec::new(),
            stability: 0.0,
        };
        bench.observe(Body::Device(DEVICE));
        bench
    }

    fn now(&self) -> Timestamp {
        let steady = self.ms * MS;
        Timestamp { steady, wall: (BEGAN + steady).saturating_add_signed(self.set * MS as i64) }
    }

    fn observe(&mut self, body: Body<'_>) {
        let at = self.now();
        self.rates.observe(&Event { at, source: SourceId(3), body });
    }

    fn samples(&mut self, count: usize) {
        let values = vec![0.0; count];
        let frames = u32::try_from(count).unwrap();
        self.observe(Body::Samples(Samples { values: &values, channels: 1, frames, bytes: 0 }));
    }

    /// Lets time pass; with `samples` each 16 ms, as an FTDI chip sends them. Ticks once a second.
    fn pass(&mut self, ms: u64, samples: usize) {
        let end = self.ms + ms;
        while self.ms < end {
            self.ms += 4;
            if samples > 0 && self.ms.is_multiple_of(16) {
                self.samples(samples);
            }
            if self.ms.is_multiple_of(1000) {
                let now = self.now();
                let Self { rates, flow, hidden, delays, stability, .. } = self;
                rates.report(now, &mut |source, body| {
                    assert_eq!(source, Some(SourceId(3)));
                    match body {
                        Body::Flow(reported) => *flow = Some(reported),
                        Body::Hidden(reported) => hidden.push(reported),
                        Body::Arrivals(reported) => delays.extend(reported.delays),
                        Body::Stability(reported) => *stability = reported.ratio,
                        _ => {}
                    }
                });
            }
        }
    }

    /// A device like the usual one, but that it should send so many packets a second, and counts so far.
    fn of(rate: f64, modulus: u32) -> Self {
        let mut bench = Self::new();
        bench.rates = Rates::default();
        bench.observe(Body::Device(Device { rate, packet_rate: rate, modulus, ..DEVICE }));
        bench
    }

    /// Lets time pass, with `samples` each so many milliseconds.
    fn bursts(&mut self, ms: u64, each: u64, samples: usize) {
        for _ in 0..ms / each {
            self.pass(each, 0);
            self.samples(samples);
        }
    }

    fn flow(&self) -> Flow {
        self.flow.unwrap()
    }
}

#[test]
fn a_rate_that_was_guessed_is_not_held_against_a_counter() {
    // Half of what a board of this name sends, handed on three times a second; and boards with smaller counters.
    for (nominal, modulus, real) in
        [(500.0, 256, 250), (1000.0, 16, 100), (256.0, 64, 200), (512.0, 256, 250), (125.0, 256, 1000)]
    {
        let mut bench = Bench::of(nominal, modulus);
        bench.bursts(30_000, 300, real * 3 / 10);
        assert_eq!(bench.hidden, [], "{nominal} {modulus} {real}");
        let flow = bench.flow();
        assert!((flow.ratio.unwrap() - real as f64 / nominal).abs() < 0.1, "{flow:?}");
        assert!(bench.delays.len() > 40 && bench.delays.iter().all(|d| d.newest < 0.1), "{:?}", bench.delays);
        // Nobody reads for a moment, in the first seconds and later.
        let mut bench = Bench::of(nominal, modulus);
        for before in [1800, 15_000] {
            bench.bursts(before, 300, real * 3 / 10);
            bench.pass(700, 0);
            bench.samples(real * 7 / 10);
            bench.bursts(30_000, 300, real * 3 / 10);
            assert_eq!(bench.hidden, [], "{nominal} {modulus} {real} {before}");
        }
    }
}

#[test]
fn what_a_board_with_a_guessed_rate_loses_is_seen() {
    for before in [900, 3000, 12_000] {
        let mut bench = Bench::of(500.0, 256);
        bench.bursts(before, 300, 75);
        bench.pass(1200, 0);
        bench.observe(Body::Lost(Lost { packets: 44 }));
        bench.bursts(21_000, 300, 75);
        assert_eq!(bench.hidden, [Hidden { packets: 256, unseen: false }], "{before}");
    }
}

#[test]
fn a_hole_before_the_first_measurement_waits_for_it() {
    let mut bench = Bench::new();
    bench.pass(400, 4);
    bench.pass(8000, 0);
    bench.observe(Body::Lost(Lost { packets: 208 }));
    bench.pass(5000, 4);
    assert_eq!(bench.hidden, [Hidden { packets: 1792, unseen: false }]);
    // Nothing was measured before it, and nothing comes after it.
    let mut bench = Bench::new();
    bench.pass(300, 4);
    bench.pass(8000, 0);
    bench.pass(300, 4);
    bench.pass(90_000, 0);
    assert_eq!(bench.hidden, []);
    assert!(bench.rates.streams[&SourceId(3)].hole.is_none());
}

#[test]
fn the_drift_of_a_device_with_another_rate_is_that_of_the_rate() {
    let mut bench = Bench::of(500.0, 256);
    bench.pass(200_000, 4);
    let drift = bench.flow().drift.unwrap();
    assert!((drift + 0.5).abs() < 1e-4, "{drift}");
}

#[test]
fn a_device_that_streams() {
    let mut bench = Bench::new();
    bench.pass(1000, 0);
    assert_eq!((bench.flow().rate, bench.flow().streaming, bench.flow().last), (None, false, None));
    bench.pass(20_000, 4);
    let flow = bench.flow();
    assert!(
        (flow.rate.unwrap() - 250.0).abs() < 1.0 && (flow.ratio.unwrap() - 1.0).abs() < 0.004,
        "{flow:?}"
    );
    assert!(flow.streaming && flow.longest_gap < 0.03, "{flow:?}");
    bench.pass(2000, 0);
    let flow = bench.flow();
    assert!(!flow.streaming && flow.longest_gap > 1.9, "{flow:?}");
    bench.pass(20_000, 0);
    assert_eq!(bench.flow().rate, Some(0.0));
    bench.pass(20_000, 3);
    // A rate that is low without gaps is no loss.
    let flow = bench.flow();
    assert!((flow.ratio.unwrap() - 0.75).abs() < 0.01 && flow.streaming, "{flow:?}");
    assert!(flow.longest_gap > 20.0, "{flow:?}");
    bench.pass(60_000, 3);
    assert!(bench.flow().longest_gap < 0.03);
}

#[test]
fn a_wall_clock_that_is_set_loses_nothing_and_hides_nothing() {
    for set in [0, 2000, 5000, -2000, -5000, 3_600_000, -3_600_000, -86_400_000, i64::MIN / MS as i64] {
        let mut bench = Bench::new();
        bench.pass(10_000, 4);
        bench.set = set;
        for _ in 0..20 {
            bench.pass(1000, 4);
            let flow = bench.flow();
            assert!(flow.streaming && (flow.rate.unwrap() - 250.0).abs() < 1.0, "{set}: {flow:?}");
            assert!(flow.longest_gap < 0.03, "{set}: {flow:?}");
            let wall = bench.now().wall_seconds();
            assert!((flow.last.unwrap().wall_seconds() - wall).abs() < 0.02, "{set}: {flow:?} at {wall}");
        }
        assert_eq!(bench.hidden, [], "{set}");
        assert!(bench.delays.iter().all(|d| d.newest < 0.001), "{set}: {:?}", bench.delays);
        // What is lost while it is set is lost, and a device that ends then is silent.
        bench.pass(600, 0);
        bench.set = 0;
        bench.pass(600, 0);
        bench.observe(Body::Lost(Lost { packets: 44 }));
        bench.pass(5000, 4);
        assert_eq!(bench.hidden, [Hidden { packets: 256, unseen: false }], "{set}");
        bench.set = set;
        bench.pass(3000, 0);
        let flow = bench.flow();
        assert!(!flow.streaming && (2.7..3.1).contains(&flow.longest_gap), "{set}: {flow:?}");
    }
}

#[test]
fn a_slow_device_streams_between_its_samples() {
    let mut bench = Bench::new();
    bench.observe(Body::Device(Device { rate: 0.5, packet_rate: 0.5, modulus: 0, ..DEVICE }));
    for _ in 0..5 {
        bench.samples(1);
        for _ in 0..2 {
            bench.pass(1000, 0);
            assert!(bench.flow().streaming, "{:?}", bench.flow());
        }
    }
    bench.pass(5000, 0);
    assert!(!bench.flow().streaming);
}

#[test]
fn a_counter_of_eight_bits_hides_nothing() {
    for (hole, lost, want) in [
        (300_u64, 44, Some(Hidden { packets: 256, unseen: false })),
        (256, 0, Some(Hidden { packets: 256, unseen: true })),
        (1024, 0, Some(Hidden { packets: 1024, unseen: true })),
        (1000, 232, Some(Hidden { packets: 768, unseen: false })),
        (100, 100, None),
        (200, 200, None),
    ] {
        let mut bench = Bench::new();
        bench.pass(6000, 4);
        bench.pass(hole * 4, 0);
        if lost > 0 {
            bench.observe(Body::Lost(Lost { packets: lost }));
        }
        bench.pass(5000, 4);
        assert_eq!(bench.hidden, Vec::from_iter(want), "{hole}");
    }
}

#[test]
fn late_packets_are_told_as_late_and_hidden_ones_are_not() {
    let mut bench = Bench::new();
    bench.pass(10_000, 4);
    let reported = bench.delays.len();
    assert!(reported > 450, "{reported}");
    assert!(
        bench.delays.iter().all(|d| d.newest < 1e-6 && (d.oldest - 0.012).abs() < 1e-6 && d.packets == 4)
    );
    // 300 packets are lost behind a counter of 8 bits; those after them are in time.
    bench.pass(1200, 0);
    bench.observe(Body::Lost(Lost { packets: 44 }));
    bench.pass(4800, 4);
    assert!(bench.delays.iter().all(|d| d.newest < 0.001), "{:?}", bench.delays);
    // Nobody reads for two seconds.
    bench.pass(2000, 0);
    bench.samples(500);
    bench.pass(4000, 4);
    let late: Vec<_> = bench.delays.iter().filter(|d| d.packets == 500).collect();
    assert_eq!(late.len(), 1);
    assert!(late[0].newest < 0.017 && (late[0].oldest - 1.996).abs() < 0.02, "{late:?}");
}

#[test]
fn what_is_missing_by_its_timestamps_does_not_make_the_rest_late() {
    let mut bench = Bench::new();
    bench.rates = Rates::default();
    bench.observe(Body::Device(Device { modulus: 0, ..DEVICE }));
    bench.pass(10_000, 4);
    // One of each four.
    for _ in 0..500 {
        bench.pass(16, 3);
        bench.observe(Body::StreamState(&StreamState { gaps: 1, missing: 1, ..StreamState::default() }));
    }
    bench.pass(2000, 4);
    assert!(bench.delays.iter().all(|d| d.newest < 0.005), "{:?}", bench.delays);
    // A pause is none of its: the clock begins again.
    bench.pass(2000, 0);
    bench.samples(4);
    bench.observe(Body::StreamState(&StreamState { gaps: 1, missing: 496, ..StreamState::default() }));
    bench.pass(10_000, 4);
    assert!(bench.delays.iter().all(|d| d.newest < 0.005), "{:?}", bench.delays);
}

#[test]
fn what_is_told_as_lost_is_not_missing_once_more() {
    let mut bench = Bench::new();
    bench.pass(10_000, 4);
    for _ in 0..10_000 {
        bench.pass(16, 3);
        bench.observe(Body::Lost(Lost { packets: 1 }));
        bench.observe(Body::StreamState(&StreamState { gaps: 1, missing: 1, ..StreamState::default() }));
    }
    bench.pass(10_000, 4);
    assert!(bench.flow.unwrap().drift.unwrap().abs() < 1e-4, "{:?}", bench.flow);
}

#[test]
fn stability_is_that_of_ten_minutes_and_outlives_the_link() {
    let mut bench = Bench::new();
    bench.pass(30_000, 4);
    bench.pass(10_000, 0);
    assert!((bench.stability - 0.75).abs() < 0.03, "{}", bench.stability);
    bench.observe(Body::Link(crate::event::Link::Down));
    bench.pass(40_000, 0);
    assert!((bench.stability - 0.375).abs() < 0.02, "{}", bench.stability);
    bench.pass(600_000, 0);
    assert_eq!(bench.stability, 0.0);
    bench.rates.retire(SourceId(3));
    bench.stability = 9.0;
    bench.pass(2000, 0);
    assert_eq!(bench.stability, 9.0);
}

#[test]
fn what_waited_in_a_buffer_is_not_lost() {
    let mut bench = Bench::new();
    bench.pass(6000, 4);
    bench.pass(4000, 0);
    // The agent did not read for four seconds; all of it comes at once, in several reads.
    (0..8).for_each(|_| bench.samples(125));
    bench.pass(5000, 4);
    assert_eq!(bench.hidden, []);
}

#[test]
fn a_machine_that_catches_up_slowly_loses_nothing() {
    let mut bench = Bench::new();
    bench.pass(6000, 4);
    // Four seconds of packets wait, and are read over the next eight, along with those that come meanwhile.
    bench.pass(4000, 0);
    bench.pass(8000, 6);
    bench.pass(8000, 4);
    assert_eq!(bench.hidden, []);
    // How fast the device is was not learnt from that: a gap after it is counted as it was.
    bench.pass(300 * 4, 0);
    bench.observe(Body::Lost(Lost { packets: 44 }));
    bench.pass(5000, 4);
    assert_eq!(bench.hidden, [Hidden { packets: 256, unseen: false }]);
    // And neither from what the counter hid.
    bench.pass(20_000, 4);
    bench.pass(1024 * 4, 0);
    bench.pass(5000, 4);
    assert_eq!(bench.hidden[1..], [Hidden { packets: 1024, unseen: true }]);
}

#[test]
fn packets_that_come_again_are_no_packets() {
    let mut bench = Bench::new();
    bench.pass(6000, 4);
    bench.pass(300 * 4, 0);
    bench.observe(Body::Lost(Lost { packets: 44 }));
    // As many as would hide what is missing.
    for _ in 0..200 {
        bench.observe(Body::Repeated(crate::event::Repeated { packets: 1 }));
        bench.observe(Body::Samples(Samples { values: &[], channels: 1, frames: 1, bytes: 33 }));
    }
    bench.pass(5000, 4);
    assert_eq!(bench.hidden, [Hidden { packets: 256, unseen: false }]);
}

#[test]
fn an_interruption_is_no_loss_and_neither_is_another_start() {
    let mut bench = Bench::new();
    bench.pass(6000, 4);
    bench.pass(90_000, 0);
    bench.pass(5000, 4);
    assert_eq!(bench.hidden, []);
    bench.observe(Body::Link(crate::event::Link::Down));
    bench.flow = None;
    bench.pass(3000, 4);
    assert!(bench.flow.is_none() && bench.hidden.is_empty());
}
