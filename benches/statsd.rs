//! What a line of StatsD costs before anybody looks its series up.
//!
//! The sink adds up values and lengths of keys, so that neither is thrown away by the compiler.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use neural_exporter::decode::Decoder;
use neural_exporter::decode::text::mapping::Mapper;
use neural_exporter::decode::text::statsd::{Settings, Statsd};
use neural_exporter::event::{Body, Change};

const LINES: u32 = 1000;

fn main() {
    divan::main();
}

fn timer(i: u32) -> String {
    format!("pipeline.stage{}.latency:{}.{}|ms", i % 20, i % 7, i % 10)
}

fn tagged(i: u32) -> String {
    format!("pipeline.latency:{}.{}|ms|@0.5|#pipeline:motor,stage:fft{},rig:north", i % 7, i % 10, i % 20)
}

fn counter(i: u32) -> String {
    format!("eeg.packets.lost{}:{}|c", i % 20, i % 100)
}

fn float(i: u32) -> String {
    format!("pipeline.stage{}.latency:{}|ms", i % 20, f64::from(i) * 1.100_000_000_000_3)
}

fn packed(i: u32) -> String {
    format!("pipeline.stage{}.latency:1.5:2:3.25:4:5.75|ms", i % 20)
}

/// All lines in one slice, as from a stream.
fn stream(bencher: Bencher<'_, '_>, line: fn(u32) -> String, rules: &str) {
    let text: String = (0..LINES).map(|i| line(i) + "\n").collect();
    let mapper = Mapper::parse(rules).map(|(mapper, _)| mapper).unwrap_or_default();
    let mut decoder = Statsd::new(&Settings::default(), Arc::new(mapper));
    bencher.counter(ItemsCount::new(LINES)).counter(BytesCount::new(text.len())).bench_local(|| {
        let mut sum = 0.0;
        decoder.decode(divan::black_box(text.as_bytes()), &mut |body| sum += weigh(&body));
        sum
    });
}

fn weigh(body: &Body<'_>) -> f64 {
    let Body::Observation(observation) = body else { return f64::NAN };
    let change = match observation.change {
        Change::Add(value) | Change::Set(value) | Change::Shift(value) => value,
        Change::Observe { value, weight } => value * weight,
        _ => 0.0,
    };
    change + observation.key.len() as f64
}

#[divan::bench]
fn timer_without_tags(bencher: Bencher<'_, '_>) {
    stream(bencher, timer, "");
}

#[divan::bench]
fn timer_with_rate_and_three_tags(bencher: Bencher<'_, '_>) {
    stream(bencher, tagged, "");
}

#[divan::bench]
fn counter_without_tags(bencher: Bencher<'_, '_>) {
    stream(bencher, counter, "");
}

#[divan::bench]
fn timer_of_seventeen_digits(bencher: Bencher<'_, '_>) {
    stream(bencher, float, "");
}

#[divan::bench]
fn five_values_in_a_line(bencher: Bencher<'_, '_>) {
    stream(bencher, packed, "");
}

#[divan::bench]
fn timer_under_a_scaling_rule(bencher: Bencher<'_, '_>) {
    stream(bencher, timer, "mappings: [{match: other.*, name: other, scale: 2}]");
}

/// A datagram of one line without its end, the usual thing over UDP.
#[divan::bench]
fn datagram_of_one_line(bencher: Bencher<'_, '_>) {
    let lines: Vec<String> = (0..LINES).map(timer).collect();
    let mut decoder = Statsd::new(&Settings::default(), Arc::new(Mapper::default()));
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let mut sum = 0.0;
        let mut out = |body: Body<'_>| sum += weigh(&body);
        for line in &lines {
            decoder.decode(divan::black_box(line.as_bytes()), &mut out);
            decoder.end(&mut out);
        }
        sum
    });
}
