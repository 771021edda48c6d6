//! Who is connected, and who goes when another one comes and every place is taken.
//!
//! Scrapers keep their connections between scrapes, so idleness alone is no reason to end one. Nobody waits for a
//! place: of the address that holds most of them, whoever has been idle for longest gives way, and if none of them is
//! idle, whoever has taken longest over its request. So no address can keep the others out, whatever it does with its
//! places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::listen::network;

/// How long the head of a request may take from its first byte on.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may take to read a reply: as long as the slowest scrapers wait for one.
const READ: Duration = Duration::from_secs(60);
/// Bytes of replies that wait for their readers, if a single one is not much of that.
const HELD: usize = 64 << 20;
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Everybody who is connected.
#[derive(Debug)]
pub(super) struct Guests {
    places: Arc<Semaphore>,
    /// Counts what happens, in the order in which it happens; names the connections as well.
    steps: AtomicU64,
    seats: Mutex<HashMap<u64, Seat>>,
}

#[derive(Debug)]
struct Seat {
    peer: u128,
    phase: Phase,
    /// When the phase began, in steps and by the clock.
    step: u64,
    since: Instant,
    /// Bytes of the reply that it reads.
    holds: usize,
    leave: CancellationToken,
}

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing came since the last reply.
    Idle,
    /// The head of a request has begun.
    Asking,
    /// The agent works on the reply.
    Answering,
    /// The client reads the reply.
    Reading,
}

impl Phase {
    /// How long it may last. The agent's own work has its own limits, and idle ones are left to hyper.
    fn limit(self) -> Option<Duration> {
        match self {
            Self::Asking => Some(HEAD),
            Self::Reading => Some(READ),
            Self::Idle | Self::Answering => None,
        }
    }

    fn is_busy(self) -> bool {
        matches!(self, Self::Answering | Self::Reading)
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    id: u64,
    /// Cancelled when it must go.
    pub(super) leave: CancellationToken,
    /// Held from a request until its reply was read, so that replies nobody reads do not pile up.
    turn: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
}

impl Guests {
    /// Places for so many.
    pub(super) fn new(places: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(places));
        Arc::new(Self { places, steps: AtomicU64::new(0), seats: Mutex::default() })
    }

    /// A place for one more connection, and whether another was closed for it. `None` if there is no place.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<(Arc<Guest>, bool)> {
        let free = self.places.clone().try_acquire_owned().ok();
        let full = free.is_none();
        let place = match free {
            Some(place) => place,
            None => {
                self.dismiss();
                // Its place is free as soon as its task has noticed.
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        let (id, leave) = (self.step(), CancellationToken::new());
        let seat = Seat {
            peer: network(peer),
            phase: Phase::Idle,
            step: id,
            since: clock(),
            holds: 0,
            leave: leave.clone(),
        };
        self.seats.lock().insert(id, seat);
        let turn = Arc::new(Semaphore::new(1));
        Some((Arc::new(Guest { guests: self.clone(), id, leave, turn, _place: place }), full))
    }

    fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection is closed to make room.
    fn dismiss(&self) {
        Self::dismiss_of(&mut self.seats.lock(), |_, _| true);
    }

    /// So many bytes wait for the reader of this connection. If that is too much together, the others go.
    fn hold(&self, id: u64, bytes: usize) {
        let mut seats = self.seats.lock();
        let Some(seat) = seats.get_mut(&id) else { return };
        seat.holds = bytes;
        // Whoever watches a large agent may do so from several places.
        let limit = HELD.max(bytes.saturating_mul(4));
        while seats.values().map(|seat| seat.holds).sum::<usize>() > limit {
            Self::dismiss_of(&mut seats, |other, seat| *other != id && seat.holds > 0);
        }
    }

    /// One of those goes that may.
    fn dismiss_of(seats: &mut HashMap<u64, Seat>, may: impl Fn(&u64, &Seat) -> bool) {
        let mut held: HashMap<u128, usize> = HashMap::new();
        for seat in seats.values() {
            *held.entry(seat.peer).or_default() += 1;
        }
        let rank = |seat: &Seat| {
            let share = held.get(&seat.peer).copied().unwrap_or_default();
            (share, !seat.phase.is_busy(), u64::MAX - seat.step)
        };
        let goes = seats
            .iter()
            .filter(|(id, seat)| may(id, seat))
            .max_by_key(|(_, seat)| rank(seat))
            .map(|(id, _)| *id);
        if let Some(seat) = goes.and_then(|id| seats.remove(&id)) {
            seat.leave.cancel();
        }
    }
}

impl Guest {
    /// Bytes came: if it was idle, a request begins.
    pub(super) fn ask(&self) {
        self.enter(Phase::Asking, |phase| phase == Phase::Idle);
    }

    /// A request is there. Waits until the reply before it was read.
    pub(super) async fn work(self: &Arc<Self>) -> Turn {
        // The turns are never closed.
        let turn = self.turn.clone().acquire_owned().await.ok();
        self.enter(Phase::Answering, |_| true);
        Turn { guest: self.clone(), _turn: turn }
    }

    /// Ready when it takes too long.
    pub(super) async fn overdue(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_late() {
                return;
            }
        }
    }

    fn is_late(&self) -> bool {
        let late = |seat: &Seat| seat.phase.limit().is_some_and(|limit| seat.since.elapsed() > limit);
        self.guests.seats.lock().get(&self.id).is_some_and(late)
    }

    fn enter(&self, phase: Phase, when: impl Fn(Phase) -> bool) {
        let step = self.guests.step();
        if let Some(seat) = self.guests.seats.lock().get_mut(&self.id).filter(|seat| when(seat.phase)) {
            (seat.phase, seat.step, seat.since, seat.holds) = (phase, step, clock(), 0);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.seats.lock().remove(&self.id);
    }
}

/// A request that is being answered. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    guest: Arc<Guest>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// The body of the reply; the turn is over when it was handed to the kernel as a whole.
    pub(super) fn reads(self, body: Bytes) -> Bytes {
        self.guest.enter(Phase::Reading, |_| true);
        self.guest.guests.hold(self.guest.id, body.len());
        Bytes::from_owner(Read { body, _turn: self })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guest.enter(Phase::Idle, |_| true);
    }
}

struct Read {
    body: Bytes,
    _turn: Turn,
}

impl AsRef<[u8]> for Read {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a request takes is measured here")]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Takes a place, as a connection does: it goes when it is told to.
    async fn come(guests: &Arc<Guests>, peer: &str) -> (Arc<Guest>, CancellationToken) {
        let within = tokio::time::timeout(Duration::from_secs(5), guests.admit(peer.parse().unwrap()));
        let guest = within.await.expect("nobody went").unwrap().0;
        let leave = guest.leave.clone();
        (guest, leave)
    }

    /// Goes when it is told to, in the background.
    fn stay<T: Send + 'static>(leave: &CancellationToken, held: T) {
        let leave = leave.clone();
        tokio::spawn(async move {
            leave.cancelled().await;
            drop(held);
        });
    }

    #[tokio::test]
    async fn who_was_silent_for_longest_gives_way() {
        let guests = Guests::new(2);
        let (first, crowded) = guests.admit(HERE).await.unwrap();
        assert!(!crowded);
        let (second, left) = come(&guests, "127.0.0.1").await;
        // The first one asks again.
        drop(first.work().await);
        stay(&left, second);
        let (third, crowded) = guests.admit(HERE).await.unwrap();
        assert!(crowded && left.is_cancelled() && !first.leave.is_cancelled());
        // Who is being answered stays: the third one goes.
        let turn = first.work().await;
        let left = third.leave.clone();
        stay(&left, third);
        guests.admit(HERE).await.unwrap();
        assert!(left.is_cancelled() && !first.leave.is_cancelled());
        drop((turn, first));
        assert!(guests.seats.lock().is_empty());
    }

    #[tokio::test]
    async fn there_is_a_place_where_everybody_is_busy() {
        let guests = Guests::new(3);
        let mut all = Vec::new();
        for _ in 0..3 {
            let (guest, leave) = come(&guests, "10.0.0.1").await;
            let turn = guest.work().await.reads(Bytes::from_static(b"nobody reads me"));
            stay(&leave, (guest, turn));
            all.push(leave);
        }
        let (_guest, leave) = come(&guests, "10.0.0.1").await;
        assert_eq!(all.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>(), [true, false, false]);
        assert!(!leave.is_cancelled());
    }

    #[tokio::test]
    async fn an_address_cannot_keep_the_others_out() {
        let guests = Guests::new(4);
        let (scraper, scrapes) = come(&guests, "10.0.0.1").await;
        stay(&scrapes, scraper);
        for place in 0..20 {
            // Of one network of IPv6, each from an address of its own.
            let (guest, leave) = come(&guests, &format!("2001:db8::{place}")).await;
            let turn = guest.work().await;
            stay(&leave, (guest, turn));
        }
        assert!(!scrapes.is_cancelled(), "the one that is idle has its place still");
        let (guest, second) = come(&guests, "::ffff:10.0.0.1").await;
        stay(&second, guest);
        assert!(!scrapes.is_cancelled() && !second.is_cancelled());
    }

    #[tokio::test]
    async fn a_request_and_its_reply_have_their_time() {
        let guests = Guests::new(1);
        let (guest, _) = guests.admit(HERE).await.unwrap();
        let late = |seconds| {
            guests.seats.lock().get_mut(&guest.id).unwrap().since -= Duration::from_secs(seconds);
            guest.is_late()
        };
        assert!(!late(3600), "who says nothing is not late");
        guest.ask();
        assert!(!late(9));
        guest.ask();
        assert!(late(2), "further bytes give no further time");
        let turn = guest.work().await;
        assert!(!late(3600), "the agent's own time is not the client's");
        let body = turn.reads(Bytes::from_static(b"x"));
        assert!(!late(59));
        assert!(late(2));
        drop(body);
        assert!(!late(3600));
    }

    #[tokio::test]
    async fn replies_that_nobody_reads_are_so_many_bytes_together() {
        let guests = Guests::new(256);
        let long = Bytes::from(vec![0; HELD / 8]);
        let mut all = Vec::new();
        for _ in 0..20 {
            let (guest, leave) = come(&guests, "10.0.0.1").await;
            let body = guest.work().await.reads(long.clone());
            stay(&leave, (guest, body));
            all.push(leave);
        }
        assert_eq!(all.iter().filter(|leave| !leave.is_cancelled()).count(), 8);
        assert!(!all[19].is_cancelled() && all[0].is_cancelled());
        assert_eq!(guests.seats.lock().values().map(|seat| seat.holds).sum::<usize>(), HELD);
    }

    #[tokio::test]
    async fn a_reply_that_nobody_reads_is_the_only_one() {
        let guests = Guests::new(1);
        let (guest, _) = guests.admit(HERE).await.unwrap();
        let body = guest.work().await.reads(Bytes::from_static(b"x"));
        let next = tokio::time::timeout(Duration::from_millis(50), guest.work()).await;
        assert!(next.is_err());
        drop(body);
        guest.work().await;
    }
}
