//! Serial ports that devices write to.
//!
//! A thread of its own per port: reads block for a moment at most, and a board or two need no
//! more. The port is opened exclusively, and not at all while another program is seen to have it. A device that
//! needs a start command receives one, again if it falls silent, and a stop command before the port is closed;
//! beside that only what its decoder asks for is written. What was set on a bridge stays set.

mod look;
mod open;
mod read;
mod settings;
mod verdict;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::open::{PortError, open};
use self::read::{PortLoss, Session, hung_up};
pub use self::settings::Serial;
use self::watch::Watch;
use super::tap;
use super::usb::{Identity, Missing, Node, Roots, Which};
use crate::backoff::Backoff;
use crate::event::{Body, Link, Port, PortEnd, PortState};
use crate::quote::quote;
use crate::source::Feed;
use crate::source::request::Devices;
use crate::source::socket::NewDecoder;

/// How often it is looked whether a port came or went.
const LOOK: Duration = Duration::from_millis(200);
/// So long after a node appears udev may still set who may open it.
const SETTLE: Duration = Duration::from_secs(2);
/// A device that was away for less is in the middle of what it did.
const BLIP: Duration = Duration::from_secs(60);
/// A port that was open for so long did not break at once.
const STEADY: Duration = Duration::from_secs(10);

/// What is done with the latency timer of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LatencyTimer {
    /// It is set to 1 ms where that is allowed, and stays so.
    #[default]
    Short,
    /// It stays what it is.
    Keep,
}

/// A port, and how it is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which port.
    pub which: Which,
    /// Bits in a second.
    pub baud: u32,
    /// The name of the protocol that is expected.
    pub protocol: &'static str,
    /// What is done with its latency timer.
    pub latency_timer: LatencyTimer,
    /// Where the trees of the system lie.
    pub roots: Roots,
    /// The link under which a recording program has the port, while the agent reads along.
    pub tap: Option<PathBuf>,
}

impl Settings {
    /// The port at a path, and what is usual beside that.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>, baud: u32, protocol: &'static str) -> Self {
        let which = Which::Path(path.into());
        let latency_timer = LatencyTimer::Short;
        Self { which, baud, protocol, latency_timer, roots: Roots::default(), tap: None }
    }
}

/// Keeps a port open and reads it until it is cancelled.
pub async fn run(
    settings: Settings,
    new_decoder: Arc<NewDecoder>,
    feed: Feed,
    stop: CancellationToken,
    devices: Devices,
) {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let name = feed.name().to_owned();
    // Not one of the runtime's: those are few, and ports may be many.
    let thread = std::thread::Builder::new().name("serial".to_owned()).spawn(move || {
        let _ended = ended;
        Supervisor::new(&settings, &feed, &stop, devices).run(&*new_decoder);
    });
    match thread {
        // The sender is dropped when the thread ends, whichever way.
        Ok(_) => drop(end.await),
        Err(error) => tracing::error!(source = name, %error, "cannot start a thread to read the port"),
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a port is absent or silent is measured here")]
fn clock() -> Instant {
    Instant::now()
}

/// Opens a port, has it read, and opens it again.
struct Supervisor<'a> {
    settings: &'a Settings,
    feed: &'a Feed,
    stop: &'a CancellationToken,
    reporter: PortReporter<'a>,
    pause: Backoff,
    /// How the port was lost last.
    lost: Option<PortEnd>,
    /// When it was read last.
    left: Option<Instant>,
    /// Which USB device it was, and its number on the bus.
    number: Option<(String, u32)>,
    /// Where it says that it can be asked for something.
    devices: Devices,
}

impl<'a> Supervisor<'a> {
    fn new(settings: &'a Settings, feed: &'a Feed, stop: &'a CancellationToken, devices: Devices) -> Self {
        let reporter = PortReporter { feed, state: None, said: String::new(), lost: false };
        Self {
            settings,
            feed,
            stop,
            reporter,
            pause: Backoff::default(),
            lost: None,
            left: None,
            number: None,
            devices,
        }
    }

    fn run(mut self, new_decoder: &NewDecoder) {
        let mut seen: Option<(Identity, Instant)> = None;
        while !self.stop.is_cancelled() {
            let node = match self.settings.which.find(&self.settings.roots) {
                Ok(node) => node,
                Err(missing) => {
                    let (state, why) = match missing {
                        Missing::Absent(why) => (PortState::Absent, why),
                        Missing::Ambiguous(why) => (PortState::Ambiguous, why),
                        Missing::NotPermitted(why) => (PortState::NotPermitted, why),
                    };
                    self.reporter.report(state, &why);
                    // What comes next is new, and is tried at once.
                    (seen, self.pause) = (None, Backoff::default());
                    sleep(LOOK, self.stop);
                    continue;
                }
            };
            if seen.is_none_or(|(identity, _)| identity != node.identity) {
                seen = Some((node.identity, seen.map_or_else(clock, |(_, since)| since)));
            }
            match open(&node, self.settings) {
                Ok(port) => self.session(port, &node, new_decoder),
                Err(PortError { state: PortState::NotPermitted, .. })
                    if seen.is_some_and(|(_, since)| since.elapsed() < SETTLE) =>
                {
                    sleep(LOOK / 2, self.stop);
                    continue;
                }
                Err(refused) => self.reporter.report(refused.state, &refused.why),
            }
            self.wait(&node);
        }
    }

    /// One time that the port is open.
    fn session(&mut self, mut port: serialport::TTYPort, node: &Node, new_decoder: &NewDecoder) {
        let Self { settings, feed, stop, .. } = *self;
        let began = clock();
        let offer = settings.tap.as_ref().map(|link| tap::Offer::new(&port, link, settings.baud));
        let offer = match offer.transpose() {
            Ok(offer) => offer,
            Err(why) => return self.reporter.report(PortState::Failed, &why),
        };
        feed.send(Body::Link(Link::Up));
        if let Some(lost) = self.lost.take() {
            feed.send(Body::Port(Port::Back(lost)));
        }
        let place = settings.which.to_string();
        self.reporter.open(&place, node, settings.baud);
        let mut watch = Watch::new(node, settings, feed, &mut self.number);
        let gone = if let Some(offer) = offer {
            let _place = self.devices.tapped(feed.name());
            // Whether a device is silent, or its bytes are those of another, is not judged: the program decides when
            // it streams, and has it write text, settings and what else the agent knows nothing of. Only what the
            // device itself says that it is counts.
            let (mut vanished, reporter) = (false, &mut self.reporter);
            let judged = |other: Option<&str>| match other {
                Some(other) => {
                    if !reporter.is(PortState::WrongDevice) {
                        let why = format!("the data from {place} is not {}: {other}", settings.protocol);
                        reporter.report(PortState::WrongDevice, &why);
                    }
                }
                None => reporter.recovered(&format!("{place} is {} again", settings.protocol)),
            };
            let look = || {
                vanished |= watch.check(&port);
                vanished
            };
            let error = tap::run(offer, &port, settings.baud, new_decoder, feed, stop, look, judged);
            match error {
                _ if vanished => Some(PortLoss::Vanished),
                Some(error) if hung_up(&error) => Some(PortLoss::Hangup),
                error => error.map(PortLoss::Tapped),
            }
        } else {
            let mut decoder = new_decoder();
            if self.left.is_some_and(|left| left.elapsed() < BLIP) {
                decoder.dialogue().into_iter().for_each(crate::decode::Dialogue::resume);
            }
            let place = self.devices.open(feed.name());
            Session { settings, feed, stop, reporter: &mut self.reporter, watch: &mut watch, place }
                .read(&mut port, decoder)
        };
        self.left = Some(clock());
        feed.send(Body::Link(Link::Down));
        drop(port);
        if let Some(gone) = gone {
            let end = gone.end(node, stop);
            feed.send(Body::Port(Port::Lost(end)));
            let state = if end == PortEnd::Unplugged { PortState::Absent } else { PortState::Failed };
            self.reporter.lose(state, &format!("{place} is gone: {gone}"));
            self.lost = Some(end);
        }
        // A port that opens and breaks at once is not asked in a hurry.
        if began.elapsed() > STEADY {
            self.pause = Backoff::default();
        }
    }

    /// Waits before the next attempt, but not for longer than until the port is another one.
    fn wait(&mut self, node: &Node) {
        let until = clock() + self.pause.delay();
        while clock() < until && !self.stop.is_cancelled() {
            sleep(LOOK.min(until.saturating_duration_since(clock())), self.stop);
            if Identity::of(&node.path) != Some(node.identity) {
                return;
            }
        }
    }
}

/// Says how the port is: once a change, to the log and as a metric.
struct PortReporter<'a> {
    feed: &'a Feed,
    state: Option<PortState>,
    said: String,
    /// Whether it was said that the port was lost, and nothing since.
    lost: bool,
}

impl PortReporter<'_> {
    fn is(&self, state: PortState) -> bool {
        self.state == Some(state)
    }

    /// Sets the state without a word.
    fn set(&mut self, state: PortState) {
        if !self.is(state) {
            self.state = Some(state);
            self.feed.send(Body::Port(Port::State(state)));
        }
    }

    fn open(&mut self, port: &str, node: &Node, baud: u32) {
        say!(self.feed, info, "port is open", port, node = %node.path.display(), baud);
        self.set(PortState::Open);
        self.said.clear();
    }

    /// An open port is lost.
    fn lose(&mut self, state: PortState, why: &str) {
        self.report(state, why);
        self.lost = true;
    }

    /// What was wrong no longer is.
    fn recovered(&mut self, why: &str) {
        if !self.is(PortState::Open) {
            if let Some(unsaid) = self.feed.log_permit("the port recovered") {
                tracing::info!(source = self.feed.name(), unsaid, "{}", quote(why));
            }
            self.set(PortState::Open);
            self.said.clear();
        }
    }

    fn report(&mut self, state: PortState, why: &str) {
        // A disconnect is reported when it happens; that the port is then absent is not reported again.
        let news = self.said != why && !(state == PortState::Absent && self.lost);
        // The log has it once in a while, the page of sources as long as it lasts.
        let other = self.said != why || !self.is(state);
        self.set(state);
        if other {
            self.feed.down(why);
        }
        self.lost = false;
        if news && let Some(unsaid) = self.feed.log_permit("the port has a problem") {
            tracing::warn!(source = self.feed.name(), state = state.as_str(), unsaid, "{}", quote(why));
        }
        why.clone_into(&mut self.said);
    }
}

impl PortLoss {
    /// How the port was lost. A node that is about to vanish has a moment to do so.
    fn end(&self, node: &Node, stop: &CancellationToken) -> PortEnd {
        let end = match self {
            Self::Vanished => return PortEnd::Unplugged,
            Self::Hangup => PortEnd::Hangup,
            Self::Read(_) | Self::Tapped(_) => PortEnd::ReadError,
            Self::Write(_) => PortEnd::WriteError,
        };
        for _ in 0..5 {
            if !Identity::of(&node.path).is_some_and(|now| now.is_still(node.identity)) {
                return PortEnd::Unplugged;
            }
            sleep(LOOK / 10, stop);
        }
        end
    }
}

/// Sleeps, but not past the stop.
fn sleep(time: Duration, stop: &CancellationToken) {
    let slice = Duration::from_millis(100);
    let mut left = time;
    while !left.is_zero() && !stop.is_cancelled() {
        std::thread::sleep(left.min(slice));
        left = left.saturating_sub(slice);
    }
}

#[cfg(test)]
mod tests;
