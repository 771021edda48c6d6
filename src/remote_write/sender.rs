//! Sends to one target: reads a window of the history, writes it as requests, and goes on when the server has it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::position::Position;
use super::{Common, Settings};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::decode::text::families::Families;
use crate::decode::text::relabel::Relabel;
use crate::event::Kind;
use crate::promql::{Labels, NAME, Sample};
use crate::provision::receiver::{Receiver, Reply};
use crate::quote::quote;
use crate::source::aside::apart;
use crate::store::Window;
use crate::write_request::{Label, Series, Version, metadata};

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
/// How long the reading of secrets may take.
const READ: Duration = Duration::from_secs(5);
/// The longest pause that a server may ask for.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One target.
struct Sender<'s> {
    name: String,
    settings: &'s Settings,
    receiver: Receiver,
    relabel: Option<Relabel>,
    version: Version,
    common: Common,
    families: Families,
    /// When families are looked at again, ns of the steady clock.
    describe: u64,
    backoff: Backoff,
    /// Whether the last request failed, which is said once.
    failing: bool,
    /// When it may be said again that samples were rejected, ns of the steady clock.
    say: u64,
}

/// What became of a request.
enum Fate {
    /// The server has so many of the samples, and of the others it says why not.
    Answered(u64),
    /// It does not know this version.
    OtherVersion,
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
    let queue = &settings.queue_config;
    let sender = Sender {
        version: settings.version(),
        backoff: Backoff::between(queue.min_backoff.0, queue.max_backoff.0),
        families: Families::default(),
        describe: 0,
        failing: false,
        say: 0,
        name,
        settings,
        receiver,
        relabel,
        common,
    };
    let (own, label) = (sender.common.own.clone(), sender.name.clone());
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
                tracing::warn!("remote write to {} begins now: {}", self.name, quote(why));
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
                // The clock was set back: what it shows now is sent, whatever the server makes of it.
                at = newest - 1;
            }
            while at < newest {
                at = self.pass_lost(at).await;
                let step = self.common.history.step();
                let span = step.saturating_mul((WINDOW / i64::max(series, 1)).max(1)).min(LONGEST.max(step));
                let Some(window) = self.read(at + 1, newest.min(at.saturating_add(span))).await else {
                    return tracing::error!("remote write to {} ended: the history panicked", self.name);
                };
                series = i64::try_from(window.series.len()).unwrap_or(i64::MAX).max(series / 2);
                let to = window.to;
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

    /// The samples of these times. Where the file cannot be read they are asked for again; what is missing then is counted.
    async fn read(&self, from: i64, to: i64) -> Option<Window> {
        for tries in 1.. {
            let history = self.common.history.clone();
            let window = tokio::task::spawn_blocking(move || history.window(from, to)).await.ok()?;
            match &window.missing {
                None => return Some(window),
                Some(_) if tries < READS => tokio::time::sleep(AGAIN).await,
                Some(why) => {
                    let lost = (window.to - from + 1) as f64 / 1000.0;
                    self.common.own.writes.lost(&self.name, lost);
                    tracing::warn!("{lost} s are not whole for {}: {}", self.name, quote(why));
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

    /// Where the history begins, if that is after what is to be sent next; what is missing is counted.
    async fn pass_lost(&self, at: i64) -> i64 {
        let history = self.common.history.clone();
        // In the usual case it is the scrape after the last one.
        if history.holds(at) {
            return at;
        }
        let oldest = tokio::task::spawn_blocking(move || history.oldest()).await.ok().flatten();
        match oldest {
            Some(oldest) if oldest > at.saturating_add(self.common.history.step()) => {
                let lost = (oldest - at) as f64 / 1000.0;
                self.common.own.writes.lost(&self.name, lost);
                tracing::warn!(
                    "{lost} s are lost for {}: the history does not have them any longer",
                    self.name
                );
                oldest - 1
            }
            _ => at,
        }
    }

    /// Sends all of it, in the order of time for each series.
    async fn send_window(&mut self, window: &Window, behind: bool) {
        if now().steady >= self.describe {
            self.describe().await;
        }
        let most = self.settings.queue_config.max_samples_per_send.max(1);
        let mut left: u64 = window.series.iter().map(|(_, samples)| samples.len() as u64).sum();
        let mut request: Vec<(Vec<Label<'_>>, &[Sample])> = Vec::new();
        let mut count = 0;
        for (labels, samples) in &window.series {
            let Some(labels) = self.labels(labels) else {
                self.dropped("relabelled", samples.len() as u64);
                left -= samples.len() as u64;
                continue;
            };
            let mut samples = samples.as_slice();
            while !samples.is_empty() {
                let (now, later) = samples.split_at(samples.len().min(most - count));
                request.push((labels.clone(), now));
                count += now.len();
                samples = later;
                if count == most {
                    self.common.own.writes.pending(&self.name, left);
                    self.send(&request, behind).await;
                    left -= count as u64;
                    (count, request) = (0, Vec::new());
                }
            }
        }
        if count > 0 {
            self.common.own.writes.pending(&self.name, left);
            self.send(&request, behind).await;
        }
        self.common.own.writes.pending(&self.name, 0);
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
    async fn send(&mut self, request: &[(Vec<Label<'_>>, &[Sample])], behind: bool) {
        let count: u64 = request.iter().map(|(_, samples)| samples.len() as u64).sum();
        loop {
            let of = |labels: &[Label<'_>]| {
                let name = labels.iter().find(|(name, _)| name == NAME);
                name.and_then(|(_, name)| self.families.get(name))
            };
            let series: Vec<Series<'_>> = (request.iter())
                .map(|(labels, samples)| Series { labels, samples, family: of(labels) })
                .collect();
            let body = self.version.body(&series);
            drop(series);
            match self.post(body, count).await {
                Fate::Answered(written) => {
                    self.common.own.writes.sent(&self.name, written);
                    break;
                }
                Fate::OtherVersion => {
                    tracing::warn!("{} does not take remote write 2.0; it gets 1.0", self.name);
                    self.version = Version::V1;
                }
            }
        }
        if behind {
            let rate = self.settings.queue_config.catch_up_samples_per_second.max(1);
            tokio::time::sleep(Duration::from_secs_f64(count as f64 / f64::from(rate))).await;
        }
    }

    /// Posts a body with so many samples until there is an answer that another try would not change.
    async fn post(&mut self, body: Vec<u8>, count: u64) -> Fate {
        let packed = match snap::raw::Encoder::new().compress_vec(&body) {
            Ok(packed) => packed,
            // Only what has more than 4 GiB cannot be packed.
            Err(why) => {
                self.refused("rejected", count, &why.to_string());
                return Fate::Answered(0);
            }
        };
        loop {
            let (kind, header) = (self.version.content_type(), self.version.header());
            let (why, wait) = match self.receiver.post(kind, header, packed.clone()).await {
                Err(why) => (why, None),
                Ok(reply) => match judge(&reply, self.version, count) {
                    Judgement::Retry => (reply.why, reply.retry_after),
                    Judgement::OtherVersion => return Fate::OtherVersion,
                    Judgement::Over { written, reason } => {
                        if std::mem::take(&mut self.failing) {
                            tracing::info!("remote write to {} works again", self.name);
                        }
                        let queue = &self.settings.queue_config;
                        self.backoff = Backoff::between(queue.min_backoff.0, queue.max_backoff.0);
                        if let Some(reason) = reason {
                            self.refused(reason, count.saturating_sub(written), &reply.why);
                        }
                        return Fate::Answered(written);
                    }
                },
            };
            self.common.own.writes.retried(&self.name);
            if !std::mem::replace(&mut self.failing, true) {
                tracing::warn!(
                    "remote write to {} is tried again until it succeeds: {}",
                    self.name,
                    quote(why)
                );
            }
            let pause = self.backoff.delay();
            tokio::time::sleep(wait.map_or(pause, |wait| wait.min(PATIENCE).max(pause))).await;
        }
    }

    /// Counts samples that the server does not take, and says so once a minute.
    fn refused(&mut self, reason: &'static str, count: u64, why: &str) {
        self.dropped(reason, count);
        if now().steady >= self.say {
            self.say = now().steady + DESCRIBED;
            tracing::warn!("{} does not take {count} samples: {}", self.name, quote(why));
        }
    }

    fn dropped(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.common.own.writes.dropped(&self.name, reason, count);
        }
    }

    /// Looks at what families mean, and tells it where it is not told with each series.
    async fn describe(&mut self) {
        self.describe = now().steady + DESCRIBED;
        let scrape = self.common.scrape.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut families = Families::default();
            scrape(&mut |text| families = Families::of(text));
            families
        });
        self.families = read.await.unwrap_or_default();
        if self.version == Version::V1 {
            self.post(metadata(self.families.iter()), 0).await;
        }
    }
}

#[derive(Debug, PartialEq)]
enum Judgement {
    /// The same may succeed later.
    Retry,
    OtherVersion,
    /// The server has so many samples, and for this reason not the others.
    Over {
        written: u64,
        reason: Option<&'static str>,
    },
}

/// What an answer to a request with so many samples means.
fn judge(reply: &Reply, version: Version, count: u64) -> Judgement {
    let written = reply.written.map(|written| written.min(count));
    match (reply.status, version) {
        // A server of 1.0 that takes what it does not know for empty.
        (415, Version::V2) => Judgement::OtherVersion,
        (200..=299, Version::V2) if written.is_none() && count > 0 => Judgement::OtherVersion,
        (200..=299, Version::V2) => {
            let written = written.unwrap_or(count);
            Judgement::Over { written, reason: (written < count).then_some("not_written") }
        }
        (200..=299, Version::V1) => Judgement::Over { written: count, reason: None },
        (429, _) => Judgement::Retry,
        (400..=499, _) => {
            // Of 1.0 it is not known what of it the server took.
            Judgement::Over { written: written.unwrap_or(0), reason: Some("rejected") }
        }
        _ => Judgement::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_decides_whether_it_is_sent_again() {
        let over = |written, reason| Judgement::Over { written, reason };
        for (status, written, version, want) in [
            (204, None, Version::V1, over(10, None)),
            (204, Some(10), Version::V2, over(10, None)),
            (204, Some(7), Version::V2, over(7, Some("not_written"))),
            (200, None, Version::V2, Judgement::OtherVersion),
            (415, None, Version::V2, Judgement::OtherVersion),
            (415, None, Version::V1, over(0, Some("rejected"))),
            (400, None, Version::V1, over(0, Some("rejected"))),
            (400, Some(4), Version::V2, over(4, Some("rejected"))),
            (404, None, Version::V1, over(0, Some("rejected"))),
            (429, None, Version::V2, Judgement::Retry),
            (500, Some(3), Version::V2, Judgement::Retry),
            (503, None, Version::V1, Judgement::Retry),
            (302, None, Version::V1, Judgement::Retry),
        ] {
            let reply = Reply { status, retry_after: None, written, why: String::new() };
            assert_eq!(judge(&reply, version, 10), want, "{status} {written:?} {version:?}");
        }
    }
}
