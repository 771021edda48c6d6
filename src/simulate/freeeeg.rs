//! FreeEEG32, 32 channels at 512 Hz: frames of 106 bytes, as BrainFlow's driver reads them.
//!
//! What stands after the channels is not documented; here it is zeros. It streams as long as it has power, and
//! hears nothing.

use super::{Board, Converter, Facts, USB};

const CHANNELS: usize = 32;
/// Bytes between the channels and the end.
const REST: usize = 7;

/// A FreeEEG32.
#[derive(Debug)]
pub struct FreeEeg32;

impl Board for FreeEeg32 {
    fn facts(&self) -> Facts {
        Facts { channels: CHANNELS, rate: 512.0, frame_rate: 512.0, latency: USB }
    }

    fn converter(&self, _channel: usize) -> Converter {
        Converter::signed(24, 2.5e6 / 8_388_607.0 / 8.0)
    }

    fn streaming(&self) -> Option<u32> {
        Some(0)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        out.extend([0xA0, number as u8]);
        counts.iter().for_each(|count| out.extend_from_slice(&count.to_be_bytes()[1..]));
        out.extend([0; REST]);
        out.push(0xC0);
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_the_driver_reads_it() {
        let mut out = Vec::new();
        FreeEeg32.frame(300, &[-2; CHANNELS], &mut out);
        assert_eq!((out.len(), &out[..5], out[105]), (106, &[0xA0, 44, 0xFF, 0xFF, 0xFE][..], 0xC0));
        assert!((FreeEeg32.converter(0).step - 0.0372529).abs() < 1e-7);
    }
}
