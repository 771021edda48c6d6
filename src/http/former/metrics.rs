//! Samples of the history as a list of metrics, and a metric that is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{ErrorReply, HOUR, refused, success};
use crate::clock::now;
use crate::decode::Decoder;
use crate::decode::text::jsonl::Jsonl;
use crate::event::{Body, Event};
use crate::http::Site;
use crate::http::api::Parameters;
use crate::http::components::number;
use crate::promql::{self, Labels, NAME, Selection, moment_ms};

/// The labels that say which service a metric is of.
const SERVICES: &[&str] = &["service", "group", "pipeline", "device", "model", "source"];
/// The source that what is posted is of.
const SOURCE: &str = "http";
/// Bytes of a line that is made of what is posted.
const LINE: usize = 64 * 1024;

/// A metric that is posted.
#[derive(Debug, Deserialize)]
pub(super) struct PostedMetric {
    name: String,
    value: f64,
    #[serde(default = "gauge")]
    metric_type: String,
    service_name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    description: String,
}

fn gauge() -> String {
    "gauge".to_owned()
}

/// A name as Prometheus takes it: their names have dots and dashes.
fn plain(name: &str) -> String {
    name.replace(['.', '-'], "_")
}

/// The newest samples of many series: so many and no more are held.
struct Newest {
    most: usize,
    labels: Vec<Labels>,
    /// Time, place of the labels, value.
    samples: Vec<(i64, usize, f64)>,
    /// What is older has no place any more.
    floor: i64,
}

impl Newest {
    fn new(most: usize) -> Self {
        Self { most, labels: Vec::new(), samples: Vec::new(), floor: i64::MIN }
    }

    fn take(&mut self, labels: &Labels, samples: impl Iterator<Item = (i64, f64)>) {
        let before = self.samples.len();
        let place = self.labels.len();
        for (at, value) in samples.filter(|(at, _)| *at >= self.floor) {
            self.samples.push((at, place, value));
        }
        if self.samples.len() > before {
            self.labels.push(labels.clone());
        }
        if self.samples.len() > self.most.saturating_mul(4) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.samples.sort_by_key(|(at, place, _)| (std::cmp::Reverse(*at), *place));
        self.samples.truncate(self.most);
        if self.samples.len() == self.most {
            self.floor = self.samples.last().map_or(i64::MIN, |(at, ..)| *at);
        }
        // Labels of which no sample is left go.
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut kept = Vec::new();
        for (_, place, _) in &mut self.samples {
            let new = *places.entry(*place).or_insert_with(|| {
                kept.extend(self.labels.get(*place).cloned());
                kept.len() - 1
            });
            *place = new;
        }
        self.labels = kept;
    }

    fn end(mut self) -> Vec<Json> {
        self.cut();
        let row =
            |(at, place, value): &(i64, usize, f64)| Some(sample_json(self.labels.get(*place)?, *at, *value));
        self.samples.iter().filter_map(row).collect()
    }
}

/// A sample with their fields.
fn sample_json(labels: &Labels, at: i64, value: f64) -> Json {
    let name = labels.get(NAME);
    let service = SERVICES.iter().map(|label| labels.get(label)).find(|value| !value.is_empty());
    let tags: BTreeMap<&str, &str> = labels.iter().filter(|(label, _)| *label != NAME).collect();
    let base = name.strip_suffix("_total").unwrap_or(name);
    let units = ["seconds", "bytes", "ratio", "hertz", "celsius", "watts", "joules", "volts", "ohms"];
    let unit = units.iter().find(|unit| base.ends_with(&format!("_{unit}"))).copied().unwrap_or_default();
    let kind = if name.ends_with("_total") {
        "counter"
    } else if ["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)) {
        "histogram"
    } else {
        "gauge"
    };
    json!({
        "name": name, "value": value, "metric_type": kind, "timestamp": moment_ms(at), "service_name": service,
        "tags": tags, "unit": unit, "description": ""
    })
}

impl Site {
    /// Samples of the last hours, the newest first.
    pub(super) fn old_metrics(&self, parameters: &Parameters) -> Result<Json, ErrorReply> {
        let hours = number(parameters, "hours", 1, (1, 168))?;
        let limit = number(parameters, "limit", 1000, (1, 10_000))?;
        let name = parameters.get("metric_name").map(plain);
        let service = parameters.get("service_name");
        let (past, until) = self.patient()?;
        let to = now().wall_milliseconds();
        let from = to - i64::try_from(hours).unwrap_or(1) * HOUR;
        let mut newest = Newest::new(limit);
        let wanted = name.as_deref().unwrap_or_default();
        let known = |name: &str| name.bytes().all(|b| b == b'_' || b == b':' || b.is_ascii_alphanumeric());
        if known(wanted) {
            let text = if wanted.is_empty() {
                "{__name__=~\".+\"}".to_owned()
            } else {
                format!("{{__name__=\"{wanted}\"}}")
            };
            let matchers = promql::parse_selector(&text).map_err(|error| refused(&error))?;
            let selection = Selection { matchers: &matchers, from, to, step: 0, width: 0 };
            let found = past.select(&selection, &mut |labels, samples| {
                if service.is_none_or(|service| SERVICES.iter().any(|label| labels.get(label) == service)) {
                    let known = samples
                        .iter()
                        .filter(|sample| (from..=to).contains(&sample.t) && sample.v.is_finite());
                    newest.take(labels, known.map(|sample| (sample.t, sample.v)));
                }
                until.check()
            });
            found.map_err(|error| refused(&error))?;
        }
        let metrics = newest.end();
        Ok(success(&json!({
            "count": metrics.len(),
            "metrics": metrics,
            "time_range": {"start": moment_ms(from), "end": moment_ms(to)}
        })))
    }

    /// Takes a metric as a JSON line with the same fields would be taken.
    pub(super) fn take_metric(&self, posted: &PostedMetric) -> Result<Json, ErrorReply> {
        let wrong = |why: String| (StatusCode::BAD_REQUEST, why);
        let kind = match &*posted.metric_type.to_ascii_lowercase() {
            "counter" => "counter",
            "gauge" => "gauge",
            "histogram" | "timer" => "histogram",
            other => {
                return Err(wrong(format!(
                    "no metric type {other:?}; types are counter, gauge, histogram and timer"
                )));
            }
        };
        let mut labels = posted.tags.clone();
        labels.insert("service".to_owned(), posted.service_name.clone());
        let line = json!({
            "metric": plain(&posted.name), "value": posted.value, "type": kind, "labels": labels,
            "help": posted.description
        });
        self.take_line(&line.to_string()).map_err(wrong)?;
        Ok(json!({
            "status": "success",
            "message": "Metric created successfully",
            "data": {
                "name": plain(&posted.name), "value": posted.value, "metric_type": kind,
                "timestamp": moment_ms(now().wall_milliseconds()), "service_name": posted.service_name,
                "tags": posted.tags, "unit": posted.unit, "description": posted.description
            }
        }))
    }

    /// Decodes a line and folds what it means.
    fn take_line(&self, line: &str) -> Result<(), String> {
        let (at, source) = (now(), self.hub.source_named(SOURCE));
        let (mut decoder, mut fault) = (Jsonl::new(LINE, Arc::default()), None);
        let mut state = self.hub.lock();
        let before = state.accepted();
        let mut take = |body: Body<'_>| {
            if let Body::Fault(known) = &body {
                fault = Some(known.kind);
            }
            state.fold(&Event { at, source, body });
        };
        decoder.decode(line.as_bytes(), &mut take);
        decoder.decode(b"\n", &mut take);
        decoder.end(&mut take);
        match fault {
            Some(kind) => Err(format!("the metric is refused: {}", kind.as_str().replace('_', " "))),
            // The hub had no place for it, or knows it as something else.
            None if state.accepted() == before => Err(
                "the metric is refused: it has another type, unit or labels than before, or there is no room for its series".to_owned(),
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(name: &str) -> Labels {
        promql::read_labels(&format!("{name}{{service=\"api\"}}")).unwrap()
    }

    proptest! {
        #[test]
        fn the_newest_are_held_and_no_more(
            series in prop::collection::vec(prop::collection::vec(0_i64..1000, 0..60), 0..20),
            most in 1_usize..50,
        ) {
            let mut newest = Newest::new(most);
            let mut all: Vec<i64> = Vec::new();
            for (place, times) in series.iter().enumerate() {
                newest.take(&labels(&format!("m{place}")), times.iter().map(|at| (*at, place as f64)));
                prop_assert!(newest.samples.len() <= 4 * most + 60 && newest.labels.len() <= newest.samples.len());
                all.extend(times);
            }
            all.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
            all.truncate(most);
            let told = newest.end();
            let times: Vec<String> = told.iter().map(|row| row["timestamp"].as_str().unwrap().to_owned()).collect();
            prop_assert_eq!(times, all.into_iter().map(moment_ms).collect::<Vec<_>>());
            for row in told {
                // A value is that of its series, whatever went meanwhile.
                prop_assert_eq!(row["name"].as_str().unwrap(), format!("m{}", row["value"].as_f64().unwrap()));
            }
        }
    }

    #[test]
    fn a_sample_has_their_fields() {
        let row = sample_json(&labels("queue_wait_seconds_total"), 1_764_000_000_000, 2.5);
        assert_eq!(
            (&row["metric_type"], &row["unit"], &row["service_name"]),
            (&json!("counter"), &json!("seconds"), &json!("api"))
        );
        assert_eq!(row["timestamp"], "2025-11-24T16:00:00.000Z");
        assert_eq!(plain("app.active-users"), "app_active_users");
    }
}
