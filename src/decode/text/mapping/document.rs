//! A mapping file as it is written, in statsd_exporter's words.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) defaults: Option<Defaults>,
    pub(super) mappings: Option<Vec<Entry>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Defaults {
    pub(super) observer_type: Option<String>,
    pub(super) timer_type: Option<String>,
    pub(super) match_type: Option<String>,
    pub(super) glob_disable_ordering: bool,
    pub(super) ttl: Option<String>,
    pub(super) summary_options: Option<SummaryOptions>,
    pub(super) histogram_options: Option<HistogramOptions>,
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) quantiles: Option<Vec<Quantile>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(rename = "match")]
    pub(super) pattern: String,
    pub(super) match_type: Option<String>,
    pub(super) match_metric_type: Option<String>,
    pub(super) name: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) honor_labels: bool,
    pub(super) observer_type: Option<String>,
    pub(super) timer_type: Option<String>,
    pub(super) help: Option<String>,
    pub(super) action: Option<String>,
    pub(super) ttl: Option<String>,
    pub(super) summary_options: Option<SummaryOptions>,
    pub(super) histogram_options: Option<HistogramOptions>,
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) quantiles: Option<Vec<Quantile>>,
    pub(super) scale: Option<f64>,
}

/// Checked for its shape and otherwise not used.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SummaryOptions {
    pub(super) quantiles: Option<Vec<Quantile>>,
    pub(super) max_age: Option<String>,
    pub(super) age_buckets: Option<u32>,
    pub(super) buf_cap: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a summary's options are accepted and have no effect")]
pub(super) struct Quantile {
    pub(super) quantile: f64,
    #[serde(default)]
    pub(super) error: f64,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HistogramOptions {
    pub(super) buckets: Option<Vec<f64>>,
    pub(super) native_histogram_bucket_factor: Option<f64>,
    pub(super) native_histogram_max_buckets: Option<u32>,
}
