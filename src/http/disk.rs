//! Answers that may have to wait for a disk: made on threads that may wait, so many at a time.
//!
//! A disk that never answers keeps the threads that ask it. There are never more of them than there are places, however many clients
//! come and go, so that what else needs such a thread has one: the reading of what is scraped, and of what commands print.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::Semaphore;

use super::reply;
use super::reply::Form;
use super::{Reply, Site};

/// How long it is waited for a place.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is under way.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// Why something was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmade {
    /// There was no place in time.
    Busy,
    /// It panicked.
    Panicked,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Does `work`, which has its place until it is over, also when nobody waits for it any longer.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unmade> {
        let place = tokio::time::timeout(patience, self.0.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Unmade::Busy) };
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(|_| Unmade::Panicked)
    }
}

impl Unmade {
    /// What the client is told.
    pub(super) fn reply(self, form: Form) -> Reply {
        match self {
            Self::Busy => reply::error(
                form,
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "busy: other requests wait for the disk of the state directory; see the reason in the log",
            ),
            Self::Panicked => reply::error(
                form,
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the request panicked; please report it",
            ),
        }
    }
}

impl Site {
    /// Answers a question of the API that may wait for a disk.
    pub(super) async fn aside(&self, work: impl FnOnce() -> Reply + Send + 'static) -> Reply {
        let made = self.queries.work(PATIENCE, work).await;
        made.unwrap_or_else(|why| why.reply(Form::Prometheus))
    }

    /// Makes a page, or something of one. Pages have places of their own: they are read when queries are many.
    pub(super) async fn page_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unmade> {
        self.pages.work(PATIENCE, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_has_its_place_until_it_is_over_whoever_waits() {
        let places = Places::new(1);
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let short = Duration::from_millis(50);
        // The client goes; the work stays.
        let gone = tokio::time::timeout(short, places.work(short, move || gate.recv().is_ok())).await;
        assert!(gone.is_err());
        assert_eq!(places.work(short, || 1).await, Err(Unmade::Busy));
        release.send(()).unwrap();
        assert_eq!(places.work(Duration::from_secs(20), || 2).await, Ok(2));
        let panics = || -> u8 { panic!("on purpose") };
        let panicked = places.work(Duration::from_secs(20), panics).await;
        assert_eq!(panicked, Err(Unmade::Panicked));
        assert_eq!(places.work(Duration::from_secs(20), || 3).await, Ok(3), "a panic keeps no place");
    }
}
