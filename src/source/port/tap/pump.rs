//! The thread that passes bytes between a port and the program that records it. It does nothing else: it does
//! not decode, log, allocate, or wait for anything but its three descriptors.
//!
//! The program comes first: only when its bytes are on their way is a copy left for the agent. What the program
//! does not take waits in a buffer; if that is full, the newest bytes are lost, as they are in the kernel behind a
//! real port, and all of them until half of the buffer is free, so that there is one gap and not many. What the
//! device does not take waits too; if that is full, the program's writes have to wait, as at a real port.
//!
//! While no program has the terminal open, the kernel says so without end; the thread then looks every
//! 20 milliseconds. A watch on the file would spare that, but it merges events and can be refused, so that a
//! second way would be needed beside it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::clock;
use super::ledger::{Ledger, add, delayed};
use super::ring::{CopySender, Producer};
use super::terminal::Terminal;
use crate::clock::now;

/// Bytes of one read.
pub(super) const PIECE: usize = 16 << 10;
/// Bytes that can wait for the program: two minutes of a Cyton, eleven seconds at 921600 baud.
pub(super) const TO_PROGRAM: usize = 1 << 20;
/// Bytes that can wait for the device.
const TO_DEVICE: usize = 64 << 10;
/// Pieces whose delay is followed while they wait.
const MARKS: usize = 1024;
/// How often it is looked whether a program came, and whether one that stalled continues.
const LOOK: Duration = Duration::from_millis(20);
/// How often the program's settings are looked at.
const SETTINGS: Duration = Duration::from_secs(1);
/// Reads of 0 bytes in a row after which the device is gone.
const EMPTY: u32 = 3;
/// How long, at the end, others are given to take what waits.
const DRAIN: Duration = Duration::from_millis(500);
/// How long, of it, nothing must wait any more: what the kernel holds is lost with the terminal. The longer time
/// is for a program that nobody may look at, because it uses the terminal exclusively.
const SETTLED: Duration = Duration::from_millis(10);
const GRACE: Duration = Duration::from_millis(100);

/// What passes bytes.
#[derive(Debug)]
pub(super) struct Pump<'a> {
    pub(super) port: BorrowedFd<'a>,
    pub(super) terminal: Terminal,
    /// Readable when it is to stop.
    pub(super) stop: BorrowedFd<'a>,
    pub(super) ledger: &'a Ledger,
    pub(super) copies: CopySender<'a>,
    pub(super) delays: Producer<'a>,
    /// The thread that reads along.
    pub(super) observer: Thread,
    pub(super) state: State,
}

/// What it remembers.
#[derive(Debug)]
pub(super) struct State {
    began: Instant,
    /// Whether a program has the terminal open.
    reader: bool,
    /// Whether the terminal is as new.
    swept: bool,
    /// Whether the buffer was full, and is not yet half free.
    choked: bool,
    to_program: VecDeque<u8>,
    to_device: VecDeque<u8>,
    /// Bytes ever put into the buffer for the program, and ever taken out of it.
    put: u64,
    taken: u64,
    /// Up to which byte, and when it was read, in nanoseconds.
    marks: VecDeque<(u64, u64)>,
    /// Reads of 0 bytes in a row.
    empty: u32,
    /// When the settings were looked at.
    looked: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            began: clock(),
            reader: false,
            swept: true,
            choked: false,
            to_program: VecDeque::with_capacity(TO_PROGRAM),
            to_device: VecDeque::with_capacity(TO_DEVICE),
            put: 0,
            taken: 0,
            marks: VecDeque::with_capacity(MARKS),
            empty: 0,
            looked: 0,
        }
    }
}

/// Which descriptors have something.
#[derive(Clone, Copy)]
struct Ready {
    stop: bool,
    port: PollFlags,
    program: PollFlags,
}

impl Pump<'_> {
    /// Passes bytes until the device is gone, and says why, or until it is cancelled.
    pub(super) fn run(mut self) -> Option<io::Error> {
        let mut piece = [0; PIECE];
        let why = loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(e) => break Some(e.into()),
            };
            if ready.stop {
                break None;
            }
            if let Err(e) = self.pass(ready, &mut piece) {
                break Some(e);
            }
            self.write_down();
        };
        self.end(why.is_some(), &mut piece);
        self.write_down();
        why
    }

    /// Passes what is there. The program's words come first: they are few, and what it last wrote must not be
    /// swept away with the terminal that it left.
    fn pass(&mut self, ready: Ready, piece: &mut [u8]) -> io::Result<()> {
        self.read_program(piece)?;
        self.look(ready.program);
        self.take(ready.port, piece)?;
        self.write_device()?;
        self.give();
        Ok(())
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(clock().duration_since(self.state.began).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Waits for something to do.
    fn wait(&self) -> rustix::io::Result<Ready> {
        let State { reader, to_program, to_device, .. } = &self.state;
        let also = |wanted: bool, flag| if wanted { flag } else { PollFlags::empty() };
        let port = PollFlags::IN | also(!to_device.is_empty(), PollFlags::OUT);
        let program =
            also(to_device.len() < TO_DEVICE, PollFlags::IN) | also(!to_program.is_empty(), PollFlags::OUT);
        let mut all = [
            PollFd::from_borrowed_fd(self.stop, PollFlags::IN),
            PollFd::from_borrowed_fd(self.port, port),
            PollFd::new(&self.terminal, program),
        ];
        // A terminal that nobody has open is always ready.
        let watched = if *reader { 3 } else { 2 };
        let longest = if *reader && to_program.is_empty() { SETTINGS } else { LOOK };
        let longest = Timespec { tv_sec: longest.as_secs() as i64, tv_nsec: longest.subsec_nanos().into() };
        match poll(all.get_mut(..watched).unwrap_or_default(), Some(&longest)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
        let [stop, port, program] = all.map(|fd| fd.revents());
        Ok(Ready { stop: !stop.is_empty(), port, program })
    }

    /// Sees whether a program came or left.
    fn look(&mut self, program: PollFlags) {
        if self.state.reader {
            if program.contains(PollFlags::HUP) {
                self.left();
            } else if self.nanoseconds().saturating_sub(self.state.looked) > SETTINGS.as_nanos() as u64 {
                self.look_at_settings();
            }
        } else if !self.state.swept && self.terminal.is_alone() {
            self.state.swept = self.terminal.sweep();
        } else if !self.terminal.is_alone() {
            self.state.reader = true;
            self.state.swept = false;
            self.ledger.reader.store(true, Ordering::Relaxed);
            add(&self.ledger.opens, 1);
            self.look_at_settings();
        }
    }

    fn look_at_settings(&mut self) {
        self.state.looked = self.nanoseconds();
        self.ledger.speed.store(self.terminal.speed().unwrap_or(0), Ordering::Relaxed);
    }

    /// The last program closed the terminal. What it did not take is not for the next one, and is not lost: nobody
    /// wanted it. What it wrote is still there to be read.
    fn left(&mut self) {
        let State { reader, choked, to_program, put, taken, marks, swept, .. } = &mut self.state;
        *reader = false;
        *choked = false;
        to_program.clear();
        marks.clear();
        *taken = *put;
        *swept = self.terminal.sweep();
        self.ledger.reader.store(false, Ordering::Relaxed);
        self.ledger.speed.store(0, Ordering::Relaxed);
    }

    /// Takes what the program wrote, as long as there is room for it.
    fn read_program(&mut self, piece: &mut [u8]) -> io::Result<()> {
        loop {
            let State { to_device, .. } = &mut self.state;
            let room = TO_DEVICE.saturating_sub(to_device.len()).min(piece.len());
            let piece = piece.get_mut(..room).unwrap_or_default();
            if piece.is_empty() {
                return Ok(());
            }
            match rustix::io::read(&self.terminal, &mut *piece) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    to_device.extend(piece.iter().take(n));
                    self.write_device()?;
                    // What the device does with it is to be understood: a setting, a start. If there is no room, the
                    // next piece says that something is missing.
                    self.copies.give(now(), piece.get(..n).unwrap_or_default(), true);
                }
                Err(Errno::INTR) => {}
                // Nothing there, or nobody.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Gives the device what waits for it.
    fn write_device(&mut self) -> io::Result<()> {
        let waiting = &mut self.state.to_device;
        while let (first @ [_, ..], _) = waiting.as_slices() {
            match rustix::io::write(self.port, first) {
                Ok(n) => {
                    waiting.drain(..n.min(waiting.len()));
                    add(&self.ledger.to_device.passed, n);
                    if n == 0 {
                        break;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Takes what the device sent, passes it on, and then leaves a copy for the agent.
    fn take(&mut self, ready: PollFlags, piece: &mut [u8]) -> io::Result<()> {
        if ready.is_empty() || ready == PollFlags::OUT {
            return Ok(());
        }
        let bytes = match rustix::io::read(self.port, &mut *piece) {
            Ok(n) => piece.get(..n).unwrap_or_default(),
            Err(Errno::INTR) => return Ok(()),
            // A line that has an error and nothing to read is as one that ended.
            Err(Errno::AGAIN) if ready.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => b"",
            Err(Errno::AGAIN) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        if bytes.is_empty() {
            self.state.empty += 1;
            // A device that was unplugged reads as nothing for ever.
            return if self.state.empty < EMPTY { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        self.state.empty = 0;
        let at = now();
        if self.state.reader {
            let read = self.nanoseconds();
            self.put(bytes, read);
            self.give();
        }
        if !self.copies.give(at, bytes, false) {
            add(&self.ledger.unseen, bytes.len());
        }
        self.observer.unpark();
        Ok(())
    }

    /// Puts bytes into the buffer for the program, as many as there is room for.
    fn put(&mut self, bytes: &[u8], read: u64) {
        let State { to_program, put, choked, marks, .. } = &mut self.state;
        let room =
            if *choked && to_program.len() > TO_PROGRAM / 2 { 0 } else { TO_PROGRAM - to_program.len() };
        let fits = bytes.len().min(room);
        *choked = fits < bytes.len();
        add(&self.ledger.to_program.dropped, bytes.len() - fits);
        to_program.extend(bytes.iter().take(fits));
        *put += fits as u64;
        if marks.len() < MARKS {
            marks.push_back((*put, read));
        } else if let Some(last) = marks.back_mut() {
            // The delay of the older piece is then that of both: rather too long than too short.
            last.0 = *put;
        }
    }

    /// Gives the program what waits for it.
    fn give(&mut self) {
        let before = self.state.taken;
        let State { to_program, taken, .. } = &mut self.state;
        while let (first @ [_, ..], _) = to_program.as_slices() {
            match rustix::io::write(&self.terminal, first) {
                Ok(n) => {
                    to_program.drain(..n.min(to_program.len()));
                    *taken += n as u64;
                    if n == 0 {
                        break;
                    }
                }
                Err(Errno::INTR) => {}
                // It is full, or the program has just left, which will be seen.
                Err(_) => break,
            }
        }
        let taken = *taken;
        if taken == before {
            return;
        }
        self.ledger.to_program.passed.fetch_add(taken - before, Ordering::Relaxed);
        let done = self.nanoseconds();
        while let Some((_, read)) = self.state.marks.pop_front_if(|(until, _)| *until <= taken) {
            delayed(&mut self.delays, done.saturating_sub(read));
        }
    }

    fn write_down(&self) {
        let State { to_program, to_device, .. } = &self.state;
        self.ledger.to_program.waiting.store(to_program.len() as u64, Ordering::Relaxed);
        self.ledger.to_device.waiting.store(to_device.len() as u64, Ordering::Relaxed);
    }

    /// Nobody can come any more; those who are there are given a moment to take what waits.
    fn end(&mut self, gone: bool, piece: &mut [u8]) {
        self.terminal.withdraw();
        let began = clock();
        let mut empty_since = began;
        while began.elapsed() < DRAIN {
            let alone = !self.state.reader || self.terminal.is_alone();
            if !alone {
                self.give();
            }
            if !gone && self.read_program(piece).and_then(|()| self.write_device()).is_err() {
                break;
            }
            let drained = gone || self.state.to_device.is_empty();
            let unread = if alone { Some(0) } else { self.terminal.unread() };
            if !drained
                || (!alone && !self.state.to_program.is_empty())
                || unread.is_some_and(|bytes| bytes > 0)
            {
                empty_since = clock();
            }
            let enough = if unread.is_some() { SETTLED } else { GRACE };
            if drained && (alone || empty_since.elapsed() >= enough) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if self.state.reader && !self.terminal.is_alone() {
            add(&self.ledger.to_program.dropped, self.state.to_program.len());
        }
        add(&self.ledger.to_device.dropped, self.state.to_device.len());
        self.state.to_program.clear();
        self.state.to_device.clear();
        self.ledger.reader.store(false, Ordering::Relaxed);
    }
}
