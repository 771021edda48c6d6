//! OTLP: spans, data points and records of logs, as protobuf or as JSON [opentelemetry-proto, 1.9].
//!
//! A request is checked as a whole before anything of it counts, so that what is answered with an error was not counted. Then
//! each span, point and record is an event or a fault, and of none anything is kept but what adds up. It knows nothing of
//! HTTP and gRPC.

pub mod answer;
mod attribute;
mod call;
mod json;
mod log;
mod metric;
mod names;
mod resource;
mod schema;
pub(crate) mod span;
mod time;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::metric::ucum;
use self::metric::{Scratch, Sender, Streams};
use self::names::Names;
use self::resource::{Resource, Scope};
use self::schema::{DEPTH, Message};
use self::time::Newest;
use super::Sink;
use super::text::jsonl::Prices;
use crate::event::{Body, Export, Fault, FaultKind, Telemetry, Timestamp};
use crate::protobuf::messages;

/// Spans and records that are folded under one lock.
const BATCH: usize = 256;

/// A span or a record that was read, and its bytes.
type Item<'a> = (Result<Body<'a>, FaultKind>, &'a [u8]);

/// What of a request becomes labels and stages.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Attributes of resources that become labels of data points.
    pub resource_attributes: Vec<String>,
    /// Attributes of scopes that become labels of data points; `name` and `version` are those of the scope itself.
    pub scope_attributes: Vec<String>,
    /// Names of spans that each service may have.
    pub span_names: u32,
    /// The attribute that says to which pipeline a span belongs.
    pub pipeline_attribute: String,
    /// The attribute that says which stage a span is a run of.
    pub stage_attribute: String,
    /// The attribute that says how many items the run worked on.
    pub items_attribute: String,
    /// What calls of language models cost.
    pub prices: Arc<Prices>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            resource_attributes: Vec::new(),
            scope_attributes: Vec::new(),
            span_names: 200,
            pipeline_attribute: "neural.pipeline".to_owned(),
            stage_attribute: "neural.stage".to_owned(),
            items_attribute: "neural.items".to_owned(),
            prices: Arc::default(),
        }
    }
}

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Protocol Buffers.
    Protobuf,
    /// JSON, as OTLP has it.
    Json,
}

/// Folds what it is given a sink for, under one lock, and says how many events counted.
pub type Fold<'f> = dyn FnMut(&mut dyn FnMut(&mut Sink<'_>)) -> u64 + 'f;

/// A request that is well formed, as protobuf.
#[derive(Debug)]
pub struct Request<'a> {
    signal: Telemetry,
    message: Cow<'a, [u8]>,
}

/// Why nothing of a request counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What it is counted as.
    pub kind: FaultKind,
    /// A sentence for the sender.
    pub why: String,
}

impl<'a> Request<'a> {
    /// Checks a request to its innermost field.
    ///
    /// # Errors
    /// It is malformed somewhere.
    pub fn parse(signal: Telemetry, form: Form, body: &'a [u8]) -> Result<Self, Malformed> {
        let schema: &'static Message = match signal {
            Telemetry::Traces => &schema::TRACES,
            Telemetry::Metrics => &schema::METRICS,
            Telemetry::Logs => &schema::LOGS,
        };
        let message = match form {
            Form::Protobuf => Cow::from(body),
            Form::Json => {
                let mut message = Vec::new();
                let written = json::write(schema, body, &mut message);
                written.map_err(|why| {
                    let why = format!("the body is no {} request in JSON: {why}", signal.as_str());
                    Malformed { kind: FaultKind::Syntax, why }
                })?;
                message.into()
            }
        };
        schema.check(&message, DEPTH).map_err(|kind| {
            let what = match kind {
                FaultKind::Encoding => "a text in it is not UTF-8",
                FaultKind::Limit => "its values are too deep within each other",
                _ => "a field in it is malformed or cut",
            };
            Malformed { kind, why: format!("the body is no {} request: {what}", signal.as_str()) }
        })?;
        Ok(Self { signal, message })
    }

    /// What it carries.
    #[must_use]
    pub fn signal(&self) -> Telemetry {
        self.signal
    }

    /// It as protobuf, however it came.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Spans, data points or records in it.
    pub items: u64,
    /// How many of them counted.
    pub accepted: u64,
    /// Points that say that there is nothing to say.
    pub silent: u64,
    /// The first reason why one did not.
    pub reason: Option<FaultKind>,
}

impl RequestCounts {
    fn refuse(&mut self, kind: FaultKind, message: &[u8], out: &mut Sink<'_>) {
        self.reason.get_or_insert(kind);
        out(Body::Fault(Fault { kind, bytes: message.len() as u64 }));
    }

    /// How many did not count.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.items.saturating_sub(self.accepted + self.silent)
    }
}

/// The service that a `ResourceSpans` is of.
pub(crate) fn service(parent: &[u8]) -> String {
    Resource::of(parent, &Settings::default()).service.into_owned()
}

/// Reads requests of one source.
#[derive(Debug, Default)]
pub struct Otlp {
    settings: Settings,
    names: Names,
    streams: Streams,
    scratch: Scratch,
}

impl Otlp {
    /// A reader with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// One that does not know what was counted before this time, in nanoseconds since 1970: of a sum that began earlier,
    /// and whose sender keeps it itself, counts what comes from now on. With 0, everything counts.
    #[must_use]
    pub fn since(time: u64) -> Self {
        Self { streams: Streams::since(time), ..Self::default() }
    }

    /// Takes other settings.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Folds all of a request that came now.
    pub fn read(&mut self, request: &Request<'_>, now: Timestamp, fold: &mut Fold<'_>) -> RequestCounts {
        let mut counted = RequestCounts::default();
        for parent in messages(&request.message, 1) {
            let resource = Resource::of(parent, &self.settings);
            let mut newest = Newest::default();
            match request.signal {
                Telemetry::Metrics => self.metrics(parent, &resource, now, &mut newest, &mut counted, fold),
                signal => self.items(signal, parent, &resource, &mut newest, &mut counted, fold),
            }
            let export =
                Export { service: &resource.service, signal: request.signal, newest: newest.seconds() };
            fold(&mut |out| out(Body::Export(export)));
        }
        counted
    }

    fn metrics(
        &mut self,
        parent: &[u8],
        resource: &Resource<'_>,
        now: Timestamp,
        newest: &mut Newest,
        counted: &mut RequestCounts,
        fold: &mut Fold<'_>,
    ) {
        let Self { settings, streams, scratch, .. } = self;
        for scope in messages(parent, 2) {
            let sender = Sender { resource, scope: Scope::of(scope), settings, now: now.steady_second() };
            for metric in messages(scope, 2) {
                metric::read(metric, &sender, (streams, scratch), newest, counted, fold);
            }
        }
    }

    /// Spans and records are read before the lock is taken.
    fn items(
        &mut self,
        signal: Telemetry,
        parent: &[u8],
        resource: &Resource<'_>,
        newest: &mut Newest,
        counted: &mut RequestCounts,
        fold: &mut Fold<'_>,
    ) {
        let Self { settings, names, .. } = self;
        let mut batch: [Option<Item<'_>>; BATCH] = [None; BATCH];
        let mut items = messages(parent, 2).flat_map(|scope| messages(scope, 2));
        loop {
            let mut read = 0;
            for (place, message) in batch.iter_mut().zip(items.by_ref()) {
                let body = match signal {
                    Telemetry::Traces => span::read(message, resource, settings, names, newest),
                    _ => Ok(log::read(message, resource, newest)),
                };
                *place = Some((body, message));
                read += 1;
            }
            if read == 0 {
                return;
            }
            counted.items += read as u64;
            counted.accepted += fold(&mut |out| {
                for (body, message) in batch.iter().take(read).flatten() {
                    match body {
                        Ok(body) => out(*body),
                        Err(kind) => counted.refuse(*kind, message, out),
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
