//! The series as the rest of the agent reads them: a family, its labels, a value.

use std::borrow::Cow;

use super::Registry;
use super::family::escape;

/// One series as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'r> {
    labels: &'r str,
    /// Its value: what a counter or a gauge has now.
    pub value: f64,
}

impl<'r> Sample<'r> {
    /// Its labels, in the order of the family.
    #[must_use]
    pub fn labels(&self) -> Labels<'r> {
        Labels(self.labels)
    }

    /// The value of one of its labels.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<Cow<'r, str>> {
        self.labels().find(|(label, _)| *label == name).map(|(_, value)| value)
    }

    /// Whether it has this label with this value.
    #[must_use]
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.label(name).is_some_and(|label| label == value)
    }
}

/// Names and values of labels, as they were before they were escaped for the text format.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'r>(&'r str);

impl<'r> Iterator for Labels<'r> {
    type Item = (&'r str, Cow<'r, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once("=\"")?;
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let (value, rest) = rest.split_at_checked(end)?;
        let rest = rest.strip_prefix('"').unwrap_or_default();
        self.0 = rest.strip_prefix(',').unwrap_or(rest);
        Some((name, unescape(value)))
    }
}

/// The reverse of [`escape`].
fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let (mut out, mut chars) = (String::with_capacity(value.len()), value.chars());
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => break,
            },
            c => c,
        });
    }
    Cow::Owned(out)
}

impl Registry {
    /// Every series of a family that has a single value. Histograms and summaries have none.
    pub fn samples(&self, family: &str) -> impl Iterator<Item = Sample<'_>> {
        let family = self.taken.get(family).and_then(|&id| self.families.get(id as usize));
        let series = family.into_iter().flat_map(|family| family.series(None));
        series.filter_map(|series| Some(Sample { labels: &series.labels, value: series.number()? }))
    }

    /// The value of one series, whose labels are in the order of the family.
    #[must_use]
    pub fn value(&self, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut text = Vec::new();
        for (name, value) in labels {
            if !text.is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=\"");
            escape(value, &mut text);
            text.push(b'"');
        }
        let family = self.families.get(*self.taken.get(family)? as usize)?;
        family.get(family.find(&text)?)?.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_were() {
        for value in ["", "plain", "a\"b", "back\\slash", "\\\"", "line\nend", "x=\"y\",z=\"", "\\n"] {
            let mut text = b"first=\"".to_vec();
            escape(value, &mut text);
            text.extend_from_slice(b"\",second=\"2\"");
            let text = String::from_utf8(text).unwrap();
            let read: Vec<(&str, String)> =
                Labels(&text).map(|(name, value)| (name, value.into_owned())).collect();
            assert_eq!(read, [("first", value.to_owned()), ("second", "2".to_owned())], "{text}");
        }
        assert_eq!(Labels("").next(), None);
    }
}
