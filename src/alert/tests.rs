//! Rules over time. What Prometheus does in each case is from `rules/alerting_test.go` and its alert generator specification.

use super::testing::Memory;
use super::*;
use crate::promql::{Labels, NAME, Sample, is_stale};

impl Memory {
    pub(super) fn set(&self, series: &str, seconds: i64, value: f64) {
        let labels = crate::promql::read_labels(series).unwrap();
        self.append(&labels, Sample { t: seconds * 1000, v: value });
    }

    /// The newest sample of each series of a name; stale ones are not there.
    fn newest(&self, name: &str) -> Vec<(String, f64)> {
        let series = self.0.borrow();
        let of_name = series.iter().filter(|(labels, _)| labels.name() == name);
        of_name
            .filter_map(|(labels, samples)| Some((labels.with(&[(NAME, "")]).to_string(), samples.last()?.v)))
            .filter(|(_, v)| !is_stale(*v))
            .collect()
    }
}

pub(super) fn group(text: &str) -> Group {
    let mut file = RuleFile::read("rules.yml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
    Group::new("rules.yml", file.groups.remove(0), 60_000)
}

pub(super) fn evaluate(group: &mut Group, seconds: i64, memory: &Memory) {
    let (none, never) = (Labels::empty(), || None);
    let context = Context {
        storage: memory,
        external_labels: &none,
        external_url: "",
        subquery_step: 60_000,
        max_samples: 1_000_000,
        interrupt: &never,
        clock: &|| 0,
    };
    group.evaluate(seconds * 1000, &context);
}

fn states(group: &Group) -> Vec<State> {
    group.rules.iter().flat_map(Live::active).map(|alert| alert.state).collect()
}

const DOWN: &str = "groups:\n- name: a\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 60s\n    keep_firing_for: 30s\n    \
                    labels: {severity: high, of: '{{ $labels.job }}'}\n    annotations: {summary: '{{ $labels.job }} is {{ $value }}'}\n";

#[test]
fn an_alert_waits_fires_goes_on_and_is_over() {
    let (mut group, memory) = (group(DOWN), Memory::default());
    let mut seen = Vec::new();
    for (seconds, up) in [
        (0, 1.0),
        (30, 0.0),
        (60, 0.0),
        (89, 0.0),
        (90, 0.0),
        (100, 1.0),
        (110, 0.0),
        (120, 1.0),
        (149, 1.0),
        (150, 1.0),
    ] {
        memory.set("up{job=\"x\"}", seconds, up);
        evaluate(&mut group, seconds, &memory);
        seen.push((seconds, states(&group).first().copied()));
    }
    let (pending, firing) = (Some(State::Pending), Some(State::Firing));
    assert_eq!(
        seen,
        [
            (0, None),
            (30, pending),
            (60, pending),
            (89, pending),
            (90, firing),
            (100, firing),
            (110, firing),
            (120, firing),
            (149, firing),
            (150, None)
        ]
    );
    let alert = group.rules[0].alerts().next().unwrap();
    assert_eq!(alert.labels.to_string(), r#"{alertname="Down", job="x", of="x", severity="high"}"#);
    assert_eq!(alert.annotations.to_string(), r#"{summary="x is 0"}"#);
    assert_eq!((alert.active_at, alert.fired_at, alert.resolved_at), (30_000, Some(90_000), Some(150_000)));
}

#[test]
fn an_alert_that_did_not_fire_leaves_nothing() {
    let (mut group, memory) = (group(DOWN), Memory::default());
    for (seconds, up) in [(0, 0.0), (30, 1.0), (60, 0.0), (90, 0.0)] {
        memory.set("up{job=\"x\"}", seconds, up);
        evaluate(&mut group, seconds, &memory);
        if seconds == 30 {
            assert_eq!(group.rules[0].alerts().count(), 0);
            assert_eq!((memory.newest("ALERTS"), memory.newest("ALERTS_FOR_STATE")), (vec![], vec![]));
        }
    }
    // Its waiting began again.
    assert_eq!((states(&group), group.due()), (vec![State::Pending], Some(120_000)));
}

#[test]
fn the_series_of_alerts_are_those_of_prometheus() {
    let (mut group, memory) = (group(DOWN), Memory::default());
    memory.set("up{job=\"x\"}", 0, 0.0);
    evaluate(&mut group, 7, &memory);
    let labels = |state: &str| format!(r#"{{alertname="Down", {state}job="x", of="x", severity="high"}}"#);
    assert_eq!(memory.newest("ALERTS"), [(labels(r#"alertstate="pending", "#), 1.0)]);
    assert_eq!(memory.newest("ALERTS_FOR_STATE"), [(labels(""), 7.0)]);
    evaluate(&mut group, 67, &memory);
    assert_eq!(memory.newest("ALERTS"), [(labels(r#"alertstate="firing", "#), 1.0)]);
    memory.set("up{job=\"x\"}", 70, 1.0);
    evaluate(&mut group, 70, &memory);
    assert_eq!(group.due(), Some(100_000), "it fires on for 30 s");
    evaluate(&mut group, 100, &memory);
    assert_eq!(
        (memory.newest("ALERTS"), memory.newest("ALERTS_FOR_STATE"), group.due()),
        (vec![], vec![], None)
    );
}

#[test]
fn what_is_over_is_sent_for_a_quarter_of_an_hour() {
    let (mut group, memory) = (group(&DOWN.replace("    keep_firing_for: 30s\n", "")), Memory::default());
    let mut sent = Vec::new();
    for minute in 0..40 {
        let seconds = minute * 60;
        memory.set("up{job=\"x\"}", seconds, f64::from(minute >= 10));
        evaluate(&mut group, seconds, &memory);
        let now = seconds * 1000;
        sent.extend(
            group.rules[0].sent(now, 119_000).iter().map(|alert| (minute, alert.resolved_at.is_some())),
        );
    }
    let fires: Vec<i64> = sent.iter().filter(|(_, over)| !over).map(|(minute, _)| *minute).collect();
    let over: Vec<i64> = sent.iter().filter(|(_, over)| *over).map(|(minute, _)| *minute).collect();
    // Each two minutes while it fires, at once when it is over, and again each two minutes.
    assert_eq!((fires, over), (vec![1, 3, 5, 7, 9], vec![10, 12, 14, 16, 18, 20, 22, 24]));
    assert_eq!(group.rules[0].alerts().count(), 0, "it is forgotten then");
}

#[test]
fn a_rule_sees_what_the_one_before_it_made() {
    let text = "groups:\n- name: a\n  labels: {team: eeg}\n  rules:\n  - record: job:up:sum\n    expr: sum by (job) (up)\n    labels: {x: y}\n  \
                - alert: Few\n    expr: job:up:sum{x='y'} < 2\n";
    let (mut group, memory) = (group(text), Memory::default());
    memory.set("up{job=\"j\",i=\"1\"}", 0, 1.0);
    evaluate(&mut group, 0, &memory);
    assert_eq!(memory.newest("job:up:sum"), [(r#"{job="j", team="eeg", x="y"}"#.to_owned(), 1.0)]);
    assert_eq!(states(&group), [State::Firing], "without a time of waiting it fires at once");
    let labels = &group.rules[1].alerts().next().unwrap().labels;
    assert_eq!(labels.to_string(), r#"{alertname="Few", job="j", team="eeg", x="y"}"#);
    memory.set("up{job=\"j\",i=\"2\"}", 10, 1.0);
    evaluate(&mut group, 10, &memory);
    assert_eq!((memory.newest("job:up:sum").len(), states(&group).len()), (1, 0));
    memory.0.borrow_mut().retain(|labels, _| labels.name() != "up");
    evaluate(&mut group, 20, &memory);
    assert_eq!(memory.newest("job:up:sum"), [], "its series ends");
}

#[test]
fn a_rule_that_fails_says_why_and_costs_no_other() {
    let text = "groups:\n- name: a\n  limit: 1\n  rules:\n  - record: a\n    expr: sum without (i) (up) + on () group_left () vector(1)\n  \
                - record: b\n    expr: up\n  - record: c\n    expr: label_replace(up, 'i', '', 'i', '.*')\n  - alert: D\n    expr: up\n  \
                - record: e\n    expr: vector(1)\n  - alert: F\n    expr: up\n    labels: {i: same}\n";
    let (mut group, memory) = (group(text), Memory::default());
    memory.set("up{i=\"1\"}", 0, 1.0);
    memory.set("up{i=\"2\"}", 0, 1.0);
    evaluate(&mut group, 0, &memory);
    let health: Vec<String> = group
        .rules
        .iter()
        .map(|live| match &live.health {
            Health::Failed(why) => why.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(health[0], "Ok");
    assert_eq!(health[1], "exceeded limit of 1 with 2 series");
    assert!(health[2].contains("same labelset"), "{health:?}");
    assert_eq!(health[3], "exceeded limit of 1 with 2 alerts");
    assert_eq!(health[4], "Ok");
    assert_eq!(health[5], "vector contains metrics with the same labelset after applying alert labels");
}

#[test]
fn a_template_that_fails_is_seen_in_its_text() {
    let text = "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up\n    annotations: {a: '{{ humanize $labels.x }}', b: \
                '{{ with query \"up\" }}{{ . | first | value }}{{ end }}'}\n";
    let (mut group, memory) = (group(text), Memory::default());
    memory.set("up{x=\"y\"}", 0, 4.0);
    evaluate(&mut group, 0, &memory);
    let annotations = group.rules[0].alerts().next().unwrap().annotations.clone();
    assert!(
        annotations.get("a").starts_with("<error expanding template: error calling humanize"),
        "{annotations}"
    );
    assert_eq!(annotations.get("b"), "4");
}

#[test]
fn an_offset_looks_into_the_past() {
    let text =
        "groups:\n- name: a\n  query_offset: 30s\n  interval: 5s\n  rules:\n  - record: a\n    expr: up\n";
    let (mut group, memory) = (group(text), Memory::default());
    assert_eq!((group.interval, group.offset), (5000, 30_000));
    memory.set("up", 0, 1.0);
    memory.set("up", 40, 2.0);
    evaluate(&mut group, 60, &memory);
    assert_eq!(memory.newest("a"), [("{}".to_owned(), 1.0)]);
    evaluate(&mut group, 70, &memory);
    assert_eq!(memory.newest("a"), [("{}".to_owned(), 2.0)]);
}

#[test]
fn a_file_that_prometheus_refuses_is_refused_with_its_line() {
    let rules = |text: &str| format!("groups:\n- name: a\n  rules:\n  - {text}\n");
    let cases = [
        (rules("{record: a, expr: up, for: 5m}"), 4, "a recording rule takes no for"),
        (rules("{record: a, expr: up, annotations: {a: b}}"), 4, "takes no annotations"),
        (rules("{record: a-b, expr: up}"), 4, "is not the name of a metric"),
        (rules("{record: a, alert: B, expr: up}"), 4, "only one of record and alert"),
        (rules("{expr: up}"), 4, "one of record and alert must be set"),
        (rules("{alert: A}"), 4, "needs an expr"),
        (rules("{alert: A, expr: 'sum(', for: 5m}"), 4, "could not parse expression"),
        (rules("{alert: A, expr: up, for: 5}"), 4, "not a valid duration"),
        (rules("{alert: A, expr: up, labels: {alertname: b}}"), 4, "alertname"),
        (rules("{alert: A, expr: up, labels: {'a-b': b}}"), 4, "cannot be a label"),
        (rules("{alert: A, expr: up, annotations: {a: '{{ $x }}'}}"), 4, "undefined variable"),
        (rules("{alert: A, expr: up, hold: 5m}"), 4, "unknown field"),
        ("groups:\n- name: a\n- name: a\n".to_owned(), 3, "defined twice"),
        ("groups:\n- rules: []\n".to_owned(), 2, "needs a name"),
        ("group: []\n".to_owned(), 1, "unknown field"),
    ];
    for (text, line, why) in cases {
        let problems = RuleFile::read("rules.yml", &text).unwrap_err();
        let problem = &problems[0];
        assert!(problem.line == line && problem.message.contains(why), "{text}\n{problem}");
    }
    // One mistake hides no other.
    let two = "groups:\n- name: a\n  rules:\n  - {alert: A}\n  - {record: b, expr: 'x +'}\n";
    assert_eq!(RuleFile::read("rules.yml", two).unwrap_err().len(), 2);
    for fine in ["", "groups:\n", "groups: []\n", "groups:\n- name: a\n"] {
        assert!(RuleFile::read("rules.yml", fine).is_ok(), "{fine}");
    }
}

const TESTS: &str = "evaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  - {series: 'up{job=\"x\"}', values: '1 0x5'}\n  \
                     alert_rule_test:\n  - {eval_time: 2m, alertname: Down, exp_alerts: [{exp_labels: {job: x, of: x, severity: high}, \
                     exp_annotations: {summary: x is 0}}]}\n  promql_expr_test:\n  - {expr: up + 1, eval_time: 1m, exp_samples: [{labels: \
                     '{job=\"x\"}', value: 1}]}\n";

#[test]
fn unit_tests_pass_and_fail_as_they_must() {
    let groups: Vec<(String, Definition)> = RuleFile::read("rules.yml", DOWN)
        .unwrap()
        .groups
        .into_iter()
        .map(|group| ("rules.yml".to_owned(), group))
        .collect();
    let run = |text: &str| {
        let suite = Suite::read("tests.yml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        suite.tests.iter().flat_map(|test| suite.run(test, &groups)).collect::<Vec<Mistake>>()
    };
    assert_eq!(run(TESTS), []);
    for (from, to) in [
        ("eval_time: 2m", "eval_time: 1m"),
        ("severity: high", "severity: low"),
        ("summary: x is 0", "summary: x is 1"),
        (
            "exp_alerts: [{exp_labels: {job: x, of: x, severity: high}, exp_annotations: {summary: x is 0}}]",
            "exp_alerts: []",
        ),
        ("alertname: Down", "alertname: Other"),
        ("value: 1", "value: 2"),
        ("'{job=\"x\"}', value", "'{job=\"y\"}', value"),
        ("expr: up + 1", "expr: up +"),
    ] {
        let text = TESTS.replace(from, to);
        assert_ne!(text, TESTS, "{from}");
        assert_eq!(run(&text).len(), 1, "{from} to {to}");
    }
    let mistakes = run(&TESTS.replace("value: 1", "value: 2"));
    assert_eq!(
        (&*mistakes[0].of, &*mistakes[0].expected[0], &*mistakes[0].found[0]),
        ("up + 1 at 1m", r#"{job="x"} 2"#, r#"{job="x"} 1"#)
    );
    // What is later than an alert's time is not yet known to it.
    assert_eq!(run(&TESTS.replace("up + 1", "up offset -1m + 1")), []);
}
