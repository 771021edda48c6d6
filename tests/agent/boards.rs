//! Streams as boards write them, put together from their documents and not from the decoders.

use std::path::Path;

use neural_exporter::decode::Protocol;

/// The protocols of boards.
pub(crate) fn all() -> impl Iterator<Item = Protocol> {
    Protocol::ALL.iter().copied().filter(|protocol| is(*protocol))
}

/// Whether boards speak this protocol.
pub(crate) fn is(protocol: Protocol) -> bool {
    protocol.brings_samples() && !protocol.is_datagrams()
}

/// One frame with this number, whose samples depend on it and look like no mark.
pub(crate) fn frame(protocol: Protocol, number: u32) -> Vec<u8> {
    let wave = |channel: u32| 1 + (number * 7 + channel * 3) % 90;
    match protocol {
        Protocol::Cyton | Protocol::Daisy => {
            let mut frame = vec![0xA0, number as u8];
            (0..8).for_each(|channel| frame.extend(&wave(channel).to_be_bytes()[1..]));
            frame.extend([0, 0, 0, 0, 0, 0, 0xC0 + (number % 7) as u8]);
            frame
        }
        Protocol::Knight | Protocol::KnightImu => {
            let mut frame = vec![0xA0, number as u8];
            (0..8).for_each(|channel| frame.extend((wave(channel) as u16).to_be_bytes()));
            frame.extend([0, 2]);
            if protocol == Protocol::KnightImu {
                (0..9).for_each(|axis| frame.extend((wave(axis) as f32 / 64.0).to_le_bytes()));
            }
            frame.push(0xC0);
            frame
        }
        Protocol::FreeEeg32 => {
            let mut frame = vec![0xA0, number as u8];
            (0..32).for_each(|channel| frame.extend(&wave(channel).to_be_bytes()[1..]));
            frame.extend([0, 0, 0, 0, 0, 0, 0, 0xC0]);
            frame
        }
        Protocol::ThinkGear if number % 512 == 511 => checked(&[2, 0, 4, 42, 5, 69]),
        Protocol::ThinkGear => {
            let [.., high, low] = wave(0).to_be_bytes();
            checked(&[0x80, 2, high, low])
        }
        Protocol::Chords => {
            let mut frame = vec![0xC7, 0x7C, number as u8];
            (0..6).for_each(|channel| frame.extend((wave(channel) as u16).to_be_bytes()));
            frame.push(1);
            frame
        }
        Protocol::OpeneegP2 => {
            let mut frame = vec![0xA5, 0x5A, 2, number as u8];
            (0..6).for_each(|channel| frame.extend((512 + wave(channel) as u16).to_be_bytes()));
            frame.push(0x0F);
            frame
        }
        Protocol::OpeneegP3 => {
            let mut frame = vec![(number as u8 & 63) << 1, 0];
            for pair in 0..3 {
                let (a, b) = (512 + wave(2 * pair), 512 + wave(2 * pair + 1));
                frame.extend([a & 127, b & 127, (a >> 7) << 4 | b >> 7].map(|byte| byte as u8));
            }
            frame[10] |= 0x80;
            frame
        }
        Protocol::Bitalino => {
            let mut bits = u64::from(number % 16) << 60;
            for (channel, low) in [(0, 42), (1, 32), (2, 22), (3, 12)] {
                bits |= u64::from(512 + wave(channel)) << low;
            }
            bits |= u64::from(wave(4) % 64) << 6 | u64::from(wave(5) % 64);
            let mut frame = bits.to_le_bytes().to_vec();
            // The remainder of the division by x⁴ + x + 1, the bits in the order of the line.
            let mut rest = 0_u32;
            for bit in frame.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
                rest = rest << 1 | u32::from(bit);
                if rest & 0x10 != 0 {
                    rest ^= 0x13;
                }
            }
            frame[7] |= rest as u8;
            frame
        }
        Protocol::SpikerBox => {
            let mut frame: Vec<u8> = (0..2)
                .map(|channel| 512 + wave(channel))
                .flat_map(|count| [(count >> 7) as u8, count as u8 & 127])
                .collect();
            frame[0] |= 0x80;
            frame
        }
        Protocol::Ganglion => {
            // Firmware 2 without acceleration: values in packet 0, differences of 19 bits in 101 to 200.
            let id = match number % 101 {
                0 => 0,
                place => 100 + place as u8,
            };
            let mut bits = vec![0; 20 * 8];
            let mut put = |from: usize, width: usize, value: u32| {
                (0..width).for_each(|bit| bits[from + bit] = value >> (width - 1 - bit) & 1);
            };
            put(0, 8, id.into());
            for place in 0..if id == 0 { 4 } else { 8 } {
                let width = if id == 0 { 24 } else { 19 };
                // Even, and so not negative.
                put(8 + place * width, width, 2 * wave(place as u32));
            }
            let packet = bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | *bit as u8));
            [0x80, 25, 4, 5, 0, 0x19, 0, 1, 20].into_iter().chain(packet).collect()
        }
        Protocol::Generic => {
            // The example that the decoder is without a description.
            let mut frame = vec![0xA5, 0x5A, number as u8];
            (0..4).for_each(|channel| frame.extend((wave(channel) as u16).to_be_bytes()));
            // The remainder of the division by x⁸ + x² + x + 1.
            let mut rest = 0_u32;
            for bit in frame[2..].iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
                let top = rest >> 7 & 1;
                rest = (rest << 1 ^ if top == u32::from(bit) { 0 } else { 0x07 }) & 0xFF;
            }
            frame.extend([rest as u8, 0x0A]);
            frame
        }
        Protocol::Intan => {
            let mut block = 0x2ef0_7a08_u32.to_le_bytes().to_vec();
            for sample in 128 * number..128 * (number + 1) {
                block.extend(sample.to_le_bytes());
                (0..2).for_each(|channel| block.extend((0x8000 + wave(channel) as u16).to_le_bytes()));
            }
            block
        }
        other => recorded(other, number),
    }
}

/// The frame with this number of those that stand in the fixtures of a board, one a line in hexadecimal.
fn recorded(board: Protocol, number: u32) -> Vec<u8> {
    // The fuzz targets, which use this file too, lie in a folder of the repository.
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/fixtures"));
    let file = above
        .into_iter()
        .find(|folder| folder.is_dir())
        .unwrap_or_default()
        .join(board.name())
        .join("frames.hex");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let lines: Vec<&str> = text.lines().collect();
    let line = lines[number as usize % lines.len()];
    let digits: Vec<char> = line.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

/// A ThinkGear packet with this payload.
fn checked(payload: &[u8]) -> Vec<u8> {
    let sum: u32 = payload.iter().map(|byte| u32::from(*byte)).sum();
    [&[0xAA, 0xAA, payload.len() as u8], payload, &[!(sum as u8)]].concat()
}

/// So many frames, one after the other.
pub(crate) fn frames(protocol: Protocol, numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| frame(protocol, number)).collect()
}
