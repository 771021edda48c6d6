//! The time, which everything below this floor takes as data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::event::Timestamp;

/// The time by both clocks. Nothing below this floor asks for it.
///
/// The steady clock is the one that continues while the machine sleeps (`CLOCK_BOOTTIME`): a device continues then as
/// well, and what it sent meanwhile is as lost, and what is known of it as old, as if the machine had been awake.
/// Tokio's timers stand still meanwhile, which only puts off the next look.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let steady = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let steady = Duration::try_from(steady).unwrap_or_default();
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Timestamp { steady: nanos(steady), wall: nanos(wall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_is_not_the_wall_clock() {
        let before = now();
        std::thread::sleep(Duration::from_millis(5));
        let after = now();
        assert!((5_000_000..5_000_000_000).contains(&(after.steady - before.steady)), "{before:?} {after:?}");
        // That of a machine that has run since 1970.
        assert!(after.steady < after.wall / 2, "{after:?}");
    }
}
