//! The files that a configuration names and sources need before they run: mapping rules, certificates.
//!
//! A file system that does not answer must stop neither what runs nor the end, so while the agent runs all of them are
//! read on a thread of its own.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::{Config, Source};
use crate::source::kind::Prepared;

/// How long files may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What is in those files, or what is wrong with them, by the names of their sources.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<String, Result<Prepared, String>>);

impl Files {
    /// Reads those of these sources.
    pub(super) fn of(sources: &[Source]) -> Self {
        Self(sources.iter().map(|of| (of.name().to_owned(), of.settings().prepare())).collect())
    }

    /// What was read for a source. Nothing if its files were not read.
    pub(super) fn take(&mut self, name: &str) -> Option<Result<Prepared, String>> {
        self.0.remove(name)
    }
}

/// What has no effect in the mapping files. Their mistakes are those of the configuration.
#[must_use]
pub fn mapping_notes(config: &Config) -> Vec<String> {
    let statsd = config.sources.iter().filter_map(|source| match source {
        Source::Statsd(of) => Some(of),
        _ => None,
    });
    statsd.flat_map(|of| of.mapping_notes()).collect()
}
