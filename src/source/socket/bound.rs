//! A socket that listens: opened, or taken over from the process that opened it, and its file in the file system.
//!
//! It is not read here.

use std::any::Any;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::shares::Shares;
use crate::event::Timestamp;
use crate::file::make_folders;
use crate::listen::Listen;

/// Seconds between two such words.
const QUIET: u32 = 10;

/// How sockets are opened and how many may speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Receive buffer to ask for, bytes.
    pub receive_buffer: usize,
    /// Permission bits of a Unix socket's file.
    pub mode: u32,
    /// Group of a Unix socket's file.
    pub group: Option<String>,
    /// Connections open at once.
    pub connections: usize,
    /// How often the kernel is asked what it dropped.
    pub ask: Duration,
}

/// A bound socket. A Unix socket's file is removed when it is dropped.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: Opened,
    /// As it was opened.
    pub(super) options: Options,
    /// Drops that were reported already, so that a socket which outlives its reader does not
    /// report them twice.
    pub(super) reported: AtomicU64,
    file: Option<PathBuf>,
    /// Where it listens, as configured.
    pub(super) listen: String,
    pub(super) shares: Arc<Shares>,
    /// When the log last mentioned clients that there was no room for, in seconds.
    said: AtomicU32,
    /// Held by the reader of datagrams: a socket is watched once, so the next reader waits for the last.
    pub(super) reader: tokio::sync::Mutex<()>,
    /// What its reader knows of its senders, for the next reader.
    pub(super) known: Mutex<Option<Arc<dyn Any + Send + Sync>>>,
}

#[derive(Debug)]
pub(super) enum Opened {
    Datagrams(Socket),
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Another process may have removed it; nothing to do.
            drop(std::fs::remove_file(file));
        }
    }
}

impl Bound {
    /// How it was opened. A reload shares an open socket and cannot change this.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether it is time to tell the log once more of clients that there is no room for.
    pub(super) fn may_say(&self, at: Timestamp) -> bool {
        let (second, said) = (at.steady_second(), self.said.load(Ordering::Relaxed));
        let due = second.abs_diff(said) >= QUIET;
        if due {
            self.said.store(second, Ordering::Relaxed);
        }
        due
    }

    /// Whether clients connect to it, rather than send datagrams.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.socket, Opened::Tcp(_) | Opened::Unix(_))
    }
}

/// Opens a socket. `activated` are those that systemd opened; the one named is taken out.
///
/// Must be called within the runtime.
///
/// # Errors
/// What could not be done; the address is not in the text.
pub fn bind(listen: &Listen, options: &Options, activated: &mut Vec<(String, OwnedFd)>) -> io::Result<Bound> {
    let mut file = None;
    let opened = match listen {
        Listen::Udp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::DGRAM, None)?;
            socket.bind(&(*address).into())?;
            Opened::Datagrams(nonblocking(socket)?)
        }
        Listen::Tcp(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            // A restart must not wait for connections that linger; it still refuses a taken port.
            socket.set_reuse_address(true)?;
            socket.bind(&(*address).into())?;
            socket.listen(1024)?;
            Opened::Tcp(TcpListener::from_std(nonblocking(socket)?.into())?)
        }
        Listen::Unix(path) => {
            remove_stale(path, Type::STREAM)?;
            let listener = UnixListener::bind(path)?;
            file = Some(path.clone());
            set_access(path, options)?;
            Opened::Unix(listener)
        }
        Listen::UnixDatagram(path) => {
            remove_stale(path, Type::DGRAM)?;
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            file = Some(path.clone());
            set_access(path, options)?;
            Opened::Datagrams(nonblocking(socket)?)
        }
        Listen::Systemd(name) => {
            let place = activated.iter().position(|(n, _)| n == name);
            let Some(place) = place else {
                let known: Vec<&str> = activated.iter().map(|(n, _)| n.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(io::Error::other(format!(
                    "systemd passed no socket of this name (it passed: {known})"
                )));
            };
            adopt(activated.swap_remove(place).1)?
        }
    };
    if let Opened::Datagrams(socket) = &opened {
        socket.set_recv_buffer_size(options.receive_buffer)?;
    }
    Ok(Bound {
        socket: opened,
        options: options.clone(),
        reported: AtomicU64::new(0),
        file,
        listen: listen.to_string(),
        shares: Arc::default(),
        said: AtomicU32::new(0),
        reader: tokio::sync::Mutex::new(()),
        known: Mutex::default(),
    })
}

pub(super) fn nonblocking(socket: Socket) -> io::Result<Socket> {
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes a socket that another process opened, of any kind.
fn adopt(fd: OwnedFd) -> io::Result<Opened> {
    let socket = nonblocking(Socket::from(fd))?;
    let unix = socket.local_addr()?.is_unix();
    Ok(match (socket.r#type()?, unix) {
        (Type::DGRAM, _) => Opened::Datagrams(socket),
        (_, true) => Opened::Unix(UnixListener::from_std(OwnedFd::from(socket).into())?),
        (_, false) => Opened::Tcp(TcpListener::from_std(socket.into())?),
    })
}

/// Removes the socket file that a crash left behind: only if it is a socket and nobody answers.
fn remove_stale(path: &Path, kind: Type) -> io::Result<()> {
    let Ok(there) = std::fs::symlink_metadata(path) else {
        return match path.parent() {
            Some(_) => make_folders(path),
            _ => Ok(()),
        };
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket has this path",
        ));
    }
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(e) if e.raw_os_error() == Some(libc::EPROTOTYPE) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "a socket of another kind is in use under this path",
        )),
        Err(e) => Err(e),
        Ok(()) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
    }
}

/// Sets who may write to a Unix socket.
fn set_access(path: &Path, options: &Options) -> io::Result<()> {
    if let Some(name) = &options.group {
        let group = group_id(name).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no group \"{name}\""))
        })?;
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(options.mode))
}

/// The number of a group, by its name or number, from `/etc/group`.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    name.parse().ok().or_else(|| {
        groups
            .lines()
            .map(|l| l.split(':'))
            .find_map(|mut l| if l.next()? == name { l.nth(1)?.parse().ok() } else { None })
    })
}
