//! Alerts go in, and what is sent when is compared.

use super::*;
use crate::promql::read_labels;
use crate::routing::Compare::{Equal, Matches};
use crate::routing::{
    Inhibition, Interval, Local, Matcher, Minute, Route, Routing, Span, Time, Times, Weekday,
};

const START: i64 = 1_000_000_000_000;
const VALID: i64 = 240_000;

fn routing() -> Routing {
    let quick = Route {
        receiver: "quick".into(),
        matchers: vec![Matcher::new("priority", Equal, "P0")],
        group_wait: Some(Time(5)),
        group_interval: Some(Time(60)),
        repeat_interval: Some(Time(600)),
        ..Route::default()
    };
    let late = Route {
        receiver: "late".into(),
        matchers: vec![Matcher::new("priority", Equal, "P3")],
        mute_time_intervals: vec!["night".into()],
        ..quick.clone()
    };
    let night = Span {
        times: vec![Times { from: Minute(0), to: Minute(60) }],
        weekdays: vec![],
        location: "Europe/Berlin".into(),
    };
    Routing {
        route: Route {
            receiver: "nobody".into(),
            group_by: Some(vec!["alertname".into()]),
            routes: vec![quick, late],
            ..Route::default()
        },
        inhibitions: vec![Inhibition {
            source: vec![Matcher::new("priority", Equal, "P0")],
            target: vec![Matcher::new("priority", Matches, "P.")],
            equal: vec!["device".into()],
        }],
        intervals: vec![Interval { name: "night".into(), spans: vec![night] }],
    }
}

fn plan(send_resolved: bool) -> Plan {
    let behind = move |name: &str| match name {
        "quick" => vec![Integration { id: "quick".into(), endpoint: 0, send_resolved }],
        "late" => vec![Integration { id: "late".into(), endpoint: 1, send_resolved }],
        _ => vec![],
    };
    Plan::new(&routing(), &behind).unwrap()
}

/// A dispatcher with receivers that take everything, refuse everything, or do not answer.
struct Lab {
    dispatcher: Dispatcher,
    now: i64,
    outcome: Outcome,
    silenced: Option<&'static str>,
    minute: u16,
    /// Seconds from the start, and what was sent.
    sent: Vec<String>,
}

impl Lab {
    fn new() -> Self {
        Self::with(Dispatcher::new(plan(true)))
    }

    fn with(dispatcher: Dispatcher) -> Self {
        Self {
            dispatcher,
            now: START,
            outcome: Outcome::Delivered,
            silenced: None,
            minute: 720,
            sent: vec![],
        }
    }

    fn alert(&self, labels: &str, starts_at: i64, ends_at: i64) -> PostedAlert {
        PostedAlert {
            labels: read_labels(labels).unwrap(),
            annotations: Labels::from_pairs([("summary", "s")]),
            starts_at,
            ends_at,
            link: "http://lab/graph".into(),
            updated_at: self.now,
        }
    }

    fn fires(&mut self, labels: &str) {
        let alert = self.alert(labels, self.now, self.now + VALID);
        self.dispatcher.post(self.now, [alert]);
    }

    /// It fires still.
    fn keeps(&mut self, labels: &str, since: i64) {
        let alert = self.alert(labels, since, self.now + VALID);
        self.dispatcher.post(self.now, [alert]);
    }

    fn ends(&mut self, labels: &str, since: i64) {
        let alert = self.alert(labels, since, self.now);
        self.dispatcher.post(self.now, [alert]);
    }

    fn attempts(&mut self) -> Vec<Attempt> {
        let (silenced, minute) = (self.silenced, self.minute);
        let around = Around {
            zones: &|place, _| {
                assert_eq!(place, "Europe/Berlin");
                Local { weekday: Weekday::Monday, minute: Minute(minute) }
            },
            silenced: &|labels| silenced.is_some_and(|device| labels.get("device") == device),
        };
        self.dispatcher.poll(self.now, &around)
    }

    /// Lets so many seconds pass, one at a time, and posts what fires every half minute.
    fn pass(&mut self, seconds: i64, firing: &[(&str, i64)]) {
        for _ in 0..seconds {
            self.now += 1000;
            if (self.now - START) % 30_000 == 0 {
                firing.iter().for_each(|(labels, since)| self.keeps(labels, *since));
            }
            self.send();
        }
    }

    fn send(&mut self) {
        loop {
            let attempts = self.attempts();
            if attempts.is_empty() {
                break;
            }
            for Attempt { ticket, endpoint, message } in attempts {
                if self.outcome == Outcome::Delivered {
                    let alerts: Vec<String> = message
                        .alerts
                        .iter()
                        .map(|(status, alert)| {
                            format!(
                                "{}{}",
                                alert.labels.get("device"),
                                if *status == Status::Firing { "!" } else { "." }
                            )
                        })
                        .collect();
                    let at = (self.now - START) / 1000;
                    self.sent.push(format!("{at} {} {}", message.receiver, alerts.join(" ")));
                }
                self.dispatcher.done(self.now, endpoint, &ticket, self.outcome, 0.5);
            }
        }
    }

    /// It ends, and another one begins so many seconds later.
    fn restart(&mut self, away: i64) {
        let saved = serde_json::to_vec(&self.dispatcher.save(self.now)).unwrap();
        self.now += away * 1000;
        self.dispatcher =
            Dispatcher::restore(plan(true), serde_json::from_slice(&saved).unwrap(), self.now, VALID);
    }
}

const A: &str = r#"{alertname="X",priority="P0",device="a"}"#;
const B: &str = r#"{alertname="X",priority="P0",device="b"}"#;

#[test]
fn a_group_waits_and_then_sends_news_at_its_interval_and_repeats() {
    let mut lab = Lab::new();
    lab.fires(A);
    lab.pass(4, &[]);
    assert!(lab.sent.is_empty());
    lab.pass(1, &[]);
    assert_eq!(lab.sent, ["5 quick a!"]);
    // Another alert of the group is sent at the next interval, together with the first.
    lab.fires(B);
    lab.pass(60, &[(A, START), (B, START + 5000)]);
    assert_eq!(lab.sent[1..], ["65 quick a! b!"]);
    // One is over.
    lab.ends(A, START);
    lab.pass(60, &[(B, START + 5000)]);
    assert_eq!(lab.sent[2..], ["125 quick a. b!"]);
    // What is over was said: it is forgotten. Then nothing is new for ten minutes.
    lab.pass(600, &[(B, START + 5000)]);
    assert_eq!(lab.sent[3..], ["725 quick b!"]);
    lab.ends(B, START + 5000);
    lab.pass(60, &[]);
    assert_eq!(lab.sent[4..], ["785 quick b."]);
    assert!(!lab.dispatcher.knows(&read_labels(B).unwrap()));
    assert_eq!(lab.dispatcher.due(), None);
}

#[test]
fn an_alert_that_comes_and_goes_within_the_wait_is_told_to_nobody() {
    let mut lab = Lab::new();
    lab.fires(A);
    lab.pass(2, &[]);
    lab.ends(A, START);
    lab.pass(120, &[]);
    assert!(lab.sent.is_empty());
    assert_eq!(lab.dispatcher.due(), None);
    // One that fires for long already waits no more.
    let since = lab.now - 20_000;
    lab.keeps(A, since);
    lab.send();
    assert_eq!(lab.sent, ["122 quick a!"]);
}

#[test]
fn an_alert_that_nobody_posts_any_more_is_over_after_its_time() {
    let mut lab = Lab::new();
    lab.fires(A);
    lab.pass(300, &[]);
    assert_eq!(lab.sent, ["5 quick a!", "245 quick a."]);
}

#[test]
fn who_does_not_answer_is_tried_ever_more_rarely_and_gets_everything_at_once() {
    let mut lab = Lab::new();
    lab.outcome = Outcome::Failed;
    for device in 0..50 {
        lab.fires(&format!("{{alertname=\"N{device}\",priority=\"P0\",device=\"d{device}\"}}"));
    }
    lab.now += 5000;
    let first = lab.attempts();
    assert_eq!(first.len(), 4, "no more at once than that");
    for Attempt { ticket, endpoint, .. } in &first {
        lab.dispatcher.done(lab.now, *endpoint, ticket, Outcome::Failed, 0.5);
    }
    let mut tries = 0;
    for _ in 0..40 {
        let next = lab.dispatcher.due().unwrap().max(lab.now + 1);
        assert!(next - lab.now <= 60_000);
        lab.now = next;
        let attempts = lab.attempts();
        assert!(attempts.len() <= 1, "one at a time while it does not answer");
        tries += attempts.len();
        for Attempt { ticket, endpoint, .. } in attempts {
            lab.dispatcher.done(lab.now, endpoint, &ticket, Outcome::Failed, 0.5);
        }
    }
    assert!(tries > 10);
    assert_eq!(lab.dispatcher.waiting(0).notifications, 50);
    lab.outcome = Outcome::Delivered;
    lab.now += 60_000;
    lab.send();
    assert_eq!(lab.sent.len(), 50);
    assert_eq!(lab.dispatcher.waiting(0), DestinationStatus::default());
}

#[test]
fn a_receiver_that_was_away_hears_of_what_came_and_went() {
    let mut lab = Lab::new();
    lab.outcome = Outcome::Failed;
    lab.fires(A);
    lab.pass(100, &[(A, START)]);
    lab.ends(A, START);
    lab.pass(200, &[]);
    lab.restart(1);
    lab.pass(200, &[]);
    lab.outcome = Outcome::Delivered;
    lab.pass(120, &[]);
    assert_eq!(lab.sent.len(), 1);
    assert!(lab.sent[0].ends_with("quick a."), "{:?}", lab.sent);
    assert_eq!(lab.dispatcher.due(), None);
}

#[test]
fn what_is_refused_is_not_sent_again_before_the_group_is_looked_at() {
    let mut lab = Lab::new();
    lab.outcome = Outcome::Refused;
    lab.fires(A);
    lab.pass(5, &[]);
    lab.outcome = Outcome::Delivered;
    lab.pass(59, &[]);
    assert!(lab.sent.is_empty());
    lab.pass(1, &[]);
    assert_eq!(lab.sent, ["65 quick a!"]);
}

#[test]
fn what_changes_while_a_notification_is_on_its_way_is_sent_after_it() {
    let mut lab = Lab::new();
    lab.fires(A);
    lab.now += 5000;
    let [on_its_way] = &lab.attempts()[..] else { panic!() };
    let Attempt { ticket, endpoint, .. } = on_its_way.clone();
    lab.fires(B);
    lab.pass(60, &[]);
    assert!(lab.sent.is_empty(), "the first one is not answered yet");
    lab.dispatcher.done(lab.now, endpoint, &ticket, Outcome::Delivered, 0.5);
    // The answer of an attempt that was answered counts once.
    lab.dispatcher.done(lab.now, endpoint, &ticket, Outcome::Failed, 0.5);
    lab.pass(1, &[]);
    assert_eq!(lab.sent, ["66 quick a! b!"]);
}

#[test]
fn an_alert_is_muted_by_a_worse_one_of_the_same_device_and_not_by_its_equals() {
    let mut lab = Lab::new();
    let minor = r#"{alertname="Y",priority="P3",device="a"}"#;
    let other = r#"{alertname="Z",priority="P3",device="b"}"#;
    lab.fires(A);
    lab.fires(r#"{alertname="W",priority="P0",device="a"}"#);
    lab.fires(minor);
    lab.fires(other);
    lab.pass(5, &[]);
    lab.sent.sort();
    assert_eq!(lab.sent, ["5 late b!", "5 quick a!", "5 quick a!"]);
    // The worse ones end; the minor one is told at its group's next time.
    lab.ends(A, START);
    lab.ends(r#"{alertname="W",priority="P0",device="a"}"#, START);
    lab.sent.clear();
    lab.pass(60, &[(minor, START), (other, START)]);
    lab.sent.sort();
    assert_eq!(lab.sent, ["65 late a!", "65 quick a.", "65 quick a."]);
}

#[test]
fn quiet_hours_and_silences_hold_back_and_what_lasts_longer_is_told_then() {
    let minor = r#"{alertname="Y",priority="P3",device="a"}"#;
    let mut lab = Lab::new();
    lab.minute = 59;
    lab.fires(minor);
    lab.pass(60, &[(minor, START)]);
    assert!(lab.sent.is_empty());
    lab.minute = 60;
    lab.pass(60, &[(minor, START)]);
    assert_eq!(lab.sent, ["65 late a!"]);
    lab.silenced = Some("a");
    lab.pass(700, &[(minor, START)]);
    assert_eq!(lab.sent.len(), 1, "no repeat while it is silenced");
    lab.ends(minor, START);
    lab.pass(60, &[]);
    assert_eq!((lab.sent.len(), lab.dispatcher.due()), (1, None));
}

#[test]
fn a_receiver_that_hears_of_no_ends_hears_of_the_next_alert_at_once() {
    let mut lab = Lab::with(Dispatcher::new(plan(false)));
    lab.fires(A);
    lab.pass(5, &[]);
    lab.fires(B);
    lab.ends(A, START);
    lab.pass(60, &[(B, START + 5000)]);
    lab.ends(B, START + 5000);
    lab.pass(60, &[]);
    assert_eq!(lab.sent, ["5 quick a!", "65 quick b!"]);
    lab.fires(A);
    lab.pass(5, &[]);
    assert_eq!(lab.sent[2..], ["130 quick a!"]);
}

#[test]
fn a_restart_begins_nothing_again() {
    let mut lab = Lab::new();
    lab.fires(A);
    lab.pass(3, &[]);
    lab.restart(0);
    lab.pass(2, &[]);
    assert_eq!(lab.sent, ["5 quick a!"]);
    // It is away for longer than an alert is valid, and hears only then what fires.
    lab.restart(400);
    lab.pass(239, &[(A, START)]);
    assert_eq!(lab.sent.len(), 1);
    lab.pass(60, &[(A, START)]);
    assert_eq!(lab.sent[1..], ["646 quick a!"], "the first look after ten minutes");
    lab.ends(A, START);
    lab.pass(60, &[]);
    assert_eq!(lab.sent.len(), 3);
    // Groups that are gone are in the log until they would be repeated twice.
    assert!(!lab.dispatcher.save(lab.now).is_empty());
}

#[test]
fn a_clock_that_is_set_changes_no_time_between() {
    let mut lab = Lab::new();
    lab.fires(A);
    lab.pass(3, &[]);
    lab.now += 7_200_000;
    lab.dispatcher.shift(&Jump::whole(7_200_000));
    assert_eq!(lab.dispatcher.due(), Some(lab.now + 2000));
    lab.pass(2, &[]);
    assert_eq!(lab.sent, ["7205 quick a!"]);
}

#[test]
fn there_is_room_for_so_many_alerts() {
    let mut lab = Lab::new();
    for i in 0..MOST_ALERTS + 3 {
        lab.fires(&format!("{{alertname=\"X\",n=\"{i}\"}}"));
    }
    assert_eq!(lab.dispatcher.dropped(), 3);
    // One that is known is always taken.
    lab.ends("{alertname=\"X\",n=\"0\"}", START);
    assert_eq!(lab.dispatcher.dropped(), 3);
    lab.pass(400, &[]);
    assert_eq!((lab.dispatcher.bytes, lab.dispatcher.alerts.len()), (0, 0));
}

#[test]
fn the_first_route_that_matches_is_taken_unless_it_goes_on() {
    let mut routing = routing();
    let matching = |plan: &Plan, labels: &str| -> Vec<String> {
        plan.route(&read_labels(labels).unwrap())
            .into_iter()
            .map(|at| plan.nodes[at].receiver.to_string())
            .collect()
    };
    routing.route.routes.push(Route { receiver: "all".into(), ..Route::default() });
    let nobody = |_: &str| Vec::new();
    let plan = Plan::new(&routing, &nobody).unwrap();
    assert_eq!(matching(&plan, A), ["quick"]);
    assert_eq!(matching(&plan, "{alertname=\"X\"}"), ["all"]);
    routing.route.routes[0].continues = true;
    let plan = Plan::new(&routing, &nobody).unwrap();
    assert_eq!(matching(&plan, A), ["quick", "all"]);
    // The key of a group names its routes and labels, as Alertmanager's does.
    let node = &plan.nodes[1];
    assert_eq!(
        &*node.group_key(&node.group_labels(&read_labels(A).unwrap())),
        r#"{}/{priority="P0"}:{alertname="X"}"#
    );
    routing.route.matchers.push(Matcher::new("a", Matches, "("));
    assert!(Plan::new(&routing, &nobody).unwrap_err().starts_with("a=~\"(\": "));
}

#[test]
fn the_body_of_a_webhook_is_that_of_alertmanager() {
    let mut lab = Lab::new();
    lab.fires(A);
    lab.now += 5120;
    let message = lab.attempts()[0].message.clone();
    let expected = concat!(
        r#"{"receiver":"quick","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"X","device":"a","priority":"P0"},"#,
        r#""annotations":{"summary":"s"},"startsAt":"2001-09-09T01:46:40Z","endsAt":"0001-01-01T00:00:00Z","#,
        r#""generatorURL":"http://lab/graph","fingerprint":"a992660485db12fb"}],"#,
        r#""notification_reason":"first notification","groupLabels":{"alertname":"X"},"#,
        r#""commonLabels":{"alertname":"X","device":"a","priority":"P0"},"commonAnnotations":{"summary":"s"},"#,
        r#""externalURL":"http://lab","version":"4","groupKey":"{}/{priority=\"P0\"}:{alertname=\"X\"}","truncatedAlerts":0}"#,
        "\n"
    );
    let body = String::from_utf8(message.json("http://lab")).unwrap();
    assert_eq!(body, expected);
}

#[test]
fn alerts_are_in_alertmanagers_order() {
    let lab = Lab::new();
    let mut alerts: Vec<PostedAlert> = [
        r#"{alertname="A",job="b"}"#,
        r#"{alertname="A"}"#,
        r#"{alertname="A",job="a",x="1"}"#,
        r#"{alertname="B",job="a"}"#,
    ]
    .map(|labels| lab.alert(labels, 0, 1))
    .into();
    alerts.sort_by(posted::order);
    let order: Vec<String> = alerts
        .iter()
        .map(|alert| {
            format!("{}{}{}", alert.labels.get("alertname"), alert.labels.get("job"), alert.labels.get("x"))
        })
        .collect();
    assert_eq!(order, ["Ba", "Aa1", "Ab", "A"]);
}
