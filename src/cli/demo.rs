//! `demo`: the agent on its defaults with a simulated pipeline and a simulated Cyton, which talk to it as real
//! ones would.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Exit, complain, print, recording, run};
use crate::agent::events_socket;
use crate::config::{Config, Protocol, Serial, Source};
use crate::listen::{Address, Many};
use crate::source::simulate::fault::Fault;
use crate::source::simulate::run::{Settings, Trouble};
use crate::source::simulate::signal::Shape;
use crate::source::simulate::{self, Choice, Device};

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
    let stop = Arc::new(AtomicBool::new(false));
    let board = match Cyton::plug(stop.clone()) {
        Ok(board) => Some(board),
        Err(why) => {
            complain(&format!("the demo has no Cyton: {why}"));
            None
        }
    };
    let port = board.as_ref().map(|board| board.port.clone());
    let load = move || {
        let mut config = Config { listen: Many(vec![Address::Tcp(listen)]), ..Config::default() };
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
            let socket = events_socket();
            print(guide(at, &socket.display().to_string()).as_bytes());
            let pipeline = tokio::spawn(simulate::pipeline(socket));
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
fn guide(at: SocketAddr, socket: &str) -> String {
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
         \x20   | socat - UNIX-CONNECT:{socket}\n\
         \x20 echo 'mine.trials:1|c|#subject:left' | socat - UDP:127.0.0.1:8125\n\
         \n\
         Scrape it with Prometheus:\n\
         \x20 scrape_configs: [{{job_name: neural, static_configs: [{{targets: [\"{at}\"]}}]}}]\n\
         \n\
         Ctrl-C ends it.\n"
    )
}
