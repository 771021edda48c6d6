//! What it costs to judge a signal: a board's packets, and a probe of a thousand channels.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use neural_exporter::analysis::quality::{AssessedDecoder, Judge, Settings};
use neural_exporter::decode::{Decoder, Protocol};
use neural_exporter::event::{Body, Device, Rails, Samples, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::source::Feed;

const NOW: Timestamp = Timestamp::both(1_700_000_000_000_000_000);
/// Packets of a Cyton: ten seconds.
const PACKETS: usize = 2560;
/// Channels of the probe, and samples a second of each.
const PROBE: (usize, usize) = (1024, 30_000);
/// Samples of a block of the probe, each of all channels.
const BLOCK: usize = 300;

fn main() {
    divan::main();
}

/// Something that is neither constant nor regular.
fn random(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state >> 8
}

fn cyton() -> Vec<u8> {
    let mut state = 1;
    let frame = |number: usize| {
        let mut frame = vec![0xA0, number as u8];
        for _ in 0..8 {
            frame.extend_from_slice(&[0, (random(&mut state) % 16) as u8, random(&mut state) as u8]);
        }
        frame.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0xC0]);
        frame
    };
    (0..PACKETS).flat_map(frame).collect()
}

/// Packets in reads of four, as an FTDI chip brings them, through decoder and hub.
fn packets(bencher: Bencher<'_, '_>, decoder: Box<dyn Decoder>) {
    packets_into(bencher, &Arc::new(Hub::default()), decoder);
}

fn packets_into(bencher: Bencher<'_, '_>, hub: &Arc<Hub>, mut decoder: Box<dyn Decoder>) {
    let feed = Feed::new(hub.clone(), hub.add_source("bench"), "bench");
    let stream = cyton();
    bencher.counter(ItemsCount::new(PACKETS)).bench_local(|| {
        for read in divan::black_box(stream.as_slice()).chunks(4 * 33) {
            feed.decode(NOW, read, 1, &mut *decoder);
        }
    });
}

#[divan::bench]
fn cyton_packets_decoded(bencher: Bencher<'_, '_>) {
    packets(bencher, Protocol::Cyton.decoder());
}

#[divan::bench]
fn cyton_packets_decoded_and_judged(bencher: Bencher<'_, '_>) {
    packets(bencher, Box::new(AssessedDecoder::new(Protocol::Cyton.decoder(), Settings::default())));
}

/// The same where `page.preview` is on. While it is off, the one before is what it costs: a comparison for each event.
#[divan::bench]
fn cyton_packets_decoded_judged_and_previewed(bencher: Bencher<'_, '_>) {
    let hub = Arc::new(Hub::default());
    hub.lock().keep_envelopes(true);
    packets_into(
        bencher,
        &hub,
        Box::new(AssessedDecoder::new(Protocol::Cyton.decoder(), Settings::default())),
    );
}

/// Decodes blocks of 32-bit numbers, all channels of a sample after another, as streams of probes have them.
struct Blocks {
    device: Device,
    told: bool,
    values: Vec<f32>,
}

impl Decoder for Blocks {
    fn decode(&mut self, bytes: &[u8], out: &mut neural_exporter::decode::Sink<'_>) {
        if !std::mem::replace(&mut self.told, true) {
            out(Body::Device(self.device));
        }
        if bytes.is_empty() {
            return;
        }
        self.values.clear();
        let numbers = bytes.chunks_exact(4).filter_map(|b| b.first_chunk::<4>());
        self.values.extend(numbers.map(|b| f32::from_le_bytes(*b)));
        let (values, channels) = (self.values.as_slice(), self.device.channels);
        out(Body::Samples(Samples { values, channels, frames: 1, bytes: bytes.len() as u64 }));
    }

    fn end(&mut self, _: &mut neural_exporter::decode::Sink<'_>) {}
}

fn probe() -> Device {
    Device {
        protocol: "bench",
        channels: PROBE.0 as u16,
        rate: PROBE.1 as f64,
        packet_rate: 0.0,
        volts: true,
        modulus: 0,
        rails: Rails::All(-0.005, 0.005),
    }
}

fn block() -> Vec<f32> {
    let mut state = 7;
    (0..PROBE.0 * BLOCK).map(|_| random(&mut state) as f32 * 1e-11).collect()
}

/// A second of the probe: what it takes must be far below a second.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn probe_second_decoded_and_judged(bencher: Bencher<'_, '_>) {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("bench"), "bench");
    let bytes: Vec<u8> = block().iter().flat_map(|value| value.to_le_bytes()).collect();
    let decoder = Blocks { device: probe(), told: false, values: Vec::new() };
    let mut decoder = AssessedDecoder::new(Box::new(decoder), Settings::default());
    let mut second = || {
        for _ in 0..PROBE.1 / BLOCK {
            // Reads of a socket, 64 KiB at a time.
            for read in divan::black_box(bytes.as_slice()).chunks(65_536) {
                feed.decode(NOW, read, 1, &mut decoder);
            }
        }
    };
    (0..3).for_each(|_| second());
    bencher.counter(ItemsCount::new(PROBE.0 * PROBE.1)).bench_local(second);
}

/// The same without bytes and hub.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn probe_second_judged(bencher: Bencher<'_, '_>) {
    let mut judge = Judge::new(Settings::default());
    judge.observe(&Body::Device(probe()));
    let values = block();
    let mut second = || {
        for _ in 0..PROBE.1 / BLOCK {
            for values in divan::black_box(values.as_slice()).chunks(PROBE.0 * 16) {
                let channels = PROBE.0 as u16;
                judge.observe(&Body::Samples(Samples { values, channels, frames: 1, bytes: 0 }));
                while judge.process_deferred() {
                    judge.emit(&mut |body| {
                        divan::black_box(body);
                    });
                }
            }
        }
    };
    (0..3).for_each(|_| second());
    bencher.counter(ItemsCount::new(PROBE.0 * PROBE.1)).bench_local(second);
}
