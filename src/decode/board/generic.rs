//! A board that is described and not programmed: a lab's own.
//!
//! What a frame is stands in a [`Frame`]; nothing is learnt from the stream. A number that is not finite reads
//! as 0 and is a fault, one a frame; what is more than 32-bit floating point can hold reads as the most it can.

mod checksum;
mod frame;

pub use checksum::Kind;
pub use frame::{
    Channels, Checksum, Counter, Format, Frame, LONGEST, LengthField, Octets, Order, Reading, Unit,
};

use super::{Board, Boards, Restart, Segment, byte};
use crate::decode::Sink;
use crate::decode::dialogue::{Patience, Time};
use crate::decode::facts::Facts;
use crate::event::{Body, Device, Fault, FaultKind, Rails, Vital};

/// What is known of a board before it is described.
pub(in crate::decode) const FACTS: Facts = Facts::board("generic", 115_200, |of| {
    let described = of.frame.clone().and_then(|frame| Generic::new(frame).ok());
    Box::new(Boards::new(described.unwrap_or_else(Generic::example)))
});

/// A board that is described.
#[derive(Clone, Debug)]
pub struct Generic {
    frame: Frame,
    /// Pieces of the hello that were written.
    greeted: usize,
    /// For how long nothing came, or since when the handshake began.
    quiet: Patience,
    /// Frames until the state of the board is reported again.
    untold: u32,
}

/// After so many seconds of silence, or frames if they are rarer, a board is commanded to start again.
const PATIENCE: f64 = 5.0;

/// An unsigned number of up to 8 bytes.
fn number(bytes: &[u8], order: Order) -> u64 {
    let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match order {
        Order::Big => bytes.iter().fold(0, join),
        Order::Little => bytes.iter().rev().fold(0, join),
    }
}

/// A value of a channel.
fn value(bytes: &[u8], format: Format, order: Order) -> f64 {
    let raw = number(bytes, order);
    let bits = 8 * format.bytes() as u32;
    match format {
        Format::Uint8 | Format::Uint16 | Format::Uint24 | Format::Uint32 => raw as f64,
        Format::Int8 | Format::Int16 | Format::Int24 | Format::Int32 => {
            ((raw << (64 - bits)).cast_signed() >> (64 - bits)) as f64
        }
        // Of four bytes.
        Format::Float32 => f32::from_bits(raw as u32).into(),
        Format::Float64 => f64::from_bits(raw),
    }
}

/// Within what samples can be.
fn held(value: f64) -> f32 {
    value.clamp(f32::MIN.into(), f32::MAX.into()) as f32
}

impl Generic {
    /// A board with such frames, or everything that cannot be about them.
    ///
    /// # Errors
    /// What [`Frame::problems`] says.
    pub fn new(frame: Frame) -> Result<Self, Vec<(&'static str, String)>> {
        let problems = frame.problems();
        if problems.is_empty() {
            Ok(Self { frame, greeted: 0, quiet: Patience::default(), untold: 0 })
        } else {
            Err(problems)
        }
    }

    /// A board as an example: 4 channels of 16 bits at 250 Hz, and all that frames can be known by.
    #[must_use]
    pub fn example() -> Self {
        let frame = Frame {
            sync: Octets(vec![0xA5, 0x5A]),
            length: Some(13),
            length_field: None,
            counter: Some(Counter { offset: 2, bits: 8, order: Order::Big, step: 1, modulus: None }),
            channels: Channels {
                offset: 3,
                count: 4,
                format: Format::Int16,
                order: Order::Big,
                stride: None,
                sample_stride: None,
            },
            samples: 1,
            rate: 250.0,
            unit: Unit::Volts,
            scale: 1e-6,
            rails: None,
            battery: None,
            temperature: None,
            checksum: Some(Checksum {
                kind: Kind::Crc8,
                poly: None,
                init: None,
                offset: None,
                order: Order::Big,
                from: 2,
                to: None,
            }),
            tail: Octets(vec![0x0A]),
            hello: Vec::new(),
            goodbye: Octets::default(),
        };
        Self { frame, greeted: 0, quiet: Patience::default(), untold: 0 }
    }

    /// The length that the beginning of a frame says, once it can be known.
    fn length(&self, bytes: &[u8]) -> Option<usize> {
        match self.frame.length_field {
            None => self.frame.length,
            Some(field) => {
                let bytes = bytes.get(field.offset..field.offset + field.bytes)?;
                // Of two bytes at most.
                Some(number(bytes, field.order) as usize + field.plus)
            }
        }
    }

    /// The values of a frame as they are written, sample after sample.
    fn values(&self, frame: &[u8]) -> impl Iterator<Item = f64> {
        let Channels { offset, count, format, order, .. } = self.frame.channels;
        let (stride, sample_stride) = self.frame.channels.strides();
        let at = move |sample: usize, channel: usize| offset + sample * sample_stride + channel * stride;
        let places = (0..self.frame.samples).flat_map(move |s| (0..count).map(move |c| at(s, c)));
        places.map(move |at| value(frame.get(at..at + format.bytes()).unwrap_or_default(), format, order))
    }

    /// What the board says of itself, once a second.
    fn vitals(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        if let Some(untold) = self.untold.checked_sub(1) {
            self.untold = untold;
            return;
        }
        // At most a million; a frame is reported before the next is counted.
        self.untold = (self.frame.rate / self.frame.samples as f64).ceil() as u32 - 1;
        let read = |of: Option<Reading>| {
            let of = of?;
            let bytes = frame.get(of.offset..of.offset + of.format.bytes())?;
            Some(value(bytes, of.format, of.order) * of.scale + of.plus).filter(|value| value.is_finite())
        };
        if let Some(charge) = read(self.frame.battery) {
            out(Body::Vital(Vital::Battery(charge.clamp(0.0, 1.0))));
        }
        if let Some(celsius) = read(self.frame.temperature) {
            out(Body::Vital(Vital::Temperature(celsius)));
        }
    }

    fn rails(&self) -> Rails {
        let Frame { scale, channels, rails, .. } = &self.frame;
        let half = |bits: i32| 2_f64.powi(bits);
        let bits = 8 * channels.format.bytes() as i32;
        let (low, high) = match (rails, channels.format) {
            (Some([low, high]), _) => (*low, *high),
            (None, Format::Float32 | Format::Float64) => return Rails::Unknown,
            (None, Format::Uint8 | Format::Uint16 | Format::Uint24 | Format::Uint32) => {
                (0.0, half(bits) - 1.0)
            }
            (None, _) => (-half(bits - 1), half(bits - 1) - 1.0),
        };
        let (one, other) = (held(low * scale), held(high * scale));
        Rails::All(one.min(other), one.max(other))
    }
}

impl Board for Generic {
    fn device(&self) -> Device {
        let Frame { channels, samples, rate, unit, counter, .. } = &self.frame;
        Device {
            protocol: "generic",
            // At most 1024.
            channels: channels.count as u16,
            rate: *rate,
            packet_rate: rate / *samples as f64,
            volts: *unit == Unit::Volts,
            modulus: counter.map_or(0, Counter::round),
            rails: self.rails(),
        }
    }

    fn has_fixed_length(&self) -> bool {
        self.frame.length_field.is_none()
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        let Frame { sync, tail, counter, .. } = &self.frame;
        if sync.iter().zip(bytes).any(|(sync, byte)| sync != byte) {
            return Segment::No;
        }
        let Some(length) = self.length(bytes) else { return Segment::More };
        if length > LONGEST || length < self.frame.least() {
            return Segment::No;
        }
        let Some(frame) = bytes.get(..length) else { return Segment::More };
        if !frame.ends_with(tail) {
            return Segment::No;
        }
        if let Some((sum, at)) = self.frame.checksum_at(length) {
            let sent = frame.get(at..at + sum.kind.bytes()).unwrap_or_default();
            let covered = frame.get(sum.from..sum.to.unwrap_or(at)).unwrap_or_default();
            if number(sent, sum.order) != u64::from(sum.kind.of(covered, sum.poly, sum.init)) {
                return Segment::Damaged;
            }
        }
        // A number that the counter never has.
        let possible = |counter: &Counter| {
            let raw = counted(*counter, frame);
            raw < counter.values() && raw.is_multiple_of(counter.step.into())
        };
        if counter.as_ref().is_none_or(possible) { Segment::Frame(length) } else { Segment::No }
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        let counter = self.frame.counter?;
        let number = counted(counter, frame) / u64::from(counter.step.max(1));
        // Less than 2^32, and than a round.
        Some(number as u32 % counter.round().max(1))
    }

    fn report_status(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        let float = matches!(self.frame.channels.format, Format::Float32 | Format::Float64);
        if float && !self.values(frame).all(f64::is_finite) {
            // Its bytes are those of the frame, which is good otherwise.
            out(Body::Fault(Fault { kind: FaultKind::NotFinite, bytes: 0 }));
        }
        self.vitals(frame, out);
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let scaled = |value: f64| if value.is_finite() { held(value * self.frame.scale) } else { 0.0 };
        values.extend(self.values(frame).map(scaled));
    }

    fn end(&mut self) {
        (self.greeted, self.untold) = (0, 0);
        self.quiet.begin();
    }

    /// Writes the hello, a piece each time, and all of it again to a board that is silent.
    fn poll_transmit(&mut self, time: Time, out: &mut Vec<u8>) -> Restart {
        if time.silence.is_zero() {
            self.quiet.begin();
        }
        let patience = PATIENCE * (self.frame.samples as f64 / self.frame.rate).max(1.0);
        let again = self.quiet.by(time.now).as_secs_f64() >= patience && !self.frame.hello.is_empty();
        if again {
            self.greeted = 0;
            self.quiet.begin();
        }
        if let Some(piece) = self.frame.hello.get(self.greeted) {
            self.greeted += 1;
            out.extend_from_slice(piece);
        }
        if again { Restart::Perhaps } else { Restart::No }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frame.goodbye);
    }
}

/// The counter as the frame has it.
fn counted(counter: Counter, frame: &[u8]) -> u64 {
    if counter.bits == 4 {
        return (byte(frame, counter.offset) & 0x0F).into();
    }
    number(frame.get(counter.offset..counter.offset + counter.bytes()).unwrap_or_default(), counter.order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::decode::dialogue::TICK;
    use crate::decode::{Decoder, Dialogue};
    use crate::event::Body;

    fn described(text: &str) -> Frame {
        serde_json::from_str(text).unwrap()
    }

    /// The keys that are wrong.
    fn wrong(text: &str) -> Vec<&'static str> {
        described(text).problems().into_iter().map(|(key, _)| key).collect()
    }

    fn decoded(frame: Frame, bytes: &[u8]) -> (Vec<f32>, Vec<String>) {
        let (mut values, mut decoded) = (Vec::new(), Vec::new());
        let mut decoder = Boards::new(Generic::new(frame).unwrap());
        let mut out = |body: Body<'_>| match body {
            Body::Samples(samples) => values.extend_from_slice(samples.values),
            Body::Device(_) => {}
            other => decoded.push(format!("{other:?}")),
        };
        decoder.decode(bytes, &mut out);
        decoder.end(&mut out);
        (values, decoded)
    }

    #[test]
    fn an_openeeg_board_can_be_described() {
        // The example of packet version 2 in the documents of OpenEEG.
        let frame = described(
            r#"{"sync": [165, 90, 2], "length": 17, "counter": {"offset": 3}, "rate": 256,
                "channels": {"offset": 4, "count": 6, "format": "uint16"}, "rails": [0, 1023]}"#,
        );
        let one = [0xA5, 0x5A, 2, 57, 2, 0x33, 1, 0xEB, 2, 0x22, 1, 0xB3, 2, 0, 2, 0, 0x0F];
        let next = |number: u8| one.iter().enumerate().map(move |(i, b)| if i == 3 { number } else { *b });
        let stream: Vec<u8> = next(57).chain(next(58)).chain(next(60)).chain(next(60)).collect();
        let (values, decoded) = decoded(frame, &stream);
        assert_eq!(values[..6], [563.0, 491.0, 546.0, 435.0, 512.0, 512.0]);
        assert_eq!(values.len(), 18, "a repeated frame is no sample");
        assert_eq!(decoded, ["Lost(Lost { packets: 1 })", "Repeated(Repeated { packets: 1 })"]);
    }

    #[test]
    fn blocks_checksums_and_lengths_can_be_described() {
        let frame = described(
            r#"{"sync": "N", "length_field": {"offset": 1, "plus": 2}, "samples": 2, "rate": 100,
                "counter": {"offset": 2, "bits": 16, "order": "little", "step": 5, "modulus": 500},
                "channels": {"offset": 4, "count": 2, "format": "int24", "order": "little", "stride": 6,
                             "sample_stride": 3},
                "unit": "volts", "scale": 0.5, "tail": "E",
                "checksum": {"kind": "crc16_modbus", "order": "little", "from": 1}}"#,
        );
        let packet = |number: u16| {
            let mut packet = vec![b'N', 17];
            packet.extend(number.to_le_bytes());
            // Channel 1: 2, -2; channel 2: 4, -4.
            packet.extend([2, 0, 0, 0xFE, 0xFF, 0xFF, 4, 0, 0, 0xFC, 0xFF, 0xFF]);
            let sum = Kind::Crc16Modbus.of(&packet[1..], None, None);
            packet.extend(&sum.to_le_bytes()[..2]);
            packet.push(b'E');
            packet
        };
        let board = Generic::new(frame.clone()).unwrap();
        let device = board.device();
        assert_eq!((device.packet_rate, device.modulus, device.volts), (50.0, 100, true));
        let mut damaged = packet(10);
        damaged[5] ^= 1;
        let stream = [packet(495), packet(0), packet(5), damaged, packet(15), packet(20)].concat();
        let (values, decoded) = decoded(frame, &stream);
        assert_eq!(values[..4], [1.0, 2.0, -1.0, -2.0]);
        assert_eq!(values.len(), 5 * 4);
        assert_eq!(decoded, ["Fault(Fault { kind: Checksum, bytes: 19 })", "Lost(Lost { packets: 1 })"]);
    }

    #[test]
    fn a_number_that_is_none_is_told() {
        let frame = described(
            r#"{"sync": [1, 2], "length": 10, "rate": 1, "scale": 1e300,
                "channels": {"offset": 2, "count": 2, "format": "float32"}}"#,
        );
        let packet = |values: [f32; 2]| [&[1, 2], &values.map(f32::to_be_bytes).concat()[..]].concat();
        let good = packet([1e30, -0.0]);
        let stream = [good.clone(), packet([f32::NAN, f32::INFINITY]), good].concat();
        let (values, decoded) = decoded(frame, &stream);
        assert_eq!(values, [f32::MAX, 0.0, 0.0, 0.0, f32::MAX, 0.0]);
        assert_eq!(decoded, ["Fault(Fault { kind: NotFinite, bytes: 0 })"]);
    }

    #[test]
    fn a_board_tells_of_itself_once_a_second() {
        let frame = described(
            r#"{"sync": [1, 2], "length": 8, "rate": 4, "samples": 2, "channels": {"offset": 2, "count": 1, "format": "int8"},
                "battery": {"offset": 4, "format": "uint8", "scale": 0.01},
                "temperature": {"offset": 5, "format": "int16", "order": "little", "scale": 0.1, "plus": -10}, "tail": "E"}"#,
        );
        let packet =
            |charge: u8, warmth: i16| [&[1, 2, 0, 0, charge][..], &warmth.to_le_bytes(), b"E"].concat();
        let stream: Vec<u8> = [(90, 465), (89, 466), (88, -50), (87, 0), (200, 0)]
            .into_iter()
            .flat_map(|(charge, warmth)| packet(charge, warmth))
            .collect();
        let (values, decoded) = decoded(frame, &stream);
        assert_eq!(values.len(), 10);
        let wanted =
            ["Battery(0.9)", "Temperature(36.5)", "Battery(0.88)", "Temperature(-15.0)", "Battery(1.0)"];
        assert_eq!(decoded[..5], wanted.map(|vital| format!("Vital({vital})")));
        assert_eq!(decoded.len(), 6);
    }

    #[test]
    fn a_silent_board_is_told_again() {
        let text = r#"{"sync": [1, 2], "length": 6, "rate": 0.5, "hello": ["a", "b"], "counter": {"offset": 2},
                       "channels": {"offset": 3, "count": 3, "format": "int8"}}"#;
        let mut decoder = Boards::new(Generic::new(described(text)).unwrap());
        let (mut out, mut decoded, mut now) = (Vec::new(), Vec::new(), Duration::ZERO);
        let mut poll = |decoder: &mut Boards<Generic>, out: &mut Vec<u8>| {
            now += TICK;
            decoder.poll_transmit(now, out);
        };
        let mut see = |body: Body<'_>| decoded.push(matches!(body, Body::Lost(_)));
        decoder.decode(&[1, 2, 7, 0, 0, 0, 1, 2, 8, 0, 0, 0], &mut see);
        (0..50).for_each(|_| poll(&mut decoder, &mut out));
        assert_eq!(out, b"ab", "a frame every two seconds");
        (0..50).for_each(|_| poll(&mut decoder, &mut out));
        assert_eq!(out, b"abab");
        // It counts from the beginning, and is the same board.
        decoder.decode(&[1, 2, 0, 0, 0, 0], &mut see);
        assert_eq!(decoded, [false; 4]);
        // It had not stopped: what is missing is lost.
        let mut lost = Vec::new();
        (0..50).for_each(|_| poll(&mut decoder, &mut out));
        decoder.decode(&[1, 2, 20, 0, 0, 0], &mut |body| {
            if let Body::Lost(decoded) = body {
                lost.push(decoded.packets);
            }
        });
        assert_eq!(lost, [19]);
    }

    #[test]
    fn the_example_is_possible() {
        assert_eq!(Generic::example().frame.problems(), []);
    }

    #[test]
    fn what_cannot_be_is_said() {
        let with = |rest: &str| {
            format!(
                r#"{{"sync": [1, 2], "rate": 1, "channels": {{"offset": 2, "count": 2, "format": "int16"}}, {rest}}}"#
            )
        };
        assert_eq!(wrong(&with(r#""length": 6"#)), [""; 0]);
        assert_eq!(wrong(&with(r#""length": 5"#)), ["length"]);
        assert_eq!(wrong(&with(r#""samples": 2, "length": 6"#)), ["length"]);
        assert_eq!(wrong(&with(r#""length": 6, "counter": {"offset": 1}"#)), ["counter.offset"]);
        assert_eq!(wrong(&with(r#""length": 9, "counter": {"offset": 6, "bits": 9}"#)), ["counter.bits"]);
        assert_eq!(wrong(&with(r#""length": 7, "counter": {"offset": 6, "step": 3}"#)), ["counter.step"]);
        assert_eq!(wrong(&with(r#""length": 9, "rails": [5, 1]"#)), ["rails"]);
        assert_eq!(wrong(&with(r#""length_field": {"offset": 6}"#)), ["length_field"]);
        let reading = |rest: &str| format!(r#""length": 9, "battery": {{"format": "uint8", {rest}}}"#);
        assert_eq!(wrong(&with(&reading(r#""offset": 6"#))), [""; 0]);
        assert_eq!(wrong(&with(&reading(r#""offset": 5"#))), ["battery"]);
        assert_eq!(wrong(&with(&reading(r#""offset": 9"#))), ["length"]);
        assert_eq!(wrong(&with(&reading(r#""offset": 6, "scale": 0"#))), ["battery"]);
        let sum = r#""length": 9, "checksum": {"kind": "sum8", "from": 0, "to": 9}"#;
        assert_eq!(wrong(&with(sum)), ["checksum.to"]);
        assert_eq!(wrong(&with(r#""scale": 0"#)), ["", "scale"]);
        let far = usize::MAX;
        let sum = format!(r#""length": 9, "checksum": {{"kind": "sum8", "offset": {far}, "to": 5}}"#);
        assert_eq!(wrong(&with(&sum)), ["length", "channels"]);
        let field = format!(r#""tail": "E", "length_field": {{"offset": 6, "plus": {far}}}"#);
        assert_eq!(wrong(&with(&field)), ["length_field.plus"]);
        for rate in ["0", "-1", "1e-300", "1e300"] {
            assert_eq!(
                wrong(&with(r#""length": 6"#).replace(r#""rate": 1"#, &format!(r#""rate": {rate}"#))),
                ["rate"]
            );
        }
        let bare = r#"{"length": 2, "rate": 1, "channels": {"offset": 0, "count": 1, "format": "int16"}}"#;
        assert_eq!(wrong(bare), ["sync"]);
    }
}
