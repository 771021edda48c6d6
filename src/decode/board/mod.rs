//! Frames of an acquisition board out of a stream of bytes: where they begin, what lies between them, and
//! which are missing.
//!
//! What a frame looks like and what it holds is said by a [`Board`]. Boards have weak marks, which occur
//! within samples too. So a stream is believed only when several frames follow each other and their
//! counter goes up by one each; once it is believed, one frame after the other is, until one is not right.

pub mod bgapi;
pub mod bitalino;
pub mod chords;
pub mod cyton;
pub mod freeeeg;
pub mod ganglion;
pub mod generic;
pub mod knight;
pub mod openeeg;
pub mod spikerbox;
pub mod thinkgear;

use std::time::Duration;

use super::dialogue::{Time, Waiting};
use super::{Decoder, Dialogue, Sink};
use crate::event::{Answer, Body, Device, Fault, FaultKind, Lost, LostSamples, Repeated, Samples};

/// Bytes that are looked at in one go; bounds the samples of one event.
const GO: usize = 4096;
/// Bytes that are no frames are reported after so many, at the latest.
const SKIPPED: u64 = 1024;
/// Numbers of the longest counter that may have gone all the way round unseen.
const LONG: u32 = 1 << 16;
/// Frames within which a board that was stopped and started has begun again: what waited on the way when it was told comes
/// first.
const ANEW: u32 = 512;
/// Bytes of an answer; a longer one is none, and neither is a shorter one, which may stand in damaged frames. The
/// registers of a Cyton with a Daisy are the longest, some 3 kB.
const ANSWER: (usize, usize) = (5, 4096);

/// What a place in a stream is the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Not of a frame.
    No,
    /// Perhaps of a frame; more bytes will tell.
    More,
    /// Of a frame of so many bytes, at least 1.
    Frame(usize),
    /// Of a frame of so many bytes and of a type that is not known: its number counts, and nothing else of it.
    Unknown(usize),
    /// Of a frame that its checksum says is damaged.
    Damaged,
    /// Of a message of so many bytes that stands between frames.
    Message(usize),
}

/// What a program told a board means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overheard {
    /// The stream starts with it.
    pub starts: bool,
    /// The stream stops with it.
    pub stops: bool,
    /// The board is set otherwise now.
    pub changed: bool,
}

/// What a byte that a program wrote to a board completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing that matters to its stream, or not all of it yet.
    Other,
    /// A start.
    Start,
    /// A stop.
    Stop,
}

impl Overheard {
    /// Takes in what one more byte completes.
    pub fn hear(&mut self, told: Told) {
        self.starts |= told == Told::Start;
        self.stops |= told == Told::Stop;
    }
}

/// Whether what a board was told begins its stream again, and its numbers with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anew {
    /// It goes on.
    No,
    /// Perhaps, as where it may not have heard it: the next number tells.
    Perhaps,
    /// It does.
    Surely,
}

/// One kind of board.
pub trait Board: Send {
    /// Frames in a row that must be right before a stream is believed. More than two say that a frame is so
    /// hard to tell from noise that one out of order must be followed by as many again.
    const CONFIRM: usize = 2;
    /// What ends the text that the board writes besides frames, if it does.
    const ANSWER_END: Option<&'static [u8]> = None;
    /// How long it needs between two commands.
    const PAUSE: Duration = Duration::from_millis(150);

    /// What it is.
    fn device(&self) -> Device;

    /// Whether all frames of a stream are of one length.
    fn alike(&self) -> bool {
        true
    }

    /// What `bytes` are the beginning of. Once it says no, more bytes do not change its mind. `last` says
    /// that no more will come.
    fn piece(&self, bytes: &[u8], last: bool) -> Piece;

    /// The number that a frame carries, less than the modulus.
    fn counter(&self, _frame: &[u8]) -> Option<u32> {
        None
    }

    /// Learns from a frame what the board is. Says whether it is another device now.
    fn meet(&mut self, _frame: &[u8]) -> bool {
        false
    }

    /// Tells what a frame says besides its samples.
    fn news(&mut self, _frame: &[u8], _out: &mut Sink<'_>) {}

    /// Learns from what the board wrote in words. Says whether it is another device now.
    fn hear(&mut self, _text: &str) -> bool {
        false
    }

    /// Hears a message that stands between frames, and tells it. Says whether the stream begins again after it,
    /// and its numbers with it.
    fn message(&mut self, message: &[u8], out: &mut Sink<'_>) -> bool {
        out(Body::Answer(answer(message)));
        false
    }

    /// Appends a frame's samples.
    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>);

    /// Samples that are not there because so many packets before this frame are missing: those that they held, and those
    /// of this frame if it `brought` none. Asked after [`samples`](Self::samples); none on a board whose packets are one
    /// sample each, or that does not know.
    fn lost_samples(&self, _missing: u32, _brought: bool) -> u32 {
        0
    }

    /// The stream is no longer believed; what was learnt of the length of frames may be wrong.
    fn lost(&mut self) {}

    /// The stream ended; the next frame is the first of another.
    fn end(&mut self) {}

    /// What must be sent before the board talks, in pieces with a moment between them.
    fn handshake(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// Appends what must be sent now, as [`Dialogue::poll_transmit`] does. Says whether the stream begins again with that.
    fn poll_transmit(&mut self, _time: Time, _out: &mut Vec<u8>) -> Anew {
        Anew::No
    }

    /// The stream ran a moment ago and goes on, as [`Dialogue::resume`] says.
    fn resume(&mut self) {}

    /// Hears what a program told the device, as [`Decoder::overhear`] does.
    fn overhear(&mut self, said: &[u8]) -> Overheard {
        let stop = self.stop_stream();
        let stops = !stop.is_empty() && memchr::memmem::find(said, stop).is_some();
        Overheard { starts: super::starts(self.handshake(), said), stops, changed: false }
    }

    /// What it says in place of samples, as [`Dialogue::excuse`] says.
    fn excuse(&self) -> Option<&str> {
        None
    }

    /// What it seems to be in truth, as [`Dialogue::mistaken`] says.
    fn mistaken(&self) -> Option<&str> {
        None
    }

    /// It was told to start once more, as [`Dialogue::restarted`] says. Says whether the stream begins again with that.
    fn restarted(&mut self) -> Anew {
        Anew::Perhaps
    }

    /// What a person should know, as [`Dialogue::notice`] says.
    fn notice(&mut self) -> Option<String> {
        None
    }

    /// What should be sent before it is left alone.
    fn stop_stream(&self) -> &'static [u8] {
        b""
    }

    /// Appends what should be sent before it is left alone, as [`Dialogue::close`] does.
    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.stop_stream());
    }
}

/// What a frame's number says.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    /// It is the frame before, once more.
    repeated: bool,
    /// Packets that are missing before it.
    missing: u32,
}

/// Decodes the stream of a board.
#[derive(Debug)]
pub struct Boards<B> {
    board: B,
    /// Bytes of which it is not known yet what they are: less than the frames that are needed to know.
    held: Vec<u8>,
    gap: Gap,
    batch: Batch,
    /// Samples that are missing since some came.
    lost_samples: u32,
    /// Whether it was said what the device is.
    told: bool,
    /// Whether a byte came since the dialogue was last continued.
    came: bool,
    /// Since when none has come.
    quiet: Waiting,
    /// Whether the stream is believed.
    locked: bool,
    /// The number of the frame before.
    counter: Option<u32>,
    /// Whether the board may have begun again: it has if its next number is one of the first.
    doubted: bool,
    /// The frame before, if frames have numbers: one that is sent again is told by its bytes.
    before: Vec<u8>,
    /// Samples a second, where somebody says what the board does not.
    rate: Option<f64>,
    /// Whether a program told the board to stop, and how many frames may come before it has begun again.
    stopped: bool,
    anew: u32,
}

impl<B: Board> Boards<B> {
    /// A decoder of what `board` writes.
    #[must_use]
    pub fn new(board: B) -> Self {
        Self {
            board,
            held: Vec::new(),
            gap: Gap::default(),
            batch: Batch::default(),
            lost_samples: 0,
            told: false,
            came: false,
            quiet: Waiting::default(),
            locked: false,
            counter: None,
            doubted: false,
            before: Vec::new(),
            rate: None,
            stopped: false,
            anew: 0,
        }
    }

    /// Of a board that is set to, or built for, so many samples a second.
    #[must_use]
    pub fn at(self, rate: Option<u16>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0).map(f64::from), ..self }
    }

    /// What the board is, and what was said of it.
    fn device(&self) -> Device {
        let device = self.board.device();
        match self.rate.filter(|_| device.rate > 0.0) {
            Some(rate) => Device { rate, packet_rate: rate * device.packet_rate / device.rate, ..device },
            None => device,
        }
    }

    /// Looks at what is held, and says how much of it is done with.
    fn walk(&mut self, held: &[u8], last: bool, out: &mut Sink<'_>) -> usize {
        let mut at = 0;
        while let Some((&byte, rest)) = held.get(at..).and_then(|rest| Some((rest.first()?, rest))) {
            match self.piece(rest, last) {
                Piece::Frame(length) => {
                    self.accept(rest.get(..length).unwrap_or_default(), out);
                    at += length;
                }
                Piece::Unknown(length) => {
                    self.refuse(rest.get(..length).unwrap_or_default(), out);
                    at += length;
                }
                Piece::More => break,
                Piece::Message(length) => {
                    self.batch.tell(out);
                    self.gap.tell(FaultKind::Frame, out);
                    if self.board.message(rest.get(..length).unwrap_or_default(), out) {
                        self.counter = None;
                    }
                    at += length;
                }
                no => {
                    // Of a weak checksum most noise looks damaged.
                    if no == Piece::Damaged && (self.locked || B::CONFIRM == 1) {
                        self.gap.damaged = true;
                    }
                    if std::mem::take(&mut self.locked) {
                        // The same place once more, without what was believed of the stream.
                        self.board.lost();
                    } else {
                        self.skip(byte, out);
                        at += 1;
                    }
                }
            }
        }
        self.batch.tell(out);
        at
    }

    /// What a place begins, and whether to believe it.
    fn piece(&self, bytes: &[u8], last: bool) -> Piece {
        let (mut first, mut kind, mut end, mut before) = (0, Piece::No, 0, None);
        for number in 0..B::CONFIRM {
            let rest = bytes.get(end..).unwrap_or_default();
            match self.board.piece(rest, last) {
                piece @ (Piece::Frame(length) | Piece::Unknown(length)) => {
                    let frame = rest.get(..length).unwrap_or_default();
                    let counter = self.board.counter(frame);
                    if number > 0 && length != first && self.board.alike() {
                        return Piece::No;
                    }
                    if number > 0 && counter.is_some_and(|c| self.step(before, c) != Some(1)) {
                        return Piece::No;
                    }
                    before = counter;
                    end += length;
                    if number == 0 {
                        (first, kind) = (length, piece);
                        let in_order = || counter.is_none_or(|c| self.step(self.counter, c) == Some(1));
                        if self.locked && (B::CONFIRM <= 2 || in_order()) {
                            break;
                        }
                    }
                }
                Piece::More if last => return Piece::No,
                Piece::Damaged | Piece::Message(_) if number > 0 => return Piece::No,
                other => return other,
            }
        }
        kind
    }

    /// By how much a counter went up.
    fn step(&self, before: Option<u32>, now: u32) -> Option<u32> {
        let modulus = self.board.device().modulus;
        (now + modulus).checked_sub(before?)?.checked_rem(modulus)
    }

    /// Counts a frame, and nothing that is in it.
    fn refuse(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        self.locked = true;
        self.batch.tell(out);
        self.gap.tell(FaultKind::Frame, out);
        self.count(frame, out);
        out(Body::Fault(Fault { kind: FaultKind::UnknownType, bytes: frame.len() as u64 }));
    }

    fn accept(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        self.locked = true;
        if self.gap.is_open() {
            self.batch.tell(out);
            self.gap.tell(FaultKind::Frame, out);
        }
        if self.board.meet(frame) {
            self.batch.tell(out);
            out(Body::Device(self.device()));
        }
        let Self { board, batch, .. } = self;
        board.news(frame, &mut |body| {
            batch.tell(out);
            out(body);
        });
        let Counted { repeated, missing } = self.count(frame, out);
        let Self { board, batch, .. } = self;
        batch.channels = board.device().channels;
        batch.frames += 1;
        batch.bytes += frame.len() as u64;
        if repeated {
            return;
        }
        let before = batch.values.len();
        board.samples(frame, &mut batch.values);
        let brought = batch.values.len() > before;
        self.lost_samples += board.lost_samples(missing, brought);
        if brought && self.lost_samples > 0 {
            batch.tell(out);
            self.tell_lost_samples(out);
        }
    }

    /// Tells what is missing, in one piece however the bytes were cut.
    fn tell_lost_samples(&mut self, out: &mut Sink<'_>) {
        let samples = std::mem::take(&mut self.lost_samples);
        if samples > 0 {
            out(Body::LostSamples(LostSamples { samples }));
        }
    }

    /// Something was said that the stream may begin again with.
    fn may_begin(&mut self, anew: Anew) {
        match anew {
            Anew::No => {}
            Anew::Perhaps => self.doubted = true,
            Anew::Surely => (self.counter, self.told) = (None, false),
        }
    }

    /// Tells what a frame's number says of those before it.
    fn count(&mut self, frame: &[u8], out: &mut Sink<'_>) -> Counted {
        let mut counted = Counted::default();
        let Some(counter) = self.board.counter(frame) else { return counted };
        if std::mem::take(&mut self.doubted) && counter <= 1 && self.step(self.counter, counter) != Some(1) {
            self.counter = None;
            self.batch.tell(out);
            out(Body::Device(self.device()));
        }
        // A board that was stopped and started counts from the beginning, once.
        let begins = self.anew > 0 && counter == 0;
        self.anew = if begins { 0 } else { self.anew.saturating_sub(1) };
        let step = self.step(self.counter.filter(|_| !begins), counter).unwrap_or(1);
        counted.repeated = step == 0 && self.before == frame;
        if step != 1 {
            self.batch.tell(out);
            // A counter that stands still went all the way round, if the frames differ. A long one was begun again: nobody
            // loses so much to the frame.
            let modulus = self.board.device().modulus.max(1);
            if counted.repeated {
                out(Body::Repeated(Repeated { packets: 1 }));
            } else if step > 0 || modulus <= LONG {
                counted.missing = (step + modulus - 1) % modulus;
                out(Body::Lost(Lost { packets: counted.missing }));
            }
        }
        self.counter = Some(counter);
        self.before.clear();
        self.before.extend_from_slice(frame);
        counted
    }

    fn skip(&mut self, byte: u8, out: &mut Sink<'_>) {
        self.gap.skip(byte, B::ANSWER_END.is_some());
        let ended = B::ANSWER_END.is_some_and(|end| self.gap.text.ends_with(end));
        if ended && self.gap.text.len() >= ANSWER.0 {
            self.batch.tell(out);
            let text = std::mem::take(&mut self.gap.text);
            self.gap.tell(FaultKind::Frame, out);
            let answer = answer(&text);
            out(Body::Answer(answer));
            let other = self.board.hear(std::str::from_utf8(&text).unwrap_or_default());
            if other {
                out(Body::Device(self.device()));
            }
            // A board that talks has stopped, and counts from the beginning when it starts again. That it failed is said
            // by its dongle as well, while the board goes on out of reach.
            self.doubted = answer.failed;
            if other || !answer.failed {
                self.counter = None;
            }
            self.gap.text = text;
            self.gap.text.clear();
        } else if self.gap.skipped >= SKIPPED {
            self.batch.tell(out);
            self.gap.tell(FaultKind::Frame, out);
        }
    }
}

impl<B: Board> Decoder for Boards<B> {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        if !self.told {
            self.told = true;
            out(Body::Device(self.device()));
        }
        self.came |= !bytes.is_empty();
        for go in bytes.chunks(GO) {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(go);
            let done = self.walk(&held, false, out);
            held.drain(..done);
            self.held = held;
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        let mut held = std::mem::take(&mut self.held);
        let cut = self.locked;
        self.walk(&held, true, out);
        self.tell_lost_samples(out);
        self.gap.give_up_text();
        // What begins a frame and has no end; if there were frames within, it was not one.
        let whole = self.gap.skipped == held.len() as u64;
        self.gap.tell(if cut && whole { FaultKind::Cut } else { FaultKind::Frame }, out);
        held.clear();
        self.held = held;
        self.board.end();
        (self.told, self.locked, self.counter, self.anew) = (false, false, None, 0);
        self.doubted = false;
        self.before.clear();
    }

    fn overhear(&mut self, said: &[u8], out: &mut Sink<'_>) -> bool {
        let Overheard { starts, stops, changed } = self.board.overhear(said);
        self.stopped |= stops;
        if starts && std::mem::take(&mut self.stopped) {
            self.anew = ANEW;
        }
        if starts && changed {
            // What comes may have frames of another kind.
            (self.locked, self.counter) = (false, None);
        }
        if changed {
            out(Body::Device(self.device()));
        }
        starts
    }

    fn dialogue(&mut self) -> Option<&mut dyn Dialogue> {
        Some(self)
    }
}

impl<B: Board> Dialogue for Boards<B> {
    fn handshake(&self) -> &'static [&'static [u8]] {
        self.board.handshake()
    }

    fn pause(&self) -> Duration {
        B::PAUSE
    }

    fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.came) {
            self.quiet.begin();
        }
        let time = Time { now, silence: self.quiet.by(now) };
        let anew = self.board.poll_transmit(time, out);
        self.may_begin(anew);
    }

    fn resume(&mut self) {
        self.board.resume();
    }

    fn excuse(&self) -> Option<&str> {
        self.board.excuse()
    }

    fn mistaken(&self) -> Option<&str> {
        self.board.mistaken()
    }

    fn restarted(&mut self) {
        let anew = self.board.restarted();
        self.may_begin(anew);
    }

    fn notice(&mut self) -> Option<String> {
        self.board.notice()
    }

    fn stop_stream(&self) -> &'static [u8] {
        self.board.stop_stream()
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.board.close(out);
    }
}

/// Frames that were understood and are not told yet.
#[derive(Debug, Default)]
struct Batch {
    values: Vec<f32>,
    channels: u16,
    frames: u32,
    bytes: u64,
}

impl Batch {
    fn tell(&mut self, out: &mut Sink<'_>) {
        if self.frames > 0 {
            let Self { values, channels, frames, bytes } = self;
            let (frames, bytes) = (std::mem::take(frames), std::mem::take(bytes));
            out(Body::Samples(Samples { values, channels: *channels, frames, bytes }));
            values.clear();
        }
    }
}

/// Bytes between frames.
#[derive(Debug, Default)]
struct Gap {
    /// Bytes that are not told yet and are no text.
    skipped: u64,
    /// Whether there was a damaged frame among them.
    damaged: bool,
    /// The text after them, which may become an answer.
    text: Vec<u8>,
}

impl Gap {
    fn is_open(&self) -> bool {
        self.skipped > 0 || !self.text.is_empty()
    }

    fn skip(&mut self, byte: u8, text: bool) {
        if text && matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t') && self.text.len() < ANSWER.1 {
            self.text.push(byte);
        } else {
            self.give_up_text();
            self.skipped += 1;
        }
    }

    fn give_up_text(&mut self) {
        self.skipped += self.text.len() as u64;
        self.text.clear();
    }

    fn tell(&mut self, kind: FaultKind, out: &mut Sink<'_>) {
        self.give_up_text();
        let kind = if std::mem::take(&mut self.damaged) { FaultKind::Checksum } else { kind };
        let bytes = std::mem::take(&mut self.skipped);
        if bytes > 0 {
            out(Body::Fault(Fault { kind, bytes }));
        }
    }
}

/// What a text says. The forms are those of the OpenBCI Cyton SDK (a failure is announced by `Failure`, a
/// version stands alone as `v3.1.2` or in the banner after `Firmware:`), of BITalino (`BITalino_v5.2`) and of
/// SpikerBox (`FWV:0.1;`, with bytes around it that are no text).
pub(super) fn answer(text: &[u8]) -> Answer<'_> {
    let plain = |byte: &u8| (b' '..=b'~').contains(byte);
    let words = text.split(|byte| !plain(byte) || matches!(byte, b' ' | b'_' | b';'));
    let mut words = words.map(|word| std::str::from_utf8(word).unwrap_or_default());
    let failed = words.clone().any(|word| word.contains("Failure"));
    let firmware = words.find_map(|word| {
        let word = word.trim_end_matches('$');
        let numbered = word.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        word.strip_prefix("FWV:").or_else(|| numbered.then_some(word))
    });
    Answer { bytes: text.len() as u64, failed, firmware }
}

/// A signed number of 24 bits, the first byte first.
#[must_use]
pub(super) fn int24(bytes: &[u8]) -> i32 {
    match *bytes {
        [a, b, c, ..] => i32::from_be_bytes([a, b, c, 0]) >> 8,
        _ => 0,
    }
}

/// A number of 16 bits, the first byte first.
#[must_use]
pub(super) fn uint16(bytes: &[u8]) -> u16 {
    match *bytes {
        [a, b, ..] => u16::from_be_bytes([a, b]),
        _ => 0,
    }
}

/// The byte at a place, 0 beyond the end.
#[must_use]
pub(super) fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

/// Whether `bytes` are the beginning of a frame of this length, judged by a first byte and what the last
/// byte may be.
#[must_use]
pub(super) fn bracketed(bytes: &[u8], length: usize, head: u8, tail: impl Fn(u8) -> bool) -> Piece {
    match (bytes.first(), bytes.get(length - 1)) {
        (Some(&first), _) if first != head => Piece::No,
        (_, None) => Piece::More,
        (_, Some(&last)) if tail(last) => Piece::Frame(length),
        _ => Piece::No,
    }
}
