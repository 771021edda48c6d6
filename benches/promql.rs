//! What a question costs: read, and answered from 1,000 series in memory, at one time and at 1,000 times over a day.

use divan::Bencher;
use neural_exporter::promql::{self, Each, Error, Labels, Matcher, Query, Sample, Select, Selection, When};

fn main() {
    divan::main();
}

const SERIES: usize = 1000;
/// A sample each 5 s for 24 hours.
const SAMPLES: i64 = 17_280;
const END: i64 = SAMPLES * 5000;
const DAY: When = When::Range { start: 0, end: END, step: END / 1000 };

/// 20 metrics of 50 series.
struct Storage(Vec<(Labels, Vec<Sample>)>);

impl Storage {
    fn new() -> Self {
        let series = (0..SERIES).map(|i| {
            let (name, channel) = (format!("neural_device_{}_total", i % 20), (i / 20).to_string());
            let labels = [
                ("__name__", name.as_str()),
                ("device", "cyton"),
                ("channel", channel.as_str()),
                ("job", "agent"),
            ];
            let samples = (0..SAMPLES).map(|n| Sample { t: n * 5000, v: (n * (1 + i as i64 % 7)) as f64 });
            (Labels::from_pairs(labels), samples.collect())
        });
        Self(series.collect())
    }
}

impl Select for Storage {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        for (labels, samples) in self.0.iter().filter(|(labels, _)| Matcher::all(selection.matchers, labels))
        {
            let first = samples.partition_point(|sample| sample.t < selection.from);
            let last = samples.partition_point(|sample| sample.t <= selection.to);
            each(labels, &samples[first..last])?;
        }
        Ok(())
    }
}

const EXPRESSIONS: [&str; 6] = [
    "neural_device_1_total",
    "rate(neural_device_1_total[5m])",
    "sum by (device) (rate(neural_device_1_total[5m])) / on (device) count by (device) (neural_device_2_total) > 0.1",
    "max_over_time(neural_device_1_total[1h])",
    "max_over_time(rate(neural_device_1_total[5m])[30m:])",
    "{job=\"agent\"}",
];

#[divan::bench(args = EXPRESSIONS)]
fn read(bencher: Bencher<'_, '_>, text: &str) {
    bencher.bench(|| promql::parse(divan::black_box(text)).is_ok());
}

fn answer(bencher: Bencher<'_, '_>, text: &str, when: When) {
    let storage = Storage::new();
    match promql::parse(text) {
        Ok(expr) => {
            bencher.bench_local(|| promql::evaluate(&expr, &Query::new(when), divan::black_box(&storage)));
        }
        Err(error) => assert_eq!(error.text, "", "{text}"),
    }
}

#[divan::bench(args = EXPRESSIONS)]
fn at_one_time(bencher: Bencher<'_, '_>, text: &str) {
    answer(bencher, text, When::At(END));
}

#[divan::bench(args = EXPRESSIONS)]
fn over_a_day(bencher: Bencher<'_, '_>, text: &str) {
    answer(bencher, text, DAY);
}
