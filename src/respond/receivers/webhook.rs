//! Anything that takes Alertmanager's JSON, version 4.

use super::post::{Place, Post};
use super::{Deliver, SendFuture, Target, Trace};
use crate::alert::dispatch::Message;
use crate::render::{Alerts, Hook};

#[derive(Debug)]
struct Webhook(Post);

impl Deliver for Webhook {
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, trace: Trace<'a>) -> SendFuture<'a> {
        Box::pin(async move { self.0.send(message.json(url), &[], trace).await.map(drop) })
    }
}

pub(super) fn open(of: &Hook) -> Result<Target, String> {
    at(Place::of(of.url.as_ref(), of.url_file.as_deref())?, "webhook")
}

fn at(place: Place, kind: &'static str) -> Result<Target, String> {
    let (name, identity) = (place.shown(), place.identity());
    Ok(Target::new(kind, name, &identity, Webhook(Post::new(place, &[])?)))
}

/// Who hears that alerting works, if there is such a receiver.
pub(crate) fn watchdog(alerts: &Alerts) -> Option<Result<Target, String>> {
    let place = Place::of(alerts.watchdog.as_ref(), alerts.watchdog_file.as_deref()).ok()?;
    Some(at(place, "watchdog"))
}
