//! A FieldTrip buffer, read as one more of its clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::client;
use crate::analysis::quality;
use crate::decode::program::fieldtrip::FieldTrip;
use crate::source::Feed;
use crate::source::kind::{Kind, Start};

/// A FieldTrip buffer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name of the source, and of its stream.
    pub name: String,
    /// Where the buffer is: `host:port`.
    #[schemars(extend("format" = "endpoint"))]
    pub address: String,
    /// How the signal is judged.
    pub signal: quality::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "fieldtrip".to_owned(),
            address: "127.0.0.1:1972".to_owned(),
            signal: quality::Settings::default(),
        }
    }
}

impl Kind for Settings {
    client::at_an_address!();

    fn start(&self, start: Start) {
        start.run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Reads the buffer until it is cancelled.
pub async fn run(of: Settings, feed: Feed, stop: CancellationToken) {
    client::judge(&of.name, of.address, of.signal, &feed, stop, FieldTrip::new).await;
}
