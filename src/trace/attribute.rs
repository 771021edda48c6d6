//! Attributes of spans, as OTLP writes them.

use crate::protobuf::{bytes, fixed64, message, number};

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

    #[test]
    fn numbers_are_whole_where_they_are() {
        assert_eq!(AttributeValue::of(250.0), AttributeValue::Integer(250));
        assert_eq!(AttributeValue::of(0.5), AttributeValue::Number(0.5));
        assert_eq!(AttributeValue::of(1e18), AttributeValue::Number(1e18));
        assert_eq!(short(&"é".repeat(2_000)).len(), LONGEST);
    }
}
