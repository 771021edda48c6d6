//! What programs send by OpenTelemetry: OTLP over HTTP and gRPC, told apart by what a request says of itself.
//!
//! Nothing is kept but what adds up, and nothing is passed on.

mod body;
mod connection;
mod grpc;
mod http;
mod receiver;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::receiver::{Receiver, Senders};
use super::{Options, jsonl};
use crate::decode::otlp;
use crate::document::{Check, Path};
use crate::event::{Body, Link};
use crate::listen::{Bytes, Listen, Many, Mode};
use crate::source::kind::{Context, Kind, Start};

/// OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// The name of the source.
    pub name: String,
    /// Where it listens. Each place takes HTTP and gRPC: 4318 and 4317 are where programs look for the one and the other.
    pub listen: Many<Listen>,
    /// Who may use its sockets in the file system.
    pub mode: Mode,
    /// The group that owns its sockets in the file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Connections at once; `limits.connections` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub connections: Option<u32>,
    /// Spans, data points and records per second above which they are dropped and counted; no limit if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub events_per_second: Option<u64>,
    /// The largest request, compressed or not. All that are read at once have four times as much together.
    pub body_limit: Bytes,
    /// Attributes of resources that become labels of data points, beside `service`: `service.instance.id`.
    pub resource_attributes: Vec<String>,
    /// Attributes of scopes that become labels of data points, `otel_scope_…`; `name` and `version` are those of the scope.
    pub scope_attributes: Vec<String>,
    /// How many names of spans each service may have. The first ones count by themselves, all others as `_other`.
    #[schemars(range(min = 0, max = 10_000))]
    pub span_names: u32,
    /// The attribute of a span, or of its resource, that names the pipeline of a stage; the service if there is none.
    pub pipeline_attribute: String,
    /// The attribute of a span that names a stage: such a span is a run of that stage.
    pub stage_attribute: String,
    /// The attribute of such a span that says how many items the run worked on.
    pub items_attribute: String,
}

impl Default for Otlp {
    fn default() -> Self {
        let local = |port| Listen::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let otlp::Settings { span_names, pipeline_attribute, stage_attribute, items_attribute, .. } =
            otlp::Settings::default();
        Self {
            name: "otlp".to_owned(),
            listen: Many(vec![local(4318), local(4317)]),
            mode: Mode(0o660),
            group: None,
            connections: None,
            events_per_second: None,
            body_limit: Bytes(16 << 20),
            resource_attributes: Vec::new(),
            scope_attributes: Vec::new(),
            span_names,
            pipeline_attribute,
            stage_attribute,
            items_attribute,
        }
    }
}

/// The largest `body_limit`: the size of a frame of gRPC is a number of 32 bits, and all requests are held in memory.
const LARGEST: u64 = 64 << 20;

impl Kind for Otlp {
    fn name(&self) -> &str {
        &self.name
    }

    fn listen_addresses(&self) -> Vec<Listen> {
        self.listen.to_vec()
    }

    fn options(&self, context: &Context) -> Option<Options> {
        // The buffer is one of datagrams, and there are none.
        Some(jsonl::options(Bytes(0), self.mode, self.group.as_ref(), self.connections, context))
    }

    fn check(&self, check: &mut Check<'_>, path: &Path) {
        let listen = path.key("listen");
        if self.listen.is_empty() {
            *check.wrong(&listen, "the source listens nowhere") =
                Some("name an address such as tcp://127.0.0.1:4318, or remove the source".to_owned());
        }
        for place in
            self.listen.iter().filter(|place| matches!(place, Listen::Udp(_) | Listen::UnixDatagram(_)))
        {
            let wrong =
                check.wrong(&listen, format!("{place} takes datagrams, and OTLP comes over connections"));
            *wrong = Some("use tcp://, unix: or systemd:".to_owned());
        }
        if !(1024..=LARGEST).contains(&self.body_limit.0) {
            check.wrong(&path.key("body_limit"), "a request may have 1KiB to 64MiB");
        }
        for (key, value) in [
            ("pipeline_attribute", &self.pipeline_attribute),
            ("stage_attribute", &self.stage_attribute),
            ("items_attribute", &self.items_attribute),
        ] {
            if value.is_empty() {
                check.wrong(&path.key(key), "an attribute has a name");
            }
        }
    }

    fn context(&self, all: &Context) -> Context {
        Context { names: all.names.clone(), prices: all.prices.clone(), ..all.of_socket() }
    }

    fn start(&self, start: Start) {
        let feed = start.feed.clone().with_limit(self.events_per_second);
        let senders = Senders::of(&start.sockets, &feed, self.decoder_settings(&start.context));
        let body_limit = usize::try_from(self.body_limit.0).unwrap_or(usize::MAX);
        let receiver =
            Arc::new(Receiver::new(feed.clone(), senders, body_limit, start.context.names.clone()));
        for (listen, bound) in &start.sockets {
            if !bound.is_stream() {
                let why = format!("{listen} takes datagrams, and OTLP comes over connections");
                feed.down(&why);
                tracing::error!(source = feed.name(), "{why}");
                feed.send(Body::Link(Link::Down));
                continue;
            }
            let (stop, cut) = (start.stop.clone(), start.cut.clone());
            let (bound, receiver, tasks) = (bound.clone(), receiver.clone(), start.tasks.clone());
            feed.send(Body::Link(Link::Up));
            start.run(async move { connection::serve(&bound, &receiver, &stop, &cut, &tasks).await });
        }
    }
}

impl Otlp {
    fn decoder_settings(&self, context: &Context) -> otlp::Settings {
        otlp::Settings {
            resource_attributes: self.resource_attributes.clone(),
            scope_attributes: self.scope_attributes.clone(),
            span_names: self.span_names,
            pipeline_attribute: self.pipeline_attribute.clone(),
            stage_attribute: self.stage_attribute.clone(),
            items_attribute: self.items_attribute.clone(),
            prices: context.prices.clone(),
        }
    }
}

/// The message in the body of a call of gRPC, of at most `limit` bytes, where its headers say whether messages may be packed.
///
/// # Errors
/// What is wrong with its frame.
pub fn grpc_message(framed: Vec<u8>, packing: bool, limit: usize) -> Result<Vec<u8>, String> {
    grpc::message(framed, packing, limit, &mut body::Share::of(4 * limit)).map_err(|failure| failure.why)
}

/// How long a request may take to come.
const SENT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod counted;
#[cfg(test)]
mod tests;
