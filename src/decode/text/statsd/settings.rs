//! What can be set for StatsD, whichever way it arrives.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How StatsD lines are read.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A mapping file as statsd_exporter reads it. Without one, a name is kept as it is, with `_`
    /// for every character that a metric name cannot have.
    pub mapping: Option<PathBuf>,
    /// Read DogStatsD tags (`name:1|c|#k:v`); otherwise they are skipped.
    pub dogstatsd_tags: bool,
    /// Read Librato tags (`name#k=v:1|c`); otherwise they are part of the name.
    pub librato_tags: bool,
    /// Read InfluxDB tags (`name,k=v:1|c`); otherwise they are part of the name.
    pub influxdb_tags: bool,
    /// Read SignalFx tags (`name[k=v]:1|c`); otherwise they are part of the name.
    pub signalfx_tags: bool,
    /// What a sign before the value of a gauge means.
    pub gauges: Gauges,
    /// Longest line that is read, in bytes. A longer one is skipped and counted.
    #[schemars(range(min = 64, max = 1_048_576))]
    pub line_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mapping: None,
            dogstatsd_tags: true,
            librato_tags: true,
            influxdb_tags: true,
            signalfx_tags: true,
            gauges: Gauges::Signed,
            line_bytes: 8192,
        }
    }
}

/// What a sign before the value of a gauge means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gauges {
    /// The gauge moves by that much, as StatsD has it.
    #[default]
    Signed,
    /// The value has a sign, as DogStatsD clients send it.
    Absolute,
}
