//! Whom the agent asks of the past, as it is configured.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answers, Bridged, Server};
use crate::provision::Access;
use crate::secret::{Exposed, Link};

/// Who answers questions of the past; the agent's own history if nobody is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Ask")]
pub struct Settings {
    /// A server that scrapes this agent, by the HTTP API of Prometheus: Prometheus itself, Mimir, Thanos, VictoriaMetrics. While it
    /// cannot be reached the agent's own history answers, and the answer says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
}

/// A server with the HTTP API of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AskPrometheus")]
pub struct Prometheus {
    /// Its root, with the prefix before `/api/v1` where there is one: `http://mimir:8080/prometheus`.
    pub url: Link,
    /// How it is reached.
    #[serde(default)]
    pub access: Access,
    /// Whose data are asked for, where there are several tenants: the header `X-Scope-OrgID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl Settings {
    /// The files that it names.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.prometheus.iter_mut().flat_map(|server| server.access.paths())
    }

    /// Says which secrets stand in it.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        if let Some(server) = &self.prometheus {
            server.access.expose(&server.url, found);
        }
    }

    /// What is wrong with it, with the key that it stands at, in `prometheus`.
    #[must_use]
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        let server = self.prometheus.as_ref()?;
        let tenant = server.tenant.as_deref().unwrap_or("-");
        // As Mimir checks it.
        let plain = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()|".contains(c);
        if tenant.is_empty() || tenant.len() > 150 || !tenant.chars().all(plain) {
            return Some(("tenant", format!("\"{tenant}\" is not the name of a tenant")));
        }
        let (token, basic) = (server.access.token_file.is_some(), server.access.basic.is_some());
        (token && basic).then(|| ("access", "it has a token_file and a basic user; remove one".to_owned()))
    }

    /// Who answers: the server that is configured, and `own` in its absence.
    ///
    /// # Errors
    /// What is wrong with the settings, or with a file that they name.
    pub fn open(&self, own: Vec<Box<dyn Answers>>) -> Result<Bridged, String> {
        let mut all = Vec::new();
        if let Some(server) = &self.prometheus {
            all.push(Box::new(server.open()?) as Box<dyn Answers>);
        }
        all.extend(own);
        Ok(Bridged(all))
    }
}

impl Prometheus {
    /// Reads secrets and certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the settings, or with a file that they name.
    pub fn open(&self) -> Result<Server, String> {
        Server::open(&self.url, &self.access, self.tenant.as_deref())
    }
}
