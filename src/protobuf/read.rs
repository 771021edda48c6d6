//! Messages, read where they lie: each is a row of fields, a number and a value.
//!
//! Nothing is copied and nothing is kept. What a field means is said elsewhere; groups, which proto3 has not, are no fields.

/// What a field holds, as the wire tells it apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// An integer, a boolean or an enumeration.
    Varint(u64),
    /// Eight bytes: `fixed64`, `sfixed64`, `double`.
    Fixed64(u64),
    /// Four bytes: `fixed32`.
    Fixed32(u32),
    /// A text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// What is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message, in the order in which they were sent. Ends at the first that is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field; nothing at the end.
    #[inline]
    pub(crate) fn read(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed),
        };
        Ok(Some((number.ok_or(Malformed)?, value)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, rest) = varint(self.rest).ok_or(Malformed)?;
        self.rest = rest;
        Ok(value)
    }

    #[inline]
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*array)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<(u32, Value<'a>)> {
        self.read().ok().flatten()
    }
}

/// A number of up to ten bytes, seven bits in each, and what follows it.
#[inline]
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// The messages in a field that repeats.
pub(crate) fn messages(of: &[u8], field: u32) -> impl Iterator<Item = &[u8]> {
    Fields::of(of).filter_map(move |(number, value)| match value {
        Value::Bytes(message) if number == field => Some(message),
        _ => None,
    })
}

/// The numbers in a field that repeats, one by one or packed: eight bytes each, or as varints.
pub(crate) fn numbers(of: &[u8], field: u32, fixed: bool) -> impl Iterator<Item = u64> {
    Fields::of(of).filter(move |(number, _)| *number == field).flat_map(move |(_, value)| {
        let (one, packed) = match value {
            Value::Varint(one) if !fixed => (Some(one), &[][..]),
            Value::Fixed64(one) if fixed => (Some(one), &[][..]),
            Value::Bytes(packed) => (None, packed),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(Packed { rest: packed, fixed })
    })
}

/// Numbers without tags between them.
struct Packed<'a> {
    rest: &'a [u8],
    fixed: bool,
}

impl Iterator for Packed<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (number, rest) = if self.fixed {
            self.rest.split_first_chunk().map(|(array, rest)| (u64::from_le_bytes(*array), rest))?
        } else {
            varint(self.rest)?
        };
        self.rest = rest;
        Some(number)
    }
}

/// An integer that may be negative and small, as `sint32` writes it.
pub(crate) fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_by_their_tags() {
        let message = [
            &[0x08, 0x96, 0x01][..],
            &[0x11, 1, 0, 0, 0, 0, 0, 0, 0x80],
            &[0x1a, 2, b'h', b'i'],
            &[0x25, 1, 0, 0, 0],
        ]
        .concat();
        let fields: Vec<_> = Fields::of(&message).collect();
        assert_eq!(
            fields,
            [
                (1, Value::Varint(150)),
                (2, Value::Fixed64((1 << 63) + 1)),
                (3, Value::Bytes(b"hi")),
                (4, Value::Fixed32(1)),
            ]
        );
        for cut in 1..message.len() {
            let mut fields = Fields::of(&message[..cut]);
            while fields.read().is_ok_and(|field| field.is_some()) {}
        }
    }

    #[test]
    fn what_is_no_field_ends_the_message() {
        for bad in [
            &[0x80][..],
            &[0x08],
            &[0x08, 0xff],
            &[0x0a, 3, 1, 2],
            &[0x0b],
            &[0x00, 1],
            &[0x09, 1, 2, 3],
            &[0x0d, 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            assert_eq!(Fields::of(bad).read(), Err(Malformed), "{bad:?}");
        }
        assert_eq!(Fields::of(&[]).read(), Ok(None));
    }

    #[test]
    fn numbers_come_packed_or_one_by_one() {
        let fixed =
            [&[0x31][..], &7_u64.to_le_bytes(), &[0x32, 16], &8_u64.to_le_bytes(), &9_u64.to_le_bytes()];
        assert_eq!(numbers(&fixed.concat(), 6, true).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(numbers(&[0x10, 5, 0x12, 3, 1, 0x80, 1], 2, false).collect::<Vec<_>>(), [5, 1, 128]);
        assert_eq!([0, 1, 2, 3, u64::MAX].map(zigzag), [0, -1, 1, -2, i64::MIN]);
    }
}
