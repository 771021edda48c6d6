//! Files of rules, their templates and their unit tests: no text makes one panic or run without end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::alert::{Data, Definition, RuleFile, Suite, Template};
use neural_exporter::promql::{Element, Labels};

fuzz_target!(|input: (&str, &str)| {
    let (first, second) = input;
    if let Ok(template) = Template::parse(first) {
        let labels = Labels::from_pairs([("device", "cyton"), ("channel", "3")]);
        let query = |_: &str| Ok(vec![Element { labels: labels.clone(), value: 0.5 }]);
        let none = Labels::empty();
        let data = Data {
            labels: &labels,
            value: -1.5e7,
            external_labels: &none,
            external_url: "http://a/b",
            now: 0,
            query: &query,
        };
        if let Ok(text) = template.expand(&data) {
            assert!(text.len() <= 128 << 10);
        }
    }
    let rules = RuleFile::read("rules", second);
    let groups: Vec<(String, Definition)> =
        rules.into_iter().flat_map(|file| file.groups).map(|group| (String::new(), group)).collect();
    if let Ok(suite) = Suite::read("tests", first) {
        for test in suite.tests.iter().take(4) {
            drop(suite.run(test, &groups));
        }
    }
});
