//! An alert on its way to receivers, as Alertmanager keeps it: with a time at which it is over unless it is posted again.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::event::Jump;
use crate::promql::Labels;

/// An alert as it was posted. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedAlert {
    /// What identifies it.
    pub labels: Labels,
    /// What people are told about it.
    pub annotations: Labels,
    /// Since when it fires.
    pub starts_at: i64,
    /// When it was over, or when it will be if it is not posted again.
    pub ends_at: i64,
    /// Where people see what it is about.
    pub link: Arc<str>,
    /// When it was last posted.
    pub updated_at: i64,
}

impl PostedAlert {
    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now: i64) -> bool {
        self.ends_at <= now
    }

    /// Alertmanager's name for it: 64 bits of FNV-1a over its labels.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.labels)
    }

    /// Bytes that it holds, about.
    pub(super) fn weight(&self) -> usize {
        self.labels.encoded().len() + self.annotations.encoded().len() + self.link.len() + 128
    }

    /// What is known of an alert that was known before, where the two overlap. Fact: `Merge` in Alertmanager's `alert/alert.go`, and
    /// `Put` in its `provider/mem`.
    pub(super) fn after(mut self, old: &Self) -> Self {
        let within = |at: i64| old.starts_at < at && at < old.ends_at;
        if !within(self.starts_at) && !within(self.ends_at) && self.starts_at != old.starts_at {
            return self;
        }
        self.starts_at = self.starts_at.min(old.starts_at);
        let (over, was_over) = (self.is_over(self.updated_at), old.is_over(self.updated_at));
        // Of two ends the later one is true; an end takes the place of what was only assumed.
        if over && was_over || !over && old.ends_at > self.ends_at {
            self.ends_at = self.ends_at.max(old.ends_at);
        }
        self
    }

    /// Moves its times: the clock was set.
    pub(super) fn shift(&mut self, jump: &Jump) {
        for at in [&mut self.starts_at, &mut self.ends_at, &mut self.updated_at] {
            jump.shift(at);
        }
    }
}

/// Fact: `LabelSet.Fingerprint` of `prometheus/common`.
pub(super) fn fingerprint(labels: &Labels) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for (name, value) in labels {
        for part in [name, value] {
            part.bytes().for_each(&mut add);
            add(255);
        }
    }
    hash
}

/// The order of alerts in a notification. Fact: `AlertSlice.Less` of Alertmanager, and `LabelSet.Before`.
pub(super) fn order(a: &PostedAlert, b: &PostedAlert) -> Ordering {
    for name in ["job", "instance"] {
        let (a, b) = (a.labels.get(name), b.labels.get(name));
        // A label that is not there comes last.
        let order = a.is_empty().cmp(&b.is_empty()).then_with(|| a.cmp(b));
        if order != Ordering::Equal {
            return order;
        }
    }
    let (many, few) = (a.labels.iter().count(), b.labels.iter().count());
    many.cmp(&few).then_with(|| {
        let pairs = a.labels.iter().zip(b.labels.iter());
        let differ = pairs.map(|((a, x), (b, y))| a.cmp(b).then_with(|| x.cmp(y)));
        differ.into_iter().find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::read_labels;

    fn posted(starts_at: i64, ends_at: i64, updated_at: i64) -> PostedAlert {
        let labels = read_labels(r#"{alertname="A"}"#).unwrap();
        PostedAlert { labels, annotations: Labels::empty(), starts_at, ends_at, link: "".into(), updated_at }
    }

    #[test]
    fn fingerprints_are_those_of_alertmanager() {
        // From a notification of Alertmanager 0.25.
        let labels = read_labels(r#"{alertname="NeuralDeviceSilent",device="a",priority="P0"}"#).unwrap();
        assert_eq!(fingerprint(&Labels::empty()), 0xcbf2_9ce4_8422_2325);
        assert_ne!(fingerprint(&labels), fingerprint(&labels.with(&[("device", "b")])));
    }

    #[test]
    fn an_alert_that_goes_on_keeps_its_beginning() {
        let merged = |new: PostedAlert, old: &PostedAlert| {
            let merged = new.after(old);
            (merged.starts_at, merged.ends_at)
        };
        let old = posted(100, 400, 160);
        // Evaluated by another, a little later; it is valid for as long as the longer of the two.
        assert_eq!(merged(posted(110, 420, 180), &old), (100, 420));
        assert_eq!(merged(posted(110, 390, 180), &old), (100, 400));
        // It is over, before the time that was assumed.
        assert_eq!(merged(posted(100, 200, 200), &old), (100, 200));
        assert_eq!(merged(posted(100, 190, 210), &posted(100, 200, 200)), (100, 200));
        // It fires again after it was over: another episode.
        assert_eq!(merged(posted(300, 600, 300), &posted(100, 200, 200)), (300, 600));
    }
}
