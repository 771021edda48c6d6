//! One data point: what it says, and by how much its series changes.

use super::super::span::trace;
use super::exponential::Exponential;
use super::stream::{Streams, When};
use super::{Data, Series, Temporality, Which};
use crate::event::{Change, FaultKind, TraceId};
use crate::protobuf::{Fields, Value, messages, numbers, zigzag};

/// Buckets and quantiles of one point, beyond which it is refused.
const BUCKETS: usize = 512;

/// A point as it came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point<'a> {
    message: &'a [u8],
    pub start: u64,
    pub time: u64,
    /// It says that there is no value any more.
    pub says_nothing: bool,
    pub attributes: usize,
    value: Option<f64>,
    count: u64,
    sum: Option<f64>,
    exponential: Exponential<'a>,
    /// The last of its exemplars that belongs to a trace.
    pub exemplar: Option<(f64, TraceId)>,
}

impl<'a> Point<'a> {
    pub(super) fn of(message: &'a [u8], data: Data) -> Self {
        let mut point = Self { message, ..Self::default() };
        for (number, value) in Fields::of(message) {
            match (number, value) {
                (2, Value::Fixed64(time)) => point.start = time,
                (3, Value::Fixed64(time)) => point.time = time,
                _ => match data {
                    Data::Gauge | Data::Sum => point.number_field(number, value),
                    Data::Histogram => point.histogram_field(number, value),
                    Data::Exponential => point.exponential_field(number, value),
                    Data::Summary => point.summary_field(number, value),
                },
            }
        }
        point
    }

    fn number_field(&mut self, number: u32, value: Value<'a>) {
        match (number, value) {
            (4, Value::Fixed64(bits)) => self.value = Some(f64::from_bits(bits)),
            (6, Value::Fixed64(integer)) => self.value = Some(integer.cast_signed() as f64),
            (7, Value::Bytes(_)) => self.attributes += 1,
            (8, Value::Varint(flags)) => self.says_nothing = flags & 1 == 1,
            _ => {}
        }
    }

    fn histogram_field(&mut self, number: u32, value: Value<'a>) {
        match (number, value) {
            (4, Value::Fixed64(count)) => self.count = count,
            (5, Value::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            (8, Value::Bytes(exemplar)) => self.see_exemplar(exemplar),
            (9, Value::Bytes(_)) => self.attributes += 1,
            (10, Value::Varint(flags)) => self.says_nothing = flags & 1 == 1,
            _ => {}
        }
    }

    fn exponential_field(&mut self, number: u32, value: Value<'a>) {
        match (number, value) {
            (1, Value::Bytes(_)) => self.attributes += 1,
            (4, Value::Fixed64(count)) => self.count = count,
            (5, Value::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            (6, Value::Varint(scale)) => self.exponential.scale = zigzag(scale),
            (7, Value::Fixed64(zeros)) => self.exponential.zeros = zeros,
            (8, Value::Bytes(buckets)) => self.exponential.positive = buckets,
            (9, Value::Bytes(buckets)) => self.exponential.negative = buckets,
            (10, Value::Varint(flags)) => self.says_nothing = flags & 1 == 1,
            (11, Value::Bytes(exemplar)) => self.see_exemplar(exemplar),
            (14, Value::Fixed64(bits)) => self.exponential.threshold = f64::from_bits(bits),
            _ => {}
        }
    }

    fn summary_field(&mut self, number: u32, value: Value<'a>) {
        match (number, value) {
            (4, Value::Fixed64(count)) => self.count = count,
            (5, Value::Fixed64(bits)) => self.sum = Some(f64::from_bits(bits)),
            (7, Value::Bytes(_)) => self.attributes += 1,
            (8, Value::Varint(flags)) => self.says_nothing = flags & 1 == 1,
            _ => {}
        }
    }

    fn see_exemplar(&mut self, message: &[u8]) {
        let (mut value, mut of) = (None, None);
        for field in Fields::of(message) {
            match field {
                (3, Value::Fixed64(bits)) => value = Some(f64::from_bits(bits)),
                (6, Value::Fixed64(integer)) => value = Some(integer.cast_signed() as f64),
                (5, Value::Bytes(id)) => of = trace(id),
                _ => {}
            }
        }
        self.exemplar = value.filter(|value| value.is_finite()).zip(of).or(self.exemplar);
    }

    fn when(&self, which: &Which<'_>) -> When {
        When { start: self.start, time: self.time, now: which.now }
    }

    /// What a gauge or a sum becomes.
    pub(super) fn number(
        &self,
        series: &Series<'_>,
        which: &Which<'_>,
        streams: &mut Streams,
    ) -> Result<Change<'static>, FaultKind> {
        let mut value = self.value.ok_or(FaultKind::MissingField)?;
        match (series.metric.data, series.metric.temporality) {
            (Data::Sum, Temporality::Unspecified) => Err(FaultKind::MissingField),
            (Data::Sum, Temporality::Delta) if !value.is_finite() => Err(FaultKind::NotFinite),
            (Data::Sum, Temporality::Delta) if series.metric.monotonic => Ok(Change::Add(value)),
            (Data::Sum, Temporality::Delta) => Ok(Change::Shift(value)),
            (Data::Sum, Temporality::Cumulative) if series.metric.monotonic => {
                if !value.is_finite() {
                    return Err(FaultKind::NotFinite);
                }
                if value < 0.0 {
                    return Err(FaultKind::Negative);
                }
                let id = which.stream(streams, self.start);
                streams.advance(id, self.when(which), &mut value, &mut [])?;
                Ok(Change::Add(value))
            }
            _ => {
                which.holds(streams)?;
                Ok(Change::Set(value))
            }
        }
    }

    /// By how much the buckets of a histogram grow.
    pub(super) fn histogram<'b>(
        &self,
        series: &Series<'_>,
        which: &Which<'_>,
        streams: &mut Streams,
        buckets: &'b mut Vec<(f64, f64)>,
    ) -> Result<Change<'b>, FaultKind> {
        if self.sum.is_some_and(|sum| !sum.is_finite()) {
            return Err(FaultKind::NotFinite);
        }
        if series.metric.data == Data::Exponential {
            self.exponential.classic(series.unit, buckets)?;
        } else {
            self.explicit(buckets)?;
        }
        let mut sum = self.sum.unwrap_or_default();
        match series.metric.temporality {
            Temporality::Unspecified => return Err(FaultKind::MissingField),
            Temporality::Delta => {}
            Temporality::Cumulative => {
                let id = which.stream(streams, self.start);
                streams.advance(id, self.when(which), &mut sum, buckets)?;
            }
        }
        let exemplar = self.exemplar.map(|(value, _)| value);
        Ok(Change::AddBuckets { buckets, sum: self.sum.map(|_| sum), exemplar })
    }

    /// Fills `out` with the buckets that the point names.
    fn explicit(&self, out: &mut Vec<(f64, f64)>) -> Result<(), FaultKind> {
        out.clear();
        let bounds = numbers(self.message, 7, true).map(f64::from_bits);
        out.extend(bounds.take(BUCKETS + 1).map(|bound| (bound, 0.0)));
        out.push((f64::INFINITY, 0.0));
        if out.len() > BUCKETS {
            return Err(FaultKind::Limit);
        }
        let mut counts = numbers(self.message, 6, true);
        let mut given = 0;
        for ((_, count), sent) in out.iter_mut().zip(counts.by_ref()) {
            *count = sent as f64;
            given += 1;
        }
        match (out.as_mut_slice(), given) {
            // Without buckets only how many there were is known.
            ([(_, count)], 0) => *count = self.count as f64,
            (all, given) if given == all.len() && counts.next().is_none() => {}
            _ => return Err(FaultKind::BadValue),
        }
        Ok(())
    }

    /// What a summary reads now.
    pub(super) fn summary<'b>(
        &self,
        which: &Which<'_>,
        streams: &mut Streams,
        quantiles: &'b mut Vec<(f64, f64)>,
    ) -> Result<Change<'b>, FaultKind> {
        quantiles.clear();
        for message in messages(self.message, 6) {
            let (mut quantile, mut reads) = (0.0, 0.0);
            for field in Fields::of(message) {
                match field {
                    (1, Value::Fixed64(bits)) => quantile = f64::from_bits(bits),
                    (2, Value::Fixed64(bits)) => reads = f64::from_bits(bits),
                    _ => {}
                }
            }
            if !(0.0..=1.0).contains(&quantile) {
                return Err(FaultKind::BadValue);
            }
            if quantiles.len() == BUCKETS {
                return Err(FaultKind::Limit);
            }
            quantiles.push((quantile, reads));
        }
        quantiles.sort_by(|one, two| one.0.total_cmp(&two.0));
        if quantiles.windows(2).any(|pair| matches!(pair, [one, two] if one.0 == two.0)) {
            return Err(FaultKind::BadValue);
        }
        which.holds(streams)?;
        Ok(Change::Quantiles { quantiles, sum: self.sum, count: Some(self.count as f64) })
    }
}
