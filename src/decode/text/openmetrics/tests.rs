//! Expositions, whole and broken, in both dialects.

use proptest::prelude::*;

use super::*;

const MANY: usize = 100_000;

#[test]
fn the_parts_of_a_histogram_come_out_joined() {
    let text = b"# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n# HELP h_seconds How \\\"long\\\".\n\
        h_seconds_bucket{a=\"1\",le=\"0.5\"} 2 # {trace_id=\"x\"} 0.4 1.5\n\
        h_seconds_bucket{a=\"1\",le=\"+Inf\"} 3\nh_seconds_count{a=\"1\"} 3\nh_seconds_sum{a=\"1\"} 1.25\n\
        h_seconds_created{a=\"1\"} 1e9\nh_seconds_bucket{a=\"2\",le=\"+Inf\"} 0\n# EOF\n";
    let read = parse(text, Dialect::OpenMetrics, MANY).unwrap();
    assert_eq!(read.families.len(), 1);
    let family = &read.families[0];
    assert_eq!(
        (&*family.name, family.kind, family.unit, &*family.help),
        ("h_seconds", Kind::Histogram, "seconds", "How \"long\".")
    );
    assert_eq!(family.metrics.len(), 2);
    assert_eq!(family.metrics[0].labels, [("a".into(), "1".into())]);
    assert_eq!(
        family.metrics[0].value,
        Value::Histogram {
            buckets: vec![(0.5, 2.0), (f64::INFINITY, 3.0)],
            sum: Some(1.25),
            count: Some(3.0)
        }
    );
}

#[test]
fn classic_text_is_read_tolerantly() {
    let text = b"\n# a comment\n#HELP nothing\n# HELP  f_total  A \\\\ b\\nc \"d\"\n# TYPE\tf_total counter\n\
        f_total { code = \"200\" , path=\"a\\\"b\\q\", } 12   1500\n  \n\
        h_bucket{le=\"1\",x=\"1\"} 1\n\
        # TYPE g histogram\ng_sum{x=\"1\"} 3\ng_bucket{le=\"+Inf\",x=\"1\"} 2\ng_bucket{le=\"1\",x=\"1\"} 1\n\
        g_bucket{x=\"2\",le=\"1\"} 4\ng_count{x=\"2\"} 5\ng_count{x=\"1\"} 2\n\
        # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_count 0\ns_sum 0\n# TYPE f_created gauge\nf_created 1e9\nlast -Inf";
    let read = parse(text, Dialect::Classic, MANY).unwrap();
    assert_eq!(read.refused, []);
    let names: Vec<_> = read.families.iter().map(|f| (&*f.name, f.kind, f.metrics.len())).collect();
    assert_eq!(
        names,
        [
            ("f", Kind::Counter, 1),
            ("h_bucket", Kind::Unknown, 1),
            ("g", Kind::Histogram, 2),
            ("s", Kind::Summary, 1),
            ("last", Kind::Unknown, 1)
        ]
    );
    let f = &read.families[0];
    assert_eq!(f.help, "A \\ b\nc \"d\"");
    assert_eq!(f.metrics[0].labels[1].1, "a\"b\\q");
    assert_eq!(f.metrics[0].timestamp, Some(1.5));
    let infinity = f64::INFINITY;
    assert_eq!(
        read.families[2].metrics.iter().map(|m| m.value.clone()).collect::<Vec<_>>(),
        [
            Value::Histogram { buckets: vec![(1.0, 1.0), (infinity, 2.0)], sum: Some(3.0), count: Some(2.0) },
            Value::Histogram { buckets: vec![(1.0, 4.0), (infinity, 5.0)], sum: None, count: Some(5.0) }
        ]
    );
}

#[test]
fn a_senseless_classic_sample_costs_only_itself() {
    let text = b"# TYPE c counter\nc -1\nc{a=\"1\"} NaN\nc{a=\"2\"} 4\n\
        # TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{x=\"1\",le=\"1\"} 3\nh_bucket{x=\"1\",le=\"+Inf\"} 2\n\
        h_bucket 1\nok 1\n";
    let read = parse(text, Dialect::Classic, MANY).unwrap();
    let mut refused: Vec<_> = read.refused.iter().map(|r| (r.line, r.kind)).collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            (2, FaultKind::Negative),
            (3, FaultKind::NotFinite),
            (6, FaultKind::MissingField),
            (7, FaultKind::BadValue),
            (9, FaultKind::MissingField)
        ]
    );
    assert_eq!(read.families.iter().map(|f| f.metrics.len()).sum::<usize>(), 2);
}

#[test]
fn openmetrics_is_taken_as_prometheus_takes_it() {
    let long = "x".repeat(129);
    let text = format!(
        "# HELP c_seconds One.\n# HELP c_seconds Two.\n# TYPE c_seconds counter\nc_seconds{{a=\"1\"}} 1\n\
        c_seconds_total{{a=\"2\"}} 2 # {{trace_id=\"{long}\"}} 1 1\nc_seconds_total{{a=\"3\"}} NaN\n\
        c_seconds_total{{a=\"4\"}} -1\n# TYPE h histogram\nh_bucket{{x=\"1\",le=\"+Inf\"}} 1\n\
        h_bucket{{x=\"2\",le=\"+Inf\"}} 2\nh_sum{{x=\"1\"}} 3\ng 1\nh_sum{{x=\"2\"}} 4\nh_count{{x=\"1\"}} 1\n\
        h_count{{x=\"2\"}} 2\nh_created{{x=\"2\"}} 1.5\ng{{a=\"1\",}} 2 1.5\n{{\"a.b\", x=\"y\"}} 1\n\
        # TYPE i info\ni_info{{v=\"1\"}} 1\nbad{{ 1\n# a remark\n\n# EOF\n"
    );
    let read = parse(text.as_bytes(), Dialect::OpenMetrics, MANY).unwrap();
    let names: Vec<_> = read.families.iter().map(|f| (&*f.name, f.kind, f.metrics.len())).collect();
    assert_eq!(
        names,
        [
            ("c_seconds", Kind::Counter, 2),
            ("h", Kind::Histogram, 2),
            ("g", Kind::Unknown, 2),
            ("a.b", Kind::Unknown, 1),
            ("i", Kind::Info, 1)
        ]
    );
    assert_eq!(
        read.families[1].metrics[1].value,
        Value::Histogram { buckets: vec![(f64::INFINITY, 2.0)], sum: Some(4.0), count: Some(2.0) }
    );
    assert_eq!(read.families[2].metrics[1].timestamp, Some(1.5));
    let refused: Vec<_> = read.refused.iter().map(|r| (r.line, r.kind)).collect();
    assert_eq!(
        refused,
        [(6, FaultKind::NotFinite), (7, FaultKind::Negative), (21, FaultKind::BadName)],
        "{:?}",
        read.refused
    );
    assert_eq!(read.unreadable.map(|wrong| wrong.line), Some(21));
    assert!(parse_strict(text.as_bytes()).is_err());
}

#[test]
fn openmetrics_without_its_end_is_cut() {
    let wrong = parse(b"a 1\nb 2\n", Dialect::OpenMetrics, MANY).unwrap_err();
    assert_eq!(wrong.kind, FaultKind::Cut);
    assert_eq!(parse(b"# EOF", Dialect::OpenMetrics, MANY).unwrap(), Document::default());
}

#[test]
fn of_what_comes_twice_the_first_counts_and_of_two_times_the_last() {
    let text = b"# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_bucket{le=\"+Inf\"} 5\nh_count 4\nh_count 5\nh_sum 1\nh_sum 2\n\
        # TYPE d histogram\nd_bucket{le=\"+Inf\"} 4 1000\nd_sum 3 1000\nd_bucket{le=\"+Inf\"} 5 2000\nd_sum 3 1000\n\
        # TYPE n histogram\nn_bucket{le=\"+Inf\"} 4\nn_count 5\n";
    let read = parse(text, Dialect::Classic, MANY).unwrap();
    let values: Vec<_> = read.families.iter().map(|f| f.metrics[0].value.clone()).collect();
    let infinity = f64::INFINITY;
    assert_eq!(
        values,
        [
            Value::Histogram { buckets: vec![(infinity, 4.0)], sum: Some(1.0), count: Some(4.0) },
            Value::Histogram { buckets: vec![(infinity, 5.0)], sum: None, count: Some(5.0) },
            Value::Histogram { buckets: vec![(infinity, 4.0)], sum: None, count: Some(4.0) },
        ]
    );
    let mut refused: Vec<_> = read.refused.iter().map(|r| (r.line, r.kind)).collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            (2, FaultKind::Conflict),
            (5, FaultKind::Conflict),
            (7, FaultKind::Conflict),
            (12, FaultKind::BadValue),
            (14, FaultKind::BadValue)
        ]
    );
}

#[test]
fn names_are_made_legal_as_prometheus_does_it() {
    for (name, colons, want) in [
        ("a:b", true, "a:b"),
        ("a:b", false, "a_b"),
        ("a.b-c", true, "a_b_c"),
        ("1a", true, "_a"),
        ("\u{e9}t\u{e9}", true, "_t_"),
        ("", true, ""),
    ] {
        assert_eq!(legal(name.into(), colons), want, "{name}");
    }
}

#[test]
fn labels_of_others_make_room_for_ours() {
    let mut labels: Labels<'_> = vec![
        ("exported_source".into(), "a".into()),
        ("source".into(), "b".into()),
        ("rig".into(), "c".into()),
        ("x".into(), "d".into()),
    ];
    add_labels(&mut labels, [("source".into(), "s".into()), ("rig".into(), "north".into())]);
    labels.sort();
    let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(
        labels,
        ["exported_exported_source=b", "exported_rig=c", "exported_source=a", "rig=north", "source=s", "x=d"]
    );
}

#[test]
fn quoted_names_are_read_in_both_dialects() {
    let text = b"# TYPE \"my.metric\" gauge\n{\"my.metric\",\"label.x\"=\"v\",y=\"w\"} 1\n# EOF\n";
    for dialect in [Dialect::Classic, Dialect::OpenMetrics] {
        let read = parse(text, dialect, MANY).unwrap();
        assert_eq!(read.families.len(), 1, "{dialect:?}");
        assert_eq!(read.families[0].name, "my.metric");
        assert_eq!(read.families[0].kind, Kind::Gauge);
        assert_eq!(read.families[0].metrics[0].labels[0], ("label.x".into(), "v".into()));
    }
}

#[test]
fn what_is_wrong_says_where() {
    for (text, line, kind) in [
        (&b"b{x=\"1\" 1\n\n<html>\n"[..], 1, FaultKind::Syntax),
        (b"# a\na\xff 1\n", 2, FaultKind::Encoding),
        (b"a 1\nb 1\nc 1\nd 1\n", 4, FaultKind::Limit),
    ] {
        let wrong = parse(text, Dialect::Classic, 3).unwrap_err();
        assert_eq!((wrong.line, wrong.kind), (line, kind));
    }
    let read = parse(b"a 1\na\xff 1\nb{x=\"1\" 1\n", Dialect::Classic, 3).unwrap();
    assert_eq!(read.unreadable.map(|wrong| (wrong.line, wrong.kind)), Some((2, FaultKind::Encoding)));
    assert_eq!(read.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn keys_are_equal_for_equal_series_alone() {
    let key = |labels: &[(&str, &str)]| series_key("a", labels);
    assert_eq!(key(&[("x", "1"), ("y", "2")]), key(&[("y", "2"), ("x", "1")]));
    assert_ne!(key(&[("x", "1y")]), key(&[("x", "1"), ("y", "")]));
    assert_ne!(series_key("ab", &[("c", "")]), series_key("a", &[("bc", "")]));
}

#[test]
fn large_texts_are_no_trouble() {
    let mut text = String::from("# TYPE h histogram\n");
    let buckets = |n| {
        format!(
            "h_bucket{{n=\"{n}\",le=\"1\"}} 1
h_bucket{{n=\"{n}\",le=\"+Inf\"}} 1
"
        )
    };
    text.extend((0..20_000).map(buckets));
    text += "# EOF\n";
    let many = format!("a{{{}}} 1\n", "x=\"\\\\\",".repeat(100_000));
    for dialect in [Dialect::Classic, Dialect::OpenMetrics] {
        assert_eq!(parse(text.as_bytes(), dialect, MANY).unwrap().families[0].metrics.len(), 20_000);
        assert!(parse(many.as_bytes(), dialect, MANY).is_err());
    }
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "# TYPE ",
        "# HELP ",
        "# UNIT ",
        "# EOF",
        "a",
        "b_",
        "_total",
        "_bucket",
        "_sum",
        "_count",
        "_created",
        "_info",
        " counter",
        " histogram",
        " summary",
        " stateset",
        " gaugehistogram",
        "{",
        "}",
        "le=",
        "\"+Inf\"",
        "quantile=",
        "\"0.5\"",
        "\"",
        "\\",
        ",",
        " ",
        "\n",
        "\n",
        "1",
        "-1",
        "NaN",
        " # {",
        "é",
        "\0",
        "\t",
        "\r",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|all| all.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes, Dialect::Classic, 50);
        let _ = parse(&bytes, Dialect::OpenMetrics, 50);
        let _ = parse_strict(&bytes);
    }

    #[test]
    fn no_text_makes_it_panic(text in pieces()) {
        let _ = parse(&text, Dialect::Classic, 50);
        let _ = parse(&text, Dialect::OpenMetrics, 50);
        // What is right to the letter is taken.
        prop_assert!(parse_strict(&text).is_err() || parse(&text, Dialect::OpenMetrics, MANY).is_ok());
    }
}
