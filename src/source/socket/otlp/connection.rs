//! Connections: HTTP/1.1 and HTTP/2, told apart by their first bytes; how long they may be idle, and how they end.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::receiver::Receiver;
use super::reply::Reply;
use super::{SENT, grpc, http};
use crate::clock::now;
use crate::event::{Body, Clients, FaultKind};
use crate::origin::Stranger;
use crate::quote::quote;
use crate::source::socket::Bound;
use crate::source::socket::client::accept_clients;
use crate::watched::Watched;

/// Seconds of silence after which a connection is left: longer than the minute between two exports.
const IDLE: u32 = 150;
/// How often it is looked whether one is idle.
const LOOK: Duration = Duration::from_secs(15);
/// How long open requests may take to end when the source does.
const GRACE: Duration = Duration::from_secs(5);
/// Calls of one connection at once.
const STREAMS: u32 = 32;
/// Bytes of the headers of a request.
const HEADERS: usize = 16 * 1024;

/// Takes requests on a bound socket until it is cancelled, then lets open ones end.
pub(super) async fn serve(
    bound: &Bound,
    receiver: &Arc<Receiver>,
    stop: &CancellationToken,
    cut: &CancellationToken,
    tasks: &TaskTracker,
) {
    accept_clients(bound, &receiver.feed, stop, |stream, place| {
        let (receiver, cut, inner) = (receiver.clone(), cut.clone(), tasks.clone());
        tasks.spawn(async move {
            match open(stream) {
                Ok(Opened::Tcp(stream)) => connection(stream, true, &receiver, &cut, inner).await,
                Ok(Opened::Unix(stream)) => connection(stream, false, &receiver, &cut, inner).await,
                // It broke off before it was looked at.
                Err(_) => {}
            }
            drop(place);
            receiver.feed.send(Body::Clients(Clients { ended: 1, ..Clients::default() }));
        });
    })
    .await;
}

enum Opened {
    Tcp(TcpStream),
    Unix(UnixStream),
}

fn open(stream: Socket) -> io::Result<Opened> {
    let unix = stream.local_addr()?.is_unix();
    let file = OwnedFd::from(stream);
    if unix {
        return UnixStream::from_std(file.into()).map(Opened::Unix);
    }
    let stream = TcpStream::from_std(file.into())?;
    drop(stream.set_nodelay(true));
    Ok(Opened::Tcp(stream))
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    remote: bool,
    receiver: &Arc<Receiver>,
    cut: &CancellationToken,
    tasks: TaskTracker,
) {
    let active = Arc::new(AtomicU32::new(now().steady_second()));
    let came = active.clone();
    let stream = Watched::new(stream, move || came.store(now().steady_second(), Ordering::Relaxed));
    let mut server = auto::Builder::new(Tracked(tasks));
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(IDLE.into()))
        .max_buf_size(HEADERS);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(16 * 1024)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(Some(Duration::from_secs(60)))
        .keep_alive_timeout(SENT);
    let answers = receiver.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let receiver = answers.clone();
        async move { Ok::<_, Infallible>(answer(&receiver, request, remote).await) }
    });
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A client that breaks off is its own affair.
        ended = connection.as_mut() => return drop(ended),
        () = idle(&active) => return,
        () = cut.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(GRACE, connection).await);
}

/// Waits until nothing came for a while.
async fn idle(active: &AtomicU32) {
    while now().steady_second().saturating_sub(active.load(Ordering::Relaxed)) <= IDLE {
        tokio::time::sleep(LOOK).await;
    }
}

/// The one way that every request goes. Who asks over a socket in the file system is no browser.
async fn answer<B: HttpBody + Unpin>(
    receiver: &Arc<Receiver>,
    request: Request<B>,
    remote: bool,
) -> hyper::Response<Reply> {
    let (request, body) = request.into_parts();
    let names = &receiver.names;
    let here = names.named(&request.uri, &request.headers);
    let may = here.and_then(|host| names.no_other_page(host, &request.headers));
    let call = grpc::is_call(&request.headers);
    if let (Err(stranger), true) = (may, remote) {
        let why = match stranger {
            Stranger::Host => "the request has no Host, or one that is none".to_owned(),
            Stranger::Name(name) => format!("the agent is not known as {name}; add it to http.hosts"),
            Stranger::Page(page) => format!("pages of {page} may not send here"),
        };
        let feed = &receiver.feed;
        say!(feed, warn, "a request was refused", why = %quote(&why));
        receiver.refuse(FaultKind::BadValue, 0);
        return if call {
            grpc::failed(http::code::PERMISSION_DENIED, &why)
        } else {
            http::forbidden(&request.headers, &why)
        };
    }
    if call {
        grpc::answer(receiver, &request, body).await
    } else {
        http::answer(receiver, &request, body).await
    }
}

/// Runs what HTTP/2 has to run beside a connection, among the tasks of the source.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
