//! The time, which everything below this floor takes as data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::event::{Jump, Timestamp};
use crate::promql::moment_ms;

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
    /// How the wall clock was set since it was last asked. It reads `wall` now, in milliseconds, and the steady
    /// clock `steady`, in nanoseconds.
    pub fn jump(&mut self, wall: i64, steady: u64) -> Option<Jump> {
        let (before, then) = self.0.replace((wall, steady))?;
        let went = i64::try_from(steady.saturating_sub(then) / 1_000_000).unwrap_or(i64::MAX);
        let to = before.saturating_add(went);
        let by = wall.saturating_sub(to);
        let from = to.saturating_sub(i64::try_from(steady / 1_000_000).unwrap_or(i64::MAX));
        (by.saturating_abs() > SET).then_some(Jump { by, from, to })
    }
}

/// A clock that is ahead by more milliseconds than this is not believed where something is removed by its age: 30 days.
const LEAP: i64 = 30 * 86_400_000;
/// A clock that reads less is wrong: 2026-01-01, when this program did not exist.
pub const EARLIEST: i64 = 1_767_225_600_000;

/// Tells whether the wall clock can be believed where something is removed by its age. A clock that is years ahead makes everything old, and
/// what was removed does not come back when it is set right.
///
/// It is believed unless it is more than 30 days ahead of the last time at which it was believed, and of what the steady clock counted
/// since. One that was set back is believed: it makes everything young.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trusted {
    /// When it was last believed, ms since 1970.
    known: Option<i64>,
    /// What the steady clock read then, ns; nothing if that was before a restart.
    steady: Option<u64>,
}

/// Why the wall clock is not believed. Times in ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It reads this, and this program did not exist then.
    Early(i64),
    /// It reads the first, and the second is expected.
    Ahead(i64, i64),
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Early(wall) => write!(f, "the clock reads {}, which is in the past", moment_ms(*wall)),
            Self::Ahead(wall, known) => write!(
                f,
                "the clock reads {}, more than {} days after the last known time, {}",
                moment_ms(*wall),
                LEAP / 86_400_000,
                moment_ms(*known)
            ),
        }
    }
}

impl Trusted {
    /// One that was last believed at `known`, by an agent before this one.
    #[must_use]
    pub fn since(known: Option<i64>) -> Self {
        Self { known, steady: None }
    }

    /// When it was last believed.
    #[must_use]
    pub fn known(&self) -> Option<i64> {
        self.known
    }

    /// Whether the clock can be believed at `at`. One that is `synchronised` with others always is.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&mut self, at: Timestamp, synchronised: bool) -> Result<(), Doubt> {
        let wall = at.wall_milliseconds();
        if wall < EARLIEST {
            return Err(Doubt::Early(wall));
        }
        let went = self.steady.map_or(0, |then| at.steady.saturating_sub(then) / 1_000_000);
        let went = i64::try_from(went).unwrap_or(i64::MAX);
        match self.known.map(|known| known.saturating_add(went)) {
            Some(known) if !synchronised && wall.saturating_sub(known) > LEAP => {
                Err(Doubt::Ahead(wall, known))
            }
            _ => {
                self.believe(at);
                Ok(())
            }
        }
    }

    /// A person says that the clock is right at `at`.
    pub fn believe(&mut self, at: Timestamp) {
        (self.known, self.steady) = (Some(at.wall_milliseconds()), Some(at.steady));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_ahead_is_not_believed_until_it_is_back() {
        const DAY: u64 = 86_400_000_000_000;
        let start = EARLIEST.unsigned_abs() * 1_000_000;
        let at = |wall: u64, steady: u64| Timestamp { wall: start + wall * DAY, steady: steady * DAY };
        let ahead = |told: Result<(), Doubt>| matches!(told, Err(Doubt::Ahead(..)));
        let mut clock = Trusted::default();
        // Nothing is known yet, but that it cannot be 1970.
        assert!(matches!(clock.judge(Timestamp { wall: 5, steady: 0 }, false), Err(Doubt::Early(0))));
        assert!(clock.judge(at(100, 1), false).is_ok());
        // It ran for two months, and leaps.
        assert!(clock.judge(at(160, 61), false).is_ok());
        assert!(clock.judge(at(190, 61), false).is_ok(), "30 days");
        assert!(ahead(clock.judge(at(600, 62), false)) && ahead(clock.judge(at(610, 72), false)));
        assert_eq!(clock.known(), Some(EARLIEST + 190 * 86_400_000));
        // Set right again.
        assert!(clock.judge(at(161, 73), false).is_ok());
        // After a restart the steady clock says nothing: the machine was off for a week, for a year.
        let known = clock.known();
        assert!(Trusted::since(known).judge(at(168, 0), false).is_ok());
        assert!(ahead(Trusted::since(known).judge(at(526, 0), false)));
        assert!(Trusted::since(known).judge(at(526, 0), true).is_ok(), "others say so");
        let mut clock = Trusted::since(known);
        clock.believe(at(526, 0));
        assert!(clock.judge(at(527, 1), false).is_ok(), "a person says so");
    }

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
        let jump = clock.jump(3_664_000, seconds(62)).unwrap();
        assert_eq!((jump.by, jump.from, jump.to), (3_600_000, 2_000, 64_000));
        assert_eq!(clock.jump(65_000, seconds(63)).unwrap().by, -3_600_000);
        assert_eq!(clock.jump(66_000, seconds(64)), None);
    }

    #[test]
    fn what_was_known_before_the_boot_stays_where_it_was() {
        // Booted in 1970; after a minute the time is known.
        let (mut clock, now) = (SetClock::default(), 1_796_000_000_000);
        assert_eq!(clock.jump(60_000, 60_000_000_000), None);
        let jump = clock.jump(now, 61_000_000_000).unwrap();
        assert!(jump.is_leap());
        let mut times = [0, 59_000, 3_600_000, now - 86_400_000, now];
        times.iter_mut().for_each(|time| jump.shift(time));
        let by = now - 61_000;
        assert_eq!(times, [by, by + 59_000, by + 3_600_000, now - 86_400_000, now]);
    }
}
