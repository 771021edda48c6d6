//! The classic text format: no text makes the parser panic, and what it accepts can be folded and scraped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::openmetrics::Dialect;

mod scraped;

fuzz_target!(|text: &[u8]| {
    let hub = scraped::hub();
    scraped::expose(&hub, text, Dialect::Classic);
    scraped::readable(&hub);
});
