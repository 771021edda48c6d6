//! What the history costs: bytes, time and memory, of a laboratory whose clock is simulated, so that an hour takes some seconds.
//!
//! Each figure is one line of JSON. `tests/bench/measure.py` runs it, one process for each part, and makes rows of its table of them.
//!
//! `cargo run --profile dist --example history -- bytes`

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(clippy::disallowed_methods, reason = "time is what it measures")]

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use neural_exporter::analysis::quality::{AssessedDecoder, Settings as Quality};
use neural_exporter::decode::{Decoder, Protocol, Sink};
use neural_exporter::event::{Body, Device, Event, Rails, Samples, SourceId, Timestamp};
use neural_exporter::history::Target;
use neural_exporter::hub::Hub;
use neural_exporter::metrics::Format;
use neural_exporter::promql::{self, Query, Storage, When};
use neural_exporter::simulate::pipeline::Story;
use neural_exporter::simulate::signal::Signal;
use neural_exporter::source::Feed;
use neural_exporter::store::{self, History, Options, Settings};

/// Milliseconds from one scrape to the next.
const STEP: i64 = 5_000;
/// When the simulated clock begins, ms since the epoch: midnight.
const START: i64 = 1_764_460_800_000;
const HOUR: i64 = 3_600_000;

#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured.
    part: Part,
    /// Where the file is, for the part `large`; a folder that goes for the others.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Megabytes of the file of the part `large`.
    #[arg(long, default_value_t = 256)]
    megabytes: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    /// Bytes a sample of an hour of a pipeline with a board, and of a stream of 64 channels.
    Bytes,
    /// What 10,000 series cost each five seconds.
    Append,
    /// For how long a scrape into the history holds up what comes in.
    Stall,
    /// Memory of an hour of 1,000 series.
    Memory,
    /// Every generated rule over 1,000 series.
    Rules,
    /// 1,000 points over 24 hours from disk.
    Disk,
    /// Writes a large file.
    Large,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let temporary = std::env::temp_dir().join(format!("neural-history-{}", std::process::id()));
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.clone());
    std::fs::create_dir_all(&folder)?;
    let done = match arguments.part {
        Part::Bytes => bytes(&folder),
        Part::Append => append(&folder),
        Part::Stall => stall(),
        Part::Memory => memory(),
        Part::Rules => rules(),
        Part::Disk => disk(&folder),
        Part::Large => large(&folder, arguments.megabytes),
    };
    if arguments.folder.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    done
}

fn figure(name: &str, value: f64) {
    println!("{}", serde_json::json!({"name": name, "value": value}));
}

fn options(folder: Option<&Path>) -> Options {
    let target = Target { job: "neural".into(), instance: "lab:9612".into() };
    let mut options = Settings::default().options(folder.map(Path::to_owned), target, 50_000);
    options.retention.bytes = u64::MAX;
    options
}

/// A time as the agent stamps it, ms of the simulated clock after its start.
fn at(ms: i64) -> Timestamp {
    Timestamp::both(((START + ms) * 1_000_000).cast_unsigned())
}

/// What a program sends of a signal: what it is, then 32-bit floats, all channels of a sample after another.
struct Blocks {
    device: Device,
    known: bool,
}

impl Decoder for Blocks {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.known, true) {
            out(Body::Device(self.device));
        }
        let numbers = bytes.chunks_exact(4).filter_map(|b| b.first_chunk::<4>());
        let values: Vec<f32> = numbers.map(|b| f32::from_le_bytes(*b)).collect();
        let (channels, bytes) = (self.device.channels, bytes.len() as u64);
        out(Body::Samples(Samples { values: &values, channels, frames: 1, bytes }));
    }

    fn end(&mut self, _: &mut Sink<'_>) {}
}

/// A device whose signal is judged.
struct Electrodes {
    signal: Signal,
    rate: u32,
    decoder: AssessedDecoder,
    feed: Feed,
}

impl Electrodes {
    fn new(hub: &Arc<Hub>, name: &str, channels: u16, rate: u32) -> Self {
        let device = Device {
            protocol: "lsl",
            channels,
            rate: f64::from(rate),
            packet_rate: 0.0,
            volts: true,
            modulus: 0,
            rails: Rails::All(-0.005, 0.005),
        };
        let signal = Signal::new(u64::from(channels), usize::from(channels), f64::from(rate));
        let decoder = AssessedDecoder::new(Box::new(Blocks { device, known: false }), Quality::default());
        Self { signal, rate, decoder, feed: Feed::new(hub.clone(), hub.add_source(name), name) }
    }

    /// A tenth of a second.
    fn tenth(&mut self, at: Timestamp) {
        let (mut bytes, mut sample) = (Vec::new(), Vec::new());
        for _ in 0..self.rate / 10 {
            self.signal.next(&mut sample);
            bytes.extend(sample.iter().flat_map(|microvolts| ((microvolts * 1e-6) as f32).to_le_bytes()));
        }
        self.feed.decode(at, &bytes, 1, &mut self.decoder);
    }
}

/// What a pipeline says, and the two ways in which it does.
type Pipeline = (Story, Feed, Box<dyn Decoder>, Feed, Box<dyn Decoder>);

/// A laboratory whose clock is simulated.
struct Laboratory {
    hub: Arc<Hub>,
    electrodes: Vec<Electrodes>,
    pipeline: Option<Pipeline>,
}

impl Laboratory {
    /// The pipeline of the demo and a board of 8 channels.
    fn demo() -> Self {
        let hub = Arc::new(Hub::default());
        let feed = |name: &str| Feed::new(hub.clone(), hub.add_source(name), name);
        let (events, checks) = (Protocol::Jsonl.decoder(), Protocol::Statsd.decoder());
        let pipeline = Some((Story::default(), feed("jsonl"), events, feed("statsd"), checks));
        let electrodes = vec![Electrodes::new(&hub, "cyton", 8, 250)];
        Self { hub, electrodes, pipeline }
    }

    /// A stream alone.
    fn stream(channels: u16) -> Self {
        let hub = Arc::new(Hub::default());
        let electrodes = vec![Electrodes::new(&hub, "stream", channels, 500)];
        Self { hub, electrodes, pipeline: None }
    }

    /// Lets five seconds pass, up to this time, and gives a scrape.
    fn scrape(&mut self, ms: i64) -> String {
        for tenth in (ms - STEP + 100..=ms).step_by(100) {
            for one in &mut self.electrodes {
                one.tenth(at(tenth));
            }
            if let Some((story, events, jsonl, checks, statsd)) = &mut self.pipeline {
                while story.is_due(tenth) {
                    let (lines, services) = story.round();
                    events.decode(at(tenth), lines.as_bytes(), 1, &mut **jsonl);
                    if let Some(services) = services {
                        checks.decode(at(tenth), format!("{services}\n").as_bytes(), 1, &mut **statsd);
                    }
                }
            }
            if tenth % 1000 == 0 {
                let tick = Event { at: at(tenth), source: SourceId::AGENT, body: Body::Tick };
                self.hub.lock().fold(&tick);
            }
        }
        let mut out = Vec::new();
        self.hub.write(Format::OpenMetrics, at(ms), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Scrapes of so many hours.
    fn hours(mut self, hours: i64) -> impl Iterator<Item = (i64, String)> {
        (1..=hours * HOUR / STEP).map(move |step| (START + step * STEP, self.scrape(step * STEP)))
    }
}

/// Series as programs have them: half are counters with steps of their own, a quarter gauges of three digits, the rest do not change.
fn synthetic(series: u64, step: i64) -> String {
    let mut text = String::new();
    for number in 0..series {
        let mut dice = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ step.cast_unsigned().wrapping_mul(0x2545_f491_4f6c_dd1d);
        dice = (dice ^ (dice >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = match number % 4 {
            0 | 1 => (step * (number as i64 % 40 + 1)) as f64 + ((dice >> 60) as f64).floor(),
            2 => ((dice >> 54) as f64).floor() / 1000.0,
            _ => number as f64,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "synthetic_{}_total{{pipeline=\"speller\",stage=\"stage{number:05}\"}} {value}",
            number % 20
        );
    }
    text
}

fn bytes(folder: &Path) -> Result<(), Box<dyn Error>> {
    for (name, laboratory) in [("demo", Laboratory::demo()), ("64 channels", Laboratory::stream(64))] {
        let folder = folder.join(name);
        let options = options(Some(&folder));
        let history = History::replay(&options, laboratory.hours(2))?;
        let status = history.status();
        figure(&format!("{name}: series"), status.series as f64);
        figure(
            &format!("{name}: bytes a sample in memory"),
            status.memory_bytes as f64 / status.memory_samples as f64,
        );
        let contents = store::contents(&folder.join("history.db"))?;
        figure(
            &format!("{name}: bytes a sample on disk"),
            contents.chunk_bytes as f64 / contents.samples as f64,
        );
        let channels = contents.families.iter().filter(|family| family.name.starts_with("neural_channel_"));
        let (bytes, samples) = channels
            .fold((0, 0), |(bytes, samples), family| (bytes + family.bytes, samples + family.samples));
        figure(&format!("{name}: bytes a sample on disk, channels"), bytes as f64 / samples as f64);
    }
    Ok(())
}

fn append(folder: &Path) -> Result<(), Box<dyn Error>> {
    let steps = HOUR / STEP;
    let scrapes: Vec<String> = (0..60).map(|step| synthetic(10_000, step)).collect();
    let began = cpu();
    let of_an_hour = (0..steps).map(|step| (START + step * STEP, scrapes[step as usize % 60].as_str()));
    drop(History::replay(&options(Some(folder)), of_an_hour)?);
    let used = cpu().saturating_sub(began);
    figure("append: share of a core", used.as_secs_f64() / 3600.0);
    figure("append: ms a scrape", used.as_secs_f64() * 1000.0 / steps as f64);
    Ok(())
}

/// CPU time of this process.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default())
}

fn stall() -> Result<(), Box<dyn Error>> {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("statsd"), "statsd");
    let mut decoder = Protocol::Statsd.decoder();
    let lines = |round: usize| {
        (0..10_000).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "stall:{}|g|#number:{number}", round + number);
            text
        })
    };
    feed.decode(at(0), lines(0).as_bytes(), 1, &mut *decoder);
    for remembered in [false, true] {
        let stop = Arc::new(AtomicBool::new(false));
        let scraper = remembered.then(|| {
            let (hub, stop) = (hub.clone(), stop.clone());
            std::thread::spawn(move || {
                let scrapes = (0..).take_while(|_| !stop.load(Ordering::Relaxed)).map(|step| {
                    std::thread::sleep(Duration::from_millis(100));
                    let mut out = Vec::new();
                    hub.write(Format::OpenMetrics, at(step), &mut out);
                    (START + step * STEP, String::from_utf8(out).unwrap_or_default())
                });
                History::replay(&options(None), scrapes).is_ok()
            })
        });
        let mut waits = Vec::new();
        let (mut decoder, end) = (Protocol::Statsd.decoder(), Instant::now() + Duration::from_secs(20));
        while Instant::now() < end {
            let began = Instant::now();
            feed.decode(at(0), b"stall:1|g|#number:7\n", 1, &mut *decoder);
            waits.push(began.elapsed());
            std::thread::sleep(Duration::from_micros(100));
        }
        stop.store(true, Ordering::Relaxed);
        if let Some(scraper) = scraper {
            drop(scraper.join());
        }
        waits.sort_unstable();
        let ms = |place: usize| waits.get(place).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0);
        let how = if remembered { "with" } else { "without" };
        figure(&format!("stall: longest ms {how}"), ms(waits.len() - 1));
        figure(&format!("stall: ms of one in 1,000 {how}"), ms(waits.len() * 999 / 1000));
    }
    Ok(())
}

/// Resident memory, MiB.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or_default() / 256.0
}

fn memory() -> Result<(), Box<dyn Error>> {
    // What the allocator keeps of the first texts is not the history's.
    drop(History::replay(&options(None), (0..10).map(|step| (START + step * STEP, synthetic(1000, step))))?);
    let before = resident();
    let history =
        History::replay(&options(None), (0..720).map(|step| (START + step * STEP, synthetic(1000, step))))?;
    figure("memory: MiB resident", resident() - before);
    let status = history.status();
    figure("memory: MiB of samples", status.memory_bytes as f64 / f64::from(1 << 20));
    figure("memory: samples", status.memory_samples as f64);
    Ok(())
}

/// The expressions of the generated rules.
fn expressions() -> Result<Vec<String>, Box<dyn Error>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir("alert-rules")? {
        let file = file?.path();
        if file.extension().is_none_or(|end| end != "yml") {
            continue;
        }
        let text: serde_json::Value = serde_yaml::from_str(&std::fs::read_to_string(file)?)?;
        for group in text["groups"].as_array().into_iter().flatten() {
            let rules = group["rules"].as_array().into_iter().flatten();
            all.extend(rules.filter_map(|rule| Some(rule["expr"].as_str()?.to_owned())));
        }
    }
    Ok(all)
}

fn rules() -> Result<(), Box<dyn Error>> {
    let mut laboratory = Laboratory::demo();
    laboratory.electrodes.push(Electrodes::new(&laboratory.hub, "stream", 32, 250));
    let history = History::replay(&options(None), laboratory.hours(1))?;
    figure("rules: series", history.status().series as f64);
    let expressions = expressions()?;
    let now = START + HOUR;
    let parsed: Vec<_> = expressions.iter().map(|text| promql::parse(text)).collect::<Result<_, _>>()?;
    let mut rounds = Vec::new();
    let mut each = vec![Duration::MAX; parsed.len()];
    for _ in 0..20 {
        let began = Instant::now();
        for (expr, least) in parsed.iter().zip(&mut each) {
            let begins = Instant::now();
            promql::evaluate(expr, &Query::new(When::At(now)), &history)?;
            *least = begins.elapsed().min(*least);
        }
        rounds.push(began.elapsed());
    }
    rounds.sort_unstable();
    figure("rules: number", parsed.len() as f64);
    figure("rules: ms of all", rounds[rounds.len() / 2].as_secs_f64() * 1000.0);
    let mut slowest: Vec<_> = each.iter().zip(&expressions).collect();
    slowest.sort_unstable_by(|a, b| b.cmp(a));
    for (took, text) in slowest.iter().take(8) {
        eprint(&format!("{:8.1} us  {}", took.as_secs_f64() * 1e6, text.replace('\n', " ")));
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "for people")]
fn eprint(line: &str) {
    eprintln!("{line}");
}

fn disk(folder: &Path) -> Result<(), Box<dyn Error>> {
    let steps = 24 * HOUR / STEP;
    drop(History::replay(
        &options(Some(folder)),
        (0..steps).map(|step| (START + step * STEP, synthetic(1000, step))),
    )?);
    let history = History::read(&folder.join("history.db"))?;
    let end = START + steps * STEP;
    for (name, text) in [
        ("a series", "synthetic_0_total{stage=\"stage00000\"}"),
        ("its rate", "rate(synthetic_0_total{stage=\"stage00000\"}[5m])"),
        ("rates of 50 series, summed", "sum(rate(synthetic_0_total[5m]))"),
    ] {
        let expr = promql::parse(text)?;
        let when = When::Range { start: end - 24 * HOUR, end, step: 24 * HOUR / 1000 };
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            let answer = promql::evaluate(&expr, &Query::new(when), &history)?;
            times.push(began.elapsed());
            assert!(format!("{:?}", answer.value).len() > 1000, "no answer");
        }
        times.sort_unstable();
        figure(&format!("disk: ms of {name} over 24 h"), times[times.len() / 2].as_secs_f64() * 1000.0);
    }
    if let Some(why) = history.note() {
        return Err(why.into());
    }
    Ok(())
}

fn large(folder: &Path, megabytes: u64) -> Result<(), Box<dyn Error>> {
    let file = folder.join("history.db");
    let mut step = 0_u64;
    let scrapes = std::iter::from_fn(|| {
        // What no codec makes smaller.
        let text = (0..2_000_u64).fold(String::new(), |mut text, number| {
            let mut dice = (step * 2_000 + number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            dice = (dice ^ (dice >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let _ = writeln!(text, "noise{{n=\"{number}\"}} {}", dice as f64 / 1e19);
            text
        });
        step += 1;
        let full = step.is_multiple_of(100)
            && std::fs::metadata(&file).is_ok_and(|of| of.len() >= megabytes * 1_000_000);
        (!full).then_some((START + step as i64 * STEP, text))
    });
    drop(History::replay(&options(Some(folder)), scrapes)?);
    figure("large: MB", std::fs::metadata(&file)?.len() as f64 / 1e6);
    Ok(())
}
