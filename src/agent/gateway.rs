//! Pushes of a running agent to Pushgateways, from time to time and at its end.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Agent;
use crate::pushgateway::{Common, Pushers, Settings};

/// What pushes, and with which settings it was begun.
#[derive(Debug, Default)]
pub(super) struct Gateways(Mutex<Option<(Vec<Settings>, Pushers)>>);

impl Agent {
    /// Pushes as the configuration says, in the place of what pushes now.
    pub(super) async fn push_metrics(&self) {
        let wanted = &self.config.push;
        let before = self.gateways.0.lock().take();
        let running = match before {
            Some((settings, running)) if settings == *wanted => Some((settings, running)),
            other => {
                if let Some((_, running)) = other {
                    running.stop().await;
                }
                (!wanted.is_empty()).then(|| (wanted.clone(), Pushers::start(wanted, &self.pushed())))
            }
        };
        *self.gateways.0.lock() = running;
    }

    /// The last push of each. What sources sent until the end is in it.
    pub(super) async fn end_pushes(&self) {
        let running = self.gateways.0.lock().take();
        if let Some((_, running)) = running {
            running.stop().await;
        }
    }

    /// What gateways have in common.
    #[must_use]
    pub fn pushed(&self) -> Common {
        let site = self.site.clone();
        Common {
            scrape: Arc::new(move || site.text()),
            own: self.own.clone(),
            job: self.config.alerts.job.clone(),
        }
    }
}
