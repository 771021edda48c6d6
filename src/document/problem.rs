//! A mistake in a document: where it is, what could not be done, and what to write instead.

use std::fmt;

use serde::Serialize;

use crate::secret::redacted;

/// A mistake in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The document, as its reader called it.
    pub file: String,
    /// The key or value, as in `sources[1].statsd.listen`; empty for the document as a whole.
    pub path: String,
    /// Its line, from 1; 0 if it stands nowhere.
    pub line: usize,
    /// Its column in characters, from 1; 0 if it stands nowhere.
    pub column: usize,
    /// What is wrong, lower case, without a full stop.
    #[serde(serialize_with = "serialize_redacted")]
    pub message: String,
    /// What to do about it.
    #[serde(serialize_with = "serialize_redacted_hint")]
    pub hint: Option<String>,
}

fn serialize_redacted<S: serde::Serializer>(words: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&redacted(words))
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn serialize_redacted_hint<S: serde::Serializer>(hint: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    hint.as_deref().map(redacted).serialize(to)
}

impl Problem {
    /// A problem with a whole file.
    #[must_use]
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), message: message.into(), ..Self::default() }
    }

    /// The same, with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&redacted(&self.message))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", redacted(hint))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
