//! The text of a template to its nodes: the syntax of Go's `text/template`.

use super::Value;

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// Its value is written, unless it declares a variable.
    Action(Pipeline),
    If {
        of: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    With {
        of: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Range {
        of: Pipeline,
        each: Vec<Self>,
        otherwise: Vec<Self>,
    },
    /// `{{ template "name" . }}`
    Call {
        name: String,
        with: Option<Pipeline>,
    },
    /// `{{ define "name" }}`
    Define {
        name: String,
        body: Vec<Self>,
    },
    Break,
    Continue,
}

/// Commands, each with the value of the one before it as its last argument.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pipeline {
    /// The variables that take its value, without `$`; two for `range $key, $value := …`.
    pub(super) variables: Vec<String>,
    /// Whether they are declared, and not set.
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Value(Value),
    /// `.` and the fields behind it.
    Dot(Vec<String>),
    /// A variable without `$`, empty for `$` alone, and the fields behind it.
    Variable(String, Vec<String>),
    Function(String),
    Nested(Pipeline, Vec<String>),
}

/// How deep actions and parentheses may be nested.
const DEEPEST: usize = 32;

/// Nodes of a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { pieces: pieces(text)?, at: 0, depth: 0, loops: 0 };
    let (nodes, end) = parser.nodes()?;
    match end {
        End::Text => Ok(nodes),
        End::Closed => Err("unexpected {{end}}".into()),
        End::Else(_) => Err("unexpected {{else}}".into()),
    }
}

enum Piece<'t> {
    Text(&'t str),
    /// What stands between the braces.
    Action(&'t str),
}

/// Text and actions. `{{-` and `-}}` take the space beside them away.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut all = Vec::new();
    let (mut rest, mut trims) = (text, false);
    while let Some((before, behind)) = rest.split_once("{{") {
        let (own, trimmed) =
            match behind.strip_prefix('-').filter(|inner| inner.starts_with([' ', '\t', '\n', '\r'])) {
                Some(inner) => (inner, before.trim_end()),
                None => (behind, before),
            };
        all.push(Piece::Text(if trims { trimmed.trim_start() } else { trimmed }));
        let (inner, after) = split_action(own)?;
        let (inner, trims_next) =
            match inner.strip_suffix('-').filter(|inner| inner.ends_with([' ', '\t', '\n', '\r'])) {
                Some(inner) => (inner, true),
                None => (inner, false),
            };
        let inner = inner.trim();
        if !(inner.starts_with("/*") && inner.ends_with("*/")) {
            all.push(Piece::Action(inner));
        }
        (rest, trims) = (after, trims_next);
    }
    all.push(Piece::Text(if trims { rest.trim_start() } else { rest }));
    Ok(all)
}

/// What is in an action, and what is behind its braces, which may stand in its strings.
fn split_action(text: &str) -> Result<(&str, &str), String> {
    if text.trim_start().starts_with("/*") {
        let end = text.find("*/").ok_or("unclosed comment")? + 2;
        let (comment, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        let close = rest.find("}}").ok_or("comment ends before closing delimiter")?;
        if !matches!(rest.get(..close).map(str::trim), Some("" | "-")) {
            return Err("comment ends before closing delimiter".into());
        }
        let end = comment.len() + close;
        return Ok((text.get(..end).unwrap_or_default(), text.get(end + 2..).unwrap_or_default()));
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(open), '\\') if open != '`' => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`' | '\'') => quote = Some(c),
            (None, '}') if text.get(at..).is_some_and(|rest| rest.starts_with("}}")) => {
                return Ok((text.get(..at).unwrap_or_default(), text.get(at + 2..).unwrap_or_default()));
            }
            (None, _) => {}
        }
    }
    Err(if quote.is_some() { "unterminated quoted string" } else { "unclosed action" }.into())
}

/// What ended a list of nodes.
#[derive(Clone, Copy)]
enum End<'t> {
    Text,
    Closed,
    /// With what stands behind `else`.
    Else(&'t str),
}

struct Parser<'t> {
    pieces: Vec<Piece<'t>>,
    at: usize,
    depth: usize,
    loops: usize,
}

impl<'t> Parser<'t> {
    fn nodes(&mut self) -> Result<(Vec<Node>, End<'t>), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST}"));
        }
        let mut nodes = Vec::new();
        let end = loop {
            let Some(piece) = self.pieces.get(self.at) else { break End::Text };
            self.at += 1;
            match *piece {
                Piece::Text("") => {}
                Piece::Text(text) => nodes.push(Node::Text(text.to_owned())),
                Piece::Action(action) => {
                    let (word, rest) = word(action);
                    match word {
                        "end" if rest.is_empty() => break End::Closed,
                        "else" => break End::Else(rest),
                        _ => nodes.push(self.action(action, word, rest)?),
                    }
                }
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn action(&mut self, action: &str, word: &str, rest: &str) -> Result<Node, String> {
        match word {
            "if" | "with" => {
                let of = pipeline(rest)?;
                self.branch(word, of)
            }
            "range" => {
                let of = pipeline(rest)?;
                self.loops += 1;
                let (each, end) = self.nodes()?;
                self.loops -= 1;
                let otherwise = self.otherwise("range", end)?;
                Ok(Node::Range { of, each, otherwise })
            }
            "define" => {
                let mut tokens = Tokens::new(rest)?;
                let Some(Token::Text(name)) = tokens.next() else {
                    return Err("define takes a name in quotes".into());
                };
                let (body, end) = self.nodes()?;
                match end {
                    End::Closed => Ok(Node::Define { name, body }),
                    _ => Err("define without {{end}}".into()),
                }
            }
            "template" => {
                let mut tokens = Tokens::new(rest)?;
                let Some(Token::Text(name)) = tokens.next() else {
                    return Err("template takes a name in quotes".into());
                };
                let with = if tokens.is_empty() { None } else { Some(tokens.pipeline(0)?) };
                tokens.end()?;
                Ok(Node::Call { name, with })
            }
            "break" if rest.is_empty() && self.loops > 0 => Ok(Node::Break),
            "continue" if rest.is_empty() && self.loops > 0 => Ok(Node::Continue),
            "break" | "continue" if rest.is_empty() => Err(format!("{{{{{word}}}}} outside {{{{range}}}}")),
            "block" => Err("block is not supported; use define and template".into()),
            _ => Ok(Node::Action(pipeline(action)?)),
        }
    }

    fn branch(&mut self, word: &str, of: Pipeline) -> Result<Node, String> {
        let (then, end) = self.nodes()?;
        let otherwise = self.otherwise(word, end)?;
        Ok(if word == "if" { Node::If { of, then, otherwise } } else { Node::With { of, then, otherwise } })
    }

    /// What stands behind `else`, up to the end.
    fn otherwise(&mut self, of: &str, end: End<'t>) -> Result<Vec<Node>, String> {
        match end {
            End::Closed => Ok(Vec::new()),
            End::Text => Err(format!("{of} without {{{{end}}}}")),
            End::Else("") => match self.nodes()? {
                (nodes, End::Closed) => Ok(nodes),
                _ => Err("else without {{end}}".into()),
            },
            End::Else(rest) => {
                let (next, rest) = word(rest);
                if next != of || of == "range" {
                    return Err(format!("unexpected {{{{else {next}}}}} in {of}"));
                }
                let of = pipeline(rest)?;
                // Each `else if` is one deeper, without an end of its own.
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(format!("nested deeper than {DEEPEST}"));
                }
                let node = self.branch(next, of)?;
                self.depth -= 1;
                Ok(vec![node])
            }
        }
    }
}

/// The first word of an action.
fn word(action: &str) -> (&str, &str) {
    let action = action.trim();
    let end = action.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(action.len());
    let (word, rest) = action.split_at_checked(end).unwrap_or((action, ""));
    // `end.x` and `if(` are no words of their own; the latter is one to Go.
    (word, rest.trim())
}

fn pipeline(text: &str) -> Result<Pipeline, String> {
    let mut tokens = Tokens::new(text)?;
    let pipeline = tokens.pipeline(0)?;
    tokens.end()?;
    Ok(pipeline)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Text(String),
    Number(Value),
    /// A name, without the dot, the dollar or anything else before it.
    Field(String),
    Variable(String),
    Name(String),
    Dot,
    Pipe,
    Open,
    /// With the fields behind it.
    Close,
    Comma,
    Declare,
    Assign,
    Space,
}

struct Tokens(std::iter::Peekable<std::vec::IntoIter<Token>>);

/// How long the leading part of a text is whose characters are all such.
fn length(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !of(c)).unwrap_or(text.len())
}

fn name_character(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl Tokens {
    fn new(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = text.trim();
        while let Some(first) = rest.chars().next() {
            let (token, used) = Self::token(rest, first)?;
            tokens.push(token);
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(Self(tokens.into_iter().peekable()))
    }

    fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
        let named = |skip: usize| {
            let behind = rest.get(skip..).unwrap_or_default();
            let used = length(behind, name_character);
            (behind.get(..used).unwrap_or_default().to_owned(), skip + used)
        };
        Ok(match first {
            c if c.is_whitespace() => (Token::Space, length(rest, char::is_whitespace)),
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '=' => (Token::Assign, 1),
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '"' | '`' | '\'' => Self::quoted(rest, first)?,
            '$' => {
                let (name, used) = named(1);
                (Token::Variable(name), used)
            }
            '.' if rest.get(1..2).is_none_or(|next| !next.starts_with(|c: char| c.is_ascii_digit())) => {
                let (name, used) = named(1);
                if name.is_empty() { (Token::Dot, 1) } else { (Token::Field(name), used) }
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => Self::number(rest)?,
            c if name_character(c) => {
                let (name, used) = named(0);
                (Token::Name(name), used)
            }
            c => return Err(format!("unexpected {c:?} in an action")),
        })
    }

    fn quoted(rest: &str, quote: char) -> Result<(Token, usize), String> {
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' if quote != '`' => escaped = true,
                c if c == quote => {
                    let bytes = crate::promql::unquote(rest.get(..=at).unwrap_or_default())?;
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let token = match (quote, text.chars().next()) {
                        ('\'', Some(c)) if text.chars().nth(1).is_none() => {
                            Token::Number(Value::Int(i64::from(u32::from(c))))
                        }
                        ('\'', _) => return Err("a character is one character".into()),
                        _ => Token::Text(text),
                    };
                    return Ok((token, at + 1));
                }
                _ => {}
            }
        }
        Err("unterminated quoted string".into())
    }

    fn number(rest: &str) -> Result<(Token, usize), String> {
        let mut used = 0;
        let mut last = ' ';
        for c in rest.chars() {
            let sign = matches!(c, '+' | '-') && (used == 0 || matches!(last, 'e' | 'E' | 'p' | 'P'));
            if !(sign || c.is_ascii_alphanumeric() || c == '.' || c == '_') {
                break;
            }
            used += 1;
            last = c;
        }
        let text = rest.get(..used).unwrap_or_default();
        let plain = text.replace('_', "");
        let (sign, digits) = match plain.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
        };
        let radix = |prefix: &str, radix| {
            let digits = digits.to_ascii_lowercase();
            digits.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok())
        };
        let whole = radix("0x", 16).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8));
        let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        let whole =
            whole.or_else(|| if octal { i64::from_str_radix(digits, 8).ok() } else { digits.parse().ok() });
        let value = match whole {
            Some(whole) => Some(Value::Int(sign * whole)),
            None if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                digits.parse::<f64>().ok().map(|number| Value::Float(number * sign as f64))
            }
            None => None,
        };
        Ok((Token::Number(value.ok_or_else(|| format!("bad number syntax: {text:?}"))?), used))
    }

    fn is_empty(&mut self) -> bool {
        self.skip();
        self.0.peek().is_none()
    }

    fn skip(&mut self) {
        while self.0.next_if_eq(&Token::Space).is_some() {}
    }

    /// The next token that is no space.
    fn next(&mut self) -> Option<Token> {
        self.skip();
        self.0.next()
    }

    fn end(&mut self) -> Result<(), String> {
        match self.next() {
            None => Ok(()),
            Some(token) => Err(format!("unexpected {} in an action", token.words())),
        }
    }

    fn pipeline(&mut self, depth: usize) -> Result<Pipeline, String> {
        if depth > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST}"));
        }
        let mut pipeline = self.declared()?;
        loop {
            let command = self.command(depth)?;
            if command.is_empty() {
                return Err("missing value for command".into());
            }
            pipeline.commands.push(command);
            self.skip();
            if self.0.next_if_eq(&Token::Pipe).is_none() {
                return Ok(pipeline);
            }
        }
    }

    /// `$a :=`, `$a =`, `$a, $b :=`, or nothing.
    fn declared(&mut self) -> Result<Pipeline, String> {
        self.skip();
        let mut ahead = self.0.clone();
        let mut variables = Vec::new();
        loop {
            let mut next = || ahead.by_ref().find(|token| *token != Token::Space);
            let Some(Token::Variable(name)) = next() else { return Ok(Pipeline::default()) };
            variables.push(name);
            match next() {
                Some(Token::Comma) if variables.len() == 1 => {}
                Some(token @ (Token::Declare | Token::Assign)) => {
                    self.0 = ahead;
                    if variables.iter().any(String::is_empty) {
                        return Err("a variable has a name".into());
                    }
                    let declares = token == Token::Declare;
                    return Ok(Pipeline { variables, declares, commands: Vec::new() });
                }
                _ => return Ok(Pipeline::default()),
            }
        }
    }

    /// Operands up to a pipe, a closing parenthesis or the end.
    fn command(&mut self, depth: usize) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        loop {
            self.skip();
            let operand = match self.0.peek() {
                None | Some(Token::Pipe | Token::Close) => return Ok(operands),
                Some(_) => match self.0.next() {
                    Some(Token::Text(text)) => Operand::Value(Value::Text(text)),
                    Some(Token::Number(value)) => Operand::Value(value),
                    Some(Token::Dot) => Operand::Dot(Vec::new()),
                    Some(Token::Field(name)) => {
                        let mut fields = vec![name];
                        fields.extend(self.fields());
                        Operand::Dot(fields)
                    }
                    Some(Token::Variable(name)) => Operand::Variable(name, self.fields()),
                    Some(Token::Name(name)) => match name.as_str() {
                        "true" => Operand::Value(Value::Bool(true)),
                        "false" => Operand::Value(Value::Bool(false)),
                        "nil" => Operand::Value(Value::Nil),
                        _ => {
                            if !super::names::is_known(&name) {
                                return Err(format!("function {name:?} not defined"));
                            }
                            Operand::Function(name)
                        }
                    },
                    Some(Token::Open) => {
                        let inner = self.pipeline(depth + 1)?;
                        if self.next() != Some(Token::Close) {
                            return Err("unclosed left paren".into());
                        }
                        Operand::Nested(inner, self.fields())
                    }
                    Some(token) => return Err(format!("unexpected {} in an action", token.words())),
                    None => return Ok(operands),
                },
            };
            operands.push(operand);
        }
    }

    /// Fields that follow without a space.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(Token::Field(name)) = self.0.next_if(|token| matches!(token, Token::Field(_))) {
            fields.push(name);
        }
        fields
    }
}

impl Token {
    fn words(&self) -> &'static str {
        match self {
            Self::Text(_) => "text in quotes",
            Self::Number(_) => "number",
            Self::Field(_) => "field",
            Self::Variable(_) => "variable",
            Self::Name(_) => "name",
            Self::Dot => "\".\"",
            Self::Pipe => "\"|\"",
            Self::Open => "\"(\"",
            Self::Close => "\")\"",
            Self::Comma => "\",\"",
            Self::Declare => "\":=\"",
            Self::Assign => "\"=\"",
            Self::Space => "space",
        }
    }
}
