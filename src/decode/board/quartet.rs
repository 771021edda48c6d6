//! Quartet, 4 channels at 200 Hz: frames of 12 bytes. An example; there is no such board.
//!
//! `51 54`, a number of 8 bits, 4 × 16 bits with the highest first, the sum of the nine bytes before.

use super::{Board, Boards, Segment, byte, uint16};
use crate::decode::facts::Facts;
use crate::event::{Device, Rails};

/// Bytes of a frame.
const FRAME: usize = 12;
/// Volts of one count: 2.4 V over 12 bits at a gain of 1000.
const SCALE: f64 = 2.4 / 4096.0 / 1000.0;
/// The count of 0 V.
const MIDDLE: f64 = 2048.0;

/// What is known of the board.
pub(in crate::decode) const FACTS: Facts =
    Facts::board("quartet", 115_200, |_| Box::new(Boards::new(Quartet)));

/// A Quartet.
#[derive(Debug, Default)]
pub struct Quartet;

impl Board for Quartet {
    fn device(&self) -> Device {
        let rail = (MIDDLE * SCALE) as f32;
        let rails = Rails::All(-rail, rail);
        Device {
            protocol: "quartet",
            channels: 4,
            rate: 200.0,
            packet_rate: 200.0,
            volts: true,
            modulus: 256,
            rails,
        }
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        if bytes.iter().zip([0x51, 0x54]).any(|(is, mark)| *is != mark) {
            return Segment::No;
        }
        let Some(frame) = bytes.get(..FRAME) else { return Segment::More };
        let sum = frame.iter().skip(2).take(9).fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if sum == byte(frame, FRAME - 1) { Segment::Frame(FRAME) } else { Segment::No }
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 2).into())
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let counts = frame.get(3..11).unwrap_or_default().chunks_exact(2).map(uint16);
        values.extend(counts.map(|count| ((f64::from(count) - MIDDLE) * SCALE) as f32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Options;
    use crate::decode::testing::{Decoded, cut_anywhere};

    fn frame(number: u8, counts: [u16; 4]) -> Vec<u8> {
        let mut frame = vec![0x51, 0x54, number];
        frame.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        frame.push(frame[2..].iter().fold(0, |sum, byte| sum.wrapping_add(*byte)));
        frame
    }

    fn decoded(stream: &[u8], places: &[usize]) -> Decoded {
        Decoded::of(&mut *(FACTS.decoder)(&Options::default()), &cut_anywhere(stream, places))
    }

    #[test]
    fn the_board_of_the_example_is_decoded() {
        let frames: Vec<Vec<u8>> =
            (0..=255).chain(0..10).map(|number| frame(number, [0, 2048, 3072, 4095])).collect();
        let whole = decoded(&frames.concat(), &[]);
        assert_eq!((whole.channels(), whole.frames, whole.lost_packets()), (vec![4], 266, 0));
        assert_eq!(whole.values[..3], [-0.0012, 0.0, 0.0006]);
        assert_eq!(decoded(&frames.concat(), &[1, 5, 13, 1000, 1001]), whole);
        // Two frames are missing, and one is damaged.
        let mut bad = frames;
        bad[100][5] ^= 1;
        bad.drain(40..42);
        let bad = decoded(&bad.concat(), &[]);
        assert_eq!((bad.frames, bad.lost_packets(), bad.faulty()), (263, 3, 12));
    }
}
