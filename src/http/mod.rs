//! The routes and their one match.
//!
//! `/metrics` reads memory alone and cannot fail. Every request has limits: time for its head,
//! size of its body, connections at once.

mod accept;
mod guests;
mod page;
mod provision;
mod reply;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use provision::Catalogue;

use guests::{Guest, Guests};

use crate::hub::Hub;
use crate::metrics::{Answered, Format, Own, Refused};
use crate::source::now;

/// Connections at once; for one more, the one that is idle for longest ends.
const CONNECTIONS: usize = 256;
/// How long a client may take for the head of its request, the pause before it included: longer
/// than the minute that the slowest scrapers leave between two requests on one connection.
const HEAD: Duration = Duration::from_secs(65);
/// How long a client's window may stay shut before it is left, so that nobody holds a place for ever. It opens again
/// only when much of it was read: who reads a long reply at less than some 16 kB/s is left, too.
const STUCK: Duration = Duration::from_secs(15);
/// How long open requests may take to end when the agent stops.
const GRACE: Duration = Duration::from_secs(5);

type Reply = Response<Full<Bytes>>;

/// Somebody asks for a reload; the answer is what was wrong, if something was.
pub type Reload = oneshot::Sender<Result<String, String>>;

/// A source as the landing page lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it is: `jsonl`, `scrape`.
    pub kind: &'static str,
    /// Where it listens or asks.
    pub place: String,
    /// Why it could not be opened, if it could not.
    pub trouble: Option<String>,
}

/// What `/-/healthy` answers.
pub const HEALTHY: &str = "the agent is up\n";

/// What the routes answer from.
#[derive(Debug)]
pub struct Site {
    hub: Arc<Hub>,
    own: Arc<Own>,
    reload: mpsc::Sender<Reload>,
    /// The sources that run.
    pub sources: ArcSwap<Vec<Listed>>,
    /// What the files are generated from.
    pub catalogue: ArcSwap<Catalogue>,
    buffers: reply::Buffers,
    rendered: provision::Rendered,
}

impl Site {
    /// A site of this hub.
    #[must_use]
    pub fn new(hub: Arc<Hub>, own: Arc<Own>, reload: mpsc::Sender<Reload>) -> Arc<Self> {
        let (sources, catalogue) = (ArcSwap::default(), ArcSwap::default());
        let (buffers, rendered) = (reply::Buffers::default(), provision::Rendered::default());
        Arc::new(Self { hub, own, reload, sources, catalogue, buffers, rendered })
    }

    async fn answer(&self, request: &Request<Incoming>) -> Reply {
        let (method, path) = (request.method(), request.uri().path());
        let get = method == Method::GET || method == Method::HEAD;
        let (known, reply) = match path {
            "/metrics" if get => ("/metrics", self.metrics(request)),
            "/" if get => ("/", reply::html(self.landing())),
            "/-/healthy" if get => ("/-/healthy", reply::text(StatusCode::OK, HEALTHY)),
            // Every listener is bound before the server runs, so whoever gets an answer gets this one.
            "/-/ready" if get => ("/-/ready", reply::text(StatusCode::OK, "every listener is bound\n")),
            "/-/reload" if method == Method::POST || method == Method::PUT => {
                ("/-/reload", self.reload().await)
            }
            "/-/reload" => ("/-/reload", reply::not_allowed("POST, PUT")),
            "/api/v1/sd" if get => ("/api/v1/sd", provision::targets(request)),
            _ if provision::is(path) && get => ("/provision", self.file(path).await),
            _ if provision::is(path) => ("other", reply::not_allowed("GET, HEAD")),
            "/metrics" | "/" | "/api/v1/sd" | "/-/healthy" | "/-/ready" => {
                ("other", reply::not_allowed("GET, HEAD"))
            }
            _ => (
                "other",
                reply::text(StatusCode::NOT_FOUND, "there is nothing here; / lists what there is\n"),
            ),
        };
        let status = reply.status().as_u16();
        self.own.requests.get_or_create_owned(&Answered { path: known, status }).inc();
        reply
    }

    fn landing(&self) -> String {
        let refused = self.own.config_successful.get() == 0;
        page::landing(&self.hub, &self.sources.load(), refused)
    }

    fn metrics(&self, request: &Request<Incoming>) -> Reply {
        #[expect(clippy::disallowed_methods, reason = "how long a scrape takes is measured here")]
        let began = Instant::now();
        let wanted = accept::format(request.headers());
        let mut out = self.buffers.take();
        self.refresh();
        self.own.time.set(now().wall_seconds());
        self.hub.write(wanted.format, &mut out);
        self.own.write(wanted.format, &mut out);
        if wanted.format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        self.own.scrape_size.set(i64::try_from(out.len()).unwrap_or(i64::MAX));
        let gzip = accept::gzip(request.headers());
        let body = if gzip { self.buffers.compress(out) } else { self.buffers.lend(out) };
        self.own.scrape_duration.observe(began.elapsed().as_secs_f64());
        reply::exposition(body, &wanted.content_type, gzip)
    }

    /// Brings the agent's own metrics up to date with the hub.
    fn refresh(&self) {
        let state = self.hub.lock();
        self.own.series.set(i64::try_from(state.registry.len()).unwrap_or(i64::MAX));
        for (family, refused) in state.registry.refusals() {
            let counter = self.own.refused.get_or_create_owned(&Refused { family: family.to_owned() });
            counter.inc_by(refused.saturating_sub(counter.get()));
        }
    }

    async fn reload(&self) -> Reply {
        let (answer, wait) = oneshot::channel();
        if self.reload.try_send(answer).is_err() {
            return reply::text(StatusCode::SERVICE_UNAVAILABLE, "a reload is already under way\n");
        }
        match wait.await {
            Ok(Ok(done)) => reply::text(StatusCode::OK, &format!("{done}\n")),
            Ok(Err(why)) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}\n")),
            Err(_) => reply::text(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping\n"),
        }
    }
}

/// Answers on a bound socket until told to stop, then lets open requests end.
pub async fn serve(listener: TcpListener, site: Arc<Site>, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let guests = Guests::new(CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept_one(&listener, &guests) => accepted,
        };
        let Some((stream, guest, crowded)) = accepted else {
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
        let (site, asking) = (site.clone(), guest.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (site, guest) = (site.clone(), asking.clone());
            async move {
                guest.work();
                let reply = site.answer(&request).await;
                guest.rest();
                Ok::<_, Infallible>(reply)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // A client that breaks off is its own affair.
                ended = connection => drop(ended),
                () = guest.leave.cancelled() => {}
            }
        });
    }
    drop(tokio::time::timeout(GRACE, graceful.shutdown()).await);
}

async fn accept_one(
    listener: &TcpListener,
    guests: &Arc<Guests>,
) -> Option<(tokio::net::TcpStream, Arc<Guest>, bool)> {
    let (stream, _) = listener.accept().await.ok()?;
    let (guest, crowded) = guests.admit().await?;
    Some((stream, guest, crowded))
}

/// Opens the address that `/metrics` is served on. Must be called within the runtime.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
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

/// The header that says which formats a reply depends on.
const VARY: (header::HeaderName, &str) = (header::VARY, "Accept, Accept-Encoding");
