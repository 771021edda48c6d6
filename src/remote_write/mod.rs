//! Remote write: what the history took is sent to servers of the configuration, and after an outage what they missed.
//!
//! The history is the queue. Of each target no more is held than the samples of one window, so that one that is away costs a number
//! in a file and nothing else.

mod delivery;
mod position;
mod sender;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::metrics::Own;
use crate::store::History;
pub use settings::{Authorization, BasicAuth, Message, Queue, Settings, Tls, twice};

/// Hands over the text of a scrape: of it only what families mean is read.
pub type Scrape = dyn Fn(&mut dyn FnMut(&str)) + Send + Sync;

/// What all targets have in common.
#[derive(Clone)]
pub struct Common {
    /// What is sent.
    pub history: Arc<History>,
    /// Where families are described.
    pub scrape: Arc<Scrape>,
    /// Where it is counted.
    pub own: Arc<Own>,
    /// The folder for positions, if there is one.
    pub folder: Option<PathBuf>,
}

impl std::fmt::Debug for Common {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Common").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The senders that run.
#[derive(Debug, Default)]
pub struct Senders {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Senders {
    /// Begins to send to each of these.
    #[must_use]
    pub fn start(targets: &[Settings], common: &Common) -> Self {
        let stop = CancellationToken::new();
        // A target that is new gets what comes from here on, however long its secrets and its position take to read.
        let begun = now().wall_milliseconds();
        let tasks = targets.iter().map(|settings| {
            let (stop, settings, common) = (stop.clone(), settings.clone(), common.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sender::run(&settings, common, begun) => {}
                }
            })
        });
        Self { tasks: tasks.collect(), stop }
    }

    /// Ends them at once: what was not sent is in the history, and is sent after the next start.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A panic was said by the hook.
            drop(task.await);
        }
    }
}
