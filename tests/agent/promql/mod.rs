//! PromQL from outside: bounds, interrupts, and what a storage is asked for. Prometheus' own tests are in `corpus`.

mod corpus;

use std::cell::Cell;
use std::collections::BTreeMap;

use neural_exporter::promql::{
    self, Answer, Each, Error, Interrupt, Kind, Labels, Matcher, NAME, Point, Query, Sample, Select,
    Selection, When,
};

/// Series in memory. Of native histograms it keeps the times alone, and whether a selection had one of them.
#[derive(Default)]
struct Storage {
    series: BTreeMap<Labels, BTreeMap<i64, Point>>,
    histograms_seen: Cell<bool>,
}

impl Select for Storage {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        for (labels, points) in
            self.series.iter().filter(|(labels, _)| Matcher::all(selection.matchers, labels))
        {
            let mut samples = Vec::new();
            for (t, point) in points {
                match point {
                    Point::Value(v) => samples.push(Sample { t: *t, v: *v }),
                    Point::Histogram if (selection.from..=selection.to).contains(t) => {
                        self.histograms_seen.set(true);
                    }
                    _ => {}
                }
            }
            each(labels, &samples)?;
        }
        Ok(())
    }
}

impl Storage {
    /// `load 5m` and the lines behind it.
    fn load(&mut self, head: &str, lines: &[&str]) -> Result<(), String> {
        let (command, step) = head.split_once(' ').ok_or("load without a step")?;
        let step = promql::read_duration(step.trim())?;
        // Of a series that is defined twice, the second definition is taken.
        let mut series = BTreeMap::new();
        for line in lines {
            let (labels, points) = promql::read_series(line).map_err(|error| error.text)?;
            if command == "load_with_nhcb" {
                let pairs = labels.iter().filter(|(name, _)| *name != "le");
                let base = labels.name().strip_suffix("_bucket").unwrap_or_else(|| labels.name());
                let pairs = pairs.map(|(name, value)| (name, if name == NAME { base } else { value }));
                series.insert(Labels::from_pairs(pairs), vec![Point::Histogram; points.len()]);
            }
            series.insert(labels, points);
        }
        for (labels, points) in series {
            let known = self.series.entry(labels).or_default();
            let timed = (0..).map(|i: i64| i * step).zip(points);
            known.extend(timed.filter(|(_, point)| *point != Point::Missing));
        }
        Ok(())
    }
}

/// The values of all `expr` below a value.
fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    if let Some(expr) = value.get("expr").and_then(serde_json::Value::as_str) {
        found.push(expr.to_owned());
    }
    match value {
        serde_json::Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        serde_json::Value::Object(values) => values.values().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

/// With what Grafana puts in place of its variables.
fn filled(expr: &str) -> String {
    let intervals = ["$__rate_interval", "$__interval", "$__range"];
    let expr = intervals.iter().fold(expr.to_owned(), |expr, name| expr.replace(name, "5m"));
    regex::Regex::new(r"\$\{?\w+(:\w+)?\}?").unwrap().replace_all(&expr, "x").into_owned()
}

#[test]
fn every_expression_that_is_shipped_is_read_and_answered() {
    let mut found = Vec::new();
    for (folder, end) in [("alert-rules", "yml"), ("dashboards", "json")] {
        for file in std::fs::read_dir(crate::at(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|found| found == end) {
                // JSON is YAML.
                let value = serde_yaml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
                expressions(&value, &mut found);
            }
        }
    }
    assert!(found.len() > 600, "{}", found.len());
    let storage = Storage::default();
    for expr in found.iter().map(|expr| filled(expr)) {
        let answer = ask(&expr, &Query::new(When::At(0)), &storage);
        let notes = answer.map(|answer| (answer.warnings, answer.infos));
        assert_eq!(notes, Ok((Vec::new(), Vec::new())), "{expr}");
        // A table sorts, which a range query does not.
        let answer = ask(&expr, &Query::new(HOUR), &storage);
        let only_sorting =
            |answer: Answer| answer.warnings.iter().all(|text| text.contains("sort is ineffective"));
        assert_eq!(answer.map(only_sorting), Ok(true), "{expr}");
    }
}

/// Series of a name that have samples each 15 s for an hour.
fn steady(count: usize) -> Storage {
    let mut storage = Storage::default();
    let lines: Vec<String> = (0..count).map(|i| format!("x{{i=\"{i}\"}} 0+{i}x240")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    storage.load("load 15s", &lines).unwrap();
    storage
}

fn ask(text: &str, query: &Query<'_>, storage: &Storage) -> Result<Answer, Error> {
    promql::parse(text).and_then(|expr| promql::evaluate(&expr, query, storage))
}

const HOUR: When = When::Range { start: 0, end: 3_600_000, step: 15_000 };

#[test]
fn long_expressions_are_split_as_prometheus_splits_them() {
    let selector = "neural_pipeline_stage_duration_seconds_bucket{job=\"agent\",stage=\"filter\"}";
    let text =
        format!("sum by(le) (rate({selector}[5m])) / on(le) group_left() (-count by (le)({selector}))");
    let split = format!(
        "  sum by (le) (rate({selector}[5m]))\n/ on (le) group_left ()\n  (-count by (le) ({selector}))"
    );
    assert_eq!(promql::format(&promql::parse(&text).unwrap()), split);
    let text = format!("histogram_quantile(0.99, sum by (le, stage) (rate({selector}[5m] offset 1h)))");
    let inner = format!("  sum by (le, stage) (rate({selector}[5m] offset 1h))");
    assert!(inner.len() > 100, "{inner}");
    let inner = format!("  sum by (le, stage) (\n    rate({selector}[5m] offset 1h)\n  )");
    let split = format!("histogram_quantile(\n  0.99,\n{inner}\n)");
    assert_eq!(promql::format(&promql::parse(&text).unwrap()), split);
}

#[test]
fn an_interrupt_ends_a_query() {
    let storage = steady(250);
    let expressions = [
        "x",
        "rate(x[5m])",
        "sum by (i) (x)",
        "quantile(0.5, x)",
        "topk(3, x)",
        "x + x",
        "max_over_time(x[30m:15s])",
        "histogram_quantile(0.5, label_replace(x, \"le\", \"$1\", \"i\", \"(.*)\"))",
        "count_values(\"v\", x)",
    ];
    for text in expressions {
        // However far it is, the first interrupt ends it.
        let asked = Cell::new(0_u64);
        let counted = Query {
            interrupt: &|| {
                asked.set(asked.get() + 1);
                None
            },
            ..Query::new(HOUR)
        };
        ask(text, &counted, &storage).unwrap();
        let whole = asked.get();
        assert!(whole > 200, "{text}: asked {whole} times");
        for end in [1, whole / 2, whole] {
            asked.set(0);
            let interrupt = || {
                asked.set(asked.get() + 1);
                (asked.get() >= end).then_some(Interrupt::Canceled)
            };
            let error =
                ask(text, &Query { interrupt: &interrupt, ..Query::new(HOUR) }, &storage).unwrap_err();
            assert_eq!((error.kind, asked.get()), (Kind::Canceled, end), "{text}");
        }
    }
}

#[test]
fn labels_that_a_query_makes_are_bounded() {
    let storage = steady(1_200);
    let nested = |times: usize, call: &str| {
        (0..times).fold("x{i='7'}".to_owned(), |inner, _| call.replace("{}", &inner))
    };
    // Each call doubles the label.
    let join = nested(40, "label_join({}, 'i', '', 'i', 'i')");
    let replace = nested(40, "label_replace({}, 'i', '$1$1', 'i', '(.*)')");
    // Each series gets a long one.
    let long = "n".repeat(60_000);
    let wide = format!("label_replace(x, 'a', '{long}', '', '')");
    let name = format!("count_values('{long}', x)");
    for (text, why) in [
        (join, "a label of more than 64 KiB"),
        (replace, "a label of more than 64 KiB"),
        (wide, "more than 64 MiB of labels"),
        (name, "more than 64 MiB of labels"),
    ] {
        let error = ask(&text, &Query::new(When::At(3_600_000)), &storage).unwrap_err();
        assert!(error.kind == Kind::Limit && error.text.contains(why), "{}", error.text);
    }
}

#[test]
fn a_query_holds_no_more_than_it_may() {
    let storage = steady(100);
    for (text, least) in [
        ("x", 24_100),
        ("rate(x[5m])", 24_100),
        ("x + x", 72_300),
        ("sum(x)", 24_100),
        ("max_over_time(sum(x)[30m:1s])", 540_000),
        ("vector(1)", 241),
    ] {
        let peak = ask(text, &Query::new(HOUR), &storage).unwrap().peak;
        assert!((least..2 * least).contains(&peak), "{text}: {peak}");
        let answer = ask(text, &Query { max_samples: peak, ..Query::new(HOUR) }, &storage);
        assert!(answer.is_ok(), "{text}");
        let error = ask(text, &Query { max_samples: peak - 1, ..Query::new(HOUR) }, &storage).unwrap_err();
        assert_eq!(error.kind, Kind::Limit, "{text}");
    }
    // What would have more steps than it may hold values does not begin.
    let error = ask("max_over_time(vector(1)[1000y:1ms])", &Query::new(HOUR), &storage).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    let error = ask("max_over_time(vector(1)[200y:1ms])", &Query::new(HOUR), &storage).unwrap_err();
    assert_eq!(error.kind, Kind::Limit, "{error}");
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let storage = Storage::default();
    let range =
        |start, end, step| ask("1", &Query::new(When::Range { start, end, step }), &storage).map(|_| ());
    assert!(range(0, 11_000, 1).is_ok() && range(5, 5, 1).is_ok());
    for (start, end, step) in [(0, 11_001, 1), (0, 1, 0), (0, 1, -1), (1, 0, 1), (i64::MIN, i64::MAX, 1)] {
        assert_eq!(range(start, end, step).unwrap_err().kind, Kind::Invalid, "{start} {end} {step}");
    }
    // The ends of time are times.
    for time in [i64::MIN, -1, 0, i64::MAX] {
        for text in [
            "rate(x[5m] offset 200y)",
            "x @ 9e12",
            "time()",
            "year()",
            "max_over_time(x[5m:1m])",
            "x offset -200y",
        ] {
            ask(text, &Query::new(When::At(time)), &storage).unwrap();
            ask(text, &Query::new(When::Range { start: time, end: time, step: i64::MAX }), &storage).unwrap();
        }
    }
    let whole = When::Range { start: i64::MIN, end: i64::MAX, step: i64::MAX };
    let error = ask("max_over_time(x[200y:1m] offset -200y)", &Query::new(whole), &storage).unwrap_err();
    assert_eq!(error.kind, Kind::Limit, "{error}");
    let error = ask("x[5m]", &Query::new(HOUR), &storage).unwrap_err();
    assert!(error.text.contains("range query"), "{error}");
}

#[test]
fn the_deepest_expression_is_evaluated_on_a_small_stack() {
    let evaluate = || {
        let storage = steady(1);
        for text in [
            format!("{}x{}", "(".repeat(99), ")".repeat(99)),
            format!("{}x", "-".repeat(99)),
            format!("x{}", " + x".repeat(99)),
            format!("{}x{}", "abs(".repeat(99), ")".repeat(99)),
            format!("{}x{}", "sum(".repeat(99), ")".repeat(99)),
            format!("{}x{}", "sum_over_time(sum(".repeat(33), ")[1s:1s])".repeat(33)),
        ] {
            let answer = ask(&text, &Query::new(When::At(0)), &storage);
            assert!(answer.is_ok(), "{text}: {answer:?}");
            assert!(!promql::format(&promql::parse(&text).unwrap()).is_empty());
        }
    };
    // What a thread of the runtime has.
    std::thread::Builder::new().stack_size(2 << 20).spawn(evaluate).unwrap().join().unwrap();
}

#[test]
fn an_error_of_the_storage_is_the_error_of_the_query() {
    struct Broken;
    impl Select for Broken {
        fn select(&self, _: &Selection<'_>, _: &mut Each<'_>) -> Result<(), Error> {
            Err(Error::storage("the disk is gone"))
        }
    }
    for text in ["x", "sum(rate(x[5m]))", "1 + x", "max_over_time(x[5m:])", "x[5m]"] {
        let expr = promql::parse(text).unwrap();
        let error = promql::evaluate(&expr, &Query::new(When::At(0)), &Broken).unwrap_err();
        assert_eq!(error, Error::storage("the disk is gone"), "{text}");
    }
}

#[test]
fn an_interrupt_ends_a_query_of_one_long_series() {
    let storage = steady(1);
    let asked = Cell::new(0);
    let interrupt = || {
        asked.set(asked.get() + 1);
        (asked.get() > 6).then_some(Interrupt::Timeout)
    };
    // 3601 windows of up to 241 samples.
    let when = When::Range { start: 0, end: 3_600_000, step: 1000 };
    let query = Query { interrupt: &interrupt, ..Query::new(when) };
    assert_eq!(ask("quantile_over_time(0.5, x[10h])", &query, &storage).unwrap_err().kind, Kind::Timeout);
}

/// The storage is asked for what windows need, and no more than once for a selector, however many steps there are.
#[test]
fn a_selector_is_selected_once() {
    struct Asked(std::cell::RefCell<Vec<(i64, i64, i64, i64)>>);
    impl Select for Asked {
        fn select(&self, selection: &Selection<'_>, _: &mut Each<'_>) -> Result<(), Error> {
            let Selection { from, to, step, width, .. } = *selection;
            self.0.borrow_mut().push((from, to, step, width));
            Ok(())
        }
    }
    let minute = 60_000;
    for (text, expected) in [
        ("x", (1 - 5 * minute, 60 * minute, 15_000, 5 * minute)),
        ("rate(x[10m])", (1 - 10 * minute, 60 * minute, 15_000, 10 * minute)),
        ("rate(x[10m] offset 1h)", (1 - 70 * minute, 0, 15_000, 10 * minute)),
        ("x @ 60", (minute - 5 * minute + 1, minute, 0, 5 * minute)),
        ("max_over_time(x[10m:1m])", (1 - 14 * minute, 60 * minute, minute, 5 * minute)),
    ] {
        let asked = Asked(std::cell::RefCell::default());
        let expr = promql::parse(text).unwrap();
        promql::evaluate(&expr, &Query::new(HOUR), &asked).unwrap();
        assert_eq!(asked.0.into_inner(), [expected], "{text}");
    }
}
