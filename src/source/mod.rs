//! The world, kept thin: transports that bring bytes to decoders, and pollers that ask.

pub mod exec;
pub mod scrape;
pub mod textfile;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::event::{Body, Event, Link, Pass, SourceId, Timestamp};
use crate::hub::Hub;

/// The time. Nothing below this floor asks for it.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A source's way into the hub. Never waits for anything but the hub's lock, which is held for
/// one batch at a time.
#[derive(Clone, Debug)]
pub struct Feed {
    hub: Arc<Hub>,
    source: SourceId,
}

impl Feed {
    /// The feed of `source`.
    #[must_use]
    pub fn new(hub: Arc<Hub>, source: SourceId) -> Self {
        Self { hub, source }
    }

    /// Folds one event that happened now.
    pub fn send(&self, body: Body<'_>) {
        self.send_at(now(), body);
    }

    /// Folds one event.
    pub fn send_at(&self, at: Timestamp, body: Body<'_>) {
        self.hub.lock().fold(&Event { at, source: self.source, body });
    }

    /// Folds the events that `with` sends, under one lock.
    pub fn batch(&self, at: Timestamp, with: impl FnOnce(&mut dyn FnMut(Body<'_>))) {
        let mut state = self.hub.lock();
        with(&mut |body| state.fold(&Event { at, source: self.source, body }));
    }
}

/// Asks a source every `interval` until told to stop, and reports each attempt.
///
/// `ask` brings its events itself, through the feed; its error is what the log says. An attempt
/// that outlasts `deadline` has failed. The source is up after an attempt that succeeded and down
/// after one that did not.
pub async fn poll<F>(feed: Feed, interval: Duration, deadline: Duration, stop: CancellationToken, mut ask: F)
where
    F: AsyncFnMut(&Feed) -> Result<(), String>,
{
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut link = Link::Waiting;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let began = now();
        let clock = Instant::now();
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            answer = tokio::time::timeout(deadline, ask(&feed)) => {
                answer.unwrap_or_else(|_| Err(format!("no answer within {} s", deadline.as_secs_f64())))
            }
        };
        feed.send(Body::Pass(Pass { began, seconds: clock.elapsed().as_secs_f64(), ok: outcome.is_ok() }));
        let next = if outcome.is_ok() { Link::Up } else { Link::Down };
        if next != link {
            match &outcome {
                Ok(()) => tracing::info!(source = feed.source.0, "source is up"),
                Err(why) => tracing::warn!(source = feed.source.0, %why, "source is down"),
            }
            feed.send(Body::Link(next));
            link = next;
        }
    }
}
