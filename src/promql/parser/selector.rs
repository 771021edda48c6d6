//! Selectors of series, and the lists of labels that operators and aggregations take.

use super::lexer::{Kind, SyntaxError, Token};
use super::{ParseResult, Parser};
use crate::promql::labels::NAME;
use crate::promql::matcher::{self, Matcher};
use crate::promql::syntax::{Matching, Selector, Side};
use crate::promql::text;

/// Words that are never the name of a metric outside of braces.
pub(super) const RESERVED: [&str; 6] = ["atan2", "bool", "group_left", "group_right", "ignoring", "on"];

impl Parser<'_> {
    pub(super) fn label_list(&mut self) -> ParseResult<Vec<String>> {
        self.expect("(", "grouping opts")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            let token = self.peek();
            let label = match token.kind {
                Kind::Word | Kind::Metric => token.text.to_owned(),
                Kind::Text => utf8(token)?,
                _ => return self.unexpected("grouping opts", "label"),
            };
            if label.is_empty() {
                return Err(SyntaxError::new(token.at, "invalid label name for grouping: \"\""));
            }
            self.take();
            labels.push(label);
            if !self.peek().is(")") && !self.takes(",") {
                return self.unexpected("grouping opts", "\",\" or \")\"");
            }
        }
        Ok(labels)
    }

    /// What may stand between an operator and its right side.
    pub(super) fn matching(&mut self) -> ParseResult<(bool, Matching)> {
        let bool = self.takes_word("bool");
        let mut matching = Matching::default();
        let on = self.takes_word("on");
        if on || self.takes_word("ignoring") {
            matching.on = on;
            matching.labels = self.label_list()?;
            matching.many = match () {
                () if self.takes_word("group_left") => Some(Side::Left),
                () if self.takes_word("group_right") => Some(Side::Right),
                () => None,
            };
            if matching.many.is_some() && self.peek().is("(") {
                matching.include = self.label_list()?;
            }
        }
        let token = self.peek();
        let fills =
            ["fill", "fill_left", "fill_right"].iter().any(|word| token.text.eq_ignore_ascii_case(word));
        if token.kind == Kind::Word && fills && self.ahead(1).is("(") {
            return Err(SyntaxError::new(
                token.at,
                format!("the modifier {} is experimental and not supported", token.text),
            ));
        }
        Ok((bool, matching))
    }

    /// A name, conditions in braces, or both. What `selects` must not select everything.
    pub(super) fn selector(&mut self, selects: bool) -> ParseResult<Selector> {
        let token = self.peek();
        let reserved = RESERVED.iter().any(|word| token.text.eq_ignore_ascii_case(word));
        let mut selector = Selector::default();
        if matches!(token.kind, Kind::Word | Kind::Metric) && !reserved {
            selector.name = Some(self.take().text.to_owned());
        }
        if self.takes("{") {
            self.conditions(&mut selector.matchers)?;
        } else if selector.name.is_none() {
            return self.unexpected("", "");
        }
        if let Some(name) = &selector.name {
            let twice = selector.matchers.iter().find(|matcher| matcher.name() == NAME);
            if let Some(other) = twice {
                let text = format!("metric name must not be set twice: {name:?} or {:?}", other.value());
                return Err(SyntaxError::new(token.at, text));
            }
            selector.matchers.extend(Matcher::new(NAME, matcher::Op::Equal, name));
        } else if selects && selector.matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(SyntaxError::new(
                token.at,
                "vector selector must contain at least one non-empty matcher",
            ));
        }
        Ok(selector)
    }

    fn conditions(&mut self, matchers: &mut Vec<Matcher>) -> ParseResult<()> {
        while !self.takes("}") {
            let token = self.peek();
            let name = match token.kind {
                Kind::Word => token.text.to_owned(),
                Kind::Text => utf8(token)?,
                Kind::End => return Err(SyntaxError::new(token.at, "unexpected end of input inside braces")),
                _ => return self.unexpected("label matching", "identifier or \"}\""),
            };
            self.take();
            let ops = [matcher::Op::Equal, matcher::Op::NotEqual, matcher::Op::Regex, matcher::Op::NotRegex];
            let op = ops.into_iter().find(|op| self.peek().is(op.text()));
            let (name, op, value) = match op {
                Some(op) => {
                    self.take();
                    if self.peek().kind != Kind::Text {
                        return self.unexpected("label matching", "string");
                    }
                    (name, op, utf8(self.take())?)
                }
                // A name in quotes alone is that of the metric.
                None if token.kind == Kind::Text => (NAME.to_owned(), matcher::Op::Equal, name),
                None => return self.unexpected("label matching", "label matching operator"),
            };
            let invalid =
                |why| SyntaxError::new(token.at, format!("invalid regular expression for {name}: {why}"));
            matchers.push(Matcher::within(&mut self.room, &name, op, &value).map_err(invalid)?);
            if !self.peek().is("}") && !self.takes(",") {
                return match self.peek().kind {
                    Kind::End => {
                        Err(SyntaxError::new(self.peek().at, "unexpected end of input inside braces"))
                    }
                    _ => self.unexpected("label matching", "\",\" or \"}\""),
                };
            }
        }
        Ok(())
    }
}

fn utf8(token: Token<'_>) -> ParseResult<String> {
    let bytes = text::unquote(token.text).map_err(|why| SyntaxError::new(token.at, why))?;
    String::from_utf8(bytes).map_err(|_| SyntaxError::new(token.at, format!("{} is not UTF-8", token.text)))
}
