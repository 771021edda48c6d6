//! The registry as a whole: limits, life and text.

use std::num::NonZeroU128;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode_registry;

use super::*;
use crate::catalog::{Keep, Metric, PAGES};
use crate::event::{Change, Session, SessionStep, Spell, Stage, Timestamp, TraceId};

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
    let trace = NonZeroU128::new(0xabc).map(TraceId);
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
        r.fold(&event(source, 1, Body::Session(Session { pipeline: "p", step }))).unwrap();
        r.number("neural_sessions_active", "pipeline=\"p\"")
    };
    assert_eq!(active(&mut r, SessionStep::Ended { seconds: None }), Some(0.0));
    assert_eq!(active(&mut r, SessionStep::Started), Some(1.0));
}

#[test]
fn a_flood_of_labels_fills_one_series() {
    let limits = Limits { series_per_family: 10, ..Limits::default() };
    let (mut r, source) = registry(limits);
    for i in 0..1000 {
        let name = i.to_string();
        r.fold(&event(source, 1, stage("p", &name, 0.1))).unwrap();
        let gauge = Named::new("g", Kind::Gauge, &[("i", &name)]).fold(&mut r, source, 1, Change::Set(1.0));
        assert_eq!(gauge.is_ok(), i < 8, "three quarters are enough for one source");
        Named::new("c", Kind::Counter, &[("i", &name)]).fold(&mut r, source, 1, Change::Add(1.0)).unwrap();
    }
    let open = text(&r, Format::OpenMetrics);
    for line in [
        "neural_stage_duration_seconds_count{pipeline=\"_other\",stage=\"_other\"} 992",
        "c_total{overflow=\"_other\"} 992",
    ] {
        assert!(open.lines().any(|l| l == line), "{line}");
    }
    let worst = r.usage(1);
    assert!(worst[0].refused >= 990, "{worst:?}");
    // Another source still has a place.
    let other = r.add_source("other");
    r.fold(&event(other, 1, stage("other", "s", 0.1))).unwrap();
    assert!(text(&r, Format::OpenMetrics).contains("_count{pipeline=\"other\",stage=\"s\"} 1\n"));
    assert!(r.len() < 60);
}

#[test]
fn a_flood_of_names_leaves_some_to_others() {
    let (mut r, source) = registry(Limits { families: 20, ..Limits::default() });
    let fold = |r: &mut Registry, source: SourceId, i: u64| {
        Named::new(&format!("m{}_{i}", source.0), Kind::Counter, &[]).fold(r, source, 1, Change::Add(1.0))
    };
    let taken = |r: &mut Registry, source| (0..1000).filter(|&i| fold(r, source, i).is_ok()).count();
    assert_eq!(taken(&mut r, source), 15);
    let other = r.add_source("other");
    assert_eq!(taken(&mut r, other), 4);
    let third = r.add_source("third");
    assert_eq!(taken(&mut r, third), 1);
    // Who is no longer there has no share.
    r.retire(source);
    assert!(!text(&r, Format::Classic).contains("m0_"));
    assert_eq!(taken(&mut r, third), 12);
}

#[test]
fn a_family_that_a_sender_left_makes_room_for_others() {
    let (mut r, source) = registry(Limits { families: 20, fresh_seconds: 60, ..Limits::default() });
    let fold = |r: &mut Registry, i: u64, second| {
        Named::new(&format!("m{i}"), Kind::Gauge, &[]).fold(r, source, second, Change::Set(1.0))
    };
    let (bytes, names, places) = (r.bytes(), r.taken.len(), r.families.len());
    for round in 0..10 {
        let at = 1000 * (round + 1);
        for i in 0..15 {
            fold(&mut r, 100 * round + i, at).unwrap();
        }
        assert_eq!(fold(&mut r, 99, at), Err(FaultKind::Limit));
        assert!(r.bytes() > bytes);
        r.fold(&event(source, at + 100, Body::Tick)).unwrap();
        assert_eq!(
            (r.room.bytes(), r.taken.len(), r.families.len()),
            (bytes, names, places),
            "round {round}"
        );
    }
    // Its type is not held against who has the name next.
    Named::new("m1", Kind::Counter, &[]).fold(&mut r, source, 20_000, Change::Add(1.0)).unwrap();
}

#[test]
fn memory_is_bounded_and_shared() {
    let limits = Limits { memory: 8 << 20, fresh_seconds: 60, ..Limits::default() };
    let (mut r, source) = registry(limits);
    let before = r.bytes();
    let labels: Vec<(String, String)> = (0..60).map(|i| (format!("label_{i}"), "v".repeat(40))).collect();
    let mut labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
    let mut flood = |r: &mut Registry, source: SourceId, kind: Kind, change: Change<'_>| {
        let mut told = 0;
        for i in 0..2000 {
            let value = i.to_string();
            labels[0].1 = Box::leak(value.into_boxed_str());
            let name = format!("m{}_{kind:?}_{}", source.0, i % 7);
            told += usize::from(Named::new(&name, kind, &labels).fold(r, source, 1, change).is_ok());
        }
        told
    };
    let seen = Change::Observe { value: 1.0, weight: 1.0 };
    assert!(flood(&mut r, source, Kind::Gauge, Change::Set(1.0)) > 300);
    assert_eq!(flood(&mut r, source, Kind::Histogram, seen), 0, "not even a new name");
    assert!(r.bytes() <= limits.memory, "{}", r.bytes());
    let other = r.add_source("other");
    assert!(flood(&mut r, other, Kind::Gauge, Change::Set(1.0)) > 50);
    assert!(r.bytes() <= limits.memory && text(&r, Format::OpenMetrics).len() < limits.memory);
    // What the agent says of itself, and of what it measures, has its place.
    r.fold(&event(other, 1, Body::Link(Link::Up))).unwrap();
    r.fold(&event(other, 1, Body::Device(BOARD))).unwrap();
    assert_eq!(r.number("neural_source_up", "source=\"other\""), Some(1.0));
    assert_eq!(r.number("neural_device_channels", "device=\"other\""), Some(8.0));
    let health = r.bytes();
    for minute in 1..5 {
        r.fold(&event(SourceId(u32::MAX), 100 * minute, Body::Tick)).unwrap();
    }
    assert!(r.bytes() < before + 40_000 && r.bytes() < health / 20, "{} of {health}", r.bytes());
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
    assert!(r.room.bytes() < before + 20_000, "{}", r.room.bytes());
}

#[test]
fn the_health_of_sources_is_never_refused() {
    let limits = Limits { series: 300, series_per_source: 100, series_per_family: 10, ..Limits::default() };
    let (mut r, _) = registry(limits);
    let sources: Vec<SourceId> = (0..50).map(|i| r.add_source(&format!("s{i}"))).collect();
    for &source in &sources {
        for i in 0..300 {
            let name = format!("m{}_{i}", source.0 % 7);
            let series = Named::new(&name, Kind::Gauge, &[]);
            let _ = series.fold(&mut r, source, 1, Change::Set(1.0));
        }
    }
    for (i, &source) in sources.iter().enumerate() {
        r.fold(&event(source, 1, Body::Link(Link::Up))).unwrap();
        r.fold(&event(source, 1, Body::Device(BOARD))).unwrap();
        for &kind in FaultKind::ALL {
            r.fold(&event(source, 1, Body::Fault(crate::event::Fault { kind, bytes: 1 }))).unwrap();
            let labels = format!("source=\"s{i}\",reason=\"{}\"", kind.as_str());
            assert_eq!(r.number("neural_source_errors", &labels), Some(1.0));
        }
        let file = crate::event::Textfile { file: "a.prom", written: Some(1.0), ok: true };
        r.fold(&event(source, 1, Body::Textfile(file))).unwrap();
        assert_eq!(r.number("neural_source_up", &format!("source=\"s{i}\"")), Some(1.0));
        let labels = format!("source=\"s{i}\",file=\"a.prom\"");
        assert_eq!(r.number("neural_textfile_success", &labels), Some(1.0));
    }
    let theirs = Named::new("neural_textfile_success", Kind::Gauge, &[]);
    assert_eq!(theirs.fold(&mut r, sources[0], 1, Change::Reads(1.0)), Err(FaultKind::Conflict));
    assert_eq!(r.number("neural_device_channels", "device=\"s0\""), Some(8.0));
    let told = text(&r, Format::OpenMetrics);
    let mut health =
        told.lines().filter(|line| line.contains("neural_source_") || line.contains("neural_textfile_"));
    assert!(!health.any(|line| line.contains("_other")), "{told}");
}

#[test]
fn the_last_series_are_for_who_comes_next() {
    let (mut r, _) = registry(Limits { series: 100, series_per_source: 100, ..Limits::default() });
    let flood = |name: &str| {
        let source = r.add_source(name);
        let told = |i: u32| Named::new(name, Kind::Gauge, &[("i", &i.to_string())]);
        (0..200).filter(|&i| told(i).fold(&mut r, source, 1, Change::Set(1.0)).is_ok()).count()
    };
    assert_eq!(["a", "b", "c", "d"].map(flood), [75, 19, 5, 1]);
}

#[test]
fn what_a_source_finds_has_a_part_of_its_share() {
    let (mut r, _) = registry(Limits { families: 16, ..Limits::default() });
    r.add_source("lsl");
    let mut taken = 0;
    for i in 0..30 {
        let stream = r.add_source(&format!("lsl/{i}"));
        let named = Named::new(&format!("m{i}"), Kind::Gauge, &[]);
        taken += u32::from(named.fold(&mut r, stream, 1, Change::Set(1.0)).is_ok());
    }
    assert_eq!(taken, 12);
}

#[test]
fn what_one_began_and_another_goes_on_with_stays() {
    let (mut r, first) = registry(Limits::default());
    let second = r.add_source("second");
    let shared = Named::new("shared", Kind::Counter, &[]);
    let add = |r: &mut Registry, source| shared.fold(r, source, 1, Change::Add(1.0)).unwrap();
    add(&mut r, first);
    add(&mut r, second);
    let own = Named::new("own", Kind::Counter, &[]);
    own.fold(&mut r, first, 1, Change::Add(1.0)).unwrap();
    r.retire(first);
    assert_eq!((r.number("shared", ""), r.number("own", "")), (Some(2.0), None));
    let bytes = r.room.bytes();
    r.retire(second);
    assert_eq!(r.number("shared", ""), None);
    assert!(r.room.bytes() < bytes);
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
        let told = String::from_utf8(out).unwrap();
        for name in ["a", "c", "d"] {
            let count = told.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
            assert_eq!(count, 5, "{name} in slices of {lines}\n{told}");
        }
    }
    assert!(cuts > 0, "some were cut within the one that left");
}

#[test]
fn gauges_expire_and_counters_stay() {
    let (mut r, source) = registry(Limits { fresh_seconds: 60, ..Limits::default() });
    Named::new("g", Kind::Gauge, &[]).fold(&mut r, source, 100, Change::Set(1.0)).unwrap();
    Named::new("c", Kind::Counter, &[]).fold(&mut r, source, 100, Change::Add(1.0)).unwrap();
    r.fold(&event(source, 150, Body::Tick)).unwrap();
    assert!(text(&r, Format::OpenMetrics).contains("\ng 1\n"));
    r.fold(&event(source, 200, Body::Tick)).unwrap();
    let open = text(&r, Format::OpenMetrics);
    assert!(!open.contains("\ng 1\n") && open.contains("\nc_total 1\n"), "{open}");
    Named::new("g", Kind::Gauge, &[]).fold(&mut r, source, 300, Change::Set(2.0)).unwrap();
    assert!(text(&r, Format::OpenMetrics).contains("\ng 2\n"), "an alias of a dead series leads nowhere");
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
fn what_a_device_is_stays_as_long_as_its_link() {
    let (mut r, source) = registry(Limits { fresh_seconds: 60, ..Limits::default() });
    r.fold(&event(source, 100, Body::Device(BOARD))).unwrap();
    r.fold(&event(source, 900, Body::Tick)).unwrap();
    assert!(text(&r, Format::OpenMetrics).contains("neural_device_channels{device=\"test\"} 8"));
    r.fold(&event(source, 901, Body::Link(Link::Down))).unwrap();
    assert!(!text(&r, Format::OpenMetrics).contains("neural_device_channels{"));
}

#[test]
fn how_a_signal_is_goes_when_the_device_becomes_another() {
    let (mut r, source) = registry(Limits::default());
    let mut quality = crate::event::Quality { channel: 8, ..Default::default() };
    quality.bad.insert(crate::event::Reason::Flat);
    quality.ever = quality.bad;
    r.fold(&event(source, 100, Body::Device(BOARD))).unwrap();
    r.fold(&event(source, 102, Body::Quality(&quality))).unwrap();
    let bad = "neural_channel_bad{device=\"test\",channel=\"8\",reason=\"flat\"} 1";
    assert!(text(&r, Format::OpenMetrics).contains(bad));
    // The board has fewer channels than it seemed: nobody will ever say again how the eighth is.
    r.fold(&event(source, 103, Body::Device(crate::event::Device { channels: 6, ..BOARD }))).unwrap();
    let left = text(&r, Format::OpenMetrics);
    assert!(!left.contains(bad) && left.contains("neural_channel_bad_seconds_total{"), "{left}");
}

#[test]
fn what_is_stamped_ahead_has_no_age_and_makes_no_sum_fall() {
    let (mut r, source) = registry(Limits::default());
    // Old, of a clock that is not known to the last microsecond, a little ahead, and two of another clock: a program's
    // own, which is somewhat ahead, and the time of day in place of the time since the machine was started.
    let ages = &[0.25, -1e-6, -0.09, -0.2, -1.7e9];
    let mut state = crate::event::StreamState { ages, ..Default::default() };
    let told = |r: &Registry, wanted: [&str; 3]| {
        let told = text(r, Format::OpenMetrics);
        for (name, value) in ["sample_age_seconds_sum", "sample_age_seconds_count", "future_samples_total"]
            .into_iter()
            .zip(wanted)
        {
            let line = format!("neural_stream_{name}{{source=\"\",stream=\"\",machine=\"\"}} {value}\n");
            assert!(told.contains(&line), "{line}{told}");
        }
    };
    r.fold(&event(source, 100, Body::StreamState(&state))).unwrap();
    told(&r, ["0.25", "3", "2"]);
    // Far away nobody knows the sender's clock that well.
    state.clock = Some(crate::event::StreamClock { offset: 7.0, uncertainty: 0.15, rtt: 0.3, drift: None });
    r.fold(&event(source, 101, Body::StreamState(&state))).unwrap();
    told(&r, ["0.5", "7", "3"]);
    // A clock that began later than this one: samples are years old, and the last bucket has them.
    state.ages = &[2e9];
    r.fold(&event(source, 102, Body::StreamState(&state))).unwrap();
    told(&r, ["2000000000.5", "8", "3"]);
    let bucket =
        |bound: &str, count: u8| format!("le=\"{bound}\",source=\"\",stream=\"\",machine=\"\"}} {count}\n");
    let all = text(&r, Format::OpenMetrics);
    assert!(all.contains(&bucket("10.0", 7)) && all.contains(&bucket("+Inf", 8)), "{all}");
}

#[test]
fn a_pass_forgets_what_it_did_not_show() {
    let (mut r, source) = registry(Limits::default());
    let reads = |r: &mut Registry, name: &str, v| {
        Named::new(name, Kind::Counter, &[]).fold(r, source, 1, Change::Reads(v)).unwrap();
    };
    let pass = |ok| Body::Pass(Pass { seconds: 0.1, ok });
    reads(&mut r, "a", 1.0);
    reads(&mut r, "b", 2.0);
    r.fold(&event(source, 1, pass(true))).unwrap();
    reads(&mut r, "a", 3.0);
    r.fold(&event(source, 6, pass(true))).unwrap();
    let open = text(&r, Format::OpenMetrics);
    assert!(open.contains("\na_total 3\n") && !open.contains("\nb_total"), "{open}");
    assert!(open.contains("neural_source_poll_success{source=\"test\"} 1"));
    r.fold(&event(source, 11, Body::Link(Link::Down))).unwrap();
    assert!(!text(&r, Format::OpenMetrics).contains("\na_total"));
}

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

#[test]
fn what_is_announced_stays_until_it_came_and_went() {
    let (mut r, source) = registry(Limits { fresh_seconds: 60, ..Limits::default() });
    let depth = |r: &Registry| r.number("neural_queue_depth", "pipeline=\"p\",queue=\"q\"");
    let announce = |r: &mut Registry| r.announce(&crate::catalog::pipeline::QUEUE_DEPTH, &["p", "q"]);
    let tick = |r: &mut Registry, second| r.fold(&event(SourceId(u32::MAX), second, Body::Tick)).unwrap();
    announce(&mut r);
    for second in [1000, 1060, 9000] {
        tick(&mut r, second);
        assert_eq!(depth(&r), Some(0.0), "at {second}");
    }
    // A reload that expects it no longer, and one that does again.
    r.expect_nothing();
    assert_eq!(depth(&r), None);
    announce(&mut r);
    let queue = crate::event::Queue { pipeline: "p", queue: "q", depth: 3.0, limit: None };
    r.fold(&event(source, 9001, Body::Queue(queue))).unwrap();
    r.expect_nothing();
    tick(&mut r, 9061);
    assert_eq!(depth(&r), Some(3.0));
    tick(&mut r, 9080);
    assert_eq!(depth(&r), None, "its sender is gone");
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
    let told = |r: &mut Registry, change| {
        let o = Observation { key: b"loss", spelling: &loss, change, trace: None };
        r.fold(&event(source, 1, Body::Observation(o)))
    };
    let gauge = |help| page(Metric { name: "loss", help, ..Metric::BLANK });
    r.declare(&gauge("Loss"));
    told(&mut r, Change::Set(4.0)).unwrap();
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
    let observe = |r: &mut Registry| told(r, Change::Observe { value: 1.5, weight: 1.0 });
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
fn series_say_when_they_began_if_wanted() {
    let (mut r, source) = registry(Limits::default());
    r.set_created(true);
    r.fold(&event(source, 50, stage("p", "s", 0.1))).unwrap();
    r.fold(&event(source, 60, stage("p", "s", 0.1))).unwrap();
    let open = text(&r, Format::OpenMetrics);
    for line in [
        "neural_stage_failures_created{pipeline=\"p\",stage=\"s\"} 50",
        "neural_stage_duration_seconds_created{pipeline=\"p\",stage=\"s\"} 50",
    ] {
        assert!(open.lines().any(|l| l == line), "{line}\n{open}");
    }
    assert!(!text(&r, Format::Classic).contains("_created"));
}

#[test]
fn a_wall_clock_that_is_set_neither_forgets_nor_keeps() {
    let (mut r, source) = registry(Limits { fresh_seconds: 60, ..Limits::default() });
    r.set_created(true);
    let at = |second: u64, wall: u64| Timestamp { steady: second * SECOND, wall: wall * SECOND };
    let (g, c) = (Named::new("g", Kind::Gauge, &[]), Named::new("c", Kind::Counter, &[]));
    for (named, change) in [(&g, Change::Set(1.0)), (&c, Change::Add(1.0))] {
        let observation =
            Observation { key: &[named.0.name.as_bytes()[0]], spelling: named, change, trace: None };
        r.fold(&Event { at: at(0, 5_000), source, body: Body::Observation(observation) }).unwrap();
    }
    let mut told = |second, wall| {
        r.fold(&Event { at: at(second, wall), source, body: Body::Tick }).unwrap();
        text(&r, Format::OpenMetrics)
    };
    // An hour forward, and years back.
    assert!(told(30, 8_600).contains("\ng 1\n"));
    let late = told(90, 10);
    assert!(!late.contains("\ng 1\n") && late.contains("\nc_created 5000\n"), "{late}");
}

#[test]
fn what_is_long_ago_stays_so_when_the_wall_clock_is_set() {
    let (mut r, source) = registry(Limits::default());
    let at = |second: u64, wall: u64| Timestamp { steady: second * SECOND, wall: wall * SECOND };
    let received = Body::Received(crate::event::Received { bytes: 1, reads: 1, events: 1 });
    r.fold(&Event { at: at(100, 5_000), source, body: received }).unwrap();
    let flow = crate::event::Flow {
        rate: None,
        ratio: None,
        longest_gap: 0.0,
        last: Some(at(100, 5_000)),
        streaming: true,
        drift: None,
    };
    r.fold(&Event { at: at(100, 5_000), source, body: Body::Flow(flow) }).unwrap();
    // As it went on, an hour back, and forward; a machine whose clock says that it is 1970 is set later.
    for (now, moment) in
        [(at(130, 5_030), 5_000), (at(130, 1_430), 1_400), (at(700, 9_200), 8_600), (at(130, 10), -20)]
    {
        let mut out = Vec::new();
        r.write_all(Format::OpenMetrics, now, &mut out);
        let out = String::from_utf8(out).unwrap();
        for line in [
            format!("neural_source_last_event_timestamp_seconds{{source=\"test\"}} {moment}"),
            format!("neural_device_last_sample_timestamp_seconds{{device=\"test\"}} {moment}"),
        ] {
            assert!(out.lines().any(|l| l == line), "{now:?}: {line}\n{out}");
        }
    }
    // Clocks that are read one after the other were not set.
    let slow = Timestamp { steady: 130 * SECOND, wall: 5_030 * SECOND + 20_000_000 };
    assert_eq!(at(100, 5_000).wall_seconds_at(slow), 5_000.0);
}

#[test]
fn a_source_that_is_no_longer_configured_is_not_down() {
    let (mut r, source) = registry(Limits::default());
    r.fold(&event(source, 1, Body::Link(Link::Up))).unwrap();
    Named::new("g", Kind::Gauge, &[]).fold(&mut r, source, 1, Change::Set(1.0)).unwrap();
    r.retire(source);
    let open = text(&r, Format::OpenMetrics);
    assert!(!open.contains("neural_source_up{") && !open.contains("\ng 1\n"), "{open}");
    assert!(open.contains("neural_source_events_total{source=\"test\"} 0"));
    r.fold(&event(source, 2, Body::Link(Link::Waiting))).unwrap();
    assert_eq!(r.number("neural_source_up", "source=\"test\""), Some(0.0));
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
