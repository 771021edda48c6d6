//! A condition on the value of a label: `job="a"`, `job=~"a|b"`.

use std::fmt;

use regex::Regex;

use super::labels::Labels;
use super::text;
use crate::re2::Room;

/// Bytes that the regular expressions of one question may take together once they are compiled.
pub(super) const PATTERNS: usize = 32 << 20;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: the whole value matches a regular expression in RE2's syntax.
    Regex,
    /// `!~`
    NotRegex,
}

impl Op {
    /// The operator as it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label. A label that is not there has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: Box<str>,
    op: Op,
    value: Box<str>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// One of these values.
    Values(Box<[Box<str>]>),
    Regex(Regex),
}

impl Matcher {
    /// A condition.
    ///
    /// # Errors
    /// What is wrong with the regular expression.
    pub fn new(name: &str, op: Op, value: &str) -> Result<Self, String> {
        Self::within(&mut Room::new(PATTERNS), name, op, value)
    }

    /// A condition whose regular expression has room among others.
    ///
    /// # Errors
    /// What is wrong with the regular expression, or that there is no room for it.
    pub fn within(room: &mut Room, name: &str, op: Op, value: &str) -> Result<Self, String> {
        let test = match op {
            Op::Equal | Op::NotEqual => Test::Values(Box::new([value.into()])),
            Op::Regex | Op::NotRegex => match alternatives(value) {
                Some(values) => Test::Values(values),
                None => Test::Regex(room.anchored(value)?),
            },
        };
        Ok(Self { name: name.into(), op, value: value.into(), test })
    }

    /// The name of the label.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// What it is compared with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a value fulfils the condition.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.test {
            Test::Values(values) => values.iter().any(|one| &**one == value),
            Test::Regex(regex) => regex.is_match(value),
        };
        found == matches!(self.op, Op::Equal | Op::Regex)
    }

    /// Whether labels fulfil all conditions.
    #[must_use]
    pub fn all(matchers: &[Self], labels: &Labels) -> bool {
        matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name)))
    }

    /// The only values that fulfil the condition, where they are few and known: for an index.
    #[must_use]
    pub fn values(&self) -> Option<&[Box<str>]> {
        match &self.test {
            Test::Values(values) if matches!(self.op, Op::Equal | Op::Regex) => Some(values),
            _ => None,
        }
    }
}

/// The values that `a|b|c` names, if the expression is nothing else.
fn alternatives(pattern: &str) -> Option<Box<[Box<str>]>> {
    let plain =
        |c: char| !matches!(c, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$');
    pattern.chars().all(plain).then(|| pattern.split('|').map(Into::into).collect())
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_name(f, &self.name)?;
        f.write_str(self.op.text())?;
        text::write_quoted(f, self.value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_is_not_there_is_empty() {
        let matches = |op, pattern: &str, value: &str| Matcher::new("a", op, pattern).unwrap().matches(value);
        assert!(matches(Op::Equal, "", "") && matches(Op::NotEqual, "x", "") && matches(Op::Regex, "x|", ""));
        assert!(
            !matches(Op::Regex, ".+", "") && matches(Op::NotRegex, ".+", "") && matches(Op::Regex, ".*", "")
        );
    }

    #[test]
    fn the_whole_value_is_matched() {
        let matches =
            |pattern: &str, value: &str| Matcher::new("a", Op::Regex, pattern).unwrap().matches(value);
        assert!(
            matches("a.c", "abc")
                && matches("a.c", "a\nc")
                && !matches("a.c", "xabc")
                && !matches("ab", "abc")
        );
        assert!(matches("(?i:PRO).*", "production"));
        assert!(Matcher::new("a", Op::Regex, "(").is_err());
    }

    #[test]
    fn values_are_known_where_they_are_few() {
        let values = |op, pattern: &str| {
            let matcher = Matcher::new("a", op, pattern).unwrap();
            matcher.values().map(|values| values.join(","))
        };
        assert_eq!(values(Op::Regex, "a|b"), Some("a,b".into()));
        assert_eq!(values(Op::Equal, "a|b"), Some("a|b".into()));
        assert_eq!(values(Op::Regex, "a.*"), None);
        assert_eq!(values(Op::NotRegex, "a|b"), None);
    }
}
