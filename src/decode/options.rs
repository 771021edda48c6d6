//! Options of boards: what their bytes do not contain, and which board has which option.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Protocol;
use super::board::generic::Frame;
use super::facts::Rates;
use super::program::brainflow::Streamed;

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
    /// Samples per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u16>,
    /// Which Ganglion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ganglion: Option<GanglionFilter>,
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
pub struct GanglionFilter {
    /// What its name is or begins with: `Ganglion-1a2b`. Any if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The major version of its firmware, if neither its name nor its packets contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 3))]
    pub firmware: Option<u8>,
}

impl Options {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What cannot be said of such a board: the key, with dots, and why.
    #[must_use]
    pub fn problems(&self, protocol: Protocol) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut say = |key: &str, why: String| wrong.push((key.to_owned(), why));
        let facts = protocol.facts();
        let (any_rate, rates) = match facts.rates {
            Rates::Fixed => (false, &[][..]),
            Rates::Of(rates) => (false, rates),
            Rates::Any => (true, &[][..]),
        };
        let wide = |list: &[u8]| list.iter().map(|one| u16::from(*one)).collect::<Vec<_>>();
        let settings = [
            ("gain", self.gain.map(u16::from), wide(facts.gains)),
            ("channels", self.channels.map(u16::from), wide(facts.channels)),
            ("rate", self.rate, rates.to_vec()),
        ];
        for (key, value, allowed) in settings {
            let Some(value) = value.filter(|value| !allowed.contains(value)) else { continue };
            if key == "rate" && any_rate {
                if value == 0 {
                    say(key, "the minimum is 1".to_owned());
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
        if self.impedance.is_some() && !facts.impedance {
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
