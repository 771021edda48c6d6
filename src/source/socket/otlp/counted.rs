//! What requests count, up to the lines of a scrape.

use std::sync::Arc;

use crate::decode::otlp::{Form, Otlp, Request, RequestCounts, Settings};
use crate::decode::text::jsonl::Price;
use crate::event::{Event, FaultKind, SourceId, Telemetry, Timestamp};
use crate::hub::Hub;

const SECOND: u64 = 1_000_000_000;
/// 2023-11-14 22:13:20.
const NOW: u64 = 1_700_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp::both((NOW + second) * SECOND)
}

/// A hub, and a reader of what is sent.
struct Counting {
    hub: Arc<Hub>,
    otlp: Otlp,
}

impl Counting {
    fn new(settings: Settings) -> Self {
        let hub = Arc::new(Hub::default());
        hub.add_source("otlp");
        Self { hub, otlp: Otlp::new(settings) }
    }

    fn send(&mut self, signal: Telemetry, second: u64, text: &str) -> RequestCounts {
        let request = Request::parse(signal, Form::Json, text.as_bytes()).unwrap();
        let Self { hub, otlp } = self;
        otlp.read(&request, at(second), &mut |with| {
            let mut state = hub.lock();
            let before = state.accepted();
            with(&mut |body| state.fold(&Event { at: at(second), source: SourceId(0), body }));
            state.accepted() - before
        })
    }

    /// Sends points of one metric of the service `s`, and whatever else there is.
    fn metric(&mut self, second: u64, metric: &str) -> RequestCounts {
        self.send(
            Telemetry::Metrics,
            second,
            &format!(
                "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{metric}]}}],\"resource\":{{\"attributes\":[{}]}}}}]}}",
                text_attribute("service.name", "s")
            ),
        )
    }

    fn spans(&mut self, spans: &str) -> RequestCounts {
        let text = format!(
            "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{spans}]}}],\"resource\":{{\"attributes\":[{}]}}}}]}}",
            text_attribute("service.name", "s")
        );
        self.send(Telemetry::Traces, 1, &text)
    }

    fn number(&self, family: &str, labels: &str) -> Option<f64> {
        self.hub.lock().registry.number(family, labels)
    }

    /// The lines of a scrape that begin so.
    fn lines(&self, begin: &str) -> Vec<String> {
        let mut out = Vec::new();
        self.hub.write(crate::metrics::Format::OpenMetrics, at(0), &mut out);
        let text = String::from_utf8(out).unwrap();
        text.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
    }
}

fn text_attribute(key: &str, value: &str) -> String {
    format!("{{\"key\":\"{key}\",\"value\":{{\"stringValue\":\"{value}\"}}}}")
}

fn span(name: &str, milliseconds: u64, rest: &str) -> String {
    let start = NOW * SECOND;
    let end = start + milliseconds * 1_000_000;
    format!(
        "{{\"name\":\"{name}\",\"kind\":2,\"startTimeUnixNano\":\"{start}\",\"endTimeUnixNano\":\"{end}\"{rest}}}"
    )
}

#[test]
fn spans_are_requests_errors_and_durations() {
    let mut source = Counting::new(Settings::default());
    let trace = ",\"traceId\":\"5b8efff798038103d269b633813fc60c\"";
    let counted = source.spans(
        &[span("GET /", 20, ""), span("GET /", 30, ",\"status\":{\"code\":2}"), span("GET /", 300, trace)]
            .join(","),
    );
    assert_eq!((counted.items, counted.accepted, counted.rejected()), (3, 3, 0));
    let labels = "service=\"s\",span=\"GET /\",kind=\"server\"";
    assert_eq!(source.number("neural_span_failures", labels), Some(1.0));
    let lines = source.lines("neural_span_duration_seconds");
    assert!(lines.contains(&format!("neural_span_duration_seconds_count{{{labels}}} 3")), "{lines:?}");
    assert!(lines.contains(&format!("neural_span_duration_seconds_sum{{{labels}}} 0.35")), "{lines:?}");
    let marked = format!(
        "neural_span_duration_seconds_bucket{{le=\"0.5\",{labels}}} 3 # {{trace_id=\"5b8efff798038103d269b633813fc60c\"}} 0.3"
    );
    assert!(lines.iter().any(|line| line.starts_with(&marked)), "{lines:?}");
    // The newest span ended 0.7 s before it came.
    let lag = source.number("neural_otlp_clock_lag_seconds", "service=\"s\",signal=\"traces\"").unwrap();
    assert!((lag - 0.7).abs() < 1e-6, "{lag}");
}

#[test]
fn spans_of_stages_are_runs_of_them() {
    let mut source = Counting::new(Settings::default());
    let stage = |more: &str| format!(",\"attributes\":[{}{more}]", text_attribute("neural.stage", "filter"));
    let pipeline = format!(",{}", text_attribute("neural.pipeline", "decoder"));
    let items = ",{\"key\":\"neural.items\",\"value\":{\"intValue\":\"250\"}}";
    let failed = format!(
        ",\"status\":{{\"code\":2}}{}",
        stage(&format!("{pipeline},{}", text_attribute("error.type", "timeout")))
    );
    let counted = source.spans(
        &[
            span("a", 20, &stage(&format!("{pipeline}{items}"))),
            span("b", 30, &failed),
            span("c", 1, &stage("")),
        ]
        .join(","),
    );
    assert_eq!((counted.items, counted.accepted), (3, 3));
    let decoder = "pipeline=\"decoder\",stage=\"filter\"";
    assert_eq!(source.number("neural_stage_failures", decoder), Some(1.0));
    assert_eq!(source.number("neural_stage_items", decoder), Some(250.0));
    assert_eq!(source.number("neural_stage_errors", &format!("{decoder},error=\"timeout\"")), Some(1.0));
    // Without a pipeline it is the service's.
    assert_eq!(source.number("neural_stage_failures", "pipeline=\"s\",stage=\"filter\""), Some(0.0));
    assert_eq!(source.lines("neural_span_duration"), Vec::<String>::new());
}

#[test]
fn spans_of_models_are_calls_with_tokens_and_cost() {
    let price = Price { prompt_per_million: 2.0, completion_per_million: 10.0 };
    let prices = Arc::new([("gpt-4o".to_owned(), price)].into());
    let mut source = Counting::new(Settings { prices, ..Settings::default() });
    let number =
        |key: &str, value: i64| format!("{{\"key\":\"{key}\",\"value\":{{\"intValue\":\"{value}\"}}}}");
    let call = |operation: &str, sent: i64, more: &str| {
        let attributes = [
            text_attribute("gen_ai.operation.name", operation),
            text_attribute("gen_ai.request.model", "gpt-4o"),
            text_attribute("gen_ai.response.model", "gpt-4o-2024-08-06"),
            number("gen_ai.usage.input_tokens", sent),
            number("gen_ai.usage.output_tokens", 50),
        ];
        span("chat gpt-4o", 1500, &format!(",\"attributes\":[{}{more}]", attributes.join(",")))
            .replace("\"kind\":2", "\"kind\":3")
    };
    let failed = format!(",{}", text_attribute("error.type", "rate_limit"));
    let failed = call("chat", 0, &failed).replace("\"name\"", "\"status\":{\"code\":2},\"name\"");
    // As SDKs wrote it before 1.27, and a model that only the answer names.
    let older = [
        text_attribute("gen_ai.response.model", "llama"),
        number("gen_ai.usage.prompt_tokens", 7),
        number("gen_ai.usage.completion_tokens", 3),
    ];
    let older =
        span("x", 20, &format!(",\"attributes\":[{}]", older.join(","))).replace("\"kind\":2", "\"kind\":1");
    let spans = [
        call("chat", 100, ""),
        failed,
        older,
        // No calls: what is around some, what answers one, and what cannot be.
        call("invoke_agent", 100, ""),
        call("chat", 100, "").replace("\"kind\":3", "\"kind\":2"),
        call("chat", -1, ""),
    ];
    let counted = source.spans(&spans.join(","));
    assert_eq!((counted.items, counted.accepted, counted.rejected()), (6, 5, 1));
    let of = |name: &str, model: &str| source.number(name, &format!("model=\"{model}\""));
    assert_eq!(
        (of("neural_llm_calls", "gpt-4o"), of("neural_llm_failures", "gpt-4o")),
        (Some(2.0), Some(1.0))
    );
    assert_eq!(source.number("neural_llm_errors", "model=\"gpt-4o\",error=\"rate_limit\""), Some(1.0));
    assert_eq!(of("neural_llm_prompt_tokens", "gpt-4o"), Some(100.0));
    assert_eq!(of("neural_llm_completion_tokens", "gpt-4o"), Some(100.0));
    let cost = of("neural_llm_cost", "gpt-4o").unwrap();
    assert!((cost - 0.0012).abs() < 1e-12, "{cost}");
    assert_eq!(
        (of("neural_llm_prompt_tokens", "llama"), of("neural_llm_cost", "llama")),
        (Some(7.0), Some(0.0))
    );
    let sums = source.lines("neural_llm_duration_seconds_sum{model=\"gpt-4o\"}");
    assert_eq!(sums, ["neural_llm_duration_seconds_sum{model=\"gpt-4o\"} 3.0"]);
    assert_eq!(source.lines("neural_span_duration_seconds_count").len(), 2);
    assert_eq!(source.number("neural_source_errors", "source=\"otlp\",reason=\"bad_value\""), Some(1.0));
}

#[test]
fn what_makes_no_sense_is_a_fault_and_costs_nothing_else() {
    let mut source = Counting::new(Settings::default());
    let times = |start: u64, end: u64| {
        format!("{{\"name\":\"a\",\"startTimeUnixNano\":\"{start}\",\"endTimeUnixNano\":\"{end}\"}}")
    };
    let now = NOW * SECOND;
    let many: Vec<String> = (0..10_000).map(|at| text_attribute(&format!("k{at}"), "v")).collect();
    let spans = [
        times(now, now - 1),
        times(0, now),
        times(now, 0),
        times(now, u64::MAX),
        times(u64::MAX, u64::MAX),
        times(now, now + 500 * 86_400 * SECOND),
        span("b", 1, &format!(",\"attributes\":[{}]", many.join(","))),
        // A clock that began in 1970 measures time as any other does.
        times(SECOND, 2 * SECOND),
    ];
    let counted = source.spans(&spans.join(","));
    assert_eq!((counted.items, counted.accepted, counted.rejected()), (8, 1, 7));
    for (reason, count) in [("clock_skew", 1.0), ("missing_field", 2.0), ("bad_value", 3.0), ("limit", 1.0)] {
        let labels = format!("source=\"otlp\",reason=\"{reason}\"");
        assert_eq!(source.number("neural_source_errors", &labels), Some(count), "{reason}");
    }
}

#[test]
fn names_that_are_made_up_are_one() {
    let mut source = Counting::new(Settings { span_names: 3, ..Settings::default() });
    let spans: Vec<String> = (0..10).map(|id| span(&format!("GET /{id}"), 1, "")).collect();
    assert_eq!(source.spans(&spans.join(",")).accepted, 10);
    let counts = source.lines("neural_span_duration_seconds_count");
    assert_eq!(counts.len(), 4, "{counts:?}");
    assert!(
        counts.iter().any(|line| line.contains("span=\"_other\"") && line.ends_with("} 7")),
        "{counts:?}"
    );
}

#[test]
fn records_are_counted_by_severity_and_service() {
    let mut source = Counting::new(Settings::default());
    let records = "{\"severityNumber\":17,\"body\":{\"stringValue\":\"secret\"}},{\"severityNumber\":17},{\"severityText\":\"WARN\"}";
    let text = format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{records}]}}]}}]}}");
    assert_eq!(source.send(Telemetry::Logs, 1, &text).accepted, 3);
    let count = |severity| {
        source.number("neural_log_records", &format!("service=\"unknown_service\",severity=\"{severity}\""))
    };
    assert_eq!((count("error"), count("warn"), count("info")), (Some(2.0), Some(1.0), None));
    assert!(source.lines("").iter().all(|line| !line.contains("secret")));
}

/// A sum with one point.
fn sum(name: &str, temporality: u8, start: u64, time: u64, value: &str) -> String {
    format!(
        "{{\"name\":\"{name}\",\"unit\":\"By\",\"sum\":{{\"isMonotonic\":true,\"aggregationTemporality\":{temporality},\"dataPoints\":[{{\
         \"startTimeUnixNano\":\"{}\",\"timeUnixNano\":\"{}\",{value},\"attributes\":[{}]}}]}}}}",
        (NOW + start) * SECOND,
        (NOW + time) * SECOND,
        text_attribute("disk.name", "a")
    )
}

#[test]
fn sums_add_up_in_both_temporalities() {
    let mut source = Counting::new(Settings::default());
    let read = |source: &Counting, family| source.number(family, "disk_name=\"a\",service=\"s\"");
    for time in 1..=3 {
        source.metric(time, &sum("disk.delta", 1, time - 1, time, "\"asInt\":\"5\""));
    }
    assert_eq!(read(&source, "disk_delta_bytes"), Some(15.0));
    source.metric(1, &sum("disk.io", 2, 0, 1, "\"asDouble\":5.5"));
    source.metric(2, &sum("disk.io", 2, 0, 2, "\"asDouble\":7.5"));
    assert_eq!(read(&source, "disk_io_bytes"), Some(7.5));
    // The process starts again, and another one runs beside it.
    source.metric(3, &sum("disk.io", 2, 2, 3, "\"asDouble\":9"));
    source.metric(4, &sum("disk.io", 2, 1, 4, "\"asDouble\":1"));
    assert_eq!(read(&source, "disk_io_bytes"), Some(17.5));
    source.metric(5, &sum("disk.io", 2, 2, 5, "\"asDouble\":10"));
    assert_eq!(read(&source, "disk_io_bytes"), Some(18.5));
    let late = source.metric(6, &sum("disk.io", 2, 2, 4, "\"asDouble\":9.5"));
    assert_eq!((late.rejected(), late.reason), (1, Some(FaultKind::ClockSkew)));
    for (value, reason) in [
        ("\"asDouble\":\"NaN\"", FaultKind::NotFinite),
        ("\"asInt\":-1", FaultKind::Negative),
        ("\"flags\":0", FaultKind::MissingField),
    ] {
        assert_eq!(source.metric(7, &sum("disk.io", 2, 2, 7, value)).reason, Some(reason), "{value}");
    }
    assert_eq!(
        source.metric(7, &sum("disk.io", 0, 2, 7, "\"asInt\":1")).reason,
        Some(FaultKind::MissingField)
    );
    let silent = source.metric(7, &sum("disk.io", 2, 2, 7, "\"flags\":1"));
    assert_eq!((silent.silent, silent.rejected()), (1, 0));
    assert_eq!(read(&source, "disk_io_bytes"), Some(18.5));
    assert_eq!(source.lines("# TYPE disk_io"), ["# TYPE disk_io_bytes counter"]);
    assert_eq!(source.lines("# UNIT disk_io"), ["# UNIT disk_io_bytes bytes"]);
}

#[test]
fn gauges_are_of_one_sender_at_a_time() {
    let mut source =
        Counting::new(Settings { resource_attributes: vec!["zone".to_owned()], ..Settings::default() });
    let send = |source: &mut Counting, instance: &str, zone: &str, value: u32| {
        let resource = [
            text_attribute("service.name", "s"),
            text_attribute("service.instance.id", instance),
            text_attribute("zone", zone),
        ];
        let text = format!(
            "{{\"resourceMetrics\":[{{\"resource\":{{\"attributes\":[{}]}},\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"load\",\"unit\":\"1\",\"gauge\":{{\"dataPoints\":[{{\"asInt\":{value}}}]}}}}]}}]}}]}}",
            resource.join(",")
        );
        source.send(Telemetry::Metrics, 1, &text)
    };
    assert_eq!(send(&mut source, "1", "a", 7).rejected(), 0);
    let other = send(&mut source, "2", "a", 8);
    assert_eq!((other.rejected(), other.reason), (1, Some(FaultKind::Conflict)));
    assert_eq!(send(&mut source, "2", "b", 9).rejected(), 0, "another series");
    assert_eq!(source.number("load_ratio", "service=\"s\",zone=\"a\""), Some(7.0));
    assert_eq!(source.number("load_ratio", "service=\"s\",zone=\"b\""), Some(9.0));
}

#[test]
fn up_and_down_is_a_gauge() {
    let mut source = Counting::new(Settings::default());
    let mut queue = |temporality: u8, value: i64| {
        source.metric(1, &format!("{{\"name\":\"queue{temporality}\",\"sum\":{{\"aggregationTemporality\":{temporality},\"dataPoints\":[{{\"asInt\":{value}}}]}}}}"));
    };
    for value in [5, -2] {
        queue(1, value);
        queue(2, value);
    }
    assert_eq!(
        (source.number("queue1", "service=\"s\""), source.number("queue2", "service=\"s\"")),
        (Some(3.0), Some(-2.0))
    );
}

#[test]
fn histograms_grow_bucket_by_bucket() {
    let mut source = Counting::new(Settings::default());
    let histogram = |temporality: u8, time: u64, counts: [u64; 3], sum: f64, bounds: &str| {
        let exemplar =
            "{\"asDouble\":0.7,\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"timeUnixNano\":\"1\"}";
        format!(
            "{{\"name\":\"wait{temporality}\",\"unit\":\"s\",\"histogram\":{{\"aggregationTemporality\":{temporality},\"dataPoints\":[{{\"startTimeUnixNano\":\"{}\",\"timeUnixNano\":\"{}\",\
             \"count\":\"{}\",\"sum\":{sum},\"bucketCounts\":[{},\"{}\",{}],\"explicitBounds\":[{bounds}],\"exemplars\":[{exemplar}]}}]}}}}",
            NOW * SECOND,
            (NOW + time) * SECOND,
            counts.iter().sum::<u64>(),
            counts[0],
            counts[1],
            counts[2]
        )
    };
    for (time, counts, sum) in [(1, [1, 2, 0], 1.5), (2, [2, 2, 3], 41.5)] {
        assert_eq!(source.metric(time, &histogram(1, time, counts, sum, "0.5,1")).rejected(), 0);
        assert_eq!(source.metric(time, &histogram(2, time, counts, sum, "0.5,1")).rejected(), 0);
    }
    let read = |source: &Counting, name: &str| -> Vec<String> {
        source
            .lines(name)
            .iter()
            .map(|line| line.split_once("} ").unwrap().1.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(read(&source, "wait1_seconds_"), ["3", "7", "10", "43.0", "10"]);
    assert_eq!(read(&source, "wait2_seconds_"), ["2", "4", "7", "41.5", "7"]);
    assert!(
        source
            .lines("wait1_seconds_bucket")
            .iter()
            .any(|line| line.contains("le=\"1.0\"") && line.contains("trace_id"))
    );
    let other = source.metric(3, &histogram(1, 3, [1, 1, 1], 1.0, "0.5,2"));
    assert_eq!(other.rejected(), 1, "other bounds are another histogram");
    let crooked = source.metric(3, &histogram(1, 3, [1, 1, 1], 1.0, "0.5"));
    assert_eq!(crooked.reason, Some(FaultKind::BadValue));
    assert_eq!(read(&source, "wait1_seconds_"), ["3", "7", "10", "43.0", "10"]);
}

#[test]
fn exponential_histograms_keep_their_counts_when_the_scale_falls() {
    let mut source = Counting::new(Settings::default());
    let mut send = |time: u64, scale: i32, offset: i32, counts: &str, zeros: u32, sum: f64| {
        let metric = format!(
            "{{\"name\":\"e\",\"unit\":\"s\",\"exponentialHistogram\":{{\"aggregationTemporality\":2,\"dataPoints\":[{{\"startTimeUnixNano\":\"{}\",\"timeUnixNano\":\"{}\",\"sum\":{sum},\
             \"scale\":{scale},\"zeroCount\":{zeros},\"positive\":{{\"offset\":{offset},\"bucketCounts\":[{counts}]}}}}]}}}}",
            NOW * SECOND,
            (NOW + time) * SECOND
        );
        source.metric(time, &metric)
    };
    // Scale 1: above 1 up to 1.41, and so on up to 4.
    assert_eq!(send(1, 1, 0, "1,2,3,4", 1, 20.0).rejected(), 0);
    // Scale 0: above 1 up to 2, up to 4, up to 8.
    assert_eq!(send(2, 0, 0, "3,8,1", 1, 30.0).rejected(), 0);
    let lines = source.lines("e_seconds");
    let read = |bound: &str| {
        lines
            .iter()
            .find(|line| line.contains(&format!("le=\"{bound}\"")))
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (read("1.0"), read("2.0"), read("4.0"), read("8.0"), read("+Inf")),
        ("1".into(), "4".into(), "12".into(), "13".into(), "13".into())
    );
    assert!(lines.contains(&"e_seconds_sum{service=\"s\"} 30.0".to_owned()), "{lines:?}");
}

#[test]
fn summaries_read_as_they_were_sent() {
    let mut source = Counting::new(Settings::default());
    let mut send = |quantiles: &str| {
        source.metric(1, &format!("{{\"name\":\"old\",\"summary\":{{\"dataPoints\":[{{\"count\":4,\"sum\":8,\"quantileValues\":[{quantiles}]}}]}}}}"))
    };
    assert_eq!(send("{\"quantile\":0.9,\"value\":3},{\"quantile\":0.5,\"value\":2}").rejected(), 0);
    for wrong in
        ["{\"quantile\":2,\"value\":3}", "{\"quantile\":0.5,\"value\":3},{\"quantile\":0.5,\"value\":3}"]
    {
        assert_eq!(send(wrong).reason, Some(FaultKind::BadValue), "{wrong}");
    }
    let lines = source.lines("old");
    for line in
        ["old{quantile=\"0.5\",service=\"s\"} 2", "old_count{service=\"s\"} 4", "old_sum{service=\"s\"} 8.0"]
    {
        assert!(lines.contains(&line.to_owned()), "{line} in {lines:?}");
    }
}

#[test]
fn labels_are_translated_and_never_lost() {
    let settings = Settings {
        resource_attributes: vec!["service.instance.id".to_owned()],
        scope_attributes: vec!["name".to_owned(), "my.scope".to_owned()],
        ..Settings::default()
    };
    let mut source = Counting::new(settings);
    let attributes = [
        text_attribute("a.b", "2"),
        text_attribute("a_b", "1"),
        text_attribute("service", "own"),
        text_attribute("__x", "3"),
    ];
    let text = format!(
        "{{\"resourceMetrics\":[{{\"resource\":{{\"attributes\":[{},{},{}]}},\"scopeMetrics\":[{{\"scope\":{{\"name\":\"lib\",\"version\":\"1\",\"attributes\":[{}]}},\
         \"metrics\":[{{\"name\":\"g\",\"gauge\":{{\"dataPoints\":[{{\"asDouble\":1,\"attributes\":[{}]}}]}}}}]}}]}}]}}",
        text_attribute("service.name", "s"),
        text_attribute("service.namespace", "lab"),
        text_attribute("service.instance.id", "i"),
        text_attribute("my.scope", "z"),
        attributes.join(",")
    );
    assert_eq!(source.send(Telemetry::Metrics, 1, &text).rejected(), 0);
    assert_eq!(
        source.lines("g{"),
        [
            "g{a_b=\"2;1\",exported_service=\"own\",key__x=\"3\",otel_scope_my_scope=\"z\",otel_scope_name=\"lib\",\
          service=\"lab/s\",service_instance_id=\"i\"} 1"
        ]
    );
}

#[test]
fn a_metric_that_is_the_agents_own_is_not_taken() {
    let mut source = Counting::new(Settings::default());
    let sent =
        source.metric(1, "{\"name\":\"neural_log_records\",\"gauge\":{\"dataPoints\":[{\"asInt\":1}]}}");
    assert_eq!((sent.items, sent.rejected(), sent.reason), (1, 1, None));
    assert_eq!(source.number("neural_source_errors", "source=\"otlp\",reason=\"conflict\""), Some(1.0));
}
