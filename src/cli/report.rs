//! `report`: what a time was like, asked of the agent, its file, or a server.

use clap::ValueEnum;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::query::{Whom, ask_all};
use super::{Exit, complain, json, print, runtime};
use crate::agent::sessions_file;
use crate::alert::incident::Incident;
use crate::ask::{Answers, Bridged, Failure, Server};
use crate::catalog::limit::Limits;
use crate::clock::now;
use crate::config::Config;
use crate::promql::read_moment;
use crate::respond::sessions::kept;
use crate::session::Session;
use crate::setting::Span;
use crate::view::report::{self, Episode, Report, ReportInput, Time};

/// Incidents that are looked at.
const INCIDENTS: usize = 5_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Over this long up to now: 30m, 6h, 7d.
    #[arg(long, value_name = "SPAN", default_value = "1h", conflicts_with_all = ["from", "to", "session"])]
    last: Span,
    /// Of a session: `last` for the one that ended last, its name, or its id (`neural-exporter session list`).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "to"])]
    session: Option<String>,
    /// From this time on: 2026-11-29T14:03:00Z, or seconds since the epoch.
    #[arg(long, value_name = "TIME", value_parser = moment_of)]
    from: Option<When>,
    /// Up to this time; now if omitted.
    #[arg(long, value_name = "TIME", value_parser = moment_of, requires = "from")]
    to: Option<When>,
    /// Of this device alone, where a table is by device.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Of this pipeline alone, where a table is by pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    #[command(flatten)]
    whom: Whom,
    /// The form of the report.
    #[arg(long, value_name = "FORM", alias = "output", default_value = "text")]
    format: Format,
}

/// A time, in ms since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct When(pub(super) i64);

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Text,
    /// Every number, for programs.
    Json,
    /// A line for each number.
    Csv,
    /// One file that opens offline and prints.
    Html,
    /// For an issue or a notebook.
    Md,
}

pub(super) fn moment_of(text: &str) -> Result<When, String> {
    let seconds = || text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let read = read_moment(text).or_else(|| seconds().map(|seconds| (seconds * 1000.0) as i64));
    read.map(When).ok_or_else(|| "write 2026-11-29T14:03:00Z, or seconds since the epoch".to_owned())
}

pub(super) fn report(args: &Args) -> Exit {
    let (asked, config) = match args.whom.opened() {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let agent = args.whom.agent(config.as_ref());
    let present = now().wall_milliseconds();
    let session = match &args.session {
        None => None,
        Some(name) => match runtime.block_on(session(name, agent.as_ref(), config.as_ref())) {
            Ok(session) => Some(session.unfiled()),
            Err(why) => {
                complain(&why);
                return Exit::Failed;
            }
        },
    };
    let time = time(args, session.as_ref(), present);
    if time.start >= time.end {
        complain(&"the time is empty: --from is not before --to");
        return Exit::Usage;
    }
    let limits = config.map_or_else(Limits::default, |config| Limits::changed(config.alerts.limits));
    let named = [("device", &args.device), ("pipeline", &args.pipeline)];
    let only: Vec<(String, String)> =
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
    let made = async {
        let (incidents, note) = episodes(agent.as_ref(), time).await;
        let given = ReportInput {
            only: &only,
            session,
            incidents,
            ..ReportInput::new(time, asked.name(), Vec::new(), &limits)
        };
        make(&asked, given, note).await
    };
    match runtime.block_on(made) {
        Ok(report) => print(&shown(&report, args.format)),
        Err(why) => {
            complain(&why);
            Exit::Failed
        }
    }
}

/// The time that is asked for.
fn time(args: &Args, session: Option<&Session>, present: i64) -> Time {
    if let Some(session) = session {
        let (start, end) = session.time(present);
        return Time { start, end };
    }
    let end = args.to.map_or(present, |to| to.0);
    let last = i64::try_from(args.last.0.as_millis()).unwrap_or(i64::MAX);
    Time { start: args.from.map_or_else(|| end.saturating_sub(last), |from| from.0), end }
}

/// The session of a name: as the agent knows it, or as its file does while it does not run.
async fn session(name: &str, agent: Option<&Server>, config: Option<&Config>) -> Result<Session, String> {
    let mut why = "no agent is known that has sessions; name its configuration with --config".to_owned();
    if let Some(agent) = agent {
        let part = utf8_percent_encode(name, NON_ALPHANUMERIC);
        match agent.call(&format!("/api/v1/sessions/{part}"), None).await {
            Ok((data, _)) => return serde_json::from_value(data).map_err(|error| error.to_string()),
            Err(Failure::Absent(absent)) => why = absent,
            Err(Failure::Question(why) | Failure::Missing(why) | Failure::Server(why)) => return Err(why),
        }
    }
    match config.and_then(sessions_file).filter(|file| file.exists()) {
        Some(file) => kept(&file).find(name).cloned(),
        None => Err(why),
    }
}

/// The incidents that the agent keeps of a time. Without an answer there are none, which is said.
async fn episodes(agent: Option<&Server>, time: Time) -> (Option<Vec<Episode>>, Option<String>) {
    let Some(agent) = agent else { return (None, None) };
    let path = format!("/api/v1/incidents?limit={INCIDENTS}&to={}", time.end.div_euclid(1000));
    let missing = |why: String| (None, Some(format!("incidents are not known: {why}")));
    match agent.call(&path, None).await {
        Ok((data, notes)) => {
            let all = data.get("incidents").and_then(serde_json::Value::as_array);
            let read = |one: &serde_json::Value| serde_json::from_value::<Incident>(one.clone()).ok();
            let found = all.into_iter().flatten().filter_map(read);
            let mut found: Vec<Episode> = found.filter_map(|one| Episode::of(&one, time)).collect();
            found.reverse();
            // That there are more is older than the time, where the oldest is.
            (Some(found), notes.into_iter().next().filter(|note| !note.contains("there are more")))
        }
        // Who keeps none has none.
        Err(Failure::Missing(_)) => (None, None),
        Err(Failure::Absent(why) | Failure::Question(why) | Failure::Server(why)) => missing(why),
    }
}

/// Asks everything, and makes the report. If nothing answers there is none.
async fn make(asked: &Bridged, mut given: ReportInput<'_>, note: Option<String>) -> Result<Report, String> {
    let (answers, mut notes) = ask_all(asked, report::questions(given.time, given.session.as_ref())).await?;
    notes.extend(note);
    given.answers = answers;
    given.notes = notes;
    Ok(report::build(given))
}

fn shown(report: &Report, format: Format) -> Vec<u8> {
    match format {
        Format::Text => report::write_text(report).into_bytes(),
        Format::Json => json(report),
        Format::Csv => report::write_csv(report).into_bytes(),
        Format::Html => report::write_html(report).into_bytes(),
        Format::Md => report::write_markdown(report).into_bytes(),
    }
}
