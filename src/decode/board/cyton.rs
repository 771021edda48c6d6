//! OpenBCI Cyton, 8 channels, and Cyton with Daisy, 16 channels: frames of 33 bytes.
//!
//! The layout is that of the Cyton Data Format (OpenBCI/Docs, Hardware) and of firmware 3.1. What comes with
//! the samples (accelerometer, time stamps, what users put there) is not looked at, nor does the decoder
//! change a board's settings, unless it is commanded to measure the impedance first. Voltages are right for the gains
//! that the board says it has, or that a program sets through a tap; until then for the configured one, 24 as
//! a board starts with. The rate is 250 whatever a program asks for: the firmware goes back to it when it starts
//! a stream for a dongle.

mod impedance;
mod setup;

use super::{Board, Boards, CommandEffect, Restart, Segment, bracketed, byte, int24};
use crate::decode::dialogue::Time;
use crate::decode::facts::Facts;
use crate::decode::{MeasureImpedance, Options, Sink};
use crate::event::{Body, Device, Impedance};
use impedance::Measurement;
use setup::{Setup, Turns};

/// Bytes of a frame: `A0`, number, 8 × 24 bits, 6 bytes of anything, `Cx`.
const FRAME: usize = 33;
/// Channels of one frame.
const CHANNELS: usize = 8;
/// Volts of one count at a gain of 1: reference 4.5 V, 24 bits with sign (Cyton Data Format).
const SCALE: f64 = 4.5 / 8_388_607.0;
/// The gain that a board starts with.
const GAIN: u8 = 24;
/// The gains that a board can be set to.
pub const GAINS: &[u8] = &[1, 2, 4, 6, 8, 12, 24];

/// The frame that both boards write. Its last byte says what the six bytes before are; firmware uses `C0` to `C6`. Of
/// others BrainFlow believes nothing; they are recognised by the next frame's mark from one that lacks a byte.
fn classify(bytes: &[u8], last: bool) -> Segment {
    match bracketed(bytes, FRAME, 0xA0, |tail| (0xC0..=0xCF).contains(&tail)) {
        Segment::Frame(length) if byte(bytes, FRAME - 1) > 0xC6 => match bytes.get(FRAME) {
            None if !last => Segment::More,
            None | Some(0xA0) => Segment::Unknown(length),
            Some(_) => Segment::No,
        },
        piece => piece,
    }
}

/// The counts of one frame.
fn counts(frame: &[u8]) -> [i32; CHANNELS] {
    std::array::from_fn(|channel| int24(frame.get(2 + 3 * channel..).unwrap_or_default()))
}

/// Volts of one frame, whose first channel is this one of the board, from 0.
fn volts(frame: &[u8], setup: &Setup, first: usize) -> [f32; CHANNELS] {
    let mut channel = first;
    counts(frame).map(|count| {
        let scale = setup.scale(channel);
        channel += 1;
        (f64::from(count) * scale) as f32
    })
}

/// Has the measurement look at a frame, and tells what it found.
fn measure(measurement: &mut Measurement, frame: &[u8], out: &mut Sink<'_>) {
    let count = |channel: usize| int24(frame.get(2 + 3 * channel..).unwrap_or_default());
    if let Some((channel, ohms)) = measurement.frame(frame, count) {
        out(Body::Impedance(Impedance { channel, ohms }));
    }
}

/// What is known of a Cyton, and of one with a Daisy.
pub(in crate::decode) const CYTON: Facts = Facts {
    gains: GAINS,
    impedance: true,
    ..Facts::board("cyton", 115_200, |of| Box::new(Boards::new(Cyton::of(of))))
};
pub(in crate::decode) const DAISY: Facts = Facts {
    gains: GAINS,
    impedance: true,
    ..Facts::board("daisy", 115_200, |of| Box::new(Boards::new(Daisy::of(of))))
};

/// A Cyton.
#[derive(Debug)]
pub struct Cyton {
    setup: Setup,
    turns: Turns,
    measurement: Measurement,
}

impl Cyton {
    fn of(options: &Options) -> Self {
        let board = Self::new(options.gain);
        if options.impedance == Some(MeasureImpedance::AtStart) { board.measured() } else { board }
    }

    /// One whose channels have this gain, 24 if not said.
    #[must_use]
    pub fn new(gain: Option<u8>) -> Self {
        let measurement = Measurement::new(false, false);
        Self { setup: Setup::new(gain), turns: Turns::default(), measurement }
    }

    /// The impedance of its electrodes is measured before its stream begins.
    #[must_use]
    pub fn measured(self) -> Self {
        Self { measurement: Measurement::new(true, false), ..self }
    }
}

/// What is said to a Cyton, with a Daisy or without.
macro_rules! conversation {
    () => {
        fn resume(&mut self) {
            self.measurement.resume();
        }

        fn restarted(&mut self) -> Restart {
            self.measurement.end();
            Restart::Perhaps
        }

        /// Asks for the firmware, `V`, and starts the stream, `b` (Cyton SDK), or what comes before it.
        fn handshake(&self) -> &'static [&'static [u8]] {
            self.measurement.handshake()
        }

        fn poll_transmit(&mut self, time: Time, out: &mut Vec<u8>) -> Restart {
            if self.measurement.poll_transmit(time, out) { Restart::Surely } else { Restart::No }
        }

        /// Stops the stream (Cyton SDK).
        fn stop_stream(&self) -> &'static [u8] {
            b"s"
        }

        fn close(&mut self, out: &mut Vec<u8>) {
            self.measurement.close(out);
        }

        fn notice(&mut self) -> Option<String> {
            self.measurement.notice().or_else(|| self.setup.notice())
        }
    };
}

impl Board for Cyton {
    const ANSWER_END: Option<&'static [u8]> = Some(b"$$$");

    fn device(&self) -> Device {
        let (protocol, rate, rails) = ("cyton", 250.0, self.setup.rails());
        Device { protocol, channels: 8, rate, packet_rate: 250.0, volts: true, modulus: 256, rails }
    }

    fn classify(&self, bytes: &[u8], last: bool) -> Segment {
        classify(bytes, last)
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 1).into())
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        if !self.measurement.runs() {
            values.extend(volts(frame, &self.setup, 0));
            self.turns.add(byte(frame, 1), &counts(frame));
        }
    }

    fn report_status(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        measure(&mut self.measurement, frame, out);
    }

    fn handle_text(&mut self, text: &str) -> bool {
        self.measurement.handle_text(text) | self.setup.handle_text(text)
    }

    fn observe_command(&mut self, said: &[u8]) -> CommandEffect {
        self.setup.observe_command(said)
    }

    /// Words say more than samples, which are all alike where nothing is connected.
    fn wrong_device(&self) -> Option<&str> {
        let takes_turns = self.turns.taken();
        self.setup.daisy.unwrap_or(takes_turns).then_some(
            "it has a Daisy, whose 8 channels come in turns with the board's own: write `protocol: daisy`",
        )
    }

    fn end(&mut self) {
        self.turns = Turns::default();
        self.measurement.end();
    }

    conversation!();
}

/// A Cyton with a Daisy on it. Frames with an odd number hold channels 1 to 8, those with an even number
/// channels 9 to 16; a sample is an even frame and the odd one after it, 125 times a second.
#[derive(Debug)]
pub struct Daisy {
    setup: Setup,
    /// Whether a frame came. The first of a stream is no average of two, as all others are, and is invalid.
    begun: bool,
    /// The even frame that waits for its other half.
    half: Option<(u8, [f32; CHANNELS])>,
    measurement: Measurement,
}

impl Daisy {
    fn of(options: &Options) -> Self {
        let board = Self::new(options.gain);
        if options.impedance == Some(MeasureImpedance::AtStart) { board.measured() } else { board }
    }

    /// One whose channels have this gain, 24 if not said.
    #[must_use]
    pub fn new(gain: Option<u8>) -> Self {
        let measurement = Measurement::new(false, true);
        Self { setup: Setup::new(gain), begun: false, half: None, measurement }
    }

    /// The impedance of its electrodes is measured before its stream begins.
    #[must_use]
    pub fn measured(self) -> Self {
        Self { measurement: Measurement::new(true, true), ..self }
    }
}

impl Board for Daisy {
    const ANSWER_END: Option<&'static [u8]> = Some(b"$$$");

    fn device(&self) -> Device {
        let (protocol, rate, rails) = ("daisy", 125.0, self.setup.rails());
        Device { protocol, channels: 16, rate, packet_rate: 250.0, volts: true, modulus: 256, rails }
    }

    fn classify(&self, bytes: &[u8], last: bool) -> Segment {
        classify(bytes, last)
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 1).into())
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        if self.measurement.runs() {
            return;
        }
        let number = byte(frame, 1);
        let half = self.half.take();
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        if number.is_multiple_of(2) {
            self.half = Some((number, volts(frame, &self.setup, CHANNELS)));
        } else if let Some((_, daisy)) = half.filter(|(even, _)| *even == number - 1) {
            values.extend(volts(frame, &self.setup, 0));
            values.extend(daisy);
        }
    }

    fn end(&mut self) {
        (self.begun, self.half) = (false, None);
        self.measurement.end();
    }

    fn report_status(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        measure(&mut self.measurement, frame, out);
    }

    fn handle_text(&mut self, text: &str) -> bool {
        // Who talks has stopped: the next frame is the first of a stream.
        (self.begun, self.half) = (false, None);
        self.measurement.handle_text(text) | self.setup.handle_text(text)
    }

    fn observe_command(&mut self, said: &[u8]) -> CommandEffect {
        self.setup.observe_command(said)
    }

    fn wrong_device(&self) -> Option<&str> {
        (self.setup.daisy == Some(false)).then_some(
            "it has no Daisy, or one that is not used, and sends 8 channels: write `protocol: cyton`",
        )
    }

    conversation!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;
    use crate::decode::board::Boards;
    use crate::decode::testing::lines;
    use crate::event::{Body, Fault, FaultKind};

    /// A frame with a number and the same count in all channels.
    fn frame(number: u8, count: i32) -> Vec<u8> {
        let bytes = count.to_be_bytes();
        let mut frame = vec![0xA0, number];
        (0..8).for_each(|_| frame.extend(&bytes[1..]));
        frame.extend([0, 0, 0, 0, 0, 0, 0xC0]);
        frame
    }

    fn decoded(decoder: &mut dyn Decoder, bytes: &[u8]) -> Vec<String> {
        lines(decoder, &[bytes], |body| {
            Some(match body {
                Body::Device(d) => d.protocol.to_owned(),
                Body::Samples(s) => format!("{} frames, {} samples", s.frames, s.count()),
                Body::Lost(lost) => format!("{} lost", lost.packets),
                Body::Fault(fault) => format!("{} bytes {}", fault.bytes, fault.kind.as_str()),
                Body::Answer(a) => format!("answer of {} {:?} {}", a.bytes, a.firmware, a.failed),
                other => format!("{other:?}"),
            })
        })
    }

    fn frames(numbers: impl IntoIterator<Item = u8>) -> Vec<u8> {
        numbers.into_iter().flat_map(|n| frame(n, 1)).collect()
    }

    #[test]
    fn volts_are_those_of_the_worked_example() {
        // Cyton Data Format: counts 1, -1, full scale, 100000, 4474 at gain 24.
        let mut bytes = frame(42, 0);
        bytes[2..26].copy_from_slice(&[
            0, 0, 1, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0x80, 0, 0, 0x01, 0x86, 0xA0, 0xFE, 0x79, 0x60, 0,
            0x11, 0x7A, 0, 0, 0,
        ]);
        let micro: Vec<f64> =
            volts(&bytes, &Setup::new(None), 0).iter().map(|v| f64::from(*v) * 1e6).collect();
        let want =
            [0.022352, -0.022352, 187_500.0, -187_500.022_352, 2235.174446, -2235.174446, 100.001705, 0.0];
        for (is, want) in micro.iter().zip(want) {
            assert!((is - want).abs() <= want.abs() * 1e-6 + 1e-6, "{is} is not {want}");
        }
    }

    #[test]
    fn rails_and_volts_follow_the_gain() {
        let (cyton, daisy) = (Cyton::new(Some(1)), Daisy::new(Some(12)));
        let high = |device: Device| device.rails.of(0).unwrap().1;
        assert!((high(cyton.device()) - 4.5).abs() < 1e-6);
        assert!((high(daisy.device()) - 0.375).abs() < 1e-6);
        assert!((volts(&frame(0, 1), &cyton.setup, 0)[0] - 0.536_441_9e-6).abs() < 1e-13);
    }

    #[test]
    fn a_jump_of_the_counter_is_loss() {
        let mut decoder = Boards::new(Cyton::new(None));
        assert_eq!(decoded(&mut decoder, &frames([254, 255, 0, 1])), ["cyton", "4 frames, 4 samples"]);
        assert_eq!(
            decoded(&mut decoder, &frames([3, 4, 9, 10])),
            ["cyton", "2 frames, 2 samples", "4 lost", "2 frames, 2 samples"]
        );
    }

    #[test]
    fn text_before_and_between_frames_is_no_fault() {
        let mut decoder = Boards::new(Cyton::new(None));
        let banner = b"OpenBCI V3 8-16 channel\nFirmware: v3.1.2\n$$$".as_slice();
        let stream = [banner, &frames([0, 1, 2]), b"Failure: System is Down$$$", &frames([0, 1])].concat();
        assert_eq!(
            decoded(&mut decoder, &stream),
            [
                "cyton",
                "answer of 44 Some(\"v3.1.2\") false",
                "3 frames, 3 samples",
                "answer of 26 None true",
                "cyton",
                "2 frames, 2 samples"
            ]
        );
    }

    #[test]
    fn damaged_bytes_are_counted_and_the_frame_is_lost() {
        let mut decoder = Boards::new(Cyton::new(None));
        let mut stream = frames([0, 1, 2, 3, 4]);
        stream.remove(73);
        let decoded = decoded(&mut decoder, &stream);
        assert_eq!(
            decoded,
            ["cyton", "2 frames, 2 samples", "32 bytes framing", "1 lost", "2 frames, 2 samples"]
        );
    }

    #[test]
    fn a_frame_of_an_unknown_type_is_not_lost() {
        let ends = |tail: u8| {
            (0..100).flat_map(move |n| [&frame(n, 1)[..32], &[if n == 40 { tail } else { 0xC0 }]].concat())
        };
        for tail in 0xC7..=0xCF {
            let stream: Vec<u8> = ends(tail).collect();
            for cut in [stream.len(), 32, 33, 34] {
                let mut decoder = Boards::new(Cyton::new(None));
                let (mut lost, mut frames, mut unknown) = (0, 0, 0);
                let mut see = |body: Body<'_>| match body {
                    Body::Lost(decoded) => lost += decoded.packets,
                    Body::Samples(samples) => frames += samples.frames,
                    Body::Fault(Fault { kind: FaultKind::UnknownType, bytes }) => unknown += bytes,
                    _ => {}
                };
                stream.chunks(cut).for_each(|piece| decoder.decode(piece, &mut see));
                decoder.end(&mut see);
                assert_eq!((lost, frames, unknown), (0, 99, 33), "{tail:x} in pieces of {cut}");
            }
        }
        // All of them, as of firmware that is not known yet.
        let stream: Vec<u8> = (0..50).flat_map(|n| [&frame(n, 1)[..32], &[0xC9]].concat()).collect();
        let decoded = decoded(&mut Boards::new(Cyton::new(None)), &stream);
        assert_eq!(decoded[1..], vec!["33 bytes unknown_type"; 50]);
        // A byte is missing, and the next frame's number looks like an end.
        let mut stream = frames(0xC0..0xCF);
        stream.drain(8 * FRAME + 10..8 * FRAME + 12);
        let decoded = self::decoded(&mut Boards::new(Cyton::new(None)), &stream);
        assert_eq!(
            decoded[1..],
            ["8 frames, 8 samples", "31 bytes framing", "1 lost", "6 frames, 6 samples"]
        );
    }

    #[test]
    fn what_the_dongle_says_of_a_board_out_of_reach_is_no_new_beginning() {
        let down = b"Failure: Communications timeout - Device failed to poll Host$$$".as_slice();
        let answer = format!("answer of {} None true", down.len());
        let mut decoder = Boards::new(Cyton::new(None));
        // It continued meanwhile.
        let stream = [&frames(0..10), down, &frames(20..30)].concat();
        let want = ["cyton", "10 frames, 10 samples", &answer, "10 lost", "10 frames, 10 samples"];
        assert_eq!(decoded(&mut decoder, &stream), want);
        // It was off, and its banner was not heard.
        let stream = [&frames(0..10), down, &frames(0..10)].concat();
        let want = ["cyton", "10 frames, 10 samples", &answer, "cyton", "10 frames, 10 samples"];
        assert_eq!(decoded(&mut decoder, &stream), want);
        // Told to start once more, it continues, or says that it had stopped.
        decoder.decode(&frames(0..10), &mut |_| {});
        decoder.dialogue().unwrap().restarted();
        assert_eq!(decoded(&mut decoder, &frames(20..30)), ["10 lost", "10 frames, 10 samples"]);
        let stream = [&frames(0..10), &b"v3.1.2$$$"[..], &frames(0..10)].concat();
        decoder.dialogue().unwrap().restarted();
        assert!(!decoded(&mut decoder, &stream).iter().any(|decoded| decoded.contains("lost")));
    }

    #[test]
    fn a_mark_within_samples_is_not_believed() {
        // Every channel reads A0 A0 A0, and the six bytes hold marks too.
        let mut stream = Vec::new();
        for number in 0..20 {
            let mut frame = frame(number, 0xA0_A0A0_u32 as i32);
            frame[26..32].copy_from_slice(&[0xA0, 0xC0, 0xA0, 0xC0, 0xA0, 0xC0]);
            stream.extend(frame);
        }
        let mut decoder = Boards::new(Cyton::new(None));
        let decoded = decoded(&mut decoder, &stream[7..]);
        assert_eq!(decoded, ["cyton", "26 bytes framing", "19 frames, 19 samples"]);
    }

    #[test]
    fn a_daisy_is_two_frames_a_sample() {
        let mut decoder = Boards::new(Daisy::new(None));
        // The first frame is invalid, and with it its sample.
        assert_eq!(decoded(&mut decoder, &frames(0..10)), ["daisy", "10 frames, 4 samples"]);
        assert_eq!(
            decoded(&mut decoder, &frames([0, 1, 2, 3, 5, 6, 7])),
            ["daisy", "4 frames, 1 samples", "1 lost", "3 frames, 1 samples"]
        );
        let restarted = [&frames(0..4), &b"v3.1.2$$$"[..], &frames(0..4)].concat();
        assert_eq!(
            decoded(&mut decoder, &restarted)[1..],
            ["4 frames, 1 samples", "answer of 9 Some(\"v3.1.2\") false", "4 frames, 1 samples"]
        );
        let mut all = Vec::new();
        decoder.decode(&[frame(1, 0), frame(2, 2), frame(3, 1)].concat(), &mut |body| {
            if let Body::Samples(s) = body {
                all.extend_from_slice(s.values);
            }
        });
        assert!(all.len() == 16 && all[0] < all[15], "{all:?}");
    }
}
