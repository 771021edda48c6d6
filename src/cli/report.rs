//! `report`: what a time was like, asked of the agent, its file, or a server.

use clap::ValueEnum;

use super::query::{Whom, ask_all};
use super::{Exit, complain, json, print, runtime};
use crate::ask::{Answers, Bridged};
use crate::catalog::limit::Limits;
use crate::clock::now;
use crate::promql::read_moment;
use crate::setting::Span;
use crate::view::report::{self, Given, Report, Time};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Over the last so long: 30m, 6h, 7d.
    #[arg(long, value_name = "SPAN", default_value = "1h", conflicts_with_all = ["from", "to"])]
    last: Span,
    /// From this time on: 2026-11-29T14:03:00Z, or seconds since the epoch.
    #[arg(long, value_name = "TIME", value_parser = moment_of)]
    from: Option<When>,
    /// Up to this time; now if omitted.
    #[arg(long, value_name = "TIME", value_parser = moment_of, requires = "from")]
    to: Option<When>,
    /// Of this device alone, where a table is by device.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Of this pipeline alone, where a table is by pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    #[command(flatten)]
    whom: Whom,
    /// The form of the report.
    #[arg(long, value_name = "FORM", alias = "output", default_value = "text")]
    format: Format,
}

/// A time, in ms since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct When(pub(super) i64);

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Text,
    /// Every number, for programs.
    Json,
    /// A line for each number.
    Csv,
    /// One file that opens offline and prints.
    Html,
    /// For an issue or a notebook.
    Md,
}

pub(super) fn moment_of(text: &str) -> Result<When, String> {
    let seconds = || text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let read = read_moment(text).or_else(|| seconds().map(|seconds| (seconds * 1000.0) as i64));
    read.map(When).ok_or_else(|| "write 2026-11-29T14:03:00Z, or seconds since the epoch".to_owned())
}

pub(super) fn report(args: &Args) -> Exit {
    let present = now().wall_milliseconds();
    let end = args.to.map_or(present, |to| to.0);
    let last = i64::try_from(args.last.0.as_millis()).unwrap_or(i64::MAX);
    let time = Time { start: args.from.map_or_else(|| end.saturating_sub(last), |from| from.0), end };
    if time.start >= time.end {
        complain(&"the time is empty: --from is not before --to");
        return Exit::Usage;
    }
    let (asked, limits) = match args.whom.open().and_then(|asked| Ok((asked, args.whom.limits()?))) {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let named = [("device", &args.device), ("pipeline", &args.pipeline)];
    let only: Vec<(String, String)> =
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
    match runtime.block_on(make(&asked, time, &limits, &only)) {
        Ok(report) => print(&shown(&report, args.format)),
        Err(why) => {
            complain(&why);
            Exit::Failed
        }
    }
}

/// Asks everything, and makes the report. If nothing answers there is none.
async fn make(
    asked: &Bridged,
    time: Time,
    limits: &Limits,
    only: &[(String, String)],
) -> Result<Report, String> {
    let (answers, notes) = ask_all(asked, report::questions(time)).await?;
    Ok(report::build(Given { time, source: asked.name(), answers, limits, only, notes }))
}

fn shown(report: &Report, format: Format) -> Vec<u8> {
    match format {
        Format::Text => report::write_text(report).into_bytes(),
        Format::Json => json(report),
        Format::Csv => report::write_csv(report).into_bytes(),
        Format::Html => report::write_html(report).into_bytes(),
        Format::Md => report::write_markdown(report).into_bytes(),
    }
}
