//! A metric that the line itself names, with its labels.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::event::{FaultKind, Kind, LABELS, Spell, Spelled};

/// A metric line's name and labels.
pub(super) struct Declared<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Option<Kind>,
    pub(super) labels: &'a str,
    pub(super) help: &'a str,
}

impl Spell for Declared<'_> {
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
        if !is_metric_name(self.name) {
            return Err(FaultKind::BadName);
        }
        out.kind = self.kind.unwrap_or(Kind::Gauge);
        out.guessed = self.kind.is_none();
        let name = if out.kind == Kind::Counter || out.guessed {
            self.name.strip_suffix("_total").unwrap_or(self.name)
        } else {
            self.name
        };
        out.name.push_str(name);
        out.help.push_str(self.help.trim_end_matches('.'));
        if !self.labels.is_empty() {
            let mut labels = Labels { read: BTreeMap::new(), too_many: false };
            let read = labels.deserialize(&mut serde_json::Deserializer::from_str(self.labels));
            read.map_err(|_| if labels.too_many { FaultKind::Limit } else { FaultKind::BadValue })?;
            for (name, value) in labels.read {
                if !is_label_name(&name) {
                    return Err(FaultKind::BadName);
                }
                out.labels.push((name, value.into_text()));
            }
        }
        Ok(())
    }
}

/// The labels of a line, of which no more are read than a series may have.
struct Labels {
    read: BTreeMap<String, Label>,
    too_many: bool,
}

impl<'a> DeserializeSeed<'a> for &mut Labels {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Labels {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        let mut count = 0;
        while let Some(name) = map.next_key()? {
            count += 1;
            if count > LABELS {
                self.too_many = true;
                return Err(serde::de::Error::custom("too many labels"));
            }
            self.read.insert(name, map.next_value()?);
        }
        Ok(())
    }
}

/// A label's value as senders write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Label {
    Text(String),
    Number(serde_json::Number),
    Flag(bool),
}

impl Label {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(n) => n.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

/// Whether `name` may name a metric (OpenMetrics 1.0, without the reserved colon).
fn is_metric_name(name: &str) -> bool {
    name.len() <= 200 && is_label_name(name)
}

/// Whether `name` may name a label that users set.
fn is_label_name(name: &str) -> bool {
    let legal = |b: u8| b == b'_' || b.is_ascii_alphanumeric();
    name.bytes().all(legal)
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && !name.starts_with("__")
        && !matches!(name, "le" | "quantile")
}
