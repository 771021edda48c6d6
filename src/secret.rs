//! What may hide a secret: it is kept as it was written, and shown with `***` in the secret's place.
//!
//! `Display`, `Debug` and `Serialize` show; [`Guarded::expose`] alone gives the text. What is taken for a secret is more
//! than what is one: a password that is told cannot be called back.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands where a secret stood.
const MASK: &str = "***";
/// Bytes of a secret that is looked for where others repeat it; shorter ones are found in innocent words.
const FOUND: usize = 4;

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Anybody may see it.
    Plain(&'a str),
    /// Nobody may.
    Hidden(&'a str),
}

/// Which parts of a text are secret.
pub trait Veil {
    /// The text in its parts, in their order.
    fn parts(text: &str) -> Vec<Part<'_>>;
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole;

/// Of an address: who asks, what follows as a secret's name, and whatever looks like a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address;

/// Of the address of a webhook: its path too, because whoever knows it may write there.
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

impl<V: Veil> Guarded<V> {
    /// The text, secrets included: for whom it is meant, and for nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As anybody may see it.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(&V::parts(&self.0))
    }

    /// Itself without its secrets.
    #[must_use]
    pub fn veiled(&self) -> Self {
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
pub fn told(sentence: &str) -> String {
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
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits =
            three.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let letter = LETTERS.get(bits >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            out.push(if place > three.len() { '=' } else { char::from(letter) });
        }
    }
    out
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

impl<V: Veil> fmt::Display for Guarded<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl<V: Veil> fmt::Debug for Guarded<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl<V: Veil> Serialize for Guarded<V> {
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

impl Veil for Whole {
    fn parts(text: &str) -> Vec<Part<'_>> {
        if text.is_empty() { Vec::new() } else { vec![Part::Hidden(text)] }
    }
}

impl Veil for Address {
    fn parts(text: &str) -> Vec<Part<'_>> {
        let mut out = Vec::new();
        address(text, false, &mut out);
        out
    }
}

impl Veil for Hook {
    fn parts(text: &str) -> Vec<Part<'_>> {
        let mut out = Vec::new();
        address(text, true, &mut out);
        out
    }
}

/// Services whose paths are keys.
const SERVICES: &[&str] = &[
    "hooks.",
    "discord.com",
    "discordapp.com",
    "api.telegram.org",
    "webhook.office.com",
    "logic.azure.com",
    "api.powerplatform.com",
    "hc-ping.com",
    "healthchecks.io",
    "nosnch.in",
    "ntfy.sh",
    "chat.googleapis.com",
    "open.feishu.cn",
    "oapi.dingtalk.com",
    "qyapi.weixin.qq.com",
    "pushover.net",
    "cronitor.link",
    "uptime.betterstack.com",
];
/// Parts of a path after which a key comes.
const MARKERS: &[&str] = &["hooks", "webhook", "webhooks", "webhookb2", "services"];

/// The parts of a URL; of one that is none, nothing is shown that could be a password.
fn address<'a>(url: &'a str, hook: bool, out: &mut Vec<Part<'a>>) {
    let begin = url.find("://").map_or(0, |place| place + 3);
    let (scheme, rest) = url.split_at(begin);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may have a slash or a question mark in it; then what stands before is no host with a port.
    let port =
        |host: &str| host.rsplit(':').next().is_some_and(|port| port.chars().all(|c| c.is_ascii_digit()));
    let (authority, _) = rest.split_at(end);
    let host = authority.starts_with('[') || !authority.contains(':') || port(authority);
    let user = match (authority.rfind('@'), rest.rfind('@')) {
        (Some(at), _) => Some(at),
        (None, Some(at)) if !host => Some(at),
        _ => None,
    };
    out.push(Part::Plain(scheme));
    let rest = match user {
        Some(at) => {
            let (user, rest) = rest.split_at(at);
            match user.split_once(':') {
                Some((user, password)) => {
                    out.extend([Part::Plain(user), Part::Plain(":"), Part::Hidden(password)]);
                }
                None => out.push(Part::Hidden(user)),
            }
            rest
        }
        None => rest,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    match authority.split_once(':').filter(|_| !host && user.is_none()) {
        Some((name, secret)) => out.extend([Part::Plain(name), Part::Plain(":"), Part::Hidden(secret)]),
        None => out.push(Part::Plain(authority)),
    }
    let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let name = authority.trim_start_matches('@').to_ascii_lowercase();
    let service = SERVICES.iter().any(|of| {
        if of.ends_with('.') {
            name.starts_with(of)
        } else {
            name.split(':').next().unwrap_or_default().ends_with(of)
        }
    });
    segments(path, service, hook, out);
    for (place, pair) in query.split_inclusive('&').enumerate() {
        let pair = if place == 0 { pair.strip_prefix('?').unwrap_or(pair) } else { pair };
        if place == 0 {
            out.push(Part::Plain("?"));
        }
        let (pair, and) = pair.split_at(pair.len() - usize::from(pair.ends_with('&')));
        match pair.split_once('=') {
            Some((name, value)) if hook || names_a_secret(name) || is_key(value) => {
                out.extend([Part::Plain(name), Part::Plain("=")]);
                if !value.is_empty() {
                    out.push(Part::Hidden(value));
                }
            }
            None if !pair.is_empty() && (hook || is_key(pair)) => out.push(Part::Hidden(pair)),
            _ => out.push(Part::Plain(pair)),
        }
        out.push(Part::Plain(and));
    }
    if let Some(inside) = fragment.strip_prefix('#').filter(|inside| !inside.is_empty()) {
        out.extend([Part::Plain("#"), Part::Hidden(inside)]);
    } else {
        out.push(Part::Plain(fragment));
    }
}

/// The parts of a path.
fn segments<'a>(path: &'a str, service: bool, hook: bool, out: &mut Vec<Part<'a>>) {
    let mut marked = service;
    for segment in path.split_inclusive('/') {
        let (name, slash) = segment.split_at(segment.len() - usize::from(segment.ends_with('/')));
        let secret =
            marked || is_key(name) || name.starts_with("bot") && name.contains(':') || hook && !is_word(name);
        out.push(if secret && !name.is_empty() { Part::Hidden(name) } else { Part::Plain(name) });
        out.push(Part::Plain(slash));
        marked |= MARKERS.contains(&name);
    }
}

/// A part of a path that is no key: `alerts`, `v1`.
fn is_word(name: &str) -> bool {
    let version = |rest: &str| rest.chars().all(|c| c.is_ascii_digit());
    name.len() <= 16
        && (name.chars().all(|c| c.is_ascii_lowercase()) || name.strip_prefix('v').is_some_and(version))
}

/// Beginnings of the keys that well known services give out.
const KEYS: &[&str] = &[
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "glsa_",
    "glc_",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "sk-",
    "AKIA",
    "eyJ",
    "hf_",
];

/// Whether a word looks like a key: long, of letters and digits, and no file.
fn is_key(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'']);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_+=.~%".contains(c);
    let mixed = word.chars().any(|c| c.is_ascii_digit()) && word.chars().any(|c| c.is_ascii_alphabetic());
    word.chars().all(plain)
        && (word.len() >= 20 && mixed || word.len() >= 12 && KEYS.iter().any(|key| word.starts_with(key)))
}

/// Words in the names of secrets.
const WORDS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "apikey",
    "accesskey",
    "credential",
    "authoriz",
    "signature",
    "bearer",
    "cookie",
    "session",
];
/// Names and last words of names.
const NAMES: &[&str] = &["key", "pass", "pw", "sig", "auth", "jwt", "pat", "sas", "code", "k", "psk", "user"];

/// Whether what has this name is a secret: `--api-key`, `DB_PASSWORD`, `X-Auth-Token`, `sig`. What names a file is none.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default();
    if matches!(last, "file" | "path" | "dir") {
        return false;
    }
    WORDS.iter().any(|word| name.contains(word)) || NAMES.contains(&last)
}

/// Whether a text can be the name of something that a value is assigned to.
fn is_name(name: &str) -> bool {
    let name = name.trim_start_matches(['"', '\'', '-', '(']);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Words with the blanks behind them.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let blank = behind.find(|c: char| !c.is_whitespace()).unwrap_or(behind.len());
        let (blank, behind) = behind.split_at(blank);
        rest = behind;
        Some((word, blank))
    })
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
            assert_eq!(told(sentence), want);
        }
    }
}
