//! A channel of Slack, by an incoming webhook. Fact: Alertmanager's `notify/slack`.

use serde::Serialize;

use super::body::json;
use super::post::{Answer, Place, Post};
use super::text::{cut, lines, written};
use super::{Deliver, Failure, SendFuture, Target, Trace};
use crate::alert::dispatch::Message;
use crate::quote::quote;
use crate::render::{Slack as Settings, message};

/// Characters of a title.
const TITLE: usize = 1024;

#[derive(Debug)]
struct Slack {
    post: Post,
    channel: String,
}

#[derive(Serialize)]
struct Body<'a> {
    channel: &'a str,
    username: &'static str,
    attachments: [Attachment<'a>; 1],
}

#[derive(Serialize)]
struct Attachment<'a> {
    title: String,
    title_link: &'a str,
    text: String,
    fallback: String,
    color: String,
    mrkdwn_in: [&'static str; 3],
}

impl Deliver for Slack {
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, trace: Trace<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            let title = cut(&written(message::TITLE, message, url)?, TITLE);
            let body = Body {
                channel: &self.channel,
                username: "neural-exporter",
                attachments: [Attachment {
                    fallback: format!("{title} | {url}"),
                    title,
                    title_link: url,
                    text: lines(message::LINES, message, url)?,
                    color: written(message::COLOR, message, url)?,
                    mrkdwn_in: ["fallback", "pretext", "text"],
                }],
            };
            let answer = self.post.send(json(&body), &[], trace).await?;
            taken(&answer).map_err(|why| Failure::lasting(format!("channel {}: {why}", self.channel)))
        })
    }
}

/// Slack says with a status of 200 too that it did not take something.
fn taken(answer: &Answer) -> Result<(), String> {
    if !answer.is_json {
        return if answer.body == "ok" { Ok(()) } else { Err(format!("it answers {}", quote(&answer.body))) };
    }
    let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if said.get("ok") == Some(&true.into()) {
        return Ok(());
    }
    let why = said.get("error").and_then(serde_json::Value::as_str).unwrap_or("it answers no `ok`");
    Err(quote(why).to_string())
}

pub(super) fn open(of: &Settings) -> Result<Target, String> {
    let identity = format!("{} {}", of.api_url_file, of.channel);
    let post = Post::new(Place::File(of.api_url_file.clone().into()), &[])?;
    Ok(Target::new("slack", &of.channel, &identity, Slack { post, channel: of.channel.clone() }))
}
