//! A request that carries JSON to a URL, which may be in a file. No secret reaches an error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;

use super::{Failure, Trace};
use crate::client::{self, causes};
use crate::provision::read_secret;
use crate::quote::quote;
use crate::secret::{Webhook, scrub};
use crate::source::aside::apart;
use crate::trace::TraceContext;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const ANSWERED: usize = 64 << 10;
/// Characters of an answer that are shown.
const SHOWN: usize = 200;
/// How long the reading of a file may take.
pub(super) const READ: Duration = Duration::from_secs(5);

/// Where a URL is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In the configuration.
    Here(Webhook),
    /// In a file.
    File(PathBuf),
}

impl Place {
    /// The URL of the settings, or the file that they name.
    pub(super) fn of(url: Option<&Webhook>, file: Option<&str>) -> Result<Self, String> {
        match (url, file) {
            (Some(url), _) => Ok(Self::Here(url.clone())),
            (None, Some(file)) => Ok(Self::File(file.into())),
            (None, None) => Err("neither url nor url_file is there".into()),
        }
    }

    /// As it may be shown.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Here(url) => url.shown(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// What tells it from others.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Here(url) => url.expose().to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    async fn read(&self) -> Result<Webhook, Failure> {
        match self {
            Self::Here(url) => Ok(url.clone()),
            Self::File(path) => secret(path).await.map(Into::into),
        }
    }
}

/// What a file holds, without space around it. It is read for each notification: a secret that was changed is used at once. A disk
/// that does not answer costs this attempt and holds one thread.
pub(super) async fn secret(path: &Path) -> Result<String, Failure> {
    let own = path.to_owned();
    let read = apart(&path.display().to_string(), READ, move || read_secret(&own)).await;
    read.map_err(Failure::passing)?.map_err(Failure::lasting)
}

/// What a server answered, with a status of 200 to 299.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) is_json: bool,
    pub(super) body: String,
}

/// A client for one URL.
#[derive(Debug)]
pub(super) struct Post {
    client: Client,
    place: Place,
    /// Statuses beside 5xx with which the same may be taken later.
    passing: &'static [u16],
}

impl Post {
    /// A client. Sends nothing.
    pub(super) fn new(place: Place, passing: &'static [u16]) -> Result<Self, String> {
        // A write that is redirected becomes a read.
        let settings =
            || client::builder().redirect(Policy::none()).connect_timeout(CONNECT).timeout(ANSWER).no_proxy();
        // A machine without any certificates reaches what speaks plain HTTP.
        let client = settings().build().or_else(|_| settings().tls_certs_only([]).build());
        Ok(Self { client: client.map_err(|why| causes(&why))?, place, passing })
    }

    /// Sends JSON, as a part of a trace if there is one. `more` are further secrets that the body holds.
    pub(super) async fn send(
        &self,
        body: Vec<u8>,
        more: &[&str],
        trace: Trace<'_>,
    ) -> Result<Answer, Failure> {
        let url = self.place.read().await?;
        let clean = |text: &str| scrub(text, url.secrets().chain([url.expose()]).chain(more.iter().copied()));
        let mut request = self.client.post(url.expose()).header(CONTENT_TYPE, "application/json").body(body);
        for (name, value) in trace.into_iter().flat_map(TraceContext::headers) {
            request = request.header(name, value);
        }
        let passing = |why: reqwest::Error| {
            let lasts = why.is_builder();
            Failure { why: clean(&causes(&why.without_url())), lasts }
        };
        let mut answer = request.send().await.map_err(passing)?;
        let status = answer.status();
        let is_json = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let mut read = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            let room = ANSWERED.saturating_sub(read.len());
            read.extend(piece.iter().take(room));
            if read.len() >= ANSWERED {
                break;
            }
        }
        let body = String::from_utf8_lossy(&read).into_owned();
        if status.is_success() {
            return Ok(Answer { is_json, body });
        }
        let said: String = clean(&body).trim().chars().take(SHOWN).collect();
        let said = if said.is_empty() { String::new() } else { format!(": {}", quote(said)) };
        let lasts = !status.is_server_error() && !self.passing.contains(&status.as_u16());
        Err(Failure { why: format!("it answers {}{said}", status.as_u16()), lasts })
    }
}
