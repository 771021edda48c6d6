//! What a stream says of itself: the short description that outlets answer with, and the full one.
//!
//! The fields are those that liblsl writes (`stream_info_impl.cpp`), channels as XDF's convention has them:
//! `desc/channels/channel/{label,unit,type}`. What is not known is passed over; what is claimed is believed only
//! within bounds.

use std::borrow::Cow;

use super::unit;
use super::xml::{Piece, Reader};
use crate::event::FaultKind;

/// Bytes of the longest description that is read.
pub const DESCRIPTION: usize = 1 << 20;
/// Bytes of the longest field.
const FIELD: usize = 1024;
/// Bytes of the longest field of a channel.
const CHANNEL_FIELD: usize = 128;
/// The highest rate that is believed, hertz.
const FASTEST: f64 = 1e6;
/// Odd fields that are reported.
const ODD: usize = 16;
/// Where characters stand for bytes that are no UTF-8: in an area that is nobody's.
const FOREIGN: u32 = 0xf_f000;

/// What the values of a stream are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// IEEE 754, 32 bits.
    #[default]
    Float32,
    /// IEEE 754, 64 bits.
    Double64,
    /// Text, mostly markers.
    Text,
    /// 32 bits with sign.
    Int32,
    /// 16 bits with sign.
    Int16,
    /// 8 bits with sign.
    Int8,
    /// 64 bits with sign.
    Int64,
}

impl Format {
    /// Every format, under the name that descriptions have for it.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("float32", Self::Float32),
        ("double64", Self::Double64),
        ("string", Self::Text),
        ("int32", Self::Int32),
        ("int16", Self::Int16),
        ("int8", Self::Int8),
        ("int64", Self::Int64),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// Bytes of one value; texts have no size.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Float32 | Self::Int32 => 4,
            Self::Double64 | Self::Int64 => 8,
            Self::Int16 => 2,
            Self::Int8 => 1,
            Self::Text => 0,
        }
    }
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// What it carries: `EEG`, `Markers` …
    pub kind: String,
    /// Channels of one sample, at least 1.
    pub channels: u16,
    /// What its values are.
    pub format: Format,
    /// What stays the same when its program is started again; may be empty.
    pub source_id: String,
    /// Samples per second; 0 if they come when they come.
    pub rate: f64,
    /// The version of the protocol, as a hundredth: 100 or 110.
    pub version: u32,
    /// When the outlet was made, seconds of its sender's clock.
    pub created: f64,
    /// New for each start.
    pub uid: String,
    /// The session it belongs to.
    pub session: String,
    /// The machine it is on.
    pub hostname: String,
    /// The TCP port of samples over IPv4; 0 if there is none.
    pub data_port: u16,
    /// The UDP port that tells the time over IPv4; 0 if there is none.
    pub service_port: u16,
    /// The TCP port of samples over IPv6; 0 if there is none.
    pub data_port_v6: u16,
    /// The UDP port that tells the time over IPv6; 0 if there is none.
    pub service_port_v6: u16,
    /// What the full description says of channels; at most as many as there are.
    pub described: Vec<Channel>,
    /// What of the description is not as it should be, and was read as far as it can be.
    pub odd: Vec<Odd>,
}

/// A field of a description that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd {
    /// Its name; `description` for all of it.
    pub field: &'static str,
    /// What is wrong with it.
    pub kind: FaultKind,
}

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { field, kind } = self;
        let why = match kind {
            FaultKind::Encoding => "is not UTF-8; it is read as Latin-1",
            FaultKind::TooLong => "is too long",
            FaultKind::MissingField => "is missing",
            FaultKind::BadValue => "is no such number or word",
            _ => "cannot be read",
        };
        write!(f, "<{field}> {why}")
    }
}

/// A channel, in the words of its maker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// Such as `Cz`.
    pub label: String,
    /// Such as `microvolts`.
    pub unit: String,
    /// Such as `EEG`.
    pub kind: String,
}

impl Channel {
    /// What a value is to be multiplied with to be volts; `None` if it is no voltage.
    #[must_use]
    pub fn volts(&self) -> Option<f32> {
        unit::volts(&self.unit, &self.kind)
    }
}

impl Info {
    /// Reads a description, short or full. What is odd in it is kept as far as it can be read, and reported in
    /// `odd`.
    ///
    /// # Errors
    /// What is wrong with it, if it says too little to follow the stream.
    pub fn parse(bytes: &[u8]) -> Result<Self, Odd> {
        let whole = |kind| Odd { field: "description", kind };
        if bytes.len() > DESCRIPTION {
            return Err(whole(FaultKind::TooLong));
        }
        let text = foreign(bytes);
        let mut info = Self::default();
        let mut channels = None;
        // Whether the channel that is read is one of those that the stream has.
        let mut counted = false;
        let mut reader = Reader::new(&text);
        let broken = loop {
            let piece = match reader.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => break None,
                Err(_) => break Some(whole(FaultKind::Syntax)),
            };
            match piece {
                Piece::Open(_) if reader.open() == ["info", "desc", "channels", "channel"] => {
                    counted = info.described.len() < usize::from(info.channels);
                    if counted {
                        info.described.push(Channel::default());
                    }
                }
                Piece::Open(_) | Piece::Close => {}
                Piece::Text(text) => match reader.open() {
                    ["info", "channel_count"] => {
                        info.channels = number(&text)
                            .filter(|count| *count > 0)
                            .ok_or(Odd { field: "channel_count", kind: FaultKind::BadValue })?;
                        channels = Some(info.channels);
                    }
                    ["info", field] => info.set(field, &text)?,
                    ["info", "desc", "channels", "channel", field] if counted => info.describe(field, &text),
                    _ => {}
                },
            }
        };
        let needed = [
            ("name", info.name.is_empty()),
            ("uid", info.uid.is_empty()),
            ("channel_count", channels.is_none()),
        ];
        if let Some((field, _)) = needed.iter().find(|(_, missing)| *missing) {
            return Err(broken.unwrap_or(Odd { field, kind: FaultKind::MissingField }));
        }
        if let Some(odd) = broken {
            // The channels that were described until there are those that they are.
            info.odd(odd.field, odd.kind);
        }
        // A number of channels may have been claimed twice.
        info.described.truncate(info.channels.into());
        Ok(info)
    }

    /// Something is not as it should be, and was read as far as it can be.
    fn odd(&mut self, field: &'static str, kind: FaultKind) {
        let odd = Odd { field, kind };
        if self.odd.len() < ODD && !self.odd.contains(&odd) {
            self.odd.push(odd);
        }
    }

    fn set(&mut self, field: &str, text: &str) -> Result<(), Odd> {
        let (name, words) = match field {
            "name" => ("name", &mut self.name),
            "type" => ("type", &mut self.kind),
            "source_id" => ("source_id", &mut self.source_id),
            "session_id" => ("session_id", &mut self.session),
            "hostname" => ("hostname", &mut self.hostname),
            "uid" => {
                let (uid, odd) = words_of(text, FIELD);
                // Who would be asked for it by another one would say that it is not here.
                return match odd {
                    Some(kind) => Err(Odd { field: "uid", kind }),
                    None => {
                        self.uid = uid;
                        Ok(())
                    }
                };
            }
            "channel_format" => {
                let found = Format::ALL.iter().find(|(name, _)| *name == text.trim());
                let odd = Odd { field: "channel_format", kind: FaultKind::BadValue };
                self.format = found.map(|(_, format)| *format).ok_or(odd)?;
                return Ok(());
            }
            _ => {
                self.count(field, text);
                return Ok(());
            }
        };
        let odd;
        (*words, odd) = words_of(text, FIELD);
        if let Some(kind) = odd {
            self.odd(name, kind);
        }
        Ok(())
    }

    /// A number that the stream can be followed without.
    fn count(&mut self, field: &str, text: &str) {
        let odd = match field {
            "nominal_srate" => {
                let rate = real(text).filter(|(rate, _)| (0.0..=FASTEST).contains(rate));
                self.rate = rate.map_or(0.0, |(rate, _)| rate);
                ("nominal_srate", rate.is_none_or(|(_, odd)| odd))
            }
            "created_at" => {
                let created = real(text);
                self.created = created.map_or(0.0, |(created, _)| created);
                ("created_at", created.is_none_or(|(_, odd)| odd))
            }
            "version" => {
                let version = real(text);
                // What everybody has spoken for ten years.
                let hundred = version.map_or(1.1, |(version, _)| version.clamp(0.0, 1e6)) * 100.0;
                self.version = hundred.round() as u32;
                ("version", version.is_none_or(|(_, odd)| odd))
            }
            "v4data_port" => ("v4data_port", port(text, &mut self.data_port)),
            "v4service_port" => ("v4service_port", port(text, &mut self.service_port)),
            "v6data_port" => ("v6data_port", port(text, &mut self.data_port_v6)),
            "v6service_port" => ("v6service_port", port(text, &mut self.service_port_v6)),
            _ => return,
        };
        if odd.1 {
            self.odd(odd.0, FaultKind::BadValue);
        }
    }

    /// A field of the channel that is described.
    fn describe(&mut self, field: &str, text: &str) {
        let Some(channel) = self.described.last_mut() else { return };
        let (name, place) = match field {
            "label" => ("label", &mut channel.label),
            "unit" => ("unit", &mut channel.unit),
            "type" => ("channel type", &mut channel.kind),
            _ => return,
        };
        let odd;
        (*place, odd) = words_of(text, CHANNEL_FIELD);
        if let Some(kind) = odd {
            self.odd(name, kind);
        }
    }

    /// By what values of each channel are multiplied to be volts. `None` unless all channels are voltages.
    #[must_use]
    pub fn volts(&self) -> Option<Vec<f32>> {
        if self.described.len() != usize::from(self.channels) {
            return None;
        }
        self.described.iter().map(Channel::volts).collect()
    }

    /// What stays the same from one start to the next, as far as there is such a thing, to put streams in order by.
    #[must_use]
    pub fn lasting(&self) -> impl Ord + '_ {
        let Self { name, hostname, source_id, kind, channels, format, rate, created, uid, .. } = self;
        // Rates and times are no NaN and not negative, and so in order as bits.
        let (rate, created) = (rate.to_bits(), created.to_bits());
        (name, hostname, source_id, kind, channels, format.name(), rate, created, uid)
    }

    /// Whether this has the name of `other`, on the same machine.
    #[must_use]
    pub fn is_called_as(&self, other: &Self) -> bool {
        self.name == other.name && self.hostname == other.hostname
    }

    /// Whether this has the name and the id of `other`: it may be the same with other settings.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.is_called_as(other) && self.source_id == other.source_id
    }

    /// Whether this is the stream that `other` is, perhaps after its program was restarted.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        let of = |info: &Self| (info.channels, info.format, info.rate.to_bits());
        self.replaces(other) && self.kind == other.kind && of(self) == of(other)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// A number with a fraction, and whether it was written as it should not be: with a comma, by a program that writes
/// numbers as its country does.
fn real(text: &str) -> Option<(f64, bool)> {
    let text = text.trim();
    match text.split_once(',') {
        Some((whole, fraction)) => {
            let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
            let number = if plain(fraction) { number(&format!("{whole}.{fraction}")) } else { None };
            number.map(|number| (number, true))
        }
        None => number(text).map(|number| (number, false)),
    }
}

/// Reads a port; says whether it is none.
fn port(text: &str, to: &mut u16) -> bool {
    let port = number(text);
    *to = port.unwrap_or_default();
    port.is_none()
}

/// The text of a description. Bytes that are no UTF-8 become characters that nobody has, so that it is known where they
/// were until [`words_of`] makes of them what they are in Latin-1.
fn foreign(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(2 * bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(FOREIGN + u32::from(*byte))));
    }
    Cow::Owned(text)
}

/// The words of a field, so many bytes at most, and what is odd about them.
fn words_of(text: &str, most: usize) -> (String, Option<FaultKind>) {
    let mut odd = None;
    let known = |c: char| match u32::from(c).checked_sub(FOREIGN).and_then(|byte| u8::try_from(byte).ok()) {
        Some(byte) => {
            odd = Some(FaultKind::Encoding);
            char::from(byte)
        }
        None => c,
    };
    let mut words: String = text.trim().chars().map(known).collect();
    if words.len() > most {
        words.truncate(words.floor_char_boundary(most));
        odd = Some(FaultKind::TooLong);
    }
    (words, odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = include_str!("../../../tests/fixtures/lsl/fullinfo.xml");

    #[test]
    fn what_liblsl_wrote() {
        let info = Info::parse(FULL.as_bytes()).unwrap();
        assert_eq!((&*info.name, &*info.kind, info.channels), ("x", "EEG", 2));
        assert_eq!((info.format, info.rate, info.version), (Format::Float32, 100.0, 110));
        assert_eq!((&*info.source_id, &*info.session), ("sid-x", "cap"));
        assert!(
            info.uid.len() == 36
                && info.created > 0.0
                && info.data_port >= 16572
                && info.service_port >= 16572
        );
        let channel = |label: &str| Channel {
            label: label.to_owned(),
            unit: "microvolts".to_owned(),
            kind: "EEG".to_owned(),
        };
        assert_eq!(info.described, [channel("C0"), channel("C1")]);
        assert_eq!(info.volts(), Some(vec![1e-6, 1e-6]));
        let mut again = info.clone();
        again.uid = "another".to_owned();
        assert!(again.is_as(&info));
        again.channels = 3;
        assert!(!again.is_as(&info) && again.replaces(&info));
    }

    #[test]
    fn what_is_claimed_has_bounds() {
        let read = |from: &str, to: &str| Info::parse(FULL.replace(from, to).as_bytes());
        let with = |from: &str, to: &str| {
            read(from, to).map(|info| info.channels).map_err(|odd| (odd.field, odd.kind))
        };
        let count = "<channel_count>2<";
        for (from, to, field, why) in [
            (count, "<channel_count>0<", "channel_count", FaultKind::BadValue),
            (count, "<channel_count>4000000000<", "channel_count", FaultKind::BadValue),
            (count, "<channel_count>-1<", "channel_count", FaultKind::BadValue),
            (count, "<other>2<", "description", FaultKind::Syntax),
            ("<uid>", "<!DOCTYPE x>", "description", FaultKind::Syntax),
            (">float32<", ">float16<", "channel_format", FaultKind::BadValue),
            (">x<", "><", "name", FaultKind::MissingField),
        ] {
            assert_eq!(with(from, to), Err((field, why)), "{to}");
        }
        // What the stream can be followed without is kept as far as it can be read.
        for (from, to, field, why) in [
            (">100.0000000000000<", ">-1<", "nominal_srate", FaultKind::BadValue),
            (">100.0000000000000<", ">NaN<", "nominal_srate", FaultKind::BadValue),
            (">100.0000000000000<", ">1e300<", "nominal_srate", FaultKind::BadValue),
            ("<v4data_port>16573<", "<v4data_port>70000<", "v4data_port", FaultKind::BadValue),
        ] {
            let info = read(from, to).unwrap();
            assert_eq!(info.odd.first(), Some(&Odd { field, kind: why }), "{to}");
            assert!(info.rate == 0.0 || info.data_port == 0, "{to}");
        }
        let long = read(">C0<", &format!(">{}<", "x".repeat(200))).unwrap();
        assert_eq!((long.described[0].label.len(), &*long.described[1].label), (128, "C1"));
        assert_eq!(long.odd, [Odd { field: "label", kind: FaultKind::TooLong }]);
        let many = Info::parse(&vec![b' '; DESCRIPTION + 1]);
        assert_eq!(many, Err(Odd { field: "description", kind: FaultKind::TooLong }));
        assert_eq!(Info::parse(b"\xff"), Err(Odd { field: "description", kind: FaultKind::Syntax }));
        // A description with more channels than the stream has.
        assert_eq!(with(count, "<channel_count>1<"), Ok(1));
        let more = FULL.replace(count, "<channel_count>1<");
        let described = Info::parse(more.as_bytes()).unwrap().described;
        assert_eq!(described.iter().map(|channel| &*channel.label).collect::<Vec<_>>(), ["C0"]);
        let twice = FULL.replace("</desc>", "</desc><channel_count>1</channel_count>");
        assert_eq!(Info::parse(twice.as_bytes()).unwrap().described.len(), 1);
        // Half of the channels are no voltages.
        let half = FULL.replacen("microvolts", "g", 1);
        assert_eq!(Info::parse(half.as_bytes()).unwrap().volts(), None);
    }

    #[test]
    fn what_can_be_read_is_kept_and_what_is_odd_is_named() {
        let comma = FULL.replace("<version>1.100000000000000<", "<version>1,100000000000000<");
        let comma = comma.replace(">100.0000000000000<", ">99,5<");
        assert_ne!(comma, FULL);
        let info = Info::parse(comma.as_bytes()).unwrap();
        assert_eq!((info.version, info.rate), (110, 99.5));
        let decoded: Vec<_> = info.odd.iter().map(|odd| odd.field).collect();
        assert!(
            decoded.contains(&"version") && decoded.contains(&"nominal_srate") && decoded.len() == 2,
            "{decoded:?}"
        );
        assert!(!info.described.is_empty() && info.volts().is_some());
        for (text, real) in [("1,2,3", None), ("1.000,5", None), ("x", None), ("1,", Some((1.0, true)))] {
            assert_eq!(super::real(text), real, "{text}");
        }
        // Windows programs of some years ago.
        let latin = |text: &str| text.chars().map(|c| c as u32 as u8).collect::<Vec<u8>>();
        let named = FULL.replace(">x<", ">M\u{fc}ller<").replace(">microvolts<", ">\u{b5}V<");
        let info = Info::parse(&latin(&named)).unwrap();
        assert_eq!((&*info.name, info.volts()), ("M\u{fc}ller", Some(vec![1e-6, 1e-6])));
        let encoding = |field| Odd { field, kind: FaultKind::Encoding };
        assert_eq!(info.odd, [encoding("name"), encoding("unit")]);
        assert_eq!(encoding("unit").to_string(), "<unit> is not UTF-8; it is read as Latin-1");
        // What breaks off among the channels has those that are there.
        let (head, _) = FULL.split_once("C1").unwrap();
        let info = Info::parse(head.as_bytes()).unwrap();
        assert_eq!((&*info.described[0].label, info.odd[0].field), ("C0", "description"));
    }
}
