//! The samples of one stream, from the first byte of the outlet's answer on: protocols 1.10 and 1.00.
//!
//! Texts are counted and passed over, not kept. What cannot be understood breaks the inlet: its bytes are one fault,
//! reported at the end.

use super::archive;
use super::info::{DESCRIPTION, Format, Info};
use super::stamps::Stamps;
use super::values;
use crate::decode::batch::Batch;
use crate::decode::{Decoder, Sink};
use crate::event::{Body, Device, Fault, FaultKind, ProgramMessage, Rails};

/// Bytes of the longest greeting that is read.
const GREETING: usize = 16 << 10;
/// Bytes of the longest text of one channel.
const TEXT: u64 = 16 << 20;
/// Values that are reported in one event.
const BATCH: usize = 1 << 16;
/// Bytes by which a piece is completed whose length is not known yet.
const LITTLE: usize = 64;
/// The timestamp of the two patterns.
const PATTERN_STAMP: f64 = 123_456.789;

/// Decodes what one outlet sends on one connection.
#[derive(Debug)]
pub struct Inlet {
    info: Info,
    /// What values are multiplied with, by channel. Empty if they are no volts.
    volts: Vec<f32>,
    step: Phase,
    big: bool,
    /// Bytes that are less than a piece.
    held: Vec<u8>,
    /// Bytes of pieces that are not in any event yet.
    open: u64,
    /// Patterns that were seen, of two.
    patterns: u8,
    /// The sample that is read piece by piece.
    stamp: Option<f64>,
    sample: Vec<f32>,
    batch: Batch,
    stamps: Stamps,
    not_finite: u64,
    broken: Option<FaultKind>,
    refused: bool,
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Lines up to an empty one.
    Greeting,
    /// The first bytes of protocol 1.00.
    Archive,
    /// Its description.
    Description,
    /// Two zeros after it.
    Zeros,
    /// Whole samples of numbers, protocol 1.10.
    Numbers,
    /// The beginning of a sample.
    Tag,
    /// Its timestamp.
    Stamp,
    /// The value of a channel.
    Value(u16),
    /// So much of a text that is passed over, and the channel after it.
    Skip(u64, u16),
}

/// How many bytes were used; none if there are too few.
type Parsed = Result<usize, FaultKind>;

impl Inlet {
    /// The inlet of a connection on which the samples of this stream were asked for.
    #[must_use]
    pub fn new(info: Info) -> Self {
        let step = if info.version < 110 { Phase::Archive } else { Phase::Greeting };
        Self {
            volts: info.volts().unwrap_or_default(),
            step,
            big: cfg!(target_endian = "big"),
            held: Vec::new(),
            open: 0,
            patterns: 0,
            stamp: None,
            sample: Vec::new(),
            batch: Batch { channels: info.channels, ..Batch::default() },
            stamps: Stamps::new(info.rate),
            not_finite: 0,
            broken: None,
            refused: false,
            info,
        }
    }

    /// The device that the stream is like; `None` if it sends texts, or has no rate.
    #[must_use]
    pub fn device(&self) -> Option<Device> {
        let Info { channels, rate, format, .. } = self.info;
        (format != Format::Text && rate > 0.0).then_some(Device {
            protocol: "lsl",
            channels,
            rate,
            packet_rate: rate,
            volts: !self.volts.is_empty(),
            modulus: 0,
            rails: Rails::Unknown,
        })
    }

    /// The stream.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// What the timestamps said so far.
    pub fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }

    /// Values so far that were NaN or infinite, and were taken for 0.
    #[must_use]
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// Whether more must come before what came makes sense: an answer, or the rest of a sample.
    #[must_use]
    pub fn needs_more(&self) -> bool {
        self.patterns < 2 || self.open > 0 || !self.held.is_empty()
    }

    /// Whether the outlet said that it has no such stream.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.refused
    }

    fn width(&self) -> usize {
        usize::from(self.info.channels) * self.info.format.size()
    }

    /// By how many bytes what is held is completed at most, so that the rest need not be copied.
    fn want(&self) -> usize {
        let whole = match self.step {
            Phase::Numbers => self.width() + 9,
            Phase::Description => match archive::number(&self.held) {
                Ok(Some((length, used))) => {
                    usize::try_from(length).unwrap_or_default().min(DESCRIPTION) + used
                }
                _ => 0,
            },
            _ => 0,
        };
        if whole > 0 { whole.saturating_sub(self.held.len()).max(1) } else { LITTLE }
    }

    /// Uses as many whole pieces as there are, and says how many bytes they are.
    fn walk(&mut self, bytes: &[u8], out: &mut Sink<'_>) -> usize {
        let mut used = 0;
        while !self.is_broken() {
            let rest = bytes.get(used..).unwrap_or_default();
            let taken = match self.step {
                Phase::Numbers => self.numbers(rest, out),
                _ if rest.is_empty() => Ok(0),
                _ => self.piece(rest, out),
            };
            match taken {
                Ok(0) => break,
                Ok(taken) => used += taken,
                Err(kind) => self.broken = Some(kind),
            }
        }
        used
    }

    /// A piece of anything but whole samples.
    fn piece(&mut self, bytes: &[u8], out: &mut Sink<'_>) -> Parsed {
        let taken = match self.step {
            Phase::Greeting => self.greeting(bytes)?,
            Phase::Archive => match bytes {
                [begin @ .., _] if bytes.len() < 3 => {
                    if !archive::BEGIN.starts_with(begin) {
                        return Err(FaultKind::Syntax);
                    }
                    0
                }
                [a, b, ..] if [*a, *b] == archive::BEGIN => {
                    self.step = Phase::Description;
                    3
                }
                _ => return Err(FaultKind::Syntax),
            },
            Phase::Description => self.description(bytes)?,
            Phase::Zeros => match bytes {
                [0, 0, ..] => {
                    self.step = Phase::Tag;
                    2
                }
                [0] => 0,
                _ => return Err(FaultKind::Syntax),
            },
            Phase::Tag => self.tag(bytes)?,
            Phase::Stamp => self.read_stamp(bytes)?,
            Phase::Value(channel) => self.value(channel, bytes)?,
            Phase::Skip(left, next) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - taken as u64;
                self.step = if left > 0 { Phase::Skip(left, next) } else { Phase::Value(next) };
                taken
            }
            Phase::Numbers => 0,
        };
        self.open += taken as u64;
        if taken > 0 && self.step == Phase::Value(self.info.channels) {
            // The bytes are used, whatever they say.
            self.broken = self.sample_ended(out).err();
        }
        Ok(taken)
    }

    /// Lines as HTTP has them.
    fn greeting(&mut self, bytes: &[u8]) -> Parsed {
        let within = bytes.get(..GREETING).unwrap_or(bytes);
        let Some(end) = memchr::memmem::find(within, b"\r\n\r\n") else {
            return if bytes.len() >= GREETING { Err(FaultKind::TooLong) } else { Ok(0) };
        };
        let text =
            std::str::from_utf8(within.get(..end).unwrap_or_default()).map_err(|_| FaultKind::Encoding)?;
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split_ascii_whitespace();
        if !first.next().is_some_and(|word| word.starts_with("LSL/")) {
            return Err(FaultKind::Syntax);
        }
        if first.next() != Some("200") {
            self.refused = true;
            return Ok(end + 4);
        }
        let mut version = 110;
        for line in lines {
            let line = line.split(';').next().unwrap_or_default();
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "uid" if value != self.info.uid => return Err(FaultKind::BadValue),
                "byte-order" => match value {
                    "1234" => self.big = false,
                    "4321" => self.big = true,
                    // Values of one byte have no order; timestamps beside them are as this machine has them.
                    "0" => {}
                    _ => return Err(FaultKind::BadValue),
                },
                "data-protocol-version" => version = value.parse().map_err(|_| FaultKind::BadValue)?,
                _ => {}
            }
        }
        self.step = match (version, self.info.format) {
            (..110, _) => Phase::Archive,
            (_, Format::Text) => Phase::Tag,
            _ => Phase::Numbers,
        };
        self.info.version = version;
        Ok(end + 4)
    }

    fn description(&mut self, bytes: &[u8]) -> Parsed {
        let Some((length, used)) = archive::number(bytes).map_err(|()| FaultKind::Syntax)? else {
            return Ok(0);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > DESCRIPTION {
            return Err(FaultKind::TooLong);
        }
        let Some(text) = bytes.get(used..used + length) else { return Ok(0) };
        let repeated = Info::parse(text).map_err(|odd| odd.kind)?;
        let same = repeated.channels == self.info.channels && repeated.format == self.info.format;
        if repeated.uid != self.info.uid || !same {
            return Err(FaultKind::BadValue);
        }
        self.step = Phase::Zeros;
        Ok(used + length)
    }

    /// Whether numbers are written as protocol 1.00 does.
    fn archived(&self) -> bool {
        self.info.version < 110
    }

    fn tag(&mut self, bytes: &[u8]) -> Parsed {
        let (tag, used) = match bytes {
            [1, tag, ..] if self.archived() => (*tag, 2),
            [1] if self.archived() => return Ok(0),
            [tag, ..] if !self.archived() => (*tag, 1),
            _ => return Err(FaultKind::Frame),
        };
        self.sample.clear();
        self.stamp = None;
        self.step = match tag {
            1 => Phase::Value(0),
            2 => Phase::Stamp,
            _ => return Err(FaultKind::Frame),
        };
        Ok(used)
    }

    fn read_stamp(&mut self, bytes: &[u8]) -> Parsed {
        let (stamp, used) = if self.archived() {
            let number = archive::number(bytes).map_err(|()| FaultKind::Frame)?;
            let Some((bits, used)) = number else { return Ok(0) };
            (f64::from_bits(bits.cast_unsigned()), used)
        } else {
            let Some(raw) = bytes.first_chunk::<8>() else { return Ok(0) };
            (self.float(*raw), 8)
        };
        self.stamp = Some(stamp);
        self.step = Phase::Value(0);
        Ok(used)
    }

    fn float(&self, raw: [u8; 8]) -> f64 {
        if self.big { f64::from_be_bytes(raw) } else { f64::from_le_bytes(raw) }
    }

    /// The value of a channel; of a text its length, and the text itself as long as there are patterns to compare.
    fn value(&mut self, channel: u16, bytes: &[u8]) -> Parsed {
        let next = channel + 1;
        if self.info.format != Format::Text {
            let number = archive::number(bytes).map_err(|()| FaultKind::Frame)?;
            let Some((bits, used)) = number else { return Ok(0) };
            self.sample.push(values::of_bits(self.info.format, bits));
            self.step = Phase::Value(next);
            return Ok(used);
        }
        let Some((length, used)) = self.text_length(bytes)? else { return Ok(0) };
        if length > TEXT {
            return Err(FaultKind::TooLong);
        }
        if self.patterns < 2 {
            let wanted = values::text_pattern(channel.into());
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > 20 {
                return Err(FaultKind::BadValue);
            }
            let Some(text) = bytes.get(used..used + length) else { return Ok(0) };
            let received = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            if received != Some(wanted) {
                return Err(FaultKind::BadValue);
            }
            self.step = Phase::Value(next);
            return Ok(used + length);
        }
        self.step = if length > 0 { Phase::Skip(length, next) } else { Phase::Value(next) };
        Ok(used)
    }

    fn text_length(&self, bytes: &[u8]) -> Result<Option<(u64, usize)>, FaultKind> {
        if self.archived() {
            let number = archive::number(bytes).map_err(|()| FaultKind::Frame)?;
            return Ok(number.map(|(length, used)| (length.cast_unsigned(), used)));
        }
        let Some((&size, rest)) = bytes.split_first() else { return Ok(None) };
        if !matches!(size, 1 | 2 | 4 | 8) {
            return Err(FaultKind::Frame);
        }
        let Some(digits) = rest.get(..usize::from(size)) else { return Ok(None) };
        let add = |length: u64, digit: &u8| length << 8 | u64::from(*digit);
        let length = if self.big { digits.iter().fold(0, add) } else { digits.iter().rev().fold(0, add) };
        Ok(Some((length, 1 + usize::from(size))))
    }

    /// A sample that was read piece by piece is complete.
    fn sample_ended(&mut self, out: &mut Sink<'_>) -> Result<(), FaultKind> {
        self.step = Phase::Tag;
        if self.patterns < 2 {
            let sample = std::mem::take(&mut self.sample);
            let met = self.check_sample(self.stamp, &sample, out);
            self.sample = sample;
            return met;
        }
        self.stamps.observe(self.stamp);
        let from = self.batch.values.len();
        self.batch.values.extend_from_slice(&self.sample);
        let bytes = std::mem::take(&mut self.open);
        self.finish(from, bytes, out);
        Ok(())
    }

    /// Compares a sample with the pattern that it should be. After the second the stream is what it is said to be.
    fn check_sample(
        &mut self,
        stamp: Option<f64>,
        sample: &[f32],
        out: &mut Sink<'_>,
    ) -> Result<(), FaultKind> {
        let format = self.info.format;
        let wanted = |channel| values::pattern(format, self.patterns, channel);
        let same = sample.iter().enumerate().all(|(channel, value)| *value == wanted(channel));
        if !same || stamp != Some(PATTERN_STAMP) {
            return Err(FaultKind::BadValue);
        }
        self.patterns += 1;
        if self.patterns == 2 {
            let bytes = std::mem::take(&mut self.open);
            out(Body::ProgramMessage(ProgramMessage { bytes }));
            if let Some(device) = self.device() {
                out(Body::Device(device));
            }
        }
        Ok(())
    }

    /// As many whole samples as there are.
    fn numbers(&mut self, bytes: &[u8], out: &mut Sink<'_>) -> Parsed {
        let width = self.width();
        let mut rest = bytes;
        while let Some((&tag, after)) = rest.split_first() {
            let (stamp, after) = match (tag, after.split_first_chunk::<8>()) {
                (1, _) => (None, after),
                (2, Some((raw, after))) => (Some(self.float(*raw)), after),
                (2, None) => break,
                _ => {
                    self.broken = Some(FaultKind::Frame);
                    break;
                }
            };
            let Some((payload, next)) = after.split_at_checked(width) else { break };
            let size = (rest.len() - next.len()) as u64;
            if self.patterns < 2 {
                let mut sample = std::mem::take(&mut self.sample);
                sample.clear();
                values::append(self.info.format, self.big, payload, &mut sample);
                self.open += size;
                let met = self.check_sample(stamp, &sample, out);
                self.sample = sample;
                rest = next;
                if let Err(kind) = met {
                    self.broken = Some(kind);
                    break;
                }
                continue;
            }
            self.stamps.observe(stamp);
            let from = self.batch.values.len();
            values::append(self.info.format, self.big, payload, &mut self.batch.values);
            self.finish(from, size, out);
            rest = next;
        }
        Ok(bytes.len() - rest.len())
    }

    /// The values from `from` on are those of one more sample.
    fn finish(&mut self, from: usize, bytes: u64, out: &mut Sink<'_>) {
        let values = self.batch.values.get_mut(from..).unwrap_or_default();
        let mut wrong = 0;
        let mut keep = |value: &mut f32, scale: f32| {
            wrong += u64::from(!value.is_finite());
            *value = if value.is_finite() { *value * scale } else { 0.0 };
        };
        if self.volts.is_empty() {
            values.iter_mut().for_each(|value| keep(value, 1.0));
        } else {
            values.iter_mut().zip(&self.volts).for_each(|(value, scale)| keep(value, *scale));
        }
        self.not_finite += wrong;
        self.batch.frames += 1;
        self.batch.bytes += bytes;
        if self.batch.values.len() >= BATCH {
            self.batch.emit(out);
        }
    }
}

impl Decoder for Inlet {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_broken() {
            if self.held.is_empty() {
                let used = self.walk(rest, out);
                rest = rest.get(used..).unwrap_or_default();
                if !self.is_broken() {
                    self.held.extend_from_slice(rest);
                    rest = &[];
                }
            } else {
                let (now, later) = rest.split_at(self.want().min(rest.len()));
                rest = later;
                let mut held = std::mem::take(&mut self.held);
                held.extend_from_slice(now);
                let used = self.walk(&held, out);
                held.drain(..used);
                self.held = held;
            }
            if self.refused && self.open > 0 {
                let bytes = std::mem::take(&mut self.open);
                out(Body::ProgramMessage(ProgramMessage { bytes }));
            }
        }
        if self.is_broken() {
            self.open += (self.held.len() + rest.len()) as u64;
            self.held.clear();
        }
        self.batch.emit(out);
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.batch.emit(out);
        let bytes = std::mem::take(&mut self.open) + self.held.len() as u64;
        self.held.clear();
        if bytes > 0 {
            let usual = if self.refused { FaultKind::Frame } else { FaultKind::Cut };
            out(Body::Fault(Fault { kind: self.broken.unwrap_or(usual), bytes }));
        }
        *self = Self::new(std::mem::take(&mut self.info));
    }

    fn is_broken(&self) -> bool {
        self.broken.is_some() || self.refused
    }
}
