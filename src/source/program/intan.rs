//! Intan RHX: asks its command port what it does, and, where that is wanted, reads its waveforms.
//!
//! Both ports take one client each. While it has one a port does not listen, and when that one leaves it does not
//! listen again until a user presses Connect in the program's remote control window, or a command does
//! (Intan-RHX 3.4, `tcpcommunicator.cpp`). So the connection to the command port is kept, and made seldom: a program
//! of your own that needs the port comes first if it is quicker, and cannot get in while the agent is there. Nothing
//! is set or executed. The waveforms' port is opened only if `waveforms` is configured: the program waits for a client that
//! reads it. Checked against simulators written from that source; the program itself was not run.

use std::collections::VecDeque;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::client::{self, Endpoint, follow};
use super::{Expect, LastState};
use crate::analysis::quality::{self, AssessedDecoder};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::decode::board::Boards;
use crate::decode::program::intan::Intan;
use crate::decode::program::intan::talk::{ANSWER, ASK_FACTS, ASK_STATE, Answer};
use crate::event::{Body, Fault, FaultKind, Link, Output, Poll, Program, ProgramState, Received};
use crate::quote::quote;
use crate::setting::Span;
use crate::source::kind::{Kind, Start};
use crate::source::{Feed, names};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// A question that is not answered for so long will not be: the window hangs, or nobody is there any more.
const GIVEN_UP: Duration = Duration::from_secs(120);
/// The time over which the program's count of samples is looked at.
const WINDOW: Duration = Duration::from_secs(60);
/// The least time over which a rate is reported.
const LEAST: Duration = Duration::from_secs(4);
/// Answers that are remembered for the rate.
const MARKS: usize = 64;

/// Intan RHX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name of the source.
    pub name: String,
    /// Where commands are taken. The port takes one client: while the agent is connected, no other one can be.
    #[schemars(extend("format" = "endpoint"))]
    pub address: String,
    /// How often the program is polled. It shows the queries in a window.
    pub interval: Span,
    /// How long an answer may take before the attempt has failed.
    pub timeout: Span,
    /// How long the port is left alone when it does not listen, so that a client of your own gets in first.
    pub retry: Span,
    /// Whether the connection is kept from one question to the next. If not, the port is free after each answer, but
    /// the program, by its source, listens again only when you press Connect.
    pub keep: bool,
    /// What the program should do at least. An alert says when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// The stream of waveforms, which is left alone without this. Its port takes one client as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waveforms: Option<Waveforms>,
    /// How the signal of the waveforms is judged.
    pub signal: quality::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "intan".to_owned(),
            address: "127.0.0.1:5000".to_owned(),
            interval: Span::seconds(5),
            timeout: Span::seconds(3),
            retry: Span::seconds(30),
            keep: true,
            expect: None,
            waveforms: None,
            signal: quality::Settings::default(),
        }
    }
}

/// The stream of waveforms of Intan RHX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Waveforms {
    /// Where it is.
    #[schemars(extend("format" = "endpoint"))]
    pub address: String,
    /// Samples per second; what the program says if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate: Option<f64>,
    /// Whether all channels that are streamed are the amplifier's, so that they are volts. No auxiliary, digital, DC
    /// or stimulation channels then.
    pub volts: bool,
}

impl Default for Waveforms {
    fn default() -> Self {
        Self { address: "127.0.0.1:5001".to_owned(), rate: None, volts: true }
    }
}

impl Kind for Settings {
    client::at_an_address!();

    fn start(&self, start: Start) {
        start.run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Asks, and reads what is wanted, until it is cancelled.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) {
    let (rate_now, rate) = watch::channel(settings.waveforms.as_ref().and_then(|waveforms| waveforms.rate));
    let waveforms = async {
        if let Some(waveforms) = &settings.waveforms {
            let feed = feed.stream(&format!("{}:waveforms", settings.name));
            read(waveforms, &settings, rate, &feed, &stop).await;
            feed.retire();
        }
    };
    let asked = watch_rate(&settings, &feed, rate_now, &stop);
    tokio::join!(waveforms, asked);
}

/// Reads the waveforms as soon as their rate is known.
async fn read(
    waveforms: &Waveforms,
    settings: &Settings,
    mut rate: watch::Receiver<Option<f64>>,
    feed: &Feed,
    stop: &CancellationToken,
) {
    let known = async { rate.wait_for(Option::is_some).await.ok().and_then(|rate| *rate) };
    let first = tokio::select! {
        () = stop.cancelled() => return,
        first = known => first,
    };
    let Some(first) = first else { return };
    let place = Endpoint {
        address: waveforms.address.clone(),
        pause: Backoff::between(settings.retry.0, settings.retry.0),
    };
    let new = || {
        // What the program says now: it may have been restarted with another rate.
        let rate = (*rate.borrow()).unwrap_or(first);
        AssessedDecoder::new(
            Box::new(Boards::new(Intan::new(rate, waveforms.volts))),
            settings.signal.clone(),
        )
    };
    follow(place, feed.clone(), stop.clone(), new).await;
}

/// Connects to the command port repeatedly, and asks.
async fn watch_rate(
    settings: &Settings,
    feed: &Feed,
    rate: watch::Sender<Option<f64>>,
    stop: &CancellationToken,
) {
    let fixed = settings.waveforms.as_ref().is_some_and(|waveforms| waveforms.rate.is_some());
    let mut watcher = RateWatcher {
        settings,
        feed,
        known: LastState::default(),
        link: None,
        program: ProgramReport::default(),
    };
    loop {
        let pause = tokio::select! {
            () = stop.cancelled() => return,
            pause = watcher.session(|rate_now| {
                if !fixed && rate_now.is_some() {
                    rate.send_if_modified(|known| std::mem::replace(known, rate_now) != rate_now);
                }
            }) => pause,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

/// What the program reported since it was connected to.
#[derive(Debug, Default)]
struct ProgramReport {
    version: String,
    rate: Option<f64>,
    /// When which sample was the newest.
    marks: VecDeque<(Instant, f64)>,
}

struct RateWatcher<'s> {
    settings: &'s Settings,
    feed: &'s Feed,
    known: LastState,
    link: Option<Link>,
    program: ProgramReport,
}

impl RateWatcher<'_> {
    /// One connection, from its beginning to its end. Says how long to wait before the next one.
    async fn session(&mut self, mut rated: impl FnMut(Option<f64>)) -> Duration {
        let Settings { address, retry, keep, .. } = self.settings;
        let clock = start();
        let mut peer = match timeout(CONNECT, names::connect(address)).await {
            Ok(Ok(peer)) => peer,
            failed => {
                let why = failed.map_or_else(
                    |_| "no answer".to_owned(),
                    |e| e.err().map(|e| e.to_string()).unwrap_or_default(),
                );
                let why = format!(
                    "{address} cannot be connected to: {why}; see whether it listens in the remote control window, and whether another client has it"
                );
                self.outcome(clock, Err(&why));
                return retry.0;
            }
        };
        self.program = ProgramReport::default();
        let mut ticks = interval(self.settings.interval.0);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u32.. {
            if *keep && round > 0 {
                ticks.tick().await;
            }
            if round > 1 && !keep {
                break;
            }
            let clock = start();
            let question = if round == 0 { ASK_FACTS } else { ASK_STATE };
            let outcome = self.question(&mut peer, question, clock).await;
            let ended = outcome.is_err();
            match outcome {
                Ok(answer) => {
                    // A window that hung answers as soon as it moves again, with the number that it has then.
                    self.take(answer, round > 0, start());
                    rated(self.program.rate);
                    self.outcome(clock, Ok(()));
                }
                Err(why) => self.outcome(clock, Err(&why)),
            }
            if ended {
                return retry.0;
            }
        }
        self.settings.interval.0
    }

    /// Asks, and waits for the answer. While that takes longer than it may nothing else is asked, and the connection
    /// is kept: to give it up would close the port.
    async fn question(
        &mut self,
        peer: &mut TcpStream,
        question: &[u8],
        clock: Instant,
    ) -> Result<Answer, String> {
        let mut held = Vec::new();
        let mut buffer = [0; 1024];
        let mut late = false;
        let sent = timeout(self.settings.timeout.0, peer.write_all(question)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return Err("it does not take questions".to_owned());
        }
        loop {
            let patience = if late { GIVEN_UP } else { self.settings.timeout.0 };
            let read = timeout(patience.saturating_sub(clock.elapsed()), peer.read(&mut buffer)).await;
            let count = match read {
                Ok(Ok(0)) => return self.refuse(&held, "it closed the connection"),
                Ok(Ok(count)) => count,
                Ok(Err(error)) => return self.refuse(&held, &error.to_string()),
                Err(_) if late => return self.refuse(&held, "it does not answer"),
                Err(_) => {
                    late = true;
                    let seconds = self.settings.timeout.0.as_secs_f64();
                    self.outcome(clock, Err(&format!("no answer within {seconds} s")));
                    continue;
                }
            };
            held.extend_from_slice(buffer.get(..count).unwrap_or_default());
            match Answer::read(&held) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    let (bytes, reads) = (held.len() as u64, 1);
                    self.feed.send(Body::Received(Received { bytes, reads, events: 1 }));
                    return Ok(answer);
                }
                Err(kind) => {
                    self.fault(kind, held.len());
                    return Err(format!(
                        "what answers is no Intan RHX: {} bytes that are {}",
                        held.len(),
                        kind.as_str()
                    ));
                }
            }
            debug_assert!(held.len() <= ANSWER, "a longer one is refused");
        }
    }

    fn refuse(&self, held: &[u8], why: &str) -> Result<Answer, String> {
        if !held.is_empty() {
            self.fault(FaultKind::Cut, held.len());
        }
        Err(why.to_owned())
    }

    fn fault(&self, kind: FaultKind, bytes: usize) {
        self.feed.send(Body::Fault(Fault { kind, bytes: bytes as u64 }));
    }

    /// Tells what was answered; what was not asked for is not reported.
    fn take(&mut self, answer: Answer, whole: bool, at: Instant) {
        let ProgramReport { version, rate, marks } = &mut self.program;
        if let Some(rate_now) = answer.version {
            *version = rate_now;
        }
        *rate = answer.rate.or(*rate);
        if whole {
            mark(marks, at, answer.position);
        }
        let state = answer.state;
        let program = Program {
            program: "intan",
            version,
            state,
            changed: self.known.changes(state),
            expected: self.settings.expect.map(|expect| expect.is_met_by(state)),
            position: answer.position,
            rate: *rate,
            effective_rate: effective(marks).filter(|_| state != ProgramState::Idle),
            cpu: None,
        };
        self.feed.batch(now(), |out| {
            out(Body::Program(program));
            for (output, taken) in [("waveforms", answer.waveforms), ("spikes", answer.spikes)] {
                if taken.is_some() {
                    out(Body::Output(Output { output, taken, lost: None }));
                }
            }
        });
    }

    /// Says how an attempt went, and in the log if that is news.
    fn outcome(&mut self, clock: Instant, outcome: Result<(), &str>) {
        let seconds = clock.elapsed().as_secs_f64();
        self.feed.send(Body::Poll(Poll { seconds, ok: outcome.is_ok() }));
        let next = if outcome.is_ok() { Link::Up } else { Link::Down };
        if let Err(why) = outcome
            && self.feed.down(why)
        {
            say!(self.feed, warn, "source is down", why = %quote(why));
        }
        if self.link.replace(next) != Some(next) {
            if next == Link::Up {
                say!(self.feed, info, "source is up");
            }
            self.feed.send(Body::Link(next));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long an attempt takes is measured here")]
fn start() -> Instant {
    Instant::now()
}

/// Remembers when which sample was the newest. A count that goes back is that of another run.
fn mark(marks: &mut VecDeque<(Instant, f64)>, at: Instant, position: Option<f64>) {
    let Some(position) = position else { return marks.clear() };
    if marks.back().is_some_and(|(_, before)| position < *before) {
        marks.clear();
    }
    while marks.len() >= MARKS || marks.get(1).is_some_and(|(second, _)| at.duration_since(*second) >= WINDOW)
    {
        marks.pop_front();
    }
    marks.push_back((at, position));
}

/// Samples per second between the first and the last that are remembered.
fn effective(marks: &VecDeque<(Instant, f64)>) -> Option<f64> {
    let ((first, from), (last, to)) = (marks.front()?, marks.back()?);
    let took = last.duration_since(*first);
    (took >= LEAST).then(|| (to - from) / took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_minute_of_one_run() {
        let zero = start();
        let mut marks = VecDeque::new();
        let mut rate_now = Vec::new();
        for second in (0..=200).step_by(5) {
            // From 100 s on half the samples are missing.
            let position = f64::from(second.min(100)) * 1000.0 + f64::from(second.max(100) - 100) * 500.0;
            mark(&mut marks, zero + Duration::from_secs(second as u64), Some(position));
            rate_now.push(effective(&marks));
        }
        assert_eq!((rate_now[0], rate_now[1], rate_now[20]), (None, Some(1000.0), Some(1000.0)));
        assert_eq!(rate_now[40], Some(500.0));
        assert!(marks.len() <= 14);
        mark(&mut marks, zero + Duration::from_secs(205), Some(7.0));
        assert_eq!((marks.len(), effective(&marks)), (1, None));
        mark(&mut marks, zero + Duration::from_secs(210), None);
        assert!(marks.is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_is_late_makes_no_rate() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut peer, _) = listener.accept().await.unwrap();
            let (began, mut buffer) = (start(), [0; 1024]);
            let facts = "Return: SampleRateHertz 1000Return: RunMode Run";
            for hang in [0, 0, 6] {
                assert!(peer.read(&mut buffer).await.unwrap() > 0);
                sleep(Duration::from_secs(hang)).await;
                let number = began.elapsed().as_millis();
                let state = format!("Return: {number}Return: RunMode Run");
                let whole = buffer.starts_with(b"get version");
                peer.write_all(if whole { facts.as_bytes() } else { state.as_bytes() }).await.unwrap();
            }
        });
        let (_, feed) = crate::source::aside::tests::feed("intan");
        let settings = Settings {
            address,
            interval: Span::seconds(1),
            timeout: Span::seconds(60),
            ..Settings::default()
        };
        let mut watcher = RateWatcher {
            settings: &settings,
            feed: &feed,
            known: LastState::default(),
            link: None,
            program: ProgramReport::default(),
        };
        // Until it is left.
        watcher.session(|_| {}).await;
        let rate = effective(&watcher.program.marks).unwrap();
        assert!((rate - 1000.0).abs() < 100.0, "{rate}");
    }
}
