//! Every claim of a comparison has a time in which it is false.

use super::*;
use crate::catalog::limit::Limits;
use crate::promql::{Sample, Series};
use crate::view::Status;

const HOUR: Time = Time { start: 1_800_000_000_000, end: 1_800_003_600_000 };

/// Numbers without a pattern, from -1 to 1.
fn noise(seed: u64, number: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    (0..number).map(|_| next()).collect()
}

/// An hour in which a line of the catalogue had such points.
fn hour(key: &str, labels: &[(&str, &str)], points: &[f64]) -> Benchmark {
    let questions = questions(HOUR, STEP);
    let answers = LINES.iter().zip(&questions).map(|(line, (_, when))| {
        let When::Range { start, step, .. } = when else { return None };
        let at = |place: usize| start + i64::try_from(place).unwrap() * step;
        let samples = points.iter().enumerate().map(|(place, v)| Sample { t: at(place), v: *v }).collect();
        let labels = labels.iter().copied().chain([("instance", "a"), ("job", "neural")]);
        let series = Series { labels: Labels::from_pairs(labels), samples };
        (line.key == key).then_some(Value::Matrix(vec![series]))
    });
    let (name, source) = ("b".to_owned(), "x".to_owned());
    build(BenchmarkInput { name, time: HOUR, step: STEP, source, answers: answers.collect(), only: &[] })
}

const STAGE: &[(&str, &str)] = &[("pipeline", "bci"), ("stage", "decode")];

fn stage(mean: f64, seed: u64) -> Benchmark {
    let points: Vec<f64> = noise(seed, 60).iter().map(|one| mean * (1.0 + one / 5.0)).collect();
    hour("stage_duration", STAGE, &points)
}

fn compared(before: &Benchmark, now: &Benchmark) -> Row {
    compare(before, now, &Limits::default()).rows.remove(0)
}

#[test]
fn a_slowdown_is_a_regression_graded_by_its_limit() {
    let before = stage(0.010, 1);
    for (mean, outcome, severity) in [
        (0.0131, Outcome::Degraded, Some(Severity::Info)),
        (0.0141, Outcome::Degraded, Some(Severity::Warning)),
        (0.0160, Outcome::Degraded, Some(Severity::Critical)),
        (0.0110, Outcome::Stable, None),
        (0.0060, Outcome::Improved, None),
    ] {
        let row = compared(&before, &stage(mean, 2));
        assert_eq!((row.outcome, row.severity), (outcome, severity), "{row:?}");
        assert_eq!((&*row.subject, &*row.unit), ("mean duration of decode of bci", "seconds"));
        assert!((row.change.unwrap() - (mean / 0.010 - 1.0)).abs() < 0.06, "{row:?}");
    }
    let comparison = compare(&before, &stage(0.0131, 2), &Limits::default());
    let text = write(&comparison, false);
    assert!(text.starts_with("▲ 1 regression in 1 line\n"), "{text}");
    assert!(text.contains("degraded (info)") && text.contains("mean duration of decode of bci"), "{text}");
    assert_eq!(compare(&before, &stage(0.016, 2), &Limits::default()).status, Status::Unhealthy);
    // A limit that was raised.
    let limits = Limits::changed([("regression_time".to_owned(), 0.5)].into());
    assert_eq!(compare(&before, &stage(0.0131, 2), &limits).status, Status::Healthy);
}

#[test]
fn quiet_hours_have_no_regression() {
    let before = stage(0.010, 0);
    let wrong = (1..2000).filter(|seed| compared(&before, &stage(0.010, *seed)).outcome != Outcome::Stable);
    assert_eq!(wrong.count(), 0);
    // Errors that are rare come in another number each hour.
    let rare = |seed: u64| {
        let points: Vec<f64> =
            noise(seed, 60).iter().map(|one| if *one > 0.8 { 0.01 } else { 0.0 }).collect();
        hour("stage_failures", STAGE, &points)
    };
    let wrong = (1..2000).filter(|seed| compared(&rare(0), &rare(*seed)).outcome == Outcome::Degraded);
    assert!(wrong.count() <= 4, "by chance one of a thousand");
}

#[test]
fn a_pause_of_one_moment_is_no_regression() {
    let mut points: Vec<f64> = noise(3, 60).iter().map(|one| 0.010 + one / 1000.0).collect();
    points[30] = 5.0;
    let row = compared(&stage(0.010, 1), &hour("stage_duration", STAGE, &points));
    assert!(row.change.unwrap() > 1.0 && row.outcome == Outcome::Stable, "{row:?}");
}

#[test]
fn failures_that_begin_at_none_are_found() {
    let of = |share: f64| hour("stage_failures", STAGE, &[share; 60]);
    let row = compared(&of(0.0), &of(0.05));
    assert_eq!((row.outcome, row.severity, row.change), (Outcome::Degraded, Some(Severity::Critical), None));
    assert_eq!(compared(&of(0.0), &of(0.0)).outcome, Outcome::Stable);
    assert_eq!(compared(&of(0.0), &of(0.000_5)).outcome, Outcome::Stable, "less than is worth a word");
    assert_eq!(compared(&of(0.05), &of(0.0)).outcome, Outcome::Improved);
}

#[test]
fn only_the_side_that_is_worse_counts_and_an_idle_machine_is_idle() {
    let cpu = |share: f64| hour("host_cpu", &[], &[share; 60]);
    assert_eq!(compared(&cpu(0.02), &cpu(0.04)).outcome, Outcome::Stable);
    assert_eq!(compared(&cpu(0.30), &cpu(0.40)).outcome, Outcome::Degraded);
    let runs = |rate: f64| hour("pipeline_runs", &[("pipeline", "bci")], &[rate; 60]);
    assert_eq!(compared(&runs(50.0), &runs(30.0)).severity, Some(Severity::Critical));
    assert_eq!(compared(&runs(50.0), &runs(80.0)).outcome, Outcome::Improved);
    let battery = |share: f64| hour("device_battery", &[("device", "cyton")], &[share; 60]);
    assert_eq!(compared(&battery(0.9), &battery(0.2)).outcome, Outcome::Unjudged);
    let tokens = |rate: f64| hour("model_tokens", &[("model", "m")], &[rate; 60]);
    assert_eq!(compared(&tokens(9.0), &tokens(90.0)).outcome, Outcome::Unjudged);
}

#[test]
fn too_little_is_not_judged_and_what_is_away_is_named() {
    let short = hour("stage_duration", STAGE, &[0.5; 7]);
    let comparison = compare(&stage(0.010, 1), &short, &Limits::default());
    assert_eq!((comparison.rows[0].outcome, comparison.status), (Outcome::Unjudged, Status::Unknown));
    assert!(write(&comparison, false).starts_with("? Nothing could be compared"), "{comparison:?}");
    let comparison = compare(&stage(0.010, 1), &Benchmark::default(), &Limits::default());
    assert_eq!(comparison.missing, ["mean duration of decode of bci"]);
    assert_eq!(comparison.status, Status::Unknown);
    let gap = hour("stage_duration", STAGE, &[f64::NAN; 60]);
    assert!(gap.lines.is_empty(), "what is no number is no point");
}

#[test]
fn steps_with_too_few_scrapes_are_told() {
    let made = |scrapes: &[f64]| {
        let samples = scrapes.iter().zip(1..).map(|(v, place)| Sample { t: place * STEP, v: *v }).collect();
        let labels = Labels::from_pairs([("instance", "a")]);
        let mut answers = vec![None; questions(HOUR, STEP).len()];
        *answers.last_mut().unwrap() = Some(Value::Matrix(vec![Series { labels, samples }]));
        build(BenchmarkInput {
            name: "b".into(),
            time: HOUR,
            step: STEP,
            source: "x".into(),
            answers,
            only: &[],
        })
    };
    let (asked, _) = questions(HOUR, STEP).pop().unwrap();
    assert_eq!(asked, "count_over_time(neural_agent_build_info[60000ms])");
    assert_eq!(made(&[12.0; 60]).notes, Vec::<String>::new());
    // The agent began within one step.
    assert!(made(&[&[1.0][..], &[12.0; 59][..]].concat()).notes.is_empty());
    let sparse = made(&[1.0; 60]);
    assert!(sparse.notes[0].starts_with("60 of 60 steps of 1 min have fewer than two scrapes"), "{sparse:?}");
    assert!(write_one(&sparse).contains("note: 60 of 60 steps"));
    assert_eq!(Benchmark::read(serde_json::to_string(&sparse).unwrap().as_bytes()), Ok(sparse.clone()));
    let comparison = compare(&sparse, &made(&[12.0; 60]), &Limits::default());
    assert!(comparison.notes.len() == 1 && comparison.notes[0].starts_with("the benchmark: 60 of 60"));
}

#[test]
fn a_time_that_is_shorter_than_a_step_is_refused() {
    let of = |window: i64, step: i64| check_step(Time { start: 5_000, end: 5_000 + window }, step);
    assert_eq!((of(60_000, 60_000), of(3_600_000, 60_000)), (Ok(()), Ok(())));
    assert_eq!(
        of(30_000, 60_000).unwrap_err(),
        "the time of 30 s is shorter than a step of 1 min, of which each point tells"
    );
}

#[test]
fn lines_are_those_that_are_wanted_and_machines_are_told_apart() {
    let time = Time { start: 0, end: 3_600_000 };
    let of = |instance: &str, device: &str| Series {
        labels: Labels::from_pairs([("device", device), ("instance", instance)]),
        samples: vec![Sample { t: 60_000, v: 1.0 }],
    };
    let make = |series: &[Series], only: &[(&str, &str)]| {
        let answers =
            LINES.iter().map(|line| (line.key == "device_rate").then(|| Value::Matrix(series.to_vec())));
        let only: Vec<_> = only.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let (name, source) = ("b".to_owned(), "x".to_owned());
        build(BenchmarkInput { name, time, step: STEP, source, answers: answers.collect(), only: &only })
            .lines
    };
    let two = [of("a", "cyton"), of("a", "ganglion")];
    assert_eq!(make(&two, &[]).len(), 2);
    assert_eq!(make(&two, &[("device", "cyton")]).len(), 1);
    assert_eq!(make(&two, &[("metric", "device_loss")]).len(), 0);
    assert!(!make(&two, &[])[0].labels.contains_key("instance"));
    assert_eq!(make(&[of("a", "cyton"), of("b", "cyton")], &[])[1].labels["instance"], "b");
}

#[test]
fn what_is_read_is_what_was_written_and_nothing_else() {
    let one = hour("stage_duration", STAGE, &[0.25; 60]);
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(Benchmark::read(text.as_bytes()), Ok(one));
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"name\":\"b\"", "\"name\":\"../b\""),
        ("\"parts\":[", "\"parts\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"),
        ("\"mean\":", "\"mean\":\"x\","),
        ("{", "["),
    ] {
        let text = text.replacen(from, to, 1);
        assert!(Benchmark::read(text.as_bytes()).is_err(), "{from}");
    }
    for name in ["", ".", "..", ".x", "a/b", "a b", "é", &"x".repeat(65)] {
        assert!(check_name(name).is_err(), "{name}");
    }
    assert_eq!(check_name("2026-11-30_tuesday.v2"), Ok(()));
}

#[test]
fn texts_are_clean() {
    let mut before = stage(0.010, 1);
    before.lines[0].labels.insert("stage".to_owned(), "=1+1\u{1b}[31m|<b>".to_owned());
    let mut now = stage(0.020, 2);
    now.lines[0].labels.clone_from(&before.lines[0].labels);
    let comparison = compare(&before, &now, &Limits::default());
    for text in
        [write(&comparison, true), write_markdown(&comparison), write_csv(&comparison), write_one(&before)]
    {
        assert!(!text.contains('\u{1b}') && text.contains("1+1"), "{text}");
    }
    assert!(write_markdown(&comparison).contains("\\|&lt;b>"));
    assert!(write_list(&[]).starts_with("no benchmark"));
    assert!(write_list(&[Listed::of(&before)]).contains("1 line"));
}
