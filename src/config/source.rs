//! The kinds of sources and their settings.
//!
//! What all kinds have to tell (name, paths, addresses) is told here by kind; what a kind does
//! with its settings is its own affair.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::quality;
use crate::decode::{self, generic};
use crate::listen::{Bytes, Listen, Many, Mode};
use crate::source::program::{brainflow, cerebus, fieldtrip, intan, open_ephys, openbci_gui, rda};
use crate::source::serial::{self, LatencyTimer};
use crate::source::usb::{Roots, UsbMatch, Which};
use crate::source::{exec, gpu, host, lsl, process, scrape, textfile};

/// One source: its kind, and the settings of that kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// JSON lines from pipelines.
    Jsonl(Jsonl),
    /// StatsD and DogStatsD.
    Statsd(Statsd),
    /// A Prometheus endpoint nearby, asked and passed on.
    Scrape(scrape::Settings),
    /// A folder of files in the text format.
    Textfile(textfile::Settings),
    /// A command whose output is in the text format.
    Exec(exec::Settings),
    /// The machine.
    Host(host::Settings),
    /// Processes, by name or unit.
    Process(process::Settings),
    /// Graphics processors.
    Gpu(gpu::Settings),
    /// Lines, or an acquisition device, on a serial port.
    Serial(Serial),
    /// Streams of the Lab Streaming Layer.
    Lsl(lsl::Settings),
    /// Intan RHX.
    Intan(intan::Settings),
    /// Open Ephys GUI.
    OpenEphys(open_ephys::Settings),
    /// A FieldTrip buffer.
    Fieldtrip(fieldtrip::Settings),
    /// BrainVision Recorder, through its Remote Data Access.
    Rda(rda::Settings),
    /// The packages that BrainFlow streams to a group.
    Brainflow(brainflow::Settings),
    /// The packets of a Blackrock Cerebus or Gemini.
    Cerebus(cerebus::Settings),
    /// What the OpenBCI GUI sends over UDP.
    OpenbciGui(openbci_gui::Settings),
    /// A recording, played again.
    Replay(Replay),
}

impl Source {
    /// What runs if no sources are configured.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::Jsonl(Jsonl::default()),
            Self::Statsd(Statsd::default()),
            Self::Host(host::Settings::default()),
            Self::Gpu(gpu::Settings::default()),
        ]
    }

    /// The key of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Jsonl(_) => "jsonl",
            Self::Statsd(_) => "statsd",
            Self::Scrape(_) => "scrape",
            Self::Textfile(_) => "textfile",
            Self::Exec(_) => "exec",
            Self::Host(_) => "host",
            Self::Process(_) => "process",
            Self::Gpu(_) => "gpu",
            Self::Serial(_) => "serial",
            Self::Lsl(_) => "lsl",
            Self::Intan(_) => "intan",
            Self::OpenEphys(_) => "open_ephys",
            Self::Fieldtrip(_) => "fieldtrip",
            Self::Rda(_) => "rda",
            Self::Brainflow(_) => "brainflow",
            Self::Cerebus(_) => "cerebus",
            Self::OpenbciGui(_) => "openbci_gui",
            Self::Replay(_) => "replay",
        }
    }

    /// Its name: the `source` label.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Jsonl(of) => &of.name,
            Self::Statsd(of) => &of.name,
            Self::Scrape(of) => &of.name,
            Self::Textfile(of) => &of.name,
            Self::Exec(of) => &of.name,
            Self::Host(of) => &of.name,
            Self::Process(of) => &of.name,
            Self::Gpu(of) => &of.name,
            Self::Serial(of) => &of.name,
            Self::Lsl(of) => &of.name,
            Self::Intan(of) => &of.name,
            Self::OpenEphys(of) => &of.name,
            Self::Fieldtrip(of) => &of.name,
            Self::Rda(of) => &of.name,
            Self::Brainflow(of) => &of.name,
            Self::Cerebus(of) => &of.name,
            Self::OpenbciGui(of) => &of.name,
            Self::Replay(of) => &of.name,
        }
    }

    /// Where it listens. Empty for JSON lines means the default socket.
    #[must_use]
    pub fn listens(&self) -> &[Listen] {
        match self {
            Self::Jsonl(of) => &of.listen,
            Self::Statsd(of) => &of.listen,
            _ => &[],
        }
    }

    /// Where datagrams of a program arrive.
    #[must_use]
    pub fn hears(&self) -> Option<&Listen> {
        match self {
            Self::Brainflow(of) => Some(&of.listen),
            Self::Cerebus(of) => Some(&of.listen),
            Self::OpenbciGui(of) => Some(&of.listen),
            _ => None,
        }
    }

    /// The files and folders it reads.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Statsd(of) => of.mapping.iter_mut().collect(),
            Self::Scrape(of) => of.paths().collect(),
            Self::Exec(of) => of.paths().collect(),
            Self::Textfile(of) => vec![&mut of.directory],
            Self::Replay(of) => vec![&mut of.file],
            Self::Jsonl(_)
            | Self::Host(_)
            | Self::Process(_)
            | Self::Gpu(_)
            | Self::Lsl(_)
            | Self::Intan(_)
            | Self::OpenEphys(_)
            | Self::Fieldtrip(_)
            | Self::Rda(_)
            | Self::Brainflow(_)
            | Self::Cerebus(_)
            | Self::OpenbciGui(_)
            | Self::Serial(_) => Vec::new(),
        }
    }
}

/// JSON lines from pipelines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jsonl {
    /// The name of the source.
    pub name: String,
    /// Where it listens; the default Unix socket if empty.
    pub listen: Many<Listen>,
    /// Who may use its sockets in the file system.
    pub mode: Mode,
    /// The group that owns its sockets in the file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The receive buffer that the kernel is asked for. What it grants is a metric.
    pub receive_buffer: Bytes,
    /// Connections at once; `limits.connections` if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections: Option<u32>,
    /// Events in a second beyond which events are shed and counted; no limit if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub events_per_second: Option<u64>,
    /// Bytes of one line; `limits.line_bytes` if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 16_777_216))]
    pub line_bytes: Option<usize>,
}

impl Default for Jsonl {
    fn default() -> Self {
        Self {
            name: "pipeline".to_owned(),
            listen: Many::default(),
            mode: Mode(0o660),
            group: None,
            receive_buffer: Bytes(4 << 20),
            connections: None,
            events_per_second: None,
            line_bytes: None,
        }
    }
}

/// StatsD and DogStatsD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Statsd {
    /// The name of the source.
    pub name: String,
    /// Where it listens.
    pub listen: Many<Listen>,
    /// Who may use its sockets in the file system.
    pub mode: Mode,
    /// The group that owns its sockets in the file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The receive buffer that the kernel is asked for. What it grants is a metric.
    pub receive_buffer: Bytes,
    /// Connections at once; `limits.connections` if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections: Option<u32>,
    /// Events in a second beyond which events are shed and counted; no limit if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub events_per_second: Option<u64>,
    /// Bytes of one line; `limits.line_bytes` if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 16_777_216))]
    pub line_bytes: Option<usize>,
    /// Rules from names to metrics and labels, in the form of statsd_exporter's mapping file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<PathBuf>,
    /// Whether tags are read as DogStatsD writes them: `name:1|c|#tag:value`.
    pub dogstatsd_tags: bool,
    /// Whether tags are read as Librato writes them: `name#tag=value:1|c`.
    pub librato_tags: bool,
    /// Whether tags are read as InfluxDB writes them: `name,tag=value:1|c`.
    pub influxdb_tags: bool,
    /// Whether tags are read as SignalFx writes them: `name[tag=value]:1|c`.
    pub signalfx_tags: bool,
    /// What a sign before a gauge's value means.
    pub gauges: Gauges,
    /// How lines are told apart in a stream.
    pub stream_framing: Framing,
}

impl Default for Statsd {
    fn default() -> Self {
        let Jsonl { mode, group, receive_buffer, connections, events_per_second, line_bytes, .. } =
            Jsonl::default();
        Self {
            name: "statsd".to_owned(),
            listen: Many(vec![Listen::Udp(std::net::SocketAddr::from(([127, 0, 0, 1], 8125)))]),
            mode,
            group,
            receive_buffer,
            connections,
            events_per_second,
            line_bytes,
            mapping: None,
            dogstatsd_tags: true,
            librato_tags: true,
            influxdb_tags: true,
            signalfx_tags: true,
            gauges: Gauges::Signed,
            stream_framing: Framing::Lines,
        }
    }
}

/// What a sign before a gauge's value means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gauges {
    /// `+1` and `-1` move the gauge.
    #[default]
    Signed,
    /// `-1` sets it to -1.
    Absolute,
}

/// How messages are told apart in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// A message ends with its line.
    #[default]
    Lines,
    /// Four bytes, little endian, say how long each packet is, as DogStatsD does on Unix streams.
    Length,
}

/// A serial port that a device writes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// The name of the source.
    pub name: String,
    /// The port: `/dev/ttyUSB0`, or better a name under `/dev/serial/by-id`. Either this or `usb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PathBuf>,
    /// The USB device that makes the port, whatever number the port has then. Must fit one device alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usb: Option<UsbMatch>,
    /// Bits in a second; what the device is delivered with if left away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 20_000_000))]
    pub baud: Option<u32>,
    /// What it writes: lines, or the frames of an acquisition device.
    #[serde(default)]
    pub protocol: Protocol,
    /// A link that a recording program opens in place of the port, such as
    /// `/run/neural-exporter/cyton`. Bytes pass both ways; the agent reads along and writes nothing of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap: Option<PathBuf>,
    /// How the signal of an acquisition device is judged.
    #[serde(default)]
    pub signal: quality::Settings,
    /// The gain that a Cyton, Daisy or Knight is set to; what it starts with if left away. Once the board tells its
    /// gains, or a program sets them through a tap, those count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<u8>,
    /// How many channels a BITalino sends, the first ones; six if left away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// Samples a second: those that a BITalino is set to, 1, 10, 100 or 1000, and 1000 if left away; or those that a board
    /// sends whose bytes do not tell it (chords, freeeeg32, ganglion, knight, openeeg, spikerbox, thinkgear), where it was
    /// built for, or set to, another rate than is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u16>,
    /// Which Ganglion is meant; the first that is found if left away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ganglion: Option<decode::Wanted>,
    /// The frames of a board of protocol `generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Box<generic::Frame>>,
    /// Whether the impedance of a Cyton's or Daisy's electrodes is measured before its stream begins, 1.5 seconds a
    /// channel, once each time the port is opened. The board's settings are then those that it starts with: not to
    /// be used where another program expects settings of its own, nor with `tap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impedance: Option<decode::MeasureImpedance>,
    /// Whether the latency timer of an FTDI bridge is set to 1 ms, or kept as it is.
    #[serde(default)]
    pub latency_timer: LatencyTimer,
}

impl Serial {
    /// What is said of the board beside its protocol.
    #[must_use]
    pub fn options(&self) -> decode::Options {
        decode::Options {
            gain: self.gain,
            channels: self.channels,
            rate: self.rate,
            ganglion: self.ganglion.clone(),
            frame: self.frame.as_deref().cloned(),
            impedance: self.impedance,
            brainflow: None,
        }
    }

    /// Which port is meant.
    #[must_use]
    pub fn which(&self) -> Which {
        match (&self.port, &self.usb) {
            (Some(path), _) => Which::Path(path.clone()),
            (None, usb) => Which::Usb(usb.clone().unwrap_or_default()),
        }
    }

    /// As the source takes it.
    #[must_use]
    pub fn settings(&self) -> serial::Settings {
        serial::Settings {
            which: self.which(),
            baud: self.bits_per_second(),
            protocol: self.protocol.decoded().name(),
            latency_timer: self.latency_timer,
            roots: Roots::default(),
            tap: self.tap.clone(),
        }
    }

    /// Bits in a second: as set, or as the device is delivered.
    #[must_use]
    pub fn bits_per_second(&self) -> u32 {
        self.baud.unwrap_or(match self.protocol {
            Protocol::FreeEeg32 => 921_600,
            Protocol::Chords | Protocol::SpikerBox | Protocol::Ganglion => 230_400,
            Protocol::ThinkGear | Protocol::OpeneegP2 | Protocol::OpeneegP3 => 57_600,
            _ => 115_200,
        })
    }
}

/// What a device on a serial port writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// JSON lines.
    #[default]
    Jsonl,
    /// StatsD.
    Statsd,
    /// OpenBCI Cyton, 115200 bits in a second.
    Cyton,
    /// OpenBCI Cyton with Daisy, 115200 bits in a second.
    Daisy,
    /// NeuroPawn Knight, 115200 bits in a second.
    Knight,
    /// NeuroPawn Knight with IMU, 115200 bits in a second.
    KnightImu,
    /// FreeEEG32, 921600 bits in a second.
    #[serde(rename = "freeeeg32")]
    FreeEeg32,
    /// NeuroSky ThinkGear, 57600 bits in a second.
    #[serde(rename = "thinkgear")]
    ThinkGear,
    /// Chords boards of Upside Down Labs, 230400 or 115200 bits in a second.
    Chords,
    /// PLUX BITalino, 115200 bits in a second.
    Bitalino,
    /// OpenEEG, packet version 2, 57600 bits in a second.
    OpeneegP2,
    /// OpenEEG, packet version 3, 57600 bits in a second.
    OpeneegP3,
    /// Backyard Brains SpikerBox, 230400 bits in a second.
    #[serde(rename = "spikerbox")]
    SpikerBox,
    /// OpenBCI Ganglion through its dongle (BLED112), 230400 bits in a second.
    Ganglion,
    /// A board of your own, whose frames `frame` describes; 115200 bits in a second.
    Generic,
}

impl Protocol {
    /// The protocol as decoders know it.
    #[must_use]
    pub fn decoded(self) -> decode::Protocol {
        match self {
            Self::Jsonl => decode::Protocol::Jsonl,
            Self::Statsd => decode::Protocol::Statsd,
            Self::Cyton => decode::Protocol::Cyton,
            Self::Daisy => decode::Protocol::Daisy,
            Self::Knight => decode::Protocol::Knight,
            Self::KnightImu => decode::Protocol::KnightImu,
            Self::FreeEeg32 => decode::Protocol::FreeEeg32,
            Self::ThinkGear => decode::Protocol::ThinkGear,
            Self::Chords => decode::Protocol::Chords,
            Self::Bitalino => decode::Protocol::Bitalino,
            Self::OpeneegP2 => decode::Protocol::OpeneegP2,
            Self::OpeneegP3 => decode::Protocol::OpeneegP3,
            Self::SpikerBox => decode::Protocol::SpikerBox,
            Self::Ganglion => decode::Protocol::Ganglion,
            Self::Generic => decode::Protocol::Generic,
        }
    }
}

/// A recording, played again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The name of the source.
    pub name: String,
    /// The recording.
    pub file: PathBuf,
    /// 1 as it was, 10 ten times as fast, 0 without waiting.
    #[serde(default = "Replay::speed")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub speed: f64,
    /// How the signal of the acquisition devices in it is judged.
    #[serde(default)]
    pub signal: quality::Settings,
}

impl Replay {
    fn speed() -> f64 {
        1.0
    }
}
