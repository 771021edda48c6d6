//! Page: the agent itself. Its metrics live in a registry of prometheus-client's own types
//! (`metrics::own`), which takes their names and help texts from here.

use super::{Metric, Page, Unit};
use crate::event::Kind;

/// The agent itself.
pub static PAGE: Page = Page {
    id: "agent",
    title: "The agent itself",
    about: "What the agent costs, serves and refuses, and which configuration runs.",
    metrics: &[
        &BUILD,
        &CONFIG,
        &RELOADS,
        &RELOAD_FAILURES,
        &LAST_RELOAD_OK,
        &LAST_RELOAD,
        &REQUESTS,
        &CONNECTIONS_ENDED,
        &LOG_LINES_LOST,
        &RECORDING_FAILING,
        &RECORDING_LOST,
        &RECORDING_LOST_BYTES,
        &TIME,
        &SCRAPE_DURATION,
        &SCRAPE_SIZE,
        &SERIES,
        &SERIES_LIMIT,
        &MEMORY,
        &MEMORY_LIMIT,
        &REFUSED,
        &CUT,
        &PROVISION_SUCCESS,
        &PROVISION_OBJECTS,
    ],
};

/// Version of the running program.
pub static BUILD: Metric = Metric {
    name: "agent_build",
    help: "Version of the running program",
    kind: Kind::Info,
    labels: &["version"],
    ..Metric::BLANK
};
/// Which configuration runs.
pub static CONFIG: Metric = Metric {
    name: "agent_config_hash",
    help: "First 48 bits of a hash of the configuration that runs; equal on agents that run the same one",
    ..Metric::BLANK
};
/// Attempts to reload.
pub static RELOADS: Metric = Metric {
    name: "agent_reloads",
    help: "Attempts to reload the configuration",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Attempts to reload that were refused.
pub static RELOAD_FAILURES: Metric = Metric {
    name: "agent_reload_failures",
    help: "Attempts to reload the configuration that were refused, so that the old one stayed",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Whether the last attempt to load it succeeded.
pub static LAST_RELOAD_OK: Metric = Metric {
    name: "agent_config_last_reload_successful",
    help: "Whether the last attempt to load the configuration succeeded: 1 if so, 0 while the one before runs on",
    ..Metric::BLANK
};
/// When the configuration that runs was loaded.
pub static LAST_RELOAD: Metric = Metric {
    name: "agent_config_loaded_timestamp",
    help: "When the configuration that runs was loaded, seconds since the epoch",
    unit: Unit::Seconds,
    ..Metric::BLANK
};
/// HTTP requests by path and status.
pub static REQUESTS: Metric = Metric {
    name: "agent_http_requests",
    help: "HTTP requests answered, by path and status",
    kind: Kind::Counter,
    labels: &["path", "status"],
    ..Metric::BLANK
};
/// Connections that gave way.
pub static CONNECTIONS_ENDED: Metric = Metric {
    name: "agent_connections_ended",
    help: "HTTP connections that were ended: every place was taken and another one came, or a request or the reading of a reply took too long",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Lines of the log that were lost.
pub static LOG_LINES_LOST: Metric = Metric {
    name: "agent_log_lines_lost",
    help: "Lines of the agent's log that were lost, by why: queue_full while who reads the log does not, write_failed where the disk is full or the pipe closed",
    kind: Kind::Counter,
    labels: &["reason"],
    ..Metric::BLANK
};
/// Whether the recording cannot be written.
pub static RECORDING_FAILING: Metric = Metric {
    name: "agent_recording_failing",
    help: "Whether the file of `neural-exporter record` cannot be written now: 1 from the first failure until it can be again",
    ..Metric::BLANK
};
/// Pieces that are missing in the recording.
pub static RECORDING_LOST: Metric = Metric {
    name: "agent_recording_lost_pieces",
    help: "Reads of sources that are missing in the recording, because the disk was full or too slow; each hole is marked in it",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Bytes that are missing in the recording.
pub static RECORDING_LOST_BYTES: Metric = Metric {
    name: "agent_recording_lost",
    help: "Bytes that are missing in the recording, because the disk was full or too slow",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// The time of the agent.
pub static TIME: Metric = Metric {
    name: "agent_time",
    help: "Time of the agent's clock when it is asked, since 1970",
    unit: Unit::Seconds,
    ..Metric::BLANK
};
/// Time to write a scrape.
pub static SCRAPE_DURATION: Metric = Metric {
    name: "agent_scrape_duration",
    help: "Time to write and compress one scrape",
    kind: Kind::Histogram,
    unit: Unit::Seconds,
    bounds: &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
    ..Metric::BLANK
};
/// Size of the last scrape.
pub static SCRAPE_SIZE: Metric = Metric {
    name: "agent_scrape_size",
    help: "Size of the last scrape before compression",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Series now.
pub static SERIES: Metric =
    Metric { name: "agent_series", help: "Series that are held now", ..Metric::BLANK };
/// Series at most.
pub static SERIES_LIMIT: Metric =
    Metric { name: "agent_series_limit", help: "Series that may be held, as configured", ..Metric::BLANK };
/// Bytes of series now.
pub static MEMORY: Metric = Metric {
    name: "agent_series_memory",
    help: "Bytes that series, their keys and the text of a scrape take now",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Bytes of series at most.
pub static MEMORY_LIMIT: Metric = Metric {
    name: "agent_series_memory_limit",
    help: "Bytes that series, their keys and the text of a scrape may take, as configured",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Events that found no series of their own.
pub static REFUSED: Metric = Metric {
    name: "agent_series_refused",
    help: "Events whose series would have been one too many, by family; counters and histograms take them in their series \"_other\"",
    kind: Kind::Counter,
    labels: &["family"],
    ..Metric::BLANK
};
/// Label values that were cut.
pub static CUT: Metric = Metric {
    name: "agent_label_values_cut",
    help: "Label values that were longer than the limit and end in a hash of the whole, of series that came into being",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// When everything was last pushed.
pub static PROVISION_SUCCESS: Metric = Metric {
    name: "provision_last_success_timestamp",
    help: "When everything that is generated was last found in place or put there, seconds since the epoch",
    unit: Unit::Seconds,
    labels: &["target"],
    ..Metric::BLANK
};
/// What came of the last push.
pub static PROVISION_OBJECTS: Metric = Metric {
    name: "provision_objects",
    help: "Objects of the last push at start, by what became of them",
    labels: &["target", "result"],
    ..Metric::BLANK
};
