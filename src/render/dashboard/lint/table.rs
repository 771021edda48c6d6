//! Rules over tables: their columns, cells, order and headers.

use serde_json::Value;

use super::super::nothing::grouped;
use super::super::query::Names;
use super::super::table::{least, room};
use super::panel::{defaults, exprs, is, names_null, when};
use super::{Rule, list, text};

pub(super) static RULES: &[Rule] = &[
    Rule { grafana: "9", broken: names_are_none },
    Rule { grafana: "9 to 13", broken: cells },
    Rule { grafana: "9 to 13", broken: empty_cells },
    Rule { grafana: "9 to 13", broken: nameless },
    Rule { grafana: "9 to 13", broken: unsorted },
    Rule { grafana: "9", broken: display_mode },
    Rule { grafana: "9 to 13", broken: headers },
    Rule { grafana: "9 to 13", broken: is_alone },
    Rule { grafana: "9 to 13", broken: phone },
    Rule { grafana: "9 to 13", broken: formatted },
    Rule { grafana: "9 to 13", broken: behind },
    Rule { grafana: "9 to 13", broken: stumps },
    Rule { grafana: "9 to 13", broken: beheaded },
    Rule { grafana: "9 to 13", broken: small },
    Rule { grafana: "9 to 13", broken: places },
    Rule { grafana: "9 to 13", broken: pale },
    Rule { grafana: "9 to 13", broken: joined },
    Rule { grafana: "9 to 13", broken: mixed },
    Rule { grafana: "9 to 13", broken: endless },
];

/// Grafana 9 asks `isNaN` of the value whatever its type, and a text is no number.
fn names_are_none(panel: &Value, _: &Names<'_>) -> Option<String> {
    let broken = is(panel, "table") && names_null(&defaults(panel)["mappings"]);
    when(broken, "shows \"–\" for all names; put the mapping of null and NaN into an override byType number")
}

/// Shares that a measurement may have of any size: Grafana writes as many digits as it takes, `1.19e-11%`.
fn endless(panel: &Value, _: &Names<'_>) -> Option<String> {
    let measured = ["_hum_ratio", "_noise_ratio", "_peak_ratio"];
    let of = |expr: &str| measured.iter().any(|of| expr.contains(of)) && !expr.contains("round(");
    let broken = is(panel, "table") && exprs(panel).any(of);
    when(broken, "writes a share as 1.19e-11%; round it to what can be read")
}

/// An empty cell of numbers is otherwise drawn in the colour of the lowest threshold.
fn cells(panel: &Value, _: &Names<'_>) -> Option<String> {
    let right = |of: &Value| {
        let property = |of: &Value| of["id"] == "mappings" && names_null(&of["value"]);
        of["matcher"]["id"] == "byType"
            && of["matcher"]["options"] == "number"
            && list(of, "properties").iter().any(property)
    };
    let broken = is(panel, "table") && !list(&panel["fieldConfig"], "overrides").iter().any(right);
    when(broken, "colours cells without a number; map null and NaN to \"–\" in an override byType number")
}

/// `noValue` of a table is what stands in each cell that is empty, not only what stands in place of the table.
fn empty_cells(panel: &Value, _: &Names<'_>) -> Option<String> {
    let said = text(defaults(panel), "noValue");
    let broken = is(panel, "table") && said != "–";
    when(broken, &format!("writes \"{said}\" into each empty cell; use \"–\" as noValue"))
}

/// Of several queries of which one has an answer, its column is called "Value" without a letter.
fn nameless(panel: &Value, _: &Names<'_>) -> Option<String> {
    let several = is(panel, "table") && list(panel, "targets").len() > 1;
    let hides = |of: &Value| of["options"]["excludeByName"]["Value"] == true;
    let broken = several && !list(panel, "transformations").iter().any(hides);
    when(broken, "shows a column without a name where one query alone has an answer; exclude \"Value\"")
}

fn unsorted(panel: &Value, _: &Names<'_>) -> Option<String> {
    let alerts = is(panel, "table") && exprs(panel).any(|expr| expr.contains("ALERTS"));
    let first = list(&panel["options"], "sortBy").first();
    let right = first.is_some_and(|of| of["displayName"] == "Prio" && of["desc"] == false);
    when(alerts && !right, "hides the worst alerts below others; sort by priority, P0 first")
}

/// `cellOptions` took the place of `displayMode` in 9.5; what an older one does not know it ignores.
fn display_mode(panel: &Value, _: &Names<'_>) -> Option<String> {
    let custom = &defaults(panel)["custom"];
    let one = |of: &Value| {
        let has = |id: &str| list(of, "properties").iter().any(|property| property["id"] == id);
        has("custom.cellOptions") == has("custom.displayMode")
    };
    let right = custom["cellOptions"].is_null() == custom["displayMode"].is_null()
        && list(&panel["fieldConfig"], "overrides").iter().all(one);
    when(is(panel, "table") && !right, "colours no cell; give displayMode beside cellOptions")
}

/// The header of a column is cut, and has a room of 20 pixels less than the column.
fn headers(panel: &Value, _: &Names<'_>) -> Option<String> {
    // A laptop's browser, less the margins of dashboard and panel.
    let inside = (1280.0 - 32.0) * panel["gridPos"]["w"].as_f64()? / 24.0 - 16.0;
    let table = is(panel, "table").then(|| list(panel, "transformations").last()).flatten()?;
    let renamed = table["options"]["renameByName"].as_object()?;
    let mut columns: Vec<&str> = exprs(panel).flat_map(grouped).collect();
    columns.sort_unstable();
    columns.dedup();
    columns.retain(|column| !renamed.contains_key(*column));
    columns.extend(renamed.values().filter_map(Value::as_str));
    let fixed = |column: &str| {
        let of = |rule: &&Value| rule["matcher"]["options"] == column;
        let rules = list(&panel["fieldConfig"], "overrides").iter().filter(of);
        rules.flat_map(|rule| list(rule, "properties")).any(|of| of["id"] == "custom.width")
    };
    // `getColumns`: who needs more than an even share takes it, and the others share the rest.
    let free: Vec<&str> = columns.iter().copied().filter(|column| !fixed(column)).collect();
    let (mut left, mut room) = (free.clone(), inside);
    room -= columns.iter().filter(|of| fixed(of)).map(|of| widest(panel, of)).sum::<f64>();
    while let Some(at) = left.iter().position(|of| widest(panel, of) > room / left.len() as f64) {
        room -= widest(panel, left.remove(at));
    }
    let each = room / left.len().max(1) as f64;
    let wide = |header: &&str| header.chars().count() as f64 * 7.2 + 20.0 > each.max(widest(panel, header));
    let cut: Vec<&str> = free.into_iter().filter(wide).collect();
    if room < 0.0 {
        return when(true, "is wider than a browser of 1280 pixels; give its columns less");
    }
    when(!cut.is_empty(), &format!("cuts the headers {cut:?} in a browser of 1280 pixels; shorten them"))
}

/// Labels are lower-case; titles of columns are not.
fn small(panel: &Value, _: &Names<'_>) -> Option<String> {
    let renamed = &list(panel, "transformations").last()?["options"]["renameByName"];
    let called = |label: &&str| renamed[*label].as_str().unwrap_or(label).to_owned();
    let mut small = exprs(panel).flat_map(grouped).map(|label| called(&label));
    let found = small.find(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    found
        .filter(|_| is(panel, "table"))
        .map(|name| format!("calls a column \"{name}\" beside others that begin with a capital; rename it"))
}

/// See [`nameless`]: where a table has two columns, each query answers for the rows of the other.
fn is_alone(panel: &Value, _: &Names<'_>) -> Option<String> {
    let [first, second] = list(panel, "targets") else { return None };
    let renamed = list(panel, "transformations").last()?["options"]["renameByName"].as_object()?;
    let (first, second) = (text(first, "expr"), text(second, "expr"));
    let same = grouped(first) == grouped(second);
    let columns = renamed.keys().filter(|column| column.starts_with("Value")).count();
    let broken = is(panel, "table") && columns == 2 && same;
    let right = [first, second].iter().all(|expr| expr.contains(" or NaN * ("));
    when(
        broken && !right,
        "shows neither column where one query alone has an answer; let each answer for the other",
    )
}

/// `getDisplayProcessor` takes a text that is a number for one where the field has a unit.
fn formatted(panel: &Value, _: &Names<'_>) -> Option<String> {
    let unit = is(panel, "table") && !defaults(panel)["unit"].is_null();
    when(unit, "writes the name of channel 1024 as 1.02 K; give units to columns alone")
}

/// A phone shows four columns: what something is called, and how it is.
fn behind(panel: &Value, _: &Names<'_>) -> Option<String> {
    let organize = &list(panel, "transformations").last()?["options"];
    let wide = is(panel, "table") && list(panel, "targets").len() > 3;
    // A query without a title gives labels alone.
    let shown = organize["renameByName"].as_object()?.keys();
    let late = shown
        .filter(|column| column.starts_with("Value #") && organize["indexByName"][*column].is_null())
        .count();
    when(wide && late > 0, "has its states and numbers out of sight on a phone; put them before the machine")
}

/// See [`least`].
fn beheaded(panel: &Value, _: &Names<'_>) -> Option<String> {
    let renamed = list(panel, "transformations").last()?["options"]["renameByName"].as_object()?;
    let rules = list(&panel["fieldConfig"], "overrides");
    let given = |header: &str| {
        let of = rules.iter().filter(|rule| rule["matcher"]["options"] == header);
        of.flat_map(|rule| list(rule, "properties"))
            .filter(|of| of["id"] == "custom.minWidth")
            .find_map(|of| of["value"].as_u64())
    };
    let sorted =
        |header: &str| list(&panel["options"], "sortBy").iter().any(|of| of["displayName"] == header);
    // Of the columns of labels those that have an arrow; of alerts other rules say more.
    let own = |label: &str, header: &str| {
        let alerts = ["alertname", "where", "severity", "priority"].contains(&label);
        label.starts_with("Value") || sorted(header) && !alerts
    };
    let headers = renamed.iter().filter_map(|(label, header)| Some((label.as_str(), header.as_str()?)));
    let headers = headers.filter(|(label, header)| own(label, header)).map(|(_, header)| header);
    let wide = |header: &&str| {
        let least = least(header, sorted(header), longest(panel, header));
        least.is_some_and(|least| given(header).is_none_or(|given| given < least as u64))
    };
    let cut: Vec<&str> = headers.filter(wide).collect();
    when(
        is(panel, "table") && !cut.is_empty(),
        &format!("cuts the headers or words of {cut:?} on a phone; give them a minWidth"),
    )
}

/// Letters of the longest word that stands for a number in a column.
fn longest(panel: &Value, header: &str) -> usize {
    let rules =
        list(&panel["fieldConfig"], "overrides").iter().filter(|rule| rule["matcher"]["options"] == header);
    let mappings = rules.flat_map(|rule| list(rule, "properties")).filter(|of| of["id"] == "mappings");
    let words = mappings.flat_map(|of| list(of, "value")).filter_map(|of| of["options"].as_object());
    let words = words.flat_map(|of| of.values()).map(|of| text(of, "text").chars().count());
    words.max().unwrap_or_default()
}

/// Columns share the width of a phone, and a name needs more of it than a number. See [`room`].
fn stumps(panel: &Value, _: &Names<'_>) -> Option<String> {
    let renamed = list(panel, "transformations").last()?["options"]["renameByName"].as_object()?;
    let labels = exprs(panel).flat_map(grouped);
    // Of alerts other rules say more.
    let own = labels.filter(|label| !["alertname", "where", "severity", "priority"].contains(label));
    let all: String = exprs(panel).collect();
    let cut = |label: &&str| {
        let called = renamed.get(*label).and_then(Value::as_str);
        called.is_some_and(|called| widest(panel, called) < f64::from(room(label, &all).max(80)))
    };
    let mut cut: Vec<&str> = own.filter(cut).collect();
    cut.sort_unstable();
    cut.dedup();
    when(
        is(panel, "table") && !cut.is_empty(),
        &format!("cuts the names of its rows on a phone; give the columns of {cut:?} a minWidth"),
    )
}

/// How wide the rules for a column want it at least; what every column is, if none does.
fn widest(panel: &Value, called: &str) -> f64 {
    let of = |rule: &&Value| rule["matcher"]["options"] == called;
    let rules = list(&panel["fieldConfig"], "overrides").iter().filter(of);
    let widths = rules
        .flat_map(|rule| list(rule, "properties"))
        .filter(|of| of["id"] == "custom.width" || of["id"] == "custom.minWidth");
    widths.filter_map(|of| of["value"].as_f64()).fold(80.0, f64::max)
}

/// Two machines with a task, a probe or a hook of one name are two.
fn joined(panel: &Value, _: &Names<'_>) -> Option<String> {
    let merges = |expr: &str| {
        let labels = grouped(expr);
        let own = ["source", "task", "hook", "baseline"].iter().any(|of| labels.contains(of));
        own && !labels.contains(&"instance")
    };
    let broken = is(panel, "table") && exprs(panel).any(merges);
    when(
        broken,
        "joins what has one name on several machines, so that one that is well hides one that is not; group by instance as well",
    )
}

/// Channel 1 of one device, channel 1 of the next: nobody finds those of a device.
fn mixed(panel: &Value, _: &Names<'_>) -> Option<String> {
    let labels: Vec<&str> = exprs(panel).flat_map(grouped).collect();
    let channels = labels.contains(&"channel");
    let of = ["device", "stream"].into_iter().find(|of| labels.contains(of))?;
    let first = list(&panel["options"], "sortBy").first().map(|of| text(of, "displayName").to_owned());
    let renamed = &list(panel, "transformations").last()?["options"]["renameByName"];
    let names = ["channel", "channel_name"].map(|label| renamed[label].as_str().unwrap_or(label));
    let broken = is(panel, "table") && channels && first.is_none_or(|first| names.contains(&&*first));
    when(broken, &format!("mixes the channels of several; sort by {of} first"))
}

/// A phone has 341 pixels for columns, of which each is as wide as it must be.
fn places(panel: &Value, _: &Names<'_>) -> Option<String> {
    let organize = &list(panel, "transformations").last()?["options"];
    let order = organize["indexByName"].as_object()?;
    let at = order.get("where")?.as_u64()?;
    let width = |column: &str| {
        let called = &organize["renameByName"][column];
        let rules = list(&panel["fieldConfig"], "overrides").iter();
        let of = rules.filter(|rule| rule["matcher"]["options"] == *called);
        let properties = of.flat_map(|rule| list(rule, "properties"));
        let mut widths = properties.filter(|of| of["id"] == "custom.width" || of["id"] == "custom.minWidth");
        widths.find_map(|of| of["value"].as_u64()).unwrap_or(80)
    };
    let before = order.iter().filter(|(_, of)| of.as_u64() < Some(at));
    let left = 341u64.saturating_sub(before.map(|(column, _)| width(column)).sum());
    let cut = is(panel, "table") && (left < 120 || width("where") < 120);
    when(cut, "shows a few letters of where an alert is on a phone; put that before the alert's name")
}

/// What failed is told from what did not by its colour.
fn pale(panel: &Value, _: &Names<'_>) -> Option<String> {
    let failures = |target: &&Value| {
        let expr = text(target, "expr");
        expr.contains("_failures_total") || expr.contains("step=\"failed\"")
    };
    let renamed = &list(panel, "transformations").last()?["options"]["renameByName"];
    let plain = |target: &Value| {
        let column = &renamed[format!("Value #{}", text(target, "refId"))];
        let of = |rule: &&Value| rule["matcher"]["options"] == *column;
        let rules = list(&panel["fieldConfig"], "overrides").iter().filter(of);
        let mut properties = rules.flat_map(|rule| list(rule, "properties"));
        column.is_string() && !properties.any(|of| of["id"] == "thresholds")
    };
    let broken = is(panel, "table") && list(panel, "targets").iter().filter(failures).any(plain);
    when(broken, "gives failures no colour; anything but zero is wrong")
}

/// On a phone columns share 285 pixels, unless they are given more.
fn phone(panel: &Value, _: &Names<'_>) -> Option<String> {
    let alerts = is(panel, "table") && exprs(panel).any(|expr| expr.contains("ALERTS"));
    let wide = |rule: &Value| {
        let named = rule["matcher"]["options"] == "Alert";
        let width = |of: &Value| of["id"] == "custom.minWidth" && of["value"].as_u64() >= Some(180);
        named && list(rule, "properties").iter().any(width)
    };
    let right = list(&panel["fieldConfig"], "overrides").iter().any(wide);
    when(alerts && !right, "cuts the names of alerts on a phone; give the column Alert a minWidth of 180")
}
