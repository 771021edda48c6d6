//! The configuration as a whole: what is reported of a bad one, and what a good one becomes.

use super::*;
use crate::analysis::quality::{self, Mains};
use crate::setting::Span;
use crate::source::lsl;

mod schema;

const EXAMPLE: &str = include_str!("../../deploy/config.example.yml");

fn found(text: &str) -> String {
    match parse("config.yml", text) {
        Ok(_) => String::new(),
        Err(problems) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
    }
}

#[test]
fn ten_mistakes_are_ten_problems() {
    let text = include_str!("../../tests/fixtures/config/mistakes.yml");
    let problems = parse("config.yml", text).unwrap_err();
    assert_eq!(found(text), include_str!("../../tests/fixtures/config/mistakes.txt"));
    assert_eq!(problems.len(), 10);
}

#[test]
fn what_stands_in_each_others_way_is_told() {
    let text = include_str!("../../tests/fixtures/config/clashes.yml");
    assert_eq!(found(text), include_str!("../../tests/fixtures/config/clashes.txt"));
}

#[test]
fn what_cannot_be_said_of_a_board_is_told() {
    let text = include_str!("../../tests/fixtures/config/boards.yml");
    assert_eq!(found(text), include_str!("../../tests/fixtures/config/boards.txt"));
}

#[test]
fn signals_are_shown_to_this_machine_alone_unless_more_is_said() {
    let refused = |listen: &str, more: &str| {
        let text = format!("{listen}page: {{preview: true{more}}}\n");
        found(&text).contains("the signal would be shown to other machines")
    };
    for here in ["", "listen: 127.0.0.1:1\n", "listen: [\"[::1]:1\", 127.9.9.9:1]\n"] {
        assert!(!refused(here, ""), "{here}");
    }
    for outside in [
        "listen: 0.0.0.0:1\n",
        "listen: [127.0.0.1:1, 10.0.0.5:1]\n",
        "listen: \"[::]:1\"\n",
        "listen: systemd:web\n",
    ] {
        assert!(refused(outside, ""), "{outside}");
        assert!(!refused(outside, ", preview_beyond_loopback: true"), "{outside}");
        assert_eq!(found(&format!("{outside}page: {{preview_beyond_loopback: true}}\n")), "");
    }
    // What the command line says counts as well.
    let mut config = parse("f", "page: {preview: true}\n").unwrap();
    assert_eq!(config.exposes_signals(), None);
    config.listen = Many(vec!["0.0.0.0:1".parse().unwrap()]);
    assert!(config.exposes_signals().is_some());
}

#[test]
fn where_a_program_is_has_a_machine_and_a_port() {
    let problems = |at: &str| {
        let text = format!(
            "sources: [{{intan: {{address: \"{at}\"}}}}, {{open_ephys: {{zmq: {{address: \"{at}\"}}}}}}, {{rda: {{address: \"{at}\"}}}}]"
        );
        parse("f", &text).map_or_else(|problems| problems.len(), |_| 0)
    };
    for at in ["127.0.0.1:5000", "rig-2:5000", "[::1]:5000"] {
        assert_eq!(problems(at), 0, "{at}");
    }
    for at in ["127.0.0.1", ":5000", "rig:0", "rig:70000", "http://rig:5000", "me@rig:5000", ""] {
        assert_eq!(problems(at), 3, "{at}");
    }
    assert!(parse("f", "sources: [{intan: {retry: 0s}}]").is_err());
}

#[test]
fn alerts_that_cannot_be_right_are_told() {
    let text = "alerts:\n  grafana: grafana.lab\n  runbooks: /runbooks/\n  watchdog: hc-ping.com/1\n  receivers: [{webhook: {url: lab}}]\n  escalations: [{webhook: {url: lab}}]\n  limits: {stage_latency: 0, device_loss: -3, device_rate_high: 1.2}\n";
    let found = found(text);
    for part in [
        "config.yml:2:12: alerts.grafana: not a url: ",
        "config.yml:3:13: alerts.runbooks: not a url: ",
        "config.yml:4:13: alerts.watchdog: not a url: ",
        "config.yml:5:31: alerts.receivers[0].webhook.url: not a url: ",
        "config.yml:6:33: alerts.escalations[0].webhook.url: not a url: ",
        "config.yml:7:27: alerts.limits.stage_latency: 0 is not a time above 0 seconds\n",
        "config.yml:7:43: alerts.limits.device_loss: -3 is not a share from 0 to 1\n",
    ] {
        assert!(found.contains(part), "{part} is not in\n{found}");
    }
    assert!(!found.contains("device_rate_high"), "{found}");
}

#[test]
fn where_a_data_source_is_has_to_be_a_url() {
    let text = "provision: {targets: [{grafana: {url: 'http://g', datasource: {url: 'prometheus:9090', traces_url: jaeger}}}]}\n";
    let found = found(text);
    assert!(found.contains("grafana.datasource.url: the url has no scheme http or https"), "{found}");
    assert!(found.contains("grafana.datasource.traces_url: not a url: "), "{found}");
}

#[test]
fn names_of_machines_and_times_of_day_are_told_by_example() {
    let hosts = |host: &str| found(&format!("http: {{hosts: ['{host}']}}\n"));
    for wrong in ["http://lab", "lab/grafana", "", "a b", "lab:", "lab:99999", "lab:+1", "lab:80:80"] {
        let found = hosts(wrong);
        let right = format!(
            "http.hosts[0]: \"{wrong}\" is not the name of a machine\n  hint: write it like lab.example.org"
        );
        assert!(found.contains(&right), "{found}");
    }
    for right in ["lab", "LAB-1.example.org", "10.0.0.7:9612", "a_b"] {
        assert_eq!(hosts(right), "", "{right}");
    }
    let quiet = |from: &str| found(&format!("alerts: {{quiet: {{from: '{from}', to: '07:00'}}}}\n"));
    for wrong in ["24:00", "20:60", "8:00", "2000", "20:00:00", "+1:00", "evening"] {
        let found = quiet(wrong);
        let right =
            format!("alerts.quiet.from: \"{wrong}\" is not a time of day\n  hint: write it like \"20:00\"");
        assert!(found.contains(&right), "{found}");
    }
    assert_eq!(quiet("23:59"), "");
}

/// A regular expression is no answer to a person who wrote a time.
#[test]
fn what_has_a_pattern_has_words_for_it() {
    use serde_json::Value as Json;

    fn patterns(schema: &Json, at: &str, bare: &mut Vec<String>) {
        if schema["pattern"].is_string() {
            let format = schema["format"].as_str().unwrap_or_default();
            if !FORMATS.iter().any(|known| known.name == format) {
                bare.push(at.to_owned());
            }
        }
        match schema {
            Json::Object(map) => {
                map.iter().for_each(|(key, inner)| patterns(inner, &format!("{at}/{key}"), bare));
            }
            Json::Array(items) => items.iter().for_each(|inner| patterns(inner, at, bare)),
            _ => {}
        }
    }
    let mut bare = Vec::new();
    patterns(&Config::schema(), "", &mut bare);
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn rules_of_files_are_read_and_their_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("good.yml", "groups:\n- name: a\n  rules:\n  - {alert: A, expr: up == 0}\n");
    let load_with = |files: &str| {
        write("config.yml", &format!("alerts: {{rule_files: {files}}}\n"));
        load(&folder.path().join("config.yml"))
    };
    let config = load_with("['*ood.yml', good.yml]").unwrap();
    assert_eq!((config.rules.0.len(), config.rules.0[0].1.name.as_str()), (1, "a"), "a file counts once");
    assert!(load_with("['none*.yml']").unwrap().rules.0.is_empty());
    let wrong =
        |files: &str| load_with(files).unwrap_err().iter().map(ToString::to_string).collect::<String>();
    assert!(
        wrong("[none.yml]").contains("config.yml:1:23: alerts.rule_files[0]: no such file"),
        "{}",
        wrong("[none.yml]")
    );
    write("bad.yml", "groups:\n- name: a\n  rules:\n  - {alert: A, expr: 'up =='}\n");
    assert!(wrong("['*.yml']").contains("bad.yml:4:"), "{}", wrong("['*.yml']"));
}

#[test]
fn rules_cannot_be_evaluated_without_a_history() {
    let why = found("alerts: {evaluate: true}\nhistory: {enabled: false}\n");
    assert!(why.contains("history.enabled is false"), "{why}");
    assert_eq!(found("alerts: {evaluate: false}\nhistory: {enabled: false}\n"), "");
    let evaluates = |text: &str| parse("c", text).unwrap().evaluates();
    assert!(
        evaluates("")
            && !evaluates("alerts: {evaluate: false}\n")
            && !evaluates("history: {enabled: false}\n")
    );
    let pushed = "provision: {targets: [{prometheus: {url: 'http://127.0.0.1:9090', rules_directory: /etc/prometheus/rules}}]}\n";
    assert!(!evaluates(pushed) && evaluates(&format!("alerts: {{evaluate: true}}\n{pushed}")));
    let why = found("respond: {notify: true, alertmanagers: [{url: 'http://x'}]}\n");
    assert!(why.contains("respond.notify") && why.contains("notified twice"), "{why}");
    // Where the agent notifies, no Alertmanager need know Teams, or URLs in files.
    let teams = "alerts: {receivers: [{teams: {url_file: /x}}], watchdog_file: /y}\n";
    assert!(found(teams).contains("Alertmanager 0.25 knows no Teams"));
    assert_eq!(found(&format!("{teams}respond: {{notify: true}}\n")), "");
    let why = found("respond: {alertmanagers: [{url: 'ftp://x'}]}\n");
    assert!(why.contains("respond.alertmanagers[0].url"), "{why}");
}

#[test]
fn a_metric_is_named_by_its_name_or_by_a_part_of_it() {
    let with = |of: &str| found(&format!("history: {{allow: ['{of}']}}\n"));
    for right in ["neural_up", "a:b", "neural_stage_*", "*"] {
        assert_eq!(with(right), "", "{right}");
    }
    for wrong in ["", "neural-up", "neural_up{a=\"b\"}", "neural_.*"] {
        assert!(with(wrong).contains("is not the name of a metric"), "{}", with(wrong));
    }
}

#[test]
fn which_port_is_meant_is_told_by_example() {
    let with = |of: &str| found(&format!("sources: [{{serial: {{name: a, protocol: cyton, {of}}}}}]\n"));
    for wrong in ["0403-6015", "0403:601", "x403:6015", "0403:6015:"] {
        let found = with(&format!("usb: {{id: '{wrong}'}}"));
        assert!(found.contains(&format!("\"{wrong}\" is not a USB id\n  hint: write it like \"0403:6015\", as `neural-exporter devices` prints it")), "{found}");
    }
    for wrong in ["1", "usb1-1", "1-1.", "1-1:1", "1-1.2:1.0.0"] {
        let found = with(&format!("usb: {{place: '{wrong}'}}"));
        assert!(found.contains("is not a place on USB\n  hint: write it like 1-1.2"), "{found}");
    }
    for right in
        ["usb: {id: '0403:6aB5'}", "usb: {place: 1-1}", "usb: {place: 2-1.4.2:1.0}", "port: /dev/ttyS0"]
    {
        assert_eq!(with(right), "", "{right}");
    }
    let found = with("port: COM3");
    assert!(
        found.contains("serial.port: \"COM3\" is not the path of a port\n  hint: write it like /dev/ttyUSB0"),
        "{found}"
    );
}

#[test]
fn nothing_said_is_the_default() {
    for text in ["", "# nothing\n", "{}", "---\n", "~", "limits:\n", "log: {}\nlimits:\n  # series: 1\n"] {
        assert_eq!(parse("f", text).unwrap(), Config::default(), "{text:?}");
    }
}

#[test]
fn the_default_prints_and_reads_back() {
    let printed = Config::default().print();
    assert_eq!(parse("printed", &printed).unwrap(), Config::default(), "{printed}");
    assert!(printed.contains("listen: 127.0.0.1:9612"), "{printed}");
    assert!(printed.contains("- statsd:"), "{printed}");
}

#[test]
fn the_example_reads_prints_and_reads_back() {
    let config = parse("config.example.yml", EXAMPLE).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let printed = config.print();
    assert_eq!(parse("printed", &printed).unwrap(), config, "{printed}");
    let kinds: Vec<&str> = config.sources.iter().map(Source::kind).collect();
    for (kind, _) in schema::variants(&Config::schema()) {
        assert!(kinds.contains(&kind.as_str()), "the example shows no {kind}");
    }
}

#[test]
fn the_example_shows_every_section() {
    let schema = Config::schema();
    for key in schema["properties"].as_object().unwrap().keys() {
        let shown = EXAMPLE.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key}:")));
        assert!(shown, "the example does not show {key}");
    }
}

#[test]
fn sources_replace_the_defaults() {
    let kinds =
        |text: &str| -> Vec<&str> { parse("f", text).unwrap().sources.iter().map(Source::kind).collect() };
    assert_eq!(kinds(""), ["jsonl", "statsd", "host", "gpu"]);
    assert_eq!(kinds("sources: []"), [""; 0]);
    assert_eq!(kinds("sources: [gpu: ]"), ["gpu"]);
    assert_eq!(kinds("sources:\n- host:\n- process: {}\n"), ["host", "process"]);
}

#[test]
fn a_signal_is_judged_by_what_is_set() {
    let with = |signal: &str| {
        format!(
            "sources:\n- serial:\n    name: eeg\n    port: /dev/ttyUSB0\n    protocol: cyton\n    signal: {signal}\n"
        )
    };
    let Some(Source::Serial(of)) =
        parse("f", &with("{mains: 60, band: [5, 40], hum: 1000}")).unwrap().sources.pop()
    else {
        panic!("not a port")
    };
    assert_eq!((of.signal.mains, of.signal.band, of.signal.hum), (Mains::Sixty, [5.0, 40.0], 1000.0));
    assert_eq!(of.signal.noise, quality::Settings::default().noise);
    let auto = parse("f", &with("{mains: auto}")).unwrap();
    assert_eq!(parse("f", &auto.print()).unwrap(), auto, "{}", auto.print());
    for (signal, mistake) in [
        ("{mains: 55}", "config.yml:6:21: sources[0].serial.signal.mains"),
        ("{mains: both}", "unknown value \"both\""),
        ("{band: [45, 1]}", "a band from 45 to 1 Hz is empty"),
        ("{band: [1]}", "the list has 1 items"),
        ("{band: [1, 9000]}", "the maximum is 450"),
        ("{quiet: 0.001}", "below 0.001 V is bad already"),
        ("{railed: -1}", "the minimum is 0"),
        ("{humm: 1}", "did you mean"),
        ("{names: [Fp1, Fp2, Fp1]}", "a second electrode is called Fp1"),
        ("{names: [Fp1, '']}", "a name is 1 to 256 bytes of text"),
    ] {
        let found = found(&with(signal));
        assert!(found.contains(mistake) && found.contains("config.yml:6"), "{signal}: {found}");
    }
}

#[test]
fn programs_that_send_datagrams() {
    let with = |source: &str| format!("sources:\n- {source}\n");
    for right in [
        "brainflow: {board: cyton}",
        "brainflow: {rows: {count: 24, rate: 250, channels: [1, 2], package: 0, modulus: 256}}",
        "cerebus: {}",
        "openbci_gui: {rate: 200, listen: 'udp://127.0.0.1:12346'}",
    ] {
        let sources = parse("f", &with(right)).unwrap().sources;
        assert!(right.starts_with(sources.last().unwrap().kind()), "{right}");
    }
    for (wrong, mistake) in [
        ("brainflow: {}", "the board is missing: set board"),
        ("brainflow: {board: citon}", "unknown board \"citon\""),
        (
            "brainflow: {board: cyton, rows: {count: 1, rate: 1, channels: [0]}}",
            "those of the board are known",
        ),
        ("brainflow: {rows: {count: 4, rate: 250, channels: [4]}}", "row 4 is not among the 4 rows"),
        ("brainflow: {board: cyton, listen: 'tcp://127.0.0.1:6677'}", "datagrams arrive over UDP"),
        ("cerebus: {volts_per_count: -1}", "the minimum is 0"),
        ("cerebus: {listen: 'unix:/run/x'}", "datagrams arrive over UDP"),
        ("openbci_gui: {signal: {quiet: 0.001}}", "below 0.001 V is bad already"),
        ("openbci_gui: {rate: 0}", "the minimum is 1"),
    ] {
        let found = found(&with(wrong));
        assert!(found.contains(mistake), "{wrong}: {found}");
    }
    let both = found("sources:\n- openbci_gui: {}\n- openbci_gui: {name: two}\n");
    assert!(both.contains("is taken by"), "{both}");
}

#[test]
fn streams_are_asked_for_by_what_can_be_asked() {
    let with = |lsl: &str| format!("sources:\n- lsl: {lsl}\n");
    let Some(Source::Lsl(of)) = parse(
        "f",
        &with("{scope: site, mode: decimate, streams: [{type: EEG, mode: presence}], expect: [a]}"),
    )
    .unwrap()
    .sources
    .pop() else {
        panic!("not streams")
    };
    assert_eq!((&*of.name, of.scope, &*of.session), ("lsl", lsl::Scope::Site, "default"));
    assert_eq!((of.mode, of.streams[0].mode), (lsl::Mode::Decimate, Some(lsl::Mode::Presence)));
    for (lsl, mistake) in [
        ("{scope: world}", "unknown value \"world\""),
        ("{mode: fast}", "unknown value \"fast\""),
        ("{expect: [a, a]}", "\"a\" is there already"),
        ("{expect: [\"\"]}", "a name is 1 to 256 bytes of text"),
        ("{session: \"a'\\\"b\"}", "both kinds of quotes"),
        ("{streams: [{nam: a}]}", "did you mean"),
    ] {
        let found = found(&with(lsl));
        assert!(found.contains(mistake), "{lsl}: {found}");
    }
}

#[test]
fn one_mistake_hides_no_other() {
    let text = "\
limits: {series: 99999999999999999999999, families: 0}
intervals: {device: 9999d}
listen: []
sources:
- statsd: {listen: [], mapping: none.yml, nam: x}
- serial: {name: 5, port: /dev/x, protocol: cyton, signal: {band: [45, 1], quiet: x}}
- serial: {name: b, port: 7, signal: {band: [45, 1, 2]}}
- scrape: {name: s, url: 'localhost:9090/metrics', interval: 1s, timeout: 900000d}
- scrape: {name: t, url: 'http://x/', interval: 2s, timeout: 5s}
";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.yml"), text).unwrap();
    let problems = load_whole(&folder.path().join("config.yml")).unwrap_err();
    let found: Vec<String> =
        problems.iter().map(|p| format!("{}:{}: {}: {}", p.line, p.column, p.path, p.message)).collect();
    for (place, mistake) in [
        ("1:18: limits.series: ", "expected a whole number"),
        ("1:53: limits.families: ", "0 is too small; the minimum is 1"),
        ("2:21: intervals.device: ", "9999d is too long; the maximum is 1d"),
        ("3:9: listen: ", "nothing could be scraped without an address"),
        ("5:20: sources[0].statsd.listen: ", "the source listens nowhere"),
        ("5:33: sources[0].statsd.mapping: ", "none.yml: cannot read the file"),
        ("5:43: sources[0].statsd.nam: ", "unknown key"),
        ("6:18: sources[1].serial.name: ", "expected text"),
        ("6:67: sources[1].serial.signal.band: ", "a band from 45 to 1 Hz is empty"),
        ("6:83: sources[1].serial.signal.quiet: ", "expected a number"),
        ("7:27: sources[2].serial.port: ", "expected the path of a port"),
        ("7:45: sources[2].serial.signal.band: ", "the list has 3 items"),
        ("8:26: sources[3].scrape.url: ", "the url has no scheme http or https"),
        ("8:75: sources[3].scrape.timeout: ", "900000d is too long; the maximum is 1d"),
        ("9:62: sources[4].scrape.timeout: ", "5s is longer than the interval, 2s"),
    ] {
        let known = found.iter().any(|line| line.starts_with(place) && line.contains(mistake));
        assert!(known, "{place}{mistake} is not in\n{}", found.join("\n"));
    }
    // What was wrong by itself is a default from then on, and no mistake of anybody.
    let about = |path: &str| found.iter().filter(|line| line.contains(path)).count();
    assert_eq!((about("sources[1].serial.name"), about("sources[2].serial.port")), (1, 1), "{found:#?}");
    assert!(
        !found.iter().any(|line| line.contains("is taken by") || line.contains("says no port")),
        "{found:#?}"
    );
}

#[test]
fn links_for_people_have_no_password() {
    let text = "provision: {targets: [{grafana: {url: 'http://admin:hunter2@grafana:3000'}}]}\n";
    let shown = |text: &str| {
        let config = parse("f", text).unwrap();
        config.settings().alerts.grafana.unwrap().expose().to_owned()
    };
    assert_eq!(shown(text), "http://grafana:3000");
    assert_eq!(shown("alerts: {grafana: 'https://a:b@g/sub/'}\n"), "https://g/sub");
}

#[test]
fn one_or_many_addresses() {
    let config =
        parse("f", "listen: [127.0.0.1:1, systemd]\nsources:\n- statsd: {listen: unixgram:/x}\n").unwrap();
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.sources[0].settings().listen_addresses().len(), 1);
}

#[test]
fn a_file_brings_its_folder_and_its_packs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("packs")).unwrap();
    let pack = |id: &str| format!("id: {id}\ntitle: T\nabout: A.\nmetrics: [{{name: {id}_x, help: X}}]\n");
    std::fs::write(at("packs/b.yml"), pack("beta")).unwrap();
    std::fs::write(at("packs/a.yaml"), pack("alpha")).unwrap();
    std::fs::write(at("packs/notes.txt"), "no pack").unwrap();
    std::fs::write(
        at("config.yml"),
        "sources:\n- replay: {name: r, file: day.rec}\n- statsd: {mapping: /m.yml}\n",
    )
    .unwrap();
    let config = load(&at("config.yml")).unwrap();
    let ids: Vec<&str> = config.pages.0.iter().map(|page| page.id).collect();
    assert_eq!(ids, ["alpha", "beta"]);
    let Source::Replay(replay) = &config.sources[0] else { panic!("{:?}", config.sources) };
    assert_eq!(replay.file, at("day.rec"));
    let Source::Statsd(statsd) = &config.sources[1] else { panic!("{:?}", config.sources) };
    assert_eq!(statsd.mapping, Some("/m.yml".into()));
    assert_eq!(load(&at("config.yml")).unwrap(), config);

    // Mistakes of both are reported together.
    std::fs::write(at("config.yml"), "lissen: 1\n").unwrap();
    std::fs::write(at("packs/b.yml"), pack("beta").replace("help", "hlep")).unwrap();
    let problems = load(&at("config.yml")).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problems[2].file.ends_with("packs/b.yml"));

    // Two packs that are right alone may not be so together.
    std::fs::write(at("config.yml"), "").unwrap();
    std::fs::write(at("packs/b.yml"), pack("alpha")).unwrap();
    let problems = load(&at("config.yml")).unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.message.contains("already on page alpha")),
        "{problems:#?}"
    );

    std::fs::write(at("config.yml"), "packs: elsewhere\n").unwrap();
    let problems = load(&at("config.yml")).unwrap_err();
    assert!(problems[0].to_string().contains(":1:8: packs: no such folder"), "{problems:#?}");
    std::fs::write(at("config.yml"), b"a: 1\nb: \xff\n").unwrap();
    assert!(load(&at("config.yml")).unwrap_err()[0].to_string().contains("yml:2:1: the line is not UTF-8"));
    assert!(load(&at("none.yml")).unwrap_err()[0].message.contains("cannot read the file"));
}

#[test]
fn runbooks_are_where_the_agent_serves_them() {
    let of = |text: &str| parse("config.yml", text).unwrap().settings().alerts.runbooks();
    assert_eq!(of(""), "http://127.0.0.1:9612/runbooks/");
    assert_eq!(of("listen: 10.0.0.7:9700\n"), "http://10.0.0.7:9700/runbooks/");
    assert_eq!(of("listen: 10.0.0.7:9700\nalerts: {runbooks: 'https://wiki/run'}\n"), "https://wiki/run/");
}
