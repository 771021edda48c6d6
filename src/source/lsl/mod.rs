//! Lab Streaming Layer: finds the streams of this machine or network, and follows those that are wanted.
//!
//! An inlet more costs an outlet one copy and is seen by no other inlet. It is read promptly, asks the outlet to keep
//! little for it, and in the mode `presence` opens no data connection. Streams are looked for over IPv4. Nothing is
//! sent but questions; samples are judged here and go nowhere.

mod follow;
mod probe;
mod settings;
mod table;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use settings::{Mode, Scope, Settings, Wanted};

use super::{Feed, now};
use crate::decode::lsl::{Info, talk};
use crate::event::{Body, Expected, Fault, Link};
use follow::{Follower, Life, Target};
use table::Table;

/// Streams that are followed at once.
const MOST: usize = 256;
/// Half the time between two questions in the first seconds; then four of these pass from one to the next.
const BEAT: Duration = Duration::from_millis(500);
/// Beats that are the first seconds.
const FIRST: u64 = 10;
/// Questions after which a stream that is gone and not expected is forgotten: some ten minutes.
const FORGOTTEN: u64 = 300;
/// Questions between two look-ups of the names of peers.
const NAMES: u64 = 150;

/// Looks for streams and follows them until told to stop.
///
/// # Errors
/// The socket for questions cannot be opened.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let socket = open(&settings).map_err(|why| format!("cannot look for streams: {why}"))?;
    let port = socket.local_addr().map_err(|why| format!("cannot look for streams: {why}"))?.port();
    feed.send(Body::Link(Link::Up));
    let mut watcher = Watcher {
        // A number that nobody can guess who did not hear the question.
        first_id: RandomState::new().build_hasher().finish() >> 1,
        round: 0,
        table: Table::default(),
        followed: Vec::new(),
        feeds: HashMap::new(),
        tasks: JoinSet::new(),
        stop: stop.child_token(),
        settings,
        feed,
    };
    watcher.settle();
    watcher.watch(&socket, port, &stop).await;
    watcher.stop.cancel();
    while watcher.tasks.join_next().await.is_some() {}
    watcher.feeds.values().for_each(Feed::retire);
    Ok(())
}

fn open(settings: &Settings) -> io::Result<UdpSocket> {
    let alone = settings.scope == Scope::Machine && settings.known_peers.is_empty();
    let own = if alone { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let socket = std::net::UdpSocket::bind((own, 0))?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    socket.set_multicast_ttl_v4(if settings.scope == Scope::Site { talk::SITE_TTL } else { 1 })?;
    UdpSocket::from_std(socket)
}

/// Where questions go, but for peers.
fn places(scope: Scope) -> Vec<SocketAddr> {
    let (link, site) = talk::GROUPS;
    // A broadcast that does not leave the machine reaches all outlets that share the first port.
    let mut shared = vec![Ipv4Addr::new(127, 255, 255, 255)];
    if scope != Scope::Machine {
        shared.push(Ipv4Addr::BROADCAST);
        shared.extend(link.map(Ipv4Addr::from));
    }
    if scope == Scope::Site {
        shared.push(site.into());
    }
    let shared = shared.into_iter().map(|group| SocketAddr::from((group, talk::DISCOVERY)));
    shared.chain(ports(Ipv4Addr::LOCALHOST)).collect()
}

/// All ports of a machine that outlets listen on. Of those that share the first one, one alone gets what is sent
/// there; so each is asked on its own. When these are taken outlets listen anywhere, and only a broadcast finds them.
fn ports(machine: Ipv4Addr) -> impl Iterator<Item = SocketAddr> {
    let all = std::iter::once(talk::DISCOVERY).chain(talk::PORTS.0..=talk::PORTS.1);
    all.map(move |port| SocketAddr::from((machine, port)))
}

/// The addresses of peers, as far as they have one.
async fn peers(settings: &Settings) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for peer in &settings.known_peers {
        match tokio::net::lookup_host((peer.as_str(), talk::DISCOVERY)).await {
            Ok(all) => {
                let fourth = |address: SocketAddr| match address.ip() {
                    IpAddr::V4(ip) => Some(ip),
                    IpAddr::V6(_) => None,
                };
                found.extend(all.filter_map(fourth).take(1).flat_map(ports));
            }
            Err(why) => tracing::warn!(source = settings.name, peer, %why, "cannot find the peer's address"),
        }
    }
    found
}

/// What finds streams and keeps those that follow them.
struct Watcher {
    settings: Settings,
    feed: Feed,
    first_id: u64,
    /// The number of the last question.
    round: u64,
    table: Table,
    followed: Vec<Followed>,
    /// Of every stream that was followed and is not forgotten, by its name as a source.
    feeds: HashMap<String, Feed>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// A stream that is followed, there or not.
struct Followed {
    /// What it is; its start may be an older one.
    info: Info,
    /// The values of its labels.
    stream: String,
    host: String,
    /// Its name as a source.
    name: String,
    target: watch::Sender<Option<Arc<Target>>>,
    life: Arc<Life>,
    /// When it was last there.
    round: u64,
    stop: CancellationToken,
}

impl Followed {
    fn uid(&self) -> Option<String> {
        self.target.borrow().as_ref().map(|target| target.info.uid.clone())
    }
}

impl Watcher {
    async fn watch(&mut self, socket: &UdpSocket, port: u16, stop: &CancellationToken) {
        let places = places(self.settings.scope);
        let mut peers = Vec::new();
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = 0_u64;
        let mut buffer = vec![0; 1 << 16];
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beats.tick() => {
                    let every = if beat < FIRST { 2 } else { 4 };
                    match beat % every {
                        0 => {
                            if self.round.is_multiple_of(NAMES) {
                                peers = self::peers(&self.settings).await;
                            }
                            self.round += 1;
                            self.ask(socket, port, places.iter().chain(&peers));
                        }
                        1 => self.settle(),
                        _ => {}
                    }
                    beat += 1;
                }
                // What did not arrive is asked for again.
                Ok((length, from)) = socket.recv_from(&mut buffer) => {
                    self.hear(buffer.get(..length).unwrap_or_default(), from.ip());
                }
            }
        }
    }

    fn ask<'p>(&self, socket: &UdpSocket, port: u16, places: impl Iterator<Item = &'p SocketAddr>) {
        let question = talk::ask_streams(&self.settings.session, port, self.first_id + self.round);
        let (mut sent, mut why) = (0, None);
        for place in places {
            match socket.try_send_to(&question, *place) {
                Ok(_) => sent += 1,
                Err(error) => why = Some(error),
            }
        }
        if let Some(error) = why.filter(|_| sent == 0 && self.round.is_multiple_of(30)) {
            tracing::warn!(source = self.feed.name(), %error, "cannot ask for streams");
        }
    }

    fn hear(&mut self, datagram: &[u8], from: IpAddr) {
        match talk::stream(datagram) {
            Ok((id, info)) => {
                let round = id.wrapping_sub(self.first_id);
                // What nobody asked for is not believed.
                if (1..=self.round).contains(&round) && info.session == self.settings.session {
                    self.table.hear(info, from, round);
                }
            }
            Err(kind) => self.feed.send(Body::Fault(Fault { kind, bytes: datagram.len() as u64 })),
        }
    }

    /// Makes of the answers what is to be followed.
    fn settle(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        let Self { table, followed, round, .. } = self;
        for one in followed.iter().filter(|one| one.life.is_over()) {
            // Nobody listens where the stream was: a new start of it needs not wait.
            if let Some(uid) =
                one.uid().filter(|uid| table.get(uid).is_some_and(|heard| heard.round < *round))
            {
                table.remove(&uid);
            }
        }
        let alive =
            |uid: &str| followed.iter().any(|one| one.life.is_alive() && one.uid().as_deref() == Some(uid));
        table.forget(*round, alive);
        for one in followed.iter_mut() {
            match one.uid() {
                Some(uid) if table.get(&uid).is_some() => one.round = *round,
                Some(_) => drop(one.target.send_replace(None)),
                None => {}
            }
        }
        let refused = self.admit();
        let expect = &self.settings.expect;
        let table = &self.table;
        self.feed.batch(now(), |out| {
            out(Body::Streams(table.count(refused)));
            for stream in expect {
                out(Body::Expected(Expected { stream, present: table.has(stream) }));
            }
        });
        self.forget();
    }

    /// Gives each stream that nobody follows to someone, and says how many are too many.
    fn admit(&mut self) -> usize {
        let mut refused = 0;
        for heard in self.table.all().to_vec() {
            let uid = Some(&heard.info.uid);
            let Some(mode) = self.settings.wants(&heard.info) else { continue };
            if self.followed.iter().any(|one| one.uid().as_ref() == uid) {
                continue;
            }
            let mut vacant = self.followed.iter_mut().filter(|one| one.target.borrow().is_none());
            let target = Some(Arc::new(Target { info: heard.info.clone(), from: heard.from }));
            if let Some(one) = vacant.find(|one| one.info.is_as(&heard.info)) {
                one.round = self.round;
                one.life.begin();
                drop(one.target.send_replace(target));
            } else if self.followed.len() < MOST {
                self.follow(heard.info, mode, target);
            } else {
                refused += 1;
            }
        }
        refused
    }

    fn follow(&mut self, info: Info, mode: Mode, target: Option<Arc<Target>>) {
        let host = if self.table.is_elsewhere(&info) { info.hostname.clone() } else { String::new() };
        let taken = |stream: &str| self.followed.iter().any(|one| one.stream == stream && one.host == host);
        let mut stream = info.name.clone();
        let mut number = 2;
        while taken(&stream) {
            stream = format!("{}#{number}", info.name);
            number += 1;
        }
        let at = if host.is_empty() { String::new() } else { format!("@{host}") };
        let name = format!("{}/{stream}{at}", self.settings.name);
        let feed = self.feed.stream(&name);
        self.feeds.insert(name.clone(), feed.clone());
        let (sender, receiver) = watch::channel(target);
        let (life, stop) = (Arc::new(Life::default()), self.stop.child_token());
        let follower = Follower {
            source: self.settings.name.clone(),
            stream: stream.clone(),
            host: host.clone(),
            mode,
            signal: self.settings.signal,
            target: receiver,
            life: life.clone(),
            feed,
        };
        let ended = stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = follower.run() => {}
            }
        });
        tracing::info!(source = self.feed.name(), stream, host, "a stream is there");
        self.followed.push(Followed {
            info,
            stream,
            host,
            name,
            target: sender,
            life,
            round: self.round,
            stop,
        });
    }

    /// Lets go of streams that are long gone.
    fn forget(&mut self) {
        let Self { followed, feeds, settings, round, .. } = self;
        followed.retain(|one| {
            let keep = *round < one.round + FORGOTTEN || settings.expect.contains(&one.info.name);
            if !keep {
                one.stop.cancel();
                if let Some(feed) = feeds.remove(&one.name) {
                    feed.retire();
                }
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_scope_asks_more_places() {
        let of = |scope| places(scope).len();
        assert_eq!((of(Scope::Machine), of(Scope::Link), of(Scope::Site)), (34, 37, 38));
        assert!(places(Scope::Machine).iter().all(|place| place.ip().is_loopback()));
    }
}
