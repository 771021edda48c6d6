//! Follows one stream: connects, reads, judges, and connects again when its program is restarted.
//!
//! The name and the address of the stream come from outside. A peer that lies or stops within a sample is a fault
//! and a closed connection, and is asked again after a pause that grows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::judged::JudgedInlet;
use super::probe;
use super::settings::Mode;
use super::target::{Liveness, Target};
use crate::analysis::quality::{self, Judge};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::decode::Decoder;
use crate::decode::lsl::{Clock, DESCRIPTION, Info, Inlet, Stamps, talk};
use crate::event::{Body, Channel, Fault, FaultKind, Link, Stream, StreamClock, StreamName, StreamState};
use crate::source::Feed;

/// How long a connection or a description may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds within a sample, or before the first one, after which a peer has stalled.
const STALLED: u32 = 5;
/// Seconds without a byte after which a stream with a rate is alive only if it says so itself.
const SILENT: u32 = 10;
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// How long one look is.
const LOOK: Duration = Duration::from_secs(5);
/// The time from one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Seconds over which the rate is measured.
const RATED: u32 = 10;
/// Bytes of one read.
const READ: usize = 16 << 10;
/// The same of streams of more than a megabyte a second.
const READ_HEAVY: usize = 256 << 10;
/// A stream that is faster than this is left alone for a moment after each read, so that reads are of more than one
/// sample; the kernel keeps what comes meanwhile.
const FAST: f64 = 100.0;
const MOMENT: Duration = Duration::from_millis(10);
/// Seconds of samples that the outlet is asked to keep, and the least and most samples.
const BUFFER: (f64, f64, f64) = (5.0, 500.0, 1e6);
/// How often the sender is asked for the time while all of its stream is read.
const ASKED: Duration = Duration::from_secs(5);
/// The same for others.
const ASKED_SELDOM: Duration = Duration::from_secs(60);
/// How often the clock of a stream that is not read is reported.
const TOLD: Duration = Duration::from_secs(5);
/// Ages of samples that are reported in a second.
const AGES: usize = 1024;

/// What one stream is followed with.
pub(super) struct Follower {
    pub(super) source: String,
    pub(super) stream: String,
    pub(super) host: String,
    pub(super) mode: Mode,
    pub(super) read_blocking: bool,
    pub(super) signal: quality::Settings,
    pub(super) target: watch::Receiver<Option<Arc<Target>>>,
    pub(super) liveness: Arc<Liveness>,
    pub(super) feed: Feed,
}

impl Follower {
    pub(super) async fn run(self) {
        self.feed.send(Body::Link(Link::Waiting));
        let clock = Mutex::new(Clock::default());
        let every = if self.mode == Mode::Full { ASKED } else { ASKED_SELDOM };
        let asking = self.target.clone();
        let mut following = Following {
            buffer: Vec::new(),
            ages: Vec::with_capacity(AGES),
            known: ReportedCounters::default(),
            seen: None,
            blocking: None,
            odd: None,
            up: false,
            clock: &clock,
            of: self,
        };
        tokio::select! {
            () = probe::run(asking, &clock, every) => {}
            () = following.follow() => {}
        }
    }
}

/// Counters that were reported so far.
#[derive(Clone, Copy, Default)]
struct ReportedCounters {
    stamps: Stamps,
    not_finite: u64,
    jumps: u64,
}

struct Following<'c> {
    of: Follower,
    clock: &'c Mutex<Clock>,
    buffer: Vec<u8>,
    ages: Vec<f64>,
    known: ReportedCounters,
    /// The start of the stream that was met last.
    seen: Option<String>,
    /// The start of the stream whose outlet was asked whether it waits for readers, and whether it does.
    blocking: Option<(String, bool)>,
    /// The start of the stream whose description was last reported as odd.
    odd: Option<String>,
    up: bool,
}

/// What was seen of one connection.
#[derive(Default)]
struct ConnectionCounts {
    /// Seconds since something came, and since the connection began.
    silent: u32,
    passed: u32,
    /// Whether something came.
    met: bool,
    samples: u64,
}

impl Following<'_> {
    async fn follow(&mut self) {
        let mut pause = Backoff::default();
        loop {
            let target = self.of.target.borrow_and_update().clone();
            let Some(target) = target else {
                self.mark_down();
                if self.of.target.changed().await.is_err() {
                    return;
                }
                pause = Backoff::default();
                continue;
            };
            #[expect(clippy::disallowed_methods, reason = "how long a connection lasts is measured here")]
            let began = Instant::now();
            match self.of.mode {
                Mode::Full if !self.is_left_alone(&target) => drop(self.connect(&target, None).await),
                Mode::Decimate if !self.is_left_alone(&target) => {
                    if self.connect(&target, Some(began + LOOK)).await {
                        self.stand(&target, Some(began + LOOK_EVERY)).await;
                        continue;
                    }
                }
                _ => {
                    let again = self.mark_up(&target);
                    self.report(None, again.into(), None);
                    self.stand(&target, None).await;
                    continue;
                }
            }
            if self.is_left_alone(&target) {
                continue;
            }
            self.mark_down();
            if began.elapsed() > GOOD {
                pause = Backoff::default();
            }
            tokio::select! {
                () = sleep(pause.delay()) => {}
                changed = self.of.target.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether the outlet is one that waits for readers, and should not have to wait for this one.
    fn is_left_alone(&self, target: &Target) -> bool {
        let waits = self.blocking.as_ref().is_some_and(|(uid, waits)| *waits && *uid == target.info.uid);
        waits && !self.of.read_blocking
    }

    /// Asks the outlet, once for each start, whether it waits for readers.
    async fn ask_blocking(&mut self, place: SocketAddr, info: &Info) {
        let known = self.blocking.as_ref().is_some_and(|(uid, _)| *uid == info.uid);
        // It copies texts, and cannot wait for who speaks protocol 1.00.
        if known || info.format.size() == 0 || info.version < 110 {
            return;
        }
        let Some(waits) = probe::blocking(place, &info.uid).await else { return };
        if waits {
            let read = if self.of.read_blocking {
                "its samples are read, as `read_blocking` says"
            } else {
                "it is watched without its samples; `read_blocking: true` reads them"
            };
            say!(self.of.feed, warn, "the outlet blocks its program while a reader is slow: {read}", %place);
        }
        self.blocking = Some((info.uid.clone(), waits));
    }

    fn name(&self) -> StreamName<'_> {
        StreamName { source: &self.of.source, stream: &self.of.stream, host: &self.of.host }
    }

    /// The stream is there: says so, and what it is. Gives whether it had been there before and came back.
    fn mark_up(&mut self, target: &Target) -> bool {
        let info = &target.info;
        // A look at a stream that never went away is no return of it.
        let again = self.seen.as_ref().is_some_and(|seen| !self.up || *seen != info.uid);
        if self.seen.as_ref() != Some(&info.uid) {
            if self.seen.is_some() {
                self.clock.lock().restart();
            }
            self.seen = Some(info.uid.clone());
        }
        let up = std::mem::replace(&mut self.up, true);
        let name = self.name();
        self.of.feed.batch(now(), |out| {
            if !up {
                out(Body::Link(Link::Up));
            }
            let Info { kind, format, channels, rate, described, .. } = info;
            let (channels, rate, format) = (*channels, *rate, format.name());
            out(Body::Stream(Stream { name, kind, format, channels, rate }));
            for (channel, number) in described.iter().zip(1..) {
                let (label, unit, kind) = (&*channel.label, &*channel.unit, &*channel.kind);
                out(Body::Channel(Channel { name, channel: number, label, unit, kind }));
            }
        });
        again
    }

    fn mark_down(&mut self) {
        if std::mem::take(&mut self.up) {
            say!(self.of.feed, info, "the stream ended");
            self.of.feed.send(Body::Link(Link::Down));
        }
    }

    /// Waits until the stream is elsewhere or it is time, and tells of its clock meanwhile.
    async fn stand(&mut self, target: &Target, until: Option<Instant>) {
        // Once early: the first burst of questions takes a part of a second.
        let mut wait = Duration::from_secs(2);
        loop {
            tokio::select! {
                changed = self.of.target.changed() => {
                    let moved = self.of.target.borrow().as_ref().is_none_or(|to| to.info.uid != target.info.uid);
                    if changed.is_err() || moved {
                        self.of.target.mark_changed();
                        return;
                    }
                }
                () = sleep(wait) => {
                    self.report(None, 0, None);
                    wait = TOLD;
                }
                () = at(until) => return,
            }
        }
    }

    /// Reads the stream until it ends, or it is time. Says whether it was time.
    async fn connect(&mut self, target: &Target, until: Option<Instant>) -> bool {
        let Some(place) = target.data() else { return false };
        let info = self.describe(place, &target.info).await;
        let opened = timeout(PATIENCE, TcpStream::connect(place)).await;
        let mut peer = match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(peer) => peer,
            Err(error) => {
                // Where nobody listens the outlet has ended; what is only slow may still be there.
                let over = error.kind() == io::ErrorKind::ConnectionRefused;
                if over {
                    self.of.liveness.end();
                } else {
                    self.of.liveness.begin();
                }
                say!(self.of.feed, debug, "cannot connect", %place, %error);
                return false;
            }
        };
        let (seconds, least, most) = BUFFER;
        let asked = talk::ask_samples(&info, (info.rate * seconds).clamp(least, most) as u32);
        if !matches!(timeout(PATIENCE, peer.write_all(&asked)).await, Ok(Ok(()))) {
            return false;
        }
        let mut judged = JudgedInlet {
            judge: (info.rate > 0.0).then(|| Judge::new(signal(&self.of.signal, &info))),
            emit_samples: self.of.mode == Mode::Full,
            inlet: Inlet::new(info.clone()),
        };
        self.known.stamps = Stamps::default();
        self.known.not_finite = 0;
        let target = Target { info, ..target.clone() };
        let ended = self.read(&mut peer, &target, &mut judged, until).await;
        if judged.inlet.refused() {
            self.of.liveness.end();
        } else {
            self.of.liveness.begin();
        }
        let rate = if ended { judged.inlet.stamps().rate() } else { None };
        self.report(Some(&mut judged.inlet), 0, rate);
        self.of.feed.end(now(), &mut judged);
        ended
    }

    /// The full description, or the short one that is there if there is no better.
    async fn describe(&mut self, place: SocketAddr, short: &Info) -> Info {
        let ask = async {
            let mut peer = TcpStream::connect(place).await?;
            peer.write_all(talk::ASK_DESCRIPTION).await?;
            let mut text = Vec::new();
            peer.take(DESCRIPTION as u64 + 1).read_to_end(&mut text).await?;
            Ok::<_, io::Error>(text)
        };
        // A peer that cannot be reached is reported where samples are requested.
        let Ok(Ok(text)) = timeout(PATIENCE, ask).await else { return short.clone() };
        let parsed = Info::parse(&text);
        let odd = match &parsed {
            Ok(full) => full.odd.iter().find(|odd| !short.odd.contains(odd)),
            Err(odd) => Some(odd).filter(|_| !text.is_empty()),
        };
        if let Some(odd) = odd.filter(|_| self.odd.as_ref() != Some(&short.uid)) {
            say!(self.of.feed, warn, "the description of a stream has errors", %place, %odd);
            self.odd = Some(short.uid.clone());
        }
        match parsed {
            Ok(full) if full.uid == short.uid && full.is_as(short) => {
                Info { data_port: short.data_port, service_port: short.service_port, ..full }
            }
            Ok(_) => {
                self.fault(FaultKind::BadValue, text.len());
                short.clone()
            }
            Err(_) if text.is_empty() => short.clone(),
            Err(odd) => {
                self.fault(odd.kind, text.len());
                short.clone()
            }
        }
    }

    fn fault(&self, kind: FaultKind, bytes: usize) {
        self.of.feed.send(Body::Fault(Fault { kind, bytes: bytes as u64 }));
    }

    /// Reads until the connection ends, the stream is elsewhere, or it is time; says whether it was time.
    async fn read(
        &mut self,
        peer: &mut TcpStream,
        target: &Target,
        judged: &mut JudgedInlet,
        until: Option<Instant>,
    ) -> bool {
        let info = &target.info;
        let heavy = info.rate * f64::from(info.channels) * info.format.size() as f64 > 1e6;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(if heavy { READ_HEAVY } else { READ }, 0);
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = ConnectionCounts::default();
        let mut rest = None;
        let ended = loop {
            tokio::select! {
                changed = self.of.target.changed() => {
                    let moved = self.of.target.borrow().as_ref().is_none_or(|to| to.info.uid != info.uid);
                    if changed.is_err() || moved {
                        self.of.target.mark_changed();
                        break false;
                    }
                }
                () = at(until) => break true,
                _ = seconds.tick() => {
                    let waiting = rustix::io::ioctl_fionread(&*peer).ok();
                    if !self.second(&mut seen, judged, waiting) {
                        break false;
                    }
                }
                read = read_after(rest, peer, &mut buffer) => {
                    let count = match read {
                        Ok(count) if count > 0 => count,
                        _ => break false,
                    };
                    let bytes = buffer.get(..count).unwrap_or_default();
                    if !self.take(&mut seen, bytes, target, judged).await {
                        break false;
                    }
                    #[expect(clippy::disallowed_methods, reason = "how often a stream is read is decided here")]
                    let next = || Instant::now() + MOMENT;
                    rest = (info.rate > FAST && count < buffer.len()).then(next);
                }
            }
        };
        self.buffer = buffer;
        ended
    }

    /// One more second has passed. Says whether the stream is read on.
    fn second(
        &mut self,
        seen: &mut ConnectionCounts,
        judged: &mut JudgedInlet,
        waiting: Option<u64>,
    ) -> bool {
        seen.silent += 1;
        seen.passed += 1;
        if judged.inlet.needs_more() && seen.silent > STALLED {
            say!(self.of.feed, warn, "the stream stalled");
            return false;
        }
        if seen.silent > SILENT {
            self.of.liveness.begin();
        }
        if seen.met {
            let rate = if seen.passed.is_multiple_of(RATED) { judged.inlet.stamps().rate() } else { None };
            self.report_with(Some(&mut judged.inlet), 0, rate, waiting);
        }
        true
    }

    /// Takes what one read returned. Says whether the stream is read on.
    async fn take(
        &mut self,
        seen: &mut ConnectionCounts,
        bytes: &[u8],
        target: &Target,
        judged: &mut JudgedInlet,
    ) -> bool {
        let at = now();
        seen.silent = 0;
        self.of.liveness.live();
        let first = !std::mem::replace(&mut seen.met, true);
        let status = talk::status(bytes);
        if first && status.is_none_or(|status| status == talk::FOUND) {
            // After the greeting: a program that waits for readers has one that reads all.
            if let Some(place) = target.data().filter(|_| status.is_some()) {
                self.ask_blocking(place, &target.info).await;
            }
            if self.is_left_alone(target) {
                return false;
            }
            let again = self.mark_up(target);
            self.report(None, again.into(), None);
        }
        judged.inlet.stamps().came(probe::clock());
        self.of.feed.decode(at, bytes, 1, judged);
        let stamps = *judged.inlet.stamps();
        if stamps.samples > seen.samples {
            seen.samples = stamps.samples;
            // Timestamps that are not in seconds have no age.
            self.age(stamps.last.filter(|_| stamps.in_seconds() != Some(false)));
            self.miss(stamps.missing);
        }
        if judged.inlet.refused() {
            tracing::debug!(source = self.of.feed.name(), "the outlet has no such stream");
            return false;
        }
        if judged.is_broken() {
            say!(self.of.feed, warn, "the stream differs from its description");
            return false;
        }
        true
    }

    /// Tells at once how many samples are missing by now: until that is known, those that follow seem late.
    fn miss(&mut self, missing: u64) {
        let before = std::mem::replace(&mut self.known.stamps.missing, missing);
        if missing > before {
            let missing = missing - before;
            let state = StreamState { name: self.name(), missing, ..StreamState::default() };
            self.of.feed.send(Body::StreamState(&state));
        }
    }

    /// Remembers how old the newest sample is.
    fn age(&mut self, stamp: Option<f64>) {
        let offset = self.clock.lock().offset();
        if let Some((stamp, offset)) = stamp.zip(offset)
            && self.ages.len() < AGES
        {
            self.ages.push(probe::clock() - (stamp + offset.seconds));
        }
    }

    fn report(&mut self, inlet: Option<&mut Inlet>, reconnects: u64, rate: Option<f64>) {
        self.report_with(inlet, reconnects, rate, None);
    }

    /// Says how the stream is, and what happened since this was said.
    fn report_with(
        &mut self,
        inlet: Option<&mut Inlet>,
        reconnects: u64,
        rate: Option<f64>,
        backlog: Option<u64>,
    ) {
        if reconnects > 0 {
            say!(self.of.feed, info, "the stream is back");
        }
        let before = self.known;
        let mut texts = false;
        let mut nominal = 0.0;
        if let Some(inlet) = inlet {
            self.known.stamps = *inlet.stamps();
            self.known.not_finite = inlet.not_finite();
            texts = inlet.info().format.size() == 0;
            nominal = inlet.info().rate;
        }
        let (clock, jumps) = {
            let clock = self.clock.lock();
            let offset = clock.offset().map(|offset| StreamClock {
                offset: offset.seconds,
                uncertainty: offset.uncertainty(),
                rtt: offset.rtt,
                drift: clock.drift(),
            });
            (offset, clock.jumps())
        };
        self.known.jumps = jumps;
        let (now_known, name) = (self.known, self.name());
        let grown = |of: fn(&ReportedCounters) -> u64| of(&now_known).saturating_sub(of(&before));
        let state = StreamState {
            name,
            reconnects,
            markers: if texts { grown(|known| known.stamps.samples) } else { 0 },
            gaps: grown(|known| known.stamps.gaps),
            missing: grown(|known| known.stamps.missing),
            in_seconds: self.known.stamps.in_seconds(),
            blocking: self.blocking.as_ref().map(|(_, waits)| *waits),
            irregular: grown(|known| known.stamps.irregular),
            backward: grown(|known| known.stamps.backward),
            not_finite: grown(|known| known.not_finite),
            jumps: grown(|known| known.jumps),
            ages: &self.ages,
            rate: rate.map(|rate| (rate, (nominal > 0.0).then(|| rate / nominal))),
            backlog,
            clock,
        };
        self.of.feed.send(Body::StreamState(&state));
        self.ages.clear();
    }
}

/// How the signal is judged, with the electrodes called what the stream calls them.
fn signal(settings: &quality::Settings, info: &Info) -> quality::Settings {
    let mut signal = settings.clone();
    if !info.described.is_empty() {
        signal.names = info.described.iter().map(|channel| channel.label.clone()).collect();
    }
    signal
}

/// At a time that there may be none of.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Reads what there is, but not before a time.
async fn read_after(time: Option<Instant>, peer: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    if let Some(time) = time {
        sleep_until(time).await;
    }
    peer.read(buffer).await
}
