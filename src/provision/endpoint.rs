//! A server that is sent what is neither JSON nor a file of ours: how it is reached, and what every request to it has.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::access::{Access, authorization, secret};
use super::client::reaching;
use crate::client::causes;
use crate::secret::{Link, Value, scrub};

/// A server, with what is read from files.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// What sends.
    pub(crate) http: reqwest::Client,
    /// Where it is.
    pub(crate) url: Url,
    /// What every request has.
    pub(crate) headers: HeaderMap,
    secrets: Vec<String>,
}

/// Which protocol it speaks, and how long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transport {
    /// HTTP/2 from the first byte, as gRPC does.
    pub(crate) http2: bool,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
}

impl Endpoint {
    /// Reads secrets and certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings, or with a file that they name.
    pub(crate) fn open(
        url: &Link,
        access: &Access,
        headers: &BTreeMap<String, Value>,
        speech: Transport,
    ) -> Result<Self, String> {
        let parsed: Url = url.expose().parse().map_err(|why| format!("\"{url}\" is not a url: {why}"))?;
        let mut secrets: Vec<String> = url.secrets().map(str::to_owned).collect();
        let mut all = HeaderMap::new();
        if let Some(value) = authorization(access, &mut secrets)? {
            all.insert(AUTHORIZATION, value);
        }
        for (name, value) in headers {
            let text = match value {
                Value::Text(text) => text.expose().to_owned(),
                Value::File(of) => secret(&of.value_file)?,
            };
            let key = HeaderName::from_bytes(name.as_bytes());
            let key = key.map_err(|_| format!("\"{name}\" is not the name of a header"))?;
            let mut sent = HeaderValue::from_str(&text)
                .map_err(|_| format!("the value of {name} has characters that no header takes"))?;
            sent.set_sensitive(true);
            all.insert(key, sent);
            secrets.push(text);
        }
        let (mut http, _) = reaching(&parsed, access)?;
        http = http.timeout(speech.timeout);
        if speech.http2 {
            http = http.http2_prior_knowledge();
        }
        let http = http.build().map_err(|why| causes(&why))?;
        Ok(Self { http, url: parsed, headers: all, secrets })
    }

    /// A text in which no secret is.
    pub(crate) fn clean(&self, text: &str) -> String {
        scrub(text, self.secrets.iter().map(String::as_str))
    }
}
