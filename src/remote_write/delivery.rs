//! The way of one request to a server: tried until there is an answer that another try would not change.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::{Message, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::backoff::Backoff;
use crate::clock::now;
use crate::decode::otlp::answer::partial_success;
use crate::metrics::Own;
use crate::provision::receiver::{Receiver, Reply};
use crate::quote::quote;
use crate::write_request::Version;

/// The longest pause that a server may ask for.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How often it is said that something is not taken, ns.
const SAID: u64 = 60_000_000_000;

/// What a request has, or a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) samples: u64,
    pub(super) exemplars: u64,
}

/// Where requests go, and how that went.
pub(super) struct Delivery<'s> {
    pub(super) name: String,
    /// What the server takes.
    pub(super) message: Message,
    settings: &'s Settings,
    receiver: Receiver,
    own: Arc<Own>,
    backoff: Backoff,
    /// Whether the last request failed, which is said once.
    failing: bool,
    /// When it may be said again that samples were rejected, ns of the steady clock.
    say: u64,
}

impl<'s> Delivery<'s> {
    pub(super) fn new(name: String, settings: &'s Settings, receiver: Receiver, own: Arc<Own>) -> Self {
        let backoff = start(settings);
        Self {
            name,
            message: settings.protobuf_message,
            settings,
            receiver,
            own,
            backoff,
            failing: false,
            say: 0,
        }
    }

    /// Posts a body with so much in it until there is an answer that another try would not change, and counts what became of it. Nothing is
    /// counted, and the answer is no, where the server takes another version than this.
    pub(super) async fn deliver(&mut self, body: &[u8], count: Count) -> bool {
        let packed = match pack(self.message, body) {
            Ok(packed) => packed,
            Err(why) => {
                self.refused("rejected", count, &why);
                return true;
            }
        };
        loop {
            let (why, wait) = match self.post(packed.clone()).await {
                Err(why) => (why, None),
                Ok(reply) => match judge(&reply, self.message, count) {
                    Judgement::Retry => (reply.why, reply.retry_after),
                    Judgement::OtherVersion => {
                        tracing::warn!("{} does not take remote write 2.0; it gets 1.0", self.name);
                        self.message = Message::V1;
                        return false;
                    }
                    Judgement::Over { written, reason } => {
                        let partial = self.message == Message::Otlp && reply.why.is_empty();
                        let why = if partial { partial_success(&reply.body).1 } else { &reply.why };
                        self.answered(count, written, reason, why);
                        return true;
                    }
                },
            };
            self.own.writes.retried(&self.name);
            if !std::mem::replace(&mut self.failing, true) {
                tracing::warn!(
                    "remote write to {} is tried again until it succeeds: {}",
                    self.name,
                    quote(why)
                );
            }
            let pause = self.backoff.delay();
            tokio::time::sleep(wait.map_or(pause, |wait| wait.min(PATIENCE).max(pause))).await;
        }
    }

    /// Posts what may be lost, once.
    pub(super) async fn tell(&mut self, body: &[u8]) {
        let Ok(packed) = pack(self.message, body) else { return };
        let why = match self.post(packed).await {
            Ok(reply) if (200..=299).contains(&reply.status) => return,
            Ok(reply) => reply.why,
            Err(why) => why,
        };
        if now().steady >= self.say {
            self.say = now().steady + SAID;
            tracing::warn!("{} was not told what metrics mean: {}", self.name, quote(why));
        }
    }

    async fn post(&self, packed: Vec<u8>) -> Result<Reply, String> {
        let says: &[_] = match self.message.version() {
            Some(version) => &[
                ("content-encoding", "snappy"),
                ("content-type", version.content_type()),
                ("x-prometheus-remote-write-version", version.header()),
            ],
            None => &[("content-encoding", "gzip"), ("content-type", "application/x-protobuf")],
        };
        self.receiver.post(says, packed).await
    }

    fn answered(&mut self, count: Count, written: Count, reason: &'static str, why: &str) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("remote write to {} works again", self.name);
        }
        self.backoff = start(self.settings);
        self.own.writes.sent(&self.name, written.samples, written.exemplars);
        let left = Count {
            samples: count.samples.saturating_sub(written.samples),
            exemplars: count.exemplars.saturating_sub(written.exemplars),
        };
        self.refused(reason, left, why);
    }

    /// Counts what the server does not take, and says once a minute that it takes not all samples.
    fn refused(&mut self, reason: &'static str, count: Count, why: &str) {
        self.dropped(reason, count);
        if count.samples > 0 && now().steady >= self.say {
            self.say = now().steady + SAID;
            tracing::warn!("{} does not take {} samples: {}", self.name, count.samples, quote(why));
        }
    }

    /// Counts what the server does not get.
    pub(super) fn dropped(&self, reason: &'static str, count: Count) {
        self.own.writes.dropped(&self.name, reason, count.samples, count.exemplars);
    }
}

/// The first pause, and the longest.
fn start(settings: &Settings) -> Backoff {
    let queue = &settings.queue_config;
    Backoff::between(queue.min_backoff.0, queue.max_backoff.0)
}

/// Compresses a body as its receiver takes it. Only what has more than 4 GiB cannot be.
fn pack(message: Message, body: &[u8]) -> Result<Vec<u8>, String> {
    if message == Message::Otlp {
        let mut packed = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
        return packed.write_all(body).and_then(|()| packed.finish()).map_err(|why| why.to_string());
    }
    snap::raw::Encoder::new().compress_vec(body).map_err(|why| why.to_string())
}

#[derive(Debug, PartialEq)]
enum Judgement {
    /// The same may succeed later.
    Retry,
    OtherVersion,
    /// The server has so many, and for this reason not the others.
    Over {
        written: Count,
        reason: &'static str,
    },
}

/// What an answer to a request with so much in it means.
fn judge(reply: &Reply, message: Message, count: Count) -> Judgement {
    match message.version() {
        Some(version) => judge_write(reply, version, count),
        None => judge_export(reply, count),
    }
}

/// Of OTLP: only what the specification names is sent again.
fn judge_export(reply: &Reply, count: Count) -> Judgement {
    match reply.status {
        200..=299 => {
            let (rejected, _) = partial_success(&reply.body);
            let samples = count.samples.saturating_sub(rejected);
            // It does not say whose exemplars it did not take.
            let exemplars = if samples > 0 || rejected == 0 { count.exemplars } else { 0 };
            Judgement::Over { written: Count { samples, exemplars }, reason: "not_written" }
        }
        429 | 502..=504 => Judgement::Retry,
        _ => Judgement::Over { written: Count::default(), reason: "rejected" },
    }
}

fn judge_write(reply: &Reply, version: Version, count: Count) -> Judgement {
    let samples = reply.written.map(|written| written.min(count.samples));
    // Who does not say how many it wrote wrote none, says the specification.
    let exemplars = reply.exemplars_written.unwrap_or(0).min(count.exemplars);
    match (reply.status, version) {
        // A server of 1.0 that takes what it does not know for empty.
        (415, Version::V2) => Judgement::OtherVersion,
        (200..=299, Version::V2) if samples.is_none() && count.samples > 0 => Judgement::OtherVersion,
        (200..=299, Version::V1) => Judgement::Over { written: count, reason: "not_written" },
        (200..=299, Version::V2) => {
            let samples = samples.unwrap_or(count.samples);
            Judgement::Over { written: Count { samples, exemplars }, reason: "not_written" }
        }
        (429, _) => Judgement::Retry,
        (400..=499, _) => {
            // Of 1.0 it is not known what of it the server took.
            let written = Count { samples: samples.unwrap_or(0), exemplars };
            Judgement::Over { written, reason: "rejected" }
        }
        _ => Judgement::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_otlp_decides_so_as_its_specification_says() {
        let all = Count { samples: 10, exemplars: 2 };
        // `partial_success` with so many rejected points and a text.
        let partial = |rejected: u8| vec![0x0a, 6, 0x08, rejected, 0x12, 2, b'n', b'o'];
        let over =
            |samples, exemplars, reason| Judgement::Over { written: Count { samples, exemplars }, reason };
        for (status, body, want) in [
            (200, vec![], over(10, 2, "not_written")),
            (200, partial(0), over(10, 2, "not_written")),
            (200, partial(3), over(7, 2, "not_written")),
            (200, partial(99), over(0, 0, "not_written")),
            (429, vec![], Judgement::Retry),
            (502, vec![], Judgement::Retry),
            (503, vec![], Judgement::Retry),
            (504, vec![], Judgement::Retry),
            (400, vec![], over(0, 0, "rejected")),
            (401, vec![], over(0, 0, "rejected")),
            (415, vec![], over(0, 0, "rejected")),
            (500, vec![], over(0, 0, "rejected")),
            (302, vec![], over(0, 0, "rejected")),
        ] {
            let reply = Reply {
                status,
                retry_after: None,
                written: None,
                exemplars_written: None,
                why: String::new(),
                body,
            };
            assert_eq!(judge(&reply, Message::Otlp, all), want, "{status} {:?}", reply.body);
        }
    }

    #[test]
    fn an_answer_decides_whether_it_is_sent_again() {
        let over = |samples, reason| Judgement::Over {
            written: Count { samples, exemplars: samples.min(2) },
            reason,
        };
        let all = Count { samples: 10, exemplars: 2 };
        for (status, written, version, want) in [
            (204, None, Message::V1, over(10, "not_written")),
            (204, Some(10), Message::V2, over(10, "not_written")),
            (204, Some(7), Message::V2, over(7, "not_written")),
            (200, None, Message::V2, Judgement::OtherVersion),
            (415, None, Message::V2, Judgement::OtherVersion),
            (415, None, Message::V1, over(0, "rejected")),
            (400, None, Message::V1, over(0, "rejected")),
            (400, Some(4), Message::V2, over(4, "rejected")),
            (404, None, Message::V1, over(0, "rejected")),
            (429, None, Message::V2, Judgement::Retry),
            (500, Some(3), Message::V2, Judgement::Retry),
            (503, None, Message::V1, Judgement::Retry),
            (302, None, Message::V1, Judgement::Retry),
        ] {
            let reply = Reply {
                status,
                retry_after: None,
                written,
                exemplars_written: written,
                why: String::new(),
                body: Vec::new(),
            };
            assert_eq!(judge(&reply, version, all), want, "{status} {written:?} {version:?}");
        }
    }
}
