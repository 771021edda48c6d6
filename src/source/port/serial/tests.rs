//! Ports that come, go, are held, and say nothing: pseudo-terminals in a made-up system.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use serialport::{SerialPort, TTYPort};

use super::*;
use crate::decode::Protocol;
use crate::hub::Hub;
use crate::source::port::usb::tests::{DONGLE, Plug, System};
use crate::source::port::usb::{UsbMatch, is_serial};

fn becomes(hub: &Hub, family: &str, labels: &str, want: f64) {
    for _ in 0..1500 {
        if hub.lock().registry.number(family, labels) == Some(want) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{family}{{{labels}}} is {:?}, not {want}", hub.lock().registry.number(family, labels));
}

const UP: &str = "neural_source_up";
const SOURCE: &str = "source=\"board\"";

struct Run {
    hub: Arc<Hub>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Run {
    fn new(settings: Settings, protocol: Protocol) -> Self {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("board"), "board");
        let stop = CancellationToken::new();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                Supervisor::new(&settings, &feed, &stop, Devices::default()).run(&move || protocol.decoder());
            }
        });
        Self { hub, stop, thread: Some(thread) }
    }

    fn is(&self, state: PortState) {
        let name = state.as_str();
        becomes(&self.hub, "neural_port_state", &format!("device=\"board\",state=\"{name}\""), 1.0);
        assert_eq!(
            self.hub.lock().registry.samples("neural_port_state").map(|of| of.value).sum::<f64>(),
            1.0
        );
    }

    /// The page of sources says why the port is not well, or nothing if it is.
    fn says(&self, part: Option<&str>) {
        let why = || self.hub.lock().why("board").map(str::to_owned);
        let as_wanted = || match (why(), part) {
            (Some(why), Some(part)) => why.contains(part),
            (why, part) => why.is_none() && part.is_none(),
        };
        if !(0..1500).any(|_| {
            let as_wanted = as_wanted();
            std::thread::sleep(Duration::from_millis(if as_wanted { 0 } else { 10 }));
            as_wanted
        }) {
            panic!("{:?}, not {part:?}", why());
        }
    }

    fn counted(&self, family: &str, labels: &str, want: f64) {
        becomes(&self.hub, family, &format!("device=\"board\",{labels}"), want);
    }

    fn end(mut self) {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A board, and the path of its line. The line is not held.
fn pty() -> (TTYPort, String) {
    let (mut board, line) = TTYPort::pair().unwrap();
    board.set_timeout(Duration::from_millis(50)).unwrap();
    let name = line.name().unwrap();
    (board, name)
}

#[test]
fn lines_from_a_port_that_goes_and_is_not_there() {
    let (mut board, name) = pty();
    let run = Run::new(Settings::path(name, 115_200, "jsonl"), Protocol::Jsonl);
    becomes(&run.hub, UP, SOURCE, 1.0);
    run.is(PortState::Open);
    board
        .write_all(
            b"{\"type\":\"stage\",\"pipeline\":\"p\",\"stage\":\"s\",\"seconds\":1}\nnoise\n{\"type\":",
        )
        .unwrap();
    becomes(&run.hub, "neural_source_events", SOURCE, 1.0);
    becomes(&run.hub, "neural_source_errors", "source=\"board\",reason=\"syntax\"", 1.0);
    drop(board);
    becomes(&run.hub, UP, SOURCE, 0.0);
    becomes(&run.hub, "neural_source_errors", "source=\"board\",reason=\"truncated\"", 1.0);
    run.counted("neural_port_disconnects_total", "reason=\"unplugged\"", 1.0);
    run.is(PortState::Absent);
    run.end();
}

#[test]
fn a_device_is_known_again_under_another_number() {
    let system = System::new();
    let settings = Settings {
        which: Which::Usb(UsbMatch { serial: Some(DONGLE.serial.to_owned()), ..UsbMatch::default() }),
        roots: system.roots(),
        ..Settings::path("", 115_200, "jsonl")
    };
    let run = Run::new(settings, Protocol::Jsonl);
    run.is(PortState::Absent);
    let (board, name) = pty();
    system.plug(&DONGLE, Path::new(&name));
    becomes(&run.hub, UP, SOURCE, 1.0);
    becomes(&run.hub, "neural_port_usb_reenumerations_total", "device=\"board\"", 0.0);
    becomes(&run.hub, "neural_port_latency_timer_seconds", "device=\"board\"", 0.001);
    assert_eq!(
        std::fs::read_to_string(system.at("sys/bus/usb-serial/devices/ttyUSB0/latency_timer")).unwrap(),
        "1"
    );
    becomes(&run.hub, "neural_port_usb_bits_per_second", "device=\"board\"", 12e6);
    becomes(&run.hub, "neural_port_usb_autosuspend", "device=\"board\"", 1.0);
    // A pseudo-terminal counts no errors.
    assert_eq!(
        run.hub.lock().registry.samples("neural_port_line_errors_total").map(|of| of.value).sum::<f64>(),
        0.0
    );

    // Its node goes first, while the line still stands.
    system.unplug(&DONGLE);
    becomes(&run.hub, UP, SOURCE, 0.0);
    run.counted("neural_port_disconnects_total", "reason=\"unplugged\"", 1.0);
    run.is(PortState::Absent);
    drop(board);
    let (mut board, name) = pty();
    system.plug(&Plug { tty: "ttyUSB7", number: 6, ..DONGLE }, Path::new(&name));
    becomes(&run.hub, UP, SOURCE, 1.0);
    run.counted("neural_port_reconnects_total", "reason=\"unplugged\"", 1.0);
    becomes(&run.hub, "neural_port_usb_reenumerations_total", "device=\"board\"", 1.0);
    board.write_all(b"{\"type\":\"error\",\"pipeline\":\"p\",\"error\":\"x\"}\n").unwrap();
    becomes(&run.hub, "neural_source_events", SOURCE, 1.0);
    run.end();
}

#[test]
fn a_port_that_is_locked_is_busy_and_is_opened_when_it_is_free() {
    let (board, name) = pty();
    let held = serialport::new(&name, 9600).open_native().unwrap();
    let run = Run::new(Settings::path(&*name, 115_200, "jsonl"), Protocol::Jsonl);
    run.is(PortState::Busy);
    run.says(Some("is in use by another program"));
    assert_eq!(run.hub.lock().registry.number(UP, SOURCE), None);
    drop(held);
    run.is(PortState::Open);
    run.says(None);
    drop(board);
    run.end();
}

#[test]
fn two_devices_that_fit_are_one_too_many() {
    let system = System::new();
    system.plug(&DONGLE, Path::new("/dev/null"));
    system.plug(&Plug { place: "1-9", tty: "ttyUSB1", serial: "B", ..DONGLE }, Path::new("/dev/null"));
    let settings = Settings {
        which: Which::Usb(UsbMatch { id: Some("0403:6015".to_owned()), ..UsbMatch::default() }),
        roots: system.roots(),
        ..Settings::path("", 115_200, "jsonl")
    };
    let run = Run::new(settings, Protocol::Jsonl);
    run.is(PortState::Ambiguous);
    run.end();
}

#[test]
fn a_silent_board_is_told_again_to_start() {
    let (mut board, name) = pty();
    let run = Run::new(Settings::path(name, 115_200, "cyton"), Protocol::Cyton);
    run.counted("neural_port_start_commands_total", "reason=\"opened\"", 1.0);
    run.is(PortState::Silent);
    run.counted("neural_port_start_commands_total", "reason=\"silent\"", 1.0);
    let mut heard = [0; 64];
    let mut words = Vec::new();
    while let Ok(n) = board.read(&mut heard) {
        words.extend_from_slice(&heard[..n]);
    }
    // Its hello has whatever pieces; it was commanded to begin twice.
    assert_eq!(words.iter().filter(|byte| **byte == b'b').count(), 2, "{words:?}");
    becomes(&run.hub, UP, SOURCE, 1.0);
    drop(board);
    run.end();
}

#[test]
fn a_dongle_that_answers_and_has_no_board_is_silent() {
    let failure = b"Failure: Communications timeout - Device failed to poll Host$$$".as_slice();
    // Of the Ganglion's dongle: that it looks for boards now.
    let looks = [0, 2, 6, 2, 0, 0].as_slice();
    let begin = |protocol: Protocol, answer: &'static [u8]| {
        let (mut dongle, name) = pty();
        let run = Run::new(Settings::path(name, 115_200, protocol.name()), protocol);
        let stop = run.stop.clone();
        let answers = std::thread::spawn(move || {
            let mut asked = [0; 64];
            while !stop.is_cancelled() {
                if let Ok(n) = dongle.read(&mut asked) {
                    (0..n).for_each(|_| drop(dongle.write_all(answer)));
                }
            }
        });
        (protocol, run, answers)
    };
    let runs = [begin(Protocol::Cyton, failure), begin(Protocol::Ganglion, looks)];
    for (protocol, run, _) in &runs {
        run.is(PortState::Silent);
        run.counted("neural_port_start_commands_total", "reason=\"silent\"", 1.0);
        // It was asked twice when it was opened.
        let answered = || {
            run.hub.lock().registry.samples("neural_device_messages_total").map(|of| of.value).sum::<f64>()
                > 2.0
        };
        assert!((0..1500).any(|_| answered() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }));
        // Longer than it takes to read what was decoded, and to judge it.
        std::thread::sleep(Duration::from_millis(500));
        let silent = run.hub.lock().registry.number("neural_port_state", "device=\"board\",state=\"silent\"");
        assert_eq!(silent, Some(1.0), "{}", protocol.name());
    }
    for (_, run, answers) in runs {
        run.end();
        answers.join().unwrap();
    }
}

#[test]
fn another_device_is_another_state() {
    let (mut board, name) = pty();
    let run = Run::new(Settings::path(name, 115_200, "freeeeg32"), Protocol::FreeEeg32);
    run.is(PortState::Open);
    let other = std::thread::spawn(move || {
        for _ in 0..1000 {
            if board.write_all(b"I am a weather station; it is 21 degrees.\n").is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    run.is(PortState::WrongDevice);
    run.says(Some("is not freeeeg32"));
    becomes(&run.hub, UP, SOURCE, 1.0);
    run.end();
    other.join().unwrap();
}

#[test]
fn a_tap_that_cannot_be_offered_is_no_port_that_was_lost() {
    let (board, name) = pty();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("tap");
    std::fs::write(&link, "mine").unwrap();
    let settings = Settings { tap: Some(link.clone()), ..Settings::path(name, 115_200, "jsonl") };
    let run = Run::new(settings, Protocol::Jsonl);
    run.is(PortState::Failed);
    run.says(Some("is no link"));
    assert_eq!(run.hub.lock().registry.number(UP, SOURCE), None);
    std::fs::remove_file(&link).unwrap();
    becomes(&run.hub, UP, SOURCE, 1.0);
    run.is(PortState::Open);
    assert_eq!(
        run.hub.lock().registry.samples("neural_port_disconnects_total").map(|of| of.value).sum::<f64>(),
        0.0
    );
    drop(board);
    run.end();
}

/// Reads as nothing for ever, as a line does whose device is gone.
#[derive(Default)]
struct Nothing(AtomicU32);

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    }
}

impl Write for Nothing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl watch::Line for Nothing {
    fn counts(&self) -> Option<crate::sys::LineCounts> {
        None
    }

    fn waiting(&self) -> Option<u64> {
        None
    }
}

#[test]
fn reads_of_nothing_burn_no_core() {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("board"), "board");
    let (settings, stop) = (Settings::path("/dev/null", 115_200, "jsonl"), CancellationToken::new());
    let node = settings.which.find(&settings.roots).unwrap();
    let mut reporter = PortReporter { feed: &feed, state: None, said: String::new(), lost: false };
    let mut watch = Watch::new(&node, &settings, &feed, &mut None);
    let session = Session {
        settings: &settings,
        feed: &feed,
        stop: &stop,
        reporter: &mut reporter,
        watch: &mut watch,
        place: Devices::default().open("board"),
    };
    let mut port = Nothing::default();
    let gone = session.read(&mut port, Protocol::Jsonl.decoder());
    assert!(matches!(gone, Some(PortLoss::Hangup)));
    assert_eq!(port.0.into_inner(), 3);
}

#[test]
fn errors_of_a_line_are_told_as_they_grow() {
    struct Counting(AtomicU32);
    impl Read for Counting {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Ok(0)
        }
    }
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl watch::Line for Counting {
        fn counts(&self) -> Option<crate::sys::LineCounts> {
            // The driver counted 7 before the port was opened.
            let frame = 7 + 2 * self.0.fetch_add(1, Ordering::Relaxed);
            Some(crate::sys::LineCounts { frame, ..crate::sys::LineCounts::default() })
        }
        fn waiting(&self) -> Option<u64> {
            Some(12)
        }
    }
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("board"), "board");
    let settings = Settings::path("/dev/null", 115_200, "jsonl");
    let node = settings.which.find(&settings.roots).unwrap();
    let mut watch = Watch::new(&node, &settings, &feed, &mut None);
    let port = Counting(AtomicU32::new(0));
    let kind = "device=\"board\",kind=\"frame\"";
    let reported = |hub: &Hub| hub.lock().registry.number("neural_port_line_errors_total", kind);
    assert!(!watch.check(&port));
    assert_eq!(reported(&hub), Some(0.0));
    for _ in 0..200 {
        watch.check(&port);
        if watch.frame_errors() == 4 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(reported(&hub), Some(4.0));
    assert_eq!(hub.lock().registry.number("neural_port_waiting_bytes", "device=\"board\""), Some(12.0));
}

#[test]
fn reasons_say_what_to_do() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = Settings::path(file.path(), 9600, "jsonl");
    let node = settings.which.find(&settings.roots).unwrap();
    let refused = open(&node, &settings).unwrap_err();
    assert_eq!(refused.state, PortState::Failed);
    assert!(refused.why.ends_with("is not a serial port"), "{}", refused.why);
    // Half of all programs have it open; that it is in use is not what is wrong.
    let null = Settings::path("/dev/null", 9600, "jsonl");
    if is_serial(&null.roots, Path::new("/dev/null")) {
        eprintln!("no sysfs: that /dev/null is no serial port is not tested");
    } else {
        let refused = open(&null.which.find(&null.roots).unwrap(), &null).unwrap_err();
        assert!(refused.why.ends_with("is not a serial port"), "{}", refused.why);
    }
    let missing = Which::Path("/dev/no-such-port".into()).find(&settings.roots).unwrap_err();
    assert!(matches!(missing, Missing::Absent(why) if why.contains("plugged in")));
    let gone = serialport::new("/dev/no-such-port", 9600).open_native().unwrap_err();
    assert_eq!(open::refused(&gone, &node, &settings).state, PortState::Absent);
    // As the kernel answers where a container or a unit is not given the device.
    let barred = serialport::Error::new(serialport::ErrorKind::Unknown, "Operation not permitted");
    let refused = open::refused(&barred, &node, &settings);
    assert_eq!(refused.state, PortState::NotPermitted);
    assert!(refused.why.contains("--device") && refused.why.contains("DeviceAllow="), "{}", refused.why);
}
