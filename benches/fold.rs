//! What an event costs from its bytes to its series, and what a scrape costs.
//!
//! Lines go through a decoder and the hub as they do from a socket. The scrape is written by our own
//! writer and, beside it, by the encoder of prometheus-client from the same series.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use neural_exporter::catalog::PAGES;
use neural_exporter::decode::Protocol;
use neural_exporter::event::{Body, Change, Event, FaultKind, Kind, Observation, Spell, Spelled, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::metrics::{Format, Limits, Mirror, Registry};
use neural_exporter::source::Feed;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode_registry;

const LINES: u64 = 10_000;
const NOW: Timestamp = Timestamp::both(1_700_000_000_000_000_000);

fn main() {
    divan::main();
}

/// Decodes and folds a stream of lines, read 64 KiB at a time.
fn ingest(bencher: Bencher<'_, '_>, protocol: Protocol, line: fn(u64, &mut String)) {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("bench"), "bench");
    let mut decoder = protocol.decoder();
    let mut text = String::new();
    for i in 0..LINES {
        line(i, &mut text);
        text.push('\n');
    }
    bencher.counter(ItemsCount::new(LINES)).counter(BytesCount::new(text.len())).bench_local(|| {
        for read in divan::black_box(text.as_bytes()).chunks(65_536) {
            feed.decode(NOW, read, 1, &mut *decoder);
        }
    });
    assert_eq!(hub.lock().accepted() % LINES, 0, "a line was refused");
}

#[divan::bench]
fn ingest_json_stages(bencher: Bencher<'_, '_>) {
    ingest(bencher, Protocol::Jsonl, |i, out| {
        let (stage, seconds) = (i % 20, i % 1000);
        let _ = write!(
            out,
            "{{\"type\":\"stage\",\"pipeline\":\"speller\",\"stage\":\"stage{stage}\",\"seconds\":0.{seconds:03},\"outcome\":\"ok\"}}"
        );
    });
}

#[divan::bench]
fn ingest_json_metrics_with_two_labels(bencher: Bencher<'_, '_>) {
    ingest(bencher, Protocol::Jsonl, |i, out| {
        let electrode = i % 32;
        let _ = write!(
            out,
            "{{\"metric\":\"impedance_ohms\",\"value\":{i}.5,\"labels\":{{\"electrode\":\"E{electrode}\",\"bank\":\"a\"}}}}"
        );
    });
}

#[divan::bench]
fn ingest_statsd_plain(bencher: Bencher<'_, '_>) {
    ingest(bencher, Protocol::Statsd, |i, out| {
        let _ = write!(out, "pipeline.stage{}.latency:{}.{}|ms", i % 20, i % 7, i % 10);
    });
}

#[divan::bench]
fn ingest_statsd_three_tags(bencher: Bencher<'_, '_>) {
    ingest(bencher, Protocol::Statsd, |i, out| {
        let (value, stage) = (i % 7, i % 20);
        let _ = write!(out, "pipeline.latency:{value}.5|ms|#pipeline:motor,stage:fft{stage},rig:north");
    });
}

/// What a scrape is made of.
#[derive(Clone, Copy, Debug)]
enum Series {
    Counters,
    Floats,
    /// Of twelve lines each.
    Histograms,
}

const ALL: [Series; 3] = [Series::Counters, Series::Floats, Series::Histograms];

/// A registry with so many series of one type, in families of a thousand.
fn registry(what: Series, series: u32) -> Registry {
    let most = usize::MAX;
    let limits = Limits {
        series: most,
        series_per_family: most,
        series_per_source: most,
        families: most,
        ..Limits::default()
    };
    let mut registry = Registry::new(PAGES, limits, HashMap::new());
    let source = registry.add_source("bench");
    for i in 0..series {
        let float = f64::from(i) * 1.100_000_000_000_3;
        let (kind, change) = match what {
            Series::Counters => (Kind::Counter, Change::Add(f64::from(i))),
            Series::Floats => (Kind::Gauge, Change::Set(float)),
            Series::Histograms => (Kind::Histogram, Change::Observe { value: float / 1e4, weight: 1.0 }),
        };
        let named = Named { number: i, kind };
        let key = i.to_ne_bytes();
        let body = Body::Observation(Observation { key: &key, spelling: &named, change, trace: None });
        assert_eq!(registry.fold(&Event { at: NOW, source, body }), Ok(()));
    }
    registry
}

struct Named {
    number: u32,
    kind: Kind,
}

impl Spell for Named {
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
        let Self { number, kind } = self;
        out.name = format!("bench_family_{}", number / 1000);
        out.kind = *kind;
        out.bounds = Some([0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0].into());
        out.labels = vec![
            ("pipeline".to_owned(), "speller".to_owned()),
            ("stage".to_owned(), format!("stage{:04}", number % 1000)),
        ];
        Ok(())
    }
}

#[divan::bench(args = ALL)]
fn scrape_10_000_series_by_our_writer(bencher: Bencher<'_, '_>, what: Series) {
    ours(bencher, what, 10_000);
}

#[divan::bench(args = ALL)]
fn scrape_100_000_series_by_our_writer(bencher: Bencher<'_, '_>, what: Series) {
    ours(bencher, what, 100_000);
}

fn ours(bencher: Bencher<'_, '_>, what: Series, series: u32) {
    let registry = registry(what, series);
    let mut out = Vec::new();
    registry.write_all(Format::OpenMetrics, NOW, &mut out);
    bencher.counter(ItemsCount::new(series)).counter(BytesCount::new(out.len())).bench_local(|| {
        out.clear();
        registry.write_all(Format::OpenMetrics, NOW, &mut out);
        divan::black_box(&out);
    });
}

#[divan::bench(args = ALL)]
fn scrape_10_000_series_by_prometheus_client(bencher: Bencher<'_, '_>, what: Series) {
    theirs(bencher, what, 10_000);
}

#[divan::bench(args = ALL)]
fn scrape_100_000_series_by_prometheus_client(bencher: Bencher<'_, '_>, what: Series) {
    theirs(bencher, what, 100_000);
}

fn theirs(bencher: Bencher<'_, '_>, what: Series, series: u32) {
    let mut client = prometheus_client::registry::Registry::default();
    #[expect(clippy::disallowed_methods, reason = "the library's writer is what ours is compared with")]
    client.register_collector(Box::new(Mirror(Arc::new(Mutex::new(registry(what, series))))));
    let mut out = String::new();
    let _ = encode_registry(&mut out, &client);
    bencher.counter(ItemsCount::new(series)).counter(BytesCount::new(out.len())).bench_local(|| {
        out.clear();
        let _ = encode_registry(&mut out, &client);
        divan::black_box(&out);
    });
}
