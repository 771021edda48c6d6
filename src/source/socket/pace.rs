//! When a socket is looked at: when something comes or, if that is too often, by the clock.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::event::Timestamp;

/// Tells when there is something to read.
pub(super) struct Watch<'s>(AsyncFd<BorrowedFd<'s>>);

impl<'s> Watch<'s> {
    #[expect(
        deprecated,
        reason = "sound for a borrowed descriptor, which cannot be closed while it is watched"
    )]
    pub(super) fn new(socket: BorrowedFd<'s>) -> io::Result<Self> {
        AsyncFd::with_interest(socket, Interest::READABLE).map(Self)
    }
}

/// Waits until there is something to read or, without a watch, until the next look.
pub(super) async fn ready(watch: Option<&Watch<'_>>) -> io::Result<()> {
    match watch {
        // The socket is read until it is empty, so the readiness is used up.
        Some(watch) => watch.0.readable().await.map(|mut ready| ready.clear_ready()),
        None => {
            tokio::time::sleep(LOOK).await;
            Ok(())
        }
    }
}

/// How long a busy socket is left alone between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Whether a socket is so busy that being woken for each message costs more than reading it.
///
/// A wake-up costs sender and reader some microseconds, a datagram that waits costs nothing. So
/// above five hundred wake-ups a second the socket is not watched but looked at by the clock, unless
/// so much comes between two looks that its buffer might fill.
#[derive(Debug, Default)]
pub(super) struct Pace {
    fast: bool,
    looks: u32,
    reads: u64,
    since: Timestamp,
}

impl Pace {
    /// Looks after which the pace is thought over.
    const ROUND: u32 = 32;

    /// Takes one look that found so many reads; says whether to look by the clock from now on.
    pub(super) fn fast(&mut self, at: Timestamp, reads: u64, crowded: bool) -> bool {
        self.looks += 1;
        self.reads += reads;
        if crowded {
            *self = Self { since: at, ..Self::default() };
        } else if self.looks == Self::ROUND {
            let took = Duration::from_nanos(at.steady.saturating_sub(self.since.steady));
            let fast =
                if self.fast { self.reads > u64::from(Self::ROUND) } else { took < LOOK * Self::ROUND };
            *self = Self { fast, since: at, ..Self::default() };
        }
        self.fast
    }
}
