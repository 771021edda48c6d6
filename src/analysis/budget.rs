//! What language models used since 00:00 UTC, against what they may.

use super::{Analyser, Report};
use crate::event::{Body, Event, Spent, Timestamp};

/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

/// One day's totals, as they are kept over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Day {
    /// Days since the epoch.
    pub day: u64,
    /// Tokens sent and received.
    pub tokens: f64,
    /// Cost in the configured currency.
    pub cost: f64,
}

/// Adds up calls by day.
#[derive(Debug, Default)]
pub struct Budget {
    day: Day,
    tokens_per_day: Option<f64>,
    cost_per_day: Option<f64>,
    currency: String,
    /// Whether there is anything to say at all.
    used: bool,
    /// When the day began here, nanoseconds by the steady clock.
    began: Option<u64>,
}

impl Budget {
    /// A budget that continues with `day`.
    #[must_use]
    pub fn new(day: Option<Day>) -> Self {
        Self { day: day.unwrap_or_default(), used: day.is_some(), ..Self::default() }
    }

    /// Takes limits, and what costs are counted in.
    pub fn set_limits(&mut self, tokens_per_day: Option<f64>, cost_per_day: Option<f64>, currency: &str) {
        self.used |= tokens_per_day.is_some() || cost_per_day.is_some();
        (self.tokens_per_day, self.cost_per_day) = (tokens_per_day, cost_per_day);
        currency.clone_into(&mut self.currency);
    }

    /// The totals to keep, if there are any.
    #[must_use]
    pub fn day(&self) -> Option<Day> {
        (self.day.tokens > 0.0 || self.day.cost > 0.0).then_some(self.day)
    }

    /// A new day begins when the wall clock says so, and not when it is set back: what was used on a day stays used.
    /// Set back for good, as after a date that was wrong, the day is over as soon as it has lasted one by the steady
    /// clock.
    fn turn(&mut self, at: Timestamp) {
        let day = at.wall / DAY;
        let lasted = at.steady.saturating_sub(*self.began.get_or_insert(at.steady));
        if day > self.day.day || (day < self.day.day && lasted >= DAY) {
            self.day = Day { day, ..Day::default() };
            self.began = Some(at.steady);
        }
    }
}

impl Analyser for Budget {
    fn observe(&mut self, event: &Event<'_>) {
        match &event.body {
            Body::Call(call) => {
                self.turn(event.at);
                self.used = true;
                self.day.tokens += call.prompt_tokens + call.completion_tokens;
                self.day.cost += call.cost.unwrap_or_default();
            }
            Body::Tick => self.turn(event.at),
            _ => {}
        }
    }

    fn report(&mut self, _now: Timestamp, out: &mut Report<'_>) {
        if self.used {
            let spent = Body::Spent(Spent {
                tokens: self.day.tokens,
                cost: self.day.cost,
                currency: &self.currency,
                tokens_budget: self.tokens_per_day,
                cost_budget: self.cost_per_day,
            });
            out(None, spent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Call, SourceId};

    fn call(budget: &mut Budget, day: u64) {
        call_at(budget, Timestamp::both(day * DAY + 1));
    }

    fn call_at(budget: &mut Budget, at: Timestamp) {
        let body = Body::Call(Call {
            model: "m",
            prompt_tokens: 10.0,
            completion_tokens: 5.0,
            cost: Some(0.5),
            seconds: None,
            first_token_seconds: None,
            cache_hit: None,
            error: None,
            ended: None,
            trace: None,
        });
        budget.observe(&Event { at, source: SourceId(0), body });
    }

    #[test]
    fn a_day_adds_up_and_ends() {
        let mut budget = Budget::new(Some(Day { day: 3, tokens: 100.0, cost: 1.0 }));
        call(&mut budget, 3);
        assert_eq!(budget.day(), Some(Day { day: 3, tokens: 115.0, cost: 1.5 }));
        call(&mut budget, 4);
        assert_eq!(budget.day(), Some(Day { day: 4, tokens: 15.0, cost: 0.5 }));
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_back() {
        let mut budget = Budget::new(Some(Day { day: 3, tokens: 100.0, cost: 1.0 }));
        let mut steady = 5;
        // So many hours later, by a wall clock that reads this.
        let mut call = |hours: u64, wall: u64| {
            steady += hours * DAY / 24;
            call_at(&mut budget, Timestamp { steady, wall });
            budget.day().unwrap()
        };
        let noon = DAY / 2;
        assert_eq!(call(0, 3 * DAY + noon), Day { day: 3, tokens: 115.0, cost: 1.5 });
        // A day back, over a midnight, and forward again.
        assert_eq!(call(0, 2 * DAY + noon).tokens, 130.0);
        assert_eq!(call(12, 3 * DAY).tokens, 145.0);
        assert_eq!(call(0, 4 * DAY), Day { day: 4, tokens: 15.0, cost: 0.5 });
        // A date that was wrong by years, and is put right.
        assert_eq!(call(1, 4000 * DAY), Day { day: 4000, tokens: 15.0, cost: 0.5 });
        assert_eq!(call(23, 5 * DAY).tokens, 30.0);
        assert_eq!(call(1, 5 * DAY + DAY / 24), Day { day: 5, tokens: 15.0, cost: 0.5 });
    }

    #[test]
    fn silence_without_calls_or_limits() {
        let mut said = 0;
        Budget::default().report(Timestamp::default(), &mut |_, _| said += 1);
        assert_eq!(said, 0);
        let mut budget = Budget::default();
        budget.set_limits(Some(1.0), None, "USD");
        budget.report(Timestamp::default(), &mut |_, _| said += 1);
        assert_eq!(said, 1);
    }
}
