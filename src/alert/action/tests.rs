//! Hooks, by incidents and times that are written here.

use super::super::incident::testing;
use super::*;

const START: i64 = 1_800_000_000_000;

fn plan(name: &str) -> Plan {
    Plan {
        name: name.into(),
        matches: Matcher::default(),
        cooldown: 60_000,
        retries: 0,
        verify: 30_000,
        dry_run: false,
    }
}

fn incident(device: &str, started: i64) -> Incident {
    testing::incident(&[("alertname", "Lost"), ("severity", "critical"), ("device", device)], started)
}

fn over(incident: &Incident, at: i64) -> Incident {
    let mut over = incident.clone();
    over.resolved = Some(at);
    over
}

fn steps(actions: &mut Actions) -> Vec<Step> {
    actions.take_happened().into_iter().map(|happened| happened.step).collect()
}

#[test]
fn a_hook_is_for_the_alerts_that_it_names() {
    let labels = Labels::from_pairs([
        ("alertname", "NeuralHostMemory"),
        ("severity", "critical"),
        ("instance", "rig-1:9612"),
    ]);
    let of = |alerts: &[&str], severities: &[&str], pairs: &[(&str, &str)]| Matcher {
        alerts: alerts.iter().map(|text| (*text).to_owned()).collect(),
        severities: severities.iter().map(|text| (*text).to_owned()).collect(),
        labels: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    for (matcher, takes) in [
        (of(&[], &[], &[]), true),
        (of(&["NeuralHostMemory"], &["critical"], &[("instance", "rig-1:*")]), true),
        (of(&["NeuralHost*", "Other"], &["warning", "critical"], &[]), true),
        (of(&["NeuralHost"], &[], &[]), false),
        (of(&["NeuralHostMemory"], &["warning"], &[]), false),
        (of(&[], &[], &[("instance", "rig-2:*")]), false),
        (of(&[], &[], &[("pipeline", "p")]), false),
        // A label that is not there is empty.
        (of(&[], &[], &[("pipeline", "*")]), true),
        (of(&["*Mem*ory"], &[], &[]), true),
        (of(&["*Mem*x*"], &[], &[]), false),
    ] {
        assert_eq!(matcher.takes(&labels), takes, "{matcher:?}");
    }
    assert!(fits("a*a", "aa") && !fits("a*a", "a") && fits("**", "") && fits("", "") && !fits("", "a"));
}

#[test]
fn a_hook_succeeded_when_the_alert_is_over_and_not_when_it_ends() {
    let mut actions = Actions::new(vec![plan("a")], 3);
    let lost = incident("a", START);
    actions.opened(&lost, START);
    let job = actions.start(START).unwrap();
    actions.ended(job.number, Ok("done".into()), START + 1_000);
    assert_eq!(steps(&mut actions), [Step::Started, Step::Ended]);
    actions.tick(START + 30_999);
    actions.resolved(&over(&lost, START + 30_999), START + 30_999);
    assert_eq!(steps(&mut actions), [Step::Succeeded]);
    // One that ends well and changes nothing failed.
    let lost = incident("b", START);
    actions.opened(&lost, START);
    let job = actions.start(START).unwrap();
    actions.ended(job.number, Ok(String::new()), START + 1_000);
    actions.tick(START + 31_000);
    let happened = actions.take_happened();
    let last = happened.last().unwrap();
    assert!(last.step.escalates() && last.text == "the alert is still there 30 s after it ended", "{last:?}");
    actions.resolved(&over(&lost, START + 40_000), START + 40_000);
    assert_eq!(steps(&mut actions), []);
    // The alert is over before the hook is.
    let lost = incident("c", START);
    actions.opened(&lost, START);
    let job = actions.start(START).unwrap();
    actions.resolved(&over(&lost, START + 500), START + 500);
    actions.ended(job.number, Ok(String::new()), START + 1_000);
    assert_eq!(steps(&mut actions), [Step::Started, Step::Ended, Step::Succeeded]);
    // Or before it begins.
    let lost = incident("d", START);
    actions.opened(&lost, START);
    actions.resolved(&over(&lost, START), START);
    assert!(actions.start(START).is_none());
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let mut actions = Actions::new(vec![Plan { dry_run: true, ..plan("a") }], 3);
    for _ in 0..10 {
        actions.opened(&incident("a", START), START);
        assert!(actions.start(START).is_none());
        assert_eq!(steps(&mut actions), [Step::DryRun]);
    }
}

#[test]
fn so_many_run_at_once_and_the_others_wait() {
    let mut actions = Actions::new(vec![plan("a")], 3);
    assert!((0..5).all(|i| actions.opened(&incident(&i.to_string(), START), START)));
    let jobs: Vec<Job> = std::iter::from_fn(|| actions.start(START)).collect();
    assert_eq!((jobs.len(), actions.running()), (3, 3));
    actions.ended(jobs[1].number, Err("no".into()), START);
    assert!(actions.start(START).is_some() && actions.start(START).is_none());
    // What waits is bounded.
    assert!((0..2 * WAITING).all(|i| actions.opened(&incident(&format!("x{i}"), START), START)));
    let refused = steps(&mut actions).into_iter().filter(|step| *step == Step::NoRoom).count();
    assert_eq!(refused, WAITING + 1);
}

#[test]
fn what_fails_is_tried_again_so_often_and_ever_later() {
    let mut actions = Actions::new(vec![Plan { retries: 2, ..plan("a") }], 3);
    actions.opened(&incident("a", START), START);
    let mut now = START;
    for pause in [2_000, 4_000] {
        let job = actions.start(now).unwrap();
        actions.ended(job.number, Err("no".into()), now);
        assert!(actions.start(now + pause - 1).is_none());
        now += pause;
    }
    let job = actions.start(now).unwrap();
    assert_eq!(job.tries, 2);
    actions.ended(job.number, Err("no".into()), now);
    let seen = steps(&mut actions);
    assert_eq!(seen.iter().filter(|step| **step == Step::Retried).count(), 2);
    assert_eq!(seen.last(), Some(&Step::Failed));
    assert!(actions.start(now + 1_000_000).is_none());
}

#[test]
fn an_alert_that_flaps_is_not_acted_on_each_time() {
    let mut actions = Actions::new(vec![plan("a")], 3);
    for (second, wanted) in [(0, Step::Started), (59, Step::CoolingDown), (60, Step::Started)] {
        let now = START + second * 1_000;
        let lost = incident("a", now);
        actions.opened(&lost, now);
        if let Some(job) = actions.start(now) {
            actions.ended(job.number, Ok(String::new()), now);
            actions.resolved(&over(&lost, now), now);
        }
        assert_eq!(steps(&mut actions)[0], wanted, "{second}");
    }
    // That of another device is.
    actions.opened(&incident("b", START), START);
    assert!(actions.start(START).is_some());
}

#[test]
fn a_hook_that_fails_five_times_is_left_alone_for_a_while() {
    let mut actions = Actions::new(vec![plan("a"), plan("b")], 9);
    let mut now = START;
    let round = |actions: &mut Actions, now: i64, result: Result<String, String>| {
        let lost = incident(&now.to_string(), now);
        actions.opened(&lost, now);
        while let Some(job) = actions.start(now) {
            let result = if job.hook == 0 { result.clone() } else { Ok(String::new()) };
            actions.ended(job.number, result, now);
        }
        actions.resolved(&over(&lost, now), now);
        let happened = actions.take_happened();
        happened.iter().any(|happened| happened.hook == 0 && happened.step == Step::BreakerOpen)
    };
    for _ in 0..5 {
        assert!(!round(&mut actions, now, Err("no".into())));
        now += 1_000;
    }
    assert!(actions.is_closed(0, now) && !actions.is_closed(1, now));
    assert!(round(&mut actions, now, Ok(String::new())));
    // Then one shows whether it works again; it does not.
    now = START + 4_000 + PAUSE;
    assert!(!round(&mut actions, now, Err("no".into())));
    assert!(round(&mut actions, now + 1, Ok(String::new())));
    now += PAUSE;
    assert!(!round(&mut actions, now, Ok(String::new())));
    assert!(!actions.is_closed(0, now));
    assert!(!round(&mut actions, now + 1, Err("no".into())), "it begins to count again");
    assert!(!actions.is_closed(0, now + 2));
}

#[test]
fn a_clock_that_is_set_changes_no_wait() {
    let mut actions = Actions::new(vec![plan("a")], 3);
    let lost = incident("a", START);
    actions.opened(&lost, START);
    let job = actions.start(START).unwrap();
    actions.ended(job.number, Ok(String::new()), START);
    actions.shift(&Jump::whole(86_400_000));
    actions.tick(START + 86_400_000 + 29_999);
    assert_eq!(steps(&mut actions), [Step::Started, Step::Ended]);
    actions.tick(START + 86_400_000 + 30_000);
    assert_eq!(steps(&mut actions), [Step::Failed]);
}

/// The incident as it is after these steps were noted.
fn after(incident: &Incident, actions: &mut Actions) -> Incident {
    let mut noted = incident.clone();
    for happened in actions.take_happened() {
        noted.step("a", happened.step.as_str(), happened.at);
    }
    noted
}

#[test]
fn an_agent_that_was_killed_runs_what_was_not_run_and_nothing_twice() {
    let restart = || Actions::new(vec![Plan { retries: 1, ..plan("a") }], 1);
    let (lost, mut actions) = (incident("a", START), restart());
    // Killed before it was run.
    assert!(actions.opened(&lost, START));
    let known = after(&lost, &mut actions);
    let mut actions = restart();
    actions.opened(&known, START);
    let job = actions.start(START).unwrap();
    // Said twice, as after a reload: it is under way.
    let known = after(&lost, &mut actions);
    actions.opened(&known, START);
    assert!(actions.start(START).is_none() && steps(&mut actions).is_empty());
    // Killed while it ran: it may have done its work, and has its time to show it.
    let mut actions = restart();
    actions.opened(&known, START + 1_000);
    assert!(actions.start(START + 1_000).is_none());
    let known = after(&known, &mut actions);
    assert_eq!(known.actions["a"], "interrupted");
    let mut actions = restart();
    actions.opened(&known, START + 2_000);
    actions.tick(START + 31_999);
    assert_eq!(steps(&mut actions), []);
    actions.tick(START + 32_000);
    let happened = actions.take_happened();
    assert!(happened[0].step == Step::Failed && happened.len() == 1, "{happened:?}");
    // Killed while it was to show it.
    let mut known = lost.clone();
    known.actions.insert("a".into(), "ended".into());
    let mut actions = restart();
    actions.opened(&known, START);
    actions.resolved(&over(&known, START + 5_000), START + 5_000);
    assert_eq!(steps(&mut actions), [Step::Succeeded]);
    // Killed between a failure and the next attempt.
    known.actions.insert("a".into(), "retried".into());
    let mut actions = restart();
    actions.opened(&known, START);
    assert!(actions.start(START).is_some_and(|again| again.number == job.number));
    // What is through is not begun again.
    for step in ["succeeded", "failed", "dry_run", "cooling_down", "breaker_open", "no_room"] {
        known.actions.insert("a".into(), step.into());
        let mut actions = restart();
        assert!(actions.opened(&known, START) && actions.start(START).is_none(), "{step}");
        assert_eq!(steps(&mut actions), [], "{step}");
    }
}

#[test]
fn an_agent_that_ends_says_what_it_interrupts_and_that_no_hook_is_for_an_alert() {
    let other = Matcher { alerts: vec!["Other".into()], ..Matcher::default() };
    let mut actions = Actions::new(vec![Plan { matches: other, ..plan("b") }, plan("a")], 1);
    let lost = incident("a", START);
    assert!(actions.opened(&lost, START) && actions.start(START).is_some());
    actions.end(START + 1);
    assert_eq!(steps(&mut actions), [Step::Started, Step::Interrupted]);
    let mut none = Actions::new(vec![actions.plans()[0].clone()], 1);
    assert!(!none.opened(&lost, START) && none.start(START).is_none());
}

#[test]
fn cooldowns_and_the_breaker_are_those_of_the_incidents_that_are_known() {
    let ran = |device: &str, second: i64, step: &str| {
        let at = START + second * 1_000;
        let mut incident = incident(device, at);
        incident.step("a", "started", at);
        incident.step("a", step, at + 500);
        incident
    };
    let restart = |known: &[Incident], now: i64| {
        let mut actions = Actions::new(vec![plan("a"), plan("b")], 9);
        actions.recall(known, now);
        actions
    };
    let next = |actions: &mut Actions, device: &str, now: i64| {
        assert!(actions.opened(&incident(device, now), now));
        let happened = actions.take_happened().into_iter().find(|one| one.hook == 0).map(|one| one.step);
        happened.or_else(|| actions.start(now).map(|_| Step::Started))
    };
    // It was run for this alert a short time before, and for no other.
    let known = [ran("a", 0, "succeeded"), ran("a", -500, "succeeded")];
    for (device, second, step) in
        [("a", 59, Step::CoolingDown), ("b", 59, Step::Started), ("a", 60, Step::Started)]
    {
        let now = START + second * 1_000;
        assert_eq!(next(&mut restart(&known, now), device, now), Some(step), "{device} {second}");
    }
    // The clock was set back by a day: it cools down from now on, and not for a day.
    let mut actions = restart(&known, START - 86_400_000);
    assert_eq!(next(&mut actions, "a", START - 86_400_000 + 59_000), Some(Step::CoolingDown));
    assert_eq!(next(&mut actions, "a", START - 86_400_000 + 60_000), Some(Step::Started));
    // One that failed and is to be tried again does not cool down.
    let mut actions = restart(&[ran("c", 0, "retried")], START);
    actions.opened(&ran("c", 0, "retried"), START);
    assert!(actions.start(START).is_some());
    // Failures in a row, whatever the order in which they are known.
    let mut known: Vec<Incident> = (0..5).map(|i| ran(&i.to_string(), i, "failed")).collect();
    known.insert(2, ran("before", -1, "succeeded"));
    let closed_until = START + 4_500 + PAUSE;
    let mut actions = restart(&known, START + 5_000);
    assert!(actions.is_closed(0, closed_until - 1) && !actions.is_closed(1, START + 5_000));
    assert_eq!(next(&mut actions, "x", closed_until - 1), Some(Step::BreakerOpen));
    assert!(!actions.is_closed(0, closed_until));
    // Four, and a fifth that this agent sees.
    let mut actions = restart(&known[1..], START + 5_000);
    assert!(!actions.is_closed(0, START + 5_000));
    actions.opened(&incident("x", START + 5_000), START + 5_000);
    let job = std::iter::from_fn(|| actions.start(START + 5_000)).find(|job| job.hook == 0).unwrap();
    actions.ended(job.number, Err("no".into()), START + 5_000);
    assert!(actions.is_closed(0, START + 5_000));
    // A success ends the row.
    known.push(ran("after", 5, "succeeded"));
    assert!(!restart(&known, START + 6_000).is_closed(0, START + 6_000));
}
