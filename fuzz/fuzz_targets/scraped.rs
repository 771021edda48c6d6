//! What a target answers is read, whatever it answers, and `/metrics` stays readable: a bad sample costs a sample.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::text::openmetrics::Dialect;

mod exposed;

fuzz_target!(|data: &[u8]| {
    let Some((&dialect, answer)) = data.split_first() else { return };
    let hub = exposed::hub();
    let dialect = if dialect % 2 == 0 { Dialect::OpenMetrics } else { Dialect::Classic };
    exposed::expose(&hub, answer, dialect);
    // The next answer of the same target finds the series that are there.
    exposed::expose(&hub, answer, dialect);
    exposed::readable(&hub);
});
