//! The registry as a whole: limits, life and text.

mod life;
mod occupancy;

use std::num::NonZeroU128;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode_registry;

use super::*;
use crate::catalog::{Keep, Metric, PAGES};
use crate::event::{Change, Session, SessionStep, Spell, Stage, Timestamp, Trace, TraceId};

const SECOND: u64 = 1_000_000_000;

fn registry(limits: Limits) -> (Registry, SourceId) {
    let mut registry = Registry::new(PAGES, limits, HashMap::new());
    let source = registry.add_source("test");
    (registry, source)
}

fn event(source: SourceId, second: u64, body: Body<'_>) -> Event<'_> {
    Event { at: Timestamp::both(second * SECOND), source, body }
}

fn stage<'a>(pipeline: &'a str, stage: &'a str, seconds: f64) -> Body<'a> {
    Body::Stage(Stage { pipeline, stage, seconds, error: None, items: None, ended: None, trace: None })
}

fn text(registry: &Registry, format: Format) -> String {
    let mut out = Vec::new();
    registry.write_all(format, Timestamp::default(), &mut out);
    String::from_utf8(out).unwrap()
}

/// A series that spells itself.
struct Named(Spelled);

impl Named {
    fn new(name: &str, kind: Kind, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Self(Spelled { name: name.to_owned(), kind, labels, ..Spelled::default() })
    }

    fn fold(
        &self,
        registry: &mut Registry,
        source: SourceId,
        second: u64,
        change: Change<'_>,
    ) -> Result<(), FaultKind> {
        let key = format!("{:?}", self.0);
        let o = Observation { key: key.as_bytes(), spelling: self, change, trace: None };
        registry.fold(&event(source, second, Body::Observation(o)))
    }
}

impl Spell for Named {
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
        out.clone_from(&self.0);
        Ok(())
    }
}

#[test]
fn a_stage_moves_its_series() {
    let (mut r, source) = registry(Limits::default());
    for seconds in [0.75, 0.00025] {
        r.fold(&event(source, 1, stage("decoder", "classify", seconds))).unwrap();
    }
    let open = text(&r, Format::OpenMetrics);
    for line in [
        "# TYPE neural_stage_duration_seconds histogram",
        "# UNIT neural_stage_duration_seconds seconds",
        "neural_stage_duration_seconds_bucket{le=\"0.0005\",pipeline=\"decoder\",stage=\"classify\"} 1",
        "neural_stage_duration_seconds_bucket{le=\"1.0\",pipeline=\"decoder\",stage=\"classify\"} 2",
        "neural_stage_duration_seconds_bucket{le=\"+Inf\",pipeline=\"decoder\",stage=\"classify\"} 2",
        "neural_stage_duration_seconds_count{pipeline=\"decoder\",stage=\"classify\"} 2",
        "neural_stage_duration_seconds_sum{pipeline=\"decoder\",stage=\"classify\"} 0.75025",
        "# TYPE neural_stage_failures counter",
        "neural_stage_failures_total{pipeline=\"decoder\",stage=\"classify\"} 0",
    ] {
        assert!(open.lines().any(|l| l == line), "{line}\n{open}");
    }
    assert!(text(&r, Format::Classic).contains("# TYPE neural_stage_failures_total counter"));
}

#[test]
fn an_exemplar_stands_at_its_bucket() {
    let (mut r, source) = registry(Limits::default());
    let trace = NonZeroU128::new(0xabc).map(|id| Trace::of(TraceId(id)));
    let body = Body::Stage(Stage {
        pipeline: "p",
        stage: "s",
        seconds: 0.3,
        error: None,
        items: None,
        ended: None,
        trace,
    });
    r.fold(&event(source, 7, body)).unwrap();
    let line = "neural_stage_duration_seconds_bucket{le=\"0.5\",pipeline=\"p\",stage=\"s\"} 1 \
                # {trace_id=\"00000000000000000000000000000abc\"} 0.3 7.0";
    assert!(text(&r, Format::OpenMetrics).lines().any(|l| l == line));
    assert!(!text(&r, Format::Classic).contains("trace_id"));
}

/// The law for a writer of our own: line for line what the library writes.
#[test]
fn the_text_is_what_prometheus_client_writes() {
    let (mut r, source) = registry(Limits::default());
    for (i, name) in ["b\"quoted\"", "a\\slash", "c\nline", "plain"].into_iter().enumerate() {
        r.fold(&event(source, 1, stage("p", name, 0.001 * i as f64))).unwrap();
    }
    for (i, v) in [0.0, 1.0, -2.5, 1e-9, 123_456_789.125, 1e20, 0.1 + 0.2].into_iter().enumerate() {
        let label = i.to_string();
        Named::new("some_gauge", Kind::Gauge, &[("i", &label)])
            .fold(&mut r, source, 1, Change::Set(v))
            .unwrap();
        if v >= 0.0 {
            let counter = Named::new("some_counter", Kind::Counter, &[("i", &label), ("j", "x")]);
            counter.fold(&mut r, source, 1, Change::Add(v)).unwrap();
        }
    }
    let ours = text(&r, Format::OpenMetrics);
    let mut client = prometheus_client::registry::Registry::default();
    #[expect(clippy::disallowed_methods, reason = "the library's writer is what ours is compared with")]
    client.register_collector(Box::new(Mirror(Arc::new(Mutex::new(r)))));
    let mut theirs = String::new();
    encode_registry(&mut theirs, &client).unwrap();
    // The library writes HELP before TYPE and a histogram's sum and count before its buckets; the
    // standard leaves both open. So families are compared with their lines sorted, order of families kept.
    let sorted = |text: &str| {
        let mut families: Vec<Vec<String>> = Vec::new();
        let mut name = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let this = rest.split(' ').nth(1).unwrap().to_owned();
                if this != name {
                    families.push(Vec::new());
                    name = this;
                }
            }
            families.last_mut().unwrap().push(line.to_owned());
        }
        families.iter_mut().for_each(|f| f.sort());
        families
    };
    assert_eq!(sorted(&ours), sorted(&theirs));
}

#[test]
fn a_scrape_in_slices_is_the_whole() {
    let (mut r, source) = registry(Limits::default());
    for i in 0..50 {
        r.fold(&event(source, 1, stage("p", &format!("s{i}"), 0.1))).unwrap();
        Named::new(&format!("m{i}"), Kind::Gauge, &[]).fold(&mut r, source, 1, Change::Set(1.0)).unwrap();
    }
    let whole = text(&r, Format::OpenMetrics);
    for lines in [1, 7, 100] {
        let mut out = Vec::new();
        let mut cursor = Some(Cursor::new(Timestamp::default()));
        while let Some(from) = cursor {
            cursor = r.write(Format::OpenMetrics, &from, lines, &mut out);
        }
        assert_eq!(String::from_utf8(out).unwrap(), whole, "slices of {lines}");
    }
}

#[test]
fn the_first_writer_keeps_the_name() {
    let (mut r, source) = registry(Limits::default());
    Named::new("x", Kind::Counter, &[]).fold(&mut r, source, 1, Change::Add(1.0)).unwrap();
    let clash =
        |r: &mut Registry, name, kind| Named::new(name, kind, &[]).fold(r, source, 1, Change::Set(1.0));
    assert_eq!(clash(&mut r, "x", Kind::Gauge), Err(FaultKind::Conflict));
    assert_eq!(clash(&mut r, "x_total", Kind::Gauge), Err(FaultKind::Conflict));
    assert_eq!(clash(&mut r, "neural_stage_duration_seconds_count", Kind::Gauge), Err(FaultKind::Conflict));
    assert_eq!(clash(&mut r, "neural_source_up", Kind::Gauge), Err(FaultKind::Conflict));
    for name in ["up", "ALERTS", "scrape_duration_seconds"] {
        assert_eq!(clash(&mut r, name, Kind::Gauge), Err(FaultKind::Conflict), "a server says {name} itself");
    }
    assert!(text(&r, Format::OpenMetrics).contains("\nx_total 1\n"));
}

#[test]
fn what_no_sum_can_hold_is_refused_and_changes_nothing() {
    let (mut r, source) = registry(Limits::default());
    let most = f64::MAX;
    let seen = Change::Observe { value: most, weight: 1.0 };
    for (name, kind, change) in [
        ("c", Kind::Counter, Change::Add(most)),
        ("g", Kind::Gauge, Change::Shift(most)),
        ("h", Kind::Histogram, seen),
    ] {
        let series = Named::new(name, kind, &[]);
        assert_eq!(series.fold(&mut r, source, 1, change), Ok(()));
        assert_eq!(series.fold(&mut r, source, 1, change), Err(FaultKind::NotFinite), "{name}");
    }
    let open = text(&r, Format::OpenMetrics);
    assert!(
        open.contains("\nh_count 1\n") && !open.contains(" +Inf\n") && !open.contains(" inf\n"),
        "{open}"
    );
}

#[test]
fn a_session_that_began_before_the_agent_is_not_one_too_few() {
    let (mut r, source) = registry(Limits::default());
    let active = |r: &mut Registry, step| {
        r.fold(&event(source, 1, Body::Session(Session { pipeline: "p", name: "", step }))).unwrap();
        r.number("neural_sessions_active", "pipeline=\"p\"")
    };
    assert_eq!(active(&mut r, SessionStep::Ended { seconds: None }), Some(0.0));
    assert_eq!(active(&mut r, SessionStep::Started), Some(1.0));
}

#[test]
fn one_series_under_many_keys_is_one_series() {
    let limits = Limits { memory: 4 << 20, ..Limits::default() };
    let (mut r, source) = registry(limits);
    let one = Named::new("one", Kind::Counter, &[]);
    for i in 0..20_000_u32 {
        let key = [&i.to_ne_bytes()[..], &vec![b'x'; i as usize % 8000]].concat();
        let o = Observation { key: &key, spelling: &one, change: Change::Add(1.0), trace: None };
        r.fold(&event(source, 1, Body::Observation(o))).unwrap();
        assert!(r.bytes() <= limits.memory, "{}", r.bytes());
    }
    assert_eq!(r.number("one", ""), Some(20_000.0));
}

#[test]
fn sets_are_counted_as_they_grow_and_shrink() {
    let limits = Limits { memory: 2 << 20, ..Limits::default() };
    let (mut r, source) = registry(limits);
    let before = r.bytes();
    let mut refused = 0;
    for i in 0..200_000_u64 {
        let set = Named::new(&format!("set{}", i % 10), Kind::Gauge, &[]);
        refused += u32::from(set.fold(&mut r, source, 1, Change::Member(i)) == Err(FaultKind::Limit));
        assert!(r.bytes() <= limits.memory, "{}", r.bytes());
    }
    assert!(refused > 50_000 && r.bytes() > before + 500_000, "{refused} {}", r.bytes());
    for second in [20, 40] {
        r.fold(&event(source, second, Body::Tick)).unwrap();
        Named::new("set0", Kind::Gauge, &[]).fold(&mut r, source, second, Change::Member(1)).unwrap();
    }
    assert!(r.occupancy.bytes() < before + 20_000, "{}", r.occupancy.bytes());
}

#[test]
fn a_scrape_goes_on_behind_a_family_that_left() {
    let (mut r, source) = registry(Limits { fresh_seconds: 60, ..Limits::default() });
    let mut cuts = 0;
    for lines in 1..40 {
        for name in ["a", "b", "c", "d"] {
            for i in 0..5 {
                let at = 1000 * lines as u64;
                let series = Named::new(name, Kind::Gauge, &[("i", &i.to_string())]);
                series
                    .fold(&mut r, source, if name == "b" { at } else { at + 100 }, Change::Set(1.0))
                    .unwrap();
            }
        }
        let mut out = Vec::new();
        let mut cursor = r.write(Format::Classic, &Cursor::new(Timestamp::default()), lines, &mut out);
        r.fold(&event(source, 1000 * lines as u64 + 150, Body::Tick)).unwrap();
        cuts += u32::from(String::from_utf8_lossy(&out).contains("\nb{"));
        while let Some(from) = cursor {
            cursor = r.write(Format::Classic, &from, lines, &mut out);
        }
        let exposed = String::from_utf8(out).unwrap();
        for name in ["a", "c", "d"] {
            let count = exposed.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
            assert_eq!(count, 5, "{name} in slices of {lines}\n{exposed}");
        }
    }
    assert!(cuts > 0, "some were cut within the one that left");
}

const BOARD: crate::event::Device = crate::event::Device {
    protocol: "cyton",
    channels: 8,
    rate: 250.0,
    packet_rate: 250.0,
    volts: true,
    modulus: 256,
    rails: crate::event::Rails::Unknown,
};

#[test]
fn a_source_is_announced_at_zero() {
    let (mut r, source) = registry(Limits::default());
    r.fold(&event(source, 1, Body::Link(Link::Waiting))).unwrap();
    let open = text(&r, Format::OpenMetrics);
    for line in ["neural_source_up{source=\"test\"} 0", "neural_source_events_total{source=\"test\"} 0"] {
        assert!(open.lines().any(|l| l == line), "{line}\n{open}");
    }
    r.announce(&crate::catalog::pipeline::DURATION, &["p", "s"]);
    assert!(
        text(&r, Format::OpenMetrics)
            .contains("neural_stage_duration_seconds_count{pipeline=\"p\",stage=\"s\"} 0")
    );
}

/// A page of a metric like this and of another one.
fn page(loss: Metric) -> [&'static Page; 1] {
    let other =
        Metric { name: "other", help: "Other", kind: Kind::Counter, keep: Keep::Always, ..Metric::BLANK };
    let metrics: Vec<&'static Metric> = vec![Box::leak(Box::new(loss)), Box::leak(Box::new(other))];
    [Box::leak(Box::new(Page { id: "lab", title: "Lab", about: "A lab.", metrics: metrics.leak() }))]
}

#[test]
fn a_metric_that_is_declared_otherwise_begins_anew() {
    let (mut r, source) = registry(Limits::default());
    let loss = Named(Spelled { name: "loss".to_owned(), guessed: true, ..Spelled::default() });
    let exposed = |r: &mut Registry, change| {
        let o = Observation { key: b"loss", spelling: &loss, change, trace: None };
        r.fold(&event(source, 1, Body::Observation(o)))
    };
    let gauge = |help| page(Metric { name: "loss", help, ..Metric::BLANK });
    r.declare(&gauge("Loss"));
    exposed(&mut r, Change::Set(4.0)).unwrap();
    assert_eq!(r.number("neural_loss", ""), Some(4.0));
    let held = r.len();

    // Another help is no reason to begin again.
    r.declare(&gauge("Loss of the model"));
    assert_eq!(r.number("neural_loss", ""), Some(4.0));
    assert!(text(&r, Format::Classic).contains("# HELP neural_loss Loss of the model.\n"));

    let histogram = |highest: f64| {
        let (bounds, kind, keep) = (vec![1.0, highest].leak(), Kind::Histogram, Keep::Always);
        page(Metric { name: "loss", help: "Loss", kind, bounds, keep, ..Metric::BLANK })
    };
    r.declare(&histogram(2.0));
    assert_eq!(r.len(), held);
    let observe = |r: &mut Registry| exposed(r, Change::Observe { value: 1.5, weight: 1.0 });
    observe(&mut r).unwrap();
    let bucket = |r: &Registry, line: &str| text(r, Format::Classic).contains(line);
    assert!(bucket(&r, "# TYPE neural_loss histogram\n"));
    assert!(bucket(&r, "\nneural_loss_bucket{le=\"2.0\"} 1\n"), "{}", text(&r, Format::Classic));
    r.declare(&histogram(2.0));
    assert!(bucket(&r, "\nneural_loss_bucket{le=\"2.0\"} 1\n"), "it is as it was");
    r.declare(&histogram(3.0));
    observe(&mut r).unwrap();
    assert!(bucket(&r, "\nneural_loss_bucket{le=\"3.0\"} 1\n"), "{}", text(&r, Format::Classic));

    // Gone from the packs, and then again in them although a sender has a name of its own in the way.
    r.declare(&[]);
    assert_eq!(r.len(), held - 2);
    Named::new("neural_loss_count", Kind::Gauge, &[]).fold(&mut r, source, 2, Change::Set(1.0)).unwrap();
    r.declare(&histogram(3.0));
    assert!(bucket(&r, "\nneural_loss_count 0\n") && r.len() == held, "{}", text(&r, Format::Classic));
    let families = r.families.len();
    for bound in 4..20 {
        r.declare(&histogram(f64::from(bound)));
    }
    assert_eq!(r.families.len(), families);
}

#[test]
fn buckets_that_are_set_reach_what_senders_declare() {
    let (mut r, source) = registry(Limits::default());
    let observe = |r: &mut Registry| {
        let loop_seconds = Named::new("loop_seconds", Kind::Histogram, &[]);
        loop_seconds.fold(r, source, 1, Change::Observe { value: 0.2, weight: 1.0 }).unwrap();
        text(r, Format::Classic)
    };
    assert!(observe(&mut r).contains("\nloop_seconds_bucket{le=\"0.25\"} 1\n"));
    let set = || HashMap::from([("loop_seconds".to_owned(), vec![0.1, 0.3])]);
    r.set_ladders(set());
    assert!(observe(&mut r).contains("\nloop_seconds_bucket{le=\"0.3\"} 1\n"));
    r.set_ladders(set());
    assert!(observe(&mut r).contains("\nloop_seconds_bucket{le=\"0.3\"} 2\n"), "it is as it was");
    r.set_ladders(HashMap::new());
    assert!(observe(&mut r).contains("\nloop_seconds_bucket{le=\"0.25\"} 1\n"));
}

#[test]
fn mirrored_histograms_keep_their_bounds() {
    let (mut r, source) = registry(Limits::default());
    let h = Named::new("h", Kind::Histogram, &[("model", "m")]);
    let buckets = [(0.25, 1.0), (4.0, 3.0), (f64::INFINITY, 4.0)];
    h.fold(&mut r, source, 1, Change::Buckets { buckets: &buckets, sum: Some(9.5) }).unwrap();
    let open = text(&r, Format::OpenMetrics);
    for line in [
        "h_bucket{le=\"0.25\",model=\"m\"} 1",
        "h_bucket{le=\"4.0\",model=\"m\"} 3",
        "h_bucket{le=\"+Inf\",model=\"m\"} 4",
        "h_sum{model=\"m\"} 9.5",
        "h_count{model=\"m\"} 4",
    ] {
        assert!(open.lines().any(|l| l == line), "{line}\n{open}");
    }
}

#[test]
fn sampled_observations_weigh_more() {
    let (mut r, source) = registry(Limits::default());
    let h = Named::new("h", Kind::Histogram, &[]);
    for _ in 0..3 {
        h.fold(&mut r, source, 1, Change::Observe { value: 0.5, weight: 10.0 / 3.0 }).unwrap();
    }
    let open = text(&r, Format::OpenMetrics);
    assert!(open.contains("\nh_count 10\n") && open.contains("\nh_sum 5.0\n"), "{open}");
}

#[test]
fn values_that_are_too_long_stay_different_and_are_counted() {
    let (mut r, source) = registry(Limits::default());
    let (long, longer) = ("\u{e9}".repeat(200), "\u{e9}".repeat(201));
    for second in 1..3 {
        for value in [&*long, &*longer, "short"] {
            Named::new("lab", Kind::Gauge, &[("v", value)])
                .fold(&mut r, source, second, Change::Set(1.0))
                .unwrap();
            r.fold(&event(source, second, stage(value, "s", 0.1))).unwrap();
        }
    }
    let text = text(&r, Format::OpenMetrics);
    let lab: Vec<&str> = text.lines().filter(|line| line.starts_with("lab{")).collect();
    assert_eq!(lab.len(), 3, "{lab:?}");
    for line in &lab[1..] {
        let value = line.split('"').nth(1).unwrap();
        assert!(value.len() <= 256 && value.len() > 250 && value.starts_with("\u{e9}"), "{value}");
    }
    // One for each series that has such a value, however often it is moved.
    let stages =
        text.lines().filter(|line| line.contains("pipeline=\"\u{e9}")).filter(|l| !l.contains("le=")).count();
    assert!(r.cut() >= 4 && r.cut() <= 2 + stages as u64, "{} {stages}", r.cut());
}
