//! Backyard Brains SpikerBox, 1 to 4 channels at 5000 Hz: two bytes a channel, and no number.
//!
//! The layout is that of the maker's USB Communication Guide, as public clients quote it. How many channels
//! there are is learnt from the frames. What amplifies them differs between boxes: values are counts. Without
//! a number, loss is seen only as a low rate.

use super::{Board, Boards, Segment, byte};
use crate::decode::facts::{Facts, Rates};
use crate::event::{Device, Rails};

/// What stands before and after a message between frames.
const MESSAGE: ([u8; 6], [u8; 6]) = ([0xFF, 0xFF, 1, 1, 0x80, 0xFF], [0xFF, 0xFF, 1, 1, 0x81, 0xFF]);
/// Bytes of the longest message, what stands around it included.
const LONGEST: usize = 256;
/// The most channels of any box.
const CHANNELS: usize = 4;
/// Set in the first byte of a frame, and in no other.
const FIRST: u8 = 0x80;

/// What is known of the boards.
pub(in crate::decode) const FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("spikerbox", 230_400, |of| Box::new(Boards::new(SpikerBox::default()).at(of.rate)))
};

/// A SpikerBox.
#[derive(Debug)]
pub struct SpikerBox {
    /// Bytes of a frame, while that is known.
    length: Option<usize>,
    /// Two unless seen otherwise.
    channels: u16,
}

impl Default for SpikerBox {
    fn default() -> Self {
        Self { length: None, channels: 2 }
    }
}

impl Board for SpikerBox {
    /// A frame is so short that noise often looks like one.
    const CONFIRM: usize = 4;

    fn device(&self) -> Device {
        let (protocol, channels, rate) = ("spikerbox", self.channels, 5000.0);
        let rails = Rails::Unknown;
        Device { protocol, channels, rate, packet_rate: rate, volts: false, modulus: 0, rails }
    }

    fn classify(&self, bytes: &[u8], last: bool) -> Segment {
        match *bytes {
            [] | [0xFF] => return Segment::More,
            [0xFF, 0xFF, ..] => return message(bytes),
            [first, ..] if first < FIRST => return Segment::No,
            _ => {}
        }
        // Where the next frame, or a message, begins.
        let next = bytes.iter().skip(1).take(2 * CHANNELS).position(|byte| *byte >= FIRST).map(|at| at + 1);
        match next {
            Some(next) if self.length.map_or_else(|| next.is_multiple_of(2), |length| next == length) => {
                Segment::Frame(next)
            }
            Some(_) => Segment::No,
            // The last of a stream has no follower.
            None if last && self.length == Some(bytes.len()) => Segment::Frame(bytes.len()),
            None if bytes.len() <= self.length.unwrap_or(2 * CHANNELS) => Segment::More,
            None => Segment::No,
        }
    }

    fn identify(&mut self, frame: &[u8]) -> bool {
        self.length = Some(frame.len());
        // At most four.
        let channels = (frame.len() / 2) as u16;
        std::mem::replace(&mut self.channels, channels) != channels
    }

    fn lost(&mut self) {
        self.length = None;
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let pairs = frame.chunks_exact(2);
        values.extend(
            pairs.map(|pair| f32::from(u16::from(byte(pair, 0) & 0x7F) << 7 | u16::from(byte(pair, 1)))),
        );
    }

    fn end(&mut self) {
        *self = Self::default();
    }

    /// Asks for the versions of firmware and hardware.
    fn handshake(&self) -> &'static [&'static [u8]] {
        &[b"?:;\n"]
    }
}

/// A message between frames.
fn message(bytes: &[u8]) -> Segment {
    let (begin, end) = MESSAGE;
    if bytes.iter().zip(begin).any(|(is, mark)| *is != mark) {
        return Segment::No;
    }
    let seen = bytes.get(..LONGEST).unwrap_or(bytes);
    let place = seen.windows(end.len()).position(|window| window == end);
    match place {
        Some(place) => Segment::Message(place + end.len()),
        None if bytes.len() < LONGEST => Segment::More,
        None => Segment::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_where_the_next_begins() {
        let mut board = SpikerBox::default();
        assert_eq!(board.classify(&[0x84, 1, 4, 2], false), Segment::More);
        assert_eq!(board.classify(&[0x84, 1, 4, 2, 0x84], false), Segment::Frame(4));
        assert_eq!(board.classify(&[0x84, 1, 4, 0x84], false), Segment::No);
        assert_eq!(board.classify(&[4, 1], false), Segment::No);
        assert!(!board.identify(&[0x84, 1, 4, 2]));
        let mut values = Vec::new();
        board.samples(&[0x84, 1, 0x07, 0x7F], &mut values);
        assert_eq!(values, [513.0, 1023.0]);
        assert_eq!(board.classify(&[0x84, 1, 4, 2], false), Segment::More);
        assert_eq!(board.classify(&[0x84, 1, 4, 2], true), Segment::Frame(4));
        assert_eq!(board.classify(&[0x84, 1, 0x84, 2], false), Segment::No);
    }

    #[test]
    fn messages_stand_between_frames() {
        let text = b"\xFF\xFF\x01\x01\x80\xFFHWT:HUMANSB;\xFF\xFF\x01\x01\x81\xFF\x84";
        assert_eq!(SpikerBox::default().classify(text, false), Segment::Message(text.len() - 1));
        assert_eq!(SpikerBox::default().classify(&text[..20], false), Segment::More);
        assert_eq!(SpikerBox::default().classify(b"\xFF\xFF\x02", false), Segment::No);
    }
}
