//! What can be set of incidents.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Options, Retention, Webhook};
use crate::alert::incident::Limits;
use crate::listen::Bytes;
use crate::setting::Span;

/// What is kept of alerts that fired. It acts on nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Incidents")]
pub struct Settings {
    /// Whether incidents are kept. If omitted: where the agent evaluates rules or takes Alertmanager's messages, and has a state
    /// directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// For how long after its end an incident is kept.
    pub keep: Span,
    /// Bytes of the file; beyond, the oldest incidents that are over go.
    pub max_bytes: Bytes,
    /// Within which time an incident has to be acknowledged before it is escalated, by its priority; 0s is never.
    pub acknowledge: Acknowledge,
    /// Alertmanager's webhook, at `/api/v1/alertmanager`.
    pub webhook: WebhookSettings,
}

/// Times within which an incident has to be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Acknowledge {
    /// That of P0.
    pub p0: Span,
    /// That of P1.
    pub p1: Span,
    /// That of P2.
    pub p2: Span,
    /// That of P3.
    pub p3: Span,
}

/// Whether an Alertmanager may tell of alerts that a Prometheus raised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "IncidentWebhook")]
pub struct WebhookSettings {
    /// Whether its messages are taken.
    pub enabled: bool,
    /// The file with the token that it has to know. Without one, every client that reaches the agent's port may tell of alerts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: None,
            keep: Span::seconds(400 * 86_400),
            max_bytes: Bytes(64_000_000),
            acknowledge: Acknowledge::default(),
            webhook: WebhookSettings::default(),
        }
    }
}

impl Default for Acknowledge {
    fn default() -> Self {
        let hours = |hours: u64| Span::seconds(hours * 3_600);
        Self { p0: Span::seconds(15 * 60), p1: hours(1), p2: hours(4), p3: hours(24) }
    }
}

/// Incidents that are open at once.
const OPEN: usize = 10_000;
/// Ends that are remembered, and incidents that wait for the disk.
const CLOSED: usize = 10_000;

impl Settings {
    /// What to do, with the folder for the file, and whether the agent evaluates rules.
    ///
    /// # Errors
    /// The token cannot be read.
    pub fn options(&self, folder: &std::path::Path, evaluates: bool) -> Result<Options, String> {
        let ms = |span: Span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
        let within = |span: Span| Some(ms(span)).filter(|ms| *ms > 0);
        let Acknowledge { p0, p1, p2, p3 } = &self.acknowledge;
        let token = match &self.webhook.token_file {
            Some(file) if self.webhook.enabled => Some(crate::provision::read_secret(file)?),
            _ => None,
        };
        Ok(Options {
            path: folder.join("incidents.db"),
            limits: Limits {
                open: OPEN,
                closed: CLOSED,
                acknowledge: [within(*p0), within(*p1), within(*p2), within(*p3)],
            },
            retention: Retention { keep: ms(self.keep), bytes: self.max_bytes.0 },
            evaluates,
            webhook: self.webhook.enabled.then_some(Webhook(token)),
        })
    }
}
