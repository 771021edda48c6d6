//! What the thread that passes bytes writes down, and the thread that reads along reports: numbers alone,
//! that neither has to wait for.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::ring::{Consumer, Producer, Ring};

/// Delays that can wait to be reported; what is beyond is not measured.
pub(super) const DELAYS: usize = 8192;

/// Where the bytes of a tap are, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Whether a program has the terminal open.
    pub(super) reader: AtomicBool,
    /// How often one opened it.
    pub(super) opens: AtomicU64,
    /// Towards the program.
    pub(super) to_program: Way,
    /// Towards the device.
    pub(super) to_device: Way,
    /// Bytes whose copy had no room.
    pub(super) unseen: AtomicU64,
    /// Bits in a second that the program set; 0 if there is none.
    pub(super) speed: AtomicU32,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Bytes that were passed.
    pub(super) passed: AtomicU64,
    /// Bytes that had to be dropped.
    pub(super) dropped: AtomicU64,
    /// Bytes that wait.
    pub(super) waiting: AtomicU64,
}

/// Adds to a number that one thread alone moves.
pub(super) fn add(to: &AtomicU64, by: usize) {
    to.fetch_add(by as u64, Ordering::Relaxed);
}

/// Reads a number.
pub(super) fn read(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

/// The ring for delays.
pub(super) fn delays() -> Ring {
    Ring::new(DELAYS * 8)
}

/// Writes a delay down, nanoseconds.
pub(super) fn delayed(delays: &mut Producer<'_>, nanoseconds: u64) {
    // What has no room is not measured: nothing waits for it.
    let _ = delays.give([&nanoseconds.to_le_bytes(), b""]);
}

/// Fills `seconds` with the delays that were written down since the last call.
pub(super) fn read_delays(delays: &mut Consumer<'_>, seconds: &mut Vec<f64>) {
    seconds.clear();
    let mut bytes = [0; 8];
    while seconds.len() < DELAYS && delays.take(&mut bytes) {
        seconds.push(u64::from_le_bytes(bytes) as f64 / 1e9);
    }
}
