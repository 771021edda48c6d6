//! An expression as tokens: words, numbers, strings and signs, with their places.
//!
//! Within braces all words are names, and within brackets they belong to durations; apart from that it knows no grammar.

use crate::promql::syntax::Op;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    /// Letters, digits and underscores.
    Word,
    /// A word with a colon in it.
    Metric,
    Number,
    Duration,
    Text,
    Sign,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// The operator between two operands that it is.
    pub(super) fn operator(&self) -> Option<Op> {
        matches!(self.kind, Kind::Sign | Kind::Word).then(|| Op::read(self.text)).flatten()
    }

    /// Itself in a message.
    pub(super) fn named(&self) -> String {
        match self.kind {
            Kind::End => "end of input".into(),
            Kind::Word => format!("identifier \"{}\"", self.text),
            Kind::Metric => format!("metric identifier \"{}\"", self.text),
            Kind::Number => format!("number \"{}\"", self.text),
            Kind::Duration => format!("duration \"{}\"", self.text),
            Kind::Text => format!("string {}", self.text),
            Kind::Sign => format!("\"{}\"", self.text),
        }
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) text: String,
}

impl SyntaxError {
    pub(super) fn new(at: usize, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

/// Longest first.
const SIGNS: [&str; 26] = [
    "</", ">/", "==", "!=", "<=", ">=", "=~", "!~", "(", ")", "{", "}", "[", "]", ",", ":", "+", "-", "*",
    "/", "%", "^", "<", ">", "=", "@",
];

/// The tokens of a text, the last of which is its end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut lexer = Lexer { text, at: 0, braces: false, brackets: false, tokens: Vec::new() };
    while let Some(byte) = lexer.peek(0) {
        lexer.token(byte)?;
    }
    lexer.tokens.push(Token { kind: Kind::End, text: "", at: text.len() });
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    braces: bool,
    brackets: bool,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn count(&self, from: usize, is: impl Fn(u8) -> bool) -> usize {
        self.text.bytes().skip(self.at + from).take_while(|byte| is(*byte)).count()
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = self.text.get(self.at..self.at + length).unwrap_or_default();
        self.tokens.push(Token { kind, text, at: self.at });
        self.at += length.max(1);
    }

    fn token(&mut self, byte: u8) -> Result<(), SyntaxError> {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
            b'#' => self.at += self.count(0, |byte| !matches!(byte, b'\n' | b'\r')),
            b'"' | b'\'' | b'`' => self.string(byte)?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
            // A name may begin with a colon; within brackets one parts range and step.
            b':' if !self.brackets && !self.braces => self.word(),
            b'0'..=b'9' => self.number()?,
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number()?,
            _ => self.sign()?,
        }
        Ok(())
    }

    fn word(&mut self) {
        let names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let length = self.count(0, |byte| names(byte) || (byte == b':' && !self.brackets && !self.braces));
        let word = self.rest().get(..length).unwrap_or_default();
        let number = !self.braces && ["inf", "nan"].iter().any(|name| word.eq_ignore_ascii_case(name));
        let kind = match () {
            () if number => Kind::Number,
            () if word.contains(':') => Kind::Metric,
            () => Kind::Word,
        };
        self.push(kind, length);
    }

    fn string(&mut self, quote: u8) -> Result<(), SyntaxError> {
        let mut length = 1;
        loop {
            match self.peek(length) {
                Some(byte) if byte == quote => break,
                Some(b'\\') if quote != b'`' => length += 2,
                None => return Err(SyntaxError::new(self.at, "unterminated quoted string")),
                Some(b'\n') if quote != b'`' => {
                    return Err(SyntaxError::new(self.at, "unterminated quoted string"));
                }
                Some(_) => length += 1,
            }
        }
        self.push(Kind::Text, length + 1);
        Ok(())
    }

    /// A number, or a duration, which begins as one.
    fn number(&mut self) -> Result<(), SyntaxError> {
        // With `e+` and `e-`, all else that letters, digits, dots and underscores make.
        let mut length = 0;
        let hexadecimal = self.peek(0) == Some(b'0') && matches!(self.peek(1), Some(b'x' | b'X'));
        while let Some(byte) = self.peek(length) {
            let exponent = !hexadecimal && length > 0 && matches!(self.peek(length - 1), Some(b'e' | b'E'));
            let sign = matches!(byte, b'+' | b'-') && exponent;
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || sign) {
                break;
            }
            length += 1;
        }
        let text = self.rest().get(..length).unwrap_or_default();
        if number(text).is_some() {
            self.push(Kind::Number, length);
        } else if text.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().last().is_some_and(|byte| byte.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_digit() || b"smhdwy".contains(&byte))
        {
            self.push(Kind::Duration, length);
        } else {
            return Err(SyntaxError::new(self.at, format!("bad number or duration syntax: \"{text}\"")));
        }
        Ok(())
    }

    fn sign(&mut self) -> Result<(), SyntaxError> {
        let rest = self.rest();
        let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) else {
            let c = rest.chars().next().unwrap_or_default();
            return Err(SyntaxError::new(self.at, format!("unexpected character: {c:?}")));
        };
        match *sign {
            "{" => self.braces = true,
            "}" => self.braces = false,
            "[" => self.brackets = true,
            "]" => self.brackets = false,
            _ => {}
        }
        self.push(Kind::Sign, sign.len());
        Ok(())
    }
}

/// The number that a text names: decimal, with an exponent, hexadecimal or octal, with underscores between digits.
pub(in crate::promql) fn number(text: &str) -> Option<f64> {
    let well = |text: &str| {
        !text.ends_with('_') && !text.contains("__") && !text.contains("_.") && !text.contains("._")
    };
    if text.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if !well(text) || !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let plain = text.replace('_', "");
    let whole = |digits: &str, base| i64::from_str_radix(digits, base).ok().map(|whole| whole as f64);
    if let Some(digits) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        let signs = digits.starts_with(['+', '-']);
        return if signs { None } else { whole(digits, 16) };
    }
    if plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return whole(&plain, 8);
    }
    let letters = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if plain.chars().all(letters) { plain.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).unwrap().into_iter().map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn words_and_numbers_are_told_apart() {
        assert_eq!(
            kinds("a:b 1h30m 1e-3 0x1F {sum=~`x`} # c\n[5m:1m] inf"),
            [
                (Kind::Metric, "a:b"),
                (Kind::Duration, "1h30m"),
                (Kind::Number, "1e-3"),
                (Kind::Number, "0x1F"),
                (Kind::Sign, "{"),
                (Kind::Word, "sum"),
                (Kind::Sign, "=~"),
                (Kind::Text, "`x`"),
                (Kind::Sign, "}"),
                (Kind::Sign, "["),
                (Kind::Duration, "5m"),
                (Kind::Sign, ":"),
                (Kind::Duration, "1m"),
                (Kind::Sign, "]"),
                (Kind::Number, "inf"),
                (Kind::End, ""),
            ]
        );
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1_000", 1000.0),
            ("0755", 493.0),
            ("089", 89.0),
            ("0x1f", 31.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for wrong in ["1__0", "1_", "0x", "0x-1", "1e", "e1", "infinity", "1f"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (text, at) in [("a \"b", 2), ("a ? b", 2), ("1foo", 0), ("a{b=\"\n\"}", 4), ("ä", 0)] {
            assert_eq!(tokens(text).unwrap_err().at, at, "{text}");
        }
    }
}
