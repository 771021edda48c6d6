//! PLUX BITalino, 1 to 6 channels at up to 1000 Hz: frames of 3 to 8 bytes without a mark, with a number and a
//! checksum of 4 bits each.
//!
//! A program that starts the board through the agent may have it send other channels, at another rate, than the
//! settings say: its commands are read along. A start is a start whichever channels it is of.
//!
//! The layout and the commands are those of the maker's reader (revolution-python-api). Which sensor is at
//! which channel is not known to the board: values are counts, 10 bits in the first four channels and 6 bits
//! in the others.

use super::{Board, BoardCommand, Boards, CommandEffect, Segment, byte};
use crate::decode::facts::{Facts, Rates};
use crate::event::{Device, Rails};

/// Bytes of a frame with so many channels, from one on.
const FRAMES: [usize; 6] = [3, 4, 6, 7, 8, 8];
/// Bytes of a frame with six channels; the channels stand the same way from the end of any.
const FRAME: usize = 8;
/// Samples per second that a board can be set to.
pub const RATES: &[u16] = &[1, 10, 100, 1000];
/// Four channels of 10 bits and two of 6.
const RAILS: Rails = Rails::Each(&[(0.0, 1023.0), (0.0, 1023.0), (0.0, 1023.0), (0.0, 1023.0), (0.0, 63.0)]);

/// What a program sends a board: its version, and these rates and channels.
const VERSION: &[u8] = &[0x07];
/// By rate.
const RATE: [&[u8]; 4] = [&[0x03], &[0x43], &[0x83], &[0xC3]];
/// The first channels, by how many.
const START: [&[u8]; 6] = [&[0x05], &[0x0D], &[0x1D], &[0x3D], &[0x7D], &[0xFD]];
/// The hellos by rate and channels.
static HELLOS: [[[&[u8]; 3]; 6]; 4] = [hellos(RATE[0]), hellos(RATE[1]), hellos(RATE[2]), hellos(RATE[3])];

const fn hellos(rate: &'static [u8]) -> [[&'static [u8]; 3]; 6] {
    let [a, b, c, d, e, f] = START;
    [
        [VERSION, rate, a],
        [VERSION, rate, b],
        [VERSION, rate, c],
        [VERSION, rate, d],
        [VERSION, rate, e],
        [VERSION, rate, f],
    ]
}

/// Sets the analogue output to the value that follows.
const OUTPUT: u8 = 0xA3;

/// What is known of the board.
pub(in crate::decode) const FACTS: Facts = Facts {
    channels: &[1, 2, 3, 4, 5, 6],
    rates: Rates::Of(RATES),
    ..Facts::board("bitalino", 115_200, |of| Box::new(Boards::new(Bitalino::new(of.channels, of.rate))))
};

/// A BITalino.
#[derive(Debug)]
pub struct Bitalino {
    /// From 1 to 6.
    channels: u8,
    rate: u16,
    /// Bytes of a frame.
    length: usize,
    /// Whether it streams, as far as the commands say that were effect.
    streams: Option<bool>,
    /// The rate that a program set for the next stream, and whether the next byte is a value.
    set: Option<u16>,
    value: bool,
}

impl Bitalino {
    /// One with its first so many channels, six if not said, at this rate, 1000 Hz if not said.
    #[must_use]
    pub fn new(channels: Option<u8>, rate: Option<u16>) -> Self {
        let channels = channels.unwrap_or(6).clamp(1, 6);
        let length = FRAMES.get(usize::from(channels) - 1).copied().unwrap_or(FRAME);
        let (streams, set, value) = (None, None, false);
        Self { channels, rate: rate.unwrap_or(1000), length, streams, set, value }
    }
}

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

impl Bitalino {
    /// Commands are recognised by their last two bits, and some of them mean another thing while the board streams.
    fn command(&mut self, byte: u8) -> BoardCommand {
        if std::mem::take(&mut self.value) {
            return BoardCommand::Other;
        }
        match byte {
            // Also a threshold of the battery, but only of a board that has stopped.
            0x00 | 0xFF => {
                (self.streams, self.set) = (Some(false), None);
                BoardCommand::Stop
            }
            OUTPUT => {
                self.value = true;
                BoardCommand::Other
            }
            // It looks at no other command while it streams.
            _ if self.streams == Some(true) => BoardCommand::Other,
            0x03 | 0x43 | 0x83 | 0xC3 => {
                self.set = RATES.get(usize::from(byte >> 6)).copied();
                BoardCommand::Other
            }
            // Of the channels with a bit from the third on, measured or made up.
            start if matches!(start & 3, 1 | 2) && start > 3 => {
                let channels = (start >> 2).count_ones() as u8;
                let rate = self.set.take().unwrap_or(self.rate);
                *self = Self { streams: Some(true), ..Self::new(Some(channels), Some(rate)) };
                BoardCommand::Start
            }
            _ => BoardCommand::Other,
        }
    }
}

impl Board for Bitalino {
    /// A frame of noise is right in one of 16 cases, and in order in one of 16 of these.
    const CONFIRM: usize = 4;
    const ANSWER_END: Option<&'static [u8]> = Some(b"\n");

    fn device(&self) -> Device {
        let (protocol, rate, channels) = ("bitalino", f64::from(self.rate), self.channels.into());
        Device { protocol, channels, rate, packet_rate: rate, volts: false, modulus: 16, rails: RAILS }
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        match bytes.get(..self.length) {
            None => Segment::More,
            Some(frame) if right(frame) => Segment::Frame(self.length),
            Some(_) => Segment::Damaged,
        }
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some((byte(frame, self.length - 1) >> 4).into())
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        // From the end: number and checksum, digital inputs, then the channels, without gaps.
        let bits = frame.iter().take(FRAME).rev().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let bits = bits << (8 * (FRAME - self.length));
        let channels = [(42, 10), (32, 10), (22, 10), (12, 10), (6, 6), (0, 6)];
        let channels = channels.into_iter().take(self.channels.into());
        values.extend(channels.map(|(low, width)| (bits >> low & ((1 << width) - 1)) as f32));
    }

    fn observe_command(&mut self, said: &[u8]) -> CommandEffect {
        let before = self.device();
        let mut effect = CommandEffect::default();
        said.iter().for_each(|byte| effect.add(self.command(*byte)));
        CommandEffect { changed: self.device() != before, ..effect }
    }

    /// The version, the rate, and the channels.
    fn handshake(&self) -> &'static [&'static [u8]] {
        let rate = RATES.iter().position(|rate| *rate == self.rate).unwrap_or(3);
        let row = HELLOS.get(rate).and_then(|row| row.get(usize::from(self.channels) - 1));
        row.map_or(&[], |hello| hello.as_slice())
    }

    fn stop_stream(&self) -> &'static [u8] {
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
        let mut board = Bitalino::new(None, None);
        assert_eq!(board.counter(&frame), Some(9));
        let mut values = Vec::new();
        board.samples(&frame, &mut values);
        assert_eq!(values, [1.0, 1023.0, 2.0, 3.0, 63.0, 5.0]);
        // One of the 16 checksums is right, and not if a bit is wrong.
        let right: Vec<u8> =
            (0..16).filter(|crc| right(&[&frame[..7], &[frame[7] | crc]].concat())).collect();
        assert_eq!(right.len(), 1);
        frame[7] |= right[0];
        assert_eq!(board.classify(&frame, false), Segment::Frame(8));
        frame[3] ^= 0x10;
        assert_eq!(board.classify(&frame, false), Segment::Damaged);
    }

    #[test]
    fn a_board_that_was_stopped_by_any_command_begins_anew() {
        use crate::decode::{Decoder, board::Boards};
        let frame = |number: u8| {
            (0..16).map(|crc| [0, 0, 0, 0, 0, 0, 0, number << 4 | crc]).find(|frame| right(frame)).unwrap()
        };
        let frames: Vec<u8> = (0..10).flat_map(frame).collect();
        for (stop, want) in [(&[0x00][..], 0), (&[0xFF], 0), (&[0xA3, 0x00], 6)] {
            let mut decoder = Boards::new(Bitalino::new(Some(6), None));
            let mut lost = 0;
            let mut out = |body: crate::event::Body<'_>| {
                if let crate::event::Body::Lost(decoded) = body {
                    lost += decoded.packets;
                }
            };
            decoder.observe_command(&[0xFD], &mut out);
            decoder.decode(&frames, &mut out);
            // A board that streams looks at no start.
            decoder.observe_command(stop, &mut out);
            decoder.observe_command(&[0xFD], &mut out);
            decoder.decode(&frames, &mut out);
            assert_eq!(lost, want, "{stop:x?}");
        }
    }

    #[test]
    fn what_a_program_tells_it_is_read_along() {
        let mut board = Bitalino::new(Some(6), None);
        let effects = |board: &mut Bitalino, bytes: &[u8]| {
            bytes
                .iter()
                .map(|byte| board.command(*byte))
                .filter(|command| *command != BoardCommand::Other)
                .collect::<Vec<_>>()
        };
        // Version, state, a threshold, 100 Hz, and channels 1 and 3.
        assert_eq!(effects(&mut board, &[0x07, 0x0B, 0x3C, 0x83, 0x15]), [BoardCommand::Start]);
        assert_eq!((board.channels, board.rate, board.length), (2, 100, 4));
        // Its outputs while it streams, and what it then does not look at: a start, a rate.
        assert_eq!(effects(&mut board, &[0xB3, 0xA3, 0x15, 0xA3, 0, 0x05, 0xC3]), []);
        assert_eq!((board.channels, board.rate), (2, 100));
        assert_eq!(effects(&mut board, &[0x00, 0x05]), [BoardCommand::Stop, BoardCommand::Start]);
        assert_eq!((board.channels, board.rate, board.length), (1, 100, 3));
        assert_eq!(effects(&mut board, &[0xFF, 0xC3, 0xFE]), [BoardCommand::Stop, BoardCommand::Start]);
        assert_eq!((board.channels, board.rate, board.length), (6, 1000, 8));
    }

    #[test]
    fn fewer_channels_make_shorter_frames() {
        // The maker's reader takes the first channel of any frame from the 10 bits before the digital inputs.
        for (channels, length) in [(1_usize, 3_usize), (2, 4), (3, 6), (4, 7), (5, 8), (6, 8)] {
            let mut frame = vec![0; length];
            frame[length - 2] = 0b0000_0101;
            frame[length - 3] = 0b0000_1100;
            let mut board = Bitalino::new(Some(channels as u8), Some(100));
            let mut values = Vec::new();
            board.samples(&frame, &mut values);
            assert_eq!((values.len(), values[0]), (channels, 323.0));
            let start = 1 | ((1 << channels) - 1) << 2;
            assert_eq!(board.handshake(), [&[0x07][..], &[0x83], &[start as u8]]);
        }
    }
}
