//! Linux alone: the serial ports that have hardware behind them, as sysfs describes them, and the USB devices
//! that make them.
//!
//! Opens no port and writes nothing. Where the trees of the system lie is a parameter, so that a host's can be
//! read from within a container and a made-up one in a test.

mod access;
mod known;
mod which;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use access::{
    Advice, Holder, LATENCY_RULE, RULES, holders, is_serial, listed, may_open, not_permitted, user,
};
pub use known::{UsbModel, known};
pub use which::{Identity, Missing, Node, UsbMatch, Which};

/// Where the trees of the system lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// sysfs.
    pub sys: PathBuf,
    /// The device nodes.
    pub dev: PathBuf,
    /// procfs.
    pub proc: PathBuf,
    /// Users and groups.
    pub etc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl Roots {
    /// The trees of a system whose root is at `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let [sys, dev, proc, etc] = ["sys", "dev", "proc", "etc"].map(|tree| root.join(tree));
        Self { sys, dev, proc, etc }
    }
}

/// A serial port with hardware behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tty {
    /// Its name in sysfs: `ttyUSB0`.
    pub name: String,
    /// Its node: `/dev/ttyUSB0`.
    pub node: PathBuf,
    /// Its driver: `ftdi_sio`.
    pub driver: Option<String>,
    /// The USB device that makes it, if one does.
    pub usb: Option<Usb>,
}

/// A USB device, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usb {
    /// Its folder in sysfs.
    pub folder: PathBuf,
    /// Vendor and product: `0403:6015`.
    pub id: String,
    /// What it calls itself; empty if it does not.
    pub product: String,
    /// Who made it; empty if it does not say.
    pub manufacturer: String,
    /// Its serial number; empty if it has none.
    pub serial: String,
    /// The chain of ports it hangs on: `1-1.2`.
    pub place: String,
    /// That chain, and which of the device's interfaces this is: `1-1.2:1.0`. Empty for the device itself.
    pub interface: String,
}

impl Usb {
    /// The device in a folder of sysfs; `None` if there is none.
    fn read(folder: &Path) -> Option<Self> {
        let text = |name: &str| file(&folder.join(name)).unwrap_or_default();
        let (vendor, product) = (file(&folder.join("idVendor"))?, file(&folder.join("idProduct"))?);
        Some(Self {
            folder: folder.to_owned(),
            id: format!("{vendor}:{product}"),
            product: text("product"),
            manufacturer: text("manufacturer"),
            serial: text("serial"),
            place: last(folder),
            interface: String::new(),
        })
    }

    /// What the bus says of it now.
    #[must_use]
    pub fn bus(&self) -> Bus {
        let text = |name: &str| file(&self.folder.join(name));
        let number = |name: &str| text(name)?.parse::<f64>().ok().filter(|n| n.is_finite());
        let milliamperes = || text("bMaxPower")?.trim_end_matches("mA").trim().parse::<f64>().ok();
        Bus {
            // Told in Mbit/s: 1.5, 12, 480, 5000.
            bits_per_second: number("speed").map(|mbit| mbit * 1e6),
            awake: text("power/runtime_status").map(|status| status == "active"),
            autosuspend: text("power/control").map(|control| control == "auto"),
            power_limit: milliamperes().map(|ma| ma * 5.0 / 1000.0),
            number: text("devnum").and_then(|n| n.parse().ok()),
        }
    }
}

/// What a USB says of a device (Documentation/ABI/testing/sysfs-bus-usb and sysfs-devices-power of Linux).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bus {
    /// Its speed, baud.
    pub bits_per_second: Option<f64>,
    /// Whether it is powered, rather than suspended.
    pub awake: Option<bool>,
    /// Whether the kernel may suspend it.
    pub autosuspend: Option<bool>,
    /// Watts that it says it may draw.
    pub power_limit: Option<f64>,
    /// Its number on the bus, which is new each time that it is found there.
    pub number: Option<u32>,
}

/// Every serial port with hardware behind it, by name.
#[must_use]
pub fn ttys(roots: &Roots) -> Vec<Tty> {
    let Ok(entries) = std::fs::read_dir(roots.sys.join("class/tty")) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut ttys: Vec<Tty> = names.filter_map(|name| tty(roots, &name)).collect();
    // ttyUSB10 stands behind ttyUSB9.
    ttys.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    ttys
}

/// The port of this name, if there is hardware behind it.
#[must_use]
pub fn tty(roots: &Roots, name: &str) -> Option<Tty> {
    let class = roots.sys.join("class/tty").join(name);
    // Most are consoles. A look at the link alone is cheap, and is taken several times a second.
    if std::fs::read_link(&class).is_ok_and(|to| to.to_string_lossy().contains("/devices/virtual/")) {
        return None;
    }
    // Consoles and pseudo-terminals have no device.
    let device = class.join("device").canonicalize().ok()?;
    let shown = device.to_string_lossy();
    if shown.contains("/devices/virtual/") || !is_there(&class, &shown) {
        return None;
    }
    // A port of a bridge has the bridge's driver; a modem's port is the interface itself.
    let linked = |folder: &Path| folder.join("driver").canonicalize().ok();
    let driver = linked(&device).or_else(|| linked(device.parent()?)).map(|driver| last(&driver));
    let usb = device.ancestors().find_map(Usb::read).map(|usb| {
        let within = |folder: &&Path| folder.join("bInterfaceNumber").exists();
        let interface = device.ancestors().find(within).map(last).unwrap_or_default();
        Usb { interface, ..usb }
    });
    Some(Tty { name: name.to_owned(), node: roots.dev.join(name), driver, usb })
}

/// Whether a UART is more than a place that the driver keeps for one. The driver says so to root alone; to
/// others, those that it found by itself are none of the four it always makes.
fn is_there(class: &Path, device: &str) -> bool {
    match file(&class.join("type")) {
        Some(kind) => kind != "0",
        None => !device.contains("/platform/serial8250"),
    }
}

/// The name under `/dev/serial/by-id` that means this node, whatever its number. Only udev makes such names.
#[must_use]
pub fn stable_name(roots: &Roots, node: &Path) -> Option<PathBuf> {
    let node = node.canonicalize().ok()?;
    let entries = std::fs::read_dir(roots.dev.join("serial/by-id")).ok()?;
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names.into_iter().find(|name| name.canonicalize().is_ok_and(|at| at == node))
}

/// Where the latency timer of a bridge is set, milliseconds, if it has one (ftdi_sio of Linux).
#[must_use]
pub fn latency_timer(roots: &Roots, tty: &str) -> Option<(PathBuf, u32)> {
    let path = roots.sys.join("bus/usb-serial/devices").join(tty).join("latency_timer");
    let ms = file(&path)?.parse().ok()?;
    Some((path, ms))
}

/// The devices on the USB, hubs too.
fn devices(roots: &Roots) -> Vec<Usb> {
    let Ok(entries) = std::fs::read_dir(roots.sys.join("bus/usb/devices")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| Usb::read(&entry.path())).collect()
}

/// A small file of sysfs, without its line end.
fn file(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(4096).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The last part of a path.
fn last(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
