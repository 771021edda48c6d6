//! Frames of an acquisition board out of a stream of bytes: where they begin, what lies between them, and
//! which are missing.
//!
//! What a frame looks like and what it holds is said by a [`Board`]. Boards have weak marks, which occur
//! within samples too. So a stream is believed only when several frames follow each other and their
//! counter goes up by one each; once it is believed, one frame after the other is, until one is not right.

pub mod bgapi;
pub mod bitalino;
pub mod chords;
pub mod cyton;
mod frames;
pub mod freeeeg;
pub mod ganglion;
pub mod generic;
pub mod knight;
pub mod openeeg;
#[cfg(test)]
pub mod quartet;
pub mod spikerbox;
pub mod thinkgear;

use std::time::Duration;

use super::Sink;
use super::dialogue::Time;
use crate::event::{Answer, Body, Device};

pub use frames::Boards;

/// What a place in a stream is the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Not of a frame.
    No,
    /// Perhaps of a frame; more bytes will tell.
    More,
    /// Of a frame of so many bytes, at least 1.
    Frame(usize),
    /// Of a frame of so many bytes and of a type that is not known: its number counts, and nothing else of it.
    Unknown(usize),
    /// Of a frame that its checksum says is damaged.
    Damaged,
    /// Of a message of so many bytes that stands between frames.
    Message(usize),
}

/// What a program sent a board means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandEffect {
    /// The stream starts with it.
    pub starts: bool,
    /// The stream stops with it.
    pub stops: bool,
    /// The board is set otherwise now.
    pub changed: bool,
}

/// What a byte that a program wrote to a board completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardCommand {
    /// Nothing that matters to its stream, or not all of it yet.
    Other,
    /// A start.
    Start,
    /// A stop.
    Stop,
}

impl CommandEffect {
    /// Takes in what one more byte completes.
    pub fn add(&mut self, command: BoardCommand) {
        self.starts |= command == BoardCommand::Start;
        self.stops |= command == BoardCommand::Stop;
    }
}

/// Whether what a board was sent begins its stream again, and its numbers with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It continues.
    No,
    /// Perhaps, as where it may not have heard it: the next number tells.
    Perhaps,
    /// It does.
    Surely,
}

/// One kind of board.
pub trait Board: Send {
    /// Frames in a row that must be right before a stream is believed. More than two say that a frame is so
    /// hard to tell from noise that one out of order must be followed by as many again.
    const CONFIRM: usize = 2;
    /// What ends the text that the board writes besides frames, if it does.
    const ANSWER_END: Option<&'static [u8]> = None;
    /// How long it needs between two commands.
    const PAUSE: Duration = Duration::from_millis(150);

    /// What it is.
    fn device(&self) -> Device;

    /// Whether all frames of a stream are of one length.
    fn has_fixed_length(&self) -> bool {
        true
    }

    /// What `bytes` are the beginning of. Once it says no, more bytes do not change its mind. `last` says
    /// that no more will come.
    fn classify(&self, bytes: &[u8], last: bool) -> Segment;

    /// The number that a frame carries, less than the modulus.
    fn counter(&self, _frame: &[u8]) -> Option<u32> {
        None
    }

    /// Learns from a frame what the board is. Says whether it is another device now.
    fn identify(&mut self, _frame: &[u8]) -> bool {
        false
    }

    /// Tells what a frame says besides its samples.
    fn report_status(&mut self, _frame: &[u8], _out: &mut Sink<'_>) {}

    /// Learns from what the board wrote in words. Says whether it is another device now.
    fn handle_text(&mut self, _text: &str) -> bool {
        false
    }

    /// Hears a message that stands between frames, and tells it. Says whether the stream begins again after it,
    /// and its numbers with it.
    fn message(&mut self, message: &[u8], out: &mut Sink<'_>) -> bool {
        out(Body::Answer(answer(message)));
        false
    }

    /// Appends a frame's samples.
    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>);

    /// Samples that are not there because so many packets before this frame are missing: those that they held, and
    /// those of this frame unless it `has_samples`. Asked after [`samples`](Self::samples); none on a board whose
    /// packets are one sample each, or that does not know.
    fn lost_samples(&self, _missing: u32, _has_samples: bool) -> u32 {
        0
    }

    /// The stream is no longer believed; what was learnt of the length of frames may be wrong.
    fn lost(&mut self) {}

    /// The stream ended; the next frame is the first of another.
    fn end(&mut self) {}

    /// What must be sent before the board talks, in pieces with a moment between them.
    fn handshake(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// Appends what must be sent now, as [`super::Dialogue::poll_transmit`] does. Says whether the stream begins again with
    /// that.
    fn poll_transmit(&mut self, _time: Time, _out: &mut Vec<u8>) -> Restart {
        Restart::No
    }

    /// The stream ran a moment ago and continues, as [`super::Dialogue::resume`] says.
    fn resume(&mut self) {}

    /// Hears what a program sent the device, as [`super::Decoder::observe_command`] does.
    fn observe_command(&mut self, said: &[u8]) -> CommandEffect {
        let stop = self.stop_stream();
        let stops = !stop.is_empty() && memchr::memmem::find(said, stop).is_some();
        CommandEffect { starts: super::starts(self.handshake(), said), stops, changed: false }
    }

    /// What it says in place of samples, as [`super::Dialogue::silence_reason`] says.
    fn silence_reason(&self) -> Option<&str> {
        None
    }

    /// What it seems to be in truth, as [`super::Dialogue::wrong_device`] says.
    fn wrong_device(&self) -> Option<&str> {
        None
    }

    /// It was commanded to start once more, as [`super::Dialogue::restarted`] says. Says whether the stream begins again
    /// with that.
    fn restarted(&mut self) -> Restart {
        Restart::Perhaps
    }

    /// What a person should know, as [`super::Dialogue::notice`] says.
    fn notice(&mut self) -> Option<String> {
        None
    }

    /// What should be sent before it is left alone.
    fn stop_stream(&self) -> &'static [u8] {
        b""
    }

    /// Appends what should be sent before it is left alone, as [`super::Dialogue::close`] does.
    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.stop_stream());
    }
}

/// What a text says. The forms are those of the OpenBCI Cyton SDK (a failure is announced by `Failure`, a
/// version stands alone as `v3.1.2` or in the banner after `Firmware:`), of BITalino (`BITalino_v5.2`) and of
/// SpikerBox (`FWV:0.1;`, with bytes around it that are no text).
pub(super) fn answer(text: &[u8]) -> Answer<'_> {
    let plain = |byte: &u8| (b' '..=b'~').contains(byte);
    let words = text.split(|byte| !plain(byte) || matches!(byte, b' ' | b'_' | b';'));
    let mut words = words.map(|word| std::str::from_utf8(word).unwrap_or_default());
    let failed = words.clone().any(|word| word.contains("Failure"));
    let firmware = words.find_map(|word| {
        let word = word.trim_end_matches('$');
        let numbered = word.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        word.strip_prefix("FWV:").or_else(|| numbered.then_some(word))
    });
    Answer { bytes: text.len() as u64, failed, firmware }
}

/// A signed number of 24 bits, the first byte first.
#[must_use]
pub(super) fn int24(bytes: &[u8]) -> i32 {
    match *bytes {
        [a, b, c, ..] => i32::from_be_bytes([a, b, c, 0]) >> 8,
        _ => 0,
    }
}

/// A number of 16 bits, the first byte first.
#[must_use]
pub(super) fn uint16(bytes: &[u8]) -> u16 {
    match *bytes {
        [a, b, ..] => u16::from_be_bytes([a, b]),
        _ => 0,
    }
}

/// The byte at a place, 0 beyond the end.
#[must_use]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

/// Whether `bytes` are the beginning of a frame of this length, judged by a first byte and what the last
/// byte may be.
#[must_use]
pub(super) fn bracketed(bytes: &[u8], length: usize, head: u8, tail: impl Fn(u8) -> bool) -> Segment {
    match (bytes.first(), bytes.get(length - 1)) {
        (Some(&first), _) if first != head => Segment::No,
        (_, None) => Segment::More,
        (_, Some(&last)) if tail(last) => Segment::Frame(length),
        _ => Segment::No,
    }
}
