//! What can be wrong with a query, in the kinds that Prometheus' HTTP API tells apart.

use std::fmt;

/// Why a query gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of error it is.
    pub kind: Kind,
    /// What is wrong and where, for people.
    pub text: String,
}

/// The kinds of errors of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The expression or its times make no sense; the text begins with line and column where there is one.
    Invalid,
    /// The expression cannot be evaluated over these series.
    Execution,
    /// The query exceeds a limit.
    Limit,
    /// The query exceeds its timeout.
    Timeout,
    /// The client has gone.
    Canceled,
    /// The storage failed.
    Storage,
}

/// Why a query should end before it has an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The query exceeds its timeout.
    Timeout,
    /// The client has gone.
    Canceled,
}

impl Error {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, text: text.into() }
    }

    pub(super) fn execution(text: impl Into<String>) -> Self {
        Self { kind: Kind::Execution, text: text.into() }
    }

    /// An error of the storage behind [`super::Select`].
    pub fn storage(text: impl Into<String>) -> Self {
        Self { kind: Kind::Storage, text: text.into() }
    }

    pub(super) fn limit(text: impl Into<String>) -> Self {
        Self { kind: Kind::Limit, text: text.into() }
    }

    pub(super) fn too_many_samples() -> Self {
        Self::limit("query processing would load too many samples into memory in query execution")
    }
}

impl From<Interrupt> for Error {
    fn from(interrupt: Interrupt) -> Self {
        let (kind, text) = match interrupt {
            Interrupt::Timeout => (Kind::Timeout, "query timed out in expression evaluation"),
            Interrupt::Canceled => (Kind::Canceled, "query was canceled in expression evaluation"),
        };
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
