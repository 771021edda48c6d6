//! Rules on the history's thread, without the thread: scrapes are taken by hand.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::alert::testing::Memory;
use crate::alert::{RuleFile, State, Storage};
use crate::clock::now;
use crate::promql::{Sample, is_stale, read_labels};

impl Memory {
    fn set_at(&self, series: &str, at: i64, v: f64) {
        self.append(&read_labels(series).unwrap(), Sample { t: at, v });
    }

    /// The times at which a series of this name has values.
    fn times(&self, name: &str) -> Vec<i64> {
        let series = self.0.borrow();
        let samples =
            series.iter().filter(|(labels, _)| labels.name() == name).flat_map(|(_, samples)| samples);
        samples.filter(|sample| !is_stale(sample.v)).map(|sample| sample.t).collect()
    }
}

const RULES: &str = "groups:\n- name: quick\n  interval: 30s\n  rules:\n  - {alert: Down, expr: link == 0, for: 7s}\n\
                     - name: slow\n  interval: 30s\n  rules:\n  - {record: slow, expr: other}\n";

fn rules(folder: Option<&Path>) -> Rules {
    let groups = RuleFile::read("rules.yml", RULES).unwrap().groups;
    let sources = groups.into_iter().map(|group| RuleSource { file: "rules.yml".into(), group }).collect();
    let mut rules =
        Rules::new(sources, Arc::default(), 5_000, "http://lab", &|name| name == "link").without_grace();
    if let Some(folder) = folder {
        rules.keep_in(States::read(folder.join("alerts.json")));
    }
    rules
}

fn states(rules: &Rules) -> Vec<State> {
    let mut states = Vec::new();
    rules.shared().visit(&mut |group| {
        states.extend(group.rules.iter().flat_map(|live| live.alerts().map(|alert| alert.state)));
    });
    states
}

#[test]
fn what_changes_is_evaluated_at_once_and_nothing_else() {
    let (mut rules, memory) = (rules(None), Memory::default());
    let start = now().wall_milliseconds();
    memory.set_at("link", start, 1.0);
    memory.set_at("other", start, 1.0);
    rules.observe(start, &memory, false);
    assert_eq!((states(&rules), rules.due()), (vec![], None));
    // The next regular scrape: no group's time has come. Its series go on all the same.
    memory.set_at("other", start + 1, 2.0);
    rules.observe(start + 1, &memory, false);
    assert_eq!(memory.times("slow"), [start, start + 1]);
    let newest = || memory.0.borrow()[&read_labels("slow").unwrap()].last().unwrap().v;
    assert_eq!(newest(), 1.0);
    // The link goes: a scrape out of turn evaluates the rules that look at it, and no others.
    memory.set_at("link", start + 2, 0.0);
    rules.observe(start + 2, &memory, true);
    assert_eq!((states(&rules), newest()), (vec![State::Pending], 1.0));
    // It wants to be asked again when the time of waiting ends.
    assert_eq!(rules.due(), Some(start + 7_002));
    rules.observe(start + 3, &memory, false);
    assert_eq!(states(&rules), [State::Pending]);
}

#[test]
fn of_a_group_those_rules_are_evaluated_at_once_that_look_at_what_changed() {
    let text = "groups:\n- name: mixed\n  interval: 30s\n  rules:\n  - {record: slow, expr: other}\n  - {record: quick, expr: link * 2}\n  \
                - {record: after, expr: quick + other}\n  - {alert: Down, expr: link == 0}\n  - {record: told, expr: 'count(ALERTS)'}\n";
    let groups = RuleFile::read("rules.yml", text).unwrap().groups;
    let sources = groups.into_iter().map(|group| RuleSource { file: "rules.yml".into(), group }).collect();
    let mut rules = Rules::new(sources, Arc::default(), 5_000, "", &|name| name == "link").without_grace();
    let (memory, start) = (Memory::default(), now().wall_milliseconds());
    let newest = |name: &str| memory.0.borrow()[&read_labels(name).unwrap()].last().unwrap().v;
    memory.set_at("link", start, 1.0);
    memory.set_at("other", start, 1.0);
    rules.observe(start, &memory, false);
    assert_eq!(rules.account().evaluations, 5);
    memory.set_at("link", start + 1, 0.0);
    memory.set_at("other", start + 1, 5.0);
    rules.observe(start + 1, &memory, true);
    assert_eq!(rules.account().evaluations, 9);
    // What the first one made is there again, with its old value, and is told of once.
    assert_eq!((newest("slow"), memory.times("slow")), (1.0, vec![start, start + 1]));
    assert_eq!((newest("quick"), newest("after"), newest("told")), (0.0, 5.0, 1.0));
    assert_eq!(states(&rules), [State::Firing]);
}

#[test]
fn a_clock_that_is_set_neither_ends_a_wait_nor_begins_it_again() {
    for jump in [3_600_000, -3_600_000] {
        let (mut rules, start) = (rules(None), now().wall_milliseconds());
        for at in [start, start + jump] {
            let memory = Memory::default();
            memory.set_at("link", at, 0.0);
            rules.observe(at, &memory, true);
            assert_eq!(states(&rules), [State::Pending], "{jump}");
            let left = rules.due().unwrap() - at;
            assert!((6_000..=7_000).contains(&left), "{left} ms are left after {jump}");
        }
    }
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let start = now().wall_milliseconds();
    memory.set_at("link", start, 0.0);
    let mut first = rules(Some(folder.path()));
    first.observe(start, &memory, false);
    first.stop();
    let mut second = rules(Some(folder.path()));
    assert_eq!(states(&second), [State::Pending]);
    let left = second.due().unwrap() - now().wall_milliseconds();
    assert!((6_000..=7_000).contains(&left), "{left} ms are left");
    // What passed before the end counts, and not what passed after it.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    second.stop();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let mut second = rules(Some(folder.path()));
    let left = second.due().unwrap() - now().wall_milliseconds();
    assert!((4_500..=5_700).contains(&left), "{left} ms are left");
    // The time of waiting ends, and it fires; a third one knows that.
    memory.set_at("link", start + 8_000, 0.0);
    second.observe(start + 8_000, &memory, false);
    assert_eq!(states(&second), [State::Firing]);
    second.stop();
    assert_eq!(states(&rules(Some(folder.path()))), [State::Firing]);
    // What cannot be read begins again.
    std::fs::write(folder.path().join("alerts.json"), "{\"version\":1,\"at\"").unwrap();
    assert_eq!(states(&rules(Some(folder.path()))), []);
}

#[test]
fn rules_that_take_the_place_of_others_take_over_their_alerts() {
    let (mut old, memory) = (rules(None), Memory::default());
    let start = now().wall_milliseconds();
    memory.set_at("link", start, 0.0);
    old.observe(start, &memory, false);
    let mut new = rules(None);
    new.take_over(old);
    assert_eq!((states(&new), new.due()), (vec![State::Pending], Some(start + 7_000)));
}

#[test]
fn what_is_not_up_yet_at_the_start_is_not_lost() {
    let groups = RuleFile::read("rules.yml", RULES).unwrap().groups;
    let sources = groups.into_iter().map(|group| RuleSource { file: "rules.yml".into(), group }).collect();
    let (mut rules, memory) = (Rules::new(sources, Arc::default(), 5_000, "", &|_| true), Memory::default());
    let start = now().wall_milliseconds();
    memory.set_at("link", start, 0.0);
    rules.observe(start, &memory, true);
    assert_eq!(states(&rules), []);
    let first = rules.due().unwrap() - start;
    assert!((2_500..=3_100).contains(&first), "{first}");
}
