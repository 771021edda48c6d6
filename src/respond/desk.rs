//! The agent's own notifications: the dispatcher, its time, its file, and who carries a notification out.
//!
//! What is to be sent when is decided in `alert/dispatch`; here it is sent, and what became of it is passed back. Between the answer of a
//! receiver and the write to disk a killed agent forgets that it sent: it sends again. A notification is delivered at least once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::OpenTrace;
use super::delivery::{Delivery, VALID};
use super::receivers::{self, Failure, Target};
use super::saver::Saver;
use super::zones::Zones;
use crate::alert::dispatch::{
    Around, Attempt, Dispatcher, Integration, Outcome, Plan, PostedAlert, Saved, Ticket,
};
use crate::alert::silence::{Silence, Silences};
use crate::backoff::within;
use crate::catalog::alert::Priority;
use crate::clock::{SetClock, now};
use crate::promql::Labels;
use crate::render::{self, Alerts};

/// Bytes of the file.
const LONGEST: u64 = 256 << 20;
/// What is on its way when the agent ends has so long to arrive.
const LAST: Duration = Duration::from_millis(1200);
/// It looks at its clock at least so often: the clock may have been set.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    version: u32,
    dispatch: Saved,
    silences: Vec<Silence>,
}

#[derive(Debug)]
struct State {
    dispatcher: Dispatcher,
    silences: Arc<Mutex<Silences>>,
    deliveries: Vec<Delivery>,
    /// Whether the clock was set meanwhile.
    last: SetClock,
    /// Alerts that the file does not have yet, by the number of the write after which it has them.
    unsaved: BTreeMap<Labels, u64>,
    /// The changes that the file was last asked for.
    announced: u64,
}

/// Notifies receivers.
#[derive(Debug)]
pub struct Desk {
    state: Arc<Mutex<State>>,
    silences: Arc<Mutex<Silences>>,
    ready: Notify,
    targets: Vec<Target>,
    zones: Zones,
    /// Where people see the alerts.
    url: String,
    trace: OpenTrace,
    saver: Mutex<Option<Saver>>,
}

/// What one desk leaves to the next.
#[derive(Debug, Default)]
pub struct Left(Saved, Vec<Silence>);

impl Left {
    /// What is in a file. One that cannot be read is reported, and nothing is known then.
    #[must_use]
    pub fn read(path: &std::path::Path) -> Self {
        let text = match crate::sys::file::text(path, LONGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                tracing::warn!(
                    "the notification log cannot be read from {}, it begins again: {error}",
                    path.display()
                );
                return Self::default();
            }
        };
        match serde_json::from_str::<Document>(&text) {
            Ok(document) => Self(document.dispatch, document.silences),
            Err(error) => {
                tracing::warn!(
                    "the notification log in {} is damaged, it begins again: {error}",
                    path.display()
                );
                Self::default()
            }
        }
    }
}

impl Desk {
    /// One that notifies the receivers of these settings. What it sends belongs to `trace`. `file` is where it keeps what must outlive the
    /// process.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        alerts: &Alerts,
        url: &str,
        trace: OpenTrace,
        left: Left,
        file: Option<PathBuf>,
    ) -> Result<Self, String> {
        let (targets, watchdog) = open_targets(alerts)?;
        let routing = render::routing(alerts);
        let behind = |name: &str| -> Vec<Integration> {
            let hears = |list, receiver: &render::Receiver| {
                let of = Priority::ALL.into_iter().find(|of| render::receiver(list, *of) == name);
                of.is_some_and(|priority| receiver.hears(priority))
            };
            let to = |endpoint: usize, send_resolved| Integration {
                id: targets[endpoint].id.clone(),
                endpoint,
                send_resolved,
            };
            let all = alerts.every_receiver().enumerate();
            let all = all
                .filter(|(_, (list, _, receiver))| hears(*list, receiver))
                .map(|(place, _)| to(place, true));
            all.chain(watchdog.filter(|_| name == render::WATCHDOG).map(|index| to(index, false))).collect()
        };
        let plan = Plan::new(&routing, &behind)?;
        let at = now();
        let dispatcher = Dispatcher::restore(plan, left.0, at.wall_milliseconds(), VALID);
        let delivery = |target: &Target| Delivery {
            integration: target.kind,
            receiver: target.name.clone(),
            ..Delivery::default()
        };
        let silences = Arc::new(Mutex::new(Silences::restore(left.1)));
        let state = State {
            dispatcher,
            silences: silences.clone(),
            deliveries: targets.iter().map(delivery).collect(),
            last: SetClock::default(),
            unsaved: BTreeMap::new(),
            announced: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let (saved, quiet) = (state.clone(), silences.clone());
        let text = move || {
            let dispatch = saved.lock().dispatcher.save(now().wall_milliseconds());
            serde_json::to_vec(&Document { version: 1, dispatch, silences: quiet.lock().save() }).ok()
        };
        let saver = file.map(|file| Saver::new(file, "notifications", text));
        let zones = Zones::of(&routing.intervals);
        Ok(Self {
            state,
            silences,
            ready: Notify::new(),
            targets,
            zones,
            trace,
            url: url.to_owned(),
            saver: Mutex::new(saver),
        })
    }

    /// Takes alerts that fire or are over.
    pub(super) fn post(&self, alerts: Vec<PostedAlert>) {
        if alerts.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let labels: Vec<Labels> = alerts.iter().map(|alert| alert.labels.clone()).collect();
        let at = state.now();
        state.dispatcher.post(at, alerts);
        if let Some(number) = self.announce(&mut state) {
            state.unsaved.extend(labels.into_iter().map(|labels| (labels, number)));
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Whether a killed agent would not know of an alert.
    pub(super) fn waits(&self, labels: &Labels) -> bool {
        let mut state = self.state.lock();
        let saver = self.saver.lock();
        let has = |number: &u64| saver.as_ref().is_none_or(|saver| saver.has(*number));
        state.unsaved.retain(|_, number| !has(number));
        state.unsaved.contains_key(labels)
    }

    /// Has what changed written.
    fn announce(&self, state: &mut State) -> Option<u64> {
        let changes = state.dispatcher.changes();
        if changes == std::mem::replace(&mut state.announced, changes) {
            return None;
        }
        self.saver.lock().as_ref().map(Saver::changed)
    }

    /// How it went, for each receiver.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        let state = self.state.lock();
        let one = |(index, delivery): (usize, &Delivery)| {
            let dropped = if index == 0 { state.dispatcher.dropped() } else { 0 };
            Delivery { waiting: state.dispatcher.waiting(index).notifications, dropped, ..delivery.clone() }
        };
        state.deliveries.iter().enumerate().map(one).collect()
    }

    /// What the next desk continues with.
    #[must_use]
    pub fn leave(&self) -> Left {
        Left(self.state.lock().dispatcher.save(now().wall_milliseconds()), self.silences.lock().save())
    }

    /// The silences, for those who make and end them.
    #[must_use]
    pub fn silences(&self) -> Arc<Mutex<Silences>> {
        self.silences.clone()
    }

    /// Writes the silences, which were changed.
    pub fn silences_changed(&self) {
        if let Some(saver) = self.saver.lock().as_ref() {
            saver.changed();
        }
    }

    /// Sends what is to be sent, until `stop` is cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut sends: JoinSet<(Ticket, usize, i64, Result<(), Failure>)> = JoinSet::new();
        loop {
            let (attempts, due) = self.look();
            for Attempt { ticket, endpoint, message } in attempts {
                let own = self.clone();
                sends.spawn(async move {
                    let trace = own.trace.load_full();
                    let sent = match own.targets.get(endpoint) {
                        Some(target) => target.how.deliver(&message, &own.url, trace.as_deref()).await,
                        None => Err(Failure::lasting("there is no such receiver")),
                    };
                    (ticket, endpoint, message.at, sent)
                });
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(Ok(sent)) = sends.join_next(), if !sends.is_empty() => self.done(sent),
                () = self.ready.notified() => {}
                () = tokio::time::sleep(due) => {}
            }
        }
        let last = async {
            while let Some(sent) = sends.join_next().await {
                if let Ok(sent) = sent {
                    self.done(sent);
                }
            }
        };
        drop(tokio::time::timeout(LAST, last).await);
        let saver = self.saver.lock().take();
        if let Some(saver) = saver {
            // A panic was said by the hook.
            drop(tokio::task::spawn_blocking(move || saver.stop()).await);
        }
    }

    /// What is to be sent now, and how long nothing else is.
    fn look(&self) -> (Vec<Attempt>, Duration) {
        let mut state = self.state.lock();
        let at = state.now();
        let zones = |place: &str, at: i64| self.zones.local(place, at);
        let silences = self.silences.lock();
        let around = Around { zones: &zones, silenced: &|labels| silences.cover(labels, at) };
        let attempts = state.dispatcher.poll(at, &around);
        drop(silences);
        self.announce(&mut state);
        let due = state
            .dispatcher
            .due()
            .map_or(LOOK, |due| Duration::from_millis(due.saturating_sub(at).max(0).cast_unsigned()));
        (attempts, due.min(LOOK))
    }

    /// Hears what became of a notification.
    fn done(&self, (ticket, endpoint, put_together, sent): (Ticket, usize, i64, Result<(), Failure>)) {
        let mut state = self.state.lock();
        let at = state.now();
        let outcome = match &sent {
            Ok(()) => Outcome::Delivered,
            Err(failure) if failure.lasts => Outcome::Refused,
            Err(_) => Outcome::Failed,
        };
        let chance = within(Duration::from_secs(1)).as_secs_f64();
        state.dispatcher.done(at, endpoint, &ticket, outcome, chance);
        self.announce(&mut state);
        let Some(delivery) = state.deliveries.get_mut(endpoint) else { return };
        match sent {
            Ok(()) => {
                delivery.latency = at.saturating_sub(put_together).max(0) as f64 / 1e3;
                delivery.took(1);
            }
            Err(failure) => delivery.refused(&failure.why),
        }
    }
}

impl State {
    /// The time. A clock that was set moves the dispatcher's times along.
    fn now(&mut self) -> i64 {
        let at = now();
        let wall = at.wall_milliseconds();
        if let Some(jump) = self.last.jump(wall, at.steady) {
            self.dispatcher.shift(&jump);
            // Always taken after the state's lock.
            self.silences.lock().shift(&jump, wall);
        }
        wall
    }
}

/// Opens every receiver, and the watchdog's after them; says where that is.
fn open_targets(alerts: &Alerts) -> Result<(Vec<Target>, Option<usize>), String> {
    let mut targets = Vec::new();
    for (list, index, receiver) in alerts.every_receiver() {
        let wrong = |why| format!("alerts.{}[{index}]: {why}", list.key());
        targets.push(receivers::open(receiver).map_err(wrong)?);
    }
    let watchdog = receivers::watchdog(alerts).map(|target| {
        targets.push(target.map_err(|why| format!("alerts.watchdog: {why}"))?);
        Ok::<_, String>(targets.len() - 1)
    });
    let watchdog = watchdog.transpose()?;
    tell_apart(&mut targets);
    Ok((targets, watchdog))
}

/// Names of receivers of one kind that are the same get a number.
fn tell_apart(targets: &mut [Target]) {
    let mut seen: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
    for target in targets {
        let count = seen.entry((target.kind, target.name.clone())).or_default();
        *count += 1;
        if *count > 1 {
            target.name = format!("{} ({count})", target.name);
            // Twice the same settings are notified twice, as from a file of Alertmanager.
            target.id = format!("{}:{count}", target.id).into();
        }
    }
}
