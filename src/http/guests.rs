//! Who is connected, so that a house full of idle guests is open to one more.
//!
//! Scrapers keep their connections between scrapes, so idleness alone is no reason to end one. Where every place is
//! taken, whoever has been silent for longest gives way to who comes now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Everybody who is connected.
#[derive(Debug)]
pub(super) struct Guests {
    places: Arc<Semaphore>,
    /// Counts what happens: connections and requests, in the order in which they come.
    steps: AtomicU64,
    /// By their last step.
    idle: Mutex<BTreeMap<u64, CancellationToken>>,
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    /// Under which it is listed as idle.
    step: AtomicU64,
    /// Cancelled when it must go.
    pub(super) leave: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Guests {
    /// Places for so many.
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places)),
            steps: AtomicU64::new(0),
            idle: Mutex::default(),
        })
    }

    /// A place for one more, and whether somebody had to go for it. `None` if there are no places any more.
    pub(super) async fn admit(self: &Arc<Self>) -> Option<(Arc<Guest>, bool)> {
        let free = self.places.clone().try_acquire_owned().ok();
        let full = free.is_none();
        let place = match free {
            Some(place) => place,
            None => {
                if let Some((_, longest)) = self.idle.lock().pop_first() {
                    longest.cancel();
                }
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        let guest = Guest {
            guests: self.clone(),
            step: AtomicU64::new(0),
            leave: CancellationToken::new(),
            _place: place,
        };
        guest.rest();
        Some((Arc::new(guest), full))
    }
}

impl Guest {
    /// It is being answered: it does not give way.
    pub(super) fn work(&self) {
        self.guests.idle.lock().remove(&self.step.load(Ordering::Relaxed));
    }

    /// It is idle from now on.
    pub(super) fn rest(&self) {
        let step = self.guests.steps.fetch_add(1, Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
        self.guests.idle.lock().insert(step, self.leave.clone());
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_was_silent_for_longest_gives_way() {
        let guests = Guests::new(2);
        let (first, crowded) = guests.admit().await.unwrap();
        assert!(!crowded);
        let (second, _) = guests.admit().await.unwrap();
        // The first one asks again.
        first.work();
        first.rest();
        let left = tokio::spawn(async move {
            second.leave.cancelled().await;
            drop(second);
        });
        let (third, crowded) = guests.admit().await.unwrap();
        left.await.unwrap();
        assert!(crowded && !first.leave.is_cancelled() && !third.leave.is_cancelled());
        // Who is being answered stays: the third one goes.
        first.work();
        let left = tokio::spawn(async move {
            third.leave.cancelled().await;
            drop(third);
        });
        guests.admit().await.unwrap();
        left.await.unwrap();
        assert!(!first.leave.is_cancelled());
        drop(first);
        assert!(guests.idle.lock().is_empty());
    }
}
