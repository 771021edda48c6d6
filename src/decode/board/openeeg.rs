//! OpenEEG (ModularEEG), 6 channels: packets of version 2, 17 bytes, and of version 3, 11 bytes.
//!
//! Version 2 is as BCI2000's reader of these boards takes it, version 3 as its author described it on the
//! OpenEEG list (archive 2002-03). The amplification is the builder's affair, so values are counts of the
//! converter, 0 to 1023. The board starts without a command.

use super::{Board, Boards, Segment, byte, uint16};
use crate::decode::facts::{Facts, Rates};
use crate::event::{Device, Rails};

/// Samples per second of the usual firmware; there are builds with 200.
const RATE: f64 = 256.0;
/// The greatest count of 10 bits.
const MOST: u16 = 1023;
const RAILS: Rails = Rails::All(0.0, MOST as f32);

/// What is known of the board, by the version of its packets.
pub(in crate::decode) const P2_FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("openeeg_p2", 57_600, |of| Box::new(Boards::new(P2).at(of.rate)))
};
pub(in crate::decode) const P3_FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("openeeg_p3", 57_600, |of| Box::new(Boards::new(P3).at(of.rate)))
};

/// Six channels, whose packets are numbered below `modulus`.
fn device(protocol: &'static str, modulus: u32) -> Device {
    Device { protocol, channels: 6, rate: RATE, packet_rate: RATE, volts: false, modulus, rails: RAILS }
}

/// Packets of version 2: `A5 5A 02`, a number of 8 bits, 6 × 16 bits, switches.
#[derive(Debug, Default)]
pub struct P2;

impl P2 {
    const LENGTH: usize = 17;
    const MARK: [u8; 3] = [0xA5, 0x5A, 2];

    fn counts(packet: &[u8]) -> impl Iterator<Item = u16> {
        packet.get(4..16).unwrap_or_default().chunks_exact(2).map(uint16)
    }
}

impl Board for P2 {
    fn device(&self) -> Device {
        device("openeeg_p2", 256)
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        if bytes.iter().zip(Self::MARK).any(|(is, mark)| *is != mark) {
            return Segment::No;
        }
        match bytes.get(..Self::LENGTH) {
            None => Segment::More,
            Some(packet) if Self::counts(packet).all(|count| count <= MOST) => Segment::Frame(Self::LENGTH),
            Some(_) => Segment::No,
        }
    }

    fn counter(&self, packet: &[u8]) -> Option<u32> {
        Some(byte(packet, 3).into())
    }

    fn samples(&mut self, packet: &[u8], values: &mut Vec<f32>) {
        values.extend(Self::counts(packet).map(f32::from));
    }
}

/// Packets of version 3: a number of 6 bits, an auxiliary byte, then 3 bytes for each pair of channels. Bit 7
/// is set in the last byte alone.
#[derive(Debug, Default)]
pub struct P3;

impl P3 {
    const LENGTH: usize = 11;
}

impl Board for P3 {
    fn device(&self) -> Device {
        device("openeeg_p3", 64)
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        let packet = bytes.get(..Self::LENGTH).unwrap_or(bytes);
        let marked = |(place, byte): (usize, &u8)| (*byte >= 0x80) == (place == Self::LENGTH - 1);
        // Bits 3 and 7 of the byte with the high bits of two channels are never set; bit 7 is the mark.
        let shared = [4, 7, 10].into_iter().all(|place| byte(packet, place) & 0x08 == 0);
        if !packet.iter().enumerate().all(marked) || !shared {
            Segment::No
        } else if packet.len() < Self::LENGTH {
            Segment::More
        } else {
            Segment::Frame(Self::LENGTH)
        }
    }

    fn counter(&self, packet: &[u8]) -> Option<u32> {
        Some((byte(packet, 0) >> 1 & 0x3F).into())
    }

    fn samples(&mut self, packet: &[u8], values: &mut Vec<f32>) {
        for pair in packet.get(2..).unwrap_or_default().chunks_exact(3) {
            let [a, b, high] = [0, 1, 2].map(|place| u16::from(byte(pair, place)));
            values.extend([(high >> 4 & 7) << 7 | a, (high & 7) << 7 | b].map(f32::from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(board: &mut impl Board, packet: &[u8], number: u32) -> Vec<f32> {
        assert_eq!(board.classify(packet, false), Segment::Frame(packet.len()));
        assert_eq!(board.counter(packet), Some(number));
        let mut values = Vec::new();
        board.samples(packet, &mut values);
        values
    }

    #[test]
    fn the_example_of_version_2() {
        let packet = [0xA5, 0x5A, 2, 0x39, 2, 0x33, 1, 0xEB, 2, 0x22, 1, 0xB3, 2, 0, 2, 0, 0x0F];
        assert_eq!(counts(&mut P2, &packet, 57), [563.0, 491.0, 546.0, 435.0, 512.0, 512.0]);
    }

    #[test]
    fn the_example_of_version_3() {
        let packet = [0x0B, 1, 0, 1, 0x44, 0x7F, 0, 0x70, 0x2C, 0x3C, 0xA5];
        assert_eq!(counts(&mut P3, &packet, 5), [512.0, 513.0, 1023.0, 0.0, 300.0, 700.0]);
    }
}
