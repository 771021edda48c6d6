//! A service of PagerDuty, by its Events API v2: a group of alerts is one incident, which ends with the last of them. Fact: Alertmanager's
//! `notify/pagerduty`.

use std::path::PathBuf;

use serde_json::json as value;

use super::body::json;
use super::post::{Place, Post, secret};
use super::text::{cut, list, sha256, written};
use super::{Deliver, SendFuture, Target, Trace};
use crate::alert::dispatch::{Message, Status};
use crate::render::{Pagerduty as Settings, message};

/// PagerDuty's own service.
const EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of a summary.
const SUMMARY: usize = 1024;
/// Bytes of an event.
const EVENT: usize = 512_000;
/// It asks who sends too much to wait.
const PASSING: &[u16] = &[429];

#[derive(Debug)]
struct Pagerduty {
    post: Post,
    key: PathBuf,
}

impl Deliver for Pagerduty {
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, trace: Trace<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            let key = secret(&self.key).await?;
            let fires = message.status() == Status::Firing;
            let count = |status| message.with_status(status).count().to_string();
            let mut event = value!({
                "routing_key": key,
                // The same for the same group, from any process: what is sent twice is one incident.
                // Fact: `Key.Hash` of Alertmanager.
                "dedup_key": sha256(&message.group_key),
                "event_action": if fires { "trigger" } else { "resolve" },
                "payload": {
                    "summary": cut(&written(message::TITLE, message, url)?, SUMMARY),
                    "source": "neural-exporter",
                    "severity": written(message::PAGER, message, url)?,
                    "custom_details": {
                        "firing": list(message.with_status(Status::Firing)),
                        "resolved": list(message.with_status(Status::Resolved)),
                        "num_firing": count(Status::Firing),
                        "num_resolved": count(Status::Resolved),
                    },
                },
                "client": "neural-exporter",
                "client_url": url,
            });
            let mut body = json(&event);
            if body.len() > EVENT {
                if let Some(details) = event.pointer_mut("/payload/custom_details") {
                    *details =
                        value!({"error": "the details are left out: the event would have more than 512 kB"});
                }
                body = json(&event);
            }
            self.post.send(body, &[&key], trace).await.map(drop)
        })
    }
}

pub(super) fn open(of: &Settings) -> Result<Target, String> {
    let place = Place::Here(of.url.as_ref().map_or(EVENTS, |url| url.expose()).into());
    let identity = format!("{} {}", of.routing_key_file, place.identity());
    let post = Post::new(place, PASSING)?;
    Ok(Target::new(
        "pagerduty",
        &of.routing_key_file,
        &identity,
        Pagerduty { post, key: of.routing_key_file.clone().into() },
    ))
}
