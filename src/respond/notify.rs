//! Alerts on their way to the Alertmanagers, or to the desk that notifies receivers in their place.
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

use super::OpenTrace;
use super::delivery::Delivery;
use super::desk::Desk;
use super::settings::Alertmanager;
use crate::alert::Alert;
use crate::alert::dispatch::PostedAlert;
use crate::clock::now;
use crate::promql::{Labels, moment_ms};
use crate::provision::notify::Server;

/// Alerts that wait for one server. Beyond, the oldest by label go and are counted; Prometheus holds as many.
const QUEUE: usize = 10_000;
/// Alerts in one request.
const BATCH: usize = 256;
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

/// A pending alert, and where it links to.
#[derive(Debug)]
struct Pending {
    alert: Alert,
    link: Arc<str>,
    /// Until when it is valid if it fires and nobody says more, ms.
    valid: i64,
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

/// All Alertmanagers, or the desk.
#[derive(Debug, Default)]
pub struct Notifier {
    lanes: Vec<Arc<Lane>>,
    desk: Option<Arc<Desk>>,
    external_labels: Labels,
}

impl Notifier {
    /// One for these servers, and the tasks that send; they run until they are cancelled. What they send belongs to `trace`.
    ///
    /// # Errors
    /// What is wrong with the settings of one.
    pub fn new(
        servers: &[Alertmanager],
        trace: &OpenTrace,
        stop: &CancellationToken,
    ) -> Result<(Self, Vec<impl Future<Output = ()> + Send + 'static>), String> {
        let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
        for settings in servers {
            let server = Server::open(&settings.url, &settings.access)
                .map_err(|why| format!("respond.alertmanagers: {}: {why}", settings.url))?;
            let delivery = Delivery {
                integration: "alertmanager",
                receiver: settings.url.shown(),
                ..Delivery::default()
            };
            let queue = Mutex::new(Queue { delivery, ..Queue::default() });
            let lane = Arc::new(Lane { queue, ready: Notify::new() });
            tasks.push(send_all(lane.clone(), (server, settings.timeout.0), trace.clone(), stop.clone()));
            lanes.push(lane);
        }
        Ok((Self { lanes, ..Self::default() }, tasks))
    }

    /// One that gives everything to a desk.
    #[must_use]
    pub fn to(desk: Arc<Desk>) -> Self {
        Self { desk: Some(desk), ..Self::default() }
    }

    /// The same, with labels that every alert gets on its way where it has no such label.
    #[must_use]
    pub fn with_external_labels(self, external_labels: Labels) -> Self {
        Self { external_labels, ..self }
    }

    /// Labels that every alert gets on its way.
    pub(super) fn external_labels(&self) -> &Labels {
        &self.external_labels
    }

    /// Whether nobody is notified.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.desk.is_none()
    }

    /// Gives alerts to all. `link` is where people see what they are about, `valid` until when those that fire do so without another word, ms.
    pub(super) fn send(&self, alerts: &[Alert], link: &Arc<str>, valid: i64) {
        if alerts.is_empty() {
            return;
        }
        let at = now();
        let outside =
            |alert: &Alert| Alert { labels: alert.labels.or(&self.external_labels), ..alert.clone() };
        let alerts: Vec<Alert> = alerts.iter().map(outside).collect();
        if let Some(desk) = &self.desk {
            let wall = at.wall_milliseconds();
            desk.post(alerts.iter().map(|alert| posted(alert, link, valid, wall)).collect());
        }
        let since = at.steady;
        for lane in &self.lanes {
            let mut queue = lane.queue.lock();
            for alert in &alerts {
                let pending = Pending { alert: alert.clone(), link: link.clone(), valid, since };
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

    /// Whether an alert waits for a server, or for the desk's file.
    pub(super) fn waits(&self, labels: &Labels) -> bool {
        let labels = &labels.or(&self.external_labels);
        self.lanes.iter().any(|lane| lane.queue.lock().pending.contains_key(labels))
            || self.desk.as_ref().is_some_and(|desk| desk.waits(labels))
    }

    /// How it went, for each server and receiver.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        let delivery = |lane: &Arc<Lane>| {
            let queue = lane.queue.lock();
            Delivery { waiting: queue.pending.len(), ..queue.delivery.clone() }
        };
        let lanes = self.lanes.iter().map(delivery);
        lanes.chain(self.desk.iter().flat_map(|desk| desk.deliveries())).collect()
    }
}

/// Sends what waits for one server, until it is told to stop. Then it tries once more what waits.
async fn send_all(
    lane: Arc<Lane>,
    (server, timeout): (Server, Duration),
    trace: OpenTrace,
    stop: CancellationToken,
) {
    let mut pause = PAUSE;
    let late = |_| Err(format!("it does not answer within {} s", timeout.as_secs_f64()));
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
        let trace = trace.load_full();
        let post = server.post(body, trace.iter().flat_map(|trace| trace.headers()));
        let sent = tokio::time::timeout(timeout, post).await.unwrap_or_else(late);
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
        let some = || queue.pending.iter().take(BATCH);
        let notices: Vec<Notice<'_>> = some().map(|(_, pending)| notice(pending)).collect();
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
                let oldest = batch.iter().map(|(_, since)| *since).min().unwrap_or_default();
                delivery.latency = now().steady.saturating_sub(oldest) as f64 / 1e9;
                delivery.took(batch.len() as u64);
                true
            }
            Err(why) => {
                delivery.refused(&why);
                false
            }
        }
    }
}

/// An alert for the desk.
fn posted(alert: &Alert, link: &Arc<str>, valid: i64, wall: i64) -> PostedAlert {
    PostedAlert {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: alert.fired_at.unwrap_or(alert.active_at),
        ends_at: alert.resolved_at.unwrap_or(valid),
        link: link.clone(),
        updated_at: wall,
    }
}

fn notice(pending: &Pending) -> Notice<'_> {
    let Pending { alert, link, valid, .. } = pending;
    Notice {
        labels: alert.labels.iter().collect(),
        annotations: alert.annotations.iter().collect(),
        starts_at: moment_ms(alert.fired_at.unwrap_or(alert.active_at)),
        ends_at: moment_ms(alert.resolved_at.unwrap_or(*valid)),
        generator_url: link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::State;
    use crate::promql::read_moment;
    use crate::respond::delivery::valid_until;

    fn alert(number: usize, resolved_at: Option<i64>) -> Alert {
        Alert {
            state: if resolved_at.is_some() { State::Inactive } else { State::Firing },
            labels: Labels::from_pairs([("alertname", "Lost"), ("unit", &number.to_string())]),
            annotations: Labels::empty(),
            value: 1.0,
            active_at: 1_000,
            fired_at: Some(2_000),
            resolved_at,
            kept_since: None,
            sent_at: Some(3_000),
        }
    }

    fn lane() -> (Notifier, Arc<Lane>) {
        let lane = Arc::new(Lane { queue: Mutex::default(), ready: Notify::new() });
        (Notifier { lanes: vec![lane.clone()], ..Notifier::default() }, lane)
    }

    #[test]
    fn an_alert_is_valid_for_four_notices_of_its_group() {
        let times = [(60_000, 1_000), (60_000, 300_000), (5_000, 1_000)]
            .map(|(resend, interval)| valid_until(0, resend, interval));
        assert_eq!(times, [240_000, 1_200_000, 20_000]);
        let (notifier, lane) = lane();
        notifier.send(
            &[alert(1, None), alert(2, Some(9_000))],
            &"http://lab".into(),
            valid_until(3_000, 60_000, 1_000),
        );
        let body: serde_json::Value = serde_json::from_slice(&lane.batch().1).unwrap();
        let of = |place: usize, name: &str| read_moment(body[place][name].as_str().unwrap()).unwrap();
        assert_eq!((of(0, "startsAt"), of(0, "endsAt"), of(1, "endsAt")), (2_000, 243_000, 9_000));
    }

    #[test]
    fn the_newest_state_waits_and_what_has_no_room_is_counted() {
        let (notifier, lane) = lane();
        let link: Arc<str> = "".into();
        let many: Vec<Alert> = (0..QUEUE + 3).map(|number| alert(number, None)).collect();
        notifier.send(&many, &link, 0);
        let of = |notifier: &Notifier| notifier.deliveries().remove(0);
        assert_eq!((of(&notifier).waiting, of(&notifier).dropped), (QUEUE, 3));
        // Its end takes its place; what changed while it was on its way waits on.
        let (batch, _) = lane.batch();
        let first = batch.first().unwrap().0.clone();
        notifier.send(&[Alert { labels: first.clone(), ..alert(0, Some(5_000)) }], &link, 0);
        assert!(!lane.done(&batch, Err("away".to_owned())) && of(&notifier).waiting == QUEUE);
        assert!(lane.done(&batch, Ok(())));
        assert_eq!(
            (of(&notifier).waiting, of(&notifier).sent),
            (QUEUE - batch.len() + 1, batch.len() as u64)
        );
        assert!(notifier.waits(&first));
    }
}
