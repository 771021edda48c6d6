//! The command line: one file a subcommand. Each arm calls one function.

mod benchmark;
mod check;
mod demo;
mod devices;
mod doctor;
mod generate;
mod history;
mod incidents;
mod init;
mod look;
mod metrics;
mod once;
mod provision;
mod query;
mod recording;
mod report;
mod run;
mod server;
mod session;
mod silence;
mod simulate;
mod status;
mod streams;
mod task;
mod test_rules;
mod top;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::agent::log;
use crate::setting::Span;

/// What the process ends with. These numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Everything went well.
    Fine = 0,
    /// Something failed while running.
    Failed = 1,
    /// The command or the configuration is wrong.
    Usage = 2,
    /// What is there is not what it should be.
    Differs = 3,
}

const AFTER: &str = "\
Without a configuration file the agent listens for JSON lines on a Unix socket and for StatsD on \
127.0.0.1:8125, watches the machine, and serves http://127.0.0.1:9612/metrics.

Try it:  neural-exporter demo
Check:   neural-exporter check --config /etc/neural-exporter/config.yml
Send:    printf '%s\\n' '{\"type\":\"error\",\"pipeline\":\"p\",\"error\":\"test\"}' |
         socat - UNIX-CONNECT:/run/neural-exporter/events.sock

Exit codes: 0 fine, 1 failed while running, 2 bad usage or configuration, 3 differences found.";

const QUERY: &str = "\
Examples:
  neural-exporter query 'rate(neural_device_lost_packets_total[5m])'
  neural-exporter query 'neural_device_rate_hertz' --last 1h
  neural-exporter query 'up' --server https://mimir.example/prometheus --token-file token --tenant lab

It ends with 0 if there is an answer, 1 if the server cannot be asked or cannot answer, and 2 if the expression is wrong.";

const REPORT: &str = "\
Examples:
  neural-exporter report --last 30m
  neural-exporter report --session last --format html > last.html
  neural-exporter report --from 2026-11-29T14:03:00Z --to 2026-11-29T15:10:00Z --device cyton --format html > cyton.html
  neural-exporter report --last 7d --server http://prometheus:9090 --format json

Exit codes: 0 there is a report, whatever it says, 1 no server answers, 2 bad usage.";

const BENCHMARK: &str = "\
Examples:
  neural-exporter benchmark record tuesday --last 1h
  neural-exporter benchmark compare tuesday --last 30m
  neural-exporter benchmark export tuesday > tuesday.json
  neural-exporter benchmark compare --file tuesday.json --server http://prometheus:9090 --output md

Exit codes: 0 done and no regression, 1 it could not be done, or nothing could be compared, 2 bad usage, 3 a regression.";

const REGRESSIONS: &str = "\
The agent compares the last minutes with each of benchmarks.baselines every 10 minutes.

Exit codes: 0 none lasts, 1 nothing was compared, or no server answers, 2 bad usage, 3 one lasts.";

const SESSION: &str = "\
Examples:
  neural-exporter session start sub-01_ses-01_task-rest
  neural-exporter session stop
  neural-exporter session list
  neural-exporter report --session last

Exit codes: 0 done, 1 there is no such session, it is open or ended already, or the agent does not answer, 2 bad usage.";

const INCIDENTS: &str = "\
Examples:
  neural-exporter incidents
  neural-exporter incidents show 3f2a
  neural-exporter incidents ack 3f2a --why 'electrode is being replaced'
  neural-exporter incidents export --last 30d --output csv > incidents.csv

Exit codes: 0 done, 1 there is no such incident, it is resolved already, or the agent does not answer, 2 bad usage.";

const TASK: &str = "\
Examples:
  neural-exporter task list
  neural-exporter task run old-exports

Exit codes: 0 done, 1 the task failed, runs already, or the agent does not answer, 2 there is no such task, or bad usage.";

const STATUS: &str = "\
Exit codes, those of a Nagios plugin: 0 healthy, 1 degraded, 2 unhealthy, 3 unknown, or no answer.";

const DOCTOR: &str = "\
It changes nothing and opens no port. Every finding is a line, with what fixes it below.

Exit codes: 0 nothing fails, 1 something does not work, 2 bad usage or a configuration with mistakes.";

const INIT: &str = "\
No port is opened and no recording program is connected to: what may be there is a comment in the file. LSL streams are \
searched for one second, and /metrics of this machine's usual ports are read for inference engines.

Exit codes: 0 written, 1 failed while running, 2 bad usage, or the file is there and stays.";

const TOP: &str = "\
Keys: q quit, arrows or j k choose, enter opens, esc goes back, / filters, s sorts, a acknowledges the chosen incident.

Exit codes: 0 fine, 1 the agent does not answer, 2 bad usage. With --once those of status: 0 healthy, 1 degraded, 2 unhealthy, \
3 unknown, or no answer.";

const TEST_RULES: &str = "\
Examples:
  neural-exporter test-rules alert-rules/tests/*.yml
  neural-exporter test-rules --run 'NeuralDevice.* fires' alert-rules/tests/device_test.yml

Exit codes: 0 all tests passed, 1 a test failed, 2 a file cannot be read or is wrong.";

const DEVICES: &str = "\
No port is opened, so nothing is taken from a program that records. A USB id is that of a bridge and never \
proves what is behind it: the protocol in the suggested configuration is a guess to be checked. Programs of \
other users that have a port open are seen by root alone.

Each port comes with a source to paste under `sources:` of the configuration. It names the device by what \
stays with it, not by a number such as ttyUSB0, which changes when it is plugged in again.

LSL streams are searched for one second, on this machine unless --scope says more. No
stream is connected to.

Exit codes: 0 fine, also if nothing was found; 1 failed while running; 2 bad usage.";

/// Health of neural pipelines and acquisition devices as OpenMetrics.
#[derive(Debug, Parser)]
#[command(version, about, after_help = AFTER, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent (the default).
    Run(RunArgs),
    /// Check the configuration, the packs beside it and the mapping files: all errors.
    Check(check::Args),
    /// Run the agent on its defaults with a simulated laboratory: a pipeline, a Cyton, a stream, two programs.
    Demo {
        /// Where /metrics is served; if omitted, on a port that is free.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", hide_default_value = true, value_parser = run::address)]
        listen: std::net::SocketAddr,
        /// Stop after this many seconds.
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<u64>,
    },
    /// List serial ports and LSL streams: what is there, what it probably is, whether it may be opened, which program
    /// has it.
    #[command(after_help = DEVICES)]
    Devices {
        /// Keep running, and print each change as a line.
        #[arg(long)]
        watch: bool,
        /// The form of the list; with --watch, JSON is one object a line.
        #[arg(long, value_name = "FORM", default_value = "text")]
        output: Form,
        /// Where the system's files are: the host's, seen from a container that has them at another place.
        #[arg(long, value_name = "FOLDER")]
        root: Option<PathBuf>,
        #[command(flatten)]
        streams: streams::Options,
    },
    /// Write rules, their tests, runbooks, routes, dashboards and manifests, as files.
    Generate {
        #[command(flatten)]
        file: FileArgs,
        /// The folder to write into; with --check the one that is compared, by default this one.
        #[arg(long, short, value_name = "DIR", required_unless_present = "check")]
        out: Option<PathBuf>,
        /// Write nothing: list what differs, and end with 3 if something does.
        #[arg(long)]
        check: bool,
        /// Overwrite files that were changed by hand.
        #[arg(long)]
        force: bool,
    },
    /// What the agent remembers on disk: how much, of what, since when. The file may be in use.
    History(history::Args),
    /// Incidents: what the agent keeps of alerts that fired, and who takes care of which.
    #[command(after_help = INCIDENTS)]
    Incidents(incidents::Args),
    /// Sessions: from the begin of a recording to its end; which there were, and beginning or ending one by hand.
    #[command(after_help = SESSION)]
    Session(session::Args),
    /// Tasks: what the agent does from time to time, and having it done now.
    #[command(after_help = TASK)]
    Task(task::Args),
    /// List every metric: name, type, labels, meaning.
    Metrics {
        #[command(flatten)]
        file: FileArgs,
        /// As the Markdown of METRICS.md.
        #[arg(long, conflicts_with = "output")]
        markdown: bool,
        /// The form of the list.
        #[arg(long, value_name = "FORM", default_value = "text")]
        output: Form,
    },
    /// Run the agent and write every byte that can be played again to a file: those of jsonl, statsd, serial,
    /// brainflow, cerebus and openbci_gui sources.
    Record {
        #[command(flatten)]
        file: FileArgs,
        /// The recording to make. It must not exist.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Stop after this many seconds.
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<u64>,
    },
    /// Play a recording through the same decoders and print what a scrape would show.
    Replay {
        /// The recording.
        file: PathBuf,
        /// As OpenMetrics rather than the classic text format.
        #[arg(long)]
        openmetrics: bool,
    },
    /// Simulate an acquisition device on a pseudo-terminal, with faults that are counted exactly.
    Simulate(simulate::SimulateArgs),
    /// Look at everything on this machine that the agent depends on: ports, multicast, clock, disk, what the configuration names, and
    /// the running agent; each with what fixes it.
    #[command(after_help = DOCTOR)]
    Doctor(doctor::Args),
    /// Write a configuration of what is plugged in, streaming and listening on this machine.
    #[command(after_help = INIT)]
    Init(init::Args),
    /// Push dashboards, rules and routes to the servers that the configuration names.
    Provision(provision::Args),
    /// Query the past in PromQL: the agent of this machine, or any server with the HTTP API of Prometheus.
    #[command(after_help = QUERY)]
    Query(query::Args),
    /// Report on a span of time: what was lost, what was bad, where the time goes, what got worse.
    #[command(after_help = REPORT)]
    Report(report::Args),
    /// Record measurements of a good time under a name, and compare other times with them.
    #[command(after_help = BENCHMARK)]
    Benchmark(benchmark::Args),
    /// List what was worse than the baselines that the configuration names.
    #[command(after_help = REGRESSIONS)]
    Regressions(benchmark::RegressionArgs),
    /// Show how everything is that the agent of this machine watches, or another one.
    #[command(after_help = STATUS)]
    Status(status::Args),
    /// Show how everything is in the terminal, live: devices and their channels, programs, pipelines, incidents.
    #[command(after_help = TOP)]
    Top(top::Args),
    /// Silence the alerts of a device for a while, or list and end such silences.
    Silence(silence::Args),
    /// Run unit tests of rules, as `promtool test rules` does.
    #[command(after_help = TEST_RULES)]
    TestRules(test_rules::Args),
    /// Print a JSON Schema, for editors.
    Schema {
        /// Of what.
        of: SchemaOf,
    },
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What a command waits for answers in. Says why if there is none.
fn runtime() -> Option<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.inspect_err(|error| complain(&format!("cannot start: {error}"))).ok()
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The configuration file; if omitted, what NEURAL_EXPORTER_CONFIG says, then /etc/neural-exporter/config.yml if it
    /// is there, else the defaults.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Where /metrics is served, instead of what the configuration says: 127.0.0.1:9612, or :9612 for all addresses.
    /// Can be given more than once.
    #[arg(long, visible_alias = "web.listen-address", value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The web configuration file of Prometheus and its exporters, instead of what the configuration names: TLS, certificates of clients,
    /// users.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web: Option<PathBuf>,
    /// What the log says, instead of what the configuration says: error, warn, info, debug, trace.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    log: Option<String>,
    /// Collect for a while, print what a scrape would show, and end: for cron and batch jobs. Nothing is served unless --listen is given, there is no
    /// history, and the log has warnings alone unless --log says otherwise.
    #[arg(long)]
    once: bool,
    /// How long to collect with --once.
    #[arg(long = "for", value_name = "SPAN", default_value = "10s", requires = "once")]
    collect: Span,
    /// Push to the Pushgateway at this address at the end, instead of printing. Its group has the job of the configuration (alerts.job).
    #[arg(long, value_name = "URL", requires = "once")]
    push: Option<String>,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// JSON.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    /// The configuration file.
    Config,
    /// A user pack.
    Pack,
    /// The JSON lines that pipelines send.
    Events,
    /// A report as JSON.
    Report,
}

/// The command line, as documentation is written from it.
#[must_use]
pub fn commands() -> clap::Command {
    Cli::command()
}

/// Runs the command that was typed.
#[must_use]
pub fn main() -> ExitCode {
    let exit = command();
    log::flush();
    exit
}

fn command() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are printed the same way; a broken pipe is nobody's fault.
            drop(error.print());
            let asks = std::env::args_os().nth(1).is_some_and(|command| command == "status");
            // What a script that asks for the status takes for unhealthy is not a word that was mistyped.
            let wrong = if asks { status::UNKNOWN } else { Exit::Usage };
            return ExitCode::from(if error.use_stderr() { wrong as u8 } else { 0 });
        }
    };
    let exit = match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Demo { listen, seconds }) => demo::demo(listen, seconds),
        Some(Command::Devices { watch, output, root, streams }) => {
            devices::devices(root.as_deref(), watch, output == Form::Json, &streams)
        }
        Some(Command::Generate { file, out, check, force }) => {
            let out = out.unwrap_or_else(|| PathBuf::from("."));
            generate::generate(&file, &out, check, force)
        }
        Some(Command::History(args)) => history::history(&args),
        Some(Command::Incidents(args)) => incidents::incidents(&args),
        Some(Command::Metrics { file, markdown, output }) => metrics::list(&file, markdown, output),
        Some(Command::Record { file, output, seconds }) => recording::record(&file, &output, seconds),
        Some(Command::Replay { file, openmetrics }) => recording::replay(&file, openmetrics),
        Some(Command::Simulate(args)) => simulate::simulate(&args),
        Some(Command::Provision(args)) => provision::provision(&args),
        Some(Command::Query(args)) => query::query(&args),
        Some(Command::Report(args)) => report::report(&args),
        Some(Command::Benchmark(args)) => benchmark::benchmark(&args),
        Some(Command::Regressions(args)) => benchmark::regressed(&args),
        Some(Command::Status(args)) => status::status(&args),
        Some(Command::Top(args)) => top::top(&args),
        Some(Command::Init(args)) => init::init(&args),
        Some(Command::Doctor(args)) => doctor::doctor(&args),
        Some(Command::Session(args)) => session::session(&args),
        Some(Command::Task(args)) => task::task(&args),
        Some(Command::Silence(args)) => silence::silence(&args),
        Some(Command::TestRules(args)) => test_rules::test_rules(&args),
        Some(Command::Schema { of }) => schema(of),
        Some(Command::Completions { shell }) => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "neural-exporter", &mut out);
            print(&out)
        }
        Some(Command::Man) => {
            let mut out = Vec::new();
            let page = clap_mangen::Man::new(Cli::command()).render(&mut out);
            page.map_or(Exit::Failed, |()| print(&out))
        }
    };
    ExitCode::from(exit as u8)
}

fn schema(of: SchemaOf) -> Exit {
    let schema = match of {
        SchemaOf::Config => crate::config::Config::schema(),
        SchemaOf::Pack => crate::config::pack::schema(),
        SchemaOf::Report => crate::view::report::schema(),
        SchemaOf::Events => return print(include_bytes!("../../deploy/events.schema.json")),
    };
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    print(text.as_bytes())
}

/// A level of the log, checked as in the configuration.
fn level(text: &str) -> Result<String, crate::setting::Invalid> {
    crate::config::log_filter(text).map(|()| text.to_owned())
}

/// A document as JSON, with its last line ended.
fn json<T: serde::Serialize>(document: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(document).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Writes to standard output. A reader that left early is no failure.
fn print(bytes: &[u8]) -> Exit {
    match std::io::stdout().lock().write_all(bytes) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Fine,
    }
}

/// Says on standard error what could not be done.
fn complain(what: &dyn std::fmt::Display) {
    let line = format!("neural-exporter: {what}\n");
    if !log::say(line.as_bytes()) {
        // If even this cannot be written there is nobody to tell.
        drop(std::io::stderr().write_all(line.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_nowhere_but_where_it_is_said() {
        let parse = |more: &[&str]| Cli::try_parse_from(["neural-exporter", "generate"].iter().chain(more));
        for nowhere in [&[][..], &["--force"]] {
            let why = parse(nowhere).map(drop).unwrap_err().to_string();
            assert!(why.contains("--out <DIR>"), "{why}");
        }
        assert!(
            parse(&["--out", "somewhere"]).is_ok() && parse(&["--check"]).is_ok(),
            "a check writes nothing"
        );
    }
}
