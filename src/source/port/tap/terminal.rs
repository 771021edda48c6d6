//! The pseudo-terminal that a program opens in place of the port, and the link that leads to it.
//!
//! It passes bytes as they are from the first one on, because it is raw before a program can open it. Who may open
//! the port may open it: mode and group are the port's. It keeps nothing from one program for the next. The agent
//! itself has the program's side open for an instant at most, so that the kernel can tell whether a program has.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Gid, Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{self, OptionalActions, QueueSelector, SpecialCodeIndex};

use crate::file::{lead, make_folders};
use crate::source::port::usb::{Roots, user};

/// Where the kernel puts terminals.
const TERMINALS: &[u8] = b"/dev/pts/";
/// The same place as the agent writes it, so that it knows its own links from those of others.
const OURS: &[u8] = b"/dev/./pts/";

/// An offered terminal. What has it open is hung up, and the link removed, when it is dropped.
#[derive(Debug)]
pub(super) struct Terminal {
    /// The agent's side; never blocks.
    master: OwnedFd,
    /// Where the link leads.
    place: PathBuf,
    link: PathBuf,
    /// Bits in a second that a program finds set.
    speed: u32,
    mode: Mode,
    group: Gid,
}

impl Terminal {
    /// Offers a terminal for `port` behind `link`.
    pub(super) fn offer(link: &Path, port: BorrowedFd<'_>, speed: u32) -> Result<Self, String> {
        let cannot = |what: &str, e: io::Error| format!("cannot {what} for the tap {}: {e}", link.display());
        let of_port = rustix::fs::fstat(port).map_err(|e| cannot("query who may open the port", e.into()))?;
        let mode = Mode::from_raw_mode(of_port.st_mode) & Mode::from_raw_mode(0o666);
        let group = Gid::from_raw(of_port.st_gid);
        let (master, place) =
            make(speed, mode, group).map_err(|e| cannot("open a pseudo-terminal", e.into()))?;
        let offered = Self { master, place, link: link.to_owned(), speed, mode, group };
        replaceable(link)?;
        let made = make_folders(link).and_then(|()| lead(link, &offered.place));
        made.map_err(|e| format!("{}{}", cannot("make the link", e), way_out(link)))?;
        Ok(offered)
    }

    /// Where programs find it.
    pub(super) fn link(&self) -> &Path {
        &self.link
    }

    /// Whether nobody has it open.
    pub(super) fn is_alone(&self) -> bool {
        let mut ask = [PollFd::new(&self.master, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut ask, Some(&now)).is_ok() && ask.iter().any(|fd| fd.revents().contains(PollFlags::HUP))
    }

    /// Bits in a second that the program set.
    pub(super) fn speed(&self) -> Option<u32> {
        termios::tcgetattr(&self.master).ok().map(|settings| settings.output_speed())
    }

    /// Bytes that the program has not yet read, less what the kernel is moving; `None` if that cannot be known.
    pub(super) fn unread(&self) -> Option<u64> {
        rustix::io::ioctl_fionread(open_other_side(&self.master).ok()?).ok()
    }

    /// Makes it as new, after the last program left: no bytes, no settings, no exclusive use. False if that
    /// must be tried again.
    pub(super) fn sweep(&mut self) -> bool {
        match open_other_side(&self.master) {
            Ok(side) => {
                // Each alone is better than none.
                let _ = termios::ioctl_tiocnxcl(&side);
                let _ = termios::tcflush(&side, QueueSelector::IFlush);
                make_raw(side.as_fd(), self.speed).is_ok()
            }
            // Another program was faster.
            Err(_) if !self.is_alone() => true,
            // A program that ended without giving up its exclusive use has closed the terminal to all but root.
            Err(_) => self.replace().is_ok(),
        }
    }

    fn replace(&mut self) -> io::Result<()> {
        let (master, place) = make(self.speed, self.mode, self.group)?;
        lead(&self.link, &place)?;
        (self.master, self.place) = (master, place);
        Ok(())
    }

    /// Takes the link away, so that nobody comes any more.
    pub(super) fn withdraw(&self) {
        if fs::read_link(&self.link).is_ok_and(|place| place.as_os_str() == self.place.as_os_str()) {
            let _ = fs::remove_file(&self.link);
        }
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.withdraw();
    }
}

fn open_other_side(master: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    rustix::pty::ioctl_tiocgptpeer(master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
}

/// A terminal that is raw, and that the kernel knows to be open on one side alone.
fn make(speed: u32, mode: Mode, group: Gid) -> rustix::io::Result<(OwnedFd, PathBuf)> {
    use rustix::fs::{fchmod, fchown, fcntl_getfl, fcntl_setfl};
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?.into_bytes();
    let number = name.strip_prefix(TERMINALS).unwrap_or_default();
    let place = [if number.is_empty() { &name } else { OURS }, number].concat();
    let side = open_other_side(&master)?;
    make_raw(side.as_fd(), speed)?;
    // To give it to a group one must be in it. If not, the user of the agent alone can open it, as with any file.
    if fchown(&side, None, Some(group)).is_ok() {
        fchmod(&side, mode)?;
    }
    Ok((master, PathBuf::from(OsString::from_vec(place))))
}

/// Sets everything that a program finds: bytes pass as they are, at the port's speed.
fn make_raw(side: BorrowedFd<'_>, speed: u32) -> rustix::io::Result<()> {
    let mut settings = termios::tcgetattr(side)?;
    settings.make_raw();
    for (code, value) in [(SpecialCodeIndex::VMIN, 1), (SpecialCodeIndex::VTIME, 0)] {
        settings.special_codes[code] = value;
    }
    settings.set_speed(speed)?;
    termios::tcsetattr(side, OptionalActions::Now, &settings)
}

/// What to do where a link cannot be made, as the end of a sentence.
fn way_out(link: &Path) -> String {
    let folder = link.parent().unwrap_or(link);
    let (shown, user) = (folder.display(), user(&Roots::default()));
    // Of a folder that is there the command would change the owner.
    if folder.exists() {
        format!("; let {user} write in {shown}, or set tap to a link in another folder")
    } else {
        format!(
            "; make its folder with `sudo install -d -o {user} {shown}`, or set tap to a link in another folder"
        )
    }
}

/// Fails if something is there that is not a link of ours, nor one that leads to no terminal any more.
pub(crate) fn replaceable(link: &Path) -> Result<(), String> {
    let shown = link.display();
    match fs::symlink_metadata(link) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(format!("cannot look at the tap {shown}: {e}")),
        Ok(there) if !there.is_symlink() => {
            Err(format!("{shown} is there and is no link; the tap does not replace it"))
        }
        Ok(_) => {
            let place = fs::read_link(link).map_err(|e| format!("cannot read the link {shown}: {e}"))?;
            let bytes = place.as_os_str().as_bytes();
            if bytes.starts_with(OURS) || (bytes.starts_with(TERMINALS) && !place.exists()) {
                return Ok(());
            }
            Err(format!(
                "{shown} leads to {}, and is not the agent's; the tap does not replace it",
                place.display()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};

    use super::*;

    fn port() -> OwnedFd {
        let (master, _) = make(9600, Mode::from_raw_mode(0o620), Gid::from_raw(gid())).unwrap();
        master
    }

    fn gid() -> u32 {
        fs::metadata("/proc/self").unwrap().gid()
    }

    fn open(path: &Path) -> io::Result<fs::File> {
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
    }

    #[test]
    fn it_is_open_to_whom_the_port_is_and_raw() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("cyton");
        let port = port();
        rustix::fs::fchmod(&port, Mode::from_raw_mode(0o664)).unwrap();
        let terminal = Terminal::offer(&link, port.as_fd(), 921_600).unwrap();
        assert!(terminal.is_alone());
        assert_eq!(fs::metadata(&link).unwrap().mode() & 0o777, 0o664);
        let program = open(&link).unwrap();
        assert!(!terminal.is_alone());
        assert_eq!(terminal.speed(), Some(921_600));
        let settings = termios::tcgetattr(&program).unwrap();
        assert!(!settings.local_modes.intersects(termios::LocalModes::ECHO | termios::LocalModes::ICANON));
        drop(program);
        assert!(terminal.is_alone());
        drop(terminal);
        assert!(fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn nothing_is_left_of_a_program_that_left() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("cyton");
        let port = port();
        let mut terminal = Terminal::offer(&link, port.as_fd(), 115_200).unwrap();
        let program = open(&link).unwrap();
        rustix::io::write(&terminal, b"old").unwrap();
        // The kernel hands bytes over in its own time; an echo of them is not what is tested.
        while terminal.unread() != Some(3) {
            std::thread::yield_now();
        }
        let mut settings = termios::tcgetattr(&program).unwrap();
        settings.local_modes |= termios::LocalModes::ECHO | termios::LocalModes::ICANON;
        settings.set_speed(9600).unwrap();
        termios::tcsetattr(&program, OptionalActions::Now, &settings).unwrap();
        termios::ioctl_tiocexcl(&program).unwrap();
        (&program).write_all(b"last words").unwrap();
        drop(program);
        assert!(terminal.is_alone() && terminal.sweep() && terminal.is_alone());
        assert_eq!(terminal.speed(), Some(115_200));
        let mut program = open(&link).unwrap();
        assert_eq!(program.read(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        rustix::io::write(&terminal, b"new").unwrap();
        let mut read = Vec::new();
        while read.len() < 3 {
            let mut some = [0; 10];
            let n = program.read(&mut some).unwrap_or(0);
            read.extend_from_slice(&some[..n]);
        }
        assert_eq!(read, b"new");
        // What the program wrote last is for the device.
        let mut words = [0; 32];
        assert_eq!(rustix::io::read(&terminal, &mut words), Ok(10));
    }

    #[test]
    fn only_links_of_our_own_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("cyton");
        let port = port();
        let offer = || Terminal::offer(&link, port.as_fd(), 115_200);
        fs::write(&link, "mine").unwrap();
        assert!(offer().unwrap_err().contains("is no link"));
        assert_eq!(fs::read_to_string(&link).unwrap(), "mine");
        fs::remove_file(&link).unwrap();
        let other = make(9600, Mode::from_raw_mode(0o600), Gid::from_raw(gid())).unwrap();
        let foreign = fs::canonicalize(&other.1).unwrap();
        for target in [Path::new("/dev/null"), &foreign, Path::new("/dev/pts/../null")] {
            symlink(target, &link).unwrap();
            assert!(offer().unwrap_err().contains("not the agent's"), "{}", target.display());
            assert_eq!(fs::read_link(&link).unwrap(), target);
            fs::remove_file(&link).unwrap();
        }
        // Left by an agent that was killed; the number of its terminal is another program's now.
        for stale in [other.1.as_path(), Path::new("/dev/pts/4000000")] {
            symlink(stale, &link).unwrap();
            let terminal = offer().unwrap();
            assert!(open(&link).is_ok());
            // Another program put a link there: it is not ours to remove.
            fs::remove_file(&link).unwrap();
            symlink("/dev/null", &link).unwrap();
            drop(terminal);
            fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn the_folder_of_a_link_is_made_or_how_to_make_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let port = port();
        let offer = |link: &Path| Terminal::offer(link, port.as_fd(), 115_200);
        let link = folder.path().join("new/run/cyton");
        let terminal = offer(&link).unwrap();
        assert!(open(&link).is_ok());
        assert_eq!(fs::metadata(link.parent().unwrap()).unwrap().mode() & 0o777, 0o755);
        drop(terminal);
        // Nobody makes folders there, root neither.
        let why = offer(Path::new("/proc/none/cyton")).unwrap_err();
        assert!(why.contains("cannot make the link for the tap /proc/none/cyton: "), "{why}");
        assert!(why.contains("`sudo install -d -o ") && why.contains(" /proc/none`"), "{why}");
        let why = offer(Path::new("/proc/cyton")).unwrap_err();
        assert!(!why.contains("sudo") && why.contains(" write in /proc, or"), "{why}");
    }
}
