//! What takes requests, however they came: within the limits of the source, read and folded.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::clock::now;
use crate::decode::otlp::{self, Form, Malformed, Otlp, Request, RequestCounts};
use crate::event::{Body, Fault, FaultKind, Received, Telemetry};
use crate::listen::Listen;
use crate::origin::Names;
use crate::source::Feed;
use crate::source::socket::Bound;
use crate::trace::PassedSpans;

/// Requests of the largest size that may be held at once.
const LARGE: usize = 4;
/// Bytes of a request that is read where it came, if it is not packed: what is larger would keep others waiting.
const SMALL: usize = 32 * 1024;

/// What is known of the senders of a source. It outlives a change of settings: a sum that a program keeps itself must not
/// count twice.
#[derive(Debug)]
pub(super) struct Senders {
    /// The source whose series they are.
    source: String,
    reader: Mutex<Otlp>,
    /// Requests take turns. Who waits for one keeps no thread.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Senders {
    /// What the sockets have of the reader before, or nothing yet.
    pub(super) fn of(sockets: &[(Listen, Arc<Bound>)], feed: &Feed, settings: otlp::Settings) -> Arc<Self> {
        let known = sockets.iter().find_map(|(_, bound)| {
            let known = bound.known.lock().clone()?.downcast::<Self>().ok()?;
            (known.source == feed.name()).then_some(known)
        });
        let senders = known.unwrap_or_else(|| {
            // Its series are there, but nobody knows what senders said: what they count from now on counts.
            let counted = [("source", feed.name())];
            let before = feed.hub.lock().registry.value("neural_source_events", &counted);
            let since = if before.is_some_and(|events| events > 0.0) { now().wall } else { 0 };
            let reader = Mutex::new(Otlp::since(since));
            Arc::new(Self { source: feed.name().to_owned(), reader, turn: Arc::default() })
        });
        senders.reader.lock().set_settings(settings);
        for (_, bound) in sockets {
            *bound.known.lock() = Some(senders.clone());
        }
        senders
    }
}

/// What takes requests.
#[derive(Debug)]
pub(super) struct Receiver {
    pub feed: Feed,
    senders: Arc<Senders>,
    /// Bytes of the largest request.
    pub body_limit: usize,
    /// Bytes of all that are held.
    pub budget: Arc<Semaphore>,
    pub names: Arc<Names>,
}

impl Receiver {
    pub(super) fn new(feed: Feed, senders: Arc<Senders>, body_limit: usize, names: Arc<Names>) -> Self {
        let budget = Arc::new(Semaphore::new(LARGE * body_limit));
        Self { feed, senders, body_limit, budget, names }
    }

    /// Does what a request of so many bytes asks for, when its turn comes: on a thread that may wait, unless it is small. Nothing comes
    /// of it when the agent ends.
    pub(super) async fn take<T: Send + 'static>(
        self: &Arc<Self>,
        bytes: usize,
        packed: bool,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        let turn = self.senders.turn.clone().lock_owned().await;
        if !packed && bytes <= SMALL {
            return Some(work(self));
        }
        let this = self.clone();
        let work = move || {
            let done = work(&this);
            // Also if nobody waits for it any longer, the next one comes after it.
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// Reads a request that came in so many bytes, and folds it.
    ///
    /// # Errors
    /// It is malformed: nothing of it counted.
    pub(super) fn read(
        &self,
        signal: Telemetry,
        form: Form,
        body: &[u8],
        bytes: u64,
    ) -> Result<RequestCounts, Malformed> {
        let read = Request::parse(signal, form, body).map(|request| {
            let at = now();
            let counted = self
                .senders
                .reader
                .lock()
                .read(&request, at, &mut |with| self.feed.batch(at, |out| with(out)));
            self.pass(&request);
            counted
        });
        self.feed.send(Body::Received(Received { bytes, reads: 1, events: 0 }));
        if let Err(malformed) = &read {
            self.refuse(malformed.kind, bytes);
        }
        read
    }

    /// Passes spans on, where they are sent somewhere.
    fn pass(&self, request: &Request<'_>) {
        if request.signal() != Telemetry::Traces {
            return;
        }
        let sampling = self.feed.hub.lock().sampling();
        if let Some(sampling) = sampling {
            let passed = PassedSpans::of(request.message(), &sampling);
            self.feed.hub.lock().pass(passed);
        }
    }

    /// Whether no request has its turn.
    #[cfg(test)]
    pub(super) fn turn_is_free(&self) -> bool {
        self.senders.turn.try_lock().is_ok()
    }

    /// Counts a request of which nothing counts.
    pub(super) fn refuse(&self, kind: FaultKind, bytes: u64) {
        self.feed.send(Body::Fault(Fault { kind, bytes }));
    }
}
