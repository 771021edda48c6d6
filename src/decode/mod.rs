//! Bytes in, events out: no socket, no clock, no failure.
//!
//! A decoder is a state machine fed with slices. Bad bytes are an event too
//! ([`Fault`](crate::event::Fault)), so between the wire and `/metrics` there is no error path to
//! forget. Every protocol obeys four laws, tested once over the whole list:
//!
//! 1. no bytes make it panic;
//! 2. cut the stream anywhere and the totals are equal;
//! 3. every byte is in an event or in a fault;
//! 4. after noise a clean stream loses at most one frame.

pub mod bgapi;
pub mod bitalino;
pub mod board;
pub mod brainflow;
pub mod cerebus;
pub mod chords;
pub mod cyton;
pub mod datagram;
pub mod engines;
pub mod exposition;
pub mod fieldtrip;
pub mod frame;
pub mod freeeeg;
pub mod ganglion;
pub mod generic;
pub mod glob;
pub mod intan;
pub mod jsonl;
pub mod knight;
pub mod line;
pub mod lsl;
pub mod mapping;
mod message;
pub mod number;
pub mod open_ephys;
pub mod openbci_gui;
pub mod openeeg;
pub mod openmetrics;
mod options;
mod overtaken;
pub mod rda;
pub mod re2;
pub mod relabel;
pub mod spikerbox;
pub mod statsd;
mod tags;
pub mod thinkgear;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Body;
use board::Boards;
use datagram::Datagrams;
pub use options::{MeasureImpedance, Options, Wanted};

/// Takes the events of a decoder, one at a time, while their names are still in the buffer.
pub type Sink<'s> = dyn FnMut(Body<'_>) + 's;

/// Turns a stream of bytes into events.
pub trait Decoder: Send {
    /// Consumes `bytes` and hands over every event they complete. Given none, it may say what it decodes.
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>);

    /// The stream, or the datagram, ended: reports what is left over.
    fn end(&mut self, out: &mut Sink<'_>);

    /// Does what takes time and can be done while nobody waits: called after each read, outside any lock. Says
    /// whether it found something to tell; decoding no bytes tells it, or a part of it, and it is asked again.
    fn reflect(&mut self) -> bool {
        false
    }

    /// Whether the stream can no longer be understood and should be closed.
    fn broken(&self) -> bool {
        false
    }

    /// Whether more must come before what came makes sense: the rest of a message, or an answer.
    fn waits(&self) -> bool {
        false
    }

    /// What must be sent before the other side starts talking, in pieces with a moment between them.
    fn hello(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// How long a device needs from one piece of its hello to the next.
    fn apart(&self) -> Duration {
        Duration::from_millis(150)
    }

    /// Appends what is to be sent now, in answer to what came. Asked after each read, and about five times a
    /// second when nothing comes, which is all a decoder learns of time.
    fn ask(&mut self, _out: &mut Vec<u8>) {}

    /// The stream ran a moment ago, and goes on: nothing is done before it that holds it up.
    fn resume(&mut self) {}

    /// Hears what a program told the device through a tap, and says whether that starts the stream. A setting that
    /// changes is told as the device.
    fn overhear(&mut self, said: &[u8], _out: &mut Sink<'_>) -> bool {
        starts(self.hello(), said)
    }

    /// The other side fell silent and was told to start once more. It may begin anew with that, or go on where it was:
    /// what comes tells.
    fn greeted(&mut self) {}

    /// What a person should know of what was asked for, once.
    fn word(&mut self) -> Option<String> {
        None
    }

    /// What the device says in place of samples, if it says something and brings none.
    fn excuse(&self) -> Option<&str> {
        None
    }

    /// What it seems to be, and what to write, if it is another device whose frames are the same.
    fn mistaken(&self) -> Option<&str> {
        None
    }

    /// What should be sent before the connection is closed.
    fn goodbye(&self) -> &'static [u8] {
        b""
    }

    /// Appends what should be sent before the connection is closed, where that depends on what came.
    fn farewell(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.goodbye());
    }
}

/// Whether what starts a stream, the last piece of a greeting, is in what was said.
fn starts(hello: &[&[u8]], said: &[u8]) -> bool {
    hello.last().is_some_and(|start| memchr::memmem::find(said, start).is_some())
}

/// The protocols that streams and datagrams can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// One JSON object a line.
    Jsonl,
    /// StatsD and DogStatsD, one line a metric.
    Statsd,
    /// The same in frames with a length before them.
    StatsdFrames,
    /// OpenBCI Cyton.
    Cyton,
    /// OpenBCI Cyton with Daisy.
    Daisy,
    /// NeuroPawn Knight.
    Knight,
    /// NeuroPawn Knight with IMU.
    KnightImu,
    /// FreeEEG32.
    FreeEeg32,
    /// NeuroSky ThinkGear.
    ThinkGear,
    /// Chords boards of Upside Down Labs.
    Chords,
    /// PLUX BITalino.
    Bitalino,
    /// OpenEEG, packet version 2.
    OpeneegP2,
    /// OpenEEG, packet version 3.
    OpeneegP3,
    /// Backyard Brains SpikerBox.
    SpikerBox,
    /// OpenBCI Ganglion, through its dongle.
    Ganglion,
    /// A board that is described; without a description, an example.
    Generic,
    /// Waveforms of Intan RHX.
    Intan,
    /// Packages that BrainFlow streams; those of its synthetic board unless told otherwise.
    Brainflow,
    /// All packets of a Blackrock Cerebus.
    Cerebus,
    /// What the OpenBCI GUI sends over UDP.
    OpenbciGui,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: &'static [Self] = &[
        Self::Jsonl,
        Self::Statsd,
        Self::StatsdFrames,
        Self::Cyton,
        Self::Daisy,
        Self::Knight,
        Self::KnightImu,
        Self::FreeEeg32,
        Self::ThinkGear,
        Self::Chords,
        Self::Bitalino,
        Self::OpeneegP2,
        Self::OpeneegP3,
        Self::SpikerBox,
        Self::Ganglion,
        Self::Generic,
        Self::Intan,
        Self::Brainflow,
        Self::Cerebus,
        Self::OpenbciGui,
    ];

    /// Its name: config value, fixture folder, label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Statsd => "statsd",
            Self::StatsdFrames => "statsd_frames",
            Self::Cyton => "cyton",
            Self::Daisy => "daisy",
            Self::Knight => "knight",
            Self::KnightImu => "knight_imu",
            Self::FreeEeg32 => "freeeeg32",
            Self::ThinkGear => "thinkgear",
            Self::Chords => "chords",
            Self::Bitalino => "bitalino",
            Self::OpeneegP2 => "openeeg_p2",
            Self::OpeneegP3 => "openeeg_p3",
            Self::SpikerBox => "spikerbox",
            Self::Ganglion => "ganglion",
            Self::Generic => "generic",
            Self::Intan => "intan",
            Self::Brainflow => "brainflow",
            Self::Cerebus => "cerebus",
            Self::OpenbciGui => "openbci_gui",
        }
    }

    /// Whether it is that of a device that brings samples.
    #[must_use]
    pub fn brings_samples(self) -> bool {
        !matches!(self, Self::Jsonl | Self::Statsd | Self::StatsdFrames)
    }

    /// Whether it comes in datagrams, which are decoded in a row.
    #[must_use]
    pub fn is_datagrams(self) -> bool {
        matches!(self, Self::Brainflow | Self::Cerebus | Self::OpenbciGui)
    }

    /// A decoder with the settings that nobody changed.
    #[must_use]
    pub fn decoder(self) -> Box<dyn Decoder> {
        let statsd = || statsd::Statsd::new(&statsd::Settings::default(), Arc::default());
        match self {
            Self::Jsonl => Box::new(jsonl::Jsonl::new(65_536, Arc::default())),
            Self::Statsd => Box::new(statsd()),
            Self::StatsdFrames => Box::new(frame::Frames::new(statsd(), frame::FRAME_BYTES)),
            Self::Cyton => Box::new(Boards::new(cyton::Cyton::new(None))),
            Self::Daisy => Box::new(Boards::new(cyton::Daisy::new(None))),
            Self::Knight => Box::new(Boards::new(knight::Knight::plain(None))),
            Self::KnightImu => Box::new(Boards::new(knight::Knight::imu(None))),
            Self::FreeEeg32 => Box::new(Boards::new(freeeeg::FreeEeg32::default())),
            Self::ThinkGear => Box::new(Boards::new(thinkgear::ThinkGear::default())),
            Self::Chords => Box::new(Boards::new(chords::Chords::default())),
            Self::Bitalino => Box::new(Boards::new(bitalino::Bitalino::new(None, None))),
            Self::OpeneegP2 => Box::new(Boards::new(openeeg::P2)),
            Self::OpeneegP3 => Box::new(Boards::new(openeeg::P3)),
            Self::SpikerBox => Box::new(Boards::new(spikerbox::SpikerBox::default())),
            Self::Ganglion => Box::new(Boards::new(ganglion::Ganglion::default())),
            Self::Generic => Box::new(Boards::new(generic::Generic::example())),
            Self::Intan => Box::new(Boards::new(intan::Intan::default())),
            Self::Brainflow => Box::new(Datagrams::<brainflow::Brainflow>::default()),
            Self::Cerebus => Box::new(Datagrams::<cerebus::Cerebus>::default()),
            Self::OpenbciGui => Box::new(Datagrams::<openbci_gui::OpenbciGui>::default()),
        }
    }
}
