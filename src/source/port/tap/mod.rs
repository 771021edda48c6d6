//! A serial port that a program records through the agent. The agent owns the port and offers a
//! pseudo-terminal behind a stable link; every byte passes both ways, unchanged and in order, and the agent reads
//! along. It writes nothing to the device itself: no greeting, no question, no farewell.
//!
//! # What the recording depends on
//!
//! On one thread ([`pump`]), the kernel, and no more. It takes no lock and leaves copies of what passed, both ways,
//! in a ring ([`ring`]); another thread reads those. A decoder that panics, a hub that is locked for long, a disk
//! that is full, a scrape that is large: bytes pass, and what the agent could not look at is counted. A process that
//! is stopped, killed, or starved of CPU does pass none: the link is then gone or silent, and a recording that
//! must survive that needs the port itself.
//!
//! # How it differs from a port
//!
//! - The speed and the line settings are those that the agent opened the port with; if the program sets another
//!   speed, that is said and not done. Breaks and the modem lines (DTR, RTS) do not reach the device: a board that
//!   is reset by DTR is reset when the agent opens the port, not when the program does.
//! - A flush by the program (`tcflush`) empties the terminal, some 20 kB at most, not the agent's buffer, which
//!   holds something only if the program stalled. `tcdrain` waits for the agent, not for the line.
//! - A program that closes the terminal and opens it again within the instant that the agent needs to see it continues
//!   where it was. Otherwise nobody gets bytes from before they came; who comes while the device streams
//!   starts with what is sent within 20 ms from then on.
//! - When the device is unplugged or the agent stops, programs are given at most 0.5 s to read what waits, then
//!   they see the terminal hang up, as a port does.

mod ledger;
mod pump;
mod ring;
mod terminal;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;
use serialport::TTYPort;
use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::decode::Decoder;
use crate::event::{Body, BothWays, Tap};
use crate::source::Feed;
use crate::source::socket::NewDecoder;
use ledger::{Ledger, Way, read};
use pump::{PIECE, Pump, State};
use ring::{Consumer, CopyReceiver, CopySender, Ring};
use terminal::Terminal;
pub(crate) use terminal::replaceable;

/// Bytes of copies that can wait to be decoded: half a minute of a Cyton, almost 3 s at 921600 baud.
const COPIES: usize = 256 << 10;
/// How often what passed is reported, and how long the thread that reads along sleeps at most.
const REPORT: Duration = Duration::from_millis(250);
const SLEEP: Duration = Duration::from_millis(100);
/// A device that receives a start command after it paused for so long, nanoseconds, begins again.
const PAUSE: u64 = 50_000_000;

/// A terminal that programs can open in place of a port. Its bytes wait until the tap runs.
#[derive(Debug)]
pub(super) struct Offer {
    terminal: Terminal,
    /// Readable when bytes are to be passed no more.
    event: OwnedFd,
}

impl Offer {
    /// Offers a terminal for `port`, which has `speed` baud, behind `link`.
    ///
    /// # Errors
    /// What cannot be done, and to what.
    pub(super) fn new(port: &TTYPort, link: &Path, speed: u32) -> Result<Self, String> {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| format!("cannot tap the port: {e}"))?;
        Ok(Self { terminal: Terminal::offer(link, crate::sys::port(port), speed)?, event })
    }
}

/// Passes bytes between `port` and the program that opens what is offered, and reads along, until the port is gone, and says
/// why, or until it is cancelled. `gone` is asked some ten times a second whether the device was unplugged. `judged` is
/// called now and then with what the device seems to be, if it is another one whose frames are the same.
#[expect(clippy::too_many_arguments, reason = "a port, and what is done with it")]
pub(super) fn run(
    offer: Offer,
    port: &TTYPort,
    speed: u32,
    new_decoder: &NewDecoder,
    feed: &Feed,
    stop: &CancellationToken,
    mut gone: impl FnMut() -> bool,
    judged: impl FnMut(Option<&str>),
) -> Option<io::Error> {
    let port = crate::sys::port(port);
    let Offer { terminal, event } = offer;
    tracing::info!(source = feed.name(), link = %terminal.link().display(), "programs can open the tap");
    let ledger = Ledger::default();
    let (mut copies, mut delays) = (Ring::new(COPIES), ledger::delays());
    let ((copies_in, copies_out), (delays_in, delays_out)) = (copies.ends(), delays.ends());
    let pump = Pump {
        port,
        terminal,
        stop: event.as_fd(),
        ledger: &ledger,
        copies: CopySender::new(copies_in),
        delays: delays_in,
        observer: std::thread::current(),
        state: State::new(),
    };
    let mut observer = Observer {
        new_decoder,
        decoder: None,
        feed,
        ledger: &ledger,
        speed,
        copies: CopyReceiver::new(copies_out, PIECE),
        delays: delays_out,
        seconds: Vec::with_capacity(ledger::DELAYS),
        last: Totals::default(),
        last_piece: 0,
        started: false,
        failed: 0,
        failures: 0,
        said: Logged::default(),
    };
    std::thread::scope(|scope| {
        let waker = std::thread::current();
        let passing = std::thread::Builder::new().name("tap".to_owned()).spawn_scoped(scope, move || {
            let why = pump.run();
            waker.unpark();
            why
        });
        let passing = match passing {
            Ok(passing) => passing,
            Err(e) => return Some(e),
        };
        observer.follow(
            || {
                if stop.is_cancelled() || gone() {
                    // It only fails if it was said often enough.
                    let _ = rustix::io::write(&event, &1_u64.to_ne_bytes());
                }
                passing.is_finished()
            },
            judged,
        );
        passing
            .join()
            .unwrap_or_else(|_| Some(io::Error::other("the tap failed; this is a mistake in the agent")))
    })
}

/// What reads along.
struct Observer<'a> {
    new_decoder: &'a NewDecoder,
    decoder: Option<Box<dyn Decoder>>,
    feed: &'a Feed,
    ledger: &'a Ledger,
    speed: u32,
    copies: CopyReceiver<'a>,
    delays: Consumer<'a>,
    seconds: Vec<f64>,
    /// What was reported.
    last: Totals,
    /// When the last piece came.
    last_piece: u64,
    /// Whether the program has commanded the device to start since.
    started: bool,
    /// Bytes at which a decoder failed since the last report.
    failed: u64,
    /// How often one failed.
    failures: u64,
    said: Logged,
}

/// The counters of the ledger at one moment.
#[derive(Clone, Copy, Default)]
struct Totals {
    opens: u64,
    passed: BothWays,
    dropped: BothWays,
    behind: u64,
}

/// What the log has said.
#[derive(Default)]
struct Logged {
    reader: bool,
    dropped: bool,
    behind: bool,
    wrong_speed: bool,
}

impl Observer<'_> {
    /// Reads along until `ended` says that nothing more comes.
    fn follow(&mut self, mut ended: impl FnMut() -> bool, mut judged: impl FnMut(Option<&str>)) {
        // The series are there before the first byte.
        self.guarded(|this| {
            let Self { feed, .. } = *this;
            feed.decode(now(), b"", 0, this.decoder());
            this.report();
        });
        let mut reported = clock();
        loop {
            // Asked first: what came before the end is then read below.
            let ended = ended();
            // One round takes what is there, and does not outlast a flood.
            let more = (0..256).all(|_| self.read_piece());
            if ended && !more {
                break;
            }
            if reported.elapsed() >= REPORT {
                self.guarded(Self::report);
                judged(
                    self.decoder
                        .as_deref_mut()
                        .and_then(Decoder::dialogue)
                        .and_then(|dialogue| dialogue.wrong_device()),
                );
                reported = clock();
            }
            if !more {
                std::thread::park_timeout(SLEEP);
            }
        }
        self.guarded(|this| {
            let Self { feed, .. } = *this;
            feed.end(now(), this.decoder());
        });
        self.guarded(Self::report);
    }

    fn decoder(&mut self) -> &mut dyn Decoder {
        let Self { decoder, new_decoder, .. } = self;
        decoder.get_or_insert_with(|| new_decoder()).as_mut()
    }

    /// Decodes the next piece; false if there is none.
    fn read_piece(&mut self) -> bool {
        let Self { copies, decoder, new_decoder, feed, last_piece, started, .. } = self;
        let Some(piece) = copies.take() else { return false };
        if piece.said {
            let done = catch_unwind(AssertUnwindSafe(|| {
                let decoder = decoder.get_or_insert_with(|| new_decoder()).as_mut();
                if piece.cut {
                    feed.end(piece.at, decoder);
                }
                feed.observe_command(piece.at, piece.bytes, decoder)
            }));
            match done {
                Ok(starts) => *started |= starts,
                Err(_) => self.fail(),
            }
            return true;
        }
        let length = piece.bytes.len() as u64;
        let paused = piece.at.steady.saturating_sub(std::mem::replace(last_piece, piece.at.steady)) > PAUSE;
        let started = std::mem::take(started);
        let done = catch_unwind(AssertUnwindSafe(|| {
            let decoder = decoder.get_or_insert_with(|| new_decoder()).as_mut();
            // What the agent did not see is not lost, nor is what a device does not send after a stop command.
            if piece.cut || (started && paused) {
                feed.end(piece.at, decoder);
            }
            feed.decode(piece.at, piece.bytes, 1, decoder);
        }));
        if done.is_err() {
            self.failed += length;
            self.fail();
        }
        true
    }

    /// Does what can fail only by a mistake in the agent. The program records on.
    fn guarded(&mut self, what: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| what(self))).is_err() {
            self.fail();
        }
    }

    /// The next piece has a decoder that has not failed.
    fn fail(&mut self) {
        self.decoder = None;
        self.failures += 1;
        // Seldom enough that nobody drowns in it.
        if self.failures.is_power_of_two() {
            let (source, failures) = (self.feed.name(), self.failures);
            tracing::error!(
                source,
                failures,
                "a mistake in the agent kept it from reading along; bytes pass"
            );
        }
    }

    /// Reports what was forwarded since the last report, and logs problems.
    fn report(&mut self) {
        let Ledger { reader, opens, to_program, to_device, unseen, speed } = self.ledger;
        let both = |of: fn(&Way) -> u64| BothWays { to_program: of(to_program), to_device: of(to_device) };
        let sum = Totals {
            opens: read(opens),
            passed: both(|way| read(&way.passed)),
            dropped: both(|way| read(&way.dropped)),
            behind: read(unseen),
        };
        let last = std::mem::replace(&mut self.last, sum);
        let since = |now: BothWays, last: BothWays| BothWays {
            to_program: now.to_program - last.to_program,
            to_device: now.to_device - last.to_device,
        };
        ledger::read_delays(&mut self.delays, &mut self.seconds);
        let speed = speed.load(Ordering::Relaxed);
        let tap = Tap {
            reader: reader.load(Ordering::Relaxed),
            opens: sum.opens - last.opens,
            passed: since(sum.passed, last.passed),
            dropped: since(sum.dropped, last.dropped),
            waiting: both(|way| read(&way.waiting)),
            behind: sum.behind - last.behind,
            failed: std::mem::take(&mut self.failed),
            wrong_speed: speed != 0 && speed != self.speed,
            delays: &self.seconds,
        };
        self.feed.send(Body::Tap(&tap));
        self.said.say(self.feed.name(), &tap, (speed, self.speed));
    }
}

impl Logged {
    /// Says what has changed, once.
    fn say(&mut self, source: &str, tap: &Tap<'_>, (program, port): (u32, u32)) {
        if tap.opens > 0 || tap.reader != self.reader {
            *self = Self { reader: tap.reader, ..Self::default() };
            let what = if tap.reader { "a program has the tap open" } else { "no program has the tap open" };
            tracing::info!(source, "{what}");
        }
        if tap.dropped != BothWays::default() && !std::mem::replace(&mut self.dropped, true) {
            let BothWays { to_program, to_device } = tap.dropped;
            tracing::warn!(
                source,
                to_program,
                to_device,
                "the tap lost bytes that no program read; the buffer was full or the link closed"
            );
        }
        if tap.behind > 0 && !std::mem::replace(&mut self.behind, true) {
            tracing::warn!(
                source,
                bytes = tap.behind,
                "the agent is behind and did not read along; bytes pass"
            );
        }
        if tap.wrong_speed && !std::mem::replace(&mut self.wrong_speed, true) {
            tracing::warn!(
                source,
                program,
                port,
                "the program set another baud rate; the port keeps its own"
            );
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long bytes stay, and when a report is due, is measured here"
)]
fn clock() -> Instant {
    Instant::now()
}
