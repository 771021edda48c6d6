//! `check`: every mistake in what the agent would read, before it reads it; with `--live`, whether what it names is there.

use std::path::{Path, PathBuf};

use ratatui_core::text::{Line, Span};
use serde::Serialize;

use super::{Exit, FileArgs, Form, complain, json, look as shown, print, run};
use crate::agent::live::{self, Finding, Verdict};
use crate::agent::mapping_notes;
use crate::alert::health::Status;
use crate::catalog::{PAGES, lint};
use crate::config::{self, Config};
use crate::document::Problem;
use crate::http::WebConfig;
use crate::view::screen;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// The web configuration file, instead of what the configuration names.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web: Option<PathBuf>,
    /// Print the configuration that is in effect, defaults included.
    #[arg(long, conflicts_with_all = ["live", "output"])]
    print: bool,
    /// Also look whether the ports, sockets, groups, folders and servers that it names are there and may be used.
    /// Nothing is written and no serial port is opened.
    #[arg(long)]
    live: bool,
    /// The form of the report.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

/// What was found, as JSON.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// The file; none for the defaults.
    file: Option<String>,
    problems: Vec<Problem>,
    notes: Vec<String>,
    live: Vec<Finding>,
}

pub(super) fn check(args: &Args) -> Exit {
    let file = run::chosen(&args.file);
    let mut report =
        Report { file: file.as_ref().map(|file| file.display().to_string()), ..Report::default() };
    match load(args, file.as_deref()) {
        Ok(config) => {
            report.notes = mapping_notes(&config);
            report.notes.extend(config.exposed());
            report.notes.extend(config.web.notes().iter().cloned());
            let pages: Vec<_> = PAGES.iter().chain(&config.pages.0).copied().collect();
            let name = report.file.clone().unwrap_or_default();
            report.problems.extend(lint::lint(&pages).into_iter().map(|why| Problem::of_file(&name, why)));
            if args.print && report.problems.is_empty() {
                return print(config.print().as_bytes());
            }
            if args.live && report.problems.is_empty() {
                match look(&config) {
                    Ok(found) => report.live = found,
                    Err(error) => {
                        complain(&format!("cannot start: {error}"));
                        return Exit::Failed;
                    }
                }
            }
            end(args, &report, Some(&config))
        }
        Err(problems) => {
            report.problems = problems;
            end(args, &report, None)
        }
    }
}

/// The configuration with its files, or every mistake in them. A web configuration is looked at beside one that is wrong.
fn load(args: &Args, file: Option<&Path>) -> Result<Config, Vec<Problem>> {
    let mut loaded = file.map_or_else(|| Ok(Config::default()), config::load_whole);
    if let (Ok(config), Some(web)) = (&mut loaded, &args.web) {
        config.web_config = Some(web.clone());
    }
    match (&mut loaded, &args.web) {
        (Ok(config), _) => config.read_web()?,
        (Err(problems), Some(web)) => problems.extend(WebConfig::read(web).err().unwrap_or_default()),
        (Err(_), None) => {}
    }
    loaded
}

fn look(config: &Config) -> std::io::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(live::look(config)))
}

fn end(args: &Args, report: &Report, config: Option<&Config>) -> Exit {
    let failed = report.live.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
    let exit = match (report.problems.len(), failed) {
        (0, 0) => Exit::Fine,
        (0, _) => Exit::Failed,
        _ => Exit::Usage,
    };
    if args.output == Form::Json {
        print(&json(report));
        return exit;
    }
    if !report.problems.is_empty() {
        let text: Vec<String> = report.problems.iter().map(Problem::to_string).collect();
        complain(&format!("{}\n{}", count(text.len(), "mistake"), text.join("\n")));
        return exit;
    }
    for note in &report.notes {
        complain(&format!("note: {note}"));
    }
    print(table(&report.live).as_bytes());
    let name = report.file.as_deref().unwrap_or("the defaults");
    match (failed, config) {
        (0, Some(config)) => {
            let (sources, packs) =
                (count(config.sources.len(), "source"), count(config.pages.0.len(), "pack"));
            print(format!("{name}: fine ({sources}, {packs})\n").as_bytes());
        }
        (0, None) => {}
        (failed, _) => {
            let failed = count(failed, "thing");
            complain(&format!("{name}: no errors, but {failed} in the configuration cannot be used"));
        }
    }
    exit
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The findings, a line each, with their hints.
pub(super) fn table(found: &[Finding]) -> String {
    let mut lines = Vec::new();
    let wide = found.iter().map(|finding| finding.path.len()).max().unwrap_or_default();
    for Finding { path, subject, verdict, message, hint } in found {
        let (word, status) = match verdict {
            Verdict::Ok => ("ok", Status::Healthy),
            Verdict::Warning => ("warning", Status::Degraded),
            Verdict::Failed => ("FAILED", Status::Unhealthy),
            Verdict::Skipped => ("skipped", Status::Unknown),
        };
        lines.push(Line::from(vec![
            Span::styled(format!("{word:7}"), screen::style(status)),
            Span::raw(format!("  {path:wide$}  {subject}: {message}")),
        ]));
        lines.extend(hint.iter().map(|hint| Line::styled(format!("         hint: {hint}"), screen::quiet())));
    }
    shown::text(&lines)
}
