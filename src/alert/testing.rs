//! A storage for tests of rules.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Storage;
use crate::promql::{Each, Error, Labels, Matcher, Sample, Select, Selection};

/// Series in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(pub(crate) RefCell<BTreeMap<Labels, Vec<Sample>>>);

impl Select for Memory {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let series = self.0.borrow().clone();
        series
            .iter()
            .filter(|(labels, _)| Matcher::all(selection.matchers, labels))
            .try_for_each(|(labels, samples)| each(labels, samples))
    }
}

impl Storage for Memory {
    fn append(&self, labels: &Labels, sample: Sample) {
        self.0.borrow_mut().entry(labels.clone()).or_default().push(sample);
    }
}
