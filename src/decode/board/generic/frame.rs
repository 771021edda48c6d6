//! A frame as a person describes it: what it begins with, where its numbers stand, and what is impossible.
//!
//! It reads no bytes of a device.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::checksum::Kind;

/// Bytes of the longest frame.
pub const LONGEST: usize = 2048;
/// Samples per second. Who reads a recording has no schema that says it.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=1e6;
/// Bits by which frames must be known from anything else, at least.
const MARKS: usize = 16;

/// A frame of a board of one's own. Places are counted from the frame's first byte, which is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// The bytes that each frame begins with: a list such as [0xA5, 0x5A], or text.
    #[serde(default)]
    pub sync: Octets,
    /// Bytes of a whole frame, if all are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2048))]
    pub length: Option<usize>,
    /// Where a frame says how long it is, if they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_field: Option<LengthField>,
    /// The number that each frame carries; loss is computed from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<Counter>,
    /// Where the samples stand.
    pub channels: Channels,
    /// Samples in a frame, each with all its channels.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1024))]
    pub samples: usize,
    /// Samples per second.
    #[schemars(range(min = 0.01, max = 1_000_000))]
    pub rate: f64,
    /// What values are after they were multiplied by `scale`.
    #[serde(default)]
    pub unit: Unit,
    /// What one count is in the unit.
    #[serde(default = "unity")]
    pub scale: f64,
    /// The lowest and the highest count that the converter can give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rails: Option<[f64; 2]>,
    /// Charge of the battery, 0 to 1 after it was scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery: Option<Reading>,
    /// Temperature of the board, degrees Celsius after it was scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Reading>,
    /// The checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// The bytes that each frame ends with.
    #[serde(default)]
    pub tail: Octets,
    /// What is written to the board so that it starts, in pieces with a moment between them.
    #[serde(default)]
    pub hello: Vec<Octets>,
    /// What is written to the board so that it stops.
    #[serde(default)]
    pub goodbye: Octets,
}

fn one() -> usize {
    1
}

fn unity() -> f64 {
    1.0
}

/// Where a frame says how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthField {
    /// Its first byte.
    pub offset: usize,
    /// Its bytes.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 2))]
    pub bytes: usize,
    /// Which byte is first.
    #[serde(default)]
    pub order: Order,
    /// Bytes of the frame that it does not count.
    #[serde(default)]
    #[schemars(range(max = 2048))]
    pub plus: usize,
}

/// The number of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Its first byte.
    pub offset: usize,
    /// Its bits: 4 (the lower half of the byte), 8, 16, 24 or 32.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 32))]
    pub bits: u32,
    /// Which byte is first.
    #[serde(default)]
    pub order: Order,
    /// By how much it goes up with each frame.
    #[serde(default = "step")]
    #[schemars(range(min = 1, max = 65_536))]
    pub step: u32,
    /// It begins again at this number; if omitted, when its bits are full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub modulus: Option<u32>,
}

fn eight() -> u32 {
    8
}

fn step() -> u32 {
    1
}

impl Counter {
    /// Bytes it takes.
    pub(super) fn bytes(self) -> usize {
        self.bits.div_ceil(8) as usize
    }

    /// How many values it has.
    pub(super) fn values(self) -> u64 {
        self.modulus.map_or_else(|| 1 << self.bits.min(32), u64::from)
    }

    /// Frames until it begins again; less than 2^31, so that a sum of two has 32 bits.
    pub(super) fn round(self) -> u32 {
        let frames = self.values() / u64::from(self.step.max(1));
        u32::try_from(frames).unwrap_or(u32::MAX).min(1 << 31)
    }
}

/// Where the samples stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// The first byte of the first channel.
    pub offset: usize,
    /// How many there are.
    #[schemars(range(min = 1, max = 1024))]
    pub count: usize,
    /// How a value is written.
    pub format: Format,
    /// Which byte is first.
    #[serde(default)]
    pub order: Order,
    /// Bytes from one channel to the next; those of a value if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2048))]
    pub stride: Option<usize>,
    /// Bytes from one sample to the next; those of all channels if omitted. With `stride` it describes blocks
    /// by channel too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2048))]
    pub sample_stride: Option<usize>,
}

impl Channels {
    /// Bytes from one channel, and from one sample, to the next.
    pub(super) fn strides(&self) -> (usize, usize) {
        let stride = self.stride.unwrap_or_else(|| self.format.bytes());
        (stride, self.sample_stride.unwrap_or_else(|| stride.saturating_mul(self.count)))
    }
}

/// A value that a board reports about itself: the number in the frame times `scale`, plus `plus`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Its first byte.
    pub offset: usize,
    /// How it is written.
    pub format: Format,
    /// Which byte is first.
    #[serde(default)]
    pub order: Order,
    /// What one count is.
    #[serde(default = "unity")]
    pub scale: f64,
    /// What a count of 0 is.
    #[serde(default)]
    pub plus: f64,
}

/// The checksum of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checksum {
    /// How it is computed.
    pub kind: Kind,
    /// The polynomial of `crc8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poly: Option<u32>,
    /// What the computation begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<u32>,
    /// Its first byte; right before the tail if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// Which byte is first.
    #[serde(default)]
    pub order: Order,
    /// The first byte that it is computed from.
    #[serde(default)]
    pub from: usize,
    /// The byte before which that ends; the checksum itself if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<usize>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Format {
    Int8,
    Int16,
    Int24,
    Int32,
    Uint8,
    Uint16,
    Uint24,
    Uint32,
    Float32,
    Float64,
}

impl Format {
    /// Bytes of a value.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int24 | Self::Uint24 => 3,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }
}

/// Which byte of a number is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The highest.
    #[default]
    Big,
    /// The lowest.
    Little,
}

/// What values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Counts of the converter.
    #[default]
    Counts,
    /// Volts at the electrode.
    Volts,
}

impl Frame {
    /// What it tells of the board itself, with its key.
    fn readings(&self) -> impl Iterator<Item = (&'static str, Reading)> {
        let all = [("battery", self.battery), ("temperature", self.temperature)];
        all.into_iter().filter_map(|(key, reading)| Some((key, reading?)))
    }

    /// Where the checksum stands in a frame of this length.
    pub(super) fn checksum_at(&self, length: usize) -> Option<(Checksum, usize)> {
        let sum = self.checksum?;
        let last = length.checked_sub(self.tail.len() + sum.kind.bytes());
        Some((sum, sum.offset.or(last)?))
    }

    /// Bytes of the shortest frame that holds what is described, if that is at most [`LONGEST`].
    #[must_use]
    pub fn least(&self) -> usize {
        let Channels { offset, count, format, .. } = self.channels;
        let (stride, sample_stride) = self.channels.strides();
        let span = |number: usize, by: usize| number.saturating_sub(1).saturating_mul(by);
        let channels = offset
            .saturating_add(span(count, stride))
            .saturating_add(span(self.samples, sample_stride))
            .saturating_add(format.bytes());
        let counter = self.counter.map_or(0, |c| c.offset.saturating_add(c.bytes()));
        let readings = self.readings().map(|(_, of)| of.offset.saturating_add(of.format.bytes()));
        let readings = readings.max().unwrap_or(0);
        let field = self.length_field.map_or(0, |f| f.offset.saturating_add(f.bytes));
        let sum = self.checksum.map_or(0, |sum| sum.kind.bytes());
        let placed = self.checksum.and_then(|sum| sum.offset).map(|offset| offset.saturating_add(sum));
        let end =
            self.sync.len().max(channels).max(counter).max(readings).max(field).max(placed.unwrap_or(0));
        end.saturating_add(if placed.is_none() { sum } else { 0 }).saturating_add(self.tail.len())
    }

    /// What cannot be: the key, with dots, and why. A description without any can be decoded.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut say = |key, why: String| wrong.push((key, why));
        self.check_length(&mut say);
        self.check_counter(&mut say);
        if self.channels.count == 0 || self.samples == 0 || self.channels.count > 1024 || self.samples > 1024
        {
            say("channels", "at least one channel and one sample, at most 1024".to_owned());
        }
        if !RATES.contains(&self.rate) {
            let (least, most) = (RATES.start(), RATES.end());
            say("rate", format!("from {least} to {most}"));
        }
        if !self.scale.is_finite() || self.scale == 0.0 {
            say("scale", "0 would make every value nothing".to_owned());
        }
        for (key, reading) in self.readings() {
            if !(reading.scale.is_finite() && reading.scale != 0.0 && reading.plus.is_finite()) {
                say(key, "`scale` is a number that is not 0, and `plus` a number".to_owned());
            }
        }
        if self.rails.is_some_and(|[low, high]| !(low.is_finite() && high.is_finite() && low < high)) {
            say("rails", "the lowest count, then the highest".to_owned());
        }
        self.check_sum(&mut say);
        self.check_marks(&mut say);
        if wrong.is_empty() {
            self.overlaps(&mut wrong);
        }
        wrong
    }

    fn check_length(&self, say: &mut dyn FnMut(&'static str, String)) {
        let least = self.least();
        match (self.length, self.length_field) {
            (None, None) => say("", "a frame needs `length` or `length_field`".to_owned()),
            (Some(_), Some(_)) => {
                say("length_field", "stands beside `length`; a frame has one of them".to_owned());
            }
            (Some(length), None) if length < least.min(LONGEST) => {
                say("length", format!("{length} is too small; what is described takes {least} bytes"));
            }
            _ => {}
        }
        if least > LONGEST || self.length.is_some_and(|length| length > LONGEST) {
            say("channels", format!("a frame would have more than {LONGEST} bytes"));
        }
        if let Some(field) = self.length_field {
            if !(1..=2).contains(&field.bytes) {
                say("length_field.bytes", "1 or 2".to_owned());
            }
            if field.plus > LONGEST {
                say("length_field.plus", format!("a frame would have more than {LONGEST} bytes"));
            }
            if self.checksum.is_none() && self.tail.is_empty() {
                say("length_field", "frames of different length need a checksum or a tail".to_owned());
            }
        }
    }

    fn check_counter(&self, say: &mut dyn FnMut(&'static str, String)) {
        if let Some(counter) = self.counter {
            if ![4, 8, 16, 24, 32].contains(&counter.bits) {
                say("counter.bits", "one of 4, 8, 16, 24, 32".to_owned());
            } else if counter.values() > 1 << counter.bits {
                say("counter.modulus", format!("more than {} bits can count", counter.bits));
            } else if counter.step == 0
                || counter.values() % u64::from(counter.step) != 0
                || counter.round() < 2
            {
                say("counter.step", "the counter must come round in whole steps, two at least".to_owned());
            }
        }
    }

    fn check_sum(&self, say: &mut dyn FnMut(&'static str, String)) {
        if let Some(sum) = self.checksum {
            let mask = |bytes: usize| u32::MAX >> (32 - 8 * bytes.min(4));
            if sum.poly.is_some() && sum.kind != Kind::Crc8 || sum.poly.is_some_and(|poly| poly > 0xFF) {
                say("checksum.poly", "of crc8 alone, and at most 0xFF".to_owned());
            }
            let summed = matches!(sum.kind, Kind::Sum8 | Kind::Sum8Inverted | Kind::Xor8);
            if sum.init.is_some_and(|init| summed || init > mask(sum.kind.bytes())) {
                say("checksum.init", "more than the checksum has bits, or of a sum".to_owned());
            }
            let length = self.length.unwrap_or_else(|| self.least());
            if let Some((_, at)) = self.checksum_at(length).filter(|_| length <= LONGEST) {
                let to = sum.to.unwrap_or(at);
                if sum.from >= to || to > length {
                    say("checksum.from", "there is nothing to compute it from".to_owned());
                } else if sum.from < at.saturating_add(sum.kind.bytes()) && to > at {
                    say("checksum.to", "the checksum would be computed from itself".to_owned());
                }
            }
        }
    }

    fn check_marks(&self, say: &mut dyn FnMut(&'static str, String)) {
        let marks = 8 * (self.sync.len() + self.tail.len() + self.checksum.map_or(0, |sum| sum.kind.bytes()))
            + self.counter.map_or(0, |counter| counter.bits as usize);
        if marks < MARKS {
            say(
                "sync",
                "too little to tell frames by: sync, tail, checksum and counter need 16 bits together"
                    .to_owned(),
            );
        }
    }

    /// Says which parts stand on the same bytes.
    fn overlaps(&self, wrong: &mut Vec<(&'static str, String)>) {
        let length = self.length.unwrap_or_else(|| self.least());
        let mut owners: Vec<Option<&'static str>> = vec![None; length];
        let mut claim = |key: &'static str, from: usize, bytes: usize| {
            for at in from..from.saturating_add(bytes) {
                match owners.get_mut(at) {
                    Some(owner @ None) => *owner = Some(key),
                    Some(Some(other)) => {
                        let other = other.split('.').next().unwrap_or_default();
                        if !wrong.iter().any(|(known, _)| *known == key) {
                            wrong.push((key, format!("byte {at} belongs to `{other}` already")));
                        }
                    }
                    None if !wrong.iter().any(|(known, _)| *known == key) => {
                        wrong.push((key, "stands beyond the end of the frame".to_owned()));
                    }
                    None => {}
                }
            }
        };
        claim("sync", 0, self.sync.len());
        claim("tail", length.saturating_sub(self.tail.len()), self.tail.len());
        if let Some(field) = self.length_field {
            claim("length_field.offset", field.offset, field.bytes);
        }
        if let Some(counter) = self.counter {
            claim("counter.offset", counter.offset, counter.bytes());
        }
        if let Some((sum, at)) = self.checksum_at(length) {
            claim("checksum.offset", at, sum.kind.bytes());
        }
        let (stride, sample_stride) = self.channels.strides();
        for place in 0..self.samples * self.channels.count {
            let (sample, channel) = (place / self.channels.count, place % self.channels.count);
            let at = self.channels.offset + sample * sample_stride + channel * stride;
            claim("channels.offset", at, self.channels.format.bytes());
        }
        for (key, reading) in self.readings() {
            claim(key, reading.offset, reading.format.bytes());
        }
    }
}

/// Bytes, written as a list of numbers or as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl std::ops::Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Octets;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of bytes, or text")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Octets, E> {
                Ok(Octets(text.as_bytes().to_vec()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut from: A) -> Result<Octets, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = from.next_element()? {
                    all.push(one);
                }
                Ok(Octets(all))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Octets {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Octets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } }
            ]
        })
    }
}
