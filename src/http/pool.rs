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

/// How long a handshake may take, and the head of a request from its first byte on.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may take to read a reply: as long as the slowest scrapers wait for one.
const READ: Duration = Duration::from_secs(60);
/// Bytes of replies that wait for their readers, if a single one is not much of that.
const HELD: usize = 64 << 20;
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a connection of HTTP/2 may be idle; for HTTP/1 hyper has its own limit.
pub(super) const IDLE: Duration = Duration::from_secs(65);
/// Requests of one connection of HTTP/2 that are answered at once.
pub(super) const STREAMS: u32 = 32;

/// Everybody who is connected.
#[derive(Debug)]
pub(super) struct ConnectionPool {
    places: Arc<Semaphore>,
    /// How many of the places may be those of handshakes.
    handshakes: usize,
    /// Counts what happens, in the order in which it happens; names the connections as well.
    steps: AtomicU64,
    entries: Mutex<HashMap<u64, Entry>>,
}

#[derive(Debug)]
struct Entry {
    peer: u128,
    /// What it is about while it has no request.
    phase: Phase,
    /// When something happened last, in steps and by the clock.
    step: u64,
    since: Instant,
    /// One; with HTTP/2 several.
    requests: Vec<OpenRequest>,
    /// Whether it speaks HTTP/2.
    multiplexed: bool,
    leave: CancellationToken,
}

/// A request that is being answered.
#[derive(Debug)]
struct OpenRequest {
    id: u64,
    /// Since when the client reads the reply, and how many bytes of it there are.
    sending: Option<(Instant, usize)>,
}

/// What a connection without a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Keys are agreed on.
    Handshake,
    /// Nothing came since the last reply.
    Idle,
    /// The head of a request has begun.
    Receiving,
}

impl Entry {
    /// Whether something takes longer than it may. The agent's own work has its own limits, and idle ones of HTTP/1 are
    /// left to hyper.
    fn is_late(&self) -> bool {
        if !self.requests.is_empty() {
            let late = |(since, _): (Instant, usize)| since.elapsed() > READ;
            return self.requests.iter().filter_map(|request| request.sending).any(late);
        }
        let limit = match self.phase {
            Phase::Handshake | Phase::Receiving => Some(HEAD),
            Phase::Idle => self.multiplexed.then_some(IDLE),
        };
        limit.is_some_and(|limit| self.since.elapsed() > limit)
    }

    /// Bytes of replies that it reads.
    fn holds(&self) -> usize {
        self.requests.iter().filter_map(|request| request.sending).map(|(_, bytes)| bytes).sum()
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
        let (handshakes, places) = (places.div_ceil(2), Arc::new(Semaphore::new(places)));
        Arc::new(Self { places, handshakes, steps: AtomicU64::new(0), entries: Mutex::default() })
    }

    /// A place for one more connection, which begins with a handshake or without, and whether another was closed for it.
    /// `None` if there is no place.
    pub(super) async fn admit(self: &Arc<Self>, peer: IpAddr, handshake: bool) -> Option<(Arc<Slot>, bool)> {
        let crowded = handshake && self.evict_handshake();
        let free = self.places.clone().try_acquire_owned().ok();
        let full = free.is_none();
        let place = match free {
            Some(place) => place,
            None => {
                // One that gave way already leaves its place as well.
                if !crowded {
                    self.evict();
                }
                // Its place is free as soon as its task has noticed.
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        let (id, leave) = (self.step(), CancellationToken::new());
        let entry = Entry {
            peer: network(peer),
            phase: if handshake { Phase::Handshake } else { Phase::Idle },
            step: id,
            since: clock(),
            requests: Vec::new(),
            multiplexed: false,
            leave: leave.clone(),
        };
        self.entries.lock().insert(id, entry);
        let turn = Arc::new(Semaphore::new(1));
        Some((Arc::new(Slot { pool: self.clone(), id, leave, turn, _place: place }), full || crowded))
    }

    fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection is closed to make room.
    fn evict(&self) {
        Self::evict_one(&mut self.entries.lock(), |_, _| true);
    }

    /// Where handshakes have all the places that they may have, one of them is closed: they do not take those of who is connected.
    fn evict_handshake(&self) -> bool {
        let mut entries = self.entries.lock();
        let begun = |entry: &Entry| entry.phase == Phase::Handshake;
        let crowded = entries.values().filter(|entry| begun(entry)).count() >= self.handshakes;
        if crowded {
            Self::evict_one(&mut entries, |_, entry| begun(entry));
        }
        crowded
    }

    /// So many bytes wait for the reader of a request of this connection. If that is too much together, the others go.
    fn hold(&self, id: u64, request: u64, bytes: usize) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(&id) else { return };
        if let Some(open) = entry.requests.iter_mut().find(|open| open.id == request) {
            open.sending = Some((clock(), bytes));
        }
        // A person who watches a large agent may do so from several places.
        let limit = HELD.max(bytes.saturating_mul(4));
        while entries.values().map(Entry::holds).sum::<usize>() > limit {
            if !Self::evict_one(&mut entries, |other, entry| *other != id && entry.holds() > 0) {
                // What is left is its own: of HTTP/2, many replies at once.
                Self::evict_one(&mut entries, |other, _| *other == id);
                return;
            }
        }
    }

    /// One of those goes that may. Says whether there was one.
    fn evict_one(entries: &mut HashMap<u64, Entry>, may: impl Fn(&u64, &Entry) -> bool) -> bool {
        let mut held: HashMap<u128, usize> = HashMap::new();
        for entry in entries.values() {
            *held.entry(entry.peer).or_default() += 1;
        }
        let rank = |entry: &Entry| {
            let share = held.get(&entry.peer).copied().unwrap_or_default();
            (share, entry.requests.is_empty(), u64::MAX - entry.step)
        };
        let goes = entries
            .iter()
            .filter(|(id, entry)| may(id, entry))
            .max_by_key(|(_, entry)| rank(entry))
            .map(|(id, _)| *id);
        let gone = goes.and_then(|id| entries.remove(&id));
        gone.inspect(|entry| entry.leave.cancel()).is_some()
    }
}

impl Slot {
    /// Bytes came: if it was idle, a request begins.
    pub(super) fn receiving(&self) {
        self.enter(Phase::Receiving, |entry| entry.phase == Phase::Idle && entry.requests.is_empty());
    }

    /// The handshake is over. With HTTP/2 several requests are answered at once.
    pub(super) fn begin(&self, multiplexed: bool) {
        self.enter(Phase::Idle, |entry| {
            entry.multiplexed = multiplexed;
            true
        });
        if multiplexed {
            self.turn.add_permits(STREAMS as usize - 1);
        }
    }

    /// A request is there. Waits until the reply before it was read.
    pub(super) async fn begin_request(self: &Arc<Self>) -> ActiveRequest {
        // The turns are never closed.
        let turn = self.turn.clone().acquire_owned().await.ok();
        let id = self.pool.step();
        self.enter(Phase::Idle, |entry| {
            entry.requests.push(OpenRequest { id, sending: None });
            true
        });
        ActiveRequest { slot: self.clone(), id, _turn: turn }
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
        self.pool.entries.lock().get(&self.id).is_some_and(Entry::is_late)
    }

    fn enter(&self, phase: Phase, when: impl FnOnce(&mut Entry) -> bool) {
        let step = self.pool.step();
        let mut entries = self.pool.entries.lock();
        if let Some(entry) = entries.get_mut(&self.id)
            && when(entry)
        {
            (entry.phase, entry.step, entry.since) = (phase, step, clock());
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
    id: u64,
    _turn: Option<OwnedSemaphorePermit>,
}

impl ActiveRequest {
    /// The body of the reply; the turn is over when it was handed to the kernel as a whole.
    pub(super) fn send(self, body: Bytes) -> Bytes {
        self.slot.enter(Phase::Idle, |_| true);
        self.slot.pool.hold(self.slot.id, self.id, body.len());
        Bytes::from_owner(ReplyBytes { body, _turn: self })
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.slot.enter(Phase::Idle, |entry| {
            entry.requests.retain(|open| open.id != self.id);
            true
        });
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
        let within = tokio::time::timeout(Duration::from_secs(5), pool.admit(peer.parse().unwrap(), false));
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
        let (first, crowded) = pool.admit(HERE, false).await.unwrap();
        assert!(!crowded);
        let (second, left) = come(&pool, "127.0.0.1").await;
        // The first one asks again.
        drop(first.begin_request().await);
        stay(&left, second);
        let (third, crowded) = pool.admit(HERE, false).await.unwrap();
        assert!(crowded && left.is_cancelled() && !first.leave.is_cancelled());
        // Who is being answered stays: the third one goes.
        let turn = first.begin_request().await;
        let left = third.leave.clone();
        stay(&left, third);
        pool.admit(HERE, false).await.unwrap();
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

    /// Whether it is late when so much more time has gone by.
    fn late(slot: &Slot, seconds: u64) -> bool {
        let mut entries = slot.pool.entries.lock();
        let entry = entries.get_mut(&slot.id).unwrap();
        entry.since -= Duration::from_secs(seconds);
        let sent = entry.requests.iter_mut().filter_map(|open| open.sending.as_mut());
        sent.for_each(|(since, _)| *since -= Duration::from_secs(seconds));
        drop(entries);
        slot.is_late()
    }

    #[tokio::test]
    async fn a_request_and_its_reply_have_their_time() {
        let pool = ConnectionPool::new(1);
        let (slot, _) = pool.admit(HERE, false).await.unwrap();
        let late = |seconds| late(&slot, seconds);
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
        assert_eq!(pool.entries.lock().values().map(Entry::holds).sum::<usize>(), HELD);
    }

    #[tokio::test]
    async fn a_reply_that_nobody_reads_is_the_only_one() {
        let pool = ConnectionPool::new(1);
        let (slot, _) = pool.admit(HERE, false).await.unwrap();
        let body = slot.begin_request().await.send(Bytes::from_static(b"x"));
        let next = tokio::time::timeout(Duration::from_millis(50), slot.begin_request()).await;
        assert!(next.is_err());
        drop(body);
        slot.begin_request().await;
    }

    #[tokio::test]
    async fn handshakes_take_no_place_of_who_is_connected() {
        let pool = ConnectionPool::new(8);
        let (scraper, scrapes) = come(&pool, "10.0.0.1").await;
        stay(&scrapes, scraper);
        for _ in 0..100 {
            let (slot, crowded) = pool.admit(HERE, true).await.unwrap();
            let leave = slot.leave.clone();
            stay(&leave, slot);
            let begun = pool.entries.lock().values().filter(|entry| entry.phase == Phase::Handshake).count();
            assert!(begun <= 4 && (begun == 4 || !crowded), "{begun}");
        }
        assert!(!scrapes.is_cancelled());
        // One that is through has a place like any other.
        let (slot, _) = pool.admit(HERE, true).await.unwrap();
        slot.begin(true);
        for _ in 0..3 {
            pool.admit(HERE, true).await.unwrap();
        }
        assert!(!slot.leave.is_cancelled());
    }

    #[tokio::test]
    async fn requests_of_one_connection_are_told_apart() {
        let pool = ConnectionPool::new(1);
        let (slot, _) = pool.admit(HERE, true).await.unwrap();
        slot.begin(true);
        let stream = slot.begin_request().await;
        let body = slot.begin_request().await.send(Bytes::from_static(b"nobody reads me"));
        assert!(!late(&slot, 59));
        // Others that are answered meanwhile give it no further time.
        drop(slot.begin_request().await.send(Bytes::from_static(b"x")));
        assert!(late(&slot, 2));
        drop(body);
        assert!(!late(&slot, 3600), "a stream may last");
        drop(stream);
        assert!(!late(&slot, 64));
        assert!(late(&slot, 2), "an idle one of HTTP/2 goes");
    }
}
