//! The point of one time, of what its series had then.

use super::member::{Member, Role, Shape};
use super::{Export, Group, text};
use crate::promql::{Exemplar, is_stale};
use crate::protobuf::{bytes, fixed64, message, number};

/// A point whose series has ended: `DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
const NO_VALUE: u64 = 1;
/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// What the series of a point had at its time.
#[derive(Debug, Default)]
struct Parts {
    buckets: Vec<(f64, f64)>,
    quantiles: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
    /// Whether one of them ended.
    ended: bool,
}

impl Parts {
    fn add(&mut self, role: Role, value: f64) {
        match role {
            _ if is_stale(value) => self.ended = true,
            Role::Bucket(bound) => self.buckets.push((bound, value)),
            Role::Quantile(bound) => self.quantiles.push((bound, value)),
            Role::Count => self.count = Some(value),
            Role::Sum => self.sum = Some(value),
            Role::Value | Role::Created => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.quantiles.is_empty() && self.count.is_none() && self.sum.is_none()
    }

    /// The fields of a histogram's point; nothing if they contradict each other.
    fn histogram(mut self) -> Option<Vec<u8>> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, self.count?));
        }
        let (mut counts, mut bounds, mut below) = (Vec::new(), Vec::new(), 0);
        let mut before = f64::NEG_INFINITY;
        for (bound, value) in self.buckets {
            let all = whole(value)?;
            if bound <= before {
                return None;
            }
            counts.extend_from_slice(&all.checked_sub(below)?.to_le_bytes());
            if bound != f64::INFINITY {
                bounds.extend_from_slice(&bound.to_le_bytes());
            }
            (before, below) = (bound, all);
        }
        let mut out = Vec::new();
        fixed64(4, below, &mut out);
        self.sum.into_iter().for_each(|sum| fixed64(5, sum.to_bits(), &mut out));
        bytes(6, &counts, &mut out);
        bytes(7, &bounds, &mut out);
        Some(out)
    }

    /// The fields of a summary's point; nothing without a count.
    fn summary(mut self) -> Option<Vec<u8>> {
        self.quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut out = Vec::new();
        fixed64(4, whole(self.count?)?, &mut out);
        fixed64(5, self.sum?.to_bits(), &mut out);
        for (quantile, value) in self.quantiles {
            message(6, &mut out, |out| {
                fixed64(1, quantile.to_bits(), out);
                fixed64(2, value.to_bits(), out);
            });
        }
        Some(out)
    }
}

/// A count, if it is one.
fn whole(value: f64) -> Option<u64> {
    ((0.0..=9e15).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

impl Group<'_> {
    /// Writes the point of this time.
    pub(super) fn point(&mut self, t: i64, out: &mut Vec<u8>, export: &mut Export) {
        let mut parts = Parts::default();
        let (mut values, mut created) = (Vec::new(), None);
        for member in &mut self.members {
            let Some(value) = member.take(t) else { continue };
            export.samples += 1;
            match member.role {
                Role::Created => created = milliseconds(value),
                Role::Value => values.push(value),
                role => parts.add(role, value),
            }
        }
        let Some(head) = self.members.first().copied() else { return };
        let began = self.members.iter().find_map(|member| member.series.began).or(created);
        let began = began.filter(|began| *began <= t && head.shape != Shape::Gauge);
        for value in values {
            if is_stale(value) {
                ended(&head, t, out);
            } else {
                let exemplars = self.take_exemplars(t, export);
                begun(&head, (began, t), out, |out| {
                    fixed64(4, value.to_bits(), out);
                    exemplars.iter().for_each(|one| exemplar(5, one, out));
                });
            }
            export.points += 1;
        }
        if parts.is_empty() {
            if parts.ended {
                ended(&head, t, out);
                export.points += 1;
            }
            return;
        }
        let histogram = head.shape == Shape::Histogram;
        let Some(fields) = (if histogram { parts.histogram() } else { parts.summary() }) else {
            export.incomplete += 1;
            return;
        };
        // A summary has no room for exemplars.
        let exemplars = if histogram { self.take_exemplars(t, export) } else { Vec::new() };
        begun(&head, (began, t), out, |out| {
            out.extend_from_slice(&fields);
            exemplars.iter().for_each(|one| exemplar(8, one, out));
        });
        export.points += 1;
    }

    /// The exemplars that belong to a point with a value: those up to its time, and all that are left if none follows.
    fn take_exemplars(&mut self, t: i64, export: &mut Export) -> Vec<Exemplar> {
        if self.exemplars.is_empty() {
            return Vec::new();
        }
        let last = self.members.iter().all(|member| member.time().is_none());
        let mut taken = Vec::new();
        while let Some(one) = self.exemplars.pop_if(|one| last || one.t <= t) {
            taken.push(one.clone());
        }
        export.exemplars += taken.len() as u64;
        taken
    }
}

fn ended(head: &Member<'_>, t: i64, out: &mut Vec<u8>) {
    begun(head, (None, t), out, |out| number(head.shape.flags_field(), NO_VALUE, out));
}

/// A point with its attributes and times, and what `write` appends.
fn begun(
    head: &Member<'_>,
    (began, t): (Option<i64>, i64),
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    message(1, out, |out| {
        for (key, value) in head.attributes() {
            message(head.shape.attribute_field(), out, |out| text(key, value, out));
        }
        began.into_iter().for_each(|began| fixed64(2, nanoseconds(began), out));
        fixed64(3, nanoseconds(t), out);
        write(out);
    });
}

fn exemplar(field: u32, one: &Exemplar, out: &mut Vec<u8>) {
    message(field, out, |out| {
        fixed64(2, nanoseconds(one.t), out);
        fixed64(3, one.v.to_bits(), out);
        for (key, value) in &one.labels {
            let id = match key {
                "span_id" => id::<8>(value).map(|id| (4, id)),
                "trace_id" => id::<16>(value).map(|id| (5, id)),
                _ => None,
            };
            match id {
                Some((field, id)) => bytes(field, &id, out),
                None => message(7, out, |out| text(key, value, out)),
            }
        }
    });
}

/// The bytes of an id of so many, in hexadecimal.
fn id<const BYTES: usize>(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..BYTES).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

fn nanoseconds(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default().saturating_mul(MILLISECOND)
}

fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    (0.0..=9e15).contains(&ms).then_some(ms as i64)
}
