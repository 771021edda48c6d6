//! A command line, in which arguments may be secrets.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::address::address;
use super::name::{is_key, is_name, names_a_secret, words};
use super::{Part, secrets, shown};

/// A program and its arguments.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Command(Vec<String>);

impl Command {
    /// The program and its arguments, for the system alone.
    #[must_use]
    pub fn expose(&self) -> &[String] {
        &self.0
    }

    /// Whether an argument looks like a secret.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.secrets().next().is_some()
    }

    /// What looks like a secret.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts().into_iter().flat_map(secrets)
    }

    fn parts(&self) -> Vec<Vec<Part<'_>>> {
        let mut next = Next::Plain;
        self.0.iter().map(|argument| next.argument(argument)).collect()
    }
}

impl From<Vec<String>> for Command {
    fn from(words: Vec<String>) -> Self {
        Self(words)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.parts().iter().map(|parts| shown(parts)).collect();
        f.write_str(&words.join(" "))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts().iter().map(|parts| shown(parts))).finish()
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.parts().iter().map(|parts| shown(parts)))
    }
}

impl JsonSchema for Command {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string", "writeOnly": true } })
    }
}

/// What the words before say of the next one on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing.
    Plain,
    /// It is a secret.
    Secret,
    /// It is one, unless it is a number or a file.
    Perhaps,
    /// It is a header.
    Header,
    /// It and what follows it, up to a quote.
    Quoted,
}

/// Flags before a user and a password, and before a header.
const USERS: &[&str] = &["-u", "--user", "--proxy-user", "-p", "-P", "-a", "-w"];
const HEADERS: &[&str] = &["-H", "--header", "--proxy-header"];

impl Next {
    /// The parts of one argument, which may be a script.
    fn argument<'a>(&mut self, argument: &'a str) -> Vec<Part<'a>> {
        let mut out = Vec::new();
        if *self == Self::Secret {
            *self = Self::Plain;
            return vec![Part::Hidden(argument)];
        }
        for (word, blank) in words(argument) {
            self.word(word, &mut out);
            out.push(Part::Plain(blank));
        }
        if *self == Self::Quoted {
            *self = Self::Plain;
        }
        out
    }

    fn word<'a>(&mut self, word: &'a str, out: &mut Vec<Part<'a>>) {
        let bare = word.trim_start_matches(['"', '\'']);
        let before = std::mem::replace(self, Self::Plain);
        match before {
            Self::Secret => return out.push(Part::Hidden(word)),
            Self::Quoted => {
                if !word.ends_with(['"', '\'']) {
                    *self = Self::Quoted;
                }
                return out.push(Part::Hidden(word));
            }
            Self::Perhaps if !bare.starts_with(['-', '/']) && !bare.chars().all(|c| c.is_ascii_digit()) => {
                return out.push(Part::Hidden(word));
            }
            Self::Header | Self::Perhaps | Self::Plain => {}
        }
        let header = |name: &str| before == Self::Header || names_a_secret(name);
        if let Some((name, value)) =
            word.split_once('=').filter(|(name, _)| is_name(name) && names_a_secret(name))
        {
            out.extend([Part::Plain(name), Part::Plain("="), Part::Hidden(value)]);
        } else if word.contains("://") {
            address(word, false, out);
        } else if let Some((name, value)) =
            word.split_once(':').filter(|(name, _)| is_name(name) && header(name))
        {
            out.extend([Part::Plain(name), Part::Plain(":")]);
            if value.is_empty() {
                *self = Self::Quoted;
            } else {
                out.push(Part::Hidden(value));
            }
        } else if bare.eq_ignore_ascii_case("bearer") || bare.eq_ignore_ascii_case("basic") {
            *self = Self::Secret;
            out.push(Part::Plain(word));
        } else if is_key(word) {
            out.push(Part::Hidden(word));
        } else if let Some(secret) = glued(word) {
            out.extend([Part::Plain("-p"), Part::Hidden(secret)]);
        } else {
            *self = match word {
                _ if USERS.contains(&word) => Self::Perhaps,
                _ if HEADERS.contains(&word) => Self::Header,
                _ if word.starts_with('-') && names_a_secret(word) => Self::Secret,
                _ => Self::Plain,
            };
            out.push(Part::Plain(word));
        }
    }
}

/// A password behind its flag, as `mysql -pSecret1` has it.
fn glued(word: &str) -> Option<&str> {
    let rest = word.strip_prefix("-p")?;
    let flag =
        rest.chars().all(|c| c.is_ascii_lowercase() || c == '-') || rest.chars().all(|c| c.is_ascii_digit());
    (!flag).then_some(rest)
}
