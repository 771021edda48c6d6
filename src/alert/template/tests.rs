//! What Prometheus' own templates yield. Facts: `template/template_test.go` of Prometheus, and the documentation of Go's `text/template`.

use super::{Data, Template};
use crate::promql::{Element, Labels};

/// Expands a template about `{device="cyton", channel="3"}`; `query("metric")` yields two series.
fn expand(text: &str, value: f64) -> Result<String, String> {
    let labels = Labels::from_pairs([("device", "cyton"), ("channel", "3")]);
    let external = Labels::from_pairs([("site", "lab")]);
    let query = |expr: &str| {
        let one = |instance: &str, value| Element {
            labels: Labels::from_pairs([
                ("__name__", "metric"),
                ("instance", instance),
                ("__value__", "text"),
            ]),
            value,
        };
        match expr {
            "metric" => Ok(vec![one("b", 21.0), one("a", 11.0)]),
            "nothing" => Ok(Vec::new()),
            _ => Err("parse error".to_owned()),
        }
    };
    let data = Data {
        labels: &labels,
        value,
        external_labels: &external,
        external_url: "http://lab:9612/agent/",
        now: 1_435_065_584_128,
        query: &query,
    };
    Template::parse(text)?.expand(&data)
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(expand(text, 0.5).as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn values_and_fields() {
    check(&[
        ("plain", "plain"),
        ("{{ $labels.device }} {{ $value }} {{ .Labels.channel }} {{.Value}}", "cyton 0.5 3 0.5"),
        (
            "{{ $externalLabels.site }} {{ $externalURL }} {{ .ExternalLabels.site }}",
            "lab http://lab:9612/agent/ lab",
        ),
        ("{{ $labels.missing }}|", "|"),
        (
            "{{ \"a\\tb\" }}{{ `c\\d` }}{{ 'x' }}{{ 1e3 }} {{ 0x10 }} {{ -3 }} {{ true }} {{ 1_000 }}",
            "a\tbc\\d1201000 16 -3 true 1000",
        ),
        ("{{ \"}}\" }}", "}}"),
        ("a {{- 1 -}} b", "a1b"),
        ("a {{/* nothing {{ */}}b{{- /* nor this */ -}} c", "a bc"),
        ("{{ $labels }}", "map[channel:3 device:cyton]"),
    ]);
}

#[test]
fn control() {
    check(&[
        ("{{ if gt $value 0.3 }}high{{ else if gt $value 0.1 }}middle{{ else }}low{{ end }}", "high"),
        ("{{ if gt $value 0.7 }}high{{ else if gt $value 0.1 }}middle{{ else }}low{{ end }}", "middle"),
        ("{{ if $labels.missing }}a{{ else }}b{{ end }}", "b"),
        (
            "{{ with $labels.device }}<{{ . }}>{{ end }}{{ with $labels.missing }}a{{ else }}b{{ end }}",
            "<cyton>b",
        ),
        ("{{ range $name, $value := $labels }}{{ $name }}={{ $value }};{{ end }}", "channel=3;device=cyton;"),
        (
            "{{ range query \"metric\" | sortByLabel \"instance\" }}{{ .Labels.instance }}:{{ .Value }} {{ end }}",
            "a:11 b:21 ",
        ),
        (
            "{{ range $i, $s := query \"metric\" }}{{ if eq $i 1 }}{{ break }}{{ end }}{{ $s.Value }}{{ end }}",
            "21",
        ),
        ("{{ range query \"nothing\" }}a{{ else }}none{{ end }}", "none"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"),
        ("{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" $value }}{{ tmpl \"t\" 2 }}", "[0.5][2]"),
        ("{{ define \"t\" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template \"t\" (args 1 \"b\") }}", "1-b"),
    ]);
}

#[test]
fn functions() {
    check(&[
        ("{{ query \"metric\" | first | value }}", "21"),
        (
            "{{ query \"metric\" | first | label \"instance\" }}{{ query \"metric\" | first | strvalue }}",
            "btext",
        ),
        ("{{ len (query \"metric\") }} {{ (index (query \"metric\") 1).Value }}", "2 11"),
        (
            "{{ index $labels \"device\" | title }} {{ \"aB\" | toUpper }} {{ \"aB\" | toLower }}",
            "Cyton AB ab",
        ),
        ("{{ title \"aa bb-cc d_d\" }}", "Aa Bb-Cc D_d"),
        ("{{ reReplaceAll \"(a)b\" \"x$1\" \"ab\" }} {{ match \"^c.t\" $labels.device }}", "xa true"),
        (
            "{{ stripPort \"lab:9612\" }} {{ stripPort \"[::1]:9612\" }} {{ stripPort \"lab\" }}",
            "lab ::1 lab",
        ),
        (
            "{{ stripDomain \"a.b.c:9612\" }} {{ stripDomain \"192.168.1.1:80\" }} {{ stripDomain \"a.b\" }}",
            "a:9612 192.168.1.1:80 a",
        ),
        ("{{ pathPrefix }} {{ externalURL }}", "/agent http://lab:9612/agent/"),
        ("{{ graphLink \"up{a=\\\"b c\\\"}\" }}", "/graph?g0.expr=up%7Ba%3D%22b+c%22%7D&g0.tab=0"),
        ("{{ urlquery \"a b&c\" }} {{ html \"<a>\" }}", "a+b%26c &lt;a&gt;"),
        ("{{ parseDuration \"1h2m10ms\" }}", "3720.01"),
        ("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ (toTime 0) }}", "1970-01-01 00:00:00 +0000 UTC"),
        ("{{ and 1 0 2 }} {{ or 0 \"\" 3 }} {{ not 1 }} {{ and true }}", "0 3 false true"),
        ("{{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ le 1.5 1.5 }}", "true true true"),
        ("{{ print 1 2 \"a\" 3 }}|{{ println 1 \"a\" }}", "1 2a3|1 a\n"),
    ]);
}

#[test]
fn numbers_as_they_are() {
    for (value, expected) in [
        (1e6, "1e+06"),
        (999_999.0, "999999"),
        (123_456_789.0, "1.23456789e+08"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(expand("{{ $value }}", value).as_deref(), Ok(expected));
    }
    assert_eq!(
        expand("{{ gt $value 1.0 }} {{ ge $value 1.0 }} {{ lt $value 1.0 }} {{ le $value 1.0 }}", f64::NAN)
            .as_deref(),
        Ok("true true false false")
    );
    assert_eq!(expand("{{ printf \"%.8g\" $value }}", 1_234_567.8).as_deref(), Ok("1234567.8"));
}

#[test]
fn numbers_for_people() {
    for (function, cases) in [
        (
            "humanize",
            &[
                (0.0, "0"),
                (1.0, "1"),
                (1234567.0, "1.235M"),
                (0.12, "120m"),
                (-1e-9, "-1n"),
                (1e26, "100Y"),
                (999.95, "1000"),
                (f64::INFINITY, "+Inf"),
            ][..],
        ),
        ("humanize1024", &[(0.0, "0"), (1.0, "1"), (1048576.0, "1Mi"), (0.12, "0.12"), (1500.0, "1.465ki")]),
        (
            "humanizeDuration",
            &[
                (0.0, "0s"),
                (1.0, "1s"),
                (60.0, "1m 0s"),
                (3600.0, "1h 0m 0s"),
                (86400.0, "1d 0h 0m 0s"),
                (90061.5, "1d 1h 1m 1s"),
                (-1.0, "-1s"),
                (12.3456789, "12.35s"),
                (0.1, "100ms"),
                (0.00012346, "123.5us"),
            ],
        ),
        (
            "humanizePercentage",
            &[(0.1234567, "12.35%"), (1.0, "100%"), (-0.12345, "-12.35%"), (100.0, "1e+04%")],
        ),
    ] {
        for (value, expected) in cases {
            assert_eq!(
                expand(&format!("{{{{ $value | {function} }}}}"), *value).as_deref(),
                Ok(*expected),
                "{function} {value}"
            );
        }
    }
}

#[test]
fn printf_is_that_of_go() {
    check(&[
        ("{{ printf \"%.2f %d %s %v %q %t\" $value 3 \"a\" 1.5 \"b\" true }}", "0.50 3 a 1.5 \"b\" true"),
        ("{{ printf \"%5d|%-5d|%05d|%+d|%x|%c\" 42 42 -42 42 255 65 }}", "   42|42   |-0042|+42|ff|A"),
        (
            "{{ printf \"%e %g %.3g %8.3f\" 1234.5678 1e21 1234.5678 3.14159 }}",
            "1.234568e+03 1e+21 1.23e+03    3.142",
        ),
        (
            "{{ printf \"%d%%\" }} {{ printf \"%d\" 1.5 }} {{ printf \"a\" 1 }}",
            "%!d(MISSING)% %!d(float64=1.5) a%!(EXTRA int=1)",
        ),
        ("{{ $value | printf \"%.1f\" }} {{ printf \"%5.1s|\" \"abc\" }}", "0.5     a|"),
    ]);
}

#[test]
fn what_is_wrong_is_said_when_it_is_read() {
    for (text, why) in [
        ("{{ $labels.a", "unclosed action"),
        ("{{ \"a }}", "unterminated quoted string"),
        ("{{ if 1 }}", "if without {{end}}"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ nothing 1 }}", "function \"nothing\" not defined"),
        ("{{ $other }}", "undefined variable \"$other\""),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable \"$x\""),
        ("{{ | }}", "missing value for command"),
        ("{{ (1 }}", "unclosed left paren"),
        ("{{ break }}", "outside {{range}}"),
        ("{{}}", "missing value for command"),
    ] {
        let error = expand(text, 0.0).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    let deep = format!("{}1{}", "{{ (".to_owned() + &"(".repeat(100), ")".repeat(101) + " }}");
    assert!(expand(&deep, 0.0).is_err());
    assert!(expand(&"{{ if 1 }}".repeat(100), 0.0).is_err());
}

#[test]
fn what_cannot_be_carried_out_is_said_then() {
    for (text, why) in [
        ("{{ query \"wrong(\" }}", "error calling query: parse error"),
        ("{{ query \"nothing\" | first }}", "no elements"),
        ("{{ lt 1 1.5 }}", "incompatible types"),
        ("{{ $value.x }}", "can't evaluate field x in type float64"),
        ("{{ template \"none\" }}", "not defined"),
        ("{{ humanize \"abc\" }}", "invalid syntax"),
        ("{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}", "deeper than"),
        ("{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}", "steps"),
        ("{{ range 100000 }}0123456789{{ end }}", "bytes"),
        ("{{ printf \"%99999d\" 1 }}", "width"),
        // Each of these would take all memory.
        (
            "{{ $x := \"a\" }}{{ range 60 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}",
            "values of more than 64 MiB",
        ),
        ("{{ $x := args 1 }}{{ range 60 }}{{ $x = args $x $x }}{{ end }}", "values of more than 64 MiB"),
        (
            "{{ $x := \"aa\" }}{{ range 60 }}{{ $x = reReplaceAll \"a\" $x $x }}{{ end }}",
            "a text of more than 1 MiB",
        ),
        (
            "{{ $x := \"aa\" }}{{ range 60 }}{{ $x = reReplaceAll \".*\" \"$0$0$0\" $x }}{{ end }}",
            "more than",
        ),
        // And these would take long.
        (
            "{{ range $i := 100 }}{{ match (printf \"%d\" $i) \"x\" }}{{ end }}",
            "more than 64 regular expressions",
        ),
    ] {
        let error = expand(text, 0.0).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}
