//! Backyard Brains SpikerBox, 2 channels at 5000 Hz: two bytes a channel, and messages between frames.
//!
//! The layout is that of the maker's USB Communication Guide, as public clients quote it. It streams as long as
//! it has power.

use std::time::Duration;

use super::{Board, Converter, Facts, Output, USB};

const CHANNELS: usize = 2;
/// What stands before a message.
const BEFORE: [u8; 6] = [0xFF, 0xFF, 1, 1, 0x80, 0xFF];
/// What stands after it.
const BEHIND: [u8; 6] = [0xFF, 0xFF, 1, 1, 0x81, 0xFF];
/// The longest command that is listened to.
const LINE: usize = 64;

/// A Human SpikerBox.
#[derive(Debug, Default)]
pub struct SpikerBox {
    line: Vec<u8>,
}

impl Board for SpikerBox {
    fn facts(&self) -> Facts {
        Facts { channels: CHANNELS, rate: 5000.0, frame_rate: 5000.0, latency: USB }
    }

    fn converter(&self, _channel: usize) -> Converter {
        Converter::unsigned(14, 0.25)
    }

    fn streaming(&self) -> Option<u32> {
        Some(0)
    }

    fn frame(&mut self, _number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        for (at, count) in counts.iter().enumerate() {
            // Two bytes FF at the beginning would look like a message; the first channel never reads that high.
            let count = if at == 0 { (*count).min(0x3F7F) } else { *count };
            let mark = if at == 0 { 0x80 } else { 0 };
            out.extend([(count >> 7 & 0x7F) as u8 | mark, (count & 0x7F) as u8]);
        }
        1
    }

    fn receive(&mut self, _at: Duration, bytes: &[u8], output: &mut Output) {
        for byte in bytes {
            if self.line.len() >= LINE {
                // Otherwise it would never hear an end again.
                self.line.clear();
            }
            self.line.push(*byte);
            let answer = match self.line.trim_ascii() {
                b"b:;" => "HWT:HUMANSB;",
                b"?:;" => "FWV:0.08;HWT:HUMANSB;HWV:0.5;",
                line if line.ends_with(b";") => "",
                _ => continue,
            };
            self.line.clear();
            if !answer.is_empty() {
                output.reply([&BEFORE[..], answer.as_bytes(), &BEHIND].concat());
            }
        }
    }

    /// Without a mark the frame before it would not end.
    fn noise(&self) -> u8 {
        0x8B
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_byte_is_marked() {
        let mut out = Vec::new();
        SpikerBox::default().frame(0, &[513, 1023], &mut out);
        assert_eq!(out, [0x84, 1, 7, 0x7F]);
        let mut output = Output::default();
        SpikerBox::default().receive(Duration::ZERO, b"?:;\n", &mut output);
        let text = output.replies[0].1.clone();
        assert!(text.starts_with(&BEFORE) && text.ends_with(&BEHIND), "{text:?}");
        let mut deaf = SpikerBox::default();
        deaf.receive(Duration::ZERO, &[b'x'; 2 * LINE], &mut output);
        deaf.receive(Duration::ZERO, b";b:;\n", &mut output);
        assert_eq!(output.replies.len(), 2);
    }
}
