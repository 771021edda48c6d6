//! `label_replace` and `label_join`: series under other labels.

use super::At;
use crate::promql::error::Error;
use crate::promql::eval::{Evaluator, Matrix};
use crate::promql::labels::Labels;
use crate::promql::syntax::{Call, Node, Tree};
use crate::promql::text;

/// Bytes of a value that is made: one that is put together from itself doubles with each call.
const LONGEST: usize = 64 << 10;

/// The text of an argument, if it is UTF-8.
fn argument(call: &Call, place: usize) -> Result<&str, Error> {
    let bytes = bytes(call.args.get(place));
    let wrong =
        |_| Error::execution(format!("{} in {}() is not UTF-8", text::quoted(bytes), call.function.name));
    std::str::from_utf8(bytes).map_err(wrong)
}

fn bytes(arg: Option<&Tree>) -> &[u8] {
    match arg.map(|arg| &arg.bare().node) {
        Some(Node::Text(bytes)) => bytes,
        _ => b"",
    }
}

/// The name of a label in an argument.
fn label<'c>(call: &'c Call, place: usize, what: &str) -> Result<&'c str, Error> {
    match std::str::from_utf8(bytes(call.args.get(place))) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => {
            let (name, function) = (text::quoted(bytes(call.args.get(place))), call.function.name);
            Err(Error::execution(format!("invalid {what} label name in {function}(): {name}")))
        }
    }
}

pub(super) fn replace(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let (source, pattern) = (argument(call, 3)?, argument(call, 4)?);
    let (replacement, target) = (argument(call, 2)?, label(call, 1, "destination")?);
    // Before its expression is compiled: of calls within calls one is held at a time.
    let matrix = vector(evaluator, call, at)?;
    let regex = crate::re2::anchored(pattern).map_err(|why| {
        Error::execution(format!("invalid regular expression in label_replace(): {pattern}: {why}"))
    })?;
    let relabel = |labels: &Labels| {
        let Some(captures) = regex.captures(labels.get(source)) else { return Ok(None) };
        // No group is longer than the whole.
        fits(replacement.len() + replacement.matches('$').count() * labels.get(source).len())?;
        let mut value = String::new();
        captures.expand(replacement, &mut value);
        Ok(Some(labels.with(&[(target, &value)])))
    };
    relabelled(evaluator, matrix, relabel)
}

pub(super) fn join(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    let separator = argument(call, 2)?;
    let sources: Result<Vec<&str>, Error> = (3..call.args.len()).map(|i| label(call, i, "source")).collect();
    let (sources, target) = (sources?, label(call, 1, "destination")?);
    let relabel = |labels: &Labels| {
        let values: Vec<&str> = sources.iter().map(|source| labels.get(source)).collect();
        fits(values.iter().map(|value| value.len() + separator.len()).sum())?;
        Ok(Some(labels.with(&[(target, &values.join(separator))])))
    };
    let matrix = vector(evaluator, call, at)?;
    relabelled(evaluator, matrix, relabel)
}

/// Whether a value may be made that has so many bytes at most.
fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > LONGEST {
        return Err(Error::limit(format!("the query makes a label of more than {} KiB", LONGEST >> 10)));
    }
    Ok(())
}

/// The series of the first argument.
fn vector(evaluator: &mut Evaluator<'_>, call: &Call, at: At) -> Result<Matrix, Error> {
    match call.args.first() {
        Some(vector) => evaluator.eval(vector, at.frame),
        None => Ok(evaluator.empty(at.frame)),
    }
}

fn relabelled(
    evaluator: &Evaluator<'_>,
    mut matrix: Matrix,
    relabel: impl Fn(&Labels) -> Result<Option<Labels>, Error>,
) -> Result<Matrix, Error> {
    for labels in matrix.rows_mut() {
        evaluator.check()?;
        if let Some(changed) = relabel(labels)? {
            evaluator.budget.make(&changed)?;
            *labels = changed;
        }
    }
    matrix.merged()
}
