//! Asks an HTTP endpoint for its metrics, as Prometheus would.
//!
//! Follows no redirect to another host, uses no proxy, accepts no compression, and believes no
//! timestamp: a series is as old as the answer that held it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::decode::engines::{Profile, Rest};
use crate::decode::text::exposition::{Exposition, Format, Shape, tell_gauge};
use crate::decode::text::openmetrics::Dialect;
use crate::decode::text::relabel::{Relabel, RelabelStep};
use crate::document::{Check, Path as At};
use crate::event::{Body, Fault, Received};
use crate::secret::{Basic, Exposed, Link, Value};
use crate::setting::Span;

use super::endpoint::{Access, Endpoint};
use crate::client::causes;
use crate::clock::now;
use crate::source::aside::apart;
use crate::source::kind::{Kind, Prepared, Probing, Start};
use crate::source::look::{Finding, PATIENCE, Verdict};
use crate::source::{Feed, poll, small};

/// What is asked for: both formats, and names as they are, because some libraries escape one half of them.
const WANTED: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
/// What is asked for after an answer in OpenMetrics that could not be understood.
const PLAIN: &str = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// The header that says how long an answer may take, in seconds.
const LIMIT: &str = "x-prometheus-scrape-timeout-seconds";
/// How long an answer that is here may take to be understood.
const UNDERSTAND: Duration = Duration::from_secs(2);
/// The shortest interval; anything below is a mistake in writing.
const SHORTEST: Span = Span::millis(100);

/// An endpoint that is scraped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The source's name; the value of the label `source`.
    pub name: String,
    /// Where the metrics are, with scheme and path: `http://127.0.0.1:2242/metrics`.
    #[serde(default, skip_serializing_if = "Link::is_empty")]
    pub url: Link,
    /// A file that holds the URL, where a secret is in it; read again for each request.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// How often they are read.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long an answer may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// The inference engine that answers, whose names are then translated.
    #[serde(default)]
    pub profile: Option<Profile>,
    /// What happens to metrics that the profile does not know.
    #[serde(default)]
    pub rest: Rest,
    /// How the answer is written, if its content type does not say so or is wrong.
    #[serde(default)]
    pub format: Format,
    /// Regular expressions for the whole names of the metrics that are wanted; all, if there are none.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Regular expressions for the whole names of the metrics that are not wanted.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Steps that change labels and names, in the order in which they run.
    #[serde(default)]
    pub relabel: Vec<RelabelStep>,
    /// Labels that every series gets. One of its own that has this name becomes `exported_…`, as with Prometheus.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The largest answer, in bytes. A larger one fails as a whole.
    #[serde(default = "body_limit")]
    pub body_limit: usize,
    /// The most samples of an answer. One that has more fails as a whole.
    #[serde(default = "samples_limit")]
    pub samples_limit: usize,
    /// Further request headers: each a text, or `{value_file: /run/secrets/key}`.
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    /// A file whose text is sent as bearer token; read again for each request.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// A user and the file with its password, in place of a token; read again for each request.
    #[serde(default)]
    pub basic: Option<Basic>,
    /// A PEM file with the certificates that are trusted, in place of those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn interval() -> Span {
    Span::seconds(5)
}

fn timeout() -> Span {
    Span::seconds(3)
}

fn body_limit() -> usize {
    16 << 20
}

fn samples_limit() -> usize {
    50_000
}

impl Settings {
    /// The usual settings for an endpoint.
    #[must_use]
    pub fn new(name: impl Into<String>, url: impl Into<Link>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            url_file: None,
            interval: interval(),
            timeout: timeout(),
            profile: None,
            rest: Rest::default(),
            format: Format::default(),
            keep: Vec::new(),
            drop: Vec::new(),
            relabel: Vec::new(),
            labels: BTreeMap::new(),
            body_limit: body_limit(),
            samples_limit: samples_limit(),
            headers: BTreeMap::new(),
            bearer_token_file: None,
            basic: None,
            ca_file: None,
        }
    }
}

impl Settings {
    /// How it is asked.
    fn access(&self) -> Access {
        Access {
            verb: "scrape",
            name: self.name.clone(),
            timeout: self.timeout.0,
            headers: self.headers.clone(),
            bearer_token_file: self.bearer_token_file.clone(),
            basic: self.basic.clone(),
            ca_file: self.ca_file.clone(),
            redirects: true,
            keep: true,
        }
    }
}

impl Kind for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        match &self.url_file {
            Some(file) => format!("what {} says", file.display()),
            None => self.url.shown(),
        }
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let basic = self.basic.as_mut().map(|basic| &mut basic.password_file);
        let headers = self.headers.values_mut().filter_map(Value::path);
        let own = self.url_file.iter_mut().chain(&mut self.bearer_token_file).chain(&mut self.ca_file);
        own.chain(basic).chain(headers).collect()
    }

    fn check(&self, check: &mut Check<'_>, path: &At) {
        // A target that takes longer than that is one that is never done, as Prometheus has it.
        if self.timeout > self.interval && check.document.keys(path).iter().any(|key| key == "timeout") {
            let message = format!("{} is longer than the interval, {}", self.timeout, self.interval);
            check.wrong(&path.key("timeout"), message);
        }
        if self.url.is_empty() && self.url_file.is_none() {
            check.wrong(path, "the key \"url\" is missing");
        } else if !self.url.is_empty() && self.url_file.is_some() {
            check.wrong(&path.key("url_file"), "url is set already");
        }
        let Some(folder) = check.folder else { return };
        let mut settled = self.clone();
        for file in settled.paths() {
            *file = folder.join(&*file);
        }
        if !check.reported(path)
            && let Err(why) = Scrape::open(settled)
        {
            check.wrong(path, why);
        }
    }

    /// Reads the certificates.
    fn prepare(&self) -> Result<Prepared, String> {
        let opened = Scrape::open(self.clone());
        opened
            .map(|scrape| Prepared::Own(Box::new(scrape)))
            .map_err(|why| format!("cannot poll source {}: {why}", self.name))
    }

    fn look<'a>(&'a self, path: &'a str, _running: bool) -> Probing<'a> {
        Box::pin(async move {
            let asked = match Scrape::open(self.clone()) {
                Ok(scrape) => tokio::time::timeout(PATIENCE.max(self.timeout.0), scrape.probe()).await,
                Err(why) => Ok(Err(why)),
            };
            let (verdict, message) = match asked {
                Ok(Ok(())) => (Verdict::Ok, "answers with metrics".to_owned()),
                Ok(Err(why)) => (Verdict::Failed, why),
                Err(_) => (Verdict::Failed, format!("no answer within {} s", PATIENCE.as_secs())),
            };
            vec![Finding::new(path, &self.name, verdict, message)]
        })
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        found.link("url", &self.url, "url_file, or of a password in basic.password_file");
        found.values("headers", &self.headers);
    }

    fn start(&self, start: Start) {
        if let Prepared::Own(own) = start.prepared
            && let Ok(scrape) = own.downcast::<Scrape>()
        {
            drop(start.tasks.spawn(scrape.run(start.feed, start.stop)));
        }
    }
}

/// An endpoint, ready to be asked.
#[derive(Debug)]
pub struct Scrape {
    settings: Settings,
    place: Mutex<Arc<Endpoint>>,
    shape: Arc<Shape>,
    /// Whether its OpenMetrics could not be understood, so that the classic text is asked for.
    plain: Arc<AtomicBool>,
}

/// An answer that holds metrics.
struct Answer {
    dialect: Dialect,
    body: Vec<u8>,
}

/// Checks the settings and asks until it is cancelled.
///
/// # Errors
/// What is wrong with the settings.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    Scrape::open(settings)?.run(feed, stop).await;
    Ok(())
}

impl Scrape {
    /// Checks the settings and reads the certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(settings: Settings) -> Result<Self, String> {
        let Settings { name, interval, .. } = &settings;
        if *interval < SHORTEST {
            return Err(format!(
                "cannot scrape \"{name}\" every {interval}: the shortest interval is {SHORTEST}"
            ));
        }
        let link = match (&settings.url_file, settings.url.is_empty()) {
            (Some(_), false) => {
                return Err(format!("cannot scrape \"{name}\": it has a url and a url_file; remove one"));
            }
            (None, true) => return Err(format!("cannot scrape \"{name}\": it has no url")),
            (Some(file), true) => {
                small(file).map_err(|why| format!("cannot scrape \"{name}\": {why}"))?.into()
            }
            (None, false) => settings.url.clone(),
        };
        let place = Endpoint::open(settings.access(), link)?;
        let wrong = |why: String| format!("cannot scrape {}: {why}", place.shown);
        let relabel = Relabel::compile(&settings.keep, &settings.drop, &settings.relabel).map_err(wrong)?;
        let mut labels: Vec<_> = settings.labels.clone().into_iter().collect();
        if !settings.labels.contains_key("source") {
            labels.push(("source".into(), settings.name.clone()));
        }
        let shape = Shape {
            profile: settings.profile,
            rest: settings.rest,
            labels,
            relabel,
            samples: settings.samples_limit,
            timestamps: true,
        };
        let place = Mutex::new(Arc::new(place));
        Ok(Self { settings, place, shape: Arc::new(shape), plain: Arc::default() })
    }

    /// Asks until it is cancelled.
    pub async fn run(self, feed: Feed, stop: CancellationToken) {
        // The client keeps the time of an answer, and says so; this is for what comes after it.
        let (interval, timeout) = (self.settings.interval.0, self.settings.timeout.0 + UNDERSTAND);
        let endpoint = Arc::new(self);
        let ask = move |feed: &Feed| {
            let (endpoint, feed) = (Arc::clone(&endpoint), feed.clone());
            async move { endpoint.scrape(feed).await }
        };
        poll(feed, interval, timeout, stop, ask).await;
    }

    /// Asks once and keeps nothing: whether there are metrics that can be understood.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn probe(&self) -> Result<(), String> {
        let place = self.place().await?;
        let Answer { dialect, body } = self.fetch(&place).await?;
        let read = Exposition::read(&body, dialect, &self.shape);
        read.map(drop).map_err(|why| format!("cannot understand the metrics of {}: {why}", place.shown))
    }

    async fn scrape(&self, feed: Feed) -> Result<(), String> {
        let place = self.place().await?;
        let Answer { dialect, body } = self.fetch(&place).await?;
        let shape = Arc::clone(&self.shape);
        let (name, shown, plain) = (self.settings.name.clone(), place.shown.clone(), Arc::clone(&self.plain));
        let fold = move || {
            let bytes = body.len() as u64;
            let read = match Exposition::read(&body, dialect, &shape) {
                Ok(read) => read,
                Err(why) => {
                    feed.send(Body::Fault(Fault { kind: why.kind, bytes }));
                    plain.store(dialect == Dialect::OpenMetrics, Ordering::Relaxed);
                    return Err(format!("cannot understand the metrics of {shown}: {why}"));
                }
            };
            feed.batch(now(), |out| read.emit(out));
            if let Some(profile) = shape.profile {
                let labels = [("engine", profile.engine().name), ("source", &*name)];
                let help = "Series of an engine that its profile does not know and that were dropped";
                let tell = &mut |body: Body<'_>| feed.send(body);
                tell_gauge("neural_engine_unknown_series", help, "", &labels, read.unknown as f64, tell);
            }
            // The batch counted its events, which are those that found their series.
            feed.send(Body::Received(Received { bytes, reads: 1, events: 0 }));
            Ok(())
        };
        tokio::task::spawn_blocking(fold)
            .await
            .unwrap_or_else(|_| Err(format!("cannot understand the metrics of {}", place.shown)))
    }

    /// Where to ask now: another place, once the file that says so says something else.
    async fn place(&self) -> Result<Arc<Endpoint>, String> {
        let known = self.place.lock().clone();
        let Some(file) = self.settings.url_file.clone() else { return Ok(known) };
        let (key, settings) = (file.display().to_string(), self.settings.clone());
        let cannot = |why: String| format!("cannot scrape \"{}\": {why}", self.settings.name);
        let open = move || match small(&file)
            .map_err(|why| format!("cannot scrape \"{}\": {why}", settings.name))?
        {
            link if known.is_at(&link) => Ok(known),
            link => Endpoint::open(settings.access(), link.into()).map(Arc::new),
        };
        let place = apart(&key, self.settings.timeout.0, open).await.map_err(cannot)??;
        *self.place.lock() = Arc::clone(&place);
        Ok(place)
    }

    /// One request, and its answer within the limits.
    async fn fetch(&self, place: &Endpoint) -> Result<Answer, String> {
        let shown = &place.shown;
        let wanted = if self.plain.load(Ordering::Relaxed) { PLAIN } else { WANTED };
        let mut request = place.get().await?.header(LIMIT, self.settings.timeout.0.as_secs_f64().to_string());
        if !self.settings.headers.keys().any(|name| name.eq_ignore_ascii_case(ACCEPT.as_str())) {
            request = request.header(ACCEPT, wanted);
        }
        let response = request.send().await.map_err(|why| {
            let next = if why.is_timeout() {
                "; see whether it hangs, or raise timeout"
            } else if why.is_connect() {
                "; check that it runs and listens there"
            } else if why.is_redirect() {
                "; set url to where the metrics are"
            } else {
                ""
            };
            format!("cannot scrape {shown}: {}{next}", causes(&why.without_url()))
        })?;
        let status = response.status();
        if status != StatusCode::OK {
            let next = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; set bearer_token_file, or basic",
                StatusCode::NOT_FOUND => "; see whether the path is right and its metrics are switched on",
                _ => "",
            };
            return Err(format!("cannot read metrics from {shown}: it answers {status}{next}"));
        }
        if let Some(coding) = response.headers().get(CONTENT_ENCODING)
            && coding != "identity"
        {
            return Err(format!(
                "cannot read metrics from {shown}: it sends a compressed response although none was requested"
            ));
        }
        let media =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = self.body(shown, response).await?;
        let dialect = (self.settings.format.dialect(media.as_deref(), &body))
            .map_err(|why| format!("cannot read metrics from {shown}: {why}; if it is one, set format"))?;
        Ok(Answer { dialect, body })
    }

    /// The answer's body, given up as soon as it is too large.
    async fn body(&self, shown: &str, mut response: Response) -> Result<Vec<u8>, String> {
        let limit = self.settings.body_limit;
        let large = || {
            format!(
                "cannot read metrics from {shown}: more than {limit} bytes; raise body_limit or choose fewer metrics there"
            )
        };
        if response.content_length().is_some_and(|length| length > limit as u64) {
            return Err(large());
        }
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(|why| {
                format!("cannot read the answer of {shown} to its end: {}", causes(&why.without_url()))
            })?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > limit {
                return Err(large());
            }
            body.extend_from_slice(&chunk);
        }
    }
}

#[cfg(test)]
mod tests;
