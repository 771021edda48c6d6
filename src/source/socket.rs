//! Sockets that listen: UDP, TCP, Unix streams and Unix datagrams.
//!
//! Binding is apart from serving, so that a taken address is known before anything runs and a
//! socket can outlive a change of settings. It does not know what the bytes mean.

use std::cell::RefCell;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Feed, now};
use crate::decode::Decoder;
use crate::event::{Body, Clients, Fault, FaultKind, Link, SocketState, Timestamp};
use crate::listen::Listen;
use crate::sys;

/// The longest datagram: a UDP payload has at most 65,507 bytes.
const DATAGRAM: usize = 65_536;
/// Bytes of datagrams that are decoded under one lock.
const BATCH: usize = 64 * 1024;
/// Datagrams that are decoded under one lock.
const READS: u64 = 4096;
/// Bytes of a stream that are read and decoded under one lock.
const READ: usize = 64 * 1024;

/// How sockets are opened and how many may speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Receive buffer to ask for, bytes.
    pub receive_buffer: usize,
    /// Permission bits of a Unix socket's file.
    pub mode: u32,
    /// Group of a Unix socket's file.
    pub group: Option<String>,
    /// Connections open at once.
    pub connections: usize,
    /// How often the kernel is asked what it dropped.
    pub ask: Duration,
}

/// A bound socket. A Unix socket's file is removed when it is dropped.
#[derive(Debug)]
pub struct Bound {
    socket: Opened,
    /// As it was opened.
    options: Options,
    /// Drops that were reported already, so that a socket which outlives its reader does not
    /// report them twice.
    reported: AtomicU64,
    file: Option<PathBuf>,
    /// Where it listens, as configured.
    listen: String,
    open: AtomicU64,
    /// Held by whoever reads datagrams: a socket is watched once, so the next reader waits for the last.
    reader: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum Opened {
    Datagrams(Socket),
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Somebody else may have removed it; there is nothing to do about it.
            drop(std::fs::remove_file(file));
        }
    }
}

impl Bound {
    /// How it was opened. A reload shares an open socket and cannot change this.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether clients connect to it, rather than send datagrams.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.socket, Opened::Tcp(_) | Opened::Unix(_))
    }
}

/// Opens a socket. `activated` are those that systemd opened; the one named is taken out.
///
/// Must be called within the runtime.
///
/// # Errors
/// What could not be done; the address is not in the text.
pub fn bind(listen: &Listen, options: &Options, activated: &mut Vec<(String, OwnedFd)>) -> io::Result<Bound> {
    let mut file = None;
    let opened = match listen {
        Listen::Udp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, None)?;
            socket.bind(&(*address).into())?;
            Opened::Datagrams(nonblocking(socket)?)
        }
        Listen::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            // A restart must not wait for connections that linger; it still refuses a taken port.
            socket.set_reuse_address(true)?;
            socket.bind(&(*address).into())?;
            socket.listen(1024)?;
            Opened::Tcp(TcpListener::from_std(nonblocking(socket)?.into())?)
        }
        Listen::Unix(path) => {
            clear_the_way(path, Type::STREAM)?;
            let listener = UnixListener::bind(path)?;
            file = Some(path.clone());
            admit(path, options)?;
            Opened::Unix(listener)
        }
        Listen::UnixDatagram(path) => {
            clear_the_way(path, Type::DGRAM)?;
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            file = Some(path.clone());
            admit(path, options)?;
            Opened::Datagrams(nonblocking(socket)?)
        }
        Listen::Systemd(name) => {
            let place = activated.iter().position(|(n, _)| n == name);
            let Some(place) = place else {
                let known: Vec<&str> = activated.iter().map(|(n, _)| n.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(io::Error::other(format!(
                    "systemd passed no socket of this name (it passed: {known})"
                )));
            };
            adopt(activated.swap_remove(place).1)?
        }
    };
    if let Opened::Datagrams(socket) = &opened {
        socket.set_recv_buffer_size(options.receive_buffer)?;
    }
    Ok(Bound {
        socket: opened,
        options: options.clone(),
        reported: AtomicU64::new(0),
        file,
        listen: listen.to_string(),
        open: AtomicU64::new(0),
        reader: tokio::sync::Mutex::new(()),
    })
}

fn nonblocking(socket: Socket) -> io::Result<Socket> {
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes a socket that somebody else opened, of whatever kind it is.
fn adopt(fd: OwnedFd) -> io::Result<Opened> {
    let socket = nonblocking(Socket::from(fd))?;
    let unix = socket.local_addr()?.is_unix();
    Ok(match (socket.r#type()?, unix) {
        (Type::DGRAM, _) => Opened::Datagrams(socket),
        (_, true) => Opened::Unix(UnixListener::from_std(OwnedFd::from(socket).into())?),
        (_, false) => Opened::Tcp(TcpListener::from_std(socket.into())?),
    })
}

/// Removes the socket file that a crash left behind: only if it is a socket and nobody answers.
fn clear_the_way(path: &Path, kind: Type) -> io::Result<()> {
    let Ok(there) = std::fs::symlink_metadata(path) else {
        return match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder),
            _ => Ok(()),
        };
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket has this path",
        ));
    }
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(e) if e.raw_os_error() == Some(libc::EPROTOTYPE) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "a socket of another kind is in use under this path",
        )),
        Err(e) => Err(e),
        Ok(()) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
    }
}

/// Sets who may write to a Unix socket.
fn admit(path: &Path, options: &Options) -> io::Result<()> {
    if let Some(name) = &options.group {
        let group = group_id(name).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no group \"{name}\""))
        })?;
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(options.mode))
}

fn group_id(name: &str) -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    name.parse().ok().or_else(|| {
        groups
            .lines()
            .map(|l| l.split(':'))
            .find_map(|mut l| if l.next()? == name { l.nth(1)?.parse().ok() } else { None })
    })
}

/// Makes the decoder of one connection or datagram socket.
pub type NewDecoder = dyn Fn() -> Box<dyn Decoder> + Send + Sync;

/// Reads a bound socket until told to stop.
///
/// `stop` ends the reading of datagrams and the accepting of connections; `cut` ends open
/// connections as well. Connections run on `tracker`.
pub async fn serve(
    bound: Arc<Bound>,
    new_decoder: Arc<NewDecoder>,
    feed: Feed,
    stop: CancellationToken,
    cut: CancellationToken,
    tracker: TaskTracker,
) {
    feed.send(Body::Link(Link::Up));
    match &bound.socket {
        Opened::Datagrams(socket) => {
            if let Err(error) = datagrams(&bound, socket, &*new_decoder, &feed, &stop).await {
                tracing::error!(source = feed.name(), %error, "cannot read the socket any more");
                feed.send(Body::Link(Link::Down));
            }
        }
        Opened::Tcp(_) | Opened::Unix(_) => {
            clients(&bound, &new_decoder, &feed, &stop, &cut, &tracker).await;
        }
    }
}

async fn datagrams(
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
    // What the kernel already has was sent to us, so it counts. A sender that goes on is left behind.
    for _ in 0..=bound.options.receive_buffer / BATCH {
        if !drain(socket, &mut batch, decoder.as_mut(), feed).1 {
            break;
        }
    }
    report_kernel(bound, socket, feed);
    Ok(())
}

/// Tells when there is something to read.
struct Watch<'s>(AsyncFd<BorrowedFd<'s>>);

impl<'s> Watch<'s> {
    #[expect(
        deprecated,
        reason = "sound for a borrowed descriptor, which cannot be closed while it is watched"
    )]
    fn new(socket: BorrowedFd<'s>) -> io::Result<Self> {
        AsyncFd::with_interest(socket, Interest::READABLE).map(Self)
    }
}

/// Waits until there is something to read or, without a watch, until the next look.
async fn ready(watch: Option<&Watch<'_>>) -> io::Result<()> {
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
struct Pace {
    fast: bool,
    looks: u32,
    reads: u64,
    since: Timestamp,
}

impl Pace {
    /// Looks after which the pace is thought over.
    const ROUND: u32 = 32;

    /// Takes one look that found so many reads; says whether to look by the clock from now on.
    fn fast(&mut self, at: Timestamp, reads: u64, crowded: bool) -> bool {
        self.looks += 1;
        self.reads += reads;
        if crowded {
            *self = Self { since: at, ..Self::default() };
        } else if self.looks == Self::ROUND {
            let took = Duration::from_nanos(at.0.saturating_sub(self.since.0));
            let fast =
                if self.fast { self.reads > u64::from(Self::ROUND) } else { took < LOOK * Self::ROUND };
            *self = Self { fast, since: at, ..Self::default() };
        }
        self.fast
    }
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
        feed.take(at, batch.get(..used).unwrap_or_default(), reads, decoder);
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

async fn clients(
    bound: &Arc<Bound>,
    new_decoder: &Arc<NewDecoder>,
    feed: &Feed,
    stop: &CancellationToken,
    cut: &CancellationToken,
    tracker: &TaskTracker,
) {
    feed.send(Body::Clients(Clients::default()));
    let admit = |stream| admit_client(stream, bound, new_decoder, feed, cut, tracker);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&bound.socket) => accepted,
        };
        match accepted {
            Ok(stream) => admit(stream),
            // Out of descriptors, most likely: those that are open need some time to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    // Who had connected before the end may have sent, so it counts.
    for stream in std::iter::from_fn(|| waiting(&bound.socket).ok()).take(WAITING) {
        admit(stream);
    }
}

/// Hears one more client, if there is room for it.
fn admit_client(
    stream: Socket,
    bound: &Arc<Bound>,
    new_decoder: &Arc<NewDecoder>,
    feed: &Feed,
    cut: &CancellationToken,
    tracker: &TaskTracker,
) {
    if bound.open.load(Ordering::Relaxed) >= bound.options.connections as u64 {
        drop(stream);
        feed.send(Body::Clients(Clients { refused: 1, ..Clients::default() }));
        return;
    }
    bound.open.fetch_add(1, Ordering::Relaxed);
    feed.send(Body::Clients(Clients { accepted: 1, ..Clients::default() }));
    let (mut decoder, feed, cut, bound) = (new_decoder(), feed.connection(), cut.clone(), bound.clone());
    tracker.spawn(async move {
        // However it ended: what was read counts, and what was left over is told.
        drop(connection(&stream, decoder.as_mut(), &feed, &cut).await);
        feed.end(now(), decoder.as_mut());
        bound.open.fetch_sub(1, Ordering::Relaxed);
        feed.send(Body::Clients(Clients { ended: 1, ..Clients::default() }));
    });
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
                Ok(_) if decoder.broken() => return Ok(()),
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

/// Reads of one stream before others have their turn.
const TURN: u64 = 8;
/// Clients that are still accepted when a source ends: what a listener's queue holds.
const WAITING: usize = 1024;
/// Reads of one stream when the agent stops: what a socket's buffer can hold.
const LAST: usize = 128;
/// Bytes of a stream between two looks that are no reason to hurry. As lines of 90 bytes, each a write of its
/// own, they fill two thirds of the buffer that a Unix socket has by default.
const CROWD: usize = 16 * 1024;

fn read(mut stream: &Socket, decoder: &mut dyn Decoder, feed: &Feed) -> io::Result<usize> {
    BUFFER.with_borrow_mut(|buffer| {
        let n = stream.read(buffer)?;
        if n > 0 {
            feed.take(now(), buffer.get(..n).unwrap_or_default(), 1, decoder);
        }
        Ok(n)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Protocol;
    use crate::hub::Hub;

    /// What fills several batches is read to its end, also when nothing comes after it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_last_datagram_of_a_burst_does_not_wait_for_the_next() {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
        let options = Options {
            receive_buffer: 4 << 20,
            mode: 0o600,
            group: None,
            connections: 1,
            ask: Duration::from_secs(3600),
        };
        let bound = bind(&"udp://127.0.0.1:0".parse().unwrap(), &options, &mut Vec::new()).unwrap();
        let Opened::Datagrams(socket) = &bound.socket else { panic!("a datagram socket") };
        let to = socket.local_addr().unwrap().as_socket().unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let lines = "burst:1|c\n".repeat(100);
        for _ in 0..400 {
            sender.send_to(lines.as_bytes(), to).unwrap();
        }
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let new_decoder: Arc<NewDecoder> = Arc::new(|| Protocol::Statsd.decoder());
        let tracker = TaskTracker::new();
        let reader = tokio::spawn(serve(Arc::new(bound), new_decoder, feed, stop.clone(), cut, tracker));
        let counted = || hub.lock().registry.number("burst", "");
        for _ in 0..200 {
            if counted() == Some(40_000.0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(counted(), Some(40_000.0));
        stop.cancel();
        reader.await.unwrap();
    }
}
