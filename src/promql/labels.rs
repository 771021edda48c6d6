//! The labels of a series: names and values in the order of the names, in one shared string.
//!
//! A label whose value is empty is a label that is not there. It knows nothing of what a name means but `__name__`.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::sync::Arc;

/// The label that holds the name of a metric.
pub const NAME: &str = "__name__";
/// The label that holds the upper bound of a bucket.
pub const BUCKET: &str = "le";

/// Labels that describe what a metric is and go when a function makes something else of it.
pub(super) fn describes(name: &str) -> bool {
    matches!(name, NAME | "__type__" | "__unit__")
}

/// Sorted, distinct labels. A clone costs a counter.
///
/// Each name and value is preceded by its length in digits of 6 bits, lowest first, with 64 added while another digit
/// follows: all ASCII, so that the whole is text.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// No label at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Labels from pairs in any order. Of a name that comes more than once the last one is taken; empty values are left out.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs: Vec<(N, V)> = pairs.into_iter().collect();
        let mut order: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        // Stable, so that the last of equal names stays the last.
        order.sort_by_key(|(name, _)| *name);
        let mut writer = Writer::default();
        for (i, (name, value)) in order.iter().enumerate() {
            if order.get(i + 1).is_none_or(|(next, _)| next != name) {
                writer.push(name, value);
            }
        }
        writer.finish()
    }

    /// The labels that [`Labels::encoded`] wrote, if they are that: lengths that fit, sorted distinct names, no empty value.
    #[must_use]
    pub fn decode(encoded: &str) -> Option<Self> {
        let mut reader = Pairs(encoded);
        let mut last: Option<&str> = None;
        while !reader.0.is_empty() {
            let (name, value) = reader.next()?;
            if value.is_empty() || last.is_some_and(|last| last >= name) {
                return None;
            }
            last = Some(name);
        }
        Some(Self(Arc::from(encoded)))
    }

    /// The one string behind the labels: equal for equal labels, made for keys and files.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.0
    }

    /// Name and value of each label.
    #[must_use]
    pub fn iter(&self) -> Pairs<'_> {
        Pairs(&self.0)
    }

    /// The value of a label; empty if it is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    /// The name of the metric; empty if there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(NAME)
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those labels of which `keep` says yes.
    pub(super) fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.iter().all(|(name, _)| keep(name)) {
            return self.clone();
        }
        let mut writer = Writer::default();
        for (name, value) in self.iter().filter(|(name, _)| keep(name)) {
            writer.push(name, value);
        }
        writer.finish()
    }

    /// Without the name of the metric and what else describes it.
    pub(super) fn nameless(&self) -> Self {
        self.filtered(|name| !describes(name))
    }

    /// With labels set, or taken away where the value is empty.
    #[must_use]
    pub fn with(&self, changes: &[(&str, &str)]) -> Self {
        let changed = |name: &str| changes.iter().any(|(change, _)| *change == name);
        let kept = self.iter().filter(|(name, _)| !changed(name));
        Self::from_pairs(kept.chain(changes.iter().copied()))
    }

    /// With those of others that it lacks.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        if others.is_empty() {
            return self.clone();
        }
        let lacking = others.iter().filter(|(name, _)| self.get(name).is_empty());
        Self::from_pairs(self.iter().chain(lacking))
    }
}

impl<'l> IntoIterator for &'l Labels {
    type Item = (&'l str, &'l str);
    type IntoIter = Pairs<'l>;

    fn into_iter(self) -> Pairs<'l> {
        self.iter()
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Labels {
    /// As a line of a scrape writes a series: `up{job="a"}`.
    #[must_use]
    pub fn metric(&self) -> String {
        let escaped = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        let rest = self.iter().filter(|(name, _)| *name != NAME);
        let pairs: Vec<String> = rest.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        if pairs.is_empty() {
            self.name().to_owned()
        } else {
            format!("{}{{{}}}", self.name(), pairs.join(","))
        }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As Prometheus writes them in messages: `{__name__="up", job="a"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            super::text::write_name(f, name)?;
            f.write_char('=')?;
            super::text::write_quoted(f, value.as_bytes())?;
        }
        f.write_char('}')
    }
}

/// Walks over names and values.
#[derive(Clone, Debug)]
pub struct Pairs<'l>(&'l str);

impl<'l> Pairs<'l> {
    fn part(&mut self) -> Option<&'l str> {
        let (mut length, mut shift) = (0_usize, 0_u32);
        let mut digits = 0_usize;
        for byte in self.0.bytes() {
            if byte > 127 || shift > 30 {
                return None;
            }
            digits += 1;
            length |= usize::from(byte & 63) << shift;
            shift += 6;
            if byte & 64 == 0 {
                let part = self.0.get(digits..digits.checked_add(length)?)?;
                self.0 = self.0.get(digits + length..)?;
                return Some(part);
            }
        }
        None
    }
}

impl<'l> Iterator for Pairs<'l> {
    type Item = (&'l str, &'l str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.part()?, self.part()?))
    }
}

/// Writes labels that come in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Writer(String);

impl Writer {
    /// Adds a label whose name is behind all before it.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        for part in [name, value] {
            let mut length = part.len();
            while length > 63 {
                self.0.push(char::from((length & 63) as u8 | 64));
                length >>= 6;
            }
            self.0.push(char::from(length as u8));
            self.0.push_str(part);
        }
    }

    pub(super) fn finish(&self) -> Labels {
        Labels(Arc::from(self.0.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_written_as_a_scrape_writes_it() {
        let labels = Labels::from_pairs([(NAME, "up"), ("b", "a\"\\\n"), ("a", "µ")]);
        assert_eq!(labels.metric(), r#"up{a="µ",b="a\"\\\n"}"#);
        assert_eq!(
            (Labels::from_pairs([(NAME, "up")]).metric(), Labels::empty().metric()),
            ("up".into(), String::new())
        );
    }

    #[test]
    fn pairs_are_sorted_distinct_and_never_empty() {
        let labels = Labels::from_pairs([("job", "a"), ("__name__", "up"), ("job", "b"), ("x", "")]);
        assert_eq!(labels.to_string(), r#"{__name__="up", job="b"}"#);
        assert_eq!((labels.name(), labels.get("job"), labels.get("x")), ("up", "b", ""));
        assert_eq!(labels, Labels::from_pairs([("__name__", "up"), ("job", "b")]));
        assert!(Labels::from_pairs([("x", "")]).is_empty());
    }

    #[test]
    fn lengths_are_kept_whatever_they_are() {
        for length in [1, 63, 64, 65, 4095, 4096, 70_000] {
            let value = "ä".repeat(length);
            let labels = Labels::from_pairs([("a", value.as_str()), ("b", "c")]);
            assert_eq!(labels.get("a"), value);
            assert_eq!(labels.get("b"), "c");
            assert_eq!(Labels::decode(labels.encoded()), Some(labels));
        }
    }

    #[test]
    fn what_is_no_list_of_labels_is_not_decoded() {
        let written = |pairs: &[(&str, &str)]| {
            let mut writer = Writer::default();
            pairs.iter().for_each(|(name, value)| writer.push(name, value));
            writer.finish().encoded().to_owned()
        };
        assert!(Labels::decode(&written(&[("a", "b"), ("c", "d")])).is_some());
        assert_eq!(Labels::decode(&written(&[("c", "d"), ("a", "b")])), None);
        assert_eq!(Labels::decode(&written(&[("a", "b"), ("a", "b")])), None);
        for broken in [
            "\u{1}",
            "\u{1}a",
            "\u{1}a\u{2}b",
            "\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}",
            "ä",
            "\u{1}a\u{0}",
        ] {
            assert_eq!(Labels::decode(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn labels_are_ordered_name_by_name() {
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        assert!(labels(&[("a", "b")]) < labels(&[("a", "b"), ("c", "d")]));
        assert!(labels(&[("a", "bb")]) < labels(&[("a", "c")]));
        assert!(labels(&[("a", "z")]) < labels(&[("b", "a")]));
    }
}
