//! Asks who streams, repeatedly, and keeps who answered.
//!
//! What is done with the streams is not known here. The agent and `neural-exporter devices` look for them in this one
//! way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;

use super::settings::{Scope, Settings};
use super::table::{Responder, Table};
use crate::backoff::draw;
use crate::decode::lsl::{Info, Odd, talk};
use crate::event::Fault;
use crate::source::names;

/// Questions between two look-ups of the names of peers.
const NAMES: u64 = 150;
/// The same after one that failed.
const NAMES_AGAIN: u64 = 15;
/// How long the look-up of one name may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long `look` waits for answers to each of its questions.
const LOOK: Duration = Duration::from_millis(500);
/// So many first questions go to every port of this machine.
const EACH_FIRST: u64 = 10;
/// Of the others one in so many does; fewer than a stream may leave unanswered.
const EACH: u64 = 3;
/// Addresses of interfaces that a question goes out of, over IPv4 and over IPv6.
const INTERFACES: usize = 32;
/// Odd descriptions that are reported: any machine on the network can send as many as it likes.
const ODD: usize = 64;
/// Questions between two looks for interfaces: a cable may be plugged in late.
const LOOKS: u64 = 10;

/// A question that goes out repeatedly, and the answers to it.
#[derive(Debug)]
pub struct Search {
    settings: Settings,
    fourth: UdpSocket,
    /// Not every machine has IPv6.
    sixth: Option<UdpSocket>,
    routes: Vec<QueryRoute>,
    /// Every port of this machine that an outlet may listen on.
    here: Vec<SocketAddr>,
    peers: Vec<SocketAddr>,
    /// The question before which the names of peers are looked up.
    names: u64,
    /// A number that nobody can guess who did not hear the question.
    first_id: u64,
    /// The number of the last question.
    round: u64,
    table: Table,
    /// Odd descriptions by sender: each is reported once.
    odd: Vec<(SocketAddr, Odd)>,
    buffer: Vec<u8>,
}

impl Search {
    /// Opens what is asked and answered through.
    ///
    /// # Errors
    /// There is no socket over IPv4.
    pub fn open(settings: &Settings) -> io::Result<Self> {
        let alone = settings.scope == Scope::Machine && settings.known_peers.is_empty();
        Ok(Self {
            fourth: open(settings.scope, alone)?,
            sixth: open_sixth(settings.scope, alone).ok(),
            routes: Vec::new(),
            here: here(),
            peers: Vec::new(),
            names: 0,
            first_id: draw() >> 1,
            round: 0,
            table: Table::default(),
            odd: Vec::new(),
            buffer: vec![0; 1 << 16],
            settings: settings.clone(),
        })
    }

    /// How far away streams are looked for.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.settings.scope
    }

    /// The number of the last question.
    #[must_use]
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn table_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Asks once more. What cannot be sent to one place is sent to the others.
    pub async fn send_query(&mut self) {
        if self.round >= self.names && !self.settings.known_peers.is_empty() {
            self.look_up().await;
        }
        if self.round.is_multiple_of(LOOKS) {
            self.routes = routes(self.settings.scope, &Interfaces::beyond(self.settings.scope));
        }
        self.round += 1;
        let (mut sent, mut why) = (0, None);
        // Nearly all outlets hear the broadcast: the others are found at first, and not forgotten later.
        let each = self.round <= EACH_FIRST || self.round.is_multiple_of(EACH);
        let here = self.here.iter().filter(|_| each);
        let others = here.chain(&self.peers).map(|to| QueryRoute { to: *to, out_of: None });
        for QueryRoute { to, out_of } in self.routes.iter().copied().chain(others) {
            let socket = if to.is_ipv4() { Some(&self.fourth) } else { self.sixth.as_ref() };
            let Some(socket) = socket else { continue };
            let Ok(own) = socket.local_addr() else { continue };
            let question = talk::ask_streams(&self.settings.session, own.port(), self.first_id + self.round);
            // Past the runtime, which takes a socket for full until an event says that it is not.
            let socket = SockRef::from(socket);
            let through = out_of.map_or(Ok(()), |own| socket.set_multicast_if_v4(&own));
            match through.and_then(|()| socket.send_to(&question, &to.into())) {
                Ok(_) => sent += 1,
                Err(error) => why = Some(error),
            }
        }
        if let Some(error) = why.filter(|_| sent == 0 && self.round.is_multiple_of(30)) {
            tracing::warn!(source = self.settings.name, %error, "cannot search for streams");
        }
    }

    /// The addresses of peers, as far as they have one.
    async fn look_up(&mut self) {
        let mut found = Vec::new();
        let mut all_known = true;
        for peer in &self.settings.known_peers {
            let looked = tokio::time::timeout(PATIENCE, names::look_up(peer.clone(), 0)).await;
            match looked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(all) => {
                    found.extend(all.into_iter().next().into_iter().flat_map(|address| ports(address.ip())));
                }
                Err(why) => {
                    all_known = false;
                    tracing::warn!(source = self.settings.name, peer, %why, "cannot find the peer's address");
                }
            }
        }
        self.peers = found;
        self.names = self.round + if all_known { NAMES } else { NAMES_AGAIN };
    }

    /// Waits for the next answer and takes it; what cannot be understood is a fault. Nothing is lost if this is
    /// dropped while it waits.
    pub async fn receive(&mut self) -> Option<Fault> {
        let socket = match &self.sixth {
            None => {
                self.fourth.readable().await.ok()?;
                &self.fourth
            }
            Some(sixth) => tokio::select! {
                ready = self.fourth.readable() => ready.map(|()| &self.fourth).ok()?,
                ready = sixth.readable() => ready.map(|()| sixth).ok()?,
            },
        };
        // What did not arrive is asked for again.
        let (length, from) = socket.try_recv_from(&mut self.buffer).ok()?;
        let datagram = self.buffer.get(..length).unwrap_or_default();
        let parsed = take(&mut self.table, datagram, from, &self.settings.session, |id| {
            // What nobody asked for is not believed.
            Some(id.wrapping_sub(self.first_id)).filter(|round| (1..=self.round).contains(round))
        });
        let odd = match &parsed {
            Ok(None) => &[],
            Ok(Some(heard)) => self.table.get(heard).map_or(&[][..], |heard| &heard.info.odd),
            Err(odd) => std::slice::from_ref(odd),
        };
        for odd in odd {
            if self.odd.len() < ODD && !self.odd.contains(&(from, *odd)) {
                self.odd.push((from, *odd));
                tracing::warn!(source = self.settings.name, %from, "the description of a stream has errors: {odd}");
            }
        }
        parsed.err().map(|odd| Fault { kind: odd.kind, bytes: length as u64 })
    }

    /// What streams said of themselves that is not as it should be, and who said it.
    #[must_use]
    pub fn odd(&self) -> &[(SocketAddr, Odd)] {
        &self.odd
    }

    /// Streams that answered.
    pub fn found(&self) -> impl Iterator<Item = (&Info, IpAddr)> {
        self.table.all().iter().map(|heard| (&heard.info, heard.from.ip()))
    }

    /// Forgets the streams that have not answered to the last questions.
    pub fn forget(&mut self) {
        self.table.forget(self.round, |_| false);
    }

    /// Asks twice and waits for answers, for a second in all.
    pub async fn look(&mut self) {
        for _ in 0..2 {
            self.send_query().await;
            let _: Result<(), _> = tokio::time::timeout(LOOK, async {
                loop {
                    self.receive().await;
                }
            })
            .await;
        }
    }
}

/// Puts an answer into the table, if it is one to a question of ours. Gives which start of a stream is new by it.
fn take(
    table: &mut Table,
    datagram: &[u8],
    from: SocketAddr,
    session: &str,
    round: impl FnOnce(u64) -> Option<u64>,
) -> Result<Option<String>, Odd> {
    let (id, description) = talk::answer(datagram).map_err(|kind| Odd { field: "answer", kind })?;
    let Some(round) = round(id) else { return Ok(None) };
    // Each stream answers once for every way that the question took; it is read once.
    if talk::uid(description).is_some_and(|uid| table.renew(uid, from, round)) {
        return Ok(None);
    }
    let info = Info::parse(description)?;
    if info.session != session {
        return Ok(None);
    }
    let uid = info.uid.clone();
    table.receive(Responder { info, from, round });
    Ok(Some(uid))
}

fn open(scope: Scope, alone: bool) -> io::Result<UdpSocket> {
    let own = if alone { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let socket = std::net::UdpSocket::bind((own, 0))?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    socket.set_multicast_ttl_v4(if scope == Scope::Site { talk::SITE_TTL } else { 1 })?;
    UdpSocket::from_std(socket)
}

fn open_sixth(scope: Scope, alone: bool) -> io::Result<UdpSocket> {
    let own = if alone { Ipv6Addr::LOCALHOST } else { Ipv6Addr::UNSPECIFIED };
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
    socket.set_only_v6(true)?;
    socket.set_multicast_hops_v6(if scope == Scope::Site { talk::SITE_TTL } else { 1 })?;
    socket.bind(&SocketAddr::from((own, 0)).into())?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// What leads out of this machine.
#[derive(Debug, Default)]
struct Interfaces {
    /// Own addresses, each with the broadcast address of its network if that has one.
    fourth: Vec<(Ipv4Addr, Option<Ipv4Addr>)>,
    /// The numbers of those with an IPv6 address.
    sixth: Vec<u32>,
}

impl Interfaces {
    /// Those that are needed.
    fn beyond(scope: Scope) -> Self {
        if scope == Scope::Machine {
            return Self::default();
        }
        let read = |table: &str| std::fs::read_to_string(table).unwrap_or_default();
        let mut fourth: Vec<_> = networks(&read("/proc/net/route"))
            .filter_map(|(network, mask)| Some((own_within(network, mask)?, everybody(network, mask))))
            .collect();
        // A machine may have a route to each of many others, and all of them by one interface.
        fourth.sort_unstable();
        fourth.dedup();
        fourth.truncate(INTERFACES);
        Self { fourth, sixth: numbers(&read("/proc/net/if_inet6")) }
    }
}

/// The directly connected networks, each with its mask. Of what the kernel says: interface, then
/// network, gateway, flags, three numbers and mask; addresses as they lie in memory.
fn networks(table: &str) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
    table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let address = |at: usize| {
            let number = u32::from_str_radix(words.get(at)?, 16).ok()?;
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        let (network, gateway, mask) = (address(1)?, address(2)?, address(7)?);
        let near = gateway.is_unspecified() && !mask.is_unspecified() && !network.is_loopback();
        (near && !network.is_multicast()).then_some((network, mask))
    })
}

/// The address that this machine has in a network: what the kernel would send from. Nothing is sent.
fn own_within(network: Ipv4Addr, mask: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    let neighbour = network | (Ipv4Addr::new(0, 0, 0, 1) & !mask);
    socket.connect((neighbour, talk::DISCOVERY)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(own) => Some(own),
        IpAddr::V6(_) => None,
    }
}

/// The address of everybody in a network; one of two machines or one has none.
fn everybody(network: Ipv4Addr, mask: Ipv4Addr) -> Option<Ipv4Addr> {
    (mask.to_bits() < u32::MAX - 1).then(|| network | !mask)
}

/// The numbers of interfaces, of what the kernel says of those with an IPv6 address: address, number, length of the
/// prefix, scope, flags, name.
fn numbers(table: &str) -> Vec<u32> {
    let other = table.lines().filter(|line| line.split_whitespace().next_back() != Some("lo"));
    let number = |line: &str| u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    let mut found: Vec<u32> = other.filter_map(number).take(INTERFACES).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Where a question goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct QueryRoute {
    to: SocketAddr,
    /// Whose interface it leaves by, to a group of IPv4; else the routes say so.
    out_of: Option<Ipv4Addr>,
}

/// Where questions go, but for peers and the ports of this machine.
fn routes(scope: Scope, interfaces: &Interfaces) -> Vec<QueryRoute> {
    // A broadcast that does not leave the machine reaches all outlets that share the first port.
    let mut everybody = vec![Ipv4Addr::new(127, 255, 255, 255)];
    if scope != Scope::Machine {
        everybody.push(Ipv4Addr::BROADCAST);
        everybody.extend(interfaces.fourth.iter().filter_map(|(_, everybody)| *everybody));
    }
    let (link, site) = talk::GROUPS;
    let [first, second] = link.map(Ipv4Addr::from);
    let (fourth, sixth): (&[Ipv4Addr], &[Ipv6Addr]) = match scope {
        Scope::Machine => (&[], &[]),
        Scope::Link => (&[first, second], &[talk::GROUPS_V6.0]),
        Scope::Site => (&[first, second, site.into()], &[talk::GROUPS_V6.0, talk::GROUPS_V6.1]),
    };
    // The amplifier's network is seldom the one that the routes lead to.
    let mut own: Vec<_> = interfaces.fourth.iter().map(|(own, _)| Some(*own)).collect();
    own.dedup();
    if own.is_empty() {
        own.push(None);
    }
    let to = |to: Ipv4Addr| SocketAddr::from((to, talk::DISCOVERY));
    let everybody = everybody.into_iter().map(|all| QueryRoute { to: to(all), out_of: None });
    let fourth =
        fourth.iter().flat_map(|group| own.iter().map(|own| QueryRoute { to: to(*group), out_of: *own }));
    let out =
        |group: &Ipv6Addr, interface: &u32| SocketAddrV6::new(*group, talk::DISCOVERY, 0, *interface).into();
    let sixth = sixth.iter().flat_map(|group| interfaces.sixth.iter().map(move |at| out(group, at)));
    everybody.chain(fourth).chain(sixth.map(|to| QueryRoute { to, out_of: None })).collect()
}

/// Where questions continue this machine, beside the broadcast.
fn here() -> Vec<SocketAddr> {
    let here = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    here.into_iter().flat_map(ports).collect()
}

/// All ports of a machine that outlets listen on. Of those that share the first one, one alone gets what is sent
/// there; so each is asked on its own. When these are taken outlets listen anywhere, and only a broadcast finds them.
fn ports(machine: IpAddr) -> impl Iterator<Item = SocketAddr> {
    let all = std::iter::once(talk::DISCOVERY).chain(talk::PORTS);
    all.map(move |port| SocketAddr::from((machine, port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FaultKind;

    #[test]
    fn a_wider_scope_asks_more_places() {
        let [lab, office] = [Ipv4Addr::new(10, 0, 7, 9), Ipv4Addr::new(192, 168, 1, 4)];
        let fourth = vec![(lab, Some(Ipv4Addr::new(10, 0, 255, 255))), (office, None)];
        let two = Interfaces { fourth, sixth: vec![2, 3] };
        let of = |scope| routes(scope, &two).len();
        assert_eq!((of(Scope::Machine), of(Scope::Link), of(Scope::Site)), (1, 3 + 2 * 2 + 2, 3 + 2 * 3 + 4));
        let group =
            |own| QueryRoute { to: SocketAddr::from(([224, 0, 0, 183], talk::DISCOVERY)), out_of: own };
        let twice = Interfaces { fourth: vec![(lab, None), (lab, two.fourth[0].1)], sixth: Vec::new() };
        assert_eq!(routes(Scope::Link, &twice).len(), 3 + 2, "one address, two networks");
        let all = routes(Scope::Link, &two);
        assert!(all.contains(&group(Some(lab))) && all.contains(&group(Some(office))));
        assert!(routes(Scope::Link, &Interfaces::default()).contains(&group(None)));
        let alone = routes(Scope::Machine, &two).into_iter().map(|way| way.to).chain(here());
        assert!(alone.into_iter().all(|place| place.ip().is_loopback()));
        assert_eq!(here().len(), 66);
        if cfg!(target_endian = "little") {
            let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                         eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                         eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                         lab\t0000000A\t00000000\t0001\t0\t0\t0\tFEFFFFFF\t0\t0\t0\n\
                         lab\t000000E0\t00000000\t0001\t0\t0\t0\t000000F0\t0\t0\t0\nnoise\n";
            let reported: Vec<_> =
                networks(table).map(|(network, mask)| (network, everybody(network, mask))).collect();
            let home = Ipv4Addr::new(192, 168, 1, 0);
            let wide = (home, Some(Ipv4Addr::new(192, 168, 1, 255)));
            assert_eq!(reported, [wide, (Ipv4Addr::new(10, 0, 0, 0), None)]);
        }
        let table = "fe800000000000000000000000000001 0a 40 20 80     eth0\n\
                     fd000000000000000000000000000002 0a 40 00 82     eth0\n\
                     00000000000000000000000000000001 01 80 10 80       lo\nnoise\n";
        assert_eq!(numbers(table), [10]);
    }

    #[test]
    fn an_answer_is_read_once_and_believed_if_it_was_asked_for() {
        let text = include_str!("../../../tests/fixtures/lsl/fullinfo.xml");
        let (mut table, from) = (Table::default(), SocketAddr::from(([127, 0, 0, 1], 16572)));
        let mut receive = |id: u64, text: &str, session: &str| {
            let datagram = format!("{id}\r\n{text}");
            let parsed = take(&mut table, datagram.as_bytes(), from, session, |id| {
                Some(id).filter(|id| (1..=9).contains(id))
            });
            let parsed = parsed.map(|_| ()).map_err(|odd| (odd.field, odd.kind));
            (parsed, table.all().iter().map(|heard| heard.round).collect::<Vec<_>>())
        };
        assert_eq!(receive(10, text, "cap"), (Ok(()), vec![]));
        assert_eq!(receive(1, text, "other"), (Ok(()), vec![]));
        assert_eq!(receive(1, text, "cap"), (Ok(()), vec![1]));
        assert_eq!(receive(4, text, "cap"), (Ok(()), vec![4]));
        assert_eq!(receive(3, text, "cap"), (Ok(()), vec![4]));
        assert_eq!(receive(5, "<info/>", "cap"), (Err(("name", FaultKind::MissingField)), vec![4]));
    }
}
