//! `incidents`: what the agent keeps of alerts that fired, and who says that they take care of one.

use std::fmt::Write;

use clap::{Subcommand, ValueEnum};
use ratatui_core::text::Line;
use serde_json::Value as Json;

use super::server::ServerArgs;
use super::{Exit, complain, json, look, print, runtime};
use crate::alert::health::Status as How;
use crate::alert::incident::{Incident, Status};
use crate::ask::Failure;
use crate::clock::now;
use crate::promql::{moment, moment_ms};
use crate::quote::quote;
use crate::setting::Span;
use crate::view::table::{self, Cell};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<IncidentsCommand>,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the answer.
    #[arg(long, global = true, value_name = "FORM", default_value = "table")]
    output: Output,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// As the data of the agent's API.
    Json,
    /// A line for each incident.
    Csv,
}

#[derive(Debug, Subcommand)]
enum IncidentsCommand {
    /// List incidents, the newest first; those that are not resolved if nothing else is asked for.
    List(Filter),
    /// Show one incident: its values, and what happened.
    Show {
        /// Its number, or the beginning of it.
        number: String,
    },
    /// Say that you take care of an incident: it is not escalated any more.
    Ack(Change),
    /// Close an incident by hand. If its alert fires on, another one begins when it fires the next time.
    Resolve(Change),
    /// Print every incident of the agent, for a file: as JSON, or with --output csv a line for each.
    Export {
        /// Of this long up to now: 24h, 30d.
        #[arg(long, value_name = "SPAN")]
        last: Option<Span>,
    },
    /// Count: by alert, severity and day, and how long it took to acknowledge and to resolve.
    Stats {
        /// Of this long up to now: 24h, 30d.
        #[arg(long, value_name = "SPAN")]
        last: Option<Span>,
    },
}

/// Which incidents are listed.
#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// In this state: open, escalated, acknowledged, resolved; can be given more than once.
    #[arg(long, value_name = "STATE", value_parser = ["open", "escalated", "acknowledged", "resolved"])]
    state: Vec<String>,
    /// In any state.
    #[arg(long, conflicts_with = "state")]
    all: bool,
    /// Of this alert; can be given more than once.
    #[arg(long, value_name = "NAME")]
    alert: Vec<String>,
    /// Of this priority; can be given more than once.
    #[arg(long, value_name = "PRIORITY", value_parser = ["P0", "P1", "P2", "P3"])]
    priority: Vec<String>,
    /// Of this long up to now: 24h, 30d.
    #[arg(long, value_name = "SPAN")]
    last: Option<Span>,
    /// So many at most; 0 for all.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

/// Who does something about an incident.
#[derive(Debug, clap::Args)]
struct Change {
    /// Its number, or the beginning of it.
    number: String,
    /// Who; if omitted, the user who runs this.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why, or what is done.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
}

pub(super) fn incidents(args: &Args) -> Exit {
    let listed = IncidentsCommand::List(Filter::default());
    let (path, form) = match request(args.what.as_ref().unwrap_or(&listed)) {
        Ok(request) => request,
        Err(why) => {
            complain(&why);
            return Exit::Usage;
        }
    };
    let Some(server) = args.server.open() else { return Exit::Usage };
    let Some(runtime) = runtime() else { return Exit::Failed };
    match runtime.block_on(server.call(&path, form)) {
        Ok((data, notes)) => {
            for note in &notes {
                complain(&format!("note: {note}"));
            }
            let kept = data.get("kept").is_none_or(|kept| kept == true);
            if !kept {
                complain(&"it is in the agent's memory, and not on disk yet: see its log");
            }
            shown(args, &data)
        }
        Err(Failure::Absent(why)) => {
            complain(&format!("{why}\n  hint: the agent has to run; name another one with --server"));
            Exit::Failed
        }
        Err(Failure::Question(why) | Failure::Missing(why) | Failure::Server(why)) => {
            complain(&why);
            Exit::Failed
        }
    }
}

/// The path of what is asked, and the form of what is changed.
fn request(what: &IncidentsCommand) -> Result<(String, Option<String>), String> {
    let since = |last: &Option<Span>| {
        let last = last.as_ref()?;
        let ms = i64::try_from(last.0.as_millis()).unwrap_or(i64::MAX);
        Some(("from", moment_ms(now().wall_milliseconds().saturating_sub(ms).max(0))))
    };
    let asked = |path: &str, pairs: Vec<(&str, String)>| {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        (format!("{path}?{query}"), None)
    };
    Ok(match what {
        IncidentsCommand::List(filter) => {
            let open = ["open", "escalated", "acknowledged"].map(str::to_owned);
            let states = if filter.state.is_empty() && !filter.all { &open[..] } else { &filter.state };
            let named = [("state", states), ("alert", &filter.alert), ("priority", &filter.priority)];
            let pairs =
                named.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, value.clone())));
            let limit = ("limit", filter.limit.to_string());
            asked("/api/v1/incidents", pairs.chain(since(&filter.last)).chain([limit]).collect())
        }
        IncidentsCommand::Export { last } => {
            asked("/api/v1/incidents", since(last).into_iter().chain([("limit", "0".to_owned())]).collect())
        }
        IncidentsCommand::Stats { last } => {
            asked("/api/v1/incidents/stats", since(last).into_iter().collect())
        }
        IncidentsCommand::Show { number } => (format!("/api/v1/incidents/{}", checked(number)?), None),
        IncidentsCommand::Ack(change) => changes(change, "ack")?,
        IncidentsCommand::Resolve(change) => changes(change, "resolve")?,
    })
}

fn changes(change: &Change, path: &str) -> Result<(String, Option<String>), String> {
    let by = change.by.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "unnamed".to_owned());
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("by", &by).append_pair("why", &change.why);
    Ok((format!("/api/v1/incidents/{}/{path}", checked(&change.number)?), Some(form.finish())))
}

/// A number, or the beginning of one.
fn checked(number: &str) -> Result<&str, String> {
    if (1..=16).contains(&number.len()) && number.chars().all(|c| c.is_ascii_hexdigit()) {
        Ok(number)
    } else {
        Err(format!("\"{number}\" is not the number of an incident\n  hint: neural-exporter incidents list"))
    }
}

fn shown(args: &Args, data: &Json) -> Exit {
    let listed = data.get("incidents").and_then(Json::as_array);
    let read = |json: &Json| serde_json::from_value::<Incident>(json.clone()).ok();
    let incidents: Vec<Incident> = match (listed, &args.what) {
        (Some(all), _) => all.iter().filter_map(read).collect(),
        (None, Some(IncidentsCommand::Stats { .. })) => Vec::new(),
        (None, _) => read(data).into_iter().collect(),
    };
    let exports = matches!(args.what, Some(IncidentsCommand::Export { .. }));
    let text = match (args.output, &args.what) {
        (Output::Json, _) => return print(&json(listed.map_or(data, |_| data))),
        (_, Some(IncidentsCommand::Stats { .. })) => figures(data),
        (Output::Table, Some(IncidentsCommand::Export { .. })) if exports => return print(&json(data)),
        (Output::Table, Some(IncidentsCommand::Show { .. })) => {
            look::text(&incidents.iter().flat_map(whole).collect::<Vec<_>>())
        }
        (Output::Table, _) => look::text(&table(&incidents)),
        (Output::Csv, _) => csv(&incidents),
    };
    print(text.as_bytes())
}

/// Those of a list, in columns.
fn table(incidents: &[Incident]) -> Vec<Line<'static>> {
    if incidents.is_empty() {
        return vec![Line::raw("no incident")];
    }
    let row = |incident: &Incident| {
        vec![
            Cell::plain(incident.id.get(..8).unwrap_or(&incident.id)),
            Cell::state(how(incident.status), incident.status.as_str()),
            Cell::plain(incident.priority.as_str()),
            Cell::plain(&incident.alert),
            Cell::plain(&moment(incident.started)),
            Cell::plain(incident.summary()),
        ]
    };
    let rows: Vec<_> = incidents.iter().map(row).collect();
    table::table(&["number", "state", "priority", "alert", "since", "what"], &rows)
}

/// How bad a state is.
fn how(status: Status) -> How {
    match status {
        Status::Open | Status::Escalated => How::Unhealthy,
        Status::Acknowledged => How::Degraded,
        Status::Resolved => How::Healthy,
    }
}

/// One incident with what happened.
fn whole(incident: &Incident) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    let mut line = |name: &str, value: &str| lines.push(table::entry(name, 13, &quote(value).to_string()));
    line("number", &incident.id);
    line("alert", &incident.alert);
    line("what", incident.summary());
    line("state", incident.status.as_str());
    line("severity", &incident.severity);
    line("priority", incident.priority.as_str());
    line("since", &moment(incident.started));
    if let Some(at) = incident.resolved.filter(|_| incident.status == Status::Resolved) {
        line("until", &moment(at));
    }
    let values = incident.values;
    if values.start.is_some() {
        let worst = number(values.worst);
        line(
            "value",
            &format!("{} at first, {worst} at worst, {} at last", number(values.start), number(values.end)),
        );
    }
    line("labels", &incident.labels.to_string());
    for (name, value) in incident.annotations.iter().filter(|(name, _)| *name != "summary") {
        line(name, value);
    }
    for entry in &incident.history {
        let why = if entry.why.is_empty() { String::new() } else { format!(": {}", quote(&entry.why)) };
        let text = format!("{} by {}{why}", entry.what.as_str(), quote(&entry.by));
        lines.push(table::entry(&moment(entry.at), 21, &text));
    }
    lines
}

/// The columns of the lines.
const COLUMNS: &str = "number,alert,severity,priority,state,started,opened,acknowledged,escalated,resolved,value_start,value_worst,value_end,summary,labels\n";

fn csv(incidents: &[Incident]) -> String {
    let text = |text: &str| {
        // A spreadsheet takes a cell that begins so for a formula.
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
    };
    let mut out = COLUMNS.to_owned();
    for incident in incidents {
        let time = |at: Option<i64>| at.map(moment_ms).unwrap_or_default();
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let cells = [
            incident.id.clone(),
            text(&incident.alert),
            text(&incident.severity),
            incident.priority.as_str().to_owned(),
            incident.status.as_str().to_owned(),
            time(Some(incident.started)),
            time(Some(incident.opened)),
            time(incident.acknowledged),
            time(incident.escalated),
            time(incident.resolved),
            number(incident.values.start),
            number(incident.values.worst),
            number(incident.values.end),
            text(incident.summary()),
            text(&incident.labels.metric()),
        ];
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

/// Figures for people.
fn figures(data: &Json) -> String {
    let mut out = String::new();
    let count = |name: &str| data.get(name).and_then(Json::as_u64).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{} incidents, {} escalated", count("total"), count("escalated"));
    for (name, words) in [("seconds_to_acknowledge", "to acknowledge"), ("seconds_to_resolve", "to resolve")]
    {
        let number = |of: &str| data.get(name)?.get(of)?.as_f64();
        if let (Some(median), Some(longest)) = (number("median"), number("longest")) {
            let _ = writeln!(out, "{words}: {median:.0} s in the middle, {longest:.0} s at most");
        }
    }
    for (name, words) in [("by_state", "state"), ("by_severity", "severity"), ("by_day", "day")] {
        for (key, count) in data.get(name).and_then(Json::as_object).into_iter().flatten() {
            let _ = writeln!(out, "{words:8}  {count:>6}  {}", quote(key));
        }
    }
    for row in data.get("by_alert").and_then(Json::as_array).into_iter().flatten() {
        let alert = row.get("alert").and_then(Json::as_str).unwrap_or_default();
        let count = row.get("count").and_then(Json::as_u64).unwrap_or_default();
        let _ = writeln!(out, "{:8}  {count:>6}  {}", "alert", quote(alert));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"id":"0123456789abcdef","alert":"Lost","severity":"critical","priority":"P0","state":"acknowledged",
        "labels":{"alertname":"Lost","device":"a\u001b[31m"},"annotations":{"summary":"=cmd(\"x\")"},
        "started":"2027-01-15T08:00:00.000Z","opened":"2027-01-15T08:00:01.000Z","acknowledged":"2027-01-15T08:01:00.000Z",
        "values":{"start":1.5,"worst":9.0,"end":null},"agent":true,"alertmanager":false,
        "history":[{"at":"2027-01-15T08:00:01.000Z","what":"opened","by":"agent","why":"it is away"}]}"#;

    #[test]
    fn what_is_shown_moves_no_cursor_and_computes_nothing() {
        let incident: Incident = serde_json::from_str(ONE).unwrap();
        let lines = look::text(&table(std::slice::from_ref(&incident)));
        assert!(lines.starts_with("number    state           priority  alert"), "{lines}");
        assert!(lines.contains("01234567  ▲ acknowledged  P0        Lost   2027-01-15T08:00:00Z"), "{lines}");
        let all = look::text(&whole(&incident));
        assert!(all.contains("value         1.5 at first, 9 at worst, unknown at last"), "{all}");
        assert!(all.contains("2027-01-15T08:00:01Z  opened by agent: it is away"), "{all}");
        assert!(!all.contains('\u{1b}'), "{all}");
        let csv = csv(&[incident]);
        assert!(
            csv.contains("0123456789abcdef,\"Lost\",\"critical\",P0,acknowledged,2027-01-15T08:00:00.000Z"),
            "{csv}"
        );
        assert!(csv.contains(",,1.5,9,,\"'=cmd(\"\"x\"\")\","), "{csv}");
        assert_eq!(look::text(&table(&[])), "no incident\n");
    }

    #[test]
    fn requests_are_those_of_the_api() {
        let path = |what: &IncidentsCommand| request(what).unwrap();
        let (list, form) = path(&IncidentsCommand::List(Filter::default()));
        assert_eq!(
            (&*list, form),
            ("/api/v1/incidents?state=open&state=escalated&state=acknowledged&limit=0", None)
        );
        let change = Change { number: "AB12".into(), by: Some("ada & co".into()), why: "I look".into() };
        let (ack, form) = path(&IncidentsCommand::Ack(change));
        assert_eq!(
            (&*ack, form.as_deref()),
            ("/api/v1/incidents/AB12/ack", Some("by=ada+%26+co&why=I+look"))
        );
        for number in ["", "../x", "zz", "0123456789abcdef0"] {
            assert!(request(&IncidentsCommand::Show { number: number.into() }).is_err(), "{number}");
        }
    }
}
