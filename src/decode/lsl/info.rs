//! What a stream says of itself: the short description that outlets answer with, and the full one.
//!
//! The fields are those that liblsl writes (`stream_info_impl.cpp`), channels as XDF's convention has them:
//! `desc/channels/channel/{label,unit,type}`. What is not known is passed over; what is claimed is believed only
//! within bounds.

use super::xml::{Piece, Reader};
use crate::event::FaultKind;

/// Bytes of the longest description that is read.
pub const DESCRIPTION: usize = 1 << 20;
/// Bytes of the longest field, and of the longest of a channel.
const FIELD: (usize, usize) = (1024, 128);
/// The highest rate that is believed, hertz.
const FASTEST: f64 = 1e6;

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
    /// What it brings: `EEG`, `Markers` …
    pub kind: String,
    /// Channels of one sample, at least 1.
    pub channels: u16,
    /// What its values are.
    pub format: Format,
    /// What stays the same when its program is started again; may be empty.
    pub source_id: String,
    /// Samples a second; 0 if they come when they come.
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
}

/// A channel, in the words of whoever made the stream.
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
    /// What a value is to be multiplied with to be volts; `None` if it is no voltage. The spellings are those of
    /// XDF's convention and of the programs that stream.
    #[must_use]
    pub fn volts(&self) -> Option<f32> {
        Some(match self.unit.trim() {
            "V" | "volt" | "volts" | "Volts" => 1.0,
            "mV" | "millivolt" | "millivolts" => 1e-3,
            // Two letters look like mu: the micro sign and the Greek one.
            "uV" | "\u{b5}V" | "\u{3bc}V" | "microvolt" | "microvolts" | "Microvolts" => 1e-6,
            "nV" | "nanovolt" | "nanovolts" => 1e-9,
            _ => return None,
        })
    }
}

impl Info {
    /// Reads a description, short or full.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, FaultKind> {
        if bytes.len() > DESCRIPTION {
            return Err(FaultKind::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| FaultKind::Encoding)?;
        let mut info = Self::default();
        let mut channels = None;
        // Whether the channel that is read is one of those that the stream has.
        let mut counted = false;
        let mut reader = Reader::new(text);
        while let Some(piece) = reader.next().map_err(|_| FaultKind::Syntax)? {
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
                        let count: u32 = number(&text)?;
                        info.channels = u16::try_from(count).map_err(|_| FaultKind::BadValue)?;
                        channels = Some(info.channels);
                    }
                    ["info", field] => info.set(field, &text)?,
                    ["info", "desc", "channels", "channel", field] => {
                        if let Some(channel) = info.described.last_mut().filter(|_| counted) {
                            let place = match *field {
                                "label" => &mut channel.label,
                                "unit" => &mut channel.unit,
                                "type" => &mut channel.kind,
                                _ => continue,
                            };
                            *place = field_of(&text, FIELD.1)?;
                        }
                    }
                    _ => {}
                },
            }
        }
        if info.name.is_empty() || info.uid.is_empty() || channels.is_none() {
            return Err(FaultKind::MissingField);
        }
        if info.channels == 0 || !(0.0..=FASTEST).contains(&info.rate) {
            return Err(FaultKind::BadValue);
        }
        // A number of channels may have been claimed twice.
        info.described.truncate(info.channels.into());
        Ok(info)
    }

    fn set(&mut self, field: &str, text: &str) -> Result<(), FaultKind> {
        let words = match field {
            "name" => &mut self.name,
            "type" => &mut self.kind,
            "source_id" => &mut self.source_id,
            "uid" => &mut self.uid,
            "session_id" => &mut self.session,
            "hostname" => &mut self.hostname,
            "channel_format" => {
                let found = Format::ALL.iter().find(|(name, _)| *name == text.trim());
                self.format = found.map(|(_, format)| *format).ok_or(FaultKind::BadValue)?;
                return Ok(());
            }
            "nominal_srate" => return number(text).map(|rate| self.rate = rate),
            "created_at" => return number(text).map(|created| self.created = created),
            "version" => {
                let version: f64 = number(text)?;
                self.version = (version.clamp(0.0, 1e6) * 100.0).round() as u32;
                return Ok(());
            }
            "v4data_port" => return number(text).map(|port| self.data_port = port),
            "v4service_port" => return number(text).map(|port| self.service_port = port),
            "v6data_port" => return number(text).map(|port| self.data_port_v6 = port),
            "v6service_port" => return number(text).map(|port| self.service_port_v6 = port),
            _ => return Ok(()),
        };
        *words = field_of(text, FIELD.0)?;
        Ok(())
    }

    /// By what values of each channel are multiplied to be volts. `None` unless all channels are voltages.
    #[must_use]
    pub fn volts(&self) -> Option<Vec<f32>> {
        if self.described.len() != usize::from(self.channels) {
            return None;
        }
        self.described.iter().map(Channel::volts).collect()
    }

    /// Whether this has the name of `other`, on the same machine.
    #[must_use]
    pub fn is_called_as(&self, other: &Self) -> bool {
        self.name == other.name && self.hostname == other.hostname
    }

    /// Whether this has the name and the id of `other`: it may be the same with other settings.
    #[must_use]
    pub fn is_heir_of(&self, other: &Self) -> bool {
        self.is_called_as(other) && self.source_id == other.source_id
    }

    /// Whether this is the stream that `other` is, perhaps after its program was started anew.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        let of = |info: &Self| (info.channels, info.format, info.rate.to_bits());
        self.is_heir_of(other) && self.kind == other.kind && of(self) == of(other)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, FaultKind> {
    text.trim().parse().map_err(|_| FaultKind::BadValue)
}

fn field_of(text: &str, most: usize) -> Result<String, FaultKind> {
    if text.len() > most { Err(FaultKind::TooLong) } else { Ok(text.trim().to_owned()) }
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
        assert!(!again.is_as(&info) && again.is_heir_of(&info));
    }

    #[test]
    fn what_is_claimed_has_bounds() {
        let with =
            |from: &str, to: &str| Info::parse(FULL.replace(from, to).as_bytes()).map(|info| info.channels);
        let count = "<channel_count>2<";
        for (from, to, why) in [
            (count, "<channel_count>0<", FaultKind::BadValue),
            (count, "<channel_count>4000000000<", FaultKind::BadValue),
            (count, "<channel_count>-1<", FaultKind::BadValue),
            (count, "<other>2<", FaultKind::Syntax),
            ("<uid>", "<!DOCTYPE x>", FaultKind::Syntax),
            (">float32<", ">float16<", FaultKind::BadValue),
            (">100.0000000000000<", ">-1<", FaultKind::BadValue),
            (">100.0000000000000<", ">NaN<", FaultKind::BadValue),
            (">100.0000000000000<", ">1e300<", FaultKind::BadValue),
            (">16572<", ">70000<", FaultKind::BadValue),
            (">x<", "><", FaultKind::MissingField),
        ] {
            assert_eq!(with(from, to), Err(why), "{to}");
        }
        assert_eq!(with(">C0<", &format!(">{}<", "x".repeat(200))), Err(FaultKind::TooLong));
        assert_eq!(Info::parse(&vec![b' '; DESCRIPTION + 1]), Err(FaultKind::TooLong));
        assert_eq!(Info::parse(b"\xff"), Err(FaultKind::Encoding));
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
}
