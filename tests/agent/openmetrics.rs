//! The published cases of OpenMetrics 1.0, judged by our strict parser; the tolerant one takes all that are right. Their origin is in the folder's NOTICE.

use std::path::Path;

use neural_exporter::decode::text::openmetrics::{Dialect, parse, parse_strict};

#[test]
fn the_published_cases_are_judged_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openmetrics");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        if !case.is_dir() {
            continue;
        }
        cases += 1;
        let text = std::fs::read(case.join("metrics")).unwrap();
        let verdict = std::fs::read(case.join("test.json")).unwrap();
        let verdict: serde_json::Value = serde_json::from_slice(&verdict).unwrap();
        let parsed = parse_strict(&text);
        let taken = parse(&text, Dialect::OpenMetrics, 10_000);
        if parsed.is_ok() && !taken.as_ref().is_ok_and(|taken| taken.refused.is_empty()) {
            wrong.push(format!("{}: {taken:?}", case.display()));
        }
        if parsed.is_ok() != verdict["shouldParse"].as_bool().unwrap() {
            wrong.push(format!("{}: {parsed:?}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(cases, 211);
}
