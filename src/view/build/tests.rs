//! Snapshots of boards, alerts and stages as they should and should not be.

use super::*;
use crate::alert::health::{ComponentHealth as Component, Reason};
use crate::catalog;
use crate::promql;
use crate::promql::{Each, Error, Sample, Select, Selection, moment_ms, read_labels};
use crate::view::{SeriesNames, html};

/// Now: 2023-11-14T22:13:20Z.
const NOW: i64 = 1_700_000_000_000;

/// Series of the past: text of their labels, and samples.
struct Samples(Vec<(Labels, Vec<Sample>)>);

impl Select for Samples {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let found = self.0.iter().filter(|(labels, _)| promql::Matcher::all(selection.matchers, labels));
        found.into_iter().try_for_each(|(labels, samples)| each(labels, samples))
    }
}

/// A counter or gauge of the last 20 minutes, each 5 seconds, from `from` by `by`.
fn line(series: &str, from: f64, by: f64) -> (Labels, Vec<Sample>) {
    let at = |place: i64| Sample { t: NOW - 1_200_000 + place * 5_000, v: from + by * place as f64 };
    (read_labels(series).unwrap(), (0..=240).map(at).collect())
}

fn shown(scrape: &str, past: Vec<(Labels, Vec<Sample>)>, health: Health) -> Snapshot {
    let wanted = SeriesNames::of(card::questions().map(Ask::text));
    let latest = Latest::read(NOW, scrape, &wanted);
    let past = Past::ask(&Samples(past), NOW, &|| None);
    assert_eq!(past.notes, Vec::<String>::new(), "every question can be asked");
    let limits = Limits::default();
    build(SnapshotInput {
        latest: &latest,
        past: &past,
        limits: &limits,
        health,
        alerts: Vec::new(),
        incidents: Vec::new(),
        trouble: Vec::new(),
        notes: Vec::new(),
    })
}

const BOARD: &str = "\
neural_device_info{device=\"cyton\",protocol=\"cyton\"} 1
neural_port_state{device=\"cyton\",state=\"open\"} 1
neural_port_state{device=\"cyton\",state=\"absent\"} 0
neural_device_streaming{device=\"cyton\"} 1
neural_device_rate_hertz{device=\"cyton\"} 250
neural_device_nominal_rate_hertz{device=\"cyton\"} 250
neural_device_rate_ratio{device=\"cyton\"} 1
neural_device_channels{device=\"cyton\"} 3
neural_device_bad_channels{device=\"cyton\"} 0
neural_device_last_sample_timestamp_seconds{device=\"cyton\"} 1699999999.5
neural_channel_quality_ratio{device=\"cyton\",channel=\"1\"} 1
neural_channel_quality_ratio{device=\"cyton\",channel=\"2\"} 1
neural_channel_quality_ratio{device=\"cyton\",channel=\"10\"} 1
neural_channel_info{device=\"cyton\",channel=\"2\",channel_name=\"Fp2\"} 1
neural_channel_bad{device=\"cyton\",channel=\"2\",reason=\"flat\"} 0
";

/// The packets of a minute with this many lost in a hundred.
fn loss(percent: f64) -> Vec<(Labels, Vec<Sample>)> {
    vec![
        line("neural_device_lost_packets_total{device=\"cyton\"}", 0.0, percent),
        line("neural_device_frames_total{device=\"cyton\"}", 0.0, 100.0 - percent),
    ]
}

#[test]
fn the_page_of_a_card_draws_each_of_its_parts() {
    let seen = shown(BOARD, Vec::new(), Health::default());
    let mut card = seen.cards.iter().find(|card| card.kind == "device").unwrap().clone();
    assert!(card.parts.iter().all(|part| part.plots.is_empty()), "the first page draws none");
    let quality = |device: &str, channel: &str, by| {
        line(&format!("neural_channel_quality_ratio{{device=\"{device}\",channel=\"{channel}\"}}"), 0.5, by)
    };
    let past = vec![quality("cyton", "2", 0.001), quality("other", "1", 0.0)];
    draw_parts(&mut card, &Samples(past), &Limits::default(), NOW, &|| None);
    let ranges: Vec<_> = card.parts.iter().map(|part| (&*part.id, part.plots.len())).collect();
    assert_eq!(ranges, [("1", 0), ("2", 1), ("10", 0)]);
    assert_eq!(card.parts[1].plots[0].range, ("55.9 %".to_owned(), "73.9 %".to_owned()));
}

#[test]
fn every_question_asks_for_what_there_is() {
    let all = catalog::PAGES.iter().chain(catalog::OWN).flat_map(|page| page.metrics);
    let families: Vec<String> = all.map(|metric| metric.family()).collect();
    let drawn =
        |card: &'static card::Card| card.lines.iter().chain(card.parts.map_or(&[][..], |parts| parts.lines));
    let lines = CARDS.iter().flat_map(drawn).map(|line| line.ask);
    for ask in card::questions().chain(lines) {
        for name in promql::parse(ask.text()).unwrap().metrics() {
            let family = ["_total", "_bucket", "_count", "_sum", "_info"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            let known =
                families.iter().any(|one| one == family || one == name) || name.starts_with("process_");
            assert!(known, "{name} of {}", ask.text());
        }
    }
}

#[test]
fn a_board_that_is_well_is_well() {
    let seen = shown(BOARD, loss(0.0), Health::default());
    assert_eq!((&*seen.verdict.words, seen.verdict.status), ("All is well", Status::Healthy));
    assert_eq!(seen.verdict.summary, "1 of 1 device streams, 3 of 3 channels are good.");
    let [card] = &seen.cards[..] else { panic!("{:?}", seen.cards) };
    assert_eq!((&*card.name, card.state.as_deref()), ("cyton", Some("streams")));
    let facts: Vec<_> = card.facts.iter().map(|fact| (&*fact.label, &*fact.text)).collect();
    assert_eq!(
        facts,
        [
            ("Rate", "250 Hz of 250 Hz"),
            ("Lost in the last minute", "0 %"),
            ("Lost in the last hour", "0 %"),
            ("Last sample", "500 ms"),
            ("Bad channels", "0 of 3")
        ]
    );
    let parts: Vec<_> = card.parts.iter().map(|part| (&*part.id, &*part.name)).collect();
    assert_eq!(parts, [("1", "1"), ("2", "Fp2"), ("10", "10")], "channels are in the order of their numbers");
}

#[test]
fn a_board_that_loses_packets_with_a_dead_electrode_is_not_well() {
    let scrape = BOARD.replace("reason=\"flat\"} 0", "reason=\"flat\"} 1");
    let seen = shown(&scrape, loss(3.0), Health::default());
    assert_eq!(seen.verdict.words, "The recording needs attention");
    let said: Vec<_> = seen.verdict.sentences.iter().map(|one| &*one.text).collect();
    assert_eq!(
        said,
        ["cyton lost 3 % of its packets in the last minute", "channel Fp2 of cyton is bad (flat)"]
    );
    assert!(seen.verdict.sentences.iter().all(|one| one.advice.is_some()), "each says what to do");
    let seen = shown(&scrape, loss(5.5), Health::default());
    assert_eq!((&*seen.verdict.words, seen.verdict.status), ("Recording is in danger", Status::Unhealthy));
    assert!(seen.verdict.summary.contains("2 of 3 channels are good"));
    // What is well says nothing.
    assert!(seen.cards[0].facts.iter().find(|fact| fact.label == "Rate").unwrap().status == Status::Healthy);
}

#[test]
fn a_board_that_is_gone_is_gone() {
    let gone = "neural_port_state{device=\"cyton\",state=\"absent\"} 1\nneural_port_state{device=\"cyton\",state=\"open\"} 0\n\
                neural_device_nominal_rate_hertz{device=\"cyton\"} 250\nneural_device_streaming{device=\"cyton\"} 0\n";
    let seen = shown(gone, Vec::new(), Health::default());
    assert_eq!(seen.verdict.words, "Recording is in danger");
    assert_eq!(seen.verdict.summary, "0 of 1 device stream.");
    let [said] = &seen.verdict.sentences[..] else { panic!("{:?}", seen.verdict) };
    assert_eq!(said.text, "cyton: absent");
    assert!(said.advice.as_deref().unwrap().contains("Plug it in"));
    assert!(
        seen.cards[0].facts.is_empty(),
        "there is no number where there is no data: {:?}",
        seen.cards[0].facts
    );
}

#[test]
fn a_board_behind_a_tap_that_nobody_opens_may_rest() {
    let rests = "neural_device_streaming{device=\"cyton\"} 0\nneural_tap_open{device=\"cyton\"} 0\n";
    let seen = shown(rests, Vec::new(), Health::default());
    assert_eq!(seen.verdict.status, Status::Healthy);
    assert_eq!(seen.cards[0].state.as_deref(), Some("no program reads it"));
    let silent = shown("neural_device_streaming{device=\"cyton\"} 0\n", Vec::new(), Health::default());
    assert_eq!(silent.verdict.words, "Recording is in danger");
}

#[test]
fn nothing_is_not_well() {
    let seen = shown("neural_agent_build_info{version=\"0\"} 1\n", Vec::new(), Health::default());
    assert_eq!(seen.verdict.words, "Nothing is connected yet");
    assert_eq!(seen.cards.len(), 1);
}

fn health(component: &str, name: &str, alert: &str, severity: &str) -> Health {
    let status = if severity == "critical" { Status::Unhealthy } else { Status::Degraded };
    let reason = Reason {
        alert: alert.into(),
        severity: severity.into(),
        priority: "P0".into(),
        since: moment_ms(NOW - 60_000),
        summary: format!("{alert} fires"),
    };
    let judged = Component { component: component.into(), name: name.into(), status, reasons: vec![reason] };
    Health { components: vec![judged], ..Health::default() }
}

#[test]
fn an_alert_says_since_when_and_nothing_twice() {
    let seen = shown(BOARD, loss(3.0), health("device", "cyton", "NeuralDeviceLoss", "critical"));
    let [said] = &seen.verdict.sentences[..] else { panic!("{:?}", seen.verdict) };
    assert_eq!((said.since, said.status), (Some(NOW - 60_000), Status::Unhealthy));
    assert!(said.text.contains("lost 3 %"));
    // An alert about something else is a sentence of its own.
    let seen = shown(BOARD, loss(3.0), health("device", "cyton", "NeuralDeviceDrift", "medium"));
    assert_eq!(seen.verdict.sentences.len(), 2);
    // One about what has no card makes one.
    let seen = shown(BOARD, loss(0.0), health("process", "recorder", "NeuralProcessMissing", "critical"));
    assert!(seen.cards.iter().any(|card| card.kind == "process" && card.status == Status::Unhealthy));
    assert_eq!(seen.verdict.words, "Something needs attention at once");
    // The agent's own card is behind it.
    let page = html::page(&seen);
    assert!(page.find("id=others").unwrap() < page.find("id=agent").unwrap());
    // The source of a board has the board's card.
    let seen = shown(BOARD, loss(0.0), health("source", "cyton", "NeuralSourceDown", "critical"));
    assert_eq!(seen.cards.iter().map(|card| &*card.kind).collect::<Vec<_>>(), ["device"]);
    assert_eq!((seen.cards[0].status, seen.verdict.sentences.len()), (Status::Unhealthy, 1));
}

#[test]
fn a_channel_is_shown_with_its_worst_reason() {
    let bad = |reason: &str| {
        format!("neural_channel_bad{{device=\"cyton\",channel=\"10\",reason=\"{reason}\"}} 1\n")
    };
    let scrape = format!("{BOARD}{}{}", bad("noise"), bad("railed"));
    let seen = shown(&scrape, Vec::new(), Health::default());
    assert_eq!(seen.cards[0].parts[2].reasons, ["railed", "noise"]);
    let page = html::page(&seen);
    assert!(page.contains("<li class=large title=\"10: railed, noise\">"), "{page}");
    assert!(
        page.contains("<span class=large>⊤</span> railed</p>"),
        "the sign is explained, and no other: {page}"
    );
}

#[test]
fn a_stage_that_is_slow_is_named_with_its_limit() {
    let bucket = |le: &str, by: f64| {
        line(
            &format!("neural_stage_duration_seconds_bucket{{pipeline=\"p\",stage=\"fit\",le=\"{le}\"}}"),
            0.0,
            by,
        )
    };
    let past = vec![bucket("0.1", 1.0), bucket("0.5", 10.0), bucket("+Inf", 10.0)];
    let seen = shown(
        "neural_stage_duration_seconds_count{pipeline=\"p\",stage=\"fit\"} 7\n",
        past,
        Health::default(),
    );
    let [said] = &seen.verdict.sentences[..] else { panic!("{:?}", seen.verdict) };
    assert!(said.text.starts_with("stage fit of p takes 4"), "{}", said.text);
    let plot = &seen.cards[0].plots[0];
    assert_eq!((plot.bound_text.as_deref(), plot.points.len()), (Some("100 ms"), 61));
    assert!(plot.points.last().unwrap().is_some());
    let page = html::page(&seen);
    assert!(page.contains("<th class=n>p95 (limit 100 ms)"), "{page}");
    assert!(page.contains("<th scope=row class=attention>fit<span aria-hidden=true> ▲</span>"), "{page}");
}

#[test]
fn a_gap_in_the_past_is_a_gap() {
    let (labels, mut samples) = line("neural_device_rate_hertz{device=\"cyton\"}", 250.0, 0.0);
    // The mark of an end, ten minutes ago; it came back five minutes ago.
    samples.retain(|sample| !(NOW - 600_000..NOW - 300_000).contains(&sample.t));
    let place = samples.iter().position(|sample| sample.t >= NOW - 600_000).unwrap();
    samples.insert(place, Sample { t: NOW - 599_000, v: f64::from_bits(0x7ff0_0000_0000_0002) });
    let seen = shown(BOARD, vec![(labels, samples)], Health::default());
    let plot = &seen.cards[0].plots[0];
    let missing = plot.points.iter().filter(|point| point.is_none()).count();
    assert!((18..=21).contains(&missing), "{missing} of 61 points are missing: {:?}", plot.points);
}

#[test]
fn what_is_wrong_with_the_agent_is_said() {
    let latest = Latest::read(
        NOW,
        "neural_agent_build_info{version=\"0\"} 1\n",
        &SeriesNames::of(card::questions().map(Ask::text)),
    );
    let (past, limits) = (Past::absent("the history is off"), Limits::default());
    let seen = build(SnapshotInput {
        latest: &latest,
        past: &past,
        limits: &limits,
        health: Health::default(),
        alerts: Vec::new(),
        incidents: Vec::new(),
        trouble: vec!["The last reload failed".into()],
        notes: vec!["more".into()],
    });
    assert_eq!(seen.verdict.sentences[0].text, "The last reload failed");
    assert_eq!(seen.notes, ["more", "the history is off"]);
}

#[test]
fn names_are_sorted_as_people_do() {
    let mut names = ["c10", "c2", "b", "10", "9", "c", "9a"];
    names.sort_by_key(|name| natural(name));
    assert_eq!(names, ["9", "9a", "10", "b", "c", "c2", "c10"]);
}
