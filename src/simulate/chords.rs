//! Upside Down Labs' boards with the Chords firmware.
//!
//! Frames, commands and the list of boards are those of the firmware and of the maker's reader.

use std::time::Duration;

use super::{Board, Converter, Event, Facts, Output, USB};

/// How a board calls itself, samples per second, channels, bits.
const BOARDS: &[(&str, f64, usize, u32)] = &[
    ("UNO-R4", 500.0, 6, 14),
    ("UNO-R3", 250.0, 6, 10),
    ("UNO-CLONE", 250.0, 6, 10),
    ("GENUINO-UNO", 250.0, 6, 10),
    ("NANO-CLONE", 250.0, 8, 10),
    ("NANO-CLASSIC", 250.0, 8, 10),
    ("MEGA-2560-R3", 250.0, 16, 10),
    ("MEGA-2560-CLONE", 250.0, 16, 10),
    ("GIGA-R1", 500.0, 6, 16),
    ("RPI-PICO-RP2040", 500.0, 3, 12),
    ("NPG-LITE", 500.0, 3, 12),
    ("STM32F4-BLACK-PILL", 500.0, 8, 12),
    ("STM32G4-CORE-BOARD", 500.0, 16, 12),
];
/// Microvolts from one end of the converter to the other.
const SPAN: f64 = 4000.0;
/// The longest line that is listened to.
const LINE: usize = 64;

/// How long nothing comes before a board that reads until then reads a command.
const SILENCE: Duration = Duration::from_secs(1);

/// How commands are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Commands {
    /// By lines.
    #[default]
    Lines,
    /// All that comes until a second of silence is one, as with `readString`.
    Silence,
}

/// One of the boards.
#[derive(Debug)]
pub struct Chords {
    name: &'static str,
    rate: f64,
    channels: usize,
    bits: u32,
    streams: bool,
    runs: u32,
    line: Vec<u8>,
    commands: Commands,
    /// When something came last.
    heard: Duration,
    /// Whether it streamed when the line began.
    streamed: bool,
}

impl Chords {
    /// The board of this name, or the first of the list.
    ///
    /// # Errors
    /// If there is none, in words.
    pub fn new(name: Option<&str>, commands: Commands) -> Result<Self, String> {
        let known = || BOARDS.iter().map(|board| board.0).collect::<Vec<_>>().join(", ");
        let board = match name {
            None => BOARDS.first(),
            Some(name) => BOARDS.iter().find(|board| board.0.eq_ignore_ascii_case(name)),
        };
        let (name, rate, channels, bits) =
            *board.ok_or_else(|| format!("unknown Chords board; known: {}", known()))?;
        Ok(Self {
            name,
            rate,
            channels,
            bits,
            streams: false,
            runs: 0,
            line: Vec::new(),
            commands,
            heard: Duration::ZERO,
            streamed: false,
        })
    }

    /// Does what a line says.
    fn execute(&mut self, output: &mut Output) {
        let line = std::mem::take(&mut self.line);
        let streamed = std::mem::take(&mut self.streamed);
        match line.trim_ascii() {
            b"WHORU" => output.reply(format!("{}\r\n", self.name)),
            b"START" => {
                self.runs += 1;
                self.streams = true;
            }
            b"STATUS" => output.reply(if streamed { "START\r\n" } else { "STOP\r\n" }),
            _ => {}
        }
    }
}

impl Board for Chords {
    fn facts(&self) -> Facts {
        Facts { channels: self.channels, rate: self.rate, frame_rate: self.rate, latency: USB }
    }

    fn converter(&self, _channel: usize) -> Converter {
        Converter::unsigned(self.bits, SPAN / f64::from(1_u32 << self.bits.min(24)))
    }

    fn streaming(&self) -> Option<u32> {
        self.streams.then_some(self.runs)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        out.extend([0xC7, 0x7C, number as u8]);
        counts.iter().for_each(|count| out.extend((*count as u16).to_be_bytes()));
        out.push(1);
        1
    }

    fn receive(&mut self, at: Duration, bytes: &[u8], output: &mut Output) {
        self.heard = at;
        for byte in bytes {
            // Whatever comes stops the stream; the line says whether it starts again.
            self.streamed |= std::mem::take(&mut self.streams);
            if *byte == b'\n' && self.commands == Commands::Lines {
                self.execute(output);
            } else {
                self.line.push(*byte);
                self.line.truncate(LINE);
            }
        }
    }

    fn tick(&mut self, at: Duration, output: &mut Output) {
        if self.commands == Commands::Silence && !self.line.is_empty() && at >= self.heard + SILENCE {
            self.execute(output);
        }
    }

    fn handle_event(&mut self, event: Event, _said: &mut Output) {
        if matches!(event, Event::Reset | Event::Off) {
            self.streams = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_description() {
        let mut out = Vec::new();
        Chords::new(None, Commands::Lines).unwrap().frame(7, &[8192, 0, 16383, 1, 2, 3], &mut out);
        assert_eq!(out, [0xC7, 0x7C, 7, 0x20, 0, 0, 0, 0x3F, 0xFF, 0, 1, 0, 2, 0, 3, 1]);
    }

    #[test]
    fn what_comes_within_a_second_is_one_command_to_some() {
        let mut board = Chords::new(None, Commands::Silence).unwrap();
        let mut output = Output::default();
        let mut hear = |board: &mut Chords, ms: u64, bytes: &[u8]| {
            board.receive(Duration::from_millis(ms), bytes, &mut output);
            board.tick(Duration::from_millis(ms + 999), &mut output);
            let early = (output.replies.len(), board.streaming());
            board.tick(Duration::from_millis(ms + 1000), &mut output);
            (early, (output.replies.len(), board.streaming()))
        };
        assert_eq!(hear(&mut board, 0, b"WHORU\nSTART\n"), ((0, None), (0, None)));
        assert_eq!(hear(&mut board, 2000, b"WHORU\n"), ((0, None), (1, None)));
        assert_eq!(hear(&mut board, 4000, b"START\n"), ((1, None), (1, Some(1))));
    }

    #[test]
    fn lines_are_obeyed() {
        let mut board = Chords::new(Some("uno-r3"), Commands::Lines).unwrap();
        let mut output = Output::default();
        board.receive(Duration::ZERO, b"WHORU\nSTAR", &mut output);
        assert_eq!(output.replies[0].1, b"UNO-R3\r\n");
        assert_eq!(board.streaming(), None);
        board.receive(Duration::ZERO, b"T\r\n", &mut output);
        assert_eq!((board.streaming(), board.facts().rate), (Some(1), 250.0));
        board.receive(Duration::ZERO, b"STOP\n", &mut output);
        assert_eq!((board.streaming(), output.replies.len()), (None, 1));
        assert!(Chords::new(Some("UNO-R9"), Commands::Lines).unwrap_err().contains("UNO-R4"));
    }
}
