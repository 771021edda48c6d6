//! What the timestamps of a stream's samples say: holes, uneven steps, steps back, and the rate.
//!
//! No field of the wire counts samples, so what is missing can be told from timestamps alone. Programs stamp unevenly
//! where they push in groups, which is no loss: unless the last samples were even, only a step of a tenth of a second
//! and of two samples and a half is a hole. Where they were, one and a half will do.

/// A hole of so many seconds is one, however uneven the stamps.
const HOLE: f64 = 0.1;
/// By how much of a period any of the last steps differs from one where they are even.
const EVEN: f64 = 0.1;
/// How much of a difference is left with the next step: it is forgotten within some hundreds. Of programs that push in
/// groups it is the steps between groups that count, which are few.
const LEFT: f64 = 1.0 - 1.0 / 256.0;

/// What the timestamps said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stamps {
    /// The timestamp of the last sample, seconds of the sender's clock.
    pub last: Option<f64>,
    /// Samples.
    pub samples: u64,
    /// Holes.
    pub gaps: u64,
    /// Samples that are missing in them.
    pub missing: u64,
    /// Steps that are more than half a period from being one, holes left out.
    pub irregular: u64,
    /// Steps back.
    pub backward: u64,
    rate: f64,
    uneven: f64,
    /// The first stamp of the window in which the rate is measured, and the steps since.
    window: Option<(f64, u64)>,
}

impl Stamps {
    /// Of a stream of so many samples a second; 0 if it has no rate.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { rate, uneven: 1.0, ..Self::default() }
    }

    /// Sees the timestamp of one sample; `None` if it is to be deduced from the one before.
    pub fn see(&mut self, stamp: Option<f64>) {
        self.samples += 1;
        let stamp = match (stamp.filter(|stamp| stamp.is_finite()), self.last) {
            (Some(stamp), _) => stamp,
            (None, Some(last)) => last + if self.rate > 0.0 { 1.0 / self.rate } else { 0.0 },
            (None, None) => return,
        };
        if let Some(last) = self.last.replace(stamp) {
            self.step(stamp - last);
        }
        match &mut self.window {
            Some((_, steps)) => *steps += 1,
            None => self.window = Some((stamp, 0)),
        }
    }

    fn step(&mut self, step: f64) {
        if step < 0.0 {
            self.backward += 1;
            // A clock that was set: the rate is measured anew.
            self.window = None;
            return;
        }
        if self.rate <= 0.0 {
            return;
        }
        let periods = step * self.rate;
        let hole = if self.uneven < EVEN { periods >= 1.5 } else { periods >= 2.5 && step >= HOLE };
        if hole {
            self.gaps += 1;
            // At most what a float holds exactly: a clock that jumped by years is no loss of millions.
            self.missing = self.missing.saturating_add((periods.round() - 1.0).clamp(0.0, 1e9) as u64);
            return;
        }
        let off = (periods - 1.0).abs();
        self.irregular += u64::from(off > 0.5);
        self.uneven = off.min(1.0).max(self.uneven * LEFT);
    }

    /// Samples a second since this was asked before, by the sender's clock, holes included. `None` if there were fewer
    /// than two.
    pub fn rate(&mut self) -> Option<f64> {
        let (began, steps) = self.window?;
        let took = self.last? - began;
        if steps == 0 || took <= 0.0 {
            return None;
        }
        self.window = Some((began + took, 0));
        Some(steps as f64 / took)
    }

    /// What comes next has nothing to do with what came before.
    pub fn restart(&mut self) {
        (self.last, self.window, self.uneven) = (None, None, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(stamps: &mut Stamps, from: f64, count: u32) -> f64 {
        (0..count).for_each(|k| stamps.see(Some(from + f64::from(k) / 100.0)));
        from + f64::from(count) / 100.0
    }

    #[test]
    fn one_sample_that_is_missing_between_even_ones() {
        let mut stamps = Stamps::new(100.0);
        let then = even(&mut stamps, 1000.0, 1000);
        let then = even(&mut stamps, then + 0.01, 200);
        assert_eq!((stamps.gaps, stamps.missing, stamps.irregular), (1, 1, 0));
        even(&mut stamps, then + 2.0, 10);
        assert_eq!((stamps.gaps, stamps.missing, stamps.samples), (2, 201, 1210));
        let rate = stamps.rate().unwrap();
        assert!((rate - 1209.0 / (0.01 * 1410.0)).abs() < 0.01, "{rate}");
        assert_eq!(stamps.rate(), None);
        even(&mut stamps, 0.0, 101);
        assert_eq!((stamps.backward, stamps.gaps), (1, 2));
        assert!((stamps.rate().unwrap() - 100.0).abs() < 0.001);
    }

    #[test]
    fn groups_are_uneven_and_nothing_is_missing() {
        let mut stamps = Stamps::new(250.0);
        for group in 0..100 {
            (0..5).for_each(|_| stamps.see(Some(f64::from(group) * 0.02)));
        }
        assert_eq!((stamps.gaps, stamps.missing), (0, 0));
        assert_eq!(stamps.irregular, 499);
        stamps.see(Some(3.0));
        assert_eq!((stamps.gaps, stamps.missing), (1, 254));
    }

    #[test]
    fn groups_that_come_late_are_no_holes() {
        let (mut stamps, mut now) = (Stamps::new(500.0), 0.0);
        for group in 0..200 {
            stamps.see(Some(now));
            (0..19).for_each(|_| stamps.see(None));
            now += 0.04 + if group % 3 == 0 { 0.0016 } else { 0.0003 };
        }
        assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{stamps:?}");
    }

    #[test]
    fn stamps_that_are_not_sent() {
        let mut stamps = Stamps::new(100.0);
        stamps.see(None);
        assert_eq!(stamps.last, None);
        stamps.see(Some(5.0));
        (0..100).for_each(|_| stamps.see(None));
        assert!((stamps.last.unwrap() - 6.0).abs() < 1e-9 && stamps.samples == 102);
        stamps.see(Some(f64::NAN));
        assert!((stamps.last.unwrap() - 6.01).abs() < 1e-9);
        let mut markers = Stamps::new(0.0);
        [1.0, 5.0, 5.0, 900.0].iter().for_each(|stamp| markers.see(Some(*stamp)));
        markers.see(None);
        assert_eq!((markers.gaps, markers.irregular, markers.backward), (0, 0, 0));
        assert_eq!(markers.last, Some(900.0));
    }
}
