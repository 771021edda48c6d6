//! `init`: a configuration of what is plugged in, streaming and listening on this machine.
//!
//! It opens no port, connects to no recording program, and asks only what answers anyone: LSL streams, and `/metrics` of this machine.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Exit, complain, devices, print, runtime, streams};
use crate::agent::events_socket;
use crate::clock::now;
use crate::file;
use crate::promql::moment;
use crate::source::port::usb::{Roots, stable_name, ttys};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where it is written; - prints it.
    #[arg(value_name = "FILE", default_value = "neural-exporter.yml")]
    file: PathBuf,
    /// Overwrite the file if it is there, without asking.
    #[arg(long)]
    force: bool,
    /// Where the system's files are: the host's, seen from a container that has them at another place.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    #[command(flatten)]
    streams: streams::Options,
}

/// A program that listens where everyone knows it.
struct KnownProgram {
    port: u16,
    name: &'static str,
    /// Its source.
    config: &'static str,
}

/// Recording programs by their usual ports. None is connected to: some take one client alone.
const PROGRAMS: &[KnownProgram] = &[
    KnownProgram { port: 5000, name: "Intan RHX", config: "- intan: {name: intan}" },
    KnownProgram { port: 37_497, name: "the Open Ephys GUI", config: "- open_ephys: {name: open_ephys}" },
    KnownProgram { port: 1972, name: "a FieldTrip buffer", config: "- fieldtrip: {name: fieldtrip}" },
    KnownProgram {
        port: 51_244,
        name: "BrainVision Recorder's Remote Data Access",
        config: "- rda: {name: recorder}",
    },
];

/// Inference engines, by what the names of their metrics begin with, and the ports that they listen on by default.
const ENGINES: &[(&str, &str)] = &[
    ("vllm:", "vllm"),
    ("aphrodite:", "aphrodite"),
    ("sglang:", "sglang"),
    ("tgi_", "tgi"),
    ("nv_inference_", "triton"),
    ("llamacpp:", "llamacpp"),
];
const ENGINE_PORTS: &[u16] = &[8000, 8002, 8080, 2242, 3000, 30_000];
/// How long an engine may take to answer, and how much of its answer is read.
const PATIENCE: Duration = Duration::from_secs(1);
const READ: u64 = 1 << 20;

/// What was found, as a piece of the configuration.
#[derive(Debug, PartialEq, Eq)]
struct DetectedSource {
    /// What it is and how sure that is, for a comment.
    about: String,
    /// The source.
    config: String,
    /// Whether it is sure enough to be switched on.
    on: bool,
}

pub(super) fn init(args: &Args) -> Exit {
    let prints = args.file.as_os_str() == "-";
    if !prints && !args.force && args.file.exists() && !overwrites(&args.file) {
        return Exit::Usage;
    }
    let Some(runtime) = runtime() else { return Exit::Failed };
    let roots = args.root.as_deref().map_or_else(Roots::default, Roots::below);
    let found = runtime.block_on(look(&roots, &args.streams));
    let text = write(&found, &moment(now().wall_milliseconds()));
    if prints {
        return print(text.as_bytes());
    }
    if let Err(why) = file::replace(&args.file, text.as_bytes(), 0o640) {
        complain(&format!("{} cannot be written: {why}", args.file.display()));
        return Exit::Failed;
    }
    let on = found.iter().filter(|one| one.on).count();
    let unsure = found.len() - on;
    let mut summary = format!("{} is written: {on} found", args.file.display());
    if unsure > 0 {
        let _ = write!(summary, ", and {unsure} that may be there, as comments");
    }
    let file = args.file.display();
    let _ = write!(
        summary,
        "\nread it, then: neural-exporter check --live --config {file}\n     and run: neural-exporter --config {file}\n"
    );
    print(summary.as_bytes())
}

/// Whether a file that is there may be overwritten, by the word of a person.
fn overwrites(path: &Path) -> bool {
    let there = format!("{} is there already", path.display());
    if !std::io::stdin().is_terminal() {
        complain(&format!("{there}; overwrite it with --force, or print with -"));
        return false;
    }
    complain(&format!("{there}; overwrite it? [y/N]"));
    let mut answer = String::new();
    drop(std::io::stdin().lock().read_line(&mut answer));
    matches!(answer.trim(), "y" | "Y" | "yes")
}

async fn look(roots: &Roots, options: &streams::Options) -> Vec<DetectedSource> {
    let mut found = boards(roots);
    if let Some(mut search) = options.search() {
        search.look().await;
        streams::complain(&search);
        let mut lines = BTreeSet::new();
        for stream in streams::streams(&search) {
            // Streams that nothing lasting tells apart are one line.
            if lines.insert(stream.config().to_owned()) {
                let about = format!("The LSL stream {}", stream.summary());
                found.push(DetectedSource { about, config: stream.config().to_owned(), on: true });
            }
        }
    }
    let listening = listening(roots);
    for program in PROGRAMS.iter().filter(|program| listening.contains(&program.port)) {
        let about = format!(
            "A program listens on port {}, as {} does. Remove the # if it is: it was not connected to.",
            program.port, program.name
        );
        found.push(DetectedSource { about, config: program.config.to_owned(), on: false });
    }
    let mut names = BTreeSet::new();
    for port in ENGINE_PORTS.iter().filter(|port| listening.contains(port)) {
        let Some(profile) = engine(*port).await else { continue };
        let name = free(profile, &mut names);
        let config = format!(
            "- scrape: {{name: {name}, url: \"http://127.0.0.1:{port}/metrics\", profile: {profile}}}"
        );
        found.push(DetectedSource {
            about: format!("An inference engine answers on port {port}."),
            config,
            on: true,
        });
    }
    let gpu = roots.sys.join("module/nvidia").exists() || roots.sys.join("class/kfd").exists();
    if gpu {
        found.push(DetectedSource {
            about: "A GPU and its driver are there.".into(),
            config: "- gpu: {name: gpu}".into(),
            on: true,
        });
    }
    found
}

/// A name that no other source has.
fn free(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut names =
        (1_u32..).map(|number| if number == 1 { name.to_owned() } else { format!("{name}{number}") });
    let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(name.clone());
    name
}

/// What is plugged in. A port without USB may be anything, so that it is a comment.
fn boards(roots: &Roots) -> Vec<DetectedSource> {
    let mut names = BTreeSet::new();
    let ttys = ttys(roots);
    let found = ttys.iter().map(|tty| {
        let sure = devices::protocol(tty).is_some();
        let name = free(devices::protocol(tty).unwrap_or("board"), &mut names);
        let guess = devices::guess(tty);
        let about = format!(
            "{}: {guess}. The protocol is a guess: the bridge says nothing of what is behind it.",
            tty.node.display()
        );
        DetectedSource {
            about,
            config: devices::config(tty, stable_name(roots, &tty.node).as_deref(), &name),
            on: sure,
        }
    });
    found.collect()
}

/// The ports that programs of this machine listen on.
fn listening(roots: &Roots) -> BTreeSet<u16> {
    let files = ["tcp", "tcp6"].map(|name| roots.proc.join("net").join(name));
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).flat_map(|text| ports(&text)).collect()
}

/// Those of a table of the kernel: the second column is the address, the fourth the state, 0A where it listens.
fn ports(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, state) = (columns.get(1)?, columns.get(3)?);
        let port = address.rsplit(':').next().filter(|_| *state == "0A")?;
        u16::from_str_radix(port, 16).ok()
    };
    table.lines().skip(1).filter_map(port).collect()
}

/// The profile of the engine whose metrics this port of this machine has.
async fn engine(port: u16) -> Option<&'static str> {
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(READ).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, ask).await.ok()?.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let begins = |name: &&str| answer.lines().any(|line| line.starts_with(*name));
    ENGINES.iter().find(|(name, _)| begins(name)).map(|(_, profile)| *profile)
}

/// The configuration.
fn write(found: &[DetectedSource], at: &str) -> String {
    let socket = events_socket();
    let mut out = format!(
        "# neural-exporter: what was there at {at}. Each line can be changed; `neural-exporter check` says what is wrong.\n\
         # Every setting: docs/reference/configuration.md, and deploy/config.example.yml.\n\n\
         # Where /metrics, the page and the API are served. Beyond this machine only behind TLS and a password.\n\
         listen: 127.0.0.1:9612\n\n\
         # Limits beyond which something is wrong, by their names: `neural-exporter check --print` lists them.\n\
         # alerts: {{limits: {{device_loss: 0.01}}}}\n\n\
         sources:\n\
         \x20 # Events of your pipeline: one JSON object a line, such as {{\"type\":\"stage\",\"pipeline\":\"p\",\"stage\":\"s\",\"seconds\":0.01}}.\n\
         \x20 - jsonl: {{name: pipeline, listen: [\"unix:{socket}\"]}}\n\
         \x20 - statsd: {{name: statsd, listen: [\"udp://127.0.0.1:8125\"]}}\n",
        socket = socket.display()
    );
    for one in found {
        let mark = if one.on { "" } else { "# " };
        // A name from a wire or a device must not end the comment.
        let about: String = one.about.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // Writing to a string cannot fail.
        let _ = write!(out, "\n  # {about}\n  {mark}{}\n", one.config);
    }
    out.push_str("\n  # This machine. Remove it where a node exporter runs.\n  - host: {name: host}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_written_is_a_configuration() {
        let found = [
            DetectedSource {
                about: "a\nb: c".into(),
                config: "- serial: {name: cyton, port: /dev/ttyUSB0, protocol: cyton}".into(),
                on: true,
            },
            DetectedSource { about: "unsure".into(), config: PROGRAMS[0].config.into(), on: false },
        ];
        let text = write(&found, "2026-01-01T00:00:00Z");
        let config = config::parse("init", &text).unwrap_or_else(|why| panic!("{why:?}\n{text}"));
        assert_eq!(config.sources.len(), 4, "{text}");
        // What is unsure is right as well, once the # is gone.
        for program in PROGRAMS {
            let text = format!("sources:\n  {}\n", program.config);
            assert!(config::parse("init", &text).is_ok(), "{text}");
        }
        for (_, profile) in ENGINES {
            let text = format!(
                "sources:\n  - scrape: {{name: {profile}, url: \"http://127.0.0.1:1/metrics\", profile: {profile}}}\n"
            );
            assert!(config::parse("init", &text).is_ok(), "{text}");
        }
    }

    #[test]
    fn only_what_listens_is_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                     \x20  0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000\n\
                     \x20  1: 0100007F:1F40 0100007F:C350 01 00000000:00000000 00:00000000\n\
                     \x20  2: 00000000000000000000000001000000:9279 00000000000000000000000000000000:0000 0A 0\n\
                     \x20  3: nonsense\n";
        assert_eq!(ports(table), [5000, 37_497]);
    }

    #[test]
    fn names_are_given_once() {
        let mut taken = BTreeSet::new();
        assert_eq!([free("cyton", &mut taken), free("cyton", &mut taken)], ["cyton", "cyton2"]);
    }
}
