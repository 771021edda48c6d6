//! What the networking widget of the OpenBCI GUI sends over UDP: one JSON object a datagram, such as
//! `{"type":"timeSeriesRaw","data":[[…],[…]]}`, a row for each channel, microvolts.
//!
//! From `NetworkStreamOut.pde` of the GUI. There is no number and no time in it, so nothing tells whether a datagram
//! was lost: only the rate and silence do. Up to version 5.1 (`W_Networking.pde`) each sample came alone, as
//! `{"type":"eeg","data":[…]}`, a number for each channel. Of these time series, the one that comes first is the
//! signal; all else (band powers, accelerometer, markers …) is counted as messages. OSC, which the GUI can speak as
//! well, is not read.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::datagram::{Datagram, Datagrams};
use crate::decode::Sink;
use crate::decode::facts::{Carries, Facts, Rates};
use crate::event::{Body, Device, Fault, FaultKind, ProgramMessage, Rails, Samples};

/// The types of messages that the GUI sends.
const KINDS: [&str; 16] = [
    "timeSeriesRaw",
    "timeSeriesFilt",
    "eeg",
    "fft",
    "bandPower",
    "averageBandPower",
    "focus",
    "emg",
    "emgJoystick",
    "accelerometer",
    "analog",
    "digital",
    "pulse",
    "marker",
    "auxiliary",
    "SSVEP",
];
/// How many of them are a signal.
const SERIES: usize = 3;
/// The one whose `data` is one sample, and not rows.
const SAMPLE: usize = 2;

/// What is known of the protocol.
pub(in crate::decode) const FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::new("openbci_gui", Carries::Datagrams, |of| {
        Box::new(Datagrams::new(
            of.rate.map_or_else(OpenbciGui::default, |rate| OpenbciGui::new(rate.into())),
        ))
    })
};

/// Decodes the messages of one GUI.
#[derive(Debug)]
pub struct OpenbciGui {
    rate: f64,
    /// Which of the time series is the signal, and its channels.
    signal: Option<(usize, u16)>,
    /// What was read: channel after channel, and then sample after sample.
    numbers: Vec<f32>,
    values: Vec<f32>,
    not_finite: u64,
}

impl Default for OpenbciGui {
    /// Of a Cyton.
    fn default() -> Self {
        Self::new(250.0)
    }
}

impl OpenbciGui {
    /// Of a board with so many samples per second.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { rate, signal: None, numbers: Vec::new(), values: Vec::new(), not_finite: 0 }
    }

    /// The type of message that is the signal, and its channels.
    #[must_use]
    pub fn signal(&self) -> Option<(&'static str, u16)> {
        let (kind, channels) = self.signal?;
        KINDS.get(kind).map(|kind| (*kind, channels))
    }

    /// Samples per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Values that were too large for a number, so far.
    #[must_use]
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// Tells the samples that were read: so many channels, each with as many.
    fn emit(&mut self, kind: usize, channels: u16, bytes: u64, out: &mut Sink<'_>) {
        if self.signal != Some((kind, channels)) {
            self.signal = Some((kind, channels));
            out(Body::Device(Device {
                protocol: "openbci_gui",
                channels,
                rate: self.rate,
                packet_rate: 0.0,
                volts: true,
                modulus: 0,
                rails: Rails::Unknown,
            }));
        }
        let Self { numbers, values, not_finite, .. } = self;
        let length = numbers.len() / usize::from(channels.max(1));
        values.clear();
        for sample in 0..length {
            let all = numbers.iter().skip(sample).step_by(length.max(1));
            values.extend(all.map(|value| if value.is_finite() { *value } else { 0.0 }));
        }
        *not_finite += numbers.iter().filter(|value| !value.is_finite()).count() as u64;
        out(Body::Samples(Samples { values, channels, frames: 1, bytes }));
    }

    fn understand(&mut self, bytes: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let text = std::str::from_utf8(bytes).map_err(|_| FaultKind::Encoding)?;
        self.numbers.clear();
        let mut message = Message { numbers: &mut self.numbers, kind: None, data: None };
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(&mut message).and_then(|()| json.end()).map_err(|_| FaultKind::Syntax)?;
        let (kind, data) = (message.kind, message.data);
        let kind = kind.ok_or(FaultKind::MissingField)?.ok_or(FaultKind::UnknownType)?;
        let data = data.ok_or(FaultKind::MissingField)?;
        let series = kind < SERIES && self.signal.is_none_or(|(signal, _)| signal == kind);
        if !series {
            out(Body::ProgramMessage(ProgramMessage { bytes: bytes.len() as u64 }));
            return Ok(());
        }
        let even = data.rows > 0 && data.length > 0 && !data.odd && data.flat == (kind == SAMPLE);
        let channels = u16::try_from(data.rows).ok().filter(|_| even).ok_or(FaultKind::BadValue)?;
        self.emit(kind, channels, bytes.len() as u64, out);
        Ok(())
    }
}

impl Datagram for OpenbciGui {
    fn datagram(&mut self, bytes: &[u8], _sender: u16, out: &mut Sink<'_>) {
        if let Err(kind) = self.understand(bytes, out) {
            out(Body::Fault(Fault { kind, bytes: bytes.len() as u64 }));
        }
    }

    fn end(&mut self, _out: &mut Sink<'_>) {
        self.signal = None;
    }
}

/// A message as it is read.
struct Message<'n> {
    numbers: &'n mut Vec<f32>,
    /// Its type, and whether that is one of those known.
    kind: Option<Option<usize>>,
    data: Option<Data>,
}

/// What was in `data`.
#[derive(Clone, Copy, Debug, Default)]
struct Data {
    rows: usize,
    /// Numbers of each row.
    length: usize,
    /// Whether rows differ in length, or something in them is no number.
    odd: bool,
    /// Whether a number stands in place of each row.
    flat: bool,
}

impl<'de> Visitor<'de> for &mut Message<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "type" => {
                    let kind: &str = map.next_value()?;
                    self.kind = Some(KINDS.iter().position(|known| *known == kind));
                }
                "data" => {
                    self.numbers.clear();
                    self.data = Some(map.next_value_seed(Rows(self.numbers))?);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads rows of numbers, or something else.
struct Rows<'n>(&'n mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = Data;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Data, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
        let mut data = Data::default();
        while let Some(row) = seq.next_element_seed(Row(self.0))? {
            let (length, flat) = match row {
                Item::Row(length) => (length, false),
                Item::Number => (1, true),
                Item::Other => (0, data.flat),
            };
            let first = data.rows == 0;
            data.odd |= row == Item::Other || !(first || (length, flat) == (data.length, data.flat));
            (data.length, data.flat) = (length, flat);
            data.rows += 1;
        }
        Ok(data)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Data::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Data, E> {
        Ok(Data::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Data, E> {
        Ok(Data::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Data, E> {
        Ok(Data::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Data, E> {
        Ok(Data::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Data, E> {
        Ok(Data::default())
    }
}

/// What stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// A row of so many numbers.
    Row(usize),
    /// A number.
    Number,
    /// Something else.
    Other,
}

/// Reads a row, or a number instead.
struct Row<'n>(&'n mut Vec<f32>);

impl Row<'_> {
    /// Microvolts, as volts.
    fn push(&mut self, number: f64) {
        self.0.push((number * 1e-6) as f32);
    }
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row of numbers, or a number")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut length = 0;
        while let Some(number) = seq.next_element::<f64>()? {
            self.push(number);
            length += 1;
        }
        Ok(Item::Row(length))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Item::Other)
    }

    fn visit_f64<E: Error>(mut self, number: f64) -> Result<Self::Value, E> {
        self.push(number);
        Ok(Item::Number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Item::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Item::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(gui: &mut OpenbciGui, text: &str) -> Vec<String> {
        let mut all = Vec::new();
        gui.datagram(text.as_bytes(), 1, &mut |body| {
            all.push(match body {
                Body::Samples(Samples { values, channels, frames, bytes }) => {
                    assert_eq!((frames, bytes), (1, text.len() as u64));
                    format!("{channels} {values:?}")
                }
                Body::Device(device) => format!("device {}", device.channels),
                Body::ProgramMessage(answer) => format!("message {}", answer.bytes),
                Body::Fault(fault) => {
                    assert_eq!(fault.bytes, text.len() as u64);
                    fault.kind.as_str().to_owned()
                }
                other => format!("{other:?}"),
            });
        });
        all
    }

    #[test]
    fn rows_are_channels() {
        let mut gui = OpenbciGui::default();
        let raw = "{\"type\":\"timeSeriesRaw\",\"data\":[[1e6,2e6,3e6],[-4e6,5000000,6e6]]}\r\n";
        assert_eq!(decoded(&mut gui, raw), ["device 2", "2 [1.0, -4.0, 2.0, 5.0, 3.0, 6.0]"]);
        assert_eq!(gui.signal(), Some(("timeSeriesRaw", 2)));
        // The other series is a message then, and so is everything else.
        let filtered = "{\"type\":\"timeSeriesFilt\",\"data\":[[1],[2]]}\r\n";
        assert_eq!(decoded(&mut gui, filtered), [format!("message {}", filtered.len())]);
        for message in [
            "{\"type\":\"focus\",\"data\":1}\r\n",
            "{\"type\":\"marker\",\"data\":[[0.0,1.0]]}\r\n",
            "{\"type\":\"bandPower\",\"data\":[[0.1,0.2,0.3,0.4,0.5],[1,2,3,4,5]]}\r\n",
            "{\"type\":\"emg\",\"data\":[0.1,0.2]}\r\n",
            "{\"data\":{\"x\":[1]},\"type\":\"pulse\"}",
        ] {
            assert_eq!(decoded(&mut gui, message), [format!("message {}", message.len())], "{message}");
        }
        // Fewer channels: another device.
        assert_eq!(
            decoded(&mut gui, "{\"data\":[[1e6]],\"type\":\"timeSeriesRaw\"}"),
            ["device 1", "1 [1.0]"]
        );
        gui.end(&mut |_| {});
        assert_eq!(decoded(&mut gui, filtered)[0], "device 2");
    }

    #[test]
    fn an_older_gui_sends_each_sample_alone() {
        let mut gui = OpenbciGui::default();
        let sample = "{\"type\":\"eeg\",\"data\":[1000000.0,-2.0E6,3000000]}\r\n";
        assert_eq!(decoded(&mut gui, sample), ["device 3", "3 [1.0, -2.0, 3.0]"]);
        assert_eq!(decoded(&mut gui, sample), ["3 [1.0, -2.0, 3.0]"]);
        assert_eq!(gui.signal(), Some(("eeg", 3)));
        let message = "{\"type\":\"SSVEP\",\"data\":[1,0]}\r\n";
        assert_eq!(decoded(&mut gui, message), [format!("message {}", message.len())]);
    }

    #[test]
    fn what_is_no_message() {
        let mut gui = OpenbciGui::default();
        for (text, fault) in [
            ("", "syntax"),
            ("[1]", "syntax"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[[NaN]]}", "syntax"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[[1]]} x", "syntax"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[[1],[", "syntax"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[[\"1\"]]}", "syntax"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[[1,2],[3]]}", "bad_value"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[1,2]}", "bad_value"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[[],[]]}", "bad_value"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[]}", "bad_value"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":true}", "bad_value"),
            ("{\"type\":\"timeSeriesRaw\",\"data\":[[1],2]}", "bad_value"),
            ("{\"type\":\"eeg\",\"data\":[1,[2]]}", "bad_value"),
            ("{\"type\":\"eeg\",\"data\":[1,\"2\"]}", "bad_value"),
            ("{\"type\":\"eeg\",\"data\":[[1],[2]]}", "bad_value"),
            ("{\"type\":\"eeg\",\"data\":[]}", "bad_value"),
            ("{\"type\":\"timeSeriesRaw\"}", "missing_field"),
            ("{\"data\":[[1]]}", "missing_field"),
            ("{\"type\":\"secrets\",\"data\":[[1]]}", "unknown_type"),
        ] {
            assert_eq!(decoded(&mut gui, text), [fault], "{text}");
        }
        let mut kinds = Vec::new();
        gui.datagram(b"\xff{}", 1, &mut |body| {
            if let Body::Fault(fault) = body {
                kinds.push(fault.kind);
            }
        });
        assert_eq!(kinds, [FaultKind::Encoding]);
        assert_eq!(decoded(&mut gui, "{\"type\":\"timeSeriesRaw\",\"data\":[[1e300]]}")[1], "1 [0.0]");
        assert_eq!(gui.not_finite(), 1);
    }
}
