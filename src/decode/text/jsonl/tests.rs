//! Lines of every kind, and what they say.

use super::*;
use crate::decode::testing::lines;
use crate::event::LABELS;

fn decoded(bytes: &[u8]) -> Vec<String> {
    let prices = [("m".to_owned(), Price { prompt_per_million: 1.0, completion_per_million: 2.0 })];
    let mut decoder = Jsonl::new(1900, Arc::new(prices.into()));
    lines(&mut decoder, &[bytes], |body| (!matches!(body, Body::Refused(_))).then(|| format!("{body:?}")))
}

fn fault(line: &str) -> String {
    let all = decoded(line.as_bytes());
    assert_eq!(all.len(), 1, "{line}: {all:?}");
    all[0].trim_start_matches("Fault(Fault { kind: ").split(',').next().unwrap().to_owned()
}

#[test]
fn a_stage_is_read() {
    let line = br#"{"type":"stage","pipeline":"decoder","stage":"classify","seconds":0.85,"outcome":"ok"}"#;
    assert_eq!(
        decoded(line),
        [
            "Stage(Stage { pipeline: \"decoder\", stage: \"classify\", seconds: 0.85, error: None, items: None, \
          ended: None, trace: None })"
        ]
    );
    let line = br#"{"type":"stage","pipeline":"d\u00e9","stage":"c","start":1700000010,"end":1700000012.5,"outcome":"error","error":"timeout","items":3,"extra":[1],"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;
    assert_eq!(
        decoded(line),
        ["Stage(Stage { pipeline: \"dé\", stage: \"c\", seconds: 2.5, error: Some(\"timeout\"), items: \
          Some(3.0), ended: Some(1700000012.5), trace: Some(Trace { id: TraceId(14576827793038113322513871894673895836), parent: Some(SpanId(13235353014750950193)), is_span: false }) })"]
    );
    // Of a clock that does not count from the epoch, nothing is said of when it was.
    let line = br#"{"type":"stage","pipeline":"d","stage":"c","start":123,"end":123.5}"#;
    assert!(decoded(line)[0].contains("seconds: 0.5") && decoded(line)[0].contains("ended: None"));
}

#[test]
fn the_other_types_are_read() {
    for (line, want) in [
        (r#"{"type":"queue","pipeline":"p","queue":"q","depth":3,"limit":10}"#, "Queue(Queue"),
        (r#"{"type":"cache","pipeline":"p","cache":"c","hits":1}"#, "Cache(Cache"),
        (r#"{"type":"error","pipeline":"p","error":"lost"}"#, "Error(PipelineError"),
        (r#"{"type":"quality","pipeline":"p","ratio":0.7}"#, "Score(Score"),
        (r#"{"type":"accuracy","pipeline":"p","model":"m","ratio":1}"#, "Score(Score"),
        (r#"{"type":"session","pipeline":"p","step":"ended","seconds":60}"#, "Session(Session"),
        (
            r#"{"type":"request","service":"api","method":"GET","route":"/x","status":200,"seconds":0.1}"#,
            "Request(",
        ),
        (r#"{"type":"query","database":"d","operation":"select","seconds":0.1}"#, "Query(Query"),
        (r#"{"metric":"a_b","value":1,"labels":{"x":"y"}}"#, "Observation(Observation(Spelled"),
    ] {
        let all = decoded(line.as_bytes());
        assert!(all.len() == 1 && all[0].starts_with(want), "{line}: {all:?}");
    }
    let call = decoded(br#"{"type":"call","model":"m","prompt_tokens":1000000,"completion_tokens":500000}"#);
    assert!(call[0].contains("cost: Some(2.0)"), "{call:?}");
}

#[test]
fn a_bad_day_is_counted_by_kind() {
    for (line, want) in [
        (r#"{"type":"stage","pipeline":"p","stage":"s","seconds":NaN}"#, "NotFinite"),
        (r#"{"type":"stage","pipeline":"p","stage":"s","seconds":1e999}"#, "NotFinite"),
        (r#"{"type":"stage","pipeline":"p","stage":"s","seconds":-1}"#, "Negative"),
        (r#"{"type":"stage","pipeline":"p","stage":"s","start":5,"end":4}"#, "ClockSkew"),
        (r#"{"type":"stage","pipeline":"p","stage":"s"}"#, "MissingField"),
        (r#"{"type":"stage","pipeline":"","stage":"s","seconds":1}"#, "BadValue"),
        (r#"{"type":"stage","pipeline":"p","stage":"s","seconds":"fast"}"#, "BadValue"),
        (r#"{"type":"stage","pipeline":"p","stage":"s","seconds":1,"outcome":"meh"}"#, "BadValue"),
        (r#"{"type":"unheard_of"}"#, "UnknownType"),
        (r#"{"pipeline":"p"}"#, "MissingField"),
        (r#"{"type":"stage","pipeline":"p","#, "Cut"),
        ("hello", "Syntax"),
        ("[1]", "BadValue"),
        (r#"{"type":"quality","pipeline":"p","ratio":1.5}"#, "BadValue"),
        (r#"{"type":"call","model":"m","cost":1e300}"#, "BadValue"),
        (r#"{"type":"stage","pipeline":"p","stage":"s","start":0,"end":1e300}"#, "BadValue"),
    ] {
        assert_eq!(fault(line), want, "{line}");
    }
    assert_eq!(decoded(b"{\"type\":\"\xff\xfe\"}")[0], "Fault(Fault { kind: Encoding, bytes: 13 })");
    assert_eq!(decoded(&[b'x'; 2000])[0], "Fault(Fault { kind: TooLong, bytes: 2000 })");
    assert!(decoded(b"\n  \r\n\n").is_empty());
}

#[test]
fn labels_are_counted_while_they_are_read() {
    let line = |count: usize, end: &str| {
        let labels: Vec<String> = (0..count).map(|i| format!("\"l{i}\":1")).collect();
        decoded(
            format!("{{\"metric\":\"m\",\"value\":1,\"labels\":{{{}{end}}}}}", labels.join(",")).as_bytes(),
        )
    };
    assert!(line(LABELS, "")[0].starts_with("Observation(Observation(Spelled"));
    assert!(line(LABELS + 1, "")[0].starts_with("Observation(Observation(Limit"));
    // What follows is not looked at any more; its value would be none.
    assert!(line(LABELS + 1, ",\"a\":[]")[0].starts_with("Observation(Observation(Limit"));
    assert!(line(1, ",\"a\":[]")[0].starts_with("Observation(Observation(BadValue"));
}

#[test]
fn bad_metric_names_are_refused() {
    for line in [
        r#"{"metric":"a b","value":1}"#,
        r#"{"metric":"1a","value":1}"#,
        r#"{"metric":"a","value":1,"labels":{"le":"1"}}"#,
    ] {
        let all = decoded(line.as_bytes());
        assert!(all[0].starts_with("Observation(Observation(BadName"), "{all:?}");
    }
}
