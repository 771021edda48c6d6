//! Prometheus' web configuration file: TLS, certificates of clients, users, headers and rate of the HTTP server.
//!
//! The format is that of exporter-toolkit. Nothing is served here: a file is read whole, with the files that it names, and what is
//! right takes the place of what was there before.

mod certificate;
mod client_certificates;
mod logins;
mod names;
mod rate;
mod settings;
mod tls;
mod users;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path as File, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use hyper::StatusCode;
use hyper::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use rustls::ServerConfig;

pub(super) use logins::Logins;

use super::Reply;
use super::reply::{self, Form};
use crate::document::{self, Check, Document, LONGEST, Path, Problem, list, suggest};
use crate::origin::only;
use crate::sys::file;
use logins::Outcome;
use rate::Rate;
use settings::{FORMATS, Settings};
use users::{Hash, Users};

/// The headers that may be configured, with the values that they take; any where there are none.
const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];
/// What a client without a password is asked for.
const REALM: &str = "Basic realm=\"neural-exporter\", charset=\"UTF-8\"";
/// A hash above this cost takes more than a second.
const COSTLY: u32 = 14;

/// A web configuration that may be served; the default has neither TLS nor users.
#[derive(Clone, Debug, Default)]
pub struct WebConfig {
    file: Option<PathBuf>,
    tls: Option<tls::Ready>,
    http2: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Users,
    rate: Option<Arc<Rate>>,
    notes: Vec<String>,
    /// Of everything that was read.
    digest: [u8; 32],
    /// The files, as they were before they were read.
    stamps: Vec<(PathBuf, Stamp)>,
}

/// What changes with a file: its device, inode, size and times; nothing if it is not there.
type Stamp = Option<(u64, u64, u64, i128, i128)>;

fn stamp(path: &File) -> Stamp {
    file::turn_to(path);
    let about = std::fs::metadata(path).ok()?;
    let time = |seconds: i64, more: i64| i128::from(seconds) * 1_000_000_000 + i128::from(more);
    let (modified, changed) =
        (time(about.mtime(), about.mtime_nsec()), time(about.ctime(), about.ctime_nsec()));
    Some((about.dev(), about.ino(), about.size(), modified, changed))
}

impl PartialEq for WebConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, self.digest) == (&other.file, other.digest)
    }
}

impl WebConfig {
    /// Reads a file and those that it names. Relative paths in it start from its folder.
    ///
    /// # Errors
    /// Every mistake, with its place.
    pub fn read(path: &File) -> Result<Self, Vec<Problem>> {
        let name = path.display().to_string();
        let mut stamps = vec![(path.to_owned(), stamp(path))];
        let text = file::text(path, LONGEST as u64).map_err(|why| {
            vec![Problem::of_file(&name, format!("cannot read the web configuration: {why}"))]
        })?;
        let folder = path.parent().unwrap_or_else(|| File::new(""));
        let (settings, document) = document::read::<Settings>(&name, &text, FORMATS, |_| Vec::new())?;
        let tls = settings.tls_server_config.as_ref();
        let files = tls.iter().flat_map(|tls| [&tls.cert_file, &tls.key_file, &tls.client_ca_file]).flatten();
        stamps.extend(files.map(|file| folder.join(file)).map(|file| (file.clone(), stamp(&file))));
        let mut seen = text.into_bytes();
        let read = Self::of(&settings, &document, folder, &mut seen)?;
        let mut read = Self { file: Some(path.to_owned()), stamps, ..read };
        read.digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &seen).as_ref());
        Ok(read)
    }

    /// Whether a file asks for TLS. Nothing else of it is looked at; what cannot be read may well ask for it.
    #[must_use]
    pub fn speaks_tls(path: &File) -> bool {
        let text = file::text(path, LONGEST as u64).ok();
        let read = text.and_then(|text| document::read::<Settings>("", &text, FORMATS, |_| Vec::new()).ok());
        read.is_none_or(|(settings, _)| settings.tls_server_config.is_some_and(|tls| tls.is_on()))
    }

    fn of(
        settings: &Settings,
        document: &Document,
        folder: &File,
        seen: &mut Vec<u8>,
    ) -> Result<Self, Vec<Problem>> {
        let mut check = Check::new(document, None);
        let mut read = Self { http2: true, ..Self::default() };
        if let Some(http) = &settings.http_server_config {
            read.http2 = http.http2.unwrap_or(true);
            for (name, value) in http.headers.iter().flatten() {
                read.headers.extend(header(name, &value.0, &mut check));
            }
        }
        if let Some(tls) = &settings.tls_server_config {
            if tls.is_on() {
                let (http2, check, notes) = (read.http2, &mut check, &mut read.notes);
                read.tls = tls::Reader { tls, http2, folder, check, notes, seen }.read();
            } else {
                read.notes.push("tls_server_config names no certificate: TLS is off".to_owned());
            }
        }
        let mut users = BTreeMap::new();
        for (name, hash) in settings.basic_auth_users.iter().flatten() {
            let path = Path::from("basic_auth_users").key(name);
            match Hash::read(hash.expose()) {
                Ok(hash) => {
                    if hash.cost > COSTLY {
                        read.notes.push(format!(
                            "{path}: a password of cost {} takes seconds to check; 10 to 12 is usual",
                            hash.cost
                        ));
                    }
                    users.insert(name.clone(), hash);
                }
                Err(why) => {
                    *check.wrong(&path, why) = Some("htpasswd -nBC 10 NAME writes one".to_owned());
                }
            }
        }
        read.users = Users::new(users);
        if let Some(rate) = settings.rate_limit.filter(|rate| !rate.interval.0.is_zero()) {
            if rate.burst == 0 {
                read.notes.push("rate_limit.burst is 0: every request is refused".to_owned());
            }
            read.rate = Some(Arc::new(Rate::new(rate.interval.0, rate.burst)));
        }
        let mut problems = check.problems;
        problems.sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }

    /// The file that it was read from.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        self.file.as_deref()
    }

    /// Whether the files look as they did when they were read.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.stamps.iter().all(|(path, before)| stamp(path) == *before)
    }

    /// What of the file has no effect, or another one than it seems.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether every client shows who it is: by a password, or by a certificate that was verified.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        !self.users.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.verifies)
    }

    /// When the certificate ends, in seconds since 1970.
    #[must_use]
    pub fn certificate_ends(&self) -> Option<i64> {
        self.tls.as_ref().and_then(|tls| tls.ends)
    }

    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| tls.server.clone())
    }

    /// Goes on with what an earlier one counts.
    pub(super) fn follow(&mut self, earlier: &Self) {
        if let (Some(own), Some(before)) = (&self.rate, &earlier.rate)
            && own.is_like(before)
        {
            self.rate = Some(before.clone());
        }
        // Sessions that clients resume are those of the same TLS alone.
        if self.digest == earlier.digest {
            self.tls.clone_from(&earlier.tls);
        }
    }

    /// Lets a request through, or answers it.
    #[expect(clippy::disallowed_methods, reason = "how many requests came is measured here")]
    pub(super) async fn admit(
        &self,
        logins: &Arc<Logins>,
        headers: &HeaderMap,
        network: u128,
        form: Form,
    ) -> Result<(), Reply> {
        if let Some(rate) = self.rate.as_ref().filter(|rate| !rate.take(std::time::Instant::now())) {
            return Err(later(form, "more requests come than rate_limit allows", rate.wait()));
        }
        if self.users.is_empty() {
            return Ok(());
        }
        let outcome = match credentials(headers) {
            Some((user, password)) => logins.check(&self.users, network, &user, &password).await,
            None => Outcome::Wrong,
        };
        match outcome {
            Outcome::Right => Ok(()),
            Outcome::Wrong => {
                let why = super::UNKNOWN.trim_end();
                let mut reply = reply::error(form, StatusCode::UNAUTHORIZED, "unauthorized", why);
                reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(REALM));
                Err(reply)
            }
            Outcome::Busy => {
                Err(later(form, "too many passwords wait to be checked", Duration::from_secs(1)))
            }
        }
    }

    /// Adds the headers that are configured. A page's own stay; a second policy of content restricts it further.
    pub(super) fn dress(&self, reply: &mut Reply) {
        for (name, value) in &self.headers {
            let headers = reply.headers_mut();
            if name == CONTENT_SECURITY_POLICY || !headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
    }

    pub(super) fn forget_others(&self, logins: &Logins) {
        logins.keep(&self.users);
    }
}

/// A header as the file has it; nothing where it is empty or wrong.
fn header(name: &str, value: &str, check: &mut Check<'_>) -> Option<(HeaderName, HeaderValue)> {
    let path = Path::from("http_server_config").key("headers").key(name);
    let Some((_, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
        let known = HEADERS.iter().map(|(known, _)| *known);
        let meant = suggest(name, known.clone()).map(|meant| format!(", did you mean \"{meant}\"?"));
        let why = format!("this header cannot be configured{}", meant.unwrap_or_default());
        *check.wrong(&path, why) = Some(format!("one of {}", list(known)));
        return None;
    };
    if !values.is_empty() && !values.contains(&value) {
        *check.wrong(&path, "the header has no such value") =
            Some(format!("one of {}", list(values.iter().copied())));
        return None;
    }
    if value.is_empty() {
        return None;
    }
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) => Some((name, value)),
        _ => {
            check.wrong(&path, "the value has characters that no header may have");
            None
        }
    }
}

/// The user and the password of `Authorization: Basic`.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = only(headers, &AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = base64::prelude::BASE64_STANDARD.decode(rest.trim()).ok()?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    let user = str::from_utf8(text.get(..colon)?).ok()?.to_owned();
    Some((user, text.get(colon + 1..)?.to_vec()))
}

/// That the same may be asked again in a while.
fn later(form: Form, why: &str, wait: Duration) -> Reply {
    let mut reply = reply::error(form, StatusCode::TOO_MANY_REQUESTS, "unavailable", why);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    reply
}

#[cfg(test)]
mod tests;
