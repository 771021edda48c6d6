//! Configurations and packs: no text makes the readers panic, every refusal says something, and what is
//! accepted reads back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::config::pack;
use neural_exporter::config;

fuzz_target!(|text: &str| {
    match config::parse("config.yml", text) {
        Ok(config) => {
            let printed = config.print();
            let again = config::parse("printed.yml", &printed);
            assert_eq!(again.as_ref(), Ok(&config), "{printed}");
        }
        Err(problems) => assert!(!problems.is_empty(), "a file is refused without a word"),
    }
    // Pages live as long as the program, so a fuzzer makes few of them.
    if text.len() < 300 {
        let _ = pack::parse("pack.yml", text);
    }
});
