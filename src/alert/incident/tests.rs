//! Incidents, by alerts and times that are written here.

use std::collections::BTreeSet;

use super::*;

const SECOND: i64 = 1_000;
const START: i64 = 1_800_000_000_000;

fn limits() -> Limits {
    let minutes = |minutes: i64| Some(minutes * 60 * SECOND);
    Limits { open: 100, closed: 100, acknowledge: [minutes(15), minutes(60), minutes(240), None] }
}

fn book() -> Book {
    Book::new(limits())
}

fn notice(device: &str, started: i64, origin: Origin) -> Notice {
    let labels = [("alertname", "Lost"), ("severity", "critical"), ("priority", "P0"), ("device", device)];
    Notice {
        labels: Labels::from_pairs(labels),
        annotations: Labels::from_pairs([("summary", "it is away")]),
        value: (origin == Origin::Agent).then_some(5.0),
        worse: Some(Worse::Higher),
        started,
        origin,
    }
}

fn own(device: &str, started: i64) -> Notice {
    notice(device, started, Origin::Agent)
}

fn foreign(device: &str, started: i64) -> Notice {
    notice(device, started, Origin::Alertmanager)
}

fn only(book: &Book) -> Incident {
    let mut all = book.visible();
    let one = all.next().unwrap().clone();
    assert!(all.next().is_none(), "there is another one");
    one
}

#[test]
fn an_alert_is_one_incident_from_its_start_to_its_end() {
    let mut book = book();
    let at = |value: f64| Notice { value: Some(value), ..own("a", START) };
    for (second, value) in [5.0, 9.0, 7.0].into_iter().enumerate() {
        book.survey(&[at(value)], START + second as i64 * SECOND);
    }
    let incident = only(&book);
    assert_eq!((incident.status, incident.started, incident.opened), (Status::Open, START, START));
    assert_eq!(
        (&*incident.alert, &*incident.severity, incident.priority),
        ("Lost", "critical", Priority::P0)
    );
    book.survey(&[], START + 10 * SECOND);
    let incident = only(&book);
    assert_eq!((incident.status, incident.resolved), (Status::Resolved, Some(START + 10 * SECOND)));
    let worst = Values { start: Some(5.0), worst: Some(9.0), end: Some(7.0) };
    assert_eq!((incident.values, incident.by_hand), (worst, false));
    let what: Vec<EntryKind> = incident.history.iter().map(|entry| entry.what).collect();
    assert_eq!(what, [EntryKind::Opened, EntryKind::Resolved]);
    // The next episode is another one, with another number.
    book.survey(&[own("a", START + 20 * SECOND)], START + 20 * SECOND);
    let numbers: BTreeSet<&str> = book.visible().map(|incident| &*incident.id).collect();
    assert_eq!(numbers.len(), 2);
    let news = book.take_news();
    assert!(matches!(news[..], [News::Opened(_), News::Resolved(_, 10_000), News::Opened(_)]));
}

#[test]
fn the_worst_value_is_worst_in_the_direction_of_the_rule() {
    for (worse, worst) in [(Some(Worse::Higher), 9.0), (Some(Worse::Lower), 2.0), (None, 9.0)] {
        let mut book = book();
        for value in [5.0, 2.0, 9.0, f64::NAN, f64::INFINITY, 6.0] {
            book.survey(&[Notice { value: Some(value), worse, ..own("a", START) }], START);
        }
        let values = Values { start: Some(5.0), worst: Some(worst), end: Some(6.0) };
        assert_eq!(only(&book).values, values, "{worse:?}");
    }
}

#[test]
fn what_a_prometheus_tells_as_well_is_the_same_incident() {
    let mut book = book();
    book.survey(&[own("a", START)], START);
    book.fires(&foreign("a", START + 7 * SECOND), START + 30 * SECOND);
    let incident = only(&book);
    assert!(incident.agent && incident.alertmanager);
    assert_eq!(incident.history.last().map(|entry| entry.what), Some(EntryKind::Joined));
    // Alertmanager's word that it is over does not decide, the agent's does.
    book.over(&incident.labels, START + 40 * SECOND, START + 40 * SECOND);
    assert_eq!(only(&book).status, Status::Open);
    book.survey(&[], START + 50 * SECOND);
    assert_eq!(only(&book).status, Status::Resolved);
    // What comes late, of the same episode, opens no other one; a later episode does.
    for (started, count) in [(7, 1), (50, 1), (100, 1), (171, 2)] {
        book.fires(&foreign("a", START + started * SECOND), START + 200 * SECOND);
        assert_eq!(book.visible().count(), count, "{started}");
    }
}

#[test]
fn what_only_a_prometheus_tells_ends_when_it_says_so() {
    let mut book = book();
    book.fires(&foreign("a", START), START + 30 * SECOND);
    book.fires(&foreign("a", START), START + 90 * SECOND);
    let incident = only(&book);
    assert_eq!((incident.started, incident.opened), (START, START + 30 * SECOND));
    // The agent, which does not evaluate it, has no say.
    book.survey(&[], START + 95 * SECOND);
    // Nor has the end of an episode before.
    book.over(&incident.labels, START - SECOND, START + 95 * SECOND);
    assert_eq!(only(&book).status, Status::Open);
    book.over(&incident.labels, START + 100 * SECOND, START + 120 * SECOND);
    assert_eq!(only(&book).resolved, Some(START + 100 * SECOND));
    // Two Alertmanagers tell it twice.
    book.fires(&foreign("a", START), START + 121 * SECOND);
    book.over(&incident.labels, START + 100 * SECOND, START + 122 * SECOND);
    assert_eq!(only(&book).history.len(), 2);
    book.fires(&foreign("a", START + 101 * SECOND), START + 123 * SECOND);
    assert_eq!(book.open().count(), 1);
}

#[test]
fn who_acknowledges_is_named_and_in_time() {
    let mut book = book();
    book.survey(&[own("a", START), own("b", START)], START);
    let ids: Vec<String> = book.open().map(|incident| incident.id.clone()).collect();
    assert_eq!(book.due(), Some(START + 900 * SECOND));
    let taken = book.acknowledge(ids[0].get(..8).unwrap(), "ada", "I look", START + 60 * SECOND).unwrap();
    assert_eq!((taken.status, taken.acknowledged), (Status::Acknowledged, Some(START + 60 * SECOND)));
    let last = taken.history.last().unwrap();
    assert_eq!((last.what, &*last.by, &*last.why), (EntryKind::Acknowledged, "ada", "I look"));
    book.tick(START + 899 * SECOND);
    assert!(book.open().all(|incident| incident.escalated.is_none()));
    book.tick(START + 900 * SECOND);
    let escalated: Vec<&str> =
        book.open().filter(|incident| incident.status == Status::Escalated).map(|i| &*i.id).collect();
    assert_eq!(escalated, [&*ids[1]]);
    assert_eq!(book.due(), None);
    // An escalated one is acknowledged as well, and remembers.
    let late = book.acknowledge(&ids[1], "bob", "", START + 1_000 * SECOND).unwrap();
    assert_eq!((late.status, late.escalated), (Status::Acknowledged, Some(START + 900 * SECOND)));
    for (id, why) in [("", Refusal::Unknown), ("zz", Refusal::Unknown)] {
        assert_eq!(book.acknowledge(id, "ada", "", START).unwrap_err(), why, "{id}");
    }
    let times: Vec<i64> = book
        .take_news()
        .iter()
        .filter_map(|news| match news {
            News::Acknowledged(_, ms) => Some(*ms),
            _ => None,
        })
        .collect();
    assert_eq!(times, [60 * SECOND, 1_000 * SECOND]);
}

#[test]
fn a_priority_without_a_time_is_never_escalated() {
    let mut book = book();
    let quiet = Labels::from_pairs([("alertname", "Odd"), ("severity", "low"), ("priority", "P3")]);
    book.survey(&[Notice { labels: quiet, ..own("a", START) }], START);
    book.tick(START + 1_000_000 * SECOND);
    assert_eq!((only(&book).status, book.due()), (Status::Open, None));
}

#[test]
fn what_is_closed_by_hand_stays_closed_until_the_alert_fires_again() {
    let mut book = book();
    book.survey(&[own("a", START)], START);
    let id = only(&book).id;
    book.resolve(&id, "ada", "known", START + 5 * SECOND).unwrap();
    assert_eq!(book.acknowledge(&id, "ada", "", START).unwrap_err(), Refusal::Resolved);
    book.survey(&[own("a", START)], START + 10 * SECOND);
    book.fires(&foreign("a", START), START + 11 * SECOND);
    let incident = only(&book);
    assert!(incident.by_hand && incident.status == Status::Resolved);
    // Also after a restart.
    let mut other = self::book();
    other.take_over(incident, START);
    other.survey(&[own("a", START)], START + 20 * SECOND);
    assert_eq!(other.open().count(), 0);
    other.survey(&[], START + 30 * SECOND);
    other.survey(&[own("a", START + 40 * SECOND)], START + 40 * SECOND);
    assert_eq!(other.open().count(), 1);
}

#[test]
fn a_restart_goes_on_with_what_is_open() {
    let mut book = book();
    book.survey(&[own("a", START), own("b", START)], START);
    let mut next = self::book();
    book.take_changed(true).into_iter().for_each(|incident| next.take_over(incident, START));
    // One fires on, the other one ended meanwhile, and states that begin again do not make another.
    next.survey(&[own("a", START + 60 * SECOND)], START + 60 * SECOND);
    let open: Vec<i64> = next.open().map(|incident| incident.started).collect();
    assert_eq!((open, next.visible().count()), (vec![START], 2));
    assert!(!next.take_news().iter().any(|news| matches!(news, News::Opened(_))));
}

#[test]
fn where_the_agent_stops_evaluating_what_nobody_tells_of_is_closed() {
    let mut book = book();
    book.survey(&[own("a", START), own("b", START)], START);
    book.fires(&foreign("b", START), START);
    book.disown(START + SECOND);
    let open: Vec<(bool, bool)> =
        book.open().map(|incident| (incident.agent, incident.alertmanager)).collect();
    assert_eq!(open, [(false, true)]);
}

#[test]
fn what_concerns_nobody_makes_no_incident() {
    let mut book = book();
    let with = |pairs: &[(&str, &str)]| Notice {
        labels: Labels::from_pairs(pairs.iter().copied()),
        ..own("a", START)
    };
    let long = "x".repeat(LABELS);
    for labels in [
        &[("alertname", "NeuralWatchdog"), ("severity", "info")][..],
        &[("alertname", ESCALATED), ("severity", "critical")],
        &[("severity", "critical")],
        &[("alertname", "A"), ("severity", "critical"), ("long", &long)],
    ] {
        book.fires(&with(labels), START);
    }
    assert_eq!(book.open().count(), 0);
    for (severity, priority) in [("page", Priority::P1), ("warning", Priority::P2), ("", Priority::P3)] {
        book.fires(&with(&[("alertname", "A"), ("severity", severity)]), START);
        assert!(book.open().any(|incident| incident.priority == priority), "{severity}");
    }
}

#[test]
fn nothing_grows_without_end() {
    let small = Limits { open: 3, closed: 2, ..limits() };
    let mut book = Book::new(small);
    let notices: Vec<Notice> = (0..5).map(|i| own(&i.to_string(), START)).collect();
    book.survey(&notices, START);
    assert_eq!((book.open().count(), book.dropped()), (3, 2));
    for round in 1..10 {
        let at = START + round * 1_000 * SECOND;
        book.survey(&[], at - SECOND);
        book.survey(&[own(&round.to_string(), at)], at);
    }
    assert!(book.take_changed(true).len() <= 5);
    assert!(book.dropped() > 2, "what was never written is counted");
    for _ in 0..1_000 {
        let id = only(&book).id;
        book.acknowledge(&id, &"é".repeat(WHO), &"y".repeat(WHY * 2), START).unwrap();
    }
    let incident = only(&book);
    assert_eq!((incident.history.len(), incident.omitted), (ENTRIES, 951));
    assert_eq!(incident.history[0].what, EntryKind::Opened);
    let last = incident.history.last().unwrap();
    assert_eq!((last.by.len(), last.why.len()), (WHO, WHY));
    let annotations = (0..100).map(|i| (format!("a{i}"), "z".repeat(5_000)));
    let many = Notice { annotations: Labels::from_pairs(annotations), ..own("many", START) };
    book.fires(&many, START);
    let kept = book.open().find(|incident| incident.labels.get("device") == "many").unwrap();
    assert!(kept.annotations.encoded().len() <= ANNOTATIONS + 1_000);
}

#[test]
fn what_could_not_be_written_is_kept_and_what_is_newer_stands() {
    let mut book = book();
    book.survey(&[own("a", START), own("b", START)], START);
    let taken = book.take_changed(false);
    assert_eq!(taken.len(), 2);
    let id = taken[0].id.clone();
    book.acknowledge(&id, "ada", "", START).unwrap();
    book.put_back(taken);
    let again = book.take_changed(false);
    let of = |wanted: &str| again.iter().find(|incident| incident.id == wanted).unwrap().status;
    assert_eq!((again.len(), of(&id)), (2, Status::Acknowledged));
    // A value alone is written when all are.
    book.survey(&[Notice { value: Some(8.0), ..own("a", START) }, own("b", START)], START);
    assert_eq!(book.take_changed(false).len(), 0);
    assert_eq!(book.take_changed(true).len(), 1);
}

#[test]
fn a_clock_that_is_set_escalates_nothing() {
    let mut book = book();
    book.survey(&[own("a", START)], START);
    let later = START + 86_400 * SECOND;
    book.shift(&Jump::whole(86_400 * SECOND));
    book.tick(later);
    assert_eq!(only(&book).status, Status::Open);
    book.tick(later + 900 * SECOND);
    assert_eq!(only(&book).status, Status::Escalated);
}

#[test]
fn an_incident_is_read_as_it_was_written() {
    let mut book = book();
    book.survey(&[own("a", START + 123)], START + 456);
    let id = only(&book).id;
    book.resolve(&id, "ada", "line one\nline \u{1b}[31mtwo", START + 5_000).unwrap();
    let incident = only(&book);
    let text = incident.json().to_string();
    let read: Incident = serde_json::from_str(&text).unwrap();
    assert_eq!(Incident { worse: incident.worse, current: true, ..read }, incident);
    assert!(text.contains("\"started\":\"2027-01-15T08:00:00.123Z\""), "{text}");
    assert!(!text.contains("\\u001b"), "{text}");
}

#[test]
fn figures_are_those_of_the_incidents() {
    let mut book = book();
    book.survey(&[own("a", START), own("b", START)], START);
    let id = book.open().next().unwrap().id.clone();
    book.acknowledge(&id, "ada", "", START + 4 * SECOND).unwrap();
    book.survey(&[own("b", START)], START + 10 * SECOND);
    let mut figures = Statistics::default();
    book.visible().for_each(|incident| figures.add(incident));
    let json = figures.json();
    assert_eq!(json["total"], 2);
    assert_eq!(json["by_day"]["2027-01-15"], 2);
    assert_eq!(json["most_frequent"]["alert"], "Lost");
    assert_eq!(json["by_state"]["escalated"], 0);
    assert_eq!(json["seconds_to_acknowledge"]["median"], 4.0);
    assert_eq!(json["seconds_to_resolve"]["mean"], 10.0);
    assert_eq!(Statistics::default().json()["seconds_to_resolve"]["mean"], Json::Null);
}

/// As `webhook.go` writes it.
const POSTED: &str = r#"{"receiver":"agent","status":"firing","alerts":[
 {"status":"firing","labels":{"alertname":"Lost","severity":"critical","device":"a"},"annotations":{"summary":"it is away"},
  "startsAt":"2027-01-15T08:00:00.123456789Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/graph","fingerprint":"c1"},
 {"status":"resolved","labels":{"alertname":"Lost","severity":"critical","device":"b"},"annotations":{},
  "startsAt":"2027-01-15T08:00:00Z","endsAt":"2027-01-15T08:01:00.5Z","generatorURL":"","fingerprint":"c2"},
 {"status":"firing","labels":{"alertname":"Watchdog","severity":"info"},"annotations":{},"startsAt":"2027-01-15T08:00:00Z",
  "endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"c3"}],
 "groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://a:9093","version":"4","groupKey":"{}","truncatedAlerts":0}"#;

#[test]
fn a_message_of_alertmanager_is_read() {
    let now = START + 3_600 * SECOND;
    let message = webhook::read(POSTED.as_bytes(), now).unwrap();
    let [notice] = &message.firing[..] else { panic!("{message:?}") };
    assert_eq!((notice.started, notice.annotations.get("summary")), (START + 123, "it is away"));
    let [(labels, ended)] = &message.resolved[..] else { panic!("{message:?}") };
    assert_eq!((labels.get("device"), *ended, message.ignored), ("b", START + 60_500, 1));
    // Times that cannot be are now.
    for wrong in ["0001-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "yesterday", ""] {
        let text = POSTED.replace("2027-01-15T08:00:00.123456789Z", wrong);
        assert_eq!(webhook::read(text.as_bytes(), now).unwrap().firing[0].started, now, "{wrong}");
    }
    for (wrong, why) in [
        ("", "not a message"),
        ("{}", "missing field `alerts`"),
        (&*POSTED.replace("\"version\":\"4\"", "\"version\":\"5\""), "version \"5\""),
        (&*POSTED.replace("\"resolved\"", "\"gone\""), "neither firing nor resolved"),
    ] {
        let said = webhook::read(wrong.as_bytes(), now).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn what_was_read_from_a_file_goes_on_when_its_alert_is_told_of_again() {
    let mut first = book();
    first.survey(&[own("a", START), own("b", START)], START);
    first.fires(&foreign("c", START), START);
    let a = first.of(&own("a", START).labels).unwrap().clone();
    first.note(&a, Some(("lower", "started")), "started: run x", START);
    first.note(&a, None, "nothing", START);
    let read = |incident: &Incident| -> Incident { serde_json::from_value(incident.json()).unwrap() };
    let mut next = book();
    for incident in first.take_changed(true) {
        next.take_over(read(&incident), START + SECOND);
    }
    let continued = |book: &mut Book| -> Vec<(String, BTreeSet<String>)> {
        let told = book.take_news().into_iter().filter_map(|news| match news {
            News::Continued(incident) => {
                let device = incident.labels.get("device").to_owned();
                Some((device, incident.actions.into_keys().collect()))
            }
            _ => None,
        });
        told.collect()
    };
    // An Alertmanager's word stands until it takes it back.
    assert_eq!(continued(&mut next), [("c".to_owned(), BTreeSet::new())]);
    next.survey(&[own("a", START)], START + 2 * SECOND);
    next.survey(&[own("a", START)], START + 3 * SECOND);
    assert_eq!(continued(&mut next), [("a".to_owned(), BTreeSet::from(["lower".to_owned()]))]);
    let incident = next.of(&own("a", START).labels).unwrap();
    assert!(incident.current && incident.actions["lower"] == "started");
    assert!(next.of(&own("b", START).labels).is_none(), "it was over meanwhile");
}

#[test]
fn that_a_hook_helped_is_kept_with_the_incident_that_is_over() {
    let mut book = book();
    book.survey(&[own("a", START)], START);
    let a = only(&book);
    book.note(&a, Some(("lower", "ended")), "ended", START + SECOND);
    book.survey(&[], START + 2 * SECOND);
    assert_eq!(book.take_changed(true).len(), 1);
    // The same alert fires again: that is another incident.
    book.survey(&[own("a", START + 3 * SECOND)], START + 3 * SECOND);
    book.take_changed(true);
    book.note(&a, Some(("lower", "succeeded")), "succeeded", START + 3 * SECOND);
    let written = book.take_changed(true);
    assert_eq!(written.len(), 1);
    assert_eq!(
        (&written[0].id, written[0].status, &*written[0].actions["lower"]),
        (&a.id, Status::Resolved, "succeeded")
    );
    assert!(book.of(&a.labels).unwrap().actions.is_empty());
    // One that nothing was done about is not known any more.
    let other = Incident { id: "0".into(), ..a };
    book.note(&other, Some(("lower", "succeeded")), "succeeded", START + 4 * SECOND);
    assert!(!book.is_changed());
}

#[test]
fn what_was_done_is_known_when_the_file_is_read_late() {
    let at = |second: i64| START + second * SECOND;
    let labels = own("a", START).labels;
    let with = |value: f64, started: i64| Notice { value: Some(value), ..own("a", started) };
    let older = {
        let mut book = book();
        book.fires(&with(9.0, START), START);
        let incident = only(&book);
        for step in ["started", "failed"] {
            book.note(&incident, Some(("lower", step)), step, at(1));
        }
        book.acknowledge(&incident.id, "kim", "", at(2)).unwrap();
        only(&book)
    };
    assert_eq!(older.runs["lower"], Run { started: Some(at(1)), judged: Some(at(1)) });
    // The same episode: one record, with all that happened.
    let mut late = book();
    late.fires(&with(7.0, START), at(20));
    late.take_changed(true);
    late.take_over(older.clone(), at(21));
    let incident = only(&late);
    assert_eq!((&incident.id, incident.status, incident.opened), (&older.id, Status::Acknowledged, START));
    assert_eq!((&incident.actions, &incident.runs), (&older.actions, &older.runs));
    assert_eq!(incident.history, older.history);
    assert_eq!(incident.values, Values { start: Some(9.0), worst: Some(9.0), end: Some(7.0) });
    assert_eq!(late.take_changed(true), [incident]);
    assert_eq!(late.acted_on().count(), 1);
    // Another record of the same alert: it goes on with what was done.
    let mut late = book();
    late.fires(&with(7.0, at(15)), at(20));
    late.take_over(older.clone(), at(21));
    let incident = late.of(&labels).unwrap();
    assert!(incident.id != older.id && incident.status == Status::Acknowledged);
    assert_eq!((&incident.actions, &incident.runs), (&older.actions, &older.runs));
    // It was closed by hand, and was opened again because nobody knew that.
    let closed = Incident { status: Status::Resolved, resolved: Some(at(5)), by_hand: true, ..older };
    let mut late = book();
    late.fires(&with(7.0, START), at(20));
    late.take_news();
    late.take_over(closed.clone(), at(21));
    assert!(late.of(&labels).is_none() && matches!(&late.take_news()[..], [News::Resolved(..)]));
    late.fires(&with(7.0, START), at(22));
    assert!(late.of(&labels).is_none() && late.take_changed(true).is_empty());
    late.take_over(closed.clone(), at(23));
    assert_eq!(late.acted_on().map(|one| &one.id).collect::<Vec<_>>(), [&closed.id]);
}
