//! Metrics that are not in the built-in catalogue: declared by a user, or by the line that names them.

use std::sync::Arc;

use super::{FaultKind, Timestamp, TraceId};

/// What an exposition calls the type of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows; ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Quantiles that another program computed.
    Summary,
    /// Facts in labels, always 1.
    Info,
    /// One of several states.
    StateSet,
    /// A histogram of what is there now.
    GaugeHistogram,
    /// Nobody said.
    #[default]
    Unknown,
}

/// One change of one series of a metric that users name.
///
/// A line that was seen before must find its series by one hash of its bytes. So the event
/// carries those bytes as `key`, and only for a key that is new is `spelling` asked for the
/// name and labels.
#[derive(Clone, Copy)]
pub struct Observation<'a> {
    /// Bytes that always mean the same series of the same source.
    pub key: &'a [u8],
    /// Says what the key means.
    pub spelling: &'a dyn Spell,
    /// What changes.
    pub change: Change<'a>,
    /// The trace it belongs to.
    pub trace: Option<TraceId>,
}

impl std::fmt::Debug for Observation<'_> {
    /// As a golden file wants it: the series spelled out, then the change.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut spelled = Spelled::default();
        match self.spelling.spell(&mut spelled) {
            Ok(()) => write!(f, "Observation({spelled:?}, {:?})", self.change),
            Err(kind) => write!(f, "Observation({kind:?}, {:?})", self.change),
        }
    }
}

/// Spells a key out as name and labels. Called once for a key that is new.
pub trait Spell {
    /// Fills `out`, which is empty.
    ///
    /// # Errors
    /// What is wrong with the key, if it names no series.
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind>;
}

/// Labels of one series, in whatever format they come; a series with more is refused.
pub const LABELS: usize = 64;
/// Bytes of a series' labels, as they are written in a scrape; a series with more is refused.
pub const LABEL_SET_BYTES: usize = 4_096;

/// A series, spelled out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spelled {
    /// The family's name as exposed, without `_total`.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// The sender did not say a type: `kind` is a guess, for a metric that nobody declared.
    pub guessed: bool,
    /// Its help, if given.
    pub help: String,
    /// Its unit, if given; the name then ends in it.
    pub unit: String,
    /// Label names and values, in any order, each name once.
    pub labels: Vec<(String, String)>,
    /// Upper bounds of a histogram's buckets without the infinite one; the default ladder if `None`.
    pub bounds: Option<Arc<[f64]>>,
    /// Seconds after which the silent series leaves, whatever its type; 0 for the usual life.
    pub ttl: u32,
}

impl Spelled {
    /// Empties it, keeping its buffers.
    pub fn clear(&mut self) {
        self.name.clear();
        self.help.clear();
        self.unit.clear();
        self.labels.clear();
        (self.kind, self.guessed, self.bounds, self.ttl) = (Kind::Unknown, false, None, 0);
    }

    /// Itself, to be used again, without buffers that one long line left behind.
    #[must_use]
    pub fn spare(self) -> Self {
        let bytes = self.name.capacity() + self.help.capacity() + self.unit.capacity();
        let values = self.labels.iter().map(|(name, value)| name.capacity() + value.capacity());
        if bytes + values.sum::<usize>() > 4 * LABEL_SET_BYTES { Self::default() } else { self }
    }
}

/// How a series changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change<'a> {
    /// What one value means to a series of its type: a counter grows by it, a gauge becomes it, a
    /// histogram sees it.
    Takes(f64),
    /// A counter grows by this.
    Add(f64),
    /// A gauge becomes this.
    Set(f64),
    /// A gauge becomes this moment, in seconds since the epoch by the wall clock as it is set when it is read.
    Moment(Timestamp),
    /// A gauge moves by this.
    Shift(f64),
    /// A histogram sees `value`, standing for `weight` observations.
    Observe {
        /// The observed value.
        value: f64,
        /// How many observations it stands for: 1 / sample rate.
        weight: f64,
    },
    /// A set sees a member with this hash; the gauge is the number of members in a window.
    Member(u64),
    /// A counter, gauge, info, state or unknown of another program now reads this.
    Reads(f64),
    /// A histogram of another program now reads this.
    Buckets {
        /// Upper bounds, the last of them infinite, and cumulative counts.
        buckets: &'a [(f64, f64)],
        /// Sum of observed values, if exposed.
        sum: Option<f64>,
    },
    /// A histogram grows by this.
    AddBuckets {
        /// Upper bounds, the last of them infinite, and what each bucket grows by: not cumulative.
        buckets: &'a [(f64, f64)],
        /// What the sum of observed values grows by, if it is known.
        sum: Option<f64>,
        /// One of the observed values, which belongs to the trace of the observation.
        exemplar: Option<f64>,
    },
    /// A summary of another program now reads this.
    Quantiles {
        /// Quantiles and their values.
        quantiles: &'a [(f64, f64)],
        /// Sum of observed values, if exposed.
        sum: Option<f64>,
        /// Number of observed values, if exposed.
        count: Option<f64>,
    },
}
