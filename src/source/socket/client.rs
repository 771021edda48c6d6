//! Clients of a listening socket: accepted, and each read to its end.

use std::cell::RefCell;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, Socket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::NewDecoder;
use super::bound::{Bound, Opened, nonblocking};
use super::pace::{Pace, Watch, ready};
use super::shares::Permit;
use crate::clock::now;
use crate::decode::Decoder;
use crate::event::{Body, Clients};
use crate::source::Feed;
use crate::sys;

/// Bytes of a stream that are read and decoded under one lock.
const READ: usize = 64 * 1024;
/// Reads of one stream before others have their turn.
const TURN: u64 = 8;
/// Clients that are still accepted when a source ends: what a listener's queue holds.
const WAITING: usize = 1024;
/// Reads of one stream when the agent stops: what a socket's buffer can hold.
const LAST: usize = 128;
/// Bytes of a stream between two looks that are no reason to hurry. As lines of 90 bytes, each a write of its
/// own, they fill two thirds of the buffer that a Unix socket has by default.
const CROWD: usize = 16 * 1024;

/// Files that clients leave to others: the connections of `/metrics`, and what is opened and closed again.
const KEPT: u64 = 320;

/// Accepts clients until it is cancelled, and then those who had connected.
pub(super) async fn serve(
    bound: &Arc<Bound>,
    new_decoder: &Arc<NewDecoder>,
    feed: &Feed,
    stop: &CancellationToken,
    cut: &CancellationToken,
    tracker: &TaskTracker,
) {
    accept_clients(bound, feed, stop, |stream, place| {
        let (mut decoder, feed, cut) = (new_decoder(), feed.connection(), cut.clone());
        tracker.spawn(async move {
            // However it ended: what was read counts, and what was left over is reported.
            drop(connection(&stream, decoder.as_mut(), &feed, &cut).await);
            feed.end(now(), decoder.as_mut());
            drop(place);
            feed.send(Body::Clients(Clients { ended: 1, ..Clients::default() }));
        });
    })
    .await;
}

/// Accepts clients until it is cancelled, and then those who had connected. Who serves one says when it ended.
pub(super) async fn accept_clients(
    bound: &Bound,
    feed: &Feed,
    stop: &CancellationToken,
    mut client: impl FnMut(Socket, Permit),
) {
    feed.send(Body::Clients(Clients::default()));
    let mut admit = |stream| {
        if let Some(place) = admit_client(&stream, bound, feed) {
            client(stream, place);
        }
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&bound.socket) => accepted,
        };
        match accepted {
            Ok(stream) => admit(stream),
            // Out of descriptors, most likely: those that are open need some time to end.
            Err(why) => {
                if bound.may_say(now()) {
                    tracing::warn!(source = feed.name(), listen = bound.listen, %why, "clients have to wait");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Who had connected before the end may have sent, so it counts.
    for stream in std::iter::from_fn(|| waiting(&bound.socket).ok()).take(WAITING) {
        admit(stream);
    }
}

/// The place of one more client, if there is room for it.
fn admit_client(stream: &Socket, bound: &Bound, feed: &Feed) -> Option<Permit> {
    match place(stream, bound) {
        Ok(place) => {
            feed.send(Body::Clients(Clients { accepted: 1, ..Clients::default() }));
            Some(place)
        }
        Err(why) => {
            feed.send(Body::Clients(Clients { refused: 1, ..Clients::default() }));
            if bound.may_say(now()) {
                tracing::warn!(source = feed.name(), listen = bound.listen, "a client was refused: {why}");
            }
            None
        }
    }
}

/// A place for one more client, or why there is none.
fn place(stream: &Socket, bound: &Bound) -> Result<Permit, String> {
    // The kernel gives the lowest number that is free: that many files are open at least.
    let files = sys::raise_file_limit().now;
    let kept = KEPT.min(files / 2);
    let number = u64::try_from(stream.as_raw_fd()).unwrap_or(0);
    if number >= files.saturating_sub(kept) {
        return Err(format!(
            "of {files} files that may be open the last {kept} are kept for /metrics and the agent; raise LimitNOFILE= of its unit"
        ));
    }
    let peer = stream.peer_addr().ok().and_then(|peer| peer.as_socket()).map(|peer| peer.ip());
    bound.shares.admit(peer, bound.options.connections)
}

/// A client that connected and was not accepted yet.
fn waiting(socket: &Opened) -> io::Result<Socket> {
    let listener = match socket {
        Opened::Tcp(listener) => SockRef::from(listener),
        Opened::Unix(listener) => SockRef::from(listener),
        Opened::Datagrams(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    nonblocking(listener.accept()?.0)
}

async fn accept(socket: &Opened) -> io::Result<Socket> {
    let fd: OwnedFd = match socket {
        Opened::Tcp(listener) => listener.accept().await?.0.into_std()?.into(),
        Opened::Unix(listener) => listener.accept().await?.0.into_std()?.into(),
        Opened::Datagrams(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(fd.into())
}

thread_local! {
    /// One buffer a thread instead of one a connection: thousands may be open and silent.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

async fn connection(
    stream: &Socket,
    decoder: &mut dyn Decoder,
    feed: &Feed,
    cut: &CancellationToken,
) -> io::Result<()> {
    let mut pace = Pace::default();
    let mut watch = Some(Watch::new(stream.as_fd())?);
    loop {
        tokio::select! {
            biased;
            () = cut.cancelled() => {
                // What the client had sent before the end is read; what it sends after is not.
                for _ in 0..LAST {
                    if !read(stream, decoder, feed).is_ok_and(|n| n > 0) {
                        break;
                    }
                }
                return Ok(());
            }
            ready = ready(watch.as_ref()) => ready?,
        }
        // Until it is empty, or others must have their turn.
        let (mut reads, mut bytes) = (0, 0);
        let full = loop {
            match read(stream, decoder, feed) {
                Ok(0) => return Ok(()),
                Ok(_) if decoder.is_broken() => return Ok(()),
                Ok(n) => (reads, bytes) = (reads + 1, bytes + n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break false,
                Err(e) => return Err(e),
            }
            if reads == TURN {
                break true;
            }
        };
        // A sender that fills the buffer must not wait for the clock, or we would slow it down.
        let fast = pace.fast(now(), reads, bytes > CROWD);
        if full || fast {
            // A new watch tells of what is there already, an old one only of what comes.
            watch = None;
        }
        if !fast && watch.is_none() {
            watch = Some(Watch::new(stream.as_fd())?);
        }
        tokio::task::yield_now().await;
    }
}

fn read(mut stream: &Socket, decoder: &mut dyn Decoder, feed: &Feed) -> io::Result<usize> {
    BUFFER.with_borrow_mut(|buffer| {
        let n = stream.read(buffer)?;
        if n > 0 {
            feed.decode(now(), buffer.get(..n).unwrap_or_default(), 1, decoder);
        }
        Ok(n)
    })
}
