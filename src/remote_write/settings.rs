//! Where metrics are written to, as it is configured: the keys are those of `remote_write` in Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::text::relabel::{Relabel, RelabelStep};
use crate::provision::Access;
use crate::provision::receiver::Receiver;
use crate::secret::{Basic, Exposed, Link};
use crate::setting::Span;
use crate::write_request::Version;

/// A server that takes remote write: Prometheus, Mimir, Thanos, VictoriaMetrics; or OTLP: a collector of OpenTelemetry. It gets what a scrape would show, at `history.interval`, from
/// the history, and after an outage what it missed. Changes take effect at the next start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RemoteWrite")]
pub struct Settings {
    /// Its whole address: `http://prometheus:9090/api/v1/write`. Of OTLP the path is `/v1/metrics` if none is written.
    pub url: Link,
    /// How metrics, the log and the file of its position call it; its host and port if omitted. No two have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which message is sent: that of version 2.0, of 1.0, or OTLP's. A server that does not take 2.0 gets 1.0.
    #[serde(default)]
    pub protobuf_message: Message,
    /// How long one answer may take.
    #[serde(default = "timeout")]
    pub remote_timeout: Span,
    /// Headers beside those of the protocol. They are shown: no secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whose data they are, where there are several tenants: the header `X-Scope-OrgID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// A user and the file with its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// A token, in place of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Whose certificates are trusted.
    #[serde(default)]
    pub tls_config: Tls,
    /// A proxy; what the environment says if omitted, none if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<Link>,
    /// What is done with the labels of each series before it is sent; buckets are series of their own here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write_relabel_configs: Vec<RelabelStep>,
    /// How much is sent at once, and how fast.
    #[serde(default)]
    pub queue_config: Queue,
}

/// Which message is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RemoteWriteMessage")]
pub enum Message {
    /// Version 1.0, which every server takes.
    #[default]
    #[serde(rename = "prometheus.WriteRequest")]
    V1,
    /// Version 2.0.
    #[serde(rename = "io.prometheus.write.v2.Request")]
    V2,
    /// OTLP over HTTP, which collectors of OpenTelemetry take: no remote write, but the same samples, as data points.
    #[serde(rename = "otlp")]
    Otlp,
}

impl Message {
    /// The version of remote write that it is of, if it is of one.
    pub(super) fn version(self) -> Option<Version> {
        match self {
            Self::V1 => Some(Version::V1),
            Self::V2 => Some(Version::V2),
            Self::Otlp => None,
        }
    }
}

/// A user of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// Its name.
    pub username: String,
    /// The file with its password.
    pub password_file: PathBuf,
}

/// A token for a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// The file with the bearer token.
    pub credentials_file: PathBuf,
}

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RemoteWriteTls")]
pub struct Tls {
    /// A PEM file with certificates, in place of those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// How much is sent at once, and how fast. One request is under way at a time, so that the samples of a series keep their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RemoteWriteQueue")]
pub struct Queue {
    /// Samples of one request; of OTLP data points, of which a histogram is one.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_samples_per_send: usize,
    /// The first pause after a failure; each further one is twice as long.
    pub min_backoff: Span,
    /// The longest pause, unless the server asks for a longer one.
    pub max_backoff: Span,
    /// Samples of a second at most while it catches up.
    #[schemars(range(min = 1))]
    pub catch_up_samples_per_second: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max_samples_per_send: 2_000,
            min_backoff: Span::millis(30),
            max_backoff: Span::seconds(5),
            catch_up_samples_per_second: 50_000,
        }
    }
}

fn timeout() -> Span {
    Span::seconds(30)
}

/// The path of a request of OTLP.
const OTLP_PATH: &str = "/v1/metrics";

/// Headers that the protocol or another setting has.
const OWN: &[&str] = &[
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "x-prometheus-remote-write-version",
    "x-scope-orgid",
];

impl Settings {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        let host = || {
            let url: Option<reqwest::Url> = self.url.expose().parse().ok();
            let host = url.and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)));
            let named = host.map_or_else(|| "remote".to_owned(), |(host, port)| format!("{host}-{port}"));
            named
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
                .collect()
        };
        self.name.clone().unwrap_or_else(host)
    }

    /// The files that it names.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let password = self.basic_auth.as_mut().map(|basic| &mut basic.password_file);
        let token = self.authorization.as_mut().map(|token| &mut token.credentials_file);
        password.into_iter().chain(token).chain(&mut self.tls_config.ca_file)
    }

    /// Says which secrets stand in it.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        found.link("url", &self.url, "authorization.credentials_file or basic_auth.password_file");
        let why = "a proxy with a password is not supported here: name one without";
        self.proxy_url.iter().for_each(|proxy| found.plain("proxy_url", proxy, why));
    }

    /// What is wrong with it, with the key that it stands at.
    #[must_use]
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = self.name.as_deref().unwrap_or("-");
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Some((
                "name",
                format!("\"{name}\" is no name of a target: letters, digits, `.`, `_` and `-`, 64 at most"),
            ));
        }
        if self.basic_auth.is_some() && self.authorization.is_some() {
            return Some((
                "authorization",
                "it has a basic_auth and an authorization; remove one".to_owned(),
            ));
        }
        let own = |name: &&String| OWN.contains(&name.to_ascii_lowercase().as_str());
        if let Some(name) = self.headers.keys().find(own) {
            return Some((
                "headers",
                format!("the header {name} is set by the protocol or by another setting"),
            ));
        }
        if let Err(why) = self.relabel() {
            return Some(("write_relabel_configs", why));
        }
        None
    }

    /// The steps of relabelling, ready to run.
    pub(super) fn relabel(&self) -> Result<Option<Relabel>, String> {
        let steps = &self.write_relabel_configs;
        if steps.is_empty() { Ok(None) } else { Relabel::compile(&[], &[], steps).map(Some) }
    }

    /// Whether it is told when counters and histograms began to count, which version 1.0 does not know.
    #[must_use]
    pub fn tells_begins(&self) -> bool {
        self.protobuf_message != Message::V1
    }

    /// The address that requests go to: of OTLP the path is known, where none is written.
    fn address(&self) -> Link {
        let url: Option<reqwest::Url> = self.url.expose().parse().ok();
        match url.filter(|url| self.protobuf_message == Message::Otlp && url.path() == "/") {
            Some(mut url) => {
                url.set_path(OTLP_PATH);
                Link::from(String::from(url))
            }
            None => self.url.clone(),
        }
    }

    /// Reads secrets and certificates. Sends nothing.
    pub(super) fn open(&self) -> Result<Receiver, String> {
        let access = Access {
            token_file: self.authorization.as_ref().map(|token| token.credentials_file.clone()),
            basic: self.basic_auth.as_ref().map(|basic| Basic {
                user: basic.username.clone(),
                password_file: basic.password_file.clone(),
            }),
            ca_file: self.tls_config.ca_file.clone(),
            proxy: self.proxy_url.clone(),
            proxy_file: None,
        };
        let tenant = self.tenant.as_deref().map(|tenant| ("x-scope-orgid", tenant));
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Receiver::open(&self.address(), &access, headers.chain(tenant), self.remote_timeout.0)
    }
}

/// The first name that two targets have, with the place of the second.
#[must_use]
pub fn twice(all: &[Settings]) -> Option<(usize, String)> {
    let mut names = BTreeSet::new();
    all.iter().map(Settings::name).enumerate().find(|(_, name)| !names.insert(name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_otlp_is_known() {
        let address = |url: &str, message: &str| {
            let text = format!("{{url: '{url}', protobuf_message: {message}}}");
            let settings: Settings = serde_yaml::from_str(&text).unwrap();
            settings.address().expose().to_owned()
        };
        for (url, want) in [
            ("http://collector:4318", "http://collector:4318/v1/metrics"),
            ("http://collector:4318/?a=b", "http://collector:4318/v1/metrics?a=b"),
            ("http://collector/api/v1/otlp/v1/metrics", "http://collector/api/v1/otlp/v1/metrics"),
        ] {
            assert_eq!(address(url, "otlp"), want);
        }
        assert_eq!(address("http://server/", "prometheus.WriteRequest"), "http://server/");
    }
}
