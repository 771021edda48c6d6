//! What is known of a protocol before a byte came: each decoder says it beside itself.

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
