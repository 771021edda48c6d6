//! The pages of the agent's inside: its configuration in effect, and the last lines of its log.

use super::{Reply, Site, reply};
use crate::clock::now;
use crate::view::html;

/// Shows the last lines of the log.
pub struct LastLines(pub Box<dyn Fn() -> Vec<String> + Send + Sync>);

impl std::fmt::Debug for LastLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LastLines")
    }
}

impl Site {
    /// The configuration in effect.
    pub(super) fn config_page(&self) -> Reply {
        reply::page(html::config_page(&self.config.load(), now().wall_milliseconds()))
    }

    /// The last lines of the log.
    pub(super) fn log_page(&self) -> Reply {
        let lines = self.log.get().map(|LastLines(lines)| lines()).unwrap_or_default();
        reply::page(html::log_page(&lines))
    }
}
