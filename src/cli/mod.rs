//! The command line: one file a subcommand. Each arm calls one function.

mod check;
mod demo;
mod metrics;
mod provision;
mod recording;
mod run;
mod silence;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// What the process ends with. These numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Everything went well.
    Fine = 0,
    /// Something failed while running.
    Failed = 1,
    /// The command or the configuration is wrong.
    Usage = 2,
    /// There is something to do.
    Differences = 3,
}

const AFTER: &str = "\
Without a configuration file the agent listens for JSON lines on a Unix socket and for StatsD on \
127.0.0.1:8125, watches the machine, and serves http://127.0.0.1:9612/metrics.

Try it:  neural-exporter demo
Check:   neural-exporter check --config /etc/neural-exporter/config.yml
Send:    printf '%s\\n' '{\"type\":\"error\",\"pipeline\":\"p\",\"error\":\"test\"}' |
         socat - UNIX-CONNECT:/run/neural-exporter/events.sock

Exit codes: 0 fine, 1 failed while running, 2 bad usage or configuration, 3 differences found.";

/// Health of neural pipelines and acquisition devices as OpenMetrics.
#[derive(Debug, Parser)]
#[command(version, about, after_help = AFTER, max_term_width = 100)]
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
    /// Check the configuration, the packs beside it and the mapping files: every mistake at once.
    Check {
        #[command(flatten)]
        file: FileArgs,
        /// Print the configuration that is in effect, defaults included.
        #[arg(long)]
        print: bool,
    },
    /// Run the agent on its defaults with a simulated pipeline that talks to it over its Unix socket.
    Demo {
        /// Where /metrics is served.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9612")]
        listen: std::net::SocketAddr,
        /// Stop after so many seconds.
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<u64>,
    },
    /// List every metric: name, type, labels, meaning.
    Metrics {
        #[command(flatten)]
        file: FileArgs,
        /// As the Markdown of METRICS.md.
        #[arg(long)]
        markdown: bool,
    },
    /// Run the agent and write every byte its sources read to a file.
    Record {
        #[command(flatten)]
        file: FileArgs,
        /// The recording to make. It must not exist.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Stop after so many seconds.
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
    /// Push dashboards, rules and routes to the servers that the configuration names.
    Provision(provision::Args),
    /// Silence the alerts of a device for a while, or list and end such silences.
    Silence(silence::Args),
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

#[derive(Debug, Args)]
struct FileArgs {
    /// The configuration file; /etc/neural-exporter/config.yml if it is there, else the defaults.
    #[arg(long, short, value_name = "FILE", env = "NEURAL_EXPORTER_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Where /metrics is served, instead of what the configuration says. Can be given more than once.
    #[arg(long, visible_alias = "web.listen-address", value_name = "ADDRESS")]
    listen: Vec<String>,
    /// What the log says, instead of what the configuration says: error, warn, info, debug, trace.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaOf {
    /// The configuration file.
    Config,
    /// A user pack.
    Pack,
    /// The JSON lines that pipelines send.
    Events,
}

/// Runs the command that was typed.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are printed the same way; a broken pipe is nobody's fault.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { Exit::Usage as u8 } else { 0 });
        }
    };
    let exit = match cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Check { file, print }) => check::check(&file, print),
        Some(Command::Demo { listen, seconds }) => demo::demo(listen, seconds),
        Some(Command::Metrics { file, markdown }) => metrics::list(&file, markdown),
        Some(Command::Record { file, output, seconds }) => recording::record(&file, &output, seconds),
        Some(Command::Replay { file, openmetrics }) => recording::replay(&file, openmetrics),
        Some(Command::Provision(args)) => provision::provision(&args),
        Some(Command::Silence(args)) => silence::silence(&args),
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
        SchemaOf::Pack => crate::catalog::pack::schema(),
        SchemaOf::Events => return print(include_bytes!("../../deploy/events.schema.json")),
    };
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    print(text.as_bytes())
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
    // If even this cannot be written there is nobody to tell.
    drop(writeln!(std::io::stderr(), "neural-exporter: {what}"));
}
