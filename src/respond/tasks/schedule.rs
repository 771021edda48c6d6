//! When a task is due, and when it is overdue. Pure: time is data, by the clock that is never set, in milliseconds.

use std::time::Duration;

/// How a task is scheduled. Times in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// From the begin of one run to that of the next.
    pub(super) every: u64,
    /// By how much more, at most, by chance.
    pub(super) jitter: u64,
    /// Within which time there has to be a success.
    pub(super) expected: u64,
}

/// What is known of a task from before a restart: how long ago, ms by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) started: Option<i64>,
    pub(super) succeeded: Option<i64>,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    schedule: Schedule,
    /// When it is due.
    due: u64,
    /// Since when a success is waited for.
    since: u64,
    running: bool,
}

/// A whole number of milliseconds.
pub(super) fn ms(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

impl Standing {
    /// That of a task at the start. The wall clock may have been set while the agent was away, so an age is no less than nothing and no
    /// more than one interval. `chance` is a number from 0 to 1.
    pub(super) fn new(schedule: Schedule, before: Before, now: u64, chance: f64) -> Self {
        let age = |ago: Option<i64>| ago.map(|ago| ago.max(0).cast_unsigned().min(schedule.every));
        let wait = age(before.started).map_or(0, |age| schedule.every - age);
        Self {
            schedule,
            due: now.saturating_add(wait).saturating_add(schedule.by_chance(chance)),
            since: now.saturating_sub(age(before.succeeded).unwrap_or_default()),
            running: false,
        }
    }

    /// When it is due; `None` while it runs.
    pub(super) fn due(&self) -> Option<u64> {
        (!self.running).then_some(self.due)
    }

    /// It begins. Says whether it may: it runs once at a time.
    pub(super) fn begin(&mut self, now: u64, chance: f64) -> bool {
        if std::mem::replace(&mut self.running, true) {
            return false;
        }
        let next = now.saturating_add(self.schedule.every);
        self.due = next.saturating_add(self.schedule.by_chance(chance));
        true
    }

    /// It ended.
    pub(super) fn end(&mut self, now: u64, succeeded: bool) {
        self.running = false;
        if succeeded {
            self.since = now;
        }
    }

    /// Whether it has not succeeded for the time that was expected.
    pub(super) fn is_overdue(&self, now: u64) -> bool {
        now.saturating_sub(self.since) > self.schedule.expected
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }
}

impl Schedule {
    fn by_chance(self, chance: f64) -> u64 {
        (self.jitter as f64 * chance.clamp(0.0, 1.0)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURLY: Schedule = Schedule { every: 3_600_000, jitter: 360_000, expected: 7_560_000 };

    #[test]
    fn one_that_never_ran_runs_soon_and_one_that_did_in_its_time() {
        let due = |started: Option<i64>, chance| {
            Standing::new(HOURLY, Before { started, succeeded: None }, 1_000, chance).due().unwrap()
        };
        assert_eq!((due(None, 0.0), due(None, 1.0)), (1_000, 361_000));
        assert_eq!(due(Some(600_000), 0.0), 1_000 + 3_000_000);
        // It was away for a day; the clock was set back, or far forward, while it was.
        assert_eq!(due(Some(86_400_000), 0.0), 1_000);
        assert_eq!(due(Some(-5_000), 0.0), 1_000 + 3_600_000);
        assert_eq!((due(Some(i64::MIN), 0.0), due(Some(i64::MAX), 0.0)), (3_601_000, 1_000));
    }

    #[test]
    fn it_runs_once_at_a_time_and_a_long_run_is_not_made_up_for() {
        let mut standing = Standing::new(HOURLY, Before::default(), 0, 0.0);
        assert!(standing.begin(0, 0.5));
        assert!(!standing.begin(10, 0.5) && standing.is_running());
        assert_eq!(standing.due(), None);
        standing.end(10_000_000, true);
        // Overdue since long: once, and not twice.
        assert_eq!(standing.due(), Some(3_600_000 + 180_000));
        assert!(standing.begin(10_000_000, 0.0));
        standing.end(10_000_001, false);
        assert_eq!(standing.due(), Some(13_600_000));
    }

    #[test]
    fn it_is_overdue_when_no_run_succeeded_for_the_expected_time() {
        let mut standing =
            Standing::new(HOURLY, Before { started: None, succeeded: Some(86_400_000) }, 4_000_000, 0.0);
        // What it did not do while the agent was away counts for one interval.
        assert!(!standing.is_overdue(4_000_000) && !standing.is_overdue(4_000_000 - 3_600_000 + 7_560_000));
        assert!(standing.is_overdue(4_000_000 - 3_600_000 + 7_560_001));
        standing.begin(8_000_000, 0.0);
        standing.end(8_000_000, false);
        assert!(standing.is_overdue(8_000_000));
        standing.begin(9_000_000, 0.0);
        standing.end(9_000_000, true);
        assert!(!standing.is_overdue(16_560_000) && standing.is_overdue(16_560_001));
    }
}
