//! FreeEEG32, 32 channels: frames of `A0`, a number, 32 × 24 bits, anything, and `C0`.
//!
//! What stands after the channels is not documented, nor how long it is; this reads it as BrainFlow's driver
//! does (brainflow, board_controller/freeeeg): a frame ends with a `C0` that an `A0` follows. All frames of a
//! stream are taken to be as long as the first. The board starts without a command.

use super::{Board, Boards, Segment, bracketed, byte, int24};
use crate::decode::facts::{Facts, Rates};
use crate::event::{Device, Rails};

/// Volts of one count: reference 2.5 V, gain 8, 24 bits with sign (the driver's own formula).
const SCALE: f64 = 2.5 / 8_388_607.0 / 8.0;
/// Channels of one frame.
const CHANNELS: u16 = 32;
/// Bytes before which a frame cannot end: mark, number, channels.
const LEAST: usize = 2 + 3 * CHANNELS as usize;
/// Bytes after which it is none. The frames of BrainFlow's emulator have 106.
const MOST: usize = 160;

/// What is known of the board.
pub(in crate::decode) const FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("freeeeg32", 921_600, |of| Box::new(Boards::new(FreeEeg32::default()).at(of.rate)))
};

/// A FreeEEG32.
#[derive(Debug, Default)]
pub struct FreeEeg32 {
    /// How long its frames are, once that is known.
    length: Option<usize>,
}

impl Board for FreeEeg32 {
    fn device(&self) -> Device {
        Device {
            protocol: "freeeeg32",
            channels: CHANNELS,
            rate: 512.0,
            packet_rate: 512.0,
            volts: true,
            modulus: 256,
            rails: Rails::signed(24, SCALE),
        }
    }

    fn classify(&self, bytes: &[u8], last: bool) -> Segment {
        if let Some(length) = self.length {
            return bracketed(bytes, length, 0xA0, |tail| tail == 0xC0);
        }
        if bytes.first().is_some_and(|first| *first != 0xA0) {
            return Segment::No;
        }
        for length in LEAST + 1..=MOST {
            match (bytes.get(length - 1), bytes.get(length)) {
                (Some(0xC0), Some(0xA0)) => return Segment::Frame(length),
                // The last of a stream has no follower.
                (Some(0xC0), None) if last => return Segment::Frame(length),
                (None, _) | (Some(0xC0), None) => return Segment::More,
                _ => {}
            }
        }
        Segment::No
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 1).into())
    }

    fn identify(&mut self, frame: &[u8]) -> bool {
        self.length = Some(frame.len());
        false
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let counts = frame.get(2..LEAST).unwrap_or_default().chunks_exact(3);
        values.extend(counts.map(|count| (f64::from(int24(count)) * SCALE) as f32));
    }

    fn lost(&mut self) {
        self.length = None;
    }

    fn end(&mut self) {
        self.length = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_long_as_it_is() {
        let mut bytes = vec![0xA0];
        bytes.resize(105, 0);
        bytes.push(0xC0);
        assert_eq!(FreeEeg32::default().classify(&bytes, false), Segment::More);
        assert_eq!(FreeEeg32::default().classify(&bytes, true), Segment::Frame(106));
        bytes.push(0xA0);
        assert_eq!(FreeEeg32::default().classify(&bytes, false), Segment::Frame(106));
        bytes[106] = 0;
        assert_eq!(FreeEeg32::default().classify(&bytes, false), Segment::More);
        bytes.resize(200, 0);
        assert_eq!(FreeEeg32::default().classify(&bytes, false), Segment::No);
        // Marks within the channels are samples.
        bytes[50..52].copy_from_slice(&[0xC0, 0xA0]);
        bytes[97..99].copy_from_slice(&[0xC0, 0xA0]);
        bytes[99..101].copy_from_slice(&[0xC0, 0xA0]);
        assert_eq!(FreeEeg32::default().classify(&bytes, false), Segment::Frame(100));
    }

    #[test]
    fn volts_are_those_of_the_formula() {
        let mut frame = vec![0; 106];
        frame[2..5].copy_from_slice(&[0, 0, 1]);
        frame[5..8].copy_from_slice(&[0x80, 0, 0]);
        let mut values = Vec::new();
        FreeEeg32::default().samples(&frame, &mut values);
        assert_eq!(values.len(), 32);
        assert!(
            (values[0] - 0.037_252_9e-6).abs() < 1e-12 && (values[1] + 0.3125).abs() < 1e-6,
            "{values:?}"
        );
    }
}
