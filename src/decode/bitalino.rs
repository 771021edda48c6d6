//! PLUX BITalino, 6 channels at 1000 Hz: frames of 8 bytes without a mark, with a number and a checksum of 4
//! bits each.
//!
//! The layout and the commands are those of the maker's reader (revolution-python-api). Which sensor is at
//! which channel is not known to the board: values are counts, 10 bits in the first four channels and 6 bits
//! in the others.

use super::board::{Board, Piece, byte};
use crate::event::{Device, Rails};

/// Bytes of a frame with six channels.
const FRAME: usize = 8;
/// Four channels of 10 bits and two of 6.
const RAILS: Rails = Rails::Each(&[(0.0, 1023.0), (0.0, 1023.0), (0.0, 1023.0), (0.0, 1023.0), (0.0, 63.0)]);

/// A BITalino.
#[derive(Debug, Default)]
pub struct Bitalino;

/// Whether the low half of the last byte is the checksum of everything before it.
fn right(frame: &[u8]) -> bool {
    let last = frame.len().saturating_sub(1);
    let mut x = 0_u8;
    for (place, byte) in frame.iter().enumerate() {
        let byte = if place == last { byte & 0xF0 } else { *byte };
        for bit in (0..8).rev() {
            x <<= 1;
            if x & 0x10 != 0 {
                x ^= 0x03;
            }
            x ^= byte >> bit & 1;
        }
    }
    x & 0x0F == byte(frame, last) & 0x0F
}

impl Board for Bitalino {
    /// A frame of noise is right in one of 16 cases, and in order in one of 16 of these.
    const CONFIRM: usize = 4;
    const ANSWER_END: Option<&'static [u8]> = Some(b"\n");

    fn device(&self) -> Device {
        let (protocol, rate) = ("bitalino", 1000.0);
        Device { protocol, channels: 6, rate, packet_rate: rate, volts: false, modulus: 16, rails: RAILS }
    }

    fn piece(&self, bytes: &[u8], _last: bool) -> Piece {
        match bytes.get(..FRAME) {
            None => Piece::More,
            Some(frame) if right(frame) => Piece::Frame(FRAME),
            Some(_) => Piece::Damaged,
        }
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some((byte(frame, FRAME - 1) >> 4).into())
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        // From the end: number and checksum, digital inputs, then the channels, without gaps.
        let bits = frame.iter().take(FRAME).rev().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let channels = [(42, 10), (32, 10), (22, 10), (12, 10), (6, 6), (0, 6)];
        values.extend(channels.map(|(low, width)| (bits >> low & ((1 << width) - 1)) as f32));
    }

    /// The version, 1000 Hz, and all six channels.
    fn hello(&self) -> &'static [&'static [u8]] {
        &[&[0x07], &[0xC3], &[0xFD]]
    }

    fn goodbye(&self) -> &'static [u8] {
        &[0x00]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_backwards_in_the_frame() {
        // Digital inputs 1010; 1, 1023, 2, 3; 63, 5.
        let bits: u64 = 0b1010 << 52 | 1 << 42 | 1023 << 32 | 2 << 22 | 3 << 12 | 63 << 6 | 5;
        let mut frame = (bits | 9 << 60).to_le_bytes();
        frame[7] &= 0xF0;
        assert_eq!(Bitalino.counter(&frame), Some(9));
        let mut values = Vec::new();
        Bitalino.samples(&frame, &mut values);
        assert_eq!(values, [1.0, 1023.0, 2.0, 3.0, 63.0, 5.0]);
        // One of the 16 checksums is right, and not if a bit is wrong.
        let right: Vec<u8> =
            (0..16).filter(|crc| right(&[&frame[..7], &[frame[7] | crc]].concat())).collect();
        assert_eq!(right.len(), 1);
        frame[7] |= right[0];
        assert_eq!(Bitalino.piece(&frame, false), Piece::Frame(8));
        frame[3] ^= 0x10;
        assert_eq!(Bitalino.piece(&frame, false), Piece::Damaged);
    }
}
