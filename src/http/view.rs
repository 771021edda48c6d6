//! What people look at: the first page, the page of a card, and the pieces that changed, each second.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::StatusCode;
use hyper::http::request::Parts;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::api::Parameters;
use super::disk::Unmade;
use super::reply::Form;
use super::{Groups, Incidents, Reply, Site, reply};
use crate::alert::health::Judge;
use crate::alert::{ALERT_NAME, Alert, Group, State};
use crate::catalog::card::{Ask, questions};
use crate::clock::now;
use crate::promql::{Interrupt, Labels};
use crate::view::{self, Latest, Past, SeriesNames, Snapshot, SnapshotInput, data, html};

/// From one look to the next while a page is open.
const EACH: Duration = Duration::from_secs(1);
/// For how long what the history answered is shown again, ns: it takes scrapes no faster.
const FRESH: u64 = 5_000_000_000;
/// Pages that are made at once; others wait.
pub(super) const AT_ONCE: usize = 4;
/// How long the questions of one look may take, ns.
const PATIENCE: u64 = 5_000_000_000;

/// What is kept from one look to the next.
#[derive(Debug)]
pub(super) struct Views {
    wanted: SeriesNames,
    /// What the history answered, and when, ns of the steady clock.
    past: Mutex<Option<(u64, Arc<Past>)>>,
    /// The pieces of the page, for everybody who looks.
    pieces: watch::Sender<Arc<Pieces>>,
    /// Whether they are being made.
    made: Mutex<bool>,
}

/// The pieces of the page at one time.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Counts the looks.
    look: u64,
    /// Each piece as it goes over the wire, and in which look it changed last.
    all: Vec<(&'static str, Bytes, u64)>,
    /// How everything was, as an event.
    pub(super) realtime: Bytes,
}

impl Default for Views {
    fn default() -> Self {
        let now = questions().filter(|ask| matches!(ask, Ask::Now(_)));
        Self {
            wanted: SeriesNames::of(now.map(Ask::text)),
            past: Mutex::default(),
            pieces: watch::Sender::default(),
            made: Mutex::new(false),
        }
    }
}

impl Pieces {
    /// The pieces of the next look; those that did not change are the same bytes.
    fn next(&self, fragments: Vec<html::Fragment>, realtime: &str) -> Self {
        let look = self.look + 1;
        let all = fragments.into_iter().map(|(id, html)| {
            let event = event(id, &html);
            match self.all.iter().find(|(other, bytes, _)| *other == id && *bytes == event) {
                Some(same) => same.clone(),
                None => (id, event, look),
            }
        });
        let realtime = Bytes::from(format!("event: realtime\ndata: {realtime}\n\n"));
        Self { look, all: all.collect(), realtime }
    }

    /// What changed after a look. There is always something, so that a client knows that the agent is there.
    fn since(&self, look: u64) -> Bytes {
        let mut out = BytesMut::new();
        for (_, event, _) in self.all.iter().filter(|(.., changed)| *changed > look) {
            out.put_slice(event);
        }
        if out.is_empty() {
            out.put_slice(b"event: beat\ndata:\n\n");
        }
        out.freeze()
    }
}

/// A server-sent event that has one piece.
pub(super) fn event(id: &str, html: &str) -> Bytes {
    let data = serde_json::json!({"id": id, "html": html});
    Bytes::from(format!("event: piece\ndata: {data}\n\n"))
}

impl Site {
    /// What is shown now. It may wait for a rule that is being evaluated, and for a disk.
    pub(super) fn snapshot(&self) -> Snapshot {
        let at = now().wall_milliseconds();
        let mut latest = Latest::default();
        self.scrape(&mut |text| latest = Latest::read(at, text, &self.views.wanted));
        let past = self.past(at);
        let (mut judge, mut alerts) = (Judge::default(), Vec::new());
        if let Some(Groups(visit)) = self.rules.load().as_deref() {
            visit(&mut |group| {
                judge.take(group);
                alerts.extend(shown(group));
            });
        }
        if let Some(elsewhere) = self.elsewhere.load().as_deref() {
            judge.hear(elsewhere);
        }
        sort(&mut alerts);
        let (incidents, notes) = self.open_incidents();
        view::build(SnapshotInput {
            latest: &latest,
            past: &past,
            limits: &self.catalogue.load().settings.limits,
            health: judge.verdict(at),
            alerts,
            incidents,
            trouble: self.trouble(),
            notes,
        })
    }

    /// What the history answers; at most once in a while.
    fn past(&self, at: i64) -> Arc<Past> {
        let began = now().steady;
        // Who comes meanwhile waits for the same answers, as long as they may take.
        let Some(mut kept) = self.views.past.try_lock_for(Duration::from_nanos(PATIENCE)) else {
            return Arc::new(Past::absent(
                "The disk of the history does not answer, so nothing is known of the past.",
            ));
        };
        if let Some((when, past)) = &*kept
            && began.saturating_sub(*when) < FRESH
        {
            return past.clone();
        }
        let interrupt = || (now().steady.saturating_sub(began) > PATIENCE).then_some(Interrupt::Timeout);
        let past = match self.history.get() {
            Some(history) => Past::ask(&**history, at, &interrupt),
            None => Past::absent(
                "The history is off, so nothing is known of the past; set `history.enabled: true`.",
            ),
        };
        let past = Arc::new(past);
        *kept = Some((now().steady, past.clone()));
        past
    }

    pub(super) fn open_incidents(&self) -> (Vec<view::Incident>, Vec<String>) {
        let incidents = self.incidents.load();
        let Some(Incidents(desk)) = incidents.as_deref() else { return (Vec::new(), Vec::new()) };
        let (mut open, at) = (Vec::new(), now().wall_milliseconds());
        let silencer = self.silencer.load_full();
        let silenced = |labels: &Labels| {
            Some(silencer.as_deref()?.silences.lock().until(labels, at).unwrap_or_default())
        };
        desk.open(&mut |incident| {
            open.push(view::Incident {
                id: incident.id.clone(),
                state: incident.status.as_str().to_owned(),
                priority: incident.priority.as_str().to_owned(),
                summary: incident.summary().to_owned(),
                since: incident.started,
                acknowledged: incident.acknowledged.is_some(),
                silenced: silenced(&incident.labels),
            });
        });
        open.sort_by(|a, b| {
            (a.acknowledged, &a.priority, a.since).cmp(&(b.acknowledged, &b.priority, b.since))
        });
        let failing = desk.failing().map(|_| {
            "Incidents are kept in memory only: their file cannot be written. See the reason in the log."
                .to_owned()
        });
        (open, failing.into_iter().collect())
    }

    /// What is wrong with the agent itself, in words.
    pub(super) fn trouble(&self) -> Vec<String> {
        let reload = (self.own.config_successful.get() == 0).then_some(
            "The last reload failed: the previous configuration is active. See the errors in the log, or run `neural-exporter check`.",
        );
        let history = (self.own.history_failing.get() == 1).then_some(
            "The history is kept in memory only: its file cannot be written, or only slowly. See the reason in the log.",
        );
        let web = (self.own.web_successful.get() == 0).then_some(
            "The web configuration was not reloaded: the previous certificate and passwords are active. See the errors in the log, or run `neural-exporter check`.",
        );
        let open = self.open.load().as_deref().cloned();
        reload.into_iter().chain(web).chain(history).map(str::to_owned).chain(open).collect()
    }

    /// Makes something of what is shown, on a thread that may wait.
    pub(super) async fn shown<T: Send + 'static>(
        self: &Arc<Self>,
        make: impl FnOnce(&Snapshot) -> T + Send + 'static,
    ) -> Result<T, Unmade> {
        let site = self.clone();
        self.page_work(move || make(&site.snapshot())).await
    }

    /// The first page.
    pub(super) async fn first_page(self: &Arc<Self>) -> Reply {
        self.shown(html::page).await.map_or_else(|why| why.reply(Form::Text), reply::page)
    }

    /// The page of one card.
    pub(super) async fn card_page(self: &Arc<Self>, request: &Parts) -> Reply {
        let parameters = Parameters::read(request, &[]);
        let of = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
        let (kind, name) = (of("kind"), of("name"));
        let site = self.clone();
        let page = match self.page_work(move || site.write_card(&kind, &name)).await {
            Ok(page) => page,
            Err(why) => return why.reply(Form::Text),
        };
        page.map_or_else(
            || {
                reply::text(
                    StatusCode::NOT_FOUND,
                    "nothing of this kind and name is there now; / lists what is\n",
                )
            },
            reply::page,
        )
    }

    /// The page of one card, with what each of its parts was like.
    fn write_card(&self, kind: &str, name: &str) -> Option<String> {
        let mut snapshot = self.snapshot();
        let (at, began) = (snapshot.at, now().steady);
        let interrupt = || (now().steady.saturating_sub(began) > PATIENCE).then_some(Interrupt::Timeout);
        let card = snapshot.cards.iter_mut().find(|card| card.kind == kind && card.name == name)?;
        if let Some(history) = self.history.get() {
            view::draw_parts(card, &**history, &self.catalogue.load().settings.limits, at, &interrupt);
        }
        let preview = (kind == "device" && self.previews()).then(|| self.preview(name));
        html::card_page(&snapshot, kind, name, preview.as_ref().map(Option::as_ref))
    }

    /// The pieces of the first page that change, for as long as the client reads them.
    pub(super) fn live(self: &Arc<Self>) -> mpsc::Receiver<Bytes> {
        self.follow(Pieces::since)
    }

    /// Something of each look, for as long as the client reads it. It is given the number of the look that the client saw last.
    pub(super) fn follow(
        self: &Arc<Self>,
        show: impl Fn(&Pieces, u64) -> Bytes + Send + 'static,
    ) -> mpsc::Receiver<Bytes> {
        let mut pieces = self.views.pieces.subscribe();
        self.make_pieces();
        let (send, receive) = mpsc::channel(1);
        let ended = self.ended.clone();
        tokio::spawn(async move {
            let mut look = 0;
            loop {
                tokio::select! {
                    biased;
                    () = ended.cancelled() => return,
                    () = send.closed() => return,
                    changed = pieces.changed() => if changed.is_err() { return },
                }
                // A client that reads slowly misses looks and no change.
                let seen = pieces.borrow_and_update().clone();
                if seen.look == 0 {
                    continue;
                }
                let changed = show(&seen, look);
                look = seen.look;
                tokio::select! {
                    biased;
                    () = ended.cancelled() => return,
                    sent = send.send(changed) => if sent.is_err() { return },
                }
            }
        });
        receive
    }

    /// Makes the pieces for as long as a page is open.
    fn make_pieces(self: &Arc<Self>) {
        let mut made = self.views.made.lock();
        if std::mem::replace(&mut *made, true) {
            return;
        }
        let site = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EACH);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                {
                    let mut made = site.views.made.lock();
                    if site.views.pieces.receiver_count() == 0 || site.ended.is_cancelled() {
                        *made = false;
                        return;
                    }
                }
                let made =
                    site.shown(|shown| (html::fragments(shown), data::realtime(shown).to_string())).await;
                if let Ok((fragments, realtime)) = made {
                    let next = |pieces: &Pieces| pieces.next(fragments, &realtime);
                    site.views.pieces.send_modify(|pieces| *pieces = Arc::new(next(pieces)));
                }
            }
        });
    }
}

/// The alerts of a group that are shown: those that fire or wait, but for those that only inform.
pub(super) fn shown(group: &Group) -> Vec<view::Alert> {
    let active = group.rules.iter().flat_map(|live| live.active());
    active.filter(|alert| alert.labels.get("severity") != "info").map(one).collect()
}

/// Puts the most urgent first.
pub(super) fn sort(alerts: &mut [view::Alert]) {
    alerts.sort_by(|a, b| {
        b.firing.cmp(&a.firing).then_with(|| a.priority.cmp(&b.priority)).then(a.since.cmp(&b.since))
    });
}

fn one(alert: &Alert) -> view::Alert {
    let (name, summary) = (alert.labels.get(ALERT_NAME), alert.annotations.get("summary"));
    view::Alert {
        name: name.to_owned(),
        firing: alert.state == State::Firing,
        priority: alert.labels.get("priority").to_owned(),
        summary: if summary.is_empty() { name } else { summary }.to_owned(),
        since: alert.fired_at.unwrap_or(alert.active_at),
        runbook: alert.annotations.get("runbook_url").ends_with(&format!("/runbooks/{name}.md")),
    }
}
