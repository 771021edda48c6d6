//! Times by the clocks of senders: nanoseconds since 1970, and whatever else a wrong clock makes of them.

/// The last time that is one: the beginning of the year 2200. What is later is no clock that was set wrong, but no clock.
const LAST: u64 = 7_258_118_400_000_000_000;

/// Whether a clock may have read so. One that begins in 1970 with each start is one.
pub(super) fn is_time(nanos: u64) -> bool {
    nanos < LAST
}

/// The newest time of what a service sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest(u64);

impl Newest {
    pub(super) fn see(&mut self, nanos: u64) {
        if is_time(nanos) {
            self.0 = self.0.max(nanos);
        }
    }

    /// In seconds, if there was any.
    pub(super) fn seconds(self) -> Option<f64> {
        (self.0 > 0).then(|| self.0 as f64 / 1e9)
    }
}
