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

/// A clock that went more milliseconds than the steady one was set, and did not drift.
const SET: i64 = 2_000;

/// Notices when the wall clock is set. Who holds times by it moves them along, so that what waits waits neither longer nor shorter.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetClock(Option<(i64, u64)>);

impl SetClock {
    /// By how many milliseconds the wall clock was set since it was last asked. It reads `wall` now, in milliseconds, and the steady
    /// clock `steady`, in nanoseconds.
    pub fn jump(&mut self, wall: i64, steady: u64) -> Option<i64> {
        let (before, then) = self.0.replace((wall, steady))?;
        let went = i64::try_from(steady.saturating_sub(then) / 1_000_000).unwrap_or(i64::MAX);
        let jump = wall.saturating_sub(before).saturating_sub(went);
        (jump.saturating_abs() > SET).then_some(jump)
    }
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

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_goes() {
        let mut clock = SetClock::default();
        let seconds = |count: u64| count * 1_000_000_000;
        assert_eq!(clock.jump(1_000, seconds(1)), None);
        assert_eq!(clock.jump(61_000, seconds(61)), None);
        assert_eq!(clock.jump(63_000, seconds(61)), None, "drift");
        assert_eq!(clock.jump(3_664_000, seconds(62)), Some(3_600_000));
        assert_eq!(clock.jump(65_000, seconds(63)), Some(-3_600_000));
        assert_eq!(clock.jump(66_000, seconds(64)), None);
    }
}
