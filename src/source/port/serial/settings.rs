//! A serial port as it is configured, and what reads it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LatencyTimer;
use crate::analysis::quality::{self, AssessedDecoder};
use crate::decode::board::generic;
use crate::decode::{self, Dialogue, MeasureImpedance, Protocol};
use crate::document::{Check, Path};
use crate::source::kind::{Claim, Context, Kind, Probing, Resource, Start};
use crate::source::port::usb::{Roots, UsbMatch, Which};
use crate::source::record::Recorded;
use crate::source::socket::NewDecoder;
use crate::source::socket::jsonl;

/// A serial port that a device writes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// The name of the source.
    pub name: String,
    /// The port: `/dev/ttyUSB0`, or better a name under `/dev/serial/by-id`. Either this or `usb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "serial-port"))]
    pub port: Option<PathBuf>,
    /// The USB device that makes the port, whatever number the port has then. Must fit one device alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usb: Option<UsbMatch>,
    /// Baud rate; the factory setting of the device if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 20_000_000))]
    pub baud: Option<u32>,
    /// What it writes: lines, or the frames of an acquisition device.
    #[serde(default)]
    pub protocol: Protocol,
    /// A link that a recording program opens instead of the port, such as
    /// `/run/neural-exporter/cyton`. Bytes are forwarded both ways; the agent decodes them and writes nothing of its
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap: Option<PathBuf>,
    /// How the signal of an acquisition device is judged.
    #[serde(default)]
    pub signal: quality::Settings,
    /// The gain that a Cyton, Daisy or Knight is set to; what it starts with if omitted. Once the board reports its
    /// gains, or a program sets them through a tap, those apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<u8>,
    /// How many channels a BITalino sends, the first ones; six if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// Samples per second: those that a BITalino is set to, 1, 10, 100 or 1000, and 1000 if omitted; or those of a
    /// board whose bytes do not say it, where it was built for, or set to, another rate than is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u16>,
    /// Which Ganglion is meant; the first that is found if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ganglion: Option<decode::GanglionFilter>,
    /// The frames of a board of protocol `generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Box<generic::Frame>>,
    /// Whether the impedance of a Cyton's or Daisy's electrodes is measured before its stream begins, 1.5 seconds a
    /// channel, once each time the port is opened. The board's settings are then those that it starts with: not to
    /// be used where another program expects settings of its own, nor with `tap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impedance: Option<MeasureImpedance>,
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
    pub fn settings(&self) -> super::Settings {
        super::Settings {
            which: self.which(),
            baud: self.bits_per_second(),
            protocol: self.protocol.name(),
            latency_timer: self.latency_timer,
            roots: Roots::default(),
            tap: self.tap.clone(),
        }
    }

    /// Bits in a second: as set, or as the device is delivered.
    #[must_use]
    pub fn bits_per_second(&self) -> u32 {
        self.baud.or_else(|| self.protocol.baud()).unwrap_or(115_200)
    }
}

impl Kind for Serial {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        self.which().to_string()
    }

    fn port(&self) -> Option<Which> {
        Some(self.which())
    }

    fn claims(&self) -> Vec<Claim> {
        let of = |place: String, key| Claim { place: Resource::Port(place), key, item: None };
        let port = of(self.which().to_string(), if self.port.is_some() { "port" } else { "usb" });
        // A link in the place of a port would hide it.
        let tap = self.tap.iter().map(|tap| of(tap.display().to_string(), "tap"));
        std::iter::once(port).chain(tap).collect()
    }

    fn signal(&self) -> Option<&quality::Settings> {
        Some(&self.signal)
    }

    fn check(&self, check: &mut Check<'_>, path: &Path) {
        self.check_board(check, path);
        self.check_port(check, path);
        if let Some(tap) = self.tap.as_ref().filter(|tap| !(tap.is_absolute() && tap.file_name().is_some())) {
            let message = format!("\"{}\" is not a place for a link", tap.display());
            *check.wrong(&path.key("tap"), message) =
                Some("a path from the root on, such as /run/neural-exporter/cyton".to_owned());
        }
    }

    fn context(&self, all: &Context) -> Context {
        match self.protocol {
            Protocol::Jsonl => {
                Context { line_bytes: all.line_bytes, prices: all.prices.clone(), ..Context::default() }
            }
            _ => Context::default(),
        }
    }

    fn refuses_requests(&self) -> Option<&'static str> {
        self.tap.as_ref().map(|_| "it is read through a tap: nothing is written to it")
    }

    fn recorded(&self) -> Option<Recorded> {
        let protocol = self.protocol.name().to_owned();
        Some(Recorded { name: self.name.clone(), protocol, board: self.options() })
    }

    fn look<'a>(&'a self, path: &'a str, running: bool) -> Probing<'a> {
        Box::pin(async move { super::look::look(path, self, running) })
    }

    fn start(&self, start: Start) {
        let decoder = self.new_decoder(&start);
        let devices = start.devices.clone();
        start.run(super::run(self.settings(), decoder, start.feed.clone(), start.stop.clone(), devices));
    }
}

impl Serial {
    /// What is said of a board must be of that board, and possible.
    fn check_board(&self, check: &mut Check<'_>, path: &Path) {
        for (keys, why) in self.options().problems(self.protocol) {
            let at = keys.split('.').fold(path.clone(), |path, key| path.key(key));
            check.wrong(&at, why);
        }
        if self.tap.is_some() && self.impedance == Some(MeasureImpedance::AtStart) {
            let message = "a port with a tap is the recording program's: the agent writes nothing to it";
            check.wrong(&path.key("impedance"), message);
        }
    }

    /// One setting alone names the port.
    fn check_port(&self, check: &mut Check<'_>, path: &Path) {
        if check.document.omits(&path.key("port")) || check.document.omits(&path.key("usb")) {
            return;
        }
        let hint = "port: /dev/serial/by-id/…, or usb: {id: \"0403:6015\", serial: …, place: …}";
        match (&self.port, &self.usb) {
            (Some(_), Some(_)) => {
                check.wrong(&path.key("usb"), "the port is already given by its path");
            }
            (None, None) => {
                *check.wrong(path, "says no port") = Some(hint.to_owned());
            }
            (None, Some(usb)) if usb.is_empty() => {
                *check.wrong(&path.key("usb"), "any device would fit") = Some(hint.to_owned());
            }
            _ => {}
        }
    }

    /// What makes its decoder each time the port is opened.
    fn new_decoder(&self, start: &Start) -> Arc<NewDecoder> {
        let protocol = self.protocol;
        if protocol == Protocol::Jsonl {
            return jsonl::decoders(start.context.line_bytes, start.context.prices.clone());
        }
        if !protocol.brings_samples() {
            return Arc::new(move || protocol.decoder());
        }
        let (signal, options) = (self.signal.clone(), self.options());
        let resumed = AtomicBool::new(start.resumed);
        Arc::new(move || {
            let mut decoder = protocol.decoder_with(&options);
            if resumed.swap(false, Ordering::Relaxed) {
                decoder.dialogue().into_iter().for_each(Dialogue::resume);
            }
            Box::new(AssessedDecoder::new(decoder, signal.clone()))
        })
    }
}
