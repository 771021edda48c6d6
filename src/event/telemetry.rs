//! What programs tell by OpenTelemetry, beside metrics: spans, records of logs, and when it was sent.

use super::TraceId;

/// One span: an operation of a service, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span<'a> {
    /// The service it belongs to.
    pub service: &'a str,
    /// What was done: a name that many spans share.
    pub name: &'a str,
    /// Which side of a conversation it is.
    pub kind: SpanKind,
    /// How long it took.
    pub seconds: f64,
    /// Whether its status is that of an error.
    pub failed: bool,
    /// The trace it belongs to.
    pub trace: Option<TraceId>,
}

labels! {
    /// Which side of a conversation a span is.
    SpanKind {
        /// Nobody said.
        Unspecified = "unspecified",
        /// Within a service.
        Internal = "internal",
        /// A request is answered.
        Server = "server",
        /// A request is made.
        Client = "client",
        /// A message is sent that nobody waits for.
        Producer = "producer",
        /// Such a message is worked on.
        Consumer = "consumer",
    }
}

/// One record of a log. What it says is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// The service that wrote it.
    pub service: &'a str,
    /// How grave it is.
    pub severity: Severity,
}

labels! {
    /// How grave a record of a log is.
    Severity {
        /// Nobody said.
        Unspecified = "unspecified",
        /// Of interest where one steps through a program.
        Trace = "trace",
        /// Of interest to who writes the program.
        Debug = "debug",
        /// Something happened as it should.
        Info = "info",
        /// Something is not as it should be.
        Warn = "warn",
        /// Something went wrong.
        Error = "error",
        /// The program cannot continue.
        Fatal = "fatal",
    }
}

labels! {
    /// What a request of OTLP carries.
    Telemetry {
        /// Spans.
        Traces = "traces",
        /// Data points.
        Metrics = "metrics",
        /// Records of logs.
        Logs = "logs",
    }
}

/// A service sent what it had collected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Export<'a> {
    /// The service.
    pub service: &'a str,
    /// What it sent.
    pub signal: Telemetry,
    /// The newest time in it by the sender's clock, seconds since the epoch, if there is any.
    pub newest: Option<f64>,
}
