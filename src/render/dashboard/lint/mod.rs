//! What a dashboard must keep to so that Grafana shows what it means: rules over the JSON that is written, each with
//! the versions of Grafana in which breaking it does harm. They were seen in a browser or read in Grafana's source.
//!
//! It does not know how the JSON came to be, so a dashboard that a person changed can be held to it too.

mod board;
mod panel;
mod table;

use serde_json::Value;

use super::query::Names;

/// One rule over something.
struct Rule {
    /// The versions of Grafana that it is about.
    grafana: &'static str,
    /// What is wrong and what would be right; nothing if all is well.
    broken: fn(&Value, &Names<'_>) -> Option<String>,
}

/// Everything in a dashboard that breaks a rule: which panel, in which versions of Grafana, and what to do.
#[must_use]
pub fn lint(board: &Value, names: &Names<'_>) -> Vec<String> {
    let title = text(board, "title");
    let mut problems = Vec::new();
    for Rule { grafana, broken } in board::RULES {
        problems.extend(broken(board, names).map(|why| format!("{title} (Grafana {grafana}): {why}")));
    }
    for panel in panels(board) {
        for Rule { grafana, broken } in panel::RULES.iter().chain(table::RULES) {
            let why = broken(panel, names);
            problems.extend(
                why.map(|why| format!("{title}: {} (Grafana {grafana}): {why}", text(panel, "title"))),
            );
        }
    }
    problems
}

/// Every panel that is no row, those of closed rows included.
fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    let all = list(board, "panels").iter().flat_map(|panel| [panel].into_iter().chain(list(panel, "panels")));
    all.filter(|panel| panel["type"] != "row")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::{OWN, PAGES, Page};
    use crate::render::Settings;
    use crate::render::dashboard::board::EVALUATED;
    use crate::render::dashboard::{self, assemble};

    fn pages() -> Vec<&'static Page> {
        PAGES.iter().copied().chain(OWN.iter().copied()).collect()
    }

    fn boards() -> Vec<Value> {
        let all = assemble::dashboards(&pages(), &Settings::default());
        all.iter().map(dashboard::json).collect()
    }

    #[test]
    fn what_is_generated_keeps_to_every_rule() {
        let (pages, boards) = (pages(), boards());
        let names = Names::of(&pages);
        let problems: Vec<String> = boards.iter().flat_map(|board| lint(board, &names)).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    /// Spoils the first panel that `which` picks, and insists that one rule says so, by its name and with versions.
    #[track_caller]
    fn breaks(which: impl Fn(&Value) -> bool, spoil: impl Fn(&mut Value), grafana: &str, rule: &str) {
        let pages = pages();
        let names = Names::of(&pages);
        for mut board in boards() {
            let mut found = None;
            for panel in board["panels"].as_array_mut().unwrap() {
                let inner = panel["panels"].as_array_mut().map(std::mem::take).unwrap_or_default();
                let mut inner = inner;
                for one in std::iter::once(&mut *panel).chain(inner.iter_mut()) {
                    if found.is_none() && one["type"] != "row" && which(one) {
                        found = Some(text(one, "title").to_owned());
                        spoil(one);
                    }
                }
                if panel["type"] == "row" {
                    panel["panels"] = Value::Array(inner);
                }
            }
            let Some(title) = found else { continue };
            let problems = lint(&board, &names);
            let right = |of: &String| of.contains(&title) && of.contains(&format!("(Grafana {grafana})"));
            assert!(
                problems.len() == 1 && right(&problems[0]) && problems[0].contains(rule),
                "{rule}: {problems:?}"
            );
            return;
        }
        panic!("{rule}: no panel to spoil");
    }

    /// The same of a rule over titles, which is reported under the new one.
    #[track_caller]
    fn breaks_title(which: impl Fn(&Value) -> bool, spoil: impl Fn(&mut Value), rule: &str) {
        let pages = pages();
        let mut board = boards().remove(0);
        let panel = board["panels"].as_array_mut().unwrap().iter_mut().find(|panel| which(panel)).unwrap();
        spoil(panel);
        let problems = lint(&board, &Names::of(&pages));
        assert!(problems.len() == 1 && problems[0].contains(rule), "{problems:?}");
    }

    fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
        move |panel| panel["type"] == kind
    }

    fn asks(word: &'static str) -> impl Fn(&Value) -> bool {
        move |panel| panel["type"] == "table" && panel["targets"].to_string().contains(word)
    }

    // Long: one panel that breaks each rule.
    #[test]
    fn each_rule_over_panels_is_watched() {
        let none = json!({"type": "special", "options": {"match": "null+nan", "result": {"text": "–"}}});
        let defaults = |key: &'static str, to: Value| {
            move |panel: &mut Value| panel["fieldConfig"]["defaults"][key] = to.clone()
        };
        let option =
            |key: &'static str, to: Value| move |panel: &mut Value| panel["options"][key] = to.clone();
        breaks(is("state-timeline"), defaults("color", json!({"mode": "thresholds"})), "9 to 13", "words");
        breaks(is("table"), defaults("mappings", json!([none])), "9", "names");
        let untyped = |panel: &mut Value| {
            list_mut(&mut panel["fieldConfig"], "overrides").retain(|of| of["matcher"]["id"] != "byType");
        };
        breaks(is("table"), untyped, "9 to 13", "byType");
        breaks(is("table"), defaults("noValue", "no alert fires".into()), "9 to 13", "each empty cell");
        let several =
            |panel: &Value| is("table")(panel) && panel["targets"].as_array().is_some_and(|of| of.len() > 1);
        let lettered = |panel: &mut Value| panel["transformations"] = json!([]);
        breaks(several, lettered, "9 to 13", "without a name");
        breaks(is("bargauge"), defaults("displayName", "${shown_machine}".into()), "9 to 13", "braces");
        breaks(is("stat"), defaults("mappings", json!([])), "9 to 13", "colour");
        breaks(is("gauge"), defaults("mappings", json!([])), "9 to 13", "colour");
        breaks(is("status-history"), |panel| panel["maxDataPoints"] = Value::Null, "9 to 13", "points");
        breaks(is("status-history"), |panel| panel["maxDataPoints"] = 150.into(), "9 to 13", "points");
        let cell = |panel: &mut Value| panel["targets"][0]["expr"] = "neural_channel_quality_ratio".into();
        breaks(is("status-history"), cell, "9 to 13", "between two cells");
        let sampled = |panel: &mut Value| {
            let expr = text(&panel["targets"][0], "expr").replace("[$__interval]", "[1m]");
            panel["targets"][0]["expr"] = expr.into();
        };
        breaks(
            |panel| text(panel, "title") == "Throttled, by reason",
            sampled,
            "9 to 13",
            "shorter than a step",
        );
        let soft =
            |panel: &mut Value| panel["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] = Value::Null;
        let lines =
            |panel: &Value| is("timeseries")(panel) && panel["fieldConfig"]["defaults"]["max"].is_null();
        breaks(lines, soft, "9 to 13", "10,000 %");
        breaks(is("bargauge"), defaults("displayName", Value::Null), "9 to 13", "has no name");
        breaks(is("bargauge"), option("sizing", "auto".into()), "10.3 to 13", "fills the panel");
        breaks(is("bargauge"), option("displayMode", "gradient".into()), "9 to 13", "limits");
        let colour = defaults("color", json!({"mode": "continuous-BlYlRd"}));
        breaks(is("status-history"), colour, "9 to 13", "limits");
        breaks(is("heatmap"), |panel| panel["gridPos"]["h"] = 8.into(), "9 to 13", "overlap");
        let lone = |panel: &Value| is("stat")(panel) && panel["options"]["textMode"] == "value";
        breaks(lone, option("graphMode", "none".into()), "9 to 13", "past");
        breaks(lone, |panel| panel["gridPos"]["h"] = 4.into(), "9 to 13", "past");
        let words = |panel: &Value| is("stat")(panel) && panel["options"]["textMode"] == "name";
        breaks(words, option("text", json!({})), "9 to 13", "over its title");
        let kept = option("reduceOptions", json!({"calcs": ["lastNotNull"]}));
        breaks(lone, kept, "9 to 13", "is gone");
        let bare = |panel: &mut Value| panel["targets"][0]["expr"] = "sum(neural_device_streaming)".into();
        breaks(lone, bare, "9 to 13", "is gone");
        breaks(asks("ALERTS"), option("sortBy", json!([])), "9 to 13", "priority");
        let ask = |text: &'static str| move |panel: &mut Value| panel["targets"][0]["expr"] = text.into();
        let all = "max(ALERTS{job=~\"$job|\",instance=~\"$instance|\"})";
        breaks(asks("ALERTS"), ask(all), "9 to 13", "watchdog");
        let any = "max(ALERTS{severity!~\"none|info\"})";
        breaks(asks("ALERTS"), ask(any), "9 to 13", "reach");
        let plain =
            |panel: &mut Value| panel["fieldConfig"]["defaults"]["custom"]["displayMode"] = Value::Null;
        breaks(is("table"), plain, "9", "displayMode");
        let address =
            |panel: &mut Value| panel["targets"][0]["legendFormat"] = "{{device}} {{instance}}".into();
        breaks(is("timeseries"), address, "9 to 13", "address");
        let hertz = |panel: &mut Value| {
            panel["fieldConfig"]["defaults"]["unit"] = "rothz".into();
            panel["targets"][0]["expr"] = "max(neural_device_rate_hertz)".into();
        };
        breaks(is("timeseries"), hertz, "9 to 13", "nominal");
        let answers = |panel: &Value| panel["targets"].to_string().contains("{{status}}");
        breaks(answers, |panel| panel["fieldConfig"]["overrides"] = json!([]), "9 to 13", "4xx");
        let named = |panel: &mut Value| {
            let title = text(panel, "title").to_owned();
            panel["title"] = format!("{title} anew").into();
        };
        breaks(is("timeseries"), named, "9 to 13", "engineer");
        let otlp = |panel: &mut Value| {
            let title = text(panel, "title").to_owned();
            panel["title"] = format!("{title} Otlp").into();
        };
        breaks(is("timeseries"), otlp, "9 to 13", "write OTLP");
        let card = |panel: &Value| panel["transformations"].to_string().contains(r#":"GPU""#);
        let lower = |panel: &mut Value| {
            let text = panel["transformations"].to_string().replace(r#":"GPU""#, r#":"Gpu""#);
            panel["transformations"] = serde_json::from_str(&text).unwrap();
        };
        breaks(card, lower, "9 to 13", "write GPU");
        let last = |panel: &mut Value| drop(panel["targets"].as_array_mut().unwrap().pop());
        breaks(is("state-timeline"), last, "9 to 13", "No data in response");
        breaks(is("state-timeline"), defaults("mappings", json!([])), "9 to 13", "No data in response");
        breaks(is("status-history"), last, "9 to 13", "No data in response");
        let gap = |panel: &mut Value| {
            let mappings = list(&panel["fieldConfig"]["defaults"], "mappings").iter();
            let words =
                mappings.filter_map(|of| of["options"]["-1"]["text"].as_str()).next().unwrap().to_owned();
            panel["fieldConfig"]["defaults"]["noValue"] = words.into();
        };
        breaks(is("state-timeline"), gap, "9 to 13", "in its legend");
        breaks(is("timeseries"), ask("time() - max(up)"), "9 to 13", "set back");
        let rename = |panel: &mut Value| {
            let long = "A header that is far too long for any of the columns of a table with so many";
            list_mut(panel, "transformations").last_mut().unwrap()["options"]["renameByName"]["instance"] =
                long.into();
            let wide = json!({"matcher": {"options": long}, "properties": [{"id": "custom.minWidth", "value": 130}]});
            list_mut(&mut panel["fieldConfig"], "overrides").push(wide);
        };
        let columns = |panel: &Value| is("table")(panel) && list(panel, "targets").len() > 5;
        let labels = |panel: &mut Value| {
            let organize = list_mut(panel, "transformations").last_mut().unwrap();
            organize["options"]["renameByName"].as_object_mut().unwrap().remove("device");
        };
        breaks(asks("neural_port_baud"), labels, "9 to 13", "begin with a capital");
        breaks(columns, rename, "9 to 13", "cuts the headers");
        let ten = |panel: &Value| is("bargauge")(panel) && panel["targets"].to_string().contains("topk(10");
        breaks(ten, |panel| panel["gridPos"]["h"] = 8.into(), "9 to 13", "last of its bars");
        let two = |panel: &Value| is("table")(panel) && panel["targets"].to_string().contains(" or NaN * (");
        let lonely = |panel: &mut Value| {
            let expr = text(&panel["targets"][0], "expr").split(" or NaN").next().unwrap().to_owned();
            panel["targets"][0]["expr"] = expr.into();
        };
        breaks(two, lonely, "9 to 13", "neither column");
        let latency = |panel: &Value| text(panel, "title") == "Communication latency";
        let again = |panel: &mut Value| {
            let first = panel["targets"][0].clone();
            list_mut(panel, "targets").push(first);
            // Its legend has room.
            panel["gridPos"]["h"] = 30.into();
        };
        breaks(latency, again, "9 to 13", "one quantile");
        let narrow = |panel: &mut Value| {
            list_mut(&mut panel["fieldConfig"], "overrides").retain(|of| of["matcher"]["options"] != "Alert");
        };
        breaks(asks("ALERTS"), narrow, "9 to 13", "minWidth");
        let titled = |panel: &mut Value| panel["title"] = "A number with a title of three lines".into();
        breaks_title(lone, titled, "title that is cut");
        let by_name = |panel: &mut Value| panel["targets"][0]["legendFormat"] = "{{alertname}}".into();
        breaks(is("state-timeline"), by_name, "9 to 13", "by component");
        breaks(is("table"), defaults("unit", "short".into()), "9 to 13", "1.02 K");
        let inputs = |panel: &mut Value| {
            let expr = "max by (instance, source) (min_over_time(neural_source_up[$__interval]))";
            panel["targets"][0]["expr"] = expr.into();
        };
        breaks(is("state-timeline"), inputs, "9 to 13", "twenty-five inputs");
        let stages = |panel: &Value| text(panel, "title") == "Batch size, p95";
        breaks(stages, again, "9 to 13", "one quantile");
        breaks(is("bargauge"), option("text", json!({})), "9 to 13", "as high as its bars");
        let large = option("text", json!({"titleSize": 14, "valueSize": 20}));
        breaks(is("bargauge"), large, "9 to 13", "or cuts them");
        let beside = option("legend", json!({"placement": "right"}));
        breaks(is("timeseries"), beside, "9 to 13", "stripe");
        let named = |panel: &Value| is("stat")(panel) && panel["options"]["textMode"] == "value_and_name";
        breaks(named, option("justifyMode", "center".into()), "9 to 13", "as one word");
        let programs = |panel: &Value| text(panel, "title") == "Every program";
        let unordered = |panel: &mut Value| {
            list_mut(panel, "transformations").last_mut().unwrap()["options"]["indexByName"] = json!({});
        };
        breaks(programs, unordered, "9 to 13", "out of sight");
        let short = |panel: &mut Value| {
            for rule in list_mut(&mut panel["fieldConfig"], "overrides") {
                if rule["matcher"]["options"] == "Latency timer" {
                    list_mut(rule, "properties").retain(|of| of["id"] != "custom.minWidth");
                }
            }
        };
        breaks(asks("neural_port_baud"), short, "9 to 13", "on a phone; give them");
        let cut = |panel: &mut Value| {
            list_mut(&mut panel["fieldConfig"], "overrides").retain(|of| {
                of["matcher"]["options"] != "Source" || of["properties"][0]["id"] != "custom.minWidth"
            });
        };
        breaks(programs, cut, "9 to 13", "names of its rows");
        let without = |header: &'static str| {
            move |panel: &mut Value| {
                for rule in list_mut(&mut panel["fieldConfig"], "overrides") {
                    if rule["matcher"]["options"] == header {
                        list_mut(rule, "properties").retain(|of| of["id"] != "custom.minWidth");
                    }
                }
            }
        };
        breaks(asks("neural_port_baud"), without("Device"), "9 to 13", "names of its rows");
        breaks(programs, without("Does"), "9 to 13", "headers or words of [\"Does\"]");
        let sorted = asks("neural_stream_channel_info");
        breaks(sorted, without("Channel"), "9 to 13", "headers or words of [\"Channel\"]");
        let whole = |panel: &mut Value| {
            let expr = "max by (instance, device, channel) (neural_channel_peak_ratio)";
            panel["targets"][3]["expr"] = expr.into();
        };
        breaks(asks("neural_channel_peak_ratio"), whole, "9 to 13", "1.19e-11%");
        let dots = |panel: &mut Value| panel["targets"][0]["exemplar"] = true.into();
        breaks(is("heatmap"), dots, "9 to 13", "exemplars");
        let limit = |panel: &mut Value| {
            let mut first = panel["targets"][0].clone();
            first["expr"] = "max by (instance, group) (neural_process_open_files_limit)".into();
            list_mut(panel, "targets").push(first);
        };
        breaks(|panel| text(panel, "title") == "Open files", limit, "9 to 13", "lies flat");
        let over_time = |panel: &Value| text(panel, "title") == "Alerts over time";
        let same = |panel: &mut Value| {
            panel["fieldConfig"]["defaults"]["mappings"][0]["options"]["2"]["color"] = "blue".into();
        };
        breaks(over_time, same, "9 to 13", "colours of severities");
        let flag = |panel: &mut Value| {
            panel["targets"][0]["expr"] = "max(neural_history_file_failing)".into();
        };
        breaks(|panel| text(panel, "title") == "What the history lost", flag, "9 to 13", "axis of rates");
        let own = |panel: &Value| panel["targets"].to_string().contains("neural_data_quality_ratio");
        breaks_title(own, |panel| panel["title"] = "Data quality".into(), "say in the title");
        let whether = |panel: &mut Value| panel["description"] = "Whether it is so (1) or not (0).".into();
        breaks(is("timeseries"), whether, "9 to 13", "yes and no");
        let behind = |panel: &mut Value| {
            panel["targets"][0]["legendFormat"] = "{{device}} ${shown_machine}".into();
        };
        breaks(is("state-timeline"), behind, "9 to 13", "machine first");
        let each = |panel: &mut Value| {
            let expr = "topk(5, sum by (source) (rate(neural_source_events_total[$__rate_interval])))";
            panel["targets"][0]["expr"] = expr.into();
        };
        breaks(|panel| text(panel, "title") == "Bytes", each, "9 to 13", "at each step");
        let loss = |panel: &Value| text(panel, "title") == "Packet loss";
        breaks(loss, |panel| panel["gridPos"]["w"] = 6.into(), "9 to 13", "a legend of");
        breaks(loss, |panel| panel["gridPos"]["h"] = 9.into(), "9 to 13", "a legend of 5 lines");
        let port = |panel: &mut Value| panel["transformations"] = json!([]);
        breaks(loss, port, "9 to 13", "the port");
        let why = |panel: &Value| text(panel, "title") == "Why channels are bad";
        let nobody = |panel: &mut Value| {
            let of = list_mut(panel, "targets").last_mut().unwrap();
            let all = text(of, "expr").split_once(" unless on () ").unwrap().1;
            of["expr"] = format!("vector(-1) unless on () {all}").into();
        };
        breaks(why, nobody, "9 to 13", "all is well");
        let unsaid = |panel: &mut Value| {
            let words = &mut panel["fieldConfig"]["defaults"]["mappings"][0]["options"];
            words.as_object_mut().unwrap().remove("-2");
        };
        breaks(why, unsaid, "9 to 13", "all is well");
        let late = |panel: &mut Value| {
            let order = &mut list_mut(panel, "transformations").last_mut().unwrap()["options"]["indexByName"];
            (order["where"], order["alertname"]) = (order["alertname"].clone(), order["where"].clone());
        };
        breaks(asks("ALERTS"), late, "9 to 13", "where an alert is");
        let colourless = |panel: &mut Value| {
            for rule in list_mut(&mut panel["fieldConfig"], "overrides") {
                if rule["matcher"]["options"] == "Failures" {
                    list_mut(rule, "properties").retain(|of| of["id"] != "thresholds");
                }
            }
        };
        breaks(asks("neural_task_failures"), colourless, "9 to 13", "failures no colour");
        let by = |from: &'static str, to: &'static str| {
            move |panel: &mut Value| {
                for target in list_mut(panel, "targets") {
                    target["expr"] = text(target, "expr").replace(from, to).into();
                }
            }
        };
        breaks(asks("neural_probe_success"), by("(instance, source)", "(source)"), "9 to 13", "one name");
        let spikes = |panel: &Value| text(panel, "title") == "Spectrum and spikes";
        let by_name = option("sortBy", json!([{"displayName": "Name", "desc": false}]));
        breaks(spikes, by_name, "9 to 13", "sort by device first");
        breaks(is("state-timeline"), option("alignValue", "left".into()), "9 to 13", "first letters");
        let worst = |panel: &Value| text(panel, "title") == "Worst packet loss";
        breaks(worst, ask("sum(rate(a[5m])) / sum(rate(b[5m])) or vector(NaN)"), "9 to 13", "a mean");
        let firing = |panel: &mut Value| {
            let expr = text(&panel["targets"][0], "expr").replace(EVALUATED, "");
            panel["targets"][0]["expr"] = expr.into();
        };
        breaks(|panel| text(panel, "title") == "Firing alerts", firing, "9 to 13", "no rule is evaluated");
    }

    fn list_mut<'a>(value: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
        value[key].as_array_mut().unwrap()
    }

    /// Spoils a dashboard as a whole.
    #[track_caller]
    fn breaks_whole(key: &str, spoil: impl Fn(&mut Value), rule: &str) {
        let pages = pages();
        let mut board =
            boards().into_iter().find(|board| text(board, "uid") == format!("neural-{key}")).unwrap();
        spoil(&mut board);
        let problems = lint(&board, &Names::of(&pages));
        assert!(
            problems.len() == 1 && problems[0].contains(rule) && problems[0].contains("(Grafana 9"),
            "{rule}: {problems:?}"
        );
    }

    #[test]
    fn each_rule_over_dashboards_is_watched() {
        breaks_whole("devices", |board| board["title"] = "Neural / Devices".into(), "twice");
        let mark = |key: &'static str, to: Value| {
            move |board: &mut Value| board["annotations"]["list"][1][key] = to.clone()
        };
        breaks_whole("devices", mark("useValueForTime", false.into()), "line at the start");
        let firing = "1000 * ALERTS_FOR_STATE{component=~\"device\",severity=~\"critical|high\"}";
        let again = |board: &mut Value| {
            board["annotations"]["list"][2]["expr"] =
                "max(neural_source_up) != max(neural_source_up offset 1m)".into();
        };
        breaks_whole("devices", again, "two minutes in a row");
        breaks_whole("alerts", mark("enable", true.into()), "switch it off");
        breaks_whole("devices", mark("expr", firing.into()), "every device");
        let any =
            "1000 * ALERTS_FOR_STATE{component=~\"device\",instance=~\"$instance|\",device=~\"$device|\"}";
        breaks_whole("devices", mark("expr", any.into()), "high and critical");
        breaks_whole(
            "devices",
            |board| board["templating"]["list"][1]["allValue"] = ".+".into(),
            "Prometheus itself",
        );
        let crowd = |board: &mut Value| {
            let number = board["panels"][1].clone();
            let more = std::iter::repeat_n(number, 7);
            board["panels"].as_array_mut().unwrap().splice(1..1, more);
        };
        breaks_whole("devices", crowd, "phone");
        let none = |board: &mut Value| {
            for panel in board["panels"].as_array_mut().unwrap() {
                if panel["type"] == "timeseries" {
                    panel["fieldConfig"]["defaults"]["noValue"] = "none monitored".into();
                }
            }
        };
        breaks_whole("devices", none, "closed");
        let heading =
            |board: &mut Value| board["panels"][0]["title"] = "Processors and memory in detail".into();
        breaks_whole("devices", heading, "two lines");
    }
}
