//! Mapping files: no text makes the reader panic, and what it accepts maps names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::text::mapping::{Mapper, StatsdType};

fuzz_target!(|text: &str| {
    match Mapper::parse(text) {
        Ok((mapper, _)) => {
            for name in ["a.b.c", "eeg.packets.lost", "", "..", "é.x"] {
                for kind in [StatsdType::Counter, StatsdType::Gauge, StatsdType::Observer] {
                    let _ = mapper.map(name, kind);
                    let _ = mapper.verdict(name, kind);
                }
            }
        }
        Err(problems) => assert!(!problems.is_empty(), "a file is refused without a word"),
    }
});
