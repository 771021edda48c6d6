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
//! as 255 or, of 19 bits, as 99; 3.0.0 continues where it stopped, beyond 199 and 255. It is as long as any round, so
//! what is missing of it is known once it is over. That a board may have been commanded to start is seen in what the
//! dongle answers whenever something is written to the board, and in what the board says in words; that it was, in
//! the number of the next packet.

mod dialogue;

use super::bgapi::{self, HEADER, Message, Shape};
use super::{Board, Boards, CommandEffect, Restart, Segment, answer, byte, int24};
use crate::decode::dialogue::Time;
use crate::decode::facts::{Facts, Rates};
use crate::decode::{GanglionFilter, Sink};
use crate::event::{Answer, Body, Device, Impedance, Rails};
use dialogue::Dialogue;

/// Channels of one sample.
const CHANNELS: usize = 4;
/// Volts of one count: reference 1.2 V, gains 1.5 and 51, 24 bits with sign (Ganglion Data Format).
const SCALE: f64 = 1.2 / 8_388_607.0 / 1.5 / 51.0;
/// Where the packet begins in a notification.
const PACKET_AT: usize = HEADER + 5;
/// How long it is.
const PACKET: usize = 20;
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
pub(in crate::decode) const FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("ganglion", 230_400, |of| {
        let GanglionFilter { name, firmware } = of.ganglion.clone().unwrap_or_default();
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
    commanded: bool,
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
        // What continues beyond a round looks like that of another firmware.
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

    /// By how many packets the stream continued to this one.
    fn step(&mut self, before: u8, id: u8) -> u32 {
        let commanded = std::mem::take(&mut self.commanded);
        let round = self.round();
        let step = (self.number(id) + round - self.number(before) % round) % round;
        if self.firmware != Firmware::Three {
            // The first packet of all others is the whole one.
            self.began = commanded && id == 0;
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
        if commanded && !answered && (begins || goes_on || id.is_multiple_of(100)) {
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
                // It continues: it was no first round.
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
        let begins = *id == 255 && self.commanded && self.firmware != Firmware::Two;
        let goes_on = self.firmware == Firmware::Three
            && self.first.zip(by).is_some_and(|((count, _), by)| by <= FIRST.saturating_sub(count));
        !words && (begins || goes_on)
    }

    /// Whether an advertisement is of the board; learns from it, if so.
    fn handle_attributes(&mut self, data: &[u8]) -> bool {
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
    frame.get(PACKET_AT..).unwrap_or_default()
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

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        match bgapi::shape(bytes) {
            Shape::No => Segment::No,
            Shape::More => Segment::More,
            Shape::Whole(length) => match bgapi::read(bytes.get(..length).unwrap_or_default()) {
                Message::Value(1, [0..=200, rest @ ..]) if rest.len() + 1 == PACKET => Segment::Frame(length),
                Message::Value(1, [0..=200, ..]) => Segment::No,
                Message::Value(1, packet) if packet.len() == PACKET && self.is_beyond(packet) => {
                    Segment::Frame(length)
                }
                _ => Segment::Message(length),
            },
        }
    }

    fn counter(&self, _frame: &[u8]) -> Option<u32> {
        Some(self.place % self.round())
    }

    fn identify(&mut self, frame: &[u8]) -> bool {
        let id = byte(frame, PACKET_AT);
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
            let commanded = std::mem::take(&mut self.commanded);
            self.first = commanded.then_some((1, matches!(id, 99 | 255)));
            self.wide = id != 255 && (id >= 100 || (commanded && id == 99));
        }
        self.round() != round || self.began
    }

    fn message(&mut self, message: &[u8], out: &mut Sink<'_>) -> bool {
        let bytes = message.len() as u64;
        let said = bgapi::read(message);
        let round = self.round();
        let looks = self.dialogue.looks();
        let wanted = matches!(said, Message::Found { data, .. } if looks && self.handle_attributes(data));
        if self.round() != round {
            out(Body::Device(self.device()));
        }
        self.dialogue.handle_message(said, wanted);
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
        let restarts = matches!(said, Message::Connected(_) | Message::Disconnected(_) | Message::Booted);
        if restarts {
            (self.ids, self.base, self.first, self.knew) = ((None, None), None, None, false);
        }
        let words = matches!(said, Message::Value(_, [206 | 207, ..]));
        self.commanded |= restarts || words || matches!(said, Message::Written | Message::Completed(_));
        restarts
    }

    /// What the dongle answers says that a command passed.
    fn observe_command(&mut self, _said: &[u8]) -> CommandEffect {
        CommandEffect::default()
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
    fn restarted(&mut self) -> Restart {
        self.end();
        Restart::Surely
    }

    /// Nothing is connected, and nothing is looked for: what the dongle did before ends. A silent one is greeted
    /// again, and may have a connection then.
    fn handshake(&self) -> &'static [&'static [u8]] {
        &[DISCONNECT, &[0, 0, 6, 4]]
    }

    fn stop_stream(&self) -> &'static [u8] {
        DISCONNECT
    }

    fn poll_transmit(&mut self, time: Time, out: &mut Vec<u8>) -> Restart {
        self.dialogue.poll_transmit(time.now, out);
        Restart::No
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.dialogue.close(out);
    }
}

#[cfg(test)]
mod tests;
