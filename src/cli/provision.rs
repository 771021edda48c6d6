//! `provision`: what is generated, pushed to the servers that show and evaluate it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{Exit, FileArgs, Form, complain, json, print, run, runtime};
use crate::agent::{self, Failure};
use crate::config::Config;
use crate::provision::{self, Action, Bundle, Ending, How, Operation, Outcome, Report, Run, Target};
use crate::render::File;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to do.
    operation: ProvisionCommand,
    #[command(flatten)]
    file: FileArgs,
    /// Only this target; can be given more than once.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Remove what is ours and no longer generated.
    #[arg(long)]
    prune: bool,
    /// Write over what is not ours and what was edited.
    #[arg(long)]
    force: bool,
    /// The form of the report.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
    /// Push the files of this folder in place of those that the agent would generate.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProvisionCommand {
    /// Say what would be done; the exit code is 3 if there is something.
    Plan,
    /// Do it.
    Apply,
    /// Remove everything that is ours.
    Destroy,
}

pub(super) fn provision(args: &Args) -> Exit {
    let config = match run::load(run::chosen(&args.file).as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            complain(&Failure::Config(problems));
            return Exit::Usage;
        }
    };
    if let Err(why) = run::log(&config) {
        complain(&why);
        return Exit::Usage;
    }
    let targets = match targets(&config, &args.target) {
        Ok(targets) => targets,
        Err(why) => {
            complain(&why);
            return Exit::Usage;
        }
    };
    let bundle = match files(args.from.as_deref(), &config)
        .and_then(|files| Bundle::of(files).map_err(|w| w.join("\n")))
    {
        Ok(bundle) => bundle,
        Err(why) => {
            complain(&why);
            return Exit::Failed;
        }
    };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let operation = match args.operation {
        ProvisionCommand::Plan => Operation::Plan,
        ProvisionCommand::Apply => Operation::Apply,
        ProvisionCommand::Destroy => Operation::Destroy,
    };
    let what = Run {
        operation,
        dry: args.dry_run || operation == Operation::Plan,
        only: args.target.clone(),
        how: How { force: args.force, prune: args.prune },
        owner: config.alerts.job.clone(),
        wait: config.provision.wait.0,
    };
    let shown = if what.dry { Operation::Plan } else { operation };
    let text = args.output == Form::Text;
    let mut tell = |outcome: &Outcome| {
        if text {
            print(summary(shown, outcome).as_bytes());
        }
    };
    let report = runtime.block_on(async {
        tokio::select! {
            report = provision::run(&targets, &bundle, &what, &mut tell) => Some(report),
            () = run::stop_signal() => None,
        }
    });
    let Some(report) = report else {
        complain(&"stopped before the end; run it again to see what is left");
        return Exit::Failed;
    };
    end(&report, text)
}

/// The servers of the configuration; an error if there are none, or if `only` names another.
fn targets(config: &Config, only: &[String]) -> Result<Vec<Target>, String> {
    let targets = config.targets()?;
    if targets.is_empty() {
        let hint = "list servers under provision.targets in the configuration";
        return Err(format!("no target to push to\n  hint: {hint}"));
    }
    provision::unknown(&targets, only).map_or(Ok(targets), Err)
}

fn end(report: &Report, text: bool) -> Exit {
    for trouble in &report.troubles {
        complain(&format!("{}: {}", trouble.target, trouble.why));
    }
    if text {
        print(format!("\n{}", report.summary()).as_bytes());
    } else {
        print(&json(report));
    }
    match report.ending() {
        Ending::Fine => Exit::Fine,
        Ending::Differences => Exit::Differs,
        Ending::Failed => Exit::Failed,
    }
}

/// A step with what it changes.
fn summary(operation: Operation, outcome: &Outcome) -> String {
    let step = &outcome.step;
    let mut text = provision::line(operation, outcome);
    if text.is_empty() {
        return text;
    }
    text.push('\n');
    if operation == Operation::Plan {
        // Writing to a string cannot fail.
        if step.action == Action::Create {
            let _ = writeln!(text, "  + {} lines", step.text.lines().count());
        } else {
            for line in step.diff.lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    text
}

/// What the agent would generate, or what lies in a folder.
fn files(from: Option<&Path>, config: &Config) -> Result<Vec<File>, String> {
    let Some(folder) = from else { return Ok(agent::files(config)) };
    let mut files = Vec::new();
    walk(folder, "", &mut files).map_err(|why| format!("cannot read {}: {why}", folder.display()))?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk(folder: &Path, under: &str, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !name.starts_with('.') {
            walk(&entry.path(), &path, files)?;
        } else if kind.is_file() && !name.starts_with('.') {
            files.push(File { path, text: std::fs::read_to_string(entry.path())? });
        }
    }
    Ok(())
}
