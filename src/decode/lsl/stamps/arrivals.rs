//! When samples came, beside what their stamps say: whether one had to wait for them where stamps have a gap.
//!
//! Arrivals come in bursts and late, so they say something of parts of a second and more, and nothing where samples
//! come faster than they are made: what was kept somewhere arrives without the pauses in which it was made.

/// Moments that are remembered, and samples between two of them, in seconds' worth.
const KEPT: usize = 8;
const APART: f64 = 0.25;
/// Samples of so many seconds have to have come before anything is said.
const ENOUGH: f64 = 1.0;
/// The least share of the time in which they are made that live samples take to come.
const LIVE: f64 = 0.75;

/// When samples came.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Arrivals {
    now: Option<f64>,
    /// Moments with the samples until then, the newest last.
    marks: [(f64, u64); KEPT],
    count: usize,
}

impl Arrivals {
    pub(super) fn came(&mut self, at: f64) {
        self.now = Some(at);
    }

    pub(super) fn restart(&mut self) {
        self.count = 0;
    }

    fn marks(&self) -> &[(f64, u64)] {
        self.marks.get(..self.count).unwrap_or_default()
    }

    /// Nothing is missing until here, where so many samples came.
    pub(super) fn mark(&mut self, samples: u64, period: f64) {
        let Some(now) = self.now else { return };
        let near = |last: &(f64, u64)| (samples.saturating_sub(last.1) as f64) * period < APART;
        if self.marks().last().is_some_and(near) {
            return;
        }
        if self.count == KEPT {
            self.marks.rotate_left(1);
            self.count -= 1;
        }
        if let Some(mark) = self.marks.get_mut(self.count) {
            *mark = (now, samples);
            self.count += 1;
        }
    }

    /// Seconds and samples since the first moment that is remembered, if it is long enough ago.
    fn span(&self, samples: u64, period: f64) -> Option<(f64, f64)> {
        let (at, before) = self.marks().first()?;
        let brought = samples.saturating_sub(*before) as f64;
        (brought * period >= ENOUGH).then_some((self.now? - at, brought))
    }

    /// How many samples more than came would have come in the time that it took. `None` if arrivals say nothing.
    pub(super) fn rise(&self, samples: u64, period: f64) -> Option<f64> {
        let now = self.now?;
        let (took, brought) = self.span(samples, period)?;
        if took < LIVE * brought * period {
            return None;
        }
        let since = |(at, before): &(f64, u64)| (now - at) / period - samples.saturating_sub(*before) as f64;
        Some(self.marks().iter().map(since).fold(0.0, f64::max))
    }

    /// Whether samples came as far apart as this, more or less.
    pub(super) fn has_period(&self, samples: u64, period: f64) -> bool {
        let (Some(now), Some((at, before))) = (self.now, self.marks().first()) else { return false };
        let brought = samples.saturating_sub(*before) as f64;
        brought >= 2.0 && (0.5..2.0).contains(&((now - at) / brought / period))
    }
}
