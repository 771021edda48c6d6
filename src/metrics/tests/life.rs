//! How long series live.

use super::*;

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
    let bytes = r.occupancy.bytes();
    r.retire(second);
    assert_eq!(r.number("shared", ""), None);
    assert!(r.occupancy.bytes() < bytes);
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
    let exposed = |r: &Registry, wanted: [&str; 3]| {
        let exposed = text(r, Format::OpenMetrics);
        for (name, value) in ["sample_age_seconds_sum", "sample_age_seconds_count", "future_samples_total"]
            .into_iter()
            .zip(wanted)
        {
            let line = format!("neural_stream_{name}{{source=\"\",stream=\"\",machine=\"\"}} {value}\n");
            assert!(exposed.contains(&line), "{line}{exposed}");
        }
    };
    r.fold(&event(source, 100, Body::StreamState(&state))).unwrap();
    exposed(&r, ["0.25", "3", "2"]);
    // Far away nobody knows the sender's clock that well.
    state.clock = Some(crate::event::StreamClock { offset: 7.0, uncertainty: 0.15, rtt: 0.3, drift: None });
    r.fold(&event(source, 101, Body::StreamState(&state))).unwrap();
    exposed(&r, ["0.5", "7", "3"]);
    // A clock that began later than this one: samples are years old, and the last bucket has them.
    state.ages = &[2e9];
    r.fold(&event(source, 102, Body::StreamState(&state))).unwrap();
    exposed(&r, ["2000000000.5", "8", "3"]);
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
    let poll = |ok| Body::Poll(Poll { seconds: 0.1, ok });
    reads(&mut r, "a", 1.0);
    reads(&mut r, "b", 2.0);
    r.fold(&event(source, 1, poll(true))).unwrap();
    reads(&mut r, "a", 3.0);
    r.fold(&event(source, 6, poll(true))).unwrap();
    let open = text(&r, Format::OpenMetrics);
    assert!(open.contains("\na_total 3\n") && !open.contains("\nb_total"), "{open}");
    assert!(open.contains("neural_source_poll_success{source=\"test\"} 1"));
    r.fold(&event(source, 11, Body::Link(Link::Down))).unwrap();
    assert!(!text(&r, Format::OpenMetrics).contains("\na_total"));
}

#[test]
fn what_is_announced_stays_until_it_came_and_went() {
    let (mut r, source) = registry(Limits { fresh_seconds: 60, ..Limits::default() });
    let depth = |r: &Registry| r.number("neural_queue_depth", "pipeline=\"p\",queue=\"q\"");
    let announce = |r: &mut Registry| r.announce(&crate::catalog::pipeline::QUEUE_DEPTH, &["p", "q"]);
    let tick = |r: &mut Registry, second| r.fold(&event(SourceId::AGENT, second, Body::Tick)).unwrap();
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
    // The history hears it in comments, each behind the lines that it is of.
    for created in [true, false] {
        r.set_created(created);
        let mut out = Vec::new();
        let mut cursor = Some(Cursor::new(Timestamp::default()).saying(Some("# BEGAN ")));
        while let Some(from) = cursor {
            cursor = r.write(Format::OpenMetrics, &from, 3, &mut out);
        }
        let said = String::from_utf8(out).unwrap();
        let without: String = said
            .lines()
            .filter(|line| !line.starts_with("# BEGAN"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(without, text(&r, Format::OpenMetrics));
        let of = |name: &str| said.lines().skip_while(|line| !line.starts_with(name)).nth(1).unwrap();
        assert_eq!(of("neural_stage_duration_seconds_count{"), "# BEGAN 50", "{said}");
        assert_eq!(of("neural_stage_failures_total{"), "# BEGAN 50", "{said}");
        assert_eq!(said.contains("_created"), created);
        assert!(!created || of("neural_stage_failures_created{") == "# BEGAN 0", "{said}");
    }
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
    let mut exposed = |second, wall| {
        r.fold(&Event { at: at(second, wall), source, body: Body::Tick }).unwrap();
        text(&r, Format::OpenMetrics)
    };
    // An hour forward, and years back.
    assert!(exposed(30, 8_600).contains("\ng 1\n"));
    let late = exposed(90, 10);
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
    // As it continued, an hour back, and forward; a machine whose clock says that it is 1970 is set later.
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
