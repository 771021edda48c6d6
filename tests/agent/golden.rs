//! Golden files: bytes in, events as text, a scrape in OpenMetrics. `UPDATE=1` rewrites them. The classic format follows
//! from OpenMetrics by rules, so it is compared and not kept.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use neural_exporter::decode::Protocol;
use neural_exporter::decode::engines::{Profile, Rest};
use neural_exporter::decode::text::exposition::{Exposition, Format as Written, Shape};
use neural_exporter::decode::text::relabel::Relabel;
use neural_exporter::event::{Body, Link, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::metrics::Format;
use neural_exporter::source::Feed;

use super::{NOW, at};

/// Compares a committed file with what it should be, or rewrites it.
pub(crate) fn same(file: &Path, wanted: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not what the code says; UPDATE=1 cargo test rewrites it\n{}",
        file.display(),
        difference(&found, wanted)
    );
}

/// The lines that differ, with what stands around them: `-` is in the file, `+` is what it should be.
fn difference(found: &str, wanted: &str) -> String {
    let (found, wanted): (Vec<&str>, Vec<&str>) = (found.lines().collect(), wanted.lines().collect());
    let alike = |a: &mut dyn Iterator<Item = (&&str, &&str)>| a.take_while(|(a, b)| a == b).count();
    let head = alike(&mut found.iter().zip(&wanted));
    let tail = alike(&mut found[head..].iter().rev().zip(wanted[head..].iter().rev()));
    let mut text = format!("from line {}:\n", head + 1);
    let parts = [
        (' ', &found[head.saturating_sub(2)..head]),
        ('-', &found[head..found.len() - tail]),
        ('+', &wanted[head..wanted.len() - tail]),
        (' ', &found[found.len() - tail..][..tail.min(2)]),
    ];
    for (mark, lines) in parts {
        for line in lines.iter().take(40) {
            writeln!(text, "{mark} {line}").unwrap();
        }
        if lines.len() > 40 {
            writeln!(text, "{mark} … and {} lines more", lines.len() - 40).unwrap();
        }
    }
    text
}

/// Every fixture of a folder: the bytes of `*.in`, and the file they are in.
fn fixtures(folder: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(at("tests/fixtures").join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "in"));
    files.sort();
    assert!(!files.is_empty(), "there is no fixture in {folder}");
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// A hub with one source that talks, and the source's feed.
fn listening() -> (Arc<Hub>, Feed) {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("golden"), "golden");
    feed.send_at(NOW, Body::Link(Link::Up));
    (hub, feed)
}

fn compare_scrapes(fixture: &Path, hub: &Hub) {
    let [open, classic] = [Format::OpenMetrics, Format::Classic].map(|format| {
        let mut text = Vec::new();
        hub.write(format, NOW, &mut text);
        String::from_utf8(text).unwrap()
    });
    same(&fixture.with_extension("scrape"), &open);
    assert_eq!(classic, as_classic(&open), "{}", fixture.display());
}

/// A scrape in OpenMetrics as the classic format writes it: HELP before TYPE, the suffix in the name of the family, no
/// units, no exemplars and no end.
fn as_classic(open: &str) -> String {
    let mut classic = String::new();
    let mut kind = "";
    for line in open.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            kind = declared.split_once(' ').unwrap().1;
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            writeln!(classic, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}").unwrap();
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            classic.push_str(line.split(" # {").next().unwrap());
            classic.push('\n');
        }
    }
    classic
}

#[test]
fn bytes_become_events_and_series() {
    for &protocol in Protocol::ALL {
        for (fixture, bytes) in fixtures(protocol.name()) {
            let mut events = String::new();
            let mut decoder = protocol.decoder();
            let mut out = |body: Body<'_>| writeln!(events, "{body:?}").unwrap();
            decoder.decode(&bytes, &mut out);
            decoder.end(&mut out);
            same(&fixture.with_extension("events"), &events);

            let (hub, feed) = listening();
            let mut decoder = protocol.decoder();
            feed.decode(NOW, &bytes, 1, &mut *decoder);
            feed.end(NOW, &mut *decoder);
            feed.send_at(Timestamp::both(NOW.steady + 1_000_000_000), Body::Tick);
            compare_scrapes(&fixture, &hub);
        }
    }
}

/// Expositions of engines: the fixture's name is the engine's.
#[test]
fn expositions_become_events_and_series() {
    for (fixture, text) in fixtures("engines") {
        let engine = fixture.file_stem().unwrap().to_str().unwrap();
        let profile = Profile::ALL.iter().copied().find(|profile| profile.engine().name == engine);
        let shape = Shape {
            profile: Some(profile.unwrap()),
            rest: Rest::Drop,
            labels: vec![("source".to_owned(), "golden".to_owned())],
            relabel: Relabel::default(),
            samples: 10_000,
            timestamps: false,
        };
        let dialect = Written::Auto.dialect(None, &text).unwrap();
        let read = Exposition::read(&text, dialect, &shape).unwrap();
        let mut events = String::new();
        read.emit(&mut |body| writeln!(events, "{body:?}").unwrap());
        same(&fixture.with_extension("events"), &events);

        let (hub, feed) = listening();
        feed.batch(NOW, |out| read.emit(out));
        compare_scrapes(&fixture, &hub);
    }
}

#[test]
fn the_classic_format_follows_from_openmetrics() {
    let open = "# TYPE a counter\n# UNIT a bytes\n# HELP a What.\na_total{b=\"c\"} 1 # {trace_id=\"d\"} 1 2\n\
                # TYPE e info\n# HELP e Facts.\ne_info{} 1\n# TYPE g gauge\n# HELP g Now.\ng 2\n# EOF\n";
    let classic = "# HELP a_total What.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\
                   # HELP e_info Facts.\n# TYPE e_info gauge\ne_info{} 1\n# HELP g Now.\n# TYPE g gauge\ng 2\n";
    assert_eq!(as_classic(open), classic);
}

#[test]
fn differences_are_readable() {
    let told = difference("a\nb\nc\nd\ne\n", "a\nb\nX\nY\nd\ne\n");
    assert_eq!(told, "from line 3:\n  a\n  b\n- c\n+ X\n+ Y\n  d\n  e\n");
    assert_eq!(difference("", "a\n"), "from line 1:\n+ a\n");
}
