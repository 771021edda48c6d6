//! Asks the sender of a stream what time it is, in bursts of which the quickest answer counts, and whether it waits for
//! its readers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::target::Target;
use crate::decode::lsl::{Clock, Offset, talk};

/// Questions of one burst.
const BURST: u32 = 8;
/// How long an answer is waited for.
const WAIT: Duration = Duration::from_millis(128);
/// Between two questions of a burst.
const APART: Duration = Duration::from_millis(16);

/// How long an outlet may take to say whether it waits for readers.
const ASKING: Duration = Duration::from_secs(1);

/// Whether the outlet makes its program wait for each reader. `None` if it does not say.
pub(super) async fn blocking(place: SocketAddr, uid: &str) -> Option<bool> {
    let ask = async {
        let mut peer = TcpStream::connect(place).await.ok()?;
        peer.write_all(&talk::ask_blocking(uid)).await.ok()?;
        let mut answer = [0; 128];
        let count = peer.read(&mut answer).await.ok()?;
        talk::blocking(answer.get(..count)?)
    };
    timeout(ASKING, ask).await.ok().flatten()
}

/// This machine's clock as senders have theirs: `CLOCK_MONOTONIC`, seconds.
pub(super) fn clock() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Asks a burst of questions `every` so often, as long as there is a peer.
pub(super) async fn run(
    mut target: watch::Receiver<Option<Arc<Target>>>,
    clock: &Mutex<Clock>,
    every: Duration,
) {
    let mut wave = 0;
    loop {
        let place = target.borrow_and_update().as_ref().and_then(|target| target.service());
        let pause = match place {
            Some(place) => {
                // A sender that does not answer has no clock that is known.
                drop(burst(place, &mut wave, clock).await);
                clock.lock().settle();
                every
            }
            None => Duration::MAX,
        };
        tokio::select! {
            changed = target.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn burst(place: SocketAddr, wave: &mut u32, sender: &Mutex<Clock>) -> std::io::Result<()> {
    let own: SocketAddr = if place.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(place).await?;
    for _ in 0..BURST {
        *wave = wave.wrapping_add(1);
        let sent = clock();
        socket.send(&talk::ask_time(*wave, sent)).await?;
        if let Ok(answer) = timeout(WAIT, answer(&socket, *wave, sent)).await
            && let Some(offset) = answer?
        {
            sender.lock().observe(offset);
        }
        tokio::time::sleep(APART).await;
    }
    Ok(())
}

/// Waits for the answer to one question; late ones to others are passed over.
async fn answer(socket: &UdpSocket, wave: u32, sent: f64) -> std::io::Result<Option<Offset>> {
    let mut buffer = [0; 256];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let came = clock();
        let reply = buffer.get(..length).and_then(talk::time);
        if let Some(reply) = reply.filter(|reply| reply.wave == wave) {
            return Ok(Offset::of(sent, &reply, came));
        }
    }
}
