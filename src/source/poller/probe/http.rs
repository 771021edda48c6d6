//! Whether a request over HTTP is answered with the expected status.
//!
//! The body is not read, no redirect is followed, no proxy is used, and each attempt has a connection of its own: one
//! that is kept says nothing of a server that accepts no other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::LOCATION;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::endpoint::{Access, Endpoint};
use super::state::Outcome;
use super::target::{Ask, Target};
use crate::client::causes;
use crate::secret::{Basic, Exposed, Link, Value};

/// A request, and the answer that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// What is asked for, with scheme and path: `http://127.0.0.1:8000/health`.
    pub url: Link,
    /// The statuses that are expected; those from 200 to 299 if there are none.
    #[serde(default)]
    pub status: Vec<u16>,
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

impl Target for Http {
    fn place(&self) -> String {
        self.url.shown()
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let basic = self.basic.as_mut().map(|basic| &mut basic.password_file);
        let headers = self.headers.values_mut().filter_map(Value::path);
        self.bearer_token_file.iter_mut().chain(&mut self.ca_file).chain(basic).chain(headers).collect()
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        if self.url.hides() {
            let instead = "a file, and name that in bearer_token_file or basic.password_file";
            found.add("check.http.url", &self.url, instead);
        }
        found.values("check.http.headers", &self.headers);
    }

    fn open(&self, name: &str, timeout: Duration) -> Result<Ask, String> {
        if let Some(status) = self.status.iter().find(|status| !(100..=599).contains(*status)) {
            return Err(format!("{status} is no status of HTTP; they are from 100 to 599"));
        }
        let access = Access {
            verb: "probe",
            name: name.to_owned(),
            timeout,
            headers: self.headers.clone(),
            bearer_token_file: self.bearer_token_file.clone(),
            basic: self.basic.clone(),
            ca_file: self.ca_file.clone(),
            redirects: false,
            keep: false,
        };
        let endpoint = Arc::new(Endpoint::open(access, self.url.clone())?);
        let expected: Arc<[u16]> = self.status.clone().into();
        Ok(Box::new(move || {
            let (endpoint, expected) = (Arc::clone(&endpoint), Arc::clone(&expected));
            Box::pin(async move { ask(&endpoint, &expected).await })
        }))
    }
}

async fn ask(endpoint: &Endpoint, expected: &[u16]) -> Outcome {
    let request = match endpoint.get().await {
        Ok(request) => request,
        Err(why) => return Outcome::Unknown(why),
    };
    match request.send().await {
        Ok(response) => judge(&response, expected),
        Err(why) => Outcome::Silent(format!(
            "cannot get an answer from {}: {}",
            endpoint.shown,
            causes(&why.without_url())
        )),
    }
}

fn judge(response: &Response, expected: &[u16]) -> Outcome {
    let status = response.status();
    let good = if expected.is_empty() { status.is_success() } else { expected.contains(&status.as_u16()) };
    if good {
        return Outcome::Good;
    }
    let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    Outcome::Bad(match to {
        Some(to) if status.is_redirection() => {
            let to: String = Link::from(to).shown().chars().take(200).collect();
            format!(
                "it answers {status}, to {to}; set url to where the answer is, or status to {}",
                status.as_u16()
            )
        }
        _ => format!("it answers {status}"),
    })
}
