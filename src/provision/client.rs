//! Requests to one server: where it is, who asks, and how often. What the paths mean is for the targets.
//!
//! Waits and asks again where that may help (429, 502, 503, 504, no connection), and nowhere else. Follows no
//! redirect, because a write that is redirected becomes a read. Tokens and passwords are read from their files
//! when a run begins, and appear in no message.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, Proxy, Response, Url};
use serde_json::Value;

pub(super) use super::answer::Answer;
use super::settings::Access;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a request is sent at most.
const TRIES: u32 = 5;
/// The first pause between two tries; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Bytes of an answer.
const BODY: usize = 64 << 20;
/// Bytes of a file with a secret.
const SECRET: u64 = 64 * 1024;

/// A server that can be asked.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// The root, without a slash at its end.
    root: String,
    headers: HeaderMap,
    writes: AtomicU64,
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    method: Method,
    path: String,
    body: Option<(&'static str, Vec<u8>)>,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Ask<'a> {
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

    pub(super) fn yaml(self, body: String) -> Self {
        Self { body: Some(("application/yaml", body.into_bytes())), ..self }
    }

    pub(super) fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Client {
    /// Reads secrets and certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn open(url: &str, access: &Access) -> Result<Self, String> {
        // Whoever installed a provider before is fine with us.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let parsed: Url = url.parse().map_err(|why| format!("\"{url}\" is not a url: {why}"))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err("only http and https are spoken".to_owned());
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("a user and a password do not belong into a url; set access.basic".to_owned());
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(secret) = authorization(access)? {
            headers.insert(AUTHORIZATION, secret);
        }
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("neural-exporter/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(1);
        http = match access.proxy.as_deref() {
            None => http,
            Some("") => http.no_proxy(),
            Some(proxy) => {
                http.proxy(Proxy::all(proxy).map_err(|why| format!("the proxy: {}", causes(&why)))?)
            }
        };
        if let Some(file) = &access.ca_file {
            let pem = std::fs::read(file).map_err(|why| format!("cannot read {}: {why}", file.display()))?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|all| !all.is_empty())
                .ok_or_else(|| format!("cannot find a certificate in {}; it must be PEM", file.display()))?;
            http = http.tls_certs_only(certificates);
        } else if parsed.scheme() == "http" {
            // Without TLS the certificates of the system need not even exist.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|why| causes(&why))?;
        let root = parsed.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, root, headers, writes: AtomicU64::new(0) })
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

    /// Asks until `path` answers 200, or until the time is over.
    pub(super) async fn ready(&self, path: &str, within: Duration) -> Result<(), String> {
        self.until(path, within, |status| status == 200).await
    }

    /// Asks until `path` answers anything but that the server is not there yet.
    pub(super) async fn answers(&self, path: &str, within: Duration) -> Result<(), String> {
        self.until(path, within, |status| !matches!(status, 429 | 502..=504)).await
    }

    async fn until(&self, path: &str, within: Duration, good: fn(u16) -> bool) -> Result<(), String> {
        let last = parking_lot::Mutex::new(String::new());
        let asking = async {
            loop {
                match self.once(&Ask::get(path)).await {
                    Ok(answer) if good(answer.status) => return Ok(()),
                    Ok(answer) => *last.lock() = format!("it answers {}", answer.told()),
                    // Time makes no certificate a better one.
                    Err(Broken(why, Hope::None)) => return Err(why),
                    Err(why) => *last.lock() = why.0,
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(within, asking).await.unwrap_or_else(|_| {
            let (root, last) = (&self.root, last.lock().clone());
            let last = if last.is_empty() { "no answer".to_owned() } else { last };
            Err(format!("{root} was not ready within {} s: {last}", within.as_secs_f64()))
        })
    }

    /// The answer, after as many tries as it takes; whatever its status is.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Answer, String> {
        let mut pause = PAUSE;
        for left in (0..TRIES).rev() {
            let (wait, why) = match self.once(&ask).await {
                Ok(answer) if left > 0 && matches!(answer.status, 429 | 502..=504) => {
                    (answer.1, answer.told())
                }
                Ok(answer) => return Ok(answer.0),
                Err(Broken(why, Hope::Again)) if left > 0 => (None, why),
                Err(Broken(why, _)) => return Err(why),
            };
            let wait = wait.unwrap_or(pause).min(LONGEST_PAUSE);
            tracing::debug!("{} {}: {why}; again in {wait:?}", ask.method, ask.path);
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err("no answer".to_owned())
    }

    /// The answer, if its status says success.
    ///
    /// # Errors
    /// No answer, or one that says what is wrong.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, String> {
        self.send(ask).await?.good()
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Tried, Broken> {
        let mut headers = self.headers.clone();
        for (name, value) in &ask.headers {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Broken(format!("the header {name} cannot be \"{value}\""), Hope::Little))?;
            let name = HeaderName::try_from(*name)
                .map_err(|_| Broken(format!("no header: {name}"), Hope::Little))?;
            headers.insert(name, value);
        }
        let mut request = self.http.request(ask.method.clone(), format!("{}{}", self.root, ask.path));
        if let Some((kind, body)) = &ask.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            request = request.body(body.clone());
        }
        if ask.method != Method::GET {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
        let response = request.headers(headers).send().await.map_err(|why| {
            let connect = why.is_connect();
            let words = causes(&why.without_url());
            let (hope, hint) = if words.contains("certificate") {
                (Hope::None, "\n  hint: name the PEM file of the authority that vouches for it in access.ca_file, and the host as the certificate has it in url")
            } else if connect {
                (Hope::Again, "; see whether it runs and listens there")
            } else {
                (Hope::Little, "")
            };
            Broken(format!("cannot ask {}: {words}{hint}", self.root), hope)
        })?;
        let status = response.status().as_u16();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = body(response).await.map_err(|why| Broken(why, Hope::Little))?;
        Ok(Tried(Answer { status, body }, after.map(Duration::from_secs)))
    }
}

/// An answer, and how long the server wants to be left alone.
struct Tried(Answer, Option<Duration>);

impl std::ops::Deref for Tried {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.0
    }
}

/// Why there is no answer, and whether asking again may help.
struct Broken(String, Hope);

enum Hope {
    /// In a moment.
    Again,
    /// Not for this request.
    Little,
    /// Not before somebody changes something.
    None,
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|why| causes(&why.without_url()))? {
        if body.len() + chunk.len() > BODY {
            return Err(format!("the answer is longer than {BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn authorization(access: &Access) -> Result<Option<HeaderValue>, String> {
    let text = match (&access.token_file, &access.basic) {
        (Some(_), Some(_)) => return Err("it has a token_file and a basic user; remove one".to_owned()),
        (Some(file), None) => format!("Bearer {}", secret(file)?),
        (None, Some(basic)) => {
            format!("Basic {}", base64(&format!("{}:{}", basic.user, secret(&basic.password_file)?)))
        }
        (None, None) => return Ok(None),
    };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| "the secret has characters that no header takes")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The text of a file, without white space around it.
fn secret(file: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(SECRET).read_to_string(&mut text))
        .map_err(|why| format!("cannot read the secret in {}: {why}", file.display()))?;
    let text = text.trim();
    if text.is_empty() {
        Err(format!("the secret in {} is empty", file.display()))
    } else {
        Ok(text.to_owned())
    }
}

/// RFC 4648 with padding.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits =
            three.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let letter = LETTERS.get(bits >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            out.push(if place > three.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

/// A part of a path, with everything escaped that is not plain.
pub(super) fn escape(part: &str) -> String {
    let mut out = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

/// An error and what led to it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_become_headers() {
        // RFC 4648, section 10.
        for (text, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text), want);
        }
    }

    #[test]
    fn parts_of_paths_are_escaped() {
        assert_eq!(escape("a/b c"), "a%2Fb%20c");
        assert_eq!(escape("ä-_.~"), "%C3%A4-_.~");
    }
}
