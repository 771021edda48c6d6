//! `devices`: what is plugged in, what it probably is, whether the agent may open it, and which program has it open; and the
//! streams that answer.
//!
//! Opens no port.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{Exit, complain, json, look, print, run, runtime, streams};
use crate::alert::health::Status;
use crate::source::lsl::Search;
use crate::source::port::usb::{
    Roots, Tty, holders, known, latency_timer, listed, may_open, not_permitted, stable_name, ttys,
};

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_millis(500);

/// One port, as JSON tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Device {
    /// Its node.
    node: PathBuf,
    /// A name that stays with the device.
    stable_name: Option<PathBuf>,
    /// What it probably is.
    guess: String,
    /// Its driver in the kernel.
    driver: Option<String>,
    usb: Option<UsbFacts>,
    /// Whether this user may open it.
    may_open: bool,
    /// What would change that.
    advice: Option<String>,
    /// The programs that have it open, as far as this user may see them.
    held_by: Vec<Program>,
    latency_timer_seconds: Option<f64>,
    /// A source for the configuration.
    config: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct UsbFacts {
    id: String,
    product: String,
    manufacturer: String,
    serial: String,
    place: String,
    bits_per_second: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Program {
    pid: u32,
    command: String,
}

impl Device {
    /// Its node.
    pub(super) fn node(&self) -> &Path {
        &self.node
    }

    /// What it probably is.
    pub(super) fn guess(&self) -> &str {
        &self.guess
    }

    /// What this user has to do to open it; nothing if it may be opened.
    pub(super) fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// Whether it may have another number when it is plugged in again, and no name that stays.
    pub(super) fn is_renumbered(&self) -> bool {
        self.usb.is_some() && self.stable_name.is_none()
    }

    /// How long bytes wait in its chip, in seconds, where that is known.
    pub(super) fn latency_timer(&self) -> Option<f64> {
        self.latency_timer_seconds
    }

    fn of(tty: &Tty, roots: &Roots) -> Self {
        let stable_name = stable_name(roots, &tty.node);
        let permitted = may_open(&tty.node);
        let advice = || not_permitted(roots, &tty.node, tty.usb.as_ref());
        let held = holders(roots, &tty.node).into_iter();
        let usb = tty.usb.as_ref().map(|usb| UsbFacts {
            id: usb.id.clone(),
            product: usb.product.clone(),
            manufacturer: usb.manufacturer.clone(),
            serial: usb.serial.clone(),
            place: usb.interface.clone(),
            bits_per_second: usb.bus().bits_per_second,
        });
        Self {
            guess: guess(tty),
            driver: tty.driver.clone(),
            may_open: permitted,
            advice: (!permitted).then(|| format!("it is {}'s; {}", advice().owner, advice())),
            held_by: held.map(|holder| Program { pid: holder.pid, command: holder.command }).collect(),
            latency_timer_seconds: latency_timer(roots, &tty.name).map(|(_, ms)| f64::from(ms) / 1000.0),
            config: config(tty, stable_name.as_deref(), protocol(tty).unwrap_or("board")),
            node: tty.node.clone(),
            stable_name,
            usb,
        }
    }
}

/// What a port probably is, in words that promise no more than is known.
pub(super) fn guess(tty: &Tty) -> String {
    let Some(usb) = &tty.usb else {
        return "a serial port of this machine; what is on it is not known".to_owned();
    };
    match known(&usb.id) {
        Some(known) => known.name.to_owned(),
        None if usb.product.is_empty() => "a USB device that is not known".to_owned(),
        None => format!("not known; it calls itself {}", usb.product),
    }
}

/// The protocol that is spoken behind a bridge of this kind more often than any other.
pub(super) fn protocol(tty: &Tty) -> Option<&'static str> {
    known(&tty.usb.as_ref()?.id)?.protocol
}

/// A source for the configuration, with this name. The protocol is a guess.
pub(super) fn config(tty: &Tty, stable: Option<&Path>, name: &str) -> String {
    let port = match (&tty.usb, stable) {
        (_, Some(name)) => format!("port: {}", name.display()),
        (Some(usb), None) if plain(&usb.serial) => {
            format!("usb: {{id: \"{}\", serial: \"{}\"}}", usb.id, usb.serial)
        }
        (Some(usb), None) => format!("usb: {{id: \"{}\", place: \"{}\"}}", usb.id, usb.interface),
        (None, None) => format!("port: {}", tty.node.display()),
    };
    format!("- serial: {{name: {name}, {port}, protocol: {}}}", protocol(tty).unwrap_or("cyton"))
}

/// Whether a serial number can stand in quotes as it is.
fn plain(serial: &str) -> bool {
    !serial.is_empty() && serial.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

pub(super) fn devices(root: Option<&Path>, watch: bool, as_json: bool, options: &streams::Options) -> Exit {
    let roots = root.map_or_else(Roots::default, Roots::below);
    let Some(runtime) = runtime() else { return Exit::Failed };
    runtime.block_on(async {
        let search = options.search();
        if watch {
            return follow(&roots, search, as_json).await;
        }
        let found = found(&roots);
        let streams = match search {
            Some(mut search) => {
                search.look().await;
                streams::complain(&search);
                Some(streams::streams(&search))
            }
            None => None,
        };
        if as_json {
            return print(&document(&found, streams.as_deref()));
        }
        let mut text: Vec<String> = found.iter().map(table).collect();
        if found.is_empty() {
            text.push(nothing(&roots));
        }
        match streams.as_deref() {
            Some([]) => text.push(streams::NOTHING.to_owned()),
            Some(streams) => text.extend(streams.iter().map(streams::table)),
            None => {}
        }
        print(text.join("\n").as_bytes())
    })
}

pub(super) fn found(roots: &Roots) -> Vec<Device> {
    ttys(roots).iter().map(|tty| Device::of(tty, roots)).collect()
}

fn document(found: &[Device], streams: Option<&[streams::Stream]>) -> Vec<u8> {
    let mut all = serde_json::json!({ "devices": found });
    if let (Some(all), Some(streams)) = (all.as_object_mut(), streams) {
        all.insert("streams".to_owned(), serde_json::json!(streams));
    }
    json(&all)
}

/// What to check where nothing was found.
fn nothing(roots: &Roots) -> String {
    let mut text = "no serial port with hardware behind it was found\n\n".to_owned();
    let mut say = |line: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {line}");
    };
    if !roots.sys.join("class/tty").is_dir() {
        say(&format!("{} is not there: in a container, mount the host's /sys", roots.sys.display()));
    }
    say("is the device plugged in, and is its cable one that carries data?");
    say("does the kernel see it?           sudo dmesg --follow, then plug it in");
    say("is it on the bus, but has no port? lsusb; its driver may be missing, or another program took it");
    say("in a container: give it the device (--device /dev/ttyUSB0) and the host's /sys");
    text
}

/// One port, as people read it.
fn table(device: &Device) -> String {
    let status = if device.advice.is_some() { Status::Unhealthy } else { Status::Healthy };
    let mut rows = Vec::new();
    let mut row = |name: &str, value: &str| rows.push((name.to_owned(), value.to_owned()));
    if let Some(usb) = &device.usb {
        let serial = if usb.serial.is_empty() { "no serial number" } else { &usb.serial };
        let driver = device.driver.as_deref().unwrap_or("no driver");
        row("usb", &format!("{} \"{}\", {serial}, at {}, {driver}", usb.id, usb.product, usb.place));
    }
    let none = || "none; udev makes it".to_owned();
    row("stable name", &device.stable_name.as_ref().map_or_else(none, |name| name.display().to_string()));
    row("may be opened", device.advice.as_deref().unwrap_or("yes"));
    row("held by", &held(device));
    if let Some(seconds) = device.latency_timer_seconds {
        let bursts = if seconds > 0.001 { "; the agent sets 1 ms if it may, for fewer bursts" } else { "" };
        row("latency timer", &format!("{} ms{bursts}", (seconds * 1000.0).round()));
    }
    row("config", &device.config);
    look::block(status, &device.node.display().to_string(), &device.guess, &rows)
}

fn held(device: &Device) -> String {
    if device.held_by.is_empty() {
        return "no program visible to this user".to_owned();
    }
    let each = |of: &Program| crate::source::port::usb::Holder { pid: of.pid, command: of.command.clone() };
    listed(&device.held_by.iter().map(each).collect::<Vec<_>>())
}

/// What happened to a port.
#[derive(Debug, PartialEq, Serialize)]
struct Change<'a> {
    change: &'static str,
    device: &'a Device,
}

/// What changed between two looks.
fn changes<'a>(before: &'a [Device], now: &'a [Device]) -> Vec<Change<'a>> {
    let same = |a: &Device, b: &Device| {
        let serial = |device: &Device| device.usb.as_ref().map(|usb| (usb.id.clone(), usb.serial.clone()));
        a.node == b.node && serial(a) == serial(b)
    };
    let left = before.iter().filter(|old| !now.iter().any(|new| same(old, new)));
    let left = left.map(|device| Change { change: "left", device });
    let rest = now.iter().filter_map(|device| match before.iter().find(|old| same(old, device)) {
        None => Some(Change { change: "appeared", device }),
        Some(old) if old != device => Some(Change { change: "changed", device }),
        Some(_) => None,
    });
    left.chain(rest).collect()
}

/// One change as a line.
fn line(change: &Change<'_>, json: bool) -> String {
    let Change { change: what, device } = change;
    if json {
        return serde_json::to_string(change).unwrap_or_default() + "\n";
    }
    let open = if device.may_open { "may be opened" } else { "may not be opened" };
    format!("{what:8} {}  {}; {open}; held by {}\n", device.node.display(), device.guess, held(device))
}

/// Prints what is there, and then each change, until it is cancelled.
async fn follow(roots: &Roots, mut search: Option<Search>, json: bool) -> Exit {
    let (mut before, mut streams_before) = (Vec::new(), Vec::new());
    let mut stop = run::stop_signal();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut first = true;
    loop {
        tokio::select! {
            () = &mut stop => return Exit::Fine,
            _ = looks.tick() => {}
            // An answer is in the table, whatever it says.
            _ = receive(&mut search) => continue,
        }
        let now = found(roots);
        if std::mem::take(&mut first) && now.is_empty() && !json {
            complain(&"nothing is plugged in yet; waiting (Ctrl-C ends it)");
        }
        let streams_now = match &mut search {
            Some(search) => {
                search.forget();
                search.send_query().await;
                streams::streams(search)
            }
            None => Vec::new(),
        };
        let ports = changes(&before, &now);
        let streams = streams::changes(&streams_before, &streams_now);
        let ports = ports.iter().map(|change| line(change, json));
        let text: String = ports.chain(streams.iter().map(|change| streams::line(change, json))).collect();
        if print(text.as_bytes()) != Exit::Fine {
            return Exit::Failed;
        }
        (before, streams_before) = (now, streams_now);
    }
}

async fn receive(search: &mut Option<Search>) {
    match search {
        // What is no answer is not worth a word here.
        Some(search) => drop(search.receive().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::port::usb::tests::{DONGLE, Plug, System};

    #[test]
    fn a_dongle_is_described() {
        let system = System::new();
        system.plug(&DONGLE, Path::new("/dev/null"));
        let found = found(&system.roots());
        let text = table(&found[0]);
        for part in [
            "FTDI FT230X or FT231X, as in the OpenBCI dongle",
            "0403:6015 \"FT231X USB UART\", DN0096XY, at 1-1.2:1.0, ftdi_sio",
            "none; udev makes it",
            "no program visible to this user",
            "16 ms; the agent sets 1 ms",
            "- serial: {name: cyton, usb: {id: \"0403:6015\", serial: \"DN0096XY\"}, protocol: cyton}",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let json: serde_json::Value = serde_json::from_slice(&document(&found, None)).unwrap();
        assert_eq!(json["devices"][0]["usb"]["bits_per_second"], 12e6);
        assert_eq!(json["devices"][0]["latency_timer_seconds"], 0.016);
    }

    #[test]
    fn what_is_suggested_can_be_read() {
        let system = System::new();
        let null = Path::new("/dev/null");
        system.plug(&DONGLE, null);
        let (place, tty) = ("2-1", "ttyACM0");
        system.plug(&Plug { place, tty, id: ("1234", "5678"), serial: "a\"b", ..DONGLE }, null);
        for device in found(&system.roots()) {
            let text = format!("sources:\n  {}\n", device.config);
            let config = crate::config::parse("config.yml", &text).unwrap_or_else(|e| panic!("{text}{e:?}"));
            assert_eq!(config.sources.len(), 1, "{text}");
        }
    }

    #[test]
    fn changes_are_told_one_by_one() {
        let system = System::new();
        let what = |before: &[Device], now: &[Device]| {
            changes(before, now).iter().map(|c| (c.change, c.device.node.clone())).collect::<Vec<_>>()
        };
        let node = system.at("dev/ttyUSB0");
        let none = found(&system.roots());
        assert!(nothing(&system.roots()).contains("dmesg"));
        system.plug(&DONGLE, Path::new("/dev/null"));
        let one = found(&system.roots());
        assert_eq!(what(&none, &one), [("appeared", node.clone())]);
        assert_eq!(what(&one, &one), []);
        system.put("sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "1\n");
        let set = found(&system.roots());
        assert_eq!(what(&one, &set), [("changed", node.clone())]);
        let line = line(&changes(&one, &set)[0], true);
        assert!(line.starts_with("{\"change\":\"changed\",\"device\":{") && line.ends_with("}\n"), "{line}");
        system.unplug(&DONGLE);
        system.plug(&Plug { serial: "OTHER", ..DONGLE }, Path::new("/dev/null"));
        let other = found(&system.roots());
        assert_eq!(what(&set, &other), [("left", node.clone()), ("appeared", node)]);
    }
}
