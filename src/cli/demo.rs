//! `demo`: the agent on its defaults with a simulated pipeline and a simulated Cyton, which talk to it as real
//! ones would.
//!
//! Its sockets and what it keeps are in a folder of its own, and its port is one that is free: neither an agent of this
//! machine nor another demo has part in it.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Exit, complain, print, recording, run};
use crate::config::{Config, Jsonl, Serial, Source, Statsd};
use crate::decode::Protocol;
use crate::listen::{Address, Listen, Many};
use crate::simulate::fault::Fault;
use crate::simulate::run::{Settings, Trouble};
use crate::simulate::signal::Shape;
use crate::simulate::{self, Choice, Device};

/// What goes wrong in the demo: enough to see, now and then.
const FAULTS: &[&str] = &[
    "lose=0.05%",
    "lose=12@20s",
    "dropout=800ms@45s",
    "unplug-channel=4@60s..90s",
    "garbage=37@75s",
    "rail=7@100s..115s",
    "hum=50:40uV@120s..150s",
    "burst=100ms@160s..180s",
];

pub(super) fn demo(listen: SocketAddr, seconds: Option<u64>) -> Exit {
    let folder = match Folder::make() {
        Ok(folder) => folder,
        Err(why) => {
            complain(&format!("cannot make a folder for the demo: {why}"));
            return Exit::Failed;
        }
    };
    let (events, statsd) = (folder.0.join("events.sock"), folder.0.join("statsd.sock"));
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
    let load = move || {
        let mut config = Config {
            listen: Many(vec![Address::Tcp(listen)]),
            state_directory: Some(state.clone()),
            ..Config::default()
        };
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
        if let Some(port) = &port {
            config.sources.push(Source::Serial(Serial {
                name: "cyton".to_owned(),
                port: Some(port.clone()),
                protocol: Protocol::Cyton,
                ..Serial::default()
            }));
        }
        Ok(config)
    };
    let exit = run::start(
        load,
        |_| Ok(()),
        move |agent, stop| async move {
            let at = agent.addresses().first().copied().unwrap_or(listen);
            print(guide(at, &events.display().to_string(), &statsd.display().to_string()).as_bytes());
            let pipeline = tokio::spawn(simulate::pipeline(events));
            let ended = agent.run(recording::stop_after(stop, seconds)).await;
            pipeline.abort();
            ended
        },
    );
    stop.store(true, Ordering::Relaxed);
    if let Some(board) = board {
        // It has nothing to tell that the agent did not.
        drop(board.thread.join());
    }
    exit
}

/// A folder that nobody else may enter, and that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Self> {
        let place = std::env::temp_dir();
        for number in 0..100 {
            let folder = place.join(format!("neural-exporter-demo-{}-{number}", std::process::id()));
            // One that is there is somebody else's, or of a demo that was killed.
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
            choice: Choice { seed: 1, ..Choice::default() },
            link: None,
            shape: Shape::Eeg,
            faults,
            frames: None,
            latency: None,
        };
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("cyton".to_owned()).spawn(move || {
            let opened = |terminal: &simulate::terminal::Terminal| {
                // Nobody asks a second time.
                let _ = tell.try_send(Ok(terminal.slave().to_owned()));
            };
            if let Err(trouble) = simulate::run::run(&settings, &stop, opened) {
                let why = match trouble {
                    Trouble::Asked(why) => why,
                    Trouble::Terminal(error) => format!("cannot open a pseudo-terminal: {error}"),
                };
                let _ = tell.try_send(Err(why));
            }
        });
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        let port = told.recv().map_err(|_| "it ended at once".to_owned())??;
        Ok(Self { port, thread })
    }
}

/// What the demo prints: where to look, and what to send.
fn guide(at: SocketAddr, events: &str, statsd: &str) -> String {
    format!(
        "neural-exporter demo: a simulated pipeline talks to the agent over its Unix socket, and a simulated\n\
         OpenBCI Cyton over a serial port. Now and then the Cyton loses packets.\n\
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
