//! NeuroPawn Knight, 8 channels, and Knight IMU: frames of 21 and of 57 bytes.
//!
//! The layout is what BrainFlow's driver reads (brainflow, board_controller/neuropawn): there is no document
//! of the maker. It starts without a command. The IMU's numbers are not looked at, and voltages are right
//! for the gain that a program sets through a tap (`chon_3_6`: channel 3, gain 6, as public programs write it), and
//! until then for the configured one, 12 as a board starts with.

use super::{Board, Boards, CommandEffect, Segment, bracketed, byte, uint16};
use crate::decode::Sink;
use crate::decode::facts::{Facts, Rates};
use crate::event::{Body, Contact, Device, Input, Rails};

/// Volts of one count at a gain of 1: reference 4 V, 16 bits with sign (the driver's own formula).
const SCALE: f64 = 4.0 / 32_767.0;
/// The gain that a board starts with.
const GAIN: u8 = 12;
/// The gains that a board can be set to.
pub const GAINS: &[u8] = &[1, 2, 3, 4, 6, 8, 12];
/// Channels of one frame.
const CHANNELS: u16 = 8;
/// Where the two bytes stand that say which electrodes are off, a bit a channel: first those of the
/// positive inputs, then those of the negative ones.
const LEAD_OFF: usize = 18;

/// What sets a gain begins so; a channel, an underscore and the gain follow.
const GAIN_SET: &[u8] = b"chon_";
/// Bytes of the longest: `chon_8_12`.
const COMMAND: usize = 9;

/// What is known of the board without IMU, and with it.
pub(in crate::decode) const PLAIN: Facts = Facts {
    gains: GAINS,
    rates: Rates::Any,
    ..Facts::board("knight", 115_200, |of| Box::new(Boards::new(Knight::plain(of.gain)).at(of.rate)))
};
pub(in crate::decode) const IMU: Facts = Facts {
    gains: GAINS,
    rates: Rates::Any,
    ..Facts::board("knight_imu", 115_200, |of| Box::new(Boards::new(Knight::imu(of.gain)).at(of.rate)))
};

/// A Knight, with or without an IMU.
#[derive(Debug)]
pub struct Knight {
    protocol: &'static str,
    length: usize,
    gains: [u8; CHANNELS as usize],
    /// The end of what a program said, of which more may follow.
    said: Vec<u8>,
    /// Which electrodes were off, if reported.
    off: Option<[u8; 2]>,
}

impl Knight {
    /// One that ends its frames after the electrodes, with this gain, 12 if not said.
    #[must_use]
    pub fn plain(gain: Option<u8>) -> Self {
        let gains = [gain.unwrap_or(GAIN).max(1); CHANNELS as usize];
        Self { protocol: "knight", length: 21, gains, said: Vec::new(), off: None }
    }

    /// One that appends nine numbers of 32 bits, with this gain, 12 if not said.
    #[must_use]
    pub fn imu(gain: Option<u8>) -> Self {
        Self { protocol: "knight_imu", length: 57, ..Self::plain(gain) }
    }

    /// Takes a gain from what follows `chon_`.
    fn set(&mut self, rest: &[u8]) {
        let [channel @ b'1'..=b'8', b'_', gain @ ..] = rest else { return };
        let digits = gain.iter().take(2).take_while(|digit| digit.is_ascii_digit());
        let gain = digits.fold(0, |gain: u8, digit| 10 * gain + (digit - b'0'));
        if let Some(place) = self.gains.get_mut(usize::from(channel - b'1'))
            && GAINS.contains(&gain)
        {
            *place = gain;
        }
    }
}

impl Board for Knight {
    fn device(&self) -> Device {
        let Self { protocol, .. } = *self;
        let rails = Rails::amplified(16, SCALE, &self.gains);
        Device {
            protocol,
            channels: CHANNELS,
            rate: 125.0,
            packet_rate: 125.0,
            volts: true,
            modulus: 256,
            rails,
        }
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        bracketed(bytes, self.length, 0xA0, |tail| tail == 0xC0)
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 1).into())
    }

    fn report_status(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        let off = [byte(frame, LEAD_OFF), byte(frame, LEAD_OFF + 1)];
        let before = self.off.replace(off);
        for (place, input) in [Input::Positive, Input::Negative].into_iter().enumerate() {
            let now = byte(&off, place);
            let changed = before.map_or(0xFF, |before| byte(&before, place) ^ now);
            for channel in (0..CHANNELS).filter(|channel| changed >> channel & 1 == 1) {
                let on = now >> channel & 1 == 0;
                out(Body::Contact(Contact { channel: channel + 1, input, on }));
            }
        }
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let words = frame.get(2..LEAD_OFF).unwrap_or_default().chunks_exact(2).zip(&self.gains);
        let volts =
            |(word, gain): (&[u8], &u8)| f64::from(uint16(word).cast_signed()) * SCALE / f64::from(*gain);
        values.extend(words.map(|word| volts(word) as f32));
    }

    fn observe_command(&mut self, said: &[u8]) -> CommandEffect {
        let (was, mut all) = (self.gains, std::mem::take(&mut self.said));
        all.extend_from_slice(said);
        for place in memchr::memmem::find_iter(&all, GAIN_SET) {
            self.set(all.get(place + GAIN_SET.len()..).unwrap_or_default());
        }
        // A command may come in two reads.
        let rest = all.len().saturating_sub(COMMAND);
        all.drain(..rest);
        self.said = all;
        CommandEffect { changed: self.gains != was, ..CommandEffect::default() }
    }

    fn end(&mut self) {
        self.off = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_big_endian() {
        // BrainFlow 5.23 reads 100 sent so as 1017.28 microvolts.
        let mut frame = [0; 21];
        frame[2..4].copy_from_slice(&100_i16.to_be_bytes());
        frame[4..6].copy_from_slice(&(-100_i16).to_be_bytes());
        let mut values = Vec::new();
        Knight::plain(None).samples(&frame, &mut values);
        assert_eq!(values.len(), 8);
        assert!((values[0] - 1017.29e-6).abs() < 1e-8 && (values[0] + values[1]).abs() < 1e-12, "{values:?}");
    }

    #[test]
    fn a_gain_that_a_program_sets_is_that_of_the_volts() {
        let mut board = Knight::plain(None);
        let mut volts = |said: &[u8]| {
            let changed = board.observe_command(said).changed;
            let mut values = Vec::new();
            board.samples(&[1; 21], &mut values);
            let rails = board.device().rails;
            let high = [0, 1].map(|channel| (4.0 / rails.of(channel).unwrap().1).round());
            (changed, (values[1] / values[0]).round(), high)
        };
        assert_eq!(volts(b"choff_1"), (false, 1.0, [12.0, 12.0]));
        assert_eq!(volts(b"chon_1_12rldadd_1chon_2"), (false, 1.0, [12.0, 12.0]));
        // The digit that is still to come.
        assert_eq!(volts(b"_1"), (true, 12.0, [12.0, 1.0]));
        assert_eq!(volts(b"2\nchon_9_6chon_2_5"), (true, 1.0, [12.0, 12.0]));
        assert_eq!(volts(b"chon_2_4\n"), (true, 3.0, [12.0, 4.0]));
        assert_eq!(volts(b"chon_2_4"), (false, 3.0, [12.0, 4.0]));
    }

    #[test]
    fn contacts_are_told_when_they_change() {
        let mut decoded = Vec::new();
        let mut board = Knight::plain(None);
        let mut frame = [0; 21];
        for off in [[0, 0], [0, 0], [4, 0], [4, 128]] {
            frame[18..20].copy_from_slice(&off);
            board.report_status(&frame, &mut |body| {
                if let Body::Contact(Contact { channel, input, on }) = body {
                    decoded.push((channel, input.as_str(), on));
                }
            });
        }
        assert_eq!(decoded.len(), 18);
        assert!(decoded[..16].iter().all(|(.., on)| *on));
        assert_eq!(decoded[16..], [(3, "p", false), (8, "n", false)]);
    }
}
