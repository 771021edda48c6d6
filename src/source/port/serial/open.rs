//! Opening a port, and in words why that cannot be done.
//!
//! The lock that a port is opened with keeps others out, but does not tell of those who opened it before without
//! one, as most acquisition programs do; so they are looked for first, as far as this user may see them.

use std::io;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serialport::{ErrorKind, TTYPort};

use super::Settings;
use crate::decode::dialogue::TICK;
use crate::event::PortState;
use crate::source::port::usb::{Holder, Node, holders, is_serial, listed, not_permitted};

/// How long one read, or one try to write, waits: no longer than a dialogue may be left alone.
pub(super) const WAIT: Duration = TICK;

/// Why a port was not opened.
#[derive(Debug)]
pub(super) struct PortError {
    pub(super) state: PortState,
    pub(super) why: String,
}

/// Opens a port for this process alone.
pub(super) fn open(node: &Node, settings: &Settings) -> Result<TTYPort, PortError> {
    if !is_serial(&settings.roots, &node.path) {
        let why = format!("{} is not a serial port", node.path.display());
        return Err(PortError { state: PortState::Failed, why });
    }
    let who = holders(&settings.roots, &node.path);
    if !who.is_empty() {
        return Err(busy(node, &who));
    }
    let path = node.path.to_string_lossy();
    let opened = serialport::new(path, settings.baud).timeout(WAIT).open_native();
    let port = opened.map_err(|error| refused(&error, node, settings))?;
    // What takes no bytes must not hold the thread that reads.
    let line = crate::sys::port(&port);
    let set = fcntl_getfl(line).and_then(|flags| fcntl_setfl(line, flags | OFlags::NONBLOCK));
    set.map_err(|error| PortError {
        state: PortState::Failed,
        why: format!("cannot open {}: {error}", node.path.display()),
    })?;
    Ok(port)
}

fn busy(node: &Node, who: &[Holder]) -> PortError {
    let shown = node.path.display();
    let why = if who.is_empty() {
        format!("{shown} is in use by another program; `sudo fuser -v {shown}` says by which")
    } else {
        format!("{shown} is in use by {}", listed(who))
    };
    PortError { state: PortState::Busy, why }
}

/// What an error means, and what to do about it.
pub(super) fn refused(error: &serialport::Error, node: &Node, settings: &Settings) -> PortError {
    let shown = node.path.display();
    let described = error.description.to_lowercase();
    let (state, why) = match error.kind() {
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            let advice = not_permitted(&settings.roots, &node.path, node.usb.as_ref());
            let why = format!("not permitted to open {shown}, which is {}'s: {advice}", advice.owner);
            (PortState::NotPermitted, why)
        }
        // Its mode would be another error.
        _ if described.contains("operation not permitted") => {
            let why = format!(
                "not permitted to open {shown}, whatever its mode: a container must be given it (--device {shown}), a \
                 systemd unit needs a DeviceAllow= that fits it"
            );
            (PortState::NotPermitted, why)
        }
        // The library says so of a device that is busy, and of a lock that another program has.
        ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::ResourceBusy)
            if !described.contains("no such device") =>
        {
            return busy(node, &holders(&settings.roots, &node.path));
        }
        ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::NotFound) => {
            (PortState::Absent, format!("{shown} is not there; is the device plugged in?"))
        }
        _ if described.contains("no such device") => {
            (PortState::Absent, format!("{shown} has no device behind it; is it plugged in?"))
        }
        _ if described.contains("not a typewriter") || described.contains("inappropriate ioctl") => {
            (PortState::Failed, format!("{shown} is not a serial port"))
        }
        _ => {
            let baud = settings.baud;
            (PortState::Failed, format!("cannot open {shown} with {baud} bits a second: {error}"))
        }
    };
    PortError { state, why }
}
