//! BrainVision Recorder, heard through its Remote Data Access.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::client;
use crate::analysis::quality;
use crate::decode::program::rda::Rda;
use crate::source::Feed;
use crate::source::kind::{Kind, Start};

/// BrainVision Recorder, through its Remote Data Access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name of the source, and of its stream.
    pub name: String,
    /// Where the Recorder is: `host:port`; port 51244 sends 32-bit floats, 51234 16-bit integers.
    #[schemars(extend("format" = "endpoint"))]
    pub address: String,
    /// How the signal is judged.
    pub signal: quality::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "rda".to_owned(),
            address: "127.0.0.1:51244".to_owned(),
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

/// Reads what it sends until it is cancelled.
pub async fn run(of: Settings, feed: Feed, stop: CancellationToken) {
    client::judge(&of.name, of.address, of.signal, &feed, stop, Rda::new).await;
}
