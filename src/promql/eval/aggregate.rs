//! Aggregations: many series to one for each group, or the first of each group in the order of their values.
//!
//! Facts: `aggregation` and `aggregationK` in `promql/engine.go` of Prometheus.

use std::cmp::Ordering;

use hashbrown::HashMap;

use super::matrix::{Matrix, present};
use super::{ABSENT, Evaluator, Frame};
use crate::promql::error::Error;
use crate::promql::labels::{Labels, NAME};
use crate::promql::sums::{self, Average, Sum};
use crate::promql::syntax::{Aggregate, Aggregator, Node, Tree};
use crate::promql::text;

/// Which group each row belongs to, and the labels of the groups.
struct Groups {
    of: Vec<usize>,
    labels: Vec<Labels>,
}

impl Groups {
    fn new(aggregate: &Aggregate, rows: &[Labels]) -> Self {
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut labels = Vec::new();
        let of = rows.iter().map(|row| {
            let group = group(aggregate, row);
            *known.entry(group).or_insert_with_key(|group| {
                labels.push(group.clone());
                labels.len() - 1
            })
        });
        let of = of.collect();
        Self { of, labels }
    }
}

/// The labels that the result of a series has.
fn group(aggregate: &Aggregate, labels: &Labels) -> Labels {
    let listed = |name: &str| aggregate.grouping.iter().any(|label| label == name);
    if aggregate.without {
        labels.filtered(|name| name != NAME && !listed(name))
    } else if aggregate.grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filtered(listed)
    }
}

/// What is known of a group at a step.
trait Fold: Clone {
    fn first(value: f64) -> Self;
    fn add(&mut self, value: f64);
    fn value(&self) -> f64;
}

macro_rules! fold {
    ($name:ident($state:ty): $first:expr, $add:expr, $value:expr) => {
        #[derive(Clone)]
        struct $name($state);
        impl Fold for $name {
            fn first(value: f64) -> Self {
                Self(($first)(value))
            }
            fn add(&mut self, value: f64) {
                ($add)(&mut self.0, value);
            }
            fn value(&self) -> f64 {
                ($value)(&self.0)
            }
        }
    };
}

fn averaged(value: f64) -> Average {
    let mut average = Average::default();
    average.add(value);
    average
}

fn summed(value: f64) -> Sum {
    let mut sum = Sum::default();
    sum.add(value);
    sum
}

fold!(Summed(Sum): summed, Sum::add, Sum::value);
fold!(Averaged(Average): averaged, Average::add, Average::value);
fold!(Counted(f64): |_| 1.0, |count: &mut f64, _| *count += 1.0, |count: &f64| *count);
fold!(Grouped(()): |_| (), |(): &mut (), _| (), |(): &()| 1.0);
fold!(Least(f64): |value| value, |least: &mut f64, value: f64| {
    if *least > value || least.is_nan() {
        *least = value;
    }
}, |least: &f64| *least);
fold!(Greatest(f64): |value| value, |greatest: &mut f64, value: f64| {
    if *greatest < value || greatest.is_nan() {
        *greatest = value;
    }
}, |greatest: &f64| *greatest);
fold!(Variance(Spread): Spread::new, Spread::add, Spread::variance);
fold!(Deviation(Spread): Spread::new, Spread::add, |spread: &Spread| spread.variance().sqrt());

/// Mean and sum of squared distances from it, by Welford.
#[derive(Clone)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn new(value: f64) -> Self {
        Self { count: 1.0, mean: value, squares: if value.is_finite() { 0.0 } else { f64::NAN } }
    }

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn variance(&self) -> f64 {
        self.squares / self.count
    }
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, frame: Frame) -> Result<Matrix, Error> {
        if aggregate.op == Aggregator::CountValues {
            return self.count_values(aggregate, frame);
        }
        let param = aggregate.param.as_ref();
        let params = param.map(|param| self.eval(param, frame)).transpose()?;
        let params = params.as_ref().map_or(&[] as &[f64], Matrix::cells);
        let input = self.eval(&aggregate.inner, frame)?;
        let groups = Groups::new(aggregate, input.rows());
        match aggregate.op {
            Aggregator::Sum => self.fold::<Summed>(&input, groups),
            Aggregator::Avg => self.fold::<Averaged>(&input, groups),
            Aggregator::Count => self.fold::<Counted>(&input, groups),
            Aggregator::Group => self.fold::<Grouped>(&input, groups),
            Aggregator::Min => self.fold::<Least>(&input, groups),
            Aggregator::Max => self.fold::<Greatest>(&input, groups),
            Aggregator::Stdvar => self.fold::<Variance>(&input, groups),
            Aggregator::Stddev => self.fold::<Deviation>(&input, groups),
            Aggregator::Quantile => {
                let place = param.map_or(0, |param| param.at);
                params.iter().for_each(|q| self.notes.quantile(*q, place));
                self.quantiles(&input, &groups, params)
            }
            Aggregator::Topk => self.first(&input, &groups, params, |a, b| b.total_cmp(&a)),
            Aggregator::Bottomk => self.first(&input, &groups, params, |a, b| a.total_cmp(&b)),
            Aggregator::CountValues => Ok(input.like()),
        }
    }

    fn fold<F: Fold>(&self, input: &Matrix, groups: Groups) -> Result<Matrix, Error> {
        let mut result = input.like();
        let steps = input.steps();
        self.budget.room(groups.labels.len().saturating_mul(steps))?;
        let mut states: Vec<Option<F>> = vec![None; groups.labels.len() * steps];
        for ((_, cells), group) in input.series().zip(&groups.of) {
            self.check()?;
            let states = states.iter_mut().skip(group * steps);
            for (state, value) in states.zip(cells).filter(|(_, value)| present(**value)) {
                match state {
                    Some(state) => state.add(*value),
                    None => *state = Some(F::first(*value)),
                }
            }
        }
        for (labels, states) in groups.labels.into_iter().zip(states.chunks(steps.max(1))) {
            self.check()?;
            result.add_filled(labels, |cells| {
                for (cell, state) in cells.iter_mut().zip(states) {
                    *cell = state.as_ref().map_or(ABSENT, F::value);
                }
            })?;
        }
        Ok(result)
    }

    fn quantiles(&self, input: &Matrix, groups: &Groups, params: &[f64]) -> Result<Matrix, Error> {
        let mut result = input.like();
        for labels in &groups.labels {
            result.add(labels.clone())?;
        }
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); groups.labels.len()];
        for (step, q) in params.iter().enumerate() {
            self.check()?;
            values.iter_mut().for_each(Vec::clear);
            for (row, value) in input.column(step) {
                if let Some(values) = groups.of.get(row).and_then(|group| values.get_mut(*group)) {
                    values.push(value);
                }
            }
            for (row, values) in values.iter_mut().enumerate().filter(|(_, values)| !values.is_empty()) {
                result.set(row, step, sums::quantile(*q, values));
            }
        }
        Ok(result.without_empty())
    }

    /// `topk` and `bottomk`: the first so many of each group, by an order of values that says nothing of NaN.
    fn first(
        &self,
        input: &Matrix,
        groups: &Groups,
        params: &[f64],
        order: impl Fn(f64, f64) -> Ordering,
    ) -> Result<Matrix, Error> {
        if params.iter().all(|k| *k < 1.0) {
            return Ok(input.like());
        }
        if params.iter().any(|k| k.is_nan()) {
            return Err(Error::execution("Parameter value is NaN"));
        }
        for k in params {
            // The bounds of 64 bits.
            if k.abs() >= 9_223_372_036_854_775_807.0 {
                let flows = if *k > 0.0 { "overflows" } else { "underflows" };
                return Err(Error::execution(format!("Scalar value {} {flows} int64", text::short(*k))));
            }
        }
        // NaN comes last; of equal values, the one that came first.
        let better = |a: &(f64, usize), b: &(f64, usize)| {
            let values = a.0.is_nan().cmp(&b.0.is_nan()).then_with(|| order(a.0 + 0.0, b.0 + 0.0));
            if a.0.is_nan() && b.0.is_nan() { a.1.cmp(&b.1) } else { values.then(a.1.cmp(&b.1)) }
        };
        let mut result = input.like();
        for labels in input.rows() {
            result.add(labels.clone())?;
        }
        let mut members: Vec<Vec<(f64, usize)>> = vec![Vec::new(); groups.labels.len()];
        let mut ranked = Vec::new();
        for (step, k) in params.iter().enumerate() {
            self.check()?;
            members.iter_mut().for_each(Vec::clear);
            for (row, value) in input.column(step) {
                if let Some(members) = groups.of.get(row).and_then(|group| members.get_mut(*group)) {
                    members.push((value, row));
                }
            }
            let k = if *k < 1.0 { 0 } else { *k as usize };
            for members in &mut members {
                if k > 0 && k < members.len() {
                    members.select_nth_unstable_by(k - 1, better);
                }
                members.truncate(k);
                members.sort_unstable_by(better);
                for (value, row) in members.iter() {
                    result.set(*row, step, *value);
                    ranked.push(*row);
                }
            }
        }
        if input.steps() > 1 {
            return Ok(result.without_empty());
        }
        let mut ordered = input.like();
        for row in ranked {
            let labels = result.rows().get(row).cloned().unwrap_or_else(Labels::empty);
            ordered.add_filled(labels, |cells| cells.copy_from_slice(result.row(row)))?;
        }
        Ok(ordered)
    }

    fn count_values(&mut self, aggregate: &Aggregate, frame: Frame) -> Result<Matrix, Error> {
        let label = value_label(aggregate.param.as_ref())?;
        let input = self.eval(&aggregate.inner, frame)?;
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut result = input.like();
        for (labels, cells) in input.series() {
            self.check()?;
            let group = group(aggregate, labels);
            for (step, value) in cells.iter().enumerate().filter(|(_, value)| present(**value)) {
                let labels = group.with(&[(label, &text::number(*value))]);
                let row = match known.get(&labels) {
                    Some(row) => *row,
                    None => {
                        self.budget.make(&labels)?;
                        let row = result.add(labels.clone())?;
                        known.insert(labels, row);
                        row
                    }
                };
                let count = result.row(row).get(step).copied().filter(|count| present(*count)).unwrap_or(0.0);
                result.set(row, step, count + 1.0);
            }
        }
        Ok(result)
    }
}

/// The label that takes the values.
fn value_label(param: Option<&Tree>) -> Result<&str, Error> {
    let bytes = match param.map(|param| &param.bare().node) {
        Some(Node::Text(bytes)) => bytes.as_slice(),
        _ => b"",
    };
    match std::str::from_utf8(bytes) {
        Ok(label) if !label.is_empty() => Ok(label),
        _ => Err(Error::execution(format!("invalid label name {}", text::quoted(bytes)))),
    }
}
