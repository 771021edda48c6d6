//! `query`: asks what answers PromQL: a server that is named, or whom the configuration says, which is the agent of this machine if it says
//! nothing.

use std::fmt::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use super::{Exit, FileArgs, complain, json, look, print, run, runtime};
use crate::agent::{Failure as Unread, history_file};
use crate::ask::{Answer, Answers, Bridged, Failure, Past, Server};
use crate::catalog::limit::Limits;
use crate::clock::now;
use crate::config::Config;
use crate::listen::Address;
use crate::promql::{self, Labels, NAME, Sample, Series, Value, When};
use crate::provision::Access;
use crate::secret::Link;
use crate::setting::Span;
use crate::view::screen::{BLOCKS, blocks};
use crate::view::table::{self, Cell};

/// Columns of a plot.
const WIDTH: usize = 60;
/// Points of a range without a step.
const POINTS: i64 = 240;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is asked, in PromQL: rate(neural_device_lost_packets_total[5m]).
    expr: String,
    #[command(flatten)]
    whom: Whom,
    /// At which time, in seconds since the epoch; now if omitted.
    #[arg(long, value_name = "SECONDS", conflicts_with = "last")]
    at: Option<f64>,
    /// Over this long up to now: 30m, 6h, 7d.
    #[arg(long, value_name = "SPAN")]
    last: Option<Span>,
    /// From one point to the next; a 240th of the span if omitted.
    #[arg(long, value_name = "SPAN", requires = "last")]
    step: Option<Span>,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "table")]
    output: Output,
}

/// Who answers.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    #[command(flatten)]
    file: FileArgs,
    /// Which server: that of Prometheus, Mimir, Thanos, VictoriaMetrics or an agent. If omitted: the one that the configuration names as
    /// ask.prometheus, or else the agent that it describes, and the agent's file while it does not run.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The file with the server's token.
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
    /// The file with the certificates that the server's is signed by, PEM.
    #[arg(long, value_name = "FILE", requires = "server")]
    ca_file: Option<PathBuf>,
    /// The tenant, for Mimir and its kin: the header X-Scope-OrgID.
    #[arg(long, value_name = "NAME", requires = "server")]
    tenant: Option<String>,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people; series over time as a line of blocks.
    Table,
    /// As the data of Prometheus' API.
    Json,
    /// A line a sample: series, seconds, value.
    Csv,
    /// Each series as a plot of several lines.
    Plot,
}

pub(super) fn query(args: &Args) -> Exit {
    if let Err(error) = promql::parse(&args.expr) {
        complain(&format!("the expression: {}", error.text));
        return Exit::Usage;
    }
    let asked = match args.whom.open() {
        Ok(asked) => asked,
        Err(exit) => return exit,
    };
    let when = when(args);
    let Some(runtime) = runtime() else { return Exit::Failed };
    match runtime.block_on(asked.query(&args.expr, when)) {
        Ok(answer) => {
            for note in &answer.notes {
                complain(&format!("note: {note}"));
            }
            print(&shown(&answer, when, args.output))
        }
        Err(Failure::Question(why)) => {
            complain(&format!("the expression: {why}"));
            Exit::Usage
        }
        Err(Failure::Absent(why) | Failure::Missing(why) | Failure::Server(why)) => {
            complain(&why);
            Exit::Failed
        }
    }
}

/// Reads a configuration; says what is wrong with it.
fn load(file: Option<&std::path::Path>) -> Result<Config, Exit> {
    run::load(file).map_err(|problems| {
        complain(&Unread::Config(problems));
        Exit::Usage
    })
}

impl Whom {
    /// Who answers; says what is wrong with it.
    pub(super) fn open(&self) -> Result<Bridged, Exit> {
        self.opened().map(|(asked, _)| asked)
    }

    /// The same, with the configuration: nothing beside a server that is named without one.
    pub(super) fn opened(&self) -> Result<(Bridged, Option<Config>), Exit> {
        let wrong = |of: &str, why: String| {
            complain(&format!("{of}: {why}"));
            Exit::Usage
        };
        if self.server.is_some() {
            let config = run::chosen(&self.file).map(|file| load(Some(&file))).transpose()?;
            return Ok((Bridged(vec![Box::new(self.keeper()?)]), config));
        }
        let config = load(run::chosen(&self.file).as_deref())?;
        let own = Server::open(&Link::from(own(&config).as_str()), &Access::default(), None);
        let mut all: Vec<Box<dyn Answers>> = vec![Box::new(own.map_err(|why| wrong("listen", why))?)];
        if let Some(file) = history_file(&config).filter(|file| file.exists()) {
            all.push(Box::new(Past(file)));
        }
        let asked = config.ask.open(all).map_err(|why| wrong("ask.prometheus", why))?;
        Ok((asked, Some(config)))
    }

    /// The one server that is named, or else the agent of the configuration: who keeps what is not asked in PromQL. Says what is wrong with it.
    pub(super) fn keeper(&self) -> Result<Server, Exit> {
        let wrong = |of: &str, why: String| {
            complain(&format!("{of}: {why}"));
            Exit::Usage
        };
        let Some(url) = &self.server else {
            let config = load(run::chosen(&self.file).as_deref())?;
            let server = Server::open(&Link::from(own(&config).as_str()), &Access::default(), None);
            return server.map_err(|why| wrong("listen", why));
        };
        let (token_file, ca_file) = (self.token_file.clone(), self.ca_file.clone());
        let access = Access { token_file, ca_file, ..Access::default() };
        let server = Server::open(&Link::from(url.as_str()), &access, self.tenant.as_deref());
        server.map_err(|why| wrong("--server", why))
    }

    /// The numbers beyond which something is wrong: those of the configuration, or the usual ones beside a server that is named.
    pub(super) fn limits(&self) -> Result<Limits, Exit> {
        if self.server.is_some() && run::chosen(&self.file).is_none() {
            return Ok(Limits::default());
        }
        let config = load(run::chosen(&self.file).as_deref())?;
        Ok(Limits::changed(config.alerts.limits))
    }

    /// The agent that the configuration describes, where one is meant: that has sessions and incidents, which no Prometheus has.
    pub(super) fn agent(&self, config: Option<&Config>) -> Option<Server> {
        let root = own(config?);
        Server::open(&Link::from(root.as_str()), &Access::default(), None).ok()
    }
}

/// Asks one question after the other. An answer that is none is noted; if there is none at all, that is why.
pub(super) async fn ask_all(
    asked: &Bridged,
    questions: Vec<(String, When)>,
) -> Result<(Vec<Option<Value>>, Vec<String>), String> {
    let (mut answers, mut notes) = (Vec::<Option<Value>>::new(), Vec::<String>::new());
    for (text, when) in questions {
        match asked.query(&text, when).await {
            Ok(answer) => {
                notes.extend(answer.notes);
                answers.push(Some(answer.value));
            }
            Err(Failure::Absent(why)) => return Err(why),
            Err(Failure::Question(why) | Failure::Missing(why) | Failure::Server(why)) => {
                notes.push(why);
                answers.push(None);
            }
        }
    }
    // The same is told of each question.
    notes.sort();
    notes.dedup();
    if !answers.is_empty() && answers.iter().all(Option::is_none) {
        return Err(notes.join("\n"));
    }
    Ok((answers, notes))
}

/// Where the agent of a configuration answers.
pub(super) fn own(config: &Config) -> String {
    let scheme = if config.has_tls() { "https" } else { "http" };
    let address = config.listen.iter().find_map(|address| match address {
        Address::Tcp(address) => Some(*address),
        Address::Systemd(_) => None,
    });
    match address {
        Some(address) if address.ip().is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
        Some(address) => format!("{scheme}://{address}"),
        None => format!("{scheme}://127.0.0.1:9612"),
    }
}

fn when(args: &Args) -> When {
    let ms = |span: &Span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
    let present = now().wall_milliseconds();
    match &args.last {
        None => When::At(args.at.map_or(present, |seconds| (seconds * 1000.0) as i64)),
        Some(last) => {
            let step = args.step.as_ref().map_or_else(|| (ms(last) / POINTS).max(1000), ms).max(1);
            // Times that are multiples of the step, so that the same question has the same points.
            let end = present.div_euclid(step) * step;
            When::Range { start: end.saturating_sub(ms(last)), end, step }
        }
    }
}

fn shown(answer: &Answer, when: When, output: Output) -> Vec<u8> {
    match output {
        Output::Json => {
            let mut text = String::new();
            promql::json::write_data(&mut text, &answer.value, when);
            let data: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            json(&data)
        }
        Output::Csv => csv(&answer.value).into_bytes(),
        Output::Table => columns_of(&answer.value).into_bytes(),
        Output::Plot => plots(&answer.value).into_bytes(),
    }
}

/// A field of a line of CSV.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn csv(value: &Value) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Scalar(value) => writeln!(out, "{}", promql::number(*value)),
        Value::Text(text) => writeln!(out, "{}", quoted(text)),
        Value::Vector(elements) => elements.iter().try_for_each(|one| {
            writeln!(out, "{},{}", quoted(&one.labels.metric()), promql::number(one.value))
        }),
        Value::Matrix(series) => series.iter().try_for_each(|one| {
            let name = quoted(&one.labels.metric());
            one.samples
                .iter()
                .try_for_each(|at| writeln!(out, "{name},{},{}", at.t as f64 / 1000.0, promql::number(at.v)))
        }),
    };
    out
}

/// What all series have in common is said once; the rest are columns.
fn columns_of(value: &Value) -> String {
    let number = |value: f64| promql::number(value);
    match value {
        Value::Scalar(value) => format!("{}\n", number(*value)),
        Value::Text(text) => format!("{text}\n"),
        Value::Vector(elements) => {
            let rows: Vec<(&Labels, Vec<String>)> =
                elements.iter().map(|one| (&one.labels, vec![number(one.value)])).collect();
            columns(&rows, &["value"])
        }
        Value::Matrix(series) => {
            let rows: Vec<(&Labels, Vec<String>)> =
                series.iter().map(|one| (&one.labels, summary(one))).collect();
            columns(&rows, &["", "min", "max", "last"])
        }
    }
}

/// The course of a series in one line, and what it was at least, at most and last.
fn summary(series: &Series) -> Vec<String> {
    let values = || series.samples.iter().map(|sample| sample.v).filter(|value| !value.is_nan());
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let short = |value: f64| format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned();
    let short =
        |value: f64| if value.abs() >= 1e-3 || value == 0.0 { short(value) } else { format!("{value:.3e}") };
    let last = series.samples.last().map_or(f64::NAN, |sample| sample.v);
    vec![blocks(&buckets(&series.samples, WIDTH / 2), WIDTH / 2), short(least), short(most), short(last)]
}

/// The mean of the samples of each column of a plot; nothing where there are none, for a gap is a gap.
fn buckets(samples: &[Sample], width: usize) -> Vec<Option<f64>> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let span = (last.t - first.t).max(1) as f64;
    let width = width.min(samples.len()).max(1);
    let mut sums = vec![(0.0, 0_u32); width];
    for sample in samples.iter().filter(|sample| !sample.v.is_nan()) {
        let place = ((sample.t - first.t) as f64 / span * (width - 1) as f64).round() as usize;
        if let Some((sum, count)) = sums.get_mut(place) {
            *sum += sample.v;
            *count += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect()
}

/// Labels that differ as columns, then the values, right-aligned.
fn columns(rows: &[(&Labels, Vec<String>)], titles: &[&str]) -> String {
    let Some((first, _)) = rows.first() else { return "no series\n".into() };
    let mut names: Vec<&str> = Vec::new();
    for (labels, _) in rows {
        for (name, _) in *labels {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let same = |name: &str| rows.iter().all(|(labels, _)| labels.get(name) == first.get(name));
    let (common, differing): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| same(name));
    let mut out = String::new();
    let about = Labels::from_pairs(common.iter().map(|name| (*name, first.get(name))));
    if !about.is_empty() && rows.len() > 1 {
        let _ = writeln!(out, "{}", about.metric());
    }
    let differing = if rows.len() == 1 { common } else { differing };
    let named = differing.iter().map(|name| if *name == NAME { "metric" } else { name }.to_owned());
    // What has no title is drawn and no number.
    let numbers =
        titles.iter().map(|title| if title.is_empty() { String::new() } else { format!("#{title}") });
    let columns: Vec<String> = named.chain(numbers).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let row = |(labels, values): &(&Labels, Vec<String>)| -> Vec<Cell> {
        let cells = differing.iter().map(|name| Cell::plain(labels.get(name)));
        cells.chain(values.iter().map(|value| Cell::plain(value))).collect()
    };
    out.push_str(&look::text(&table::table(&columns, &rows.iter().map(row).collect::<Vec<_>>())));
    out
}

/// Lines of a plot.
const HEIGHT: usize = 8;

fn plots(value: &Value) -> String {
    let Value::Matrix(series) = value else { return columns_of(value) };
    let mut out = String::new();
    for one in series {
        let values = buckets(&one.samples, WIDTH);
        let known = || values.iter().flatten().copied();
        let (least, most) =
            (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
        let _ = writeln!(out, "{}", one.labels.metric());
        for line in (0..HEIGHT).rev() {
            let edge = least + (most - least) * line as f64 / (HEIGHT - 1) as f64;
            let text: String = values
                .iter()
                .map(|value| {
                    let share = value.map(|value| {
                        if most > least { (value - least) / (most - least) * HEIGHT as f64 } else { 0.5 }
                    });
                    match share.map(|share| share - line as f64) {
                        Some(part) if part >= 1.0 => '█',
                        Some(part) if part > 0.0 => BLOCKS.get((part * 7.0) as usize).copied().unwrap_or('█'),
                        Some(_) if line == 0 => '▁',
                        _ => ' ',
                    }
                })
                .collect();
            let _ = writeln!(out, "{edge:>12.4} │{text}");
        }
        if let (Some(first), Some(last)) = (one.samples.first(), one.samples.last()) {
            let _ = writeln!(out, "{:>12} └{} to {}", "", promql::moment(first.t), promql::moment(last.t));
        }
    }
    if series.is_empty() { "no series\n".into() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Element;

    fn series(values: &[f64]) -> Value {
        let samples = values.iter().zip(0..).map(|(v, place)| Sample { t: place * 5000, v: *v }).collect();
        Value::Matrix(vec![Series { labels: Labels::from_pairs([("__name__", "a"), ("b", "c")]), samples }])
    }

    #[test]
    fn a_table_says_once_what_is_the_same() {
        let one = |device: &str, value| Element {
            labels: Labels::from_pairs([("__name__", "rate"), ("device", device), ("job", "neural")]),
            value,
        };
        let text = columns_of(&Value::Vector(vec![one("cyton", 250.0), one("a-long-name", 1.5)]));
        assert_eq!(
            text,
            "rate{job=\"neural\"}\ndevice       value\ncyton          250\na-long-name    1.5\n"
        );
        assert_eq!(columns_of(&Value::Vector(vec![])), "no series\n");
        assert_eq!(columns_of(&Value::Scalar(f64::NAN)), "NaN\n");
    }

    #[test]
    fn a_course_is_drawn_and_a_gap_is_a_gap() {
        let text = columns_of(&series(&[0.0, 1.0, 2.0, 3.0]));
        assert!(text.contains("▁▃▆█") && text.contains("  3"), "{text}");
        let Value::Matrix(mut gap) = series(&[0.0, 1.0, 2.0, 3.0]) else { return };
        gap[0].samples.remove(1);
        gap[0].samples.insert(1, Sample { t: 5000, v: f64::NAN });
        let text = columns_of(&Value::Matrix(gap));
        assert!(text.contains("▁ ▆█"), "{text}");
        let plot = plots(&series(&[0.0, 7.0, 0.0]));
        assert_eq!(plot.lines().count(), 1 + HEIGHT + 1, "{plot}");
        assert!(plots(&series(&[1.0, 1.0])).contains('▁') || plots(&series(&[1.0, 1.0])).contains('▄'));
    }

    #[test]
    fn a_range_begins_on_its_step() {
        let csv = csv(&series(&[1.0, f64::INFINITY]));
        assert_eq!(csv, "\"a{b=\"\"c\"\"}\",0,1\n\"a{b=\"\"c\"\"}\",5,+Inf\n");
    }
}
