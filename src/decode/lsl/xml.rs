//! As much XML as stream descriptions are written in: elements and text, read once from front to back.
//!
//! It holds nothing but the position and the names that are open, so a document costs what it is long. There are no
//! document types and no entities beside the five and the numbered ones: nothing can be expanded, which is all that
//! an XML bomb is made of. Attributes, comments and instructions are passed over.

use std::borrow::Cow;

/// Elements within each other. Descriptions have six.
const DEPTH: usize = 32;

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'x> {
    /// An element begins.
    Open(&'x str),
    /// Text within the element that began last and has not ended.
    Text(Cow<'x, str>),
    /// The element that began last and had not ended ends.
    Close,
}

/// A document, as far as it was read.
#[derive(Clone, Debug)]
pub(super) struct Reader<'x> {
    rest: &'x str,
    open: Vec<&'x str>,
    /// An element without content began, and is to end.
    empty: bool,
    /// Whether there was an element.
    began: bool,
}

/// What is not in the part of XML that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnsupportedXml;

impl<'x> Reader<'x> {
    pub(super) fn new(text: &'x str) -> Self {
        Self { rest: text.trim_start_matches('\u{feff}'), open: Vec::new(), empty: false, began: false }
    }

    /// The names of the elements that are open, the outermost first.
    pub(super) fn open(&self) -> &[&'x str] {
        &self.open
    }

    /// The next piece; `None` after the end of the first element.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'x>>, UnsupportedXml> {
        if std::mem::take(&mut self.empty) {
            self.open.pop();
            return Ok(Some(Piece::Close));
        }
        loop {
            if self.began && self.open.is_empty() {
                return Ok(None);
            }
            if let Some(rest) = self.rest.strip_prefix("<!--") {
                self.rest = after(rest, "-->")?.1;
            } else if let Some(rest) = self.rest.strip_prefix("<?") {
                self.rest = after(rest, "?>")?.1;
            } else if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                let (text, rest) = after(rest, "]]>")?;
                self.rest = rest;
                if self.open.is_empty() {
                    return Err(UnsupportedXml);
                }
                return Ok(Some(Piece::Text(Cow::Borrowed(text))));
            } else if self.rest.starts_with("<!") {
                return Err(UnsupportedXml);
            } else if let Some(rest) = self.rest.strip_prefix("</") {
                let (name, rest) = after(rest, ">")?;
                self.rest = rest;
                return if self.open.pop() == Some(name.trim_end()) {
                    Ok(Some(Piece::Close))
                } else {
                    Err(UnsupportedXml)
                };
            } else if let Some(rest) = self.rest.strip_prefix('<') {
                return self.element(rest).map(Some);
            } else {
                let end = self.rest.find('<').ok_or(UnsupportedXml)?;
                let (text, rest) = self.rest.split_at_checked(end).ok_or(UnsupportedXml)?;
                self.rest = rest;
                if !text.trim().is_empty() {
                    return if self.open.is_empty() {
                        Err(UnsupportedXml)
                    } else {
                        unescape(text).map(|t| Some(Piece::Text(t)))
                    };
                }
            }
        }
    }

    fn element(&mut self, tag: &'x str) -> Result<Piece<'x>, UnsupportedXml> {
        let (tag, rest) = tag.split_at_checked(tag_end(tag)?).ok_or(UnsupportedXml)?;
        self.rest = rest.strip_prefix('>').ok_or(UnsupportedXml)?;
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name =
            tag.split_whitespace().next().filter(|name| tag.starts_with(name)).ok_or(UnsupportedXml)?;
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if !name.chars().all(plain) || self.open.len() >= DEPTH {
            return Err(UnsupportedXml);
        }
        self.open.push(name);
        (self.empty, self.began) = (empty, true);
        Ok(Piece::Open(name))
    }
}

/// Where a tag ends: at the first `>` outside quotes.
fn tag_end(tag: &str) -> Result<usize, UnsupportedXml> {
    let mut quote = None;
    for (place, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Ok(place),
            (None, b'<') => return Err(UnsupportedXml),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    Err(UnsupportedXml)
}

fn after<'x>(text: &'x str, end: &str) -> Result<(&'x str, &'x str), UnsupportedXml> {
    text.split_once(end).ok_or(UnsupportedXml)
}

fn unescape(text: &str) -> Result<Cow<'_, str>, UnsupportedXml> {
    if !text.contains('&') {
        return Ok(Cow::Borrowed(text));
    }
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = after(piece, ";")?;
        plain.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => numbered(name).ok_or(UnsupportedXml)?,
        });
        plain.push_str(rest);
    }
    Ok(Cow::Owned(plain))
}

fn numbered(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let code = match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    char::from_u32(code.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<String, UnsupportedXml> {
        let (mut reader, mut decoded) = (Reader::new(text), String::new());
        while let Some(piece) = reader.next()? {
            match piece {
                Piece::Open(name) => decoded.extend(["(", name]),
                Piece::Text(text) => decoded.extend(["'", &*text, "'"]),
                Piece::Close => decoded.push(')'),
            }
        }
        Ok(decoded)
    }

    #[test]
    fn elements_and_text() {
        let text = "<?xml version=\"1.0\"?>\n<info a='1>2'>\n\t<!-- no --><name>a &amp; b &#x41;&#66;</name>\
                    <desc />x<![CDATA[<raw>]]></info> after";
        assert_eq!(decoded(text).unwrap(), "(info(name'a & b AB')(desc)'x''<raw>')");
    }

    #[test]
    fn what_is_no_description_is_refused() {
        let deep = "<a>".repeat(1_000_000);
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a",
            "<a b='>",
            "<a><",
            "<>",
            "< a></ a>",
            "</a>",
            "<a>&lol;</a>",
            "<a>&#xd800;</a>",
            "<a>& b</a>",
            "<!DOCTYPE a [<!ENTITY lol \"lol\">]><a>&lol;</a>",
            "<a><!ENTITY x \"y\"></a>",
            "<![CDATA[x]]><a/>",
            "<!-- <a/>",
            &deep,
        ] {
            assert_eq!(decoded(text), Err(UnsupportedXml), "{:?}", text.get(..60));
        }
    }
}
