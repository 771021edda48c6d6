//! Lengths of time in brackets and behind `offset`, arithmetic with them, and the time behind `@`.

use super::lexer::{Kind, SyntaxError};
use super::{DEPTH, ParseResult, Parser};
use crate::promql::syntax::{At, Length, Op, Term};

impl Parser<'_> {
    pub(super) fn at(&mut self) -> ParseResult<At> {
        let token = self.peek();
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.takes_word(word) {
                self.expect("(", "@")?;
                self.expect(")", "@")?;
                return Ok(at);
            }
        }
        let negative = self.takes("-");
        if !negative {
            self.takes("+");
        }
        if !matches!(self.peek().kind, Kind::Number | Kind::Duration) {
            return self.unexpected("@", "timestamp");
        }
        let (value, _) = self.number()?;
        let milliseconds = (if negative { -value } else { value } * 1000.0).round();
        // Far beyond any time, and far enough from the bounds of 64 bits for what is added to it.
        if !milliseconds.is_finite() || milliseconds.abs() > 9e15 {
            return Err(SyntaxError::new(
                token.at,
                format!("timestamp out of bounds for @ modifier: {value}"),
            ));
        }
        Ok(At::Time(milliseconds as i64))
    }

    /// The length in brackets, above 0.
    pub(super) fn length(&mut self, place: &str) -> ParseResult<Length> {
        let at = self.peek().at;
        let term = self.term(0, place)?;
        match fixed(&term) {
            Some(seconds) if seconds.is_nan() || seconds <= 0.0 => {
                Err(SyntaxError::new(at, "duration must be greater than 0"))
            }
            Some(seconds) => match milliseconds(seconds, at)? {
                0 => Err(SyntaxError::new(at, "duration must be at least 1ms")),
                milliseconds => Ok(Length::Fixed(milliseconds)),
            },
            None => Ok(Length::Computed(term)),
        }
    }

    /// Behind `offset`: one operand, with a sign before it. An operator behind it is that of the expression.
    pub(super) fn offset(&mut self) -> ParseResult<Length> {
        let at = self.peek().at;
        let negative = self.takes("-");
        if !negative {
            self.takes("+");
        }
        let term = self.term_operand("offset")?;
        let term = if negative { negated(term) } else { term };
        match fixed(&term) {
            Some(seconds) => Ok(Length::Fixed(milliseconds(seconds, at)?)),
            None => Ok(Length::Computed(term)),
        }
    }

    /// Arithmetic with durations, whose operators bind more tightly than `above`.
    fn term(&mut self, above: u8, place: &str) -> ParseResult<Term> {
        self.deeper(|parser| {
            let mut left = if parser.takes("-") {
                negated(parser.term(Op::SIGN, place)?)
            } else if parser.takes("+") {
                parser.term(Op::SIGN, place)?
            } else {
                parser.term_operand(place)?
            };
            let mut length = 1;
            while let Some(op) =
                parser.peek().operator().filter(|op| op.binds() > above && op.binds() >= Op::Add.binds())
            {
                let sign = parser.take();
                let right = parser.term(op.binds() - u8::from(op == Op::Pow), place)?;
                if matches!(op, Op::Div | Op::Mod) && fixed(&right) == Some(0.0) {
                    let what = if op == Op::Div { "division" } else { "modulo" };
                    return Err(SyntaxError::new(sign.at, format!("{what} by zero")));
                }
                length += 1;
                if op == Op::Atan2 || length > DEPTH {
                    return Err(SyntaxError::new(sign.at, "unexpected operator in duration expression"));
                }
                left = Term::Binary(op, Box::new((left, right)));
            }
            Ok(left)
        })
    }

    fn term_operand(&mut self, place: &str) -> ParseResult<Term> {
        let token = self.peek();
        match token.kind {
            Kind::Number | Kind::Duration => {
                let (value, duration) = self.number()?;
                if value.is_nan() || value.abs() > LARGEST {
                    return Err(SyntaxError::new(token.at, "duration out of range"));
                }
                return Ok(Term::Number { value, duration });
            }
            Kind::Sign if token.is("(") => {
                self.take();
                let inner = self.term(0, place)?;
                self.closed(token.at)?;
                return Ok(Term::Paren(Box::new(inner)));
            }
            Kind::Word if self.ahead(1).is("(") => {}
            _ => return self.unexpected(place, "number, duration, step(), or range()"),
        }
        let word = token.text.to_ascii_lowercase();
        let term = match word.as_str() {
            "step" => Term::Step,
            "range" => Term::Range,
            "min_of" | "max_of" => {
                self.next += 2;
                let left = self.term(0, place)?;
                self.expect(",", place)?;
                let sides = Box::new((left, self.term(0, place)?));
                self.expect(")", place)?;
                return Ok(if word == "min_of" { Term::Least(sides) } else { Term::Greatest(sides) });
            }
            _ => return self.unexpected(place, "number, duration, step(), or range()"),
        };
        self.next += 2;
        self.expect(")", place)?;
        Ok(term)
    }
}

/// The most seconds of a duration: what nanoseconds in 64 bits hold.
pub(in crate::promql) const LARGEST: f64 = 9_223_372_036.854_775;

fn milliseconds(seconds: f64, at: usize) -> ParseResult<i64> {
    if seconds.is_nan() || seconds.abs() > LARGEST {
        return Err(SyntaxError::new(at, "duration out of range"));
    }
    Ok(((seconds * 1e9).round() / 1e6) as i64)
}

/// The value of a term that is a number.
fn fixed(term: &Term) -> Option<f64> {
    match term {
        Term::Number { value, .. } => Some(*value),
        _ => None,
    }
}

fn negated(term: Term) -> Term {
    match term {
        Term::Number { value, duration } => Term::Number { value: -value, duration },
        term => Term::Negative(Box::new(term)),
    }
}
