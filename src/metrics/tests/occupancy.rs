//! Limits: who gets the series and the memory there are.

use super::*;

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
            (r.occupancy.bytes(), r.taken.len(), r.families.len()),
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
        let mut exposed = 0;
        for i in 0..2000 {
            let value = i.to_string();
            labels[0].1 = Box::leak(value.into_boxed_str());
            let name = format!("m{}_{kind:?}_{}", source.0, i % 7);
            exposed += usize::from(Named::new(&name, kind, &labels).fold(r, source, 1, change).is_ok());
        }
        exposed
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
        r.fold(&event(SourceId::AGENT, 100 * minute, Body::Tick)).unwrap();
    }
    assert!(r.bytes() < before + 40_000 && r.bytes() < health / 20, "{} of {health}", r.bytes());
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
    let exposed = text(&r, Format::OpenMetrics);
    let mut health =
        exposed.lines().filter(|line| line.contains("neural_source_") || line.contains("neural_textfile_"));
    assert!(!health.any(|line| line.contains("_other")), "{exposed}");
}

#[test]
fn the_last_series_are_for_who_comes_next() {
    let (mut r, _) = registry(Limits { series: 100, series_per_source: 100, ..Limits::default() });
    let flood = |name: &str| {
        let source = r.add_source(name);
        let exposed = |i: u32| Named::new(name, Kind::Gauge, &[("i", &i.to_string())]);
        (0..200).filter(|&i| exposed(i).fold(&mut r, source, 1, Change::Set(1.0)).is_ok()).count()
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
