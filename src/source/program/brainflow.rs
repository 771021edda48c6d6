//! BrainFlow, beside the program that uses it: the group to which `add_streamer` or `start_stream` sends a board's
//! packages.
//!
//! A group has as many receivers as like to listen, so nobody is disturbed. Which board it is cannot be seen in the
//! stream and has to be said. The board itself is not touched.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::datagram::{self, Binding, DatagramHandler, JudgedStream};
use super::stream::State;
use crate::analysis::quality;
use crate::decode::program::brainflow::{Brainflow, Layout, Rows, Streamed};
use crate::decode::{self, Protocol};
use crate::document::{Check, Path};
use crate::event::{Body, Stream, StreamName, Timestamp};
use crate::listen::{Bytes, Listen};
use crate::source::Feed;
use crate::source::kind::{Kind, Start};
use crate::source::record::Recorded;

/// The packages that BrainFlow streams to a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Brainflow")]
pub struct Settings {
    /// The name of the source.
    pub name: String,
    /// Where BrainFlow streams to: `streaming_board://225.1.1.1:6677` is `udp://225.1.1.1:6677` here.
    pub listen: Listen,
    /// The address of the interface on which the group is joined; the system's choice if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Ipv4Addr>,
    /// The board that is streamed: `cyton`, `daisy`, `ganglion`, `synthetic` … Either this or `rows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// The rows of a package, for a board that has no name here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// The largest value that the converter can give, volts; that of the board as it starts if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub full_scale: Option<f64>,
    /// How the signal is judged.
    pub signal: quality::Settings,
    /// The receive buffer requested from the kernel. The allocated size is a metric.
    pub receive_buffer: Bytes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "brainflow".to_owned(),
            listen: Listen::Udp(SocketAddr::from(([225, 1, 1, 1], 6677))),
            interface: None,
            board: None,
            rows: None,
            full_scale: None,
            signal: quality::Settings::default(),
            receive_buffer: Bytes(4 << 20),
        }
    }
}

impl Settings {
    /// What is said of the board.
    #[must_use]
    pub fn streamed(&self) -> Streamed {
        Streamed { board: self.board.clone(), rows: self.rows.clone(), full_scale: self.full_scale }
    }
}

impl Kind for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn datagram_address(&self) -> Option<&Listen> {
        Some(&self.listen)
    }

    fn signal(&self) -> Option<&quality::Settings> {
        Some(&self.signal)
    }

    fn check(&self, check: &mut Check<'_>, path: &Path) {
        if let Err((key, why)) = self.streamed().layout() {
            let missing = key == "board" && self.board.is_none() && !check.document.omits(&path.key(key));
            check.wrong(&if missing { path.clone() } else { path.key(key) }, why);
        }
    }

    fn recorded(&self) -> Option<Recorded> {
        let (name, protocol) = (self.name.clone(), Protocol::Brainflow.name().to_owned());
        Some(Recorded {
            name,
            protocol,
            board: decode::Options { brainflow: Some(self.streamed()), ..decode::Options::default() },
        })
    }

    fn start(&self, start: Start) {
        start.try_run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Reads packages until it is cancelled.
///
/// # Errors
/// The settings are not possible.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let Listen::Udp(listen) = settings.listen else {
        return Err("BrainFlow streams over UDP alone".to_owned());
    };
    let layout = settings.streamed().layout().map_err(|(_, why)| why)?;
    let place = Binding {
        listen,
        interface: settings.interface,
        receive_buffer: usize::try_from(settings.receive_buffer.0).unwrap_or(usize::MAX),
    };
    let mut listener = Listener {
        judged: JudgedStream::new(Brainflow::new(layout, settings.full_scale), settings.signal.clone()),
        feed: feed.clone(),
        reported: false,
        samples: 0,
        state: State::default(),
    };
    datagram::run(place, &feed, &stop, &mut listener).await;
    Ok(())
}

struct Listener {
    judged: JudgedStream<Brainflow>,
    feed: Feed,
    /// Whether the stream was announced.
    reported: bool,
    samples: u64,
    state: State,
}

impl DatagramHandler for Listener {
    fn handle(&mut self, at: Timestamp, rows: &[u8], reads: u64) {
        datagram::take(&self.feed, at, rows, reads, &mut self.judged);
        let stamps = *self.judged.inner().stamps();
        if stamps.samples > self.samples {
            self.samples = stamps.samples;
            stamps.last.into_iter().for_each(|last| self.state.age(at.wall_seconds() - last));
        }
    }

    fn report(&mut self) {
        let Self { judged, feed, reported, state, .. } = self;
        let board = judged.inner();
        let Layout { board: stream, content: kind, rate, .. } = *board.layout();
        let channels = u16::try_from(board.layout().channels.len()).unwrap_or(u16::MAX);
        let feed = &*feed;
        let name = StreamName { source: feed.name(), stream, host: "" };
        if !std::mem::replace(reported, true) {
            feed.send(Body::Stream(Stream { name, kind, format: "double64", channels, rate }));
        }
        let counts = [board.not_finite(), board.restarts()];
        state.report(feed, name, board.stamps(), counts, rate);
    }

    fn end(&mut self, at: Timestamp) {
        self.feed.end(at, &mut self.judged);
        self.reported = false;
    }
}
