//! OpenBCI Ganglion, 4 channels at 200 Hz, through the BLED112 dongle that speaks BGAPI.
//!
//! The packets are those of the Ganglion Data Format (OpenBCI/Docs, Hardware) for firmware 2, and what
//! BrainFlow's driver reads of firmware 3. Firmware 2 sends differences: after a lost packet nothing is known
//! until the next packet 0, so those frames are counted and hold no samples. Which firmware it is, is learnt
//! from the advertised name or from the numbers of packets; until it is known, there are no samples. The
//! acceleration is not looked at. Differences have their sign in the lowest bit, as the document's own
//! examples do, while BrainFlow takes the highest; absolute values of firmware 3 are taken as two's
//! complement, for which there is no document. The impedance is the number that the board tells: its unit is
//! ohms in the document, while the maker's program halves it and writes kiloohms.
//!
//! # How packets are numbered, and when
//!
//! From the maker's firmware (OpenBCI_Ganglion_Library, `processData`, `compressData19`). A round is 201 samples. With
//! firmware 2 they go into 101 packets, numbered from 0; with firmware 3 into 100, of which each round loses the last
//! sample. The first round after a start is another one with firmware 3: 3.0.1 and 3.0.2 begin it with 255, written
//! as 255 or, of 19 bits, as 99; 3.0.0 goes on where it stopped, beyond 199 and 255. It is as long as any round, so
//! what is missing of it is known once it is over. That a board may have been told to start is seen in what the dongle
//! answers whenever something is written to the board, and in what the board says in words; that it was, in the number
//! of the next packet.

mod dialogue;

use super::bgapi::{self, HEADER, Message, Shape};
use super::board::{Anew, Board, Boards, Overheard, Piece, answer, byte, int24};
use super::protocol::{Facts, Rates};
use super::{Sink, Wanted};
use crate::event::{Answer, Body, Device, Impedance, Rails};
use dialogue::Dialogue;

/// Channels of one sample.
const CHANNELS: usize = 4;
/// Volts of one count: reference 1.2 V, gains 1.5 and 51, 24 bits with sign (Ganglion Data Format).
const SCALE: f64 = 1.2 / 8_388_607.0 / 1.5 / 51.0;
/// Where the packet begins in a notification, and how long it is.
const PACKET: (usize, usize) = (HEADER + 5, 20);
/// What a board advertises begins so.
const NAME: &str = "Ganglion";
/// Ends the first connection.
const DISCONNECT: &[u8] = &[0, 1, 3, 0, 0];
/// Codes that are no failure: the list is at its end; the connection was ended by this side.
const FINE: [u16; 3] = [0, 0x040A, 0x0216];

/// How packets are numbered and packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Firmware {
    /// Not known yet.
    #[default]
    Unknown,
    /// Numbered as by firmware 3, if no packet was lost; one more round will tell.
    PerhapsThree,
    /// Differences, and one packet with values in a round.
    Two,
    /// Values.
    Three,
}

/// What is known of the board and its dongle.
pub(super) const FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("ganglion", 230_400, |of| {
        let Wanted { name, firmware } = of.ganglion.clone().unwrap_or_default();
        Box::new(Boards::new(Ganglion::new(name, firmware)).at(of.rate))
    })
};

/// A Ganglion.
#[derive(Debug, Default)]
pub struct Ganglion {
    /// What the advertised name must be, or begin with.
    wanted: Option<String>,
    /// The firmware that the settings say.
    set: Firmware,
    firmware: Firmware,
    /// Whether the firmware is known from the name.
    named: bool,
    /// The numbers of this packet and of the one before.
    ids: (Option<u8>, Option<u8>),
    /// Its place in the round.
    place: u32,
    /// Whether something was written to the board since the last packet: the next one may be the first.
    told: bool,
    /// The packets since it was, in what may be a first round; and whether it surely is one.
    first: Option<(u32, bool)>,
    /// Whether this packet may be the first of a stream: the pause before it is none of it.
    began: bool,
    /// Whether samples have 19 bits with firmware 3, and not 18.
    wide: bool,
    /// The last sample in counts, if it is known.
    base: Option<[i32; CHANNELS]>,
    /// Whether it was known since the stream began: before that nothing is missing that could have been read.
    knew: bool,
    dialogue: Dialogue,
}

impl Ganglion {
    /// The board of this name, or any; with this firmware (2 or 3) unless it is seen to have another.
    #[must_use]
    pub fn new(wanted: Option<String>, firmware: Option<u8>) -> Self {
        let set = match firmware {
            Some(2) => Firmware::Two,
            Some(3) => Firmware::Three,
            _ => Firmware::Unknown,
        };
        Self { wanted, set, firmware: set, ..Self::default() }
    }

    /// Learns from the numbers of two packets that followed each other.
    fn learn(&mut self, before: u8, id: u8) {
        // What goes on beyond a round looks like that of another firmware.
        if self.named || (self.firmware == Firmware::Three && self.first.is_some()) {
            return;
        }
        self.firmware = match (before, id) {
            (0, 101) | (100, 0) | (_, 200) => Firmware::Two,
            (101..=199, 100) | (100, 101) => Firmware::Three,
            (99, 0) if self.firmware == Firmware::Unknown => Firmware::PerhapsThree,
            (99, 0) if self.firmware == Firmware::PerhapsThree => Firmware::Three,
            _ => return,
        };
    }

    /// Packets of one round, all with their number.
    fn round(&self) -> u32 {
        if matches!(self.firmware, Firmware::Unknown | Firmware::Two) { 101 } else { 100 }
    }

    fn follows(&self) -> bool {
        let (Some(before), Some(now)) = self.ids else { return false };
        (self.number(before) + 1) % self.round() == self.number(now)
    }

    fn number(&self, id: u8) -> u32 {
        let id = u32::from(id);
        match self.firmware {
            Firmware::Unknown | Firmware::Two if id <= 100 => id,
            _ => id % 100 + if id == 200 { 100 } else { 0 },
        }
    }

    /// By how many packets the stream went on to this one.
    fn step(&mut self, before: u8, id: u8) -> u32 {
        let told = std::mem::take(&mut self.told);
        let round = self.round();
        let step = (self.number(id) + round - self.number(before) % round) % round;
        if self.firmware != Firmware::Three {
            // The first packet of all others is the whole one.
            self.began = told && id == 0;
            let step = if self.began { 1 } else { step };
            if let Some((count, _)) = &mut self.first {
                *count += step;
            }
            return step;
        }
        let goes_on = id == before.wrapping_add(1);
        let begins = matches!(id, 99 | 255);
        // What is answered a moment after the first packets was asked before them.
        let answered = goes_on && self.first.is_some_and(|(count, _)| count < ANSWERED);
        if told && !answered && (begins || goes_on || id.is_multiple_of(100)) {
            (self.first, self.began) = (Some((1, begins)), true);
            self.wide = if goes_on { self.wide } else { (99..200).contains(&id) };
            return 1;
        }
        let by = u32::from(id.wrapping_sub(before));
        if let Some((count, sure)) = self.first {
            let left = FIRST.saturating_sub(count);
            let beyond = u16::from(id) > if self.wide { 199 } else { 99 };
            if (sure || (beyond && by > 0)) && by <= left {
                self.first = Some((count + by, true));
                return by;
            }
            if sure && left == 0 && by == 1 && !id.is_multiple_of(100) {
                // It goes on: it was no first round.
                self.first = None;
            } else if sure {
                self.first = None;
                self.wide = id >= 100;
                return left + u32::from(id % 100) + 1;
            } else {
                let over = id % 100 < before % 100 || count + step > FIRST;
                self.first = Some((count + step, false)).filter(|_| !over);
            }
        }
        self.wide = id >= 100;
        step
    }

    /// Whether a packet whose number no sample has is one nevertheless, beyond the end of a first round.
    fn is_beyond(&self, packet: &[u8]) -> bool {
        let [id, rest @ ..] = packet else { return false };
        let words = rest.first().is_some_and(|first| *first != 0)
            && rest.iter().all(|byte| matches!(byte, 0 | b'\n' | b'\r' | b'\t' | b' '..=b'~'));
        let by = self.ids.1.map(|before| u32::from(id.wrapping_sub(before)));
        let begins = *id == 255 && self.told && self.firmware != Firmware::Two;
        let goes_on = self.firmware == Firmware::Three
            && self.first.zip(by).is_some_and(|((count, _), by)| by <= FIRST.saturating_sub(count));
        !words && (begins || goes_on)
    }

    /// Whether an advertisement is of the board; learns from it, if so.
    fn meets(&mut self, data: &[u8]) -> bool {
        let Some(name) = bgapi::name(data).filter(|name| name.starts_with(NAME)) else { return false };
        if self.wanted.as_ref().is_some_and(|wanted| !name.starts_with(wanted.as_str())) {
            return false;
        }
        // `Ganglion 1.3-…` is what firmware 3 advertises; BrainFlow looks at the same place.
        self.firmware = if byte(name.as_bytes(), 11) == b'3' { Firmware::Three } else { Firmware::Two };
        self.named = true;
        true
    }
}

/// Packets of the first round of firmware 3.
const FIRST: u32 = 100;
/// Packets that may come before the answer to what started them: a tenth of a second.
const ANSWERED: u32 = 10;

/// The packet in a notification.
fn packet(frame: &[u8]) -> &[u8] {
    frame.get(PACKET.0..).unwrap_or_default()
}

/// Eight numbers of so many bits, the first bit first, from byte 1 of a packet.
fn numbers(packet: &[u8], bits: u32) -> [u32; 2 * CHANNELS] {
    std::array::from_fn(|place| {
        let first = 8 + place as u32 * bits;
        (first..first + bits).fold(0, |number, at| {
            let bit = byte(packet, (at / 8) as usize) >> (7 - at % 8) & 1;
            number << 1 | u32::from(bit)
        })
    })
}

/// A difference of so many bits: the lowest bit is the sign.
fn difference(number: u32, bits: u32) -> i32 {
    number as i32 - if number & 1 == 1 { 1 << bits } else { 0 }
}

/// What a packet of impedance says: digits before a `Z`.
fn impedance(packet: &[u8]) -> Option<f64> {
    let text = packet.get(1..)?.split(|byte| *byte == b'Z').next()?;
    let number: u64 = std::str::from_utf8(text).ok()?.trim_matches([' ', '\0']).parse().ok()?;
    Some(number as f64)
}

impl Board for Ganglion {
    /// Seven bytes of a notification are always the same: one frame is enough.
    const CONFIRM: usize = 1;

    fn device(&self) -> Device {
        let rails = Rails::signed(24, SCALE);
        // A round is of 201 samples.
        let packet_rate = 200.0 * f64::from(self.round()) / 201.0;
        let modulus = self.round();
        let (protocol, channels, rate) = ("ganglion", CHANNELS as u16, 200.0);
        Device { protocol, channels, rate, packet_rate, volts: true, modulus, rails }
    }

    fn piece(&self, bytes: &[u8], _last: bool) -> Piece {
        match bgapi::shape(bytes) {
            Shape::No => Piece::No,
            Shape::More => Piece::More,
            Shape::Whole(length) => match bgapi::read(bytes.get(..length).unwrap_or_default()) {
                Message::Value(1, [0..=200, rest @ ..]) if rest.len() + 1 == PACKET.1 => Piece::Frame(length),
                Message::Value(1, [0..=200, ..]) => Piece::No,
                Message::Value(1, packet) if packet.len() == PACKET.1 && self.is_beyond(packet) => {
                    Piece::Frame(length)
                }
                _ => Piece::Message(length),
            },
        }
    }

    fn counter(&self, _frame: &[u8]) -> Option<u32> {
        Some(self.place % self.round())
    }

    fn meet(&mut self, frame: &[u8]) -> bool {
        let id = byte(frame, PACKET.0);
        self.dialogue.streams();
        self.began = false;
        self.ids = (self.ids.1, Some(id));
        let round = self.round();
        if let Some(before) = self.ids.0 {
            self.learn(before, id);
            self.place = (self.place % round + self.step(before, id)) % self.round();
        } else {
            if id == 255 && !self.named {
                self.firmware = Firmware::Three;
            }
            let told = std::mem::take(&mut self.told);
            self.first = told.then_some((1, matches!(id, 99 | 255)));
            self.wide = id != 255 && (id >= 100 || (told && id == 99));
        }
        self.round() != round || self.began
    }

    fn message(&mut self, message: &[u8], out: &mut Sink<'_>) -> bool {
        let bytes = message.len() as u64;
        let said = bgapi::read(message);
        let round = self.round();
        let looks = self.dialogue.looks();
        let wanted = matches!(said, Message::Found { data, .. } if looks && self.meets(data));
        if self.round() != round {
            out(Body::Device(self.device()));
        }
        self.dialogue.hear(said, wanted);
        let failed = match said {
            Message::Connecting(code) | Message::Completed(code) | Message::Disconnected(code) => {
                !FINE.contains(&code)
            }
            _ => false,
        };
        match said {
            Message::Value(_, [206 | 207, text @ ..]) => out(Body::Answer(Answer { bytes, ..answer(text) })),
            _ => out(Body::Answer(Answer { bytes, failed, firmware: None })),
        }
        if let Message::Value(1, packet @ [id @ 201..=205, ..]) = said
            && let Some(ohms) = impedance(packet)
        {
            let channel = if *id == 205 { 0 } else { u16::from(id - 200) };
            out(Body::Impedance(Impedance { channel, ohms }));
        }
        let anew = matches!(said, Message::Connected(_) | Message::Disconnected(_) | Message::Booted);
        if anew {
            (self.ids, self.base, self.first, self.knew) = ((None, None), None, None, false);
        }
        let words = matches!(said, Message::Value(_, [206 | 207, ..]));
        self.told |= anew || words || matches!(said, Message::Written | Message::Completed(_));
        anew
    }

    /// What the dongle answers says that a command passed.
    fn overhear(&mut self, _said: &[u8]) -> Overheard {
        Overheard::default()
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let packet = packet(frame);
        let id = byte(packet, 0);
        let volts = |count: i32| (f64::from(count) * SCALE) as f32;
        let base = self.base.take().filter(|_| self.follows());
        match self.firmware {
            Firmware::Unknown | Firmware::Two if id == 0 => {
                let raw = std::array::from_fn(|at| int24(packet.get(1 + 3 * at..).unwrap_or_default()));
                (self.base, self.knew) = (Some(raw), true);
                if self.firmware == Firmware::Two {
                    values.extend(raw.map(volts));
                }
            }
            Firmware::Two => {
                let Some(mut now) = base else { return };
                let bits = if id <= 100 { 18 } else { 19 };
                for both in numbers(packet, bits).chunks_exact(CHANNELS) {
                    now.iter_mut()
                        .zip(both)
                        .for_each(|(now, by)| *now = now.wrapping_sub(difference(*by, bits)));
                    values.extend(now.map(volts));
                }
                self.base = Some(now);
            }
            Firmware::Three => {
                let bits = if self.wide { 19 } else { 18 };
                // The highest bits of 24; those below are not sent.
                let count = |number: u32| (number << (32 - bits)).cast_signed() >> 8;
                values.extend(numbers(packet, bits).map(|number| volts(count(number))));
            }
            Firmware::Unknown | Firmware::PerhapsThree => {}
        }
    }

    /// A packet is two samples, but for the whole one of firmware 2, which is one.
    fn lost_samples(&self, missing: u32, brought: bool) -> u32 {
        match (self.firmware, self.ids.0) {
            (Firmware::Two, Some(before)) => {
                let whole = missing > 0 && self.number(before) + missing >= self.round();
                2 * missing - u32::from(whole) + if brought || !self.knew { 0 } else { 2 }
            }
            (Firmware::Three, _) => 2 * missing,
            _ => 0,
        }
    }

    fn end(&mut self) {
        *self = Self { wanted: self.wanted.take(), set: self.set, firmware: self.set, ..Self::default() };
    }

    /// The connection is closed with it.
    fn greeted(&mut self) -> Anew {
        self.end();
        Anew::Surely
    }

    /// Nothing is connected, and nothing is looked for: what the dongle did before ends. A silent one is greeted
    /// again, and may have a connection then.
    fn hello(&self) -> &'static [&'static [u8]] {
        &[DISCONNECT, &[0, 0, 6, 4]]
    }

    fn goodbye(&self) -> &'static [u8] {
        DISCONNECT
    }

    fn ask(&mut self, _quiet: bool, out: &mut Vec<u8>) -> Anew {
        self.dialogue.ask(out);
        Anew::No
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        self.dialogue.farewell(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;
    use crate::decode::board::Boards;

    fn notified(packet: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 5 + packet.len() as u8, 4, 5, 0, 0x19, 0, 1, packet.len() as u8];
        bytes.extend(packet);
        bytes
    }

    /// A packet with this number and nothing in it.
    fn empty(id: u8) -> Vec<u8> {
        let mut packet = [0; 20];
        packet[0] = id;
        notified(&packet)
    }

    fn told(decoder: &mut dyn Decoder, bytes: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        decoder.decode(bytes, &mut |body| {
            told.push(match body {
                Body::Device(device) => format!("{} a round", device.modulus),
                Body::Samples(s) => format!("{} frames, {} samples", s.frames, s.count()),
                Body::Lost(lost) => format!("{} lost", lost.packets),
                Body::Repeated(_) => "repeated".to_owned(),
                Body::Answer(a) => format!("{} bytes {:?} {}", a.bytes, a.firmware, a.failed),
                Body::Impedance(i) => format!("{} of {}", i.ohms, i.channel),
                other => format!("{other:?}"),
            });
        });
        told
    }

    #[test]
    fn differences_are_those_of_the_document() {
        // Ganglion Data Format, its examples of 18 and of 19 bits.
        let of = |packet: [u8; 20], bits| numbers(&packet, bits).map(|number| difference(number, bits));
        let packet = [1, 0, 0, 0, 0, 0x20, 0, 0x28, 0, 4, 0x80, 0, 0xBC, 0, 7, 0, 0x28, 0xC0, 0x0A, 0x0E];
        assert_eq!(of(packet, 18), [0, 2, 10, 4, 131_074, 245_760, 114_698, 49_162]);
        let packet = [0x65, 0, 0, 0, 0, 8, 0, 5, 0, 0, 0x48, 0, 9, 0xF0, 1, 0xB0, 0, 0x30, 0, 8];
        assert_eq!(of(packet, 19), [0, 2, 10, 4, 262_148, 507_910, 393_222, 8]);
        assert_eq!(difference(0x3FFFD, 18), -3);
    }

    #[test]
    fn samples_are_withheld_from_a_loss_to_the_next_values() {
        let mut decoder = Boards::new(Ganglion::new(None, Some(2)));
        let round: Vec<u8> = (101..=200).chain([0]).flat_map(empty).collect();
        let stream = [empty(0), round.clone(), empty(101), empty(103), empty(104), round].concat();
        assert_eq!(
            told(&mut decoder, &stream)[1..],
            [
                "103 frames, 204 samples",
                "1 lost",
                "2 frames, 0 samples",
                "97 lost",
                // What is looked at in one go ends here.
                "36 frames, 0 samples",
                "65 frames, 1 samples",
                // Of 604 samples 205 are there: 195 were in 98 packets that are not, and 204 in packets that
                // build on them.
                "LostSamples(LostSamples { samples: 399 })"
            ]
        );
    }

    #[test]
    fn samples_that_are_missing_are_counted_with_the_packets() {
        let count = |firmware, ids: &[u8]| {
            let mut decoder = Boards::new(Ganglion::new(None, Some(firmware)));
            let (mut there, mut lost) = (0, 0);
            let mut take = |body: Body<'_>| match body {
                Body::Samples(samples) => there += samples.count(),
                Body::LostSamples(samples) => lost += samples.samples as usize,
                _ => {}
            };
            for (at, id) in ids.iter().enumerate() {
                let mut packet = [0x80; 20];
                (packet[0], packet[1]) = (*id, at as u8);
                decoder.decode(&notified(&packet), &mut take);
            }
            decoder.end(&mut take);
            (there, lost)
        };
        let two = |rounds: usize| [0].into_iter().chain(101..=200).cycle().take(101 * rounds);
        let three = |rounds: usize| (100..200).cycle().take(100 * rounds);
        // Lost in the middle, around a whole packet, the whole one alone, at the end.
        for gone in [7..8, 7..20, 95..110, 101..102, 300..303, 250..300] {
            let left = |all: &mut dyn Iterator<Item = u8>| -> Vec<u8> {
                all.enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, id)| id).collect()
            };
            let (there, lost) = count(2, &left(&mut two(4)));
            assert_eq!(there + lost, 201 * 4, "{gone:?}");
            assert!(lost >= gone.len(), "{gone:?}");
            let (there, lost) = count(3, &left(&mut three(4)));
            assert_eq!((there + lost, lost), (800, 2 * gone.len()), "{gone:?}");
        }
        // Who comes in the middle of a round misses nothing that was sent to it, and a packet twice is no loss.
        let late: Vec<u8> = two(3).skip(40).collect();
        assert_eq!(count(2, &late), (402, 0));
        assert_eq!(count(3, &three(2).collect::<Vec<_>>()), (400, 0));
    }

    #[test]
    fn values_build_on_each_other() {
        let mut decoder = Boards::new(Ganglion::new(None, Some(2)));
        let mut first = [0; 20];
        first[1..4].copy_from_slice(&[0, 0, 100]);
        let second = [101, 0, 0, 0, 0, 8, 0, 5, 0, 0, 0x48, 0, 9, 0xF0, 1, 0xB0, 0, 0x30, 0, 8];
        let mut counts = Vec::new();
        decoder.decode(&[notified(&first), notified(&second)].concat(), &mut |body| {
            if let Body::Samples(samples) = body {
                counts.extend(samples.values.iter().map(|v| (f64::from(*v) / SCALE).round() as i64));
            }
        });
        let want = [100, 0, 0, 0, 100, -2, -10, -4, 100 - 262_148, -2 - 507_910, -10 - 393_222, -12];
        assert_eq!(counts, want);
    }

    #[test]
    fn the_firmware_is_learnt_from_numbers() {
        let mut decoder = Boards::new(Ganglion::default());
        let stream: Vec<u8> = (98..100).chain(0..100).chain(0..5).flat_map(empty).collect();
        assert_eq!(
            told(&mut decoder, &stream),
            ["101 a round", "2 frames, 0 samples", "100 a round", "105 frames, 10 samples"]
        );
        let mut decoder = Boards::new(Ganglion::default());
        let stream: Vec<u8> = [empty(0), empty(101), empty(102)].concat();
        assert_eq!(told(&mut decoder, &stream), ["101 a round", "3 frames, 4 samples"]);
        let mut decoder = Boards::new(Ganglion::default());
        let stream: Vec<u8> = [empty(198), empty(199), empty(100)].concat();
        let all = told(&mut decoder, &stream);
        assert_eq!(all, ["101 a round", "2 frames, 0 samples", "100 a round", "1 frames, 2 samples"]);
    }

    #[test]
    fn the_firmware_is_that_of_the_board_that_was_found_first() {
        let advertised = |name: &str| {
            let data = [&[name.len() as u8 + 1, 9], name.as_bytes()].concat();
            let mut bytes = vec![0x80, 11 + data.len() as u8, 6, 0, 0xC0, 0, 1, 2, 3, 4, 5, 6, 1, 0xFF];
            bytes.push(data.len() as u8);
            [bytes, data].concat()
        };
        let mut decoder = Boards::new(Ganglion::default());
        decoder.ask(&mut Vec::new());
        let both = [advertised("Ganglion-1a2b"), advertised("Ganglion 1.3-c0de")].concat();
        decoder.decode(&both, &mut |_| {});
        assert_eq!(told(&mut decoder, &[empty(0), empty(101)].concat()), ["2 frames, 3 samples"]);
    }

    /// Packets that are missing of those with these numbers, with what the dongle answers when the board is told
    /// something where a number is none.
    fn missing(firmware: Option<u8>, ids: impl IntoIterator<Item = Option<u8>>) -> (u32, usize) {
        let mut decoder = Boards::new(Ganglion::new(None, firmware));
        let (mut lost, mut samples) = (0, 0);
        for (at, id) in ids.into_iter().enumerate() {
            let bytes = match id {
                Some(id) => {
                    let mut packet = [0x80; 20];
                    (packet[0], packet[1]) = (id, at as u8);
                    notified(&packet)
                }
                None => vec![0, 3, 4, 5, 0, 0, 0, 0x80, 5, 4, 1, 0, 0, 0, 17, 0],
            };
            decoder.decode(&bytes, &mut |body| match body {
                Body::Lost(one) => lost += one.packets,
                Body::Samples(some) => samples += some.count(),
                Body::Fault(fault) => panic!("{fault:?}"),
                _ => {}
            });
        }
        (lost, samples)
    }

    /// Numbers of a stream of firmware 3, whose first round begins with `first`.
    fn third(first: u16, base: u16, packets: u16) -> impl Iterator<Item = Option<u8>> {
        (0..packets).map(move |at| Some(if at < 100 { first + at } else { base + at % 100 } as u8))
    }

    #[test]
    fn a_first_round_is_no_loss_whatever_its_numbers_are() {
        for firmware in [Some(3), None] {
            // 3.0.1 and 3.0.2, with samples of 19 bits and of 18.
            for (first, base) in [(99, 100), (255, 0)] {
                let stream = || [None].into_iter().chain(third(first, base, 350));
                let (lost, samples) = missing(firmware, stream());
                assert_eq!(lost, 0, "{firmware:?} {first}");
                assert!(samples == 700 || (firmware.is_none() && samples >= 694), "{samples}");
                // The dongle answers late.
                let mut late: Vec<_> = stream().collect();
                late.swap(0, 1);
                late.insert(4, None);
                late.insert(0, None);
                assert_eq!(missing(firmware, late).0, 0, "{firmware:?} {first}");
                // Told to stop and to start again, within a round.
                let twice = stream().chain([None, None]).chain(third(first, base, 350));
                assert_eq!(missing(firmware, twice).0, 0, "{firmware:?} {first}");
                // Who was not there when it began, and does not know which firmware it is.
                let rest = third(first, base, 350).skip(30);
                assert!(missing(firmware, rest).0 <= 2, "{firmware:?} {first}");
            }
        }
        // 3.0.0 goes on with the numbers that it had, beyond those that there are.
        for stopped in [1, 37, 99] {
            for base in [0, 100] {
                let stream = [None]
                    .into_iter()
                    .chain(third(base, base, 200 + stopped))
                    .chain([None, None])
                    .chain(third(base + stopped, base, 350));
                assert_eq!(
                    missing(Some(3), stream),
                    (0, usize::from(2 * (550 + stopped))),
                    "{stopped} {base}"
                );
            }
        }
        // Firmware 2 begins with the whole packet.
        let round = || [0].into_iter().chain(101..=200).map(Some);
        let stream =
            [None].into_iter().chain(round()).chain(round().take(40)).chain([None, None]).chain(round());
        assert_eq!(missing(Some(2), stream.clone()).0, 0);
        assert_eq!(missing(None, stream).0, 0);
    }

    #[test]
    fn what_is_missing_of_a_first_round_is_seen() {
        let without = |stream: Vec<Option<u8>>, gone: &[usize]| -> Vec<Option<u8>> {
            stream.into_iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, id)| id).collect()
        };
        for (first, base) in [(99, 100), (255, 0), (137, 100), (37, 0)] {
            let before = if first == 99 || first == 255 { 0 } else { 37 };
            let stream: Vec<_> =
                third(base, base, before).chain([None]).chain(third(first, base, 350)).collect();
            let at = usize::from(before) + 1;
            for gone in
                [&[10, 11][..], &[97, 98, 99], &[99, 100, 101], &[100], &[250, 251, 252], &[60, 99, 100]]
            {
                let gone: Vec<usize> = gone.iter().map(|gone| at + gone).collect();
                let (lost, _) = missing(Some(3), without(stream.clone(), &gone));
                assert_eq!(lost as usize, gone.len(), "{first} {gone:?}");
            }
        }
        // A command that starts nothing hides nothing.
        let mut stream: Vec<_> = third(100, 100, 250).collect();
        stream[120] = None;
        assert_eq!(missing(Some(3), stream).0, 1);
        // Words and impedances are what they are, in a first round too.
        let mut decoder = Boards::new(Ganglion::new(None, Some(3)));
        told(&mut decoder, &[empty(100), empty(101), vec![0, 3, 4, 5, 0, 0, 0], empty(102)].concat());
        let all = told(&mut decoder, &[notified(b"\xCFstop running\n\0\0\0\0\0\0"), empty(103)].concat());
        assert_eq!(all, ["29 bytes None false", "1 frames, 2 samples"]);
    }

    #[test]
    fn messages_and_impedances_are_told() {
        let mut decoder = Boards::new(Ganglion::default());
        let stream =
            [notified(b"\xCA12345Z\0"), notified(b"\xCD7Z"), notified(b"\xCFGanglion v2.0.1"), empty(3)]
                .concat();
        assert_eq!(
            told(&mut decoder, &stream)[1..],
            [
                "17 bytes None false",
                "12345 of 2",
                "12 bytes None false",
                "7 of 0",
                "25 bytes Some(\"v2.0.1\") false",
                "1 frames, 0 samples"
            ]
        );
        let gone = [0x80, 3, 3, 4, 0, 8, 2];
        assert_eq!(told(&mut decoder, &gone), ["7 bytes None true"]);
        // A stream that begins anew has lost nothing.
        assert_eq!(told(&mut decoder, &empty(90)), ["1 frames, 0 samples"]);
        assert_eq!(told(&mut decoder, &empty(90)), ["repeated", "1 frames, 0 samples"]);
    }
}
