//! The impedance of a Cyton's electrodes, measured before the stream begins: one channel after the other is put at a
//! gain of 1 and given the board's test current, streams for a second, and is set back.
//!
//! The current of 6 nA goes through the electrode and the resistor before the input, so with the amplitude A of the
//! test signal Z = A / 6 nA - 2200 Ω, not below 0 (OpenBCI_GUI, DataProcessing; the GUI takes √2 times the standard
//! deviation of the filtered signal for A). The current is exact to ± 20 % (OpenBCI_GUI #1211), and so is every
//! impedance. It alternates at an eighth of 250 Hz, which the documents round to 31.2 Hz. A is that of a
//! Hann-weighted Goertzel filter over whole periods: an offset, hum and slow drift do not count as impedance.
//!
//! It counts frames, and receives the time. What it finds follows from what the board answers and sends, so that a
//! recording plays to the same numbers. Whatever goes wrong, the settings are those that the board starts with, and
//! the stream begins.

use std::f64::consts::TAU;
use std::time::Duration;

use super::super::byte;
use super::CHANNELS;
use crate::decode::dialogue::{Patience, Time};

/// Volts of one count at the gain that is measured with.
const SCALE: f64 = super::SCALE;
/// The test current, amperes, and the resistor before an input, ohms.
const CURRENT: f64 = 6e-9;
const RESISTOR: f64 = 2200.0;
/// Frames of one period of the test signal.
const PERIOD: u32 = 8;
/// Frames until a channel that was switched has settled, and those that are measured: 32 periods.
const SETTLE: u32 = 64;
const WINDOW: u32 = 32 * PERIOD;
/// Windows with a gap in them before a channel is given up.
const ATTEMPTS: u32 = 4;
/// After so long in silence, a step has failed. Less than the 5 seconds after which a silent board gets its handshake
/// again.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for what cannot be helped any more.
const HASTE: Duration = Duration::from_millis(600);
/// After so long without an answer or a frame, whatever comes instead, a step has failed.
const LONGEST: Duration = Duration::from_secs(20);
/// Frames that may still come after the board was commanded to stop: two seconds.
const STRAY: u32 = 500;
/// How commands call channels (Cyton SDK).
const NAMES: &[u8; 16] = b"12345678QWERTYUI";

/// The last command sent to the board, and the expected answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// All channels as they start; the answer.
    Defaults,
    /// No test current for the channel that was tested; the answer.
    Clear,
    /// The settings of a channel; the answer.
    Channel,
    /// The test current; the answer.
    LeadOff,
    /// The start; frames.
    Measuring,
    /// The stop, after something went wrong; silence.
    Stop,
    /// Nothing more: the stream is what is wanted.
    Done,
}

/// The measurement.
#[derive(Debug)]
pub(super) struct Measurement {
    step: Phase,
    /// Whether what the step says was said.
    said: bool,
    /// Whether frames of 16 channels come in turns.
    daisy: bool,
    /// The channel that is measured, from 0, and which one may have the test current.
    channel: usize,
    tested: Option<usize>,
    /// For how long nothing was understood.
    waiting: Patience,
    /// Frames since the step began.
    frames: u32,
    /// Whether a frame ever came.
    streamed: bool,
    /// Whether a frame came since it was greeted, and whether the greeting before this one sent none.
    came: bool,
    asked: bool,
    /// Whether the board may be left as no recording wants it.
    dirty: bool,
    tone: Tone,
    attempts: u32,
    measured: u32,
    failed: bool,
    /// Whether a person knows already that it failed.
    hushed: bool,
    word: Option<String>,
}

impl Measurement {
    /// One that begins when the board is greeted, or never.
    pub(super) fn new(wanted: bool, daisy: bool) -> Self {
        Self {
            step: if wanted { Phase::Defaults } else { Phase::Done },
            // The greeting says it.
            said: true,
            daisy,
            channel: 0,
            tested: None,
            waiting: Patience::default(),
            frames: 0,
            streamed: false,
            came: false,
            asked: false,
            dirty: false,
            tone: Tone::default(),
            attempts: 0,
            measured: 0,
            failed: false,
            hushed: false,
            word: None,
        }
    }

    /// Whether it is running: the samples of frames are then not those of the signal.
    pub(super) fn runs(&self) -> bool {
        self.step != Phase::Done
    }

    /// What greets the board: the question for its firmware, which it answers while it does not stream and which
    /// firmware 1 does not know, and then the start, or what comes before it.
    pub(super) fn handshake(&self) -> &'static [&'static [u8]] {
        match (self.runs(), self.dirty, self.daisy) {
            (true, ..) => &[b"V", b"d"],
            // Its registers say what it is and which gains it has. A board that did not stream after it was asked is
            // not kept from it by the same question.
            (_, false, _) if !self.asked => &[b"V", b"?", b"b"],
            (_, false, _) => &[b"V", b"b"],
            (_, true, false) => &[
                b"s", b"V", b"d", b"z100Z", b"z200Z", b"z300Z", b"z400Z", b"z500Z", b"z600Z", b"z700Z",
                b"z800Z", b"b",
            ],
            (_, true, true) => &[
                b"s", b"V", b"d", b"z100Z", b"z200Z", b"z300Z", b"z400Z", b"z500Z", b"z600Z", b"z700Z",
                b"z800Z", b"zQ00Z", b"zW00Z", b"zE00Z", b"zR00Z", b"zT00Z", b"zY00Z", b"zU00Z", b"zI00Z",
                b"b",
            ],
        }
    }

    /// The stream ran a moment ago and continues. Nobody knows how far a measurement was then.
    pub(super) fn resume(&mut self) {
        if self.runs() {
            (self.step, self.dirty) = (Phase::Done, true);
        }
    }

    /// The stream ended, and what follows is greeted. What never streamed is still to be measured; anything else
    /// may be recorded already.
    pub(super) fn end(&mut self) {
        self.asked = !std::mem::take(&mut self.came);
        let begins = self.runs() || self.failed;
        if begins && !self.streamed {
            let (hushed, word) = (self.hushed || self.failed, self.word.take());
            *self = Self { hushed, word, asked: true, ..Self::new(true, self.daisy) };
        } else {
            self.resume();
        }
    }

    fn go(&mut self, step: Phase) {
        (self.step, self.said, self.frames) = (step, false, 0);
        self.waiting.begin();
    }

    /// The next channel, or the end.
    fn next(&mut self) {
        let channels = if self.daisy { 2 * CHANNELS } else { CHANNELS };
        self.go(if self.failed || self.channel >= channels { Phase::Done } else { Phase::Channel });
    }

    fn give_up(&mut self, why: &str) {
        if !self.failed {
            self.failed = true;
            let (hushed, channel) = (self.hushed, self.channel + 1);
            let word = || format!("impedance is not measured from channel {channel} on: {why}");
            self.word = (!hushed).then(word);
        }
        self.go(Phase::Stop);
    }

    /// A step was answered, or there will be no answer.
    fn answered(&mut self) {
        match self.step {
            Phase::Stop => self.go(Phase::Defaults),
            Phase::Defaults if self.tested.is_some() => self.go(Phase::Clear),
            Phase::Defaults => self.next(),
            Phase::Clear => {
                self.tested = None;
                self.next();
            }
            Phase::Channel => self.go(Phase::LeadOff),
            Phase::LeadOff => {
                self.go(Phase::Measuring);
                (self.tone, self.attempts) = (Tone::default(), 0);
            }
            Phase::Measuring | Phase::Done => {}
        }
    }

    /// Hears what the board wrote. The words are those of firmware 3 and of the SDK's page, which differ in what
    /// stands before them. Says whether what comes is to be taken as another device's.
    pub(super) fn handle_text(&mut self, text: &str) -> bool {
        if !self.runs() {
            return false;
        }
        self.waiting.begin();
        let wanted = match self.step {
            Phase::Defaults => "default",
            Phase::Channel => "hannel set",
            Phase::LeadOff | Phase::Clear => "ead off set",
            Phase::Measuring | Phase::Stop | Phase::Done => "",
        };
        let refused = text.contains("Failure") || text.contains("Timeout");
        if refused && !self.failed {
            self.give_up("the board or its dongle answers that something failed");
        } else if !wanted.is_empty() && (refused || text.contains(wanted)) {
            self.answered();
        }
        true
    }

    /// Looks at a frame. Says channel, from 1, and ohms, if it was the last one that was needed.
    pub(super) fn frame(&mut self, frame: &[u8], count: impl Fn(usize) -> i32) -> Option<(u16, f64)> {
        (self.streamed, self.came) = (true, true);
        if !self.runs() {
            self.dirty = false;
            return None;
        }
        self.waiting.begin();
        self.frames = self.frames.saturating_add(1);
        if self.step != Phase::Measuring {
            match self.frames >= STRAY {
                true if self.failed => self.answered(),
                true => self.give_up("the board does not stop"),
                false => {}
            }
            return None;
        }
        if self.frames <= SETTLE {
            return None;
        }
        let number = byte(frame, 1);
        if self.tone.before == Some(number) {
            // The same once more.
            return None;
        }
        if self.tone.follows(number) {
            // Of a Daisy's frames, the odd ones are the board's own.
            let mine = !self.daisy || (number % 2 == 1) == (self.channel < CHANNELS);
            self.tone.add(number, mine.then(|| f64::from(count(self.channel % CHANNELS))));
        } else if self.attempts < ATTEMPTS {
            (self.tone, self.attempts) = (Tone::default(), self.attempts + 1);
        } else {
            self.give_up("too many frames are lost");
        }
        if self.tone.frames < WINDOW {
            return None;
        }
        // A Daisy's values are the mean of two frames, which takes cos(π/8) of the test signal.
        let kept = if self.daisy { (TAU / 16.0).cos() } else { 1.0 };
        let ohms = (self.tone.amplitude() * SCALE / kept / CURRENT - RESISTOR).max(0.0);
        let channel = u16::try_from(self.channel + 1).unwrap_or_default();
        self.channel += 1;
        self.measured += 1;
        self.go(Phase::Defaults);
        Some((channel, ohms))
    }

    /// Appends what must be sent now. Says whether a stream begins with it that no answer stands before.
    pub(super) fn poll_transmit(&mut self, time: Time, out: &mut Vec<u8>) -> bool {
        if !self.said {
            return self.say(out);
        }
        if !self.runs() {
            return false;
        }
        let waited = self.waiting.by(time.now);
        let patience = if self.failed { HASTE } else { PATIENCE };
        if waited.min(time.silence) >= patience || waited >= LONGEST {
            match self.failed {
                true => self.answered(),
                false => self.give_up("the board does not answer"),
            }
            return self.say(out);
        }
        false
    }

    fn say(&mut self, out: &mut Vec<u8>) -> bool {
        self.said = true;
        let name = |channel: usize| NAMES.get(channel).copied().unwrap_or_default();
        match self.step {
            Phase::Stop => out.push(b's'),
            Phase::Defaults => out.extend_from_slice(b"sd"),
            Phase::Clear => out.extend([b'z', name(self.tested.unwrap_or_default()), b'0', b'0', b'Z']),
            Phase::Channel => {
                self.tested = Some(self.channel);
                // On, gain 1, electrode, with bias, both references off.
                out.extend([b'x', name(self.channel), b'0', b'0', b'0', b'1', b'0', b'0', b'X']);
            }
            // At the negative input, where the electrodes of a headset are.
            Phase::LeadOff => out.extend([b'z', name(self.channel), b'0', b'1', b'Z']),
            Phase::Measuring => out.push(b'b'),
            Phase::Done => {
                out.push(b'b');
                if !self.failed {
                    self.word = Some(format!("impedance of {} channels is measured", self.measured));
                }
            }
        }
        self.step == Phase::Done && self.failed
    }

    /// Appends what leaves the board as it started, if it is in between.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        out.push(b's');
        if let Some(tested) = self.tested.filter(|_| self.runs()) {
            out.push(b'd');
            out.extend([b'z', NAMES.get(tested).copied().unwrap_or_default(), b'0', b'0', b'Z']);
        }
    }

    /// What a person should know, once.
    pub(super) fn notice(&mut self) -> Option<String> {
        self.word.take()
    }
}

/// How much of the test signal is in a window of counts.
#[derive(Debug, Default)]
struct Tone {
    before: Option<u8>,
    frames: u32,
    re: f64,
    im: f64,
    weights: f64,
}

impl Tone {
    /// Whether a frame is the one after that before.
    fn follows(&self, number: u8) -> bool {
        self.before.is_none_or(|before| before.wrapping_add(1) == number)
    }

    /// Takes a frame, and the count if there is one in it.
    fn add(&mut self, number: u8, count: Option<f64>) {
        self.before = Some(number);
        if let Some(count) = count {
            let weight = 1.0 - (TAU * f64::from(self.frames) / f64::from(WINDOW)).cos();
            let (sin, cos) = (TAU * f64::from(self.frames % PERIOD) / f64::from(PERIOD)).sin_cos();
            self.re += weight * count * cos;
            self.im += weight * count * sin;
            self.weights += weight;
        }
        self.frames += 1;
    }

    /// Counts.
    fn amplitude(&self) -> f64 {
        2.0 * self.re.hypot(self.im) / self.weights.max(1.0)
    }
}

#[cfg(test)]
mod tests;
