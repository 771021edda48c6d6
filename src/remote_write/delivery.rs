//! The way of one request to a server: tried until there is an answer that another try would not change.

use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use crate::backoff::Backoff;
use crate::clock::now;
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
    pub(super) version: Version,
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
        Self { name, version: settings.version(), settings, receiver, own, backoff, failing: false, say: 0 }
    }

    /// Posts a body with so much in it until there is an answer that another try would not change, and counts what became of it. Nothing is
    /// counted, and the answer is no, where the server takes another version than this.
    pub(super) async fn deliver(&mut self, body: &[u8], count: Count) -> bool {
        let packed = match pack(body) {
            Ok(packed) => packed,
            Err(why) => {
                self.refused("rejected", count, &why);
                return true;
            }
        };
        loop {
            let (why, wait) = match self.post(packed.clone()).await {
                Err(why) => (why, None),
                Ok(reply) => match judge(&reply, self.version, count) {
                    Judgement::Retry => (reply.why, reply.retry_after),
                    Judgement::OtherVersion => {
                        tracing::warn!("{} does not take remote write 2.0; it gets 1.0", self.name);
                        self.version = Version::V1;
                        return false;
                    }
                    Judgement::Over { written, reason } => {
                        self.answered(count, written, reason, &reply.why);
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
        let Ok(packed) = pack(body) else { return };
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
        self.receiver.post(self.version.content_type(), self.version.header(), packed).await
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

/// Compresses a body. Only what has more than 4 GiB cannot be.
fn pack(body: &[u8]) -> Result<Vec<u8>, String> {
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
fn judge(reply: &Reply, version: Version, count: Count) -> Judgement {
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
    fn an_answer_decides_whether_it_is_sent_again() {
        let over = |samples, reason| Judgement::Over {
            written: Count { samples, exemplars: samples.min(2) },
            reason,
        };
        let all = Count { samples: 10, exemplars: 2 };
        for (status, written, version, want) in [
            (204, None, Version::V1, over(10, "not_written")),
            (204, Some(10), Version::V2, over(10, "not_written")),
            (204, Some(7), Version::V2, over(7, "not_written")),
            (200, None, Version::V2, Judgement::OtherVersion),
            (415, None, Version::V2, Judgement::OtherVersion),
            (415, None, Version::V1, over(0, "rejected")),
            (400, None, Version::V1, over(0, "rejected")),
            (400, Some(4), Version::V2, over(4, "rejected")),
            (404, None, Version::V1, over(0, "rejected")),
            (429, None, Version::V2, Judgement::Retry),
            (500, Some(3), Version::V2, Judgement::Retry),
            (503, None, Version::V1, Judgement::Retry),
            (302, None, Version::V1, Judgement::Retry),
        ] {
            let reply =
                Reply { status, retry_after: None, written, exemplars_written: written, why: String::new() };
            assert_eq!(judge(&reply, version, all), want, "{status} {written:?} {version:?}");
        }
    }
}
