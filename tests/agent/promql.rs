//! Prometheus' own engine tests, run by our engine: `tests/promql/`, whose README says what they are and where they come from.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use neural_exporter::promql::{
    self, Answer, Each, Error, Interrupt, Kind, Labels, Matcher, NAME, Point, Query, Sample, Select,
    Selection, Value, When,
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

/// One `eval` and what is expected of it.
#[derive(Debug, Default)]
struct Case {
    expr: String,
    at: Option<i64>,
    range: Option<(i64, i64, i64)>,
    /// Times of the expected samples, if they are not those of the query.
    times: Option<(i64, i64)>,
    fails: bool,
    ordered: bool,
    text: Option<String>,
    number: Option<f64>,
    /// Kind (`warn`), how it is compared (`msg`, `regex` or nothing), and the text.
    expects: Vec<(String, String, String)>,
    series: Vec<(Labels, Vec<Point>)>,
}

fn duration(text: &str) -> Result<i64, String> {
    promql::read_duration(text).map_err(|why| format!("{text}: {why}"))
}

/// `from 0 to 1m step 30s rest`.
fn times(text: &str) -> Result<(i64, i64, i64, &str), String> {
    let words = || text.split_whitespace();
    let ["from", from, "to", to, "step", step] = words().take(6).collect::<Vec<_>>()[..] else {
        return Err(format!("no times: {text}"));
    };
    let rest = words().take(6).fold(text, |rest, word| rest.trim_start().strip_prefix(word).unwrap_or(rest));
    Ok((duration(from)?, duration(to)?, duration(step)?, rest.trim()))
}

impl Case {
    fn read(head: &str, lines: &[&str]) -> Result<Self, String> {
        let mut case = Self::default();
        let (command, rest) = head.split_once(' ').ok_or("eval of nothing")?;
        case.fails = command == "eval_fail";
        case.ordered = command == "eval_ordered";
        if let kind @ ("warn" | "info") = command.trim_start_matches("eval_") {
            case.expects.push((kind.into(), String::new(), String::new()));
        }
        let rest = rest.trim();
        if let Some(rest) = rest.strip_prefix("range") {
            let (from, to, step, expr) = times(rest.trim())?;
            case.range = Some((from, to, step));
            case.expr = expr.into();
        } else {
            let rest = rest.strip_prefix("instant at").ok_or("neither instant nor range")?.trim();
            let (at, expr) = rest.split_once(' ').ok_or("no expression")?;
            case.at = Some(duration(at)?);
            case.expr = expr.trim().into();
        }
        for line in lines {
            case.line(line)?;
        }
        Ok(case)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let Some(rest) = line.strip_prefix("expect ") else {
            let number = line.parse::<f64>();
            if let (Ok(number), None) = (number, self.range) {
                self.number = Some(number);
            } else {
                self.series.push(promql::read_series(line).map_err(|error| error.text)?);
            }
            return Ok(());
        };
        if let Some(rest) = rest.strip_prefix("range vector ") {
            let (from, to, step, _) = times(rest)?;
            self.times = Some((from, step));
            self.at = Some(to);
        } else if let Some(rest) = rest.strip_prefix("string ") {
            let expr = promql::parse(rest.trim()).map_err(|error| error.text)?;
            let query = Query::new(When::At(0));
            match promql::evaluate(&expr, &query, &Storage::default()).map_err(|error| error.text)?.value {
                Value::Text(text) => self.text = Some(text),
                other => return Err(format!("no text: {other:?}")),
            }
        } else {
            let (kind, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let (how, text) = rest.split_once(':').unwrap_or(("", rest));
            match kind {
                "fail" => self.fails = true,
                "ordered" => self.ordered = true,
                _ => {}
            }
            self.expects.push((kind.into(), how.trim().into(), text.trim().into()));
        }
        Ok(())
    }

    /// Whether a text is what a line expects.
    fn fits(how: &str, expected: &str, text: &str) -> bool {
        match how {
            "msg" => text == expected,
            "regex" => regex::Regex::new(expected).unwrap().is_match(text),
            _ => true,
        }
    }

    fn run(&self, storage: &Storage) -> Result<(), String> {
        let ask = |when| {
            promql::parse(&self.expr).and_then(|expr| promql::evaluate(&expr, &Query::new(when), storage))
        };
        let when = match (self.range, self.at) {
            (Some((start, end, step)), _) => When::Range { start, end, step },
            (None, at) => When::At(at.unwrap_or_default()),
        };
        let answer = match (ask(when), self.fails) {
            (Ok(answer), false) => answer,
            (Ok(answer), true) => return Err(format!("no error but {:?}", answer.value)),
            (Err(error), false) => return Err(error.text),
            (Err(error), true) => {
                let mut texts = self.expects.iter().filter(|(kind, ..)| kind == "fail");
                let fits = texts.all(|(_, how, text)| Self::fits(how, text, &error.text));
                return if fits { Ok(()) } else { Err(format!("another error: {}", error.text)) };
            }
        };
        self.notes(&answer)?;
        self.compare(&answer.value, when)?;
        let of_the_query = ["step(", "range("].iter().any(|function| self.expr.contains(function));
        let alone = self.times.is_some() || self.text.is_some() || of_the_query;
        let Some(at) = self.at.filter(|_| !alone) else { return Ok(()) };
        // As Prometheus does: the middle of a range query is the answer of the instant query.
        let when = When::Range { start: at - 60_000, end: at + 60_000, step: 60_000 };
        let middle = match ask(when).map_err(|error| format!("in a range: {}", error.text))?.value {
            Value::Matrix(series) => {
                let at_time = series.into_iter().filter_map(|series| {
                    let sample = series.samples.iter().find(|sample| sample.t == at)?;
                    Some(promql::Element { labels: series.labels, value: sample.v })
                });
                at_time.collect::<Vec<_>>()
            }
            other => return Err(format!("in a range: {other:?}")),
        };
        let middle = match (&answer.value, middle.as_slice()) {
            (Value::Scalar(_), [element]) => Value::Scalar(element.value),
            _ => Value::Vector(middle),
        };
        Self { ordered: false, ..self.expected() }
            .compare(&middle, When::At(at))
            .map_err(|why| format!("in a range: {why}"))
    }

    fn expected(&self) -> Self {
        Self { number: self.number, series: self.series.clone(), at: self.at, ..Self::default() }
    }

    fn notes(&self, answer: &Answer) -> Result<(), String> {
        for (kind, how, text) in &self.expects {
            let notes = if kind.ends_with("warn") { &answer.warnings } else { &answer.infos };
            let wrong = match kind.as_str() {
                "warn" | "info" => !notes.iter().any(|note| Self::fits(how, text, note)),
                "no_warn" | "no_info" => !notes.is_empty(),
                _ => false,
            };
            if wrong {
                return Err(format!("expected {kind} {text}, got {notes:?}"));
            }
        }
        Ok(())
    }

    fn compare(&self, value: &Value, when: When) -> Result<(), String> {
        let same = |a: f64, b: f64| promql::almost_equal(a, b, 1e-6);
        let wrong =
            || Err(format!("expected {:?} {:?} {:?}, got {value:?}", self.number, self.text, self.series));
        match value {
            Value::Scalar(number) => {
                if self.number.is_some_and(|wanted| same(wanted, *number)) {
                    Ok(())
                } else {
                    wrong()
                }
            }
            Value::Text(text) => {
                if self.text.as_ref() == Some(text) {
                    Ok(())
                } else {
                    wrong()
                }
            }
            Value::Vector(elements) => {
                if self.number.is_some() || elements.len() != self.series.len() {
                    return wrong();
                }
                for (place, element) in elements.iter().enumerate() {
                    let Some(at) = self.series.iter().position(|(labels, _)| *labels == element.labels)
                    else {
                        return wrong();
                    };
                    let fits = matches!(self.series[at].1.first(), Some(Point::Value(wanted)) if same(*wanted, element.value));
                    if !fits || (self.ordered && at != place) {
                        return wrong();
                    }
                }
                Ok(())
            }
            Value::Matrix(series) => {
                if !series.is_sorted_by(|a, b| a.labels < b.labels) {
                    return Err(format!("not in order: {value:?}"));
                }
                let (start, step) = match (self.times, when) {
                    (Some(times), _) => times,
                    (None, When::Range { start, step, .. }) => (start, step),
                    (None, When::At(at)) => (at, 1),
                };
                let wanted: BTreeMap<&Labels, Vec<Sample>> = self
                    .series
                    .iter()
                    .map(|(labels, points)| {
                        let timed = (0..).map(|i: i64| start + i * step).zip(points);
                        let samples = timed.filter_map(|(t, point)| match point {
                            Point::Value(v) => Some(Sample { t, v: *v }),
                            _ => None,
                        });
                        (labels, samples.collect())
                    })
                    .collect();
                let fits = series.len() == wanted.len()
                    && series.iter().all(|series| {
                        wanted.get(&series.labels).is_some_and(|samples| {
                            let pairs = samples.iter().zip(&series.samples);
                            samples.len() == series.samples.len()
                                && pairs.into_iter().all(|(a, b)| a.t == b.t && same(a.v, b.v))
                        })
                    });
                if fits { Ok(()) } else { wrong() }
            }
        }
    }
}

/// What was passed, and what was skipped and why.
#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    skipped: BTreeMap<String, Vec<String>>,
    failed: Vec<String>,
}

/// Why a case that fails is outside of what is asked for, if it is.
fn outside(why: &str, place: &str, storage: &Storage, case: &Case) -> Option<String> {
    let histograms = storage.histograms_seen.get()
        || case.series.iter().any(|(_, points)| points.contains(&Point::Histogram));
    if why.contains("is experimental") {
        let words = why.split(": parse error: ").last().unwrap_or(why);
        Some(words.into())
    } else if DELAYED_NAMES.contains(&place) {
        Some("it needs the flag promql-delayed-name-removal".into())
    } else if histograms || why.contains("native histograms") {
        Some("native histograms".into())
    } else {
        None
    }
}

fn run(file: &Path, counts: &mut Counts) {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let lines: Vec<&str> =
        text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut storage = Storage::default();
    let mut at = 0;
    while at < lines.len() {
        let (head, first) = (lines[at], at + 1);
        at = (first..lines.len()).find(|i| lines[*i].is_empty()).unwrap_or(lines.len());
        if head.is_empty() || head == "clear" {
            at = first;
            if head == "clear" {
                storage = Storage::default();
            }
            continue;
        }
        let block = &lines[first..at];
        if head.starts_with("load") {
            storage.load(head, block).unwrap_or_else(|why| panic!("{name}:{first}: {why}"));
            continue;
        }
        let case = Case::read(head, block).unwrap_or_else(|why| panic!("{name}:{first}: {why}"));
        storage.histograms_seen.set(false);
        match case.run(&storage) {
            Ok(()) => counts.passed += 1,
            Err(why) => match outside(&why, &format!("{name}:{first}"), &storage, &case) {
                Some(reason) => {
                    counts.skipped.entry(reason).or_default().push(format!("{name}:{first}: {}", case.expr));
                }
                None => counts.failed.push(format!("{name}:{first}: {}\n    {why}", case.expr)),
            },
        }
    }
}

/// Cases in which names of metrics go at the end of a query and not with each operation, which a Prometheus does by a flag.
const DELAYED_NAMES: [&str; 4] =
    ["histograms.test:1179", "histograms.test:1189", "histograms.test:1200", "histograms.test:1210"];

#[test]
fn prometheus_own_tests_pass() {
    let mut files: Vec<_> =
        std::fs::read_dir(super::at("tests/promql")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "test"));
    files.sort();
    let mut counts = Counts::default();
    files.iter().for_each(|file| run(file, &mut counts));
    let skipped: usize = counts.skipped.values().map(Vec::len).sum();
    println!("passed {}, skipped {skipped}:", counts.passed);
    for (reason, cases) in &counts.skipped {
        println!("{} cases: {reason}", cases.len());
        cases.iter().for_each(|case| println!("  {case}"));
    }
    assert!(counts.failed.is_empty(), "{} fail:\n{}", counts.failed.len(), counts.failed.join("\n"));
    // Who makes more of them pass says so here; fewer are not taken for granted.
    let native = counts.skipped.get("native histograms").map_or(0, Vec::len);
    assert_eq!(
        (counts.passed, skipped, native),
        (933, 340, 237),
        "passed, skipped, skipped for native histograms"
    );
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
fn what_is_written_is_read_again() {
    let mut count = 0;
    for file in std::fs::read_dir(super::at("tests/promql")).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let heads = text.lines().filter(|line| line.starts_with("eval"));
        for expr in heads
            .filter_map(|line| Case::read(line, &[]).ok())
            .filter_map(|case| promql::parse(&case.expr).ok())
        {
            let written = expr.to_string();
            for text in [&written, &promql::format(&expr)] {
                assert_eq!(
                    promql::parse(text).map(|again| again.to_string()).as_ref(),
                    Ok(&written),
                    "{expr:?}"
                );
            }
            count += 1;
        }
    }
    assert!(count > 1000, "{count}");
}

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
