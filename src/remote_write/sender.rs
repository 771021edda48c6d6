//! Sends to one target: reads a window of the history, writes it as requests, and goes on when the server has it.

mod export;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::delivery::{Count, Delivery};
use super::position::Position;
use super::{Common, Message, Settings};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::decode::text::families::Families;
use crate::decode::text::relabel::Relabel;
use crate::event::Kind;
use crate::promql::{Exemplar, Labels, NAME, Sample};
use crate::quote::quote;
use crate::source::aside::apart;
use crate::store::{Stretch, Window};
use crate::write_request::{Label, Series, metadata};

/// Samples of a window, so that what is held of it is bounded: some 2 MB, and the labels are the history's own.
const WINDOW: i64 = 50_000;
/// The longest window, ms: a longer time without a scrape is passed over in steps of it.
const LONGEST: i64 = 600_000;
/// How long the history's file may take to open before what is in memory is sent.
const OPENING: Duration = Duration::from_secs(60);
/// From one look at what families mean to the next, ns.
const DESCRIBED: u64 = 60_000_000_000;
/// How often a part of the history is read whose file cannot be, and the pause before the next time.
const READS: u32 = 5;
const AGAIN: Duration = Duration::from_secs(2);
/// How long it is believed what the oldest sample of the file is, ns: while a target catches up, each window may ask.
const BELIEVED: u64 = 60_000_000_000;
/// How long the reading of secrets may take.
const READ: Duration = Duration::from_secs(5);

/// One target.
struct Sender<'s> {
    delivery: Delivery<'s>,
    settings: &'s Settings,
    relabel: Option<Relabel>,
    common: Common,
    families: Families,
    /// When families are looked at again, ns of the steady clock.
    describe: u64,
    /// Whether it was not told yet what they mean.
    tell: bool,
    /// The number of the first exemplar that was not passed on.
    since: u64,
    /// The oldest sample that the history had, and until when that is believed, ns of the steady clock.
    oldest: (Option<i64>, u64),
}

/// What a request has of one series.
struct Part<'w> {
    labels: Vec<Label<'w>>,
    samples: &'w [Sample],
    exemplars: &'w [Exemplar],
    began: Option<i64>,
}

/// Runs until it is dropped. A target that is new gets what comes from `begun` on, ms.
pub(super) async fn run(settings: &Settings, common: Common, begun: i64) {
    let name = settings.name();
    let mut backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(60));
    // A file with a token may come later.
    let (receiver, relabel) = loop {
        let own = settings.clone();
        let work = move || own.open().and_then(|receiver| Ok((receiver, own.relabel()?)));
        let opened = apart(&format!("the secrets of {name}"), READ, work).await;
        match opened.and_then(|opened| opened) {
            Ok(opened) => break opened,
            Err(why) => tracing::error!("remote write to {name} cannot begin: {}", quote(why)),
        }
        tokio::time::sleep(backoff.delay()).await;
    };
    common.own.writes.begin(&name);
    let position = Position::new(common.folder.clone(), &name);
    let at = Arc::new(AtomicI64::new(begun));
    let (own, label) = (common.own.clone(), name.clone());
    let sender = Sender {
        delivery: Delivery::new(name, settings, receiver, own.clone()),
        families: Families::default(),
        describe: 0,
        tell: false,
        since: 0,
        oldest: (None, 0),
        settings,
        relabel,
        common,
    };
    let lag = async {
        loop {
            let lag = now().wall_milliseconds().saturating_sub(at.load(Ordering::Relaxed)).max(0);
            own.writes.lag(&label, lag as f64 / 1000.0);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(sender.send_all(position, &at, begun), lag);
}

impl Sender<'_> {
    async fn send_all(mut self, mut position: Position, shown: &AtomicI64, begun: i64) {
        let mut taken = self.common.history.taken();
        let mut at = match position.read().await {
            Ok(Some(at)) => at,
            // What was before the target was configured is not sent.
            Ok(None) => begun - 1,
            Err(why) => {
                tracing::warn!("remote write to {} begins now: {}", self.name(), quote(why));
                now().wall_milliseconds() - 1
            }
        };
        shown.store(at, Ordering::Relaxed);
        position.keep(at).await;
        self.wait_for_file().await;
        let mut series = 1;
        loop {
            let newest = *taken.borrow_and_update();
            if newest < at && newest > i64::MIN {
                at = self.turn_back(at, newest);
            }
            while at < newest {
                let step = self.common.history.step();
                let span = step.saturating_mul((WINDOW / i64::max(series, 1)).max(1)).min(LONGEST.max(step));
                let Some(window) = self.read(at + 1, newest.min(at.saturating_add(span))).await else {
                    return tracing::error!("remote write to {} ended: the history panicked", self.name());
                };
                series = i64::try_from(window.series.len()).unwrap_or(i64::MAX).max(series / 2);
                let to = self.pass_lost(at, &window).await.max(window.to);
                self.send_window(&window, newest.saturating_sub(to) > 2 * step).await;
                at = to;
                shown.store(at, Ordering::Relaxed);
                position.keep(at).await;
            }
            if taken.changed().await.is_err() {
                return;
            }
        }
    }

    /// The clock was set back: what it shows since then is sent, whatever the server makes of it. What was not sent before is lost.
    fn turn_back(&self, at: i64, newest: i64) -> i64 {
        let (first, before) = self.common.history.turn();
        if before > at {
            let lost = (before - at) as f64 / 1000.0;
            self.common.own.writes.lost(self.name(), lost);
            tracing::warn!(
                "{lost} s are lost for {}: the clock was set back before they were sent",
                self.name()
            );
        }
        first.min(newest) - 1
    }

    /// The samples of these times. Where the file cannot be read they are asked for again; what is missing then is counted.
    async fn read(&self, from: i64, to: i64) -> Option<Window> {
        for tries in 1.. {
            let history = self.common.history.clone();
            let since = self.since;
            let read = tokio::task::spawn_blocking(move || history.window(from, to, since));
            let window = read.await.ok()?;
            match &window.missing {
                None => return Some(window),
                Some(_) if tries < READS => tokio::time::sleep(AGAIN).await,
                Some(why) => {
                    let lost = (window.to - from + 1) as f64 / 1000.0;
                    self.common.own.writes.lost(self.name(), lost);
                    tracing::warn!("{lost} s are not whole for {}: {}", self.name(), quote(why));
                    return Some(window);
                }
            }
        }
        None
    }

    /// What is in the file is older than what memory has, and goes first.
    async fn wait_for_file(&self) {
        let opened = async {
            while self.common.history.is_opening() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        drop(tokio::time::timeout(OPENING, opened).await);
    }

    /// Counts what the history no longer has of the time after `at`, up to the first sample of a window. Says up to when it is lost.
    async fn pass_lost(&mut self, at: i64, window: &Window) -> i64 {
        let history = self.common.history.clone();
        let step = history.step();
        let first = window.series.iter().filter_map(|one| one.samples.first()).map(|sample| sample.t).min();
        // In the usual case there are the scrapes after the last one. What could not be read is counted already.
        let read = window.missing.is_none();
        if !read || history.holds(at) || first.is_some_and(|first| first <= at.saturating_add(2 * step)) {
            return at;
        }
        // The whole file is looked through for its oldest sample, where only a gap is.
        if now().steady >= self.oldest.1 {
            let oldest = tokio::task::spawn_blocking(move || history.oldest()).await.ok().flatten();
            self.oldest = (oldest, now().steady.saturating_add(BELIEVED));
        }
        match self.oldest.0 {
            Some(oldest) if oldest > at.saturating_add(step) => {
                let lost = (oldest - at) as f64 / 1000.0;
                self.common.own.writes.lost(self.name(), lost);
                tracing::warn!(
                    "{lost} s are lost for {}: the history does not have them any longer",
                    self.name()
                );
                oldest - 1
            }
            _ => at,
        }
    }

    /// Sends all of it, in the order of time for each series.
    async fn send_window(&mut self, window: &Window, behind: bool) {
        self.since = window.next;
        self.common.own.writes.forgotten(self.name(), window.gone);
        if window.series.is_empty() {
            return;
        }
        if now().steady >= self.describe {
            self.describe().await;
        }
        if self.delivery.message == Message::Otlp {
            return self.export_window(window, behind).await;
        }
        let most = self.settings.queue_config.max_samples_per_send.max(1);
        let mut left: u64 = window.series.iter().map(|stretch| stretch.samples.len() as u64).sum();
        let mut request: Vec<Part<'_>> = Vec::new();
        let mut count = 0;
        for Stretch { labels, samples, exemplars, began } in &window.series {
            let Some(labels) = self.labels(labels) else {
                let all = Count { samples: samples.len() as u64, exemplars: exemplars.len() as u64 };
                self.delivery.dropped("relabelled", all);
                left -= all.samples;
                continue;
            };
            let mut samples = samples.as_slice();
            while !samples.is_empty() {
                let (now, later) = samples.split_at(samples.len().min(most - count));
                // A series is there before its exemplars are.
                let exemplars = if later.is_empty() { exemplars.as_slice() } else { &[] };
                request.push(Part { labels: labels.clone(), samples: now, exemplars, began: *began });
                count += now.len();
                samples = later;
                if count == most {
                    self.pending(left);
                    self.send(&request, behind).await;
                    left -= count as u64;
                    (count, request) = (0, Vec::new());
                }
            }
        }
        if count > 0 {
            self.pending(left);
            self.send(&request, behind).await;
        }
        self.pending(0);
        self.tell_metadata().await;
    }

    fn pending(&self, samples: u64) {
        self.common.own.writes.pending(self.name(), samples);
    }

    fn name(&self) -> &str {
        &self.delivery.name
    }

    /// The labels that a series is sent with; nothing if it is not wanted.
    fn labels<'l>(&self, labels: &'l Labels) -> Option<Vec<Label<'l>>> {
        let Some(relabel) = &self.relabel else {
            return Some(labels.iter().map(|(name, value)| (name.into(), value.into())).collect());
        };
        let mut name = Cow::Borrowed(labels.name());
        let others = labels.iter().filter(|(name, _)| *name != NAME);
        let mut all = others.map(|(name, value)| (name.into(), value.into())).collect();
        if !relabel.apply(&mut name, Kind::Gauge, &mut all) || name.is_empty() {
            return None;
        }
        all.push((NAME.into(), name));
        all.sort();
        Some(all)
    }

    /// Sends one request until the server has answered it.
    async fn send(&mut self, request: &[Part<'_>], behind: bool) {
        let count = Count {
            samples: request.iter().map(|part| part.samples.len() as u64).sum(),
            exemplars: request.iter().map(|part| part.exemplars.len() as u64).sum(),
        };
        while let Some(version) = self.delivery.message.version() {
            let of = |labels: &[Label<'_>]| {
                let name = labels.iter().find(|(name, _)| name == NAME);
                name.and_then(|(_, name)| self.families.get(name))
            };
            let series: Vec<Series<'_>> = (request.iter())
                .map(|Part { labels, samples, exemplars, began }| Series {
                    labels,
                    samples,
                    exemplars,
                    began: *began,
                    family: of(labels),
                })
                .collect();
            let body = version.body(&series);
            drop(series);
            if self.delivery.deliver(&body, count).await {
                break;
            }
        }
        self.pace(count.samples, behind).await;
    }

    /// Waits as long as so many samples take, while it catches up.
    async fn pace(&self, samples: u64, behind: bool) {
        if behind {
            let rate = self.settings.queue_config.catch_up_samples_per_second.max(1);
            tokio::time::sleep(Duration::from_secs_f64(samples as f64 / f64::from(rate))).await;
        }
    }

    /// Looks at what families mean.
    async fn describe(&mut self) {
        self.describe = now().steady + DESCRIBED;
        let scrape = self.common.scrape.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut families = Families::default();
            scrape(&mut |text| families = Families::of(text));
            families
        });
        self.families = read.await.unwrap_or_default();
        self.tell = true;
    }

    /// Tells what families mean where it is not told with each series. Samples do not wait for it: what fails is told with the next look.
    async fn tell_metadata(&mut self) {
        if self.delivery.message == Message::V1 && std::mem::take(&mut self.tell) {
            self.delivery.tell(&metadata(self.families.iter())).await;
        }
    }
}
