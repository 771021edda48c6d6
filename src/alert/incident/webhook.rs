//! What an Alertmanager posts to a webhook, version 4.
//!
//! Fact: `template/template.go` and `notify/webhook/webhook.go` of Alertmanager. A time that is not there is Go's zero.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Notice, Origin, concerns};
use crate::promql::{Labels, read_moment};

/// Alerts of one message.
const ALERTS: usize = 10_000;
/// Before this time, in ms, there was no Alertmanager: Go's zero, and clocks that were never set.
const EARLIEST: i64 = 946_684_800_000;

/// What one message says.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Alerts that fire.
    pub firing: Vec<Notice>,
    /// Alerts that are over, and since when.
    pub resolved: Vec<(Labels, i64)>,
    /// Alerts that make no incident: for information, without a name, or too long.
    pub ignored: usize,
}

#[derive(Deserialize)]
struct WebhookMessage {
    #[serde(default)]
    version: String,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
}

/// Reads a message that came at `now`.
///
/// # Errors
/// It is not one of Alertmanager's, in words for its log.
pub fn read(body: &[u8], now: i64) -> Result<Message, String> {
    let posted: WebhookMessage = serde_json::from_slice(body)
        .map_err(|why| format!("not a message of Alertmanager's webhook: {why}"))?;
    if posted.version != "4" {
        return Err(format!(
            "version {:?} of the webhook is not known; this is version \"4\"",
            posted.version
        ));
    }
    if posted.alerts.len() > ALERTS {
        return Err(format!("more than {ALERTS} alerts in one message; set max_alerts in Alertmanager"));
    }
    let time = |text: &str| read_moment(text).filter(|at| (EARLIEST..=now).contains(at)).unwrap_or(now);
    let mut message = Message::default();
    for alert in posted.alerts {
        let labels = Labels::from_pairs(&alert.labels);
        match alert.status.as_str() {
            _ if !concerns(&labels) => message.ignored += 1,
            "firing" => message.firing.push(Notice {
                labels,
                annotations: Labels::from_pairs(&alert.annotations),
                value: None,
                worse: None,
                started: time(&alert.starts_at),
                origin: Origin::Alertmanager,
            }),
            "resolved" => message.resolved.push((labels, time(&alert.ends_at))),
            other => return Err(format!("an alert is {other:?}, neither firing nor resolved")),
        }
    }
    Ok(message)
}
