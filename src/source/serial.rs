//! Serial ports that devices write to.
//!
//! A thread of its own per port: reads block for a moment at most, and a board or two need no
//! more. The port is opened exclusively, so it is never taken from a program that has it. A device that
//! waits to be asked is told to start and, before the port is closed, to stop; nothing else is written.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::socket::NewDecoder;
use super::{Feed, now, tap};
use crate::decode::Decoder;
use crate::event::{Body, Link};

/// How long one read waits for bytes.
const WAIT: Duration = Duration::from_millis(200);
/// First and longest pause before a port is opened again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// How long a device that is told to stop goes on writing.
const DRAIN: Duration = Duration::from_millis(150);
/// Reads of 0 bytes in a row after which the device is gone.
const EMPTY: u32 = 3;

/// Why a port could not be opened, in words that say what to do.
fn reason(error: &serialport::Error, port: &str) -> String {
    use serialport::ErrorKind;
    match error.kind() {
        ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::NotFound) => {
            format!("{port} is not there; is the device plugged in?")
        }
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            format!("not permitted to open {port}; add the user to the group that owns it: ls -l {port}")
        }
        ErrorKind::Io(io::ErrorKind::ResourceBusy) => {
            format!("{port} is in use by another program: fuser {port}")
        }
        _ if error.description.to_lowercase().contains("busy") => {
            format!("{port} is in use by another program: fuser {port}")
        }
        _ => format!("cannot open {port}: {error}"),
    }
}

/// Keeps a port open and reads it until told to stop. If there is a link, programs that open it have the port
/// and the agent reads along.
pub async fn run(
    port: String,
    baud: u32,
    link: Option<PathBuf>,
    new_decoder: std::sync::Arc<NewDecoder>,
    feed: Feed,
    stop: CancellationToken,
) {
    let reader = tokio::task::spawn_blocking(move || {
        supervise(&port, baud, link.as_deref(), &*new_decoder, &feed, &stop);
    });
    // A thread that ended has said why.
    drop(reader.await);
}

fn supervise(
    port: &str,
    baud: u32,
    link: Option<&Path>,
    new_decoder: &NewDecoder,
    feed: &Feed,
    stop: &CancellationToken,
) {
    let mut pause = PAUSE.0;
    let mut said = String::new();
    while !stop.is_cancelled() {
        match serialport::new(port, baud).timeout(WAIT).open_native() {
            Ok(mut open) => {
                tracing::info!(source = feed.name(), port, baud, "port is open");
                feed.send(Body::Link(Link::Up));
                said.clear();
                let began = now();
                let error = match link {
                    Some(link) => tap::run(&open, link, baud, new_decoder, feed, stop),
                    None => read(&mut open, new_decoder, feed, stop),
                };
                feed.send(Body::Link(Link::Down));
                if let Some(error) = error {
                    tracing::warn!(source = feed.name(), port, %error, "port is gone");
                }
                // A port that opens and breaks at once is not asked in a hurry.
                if now().0.saturating_sub(began.0) > 10_000_000_000 {
                    pause = PAUSE.0;
                }
            }
            Err(error) => {
                let why = reason(&error, port);
                if why != said {
                    tracing::warn!(source = feed.name(), "{why}");
                    said = why;
                }
            }
        }
        sleep(pause, stop);
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Reads until the port is gone, and says why, or until told to stop.
fn read(
    port: &mut (impl Read + Write),
    new_decoder: &NewDecoder,
    feed: &Feed,
    stop: &CancellationToken,
) -> Option<io::Error> {
    let mut decoder = new_decoder();
    let mut buffer = [0; 4096];
    let mut asked = Vec::new();
    let mut empty = 0;
    // The device's series are there before its first byte.
    feed.take(now(), b"", 0, decoder.as_mut());
    let greeted = greet(port, decoder.as_ref(), stop);
    let gone = loop {
        if stop.is_cancelled() {
            // A device that is gone cannot be told.
            decoder.farewell(&mut asked);
            drop(port.write_all(&asked).and_then(|()| port.flush()));
            break None;
        }
        if let Err(e) = greeted {
            break Some(e);
        }
        match port.read(&mut buffer) {
            // A device that was unplugged reads as nothing for ever.
            Ok(0) => {
                empty += 1;
                if empty >= EMPTY {
                    break Some(io::ErrorKind::UnexpectedEof.into());
                }
                std::thread::yield_now();
            }
            Ok(n) => {
                empty = 0;
                feed.take(now(), buffer.get(..n).unwrap_or_default(), 1, decoder.as_mut());
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
            Err(e) => break Some(e),
        }
        decoder.ask(&mut asked);
        if !asked.is_empty() {
            let told = port.write_all(&asked).and_then(|()| port.flush());
            asked.clear();
            if let Err(e) = told {
                break Some(e);
            }
        }
    };
    feed.end(now(), decoder.as_mut());
    gone
}

/// Has a device start anew: one that was left streaming is told to stop, and what it wrote is thrown away, so
/// that no old frames are taken for new ones.
fn greet(port: &mut (impl Read + Write), decoder: &dyn Decoder, stop: &CancellationToken) -> io::Result<()> {
    if decoder.hello().is_empty() {
        return Ok(());
    }
    if !decoder.goodbye().is_empty() {
        port.write_all(decoder.goodbye())?;
        sleep(DRAIN, stop);
        // At most what the kernel holds; a device that does not stop is drained for a moment only.
        let mut old = [0; 4096];
        for _ in 0..64 {
            match port.read(&mut old) {
                Ok(n) if n == old.len() => {}
                Ok(_) => break,
                Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => break,
                Err(e) => return Err(e),
            }
        }
    }
    for (number, piece) in decoder.hello().iter().enumerate() {
        if number > 0 {
            sleep(DRAIN, stop);
        }
        port.write_all(piece)?;
        port.flush()?;
    }
    Ok(())
}

/// Sleeps, but not past the stop.
fn sleep(time: Duration, stop: &CancellationToken) {
    let slice = Duration::from_millis(100);
    let mut left = time;
    while !left.is_zero() && !stop.is_cancelled() {
        std::thread::sleep(left.min(slice));
        left = left.saturating_sub(slice);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use serialport::{SerialPort, TTYPort};

    use super::*;
    use crate::decode::Protocol;
    use crate::hub::Hub;

    fn becomes(hub: &Hub, family: &str, labels: &str, want: f64) {
        for _ in 0..500 {
            if hub.lock().registry.number(family, labels) == Some(want) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{family}{{{labels}}} is {:?}, not {want}", hub.lock().registry.number(family, labels));
    }

    #[test]
    fn lines_from_a_port_that_goes_and_is_not_there() {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("board"), "board");
        let (mut board, port) = TTYPort::pair().unwrap();
        let name = port.name().unwrap();
        // The pair's other end keeps the line alive, but holds it exclusively.
        drop(port);
        let stop = CancellationToken::new();
        let reader = std::thread::spawn({
            let (name, feed, stop) = (name.clone(), feed.clone(), stop.clone());
            move || supervise(&name, 115_200, None, &|| Protocol::Jsonl.decoder(), &feed, &stop)
        });
        becomes(&hub, "neural_source_up", "source=\"board\"", 1.0);
        board
            .write_all(
                b"{\"type\":\"stage\",\"pipeline\":\"p\",\"stage\":\"s\",\"seconds\":1}\nnoise\n{\"type\":",
            )
            .unwrap();
        becomes(&hub, "neural_source_events", "source=\"board\"", 1.0);
        becomes(&hub, "neural_source_faults", "source=\"board\",kind=\"syntax\"", 1.0);
        drop(board);
        becomes(&hub, "neural_source_up", "source=\"board\"", 0.0);
        becomes(&hub, "neural_source_faults", "source=\"board\",kind=\"cut\"", 1.0);
        stop.cancel();
        reader.join().unwrap();
    }

    #[test]
    fn reasons_say_what_to_do() {
        let error = serialport::new("/dev/no-such-port", 9600).open_native().unwrap_err();
        assert!(reason(&error, "/dev/no-such-port").contains("plugged in"), "{error:?}");
    }
}
