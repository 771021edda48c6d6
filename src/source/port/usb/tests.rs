//! A made-up system: what is plugged in, which program has it, and who may.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// A made-up system in a folder of its own.
pub(crate) struct System {
    folder: tempfile::TempDir,
}

/// What is plugged in.
pub(crate) struct Plug<'a> {
    pub(crate) place: &'a str,
    pub(crate) interface: u8,
    pub(crate) tty: &'a str,
    pub(crate) id: (&'a str, &'a str),
    pub(crate) serial: &'a str,
    pub(crate) number: u32,
}

pub(crate) const DONGLE: Plug<'_> = Plug {
    place: "1-1.2",
    interface: 0,
    tty: "ttyUSB0",
    id: ("0403", "6015"),
    serial: "DN0096XY",
    number: 5,
};

impl System {
    pub(crate) fn new() -> Self {
        let system = Self { folder: tempfile::tempdir().unwrap() };
        for folder in
            ["sys/class/tty", "sys/bus/usb/devices", "sys/bus/usb-serial/devices", "dev", "etc", "proc"]
        {
            std::fs::create_dir_all(system.at(folder)).unwrap();
        }
        system.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nlab:x:4242:4243::/:/bin/sh\n");
        system.put("etc/group", "root:x:0:\ndialout:x:20:\nlab:x:4243:\n");
        system
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::below(self.folder.path())
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn link(&self, from: &str, to: &str) {
        symlink(self.at(to), self.at(from)).unwrap();
    }

    /// Plugs in a bridge of FTDI, as Linux 6 shows it. Its node leads to `node`.
    pub(crate) fn plug(&self, plug: &Plug<'_>, node: &Path) {
        let Plug { place, interface, tty, id, serial, number } = plug;
        let usb = format!("sys/devices/pci0000:00/usb1/{place}");
        for (name, text) in [
            ("idVendor", id.0),
            ("idProduct", id.1),
            ("product", "FT231X USB UART"),
            ("manufacturer", "FTDI"),
            ("serial", serial),
            ("speed", "12"),
            ("bMaxPower", " 90mA"),
            ("devnum", &number.to_string()),
            ("power/control", "auto"),
            ("power/runtime_status", "active"),
        ] {
            self.put(&format!("{usb}/{name}"), &format!("{text}\n"));
        }
        let within = format!("{usb}/{place}:1.{interface}");
        let port = format!("{within}/{tty}");
        self.put(&format!("{within}/bInterfaceNumber"), &format!("{interface:02}\n"));
        self.put(&format!("{port}/latency_timer"), "16\n");
        self.put(&format!("{port}/tty/{tty}/dev"), "188:0\n");
        self.put("sys/bus/usb-serial/drivers/ftdi_sio/bind", "");
        self.link(&format!("{port}/driver"), "sys/bus/usb-serial/drivers/ftdi_sio");
        self.link(&format!("{port}/tty/{tty}/device"), &port);
        self.link(&format!("sys/class/tty/{tty}"), &format!("{port}/tty/{tty}"));
        self.link(&format!("sys/bus/usb-serial/devices/{tty}"), &port);
        if *interface == 0 {
            self.link(&format!("sys/bus/usb/devices/{place}"), &usb);
        }
        symlink(node, self.at(&format!("dev/{tty}"))).unwrap();
    }

    pub(crate) fn unplug(&self, plug: &Plug<'_>) {
        let Plug { place, tty, .. } = plug;
        for link in [
            format!("dev/{tty}"),
            format!("sys/class/tty/{tty}"),
            format!("sys/bus/usb-serial/devices/{tty}"),
            format!("sys/bus/usb/devices/{place}"),
        ] {
            std::fs::remove_file(self.at(&link)).unwrap();
        }
        std::fs::remove_dir_all(self.at(&format!("sys/devices/pci0000:00/usb1/{place}"))).unwrap();
    }
}

fn by(id: Option<&str>, serial: Option<&str>, place: Option<&str>) -> Which {
    let own = |text: Option<&str>| text.map(str::to_owned);
    Which::Usb(UsbMatch { id: own(id), serial: own(serial), place: own(place) })
}

#[test]
fn ports_with_hardware_behind_them() {
    let system = System::new();
    let null = Path::new("/dev/null");
    system.plug(&DONGLE, null);
    system.plug(&Plug { place: "1-3", tty: "ttyUSB10", serial: "", ..DONGLE }, null);
    system.plug(&Plug { place: "1-4", tty: "ttyUSB9", serial: "B", ..DONGLE }, null);
    // A console, a UART that is there, and two that are not: one says so, the other may not be asked.
    system.put("sys/devices/virtual/tty/tty0/dev", "4:0");
    system.link("sys/class/tty/tty0", "sys/devices/virtual/tty/tty0");
    for (tty, bus, kind) in [
        ("ttyS0", "pnp0/00:01", Some("4")),
        ("ttyS1", "platform/serial8250", Some("0")),
        ("ttyS2", "platform/serial8250", None),
    ] {
        let own = format!("sys/devices/{bus}/tty/{tty}");
        system.put(&format!("{own}/dev"), "4:64");
        if let Some(kind) = kind {
            system.put(&format!("{own}/type"), kind);
        }
        system.link(&format!("{own}/device"), &format!("sys/devices/{bus}"));
        system.link(&format!("sys/class/tty/{tty}"), &own);
    }
    let found = ttys(&system.roots());
    assert_eq!(
        found.iter().map(|tty| &*tty.name).collect::<Vec<_>>(),
        ["ttyS0", "ttyUSB0", "ttyUSB9", "ttyUSB10"]
    );
    let usb = found[1].usb.clone().unwrap();
    assert_eq!(found[1].driver.as_deref(), Some("ftdi_sio"));
    assert_eq!((&*usb.id, &*usb.serial, &*usb.place), ("0403:6015", "DN0096XY", "1-1.2"));
    assert_eq!(
        (&*usb.interface, &*usb.product, &*usb.manufacturer),
        ("1-1.2:1.0", "FT231X USB UART", "FTDI")
    );
    let wanted = Bus {
        bits_per_second: Some(12e6),
        awake: Some(true),
        autosuspend: Some(true),
        power_limit: Some(0.45),
        number: Some(5),
    };
    assert_eq!(usb.bus(), wanted);
    assert_eq!(latency_timer(&system.roots(), "ttyUSB0").unwrap().1, 16);
    assert_eq!(latency_timer(&system.roots(), "ttyS0"), None);
    assert_eq!(found[0].usb, None);
    assert!(ttys(&Roots::below(Path::new("/nowhere"))).is_empty());
}

#[test]
fn a_device_is_found_by_what_is_known_of_it() {
    let system = System::new();
    let (roots, null) = (system.roots(), Path::new("/dev/null"));
    system.plug(&DONGLE, null);
    system.plug(&Plug { place: "1-3", tty: "ttyUSB1", serial: "OTHER", ..DONGLE }, null);
    let node = |which: Which| which.find(&roots).map(|node| node.tty.unwrap());
    assert_eq!(node(by(None, Some("OTHER"), None)), Ok("ttyUSB1".to_owned()));
    assert_eq!(node(by(Some("0403:6015"), None, Some("1-1.2"))), Ok("ttyUSB0".to_owned()));
    assert_eq!(node(by(None, None, Some("1-3:1.0"))), Ok("ttyUSB1".to_owned()));
    let Err(Missing::Ambiguous(why)) = node(by(Some("0403:6015"), None, None)) else { panic!() };
    assert!(why.contains("OTHER") && why.contains("1-1.2:1.0") && why.contains("ttyUSB1"), "{why}");
    let Err(Missing::Absent(why)) = node(by(Some("1234:5678"), None, None)) else { panic!() };
    assert!(why.contains("id 1234:5678 is not there"), "{why}");
    let Err(Missing::Absent(why)) = node(by(None, Some("OTHER"), Some("1-9"))) else { panic!() };
    assert!(why.contains("plugged in"), "{why}");

    // It comes back elsewhere, under another number.
    system.unplug(&DONGLE);
    assert!(matches!(node(by(None, Some("DN0096XY"), None)), Err(Missing::Absent(_))));
    system.plug(&Plug { place: "1-7", tty: "ttyUSB4", number: 9, ..DONGLE }, null);
    assert_eq!(node(by(None, Some("DN0096XY"), None)), Ok("ttyUSB4".to_owned()));
    // The bus has it, its node is not made yet.
    std::fs::remove_file(system.at("dev/ttyUSB4")).unwrap();
    assert!(matches!(node(by(None, Some("DN0096XY"), None)), Err(Missing::Absent(_))));
}

#[test]
fn one_device_with_two_ports() {
    let system = System::new();
    let null = Path::new("/dev/null");
    system.plug(&DONGLE, null);
    system.plug(&Plug { interface: 1, tty: "ttyUSB1", ..DONGLE }, null);
    assert!(matches!(by(None, Some("DN0096XY"), None).find(&system.roots()), Err(Missing::Ambiguous(_))));
    let second = by(None, Some("DN0096XY"), Some("1-1.2:1.1")).find(&system.roots()).unwrap();
    assert_eq!(second.tty.as_deref(), Some("ttyUSB1"));
}

#[test]
fn a_path_is_followed() {
    let system = System::new();
    system.plug(&DONGLE, Path::new("/dev/null"));
    std::fs::create_dir_all(system.at("dev/serial/by-id")).unwrap();
    system.link("dev/serial/by-id/usb-FTDI", "dev/ttyUSB0");
    assert_eq!(
        stable_name(&system.roots(), &system.at("dev/ttyUSB0")),
        Some(system.at("dev/serial/by-id/usb-FTDI"))
    );
    let path = Which::Path(system.at("dev/ttyUSB0"));
    let node = path.find(&system.roots()).unwrap();
    assert_eq!(node.usb.unwrap().serial, "DN0096XY");
    std::fs::remove_file(system.at("dev/ttyUSB0")).unwrap();
    assert!(matches!(path.find(&system.roots()), Err(Missing::Absent(_))));
}

#[test]
fn who_has_a_port_is_told() {
    let system = System::new();
    system.put("dev/ttyUSB0", "");
    system.put("proc/77/comm", "OpenBCI_GUI\n");
    system.put("proc/self/comm", "");
    std::fs::create_dir_all(system.at("proc/77/fd")).unwrap();
    let node = system.at("dev/ttyUSB0").canonicalize().unwrap();
    assert_eq!(holders(&system.roots(), &node), []);
    symlink(&node, system.at("proc/77/fd/5")).unwrap();
    let found = holders(&system.roots(), &node);
    assert_eq!(listed(&found), "OpenBCI_GUI (pid 77)");
    let many: Vec<_> = (10..70).map(|pid| Holder { pid, command: "cat".to_owned() }).collect();
    assert!(listed(&many[..5]).ends_with(", cat (pid 14)"));
    let named = "cat (pid 10), cat (pid 11), cat (pid 12), cat (pid 13), cat (pid 14) and 55 more";
    assert_eq!(listed(&many), named);
}

#[test]
fn ways_to_be_permitted() {
    let system = System::new();
    system.plug(&DONGLE, Path::new("/dev/null"));
    let usb = tty(&system.roots(), "ttyUSB0").unwrap().usb;
    system.put("dev/node", "");
    let node = system.at("dev/node");
    std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o600)).unwrap();
    let advice = not_permitted(&system.roots(), &node, usb.as_ref());
    // Its group may not either: the rule gives it to the one that has ports, and the user must be in that.
    let rule = "SUBSYSTEM==\"tty\", ATTRS{idVendor}==\"0403\", ATTRS{idProduct}==\"6015\", GROUP=\"dialout\", MODE=\"0660\"";
    assert_eq!(advice.rule, rule);
    assert!(advice.command.as_ref().unwrap().starts_with("sudo usermod -aG dialout "), "{advice:?}");
    let text = advice.to_string();
    assert!(text.find(rule).unwrap() < text.find("usermod").unwrap(), "{text}");
    // Where no such group, the user's own may be that of many.
    system.put("etc/group", "root:x:0:\nnogroup:x:65534:\nuucp-like:x:5:\n");
    let advice = not_permitted(&system.roots(), &node, usb.as_ref());
    assert!(advice.command.is_none() && advice.rule.contains("OWNER=\""), "{advice:?}");
    assert!(!advice.to_string().contains("group"), "{advice}");
    system.put("etc/group", "root:x:0:\ndialout:x:20:\nlab:x:4243:\n");
    // Only root can give a file to a group it is not in.
    if std::os::unix::fs::chown(&node, None, Some(20)).is_ok() {
        std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o660)).unwrap();
        let advice = not_permitted(&system.roots(), &node, None);
        assert!(advice.command.clone().unwrap().starts_with("sudo usermod -aG dialout "), "{advice:?}");
        assert!(advice.owner.ends_with(":dialout, mode 0660"), "{}", advice.owner);
        assert!(advice.rule.contains("KERNEL==\"node\""), "{}", advice.rule);
        assert!(advice.to_string().starts_with("`sudo usermod") && !advice.to_string().contains("udev"));
    } else {
        eprintln!("not root: that the group is named is not tested");
    }
}
