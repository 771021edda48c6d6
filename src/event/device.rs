//! What acquisition devices tell: samples, what is missing between them, and their own state.
//!
//! Volts, hertz and ratios. Samples are passed on within the agent to be judged; they never leave it.

use super::Timestamp;

/// A device, as far as its protocol says what it is. Comes before anything else of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// The protocol's name.
    pub protocol: &'static str,
    /// Channels of one sample.
    pub channels: u16,
    /// Samples per second.
    pub rate: f64,
    /// Packets a second, on a device whose packets are counted. One of them may be less than a sample.
    pub packet_rate: f64,
    /// Whether the values of samples are volts. If not, what amplifies them is not known, and they are the counts
    /// of the device's converter.
    pub volts: bool,
    /// The counter of packets begins again after so many; 0 if the device does not count.
    pub modulus: u32,
    /// Between which values its converter can tell anything.
    pub rails: Rails,
}

impl Device {
    /// Whether its decoder tells how many samples are missing with the packets that are ([`LostSamples`]).
    #[must_use]
    pub fn tells_lost_samples(&self) -> bool {
        self.protocol == "ganglion"
    }

    /// Whether anything the device sends tells what is missing. Of one that sends neither numbers nor times, a count of
    /// lost packets would be an invented zero.
    #[must_use]
    pub fn tells_loss(&self) -> bool {
        self.modulus > 0 || !matches!(self.protocol, "generic" | "openbci_gui" | "spikerbox" | "thinkgear")
    }
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
    /// Those of a converter with sign of so many bits: one count at a gain of 1, and the gain of each channel;
    /// channels beyond the last have none.
    Gains(u32, f64, [u8; 16]),
}

impl Rails {
    /// Those of a converter with sign of so many bits, one count being `scale`.
    #[must_use]
    pub fn signed(bits: u32, scale: f64) -> Self {
        let half = 2_f64.powi(bits.saturating_sub(1).min(62) as i32);
        Self::All((-half * scale) as f32, ((half - 1.0) * scale) as f32)
    }

    /// Those of a converter with sign of so many bits, one count being `scale` at a gain of 1, with these gains; the
    /// same in all channels if the gains are.
    #[must_use]
    pub fn amplified(bits: u32, scale: f64, gains: &[u8]) -> Self {
        match gains {
            [first, rest @ ..] if rest.iter().all(|gain| gain == first) => {
                Self::signed(bits, scale / f64::from((*first).max(1)))
            }
            _ => {
                let mut all = [0; 16];
                all.iter_mut().zip(gains).for_each(|(to, from)| *to = *from);
                Self::Gains(bits, scale, all)
            }
        }
    }

    /// Those of a channel, counted from 0; none if there is no room between them.
    #[must_use]
    pub fn of(self, channel: usize) -> Option<(f32, f32)> {
        let rails = match self {
            Self::Unknown => None,
            Self::All(low, high) => Some((low, high)),
            Self::Each(each) => each.get(channel).or_else(|| each.last()).copied(),
            Self::Gains(bits, scale, gains) => {
                let gain = gains.get(channel).filter(|gain| **gain > 0);
                gain.and_then(|gain| Self::signed(bits, scale / f64::from(*gain)).of(channel))
            }
        };
        rails.filter(|(low, high)| low.is_finite() && high.is_finite() && low < high)
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

/// Samples that are missing because packets are, on a device whose packets are not one sample each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostSamples {
    /// Those that the missing packets held, and those of packets that came and build on them.
    pub samples: u32,
}

/// Packets that came more than once: the same number and the same bytes as the packet before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// How many.
    pub packets: u32,
}

/// Packets that came after those that were sent later: datagrams overtake each other. They are among the samples that
/// are reported next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overtaken {
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

/// Text, or a message, that a device itself wrote in place of frames. What a program says is a
/// [`ProgramMessage`](super::ProgramMessage).
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

labels! {
    /// The inputs of a differential amplifier. Closed, because they become a label.
    Input {
        /// The one that counts upwards.
        Positive = "p",
        /// The one that counts downwards.
        Negative = "n",
    }
}

/// What a device measured between an electrode and the skin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impedance {
    /// The channel, from 1; 0 for the reference electrode.
    pub channel: u16,
    /// The number that the device sent, or ohms where the agent computes them; never negative.
    pub ohms: f64,
}

/// A device's own state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Vital {
    /// Charge of the battery, from 0 to 1.
    Battery(f64),
    /// The temperature of the device, degrees Celsius.
    Temperature(f64),
    /// How poor the device finds its signal: 0 good, 1 not on skin.
    PoorSignal(f64),
}

labels! {
    /// Why a channel is judged bad. Closed, because it becomes a label.
    Reason {
        /// At or near what the converter can give.
        Railed = "railed",
        /// It does not change.
        Flat = "flat",
        /// Too little in the band, as of an input that is not connected.
        Quiet = "quiet",
        /// Too much in the band.
        Loud = "loud",
        /// Mains hum.
        Hum = "hum",
        /// Too much above the band.
        Noise = "noise",
        /// Unlike all other channels.
        Correlation = "correlation",
        /// The device itself says that the electrode does not touch.
        Contact = "contact",
    }
}

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u16);

impl Reasons {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// Puts one in.
    pub fn insert(&mut self, reason: Reason) {
        self.0 |= 1 << reason as u16;
    }

    /// Puts all of another set in.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether one is in.
    #[must_use]
    pub fn contains(self, reason: Reason) -> bool {
        self.0 & 1 << reason as u16 != 0
    }

    /// Whether none is in.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Mains hum in one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hum {
    /// Its power as a share of its own and the band's.
    pub ratio: f64,
    /// Its peak over the spectrum around it.
    pub decibels: f64,
}

/// One second of a channel, judged. Written by an analyser alone; `analysis::quality` has the formulas. What is
/// `None` cannot be measured of this device, and never is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// The channel, from 1.
    pub channel: u16,
    /// Its number with leading zeros, so that text sorts as numbers do, and the name of its electrode if there is one:
    /// `03 C3`.
    pub channel_name: String,
    /// Whether `offset`, `rms` and `band_rms` are volts; counts of the converter if not.
    pub volts: bool,
    /// Share of samples at a rail.
    pub railed: Option<f64>,
    /// Largest distance from the middle between the rails, as a share of that of the rails.
    pub peak: Option<f64>,
    /// Share of time without a change.
    pub flat: f64,
    /// Mean.
    pub offset: f64,
    /// Root mean square about the mean.
    pub rms: f64,
    /// Root mean square of the frequencies of the band.
    pub band_rms: Option<f64>,
    /// Mains hum.
    pub hum: Option<Hum>,
    /// Power above the band as a share of that and the band's.
    pub noise: Option<f64>,
    /// Likeness to other channels, from 0 to 1.
    pub correlation: Option<f64>,
    /// Fourth moment over the square of the second, less the 3 of a normal distribution.
    pub kurtosis: f64,
    /// From 0 to 1; below a half is bad.
    pub score: f64,
    /// Why it is bad.
    pub bad: Reasons,
    /// Why it was bad at any time since the stream began.
    pub ever: Reasons,
    /// Artefacts since the last report.
    pub artefacts: u32,
    /// Dropouts since the last report.
    pub dropouts: u32,
    /// Bad seconds since the last report.
    pub bad_seconds: u32,
}

/// One second of a device's signal, judged. Written by an analyser alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signal {
    /// Mean of the scores of its channels.
    pub score: f64,
    /// How many of them are bad.
    pub bad: u16,
    /// The frequency that is taken for that of the mains, hertz.
    pub mains: Option<f64>,
    /// Seconds that were judged since the last report.
    pub seconds: u32,
    /// Seconds that its channels were bad since the last report, by reason, in the order of [`Reason::ALL`].
    pub bad_seconds: [u32; Reason::ALL.len()],
}

/// How a device streams. Written by an analyser alone, with each tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Samples per second over the last seconds; `None` until there are two of them.
    pub rate: Option<f64>,
    /// The same as a share of what is nominal.
    pub ratio: Option<f64>,
    /// Longest time between two reads with samples within the last minute, seconds.
    pub longest_gap: f64,
    /// When the last sample came.
    pub last: Option<Timestamp>,
    /// Whether a sample came within the last second, or within two periods of a device that is slower.
    pub streaming: bool,
    /// How much faster than it should the device runs, by the machine's clock: 0.00005 are 50 ppm. `None` in
    /// the first minutes.
    pub drift: Option<f64>,
}

/// How late the reads of the last second were. Written by an analyser alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrivals<'a> {
    /// One for each read that returned packets.
    pub delays: &'a [Delay],
}

/// How late one read was, beyond the quickest way from the device that the last seconds saw. Seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// Of its newest packet.
    pub newest: f64,
    /// Of its oldest packet, which waited for the others.
    pub oldest: f64,
    /// Packets that came at once.
    pub packets: u32,
}

/// For how much of the last minutes a device streamed. Written by an analyser alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// From 0 to 1.
    pub ratio: f64,
}
