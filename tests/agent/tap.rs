//! A program that records through the agent, on pseudo-terminals: it gets what the device sent, whatever it does
//! itself and whatever happens to the agent.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use neural_exporter::decode::{Decoder, Protocol, Sink};
use neural_exporter::event::{Body, Samples};
use neural_exporter::hub::Hub;
use neural_exporter::source::Feed;
use neural_exporter::source::port::serial;
use neural_exporter::source::request::Devices;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::OpenptFlags;
use tokio_util::sync::CancellationToken;

use super::boards;

/// Bytes that the agent keeps for a program.
const BUFFER: usize = 1 << 20;

/// The agent on a line, and where programs find it.
struct Bench {
    hub: Arc<Hub>,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    agent: Option<JoinHandle<()>>,
}

/// The device's end of a line. The other end is kept, so that the line is there before the agent is.
struct Line {
    file: File,
    _other: File,
}

/// A decoder that understands every byte, and fails if it is told to.
struct Ear {
    fails: bool,
}

impl Decoder for Ear {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        assert!(!self.fails || bytes.is_empty(), "this is a test: the decoder fails");
        let (frames, bytes) = (bytes.len() as u32, bytes.len() as u64);
        out(Body::Samples(Samples { values: &[], channels: 1, frames, bytes }));
    }

    fn end(&mut self, _out: &mut Sink<'_>) {}
}

impl Bench {
    fn new(new_decoder: impl Fn() -> Box<dyn Decoder> + Send + Sync + 'static) -> (Self, Line) {
        let hub = Arc::new(Hub::default());
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self { hub, folder, stop: CancellationToken::new(), agent: None };
        let line = bench.plug();
        let (port, link) = (bench.folder.path().join("port"), bench.link());
        let feed = Feed::new(bench.hub.clone(), bench.hub.add_source("board"), "board");
        let stop = bench.stop.clone();
        bench.agent = Some(thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let settings =
                serial::Settings { tap: Some(link), ..serial::Settings::path(port, 115_200, "jsonl") };
            runtime.block_on(serial::run(settings, Arc::new(new_decoder), feed, stop, Devices::default()));
        }));
        (bench, line)
    }

    fn listening() -> (Self, Line) {
        Self::new(|| Box::new(Ear { fails: false }))
    }

    /// Plugs a device in, or in again: its name leads to a line of its own.
    fn plug(&self) -> Line {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let line = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&line).unwrap();
        let other = rustix::pty::ioctl_tiocgptpeer(&line, flags).unwrap();
        let mut settings = rustix::termios::tcgetattr(&other).unwrap();
        settings.make_raw();
        rustix::termios::tcsetattr(&other, rustix::termios::OptionalActions::Now, &settings).unwrap();
        let name = rustix::pty::ptsname(&line, Vec::new()).unwrap().into_string().unwrap();
        let link = self.folder.path().join("port");
        drop(std::fs::remove_file(&link));
        std::os::unix::fs::symlink(name, link).unwrap();
        patient(&line);
        Line { file: line.into(), _other: other.into() }
    }

    fn link(&self) -> PathBuf {
        self.folder.path().join("tap")
    }

    /// Opens the tap as a program does.
    fn open(&self) -> File {
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let open = || OpenOptions::new().read(true).write(true).custom_flags(flags).open(self.link()).ok();
        until("the tap is there", open)
    }

    /// Opens it and waits until the agent knows.
    fn record(&self) -> File {
        let program = self.open();
        self.becomes("neural_tap_open", "", 1.0);
        program
    }

    fn number(&self, family: &str, labels: &str) -> f64 {
        let of = if family.starts_with("neural_tap_") { "device" } else { "source" };
        self.hub.lock().registry.number(family, &format!("{of}=\"board\"{labels}")).unwrap_or(-1.0)
    }

    fn becomes(&self, family: &str, labels: &str, want: f64) {
        let what = format!("{family}{{{labels}}} is {want}");
        until(&what, || (self.number(family, labels) == want).then_some(()));
    }

    fn dropped(&self) -> usize {
        self.number("neural_tap_dropped_bytes_total", ",direction=\"to_program\"") as usize
    }

    fn unseen(&self, reason: &str) -> usize {
        self.number("neural_tap_undecoded_bytes_total", &format!(",reason=\"{reason}\"")) as usize
    }

    /// Waits until the agent has taken so many bytes from the device, and either read them along or knows that it
    /// did not.
    fn has_taken(&self, bytes: usize) {
        until("the agent has taken everything", || {
            let read = self.number("neural_source_received_bytes_total", "") as usize;
            (read + self.unseen("behind") + self.unseen("failed") == bytes).then_some(())
        });
    }

    /// Asks the agent to stop, and waits until it has.
    fn stop(&mut self) {
        self.stop.cancel();
        if let Some(agent) = self.agent.take() {
            agent.join().unwrap();
            assert!(std::fs::symlink_metadata(self.link()).is_err(), "the link is left");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(agent) = self.agent.take() {
            drop(agent.join());
        }
    }
}

/// Has a descriptor say that there is nothing instead of waiting.
fn patient(fd: impl AsFd) {
    fcntl_setfl(&fd, fcntl_getfl(&fd).unwrap() | OFlags::NONBLOCK).unwrap();
}

/// Asks until there is an answer.
fn until<T>(what: &str, answer: impl Fn() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(answer) = answer() {
            return answer;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("not seen in time: {what}");
}

/// Repeats what cannot be done yet.
fn retry(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    for _ in 0..60_000 {
        match attempt() {
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                thread::sleep(Duration::from_micros(500));
            }
            done => return done,
        }
    }
    panic!("nothing came, or went, in time");
}

fn send(mut to: &File, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = retry(|| to.write(bytes)).unwrap();
        bytes = &bytes[n..];
    }
}

fn receive(mut from: &File, bytes: usize) -> Vec<u8> {
    let mut all = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        let n = retry(|| from.read(&mut all[filled..])).unwrap();
        assert!(n > 0, "the line ended after {filled} of {bytes} bytes");
        filled += n;
    }
    all
}

/// Reads until the line hangs up.
fn rest(mut from: &File) -> Vec<u8> {
    let mut all = Vec::new();
    let mut some = [0; 4096];
    loop {
        match retry(|| from.read(&mut some)) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(&some[..n]),
            Err(e) => {
                assert_eq!(e.raw_os_error(), Some(libc::EIO), "{e}");
                return all;
            }
        }
    }
}

/// Whether there is nothing to read.
fn is_silent(mut from: &File) -> bool {
    matches!(from.read(&mut [0; 16]), Err(e) if e.kind() == ErrorKind::WouldBlock)
}

/// The same numbers in each run (xorshift).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        // What terminals take for something else is in it often, alone and in rows.
        const ODD: &[u8] = &[0, 3, 4, 8, 10, 13, 17, 19, 21, 26, 28, 127, 255, 255];
        let mut byte = || {
            let roll = self.next();
            if roll.is_multiple_of(4) { ODD[(roll >> 8) as usize % ODD.len()] } else { (roll >> 16) as u8 }
        };
        (0..length).map(|_| byte()).collect()
    }

    /// Sends pieces of random length, now and then after a moment.
    fn send_in_pieces(&mut self, to: &File, mut bytes: &[u8], longest: u64) {
        while !bytes.is_empty() {
            let (piece, later) = bytes.split_at(bytes.len().min((1 + self.next() % longest) as usize));
            send(to, piece);
            bytes = later;
            if self.next().is_multiple_of(64) {
                thread::sleep(Duration::from_micros(self.next() % 2000));
            }
        }
    }
}

#[test]
fn every_byte_passes_both_ways_unchanged_and_in_order() {
    let (mut bench, device) = Bench::listening();
    let program = bench.record();
    // Fewer than the buffer holds: on a busy machine the program here may be a slow one.
    let down = Rng(0x9e37_79b9_7f4a_7c15).bytes(BUFFER - 10_000);
    let up = Rng(0x2545_f491_4f6c_dd1d).bytes(500_000);
    assert!((0..=255).all(|byte| down.contains(&byte) && up.contains(&byte)));
    let (down_came, up_came) = thread::scope(|scope| {
        scope.spawn(|| Rng(1).send_in_pieces(&device.file, &down, 5000));
        scope.spawn(|| Rng(2).send_in_pieces(&program, &up, 700));
        let heard = scope.spawn(|| receive(&device.file, up.len()));
        let recorded = scope.spawn(|| receive(&program, down.len()));
        (recorded.join().unwrap(), heard.join().unwrap())
    });
    assert!(down_came == down, "what the program recorded is not what the device sent");
    assert!(up_came == up, "what the device heard is not what the program said");
    bench.has_taken(down.len());
    bench.becomes("neural_tap_forwarded_bytes_total", ",direction=\"to_program\"", down.len() as f64);
    bench.becomes("neural_tap_forwarded_bytes_total", ",direction=\"to_device\"", up.len() as f64);
    assert_eq!(bench.dropped(), 0);
    assert!(is_silent(&program) && is_silent(&device.file));
    bench.stop();
    assert_eq!(rest(&program), b"");
}

#[test]
fn a_program_that_stalls_loses_only_what_no_buffer_holds() {
    let (bench, device) = Bench::listening();
    let program = bench.record();
    let mut rng = Rng(7);
    // As much as the buffer holds: nothing is lost, however long it takes.
    let first = rng.bytes(BUFFER - 100_000);
    send(&device.file, &first);
    bench.has_taken(first.len());
    thread::sleep(Duration::from_secs(2));
    assert!(receive(&program, first.len()) == first);
    assert_eq!(bench.dropped(), 0);
    // More than it holds: one hole, of the size that is told, and whole on both sides of it.
    let second = rng.bytes(3 * BUFFER / 2);
    send(&device.file, &second);
    bench.has_taken(first.len() + second.len());
    until("every byte is passed, waits or is lost", || {
        let count = |family: &str| bench.number(family, ",direction=\"to_program\"") as usize;
        let there = count("neural_tap_forwarded_bytes_total") + count("neural_tap_waiting_bytes");
        (bench.dropped() > 0 && there + bench.dropped() == first.len() + second.len()).then_some(())
    });
    let kept = second.len() - bench.dropped();
    assert!(receive(&program, kept) == second[..kept]);
    bench.becomes("neural_tap_waiting_bytes", ",direction=\"to_program\"", 0.0);
    let third = rng.bytes(100_000);
    send(&device.file, &third);
    assert!(receive(&program, third.len()) == third);
    assert_eq!(bench.dropped(), second.len() - kept);
    assert!(is_silent(&program));
}

#[test]
fn who_comes_later_gets_nothing_from_before() {
    let (bench, device) = Bench::listening();
    // Nobody has it open yet.
    until("the link is there", || bench.link().exists().then_some(()));
    send(&device.file, &[0xAA; 5000]);
    bench.has_taken(5000);
    let program = bench.record();
    assert!(is_silent(&program));
    // It stalls, and leaves within a frame, with bytes waiting in the kernel and in the agent.
    let frames = boards::frames(Protocol::Cyton, 0..6000);
    send(&device.file, &frames);
    assert!(receive(&program, 50) == frames[..50]);
    bench.has_taken(5000 + frames.len());
    drop(program);
    bench.becomes("neural_tap_open", "", 0.0);
    bench.becomes("neural_tap_waiting_bytes", ",direction=\"to_program\"", 0.0);
    send(&device.file, &[0xAA; 3000]);
    bench.has_taken(8000 + frames.len());
    let program = bench.record();
    assert!(is_silent(&program));
    send(&device.file, b"new");
    assert_eq!(receive(&program, 3), b"new");
    assert_eq!(bench.dropped(), 0, "nobody wanted what was not taken");
    bench.becomes("neural_tap_opens_total", "", 2.0);
}

#[test]
fn programs_that_come_and_go_are_heard_and_answered() {
    let (bench, device) = Bench::listening();
    let hears = |word: &[u8]| assert_eq!(receive(&device.file, word.len()), word);
    for round in 0..100_u8 {
        let program = bench.open();
        send(&program, &[b'v', round]);
        hears(&[b'v', round]);
        send(&device.file, &[round; 40]);
        assert_eq!(receive(&program, 40), [round; 40]);
        // Its last word, in the moment in which it leaves.
        send(&program, &[b's', round]);
        drop(program);
        hears(&[b's', round]);
    }
    // A word in passing.
    send(&bench.open(), b"x1060110X");
    hears(b"x1060110X");
    bench.becomes("neural_tap_open", "", 0.0);
    assert_eq!(bench.dropped(), 0);
}

#[test]
fn a_device_that_does_not_listen_keeps_the_program_waiting_and_loses_nothing() {
    let (bench, device) = Bench::listening();
    let program = bench.record();
    // More than the agent and the kernel hold.
    let words = Rng(8).bytes(400_000);
    thread::scope(|scope| {
        scope.spawn(|| send(&program, &words));
        until("the agent holds what it can", || {
            let waiting = bench.number("neural_tap_waiting_bytes", ",direction=\"to_device\"");
            (waiting == f64::from(64 << 10)).then_some(())
        });
        // The other way is not held up.
        send(&device.file, b"awake");
        assert_eq!(receive(&program, 5), b"awake");
        assert!(receive(&device.file, words.len()) == words);
    });
    bench.becomes("neural_tap_forwarded_bytes_total", ",direction=\"to_device\"", words.len() as f64);
}

#[test]
fn two_programs_at_once_are_as_two_on_one_port() {
    let (bench, device) = Bench::listening();
    let program = bench.record();
    // One that only looks takes nothing away when it leaves.
    drop(bench.open());
    send(&device.file, b"stays");
    assert_eq!(receive(&program, 5), b"stays");
    bench.becomes("neural_tap_opens_total", "", 1.0);
}

#[test]
fn bytes_pass_while_the_decoder_fails() {
    let (mut bench, device) = Bench::new(|| Box::new(Ear { fails: true }));
    let program = bench.record();
    for round in 0..20 {
        let sent = Rng(round + 1).bytes(3000);
        send(&device.file, &sent);
        assert!(receive(&program, sent.len()) == sent);
        send(&program, b"b");
        assert_eq!(receive(&device.file, 1), b"b");
    }
    bench.has_taken(60_000);
    assert_eq!(bench.unseen("failed"), 60_000);
    assert_eq!(bench.dropped(), 0);
    bench.stop();
}

#[test]
fn bytes_pass_while_the_hub_is_locked() {
    let (bench, device) = Bench::listening();
    let program = bench.record();
    // More than the copies that can wait for the agent.
    let sent = Rng(3).bytes(600_000);
    let locked = bench.hub.lock();
    thread::scope(|scope| {
        scope.spawn(|| Rng(4).send_in_pieces(&device.file, &sent, 3000));
        assert!(receive(&program, sent.len()) == sent);
        send(&program, b"s");
        assert_eq!(receive(&device.file, 1), b"s");
    });
    drop(locked);
    bench.has_taken(sent.len());
    assert!(bench.unseen("behind") > 0, "the agent was locked out, and says that it saw everything");
    assert_eq!(bench.dropped(), 0);
}

#[test]
fn an_unplugged_device_hangs_up_and_comes_back_behind_the_same_link() {
    let (bench, device) = Bench::listening();
    let program = bench.record();
    // It leaves with bytes on their way.
    let sent = Rng(5).bytes(30_000);
    send(&device.file, &sent);
    bench.has_taken(sent.len());
    drop(device);
    assert!(rest(&program) == sent);
    bench.becomes("neural_source_up", "", 0.0);
    assert!(std::fs::symlink_metadata(bench.link()).is_err(), "the link is left");
    let device = bench.plug();
    let again = bench.record();
    send(&device.file, b"again");
    assert_eq!(receive(&again, 5), b"again");
    send(&again, b"b");
    assert_eq!(receive(&device.file, 1), b"b");
    assert_eq!(rest(&program), b"", "the first program is not connected again");
}

#[test]
fn an_agent_that_stops_lets_the_program_read_what_waits() {
    let (mut bench, device) = Bench::listening();
    let program = bench.record();
    let sent = Rng(6).bytes(60_000);
    send(&device.file, &sent);
    bench.has_taken(sent.len());
    let recorded = thread::spawn(move || rest(&program));
    bench.stop();
    assert!(recorded.join().unwrap() == sent);
    // The agent wrote nothing to the device: no greeting and no farewell.
    assert!(is_silent(&device.file));
}

#[test]
fn a_board_that_is_told_to_stop_and_start_has_lost_nothing() {
    let (bench, device) = Bench::new(|| Protocol::Cyton.decoder());
    let program = bench.record();
    let mut sent = 0;
    for _ in 0..3 {
        send(&program, b"b");
        assert_eq!(receive(&device.file, 1), b"b");
        let frames = boards::frames(Protocol::Cyton, 0..100);
        send(&device.file, &frames);
        assert!(receive(&program, frames.len()) == frames);
        send(&program, b"s");
        assert_eq!(receive(&device.file, 1), b"s");
        sent += 100;
        until("the frames are counted", || {
            let frames = bench.hub.lock().registry.number("neural_device_frames_total", "device=\"board\"");
            (frames == Some(f64::from(sent))).then_some(())
        });
        thread::sleep(Duration::from_millis(400));
    }
    let lost = bench.hub.lock().registry.number("neural_device_lost_packets_total", "device=\"board\"");
    assert_eq!(lost, Some(0.0));
    assert_eq!(
        bench.hub.lock().registry.samples("neural_source_errors_total").map(|of| of.value).sum::<f64>(),
        0.0
    );
}

#[test]
fn a_program_with_another_speed_is_noticed() {
    let (bench, device) = Bench::listening();
    let mut program = serialport::new(bench.link().to_str().unwrap(), 115_200);
    until("the link is there", || bench.link().exists().then_some(()));
    program = program.timeout(Duration::from_secs(20));
    let mut open = program.clone().open_native().unwrap();
    bench.becomes("neural_tap_open", "", 1.0);
    bench.becomes("neural_tap_baud_mismatch", "", 0.0);
    serialport::SerialPort::set_baud_rate(&mut open, 57_600).unwrap();
    bench.becomes("neural_tap_baud_mismatch", "", 1.0);
    send(&device.file, b"as before");
    let mut read = [0; 9];
    open.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"as before");
    drop(open);
    bench.becomes("neural_tap_baud_mismatch", "", 0.0);
    // The next one finds it as the first did, exclusive use and all.
    let open = program.open_native().unwrap();
    assert_eq!(serialport::SerialPort::baud_rate(&open).unwrap(), 115_200);
}
