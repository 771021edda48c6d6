//! Datagrams of a bound socket, read in batches, and what the kernel says of those that it dropped.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use socket2::Socket;
use tokio_util::sync::CancellationToken;

use super::NewDecoder;
use super::bound::Bound;
use super::pace::{Pace, Watch, ready};
use crate::clock::now;
use crate::decode::Decoder;
use crate::event::{Body, Fault, FaultKind, SocketState};
use crate::source::Feed;
use crate::sys;

/// The longest datagram: a UDP payload has at most 65,507 bytes.
const DATAGRAM: usize = 65_536;
/// Bytes of datagrams that are decoded under one lock.
const BATCH: usize = 64 * 1024;
/// Datagrams that are decoded under one lock.
const READS: u64 = 4096;

/// Reads datagrams until it is cancelled, and then what the kernel still has.
pub(super) async fn read(
    bound: &Bound,
    socket: &Socket,
    new_decoder: &NewDecoder,
    feed: &Feed,
    stop: &CancellationToken,
) -> io::Result<()> {
    let _reader = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(()),
        reader = bound.reader.lock() => reader,
    };
    let mut decoder = new_decoder();
    let mut batch = vec![0; BATCH + DATAGRAM + 1];
    let mut ask = tokio::time::interval(bound.options.ask);
    ask.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pace = Pace::default();
    // A Unix socket holds ten datagrams where nobody says otherwise, and then its senders wait: for us.
    let holds_many = !socket.local_addr()?.is_unix();
    // Datagrams in a quarter of the buffer, each taking a kilobyte of the kernel's memory.
    let room = sys::memory_info(socket.as_fd()).map_or(0, |info| u64::from(info.receive_buffer) / 4096);
    let mut watch = Some(Watch::new(socket.as_fd())?);
    let mut more = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ask.tick() => {
                report_kernel(bound, socket, feed);
                continue;
            }
            // A watch tells of what comes, not of what the last batch left.
            ready = ready(watch.as_ref()), if !more => ready?,
            () = std::future::ready(()), if more => {}
        }
        let reads;
        (reads, more) = drain(socket, &mut batch, decoder.as_mut(), feed);
        let fast = holds_many && pace.fast(now(), reads, reads > room);
        if fast {
            watch = None;
        } else if watch.is_none() {
            watch = Some(Watch::new(socket.as_fd())?);
        }
        // A flood must not keep others on this thread from their turn.
        tokio::task::yield_now().await;
    }
    // What the kernel already has was sent to us, so it counts. A sender that continues is left behind.
    for _ in 0..=bound.options.receive_buffer / BATCH {
        if !drain(socket, &mut batch, decoder.as_mut(), feed).1 {
            break;
        }
    }
    report_kernel(bound, socket, feed);
    Ok(())
}

/// Reads datagrams until there are none or the batch is full, and decodes them in one go. Says how
/// many there were, and whether there may be more.
///
/// Each datagram ends with a line end: if it has none, it gets one, so that a batch reads like a stream.
fn drain(socket: &Socket, batch: &mut [u8], decoder: &mut dyn Decoder, feed: &Feed) -> (u64, bool) {
    let mut receiver = socket;
    let (mut used, mut reads, mut too_long) = (0, 0, 0_u64);
    let more = loop {
        // Datagrams can be empty, so their number has a bound too.
        if used >= BATCH || reads >= READS {
            break true;
        }
        let Some(space) = batch.get_mut(used..used + DATAGRAM) else { break true };
        // An error is nearly always "nothing there"; any other is met again at the next look.
        let Ok(n) = receiver.read(space) else { break false };
        reads += 1;
        if n == DATAGRAM {
            // A Unix datagram can be longer than the space; what was cut off is unknown.
            too_long += 1;
            continue;
        }
        used += n;
        if n > 0
            && batch.get(used - 1) != Some(&b'\n')
            && let Some(end) = batch.get_mut(used)
        {
            *end = b'\n';
            used += 1;
        }
    };
    if reads > 0 {
        let at = now();
        feed.decode(at, batch.get(..used).unwrap_or_default(), reads, decoder);
        for _ in 0..too_long {
            feed.send_at(at, Body::Fault(Fault { kind: FaultKind::TooLong, bytes: DATAGRAM as u64 }));
        }
    }
    (reads, more)
}

fn report_kernel(bound: &Bound, socket: &impl AsFd, feed: &Feed) {
    let Ok(info) = sys::memory_info(socket.as_fd()) else { return };
    let drops = u64::from(info.drops);
    let before = bound.reported.swap(drops, Ordering::Relaxed);
    feed.send(Body::Socket(SocketState {
        listen: &bound.listen,
        // The kernel counts modulo 2^32.
        drops: drops.wrapping_sub(before) & u64::from(u32::MAX),
        asked: bound.options.receive_buffer as u64,
        granted: info.receive_buffer.into(),
        queued: info.queued.into(),
    }));
}
