//! Prometheus' own engine tests, run by our engine: `tests/promql/`, whose README says what they are and where they come from.

use std::collections::BTreeMap;
use std::path::Path;

use neural_exporter::promql::{self, Answer, Labels, Point, Query, Sample, Value, When};

use super::Storage;
use crate::at;

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
        std::fs::read_dir(at("tests/promql")).unwrap().map(|entry| entry.unwrap().path()).collect();
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

#[test]
fn what_is_written_is_read_again() {
    let mut count = 0;
    for file in std::fs::read_dir(at("tests/promql")).unwrap().map(|entry| entry.unwrap().path()) {
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
