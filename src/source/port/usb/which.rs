//! Which port is meant: a path, or what is known of the USB device that makes it.
//!
//! Looked up again each time, because a device that comes back may have another number. Nothing is opened.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Roots, Tty, Usb, devices, last, tty, ttys};

/// What is known of a USB device. All that is said here must be true of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UsbMatch {
    /// Vendor and product: `"0403:6015"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$"), extend("format" = "usb-id"))]
    pub id: Option<String>,
    /// The serial number of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub serial: Option<String>,
    /// The chain of USB ports it hangs on, `1-1.2`; or one interface of a device that has several, `1-1.2:1.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+-[0-9]+(\.[0-9]+)*(:[0-9]+\.[0-9]+)?$"), extend("format" = "usb-place"))]
    pub place: Option<String>,
}

impl UsbMatch {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn fits(&self, usb: &Usb) -> bool {
        let said = |wanted: &Option<String>, fits: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(fits);
        said(&self.id, &|id| id.eq_ignore_ascii_case(&usb.id))
            && said(&self.serial, &|serial| serial == usb.serial)
            && said(&self.place, &|place| place == usb.place || place == usb.interface)
    }
}

impl fmt::Display for UsbMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("id", &self.id), ("serial", &self.serial), ("place", &self.place)];
        let mut said = parts.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        f.write_str("the USB device with ")?;
        if let Some((key, value)) = said.next() {
            write!(f, "{key} {value}")?;
        }
        said.try_for_each(|(key, value)| write!(f, ", {key} {value}"))
    }
}

/// Which port is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this path.
    Path(PathBuf),
    /// The one that this USB device makes.
    Usb(UsbMatch),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Usb(usb) => usb.fmt(f),
        }
    }
}

/// Why there is no one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is none.
    Absent(String),
    /// There are several.
    Ambiguous(String),
    /// The way to it may not be gone.
    NotPermitted(String),
}

/// A port that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What to open.
    pub path: PathBuf,
    /// Its name in sysfs, if it has hardware behind it.
    pub tty: Option<String>,
    /// The USB device that makes it, if one does.
    pub usb: Option<Usb>,
    /// Which node it is.
    pub identity: Identity,
}

/// Tells whether a node is still the one that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device, and the node's own number.
    node: (u64, u64),
    /// When its owner or mode was last changed.
    changed: (i64, i64),
}

impl Identity {
    /// Of the node that a path leads to; `None` if it leads nowhere.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self { node: (meta.rdev(), meta.ino()), changed: (meta.ctime(), meta.ctime_nsec()) })
    }

    /// Whether it is the same node, with whatever permissions.
    #[must_use]
    pub fn is_still(self, other: Self) -> bool {
        self.node == other.node
    }
}

impl Which {
    /// Finds the port.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, roots: &Roots) -> Result<Node, Missing> {
        match self {
            Self::Path(path) => by_path(path, roots),
            Self::Usb(usb) => by_usb(usb, roots),
        }
    }
}

fn by_path(path: &Path, roots: &Roots) -> Result<Node, Missing> {
    let shown = path.display();
    let (Some(identity), Ok(real)) = (Identity::of(path), path.canonicalize()) else {
        let denied = path.canonicalize().is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
        return Err(if denied {
            Missing::NotPermitted(format!("not permitted to look for {shown}; see `namei -l {shown}`"))
        } else if path.starts_with("/dev") || path.parent().is_some_and(Path::is_dir) {
            Missing::Absent(format!("{shown} is not there; is the device plugged in?"))
        } else {
            Missing::Absent(format!("{shown} does not exist, nor does its folder"))
        });
    };
    let found = [last(&real), last(path)].into_iter().find_map(|name| tty(roots, &name));
    let (tty, usb) = found.map_or((None, None), |tty| (Some(tty.name), tty.usb));
    Ok(Node { path: path.to_owned(), tty, usb, identity })
}

fn by_usb(usb: &UsbMatch, roots: &Roots) -> Result<Node, Missing> {
    let mut fitting: Vec<Tty> =
        ttys(roots).into_iter().filter(|tty| tty.usb.as_ref().is_some_and(|of| usb.fits(of))).collect();
    if fitting.len() > 1 {
        let each = |tty: &Tty| {
            let of = tty.usb.clone().unwrap_or_default();
            let serial = if of.serial.is_empty() { "none" } else { &of.serial };
            format!("{} (serial {serial}, place {})", tty.node.display(), of.interface)
        };
        let all: Vec<String> = fitting.iter().map(each).collect();
        return Err(Missing::Ambiguous(format!(
            "{usb} matches more than one device: {}; add its serial or place",
            all.join(", ")
        )));
    }
    let Some(tty) = fitting.pop() else {
        let why = if devices(roots).iter().any(|of| UsbMatch { place: None, ..usb.clone() }.fits(of)) {
            "is plugged in, but makes no serial port there; is its driver loaded, and did no program take it?"
        } else {
            "is not there; is it plugged in?"
        };
        return Err(Missing::Absent(format!("{usb} {why}")));
    };
    // The bus has it before udev has made its node.
    let Some(identity) = Identity::of(&tty.node) else {
        return Err(Missing::Absent(format!("{usb} is plugged in, but {} is not there", tty.node.display())));
    };
    Ok(Node { path: tty.node, tty: Some(tty.name), usb: tty.usb, identity })
}
