//! `history`: what an agent remembers on disk.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, FileArgs, Form, complain, json, print, run};
use crate::agent::{Failure, history_file};
use crate::config::Config;
use crate::history::Target;
use crate::promql::{self, Error, Matcher, Select, Selection, Storage};
use crate::store::{self, Contents, History};

/// Families that are listed.
const FAMILIES: usize = 15;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<HistoryCommand>,
    /// The configuration file, which says where the state directory is; as for `run` if omitted.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// Remove what is older or more than the configuration allows, now. The agent does so by itself once an hour.
    Prune,
    /// Remove everything.
    Clear {
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
    /// Add samples from a file as `export` writes it, in any of its forms; not while the agent runs. Of two samples of one series and
    /// time the imported one stands.
    Import {
        /// The file; - is the standard input.
        samples: PathBuf,
    },
    /// Print samples, oldest first within each series.
    Export {
        /// Which series, such as neural_device_samples_total or {device="cyton"}; all if omitted. Can be given more than once.
        #[arg(
            long = "match",
            value_name = "SELECTOR",
            default_value = "{__name__=~\".+\"}",
            hide_default_value = true
        )]
        selectors: Vec<String>,
        /// From this time on: seconds since the epoch.
        #[arg(long, value_name = "SECONDS")]
        from: Option<f64>,
        /// Up to this time: seconds since the epoch.
        #[arg(long, value_name = "SECONDS")]
        to: Option<f64>,
        /// The form of the samples.
        #[arg(long = "as", value_name = "FORM", default_value = "openmetrics")]
        form: store::Form,
    },
}

pub(super) fn history(args: &Args) -> Exit {
    let config = match run::load(run::chosen(&FileArgs { config: args.config.clone() }).as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            complain(&Failure::Config(problems));
            return Exit::Usage;
        }
    };
    let Some(path) = history_file(&config) else {
        complain(&"there is no state directory\n  hint: name one as state_directory in the configuration");
        return Exit::Usage;
    };
    let done = match &args.what {
        None => {
            store::contents(&path).map(|contents| print(&show(&contents, &path, args.output == Form::Json)))
        }
        Some(HistoryCommand::Prune) => store::prune(&path, &retention(&config)).map(|()| Exit::Fine),
        Some(HistoryCommand::Import { samples }) => match input(samples) {
            Ok(text) => store::import(&path, text).map(|done| {
                complain(&format!(
                    "{} samples were added; {} lines are no samples with a time",
                    done.samples, done.refused
                ));
                if done.samples > 0 || done.refused == 0 { Exit::Fine } else { Exit::Failed }
            }),
            Err(error) => {
                complain(&format!("{}: {error}", samples.display()));
                return Exit::Usage;
            }
        },
        Some(HistoryCommand::Clear { yes: false }) => {
            complain(&format!("this removes everything in {}\n  hint: add --yes", path.display()));
            return Exit::Usage;
        }
        Some(HistoryCommand::Clear { yes: true }) => store::clear(&path).map(|()| Exit::Fine),
        Some(HistoryCommand::Export { selectors, from, to, form }) => {
            let ms = |seconds: &Option<f64>, other: i64| {
                seconds.map_or(other, |seconds| (seconds * 1000.0) as i64)
            };
            let selectors: Result<Vec<_>, Error> =
                selectors.iter().map(|text| promql::parse_selector(text)).collect();
            let selectors = match selectors {
                Ok(selectors) => selectors,
                Err(error) => {
                    complain(&format!("--match: {}", error.text));
                    return Exit::Usage;
                }
            };
            History::read(&path).map(|history| {
                let done = export(&history, &selectors, ms(from, i64::MIN), ms(to, i64::MAX), *form);
                match history.note() {
                    Some(why) => {
                        complain(&why);
                        Exit::Failed
                    }
                    None => done,
                }
            })
        }
    };
    done.unwrap_or_else(|failure| {
        complain(&failure);
        Exit::Failed
    })
}

fn input(path: &std::path::Path) -> std::io::Result<Box<dyn std::io::BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    Ok(Box::new(std::io::BufReader::new(std::fs::File::open(path)?)))
}

fn retention(config: &Config) -> store::Retention {
    config.history.options(None, Target::default(), config.limits.series).retention
}

/// What a file holds, for people or as JSON.
fn show(contents: &Contents, path: &std::path::Path, as_json: bool) -> Vec<u8> {
    let Contents { series, samples, chunk_bytes, scrapes, bytes, span, families } = contents;
    let each = |bytes: i64, samples: i64| if samples > 0 { bytes as f64 / samples as f64 } else { 0.0 };
    if as_json {
        let families: Vec<_> = families
            .iter()
            .map(|one| serde_json::json!({"name": one.name, "series": one.series, "samples": one.samples, "bytes": one.bytes}))
            .collect();
        return json(&serde_json::json!({
            "file": path, "bytes": bytes, "series": series, "samples": samples, "chunk_bytes": chunk_bytes,
            "scrapes_waiting": scrapes, "from_ms": span.map(|(first, _)| first), "to_ms": span.map(|(_, last)| last), "families": families,
        }));
    }
    let mut out = format!("{}: {:.1} MB\n", path.display(), *bytes as f64 / 1e6);
    // Writing to a string cannot fail.
    if let Some((first, last)) = span {
        let _ = writeln!(
            out,
            "from {} to {}, {:.1} hours",
            promql::moment(*first),
            promql::moment(*last),
            (last - first) as f64 / 3.6e6
        );
    }
    let _ = writeln!(
        out,
        "{series} series, {samples} samples in chunks, {:.2} bytes a sample; {scrapes} scrapes of the last hour wait to become chunks",
        each(*chunk_bytes, *samples)
    );
    let width = families.iter().take(FAMILIES).map(|one| one.name.len()).max().unwrap_or_default().max(6);
    let _ = writeln!(
        out,
        "\n{:width$}  {:>7}  {:>10}  {:>10}  bytes a sample",
        "metric", "series", "samples", "bytes"
    );
    for one in families.iter().take(FAMILIES) {
        let each = each(one.bytes, one.samples);
        let _ = writeln!(
            out,
            "{:width$}  {:>7}  {:>10}  {:>10}  {each:.2}",
            one.name, one.series, one.samples, one.bytes
        );
    }
    out.into_bytes()
}

/// Prints samples while they are read.
fn export(history: &History, selectors: &[Vec<Matcher>], from: i64, to: i64, form: store::Form) -> Exit {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut wrote = Ok(());
    for matchers in selectors {
        let selection = Selection { matchers, from, to, step: 0, width: i64::MAX };
        let read = history.select(&selection, &mut |labels, samples| {
            let start = samples.partition_point(|sample| sample.t < from);
            let end = samples.partition_point(|sample| sample.t <= to);
            wrote = store::write_series(&mut out, labels, samples.get(start..end).unwrap_or_default(), form);
            if wrote.is_ok() { Ok(()) } else { Err(Error::storage("the output is closed")) }
        });
        match (read, &wrote) {
            (_, Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => return Exit::Fine,
            (_, Err(error)) => {
                complain(&format!("cannot write: {error}"));
                return Exit::Failed;
            }
            (Err(error), _) => {
                complain(&error.text);
                return Exit::Failed;
            }
            (Ok(()), Ok(())) => {}
        }
    }
    if form == store::Form::Openmetrics && writeln!(out, "# EOF").is_err() {
        return Exit::Failed;
    }
    if out.flush().is_ok() { Exit::Fine } else { Exit::Failed }
}
