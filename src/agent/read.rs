//! The files that a configuration names and sources need before they run: mapping rules, certificates.
//!
//! A file system that does not answer must stop neither what runs nor the end, so while the agent runs all of them are
//! read on a thread of its own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Source, Statsd, plain};
use crate::decode::mapping::{Mapper, Problem};
use crate::quote::quote;
use crate::source::scrape::Scrape;
use crate::sys::file;

/// How long files may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes a mapping file may have.
const MAPPING: u64 = 16 << 20;

/// What is in those files, or what is wrong with them, by the names of their sources.
#[derive(Debug, Default)]
pub(super) struct Files {
    mappings: HashMap<String, Result<Mapper, String>>,
    scrapes: HashMap<String, Result<Scrape, String>>,
}

impl Files {
    /// Reads those of these sources.
    pub(super) fn of(sources: &[Source]) -> Self {
        let mut files = Self::default();
        for source in sources {
            let name = source.name().to_owned();
            match source {
                Source::Statsd(Statsd { mapping: Some(path), .. }) => {
                    let mapping = read_mapping(&name, path);
                    files.mappings.insert(name, mapping);
                }
                Source::Scrape(of) => {
                    let scrape =
                        Scrape::open(of.clone()).map_err(|why| format!("cannot ask source {name}: {why}"));
                    files.scrapes.insert(name, scrape);
                }
                _ => {}
            }
        }
        files
    }

    /// The mapping rules of a source, if it has some.
    pub(super) fn mapping(&mut self, name: &str) -> Result<Option<Arc<Mapper>>, String> {
        self.mappings.remove(name).transpose().map(|mapper| mapper.map(Arc::new))
    }

    /// The client of a source that asks, ready to ask.
    pub(super) fn scrape(&mut self, name: &str) -> Result<Option<Scrape>, String> {
        self.scrapes.remove(name).transpose()
    }
}

/// Reads a mapping file, and says in the log what of it has no effect here.
fn read_mapping(source: &str, path: &Path) -> Result<Mapper, String> {
    let (mapper, notes) = parse_mapping(source, path)?;
    for note in notes {
        tracing::warn!(source, mapping = %path.display(), "{}", quote(note));
    }
    Ok(mapper)
}

fn parse_mapping(source: &str, path: &Path) -> Result<(Mapper, Vec<String>), String> {
    let shown = path.display();
    let text = file::text(path, MAPPING)
        .map_err(|e| format!("cannot read the mapping of source {source}, {shown}: {}", plain(&e)))?;
    Mapper::parse(&text).map_err(|problems| {
        let line = |p: &Problem| match (p.line, p.column) {
            (Some(line), Some(column)) => format!("{shown}:{line}:{column}: {}", p.message),
            (Some(line), None) => format!("{shown}:{line}: {}", p.message),
            _ => format!("{shown}: {}", p.message),
        };
        problems.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

/// What has no effect in the mapping files. Their mistakes are those of the configuration.
#[must_use]
pub fn mapping_notes(config: &Config) -> Vec<String> {
    let files = config.sources.iter().filter_map(|source| match source {
        Source::Statsd(Statsd { mapping: Some(path), name, .. }) => Some((name, path)),
        _ => None,
    });
    let notes = files.filter_map(|(name, path)| Some((path, parse_mapping(name, path).ok()?.1)));
    notes
        .flat_map(|(path, notes)| notes.into_iter().map(move |n| format!("{}: {n}", path.display())))
        .collect()
}
