//! Measurements of boards that are made here: frames with a known tone, and answers as firmware 3 gives them.

use super::super::{Cyton, Daisy};
use super::*;
use crate::decode::Decoder;
use crate::decode::board::{Board, Boards};
use crate::decode::dialogue::TICK;
use crate::event::Body;

/// Rounds in which so much time passes.
fn rounds(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / TICK.as_millis()).unwrap() + 1
}

/// A board: the commands it receives, and what it sends.
struct Bench {
    decoder: Box<dyn Decoder>,
    daisy: bool,
    commands: Vec<String>,
    /// Kiloohms by channel, and which channel has the current.
    kiloohms: Vec<f64>,
    tested: Option<usize>,
    streams: bool,
    number: u64,
    impedances: Vec<(u16, f64)>,
    frames: u32,
    samples: usize,
    lost: u32,
    devices: u32,
    /// Frames that it loses: each with a number that this divides.
    loses: u64,
    /// Commands that fail, by how they begin.
    refuses: &'static str,
    deaf: bool,
    now: Duration,
}

impl Bench {
    fn of<B: Board + 'static>(board: B, daisy: bool) -> Self {
        let channels = if daisy { 16 } else { 8 };
        let mut bench = Self {
            decoder: Box::new(Boards::new(board)),
            daisy,
            commands: Vec::new(),
            kiloohms: (0..channels).map(|channel| 5.0 * f64::from(channel)).collect(),
            tested: None,
            streams: false,
            number: 0,
            impedances: Vec::new(),
            frames: 0,
            samples: 0,
            lost: 0,
            devices: 0,
            loses: u64::MAX,
            refuses: "none",
            deaf: false,
            now: Duration::ZERO,
        };
        bench.connect();
        bench
    }

    fn cyton() -> Self {
        Self::of(Cyton::new(None).measured(), false)
    }

    fn connect(&mut self) {
        let hello = self.decoder.dialogue().unwrap().handshake();
        self.take(b"");
        hello.iter().for_each(|piece| self.receive(piece));
    }

    /// The board receives something.
    fn receive(&mut self, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                'x' => 9,
                'z' => 5,
                _ => 1,
            };
            let (command, more) = rest.split_at(length);
            self.commands.push(command.to_owned());
            self.expect_command(command);
            rest = more;
        }
    }

    fn expect_command(&mut self, command: &str) {
        if self.deaf {
            return;
        }
        let channel = |name: u8| NAMES.iter().position(|other| *other == name);
        let answer = match command.as_bytes() {
            _ if command.starts_with(self.refuses) => "Failure: no$$$".to_owned(),
            b"b" => {
                (self.streams, self.number) = (true, 0);
                return;
            }
            b"s" => {
                self.streams = false;
                return;
            }
            b"V" => "v3.1.2$$$".to_owned(),
            b"?" => "Board ADS Registers\r\nCH1SET, 05, 68, 0, 1, 1, 0, 1, 0, 0, 0\r\n$$$".to_owned(),
            b"d" => "updating channel settings to default$$$".to_owned(),
            [b'z', name, _, n, b'Z'] => {
                self.tested = channel(*name).filter(|_| *n == b'1');
                "Success: Lead off set for 1$$$".to_owned()
            }
            // Without the words before it, as the SDK's page has it.
            [b'x', name, b'0', b'0', b'0', b'1', b'0', b'0', b'X'] => {
                format!("Channel set for {}$$$", channel(*name).unwrap() + 1)
            }
            _ => panic!("{command} is no command"),
        };
        self.take(answer.as_bytes());
    }

    fn take(&mut self, bytes: &[u8]) {
        let Self { decoder, impedances, frames, samples, lost, devices, .. } = self;
        decoder.decode(bytes, &mut |body| match body {
            Body::Impedance(of) => impedances.push((of.channel, of.ohms)),
            Body::Samples(of) => {
                *frames += of.frames;
                *samples += of.count();
            }
            Body::Lost(of) => *lost += of.packets,
            Body::Device(_) => *devices += 1,
            Body::Fault(fault) => panic!("{fault:?}"),
            _ => {}
        });
    }

    /// Counts of a channel at a moment: the test signal if it has the current, hum, and an offset.
    fn count(&self, channel: usize, number: i64) -> f64 {
        let at = number as f64 / 250.0;
        let ohms = self.kiloohms[channel] * 1e3 + RESISTOR;
        let tone =
            if self.tested == Some(channel) { CURRENT * ohms * (TAU * 31.25 * at + 0.7).sin() } else { 0.0 };
        (tone + 0.02 + 100e-6 * (TAU * 60.0 * at).sin() + 20e-6 * at) / SCALE
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0xA0, self.number as u8];
        let from = if self.daisy && self.number.is_multiple_of(2) { 8 } else { 0 };
        for channel in from..from + 8 {
            let now = self.count(channel, self.number as i64);
            let before = self.count(channel, self.number as i64 - 1);
            let count = if self.daisy { (now + before) / 2.0 } else { now } as i32;
            frame.extend(&count.to_be_bytes()[1..]);
        }
        frame.extend([0, 0, 0, 0, 0, 0, 0xC0]);
        frame
    }

    /// Lets so many rounds pass, each with four frames if the board streams.
    fn pass(&mut self, rounds: u32) {
        for _ in 0..rounds {
            let mut bytes = Vec::new();
            for _ in 0..if self.streams { 4 } else { 0 } {
                if !(self.number + 1).is_multiple_of(self.loses) {
                    bytes.extend(self.frame());
                }
                self.number += 1;
            }
            self.take(&bytes);
            let mut asked = Vec::new();
            self.now += TICK;
            self.decoder.dialogue().unwrap().poll_transmit(self.now, &mut asked);
            self.receive(&asked);
        }
    }
}

#[test]
fn every_channel_is_measured_and_the_stream_begins() {
    let mut bench = Bench::cyton();
    bench.pass(8 * (SETTLE + WINDOW) / 4 + 60);
    assert_eq!(bench.impedances.len(), 8);
    for (number, (channel, ohms)) in bench.impedances.iter().enumerate() {
        let want = bench.kiloohms[number] * 1e3;
        assert_eq!(usize::from(*channel), number + 1);
        assert!((ohms - want).abs() < 0.005 * (want + RESISTOR), "{ohms} is not {want}");
    }
    let channel = ["V", "d", "x1000100X", "z101Z", "b", "s", "d", "z100Z", "x2000100X"];
    assert_eq!(bench.commands[..9], channel);
    assert_eq!(bench.commands[bench.commands.len() - 4..], ["s", "d", "z800Z", "b"]);
    assert_eq!(
        (bench.samples, bench.lost),
        (bench.number as usize, 0),
        "samples are those of the stream alone"
    );
    assert!(bench.frames > 8 * (SETTLE + WINDOW) && bench.devices > 8);
    assert!(bench.decoder.dialogue().unwrap().notice().unwrap().starts_with("impedance of 8 channels"));
    let before = bench.samples;
    bench.pass(100);
    assert_eq!(bench.samples, before + 400);
    // A board that falls silent is not measured again.
    bench.decoder.end(&mut |_| {});
    assert_eq!(bench.decoder.dialogue().unwrap().handshake(), [b"V", b"?", b"b"]);
}

#[test]
fn a_daisy_is_measured_whole() {
    let mut bench = Bench::of(Daisy::new(None).measured(), true);
    bench.pass(16 * (SETTLE + WINDOW) / 4 + 120);
    assert_eq!(bench.impedances.len(), 16);
    for (number, (_, ohms)) in bench.impedances.iter().enumerate() {
        let want = bench.kiloohms[number] * 1e3;
        assert!((ohms - want).abs() < 0.005 * (want + RESISTOR), "{number}: {ohms} is not {want}");
    }
    bench.pass(10);
    // The first frame of a stream is invalid, and its sample with it.
    assert_eq!((bench.samples, bench.lost), (bench.number as usize / 2 - 1, 0));
}

#[test]
fn what_fails_ends_it_and_the_stream_begins() {
    for (refuses, commands) in [("z3", "s d z300Z b"), ("x2", "s d z200Z b"), ("d", "s d b")] {
        let mut bench = Bench::of(Cyton::new(None).measured(), false);
        bench.refuses = refuses;
        if refuses == "d" {
            bench.decoder = Box::new(Boards::new(Cyton::new(None).measured()));
            bench.connect();
        }
        bench.pass(1000);
        let commands: Vec<&str> = commands.split(' ').collect();
        assert_eq!(bench.commands[bench.commands.len() - commands.len()..], commands, "{refuses}");
        assert!(bench.decoder.dialogue().unwrap().notice().unwrap().contains("not measured"));
        assert!(bench.streams && bench.lost == 0 && bench.samples == bench.number as usize, "{refuses}");
    }
}

#[test]
fn a_board_that_does_not_answer_is_started_all_the_same() {
    let mut bench = Bench::cyton();
    bench.deaf = true;
    bench.decoder = Box::new(Boards::new(Cyton::new(None).measured()));
    bench.commands.clear();
    bench.connect();
    bench.pass(rounds(PATIENCE));
    assert!(bench.decoder.dialogue().unwrap().notice().unwrap().contains("does not answer"));
    bench.pass(3 * rounds(HASTE));
    assert_eq!(bench.commands, ["V", "d", "s", "s", "d", "b"]);
    // Nothing ever came: it is to be measured once it is switched on, and nothing is reported twice.
    bench.decoder.end(&mut |_| {});
    assert_eq!(bench.decoder.dialogue().unwrap().handshake(), [b"V", b"d"]);
    bench.connect();
    bench.pass(100);
    assert_eq!(bench.decoder.dialogue().unwrap().notice(), None);
    bench.decoder.end(&mut |_| {});
    bench.deaf = false;
    bench.connect();
    bench.pass(800);
    assert_eq!((bench.impedances.len(), bench.lost), (8, 0));
}

#[test]
fn a_stream_that_breaks_off_is_put_right_and_not_measured_again() {
    let mut bench = Bench::cyton();
    bench.pass(100);
    bench.streams = false;
    let mut out = Vec::new();
    bench.decoder.dialogue().unwrap().close(&mut out);
    assert_eq!(out, b"sdz200Z");
    bench.decoder.end(&mut |_| {});
    let hello = bench.decoder.dialogue().unwrap().handshake();
    assert_eq!(
        (hello[0], hello[1], hello[2], hello[3], hello.last()),
        (&b"s"[..], &b"V"[..], &b"d"[..], &b"z100Z"[..], Some(&&b"b"[..]))
    );
    bench.commands.clear();
    bench.connect();
    bench.pass(300);
    assert_eq!((bench.impedances.len(), bench.commands.len()), (1, 12));
    assert_eq!((bench.lost, bench.samples), (0, bench.number as usize));
    bench.decoder.end(&mut |_| {});
    assert_eq!(bench.decoder.dialogue().unwrap().handshake(), [b"V", b"?", b"b"]);
}

#[test]
fn a_stream_that_goes_on_is_not_measured() {
    let mut bench = Bench::cyton();
    bench.decoder = Box::new(Boards::new(Cyton::new(None).measured()));
    bench.decoder.dialogue().unwrap().resume();
    bench.commands.clear();
    bench.connect();
    bench.pass(100);
    assert_eq!((bench.impedances.len(), bench.samples), (0, 400));
    assert!(
        bench.commands.ends_with(&["b".to_owned()]) && bench.decoder.dialogue().unwrap().notice().is_none()
    );
    let mut never = Bench::of(Cyton::new(None), false);
    never.pass(100);
    assert_eq!((never.commands.join(" ").as_str(), never.samples), ("V ? b", 400));
    // One that did not stream after the question for its registers is started without it, until it does.
    let mut deaf = Bench::of(Cyton::new(None), false);
    for _ in 0..3 {
        deaf.decoder.end(&mut |_| {});
        assert_eq!(deaf.decoder.dialogue().unwrap().handshake(), [b"V", b"b"]);
    }
    deaf.pass(1);
    for pieces in [3, 2] {
        deaf.decoder.end(&mut |_| {});
        assert_eq!(deaf.decoder.dialogue().unwrap().handshake().len(), pieces);
    }
}

#[test]
fn frames_that_are_lost_begin_a_window_anew_and_too_many_end_it() {
    let mut bench = Bench::cyton();
    bench.loses = 300;
    bench.pass(8 * 2 * (SETTLE + WINDOW) / 4 + 60);
    assert_eq!(bench.impedances.len(), 8);
    let want = bench.kiloohms[5] * 1e3;
    assert!((bench.impedances[5].1 - want).abs() < 0.005 * want, "{:?}", bench.impedances);
    let mut bench = Bench::cyton();
    bench.loses = 100;
    bench.pass(1000);
    assert!(bench.impedances.is_empty() && bench.streams && bench.samples > 0);
    assert!(bench.decoder.dialogue().unwrap().notice().unwrap().contains("lost"));
}
