//! The few system calls that no safe crate offers. Linux alone; the only file with `unsafe`.

#![expect(unsafe_code, reason = "a few system calls, and the file descriptors that systemd hands over")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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

/// The sockets that systemd opened for this process, with their names.
///
/// Reads `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` as sd_listen_fds(3) describes. Gives the
/// sockets once: a second call finds none, so that no descriptor has two owners.
#[must_use]
pub fn activated_sockets() -> Vec<(String, OwnedFd)> {
    static TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id())
        || TAKEN.swap(true, std::sync::atomic::Ordering::SeqCst)
    {
        return Vec::new();
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let first = 3;
    let count = i32::try_from(number("LISTEN_FDS").unwrap_or(0)).unwrap_or(0).min(1024);
    let mut sockets = Vec::new();
    for fd in first..first + count {
        let name = names.next().filter(|n| !n.is_empty()).unwrap_or("unknown").to_owned();
        // SAFETY: systemd passed this descriptor to this process and nobody else owns it: it is
        // taken here once, guarded by TAKEN.
        let open = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == 0;
        if open {
            // SAFETY: as above, and fcntl has just found it open.
            sockets.push((name, unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    sockets
}

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
}
