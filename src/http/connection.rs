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
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::pool::{ActiveRequest, ConnectionPool, Slot};
use super::{Answer, Site};
use crate::watched::Watched;

/// Connections at once; for one more, another one ends.
const CONNECTIONS: usize = 256;
/// How long a connection may be idle: longer than the minute that the slowest scrapers leave between two requests.
const IDLE: Duration = Duration::from_secs(65);
/// How long a client's window may stay shut before it is left, so that nobody holds a place for ever. It opens again
/// only when much of it was read: who reads a long reply at less than some 16 kB/s is left, too.
const STUCK: Duration = Duration::from_secs(15);
/// How long open requests may take to end when the agent stops.
const GRACE: Duration = Duration::from_secs(5);

/// Answers on a bound socket until it is cancelled, then lets open requests end.
pub async fn serve(listener: TcpListener, site: Arc<Site>, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let pool = ConnectionPool::new(CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept_one(&listener, &pool) => accepted,
        };
        let Some((stream, peer, slot, crowded)) = accepted else {
            // Out of descriptors, most likely: those that are open need some time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if crowded {
            site.own.connections_ended.inc();
        }
        // A scrape is one write; waiting for more only delays it.
        drop(stream.set_nodelay(true));
        drop(SockRef::from(&stream).set_tcp_user_timeout(Some(STUCK)));
        let (answers, asking) = (site.clone(), slot.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (site, slot) = (answers.clone(), asking.clone());
            async move {
                let turn = slot.begin_request().await;
                Ok::<_, Infallible>(match site.answer(request, peer).await {
                    Answer::Whole(reply) => reply.map(|body| WatchedBody::Whole(Full::new(turn.send(body)))),
                    Answer::Live(reply, pieces) => reply.map(|_| WatchedBody::Live { pieces, _turn: turn }),
                })
            }
        });
        let receiving = slot.clone();
        let watched = Watched::new(stream, move || receiving.receiving());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(watched), service);
        let connection = graceful.watch(connection);
        let site = site.clone();
        tokio::spawn(async move {
            tokio::select! {
                // A client that breaks off is its own affair.
                ended = connection => drop(ended),
                () = slot.leave.cancelled() => {}
                () = slot.overdue() => drop(site.own.connections_ended.inc()),
            }
        });
    }
    site.ended.cancel();
    drop(tokio::time::timeout(GRACE, graceful.shutdown()).await);
}

async fn accept_one(
    listener: &TcpListener,
    pool: &Arc<ConnectionPool>,
) -> Option<(TcpStream, IpAddr, Arc<Slot>, bool)> {
    let (stream, peer) = listener.accept().await.ok()?;
    let (slot, crowded) = pool.admit(peer.ip()).await?;
    Some((stream, peer.ip(), slot, crowded))
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
