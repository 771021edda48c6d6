//! The report of a session whose every gap, bad second, marker and alert is known.

use super::*;
use crate::event::Timestamp;
use crate::session::{Book, NewSession, Origin, State};

/// Where the golden file is.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/page/session.html");

/// A step up at a time: nothing before, and `by` from then on.
fn step(at: i64, by: f64) -> impl Fn(i64) -> f64 {
    move |t| if t >= at { by } else { 0.0 }
}

/// An hour with a board that loses 40 packets at one time and is unplugged for a minute at another, an electrode that is bad for ten
/// minutes, seven markers at two times, and an alert.
fn laboratory() -> Samples {
    let minute = 60_000;
    let streams = move |t: i64| f64::from(!(-20 * minute..-19 * minute).contains(&t));
    let railed = move |t: i64| f64::from((-50 * minute..-40 * minute).contains(&t));
    let markers = move |t: i64| step(-40 * minute, 3.0)(t) + step(-10 * minute, 4.0)(t);
    let before = (-2 * HOUR, 0);
    let mut samples = Samples::default()
        .agent(-3 * HOUR, -9 * HOUR)
        .with("neural_device_samples_total{device=\"cyton\"}", before, ten(-9 * HOUR))
        .with("neural_device_frames_total{device=\"cyton\"}", before, ten(-9 * HOUR))
        .with("neural_device_lost_packets_total{device=\"cyton\"}", before, step(-30 * minute, 40.0))
        .with("neural_device_gaps_total{device=\"cyton\"}", before, step(-30 * minute, 1.0))
        .with("neural_device_streaming{device=\"cyton\"}", before, streams)
        .with("neural_device_nominal_rate_hertz{device=\"cyton\"}", before, |_| 250.0)
        .with("neural_device_battery_ratio{device=\"cyton\"}", before, |t| 0.8 + t as f64 / HOUR as f64 * 0.1)
        .with("neural_device_assessed_seconds_total{device=\"cyton\"}", before, |t| {
            ((t + 2 * HOUR) / 1000) as f64
        })
        .with("neural_stream_markers_total{source=\"lsl\",stream=\"Markers\"}", before, markers)
        .with(
            "neural_stream_missing_samples_total{source=\"lsl\",stream=\"EEG\"}",
            before,
            step(-25 * minute, 6.0),
        );
    for (channel, name) in [("1", "C3"), ("2", "Cz"), ("3", "C4"), ("4", "Pz")] {
        let of = |rest: &str| format!("{{device=\"cyton\",channel=\"{channel}\"{rest}}}");
        let bad = move |t: i64| if channel == "3" { railed(t) } else { 0.0 };
        let seconds = move |t: i64| {
            if channel == "3" { ((t + 50 * minute).clamp(0, 10 * minute) / 1000) as f64 } else { 0.0 }
        };
        samples = samples
            .with(&format!("neural_channel_quality_ratio{}", of("")), (-HOUR, 0), move |t| 1.0 - bad(t))
            .with(&format!("neural_channel_bad{}", of(",reason=\"railed\"")), (-HOUR, 0), bad)
            .with(&format!("neural_channel_bad_seconds_total{}", of("")), (-HOUR, 0), seconds)
            .with(
                &format!("neural_channel_info{}", of(&format!(",channel_name=\"{name}\""))),
                (-HOUR, 0),
                |_| 1.0,
            )
            .with(&format!("neural_device_electrode_impedance_ohms{}", of("")), (-HOUR, 0), |t| {
                if t < -HOUR + 2 * minute { 7_000.0 } else { 9_000.0 }
            });
    }
    let alert = "ALERTS{alertname=\"NeuralChannelBad\",alertstate=\"firing\",severity=\"warning\",device=\"cyton\",channel=\"3\"}";
    samples.with(alert, (-49 * minute, -45 * minute), |_| 1.0)
}

/// The session of the hour.
fn session(name: &str) -> Session {
    let at = |ms: i64| Timestamp::both(ms.unsigned_abs() * 1_000_000);
    let mut book = Book::default();
    let id = book.begin(NewSession { origin: Origin::Program, of: "intan", name }, at(END - HOUR)).unwrap();
    book.end(&id, at(END), State::Ended);
    book.find(&id).unwrap().clone()
}

fn report(samples: &Samples) -> Report {
    let report = samples.report(&[]);
    let incidents = vec![Episode {
        id: "0123456789abcdef".into(),
        alert: "NeuralChannelBad".into(),
        summary: "<C4> of cyton is bad".into(),
        priority: "P1".into(),
        state: "resolved".into(),
        started: END - 49 * 60_000,
        acknowledged: None,
        resolved: Some(END - 45 * 60_000),
    }];
    Report { session: Some(session("sub-01_task-rest <1>")), incidents: Some(incidents), ..report }
}

#[test]
fn each_gap_has_its_time_and_what_was_lost_in_it() {
    let report = report(&laboratory());
    let brief = |gap: &Gap| (gap.kind, gap.from - END, gap.to - END, gap.lost, gap.seconds);
    let gaps: Vec<_> = report.gaps.iter().map(brief).collect();
    let minute = 60_000;
    assert_eq!(
        gaps,
        [
            (GapKind::Lost, -30 * minute - 5_000, -30 * minute, Some(40.0), Some(0.16)),
            (GapKind::Lost, -25 * minute - 5_000, -25 * minute, Some(6.0), None),
            (GapKind::Silent, -20 * minute - 5_000, -19 * minute - 5_000, None, Some(60.0)),
        ]
    );
    let lost: f64 =
        report.gaps.iter().filter(|gap| gap.labels.contains_key("device")).filter_map(|gap| gap.lost).sum();
    assert_eq!(value(&report, "devices", 0, "lost"), Some(lost), "the gaps are all that was lost");
}

#[test]
fn the_times_of_a_gap_are_those_of_the_scrapes_around_it() {
    // A minute, and five hours, in which points lie farther apart; scrapes of a second to a quarter of a minute, at odd times.
    for (window, scrape, late) in [
        (60_000, 1_000, 300),
        (60_000, 5_000, 1_700),
        (90_000, 15_000, 4_321),
        (20 * 60_000, 1_000, 999),
        (5 * HOUR, 15_000, 4_321),
    ] {
        let (before, each) = ((-2 * window - HOUR, 0), (scrape, late));
        let lost = -30_000 - late;
        let streams = move |t: i64| f64::from(!(-45_000 - late..-30_000 - late).contains(&t));
        let report = Samples::default()
            .each(each, "neural_agent_build_info{}", before, |_| 1.0)
            .each(each, "neural_device_lost_packets_total{device=\"d\"}", before, step(lost, 5.0))
            .each(
                each,
                "neural_stream_missing_samples_total{source=\"l\",stream=\"s\"}",
                before,
                step(lost, 7.0),
            )
            .each(each, "neural_stream_markers_total{source=\"l\",stream=\"m\"}", before, step(lost, 2.0))
            .each(each, "neural_device_streaming{device=\"d\"}", before, streams)
            .report_of(window, &[]);
        let case = format!("{window} {scrape} {late}");
        let gaps: Vec<_> =
            report.gaps.iter().map(|gap| (gap.kind, gap.from - END, gap.to - END, gap.lost)).collect();
        assert_eq!(
            gaps,
            [
                (GapKind::Silent, -45_000 - late - scrape, -30_000 - late - scrape, None),
                (GapKind::Lost, lost - scrape, lost, Some(5.0)),
                (GapKind::Lost, lost - scrape, lost, Some(7.0)),
            ],
            "{case}"
        );
        assert_eq!(report.gaps[0].seconds, Some(15.0), "{case}");
        let marks: Vec<_> = report.marks.iter().map(|mark| (mark.at - END, mark.count)).collect();
        assert_eq!(marks, [(lost, 2.0)], "{case}");
        let text = write_text(&report);
        let shown = promql::moment_ms(END + lost);
        assert!(text.contains(&shown), "{case}: no {shown} in {text}");
    }
}

#[test]
fn a_program_that_stops_when_its_recording_is_over_did_what_it_should() {
    let one = |origin: Origin, state: State| {
        let mut one = session("x");
        (one.origin, one.state) = (origin, state);
        one
    };
    // It stops a second before that is seen; the report's time is two seconds longer.
    let stops = |t: i64| f64::from(t < -3_000);
    let samples = |is: fn(i64) -> f64| {
        let each = (1_000, 0);
        let before = (-2 * HOUR, 0);
        let value = move |t: i64| stops(t).min(is(t));
        Samples::default()
            .each(each, "neural_agent_build_info{}", before, |_| 1.0)
            .each(each, "neural_program_state{source=\"p\",state=\"recording\"}", before, value)
            .each(each, "neural_program_expected_state{source=\"p\"}", before, value)
            .each(each, "neural_stream_present{source=\"l\",stream=\"s\"}", before, value)
    };
    let minutes = 5 * 60_000;
    let seen = |session: Option<Session>, is: fn(i64) -> f64| {
        let report = samples(is).report_about(session, minutes, &[], &Limits::default());
        let of = |section, key| value(&report, section, 0, key).unwrap();
        let said = report.verdict.sentences.len();
        (of("programs", "recorded"), of("programs", "as_expected"), of("expected_streams", "present"), said)
    };
    for origin in [Origin::Program, Origin::Stream] {
        assert_eq!(seen(Some(one(origin, State::Ended)), |_| 1.0), (1.0, 1.0, 1.0, 0), "{origin:?}");
    }
    // Who stops while a person's session goes on does not; nor one that stopped for a while in between.
    for session in [None, Some(one(Origin::Hand, State::Ended)), Some(one(Origin::Program, State::Open))] {
        let (recorded, expected, present, said) = seen(session, |_| 1.0);
        assert!(recorded < 1.0 && expected < 0.999 && present < 0.999 && said == 2);
    }
    let away = |t: i64| f64::from(!(-60_000..-50_000).contains(&t));
    let (recorded, expected, present, said) = seen(Some(one(Origin::Program, State::Ended)), away);
    assert!(recorded < 0.98 && expected < 0.98 && present < 0.98 && said == 2);
}

// Long: a table of facts.
#[test]
fn every_form_has_the_same_facts() {
    let stage = |samples: Samples, name: &str, seconds: f64| {
        let of = format!("{{pipeline=\"bci\",stage=\"{name}\"}}");
        let runs = |t: i64| ((t + 9 * HOUR) / 100) as f64;
        // It becomes slower in the second half.
        let sum = move |t: i64| (runs(t) + (t + HOUR / 2).max(0) as f64 / 200.0) * seconds;
        let at = (-2 * HOUR, 0);
        samples.with(&format!("neural_stage_duration_seconds_count{of}"), at, runs).with(
            &format!("neural_stage_duration_seconds_sum{of}"),
            at,
            sum,
        )
    };
    let report = report(&stage(stage(laboratory(), "filter", 0.005), "classify", 0.045));
    let report = Report { notes: vec!["the server was away for a while".into()], ..report };
    let (text, markdown, html, csv, json) = (
        write_text(&report),
        write_markdown(&report),
        write_html(&report),
        write_csv(&report),
        serde_json::to_string(&report).unwrap(),
    );
    // Numbers are written as each form writes them.
    let facts: &[(&str, &[&str])] = &[
        ("whether it is usable", &["Usable with care: channel 3 of cyton was good for 83.3 % of the time"]),
        ("its session", &["sub-01_task-rest <1>", "sub-01_task-rest &lt;1>", "sub-01_task-rest &lt;1&gt;"]),
        ("its begin", &["2023-11-14T21:13:20", "\"start\":1699996400000"]),
        ("its end", &["2023-11-14T22:13:20", "\"end\":1700000000000"]),
        ("who answered", &["a test"]),
        ("what to do", &["electrode"]),
        ("a number of a table", &["7 k\u{3a9}", "impedance_start,ohms,7000", "\"impedance_start\":7000.0"]),
        ("the begin of the loss", &["2023-11-14T21:43:15", "\"from\":1699998195000"]),
        ("the end of the loss", &["2023-11-14T21:43:20", "\"to\":1699998200000"]),
        ("how much was lost", &["40 packets lost", "lost,,40,", "\"lost\":40.0"]),
        ("how long that was", &["160 ms", "duration,seconds,0.16,", "\"seconds\":0.16"]),
        ("what a stream lost", &["6 samples lost", "lost,,6,", "\"lost\":6.0"]),
        ("the begin of the silence", &["2023-11-14T21:53:15", "\"from\":1699998795000"]),
        ("the end of the silence", &["2023-11-14T21:54:15", "\"to\":1699998855000"]),
        ("that it was silent", &["it did not stream", "silent,seconds,60,", "\"kind\":\"silent\""]),
        ("when an alert fired", &["2023-11-14T21:24:20", "\"from\":1699997060000"]),
        ("what fired", &["NeuralChannelBad"]),
        ("the incident", &["<C4> of cyton is bad", "&lt;C4> of cyton is bad", "&lt;C4&gt; of cyton is bad"]),
        ("its priority", &["P1"]),
        ("the first markers", &["2023-11-14T21:33:20", "\"at\":1699997600000"]),
        ("how many there were", &["Markers  3", "markers,,3,", "<td>3</td>", "\"count\":3.0"]),
        ("where the time goes", &["classify of bci takes 90 % of the stages", "\"share\":0.9"]),
        (
            "what rises",
            &[
                "mean duration of classify of bci is rising",
                "stage_duration,,\"rising\"",
                "\"course\":\"rising\"",
            ],
        ),
        ("the stability", &["STABILITY", "Stability: ", "stability,\"\",score", "\"stability\":{"]),
        ("the note", &["the server was away for a while"]),
    ];
    for (form, written) in
        [("text", &text), ("md", &markdown), ("html", &html), ("csv", &csv), ("json", &json)]
    {
        for (fact, ways) in facts {
            assert!(ways.iter().any(|way| written.contains(way)), "{form} does not say {fact}: {written}");
        }
    }
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!((&read.gaps, &read.marks, &read.fired), (&report.gaps, &report.marks, &report.fired));
    assert_eq!((&read.incidents, &read.notes), (&report.incidents, &report.notes));
    let columns: Vec<usize> = csv
        .lines()
        .map(|line| line.split('"').step_by(2).map(|part| part.matches(',').count()).sum())
        .collect();
    assert!(columns.iter().all(|commas| *commas == 7), "{csv}");
}

#[test]
fn a_board_that_is_new_lost_its_first_packets_then_and_not_before() {
    // Its counter appears with 5 in it; the agent was there before.
    let samples = Samples::default().agent(-2 * HOUR, -9 * HOUR).with(
        "neural_device_lost_packets_total{device=\"new\"}",
        (-HOUR / 2, 0),
        |_| 5.0,
    );
    let gaps = samples.report(&[]).gaps;
    assert_eq!(gaps.iter().map(|gap| (gap.to - END, gap.lost)).collect::<Vec<_>>(), [(-HOUR / 2, Some(5.0))]);
    // Where a server began to scrape, nothing is known of when it was lost.
    let samples = Samples::default().agent(-HOUR / 2, -9 * HOUR).with(
        "neural_device_lost_packets_total{device=\"old\"}",
        (-HOUR / 2, 0),
        |_| 5.0,
    );
    assert!(samples.report(&[]).gaps.is_empty());
}

#[test]
fn where_the_agent_was_away_no_device_is_called_silent() {
    let mut samples = laboratory();
    for (_, points) in &mut samples.0 {
        points.retain(|point| !(END - 20 * 60_000..END - 19 * 60_000).contains(&point.t));
    }
    let silent = samples.report(&[]).gaps.iter().filter(|gap| gap.kind == GapKind::Silent).count();
    assert_eq!(silent, 0);
}

#[test]
fn a_strip_shows_when_a_channel_was_bad_and_why() {
    let report = report(&laboratory());
    assert_eq!(report.strips.len(), 4);
    let of = |channel: &str| report.strips.iter().find(|strip| strip.labels["channel"] == channel).unwrap();
    let bad: Vec<&StripPart> = of("3").parts.iter().filter(|part| part.bad > 0.0).collect();
    assert!(bad.iter().all(|part| part.reason == "railed"));
    let seconds: f64 = bad.iter().map(|part| part.bad * (part.end - part.start) as f64 / 1e3).sum();
    assert!((seconds - 600.0).abs() <= 5.0, "{seconds}: {bad:?}");
    assert_eq!((bad[0].start - END, bad.last().unwrap().end - END), (-50 * 60_000 - 30_000, -40 * 60_000));
    assert!(of("1").parts.iter().all(|part| part.bad == 0.0 && part.reason.is_empty()));
    // What was not assessed is not there.
    let mut samples = laboratory();
    for (labels, points) in &mut samples.0 {
        if labels.get("__name__").starts_with("neural_channel") {
            points.retain(|point| point.t < END - 40 * 60_000);
        }
    }
    let parts = samples.report(&[]).strips.remove(0).parts;
    assert!(parts.iter().all(|part| part.end <= END - 39 * 60_000), "{parts:?}");
}

#[test]
fn markers_alerts_and_what_was_at_the_begin() {
    let report = report(&laboratory());
    let marks: Vec<(i64, f64)> = report.marks.iter().map(|mark| (mark.at - END, mark.count)).collect();
    assert_eq!(marks, [(-40 * 60_000, 3.0), (-10 * 60_000, 4.0)]);
    let fired: Vec<(&str, i64, i64, bool)> =
        report.fired.iter().map(|one| (&*one.alert, one.from - END, one.to - END, one.on)).collect();
    // A sample counts for five minutes where no staleness mark ends it.
    assert_eq!(fired, [("NeuralChannelBad", -49 * 60_000, -40 * 60_000 - 2_000, false)]);
    assert_eq!(value(&report, "channels", 0, "impedance_start"), Some(7_000.0));
    assert_eq!(value(&report, "channels", 0, "impedance"), Some(9_000.0));
    let start = value(&report, "devices", 0, "battery_start").unwrap();
    assert!((start - 0.7).abs() < 0.005, "{start}");
}

#[test]
fn whether_it_is_usable_is_said_in_a_sentence() {
    let said = |samples: &Samples| {
        let usable = samples.report(&[]).usable;
        (usable.answer, usable.sentence)
    };
    let (answer, sentence) = said(&laboratory());
    assert_eq!(answer, Answer::WithCare);
    assert!(sentence == "Usable with care: channel 3 of cyton was good for 83.3 % of the time", "{sentence}");
    // The same without what was wrong.
    let mut well = laboratory();
    well.0.retain(|(labels, _)| {
        !matches!(labels.get("__name__"), "neural_device_streaming" | "neural_stream_missing_samples_total")
    });
    for (labels, points) in &mut well.0 {
        if labels.get("__name__") == "neural_channel_bad_seconds_total" {
            points.iter_mut().for_each(|point| point.v = 0.0);
        }
    }
    let (answer, sentence) = said(&well);
    assert_eq!(
        (answer, &*sentence),
        (Answer::Yes, "Usable: 1 device, and nothing that the data depends on was beyond its limits")
    );
    // Nobody looked for a half of it.
    let mut half = well;
    for (_, points) in &mut half.0 {
        points.retain(|point| point.t > END - HOUR / 2 || point.t < END - HOUR);
    }
    let (answer, sentence) = said(&half);
    assert_eq!(answer, Answer::WithCare);
    assert!(sentence.starts_with("Usable as far as is known: of 4"), "{sentence}");
    // A board that lost most.
    let lost =
        laboratory().with("neural_device_lost_packets_total{device=\"b\"}", (-2 * HOUR, 0), ten(-9 * HOUR));
    let lost = lost.with("neural_device_samples_total{device=\"b\"}", (-2 * HOUR, 0), ten(-9 * HOUR));
    let lost = lost.with("neural_device_frames_total{device=\"b\"}", (-2 * HOUR, 0), |_| 1.0);
    let (answer, sentence) = said(&lost);
    assert_eq!(answer, Answer::No, "{sentence}");
    assert!(
        sentence.starts_with("Not usable as it is: b lost ") && sentence.ends_with(", and 1 other finding"),
        "{sentence}"
    );
    // Nothing that makes data.
    let (answer, _) = said(&Samples::default().agent(-HOUR, -HOUR));
    assert_eq!(answer, Answer::Unknown);
}

#[test]
fn the_page_of_a_session_is_what_it_was() {
    let html = write_html(&report(&laboratory()));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PAGE, &html).unwrap();
    }
    assert!(html.starts_with(HTML_MARK) && html.len() < 100_000, "{}", html.len());
    assert!(
        html.get(..1_000).unwrap().contains(&format!("\"id\":\"{}\"", session("sub-01_task-rest <1>").id))
    );
    assert_eq!(std::fs::read_to_string(PAGE).unwrap_or_default(), html, "UPDATE=1 cargo test rewrites it");
    for said in [
        "Session sub-01_task-rest &lt;1&gt;: 2023-11-14T21:13:20Z to 2023-11-14T22:13:20Z, lasted 1 h",
        "40 packets lost",
        "it did not stream",
        "6 samples lost",
        "&lt;C4&gt; of cyton is bad",
        "class=head",
        "3 C4",
        "Impedance at the begin",
        "7 k\u{3a9}",
    ] {
        assert!(html.contains(said), "{said}");
    }
    let text = write_text(&report(&laboratory()));
    assert!(text.contains("GAPS") && text.contains("40 packets lost") && text.contains("MARKERS"), "{text}");
    assert!(write_markdown(&report(&laboratory())).contains("## Gaps"));
}

#[test]
fn what_a_file_says_it_is_stands_at_its_begin() {
    let json = serde_json::to_string(&report(&laboratory())).unwrap();
    assert!(
        json.starts_with(JSON_MARK) && json.get(..500).unwrap().contains("\"session\":{\"id\":\""),
        "{json:.500}"
    );
    let plain = serde_json::to_string(&laboratory().report(&[])).unwrap();
    assert!(plain.get(..500).unwrap().contains(&format!("\"start\":{}", END - HOUR)), "{plain:.500}");
}

#[test]
fn a_page_of_many_channels_has_its_size_and_leaves_out_none_that_was_bad() {
    let mut samples = Samples::default().agent(-2 * HOUR, -9 * HOUR).with(
        "neural_device_assessed_seconds_total{device=\"d\"}",
        (-2 * HOUR, 0),
        |t| ((t + 2 * HOUR) / 1000) as f64,
    );
    for channel in 1..=600_i64 {
        let of = |rest: &str| format!("{{device=\"d\",channel=\"{channel}\"{rest}}}");
        // Bad every other minute, each in its own way.
        let bad = move |t: i64| f64::from(channel > 500 && (t / 60_000 + channel) % 2 == 0);
        let seconds = move |t: i64| if channel > 500 { (t + HOUR) as f64 / 2000.0 } else { 0.0 };
        samples = samples
            .with(&format!("neural_channel_quality_ratio{}", of("")), (-HOUR, 0), |_| 1.0)
            .with(&format!("neural_channel_bad{}", of(",reason=\"flat\"")), (-HOUR, 0), bad)
            .with(&format!("neural_channel_bad_seconds_total{}", of("")), (-HOUR, 0), seconds);
    }
    let report = samples.report(&[]);
    let html = write_html(&report);
    assert!(html.len() < 300_000, "{}", html.len());
    assert!((501..=600).all(|channel| html.contains(&format!("<th scope=row>d {channel}</th>"))));
    assert!(html.contains("more, which are in the JSON") && report.strips.len() == 600);
}
