//! What waits for one target: in memory up to a limit, then on disk, and what became of the rest, to the span.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::request::ExportRequest;
use super::spool::Spool;

/// Why spans are dropped.
pub const DROPPED: [&str; 5] = ["queue_full", "rejected", "disk_failed", "stopped", "collector_full"];

/// What became of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Which target, as it may be shown.
    pub target: String,
    /// Spans that it took.
    pub sent: u64,
    /// Spans that were dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Requests that failed.
    pub failures: u64,
    /// Spans that wait.
    pub waiting: u64,
    /// Bytes that wait in memory.
    pub memory: u64,
    /// Bytes that wait on disk.
    pub disk: u64,
    /// Why the last request failed; nothing if it did not.
    pub failing: Option<String>,
    /// Whether nothing is sent to it any more.
    pub ended: bool,
}

impl Account {
    fn drop(&mut self, reason: &'static str, spans: u64) {
        if spans > 0 {
            *self.dropped.entry(reason).or_default() += spans;
        }
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<ExportRequest>,
    /// Bytes and spans of those, and of the one that is being sent.
    bytes: u64,
    spans: u64,
    account: Account,
}

/// What waits for one target.
#[derive(Debug)]
pub(super) struct Lane {
    state: Mutex<State>,
    ready: Notify,
    limit: u64,
    packs: bool,
    spool: Option<Spool>,
}

impl Lane {
    pub(super) fn new(target: String, limit: u64, packs: bool, spool: Option<Spool>) -> Self {
        let account = Account { target, ..Account::default() };
        let state = State { account, ..State::default() };
        Self { state: Mutex::new(state), ready: Notify::new(), limit, packs, spool }
    }

    /// Whether requests are packed for it.
    pub(super) fn packs(&self) -> bool {
        self.packs
    }

    /// What became of spans up to now.
    pub(super) fn account(&self) -> Account {
        let state = self.state.lock();
        let (disk, spooled) = self.spool.as_ref().map_or((0, 0), Spool::holds);
        Account { waiting: state.spans + spooled, memory: state.bytes, disk, ..state.account.clone() }
    }

    /// The same, and what is counted begins again: each span is reported once.
    pub(super) fn report(&self) -> Account {
        let account = self.account();
        let mut state = self.state.lock();
        let of = &mut state.account;
        // What came between is reported next time.
        (of.sent, of.failures) = (of.sent - account.sent, of.failures - account.failures);
        for (reason, spans) in &account.dropped {
            if let Some(dropped) = of.dropped.get_mut(reason) {
                *dropped -= spans;
            }
        }
        account
    }

    /// Takes one more. What has no room in memory goes to disk; where there is none, the oldest gives way.
    pub(super) async fn push(&self, held: ExportRequest) {
        let size = held.body.len() as u64;
        let over = {
            let mut state = self.state.lock();
            if self.spool.is_none() {
                while state.bytes + size > self.limit
                    && let Some(oldest) = state.waiting.pop_front()
                {
                    state.bytes -= oldest.body.len() as u64;
                    state.spans -= oldest.spans;
                    state.account.drop("queue_full", oldest.spans);
                }
            }
            if state.bytes + size <= self.limit {
                state.bytes += size;
                state.spans += held.spans;
                state.waiting.push_back(held);
                None
            } else {
                Some(held)
            }
        };
        if let Some(held) = over {
            self.spill(held, "queue_full").await;
        }
        self.ready.notify_one();
    }

    /// Puts one on disk, or drops it for this reason where there is no disk.
    async fn spill(&self, held: ExportRequest, reason: &'static str) {
        let dropped = match &self.spool {
            None => vec![(reason, held.spans)],
            Some(spool) => spool.put(held).await,
        };
        let mut state = self.state.lock();
        for (reason, spans) in dropped {
            state.account.drop(reason, spans);
        }
    }

    /// The next one; nothing when it is over: it stopped, and nothing waits.
    pub(super) async fn next(&self, stop: &CancellationToken) -> Option<ExportRequest> {
        loop {
            let ready = self.ready.notified();
            if let Some(held) = self.state.lock().waiting.pop_front() {
                return Some(held);
            }
            if let Some(spool) = &self.spool {
                match spool.take().await {
                    Ok(Some(held)) => {
                        let mut state = self.state.lock();
                        state.bytes += held.body.len() as u64;
                        state.spans += held.spans;
                        return Some(held);
                    }
                    Ok(None) => {}
                    Err(lost) => {
                        self.state.lock().account.drop("disk_failed", lost);
                        continue;
                    }
                }
            }
            if stop.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = ready => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// It is no longer held: the target took it, without so many of its spans.
    pub(super) async fn took(&self, held: ExportRequest, rejected: u64) {
        {
            let mut state = self.state.lock();
            let rejected = rejected.min(held.spans);
            state.account.sent += held.spans - rejected;
            state.account.drop("rejected", rejected);
            if state.account.failing.take().is_some() {
                tracing::info!("{} takes spans again", state.account.target);
            }
        }
        self.over(held).await;
    }

    /// The target will never take it.
    pub(super) async fn refused(&self, held: ExportRequest, why: &str) {
        self.failed(why);
        self.state.lock().account.drop("rejected", held.spans);
        self.over(held).await;
    }

    async fn over(&self, held: ExportRequest) {
        {
            let mut state = self.state.lock();
            state.bytes -= held.body.len() as u64;
            state.spans -= held.spans;
        }
        if let (Some(spool), Some(spooled)) = (&self.spool, held.spooled) {
            spool.done(&spooled).await;
        }
    }

    /// A request failed, and is tried again.
    pub(super) fn failed(&self, why: &str) {
        let mut state = self.state.lock();
        state.account.failures += 1;
        if state.account.failing.as_deref() != Some(why) {
            tracing::warn!("{} takes no spans: {}", state.account.target, crate::quote::quote(why));
        }
        state.account.failing = Some(why.to_owned());
    }

    /// A part of a request was refused, and why.
    pub(super) fn warned(&self, why: &str) {
        let state = self.state.lock();
        tracing::warn!("{} did not take all spans: {}", state.account.target, crate::quote::quote(why));
    }

    /// Spans that never came here, because they came faster than they could be taken.
    pub(super) fn missed(&self, spans: u64) {
        self.state.lock().account.drop("collector_full", spans);
    }

    /// Gives one back that could not be sent before the end.
    pub(super) fn give_back(&self, held: ExportRequest) {
        self.state.lock().waiting.push_front(held);
    }

    /// The end: what waits in memory goes to disk, or is dropped.
    pub(super) async fn end(&self) {
        loop {
            let held = {
                let mut state = self.state.lock();
                let Some(held) = state.waiting.pop_front() else { return };
                state.bytes -= held.body.len() as u64;
                state.spans -= held.spans;
                held
            };
            // What was read from disk is still there.
            if held.spooled.is_none() {
                self.spill(held, "stopped").await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn held(spans: u64) -> ExportRequest {
        ExportRequest { body: Bytes::from(vec![0; 100]), gzip: false, spans, spooled: None }
    }

    #[tokio::test]
    async fn what_has_no_room_is_counted_to_the_span_and_the_newest_stay() {
        let lane = Lane::new("t".to_owned(), 250, true, None);
        for spans in 1..=5 {
            lane.push(held(spans)).await;
        }
        let account = lane.account();
        assert_eq!((account.waiting, account.memory), (9, 200));
        assert_eq!(account.dropped.get("queue_full"), Some(&6));
        let stop = CancellationToken::new();
        let first = lane.next(&stop).await.unwrap();
        assert_eq!(first.spans, 4);
        lane.took(first, 1).await;
        let second = lane.next(&stop).await.unwrap();
        lane.give_back(second);
        lane.end().await;
        stop.cancel();
        assert_eq!(lane.next(&stop).await, None);
        let account = lane.account();
        assert_eq!((account.sent, account.waiting, account.memory), (3, 0, 0));
        let dropped = [("queue_full", 6), ("rejected", 1), ("stopped", 5)];
        assert_eq!(account.dropped, dropped.into());
    }

    #[tokio::test]
    async fn what_does_not_fit_into_memory_waits_on_disk_also_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("traces");
        let lane = || Lane::new("t".to_owned(), 250, true, Some(Spool::new(at.clone(), 330)));
        let first = lane();
        for spans in 1..=6 {
            first.push(held(spans)).await;
        }
        // Two in memory, three on disk; of those there the oldest gave way.
        let account = first.account();
        assert_eq!((account.memory, account.disk, account.waiting), (200, 300, 1 + 2 + 4 + 5 + 6));
        assert_eq!(account.dropped, [("queue_full", 3)].into());
        let stop = CancellationToken::new();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let held = first.next(&stop).await.unwrap();
            seen.push(held.spans);
            first.took(held, 0).await;
        }
        assert_eq!(seen, [1, 2, 4]);
        // One that was being sent when the agent was killed is sent again.
        let killed = first.next(&stop).await.unwrap();
        assert_eq!((killed.spans, killed.body.len()), (5, 100));
        let second = lane();
        second.push(held(7)).await;
        second.end().await;
        assert_eq!((second.account().waiting, second.account().dropped), (18, BTreeMap::new()));
        let third = lane();
        let mut seen = Vec::new();
        stop.cancel();
        while let Some(held) = third.next(&stop).await {
            seen.push(held.spans);
            third.took(held, 0).await;
        }
        assert_eq!(seen, [5, 6, 7]);
        assert_eq!(std::fs::read_dir(&at).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        // A file stands where the folder should be.
        let at = folder.path().join("traces");
        std::fs::write(&at, "").unwrap();
        let lane = Lane::new("t".to_owned(), 150, true, Some(Spool::new(at, 1_000)));
        lane.push(held(1)).await;
        lane.push(held(2)).await;
        let account = lane.account();
        assert_eq!((account.waiting, account.dropped), (1, [("disk_failed", 2)].into()));
    }
}
