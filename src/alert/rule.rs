//! A rule: an expression, and what becomes of its answer.

use super::template::Template;
use crate::promql::Expr;

/// What a rule does with the answer of its expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// It becomes series of this name.
    Record(String),
    /// Each series of it is an alert.
    Alert {
        /// The name of the alerts.
        name: String,
        /// Milliseconds for which a series must be there before its alert fires.
        hold: i64,
        /// Milliseconds for which an alert fires on when its series is gone.
        keep_firing: i64,
        /// What people are told about it.
        annotations: Vec<(String, Template)>,
    },
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it does.
    pub act: Act,
    /// The expression as it is written.
    pub text: String,
    /// The expression.
    pub expr: Expr,
    /// Labels that are added; plain text with recording rules.
    pub labels: Vec<(String, Template)>,
}

impl Rule {
    pub(super) fn new(act: Act, text: String, expr: Expr, labels: Vec<(String, Template)>) -> Self {
        Self { act, text, expr, labels }
    }

    /// The name of its series or alerts.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.act {
            Act::Record(name) | Act::Alert { name, .. } => name,
        }
    }
}

/// How the last evaluation of a rule went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not evaluated yet.
    #[default]
    Unknown,
    /// Well.
    Ok,
    /// With this error.
    Failed(String),
}

impl Health {
    /// Its name in answers.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Failed(_) => "err",
        }
    }
}
