//! Requests to one server: where it is, who asks, and how often. What the paths mean is for the targets.
//!
//! Follows no redirect, because a write that is redirected becomes a read. Tokens and passwords are read from their files
//! when a run begins, and appear in no message, not even if the server repeats them.

mod tries;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, Proxy, Response, Url};
use serde_json::Value;

use super::access::Access;
use super::access::{authorization, certificates, chosen_proxy};
pub(super) use super::answer::{Answer, Failure};
use crate::client::{self, causes};
use crate::clock::now;
use crate::secret::Link;
use tries::PAUSE;
pub use write::Reply;
pub(super) use write::headers;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const BODY: usize = 64 << 20;
/// Bytes that are read of an answer that nobody needs whole.
const BRIEF: usize = 64 << 10;

/// A server that can be asked.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// The root, without a slash at its end.
    url: String,
    /// The same, as it may be printed.
    root: String,
    headers: HeaderMap,
    /// What no message may have.
    secrets: Arc<[String]>,
    /// The proxy that stands between, as it may be printed.
    proxy: Option<String>,
    /// Whether it is a Grafana, whose database may be locked.
    grafana: bool,
    /// The first pause between two tries.
    pause: Duration,
    writes: AtomicU64,
    /// Requests in a row without an answer.
    silent: AtomicU32,
    /// Whether the last write was given up because the server was busy.
    busy: AtomicBool,
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Request<'a> {
    method: Method,
    path: String,
    body: Option<(&'static str, Vec<u8>)>,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, headers: Vec::new() }
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    pub(super) fn put(path: impl Into<String>) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    pub(super) fn json(self, body: &Value) -> Self {
        Self { body: Some(("application/json", body.to_string().into_bytes())), ..self }
    }

    pub(super) fn json_text(self, body: Vec<u8>) -> Self {
        Self { body: Some(("application/json", body)), ..self }
    }

    pub(super) fn yaml(self, body: String) -> Self {
        Self { body: Some(("application/yaml", body.into_bytes())), ..self }
    }

    pub(super) fn form(self, body: String) -> Self {
        Self { body: Some(("application/x-www-form-urlencoded", body.into_bytes())), ..self }
    }

    pub(super) fn header(self, name: &'a str, value: &'a str) -> Self {
        self.headers([(name, value)])
    }

    pub(super) fn headers(mut self, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.headers.extend(more);
        self
    }
}

impl Client {
    /// Reads secrets and certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn open(url: &Link, access: &Access) -> Result<Self, String> {
        let parsed: Url = url.expose().parse().map_err(|why| format!("\"{url}\" is not a url: {why}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err("unsupported scheme; use http or https".to_owned());
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("remove user and password from the url; set access.basic".to_owned());
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut secrets: Vec<String> = url.secrets().map(str::to_owned).collect();
        if let Some(secret) = authorization(access, &mut secrets)? {
            headers.insert(AUTHORIZATION, secret);
        }
        let (http, proxy) = reaching(&parsed, access)?;
        let http = http.timeout(ANSWER).build().map_err(|why| causes(&why))?;
        let own = parsed.as_str().trim_end_matches('/').to_owned();
        let root = url.shown().trim_end_matches('/').to_owned();
        let (secrets, grafana, writes) = (secrets.into(), false, AtomicU64::new(0));
        let (silent, busy) = (AtomicU32::new(0), AtomicBool::new(false));
        Ok(Self {
            http,
            url: own,
            root,
            headers,
            secrets,
            proxy,
            grafana,
            pause: PAUSE,
            writes,
            silent,
            busy,
        })
    }

    /// The same for a Grafana.
    pub(super) fn grafana(self) -> Self {
        Self { grafana: true, ..self }
    }

    /// Sends a header with every request.
    pub(super) fn always(&mut self, name: &'static str, value: &str) -> Result<(), String> {
        let value =
            HeaderValue::from_str(value).map_err(|_| format!("\"{value}\" is not the value of a header"))?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    }

    /// Where the server is, as it may be printed.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// How many requests were sent that may change something.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Sends once, and says what the server said if it did not take it. Of the answer no more is there than its beginning.
    pub(super) async fn send_once(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        match self.attempt(request, Part::Beginning).await {
            Ok(attempt) => attempt.answer.good(),
            Err(error) => Err(error.why.into()),
        }
    }

    /// The answer to one try, whatever its status is.
    ///
    /// # Errors
    /// Why there is none, and whether the server may be absent: what is wrong is nothing that has to be set right here.
    pub(super) async fn try_once(&self, request: &Request<'_>) -> Result<Answer, (String, bool)> {
        let attempt = self.once(request).await;
        attempt
            .map(|attempt| attempt.answer)
            .map_err(|error| (error.why, !matches!(error.retry, Retry::Never)))
    }

    async fn once(&self, request: &Request<'_>) -> Result<Attempt, RequestError> {
        self.attempt(request, Part::Whole).await
    }

    async fn attempt(&self, request: &Request<'_>, part: Part) -> Result<Attempt, RequestError> {
        let mut headers = self.headers.clone();
        for (name, value) in &request.headers {
            let value = HeaderValue::from_str(value).map_err(|_| RequestError {
                why: format!("the header {name} cannot be \"{value}\""),
                retry: Retry::Never,
            })?;
            let name = HeaderName::try_from(*name)
                .map_err(|_| RequestError { why: format!("no header: {name}"), retry: Retry::Never })?;
            headers.insert(name, value);
        }
        let mut sent = self.http.request(request.method.clone(), format!("{}{}", self.url, request.path));
        if let Some((kind, body)) = &request.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            sent = sent.body(body.clone());
        }
        if request.method != Method::GET {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
        let response = sent.headers(headers).send().await.map_err(|why| {
            let connect = why.is_connect();
            let words = causes(&why.without_url());
            let (retry, hint) = if words.contains("CaUsedAsEndEntity") {
                (Retry::Never, "\n  hint: the server's certificate is itself an authority; one that signs itself is made with -addext basicConstraints=critical,CA:FALSE".to_owned())
            } else if words.contains("certificate") {
                (Retry::Never, "\n  hint: set access.ca_file to the PEM file of its certificate authority, and use the host name of the certificate in url".to_owned())
            } else if let Some(proxy) = self.proxy.as_ref().filter(|_| connect) {
                let hint = format!("; the request went through the proxy {proxy}: check that it is right and runs");
                (Retry::Soon, hint)
            } else if connect {
                (Retry::Soon, "; check that it runs and listens there".to_owned())
            } else {
                (Retry::NotThisRequest, String::new())
            };
            RequestError { why: format!("cannot reach {}: {words}{hint}", self.root), retry }
        })?;
        let status = response.status().as_u16();
        let wait = client::retry_after(response.headers(), now().wall);
        let body =
            body(response, part).await.map_err(|why| RequestError { why, retry: Retry::NotThisRequest })?;
        let (url, secrets) = (format!("{}{}", self.root, request.path), self.secrets.clone());
        let answer = Answer { url, status, body, secrets };
        Ok(Attempt { answer, wait })
    }
}

/// What builds a client that reaches a server there, by which proxy, as that may be printed.
pub(super) fn reaching(
    url: &Url,
    access: &Access,
) -> Result<(reqwest::ClientBuilder, Option<String>), String> {
    let mut http =
        client::builder().redirect(Policy::none()).connect_timeout(CONNECT).pool_max_idle_per_host(1);
    let proxy = match chosen_proxy(access)?.as_ref().map(Link::expose) {
        Some(proxy) if !proxy.is_empty() => {
            let all =
                Proxy::all(proxy).map_err(|why| format!("the proxy: {}", causes(&why.without_url())))?;
            http = http.proxy(all);
            Some(format!("{} of access.proxy", bare(proxy)))
        }
        None if !local(url) => {
            let uri = url.as_str().parse().ok();
            let proxy = uri.and_then(|uri| Matcher::from_system().intercept(&uri));
            proxy.map(|proxy| format!("{} of the environment", bare(&proxy.uri().to_string())))
        }
        _ => {
            http = http.no_proxy();
            None
        }
    };
    Ok((client::trusting(http, certificates(access)?, url), proxy))
}

/// An answer, and how long the server wants to be left alone.
struct Attempt {
    answer: Answer,
    wait: Option<Duration>,
}

impl std::ops::Deref for Attempt {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

/// Why there is no answer, and whether asking again may help.
struct RequestError {
    why: String,
    retry: Retry,
}

enum Retry {
    /// In a moment.
    Soon,
    /// Not for this request.
    NotThisRequest,
    /// Not before something is changed by hand.
    Never,
}

/// How much of an answer is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Beginning,
}

async fn body(mut response: Response, part: Part) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|why| causes(&why.without_url()))? {
        if part == Part::Beginning && body.len() + chunk.len() >= BRIEF {
            body.extend(chunk.iter().take(BRIEF - body.len()));
            break;
        }
        if body.len() + chunk.len() > BODY {
            return Err(format!("the answer is longer than {BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The address of a proxy without a user and a password.
fn bare(proxy: &str) -> &str {
    proxy.rsplit('@').next().unwrap_or_default().trim_end_matches('/')
}

/// Whether a server is on this machine. No proxy of the environment is asked for one: it would look on its own.
fn local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip: Result<std::net::IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::played::server;
    use super::*;

    /// Longer than any test may take.
    const FOREVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn what_no_time_mends_is_told_at_once() {
        for (status, word) in
            [("401 Unauthorized", "token_file"), ("403 Forbidden", "permission"), ("302 Found", "set url")]
        {
            let url = server(status, "{\"message\":\"no\"}");
            let why = Client::open(&url.as_str().into(), &Access::default())
                .unwrap()
                .ready("/-/ready", FOREVER)
                .await
                .unwrap_err();
            let reported = format!("{url}/-/ready answers {}: no", status.split(' ').next().unwrap());
            assert!(why.starts_with(&reported) && why.contains(word), "{why}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_a_server_repeats_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "\u{feff}very\"secret\n").unwrap();
        let basic = crate::secret::Basic { user: "me".to_owned(), password_file: file };
        let access = Access { basic: Some(basic), ..Access::default() };
        // What it says is plain text, JSON with the quote escaped, and the header itself: base64 of `me:very"secret`.
        let body = "very\"secret {\"a\":\"very\\\"secret\"} very%22secret Basic bWU6dmVyeSJzZWNyZXQ=";
        let client = Client::open(&server("401 Unauthorized", body).into(), &access).unwrap();
        let why = client.ready("/", FOREVER).await.unwrap_err();
        assert!(why.contains("401: *** {\"a\":\"***\"} *** Basic ***\n"), "{why}");
    }

    #[tokio::test]
    async fn a_proxy_that_is_not_there_is_named() {
        // An address of its own: a port that is free on the usual one is another test's at once.
        let listener = std::net::TcpListener::bind("127.84.1.9:0").unwrap();
        let gone = listener.local_addr().unwrap();
        drop(listener);
        let access =
            Access { proxy: Some(format!("http://me:very-secret@{gone}").into()), ..Access::default() };
        let client = Client::open(&"http://server.invalid".into(), &access).unwrap();
        let Err(RequestError { why, retry: Retry::Soon }) = client.once(&Request::get("/")).await else {
            panic!("no answer")
        };
        assert!(why.contains(&format!("through the proxy {gone} of access.proxy")), "{why}");
        assert!(!why.contains("very-secret"), "{why}");
    }

    #[test]
    fn this_machine_is_known() {
        for (url, want) in [
            ("http://localhost:9090", true),
            ("http://127.0.0.1:9090", true),
            ("http://127.1.2.3/sub", true),
            ("http://[::1]:9090", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(local(&url.parse().unwrap()), want, "{url}");
        }
    }

    #[test]
    fn parts_of_paths_are_escaped() {
        use super::super::escape;
        assert_eq!(escape("a/b c"), "a%2Fb%20c");
        assert_eq!(escape("ä-_.~"), "%C3%A4-_.~");
    }
}
