//! A notification: alerts of one group, for one receiver, as Alertmanager's templates and webhooks show it.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::SerializeMap;

use super::log::Reason;
use super::posted::PostedAlert;
use crate::promql::{Labels, moment_ms};

/// Whether something fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Firing,
    /// It is over.
    Resolved,
}

impl Status {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// A page that goes with a notification where that can be: a mail has it beside its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// What the mail is called.
    pub title: String,
    /// The name of its file.
    pub file: String,
    /// What is in it.
    pub html: String,
}

/// A notification.
#[derive(Clone, Debug)]
pub struct Message {
    /// The name of the receiver.
    pub receiver: Arc<str>,
    /// What identifies the group.
    pub group_key: Arc<str>,
    /// What its alerts have in common by definition.
    pub group_labels: Labels,
    /// The alerts; none is over unless its time had come when this was put together.
    pub alerts: Vec<(Status, Arc<PostedAlert>)>,
    /// Why it is sent.
    pub reason: Reason,
    /// When it was put together, ms.
    pub at: i64,
    /// A page that goes with it.
    pub sheet: Option<Arc<Sheet>>,
}

impl Message {
    pub(super) fn new(
        receiver: &Arc<str>,
        group_key: &Arc<str>,
        group_labels: &Labels,
        alerts: Vec<Arc<PostedAlert>>,
        reason: Reason,
        at: i64,
    ) -> Self {
        let status =
            |alert: &Arc<PostedAlert>| if alert.is_over(at) { Status::Resolved } else { Status::Firing };
        Self {
            receiver: receiver.clone(),
            group_key: group_key.clone(),
            group_labels: group_labels.clone(),
            alerts: alerts.into_iter().map(|alert| (status(&alert), alert)).collect(),
            reason,
            at,
            sheet: None,
        }
    }

    /// Whether one of them fires.
    #[must_use]
    pub fn status(&self) -> Status {
        let fires = self.alerts.iter().any(|(status, _)| *status == Status::Firing);
        if fires { Status::Firing } else { Status::Resolved }
    }

    /// The alerts of a status.
    pub fn with_status(&self, wanted: Status) -> impl Iterator<Item = &PostedAlert> {
        self.alerts.iter().filter(move |(status, _)| *status == wanted).map(|(_, alert)| &**alert)
    }

    /// The labels that all alerts have, with the same values.
    #[must_use]
    pub fn common_labels(&self) -> Labels {
        self.common(|alert| &alert.labels)
    }

    /// The annotations that all alerts have, with the same texts.
    #[must_use]
    pub fn common_annotations(&self) -> Labels {
        self.common(|alert| &alert.annotations)
    }

    fn common(&self, of: impl Fn(&PostedAlert) -> &Labels) -> Labels {
        let mut all = self.alerts.iter().map(|(_, alert)| of(alert));
        let Some(first) = all.next() else { return Labels::empty() };
        let rest: Vec<&Labels> = all.collect();
        let shared = |(name, value): &(&str, &str)| rest.iter().all(|labels| labels.get(name) == *value);
        Labels::from_pairs(first.iter().filter(shared))
    }

    /// The body of a webhook, version 4. `external_url` is where people see the alerts. Fact: `Message` in Alertmanager's
    /// `notify/webhook`, and `Data` in its `template`.
    #[must_use]
    pub fn json(&self, external_url: &str) -> Vec<u8> {
        let body = Body {
            receiver: &self.receiver,
            status: self.status(),
            alerts: self.alerts.iter().map(|(status, alert)| MessageAlert::new(*status, alert)).collect(),
            notification_reason: self.reason.as_str(),
            group_labels: Pairs(&self.group_labels),
            common_labels: Pairs(&self.common_labels()),
            common_annotations: Pairs(&self.common_annotations()),
            external_url,
            version: "4",
            group_key: &self.group_key,
            truncated_alerts: 0,
        };
        // What is text and numbers can always be written.
        let mut json = serde_json::to_vec(&body).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: &'a str,
    status: Status,
    alerts: Vec<MessageAlert<'a>>,
    // Since Alertmanager 0.33, which spells it so.
    #[serde(rename = "notification_reason")]
    notification_reason: &'static str,
    group_labels: Pairs<'a>,
    common_labels: Pairs<'a>,
    common_annotations: Pairs<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageAlert<'a> {
    status: Status,
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

impl<'a> MessageAlert<'a> {
    fn new(status: Status, alert: &'a PostedAlert) -> Self {
        Self {
            status,
            labels: Pairs(&alert.labels),
            annotations: Pairs(&alert.annotations),
            starts_at: time(alert.starts_at),
            // Go's zero: nobody knows the end of what fires.
            ends_at: if status == Status::Firing {
                "0001-01-01T00:00:00Z".into()
            } else {
                time(alert.ends_at)
            },
            generator_url: &alert.link,
            fingerprint: format!("{:016x}", alert.fingerprint()),
        }
    }
}

/// A time as Go writes it into JSON, without zeros at its end.
fn time(at: i64) -> String {
    let text = moment_ms(at);
    let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    // Seconds that end in a zero keep it.
    if at.rem_euclid(1000) == 0 { crate::promql::moment(at) } else { format!("{digits}Z") }
}

struct Pairs<'a>(&'a Labels);

impl Serialize for Pairs<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
