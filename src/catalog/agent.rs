//! Page: the agent itself. Its metrics live in a registry of prometheus-client's own types
//! (`metrics::own`), which takes their names and help texts from here.

use super::{Metric, Page, Unit};
use crate::event::Kind;

/// The agent itself.
pub static PAGE: Page = Page {
    id: "agent",
    title: "The agent itself",
    about: "What the agent costs, serves and rejects, and which configuration is active.",
    metrics: &[
        &BUILD,
        &CONFIG,
        &RELOADS,
        &RELOAD_FAILURES,
        &LAST_RELOAD_OK,
        &LAST_RELOAD,
        &REQUESTS,
        &CONNECTIONS_ENDED,
        &HANDSHAKES_FAILED,
        &CERTIFICATE_ENDS,
        &WEB_RELOAD_FAILURES,
        &LAST_WEB_RELOAD_OK,
        &LOG_LINES_LOST,
        &EVENT_LOG_FAILING,
        &EVENT_LOG_DROPPED,
        &REPORTS_WRITTEN,
        &REPORT_FAILURES,
        &REPORTS_DROPPED,
        &REPORTS_FAILING,
        &REPORTS_SIZE,
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
        &HISTORY_SERIES,
        &HISTORY_MEMORY,
        &HISTORY_FILE,
        &HISTORY_FAILING,
        &HISTORY_REFUSED,
        &HISTORY_LOST,
        &HISTORY_DAMAGED,
        &RULE_EVALUATIONS,
        &RULE_FAILURES,
        &RULE_SECONDS,
        &ALERTS,
        &NOTIFICATIONS,
        &NOTIFICATION_FAILURES,
        &NOTIFICATIONS_DROPPED,
        &NOTIFICATIONS_WAITING,
        &NOTIFICATION_LATENCY,
        &PROVISION_SUCCESS,
        &PROVISION_OBJECTS,
        &REMOTE_WRITE_SENT,
        &REMOTE_WRITE_DROPPED,
        &REMOTE_WRITE_EXEMPLARS,
        &REMOTE_WRITE_RETRIES,
        &REMOTE_WRITE_LOST,
        &REMOTE_WRITE_LAG,
        &REMOTE_WRITE_PENDING,
        &PUSHES,
    ],
};

/// Version of the running program.
pub static BUILD: Metric = Metric {
    name: "agent_build",
    help: "Version of the running agent",
    kind: Kind::Info,
    labels: &["version"],
    ..Metric::BLANK
};
/// Which configuration runs.
pub static CONFIG: Metric = Metric {
    name: "agent_config_hash",
    help: "First 48 bits of a hash of the active configuration",
    note: "Equal on agents that run the same configuration",
    ..Metric::BLANK
};
/// Attempts to reload.
pub static RELOADS: Metric = Metric {
    name: "agent_config_reloads",
    help: "Attempts to reload the configuration",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Attempts to reload that were refused.
pub static RELOAD_FAILURES: Metric = Metric {
    name: "agent_config_reload_failures",
    help: "Attempts to reload the configuration that failed",
    note: "The previous configuration stays active",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Whether the last attempt to load it succeeded.
pub static LAST_RELOAD_OK: Metric = Metric {
    name: "agent_config_last_reload_successful",
    help: "Whether the last configuration reload succeeded (1) or not (0)",
    note: "At 0 the previous configuration stays active",
    ..Metric::BLANK
};
/// When the configuration that runs was loaded.
pub static LAST_RELOAD: Metric = Metric {
    name: "agent_config_last_reload_success_timestamp",
    help: "Unix time of the last successful load of the configuration",
    unit: Unit::Seconds,
    ..Metric::BLANK
};
/// HTTP requests by path and status.
pub static REQUESTS: Metric = Metric {
    name: "agent_http_requests",
    help: "HTTP requests answered, by path and status code",
    kind: Kind::Counter,
    labels: &["path", "status"],
    ..Metric::BLANK
};
/// Connections that gave way.
pub static CONNECTIONS_ENDED: Metric = Metric {
    name: "agent_http_connections_closed",
    help: "HTTP connections closed by the agent to make room or after a timeout",
    note: "A connection is closed if all are taken and another client connects, or if sending a request or reading a response takes too long",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Connections that ended before TLS was agreed on.
pub static HANDSHAKES_FAILED: Metric = Metric {
    name: "agent_tls_handshake_failures",
    help: "TLS handshakes of the HTTP server that failed, by reason",
    note: "`plain`: the client speaks HTTP without TLS. `certificate_missing`, `certificate_expired`, `certificate_rejected`: of a client. `incompatible`: no version, cipher suite or curve in common. `rejected_by_client`: it does not trust the agent's certificate, most likely. `closed`: the client left. What takes longer than 10 seconds is in `neural_agent_http_connections_closed_total`",
    kind: Kind::Counter,
    labels: &["reason"],
    ..Metric::BLANK
};
/// When the certificate of the server ends.
pub static CERTIFICATE_ENDS: Metric = Metric {
    name: "agent_certificate_expiry_timestamp",
    help: "Unix time at which the certificate of the HTTP server expires",
    note: "Absent without TLS",
    unit: Unit::Seconds,
    labels: &["certificate"],
    ..Metric::BLANK
};
/// Web configurations that were refused.
pub static WEB_RELOAD_FAILURES: Metric = Metric {
    name: "agent_web_config_reload_failures",
    help: "Attempts to reload the web configuration that failed",
    note: "The previous one stays active. It is read again when a file of it changes, and at each reload of the configuration",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Whether the web configuration is the one in the files.
pub static LAST_WEB_RELOAD_OK: Metric = Metric {
    name: "agent_web_config_last_reload_successful",
    help: "Whether the last reload of the web configuration succeeded (1) or not (0)",
    note: "At 0 the previous one stays active: an old certificate, old passwords. 1 where there is none",
    ..Metric::BLANK
};
/// Series of the history.
pub static HISTORY_SERIES: Metric = Metric {
    name: "history_series",
    help: "Series of which the history holds samples in memory",
    ..Metric::BLANK
};
/// Bytes of the history in memory.
pub static HISTORY_MEMORY: Metric = Metric {
    name: "history_memory",
    help: "Memory of the history: compressed samples, and the labels of their series",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Bytes of the history on disk.
pub static HISTORY_FILE: Metric = Metric {
    name: "history_file",
    help: "Size of the history's file, without pages that are free",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Whether the file cannot be written.
pub static HISTORY_FAILING: Metric = Metric {
    name: "history_file_failing",
    help: "Whether the history's file cannot be written (1) or can (0)",
    note: "1 while it cannot be written, or a write takes more than 5 s; the log says why",
    ..Metric::BLANK
};
/// Series without room.
pub static HISTORY_REFUSED: Metric = Metric {
    name: "history_samples_refused",
    help: "Samples that the history refused because it holds as many series as it may",
    note: "The bounds are limits.series, and 32 MiB of labels",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Scrapes that did not reach the file.
pub static HISTORY_LOST: Metric = Metric {
    name: "history_scrapes_lost",
    help: "Scrapes of the history that did not reach its file",
    note: "The disk did not take them in time, or what was written could not be read at the next start",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Chunks that are damaged.
pub static HISTORY_DAMAGED: Metric = Metric {
    name: "history_chunks_damaged",
    help: "Chunks of the history's file that were read and have a wrong checksum",
    note: "Their samples are omitted; a chunk counts each time that a query reads it",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Rules that were evaluated.
pub static RULE_EVALUATIONS: Metric = Metric {
    name: "agent_rule_evaluations",
    help: "Alert and recording rules evaluated by the agent itself",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Rules that failed.
pub static RULE_FAILURES: Metric = Metric {
    name: "agent_rule_evaluation_failures",
    help: "Rule evaluations that failed",
    note: "`/api/v1/rules` and the log say which rule and why",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Time that rules took.
pub static RULE_SECONDS: Metric = Metric {
    name: "agent_rule_evaluation",
    help: "Time spent evaluating rules",
    kind: Kind::Counter,
    unit: Unit::Seconds,
    ..Metric::BLANK
};
/// Alerts now.
pub static ALERTS: Metric = Metric {
    name: "agent_alerts",
    help: "Alerts of the rules that the agent evaluates itself, by state",
    labels: &["state"],
    ..Metric::BLANK
};
/// Alerts that were sent.
pub static NOTIFICATIONS: Metric = Metric {
    name: "agent_notifications",
    help: "Alerts accepted by an Alertmanager and notifications accepted by other receivers",
    note: "For an Alertmanager each alert counts again when it is repeated, once a minute while it fires. A receiver is notified of a group of alerts at once",
    kind: Kind::Counter,
    labels: &["integration", "receiver"],
    ..Metric::BLANK
};
/// Requests that failed.
pub static NOTIFICATION_FAILURES: Metric = Metric {
    name: "agent_notification_failures",
    help: "Attempts to notify an Alertmanager or another receiver that failed",
    note: "What was not accepted waits and is sent again",
    kind: Kind::Counter,
    labels: &["integration", "receiver"],
    ..Metric::BLANK
};
/// Alerts without room.
pub static NOTIFICATIONS_DROPPED: Metric = Metric {
    name: "agent_notifications_dropped",
    help: "Alerts dropped because too many waited",
    kind: Kind::Counter,
    labels: &["integration", "receiver"],
    ..Metric::BLANK
};
/// Alerts that wait.
pub static NOTIFICATIONS_WAITING: Metric = Metric {
    name: "agent_notifications_waiting",
    help: "Alerts that wait for an Alertmanager and notifications that wait for other receivers",
    labels: &["integration", "receiver"],
    ..Metric::BLANK
};
/// Time to deliver.
pub static NOTIFICATION_LATENCY: Metric = Metric {
    name: "agent_notification_latency",
    help: "Time from the change of an alert to the answer of the receiver for the last request",
    note: "For a receiver that is no Alertmanager, from when the notification was put together",
    unit: Unit::Seconds,
    labels: &["integration", "receiver"],
    ..Metric::BLANK
};
/// Lines of the log that were lost.
pub static LOG_LINES_LOST: Metric = Metric {
    name: "agent_log_lines_dropped",
    help: "Log lines that could not be written, by reason",
    note: "`queue_full`: the reader of the log does not keep up. `write_failed`: the disk is full or the pipe is closed",
    kind: Kind::Counter,
    labels: &["reason"],
    ..Metric::BLANK
};
/// Whether the event log cannot be written.
pub static EVENT_LOG_FAILING: Metric = Metric {
    name: "agent_event_log_failing",
    help: "Whether the event log cannot be written (1) or can (0)",
    note: "The log says why. Lines wait, 4 MiB at most",
    ..Metric::BLANK
};
/// Lines of the event log that were lost.
pub static EVENT_LOG_DROPPED: Metric = Metric {
    name: "agent_event_log_dropped_lines",
    help: "Lines of the event log that were lost because it could not be written in time",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Reports that were filed.
pub static REPORTS_WRITTEN: Metric = Metric {
    name: "agent_reports_written",
    help: "Reports of sessions that were written into the folder of reports",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Attempts to file one that failed.
pub static REPORT_FAILURES: Metric = Metric {
    name: "agent_report_failures",
    help: "Attempts to write the report of a session that failed",
    note: "Each is tried again for a week. The log says why",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Reports that were given up.
pub static REPORTS_DROPPED: Metric = Metric {
    name: "agent_reports_dropped",
    help: "Reports of sessions that will never be written",
    note: "They could not be written for a week, or so many sessions came meanwhile that theirs were forgotten",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Whether something that is done with reports fails.
pub static REPORTS_FAILING: Metric = Metric {
    name: "agent_reports_failing",
    help: "Whether reports cannot be written, sent or deleted (1) or can (0), by operation",
    note: "`session`: the report of a session could not be written and is tried again. `schedule`: the last report of a task could not be made, written or sent. `cleanup`: the folder cannot be read, or old reports in it not be deleted. The log says why",
    labels: &["operation"],
    ..Metric::BLANK
};
/// Bytes of the reports in their folder.
pub static REPORTS_SIZE: Metric = Metric {
    name: "agent_reports",
    help: "Size of the reports in their folder, 0 where none is named",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Whether the recording cannot be written.
pub static RECORDING_FAILING: Metric = Metric {
    name: "agent_recording_failing",
    help: "Whether writing the recording fails (1) or not (0)",
    note: "Concerns the file that `neural-exporter record` writes",
    ..Metric::BLANK
};
/// Pieces that are missing in the recording.
pub static RECORDING_LOST: Metric = Metric {
    name: "agent_recording_dropped_reads",
    help: "Reads missing in the recording because the disk was full or too slow",
    note: "Each gap is marked in the recording",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Bytes that are missing in the recording.
pub static RECORDING_LOST_BYTES: Metric = Metric {
    name: "agent_recording_dropped",
    help: "Bytes missing in the recording because the disk was full or too slow",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// The time of the agent.
pub static TIME: Metric = Metric {
    name: "agent_time",
    help: "Unix time of the agent's clock at the scrape",
    unit: Unit::Seconds,
    ..Metric::BLANK
};
/// Time to write a scrape.
pub static SCRAPE_DURATION: Metric = Metric {
    name: "agent_scrape_duration",
    help: "Time to write and compress the response to a scrape",
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
pub static SERIES: Metric = Metric { name: "agent_series", help: "Series in memory", ..Metric::BLANK };
/// Series at most.
pub static SERIES_LIMIT: Metric =
    Metric { name: "agent_series_limit", help: "Configured limit of series", ..Metric::BLANK };
/// Bytes of series now.
pub static MEMORY: Metric = Metric {
    name: "agent_series_memory",
    help: "Memory of series, their labels and the text of a scrape",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Bytes of series at most.
pub static MEMORY_LIMIT: Metric = Metric {
    name: "agent_series_memory_limit",
    help: "Configured limit of the memory for series",
    unit: Unit::Bytes,
    ..Metric::BLANK
};
/// Events that found no series of their own.
pub static REFUSED: Metric = Metric {
    name: "agent_series_refused",
    help: "Events over the limit of series, by metric family",
    note: "Counters and histograms count them in a series with the label value `_other`; gauges drop them",
    kind: Kind::Counter,
    labels: &["family"],
    ..Metric::BLANK
};
/// Label values that were cut.
pub static CUT: Metric = Metric {
    name: "agent_label_values_truncated",
    help: "Label values truncated to the configured length",
    note: "A truncated value ends in a hash of the whole value. Counted once for each new series",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// When everything was last pushed.
pub static PROVISION_SUCCESS: Metric = Metric {
    name: "provision_last_success_timestamp",
    help: "Unix time of the last push that left every generated object in place",
    unit: Unit::Seconds,
    labels: &["target"],
    ..Metric::BLANK
};
/// What came of the last push.
pub static PROVISION_OBJECTS: Metric = Metric {
    name: "provision_objects",
    help: "Objects of the last push, by result",
    labels: &["target", "result"],
    ..Metric::BLANK
};
/// Samples that a server has.
pub static REMOTE_WRITE_SENT: Metric = Metric {
    name: "remote_write_samples",
    help: "Samples sent by remote write and accepted, by target",
    labels: &["target"],
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Samples that it does not have.
pub static REMOTE_WRITE_DROPPED: Metric = Metric {
    name: "remote_write_dropped_samples",
    help: "Samples that a target of remote write did not get, by reason",
    note: "`rejected`: it answered with a status that no other try changes; of version 1.0 it is not known whether it took a part. `not_written`: it answered that it wrote fewer. `relabelled`: `write_relabel_configs` dropped them. `incomplete`: parts of a histogram or summary for OTLP are missing or contradict each other",
    labels: &["target", "reason"],
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Exemplars, and what became of them.
pub static REMOTE_WRITE_EXEMPLARS: Metric = Metric {
    name: "remote_write_exemplars",
    help: "Exemplars for a target of remote write, by result",
    note: "`sent`, or a reason as samples have them, or `forgotten`: the history keeps the last 10,000, in memory alone, and others came before these were sent",
    labels: &["target", "result"],
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Requests that are sent again.
pub static REMOTE_WRITE_RETRIES: Metric = Metric {
    name: "remote_write_retries",
    help: "Requests of remote write that failed and are sent again",
    labels: &["target"],
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Time that is lost.
pub static REMOTE_WRITE_LOST: Metric = Metric {
    name: "remote_write_lost",
    help: "Time whose samples a target of remote write never gets whole: the history lost it or cannot be read",
    note: "Time in which the agent did not run is in it where the history begins after it",
    labels: &["target"],
    kind: Kind::Counter,
    unit: Unit::Seconds,
    ..Metric::BLANK
};
/// Pushes to a Pushgateway.
pub static PUSHES: Metric = Metric {
    name: "pushgateway_pushes",
    help: "Pushes to a Pushgateway, by result",
    note: "`failure`: the next push has everything that this one had. What was pushed last says when in `push_time_seconds` of the gateway",
    labels: &["target", "result"],
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// How far behind.
pub static REMOTE_WRITE_LAG: Metric = Metric {
    name: "remote_write_lag",
    help: "Age of the newest scrape that a target of remote write has whole",
    note: "Up to `history.interval` while all is well",
    labels: &["target"],
    unit: Unit::Seconds,
    ..Metric::BLANK
};
/// What waits for an answer.
pub static REMOTE_WRITE_PENDING: Metric = Metric {
    name: "remote_write_pending_samples",
    help: "Samples read from the history for a target of remote write and not answered yet",
    note: "What else waits is in the history: see the lag",
    labels: &["target"],
    ..Metric::BLANK
};
