//! OpenEEG (ModularEEG), 6 channels at 256 Hz: packets of version 2 and of version 3.
//!
//! Version 2 is as readers of these boards take it, version 3 as its author described it on the OpenEEG list.
//! They stream as long as they have power, and hear nothing.

use super::{Board, Converter, FTDI, Facts};

const CHANNELS: usize = 6;
const FACTS: Facts = Facts { channels: CHANNELS, rate: 256.0, frame_rate: 256.0, latency: FTDI };

/// 10 bits; half a microvolt a count, as the usual amplification makes it.
fn converter() -> Converter {
    Converter::unsigned(10, 0.5)
}

/// What all switches read when none is pressed.
const SWITCHES: u8 = 0x0F;

/// Packets of version 2.
#[derive(Debug)]
pub struct P2;

impl Board for P2 {
    fn facts(&self) -> Facts {
        FACTS
    }

    fn converter(&self, _channel: usize) -> Converter {
        converter()
    }

    fn streaming(&self) -> Option<u32> {
        Some(0)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        out.extend([0xA5, 0x5A, 2, number as u8]);
        counts.iter().for_each(|count| out.extend((*count as u16).to_be_bytes()));
        out.push(SWITCHES);
        1
    }
}

/// Packets of version 3.
#[derive(Debug)]
pub struct P3;

/// What the first auxiliary channel spells.
const NAME: &[u8; 8] = b"mEEGv1.0";

impl Board for P3 {
    fn facts(&self) -> Facts {
        FACTS
    }

    fn converter(&self, _channel: usize) -> Converter {
        converter()
    }

    fn streaming(&self) -> Option<u32> {
        Some(0)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        let aux = match number & 7 {
            0 => NAME.get((number / 8 % 8) as usize).copied().unwrap_or_default(),
            4 => SWITCHES,
            _ => 0,
        };
        packet(number as u8 & 63, aux, counts, out);
        1
    }
}

fn packet(counter: u8, aux: u8, counts: &[i32], out: &mut Vec<u8>) {
    out.extend([counter << 1 | aux >> 7, aux & 0x7F]);
    for pair in counts.chunks_exact(2) {
        if let [a, b] = *pair {
            out.extend([a & 0x7F, b & 0x7F, (a >> 7 & 7) << 4 | b >> 7 & 7].map(|byte| byte as u8));
        }
    }
    if let Some(last) = out.last_mut() {
        *last |= 0x80;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_version_2() {
        let mut out = Vec::new();
        P2.frame(57, &[563, 491, 546, 435, 512, 512], &mut out);
        assert_eq!(out, [0xA5, 0x5A, 2, 0x39, 2, 0x33, 1, 0xEB, 2, 0x22, 1, 0xB3, 2, 0, 2, 0, 0x0F]);
    }

    #[test]
    fn the_example_of_version_3() {
        let mut out = Vec::new();
        packet(5, 0x81, &[512, 513, 1023, 0, 300, 700], &mut out);
        assert_eq!(out, [0x0B, 1, 0, 1, 0x44, 0x7F, 0, 0x70, 0x2C, 0x3C, 0xA5]);
    }
}
