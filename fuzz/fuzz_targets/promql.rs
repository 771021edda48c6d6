//! Expressions: no text makes the parser or the evaluator panic or run without end, and what was read is read again from how
//! it is written.

#![no_main]

use std::cell::Cell;

use libfuzzer_sys::fuzz_target;
use neural_exporter::promql::{self, Each, Error, Interrupt, Labels, Matcher, Query, STALE, Sample, Select, Selection, When};

/// Some series of few samples, with a gap, a reset, a mark of the end and the odd values.
struct Storage(Vec<(Labels, Vec<Sample>)>);

impl Storage {
    fn new() -> Self {
        let odd = [f64::NAN, f64::INFINITY, -0.0, 1e308, STALE, -1.0];
        let series = (0..12_i64).map(|i| {
            let (name, job, bucket) = (["a", "b_total", "c_bucket"][i as usize % 3], i % 2, (i / 3 * 5).to_string());
            let le = if i > 8 { "+Inf" } else { bucket.as_str() };
            let labels = Labels::from_pairs([("__name__", name), ("job", if job == 0 { "x" } else { "y" }), ("le", le)]);
            let sample = |n: i64| {
                let v = if n % 17 == 0 { odd[(n as usize + i as usize) % odd.len()] } else { (n % 20 * i) as f64 };
                Sample { t: n * 15_000, v }
            };
            (labels, (0..80).filter(|n| n % 11 != i % 11).map(sample).collect())
        });
        Self(series.collect())
    }
}

impl Select for Storage {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        assert!(selection.width >= 0 && selection.step >= 0);
        for (labels, samples) in self.0.iter().filter(|(labels, _)| Matcher::all(selection.matchers, labels)) {
            each(labels, samples)?;
        }
        Ok(())
    }
}

fuzz_target!(|text: &str| {
    let Ok(expr) = promql::parse(text) else { return };
    let written = expr.to_string();
    // As in Prometheus, infinity is written with its sign, which is read as a sign before a number.
    for written in [&written, &promql::format(&expr)].into_iter().filter(|written| !written.contains("+Inf")) {
        let again = promql::parse(written).expect("what is written is read");
        assert_eq!(again.to_string(), expr.to_string(), "{written}");
    }
    let storage = Storage::new();
    for when in [When::At(600_000), When::Range { start: 0, end: 1_200_000, step: 30_000 }] {
        let asked = Cell::new(0_u32);
        let interrupt = || {
            asked.set(asked.get() + 1);
            (asked.get() > 20_000).then_some(Interrupt::Timeout)
        };
        let query = Query { interrupt: &interrupt, max_samples: 200_000, ..Query::new(when) };
        if let Ok(answer) = promql::evaluate(&expr, &query, &storage) {
            assert!(answer.peak <= 200_000);
        }
    }
});
