//! Checksums of frames: sums and cyclic redundancy checks of 8, 16 and 32 bits, bit by bit.
//!
//! The names and their numbers are those of the usual catalogues: CCITT is polynomial 0x1021, Modbus 0x8005
//! reflected, CRC-32 that of Ethernet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The sum of all bytes.
    Sum8,
    /// The sum of all bytes, each bit the other way.
    Sum8Inverted,
    /// All bytes, exclusive or.
    Xor8,
    /// 8 bits; `poly` 0x07 and `init` 0 unless said otherwise.
    Crc8,
    /// 16 bits, polynomial 0x1021; `init` 0xFFFF unless said otherwise.
    Crc16Ccitt,
    /// 16 bits, polynomial 0x8005 reflected; `init` 0xFFFF unless said otherwise.
    Crc16Modbus,
    /// 32 bits, as Ethernet has it.
    Crc32,
}

impl Kind {
    /// Bytes of the result.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Sum8 | Self::Sum8Inverted | Self::Xor8 | Self::Crc8 => 1,
            Self::Crc16Ccitt | Self::Crc16Modbus => 2,
            Self::Crc32 => 4,
        }
    }

    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8], poly: Option<u32>, init: Option<u32>) -> u32 {
        let sum = || bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        match self {
            Self::Sum8 => sum().into(),
            Self::Sum8Inverted => (!sum()).into(),
            Self::Xor8 => bytes.iter().fold(0, |sum, byte| sum ^ byte).into(),
            Self::Crc8 => forward(bytes, 8, poly.unwrap_or(0x07), init.unwrap_or(0)),
            Self::Crc16Ccitt => forward(bytes, 16, 0x1021, init.unwrap_or(0xFFFF)),
            Self::Crc16Modbus => reflected(bytes, 0xA001, init.unwrap_or(0xFFFF)),
            Self::Crc32 => !reflected(bytes, 0xEDB8_8320, init.unwrap_or(u32::MAX)),
        }
    }
}

/// The highest bit first.
fn forward(bytes: &[u8], bits: u32, poly: u32, init: u32) -> u32 {
    let (top, mask) = (1 << (bits - 1), (1 << bits) - 1);
    let rest = bytes.iter().fold(init, |rest, byte| {
        (0..8).fold(rest ^ u32::from(*byte) << (bits - 8), |rest, _| {
            rest << 1 ^ if rest & top == 0 { 0 } else { poly }
        })
    });
    rest & mask
}

/// The lowest bit first.
fn reflected(bytes: &[u8], poly: u32, init: u32) -> u32 {
    bytes.iter().fold(init, |rest, byte| {
        (0..8).fold(rest ^ u32::from(*byte), |rest, _| rest >> 1 ^ if rest & 1 == 0 { 0 } else { poly })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_catalogue_come_out() {
        // Of the text "123456789", as the catalogue of parametrised CRC algorithms lists them.
        let of = |kind: Kind| kind.of(b"123456789", None, None);
        assert_eq!(of(Kind::Crc8), 0xF4);
        assert_eq!(of(Kind::Crc16Ccitt), 0x29B1);
        assert_eq!(of(Kind::Crc16Modbus), 0x4B37);
        assert_eq!(of(Kind::Crc32), 0xCBF4_3926);
        assert_eq!(Kind::Crc8.of(b"123456789", Some(0x31), None), 0xA2, "NRSC-5 without its start is 0xA2");
        assert_eq!(Kind::Crc16Ccitt.of(b"123456789", None, Some(0)), 0x31C3);
        assert_eq!(of(Kind::Sum8), 0xDD);
        assert_eq!(of(Kind::Sum8Inverted), 0x22);
        assert_eq!(of(Kind::Xor8), 0x31);
    }
}
