//! What protocols of acquisition programs have in common: messages that say their length, out of a stream of bytes, the
//! fields in them, and the samples of one stream as a device and its state.
//!
//! One message is held at a time. Which fields a message has, and what they mean, is for each protocol to know.

use crate::decode::Sink;
use crate::event::{Body, Device, Fault, FaultKind, Rails, Samples, Stream, StreamName, StreamState};

/// Bytes of the longest message that is read.
pub(super) const LONGEST: usize = 16 << 20;
/// Channels of a stream, at most.
const CHANNELS: u32 = 8192;

/// One kind of conversation.
pub(super) trait MessageHandler {
    /// Bytes from which the length of a message can be determined.
    const HEAD: usize;

    /// The length of a message, its head included.
    fn length(&self, head: &[u8]) -> Result<usize, FaultKind>;

    /// What a whole message says. What is wrong ends the conversation.
    fn handle_message(&mut self, message: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind>;
}

/// The message that is being read, and why the stream can be read no further.
#[derive(Debug, Default)]
pub(super) struct Messages {
    held: Vec<u8>,
    broken: Option<FaultKind>,
    /// Bytes that are in no event yet, beside those held.
    refused: u64,
}

impl Messages {
    /// Takes bytes apart.
    pub(super) fn read<T: MessageHandler>(&mut self, bytes: &[u8], handler: &mut T, out: &mut Sink<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() && self.broken.is_none() {
            if let Err(kind) = self.step(&mut rest, handler, out) {
                self.broken = Some(kind);
            }
        }
        self.refused += rest.len() as u64;
    }

    fn step<T: MessageHandler>(
        &mut self,
        rest: &mut &[u8],
        handler: &mut T,
        out: &mut Sink<'_>,
    ) -> Result<(), FaultKind> {
        let missing = self.want(handler)?.saturating_sub(self.held.len());
        let (now, later) = rest.split_at(missing.min(rest.len()));
        self.held.extend_from_slice(now);
        *rest = later;
        // Asked once more: what was missing may have been the length. A message may be no longer than its head.
        if self.held.len() >= T::HEAD && self.want(handler)? <= self.held.len() {
            handler.handle_message(&self.held, out)?;
            self.held.clear();
        }
        Ok(())
    }

    /// The bytes that are needed before there is anything more to tell.
    fn want<T: MessageHandler>(&self, handler: &T) -> Result<usize, FaultKind> {
        if self.held.len() < T::HEAD {
            return Ok(T::HEAD);
        }
        handler
            .length(&self.held)
            .and_then(|length| if length > LONGEST { Err(FaultKind::TooLong) } else { Ok(length) })
    }

    /// Whether the rest of a message is missing.
    pub(super) fn needs_more(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the stream can be read no further.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The stream ended.
    pub(super) fn end(&mut self, out: &mut Sink<'_>) {
        let bytes = self.held.len() as u64 + self.refused;
        if bytes > 0 {
            let kind = self.broken.unwrap_or(FaultKind::Cut);
            out(Body::Fault(Fault { kind, bytes }));
        }
        *self = Self { held: std::mem::take(&mut self.held), ..Self::default() };
        self.held.clear();
    }
}

/// The fields of a message, little end first, read one after the other.
pub(super) struct Fields<'m>(pub(super) &'m [u8]);

impl<'m> Fields<'m> {
    /// The next so many bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'m [u8], FaultKind> {
        let (field, rest) = self.0.split_at_checked(count).ok_or(FaultKind::MissingField)?;
        self.0 = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FaultKind> {
        let (field, rest) = self.0.split_first_chunk().ok_or(FaultKind::MissingField)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FaultKind> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FaultKind> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn f32(&mut self) -> Result<f32, FaultKind> {
        self.array().map(f32::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, FaultKind> {
        self.array().map(f64::from_le_bytes)
    }
}

/// How the values of a sample are written, little end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Values {
    /// Bytes of one.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The value of the `format` label.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    fn append(self, bytes: &[u8], to: &mut Vec<f32>) {
        fn each<const N: usize>(bytes: &[u8], to: &mut Vec<f32>, read: impl Fn([u8; N]) -> f32) {
            to.extend(bytes.as_chunks::<N>().0.iter().map(|raw| read(*raw)));
        }
        match self {
            Self::U8 => each(bytes, to, |raw| u8::from_le_bytes(raw).into()),
            Self::U16 => each(bytes, to, |raw| u16::from_le_bytes(raw).into()),
            Self::U32 => each(bytes, to, |raw| u32::from_le_bytes(raw) as f32),
            Self::U64 => each(bytes, to, |raw| u64::from_le_bytes(raw) as f32),
            Self::I8 => each(bytes, to, |raw| i8::from_le_bytes(raw).into()),
            Self::I16 => each(bytes, to, |raw| i16::from_le_bytes(raw).into()),
            Self::I32 => each(bytes, to, |raw| i32::from_le_bytes(raw) as f32),
            Self::I64 => each(bytes, to, |raw| i64::from_le_bytes(raw) as f32),
            Self::F32 => each(bytes, to, f32::from_le_bytes),
            Self::F64 => each(bytes, to, |raw| f64::from_le_bytes(raw) as f32),
        }
    }
}

/// What a program says that it streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claim {
    /// The protocol's name.
    pub(super) protocol: &'static str,
    pub(super) format: Values,
    pub(super) channels: u16,
    /// Samples per second.
    pub(super) rate: f64,
}

impl Claim {
    /// How many channels there are, if that can be.
    pub(super) fn channels(claimed: u32) -> Result<u16, FaultKind> {
        let possible = Some(claimed).filter(|claimed| (1..=CHANNELS).contains(claimed));
        possible.and_then(|claimed| u16::try_from(claimed).ok()).ok_or(FaultKind::BadValue)
    }

    /// A rate, if it can be one.
    pub(super) fn rate(claimed: f64) -> Result<f64, FaultKind> {
        // NaN is in no range.
        Some(claimed).filter(|claimed| (1e-3..=1e7).contains(claimed)).ok_or(FaultKind::BadValue)
    }
}

/// The samples of a program's one stream: what they are, and those on their way to an event.
#[derive(Debug)]
pub(super) struct SampleStream {
    /// The name of the source, which is that of its stream.
    name: Box<str>,
    claim: Option<Claim>,
    /// Whether there was a stream before.
    met: bool,
    /// What values are multiplied with, by channel, to be volts. Empty if they are no volts.
    scale: Vec<f32>,
    values: Vec<f32>,
}

impl SampleStream {
    pub(super) fn new(name: &str, met: bool) -> Self {
        Self { name: name.into(), claim: None, met, scale: Vec::new(), values: Vec::new() }
    }

    pub(super) fn claim(&self) -> Option<Claim> {
        self.claim
    }

    /// A stream begins.
    pub(super) fn begin(&mut self, claim: Claim, scale: Vec<f32>, out: &mut Sink<'_>) {
        let Claim { protocol, channels, rate, .. } = claim;
        // What comes is numbered with 32 bits.
        let modulus = u32::MAX;
        let (volts, rails) = (!scale.is_empty(), Rails::Unknown);
        self.scale = scale;
        out(Body::Device(Device { protocol, channels, rate, packet_rate: rate, volts, modulus, rails }));
        self.emit(claim, out);
        let reconnects = std::mem::replace(&mut self.met, true).into();
        self.report(StreamState { reconnects, ..StreamState::default() }, out);
    }

    /// Says what the stream is.
    fn emit(&mut self, claim: Claim, out: &mut Sink<'_>) {
        let Claim { format, channels, rate, .. } = claim;
        self.claim = Some(claim);
        out(Body::Stream(Stream { name: self.stream(), kind: "", format: format.name(), channels, rate }));
    }

    /// The stream ended.
    pub(super) fn forget(&mut self) {
        self.claim = None;
    }

    /// Tells samples that came in a message of so many bytes. Says whether they were as many as they should be.
    pub(super) fn samples(
        &mut self,
        payload: &[u8],
        format: Values,
        frames: u32,
        bytes: u64,
        out: &mut Sink<'_>,
    ) -> Result<(), FaultKind> {
        let Some(claim) = self.claim else { return Err(FaultKind::BadValue) };
        if claim.format != format {
            self.emit(Claim { format, ..claim }, out);
        }
        let channels = claim.channels;
        self.values.clear();
        format.append(payload, &mut self.values);
        let width = usize::from(channels);
        if self.values.len() != (frames as usize).saturating_mul(width) {
            return Err(FaultKind::BadValue);
        }
        let mut not_finite = 0;
        for sample in self.values.chunks_exact_mut(width) {
            let scales = self.scale.iter().copied().chain(std::iter::repeat(1.0));
            for (value, scale) in sample.iter_mut().zip(scales) {
                let scaled = *value * scale;
                not_finite += u64::from(!scaled.is_finite());
                *value = if scaled.is_finite() { scaled } else { 0.0 };
            }
        }
        out(Body::Samples(Samples { values: &self.values, channels, frames, bytes }));
        if not_finite > 0 {
            self.report(StreamState { not_finite, ..StreamState::default() }, out);
        }
        Ok(())
    }

    /// Tells what happened to the stream.
    pub(super) fn report(&self, state: StreamState<'_>, out: &mut Sink<'_>) {
        out(Body::StreamState(&StreamState { name: self.stream(), ..state }));
    }

    fn stream(&self) -> StreamName<'_> {
        StreamName { source: &self.name, stream: &self.name, host: "" }
    }
}
