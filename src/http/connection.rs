//! Connections: who is let in, how long they may take, and how they end.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handshake;
use super::pool::{ActiveRequest, ConnectionPool, IDLE, STREAMS, Slot};
use super::{Answer, Site};
use crate::watched::Watched;

/// Connections at once; for one more, another one ends.
const CONNECTIONS: usize = 256;
/// How long a client's window may stay shut before it is left, so that nobody holds a place for ever. It opens again
/// only when much of it was read: who reads a long reply at less than some 16 kB/s is left, too.
const STUCK: Duration = Duration::from_secs(15);
/// How often a client of HTTP/2 is asked whether it is there.
const ALIVE: Duration = Duration::from_secs(20);
/// How long open requests may take to end when the agent stops.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of the head of a request.
const HEAD: usize = 16 * 1024;
/// Bytes that a client of HTTP/2 may send of bodies before they are read.
const WINDOW: u32 = 64 * 1024;

/// Answers on a bound socket until it is cancelled, then lets open requests end.
pub async fn serve(listener: TcpListener, site: Arc<Site>, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let pool = ConnectionPool::new(CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept_one(&listener, &pool, &site) => accepted,
        };
        let Some(connection) = accepted else {
            // Out of descriptors, most likely: those that are open need some time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (site, slot) = (connection.site.clone(), connection.slot.clone());
        let (watcher, stop) = (graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection.serve(watcher, stop) => {}
                () = slot.leave.cancelled() => {}
                () = slot.overdue() => drop(site.own.connections_ended.inc()),
            }
        });
    }
    site.ended.cancel();
    drop(tokio::time::timeout(GRACE, graceful.shutdown()).await);
}

/// A client that has a place.
struct Connection {
    stream: TcpStream,
    peer: IpAddr,
    slot: Arc<Slot>,
    site: Arc<Site>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

async fn accept_one(
    listener: &TcpListener,
    pool: &Arc<ConnectionPool>,
    site: &Arc<Site>,
) -> Option<Connection> {
    let (stream, peer) = listener.accept().await.ok()?;
    let tls = site.web.load().tls();
    let (slot, crowded) = pool.admit(peer.ip(), tls.is_some()).await?;
    if crowded {
        site.own.connections_ended.inc();
    }
    // A scrape is one write; waiting for more only delays it.
    drop(stream.set_nodelay(true));
    drop(SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK)));
    Some(Connection { stream, peer: peer.ip(), slot, site: site.clone(), tls })
}

impl Connection {
    /// Agrees on keys, if there is TLS, and answers requests. That the agent stops ends a handshake at once.
    async fn serve(self, watcher: Watcher, stop: CancellationToken) {
        let Self { stream, peer, slot, site, tls } = self;
        let Some(tls) = tls else {
            return http1(stream, peer, &slot, &site, watcher).await;
        };
        let shaken = tokio::select! {
            () = stop.cancelled() => return,
            shaken = handshake::shake(stream, tls, &site.own, peer) => shaken,
        };
        let Some(stream) = shaken else { return };
        let multiplexed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        slot.begin(multiplexed);
        if multiplexed {
            http2(stream, peer, &slot, &site, watcher).await;
        } else {
            http1(stream, peer, &slot, &site, watcher).await;
        }
    }
}

async fn http1<S>(stream: S, peer: IpAddr, slot: &Arc<Slot>, site: &Arc<Site>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let receiving = slot.clone();
    let watched = Watched::new(stream, move || receiving.receiving());
    let service = service(peer, slot.clone(), site.clone());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(watched), hyper::service::service_fn(service));
    end(connection, watcher).await;
}

async fn http2<S>(stream: S, peer: IpAddr, slot: &Arc<Slot>, site: &Arc<Site>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service(peer, slot.clone(), site.clone());
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(ALIVE)
        .keep_alive_timeout(STUCK)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD as u32)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(service));
    end(connection, watcher).await;
}

/// Lets a connection go on until it ends. A client that breaks off is its own affair.
async fn end<C: GracefulConnection>(connection: C, watcher: Watcher) {
    drop(watcher.watch(connection).await);
}

/// A request that is being answered.
type Answering = Pin<Box<dyn Future<Output = Result<Response<WatchedBody>, Infallible>> + Send>>;

/// What answers the requests of a connection.
fn service(peer: IpAddr, slot: Arc<Slot>, site: Arc<Site>) -> impl Fn(Request<Incoming>) -> Answering {
    move |request| {
        let (site, slot) = (site.clone(), slot.clone());
        Box::pin(async move {
            let turn = slot.begin_request().await;
            Ok(match site.answer(request, peer).await {
                Answer::Whole(reply) => reply.map(|body| WatchedBody::Whole(Full::new(turn.send(body)))),
                Answer::Live(reply, pieces) => reply.map(|_| WatchedBody::Live { pieces, _turn: turn }),
            })
        })
    }
}

/// Opens the address that `/metrics` is served on. Must be called within the runtime.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// The body of a reply.
enum WatchedBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// Pieces as they come. The connection is busy with them, and gives way as one that is.
    Live { pieces: mpsc::Receiver<Bytes>, _turn: ActiveRequest },
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Live { pieces, .. } => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Live { .. } => SizeHint::default(),
        }
    }
}
