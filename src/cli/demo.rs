//! `demo`: the agent on its defaults with a simulated laboratory, whose parts talk to it as real ones would: a
//! pipeline with services, a Cyton, a stream of the network, and two programs that record.
//!
//! Its sockets and what it keeps are in a folder of its own, its ports are ones that are free, and its stream is in a
//! session of its own: neither an agent of this machine nor another demo has part in it. All is well for the first
//! minutes, then it tells a story: an electrode loosens, a stage slows down, a service fails its check.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Exit, complain, print, recording, run};
use crate::analysis::quality;
use crate::config::{Config, Jsonl, Serial, Source, Statsd};
use crate::decode::Protocol;
use crate::listen::{Address, LONGEST_PATH, Listen, Many};
use crate::simulate::fault::Fault;
use crate::simulate::program::Program;
use crate::simulate::run::{Settings, Trouble};
use crate::simulate::signal::Shape;
use crate::simulate::{self, BoardOptions, Device};
use crate::source::lsl;
use crate::source::pattern::Pattern;
use crate::source::poller::process::{self, Group};
use crate::source::program::{Expect, intan, open_ephys};

/// What goes wrong with the Cyton: nothing that matters for three minutes, then an electrode loosens for one, and from
/// ten minutes on a bit of everything.
const FAULTS: &[&str] = &[
    "lose=0.01%",
    "unplug-channel=4@180s..240s",
    "lose=12@600s",
    "dropout=800ms@630s",
    "garbage=37@660s",
    "rail=7@690s..705s",
    "hum=50:40uV@720s..750s",
    "burst=100ms@780s..800s",
];

/// The sockets of the demo, in its folder.
const EVENTS: &str = "events.sock";
const STATSD: &str = "statsd.sock";

/// What the electrodes of the Cyton are called.
const ELECTRODES: &[&str] = &["Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"];

pub(super) fn demo(listen: SocketAddr, seconds: Option<u64>) -> Exit {
    let folder = match Folder::make(&std::env::temp_dir()) {
        Ok(folder) => folder,
        Err(why) => {
            complain(&format!("cannot make a folder for the demo: {why}"));
            return Exit::Failed;
        }
    };
    let (events, statsd) = (folder.0.join(EVENTS), folder.0.join(STATSD));
    let stop = Arc::new(AtomicBool::new(false));
    let board = match Cyton::plug(stop.clone()) {
        Ok(board) => Some(board),
        Err(why) => {
            complain(&format!("the demo has no Cyton: {why}"));
            None
        }
    };
    let port = board.as_ref().map(|board| board.port.clone());
    let (state, listens) = (folder.0.clone(), (events.clone(), statsd.clone()));
    let session = format!("demo-{}", std::process::id());
    let programs = match programs() {
        Ok(programs) => programs,
        Err(why) => {
            complain(&format!("the demo has no programs: {why}"));
            Vec::new()
        }
    };
    let network = network(&session, &programs);
    let load = move || {
        let mut config = configuration(&state, &listens, port.as_deref());
        config.listen = Many(vec![Address::Tcp(listen)]);
        config.sources.extend(network.clone());
        Ok(config)
    };
    let exit = run::start(
        load,
        |_| Ok(()),
        move |agent, stop| async move {
            let at = agent.addresses().first().copied().unwrap_or(listen);
            print(guide(at, &events.display().to_string(), &statsd.display().to_string()).as_bytes());
            let mut parts = JoinSet::new();
            parts.spawn(simulate::pipeline(events, statsd));
            parts.spawn(async {
                if let Err(why) = simulate::outlet::stream(session).await {
                    complain(&format!("the demo has no stream of the network: {why}"));
                }
            });
            for (program, listener) in programs {
                match TcpListener::from_std(listener) {
                    Ok(listener) => drop(parts.spawn(simulate::program::program(program, listener))),
                    Err(why) => complain(&format!("the demo has no {program:?}: {why}")),
                }
            }
            let ended = agent.run(recording::stop_after(stop, seconds)).await;
            parts.shutdown().await;
            ended
        },
    );
    stop.store(true, Ordering::Relaxed);
    if let Some(board) = board {
        // The agent has said all that it could say.
        drop(board.thread.join());
    }
    exit
}

/// The agent of the demo: sockets of its own, and the board if there is one.
fn configuration(state: &Path, listens: &(PathBuf, PathBuf), port: Option<&Path>) -> Config {
    let mut config = Config { state_directory: Some(state.to_owned()), ..Config::default() };
    for source in &mut config.sources {
        match source {
            Source::Jsonl(Jsonl { listen, .. }) => *listen = Many(vec![Listen::Unix(listens.0.clone())]),
            Source::Statsd(Statsd { listen, .. }) => {
                *listen = Many(vec![Listen::UnixDatagram(listens.1.clone())]);
            }
            _ => {}
        }
    }
    // Of sources that are listed, one that is not there is down.
    config.sources.retain(|source| !matches!(source, Source::Gpu(_)));
    config.log.level = "warn".to_owned();
    // A service that can be watched on every machine: the program itself.
    let own = std::env::current_exe().ok();
    if let Some(program) = own.as_deref().and_then(Path::file_name).and_then(std::ffi::OsStr::to_str) {
        let probe = serde_json::json!({"name": "probe", "check": {"process": program}});
        config.sources.extend(serde_json::from_value(probe).ok().map(Source::Probe));
    }
    if let Some(port) = port {
        let names = ELECTRODES.iter().map(|name| (*name).to_owned()).collect();
        config.sources.push(Source::Serial(Serial {
            name: "cyton".to_owned(),
            port: Some(port.to_owned()),
            protocol: Protocol::Cyton,
            signal: quality::Settings { names, ..quality::Settings::default() },
            ..Serial::default()
        }));
    }
    config
}

/// Programs that record, each with the port that it is asked at.
fn programs() -> std::io::Result<Vec<(Program, std::net::TcpListener)>> {
    let listen = |program| {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok((program, listener))
    };
    [Program::Intan, Program::OpenEphys].into_iter().map(listen).collect()
}

/// What the agent asks: the stream, the programs, and how the demo itself fares.
fn network(session: &str, programs: &[(Program, std::net::TcpListener)]) -> Vec<Source> {
    let mut sources = vec![Source::Lsl(lsl::Settings {
        session: session.to_owned(),
        expect: vec!["demo-eeg".to_owned()],
        ..lsl::Settings::default()
    })];
    for (program, listener) in programs {
        let Ok(address) = listener.local_addr().map(|at| at.to_string()) else { continue };
        let expect = Some(Expect::Recording);
        sources.push(match program {
            Program::Intan => {
                Source::Intan(intan::Settings { address, expect, ..intan::Settings::default() })
            }
            Program::OpenEphys => {
                Source::OpenEphys(open_ephys::Settings { address, expect, ..open_ephys::Settings::default() })
            }
        });
    }
    let exe = std::env::current_exe().ok();
    let exe = exe.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let demo =
        Group { name: "demo".to_owned(), exe, command: Pattern::new("demo").ok(), unit: None, user: None };
    sources.push(Source::Process(process::Settings { groups: vec![demo], ..process::Settings::default() }));
    sources
}

/// A folder that nobody else may enter, and that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    /// Makes one in `place`, if its sockets fit there.
    fn make(place: &Path) -> std::io::Result<Self> {
        for number in 0..100 {
            let folder = place.join(format!("neural-exporter-demo-{}-{number}", std::process::id()));
            let longest = folder.join(STATSD).as_os_str().len();
            if longest > LONGEST_PATH {
                return Err(std::io::Error::other(format!(
                    "the path of a socket in {} has {longest} bytes, and {LONGEST_PATH} is the limit; set TMPDIR to a shorter folder",
                    place.display()
                )));
            }
            // An existing one belongs to another program, or to a demo that was killed.
            match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(folder)),
            }
        }
        Err(std::io::Error::other(format!("{} is full of others", place.display())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in a place that is emptied from time to time.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The simulated board, on a thread of its own.
struct Cyton {
    port: PathBuf,
    thread: std::thread::JoinHandle<()>,
}

impl Cyton {
    /// Plugs one in, and waits until its port is there.
    fn plug(stop: Arc<AtomicBool>) -> Result<Self, String> {
        let faults = FAULTS.iter().map(|fault| fault.parse::<Fault>()).collect::<Result<_, _>>()?;
        let settings = Settings {
            device: Device::Cyton,
            choice: BoardOptions { seed: 1, ..BoardOptions::default() },
            link: None,
            shape: Shape::Eeg,
            faults,
            frames: None,
            latency: None,
        };
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("cyton".to_owned()).spawn(move || {
            let opened = |terminal: &simulate::terminal::Terminal| {
                // Nobody asks a second time.
                let _ = sender.try_send(Ok(terminal.slave().to_owned()));
            };
            if let Err(trouble) = simulate::run::run(&settings, &stop, opened) {
                let why = match trouble {
                    Trouble::Asked(why) => why,
                    Trouble::Terminal(error) => format!("cannot open a pseudo-terminal: {error}"),
                };
                let _ = sender.try_send(Err(why));
            }
        });
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        let port = receiver.recv().map_err(|_| "it ended immediately".to_owned())??;
        Ok(Self { port, thread })
    }
}

/// What the demo prints: where to look, and what to send.
fn guide(at: SocketAddr, events: &str, statsd: &str) -> String {
    format!(
        "neural-exporter demo: a simulated laboratory talks to the agent: a pipeline and its services over Unix\n\
         sockets, an OpenBCI Cyton over a serial port, a stream over the network, two programs that record.\n\
         All is well for three minutes. Then electrode C4 loosens (minute 3), the stage classify slows down\n\
         (4:30) and the storage fails its check (6:00), each for a minute; from minute 10 on the Cyton has a bit\n\
         of everything.\n\
         \n\
         Look:\n\
         \x20 http://{at}/           the sources and how they fare\n\
         \x20 curl -s http://{at}/metrics | grep neural_stage\n\
         \x20 curl -s http://{at}/metrics | grep -E 'neural_device_(rate|lost_packets|longest_gap)'\n\
         \n\
         Send something of your own:\n\
         \x20 echo '{{\"type\":\"stage\",\"pipeline\":\"mine\",\"stage\":\"classify\",\"seconds\":0.85,\"outcome\":\"ok\"}}' \\\n\
         \x20   | socat - UNIX-CONNECT:{events}\n\
         \x20 echo 'mine.trials:1|c|#subject:left' | socat - UNIX-SENDTO:{statsd}\n\
         \n\
         Scrape it with Prometheus:\n\
         \x20 scrape_configs: [{{job_name: neural, static_configs: [{{targets: [\"{at}\"]}}]}}]\n\
         \n\
         Ctrl-C ends it.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_too_deep_for_a_socket_is_refused_with_what_to_do() {
        let temporary = tempfile::tempdir().unwrap();
        let deep = temporary.path().join("d".repeat(80));
        std::fs::create_dir(&deep).unwrap();
        let why = Folder::make(&deep).err().unwrap().to_string();
        assert!(why.ends_with("is the limit; set TMPDIR to a shorter folder"), "{why}");
        assert!(std::fs::read_dir(&deep).unwrap().next().is_none());
        let folder = Folder::make(temporary.path()).unwrap();
        std::os::unix::net::UnixListener::bind(folder.0.join(STATSD)).unwrap();
    }

    #[test]
    fn all_is_well_for_three_minutes_and_then_an_electrode_loosens() {
        use crate::simulate::fault::Disturbance;
        let faults: Vec<Fault> = FAULTS.iter().map(|fault| fault.parse().unwrap()).collect();
        for fault in faults.iter().filter(|fault| fault.from.unwrap_or_default() < 180.0) {
            // Less than one gap a minute: six are worth an alert.
            assert!(
                matches!(fault.what, Disturbance::Chance(chance) if chance * 250.0 * 60.0 < 2.0),
                "{fault:?}"
            );
        }
        let loose = faults.iter().find(|fault| matches!(fault.what, Disturbance::Unplug(_))).unwrap();
        assert_eq!((loose.what, loose.from, loose.to), (Disturbance::Unplug(3), Some(180.0), Some(240.0)));
        assert_eq!(ELECTRODES[3], "C4");
    }
}
