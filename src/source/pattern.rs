//! A regular expression as a setting.
//!
//! It is compiled when the setting is read, so a mistake in it is reported with its place. It does
//! not say what it is compared with.

use std::borrow::Cow;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::re2;

/// A regular expression, compiled. The empty one matches nothing.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    text: Cow<'static, str>,
    compiled: Option<Regex>,
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Result<Self, String> {
        let text = text.into();
        let compiled = if text.is_empty() {
            None
        } else {
            let compiled = re2::compile(&text)
                .map_err(|why| format!("\"{text}\" is not a regular expression: {why}"))?;
            Some(compiled)
        };
        Ok(Self { text, compiled })
    }

    /// Compiles a text that is part of the program. One that does not compile matches nothing,
    /// and a test of the settings that hold it would show that.
    #[must_use]
    pub(super) fn fixed(text: &'static str) -> Self {
        Self { text: text.into(), compiled: re2::compile(text).ok() }
    }

    /// Whether it is found anywhere in `text`.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.compiled.as_ref().is_some_and(|pattern| pattern.is_match(text))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A regular expression, found anywhere in the text unless it says ^ and $. Empty: matches nothing.",
            "type": "string",
            "format": "regex"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_compiled_where_they_are_read() {
        let veth: Pattern = serde_json::from_str("\"^veth\"").unwrap();
        assert!(veth.finds("veth12") && !veth.finds("eth0"));
        assert_eq!(serde_json::to_string(&veth).unwrap(), "\"^veth\"");
        assert!(!Pattern::default().finds(""));
        let wrong = serde_json::from_str::<Pattern>("\"(a\"").unwrap_err().to_string();
        assert!(wrong.starts_with("\"(a\" is not a regular expression: unclosed group"), "{wrong}");
    }
}
