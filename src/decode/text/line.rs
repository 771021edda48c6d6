//! Lines out of a stream of bytes, each at most so long.
//!
//! It does not know what a line means, and it copies only a line that a slice ends in.

use memchr::memchr;

/// What lies between two line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its end (`\n` or `\r\n`). May be empty.
    Whole(&'a [u8]),
    /// A line over the limit, thrown away up to its end.
    TooLong {
        /// Its length without the `\n`.
        bytes: u64,
    },
}

/// Splits a stream into lines.
#[derive(Clone, Debug)]
pub struct Lines {
    max: usize,
    /// The beginning of a line whose end has not come yet; at most `max` bytes.
    held: Vec<u8>,
    /// Bytes of an over-long line so far; 0 outside one.
    skipped: u64,
}

impl Lines {
    /// Lines of at most `max` bytes, a `\r` counted and the `\n` not.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, held: Vec::new(), skipped: 0 }
    }

    /// Hands every line that `bytes` completes to `line`, in order.
    #[inline]
    pub fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(Line<'_>)) {
        if self.skipped > 0 || !self.held.is_empty() {
            match self.resume(bytes, &mut line) {
                Some(rest) => bytes = rest,
                None => return,
            }
        }
        while let Some(end) = memchr(b'\n', bytes) {
            let (whole, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if whole.len() > self.max {
                line(Line::TooLong { bytes: whole.len() as u64 });
            } else {
                line(Line::Whole(trimmed(whole)));
            }
        }
        if !bytes.is_empty() {
            self.keep(bytes);
        }
    }

    /// The stream ended: what is left over is the last line.
    pub fn end(&mut self, mut line: impl FnMut(Line<'_>)) {
        if self.skipped > 0 {
            line(Line::TooLong { bytes: self.skipped });
        } else if !self.held.is_empty() {
            line(Line::Whole(trimmed(&self.held)));
        }
        self.drop_partial();
    }

    /// Throws away the line that has begun, and says how many bytes of it came.
    pub fn drop_partial(&mut self) -> u64 {
        let bytes = self.skipped + self.held.len() as u64;
        self.skipped = 0;
        self.held.clear();
        bytes
    }

    /// Ends the line that an earlier call began. Gives what follows it.
    fn resume<'b>(&mut self, bytes: &'b [u8], line: &mut impl FnMut(Line<'_>)) -> Option<&'b [u8]> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.keep(bytes);
            return None;
        };
        let (head, rest) = bytes.split_at(end);
        self.keep(head);
        self.end(line);
        rest.get(1..)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skipped > 0 {
            self.skipped += bytes.len() as u64;
        } else if self.held.len() + bytes.len() > self.max {
            self.skipped = (self.held.len() + bytes.len()) as u64;
            self.held.clear();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }
}

#[inline]
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::testing::cut_anywhere;

    fn decoded(lines: &mut Lines, pieces: &[&[u8]]) -> Vec<String> {
        let mut decoded = Vec::new();
        let mut tell = |line: Line<'_>| {
            decoded.push(match line {
                Line::Whole(text) => String::from_utf8_lossy(text).into_owned(),
                Line::TooLong { bytes } => format!("<{bytes} too long>"),
            });
        };
        for piece in pieces {
            lines.feed(piece, &mut tell);
        }
        lines.end(&mut tell);
        decoded
    }

    #[test]
    fn lines_come_whole_wherever_the_stream_is_cut() {
        let mut lines = Lines::new(8);
        assert_eq!(decoded(&mut lines, &[b"a\nbc\r\n\nd"]), ["a", "bc", "", "d"]);
        assert_eq!(decoded(&mut lines, &[b"a", b"b\nc", b"\r", b"\nd\n"]), ["ab", "c", "d"]);
        assert_eq!(decoded(&mut lines, &[b""]), [""; 0]);
        assert_eq!(decoded(&mut lines, &[b"12345678\n123456789\nx\n"]), ["12345678", "<9 too long>", "x"]);
        assert_eq!(decoded(&mut lines, &[b"12345", b"6789", b"0\nx"]), ["<10 too long>", "x"]);
        assert_eq!(decoded(&mut lines, &[b"123456789"]), ["<9 too long>"]);
    }

    #[test]
    fn a_partial_line_can_be_given_up() {
        let mut lines = Lines::new(4);
        lines.feed(b"x\nab", |_| {});
        assert_eq!(lines.drop_partial(), 2);
        lines.feed(b"abcdef", |_| {});
        assert_eq!(lines.drop_partial(), 6);
        assert_eq!(decoded(&mut lines, &[b"ok\n"]), ["ok"]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_cuts_do_not_matter(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..5),
        ) {
            let mut at_once = Lines::new(16);
            let whole = decoded(&mut at_once, &[&bytes]);

            let pieces = cut_anywhere(&bytes, &cuts);
            prop_assert_eq!(&decoded(&mut Lines::new(16), &pieces), &whole);

            let mut sum = 0;
            let mut add = |line: Line<'_>| sum += match line {
                Line::Whole(text) => text.len() as u64,
                Line::TooLong { bytes } => bytes,
            };
            let mut lines = Lines::new(16);
            lines.feed(&bytes, &mut add);
            lines.end(&mut add);
            let ends = bytes.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() as u64;
            prop_assert!(sum <= bytes.len() as u64 && sum + ends >= bytes.len() as u64);
        }
    }
}
