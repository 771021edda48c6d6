//! Work that may have to wait for a device or a dead file server, on a thread of its own.
//!
//! One question at a time, and it is not asked again while an answer is outstanding: a call into
//! the kernel that never returns costs one thread, not one at each interval. The thread is not
//! joined, because a stuck one could not be; it ends by itself when nobody can ask any more.
//!
//! [`Worker`] is a thread that answers repeatedly; [`apart`] is one for a single piece of work on a path, of which
//! the process has one at a time.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::{Condvar, Mutex as Lock};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Mutex, Notify, oneshot};

use super::Feed;
use crate::event::{Body, Link};
use crate::setting::Span;
use crate::sys::file::At;

/// One attempt of [`poll`](super::poll), boxed: with a plain async closure the compiler cannot see
/// that the source may move between threads.
pub(super) type Attempt = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// The usual time between two readings of the machine.
pub(super) const USUAL: Span = Span::seconds(5);

/// The shortest interval at which the machine is read; below it a reading tells mostly of itself.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);

/// What kinds of sources have in common that read this machine at the interval of the system, unless they have their own.
macro_rules! reads_the_machine {
    () => {
        fn name(&self) -> &str {
            &self.name
        }

        fn context(&self, all: &Context) -> Context {
            all.of_system()
        }

        fn start(&self, start: Start) {
            let mut own = self.clone();
            own.interval.get_or_insert(Span(start.context.system));
            start.run(run(own, start.feed.clone(), start.stop.clone()));
        }
    };
}
pub(super) use reads_the_machine;

/// A thread that answers.
#[derive(Clone, Debug)]
pub(super) struct Worker<A> {
    requests: SyncSender<oneshot::Sender<A>>,
    pending: Arc<Mutex<Option<oneshot::Receiver<A>>>>,
}

impl<A: Send + 'static> Worker<A> {
    /// Starts a thread that answers each question with `work`.
    pub(super) fn start(name: &str, mut work: impl FnMut() -> A + Send + 'static) -> io::Result<Self> {
        let (requests, questions) = sync_channel::<oneshot::Sender<A>>(1);
        std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(move || {
            while let Ok(reply) = questions.recv() {
                // Nobody waits any more once the source was stopped.
                let _ = reply.send(work());
            }
        })?;
        Ok(Self { requests, pending: Arc::default() })
    }

    /// The same for a source that reads with it. If there can be no thread, the source is down.
    pub(super) fn reader(
        name: &str,
        what: &str,
        feed: &Feed,
        work: impl FnMut() -> A + Send + 'static,
    ) -> Option<Self> {
        Self::start(name, work)
            .map_err(|why| {
                tracing::error!(%why, "cannot start a thread to read {what}");
                feed.down(&format!("cannot start a thread to read {what}: {why}"));
                feed.send(Body::Link(Link::Down));
            })
            .ok()
    }

    /// Asks, or continues waiting for the answer to an earlier question, for at most `patience`.
    ///
    /// # Errors
    /// That there was no answer in time, or that the thread is gone.
    pub(super) async fn run(&self, patience: Duration) -> Result<A, String> {
        let mut pending = self.pending.lock().await;
        let answer = match &mut *pending {
            Some(answer) => answer,
            none => {
                let (reply, answer) = oneshot::channel();
                self.requests.try_send(reply).map_err(|_| GONE.to_owned())?;
                none.insert(answer)
            }
        };
        match tokio::time::timeout(patience, answer).await {
            Err(_) => Err(format!("no answer within {} s", patience.as_secs_f64())),
            Ok(outcome) => {
                *pending = None;
                outcome.map_err(|_| GONE.to_owned())
            }
        }
    }
}

/// What work is under way.
static IN_FLIGHT: Lock<Vec<InFlight>> = Lock::new(Vec::new());
/// Some work is over: threads that wait for a turn look whether it is theirs.
static FREED: Condvar = Condvar::new();

/// Work by what it was asked for.
struct InFlight {
    key: String,
    /// Where it stands.
    at: At,
    /// It is over: tasks that wait for the turn look again.
    over: Arc<Notify>,
}

/// An entry of [`IN_FLIGHT`], for as long as the work lasts, however it ends.
struct Entry(String);

impl Drop for Entry {
    fn drop(&mut self) {
        IN_FLIGHT.lock().retain(|work| {
            let others = work.key != self.0;
            if !others {
                work.over.notify_waiters();
            }
            others
        });
        FREED.notify_all();
    }
}

/// Takes the turn of `key`, or says where the thread stands that has it, and what is ready when that is over.
fn take_turn(all: &mut Vec<InFlight>, key: &str) -> Result<(Entry, At), (At, OwnedNotified)> {
    if let Some(work) = all.iter().find(|work| work.key == key) {
        return Err((work.at.clone(), work.over.clone().notified_owned()));
    }
    let at = At::new(Path::new(key));
    all.push(InFlight { key: key.to_owned(), at: at.clone(), over: Arc::default() });
    Ok((Entry(key.to_owned()), at))
}

fn no_answer(at: &At, patience: Duration) -> String {
    format!("no answer within {} s from {}", patience.as_secs_f64(), at.path().display())
}

const GONE: &str = "its thread ended";

/// Does `work` on a thread of its own and waits for what comes of it, `patience` at most. `key` is the path that it is
/// for, or what it is: while a thread is stuck with it no other is started, and who asks waits for its turn.
///
/// # Errors
/// That there was no answer in time, and from which path.
pub(crate) async fn apart<A: Send + 'static>(
    key: &str,
    patience: Duration,
    work: impl FnOnce() -> A + Send + 'static,
) -> Result<A, String> {
    let mut at = At::new(Path::new(key));
    let answer = async {
        let turn = loop {
            let (busy, over) = match take_turn(&mut IN_FLIGHT.lock(), key) {
                Ok(turn) => break turn,
                Err(busy) => busy,
            };
            at = busy;
            over.await;
        };
        at = turn.1.clone();
        let (reply, answer) = oneshot::channel();
        spawn(turn, move || drop(reply.send(work())))?;
        answer.await.map_err(|_| GONE.to_owned())
    };
    let answer = tokio::time::timeout(patience, answer).await;
    answer.unwrap_or_else(|_| Err(no_answer(&at, patience)))
}

/// The same for who cannot do anything else meanwhile: before the agent runs.
///
/// # Errors
/// As [`apart`].
pub(crate) fn apart_at_start<A: Send + 'static>(
    key: &str,
    patience: Duration,
    work: impl FnOnce() -> A + Send + 'static,
) -> Result<A, String> {
    let turn = {
        #[expect(clippy::disallowed_methods, reason = "how long it is waited for a turn")]
        let until = std::time::Instant::now() + patience;
        let mut all = IN_FLIGHT.lock();
        loop {
            let busy = match take_turn(&mut all, key) {
                Ok(turn) => break turn,
                Err((busy, _)) => busy,
            };
            if FREED.wait_until(&mut all, until).timed_out() {
                return Err(no_answer(&busy, patience));
            }
        }
    };
    let at = turn.1.clone();
    let (reply, answer) = sync_channel(1);
    spawn(turn, move || drop(reply.send(work())))?;
    answer.recv_timeout(patience).map_err(|why| match why {
        std::sync::mpsc::RecvTimeoutError::Timeout => no_answer(&at, patience),
        std::sync::mpsc::RecvTimeoutError::Disconnected => GONE.to_owned(),
    })
}

fn spawn((entry, at): (Entry, At), work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name("aside".to_owned()).spawn(move || {
        let _entry = entry;
        at.follow();
        work();
    });
    thread.map(drop).map_err(|why| format!("cannot start a thread: {why}"))
}

#[cfg(test)]
pub(crate) mod tests {
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
        let aside = Worker::start("test", move || {
            count.fetch_add(1, Ordering::SeqCst);
            gate.recv().is_ok()
        })
        .unwrap();
        for _ in 0..3 {
            assert!(aside.run(Duration::from_millis(20)).await.is_err());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        release.send(()).unwrap();
        assert_eq!(aside.run(Duration::from_secs(5)).await, Ok(true));
    }

    #[tokio::test]
    async fn there_is_one_thread_for_a_path_and_the_reason_says_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().display().to_string();
        let begun = Arc::new(AtomicUsize::new(0));
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let short = Duration::from_millis(30);
        for _ in 0..3 {
            let (begun, gate, file) = (begun.clone(), gate.clone(), folder.path().join("a.prom"));
            let why = apart(&key, short, move || {
                begun.fetch_add(1, Ordering::SeqCst);
                drop(crate::sys::file::open(&file));
                gate.lock().unwrap().recv().is_ok()
            });
            assert_eq!(why.await, Err(format!("no answer within 0.03 s from {key}/a.prom")));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        // Others continue, and so does this one once its thread is through.
        let other = folder.path().join("b").display().to_string();
        assert_eq!(apart(&other, Duration::from_secs(5), || 7).await, Ok(7));
        assert_eq!(apart_at_start(&other, Duration::from_secs(5), || 8), Ok(8));
        assert!(apart_at_start(&key, short, || ()).unwrap_err().ends_with("/a.prom"));
        release.send(()).unwrap();
        assert_eq!(apart(&key, Duration::from_secs(5), || 9).await, Ok(9));
        assert_eq!(
            apart(&key, Duration::from_secs(5), || -> () { panic!("on purpose") }).await,
            Err(GONE.into())
        );
        assert_eq!(apart(&key, Duration::from_secs(5), || 10).await, Ok(10));
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_does_nothing_until_it_comes() {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let long = Duration::from_secs(20);
        let first = tokio::spawn(apart("a turn", long, move || gate.recv().is_ok()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut second = std::pin::pin!(apart("a turn", long, || 2));
        let mut looks = 0;
        let counted = std::future::poll_fn(|context| {
            looks += 1;
            second.as_mut().poll(context)
        });
        let early = tokio::time::timeout(Duration::from_millis(200), counted).await;
        assert!(early.is_err() && looks <= 3, "{looks}");
        let thread = std::thread::spawn(move || apart_at_start("a turn", long, || 3));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        assert_eq!(second.await, Ok(2));
        assert_eq!(tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap(), Ok(3));
    }

    #[tokio::test]
    async fn a_thread_that_broke_is_an_error() {
        let aside = Worker::start("test", || -> () { panic!("on purpose") }).unwrap();
        assert!(aside.run(Duration::from_secs(5)).await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(aside.run(Duration::from_secs(5)).await, Err(GONE.to_owned()));
    }
}
