//! Lines of a scrape as the history reads them: the part that names a series, its value, its labels.

use std::collections::HashMap;

use regex::Regex;

use crate::promql::Labels;
use crate::re2::anchored;

/// The part of a line that names its series, its value, and what follows: a time or an exemplar. Nothing for comments and for what is
/// no line.
#[must_use]
pub(super) fn split(line: &str) -> Option<(&str, f64, &str)> {
    let end = end_of_series(line.as_bytes())?;
    let (series, rest) = line.split_at_checked(end)?;
    let value = rest.strip_prefix(' ')?;
    let (value, after) = value.split_once(' ').unwrap_or((value, ""));
    Some((series, number(value)?, after))
}

/// The part of a line of a scrape that names its series, and its value. Nothing for comments and for what is no line.
#[must_use]
pub fn series_of(line: &str) -> Option<(&str, f64)> {
    split(line).map(|(series, value, _)| (series, value))
}

/// The part of a line that names its series, its value and its time in milliseconds: a line of OpenMetrics with a time in seconds.
#[must_use]
pub fn timed(line: &str) -> Option<(&str, f64, i64)> {
    let (series, value, rest) = split(line)?;
    let time = rest.split(' ').next()?.parse::<f64>().ok()?;
    let ms = (time * 1000.0).round();
    (ms.abs() < 9e15).then_some((series, value, ms as i64))
}

/// Where the name and labels end.
fn end_of_series(line: &[u8]) -> Option<usize> {
    let open = line.iter().position(|byte| matches!(byte, b'{' | b' '))?;
    if *line.first()? == b'#' {
        return None;
    }
    if line.get(open) == Some(&b' ') {
        return Some(open);
    }
    let (mut quoted, mut escaped) = (false, false);
    let close = line.iter().skip(open).position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' => return !quoted,
            _ => {}
        }
        false
    })?;
    Some(open + close + 1)
}

/// A value as the text formats write it.
fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// Which metrics are remembered, by name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
    /// Names that were compared, so that a line is not compared with each scrape.
    known: HashMap<Box<str>, bool>,
}

/// Names whose answer is kept. An agent has some hundreds.
const KNOWN: usize = 10_000;

impl Names {
    /// Names with `*` for any characters. All are remembered where `allow` is empty, but those that are denied.
    #[must_use]
    pub fn new(allow: &[String], deny: &[String]) -> Self {
        // The configuration lets letters, digits, `_`, `:` and `*` through, so that each is an expression.
        let read = |names: &[String]| {
            names.iter().filter_map(|name| anchored(&name.replace('*', ".*")).ok()).collect()
        };
        Self { allow: read(allow), deny: read(deny), known: HashMap::new() }
    }

    fn has(&self, name: &str) -> bool {
        let any = |names: &[Regex]| names.iter().any(|one| one.is_match(name));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.deny)
    }

    /// Whether the series is remembered that this part of a line names.
    #[must_use]
    pub fn take(&mut self, series: &str) -> bool {
        if self.allow.is_empty() && self.deny.is_empty() {
            return true;
        }
        let name = series.split('{').next().unwrap_or_default();
        if let Some(&known) = self.known.get(name) {
            return known;
        }
        let has = self.has(name);
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(name.into(), has);
        has
    }
}

/// Labels that a server attaches to what it scrapes. Where the target has a label of that name, the target's is renamed
/// to `exported_…`, as Prometheus does unless it is configured to honour labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `alerts.job` of the configuration.
    pub job: String,
    /// The address that a Prometheus would scrape.
    pub instance: String,
}

impl Target {
    /// The labels of a series, from the part of a line that names it. Nothing where it is no such text.
    #[must_use]
    pub fn labels(&self, series: &str) -> Option<Labels> {
        let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
        let mut pairs = vec![("__name__".to_owned(), name.to_owned())];
        let mut rest = rest;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"")?;
            let (value, after) = unquote(value)?;
            let taken = label == "job" || label == "instance";
            pairs.push((if taken { format!("exported_{label}") } else { label.to_owned() }, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        pairs.push(("job".into(), self.job.clone()));
        pairs.push(("instance".into(), self.instance.clone()));
        Some(Labels::from_pairs(pairs))
    }
}

/// A value up to its closing quote, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_once() {
        let mut names = Names::new(&["a_*".into()], &["a_b*".into()]);
        for _ in 0..3 {
            assert!(names.take("a_c{d=\"1\"}") && names.take("a_c{d=\"2\"}") && names.take("a_"));
            assert!(!names.take("a_bc") && !names.take("b{a_=\"1\"}"));
        }
        assert_eq!(names.known.len(), 4);
        // The answers stay right where they are many, and do not grow without bound.
        for number in 0..3 * KNOWN {
            assert!(names.take(&format!("a_{number}")));
            assert!(!names.take(&format!("c_{number}{{}}")));
        }
        assert!(names.known.len() <= KNOWN);
        // Without a list nothing is kept.
        let mut all = Names::default();
        assert!(all.take("anything") && all.known.is_empty());
    }
}
