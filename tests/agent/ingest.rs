//! `/metrics` cannot be broken from outside: whatever comes in, both formats stay readable.

use std::sync::Arc;

use neural_exporter::decode::Protocol;
use neural_exporter::decode::engines::{Profile, Rest};
use neural_exporter::decode::text::exposition::{Exposition, Shape};
use neural_exporter::decode::text::openmetrics::{Dialect, parse, parse_strict};
use neural_exporter::decode::text::relabel::Relabel;
use neural_exporter::event::{Body, Link, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::metrics::Format;
use neural_exporter::source::Feed;
use proptest::prelude::*;

use super::noise::{self, Noise};
use super::{NOW, at, scrape};

/// Says why a scrape of this hub is unreadable, if it is.
fn verdict(hub: &Hub) -> Result<(), TestCaseError> {
    for (format, dialect, created) in [
        (Format::OpenMetrics, Dialect::OpenMetrics, false),
        (Format::OpenMetrics, Dialect::OpenMetrics, true),
        (Format::Classic, Dialect::Classic, true),
    ] {
        hub.lock().registry.set_created(created);
        let text = scrape(hub, format);
        let read =
            if dialect == Dialect::Classic { parse(&text, dialect, usize::MAX) } else { parse_strict(&text) };
        let wrong = match &read {
            Ok(document) => (!document.refused.is_empty()).then(|| format!("{:?}", document.refused)),
            Err(wrong) => {
                let line =
                    String::from_utf8_lossy(&text).lines().nth(wrong.line - 1).unwrap_or_default().to_owned();
                Some(format!("{wrong}: {line}"))
            }
        };
        prop_assert_eq!(wrong, None, "{:?}", format);
    }
    Ok(())
}

fn fed(inputs: &[(Protocol, Noise)]) -> Arc<Hub> {
    let hub = Arc::new(Hub::default());
    for (i, (protocol, bytes)) in inputs.iter().enumerate() {
        let name = format!("{}-{i}", protocol.name());
        let feed = Feed::new(hub.clone(), hub.add_source(&name), &name);
        feed.send_at(NOW, Body::Link(Link::Up));
        let mut decoder = protocol.decoder();
        feed.decode(NOW, bytes, 1, &mut *decoder);
        feed.end(NOW, &mut *decoder);
    }
    let clock = Feed::new(hub.clone(), hub.add_source("clock"), "clock");
    clock.send_at(Timestamp::both(NOW.steady + 1_000_000_000), Body::Tick);
    hub
}

fn input() -> impl Strategy<Value = (Protocol, Noise)> {
    let protocol = proptest::sample::select(Protocol::ALL);
    protocol.prop_flat_map(|protocol| (Just(protocol), noise::like(protocol)))
}

/// Lines of expositions, most of them right, that quarrel with each other.
fn exposition() -> impl Strategy<Value = String> {
    let line = proptest::sample::select(vec![
        "# TYPE a counter",
        "# TYPE a gauge",
        "# TYPE a histogram",
        "# TYPE a summary",
        "# TYPE a info",
        "# TYPE a stateset",
        "# TYPE a gaugehistogram",
        "# TYPE a_total counter",
        "# TYPE b_seconds gauge",
        "# UNIT b_seconds seconds",
        "# HELP a Some \\n help \\\\",
        "a 1",
        "a -1",
        "a NaN",
        "a{a=\"x\"} 1",
        "a{b=\"x\"} 0.5",
        "a_total 3",
        "a_total -1",
        "a_info{v=\"1\"} 2",
        "a_bucket{le=\"1\"} 1",
        "a_bucket{le=\"1.0\"} 1",
        "a_bucket{le=\"-1\"} 1",
        "a_bucket{le=\"+Inf\"} 2",
        "a_sum -4",
        "a_sum NaN",
        "a_count 2",
        "a_gsum -3",
        "a_gcount 2",
        "a{quantile=\"0.5\"} -3",
        "a{quantile=\"0.5\"} 3",
        "a{quantile=\"0.50\"} 3",
        "a_created 7",
        "b_seconds 4",
        "b_seconds{le=\"x\",quantile=\"y\"} 4",
        "process_cpu_seconds_total 5",
        "neural_source_up 1",
        "neural_agent_series 1",
        "{\"b.c\",\"d.e\"=\"f\"} 1",
        "c{__name__=\"d\"} 1",
        "vllm:num_requests_running{engine=\"0\",model=\"a\",model_name=\"b\"} 1",
        "vllm:prompt_tokens_total{replica=\"1\",engine=\"0\"} 4",
    ]);
    prop::collection::vec(line, 0..25).prop_map(|lines| lines.join("\n") + "\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn noise_cannot_break_a_scrape(inputs in prop::collection::vec(input(), 1..4)) {
        verdict(&fed(&inputs))?;
    }

    #[test]
    fn expositions_cannot_break_a_scrape(
        texts in prop::collection::vec((exposition(), any::<bool>()), 1..4),
        inputs in prop::collection::vec(input(), 0..2),
    ) {
        let hub = fed(&inputs);
        let feed = Feed::new(hub.clone(), hub.add_source("scraped"), "scraped");
        for (text, profile) in &texts {
            let shape = Shape {
                profile: profile.then_some(Profile::Vllm),
                rest: Rest::Keep,
                labels: vec![("source".into(), "scraped".into()), ("le".into(), "x".into())],
                relabel: Relabel::default(),
                samples: 1000,
                timestamps: true,
            };
            if let Ok(read) = Exposition::read(text.as_bytes(), Dialect::Classic, &shape) {
                feed.batch(NOW, |out| read.emit(out));
            }
        }
        verdict(&hub)?;
    }
}

/// The published cases, each through a hub of its own: what parses comes out readable.
#[test]
fn the_published_expositions_do_not_break_a_scrape() {
    for case in std::fs::read_dir(at("tests/fixtures/openmetrics")).unwrap() {
        let Ok(text) = std::fs::read(case.unwrap().path().join("metrics")) else { continue };
        for dialect in [Dialect::OpenMetrics, Dialect::Classic] {
            let hub = Arc::new(Hub::default());
            let feed = Feed::new(hub.clone(), hub.add_source("scraped"), "scraped");
            let shape = Shape {
                profile: None,
                rest: Rest::Keep,
                labels: Vec::new(),
                relabel: Relabel::default(),
                samples: 1000,
                timestamps: true,
            };
            if let Ok(read) = Exposition::read(&text, dialect, &shape) {
                feed.batch(NOW, |out| read.emit(out));
                verdict(&hub).unwrap();
            }
        }
    }
}
