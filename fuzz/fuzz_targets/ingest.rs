//! `/metrics` cannot be broken from outside: bytes of every protocol into one hub, then a scrape.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::Protocol;
use neural_exporter::decode::text::openmetrics::Dialect;

mod exposed;

fuzz_target!(|data: &[u8]| {
    let hub = exposed::hub();
    // Inputs are separated by a byte that no UTF-8 has; the byte after it says whose they are.
    for input in data.split(|byte| *byte == 0xfe) {
        let Some((&whose, bytes)) = input.split_first() else { continue };
        match Protocol::ALL.get(usize::from(whose) % (Protocol::ALL.len() + 1)) {
            Some(&protocol) => exposed::stream(&hub, protocol, bytes),
            None => exposed::expose(&hub, bytes, Dialect::Classic),
        }
    }
    exposed::readable(&hub);
});
