//! Templates of labels and annotations, as Prometheus expands them: Go's `text/template` with Prometheus' functions.
//!
//! Fact: `template/template.go` of Prometheus. Bounded in depth, steps and bytes, so that no text of a rule file holds a rule up.

mod compare;
mod execute;
mod format;
mod functions;
mod message;
mod names;
mod parse;
mod scope;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use self::parse::Node;
use super::dispatch::Message;
use crate::promql::{Element, Labels};

/// What a template is about.
pub struct Data<'a> {
    /// `$labels`: those of the series.
    pub labels: &'a Labels,
    /// `$value`.
    pub value: f64,
    /// `$externalLabels`.
    pub external_labels: &'a Labels,
    /// `$externalURL`.
    pub external_url: &'a str,
    /// The time of the evaluation, in milliseconds.
    pub now: i64,
    /// Answers the function `query`.
    pub query: &'a dyn Fn(&str) -> Result<Vec<Element>, String>,
}

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data")
            .field("labels", &self.labels)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// A text with actions, `{{ $labels.device }} lost {{ $value | humanizePercentage }}`.
#[derive(Clone, Debug, PartialEq)]
pub enum Template {
    /// Without any action.
    Plain(String),
    /// With actions.
    Nodes(Nodes),
}

/// The text of a template and its nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Nodes {
    text: Box<str>,
    nodes: Box<[Node]>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.contains("{{") {
            return Ok(Self::Plain(text.to_owned()));
        }
        let nodes = parse::parse(text)?;
        scope::check(&nodes)?;
        Ok(Self::Nodes(Nodes { text: text.into(), nodes: nodes.into() }))
    }

    /// The text as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Nodes(nodes) => &nodes.text,
        }
    }

    /// The text with its actions carried out, in the way that Alertmanager does for a notification. `url` is where people see the alerts.
    ///
    /// # Errors
    /// What could not be carried out.
    pub fn notify(&self, message: &Message, url: &str) -> Result<String, String> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Nodes(nodes) => message::run(&nodes.nodes, message, url),
        }
    }

    /// The text with its actions carried out.
    ///
    /// # Errors
    /// What could not be carried out.
    pub fn expand(&self, data: &Data<'_>) -> Result<String, String> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Nodes(nodes) => execute::run(&nodes.nodes, data),
        }
    }
}

/// The path of the page that shows an expression as a table, as Prometheus writes it in links.
#[must_use]
pub fn table_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=1", functions::query_escape(expr))
}

/// A value within a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// `map[string]string`: a name that is not there is empty text.
    Labels(Labels),
    /// One series of an answer, with the fields `Labels` and `Value`.
    Sample(Labels, f64),
    List(Vec<Self>),
    /// What the function `args` makes: `arg0`, `arg1`.
    Map(BTreeMap<String, Self>),
    /// Milliseconds since 1970.
    Time(i64),
    /// What the template is about, with the fields `Labels`, `ExternalLabels`, `ExternalURL` and `Value`.
    Root,
}

impl Value {
    /// Bytes that it takes, about.
    fn weight(&self) -> usize {
        let inner = match self {
            Self::Text(text) => text.len(),
            Self::List(values) => values.iter().map(Self::weight).sum(),
            Self::Map(values) => values.iter().map(|(name, value)| name.len() + value.weight()).sum(),
            _ => 0,
        };
        size_of::<Self>() + inner
    }

    /// The type in Go's words.
    fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Labels(_) => "map[string]string",
            Self::Sample(..) => "*template.sample",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Root => "struct",
        }
    }

    /// Whether `if` takes it.
    fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Map(values) => !values.is_empty(),
            Self::Sample(..) | Self::Time(_) | Self::Root => true,
        }
    }
}

/// By which label `sortByLabel` sorts; names of things with numbers in them are sorted by text, as Prometheus does.
fn by_label(name: &str, a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Sample(a, _), Value::Sample(b, _)) => a.get(name).cmp(b.get(name)),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests;
