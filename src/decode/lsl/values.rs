//! Values of samples as 32-bit floats, and the two patterns that a stream begins with.

use super::info::Format;

/// The two patterns, as what is added to the number of the channel.
const OFFSETS: [u64; 2] = [4, 2];

/// Appends the values of one sample, as they are.
pub(super) fn append(format: Format, big: bool, bytes: &[u8], to: &mut Vec<f32>) {
    fn each<const N: usize>(bytes: &[u8], to: &mut Vec<f32>, read: impl Fn([u8; N]) -> f32) {
        to.extend(bytes.as_chunks::<N>().0.iter().map(|raw| read(*raw)));
    }
    match (format, big) {
        (Format::Float32, false) => each(bytes, to, f32::from_le_bytes),
        (Format::Float32, true) => each(bytes, to, f32::from_be_bytes),
        (Format::Double64, false) => each(bytes, to, |raw| f64::from_le_bytes(raw) as f32),
        (Format::Double64, true) => each(bytes, to, |raw| f64::from_be_bytes(raw) as f32),
        (Format::Int32, false) => each(bytes, to, |raw| i32::from_le_bytes(raw) as f32),
        (Format::Int32, true) => each(bytes, to, |raw| i32::from_be_bytes(raw) as f32),
        (Format::Int16, false) => each(bytes, to, |raw| i16::from_le_bytes(raw).into()),
        (Format::Int16, true) => each(bytes, to, |raw| i16::from_be_bytes(raw).into()),
        (Format::Int8, _) => each(bytes, to, |raw| i8::from_le_bytes(raw).into()),
        (Format::Int64, false) => each(bytes, to, |raw| i64::from_le_bytes(raw) as f32),
        (Format::Int64, true) => each(bytes, to, |raw| i64::from_be_bytes(raw) as f32),
        (Format::Text, _) => {}
    }
}

/// A value of protocol 1.00, whose numbers hold the bits of floats.
pub(super) fn of_bits(format: Format, number: i64) -> f32 {
    match format {
        // What is beyond 32 bits is no float of 32 bits.
        Format::Float32 => u32::try_from(number).map_or(f32::NAN, f32::from_bits),
        Format::Double64 => f64::from_bits(number.cast_unsigned()) as f32,
        _ => number as f32,
    }
}

/// What a channel, from 0, has in the first or the second pattern (`sample::assign_test_pattern` of liblsl).
pub(super) fn pattern(format: Format, which: u8, channel: usize) -> f32 {
    let (base, modulus) = match format {
        Format::Float32 => (0, u64::MAX),
        Format::Double64 => (16_777_217, u64::MAX),
        Format::Int32 => (65_537, i32::MAX as u64),
        Format::Int16 => (257, i16::MAX as u64),
        Format::Int8 => (1, i8::MAX as u64),
        Format::Int64 => (2_147_483_649, u64::MAX),
        Format::Text => return text_pattern(channel) as f32,
    };
    let offset = OFFSETS.get(usize::from(which)).copied().unwrap_or_default();
    let value = ((channel as u64 + offset + base) % modulus) as f32;
    if channel.is_multiple_of(2) { value } else { -value }
}

/// The same of a channel of texts, as the number that is written.
pub(super) fn text_pattern(channel: usize) -> i64 {
    let value = channel as i64 + 10;
    if channel.is_multiple_of(2) { value } else { -value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_they_are_on_the_wire() {
        let of = |format, which| [0, 1, 2, 3].map(|channel| pattern(format, which, channel));
        assert_eq!(of(Format::Float32, 0), [4.0, -5.0, 6.0, -7.0]);
        assert_eq!(of(Format::Float32, 1), [2.0, -3.0, 4.0, -5.0]);
        assert_eq!(of(Format::Int16, 0), [261.0, -262.0, 263.0, -264.0]);
        assert_eq!(of(Format::Int8, 1), [3.0, -4.0, 5.0, -6.0]);
        assert_eq!(pattern(Format::Int8, 0, 122), 0.0);
        assert_eq!(text_pattern(1), -11);
    }

    #[test]
    fn both_orders_of_bytes() {
        for (_, format) in Format::ALL.iter().filter(|(_, format)| *format != Format::Text) {
            let value = pattern(*format, 0, 1);
            let mut wire: Vec<u8> = match format {
                Format::Float32 => (value).to_le_bytes().to_vec(),
                Format::Double64 => f64::from(value).to_le_bytes().to_vec(),
                Format::Int32 => (value as i32).to_le_bytes().to_vec(),
                Format::Int16 => (value as i16).to_le_bytes().to_vec(),
                Format::Int8 => (value as i8).to_le_bytes().to_vec(),
                _ => (value as i64).to_le_bytes().to_vec(),
            };
            assert_eq!(wire.len(), format.size());
            let mut values = Vec::new();
            append(*format, false, &wire, &mut values);
            wire.reverse();
            append(*format, true, &wire, &mut values);
            assert_eq!(values, [value; 2], "{format:?}");
        }
    }
}
