//! What the timestamps of a stream's samples say: gaps, uneven steps, steps back, and the rate.
//!
//! No field of the wire counts samples, so missing samples are derived from timestamps alone. A stamp says when a
//! sample was pushed, or when the program thinks that it was taken, and a gap in stamps need not be a loss. It
//! counts as one only as far as
//!
//! - **the samples around it do not make up for it.** A program that polls its device pushes in groups, one that stood
//!   still catches up, packets overtake each other: so many samples more follow, or went before, as the gap is long.
//!   What is judged is the *level*: how many samples are missing at a stamp by its time and the measured period. A gap
//!   lifts it, samples that follow one another closely let it fall. What is left when it falls no further is missing.
//! - **the stream has the period that the gap is measured by.** It is measured, not believed: a stream that is
//!   declared with 250 Hz and sends 125 is slow, and one whose stamps count microseconds has no gaps of days.
//! - **arrivals agree.** Where samples came before and after a gap as fast as they are made, and none was waited for, a
//!   clock was set. Where they come faster than that they were kept somewhere, and say nothing.
//! - **the clock was not just set back by as much.** What goes back and forth again is out of order.
//!
//! In a stream with even stamps, one sample that is missing is seen; else only what is a tenth of a second and more.
//! One stamp can be wrong, so that nothing is believed before the stamps that follow: see [`BELIEVED`]. A stamp that is
//! deduced, or closer to the one before than samples are, says nothing of its own: its sample is one more before the
//! next that does.

mod arrivals;
mod pace;
#[cfg(test)]
mod tests;

use arrivals::Arrivals;
use pace::{Pace, TOGETHER};

/// A gap of so many seconds is one, however uneven the stamps.
const HOLE: f64 = 0.1;
/// Stamps one after the other, all behind or ahead of where they should be, after which they are believed. One is a
/// mistake, and two may have overtaken each other; a mistake that is made three times is no worse than a clock.
const BELIEVED: u32 = 3;
/// The same after a gap of even stamps that is longer than [`HOLE`]: a program that stood still may catch up slowly.
const BELIEVED_LONG: u32 = 8;
/// The same where stamps are uneven, in seconds' worth of samples.
const CATCHING_UP: f64 = 0.5;
/// And a gap is more than so many times what steps are usually off.
const NOISE: f64 = 4.0;
/// A gap longer than this many seconds is compared with arrivals, which come in bursts.
const COARSE: f64 = 0.25;
/// A gap of fewer samples is small, as is one that is shorter than [`HOLE`].
const SMALL: f64 = 10.0;
/// How near to whole a small gap of even stamps has to be: a program that was late by a part of a period lost nothing.
const WHOLE: f64 = 0.12;
/// By how much the level of even stamps may fall while it stays where it is.
const SLACK: f64 = 0.25;
/// A stamp says nothing of its own that is nearer than this share of a period to the last one that did.
const NEAR_LAST: f64 = 0.75;
/// The same of the one before.
const NEAR_BEFORE: f64 = 0.2;
/// Seconds within which a clock that was set back by less is expected to be set forth again.
const FORTH: f64 = 1.0;
/// What is beyond is no time, in whatever unit.
const FARTHEST: f64 = 1e20;
/// The largest gap, samples: at most what a float holds exactly.
const MOST: f64 = 1e9;

/// What the timestamps said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stamps {
    /// The timestamp of the last sample, seconds of the sender's clock, right or wrong.
    pub last: Option<f64>,
    /// Samples.
    pub samples: u64,
    /// Holes in which samples are missing, each as soon as the stamps after it say that it is one.
    pub gaps: u64,
    /// Samples that are missing in them.
    pub missing: u64,
    /// Steps that are more than half a period from being one, gaps left out.
    pub irregular: u64,
    /// Steps back.
    pub backward: u64,
    nominal: f64,
    pace: Pace,
    arrivals: Arrivals,
    /// The last stamp that said something, and how many samples came since, and how many of them without a stamp.
    point: Option<f64>,
    since: u64,
    unstamped: u64,
    /// Samples that are missing at the last point, by its time and the period.
    level: f64,
    away: Away,
    /// By how many samples the clock was set back last, and to what, if it was not set forth again.
    back: Option<(f64, f64)>,
    /// Holes and samples of a stream that is not known to be even yet: they count once it is.
    early: (u64, u64),
    window: Option<Window>,
}

/// A stamp that said something.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    stamp: f64,
    /// Seconds since the point before.
    step: f64,
    /// Samples since the point before.
    samples: u64,
    /// Seconds since the sample before.
    last: f64,
    /// Samples until here.
    until: u64,
}

/// Where the level is while it is not where it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Away {
    /// Points at this level or above, one after the other; 0 if the level is where it should be.
    calm: u32,
    /// The level at the first of them, and the samples until there.
    mark: f64,
    since: u64,
    /// Steps up, and those until the mark.
    jumps: (u64, u64),
    /// Samples with an irregular step that is none up.
    irregular: u64,
    /// By how much of a period the steps up were off whole ones.
    off: f64,
}

/// Where the rate is measured: the first stamp and the last that is sure, each with the samples until there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    first: (f64, u64),
    last: (f64, u64),
}

impl Stamps {
    /// Of a stream of so many samples per second; 0 if it has no rate.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { nominal: rate, pace: Pace::new(rate), ..Self::default() }
    }

    /// The samples that are seen next came at this time, seconds of any clock that is never set.
    pub fn came(&mut self, at: f64) {
        self.arrivals.came(at);
    }

    /// Sees the timestamp of one sample; `None` if it is to be deduced from the one before.
    pub fn observe(&mut self, stamp: Option<f64>) {
        self.samples += 1;
        self.since += 1;
        let Some(stamp) = stamp.filter(|stamp| stamp.abs() < FARTHEST) else {
            self.deduce();
            return;
        };
        let Some(before) = self.last.replace(stamp) else {
            (self.point, self.since) = (Some(stamp), 0);
            self.begin(stamp, self.samples);
            return;
        };
        self.backward += u64::from(stamp < before);
        self.unstamped = 0;
        let step = stamp - self.point.unwrap_or(stamp);
        let period = self.pace.period();
        if self.nominal <= 0.0 {
            self.follow(stamp, step);
            return;
        }
        let near = NEAR_LAST * period;
        if stamp >= before && (step.abs() < near || stamp - before < NEAR_BEFORE * period) {
            let odd = self.is_odd(stamp - before);
            let count = if self.away.calm > 0 { &mut self.away.irregular } else { &mut self.irregular };
            *count += u64::from(odd);
            return;
        }
        let samples = std::mem::take(&mut self.since);
        self.point = Some(stamp);
        let point = Point { stamp, step, samples, last: stamp - before, until: self.samples };
        if self.pace.is_known() {
            self.walk(&point);
        } else if let Some((held, count)) = self.pace.learn(point) {
            held.iter().take(count).for_each(|point| self.walk(point));
        }
    }

    /// A sample without a stamp of its own.
    fn deduce(&mut self) {
        let Some(last) = self.last else {
            self.since = 0;
            return;
        };
        self.last = Some(last + if self.nominal > 0.0 { 1.0 / self.nominal } else { 0.0 });
        self.unstamped += 1;
        // Who stamps nothing else for a second is believed.
        if self.away.calm > 0 && self.away.mark > 0.0 && self.unstamped as f64 > self.nominal {
            self.settle();
        }
    }

    /// A stamp of a stream without a rate: only that time continues is known of it.
    fn follow(&mut self, stamp: f64, step: f64) {
        if step >= 0.0 {
            self.point = Some(stamp);
            self.away.calm = 0;
            self.sure(stamp, self.samples);
            return;
        }
        self.away.calm += 1;
        if self.away.calm >= BELIEVED {
            self.point = Some(stamp);
            self.begin(stamp, self.samples);
        }
    }

    /// Samples that are missing are seen from here on.
    fn tolerance(&self, samples: u64) -> f64 {
        let coarse =
            (HOLE / self.pace.period()).max(2.5).max(samples as f64 / 8.0).max(NOISE * self.pace.noise());
        // What is not in seconds has no tenth of one.
        let coarse = if self.in_seconds() == Some(false) { samples as f64 / 2.0 + 2.5 } else { coarse };
        if self.pace.is_even() { 0.5 } else { coarse }
    }

    /// Goes on by one point.
    fn walk(&mut self, point: &Point) {
        let off = point.step / self.pace.period() - point.samples as f64;
        self.pace.rest(off);
        let tolerance = self.tolerance(point.samples);
        let before = self.level;
        self.level += off;
        let away = self.away;
        let home = if away.calm > 0 && !self.pace.is_even() { tolerance / 2.0 } else { tolerance };
        if self.level.abs() < home {
            // Of what was away the stamps were wrong, or were made up for.
            self.irregular +=
                away.jumps.0 + away.irregular + u64::from(self.is_odd(point.last) && before >= -home);
            if away.calm == 0 {
                self.prove(off.abs());
                self.pace.observe(point);
            }
            self.level /= 2.0;
            self.away = Away::default();
            self.arrivals.mark(self.samples, self.pace.period());
            self.sure(point.stamp, point.until);
            return;
        }
        self.leave(point, off, tolerance);
        if self.level < 0.0 {
            self.pace.observe(point);
            if self.away.calm >= BELIEVED {
                self.set_back(point);
            }
        } else if self.is_calm(point.until) {
            self.settle();
        }
    }

    /// The level is not where it should be.
    fn leave(&mut self, point: &Point, off: f64, tolerance: f64) {
        let odd = self.is_odd(point.last);
        let (level, slack) = (self.level, if self.pace.is_even() { SLACK } else { tolerance / 4.0 });
        let away = &mut self.away;
        if (away.mark > 0.0) != (level > 0.0) && away.calm > 0 {
            // It was here a moment ago and there now: uneven, whatever it is.
            let irregular = away.irregular + away.jumps.0;
            let jumped = std::mem::replace(away, Away { irregular, ..Away::default() }).off;
            if jumped > pace::EVEN {
                self.pace.spoil();
            }
        }
        let away = &mut self.away;
        let up = off >= tolerance && level > 0.0;
        if up {
            away.jumps.0 += 1;
            away.off = away.off.max((off - off.round()).abs());
        } else {
            if off <= -tolerance && level > 0.0 {
                away.jumps.0 = away.jumps.0.saturating_sub(1).max(1);
            }
            away.irregular += u64::from(odd);
        }
        let stays =
            away.calm > 0 && level >= away.mark - slack && (level > 0.0 || level <= away.mark + slack);
        if stays {
            away.calm = away.calm.saturating_add(1);
            self.pace.hold(point);
        } else {
            self.pace.let_go();
            (away.calm, away.mark, away.jumps.1, away.since) = (1, level, away.jumps.0, point.until);
        }
    }

    /// Whether the level stays long enough where it is, so many samples on, that nobody catches up any more.
    fn is_calm(&self, until: u64) -> bool {
        let Away { calm, mark, since, .. } = self.away;
        if !self.pace.is_even() {
            let enough = (self.nominal * CATCHING_UP).max(TOGETHER * self.pace.noise());
            return calm >= BELIEVED && until.saturating_sub(since) as f64 >= enough;
        }
        calm >= if mark * self.pace.period() < HOLE { BELIEVED } else { BELIEVED_LONG }
    }

    /// What is missing up to the mark is not made up for any more.
    fn settle(&mut self) {
        let Away { mark, jumps, irregular, off, .. } = self.away;
        let period = self.pace.period();
        let seconds = mark * period;
        let mut lost = mark.round().clamp(1.0, MOST);
        let small = seconds < HOLE || mark < SMALL;
        let forth = |(by, to): (f64, f64)| {
            let since = self.point.unwrap_or(to) - to - seconds;
            (mark - by).abs() <= (0.05 * mark).max(1.5) && since < FORTH.max(by * period)
        };
        if small && self.pace.is_even() && (mark - lost).abs() > WHOLE {
            // Late by a part of a period, and for good: the program stamps when it gets to it.
            self.pace.spoil();
            lost = 0.0;
        } else if self.back.is_some_and(forth) {
            (lost, self.back, self.window) = (0.0, None, None);
        } else if self.in_seconds() == Some(true)
            && let Some(rise) = self.arrivals.rise(self.samples, period)
            && seconds > COARSE
            && (mark - rise) * period > COARSE
        {
            lost = if rise * period > COARSE { rise.round().clamp(0.0, lost) } else { 0.0 };
            // No rate can be measured across a clock that was set.
            self.window = None;
        }
        self.pace.see_held();
        self.irregular += irregular;
        match lost as u64 {
            0 => self.irregular += jumps.1,
            lost if small && self.pace.is_even() && !self.pace.is_proven() => {
                (self.early.0, self.early.1) = (self.early.0 + jumps.1, self.early.1 + lost);
            }
            lost => self.count(jumps.1.max(1), lost),
        }
        if off > pace::EVEN && small {
            self.pace.spoil();
        }
        self.level -= mark;
        // What continued to rise is away from the new level as it was from the old one.
        let jumps = jumps.0.saturating_sub(jumps.1);
        self.away = if jumps > 0 && self.level >= 0.5 {
            Away { calm: 1, mark: self.level, since: self.samples, jumps: (jumps, jumps), ..Away::default() }
        } else {
            Away::default()
        };
    }

    fn count(&mut self, gaps: u64, missing: u64) {
        self.gaps += gaps;
        self.missing = self.missing.saturating_add(missing);
    }

    /// The clock was set back, and stays there.
    fn set_back(&mut self, point: &Point) {
        self.back = Some((-self.away.mark, point.stamp)).filter(|(by, _)| *by >= f64::from(BELIEVED));
        self.begin(point.stamp, point.until);
    }

    /// A step was so much off.
    fn prove(&mut self, off: f64) {
        let proven = self.pace.prove(off);
        if proven {
            let (gaps, missing) = std::mem::take(&mut self.early);
            self.count(gaps, missing);
        } else if !self.pace.is_even() {
            self.early = (0, 0);
        }
    }

    /// Whether a step forward from one sample to the next is no period.
    fn is_odd(&self, step: f64) -> bool {
        step >= 0.0 && (step / self.pace.period() - 1.0).abs() > 0.5
    }

    /// The time of the stream begins here, or again: the rate is measured from here on.
    fn begin(&mut self, stamp: f64, until: u64) {
        self.window = None;
        self.sure(stamp, until);
        (self.level, self.away) = (0.0, Away::default());
        self.arrivals.restart();
    }

    /// The stream surely was at a stamp.
    fn sure(&mut self, stamp: f64, until: u64) {
        let here = (stamp, until);
        let window = self.window.get_or_insert(Window { first: here, last: here });
        window.last = here;
    }

    /// Whether stamps are in seconds. `None` until it is known, and of a stream without a rate.
    #[must_use]
    pub fn in_seconds(&self) -> Option<bool> {
        let told = self.pace.in_seconds()?;
        // A stream that is slower by as much has seconds.
        Some(told || self.arrivals.has_period(self.samples, self.pace.period()))
    }

    /// Samples per second since this was asked before, by the sender's clock, gaps included. `None` if there were
    /// fewer than two, or if stamps are not in seconds.
    pub fn rate(&mut self) -> Option<f64> {
        let window = self.window.as_mut()?;
        let steps = window.last.1.saturating_sub(window.first.1);
        let took = window.last.0 - window.first.0;
        if steps == 0 || took <= 0.0 {
            return None;
        }
        window.first = window.last;
        (self.in_seconds() != Some(false)).then_some(steps as f64 / took)
    }

    /// What comes next has nothing to do with what came before.
    pub fn restart(&mut self) {
        let Self { samples, gaps, missing, irregular, backward, nominal, .. } = *self;
        *self = Self { samples, gaps, missing, irregular, backward, ..Self::new(nominal) };
    }
}
