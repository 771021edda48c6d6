//! In the steady state an event costs no allocation: decoded, folded and counted.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use neural_exporter::analysis::quality::{AssessedDecoder, Settings};
use neural_exporter::catalog::PAGES;
use neural_exporter::decode::lsl::{Format, Info, Inlet};
use neural_exporter::decode::otlp::{self, Form, Otlp, Request};
use neural_exporter::decode::program::cerebus::Group;
use neural_exporter::decode::program::datagram::Datagrams;
use neural_exporter::decode::program::open_ephys::Stream;
use neural_exporter::decode::{Decoder, Protocol};
use neural_exporter::event::{Body, Event, Link, SourceId, Stage, Telemetry, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::metrics::{Limits, Registry};
use neural_exporter::source::Feed;

use super::{NOW, boards, datagrams};

const LINES: u64 = 10_000;

/// Feeds the lines once to make the series, and once more in the same reads, counting.
fn check(what: &str, protocol: Protocol, line: impl Fn(u64, &mut String)) {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("s"), "s").with_limit(Some(1_000_000));
    feed.send_at(NOW, Body::Link(Link::Up));
    let mut decoder = protocol.decoder();
    let mut text = String::new();
    for i in 0..LINES {
        line(i, &mut text);
        text.push('\n');
    }
    // Reads end where they like, mostly inside a line.
    let reads: Vec<&[u8]> = text.as_bytes().chunks(4000).collect();
    let mut pass = |second: u64| {
        for read in &reads {
            feed.decode(Timestamp::both(NOW.steady + second * 1_000_000_000), read, 1, &mut *decoder);
        }
    };
    pass(0);
    let accepted = hub.lock().accepted();
    let counted = allocation_counter::measure(|| pass(1));
    assert_eq!(hub.lock().accepted(), accepted + LINES, "{what}: a line was refused");
    assert_eq!(counted.count_total, 0, "{what}: {counted:?}");
}

#[test]
fn stages() {
    check("stages", Protocol::Jsonl, |i, out| {
        let (stage, seconds) = (i % 20, i % 97);
        write!(
            out,
            "{{\"type\":\"stage\",\"pipeline\":\"speller\",\"stage\":\"s{stage}\",\"seconds\":0.{seconds},"
        )
        .unwrap();
        match i % 50 {
            0 => write!(out, "\"outcome\":\"error\",\"error\":\"timeout\",\"items\":8}}"),
            1 => write!(out, "\"outcome\":\"ok\",\"trace\":\"{:032x}\"}}", i + 1),
            _ => write!(out, "\"outcome\":\"ok\",\"items\":250}}"),
        }
        .unwrap();
    });
}

#[test]
fn queues_and_calls() {
    check("queues", Protocol::Jsonl, |i, out| {
        let queue = i % 10;
        write!(
            out,
            "{{\"type\":\"queue\",\"pipeline\":\"p\",\"queue\":\"q{queue}\",\"depth\":{},\"limit\":64}}",
            i % 64
        )
        .unwrap();
    });
    check("calls", Protocol::Jsonl, |i, out| {
        let tokens = i % 512;
        write!(out, "{{\"type\":\"call\",\"model\":\"m\",\"prompt_tokens\":{tokens},\"completion_tokens\":20,\"cost\":0.002,\"seconds\":1.5,\"first_token_seconds\":0.2,\"cache_hit\":true}}")
            .unwrap();
    });
}

#[test]
fn metrics_with_labels() {
    check("metrics", Protocol::Jsonl, |i, out| {
        let (name, kind) = [("a", "gauge"), ("b", "counter"), ("c", "histogram")][i as usize % 3];
        let electrode = i % 16;
        write!(out, "{{\"metric\":\"{name}\",\"type\":\"{kind}\",\"value\":{i}.5,\"labels\":{{\"electrode\":\"E{electrode}\",\"bank\":1}}}}")
            .unwrap();
    });
}

#[test]
fn statsd_lines() {
    check("plain lines", Protocol::Statsd, |i, out| {
        let (name, kind) = [("lost", "c"), ("depth", "g"), ("latency", "ms"), ("size", "h")][i as usize % 4];
        write!(out, "eeg.{name}{}:{}.{}|{kind}", i % 20, i % 100, i % 10).unwrap();
    });
    check("tagged lines", Protocol::Statsd, |i, out| {
        write!(out, "pipeline.latency:{}.5|ms|#pipeline:motor,stage:fft{},rig:north", i % 7, i % 20).unwrap();
    });
    check("sampled lines", Protocol::Statsd, |i, out| {
        write!(out, "pipeline.latency:{}|d|@0.1|#stage:fft{}", i % 7, i % 20).unwrap();
    });
}

/// A field of bytes of Protocol Buffers.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    // Always in three bytes.
    let length = [(length & 0x7f) as u8 | 0x80, (length >> 7 & 0x7f) as u8 | 0x80, (length >> 14) as u8];
    [&[number << 3 | 2][..], &length, bytes].concat()
}

#[test]
fn spans() {
    const SPANS: u64 = 300;
    let start = 1_700_000_000_000_000_000_u64;
    let attribute = |key: &str, value: &[u8]| field(9, &[field(1, key.as_bytes()), field(2, value)].concat());
    let text = |key: &str, value: &str| attribute(key, &field(1, value.as_bytes()));
    let span = |i: u64| {
        let own = match i % 3 {
            0 => [text("http.request.method", "GET"), text("url.path", "/a/b")].concat(),
            1 => [
                text("neural.stage", "filter"),
                text("neural.pipeline", "p"),
                attribute("neural.items", &[0x18, 8]),
            ]
            .concat(),
            _ => [
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.request.model", "m"),
                attribute("gen_ai.usage.input_tokens", &[0x18, 9]),
            ]
            .concat(),
        };
        let times =
            [&[0x39][..], &start.to_le_bytes(), &[0x41], &(start + i * 1_000_000).to_le_bytes()].concat();
        let failed: &[u8] = if i.is_multiple_of(50) { &[0x18, 2] } else { &[] };
        let parts = [
            field(1, &u128::from(i + 1).to_be_bytes()),
            field(5, format!("GET /{}", i % 20).as_bytes()),
            vec![0x30, 3],
            times,
            own,
            field(15, failed),
        ];
        field(2, &parts.concat())
    };
    let request = |from: u64| {
        let resource =
            field(1, &field(1, &[field(1, b"service.name"), field(2, &field(1, b"shop"))].concat()));
        let scope = field(2, &(from..from + 50).flat_map(span).collect::<Vec<u8>>());
        field(1, &[resource, scope].concat())
    };
    let requests: Vec<Vec<u8>> = (0..SPANS / 50).map(|at| request(at * 50)).collect();
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
    let mut otlp = Otlp::new(otlp::Settings::default());
    let mut pass = |second: u64| {
        let now = Timestamp::both(NOW.steady + second * 1_000_000_000);
        for body in &requests {
            let request = Request::parse(Telemetry::Traces, Form::Protobuf, body).expect("it is a request");
            otlp.read(&request, now, &mut |with| feed.batch(now, |out| with(out)));
        }
    };
    pass(0);
    assert_eq!(hub.lock().accepted(), SPANS, "a span was refused");
    let counted = allocation_counter::measure(|| pass(1));
    assert_eq!(hub.lock().accepted(), 2 * SPANS);
    assert_eq!(counted.count_total, 0, "{counted:?}");
    let calls = hub.lock().registry.value("neural_llm_calls", &[("model", "m")]);
    let runs = hub.lock().registry.value("neural_stage_items", &[("pipeline", "p"), ("stage", "filter")]);
    assert_eq!((calls, runs), (Some(200.0), Some(1600.0)), "each kind of span is there");
}

#[test]
fn samples_of_streams() {
    let greeting = b"LSL/110 200 OK\r\nUID: u\r\nByte-Order: 1234\r\n\r\n";
    let number = |stamp: f64, values: [f32; 2]| {
        let values = values.iter().flat_map(|value| value.to_le_bytes());
        [2].into_iter().chain(stamp.to_le_bytes()).chain(values).collect::<Vec<u8>>()
    };
    let text = |stamp: f64, texts: [&str; 2]| {
        let texts = texts.map(|text| [&[1, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
        [&[2][..], &stamp.to_le_bytes(), &texts.concat()].concat()
    };
    let patterns = 123_456.789;
    let numbers = [number(patterns, [4.0, -5.0]), number(patterns, [2.0, -3.0])].concat();
    let texts = [text(patterns, ["10", "-11"]), text(patterns, ["10", "-11"])].concat();
    for (format, begin) in [(Format::Float32, numbers), (Format::Text, texts)] {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
        feed.send_at(NOW, Body::Link(Link::Up));
        let info =
            Info { uid: "u".into(), channels: 2, rate: 250.0, version: 110, format, ..Info::default() };
        let mut inlet = Inlet::new(info);
        feed.decode(NOW, &[&greeting[..], &begin].concat(), 1, &mut inlet);
        let sample = |k: u32| {
            let stamp = f64::from(k) / 250.0;
            if format == Format::Text { text(stamp, ["left", ""]) } else { number(stamp, [1.0, 2.0]) }
        };
        let stream: Vec<u8> = (0..1000).flat_map(sample).collect();
        let mut pass = || stream.chunks(150).for_each(|read| feed.decode(NOW, read, 1, &mut inlet));
        pass();
        let counted = allocation_counter::measure(pass);
        assert_eq!(counted.count_total, 0, "{format:?}: {counted:?}");
        assert_eq!(hub.lock().accepted(), 2001, "{format:?}");
        assert!(!inlet.is_broken() && inlet.stamps().samples == 2000, "{format:?}");
    }
}

#[test]
fn blocks_of_a_publisher() {
    let mut begin = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    begin.extend(b"NULL");
    begin.resize(64, 0);
    begin.extend(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB");
    let message = |number: u32| {
        let header = format!(
            "{{\"message_num\":{},\"content\":{{\"stream\":\"a\",\"channel_num\":{},\"channel_name\":\"c\",\
             \"num_samples\":10,\"sample_num\":{},\"sample_rate\":30000.0}}}}",
            number,
            number % 4,
            number / 4 * 10
        );
        let long = [&[3][..], &(header.len() as u64).to_be_bytes(), header.as_bytes()].concat();
        let short = [&[1, u8::try_from(header.len()).unwrap_or(0)][..], header.as_bytes()].concat();
        let header = if header.len() > 255 { long } else { short };
        [&b"\x01\x05DATA\0"[..], &header, &[0, 40], &[0; 40]].concat()
    };
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
    feed.send_at(NOW, Body::Link(Link::Up));
    let mut decoder = Stream::new(Some(1e-6));
    feed.decode(NOW, &begin, 1, &mut decoder);
    let mut pass = |from: u32| {
        let stream: Vec<u8> = (from..from + 400).flat_map(message).collect();
        allocation_counter::measure(|| {
            stream.chunks(150).for_each(|read| feed.decode(NOW, read, 1, &mut decoder));
        })
    };
    pass(0);
    let counted = pass(400);
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(decoder.counts().lost_messages, 0);
    // All blocks but the first, whose samples all are frames; and the commands at the beginning.
    assert!(hub.lock().accepted() >= 1990 && !decoder.is_broken());
}

#[test]
fn frames_of_boards() {
    for board in boards::all() {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
        feed.send_at(NOW, Body::Link(Link::Up));
        // Judged as well, over several seconds of signal each time.
        let mut decoder = AssessedDecoder::new(board.decoder(), Settings::default());
        let stream = boards::frames(board, 0..1024);
        let mut at = NOW.steady;
        let mut pass = || {
            for read in stream.chunks(150) {
                at += 16_000_000;
                feed.decode(Timestamp::both(at), read, 1, &mut decoder);
            }
        };
        // Until the fastest was judged.
        (0..20).for_each(|_| pass());
        let counted = allocation_counter::measure(|| (0..8).for_each(|_| pass()));
        assert_eq!(counted.count_total, 0, "{board:?}: {counted:?}");
        assert!(hub.lock().accepted() >= 2000, "{board:?}");
    }
}

#[test]
fn datagrams_of_programs() {
    let group = || Box::new(Datagrams::new(Group::new(2, None))) as Box<dyn Decoder>;
    let own = datagrams::all().map(|protocol| (protocol, protocol.decoder()));
    for (protocol, decoder) in own.chain([(Protocol::Cerebus, group())]) {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
        feed.send_at(NOW, Body::Link(Link::Up));
        let mut decoder = AssessedDecoder::new(decoder, Settings::default());
        // Their times go on, so that nothing begins again.
        let parts: Vec<Vec<u8>> =
            (0..8).map(|part| datagrams::rows(protocol, part * 400..(part + 1) * 400)).collect();
        let mut at = NOW.steady;
        let mut pass = |parts: &[Vec<u8>]| {
            for read in parts.iter().flat_map(|part| part.chunks(3000)) {
                at += 12_000_000;
                feed.decode(Timestamp::both(at), read, 1, &mut decoder);
            }
        };
        pass(&parts[..4]);
        let counted = allocation_counter::measure(|| pass(&parts[4..]));
        assert_eq!(counted.count_total, 0, "{protocol:?}: {counted:?}");
        assert!(hub.lock().accepted() >= 3200, "{protocol:?}");
    }
}

/// The bytes that the registry says it holds are at least those that it holds.
#[test]
fn what_is_held_is_what_is_counted() {
    let statsd = |i: usize| match i % 5 {
        0 => format!("gauge{}:1|g|#shard:{i},{}\n", i % 50, "tag:value,".repeat(4)),
        1 => format!("counter{}:1|c|#shard:{i}\n", i % 500),
        2 => format!("histogram{}:1|h|#shard:{i}\n", i % 20),
        3 => format!("set{}:{i}|s\n", i % 3),
        _ => format!("one:1|c|#{}\n", "x".repeat(i % 3000)),
    };
    let jsonl = |i: usize| {
        let blanks = " ".repeat(i % 300);
        format!("{{\"metric\":\"m{}\",\"value\":1,\"labels\":{{{blanks}\"i\":{}}}}}\n", i % 7, i % 2000)
    };
    let lines: [(Protocol, &dyn Fn(usize) -> String); 2] =
        [(Protocol::Statsd, &statsd), (Protocol::Jsonl, &jsonl)];
    for (protocol, line) in lines {
        let lines: Vec<String> = (0..60_000).map(line).collect();
        let hub = Arc::new(Hub::default());
        let source = hub.add_source("s");
        let feed = Feed::new(hub.clone(), source, "s");
        feed.send_at(NOW, Body::Link(Link::Up));
        let mut decoder = protocol.decoder();
        // Buffers of its own, and series of its own health.
        feed.decode(NOW, format!("{}\n", "x".repeat(4000)).as_bytes(), 1, &mut *decoder);
        let before = hub.lock().registry.bytes();
        let counted = allocation_counter::measure(|| {
            for line in &lines {
                feed.decode(NOW, line.as_bytes(), 1, &mut *decoder);
            }
        });
        let held = hub.lock().registry.bytes() - before;
        let real = usize::try_from(counted.bytes_current).unwrap();
        println!("{protocol:?}: {real} bytes are held, {held} are counted");
        assert!(real <= held + 64_000 && held <= 64 << 20, "{protocol:?}: {real} of {held}");
        assert!(held < 4 * real, "{protocol:?}: {real} of {held}");
        // Gone with its source, and with time.
        let given = allocation_counter::measure(|| {
            hub.lock().retire(source);
            for minute in 1..10 {
                let at = Timestamp::both(NOW.steady + 60_000_000_000 * minute);
                hub.lock().fold(&Event { at, source: SourceId::AGENT, body: Body::Tick });
            }
        });
        let left = counted.bytes_current + given.bytes_current;
        assert!(left < 200_000, "{protocol:?}: {left} bytes stay");
        assert!(hub.lock().registry.bytes() < before + 100_000);
    }
}

#[test]
fn what_is_refused_is_not_built_first() {
    let limits = Limits { series_per_family: 4, ..Limits::default() };
    let mut registry = Registry::new(PAGES, limits, HashMap::new());
    let source = registry.add_source("s");
    let mut stage = |number: u64| {
        let (name, mut bytes) = (u64::to_le_bytes(number), [0; 16]);
        for (to, from) in bytes.iter_mut().zip(name.iter().flat_map(|b| [b & 15, b >> 4])) {
            *to = b'a' + from;
        }
        let pipeline = std::str::from_utf8(&bytes).unwrap();
        let body = Body::Stage(Stage {
            pipeline,
            stage: "s",
            seconds: 0.1,
            error: None,
            items: None,
            ended: None,
            trace: None,
        });
        registry.fold(&Event { at: NOW, source, body }).unwrap();
    };
    (0..100).for_each(&mut stage);
    let counted = allocation_counter::measure(|| (100..1100).for_each(&mut stage));
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(registry.refusals().any(|(_, refused)| refused > 1000));
}
