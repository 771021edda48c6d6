//! A sender's clock against this machine's, from questions and answers about the time.
//!
//! With the question sent at `a` and the answer here at `d` by this machine's clock, and the question there at `b` and
//! the answer sent at `c` by the sender's, the way there and back took `rtt = (d - a) - (c - b)`, and the clocks are
//! `((a - b) + (d - c)) / 2` apart, give or take half of `rtt`: the two ways may differ by all of it. Of the answers of
//! one burst the quickest counts. Time comes with the answers; no clock is read here.

use super::talk::TimeReply;

/// Offsets that are remembered for the drift, the newest last.
const KEPT: usize = 64;
/// Drift is reported from so many seconds on.
const ENOUGH: f64 = 60.0;
/// How far two clocks may run apart, as a share, before one was set.
const DRIFT: f64 = 500e-6;
/// A smaller step of a clock is none, seconds.
const JUMP: f64 = 0.001;

/// How far a sender's clock is from this machine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offset {
    /// When the answer came, seconds of this machine's clock.
    pub at: f64,
    /// What is added to a sender's timestamp to have it by this machine's clock, seconds.
    pub seconds: f64,
    /// How long the way there and back took, seconds.
    pub rtt: f64,
}

impl Offset {
    /// What one answer says. `sent` and `came` are when it was asked and when it came, by this machine's clock; what
    /// the answer repeats of that is not believed.
    #[must_use]
    pub fn of(sent: f64, reply: &TimeReply, came: f64) -> Option<Self> {
        let rtt = (came - sent) - (reply.answered - reply.came);
        // A sender whose answer took longer than the whole way is wrong by more than clocks are.
        let sane = came >= sent && reply.answered >= reply.came && rtt > -JUMP;
        let seconds = ((sent - reply.came) + (came - reply.answered)) / 2.0;
        sane.then_some(Self { at: came, seconds, rtt: rtt.max(0.0) })
    }

    /// By how much the true offset may differ, seconds.
    #[must_use]
    pub fn uncertainty(&self) -> f64 {
        self.rtt / 2.0
    }
}

/// What is known of a sender's clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    burst: Option<Offset>,
    kept: std::collections::VecDeque<Offset>,
    jumps: u64,
}

impl Clock {
    /// Sees one answer of a burst.
    pub fn observe(&mut self, offset: Offset) {
        if self.burst.is_none_or(|best| offset.rtt < best.rtt) {
            self.burst = Some(offset);
        }
    }

    /// The burst is over: its quickest answer is what is known from now on. Says whether there was one.
    pub fn settle(&mut self) -> bool {
        let Some(offset) = self.burst.take() else { return false };
        if let Some(last) = self.kept.back() {
            let doubt = last.uncertainty() + offset.uncertainty() + JUMP;
            let apart = (offset.at - last.at).max(0.0) * DRIFT;
            if (offset.seconds - last.seconds).abs() > doubt + apart {
                self.jumps += 1;
                // Before and after have no drift in common.
                self.kept.clear();
            }
        }
        if self.kept.len() >= KEPT {
            // Every second one goes: the memory stays, and reaches twice as far.
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.kept.push_back(offset);
        true
    }

    /// The sender was restarted, perhaps on a machine that was as well.
    pub fn restart(&mut self) {
        self.kept.clear();
        self.burst = None;
    }

    /// How far the clocks are apart, as the last burst found.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        self.kept.back().copied()
    }

    /// How often one of the clocks was set, so far.
    #[must_use]
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// How much faster the sender's clock runs than this machine's: 0.00005 are 50 ppm. The slope of the straight line
    /// that is nearest to the offsets; `None` until they are a minute's.
    #[must_use]
    pub fn drift(&self) -> Option<f64> {
        let (first, last) = (self.kept.front()?, self.kept.back()?);
        if last.at - first.at < ENOUGH {
            return None;
        }
        let count = self.kept.len() as f64;
        let (mut x, mut y) = (0.0, 0.0);
        for offset in &self.kept {
            x += (offset.at - first.at) / count;
            y += (offset.seconds - first.seconds) / count;
        }
        let (mut over, mut under) = (0.0, 0.0);
        for offset in &self.kept {
            let dx = offset.at - first.at - x;
            over += dx * (offset.seconds - first.seconds - y);
            under += dx * dx;
        }
        (under > 0.0).then(|| -over / under)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer on a way that takes `there` and `back`, from a clock that shows `ahead` more than this one.
    fn answer(at: f64, ahead: f64, there: f64, back: f64) -> Offset {
        let reply =
            TimeReply { wave: 0, asked: at, came: at + there + ahead, answered: at + there + ahead + 0.001 };
        Offset::of(at, &reply, at + there + 0.001 + back).unwrap()
    }

    #[test]
    fn the_quickest_answer_counts() {
        let mut clock = Clock::default();
        assert!(!clock.settle() && clock.offset().is_none());
        for (there, back) in [(0.02, 0.001), (0.001, 0.001), (0.001, 0.03)] {
            clock.observe(answer(100.0, 5.0, there, back));
        }
        assert!(clock.settle());
        let offset = clock.offset().unwrap();
        assert!((offset.seconds + 5.0).abs() < 1e-9 && (offset.rtt - 0.002).abs() < 1e-9, "{offset:?}");
        // However uneven the ways are, the truth is within the doubt.
        let uneven = answer(100.0, 5.0, 0.02, 0.0);
        assert!((uneven.seconds + 5.0).abs() <= uneven.uncertainty() + 1e-9);
    }

    #[test]
    fn a_clock_that_drifts_and_one_that_was_set() {
        let mut clock = Clock::default();
        let mut ahead = 1e6;
        for burst in 0..200 {
            assert_eq!(clock.drift().is_some(), burst >= 13, "{burst}");
            clock.observe(answer(f64::from(burst) * 5.0, ahead, 0.0005, 0.0005));
            clock.settle();
            ahead += 5.0 * 50e-6;
        }
        let drift = clock.drift().unwrap();
        assert!((drift - 50e-6).abs() < 1e-6 && clock.jumps() == 0, "{drift}");
        clock.observe(answer(1000.0, ahead + 0.01, 0.0005, 0.0005));
        clock.settle();
        assert_eq!((clock.jumps(), clock.drift()), (1, None));
    }

    #[test]
    fn answers_that_cannot_be() {
        let reply = |came, answered| TimeReply { wave: 0, asked: 0.0, came, answered };
        assert_eq!(Offset::of(1.0, &reply(5.0, 4.0), 1.1), None);
        assert_eq!(Offset::of(1.0, &reply(5.0, 9.0), 1.1), None);
        assert_eq!(Offset::of(1.0, &reply(5.0, 5.0), 0.9), None);
    }
}
