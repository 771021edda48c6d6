//! A hub, ways into it, and the promise that its scrape stays readable.

#![allow(dead_code, reason = "each target uses some of it")]

use std::sync::Arc;

use neural_exporter::analysis::quality::{AssessedDecoder, Settings};
use neural_exporter::decode::engines::{Profile, Rest};
use neural_exporter::decode::text::exposition::{Exposition, Shape};
use neural_exporter::decode::text::openmetrics::{Dialect, parse_strict, parse};
use neural_exporter::decode::text::relabel::Relabel;
use neural_exporter::decode::Protocol;
use neural_exporter::event::{Body, Link, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::metrics::{Format, Own};
use neural_exporter::source::Feed;

const NOW: Timestamp = Timestamp::both(1_700_000_000_000_000_000);

pub fn hub() -> Arc<Hub> {
    Arc::new(Hub::default())
}

fn feed(hub: &Arc<Hub>, name: &str) -> Feed {
    let feed = Feed::new(hub.clone(), hub.add_source(name), name);
    feed.send_at(NOW, Body::Link(Link::Up));
    feed
}

/// Folds a stream that then ends.
pub fn stream(hub: &Arc<Hub>, protocol: Protocol, bytes: &[u8]) {
    let feed = feed(hub, protocol.name());
    // What judges a signal sees everything, and only samples are something to it.
    let mut decoder = AssessedDecoder::new(protocol.decoder(), Settings::default());
    feed.decode(NOW, bytes, 1, &mut decoder);
    feed.end(NOW, &mut decoder);
}

/// Folds an exposition as it is, and as an engine's.
pub fn expose(hub: &Arc<Hub>, text: &[u8], dialect: Dialect) {
    for profile in [None, Some(Profile::Vllm)] {
        let shape = Shape {
            profile,
            rest: Rest::Keep,
            labels: vec![("source".to_owned(), "fuzz".to_owned())],
            relabel: Relabel::default(),
            samples: 10_000,
            timestamps: true,
        };
        let feed = feed(hub, "scraped");
        if let Ok(read) = Exposition::read(text, dialect, &shape) {
            feed.batch(NOW, |out| read.emit(out));
        }
    }
}

/// Fails if somebody who scrapes this hub could not read the answer.
pub fn readable(hub: &Hub) {
    for (format, dialect) in
        [(Format::OpenMetrics, Dialect::OpenMetrics), (Format::Classic, Dialect::Classic)]
    {
        hub.lock().registry.set_created(format == Format::OpenMetrics);
        let mut text = Vec::new();
        hub.write(format, NOW, &mut text);
        Own::new().write(format, NOW, || {}, &mut text);
        if format == Format::OpenMetrics {
            text.extend_from_slice(b"# EOF\n");
        }
        let read = match dialect {
            Dialect::OpenMetrics => parse_strict(&text),
            Dialect::Classic => parse(&text, dialect, usize::MAX),
        };
        match read {
            Ok(document) => assert!(document.refused.is_empty(), "{:?}", document.refused),
            Err(wrong) => panic!("{wrong}\n{}", String::from_utf8_lossy(&text)),
        }
    }
}
