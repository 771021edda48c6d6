//! The protocols that streams and datagrams speak: one row each. What is known of one stands beside its decoder.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::facts::{Carries, Facts};
use super::{Decoder, Options};

macro_rules! protocols {
    ($(#[doc = $about:literal] $protocol:ident => $facts:expr,)*) => {
        /// The protocols that streams and datagrams can speak.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum Protocol {
            #[default]
            $(#[doc = $about] $protocol,)*
        }

        impl Protocol {
            /// Every protocol.
            pub const ALL: &'static [Self] = &[$(Self::$protocol),*];

            pub(super) fn facts(self) -> &'static Facts {
                match self {
                    $(Self::$protocol => { const FACTS: &Facts = &$facts; FACTS })*
                }
            }

            /// What it is, for people.
            fn about(self) -> &'static str {
                match self {
                    $(Self::$protocol => $about,)*
                }
            }
        }
    };
}

protocols! {
    /// JSON lines.
    Jsonl => super::text::jsonl::FACTS,
    /// StatsD.
    Statsd => super::text::statsd::FACTS,
    /// The same in frames with a length before them.
    StatsdFrames => super::text::frame::FACTS,
    /// OpenBCI Cyton, 115200 baud.
    Cyton => super::board::cyton::CYTON,
    /// OpenBCI Cyton with Daisy, 115200 baud.
    Daisy => super::board::cyton::DAISY,
    /// NeuroPawn Knight, 115200 baud.
    Knight => super::board::knight::PLAIN,
    /// NeuroPawn Knight with IMU, 115200 baud.
    KnightImu => super::board::knight::IMU,
    /// FreeEEG32, 921600 baud.
    FreeEeg32 => super::board::freeeeg::FACTS,
    /// NeuroSky ThinkGear, 57600 baud.
    ThinkGear => super::board::thinkgear::FACTS,
    /// Chords boards of Upside Down Labs, 230400 or 115200 baud.
    Chords => super::board::chords::FACTS,
    /// PLUX BITalino, 115200 baud.
    Bitalino => super::board::bitalino::FACTS,
    /// OpenEEG, packet version 2, 57600 baud.
    OpeneegP2 => super::board::openeeg::P2_FACTS,
    /// OpenEEG, packet version 3, 57600 baud.
    OpeneegP3 => super::board::openeeg::P3_FACTS,
    /// Backyard Brains SpikerBox, 230400 baud.
    SpikerBox => super::board::spikerbox::FACTS,
    /// OpenBCI Ganglion through its dongle (BLED112), 230400 baud.
    Ganglion => super::board::ganglion::FACTS,
    /// A board of your own, whose frames `frame` describes; 115200 baud.
    Generic => super::board::generic::FACTS,
    /// Waveforms of Intan RHX.
    Intan => super::program::intan::FACTS,
    /// Packages that BrainFlow streams; those of its synthetic board by default.
    Brainflow => super::program::brainflow::FACTS,
    /// All packets of a Blackrock Cerebus.
    Cerebus => super::program::cerebus::FACTS,
    /// What the OpenBCI GUI sends over UDP.
    OpenbciGui => super::program::openbci_gui::FACTS,
}

impl Protocol {
    /// Its name: config value, fixture folder, label.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The protocol with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|protocol| protocol.name() == name).copied()
    }

    /// Whether it is that of a device that sends samples.
    #[must_use]
    pub fn brings_samples(self) -> bool {
        self.facts().carries != Carries::Lines
    }

    /// Whether it comes in datagrams, which are decoded in a row.
    #[must_use]
    pub fn is_datagrams(self) -> bool {
        self.facts().carries == Carries::Datagrams
    }

    /// Bits a second of a serial port, as the device is delivered. None if it is not spoken on one.
    #[must_use]
    pub fn baud(self) -> Option<u32> {
        self.facts().baud
    }

    /// A decoder with the settings that nobody changed.
    #[must_use]
    pub fn decoder(self) -> Box<dyn Decoder> {
        self.decoder_with(&Options::default())
    }

    /// A decoder of a board of which more is known. Options that are not possible count as not set.
    #[must_use]
    pub fn decoder_with(self, options: &Options) -> Box<dyn Decoder> {
        (self.facts().decoder)(options)
    }

    /// Those that are spoken on serial ports.
    fn of_ports() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|protocol| protocol.baud().is_some())
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// A setting names a protocol that is spoken on serial ports: the others belong to kinds of sources.
impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        let unknown = || de::Error::custom(format!("unknown protocol \"{name}\""));
        Self::of_ports().find(|protocol| protocol.name() == name).ok_or_else(unknown)
    }
}

impl JsonSchema for Protocol {
    fn schema_name() -> Cow<'static, str> {
        "Protocol".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |protocol: Self| json_schema!({ "description": protocol.about().trim(), "type": "string", "const": protocol.name() });
        let all: Vec<Schema> = Self::of_ports().map(one).collect();
        json_schema!({ "description": "What a device on a serial port writes.", "oneOf": all })
    }
}
