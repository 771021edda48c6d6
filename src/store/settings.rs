//! What can be set of the history.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Options, Retention};
use crate::history::{Limits, Names, Target};
use crate::listen::Bytes;
use crate::setting::Span;

/// What the agent remembers of its own metrics, and for how long. Changes take effect at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "History")]
pub struct Settings {
    /// Whether it remembers at all.
    pub enabled: bool,
    /// From one scrape of itself to the next: 1s to 60s.
    pub interval: Span,
    /// What is held in memory, compressed. What is older is in a file in the state directory.
    pub memory: Span,
    /// From one write of the file to the next: a killed agent loses no more than that.
    pub flush: Span,
    /// For how long every sample is kept.
    pub keep: Span,
    /// What is kept of older ones.
    pub thin: Thin,
    /// Bytes of the file; beyond, the oldest samples go.
    pub max_bytes: Bytes,
    /// Names of metrics that are remembered, with `*` for any characters; all if empty.
    #[schemars(extend("items" = {"type": "string", "format": "metric-pattern", "pattern": r"^[A-Za-z0-9_:*]+$"}))]
    pub allow: Vec<String>,
    /// Names of metrics that are not, with `*` for any characters.
    #[schemars(extend("items" = {"type": "string", "format": "metric-pattern", "pattern": r"^[A-Za-z0-9_:*]+$"}))]
    pub deny: Vec<String>,
}

/// Samples that are left out, never averaged, so that counters stay right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thin {
    /// One sample is kept of each span of this length.
    pub interval: Span,
    /// For how long.
    pub keep: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Span::seconds(5),
            memory: Span::seconds(3600),
            flush: Span::seconds(10),
            keep: Span::seconds(86_400),
            thin: Thin::default(),
            max_bytes: Bytes(256_000_000),
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }
}

impl Default for Thin {
    fn default() -> Self {
        Self { interval: Span::seconds(60), keep: Span::seconds(30 * 86_400) }
    }
}

/// Bytes of compressed samples in memory. An hour of 10,000 series takes some 10 MB.
const MEMORY: usize = 32 << 20;

/// Bytes of series and labels in memory. 10,000 series with labels of 300 bytes take some 5 MB.
const SERIES: usize = 32 << 20;

impl Settings {
    /// What to do, with the folder for the file, if there is one, and the labels of the agent. `series` is how many
    /// the agent may have.
    #[must_use]
    pub fn options(&self, folder: Option<PathBuf>, target: Target, series: usize) -> Options {
        let ms = |span: Span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
        Options {
            interval: self.interval.0,
            memory: Limits { span: ms(self.memory), series, bytes: MEMORY, series_bytes: SERIES },
            file: folder.map(|folder| folder.join("history.db")),
            flush: self.flush.0,
            retention: Retention {
                keep: ms(self.keep),
                thin: ms(self.thin.interval).max(1),
                keep_thin: ms(self.thin.keep),
                bytes: self.max_bytes.0,
            },
            target,
            names: Names::new(&self.allow, &self.deny),
        }
    }
}
