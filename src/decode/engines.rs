//! The names that inference engines give their metrics, and the one name each has here.
//!
//! Engines rename metrics between releases, so an entry lists every spelling, the newest first, and the
//! first that an exposition holds is taken. What the table does not know is dropped and counted, unless
//! the user wants it. Where an engine gives times only as sums, they stay sums: a mean is a rate of the
//! sum over a rate of the number, and a histogram is not made of it.

use hashbrown::HashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Kind;

use super::text::openmetrics::{Family, Labels, Metric, Value, add_labels};

pub mod reference;
mod table;

/// An inference engine whose metrics are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// vLLM.
    Vllm,
    /// Aphrodite Engine, which has the names of vLLM under its own prefix.
    Aphrodite,
    /// SGLang.
    Sglang,
    /// Text Generation Inference.
    Tgi,
    /// NVIDIA Triton Inference Server.
    Triton,
    /// The server of llama.cpp.
    Llamacpp,
}

/// What happens to metrics that a profile does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rest {
    /// They are dropped and counted.
    #[default]
    Drop,
    /// They are kept under their own names.
    Keep,
}

/// One of our metrics, and where an engine has it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The engine's names without its prefix and `_total`, the newest first.
    pub from: &'static [&'static str],
    /// Our name, without `_total`.
    pub to: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What the engine's numbers are divided by to be in base units.
    pub per: f64,
    /// Labels that are called otherwise here, and labels that the name alone implied.
    pub labels: &'static [Label],
    /// Whether the sum of the engine's histogram is what is wanted.
    pub sum: bool,
}

/// What becomes of a label.
#[derive(Clone, Copy, Debug)]
pub enum Label {
    /// The engine's first name becomes the second.
    Rename(&'static str, &'static str),
    /// A label and its value are added.
    Add(&'static str, &'static str),
}

impl Entry {
    /// The unit that our name ends in.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        ["seconds", "bytes", "ratio", "hertz", "watts", "joules"]
            .into_iter()
            .find(|unit| self.to.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_')))
            .unwrap_or("")
    }

    /// The engine's metric as ours, if it has the right shape.
    fn translate<'t>(&self, metric: &Metric<'t>, engine: &Engine) -> Option<Metric<'t>> {
        let scaled = |value: &Option<f64>| value.map(|v| v / self.per);
        let value = match (&metric.value, self.kind) {
            (
                Value::Histogram { sum: Some(sum), .. } | Value::Summary { sum: Some(sum), .. },
                Kind::Counter,
            ) if self.sum => Value::Number(sum / self.per),
            (Value::Number(value), Kind::Counter | Kind::Gauge) if !self.sum => {
                Value::Number(value / self.per)
            }
            (Value::Histogram { buckets, sum, count }, Kind::Histogram) => Value::Histogram {
                buckets: buckets.iter().map(|(bound, count)| (bound / self.per, *count)).collect(),
                sum: scaled(sum),
                count: *count,
            },
            _ => return None,
        };
        let (mut labels, mut ours) = (Labels::with_capacity(metric.labels.len() + 2), Labels::new());
        for (label, value) in &metric.labels {
            let renamed = self.labels.iter().chain(engine.labels).find_map(|change| match change {
                Label::Rename(from, to) if from == label => Some(*to),
                _ => None,
            });
            match renamed {
                Some(renamed) => ours.push((renamed.into(), value.clone())),
                None => labels.push((label.clone(), value.clone())),
            }
        }
        for change in self.labels {
            if let Label::Add(label, value) = change {
                ours.push(((*label).into(), (*value).into()));
            }
        }
        ours.push(("engine".into(), engine.name.into()));
        add_labels(&mut labels, ours);
        Some(Metric { labels, value, timestamp: metric.timestamp, line: metric.line })
    }
}

/// An engine and its table.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// The value of our label `engine`.
    pub name: &'static str,
    /// What the engine's names begin with.
    pub prefix: &'static str,
    /// Labels that are called otherwise here, on every metric.
    pub labels: &'static [Label],
    /// The tables, in the order of our reference.
    pub entries: &'static [&'static [Entry]],
}

impl Profile {
    /// Every profile.
    pub const ALL: &'static [Self] =
        &[Self::Vllm, Self::Aphrodite, Self::Sglang, Self::Tgi, Self::Triton, Self::Llamacpp];

    /// The engine's table.
    #[must_use]
    pub fn engine(self) -> &'static Engine {
        match self {
            Self::Vllm => &table::VLLM,
            Self::Aphrodite => &table::APHRODITE,
            Self::Sglang => &table::SGLANG,
            Self::Tgi => &table::TGI,
            Self::Triton => &table::TRITON,
            Self::Llamacpp => &table::LLAMACPP,
        }
    }

    /// An exposition of this engine in our names, and the number of metrics that were dropped because
    /// the table does not know them.
    #[must_use]
    pub fn translate<'t>(self, families: Vec<Family<'t>>, rest: Rest) -> (Vec<Family<'t>>, usize) {
        let engine = self.engine();
        let present: HashSet<String> = (families.iter())
            .filter(|family| !family.metrics.is_empty())
            .map(|family| stem(engine, &family.name).to_owned())
            .collect();
        // Of several spellings in one exposition, the newest counts.
        let source = |entry: &Entry| entry.from.iter().find(|from| present.contains(**from)).copied();
        let wanted: Vec<(&str, &Entry)> = (engine.entries.iter().copied().flatten())
            .filter_map(|entry| source(entry).map(|from| (from, entry)))
            .collect();
        let mut ours: Vec<Family<'t>> = Vec::new();
        let mut kept = Vec::new();
        let mut unknown = 0;
        for family in families {
            let name = stem(engine, &family.name);
            let mut known = false;
            for (_, entry) in wanted.iter().filter(|(from, _)| *from == name) {
                let metrics: Vec<_> =
                    family.metrics.iter().filter_map(|metric| entry.translate(metric, engine)).collect();
                known |= !metrics.is_empty();
                match ours.iter_mut().find(|known| known.name == entry.to) {
                    Some(known) => known.metrics.extend(metrics),
                    None if metrics.is_empty() => {}
                    None => ours.push(Family {
                        name: entry.to.into(),
                        kind: entry.kind,
                        help: entry.help.into(),
                        unit: entry.unit(),
                        metrics,
                    }),
                }
            }
            // An old spelling beside the new one says nothing new.
            let old = (engine.entries.iter().copied().flatten()).any(|entry| entry.from.contains(&name));
            if !known && !old {
                match rest {
                    Rest::Keep => kept.push(family),
                    Rest::Drop => unknown += family.metrics.len(),
                }
            }
        }
        ours.append(&mut kept);
        (ours, unknown)
    }
}

/// The engine's name of a family as the table spells it.
fn stem<'n>(engine: &Engine, name: &'n str) -> &'n str {
    let Some(bare) = name.strip_prefix(engine.prefix) else { return "" };
    bare.strip_suffix("_total").unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::text::openmetrics::{Dialect, is_label_name, is_metric_name, parse};
    use super::*;

    fn read(profile: Profile, rest: Rest, text: &str) -> (Vec<String>, usize) {
        let parsed = parse(text.as_bytes(), Dialect::Classic, 1000).unwrap();
        let (families, unknown) = profile.translate(parsed.families, rest);
        let mut lines = Vec::new();
        for family in families {
            for metric in family.metrics {
                let mut labels: Vec<_> = metric.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
                labels.sort();
                let value = match metric.value {
                    Value::Number(value) => value.to_string(),
                    Value::Histogram { sum, count, .. } => format!("{}/{}", sum.unwrap(), count.unwrap()),
                    Value::Summary { .. } => "summary".into(),
                };
                lines.push(format!("{} {} {value}", family.name, labels.join(",")));
            }
        }
        (lines, unknown)
    }

    #[test]
    fn the_newest_spelling_counts_and_the_rest_is_counted() {
        let text = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3\n\
            # TYPE vllm:gpu_cache_usage_perc gauge\nvllm:gpu_cache_usage_perc{model_name=\"m\"} 0.1\n\
            # TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{model_name=\"m\"} 0.2\n\
            # TYPE vllm:request_success_total counter\nvllm:request_success_total{finished_reason=\"stop\",model_name=\"m\"} 7\n\
            # TYPE vllm:iteration_tokens_total histogram\nvllm:iteration_tokens_total_bucket{le=\"+Inf\"} 2\n\
            vllm:iteration_tokens_total_sum 30\nvllm:iteration_tokens_total_count 2\n\
            # TYPE python_gc_objects_collected_total counter\npython_gc_objects_collected_total{generation=\"0\"} 1\n\
            vllm:brand_new 1\n";
        let (lines, unknown) = read(Profile::Vllm, Rest::Drop, text);
        assert_eq!(
            lines,
            [
                "neural_engine_requests_running engine=vllm,model=m,replica=0 3",
                "neural_engine_kv_cache_usage_ratio engine=vllm,model=m 0.2",
                "neural_engine_requests engine=vllm,finish=stop,model=m 7",
                "neural_engine_iteration_tokens engine=vllm 30/2",
            ]
        );
        assert_eq!(unknown, 2);
        let (lines, unknown) = read(Profile::Vllm, Rest::Keep, text);
        assert_eq!((lines.len(), unknown), (6, 0));
    }

    #[test]
    fn other_engines_come_out_under_the_same_names_and_in_base_units() {
        let (lines, _) = read(
            Profile::Triton,
            Rest::Drop,
            "# TYPE nv_inference_queue_duration_us counter\nnv_inference_queue_duration_us{model=\"m\",version=\"1\"} 2500000\n\
            # TYPE nv_inference_request_failure counter\nnv_inference_request_failure{model=\"m\",reason=\"REJECTED\"} 4\n",
        );
        assert_eq!(
            lines,
            [
                "neural_engine_queue_time_seconds engine=triton,model=m,version=1 2.5",
                "neural_engine_requests engine=triton,finish=REJECTED,model=m 4",
            ]
        );
        let (lines, _) = read(
            Profile::Tgi,
            Rest::Drop,
            "# TYPE tgi_request_input_length histogram\ntgi_request_input_length_bucket{le=\"+Inf\"} 2\n\
            tgi_request_input_length_sum 50\ntgi_request_input_length_count 2\n",
        );
        assert_eq!(
            lines,
            [
                "neural_engine_prompt_tokens engine=tgi 50",
                "neural_engine_request_prompt_tokens engine=tgi 50/2"
            ]
        );
    }

    #[test]
    fn labels_that_an_engine_has_of_its_own_stay() {
        let (lines, _) = read(
            Profile::Vllm,
            Rest::Drop,
            "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\",model_name=\"m\",model=\"n\",replica=\"r\"} 3\n",
        );
        assert_eq!(
            lines,
            [
                "neural_engine_requests_running engine=vllm,exported_model=n,exported_replica=r,model=m,replica=0 3"
            ]
        );
    }

    #[test]
    fn the_table_is_sound() {
        let mut kinds = BTreeMap::new();
        for profile in Profile::ALL {
            let engine = profile.engine();
            assert_eq!(serde_json::to_value(profile).unwrap(), engine.name);
            for entry in engine.entries.iter().copied().flatten() {
                let of = format!("{} of {}", entry.to, engine.name);
                assert!(is_metric_name(entry.to) && entry.to.starts_with("neural_engine_"), "{of}");
                assert!(!entry.to.ends_with("_total"), "{of}");
                assert!(!entry.help.is_empty() && !entry.help.ends_with('.'), "{of}");
                assert!(entry.from.iter().all(|from| !from.is_empty() && !from.ends_with("_total")), "{of}");
                assert!(!entry.sum || entry.kind == Kind::Counter, "{of}");
                let known = *kinds.entry(entry.to).or_insert((entry.kind, entry.help));
                assert_eq!(known, (entry.kind, entry.help), "{of} differs from another engine's");
                for change in entry.labels.iter().chain(engine.labels) {
                    let (Label::Rename(_, to) | Label::Add(to, _)) = change;
                    assert!(is_label_name(to) && *to != "engine", "{of}");
                }
            }
        }
        assert!(kinds.len() > 20);
    }
}
