//! What the timestamps of a stream's samples say: holes, uneven steps, steps back, and the rate.
//!
//! No field of the wire counts samples, so what is missing can be told from timestamps alone. Programs stamp unevenly
//! where they push in groups, which is no loss: unless the last samples were even, only a step of a tenth of a second
//! and of two samples and a half is a hole. Where they were, one and a half will do.
//!
//! One stamp can be wrong. What jumps, ahead or back, is in doubt until stamps that follow say whether the time of the
//! stream went there: ahead the next one says it, back it takes some. Where the stream goes on as if nothing had been,
//! as many samples as time passed for, nothing is missing. A stamp that is deduced, or is the one before again, says
//! nothing of that one.

/// A hole of so many seconds is one, however uneven the stamps.
const HOLE: f64 = 0.1;
/// By how much of a period any of the last steps differs from whole ones where they are even. Of whole ones: a stream that
/// is even and loses from its first sample on steps by two, and one that is stamped late and early steps by none as well.
const EVEN: f64 = 0.1;
/// How much of a difference is left with the next step: it is forgotten within some hundreds. Of programs that push in
/// groups it is the steps between groups that count, which are few.
const LEFT: f64 = 1.0 - 1.0 / 256.0;
/// Stamps one after the other, all before what was reached, after which the clock was set back. One is a mistake, and two
/// may have overtaken each other; a mistake that is made three times is no worse than a clock.
const BELIEVED: u8 = 3;

/// What the timestamps said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stamps {
    /// The timestamp of the last sample, seconds of the sender's clock, right or wrong.
    pub last: Option<f64>,
    /// Samples.
    pub samples: u64,
    /// Holes, each as soon as a stamp after it says that it is one.
    pub gaps: u64,
    /// Samples that are missing in them.
    pub missing: u64,
    /// Steps that are more than half a period from being one, holes left out.
    pub irregular: u64,
    /// Steps back.
    pub backward: u64,
    rate: f64,
    uneven: f64,
    /// The last stamp that is not in doubt.
    sure: Option<f64>,
    /// Samples since that one.
    doubt: u64,
    /// How many of the last of them, stamped before it, were stamped one after the other.
    behind: u8,
    /// What is missing if the last of them is right; 0 if it is not ahead.
    ahead: u64,
    /// The first stamp of the window in which the rate is measured, and the steps since that are not in doubt.
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
        let sent = stamp.filter(|stamp| stamp.is_finite());
        let stamp = match (sent, self.last) {
            (Some(stamp), _) => stamp,
            (None, Some(last)) => last + if self.rate > 0.0 { 1.0 / self.rate } else { 0.0 },
            (None, None) => return,
        };
        let Some(before) = self.last.replace(stamp) else {
            self.begin(stamp);
            return;
        };
        self.backward += u64::from(stamp < before);
        let news = sent.is_some() && stamp.total_cmp(&before).is_ne();
        // Who sends nothing else for a second is believed.
        if self.doubt > 0 && !news && self.doubt as f64 <= self.rate {
            self.doubt += 1;
            return;
        }
        if self.ahead > 0 && stamp >= before && !self.follows(stamp) {
            self.gaps += 1;
            self.missing = self.missing.saturating_add(self.ahead);
            self.settle(before, self.doubt);
        }
        if self.follows(stamp) {
            self.step(stamp);
        } else {
            self.wonder(before, stamp);
        }
    }

    /// How many periods after the samples that came a stamp is.
    fn periods(&self, stamp: f64) -> f64 {
        (stamp - self.sure.unwrap_or(stamp)) * self.rate - self.doubt as f64
    }

    /// Whether a stamp goes on, without a hole, from where the stream surely was.
    fn follows(&self, stamp: f64) -> bool {
        let periods = self.periods(stamp);
        let hole =
            if self.uneven < EVEN { periods >= 1.5 } else { periods >= 2.5 && periods >= HOLE * self.rate };
        self.sure.is_none_or(|sure| stamp >= sure) && (self.rate <= 0.0 || !hole)
    }

    /// A step of the stream. What was in doubt was wrong.
    fn step(&mut self, stamp: f64) {
        if self.rate > 0.0 {
            let periods = self.periods(stamp);
            self.irregular += u64::from((periods - 1.0).abs() > 0.5) + u64::from(self.ahead > 0);
            if self.doubt == 0 {
                let off = (periods - periods.round().max(1.0)).abs();
                self.uneven = off.min(1.0).max(self.uneven * LEFT);
            }
        }
        self.settle(stamp, self.doubt + 1);
    }

    /// A jump, or one more sample after one.
    fn wonder(&mut self, before: f64, stamp: f64) {
        let jumped = self.doubt == 0 || self.ahead > 0 || stamp < before;
        if self.sure.is_some_and(|sure| stamp < sure) {
            (self.behind, self.ahead) = (if jumped { 1 } else { self.behind + 1 }, 0);
            if self.behind >= BELIEVED {
                self.begin(stamp);
                return;
            }
        } else {
            // At most what a float holds exactly: a clock that jumped by years is no loss of millions.
            self.ahead = (self.periods(stamp).round() - 1.0).clamp(1.0, 1e9) as u64;
        }
        self.doubt += 1;
    }

    /// The time of the stream begins here, or anew: the rate is measured from here on.
    fn begin(&mut self, stamp: f64) {
        self.window = Some((stamp, 0));
        self.settle(stamp, 0);
    }

    /// The stream surely was at a stamp, so many steps further.
    fn settle(&mut self, stamp: f64, further: u64) {
        (self.sure, self.doubt, self.behind, self.ahead) = (Some(stamp), 0, 0, 0);
        if let Some((_, steps)) = &mut self.window {
            *steps += further;
        }
    }

    /// Samples a second since this was asked before, by the sender's clock, holes included. `None` if there were fewer
    /// than two.
    pub fn rate(&mut self) -> Option<f64> {
        let (began, steps) = self.window?;
        let took = self.sure? - began;
        if steps == 0 || took <= 0.0 {
            return None;
        }
        self.window = Some((began + took, 0));
        Some(steps as f64 / took)
    }

    /// What comes next has nothing to do with what came before.
    pub fn restart(&mut self) {
        (self.last, self.sure, self.window, self.uneven) = (None, None, None, 1.0);
        (self.doubt, self.behind, self.ahead) = (0, 0, 0);
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
    fn a_stream_that_loses_from_its_first_sample_on() {
        let mut stamps = Stamps::new(250.0);
        let mut lost = 0;
        for k in 0..10_000_u32 {
            // Some 5 %, by chance.
            if k.wrapping_mul(2_654_435_761) % 100 < 5 {
                lost += u64::from(k > 1000);
            } else {
                stamps.see(Some(f64::from(k) / 250.0));
                if k == 1000 {
                    stamps.missing = 0;
                }
            }
        }
        assert!(stamps.missing == lost && lost > 300, "{} of {lost}", stamps.missing);
    }

    #[test]
    fn groups_are_uneven_and_nothing_is_missing() {
        let mut stamps = Stamps::new(250.0);
        for group in 0..100 {
            (0..5).for_each(|_| stamps.see(Some(f64::from(group) * 0.02)));
        }
        assert_eq!((stamps.gaps, stamps.missing), (0, 0));
        assert_eq!(stamps.irregular, 499);
        (0..5).for_each(|_| stamps.see(Some(3.0)));
        assert_eq!((stamps.gaps, stamps.missing), (0, 0), "one stamp may be wrong");
        stamps.see(Some(3.02));
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

    /// Samples of 250 Hz in groups, of which the first is stamped, with 25 missing from each of these places on.
    fn stream(count: u32, group: u32, holes: &[u32], shift: impl Fn(u32) -> f64) -> Stamps {
        let mut stamps = Stamps::new(250.0);
        for sample in 0..count {
            let missing = 25 * holes.iter().filter(|hole| **hole <= sample).count() as u32;
            let at = 1000.0 + f64::from(sample + missing) / 250.0 + shift(sample);
            stamps.see(sample.is_multiple_of(group).then_some(at));
        }
        stamps
    }

    #[test]
    fn one_stamp_that_is_wrong_is_no_loss() {
        let holes = [1000, 3000, 5000];
        for group in [1, 20] {
            for (shift, irregular) in [(-1.0, 0), (-0.1, 0), (1.0, 1), (60.0, 1), (-1e9, 0), (1e9, 1)] {
                let stray = |sample: u32| if sample / group == 4000 / group { shift } else { 0.0 };
                let mut stamps = stream(7425, group, &holes, stray);
                let told = (stamps.gaps, stamps.missing, stamps.backward, stamps.irregular);
                assert_eq!(told, (3, 75, 1, irregular), "{group} {shift}");
                assert!((stamps.rate().unwrap() - 250.0 * 7424.0 / 7499.0).abs() < 0.1, "{group} {shift}");
            }
        }
        // Beside a hole, before or after it, each is still told from the other.
        for stray in [999, 1000, 1001] {
            for shift in [-1.0, 1.0] {
                let stamps = stream(7425, 1, &holes, |sample| if sample == stray { shift } else { 0.0 });
                assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (3, 75, 1), "{stray} {shift}");
            }
        }
        // One of each, one after the other, and another that is alone.
        let stamps = stream(7425, 1, &holes, |sample| match sample {
            2000 | 6000 => 1.0,
            2001 => -1.0,
            _ => 0.0,
        });
        assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (3, 75, 2));
    }

    #[test]
    fn a_clock_that_is_set_back_is_believed() {
        for (group, by) in [(1, 1.0), (1, 0.1), (5, 1.0), (1, 1e9)] {
            let mut stamps = stream(2000, group, &[1800], |sample| if sample < 1000 { 0.0 } else { -by });
            assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (1, 25, 1), "{group} {by}");
            let rate = stamps.rate().unwrap();
            assert!((200.0..250.0).contains(&rate) && stamps.irregular == 0, "{group} {by}: {rate}");
        }
        // A clock that is set for a while and back again: the second time is a hole in the stamps, as any is.
        let stamps = stream(2000, 1, &[], |sample| if (1000..1010).contains(&sample) { -1.0 } else { 0.0 });
        assert_eq!((stamps.gaps, stamps.missing, stamps.backward), (1, 250, 1));
    }

    #[test]
    fn a_group_that_was_held_up_and_those_after_it_are_no_hole() {
        let late = |sample: u32| match sample / 20 {
            50 => 0.12,
            51 => 0.045,
            _ => 0.0,
        };
        let stamps = stream(2000, 20, &[], late);
        assert_eq!((stamps.gaps, stamps.missing), (0, 0), "{stamps:?}");
    }

    #[test]
    fn who_stamps_once_is_believed_after_a_second() {
        let mut stamps = Stamps::new(250.0);
        let then = (0..500).fold(0.0, |at, _| {
            stamps.see(Some(at));
            at + 0.004
        });
        stamps.see(Some(then + 1.0));
        (0..250).for_each(|_| stamps.see(None));
        assert_eq!((stamps.gaps, stamps.missing), (0, 0));
        stamps.see(None);
        assert_eq!((stamps.gaps, stamps.missing), (1, 250));
    }
}
