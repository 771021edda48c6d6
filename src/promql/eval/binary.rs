//! Operators between numbers and vectors.
//!
//! Which elements of two vectors belong together is decided once for each pair of series; what may only be seen step by
//! step (that two series of one group are there at the same time) is looked for where a group has more than one.
//! Facts: `VectorBinop` and its siblings in `promql/engine.go` of Prometheus.

use hashbrown::HashMap;

use super::matrix::{ABSENT, Matrix, present};
use super::{Evaluator, Frame};
use crate::promql::error::Error;
use crate::promql::labels::{Labels, NAME, describes};
use crate::promql::syntax::{Binary, Matching, Op, Side, Type};

/// An arithmetic operator.
pub(super) fn arithmetic(op: Op, left: f64, right: f64) -> f64 {
    match op {
        Op::Add => left + right,
        Op::Sub => left - right,
        Op::Mul => left * right,
        Op::Div => left / right,
        Op::Mod => left % right,
        Op::Pow => left.powf(right),
        Op::Atan2 => left.atan2(right),
        _ => f64::NAN,
    }
}

fn compares(op: Op, left: f64, right: f64) -> bool {
    match op {
        Op::Equal => left == right,
        Op::NotEqual => left != right,
        Op::Greater => left > right,
        Op::Less => left < right,
        Op::GreaterEqual => left >= right,
        Op::LessEqual => left <= right,
        _ => false,
    }
}

/// The value of two elements; none where a filter leaves it out. A filter keeps the left one.
fn element(binary: &Binary, left: f64, right: f64) -> Option<f64> {
    if !binary.op.compares() {
        return Some(arithmetic(binary.op, left, right));
    }
    match (compares(binary.op, left, right), binary.bool) {
        (kept, true) => Some(if kept { 1.0 } else { 0.0 }),
        (kept, false) => kept.then_some(left),
    }
}

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, binary: &Binary, frame: Frame) -> Result<Matrix, Error> {
        let left = self.eval(&binary.left, frame)?;
        let right = self.eval(&binary.right, frame)?;
        match (binary.left.yields, binary.right.yields) {
            (Type::Scalar, Type::Scalar) => Ok(left.map(|value, step| {
                let other = right.cells().get(step).copied().unwrap_or(f64::NAN);
                element(binary, value, other)
            })),
            (Type::Scalar, _) => with_scalar(binary, right, &left, true),
            (_, Type::Scalar) => with_scalar(binary, left, &right, false),
            _ => {
                let groups = Groups::new(&binary.matching, &left, &right);
                match binary.op {
                    Op::And => Ok(masked(left, &groups.left, &groups.there(&right, &groups.right), true)),
                    Op::Unless => Ok(masked(left, &groups.left, &groups.there(&right, &groups.right), false)),
                    Op::Or => {
                        let there = groups.there(&left, &groups.left);
                        either(left, &masked(right, &groups.right, &there, false))
                    }
                    _ => self.pairs(binary, &left, &right, &groups),
                }
            }
        }
    }

    /// Operators between elements that belong together.
    fn pairs(
        &self,
        binary: &Binary,
        left: &Matrix,
        right: &Matrix,
        groups: &Groups,
    ) -> Result<Matrix, Error> {
        let swapped = binary.matching.many == Some(Side::Right);
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let (many_groups, one_groups) =
            if swapped { (&groups.right, &groups.left) } else { (&groups.left, &groups.right) };
        let ones = members(one_groups, groups.count);
        for ones in ones.iter().filter(|ones| ones.len() > 1) {
            only_one(binary, many, one, ones)?;
        }
        let manys = members(many_groups, groups.count);
        let mut result = left.like();
        for (manys, ones) in manys.iter().zip(&ones) {
            self.check()?;
            if manys.len() > 1 {
                unique(binary, many, manys, one, ones)?;
            }
            for (m, o) in manys.iter().flat_map(|m| ones.iter().map(move |o| (*m, *o))) {
                let labels = result_labels(binary, &label(many, m), &label(one, o));
                result.add_filled(labels, |cells| {
                    let values = many.row(m).iter().zip(one.row(o));
                    for (cell, (m, o)) in cells.iter_mut().zip(values) {
                        if present(*m) && present(*o) {
                            let (left, right) = if swapped { (*o, *m) } else { (*m, *o) };
                            *cell = element(binary, left, right).unwrap_or(ABSENT);
                        }
                    }
                })?;
            }
        }
        result.merged()
    }
}

/// The labels of a row that is there.
fn label(matrix: &Matrix, row: usize) -> Labels {
    matrix.rows().get(row).cloned().unwrap_or_else(Labels::empty)
}

/// A vector and a number; `swapped` where the number is on the left.
fn with_scalar(binary: &Binary, vector: Matrix, scalar: &Matrix, swapped: bool) -> Result<Matrix, Error> {
    let matrix = vector.map(|value, step| {
        let number = scalar.cells().get(step).copied().unwrap_or(f64::NAN);
        let (left, right) = if swapped { (number, value) } else { (value, number) };
        let result = element(binary, left, right)?;
        // A filter keeps the element, on whichever side it is.
        Some(if binary.op.compares() && !binary.bool { value } else { result })
    });
    let mut matrix = matrix.without_empty();
    if !binary.op.compares() || binary.bool {
        matrix.drop_names()?;
    }
    Ok(matrix)
}

/// The groups that the rows of two vectors belong to.
struct Groups {
    left: Vec<usize>,
    right: Vec<usize>,
    count: usize,
    steps: usize,
}

impl Groups {
    fn new(matching: &Matching, left: &Matrix, right: &Matrix) -> Self {
        let listed = |name: &str| matching.labels.iter().any(|label| label == name);
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut group = |labels: &Labels| {
            let key = labels
                .filtered(|name| if matching.on { listed(name) } else { name != NAME && !listed(name) });
            let next = known.len();
            *known.entry(key).or_insert(next)
        };
        let left_groups = left.rows().iter().map(&mut group).collect();
        let right_groups = right.rows().iter().map(&mut group).collect();
        Self { left: left_groups, right: right_groups, count: known.len(), steps: left.steps() }
    }

    /// For each group and step, whether the vector has an element.
    fn there(&self, vector: &Matrix, of: &[usize]) -> Vec<bool> {
        let mut there = vec![false; self.count * self.steps];
        for ((_, cells), group) in vector.series().zip(of) {
            let there = there.iter_mut().skip(group * self.steps);
            there.zip(cells).for_each(|(there, cell)| *there |= present(*cell));
        }
        there
    }
}

/// The rows of each group.
fn members(of: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); count];
    for (row, group) in of.iter().enumerate() {
        if let Some(members) = members.get_mut(*group) {
            members.push(row);
        }
    }
    members
}

/// Those elements whose group is there, or is not.
fn masked(mut vector: Matrix, of: &[usize], there: &[bool], wanted: bool) -> Matrix {
    let steps = vector.steps().max(1);
    for (cells, group) in vector.cells_mut().chunks_mut(steps).zip(of) {
        for (cell, there) in cells.iter_mut().zip(there.iter().skip(group * steps)) {
            if *there != wanted {
                *cell = ABSENT;
            }
        }
    }
    vector.without_empty()
}

/// The elements of both; series of the same labels become one.
fn either(mut left: Matrix, right: &Matrix) -> Result<Matrix, Error> {
    for (labels, cells) in right.series() {
        left.add_filled(labels.clone(), |row| row.copy_from_slice(cells))?;
    }
    left.merged()
}

/// Fails if two series of one group are there at once on the side that has one, while the other side has any.
fn only_one(binary: &Binary, many: &Matrix, one: &Matrix, ones: &[usize]) -> Result<(), Error> {
    for step in 0..one.steps() {
        let there = |row: &&usize| one.row(**row).get(step).copied().is_some_and(present);
        let mut found = ones.iter().filter(there);
        if let (Some(a), Some(b)) = (found.next(), found.next())
            && many.column(step).next().is_some()
        {
            let (a, b) = (label(one, *a), label(one, *b));
            let matching = &binary.matching;
            let listed = |name: &str| matching.labels.iter().any(|label| label == name);
            let group =
                a.filtered(|name| if matching.on { listed(name) } else { name != NAME && !listed(name) });
            let side = if matching.many == Some(Side::Right) { "left" } else { "right" };
            let mut series = [a.to_string(), b.to_string()];
            series.sort();
            return Err(Error::execution(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}];\
                 many-to-many matching not allowed: matching labels must be unique on one side",
                series.join(", ")
            )));
        }
    }
    Ok(())
}

/// Fails if series of one group on the side that may have many would yield the same element at once, whether or not a
/// filter leaves it out.
fn unique(
    binary: &Binary,
    many: &Matrix,
    manys: &[usize],
    one: &Matrix,
    ones: &[usize],
) -> Result<(), Error> {
    let grouped = binary.matching.many.is_some();
    let mut seen: HashMap<Labels, Vec<bool>> = HashMap::new();
    for (m, o) in manys.iter().flat_map(|m| ones.iter().map(move |o| (*m, *o))) {
        let labels =
            if grouped { result_labels(binary, &label(many, m), &label(one, o)) } else { Labels::empty() };
        let seen = seen.entry(labels).or_insert_with(|| vec![false; one.steps()]);
        for (seen, (m, o)) in seen.iter_mut().zip(many.row(m).iter().zip(one.row(o))) {
            if !present(*m) || !present(*o) {
                continue;
            }
            if *seen {
                return Err(Error::execution(if grouped {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                } else {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                }));
            }
            *seen = true;
        }
    }
    Ok(())
}

/// The labels of the result of two elements, the first of which is of the side that may have many.
fn result_labels(binary: &Binary, many: &Labels, one: &Labels) -> Labels {
    let Matching { on, labels, many: grouped, include } = &binary.matching;
    let listed = |name: &str| labels.iter().any(|label| label == name);
    let drops = binary.bool || !binary.op.compares();
    let kept =
        many.filtered(|name| !(drops && describes(name)) && (grouped.is_some() || listed(name) == *on));
    if include.is_empty() {
        return kept;
    }
    let included: Vec<(&str, &str)> = include.iter().map(|name| (name.as_str(), one.get(name))).collect();
    kept.with(&included)
}
