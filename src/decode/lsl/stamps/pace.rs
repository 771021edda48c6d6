//! How far apart the samples of a stream are, by its stamps: measured, and how evenly.
//!
//! The middle of the last steps is what a step is, whatever some of them are: gaps, stops, stamps that are wrong. A
//! period that is nearly the declared one is the declared one.

use super::Point;

/// Steps that are remembered.
const KEPT: usize = 16;
/// Steps after which the period is known that is the declared one.
const LEARNT_DECLARED: usize = 3;
/// Steps after which another one is.
const LEARNT: usize = 8;
/// And after a gap.
const HELD: usize = 8;
/// By how much of a period a step differs from whole ones where stamps are even. Of whole ones: a stream that is even
/// and loses from its first sample on steps by two.
pub(super) const EVEN: f64 = 0.1;
/// The share of steps that are too short from which on stamps are not even.
const RESTLESS: f64 = 0.3;
/// Steps after which stamps are even that were so far.
const PROVEN: u32 = 64;
/// Steps after which those are that were not.
const PROVEN_AGAIN: u32 = 600;
/// The shortest period: what is shorter is noise.
const SHORTEST: f64 = 1e-9;
/// How near a period is to the declared one that is taken for it.
const SAME: f64 = 0.01;
/// The same of a period that is measured by few steps.
const SAME_FEW: f64 = 0.1;
/// The same by few uneven ones.
const SAME_UNEVEN: f64 = 0.4;
/// So many times as many samples as steps are off by are one step, for what is off then is little.
pub(super) const TOGETHER: f64 = 16.0;
/// Which other steps are of the same period as the middle one.
const LIKE: std::ops::Range<f64> = 0.55..1.8;
/// How much of what was measured is left with the next step, and how near it is to what the last steps say.
const LEFT: f64 = 1.0 - 1.0 / 128.0;
const NEAR: f64 = 0.15;
/// How many periods one is where stamps are milliseconds, microseconds or nanoseconds.
const UNITS: [f64; 3] = [1e3, 1e6, 1e9];
/// By how much the declared rate may be wrong there.
const ABOUT: f64 = 0.2;
/// The least rate of a stream of which it can be determined that its stamps count samples, hertz.
const COUNTED: f64 = 10.0;

/// The period of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Samples per second as declared.
    nominal: f64,
    period: f64,
    known: bool,
    steps: [Point; KEPT],
    /// How many there are, and where the next one goes.
    count: usize,
    next: usize,
    sum: Point,
    ripe: u32,
    /// The last steps after a gap, of which it is not known yet whether they belong to a program that catches up.
    held: [Point; HELD],
    holds: usize,
    /// Seconds and samples of all steps of this period, the latest most.
    long: (f64, f64),
    /// Steps one after the other that were even, and whether any was not.
    clean: u32,
    spoilt: bool,
    proven: bool,
    /// The share of the last steps that were too short.
    restless: f64,
    /// By how much steps are off, some that are far off left out.
    noise: f64,
}

/// Seconds of a step for each of its samples.
fn each(point: &Point) -> f64 {
    point.step / point.samples.max(1) as f64
}

impl Pace {
    pub(super) fn new(nominal: f64) -> Self {
        Self { nominal, period: if nominal > 0.0 { 1.0 / nominal } else { 0.0 }, ..Self::default() }
    }

    /// Seconds between two samples: as declared until it is measured.
    pub(super) fn period(&self) -> f64 {
        self.period
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// Whether stamps are taken for even: as long as none was not, or since they were for long.
    pub(super) fn is_even(&self) -> bool {
        self.proven || !self.spoilt
    }

    /// Whether they are known to be.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Sees a step before the period is known; gives all of them back once it is.
    pub(super) fn learn(&mut self, point: Point) -> Option<([Point; KEPT], usize)> {
        self.keep(point);
        let middle = self.middle();
        let declared = (middle * self.nominal - 1.0).abs() < SAME_FEW;
        if self.count < if declared { LEARNT_DECLARED } else { LEARNT } {
            return None;
        }
        self.known = true;
        let steps = self.steps.iter().take(self.count);
        self.spoilt =
            steps.filter(|point| (each(point) / middle - 1.0).abs() > EVEN).count() > self.count / 2;
        self.measure();
        Some((self.steps, self.count))
    }

    /// Sees a step.
    pub(super) fn observe(&mut self, point: &Point) {
        // Steps that are off by chance are taken together until they are not by much.
        self.sum.step += point.step;
        self.sum.samples += point.samples;
        if (self.sum.samples as f64) < TOGETHER * self.noise {
            return;
        }
        let sum = std::mem::take(&mut self.sum);
        self.keep(sum);
        self.ripe = self.ripe.saturating_add(1);
        if LIKE.contains(&(each(&sum) / self.period)) {
            self.long = (self.long.0 * LEFT + sum.step, self.long.1 * LEFT + sum.samples as f64);
        }
        // Each eighth time: it hardly changes.
        if self.next.is_multiple_of(KEPT / 2) {
            self.measure();
        }
    }

    /// Keeps a step aside.
    pub(super) fn hold(&mut self, point: &Point) {
        if self.holds == HELD {
            self.held.rotate_left(1);
            self.holds -= 1;
        }
        if let Some(place) = self.held.get_mut(self.holds) {
            *place = *point;
            self.holds += 1;
        }
    }

    /// Those that were kept aside were no steps of the stream.
    pub(super) fn let_go(&mut self) {
        self.holds = 0;
    }

    /// They were.
    pub(super) fn see_held(&mut self) {
        let (held, count) = (self.held, std::mem::take(&mut self.holds));
        held.iter().take(count).for_each(|point| self.observe(point));
    }

    fn keep(&mut self, point: Point) {
        if let Some(place) = self.steps.get_mut(self.next) {
            *place = point;
        }
        self.next = (self.next + 1) % KEPT;
        self.count = (self.count + 1).min(KEPT);
    }

    /// The middle of the periods of the last steps.
    fn middle(&self) -> f64 {
        let mut each = self.steps.map(|point| each(&point));
        let each = each.get_mut(..self.count).unwrap_or_default();
        each.sort_unstable_by(f64::total_cmp);
        each.get(self.count.saturating_sub(1) / 2).copied().unwrap_or(self.period)
    }

    fn measure(&mut self) {
        let middle = self.middle();
        if middle <= 0.0 {
            return;
        }
        let steps = self.steps.iter().take(self.count).filter(|point| LIKE.contains(&(each(point) / middle)));
        let now = steps.fold((0.0, 0.0), |sum, point| (sum.0 + point.step, sum.1 + point.samples as f64));
        // Nothing over nothing is no number.
        let period = |(took, brought): (f64, f64)| took / brought;
        let apart = (period(self.long) / period(now) - 1.0).abs();
        if apart.is_nan() || apart >= NEAR {
            self.long = now;
        }
        let period = period(self.long);
        // A few steps that differ much say little.
        let same = match (self.ripe < KEPT as u32, self.spoilt) {
            (false, _) => SAME,
            (true, false) => SAME_FEW,
            (true, true) => SAME_UNEVEN,
        };
        let declared = (period * self.nominal - 1.0).abs() < same;
        self.period = if declared { 1.0 / self.nominal } else { period.max(SHORTEST) };
    }

    /// By how many periods steps are off, as a rule.
    pub(super) fn noise(&self) -> f64 {
        self.noise
    }

    /// A step was so many periods too long, or too short. A stream that loses has none that are too short; one that is
    /// now late and now early has as many of these.
    pub(super) fn rest(&mut self, off: f64) {
        self.restless += (f64::from(u8::from(off <= -EVEN)) - self.restless) / KEPT as f64;
        self.noise += (off.abs().min(4.0 * self.noise + 0.5) - self.noise) / (2 * KEPT) as f64;
        if self.restless > RESTLESS {
            self.spoil();
        }
    }

    /// A step was off by so many periods. Says whether stamps are known to be even from now on.
    pub(super) fn prove(&mut self, off: f64) -> bool {
        if off >= EVEN {
            self.spoil();
            return false;
        }
        self.clean = self.clean.saturating_add(1);
        let enough = self.clean >= if self.spoilt { PROVEN_AGAIN } else { PROVEN };
        enough && !std::mem::replace(&mut self.proven, true)
    }

    /// A step was not even.
    pub(super) fn spoil(&mut self) {
        (self.clean, self.spoilt, self.proven) = (0, true, false);
    }

    /// Whether stamps are in seconds, by the declared rate.
    pub(super) fn in_seconds(&self) -> Option<bool> {
        let times = self.period * self.nominal;
        let other = UNITS.iter().any(|unit| (times / unit - 1.0).abs() < ABOUT);
        let counts = self.nominal >= COUNTED && (self.period - 1.0).abs() < 1e-6;
        self.known.then_some(!other && !counts)
    }
}
