//! What acquisition devices tell: samples, what is missing between them, and their own state.
//!
//! Volts, hertz and ratios. Samples are passed on within the agent to be judged; they never leave it.

/// A device, as far as its protocol says what it is. Comes before anything else of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// The protocol's name.
    pub protocol: &'static str,
    /// Channels of one sample.
    pub channels: u16,
    /// Samples a second.
    pub rate: f64,
    /// Packets a second, on a device whose packets are counted. One of them may be less than a sample.
    pub packet_rate: f64,
    /// Whether the values of samples are volts. If not, what amplifies them is not known, and they are the counts
    /// of the device's converter.
    pub volts: bool,
    /// The counter of packets begins anew after so many; 0 if the device does not count.
    pub modulus: u32,
    /// Between which values its converter can tell anything.
    pub rails: Rails,
}

/// The lowest and the highest value that a device's converter can give, as volts or counts. A sample that
/// reads one of them says that the signal is there or beyond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rails {
    /// It is not known what the converter can give.
    Unknown,
    /// The same in all channels.
    All(f32, f32),
    /// By channel; channels beyond the last are as the last.
    Each(&'static [(f32, f32)]),
}

impl Rails {
    /// Those of a converter with sign of so many bits, one count being `scale`.
    #[must_use]
    pub fn signed(bits: u32, scale: f64) -> Self {
        let half = 2_f64.powi(bits.saturating_sub(1).min(62) as i32);
        Self::All((-half * scale) as f32, ((half - 1.0) * scale) as f32)
    }

    /// Those of a channel, counted from 0.
    #[must_use]
    pub fn of(self, channel: usize) -> Option<(f32, f32)> {
        match self {
            Self::Unknown => None,
            Self::All(low, high) => Some((low, high)),
            Self::Each(each) => each.get(channel).or_else(|| each.last()).copied(),
        }
    }
}

/// Samples that came one after the other, and the frames they were in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Samples<'a> {
    /// Volts or counts, as the device says; sample after sample, each with all its channels. Never NaN. Empty
    /// if the frames held none.
    pub values: &'a [f32],
    /// Channels of one sample; at least 1.
    pub channels: u16,
    /// Frames that were understood.
    pub frames: u32,
    /// Bytes of these frames.
    pub bytes: u64,
}

impl Samples<'_> {
    /// How many there are, each with all its channels.
    #[must_use]
    pub fn count(&self) -> usize {
        self.values.len() / usize::from(self.channels.max(1))
    }
}

/// A jump of a device's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Packets that are missing, as far as the counter can say: always less than its modulus.
    pub packets: u32,
}

/// Packets that came more than once: the same number and the same bytes as the packet before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// How many.
    pub packets: u32,
}

/// Packets that a device's counter hid, because it went round while none came. Written by an analyser
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Packets that are missing beyond what the counter said.
    pub packets: u64,
    /// Whether the counter showed nothing at all.
    pub unseen: bool,
}

/// Text, or a message, that a device wrote in place of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Bytes it took.
    pub bytes: u64,
    /// Whether it says that something failed.
    pub failed: bool,
    /// The version of its firmware, if that is what it says.
    pub firmware: Option<&'a str>,
}

/// Whether one electrode touches, as the device itself measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The channel, from 1.
    pub channel: u16,
    /// Which of the channel's inputs.
    pub input: Input,
    /// Whether it touches.
    pub on: bool,
}

/// The inputs of a differential amplifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The one that counts upwards.
    Positive,
    /// The one that counts downwards.
    Negative,
}

impl Input {
    /// The value of the `input` label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "p",
            Self::Negative => "n",
        }
    }
}

/// What a device measured between an electrode and the skin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impedance {
    /// The channel, from 1; 0 for the reference electrode.
    pub channel: u16,
    /// The number that the device told, or ohms where the agent computes them; never negative.
    pub ohms: f64,
}

/// A device's own state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Vital {
    /// Charge of the battery, from 0 to 1.
    Battery(f64),
    /// How poor the device finds its signal: 0 good, 1 not on skin.
    PoorSignal(f64),
}

/// How a device streams. Written by an analyser alone, with each tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Samples a second over the last seconds; `None` until there are two of them.
    pub rate: Option<f64>,
    /// The same as a share of what is nominal.
    pub ratio: Option<f64>,
    /// Longest time between two reads with samples within the last minute, seconds.
    pub longest_gap: f64,
    /// When the last sample came, seconds since the epoch.
    pub last: Option<f64>,
    /// Whether a sample came within the last second.
    pub streaming: bool,
}
