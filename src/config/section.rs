//! The sections of the configuration beside its sources.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::listen::{Address, Bytes};
use crate::setting::Span;

/// Under which names the agent's pages are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Names beside `localhost`, the machine's own and its addresses, such as `lab.example.org`; with the port where a
    /// proxy has another than the usual one. Under any other name `/` and `/provision/` are refused, and `/-/reload`;
    /// `/metrics` is not.
    #[schemars(extend("items" = {"type": "string", "format": "host-name", "pattern": r"^[A-Za-z0-9._-]{1,255}(:[0-9]{1,5})?$"}))]
    pub hosts: Vec<String>,
}

/// What the agent's pages show beside what everybody may see who reaches them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebPage {
    /// Show the signal itself on a device's page: of each channel the least and the greatest value of each 50 ms, over the last ten
    /// seconds, from memory alone. Nothing of it is exposed, remembered or recorded. Refused where `listen` has an address that
    /// other machines reach.
    pub preview: bool,
    /// Show it to other machines as well: to every client that reaches the agent.
    pub preview_beyond_loopback: bool,
}

impl WebPage {
    /// Whether the signal would be shown to other machines, which was not asked for.
    #[must_use]
    pub fn exposes(&self, listen: &[Address]) -> bool {
        let outside = |address: &Address| match address {
            Address::Tcp(at) => !at.ip().is_loopback(),
            // What systemd opened is not known here.
            Address::Systemd(_) => true,
        };
        self.preview && !self.preview_beyond_loopback && listen.iter().any(outside)
    }
}

/// Why that is refused, and what to do.
pub(super) const EXPOSED: (&str, &str) = (
    "the signal would be shown to other machines: `listen` has an address that is not of loopback",
    "listen on 127.0.0.1, or set page.preview_beyond_loopback: true if every client that reaches the agent may see it",
);

/// What the log says, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`; or by part, as in `info,neural_exporter::http=debug`.
    #[schemars(extend("format" = "log-filter"))]
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
    /// From one summary of everything to the next, in one line; 0s for none. It needs the history.
    pub summary: Span,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text, summary: Span::seconds(600) }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A pipeline that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Its name, as its events have it.
    pub name: String,
    /// The names of its stages.
    #[serde(default)]
    pub stages: Vec<String>,
    /// The names of its queues.
    #[serde(default)]
    pub queues: Vec<String>,
    /// The names of its caches.
    #[serde(default)]
    pub caches: Vec<String>,
}

/// What bounds memory. What is beyond a limit is refused and counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Series of all metrics together.
    #[schemars(range(min = 1))]
    pub series: usize,
    /// Series of one metric.
    #[schemars(range(min = 1))]
    pub series_per_family: usize,
    /// Series of one source.
    #[schemars(range(min = 1))]
    pub series_per_source: usize,
    /// Metrics that lines and scrapes may add to those of the catalogue.
    #[schemars(range(min = 1))]
    pub families: usize,
    /// Bytes of series, keys and labels together, and of the text of a scrape: at least 1MiB. One source can take up to
    /// three quarters of what others leave, here and of `series`, `families` and `series_per_family`.
    pub memory: Bytes,
    /// Bytes of one line, unless its source says otherwise.
    #[schemars(range(min = 64, max = 16_777_216))]
    pub line_bytes: usize,
    /// Connections that one source holds at once, unless it says otherwise. Programs of this machine may have all of
    /// them; an address of another machine has at most three quarters of what others leave.
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// Bytes of the value of a label; what is longer is cut and ends in a hash of the whole.
    #[schemars(range(min = 8, max = 65_536))]
    pub label_value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series: 50_000,
            series_per_family: 2_000,
            series_per_source: 20_000,
            families: 5_000,
            memory: Bytes(64 << 20),
            line_bytes: 65_536,
            connections: 1_024,
            label_value_bytes: 256,
        }
    }
}

/// When series expire that receive no updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expire {
    /// Gauges of things that may have vanished. Counters and histograms stay.
    pub gauges: Span,
}

impl Default for Expire {
    fn default() -> Self {
        Self { gauges: Span::seconds(300) }
    }
}

/// How often things are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Intervals {
    /// The window in which the peak rate of a stage is counted.
    pub pipeline: Span,
    /// How often the state of sockets and devices is read.
    pub device: Span,
    /// How often the machine is read, by sources that do not say so themselves.
    pub system: Span,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { pipeline: Span::millis(100), device: Span::seconds(1), system: Span::seconds(5) }
    }
}

/// Prices and budgets of language models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Llm {
    /// The currency of every cost: a label, nothing is converted.
    #[schemars(length(min = 1, max = 16))]
    pub currency: String,
    /// What may be used in a day, from midnight to midnight UTC.
    pub budget: Budget,
    /// Prices of calls that do not report their cost, by model.
    pub prices: BTreeMap<String, Price>,
}

impl Default for Llm {
    fn default() -> Self {
        Self { currency: "USD".to_owned(), budget: Budget::default(), prices: BTreeMap::new() }
    }
}

/// What may be used in a day. Nothing is stopped: it is a line to measure against.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Tokens, sent and received.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tokens_per_day: Option<u64>,
    /// Cost in the currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cost_per_day: Option<f64>,
}

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For a million tokens that are sent.
    #[schemars(range(min = 0))]
    pub prompt_per_million: f64,
    /// For a million tokens that are received.
    #[schemars(range(min = 0))]
    pub completion_per_million: f64,
}

/// How `/metrics` is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exposition {
    /// Whether counters and histograms say when they began, as `_created` series.
    pub created: bool,
}
