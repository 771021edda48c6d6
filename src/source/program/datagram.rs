//! A place where datagrams of a program arrive: opened so that others who listen there get them as well, read in
//! batches, and followed from the first datagram until nothing comes any more.
//!
//! A group or a broadcast address is shared: everyone who listens gets everything. What is sent to this machine alone
//! goes to one socket alone, so such a port is never shared: if another program has it, it stays with that one.
//! Nothing is sent.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as Plain};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::Feed;
use crate::analysis::quality::{Judge, Settings};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::decode::program::datagram::{Datagram, Datagrams, HEADER, header};
use crate::decode::{Decoder, Sink};
use crate::event::{Body, Link, SocketState, Timestamp};
use crate::sys;

/// The longest datagram: a UDP payload has at most 65,507 bytes.
const DATAGRAM: usize = 65_535;
/// Bytes that are decoded in one go, and datagrams.
const BATCH: usize = 128 * 1024;
const READS: u64 = 1024;
/// Datagrams that wait at once, from which on the next look is by the clock: a wake-up costs more than they do.
const CROWDED: u64 = 8;
/// How long until that look.
const LOOK: Duration = Duration::from_millis(2);
/// Before a place is tried to be opened again.
const PAUSE: Backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(30));
/// How long what the kernel has at the end is looked for.
const LAST: Duration = Duration::from_millis(10);
/// Seconds without a datagram after which a program is gone.
const GONE: u32 = 30;
/// Senders that are distinguished; of more, the one silent for longest is forgotten.
const SENDERS: usize = 16;

/// Where datagrams arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    /// A group, a broadcast address, or one of this machine's.
    pub(super) listen: SocketAddr,
    /// The address of the interface on which a group is joined; the system's choice if omitted.
    pub(super) interface: Option<Ipv4Addr>,
    /// Receive buffer to ask for, bytes.
    pub(super) receive_buffer: usize,
}

/// Who hears what arrives.
pub(super) trait DatagramHandler {
    /// Takes datagrams, each with its header.
    fn handle(&mut self, at: Timestamp, rows: &[u8], reads: u64);
    /// Tells how it is, each second that something was heard within the last ones.
    fn report(&mut self);
    /// Nothing came for long, or no more is wanted: what comes next is another stream.
    fn end(&mut self, at: Timestamp);
}

/// Decodes datagrams in a row; what stands before each was not sent, and is not counted.
pub(super) fn take(feed: &Feed, at: Timestamp, rows: &[u8], reads: u64, decoder: &mut dyn Decoder) {
    let sent = (rows.len() as u64).saturating_sub(reads * HEADER as u64);
    feed.decode_counted(at, rows, sent, reads, decoder);
}

/// Opens a place, and gives what arrives to `handler` until it is cancelled. What cannot be opened is tried again.
pub(super) async fn run(
    place: Binding,
    feed: &Feed,
    stop: &CancellationToken,
    handler: &mut impl DatagramHandler,
) {
    let listen = format!("udp://{}", place.listen);
    let (mut pause, mut said) = (PAUSE, String::new());
    let mut receiver = loop {
        match Receiver::open(place, listen.clone()) {
            Ok(receiver) => break receiver,
            Err(error) => {
                let why = reason(&error, place.listen);
                if why != said {
                    feed.down(&format!("cannot listen on {listen}: {why}"));
                    tracing::warn!(source = feed.name(), "cannot listen on {listen}: {why}");
                    feed.send(Body::Link(Link::Down));
                    said = why;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause.delay()) => {}
        }
    };
    tracing::info!(source = feed.name(), listen, "waiting for datagrams");
    receiver.follow(feed, stop, handler).await;
    feed.close(&receiver.listen);
    handler.end(now());
}

/// Why a place cannot be opened, and what helps.
fn reason(error: &io::Error, at: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there, and only one program can read unicast datagrams; send them to a multicast group or another port as well"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => format!("no interface of this machine has the address {}", at.ip()),
        _ if at.ip().is_multicast() => format!("{error}; is there an interface with multicast?"),
        _ => error.to_string(),
    }
}

/// An open place.
struct Receiver {
    socket: UdpSocket,
    place: Binding,
    listen: String,
    /// Datagrams that were read, and how many bytes they take.
    batch: Vec<u8>,
    used: usize,
    senders: Senders,
    /// Kernel drops that were reported.
    drops: u32,
}

impl Receiver {
    fn open(place: Binding, listen: String) -> io::Result<Self> {
        let address = place.listen;
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        let group = address.ip().is_multicast();
        if group || is_broadcast(address) {
            socket.set_reuse_address(true)?;
        }
        socket.set_recv_buffer_size(place.receive_buffer)?;
        // Bound to the group, and not to the port alone, it gets nothing that is for someone else.
        socket.bind(&address.into())?;
        match address {
            SocketAddr::V4(to) if group => {
                socket.join_multicast_v4(to.ip(), &place.interface.unwrap_or(Ipv4Addr::UNSPECIFIED))?;
            }
            SocketAddr::V6(to) if group => socket.join_multicast_v6(to.ip(), 0)?,
            _ => {}
        }
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            place,
            listen,
            batch: vec![0; BATCH + HEADER + DATAGRAM],
            used: 0,
            senders: Senders::default(),
            drops: 0,
        })
    }

    async fn follow(&mut self, feed: &Feed, stop: &CancellationToken, handler: &mut impl DatagramHandler) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = None;
        loop {
            let reads = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = seconds.tick() => {
                    self.report(feed);
                    match &mut silent {
                        Some(GONE) => {
                            say!(feed, warn, "nothing arrives any more");
                            handler.end(now());
                            feed.down("nothing arrives any more");
                            feed.send(Body::Link(Link::Down));
                            silent = None;
                        }
                        Some(seconds) => {
                            *seconds += 1;
                            handler.report();
                        }
                        None => {}
                    }
                    continue;
                }
                // What cannot be read is met again, and there is nothing to be done about it.
                _ = self.socket.readable() => self.drain(),
            };
            if reads == 0 {
                continue;
            }
            if silent.replace(0).is_none() {
                say!(feed, info, "something arrives");
                feed.send(Body::Link(Link::Up));
            }
            handler.handle(now(), self.rows(), reads);
            if reads >= CROWDED {
                sleep(LOOK).await;
            }
        }
        // What the kernel has was sent to us, so it counts. A sender that continues is left behind.
        // Whether there is something is known only once it was looked for.
        drop(timeout(LAST, self.socket.readable()).await);
        for _ in 0..=self.place.receive_buffer / BATCH {
            let reads = self.drain();
            if reads == 0 {
                break;
            }
            handler.handle(now(), self.rows(), reads);
        }
        self.report(feed);
    }

    /// The datagrams that were read last, each with its header.
    fn rows(&self) -> &[u8] {
        self.batch.get(..self.used).unwrap_or_default()
    }

    /// Reads what there is, and says how many datagrams that were.
    fn drain(&mut self) -> u64 {
        self.used = 0;
        let mut reads = 0;
        while self.used < BATCH && reads < READS {
            let Some(space) = self.batch.get_mut(self.used..self.used + HEADER + DATAGRAM) else { break };
            let (head, body) = space.split_at_mut(HEADER);
            let Ok((length, sender)) = self.socket.try_recv_from(body) else { break };
            head.copy_from_slice(&header(length, self.senders.number(sender)));
            self.used += HEADER + length;
            reads += 1;
        }
        reads
    }

    /// What the kernel says of the socket.
    fn report(&mut self, feed: &Feed) {
        let Ok(info) = sys::memory_info(self.socket.as_fd()) else { return };
        let before = std::mem::replace(&mut self.drops, info.drops);
        feed.send(Body::Socket(SocketState {
            listen: &self.listen,
            drops: info.drops.wrapping_sub(before).into(),
            asked: self.place.receive_buffer as u64,
            granted: info.receive_buffer.into(),
            queued: info.queued.into(),
        }));
    }
}

/// Whether what is sent to an address goes to all who listen. The kernel alone knows the interfaces: it refuses to
/// connect a socket to such an address that has not asked for it. Nothing is sent by that.
fn is_broadcast(address: SocketAddr) -> bool {
    if address.is_ipv6() || address.ip().is_unspecified() {
        return false;
    }
    let tried = Plain::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(address));
    tried.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Who sent, by number: the later one was heard of, the greater.
#[derive(Debug, Default)]
struct Senders {
    /// Address, number, and when it was heard last, in datagrams.
    known: Vec<(SocketAddr, u16, u64)>,
    next: u16,
    heard: u64,
}

impl Senders {
    fn number(&mut self, from: SocketAddr) -> u16 {
        self.heard += 1;
        if let Some(known) = self.known.iter_mut().find(|known| known.0 == from) {
            known.2 = self.heard;
            return known.1;
        }
        self.next = self.next.wrapping_add(1);
        if self.known.len() >= SENDERS {
            let oldest = self.known.iter().enumerate().min_by_key(|(_, known)| known.2);
            if let Some((place, _)) = oldest {
                self.known.swap_remove(place);
            }
        }
        self.known.push((from, self.next, self.heard));
        self.next
    }
}

/// Datagrams, and the judge of its samples.
pub(super) struct JudgedStream<D> {
    datagrams: Datagrams<D>,
    judge: Judge,
}

impl<D: Datagram> JudgedStream<D> {
    pub(super) fn new(inner: D, signal: Settings) -> Self {
        Self { datagrams: Datagrams::new(inner), judge: Judge::new(signal) }
    }

    pub(super) fn inner(&mut self) -> &mut D {
        self.datagrams.inner_mut()
    }
}

impl<D: Datagram> Decoder for JudgedStream<D> {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        self.judge.decode(&mut self.datagrams, bytes, out);
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.judge.finish(&mut self.datagrams, out);
    }

    fn process_deferred(&mut self) -> bool {
        self.judge.process_deferred()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(listen: &str) -> Binding {
        Binding { listen: listen.parse().unwrap(), interface: None, receive_buffer: 1 << 16 }
    }

    #[tokio::test]
    async fn what_is_for_all_is_shared_and_what_is_for_one_is_not() {
        assert!(is_broadcast("127.255.255.255:9".parse().unwrap()));
        assert!(!is_broadcast("127.0.0.1:9".parse().unwrap()));
        let taken = Plain::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refused = Receiver::open(place(&address.to_string()), String::new()).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert!(reason(&refused, address).contains("another program"));
        let all = format!("127.255.255.255:{}", address.port());
        let mut stations = [(); 2].map(|()| Receiver::open(place(&all), String::new()).unwrap());
        taken.set_broadcast(true).unwrap();
        for (k, receiver) in stations.iter_mut().enumerate() {
            taken.send_to(&[k as u8; 5], &all).unwrap();
            receiver.socket.readable().await.unwrap();
            let mut reads = receiver.drain();
            while reads < k as u64 + 1 {
                receiver.socket.readable().await.unwrap();
                reads += receiver.drain();
            }
        }
        let gone = Receiver::open(place("198.51.100.1:9"), String::new()).err().unwrap();
        assert!(reason(&gone, "198.51.100.1:9".parse().unwrap()).contains("198.51.100.1"));
    }

    /// Counts what it hears.
    #[derive(Default)]
    struct Count {
        heard: u64,
        ended: bool,
    }

    impl DatagramHandler for Count {
        fn handle(&mut self, _at: Timestamp, _rows: &[u8], reads: u64) {
            self.heard += reads;
        }

        fn report(&mut self) {}

        fn end(&mut self, _at: Timestamp) {
            self.ended = true;
        }
    }

    #[tokio::test]
    async fn what_the_kernel_has_at_the_end_counts() {
        let (stop, mut count) = (CancellationToken::new(), Count::default());
        let hub = std::sync::Arc::new(crate::hub::Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
        let place = Binding { receive_buffer: 4 << 20, ..place("127.0.0.1:0") };
        let mut receiver = Receiver::open(place, String::new()).unwrap();
        let to = receiver.socket.local_addr().unwrap();
        let sender = Plain::bind("127.0.0.1:0").unwrap();
        // Nothing was heard of the sender before.
        for _ in 0..100 {
            sender.send_to(&[7; 5], to).unwrap();
        }
        stop.cancel();
        receiver.follow(&feed, &stop, &mut count).await;
        assert_eq!(count.heard + u64::from(receiver.drops), 100);
    }

    #[test]
    fn senders_have_numbers() {
        let mut senders = Senders::default();
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!([1, 2, 1, 3, 2].map(|port| senders.number(address(port))), [1, 2, 1, 3, 2]);
        let others: Vec<u16> = (10..10 + SENDERS as u16).map(|port| senders.number(address(port))).collect();
        assert!(others.is_sorted());
        assert_eq!(senders.known.len(), SENDERS);
        // It was forgotten, and is another one now.
        assert!(senders.number(address(1)) > 3);
    }
}
