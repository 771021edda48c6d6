//! Upside Down Labs' boards with the Chords firmware, 1 to 16 channels: `C7 7C`, a number, 16 bits a channel,
//! `01`.
//!
//! The layout and the list of boards are those of the firmware (Chords-Arduino-Firmware) and of the maker's
//! reader (Chords-Python). How many channels there are is learnt from the frames, the rate from the board's
//! name. What is between electrode and converter is not known: values are counts.

use super::board::{Board, Piece, byte, uint16};
use crate::event::{Device, Rails};

/// Bytes before the channels, and the one after them.
const HEADER: usize = 3;
/// The most channels of any board.
const CHANNELS: usize = 16;
const MARK: [u8; 2] = [0xC7, 0x7C];
const END: u8 = 0x01;

/// How the boards call themselves, or begin to, samples a second, and the largest number of their converter.
const BOARDS: &[(&str, f64, f32)] = &[
    ("UNO-R3", 250.0, 1023.0),
    ("UNO-CLONE", 250.0, 1023.0),
    ("GENUINO-UNO", 250.0, 1023.0),
    ("NANO-", 250.0, 1023.0),
    ("MEGA-2560-", 250.0, 1023.0),
    ("UNO-R4", 500.0, 16_383.0),
    ("GIGA-R1", 500.0, 65_535.0),
    ("RPI-PICO-RP2040", 500.0, 4095.0),
    ("NPG-LITE", 500.0, 4095.0),
    ("STM32", 500.0, 4095.0),
];

/// A board, of which only the protocol is known at first.
#[derive(Debug)]
pub struct Chords {
    /// Bytes of a frame, while that is known.
    length: Option<usize>,
    /// Six, as most boards have, unless seen otherwise.
    channels: u16,
    rate: f64,
    rails: Rails,
}

impl Default for Chords {
    fn default() -> Self {
        Self { length: None, channels: 6, rate: 500.0, rails: Rails::Unknown }
    }
}

impl Board for Chords {
    const ANSWER_END: Option<&'static [u8]> = Some(b"\n");

    fn device(&self) -> Device {
        let Self { channels, rate, rails, .. } = *self;
        Device { protocol: "chords", channels, rate, packet_rate: rate, volts: false, modulus: 256, rails }
    }

    fn piece(&self, bytes: &[u8], last: bool) -> Piece {
        if bytes.iter().zip(MARK).any(|(is, mark)| *is != mark) {
            return Piece::No;
        }
        if let Some(length) = self.length {
            return match bytes.get(length - 1) {
                None => Piece::More,
                Some(&END) => Piece::Frame(length),
                Some(_) => Piece::No,
            };
        }
        for length in (1..=CHANNELS).map(|channels| HEADER + 2 * channels + 1) {
            match (bytes.get(length - 1), bytes.get(length..)) {
                (Some(&END), Some([first, second, ..])) if [*first, *second] == MARK => {
                    return Piece::Frame(length);
                }
                (Some(&END), Some([])) if last => return Piece::Frame(length),
                (None, _) | (Some(&END), Some([] | [0xC7])) => return Piece::More,
                _ => {}
            }
        }
        Piece::No
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 2).into())
    }

    fn hear(&mut self, text: &str) -> bool {
        let Some((_, rate, most)) = BOARDS.iter().find(|(name, ..)| text.starts_with(name)) else {
            return false;
        };
        let before = (self.rate, self.rails);
        (self.rate, self.rails) = (*rate, Rails::All(0.0, *most));
        before != (self.rate, self.rails)
    }

    fn meet(&mut self, frame: &[u8]) -> bool {
        self.length = Some(frame.len());
        // At most 16.
        let channels = ((frame.len() - HEADER) / 2) as u16;
        std::mem::replace(&mut self.channels, channels) != channels
    }

    fn lost(&mut self) {
        self.length = None;
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let words = frame.get(HEADER..).unwrap_or_default().chunks_exact(2);
        values.extend(words.map(|word| f32::from(uint16(word))));
    }

    fn end(&mut self) {
        *self = Self::default();
    }

    /// Asks for the board's name and starts the stream.
    fn hello(&self) -> &'static [&'static [u8]] {
        &[b"WHORU\n", b"START\n"]
    }

    fn goodbye(&self) -> &'static [u8] {
        b"STOP\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the description: number 7; 8192, 0, 16383, 1, 2, 3.
    const FRAME: [u8; 16] = [0xC7, 0x7C, 7, 0x20, 0, 0, 0, 0x3F, 0xFF, 0, 1, 0, 2, 0, 3, 1];

    #[test]
    fn the_channels_are_counted() {
        let mut board = Chords::default();
        let stream = [FRAME, FRAME].concat();
        assert_eq!(board.piece(&stream, false), Piece::Frame(16));
        assert_eq!(board.piece(&FRAME, false), Piece::More);
        assert_eq!(board.counter(&FRAME), Some(7));
        assert!(!board.meet(&FRAME));
        let mut values = Vec::new();
        board.samples(&FRAME, &mut values);
        assert_eq!(values, [8192.0, 0.0, 16383.0, 1.0, 2.0, 3.0]);
        assert_eq!(board.device().channels, 6);
        assert!(board.meet(&[0; 10]) && board.device().channels == 3);
    }

    #[test]
    fn the_rate_is_that_of_the_board() {
        let mut board = Chords::default();
        assert!(board.hear("UNO-R3\r\n") && board.device().rate == 250.0);
        assert!(!board.hear("START\n") && board.hear("UNO-R4\n") && board.device().rate == 500.0);
    }
}
