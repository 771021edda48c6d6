//! One series: its labels as written, its value, what it costs, and what is needed to forget it in time.

use std::collections::HashSet;
use std::sync::Arc;

use super::number;
use crate::event::{Change, FaultKind, SourceId, Timestamp, TraceId};

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

    /// Bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        Self::bytes_of(self.bounds.len())
    }

    /// Bytes that so many bounds and their labels take.
    fn bytes_of(bounds: usize) -> usize {
        bounds * (size_of::<f64>() + size_of::<Box<str>>() + 32)
    }
}

/// An exemplar: an observation with the trace it belongs to.
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

/// Bytes of an exemplar: in memory, and as text.
const EXEMPLAR: usize = size_of::<Option<Exemplar>>() + 80;

impl Histogram {
    fn new(ladder: Arc<Ladder>) -> Self {
        let counts = vec![0.0; ladder.bounds.len()].into();
        Self { ladder, counts, sum: 0.0, exemplars: Box::default() }
    }

    /// Counts an observation. Says whether that took memory, of which there is so much.
    fn observe(
        &mut self,
        value: f64,
        weight: f64,
        trace: Option<TraceId>,
        at: Timestamp,
        room: usize,
    ) -> Result<bool, FaultKind> {
        self.sum = sum(self.sum, value * weight)?;
        let bucket = self.ladder.bounds.iter().position(|&b| value <= b).unwrap_or(self.counts.len() - 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += weight;
        }
        let Some(trace) = trace else { return Ok(false) };
        Ok(self.mark(bucket, Exemplar { trace, value, at }, room))
    }

    /// Keeps the exemplar of a bucket. Says whether that took memory, of which there is so much.
    fn mark(&mut self, bucket: usize, exemplar: Exemplar, room: usize) -> bool {
        // Without room for exemplars there are none; the count is what matters.
        let grows = self.exemplars.is_empty() && self.counts.len() * EXEMPLAR <= room;
        if grows {
            self.exemplars = vec![None; self.counts.len()].into();
        }
        if let Some(slot) = self.exemplars.get_mut(bucket) {
            *slot = Some(exemplar);
        }
        grows
    }

    /// Takes the bounds of what is added, as long as nothing was counted. Says whether they are others now.
    ///
    /// # Errors
    /// Other bounds than those of what was counted, or no room for them.
    fn take_ladder(
        &mut self,
        buckets: &[(f64, f64)],
        shared: &mut Option<Arc<Ladder>>,
        room: usize,
    ) -> Result<bool, FaultKind> {
        let fits = |l: &Ladder| l.bounds.iter().copied().eq(buckets.iter().map(|b| b.0));
        if fits(&self.ladder) {
            return Ok(false);
        }
        if self.counts.iter().any(|count| *count > 0.0) {
            return Err(FaultKind::Conflict);
        }
        if Ladder::bytes_of(buckets.len()) > room {
            return Err(FaultKind::Limit);
        }
        let ladder = match shared {
            Some(ladder) if fits(ladder) => ladder.clone(),
            _ => Ladder::new(&buckets.iter().map(|b| b.0).collect::<Vec<_>>()),
        };
        *self = Self { sum: self.sum, ..Self::new(ladder) };
        Ok(true)
    }

    /// Grows by the counts of buckets that are its own. Says whether that took memory, of which there is so much.
    fn add(
        &mut self,
        buckets: &[(f64, f64)],
        more: Option<f64>,
        exemplar: Option<(f64, TraceId)>,
        at: Timestamp,
        room: usize,
    ) -> Result<bool, FaultKind> {
        // Where one sum is not known, none is any more.
        self.sum = match more {
            Some(more) if !self.sum.is_nan() => sum(self.sum, more)?,
            _ => f64::NAN,
        };
        for (count, (_, more)) in self.counts.iter_mut().zip(buckets) {
            *count += more;
        }
        let Some((value, trace)) = exemplar else { return Ok(false) };
        let bucket = self.ladder.bounds.iter().position(|&b| value <= b).unwrap_or(self.counts.len() - 1);
        Ok(self.mark(bucket, Exemplar { trace, value, at }, room))
    }
}

/// What two numbers add up to, if that is a number: one infinite sum would spoil its series for good.
fn sum(a: f64, b: f64) -> Result<f64, FaultKind> {
    Some(a + b).filter(|sum| sum.is_finite()).ok_or(FaultKind::NotFinite)
}

/// Quantiles that another program computed.
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

/// More members than this in one window are not distinguished.
const MEMBERS: usize = 65_536;

/// Bytes of a set with room for so many members.
fn bytes_of_members(capacity: usize) -> usize {
    // A table is full at seven eighths, and each place has a byte of its own.
    capacity * 8 / 7 * (size_of::<u64>() + 1)
}

/// What a series holds.
#[derive(Debug)]
pub(super) enum Value {
    Number(f64),
    Moment(Timestamp),
    Histogram(Box<Histogram>),
    Summary(Box<Summary>),
    Members(Box<Members>),
}

impl Value {
    /// Bytes behind it, and the lines it has in a scrape.
    fn bytes(&self) -> (usize, usize) {
        match self {
            Self::Number(_) | Self::Moment(_) => (0, 1),
            Self::Histogram(h) => {
                let shared = Arc::strong_count(&h.ladder) > 2;
                let ladder = if shared { 0 } else { Ladder::bytes_of(h.counts.len()) };
                let own = size_of::<Histogram>() + h.counts.len() * size_of::<f64>();
                (own + ladder + h.exemplars.len() * EXEMPLAR, h.counts.len() + 2)
            }
            Self::Summary(s) => {
                (size_of::<Summary>() + s.quantiles.len() * size_of::<(f64, f64)>(), s.quantiles.len() + 2)
            }
            Self::Members(m) => (size_of::<Members>() + bytes_of_members(m.seen.capacity()), 1),
        }
    }
}

/// What a series takes beside its labels and its value: its place, and that in the two indexes.
const PLACE: usize = size_of::<Option<Series>>() + 2 * size_of::<u32>() + 32;
/// What a line of a scrape has beside name and labels: braces, a bound, the number.
const LINE: usize = 32;

/// Bytes of a series with these lines, labels and name: in memory, and of its text in a scrape, which repeats its
/// labels in each line.
fn bytes_of(value: (usize, usize), labels: usize, name: usize) -> usize {
    PLACE + labels + value.0 + value.1 * (name + labels + LINE)
}

/// Bytes of a series at zero whose ladder is its family's.
pub(super) fn zero_bytes(ladder: Option<&Ladder>, labels: usize, name: usize) -> usize {
    let value = ladder.map_or((0, 1), |ladder| {
        let bounds = ladder.bounds.len();
        (size_of::<Histogram>() + bounds * size_of::<f64>(), bounds + 2)
    });
    bytes_of(value, labels, name)
}

/// Whether a change may make a series larger.
pub(super) fn grows(change: &Change<'_>, trace: Option<TraceId>) -> bool {
    let may = matches!(
        change,
        Change::Member(_) | Change::Buckets { .. } | Change::AddBuckets { .. } | Change::Quantiles { .. }
    );
    trace.is_some() || may
}

/// Bytes that the first change of a series takes beyond those of a series at zero.
pub(super) fn first_bytes(change: &Change<'_>, labels: usize, name: usize) -> usize {
    match change {
        Change::Buckets { buckets, .. } | Change::AddBuckets { buckets, .. } => {
            let counts = size_of::<Histogram>() + buckets.len() * size_of::<f64>();
            counts + Ladder::bytes_of(buckets.len()) + (buckets.len() + 2) * (name + labels + LINE)
        }
        Change::Quantiles { quantiles, .. } => {
            let own = size_of::<Summary>() + size_of_val(*quantiles);
            own + (quantiles.len() + 2) * (name + labels + LINE)
        }
        Change::Member(_) => size_of::<Members>() + bytes_of_members(8),
        _ => 0,
    }
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
    /// Who created it: its bytes are of that one's share.
    pub owner: u32,
    /// Bytes that were counted for it.
    pub held: usize,
    /// No other series ever has this number: who remembers it knows a place that was given to another one.
    pub life: u32,
    /// The pass of that source in which it did.
    pub poll: u32,
    /// Whether it mirrors a series of another program.
    pub foreign: bool,
}

impl Series {
    /// A series at zero.
    pub(super) fn new(labels: Box<str>, ladder: Option<&Arc<Ladder>>) -> Self {
        let value = match ladder {
            Some(ladder) => Value::Histogram(Box::new(Histogram::new(ladder.clone()))),
            None => Value::Number(0.0),
        };
        let (source, owner) = (0, u32::MAX);
        Self {
            labels,
            value,
            touched: 0,
            ttl: 0,
            born: 0,
            source,
            owner,
            held: 0,
            life: 0,
            poll: 0,
            foreign: false,
        }
    }

    /// Bytes it takes now under a name of so many bytes.
    pub(super) fn bytes(&self, name: usize) -> usize {
        bytes_of(self.value.bytes(), self.labels.len(), name)
    }

    /// Whether the configuration created it, and no event came yet.
    pub(super) fn awaited(&self) -> bool {
        self.touched == 0 && SourceId(self.source) == SourceId::AGENT
    }

    /// The number it holds, if it holds one; a moment by the wall clock of then.
    pub(super) fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(v) => Some(*v),
            Value::Moment(at) => Some(at.wall_seconds()),
            Value::Members(m) => Some(m.shown),
            Value::Histogram(_) | Value::Summary(_) => None,
        }
    }

    /// Applies a change. A change that does not fit the series' type does nothing: types are
    /// settled when a key is spelled out. An error is what no number can hold, or what there is no `room` for, in
    /// bytes; it changed nothing. Says whether it may be larger or smaller now.
    ///
    /// `ladder` is the family's last ladder, shared by the mirrored histograms that have its bounds.
    pub(super) fn change(
        &mut self,
        change: &Change<'_>,
        trace: Option<TraceId>,
        at: Timestamp,
        ladder: &mut Option<Arc<Ladder>>,
        room: usize,
    ) -> Result<bool, FaultKind> {
        match (&mut self.value, change) {
            (Value::Number(v), Change::Add(by) | Change::Shift(by)) => *v = sum(*v, *by)?,
            (Value::Number(v), Change::Set(to)) => *v = *to,
            (kept @ (Value::Number(_) | Value::Moment(_)), Change::Moment(at)) => *kept = Value::Moment(*at),
            (Value::Number(v), Change::Reads(to)) => {
                *v = *to;
                self.foreign = true;
            }
            (Value::Histogram(h), Change::Observe { value, weight }) => {
                return h.observe(*value, *weight, trace, at, room);
            }
            (Value::Members(m), Change::Member(hash)) => return m.insert(*hash, room),
            (kept @ Value::Number(_), Change::Member(hash)) => {
                let mut members = Members::default();
                members.insert(*hash, room)?;
                *kept = Value::Members(Box::new(members));
                return Ok(true);
            }
            (Value::Histogram(h), Change::AddBuckets { buckets, sum, exemplar }) => {
                let others = h.take_ladder(buckets, ladder, room)?;
                let marked = h.add(buckets, *sum, exemplar.zip(trace), at, room)?;
                return Ok(others || marked);
            }
            (kept, Change::Buckets { buckets, sum }) => {
                let fits = matches!(kept, Value::Histogram(h) if h.counts.len() >= buckets.len());
                if !fits && first_bytes(change, self.labels.len(), 0) > room {
                    return Err(FaultKind::Limit);
                }
                self.foreign = true;
                return Ok(mirror_histogram(kept, ladder, buckets, sum.unwrap_or(f64::NAN)));
            }
            (kept, Change::Quantiles { quantiles, sum, count }) => {
                let known = if let Value::Summary(s) = kept { s.quantiles.len() } else { 0 };
                if quantiles.len() > known && first_bytes(change, self.labels.len(), 0) > room {
                    return Err(FaultKind::Limit);
                }
                self.foreign = true;
                *kept = Value::Summary(Box::new(Summary {
                    quantiles: quantiles.to_vec(),
                    sum: *sum,
                    count: *count,
                }));
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    /// Ends a window of a set: what it saw is shown until the next one ends. Says whether it is smaller now.
    pub(super) fn roll(&mut self) -> bool {
        if let Value::Members(m) = &mut self.value { m.roll() } else { false }
    }
}

impl Members {
    fn insert(&mut self, hash: u64, room: usize) -> Result<bool, FaultKind> {
        let (members, capacity) = (self.seen.len(), self.seen.capacity());
        let full = members == capacity && members < MEMBERS && !self.seen.contains(&hash);
        if full && bytes_of_members(capacity.max(4)) > room {
            return Err(FaultKind::Limit);
        }
        if members < MEMBERS {
            self.seen.insert(hash);
        }
        // The very first window is shown as it grows, so that a short run is seen at all.
        if !self.dirty {
            self.shown = self.seen.len() as f64;
        }
        Ok(self.seen.capacity() != capacity)
    }

    fn roll(&mut self) -> bool {
        let (members, capacity) = (self.seen.len(), self.seen.capacity());
        self.shown = members as f64;
        self.dirty = true;
        self.seen.clear();
        // The next window is most likely as this one was.
        if capacity > (8 * members).max(64) {
            self.seen.shrink_to(2 * members);
        }
        self.seen.capacity() != capacity
    }
}

/// Makes `kept` read what the histogram of another program reads. A sum of NaN means that there is none. Says whether
/// its buckets are others now.
fn mirror_histogram(
    kept: &mut Value,
    ladder: &mut Option<Arc<Ladder>>,
    buckets: &[(f64, f64)],
    sum: f64,
) -> bool {
    let fits = |l: &Ladder| l.bounds.iter().copied().eq(buckets.iter().map(|b| b.0));
    let anew = !matches!(kept, Value::Histogram(h) if fits(&h.ladder));
    if anew {
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
    anew
}
