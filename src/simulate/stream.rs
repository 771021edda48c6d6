//! The stream of a simulated board: signal, board and faults together, frame by frame.
//!
//! It has no clock and no port. Everything is decided by the number of the frame, so the same command makes
//! the same bytes and the same account whatever the machine does.

use std::time::Duration;

use super::fault::{Disturbance, Fault};
use super::ledger::{Channel, Ledger};
use super::rng::Rng;
use super::signal::{Shape, Signal};
use super::{Board, Event, Facts, Output};

/// What a frame may carry besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    #[default]
    On,
    /// The cable is pulled, for a while or for good.
    Die(Option<Duration>),
}

/// The frames of one board, over all its streams.
#[derive(Debug)]
pub struct Stream {
    shape: Shape,
    faults: Vec<Fault>,
    signal: Signal,
    rng: Rng,
    /// Frames over all streams: the clock of faults.
    clock: u64,
    /// The stream, as the board numbers it, the number of its next frame, and of its next sample.
    run: Option<u32>,
    number: u64,
    sample: u64,
    /// Whether a frame of this stream was sent, and how many have not been since.
    sent: bool,
    missing: u64,
    /// How many frames to send, in all.
    most: u64,
    silent: bool,
    /// The stream of which nothing comes any more.
    stalled: Option<u32>,
    scratch: Vec<u8>,
    microvolts: Vec<f64>,
    counts: Vec<i32>,
    /// What it did.
    pub ledger: Ledger,
}

impl Stream {
    /// The stream of a board.
    ///
    /// # Errors
    /// The error if a fault concerns what the board does not have.
    pub fn new(
        board: &dyn Board,
        shape: Shape,
        faults: Vec<Fault>,
        most: Option<u64>,
        ledger: Ledger,
    ) -> Result<Self, String> {
        let Facts { channels, rate, .. } = board.facts();
        for fault in &faults {
            if let Disturbance::Rail(at) | Disturbance::Flat(at) | Disturbance::Unplug(at) = fault.what
                && at >= channels
            {
                return Err(format!("there is no channel {}; the board has {channels}", at + 1));
            }
            if fault.what == Disturbance::StatusOnly && !board.reports_status() {
                return Err("this board says nothing beside its samples; thinkgear does".to_owned());
            }
            if matches!(fault.what, Disturbance::Battery(_)) && !board.reports_battery() {
                return Err("this board does not tell its battery's charge; thinkgear does".to_owned());
            }
        }
        let kiloohms = board.impedances();
        let channel = |at: usize| Channel {
            channel: at + 1,
            kiloohms: kiloohms.get(at).copied(),
            ..Channel::default()
        };
        let seed = ledger.seed;
        Ok(Self {
            shape,
            faults,
            signal: Signal::new(seed, channels, rate),
            rng: Rng::new(!seed),
            clock: 0,
            run: None,
            number: 0,
            sample: 0,
            sent: false,
            missing: 0,
            most: most.unwrap_or(u64::MAX),
            silent: false,
            stalled: None,
            scratch: Vec::new(),
            microvolts: Vec::new(),
            counts: Vec::new(),
            ledger: Ledger { channels: (0..channels).map(channel).collect(), ..ledger },
        })
    }

    /// The frame that comes next in the board's stream, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the board streams, and whether it is another stream than before.
    pub fn follow(&mut self, board: &dyn Board) -> (bool, bool) {
        let run = board.streaming();
        let another = run != self.run;
        if another {
            self.end();
            self.run = run;
            (self.number, self.sample, self.sent) = (0, 0, false);
            self.ledger.starts += u64::from(run.is_some());
        }
        (run.is_some(), another)
    }

    /// Frames a second by the board's own clock.
    #[must_use]
    pub fn rate(&self, facts: &Facts) -> f64 {
        let ppm: f64 =
            self.faults.iter().map(|f| if let Disturbance::Drift(ppm) = f.what { ppm } else { 0.0 }).sum();
        facts.frame_rate * (1.0 + ppm * 1e-6).max(0.01)
    }

    /// How long bytes wait in the chip now, if a fault says so.
    #[must_use]
    pub fn burst(&self, facts: &Facts) -> Option<Duration> {
        self.faults.iter().filter(|f| f.acts(self.clock, facts.frame_rate)).find_map(|f| match f.what {
            Disturbance::Burst(time) => Some(time),
            _ => None,
        })
    }

    /// Makes one frame, or what is sent instead, and says how many packets can be read of it.
    pub fn next(&mut self, board: &mut dyn Board, out: &mut Vec<u8>, output: &mut Output) -> (u64, Turn) {
        let facts = board.facts();
        let rate = facts.frame_rate;
        let clock = self.clock;
        self.clock += 1;
        self.ledger.seconds += 1.0 / rate;
        let mut turn = Turn::On;
        let mut reset = false;
        for fault in &self.faults {
            let now = fault.happens(clock, rate);
            match fault.what {
                Disturbance::Battery(charge) if now => {
                    self.ledger.battery = Some(charge);
                    board.handle_event(Event::Battery(charge), output);
                }
                Disturbance::Off if now => board.handle_event(Event::Off, output),
                Disturbance::StatusOnly if now => board.handle_event(Event::StatusOnly, output),
                Disturbance::Reset if now => reset = true,
                Disturbance::Die(back) if now => turn = Turn::Die(back),
                Disturbance::Unplug(channel) => {
                    board.handle_event(Event::Contact(channel, !fault.acts(clock, rate)), output);
                }
                _ => {}
            }
        }
        self.samples(board, &facts);
        let number = self.number;
        self.number += 1;
        let mut frame = std::mem::take(&mut self.scratch);
        frame.clear();
        let packets = board.frame(number, &self.counts, &mut frame);
        let gone = reset || turn != Turn::On || board.streaming().is_none();
        let sent = if gone || self.is_lost(clock, rate) {
            self.missing += packets;
            0
        } else {
            self.send(board.noise(), clock, rate, &frame, packets, out)
        };
        self.scratch = frame;
        if reset {
            self.ledger.resets += 1;
            board.handle_event(Event::Reset, output);
            self.end();
        }
        (sent, turn)
    }

    /// Fills in the counts of one frame.
    fn samples(&mut self, board: &dyn Board, facts: &Facts) {
        self.counts.clear();
        for _ in 0..board.samples_in(self.number) {
            let seconds = self.signal.seconds();
            self.signal.next(&mut self.microvolts);
            let sample = self.sample;
            self.sample += 1;
            for at in 0..facts.channels {
                let converter = board.converter(at);
                let plain = self.microvolts.get(at).copied().unwrap_or_default();
                let (mut microvolts, mut count) = match self.shape {
                    Shape::Eeg => (plain, None),
                    Shape::Ramp => {
                        let most = converter.high.clamp(1, 9999) as u64;
                        (0.0, Some(((sample + 100 * at as u64) % (most + 1)) as i32))
                    }
                    Shape::Zero => (0.0, None),
                };
                let mut account = self.ledger.channels.get_mut(at);
                for fault in self.faults.iter().filter(|f| f.acts(self.clock - 1, facts.frame_rate)) {
                    match fault.what {
                        Disturbance::Hum(hertz, height) => {
                            microvolts += height * (std::f64::consts::TAU * hertz * seconds).sin();
                        }
                        Disturbance::Unplug(channel) if channel == at => {
                            microvolts = self.signal.floating(at);
                            if let Some(account) = &mut account {
                                account.unplugged += 1;
                            }
                        }
                        Disturbance::Rail(channel) if channel == at => {
                            count = Some(converter.high);
                            if let Some(account) = &mut account {
                                account.railed += 1;
                            }
                        }
                        Disturbance::Flat(channel) if channel == at => {
                            count = Some(converter.middle);
                            if let Some(account) = &mut account {
                                account.flat += 1;
                            }
                        }
                        _ => {}
                    }
                }
                self.counts.push(count.unwrap_or_else(|| board.count(at, microvolts, seconds)));
            }
        }
    }

    fn is_lost(&mut self, clock: u64, rate: f64) -> bool {
        let mut lost = self.silent || self.ledger.frames >= self.most;
        for fault in &self.faults {
            lost |= match fault.what {
                Disturbance::Lose(frames) => fault.follows(clock, rate, frames),
                Disturbance::Chance(share) => fault.acts(clock, rate) && self.rng.unit() < share,
                Disturbance::Dropout(seconds) => fault.follows(clock, rate, (seconds * rate).round() as u64),
                Disturbance::Silent | Disturbance::Off | Disturbance::StatusOnly => {
                    self.silent |= fault.acts(clock, rate);
                    self.silent
                }
                Disturbance::Stall => {
                    if fault.happens(clock, rate) {
                        self.stalled = self.run;
                    }
                    self.stalled.is_some() && self.stalled == self.run
                }
                _ => false,
            };
        }
        lost
    }

    fn send(
        &mut self,
        noise: u8,
        clock: u64,
        rate: f64,
        frame: &[u8],
        packets: u64,
        out: &mut Vec<u8>,
    ) -> u64 {
        let mut half = false;
        let mut twice = false;
        for fault in self.faults.iter().filter(|f| f.happens(clock, rate)) {
            match fault.what {
                Disturbance::Truncate => half = true,
                Disturbance::Duplicate => twice = true,
                Disturbance::Garbage(bytes) => {
                    self.ledger.garbage += 1;
                    self.ledger.garbage_bytes += bytes as u64;
                    // No marks of any board, no line ends, nothing that text is made of.
                    let rng = &mut self.rng;
                    let rest = (1..bytes).map(|_| 0x0E + (rng.roll() % 0x12) as u8);
                    out.extend(std::iter::once(noise).chain(rest).take(bytes));
                }
                _ => {}
            }
        }
        if half {
            let half = frame.get(..frame.len() / 2).unwrap_or_default();
            out.extend_from_slice(half);
            self.ledger.truncated += 1;
            self.ledger.truncated_bytes += half.len() as u64;
            self.missing += packets;
            return 0;
        }
        out.extend_from_slice(frame);
        if twice {
            out.extend_from_slice(frame);
            self.ledger.duplicates += packets;
        }
        if self.missing > 0 {
            if self.sent {
                self.ledger.lost += self.missing;
                self.ledger.gaps += 1;
            } else {
                self.ledger.unseen += self.missing;
            }
            self.missing = 0;
        }
        self.sent = true;
        self.ledger.frames += packets;
        packets
    }

    /// A stream ended: what is missing at its end nobody can see. The next one counts from the beginning, even
    /// of a board that streams unasked.
    pub fn end(&mut self) {
        self.run = None;
        self.ledger.unseen += std::mem::take(&mut self.missing);
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::super::ganglion::Firmware;
    use super::super::{BoardOptions, Device};
    use super::*;
    use crate::decode::{Decoder, Protocol};
    use crate::event::Body;

    /// The bytes of so many frames of a started board, and the account of them.
    fn play(device: Device, faults: &[&str], frames: u64) -> (Vec<u8>, Ledger) {
        let choice = BoardOptions { seed: 5, ..BoardOptions::default() };
        let mut board = device.board(&choice).unwrap();
        let mut output = Output::default();
        // What starts any of them.
        for account in [&[0xFD][..], b"b\n", b"START\n"] {
            board.receive(Duration::ZERO, account, &mut output);
        }
        play_on(device, board, faults, frames)
    }

    /// The same of a board that streams.
    fn play_on(device: Device, mut board: Box<dyn Board>, faults: &[&str], frames: u64) -> (Vec<u8>, Ledger) {
        let (choice, mut output) = (BoardOptions { seed: 5, ..BoardOptions::default() }, Output::default());
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let ledger = Ledger::new(device.name(), choice.seed);
        let mut stream = Stream::new(board.as_ref(), Shape::Eeg, faults, None, ledger).unwrap();
        assert!(stream.follow(board.as_ref()).0, "{device:?}");
        let mut out = Vec::new();
        for _ in 0..frames {
            stream.next(board.as_mut(), &mut out, &mut output);
            if !stream.follow(board.as_ref()).0 {
                break;
            }
        }
        stream.end();
        (out, stream.ledger)
    }

    /// Frames, missing packets, gaps and strange bytes, as a decoder tells them.
    fn decoded(decoder: &mut dyn Decoder, bytes: &[u8]) -> [u64; 4] {
        let mut seen = [0; 4];
        let mut out = |body: Body<'_>| match body {
            Body::Samples(samples) => seen[0] += u64::from(samples.frames),
            Body::Lost(lost) => {
                seen[1] += u64::from(lost.packets);
                seen[2] += 1;
            }
            Body::Fault(fault) => seen[3] += fault.bytes,
            _ => {}
        };
        bytes.chunks(97).for_each(|piece| decoder.decode(piece, &mut out));
        decoder.end(&mut out);
        seen
    }

    #[test]
    fn what_is_injected_is_what_the_agent_sees() {
        let faults =
            ["lose=3@1s", "garbage=37@1500ms", "truncate@2s", "lose=0.5%@2500ms..4s", "unplug-channel=1@1s"];
        for protocol in Protocol::ALL {
            let Some(device) = Device::value_variants().iter().find(|d| d.name() == protocol.name()) else {
                continue;
            };
            // That one wants to be talked to.
            if *device == Device::Ganglion {
                continue;
            }
            let rate = device.board(&BoardOptions::default()).unwrap().facts().frame_rate;
            let (bytes, ledger) = play(*device, &faults, (5.0 * rate) as u64);
            let [frames, lost, gaps, strange] = decoded(protocol.decoder().as_mut(), &bytes);
            assert_eq!(frames, ledger.frames, "{device:?}");
            assert_eq!(strange, ledger.garbage_bytes + ledger.truncated_bytes, "{device:?}");
            if !matches!(device, Device::ThinkGear | Device::SpikerBox) {
                assert_eq!((lost, gaps), (ledger.lost, ledger.gaps), "{device:?}");
            }
            assert!(ledger.lost > 4 && ledger.gaps > 2 && ledger.unseen == 0, "{ledger:?}");
            let unplugged = ledger.channels[0].unplugged as f64;
            assert!((unplugged - 4.0 * rate).abs() <= 2.0, "{device:?}: {unplugged}");
        }
    }

    #[test]
    fn a_ganglion_is_found_connected_and_accounted_for() {
        for firmware in Firmware::value_variants().iter().copied() {
            let choice = BoardOptions { seed: 5, firmware, ..BoardOptions::default() };
            let mut board = Device::Ganglion.board(&choice).unwrap();
            let mut decoder = Protocol::Ganglion.decoder();
            let (mut asked, mut output) = (Vec::new(), Output::default());
            let mut seen = [0_u64; 4];
            let mut out = |body: Body<'_>| match body {
                Body::Samples(samples) => seen[0] += u64::from(samples.frames),
                Body::Lost(lost) => (seen[1], seen[2]) = (seen[1] + u64::from(lost.packets), seen[2] + 1),
                Body::Fault(fault) => seen[3] += fault.bytes,
                _ => {}
            };
            // The decoder does the talking, five times a second.
            for round in 0..200 {
                let at = Duration::from_millis(200 * round);
                decoder.dialogue().unwrap().poll_transmit(at, &mut asked);
                board.receive(at, &std::mem::take(&mut asked), &mut output);
                board.tick(at, &mut output);
                for (_, bytes) in output.replies.drain(..) {
                    decoder.decode(&bytes, &mut out);
                }
                if board.streaming().is_some() {
                    break;
                }
            }
            assert!(board.streaming().is_some(), "firmware {firmware:?}");
            let rate = board.facts().frame_rate;
            let faults = ["lose=3@1s", "garbage=37@1500ms", "lose=40@2s", "lose=0.5%@2500ms..4s"];
            // Within a round a program stops it and starts it again, on the same connection.
            let faults = faults.map(|fault| fault.parse().unwrap()).to_vec();
            let ledger = Ledger::new("ganglion", 5);
            let mut stream = Stream::new(board.as_ref(), Shape::Eeg, faults, None, ledger).unwrap();
            let mut bytes = Vec::new();
            for frame in 0..(5.0 * rate) as u64 {
                assert_eq!(stream.follow(board.as_ref()), (true, frame == 0 || frame == 45 || frame == 437));
                stream.next(board.as_mut(), &mut bytes, &mut output);
                if frame == 44 || frame == 436 {
                    for letter in [b's', b'b'] {
                        board.receive(Duration::ZERO, &[0, 5, 4, 5, 0, 17, 0, 1, letter], &mut output);
                        output.replies.drain(..).for_each(|(_, answer)| bytes.extend(answer));
                    }
                }
            }
            stream.end();
            let ledger = stream.ledger;
            bytes.chunks(97).for_each(|piece| decoder.decode(piece, &mut out));
            decoder.end(&mut out);
            assert_eq!(seen, [ledger.frames, ledger.lost, ledger.gaps, ledger.garbage_bytes], "{firmware:?}");
            assert!(ledger.lost > 43 && ledger.gaps > 2 && ledger.starts == 3, "{ledger:?}");
        }
    }

    #[test]
    fn the_account_is_exact_and_the_same_each_time() {
        let faults = [
            "lose=300@1s",
            "dropout=500ms@4s",
            "duplicate@5s",
            "rail=3@1s..2s",
            "flat=2@0s..1s",
            "silent@6s",
        ];
        let (bytes, ledger) = play(Device::Cyton, &faults, 2000);
        assert_eq!(ledger.frames, 1500 - 300 - 125);
        assert_eq!((ledger.lost, ledger.gaps, ledger.unseen, ledger.duplicates), (425, 2, 500, 1));
        assert_eq!(bytes.len(), 33 * 1076);
        assert_eq!((ledger.channels[2].railed, ledger.channels[1].flat), (250, 250));
        assert!((ledger.seconds - 8.0).abs() < 1e-6);
        assert_eq!(play(Device::Cyton, &faults, 2000).0, bytes);
        assert!(
            ledger.words().contains("425 packets lost in 2 gaps") && ledger.json().contains("\"lost\": 425")
        );
        // The counter continues, whatever is lost.
        assert_eq!(bytes[33 * 250 + 1], (550 % 256) as u8);
    }

    #[test]
    fn a_board_that_starts_again_counts_from_0() {
        let (bytes, ledger) = play(Device::Knight, &["reset@1s"], 250);
        assert_eq!((ledger.resets, ledger.starts, ledger.frames, ledger.unseen), (1, 2, 249, 1));
        assert_eq!((bytes[21 * 124 + 1], bytes[21 * 125 + 1], bytes.len()), (124, 0, 249 * 21));
        // One that must be commanded to start is quiet until then.
        let (_, ledger) = play(Device::Cyton, &["reset@1s"], 2000);
        assert_eq!((ledger.frames, ledger.resets, ledger.lost, ledger.unseen), (250, 1, 0, 1));
        let (_, ledger) = play(Device::OpeneegP3, &["off@1s"], 512);
        assert_eq!((ledger.frames, ledger.unseen), (256, 256));
    }

    #[test]
    fn nothing_that_a_host_writes_breaks_a_board() {
        let mut rng = Rng::new(9);
        for device in Device::value_variants() {
            for firmware in Firmware::value_variants().iter().copied() {
                let mut board =
                    device.board(&BoardOptions { seed: 1, firmware, ..BoardOptions::default() }).unwrap();
                let (mut output, mut out) = (Output::default(), Vec::new());
                for round in 0..2000 {
                    let at = Duration::from_millis(round * 37);
                    // Letters, digits and small numbers make more commands than noise does.
                    let bytes: Vec<u8> = (0..rng.roll() % 24)
                        .map(|_| match rng.roll() % 4 {
                            0 => (rng.roll() % 16) as u8,
                            1 => (rng.roll() % 256) as u8,
                            _ => b' ' + (rng.roll() % 95) as u8,
                        })
                        .collect();
                    board.receive(at, &bytes, &mut output);
                    board.tick(at, &mut output);
                    let facts = board.facts();
                    let counts: Vec<i32> = (0..facts.channels * board.samples_in(round))
                        .map(|at| board.count(at % facts.channels, 1e9 * rng.bell(), round as f64))
                        .collect();
                    board.frame(round, &counts, &mut out);
                    out.clear();
                    output.replies.clear();
                }
            }
        }
    }
}
