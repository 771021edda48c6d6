//! Upside Down Labs' boards with the Chords firmware, 1 to 16 channels: `C7 7C`, a number, 16 bits a channel,
//! `01`.
//!
//! The layout and the list of boards are those of the firmware (Chords-Arduino-Firmware) and of the maker's
//! reader (Chords-Python). How many channels there are is learnt from the frames, the rate from the board's
//! name, which is one of those known or tells it itself; firmware is built for other rates too, under the same names,
//! so the rate can be set. What is between electrode and converter is not known: values are counts.
//!
//! Firmware of before November 2024 reads commands until nothing came for a second, so that two within a second are one
//! that it does not know.

use std::time::Duration;

use super::{Board, BoardCommand, Boards, CommandEffect, Segment, byte, uint16};
use crate::decode::facts::{Facts, Rates};
use crate::event::{Device, Rails};

/// Bytes before the channels, and the one after them.
const HEADER: usize = 3;
/// The most channels of any board.
const CHANNELS: usize = 16;
const MARK: [u8; 2] = [0xC7, 0x7C];
const END: u8 = 0x01;

/// How the boards call themselves, samples per second, and the largest number of their converter (the lists of
/// Chords-Arduino-Firmware, Chords-Web and Chords-Python, which differ for two boards: the firmware's is taken).
const BOARDS: &[(&str, f64, f32)] = &[
    ("UNO-R3", 250.0, 1023.0),
    ("UNO-CLONE", 250.0, 1023.0),
    ("GENUINO-UNO", 250.0, 1023.0),
    ("NANO-CLASSIC", 250.0, 1023.0),
    ("NANO-CLONE", 250.0, 1023.0),
    ("MEGA-2560-R3", 250.0, 1023.0),
    ("MEGA-2560-CLONE", 250.0, 1023.0),
    ("UNO-R4", 500.0, 16_383.0),
    ("GIGA-R1", 500.0, 65_535.0),
    ("RPI-PICO-RP2040", 500.0, 4095.0),
    ("NPG-LITE", 500.0, 4095.0),
    ("NPG-LITE-3CH", 500.0, 4095.0),
    ("NPG-LITE-6CH", 500.0, 4095.0),
    ("STM32F4-BLACK-PILL", 500.0, 4095.0),
    ("STM32G4-CORE-BOARD", 500.0, 4095.0),
    ("ESP32-S3", 500.0, 4095.0),
];
/// Samples per second that a board is taken for whose name says nothing of it.
const RATE: f64 = 500.0;
/// The longest name.
const NAME: usize = 48;

/// The rate that a name tells by itself, as that of `UNO-R4-2CH-1KHZ`.
fn named(name: &str) -> Option<f64> {
    let last = name.rsplit(['-', '_', ' ']).next()?.to_ascii_uppercase();
    let (digits, times) = match last.strip_suffix("KHZ") {
        Some(digits) => (digits, 1000.0),
        None => (last.strip_suffix("HZ")?, 1.0),
    };
    let rate = digits.parse::<f64>().ok()? * times;
    (1.0..=100_000.0).contains(&rate).then_some(rate)
}

/// Whether a text is a name, and not a word or what a board says of a command.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.len() <= NAME && text.contains('-') && text.chars().all(plain)
}

/// What is known of the boards.
pub(in crate::decode) const FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("chords", 230_400, |of| Box::new(Boards::new(Chords::default()).at(of.rate)))
};

/// A board, of which only the protocol is known at first.
#[derive(Debug)]
pub struct Chords {
    /// Bytes of a frame, while that is known.
    length: Option<usize>,
    /// Six, as most boards have, unless seen otherwise.
    channels: u16,
    rate: f64,
    rails: Rails,
    /// The name, if it is unknown, until it is reported.
    stranger: Option<String>,
    /// The last bytes that a program wrote.
    said: [u8; 5],
}

impl Default for Chords {
    fn default() -> Self {
        Self { length: None, channels: 6, rate: RATE, rails: Rails::Unknown, stranger: None, said: [0; 5] }
    }
}

impl Chords {
    fn command(&mut self, byte: u8) -> BoardCommand {
        self.said.rotate_left(1);
        self.said[4] = byte.to_ascii_uppercase();
        match &self.said {
            b"START" => BoardCommand::Start,
            [_, b'S', b'T', b'O', b'P'] => BoardCommand::Stop,
            _ => BoardCommand::Other,
        }
    }
}

impl Board for Chords {
    const ANSWER_END: Option<&'static [u8]> = Some(b"\n");
    const PAUSE: Duration = Duration::from_millis(1200);

    fn device(&self) -> Device {
        let Self { channels, rate, rails, .. } = *self;
        Device { protocol: "chords", channels, rate, packet_rate: rate, volts: false, modulus: 256, rails }
    }

    fn classify(&self, bytes: &[u8], last: bool) -> Segment {
        if bytes.iter().zip(MARK).any(|(is, mark)| *is != mark) {
            return Segment::No;
        }
        if let Some(length) = self.length {
            return match bytes.get(length - 1) {
                None => Segment::More,
                Some(&END) => Segment::Frame(length),
                Some(_) => Segment::No,
            };
        }
        for length in (1..=CHANNELS).map(|channels| HEADER + 2 * channels + 1) {
            match (bytes.get(length - 1), bytes.get(length..)) {
                (Some(&END), Some([first, second, ..])) if [*first, *second] == MARK => {
                    return Segment::Frame(length);
                }
                (Some(&END), Some([])) if last => return Segment::Frame(length),
                (None, _) | (Some(&END), Some([] | [0xC7])) => return Segment::More,
                _ => {}
            }
        }
        Segment::No
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 2).into())
    }

    fn handle_text(&mut self, text: &str) -> bool {
        let name = text.trim();
        let before = (self.rate, self.rails);
        if let Some((_, rate, most)) = BOARDS.iter().find(|board| board.0.eq_ignore_ascii_case(name)) {
            (self.rate, self.rails) = (*rate, Rails::All(0.0, *most));
        } else if is_name(name) {
            // It is another program on a board that may be known: of its converter nothing is.
            (self.rate, self.rails) = (named(name).unwrap_or(RATE), Rails::Unknown);
            self.stranger = named(name).is_none().then(|| name.to_owned());
        }
        before != (self.rate, self.rails)
    }

    fn observe_command(&mut self, said: &[u8]) -> CommandEffect {
        let before = self.device();
        let mut effect = CommandEffect::default();
        said.iter().for_each(|byte| effect.add(self.command(*byte)));
        CommandEffect { changed: self.device() != before, ..effect }
    }

    fn notice(&mut self) -> Option<String> {
        let name = self.stranger.take()?;
        Some(format!(
            "the board calls itself {name}, of which no rate is known; {RATE} samples per second are taken for it, unless \
             `rate` says another"
        ))
    }

    fn identify(&mut self, frame: &[u8]) -> bool {
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

    /// Another board may be there next; it is asked for its name.
    fn end(&mut self) {
        *self = Self::default();
    }

    /// Asks for the board's name and starts the stream.
    fn handshake(&self) -> &'static [&'static [u8]] {
        &[b"WHORU\n", b"START\n"]
    }

    fn stop_stream(&self) -> &'static [u8] {
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
        assert_eq!(board.classify(&stream, false), Segment::Frame(16));
        assert_eq!(board.classify(&FRAME, false), Segment::More);
        assert_eq!(board.counter(&FRAME), Some(7));
        assert!(!board.identify(&FRAME));
        let mut values = Vec::new();
        board.samples(&FRAME, &mut values);
        assert_eq!(values, [8192.0, 0.0, 16383.0, 1.0, 2.0, 3.0]);
        assert_eq!(board.device().channels, 6);
        assert!(board.identify(&[0; 10]) && board.device().channels == 3);
    }

    #[test]
    fn the_rate_is_that_of_the_board() {
        let mut board = Chords::default();
        assert!(board.handle_text("UNO-R3\r\n") && board.device().rate == 250.0);
        assert!(
            !board.handle_text("START\n") && board.handle_text("UNO-R4\n") && board.device().rate == 500.0
        );
        for (name, rate, known) in [
            ("UNO-R4-2CH-1KHZ\r\n", 1000.0, true),
            ("UNO-R3", 250.0, true),
            ("my-board-200Hz", 200.0, true),
            ("NPG-LITE-6CH", 500.0, true),
            ("UNO-R4-WIFI", 500.0, false),
            ("UNO-R3-0HZ", 500.0, false),
        ] {
            let mut board = Chords::default();
            board.handle_text(name);
            assert_eq!((board.device().rate, board.notice().is_none()), (rate, known), "{name}");
            assert_eq!(board.notice(), None, "said once");
        }
        assert!(!board.handle_text("ACQUISITION_STARTED\n") && board.notice().is_none());
        // The converter of a board with another program is not known.
        assert!(board.handle_text("UNO-R4-2CH-1KHZ") && board.device().rails == Rails::Unknown);
        // The next connection may be to another board, and is as new.
        board.end();
        assert_eq!(board.device(), Chords::default().device());
    }

    #[test]
    fn a_rate_that_is_set_is_that_of_any_board() {
        use crate::decode::{Decoder, board::Boards};
        let mut decoder = Boards::new(Chords::default()).at(Some(250));
        let mut rates = Vec::new();
        let mut out = |body: crate::event::Body<'_>| {
            if let crate::event::Body::Device(device) = body {
                rates.push((device.rate, device.packet_rate));
            }
        };
        decoder.decode(b"UNO-R4\r\n", &mut out);
        assert_eq!(rates, [(250.0, 250.0); 2]);
    }

    #[test]
    fn commands_are_words_however_they_are_ended() {
        let effects = |text: &str| {
            let mut board = Chords::default();
            text.bytes()
                .map(|byte| board.command(byte))
                .filter(|command| *command != BoardCommand::Other)
                .collect::<Vec<_>>()
        };
        assert_eq!(effects("WHORU\nSTART\nSTATUS\nSTOP\n"), [BoardCommand::Start, BoardCommand::Stop]);
        assert_eq!(effects("stopstart"), [BoardCommand::Stop, BoardCommand::Start]);
    }
}
