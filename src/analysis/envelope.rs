//! The last ten seconds of each channel as a recorder's screen draws them: the least and the greatest of each twentieth of a second.
//!
//! It is there only where a configuration asks for it, in memory alone, and no event is made of it. A piece is as many samples as the
//! device should send in its time; where nothing comes for longer, there is a gap as long.

use std::collections::HashMap;

use super::seconds;
use crate::event::{Body, Device, Event, Samples, SourceId, Timestamp};

/// Seconds of a piece.
const PIECE: f64 = 0.05;
/// Pieces that are kept: ten seconds.
pub const PIECES: usize = 200;
/// Channels of one device that are kept; a person does not look at more.
const CHANNELS: usize = 512;
/// Bytes of all devices.
const BYTES: usize = 8 << 20;
/// A pause longer than this is a gap and no late read, seconds.
const PAUSE: f64 = 0.5;

/// The least and the greatest of a piece; not a number where nothing came.
pub type Extent = [f32; 2];
const NOTHING: Extent = [f32::NAN; 2];

/// The envelopes of all devices.
#[derive(Debug, Default)]
pub struct Envelopes(HashMap<SourceId, Envelope>);

/// That of one device.
#[derive(Debug)]
struct Envelope {
    device: Device,
    /// Channels that are kept.
    kept: usize,
    /// Samples of a piece.
    each: u32,
    /// Piece after piece, each with all channels; the oldest is overwritten.
    ring: Vec<Extent>,
    /// The piece that is being filled, and its samples so far.
    at: usize,
    count: u32,
    /// When samples came last.
    last: Option<Timestamp>,
}

/// What is seen of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvelopeView {
    /// Whether values are volts; else counts.
    pub volts: bool,
    /// Seconds of a piece.
    pub piece: f64,
    /// Each channel's pieces, from ten seconds ago to now.
    pub channels: Vec<Vec<Extent>>,
}

impl Envelopes {
    /// Sees one event.
    pub fn observe(&mut self, event: &Event<'_>) {
        match event.body {
            Body::Device(device) => {
                let known = self.0.get(&event.source);
                if known.is_none_or(|known| known.device != device) {
                    self.begin(event.source, device);
                }
            }
            Body::Samples(samples) => {
                if let Some(envelope) = self.0.get_mut(&event.source) {
                    envelope.add(event.at, &samples);
                }
            }
            _ => {}
        }
    }

    /// Sees a device from now on.
    pub fn begin(&mut self, source: SourceId, device: Device) {
        self.0.remove(&source);
        let taken: usize = self.0.values().map(Envelope::bytes).sum();
        let envelope = Envelope::new(device).filter(|new| taken + new.bytes() <= BYTES);
        self.0.extend(envelope.map(|envelope| (source, envelope)));
    }

    /// The source is no longer configured, or no longer there.
    pub fn retire(&mut self, source: SourceId) {
        self.0.remove(&source);
    }

    /// What is seen of a device now, if it streams.
    #[must_use]
    pub fn seen(&self, source: SourceId, now: Timestamp) -> Option<EnvelopeView> {
        self.0.get(&source).map(|envelope| envelope.seen(now))
    }
}

impl Envelope {
    fn new(device: Device) -> Option<Self> {
        let kept = usize::from(device.channels).min(CHANNELS);
        if kept == 0 || !device.rate.is_finite() || device.rate <= 0.0 {
            return None;
        }
        let each = (device.rate * PIECE).round().max(1.0) as u32;
        Some(Self { device, kept, each, ring: vec![NOTHING; PIECES * kept], at: 0, count: 0, last: None })
    }

    fn bytes(&self) -> usize {
        self.kept * PIECES * size_of::<Extent>()
    }

    fn add(&mut self, at: Timestamp, samples: &Samples<'_>) {
        if samples.channels != self.device.channels || samples.values.is_empty() {
            return;
        }
        for _ in 0..self.missing(at) {
            self.turn();
        }
        self.last = Some(at);
        for sample in samples.values.chunks_exact(usize::from(samples.channels)) {
            let from = self.at * self.kept;
            let piece = self.ring.get_mut(from..from + self.kept).unwrap_or_default();
            for (extent, value) in piece.iter_mut().zip(sample) {
                // The lesser of a number and of what is none is the number.
                *extent = [extent[0].min(*value), extent[1].max(*value)];
            }
            self.count += 1;
            if self.count >= self.each {
                self.turn();
            }
        }
    }

    /// Whole pieces for which nothing came until now.
    fn missing(&self, now: Timestamp) -> usize {
        let away = self.last.map_or(0.0, |last| seconds(now.steady.saturating_sub(last.steady)));
        let each = (f64::from(self.each) / self.device.rate).max(PIECE);
        if away < PAUSE.max(2.0 * each) { 0 } else { ((away / each) as usize).min(PIECES) }
    }

    /// Begins the next piece.
    fn turn(&mut self) {
        self.at = (self.at + 1) % PIECES;
        self.count = 0;
        let from = self.at * self.kept;
        self.ring.get_mut(from..from + self.kept).unwrap_or_default().fill(NOTHING);
    }

    fn seen(&self, now: Timestamp) -> EnvelopeView {
        let missing = self.missing(now);
        let channel = |channel: usize| {
            let piece = |back: usize| (self.at + 2 * PIECES - back) % PIECES;
            // The piece that is being filled comes last, and is older by what is missing.
            let ages = (0..PIECES).rev().map(|age| age.checked_sub(missing));
            let of = |at: usize| self.ring.get(at * self.kept + channel).copied().unwrap_or(NOTHING);
            ages.map(|back| back.map_or(NOTHING, |back| of(piece(back)))).collect()
        };
        let piece = f64::from(self.each) / self.device.rate;
        EnvelopeView { volts: self.device.volts, piece, channels: (0..self.kept).map(channel).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Rails;

    const MS: u64 = 1_000_000;

    fn device(channels: u16, rate: f64) -> Device {
        Device {
            protocol: "generic",
            channels,
            rate,
            packet_rate: 0.0,
            volts: true,
            modulus: 0,
            rails: Rails::Unknown,
        }
    }

    fn send(envelopes: &mut Envelopes, ms: u64, body: Body<'_>) {
        envelopes.observe(&Event { at: Timestamp::both(ms * MS), source: SourceId(1), body });
    }

    fn samples(values: &[f32], channels: u16) -> Body<'_> {
        Body::Samples(Samples { values, channels, frames: 1, bytes: 1 })
    }

    fn seen(envelopes: &Envelopes, ms: u64) -> EnvelopeView {
        envelopes.seen(SourceId(1), Timestamp::both(ms * MS)).unwrap()
    }

    #[test]
    fn a_ramp_is_seen_as_it_was_and_its_last_ten_seconds_alone() {
        let mut envelopes = Envelopes::default();
        send(&mut envelopes, 0, Body::Device(device(2, 100.0)));
        // 12 seconds of a ramp and of its mirror, in reads of 40 ms.
        for read in 0..300_u16 {
            let row = |at: u16| [f32::from(read * 4 + at), -f32::from(read * 4 + at)];
            let values: Vec<f32> = (0..4).flat_map(row).collect();
            send(&mut envelopes, u64::from(read) * 40, samples(&values, 2));
        }
        let seen = seen(&envelopes, 11_990);
        assert_eq!((seen.channels.len(), seen.channels[0].len()), (2, PIECES));
        // 1,200 samples are 240 pieces of five; the next one is empty yet.
        let want = |place: u16| [f32::from((41 + place) * 5), f32::from((41 + place) * 5 + 4)];
        for place in 0..199 {
            let [least, greatest] = want(place);
            assert_eq!(seen.channels[0][usize::from(place)], [least, greatest], "{place}");
            assert_eq!(seen.channels[1][usize::from(place)], [-greatest, -least], "{place}");
        }
        assert!(seen.channels[0][199][0].is_nan());
    }

    #[test]
    fn a_pause_is_a_gap_and_a_late_read_is_none() {
        let mut envelopes = Envelopes::default();
        send(&mut envelopes, 0, Body::Device(device(1, 20.0)));
        for at in [0, 50, 400, 410, 1_400] {
            send(&mut envelopes, at, samples(&[1.0], 1));
        }
        let shown = |ms| {
            let channels = seen(&envelopes, ms).channels;
            let mark = |[least, _]: &Extent| if least.is_nan() { '.' } else { 'x' };
            channels[0].iter().map(mark).collect::<String>()
        };
        assert!(shown(1_400).ends_with(&format!(".xxxx{}x.", ".".repeat(19))), "{}", shown(1_400));
        assert!(shown(2_400).ends_with(&format!("x.{}", ".".repeat(20))), "{}", shown(2_400));
        assert_eq!(shown(60_000), ".".repeat(PIECES), "what was is not shown as what is");
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let mut envelopes = Envelopes::default();
        for source in 0..100 {
            let body = Body::Device(device(4096, 30_000.0));
            envelopes.observe(&Event { at: Timestamp::both(0), source: SourceId(source), body });
        }
        let bytes: usize = envelopes.0.values().map(Envelope::bytes).sum();
        assert!(bytes <= BYTES && bytes > BYTES / 2, "{bytes}");
        (0..100).for_each(|source| envelopes.retire(SourceId(source)));
        assert!(envelopes.0.is_empty());
        // What is no rate is not looked at, and neither is a read that is of another device.
        send(&mut envelopes, 0, Body::Device(device(1, f64::NAN)));
        send(&mut envelopes, 0, samples(&[1.0], 1));
        assert!(envelopes.seen(SourceId(1), Timestamp::both(0)).is_none());
        send(&mut envelopes, 0, Body::Device(device(2, 100.0)));
        send(&mut envelopes, 0, samples(&[1.0, 2.0, 3.0], 3));
        assert!(seen(&envelopes, 0).channels.iter().flatten().all(|extent| extent[0].is_nan()));
    }
}
