//! How a board is set: its gains, and whether a Daisy is on it. Learnt from what it answers and from what a program
//! tells it through a tap.
//!
//! Commands are those of the Cyton SDK, answers and registers those of firmware 3 (OpenBCI_32bit_Library.cpp). What
//! does not change a voltage is only stepped over: channels that are off, references, test signals. A board that
//! streams carries a command out without a word; one that does not says if it failed.

use super::super::CommandEffect;
use super::{CHANNELS, GAIN, GAINS, SCALE};
use crate::event::Rails;

/// Channels of a board with a Daisy.
const ALL: usize = 2 * CHANNELS;
/// How commands call channels (Cyton SDK).
const NAMES: &[u8; ALL] = b"12345678QWERTYUI";
/// Frames of which it is judged whether two boards take turns: three seconds.
const WINDOW: u32 = 750;
/// By how much two frames in a row must differ more than those two apart, as power. A Cyton comes nowhere near: what
/// its converters let through below 83 Hz differs more over two samples than over one.
const APART: f64 = 6.0;

/// What is known of a board.
#[derive(Debug)]
pub(super) struct Setup {
    gains: [u8; ALL],
    /// The gains before the command that was not answered yet.
    before: Option<[u8; ALL]>,
    /// Whether it sends 16 channels, if it said so.
    pub(super) daisy: Option<bool>,
    /// A command that is not complete.
    partial: Vec<u8>,
    word: Option<String>,
}

impl Setup {
    /// One whose channels have this gain, 24 if not said.
    pub(super) fn new(gain: Option<u8>) -> Self {
        let gains = [gain.unwrap_or(GAIN).max(1); ALL];
        Self { gains, before: None, daisy: None, partial: Vec::with_capacity(16), word: None }
    }

    /// Volts of one count of a channel, from 0.
    pub(super) fn scale(&self, channel: usize) -> f64 {
        SCALE / f64::from(self.gains.get(channel).copied().unwrap_or(GAIN))
    }

    pub(super) fn rails(&self) -> Rails {
        Rails::amplified(24, SCALE, &self.gains)
    }

    /// What a person should know, once.
    pub(super) fn notice(&mut self) -> Option<String> {
        self.word.take()
    }

    /// Hears what the board wrote, and says whether it is set otherwise than was known.
    pub(super) fn handle_text(&mut self, text: &str) -> bool {
        let was = self.gains;
        let says = |words: &str| text.contains(words);
        if says("Timeout processing multi byte message") {
            self.partial.clear();
        }
        let before = self.before.take();
        if says("Failure") {
            self.gains = before.unwrap_or(self.gains);
        } else if says("On Board ADS1299") {
            // It restarts. The line of a Daisy is there only if it answered.
            self.gains = [GAIN; ALL];
            self.daisy = Some(says("On Daisy ADS1299"));
        } else if says("Board ADS Registers") {
            self.read_registers(text);
        } else if says("channel settings to default") {
            self.gains = [GAIN; ALL];
        } else if says("daisy removed") || says("no daisy to") {
            self.daisy = Some(false);
        } else if says("daisy attached") || text.trim() == "16$$$" {
            self.daisy = Some(true);
        }
        self.changed(was)
    }

    /// `CH1SET, 05, 68, 0, 1, 1, 0, 1, 0, 0, 0`: bits 4 to 6 are the gain (ADS1299).
    fn read_registers(&mut self, text: &str) {
        let (board, daisy) =
            text.split_once("Daisy ADS Registers").map_or((text, None), |(a, b)| (a, Some(b)));
        self.daisy = Some(daisy.is_some());
        for (first, part) in [(0, board), (CHANNELS, daisy.unwrap_or_default())] {
            for line in part.lines() {
                let mut fields = line.trim().split(", ");
                let number = fields.next().and_then(|name| name.strip_prefix("CH")?.strip_suffix("SET"));
                let number = number.and_then(|number| number.parse::<usize>().ok());
                let value = fields.nth(1).and_then(|value| u8::from_str_radix(value, 16).ok());
                let gain = value.and_then(|value| GAINS.get(usize::from(value >> 4 & 7)));
                let place = number.filter(|number| (1..=CHANNELS).contains(number)).map(|n| first + n - 1);
                let place = place.and_then(|place| self.gains.get_mut(place));
                if let (Some(place), Some(gain)) = (place, gain) {
                    *place = *gain;
                }
            }
        }
    }

    /// Hears what a program sent the board.
    pub(super) fn observe_command(&mut self, said: &[u8]) -> CommandEffect {
        let was = self.gains;
        let (mut starts, mut stops) = (false, false);
        for &byte in said {
            self.partial.push(byte);
            if self.partial.len() < length(&self.partial) {
                continue;
            }
            let command = std::mem::take(&mut self.partial);
            starts |= command == b"b";
            stops |= command == b"s";
            self.command(&command);
            self.partial = command;
            self.partial.clear();
        }
        CommandEffect { starts, stops, changed: self.changed(was) }
    }

    fn command(&mut self, command: &[u8]) {
        match *command {
            [b'x', channel, _, gain, _, _, _, _, b'X'] => {
                let channel = NAMES.iter().position(|name| *name == channel);
                let gain = GAINS.get(usize::from(gain.wrapping_sub(b'0')));
                if let Some((channel, gain)) = channel.zip(gain) {
                    let before = self.gains;
                    if let Some(place) = self.gains.get_mut(channel) {
                        *place = *gain;
                        self.before = Some(before);
                    }
                }
            }
            [b'd' | b'v'] => {
                self.before = Some(self.gains);
                self.gains = [GAIN; ALL];
            }
            // It goes without a Daisy if there is one.
            [b'c'] => self.daisy = Some(false),
            _ => {}
        }
    }

    fn changed(&mut self, was: [u8; ALL]) -> bool {
        if self.gains == was {
            return false;
        }
        let list: Vec<String> = self.gains.iter().map(u8::to_string).collect();
        let used = if self.daisy == Some(true) { ALL } else { CHANNELS };
        let list = list.get(..used).unwrap_or_default().join(" ");
        self.word = Some(format!("the gains of the board's channels are {list}; volts are for these"));
        true
    }
}

/// How many bytes a command has that begins so.
fn length(partial: &[u8]) -> usize {
    match *partial {
        [b'x', ..] => 9,
        [b'z', ..] => 5,
        // What the dongle is sent.
        [0xF0, 1 | 2 | 4, ..] => 3,
        [0xF0 | b'~' | b'/' | b'`', ..] => 2,
        _ => 1,
    }
}

/// Whether two boards take turns in a stream, as a Cyton and its Daisy do: frames in a row then hold other channels.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The two frames before, and their numbers.
    last: [Option<(u8, [i32; CHANNELS])>; 2],
    /// How much frames in a row differ, and those two apart, by channel.
    apart: [[f64; 2]; CHANNELS],
    frames: u32,
    /// Windows in a row that say so.
    windows: u32,
}

impl Turns {
    /// Looks at a frame.
    pub(super) fn add(&mut self, number: u8, counts: &[i32; CHANNELS]) {
        let [one, two] = self.last;
        if let (Some((a, one)), Some((b, two))) = (one, two)
            && (a.wrapping_add(1), b.wrapping_add(2)) == (number, number)
        {
            for (((apart, now), one), two) in self.apart.iter_mut().zip(counts).zip(one).zip(two) {
                let square = |before: i32| f64::from(now - before) * f64::from(now - before);
                *apart = [apart[0] + square(one), apart[1] + square(two)];
            }
            self.frames += 1;
        }
        self.last = [Some((number, *counts)), one];
        if self.frames >= WINDOW {
            // Channels that stand still say nothing.
            let moving = self.apart.iter().filter(|[one, _]| *one > 0.0).count();
            let turns = self.apart.iter().filter(|[one, two]| *one > APART * two).count();
            self.windows = if turns > 0 && 2 * turns > moving { self.windows + 1 } else { 0 };
            (self.apart, self.frames) = ([[0.0; 2]; CHANNELS], 0);
        }
    }

    /// Whether they do, in two windows in a row.
    pub(super) fn taken(&self) -> bool {
        self.windows >= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gains(setup: &Setup) -> Vec<u8> {
        setup.gains.to_vec()
    }

    #[test]
    fn a_program_sets_gains_while_it_streams_and_while_not() {
        let mut setup = Setup::new(None);
        // Cut anywhere, and between other commands.
        let said = b"sx1000110Xz310Z~6/4xQ030110X\xf0\x07`bb";
        let heard: Vec<CommandEffect> = said.chunks(2).map(|piece| setup.observe_command(piece)).collect();
        assert_eq!(heard.iter().filter(|heard| heard.changed).count(), 2);
        assert_eq!(heard.iter().filter(|heard| heard.starts).count(), 1, "a marker is no start");
        let mut want = vec![24; 16];
        (want[0], want[8]) = (1, 6);
        assert_eq!(gains(&setup), want);
        assert!((setup.scale(0) / setup.scale(1) - 24.0).abs() < 1e-9);
        let (low, high) = setup.rails().of(0).unwrap();
        assert!((high - 4.5).abs() < 1e-5 && (low + 4.5).abs() < 1e-5);
        assert!((setup.rails().of(1).unwrap().1 - 0.1875).abs() < 1e-6);
        assert!(setup.notice().unwrap().contains("1 24 24 24"));
        // A board that does not stream says that it did not do it.
        assert!(setup.observe_command(b"x2000110X").changed);
        assert!(setup.handle_text("Failure: Communications timeout - Device failed to poll Host$$$"));
        assert_eq!(gains(&setup), want);
        assert!(setup.observe_command(b"x2000110X").changed);
        assert!(
            !setup.handle_text("Success: Channel set for 2$$$")
                && !setup.handle_text("Failure: something else$$$")
        );
        want[1] = 1;
        assert_eq!(gains(&setup), want);
        // What is no setting: another end, no such gain, no such channel, half of one.
        for no in [&b"x1000110Y"[..], b"x1070110X", b"xa000110X", b"x10"] {
            assert_eq!(setup.observe_command(no), CommandEffect::default());
        }
        assert!(!setup.handle_text(
            "Timeout processing multi byte message - please send all commands at once as of v2$$$"
        ));
        assert!(setup.observe_command(b"d").changed);
        assert_eq!(gains(&setup), [24; 16]);
    }

    #[test]
    fn registers_say_gains_and_modules() {
        let chip = |gain: u8| -> String {
            let line =
                |n: u8| format!("CH{n}SET, {:02X}, {:02X}, 0, 0, 0, 0, 1, 0, 0, 0\r\n", n + 4, gain << 4 | 8);
            (1..=8).map(line).collect()
        };
        let mut setup = Setup::new(Some(24));
        let cyton = format!(
            "\r\nBoard ADS Registers\r\nADS_ID, 00, 3E, 0, 0, 1\r\n{}\r\nLIS3DH Registers\r\n$$$",
            chip(0)
        );
        assert!(setup.handle_text(&cyton));
        assert_eq!((gains(&setup)[..9].to_vec(), setup.daisy), ([&[1; 8][..], &[24]].concat(), Some(false)));
        let daisy = format!("Board ADS Registers\r\n{}Daisy ADS Registers\r\n{}$$$", chip(6), chip(3));
        assert!(setup.handle_text(&daisy));
        assert_eq!((gains(&setup), setup.daisy), ([[24; 8], [6; 8]].concat(), Some(true)));
        assert!(!setup.handle_text(&daisy));
        assert!(
            setup.handle_text(
                "OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\nFirmware: v3.1.2\n$$$"
            )
        );
        assert_eq!((gains(&setup), setup.daisy), (vec![24; 16], Some(false)));
        for (text, daisy) in [
            ("daisy attached16$$$", true),
            ("daisy removed$$$", false),
            ("16$$$", true),
            ("no daisy to attach!8$$$", false),
            ("v3.1.2$$$", false),
            ("On Board ADS1299 Device ID: 0x3E\nOn Daisy ADS1299 Device ID: 0x3E\n$$$", true),
        ] {
            setup.handle_text(text);
            assert_eq!(setup.daisy, Some(daisy), "{text}");
        }
    }

    #[test]
    fn turns_are_seen_in_samples_and_nothing_else_is() {
        let taken = |signal: &dyn Fn(u32, usize) -> f64| {
            let mut turns = Turns::default();
            for n in 0..2000_u32 {
                turns.add(n as u8, &std::array::from_fn(|channel| signal(n, channel) as i32));
            }
            turns.taken()
        };
        let mut dice = 1_u64;
        let noise = std::cell::RefCell::new(move || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 40) as f64 / 16_777_216.0 - 0.5
        });
        let wave = |n: u32, hertz: f64| (f64::from(n) * std::f64::consts::TAU * hertz / 250.0).sin();
        // Electrodes have offsets of millivolts: other ones on the Daisy.
        let offsets = |n: u32, at: usize| 1e5 * (at as f64 + 3.0 * f64::from(n % 2));
        assert!(taken(&|n, at| offsets(n, at) + 500.0 * wave(n, 10.0) + 900.0 * noise.borrow_mut()()));
        // A Cyton with hum, with much of what its filters still let through, with noise alone, with a test signal,
        // with nothing.
        assert!(!taken(&|n, at| 1e5 * at as f64 + 9000.0 * wave(n, 60.0)));
        assert!(!taken(&|n, _| 9000.0 * wave(n, 50.0) + 3000.0 * wave(n, 100.0)));
        assert!(!taken(&|_, _| 9000.0 * noise.borrow_mut()()));
        assert!(!taken(&|n, _| f64::from(n / 125 % 2) * 1e5));
        assert!(!taken(&|_, at| at as f64));
    }
}
