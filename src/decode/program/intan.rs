//! Intan RHX: blocks of waveforms as the program hands them on over TCP, and, in `talk`, what it is asked.
//!
//! A block is `0x2ef07a08`, the low byte first, and 128 samples: the sample's number, 32 bits, and 16 bits a channel,
//! the low byte first (Intan-RHX 3.4, `tcpdataoutputthread.cpp`). How many channels there are is nowhere said: it is
//! learnt from where numbers go up by one. A channel is taken for one of the amplifier, 0.195 µV a count with 32768 in
//! the middle; others cannot be determined from it. Packets are blocks, and what is missing is counted in blocks,
//! begun ones as whole ones. A block within which numbers jump is none: its bytes are a fault. Checked against our
//! reading of the program's source only.

pub mod talk;

use crate::decode::board::{Board, Boards, Segment};
use crate::decode::facts::{Carries, Facts};
use crate::event::{Device, Rails};

/// What a block begins with.
const MAGIC: [u8; 4] = 0x2ef0_7a08_u32.to_le_bytes();
/// Samples of a block.
const SAMPLES: usize = 128;
/// The most channels, each band of an electrode being one. A larger block is not believed.
const CHANNELS: usize = 4096;
/// Volts of one count of the amplifier.
const VOLTS: f64 = 0.195e-6;
/// The count in the middle.
const MIDDLE: i32 = 32_768;
/// Blocks are numbered modulo this.
const MODULUS: u32 = 1 << 24;

/// What is known of the protocol.
pub(in crate::decode) const FACTS: Facts =
    Facts::new("intan", Carries::Samples, |_| Box::new(Boards::new(Intan::default())));

/// The stream of one connection.
#[derive(Debug)]
pub struct Intan {
    rate: f64,
    /// Whether all channels are the amplifier's.
    volts: bool,
    /// Channels, while that is known.
    channels: Option<usize>,
    reported: u16,
    /// The number of the first sample of the block before.
    before: Option<u32>,
    /// How many blocks there should have been so far.
    number: u32,
}

impl Default for Intan {
    fn default() -> Self {
        Self::new(30_000.0, true)
    }
}

impl Intan {
    /// A stream of so many samples per second. `volts` says that all channels are the amplifier's.
    #[must_use]
    pub fn new(rate: f64, volts: bool) -> Self {
        Self { rate, volts, channels: None, reported: 0, before: None, number: 0 }
    }
}

/// Bytes of one sample.
fn stride(channels: usize) -> usize {
    4 + 2 * channels
}

/// Bytes of a block.
fn length(channels: usize) -> usize {
    MAGIC.len() + SAMPLES * stride(channels)
}

/// The number of a sample.
fn number(block: &[u8], sample: usize, channels: usize) -> Option<u32> {
    let at = MAGIC.len() + sample * stride(channels);
    block.get(at..)?.first_chunk().map(|raw| u32::from_le_bytes(*raw))
}

/// Whether numbers go up by one throughout a block of so many channels; `None` if that cannot be determined yet.
fn counts(block: &[u8], channels: usize) -> Option<bool> {
    let first = number(block, 0, channels)?;
    for (sample, step) in (1..SAMPLES).zip(1_u32..) {
        if number(block, sample, channels)? != first.wrapping_add(step) {
            return Some(false);
        }
    }
    (block.len() >= length(channels)).then_some(true)
}

impl Board for Intan {
    // That 128 numbers follow each other is no accident.
    const CONFIRM: usize = 1;

    fn device(&self) -> Device {
        let rails = match self.volts {
            true => Rails::signed(16, VOLTS),
            false => Rails::All(0.0, f32::from(u16::MAX)),
        };
        Device {
            protocol: "intan",
            channels: self.reported,
            rate: self.rate,
            packet_rate: self.rate / SAMPLES as f64,
            volts: self.volts,
            modulus: MODULUS,
            rails,
        }
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        if bytes.iter().zip(MAGIC).any(|(is, mark)| *is != mark) {
            return Segment::No;
        }
        if let Some(channels) = self.channels {
            if bytes.len() < length(channels) {
                return Segment::More;
            }
            return if counts(bytes, channels) == Some(true) {
                Segment::Frame(length(channels))
            } else {
                Segment::No
            };
        }
        let mut more = false;
        for channels in 1..=CHANNELS {
            match counts(bytes, channels) {
                Some(true) => return Segment::Frame(length(channels)),
                Some(false) => {}
                None => more = true,
            }
        }
        if more { Segment::More } else { Segment::No }
    }

    fn counter(&self, _frame: &[u8]) -> Option<u32> {
        Some(self.number)
    }

    fn identify(&mut self, frame: &[u8]) -> bool {
        let channels = (frame.len().saturating_sub(MAGIC.len()) / SAMPLES).saturating_sub(4) / 2;
        self.channels = Some(channels);
        let first = number(frame, 0, channels).unwrap_or_default();
        let blocks = match self.before.replace(first).map(|before| first.wrapping_sub(before)) {
            // The block before once more, or the first of another run.
            Some(0) => 0,
            // Numbers that go back, or begin again, are those of another run: that is no loss.
            Some(step) if first != 0 && step <= i32::MAX as u32 => step.div_ceil(SAMPLES as u32),
            _ => 1,
        };
        self.number = (self.number + blocks) % MODULUS;
        let channels = u16::try_from(channels).unwrap_or(u16::MAX);
        std::mem::replace(&mut self.reported, channels) != channels
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        let Some(channels) = self.channels else { return };
        for sample in frame.get(MAGIC.len()..).unwrap_or_default().chunks_exact(stride(channels)) {
            let (counts, _) = sample.get(4..).unwrap_or_default().as_chunks();
            let counts = counts.iter().map(|raw| u16::from_le_bytes(*raw));
            if self.volts {
                values.extend(counts.map(|count| (f64::from(i32::from(count) - MIDDLE) * VOLTS) as f32));
            } else {
                values.extend(counts.map(f32::from));
            }
        }
    }

    fn lost(&mut self) {
        self.channels = None;
    }

    fn end(&mut self) {
        *self = Self::new(self.rate, self.volts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::board::Boards;
    use crate::decode::testing::Decoded;

    /// A block whose samples have the numbers from `first` on.
    fn block(first: u32, channels: u16) -> Vec<u8> {
        let mut bytes = vec![0x08, 0x7a, 0xf0, 0x2e];
        for number in 0..128 {
            bytes.extend(first.wrapping_add(number).to_le_bytes());
            (0..channels).for_each(|channel| bytes.extend((32_768 + channel).to_le_bytes()));
        }
        bytes
    }

    fn decoded(pieces: &[Vec<u8>]) -> Decoded {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        Decoded::of(&mut Boards::new(Intan::new(20_000.0, true)), &pieces)
    }

    #[test]
    fn channels_are_learnt_and_loss_is_counted() {
        let of = |blocks: &[(u32, u16)]| {
            decoded(&blocks.iter().map(|(first, channels)| block(*first, *channels)).collect::<Vec<_>>())
        };
        let all = of(&[(0, 3), (128, 3), (512, 3), (512, 3)]);
        assert_eq!((all.channels(), all.samples, all.lost, all.repeated), (vec![0, 3], 384, vec![2], 1));
        assert!(all.faults.is_empty());
        // A run that was stopped after its first block, and begun again.
        let mut again = block(0, 3);
        again[8] ^= 1;
        assert_eq!(decoded(&[block(0, 3), again, block(128, 3)]).lost_packets(), 0);
        // A run that begins again, a number that goes round, and a gap that is no whole number of blocks.
        assert_eq!(of(&[(1_280_000, 2), (0, 2), (128, 2)]).lost_packets(), 0);
        assert_eq!(of(&[(u32::MAX - 127, 1), (0, 1)]).lost_packets(), 0);
        assert_eq!(of(&[(128, 1), (300, 1)]).lost_packets(), 1);
        // Other channels than before: nothing is lost, and it is another device.
        assert_eq!(of(&[(0, 5), (128, 5), (256, 2), (384, 2), (512, 70)]).channels(), [0, 5, 2, 70]);
        assert_eq!(of(&[(0, 5), (128, 5), (256, 2), (384, 2)]).faulty(), 0);
    }

    #[test]
    fn a_block_that_jumps_within_is_a_fault_and_missing() {
        let mut wrong = block(128, 4);
        wrong[4 + 12 * 50] ^= 1;
        let length = wrong.len() as u64;
        let all = decoded(&[block(0, 4), wrong, block(256, 4)]);
        assert_eq!((all.samples, all.lost_packets(), all.faulty()), (256, 1, length));
    }

    #[test]
    fn a_count_is_195_nanovolts() {
        let mut values = Vec::new();
        let mut board = Intan::default();
        let block = block(0, 3);
        assert!(board.identify(&block));
        board.samples(&block, &mut values);
        assert_eq!(values.len(), 3 * 128);
        assert_eq!(values[..3], [0.0, 0.195e-6, 0.39e-6]);
        let (low, high) = board.device().rails.of(0).unwrap();
        assert!((low + 0.006_389_76).abs() < 1e-9 && (high - 0.006_389_565).abs() < 1e-9);
    }
}
