//! The stream of a ZMQ Interface plugin: blocks of samples, channel after channel, out of the messages of a publisher.
//!
//! A message has three parts: `DATA` and a zero, or `EVENT` and a zero; a header; the samples of one channel as 32-bit
//! floats. All channels of a block follow each other with the same number of their first sample. Messages are numbered
//! across everything that is sent, so that a jump is what did not come; a block that lacks channels is lost as a whole.
//! A connection may begin in the midst of a block: its first one is whole if the one after it has the same channels.
//! Samples are numbered as well, so that a jump without one of messages is the program's own loss. A channel's unit is
//! not said; electrodes are in microvolts. A peer that lies or speaks otherwise breaks the stream.

use std::time::Duration;

use super::header::{CHANNELS, Content, Header};
use super::zmtp::{self, Piece};
use crate::decode::{Decoder, Dialogue, Sink};
use crate::event::{Body, Device, Fault, FaultKind, Lost, ProgramMessage, Rails, Samples};

/// Bytes of the longest part of a message.
const PART: u64 = 1 << 20;
/// Values of the largest block.
const BLOCK: usize = 1 << 23;

/// What is known of the stream so far. Numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Messages that did not come.
    pub lost_messages: u64,
    /// Holes in the numbers of samples.
    pub gaps: u64,
    /// Samples that are missing in them.
    pub missing: u64,
    /// Times that the numbers of samples went back: acquisition began again.
    pub backward: u64,
    /// Events and spikes.
    pub events: u64,
    /// Values that were NaN or infinite, and were taken for 0.
    pub not_finite: u64,
    /// When the newest message was sent, seconds since the epoch by the sender's clock.
    pub sent: Option<f64>,
    /// How many times the stream was announced.
    pub edition: u64,
}

/// Decodes what a publisher sends on one connection, and says what it is to be sent.
#[derive(Debug)]
pub struct Stream {
    scale: Option<f32>,
    step: Phase,
    said: Phase,
    held: Vec<u8>,
    message: Message,
    block: Block,
    /// The first block, until the next one shows whether it was whole.
    first: Option<Block>,
    /// The channels of a whole block, in their order; empty until there was one.
    channels: Vec<u32>,
    /// Names of channels, in the order of their numbers.
    names: Vec<(u32, String)>,
    name: String,
    rate: f64,
    /// The number that the next message, and the next sample, should have.
    next_message: Option<i64>,
    next_sample: Option<i64>,
    values: Vec<f32>,
    counts: Counts,
    broken: Option<FaultKind>,
    /// Bytes since it broke.
    refused: u64,
}

/// How far the two have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Silent,
    Greeted,
    Ready,
    Open,
}

/// A message of which not all parts are here.
#[derive(Debug, Default)]
struct Message {
    parts: u8,
    data: bool,
    header: Vec<u8>,
    bytes: u64,
}

/// Samples of some channels with the same numbers, channel after channel.
#[derive(Debug, Default)]
struct Block {
    first: i64,
    samples: u32,
    channels: Vec<u32>,
    values: Vec<f32>,
    bytes: u64,
    /// Whether messages are missing before or within it, or may be.
    holed: bool,
}

impl Stream {
    /// A stream in which no message has come yet. `scale` makes volts of its values, if that is known.
    #[must_use]
    pub fn new(scale: Option<f32>) -> Self {
        Self {
            scale,
            step: Phase::Silent,
            said: Phase::Silent,
            held: Vec::new(),
            message: Message::default(),
            block: Block::default(),
            first: None,
            channels: Vec::new(),
            names: Vec::new(),
            name: String::new(),
            rate: 0.0,
            next_message: None,
            next_sample: None,
            values: Vec::new(),
            counts: Counts::default(),
            broken: None,
            refused: 0,
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Its name and its rate; `None` before the first whole block.
    #[must_use]
    pub fn name(&self) -> Option<(&str, f64)> {
        (!self.channels.is_empty()).then_some((&*self.name, self.rate))
    }

    /// The names of the channels of a whole block.
    #[must_use]
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.channels.iter().map(|channel| {
            let at = self.names.binary_search_by_key(channel, |(number, _)| *number);
            at.ok().and_then(|at| self.names.get(at)).map_or("", |(_, name)| &**name)
        })
    }

    /// Whether its values are made volts.
    #[must_use]
    pub fn is_volts(&self) -> bool {
        self.scale.is_some()
    }

    fn device(&self) -> Device {
        Device {
            protocol: "open_ephys",
            channels: u16::try_from(self.channels.len()).unwrap_or(u16::MAX),
            rate: self.rate,
            packet_rate: self.rate,
            volts: self.scale.is_some(),
            modulus: 0,
            rails: Rails::Unknown,
        }
    }

    /// Uses the piece that `bytes` begin with; says how many bytes it is, or how many it will be.
    fn piece(&mut self, bytes: &[u8], out: &mut Sink<'_>) -> Result<Result<usize, usize>, FaultKind> {
        let piece = if self.step == Phase::Silent { zmtp::greeted(bytes) } else { zmtp::frame(bytes, PART) };
        let (piece, used) = match piece? {
            Ok(piece) => piece,
            Err(wanted) => return Ok(Err(wanted)),
        };
        match piece {
            Piece::Greeting => self.step = Phase::Greeted,
            Piece::Command(b"READY", data) if self.step == Phase::Greeted => {
                let kind = zmtp::property(data, "Socket-Type");
                if !matches!(kind, Some(b"PUB" | b"XPUB")) {
                    return Err(FaultKind::BadValue);
                }
                self.step = Phase::Ready;
            }
            Piece::Command(b"ERROR", _) => return Err(FaultKind::UnknownType),
            Piece::Command(..) if self.step < Phase::Ready => return Err(FaultKind::UnknownType),
            Piece::Command(..) => {}
            Piece::Part(..) if self.step < Phase::Ready => return Err(FaultKind::Frame),
            Piece::Part(part, more) => {
                self.step = Phase::Open;
                self.part(part, more, used, out)?;
                return Ok(Ok(used));
            }
        }
        out(Body::ProgramMessage(ProgramMessage { bytes: used as u64 }));
        Ok(Ok(used))
    }

    fn part(&mut self, part: &[u8], more: bool, bytes: usize, out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let message = &mut self.message;
        let took = message.bytes + bytes as u64;
        match message.parts {
            0 => {
                message.data = part.starts_with(b"DATA");
                if !message.data && !part.starts_with(b"EVENT") && !part.starts_with(b"SPIKE") {
                    return Err(FaultKind::UnknownType);
                }
            }
            1 => {
                message.header.clear();
                message.header.extend_from_slice(part);
            }
            2 if !more => {}
            _ => return Err(FaultKind::TooLong),
        }
        if more {
            (message.parts, message.bytes) = (message.parts + 1, took);
            return Ok(());
        }
        let parts = std::mem::take(&mut message.parts) + 1;
        let header = std::mem::take(&mut message.header);
        let payload = if parts == 3 { part } else { &[] };
        let result =
            if parts < 2 { Err(FaultKind::MissingField) } else { self.message(&header, payload, took, out) };
        // The space is kept for the next one. If this one is refused, its bytes are those of the stream's fault.
        self.message.header = header;
        if result.is_ok() {
            self.message.bytes = 0;
        }
        result
    }

    /// A message is complete.
    fn message(
        &mut self,
        header: &[u8],
        payload: &[u8],
        bytes: u64,
        out: &mut Sink<'_>,
    ) -> Result<(), FaultKind> {
        let header = Header::read(header)?;
        let samples = if self.message.data { Some(header.samples(payload.len())?) } else { None };
        let ahead = self.next_message.replace(header.message_num.wrapping_add(1));
        let jump = ahead.map(|ahead| header.message_num.wrapping_sub(ahead));
        // A number that goes back is that of a plugin that was restarted.
        let lost = jump.and_then(|jump| u64::try_from(jump).ok()).unwrap_or_default();
        self.counts.lost_messages = self.counts.lost_messages.saturating_add(lost);
        let holed = jump != Some(0);
        self.block.holed |= holed;
        self.counts.sent = header.timestamp.map(|sent| sent / 1e3).or(self.counts.sent);
        match samples {
            Some((content, channel)) => self.take(content, channel, payload, bytes, holed, out),
            None => {
                self.counts.events += 1;
                out(Body::ProgramMessage(ProgramMessage { bytes }));
                Ok(())
            }
        }
    }

    /// Puts the samples of a channel to those of others.
    fn take(
        &mut self,
        content: &Content<'_>,
        channel: u32,
        payload: &[u8],
        bytes: u64,
        holed: bool,
        out: &mut Sink<'_>,
    ) -> Result<(), FaultKind> {
        let other = self.name != content.stream || self.rate.to_bits() != content.sample_rate.to_bits();
        let block = &self.block;
        let same = block.first == content.sample_num && block.samples == content.num_samples;
        if !block.channels.is_empty() && (other || !same || block.channels.contains(&channel)) {
            self.finish(out);
            self.block.holed = holed;
        }
        if other {
            self.pass_over(out);
            self.name.clear();
            self.name.push_str(&content.stream);
            self.rate = content.sample_rate;
            self.channels.clear();
            self.names.clear();
            self.next_sample = None;
        }
        if let Err(at) = self.names.binary_search_by_key(&channel, |(number, _)| *number) {
            self.names.insert(at, (channel, content.channel_name.chars().take(64).collect()));
        }
        let block = &mut self.block;
        (block.first, block.samples) = (content.sample_num, content.num_samples);
        if block.values.len() + payload.len() / 4 > BLOCK || block.channels.len() >= CHANNELS as usize {
            return Err(FaultKind::TooLong);
        }
        block.channels.push(channel);
        block.bytes += bytes;
        let (values, _) = payload.as_chunks();
        block.values.extend(values.iter().map(|raw| f32::from_le_bytes(*raw)));
        if block.channels == self.channels {
            self.finish(out);
        }
        Ok(())
    }

    /// No more channels come to a block.
    fn finish(&mut self, out: &mut Sink<'_>) {
        let mut block = std::mem::take(&mut self.block);
        if block.channels.is_empty() {
            self.block = block;
            return;
        }
        let whole = block.channels == self.channels;
        if !whole && !block.holed {
            // Nothing is missing: these are the channels.
            self.channels.clone_from(&block.channels);
            self.counts.edition += 1;
            out(Body::Device(self.device()));
            match self.first.take() {
                Some(first) if first.channels == self.channels => self.emit(&first, out),
                first => self.first = first,
            }
            self.pass_over(out);
        }
        if whole || !block.holed {
            self.emit(&block, out);
        } else {
            if self.channels.is_empty() {
                self.pass_over(out);
                self.first = Some(block);
                return;
            }
            // Channels of it did not come; its samples are missing when the next one comes.
            out(Body::Fault(Fault { kind: FaultKind::Cut, bytes: block.bytes }));
        }
        block.channels.clear();
        block.values.clear();
        (block.bytes, block.holed) = (0, false);
        self.block = block;
    }

    /// The first block was none that is whole: the connection began in its midst.
    fn pass_over(&mut self, out: &mut Sink<'_>) {
        if let Some(Block { bytes, .. }) = self.first.take() {
            out(Body::ProgramMessage(ProgramMessage { bytes }));
        }
    }

    fn emit(&mut self, block: &Block, out: &mut Sink<'_>) {
        let step = self.next_sample.replace(block.first.saturating_add(block.samples.into()));
        match step.map(|next| block.first.saturating_sub(next)) {
            Some(missing @ 1..) => {
                self.counts.gaps += 1;
                self.counts.missing = self.counts.missing.saturating_add(missing.cast_unsigned());
                let packets = u32::try_from(missing).unwrap_or(u32::MAX);
                out(Body::Lost(Lost { packets }));
            }
            Some(..=-1) => self.counts.backward += 1,
            _ => {}
        }
        let (samples, channels) = (block.samples as usize, block.channels.len());
        self.values.clear();
        self.values.resize(samples * channels, 0.0);
        let scale = self.scale.unwrap_or(1.0);
        for (channel, values) in block.values.chunks_exact(samples.max(1)).enumerate() {
            let places = self.values.iter_mut().skip(channel).step_by(channels.max(1));
            for (place, value) in places.zip(values) {
                let value = value * scale;
                if value.is_finite() {
                    *place = value;
                } else {
                    self.counts.not_finite += 1;
                }
            }
        }
        let channels = u16::try_from(channels).unwrap_or(u16::MAX);
        let (values, frames, bytes) = (&*self.values, block.samples, block.bytes);
        out(Body::Samples(Samples { values, channels, frames, bytes }));
    }
}

impl Decoder for Stream {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        let mut rest = bytes;
        while !(rest.is_empty() && self.held.is_empty()) && self.broken.is_none() {
            // What is whole is used where it lies; what is not is completed first, and no more.
            let mut held = std::mem::take(&mut self.held);
            let aside = !held.is_empty();
            let consumed = self.piece(if aside { &held } else { rest }, out);
            match consumed {
                Ok(Ok(used)) if aside => drop(held.drain(..used)),
                Ok(Ok(used)) => rest = rest.get(used..).unwrap_or_default(),
                Ok(Err(_)) if rest.is_empty() => {
                    self.held = held;
                    break;
                }
                Ok(Err(wanted)) => {
                    let more = wanted.saturating_sub(held.len()).clamp(1, rest.len());
                    let (now, later) = rest.split_at_checked(more).unwrap_or((rest, &[]));
                    held.extend_from_slice(now);
                    rest = later;
                }
                Err(kind) => self.broken = Some(kind),
            }
            self.held = held;
        }
        if self.broken.is_some() {
            self.refused += (self.held.len() + rest.len()) as u64 + std::mem::take(&mut self.message.bytes);
            self.held.clear();
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        // What is the end of one block and the beginning of another is all of both; else whether this was all of its
        // block is not known any more.
        let whole = self.first.as_ref().is_some_and(|first| first.channels == self.block.channels);
        self.block.holed |= !whole;
        self.finish(out);
        self.pass_over(out);
        let bytes = self.refused + self.held.len() as u64 + self.message.bytes;
        if bytes > 0 {
            out(Body::Fault(Fault { kind: self.broken.unwrap_or(FaultKind::Cut), bytes }));
        }
        *self = Self::new(self.scale);
    }

    fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    fn needs_more(&self) -> bool {
        self.step < Phase::Ready || !self.held.is_empty() || self.message.parts > 0
    }

    fn dialogue(&mut self) -> Option<&mut dyn Dialogue> {
        Some(self)
    }
}

impl Dialogue for Stream {
    fn poll_transmit(&mut self, _now: Duration, out: &mut Vec<u8>) {
        if self.said == Phase::Silent {
            out.extend_from_slice(&zmtp::greeting());
            self.said = Phase::Greeted;
        }
        if self.said == Phase::Greeted && self.step >= Phase::Greeted {
            out.extend_from_slice(zmtp::READY);
            self.said = Phase::Ready;
        }
        if self.said == Phase::Ready && self.step >= Phase::Ready {
            out.extend_from_slice(zmtp::SUBSCRIBE);
            self.said = Phase::Open;
        }
    }
}

#[cfg(test)]
mod tests;
