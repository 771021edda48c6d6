//! Alerts, their rules and all files that are made of the catalogue: what can be said without a server.
//! promtool and amtool have their say in `tests/partners/test_rules.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use neural_exporter::alert::{Act, Definition, RuleFile, Suite};
use neural_exporter::catalog::alert::{Alert, CHAPTERS, LOGS, Level};
use neural_exporter::catalog::limit::{LIMITS, Limits};
use neural_exporter::catalog::line::LINES;
use neural_exporter::catalog::{OWN, PAGES, Page, pipeline};
use neural_exporter::decode::engines;
use neural_exporter::event::Kind;
use neural_exporter::render::{Alerts, File, RULES_OF_OPERATOR, Settings, Severities, render};
use regex::Regex;

use super::at;
use super::golden::same;

/// What servers tell of themselves and of their targets.
const FOREIGN: &[&str] = &[
    "ALERTS",
    "up",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "prometheus_notifications_dropped_total",
    "prometheus_notifications_errors_total",
    "prometheus_notifications_queue_length",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_sd_file_read_errors_total",
    "scrape_duration_seconds",
];

fn pages() -> Vec<&'static Page> {
    PAGES.iter().copied().chain(OWN.iter().copied()).collect()
}

/// What is computed from metrics.
fn alerts() -> impl Iterator<Item = &'static Alert> {
    CHAPTERS.iter().flat_map(|chapter| chapter.alerts).copied()
}

/// And from the log.
fn all_alerts() -> impl Iterator<Item = &'static Alert> {
    alerts().chain(LOGS.alerts.iter().copied())
}

fn expressions() -> impl Iterator<Item = (&'static str, &'static str)> {
    let levels = alerts().flat_map(|alert| alert.levels().map(|level| (alert.name, level.expr)));
    let queries = alerts().flat_map(|alert| alert.queries.iter().map(|query| (alert.name, *query)));
    let records =
        CHAPTERS.iter().flat_map(|chapter| chapter.records).map(|record| (record.name, record.expr));
    levels.chain(queries).chain(records)
}

fn find<'a>(files: &'a [File], path: &str) -> &'a str {
    let file = files.iter().find(|file| file.path == path);
    &file.unwrap_or_else(|| panic!("there is no {path}")).text
}

/// What is generated and committed.
fn committed() -> Vec<File> {
    let all = render(&pages(), &Settings::default());
    all.into_iter().filter(|file| file.path != RULES_OF_OPERATOR).collect()
}

#[test]
fn the_committed_files_are_current() {
    for file in committed() {
        let path = at(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        same(&path, &file.text);
    }
}

/// And chooses there what the alert is about: nothing else, and nothing that cannot be chosen.
#[test]
fn an_alert_leads_to_its_dashboard() {
    let alerts = Alerts { grafana: Some("https://lab/grafana/".into()), ..Alerts::default() };
    let files = render(&pages(), &Settings::new(alerts));
    let mut variables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("dashboards/")) {
        let Ok(board) = serde_json::from_str::<serde_json::Value>(&file.text) else { continue };
        let names = board["templating"]["list"].as_array().unwrap().iter();
        let names = names.map(|of| of["name"].as_str().unwrap().to_owned()).collect();
        variables.insert(board["uid"].as_str().unwrap().to_owned(), names);
    }
    let link = Regex::new(r"https://lab/grafana/d/([a-z0-9-]+)([?&][^\n]*\}\})?").unwrap();
    let chosen = Regex::new(r"[?&]var-(\w+)=\{\{ \$labels\.(\w+) \| urlquery \}\}").unwrap();
    let mut links = 0;
    for file in
        files.iter().filter(|file| file.path.starts_with("alert-rules/") && !file.path.contains("/tests/"))
    {
        for found in link.captures_iter(&file.text) {
            links += 1;
            let known = variables.get(&found[1]).unwrap_or_else(|| panic!("there is no {}", &found[1]));
            let rest = found.get(2).map_or("", |rest| rest.as_str());
            assert_eq!(chosen.replace_all(rest, ""), "", "{}", &found[0]);
            for pair in chosen.captures_iter(rest) {
                assert!(pair[1] == pair[2] && known.contains(&pair[1]), "{}: {}", file.path, &found[0]);
            }
        }
    }
    let levels: usize = alerts_of_pages().map(|alert| alert.levels().count()).sum();
    assert_eq!(links, levels);
    // As Prometheus writes it, for promtool.
    let expected = find(&files, "alert-rules/tests/device_test.yml");
    assert!(expected.contains("/d/neural-devices?var-job=neural&var-instance=lab%3A9612&var-device=cyton"));
}

/// Every alert that the files have.
fn alerts_of_pages() -> impl Iterator<Item = &'static Alert> {
    let own = pages().into_iter().flat_map(|page| page.metrics.iter().filter_map(|metric| metric.alert));
    all_alerts().chain(own)
}

#[test]
fn no_file_is_left_of_what_is_no_longer_rendered() {
    let wanted: BTreeSet<_> =
        render(&pages(), &Settings::default()).into_iter().map(|file| at(&file.path)).collect();
    for folder in ["alert-rules", "dashboards", "provisioning"] {
        walk(&at(folder), &mut |path| assert!(wanted.contains(path), "{} is not rendered", path.display()));
    }
}

/// A metric stands in the reference, on its dashboards and in the rules, tests and runbooks of its alerts. A file that
/// repeats any of them would change with every metric.
#[test]
fn what_is_committed_is_generated_once() {
    let names: Vec<String> = pages().iter().flat_map(|page| page.metrics).map(|of| of.family()).collect();
    let parts = ["METRICS.md", "alert-rules/", "dashboards/"];
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for File { path, text } in committed() {
        if !parts.iter().any(|part| path.starts_with(part)) {
            let twice: Vec<&String> = names.iter().filter(|name| text.contains(*name)).collect();
            assert!(twice.is_empty(), "{path} repeats what stands in {parts:?}: {twice:?}");
        }
        if let Some(other) = texts.insert(text, path.clone()) {
            panic!("{path} is {other} once more");
        }
    }
    let ignored = std::fs::read_to_string(at(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == format!("/{RULES_OF_OPERATOR}")), "{RULES_OF_OPERATOR}");
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, visit);
        } else if path.file_name().unwrap() != ".generated" {
            // The list that `generate` leaves is of one folder on one machine.
            visit(&path);
        }
    }
}

/// Every name that a query may have.
fn known() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = FOREIGN.iter().map(|name| (*name).to_owned()).collect();
    for metric in pages().iter().flat_map(|page| page.metrics) {
        let suffixes: &[&str] = match metric.kind {
            Kind::Counter => &["_total"],
            Kind::Histogram => &["_bucket", "_count", "_sum"],
            Kind::Info => &["_info"],
            _ => &[""],
        };
        known.extend(suffixes.iter().map(|suffix| format!("{}{suffix}", metric.family())));
    }
    let engines = engines::reference::markdown();
    known.extend(engines.split('`').filter(|word| word.starts_with("neural_engine_")).map(str::to_owned));
    known.extend(CHAPTERS.iter().flat_map(|chapter| chapter.records).map(|record| record.name.to_owned()));
    known
}

#[test]
fn every_name_in_a_text_is_one_that_there_is() {
    let mut known = known();
    known.extend(all_alerts().map(|alert| alert.name.to_owned()));
    let names = Regex::new(r"[a-z]+:neural_[a-z0-9_:]+|\b(neural_|Neural[A-Z])\w+").unwrap();
    for alert in all_alerts() {
        let steps = [alert.immediate, alert.short_term, alert.long_term].concat();
        for text in [alert.description, alert.meaning].into_iter().chain(steps) {
            for name in names.find_iter(text).map(|found| found.as_str()) {
                let histogram = known.contains(&format!("{name}_bucket"));
                let fine = histogram || known.contains(name);
                assert!(fine, "{}: nothing is called {name} in {text}", alert.name);
            }
        }
    }
}

#[test]
fn every_metric_that_a_rule_names_is_in_the_catalogue() {
    let known = known();
    let names = Regex::new(r"[a-zA-Z_:][a-zA-Z0-9_:]*").unwrap();
    let (quoted, grouping) = (
        Regex::new("'[^']*'|\\$\\{[^}]*\\}|\\[[^\\]]*\\]").unwrap(),
        Regex::new(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)").unwrap(),
    );
    let matcher = Regex::new(r"[a-z_]+\s*(=~|!~|!=|=)\s*''").unwrap();
    let language = [
        "abs",
        "absent",
        "and",
        "or",
        "unless",
        "avg_over_time",
        "bottomk",
        "bool",
        "changes",
        "count",
        "count_over_time",
        "deriv",
        "group_right",
        "histogram_quantile",
        "hour",
        "increase",
        "label_replace",
        "max",
        "max_over_time",
        "min_over_time",
        "offset",
        "predict_linear",
        "rate",
        "stddev_over_time",
        "sum",
        "time",
        "timestamp",
        "topk",
        "vector",
    ];
    for (of, text) in expressions() {
        let text = quoted.replace_all(text, "''");
        let text = grouping.replace_all(&text, " ");
        let text = matcher.replace_all(&text, "");
        for found in names.find_iter(&text) {
            let name = found.as_str();
            let number = text[..found.start()].ends_with(|c: char| c.is_ascii_digit());
            let fine = number || language.contains(&name) || known.contains(name);
            assert!(fine, "{of}: nothing is called {name} in {text}");
        }
    }
}

#[test]
fn every_limit_that_is_named_exists_and_every_limit_is_named() {
    let mut named = BTreeSet::new();
    let texts = alerts().flat_map(|alert| [alert.summary, alert.description]);
    for text in expressions().map(|(_, text)| text.replace("${job}", "")).chain(texts.map(str::to_owned)) {
        let filled = Limits::default().fill(&text, |limit, _, _| {
            named.insert(limit.id);
            String::new()
        });
        assert!(filled.is_ok(), "{filled:?} in {text}");
    }
    named.extend(LINES.iter().filter_map(|line| line.limit).map(|limit| limit.id));
    let boards: String = std::fs::read_dir(at("src/render/dashboard/board"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let drawn = |id: &str| boards.contains(&format!("&{}", id.to_uppercase()));
    let unused: Vec<_> =
        LIMITS.iter().map(|limit| limit.id).filter(|id| !named.contains(id) && !drawn(id)).collect();
    assert_eq!(unused, [""; 0], "limits that nothing uses");
}

#[test]
fn every_alert_has_all_that_an_alert_needs() {
    let mut names = BTreeSet::new();
    let known: BTreeSet<&str> = all_alerts().map(|alert| alert.name).collect();
    for alert in all_alerts() {
        let name = alert.name;
        assert!(names.insert(name), "{name} is there twice");
        let camel = name.chars().all(|c| c.is_ascii_alphanumeric()) && name.len() > 6;
        assert!(name.starts_with("Neural") && camel, "{name}");
        let texts = [alert.summary, alert.description, alert.meaning];
        assert!(texts.iter().all(|text| text.len() > 10), "{name}: a text is missing");
        assert!(!alert.summary.ends_with('.') && alert.summary.len() < 100, "{name}: {}", alert.summary);
        for text in [alert.description, alert.meaning] {
            assert!(text.ends_with('.'), "{name}: {text}");
        }
        for step in [alert.immediate, alert.short_term, alert.long_term].concat() {
            assert!(step.ends_with(['.', '`']), "{name}: {step}");
        }
        assert!(
            !alert.immediate.is_empty() && !alert.queries.is_empty(),
            "{name}: nothing to do or to look at"
        );
        assert!(
            alert.related.iter().all(|other| known.contains(other) && *other != name),
            "{name}: {:?}",
            alert.related
        );
        assert_eq!(alert.worse.is_some(), alert.worsens.is_some(), "{name}: a case for each level");
        let levels: Vec<&Level> = alert.levels().collect();
        let ascend = levels
            .windows(2)
            .all(|pair| pair[1].priority < pair[0].priority && pair[1].severity < pair[0].severity);
        assert!(ascend, "{name}: the second level is not worse");
        for level in levels {
            // Ratios of a moment need two evaluations; what looks back over minutes has them in it.
            let patient = level.hold >= 30 || level.expr.contains("[5m]") || level.expr.contains("[1");
            let excused = [
                "NeuralWatchdog",
                "NeuralHostRebooted",
                "NeuralLlmTokenBudget",
                "NeuralLlmCostBudget",
                "NeuralIncidentEscalated",
                // The probe waits itself, for as many failures as its settings say.
                "NeuralProbeUnhealthy",
                // What it looks at is of half an hour, and tested.
                "NeuralBaselineRegression",
            ];
            assert!(patient || level.expr.contains("m]") || excused.contains(&name), "{name} is hasty");
        }
    }
}

#[test]
fn every_label_that_a_text_names_is_one_of_the_alert() {
    let named = Regex::new(r"\$labels\.([a-z_]+)").unwrap();
    for alert in all_alerts() {
        let own: BTreeSet<&str> = alert.fires.labels.iter().map(|(name, _)| *name).collect();
        for text in [alert.summary, alert.description] {
            for label in named.captures_iter(text).map(|found| found.get(1).unwrap().as_str()) {
                let added = alert.local && ["job", "instance"].contains(&label);
                assert!(added || own.contains(label), "{}: no label {label}", alert.name);
            }
            assert!(text.matches("$value").count() <= 1, "{}: the value twice", alert.name);
        }
    }
}

#[test]
fn settings_change_what_they_say() {
    let alerts = Alerts {
        limits: BTreeMap::from([("device_loss".to_owned(), 0.02)]),
        off: vec!["NeuralDeviceSilent".to_owned()],
        severities: Severities::Three,
        runbooks: Some("https://wiki.example.org/run".into()),
        job: "brain".to_owned(),
        labels: BTreeMap::from([("team".to_owned(), "neuro".to_owned())]),
        ..Alerts::default()
    };
    let files = render(&pages(), &Settings::new(alerts));
    let rules = find(&files, "alert-rules/device.yml");
    assert!(rules.contains("ratio_rate5m > 0.02") && !rules.contains("ratio_rate5m > 0.01"));
    assert!(!rules.contains("NeuralDeviceSilent") && !rules.contains("severity: high"));
    assert!(
        rules.contains("https://wiki.example.org/run/NeuralDeviceLoss.md") && rules.contains("team: neuro")
    );
    let tests = find(&files, "alert-rules/tests/device_test.yml");
    assert!(tests.contains("# NeuralDeviceLoss: its cases are for another device_loss."));
    assert!(!tests.contains("name: NeuralDeviceLoss ") && tests.contains("name: NeuralDeviceGaps fires"));
    assert!(find(&files, "alert-rules/agent.yml").contains("up{job='brain'} == 0"));
    assert!(find(&files, "alert-rules/runbooks/NeuralDeviceLoss.md").contains("| 0.02 (2 %) |"));
    assert!(!files.iter().any(|file| file.path.ends_with("NeuralDeviceSilent.md")));
}

const PACK: &str = "\
id: lab
title: The lab
about: What the lab measures.
metrics:
  - name: lab_humidity
    help: Humidity of the room
    unit: ratio
    labels: [room]
    alert: {above: 0.8, hold: 5m, severity: high, summary: 'it is damp in {{ $labels.room }}', actions: [Open a window.]}
  - name: lab_doors
    help: Times that the door was opened
    kind: counter
    alert: {above: 1}
  - name: lab_answer
    help: Time to answer the phone
    kind: histogram
    unit: seconds
    alert: {above: 5, severity: low}
";

#[test]
fn a_pack_brings_its_own_alerts() {
    let page = neural_exporter::config::pack::parse("lab.yml", PACK).unwrap();
    let mut all = pages();
    all.push(page);
    let files = render(&all, &Settings::default());
    let rules = find(&files, "alert-rules/lab.yml");
    for text in [
        "neural_lab_humidity_ratio > 0.8",
        "for: 5m",
        "severity: high",
        "rate(neural_lab_doors_total[5m]) > 1",
    ] {
        assert!(rules.contains(text), "no {text} in\n{rules}");
    }
    assert!(find(&files, "alert-rules/tests/lab_test.yml").contains("summary: it is damp in a"));
    assert!(find(&files, "alert-rules/runbooks/NeuralLabHumidityHigh.md").contains("1. Open a window."));
}

#[test]
fn the_objective_looks_at_a_bucket_that_there_is() {
    let alerts = |seconds| Alerts {
        limits: BTreeMap::from([("stage_latency".to_owned(), seconds)]),
        ..Alerts::default()
    };
    for (seconds, matched) in [(0.07, "{le=~'0.07'}"), (2.0, "{le=~'2|2.0'}")] {
        let settings = Settings::new(alerts(seconds));
        assert!(find(&render(&pages(), &settings), "alert-rules/pipeline.yml").contains(matched));
        let bounds = pipeline::DURATION.ladder(Some(&[0.02, 1.0]), &settings.limits);
        assert!(bounds.contains(&seconds) && bounds.is_sorted(), "{bounds:?}");
    }
}

/// The tests that come with the rules, by file, with the groups of the rules they are for.
fn unit_tests() -> Vec<(Suite, Vec<(String, Definition)>)> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let folder = at("alert-rules/tests");
    let mut suites = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        let suite = Suite::read(&file.display().to_string(), &read(&file)).unwrap();
        let mut groups = Vec::new();
        for rules in &suite.rule_files {
            let read =
                RuleFile::read(rules, &read(&folder.join(rules))).unwrap_or_else(|why| panic!("{why:?}"));
            groups.extend(read.groups.into_iter().map(|group| (rules.clone(), group)));
        }
        suites.push((suite, groups));
    }
    suites
}

#[test]
fn every_alert_fires_and_is_quiet_in_our_own_engine() {
    let (mut passed, mut failed) = (0, Vec::new());
    for (suite, groups) in unit_tests() {
        for test in &suite.tests {
            let mistakes = suite.run(test, &groups);
            if mistakes.is_empty() {
                passed += 1;
            } else {
                failed.push((test.name.clone(), mistakes));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed > 300, "{passed}");
}

#[test]
fn no_test_of_an_alert_passes_without_it() {
    let never = neural_exporter::promql::parse("vector(1) < 0").unwrap();
    for (suite, mut groups) in unit_tests() {
        for rule in groups.iter_mut().flat_map(|(_, group)| &mut group.rules) {
            if matches!(rule.act, Act::Alert { .. }) {
                rule.expr = never.clone();
            }
        }
        for test in &suite.tests {
            let quiet = suite.run(test, &groups).is_empty();
            assert_eq!(quiet, test.name.ends_with("is quiet"), "{}", test.name);
        }
    }
}
