//! An expression and a storage to an answer.
//!
//! Each node yields a [`Matrix`]: all steps of a range query at once, so that each series is selected once and its windows
//! move along its samples. An instant query is a range of one step.

mod aggregate;
mod answer;
mod binary;
mod matrix;
mod notes;
mod windows;

pub use answer::{Answer, Element, Query, Series, Value, When, evaluate};
pub(super) use matrix::{ABSENT, Matrix, present};
pub(super) use notes::Notes;
pub(super) use windows::Window;

use self::matrix::Budget;
use super::error::{Error, Interrupt};
use super::functions::{self, Run};
use super::labels::Labels;
use super::select::Select;
use super::syntax::{At, Call, Length, Node, Op, Shift, Term, Tree};
use super::{functions::time::Date, parser};

/// The times an expression is evaluated for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) start: i64,
    /// Between two times, in milliseconds; at least 1.
    pub(super) step: i64,
    pub(super) steps: usize,
}

impl Frame {
    /// The time of a step.
    pub(super) fn at(&self, step: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(step as i64))
    }

    fn last(&self) -> i64 {
        self.at(self.steps.saturating_sub(1))
    }
}

pub(super) struct Evaluator<'q> {
    storage: &'q dyn Select,
    query: &'q Query<'q>,
    pub(in crate::promql) budget: Budget,
    pub(super) notes: Notes,
}

/// An offset, and the time that `@` fixes.
#[derive(Clone, Copy)]
struct Shifted {
    offset: i64,
    at: Option<i64>,
}

impl Shifted {
    /// When a selector looks that is evaluated at a time.
    fn look(&self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }
}

impl<'q> Evaluator<'q> {
    fn new(storage: &'q dyn Select, query: &'q Query<'q>) -> Self {
        Self { storage, query, budget: Budget::new(query.max_samples), notes: Notes::default() }
    }

    /// Fails if the query is to end: its client has gone, or its time is over.
    pub(super) fn check(&self) -> Result<(), Error> {
        check(self.query.interrupt)
    }

    pub(super) fn empty(&self, frame: Frame) -> Matrix {
        Matrix::new(frame.steps, &self.budget)
    }

    /// One row without labels that has a number at each step.
    pub(super) fn constant(&self, frame: Frame, value: f64) -> Result<Matrix, Error> {
        let mut matrix = self.empty(frame);
        matrix.add(Labels::empty())?;
        matrix.cells_mut().fill(value);
        Ok(matrix)
    }

    pub(super) fn eval(&mut self, tree: &Tree, frame: Frame) -> Result<Matrix, Error> {
        self.check()?;
        if frame.steps > 1 && !matches!(tree.node, Node::Number { .. }) && same_at_all_times(tree) {
            return self.once(tree, frame);
        }
        match &tree.node {
            Node::Number { value, .. } => self.constant(frame, *value),
            Node::Paren(inner) => self.eval(inner, frame),
            Node::Selector(selector) => self.selected(selector, frame, false),
            Node::Unary { negative: false, operand } => self.eval(operand, frame),
            Node::Unary { operand, .. } => {
                let mut matrix = self.eval(operand, frame)?.map(|value, _| Some(-value));
                matrix.drop_names()?;
                Ok(matrix)
            }
            Node::Binary(binary) => self.binary(binary, frame),
            Node::Aggregate(aggregate) => self.aggregate(aggregate, frame),
            Node::Call(call) => self.call(call, tree.at, frame),
            Node::Text(_) | Node::Range(..) | Node::Subquery(_) => {
                Err(Error::execution(format!("a {} has no value at a step", tree.yields.name())))
            }
        }
    }

    /// What is the same at each step is computed once.
    fn once(&mut self, tree: &Tree, frame: Frame) -> Result<Matrix, Error> {
        let one = self.eval(tree, Frame { steps: 1, ..frame })?;
        let mut all = self.empty(frame);
        for (labels, cells) in one.series() {
            let value = cells.first().copied().unwrap_or(ABSENT);
            all.add_filled(labels.clone(), |cells| cells.fill(value))?;
        }
        Ok(all)
    }

    fn call(&mut self, call: &Call, place: usize, frame: Frame) -> Result<Matrix, Error> {
        match &call.function.run {
            Run::Own(run) => run(self, call, functions::At { place, frame }),
            Run::Over { keeps_name, .. } => self.windowed(call, *keeps_name, frame),
            Run::Date(part) => {
                let mut matrix = match call.args.first() {
                    Some(vector) => self.eval(vector, frame)?,
                    None => {
                        let seconds = self.constant(frame, 0.0)?;
                        seconds.map(|_, step| Some(frame.at(step).div_euclid(1000) as f64))
                    }
                };
                matrix = matrix.map(|seconds, _| Some(part(&Date::at(seconds as i64)) as f64));
                matrix.drop_names()?;
                Ok(matrix)
            }
            Run::Each(compute) => {
                let Some((vector, scalars)) = call.args.split_first() else { return Ok(self.empty(frame)) };
                let scalars: Result<Vec<Matrix>, Error> =
                    scalars.iter().map(|scalar| self.eval(scalar, frame)).collect();
                let scalars = scalars?;
                let mut matrix = self.eval(vector, frame)?;
                matrix = matrix.map(|value, step| {
                    // No function takes more than two.
                    let mut args = [0.0; 2];
                    for (arg, scalar) in args.iter_mut().zip(&scalars) {
                        *arg = scalar.cells().get(step).copied().unwrap_or(f64::NAN);
                    }
                    compute(value, args.get(..scalars.len()).unwrap_or(&args))
                });
                matrix = matrix.without_empty();
                matrix.drop_names()?;
                Ok(matrix)
            }
        }
    }

    fn shifted(&self, shift: &Shift) -> Result<Shifted, Error> {
        let offset = shift.offset.as_ref().map_or(Ok(0), |offset| self.length(offset, true))?;
        let (start, end) = self.query.when.bounds();
        let at = shift.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => start,
            At::End => end,
        });
        Ok(Shifted { offset, at })
    }

    /// A length in milliseconds.
    fn length(&self, length: &Length, may_be_negative: bool) -> Result<i64, Error> {
        let term = match length {
            Length::Fixed(milliseconds) => return Ok(*milliseconds),
            Length::Computed(term) => term,
        };
        let seconds = self.seconds(term)?;
        let wrong = |why: &str| Err(Error::execution(format!("the duration {term} {why}")));
        if !seconds.is_finite() {
            return wrong("is NaN or infinite");
        }
        if seconds <= 0.0 && !may_be_negative {
            return wrong("must be greater than 0");
        }
        if seconds.abs() > parser::LARGEST {
            return wrong("is out of range");
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn seconds(&self, term: &Term) -> Result<f64, Error> {
        let both = |sides: &(Term, Term)| Ok::<_, Error>((self.seconds(&sides.0)?, self.seconds(&sides.1)?));
        let (start, end) = self.query.when.bounds();
        Ok(match term {
            Term::Number { value, .. } => *value,
            Term::Step => self.query.when.step() as f64 / 1000.0,
            Term::Range => end.saturating_sub(start) as f64 / 1000.0,
            Term::Negative(term) => -self.seconds(term)?,
            Term::Paren(term) => self.seconds(term)?,
            Term::Least(sides) => both(sides).map(|(a, b)| functions::least(a, b))?,
            Term::Greatest(sides) => both(sides).map(|(a, b)| functions::greatest(a, b))?,
            Term::Binary(op, sides) => {
                let (left, right) = both(sides)?;
                if matches!(op, Op::Div | Op::Mod) && right == 0.0 {
                    return Err(Error::execution(format!("division by zero in the duration {term}")));
                }
                binary::arithmetic(*op, left, right)
            }
        })
    }
}

fn check(interrupt: &dyn Fn() -> Option<Interrupt>) -> Result<(), Error> {
    interrupt().map_or(Ok(()), |interrupt| Err(interrupt.into()))
}

/// Whether an expression is worth the same at each step: it is made of numbers and of what `@` fixes.
fn same_at_all_times(tree: &Tree) -> bool {
    match &tree.node {
        Node::Number { .. } | Node::Text(_) => true,
        Node::Selector(selector) | Node::Range(selector, _) => selector.shift.at.is_some(),
        Node::Subquery(subquery) => subquery.shift.at.is_some(),
        Node::Paren(inner) | Node::Unary { operand: inner, .. } => same_at_all_times(inner),
        Node::Binary(binary) => same_at_all_times(&binary.left) && same_at_all_times(&binary.right),
        Node::Call(call) => !call.function.follows_time && call.args.iter().all(same_at_all_times),
        Node::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.inner]).all(same_at_all_times),
    }
}
