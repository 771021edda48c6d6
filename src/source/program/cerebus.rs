//! Blackrock Cerebus and Gemini: the packets that an amplifier sends to everyone in its network.
//!
//! The amplifier sends to a broadcast address, which many can read: Central, other programs, and this. It does not learn
//! that a client listens, and receives no requests, so that its set-up is known only as far as others request
//! it. Each group of channels is a device of its own, named after the source and the group.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::datagram::{self, Binding, DatagramHandler, JudgedStream};
use super::stream::State;
use crate::analysis::quality;
use crate::decode::program::cerebus::{Cerebus, Group, named};
use crate::decode::program::datagram::Datagrams;
use crate::decode::{self, Protocol};
use crate::event::{Body, Link, Stream, StreamName, Timestamp};
use crate::listen::{Bytes, Listen};
use crate::source::Feed;
use crate::source::kind::{Kind, Start};
use crate::source::record::Recorded;

/// The packets of a Blackrock Cerebus or Gemini.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Cerebus")]
pub struct Settings {
    /// The name of the source.
    pub name: String,
    /// The address that the amplifier sends to: the broadcast address of its network. A Gemini NSP uses port 51001,
    /// hubs 51002 to 51004.
    pub listen: Listen,
    /// Volts that a count of the converter is worth: 0.25e-6 for headstages as they are delivered. Without it, values
    /// are counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub volts_per_count: Option<f64>,
    /// How the signal is judged.
    pub signal: quality::Settings,
    /// The receive buffer requested from the kernel. The allocated size is a metric.
    pub receive_buffer: Bytes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "cerebus".to_owned(),
            listen: Listen::Udp(SocketAddr::from(([192, 168, 137, 255], 51002))),
            volts_per_count: None,
            signal: quality::Settings::default(),
            receive_buffer: Bytes(8 << 20),
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
        let (name, protocol) = (self.name.clone(), Protocol::Cerebus.name().to_owned());
        Some(Recorded { name, protocol, board: decode::Options::default() })
    }

    fn start(&self, start: Start) {
        start.try_run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Reads packets until it is cancelled.
///
/// # Errors
/// The settings are not possible.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let Listen::Udp(listen) = settings.listen else {
        return Err("an amplifier sends over UDP alone".to_owned());
    };
    let receive_buffer = usize::try_from(settings.receive_buffer.0).unwrap_or(usize::MAX);
    let place = Binding { listen, interface: None, receive_buffer };
    let link = Datagrams::new(Cerebus::default());
    let mut listener = Listener { settings, link, feed: feed.clone(), groups: Vec::new() };
    datagram::run(place, &feed, &stop, &mut listener).await;
    listener.groups.iter().for_each(|one| one.feed.retire());
    Ok(())
}

struct Listener {
    settings: Settings,
    link: Datagrams<Cerebus>,
    feed: Feed,
    groups: Vec<GroupInfo>,
}

/// One group.
struct GroupInfo {
    number: u8,
    stream: &'static str,
    feed: Feed,
    judged: JudgedStream<Group>,
    up: bool,
    /// The channels that were reported.
    reported: u16,
    state: State,
}

impl Listener {
    /// Groups that were not met before.
    fn meet(&mut self) {
        for number in self.link.inner().groups() {
            let met = self.groups.iter().any(|one| one.number == number);
            let Some((stream, _)) = named(number).filter(|_| !met) else { continue };
            let feed = self.feed.stream(&format!("{}:{stream}", self.settings.name));
            let mut group = Group::new(number, self.settings.volts_per_count);
            if let Some(channels) = self.link.inner().listed(number) {
                group.list(channels);
            }
            let judged = JudgedStream::new(group, self.settings.signal.clone());
            self.groups.push(GroupInfo {
                number,
                stream,
                feed,
                judged,
                up: false,
                reported: 0,
                state: State::default(),
            });
        }
    }
}

impl GroupInfo {
    fn handle(&mut self, at: Timestamp, rows: &[u8]) {
        let Self { feed, judged, up, .. } = self;
        if !std::mem::replace(up, true) {
            feed.send_at(at, Body::Link(Link::Up));
        }
        // The bytes are in the account of the source.
        feed.decode_counted(at, rows, 0, 0, judged);
    }

    fn report(&mut self, source: &str) {
        let group = self.judged.inner();
        let (channels, rate) = (group.channels(), group.rate());
        let name = StreamName { source, stream: self.stream, host: "" };
        if std::mem::replace(&mut self.reported, channels) != channels {
            self.feed.send(Body::Stream(Stream { name, kind: "", format: "int16", channels, rate }));
        }
        let counts = [0, group.restarts()];
        self.state.report(&self.feed, name, group.stamps(), counts, rate);
    }

    fn end(&mut self, at: Timestamp) {
        self.feed.end(at, &mut self.judged);
        if std::mem::take(&mut self.up) {
            self.feed.send_at(at, Body::Link(Link::Down));
        }
        self.reported = 0;
    }
}

impl DatagramHandler for Listener {
    fn handle(&mut self, at: Timestamp, rows: &[u8], reads: u64) {
        datagram::take(&self.feed, at, rows, reads, &mut self.link);
        self.meet();
        self.groups.iter_mut().for_each(|one| one.handle(at, rows));
    }

    fn report(&mut self) {
        let Self { settings, groups, .. } = self;
        groups.iter_mut().for_each(|one| one.report(&settings.name));
    }

    fn end(&mut self, at: Timestamp) {
        self.feed.end(at, &mut self.link);
        self.groups.iter_mut().for_each(|one| one.end(at));
    }
}
