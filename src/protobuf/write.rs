//! Messages, written field by field into a buffer.

use super::Value;

/// The kinds of values on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

fn tag(field: u32, kind: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | kind, out);
}

/// An integer, a boolean or an enumeration.
pub(crate) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    tag(field, VARINT, out);
    put_varint(value, out);
}

/// Eight bytes.
pub(crate) fn fixed64(field: u32, value: u64, out: &mut Vec<u8>) {
    tag(field, FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Four bytes.
pub(crate) fn fixed32(field: u32, value: u32, out: &mut Vec<u8>) {
    tag(field, FIXED32, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field of any kind.
pub(crate) fn put(field: u32, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Varint(value) => number(field, value, out),
        Value::Fixed64(value) => fixed64(field, value, out),
        Value::Fixed32(value) => fixed32(field, value, out),
        Value::Bytes(value) => bytes(field, value, out),
    }
}

/// A text, bytes, or a message that is written already.
pub(crate) fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    tag(field, BYTES, out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A message, which `write` appends. Its length, which stands before it, is known after it.
pub(crate) fn message(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
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

/// A number in seven bits a byte, the lowest first.
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::super::read::varint;
    use super::*;

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
    fn varints_are_read_as_they_are_written() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut text = Vec::new();
            put_varint(value, &mut text);
            assert_eq!(varint(&text), Some((value, &[][..])));
        }
    }
}
