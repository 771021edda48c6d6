//! Regular expressions as Prometheus and statsd_exporter read them: RE2's syntax, written in that of the `regex` crate.
//!
//! The two differ in little, and silently: here `\w \d \s \b` are ASCII, `&& -- ~~` in a class are characters and no
//! operations, `[` in a class and `{` without a number stand for themselves, and there are `\Q…\E`, `\pL` and octal
//! codes. Facts: `regexp/syntax` of Go (package documentation, and `parseEscape` and `parseClass`). It matches nothing
//! itself.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Bytes a compiled pattern may take.
const SIZE: usize = 4 << 20;
/// The most that a repetition may ask for.
const REPEATS: u32 = 1000;
/// What is tried first, from the least on: most patterns need little.
const SIZES: [usize; 6] = [2 << 10, 16 << 10, 128 << 10, 512 << 10, 2 << 20, SIZE];
/// Bytes of what one pattern remembers of the texts that it was shown, at most; it seldom needs them.
const MEMORY: usize = 64 << 10;
/// Bytes of the table that a pattern with named groups may have beside.
const TABLE: usize = 1 << 20;

/// Compiles a pattern that may be found anywhere in a text.
///
/// # Errors
/// What is wrong with it, in a few words.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(&translate(pattern)?)
}

/// Compiles a pattern that must match from beginning to end.
///
/// # Errors
/// What is wrong with it, in a few words.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    build(&format!("^(?s:{})$", translate(pattern)?))
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE).build().map_err(|error| words(&error))
}

/// The last line of an error: its own text draws the place over several.
fn words(error: &regex::Error) -> String {
    let drawn = error.to_string();
    let last = drawn.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// What the patterns of a client that may ask for any number of them may take together: a few bytes of text can make megabytes.
#[derive(Debug)]
pub struct Room {
    all: usize,
    left: usize,
}

impl Room {
    /// Room of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { all: bytes, left: bytes }
    }

    /// The same, of which some is taken already.
    #[must_use]
    pub fn without(self, taken: usize) -> Self {
        Self { left: self.left.saturating_sub(taken), ..self }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Compiles a pattern that must match from beginning to end, of which nobody asks what its groups found.
    ///
    /// # Errors
    /// What is wrong with it, in a few words, or that there is no room for it.
    pub fn anchored(&mut self, pattern: &str) -> Result<Regex, String> {
        let text = format!("^(?s:{})$", read(pattern, false)?);
        for size in SIZES {
            // It is there forwards and backwards, and beside it what it remembers.
            let mut cost = 2 * size + MEMORY / 8;
            if cost > self.left {
                break;
            }
            match RegexBuilder::new(&text).size_limit(size).dfa_size_limit(MEMORY.max(size)).build() {
                Ok(regex) => {
                    cost += if regex.captures_len() > 1 { TABLE } else { 0 };
                    self.left = self.left.checked_sub(cost).ok_or_else(|| self.none())?;
                    return Ok(regex);
                }
                Err(regex::Error::CompiledTooBig(_)) if size < SIZE => {}
                Err(error) => return Err(words(&error)),
            }
        }
        Err(self.none())
    }

    fn none(&self) -> String {
        format!("the regular expressions take more than {} MiB together", self.all >> 20)
    }
}

/// The same expression in the syntax of the `regex` crate.
fn translate(pattern: &str) -> Result<String, String> {
    read(pattern, true)
}

fn read(pattern: &str, captures: bool) -> Result<String, String> {
    let (rest, out) = (pattern.chars().peekable(), String::with_capacity(pattern.len()));
    let mut reader = Reader { rest, out, captures };
    while let Some(c) = reader.rest.next() {
        reader.piece(c)?;
    }
    Ok(reader.out)
}

struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    /// Whether groups without a name are known by their number.
    captures: bool,
}

impl Reader<'_> {
    fn piece(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.group(),
            '{' => self.repeat(),
            '.' | '^' | '$' | '|' | ')' | '*' | '+' | '?' => {
                self.out.push(c);
                Ok(())
            }
            c => {
                literal(c, &mut self.out);
                Ok(())
            }
        }
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        let Some(&c) = self.rest.peek() else { return Err("it ends in a backslash".into()) };
        let plain = match c {
            'A' => r"\A",
            'z' => r"\z",
            'b' => r"(?-u:\b)",
            'B' => r"(?-u:\B)",
            'd' => "[0-9]",
            'D' => "[^0-9]",
            's' => r"[\t\n\f\r ]",
            'S' => r"[^\t\n\f\r ]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            'Q' => {
                self.rest.next();
                self.quoted();
                return Ok(());
            }
            'p' | 'P' => return self.property(),
            _ => {
                let c = self.character()?;
                literal(c, &mut self.out);
                return Ok(());
            }
        };
        self.rest.next();
        self.out.push_str(plain);
        Ok(())
    }

    /// Text up to `\E`, or to the end.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.peek() == Some(&'E') {
                self.rest.next();
                return;
            }
            literal(c, &mut self.out);
        }
    }

    /// `pL`, `p{Greek}`, `p{^Greek}`, and with a large P what is not.
    fn property(&mut self) -> Result<(), String> {
        let mut not = self.rest.next() == Some('P');
        let name = match self.rest.next() {
            Some('{') => {
                let mut name = String::new();
                loop {
                    match self.rest.next() {
                        Some('}') => break name,
                        Some('^') if name.is_empty() => not = !not,
                        Some(c) => name.push(c),
                        None => return Err("a character class is not closed".into()),
                    }
                }
            }
            Some(letter) => letter.to_string(),
            None => return Err("a character class without a name".into()),
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("\"{name}\" is not a character class"));
        }
        // Writing to a string cannot fail.
        let _ = write!(self.out, r"\{}{{{name}}}", if not { 'P' } else { 'p' });
        Ok(())
    }

    /// One character whose backslash is taken already.
    fn character(&mut self) -> Result<char, String> {
        let unknown = |c: char| format!("there is no \\{c}");
        let c = self.rest.next().ok_or("it ends in a backslash")?;
        let code = match c {
            'a' => return Ok('\x07'),
            'f' => return Ok('\x0c'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\x0b'),
            'x' => self.hexadecimal()?,
            '0'..='7' => {
                let octal = |c: &char| c.to_digit(8);
                // Of one digit that is not zero nobody knows whether it refers to a group.
                if c != '0' && self.rest.peek().and_then(octal).is_none() {
                    return Err(unknown(c));
                }
                let mut code = c.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = self.rest.peek().and_then(octal) else { break };
                    code = code * 8 + digit;
                    self.rest.next();
                }
                code
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => return Ok(c),
            c => return Err(unknown(c)),
        };
        char::from_u32(code).ok_or_else(|| "a code that no character has".into())
    }

    fn hexadecimal(&mut self) -> Result<u32, String> {
        let wrong = || "\\x without its digits".to_owned();
        let first = self.rest.next().ok_or_else(wrong)?;
        let digits: String = if first == '{' {
            let mut digits = String::new();
            loop {
                match self.rest.next() {
                    Some('}') => break digits,
                    Some(c) if digits.len() < 8 => digits.push(c),
                    _ => return Err(wrong()),
                }
            }
        } else {
            [Some(first), self.rest.next()].into_iter().flatten().collect()
        };
        let hexadecimal = digits.len() >= 2 || first == '{';
        let all = digits.chars().all(|c| c.is_ascii_hexdigit());
        u32::from_str_radix(&digits, 16).ok().filter(|_| hexadecimal && all).ok_or_else(wrong)
    }

    /// A class whose bracket is taken already.
    fn class(&mut self) -> Result<(), String> {
        let open = || "a [ is not closed".to_owned();
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or_else(open)?;
            match c {
                ']' if !first => break,
                '[' if self.rest.peek() == Some(&':') && self.named()? => {}
                '\\' if self.set()? => {}
                _ => {
                    let low = if c == '\\' { self.character()? } else { c };
                    literal(low, &mut self.out);
                    let mut ahead = self.rest.clone();
                    if ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']') {
                        self.rest.next();
                        let high = self.rest.next().ok_or_else(open)?;
                        let high = if high == '\\' { self.character()? } else { high };
                        if high < low {
                            return Err(format!("the range {low}-{high} is empty"));
                        }
                        self.out.push('-');
                        literal(high, &mut self.out);
                    }
                }
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// `[:alpha:]` in a class, whose bracket is taken already. `false` if it is none: then the bracket is a character.
    fn named(&mut self) -> Result<bool, String> {
        let mut name = String::new();
        let mut ahead = self.rest.clone();
        loop {
            match ahead.next() {
                Some(']') if name.len() > 1 && name.ends_with(':') => break,
                Some(c) => name.push(c),
                None => return Ok(false),
            }
        }
        let inside = name.trim_matches(':').trim_start_matches('^');
        if !inside.chars().all(|c| c.is_ascii_lowercase()) {
            return Err(format!("\"[{name}]\" is not a character class"));
        }
        let _ = write!(self.out, "[{name}]");
        self.rest = ahead;
        Ok(true)
    }

    /// `\d` and the like in a class, whose backslash is taken already. `false` if it is another escape.
    fn set(&mut self) -> Result<bool, String> {
        let set = match self.rest.peek() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('s') => r"\t\n\f\r ",
            Some('S') => r"[^\t\n\f\r ]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some('p' | 'P') => return self.property().map(|()| true),
            _ => return Ok(false),
        };
        self.rest.next();
        self.out.push_str(set);
        Ok(true)
    }

    /// A group whose parenthesis is taken already. Flags are those that RE2 has.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            self.out.push_str(if self.captures { "" } else { "?:" });
            return Ok(());
        }
        self.out.push('?');
        if self.rest.next_if_eq(&'P').is_some() {
            self.out.push('P');
            if self.rest.peek() != Some(&'<') {
                return Err("(?P without a name".into());
            }
        }
        let named = self.rest.peek() == Some(&'<');
        for c in self.rest.by_ref() {
            let fits = if named { c == '<' || c == '_' || c.is_alphanumeric() } else { "imsU-".contains(c) };
            self.out.push(c);
            match c {
                '>' if named => return Ok(()),
                ':' | ')' if !named => return Ok(()),
                _ if fits => {}
                _ => return Err(format!("\"{c}\" is neither a name nor a flag of a group")),
            }
        }
        Err("a group is not closed".into())
    }

    /// `{2}`, `{2,}` or `{2,3}`, whose brace is taken already; anything else is a brace.
    fn repeat(&mut self) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        let mut inside = String::new();
        while let Some(c) = ahead.next_if(|c| c.is_ascii_digit() || *c == ',') {
            inside.push(c);
        }
        let (least, most) =
            inside.split_once(',').map_or((&*inside, None), |(least, most)| (least, Some(most)));
        let number = |digits: &str| !digits.is_empty() && (digits.len() == 1 || !digits.starts_with('0'));
        let is =
            number(least) && most.is_none_or(|most| most.is_empty() || number(most) && !most.contains(','));
        if ahead.next() != Some('}') || !is {
            literal('{', &mut self.out);
            return Ok(());
        }
        let many = |digits: &str| !digits.is_empty() && digits.parse::<u32>().map_or(true, |n| n > REPEATS);
        if many(least) || most.is_some_and(many) {
            return Err(format!("{{{inside}}} repeats more than {REPEATS} times"));
        }
        let _ = write!(self.out, "{{{inside}}}");
        self.rest = ahead;
        Ok(())
    }
}

/// A character that stands for itself, wherever it stands.
fn literal(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '/' | ':' | ',') || !c.is_ascii() {
        out.push(c);
    } else {
        let _ = write!(out, r"\x{:02X}", c as u32);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Patterns, texts, and the first group of the match as statsd_exporter 0.29 has it; `None` where nothing matches.
    /// Asked of the program itself, with `match_type: regex` and a label `$1`.
    const ASKED: &[(&str, &str, Option<&str>)] = &[
        (r"-(\w+)", "-a_é9", Some("a_")),
        (r"-(\w+)", "-é", None),
        (r"-(\d+)", "-1٣", Some("1")),
        (r"-(\d)", "-٣", None),
        (r"-(\W+)$", "-é.", Some("é.")),
        (r"-(\s*)x", "-\u{a0}x", None),
        (r"-(\S)", "-\u{a0}", Some("\u{a0}")),
        (r"-é(\bfoo)", "-éfoo", Some("foo")),
        (r"-é(\Bfoo)", "-éfoo", None),
        (r"-a(\Bé)", "-aé", None),
        (r"-a(\bé)", "-aé", Some("é")),
        (r"-([a-c&&[^b]+])", "-b&[^]", Some("b&[^]")),
        (r"-([a-c&&b]+)", "-ac&", Some("ac&")),
        (r"-([+--]+)", "-+-.", Some("+-")),
        (r"-([a~~b]+)", "-~a~b", Some("~a~b")),
        (r"-(\Qa.b+\E+)", "-a.b++", Some("a.b++")),
        (r"-(\Q[x]\E)", "-[x]", Some("[x]")),
        (r"-(\pL+)", "-aéж1", Some("aéж")),
        (r"-(\p{Greek}+)", "-αβa", Some("αβ")),
        (r"-(\p{^Greek}+)", "-aβ", Some("a")),
        (r"-(\PL+)", "-1.a", Some("1.")),
        (r"-(\P{^Lu}+)", "-AÉa", Some("AÉ")),
        (r"-([\pL\d]+)", "-é1٣", Some("é1")),
        (r"-([^\pL]+)", "-1é", Some("1")),
        (r"-(\101\x42\x{43})", "-ABC", Some("ABC")),
        (r"-([\060-\071]+)", "-09a", Some("09")),
        (r"-(\07)?b", "-b", Some("")),
        (r"-(a\.b\-c\_d\<)", "-a.b-c_d<", Some("a.b-c_d<")),
        (r"-([[:alpha:]]+)", "-aé", Some("a")),
        (r"-([[:^alpha:]]+)", "-é1a", Some("é1")),
        (r"-([[:word:]-]+)", "-a-b_.", Some("a-b_")),
        (r"-([[a]+)", "-[a]", Some("[a")),
        (r"-([]a]+)", "-]a[", Some("]a")),
        (r"-([^]a]+)", "-b]a", Some("b")),
        (r"-(a{,2})", "-a{,2}", Some("a{,2}")),
        (r"-(a{x})", "-a{x}", Some("a{x}")),
        (r"-(a{2})", "-aaa", Some("aa")),
        (r"-(a{2,}?)", "-aaa", Some("aa")),
        (r"-(a{01})", "-a{01}", Some("a{01}")),
        (r"-(})", "-}", Some("}")),
        (r"-(])", "-]", Some("]")),
        (r"-((?i)\w+)", "-aſK", Some("aſK")),
        (r"-((?i)k+)", "-kK\u{212a}", Some("kK\u{212a}")),
        (r"-((?U)a+)", "-aaa", Some("a")),
        (r"-((?i:[^k])+)", "-a\u{212a}", Some("a")),
        (r"-(?P<n>a)", "-a", Some("a")),
        (r"-(?<n>a)", "-a", Some("a")),
        (r"-([\d-z]+)", "-1-z", Some("1-z")),
        (r"-([a-z-9]+)", "-b-9", Some("b-9")),
        (r"-([---]+)", "--", Some("-")),
        (r"-([\w.]+)", "-a.é", Some("a.")),
        (r"-([^\w]+)", "-é.a", Some("é.")),
        (r"-([^\D]+)", "-1a", Some("1")),
        (r"-([\D]+)", "-a1", Some("a")),
        (r"-([\S\d]+)", "-a1 ", Some("a1")),
        (r"-(.+)$", "-aé", Some("aé")),
        (r"-(a|ab)", "-ab", Some("a")),
        (r"-(a*?)b", "-aab", Some("aa")),
        (r"-(\Ab)?", "-b", Some("")),
        (r"-(b)\z", "-b", Some("b")),
        (r"-(/=<>!@%~&')", "-/=<>!@%~&'", Some("/=<>!@%~&'")),
        (r"-([&~'/]+)", "-&~'/", Some("&~'/")),
        (r"-(a\/b)", "-a/b", Some("a/b")),
        (r"-\b{(a)}", "-{a}", None),
    ];

    #[test]
    fn what_statsd_exporter_finds_is_found() {
        for (pattern, text, want) in ASKED {
            let regex = compile(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
            let found = regex.captures(text).map(|groups| groups.get(1).map_or("", |group| group.as_str()));
            assert_eq!(found, *want, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_no_expression_of_re2_is_refused() {
        for pattern in [
            "(",
            "a)",
            "[",
            "[a",
            r"\",
            r"\1",
            r"\8",
            r"\Z",
            r"\E",
            r"\y",
            "[b-a]",
            r"[a-\d]",
            "[[:word",
            r"\x{110000}",
            r"\xg0",
            "a{1001}",
            "(?x)a",
            "(?=a)",
            "(?P=a)",
            "*",
            r"\p{Nothing}",
            r"\p{L",
            "(?P<a",
            r"\C",
            "-([a--]+)",
            r"-(\Qa.b",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        assert!(compile("a(").unwrap_err().contains("unclosed group"), "{:?}", compile("a("));
    }

    #[test]
    fn an_anchored_pattern_matches_the_whole() {
        let whole = anchored("a|b.").unwrap();
        assert!(
            whole.is_match("a") && whole.is_match("b\n") && !whole.is_match("ab") && !whole.is_match("bc\n")
        );
    }

    #[test]
    fn a_few_bytes_do_not_take_megabytes() {
        let mut room = Room::new(16 << 20);
        let many = (0..10_000).take_while(|_| room.anchored(r"x\pL{30}").is_ok()).count();
        assert!((2..20).contains(&many), "{many}");
        assert!(room.anchored(r"x\pL{30}").unwrap_err().contains("more than 16 MiB together"));
        // What is small has room for more of it, and a named group has its table.
        let count = |pattern: &str| {
            let mut room = Room::new(16 << 20);
            (0..10_000).take_while(|_| room.anchored(pattern).is_ok()).count()
        };
        assert!((200..2000).contains(&count("(a|b).+")), "{}", count("(a|b).+"));
        assert!(count("(?P<a>a|b).+") < 17);
        // What is wrong is said, and what is too big for anybody.
        assert!(Room::new(16 << 20).anchored("(").unwrap_err().contains("unclosed group"));
        assert!(Room::new(1 << 30).anchored(r"(\pL{100}){100}").unwrap_err().contains("size limit"));
    }

    #[test]
    fn groups_without_numbers_match_the_same() {
        for (pattern, text, _) in ASKED {
            let whole = format!("(?s:.*(?:{pattern}).*)");
            let (one, other) = (anchored(&whole), Room::new(16 << 20).anchored(&whole));
            let (one, other) = (one.unwrap(), other.unwrap());
            assert_eq!(one.is_match(text), other.is_match(text), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(pattern in r"[a-c\\\[\](){}?*+|^$.:PQEpdDwWsSbBx&~\-0-9<>=,é]{0,40}") {
            let _ = compile(&pattern);
        }

        #[test]
        fn every_text_can_be_quoted(text in any::<String>()) {
            prop_assume!(!text.contains(r"\E"));
            let regex = anchored(&format!(r"\Q{text}\E")).unwrap();
            prop_assert!(regex.is_match(&text));
        }
    }
}
