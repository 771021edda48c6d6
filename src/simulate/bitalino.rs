//! PLUX BITalino, up to six channels at up to 1000 Hz.
//!
//! Frames, their checksum and the commands are those of the maker's reader (revolution-python-api).

use std::time::Duration;

use super::{Board, Converter, Event, FTDI, Facts, Output};

const RATES: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];
const VERSION: &str = "BITalino_v5.2\n";
/// Microvolts from one end of a converter to the other.
const SPAN: f64 = 400.0;

/// A BITalino. Channels that are not sent are measured nevertheless.
#[derive(Debug)]
pub struct Bitalino {
    rate: f64,
    /// The channels that are sent, a bit each.
    channels: u8,
    streams: bool,
    runs: u32,
}

impl Default for Bitalino {
    fn default() -> Self {
        Self { rate: 1000.0, channels: 0x3F, streams: false, runs: 0 }
    }
}

/// The remainder of a frame whose last four bits are 0: x⁴ + x + 1, the first byte's highest bit first.
fn checksum(frame: &[u8]) -> u8 {
    let bits = frame.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    bits.fold(0_u8, |rest, bit| {
        let rest = rest << 1 | bit;
        if rest & 0x10 == 0 { rest } else { rest ^ 0x13 }
    })
}

impl Board for Bitalino {
    fn facts(&self) -> Facts {
        Facts { channels: 6, rate: self.rate, frame_rate: self.rate, latency: FTDI }
    }

    fn converter(&self, channel: usize) -> Converter {
        let bits = if channel < 4 { 10 } else { 6 };
        Converter::unsigned(bits, SPAN / f64::from(1 << bits))
    }

    fn streaming(&self) -> Option<u32> {
        self.streams.then_some(self.runs)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        // Bits are filled from the end of the frame: number and checksum, four digital inputs, then the channels.
        let mut bits = (number % 16) << 60;
        let mut used = 12;
        let sent = counts.iter().enumerate().filter(|(at, _)| self.channels >> at & 1 == 1);
        for (place, (_, count)) in sent.enumerate() {
            // The fifth and sixth that are sent have six bits, whichever channels they are.
            let width = if place < 4 { 10 } else { 6 };
            used += width;
            let narrow = if width == 6 { (*count).min(63) } else { *count };
            bits |= (narrow as u64 & ((1 << width) - 1)) << (64 - used);
        }
        let length = match self.channels.count_ones() {
            few @ 0..=4 => (12 + 10 * few).div_ceil(8),
            more => (52 + 6 * (more - 4)).div_ceil(8),
        };
        let bytes = bits.to_le_bytes();
        let begin = out.len();
        out.extend_from_slice(bytes.get(8 - length as usize..).unwrap_or_default());
        let rest = checksum(out.get(begin..).unwrap_or_default());
        if let Some(last) = out.last_mut() {
            *last |= rest;
        }
        1
    }

    fn receive(&mut self, _at: Duration, bytes: &[u8], output: &mut Output) {
        for byte in bytes {
            match *byte {
                0x07 if !self.streams => output.reply(VERSION),
                0x00 | 0xFF => self.streams = false,
                rate if rate & 0x3F == 3 && !self.streams => {
                    self.rate = RATES.get(usize::from(rate >> 6)).copied().unwrap_or(1000.0);
                }
                start if start & 3 == 1 && start > 1 && !self.streams => {
                    self.channels = start >> 2;
                    self.runs += 1;
                    self.streams = true;
                }
                _ => {}
            }
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
    fn it_does_as_it_is_told() {
        let mut board = Bitalino::default();
        let mut output = Output::default();
        board.receive(Duration::ZERO, &[0x07, 0x83, 0x1D], &mut output);
        assert_eq!((output.replies[0].1.as_slice(), board.rate), (VERSION.as_bytes(), 100.0));
        assert_eq!((board.streaming(), board.channels), (Some(1), 0b111));
        let mut lengths = Vec::new();
        for channels in [1, 3, 7, 15, 31, 63] {
            board.channels = channels;
            let mut frame = Vec::new();
            board.frame(9, &[1, 1023, 2, 3, 63, 5], &mut frame);
            assert_eq!(frame[frame.len() - 1] >> 4, 9);
            // Divided again, nothing is left but what the last four bits say.
            let crc = frame[frame.len() - 1] & 15;
            *frame.last_mut().unwrap() &= 0xF0;
            assert_eq!(checksum(&frame), crc);
            lengths.push(frame.len());
        }
        assert_eq!(lengths, [3, 4, 6, 7, 8, 8]);
        board.receive(Duration::ZERO, &[0], &mut output);
        assert_eq!(board.streaming(), None);
    }
}
