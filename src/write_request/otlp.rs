//! Bodies of OTLP, `ExportMetricsServiceRequest`: the series of one histogram or summary become its points again. It sends nothing and reads
//! no clock.
//!
//! Facts: opentelemetry-proto 1.9, `metrics.proto`, and "Prometheus and OpenMetrics compatibility" of OpenTelemetry's specification. Names stay
//! as they are, as the collector's receiver for Prometheus leaves them.

mod member;
mod point;

use super::Series;
use crate::decode::otlp::ucum;
use crate::promql::Exemplar;
use crate::protobuf::{bytes, message, number};
use member::{Member, Resource, Role, Shape};

/// What sends, as OpenTelemetry calls it.
const SCOPE: &str = "neural-exporter";
/// Where a metric keeps its type in Prometheus' words.
const TYPE: &str = "prometheus.type";
/// A sum that counts from its start: `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// A request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// Its body.
    pub body: Vec<u8>,
    /// The samples that are in it, or in what is incomplete.
    pub samples: u64,
    /// The points that it has.
    pub points: u64,
    /// The exemplars that it has.
    pub exemplars: u64,
    /// Points that could not be assembled: a part is missing or contradicts another.
    pub incomplete: u64,
    /// Exemplars that no point with a value has.
    pub homeless: u64,
}

/// What one point after the other is made of: the series of one set of attributes.
#[derive(Debug)]
struct Group<'s> {
    members: Vec<Member<'s>>,
    /// Those that are not written yet, the latest first.
    exemplars: Vec<&'s Exemplar>,
}

impl<'s> Group<'s> {
    fn of(members: &[Member<'s>]) -> Self {
        let mut exemplars: Vec<&Exemplar> = members.iter().flat_map(|one| one.series.exemplars).collect();
        exemplars.sort_by_key(|exemplar| std::cmp::Reverse(exemplar.t));
        Self { members: members.to_vec(), exemplars }
    }

    /// What all of them have in common.
    fn head(&self) -> Option<Member<'s>> {
        self.members.first().copied()
    }
}

/// Requests with all points of some series.
#[derive(Debug)]
pub struct Exports<'s> {
    /// The first is under way.
    groups: std::iter::Peekable<std::vec::IntoIter<Group<'s>>>,
    /// Points of a request.
    most: u64,
}

impl<'s> Exports<'s> {
    /// Requests of so many points.
    #[must_use]
    pub fn new(series: impl Iterator<Item = Series<'s>>, most: usize) -> Self {
        let mut members: Vec<Member<'_>> = series.map(Member::of).collect();
        members.sort_by(Member::order);
        let groups = members.chunk_by(|a, b| a.key_order(b).is_eq());
        // When something began says nothing by itself.
        let groups = groups.filter(|all| all.first().is_some_and(|one| one.role != Role::Created));
        let groups = groups.map(Group::of).collect::<Vec<_>>();
        Self { groups: groups.into_iter().peekable(), most: most.max(1) as u64 }
    }

    /// Whether another point goes into the request, and of which series.
    fn head(&mut self, export: &Export) -> Option<Member<'s>> {
        if export.points >= self.most { None } else { self.groups.peek().and_then(Group::head) }
    }

    fn resource(&mut self, resource: Resource<'s>, out: &mut Vec<u8>, export: &mut Export) {
        whole(1, out, export, |out, export| {
            message(1, out, |out| resource.write(out));
            message(2, out, |out| {
                message(1, out, |out| {
                    bytes(1, SCOPE.as_bytes(), out);
                    bytes(2, env!("CARGO_PKG_VERSION").as_bytes(), out);
                });
                while let Some(head) = self.head(export).filter(|head| head.resource() == resource) {
                    self.metric(head, out, export);
                }
            });
        });
    }

    fn metric(&mut self, head: Member<'s>, out: &mut Vec<u8>, export: &mut Export) {
        whole(2, out, export, |out, export| {
            bytes(1, head.metric().as_bytes(), out);
            if let Some(family) = head.series.family {
                bytes(2, family.help.as_bytes(), out);
                bytes(3, ucum(&family.unit).unwrap_or_default().as_bytes(), out);
            }
            message(head.shape.field(), out, |out| {
                while self.head(export).is_some_and(|next| next.metric_order(&head).is_eq()) {
                    self.points(out, export);
                }
                if matches!(head.shape, Shape::Counter | Shape::Sum | Shape::Histogram) {
                    number(2, CUMULATIVE, out);
                }
                if head.shape == Shape::Counter {
                    number(3, 1, out);
                }
            });
            let kind = head.series.family.map_or("unknown", |family| &family.kind);
            message(12, out, |out| text(TYPE, kind, out));
        });
    }

    /// Writes points of a group until it is over or there is no room.
    fn points(&mut self, out: &mut Vec<u8>, export: &mut Export) {
        while export.points < self.most {
            let Some(group) = self.groups.peek_mut() else { return };
            let Some(t) = group.members.iter().filter_map(Member::time).min() else {
                export.homeless += group.exemplars.len() as u64;
                self.groups.next();
                return;
            };
            group.point(t, out, export);
        }
    }
}

impl Iterator for Exports<'_> {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        let (mut export, mut body) = (Export::default(), Vec::new());
        while let Some(head) = self.head(&export) {
            self.resource(head.resource(), &mut body, &mut export);
        }
        export.body = body;
        (export != Export::default()).then_some(export)
    }
}

/// A message that is there if a point is in it.
fn whole(field: u32, out: &mut Vec<u8>, export: &mut Export, write: impl FnOnce(&mut Vec<u8>, &mut Export)) {
    let (begin, points) = (out.len(), export.points);
    message(field, out, |out| write(out, export));
    if export.points == points {
        out.truncate(begin);
    }
}

/// The fields of a `KeyValue` with a text.
fn text(key: &str, value: &str, out: &mut Vec<u8>) {
    bytes(1, key.as_bytes(), out);
    message(2, out, |out| bytes(1, value.as_bytes(), out));
}

#[cfg(test)]
mod tests;
