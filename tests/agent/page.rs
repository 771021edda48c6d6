//! The page, a card's page and the terminal of a laboratory in which much is wrong, as golden files.

use neural_exporter::alert::health::Verdict;
use neural_exporter::alert::incident;
use neural_exporter::catalog::card::{Ask, questions};
use neural_exporter::catalog::limit::Limits;
use neural_exporter::view::screen::once;
use neural_exporter::view::{
    Alert, Incident, Latest, Past, SeriesNames, Snapshot, SnapshotInput, build, html,
};

use super::at;
use super::golden::same;

const NOW: i64 = 1_700_000_000_000;

fn laboratory() -> Snapshot {
    let scrape = std::fs::read_to_string(at("tests/fixtures/page/lab.prom")).unwrap();
    let latest = Latest::read(NOW, &scrape, &SeriesNames::of(questions().map(Ask::text)));
    let (past, limits) = (Past::absent("The history is `off`."), Limits::default());
    let alert = |name: &str, firing| Alert {
        name: name.into(),
        firing,
        priority: "P1".into(),
        summary: format!("<b>{name}</b> & more"),
        since: NOW - 90_000,
        runbook: firing,
    };
    let incident = Incident {
        id: "0123456789abcdef".into(),
        state: "open".into(),
        priority: "P0".into(),
        summary: "<headset> is unplugged".into(),
        since: NOW - 3_700_000,
        acknowledged: false,
        silenced: Some(0),
    };
    build(SnapshotInput {
        latest: &latest,
        past: &past,
        limits: &limits,
        health: Verdict::default(),
        alerts: vec![alert("NeuralDeviceUnplugged", true), alert("Own", false)],
        incidents: vec![
            incident.clone(),
            Incident {
                acknowledged: true,
                state: "acknowledged".into(),
                silenced: Some(NOW + 60_000),
                ..incident
            },
        ],
        trouble: vec!["The last reload failed: run `neural-exporter check`.".into()],
        notes: Vec::new(),
    })
}

#[test]
fn the_page_is_what_it_was() {
    let seen = laboratory();
    same(&at("tests/fixtures/page/lab.html"), &html::page(&seen));
    same(&at("tests/fixtures/page/cyton.html"), &html::card_page(&seen, "device", "cyton", None).unwrap());
    let pipeline = seen.cards.iter().find(|card| card.kind == "pipeline").unwrap();
    same(
        &at("tests/fixtures/page/pipeline.html"),
        &html::card_page(&seen, "pipeline", &pipeline.name, None).unwrap(),
    );
    assert_eq!(html::card_page(&seen, "device", "none", None), None);
}

const INCIDENT: &str = r#"{"id":"0123456789abcdef","alert":"NeuralDeviceUnplugged","severity":"critical","priority":"P0","state":"STATE",
    "labels":{"alertname":"NeuralDeviceUnplugged","device":"<headset>"},"annotations":{"summary":"<headset> is unplugged","description":"a & b"},
    "started":"2023-11-14T21:11:40.000Z","opened":"2023-11-14T21:11:41.000Z","acknowledged":"2023-11-14T21:20:00.000Z",
    "escalated":"2023-11-14T21:15:00.000Z","resolved":"2023-11-14T22:00:00.000Z",
    "values":{"start":1.5,"worst":9.0,"end":null},"agent":true,"alertmanager":false,"omitted":2,
    "actions":{"power cycle":"succeeded","<tell>":"failed"},"runs":{"power cycle":{"started":"2023-11-14T21:12:00.000Z","judged":"2023-11-14T21:13:00.000Z"}},
    "history":[{"at":"2023-11-14T21:11:41.000Z","what":"opened","by":"agent","why":"<headset> is unplugged"},
               {"at":"2023-11-14T21:20:00.000Z","what":"acknowledged","by":"<ada>","why":"I look"}]}"#;

#[test]
fn the_page_of_an_incident_is_what_it_was() {
    let of = |state: &str| -> incident::Incident {
        serde_json::from_str(&INCIDENT.replace("STATE", state)).unwrap()
    };
    let (open, resolved) = (of("escalated"), of("resolved"));
    let about = html::About { incident: &open, at: NOW, silenced: None, silences: true, runbook: true };
    let page = html::incident_page(&about);
    assert!(page.contains("/ack") && page.contains("/silence"));
    same(&at("tests/fixtures/page/incident.html"), &page);
    let silenced = html::incident_page(&html::About { silenced: Some(NOW + 60_000), ..about });
    assert!(silenced.contains("Silenced until 2023-11-14T22:14:20Z") && !silenced.contains("/silence"));
    let acknowledged = of("acknowledged");
    assert!(!html::incident_page(&html::About { incident: &acknowledged, ..about }).contains("/ack"));
    let over = html::incident_page(&html::About { incident: &resolved, ..about });
    assert!(over.contains("after 48 min") && !over.contains("<form"), "{over}");
    same(
        &at("tests/fixtures/page/incidents.html"),
        &html::incidents_page(&[open, resolved], &["<more>".into()]),
    );
}

#[test]
fn the_inside_is_what_it_was() {
    let (text, refused) =
        ("a: \"<b>\"\nc: ***\n".to_owned(), Some((NOW - 5_000, "neural.yml:1:1: <wrong>".into())));
    let config = html::InEffect { text, loaded: NOW - 90_000, refused };
    same(&at("tests/fixtures/page/config.html"), &html::config_page(&config, NOW));
    let quiet = html::config_page(&html::InEffect { refused: None, ..config }, NOW);
    assert!(!quiet.contains("role=alert"), "{quiet}");
    let lines = ["2023-11-14T21:11:41Z  INFO serving", "2023-11-14T21:11:42Z  WARN <x>"].map(str::to_owned);
    same(&at("tests/fixtures/page/log.html"), &html::log_page(&lines));
}

#[test]
fn the_terminal_is_what_it_was() {
    let lines = once(&laboratory(), 100);
    let text = |line: &ratatui_core::text::Line<'_>| {
        line.spans.iter().map(|span| &*span.content).collect::<String>().trim_end().to_owned() + "\n"
    };
    same(&at("tests/fixtures/page/lab.txt"), &lines.iter().map(text).collect::<String>());
}
