//! Who holds how much: series, families and bytes, in all and by source. The one place where they are counted, and where
//! it is decided whether there is room for one more.
//!
//! A source may have as long as it has less than three times what is left, so that something is left for who comes next,
//! however many want everything. What the catalogue says of sources is never refused, and what it says of devices and the
//! machine is not refused for what senders made up.

use super::Limits;
use crate::catalog::Metric;
use crate::event::Labels;

/// What a series is refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitClass {
    /// Nothing: the health of sources, whose number the configuration bounds.
    Health,
    /// The limits of its family and its source, and memory: what the agent measures itself.
    Measured,
    /// Everything: what senders name.
    Named,
}

impl LimitClass {
    pub(super) fn of(metric: &Metric) -> Self {
        let all = |of: fn(Labels) -> bool| {
            !metric.on.is_empty() && metric.on.iter().all(|topic| of(topic.labels()))
        };
        if all(|labels| labels == Labels::Configured) {
            Self::Health
        } else if all(|labels| labels != Labels::Named) {
            Self::Measured
        } else {
            Self::Named
        }
    }
}

/// What is held.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    /// Series in all.
    series: usize,
    /// Of these, what senders named.
    named: usize,
    /// Families that senders named.
    families: usize,
    /// Bytes of series and families.
    bytes: usize,
    shares: Vec<Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// The source that found this one, or itself: families and bytes are of its share.
    group: u32,
    series: usize,
    families: usize,
    bytes: usize,
}

impl Occupancy {
    /// A source is new; `group` is the source that found it, if one did.
    pub(super) fn add(&mut self, group: Option<u32>) {
        let own = u32::try_from(self.shares.len()).unwrap_or(u32::MAX);
        self.shares.push(Share { group: group.unwrap_or(own), ..Share::default() });
    }

    /// Series in all.
    pub(super) fn series(&self) -> usize {
        self.series
    }

    /// Bytes of series and families.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whose share a source has.
    pub(super) fn group(&self, source: u32) -> u32 {
        self.shares.get(source as usize).map_or(source, |share| share.group)
    }

    /// Whether a source may have one more series of so many bytes; what its family has to say is asked elsewhere.
    pub(super) fn has_series(&self, limits: &Limits, class: LimitClass, source: u32, bytes: usize) -> bool {
        let held = self.shares.get(source as usize).map_or(0, |share| share.series);
        let full = match class {
            LimitClass::Health => return true,
            LimitClass::Measured => self.series - self.named >= limits.series,
            LimitClass::Named => !is_fair(held, limits.series.saturating_sub(self.series)),
        };
        !full && held < limits.series_per_source && bytes <= self.left(limits, class, source)
    }

    /// Whether a source may create one more family of so many bytes, with its first series.
    pub(super) fn has_family(&self, limits: &Limits, source: u32, bytes: usize) -> bool {
        let held = self.share(source).families;
        let left = limits.families.saturating_sub(self.families);
        is_fair(held, left) && self.has_series(limits, LimitClass::Named, source, bytes)
    }

    /// Bytes that a source may take now.
    pub(super) fn left(&self, limits: &Limits, class: LimitClass, source: u32) -> usize {
        // A quarter is for keys, and an eighth for what is measured alone.
        let most = match class {
            LimitClass::Health => return usize::MAX,
            LimitClass::Measured => limits.memory / 4 * 3,
            LimitClass::Named => limits.memory / 8 * 5,
        };
        let left = most.saturating_sub(self.bytes);
        if is_fair(self.share(source).bytes, left) { left } else { 0 }
    }

    pub(super) fn take_series(&mut self, class: LimitClass, source: u32, bytes: usize) {
        self.series += 1;
        self.named += usize::from(class == LimitClass::Named);
        if let Some(share) = self.shares.get_mut(source as usize) {
            share.series += 1;
        }
        self.resize(source, 0, bytes);
    }

    pub(super) fn give_series(&mut self, class: LimitClass, source: u32, bytes: usize) {
        self.series = self.series.saturating_sub(1);
        self.named = self.named.saturating_sub(usize::from(class == LimitClass::Named));
        if let Some(share) = self.shares.get_mut(source as usize) {
            share.series = share.series.saturating_sub(1);
        }
        self.resize(source, bytes, 0);
    }

    pub(super) fn take_family(&mut self, source: u32, bytes: usize) {
        self.families += 1;
        if let Some(share) = self.shared(source) {
            share.families += 1;
        }
        self.resize(source, 0, bytes);
    }

    pub(super) fn give_family(&mut self, source: u32, bytes: usize) {
        self.families = self.families.saturating_sub(1);
        if let Some(share) = self.shared(source) {
            share.families = share.families.saturating_sub(1);
        }
        self.resize(source, bytes, 0);
    }

    /// What a source holds has another size now.
    pub(super) fn resize(&mut self, source: u32, from: usize, to: usize) {
        self.bytes = (self.bytes + to).saturating_sub(from);
        if let Some(share) = self.shared(source) {
            share.bytes = (share.bytes + to).saturating_sub(from);
        }
    }

    fn share(&self, source: u32) -> Share {
        self.shares.get(self.group(source) as usize).copied().unwrap_or_default()
    }

    fn shared(&mut self, source: u32) -> Option<&mut Share> {
        let group = self.group(source);
        self.shares.get_mut(group as usize)
    }
}

/// Whether who holds so much may have more, of which so much is left.
pub(super) fn is_fair(held: usize, left: usize) -> bool {
    held < left.saturating_mul(3)
}
