//! A simulated Cyton on a pseudo-terminal: what it sends, loses and hides is what `/metrics` says.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use neural_exporter::decode::Protocol;
use neural_exporter::event::Body;
use neural_exporter::hub::Hub;
use neural_exporter::source::Feed;
use neural_exporter::source::port::serial;
use neural_exporter::source::request::Devices;
use serialport::{SerialPort, TTYPort};
use tokio_util::sync::CancellationToken;

use super::boards;

/// A board that was left streaming, stops and starts when told, and counts.
struct Board {
    port: TTYPort,
    /// The number of the next frame.
    number: u32,
    sent: u64,
    /// When the next burst is due.
    due: Instant,
}

impl Board {
    /// Frames that an FTDI chip releases together: 16 ms of them.
    const BURST: u32 = 4;

    /// Sends so many frames by the clock.
    fn send(&mut self, frames: u32) {
        for _ in 0..frames / Self::BURST {
            let next = self.number + Self::BURST;
            self.port.write_all(&boards::frames(Protocol::Cyton, self.number..next)).unwrap();
            self.number = next;
            self.sent += u64::from(Self::BURST);
            self.wait(Self::BURST);
        }
    }

    /// Counts on, but nothing arrives.
    fn lose(&mut self, frames: u32) {
        self.number += frames;
        self.wait(frames);
    }

    fn wait(&mut self, frames: u32) {
        self.due += Duration::from_millis(4) * frames;
        thread::sleep(self.due.saturating_duration_since(clock()));
    }

    fn hears(&mut self, wanted: u8) {
        let mut heard = [0];
        for _ in 0..100 {
            if self.port.read(&mut heard).is_ok_and(|n| n == 1) {
                assert_eq!(char::from(heard[0]), char::from(wanted));
                return;
            }
            // As long as nobody has opened the port, reading fails at once.
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the board was not told {}", char::from(wanted));
    }
}

#[expect(clippy::disallowed_methods, reason = "the board has a clock")]
fn clock() -> Instant {
    Instant::now()
}

fn is(hub: &Hub, family: &str, want: f64) -> bool {
    hub.lock().registry.number(family, "device=\"board\"") == Some(want)
}

fn becomes(hub: &Hub, family: &str, label: &str, want: f64) {
    let labels = format!("{label}=\"board\"");
    for _ in 0..500 {
        if hub.lock().registry.number(family, &labels) == Some(want) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{family} is {:?}, not {want}", hub.lock().registry.number(family, &labels));
}

#[test]
fn a_cyton_is_told_to_start_and_every_packet_is_accounted_for() {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("board"), "board");
    let (mut port, line) = TTYPort::pair().unwrap();
    port.set_timeout(Duration::from_millis(50)).unwrap();
    let name = line.name().unwrap();
    drop(line);
    let stop = CancellationToken::new();
    let ended = Arc::new(AtomicBool::new(false));
    let clock_ticks = thread::spawn({
        let (feed, ended) = (Feed::new(hub.clone(), hub.add_source("clock"), "clock"), ended.clone());
        move || {
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200));
                feed.send(Body::Tick);
            }
        }
    });
    let reader = thread::spawn({
        let (feed, stop) = (feed, stop.clone());
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(serial::run(
                serial::Settings::path(name, 115_200, "cyton"),
                Arc::new(|| Protocol::Cyton.decoder()),
                feed,
                stop,
                Devices::default(),
            ));
        }
    });

    let mut board = Board { port, number: 77, sent: 0, due: clock() };
    board.hears(b's');
    // Frames of an older session, which the agent does not take for its own.
    board.send(8);
    board.hears(b'V');
    board.port.write_all(b"v3.1.2$$$").unwrap();
    board.hears(b'?');
    board.hears(b'b');
    becomes(&hub, "neural_device_messages_total", "device", 1.0);
    let firmware = "device=\"board\",version=\"v3.1.2\"";
    assert_eq!(hub.lock().registry.number("neural_device_firmware_info", firmware), Some(1.0));
    becomes(&hub, "neural_source_up", "source", 1.0);
    becomes(&hub, "neural_device_nominal_rate_hertz", "device", 250.0);
    becomes(&hub, "neural_device_streaming", "device", 0.0);
    (board.number, board.sent, board.due) = (0, 0, clock());
    board.send(300);
    becomes(&hub, "neural_device_streaming", "device", 1.0);
    board.due = clock();
    board.lose(3);
    board.send(100);
    // The counter says 44 of these.
    board.lose(300);
    board.send(400);
    becomes(&hub, "neural_device_lost_packets_total", "device", 303.0);
    assert!(is(&hub, "neural_device_gaps_total", 2.0));
    becomes(&hub, "neural_device_frames_total", "device", board.sent as f64);
    assert!(is(&hub, "neural_device_samples_total", board.sent as f64));
    becomes(&hub, "neural_device_streaming", "device", 0.0);
    assert_eq!(
        hub.lock().registry.samples("neural_source_errors_total").map(|of| of.value).sum::<f64>(),
        0.0
    );

    drop(board);
    becomes(&hub, "neural_source_up", "source", 0.0);
    assert_eq!(hub.lock().registry.number("neural_device_streaming", "device=\"board\""), None);
    assert!(is(&hub, "neural_device_lost_packets_total", 303.0));
    stop.cancel();
    reader.join().unwrap();
    ended.store(true, Ordering::Relaxed);
    clock_ticks.join().unwrap();
}

#[test]
fn a_board_is_told_to_stop_when_the_agent_stops() {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("board"), "board");
    let (mut port, mut line) = TTYPort::pair().unwrap();
    port.set_timeout(Duration::from_millis(50)).unwrap();
    let name = line.name().unwrap();
    // The line is kept open, so that the last word can be read after the agent closed the port.
    line.set_exclusive(false).unwrap();
    let kept = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOCTTY).open(&name).unwrap();
    drop(line);
    let stop = CancellationToken::new();
    let reader = thread::spawn({
        let stop = stop.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(serial::run(
                serial::Settings::path(name, 115_200, "daisy"),
                Arc::new(|| Protocol::Daisy.decoder()),
                feed,
                stop,
                Devices::default(),
            ));
        }
    });
    let mut board = Board { port, number: 0, sent: 0, due: clock() };
    board.hears(b's');
    // An old firmware does not know the questions, and says nothing.
    board.hears(b'V');
    board.hears(b'?');
    board.hears(b'b');
    board.send(40);
    becomes(&hub, "neural_device_frames_total", "device", 40.0);
    // The first frame of a Daisy is invalid, and with it its sample.
    becomes(&hub, "neural_device_samples_total", "device", 19.0);
    assert!(is(&hub, "neural_device_lost_packets_total", 0.0));
    stop.cancel();
    board.hears(b's');
    drop(kept);
    reader.join().unwrap();
}
