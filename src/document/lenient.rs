//! A document as programs in Go read theirs (YAML 1.1): by the type that is wanted, and not by how a word looks.
//!
//! So `1.10` is text where text is wanted, `1_000` and `007` are numbers, `yes` is a switch, `null` and `~` are nothing,
//! and `<<` adds the keys of another mapping. It checks no schema.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer, UnitDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor,
};

use super::position::{Entry, Inner, Node};
use super::{Position, Positions, Problem, position, without_mark};

/// How many times larger than a document of ours such a one may be: those that others generate are long.
const TIMES: usize = 16;

/// Reads `text` as a `T`, and says where in it everything stands.
///
/// # Errors
/// Every key that is written twice, or the first other mistake.
pub fn lenient<T: DeserializeOwned>(file: &str, text: &str) -> Result<(T, Positions), Vec<Problem>> {
    let (places, problems) = position::walk(file, without_mark(text), TIMES)?;
    if !problems.is_empty() {
        return Err(problems);
    }
    let read = match places.root() {
        Some(root) => T::deserialize(root),
        None => T::deserialize(UnitDeserializer::new()),
    };
    match read {
        Ok(read) => Ok((read, places)),
        Err(Misfit { message, place: Position { line, column } }) => {
            Err(vec![Problem { line, column, ..Problem::of_file(file, message) }])
        }
    }
}

/// What does not fit, and where.
#[derive(Debug)]
pub(super) struct Misfit {
    message: String,
    place: Position,
}

impl Misfit {
    /// The same, at the innermost place that it was ever said to be.
    fn at(self, place: Position) -> Self {
        if self.place.line == 0 { Self { place, ..self } } else { self }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self { message: message.to_string(), place: Position::default() }
    }
}

impl Node {
    /// What is written, if it is neither a list nor a mapping; nothing for `null`.
    fn text(&self) -> Option<&str> {
        match &self.inner {
            Inner::Plain { text, quoted } => {
                let null = !quoted && matches!(&**text, "" | "~" | "null" | "Null" | "NULL");
                Some(if null { "" } else { text })
            }
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(&self.inner, Inner::Plain { quoted: false, .. }) && self.text() == Some("")
    }

    fn number(&self) -> Result<f64, Misfit> {
        let text = self.text().unwrap_or("a list or mapping");
        number(text).ok_or_else(|| Misfit::custom(format_args!("\"{text}\" is not a number")).at(self.place))
    }
}

/// A number as YAML 1.1 has it.
fn number(text: &str) -> Option<f64> {
    let text: String = text.chars().filter(|c| *c != '_').collect();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(&text)),
    };
    let whole = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|whole| whole as f64);
    let size = match digits.to_ascii_lowercase().as_str() {
        ".inf" => Some(f64::INFINITY),
        ".nan" => Some(f64::NAN),
        lower => match lower.split_at_checked(2) {
            Some(("0x", rest)) => whole(rest, 16),
            Some(("0o", rest)) => whole(rest, 8),
            Some(("0b", rest)) => whole(rest, 2),
            _ if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => {
                whole(lower, 8).or_else(|| lower.parse().ok())
            }
            _ if lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => lower.parse().ok(),
            _ => None,
        },
    };
    size.map(|size| sign * size)
}

/// The keys of a mapping with what merge keys add; its own come before those.
fn merged(entries: &[Entry]) -> Result<Vec<&Entry>, Misfit> {
    let (merges, mut all): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.key == "<<");
    let mut known: HashSet<&str> = all.iter().map(|entry| &*entry.key).collect();
    for merge in merges {
        let maps = match &merge.value.inner {
            Inner::List(items) => items.iter().map(|item| &**item).collect(),
            _ => vec![&*merge.value],
        };
        for map in maps {
            let Inner::Map(inner) = &map.inner else {
                return Err(Misfit::custom("<< takes a mapping, or a list of them").at(merge.place));
            };
            all.extend(merged(inner)?.into_iter().filter(|entry| known.insert(&entry.key)));
        }
    }
    Ok(all)
}

struct Entries<'de> {
    left: std::vec::IntoIter<&'de Entry>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(entry) = self.left.next() else { return Ok(None) };
        self.value = Some(&entry.value);
        seed.deserialize(BorrowedStrDeserializer::new(&entry.key))
            .map(Some)
            .map_err(|wrong: Misfit| wrong.at(entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(Misfit::custom("a key without a value")),
        }
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Methods for whole numbers.
macro_rules! whole {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let number = if self.is_null() { 0.0 } else { self.number()? };
            if number.fract() != 0.0 || number.abs() > 9e15 {
                return Err(Misfit::custom(format_args!("{number} is not a whole number")).at(self.place));
            }
            let read = if number < 0.0 { visitor.visit_i64(number as i64) } else { visitor.visit_u64(number as u64) };
            read.map_err(|wrong: Misfit| wrong.at(self.place))
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let read = match &self.inner {
            Inner::Plain { .. } if self.is_null() => visitor.visit_unit(),
            Inner::Plain { text, .. } => visitor.visit_borrowed_str(text),
            Inner::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(|item| &**item))),
            Inner::Map(entries) => merged(entries)
                .and_then(|all| visitor.visit_map(Entries { left: all.into_iter(), value: None })),
        };
        read.map_err(|wrong| wrong.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.text() {
            Some(text) => visitor.visit_borrowed_str(text).map_err(|wrong: Misfit| wrong.at(self.place)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.text().unwrap_or("a list or mapping").to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => visitor.visit_bool(true),
            "false" | "no" | "off" | "n" | "" => visitor.visit_bool(false),
            other => {
                Err(Misfit::custom(format_args!("\"{other}\" is neither true nor false")).at(self.place))
            }
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_f64(if self.is_null() { 0.0 } else { self.number()? })
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    whole!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64);

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if self.is_null() {
            return visitor.visit_map(Entries { left: Vec::new().into_iter(), value: None });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Rule {
        name: Option<String>,
        text: String,
        labels: BTreeMap<String, String>,
        on: bool,
        scale: Option<f64>,
        whole: u32,
        list: Option<Vec<f64>>,
    }

    fn read(text: &str) -> Vec<Rule> {
        lenient(" ", text).unwrap_or_else(|problems| panic!("{problems:?}")).0
    }

    fn wrong(text: &str) -> String {
        lenient::<Vec<Rule>>("f", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_type_that_is_wanted_decides() {
        let text = "\u{feff}- &a {name: 1.10, text: null, labels: {a: ~, b: 007, c: on, d: '~', e: 1_000}, on: yes, whole: 1_000}\n\
            - {<<: *a, name: ~, scale: 1_000.5, list: [0x10, 010, .inf, -1e3]}\n- ~\n- {<<: [{text: x, on: y}, *a]}\n";
        let read = read(text);
        let labels =
            |rule: &Rule| rule.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
        assert_eq!(labels(&read[0]), "a= b=007 c=on d=~ e=1_000");
        assert_eq!((read[0].name.as_deref(), &*read[0].text, read[0].whole), (Some("1.10"), "", 1000));
        assert_eq!((read[1].name.as_deref(), read[1].scale, read[1].whole), (None, Some(1000.5), 1000));
        assert_eq!(read[1].list.as_deref(), Some(&[16.0, 8.0, f64::INFINITY, -1000.0][..]));
        assert_eq!(labels(&read[1]), labels(&read[0]));
        assert_eq!(read[2], Rule::default());
        assert_eq!((&*read[3].text, read[3].on, read[3].name.as_deref()), ("x", true, Some("1.10")));
    }

    #[test]
    fn what_does_not_fit_has_its_place() {
        for (text, told) in [
            ("- text: a\n  nmae: b\n", "f:2:3: unknown field `nmae`"),
            ("- scale: wide\n", "f:1:10: \"wide\" is not a number"),
            ("- on: maybe\n", "f:1:7: \"maybe\" is neither"),
            ("- text: a\n  text: b\n", "f:2:3: [0].text: the key is written twice"),
            ("- whole: 1.5\n", "f:1:10: 1.5 is not a whole number"),
            ("- whole: -1\n", "f:1:10: "),
            ("- <<: 5\n", "f:1:3: << takes"),
            ("- text: [a]\n", "f:1:9: "),
            ("3", "f:1:1: "),
        ] {
            assert!(wrong(text).starts_with(told), "{text}: {}", wrong(text));
        }
    }
}
