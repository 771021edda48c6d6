//! BrainVision Recorder, heard through its Remote Data Access.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::client::{Place, follow};
use crate::analysis::quality::{self, Judged};
use crate::decode::rda::Rda;
use crate::source::Feed;
use crate::source::pause::PAUSE;

/// BrainVision Recorder, through its Remote Data Access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name of the source, and of its stream.
    pub name: String,
    /// Where the Recorder is: `host:port`; port 51244 brings 32-bit floats, 51234 16-bit integers.
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

/// Reads what it sends until told to stop.
pub async fn run(of: Settings, feed: Feed, stop: CancellationToken) {
    // Not recorded: none of the protocols that play a recording again is this one.
    let feed = feed.stream(&of.name);
    let place = Place { address: of.address.clone(), pause: PAUSE };
    let mut again = false;
    let new = || {
        let decoder = Rda::new(&of.name, std::mem::replace(&mut again, true));
        Judged::new(Box::new(decoder), of.signal)
    };
    follow(place, feed, stop, new).await;
}
