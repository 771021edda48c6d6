//! Who is connected, and who goes when another one comes and every place is taken.
//!
//! Scrapers keep their connections between scrapes, so idleness alone is no reason to end one. Nobody waits for a
//! place: of the address that holds most of them, the one that has been idle for longest gives way, and if none of them is
//! idle, the one that has taken longest over its request. So no address can keep the others out, whatever it does with its
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
pub(super) struct ConnectionPool {
    places: Arc<Semaphore>,
    /// Counts what happens, in the order in which it happens; names the connections as well.
    steps: AtomicU64,
    entries: Mutex<HashMap<u64, Entry>>,
}

#[derive(Debug)]
struct Entry {
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
    Receiving,
    /// The agent works on the reply.
    Processing,
    /// The client reads the reply.
    Sending,
}

impl Phase {
    /// How long it may last. The agent's own work has its own limits, and idle ones are left to hyper.
    fn limit(self) -> Option<Duration> {
        match self {
            Self::Receiving => Some(HEAD),
            Self::Sending => Some(READ),
            Self::Idle | Self::Processing => None,
        }
    }

    fn is_busy(self) -> bool {
        matches!(self, Self::Processing | Self::Sending)
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Slot {
    pool: Arc<ConnectionPool>,
    id: u64,
    /// Cancelled when it must go.
    pub(super) leave: CancellationToken,
    /// Held from a request until its reply was read, so that replies nobody reads do not pile up.
    turn: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
}

impl ConnectionPool {
    /// Places for so many.
    pub(super) fn new(places: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(places));
        Arc::new(Self { places, steps: AtomicU64::new(0), entries: Mutex::default() })
    }

    /// A place for one more connection, and whether another was closed for it. `None` if there is no place.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<(Arc<Slot>, bool)> {
        let free = self.places.clone().try_acquire_owned().ok();
        let full = free.is_none();
        let place = match free {
            Some(place) => place,
            None => {
                self.evict();
                // Its place is free as soon as its task has noticed.
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        let (id, leave) = (self.step(), CancellationToken::new());
        let entry = Entry {
            peer: network(peer),
            phase: Phase::Idle,
            step: id,
            since: clock(),
            holds: 0,
            leave: leave.clone(),
        };
        self.entries.lock().insert(id, entry);
        let turn = Arc::new(Semaphore::new(1));
        Some((Arc::new(Slot { pool: self.clone(), id, leave, turn, _place: place }), full))
    }

    fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection is closed to make room.
    fn evict(&self) {
        Self::evict_one(&mut self.entries.lock(), |_, _| true);
    }

    /// So many bytes wait for the reader of this connection. If that is too much together, the others go.
    fn hold(&self, id: u64, bytes: usize) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(&id) else { return };
        entry.holds = bytes;
        // A person who watches a large agent may do so from several places.
        let limit = HELD.max(bytes.saturating_mul(4));
        while entries.values().map(|entry| entry.holds).sum::<usize>() > limit {
            Self::evict_one(&mut entries, |other, entry| *other != id && entry.holds > 0);
        }
    }

    /// One of those goes that may.
    fn evict_one(entries: &mut HashMap<u64, Entry>, may: impl Fn(&u64, &Entry) -> bool) {
        let mut held: HashMap<u128, usize> = HashMap::new();
        for entry in entries.values() {
            *held.entry(entry.peer).or_default() += 1;
        }
        let rank = |entry: &Entry| {
            let share = held.get(&entry.peer).copied().unwrap_or_default();
            (share, !entry.phase.is_busy(), u64::MAX - entry.step)
        };
        let goes = entries
            .iter()
            .filter(|(id, entry)| may(id, entry))
            .max_by_key(|(_, entry)| rank(entry))
            .map(|(id, _)| *id);
        if let Some(entry) = goes.and_then(|id| entries.remove(&id)) {
            entry.leave.cancel();
        }
    }
}

impl Slot {
    /// Bytes came: if it was idle, a request begins.
    pub(super) fn receiving(&self) {
        self.enter(Phase::Receiving, |phase| phase == Phase::Idle);
    }

    /// A request is there. Waits until the reply before it was read.
    pub(super) async fn begin_request(self: &Arc<Self>) -> ActiveRequest {
        // The turns are never closed.
        let turn = self.turn.clone().acquire_owned().await.ok();
        self.enter(Phase::Processing, |_| true);
        ActiveRequest { slot: self.clone(), _turn: turn }
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
        let late = |entry: &Entry| entry.phase.limit().is_some_and(|limit| entry.since.elapsed() > limit);
        self.pool.entries.lock().get(&self.id).is_some_and(late)
    }

    fn enter(&self, phase: Phase, when: impl Fn(Phase) -> bool) {
        let step = self.pool.step();
        if let Some(entry) = self.pool.entries.lock().get_mut(&self.id).filter(|entry| when(entry.phase)) {
            (entry.phase, entry.step, entry.since, entry.holds) = (phase, step, clock(), 0);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pool.entries.lock().remove(&self.id);
    }
}

/// A request that is being answered. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct ActiveRequest {
    slot: Arc<Slot>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl ActiveRequest {
    /// The body of the reply; the turn is over when it was handed to the kernel as a whole.
    pub(super) fn send(self, body: Bytes) -> Bytes {
        self.slot.enter(Phase::Sending, |_| true);
        self.slot.pool.hold(self.slot.id, body.len());
        Bytes::from_owner(ReplyBytes { body, _turn: self })
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.slot.enter(Phase::Idle, |_| true);
    }
}

struct ReplyBytes {
    body: Bytes,
    _turn: ActiveRequest,
}

impl AsRef<[u8]> for ReplyBytes {
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

    /// Takes a place, as a connection does: it goes when it is cancelled.
    async fn come(pool: &Arc<ConnectionPool>, peer: &str) -> (Arc<Slot>, CancellationToken) {
        let within = tokio::time::timeout(Duration::from_secs(5), pool.admit(peer.parse().unwrap()));
        let slot = within.await.expect("nobody went").unwrap().0;
        let leave = slot.leave.clone();
        (slot, leave)
    }

    /// Goes when it is cancelled, in the background.
    fn stay<T: Send + 'static>(leave: &CancellationToken, held: T) {
        let leave = leave.clone();
        tokio::spawn(async move {
            leave.cancelled().await;
            drop(held);
        });
    }

    #[tokio::test]
    async fn who_was_silent_for_longest_gives_way() {
        let pool = ConnectionPool::new(2);
        let (first, crowded) = pool.admit(HERE).await.unwrap();
        assert!(!crowded);
        let (second, left) = come(&pool, "127.0.0.1").await;
        // The first one asks again.
        drop(first.begin_request().await);
        stay(&left, second);
        let (third, crowded) = pool.admit(HERE).await.unwrap();
        assert!(crowded && left.is_cancelled() && !first.leave.is_cancelled());
        // Who is being answered stays: the third one goes.
        let turn = first.begin_request().await;
        let left = third.leave.clone();
        stay(&left, third);
        pool.admit(HERE).await.unwrap();
        assert!(left.is_cancelled() && !first.leave.is_cancelled());
        drop((turn, first));
        assert!(pool.entries.lock().is_empty());
    }

    #[tokio::test]
    async fn there_is_a_place_where_everybody_is_busy() {
        let pool = ConnectionPool::new(3);
        let mut all = Vec::new();
        for _ in 0..3 {
            let (slot, leave) = come(&pool, "10.0.0.1").await;
            let turn = slot.begin_request().await.send(Bytes::from_static(b"nobody reads me"));
            stay(&leave, (slot, turn));
            all.push(leave);
        }
        let (_guest, leave) = come(&pool, "10.0.0.1").await;
        assert_eq!(all.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>(), [true, false, false]);
        assert!(!leave.is_cancelled());
    }

    #[tokio::test]
    async fn an_address_cannot_keep_the_others_out() {
        let pool = ConnectionPool::new(4);
        let (scraper, scrapes) = come(&pool, "10.0.0.1").await;
        stay(&scrapes, scraper);
        for place in 0..20 {
            // Of one network of IPv6, each from an address of its own.
            let (slot, leave) = come(&pool, &format!("2001:db8::{place}")).await;
            let turn = slot.begin_request().await;
            stay(&leave, (slot, turn));
        }
        assert!(!scrapes.is_cancelled(), "the one that is idle has its place still");
        let (slot, second) = come(&pool, "::ffff:10.0.0.1").await;
        stay(&second, slot);
        assert!(!scrapes.is_cancelled() && !second.is_cancelled());
    }

    #[tokio::test]
    async fn a_request_and_its_reply_have_their_time() {
        let pool = ConnectionPool::new(1);
        let (slot, _) = pool.admit(HERE).await.unwrap();
        let late = |seconds| {
            pool.entries.lock().get_mut(&slot.id).unwrap().since -= Duration::from_secs(seconds);
            slot.is_late()
        };
        assert!(!late(3600), "who says nothing is not late");
        slot.receiving();
        assert!(!late(9));
        slot.receiving();
        assert!(late(2), "further bytes give no further time");
        let turn = slot.begin_request().await;
        assert!(!late(3600), "the agent's own time is not the client's");
        let body = turn.send(Bytes::from_static(b"x"));
        assert!(!late(59));
        assert!(late(2));
        drop(body);
        assert!(!late(3600));
    }

    #[tokio::test]
    async fn replies_that_nobody_reads_are_so_many_bytes_together() {
        let pool = ConnectionPool::new(256);
        let long = Bytes::from(vec![0; HELD / 8]);
        let mut all = Vec::new();
        for _ in 0..20 {
            let (slot, leave) = come(&pool, "10.0.0.1").await;
            let body = slot.begin_request().await.send(long.clone());
            stay(&leave, (slot, body));
            all.push(leave);
        }
        assert_eq!(all.iter().filter(|leave| !leave.is_cancelled()).count(), 8);
        assert!(!all[19].is_cancelled() && all[0].is_cancelled());
        assert_eq!(pool.entries.lock().values().map(|entry| entry.holds).sum::<usize>(), HELD);
    }

    #[tokio::test]
    async fn a_reply_that_nobody_reads_is_the_only_one() {
        let pool = ConnectionPool::new(1);
        let (slot, _) = pool.admit(HERE).await.unwrap();
        let body = slot.begin_request().await.send(Bytes::from_static(b"x"));
        let next = tokio::time::timeout(Duration::from_millis(50), slot.begin_request()).await;
        assert!(next.is_err());
        drop(body);
        slot.begin_request().await;
    }
}
