//! `simulate`: a device that is not there, on a pseudo-terminal, and the account of what it did.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use super::{Exit, complain, print, recording, run as process, runtime};
use crate::simulate::fault::{self, Fault};
use crate::simulate::ledger::Ledger;
use crate::simulate::run::{Settings, Trouble, run};
use crate::simulate::signal::Shape;
use crate::simulate::terminal::Terminal;
use crate::simulate::{BoardOptions, Device, chords, ganglion};

/// What a simulation is sent.
#[derive(Debug, Args)]
#[command(after_long_help = fault::HELP, after_help = "More about faults: neural-exporter simulate --help")]
pub(super) struct SimulateArgs {
    /// The device.
    device: Device,
    /// A symlink to the pseudo-terminal, made at start and removed at the end. Without it the terminal's own name
    /// is printed.
    #[arg(long, value_name = "PATH")]
    pty: Option<PathBuf>,
    /// What goes wrong, and when: lose=300@5s, dropout=2s@10s, rail=3@5s..8s. Can be given more than once.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// What the channels read.
    #[arg(long, value_enum, default_value_t)]
    signal: Shape,
    /// Decides everything that looks random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Send this many packets, then be silent.
    #[arg(long)]
    frames: Option<u64>,
    /// Stop after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// How long bytes wait in the chip that hands them on: 16ms as FTDI delivers it, 1ms, 0; as before for the
    /// device if omitted.
    #[arg(long, value_name = "TIME", value_parser = time)]
    latency_timer: Option<Duration>,
    /// Write what was sent and what was not as JSON to this file at the end, instead of words to the screen.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Which Chords board, by the name it reports.
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// Which firmware a Ganglion has.
    #[arg(long, value_enum, default_value = "2")]
    firmware: ganglion::Firmware,
    /// How a Chords board reads commands: by lines, or all that comes until a second of silence, as its first firmware.
    #[arg(long, value_enum, default_value = "lines")]
    commands: chords::Commands,
}

fn time(text: &str) -> Result<Duration, String> {
    fault::seconds(text).map(Duration::from_secs_f64)
}

pub(super) fn simulate(args: &SimulateArgs) -> Exit {
    let settings = Settings {
        device: args.device,
        choice: BoardOptions {
            seed: args.seed,
            board: args.board.clone(),
            firmware: args.firmware,
            commands: args.commands,
        },
        link: args.pty.clone(),
        shape: args.signal,
        faults: args.fault.clone(),
        frames: args.frames,
        latency: args.latency_timer,
    };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let seconds = args.seconds;
    let ended = runtime.block_on(async move {
        let asked = process::stop_signal();
        let stop = Arc::new(AtomicBool::new(false));
        let mut board = tokio::task::spawn_blocking({
            let stop = stop.clone();
            move || run(&settings, &stop, |terminal| announce(&settings, terminal))
        });
        tokio::select! {
            ended = &mut board => ended,
            () = recording::stop_after(asked, seconds) => {
                stop.store(true, Ordering::Relaxed);
                board.await
            }
        }
    });
    match ended {
        Ok(Ok(ledger)) => tell(&ledger, args.ledger.as_deref()),
        Ok(Err(Trouble::Asked(why))) => {
            complain(&why);
            Exit::Usage
        }
        Ok(Err(Trouble::Terminal(error))) => {
            complain(&format!("cannot open a pseudo-terminal: {error}"));
            Exit::Failed
        }
        Err(error) => {
            complain(&format!("the simulation broke: {error}"));
            Exit::Failed
        }
    }
}

/// Says where the device is.
fn announce(settings: &Settings, terminal: &Terminal) {
    let slave = terminal.slave().display();
    let text = match &settings.link {
        Some(link) => format!("{} -> {slave}\n", link.display()),
        None => format!("{slave}\n"),
    };
    print(text.as_bytes());
}

/// Gives the account, in words or as a file that is whole when it is there.
fn tell(ledger: &Ledger, file: Option<&Path>) -> Exit {
    let Some(file) = file else { return print(ledger.words().as_bytes()) };
    match crate::file::replace(file, ledger.json().as_bytes(), crate::file::READABLE) {
        Ok(_) => Exit::Fine,
        Err(error) => {
            complain(&format!("cannot write {}: {error}", file.display()));
            Exit::Failed
        }
    }
}
