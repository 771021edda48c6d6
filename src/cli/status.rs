//! `status`: how everything is that an agent watches, for a person and for a script.

use std::time::Duration;

use ratatui_core::text::Line;

use super::server::ServerArgs;
use super::{Exit, Form, complain, json, look, print, runtime};
use crate::alert::health::{Status, Verdict};
use crate::ask::Failure;
use crate::quote::quote;
use crate::setting::Span;
use crate::view::screen;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Over which time objectives are looked at, as far as the history reaches.
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    window: Span,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

/// How long the answer may take: less than who runs a plugin waits for it.
const ANSWER: Duration = Duration::from_secs(8);

pub(super) fn status(args: &Args) -> Exit {
    let Some(server) = args.server.open() else { return UNKNOWN };
    let Some(runtime) = runtime() else { return UNKNOWN };
    let window = format!("{}ms", args.window.0.as_millis());
    let late =
        |_| Err(Failure::Absent(format!("{} does not answer within {} s", server.root(), ANSWER.as_secs())));
    let asked = async { tokio::time::timeout(ANSWER, server.health(&window)).await.unwrap_or_else(late) };
    let verdict = match runtime.block_on(asked) {
        Ok(verdict) => verdict,
        Err(Failure::Question(why) | Failure::Absent(why) | Failure::Missing(why) | Failure::Server(why)) => {
            complain(&why);
            return UNKNOWN;
        }
    };
    let text = match args.output {
        Form::Json => json(&verdict),
        Form::Text => look::text(&lines(&verdict, server.root())).into_bytes(),
    };
    match print(&text) {
        Exit::Fine => exit(verdict.status),
        failed => failed,
    }
}

/// What a script that is a Nagios plugin ends with where it knows nothing.
pub(super) const UNKNOWN: Exit = Exit::Differs;

/// The number that a Nagios plugin ends with.
pub(super) fn exit(status: Status) -> Exit {
    match status {
        Status::Healthy => Exit::Fine,
        Status::Degraded => Exit::Failed,
        Status::Unhealthy => Exit::Usage,
        Status::Unknown => UNKNOWN,
    }
}

/// A screen for people: what is not well first, each with its reasons, then the objectives.
fn lines(verdict: &Verdict, server: &str) -> Vec<Line<'static>> {
    let by = verdict.evaluated_by.as_ref().map(|by| format!(", by the alerts of {by}")).unwrap_or_default();
    let sign = screen::sign(verdict.status);
    let heading = format!(" {sign} {server} is {} at {}{by} ", verdict.status.as_str(), verdict.time);
    let mut lines = vec![screen::bar(verdict.status, heading)];
    for one in &verdict.components {
        let spans = screen::component(one.status, &one.component, &one.name, one.status.as_str());
        lines.push(Line::from(spans));
        for reason in &one.reasons {
            let mark = if reason.priority.is_empty() { &reason.severity } else { &reason.priority };
            let text = format!("   {mark} since {}: {}", reason.since, quote(&reason.summary));
            lines.push(Line::styled(text, screen::style(one.status)));
        }
    }
    let width = verdict.objectives.iter().map(|one| one.name.chars().count()).max().unwrap_or_default();
    for kept in &verdict.objectives {
        let text = format!(
            "   objective  {:width$}  {:.3} % {}, {} % wanted, {:.0} % of the budget of {} left",
            kept.name,
            kept.kept * 100.0,
            kept.objective,
            kept.target * 100.0,
            kept.budget_left * 100.0,
            kept.window,
        );
        lines.push(Line::raw(text));
    }
    lines.extend(verdict.notes.iter().map(|note| Line::styled(format!(" note: {note}"), screen::quiet())));
    lines
}
