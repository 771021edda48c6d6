//! Reads a stream of samples that a program offers on a TCP port, and connects again when it ends.
//!
//! A peer that stalls within something, or breaks its stream, is left alone for a while. What is read is decoded at
//! once, so that a program which waits for its readers does not wait for the agent.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::decode::{Decoder, Sink};
use crate::event::{Body, Link};
use crate::source::{Feed, now};

/// How long a connection may take to be made, or to take what it is told.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds within something after which a peer has stalled.
const STALLED: u32 = 5;
/// How often a machine that sends nothing is asked whether it is there.
const ALIVE: Duration = Duration::from_secs(20);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// Bytes of one read.
const READ: usize = 256 << 10;

/// A decoder of such a stream, and what is known of it.
pub(super) trait Inlet: Decoder {
    /// Whether more must come before what came makes sense.
    fn waits(&self) -> bool {
        false
    }

    /// Tells what there is to tell each second while the stream is read, and once at its end.
    fn report(&mut self, _out: &mut Sink<'_>) {}
}

/// Where a stream is, and how long it is left alone after it ended: at first, and at most.
pub(super) struct Place {
    pub(super) address: String,
    pub(super) pause: (Duration, Duration),
}

/// Reads the stream until told to stop. It is up as soon as something comes.
pub(super) async fn follow<I: Inlet>(
    place: Place,
    feed: Feed,
    stop: CancellationToken,
    mut new: impl FnMut() -> I,
) {
    feed.send(Body::Link(Link::Waiting));
    let mut pause = place.pause.0;
    loop {
        #[expect(clippy::disallowed_methods, reason = "how long a connection lasts is measured here")]
        let began = Instant::now();
        let mut inlet = new();
        let up = tokio::select! {
            () = stop.cancelled() => return,
            up = read(&place.address, &feed, &mut inlet) => up,
        };
        if up {
            feed.batch(now(), |out| inlet.report(out));
            feed.end(now(), &mut inlet);
            feed.send(Body::Link(Link::Down));
        }
        if began.elapsed() > GOOD {
            pause = place.pause.0;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(place.pause.1);
    }
}

/// Reads one connection to its end. Says whether anything came.
async fn read<I: Inlet>(address: &str, feed: &Feed, inlet: &mut I) -> bool {
    let opened = timeout(PATIENCE, TcpStream::connect(address)).await;
    let Ok(Ok(mut peer)) = opened else {
        tracing::debug!(source = feed.name(), address, "cannot connect");
        return false;
    };
    // A machine that is gone without a word is noticed.
    let alive = socket2::TcpKeepalive::new().with_time(ALIVE).with_interval(ALIVE);
    drop(socket2::SockRef::from(&peer).set_tcp_keepalive(&alive));
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = vec![0; READ];
    let mut said = Vec::new();
    let (mut up, mut silent) = (false, 0);
    loop {
        inlet.ask(&mut said);
        if !said.is_empty() {
            if !matches!(timeout(PATIENCE, peer.write_all(&said)).await, Ok(Ok(()))) {
                return up;
            }
            said.clear();
        }
        tokio::select! {
            _ = seconds.tick() => {
                silent += 1;
                if inlet.waits() && silent > STALLED {
                    tracing::warn!(source = feed.name(), address, "the stream stalled");
                    return up;
                }
                if up {
                    feed.batch(now(), |out| inlet.report(out));
                }
            }
            read = peer.read(&mut buffer) => {
                let count = match read {
                    Ok(count) if count > 0 => count,
                    _ => return up,
                };
                silent = 0;
                if !std::mem::replace(&mut up, true) {
                    tracing::info!(source = feed.name(), address, "the stream is there");
                    feed.send(Body::Link(Link::Up));
                }
                feed.take(now(), buffer.get(..count).unwrap_or_default(), 1, inlet);
                if inlet.broken() {
                    tracing::warn!(source = feed.name(), address, "the stream is not what it should be");
                    return up;
                }
            }
        }
    }
}
