//! What language models used since 00:00 UTC, against what they may.

use crate::event::{Body, Event, Spent, Timestamp};

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
}

impl Budget {
    /// A budget that goes on with `day`.
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

    /// Sees one event.
    pub fn observe(&mut self, event: &Event<'_>) {
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

    /// Says where the day stands.
    pub fn report(&self, out: &mut dyn FnMut(Body<'_>)) {
        if self.used {
            out(Body::Spent(Spent {
                tokens: self.day.tokens,
                cost: self.day.cost,
                currency: &self.currency,
                tokens_budget: self.tokens_per_day,
                cost_budget: self.cost_per_day,
            }));
        }
    }

    fn turn(&mut self, at: Timestamp) {
        let day = at.0 / 86_400_000_000_000;
        if day != self.day.day {
            self.day = Day { day, ..Day::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Call, SourceId};

    fn call(budget: &mut Budget, day: u64) {
        let body = Body::Call(Call {
            model: "m",
            prompt_tokens: 10.0,
            completion_tokens: 5.0,
            cost: Some(0.5),
            seconds: None,
            first_token_seconds: None,
            cache_hit: None,
            error: None,
            trace: None,
        });
        budget.observe(&Event { at: Timestamp(day * 86_400_000_000_000 + 1), source: SourceId(0), body });
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
    fn silence_without_calls_or_limits() {
        let mut said = 0;
        Budget::default().report(&mut |_| said += 1);
        assert_eq!(said, 0);
        let mut budget = Budget::default();
        budget.set_limits(Some(1.0), None, "USD");
        budget.report(&mut |_| said += 1);
        assert_eq!(said, 1);
    }
}
