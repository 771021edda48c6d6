//! What an expression is worth at each step: series by steps, in one block of numbers.
//!
//! A cell without a value holds [`ABSENT`]. The cells of a query are counted against its bound as long as they live.

use std::cell::Cell;
use std::rc::Rc;

use hashbrown::HashMap;

use crate::promql::error::Error;
use crate::promql::labels::Labels;
use crate::promql::sample::{STALE, is_stale};

/// What is in a cell without a value. No selector yields a staleness mark, and no arithmetic makes one.
pub(in crate::promql) const ABSENT: f64 = STALE;

/// Whether a cell has a value.
#[inline]
pub(in crate::promql) fn present(cell: f64) -> bool {
    !is_stale(cell)
}

/// Bytes of labels that a query may make.
const LABELS: usize = 64 << 20;

/// How many values a query may hold at once, and how many labels it may make.
#[derive(Clone, Debug)]
pub(in crate::promql) struct Budget {
    held: Rc<Cell<usize>>,
    peak: Rc<Cell<usize>>,
    most: usize,
    /// Bytes of the labels that were made so far.
    labels: Rc<Cell<usize>>,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { held: Rc::default(), peak: Rc::default(), most, labels: Rc::default() }
    }

    /// Whether so many more may be held, for a while or for long.
    pub(super) fn room(&self, more: usize) -> Result<(), Error> {
        let held = self.held.get().saturating_add(more);
        self.peak.set(self.peak.get().max(held));
        if held > self.most { Err(Error::too_many_samples()) } else { Ok(()) }
    }

    /// Counts labels that no series had.
    pub(in crate::promql) fn make(&self, labels: &Labels) -> Result<(), Error> {
        self.labels.set(self.labels.get().saturating_add(labels.encoded().len()));
        if self.labels.get() > LABELS {
            return Err(Error::limit(format!("the query makes more than {} MiB of labels", LABELS >> 20)));
        }
        Ok(())
    }

    fn take(&self, more: usize) -> Result<(), Error> {
        self.room(more)?;
        self.held.set(self.held.get() + more);
        Ok(())
    }

    fn give(&self, back: usize) {
        self.held.set(self.held.get().saturating_sub(back));
    }

    pub(super) fn peak(&self) -> usize {
        self.peak.get()
    }
}

/// Series by steps.
#[derive(Debug)]
pub(in crate::promql) struct Matrix {
    rows: Vec<Labels>,
    cells: Vec<f64>,
    steps: usize,
    budget: Budget,
}

impl Drop for Matrix {
    fn drop(&mut self) {
        self.budget.give(self.cells.len());
    }
}

impl Matrix {
    pub(super) fn new(steps: usize, budget: &Budget) -> Self {
        Self { rows: Vec::new(), cells: Vec::new(), steps, budget: budget.clone() }
    }

    /// A matrix of the same steps, without rows.
    pub(super) fn like(&self) -> Self {
        Self::new(self.steps, &self.budget)
    }

    pub(in crate::promql) fn steps(&self) -> usize {
        self.steps
    }

    pub(in crate::promql) fn rows(&self) -> &[Labels] {
        &self.rows
    }

    pub(in crate::promql) fn rows_mut(&mut self) -> &mut [Labels] {
        &mut self.rows
    }

    pub(in crate::promql) fn cells(&self) -> &[f64] {
        &self.cells
    }

    pub(in crate::promql) fn cells_mut(&mut self) -> &mut [f64] {
        &mut self.cells
    }

    pub(in crate::promql) fn row(&self, row: usize) -> &[f64] {
        self.cells.get(row * self.steps..(row + 1) * self.steps).unwrap_or_default()
    }

    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        self.cells.get_mut(row * self.steps..(row + 1) * self.steps).unwrap_or_default()
    }

    /// Each row with its labels.
    pub(in crate::promql) fn series(&self) -> impl Iterator<Item = (&Labels, &[f64])> {
        self.rows.iter().zip(self.cells.chunks(self.steps.max(1)))
    }

    /// Rows and values at a step.
    pub(in crate::promql) fn column(&self, step: usize) -> impl Iterator<Item = (usize, f64)> {
        let cells = self.cells.iter().skip(step).step_by(self.steps.max(1)).copied();
        cells.enumerate().filter(|(_, cell)| present(*cell))
    }

    /// Adds a row without values and says which one it is.
    pub(in crate::promql) fn add(&mut self, labels: Labels) -> Result<usize, Error> {
        self.budget.take(self.steps)?;
        self.rows.push(labels);
        self.cells.resize(self.cells.len() + self.steps, ABSENT);
        Ok(self.rows.len() - 1)
    }

    /// Adds a row and what `fill` makes of it, unless that leaves it without values.
    pub(super) fn add_filled(&mut self, labels: Labels, fill: impl FnOnce(&mut [f64])) -> Result<(), Error> {
        let row = self.add(labels)?;
        fill(self.row_mut(row));
        if !self.row(row).iter().any(|cell| present(*cell)) {
            self.rows.pop();
            self.cells.truncate(row * self.steps);
            self.budget.give(self.steps);
        }
        Ok(())
    }

    pub(in crate::promql) fn set(&mut self, row: usize, step: usize, value: f64) {
        if let Some(cell) = self.row_mut(row).get_mut(step) {
            *cell = value;
        }
    }

    /// Each value through a function; those of which it makes nothing go.
    pub(super) fn map(mut self, compute: impl Fn(f64, usize) -> Option<f64>) -> Self {
        for row in self.cells.chunks_mut(self.steps.max(1)) {
            for (step, cell) in row.iter_mut().enumerate() {
                if present(*cell) {
                    *cell = compute(*cell, step).unwrap_or(ABSENT);
                }
            }
        }
        self
    }

    /// Without rows that have no value.
    pub(in crate::promql) fn without_empty(mut self) -> Self {
        let steps = self.steps.max(1);
        let lives: Vec<bool> =
            self.cells.chunks(steps).map(|row| row.iter().any(|cell| present(*cell))).collect();
        if lives.iter().all(|lives| *lives) {
            return self;
        }
        let mut kept = 0;
        for (row, _) in lives.iter().enumerate().filter(|(_, lives)| **lives) {
            self.cells.copy_within(row * steps..(row + 1) * steps, kept * steps);
            self.rows.swap(kept, row);
            kept += 1;
        }
        self.rows.truncate(kept);
        self.budget.give(self.cells.len() - kept * steps);
        self.cells.truncate(kept * steps);
        self
    }

    /// Takes the names of metrics away. Rows that are then the same become one.
    pub(in crate::promql) fn drop_names(&mut self) -> Result<(), Error> {
        let one_name = self.rows.windows(2).all(|pair| matches!(pair, [a, b] if a.name() == b.name()));
        for labels in &mut self.rows {
            *labels = labels.nameless();
        }
        // Rows that differ, and not in their names, differ still.
        if one_name { Ok(()) } else { self.merge() }
    }

    /// Makes one row of rows with the same labels.
    ///
    /// # Errors
    /// Two of them have a value at the same step.
    pub(in crate::promql) fn merged(mut self) -> Result<Self, Error> {
        self.merge()?;
        Ok(self)
    }

    fn merge(&mut self) -> Result<(), Error> {
        let same = self.doubles();
        if same.is_empty() {
            return Ok(());
        }
        for (into, from) in same {
            for step in 0..self.steps {
                let value = self.row(from).get(step).copied().unwrap_or(ABSENT);
                if !present(value) {
                    continue;
                }
                if self.row(into).get(step).copied().is_some_and(present) {
                    return Err(same_labels());
                }
                self.set(into, step, value);
                self.set(from, step, ABSENT);
            }
        }
        let whole = std::mem::replace(self, self.like());
        *self = whole.without_empty();
        Ok(())
    }

    /// Rows whose labels an earlier one has, behind that one.
    fn doubles(&self) -> Vec<(usize, usize)> {
        let mut first: HashMap<&Labels, usize> = HashMap::with_capacity(self.rows.len());
        let pairs = self.rows.iter().enumerate().filter_map(|(row, labels)| {
            let known = *first.entry(labels).or_insert(row);
            (known != row).then_some((known, row))
        });
        pairs.collect()
    }

    /// Fails if two rows have the same labels, whenever they have values.
    pub(super) fn distinct(&self) -> Result<(), Error> {
        if self.doubles().is_empty() { Ok(()) } else { Err(same_labels()) }
    }

    /// The rows in another order.
    pub(in crate::promql) fn reordered(
        self,
        order: impl Fn(&[f64], &[f64]) -> std::cmp::Ordering,
    ) -> Result<Self, Error> {
        let mut rows: Vec<usize> = (0..self.rows.len()).collect();
        rows.sort_by(|a, b| order(self.row(*a), self.row(*b)));
        let mut result = self.like();
        for row in rows {
            let labels = self.rows.get(row).cloned().unwrap_or_else(Labels::empty);
            result.add_filled(labels, |cells| cells.copy_from_slice(self.row(row)))?;
        }
        Ok(result)
    }
}

pub(super) fn same_labels() -> Error {
    Error::execution("vector cannot contain metrics with the same labelset")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[(&str, &[f64])]) -> Matrix {
        let mut matrix = Matrix::new(rows[0].1.len(), &Budget::new(100));
        for (name, values) in rows {
            let row = matrix.add(Labels::from_pairs([("__name__", *name)])).unwrap();
            matrix.row_mut(row).copy_from_slice(values);
        }
        matrix
    }

    #[test]
    fn rows_that_become_the_same_are_merged_or_refused() {
        let mut apart = matrix(&[("a", &[1.0, ABSENT]), ("b", &[ABSENT, 2.0])]);
        apart.drop_names().unwrap();
        assert_eq!((apart.rows().len(), apart.row(0)), (1, [1.0, 2.0].as_slice()));
        let mut together = matrix(&[("a", &[1.0, 1.0]), ("b", &[ABSENT, 2.0])]);
        assert!(together.drop_names().is_err());
    }

    #[test]
    fn what_is_held_is_counted_as_long_as_it_lives() {
        let budget = Budget::new(5);
        let mut first = Matrix::new(2, &budget);
        first.add(Labels::empty()).unwrap();
        first.add(Labels::empty()).unwrap();
        assert!(first.add(Labels::empty()).is_err());
        let mut first = first.without_empty();
        assert_eq!(budget.held.get(), 0);
        first.add_filled(Labels::empty(), |_| ()).unwrap();
        assert_eq!(budget.held.get(), 0);
        first.add(Labels::empty()).unwrap();
        drop(first);
        assert_eq!((budget.held.get(), budget.peak()), (0, 6));
    }
}
