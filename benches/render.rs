//! What it costs to render the catalogue: every dashboard, rule, test, runbook, route and manifest.
//!
//! Nothing is written; a push or `generate` pays for its files besides.

use divan::Bencher;
use divan::counter::BytesCount;
use neural_exporter::catalog::{OWN, PAGES, Page};
use neural_exporter::render::{Settings, dashboard, render};

fn main() {
    divan::main();
}

fn pages() -> Vec<&'static Page> {
    PAGES.iter().copied().chain(OWN.iter().copied()).collect()
}

/// All files, as `generate` and a push have them.
#[divan::bench]
fn every_file(bencher: Bencher<'_, '_>) {
    let (pages, settings) = (pages(), Settings::default());
    let bytes: usize = render(&pages, &settings).iter().map(|file| file.text.len()).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| render(divan::black_box(&pages), &settings));
}

/// The dashboards alone, both flavours.
#[divan::bench]
fn dashboards(bencher: Bencher<'_, '_>) {
    let (pages, settings) = (pages(), Settings::default());
    bencher.bench_local(|| dashboard::files(divan::black_box(&pages), &settings));
}
