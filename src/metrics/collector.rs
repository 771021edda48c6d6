//! The same series through prometheus-client's own encoder.
//!
//! Slower than [`Registry::write`] by an order of magnitude and the yardstick for it: a test holds
//! the two texts side by side. It is also how the series join the registry of a program that uses this
//! crate as a library.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Registry;
use super::series::{Series, Value};
use crate::event::Kind;

/// A registry as prometheus-client sees it: counters, gauges and histograms. Types that its
/// encoder does not have (summary, info without labels, stateset) are left out.
#[derive(Clone, Debug)]
pub struct Mirror(pub Arc<Mutex<Registry>>);

impl Collector for Mirror {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let registry = self.0.lock();
        for family in registry.order.iter().filter_map(|&id| registry.families.get(id as usize)) {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                _ => continue,
            };
            if family.len() == 0 {
                continue;
            }
            // The encoder appends the unit and the full stop by itself.
            let unit = (!family.unit.is_empty()).then(|| Unit::Other(family.unit.to_string()));
            let name = match &unit {
                Some(unit) => family.name.strip_suffix(unit.as_str()).and_then(|n| n.strip_suffix('_')),
                None => None,
            };
            let help = format!("{}.", family.help);
            let name = name.unwrap_or(&family.name);
            let mut metric = encoder.encode_descriptor(name, &help, unit.as_ref(), kind)?;
            for series in family.series(None) {
                let labels = parse_labels(&series.labels);
                Sample(series, family.kind).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// One series for prometheus-client's encoder.
struct Sample<'s>(&'s Series, Kind);

impl EncodeMetric for Sample<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and small"
        )]
        match (&self.0.value, self.1) {
            (Value::Number(v), Kind::Counter) if whole(*v) => {
                encoder.encode_counter::<NoLabelSet, u64, u64>(&(*v as u64), None)
            }
            (Value::Number(v), Kind::Counter) => encoder.encode_counter::<NoLabelSet, f64, f64>(v, None),
            (Value::Number(v), _) if whole(*v) => encoder.encode_gauge(&(*v as i64)),
            (Value::Number(v), _) => encoder.encode_gauge(v),
            (Value::Moment(at), _) if whole(at.wall_seconds()) => {
                encoder.encode_gauge(&(at.wall_seconds() as i64))
            }
            (Value::Moment(at), _) => encoder.encode_gauge(&at.wall_seconds()),
            (Value::Members(_), _) => encoder.encode_gauge(&self.0.number().unwrap_or_default()),
            (Value::Histogram(h), _) => {
                let buckets: Vec<(f64, u64)> =
                    h.ladder.bounds.iter().zip(&h.counts).map(|(&b, &c)| (b, c.round() as u64)).collect();
                let count = buckets.iter().map(|b| b.1).sum();
                encoder.encode_histogram::<NoLabelSet>(h.sum, count, &buckets, None)
            }
            (Value::Summary(_), _) => Ok(()),
        }
    }

    fn metric_type(&self) -> MetricType {
        match self.1 {
            Kind::Counter => MetricType::Counter,
            Kind::Histogram => MetricType::Histogram,
            _ => MetricType::Gauge,
        }
    }
}

fn whole(v: f64) -> bool {
    v.fract() == 0.0 && v.abs() < 9e15
}

/// Reads rendered labels back. The text is our own, so it is well formed.
fn parse_labels(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let mut end = after.len();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    end = i + 1;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c)) => value.push(c),
                    None => {}
                },
                c => value.push(c),
            }
        }
        labels.push((name.trim_start_matches(',').to_owned(), value));
        rest = after.get(end..).unwrap_or_default();
    }
    labels
}
