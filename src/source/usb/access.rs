//! Who may open a port and which program has it open, and what would change that.
//!
//! Looks and advises; changes nothing.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
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
    /// The command that adds this user to the group that may, if there is one.
    pub command: Option<String>,
    /// The udev rule that gives this device to this user's own group.
    pub rule: String,
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(command) = &self.command {
            write!(f, "either `{command}` and restart the agent (log in again first), or ")?;
        }
        write!(
            f,
            "put into {RULES}: {} (then `sudo udevadm control --reload` and plug it in again)",
            self.rule
        )
    }
}

/// Where the rules of this program would stand.
pub const RULES: &str = "/etc/udev/rules.d/70-neural-exporter.rules";

/// Why a node may not be opened, and what would change that.
#[must_use]
pub fn not_permitted(roots: &Roots, node: &Path, usb: Option<&Usb>) -> Advice {
    let (user, own) = std::fs::metadata(roots.proc.join("self")).map_or((0, 0), |me| (me.uid(), me.gid()));
    let (owner, gid, mode) =
        std::fs::metadata(node).map_or((0, 0, 0), |meta| (meta.uid(), meta.gid(), meta.mode() & 0o777));
    let user = name(roots, "passwd", user);
    let group = name(roots, "group", gid);
    // Nobody should become a member of root's group for a port.
    let would_do = gid != 0 && mode & 0o060 == 0o060;
    let matched = match usb.and_then(|usb| usb.id.split_once(':')) {
        Some((vendor, product)) => {
            format!("ATTRS{{idVendor}}==\"{vendor}\", ATTRS{{idProduct}}==\"{product}\"")
        }
        None => format!("KERNEL==\"{}\"", super::last(node)),
    };
    Advice {
        owner: format!("{}:{group}, mode {mode:04o}", name(roots, "passwd", owner)),
        command: would_do.then(|| format!("sudo usermod -aG {group} {user}")),
        rule: format!(
            "SUBSYSTEM==\"tty\", {matched}, GROUP=\"{}\", MODE=\"0660\"",
            name(roots, "group", own)
        ),
    }
}

/// The udev rule that sets the latency timer of FTDI bridges when they are plugged in (udev(7), ftdi_sio).
pub const LATENCY_RULE: &str =
    "ACTION==\"add\", SUBSYSTEM==\"usb-serial\", DRIVER==\"ftdi_sio\", ATTR{latency_timer}=\"1\"";

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

/// The holders as one text, without those that stand twice.
#[must_use]
pub fn listed(holders: &[Holder]) -> String {
    let all: BTreeSet<String> = holders.iter().map(Holder::to_string).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}
