//! The generated files, as this configuration has them.

use crate::catalog::{PAGES, agent};
use crate::config::Config;
use crate::http::Catalogue;
use crate::render::{self, File};

/// What the files are generated from, secrets that stand in the configuration included.
fn catalogue(config: &Config) -> Catalogue {
    let pages = PAGES.iter().copied().chain([&agent::PAGE]).chain(config.pages.0.iter().copied());
    Catalogue { pages: pages.collect(), settings: config.settings() }
}

/// What the files that are served are generated from: whoever reaches the port may read them.
pub(super) fn served(config: &Config) -> Catalogue {
    let mut all = catalogue(config);
    all.settings.alerts = all.settings.alerts.veiled();
    all
}

/// Every file that is generated.
#[must_use]
pub fn files(config: &Config) -> Vec<File> {
    let Catalogue { pages, settings } = catalogue(config);
    render::render(&pages, &settings)
}
