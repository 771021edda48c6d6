//! What a person says of a board that its bytes do not tell, and which board can be told what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::board::Boards;
use super::brainflow::{Brainflow, Streamed};
use super::datagram::Datagrams;
use super::generic::{Frame, Generic};
use super::openbci_gui::OpenbciGui;
use super::{
    Decoder, Protocol, bitalino, chords, cyton, freeeeg, ganglion, knight, openeeg, spikerbox, thinkgear,
};

/// What is said of a board. A recording keeps it beside the bytes, so that it plays to the same numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The gain of its amplifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<u8>,
    /// How many of its channels it sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// Samples a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u16>,
    /// Which Ganglion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ganglion: Option<Wanted>,
    /// Its frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// Whether the impedance of its electrodes is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impedance: Option<MeasureImpedance>,
    /// Whose packages BrainFlow streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brainflow: Option<Streamed>,
}

/// Whether the impedance of electrodes is measured where a board has to be set up for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeasureImpedance {
    /// Before the stream begins. The settings of the board are then those that it starts with.
    AtStart,
    /// Never: the settings of the board stay what they are.
    #[default]
    Never,
}

/// Which Ganglion a dongle is to find.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
    /// What its name is or begins with: `Ganglion-1a2b`. Any if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The first number of its firmware, where neither its name nor its packets tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 3))]
    pub firmware: Option<u8>,
}

/// Boards that are built for, or can be set to, a rate that their bytes do not tell.
const ANY_RATE: &[Protocol] = &[
    Protocol::Chords,
    Protocol::FreeEeg32,
    Protocol::Ganglion,
    Protocol::Knight,
    Protocol::KnightImu,
    Protocol::OpeneegP2,
    Protocol::OpeneegP3,
    Protocol::SpikerBox,
    Protocol::ThinkGear,
];

impl Options {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A decoder of such a board, if there can be one.
    #[must_use]
    pub fn decoder(&self, protocol: Protocol) -> Option<Box<dyn Decoder>> {
        let Self { gain, channels, rate, ganglion, frame, impedance, brainflow } = self;
        let measured = *impedance == Some(MeasureImpedance::AtStart);
        Some(match protocol {
            Protocol::Cyton if measured => Box::new(Boards::new(cyton::Cyton::new(*gain).measured())),
            Protocol::Daisy if measured => Box::new(Boards::new(cyton::Daisy::new(*gain).measured())),
            Protocol::Cyton => Box::new(Boards::new(cyton::Cyton::new(*gain))),
            Protocol::Daisy => Box::new(Boards::new(cyton::Daisy::new(*gain))),
            Protocol::Knight => Box::new(Boards::new(knight::Knight::plain(*gain)).at(*rate)),
            Protocol::KnightImu => Box::new(Boards::new(knight::Knight::imu(*gain)).at(*rate)),
            Protocol::Chords => Box::new(Boards::new(chords::Chords::default()).at(*rate)),
            Protocol::FreeEeg32 => Box::new(Boards::new(freeeeg::FreeEeg32::default()).at(*rate)),
            Protocol::ThinkGear => Box::new(Boards::new(thinkgear::ThinkGear::default()).at(*rate)),
            Protocol::OpeneegP2 => Box::new(Boards::new(openeeg::P2).at(*rate)),
            Protocol::OpeneegP3 => Box::new(Boards::new(openeeg::P3).at(*rate)),
            Protocol::SpikerBox => Box::new(Boards::new(spikerbox::SpikerBox::default()).at(*rate)),
            Protocol::Bitalino => Box::new(Boards::new(bitalino::Bitalino::new(*channels, *rate))),
            Protocol::Ganglion => {
                let Wanted { name, firmware } = ganglion.clone().unwrap_or_default();
                Box::new(Boards::new(ganglion::Ganglion::new(name, firmware)).at(*rate))
            }
            Protocol::Generic => match frame {
                Some(frame) => Box::new(Boards::new(Generic::new(frame.clone()).ok()?)),
                None => protocol.decoder(),
            },
            Protocol::Brainflow => match brainflow {
                Some(of) => Box::new(Datagrams::new(Brainflow::new(of.layout().ok()?, of.full_scale))),
                None => protocol.decoder(),
            },
            Protocol::OpenbciGui => match rate {
                Some(rate) => Box::new(Datagrams::new(OpenbciGui::new((*rate).into()))),
                None => protocol.decoder(),
            },
            other => other.decoder(),
        })
    }

    /// What cannot be said of such a board: the key, with dots, and why.
    #[must_use]
    pub fn problems(&self, protocol: Protocol) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut say = |key: &str, why: String| wrong.push((key.to_owned(), why));
        let gains: &[u8] = match protocol {
            Protocol::Cyton | Protocol::Daisy => cyton::GAINS,
            Protocol::Knight | Protocol::KnightImu => knight::GAINS,
            _ => &[],
        };
        let rates = if protocol == Protocol::Bitalino { bitalino::RATES } else { &[] };
        let channels: &[u8] = if protocol == Protocol::Bitalino { &[1, 2, 3, 4, 5, 6] } else { &[] };
        let (gain, rate) = (self.gain.map(u16::from), self.rate);
        let wide = |list: &[u8]| list.iter().map(|one| u16::from(*one)).collect::<Vec<_>>();
        let settings = [
            ("gain", gain, wide(gains)),
            ("channels", self.channels.map(u16::from), wide(channels)),
            ("rate", rate, rates.to_vec()),
        ];
        for (key, value, allowed) in settings {
            let Some(value) = value.filter(|value| !allowed.contains(value)) else { continue };
            if key == "rate" && ANY_RATE.contains(&protocol) {
                if value == 0 {
                    say(key, "1 is the least".to_owned());
                }
                continue;
            }
            let list: Vec<String> = allowed.iter().map(u16::to_string).collect();
            match list.is_empty() {
                true => say(key, format!("protocol {} has no such setting", protocol.name())),
                false => say(key, format!("{value} cannot be set; one of {}", list.join(", "))),
            }
        }
        if self.ganglion.is_some() && protocol != Protocol::Ganglion {
            say("ganglion", format!("protocol {} has no such setting", protocol.name()));
        }
        if self.impedance.is_some() && !matches!(protocol, Protocol::Cyton | Protocol::Daisy) {
            say("impedance", format!("protocol {} has no such setting", protocol.name()));
        }
        if self.impedance == Some(MeasureImpedance::AtStart) && self.gain.is_some_and(|gain| gain != 24) {
            say("gain", "impedance: at_start leaves all channels at a gain of 24".to_owned());
        }
        match (&self.frame, protocol) {
            (None, Protocol::Generic) => {
                say("protocol", "generic needs a description of its frames: frame".to_owned());
            }
            (Some(frame), Protocol::Generic) => {
                for (key, why) in frame.problems() {
                    say(&if key.is_empty() { "frame".to_owned() } else { format!("frame.{key}") }, why);
                }
            }
            (Some(_), _) => say("frame", format!("of protocol generic alone, not {}", protocol.name())),
            (None, _) => {}
        }
        wrong
    }
}
