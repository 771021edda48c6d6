//! Commands of a Cyton, firmware 3.1, and its dongle, and their answers.

use std::fmt::Write;

use super::super::Output;
use super::{Cyton, GAINS, Test};

/// The commands that switch a channel off, and on.
const OFF: &[u8] = b"12345678qwertyui";
const ON: &[u8] = b"!@#$%^&*QWERTYUI";
/// How the commands for one channel call it.
const NAMES: &[u8] = b"12345678QWERTYUI";
const TIMEOUT: &str = "Failure: Communications timeout - Device failed to poll Host$$$";
const RATES: [u32; 7] = [16_000, 8000, 4000, 2000, 1000, 500, 250];
const MODES: [&str; 5] = ["default", "debug", "analog", "digital", "marker"];

impl Cyton {
    /// How many bytes a command has that begins so.
    pub(super) fn length(partial: &[u8]) -> usize {
        match partial {
            [0xF0, 1 | 2 | 4, ..] => 3,
            [b'x', ..] => 9,
            [b'z', ..] => 5,
            [0xF0 | b'~' | b'/' | b'`', ..] => 2,
            _ => 1,
        }
    }

    // Long: one arm for each command of the firmware.
    pub(super) fn command(&mut self, command: &[u8], output: &mut Output) {
        if let [0xF0, rest @ ..] = command {
            return self.dongle(rest, output);
        }
        if !self.powered {
            return output.reply(TIMEOUT);
        }
        let quiet = !self.streams;
        let mut answer = |text: String| {
            // A board that streams is silent about everything else.
            if quiet {
                output.reply(text + "$$$");
            }
        };
        match *command {
            [b'v'] => self.restart(output),
            [b'b'] => self.start(),
            [b's'] => self.streams = false,
            [b'V'] => answer("v3.1.2".to_owned()),
            [b'?'] => answer(self.registers()),
            [b'd'] => {
                self.defaults();
                answer("updating channel settings to default".to_owned());
            }
            [b'D'] => answer("060110".to_owned()),
            [b'c'] => {
                self.wide = false;
                answer("daisy removed".to_owned());
            }
            [b'C'] if !self.daisy => answer("no daisy to attach!8".to_owned()),
            [b'C'] => {
                let wide = std::mem::replace(&mut self.wide, true);
                answer(if wide { "16" } else { "daisy attached16" }.to_owned());
            }
            [b'<'] => {
                (self.stamped, self.stamp_set) = (true, true);
                answer("Time stamp ON".to_owned());
            }
            [b'>'] => {
                (self.stamped, self.stamp_set) = (false, false);
                answer("Time stamp OFF".to_owned());
            }
            [b'~', b'~'] => answer(format!("Success: Sample rate is {}Hz", self.rate)),
            [b'~', digit] => match RATES.get(usize::from(digit.wrapping_sub(b'0'))) {
                Some(rate) => {
                    self.rate = *rate;
                    answer(format!("Success: Sample rate is {rate}Hz"));
                }
                None => answer("Failure: sample value out of bounds".to_owned()),
            },
            [b'/', b'/'] => answer(format!("Success: {}", MODES.get(self.mode).unwrap_or(&""))),
            [b'/', digit] => match MODES.get(usize::from(digit.wrapping_sub(b'0'))) {
                Some(name) => {
                    self.mode = usize::from(digit - b'0');
                    answer(format!("Success: {name}"));
                }
                None => answer("Failure: board mode value out of bounds".to_owned()),
            },
            [b'`', marker] => self.marker = marker,
            [b'x', channel, down, gain, _, _, _, _, end] => {
                answer(self.set_channel(channel, down, gain, end));
            }
            [b'z', channel, p, n, end] => answer(self.set_lead_off(channel, [p, n], end)),
            [b'A' | b'S' | b'F' | b'G' | b'H' | b'J' | b'K' | b'L' | b'a' | b'j'] => {
                answer("initialization failed: no card".to_owned());
            }
            [test @ (b'0' | b'-' | b'=' | b'p' | b'[' | b']')] => {
                self.test = internal(test);
                answer("Success: Configured internal test signal.".to_owned());
            }
            [key] => {
                let place = |keys: &[u8]| keys.iter().position(|k| *k == key);
                for (at, on) in [(place(OFF), false), (place(ON), true)] {
                    if let Some(input) = at.and_then(|at| self.inputs.get_mut(at)) {
                        input.on = on;
                    }
                }
            }
            _ => {}
        }
    }

    fn set_channel(&mut self, channel: u8, down: u8, gain: u8, end: u8) -> String {
        let at = NAMES.iter().position(|name| *name == channel);
        let gain = GAINS.get(usize::from(gain.wrapping_sub(b'0')));
        match (at.and_then(|at| self.inputs.get_mut(at)), gain, end) {
            (Some(input), Some(gain), b'X') => {
                (input.on, input.gain) = (down == b'0', *gain);
                format!("Success: Channel set for {}", at.unwrap_or_default() + 1)
            }
            (_, _, b'X') => "Failure: channel settings out of bounds".to_owned(),
            _ => "Failure: 9th char not X".to_owned(),
        }
    }

    fn set_lead_off(&mut self, channel: u8, inputs: [u8; 2], end: u8) -> String {
        let at = NAMES.iter().position(|name| *name == channel);
        match (at.and_then(|at| self.inputs.get_mut(at)), end) {
            (Some(input), b'Z') => {
                input.tested = inputs.map(|tested| tested == b'1');
                format!("Success: Lead off set for {}", at.unwrap_or_default() + 1)
            }
            (_, b'Z') => "Failure: no such channel".to_owned(),
            _ => "Failure: 5th char not Z".to_owned(),
        }
    }

    /// Commands of the dongle, `F0` omitted.
    fn dongle(&mut self, command: &[u8], output: &mut Output) {
        let mut numbered =
            |text: &str, number: u8| output.reply([text.as_bytes(), &[number], b"$$$"].concat());
        match *command {
            [0] if self.powered => numbered("Success: Host and Device on Channel number: ", self.channel),
            [0] => numbered("Failure: Host on Channel number: ", self.channel),
            [1, to] if to > 25 => output.reply("Failure: Verify channel number is less than 25$$$"),
            [1, to] if self.powered => {
                self.channel = to;
                numbered("Success: Host and Device on Channel number: ", to);
            }
            [1, _] => numbered("Failure: Host on Channel number: ", self.channel),
            [2, to] => {
                self.channel = to;
                numbered("Success: Host override - Channel number: ", to);
            }
            [3] => numbered("Success: Poll time: ", self.poll),
            [4, time] => {
                self.poll = time;
                numbered("Success: Poll time: ", time);
            }
            [code @ (5 | 6 | 10)] => {
                let baud = [115_200, 230_400, 921_600][usize::from(code > 5) + usize::from(code > 6)];
                output.reply(format!("Success: Switch your baud rate to {baud}$$$"));
            }
            [7] if self.powered => output.reply("Success: System is Up$$$"),
            [7] => output.reply("Failure: System is Down$$$"),
            _ => {}
        }
    }

    fn registers(&self) -> String {
        let mut text = String::new();
        for (at, input) in self.inputs.iter().enumerate().take(if self.wide { 16 } else { 8 }) {
            let at = match at {
                0 => {
                    text.push_str("\nBoard ADS Registers\nADS_ID, 00, 3E, 0, 0, 1, 1, 1, 1, 1, 0\n");
                    at
                }
                8 => {
                    text.push_str("\nDaisy ADS Registers\nADS_ID, 00, 3E, 0, 0, 1, 1, 1, 1, 1, 0\n");
                    0
                }
                at => at % 8,
            };
            let gain = GAINS.iter().position(|gain| *gain == input.gain).unwrap_or_default();
            let value = u8::from(!input.on) << 7 | (gain as u8) << 4 | 8;
            let bits: Vec<String> = (0..8).rev().map(|bit| (value >> bit & 1).to_string()).collect();
            let (number, address, bits) = (at + 1, at + 5, bits.join(", "));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "CH{number}SET, {address:02X}, {value:02X}, {bits}");
        }
        text + "\nLIS3DH Registers\n0x0F 33\n"
    }
}

/// The test signal that a key asks for: 4.5 V / 2400, twice as much for some; the clock of 2.048 MHz over 2^21 or 2^20
/// (ADS1299).
fn internal(key: u8) -> Test {
    let (volts, slow) = (4.5 / 2400.0, 2_048_000.0 / 2_097_152.0);
    match key {
        b'0' => Test::Square(0.0, 0.0),
        b'-' => Test::Square(volts, slow),
        b'=' => Test::Square(volts, 2.0 * slow),
        b'p' => Test::Square(volts, 0.0),
        b'[' => Test::Square(2.0 * volts, slow),
        _ => Test::Square(2.0 * volts, 2.0 * slow),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::super::{Board, Event};
    use super::*;

    /// What the board answers to these bytes at this moment.
    pub(in super::super) fn replies(board: &mut Cyton, at: u64, bytes: &[u8]) -> String {
        let mut output = Output::default();
        board.tick(Duration::from_millis(at), &mut output);
        board.receive(Duration::from_millis(at), bytes, &mut output);
        output.replies.iter().map(|(_, text)| String::from_utf8_lossy(text)).collect()
    }

    #[test]
    fn commands_are_answered_as_firmware_3_1_does() {
        let mut board = Cyton::new(1, false);
        let banner = replies(&mut board, 0, b"v");
        assert!(banner.contains("Device ID: 0x3E") && banner.ends_with("Firmware: v3.1.2\n$$$"), "{banner}");
        for (command, answer) in [
            ("V", "v3.1.2$$$"),
            ("C", "no daisy to attach!8$$$"),
            ("d", "updating channel settings to default$$$"),
            ("D", "060110$$$"),
            ("x3020000X", "Success: Channel set for 3$$$"),
            ("x30200000", "Failure: 9th char not X$$$"),
            ("z110Z", "Success: Lead off set for 1$$$"),
            ("~~", "Success: Sample rate is 250Hz$$$"),
            ("//", "Success: default$$$"),
            ("/4", "Success: marker$$$"),
            ("<", "Time stamp ON$$$"),
            (">", "Time stamp OFF$$$"),
            ("1", ""),
            ("-", "Success: Configured internal test signal.$$$"),
        ] {
            assert_eq!(replies(&mut board, 1, command.as_bytes()), answer, "{command}");
        }
        assert!((board.converter(2).step - 4.5e6 / 4.0 / 8_388_607.0).abs() < 1e-9);
        assert_eq!(board.count(0, 100.0, 0.0), 0);
        assert_eq!(replies(&mut board, 10, b"x1"), "");
        assert!(replies(&mut board, 1200, b"").starts_with("Timeout processing multi byte message"));
        assert_eq!(replies(&mut board, 1300, &[0xF0, 7]), "Success: System is Up$$$");
        assert_eq!(board.streaming(), None);
        assert_eq!(replies(&mut board, 1300, b"bV"), "");
        assert_eq!(board.streaming(), Some(1));
        replies(&mut board, 1300, b"sb");
        assert_eq!(board.streaming(), Some(2));
        board.handle_event(Event::Off, &mut Output::default());
        assert_eq!(replies(&mut board, 1400, b"b"), TIMEOUT);
        assert_eq!(replies(&mut board, 1400, &[0xF0, 7]), "Failure: System is Down$$$");
        assert_eq!(board.streaming(), None);
    }
}
