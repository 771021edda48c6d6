//! Devices and pipelines that are not there, for demos and tests.
//!
//! A board here is a small machine without a clock or a port: it hears bytes, it makes frames. All of them are
//! written from the devices' documents and know nothing of the decoders, which is what makes them evidence.
//! One runner lends them a pseudo-terminal and the time.

pub mod bgapi;
pub mod bitalino;
pub mod chords;
pub mod cyton;
pub mod fault;
pub mod freeeeg;
pub mod ganglion;
pub mod knight;
pub mod ledger;
pub mod openeeg;
pub mod outlet;
pub mod pipeline;
pub mod program;
pub mod rng;
pub mod run;
pub mod signal;
pub mod spikerbox;
pub mod stream;
pub mod terminal;
pub mod thinkgear;

use std::time::Duration;

pub use pipeline::pipeline;

/// How fast a chip from FTDI hands on what it has, unless it is set otherwise.
pub const FTDI: Duration = Duration::from_millis(16);
/// How fast boards that are USB devices themselves do, as a host asks them.
pub const USB: Duration = Duration::from_millis(4);

/// What a board is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Channels of one sample.
    pub channels: usize,
    /// Samples per second of each channel, as its converters take them.
    pub rate: f64,
    /// Frames a second.
    pub frame_rate: f64,
    /// How long bytes wait in the chip between board and host.
    pub latency: Duration,
}

/// How microvolts become counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Converter {
    /// Microvolts of one count.
    pub step: f64,
    /// The count of 0 V.
    pub middle: i32,
    /// The lowest count.
    pub low: i32,
    /// The highest count.
    pub high: i32,
}

impl Converter {
    /// One with sign of so many bits, at most 24.
    #[must_use]
    pub fn signed(bits: u32, step: f64) -> Self {
        let half = 1 << (bits.clamp(1, 24) - 1);
        Self { step, middle: 0, low: -half, high: half - 1 }
    }

    /// One without sign of so many bits, at most 24.
    #[must_use]
    pub fn unsigned(bits: u32, step: f64) -> Self {
        let all = 1 << bits.clamp(1, 24);
        Self { step, middle: all / 2, low: 0, high: all - 1 }
    }

    /// The count of a voltage; beyond its ends it stays at them.
    #[must_use]
    pub fn count(&self, microvolts: f64) -> i32 {
        // Saturates, and is far from doing so.
        let count = (microvolts / self.step).round() as i32;
        count.saturating_add(self.middle).clamp(self.low, self.high)
    }
}

/// What happens to a board from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// It is switched on, or starts again.
    Reset,
    /// It is switched off; what stands between it and the host is not.
    Off,
    /// It continues saying how it is, and sends no samples.
    StatusOnly,
    /// Charge of its battery, 0 to 1.
    Battery(f64),
    /// Whether the electrode of a channel, from 0, touches.
    Contact(usize, bool),
}

/// What a board writes besides frames.
#[derive(Debug, Default)]
pub struct Output {
    /// After which time, and what.
    pub replies: Vec<(Duration, Vec<u8>)>,
    /// Texts among them, and those that say that something failed.
    pub answers: u64,
    /// Texts that say that something failed.
    pub failures: u64,
}

impl Output {
    /// A text, at once.
    pub fn reply(&mut self, text: impl Into<Vec<u8>>) {
        self.later(Duration::ZERO, text);
    }

    /// A text, after a while.
    pub fn later(&mut self, after: Duration, text: impl Into<Vec<u8>>) {
        let text = text.into();
        self.answers += 1;
        self.failures += u64::from(text.starts_with(b"Failure"));
        self.replies.push((after, text));
    }

    /// Bytes that are no text.
    pub fn send(&mut self, after: Duration, bytes: impl Into<Vec<u8>>) {
        self.replies.push((after, bytes.into()));
    }
}

/// One board. Times are since the simulation began.
pub trait Board: Send {
    /// What it is, as it is set now.
    fn facts(&self) -> Facts;

    /// How a channel, from 0, turns voltage into counts.
    fn converter(&self, channel: usize) -> Converter;

    /// The count of a channel at a moment of the stream.
    fn count(&self, channel: usize, microvolts: f64, _seconds: f64) -> i32 {
        self.converter(channel).count(microvolts)
    }

    /// The number of its stream, which is another one each time that it starts; `None` while it is quiet.
    fn streaming(&self) -> Option<u32>;

    /// Samples that go into the frame with this number of the stream.
    fn samples_in(&self, _number: u64) -> usize {
        1
    }

    /// Writes the frame with this number of the stream, made of samples of counts, one after the other. Gives how
    /// many packets that are.
    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64;

    /// Takes what the host wrote.
    fn receive(&mut self, _at: Duration, _bytes: &[u8], _said: &mut Output) {}

    /// Time passed; said at least ten times a second.
    fn tick(&mut self, _at: Duration, _said: &mut Output) {}

    /// Something happens to it.
    fn handle_event(&mut self, _event: Event, _said: &mut Output) {}

    /// The first of bytes that are no frame. They must not be taken for one, nor hide the one before.
    fn noise(&self) -> u8 {
        0x0B
    }

    /// Whether it says how it is beside its samples.
    fn reports_status(&self) -> bool {
        false
    }

    /// Whether it tells the charge of its battery.
    fn reports_battery(&self) -> bool {
        false
    }

    /// Kiloohms between skin and each electrode, where the board can measure them.
    fn impedances(&self) -> Vec<f64> {
        Vec::new()
    }
}

/// The devices that can be simulated, by the protocols that they speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Device {
    /// OpenBCI Cyton with its dongle: 8 channels at 250 Hz.
    Cyton,
    /// OpenBCI Cyton with Daisy: 16 channels, 250 frames per second.
    Daisy,
    /// OpenBCI Ganglion behind a BLED112 dongle: 4 channels at 200 Hz.
    Ganglion,
    /// NeuroSky ThinkGear: 1 channel at 512 Hz.
    #[value(name = "thinkgear")]
    ThinkGear,
    /// OpenEEG, packet version 2: 6 channels at 256 Hz.
    OpeneegP2,
    /// OpenEEG, packet version 3: 6 channels at 256 Hz.
    OpeneegP3,
    /// FreeEEG32: 32 channels at 512 Hz.
    #[value(name = "freeeeg32")]
    FreeEeg32,
    /// NeuroPawn Knight: 8 channels at 125 Hz.
    Knight,
    /// NeuroPawn Knight with IMU: 8 channels at 125 Hz.
    KnightImu,
    /// A Chords board of Upside Down Labs, an UNO-R4 by default.
    Chords,
    /// PLUX BITalino: up to 6 channels at up to 1000 Hz, as commanded.
    Bitalino,
    /// Backyard Brains SpikerBox: 2 channels at 5000 Hz.
    #[value(name = "spikerbox")]
    SpikerBox,
}

/// What can be chosen of a board.
#[derive(Clone, Debug, Default)]
pub struct BoardOptions {
    /// What decides everything that looks random.
    pub seed: u64,
    /// Which Chords board.
    pub board: Option<String>,
    /// Which firmware of a Ganglion.
    pub firmware: ganglion::Firmware,
    /// How a Chords board reads commands.
    pub commands: chords::Commands,
}

impl Device {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cyton => "cyton",
            Self::Daisy => "daisy",
            Self::Ganglion => "ganglion",
            Self::ThinkGear => "thinkgear",
            Self::OpeneegP2 => "openeeg_p2",
            Self::OpeneegP3 => "openeeg_p3",
            Self::FreeEeg32 => "freeeeg32",
            Self::Knight => "knight",
            Self::KnightImu => "knight_imu",
            Self::Chords => "chords",
            Self::Bitalino => "bitalino",
            Self::SpikerBox => "spikerbox",
        }
    }

    /// The board, switched on.
    ///
    /// # Errors
    /// If what was chosen does not exist, in words.
    pub fn board(self, choice: &BoardOptions) -> Result<Box<dyn Board>, String> {
        if choice.board.is_some() && self != Self::Chords {
            return Err(format!("there is one {}; boards can be chosen of chords", self.name()));
        }
        Ok(match self {
            Self::Cyton => Box::new(cyton::Cyton::new(choice.seed, false)),
            Self::Daisy => Box::new(cyton::Cyton::new(choice.seed, true)),
            Self::Ganglion => {
                Box::new(bgapi::Dongle::new(ganglion::Ganglion::new(choice.seed, choice.firmware)))
            }
            Self::ThinkGear => Box::new(thinkgear::ThinkGear::default()),
            Self::OpeneegP2 => Box::new(openeeg::P2),
            Self::OpeneegP3 => Box::new(openeeg::P3),
            Self::FreeEeg32 => Box::new(freeeeg::FreeEeg32),
            Self::Knight => Box::new(knight::Knight::new(false)),
            Self::KnightImu => Box::new(knight::Knight::new(true)),
            Self::Chords => Box::new(chords::Chords::new(choice.board.as_deref(), choice.commands)?),
            Self::Bitalino => Box::new(bitalino::Bitalino::default()),
            Self::SpikerBox => Box::new(spikerbox::SpikerBox::default()),
        })
    }
}
