//! Attributes: a name and a value, which may hold others.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::protobuf::{Fields, Value, messages};

/// Values within each other that are written; what is deeper is left out.
const DEPTH: u32 = 8;

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Attribute<'a> {
    pub key: &'a str,
    /// An `AnyValue`.
    value: &'a [u8],
}

/// The attributes in a field of a message.
pub(super) fn attributes(of: &[u8], field: u32) -> impl Iterator<Item = Attribute<'_>> {
    messages(of, field).map(Attribute::of)
}

impl<'a> Attribute<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        let mut attribute = Self { key: "", value: &[] };
        for (number, value) in Fields::of(message) {
            match (number, value) {
                (1, Value::Bytes(key)) => attribute.key = text(key),
                (2, Value::Bytes(value)) => attribute.value = value,
                _ => {}
            }
        }
        attribute
    }

    /// Its value, if that is text.
    pub(super) fn text(&self) -> Option<&'a str> {
        match Fields::of(self.value).last() {
            Some((1, Value::Bytes(value))) => Some(text(value)),
            _ => None,
        }
    }

    /// Its value, if that is a number.
    pub(super) fn number(&self) -> Option<f64> {
        match Fields::of(self.value).last()? {
            (3, Value::Varint(value)) => Some(value.cast_signed() as f64),
            (4, Value::Fixed64(bits)) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Its value, written: text as it is, lists and maps as JSON.
    pub(super) fn written(&self) -> Cow<'a, str> {
        if let Some(text) = self.text() {
            return text.into();
        }
        let mut out = String::new();
        write_value(self.value, false, DEPTH, &mut out);
        out.into()
    }

    /// The bytes that tell it from others.
    pub(super) fn parts(&self) -> (&'a str, &'a [u8]) {
        (self.key, self.value)
    }
}

/// Bytes that were found to be text.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn write_value(value: &[u8], quoted: bool, depth: u32, out: &mut String) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let quote = |text: &str, out: &mut String| {
        if quoted {
            // Text is always written.
            out.push_str(&serde_json::to_string(text).unwrap_or_default());
        } else {
            out.push_str(text);
        }
    };
    let done = match Fields::of(value).last() {
        Some((1, Value::Bytes(value))) => return quote(text(value), out),
        Some((2, Value::Varint(value))) => write!(out, "{}", value != 0),
        Some((3, Value::Varint(value))) => write!(out, "{}", value.cast_signed()),
        Some((4, Value::Fixed64(bits))) => write!(out, "{}", f64::from_bits(bits)),
        Some((5, Value::Bytes(list))) => {
            out.push('[');
            for (at, value) in messages(list, 1).enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write_value(value, true, depth, out);
            }
            out.push(']');
            Ok(())
        }
        Some((6, Value::Bytes(list))) => {
            out.push('{');
            for (at, entry) in attributes(list, 1).enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(&serde_json::to_string(entry.key).unwrap_or_default());
                out.push(':');
                write_value(entry.value, true, depth, out);
            }
            out.push('}');
            Ok(())
        }
        Some((7, Value::Bytes(bytes))) => return quote(&STANDARD.encode(bytes), out),
        _ if quoted => write!(out, "null"),
        _ => Ok(()),
    };
    debug_assert!(done.is_ok(), "a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::super::schema::TRACES;
    use super::*;

    fn written(value: &str) -> String {
        let text = format!(
            "{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"k\",\"value\":{value}}}]}}}}]}}"
        );
        let mut out = Vec::new();
        json::write(&TRACES, text.as_bytes(), &mut out).unwrap();
        let spans = messages(&out, 1).next().unwrap();
        let resource = messages(spans, 1).next().unwrap();
        let attribute = attributes(resource, 1).next().unwrap();
        assert_eq!(attribute.key, "k");
        attribute.written().into_owned()
    }

    #[test]
    fn values_are_written_as_people_read_them() {
        for (value, text) in [
            (r#"{"stringValue":"a \"b\""}"#, r#"a "b""#),
            (r#"{"boolValue":true}"#, "true"),
            (r#"{"intValue":"-7"}"#, "-7"),
            (r#"{"doubleValue":1.5}"#, "1.5"),
            (r#"{"bytesValue":"aGk="}"#, "aGk="),
            (r#"{}"#, ""),
            (r#"{"arrayValue":{"values":[{"stringValue":"a\"b"},{"intValue":2},{}]}}"#, r#"["a\"b",2,null]"#),
            (r#"{"kvlistValue":{"values":[{"key":"x","value":{"boolValue":false}}]}}"#, r#"{"x":false}"#),
        ] {
            assert_eq!(written(value), text, "{value}");
        }
    }
}
