//! The agent's side of a conversation with a device that must be talked to.
//!
//! A state machine without I/O and without a clock, as in quinn-proto and str0m: time comes in as a number, bytes go
//! out into a buffer. The order of calls:
//!
//! 1. When the port is open: [`stop_stream`](Dialogue::stop_stream), then the pieces of the
//!    [`handshake`](Dialogue::handshake) with a [`pause`](Dialogue::pause) between them. After a moment's absence
//!    [`resume`](Dialogue::resume) comes before that.
//! 2. After each read, and at least each [`TICK`] when nothing comes: [`poll_transmit`](Dialogue::poll_transmit), and then
//!    [`notice`](Dialogue::notice).
//! 3. If the device falls silent, the handshake once more, and before it [`restarted`](Dialogue::restarted).
//! 4. Before the port is closed: [`close`](Dialogue::close).
//!
//! Who only listens, such as a replay or a tap, calls none of it.

use std::time::Duration;

/// The longest time between two calls of [`Dialogue::poll_transmit`].
pub const TICK: Duration = Duration::from_millis(200);

/// What is said to a device, and what it makes known beside its data.
pub trait Dialogue {
    /// What must be sent before the other side starts talking, in pieces with a pause between them.
    fn handshake(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// How long a device needs from one piece of its handshake to the next.
    fn pause(&self) -> Duration {
        Duration::from_millis(150)
    }

    /// Appends what must be sent now. `now` is the time since some moment, by a clock that only continues.
    fn poll_transmit(&mut self, _now: Duration, _out: &mut Vec<u8>) {}

    /// The stream ran a moment ago, and continues: nothing is done before it that holds it up.
    fn resume(&mut self) {}

    /// The other side fell silent and gets its handshake once more. It may start again with that, or continue where
    /// it was: what comes shows it.
    fn restarted(&mut self) {}

    /// What a person should know of what was asked for, once.
    fn notice(&mut self) -> Option<String> {
        None
    }

    /// What the device says in place of samples, if it says something and sends none.
    fn silence_reason(&self) -> Option<&str> {
        None
    }

    /// What it seems to be, and what to write, if it is another device whose frames are the same.
    fn wrong_device(&self) -> Option<&str> {
        None
    }

    /// What stops a stream that was left running.
    fn stop_stream(&self) -> &'static [u8] {
        b""
    }

    /// Appends what must be sent before the connection is closed.
    fn close(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.stop_stream());
    }
}

/// When a dialogue is continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The time since some moment, by a clock that only continues.
    pub now: Duration,
    /// For how long nothing has come.
    pub silence: Duration,
}

/// How long something has been waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience(Option<Duration>);

impl Patience {
    /// Begins to wait with the next look.
    pub(super) fn begin(&mut self) {
        self.0 = None;
    }

    /// How long it has been by `now`.
    pub(super) fn by(&mut self, now: Duration) -> Duration {
        now.saturating_sub(*self.0.get_or_insert(now))
    }
}
