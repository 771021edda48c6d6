//! `benchmark` and `regressions`: what was measured when all was well, and what is worse now.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::Value as Json;

use super::query::{Whom, ask_all};
use super::report::{When, moment_of};
use super::{Exit, Form, complain, json, print, runtime};
use crate::ask::{Answers, Failure, Server};
use crate::clock::now;
use crate::setting::Span;
use crate::view::Status;
use crate::view::benchmark::{
    self, Benchmark, Listed, Severity, check_name, check_step, compare, regression_questions, regressions,
    usual_step,
};
use crate::view::report::{self, Time};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: BenchmarkCommand,
}

#[derive(Debug, Subcommand)]
enum BenchmarkCommand {
    /// Measure a time that was good, and keep it under a name. A time in which something was wrong is refused.
    Record(Record),
    /// List what is kept.
    List {
        #[command(flatten)]
        whom: Whom,
        /// The form of the list.
        #[arg(long, value_name = "FORM", default_value = "text")]
        output: Form,
    },
    /// Show one: mean, median, 95th percentile, least and most of each line.
    Show {
        #[command(flatten)]
        one: Named,
        /// The form of the answer.
        #[arg(long, value_name = "FORM", default_value = "text")]
        output: Form,
    },
    /// Compare the last minutes with one: what is worse, better or as it was. Ends with 3 on a regression.
    Compare(Compare),
    /// Print one as JSON, for a file that `import` and `compare --file` read.
    Export(Named),
    /// Keep one that was exported.
    Import {
        /// The file; - for standard input.
        file: PathBuf,
        /// Under this name, and not the one that it has.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Replace what has this name.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        whom: Whom,
    },
    /// Remove one.
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Named {
    /// Its name.
    name: String,
    #[command(flatten)]
    whom: Whom,
}

#[derive(Debug, clap::Args)]
struct Record {
    /// Its name: letters of ASCII, digits, -, _ and . are permitted.
    name: String,
    #[command(flatten)]
    time: Times,
    /// Of these lines alone: device=cyton, or metric=stage_duration. Can be given more than once.
    #[arg(long = "match", value_name = "LABEL=VALUE", value_parser = pair)]
    only: Vec<(String, String)>,
    /// What it is about, for those who read it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Replace what has this name.
    #[arg(long)]
    replace: bool,
    /// Record it though something was wrong in that time.
    #[arg(long)]
    allow_bad: bool,
    /// Write it to this file, and not to the agent.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    whom: Whom,
}

#[derive(Debug, clap::Args)]
struct Compare {
    /// The name of the benchmark.
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// The benchmark in this file, and not one of the agent.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,
    #[command(flatten)]
    time: Times,
    /// Show the lines that are stable as well.
    #[arg(long)]
    all: bool,
    /// End with 3 on a regression that is at least so bad.
    #[arg(long, value_name = "SEVERITY", default_value = "info")]
    fail_on: Least,
    /// The form of the comparison.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Output,
    #[command(flatten)]
    whom: Whom,
}

/// Which time is measured.
#[derive(Debug, clap::Args)]
struct Times {
    /// Over this long up to now: 30m, 6h; an hour to record, half an hour to compare if omitted.
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["from", "to"])]
    last: Option<Span>,
    /// From this time on: 2026-11-29T14:03:00Z, or seconds since the epoch.
    #[arg(long, value_name = "TIME", value_parser = moment_of)]
    from: Option<When>,
    /// Up to this time; now if omitted.
    #[arg(long, value_name = "TIME", value_parser = moment_of, requires = "from")]
    to: Option<When>,
    /// From one point to the next: at least two intervals of the history. A minute if omitted; eight points are needed.
    #[arg(long, value_name = "SPAN")]
    step: Option<Span>,
}

/// How bad a regression is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Least {
    /// Over its limit.
    Info,
    /// One and a half times: alerts.limits.regression_warning.
    Warning,
    /// Twice: alerts.limits.regression_critical.
    Critical,
}

/// The form of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For a terminal.
    Text,
    /// Every number, for programs.
    Json,
    /// A line for each line.
    Csv,
    /// For the summary of a CI job.
    Md,
}

#[derive(Debug, clap::Args)]
pub(super) struct RegressionArgs {
    /// Of the last so many hours: 1 to 168.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=168))]
    hours: u32,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
    #[command(flatten)]
    whom: Whom,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write a label and its value: device=cyton")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Why a command ends. What is wrong was said, or is said.
enum End {
    Said(Exit),
    Wrong(String),
    Usage(String),
}

impl From<Exit> for End {
    fn from(exit: Exit) -> Self {
        Self::Said(exit)
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Wrong(match failure {
            Failure::Absent(why) => format!(
                "{why}\n  hint: the agent has to run; name another one with --server, or keep the benchmark in a file with --file"
            ),
            Failure::Question(why) | Failure::Missing(why) | Failure::Server(why) => why,
        })
    }
}

pub(super) fn benchmark(args: &Args) -> Exit {
    let Some(runtime) = runtime() else { return Exit::Failed };
    ended(runtime.block_on(done(&args.what)))
}

fn ended(done: Result<Exit, End>) -> Exit {
    match done {
        Ok(exit) | Err(End::Said(exit)) => exit,
        Err(End::Wrong(why)) => {
            complain(&why);
            Exit::Failed
        }
        Err(End::Usage(why)) => {
            complain(&why);
            Exit::Usage
        }
    }
}

async fn done(what: &BenchmarkCommand) -> Result<Exit, End> {
    match what {
        BenchmarkCommand::Record(args) => record(args).await,
        BenchmarkCommand::List { whom, output } => {
            let (data, _) = whom.keeper()?.call("/api/v1/benchmarks", None).await?;
            for why in data.get("damaged").and_then(Json::as_array).into_iter().flatten() {
                complain(&why.as_str().unwrap_or_default());
            }
            let all: Vec<Listed> = data
                .get("benchmarks")
                .and_then(|all| serde_json::from_value(all.clone()).ok())
                .unwrap_or_default();
            Ok(print(&match output {
                Form::Json => json(&all),
                Form::Text => benchmark::write_list(&all).into_bytes(),
            }))
        }
        BenchmarkCommand::Show { one, output } => {
            let found = fetched(&one.whom.keeper()?, &one.name).await?;
            Ok(print(&match output {
                Form::Json => json(&found),
                Form::Text => benchmark::write_one(&found).into_bytes(),
            }))
        }
        BenchmarkCommand::Compare(args) => compared(args).await,
        BenchmarkCommand::Export(one) => Ok(print(&json(&fetched(&one.whom.keeper()?, &one.name).await?))),
        BenchmarkCommand::Import { file, name, replace, whom } => {
            let mut read = read(file)?;
            if let Some(name) = name {
                check_name(name).map_err(End::Usage)?;
                read.name.clone_from(name);
            }
            keep(&whom.keeper()?, &read, *replace).await?;
            Ok(print(format!("{} is kept\n", read.name).as_bytes()))
        }
        BenchmarkCommand::Delete(one) => {
            check_name(&one.name).map_err(End::Usage)?;
            one.whom.keeper()?.delete(&format!("/api/v1/benchmarks/{}", one.name)).await?;
            Ok(print(format!("{} is removed\n", one.name).as_bytes()))
        }
    }
}

impl Times {
    fn time(&self, usual: u64) -> Result<Time, End> {
        let end = self.to.map_or_else(|| now().wall_milliseconds(), |to| to.0);
        let last = self.last.unwrap_or_else(|| Span::seconds(usual));
        let last = i64::try_from(last.0.as_millis()).unwrap_or(i64::MAX);
        let start = self.from.map_or_else(|| end.saturating_sub(last), |from| from.0);
        if start < end {
            return Ok(Time { start, end });
        }
        Err(End::Usage("the time is empty: --from is not before --to".to_owned()))
    }

    /// From one point to the next.
    fn step(&self, time: Time, usual: i64) -> Result<i64, End> {
        let step =
            self.step.map_or(usual, |step| i64::try_from(step.0.as_millis()).unwrap_or(i64::MAX).max(1000));
        let hint = "take a longer time, or a shorter step with --step; eight points are needed";
        check_step(time, step).map_err(|why| End::Usage(format!("{why}\n  hint: {hint}")))?;
        Ok(step)
    }
}

async fn record(args: &Record) -> Result<Exit, End> {
    check_name(&args.name).map_err(End::Usage)?;
    let time = args.time.time(3600)?;
    let step = args.time.step(time, usual_step(time))?;
    let (asked, limits) = (args.whom.open()?, args.whom.limits()?);
    let (answers, notes) = ask_all(&asked, report::questions(time, None)).await.map_err(End::Wrong)?;
    let source = asked.name();
    let given =
        report::ReportInput { notes, ..report::ReportInput::new(time, source.clone(), answers, &limits) };
    let verdict = report::build(given).verdict;
    if verdict.status != Status::Healthy && !args.allow_bad {
        let said: String = verdict.sentences.iter().take(5).map(|one| format!("\n  {}", one.text)).collect();
        return Err(End::Wrong(format!(
            "{}: not recorded{said}\n  hint: record a time that was good with --from and --to, or this one with --allow-bad",
            verdict.words
        )));
    }
    let (answers, notes) = ask_all(&asked, benchmark::questions(time, step)).await.map_err(End::Wrong)?;
    for note in notes {
        complain(&format!("note: {note}"));
    }
    let given =
        benchmark::BenchmarkInput { name: args.name.clone(), time, step, source, answers, only: &args.only };
    let made = Benchmark { note: args.note.clone(), verdict: verdict.in_short(), ..benchmark::build(given) };
    if made.lines.is_empty() {
        return Err(End::Wrong(
            "nothing was measured in this time\n  hint: `neural-exporter report` tells what is measured"
                .to_owned(),
        ));
    }
    match &args.file {
        None => keep(&args.whom.keeper()?, &made, args.replace).await?,
        Some(path) => {
            if path.exists() && !args.replace {
                return Err(End::Wrong(format!(
                    "{} is there already; --replace replaces it",
                    path.display()
                )));
            }
            let put = crate::file::replace(path, &json(&made), crate::file::READABLE);
            put.map_err(|error| End::Wrong(format!("{}: {error}", path.display())))?;
        }
    }
    Ok(print(benchmark::write_one(&made).as_bytes()))
}

async fn compared(args: &Compare) -> Result<Exit, End> {
    let baseline = match (&args.file, &args.name) {
        (Some(path), _) => read(path)?,
        (None, Some(name)) => fetched(&args.whom.keeper()?, name).await?,
        (None, None) => return Err(End::Usage("name a benchmark, or a file with --file".to_owned())),
    };
    let (asked, limits) = (args.whom.open()?, args.whom.limits()?);
    let time = args.time.time(1800)?;
    let step = args.time.step(time, usual_step(time).min(baseline.step))?;
    let (answers, notes) = ask_all(&asked, benchmark::questions(time, step)).await.map_err(End::Wrong)?;
    let (name, source, only) = (String::new(), asked.name(), &baseline.only[..]);
    let current = benchmark::build(benchmark::BenchmarkInput { name, time, step, source, answers, only });
    let mut comparison = compare(&baseline, &current, &limits);
    comparison.notes.extend(notes);
    let shown = match args.output {
        Output::Text => benchmark::write(&comparison, args.all).into_bytes(),
        Output::Json => json(&comparison),
        Output::Csv => benchmark::write_csv(&comparison).into_bytes(),
        Output::Md => benchmark::write_markdown(&comparison).into_bytes(),
    };
    if print(&shown) != Exit::Fine {
        return Ok(Exit::Failed);
    }
    let least = match args.fail_on {
        Least::Info => Severity::Info,
        Least::Warning => Severity::Warning,
        Least::Critical => Severity::Critical,
    };
    Ok(match comparison.rows.iter().filter_map(|row| row.severity).max() {
        Some(severity) if severity >= least => Exit::Differs,
        // A comparison of nothing is none.
        _ if comparison.status == Status::Unknown => Exit::Failed,
        _ => Exit::Fine,
    })
}

async fn fetched(keeper: &Server, name: &str) -> Result<Benchmark, End> {
    check_name(name).map_err(End::Usage)?;
    let (data, _) = keeper.call(&format!("/api/v1/benchmarks/{name}"), None).await?;
    Benchmark::read(data.to_string().as_bytes())
        .map_err(|why| End::Wrong(format!("the benchmark {name}: {why}")))
}

/// Has an agent keep one.
async fn keep(keeper: &Server, one: &Benchmark, replace: bool) -> Result<(), End> {
    let path = if replace { "/api/v1/benchmarks?replace=true" } else { "/api/v1/benchmarks" };
    keeper.post_json(path, serde_json::to_vec(one).unwrap_or_default()).await?;
    Ok(())
}

fn read(path: &Path) -> Result<Benchmark, End> {
    let text = if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text).map(|_| text)
    } else {
        std::fs::read(path)
    };
    let wrong = |why: String| End::Wrong(format!("{}: {why}", path.display()));
    Benchmark::read(&text.map_err(|error| wrong(error.to_string()))?).map_err(wrong)
}

pub(super) fn regressed(args: &RegressionArgs) -> Exit {
    let Some(runtime) = runtime() else { return Exit::Failed };
    let work = async {
        let (asked, limits) = (args.whom.open()?, args.whom.limits()?);
        let questions = regression_questions(now().wall_milliseconds(), i64::from(args.hours) * 3_600_000);
        let (answers, notes) = ask_all(&asked, questions).await.map_err(End::Wrong)?;
        for note in notes {
            complain(&format!("note: {note}"));
        }
        let found = regressions(answers, &limits);
        let shown = match args.output {
            Form::Json => json(&found),
            Form::Text => benchmark::write_regressions(&found, f64::from(args.hours)).into_bytes(),
        };
        let lasts = found.regressions.iter().any(|one| one.now >= 1.0);
        Ok(match print(&shown) {
            Exit::Fine if lasts => Exit::Differs,
            Exit::Fine if found.baselines.is_empty() => Exit::Failed,
            exit => exit,
        })
    };
    ended(runtime.block_on(work))
}
