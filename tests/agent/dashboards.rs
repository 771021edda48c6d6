//! The dashboards: that the committed files are current, and the laws that every panel and query keeps.

use std::collections::{BTreeMap, BTreeSet};

use neural_exporter::catalog::{OWN, PAGES, Page};
use neural_exporter::config::pack;
use neural_exporter::render::dashboard::query::Names;
use neural_exporter::render::dashboard::{self, assemble, json};
use neural_exporter::render::{File, Settings};
use serde_json::Value;

use super::at;
use super::golden::same;

/// Units that Grafana knows (`getValueFormats()` of @grafana/data) and that we use.
const UNITS: &[&str] = &[
    "none",
    "short",
    "percentunit",
    "ppm",
    "s",
    "bytes",
    "Bps",
    "rothz",
    "hertz",
    "cps",
    "ops",
    "pps",
    "reqps",
    "celsius",
    "watt",
    "joule",
    "volt",
    "ohm",
];

/// What Grafana itself replaces.
const BUILT_IN: &[&str] = &["__rate_interval", "__interval", "__range", "__url_time_range"];

fn pages() -> Vec<&'static Page> {
    PAGES.iter().copied().chain(OWN.iter().copied()).collect()
}

/// The built-in pages and every pack that ships.
fn pages_with_packs() -> Vec<&'static Page> {
    let mut files: Vec<_> =
        std::fs::read_dir(at("deploy/packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let packs =
        files.iter().map(|file| pack::parse("pack", &std::fs::read_to_string(file).unwrap()).unwrap());
    pages().into_iter().chain(packs).collect()
}

/// Every dashboard, by its key.
fn dashboards() -> Vec<(String, Value)> {
    let all = assemble::dashboards(&pages_with_packs(), &Settings::default());
    assert!(all.len() > 12);
    all.iter().map(|dashboard| (dashboard.key.clone(), json(dashboard))).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Every panel that is not a row, those of closed rows included.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let top = list(dashboard, "panels");
    top.iter()
        .flat_map(|panel| [panel].into_iter().chain(list(panel, "panels")))
        .filter(|p| p["type"] != "row")
        .collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Every `$name` and `${name…}` in a text.
fn named(text: &str) -> BTreeSet<String> {
    let behind = text.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
    let word = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    behind.map(word).filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_numeric())).collect()
}

#[test]
fn the_committed_dashboards_are_current() {
    let files = dashboard::files(&pages(), &Settings::default());
    // What makes ConfigMaps of them is rendered elsewhere; see `rules`.
    let beside = "dashboards/kustomization.yml";
    let wanted: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).chain([beside]).collect();
    for File { path, text } in &files {
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        }
        same(&at(path), text);
    }
    for folder in ["dashboards", "provisioning/grafana/dashboards", "provisioning/grafana/datasources"] {
        for entry in std::fs::read_dir(at(folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap());
            if std::env::var_os("UPDATE").is_some() && !wanted.contains(&*path) {
                std::fs::remove_file(at(&path)).unwrap();
                continue;
            }
            assert!(wanted.contains(&*path), "{path} is of no dashboard; UPDATE=1 cargo test removes it");
        }
    }
}

#[test]
fn a_dashboard_can_be_found_and_told_apart() {
    let mut uids = BTreeMap::new();
    let mut titles = BTreeMap::new();
    for (name, dashboard) in dashboards() {
        let uid = text(&dashboard, "uid");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(uid.len() <= 40 && uid.chars().all(plain), "{name}: {uid}");
        assert!(dashboard["id"].is_null() && dashboard.get("version").is_none(), "{name}");
        assert!(list(&dashboard, "tags").contains(&dashboard::TAG.into()), "{name}");
        assert!((39..=42).contains(&dashboard["schemaVersion"].as_u64().unwrap()), "{name}");
        assert_eq!(uids.insert(uid.to_owned(), name.clone()), None, "{name}");
        assert_eq!(titles.insert(text(&dashboard, "title").to_owned(), name.clone()), None, "{name}");
    }
    for page in pages_with_packs() {
        let uid = dashboard::uid(page);
        assert!(uids.contains_key(&uid), "{} leads to {uid}, which is not there", page.id);
    }
}

#[test]
fn no_dashboard_breaks_a_rule_of_grafana() {
    let pages = pages_with_packs();
    let names = Names::of(&pages);
    let all = dashboards();
    let told: Vec<String> = all.iter().flat_map(|(_, board)| dashboard::lint::lint(board, &names)).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Labels that every alert of a table names are of no use to tell two apart; each that a summary names is in "where".
#[test]
fn an_alert_says_where_it_is() {
    let boards = dashboards();
    let named: BTreeSet<&str> = neural_exporter::catalog::alert::CHAPTERS
        .iter()
        .flat_map(|chapter| chapter.alerts)
        .flat_map(|alert| alert.summary.split("$labels.").skip(1))
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .collect();
    assert!(named.len() > 15, "{named:?}");
    let mut tables = 0;
    for (name, board) in &boards {
        for panel in panels(board).into_iter().filter(|panel| text(panel, "type") == "table") {
            let expr = text(&list(panel, "targets")[0], "expr");
            if !expr.contains("ALERTS") {
                continue;
            }
            tables += 1;
            for label in named.iter().filter(|label| **label != "job") {
                assert!(expr.contains(&format!("\"{label}\"")), "{name}: {} says no {label}", panel["title"]);
            }
        }
    }
    assert!(tables >= 3, "{tables}");
}

/// The dashboard of alerts has metrics of its own, but is about all components.
#[test]
fn the_dashboard_of_alerts_marks_those_of_every_component() {
    let boards = dashboards();
    let (_, board) = boards.iter().find(|(name, _)| name == "alerts").unwrap();
    let marks =
        list(&board["annotations"], "list").iter().find(|of| text(of, "expr").contains("ALERTS")).unwrap();
    for component in ["device", "signal", "host", "probe", "incident"] {
        assert!(text(marks, "expr").contains(component), "{component}: {}", marks["expr"]);
    }
}

/// What is chosen as all is what the agents are scraped as.
#[test]
fn all_jobs_are_the_configured_one() {
    let mut settings = Settings::default();
    settings.alerts.job = "lab.2".to_owned();
    for dashboard in assemble::dashboards(&pages(), &settings) {
        let board = json(&dashboard);
        let variables = list(&board["templating"], "list");
        let job = variables.iter().find(|of| of["name"] == "job").unwrap();
        assert_eq!(text(job, "allValue"), "lab\\\\.2", "{}", dashboard.key);
    }
}

#[test]
fn channels_show_why_once_and_impedance_as_bars() {
    let all = dashboards();
    let (_, board) = all.iter().find(|(name, _)| name.starts_with("channels")).unwrap();
    let strips: Vec<&str> = panels(board)
        .into_iter()
        .filter(|panel| ["status-history", "state-timeline"].contains(&text(panel, "type")))
        .map(|panel| text(panel, "title"))
        .collect();
    assert!(strips.len() <= 3, "a strip for each measure: {strips:?}");
    let impedance =
        |panel: &&Value| panel["type"] == "bargauge" && panel["targets"].to_string().contains("impedance");
    let bars = panels(board).into_iter().find(impedance).unwrap();
    let steps = list(&bars["fieldConfig"]["defaults"]["thresholds"], "steps");
    let steps: Vec<(Option<f64>, &str)> =
        steps.iter().map(|step| (step["value"].as_f64(), text(step, "color"))).collect();
    let wanted = [(None, "green"), (Some(5e3), "yellow"), (Some(2e4), "orange"), (Some(1e5), "red")];
    assert_eq!(steps, wanted);
}

/// On a phone panels are below each other, in the order of their places.
#[test]
fn alerts_and_devices_come_first_on_a_phone() {
    let all = dashboards();
    let (_, board) = all.iter().find(|(name, _)| name.starts_with("overview")).unwrap();
    let first: Vec<&Value> =
        list(board, "panels").iter().filter(|panel| panel["type"] != "row").take(8).collect();
    let kinds: Vec<&str> = first.iter().map(|panel| text(panel, "type")).collect();
    assert_eq!(kinds[..2], ["stat", "stat"]);
    assert_eq!(kinds.iter().filter(|kind| **kind == "stat").count(), 6, "{kinds:?}");
    let tables: Vec<&str> = first[6..].iter().map(|panel| text(panel, "title")).collect();
    assert_eq!(tables, ["Alerts that fire", "Devices"]);
    assert!(text(first[0], "title").contains("alert") && text(first[1], "title").contains("evices"));
}

/// A dashed line is not in the legend.
#[test]
fn what_is_dashed_is_told() {
    let mut dashed = 0;
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            if panel["fieldConfig"]["overrides"].to_string().contains("lineStyle") {
                dashed += 1;
                assert!(text(panel, "description").contains("dashed"), "{name}: {}", panel["title"]);
            }
        }
    }
    assert!(dashed > 6, "{dashed}");
}

#[test]
fn panels_do_not_overlap_and_are_not_too_many() {
    for (name, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        let open: Vec<&Value> = list(&dashboard, "panels").iter().collect();
        let closed: Vec<Vec<&Value>> = open.iter().map(|row| list(row, "panels").iter().collect()).collect();
        for (place, group) in [open].into_iter().chain(closed).enumerate() {
            for panel in group {
                assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {} is there twice", panel["id"]);
                let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
                assert!(
                    of("w") > 0 && of("h") > 0 && of("x") + of("w") <= 24,
                    "{name}: {}",
                    panel["gridPos"]
                );
                for x in of("x")..of("x") + of("w") {
                    for y in of("y")..of("y") + of("h") {
                        assert!(taken.insert((place, x, y)), "{name}: {} lies on another", panel["title"]);
                    }
                }
            }
        }
        let at_first = list(&dashboard, "panels").iter().filter(|panel| panel["type"] != "row").count();
        assert!((1..=27).contains(&at_first), "{name} shows {at_first} panels at first");
        assert!(panels(&dashboard).len() <= 50, "{name} has {} panels", panels(&dashboard).len());
    }
}

#[test]
fn every_panel_says_what_it_is() {
    for (name, dashboard) in dashboards() {
        // Chosen at the top, so that a file can be imported by hand, read by Grafana and pushed.
        let uid = "${datasource}";
        assert!(!dashboard.as_object().unwrap().keys().any(|key| key.starts_with("__")), "{name}");
        let chosen = &list(&dashboard["templating"], "list")[0];
        assert!(chosen["type"] == "datasource" && chosen["query"] == "prometheus", "{name}: {chosen}");
        assert_eq!(chosen["current"]["value"], "default", "{name}");
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let at = format!("{name}: {}", panel["title"]);
            let (title, about) = (text(panel, "title"), text(panel, "description"));
            assert!((3..=40).contains(&title.chars().count()) && !title.ends_with('.'), "{at}");
            assert!(titles.insert(title), "{at} is there twice");
            assert!(about.len() > 15 && about.ends_with('.'), "{at}: {about}");
            let defaults = &panel["fieldConfig"]["defaults"];
            // Of a table, columns have units; names that are numbers have none.
            let unit =
                defaults["unit"].as_str().or_else(|| (text(panel, "type") == "table").then_some("none"));
            assert!(unit.is_some_and(|unit| UNITS.contains(&unit)), "{at}: {}", defaults["unit"]);
            assert!(!text(defaults, "noValue").is_empty(), "{at}");
            assert!(defaults["thresholds"]["steps"][0]["value"].is_null(), "{at}");
            assert_eq!(text(&panel["datasource"], "uid"), uid, "{at}");
            assert!(!list(panel, "targets").is_empty(), "{at}");
            let mut letters = BTreeSet::new();
            for target in list(panel, "targets") {
                assert_eq!(text(&target["datasource"], "uid"), uid, "{at}");
                assert!(letters.insert(text(target, "refId")), "{at}");
                assert_ne!(target["instant"], target["range"], "{at}");
            }
            let units = list(&panel["fieldConfig"], "overrides").iter().flat_map(|of| list(of, "properties"));
            for unit in units.filter(|property| property["id"] == "unit") {
                assert!(UNITS.contains(&text(unit, "value")), "{at}: {unit}");
            }
        }
    }
}

#[test]
fn every_query_obeys_the_choices_above_it() {
    let pages = pages_with_packs();
    let names = Names::of(&pages);
    for (name, dashboard) in dashboards() {
        let mut used = BTreeSet::new();
        for panel in panels(&dashboard) {
            for target in list(panel, "targets") {
                let expr = text(target, "expr");
                let at = format!("{name}: {}: {expr}", panel["title"]);
                for of in ["rate(", "irate(", "increase("] {
                    // Fixed windows are for numbers of the present, and for what is counted by the hour.
                    let lines = ["timeseries", "heatmap"].contains(&text(panel, "type"));
                    for (place, _) in expr.match_indices(of).filter(|_| lines) {
                        let (window, rest) =
                            expr[place..].split_once('[').unwrap().1.split_once(']').unwrap();
                        // Which lines are shown may depend on the whole range.
                        let chosen = window == "$__range" && rest.starts_with(" @ end()");
                        let hour = of == "increase(" && window == "1h";
                        assert!(window == "$__rate_interval" || hour || chosen, "{at}");
                    }
                }
                for (place, found) in expr.match_indices("neural_").chain(expr.match_indices("up{")) {
                    if expr[..place].ends_with(|c: char| c.is_alphanumeric() || "_\"".contains(c)) {
                        continue;
                    }
                    let rest = &expr[place..];
                    let (sample, rest) = rest.split_once('{').unwrap_or_else(|| panic!("no selector: {at}"));
                    assert!(rest.starts_with("job=~\"$job\",instance=~\"$instance\""), "{at}");
                    let made = expr[..place].ends_with(':');
                    if made {
                        let from =
                            expr[..place - 1].rfind(|c: char| !c.is_alphanumeric()).map_or(0, |at| at + 1);
                        let rule = &expr[from..place + sample.len()];
                        assert!(names.of_record(rule), "{rule}: {at}");
                    } else if found == "neural_" {
                        assert!(names.get(sample).is_some() || names.of_engine(sample), "{sample}: {at}");
                    }
                    if sample.ends_with("_total") {
                        let before = &expr[..place];
                        let rated = ["rate(", "increase("].iter().any(|of| before.ends_with(of));
                        // Times nothing it tells that something was there.
                        let of = before.trim_end_matches("max by (instance, device) (");
                        let after = rest.split_once('}').map_or("", |(_, after)| after);
                        let there = of.ends_with("0 * ") || after.starts_with(") * 0");
                        assert!(rated || there, "a counter is shown raw: {at}");
                    }
                }
                used.extend(named(expr));
                used.extend(named(text(target, "legendFormat")));
            }
        }
        for annotation in list(&dashboard["annotations"], "list") {
            used.extend(named(text(annotation, "expr")));
        }
        let variables = list(&dashboard["templating"], "list");
        let defined: BTreeSet<String> = variables.iter().map(|v| text(v, "name").to_owned()).collect();
        let known = |of: &String| defined.contains(of) || BUILT_IN.contains(&of.as_str());
        assert!(used.iter().all(known), "{name}: {used:?} of {defined:?}");
        for variable in &defined {
            let by_others = variables.iter().any(|other| named(text(other, "definition")).contains(variable));
            let used = used.contains(variable) || variable == "datasource";
            assert!(used, "{name}: {variable} is chosen and not used, unless by others: {by_others}");
        }
        let whole = dashboard.to_string();
        let unknown: Vec<String> = named(&whole)
            .into_iter()
            .filter(|of| !known(of) && !["__all", "__value", "__field", "__data"].contains(&of.as_str()))
            .collect();
        assert_eq!(unknown, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let all = dashboards();
    let uids: BTreeSet<&str> = all.iter().map(|(_, dashboard)| text(dashboard, "uid")).collect();
    let mut links = 0;
    for (name, dashboard) in &all {
        for link in panels(dashboard).iter().flat_map(|panel| list(panel, "links")) {
            let uid = text(link, "url").strip_prefix("/d/").and_then(|url| url.split('?').next()).unwrap();
            assert!(uids.contains(uid), "{name}: {link}");
            links += 1;
        }
    }
    assert!(links > 20);
}

/// The links of a panel's cells and series, with what they are at.
fn ways_down(panel: &Value) -> Vec<(String, String)> {
    let config = &panel["fieldConfig"];
    let of = |at: &str, links: &Value| -> Vec<(String, String)> {
        let links = links.as_array().map_or(&[][..], Vec::as_slice);
        links.iter().map(|link| (at.to_owned(), text(link, "url").to_owned())).collect()
    };
    let mut all = of("", &config["defaults"]["links"]);
    for rule in list(config, "overrides") {
        for property in list(rule, "properties").iter().filter(|property| property["id"] == "links") {
            all.extend(of(text(&rule["matcher"], "options"), &property["value"]));
        }
    }
    all
}

#[test]
fn cells_lead_down_and_panels_keep_what_was_chosen() {
    let boards = dashboards();
    let uids: BTreeSet<&str> = boards.iter().map(|(_, dashboard)| text(dashboard, "uid")).collect();
    for (name, dashboard) in &boards {
        for (at, url) in panels(dashboard).into_iter().flat_map(ways_down) {
            let Some(rest) = url.strip_prefix("/d/") else {
                assert!(
                    at == "Alert" && url.ends_with("/runbooks/${__data.fields.alertname}.md"),
                    "{name}: {url}"
                );
                continue;
            };
            assert!(uids.contains(rest.split('?').next().unwrap()), "{name}: {at}: {url}");
            assert!(url.contains("${datasource:"), "{name}: {url}");
        }
    }
    let board = |key: &str| {
        let uid = format!("neural-{key}");
        &boards.iter().find(|(_, dashboard)| text(dashboard, "uid") == uid).unwrap().1
    };
    let panel = |key: &str, title: &str| {
        let all = panels(board(key));
        (*all.iter().find(|panel| text(panel, "title") == title).unwrap()).clone()
    };
    for (key, title, at, parts) in [
        ("overview", "Devices", "Device", vec!["/d/neural-channels?", "&var-device=${__data.fields.device}"]),
        ("devices", "Devices", "Device", vec!["/d/neural-channels?", "&var-device=${__data.fields.device}"]),
        ("devices", "Packet loss", "", vec!["/d/neural-channels?", "&var-device=${__field.labels.device}"]),
        (
            "channels",
            "Channels",
            "Name",
            vec!["/d/neural-channels?", "&var-channel=${__data.fields.channel}"],
        ),
        (
            "channels",
            "Quality of channels",
            "",
            vec!["/d/neural-channels?", "&var-channel=${__field.labels.channel}"],
        ),
        ("alerts", "Active alerts", "Alert", vec!["/runbooks/${__data.fields.alertname}.md"]),
    ] {
        let ways = ways_down(&panel(key, title));
        let leads = ways.iter().any(|(of, url)| of == at && parts.iter().all(|part| url.contains(part)));
        assert!(leads, "{key}: {title}: {ways:?}");
    }
    // The devices of a machine are its disks.
    for panel in panels(board("system")) {
        assert!(!ways_down(panel).iter().any(|(_, url)| url.contains("var-device")), "{}", panel["title"]);
    }
    let link = panel("overview", "Worst packet loss")["links"][0]["url"].as_str().unwrap().to_owned();
    assert!(link.starts_with("/d/neural-devices?") && link.contains("&${device:queryparam}"), "{link}");
}

#[test]
fn each_device_has_its_own_row_of_channels() {
    for (name, dashboard) in dashboards().iter().filter(|(name, ..)| name.starts_with("channels")) {
        let rows: Vec<&Value> =
            list(dashboard, "panels").iter().filter(|row| row["repeat"] == "device").collect();
        assert_eq!(rows.len(), 1, "{name}");
        assert!(rows.iter().all(|row| text(row, "title").contains("$device")), "{name}");
        // Alphabetical order, which is all that Prometheus has, is the order of the device.
        for panel in panels(dashboard).iter().filter(|panel| panel["type"] == "status-history") {
            // The last one says that there is none.
            for target in list(panel, "targets").split_last().unwrap().1 {
                assert!(
                    text(target, "legendFormat").contains("{{channel_name}}"),
                    "{name}: {}",
                    panel["title"]
                );
                assert!(
                    text(target, "expr").contains("by (instance, device, channel, channel_name)"),
                    "{name}: {target}"
                );
            }
        }
    }
}

#[test]
fn no_metric_is_left_out_and_no_view_is_lost() {
    let pages = pages_with_packs();
    let all: String = dashboards().iter().map(|(_, dashboard)| dashboard.to_string()).collect();
    for metric in pages.iter().flat_map(|page| page.metrics) {
        let shown =
            dashboard::query::samples(metric).iter().any(|sample| all.contains(&format!("{sample}{{")));
        assert!(shown, "{} is on no dashboard", metric.family());
    }
    let lost = assemble::lost(&pages);
    assert_eq!(lost, Vec::<String>::new(), "views that name what is not in the catalogue");
}

#[test]
fn a_changed_limit_changes_the_colours() {
    use neural_exporter::catalog::limit::Limits;
    for (limit, number, key, title) in [
        ("device_loss", 0.0123, "devices", "Worst packet loss"),
        ("device_quality", 0.8123, "channels", "Lowest signal quality"),
        ("device_quality_critical", 0.3123, "channels", "Signal quality of devices"),
        ("channel_quality", 0.4123, "channels", "Worst channel"),
        ("channel_bad_fair", 0.1123, "channels", "Bad for longest"),
        ("channel_bad", 0.4123, "channels", "Bad for longest"),
        // Drawn as 40 ppm.
        ("stream_drift", 0.00004, "streams", "Clock drift"),
    ] {
        let colours = |limits: &Limits| -> Vec<String> {
            let settings = Settings { limits: limits.clone(), ..Settings::default() };
            let all = assemble::dashboards(&pages(), &settings);
            let board = json(all.iter().find(|board| board.key == key).unwrap());
            let all = panels(&board);
            let panel = all.iter().find(|panel| text(panel, "title") == title).unwrap();
            let steps = list(&panel["fieldConfig"]["defaults"]["thresholds"], "steps");
            steps.iter().map(|step| step["value"].to_string()).collect()
        };
        let (usual, changed) =
            (colours(&Limits::default()), colours(&Limits::changed([(limit.to_owned(), number)].into())));
        let drawn = if limit == "stream_drift" { "40.0".to_owned() } else { number.to_string() };
        assert!(changed.contains(&drawn), "{limit}: {changed:?}");
        let moved = usual.iter().zip(&changed).filter(|(usual, changed)| usual != changed).count();
        assert_eq!((moved, usual.len()), (1, changed.len()), "{limit} moves its own step alone");
    }
}
