//! The library seen from outside: the laws, the floors, the catalogue and the golden files.
//!
//! One binary, so that it is linked once. What needs partners (Prometheus, real clients) is tested
//! elsewhere.

#![expect(clippy::unwrap_used, clippy::panic, clippy::string_slice, reason = "a test that fails says so")]

mod allocation;
mod boards;
mod catalog;
mod dashboards;
mod datagrams;
mod described;
mod docs;
mod events_schema;
mod generated;
mod golden;
mod ingest;
mod laws;
mod noise;
mod openmetrics;
mod page;
mod promql;
mod reference;
mod rules;
mod serial;
mod signal;
mod tap;
mod tidy;
mod words;

use std::path::{Path, PathBuf};

use neural_exporter::event::Timestamp;
use neural_exporter::hub::Hub;
use neural_exporter::metrics::{Format, Own};

/// A second in which everything in these tests happens.
const NOW: Timestamp = Timestamp::both(1_700_000_000_000_000_000);

/// A place in the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The answer to a scrape, put together as `http` does it.
fn scrape(hub: &Hub, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    hub.write(format, NOW, &mut out);
    Own::new().write(format, NOW, || {}, &mut out);
    if format == Format::OpenMetrics {
        out.extend_from_slice(b"# EOF\n");
    }
    out
}
