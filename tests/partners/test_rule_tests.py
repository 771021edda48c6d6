"""`test-rules` beside promtool: the same files, the same verdicts."""

import json
import re
import subprocess

import pytest
import yaml

from conftest import PROGRAM, ROOT, program

FILES = sorted((ROOT / "alert-rules/tests").glob("*.yml"))


def ours(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, "test-rules", *map(str, arguments)], capture_output=True, text=True, timeout=120)


def theirs(file) -> int:
    return subprocess.run([program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, timeout=120).returncode


def said_by_promtool(file) -> str:
    done = subprocess.run([program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_generated_passes(file):
    done = ours(file)
    assert done.returncode == 0, done.stdout + done.stderr


def mutants(file):
    """The file with one expectation changed, for some of its tests: a label, an annotation, one alert more, one less."""
    suite = yaml.safe_load(file.read_text())
    suite["rule_files"] = [str((file.parent / name).resolve()) for name in suite["rule_files"]]
    for at, test in enumerate(suite["tests"][:6]):
        (question,) = test["alert_rule_test"]
        alerts = question.get("exp_alerts") or []
        if not alerts:
            changed = [{"exp_labels": {"a": "b"}}]
        elif at % 3 == 0:
            changed = []
        elif at % 3 == 1:
            changed = [{**alerts[0], "exp_labels": {**alerts[0]["exp_labels"], "severity": "none"}}, *alerts[1:]]
        else:
            changed = [{**alerts[0], "exp_annotations": {**alerts[0]["exp_annotations"], "summary": "other"}}, *alerts[1:]]
        yield {**suite, "tests": [{**test, "alert_rule_test": [{**question, "exp_alerts": changed}]}]}


def test_what_promtool_fails_we_fail(tmp_path):
    seen = 0
    for file in FILES[::4]:
        for mutant in mutants(file):
            path = tmp_path / "mutant.yml"
            path.write_text(yaml.safe_dump(mutant))
            assert (theirs(path), ours(path).returncode) == (1, 1), path.read_text()
            seen += 1
    assert seen > 10


# Templates, each about `x{device="cyton", address="lab.example.org:80"}` with a value.
TEMPLATES = [
    "{{ $labels.device }} {{ $value }} {{ .Value }} {{ $labels.none }}|",
    "{{ $value | humanize }} {{ $value | humanize1024 }} {{ $value | humanizeDuration }} {{ $value | humanizePercentage }}",
    "{{ $value | humanizeTimestamp }}",
    '{{ printf "%.3f|%8.2e|%g|%s|%q|%v|%05.1f|%+.1f" $value $value $value $labels.device $labels.device $labels $value $value }}',
    '{{ printf "%d|%x|%5d|%-5d|%c|%t|%%|%d" 42 255 7 7 65 true $value }}',
    '{{ if gt $value 100.0 }}large{{ else if gt $value 1.0 }}middle{{ else }}small{{ end }}',
    '{{ range $k, $v := $labels }}{{ $k }}={{ $v }},{{ end }}',
    '{{ with query "x" }}{{ . | first | value | humanize }}{{ end }}{{ with query "none" }}a{{ else }}b{{ end }}',
    '{{ range query "x" | sortByLabel "device" }}{{ .Labels.device }}={{ .Value }} {{ end }}',
    '{{ len (query "x") }} {{ index $labels "device" | title }} {{ toUpper "a" }}{{ toLower "B" }}',
    '{{ reReplaceAll "(c)(.)" "$2-$1" $labels.device }} {{ match "^cy" $labels.device }}',
    '{{ stripPort $labels.address }} {{ stripDomain $labels.address }}',
    '{{ graphLink "sum(x) by (a)" }} {{ tableLink "a b" }} {{ urlquery "a b&c=d" }} {{ html "<b>\'" }}',
    "{{- /* a comment */ -}} a {{- 1 }} b {{ 2 -}} c",
    '{{ $x := 1 }}{{ range $i, $s := query "x" }}{{ $x = $i }}{{ end }}{{ $x }}',
    '{{ define "t" }}<{{ .arg0 }} {{ .arg1 }}>{{ end }}{{ template "t" (args 1 $value) }}',
    '{{ and 1 0 }} {{ or 0 "a" }} {{ not true }} {{ eq 1 2 1 }} {{ ne "a" "b" }} {{ lt 1 2 }} {{ ge 1.5 1.5 }}',
    '{{ print 1 2 "a" 3 4 }} {{ println "a" 1 }}{{ len "abc" }} {{ true }} {{ 1e3 }} {{ 0x1F }} {{ \'a\' }}',
    "{{ $externalLabels.site }} {{ .ExternalLabels }}",
    '{{ parseDuration "1h30m" }}',
]
VALUES = ["0", "1", "-1", "0.1234567", "12345.678", "1e-7", "1.5e9", "1000000", "999999", "123456789", "60", "86461.5", "NaN", "+Inf", "-Inf", "999.96"]


def test_templates_expand_as_in_promtool(tmp_path):
    annotations = {f"a{at:02}": text for at, text in enumerate(TEMPLATES)}
    rules = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "x", "annotations": annotations, "labels": {"of": "{{ $labels.device }}!"}}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    tests = []
    for at, value in enumerate(VALUES):
        series = [{"series": 'x{device="cyton",address="lab.example.org:80"}', "values": value}]
        tests.append(
            {"name": value, "input_series": series, "external_labels": {"site": "lab"}, "external_url": "http://h:1/p", "interval": "1m",
             "alert_rule_test": [{"eval_time": "1m", "alertname": "A", "exp_alerts": []}]}
        )
    suite = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(suite))
    done = ours("--output", "json", file)
    assert done.returncode == 1, done.stderr
    (report,) = json.loads(done.stdout)
    assert report["passed"] == 0 and len(report["failed"]) == len(VALUES)
    for test, failed in zip(tests, report["failed"], strict=True):
        (line,) = failed["mistakes"][0]["found"]
        pairs = [dict((name, json.loads(f'"{text}"')) for name, text in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', part)) for part in line.split("} {")]
        labels, found = pairs
        assert labels["of"] == "cyton!" and len(found) == len(TEMPLATES), line
        labels.pop("alertname")
        test["alert_rule_test"][0]["exp_alerts"] = [{"exp_labels": labels, "exp_annotations": found}]
    file.write_text(yaml.safe_dump(suite))
    assert said_by_promtool(file) == ""
    assert ours(file).returncode == 0


def test_expressions_and_their_mistakes(tmp_path):
    file = tmp_path / "test.yml"
    for expr, samples, code in [
        ("sum(x)", [{"value": 6}], 0),
        ("x * 2", [{"labels": '{a="1"}', "value": 2}, {"labels": '{a="2"}', "value": 10}], 0),
        ("x", [{"labels": 'x{a="1"}', "value": 1}, {"labels": 'x{a="2"}', "value": 5}], 0),
        ("sum(x)", [{"value": 7}], 1),
        ("sum(x)", [], 1),
        ("none", [], 0),
        ("sum(", [], 1),
        ("rate(x[5m])", [{"labels": '{a="1"}', "value": 0}, {"labels": '{a="2"}', "value": 0.016666666666666666}], 0),
    ]:
        tests = [{"interval": "1m", "input_series": [{"series": 'x{a="1"}', "values": "1x10"}, {"series": 'x{a="2"}', "values": "0+1x10"}],
                  "promql_expr_test": [{"expr": expr, "eval_time": "5m", "exp_samples": samples}]}]
        file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": tests}))
        assert (theirs(file), ours(file).returncode) == (code, code), (expr, ours(file).stdout)


def test_what_is_wrong_is_said(tmp_path):
    file = tmp_path / "test.yml"
    for text, words in [
        ("tests: [", "test.yml"),
        ("rule_files: [none.yml]\n", "none.yml: there is no such file"),
        ("test: []\n", "unknown field"),
        ("rule_files: [rules.yml]\ntests: []\n", "could not parse expression"),
    ]:
        file.write_text(text)
        (tmp_path / "rules.yml").write_text("groups:\n- name: a\n  rules:\n  - {record: a, expr: 'sum('}\n")
        done = ours(file)
        assert done.returncode == 2 and words in done.stdout + done.stderr, done
    done = ours("--run", "nothing is called that", FILES[0])
    assert done.returncode == 2 and "no test was run" in done.stderr
    assert ours("--run", "NeuralAgentDown fires", FILES[0]).stdout.endswith(": 1 test passed\n")
