//! `silence`: a device or a session that is worked on disturbs nobody.

use std::fmt::Write;

use super::query::own;
use super::{Exit, FileArgs, Form, complain, json, print, run, runtime};
use crate::agent::Failure;
use crate::clock::now;
use crate::config::Config;
use crate::provision::silence::{self, About, New};
use crate::provision::{Access, Alertmanager, Target};
use crate::secret::Link;
use crate::setting::Span;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The device, or the session with --label session; every silence of ours is listed if omitted.
    value: Option<String>,
    #[command(flatten)]
    file: FileArgs,
    /// The label that is compared.
    #[arg(long, default_value = "device")]
    label: String,
    /// Maintenance mode: whatever has the label is worked on. Its alerts are silent, those about the agent itself are not.
    #[arg(long)]
    maintenance: bool,
    /// How long: 30m, 2h, 1d.
    #[arg(long = "for", value_name = "SPAN", default_value = "1h")]
    span: Span,
    /// Why.
    #[arg(long, default_value = "silenced by hand")]
    comment: String,
    /// End the silence now.
    #[arg(long)]
    expire: bool,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
    /// The Alertmanager, if there are several; `agent` where the agent itself notifies.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

pub(super) fn silence(args: &Args) -> Exit {
    let config = match run::load(run::chosen(&args.file).as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            complain(&Failure::Config(problems));
            return Exit::Usage;
        }
    };
    let Some(server) = server(&config, args.target.as_deref()) else {
        complain(
            &"no such Alertmanager\n  hint: add it under provision.targets in the configuration, or set respond.notify",
        );
        return Exit::Usage;
    };
    let Some(runtime) = runtime() else { return Exit::Failed };
    match runtime.block_on(done(args, &server)) {
        Ok(text) => print(&text),
        Err(why) => {
            complain(&format!("{}: {why}", server.name));
            Exit::Failed
        }
    }
}

fn server(config: &Config, name: Option<&str>) -> Option<Alertmanager> {
    let mut targets = config.provision.targets.iter();
    let listed = targets.find_map(|target| match target {
        Target::Alertmanager(of) if name.is_none_or(|name| name == of.name) => Some((**of).clone()),
        _ => None,
    });
    // Where the agent notifies, the silences are its own.
    let itself = || Alertmanager {
        name: "agent".to_owned(),
        url: Link::from(own(config).as_str()),
        server: Access::default(),
        config_file: std::path::PathBuf::new(),
        amtool: String::new(),
    };
    let agent = config.respond.notify && name.is_none_or(|name| name == "agent");
    if agent { Some(itself()) } else { listed }
}

async fn done(args: &Args, server: &Alertmanager) -> Result<Vec<u8>, String> {
    let as_json = args.output == Form::Json;
    let Some(value) = &args.value else {
        let silences = silence::list(server).await?;
        if as_json {
            return Ok(json(&silences));
        }
        let mut text = String::new();
        for silence in silences {
            let silence::Silence { id, state, matchers, ends, comment } = silence;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{id}  {state:7}  until {ends}  {matchers}  {comment}");
        }
        return Ok(text.into_bytes());
    };
    let about = About { label: &args.label, value, maintenance: args.maintenance };
    if args.expire {
        let ended = silence::expire(server, &about).await?;
        return Ok(match ended.is_empty() {
            _ if as_json => json(&ended),
            true => "no silence of ours was there\n".into(),
            false => (ended.join("\n") + "\n").into_bytes(),
        });
    }
    let (starts, ends) = (stamp(0), stamp(args.span.0.as_secs()));
    let new = New { about, starts: &starts, ends: &ends, comment: &args.comment };
    let id = silence::make(server, &new).await?;
    if as_json {
        return Ok(json(&serde_json::json!({ "id": id, "ends": ends })));
    }
    Ok(format!("{id}  until {ends}\n").into_bytes())
}

/// The time so many seconds from now: RFC 3339 in UTC.
fn stamp(later: u64) -> String {
    let seconds = (now().wall / 1_000_000_000).saturating_add(later);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = run::date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}
