//! The protocols that streams and datagrams speak: one row each. What is known of one stands beside its decoder.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Decoder, Options};

/// What is known of a protocol before a byte came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Config value, fixture folder, label.
    pub(super) name: &'static str,
    /// What it carries.
    pub(super) carries: Carries,
    /// Bits a second of a serial port on which it is spoken, as devices are delivered. None if it is not spoken on one.
    pub(super) baud: Option<u32>,
    /// The gains that a board can be set to.
    pub(super) gains: &'static [u8],
    /// How many channels a board can be set to.
    pub(super) channels: &'static [u8],
    /// The rates that a board can be set to.
    pub(super) rates: Rates,
    /// Whether the impedance of its electrodes can be measured before the stream begins.
    pub(super) impedance: bool,
    /// Makes a decoder; of the board as it is delivered, where the options are not possible.
    pub(super) decoder: fn(&Options) -> Box<dyn Decoder>,
}

/// What a protocol carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// Lines of text.
    Lines,
    /// Samples of a device, in a stream.
    Samples,
    /// Samples of a device, in datagrams that are decoded in a row.
    Datagrams,
}

/// The rates that a board can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rates {
    /// None: its bytes say it, or there is one alone.
    Fixed,
    /// These.
    Of(&'static [u16]),
    /// Any: its bytes do not say it, and it may have been built for another than is usual.
    Any,
}

impl Facts {
    /// A protocol of which no more is known.
    pub(super) const fn new(
        name: &'static str,
        carries: Carries,
        decoder: fn(&Options) -> Box<dyn Decoder>,
    ) -> Self {
        let (gains, channels): (&[u8], &[u8]) = (&[], &[]);
        Self { name, carries, baud: None, gains, channels, rates: Rates::Fixed, impedance: false, decoder }
    }

    /// A board on a serial port.
    pub(super) const fn board(
        name: &'static str,
        baud: u32,
        decoder: fn(&Options) -> Box<dyn Decoder>,
    ) -> Self {
        Self { baud: Some(baud), ..Self::new(name, Carries::Samples, decoder) }
    }
}

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
    /// OpenBCI Cyton, 115200 bits in a second.
    Cyton => super::board::cyton::CYTON,
    /// OpenBCI Cyton with Daisy, 115200 bits in a second.
    Daisy => super::board::cyton::DAISY,
    /// NeuroPawn Knight, 115200 bits in a second.
    Knight => super::board::knight::PLAIN,
    /// NeuroPawn Knight with IMU, 115200 bits in a second.
    KnightImu => super::board::knight::IMU,
    /// FreeEEG32, 921600 bits in a second.
    FreeEeg32 => super::board::freeeeg::FACTS,
    /// NeuroSky ThinkGear, 57600 bits in a second.
    ThinkGear => super::board::thinkgear::FACTS,
    /// Chords boards of Upside Down Labs, 230400 or 115200 bits in a second.
    Chords => super::board::chords::FACTS,
    /// PLUX BITalino, 115200 bits in a second.
    Bitalino => super::board::bitalino::FACTS,
    /// OpenEEG, packet version 2, 57600 bits in a second.
    OpeneegP2 => super::board::openeeg::P2_FACTS,
    /// OpenEEG, packet version 3, 57600 bits in a second.
    OpeneegP3 => super::board::openeeg::P3_FACTS,
    /// Backyard Brains SpikerBox, 230400 bits in a second.
    SpikerBox => super::board::spikerbox::FACTS,
    /// OpenBCI Ganglion through its dongle (BLED112), 230400 bits in a second.
    Ganglion => super::board::ganglion::FACTS,
    /// A board of your own, whose frames `frame` describes; 115200 bits in a second.
    Generic => super::board::generic::FACTS,
    /// Waveforms of Intan RHX.
    Intan => super::program::intan::FACTS,
    /// Packages that BrainFlow streams; those of its synthetic board unless told otherwise.
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

    /// Whether it is that of a device that brings samples.
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
