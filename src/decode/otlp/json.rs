//! The JSON form of OTLP, written as protobuf, so that both forms are read in one way.
//!
//! Ids are hexadecimal, other bytes base 64, integers numbers or text, enumerations integers; unknown fields are skipped,
//! whatever is in them. What is written has five times the bytes of the text at most.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

use super::schema::{DEPTH, Field, Holds, Message};
use crate::protobuf::{Value, put, put_varint};

/// Bytes that the length of a message has, whatever it is: nobody knows it before the message is written.
const LENGTH: usize = 5;

/// Appends the message that `text` is in JSON.
///
/// # Errors
/// What is wrong with the text, and where.
pub(super) fn write(message: &'static Message, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let whole = Inner { message, depth: DEPTH, out };
    whole.deserialize(&mut json).and_then(|()| json.end()).map_err(|why| why.to_string())
}

/// A message, without what stands around it.
struct Inner<'o> {
    message: &'static Message,
    depth: u32,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Inner<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { message, depth, out } = self;
        let depth =
            depth.checked_sub(1).ok_or_else(|| A::Error::custom("too many objects within each other"))?;
        while let Some(Name(name)) = map.next_key_seed(Name::default())? {
            match message.named(&name) {
                Some(field) => map.next_value_seed(Within { field, depth, repeats: field.repeats, out })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The name of a field, borrowed where it can be.
#[derive(Default)]
struct Name<'de>(Cow<'de, str>);

impl<'de> DeserializeSeed<'de> for Name<'de> {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self, E> {
        Ok(Self(name.to_owned().into()))
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self, E> {
        Ok(Self(name.into()))
    }
}

/// What a field holds, or the list of it.
struct Within<'o> {
    field: &'static Field,
    depth: u32,
    repeats: bool,
    out: &'o mut Vec<u8>,
}

impl Within<'_> {
    fn put(&mut self, value: Value<'_>) {
        let Self { field, out, .. } = self;
        put(field.number, value, out);
    }

    /// An integer, if the field can hold it.
    fn integer(&mut self, value: i128) -> bool {
        let signed = || i64::try_from(value).ok().map(i64::cast_unsigned);
        let wire = match self.field.holds {
            Holds::Integer => signed().or_else(|| u64::try_from(value).ok()).map(Value::Varint),
            Holds::Signed => i32::try_from(value).ok().map(|value| {
                let value = i64::from(value);
                Value::Varint(((value << 1) ^ (value >> 63)).cast_unsigned())
            }),
            Holds::Fixed32 => u32::try_from(value).ok().map(Value::Fixed32),
            Holds::Fixed64 => u64::try_from(value).ok().map(Value::Fixed64),
            Holds::SignedFixed64 => signed().map(Value::Fixed64),
            Holds::Double => Some(Value::Fixed64((value as f64).to_bits())),
            _ => None,
        };
        wire.map(|wire| self.put(wire)).is_some()
    }

    fn text(&mut self, text: &str) -> bool {
        match self.field.holds {
            Holds::Text => self.put(Value::Bytes(text.as_bytes())),
            Holds::Id => match hex(text) {
                Some(id) => self.put(Value::Bytes(&id)),
                None => return false,
            },
            Holds::Bytes => match STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)) {
                Ok(bytes) => self.put(Value::Bytes(&bytes)),
                Err(_) => return false,
            },
            Holds::Double => {
                let number = match text {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    text => match text.parse::<f64>() {
                        Ok(number) if number.is_finite() => number,
                        _ => return false,
                    },
                };
                self.put(Value::Fixed64(number.to_bits()));
            }
            Holds::Message(_) | Holds::Boolean => return false,
            _ => return text.parse::<i128>().is_ok_and(|value| self.integer(value)),
        }
        true
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.holds {
            _ if self.repeats => "a list",
            Holds::Message(_) => "an object",
            Holds::Text => "text",
            Holds::Id => "an id in hexadecimal digits",
            Holds::Bytes => "text in base 64",
            Holds::Boolean => "true or false",
            Holds::Double => "a number",
            _ => "an integer",
        };
        write!(f, "{what} as {}", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        if self.repeats || !matches!(self.field.holds, Holds::Boolean) {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        }
        self.put(Value::Varint(value.into()));
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        if self.repeats || !self.integer(value.into()) {
            return Err(E::invalid_value(Unexpected::Signed(value), &self));
        }
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        if self.repeats || !self.integer(value.into()) {
            return Err(E::invalid_value(Unexpected::Unsigned(value), &self));
        }
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        let fits = match self.field.holds {
            _ if self.repeats => false,
            Holds::Double => {
                self.put(Value::Fixed64(value.to_bits()));
                true
            }
            // Some writers have no other numbers.
            _ => value.fract() == 0.0 && value.abs() < 2_f64.powi(64) && self.integer(value as i128),
        };
        if fits { Ok(()) } else { Err(E::invalid_value(Unexpected::Float(value), &self)) }
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        if self.repeats || !self.text(value) {
            return Err(E::invalid_type(Unexpected::Other("other text"), &self));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { field, depth, repeats, out } = self;
        if !repeats {
            let again = Within { field, depth, repeats, out };
            return Err(A::Error::invalid_type(Unexpected::Seq, &again));
        }
        while list.next_element_seed(Within { field, depth, repeats: false, out: &mut *out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Holds::Message(message) = self.field.holds else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        if self.repeats {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        }
        let Self { field, depth, out, .. } = self;
        put_varint(u64::from(field.number << 3 | 2), out);
        let from = out.len();
        out.extend_from_slice(&[0x80, 0x80, 0x80, 0x80, 0]);
        Inner { message, depth, out: &mut *out }.visit_map(map)?;
        let length = out.len() - from - LENGTH;
        for (at, byte) in out.iter_mut().skip(from).take(LENGTH).enumerate() {
            *byte |= (length >> (7 * at) & 0x7f) as u8;
        }
        Ok(())
    }
}

/// What hexadecimal digits stand for; nothing is an id that is not set.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::schema::{METRICS, TRACES};
    use super::*;
    use crate::protobuf::{Fields, Value, messages, zigzag};

    fn written(message: &'static Message, text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        write(message, text.as_bytes(), &mut out)?;
        assert_eq!(message.check(&out, DEPTH), Ok(()), "{text}");
        Ok(out)
    }

    /// The only span of a text with these fields.
    fn span(fields: &str) -> Result<Vec<u8>, String> {
        let text = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{{fields}}}]}}]}}]}}");
        let all = written(&TRACES, &text)?;
        let resource = messages(&all, 1).next().unwrap();
        let scope = messages(resource, 2).next().unwrap();
        Ok(messages(scope, 2).next().unwrap().to_vec())
    }

    #[test]
    fn every_kind_of_value_is_written() {
        let span = span(
            "\"traceId\":\"5B8EFFF798038103D269B633813FC60C\",\"name\":\"a\\u00e9\",\"kind\":2,\"flags\":257,\
             \"startTimeUnixNano\":\"1544712660000000000\",\"endTimeUnixNano\":1544712661000000000,\"status\":{\"code\":2},\
             \"new\":{\"deep\":[1,{}]},\"parentSpanId\":\"\",\"droppedLinksCount\":null,\"events\":null",
        )
        .unwrap();
        let fields: Vec<_> = Fields::of(&span).collect();
        let trace = 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c_u128.to_be_bytes();
        assert_eq!(
            fields,
            [
                (1, Value::Bytes(&trace)),
                (5, Value::Bytes("aé".as_bytes())),
                (6, Value::Varint(2)),
                (16, Value::Fixed32(257)),
                (7, Value::Fixed64(1_544_712_660_000_000_000)),
                (8, Value::Fixed64(1_544_712_661_000_000_000)),
                (15, Value::Bytes(&[0x18, 2])),
                (4, Value::Bytes(b"")),
            ]
        );
    }

    #[test]
    fn numbers_are_read_as_text_and_as_numbers() {
        let number = |field: &str| -> Result<(u32, u64), String> {
            let text = format!(
                "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"exponentialHistogram\":{{\"dataPoints\":[{{{field}}}]}}}}]}}]}}]}}"
            );
            let mut all = written(&METRICS, &text)?;
            for field in [1, 2, 2, 10, 1] {
                let inner = messages(&all, field).next().unwrap().to_vec();
                all = inner;
            }
            Ok(match Fields::of(&all).next().unwrap() {
                (number, Value::Varint(value) | Value::Fixed64(value)) => (number, value),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(number("\"scale\":-3").map(|(at, value)| (at, zigzag(value))), Ok((6, -3)));
        assert_eq!(number("\"scale\":\"20\"").map(|(at, value)| (at, zigzag(value))), Ok((6, 20)));
        assert_eq!(number("\"count\":\"18446744073709551615\""), Ok((4, u64::MAX)));
        assert_eq!(number("\"count\":1e3"), Ok((4, 1000)));
        for (text, value) in
            [("1.5", 1.5), ("3", 3.0), ("\"2.5\"", 2.5), ("\"-Infinity\"", f64::NEG_INFINITY)]
        {
            assert_eq!(number(&format!("\"sum\":{text}")), Ok((5, value.to_bits())), "{text}");
        }
        for wrong in [
            "\"count\":-1",
            "\"count\":1.5",
            "\"count\":\"x\"",
            "\"scale\":1e300",
            "\"sum\":\"inf\"",
            "\"sum\":true",
        ] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_message_says_what_and_where() {
        for (fields, why) in [
            ("\"traceId\":\"5b8\"", "an id in hexadecimal digits as traceId"),
            ("\"traceId\":\"zz\"", "an id in hexadecimal digits as traceId"),
            ("\"traceId\":7", "traceId"),
            ("\"name\":{}", "text as name"),
            ("\"kind\":\"SPAN_KIND_SERVER\"", "an integer as kind"),
            ("\"attributes\":{}", "a list as attributes"),
            ("\"status\":[]", "an object as status"),
            ("\"name\":\"a\"", ""),
        ] {
            match span(fields) {
                Ok(_) => assert_eq!(why, "", "{fields}"),
                Err(said) => {
                    assert!(!why.is_empty() && said.contains(why) && said.contains("line 1"), "{said}");
                }
            }
        }
        assert!(written(&TRACES, "{}{}").is_err());
        assert!(written(&TRACES, "[]").is_err());
        assert!(written(&TRACES, "").is_err());
        assert_eq!(written(&TRACES, " {} "), Ok(Vec::new()));
        let mut deep = "{}".to_owned();
        for _ in 0..40 {
            deep = format!("{{\"arrayValue\":{{\"values\":[{deep}]}}}}");
        }
        let attribute = format!("\"attributes\":[{{\"key\":\"k\",\"value\":{deep}}}]");
        assert!(span(&attribute).unwrap_err().contains("within each other"), "{:?}", span(&attribute));
    }
}
