//! What may hide a secret: it is kept as it was written, and shown with `***` in the secret's place.
//!
//! `Display`, `Debug` and `Serialize` show; [`Guarded::expose`] alone gives the text. What is taken for a secret is
//! more than what is one: a leaked password cannot be taken back.

mod address;
mod command;
mod exposed;
mod name;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use address::address;
pub use command::Command;
pub use exposed::Exposed;
pub use name::names_a_secret;
use name::{is_name, words};

/// What stands where a secret stood.
const MASK: &str = "***";
/// Bytes of a secret that is looked for where others repeat it; shorter ones are found in innocent words.
const FOUND: usize = 4;

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// It is public.
    Plain(&'a str),
    /// Nobody may.
    Hidden(&'a str),
}

/// Which parts of a text are secret.
pub trait Redact {
    /// The text in its parts, in their order.
    fn parts(text: &str) -> Vec<Part<'_>>;
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole;

/// Of an address: who asks, what follows as a secret's name, and whatever looks like a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address;

/// Of the address of a webhook: its path too, because a client that knows it can write there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook;

/// A text that hides what `V` says.
pub struct Guarded<V>(String, PhantomData<fn() -> V>);

/// A text that is a secret: the value of a header, of a variable of the environment.
pub type Secret = Guarded<Whole>;
/// A URL that may hold a secret.
pub type Link = Guarded<Address>;
/// The URL of a webhook.
pub type Webhook = Guarded<Hook>;

impl<V: Redact> Guarded<V> {
    /// The text, secrets included: for whom it is meant, and for nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As it may be shown in public.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(&V::parts(&self.0))
    }

    /// Itself without its secrets.
    #[must_use]
    pub fn redacted(&self) -> Self {
        self.shown().into()
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it hides something.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.secrets().next().is_some()
    }

    /// What it hides, to look for it where others repeat it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        secrets(V::parts(&self.0))
    }
}

fn shown(parts: &[Part<'_>]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Plain(text) => *text,
            Part::Hidden(_) => MASK,
        })
        .collect()
}

fn secrets(parts: Vec<Part<'_>>) -> impl Iterator<Item = &str> {
    parts.into_iter().filter_map(|part| match part {
        Part::Hidden(text) if text != MASK => Some(text),
        _ => None,
    })
}

/// What others say, with `***` where they repeat one of these secrets.
#[must_use]
pub fn scrub<'s>(text: &str, secrets: impl IntoIterator<Item = &'s str>) -> String {
    let long = secrets.into_iter().filter(|secret| secret.len() >= FOUND);
    long.fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

/// A sentence with `***` in place of what its addresses and assignments hide.
#[must_use]
pub fn redacted(sentence: &str) -> String {
    let mut out = Vec::new();
    for (word, blank) in words(sentence) {
        // What ends a clause belongs to the sentence.
        let (word, mark) = word.split_at(word.trim_end_matches([':', ',', ';', '"', '\'', ')']).len());
        let named = word.split_once('=').filter(|(name, _)| is_name(name) && names_a_secret(name));
        if word.contains("://") {
            address(word, false, &mut out);
        } else if let Some((name, value)) = named {
            out.extend([Part::Plain(name), Part::Plain("="), Part::Hidden(value)]);
        } else {
            out.push(Part::Plain(word));
        }
        out.extend([Part::Plain(mark), Part::Plain(blank)]);
    }
    shown(&out)
}

/// A text in base64 (RFC 4648 with padding), as `Authorization: Basic` has it.
#[must_use]
pub fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

impl<V> Clone for Guarded<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<V> Default for Guarded<V> {
    fn default() -> Self {
        Self(String::new(), PhantomData)
    }
}

impl<V> PartialEq for Guarded<V> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<V> Eq for Guarded<V> {}

impl<V> From<String> for Guarded<V> {
    fn from(text: String) -> Self {
        Self(text, PhantomData)
    }
}

impl<V> From<&str> for Guarded<V> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl<V> From<&String> for Guarded<V> {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl<V: Redact> fmt::Display for Guarded<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl<V: Redact> fmt::Debug for Guarded<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl<V: Redact> Serialize for Guarded<V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.shown())
    }
}

impl<'de, V> Deserialize<'de> for Guarded<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

impl<V> JsonSchema for Guarded<V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Guarded".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

impl Redact for Whole {
    fn parts(text: &str) -> Vec<Part<'_>> {
        if text.is_empty() { Vec::new() } else { vec![Part::Hidden(text)] }
    }
}

/// A text that is a secret, or the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// The text.
    Text(Secret),
    /// A file.
    File(InFile),
}

/// A file that holds a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InFile {
    /// The file, whose text is the value; read again each time.
    pub value_file: PathBuf,
}

impl Value {
    /// The file that it names.
    pub fn path(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(of) => Some(&mut of.value_file),
            Self::Text(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A user who signs in with a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Its name.
    pub user: String,
    /// The file with its password.
    pub password_file: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_show_where_and_not_who() {
        for (url, want) in [
            ("http://127.0.0.1:9090/metrics", "http://127.0.0.1:9090/metrics"),
            ("http://[::1]:9090/graph?g0.expr=up&x=1#", "http://[::1]:9090/graph?g0.expr=up&x=1#"),
            ("https://me:hunter2@h:1/m", "https://me:***@h:1/m"),
            ("https://hunter2@h/m", "https://***@h/m"),
            ("https://me:hun/ter2@h/m", "https://me:***@h/m"),
            ("https://me:hun?ter@2@h/m", "https://me:***@h/m"),
            ("https://me:hun#ter2", "https://me:***#***"),
            ("me:hunter2@h/m", "me:***@h/m"),
            (
                "http://h/m?token=hunter2&a=b&X-Amz-Signature=1",
                "http://h/m?token=***&a=b&X-Amz-Signature=***",
            ),
            ("http://h/m?api_key=&q=0123456789abcdef01234567", "http://h/m?api_key=&q=***"),
            ("http://h/m#hunter2", "http://h/m#***"),
            ("http://h/0123456789abcdef0123/m", "http://h/***/m"),
            ("http://h/hooks/abc/def", "http://h/hooks/***/***"),
            ("https://hooks.slack.com/services/T0/B0/x", "https://hooks.slack.com/***/***/***/***"),
            ("https://api.telegram.org/bot1:x/send", "https://api.telegram.org/***/***"),
            ("http://prom/federate?match[]={a=\"b@c\"}", "http://prom/federate?match[]={a=\"b@c\"}"),
            ("", ""),
        ] {
            assert_eq!(Link::from(url).to_string(), want, "{url}");
            assert_eq!(Link::from(want).to_string(), want, "what is veiled stays as it is");
            assert_eq!(Link::from(url).hides(), url != want, "{url}");
        }
        for (url, want) in [
            ("http://127.0.0.1:9095/alerts", "http://127.0.0.1:9095/alerts"),
            ("https://relay/api/v1/lab-topic", "https://relay/api/v1/***"),
            ("https://relay/?x", "https://relay/?***"),
        ] {
            assert_eq!(Webhook::from(url).to_string(), want, "{url}");
        }
    }

    #[test]
    fn commands_show_what_is_run_and_not_with_which_key() {
        let shown = |words: &[&str]| {
            Command::from(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).to_string()
        };
        for (words, want) in [
            (
                &["/usr/local/bin/amplifier-status", "--metrics"][..],
                "/usr/local/bin/amplifier-status --metrics",
            ),
            (
                &["x", "--port", "8080", "-p", "8080", "--key-file", "/a"],
                "x --port 8080 -p 8080 --key-file /a",
            ),
            (&["x", "--password", "a b", "y"], "x --password *** y"),
            (&["x", "--api-key=a", "TOKEN=b"], "x --api-key=*** TOKEN=***"),
            (&["curl", "-u", "me:a", "http://me:a@h/"], "curl -u *** http://me:***@h/"),
            (&["curl", "-H", "X-Lab: a b", "x"], "curl -H X-Lab: *** *** x"),
            (&["curl", "-H", "Authorization: Bearer a"], "curl -H Authorization: *** ***"),
            (
                &["sh", "-c", "curl -H 'Authorization: Bearer a' http://h | grep b"],
                "sh -c curl -H 'Authorization: *** *** http://h | grep b",
            ),
            (&["sh", "-c", "DB_PASSWORD=a mysql -pHunter2 x"], "sh -c DB_PASSWORD=*** mysql -p*** x"),
            (&["x", "ghp_0123456789abcdef"], "x ***"),
            (&["x", "Bearer", "a"], "x Bearer ***"),
        ] {
            assert_eq!(shown(words), want);
        }
    }

    #[test]
    fn secrets_become_headers() {
        // RFC 4648, section 10.
        for (text, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text), want);
        }
    }

    #[test]
    fn nothing_but_expose_gives_it() {
        let secret = Secret::from("hunter2");
        assert_eq!(
            (secret.to_string(), format!("{secret:?}"), secret.expose()),
            ("***".into(), "\"***\"".into(), "hunter2")
        );
        assert_eq!(serde_yaml::to_string(&secret).unwrap(), "'***'\n");
        let value: Value = serde_yaml::from_str("{value_file: /run/secret}").unwrap();
        assert!(matches!(value, Value::File(_)));
        assert!(!format!("{:?}", Value::from("hunter2")).contains("hunter2"));
        assert_eq!(scrub("no hunter2 and no a", ["hunter2", "a"]), "no *** and no a");
        for (sentence, want) in [
            (
                "cannot read \"http://a:b@h/\" with token=x, or x=1",
                "cannot read \"http://a:***@h/\" with token=***, or x=1",
            ),
            ("cannot ask http://h/m?token=x: refused", "cannot ask http://h/m?token=***: refused"),
            ("cannot ask http://h/0123456789abcdef0123: it is busy", "cannot ask http://h/***: it is busy"),
            ("it says (\"key='x'\"): no", "it says (\"key=***'\"): no"),
        ] {
            assert_eq!(redacted(sentence), want);
        }
    }
}
