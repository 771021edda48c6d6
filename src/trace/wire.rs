//! The wire format of Protocol Buffers, written field by field into a buffer.

use crate::decode::otlp::wire::put_varint;

/// The kinds of values on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

fn tag(field: u32, kind: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | kind, out);
}

/// An integer, a boolean or an enumeration.
pub(super) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    tag(field, VARINT, out);
    put_varint(value, out);
}

/// Eight bytes.
pub(super) fn fixed64(field: u32, value: u64, out: &mut Vec<u8>) {
    tag(field, FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Four bytes.
pub(super) fn fixed32(field: u32, value: u32, out: &mut Vec<u8>) {
    tag(field, FIXED32, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A text, bytes, or a message that is written already.
pub(super) fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    tag(field, BYTES, out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A message, which `write` appends. Its length, which stands before it, is known after it.
pub(super) fn message(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    tag(field, BYTES, out);
    let begin = out.len();
    write(out);
    let end = out.len();
    put_varint((end - begin) as u64, out);
    let length = out.len() - end;
    if let Some(moved) = out.get_mut(begin..) {
        moved.rotate_right(length);
    }
}

/// What an attribute is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AttributeValue<'a> {
    Text(&'a str),
    Integer(i64),
    Number(f64),
    Flag(bool),
}

impl AttributeValue<'_> {
    /// A number, whole where it is.
    pub(super) fn of(number: f64) -> Self {
        // Counts beyond 2^53 are refused where they are read.
        if number.fract() == 0.0 && number.abs() < 9e15 {
            Self::Integer(number as i64)
        } else {
            Self::Number(number)
        }
    }
}

/// Bytes of a text that is written; what is longer is cut.
const LONGEST: usize = 1_024;

/// The beginning of a text.
pub(super) fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()
}

/// A `KeyValue`.
pub(super) fn attribute(field: u32, key: &str, value: AttributeValue<'_>, out: &mut Vec<u8>) {
    message(field, out, |out| {
        bytes(1, key.as_bytes(), out);
        message(2, out, |out| match value {
            AttributeValue::Text(text) => bytes(1, short(text).as_bytes(), out),
            AttributeValue::Flag(value) => number(2, value.into(), out),
            AttributeValue::Integer(value) => number(3, value.cast_unsigned(), out),
            AttributeValue::Number(value) => fixed64(4, value.to_bits(), out),
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::otlp::wire::{Fields, Value};

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = Vec::new();
            message(7, &mut out, |out| bytes(1, &vec![b'x'; length], out));
            number(2, 300, &mut out);
            fixed64(3, 7, &mut out);
            fixed32(16, 9, &mut out);
            let mut fields = Fields::of(&out);
            let Ok(Some((7, Value::Bytes(inner)))) = fields.read() else { panic!("{length}") };
            let inner: Vec<_> = Fields::of(inner).collect();
            assert_eq!(inner, [(1, Value::Bytes(&vec![b'x'; length]))], "{length}");
            let rest: Vec<_> = fields.collect();
            assert_eq!(rest, [(2, Value::Varint(300)), (3, Value::Fixed64(7)), (16, Value::Fixed32(9))]);
        }
    }

    #[test]
    fn numbers_are_whole_where_they_are() {
        assert_eq!(AttributeValue::of(250.0), AttributeValue::Integer(250));
        assert_eq!(AttributeValue::of(0.5), AttributeValue::Number(0.5));
        assert_eq!(AttributeValue::of(1e18), AttributeValue::Number(1e18));
        assert_eq!(short(&"é".repeat(2_000)).len(), LONGEST);
    }
}
