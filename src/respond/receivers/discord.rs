//! A channel of Discord. Fact: Alertmanager's `notify/discord`.

use serde::Serialize;

use super::body::json;
use super::post::{Place, Post};
use super::text::{cut, lines, written};
use super::{Deliver, SendFuture, Target, Trace};
use crate::alert::dispatch::{Message, Status};
use crate::render::{Hook, message};

/// Characters of a title.
const TITLE: usize = 256;
/// Characters of a text.
const TEXT: usize = 4096;

#[derive(Debug)]
struct Discord(Post);

#[derive(Serialize)]
struct Body {
    content: &'static str,
    embeds: [Embed; 1],
}

#[derive(Serialize)]
struct Embed {
    title: String,
    description: String,
    color: u32,
}

impl Deliver for Discord {
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, trace: Trace<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            let embed = Embed {
                title: cut(&written(message::TITLE, message, url)?, TITLE),
                description: cut(&lines(message::LINES, message, url)?, TEXT),
                color: if message.status() == Status::Firing { 0x0099_2d22 } else { 0x002e_cc71 },
            };
            self.0.send(json(&Body { content: "", embeds: [embed] }), &[], trace).await.map(drop)
        })
    }
}

pub(super) fn open(of: &Hook) -> Result<Target, String> {
    let place = Place::of(of.url.as_ref(), of.url_file.as_deref())?;
    let (name, identity) = (place.shown(), place.identity());
    Ok(Target::new("discord", name, &identity, Discord(Post::new(place, &[])?)))
}
