//! Frames of a board out of a stream of bytes: where they begin, what lies between them, and which are missing.

use std::time::Duration;

use super::{Board, CommandEffect, Restart, Segment, answer};
use crate::decode::batch::Batch;
use crate::decode::dialogue::{Patience, Time};
use crate::decode::{Decoder, Dialogue, Sink};
use crate::event::{Body, Device, Fault, FaultKind, Lost, LostSamples, Repeated};

/// Bytes of an answer; a shorter one is none, and may stand in damaged frames.
const ANSWER_LEAST: usize = 5;
/// A longer one is none either. The registers of a Cyton with a Daisy are the longest, some 3 kB.
const ANSWER_MOST: usize = 4096;
/// Bytes that are looked at in one go; bounds the samples of one event.
const GO: usize = 4096;
/// Bytes that are no frames are reported after so many, at the latest.
const SKIPPED: u64 = 1024;
/// Numbers of the longest counter that may have gone all the way round unseen.
const LONG: u32 = 1 << 16;
/// Frames within which a board that was stopped and started has begun again: what waited on the way when it was commanded
/// comes first.
const ANEW: u32 = 512;

/// What a frame's number says.
#[derive(Clone, Copy, Debug, Default)]
struct Numbering {
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
    announced: bool,
    /// Whether a byte came since the dialogue was last continued.
    came: bool,
    /// Since when none has come.
    quiet: Patience,
    /// Whether the stream is believed.
    locked: bool,
    /// The number of the frame before.
    counter: Option<u32>,
    /// Whether the board may have begun again: it has if its next number is one of the first.
    doubted: bool,
    /// The frame before, if frames have numbers: one that is sent again is recognised by its bytes.
    before: Vec<u8>,
    /// Samples per second, if configured where the board does not say it.
    rate: Option<f64>,
    /// Whether a program commanded the board to stop, and how many frames may come before it has begun again.
    stopped: bool,
    restart: u32,
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
            announced: false,
            came: false,
            quiet: Patience::default(),
            locked: false,
            counter: None,
            doubted: false,
            before: Vec::new(),
            rate: None,
            stopped: false,
            restart: 0,
        }
    }

    /// Of a board that is set to, or built for, so many samples per second.
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
            match self.classify(rest, last) {
                Segment::Frame(length) => {
                    self.accept(rest.get(..length).unwrap_or_default(), out);
                    at += length;
                }
                Segment::Unknown(length) => {
                    self.refuse(rest.get(..length).unwrap_or_default(), out);
                    at += length;
                }
                Segment::More => break,
                Segment::Message(length) => {
                    self.batch.emit(out);
                    self.gap.report_fault(FaultKind::Frame, out);
                    if self.board.message(rest.get(..length).unwrap_or_default(), out) {
                        self.counter = None;
                    }
                    at += length;
                }
                no => {
                    // Of a weak checksum most noise looks damaged.
                    if no == Segment::Damaged && (self.locked || B::CONFIRM == 1) {
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
        self.batch.emit(out);
        at
    }

    /// What a place begins, and whether to believe it.
    fn classify(&self, bytes: &[u8], last: bool) -> Segment {
        let (mut first, mut kind, mut end, mut before) = (0, Segment::No, 0, None);
        for number in 0..B::CONFIRM {
            let rest = bytes.get(end..).unwrap_or_default();
            match self.board.classify(rest, last) {
                piece @ (Segment::Frame(length) | Segment::Unknown(length)) => {
                    let frame = rest.get(..length).unwrap_or_default();
                    let counter = self.board.counter(frame);
                    if number > 0 && length != first && self.board.has_fixed_length() {
                        return Segment::No;
                    }
                    if number > 0 && counter.is_some_and(|c| self.step(before, c) != Some(1)) {
                        return Segment::No;
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
                Segment::More if last => return Segment::No,
                Segment::Damaged | Segment::Message(_) if number > 0 => return Segment::No,
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
        self.batch.emit(out);
        self.gap.report_fault(FaultKind::Frame, out);
        self.count(frame, out);
        out(Body::Fault(Fault { kind: FaultKind::UnknownType, bytes: frame.len() as u64 }));
    }

    fn accept(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        self.locked = true;
        if self.gap.is_open() {
            self.batch.emit(out);
            self.gap.report_fault(FaultKind::Frame, out);
        }
        if self.board.identify(frame) {
            self.batch.emit(out);
            out(Body::Device(self.device()));
        }
        let Self { board, batch, .. } = self;
        board.report_status(frame, &mut |body| {
            batch.emit(out);
            out(body);
        });
        let Numbering { repeated, missing } = self.count(frame, out);
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
            batch.emit(out);
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
    fn may_begin(&mut self, restart: Restart) {
        match restart {
            Restart::No => {}
            Restart::Perhaps => self.doubted = true,
            Restart::Surely => (self.counter, self.announced) = (None, false),
        }
    }

    /// Tells what a frame's number says of those before it.
    fn count(&mut self, frame: &[u8], out: &mut Sink<'_>) -> Numbering {
        let mut counted = Numbering::default();
        let Some(counter) = self.board.counter(frame) else { return counted };
        if std::mem::take(&mut self.doubted) && counter <= 1 && self.step(self.counter, counter) != Some(1) {
            self.counter = None;
            self.batch.emit(out);
            out(Body::Device(self.device()));
        }
        // A board that was stopped and started counts from the beginning, once.
        let begins = self.restart > 0 && counter == 0;
        self.restart = if begins { 0 } else { self.restart.saturating_sub(1) };
        let step = self.step(self.counter.filter(|_| !begins), counter).unwrap_or(1);
        counted.repeated = step == 0 && self.before == frame;
        if step != 1 {
            self.batch.emit(out);
            // A counter that stands still went all the way round, if the frames differ. A long one was begun again:
            // nobody loses so much to the frame.
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
        if ended && self.gap.text.len() >= ANSWER_LEAST {
            self.batch.emit(out);
            let text = std::mem::take(&mut self.gap.text);
            self.gap.report_fault(FaultKind::Frame, out);
            let answer = answer(&text);
            out(Body::Answer(answer));
            let other = self.board.handle_text(std::str::from_utf8(&text).unwrap_or_default());
            if other {
                out(Body::Device(self.device()));
            }
            // A board that talks has stopped, and counts from the beginning when it starts again. That it failed is
            // said by its dongle as well, while the board continues out of reach.
            self.doubted = answer.failed;
            if other || !answer.failed {
                self.counter = None;
            }
            self.gap.text = text;
            self.gap.text.clear();
        } else if self.gap.skipped >= SKIPPED {
            self.batch.emit(out);
            self.gap.report_fault(FaultKind::Frame, out);
        }
    }
}

impl<B: Board> Decoder for Boards<B> {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        if !self.announced {
            self.announced = true;
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
        self.gap.report_fault(if cut && whole { FaultKind::Cut } else { FaultKind::Frame }, out);
        held.clear();
        self.held = held;
        self.board.end();
        (self.announced, self.locked, self.counter, self.restart) = (false, false, None, 0);
        self.doubted = false;
        self.before.clear();
    }

    fn observe_command(&mut self, said: &[u8], out: &mut Sink<'_>) -> bool {
        let CommandEffect { starts, stops, changed } = self.board.observe_command(said);
        self.stopped |= stops;
        if starts && std::mem::take(&mut self.stopped) {
            self.restart = ANEW;
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
        let restart = self.board.poll_transmit(time, out);
        self.may_begin(restart);
    }

    fn resume(&mut self) {
        self.board.resume();
    }

    fn silence_reason(&self) -> Option<&str> {
        self.board.silence_reason()
    }

    fn wrong_device(&self) -> Option<&str> {
        self.board.wrong_device()
    }

    fn restarted(&mut self) {
        let restart = self.board.restarted();
        self.may_begin(restart);
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

/// Bytes between frames.
#[derive(Debug, Default)]
struct Gap {
    /// Bytes that are not reported yet and are no text.
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
        if text && matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t') && self.text.len() < ANSWER_MOST {
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

    fn report_fault(&mut self, kind: FaultKind, out: &mut Sink<'_>) {
        self.give_up_text();
        let kind = if std::mem::take(&mut self.damaged) { FaultKind::Checksum } else { kind };
        let bytes = std::mem::take(&mut self.skipped);
        if bytes > 0 {
            out(Body::Fault(Fault { kind, bytes }));
        }
    }
}
