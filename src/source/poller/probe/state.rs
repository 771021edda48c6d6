//! How a target is, as a function of the attempts that were made.
//!
//! Reads no clock: an attempt comes with its time.

use std::time::Duration;

use crate::event::{Probe, ProbeAttempt, ProbeState};
use crate::setting::Span;

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer is as it should be.
    Good,
    /// The target answers, and something is wrong.
    Warning(String),
    /// The target answers, and not as it should.
    Bad(String),
    /// There is no answer.
    Silent(String),
    /// The attempt could not be made, so that nothing is known of the target.
    Unknown(String),
}

impl Outcome {
    /// What is wrong; nothing if all is well.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Good => "",
            Self::Warning(why) | Self::Bad(why) | Self::Silent(why) | Self::Unknown(why) => why,
        }
    }

    /// The same, where a good answer that took longer than `degraded` is a warning.
    pub(super) fn within(self, degraded: Option<Span>, took: Duration) -> Self {
        match (self, degraded) {
            (Self::Good, Some(most)) if took > most.0 => {
                Self::Warning(format!("it answers after {} s; degraded is {most}", took.as_secs_f64()))
            }
            (other, _) => other,
        }
    }

    fn is_answer(&self) -> bool {
        matches!(self, Self::Good | Self::Warning(_) | Self::Bad(_))
    }
}

/// The state of a target, and what it depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    state: ProbeState,
    /// Attempts that failed since the last one that succeeded.
    failed: u32,
    /// So many make the target unhealthy.
    failures: u32,
    critical: bool,
    /// When the last report was, in nanoseconds of the steady clock.
    reported: u64,
}

impl Machine {
    /// Of a target that nothing is known of.
    pub(super) fn new(failures: u32, critical: bool, at: u64) -> Self {
        Self { state: ProbeState::Unknown, failed: 0, failures, critical, reported: at }
    }

    /// How the target is before anything is known of it.
    pub(super) fn announce(&self) -> Probe {
        let Self { state, critical, .. } = *self;
        Probe { state, before: state, held: 0.0, critical, attempt: None }
    }

    /// What is known after an attempt, which ended at `at` and took so long. The time since the report before belongs to
    /// the state that held until now.
    pub(super) fn see(&mut self, outcome: &Outcome, took: Duration, at: u64) -> Probe {
        let before = self.state;
        let ok = matches!(outcome, Outcome::Good | Outcome::Warning(_));
        self.failed = match outcome {
            // An attempt that could not be made says nothing, so that it neither counts nor ends a row.
            Outcome::Unknown(_) => self.failed,
            Outcome::Good | Outcome::Warning(_) => 0,
            Outcome::Bad(_) | Outcome::Silent(_) => self.failed.saturating_add(1),
        };
        self.state = match outcome {
            Outcome::Good => ProbeState::Healthy,
            Outcome::Warning(_) => ProbeState::Degraded,
            Outcome::Unknown(_) => ProbeState::Unknown,
            Outcome::Bad(_) | Outcome::Silent(_) if self.failed >= self.failures => ProbeState::Unhealthy,
            Outcome::Bad(_) | Outcome::Silent(_) => before,
        };
        let held = Duration::from_nanos(at.saturating_sub(self.reported)).as_secs_f64();
        self.reported = at;
        let seconds = outcome.is_answer().then_some(took.as_secs_f64());
        let attempt = Some(ProbeAttempt { ok, seconds });
        Probe { state: self.state, before, held, critical: self.critical, attempt }
    }
}

#[cfg(test)]
mod tests {
    use ProbeState::{Degraded, Healthy, Unhealthy, Unknown};

    use super::*;

    fn outcome(letter: char) -> Outcome {
        let why = || letter.to_string();
        match letter {
            'g' => Outcome::Good,
            'w' => Outcome::Warning(why()),
            'b' => Outcome::Bad(why()),
            's' => Outcome::Silent(why()),
            _ => Outcome::Unknown(why()),
        }
    }

    /// The states after each of these attempts, where `failures` make a target unhealthy.
    fn states(failures: u32, attempts: &str) -> Vec<ProbeState> {
        let mut machine = Machine::new(failures, false, 0);
        attempts.chars().map(|one| machine.see(&outcome(one), Duration::ZERO, 0).state).collect()
    }

    #[test]
    fn so_many_failures_in_a_row_are_unhealthy_and_one_good_attempt_ends_it() {
        assert_eq!(states(3, "sbs"), [Unknown, Unknown, Unhealthy]);
        assert_eq!(
            states(3, "gssgssss"),
            [Healthy, Healthy, Healthy, Healthy, Healthy, Healthy, Unhealthy, Unhealthy]
        );
        assert_eq!(states(3, "wssbg"), [Degraded, Degraded, Degraded, Unhealthy, Healthy]);
        assert_eq!(states(1, "sgbw"), [Unhealthy, Healthy, Unhealthy, Degraded]);
    }

    #[test]
    fn an_attempt_that_cannot_be_made_is_no_failure_and_ends_no_row() {
        assert_eq!(states(2, "uuu"), [Unknown; 3]);
        assert_eq!(states(2, "gsug"), [Healthy, Healthy, Unknown, Healthy]);
        assert_eq!(states(2, "gsus"), [Healthy, Healthy, Unknown, Unhealthy]);
        // What was unhealthy is again as soon as that is seen.
        assert_eq!(states(2, "ssus"), [Unknown, Unhealthy, Unknown, Unhealthy]);
    }

    #[test]
    fn a_late_answer_is_a_warning_and_a_late_failure_stays_one() {
        let (most, late) = (Some(Span::millis(500)), Duration::from_millis(501));
        assert_eq!(Outcome::Good.within(most, Duration::from_millis(500)), Outcome::Good);
        assert_eq!(Outcome::Good.within(None, late), Outcome::Good);
        assert_eq!(Outcome::Good.within(most, late).why(), "it answers after 0.501 s; degraded is 500ms");
        assert_eq!(outcome('b').within(most, late), outcome('b'));
    }

    #[test]
    fn time_belongs_to_the_state_that_held_and_every_nanosecond_to_one() {
        let mut machine = Machine::new(2, true, 5_000_000_000);
        assert_eq!(machine.announce().held, 0.0);
        let mut spent = [0.0; 4];
        let mut at = 5_000_000_000;
        for (index, one) in "gssgwuss".chars().enumerate() {
            at += 1_000_000_000 * (index as u64 + 1);
            let seen = machine.see(&outcome(one), Duration::from_secs(9), at);
            assert!(seen.critical);
            let answered = matches!(one, 'g' | 'w' | 'b');
            assert_eq!(seen.attempt.unwrap().seconds, answered.then_some(9.0));
            assert_eq!(seen.attempt.unwrap().ok, matches!(one, 'g' | 'w'));
            spent[seen.before.code() as usize] += seen.held;
        }
        assert_eq!(spent, [2.0 + 3.0 + 5.0, 6.0, 4.0, 1.0 + 7.0 + 8.0]);
        // A clock that stands still, or goes back, takes nothing away.
        assert_eq!(machine.see(&Outcome::Good, Duration::ZERO, at - 1).held, 0.0);
    }
}
