//! What there is to fetch, and the answers.
//!
//! `/metrics` reads memory alone and cannot fail. Every request has limits: time for its head and its reply, size of
//! its body, connections at once. Who may ask for what is said by the gate alone.

mod accept;
mod alert_page;
mod api;
mod benchmarks;
mod components;
mod connect;
mod connection;
mod disk;
mod exposition;
mod former;
mod gate;
mod handshake;
mod incident_page;
mod incident_path;
mod incidents;
mod inside;
mod openapi;
mod page;
mod pool;
mod preview;
mod provision;
mod reply;
mod routes;
mod sessions;
mod silences;
mod tasks;
mod view;
mod web_config;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, header};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use crate::origin::Names;
pub use benchmarks::Benchmarks;
pub use connection::{bind, serve};
pub use handshake::NO_TLS;
pub use inside::LastLines;
pub use provision::Catalogue;
pub use web_config::WebConfig;

use api::Parameters;
use disk::Places;
use gate::{Pass, Refusal};
use reply::Form;
use routes::{Route, RouteMatch};

use crate::alert::Group;
use crate::alert::health::Elsewhere;
use crate::alert::incident::Desk;
use crate::clock::now;
use crate::hub::Hub;
use crate::listen::network;
use crate::metrics::{Answered, OfCertificate, Own, UNSHAKEN, Unshaken};
use crate::promql::Storage;
use crate::view::html::{self, InEffect};
use crate::view::report;

/// Bytes of a request's body: a form with a query at most. It is always read to its end, so that the connection can
/// continue.
const BODY: usize = 64 * 1024;
/// Bytes of a message of an Alertmanager: a few thousand alerts.
const MESSAGE: usize = 8 << 20;
/// Messages that are read at once; others wait.
const MESSAGES: usize = 4;
/// How long a body may take.
const SENT: Duration = Duration::from_secs(10);

type Reply = Response<Bytes>;

/// What a client gets.
#[derive(Debug)]
enum Answer {
    /// All of it.
    Whole(Reply),
    /// A head, and pieces for as long as the client reads them.
    Live(Reply, mpsc::Receiver<Bytes>),
}

/// A request to reload; the reply is the error, if it failed.
pub type Reload = oneshot::Sender<Result<String, String>>;

/// A source as the page of sources lists it.
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

/// What an agent with users answers who names none.
pub const UNKNOWN: &str = "a user and a password are required\n";

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
    /// The names under which the agent is reached.
    pub names: ArcSwap<Names>,
    /// What answers questions about the past.
    pub history: OnceLock<Arc<dyn Storage>>,
    /// What forgets the past.
    pub forget: OnceLock<Forget>,
    /// Shows each group of rules that the agent evaluates.
    pub rules: ArcSwapOption<Groups>,
    /// What another server says that evaluates them in the agent's place.
    pub elsewhere: ArcSwapOption<Elsewhere>,
    /// Who holds the incidents.
    pub incidents: ArcSwapOption<Incidents>,
    /// Where the benchmarks are kept.
    pub benchmarks: ArcSwapOption<Benchmarks>,
    /// TLS, users, headers and rate.
    web: ArcSwap<WebConfig>,
    /// What is said of addresses that other machines reach without TLS or without authentication.
    pub open: ArcSwapOption<String>,
    logins: Arc<web_config::Logins>,
    messages: Semaphore,
    /// Who is notified, and how that went.
    pub notified: ArcSwapOption<Deliveries>,
    /// The silences that the agent keeps itself.
    pub silencer: ArcSwapOption<Silencer>,
    /// What the agent does from time to time.
    pub tasks: ArcSwapOption<Tasks>,
    /// Who holds the sessions.
    pub sessions: ArcSwapOption<Sessions>,
    /// The configuration in effect, for people.
    pub config: ArcSwap<InEffect>,
    /// The last lines of the log.
    pub log: OnceLock<LastLines>,
    views: view::Views,
    /// Cancelled when the server ends, so that replies that go on end as well.
    ended: CancellationToken,
    queries: Places,
    pages: Places,
    buffers: reply::Buffers,
    rendered: provision::Rendered,
}

/// A receiver of notifications, for the page.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What it is, and which one.
    pub receiver: String,
    /// Whether it did not take what was sent last.
    pub failing: bool,
    /// What it took.
    pub sent: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// What waits for it.
    pub waiting: usize,
}

/// Lists the receivers of notifications.
pub struct Deliveries(pub Box<dyn Fn() -> Vec<Delivered> + Send + Sync>);

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deliveries")
    }
}

pub use sessions::Sessions;
pub use silences::Silencer;
pub use tasks::{Begin, NotBegun, Tasks};

/// Shows one group of rules after the other.
pub type Visit = dyn Fn(&mut dyn FnMut(&Group)) + Send + Sync;

/// The groups of rules that the agent evaluates.
pub struct Groups(pub Box<Visit>);

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Groups")
    }
}

/// Forgets what is older than so many days; gives how many pieces went.
pub struct Forget(pub Box<dyn Fn(u64) -> Result<u64, String> + Send + Sync>);

impl std::fmt::Debug for Forget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forget")
    }
}

/// Who holds the incidents.
pub struct Incidents(pub Box<dyn Desk>);

impl std::fmt::Debug for Incidents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Incidents")
    }
}

impl Site {
    /// A site of this hub.
    #[must_use]
    pub fn new(hub: Arc<Hub>, own: Arc<Own>, reload: mpsc::Sender<Reload>) -> Arc<Self> {
        let (sources, catalogue) = (ArcSwap::default(), ArcSwap::default());
        let (names, buffers) = (ArcSwap::default(), reply::Buffers::default());
        let rendered = provision::Rendered::default();
        let (history, rules) = (OnceLock::new(), ArcSwapOption::empty());
        let notified = ArcSwapOption::empty();
        Arc::new(Self {
            hub,
            own,
            reload,
            sources,
            catalogue,
            names,
            history,
            forget: OnceLock::new(),
            rules,
            incidents: ArcSwapOption::empty(),
            benchmarks: ArcSwapOption::empty(),
            web: ArcSwap::default(),
            open: ArcSwapOption::empty(),
            logins: Arc::default(),
            messages: Semaphore::new(MESSAGES),
            notified,
            silencer: ArcSwapOption::empty(),
            elsewhere: ArcSwapOption::empty(),
            tasks: ArcSwapOption::empty(),
            sessions: ArcSwapOption::empty(),
            config: ArcSwap::default(),
            log: OnceLock::new(),
            views: view::Views::default(),
            ended: CancellationToken::new(),
            queries: Places::new(api::AT_ONCE),
            pages: Places::new(view::AT_ONCE),
            buffers,
            rendered,
        })
    }

    /// Serves by another web configuration from now on: new connections by its TLS, each request by its users.
    pub fn set_web(&self, mut web: WebConfig) {
        web.follow(&self.web.load());
        web.forget_others(&self.logins);
        let ends = &self.own.certificate_ends;
        ends.clear();
        if let Some(at) = web.certificate_ends() {
            ends.get_or_create_owned(&OfCertificate { certificate: "server" }).set(at as f64);
        }
        if web.has_tls() {
            for reason in UNSHAKEN {
                drop(self.own.handshakes_failed.get_or_create_owned(&Unshaken { reason }));
            }
        }
        self.own.web_successful.set(1);
        self.web.store(Arc::new(web));
    }

    /// The web configuration in effect.
    #[must_use]
    pub fn web(&self) -> Arc<WebConfig> {
        self.web.load_full()
    }

    /// The one way that every request goes: who asks is known, its body is read, the gate judges it, its route answers.
    async fn answer<B>(self: &Arc<Self>, request: Request<B>, peer: IpAddr) -> Answer
    where
        B: Body<Error: std::error::Error + Send + Sync + 'static>,
    {
        let (mut request, body) = request.into_parts();
        name_host(&mut request);
        let found = routes::find(request.uri.path());
        let (web, form) = (self.web.load_full(), found.map_or(Form::Text, |found| found.row.form));
        let admitted = web.admit(&self.logins, &request.headers, network(peer), form).await;
        let mut reply = match admitted {
            Ok(()) => self.answer_known(found, &request, body, peer).await,
            Err(refused) => refused,
        };
        web.dress(&mut reply);
        let (path, status) = (found.map_or("other", |found| found.row.label), reply.status().as_u16());
        self.own.requests.get_or_create_owned(&Answered { path, status }).inc();
        let route = found.map(|found| found.row.route);
        let goes_on = reply.status().is_success() && request.method != hyper::Method::HEAD;
        if route == Some(Route::Realtime) && goes_on && accept::events(&request.headers) {
            return Answer::Live(reply, self.live_realtime());
        }
        if route == Some(Route::Live) && goes_on {
            let wanted = Parameters::read(&request, &[]).get("preview").map(str::to_owned);
            let pieces = wanted.map_or_else(|| self.live(), |device| self.live_preview(device));
            return Answer::Live(reply, pieces);
        }
        Answer::Whole(reply)
    }

    /// Answers who may ask at all.
    async fn answer_known<B>(
        self: &Arc<Self>,
        found: Option<RouteMatch<'_>>,
        request: &Parts,
        body: B,
        peer: IpAddr,
    ) -> Reply
    where
        B: Body<Error: std::error::Error + Send + Sync + 'static>,
    {
        let large = found.is_some_and(|found| found.row.is_large());
        let turn = if large { self.messages.acquire().await.ok() } else { None };
        let reply = match (found, read(body, if large { MESSAGE } else { BODY }).await) {
            (_, Err(refused)) => refused,
            (None, Ok(_)) => nothing_there(request.uri.path()),
            (Some(found), Ok(body)) => {
                let names = self.names.load();
                match names.check(found.row, &request.method, &request.uri, &request.headers, peer) {
                    Ok(pass) => self.answer_route(found, request, &body, pass).await,
                    Err(refusal) => refused(&refusal, found.row.form),
                }
            }
        };
        drop(turn);
        reply
    }

    // Long: an arm for each route.
    async fn answer_route(
        self: &Arc<Self>,
        found: RouteMatch<'_>,
        request: &Parts,
        body: &[u8],
        pass: Pass,
    ) -> Reply {
        if let Some(reply) = unlike_its_row(found, request, body) {
            return reply;
        }
        match found.row.route {
            Route::Metrics => self.metrics(&request.headers),
            Route::Landing => self.first_page().await,
            Route::Card => self.card_page(request).await,
            Route::Alert => self.alert_page(request).await,
            Route::Incident => self.incident_page(request).await,
            Route::Config => self.config_page(),
            Route::Log => self.log_page(),
            Route::Preview => self.preview_json(request),
            Route::Connect => reply::page(connect::page(&request.headers, self.web.load().has_tls())),
            Route::Snapshot => self.snapshot_json(request).await,
            Route::Devices => self.components("device", "devices", request).await,
            Route::Device => self.component("device", "devices", found.decoded()).await,
            Route::Pipelines => self.components("pipeline", "pipelines", request).await,
            Route::Pipeline => self.component("pipeline", "pipelines", found.decoded()).await,
            Route::Realtime => self.realtime(request).await,
            Route::Former(asked) => self.former(asked, found, request, body).await,
            Route::Style => reply::asset("text/css; charset=utf-8", html::STYLE),
            Route::Script => reply::asset("text/javascript; charset=utf-8", html::SCRIPT),
            Route::Live => reply::events(),
            Route::Sources => {
                // It waits for a rule that is being evaluated.
                let site = self.clone();
                let page = self.page_work(move || site.sources_page()).await;
                page.map_or_else(|why| why.reply(Form::Text), reply::page)
            }
            Route::Healthy => reply::text(StatusCode::OK, HEALTHY),
            // Every listener is bound before the server runs, so a client that gets an answer gets this one.
            Route::Ready => reply::text(StatusCode::OK, "every listener is bound\n"),
            Route::Targets => provision::targets(&request.headers, self.web.load().has_tls()),
            Route::Files | Route::Runbooks => self.file(&request.headers, request.uri.path()).await,
            Route::Reload => self.reload(pass).await,
            Route::Api(endpoint) => self.api(endpoint, found.decoded(), request, body).await,
            Route::Incidents => self.read_incidents(request).await,
            Route::IncidentChange(change) => {
                self.change_incident((change, found.part), request, body, pass).await
            }
            Route::Webhook => self.take_message(request, body, pass).await,
            Route::Silences => self.silence(None, request, body, pass),
            Route::Silence => self.silence(Some(found.part), request, body, pass),
            Route::Benchmarks(asked) => self.benchmarks((asked, found.part), request, body, pass).await,
            Route::Regressions => self.regressions(request).await,
            Route::Tasks => self.list_tasks(),
            Route::Sessions if request.method == hyper::Method::POST => {
                self.start_session(request, body, pass)
            }
            Route::Sessions => self.list_sessions(request),
            Route::Session => self.one_session(&found.decoded().unwrap_or_default()),
            Route::SessionStop => self.stop_session(&found.decoded().unwrap_or_default(), pass),
            Route::ReportSchema => reply::json(StatusCode::OK, report::schema().to_string()),
            Route::TaskRun => self.begin_task(found.part, pass),
            Route::OpenApi => openapi::document(&request.headers),
        }
    }

    fn sources_page(&self) -> String {
        let mut alerts = page::Alerts::default();
        let (open, notes) = self.open_incidents();
        let kept = self.incidents.load().is_some();
        let incidents = page::Incidents { open: kept.then_some(open), notes, at: now().wall_milliseconds() };
        if let Some(Groups(visit)) = self.rules.load().as_deref() {
            visit(&mut |group| alerts.take(group));
        }
        if let Some(elsewhere) = self.elsewhere.load().as_deref() {
            alerts.hear(elsewhere);
        }
        if let Some(Deliveries(list)) = self.notified.load().as_deref() {
            alerts.notified = list();
        }
        page::sources(&self.hub, &self.sources.load(), &self.trouble(), &(alerts, incidents))
    }

    async fn reload(&self, _: Pass) -> Reply {
        let (answer, wait) = oneshot::channel();
        if self.reload.try_send(answer).is_err() {
            return reply::text(StatusCode::SERVICE_UNAVAILABLE, "a reload is already running\n");
        }
        match wait.await {
            Ok(Ok(done)) => reply::text(StatusCode::OK, &format!("{done}\n")),
            Ok(Err(why)) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}\n")),
            Err(_) => reply::text(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping\n"),
        }
    }
}

/// HTTP/2 has the host in the request line alone; everything here looks for it in a header.
fn name_host(request: &mut Parts) {
    if request.version == hyper::Version::HTTP_2
        && !request.headers.contains_key(header::HOST)
        && let Some(host) = request.uri.authority()
        && let Ok(host) = header::HeaderValue::from_str(host.as_str())
    {
        request.headers.insert(header::HOST, host);
    }
}

/// Reads a body to its end.
async fn read<B>(body: B, most: usize) -> Result<Bytes, Reply>
where
    B: Body<Error: std::error::Error + Send + Sync + 'static>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let large =
        || reply::last(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body has more than {most} bytes\n"));
    if body.size_hint().lower() > most as u64 {
        return Err(large());
    }
    match tokio::time::timeout(SENT, std::pin::pin!(Limited::new(body, most)).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(large()),
        Ok(Err(_)) => Err(reply::last(StatusCode::BAD_REQUEST, "the body cannot be read\n")),
        Err(_) => Err(reply::last(StatusCode::REQUEST_TIMEOUT, "the body took more than 10 seconds\n")),
    }
}

/// The answer where there is nothing.
fn nothing_there(path: &str) -> Reply {
    if path.starts_with("/api/") {
        let why = format!("there is nothing at {path}; /api/v1/openapi.json lists every path");
        return reply::error(Form::Problem, StatusCode::NOT_FOUND, "not_found", &why);
    }
    reply::text(StatusCode::NOT_FOUND, "not found; / lists the pages\n")
}

/// The answer to a request that is not as its row says. The paths of Prometheus' own API read requests as Prometheus does.
fn unlike_its_row(found: RouteMatch<'_>, request: &Parts, body: &[u8]) -> Option<Reply> {
    let form = found.row.form;
    let operation = found.row.operation(&request.method).filter(|_| !found.row.is_prometheus())?;
    let kinds: Vec<&str> = operation.gives.iter().map(|content| content.kind).collect();
    if form == Form::Problem && !accept::takes(&request.headers, kinds.iter().copied()) {
        let why = format!("this path gives {}", kinds.join(" and "));
        return Some(reply::problem(StatusCode::NOT_ACCEPTABLE, &why));
    }
    let given = Parameters::read(request, body);
    let repeated = operation.singles().find(|name| given.is_ambiguous(name))?;
    let why = format!("{repeated} is given twice, with different values");
    Some(reply::error(form, StatusCode::BAD_REQUEST, "bad_data", &why))
}

/// The response to a request that is not permitted.
fn refused(refusal: &Refusal, form: Form) -> Reply {
    let (status, why) = match refusal {
        Refusal::Method(methods) => return reply::not_allowed(form, methods),
        Refusal::Host => (StatusCode::BAD_REQUEST, "exactly one Host header is required".to_owned()),
        Refusal::Name(name) => (
            StatusCode::FORBIDDEN,
            format!(
                "unknown host \"{name}\"; use the address of the agent, or list the name under http.hosts in its configuration"
            ),
        ),
        Refusal::Page(from) => (
            StatusCode::FORBIDDEN,
            format!(
                "a page of another origin ({from}) cannot change anything here; if a proxy serves the agent under that \
                 name, list it under http.hosts in the configuration"
            ),
        ),
        Refusal::Remote => (
            StatusCode::FORBIDDEN,
            "only programs of this machine may do this, at a loopback address and without a proxy".to_owned(),
        ),
    };
    let kind = if status == StatusCode::BAD_REQUEST { "bad_data" } else { "forbidden" };
    reply::error(form, status, kind, &why)
}

/// What the form of a reply depends on.
const VARY: &str = "Accept, Accept-Encoding";

/// Compares a committed page with what it should be, or rewrites it where `UPDATE` is set.
#[cfg(test)]
fn same_page(name: &str, wanted: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/page").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "{name} is not what the code says; UPDATE=1 cargo test rewrites it:\n{wanted}");
}

#[cfg(test)]
mod tests;
