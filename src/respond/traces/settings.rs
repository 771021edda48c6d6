//! Where spans are sent, and which.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::listen::Bytes;
use crate::provision::Access;
use crate::secret::{Exposed, Link, Value};
use crate::setting::Span;
use crate::trace;

/// Spans that are sent to Jaeger, Tempo or a collector: of events that belong to a trace, of sessions, and those that came by OTLP. None, unless
/// a target is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TraceSettings")]
pub struct Settings {
    /// Where spans are sent: each of them gets all.
    #[schemars(length(max = 8))]
    pub targets: Vec<Target>,
    /// Which spans are sent.
    pub sampling: trace::Settings,
    /// Whether each session is a span as well, with the incidents meanwhile as its events.
    pub sessions: bool,
    /// From one request to the next where little is to be sent.
    pub interval: Span,
    /// What waits for a target that does not take it.
    pub queue: Queue,
}

/// What waits for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TraceQueue")]
pub struct Queue {
    /// Bytes in memory, packed if they are sent packed. Beyond, they go to disk, and without one the oldest are dropped.
    pub memory: Bytes,
    /// Bytes in the folder `traces` of the state directory; beyond, the oldest there are dropped. 0 for none.
    pub disk: Bytes,
}

/// A server that takes OTLP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TraceTarget")]
pub struct Target {
    /// Where it is: `http://127.0.0.1:4318`. Over HTTP the path is `/v1/traces` if none is written.
    pub url: Link,
    /// How it is spoken to.
    #[serde(default)]
    pub protocol: Protocol,
    /// How it is reached.
    #[serde(default)]
    pub access: Access,
    /// Headers of every request, by name: a text, or `{value_file: FILE}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Value>,
    /// How requests are packed.
    #[serde(default)]
    pub compression: Compression,
    /// How long it may take to answer; then it is tried again.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TraceProtocol")]
pub enum Protocol {
    /// OTLP over HTTP, as protobuf.
    #[default]
    Http,
    /// OTLP over gRPC.
    Grpc,
}

/// How requests are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "TraceCompression")]
pub enum Compression {
    /// By gzip, which every receiver of OTLP has to take.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            sampling: trace::Settings::default(),
            sessions: true,
            interval: Span::seconds(1),
            queue: Queue::default(),
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { memory: Bytes(16 << 20), disk: Bytes(256 << 20) }
    }
}

/// As the SDKs have it.
fn timeout() -> Span {
    Span::seconds(10)
}

impl Settings {
    /// The files that it names.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.targets.iter_mut().flat_map(|target| {
            target.access.paths().chain(target.headers.values_mut().filter_map(Value::path))
        })
    }
}

impl Target {
    /// Says which secrets stand in it.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        self.access.expose(&self.url, found);
        found.values("headers", &self.headers);
    }

    /// What is wrong with it, with the key that it stands at.
    #[must_use]
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        if self.access.token_file.is_some() && self.access.basic.is_some() {
            return Some(("access", "it has a token_file and a basic user; remove one".to_owned()));
        }
        if self.access.proxy.is_some() && self.access.proxy_file.is_some() {
            return Some(("access", "it has a proxy and a proxy_file; remove one".to_owned()));
        }
        let named = |name: &&String| reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err();
        if let Some(name) = self.headers.keys().find(named) {
            return Some(("headers", format!("\"{name}\" is not the name of a header")));
        }
        let url: reqwest::Url = self.url.expose().parse().ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return Some(("url", "remove user and password from the url; set access.basic".to_owned()));
        }
        let path = url.path().trim_end_matches('/');
        (self.protocol == Protocol::Grpc && !path.is_empty())
            .then(|| ("url", "gRPC has no path; write the host and the port alone".to_owned()))
    }
}
