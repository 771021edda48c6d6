//! A query: an expression and its times; and its answer.

use super::matrix::{Matrix, present};
use super::{Evaluator, Frame};
use crate::promql::error::{Error, Interrupt};
use crate::promql::labels::Labels;
use crate::promql::sample::Sample;
use crate::promql::select::Select;
use crate::promql::syntax::{Expr, Node, Type};

/// The time or times of a query, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At one time.
    At(i64),
    /// At each step from `start` to `end`.
    Range {
        /// The first time.
        start: i64,
        /// The last time, itself included if a step meets it.
        end: i64,
        /// Between two times.
        step: i64,
    },
}

impl When {
    pub(in crate::promql) fn bounds(self) -> (i64, i64) {
        match self {
            Self::At(time) => (time, time),
            Self::Range { start, end, .. } => (start, end),
        }
    }

    pub(super) fn step(self) -> i64 {
        match self {
            Self::At(_) => 0,
            Self::Range { step, .. } => step,
        }
    }
}

/// How an expression is evaluated.
#[derive(Clone, Copy)]
pub struct Query<'q> {
    /// For which times.
    pub when: When,
    /// How old the newest sample of a series may be, in milliseconds: 5 minutes.
    pub lookback: i64,
    /// The step of a subquery that names none, in milliseconds: 1 minute.
    pub subquery_step: i64,
    /// How many values it may hold at once.
    pub max_samples: usize,
    /// Asked often; ends the query where it says so.
    pub interrupt: &'q dyn Fn() -> Option<Interrupt>,
}

impl std::fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query")
            .field("when", &self.when)
            .field("lookback", &self.lookback)
            .finish_non_exhaustive()
    }
}

impl Query<'static> {
    /// With Prometheus' own defaults, and no end but its own.
    #[must_use]
    pub fn new(when: When) -> Self {
        let (lookback, subquery_step, max_samples) = (300_000, 60_000, 50_000_000);
        Self { when, lookback, subquery_step, max_samples, interrupt: &|| None }
    }
}

/// One series at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// One series over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// By rising time; never empty.
    pub samples: Vec<Sample>,
}

/// What an expression is worth.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// Series at the time of the query; in order where the expression sorts.
    Vector(Vec<Element>),
    /// Series over time, in the order of their labels.
    Matrix(Vec<Series>),
}

impl Value {
    /// Keeps so many series at most. Says whether there were more.
    pub fn truncate(&mut self, most: usize) -> bool {
        let count = match self {
            Self::Scalar(_) | Self::Text(_) => 0,
            Self::Vector(elements) => elements.len(),
            Self::Matrix(series) => series.len(),
        };
        match self {
            Self::Scalar(_) | Self::Text(_) => {}
            Self::Vector(elements) => elements.truncate(most),
            Self::Matrix(series) => series.truncate(most),
        }
        count > most
    }
}

/// A value and its annotations.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// Annotations that Prometheus calls warnings, each with its position in the expression.
    pub warnings: Vec<String>,
    /// Annotations that Prometheus calls infos.
    pub infos: Vec<String>,
    /// The most values that were held at once.
    pub peak: usize,
}

/// The most steps of a range query, as in Prometheus.
const STEPS: i64 = 11_000;

/// Evaluates an expression over a storage.
///
/// # Errors
/// Times that make no sense, an expression that fits neither them nor the series, a bound that is met, an interrupt, or what
/// the storage says.
pub fn evaluate(expr: &Expr, query: &Query<'_>, storage: &dyn Select) -> Result<Answer, Error> {
    let frame = frame(expr, query.when)?;
    let mut evaluator = Evaluator::new(storage, query);
    let value = match (query.when, expr.yields()) {
        (When::At(_), Type::Text) => Value::Text(text(expr)),
        (When::At(_), Type::Matrix) => Value::Matrix(matrix(&mut evaluator, expr, frame)?),
        (When::At(_), Type::Scalar) => {
            let scalar = evaluator.eval(&expr.tree, frame)?;
            Value::Scalar(scalar.cells().first().copied().unwrap_or(f64::NAN))
        }
        (When::At(_), Type::Vector) => {
            let vector = evaluator.eval(&expr.tree, frame)?.merged()?;
            let elements = vector.series().filter_map(|(labels, cells)| {
                let value = cells.first().copied().filter(|value| present(*value))?;
                Some(Element { labels: labels.clone(), value })
            });
            Value::Vector(elements.collect())
        }
        (When::Range { .. }, _) => {
            let matrix = evaluator.eval(&expr.tree, frame)?.merged()?;
            let mut all = series(&matrix, frame);
            all.sort_by(|a, b| a.labels.cmp(&b.labels));
            Value::Matrix(all)
        }
    };
    let (warnings, infos) = evaluator.notes.texts(&expr.text);
    Ok(Answer { value, warnings, infos, peak: evaluator.budget.peak() })
}

fn frame(expr: &Expr, when: When) -> Result<Frame, Error> {
    match when {
        When::At(start) => Ok(Frame { start, step: 1, steps: 1 }),
        When::Range { start, end, step } => {
            if !matches!(expr.yields(), Type::Scalar | Type::Vector) {
                let yields = expr.yields().name();
                let text = format!(
                    "invalid expression type {yields:?} for range query, must be Scalar or instant Vector"
                );
                return Err(Error::invalid(text));
            }
            if step <= 0 {
                return Err(Error::invalid("zero or negative query resolution step widths are not accepted"));
            }
            if end < start {
                return Err(Error::invalid("end timestamp must not be before start time"));
            }
            let steps = end.saturating_sub(start) / step;
            if steps > STEPS {
                let text = format!("exceeded maximum resolution of {STEPS} points per timeseries");
                return Err(Error::invalid(text));
            }
            Ok(Frame { start, step, steps: steps as usize + 1 })
        }
    }
}

fn text(expr: &Expr) -> String {
    match &expr.tree.bare().node {
        Node::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn matrix(evaluator: &mut Evaluator<'_>, expr: &Expr, frame: Frame) -> Result<Vec<Series>, Error> {
    let mut all: Vec<Series> = evaluator
        .raw(&expr.tree, frame)?
        .into_iter()
        .map(|(labels, samples)| Series { labels, samples })
        .collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(all)
}

fn series(matrix: &Matrix, frame: Frame) -> Vec<Series> {
    let series = matrix.series().map(|(labels, cells)| {
        let present = cells.iter().enumerate().filter(|(_, cell)| present(**cell));
        let samples = present.map(|(step, cell)| Sample { t: frame.at(step), v: *cell }).collect();
        Series { labels: labels.clone(), samples }
    });
    series.filter(|series| !series.samples.is_empty()).collect()
}
