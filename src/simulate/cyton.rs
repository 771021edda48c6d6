//! OpenBCI Cyton, and Cyton with Daisy, as firmware 3.1 speaks, behind their dongle.
//!
//! Frames, commands and answers are those of the Cyton Data Format, the Cyton SDK and the firmware's source. SD
//! cards are not simulated. The link of the dongle carries 250 frames per second whatever rate is set.

mod commands;

use std::f64::consts::TAU;
use std::time::Duration;

use super::rng::Rng;
use super::{Board, Converter, Event, FTDI, Facts, Output};

/// How long a command of several bytes may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the board is busy with itself before it prints its banner.
const RESTART: Duration = Duration::from_millis(500);
const GAINS: [f64; 7] = [1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 24.0];
/// The current of the lead-off test, its frequency, and the resistor before each input.
const LEAD_OFF: (f64, f64, f64) = (6e-9, 31.2, 2200.0);

#[derive(Clone, Debug)]
struct Input {
    on: bool,
    gain: f64,
    /// Whether the lead-off test is applied to the positive and the negative side.
    tested: [bool; 2],
    touches: bool,
    kiloohms: f64,
}

/// The internal test signal that stands in place of the electrodes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Test {
    Electrodes,
    /// Volts, and hertz of the square wave; 0 Hz is constant.
    Square(f64, f64),
}

/// A Cyton and its dongle.
#[derive(Debug)]
pub struct Cyton {
    /// Whether a Daisy is plugged in, and whether its channels are used.
    daisy: bool,
    wide: bool,
    powered: bool,
    runs: u32,
    streams: bool,
    inputs: Vec<Input>,
    test: Test,
    /// Samples per second that were asked for, the mode of the six bytes, and the marker that waits.
    rate: u32,
    mode: usize,
    marker: u8,
    /// Whether frames carry time, and whether that was just set.
    stamped: bool,
    stamp_set: bool,
    channel: u8,
    poll: u8,
    /// A command of several bytes that is not complete, and when it began.
    partial: Vec<u8>,
    since: Duration,
    /// The sample before, for the Daisy's averages.
    before: Vec<i32>,
    rng: Rng,
}

impl Cyton {
    /// A board that is switched on and quiet.
    #[must_use]
    pub fn new(seed: u64, daisy: bool) -> Self {
        let mut rng = Rng::new(seed ^ 0xC07);
        let input = |_| Input {
            on: true,
            gain: 24.0,
            tested: [false; 2],
            touches: true,
            kiloohms: (5.0 + 45.0 * rng.unit()).round(),
        };
        let inputs = (0..if daisy { 16 } else { 8 }).map(input).collect();
        Self {
            daisy,
            wide: daisy,
            powered: true,
            runs: 0,
            streams: false,
            inputs,
            test: Test::Electrodes,
            rate: 250,
            mode: 0,
            marker: 0,
            stamped: false,
            stamp_set: false,
            channel: 20,
            poll: 80,
            partial: Vec::new(),
            since: Duration::ZERO,
            before: Vec::new(),
            rng,
        }
    }

    fn defaults(&mut self) {
        for input in &mut self.inputs {
            (input.on, input.gain, input.tested) = (true, 24.0, [false; 2]);
        }
        self.test = Test::Electrodes;
    }

    fn restart(&mut self, output: &mut Output) {
        self.defaults();
        (self.streams, self.rate, self.mode, self.stamped, self.wide) = (false, 250, 0, false, self.daisy);
        let daisy = if self.daisy { "On Daisy ADS1299 Device ID: 0x3E\n" } else { "" };
        let banner = format!(
            "OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\n{daisy}LIS3DH Device ID: 0x33\n\
             Firmware: v3.1.2\n$$$"
        );
        output.later(RESTART, banner);
    }

    fn start(&mut self) {
        if !self.streams {
            self.runs += 1;
            self.streams = true;
            self.before.clear();
        }
    }

    /// The six bytes beside the samples, and what the last byte of the frame says of them.
    fn aux(&mut self, number: u64) -> ([u8; 6], u8) {
        let sample = (number % 10) as u8;
        // A board that lies still: 1 g downwards at 0.125 mg a count, and a little noise.
        let axis = |at: u8, rng: &mut Rng| (if at == 2 { 8000 } else { 0 }) + (rng.roll() % 33) as i16 - 16;
        let mut bytes = [0; 6];
        let accelerates = self.mode == 0;
        if self.stamped {
            if accelerates && sample >= 7 {
                let [high, low] = axis(sample - 7, &mut self.rng).to_be_bytes();
                bytes[..2].copy_from_slice(&[high, low]);
            } else if !accelerates {
                bytes[0] = std::mem::take(&mut self.marker);
            }
            let milliseconds = (number * 4) as u32;
            bytes[2..].copy_from_slice(&milliseconds.to_be_bytes());
            let set = std::mem::take(&mut self.stamp_set);
            return (bytes, if accelerates { 0xC3 } else { 0xC5 } + u8::from(!set));
        }
        if !accelerates {
            bytes[0] = std::mem::take(&mut self.marker);
            return (bytes, 0xC1);
        }
        if sample == 0 {
            for (at, two) in (0..).zip(bytes.chunks_exact_mut(2)) {
                two.copy_from_slice(&axis(at, &mut self.rng).to_be_bytes());
            }
        }
        (bytes, 0xC0)
    }
}

impl Board for Cyton {
    fn facts(&self) -> Facts {
        Facts { channels: self.inputs.len(), rate: 250.0, frame_rate: 250.0, latency: FTDI }
    }

    fn converter(&self, channel: usize) -> Converter {
        let gain = self.inputs.get(channel).map_or(24.0, |input| input.gain);
        Converter::signed(24, 4.5e6 / gain / 8_388_607.0)
    }

    fn count(&self, channel: usize, microvolts: f64, seconds: f64) -> i32 {
        let Some(input) = self.inputs.get(channel).filter(|input| input.on) else { return 0 };
        let mut microvolts = microvolts;
        if let Test::Square(volts, hertz) = self.test {
            let sign = if (TAU * hertz * seconds).sin() < 0.0 { -1.0 } else { 1.0 };
            microvolts = volts * 1e6 * sign;
        }
        let sides = input.tested.iter().filter(|tested| **tested).count() as f64;
        let (amperes, hertz, resistor) = LEAD_OFF;
        let ohms = if input.touches { input.kiloohms * 1e3 } else { 5e6 };
        microvolts += sides * amperes * (ohms + resistor) * 1e6 * (TAU * hertz * seconds).sin();
        self.converter(channel).count(microvolts)
    }

    fn streaming(&self) -> Option<u32> {
        (self.streams && self.powered).then_some(self.runs)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        out.extend([0xA0, number as u8]);
        // Odd numbers are the board's, even ones the Daisy's, each the mean of two samples.
        let from = if self.wide && number.is_multiple_of(2) { 8 } else { 0 };
        for at in from..from + 8 {
            let mut count = counts.get(at).copied().unwrap_or_default();
            if let Some(before) = self.before.get(at).filter(|_| self.wide) {
                count = (count + before) / 2;
            }
            out.extend_from_slice(&count.to_be_bytes()[1..]);
        }
        self.before.clear();
        self.before.extend_from_slice(counts);
        let (aux, end) = self.aux(number);
        out.extend_from_slice(&aux);
        out.push(end);
        1
    }

    fn receive(&mut self, at: Duration, bytes: &[u8], output: &mut Output) {
        for byte in bytes {
            if self.partial.is_empty() {
                self.since = at;
            }
            self.partial.push(*byte);
            if self.partial.len() >= Self::length(&self.partial) {
                let command = std::mem::take(&mut self.partial);
                self.command(&command, output);
            }
        }
    }

    fn tick(&mut self, at: Duration, output: &mut Output) {
        if !self.partial.is_empty() && at.saturating_sub(self.since) > PATIENCE {
            self.partial.clear();
            if !self.streams {
                output.reply(
                    "Timeout processing multi byte message - please send all commands at once as of v2$$$",
                );
            }
        }
    }

    fn handle_event(&mut self, event: Event, output: &mut Output) {
        match event {
            Event::Reset => {
                self.powered = true;
                self.restart(output);
            }
            Event::Off => (self.powered, self.streams) = (false, false),
            Event::Contact(channel, touches) => {
                if let Some(input) = self.inputs.get_mut(channel) {
                    input.touches = touches;
                }
            }
            Event::StatusOnly | Event::Battery(_) => {}
        }
    }

    fn impedances(&self) -> Vec<f64> {
        self.inputs.iter().map(|input| input.kiloohms).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::commands::tests::replies;
    use super::*;

    #[test]
    fn the_worked_example_of_the_format() {
        let mut board = Cyton::new(1, false);
        let counts = [1, -1, 8_388_607, -8_388_608, 100_000, -100_000, 4474, 0];
        let mut frame = Vec::new();
        board.frame(42, &counts, &mut frame);
        let want = "a02a000001ffffff7fffff8000000186a0fe796000117a000000000000000000c0";
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, want);
        let micro = board.converter(0).step;
        assert!((micro - 0.0223517).abs() < 1e-7, "{micro}");
    }

    #[test]
    fn the_last_byte_says_what_the_six_are() {
        let mut board = Cyton::new(1, false);
        let ends = |board: &mut Cyton, number| {
            let mut frame = Vec::new();
            board.frame(number, &[0; 8], &mut frame);
            (frame[32], frame[28..32].to_vec())
        };
        assert_eq!(ends(&mut board, 1).0, 0xC0);
        replies(&mut board, 0, b"<");
        assert_eq!(ends(&mut board, 250), (0xC3, vec![0, 0, 3, 0xE8]));
        assert_eq!(ends(&mut board, 251).0, 0xC4);
        replies(&mut board, 0, b"/4<");
        assert_eq!([ends(&mut board, 1).0, ends(&mut board, 2).0], [0xC5, 0xC6]);
        replies(&mut board, 0, b">`7");
        let mut frame = Vec::new();
        board.frame(3, &[0; 8], &mut frame);
        assert_eq!((frame[26], frame[32]), (b'7', 0xC1));
    }

    #[test]
    fn a_lead_off_test_is_as_large_as_the_formula_says() {
        let mut board = Cyton::new(1, false);
        board.inputs[0].kiloohms = 50.0;
        replies(&mut board, 0, b"x1000110Xz110Z");
        let micro = board.converter(0).step;
        let most = (0..2500)
            .map(|n| f64::from(board.count(0, 0.0, f64::from(n) / 250.0)) * micro)
            .fold(0.0_f64, |most, value| most.max(value));
        assert!((most - 313.2).abs() < 1.0, "{most}");
        assert_eq!(board.count(1, 0.0, 0.123), 0);
    }

    #[test]
    fn a_daisy_takes_turns_and_averages() {
        let mut board = Cyton::new(1, true);
        let counts = |number: i32| (0..16).map(|at| 10 * number + at).collect::<Vec<i32>>();
        let first = |board: &mut Cyton, number: u64| {
            let mut frame = Vec::new();
            board.frame(number, &counts(number as i32), &mut frame);
            i32::from_be_bytes([0, frame[2], frame[3], frame[4]])
        };
        // The Daisy's ninth channel, not averaged as there is nothing before it.
        assert_eq!(first(&mut board, 0), 8);
        assert_eq!(first(&mut board, 1), 5);
        assert_eq!(first(&mut board, 2), (28 + 18) / 2);
    }
}
