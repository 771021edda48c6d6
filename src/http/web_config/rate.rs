//! How many requests are answered: a token bucket for all of them together.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A bucket with places for a burst, which gets a token at each interval.
#[derive(Debug)]
pub(super) struct Rate {
    interval: Duration,
    burst: u32,
    state: Mutex<(f64, Option<Instant>)>,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst, state: Mutex::new((f64::from(burst), None)) }
    }

    /// Whether it is made like another one, which then stays.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.interval, self.burst) == (other.interval, other.burst)
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let (tokens, at) = &mut *state;
        let passed = at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        *tokens = (*tokens + passed.as_secs_f64() / self.interval.as_secs_f64()).min(f64::from(self.burst));
        *at = Some(now);
        let free = *tokens >= 1.0;
        if free {
            *tokens -= 1.0;
        }
        free
    }

    /// How long until there is a token again, at most.
    pub(super) fn wait(&self) -> Duration {
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment to begin with")]
    fn a_burst_is_taken_and_then_one_at_each_interval() {
        let (rate, began) = (Rate::new(Duration::from_secs(1), 3), Instant::now());
        let taken = |ms: u64| rate.take(began + Duration::from_millis(ms));
        assert_eq!([taken(0), taken(0), taken(0), taken(0)], [true, true, true, false]);
        assert_eq!([taken(900), taken(1000), taken(1001)], [false, true, false]);
        // However long it was idle, no more than a burst.
        assert_eq!((0..10).filter(|_| taken(1_000_000)).count(), 3);
        let none = Rate::new(Duration::from_secs(1), 0);
        assert!(!none.take(began) && !none.take(began + Duration::from_secs(100)));
    }
}
