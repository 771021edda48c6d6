//! Lines of StatsD and what they say, in every style.

use proptest::prelude::*;

use super::*;
use crate::decode::testing::{cut_anywhere, lines};

fn decoder(settings: &Settings, yaml: &str) -> Statsd {
    let (mapper, _) = Mapper::parse(yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    Statsd::new(settings, Arc::new(mapper))
}

fn plain() -> Statsd {
    decoder(&Settings::default(), "")
}

/// One line of text for each event: `name{k=v} kind change`.
fn describe(body: Body<'_>) -> String {
    match body {
        Body::Observation(observation) => {
            let mut spelled = crate::event::Spelled::default();
            let name = match observation.spelling.spell(&mut spelled) {
                Ok(()) => spelled.name,
                Err(kind) => {
                    spelled.labels.clear();
                    format!("<{}>", kind.as_str())
                }
            };
            let labels: Vec<_> = spelled.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let change = match observation.change {
                Change::Add(value) => format!("c+{value}"),
                Change::Set(value) => format!("g={value}"),
                Change::Shift(value) => format!("g+{value}"),
                Change::Observe { value, weight } => format!("h {value}*{weight}"),
                Change::Member(_) => "s".into(),
                other => format!("{other:?}"),
            };
            match labels.as_slice() {
                [] => format!("{name} {change}"),
                _ => format!("{name}{{{}}} {change}", labels.join(",")),
            }
        }
        Body::Fault(fault) => format!("!{} {}", fault.kind.as_str(), fault.bytes),
        Body::Check(check) => format!("check {} {}", check.check, check.status),
        Body::Dropped(dropped) => format!("dropped {}", dropped.events),
        other => format!("{other:?}"),
    }
}

fn decoded(decoder: &mut dyn Decoder, pieces: &[&[u8]]) -> Vec<String> {
    lines(decoder, pieces, |body| (!matches!(body, Body::Refused(_))).then(|| describe(body)))
}

fn events(line: &str) -> Vec<String> {
    decoded(&mut plain(), &[line.as_bytes()])
}

// Long: a table, one row for each form of a line.
#[test]
fn lines_and_what_they_say() {
    for (line, want) in [
        // every type
        ("eeg.lost:2|c", "eeg_lost c+2"),
        ("queue:3|g", "queue g=3"),
        ("filter.latency:3.2|ms", "filter_latency h 0.0032*1"),
        ("latency:3.2|h", "latency h 3.2*1"),
        ("latency:3.2|d", "latency h 3.2*1"),
        ("subjects:anna|s", "subjects s"),
        ("subjects:a:b|s", "subjects s"),
        ("", ""),
        ("a:1|c\r\n\n\nb:1|c", "a c+1; b c+1"),
        // numbers
        ("a:1e3|c", "a c+1000"),
        ("a:+5|c", "a c+5"),
        ("a:-0|c", "a c+-0"),
        ("a:0.30000000000000004|g", "a g=0.30000000000000004"),
        ("a:|c", "!bad_value 4"),
        ("a:one|c", "!bad_value 7"),
        ("a:0x10|c", "!bad_value 8"),
        ("a: 1|c", "!bad_value 6"),
        ("a:nan|g", "!not_finite 7"),
        ("a:inf|ms", "!not_finite 8"),
        ("a:1e999|c", "!not_finite 9"),
        ("a:-1|c", "!negative 6"),
        ("a:|s", "!bad_value 4"),
        // gauges
        ("a:-3|g", "a g+-3"),
        ("a:+3|g", "a g+3"),
        ("a:3|g|@0.1", "a g=3"),
        // rates
        ("a:1|c|@0.1", "a c+10"),
        ("a:1|ms|@0.25", "a h 0.001*4"),
        ("a:1|c|@1e-1", "a c+10"),
        ("a:1|c|@0", "!bad_value 8"),
        ("a:1|c|@1.5", "!bad_value 10"),
        ("a:1|c|@", "!bad_value 7"),
        ("a:1|c|@nan", "!bad_value 10"),
        ("a:1|c|@1e-320", "!bad_value 13"),
        ("a:1e300|c|@1e-300", "!not_finite 17"),
        // several values
        ("a:1:2:3|c", "a c+1; a c+2; a c+3"),
        ("a:0.5:x:10|ms|@0.5|#t:u", "a{t=u} h 0.0005*2; !bad_value 2; a{t=u} h 0.01*2"),
        ("a:1::2|h", "a h 1*1; !bad_value 1; a h 2*1"),
        ("a:1:-2:3|c", "a c+1; !negative 3; a c+3"),
        // several samples, as the first StatsD had them
        ("a:1|c:2|g", "a c+1; a g=2"),
        ("a:200|ms|@0.5:3|c", "a h 0.2*2; a c+3"),
        ("a:1|c:x|c:3|c", "a c+1; !bad_value 4; a c+3"),
        ("a:b:1|c", "!bad_value 7"),
        ("a:1:x|g", "!bad_value 7"),
        ("a:b:1|c:2|c", "!bad_value 8; a c+2"),
        ("a:1|c:2", "a c+1; !syntax 1"),
        // tags
        ("a:1|c|#x:y,z:w", "a{x=y,z=w} c+1"),
        ("a.b:1|c|@0.1|#x:y,z", "a_b{x=y} c+10"),
        ("a:1|c|#x:y|@0.5", "a{x=y} c+2"),
        ("a:1|c|#", "a c+1"),
        ("a:1|c|#,,", "a c+1"),
        ("a:1|c|#x:y|#z:w", "a{x=y,z=w} c+1"),
        ("a:1|c|#url:http://h:1/p", "a{url=http://h:1/p} c+1"),
        ("a:1|c|#x:1,x:2", "a{x=2} c+1"),
        ("a:1|c|#9.x:µV", "a{_9_x=µV} c+1"),
        ("a:1|c|#__name__:x", "<bad_name> c+1"),
        ("a:1|ms|#le:5", "<bad_name> h 0.001*1"),
        ("a:1|g|#le:5", "a{le=5} g=1"),
        // fields that say nothing about the series
        ("a:1|c|T1656581400", "a c+1"),
        ("a:1|g|#x:y|c:ci-83c0a99c0a54c0c187f461c7980e9b57|T1656581400", "a{x=y} g=1"),
        ("a:1|c|c:in-1234", "a c+1"),
        ("a:1|c|e:it-false,cn-x|card:low|#x:y", "a{x=y} c+1"),
        ("a:1|c|new:field|", "a c+1"),
        // tags in the name
        ("a#x=y,z=w:1|c", "a{x=y,z=w} c+1"),
        ("a,x=y,z=w:1|c", "a{x=y,z=w} c+1"),
        ("a[x=y].b:1|c", "a_b{x=y} c+1"),
        ("a,x=y:1|c|#z:w", "<syntax> c+1"),
        ("a#x=y:1|c|@0.1|#z:w", "<syntax> c+10"),
        ("a[x=y]:1|c|#z:w", "<syntax> c+1"),
        ("a,bare:1|c|#z:w", "a{z=w} c+1"),
        // names
        ("requests_total:1|c", "requests c+1"),
        ("_total:1|c", "_total c+1"),
        ("size_total:1|g", "size_total g=1"),
        ("9a--b c/d:1|c", "_9a_b_c_d c+1"),
        ("größe:1|c", "gr__e c+1"),
        ("a|b:1|c", "a_b c+1"),
        ("#x=y:1|c", "<bad_name> c+1"),
        // not a line at all
        ("a", "!syntax 1"),
        (":1|c", "!syntax 4"),
        ("a:1", "!syntax 3"),
        ("a:1|", "!syntax 4"),
        ("a:1|x", "!unknown_type 5"),
        ("a:1|msx", "!unknown_type 7"),
        ("a:1|cc", "!unknown_type 6"),
        ("a:1||c", "!unknown_type 6"),
        // events and checks
        ("_e{5,4}:title|text", "statsd_events{alert_type=info} c+1"),
        ("_e{2,3}:a||b:c|t:warning|#x:y", "statsd_events{alert_type=warning} c+1"),
        ("_e{1,1}:a|b|d:1|t:oops", "statsd_events{alert_type=other} c+1"),
        ("_e{9,1}:a|b", "!syntax 11"),
        ("_e{1,1}:a|bc", "!syntax 12"),
        ("_e{-1,1}:a|b", "!syntax 12"),
        ("_e{1}:a|b", "!syntax 9"),
        ("_sc|db.up|0", "check db.up 0"),
        ("_sc|db|2|d:1|h:x|#a:b|m:all: gone|3", "check db 2"),
        ("_sc|db|4", "!bad_value 8"),
        ("_sc|db", "!missing_field 6"),
        ("_sc||0", "!bad_name 6"),
        ("_sca:1|c", "_sca c+1"),
        ("_:1|c", "_ c+1"),
    ] {
        let want: Vec<_> = want.split("; ").filter(|w| !w.is_empty()).collect();
        assert_eq!(events(line), want, "{line}");
    }
}

#[test]
fn text_that_is_none_is_refused_when_it_is_spelled() {
    assert_eq!(decoded(&mut plain(), &[b"a\xff:1|c"]), ["<encoding> c+1"]);
    assert_eq!(decoded(&mut plain(), &[b"a:1|c|#x:\xc3\x28"]), ["<encoding> c+1"]);
    assert_eq!(decoded(&mut plain(), &[b"_sc|\xff|0"]), ["!encoding 7"]);
}

#[test]
fn styles_and_signs_can_be_switched() {
    let off = Settings {
        dogstatsd_tags: false,
        librato_tags: false,
        influxdb_tags: false,
        signalfx_tags: false,
        gauges: Gauges::Absolute,
        ..Settings::default()
    };
    let mut off = decoder(&off, "");
    let lines = b"a#b=c:1|c\na,b=c:1|c\na[b=c]:1|c\na:1|c|#x:y\na:-3|g\na:+3|g";
    let want = ["a_b_c c+1", "a_b_c c+1", "a_b_c_ c+1", "a c+1", "a g=-3", "a g=3"];
    assert_eq!(decoded(&mut off, &[lines]), want);
}

#[test]
fn settings_read_as_they_are_written() {
    let settings: Settings = serde_yaml::from_str("gauges: absolute\nmapping: lab.yml\n").unwrap();
    assert_eq!(settings.gauges, Gauges::Absolute);
    let again = serde_yaml::to_string(&settings).unwrap();
    assert_eq!(serde_yaml::from_str::<Settings>(&again).unwrap(), settings);
    assert!(serde_yaml::from_str::<Settings>("gauge: absolute").is_err());
}

#[test]
fn the_same_series_has_the_same_key() {
    let keys = |text: &str| {
        let mut keys = Vec::new();
        let mut decoder = plain();
        decoder.decode(text.as_bytes(), &mut |body| {
            if let Body::Observation(observation) = body {
                keys.push(observation.key.to_vec());
            }
        });
        keys
    };
    let same = keys("a:1|c|#x:y\na:2|c|@0.5|#x:y\na:3|c|#x:y|c:id|T1\na:4:5|c|#x:y|e:q\n");
    assert_eq!(same.len(), 5);
    assert!(same.windows(2).all(|w| w[0] == w[1]));
    let mut differ =
        keys("a:1|c\na:1|g\na:1|ms\na:1|h\na:1|d\na:1|s\na:1|c|#x\na:1|c|#x:y\nax:1|c\n_e{1,1}:a|b\n");
    let all = differ.len();
    differ.sort();
    differ.dedup();
    assert_eq!((differ.len(), all), (10, 10));
}

#[test]
fn a_member_is_the_same_member_again() {
    let member = |line: &str| {
        let mut hash = None;
        plain().decode(line.as_bytes(), &mut |body| {
            if let Body::Observation(Observation { change: Change::Member(member), .. }) = body {
                hash = Some(member);
            }
        });
        hash.unwrap()
    };
    assert_eq!(member("a:anna|s\n"), member("b:anna|s|#x:y\n"));
    assert_ne!(member("a:anna|s\n"), member("a:berta|s\n"));
}

const RULES: &str = r#"
defaults: {ttl: 60s, histogram_options: {buckets: [1, 2]}}
mappings:
- match: "rig.*.stage.*"
  name: "stage_${2}_total"
  labels: {rig: "$1", lab: north}
  help: Runs of a stage
  ttl: 5s
- match: "honest.*"
  name: honest
  labels: {lab: north}
  honor_labels: true
- match: kb
  name: size_bytes
  scale: 1024
- match: noise.*
  action: drop
"#;

#[test]
fn rules_are_applied() {
    let mut decoder = decoder(&Settings::default(), RULES);
    for (line, want) in [
        ("rig.a.stage.fft:1|c", "stage_fft{lab=north,rig=a} c+1"),
        ("rig.a.stage.fft:1|g", "stage_fft_total{lab=north,rig=a} g=1"),
        ("rig.a-b.stage.f.t:1|c", "rig_a_b_stage_f_t c+1"),
        ("rig.a.stage.x/y:1|c|#lab:south", "stage_x_y{lab=north,rig=a} c+1"),
        ("honest.x:1|c|#lab:south", "honest{lab=south} c+1"),
        ("honest.x,lab=south:1|c", "honest{lab=south} c+1"),
        ("kb:2|g", "size_bytes g=2048"),
        ("kb,disk=a:-2|g", "size_bytes{disk=a} g+-2048"),
        ("kb:1:2|h", "size_bytes h 1024*1; size_bytes h 2048*1"),
        // What a rule drops is counted as dropped on purpose.
        ("noise.x:1|c:2|c\nother:1|c", "dropped 1; dropped 1; other c+1"),
    ] {
        for _ in 0..2 {
            assert_eq!(decoded(&mut decoder, &[line.as_bytes()]).join("; "), want, "{line}");
        }
    }
}

#[test]
fn life_help_and_buckets_come_from_rules_and_defaults() {
    let mut decoder = decoder(&Settings::default(), RULES);
    let mut spelled = Vec::new();
    decoder.decode(b"rig.a.stage.fft:1|c\nrig.a.stage.fft:1|ms\nother:1|h\n", &mut |body| {
        let Body::Observation(observation) = body else { panic!() };
        let mut out = crate::event::Spelled::default();
        observation.spelling.spell(&mut out).unwrap();
        spelled.push((out.ttl, out.help, out.bounds.map(|b| b.to_vec())));
    });
    let help = || "Runs of a stage".to_owned();
    assert_eq!(
        spelled,
        [(5, help(), None), (5, help(), Some(vec![1.0, 2.0])), (60, String::new(), Some(vec![1.0, 2.0]))]
    );
}

/// Rules that change.
#[derive(Clone, Debug, Default)]
struct Changing(Arc<parking_lot::Mutex<Arc<Mapper>>>);

impl Rules for Changing {
    fn current(&self) -> Arc<Mapper> {
        self.0.lock().clone()
    }
}

#[test]
fn new_rules_apply_without_a_new_decoder() {
    let rules = Changing::default();
    let mut decoder = Statsd::new(&Settings::default(), rules.clone());
    let mut keys = Vec::new();
    let mut names = Vec::new();
    for yaml in ["", "mappings: [{match: a, name: b}]", "mappings: [{match: a, name: b}]"] {
        *rules.0.lock() = Arc::new(Mapper::parse(yaml).unwrap().0);
        decoder.decode(b"a:1|c\n", &mut |body| {
            if let Body::Observation(observation) = body {
                keys.push(observation.key.to_vec());
            }
            names.push(describe(body));
        });
    }
    assert_eq!(names, ["a c+1", "b c+1", "b c+1"]);
    assert_ne!(keys[0], keys[1], "a key that was spelled by old rules is not the key of new ones");
    assert_eq!(keys[1], keys[2], "and the same rules again change nothing");
}

#[test]
fn verdicts_do_not_pile_up() {
    let mut decoder = decoder(&Settings::default(), RULES);
    for i in 0..3_000 {
        decoder.decode(format!("random{i}:1|c\n").as_bytes(), &mut |_| {});
    }
    assert!(decoder.parser.remembered <= VERDICTS);
}

/// Lines that are nearly right, and bytes that are not.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        "[a-z.,#=\\[\\]]{0,4}".prop_map(String::into_bytes),
        "[:|@#,]".prop_map(String::into_bytes),
        "-?[0-9]{0,3}(\\.[0-9])?".prop_map(String::into_bytes),
        "(c|g|ms|h|d|s|nan|_e\\{1,1\\}:|_sc\\||@0\\.5|#a:b)".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..4),
        Just(b"\n".to_vec()),
        Just(b"a.b:1|c|#x:y\n".to_vec()),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

fn framed(max: u32) -> crate::decode::text::frame::Frames {
    crate::decode::text::frame::Frames::new(plain(), max)
}

fn frame(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text].concat()
}

proptest! {
    #[test]
    fn cuts_do_not_matter(bytes in noise(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
        let small = Settings { line_bytes: 64, ..Settings::default() };
        for rules in ["", RULES] {
            let whole = decoded(&mut decoder(&small, rules), &[&bytes]);
            prop_assert_eq!(decoded(&mut decoder(&small, rules), &cut_anywhere(&bytes, &cuts)), whole);
        }
        let whole = decoded(&mut framed(64), &[&bytes]);
        prop_assert_eq!(decoded(&mut framed(64), &cut_anywhere(&bytes, &cuts)), whole);
        let stream = [frame(&bytes), frame(b"a:1|c")].concat();
        let whole = decoded(&mut framed(4096), &[&stream]);
        prop_assert_eq!(decoded(&mut framed(4096), &cut_anywhere(&stream, &cuts)), whole);
    }

    #[test]
    fn every_line_is_in_an_event_or_a_fault(bytes in noise()) {
        let mut lost = 0;
        for line in bytes.split(|b| *b == b'\n') {
            let (mut events, mut of_line) = (0, 0);
            let mut count = |body: Body<'_>| {
                events += 1;
                if let Body::Fault(fault) = body { of_line += fault.bytes }
            };
            let mut decoder = plain();
            decoder.decode(line, &mut count);
            decoder.end(&mut count);
            prop_assert_eq!(events == 0, line.strip_suffix(b"\r").unwrap_or(line).is_empty());
            prop_assert!(of_line <= line.len() as u64, "{:?}", line);
            lost += of_line;
        }
        let mut at_once = 0;
        let mut decoder = plain();
        let mut count = |body: Body<'_>| if let Body::Fault(fault) = body { at_once += fault.bytes };
        decoder.decode(&bytes, &mut count);
        decoder.end(&mut count);
        prop_assert_eq!(at_once, lost);
    }

    #[test]
    fn a_clean_line_after_noise_is_heard(bytes in noise()) {
        let stream = [&bytes[..], b"\nclean:7|c\n"].concat();
        let told_of = decoded(&mut plain(), &[&stream]);
        prop_assert_eq!(told_of.last().map(String::as_str), Some("clean c+7"));
        let mut framed = framed(64);
        decoded(&mut framed, &[&bytes]);
        prop_assert_eq!(decoded(&mut framed, &[&frame(b"clean:7|c")]), ["clean c+7"]);
    }

    #[test]
    fn a_frame_says_what_its_datagram_says(bytes in noise()) {
        let plainly = decoded(&mut plain(), &[&bytes]);
        prop_assert_eq!(decoded(&mut framed(4096), &[&frame(&bytes)]), plainly);
    }
}

#[test]
fn frames_end_where_they_say() {
    let two = [frame(b"a:1|c\nb:2|c"), frame(b""), frame(b"c:3|c\n")].concat();
    assert_eq!(decoded(&mut framed(64), &[&two]), ["a c+1", "b c+2", "c c+3"]);
}

#[test]
fn a_frame_cut_off_is_a_fault() {
    let stream = frame(b"a:1|c\nb:2|c");
    for (length, want) in [
        (2, vec!["!truncated 2"]),
        (4, vec!["!truncated 4"]),
        (7, vec!["!truncated 7"]),
        (10, vec!["a c+1", "!truncated 4"]),
        (12, vec!["a c+1", "!truncated 6"]),
        (15, vec!["a c+1", "b c+2"]),
    ] {
        let mut decoder = framed(64);
        assert_eq!(decoded(&mut decoder, &[&stream[..length]]), want, "{length}");
        assert_eq!(decoded(&mut decoder, &[&stream]), ["a c+1", "b c+2"], "a new connection begins again");
    }
}

#[test]
fn a_length_over_the_limit_breaks_the_connection() {
    let mut decoder = framed(64);
    let mut stream = frame(b"a:1|c");
    stream.extend_from_slice(&65_u32.to_le_bytes());
    stream.extend_from_slice(b"b:2|c");
    let mut events = Vec::new();
    decoder.decode(&stream, &mut |body| events.push(describe(body)));
    assert!(decoder.is_broken());
    decoder.decode(b"more", &mut |body| events.push(describe(body)));
    decoder.end(&mut |body| events.push(describe(body)));
    assert_eq!(events, ["a c+1", "!too_long 13"]);
    assert!(!decoder.is_broken());
}

#[test]
fn a_line_over_the_limit_is_one_fault() {
    let small = Settings { line_bytes: 64, ..Settings::default() };
    let stream = [b"a:1|c\n".to_vec(), vec![b'x'; 100], b"\nb:1|c\n".to_vec()].concat();
    assert_eq!(decoded(&mut decoder(&small, ""), &[&stream]), ["a c+1", "!too_long 100", "b c+1"]);
}
