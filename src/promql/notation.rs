//! Series as Prometheus' unit tests write them: `up{job="a"} 1 2+3x2 _ stale`.
//!
//! Points in `{{…}}` are native histograms: they are read over and yield [`Point::Histogram`].

use super::error::Error;
use super::labels::{Labels, NAME};
use super::matcher::{Matcher, Op};
use super::parser::{number, parse_series};
use super::sample::STALE;

/// What a series has at a point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Point {
    /// A value; [`STALE`] for `stale`.
    Value(f64),
    /// Nothing: `_`.
    Missing,
    /// A native histogram.
    Histogram,
}

/// The most points of a series.
const LONGEST: usize = 1_000_000;

/// The labels and points of a series.
///
/// # Errors
/// What is wrong and where, counted in bytes from 1.
pub fn read_series(text: &str) -> Result<(Labels, Vec<Point>), Error> {
    let (metric, points) = split(text);
    let labels = read_labels(metric)?;
    let mut all = Vec::new();
    let mut rest = points.trim_start();
    while !rest.is_empty() {
        let length = item(rest);
        let (one, behind) = (rest.get(..length).unwrap_or(rest), rest.get(length..).unwrap_or_default());
        expand(one, &mut all).map_err(|why| Error::invalid(format!("\"{one}\" in a series: {why}")))?;
        rest = behind.trim_start();
    }
    Ok((labels, all))
}

/// The labels of a series: a name, labels in braces, or both.
///
/// # Errors
/// As [`read_series`].
pub fn read_labels(text: &str) -> Result<Labels, Error> {
    let matchers = parse_series(text)?;
    if let Some(other) = matchers.iter().find(|matcher| matcher.op() != Op::Equal) {
        return Err(Error::invalid(format!("a series has values and no conditions: {other}")));
    }
    let pair = |matcher: &Matcher| (matcher.name().to_owned(), matcher.value().to_owned());
    let pairs: Vec<(String, String)> = matchers.iter().map(pair).collect();
    debug_assert!(pairs.iter().filter(|(name, _)| name == NAME).count() <= 1);
    Ok(Labels::from_pairs(pairs))
}

/// The metric, and what is behind it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(open), '\\') if open != '`' => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '}') => return text.split_at(at + 1),
            // Without labels, the name ends at a space.
            (None, ' ' | '\t') if !text.get(..at).unwrap_or_default().contains('{') => {
                let behind = text.get(at..).unwrap_or_default().trim_start();
                if !behind.starts_with('{') || behind.starts_with("{{") {
                    return text.split_at(at);
                }
            }
            (None, _) => {}
        }
    }
    (text, "")
}

/// The length of the next item, which may be a histogram with spaces in it.
fn item(text: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if c.is_whitespace() && depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// Adds the points of an item: `1`, `1x3`, `1+2x3`, `_x3`.
fn expand(item: &str, all: &mut Vec<Point>) -> Result<(), String> {
    let histogram = item.starts_with("{{");
    // The `x` of a repetition is the last one; a number has none.
    let behind = if histogram { item.rfind("}}").map_or(0, |at| at + 2) } else { 0 };
    let (head, tail) = item.split_at_checked(behind).unwrap_or((item, ""));
    let (tail, times) = match tail.rsplit_once('x') {
        Some((tail, times)) => {
            (tail, Some(times.parse::<usize>().map_err(|_| "its repetition is not a number")?))
        }
        None => (tail, None),
    };
    let missing = tail == "_" && !histogram;
    // A value that is repeated stands once more, in front.
    let count = times.map_or(1, |times| if missing { times } else { times.saturating_add(1) });
    if all.len().saturating_add(count) > LONGEST {
        return Err(format!("a series has more than {LONGEST} points"));
    }
    if histogram && head.ends_with("}}") && (tail.is_empty() || tail.starts_with(['+', '-'])) {
        all.extend(std::iter::repeat_n(Point::Histogram, count));
        return Ok(());
    }
    if missing {
        all.extend(std::iter::repeat_n(Point::Missing, count));
        return Ok(());
    }
    let (mut value, step) = value(tail)?;
    for _ in 0..count {
        all.push(Point::Value(value));
        if step != 0.0 {
            value += step;
        }
    }
    Ok(())
}

/// A value and what is added to it each time.
fn value(text: &str) -> Result<(f64, f64), String> {
    let signed = |text: &str| -> Option<f64> {
        match text.strip_prefix('-') {
            Some(text) => number(text).map(|value| -value),
            None => number(text.strip_prefix('+').unwrap_or(text)),
        }
    };
    if text == "stale" {
        return Ok((STALE, 0.0));
    }
    if let Some(value) = signed(text) {
        return Ok((value, 0.0));
    }
    // The sign between two numbers is none of an exponent: what is before it is a number.
    let signs = text.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    let mut parts = signs.filter_map(|(at, _)| {
        let (first, second) = text.split_at_checked(at)?;
        Some((signed(first)?, signed(second)?))
    });
    parts.next().ok_or_else(|| "it is neither a number, nor _, nor stale".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Vec<Point> {
        read_series(text).unwrap().1
    }

    #[test]
    fn points_are_expanded() {
        use Point::{Histogram, Missing, Value};
        let expanded = points("up{job=\"a b}\"} 1 2+3x2 _ -1e-1-1x1 _x2 Inf {{schema:0 sum:1}}x1 {{}}");
        let expected = [
            Value(1.0),
            Value(2.0),
            Value(5.0),
            Value(8.0),
            Missing,
            Value(-0.1),
            Value(-1.1),
            Missing,
            Missing,
            Value(f64::INFINITY),
            Histogram,
            Histogram,
            Histogram,
        ];
        assert_eq!(expanded, expected);
        assert!(matches!(points("a stale")[..], [Value(v)] if super::super::is_stale(v)));
        assert_eq!(points("a"), []);
    }

    #[test]
    fn labels_are_read() {
        let labels = |text: &str| read_series(text).unwrap().0.to_string();
        assert_eq!(labels("{a=\"b\"} 1"), r#"{a="b"}"#);
        assert_eq!(labels("{} 1"), "{}");
        assert_eq!(labels("a {b=\"c\"} 1"), r#"{__name__="a", b="c"}"#);
        assert_eq!(labels("{\"a.b\", c='d'} 1"), r#"{__name__="a.b", c="d"}"#);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for wrong in ["a b", "a 1x", "a{b!=\"c\"} 1", "a{b} 1", "a 1+", "a 1x99999999999", "a{b=\"c\" 1"] {
            assert!(read_series(wrong).is_err(), "{wrong}");
        }
    }
}
