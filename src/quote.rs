//! Text of others on its way into the log: in one line, not too long, without what moves a cursor, and not too often.
//!
//! Names of streams and files, answers of devices and servers: their writers must not be able to write lines of the
//! log, or so many that nobody reads it.

use std::collections::HashMap;
use std::fmt::{self, Display, Write};

/// Bytes of a text that are shown.
const BYTES: usize = 1000;

/// Shows a text as one line of printable characters, of at most a thousand bytes.
pub fn quote<T: Display>(text: T) -> Quoted<T> {
    Quoted(text)
}

/// What [`quote`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<T>(T);

impl<T: Display> Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line { left: BYTES, out: f };
        match write!(line, "{}", self.0) {
            Err(_) if line.left == 0 => f.write_char('…'),
            written => written,
        }
    }
}

/// Writes as much as there is room for.
struct Line<'l, 'f> {
    left: usize,
    out: &'l mut fmt::Formatter<'f>,
}

impl Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let shown = if is_plain(c) { c.len_utf8() } else { c.escape_default().len() };
            if shown > self.left {
                self.left = 0;
                return Err(fmt::Error);
            }
            self.left -= shown;
            if is_plain(c) {
                self.out.write_char(c)?;
            } else {
                write!(self.out, "{}", c.escape_default())?;
            }
        }
        Ok(())
    }
}

/// Whether a character changes nothing but its own place.
fn is_plain(c: char) -> bool {
    // Line and paragraph ends, and what turns the direction of text or joins invisibly.
    !c.is_control()
        && !matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Lines of one kind that may be said at once.
const BURST: u32 = 10;
/// Seconds after which one more may be.
const PACE: u32 = 6;

/// Says how often things may be said: some at once, then ten a minute of each kind.
#[derive(Debug, Default)]
pub struct LogLimit {
    kinds: HashMap<&'static str, LineAllowance>,
}

#[derive(Clone, Copy, Debug)]
struct LineAllowance {
    /// Lines that may be said at once.
    left: u32,
    /// When that was counted, in seconds.
    at: u32,
    unsaid: u64,
}

impl LogLimit {
    /// Whether a line of this kind may be said in this second of a steady clock, and how many before it were not, if some were.
    pub fn admits(&mut self, kind: &'static str, second: u32) -> Option<Option<u64>> {
        let said = self.kinds.entry(kind).or_insert(LineAllowance { left: BURST, at: second, unsaid: 0 });
        let more = second.saturating_sub(said.at) / PACE;
        said.left = said.left.saturating_add(more).min(BURST);
        said.at += more * PACE;
        if said.left == 0 {
            said.unsaid += 1;
            return None;
        }
        said.left -= 1;
        let unsaid = std::mem::take(&mut said.unsaid);
        Some((unsaid > 0).then_some(unsaid))
    }
}

/// What the system says is wrong, as part of a sentence: lower case, without its number.
#[must_use]
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_a_line_of_the_log() {
        for (text, shown) in [
            ("plain µV, \"quoted\" \\ and so", "plain µV, \"quoted\" \\ and so"),
            ("a\nERROR forged", "a\\nERROR forged"),
            ("\x1b[2J\r\t\x07", "\\u{1b}[2J\\r\\t\\u{7}"),
            ("a\u{202e}b\u{2028}c\u{9b}", "a\\u{202e}b\\u{2028}c\\u{9b}"),
        ] {
            assert_eq!(quote(text).to_string(), shown);
        }
        let long = quote("x".repeat(10_000)).to_string();
        assert!(long.len() <= BYTES + 3 && long.ends_with("x…"), "{}", long.len());
        assert!(quote("\n".repeat(10_000)).to_string().len() <= BYTES + 3);
        assert_eq!(quote(std::path::Path::new("/a\nb").display()).to_string(), "/a\\nb");
    }

    #[test]
    fn much_of_one_kind_is_said_seldom_and_added_up() {
        let mut seldom = LogLimit::default();
        let said = (0..1000).filter(|_| seldom.admits("one", 100).is_some()).count();
        assert_eq!(said, BURST as usize);
        assert_eq!(seldom.admits("other", 100), Some(None));
        assert_eq!(seldom.admits("one", 100 + PACE - 1), None);
        assert_eq!(seldom.admits("one", 100 + PACE), Some(Some(991)));
        assert_eq!(seldom.admits("one", 100 + PACE), None);
        // A day of one a second.
        let said = (1000..87_400).filter(|&second| seldom.admits("one", second).is_some()).count();
        assert!((14_400..14_420).contains(&said), "{said}");
    }
}
