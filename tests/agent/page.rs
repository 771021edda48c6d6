//! The page, a card's page and the terminal of a laboratory in which much is wrong, as golden files.

use neural_exporter::alert::health::Verdict;
use neural_exporter::catalog::card::{Ask, questions};
use neural_exporter::catalog::limit::Limits;
use neural_exporter::view::screen::once;
use neural_exporter::view::{Alert, Given, Incident, Latest, Past, Snapshot, Wanted, build, html};

use super::at;
use super::golden::same;

const NOW: i64 = 1_700_000_000_000;

fn laboratory() -> Snapshot {
    let scrape = std::fs::read_to_string(at("tests/fixtures/page/lab.prom")).unwrap();
    let latest = Latest::read(NOW, &scrape, &Wanted::of(questions().map(Ask::text)));
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
    };
    build(Given {
        latest: &latest,
        past: &past,
        limits: &limits,
        health: Verdict::default(),
        alerts: vec![alert("NeuralDeviceUnplugged", true), alert("Own", false)],
        incidents: vec![
            incident.clone(),
            Incident { acknowledged: true, state: "acknowledged".into(), ..incident },
        ],
        trouble: vec!["The last reload failed: run `neural-exporter check`.".into()],
        notes: Vec::new(),
    })
}

#[test]
fn the_page_is_what_it_was() {
    let seen = laboratory();
    same(&at("tests/fixtures/page/lab.html"), &html::page(&seen));
    same(&at("tests/fixtures/page/cyton.html"), &html::card_page(&seen, "device", "cyton").unwrap());
    assert_eq!(html::card_page(&seen, "device", "none"), None);
}

#[test]
fn the_terminal_is_what_it_was() {
    let lines = once(&laboratory(), 100);
    let text = |line: &ratatui_core::text::Line<'_>| {
        line.spans.iter().map(|span| &*span.content).collect::<String>().trim_end().to_owned() + "\n"
    };
    same(&at("tests/fixtures/page/lab.txt"), &lines.iter().map(text).collect::<String>());
}
