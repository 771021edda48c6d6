//! A program that listens on TCP: connected to, read, asked, and connected to again when it was away.
//!
//! It does not know what the bytes mean; that is a decoder's business. A peer that is not what it says it is, or stops
//! in mid-sentence, is left, and tried again after a pause that grows.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::decode::Decoder;
use crate::event::{Body, Link};
use crate::source::pause::Pause;
use crate::source::{Feed, now};

/// How long a connection, or a question on its way, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a decoder may ask.
const BEAT: Duration = Duration::from_millis(200);
/// After so long without a byte, one who owes the rest of a message has stalled.
const STALLED: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// Bytes of one read.
const READ: usize = 64 << 10;

/// Reads the program at `address` until told to stop. The decoder's stream ends with each connection.
pub(super) async fn read(address: &str, decoder: &mut dyn Decoder, feed: &Feed, stop: &CancellationToken) {
    // A conversation cannot be played again from the one half of it.
    let feed = &feed.stream(feed.name());
    let mut pause = Pause::default();
    let mut buffer = vec![0; READ];
    let mut said = None;
    loop {
        #[expect(clippy::disallowed_methods, reason = "how long a connection lasts is measured here")]
        let began = Instant::now();
        let why = tokio::select! {
            () = stop.cancelled() => Ended::Told,
            ended = attend(address, decoder, feed, &mut buffer) => ended,
        };
        feed.end(now(), decoder);
        let why = match why {
            Ended::Told => return,
            Ended::Absent(error) => error.to_string(),
            Ended::Closed => "the program closed the connection".to_owned(),
            Ended::Stalled => "the program stopped in the middle of a message".to_owned(),
            Ended::Broken => "what came is not what such a program sends".to_owned(),
        };
        feed.send(Body::Link(Link::Down));
        if said.as_ref() != Some(&why) {
            tracing::warn!(source = feed.name(), address, why, "source is down");
            said = Some(why);
        }
        if began.elapsed() > GOOD {
            (pause, said) = (Pause::default(), None);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause.next()) => {}
        }
    }
}

/// Why a connection ended.
enum Ended {
    /// The agent is told to stop.
    Told,
    /// There is nobody, or the way there is closed.
    Absent(io::Error),
    Closed,
    Stalled,
    Broken,
}

async fn attend(address: &str, decoder: &mut dyn Decoder, feed: &Feed, buffer: &mut [u8]) -> Ended {
    let opened = timeout(PATIENCE, TcpStream::connect(address)).await;
    let mut peer = match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(peer) => peer,
        Err(error) => return Ended::Absent(error),
    };
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut quiet, mut up) = (Duration::ZERO, false);
    let mut question = Vec::new();
    loop {
        tokio::select! {
            _ = beats.tick() => {
                quiet += BEAT;
                if quiet > STALLED && decoder.waits() {
                    return Ended::Stalled;
                }
            }
            read = peer.read(buffer) => {
                let count = match read {
                    Ok(0) => return Ended::Closed,
                    Ok(count) => count,
                    Err(error) => return Ended::Absent(error),
                };
                quiet = Duration::ZERO;
                if !std::mem::replace(&mut up, true) {
                    feed.send(Body::Link(Link::Up));
                    tracing::info!(source = feed.name(), address, "source is up");
                }
                feed.take(now(), buffer.get(..count).unwrap_or_default(), 1, decoder);
                if decoder.broken() {
                    return Ended::Broken;
                }
            }
        }
        question.clear();
        decoder.ask(&mut question);
        if !question.is_empty() {
            match timeout(PATIENCE, peer.write_all(&question)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::Absent(error),
                Err(_) => return Ended::Stalled,
            }
        }
    }
}
