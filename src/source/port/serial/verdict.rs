//! Whether what comes from a port is what the configured device writes.
//!
//! Judged by what the decoder makes of it, a few seconds at a time. That costs a comparison an event; only when
//! nothing is understood is it looked for what it might be instead. Samples are never quoted.

use std::time::{Duration, Instant};

use crate::decode::{Decoder, Dialogue, Protocol, Sink};
use crate::event::Body;

/// So much time is judged at once.
const WINDOW: Duration = Duration::from_secs(3);
/// Fewer bytes say nothing.
const FEW: u64 = 64;
/// Bytes of a window that are kept to be looked at.
const KEPT: usize = 2048;
/// Of what is right, at least this share of bytes is understood.
const SHARE: f64 = 0.1;
/// Of what looks like a board's, at least this share is in its frames.
const ALIKE: f64 = 0.6;
/// Bytes of a failure that are quoted.
const QUOTED: usize = 80;

/// Words that boards say, and whose they are: OpenBCI's banner, BITalino's version, SpikerBox's answers
/// (`FWV:`, `HWT:`).
const WORDS: &[(&str, &[&str], &str)] = &[
    ("OpenBCI", &["cyton", "daisy", "ganglion"], "an OpenBCI board"),
    ("BITalino", &["bitalino"], "a BITalino"),
    ("FWV:", &["spikerbox"], "a SpikerBox"),
    ("HWT:", &["spikerbox"], "a SpikerBox"),
];

/// What to make of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not time to say, or there is too little to judge.
    None,
    /// It is understood.
    Right,
    /// It is something else; what it seems to be.
    Wrong(String),
}

/// A decoder whose events are watched.
pub(super) struct WatchedDecoder {
    decoder: Box<dyn Decoder>,
    seen: TrafficCounts,
    /// Bytes that came so far and are in no answer.
    heard: u64,
    /// The failure that it answered with last, if nothing was understood since.
    failure: Option<String>,
}

/// What came since the last verdict.
#[derive(Default)]
struct TrafficCounts {
    began: Option<Instant>,
    /// Bytes that are in no answer: what a device, or its dongle, says when it is asked is no speech of its own.
    bytes: u64,
    understood: u64,
    /// Bytes of frames that held no sample.
    bare: u64,
    /// Whether an answer says that something failed.
    failed: bool,
    /// The first bytes.
    kept: Vec<u8>,
    /// The protocol of the board, if it is one.
    board: Option<&'static str>,
    frame_errors: u64,
}

impl TrafficCounts {
    fn event(&mut self, body: &Body<'_>) {
        match body {
            Body::Device(device) => self.board = Some(device.protocol),
            Body::Samples(samples) => {
                self.understood += samples.bytes;
                self.bare += if samples.values.is_empty() { samples.bytes } else { 0 };
            }
            // An answer may be another board's, or say that there is none.
            Body::Answer(answer) => {
                self.bytes = self.bytes.saturating_sub(answer.bytes);
                self.failed |= answer.failed;
            }
            Body::Fault(_) | Body::Lost(_) => {}
            // What is in lines is right if any line is.
            _ if self.board.is_none() => self.understood = self.bytes,
            _ => {}
        }
    }
}

impl WatchedDecoder {
    pub(super) fn new(decoder: Box<dyn Decoder>) -> Self {
        Self { decoder, seen: TrafficCounts::default(), heard: 0, failure: None }
    }

    /// Bytes that came so far and are in no answer; for a moment also those of one that is not complete.
    pub(super) fn heard(&self) -> u64 {
        self.heard
    }

    /// What the device says in place of samples: in its own words, or as the failure that it answers with.
    pub(super) fn failure(&mut self) -> Option<String> {
        let excuse =
            self.decoder.dialogue().and_then(|dialogue| dialogue.silence_reason().map(str::to_owned));
        excuse.or_else(|| self.failure.clone())
    }

    /// Whether it decodes the frames of a board.
    pub(super) fn is_board(&self) -> bool {
        self.seen.board.is_some()
    }

    /// What to make of what came. `frame_errors` are those that the driver counted so far.
    pub(super) fn verdict(&mut self, now: Instant, frame_errors: u64) -> Verdict {
        let seen = &mut self.seen;
        if now.duration_since(*seen.began.get_or_insert(now)) < WINDOW {
            return Verdict::None;
        }
        let foreign = foreign(&seen.kept, seen.board.unwrap_or_default());
        let mistaken =
            self.decoder.dialogue().and_then(|dialogue| dialogue.wrong_device().map(str::to_owned));
        let verdict = if let Some(other) = mistaken {
            Verdict::Wrong(other)
        } else if seen.understood > 0 && seen.understood as f64 >= SHARE * seen.bytes as f64 {
            Verdict::Right
        } else if let Some(who) = foreign {
            Verdict::Wrong(format!("its messages are those of {who}"))
        } else if seen.bytes < FEW {
            Verdict::None
        } else {
            let damaged = frame_errors > seen.frame_errors;
            Verdict::Wrong(format!(
                "{} bytes received, {}",
                seen.bytes,
                seems(&seen.kept, seen.board, damaged)
            ))
        };
        if verdict == Verdict::Right {
            self.failure = None;
        } else if seen.failed
            && let Some(failure) = failure(&seen.kept)
        {
            self.failure = Some(failure);
        }
        (seen.began, seen.bytes, seen.understood, seen.failed) = (Some(now), 0, 0, false);
        seen.frame_errors = frame_errors;
        seen.kept.clear();
        verdict
    }
}

/// Whose words these are, if they are not those of `board`.
fn foreign(bytes: &[u8], board: &str) -> Option<&'static str> {
    let says = |word: &str| memchr::memmem::find(bytes, word.as_bytes()).is_some();
    WORDS.iter().find(|(word, whose, _)| says(word) && !whose.contains(&board)).map(|(_, _, who)| *who)
}

/// The first failure that is announced in words, as OpenBCI's dongle does whose board is off.
fn failure(bytes: &[u8]) -> Option<String> {
    let text = bytes.get(memchr::memmem::find(bytes, b"Failure")?..)?;
    let text = text.split(|byte| !(b' '..=b'~').contains(byte) || *byte == b'$').next()?;
    let text = text.get(..QUOTED).unwrap_or(text);
    Some(String::from_utf8_lossy(text).trim().to_owned())
}

/// What bytes seem to be that are not what they should be.
fn seems(bytes: &[u8], board: Option<&str>, damaged: bool) -> String {
    let share = |protocol: Protocol| {
        let mut decoder = protocol.decoder();
        let (mut frames, mut lines) = (0, false);
        let mut see = |body: Body<'_>| match body {
            Body::Samples(samples) => frames += samples.bytes,
            Body::Stage(_) | Body::Queue(_) | Body::Observation(_) => lines = true,
            _ => {}
        };
        decoder.decode(bytes, &mut see);
        decoder.end(&mut see);
        if lines { 1.0 } else { frames as f64 / bytes.len().max(1) as f64 }
    };
    let others =
        Protocol::ALL.iter().filter(|protocol| Some(protocol.name()) != board && !protocol.is_datagrams());
    let framed = others.map(|&protocol| (share(protocol), protocol));
    let alike = framed.filter(|(share, _)| *share >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    let printable = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
    let text = bytes.iter().filter(printable).count() * 10 >= bytes.len() * 9;
    match alike {
        Some((_, protocol)) => format!("and look like {}", protocol.name()),
        None if damaged => {
            "and the line counts framing errors: the device has another speed, or it is another".to_owned()
        }
        None if text => "which are text: it is another device, or it waits for a command".to_owned(),
        None => "and no frame is among them: it is another device, or has another speed".to_owned(),
    }
}

impl Decoder for WatchedDecoder {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        let Self { decoder, seen, heard, .. } = self;
        seen.bytes += bytes.len() as u64;
        *heard += bytes.len() as u64;
        let room = KEPT - seen.kept.len().min(KEPT);
        seen.kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        decoder.decode(bytes, &mut |body| {
            seen.event(&body);
            if let Body::Answer(answer) = &body {
                *heard = heard.saturating_sub(answer.bytes);
            }
            out(body);
        });
        // What a device says in place of samples is no more than an answer.
        let bare = std::mem::take(&mut seen.bare);
        if decoder.dialogue().is_some_and(|dialogue| dialogue.silence_reason().is_some()) {
            seen.bytes = seen.bytes.saturating_sub(bare);
            seen.understood = seen.understood.saturating_sub(bare);
            *heard = heard.saturating_sub(bare);
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.decoder.end(out);
    }

    fn process_deferred(&mut self) -> bool {
        self.decoder.process_deferred()
    }

    fn is_broken(&self) -> bool {
        self.decoder.is_broken()
    }

    fn observe_command(&mut self, said: &[u8], out: &mut Sink<'_>) -> bool {
        self.decoder.observe_command(said, out)
    }

    fn dialogue(&mut self) -> Option<&mut dyn Dialogue> {
        self.decoder.dialogue()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::port::serial::clock;

    /// What is made of bytes that came in one window.
    fn made_of(protocol: Protocol, bytes: &[u8], frame_errors: u64) -> Verdict {
        let mut judged = WatchedDecoder::new(protocol.decoder());
        let began = clock();
        assert_eq!(judged.verdict(began, 0), Verdict::None);
        let mut reported = 0;
        judged.decode(b"", &mut |_| {});
        bytes.chunks(17).for_each(|piece| judged.decode(piece, &mut |_| reported += 1));
        assert_eq!(judged.verdict(began + WINDOW / 2, 0), Verdict::None, "it is too early");
        let verdict = judged.verdict(began + WINDOW, frame_errors);
        assert_eq!(judged.verdict(began + WINDOW * 2, 0), Verdict::None, "nothing came since");
        verdict
    }

    fn knight(frames: u8) -> Vec<u8> {
        let frame = |number: u8| [&[0xa0, number][..], &[1; 18], &[0xc0]].concat();
        (0..frames).flat_map(frame).collect()
    }

    #[test]
    fn frames_and_lines_are_right() {
        assert_eq!(made_of(Protocol::Knight, &knight(50), 0), Verdict::Right);
        let some = [&[0x55; 200][..], &knight(50)].concat();
        assert_eq!(made_of(Protocol::Knight, &some, 0), Verdict::Right);
        let line = b"noise and more of it, for a whole long line that is nothing at all\nload:1|g\n";
        assert_eq!(made_of(Protocol::Statsd, line, 0), Verdict::Right);
    }

    #[test]
    fn little_says_nothing() {
        assert_eq!(made_of(Protocol::Cyton, b"", 0), Verdict::None);
        assert_eq!(made_of(Protocol::Cyton, &[0x55; 40], 3), Verdict::None);
        let down = b"Failure: System is Down$$$";
        assert_eq!(made_of(Protocol::Cyton, down, 0), Verdict::None);
    }

    #[test]
    fn answers_are_not_held_against_a_device() {
        // A dongle whose board is off, asked for its firmware and commanded to start.
        let down = b"Failure: Communications timeout - Device failed to poll Host$$$".repeat(4);
        for protocol in [Protocol::Cyton, Protocol::Daisy] {
            let mut judged = WatchedDecoder::new(protocol.decoder());
            let began = clock();
            judged.decode(b"", &mut |_| {});
            assert_eq!(judged.verdict(began, 0), Verdict::None);
            down.chunks(17).for_each(|piece| judged.decode(piece, &mut |_| {}));
            assert_eq!((judged.verdict(began + WINDOW, 0), judged.heard()), (Verdict::None, 0));
            let said = "Failure: Communications timeout - Device failed to poll Host";
            assert_eq!(judged.failure().as_deref(), Some(said));
            // It is on again.
            let frame = |number: u8| [&[0xA0, number][..], &[1; 30], &[0xC0]].concat();
            judged.decode(&(0..50).flat_map(frame).collect::<Vec<u8>>(), &mut |_| {});
            assert_eq!(judged.verdict(began + WINDOW * 2, 0), Verdict::Right);
            assert_eq!((judged.heard(), judged.failure()), (50 * 33, None));
        }
        // Who only looks for a board hears its dongle, and all that advertises.
        let scan = [0, 2, 6, 2, 0, 0].repeat(99);
        assert_eq!(made_of(Protocol::Ganglion, &scan, 0), Verdict::None);
        let foreign = [&scan[..], &[0x55; 200]].concat();
        assert!(matches!(made_of(Protocol::Ganglion, &foreign, 0), Verdict::Wrong(_)));
    }

    #[test]
    fn what_a_device_says_in_place_of_samples_is_quoted() {
        let scan = [0xAA, 0xAA, 3, 0xD4, 1, 1, 0x29];
        let (raw, status) =
            ([0xAA, 0xAA, 4, 0x80, 2, 0, 1, 0x7C], [0xAA, 0xAA, 6, 2, 0, 4, 0x2A, 5, 0x45, 0x85]);
        for (said, words) in
            [(&scan[..], "looking for a headset"), (&status, "status packets without raw values")]
        {
            let mut judged = WatchedDecoder::new(Protocol::ThinkGear.decoder());
            let began = clock();
            assert_eq!(judged.verdict(began, 0), Verdict::None);
            (0..40).for_each(|_| judged.decode(said, &mut |_| {}));
            // The first packet alone is no proof.
            assert_eq!((judged.heard(), judged.failure().as_deref()), (said.len() as u64, Some(words)));
            assert!(!matches!(judged.verdict(began + WINDOW, 0), Verdict::Wrong(_)));
            (0..40).for_each(|_| judged.decode(said, &mut |_| {}));
            assert_eq!(judged.verdict(began + WINDOW * 2, 0), Verdict::None);
            (0..40).for_each(|_| judged.decode(&raw, &mut |_| {}));
            assert_eq!(judged.verdict(began + WINDOW * 3, 0), Verdict::Right);
            assert_eq!((judged.heard(), judged.failure()), ((said.len() + 40 * raw.len()) as u64, None));
        }
    }

    #[test]
    fn a_module_is_told_by_what_the_board_says() {
        let cyton = "Board ADS Registers\r\nLIS3DH Registers\r\n$$$".to_owned();
        let daisy = "Board ADS Registers\r\nDaisy ADS Registers\r\nLIS3DH Registers\r\n$$$".to_owned();
        let frame = |number: u8| [&[0xA0, number][..], &[1; 30], &[0xC0]].concat();
        let frames: Vec<u8> = (0..50).flat_map(frame).collect();
        let verdict = |protocol: Protocol, texts: &[&str]| {
            let mut judged = WatchedDecoder::new(protocol.decoder());
            let began = clock();
            assert_eq!(judged.verdict(began, 0), Verdict::None);
            texts.iter().for_each(|text| judged.decode(&[text.as_bytes(), &frames].concat(), &mut |_| {}));
            judged.verdict(began + WINDOW, 0)
        };
        for (protocol, texts) in [
            (Protocol::Cyton, &[""][..]),
            (Protocol::Cyton, &[&cyton]),
            (Protocol::Cyton, &[&daisy, "daisy removed$$$"]),
            (Protocol::Daisy, &[""]),
            (Protocol::Daisy, &[&daisy]),
            (Protocol::Daisy, &[&cyton, "daisy attached16$$$"]),
        ] {
            assert_eq!(verdict(protocol, texts), Verdict::Right, "{texts:?}");
        }
        for (protocol, text, write) in
            [(Protocol::Cyton, &daisy, "`protocol: daisy`"), (Protocol::Daisy, &cyton, "`protocol: cyton`")]
        {
            let reported = verdict(protocol, &[text]);
            assert!(matches!(&reported, Verdict::Wrong(what) if what.contains(write)), "{reported:?}");
        }
    }

    #[test]
    fn a_failure_is_quoted_briefly_and_plainly() {
        let long = [b"\x01\x02Failure: \"x\" ".as_slice(), &[b'y'; 500]].concat();
        assert_eq!(failure(&long).unwrap().len(), QUOTED);
        assert_eq!(failure(b"ab Failure: no\x1b[2J$$$").unwrap(), "Failure: no");
        assert_eq!(failure(b"Fail"), None);
    }

    #[test]
    fn another_device_is_told_by_what_it_writes() {
        let wrong = |protocol, bytes: &[u8], errors| match made_of(protocol, bytes, errors) {
            Verdict::Wrong(what) => what,
            other => panic!("{other:?}"),
        };
        assert!(wrong(Protocol::Cyton, &knight(50), 0).contains("look like knight"));
        assert!(wrong(Protocol::Cyton, &[0xf8; 500], 9).contains("framing errors"));
        assert!(wrong(Protocol::Cyton, &[0xf8; 500], 0).contains("no frame"));
        let text = b"Hello, I am a weather station and say so all day long.\r\n".repeat(3);
        assert!(wrong(Protocol::Cyton, &text, 0).contains("text"));
        assert!(wrong(Protocol::Cyton, b"BITalino_v5.2\n", 0).contains("a BITalino"));
        assert!(wrong(Protocol::Bitalino, b"OpenBCI V3 8-16 channel\n$$$", 0).contains("OpenBCI"));
        let banner = b"OpenBCI V3 8-16 channel\nFirmware: v3.1.2\n$$$";
        assert_eq!(made_of(Protocol::Daisy, banner, 0), Verdict::None);
    }
}
