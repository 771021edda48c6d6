//! The lines of an exposition, taken apart. Knows nothing of families and types.

use std::borrow::Cow;

use crate::event::FaultKind;

use super::Labels;

/// What is wrong with a line.
pub(super) type LineFault = (FaultKind, &'static str);

/// How lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineRules {
    /// Prometheus text 0.0.4, tolerantly.
    Classic,
    /// OpenMetrics 1.0, tolerantly.
    Open,
    /// OpenMetrics 1.0, to the letter.
    Strict,
}

/// More labels than that on one sample are refused, so that looking for a label stays cheap.
const LABELS: usize = 128;
/// Code points in the labels of an exemplar.
const EXEMPLAR: usize = 128;

/// A line that is a sample.
#[derive(Debug)]
pub(super) struct Sample<'t> {
    pub(super) name: Cow<'t, str>,
    pub(super) labels: Labels<'t>,
    pub(super) value: f64,
    /// Seconds.
    pub(super) timestamp: Option<f64>,
    pub(super) exemplar: bool,
}

/// A line that says something about a family.
#[derive(Debug)]
pub(super) struct Metadata<'t> {
    pub(super) what: MetadataKind,
    pub(super) name: Cow<'t, str>,
    /// The rest of the line, as it stands.
    pub(super) text: &'t str,
}

/// What is said about a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetadataKind {
    Type,
    Help,
    Unit,
}

const fn syntax(why: &'static str) -> LineFault {
    (FaultKind::Syntax, why)
}

/// How many bytes of `text` are a name; a metric's name may have colons.
pub(super) fn name_length(text: &str, colons: bool) -> usize {
    let mut length = 0;
    for byte in text.bytes() {
        let fits = byte.is_ascii_alphabetic()
            || byte == b'_'
            || (colons && byte == b':')
            || (length > 0 && byte.is_ascii_digit());
        if !fits {
            break;
        }
        length += 1;
    }
    length
}

/// A number as both dialects write it. No other base, no underscores.
pub(super) fn number(word: &str) -> Option<f64> {
    let signed = word.starts_with(['+', '-']);
    let value: f64 = word.parse().ok()?;
    (!(signed && value.is_nan())).then_some(value)
}

/// The value of `le`: finite, or `+Inf` in exactly this spelling.
pub(super) fn bound(word: &str) -> Option<f64> {
    if word == "+Inf" {
        return Some(f64::INFINITY);
    }
    number(word).filter(|value| value.is_finite())
}

/// The value of `quantile`: from 0 to 1.
pub(super) fn quantile(word: &str) -> Option<f64> {
    number(word).filter(|value| (0.0..=1.0).contains(value))
}

/// Undoes `\\` and `\n`, and `\"` where `quotes` are escaped; leaves other backslashes alone.
pub(super) fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('\\') => plain.push('\\'),
            Some('"') if quotes => plain.push('"'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    Cow::Owned(plain)
}

/// A place in a line.
struct Cursor<'t> {
    rest: &'t str,
    rules: LineRules,
    strict: bool,
}

impl<'t> Cursor<'t> {
    fn new(rest: &'t str, rules: LineRules) -> Self {
        Self { rest, rules, strict: rules == LineRules::Strict }
    }

    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Passes over blanks where the dialect does not care for them.
    fn blanks(&mut self) {
        if !self.strict {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
        }
    }

    /// Passes over what separates two words.
    fn gap(&mut self) -> Result<(), LineFault> {
        let found = if self.strict { self.eat(' ') } else { self.rest.starts_with([' ', '\t']) };
        self.blanks();
        if found { Ok(()) } else { Err(syntax("a space is missing")) }
    }

    /// Takes `length` bytes, which end between two characters.
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> &'t str {
        let length = memchr::memchr2(b' ', b'\t', self.rest.as_bytes()).unwrap_or(self.rest.len());
        self.take(length)
    }

    fn number(&mut self) -> Result<f64, LineFault> {
        number(self.word()).ok_or(syntax("not a number"))
    }

    fn timestamp(&mut self) -> Result<f64, LineFault> {
        let word = self.word();
        let seconds = if self.rules != LineRules::Classic {
            number(word).filter(|seconds| seconds.is_finite())
        } else {
            word.parse::<i64>().ok().map(|milliseconds| milliseconds as f64 / 1e3)
        };
        seconds.ok_or(syntax("not a timestamp"))
    }

    /// A string whose opening quote is already taken.
    fn string(&mut self) -> Result<Cow<'t, str>, LineFault> {
        let bytes = self.rest.as_bytes();
        let mut from = 0;
        loop {
            let tail = bytes.get(from..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', tail) else {
                return Err(syntax("a quote is not closed"));
            };
            let place = from + found;
            if bytes.get(place) == Some(&b'"') {
                let text = self.take(place);
                self.eat('"');
                return Ok(unescape(text, true));
            }
            from = place + 2;
        }
    }

    /// A metric's name, bare or quoted.
    fn name(&mut self) -> Result<Cow<'t, str>, LineFault> {
        let name = if self.eat('"') {
            self.string()?
        } else {
            Cow::Borrowed(self.take(name_length(self.rest, true)))
        };
        if name.is_empty() { Err((FaultKind::BadName, "not a metric name")) } else { Ok(name) }
    }

    /// Labels whose opening brace is already taken, and the quoted name among them.
    fn labels(&mut self) -> Result<(Option<Cow<'t, str>>, Labels<'t>), LineFault> {
        let mut name = None;
        let mut labels = Labels::new();
        self.blanks();
        if self.eat('}') {
            return Ok((name, labels));
        }
        loop {
            let quoted = self.eat('"');
            let label =
                if quoted { self.string()? } else { Cow::Borrowed(self.take(name_length(self.rest, false))) };
            if label.is_empty() {
                return Err((FaultKind::BadName, "not a label name"));
            }
            self.blanks();
            if self.eat('=') {
                self.blanks();
                if !self.eat('"') {
                    return Err(syntax("a label's value is not quoted"));
                }
                let value = self.string()?;
                if labels.len() == LABELS {
                    return Err((FaultKind::Limit, "too many labels"));
                }
                if labels.iter().any(|(known, _)| *known == label) {
                    return Err(syntax("a label occurs twice"));
                }
                labels.push((label, value));
            } else if quoted && name.is_none() {
                name = Some(label);
            } else {
                return Err(syntax("a label without a value"));
            }
            self.blanks();
            let more = self.eat(',');
            self.blanks();
            if !more || !self.strict {
                if self.eat('}') {
                    return Ok((name, labels));
                }
                if !more {
                    return Err(syntax("labels are neither continued nor closed"));
                }
            }
        }
    }

    /// An exemplar, from its `#` to the end of the line. Only what is read to the letter is looked at: no event has a
    /// place for it, so nothing in it can spoil the sample.
    fn exemplar(&mut self) -> Result<(), LineFault> {
        if !self.eat('#') {
            return Err(syntax("something follows the sample"));
        }
        if !self.strict {
            return Ok(());
        }
        self.gap()?;
        if !self.eat('{') {
            return Err(syntax("an exemplar without labels"));
        }
        let (name, labels) = self.labels()?;
        if name.is_some() {
            return Err(syntax("an exemplar with a name"));
        }
        let length: usize =
            labels.iter().map(|(label, value)| label.chars().count() + value.chars().count()).sum();
        if length > EXEMPLAR {
            return Err((FaultKind::TooLong, "the labels of an exemplar are longer than 128 characters"));
        }
        self.gap()?;
        self.number()?;
        if self.rest.is_empty() {
            return Ok(());
        }
        self.gap()?;
        number(self.word()).filter(|seconds| seconds.is_finite()).ok_or(syntax("not a timestamp"))?;
        if self.rest.is_empty() { Ok(()) } else { Err(syntax("something follows the exemplar")) }
    }
}

/// Takes a sample apart.
pub(super) fn sample(text: &str, rules: LineRules) -> Result<Sample<'_>, LineFault> {
    let mut cursor = Cursor::new(text, rules);
    let strict = cursor.strict;
    cursor.blanks();
    let mut bare = None;
    if !cursor.rest.starts_with('{') {
        let name = Cow::Borrowed(cursor.take(name_length(cursor.rest, true)));
        if name.is_empty() {
            return Err((FaultKind::BadName, "not a metric name"));
        }
        bare = Some(name);
    }
    // Only the tolerant dialect has blanks before the brace; then there is no gap to ask for later.
    let before = cursor.rest.len();
    cursor.blanks();
    let (quoted, labels, closed) = if cursor.eat('{') {
        let (name, labels) = cursor.labels()?;
        (name, labels, true)
    } else {
        (None, Labels::new(), false)
    };
    let name = match (bare, quoted) {
        (Some(name), None) | (None, Some(name)) if !name.is_empty() => name,
        (Some(_), Some(_)) => return Err(syntax("a metric with two names")),
        _ => return Err((FaultKind::BadName, "a metric without a name")),
    };
    if strict {
        cursor.gap()?;
    } else {
        let parted = cursor.rest.len() < before;
        cursor.blanks();
        if !closed && !parted {
            return Err(syntax("a space is missing"));
        }
    }
    let value = cursor.number()?;
    let mut sample = Sample { name, labels, value, timestamp: None, exemplar: false };
    if cursor.rest.is_empty() {
        return Ok(sample);
    }
    cursor.gap()?;
    if !cursor.rest.starts_with('#') && (strict || !cursor.rest.is_empty()) {
        sample.timestamp = Some(cursor.timestamp()?);
        if cursor.rest.is_empty() {
            return Ok(sample);
        }
        cursor.gap()?;
    }
    if strict || !cursor.rest.is_empty() {
        cursor.exemplar()?;
        sample.exemplar = true;
    }
    Ok(sample)
}

/// Takes a line apart that begins with `#`. `None` for a comment, which OpenMetrics does not have to the letter.
pub(super) fn about(text: &str, rules: LineRules) -> Result<Option<Metadata<'_>>, LineFault> {
    let mut cursor = Cursor::new(text, rules);
    let strict = cursor.strict;
    let comment =
        if strict { Err(syntax("a comment that is none of TYPE, UNIT, HELP, EOF")) } else { Ok(None) };
    if !cursor.eat('#') || cursor.gap().is_err() {
        return comment;
    }
    let what = match cursor.word() {
        "TYPE" => MetadataKind::Type,
        "HELP" => MetadataKind::Help,
        "UNIT" => MetadataKind::Unit,
        _ => return comment,
    };
    cursor.gap()?;
    let name = cursor.name()?;
    // A name without anything behind it, not even a space, is an error in OpenMetrics alone.
    if strict || !cursor.rest.is_empty() {
        cursor.gap()?;
    }
    Ok(Some(Metadata { what, name, text: cursor.rest }))
}
