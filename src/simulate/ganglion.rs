//! OpenBCI Ganglion, 4 channels at 200 Hz: its packets of 20 bytes and its commands, firmware 2 and 3.
//!
//! Packets are those of the Ganglion Data Format, the lowest bit of a number being its sign; how firmware 3 numbers
//! them, in a first round and later, is that of the maker's library at its tags. Radio and dongle are not here.

use super::rng::Rng;
use super::{Converter, Facts, USB};

/// Channels of one sample.
pub const CHANNELS: usize = 4;
/// Bytes of one packet.
pub const PACKET: usize = 20;
/// Samples per second.
const RATE: f64 = 200.0;
/// Impedances a second. The documents do not say how many there are.
const IMPEDANCES: f64 = 5.0;

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Idle,
    Samples,
    Impedance,
}

/// What its firmware is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Firmware {
    /// Differences, and a whole sample each round.
    #[default]
    #[value(name = "2")]
    Two,
    /// Values. It does not begin its numbers again when it is started.
    #[value(name = "3.0.0")]
    ThreeZero,
    /// Values. It begins its numbers with one that no other packet has.
    #[value(name = "3", aliases = ["3.0.1", "3.0.2"])]
    Three,
}

/// A Ganglion, switched on.
#[derive(Debug)]
pub struct Ganglion {
    firmware: Firmware,
    /// Where the round began whose packets are numbered, and the number that comes next.
    first: u64,
    next: u64,
    work: Work,
    runs: u32,
    /// Whether packets carry accelerometer values, and samples one bit less each.
    accelerates: bool,
    on: [bool; CHANNELS],
    /// What a reader has of each channel.
    last: [i32; CHANNELS],
    ohms: [u32; CHANNELS + 1],
    rng: Rng,
}

/// Puts numbers of so many bits one after the other into a packet, the highest bit first, from its second byte.
fn pack(id: u8, bits: u32, values: &[u32], last: u8) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    let mut place = 8;
    for value in values {
        for bit in (0..bits).rev() {
            if let Some(byte) = packet.get_mut(place / 8) {
                *byte |= ((value >> bit & 1) as u8) << (7 - place % 8);
            }
            place += 1;
        }
    }
    packet[0] = id;
    packet[PACKET - 1] |= last;
    packet
}

impl Ganglion {
    /// One with firmware 2, or 3.
    #[must_use]
    pub fn new(seed: u64, firmware: Firmware) -> Self {
        let mut rng = Rng::new(seed ^ 0x6A);
        let ohms = std::array::from_fn(|_| 5000 + 100 * (rng.roll() % 200) as u32);
        Self {
            firmware,
            first: 0,
            next: 0,
            work: Work::Idle,
            runs: 0,
            accelerates: false,
            on: [true; CHANNELS],
            last: [0; CHANNELS],
            ohms,
            rng,
        }
    }

    /// The name that it advertises. Its 12th letter tells firmware 3.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.firmware != Firmware::Two { "Ganglion 1.3-c0ffee" } else { "Ganglion-c0de" }
    }

    /// What it is.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let frame_rate = match (self.work, self.firmware) {
            (Work::Impedance, _) => IMPEDANCES,
            // One whole sample, then a hundred packets of two.
            (_, Firmware::Two) => RATE * 101.0 / 201.0,
            // The last sample of each round is not sent.
            _ => RATE * 100.0 / 201.0,
        };
        Facts { channels: CHANNELS, rate: RATE, frame_rate, latency: USB }
    }

    /// How its channels turn voltage into counts.
    #[must_use]
    pub fn converter() -> Converter {
        Converter::signed(24, 1.2e6 / (8_388_607.0 * 1.5 * 51.0))
    }

    /// The number of its stream, or nothing while it is quiet.
    #[must_use]
    pub fn streaming(&self) -> Option<u32> {
        (self.work != Work::Idle).then_some(self.runs)
    }

    /// Samples in the packet with this number.
    #[must_use]
    pub fn samples_in(&self, number: u64) -> usize {
        match self.work {
            Work::Samples if self.firmware != Firmware::Two || !number.is_multiple_of(101) => 2,
            _ => 1,
        }
    }

    /// Stops and forgets, as when it is switched off.
    pub fn reset(&mut self) {
        self.disconnect();
        self.next = 0;
    }

    /// Stops, as when its connection ends.
    pub fn disconnect(&mut self) {
        (self.work, self.accelerates, self.on) = (Work::Idle, false, [true; CHANNELS]);
    }

    /// Does as commanded, and gives the text that it answers with.
    pub fn receive(&mut self, command: &[u8]) -> &'static str {
        let mut text = "";
        for byte in command {
            let work = match byte {
                b'b' => Work::Samples,
                b'z' => Work::Impedance,
                b's' | b'Z' => Work::Idle,
                b'v' => {
                    text = "OpenBCI Ganglion v2.0.0 - Firmware: v2.0.1 - LIS2DH Device ID: 0x33 - MCP3912$$$";
                    Work::Idle
                }
                b'n' | b'N' => {
                    self.accelerates = *byte == b'n';
                    continue;
                }
                b'1'..=b'4' => {
                    self.switch(usize::from(byte - b'1'), false);
                    continue;
                }
                b'!' | b'@' | b'#' | b'$' => {
                    self.switch(b"!@#$".iter().position(|key| key == byte).unwrap_or_default(), true);
                    continue;
                }
                _ => continue,
            };
            if work != self.work {
                self.runs += u32::from(work != Work::Idle);
                (self.work, self.last) = (work, [0; CHANNELS]);
                self.first = if self.firmware == Firmware::ThreeZero { self.next } else { 255 };
            }
        }
        text
    }

    fn switch(&mut self, channel: usize, on: bool) {
        if let Some(is) = self.on.get_mut(channel) {
            *is = on;
        }
    }

    /// The packet with this number of the stream.
    pub fn packet(&mut self, number: u64, counts: &[i32]) -> [u8; PACKET] {
        if self.work == Work::Impedance {
            let which = (number % 5) as usize;
            let ohms = self.ohms.get(which).copied().unwrap_or_default();
            let mut packet = [0; PACKET];
            packet[0] = 201 + which as u8;
            let text = format!("{}Z", u64::from(ohms) + self.rng.roll() % 50);
            packet.iter_mut().skip(1).zip(text.bytes()).for_each(|(to, from)| *to = from);
            return packet;
        }
        let on = |at: usize| self.on.get(at % CHANNELS).copied().unwrap_or(true);
        let counts: Vec<i32> =
            counts.iter().enumerate().map(|(at, count)| if on(at) { *count } else { 0 }).collect();
        // 10 Hz of a board that lies still: 1 g along its last axis, at 32 mg a count.
        let accelerates = self.accelerates;
        let axis = |id: u64| match id % 10 {
            1 | 2 => 1,
            0 => 31,
            _ => 0,
        };
        let bits = if accelerates { 18 } else { 19 };
        if self.firmware != Firmware::Two {
            let id = number % 100 + if number < 100 { self.first } else { 0 };
            self.next = id + 1;
            // The highest bits of each count, and its sign once more below them.
            let shift = 24 - (bits - 1);
            let short = |count: &i32| ((count >> shift << 1 | (count >> 31 & 1)) as u32) & ((1 << bits) - 1);
            let values: Vec<u32> = counts.iter().map(short).collect();
            let first: u64 = if accelerates { 0 } else { 100 };
            return pack((first + id) as u8, bits, &values, if accelerates { axis(id) } else { 0 });
        }
        let id = number % 101;
        if id == 0 {
            let mut packet = [0; PACKET];
            for (at, count) in counts.iter().take(CHANNELS).enumerate() {
                let bytes = count.to_be_bytes();
                packet.iter_mut().skip(1 + 3 * at).zip(&bytes[1..]).for_each(|(to, from)| *to = *from);
                if let Some(last) = self.last.get_mut(at) {
                    *last = *count;
                }
            }
            return packet;
        }
        let mut values = Vec::with_capacity(2 * CHANNELS);
        for (at, count) in counts.iter().enumerate() {
            let Some(last) = self.last.get_mut(at % CHANNELS) else { continue };
            let most = (1 << (bits - 1)) - 2;
            let delta = last.saturating_sub(*count).clamp(-most, most);
            // What is positive is even, what is negative is odd.
            let delta = if delta < 0 { delta | 1 } else { delta & !1 };
            *last -= delta;
            values.push(delta as u32 & ((1 << bits) - 1));
        }
        let first = if accelerates { 0 } else { 100 };
        pack(first + id as u8, bits, &values, if accelerates { axis(id) } else { 0 })
    }

    /// Text in packets, all but the last one marked as parts.
    #[must_use]
    pub fn message(text: &str) -> Vec<[u8; PACKET]> {
        let pieces = text.as_bytes().chunks(PACKET - 1);
        let last = pieces.len().saturating_sub(1);
        let packet = |(at, piece): (usize, &[u8])| {
            let mut packet = [0; PACKET];
            packet[0] = if at == last { 207 } else { 206 };
            packet.iter_mut().skip(1).zip(piece).for_each(|(to, from)| *to = *from);
            packet
        };
        pieces.enumerate().map(packet).collect()
    }

    /// Kiloohms of each channel.
    #[must_use]
    pub fn impedances(&self) -> Vec<f64> {
        self.ohms.iter().take(CHANNELS).map(|ohms| f64::from(*ohms) / 1e3).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(packet: &[u8]) -> String {
        packet.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_vectors_of_the_format() {
        let short = pack(1, 18, &[0, 2, 10, 4, 131_074, 245_760, 114_698, 49_162], 0x0E);
        assert_eq!(hex(&short), "010000000020002800048000bc00070028c00a0e");
        let long = pack(0x65, 19, &[0, 2, 10, 4, 262_148, 507_910, 393_222, 8], 0);
        assert_eq!(hex(&long), "6500000000080005000048000 9f001b000300008".replace(' ', ""));
    }

    #[test]
    fn differences_add_up() {
        let mut board = Ganglion::new(1, Firmware::Two);
        board.receive(b"b");
        assert_eq!((board.samples_in(0), board.samples_in(1), board.samples_in(101)), (1, 2, 1));
        let wave = |n: i64| (20_000.0 * (n as f64 / 9.0).sin()) as i32;
        let first = board.packet(0, &[wave(0), -5, 0, 7]);
        assert_eq!(i32::from_be_bytes([0, first[10], first[11], first[12]]), 7);
        let mut value = 0;
        for n in 1..100 {
            let (a, b) = (wave(2 * n - 1), wave(2 * n));
            let packet = board.packet(n as u64, &[a, 0, 0, 0, b, 0, 0, 0]);
            assert_eq!(packet[0], 100 + n as u8);
            let bits = packet.iter().skip(1).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
            // 152 bits do not fit; the first channel's of both samples are read from the top of 128.
            let top = packet[1..17].iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
            let read = |low: u32| (top >> low & 0x7FFFF) as i32;
            for (number, want) in [(read(109), a), (read(33), b)] {
                value -= if number & 1 == 1 { number - (1 << 19) } else { number };
                assert!((value - want).abs() <= 1, "{value} is not {want}");
            }
            let _ = bits;
        }
    }

    #[test]
    fn firmware_3_sends_what_it_reads() {
        let mut board = Ganglion::new(1, Firmware::Three);
        board.receive(b"nb");
        let packet = board.packet(107, &[-1000, 1000, 0, 0, 0, 0, 0, 0]);
        let number = u32::from_be_bytes([0, packet[1], packet[2], packet[3]]) >> 6;
        assert_eq!(
            (packet[0], number & 1, (number as i32 - (1 << 18)) << 6),
            (7, 1, -1000 / 128 * 128 - 128 + 64)
        );
    }

    #[test]
    fn a_first_round_of_firmware_3_has_numbers_of_its_own() {
        for (firmware, first, again) in
            [(Firmware::Three, [99, 100], [99, 100]), (Firmware::ThreeZero, [100, 101], [137, 138])]
        {
            let mut board = Ganglion::new(1, firmware);
            let mut ids = |numbers: std::ops::Range<u64>| {
                board.receive(b"sb");
                numbers.map(|number| board.packet(number, &[0; 8])[0]).collect::<Vec<_>>()
            };
            let all = ids(0..237);
            assert_eq!((&all[..2], all[100], all[236]), (&first[..], 100, 136), "{firmware:?}");
            let all = ids(0..201);
            assert_eq!((&all[..2], all[100], all[200]), (&again[..], 100, 100), "{firmware:?}");
        }
    }

    #[test]
    fn impedances_are_text() {
        let mut board = Ganglion::new(1, Firmware::Two);
        board.receive(b"z");
        let packet = board.packet(4, &[]);
        let end = packet.iter().position(|byte| *byte == b'Z').unwrap();
        assert!(packet[0] == 205 && packet[1..end].iter().all(u8::is_ascii_digit), "{packet:?}");
        board.receive(b"Z");
        assert_eq!(board.streaming(), None);
        let text = Ganglion::message("a message of more than one packet");
        assert_eq!((text.len(), text[0][0], text[1][0]), (2, 206, 207));
    }
}
