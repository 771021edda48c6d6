//! Who may open a port and which program has it open, and what would change that.
//!
//! Looks and advises; changes nothing.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{Roots, Usb, file};

/// A program that has a port open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its name.
    pub command: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.command, self.pid)
    }
}

/// The programs that have a node open, this one left out. Those of other users are seen by root alone.
#[must_use]
pub fn holders(roots: &Roots, node: &Path) -> Vec<Holder> {
    let (Ok(node), Ok(entries)) = (node.canonicalize(), std::fs::read_dir(&roots.proc)) else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let others = pids.filter(|pid| *pid != std::process::id());
    let mut found: Vec<Holder> = others.filter_map(|pid| holder(roots, &node, pid)).collect();
    found.sort();
    found
}

fn holder(roots: &Roots, node: &Path, pid: u32) -> Option<Holder> {
    let process = roots.proc.join(pid.to_string());
    let open: Vec<PathBuf> = std::fs::read_dir(process.join("fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect();
    let holds = open.iter().any(|at| at == node);
    // Who made a pseudo-terminal may keep its other end open too, and reads nothing there.
    let made = node.starts_with("/dev/pts") && open.iter().any(|at| at.ends_with("ptmx"));
    (holds && !made).then(|| Holder { pid, command: file(&process.join("comm")).unwrap_or_default() })
}

/// Whether a node may be a serial port: a character device that the kernel does not have under another heading.
#[must_use]
pub fn is_serial(roots: &Roots, node: &Path) -> bool {
    let Ok(about) = std::fs::metadata(node) else { return false };
    let (major, minor) = (rustix::fs::major(about.rdev()), rustix::fs::minor(about.rdev()));
    let subsystem = std::fs::read_link(roots.sys.join(format!("dev/char/{major}:{minor}/subsystem")));
    // The kernel has no entry for pseudo-terminals; a program may make a port of its own with CUSE.
    let terminal = |subsystem: PathBuf| matches!(&*super::last(&subsystem), "tty" | "cuse");
    about.file_type().is_char_device() && subsystem.map_or(true, terminal)
}

/// Whether this process may open a node for reading and writing.
#[must_use]
pub fn may_open(node: &Path) -> bool {
    accessat(CWD, node, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Why a node may not be opened, and the ways to change that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Whose it is, and with what mode.
    pub owner: String,
    /// The command that adds this user to the group that may, or is to, if there is one.
    pub command: Option<String>,
    /// Whether the command is enough: that group may open it already.
    pub enough: bool,
    /// The udev rule that gives this device to that group; to this user where there is none.
    pub rule: String,
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let member = |command| format!("`{command}` and restart the agent (log in again first)");
        let rule = format!(
            "put into {RULES}: {} (then `sudo udevadm control --reload` and plug it in again)",
            self.rule
        );
        match &self.command {
            Some(command) if self.enough => f.write_str(&member(command)),
            Some(command) => write!(f, "{rule}, then {}", member(command)),
            None => f.write_str(&rule),
        }
    }
}

/// Where the rules of this program would stand.
pub const RULES: &str = "/etc/udev/rules.d/70-neural-exporter.rules";

/// Why a node may not be opened, and what would change that.
#[must_use]
pub fn not_permitted(roots: &Roots, node: &Path, usb: Option<&Usb>) -> Advice {
    let (owner, gid, mode) =
        std::fs::metadata(node).map_or((0, 0, 0), |meta| (meta.uid(), meta.gid(), meta.mode() & 0o777));
    let user = user(roots);
    let group = name(roots, "group", gid);
    // Nobody should become a member of root's group for a port.
    let enough = gid != 0 && mode & 0o060 == 0o060;
    // A user's own group may be that of many, or `nogroup`: the groups that distributions have for ports are neither.
    let usual = ["dialout", "uucp"].into_iter().find(|group| is_there(roots, group));
    let of_ports = if enough { Some(&*group) } else { usual };
    let whose = match of_ports {
        Some(group) => format!("GROUP=\"{group}\""),
        None => format!("OWNER=\"{user}\""),
    };
    let matched = match usb.and_then(|usb| usb.id.split_once(':')) {
        Some((vendor, product)) => {
            format!("ATTRS{{idVendor}}==\"{vendor}\", ATTRS{{idProduct}}==\"{product}\"")
        }
        None => format!("KERNEL==\"{}\"", super::last(node)),
    };
    Advice {
        owner: format!("{}:{group}, mode {mode:04o}", name(roots, "passwd", owner)),
        command: of_ports.map(|group| format!("sudo usermod -aG {group} {user}")),
        enough,
        rule: format!("SUBSYSTEM==\"tty\", {matched}, {whose}, MODE=\"0660\""),
    }
}

/// The udev rule that sets the latency timer of FTDI bridges when they are plugged in (udev(7), ftdi_sio).
pub const LATENCY_RULE: &str =
    "ACTION==\"add\", SUBSYSTEM==\"usb-serial\", DRIVER==\"ftdi_sio\", ATTR{latency_timer}=\"1\"";

/// The name of the user that runs this process.
#[must_use]
pub fn user(roots: &Roots) -> String {
    name(roots, "passwd", std::fs::metadata(roots.proc.join("self")).map_or(0, |me| me.uid()))
}

/// Whether there is a group of this name.
fn is_there(roots: &Roots, group: &str) -> bool {
    let text = std::fs::read_to_string(roots.etc.join("group")).unwrap_or_default();
    text.lines().any(|line| line.split(':').next() == Some(group))
}

/// The name of a user or group; its number if it has none.
fn name(roots: &Roots, table: &str, id: u32) -> String {
    let text = std::fs::read_to_string(roots.etc.join(table)).unwrap_or_default();
    let id = id.to_string();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    found.unwrap_or(id)
}

/// Holders that are named.
const NAMED: usize = 5;

/// The holders as one text, without those that stand twice, and the number of those beyond the first few.
#[must_use]
pub fn listed(holders: &[Holder]) -> String {
    let all: BTreeSet<String> = holders.iter().map(Holder::to_string).collect();
    let more = all.len().saturating_sub(NAMED);
    let named = all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}
