//! Rules over one panel.

use serde_json::Value;

use super::super::board::EVALUATED;
use super::super::legend;
use super::super::panel::{CELLS, SMALL, readable};
use super::super::query::Names;
use super::super::spec::abbreviation;
use super::super::table::SEVERITIES;
use super::{Rule, list, text};

pub(super) static RULES: &[Rule] = &[
    Rule { grafana: "9 to 13", broken: merged },
    Rule { grafana: "9 to 13", broken: nothing },
    Rule { grafana: "9 to 13", broken: points },
    Rule { grafana: "9 to 13", broken: between },
    Rule { grafana: "9 to 13", broken: flat },
    Rule { grafana: "9 to 13", broken: alone },
    Rule { grafana: "10.3 to 13", broken: large },
    Rule { grafana: "9 to 13", broken: gradients },
    Rule { grafana: "9 to 13", broken: bounds },
    Rule { grafana: "9 to 13", broken: past },
    Rule { grafana: "9 to 13", broken: wrapped },
    Rule { grafana: "9 to 13", broken: gone },
    Rule { grafana: "9 to 13", broken: signs },
    Rule { grafana: "9 to 13", broken: unreached },
    Rule { grafana: "9 to 13", broken: address },
    Rule { grafana: "9 to 13", broken: words },
    Rule { grafana: "9 to 13", broken: lowered },
    Rule { grafana: "9 to 13", broken: rates },
    Rule { grafana: "9 to 13", broken: classes },
    Rule { grafana: "9 to 13", broken: silent },
    Rule { grafana: "9 to 13", broken: gaps },
    Rule { grafana: "9 to 13", broken: before },
    Rule { grafana: "9 to 13", broken: bars },
    Rule { grafana: "9 to 13", broken: quantiles },
    Rule { grafana: "9 to 13", broken: crowd },
    Rule { grafana: "9 to 13", broken: heading },
    Rule { grafana: "9 to 13", broken: swollen },
    Rule { grafana: "9 to 13", broken: flattened },
    Rule { grafana: "9 to 13", broken: unevaluated },
    Rule { grafana: "9 to 13", broken: striped },
    Rule { grafana: "9 to 13", broken: dotted },
    Rule { grafana: "9 to 13", broken: touching },
    Rule { grafana: "9 to 13", broken: ranks },
    Rule { grafana: "9 to 13", broken: mixed },
    Rule { grafana: "9 to 13", broken: scrolled },
    Rule { grafana: "9 to 13", broken: whose },
    Rule { grafana: "9 to 13", broken: broken_up },
    Rule { grafana: "9 to 13", broken: flags },
    Rule { grafana: "9 to 13", broken: beginnings },
    Rule { grafana: "9 to 13", broken: well },
    Rule { grafana: "9 to 13", broken: ported },
    Rule { grafana: "9 to 13", broken: clipped },
    Rule { grafana: "9 to 13", broken: diluted },
];

pub(super) fn is(panel: &Value, kind: &str) -> bool {
    panel["type"] == kind
}

pub(super) fn defaults(panel: &Value) -> &Value {
    &panel["fieldConfig"]["defaults"]
}

pub(super) fn exprs(panel: &Value) -> impl Iterator<Item = &str> {
    list(panel, "targets").iter().map(|target| text(target, "expr"))
}

/// Whether mappings say what nothing is called.
pub(super) fn names_null(mappings: &Value) -> bool {
    let special = |of: &Value| of["type"] == "special" && of["options"]["match"] == "null+nan";
    mappings.as_array().is_some_and(|all| all.iter().any(special))
}

pub(super) fn when(broken: bool, why: &str) -> Option<String> {
    broken.then(|| why.to_owned())
}

/// `mergeThresholdValues` of state-timeline replaces values by bands of thresholds where neighbours are merged and
/// the colour is by thresholds.
fn merged(panel: &Value, _: &Names<'_>) -> Option<String> {
    let by_thresholds = defaults(panel)["color"]["mode"] == "thresholds";
    let broken = is(panel, "state-timeline") && by_thresholds && panel["options"]["mergeValues"] == true;
    when(broken, "shows bands of thresholds (\"-∞+\") in place of its words; use the colour mode fixed")
}

/// A word in place of a number has the colour of the lowest threshold: red for a board without a battery.
fn nothing(panel: &Value, _: &Names<'_>) -> Option<String> {
    let number = ["stat", "gauge", "bargauge"].iter().any(|kind| is(panel, kind));
    when(
        number && !names_null(&defaults(panel)["mappings"]),
        "gives nothing the colour of the lowest threshold; map null and NaN to the words, in a plain colour",
    )
}

/// `StatusHistoryPanel` refuses to draw more points than half its pixels. The step is rounded to a usual one, so that
/// up to 1.75 times `maxDataPoints` come (a step of 3.4 s is asked as 2 s).
fn points(panel: &Value, _: &Names<'_>) -> Option<String> {
    let most = panel["maxDataPoints"].as_u64();
    let broken = is(panel, "status-history") && most.is_none_or(|most| most > u64::from(CELLS));
    when(broken, &format!("\"Too many points to visualize properly\"; set maxDataPoints to {CELLS} or less"))
}

/// A cell, and a piece of a row of states, is one evaluation at its time; over a day they are minutes apart.
fn between(panel: &Value, _: &Names<'_>) -> Option<String> {
    if is(panel, "state-timeline") {
        let own = |expr: &&str| !expr.contains("vector(-1)") && !expr.starts_with("sum by");
        let missed = ranked(panel) && exprs(panel).filter(own).any(|expr| !expr.contains("[$__interval]"));
        return when(
            missed,
            "does not show what lasts shorter than a step; ask for the worst over [$__interval]",
        );
    }
    let wide = |expr: &str| ["_over_time(", "rate(", "increase("].iter().any(|of| expr.contains(of));
    let broken = is(panel, "status-history") && !exprs(panel).all(wide);
    when(broken, "does not show what happens between two cells; ask for min_over_time(…[$__interval]) or max")
}

/// Whether its numbers rank its states, so that the worst of several is the highest or the lowest.
fn ranked(panel: &Value) -> bool {
    let options = list(defaults(panel), "mappings").iter().filter_map(|of| of["options"].as_object());
    let words = options.flatten().filter_map(|(number, word)| Some((number.parse::<f64>().ok()?, word)));
    let own = words.filter(|(number, word)| ![-1.0, -2.0].contains(number) && word["color"] != "blue");
    let (good, bad): (Vec<_>, Vec<_>) = own.partition(|(_, word)| word["color"] == "green");
    let all = |worse: fn(f64, f64) -> bool| {
        !bad.is_empty() && bad.iter().all(|(bad, _)| good.iter().all(|(good, _)| worse(*bad, *good)))
    };
    all(|bad, good| bad > good) || all(|bad, good| bad < good)
}

/// uPlot's range of values that are all zero is 0 to 100.
fn flat(panel: &Value, _: &Names<'_>) -> Option<String> {
    let (max, soft) = (&defaults(panel)["max"], &defaults(panel)["custom"]["axisSoftMax"]);
    let broken = is(panel, "timeseries") && max.is_null() && soft.as_f64().is_none_or(|soft| soft <= 0.0);
    when(broken, "has an axis to 100 (10,000 %) where all is zero; set axisSoftMax")
}

/// `clearNameForSingleSeries`, and its like in later versions.
fn alone(panel: &Value, _: &Names<'_>) -> Option<String> {
    // What a variable puts into a name is taken as it is, `{{instance}}` too.
    let name = text(defaults(panel), "displayName");
    let broken = is(panel, "bargauge") && (name.is_empty() || name.contains("${shown_machine}"));
    when(
        broken,
        "a bar that is alone has no name, or one with braces; set displayName, by labels of the field",
    )
}

/// From 10.3 on a bar has a largest height, which holds where sizing is manual; before, the panel is its only bound.
fn large(panel: &Value, _: &Names<'_>) -> Option<String> {
    let options = &panel["options"];
    let bound =
        options["sizing"] == "manual" && options["maxVizHeight"].as_u64().is_some_and(|most| most <= 60);
    when(
        is(panel, "bargauge") && !bound,
        "a bar that is alone fills the panel; set sizing to manual and maxVizHeight",
    )
}

/// A gradient has every colour, whatever the limits are.
fn gradients(panel: &Value, _: &Names<'_>) -> Option<String> {
    let scheme = text(&defaults(panel)["color"], "mode").starts_with("continuous");
    let mode = is(panel, "bargauge") && panel["options"]["displayMode"] == "gradient";
    when(scheme || mode, "is coloured by a gradient; colour by the limits")
}

/// See [`readable`].
fn bounds(panel: &Value, names: &Names<'_>) -> Option<String> {
    let height = u32::try_from(panel["gridPos"]["h"].as_u64()?).ok().filter(|_| is(panel, "heatmap"))?;
    let sample = |expr: &str| {
        expr.match_indices("neural_").map(|(at, _)| at).find_map(|at| {
            let word = expr.get(at..)?.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
            names.get(word).map(|metric| metric.ladder(None, &crate::catalog::limit::Limits::default()).len())
        })
    };
    let most = exprs(panel).filter_map(sample).max()?;
    when(!readable(most, height), "the bounds of its buckets overlap; make it higher, or draw fewer")
}

/// A number alone has room for how it came to be; `BigValueLayout` draws it where more than 100 pixels of height are
/// left.
fn past(panel: &Value, _: &Names<'_>) -> Option<String> {
    let lone = is(panel, "stat") && panel["options"]["textMode"] == "value";
    let high = panel["gridPos"]["h"].as_u64().is_some_and(|height| height >= u64::from(SMALL));
    let drawn = panel["options"]["graphMode"] == "area" && high;
    when(lone && !drawn, "does not show the past of its number; set graphMode to area and make it higher")
}

/// `BigValue` takes the size of a text from the height that there is, and a text with a space continues in a second
/// line.
fn wrapped(panel: &Value, _: &Names<'_>) -> Option<String> {
    let words = is(panel, "stat") && panel["options"]["textMode"] == "name";
    let sized = panel["options"]["text"]["valueSize"].as_u64().is_some_and(|size| size <= 40);
    when(words && !sized, "writes its words over its title; set text.valueSize to 40 at most")
}

/// The last value of a range that is not null may be of what is gone.
fn gone(panel: &Value, _: &Names<'_>) -> Option<String> {
    let ranged = is(panel, "stat") && list(panel, "targets").iter().any(|target| target["range"] == true);
    let last = panel["options"]["reduceOptions"]["calcs"] == serde_json::json!(["last"]);
    let ends = exprs(panel).all(|expr| expr.contains("or vector("));
    when(
        ranged && !(last && ends),
        "keeps the last number of what is gone; ask for `… or vector(NaN)` and reduce by last",
    )
}

/// Each selector of alerts in a query.
fn alerts(expr: &str) -> impl Iterator<Item = &str> {
    let parts = ["ALERTS{", "ALERTS_FOR_STATE{"].into_iter().flat_map(|of| expr.split(of).skip(1));
    parts.filter_map(|rest| rest.split('}').next())
}

fn signs(panel: &Value, _: &Names<'_>) -> Option<String> {
    let broken = exprs(panel).flat_map(alerts).any(|of| !of.contains("severity!~\"none|info\""));
    when(broken, "counts the watchdog, which always fires; add severity!~\"none|info\"")
}

fn unreached(panel: &Value, _: &Names<'_>) -> Option<String> {
    let right = |of: &str| of.contains("job=~\"$job|\"") && of.contains("instance=~\"$instance|\"");
    when(
        !exprs(panel).flat_map(alerts).all(right),
        "the choice of job and instance does not reach its alerts",
    )
}

fn address(panel: &Value, _: &Names<'_>) -> Option<String> {
    let mut legends = list(panel, "targets").iter().map(|target| text(target, "legendFormat"));
    let broken = legends.any(|of| of.contains("{{instance}}") && of != "{{instance}}");
    when(broken, "fills its legend with the address of the only machine; use the variable that hides it")
}

/// Words that only who wrote them understands.
const RIDDLES: &[&str] =
    &["alike", "anew", "longest way", "numbers that are none", "no numbers", "likeness", "doubt"];

fn words(panel: &Value, _: &Names<'_>) -> Option<String> {
    let title = text(panel, "title").to_lowercase();
    let of = RIDDLES.iter().find(|of| title.contains(*of))?;
    Some(format!("no engineer of a laboratory knows what \"{of}\" means; use the term of the field"))
}

/// "Otlp clock lag" is what a name becomes if nobody looks at it.
fn lowered(panel: &Value, _: &Names<'_>) -> Option<String> {
    let organized = list(panel, "transformations").last();
    let headers = organized.and_then(|of| of["options"]["renameByName"].as_object());
    let headers = headers.into_iter().flat_map(|of| of.values()).filter_map(Value::as_str);
    let mut words = std::iter::once(text(panel, "title")).chain(headers).flat_map(str::split_whitespace);
    let found =
        words.find_map(|word| abbreviation(word).filter(|right| *right != word).map(|right| (word, right)));
    found.map(|(word, right)| format!("writes \"{word}\" in a title or header; write {right}"))
}

/// A device of 16 kHz beside one of 250 Hz hides what the slow one does.
fn rates(panel: &Value, _: &Names<'_>) -> Option<String> {
    let senders = ["neural_device_", "neural_stream_", "neural_program_"];
    let of = |expr: &str| senders.iter().any(|of| expr.contains(of));
    let broken = is(panel, "timeseries") && defaults(panel)["unit"] == "rothz" && exprs(panel).any(of);
    when(broken, "has rates of different size on one axis; draw them as shares of nominal")
}

/// The palette gives colours by the order of series, which differs from panel to panel.
fn classes(panel: &Value, _: &Names<'_>) -> Option<String> {
    let named = |target: &Value| {
        let legend = text(target, "legendFormat");
        ["4xx", "5xx", "{{status}}"].iter().any(|of| legend.contains(of))
    };
    let overrides = panel["fieldConfig"]["overrides"].to_string();
    let right = ["4(xx|", "5(xx|"].iter().all(|of| overrides.contains(of));
    let broken = list(panel, "targets").iter().any(named) && !right;
    when(broken, "gives 4xx and 5xx another colour than other panels do; fix them by byRegexp")
}

/// `prepareTimelineFields` knows no `noValue`: what is not there has to be a series of its own.
fn silent(panel: &Value, _: &Names<'_>) -> Option<String> {
    let states = is(panel, "state-timeline") || is(panel, "status-history");
    let said = |of: &Value| !text(&of["options"]["-1"], "text").is_empty();
    let mapped = list(defaults(panel), "mappings").iter().any(said);
    let asked = |expr: &str| {
        expr.starts_with("vector(-1) unless on () (")
            || expr.starts_with("(vector(-1) and on () (") && expr.contains(" or vector(-2)) unless on () (")
    };
    let asked = exprs(panel).any(asked);
    when(
        states && !(mapped && asked),
        "says \"No data in response\" where there is nothing; ask for vector(-1) unless on () what it shows, and map -1 to \
         the words",
    )
}

/// Rows that are there only while something is wrong are not there either where nobody looks: a device that is gone has no bad channel.
fn well(panel: &Value, _: &Names<'_>) -> Option<String> {
    let states = is(panel, "state-timeline") || is(panel, "status-history");
    // What is added for those that are gone compares too, and is not the whole of the rows.
    let wrong = |expr: &str| {
        [" == ", " > ", "ALERTS{"].iter().any(|of| expr.contains(of)) && !expr.contains(") or max by (")
    };
    let own: Vec<&str> = exprs(panel).filter(|expr| !expr.contains("vector(-1)")).collect();
    let known = exprs(panel).any(|expr| expr.contains(" or vector(-2)) unless on () ("));
    let said = |of: &Value| !text(&of["options"]["-2"], "text").is_empty();
    let named = list(defaults(panel), "mappings").iter().any(said);
    let broken = states && !own.is_empty() && own.iter().all(|expr| wrong(expr)) && !(known && named);
    when(
        broken,
        "says that all is well where nobody looks; ask for vector(-2) there, and map -2 to what is missing",
    )
}

/// `getLegendItems` of timelines takes a state from each value, and `noValue` from those that are missing.
fn gaps(panel: &Value, _: &Names<'_>) -> Option<String> {
    let states = is(panel, "state-timeline") || is(panel, "status-history");
    let said = |of: &Value| of["options"]["-1"]["text"] == defaults(panel)["noValue"];
    let broken = states && list(defaults(panel), "mappings").iter().any(said);
    when(
        broken,
        "says in its legend that nothing is there as soon as one row has a gap; set noValue to what a gap is",
    )
}

/// The clock of a server may be set back, or be behind that of an agent.
fn before(panel: &Value, _: &Names<'_>) -> Option<String> {
    let mut ages = exprs(panel).flat_map(|expr| ["time() - ", "_time_seconds{"].map(|of| (expr, of)));
    let bare = ages.any(|(expr, of)| {
        let differs = of.starts_with("time()") || expr.contains(") - on (instance) group_right");
        differs && expr.contains(of) && !expr.contains("clamp_min(")
    });
    when(bare, "is below zero after a clock was set back; use clamp_min(…, 0)")
}

/// Priorities are told apart by their colours alone where a band is too narrow for its word, and mean what those of
/// severities mean.
fn ranks(panel: &Value, _: &Names<'_>) -> Option<String> {
    let colours: Vec<&str> = SEVERITIES.iter().map(|(_, colour)| *colour).collect();
    let words = list(defaults(panel), "mappings").iter().filter_map(|of| of["options"].as_object());
    let wrong = words.flat_map(|of| of.values()).find(|word| {
        let rank = text(word, "text").strip_prefix('P').and_then(|rank| rank.parse::<usize>().ok());
        rank.is_some_and(|rank| colours.get(rank) != Some(&text(word, "color")))
    })?;
    let word = text(wrong, "text");
    Some(format!(
        "gives {word} another colour than its severity has; use the colours of severities, each once"
    ))
}

/// A state of 0 or 1 on an axis of rates reads as one event in a second, and hides rates that are smaller.
fn mixed(panel: &Value, _: &Names<'_>) -> Option<String> {
    let rates = ["cps", "ops", "pps", "reqps", "Bps"].contains(&text(defaults(panel), "unit"));
    let rate = |expr: &str| expr.contains("rate(") || expr.contains("_per_second");
    let broken = is(panel, "timeseries") && rates && !exprs(panel).all(rate);
    when(broken, "draws what is no rate on an axis of rates; draw states in a timeline of their own")
}

/// `topk` of a range is evaluated at each step: another choice at each, and lines that begin and end.
fn broken_up(panel: &Value, _: &Names<'_>) -> Option<String> {
    let each =
        |expr: &str| (expr.contains("topk(") || expr.contains("bottomk(")) && !expr.contains("@ end()");
    let broken = is(panel, "timeseries") && exprs(panel).any(each);
    when(
        broken,
        "chooses its lines at each step; choose them once, by the whole range (… and on (…) topk(…[$__range] @ end()))",
    )
}

/// A line between 0 and 1 says neither what they mean nor which of them is good.
fn flags(panel: &Value, _: &Names<'_>) -> Option<String> {
    let broken = is(panel, "timeseries") && text(panel, "description").starts_with("Whether ");
    when(broken, "draws yes and no as a line; draw it as states, with words")
}

/// Nine devices of two machines have a legend of seven lines on a phone, with the port of each machine.
fn ported(panel: &Value, _: &Names<'_>) -> Option<String> {
    let over_time = ["timeseries", "state-timeline", "status-history"].iter().any(|kind| is(panel, kind));
    let machine = |target: &Value| {
        let legend = text(target, "legendFormat");
        ["${shown_machine}", "${machine_first}", "{{instance}}"].iter().any(|of| legend.contains(of))
    };
    let cut = |of: &Value| of["id"] == "renameByRegex" && text(&of["options"], "regex").starts_with("/:9612");
    let broken = over_time
        && list(panel, "targets").iter().any(machine)
        && !list(panel, "transformations").iter().any(cut);
    when(broken, "names the port that every agent has in each of its names; cut it by renameByRegex")
}

/// `UPlotAxisBuilder` gives names of rows 40 % of the width at most, and writes them to the right edge: the beginning is cut.
fn beginnings(panel: &Value, _: &Names<'_>) -> Option<String> {
    let rows = is(panel, "state-timeline") || is(panel, "status-history");
    let last = |target: &Value| text(target, "legendFormat").contains("${shown_machine}");
    let broken = rows && list(panel, "targets").iter().any(last);
    when(broken, "cuts the names of its rows and leaves their machine; put the machine first")
}

/// Pipelines report a quality of their own, which is not that of the electrodes.
fn whose(panel: &Value, _: &Names<'_>) -> Option<String> {
    let own = exprs(panel).any(|expr| expr.contains("neural_data_quality_ratio"));
    let broken = own && !text(panel, "title").to_lowercase().contains("pipeline");
    when(broken, "is taken for the quality of the signal; say in the title that pipelines report it")
}

/// A box that begins before the selected time begins left of what is drawn, and so does its word where it stands at the left.
fn clipped(panel: &Value, _: &Names<'_>) -> Option<String> {
    let left = is(panel, "state-timeline") && panel["options"]["alignValue"] != "center";
    when(left, "cuts the first letters of its words; set alignValue to center")
}

/// One device of ten that loses every tenth packet is one percent of all.
fn diluted(panel: &Value, _: &Names<'_>) -> Option<String> {
    let number = is(panel, "stat") || is(panel, "gauge");
    let judged = list(&defaults(panel)["thresholds"], "steps").len() > 1;
    let mean = |expr: &str| {
        expr.starts_with("avg(")
            || expr.starts_with("sum(") && expr.contains(" / ")
            || expr.starts_with("histogram_quantile(") && expr.contains("sum by (le)")
    };
    let broken = number && judged && exprs(panel).any(mean);
    when(broken, "is a mean, in which all that are well hide one that is not; colour the worst")
}

/// See [`legend`].
fn scrolled(panel: &Value, _: &Names<'_>) -> Option<String> {
    let hidden = |target: &&Value| {
        let of = |rule: &Value| {
            let hides = |of: &Value| of["id"] == "custom.hideFrom" && of["value"]["legend"] == true;
            rule["matcher"]["options"] == target["refId"] && list(rule, "properties").iter().any(hides)
        };
        !list(&panel["fieldConfig"], "overrides").iter().any(of)
    };
    let size = |key: &str| panel["gridPos"][key].as_u64().and_then(|of| u32::try_from(of).ok());
    let (width, height) = (size("w")?, size("h")?);
    let shown = || {
        let shown = list(panel, "targets").iter().filter(hidden);
        shown.map(|of| (text(of, "legendFormat"), text(of, "expr")))
    };
    let lines = legend::lines(shown(), width).max(legend::lines_on_a_phone(shown()));
    let broken = is(panel, "timeseries") && lines > legend::room(height);
    when(
        broken,
        &format!(
            "has a legend of {lines} lines, of which the last are cut; show fewer series, or make it wider"
        ),
    )
}

/// A bar and its name need 26 pixels.
fn bars(panel: &Value, _: &Names<'_>) -> Option<String> {
    let height = panel["gridPos"]["h"].as_f64().filter(|_| is(panel, "bargauge"))? * 38.0 - 8.0 - 48.0;
    let most = |expr: &str| expr.split("topk(").nth(1)?.split(',').next()?.parse::<f64>().ok();
    let cut = exprs(panel).filter_map(most).any(|most| most * 26.0 > height);
    when(cut, "cuts the last of its bars; make it higher, or show fewer")
}

/// Two lines for each of nine devices have a legend that nobody can read.
fn quantiles(panel: &Value, _: &Names<'_>) -> Option<String> {
    let of = |target: &&Value| {
        let legend = text(target, "legendFormat");
        ["{{device}}", "{{stage}}", "{{stream}}"].iter().any(|of| legend.contains(of))
            && text(target, "expr").contains("histogram_quantile(")
    };
    let many = is(panel, "timeseries") && list(panel, "targets").iter().filter(of).count() > 1;
    when(
        many,
        "has several lines for each device, stage or stream; show one quantile, and how they spread beside it",
    )
}

/// A title has the width of its panel, less the mark of the description and the menu.
fn heading(panel: &Value, _: &Names<'_>) -> Option<String> {
    let wide = (1280.0 - 32.0) * panel["gridPos"]["w"].as_f64()? / 24.0 - 8.0;
    let long = text(panel, "title").chars().count() as f64 * 7.2 + 40.0 > wide;
    when(long, "has a title that is cut in a browser of 1280 pixels; shorten it")
}

/// Names of rows are written over each other where there are more than twenty.
fn crowd(panel: &Value, _: &Names<'_>) -> Option<String> {
    let named = |target: &Value| text(target, "legendFormat").contains("{{alertname}}");
    let drawn = is(panel, "state-timeline") || is(panel, "timeseries");
    if drawn && list(panel, "targets").iter().any(named) {
        return when(true, "has a line for each of fifty alerts; draw them by component");
    }
    let inputs = |expr: &str| {
        let of = ["neural_source_up", "neural_source_poll_success"].iter().any(|of| expr.contains(of));
        of && !expr.contains("[$__range] @ end())")
    };
    let each =
        |target: &Value| text(target, "legendFormat").contains("{{source}}") && inputs(text(target, "expr"));
    when(
        is(panel, "state-timeline") && list(panel, "targets").iter().any(each),
        "has a line for each of twenty-five inputs; draw those that were down",
    )
}

/// `BarGauge` takes the size of names and numbers from the height of a bar.
fn swollen(panel: &Value, _: &Names<'_>) -> Option<String> {
    let text = &panel["options"]["text"];
    let sized = |key: &str, most| text[key].as_u64().is_some_and(|size| size <= most);
    // `calculateTitleDimensions` measures the room for a name at 12 pixels at least, whatever size is set.
    let right = sized("titleSize", 12) && sized("valueSize", 24);
    when(
        is(panel, "bargauge") && !right,
        "writes names as high as its bars, or cuts them; set text.titleSize to 12 and text.valueSize to 24 at most",
    )
}

/// An axis that begins at zero and reaches a limit of thousands shows a line of hundreds as flat.
fn flattened(panel: &Value, _: &Names<'_>) -> Option<String> {
    let count = |expr: &str| {
        let mut words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.any(|word| word.ends_with("_limit")) && !expr.contains(" / ")
    };
    let broken = is(panel, "timeseries") && exprs(panel).count() > 1 && exprs(panel).any(count);
    when(broken, "has a line for a limit that is far away, so that the other lies flat; draw the share of it")
}

/// A legend at the right takes what its names need, and a phone has 390 pixels for both.
fn striped(panel: &Value, _: &Names<'_>) -> Option<String> {
    let drawn = is(panel, "timeseries") && panel["options"]["legend"]["placement"] == "right";
    when(drawn, "leaves a stripe of its lines on a phone; place the legend at the bottom")
}

/// A heat map draws a dot for each exemplar, hundreds in half an hour, and its cells cannot be seen below them.
fn dotted(panel: &Value, _: &Names<'_>) -> Option<String> {
    let asked = list(panel, "targets").iter().any(|target| target["exemplar"] == true);
    when(is(panel, "heatmap") && asked, "covers its cells with exemplars; show them on lines alone")
}

/// `WideNoChartLayout` leaves no space between a name and its number, unless they are at the two sides.
fn touching(panel: &Value, _: &Names<'_>) -> Option<String> {
    let both = is(panel, "stat") && panel["options"]["textMode"] == "value_and_name";
    let middle = panel["options"]["justifyMode"] == "center";
    when(both && middle, "writes a name and its number as one word on a phone; set justifyMode to auto")
}

/// No alert fires where nobody evaluates the rules.
fn unevaluated(panel: &Value, _: &Names<'_>) -> Option<String> {
    let counts = |expr: &str| expr.contains("ALERTS") && expr.contains("or vector(0)");
    let broken = is(panel, "stat") && exprs(panel).any(|expr| counts(expr) && !expr.contains(EVALUATED));
    when(broken, "says 0 where no rule is evaluated; ask for the watchdog as well")
}
