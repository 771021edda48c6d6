//! What a series is to the metric that it is a part of.

use std::cmp::Ordering;

use super::super::Series;
use super::text;
use crate::promql::NAME;
use crate::protobuf::message;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Gauge,
    /// A sum that only grows.
    Counter,
    /// A sum that falls as well: what the specification makes of facts and states.
    Sum,
    Histogram,
    Summary,
}

impl Shape {
    /// The field of a `Metric` that holds its points.
    pub(super) const fn field(self) -> u32 {
        match self {
            Self::Gauge => 5,
            Self::Counter | Self::Sum => 7,
            Self::Histogram => 9,
            Self::Summary => 11,
        }
    }

    /// The field of its points that holds an attribute.
    pub(super) const fn attribute_field(self) -> u32 {
        if matches!(self, Self::Histogram) { 9 } else { 7 }
    }

    /// The field of its points that holds flags.
    pub(super) const fn flags_field(self) -> u32 {
        if matches!(self, Self::Histogram) { 10 } else { 8 }
    }
}

/// Which part of a point a series has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// All of it.
    Value,
    /// How many were at most so large.
    Bucket(f64),
    Quantile(f64),
    Count,
    Sum,
    /// When it began to count, in seconds.
    Created,
}

impl Role {
    /// The label that says it, which is no attribute.
    const fn label(self) -> &'static str {
        match self {
            Self::Bucket(_) => "le",
            Self::Quantile(_) => "quantile",
            _ => NAME,
        }
    }
}

/// Whose the points are: the labels `job` and `instance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource<'s> {
    job: &'s str,
    instance: &'s str,
}

impl Resource<'_> {
    pub(super) fn write(self, out: &mut Vec<u8>) {
        // A job is a namespace and a name, as the way back makes it.
        let (namespace, name) = self.job.split_once('/').unwrap_or(("", self.job));
        let all = [
            ("service.namespace", namespace),
            ("service.name", name),
            ("service.instance.id", self.instance),
        ];
        for (key, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            message(1, out, |out| text(key, value, out));
        }
    }
}

/// A series, and what it is a part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'s> {
    pub(super) series: Series<'s>,
    /// The name without the end that its role has.
    base: &'s str,
    pub(super) shape: Shape,
    pub(super) role: Role,
    /// The first of its samples that is in no point.
    next: usize,
}

impl<'s> Member<'s> {
    pub(super) fn of(series: Series<'s>) -> Self {
        let name = label(&series, NAME);
        let bound = |of: &str| label(&series, of).parse::<f64>().ok().filter(|bound| !bound.is_nan());
        let end = |of: &str| name.strip_suffix(of);
        let kind = series.family.map_or("", |family| family.kind.as_str());
        let whole = |shape| (name, shape, Role::Value);
        let part = |shape| {
            let ends = [("_count", Role::Count), ("_sum", Role::Sum), ("_created", Role::Created)];
            ends.into_iter().find_map(|(of, role)| Some((end(of)?, shape, role)))
        };
        let found = match kind {
            "counter" => end("_created").map_or_else(
                || Some((end("_total").unwrap_or(name), Shape::Counter, Role::Value)),
                |base| Some((base, Shape::Counter, Role::Created)),
            ),
            "info" | "stateset" => Some(whole(Shape::Sum)),
            "histogram" => match (end("_bucket"), bound("le")) {
                (Some(base), Some(bound)) => Some((base, Shape::Histogram, Role::Bucket(bound))),
                _ => part(Shape::Histogram),
            },
            "summary" => match bound("quantile") {
                Some(bound) => Some((name, Shape::Summary, Role::Quantile(bound))),
                None => part(Shape::Summary),
            },
            _ => None,
        };
        let (base, shape, role) = found.unwrap_or_else(|| whole(Shape::Gauge));
        Self { series, base, shape, role, next: 0 }
    }

    /// The name of the metric.
    pub(super) fn metric(&self) -> &'s str {
        if self.role == Role::Value { label(&self.series, NAME) } else { self.base }
    }

    pub(super) fn resource(&self) -> Resource<'s> {
        Resource { job: label(&self.series, "job"), instance: label(&self.series, "instance") }
    }

    /// The labels that its points have.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'s str, &'s str)> + use<'s> {
        let own = self.role.label();
        let all = self.series.labels.iter().map(|(name, value)| (&**name, &**value));
        all.filter(move |(name, _)| ![NAME, "job", "instance", own].contains(name))
    }

    /// Members of one metric are equal.
    pub(super) fn metric_order(&self, other: &Self) -> Ordering {
        (self.resource(), self.base, self.shape).cmp(&(other.resource(), other.base, other.shape))
    }

    /// Members of one point are equal.
    pub(super) fn key_order(&self, other: &Self) -> Ordering {
        self.metric_order(other).then_with(|| self.attributes().cmp(other.attributes()))
    }

    /// Of those of one point, the one that has its name is the first.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let last = |member: &Self| member.role == Role::Created;
        self.key_order(other).then_with(|| last(self).cmp(&last(other)))
    }

    /// The time of its next sample.
    pub(super) fn time(&self) -> Option<i64> {
        self.series.samples.get(self.next).map(|sample| sample.t)
    }

    /// Its sample of this time, if it has one.
    pub(super) fn take(&mut self, t: i64) -> Option<f64> {
        let sample = self.series.samples.get(self.next).filter(|sample| sample.t == t)?;
        self.next += 1;
        Some(sample.v)
    }
}

/// The value of a label; empty if it is not there.
fn label<'s>(series: &Series<'s>, name: &str) -> &'s str {
    series.labels.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}
