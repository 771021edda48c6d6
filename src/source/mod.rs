//! The world, kept thin: transports that carry bytes to decoders, and pollers that ask.

/// Says something of a feed's source in the log, as often as [`Feed::log_permit`] lets it. Text of others goes through
/// [`quote`](crate::quote::quote), where it is not a field of type `str`, which is quoted anyway.
macro_rules! say {
    ($feed:expr, $level:ident, $what:literal $(, $($field:tt)+)?) => {
        if let Some(unsaid) = $feed.log_permit($what) {
            tracing::$level!(source = $feed.name(), $($($field)+,)? unsaid, $what);
        }
    };
}

pub(crate) mod aside;
pub mod itself;
pub mod kind;
pub mod look;
pub mod lsl;
mod names;
pub mod pattern;
pub mod poller;
pub mod port;
pub mod program;
pub mod record;
pub mod replay;
pub mod request;
pub mod socket;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::decode::Decoder;
use crate::event::{Body, DropReason, Dropped, Event, Link, Poll, Received, SourceId, Timestamp};
use crate::hub::Hub;
use crate::quote::{LogLimit, quote};

/// Bytes of a file with a secret.
const SMALL: u64 = 64 * 1024;

/// The text of a small file, without white space around it.
pub(crate) fn small(file: &Path) -> Result<String, String> {
    let wrong = |why: &str| format!("cannot read a secret from {}: {why}", file.display());
    let text = crate::sys::file::text(file, SMALL).map_err(|why| wrong(&why.to_string()))?;
    Ok(crate::document::without_mark(&text).trim().to_owned())
}

/// A source's way into the hub. Never waits for anything but the hub's lock, which is held for
/// one batch at a time.
#[derive(Clone, Debug)]
pub struct Feed {
    hub: Arc<Hub>,
    source: SourceId,
    name: Arc<str>,
    limit: Option<Arc<Limit>>,
    tap: Option<Tap>,
    /// What was logged; shared by all that a source finds.
    said: Arc<Mutex<LogLimit>>,
}

/// Where a feed's bytes are recorded as well.
#[derive(Clone, Debug)]
struct Tap {
    recorder: Arc<record::Recorder>,
    /// The source's place in the recording.
    source: u32,
    stream: u32,
    streams: Arc<AtomicU32>,
}

/// Events a source may send in one second; what is over is dropped.
#[derive(Debug)]
struct Limit {
    most: u64,
    /// The second, and the events in it.
    second: AtomicU64,
    events: AtomicU64,
}

impl Limit {
    /// Whether one more event may pass in this second.
    fn admits(&self, at: Timestamp) -> bool {
        let second = at.steady_second().into();
        // Two connections may both turn the second; one event too many is no harm.
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.events.store(0, Ordering::Relaxed);
        }
        self.events.fetch_add(1, Ordering::Relaxed) < self.most
    }
}

impl Feed {
    /// The feed of `source`.
    #[must_use]
    pub fn new(hub: Arc<Hub>, source: SourceId, name: &str) -> Self {
        Self { hub, source, name: name.into(), limit: None, tap: None, said: Arc::default() }
    }

    /// Drops what exceeds so many events per second.
    #[must_use]
    pub fn with_limit(self, events_per_second: Option<u64>) -> Self {
        let limit = |most| Arc::new(Limit { most, second: AtomicU64::new(0), events: AtomicU64::new(0) });
        Self { limit: events_per_second.map(limit), ..self }
    }

    /// Records every byte as well, as the source with this number.
    #[must_use]
    pub fn recorded(self, recorder: Arc<record::Recorder>, source: u32) -> Self {
        Self { tap: Some(Tap { recorder, source, stream: 0, streams: Arc::default() }), ..self }
    }

    /// The feed of one more connection of the source.
    #[must_use]
    pub fn connection(&self) -> Self {
        let mut feed = self.clone();
        if let Some(tap) = &mut feed.tap {
            tap.stream = tap.streams.fetch_add(1, Ordering::Relaxed) + 1;
        }
        feed
    }

    /// The feed of one of several things that the source finds, under a name of its own. Its bytes are not recorded.
    #[must_use]
    pub fn stream(&self, name: &str) -> Self {
        self.of(self.hub.source_named(name), name)
    }

    /// The same where the name came from outside: nothing if there are too many.
    #[must_use]
    pub fn found(&self, name: &str) -> Option<Self> {
        Some(self.of(self.hub.source_found(name)?, name))
    }

    fn of(&self, source: SourceId, name: &str) -> Self {
        Self { said: self.said.clone(), ..Self::new(self.hub.clone(), source, name) }
    }

    /// Whether a line of this kind may be said in the log now, and how many were not said before it, if some were
    /// not: who is outside must not be able to fill a disk.
    fn log_permit(&self, kind: &'static str) -> Option<Option<u64>> {
        self.said.lock().admits(kind, now().steady_second())
    }

    /// What the feed is of is no longer followed: what was known of its present is forgotten.
    pub fn retire(&self) {
        self.hub.lock().retire(self.source);
    }

    /// A socket of the source is closed: what was known of its present is forgotten.
    pub fn close(&self, listen: &str) {
        self.hub.lock().registry.close(self.source, listen);
    }

    /// The source's configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source is down, or still is, and why: the page of sources says it until it is up. Says whether that is news
    /// for the log.
    pub fn down(&self, why: &str) -> bool {
        self.hub.lock().down(now(), self.source, why)
    }

    /// Folds one event that happened now.
    pub fn send(&self, body: Body<'_>) {
        self.send_at(now(), body);
    }

    /// Folds one event.
    pub fn send_at(&self, at: Timestamp, body: Body<'_>) {
        self.hub.lock().fold(&Event { at, source: self.source, body });
    }

    /// Folds the events that `with` sends, under one lock, and counts them. Says how many counted.
    pub fn batch(&self, at: Timestamp, with: impl FnOnce(&mut dyn FnMut(Body<'_>))) -> u64 {
        self.fold(at, 0, 0, with)
    }

    /// Decodes `bytes` that came in so many reads, and folds what they mean.
    pub fn decode(&self, at: Timestamp, bytes: &[u8], reads: u64, decoder: &mut dyn Decoder) {
        self.decode_counted(at, bytes, bytes.len() as u64, reads, decoder);
    }

    /// The same, of which so many bytes are counted: not all of them were sent, or they are counted elsewhere.
    pub fn decode_counted(
        &self,
        at: Timestamp,
        bytes: &[u8],
        counted: u64,
        reads: u64,
        decoder: &mut dyn Decoder,
    ) {
        if let Some(tap) = self.tap.as_ref().filter(|_| !bytes.is_empty()) {
            tap.recorder.piece(at, tap.source, tap.stream, bytes);
        }
        self.fold(at, counted, reads, |out| decoder.decode(bytes, out));
        while decoder.process_deferred() {
            self.fold(at, 0, 0, |out| decoder.decode(b"", out));
        }
    }

    /// Has a decoder hear what a program sent the device, and says whether that starts its stream.
    pub fn observe_command(&self, at: Timestamp, said: &[u8], decoder: &mut dyn Decoder) -> bool {
        if let Some(tap) = self.tap.as_ref().filter(|_| !said.is_empty()) {
            tap.recorder.piece(at, tap.source, tap.stream | record::SAID, said);
        }
        let mut starts = false;
        self.fold(at, 0, 0, |out| starts = decoder.observe_command(said, out));
        starts
    }

    /// Folds what a decoder has left when its stream ends.
    pub fn end(&self, at: Timestamp, decoder: &mut dyn Decoder) {
        if let Some(tap) = &self.tap {
            tap.recorder.piece(at, tap.source, tap.stream, b"");
        }
        self.fold(at, 0, 0, |out| decoder.end(out));
    }

    fn fold(
        &self,
        at: Timestamp,
        bytes: u64,
        reads: u64,
        with: impl FnOnce(&mut dyn FnMut(Body<'_>)),
    ) -> u64 {
        let source = self.source;
        let mut state = self.hub.lock();
        let before = state.accepted();
        let mut dropped = 0;
        match &self.limit {
            None => with(&mut |body| state.fold(&Event { at, source, body })),
            Some(limit) => {
                let mut admitted = true;
                with(&mut |body| {
                    // A refused line is no event of its own: it goes with its fault.
                    if !matches!(body, Body::Refused(_)) {
                        admitted = limit.admits(at);
                        dropped += u64::from(!admitted);
                    }
                    if admitted {
                        state.fold(&Event { at, source, body });
                    }
                });
            }
        }
        let events = state.accepted() - before;
        if dropped > 0 {
            state.fold(&Event {
                at,
                source,
                body: Body::Dropped(Dropped { reason: DropReason::RateLimit, events: dropped }),
            });
        }
        if events + reads > 0 {
            state.fold(&Event { at, source, body: Body::Received(Received { bytes, reads, events }) });
        }
        events
    }
}

/// Asks a source every `interval` until it is cancelled, and reports each attempt.
///
/// `attempt` sends its events itself, through the feed; its error is what the log says. An attempt
/// that outlasts `deadline` has failed. The source is up after an attempt that succeeded and down
/// after one that did not.
pub async fn poll<F>(
    feed: Feed,
    interval: Duration,
    deadline: Duration,
    stop: CancellationToken,
    mut attempt: F,
) where
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
        #[expect(clippy::disallowed_methods, reason = "how long an attempt takes is measured here")]
        let clock = Instant::now();
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            answer = tokio::time::timeout(deadline, attempt(&feed)) => {
                answer.unwrap_or_else(|_| Err(format!("no answer within {} s", deadline.as_secs_f64())))
            }
        };
        feed.send(Body::Poll(Poll { seconds: clock.elapsed().as_secs_f64(), ok: outcome.is_ok() }));
        let next = if outcome.is_ok() { Link::Up } else { Link::Down };
        if let Err(why) = &outcome
            && feed.down(why)
        {
            say!(feed, warn, "source is down", why = %quote(why));
        }
        if next != link {
            if next == Link::Up {
                say!(feed, info, "source is up");
            }
            feed.send(Body::Link(next));
            link = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fault, FaultKind};

    #[test]
    fn a_bad_line_is_dropped_as_one() {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s").with_limit(Some(1));
        feed.batch(Timestamp::both(1), |out| {
            for _ in 0..3 {
                out(Body::Fault(Fault { kind: FaultKind::Syntax, bytes: 5 }));
                out(Body::Refused(b"hello"));
            }
        });
        let read = |family, labels| hub.lock().registry.number(family, labels);
        assert_eq!(read("neural_source_errors", "source=\"s\",reason=\"syntax\""), Some(1.0));
        assert_eq!(read("neural_source_dropped_events", "source=\"s\",reason=\"rate_limit\""), Some(2.0));
    }

    #[test]
    fn a_wall_clock_that_is_set_neither_drops_nor_admits() {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s").with_limit(Some(1));
        let second = 1_000_000_000;
        let send = |steady, wall| {
            let fault = Body::Fault(Fault { kind: FaultKind::Syntax, bytes: 5 });
            feed.batch(Timestamp { steady, wall }, |out| out(fault));
            hub.lock()
                .registry
                .number("neural_source_dropped_events", "source=\"s\",reason=\"rate_limit\"")
                .unwrap_or_default()
        };
        // The wall clock stands still, then jumps.
        assert_eq!(send(0, second), 0.0);
        assert_eq!(send(second, second), 0.0);
        assert_eq!(send(second + 1, 9 * second), 1.0);
        assert_eq!(send(second + 2, 0), 2.0);
    }

    #[tokio::test]
    async fn a_source_is_down_for_the_last_reason() {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
        let stop = CancellationToken::new();
        let mut reasons = ["refused", "line 1 is wrong"].into_iter();
        let attempt = async |_: &Feed| match reasons.next() {
            Some(why) => Err(why.to_owned()),
            None => std::future::pending().await,
        };
        let second = Duration::from_secs(1);
        let look = async {
            for _ in 0..1500 {
                if hub.lock().why("s") == Some("line 1 is wrong") {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel();
        };
        tokio::join!(poll(feed, second / 100, second * 60, stop.clone(), attempt), look);
        assert_eq!(hub.lock().why("s"), Some("line 1 is wrong"));
    }
}
