//! The networking widget of the OpenBCI GUI: what it sends over UDP to a port of this machine.
//!
//! A port has one reader, so the GUI is configured to send the agent a stream of its own, beside the one that it
//! sends to a program. Where the GUI can send to the Lab Streaming Layer, that is better: it includes times and
//! names.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::datagram::{self, Binding, DatagramHandler, JudgedStream};
use super::stream::State;
use crate::analysis::quality;
use crate::decode::lsl::Stamps;
use crate::decode::program::openbci_gui::OpenbciGui;
use crate::decode::{self, Protocol};
use crate::event::{Body, Stream, StreamName, Timestamp};
use crate::listen::{Bytes, Listen};
use crate::source::Feed;
use crate::source::kind::{Kind, Start};
use crate::source::record::Recorded;

/// What the OpenBCI GUI sends over UDP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "OpenbciGui")]
pub struct Settings {
    /// The name of the source.
    pub name: String,
    /// The port that the GUI sends to. No other program can read it.
    pub listen: Listen,
    /// Samples per second of the board: 250 of a Cyton, 125 with Daisy, 200 of a Ganglion. The GUI does not send it.
    #[schemars(range(min = 1, max = 20000))]
    pub rate: u16,
    /// How the signal is judged.
    pub signal: quality::Settings,
    /// The receive buffer requested from the kernel. The allocated size is a metric.
    pub receive_buffer: Bytes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "openbci_gui".to_owned(),
            listen: Listen::Udp(SocketAddr::from(([127, 0, 0, 1], 12345))),
            rate: 250,
            signal: quality::Settings::default(),
            receive_buffer: Bytes(4 << 20),
        }
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

    fn recorded(&self) -> Option<Recorded> {
        let (name, protocol) = (self.name.clone(), Protocol::OpenbciGui.name().to_owned());
        Some(Recorded {
            name,
            protocol,
            board: decode::Options { rate: Some(self.rate), ..decode::Options::default() },
        })
    }

    fn start(&self, start: Start) {
        start.try_run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Reads messages until it is cancelled.
///
/// # Errors
/// The settings are not possible.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let Listen::Udp(listen) = settings.listen else {
        return Err("the GUI is read over UDP alone".to_owned());
    };
    let receive_buffer = usize::try_from(settings.receive_buffer.0).unwrap_or(usize::MAX);
    let place = Binding { listen, interface: None, receive_buffer };
    let judged = JudgedStream::new(OpenbciGui::new(settings.rate.into()), settings.signal.clone());
    let mut listener = Listener { judged, feed: feed.clone(), reported: None, state: State::default() };
    datagram::run(place, &feed, &stop, &mut listener).await;
    Ok(())
}

struct Listener {
    judged: JudgedStream<OpenbciGui>,
    feed: Feed,
    /// What the stream was announced as.
    reported: Option<(&'static str, u16)>,
    state: State,
}

impl DatagramHandler for Listener {
    fn handle(&mut self, at: Timestamp, rows: &[u8], reads: u64) {
        datagram::take(&self.feed, at, rows, reads, &mut self.judged);
    }

    fn report(&mut self) {
        let Self { judged, feed, reported, state } = self;
        let gui = judged.inner();
        let Some((stream, channels)) = gui.signal() else { return };
        let feed = &*feed;
        let (name, rate) = (StreamName { source: feed.name(), stream, host: "" }, gui.rate());
        if reported.replace((stream, channels)) != Some((stream, channels)) {
            feed.send(Body::Stream(Stream { name, kind: "EEG", format: "float32", channels, rate }));
        }
        // There are no times, so nothing is said by them.
        state.report(feed, name, &mut Stamps::default(), [gui.not_finite(), 0], 0.0);
    }

    fn end(&mut self, at: Timestamp) {
        self.feed.end(at, &mut self.judged);
        self.reported = None;
    }
}
