//! One series: its labels as written, its value, and what is needed to forget it in time.

use std::collections::HashSet;
use std::sync::Arc;

use super::number;
use crate::event::{Change, FaultKind, Timestamp, TraceId};

/// Upper bounds of buckets, with the text of their labels kept ready. The last bound is infinite.
#[derive(Debug, PartialEq)]
pub(super) struct Ladder {
    /// Ascending, the last one infinite.
    pub bounds: Box<[f64]>,
    /// `le="…"` for each bound.
    pub labels: Box<[Box<str>]>,
}

impl Ladder {
    /// The ladder with these bounds; the infinite one is added if it is missing.
    pub(super) fn new(bounds: &[f64]) -> Arc<Self> {
        let mut bounds = bounds.to_vec();
        if bounds.last() != Some(&f64::INFINITY) {
            bounds.push(f64::INFINITY);
        }
        let labels = bounds.iter().map(|&b| format!("le=\"{}\"", number::bound(b)).into()).collect();
        Arc::new(Self { bounds: bounds.into(), labels })
    }
}

/// An observation somebody may want to look at, with the trace it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub trace: TraceId,
    pub value: f64,
    pub at: Timestamp,
}

/// Counts by size.
#[derive(Debug)]
pub(super) struct Histogram {
    pub ladder: Arc<Ladder>,
    /// Not cumulative. Fractions come from sampled observations; they are rounded when written.
    pub counts: Box<[f64]>,
    pub sum: f64,
    /// One a bucket, once the first trace was seen.
    pub exemplars: Box<[Option<Exemplar>]>,
}

impl Histogram {
    fn new(ladder: Arc<Ladder>) -> Self {
        let counts = vec![0.0; ladder.bounds.len()].into();
        Self { ladder, counts, sum: 0.0, exemplars: Box::default() }
    }

    fn observe(
        &mut self,
        value: f64,
        weight: f64,
        trace: Option<TraceId>,
        at: Timestamp,
    ) -> Result<(), FaultKind> {
        self.sum = sum(self.sum, value * weight)?;
        let bucket = self.ladder.bounds.iter().position(|&b| value <= b).unwrap_or(self.counts.len() - 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += weight;
        }
        if let Some(trace) = trace {
            if self.exemplars.is_empty() {
                self.exemplars = vec![None; self.counts.len()].into();
            }
            if let Some(slot) = self.exemplars.get_mut(bucket) {
                *slot = Some(Exemplar { trace, value, at });
            }
        }
        Ok(())
    }
}

/// What two numbers add up to, if that is a number: one infinite sum would spoil its series for good.
fn sum(a: f64, b: f64) -> Result<f64, FaultKind> {
    Some(a + b).filter(|sum| sum.is_finite()).ok_or(FaultKind::NotFinite)
}

/// Quantiles that somebody else computed.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub quantiles: Vec<(f64, f64)>,
    pub sum: Option<f64>,
    pub count: Option<f64>,
}

/// Distinct members in a window, bounded; the gauge shows the last full window.
#[derive(Debug, Default)]
pub(super) struct Members {
    seen: HashSet<u64>,
    shown: f64,
    dirty: bool,
}

/// More members than this in one window are not told apart.
const MEMBERS: usize = 65_536;

/// What a series holds.
#[derive(Debug)]
pub(super) enum Value {
    Number(f64),
    Histogram(Box<Histogram>),
    Summary(Box<Summary>),
    Members(Box<Members>),
}

/// One series of a family.
#[derive(Debug)]
pub(super) struct Series {
    /// As written between the braces, escaped: `pipeline="decoder",stage="classify"`.
    pub labels: Box<str>,
    pub value: Value,
    /// The steady second in which it last changed; 0 if it never did.
    pub touched: u32,
    /// Seconds it may stay silent, if it has a limit of its own; 0 for the family's.
    pub ttl: u32,
    /// When it came into being, seconds since the epoch by the wall clock.
    pub born: u32,
    /// Who changed it last.
    pub source: u32,
    /// The pass of that source in which it did.
    pub pass: u32,
    /// Whether it mirrors a series that somebody else keeps.
    pub foreign: bool,
}

impl Series {
    /// A series at zero.
    pub(super) fn new(labels: Box<str>, ladder: Option<&Arc<Ladder>>) -> Self {
        let value = match ladder {
            Some(ladder) => Value::Histogram(Box::new(Histogram::new(ladder.clone()))),
            None => Value::Number(0.0),
        };
        Self { labels, value, touched: 0, ttl: 0, born: 0, source: 0, pass: 0, foreign: false }
    }

    /// Whether the configuration brought it into being, and no event came yet.
    pub(super) fn awaited(&self) -> bool {
        self.touched == 0 && self.source == u32::MAX
    }

    /// The number it holds, if it holds one.
    pub(super) fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(v) => Some(*v),
            Value::Members(m) => Some(m.shown),
            Value::Histogram(_) | Value::Summary(_) => None,
        }
    }

    /// Applies a change. A change that does not fit the series' type does nothing: types are
    /// settled when a key is spelled out. An error is what no number can hold; it changed nothing.
    ///
    /// `ladder` is the family's last ladder, shared by the mirrored histograms that have its bounds.
    pub(super) fn change(
        &mut self,
        change: &Change<'_>,
        trace: Option<TraceId>,
        at: Timestamp,
        ladder: &mut Option<Arc<Ladder>>,
    ) -> Result<(), FaultKind> {
        match (&mut self.value, change) {
            (Value::Number(v), Change::Add(by) | Change::Shift(by)) => *v = sum(*v, *by)?,
            (Value::Number(v), Change::Set(to)) => *v = *to,
            (Value::Number(v), Change::Reads(to)) => {
                *v = *to;
                self.foreign = true;
            }
            (Value::Histogram(h), Change::Observe { value, weight }) => {
                return h.observe(*value, *weight, trace, at);
            }
            (Value::Members(m), Change::Member(hash)) => m.insert(*hash),
            (kept @ Value::Number(_), Change::Member(hash)) => {
                let mut members = Members::default();
                members.insert(*hash);
                *kept = Value::Members(Box::new(members));
            }
            (kept, Change::Buckets { buckets, sum }) => {
                self.foreign = true;
                mirror_histogram(kept, ladder, buckets, sum.unwrap_or(f64::NAN));
            }
            (kept, Change::Quantiles { quantiles, sum, count }) => {
                self.foreign = true;
                *kept = Value::Summary(Box::new(Summary {
                    quantiles: quantiles.to_vec(),
                    sum: *sum,
                    count: *count,
                }));
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends a window of a set: what it saw is shown until the next one ends.
    pub(super) fn roll(&mut self) {
        if let Value::Members(m) = &mut self.value {
            m.roll();
        }
    }
}

impl Members {
    fn insert(&mut self, hash: u64) {
        if self.seen.len() < MEMBERS {
            self.seen.insert(hash);
        }
        // The very first window is shown as it grows, so that a short run is seen at all.
        if !self.dirty {
            self.shown = self.seen.len() as f64;
        }
    }

    fn roll(&mut self) {
        self.shown = self.seen.len() as f64;
        self.dirty = true;
        self.seen.clear();
    }
}

/// Makes `kept` read what somebody else's histogram reads. A sum of NaN means that there is none.
fn mirror_histogram(kept: &mut Value, ladder: &mut Option<Arc<Ladder>>, buckets: &[(f64, f64)], sum: f64) {
    let fits = |l: &Ladder| l.bounds.iter().copied().eq(buckets.iter().map(|b| b.0));
    if !matches!(kept, Value::Histogram(h) if fits(&h.ladder)) {
        let shared = match ladder {
            Some(l) if fits(l) => l.clone(),
            _ => Ladder::new(&buckets.iter().map(|b| b.0).collect::<Vec<_>>()),
        };
        *ladder = Some(shared.clone());
        *kept = Value::Histogram(Box::new(Histogram::new(shared)));
    }
    if let Value::Histogram(h) = kept {
        let mut below = 0.0;
        for (count, (_, cumulative)) in h.counts.iter_mut().zip(buckets) {
            *count = (cumulative - below).max(0.0);
            below = *cumulative;
        }
        h.sum = sum;
    }
}
