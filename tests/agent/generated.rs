//! Files that are written from the code, committed, and compared here. `UPDATE=1` rewrites them.

use neural_exporter::catalog::{OWN, PAGES, Page, reference};
use neural_exporter::config::Config;
use neural_exporter::decode::engines;

use super::at;
use super::golden::same;

#[test]
fn the_metrics_reference_is_current() {
    let pages: Vec<&Page> = PAGES.iter().copied().chain(OWN.iter().copied()).collect();
    let text = reference::markdown(&pages) + &engines::reference::markdown();
    same(&at("METRICS.md"), &text);
}

#[test]
fn the_schema_of_the_configuration_is_current() {
    let mut text = serde_json::to_string_pretty(&Config::schema()).unwrap();
    text.push('\n');
    same(&at("deploy/config.schema.json"), &text);
}

#[test]
fn the_schema_of_packs_is_current() {
    let mut text = serde_json::to_string_pretty(&neural_exporter::config::pack::schema()).unwrap();
    text.push('\n');
    same(&at("deploy/pack.schema.json"), &text);
}

#[test]
fn the_schema_of_reports_is_current() {
    let mut text = serde_json::to_string_pretty(&neural_exporter::view::report::schema()).unwrap();
    text.push('\n');
    same(&at("deploy/report.schema.json"), &text);
}
