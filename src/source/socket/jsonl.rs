//! JSON lines from pipelines, over sockets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NewDecoder, Options, claim_folder, events_socket};
use crate::decode::text::jsonl::{Jsonl as Decoder, Prices};
use crate::decode::{self, Protocol};
use crate::listen::{Bytes, Listen, Many, Mode};
use crate::source::kind::{Claim, Context, Kind, Resource, Start};
use crate::source::record::Recorded;

/// Settings of a source that listens for lines: what all of them have, and then what this one has besides.
macro_rules! listening {
    ($(#[$about:meta])* pub struct $kind:ident { $(#[$listen:meta])* listen, $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $kind {
            /// The name of the source.
            pub name: String,
            $(#[$listen])*
            pub listen: Many<Listen>,
            /// Who may use its sockets in the file system.
            pub mode: Mode,
            /// The group that owns its sockets in the file system.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub group: Option<String>,
            /// The receive buffer requested from the kernel. The allocated size is a metric.
            pub receive_buffer: Bytes,
            /// Connections at once; `limits.connections` if omitted.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1))]
            pub connections: Option<u32>,
            /// Events per second above which events are dropped and counted; no limit if omitted.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1))]
            pub events_per_second: Option<u64>,
            /// Bytes of one line; `limits.line_bytes` if omitted.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 64, max = 16_777_216))]
            pub line_bytes: Option<usize>,
            $($own)*
        }
    };
}
pub(super) use listening;

listening! {
    /// JSON lines from pipelines.
    pub struct Jsonl {
        /// Where it listens; the default Unix socket if empty.
        listen,
    }
}

impl Default for Jsonl {
    fn default() -> Self {
        Self {
            name: "pipeline".to_owned(),
            listen: Many::default(),
            mode: Mode(0o660),
            group: None,
            receive_buffer: Bytes(4 << 20),
            connections: None,
            events_per_second: None,
            line_bytes: None,
        }
    }
}

impl Kind for Jsonl {
    fn name(&self) -> &str {
        &self.name
    }

    fn listen_addresses(&self) -> Vec<Listen> {
        if self.listen.is_empty() { vec![Listen::Unix(events_socket())] } else { self.listen.to_vec() }
    }

    fn options(&self, context: &Context) -> Option<Options> {
        Some(options(self.receive_buffer, self.mode, self.group.as_ref(), self.connections, context))
    }

    /// Makes the folder of a socket whose place nobody chose.
    fn prepare_socket(&self, listen: &Listen) -> io::Result<()> {
        match listen {
            Listen::Unix(path) if self.listen.is_empty() => claim_folder(path),
            _ => Ok(()),
        }
    }

    fn claims(&self) -> Vec<Claim> {
        let of = |place, item| Claim { place, key: "listen", item };
        if self.listen.is_empty() {
            return vec![of(Resource::DefaultSocket, None)];
        }
        let all = self.listen.iter().enumerate();
        all.map(|(index, listen)| of(Resource::Listen(listen.clone()), Some(index))).collect()
    }

    fn context(&self, all: &Context) -> Context {
        Context { prices: all.prices.clone(), ..all.of_socket() }
    }

    fn recorded(&self) -> Option<Recorded> {
        let (name, protocol) = (self.name.clone(), Protocol::Jsonl.name().to_owned());
        Some(Recorded { name, protocol, board: decode::Options::default() })
    }

    fn start(&self, start: Start) {
        let line_bytes = self.line_bytes.unwrap_or(start.context.line_bytes);
        let new_decoder = decoders(line_bytes, start.context.prices.clone());
        start.listen(self.events_per_second, |_| new_decoder.clone());
    }
}

/// What makes decoders of JSON lines.
pub(in crate::source) fn decoders(line_bytes: usize, prices: Arc<Prices>) -> Arc<NewDecoder> {
    Arc::new(move || Box::new(Decoder::new(line_bytes, prices.clone())))
}

/// How the sockets of lines are bound.
pub(in crate::source) fn options(
    receive_buffer: Bytes,
    mode: Mode,
    group: Option<&String>,
    connections: Option<u32>,
    context: &Context,
) -> Options {
    Options {
        receive_buffer: usize::try_from(receive_buffer.0).unwrap_or(usize::MAX),
        mode: mode.0,
        group: group.cloned(),
        ask: context.device.max(Duration::from_millis(10)),
        connections: connections.map_or(context.connections, |c| c as usize),
    }
}
