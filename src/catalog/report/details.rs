//! What a report lists or draws over its time: when packets were lost, when a channel was bad and why, markers, alerts.

use super::{Detail, Points};

/// When the agent was there.
pub static KNOWN: Detail = Detail {
    key: "known",
    labels: &[],
    points: Points::Close,
    ask: "max by (instance) (count_over_time(neural_agent_build_info[30s]) > bool 0)",
};

/// When the agent was scraped last: what changed from one point to the next did so between two scrapes, and no more is known of when.
pub static SCRAPED: Detail = Detail {
    key: "scraped",
    labels: &[],
    points: Points::Edges,
    ask: "max by (instance) (timestamp(neural_agent_build_info))",
};

/// When devices streamed.
pub static STREAMED: Detail = Detail {
    key: "streamed",
    labels: &["device"],
    points: Points::Close,
    ask: "max by (instance, device) (neural_device_streaming)",
};

/// Packets that were lost since the point before.
pub static LOST: Detail = Detail {
    key: "lost",
    labels: &["device"],
    points: Points::Close,
    ask: "sum by (instance, device) ($since(neural_device_lost_packets_total)) > 0",
};

/// The rate that devices should have, to tell how long a gap was.
pub static RATE: Detail = Detail {
    key: "rate",
    labels: &["device"],
    points: Points::Few,
    ask: "max by (instance, device) (last_over_time(neural_device_nominal_rate_hertz[$step]))",
};

/// Samples that streams lost since the point before.
pub static MISSING: Detail = Detail {
    key: "missing",
    labels: &["source", "stream"],
    points: Points::Close,
    ask: "sum by (instance, source, stream) ($since(neural_stream_missing_samples_total)) > 0",
};

/// Markers since the point before.
pub static MARKERS: Detail = Detail {
    key: "markers",
    labels: &["source", "stream"],
    points: Points::Close,
    ask: "sum by (instance, source, stream) ($since(neural_stream_markers_total)) > 0",
};

/// When channels were assessed.
pub static ASSESSED: Detail = Detail {
    key: "assessed",
    labels: &["device", "channel"],
    points: Points::Few,
    ask: "min by (instance, device, channel) (min_over_time(neural_channel_quality_ratio[$step]))",
};

/// The share of the time in which channels were bad, by reason.
pub static BAD: Detail = Detail {
    key: "bad",
    labels: &["device", "channel", "reason"],
    points: Points::Few,
    ask: "max by (instance, device, channel, reason) (avg_over_time(neural_channel_bad[$step])) > 0",
};

/// When alerts fired.
pub static FIRING: Detail = Detail {
    key: "firing",
    labels: &["alertname"],
    points: Points::Close,
    ask: "ALERTS{alertstate='firing',severity!~'info|none'}",
};

/// All of them.
pub static DETAILS: &[&Detail] =
    &[&KNOWN, &SCRAPED, &STREAMED, &LOST, &RATE, &MISSING, &MARKERS, &ASSESSED, &BAD, &FIRING];
