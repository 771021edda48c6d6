//! Work that may have to wait for a device or a dead file server, on a thread of its own.
//!
//! One question at a time, and it is not asked again while an answer is outstanding: a call into
//! the kernel that never returns costs one thread, not one at each interval. The thread is not
//! joined, because a stuck one could not be; it ends by itself when nobody can ask any more.

use crate::setting::Span;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};

/// One attempt of [`poll`](super::poll), boxed: with a plain async closure the compiler cannot see
/// that the source may move between threads.
pub(super) type Attempt = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The usual time between two readings of the machine.
pub(super) const USUAL: Span = Span::seconds(5);

/// The shortest interval at which the machine is read; below it a reading tells mostly of itself.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);

/// A thread that answers.
#[derive(Clone, Debug)]
pub(super) struct Aside<A> {
    ask: SyncSender<oneshot::Sender<A>>,
    pending: Arc<Mutex<Option<oneshot::Receiver<A>>>>,
}

impl<A: Send + 'static> Aside<A> {
    /// Starts a thread that answers each question with `work`.
    pub(super) fn start(name: &str, mut work: impl FnMut() -> A + Send + 'static) -> io::Result<Self> {
        let (ask, questions) = sync_channel::<oneshot::Sender<A>>(1);
        std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(move || {
            while let Ok(reply) = questions.recv() {
                // Nobody waits any more once the source was stopped.
                let _ = reply.send(work());
            }
        })?;
        Ok(Self { ask, pending: Arc::default() })
    }

    /// Asks, or goes on waiting for the answer to an earlier question, for at most `patience`.
    ///
    /// # Errors
    /// That there was no answer in time, or that the thread is gone.
    pub(super) async fn ask(&self, patience: Duration) -> Result<A, String> {
        let mut pending = self.pending.lock().await;
        let answer = match &mut *pending {
            Some(answer) => answer,
            none => {
                let (reply, answer) = oneshot::channel();
                self.ask.try_send(reply).map_err(|_| "its thread is gone".to_owned())?;
                none.insert(answer)
            }
        };
        match tokio::time::timeout(patience, answer).await {
            Err(_) => Err(format!("no answer within {} s", patience.as_secs_f64())),
            Ok(outcome) => {
                *pending = None;
                outcome.map_err(|_| "its thread is gone".to_owned())
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::analysis::{Budget, Peaks};
    use crate::hub::Hub;
    use crate::metrics::{Limits, Registry};
    use crate::source::Feed;

    /// A hub with the whole catalogue, and a source's way into it.
    pub(in super::super) fn feed(name: &str) -> (Arc<Hub>, Feed) {
        let registry = Registry::new(crate::catalog::PAGES, Limits::default(), Default::default());
        let hub = Hub::new(registry, Budget::default(), Peaks::new(Duration::from_secs(1)));
        let source = hub.add_source(name);
        (Arc::clone(&hub), Feed::new(hub, source, name))
    }

    #[tokio::test]
    async fn a_stuck_answer_is_waited_for_and_not_asked_for_twice() {
        let asked = Arc::new(AtomicUsize::new(0));
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let count = asked.clone();
        let aside = Aside::start("test", move || {
            count.fetch_add(1, Ordering::SeqCst);
            gate.recv().is_ok()
        })
        .unwrap();
        for _ in 0..3 {
            assert!(aside.ask(Duration::from_millis(20)).await.is_err());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        release.send(()).unwrap();
        assert_eq!(aside.ask(Duration::from_secs(5)).await, Ok(true));
    }

    #[tokio::test]
    async fn a_thread_that_broke_is_an_error() {
        let aside = Aside::start("test", || -> () { panic!("on purpose") }).unwrap();
        assert!(aside.ask(Duration::from_secs(5)).await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(aside.ask(Duration::from_secs(5)).await, Err("its thread is gone".to_owned()));
    }
}
