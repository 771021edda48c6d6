//! Between numbers and vectors, what is not there, and when: `scalar`, `vector`, `absent`, `time`, `timestamp`.

use super::At;
use crate::promql::error::Error;
use crate::promql::eval::{Evaluator, Matrix, present};
use crate::promql::labels::{Labels, NAME};
use crate::promql::matcher::Op;
use crate::promql::syntax::{Call, Node, Selector, Tree};

pub(super) fn pi(evaluator: &mut Evaluator<'_>, _: &Call, at: At) -> Result<Matrix, Error> {
    evaluator.constant(at.frame, std::f64::consts::PI)
}

pub(super) fn time(evaluator: &mut Evaluator<'_>, _: &Call, at: At) -> Result<Matrix, Error> {
    let mut matrix = evaluator.constant(at.frame, 0.0)?;
    for (step, cell) in matrix.cells_mut().iter_mut().enumerate() {
        *cell = at.frame.at(step) as f64 / 1000.0;
    }
    Ok(matrix)
}

/// A number is the vector of one element without labels.
pub(super) fn vector(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    match call.args.first() {
        Some(scalar) => evaluator.eval(scalar, at.frame),
        None => Ok(evaluator.empty(at.frame)),
    }
}

pub(super) fn scalar(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let mut scalar = evaluator.constant(at.frame, f64::NAN)?;
    let Some(vector) = call.args.first() else { return Ok(scalar) };
    let vector = evaluator.eval(vector, at.frame)?;
    for (step, cell) in scalar.cells_mut().iter_mut().enumerate() {
        let mut values = vector.column(step);
        if let (Some((_, value)), None) = (values.next(), values.next()) {
            *cell = value;
        }
    }
    Ok(scalar)
}

pub(super) fn absent(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let Some(vector) = call.args.first() else { return Ok(evaluator.empty(at.frame)) };
    let matrix = evaluator.eval(vector, at.frame)?;
    missing(evaluator, at, vector, |step| matrix.column(step).next().is_some())
}

pub(super) fn absent_over_time(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let Some(range) = call.args.first() else { return Ok(evaluator.empty(at.frame)) };
    let mut there = vec![false; at.frame.steps];
    evaluator.over(call, at.frame, |_, values| {
        for (there, value) in there.iter_mut().zip(values) {
            *there |= present(*value);
        }
        Ok(())
    })?;
    missing(evaluator, at, range, |step| there.get(step).copied().unwrap_or_default())
}

/// 1 where nothing is there, with the labels that the argument names.
fn missing(
    evaluator: &mut Evaluator<'_>,
    at: At,
    arg: &Tree,
    there: impl Fn(usize) -> bool,
) -> Result<Matrix, Error> {
    let mut matrix = evaluator.constant(at.frame, 1.0)?;
    for (step, cell) in matrix.cells_mut().iter_mut().enumerate() {
        if there(step) {
            *cell = crate::promql::eval::ABSENT;
        }
    }
    for labels in matrix.rows_mut() {
        *labels = wanted(arg);
    }
    Ok(matrix.without_empty())
}

/// The labels that a selector asks for by value: of a name that is asked for twice, none.
fn wanted(arg: &Tree) -> Labels {
    let (Node::Selector(Selector { matchers, .. }) | Node::Range(Selector { matchers, .. }, _)) =
        &arg.bare().node
    else {
        return Labels::empty();
    };
    let asked = |name: &str| matchers.iter().filter(|matcher| matcher.name() == name).count();
    let single = matchers
        .iter()
        .filter(|matcher| matcher.name() != NAME && matcher.op() == Op::Equal && asked(matcher.name()) == 1);
    Labels::from_pairs(single.map(|matcher| (matcher.name(), matcher.value())))
}

pub(super) fn timestamp(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let Some(vector) = call.args.first() else { return Ok(evaluator.empty(at.frame)) };
    // Only a selector knows when its samples were taken; all else is of the time of evaluation.
    let mut matrix = match &vector.bare().node {
        Node::Selector(selector) => evaluator.selected(selector, at.frame, true)?,
        _ => {
            let mut matrix = evaluator.eval(vector, at.frame)?;
            for (place, cell) in matrix.cells_mut().iter_mut().enumerate() {
                if present(*cell) {
                    *cell = at.frame.at(place % at.frame.steps.max(1)) as f64 / 1000.0;
                }
            }
            matrix
        }
    };
    matrix.drop_names()?;
    Ok(matrix)
}
