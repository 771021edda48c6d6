//! Page: spans that are sent. Its metrics are the agent's own, as those of the page `agent`.

use super::{Metric, Page, Unit};
use crate::event::Kind;

/// Spans that are sent.
pub static PAGE: Page = Page {
    id: "trace",
    title: "Spans that are sent",
    about: "What became of the spans that `trace.targets` are sent: accepted, waiting, dropped and why.",
    metrics: &[&SENT, &DROPPED, &UNSAMPLED, &FAILURES, &FAILING, &WAITING, &QUEUE],
};

/// Spans that a target took.
pub static SENT: Metric = Metric {
    name: "agent_trace_sent_spans",
    help: "Spans that a target of traces accepted",
    kind: Kind::Counter,
    labels: &["target"],
    ..Metric::BLANK
};
/// Spans that were dropped.
pub static DROPPED: Metric = Metric {
    name: "agent_trace_dropped_spans",
    help: "Spans that were not sent to a target of traces, by reason",
    note: "`queue_full`: memory and disk of its queue are full, the oldest go. `rejected`: the target answered that it does not accept them. `disk_failed`: the disk could not be written or read. `stopped`: the agent ended and there is no disk. `collector_full`: more spans at once than fit into 16 MiB. What a target accepted, what was dropped and what waits is, to the span, what was collected",
    kind: Kind::Counter,
    labels: &["target", "reason"],
    ..Metric::BLANK
};
/// Spans whose trace is not sent.
pub static UNSAMPLED: Metric = Metric {
    name: "agent_trace_unsampled_spans",
    help: "Spans that are not sent because their trace is not sampled",
    note: "See `trace.sampling`. Spans that failed or were slow are always sent",
    kind: Kind::Counter,
    ..Metric::BLANK
};
/// Requests that failed.
pub static FAILURES: Metric = Metric {
    name: "agent_trace_failures",
    help: "Requests with spans that a target of traces did not accept",
    note: "Those that may succeed later are sent again; see `neural_agent_trace_dropped_spans_total` for the others",
    kind: Kind::Counter,
    labels: &["target"],
    ..Metric::BLANK
};
/// Whether the last request failed.
pub static FAILING: Metric = Metric {
    name: "agent_trace_failing",
    help: "Whether the last request with spans to a target failed (1) or not (0)",
    note: "The log says why",
    labels: &["target"],
    ..Metric::BLANK
};
/// Spans that wait.
pub static WAITING: Metric = Metric {
    name: "agent_trace_waiting_spans",
    help: "Spans that wait for a target of traces",
    labels: &["target"],
    ..Metric::BLANK
};
/// Bytes that wait.
pub static QUEUE: Metric = Metric {
    name: "agent_trace_queue",
    help: "Size of the spans that wait for a target of traces, in memory and on disk",
    note: "`place` is `memory` or `disk`. Limits: `trace.queue`",
    unit: Unit::Bytes,
    labels: &["target", "place"],
    ..Metric::BLANK
};
