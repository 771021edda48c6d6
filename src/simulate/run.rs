//! The runner: lends a simulated board a pseudo-terminal and the time.
//!
//! Frames are due by deadlines from the start of their stream, so a late wake-up makes a burst and never a
//! drift. The board is switched on when a reader comes for the first time; from then on it continues whether
//! a reader is connected or not.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fault::{Disturbance, Fault};
use super::ledger::Ledger;
use super::signal::Shape;
use super::stream::{Stream, Turn};
use super::terminal::Terminal;
use super::{Board, BoardOptions, Device, Event, Output};

/// The longest that nothing is looked at.
const NAP: Duration = Duration::from_millis(50);
/// Bytes of one read.
const READ: usize = 4096;
/// Frames that are made before the port is looked at again.
const BATCH: u32 = 4096;
/// How long a reader may take for the last bytes.
const LAST: Duration = Duration::from_millis(300);

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The device.
    pub device: Device,
    /// What was chosen of it.
    pub choice: BoardOptions,
    /// Where the symlink to the terminal is.
    pub link: Option<PathBuf>,
    /// What it measures.
    pub shape: Shape,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How many frames it sends before it is silent.
    pub frames: Option<u64>,
    /// How long bytes wait in the chip, if not as long as before.
    pub latency: Option<Duration>,
}

/// Why a simulation could not begin or continue.
#[derive(Debug)]
pub enum Trouble {
    /// What was asked for does not exist.
    Asked(String),
    /// The terminal.
    Terminal(io::Error),
}

#[expect(clippy::disallowed_methods, reason = "a board has a clock")]
fn clock() -> Instant {
    Instant::now()
}

/// Runs a board until it is cancelled, or until it dies. `opened` receives the name of each terminal.
///
/// # Errors
/// If what is asked for does not exist, or if there is no pseudo-terminal.
pub fn run(
    settings: &Settings,
    stop: &AtomicBool,
    mut opened: impl FnMut(&Terminal),
) -> Result<Ledger, Trouble> {
    let mut bench = Bench::new(settings).map_err(Trouble::Asked)?;
    loop {
        let mut terminal = Terminal::open(settings.link.as_deref()).map_err(Trouble::Terminal)?;
        opened(&terminal);
        let back = bench.serve(&mut terminal, stop);
        finish(&mut terminal);
        bench.stream.end();
        drop(terminal);
        let Some(back) = back else { return Ok(bench.stream.ledger) };
        let dead = clock();
        while dead.elapsed() < back && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(NAP.min(back));
        }
        bench.reset();
    }
}

/// A board that runs, and what it said.
struct Bench<'a> {
    settings: &'a Settings,
    board: Box<dyn Board>,
    stream: Stream,
    began: Instant,
    /// Whether a reader came since the terminal was opened, and whether there is one now.
    met: bool,
    here: bool,
    /// When the stream began.
    start: Instant,
    output: Output,
    /// What was said and waits for its moment.
    due: Vec<(Duration, Vec<u8>)>,
    out: Vec<u8>,
    buffer: Box<[u8; READ]>,
}

/// What came of one look at the board.
struct StepOutcome {
    turn: Turn,
    packets: u64,
    /// How long until the next frame.
    next: Duration,
}

impl<'a> Bench<'a> {
    fn new(settings: &'a Settings) -> Result<Self, String> {
        let mut board = settings.device.board(&settings.choice)?;
        let ledger = Ledger::new(settings.device.name(), settings.choice.seed);
        let (shape, faults) = (settings.shape, settings.faults.clone());
        let stream = Stream::new(board.as_ref(), shape, faults, settings.frames, ledger)?;
        for (what, event) in [(Disturbance::Off, Event::Off), (Disturbance::StatusOnly, Event::StatusOnly)] {
            if settings.faults.iter().any(|fault| fault.what == what && fault.from.is_none()) {
                board.handle_event(event, &mut Output::default());
            }
        }
        let (began, output, buffer) = (clock(), Output::default(), Box::new([0; READ]));
        let (met, here, start, due, out) = (false, false, began, Vec::new(), Vec::new());
        Ok(Self { settings, board, stream, began, met, here, start, output, due, out, buffer })
    }

    /// Lends the board a terminal until it dies, and says after how long it is back: never, if it is to stop.
    fn serve(&mut self, terminal: &mut Terminal, stop: &AtomicBool) -> Option<Duration> {
        let mut nap = Duration::ZERO;
        while !stop.load(Ordering::Relaxed) {
            let at = self.hear(terminal, nap);
            let sent = self.send();
            write(terminal, &mut self.stream.ledger, &mut self.out, sent.packets);
            nap = self.reply(terminal, at, sent.next).min(NAP);
            if let Turn::Die(back) = sent.turn {
                return back;
            }
        }
        None
    }

    /// What a reader wrote; gives the time at which it came.
    fn hear(&mut self, terminal: &mut Terminal, nap: Duration) -> Duration {
        let came = terminal.wait(nap);
        let at = self.began.elapsed();
        let heard = terminal.read(self.buffer.as_mut());
        // Who wrote may have come since it was looked.
        let came = came || heard > 0;
        self.stream.ledger.readers += u64::from(came && !self.here);
        self.here = came;
        self.stream.ledger.heard_bytes += heard as u64;
        if let Some(bytes) = self.buffer.get(..heard).filter(|bytes| !bytes.is_empty()) {
            self.board.receive(at, bytes, &mut self.output);
        }
        self.board.tick(at, &mut self.output);
        if self.here && !self.met {
            self.met = true;
            self.start = clock();
        }
        at
    }

    /// The frames that are due.
    fn send(&mut self) -> StepOutcome {
        let mut sent = StepOutcome { turn: Turn::On, packets: 0, next: NAP };
        // A board that was never asked for does not run.
        if !self.met {
            return sent;
        }
        let (streams, another) = self.stream.follow(self.board.as_ref());
        if another {
            self.start = clock();
        }
        let elapsed = self.start.elapsed();
        for _ in 0..if streams { BATCH } else { 0 } {
            let facts = self.board.facts();
            let latency = self.stream.burst(&facts).or(self.settings.latency).unwrap_or(facts.latency);
            let release = release(self.stream.number(), self.stream.rate(&facts), latency);
            if release > elapsed {
                sent.next = release - elapsed;
                break;
            }
            sent.next = Duration::ZERO;
            let (packets, turn) = self.stream.next(self.board.as_mut(), &mut self.out, &mut self.output);
            sent.packets += packets;
            sent.turn = turn;
            if sent.turn != Turn::On || self.stream.follow(self.board.as_ref()) != (true, false) {
                self.start = clock();
                break;
            }
        }
        sent
    }

    /// What the board answered, when its moment has come; gives how long until the next moment, `next` at most.
    fn reply(&mut self, terminal: &mut Terminal, at: Duration, mut next: Duration) -> Duration {
        self.stream.ledger.answers += std::mem::take(&mut self.output.answers);
        self.stream.ledger.failures += std::mem::take(&mut self.output.failures);
        self.due.extend(self.output.replies.drain(..).map(|(after, bytes)| (at + after, bytes)));
        for (when, mut bytes) in std::mem::take(&mut self.due) {
            if when <= at {
                write(terminal, &mut self.stream.ledger, &mut bytes, 0);
            } else {
                next = next.min(when - at);
                self.due.push((when, bytes));
            }
        }
        next
    }

    /// The board is back after it died.
    fn reset(&mut self) {
        self.due.clear();
        self.board.handle_event(Event::Reset, &mut Output::default());
        (self.met, self.here) = (false, false);
    }
}

/// When the chip hands on the frame with this number.
fn release(number: u64, rate: f64, latency: Duration) -> Duration {
    let ready = (number + 1) as f64 / rate;
    let period = latency.as_secs_f64();
    let out = if period > 0.0 { (ready / period - 1e-6).ceil() * period } else { ready };
    Duration::try_from_secs_f64(out).unwrap_or(Duration::MAX)
}

fn write(terminal: &mut Terminal, ledger: &mut Ledger, out: &mut Vec<u8>, packets: u64) {
    if out.is_empty() {
        terminal.push();
    } else if terminal.write(out) {
        ledger.bytes += out.len() as u64;
    } else {
        ledger.unheard += packets;
        ledger.unheard_bytes += out.len() as u64;
    }
    out.clear();
}

/// Leaves a reader a moment for what it has not read yet: a terminal that closes takes it along.
fn finish(terminal: &mut Terminal) {
    let began = clock();
    while began.elapsed() < LAST && terminal.wait(Duration::from_millis(10)) {
        terminal.push();
        if !terminal.is_empty() {
            continue;
        }
        if began.elapsed() > LAST / 3 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_release_what_they_have_by_their_timer() {
        let ms = |number, latency| {
            let out = release(number, 250.0, Duration::from_millis(latency));
            (out.as_secs_f64() * 1e6).round() / 1e3
        };
        // The first four frames are ready after 4 to 16 ms.
        assert_eq!([ms(0, 16), ms(3, 16), ms(4, 16), ms(7, 16)], [16.0, 16.0, 32.0, 32.0]);
        assert_eq!([ms(0, 0), ms(1, 0), ms(250 * 3600 - 1, 0)], [4.0, 8.0, 3_600_000.0]);
        assert_eq!(ms(24, 100), 100.0);
    }
}
