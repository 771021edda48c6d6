//! A place where notifications go: how many at once, and when the next one after a failure.

use super::Outcome;

/// Notifications on their way to one place at once. One that fails gets one at a time.
const AT_ONCE: u32 = 4;
/// The first pause, in milliseconds; each is half as long again as the one before, and up to half more or less by chance. Fact:
/// `ExponentialBackOff`, by which Alertmanager retries.
const FIRST_PAUSE: f64 = 500.0;
/// The longest.
const LONGEST_PAUSE: f64 = 60_000.0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoint {
    on_their_way: u32,
    /// Failures in a row.
    failures: u32,
    /// Before this time nothing is tried.
    gate: i64,
}

impl Endpoint {
    /// When something may be tried; `None` if only an answer changes that.
    pub(super) fn next(self) -> Option<i64> {
        let most = if self.failures > 0 { 1 } else { AT_ONCE };
        (self.on_their_way < most).then_some(if self.failures > 0 { self.gate } else { i64::MIN })
    }

    pub(super) fn takes(self, now: i64) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    pub(super) fn begins(&mut self) {
        self.on_their_way += 1;
    }

    pub(super) fn answers(&mut self, now: i64, outcome: Outcome, chance: f64) {
        self.on_their_way = self.on_their_way.saturating_sub(1);
        if outcome != Outcome::Failed {
            self.failures = 0;
            return;
        }
        let pause = (FIRST_PAUSE * 1.5_f64.powi(self.failures.min(64).cast_signed())).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.gate = now.saturating_add((pause * (0.5 + chance.clamp(0.0, 1.0))) as i64);
    }

    pub(super) fn shift(&mut self, jump: &crate::event::Jump) {
        jump.shift(&mut self.gate);
    }
}
