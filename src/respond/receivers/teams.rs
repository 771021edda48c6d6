//! A channel of Microsoft Teams, by a workflow that takes adaptive cards. Fact: Alertmanager's `notify/msteamsv2`.

use serde_json::json as value;

use super::body::json;
use super::post::{Place, Post};
use super::text::{lines, written};
use super::{Deliver, SendFuture, Target, Trace};
use crate::alert::dispatch::{Message, Status};
use crate::render::{Hook, message};

#[derive(Debug)]
struct Teams(Post);

impl Deliver for Teams {
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, trace: Trace<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            let color = if message.status() == Status::Firing { "Attention" } else { "Good" };
            let title = written(message::TITLE, message, url)?;
            let text = lines(message::LINES, message, url)?;
            let card = value!({
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": [
                    {"type": "TextBlock", "text": title, "weight": "Bolder", "size": "Medium", "wrap": true,
                     "style": "heading", "color": color},
                    {"type": "TextBlock", "text": text, "wrap": true},
                ],
                "msteams": {"width": "full"},
            });
            let body = value!({
                "type": "message",
                "attachments": [
                    {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card},
                ],
            });
            self.0.send(json(&body), &[], trace).await.map(drop)
        })
    }
}

pub(super) fn open(of: &Hook) -> Result<Target, String> {
    let place = Place::of(of.url.as_ref(), of.url_file.as_deref())?;
    let (name, identity) = (place.shown(), place.identity());
    Ok(Target::new("teams", name, &identity, Teams(Post::new(place, &[])?)))
}
