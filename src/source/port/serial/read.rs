//! One time that a port is open: what it sends goes to the decoder, what the decoder asks for is written.
//!
//! Every round of the loop waits or reads bytes; a port that does neither is gone.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::open::WAIT;
use super::verdict::{Verdict, WatchedDecoder};
use super::watch::{Line, Watch};
use super::{PortReporter, Settings, clock, sleep};
use crate::clock::now;
use crate::decode::{Decoder, Dialogue};
use crate::event::{Body, Greeting, Port, PortState};
use crate::quote::{plain, quote};
use crate::source::Feed;
use crate::source::request::{Ask, Place};

/// How long a device continues to write after a stop command.
const DRAIN: Duration = Duration::from_millis(150);
/// Reads of 0 bytes in a row after which the device is gone.
const EMPTY: u32 = 3;
/// A device that takes no bytes for so long is gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// A device that sends nothing but answers for so long is silent.
const SILENT: Duration = Duration::from_secs(5);
/// The longest pause before a silent device receives another start command.
const GREET: Duration = Duration::from_secs(60);

/// Ports that are read as their bytes come. Beyond, a wake-up for each piece costs more than all that is done with
/// it, so that all ports are looked at together.
const CROWD: usize = 16;
/// The time from one such look to the next; how late a packet comes is then known to that, no better.
const TOGETHER: Duration = Duration::from_millis(50);
/// Ports that are being read.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Counts a port as long as it is read.
struct ReaderCount;

impl ReaderCount {
    fn new() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Waits for the moment at which all ports are looked at, if they are many.
    fn pace(&self) {
        let (most, apart) = (CROWD, TOGETHER.as_nanos() as u64);
        if OPEN.load(Ordering::Relaxed) > most {
            // The same moments for all of them: the machine wakes up once.
            std::thread::sleep(Duration::from_nanos(apart - now().steady % apart));
        }
    }
}

impl Drop for ReaderCount {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a port was lost.
#[derive(Debug)]
pub(super) enum PortLoss {
    /// Its node is gone, or is another one.
    Vanished,
    /// The other end hung up.
    Hangup,
    /// A read failed.
    Read(io::Error),
    /// A write failed.
    Write(io::Error),
    /// The tap of the port ended.
    Tapped(io::Error),
}

impl fmt::Display for PortLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vanished => f.write_str("it was unplugged"),
            Self::Hangup => f.write_str("the other end hung up"),
            Self::Read(error) => write!(f, "it cannot be read: {error}"),
            Self::Write(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("the device takes no bytes")
            }
            Self::Write(error) => write!(f, "it cannot be written to: {error}"),
            Self::Tapped(error) => error.fmt(f),
        }
    }
}

/// What a port that is open is read with.
pub(super) struct Session<'s, 'a> {
    pub(super) settings: &'a Settings,
    pub(super) feed: &'a Feed,
    pub(super) stop: &'a CancellationToken,
    pub(super) reporter: &'s mut PortReporter<'a>,
    pub(super) watch: &'s mut Watch<'a>,
    pub(super) place: Place,
}

impl Session<'_, '_> {
    /// Reads until the port is gone, and says how, or until it is cancelled.
    pub(super) fn read(mut self, port: &mut impl Line, decoder: Box<dyn Decoder>) -> Option<PortLoss> {
        let mut decoder = WatchedDecoder::new(decoder);
        // The device's series are there before its first byte.
        self.feed.decode(now(), b"", 0, &mut decoder);
        let gone = self.pump(port, &mut decoder);
        self.feed.end(now(), &mut decoder);
        gone
    }

    fn pump(&mut self, port: &mut impl Line, decoder: &mut WatchedDecoder) -> Option<PortLoss> {
        let mut buffer = [0; 4096];
        let mut asked = Vec::new();
        let mut empty = 0;
        if let Err(e) = send_handshake(port, decoder, self.stop) {
            return Some(PortLoss::Write(e));
        }
        if has_handshake(decoder) {
            self.feed.send(Body::Port(Port::Greeted(Greeting::Opened)));
        }
        let mut quiet = Quiet::new();
        let counted = ReaderCount::new();
        loop {
            if self.stop.is_cancelled() {
                decoder.dialogue().into_iter().for_each(|dialogue| dialogue.close(&mut asked));
                // A device that is gone receives no command.
                drop(write(port, &asked));
                return None;
            }
            match port.read(&mut buffer) {
                // A device that was unplugged reads as nothing for ever.
                Ok(0) => {
                    empty += 1;
                    if empty >= EMPTY {
                        return Some(PortLoss::Hangup);
                    }
                    std::thread::yield_now();
                }
                Ok(n) => {
                    empty = 0;
                    self.feed.decode(now(), buffer.get(..n).unwrap_or_default(), 1, decoder);
                    quiet.hear(decoder.heard());
                    // A line that sends more than that is not made to wait.
                    if n < buffer.len() {
                        counted.pace();
                    }
                }
                // Ready to be read, it said, and then was not.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => sleep(WAIT / 10, self.stop),
                Err(e) if idle(&e) => {}
                Err(e) if hung_up(&e) => return Some(PortLoss::Hangup),
                Err(e) => return Some(PortLoss::Read(e)),
            }
            if let Some(dialogue) = decoder.dialogue() {
                dialogue.poll_transmit(Duration::from_nanos(now().steady), &mut asked);
            }
            let written = write(port, &asked);
            asked.clear();
            if let Err(e) = written {
                return Some(PortLoss::Write(e));
            }
            if let Some(notice) = decoder.dialogue().and_then(Dialogue::notice) {
                say!(self.feed, info, "the device", said = %quote(notice));
            }
            if self.watch.check(port) {
                return Some(PortLoss::Vanished);
            }
            self.judge(decoder, &mut quiet);
            if let Some(end) = self.asked(port, decoder, &mut quiet) {
                return end;
            }
            if quiet.handshake_due(decoder, self.reporter.is(PortState::WrongDevice)) {
                decoder.dialogue().into_iter().for_each(Dialogue::restarted);
                if let Err(e) = handshake(port, decoder, self.stop) {
                    return Some(PortLoss::Write(e));
                }
                self.feed.send(Body::Port(Port::Greeted(Greeting::Silent)));
            }
        }
    }

    /// Does what the device is asked for. Says how the port is left, if it is.
    fn asked(
        &mut self,
        port: &mut impl Line,
        decoder: &mut WatchedDecoder,
        quiet: &mut Quiet,
    ) -> Option<Option<PortLoss>> {
        let request = self.place.asked()?;
        let which = &self.settings.which;
        if self.reporter.is(PortState::WrongDevice) {
            request.answer(Err(format!("what is at {which} seems to be another device")));
            return None;
        }
        if request.ask == Ask::Reconnect {
            let mut last = Vec::new();
            decoder.dialogue().into_iter().for_each(|dialogue| dialogue.close(&mut last));
            // One that takes no bytes any more is opened again all the same.
            drop(write(port, &last));
            request.answer(Ok(format!("{which} is closed and opened again")));
            return Some(None);
        }
        if !has_handshake(decoder) {
            request.answer(Err(format!("the device at {which} starts by itself and knows no start command")));
            return None;
        }
        decoder.dialogue().into_iter().for_each(Dialogue::restarted);
        if let Err(e) = send_handshake(port, decoder, self.stop) {
            request.answer(Err(format!("the device at {which} takes no commands: {}", plain(&e))));
            return Some(Some(PortLoss::Write(e)));
        }
        self.feed.send(Body::Port(Port::Greeted(Greeting::Requested)));
        quiet.started();
        request.answer(Ok(format!("the device at {which} was sent its stop and start commands")));
        None
    }

    /// Says what to make of what came.
    fn judge(&mut self, decoder: &mut WatchedDecoder, quiet: &mut Quiet) {
        let Settings { which, baud, protocol, .. } = self.settings;
        let verdict = decoder.verdict(clock(), self.watch.frame_errors());
        if verdict == Verdict::Right {
            quiet.understood();
        }
        if quiet.last.elapsed() >= SILENT {
            if decoder.is_board() {
                let why = match decoder.failure() {
                    Some(failure) => format!(
                        "{which} sends no samples and reports `{failure}`: is the device on and in range?"
                    ),
                    None => {
                        let seconds = SILENT.as_secs();
                        format!("no samples from {which} for {seconds} s; is the device on and in range?")
                    }
                };
                self.reporter.report(PortState::Silent, &why);
            } else {
                self.reporter.set(PortState::Silent);
            }
        } else if let Verdict::Wrong(what) = &verdict {
            if !self.reporter.is(PortState::WrongDevice) {
                let why = format!("the data from {which} at {baud} baud is not {protocol}: {what}");
                self.reporter.report(PortState::WrongDevice, &why);
            }
        } else if self.reporter.is(PortState::Silent) && !decoder.is_board() {
            self.reporter.set(PortState::Open);
        } else if verdict == Verdict::Right {
            self.reporter.recovered(&format!("{which} speaks again"));
        }
    }
}

/// For how long a device has been quiet.
struct Quiet {
    /// When it last sent a byte that is in no answer.
    last: Instant,
    /// The most such bytes that were seen: the beginning of an answer is one only until its end has come.
    heard: u64,
    /// When it last sent something that was decoded, or received a start command.
    since: Instant,
    /// How long until the next start command.
    pause: Duration,
}

impl Quiet {
    fn new() -> Self {
        Self { last: clock(), heard: 0, since: clock(), pause: SILENT }
    }

    fn hear(&mut self, heard: u64) {
        if heard > self.heard {
            (self.last, self.heard) = (clock(), heard);
        }
    }

    /// It received a start command.
    fn started(&mut self) {
        self.since = clock();
    }

    fn understood(&mut self) {
        (self.since, self.pause) = (clock(), SILENT);
    }

    /// Whether to send a start command now. A device that seems to be another receives none.
    fn handshake_due(&mut self, decoder: &mut WatchedDecoder, wrong: bool) -> bool {
        let due = !wrong && has_handshake(decoder) && self.since.elapsed() >= self.pause;
        if due {
            self.since = clock();
            self.pause = (self.pause * 2).min(GREET);
        }
        due
    }
}

fn idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Whether an error is how a line ends whose other end is gone.
pub(super) fn hung_up(error: &io::Error) -> bool {
    let text = error.to_string().to_lowercase();
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof)
        || ["i/o error", "input/output error", "no such device", "broken pipe"]
            .iter()
            .any(|end| text.contains(end))
}

/// Writes all of it, but does not wait for ever.
fn write(port: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let mut left = bytes;
    let began = (!left.is_empty()).then(clock);
    while !left.is_empty() {
        match port.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => left = left.get(n..).unwrap_or_default(),
            Err(e) if idle(&e) => {
                if began.is_some_and(|began| began.elapsed() >= PATIENCE) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                if e.kind() == io::ErrorKind::WouldBlock {
                    std::thread::sleep(WAIT / 20);
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Restarts a device: one that still streams receives a stop command, and its output is discarded, so
/// that no old frames are taken for new ones.
fn send_handshake(
    port: &mut (impl Read + Write),
    decoder: &mut WatchedDecoder,
    stop: &CancellationToken,
) -> io::Result<()> {
    let Some(dialogue) = decoder.dialogue().filter(|dialogue| !dialogue.handshake().is_empty()) else {
        return Ok(());
    };
    let (end, pause) = (dialogue.stop_stream(), dialogue.pause());
    if !end.is_empty() {
        write(port, end)?;
        sleep(DRAIN.max(pause), stop);
        // At most what the kernel holds; a device that does not stop is drained for a moment only.
        let mut old = [0; 4096];
        for _ in 0..64 {
            match port.read(&mut old) {
                Ok(n) if n == old.len() => {}
                Ok(_) => break,
                Err(e) if idle(&e) => break,
                Err(e) => return Err(e),
            }
        }
    }
    handshake(port, decoder, stop)
}

/// Tells a device to start.
fn handshake(
    port: &mut impl Write,
    decoder: &mut WatchedDecoder,
    stop: &CancellationToken,
) -> io::Result<()> {
    let Some(dialogue) = decoder.dialogue() else { return Ok(()) };
    let (pieces, pause) = (dialogue.handshake(), dialogue.pause());
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            sleep(pause, stop);
        }
        write(port, piece)?;
    }
    Ok(())
}

/// Whether a device needs a start command.
fn has_handshake(decoder: &mut WatchedDecoder) -> bool {
    decoder.dialogue().is_some_and(|dialogue| !dialogue.handshake().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, and then none.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let n = bytes.len().min(self.0).min(2);
            self.0 -= n;
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_write_that_is_not_taken_ends() {
        assert!(write(&mut Full(5), b"12345").is_ok());
        assert_eq!(write(&mut Full(4), b"12345").unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(write(&mut Full(0), b"").is_ok());
    }

    #[test]
    fn a_line_that_ended_hung_up() {
        for end in [io::ErrorKind::BrokenPipe.into(), io::ErrorKind::UnexpectedEof.into()] {
            assert!(hung_up(&end), "{end}");
        }
        assert!(hung_up(&io::Error::from_raw_os_error(libc::EIO)));
        assert!(!hung_up(&io::ErrorKind::TimedOut.into()));
    }

    #[test]
    fn silent_devices_are_told_less_and_less_often() {
        let judged = |p: crate::decode::Protocol| WatchedDecoder::new(p.decoder());
        let (mut cyton, mut lines) =
            (judged(crate::decode::Protocol::Cyton), judged(crate::decode::Protocol::Jsonl));
        let mut quiet = Quiet::new();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(!quiet.handshake_due(&mut cyton, false), "it was told a moment ago");
            pauses.push(quiet.pause.as_secs());
            quiet.since -= quiet.pause;
            assert!(!quiet.handshake_due(&mut cyton, true) && !quiet.handshake_due(&mut lines, false));
            assert!(quiet.handshake_due(&mut cyton, false));
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        quiet.understood();
        assert_eq!(quiet.pause, SILENT);
    }
}
