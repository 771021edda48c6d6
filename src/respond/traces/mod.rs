//! Spans that are sent: collected from the hub, packed, and given to each target by a task of its own, so that a target that does not
//! answer costs nothing but its own queue.

mod lane;
mod request;
mod settings;
mod spool;
mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::hub::Hub;
use crate::provision::hash;
use crate::source::aside::apart;
use crate::trace::{Batch, Collection};
use lane::Lane;
pub use lane::{Account, DROPPED};
use request::ExportRequest;
pub use settings::{Compression, Protocol, Queue, Settings, Target};
use spool::Spool;
use wire::{Sender, Verdict, packs};

/// From one look at what was collected to the next.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes that are sent before the interval is over.
const ENOUGH: usize = 512 << 10;
/// How long the reading of secrets may take.
const READ: Duration = Duration::from_secs(5);
/// How long what waits is sent at the end, and how long the rest of the end may take.
const FLUSH: Duration = Duration::from_secs(3);
/// Pauses after requests that failed.
const PAUSES: Backoff = Backoff::between(Duration::from_millis(500), Duration::from_secs(30));

/// A target, what waits for it, and who sends.
#[derive(Debug)]
struct TargetTask {
    target: Target,
    lane: Arc<Lane>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TargetTask {
    fn start(target: &Target, settings: &Settings, folder: Option<&PathBuf>) -> Self {
        let name = target.url.shown();
        let spool = folder.filter(|_| settings.queue.disk.0 > 0).map(|folder| {
            // A folder for each target: the same after a restart.
            let own = folder.join("traces").join(hash(target.url.expose()));
            Spool::new(own, settings.queue.disk.0)
        });
        let lane = Arc::new(Lane::new(name, settings.queue.memory.0, packs(target), spool));
        let stop = CancellationToken::new();
        let task = tokio::spawn(send_all(lane.clone(), target.clone(), stop.clone()));
        Self { target: target.clone(), lane, stop, task }
    }

    /// Sends what waits, for a while; then it goes to disk or is dropped.
    async fn end(mut self) -> Account {
        self.stop.cancel();
        if tokio::time::timeout(FLUSH, &mut self.task).await.is_err() {
            self.task.abort();
            drop(self.task.await);
        }
        self.lane.end().await;
        Account { ended: true, ..self.lane.report() }
    }
}

/// All targets.
#[derive(Debug)]
pub struct Traces {
    settings: Settings,
    folder: Option<PathBuf>,
    lanes: Arc<ArcSwap<Vec<Arc<Lane>>>>,
    sending: Vec<TargetTask>,
    /// What became of the spans of targets that are gone.
    ended: Mutex<Vec<Account>>,
    unsampled: Arc<AtomicU64>,
    stop: CancellationToken,
    collector: JoinHandle<()>,
}

impl Traces {
    /// Begins to send what the hub collects. `folder` is the state directory.
    #[must_use]
    pub fn start(hub: &Arc<Hub>, settings: &Settings, folder: Option<PathBuf>) -> Self {
        let sending: Vec<TargetTask> = settings
            .targets
            .iter()
            .map(|target| TargetTask::start(target, settings, folder.as_ref()))
            .collect();
        let lanes = Arc::new(ArcSwap::from_pointee(lanes(&sending)));
        let (stop, unsampled) = (CancellationToken::new(), Arc::default());
        let to = (lanes.clone(), Arc::clone(&unsampled));
        let collector = tokio::spawn(collect(hub.clone(), to, settings.interval.0, stop.clone()));
        Self {
            settings: settings.clone(),
            folder,
            lanes,
            sending,
            ended: Mutex::default(),
            unsampled,
            stop,
            collector,
        }
    }

    /// Whether it sends by these settings.
    #[must_use]
    pub fn is(&self, settings: &Settings) -> bool {
        self.settings == *settings
    }

    /// What became of spans since this was last asked, by target, and how many were not sampled.
    #[must_use]
    pub fn report(&self) -> Report {
        let ended = std::mem::take(&mut *self.ended.lock());
        let targets = ended.into_iter().chain(self.lanes.load().iter().map(|lane| lane.report())).collect();
        Report { targets, unsampled: self.unsampled.swap(0, Ordering::Relaxed) }
    }

    /// Sends by other settings from now on. What waits for a target that stays goes on waiting; one that is gone gets what waits for it.
    #[must_use]
    pub async fn configure(self, hub: &Arc<Hub>, settings: &Settings) -> Self {
        let Self {
            settings: before,
            folder,
            lanes: shared,
            sending: old,
            ended: past,
            unsampled,
            stop,
            collector,
        } = self;
        // A queue of another size is another queue.
        let stays = before.queue == settings.queue;
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for sending in old {
            let list =
                if stays && settings.targets.contains(&sending.target) { &mut kept } else { &mut ended };
            list.push(sending);
        }
        // The folder of a target belongs to one queue at a time.
        shared.store(Arc::new(lanes(&kept)));
        let ended = end_all(ended).await;
        past.lock().extend(ended);
        for target in &settings.targets {
            if !kept.iter().any(|sending| sending.target == *target) {
                kept.push(TargetTask::start(target, settings, folder.as_ref()));
            }
        }
        shared.store(Arc::new(lanes(&kept)));
        stop.cancel();
        drop(collector.await);
        let stop = CancellationToken::new();
        let to = (shared.clone(), unsampled.clone());
        let collector = tokio::spawn(collect(hub.clone(), to, settings.interval.0, stop.clone()));
        let settings = settings.clone();
        Self { settings, folder, lanes: shared, sending: kept, ended: past, unsampled, stop, collector }
    }

    /// Takes what was collected, sends it for a while, and keeps the rest on disk. Returns what became of all.
    pub async fn end(self) -> Report {
        self.stop.cancel();
        drop(self.collector.await);
        let mut targets = self.ended.into_inner();
        targets.extend(end_all(self.sending).await);
        Report { targets, unsampled: self.unsampled.swap(0, Ordering::Relaxed) }
    }
}

fn lanes(sending: &[TargetTask]) -> Vec<Arc<Lane>> {
    sending.iter().map(|sending| sending.lane.clone()).collect()
}

/// Ends them at the same time.
async fn end_all(ended: Vec<TargetTask>) -> Vec<Account> {
    let mut tasks = tokio::task::JoinSet::new();
    for sending in ended {
        tasks.spawn(sending.end());
    }
    tasks.join_all().await
}

/// What became of spans since it was last asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// By target. One that ended meanwhile, and one that began in its place, are two of one name.
    pub targets: Vec<Account>,
    /// Spans that are not sent because their trace is not.
    pub unsampled: u64,
}

/// The targets that are given to, and spans that are not sampled.
type To = (Arc<ArcSwap<Vec<Arc<Lane>>>>, Arc<AtomicU64>);

/// Takes what the hub collected and gives it to each target, at the interval or when it is much; once more at the end.
async fn collect(hub: Arc<Hub>, (lanes, unsampled): To, interval: Duration, stop: CancellationToken) {
    let mut waited = Duration::ZERO;
    loop {
        let stopped = tokio::select! {
            () = tokio::time::sleep(LOOK) => false,
            () = stop.cancelled() => true,
        };
        waited += LOOK;
        let taken = {
            let mut state = hub.lock();
            let due = |bytes: usize| stopped || bytes >= ENOUGH || waited >= interval;
            state.traces().filter(|traces| due(traces.bytes())).map(|traces| traces.take())
        };
        if let Some(taken) = taken {
            waited = Duration::ZERO;
            unsampled.fetch_add(taken.unsampled, Ordering::Relaxed);
            give(taken, &lanes.load_full()).await;
        }
        if stopped {
            return;
        }
    }
}

/// Gives what was taken to each target.
async fn give(taken: Collection, lanes: &[Arc<Lane>]) {
    lanes.iter().for_each(|lane| lane.missed(taken.dropped));
    let Collection { batches, .. } = taken;
    for Batch { bytes, spans } in batches {
        let plain = Bytes::from(bytes);
        let packed = if lanes.iter().any(|lane| lane.packs()) { pack(plain.clone()).await } else { None };
        for lane in lanes {
            let (body, gzip) = match &packed {
                Some(packed) if lane.packs() => (packed.clone(), true),
                _ => (plain.clone(), false),
            };
            lane.push(ExportRequest { body, gzip, spans, spooled: None }).await;
        }
    }
}

/// Packs a request, beside what else the runtime does.
async fn pack(plain: Bytes) -> Option<Bytes> {
    let work = move || {
        let mut packed = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Level::fast());
        packed.write_all(&plain).and_then(|()| packed.finish()).ok()
    };
    tokio::task::spawn_blocking(work).await.ok().flatten().map(Bytes::from)
}

/// Opens a target, again and again if its files cannot be read; nothing when it is over.
async fn open(lane: &Lane, target: &Target, stop: &CancellationToken) -> Option<Sender> {
    let mut pauses = PAUSES;
    loop {
        let own = target.clone();
        let opened = apart(&format!("the secrets of {}", target.url), READ, move || Sender::open(&own)).await;
        match opened.and_then(|opened| opened) {
            Ok(sender) => return Some(sender),
            Err(why) => lane.failed(&why),
        }
        if stop.is_cancelled() {
            return None;
        }
        tokio::select! {
            () = tokio::time::sleep(pauses.delay()) => {}
            () = stop.cancelled() => return None,
        }
    }
}

/// Sends what waits for a target, one request after the other, until it is over.
async fn send_all(lane: Arc<Lane>, target: Target, stop: CancellationToken) {
    let Some(mut sender) = open(&lane, &target, &stop).await else { return };
    while let Some(held) = lane.next(&stop).await {
        let mut guard = Guard { lane: &lane, held: Some(held) };
        let mut pauses = PAUSES;
        while let Some(held) = &guard.held {
            let stopping = stop.is_cancelled();
            let after = match sender.send(held).await {
                Verdict::Taken { rejected, why } => {
                    if !why.is_empty() {
                        lane.warned(&why);
                    }
                    if let Some(held) = guard.held.take() {
                        lane.took(held, rejected).await;
                    }
                    break;
                }
                Verdict::Never { why } => {
                    if let Some(held) = guard.held.take() {
                        lane.refused(held, &why).await;
                    }
                    break;
                }
                Verdict::Later { after, why } => {
                    lane.failed(&why);
                    after
                }
                Verdict::Unknown { why } => {
                    lane.failed(&why);
                    let Some(opened) = open(&lane, &target, &stop).await else { return };
                    sender = opened;
                    None
                }
            };
            if stopping {
                // It was tried once more, and goes back.
                return;
            }
            let pause = pauses.delay().max(after.unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {
                    if after.is_some() {
                        return;
                    }
                }
            }
        }
    }
}

/// What is being sent goes back if it is broken off, so that it is never neither here nor there.
struct Guard<'a> {
    lane: &'a Lane,
    held: Option<ExportRequest>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.lane.give_back(held);
        }
    }
}

#[cfg(test)]
mod tests;
