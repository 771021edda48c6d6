//! `status`: how everything is that an agent watches, for a person and for a script.

use std::fmt::Write;
use std::path::PathBuf;

use super::{Exit, FileArgs, Form, complain, json, print, query, run};
use crate::agent::Failure as Unread;
use crate::alert::health::{Status, Verdict};
use crate::ask::{Failure, Server};
use crate::provision::Access;
use crate::secret::Link;
use crate::setting::Span;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// The agent that is asked: http://lab:9612. If omitted: the one that the configuration describes.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The file with the token of a proxy before it.
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
    /// The file with the certificates that the proxy's is signed by, PEM.
    #[arg(long, value_name = "FILE", requires = "server")]
    ca_file: Option<PathBuf>,
    /// Over which time objectives are looked at, as far as the history reaches.
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    window: Span,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

pub(super) fn status(args: &Args) -> Exit {
    let server = match server(args) {
        Ok(server) => server,
        Err(why) => {
            complain(&why);
            return UNKNOWN;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return UNKNOWN;
        }
    };
    let window = format!("{}ms", args.window.0.as_millis());
    let verdict = match runtime.block_on(server.health(&window)) {
        Ok(verdict) => verdict,
        Err(Failure::Question(why) | Failure::Absent(why) | Failure::Server(why)) => {
            complain(&why);
            return UNKNOWN;
        }
    };
    let text = match args.output {
        Form::Json => json(&verdict),
        Form::Text => text(&verdict, server.root()).into_bytes(),
    };
    match print(&text) {
        Exit::Fine => exit(verdict.status),
        failed => failed,
    }
}

/// What a script that is a Nagios plugin ends with where it knows nothing.
const UNKNOWN: Exit = Exit::Differs;

/// The number that a Nagios plugin ends with.
fn exit(status: Status) -> Exit {
    match status {
        Status::Healthy => Exit::Fine,
        Status::Degraded => Exit::Failed,
        Status::Unhealthy => Exit::Usage,
        Status::Unknown => UNKNOWN,
    }
}

/// Whom to ask.
fn server(args: &Args) -> Result<Server, String> {
    let (token_file, ca_file) = (args.token_file.clone(), args.ca_file.clone());
    let access = Access { token_file, ca_file, ..Access::default() };
    let url = match &args.server {
        Some(url) => url.clone(),
        None => {
            let config = run::load(run::chosen(&args.file).as_deref());
            query::own(&config.map_err(|problems| Unread::Config(problems).to_string())?)
        }
    };
    Server::open(&Link::from(url.as_str()), &access, None).map_err(|why| format!("{url}: {why}"))
}

/// A screen for people: what is not well first, each with its reasons, then the objectives.
fn text(verdict: &Verdict, server: &str) -> String {
    let mut out = format!("{server} is {} at {}\n", verdict.status.as_str(), verdict.time);
    let name = |component: &str, name: &str| {
        if name.is_empty() { component.to_owned() } else { format!("{component} {name}") }
    };
    let width = verdict.objectives.iter().map(|one| one.name.chars().count()).max().unwrap_or_default();
    // Writing to a string cannot fail.
    for one in &verdict.components {
        let _ = writeln!(out, "  {:9}  {}", one.status.as_str(), name(&one.component, &one.name));
        for reason in &one.reasons {
            let mark = if reason.priority.is_empty() { &reason.severity } else { &reason.priority };
            let _ = writeln!(out, "             {mark} since {}: {}", reason.since, reason.summary);
        }
    }
    for kept in &verdict.objectives {
        let _ = writeln!(
            out,
            "  objective  {:width$}  {:.3} % {}, {} % wanted, {:.0} % of the budget of {} left",
            kept.name,
            kept.kept * 100.0,
            kept.objective,
            kept.target * 100.0,
            kept.budget_left * 100.0,
            kept.window,
        );
    }
    for note in &verdict.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    out
}
