//! The few system calls that no safe crate offers. Linux alone; the only file with `unsafe`.

#![expect(unsafe_code, reason = "a few system calls, and the file descriptors that systemd hands over")]

pub mod file;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit};

/// Whether something keeps the kernel's clock synchronised with others (NTP), and that clock reads `wall`, ms since 1970, give or take a
/// day: a program may be shown another one.
#[must_use]
pub fn is_clock_synchronised(wall: i64) -> bool {
    // SAFETY: all bytes zero are a `timex` that asks and sets nothing; the kernel writes into it and keeps no pointer.
    let (state, of) = unsafe {
        let mut of: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut of), of)
    };
    let known = u64::try_from(of.time.tv_sec).map_or(0, u64::cast_signed).saturating_mul(1_000);
    // TIME_ERROR is 5: not synchronised.
    let synchronised = (0..5).contains(&state) && of.status & libc::STA_UNSYNC == 0;
    synchronised && wall.saturating_sub(known).saturating_abs() < 86_400_000
}

/// What the kernel accounts for a socket (`SO_MEMINFO`, linux/sock_diag.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Bytes of memory that waiting datagrams hold.
    pub queued: u32,
    /// Receive buffer in the kernel's accounting.
    pub receive_buffer: u32,
    /// Datagrams dropped since the socket was opened, modulo 2^32.
    pub drops: u32,
}

/// Asks the kernel about a socket's memory.
///
/// # Errors
/// What the kernel says; kernels before 4.12 do not know the option.
pub fn memory_info(socket: BorrowedFd<'_>) -> io::Result<MemoryInfo> {
    // SK_MEMINFO_RMEM_ALLOC, _RCVBUF and _DROPS are the words 0, 1 and 8 of 9.
    let mut words = [0_u32; 9];
    let mut length = libc::socklen_t::try_from(size_of_val(&words)).unwrap_or(0);
    // SAFETY: `words` is writable for `length` bytes, and the kernel writes at most that many.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            words.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(MemoryInfo { queued: words[0], receive_buffer: words[1], drops: words[8] })
}

/// Bytes that the allocator has handed out and that were not freed. Nothing where it is not that of glibc.
#[must_use]
pub fn memory_in_use() -> Option<usize> {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it only counts. Its numbers have 32 bits; `mallinfo2` is not in every glibc that we run on.
        let counted = unsafe { libc::mallinfo() };
        Some(counted.uordblks.cast_unsigned() as usize + counted.hblkhd.cast_unsigned() as usize)
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

/// Whether a time service keeps this machine's clock, as the kernel has it. Nothing where it does not say.
#[must_use]
pub fn clock_is_synchronized() -> Option<bool> {
    // SAFETY: all zeros is a valid value, with which nothing is set and the state of the clock is read.
    let (state, clock) = unsafe {
        let mut clock: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut clock), clock)
    };
    (state >= 0).then_some(state != libc::TIME_ERROR && clock.status & libc::STA_UNSYNC == 0)
}

/// Has the allocator of glibc give large pieces back to the system as soon as they are freed. Left to itself it raises
/// its thresholds to the largest piece that was ever freed, here the text of a scrape, and what its other arenas have
/// at their ends then stays for ever: `malloc_trim` does not reach it. Called once, before there are threads.
pub fn bound_memory_kept() {
    #[cfg(target_env = "gnu")]
    {
        /// Larger pieces are mapped by themselves, and arenas keep no more than this at their ends, bytes.
        const KEPT: libc::c_int = 256 << 10;
        /// Arenas. More than processors that work at a time only spread what is free.
        const ARENAS: libc::c_int = 2;
        for (what, value) in
            [(libc::M_MMAP_THRESHOLD, KEPT), (libc::M_TRIM_THRESHOLD, KEPT), (libc::M_ARENA_MAX, ARENAS)]
        {
            // SAFETY: it sets a number of the allocator, which may refuse it; nothing depends on it.
            unsafe { libc::mallopt(what, value) };
        }
    }
}

/// Gives memory that was freed back to the system: the allocator of glibc keeps what lies among pieces that are still
/// used. Takes milliseconds, in which others may wait for memory.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time by any thread, and touches free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The descriptor of an open port, for the calls that its crate does not offer.
#[must_use]
pub fn port(port: &serialport::TTYPort) -> BorrowedFd<'_> {
    // SAFETY: the port owns the descriptor, keeps it open, and is borrowed for as long as what is given is used.
    unsafe { BorrowedFd::borrow_raw(port.as_raw_fd()) }
}

/// Errors that the driver of a serial line counted since it was loaded (`TIOCGICOUNT`, linux/serial.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Stop bits that were not one.
    pub frame: u32,
    /// Bytes that the chip had no place for.
    pub overrun: u32,
    /// Wrong parity.
    pub parity: u32,
    /// Breaks.
    pub breaks: u32,
    /// Bytes that the kernel had no place for.
    pub buffer_overrun: u32,
}

/// Asks the driver of an open serial line what it counted.
///
/// # Errors
/// The driver does not count, as that of pseudo-terminals.
pub fn line_counts(line: &impl AsRawFd) -> io::Result<LineCounts> {
    // struct serial_icounter_struct: cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, buf_overrun, and
    // nine words for later.
    let mut words = [0_u32; 20];
    // SAFETY: `words` is as large as the structure that the kernel fills, and all of its bits are numbers.
    let done = unsafe { libc::ioctl(line.as_raw_fd(), libc::TIOCGICOUNT, words.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let [_, _, _, _, _, _, frame, overrun, parity, breaks, buffer_overrun, ..] = words;
    Ok(LineCounts { frame, overrun, parity, breaks, buffer_overrun })
}

/// Lets a command adopt what its descendants leave behind when they end, so that all of them stay its descendants
/// (`PR_SET_CHILD_SUBREAPER`, prctl(2)). Its process writes its id, four bytes of the machine's order, to `born`
/// before it becomes the command.
pub fn adopt_orphans(command: &mut std::process::Command, born: io::PipeWriter) {
    use std::os::unix::process::CommandExt;
    let adopt = move || {
        let own = rustix::process::getpid();
        // Without a reader nobody wants to know.
        let _ = rustix::io::write(&born, &own.as_raw_pid().to_ne_bytes());
        // A kernel that does not know it lets them go to init, where they are found by their mark.
        let _ = rustix::process::set_child_subreaper(Some(own));
        Ok(())
    };
    // SAFETY: between fork and exec it makes three system calls and touches no memory but its own stack.
    unsafe { command.pre_exec(adopt) };
}

/// The sockets that systemd opened for this process, and which of those that it should have passed are none.
#[derive(Debug, Default)]
pub struct Activated {
    /// With their names.
    pub sockets: Vec<(String, OwnedFd)>,
    /// Descriptors that are said to be passed and are not open, or not sockets that listen. They are left alone.
    pub foreign: Vec<i32>,
}

static ACTIVATED: Mutex<Option<Activated>> = Mutex::new(None);

/// Takes the sockets that systemd opened for this process, as `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` say
/// (sd_listen_fds(3)). Must be called before anything else is opened: where `LISTEN_FDS` says too much, a descriptor of
/// our own would be taken for one of them.
pub fn take_activated() {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) || TAKEN.swap(true, Ordering::SeqCst) {
        return;
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let first = 3;
    let count = i32::try_from(number("LISTEN_FDS").unwrap_or(0)).unwrap_or(0).min(1024);
    let mut activated = Activated::default();
    for fd in first..first + count {
        let name = names.next().filter(|n| !n.is_empty()).unwrap_or("unknown").to_owned();
        if hears(fd) {
            // SAFETY: systemd passed this descriptor to this process, which has opened nothing itself yet, so nobody
            // else owns it; it is open, and taken here once, guarded by TAKEN.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            let _ = rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC);
            activated.sockets.push((name, socket));
        } else {
            activated.foreign.push(fd);
        }
    }
    *ACTIVATED.lock() = Some(activated);
}

/// What was taken. Gives it once, so that no descriptor has two owners.
#[must_use]
pub fn activated() -> Activated {
    ACTIVATED.lock().take().unwrap_or_default()
}

/// Whether a descriptor is that of a socket that others can send to: one that listens, or takes datagrams from any
/// sender.
fn hears(fd: i32) -> bool {
    let option = |name| {
        let (mut value, mut length) = (0_i32, libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(0));
        // SAFETY: `value` is writable for `length` bytes; a descriptor that is not open or no socket is an error.
        let done =
            unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut length) };
        (done == 0).then_some(value)
    };
    match option(libc::SO_TYPE) {
        Some(libc::SOCK_DGRAM) => {
            // SAFETY: the option above found it open, and it is borrowed for this one question.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            socket2::SockRef::from(&socket).peer_addr().is_err()
        }
        Some(_) => option(libc::SO_ACCEPTCONN) == Some(1),
        None => false,
    }
}

/// How many files a process may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// Before it was raised: what commands are given, because some look at every descriptor that they may have.
    pub before: u64,
    /// Now.
    pub now: u64,
}

/// Lets this process have as many files open as it may at most. Says what came of it, each time it is called.
#[must_use]
pub fn raise_file_limit() -> FileLimit {
    static LIMIT: OnceLock<FileLimit> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let before = limit.current.unwrap_or(u64::MAX);
        let most = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES).max(before);
        let raised = Rlimit { current: Some(most), maximum: limit.maximum };
        let done = most > before && rustix::process::setrlimit(Resource::Nofile, raised).is_ok();
        FileLimit { before, now: if done { most } else { before } }
    })
}

/// Gives a command the limit of files that this process was given.
pub fn lower_file_limit(command: rustix::process::Pid) {
    let FileLimit { before, now } = raise_file_limit();
    if before < now {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        // It may have ended already.
        let _ = rustix::process::prlimit(
            Some(command),
            Resource::Nofile,
            Rlimit { current: Some(before), maximum },
        );
    }
}

/// Files that are ever needed: where there is no limit, the kernel's own for a process.
const MOST_FILES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_kernel_counts_what_it_drops() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&receiver).set_recv_buffer_size(4096).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], receiver.local_addr().unwrap()).unwrap();
        }
        let info = memory_info(receiver.as_fd()).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let received =
            std::iter::repeat_with(|| receiver.recv(&mut [0; 2000]).is_ok()).take_while(|ok| *ok).count();
        assert_eq!(usize::try_from(info.drops).unwrap() + received, 100);
        assert!(info.drops > 0 && info.queued > 0 && info.receive_buffer > 0);
    }

    #[test]
    fn only_sockets_that_hear_are_taken() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let gram = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(hears(listener.as_raw_fd()) && hears(gram.as_raw_fd()));
        gram.connect("127.0.0.1:9").unwrap();
        let (pair, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for fd in [client.as_raw_fd(), gram.as_raw_fd(), pair.as_raw_fd(), file.as_raw_fd(), 1_000_000, -1] {
            assert!(!hears(fd), "{fd}");
        }
    }
}
