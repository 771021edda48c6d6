//! `sort` and `sort_desc`. In a range query there is nothing to sort: series are in the order of their labels.

use std::cmp::Ordering;

use super::At;
use crate::promql::error::Error;
use crate::promql::eval::{Evaluator, Matrix};
use crate::promql::syntax::Call;

pub(super) fn rising(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    sorted(evaluator, call, at, |a, b| a.total_cmp(&b))
}

pub(super) fn falling(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    sorted(evaluator, call, at, |a, b| b.total_cmp(&a))
}

fn sorted(
    evaluator: &mut Evaluator<'_>,
    call: &Call,
    at: At,
    order: impl Fn(f64, f64) -> Ordering,
) -> Result<Matrix, Error> {
    let Some(vector) = call.args.first() else { return Ok(evaluator.empty(at.frame)) };
    if at.frame.steps > 1 {
        evaluator.notes.sort_in_range(at.place);
    }
    let matrix = evaluator.eval(vector, at.frame)?;
    if at.frame.steps > 1 {
        return Ok(matrix);
    }
    // NaN comes last, whatever the order; 0 and -0 are the same.
    let compare = |a: f64, b: f64| a.is_nan().cmp(&b.is_nan()).then_with(|| order(a + 0.0, b + 0.0));
    matrix.reordered(|a, b| match (a, b) {
        ([a], [b]) => compare(*a, *b),
        _ => Ordering::Equal,
    })
}
