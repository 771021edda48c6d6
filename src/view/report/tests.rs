//! Reports of times whose every event is known.

mod session;

use super::*;
use crate::catalog::report::text as written;
use crate::promql::{self, Each, Error, Query, Sample, Select, Selection, read_labels};

/// The end of the time: 2023-11-14T22:13:20Z.
const END: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;
/// From one scrape to the next.
const SCRAPE: i64 = 5_000;

/// Series and their samples.
#[derive(Default)]
struct Samples(Vec<(Labels, Vec<Sample>)>);

impl Select for Samples {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let found = self.0.iter().filter(|(labels, _)| promql::Matcher::all(selection.matchers, labels));
        found.into_iter().try_for_each(|(labels, samples)| each(labels, samples))
    }
}

impl Samples {
    /// A series of these milliseconds before the end, whose value is a function of the time.
    fn with(self, series: &str, (from, to): (i64, i64), value: impl Fn(i64) -> f64) -> Self {
        self.each((SCRAPE, 0), series, (from, to), value)
    }

    /// The same with another time from one scrape to the next, and the last one so long before the end.
    fn each(
        mut self,
        (scrape, late): (i64, i64),
        series: &str,
        (from, to): (i64, i64),
        value: impl Fn(i64) -> f64,
    ) -> Self {
        let series = series.replace('}', ",job=\"neural\",instance=\"here\"}").replace("{,", "{");
        let times = (from / scrape..=to / scrape).map(|place| place * scrape - late);
        let samples = times.map(|t| Sample { t: END + t, v: value(t) }).collect();
        self.0.push((read_labels(&series).unwrap(), samples));
        self
    }

    /// An agent that began so many milliseconds before the end.
    fn agent(self, from: i64, began: i64) -> Self {
        self.with("neural_agent_build_info{}", (from, 0), |_| 1.0).with(
            "process_start_time_seconds{}",
            (from, 0),
            move |_| (END + began) as f64 / 1000.0,
        )
    }

    fn number(&self, ask: &str, window: i64) -> Option<f64> {
        let text = written(ask, END - window, window, 0);
        let answer =
            promql::evaluate(&promql::parse(&text).unwrap(), &Query::new(When::At(END)), self).unwrap();
        let Value::Vector(elements) = answer.value else { panic!("{text}") };
        assert!(elements.len() <= 1, "{text}");
        elements.first().map(|one| one.value)
    }

    fn report(&self, only: &[(String, String)]) -> Report {
        self.report_of(HOUR, only)
    }

    fn report_within(&self, only: &[(String, String)], limits: &Limits) -> Report {
        self.report_about(None, HOUR, only, limits)
    }

    /// A report of so many milliseconds before the end.
    fn report_of(&self, window: i64, only: &[(String, String)]) -> Report {
        self.report_about(None, window, only, &Limits::default())
    }

    fn report_about(
        &self,
        session: Option<Session>,
        window: i64,
        only: &[(String, String)],
        limits: &Limits,
    ) -> Report {
        let time = Time { start: END - window, end: END };
        let answer = |(text, when): Question| {
            let query = Query { max_samples: 10_000_000, ..Query::new(when) };
            let answer = promql::evaluate(&promql::parse(&text).unwrap(), &query, self);
            Some(answer.unwrap_or_else(|error| panic!("{text}: {error}")).value)
        };
        let answers = questions(time, session.as_ref()).into_iter().map(answer).collect();
        build(ReportInput { only, session, ..ReportInput::new(time, "a test".into(), answers, limits) })
    }
}

/// Ten a second, at a time in ms before the end, of a counter that began at `began`.
fn ten(began: i64) -> impl Fn(i64) -> f64 {
    move |t| ((t - began).max(0) / 100) as f64
}

#[test]
fn every_question_is_promql() {
    for (text, _) in questions(Time { start: END - HOUR, end: END }, None) {
        promql::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn a_counter_that_was_scraped_before_grew_by_exactly_so_much() {
    let samples = Samples::default().agent(-3 * HOUR, -9 * HOUR).with("c{}", (-3 * HOUR, 0), ten(-9 * HOUR));
    assert_eq!(samples.number("$growth(c)", HOUR), Some(36_000.0));
    assert_eq!(samples.number("$moved(c)", HOUR), Some(36_000.0));
    // Of one that stands still nothing is invented.
    let still = Samples::default().agent(-3 * HOUR, -9 * HOUR).with("c{}", (-3 * HOUR, 0), |_| 1_234.0);
    assert_eq!(still.number("$growth(c)", HOUR), Some(0.0));
}

#[test]
fn a_counter_that_is_new_began_at_0() {
    // A board that was plugged in half an hour ago; its first scrape saw 7 already.
    let new = |t: i64| 7.0 + ten(-HOUR / 2)(t);
    let samples = Samples::default().agent(-3 * HOUR, -9 * HOUR).with("c{}", (-HOUR / 2, 0), new);
    assert_eq!(samples.number("$growth(c)", HOUR), Some(18_007.0));
    // The agent itself began then.
    let samples = Samples::default().agent(-HOUR / 2, -HOUR / 2 - 1_000).with("c{}", (-HOUR / 2, 0), new);
    assert_eq!(samples.number("$growth(c)", HOUR), Some(18_007.0));
    // What others count did not begin with it.
    let bytes = |t: i64| 1e12 + ten(-HOUR / 2)(t);
    let samples = Samples::default().agent(-HOUR / 2, -HOUR / 2 - 1_000).with("c{}", (-HOUR / 2, 0), bytes);
    assert_eq!(samples.number("$moved(c)", HOUR), Some(18_000.0));
}

#[test]
fn what_was_before_the_server_began_to_scrape_is_not_of_this_time() {
    // The agent counts for nine hours, and a server scrapes it for half of one.
    let samples = Samples::default().agent(-HOUR / 2, -9 * HOUR).with("c{}", (-HOUR / 2, 0), ten(-9 * HOUR));
    assert_eq!(samples.number("$growth(c)", HOUR), Some(18_000.0));
}

#[test]
fn a_counter_that_began_again_counts_both_parts() {
    let again = |t: i64| if t < -HOUR / 2 { ten(-9 * HOUR)(t) } else { ten(-HOUR / 2)(t) };
    let samples = Samples::default().agent(-3 * HOUR, -HOUR / 2).with("c{}", (-3 * HOUR, 0), again);
    let grown = samples.number("$growth(c)", HOUR).unwrap();
    assert!((grown - 36_000.0).abs() < 100.0, "{grown}");
    // While nobody scraped: only what came after is known.
    let gone = Samples::default()
        .agent(-HOUR / 2, -HOUR / 2)
        .with("c{}", (-HOUR - 1_800_000, -HOUR - 60_000), ten(-9 * HOUR))
        .with("c{}", (-HOUR / 2, 0), ten(-HOUR / 2));
    let joined = {
        let [first, second] = [gone.0[2].1.clone(), gone.0[3].1.clone()];
        let mut gone = gone;
        gone.0.pop();
        gone.0[2].1 = first.into_iter().chain(second).collect();
        gone
    };
    assert_eq!(joined.number("$growth(c)", HOUR), Some(18_000.0));
}

/// A board that lost 5 % in the last hour, with a channel that was bad for a third of it, and a pipeline of two stages.
fn laboratory() -> Samples {
    let day = (-3 * HOUR, 0);
    let frames = |t: i64| ((t + 9 * HOUR) / 4) as f64;
    let lost = |t: i64| if t < -HOUR { 0.0 } else { ((t + HOUR) / 80) as f64 };
    let since = |begin: i64, share: f64| move |t: i64| (t - begin).max(0) as f64 / 1000.0 * share;
    let stage =
        |samples: Samples, name: &str, seconds: f64| {
            let runs = |t: i64| ((t + 9 * HOUR) / 100) as f64;
            let of = format!("pipeline=\"bci\",stage=\"{name}\"");
            let bucket = |le: f64| move |t: i64| if le < seconds { 0.0 } else { runs(t) };
            samples
                .with(&format!("neural_stage_duration_seconds_count{{{of}}}"), day, runs)
                .with(&format!("neural_stage_duration_seconds_sum{{{of}}}"), day, move |t| runs(t) * seconds)
                .with(&format!("neural_stage_duration_seconds_bucket{{{of},le=\"0.01\"}}"), day, bucket(0.01))
                .with(&format!("neural_stage_duration_seconds_bucket{{{of},le=\"0.1\"}}"), day, bucket(0.1))
                .with(&format!("neural_stage_duration_seconds_bucket{{{of},le=\"+Inf\"}}"), day, runs)
                .with(&format!("neural_stage_failures_total{{{of}}}"), day, |t| {
                    if t <= -HOUR { 0.0 } else { 9.0 }
                })
        };
    let board = Samples::default()
        .agent(day.0, -9 * HOUR)
        .with("neural_device_samples_total{device=\"cyton\"}", day, frames)
        .with("neural_device_frames_total{device=\"cyton\"}", day, frames)
        .with("neural_device_lost_packets_total{device=\"cyton\"}", day, lost)
        .with("neural_device_streaming{device=\"cyton\"}", day, |_| 1.0)
        .with("neural_device_rate_hertz{device=\"cyton\"}", day, |_| 250.0)
        .with("neural_device_assessed_seconds_total{device=\"cyton\"}", day, since(-9 * HOUR, 1.0))
        .with("neural_channel_bad_seconds_total{device=\"cyton\",channel=\"1\"}", day, |_| 0.0)
        .with("neural_channel_bad_seconds_total{device=\"cyton\",channel=\"2\"}", day, since(-HOUR / 3, 1.0))
        .with("neural_channel_bad{device=\"cyton\",channel=\"2\",reason=\"railed\"}", day, |t| {
            f64::from(u8::from(t > -HOUR / 3))
        });
    stage(stage(board, "filter", 0.005), "classify", 0.045)
}

fn value(report: &Report, section: &str, row: usize, key: &str) -> Option<f64> {
    let section = report.sections.iter().find(|one| one.name == section)?;
    match section.rows.get(row)?.values.get(key)? {
        Cell::Number(value) => Some(*value),
        Cell::Word(_) => None,
    }
}

#[test]
fn a_report_says_what_was_and_nothing_else() {
    let report = laboratory().report(&[]);
    assert_eq!(value(&report, "devices", 0, "samples"), Some(900_000.0));
    assert_eq!(value(&report, "devices", 0, "lost"), Some(45_000.0));
    let loss = value(&report, "devices", 0, "loss").unwrap();
    assert!((loss - 45_000.0 / 945_000.0).abs() < 1e-12);
    // What nobody measured is not there.
    assert_eq!(value(&report, "devices", 0, "battery"), None);
    assert!(!report.sections.iter().any(|section| matches!(&*section.name, "models" | "host" | "budget")));
    assert_eq!(value(&report, "channels", 0, "good"), Some(1.0));
    assert!((value(&report, "channels", 1, "good").unwrap() - 2.0 / 3.0).abs() < 1e-9);
    let channels = report.sections.iter().find(|section| section.name == "channels").unwrap();
    assert_eq!(channels.rows[1].values.get("reason"), Some(&Cell::Word("railed".into())));
    assert_eq!(value(&report, "stages", 0, "runs"), Some(36_000.0));
    assert_eq!(value(&report, "stages", 0, "failures"), Some(9.0));
    assert!((value(&report, "stages", 0, "share").unwrap() - 0.9).abs() < 1e-9);
    let said: Vec<&str> = report.verdict.sentences.iter().map(|said| &*said.text).collect();
    assert_eq!(
        said,
        ["cyton lost 4.76 % of its packets", "channel 2 of cyton was good for 66.7 % of the time"]
    );
    assert!(report.verdict.sentences.iter().all(|said| said.advice.is_some()));
    assert_eq!((report.verdict.status, &*report.verdict.words), (Status::Degraded, "Usable with care"));
}

/// The dashboard of channels has the same limits.
#[test]
fn for_how_long_a_channel_may_be_bad_is_a_limit() {
    let said = |limit: &str, to: f64| {
        let limits = Limits::changed([(limit.to_owned(), to)].into());
        let report = laboratory().report_within(&[], &limits);
        let of = report.verdict.sentences.iter().find(|said| said.text.starts_with("channel 2"));
        of.map(|said| said.status)
    };
    assert_eq!(said("channel_bad_fair", 0.1), Some(Status::Degraded));
    assert_eq!(said("channel_bad_fair", 0.34), None, "it was bad for a third of the time");
    assert_eq!(said("channel_bad", 0.3), Some(Status::Unhealthy));
}

#[test]
fn where_nothing_was_wrong_nothing_is_said() {
    let mut samples = laboratory();
    samples.0.retain(|(labels, _)| {
        !matches!(
            labels.get("__name__"),
            "neural_device_lost_packets_total" | "neural_channel_bad_seconds_total"
        )
    });
    let report = samples.report(&[]);
    assert_eq!((&*report.verdict.words, report.verdict.sentences.len()), ("All was well", 0));
    let empty = Samples::default().report(&[]);
    assert_eq!(
        (empty.verdict.status, &*empty.verdict.words),
        (Status::Unknown, "Nothing is known of this time")
    );
    assert!(empty.sections.is_empty() && empty.stability.is_none() && empty.bottlenecks.is_empty());
}

#[test]
fn what_is_almost_well_is_not_well() {
    let report = laboratory().report(&[]);
    let stability = report.stability.unwrap();
    // A board that streamed and lost 4.76 %, a channel that was good and one for two thirds, a pipeline with failures.
    let shares = [1.0, 1.0 - 45.0 / 945.0, 1.0, 2.0 / 3.0, 1.0 - 18.0 / 72_000.0];
    let mean = shares.iter().sum::<f64>() / shares.len() as f64 * 100.0;
    assert!((stability.score - mean).abs() < 1e-9, "{stability:?}");
    assert_eq!(Stability { score: 99.999, ..Stability::default() }.shown(), "99.99");
    assert_eq!(Stability { score: 100.0, ..Stability::default() }.shown(), "100");
}

#[test]
fn what_the_data_depends_on_is_told_first() {
    let full = (
        "neural_host_filesystem_available_bytes{mount=\"/\"}",
        "neural_host_filesystem_size_bytes{mount=\"/\"}",
    );
    let samples = laboratory().with(full.0, (-HOUR, 0), |_| 1.0).with(full.1, (-HOUR, 0), |_| 1000.0);
    let report = samples.report(&[]);
    let said: Vec<(Status, &str)> =
        report.verdict.sentences.iter().map(|said| (said.status, &*said.text)).collect();
    assert_eq!(said[0], (Status::Degraded, "cyton lost 4.76 % of its packets"));
    assert_eq!(said[2], (Status::Unhealthy, "the file system / is 99.90 % full"));
    assert_eq!(report.verdict.status, Status::Degraded, "the data is what it was");
}

#[test]
fn the_stage_that_takes_the_time_is_named() {
    let report = laboratory().report(&[]);
    let [one] = &report.bottlenecks[..] else { panic!("{:?}", report.bottlenecks) };
    assert_eq!(one.labels.get("stage").map(String::as_str), Some("classify"));
    assert!((one.share - 0.9).abs() < 1e-9 && (one.gain - 0.0225).abs() < 1e-9);
    assert_eq!(
        one.text,
        "classify of bci takes 90 % of the stages' time, 45 ms a run; in half of that, a run would take 22.5 ms less"
    );
}

#[test]
fn what_is_not_asked_for_is_not_told() {
    let other = [("device".to_owned(), "other".to_owned())];
    let report = laboratory().report(&other);
    assert!(!report.sections.iter().any(|section| matches!(&*section.name, "devices" | "channels")));
    assert!(report.sections.iter().any(|section| section.name == "stages"));
    assert!(report.trends.iter().all(|trend| !trend.labels.contains_key("device")));
    assert_eq!(report.verdict.words, "All was well");
}

#[test]
fn two_machines_are_told_apart() {
    let mut samples = laboratory();
    let mut second = laboratory();
    for (labels, _) in &mut second.0 {
        let text = labels.metric().replace("instance=\"here\"", "instance=\"there\"");
        *labels = read_labels(&text).unwrap();
    }
    samples.0.append(&mut second.0);
    let report = samples.report(&[]);
    let devices = report.sections.iter().find(|section| section.name == "devices").unwrap();
    assert_eq!(devices.labels, ["instance", "device"]);
    assert_eq!(devices.rows.len(), 2);
    assert!(report.verdict.sentences[0].text.starts_with("cyton at "), "{:?}", report.verdict.sentences);
    assert_eq!(report.bottlenecks.len(), 2);
}

#[test]
fn a_trend_is_found_where_there_is_one() {
    let slower = |t: i64| {
        if t < -HOUR / 2 { ten(-9 * HOUR)(t) } else { ten(-9 * HOUR)(-HOUR / 2) + 1.5 * ten(-HOUR / 2)(t) }
    };
    let samples = laboratory()
        .with(
            "neural_stage_duration_seconds_count{pipeline=\"p\",stage=\"s\"}",
            (-3 * HOUR, 0),
            ten(-9 * HOUR),
        )
        .with("neural_stage_duration_seconds_sum{pipeline=\"p\",stage=\"s\"}", (-3 * HOUR, 0), slower);
    let report = samples.report(&[]);
    let courses: Vec<(&str, Course)> = report
        .trends
        .iter()
        .filter(|trend| trend.key == "stage_duration")
        .map(|trend| (&*trend.subject, trend.course))
        .collect();
    assert_eq!(
        courses,
        [
            ("mean duration of classify of bci", Course::Stable),
            ("mean duration of filter of bci", Course::Stable),
            ("mean duration of s of p", Course::Rising)
        ]
    );
}

#[test]
fn every_form_tells_the_same_and_nothing_hostile_gets_through() {
    let mut samples = laboratory();
    for (labels, _) in &mut samples.0 {
        let text = labels.metric().replace("cyton", r#"=<script>\"\n|"#);
        *labels = read_labels(&text).unwrap();
    }
    let report = samples.report(&[]);
    let (html, text, csv, markdown) =
        (write_html(&report), write_text(&report), write_csv(&report), write_markdown(&report));
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing from elsewhere");
    assert!(text.contains("45,000") && html.contains("45,000") && markdown.contains("45,000"));
    assert!(csv.lines().all(|line| line.matches('"').count() % 2 == 0), "no field goes over a line: {csv}");
    assert!(csv.contains(",lost,,45000,degraded,,\n"), "{csv}");
    assert!(!markdown.contains("<script"));
    assert!(!text.contains("=<script>\"\n"), "no line is forged: {text}");
    let read: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(value(&read, "devices", 0, "lost"), Some(45_000.0));
    assert_eq!((read.sections.len(), read.verdict), (report.sections.len(), report.verdict));
}

#[test]
fn a_field_of_csv_is_no_formula() {
    let mut samples = laboratory();
    for (labels, _) in &mut samples.0 {
        let text = labels.metric().replace("railed", "=cmd()");
        *labels = read_labels(&text).unwrap();
    }
    assert!(write_csv(&samples.report(&[])).contains("\"'=cmd()\""));
}
