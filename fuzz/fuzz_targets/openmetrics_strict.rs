//! OpenMetrics 1.0: no text makes a parser panic, what is right to the letter is taken, and what is taken can be
//! folded and scraped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::text::openmetrics::{Dialect, parse_strict, parse};

mod exposed;

fuzz_target!(|text: &[u8]| {
    if parse_strict(text).is_ok() {
        assert!(parse(text, Dialect::OpenMetrics, usize::MAX).is_ok());
    }
    let hub = exposed::hub();
    exposed::expose(&hub, text, Dialect::OpenMetrics);
    exposed::readable(&hub);
});
