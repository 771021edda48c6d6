//! Reads a stream that a program offers on a TCP port, and connects again when it ends.
//!
//! It does not know what the bytes mean; that is a decoder's business. A peer that stalls within something, or breaks
//! its stream, is left alone for a while. What is read is decoded at once, so that a program which waits for its
//! readers does not wait for the agent.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::analysis::quality::{AssessedDecoder, Settings};
use crate::backoff::{Backoff, PAUSE};
use crate::clock::now;
use crate::decode::dialogue::TICK;
use crate::decode::{Decoder, Sink};
use crate::event::{Body, Link};
use crate::quote::quote;
use crate::source::{Feed, names};

/// What kinds of sources have in common that read one program at an address: who connects to try may take the only
/// place.
macro_rules! at_an_address {
    () => {
        fn name(&self) -> &str {
            &self.name
        }

        fn place(&self) -> String {
            self.address.clone()
        }

        fn serves_one_client(&self) -> bool {
            true
        }

        fn signal(&self) -> Option<&quality::Settings> {
            Some(&self.signal)
        }
    };
}
pub(super) use at_an_address;

/// How long a connection may take to be made, or to accept a command.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a decoder may ask, and how many times that a report is made, a second.
const BEAT: Duration = TICK;
const BEATS: u32 = 5;
/// Beats within something after which a peer has stalled.
const STALLED: u32 = 5 * BEATS;
/// How often a machine that sends nothing is asked whether it is there.
const ALIVE: Duration = Duration::from_secs(20);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// Bytes of one read.
const READ: usize = 256 << 10;

/// A decoder of such a stream, and what is known of it.
pub(super) trait Inlet: Decoder {
    /// Tells what there is to tell each second while the stream is read, and once at its end.
    fn report(&mut self, _out: &mut Sink<'_>) {}
}

impl Inlet for AssessedDecoder {}

/// Where a stream is, and how long it is left alone after it ended.
pub(super) struct Endpoint {
    pub(super) address: String,
    pub(super) pause: Backoff,
}

/// Reads a stream whose decoder knows all about it, and judges its samples. The decoder learns whether there was a
/// connection before.
pub(super) async fn judge<D: Decoder + 'static>(
    name: &str,
    address: String,
    signal: Settings,
    feed: &Feed,
    stop: CancellationToken,
    decoder: fn(&str, bool) -> D,
) {
    let mut again = false;
    let new =
        || AssessedDecoder::new(Box::new(decoder(name, std::mem::replace(&mut again, true))), signal.clone());
    // The bytes are not recorded: a conversation cannot be played again from the one half of it.
    follow(Endpoint { address, pause: PAUSE }, feed.stream(name), stop, new).await;
}

/// Why a connection ended.
enum Disconnect {
    /// There is nobody, or the way there broke.
    Lost(io::Error),
    Closed,
    Stalled,
    Broken,
}

impl std::fmt::Display for Disconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(error) => error.fmt(f),
            Self::Closed => f.write_str("the program closed the connection"),
            Self::Stalled => f.write_str("the program stopped in the middle of something"),
            Self::Broken => f.write_str("the data is not what such a program sends"),
        }
    }
}

/// Reads the stream until it is cancelled, each connection with a new inlet. It is up as soon as something comes.
pub(super) async fn follow<I: Inlet>(
    place: Endpoint,
    feed: Feed,
    stop: CancellationToken,
    mut new: impl FnMut() -> I,
) {
    feed.send(Body::Link(Link::Waiting));
    let address = &*place.address;
    let (mut pause, mut said) = (place.pause, String::new());
    let mut buffer = vec![0; READ];
    loop {
        #[expect(clippy::disallowed_methods, reason = "how long a connection lasts is measured here")]
        let began = Instant::now();
        let attend = async {
            let mut peer = match connect(address).await {
                Ok(peer) => peer,
                Err(error) => return Disconnect::Lost(error),
            };
            let mut inlet = new();
            let ended = read(&mut peer, &feed, &mut inlet, &mut buffer).await;
            feed.batch(now(), |out| inlet.report(out));
            feed.end(now(), &mut inlet);
            ended
        };
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = attend => ended,
        };
        feed.send(Body::Link(Link::Down));
        if began.elapsed() > GOOD {
            pause = place.pause;
            said.clear();
        }
        // A program that is not started for a week is one line, not a line every ten seconds.
        let why = ended.to_string();
        feed.down(&why);
        if said != why {
            say!(feed, warn, "source is down", address, why = %quote(&why));
            said = why;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause.delay()) => {}
        }
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let opened = timeout(PATIENCE, names::connect(address)).await;
    let peer = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    // A machine that is gone without a word is noticed.
    let alive = socket2::TcpKeepalive::new().with_time(ALIVE).with_interval(ALIVE);
    drop(socket2::SockRef::from(&peer).set_tcp_keepalive(&alive));
    Ok(peer)
}

/// Reads one connection to its end.
async fn read<I: Inlet>(peer: &mut TcpStream, feed: &Feed, inlet: &mut I, buffer: &mut [u8]) -> Disconnect {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = Vec::new();
    let (mut up, mut beat, mut silent) = (false, 0_u32, 0);
    loop {
        if let Some(dialogue) = inlet.dialogue() {
            dialogue.poll_transmit(Duration::from_nanos(now().steady), &mut said);
        }
        if !said.is_empty() {
            match timeout(PATIENCE, peer.write_all(&said)).await {
                Ok(Ok(())) => said.clear(),
                Ok(Err(error)) => return Disconnect::Lost(error),
                Err(_) => return Disconnect::Stalled,
            }
        }
        tokio::select! {
            _ = beats.tick() => {
                silent += 1;
                beat = beat.wrapping_add(1);
                if inlet.needs_more() && silent > STALLED {
                    return Disconnect::Stalled;
                }
                if up && beat.is_multiple_of(BEATS) {
                    feed.batch(now(), |out| inlet.report(out));
                }
            }
            read = peer.read(buffer) => {
                let count = match read {
                    Ok(0) => return Disconnect::Closed,
                    Ok(count) => count,
                    Err(error) => return Disconnect::Lost(error),
                };
                silent = 0;
                if !std::mem::replace(&mut up, true) {
                    say!(feed, info, "source is up");
                    feed.send(Body::Link(Link::Up));
                }
                feed.decode(now(), buffer.get(..count).unwrap_or_default(), 1, inlet);
                if inlet.is_broken() {
                    return Disconnect::Broken;
                }
            }
        }
    }
}
