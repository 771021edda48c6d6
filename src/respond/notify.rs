//! Alerts on their way to the Alertmanagers.
//!
//! The newest state of an alert replaces the one that waits, so that a server that was away for an hour gets each alert once, with its
//! true times. The state file of the rules knows what was not delivered when the agent ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::settings::Alertmanager;
use crate::alert::Alert;
use crate::clock::now;
use crate::promql::{Labels, moment_ms};
use crate::provision::notify::Server;

/// Alerts that wait for one server. Beyond, the oldest by label go and are counted; Prometheus holds as many.
const QUEUE: usize = 10_000;
/// Alerts in one request.
const BATCH: usize = 256;
/// Milliseconds from one notice of an alert that fires to the next, as in Prometheus.
pub(super) const RESEND: i64 = 60_000;
/// How long a firing alert is valid without another notice: four times as long as from one notice to the next.
const VALID: i64 = 4 * RESEND;
/// The first pause after a request that failed; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An alert as Alertmanager takes it (`/api/v2/alerts`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notice<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
}

/// What waits, and what became of the rest, for one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// The server, as it may be shown.
    pub server: String,
    /// Alerts that wait.
    pub waiting: usize,
    /// Alerts that it took.
    pub sent: u64,
    /// Requests that it did not take.
    pub failures: u64,
    /// Alerts that had no room.
    pub dropped: u64,
    /// Seconds from the change of an alert to the answer, of the last request.
    pub latency: f64,
    /// Why the last request failed; nothing if it did not.
    pub failing: Option<String>,
}

/// A pending alert, and where it links to.
#[derive(Debug)]
struct Pending {
    alert: Alert,
    link: Arc<str>,
    /// ns of the steady clock.
    since: u64,
}

#[derive(Debug, Default)]
struct Queue {
    pending: BTreeMap<Labels, Pending>,
    delivery: Delivery,
}

#[derive(Debug)]
struct Lane {
    queue: Mutex<Queue>,
    ready: Notify,
}

/// All Alertmanagers.
#[derive(Debug, Default)]
pub struct Notifier {
    lanes: Vec<Arc<Lane>>,
}

impl Notifier {
    /// One for these servers, and the tasks that send; they run until they are cancelled.
    ///
    /// # Errors
    /// What is wrong with the settings of one.
    pub fn new(
        servers: &[Alertmanager],
        stop: &CancellationToken,
    ) -> Result<(Self, Vec<impl Future<Output = ()> + Send + 'static>), String> {
        let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
        for settings in servers {
            let server = Server::open(&settings.url, &settings.access)
                .map_err(|why| format!("respond.alertmanagers: {}: {why}", settings.url))?;
            let delivery = Delivery { server: settings.url.shown().clone(), ..Delivery::default() };
            let queue = Mutex::new(Queue { delivery, ..Queue::default() });
            let lane = Arc::new(Lane { queue, ready: Notify::new() });
            tasks.push(send_all(lane.clone(), server, stop.clone()));
            lanes.push(lane);
        }
        Ok((Self { lanes }, tasks))
    }

    /// Whether there is no server.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Gives alerts to all. `link` is where people see what they are about.
    pub(super) fn send(&self, alerts: &[Alert], link: &Arc<str>) {
        if alerts.is_empty() {
            return;
        }
        let since = now().steady;
        for lane in &self.lanes {
            let mut queue = lane.queue.lock();
            for alert in alerts {
                let pending = Pending { alert: alert.clone(), link: link.clone(), since };
                queue.pending.insert(alert.labels.clone(), pending);
            }
            while queue.pending.len() > QUEUE {
                queue.pending.pop_first();
                queue.delivery.dropped += 1;
            }
            drop(queue);
            lane.ready.notify_one();
        }
    }

    /// Whether an alert waits for a server.
    pub(super) fn waits(&self, labels: &Labels) -> bool {
        self.lanes.iter().any(|lane| lane.queue.lock().pending.contains_key(labels))
    }

    /// How it went, for each server.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        let delivery = |lane: &Arc<Lane>| {
            let queue = lane.queue.lock();
            Delivery { waiting: queue.pending.len(), ..queue.delivery.clone() }
        };
        self.lanes.iter().map(delivery).collect()
    }
}

/// Sends what waits for one server, until it is told to stop. Then it tries once more what waits.
async fn send_all(lane: Arc<Lane>, server: Server, stop: CancellationToken) {
    let mut pause = PAUSE;
    loop {
        let stopping = stop.is_cancelled();
        let (batch, body) = lane.batch();
        if batch.is_empty() {
            if stopping {
                return;
            }
            tokio::select! {
                () = lane.ready.notified() => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        let sent = server.post(body).await;
        let taken = lane.done(&batch, sent);
        if taken {
            pause = PAUSE;
            continue;
        }
        if stopping {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Lane {
    /// Alerts that are sent together, by their labels with the time since when each waits, and the body of the request.
    fn batch(&self) -> (Vec<(Labels, u64)>, Vec<u8>) {
        let queue = self.queue.lock();
        let wall = now().wall_milliseconds();
        let some = || queue.pending.iter().take(BATCH);
        let notices: Vec<Notice<'_>> = some().map(|(_, pending)| notice(pending, wall)).collect();
        let body = serde_json::to_vec(&notices).unwrap_or_default();
        (some().map(|(labels, pending)| (labels.clone(), pending.since)).collect(), body)
    }

    /// What became of a request. Says whether it was taken.
    fn done(&self, batch: &[(Labels, u64)], outcome: Result<(), String>) -> bool {
        let mut queue = self.queue.lock();
        let Queue { pending, delivery } = &mut *queue;
        match outcome {
            Ok(()) => {
                for (labels, since) in batch {
                    // What changed meanwhile waits on.
                    if pending.get(labels).is_some_and(|pending| pending.since == *since) {
                        pending.remove(labels);
                    }
                }
                delivery.sent += batch.len() as u64;
                let oldest = batch.iter().map(|(_, since)| *since).min().unwrap_or_default();
                delivery.latency = now().steady.saturating_sub(oldest) as f64 / 1e9;
                if delivery.failing.take().is_some() {
                    tracing::info!("Alertmanager {} takes alerts again", delivery.server);
                }
                true
            }
            Err(why) => {
                delivery.failures += 1;
                if delivery.failing.as_ref() != Some(&why) {
                    tracing::warn!("Alertmanager {} takes no alerts, they wait: {why}", delivery.server);
                }
                delivery.failing = Some(why);
                false
            }
        }
    }
}

fn notice(pending: &Pending, wall: i64) -> Notice<'_> {
    let Pending { alert, link, .. } = pending;
    Notice {
        labels: alert.labels.iter().collect(),
        annotations: alert.annotations.iter().collect(),
        starts_at: moment_ms(alert.fired_at.unwrap_or(alert.active_at)),
        ends_at: moment_ms(alert.resolved_at.unwrap_or_else(|| wall.saturating_add(VALID))),
        generator_url: link,
    }
}
