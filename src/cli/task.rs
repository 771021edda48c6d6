//! `task`: what the agent does from time to time, and having it done now.

use std::fmt::Write;
use std::time::Duration;

use clap::Subcommand;
use serde_json::Value as Json;

use super::server::ServerArgs;
use super::{Exit, Form, complain, json, print, runtime};
use crate::ask::{Failure, Server};
use crate::clock::now;
use crate::promql::moment;
use crate::quote::quote;

/// From one look at a task that runs to the next.
const LOOK: Duration = Duration::from_millis(200);
/// How much longer than a run may take is waited for its end.
const LATER: f64 = 30.0;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<TaskCommand>,
    #[command(flatten)]
    server: ServerArgs,
    /// The form of the answer.
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    output: Form,
}

#[derive(Debug, Subcommand)]
enum TaskCommand {
    /// List the tasks: when each succeeded last, what came of it, and when it is due.
    List,
    /// Have the agent run a task now, and wait for its end. The exit status is 1 if it failed.
    Run {
        /// Its name.
        name: String,
    },
}

pub(super) fn task(args: &Args) -> Exit {
    let Some(server) = args.server.open() else { return Exit::Usage };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let asked = match &args.what {
        Some(TaskCommand::Run { name }) => runtime.block_on(done(args, &server, name)),
        Some(TaskCommand::List) | None => runtime.block_on(all(&server)).map(|tasks| {
            let as_json = args.output == Form::Json;
            print(&if as_json { json(&tasks) } else { table(&tasks).into_bytes() })
        }),
    };
    asked.unwrap_or_else(|why| {
        match why {
            Failure::Absent(why) => {
                complain(&format!("{why}\n  hint: the agent has to run; name another one with --server"));
            }
            Failure::Question(why) | Failure::Missing(why) | Failure::Server(why) => complain(&why),
        }
        Exit::Failed
    })
}

/// Every task, as the agent has it.
async fn all(server: &Server) -> Result<Vec<Json>, Failure> {
    let (mut data, _) = server.call("/api/v1/tasks", None).await?;
    Ok(data.get_mut("tasks").and_then(Json::as_array_mut).map(std::mem::take).unwrap_or_default())
}

/// Has a task run, and waits for its end.
async fn done(args: &Args, server: &Server, name: &str) -> Result<Exit, Failure> {
    let there = all(server).await?.into_iter().find(|task| text(task, "name") == name);
    let Some(there) = there else {
        complain(&format!("there is no task \"{}\"\n  hint: neural-exporter task list", quote(name)));
        return Ok(Exit::Usage);
    };
    let form = form_urlencoded::Serializer::new(String::new()).finish();
    let (begun, _) = server.call(&format!("/api/v1/tasks/{name}/run"), Some(form)).await?;
    let before = begun.get("runs").and_then(Json::as_u64).unwrap_or_default();
    let patience = there.get("timeout_seconds").and_then(Json::as_f64).unwrap_or_default() + LATER;
    let until = now().steady.saturating_add((patience * 1e9) as u64);
    loop {
        let task = all(server).await?.into_iter().find(|task| text(task, "name") == name).unwrap_or_default();
        // An agent that was restarted or has another configuration by now begins to count again.
        let runs = task.get("runs").and_then(Json::as_u64).unwrap_or_default();
        if runs > before {
            let failed = task.get("failing") == Some(&Json::Bool(true));
            let outcome = quote(text(&task, "outcome")).to_string();
            if args.output == Form::Json {
                print(&json(&task));
            } else if failed {
                complain(&format!("{name} failed: {outcome}"));
            } else {
                print(format!("{name}: {outcome}\n").as_bytes());
            }
            return Ok(if failed { Exit::Failed } else { Exit::Fine });
        }
        if now().steady > until {
            complain(&format!("{name} does not end; see the agent's log"));
            return Ok(Exit::Failed);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn text<'t>(task: &'t Json, key: &str) -> &'t str {
    task.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn table(tasks: &[Json]) -> String {
    if tasks.is_empty() {
        return "no task; see respond.tasks in the configuration\n".into();
    }
    let mut out = String::new();
    for task in tasks {
        let yes = |key: &str| task.get(key) == Some(&Json::Bool(true));
        let state = match () {
            () if yes("running") => "runs",
            () if yes("overdue") => "overdue",
            () if yes("failing") => "failed",
            () => "well",
        };
        let last = task.get("last_success").and_then(Json::as_i64).map_or_else(|| "never".to_owned(), moment);
        let due = task
            .get("due_seconds")
            .and_then(Json::as_f64)
            .map_or_else(String::new, |s| format!("due in {s:.0} s"));
        let (name, kind, outcome) = (text(task, "name"), text(task, "kind"), quote(text(task, "outcome")));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:20}  {kind:8}  {state:8}  succeeded {last}  {due}  {outcome}");
    }
    out
}
