//! Tokens to a tree, by operator precedence. What it accepts is Prometheus 3's grammar; what needs a flag there is named and refused.
//!
//! Depth is bounded, in nested text and in long chains of operators, so that a walk over a tree may recurse.

mod check;
mod duration;
mod lexer;
mod selector;

pub(super) use duration::LARGEST;
pub(super) use lexer::number;

use self::lexer::{Kind, SyntaxError, Token};
use self::selector::RESERVED;
use super::error::Error;
use super::functions::{self, Function};
use super::matcher::{Matcher, PATTERNS};
use super::syntax::{Aggregate, Aggregator, Binary, Call, Expr, Node, Op, Shift, Subquery, Tree};
use super::text;
use crate::re2::Room;

/// The most nodes above one another.
pub(super) const DEPTH: usize = 100;
/// The longest text that is read, in bytes.
const LONGEST: usize = 256 << 10;

/// Reads and checks an expression.
///
/// # Errors
/// The first thing that is wrong: `1:5: parse error: …`, with line and column.
pub fn parse(text: &str) -> Result<Expr, Error> {
    let read = || {
        let mut parser = Parser::new(text)?;
        if parser.peek().kind == Kind::End {
            return Err(SyntaxError::new(0, "no expression found in input"));
        }
        let tree = parser.expr(0)?;
        parser.end()?;
        check::check(&tree)?;
        Ok(Expr { text: text.into(), tree })
    };
    read().map_err(|wrong| placed(text, &wrong))
}

/// Reads a selector of series, as `match[]` has them: a name, conditions in braces, or both.
///
/// # Errors
/// As [`parse`].
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    selected(text, true, &mut Room::new(PATTERNS))
}

/// Reads the selectors of one question, which together have the room of one.
///
/// # Errors
/// As [`parse`], of the first that is wrong.
pub fn parse_selectors<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Vec<Vec<Matcher>>, Error> {
    let mut room = Room::new(PATTERNS);
    texts.map(|text| selected(text, true, &mut room)).collect()
}

/// Reads the name and the labels of a series; there may be none.
pub(super) fn parse_series(text: &str) -> Result<Vec<Matcher>, Error> {
    selected(text, false, &mut Room::new(PATTERNS))
}

fn selected(text: &str, selects: bool, room: &mut Room) -> Result<Vec<Matcher>, Error> {
    let mut read = || {
        let mut parser = Parser::new(text)?;
        std::mem::swap(&mut parser.room, room);
        let selector = parser.selector(selects)?;
        parser.end()?;
        std::mem::swap(&mut parser.room, room);
        Ok(selector.matchers)
    };
    read().map_err(|wrong| placed(text, &wrong))
}

fn placed(text: &str, wrong: &SyntaxError) -> Error {
    Error::invalid(format!("{}: parse error: {}", place(text, wrong.at), wrong.text))
}

/// Line and column, counted in bytes from 1: `1:5`.
pub(super) fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rfind('\n').map_or(before.len() + 1, |last| before.len() - last);
    format!("{line}:{column}")
}

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    depth: usize,
    /// For regular expressions.
    room: Room,
}

type ParseResult<T> = Result<T, SyntaxError>;

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> ParseResult<Self> {
        if text.len() > LONGEST {
            return Err(SyntaxError::new(0, format!("the expression is longer than {LONGEST} bytes")));
        }
        Ok(Self { tokens: lexer::tokens(text)?, next: 0, depth: 0, room: Room::new(PATTERNS) })
    }

    fn peek(&self) -> Token<'t> {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Token<'t> {
        let last = Token { kind: Kind::End, text: "", at: 0 };
        self.tokens.get(self.next + by).or_else(|| self.tokens.last()).copied().unwrap_or(last)
    }

    fn take(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// Takes the sign if it is next.
    fn takes(&mut self, sign: &str) -> bool {
        let found = self.peek().is(sign);
        self.next += usize::from(found);
        found
    }

    /// Takes the word if it is next.
    fn takes_word(&mut self, word: &str) -> bool {
        let token = self.peek();
        let found = token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word);
        self.next += usize::from(found);
        found
    }

    fn unexpected<T>(&self, place: &str, expected: &str) -> ParseResult<T> {
        let token = self.peek();
        let mut text = format!("unexpected {}", token.named());
        for (before, part) in [(" in ", place), (", expected ", expected)] {
            if !part.is_empty() {
                text.push_str(before);
                text.push_str(part);
            }
        }
        Err(SyntaxError::new(token.at, text))
    }

    fn expect(&mut self, sign: &str, place: &str) -> ParseResult<()> {
        if self.takes(sign) { Ok(()) } else { self.unexpected(place, &format!("\"{sign}\"")) }
    }

    fn end(&self) -> ParseResult<()> {
        if self.peek().kind == Kind::End { Ok(()) } else { self.unexpected("", "") }
    }

    /// One level deeper, if there is one.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> ParseResult<T>) -> ParseResult<T> {
        self.depth += 1;
        let result = if self.depth > DEPTH { Err(too_deep(self.peek().at)) } else { read(self) };
        self.depth -= 1;
        result
    }

    /// An expression whose operators bind more tightly than `above`.
    fn expr(&mut self, above: u8) -> ParseResult<Tree> {
        self.deeper(|parser| {
            let mut left = parser.operand()?;
            while let Some(op) = parser.peek().operator().filter(|op| op.binds() > above) {
                let at = parser.take().at;
                let (bool, matching) = parser.matching()?;
                // Powers are read from the right, all else from the left.
                let right = parser.expr(op.binds() - u8::from(op == Op::Pow))?;
                let binary = Binary { op, left, right, bool, matching };
                let start = binary.left.at;
                check::matching(&binary, at)?;
                left = node(start, Node::Binary(Box::new(binary)))?;
            }
            if parser.peek().is("</") || parser.peek().is(">/") {
                let sign = parser.peek();
                let text =
                    format!("the operator {} trims native histograms, which are not supported", sign.text);
                return Err(SyntaxError::new(sign.at, text));
            }
            Ok(left)
        })
    }

    /// What stands between operators: a sign and an operand, or something with brackets, `offset` and `@` behind it.
    fn operand(&mut self) -> ParseResult<Tree> {
        let token = self.peek();
        if token.is("-") || token.is("+") {
            self.take();
            let operand = self.expr(Op::SIGN)?;
            let negative = token.is("-");
            return match operand.node {
                Node::Number { value, duration } => {
                    let value = if negative { -value } else { value };
                    node(token.at, Node::Number { value, duration })
                }
                _ => node(token.at, Node::Unary { negative, operand: Box::new(operand) }),
            };
        }
        let mut expr = self.primary()?;
        loop {
            let token = self.peek();
            if token.is("[") {
                expr = self.range(expr)?;
            } else if token.is("@") {
                self.take();
                let at = self.at()?;
                check::set_at(&mut expr, at)?;
            } else if self.takes_word("offset") {
                let offset = self.offset()?;
                check::set_offset(&mut expr, offset)?;
            } else if token.kind == Kind::Word
                && ["anchored", "smoothed"].iter().any(|word| token.text.eq_ignore_ascii_case(word))
            {
                let text = format!("the modifier {} is experimental and not supported", token.text);
                return Err(SyntaxError::new(token.at, text));
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> ParseResult<Tree> {
        let token = self.peek();
        match token.kind {
            Kind::Number | Kind::Duration => {
                let (value, duration) = self.number()?;
                node(token.at, Node::Number { value, duration })
            }
            Kind::Text => {
                self.take();
                let bytes = text::unquote(token.text).map_err(|why| SyntaxError::new(token.at, why))?;
                node(token.at, Node::Text(bytes))
            }
            Kind::Sign if token.is("(") => {
                self.take();
                let inner = self.expr(0)?;
                self.closed(token.at)?;
                node(token.at, Node::Paren(Box::new(inner)))
            }
            Kind::Word => self.named(),
            _ => {
                let selector = self.selector(true)?;
                node(token.at, Node::Selector(selector))
            }
        }
    }

    fn closed(&mut self, opened: usize) -> ParseResult<()> {
        match self.peek().kind {
            Kind::End => Err(SyntaxError::new(opened, "unclosed left parenthesis")),
            _ => self.expect(")", ""),
        }
    }

    /// What begins with a word: an aggregation, a call or a metric.
    fn named(&mut self) -> ParseResult<Tree> {
        let (token, behind) = (self.peek(), self.ahead(1));
        let groups = behind.kind == Kind::Word
            && ["by", "without"].iter().any(|word| behind.text.eq_ignore_ascii_case(word));
        if behind.is("(") || groups {
            if let Some(op) = Aggregator::read(token.text) {
                self.take();
                return self.aggregate(op, token.at);
            }
            if Aggregator::EXPERIMENTAL.iter().any(|name| token.text.eq_ignore_ascii_case(name)) {
                let text = format!("{}() is experimental and not supported", token.text.to_ascii_lowercase());
                return Err(SyntaxError::new(token.at, text));
            }
        }
        if behind.is("(") && Op::read(token.text).is_none() && !RESERVED.contains(&token.text) {
            self.take();
            let function = function(token)?;
            let args = self.args("function call")?;
            return node(token.at, Node::Call(Call { function, args }));
        }
        let selector = self.selector(true)?;
        node(token.at, Node::Selector(selector))
    }

    fn args(&mut self, place: &str) -> ParseResult<Vec<Tree>> {
        let opened = self.peek().at;
        self.expect("(", place)?;
        let mut args = Vec::new();
        if self.takes(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expr(0)?);
            let comma = self.peek().at;
            if !self.takes(",") {
                self.closed(opened)?;
                return Ok(args);
            }
            if self.peek().is(")") {
                return Err(SyntaxError::new(comma, "trailing commas not allowed in function call args"));
            }
        }
    }

    fn aggregate(&mut self, op: Aggregator, at: usize) -> ParseResult<Tree> {
        let before = self.grouping()?;
        let args = self.args("aggregation")?;
        let grouping = if before.is_some() { before } else { self.grouping()? };
        let (without, grouping) = grouping.unwrap_or_default();
        let expected = 1 + usize::from(op.param().is_some());
        let given = args.len();
        let mut args = args.into_iter();
        let param = if op.param().is_some() { args.next() } else { None };
        match args.next() {
            None if given == 0 => Err(SyntaxError::new(at, "no arguments for aggregate expression provided")),
            Some(inner) if given == expected => {
                let aggregate = Aggregate { op, param, inner, grouping, without };
                node(at, Node::Aggregate(Box::new(aggregate)))
            }
            _ => {
                let text = "wrong number of arguments for aggregate expression provided";
                Err(SyntaxError::new(at, format!("{text}, expected {expected}, got {given}")))
            }
        }
    }

    /// `by (…)` or `without (…)`.
    fn grouping(&mut self) -> ParseResult<Option<(bool, Vec<String>)>> {
        if self.takes_word("by") {
            return Ok(Some((false, self.label_list()?)));
        }
        if self.takes_word("without") {
            return Ok(Some((true, self.label_list()?)));
        }
        Ok(None)
    }

    /// A number of any kind; a duration as seconds.
    fn number(&mut self) -> ParseResult<(f64, bool)> {
        let token = self.take();
        if token.kind == Kind::Duration {
            let milliseconds =
                text::read_duration(token.text).map_err(|why| SyntaxError::new(token.at, why))?;
            return Ok((milliseconds as f64 / 1000.0, true));
        }
        let wrong = || SyntaxError::new(token.at, format!("error parsing number: \"{}\"", token.text));
        Ok((number(token.text).ok_or_else(wrong)?, false))
    }

    /// `[5m]` and `[1h:1m]`.
    fn range(&mut self, expr: Tree) -> ParseResult<Tree> {
        let bracket = self.take().at;
        let range = self.length("subquery or range selector")?;
        let at = expr.at;
        if self.takes(":") {
            let step = if self.peek().is("]") { None } else { Some(self.length("subquery selector")?) };
            self.expect("]", "subquery selector")?;
            let subquery = Subquery { inner: expr, range, step, shift: Shift::default() };
            return node(at, Node::Subquery(Box::new(subquery)));
        }
        if !self.takes("]") {
            return self.unexpected("subquery or range", "\":\" or \"]\"");
        }
        let Node::Selector(selector) = expr.node else {
            return Err(SyntaxError::new(bracket, "ranges only allowed for vector selectors"));
        };
        if selector.shift.offset.is_some() {
            return Err(SyntaxError::new(bracket, "no offset modifiers allowed before range"));
        }
        if selector.shift.at.is_some() {
            return Err(SyntaxError::new(bracket, "no @ modifiers allowed before range"));
        }
        node(at, Node::Range(selector, range))
    }
}

fn node(at: usize, node: Node) -> ParseResult<Tree> {
    let depth = node.below().iter().map(|tree| tree.depth).max().unwrap_or(0) + 1;
    if depth > DEPTH { Err(too_deep(at)) } else { Ok(Tree { at, yields: node.yields(), node, depth }) }
}

fn too_deep(at: usize) -> SyntaxError {
    SyntaxError::new(at, format!("the expression is nested more than {DEPTH} levels deep"))
}

fn function(token: Token<'_>) -> ParseResult<&'static Function> {
    if let Some(function) = functions::find(token.text) {
        return Ok(function);
    }
    let text = match functions::unsupported(token.text) {
        Some(why) => format!("the function {}() is not supported: {why}", token.text),
        None => format!("unknown function with name \"{}\"", token.text),
    };
    Err(SyntaxError::new(token.at, text))
}

#[cfg(test)]
mod tests;
