//! `session`: which sessions there were, and beginning or ending one by hand.

use clap::Subcommand;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ratatui_core::text::Line;
use serde_json::Value as Json;

use super::server::ServerArgs;
use super::{Exit, Form, complain, json, look, print, runtime};
use crate::alert::health::Status as How;
use crate::ask::Failure;
use crate::promql::moment;
use crate::session::{Filed, Session, State};
use crate::setting::Span;
use crate::view::table::{self, Cell};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<SessionCommand>,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the answer.
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    output: Form,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// List sessions, the newest first.
    List {
        /// So many at most.
        #[arg(long, value_name = "NUMBER", default_value_t = 30)]
        limit: usize,
        /// In this state: open, ended, failed, lost; can be given more than once.
        #[arg(long, value_name = "STATE", value_parser = State::ALL.map(State::as_str))]
        state: Vec<String>,
    },
    /// Show one session.
    Show {
        /// Its name, its id, or `last`.
        name: String,
    },
    /// Begin a session. A name as sub-01_ses-01_task-rest names its report so that it can lie beside BIDS data.
    Start {
        /// What it is called.
        name: String,
    },
    /// End a session that was begun by hand. If `reports.folder` is set, its report is written there.
    Stop {
        /// Its name or id; may be omitted if one alone is open.
        name: Option<String>,
    },
}

pub(super) fn session(args: &Args) -> Exit {
    let Some(server) = args.server.open() else { return Exit::Usage };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let (path, form) =
        request(args.what.as_ref().unwrap_or(&SessionCommand::List { limit: 30, state: Vec::new() }));
    match runtime.block_on(server.call(&path, form)) {
        Ok((data, _)) => print(&shown(&data, args.output)),
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
fn request(what: &SessionCommand) -> (String, Option<String>) {
    let part = |name: &str| utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    let form = |pairs: Vec<(&str, String)>| {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    match what {
        SessionCommand::List { limit, state } => {
            let states = state.iter().map(|state| ("state", state.clone()));
            let pairs = states.chain([("limit", limit.to_string())]).collect();
            (format!("/api/v1/sessions?{}", form(pairs)), None)
        }
        SessionCommand::Show { name } => (format!("/api/v1/sessions/{}", part(name)), None),
        SessionCommand::Start { name } => {
            ("/api/v1/sessions".to_owned(), Some(form(vec![("name", name.clone())])))
        }
        SessionCommand::Stop { name } => {
            let name = name.as_deref().filter(|name| !name.is_empty()).map_or_else(|| "-".to_owned(), part);
            (format!("/api/v1/sessions/{name}/stop"), Some(String::new()))
        }
    }
}

fn shown(data: &Json, output: Form) -> Vec<u8> {
    if output == Form::Json {
        return json(data.get("sessions").unwrap_or(data));
    }
    let read = |one: &Json| serde_json::from_value::<Session>(one.clone()).ok();
    match data.get("sessions").and_then(Json::as_array) {
        Some(all) => look::text(&list(&all.iter().filter_map(read).collect::<Vec<_>>())),
        None => look::text(&read(data).iter().flat_map(whole).collect::<Vec<_>>()),
    }
    .into_bytes()
}

fn list(sessions: &[Session]) -> Vec<Line<'static>> {
    if sessions.is_empty() {
        return vec![Line::raw("no session")];
    }
    let row = |one: &Session| {
        vec![
            Cell::plain(&one.name),
            Cell::state(how(one.state), one.state.as_str()),
            Cell::plain(&moment(one.start)),
            Cell::plain(&lasted(one)),
            Cell::plain(one.origin.as_str()),
            Cell::plain(&report(one)),
        ]
    };
    let rows: Vec<_> = sessions.iter().map(row).collect();
    table::table(&["name", "state", "since", "lasted", "told by", "report"], &rows)
}

fn whole(one: &Session) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: &str| lines.push(table::entry(name, 9, value));
    line("name", &one.name);
    line("id", &one.id);
    line("state", one.state.as_str());
    line("since", &moment(one.start));
    if let Some(end) = one.end {
        line("until", &moment(end));
    }
    line("lasted", &lasted(one));
    let of = if one.of.is_empty() { String::new() } else { format!(" {}", one.of) };
    line("told by", &format!("{}{of}", one.origin.as_str()));
    line("report", &report(one));
    lines
}

fn how(state: State) -> How {
    match state {
        State::Open => How::Unknown,
        State::Ended => How::Healthy,
        State::Failed => How::Unhealthy,
        State::Lost => How::Degraded,
    }
}

fn lasted(one: &Session) -> String {
    one.seconds.map_or_else(|| "–".to_owned(), |seconds| Span::seconds(seconds.round() as u64).to_string())
}

fn report(one: &Session) -> String {
    match &one.report {
        None => String::new(),
        Some(Filed::Waiting { why }) if why.is_empty() => "is being written".to_owned(),
        Some(Filed::Waiting { why }) => format!("not yet: {why}"),
        Some(Filed::Written { files }) => files.join(", "),
        Some(Filed::Not { why }) => format!("none: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_api() {
        let path = |what: SessionCommand| request(&what);
        assert_eq!(
            path(SessionCommand::List { limit: 5, state: vec!["open".into()] }).0,
            "/api/v1/sessions?state=open&limit=5"
        );
        assert_eq!(path(SessionCommand::Show { name: "a b/c".into() }).0, "/api/v1/sessions/a%20b%2Fc");
        assert_eq!(path(SessionCommand::Start { name: "a&b".into() }).1.unwrap(), "name=a%26b");
        assert_eq!(
            path(SessionCommand::Stop { name: None }),
            ("/api/v1/sessions/-/stop".into(), Some(String::new()))
        );
    }

    #[test]
    fn what_is_shown_moves_no_cursor() {
        let text = r#"{"sessions":[{"id":"0123456789abcdef","name":"x\u001b[31m","origin":"hand","state":"ended","start":1796047427000,
            "end":1796047487000,"seen":1796047487000,"seconds":60,"report":{"state":"written","files":["a.html","a.json"]}}]}"#;
        let data: Json = serde_json::from_str(text).unwrap();
        let text = String::from_utf8(shown(&data, Form::Text)).unwrap();
        assert!(text.contains("ended") && text.contains("1m") && text.contains("a.html, a.json"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let whole = String::from_utf8(shown(&data["sessions"][0], Form::Text)).unwrap();
        assert!(whole.contains("until") && whole.contains("0123456789abcdef"), "{whole}");
    }
}
