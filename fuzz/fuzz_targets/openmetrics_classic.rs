//! The classic text format: no text makes the parser panic, and what it accepts can be folded and scraped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::text::openmetrics::Dialect;

mod exposed;

fuzz_target!(|text: &[u8]| {
    let hub = exposed::hub();
    exposed::expose(&hub, text, Dialect::Classic);
    exposed::readable(&hub);
});
