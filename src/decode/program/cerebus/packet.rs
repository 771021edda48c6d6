//! Packets of a Cerebus or Gemini, some in a datagram: their header in its three forms, and which of them a datagram has.
//!
//! From CereLink's `types.h` and `protocol_detector.cpp`: time (32 bits in 3.11, 64 after), channel 16, type 8 (16 from 4.1
//! on), length in words 8 (16 from 4.0 on), instrument and what is reserved; all little-endian. A datagram says nowhere which
//! it is, but packets have to follow each other to its last byte, which by chance they do not.

/// Bytes of the longest packet (`cbPKT_MAX_SIZE`).
const LONGEST: usize = 1024;
/// The channel of what is no signal (`cbPKTCHAN_CONFIGURATION`).
pub(super) const SYSTEM: u16 = 0x8000;
/// The answer that lists a group's channels (`cbPKTTYPE_GROUPREP`).
const CHANNELS: u16 = 0x30;

/// A form of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Protocol 3.11: 8 bytes, ticks of a clock of 30 kHz.
    V311,
    /// Protocol 4.0: 16 bytes.
    V40,
    /// Protocol 4.1 and 4.2: 16 bytes.
    V41,
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'b> {
    /// Ticks or nanoseconds.
    pub(super) time: u64,
    /// The channel; 0 for a group, [`SYSTEM`] and above for what is no signal.
    pub(super) channel: u16,
    pub(super) kind: u16,
    pub(super) body: &'b [u8],
}

impl Packet<'_> {
    /// A word of the body, by its place in bytes.
    pub(super) fn word(&self, at: usize) -> Option<u32> {
        self.body.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// A group and how many channels it has, if this is the list of them (`cbPKT_GROUPINFO`).
    pub(super) fn listed(&self) -> Option<(u16, u32)> {
        let group = self.word(4).filter(|_| (self.channel, self.kind) == (SYSTEM, CHANNELS))?;
        u16::try_from(group).ok().zip(self.word(28))
    }

    /// Whether there can be such a packet.
    fn is_possible(&self) -> bool {
        match self.channel {
            // Samples of one of the groups.
            0 => (1..=8).contains(&self.kind) && !self.body.is_empty(),
            _ => self.kind <= 0xFF,
        }
    }
}

impl Version {
    /// All of them, the latest first.
    const ALL: [Self; 3] = [Self::V41, Self::V40, Self::V311];

    /// Whether the time is of 32 bits.
    pub(super) fn is_short(self) -> bool {
        self == Self::V311
    }

    /// The first packet, and what comes after it.
    pub(super) fn first(self, bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
        let (time, channel, kind, words, rest) = match self {
            Self::V311 => {
                let (&[a, b, c, d, e, f, kind, words], rest) = bytes.split_first_chunk()?;
                let time = u32::from_le_bytes([a, b, c, d]).into();
                (time, [e, f], u16::from(kind), u16::from(words), rest)
            }
            Self::V40 | Self::V41 => {
                let (time, rest) = bytes.split_first_chunk()?;
                let (&[e, f, g, h, i, j, _, _], rest) = rest.split_first_chunk()?;
                let (kind, words) = match self {
                    Self::V40 => (u16::from(g), u16::from_le_bytes([h, i])),
                    _ => (u16::from_le_bytes([g, h]), u16::from_le_bytes([i, j])),
                };
                (u64::from_le_bytes(*time), [e, f], kind, words, rest)
            }
        };
        let (body, rest) = rest.split_at_checked(usize::from(words) * 4)?;
        let packet = Packet { time, channel: u16::from_le_bytes(channel), kind, body };
        let long = bytes.len() - rest.len() > LONGEST;
        (!long && packet.is_possible()).then_some((packet, rest))
    }

    /// Whether a datagram is packets of this form to its last byte.
    fn fits(self, mut bytes: &[u8]) -> bool {
        while let Some((_, rest)) = self.first(bytes) {
            bytes = rest;
        }
        bytes.is_empty()
    }
}

/// Which form a sender's packets have.
#[derive(Debug, Default)]
pub(super) struct Form(Option<Version>);

impl Form {
    /// The form of a datagram; `None` if it has none of them.
    pub(super) fn of(&mut self, bytes: &[u8]) -> Option<Version> {
        if let Some(known) = self.0.filter(|known| known.fits(bytes)) {
            return Some(known);
        }
        let mut fitting = Version::ALL.into_iter().filter(|version| version.fits(bytes));
        let first = fitting.next();
        // Packets without a body look alike in two of them: those are read, and nothing is learnt from them.
        if fitting.next().is_none() && first.is_some() {
            self.0 = first;
        }
        first.or(self.0)
    }

    /// Whether a datagram is packets of one form to its last byte.
    pub(super) fn is_packets(bytes: &[u8]) -> bool {
        !bytes.is_empty() && Version::ALL.into_iter().any(|version| version.fits(bytes))
    }

    /// Another sender may have another form.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

/// How far a clock went from one time to a later one; `None` if it went back.
pub(super) fn step(version: Version, from: u64, to: u64) -> Option<u64> {
    if version.is_short() {
        // It goes round after 40 hours.
        let step = (to as u32).wrapping_sub(from as u32);
        return (step < 1 << 31).then(|| step.into());
    }
    to.checked_sub(from)
}
