//! The runner: lends a simulated board a pseudo-terminal and the time.
//!
//! Frames are due by deadlines from the start of their stream, so a late wake-up makes a burst and never a
//! drift. The board is switched on when a reader comes for the first time; from then on it goes on whether
//! anybody reads or not.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fault::{Fault, What};
use super::ledger::Ledger;
use super::signal::Shape;
use super::stream::{Stream, Turn};
use super::terminal::Terminal;
use super::{Choice, Device, Event, Said};

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
    pub choice: Choice,
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

/// Why a simulation could not begin or go on.
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

/// Runs a board until told to stop, or until it dies. `opened` is told the name of each terminal.
///
/// # Errors
/// If what is asked for does not exist, or if there is no pseudo-terminal.
pub fn run(
    settings: &Settings,
    stop: &AtomicBool,
    mut opened: impl FnMut(&Terminal),
) -> Result<Ledger, Trouble> {
    let name = settings.device.name();
    let mut board = settings.device.board(&settings.choice).map_err(Trouble::Asked)?;
    let ledger = Ledger::new(name, settings.choice.seed);
    let (shape, faults) = (settings.shape, settings.faults.clone());
    let mut stream =
        Stream::new(board.as_ref(), shape, faults, settings.frames, ledger).map_err(Trouble::Asked)?;
    for (what, event) in [(What::Off, Event::Off), (What::StatusOnly, Event::StatusOnly)] {
        if settings.faults.iter().any(|fault| fault.what == what && fault.from.is_none()) {
            board.meets(event, &mut Said::default());
        }
    }
    let link = settings.link.as_deref();
    let mut terminal = Terminal::open(link).map_err(Trouble::Terminal)?;
    opened(&terminal);
    let began = clock();
    let mut met = false;
    // When the stream began, and what was said and waits for its moment.
    let mut start = began;
    let mut due: Vec<(Duration, Vec<u8>)> = Vec::new();
    let mut said = Said::default();
    let mut buffer = [0; READ];
    let mut out = Vec::new();
    let mut nap = Duration::ZERO;
    let mut here = false;
    while !stop.load(Ordering::Relaxed) {
        let came = terminal.wait(nap);
        let at = began.elapsed();
        let heard = terminal.read(&mut buffer);
        // Who wrote may have come since it was looked.
        let came = came || heard > 0;
        stream.ledger.readers += u64::from(came && !here);
        here = came;
        stream.ledger.heard_bytes += heard as u64;
        if let Some(bytes) = buffer.get(..heard).filter(|bytes| !bytes.is_empty()) {
            board.hears(at, bytes, &mut said);
        }
        board.waits(at, &mut said);
        if here && !met {
            met = true;
            start = clock();
        }
        let mut turn = Turn::On;
        let mut packets = 0;
        let mut next = NAP;
        // A board that was never asked for does not run.
        if met {
            let (streams, another) = stream.follow(board.as_ref());
            if another {
                start = clock();
            }
            let elapsed = start.elapsed();
            for _ in 0..if streams { BATCH } else { 0 } {
                let facts = board.facts();
                let latency = stream.burst(&facts).or(settings.latency).unwrap_or(facts.latency);
                let release = release(stream.number(), stream.rate(&facts), latency);
                if release > elapsed {
                    next = release - elapsed;
                    break;
                }
                next = Duration::ZERO;
                let (sent, what) = stream.next(board.as_mut(), &mut out, &mut said);
                packets += sent;
                turn = what;
                if turn != Turn::On || stream.follow(board.as_ref()) != (true, false) {
                    start = clock();
                    break;
                }
            }
        }
        write(&mut terminal, &mut stream.ledger, &mut out, packets);
        stream.ledger.answers += std::mem::take(&mut said.answers);
        stream.ledger.failures += std::mem::take(&mut said.failures);
        due.extend(said.replies.drain(..).map(|(after, bytes)| (at + after, bytes)));
        let waiting = std::mem::take(&mut due);
        for (when, mut bytes) in waiting {
            if when <= at {
                write(&mut terminal, &mut stream.ledger, &mut bytes, 0);
            } else {
                next = next.min(when - at);
                due.push((when, bytes));
            }
        }
        nap = next.min(NAP);
        if let Turn::Die(back) = turn {
            finish(&mut terminal);
            stream.end();
            let Some(back) = back else { return Ok(stream.ledger) };
            drop(terminal);
            let dead = clock();
            while dead.elapsed() < back && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(NAP.min(back));
            }
            due.clear();
            board.meets(Event::Reset, &mut Said::default());
            terminal = Terminal::open(link).map_err(Trouble::Terminal)?;
            opened(&terminal);
            (met, here, nap) = (false, false, Duration::ZERO);
        }
    }
    finish(&mut terminal);
    stream.end();
    Ok(stream.ledger)
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
