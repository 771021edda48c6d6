//! NeuroPawn Knight, 8 channels, and Knight IMU: frames of 21 and of 57 bytes.
//!
//! The layout is what BrainFlow's driver reads (brainflow, board_controller/neuropawn): there is no document
//! of the maker. It starts without being told to. The IMU's numbers are not looked at, and voltages are right
//! for the gain that it is told, 12 as a board starts with.

use super::Sink;
use super::board::{Board, Piece, bracketed, byte, uint16};
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

/// A Knight, with or without an IMU.
#[derive(Debug)]
pub struct Knight {
    protocol: &'static str,
    length: usize,
    /// Volts of one count.
    scale: f64,
    /// Which electrodes were off, if that was told.
    off: Option<[u8; 2]>,
}

impl Knight {
    /// One that ends its frames after the electrodes, with this gain, 12 if not said.
    #[must_use]
    pub fn plain(gain: Option<u8>) -> Self {
        let scale = SCALE / f64::from(gain.unwrap_or(GAIN).max(1));
        Self { protocol: "knight", length: 21, scale, off: None }
    }

    /// One that appends nine numbers of 32 bits, with this gain, 12 if not said.
    #[must_use]
    pub fn imu(gain: Option<u8>) -> Self {
        Self { protocol: "knight_imu", length: 57, ..Self::plain(gain) }
    }
}

impl Board for Knight {
    fn device(&self) -> Device {
        let Self { protocol, .. } = *self;
        let rails = Rails::signed(16, self.scale);
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

    fn piece(&self, bytes: &[u8], _last: bool) -> Piece {
        bracketed(bytes, self.length, 0xA0, |tail| tail == 0xC0)
    }

    fn counter(&self, frame: &[u8]) -> Option<u32> {
        Some(byte(frame, 1).into())
    }

    fn news(&mut self, frame: &[u8], out: &mut Sink<'_>) {
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
        let words = frame.get(2..LEAD_OFF).unwrap_or_default().chunks_exact(2);
        values.extend(words.map(|word| (f64::from(uint16(word).cast_signed()) * self.scale) as f32));
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
    fn contacts_are_told_when_they_change() {
        let mut told = Vec::new();
        let mut board = Knight::plain(None);
        let mut frame = [0; 21];
        for off in [[0, 0], [0, 0], [4, 0], [4, 128]] {
            frame[18..20].copy_from_slice(&off);
            board.news(&frame, &mut |body| {
                if let Body::Contact(Contact { channel, input, on }) = body {
                    told.push((channel, input.as_str(), on));
                }
            });
        }
        assert_eq!(told.len(), 18);
        assert!(told[..16].iter().all(|(.., on)| *on));
        assert_eq!(told[16..], [(3, "p", false), (8, "n", false)]);
    }
}
