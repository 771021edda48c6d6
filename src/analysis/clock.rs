//! A device's clock against the machine's: how late its packets come, and how much faster or slower it runs.
//!
//! A device that sends `r` packets a second sends packet `n` at `n / r` by its own clock. When it arrives, so
//! much later than that, is made of what is always there (which nobody can see from here), of the drift of
//! the two clocks, and of what made this one wait. The least of it within some seconds is the quickest way
//! there is; what is beyond is delay. How the least moves over minutes is drift.
//!
//! Where packets are missing and no counter says so, nothing can be determined over the gap: it begins again.

use crate::event::Delay;

/// The quickest way is that of the current and the last of these windows.
const FLOOR: u64 = 2_000_000_000;
/// Of packets that were miscounted speaks a way that is so much quicker than the quickest, seconds.
const IMPOSSIBLE: f64 = 0.25;
/// Windows whose least is kept. When they are full, two and two become one, twice as long.
const WINDOWS: usize = 60;
/// The first length of such a window.
const WINDOW: u64 = 10_000_000_000;
/// The longest: drift is that of at most some three hours.
const WINDOW_LONGEST: u64 = 160_000_000_000;
/// Drift is reported from so many seconds on; before, a burst of an FTDI chip looks like drift.
const ENOUGH: f64 = 120.0;

/// A read that returned packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketRead {
    /// Nanoseconds by the steady clock.
    pub(super) at: u64,
    /// Packets counted until its end, those that are missing included.
    pub(super) packets: u64,
    /// Packets that it returned.
    pub(super) fresh: u32,
}

/// The clock of one device.
#[derive(Debug)]
pub(super) struct Clock {
    rate: f64,
    /// What times and packets are counted from.
    origin: Option<(u64, u64)>,
    /// The number of the current window, the least in it and in the one before it.
    floor: Option<(u64, f64, Option<f64>)>,
    /// The window that is open: when it began, and its least as (seconds, delay).
    open: Option<(u64, (f64, f64))>,
    /// Those that are closed, the oldest first.
    least: [(f64, f64); WINDOWS],
    closed: usize,
    window: u64,
}

impl Clock {
    /// The clock of a device of so many packets a second.
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate,
            origin: None,
            floor: None,
            open: None,
            least: [(0.0, 0.0); WINDOWS],
            closed: 0,
            window: WINDOW,
        }
    }

    /// Packets a second that it counts on.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Forgets everything: what comes next has nothing to do with what came before.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.rate);
    }

    /// How late a read was. `None` until the quickest way is known.
    pub(super) fn read(&mut self, read: PacketRead) -> Option<Delay> {
        if self.rate <= 0.0 {
            return None;
        }
        let (began, first) = *self.origin.get_or_insert((read.at, read.packets));
        let passed = super::seconds(read.at.saturating_sub(began));
        let sent = read.packets.saturating_sub(first) as f64 / self.rate;
        let late = passed - sent;

        let number = read.at / FLOOR;
        let (window, least, before) = self.floor.get_or_insert((number, late, None));
        if number == *window {
            *least = least.min(late);
        } else {
            (*window, *least, *before) = (number, late, Some(*least));
        }
        let before = (*before)?;
        let quickest = before.min(*least);
        if quickest < before - IMPOSSIBLE {
            self.restart();
            return None;
        }
        self.follow(read.at, passed, late);
        let newest = (late - quickest).max(0.0);
        let waited = f64::from(read.fresh.saturating_sub(1)) / self.rate;
        Some(Delay { newest, oldest: newest + waited, packets: read.fresh })
    }

    /// Keeps the least delay of each window.
    fn follow(&mut self, at: u64, passed: f64, late: f64) {
        let (began, least) = self.open.get_or_insert((at, (passed, late)));
        if at.saturating_sub(*began) < self.window {
            if late < least.1 {
                *least = (passed, late);
            }
            return;
        }
        let done = *least;
        self.open = Some((at, (passed, late)));
        if let Some(last) = self.closed.checked_sub(1).and_then(|last| self.least.get(last)) {
            // Over a long window a device that is far off drifts as much as packets are miscounted.
            let drifted = -self.drift().unwrap_or_default() * (done.0 - last.0);
            if (done.1 - last.1 - drifted).abs() > IMPOSSIBLE {
                self.restart();
                return;
            }
        }
        if self.closed == WINDOWS {
            self.thin();
        }
        if let Some(place) = self.least.get_mut(self.closed) {
            *place = done;
            self.closed += 1;
        }
    }

    /// Makes room: two windows become one, or the oldest goes.
    fn thin(&mut self) {
        if self.window >= WINDOW_LONGEST {
            self.least.rotate_left(1);
            self.closed -= 1;
            return;
        }
        for place in 0..WINDOWS / 2 {
            let pair = self.least.get(2 * place..2 * place + 2).unwrap_or_default();
            let lesser = pair.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
            if let (Some(lesser), Some(place)) = (lesser, self.least.get_mut(place)) {
                *place = lesser;
            }
        }
        self.closed = WINDOWS / 2;
        self.window *= 2;
    }

    /// How much faster than it should the device runs, by the machine's clock, as a share: 0.00005 are 50 ppm.
    /// The slope of the least delays over time, by least squares.
    pub(super) fn drift(&self) -> Option<f64> {
        let least = self.least.get(..self.closed)?;
        let (first, last) = (least.first()?, least.last()?);
        if last.0 - first.0 < ENOUGH {
            return None;
        }
        let count = least.len() as f64;
        let (t, d) = least.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let (t, d) = (t / count, d / count);
        let (over, under) = least.iter().fold((0.0, 0.0), |(over, under), one| {
            let from = one.0 - t;
            (over + from * (one.1 - d), under + from * from)
        });
        (under > 0.0).then(|| -over / under)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 1_700_000_000_000_000_000;

    /// Plays a device of 250 Hz that is `fast` by this share and sends bursts of four, with `late` seconds
    /// added to the burst of this number.
    fn play(
        clock: &mut Clock,
        bursts: std::ops::Range<u64>,
        fast: f64,
        late: impl Fn(u64) -> f64,
    ) -> Vec<Delay> {
        let read = |burst: u64| {
            let packets = 4 * (burst + 1);
            let seconds = packets as f64 / (250.0 * (1.0 + fast)) + 0.003 + late(burst);
            PacketRead { at: BEGAN.saturating_add_signed((seconds * 1e9) as i64), packets, fresh: 4 }
        };
        bursts.filter_map(|burst| clock.read(read(burst))).collect()
    }

    #[test]
    fn drift_is_told_to_a_few_parts_in_a_million() {
        for fast in [0.0, 50e-6, -200e-6, 0.003] {
            let mut clock = Clock::new(250.0);
            // Ten minutes, each burst up to 9 ms late, differently.
            play(&mut clock, 0..37_500, fast, |burst| (burst * 7919 % 10) as f64 * 1e-3);
            let reported = clock.drift().unwrap();
            assert!((reported - fast).abs() < 3e-6, "{reported} is not {fast}");
        }
    }

    #[test]
    fn drift_is_that_of_hours_in_bounded_memory() {
        let mut clock = Clock::new(250.0);
        play(&mut clock, 0..1_000_000, 20e-6, |burst| (burst * 7919 % 17) as f64 * 1e-3);
        assert!((clock.drift().unwrap() - 20e-6).abs() < 1e-7, "{:?}", clock.drift());
        assert_eq!(clock.window, WINDOW_LONGEST);
    }

    #[test]
    fn a_device_that_is_far_off_is_followed_for_hours() {
        let mut clock = Clock::new(250.0);
        play(&mut clock, 0..10_000, 0.005, |_| 0.0);
        // An hour and a half, looked at every 16 seconds.
        for step in 10..340 {
            play(&mut clock, 1000 * step..1000 * (step + 1), 0.005, |_| 0.0);
            let reported = clock.drift();
            assert!(reported.is_some_and(|drift| (drift - 0.005).abs() < 5e-5), "{step}: {reported:?}");
        }
    }

    #[test]
    fn no_drift_is_told_of_a_moment() {
        let mut clock = Clock::new(250.0);
        play(&mut clock, 0..6_000, 0.0, |_| 0.0);
        assert_eq!(clock.drift(), None);
    }

    #[test]
    fn what_is_late_is_delay() {
        let mut clock = Clock::new(250.0);
        let reported = play(&mut clock, 0..2_000, 10e-6, |burst| if burst == 1_900 { 0.040 } else { 0.0 });
        let late: Vec<&Delay> = reported.iter().filter(|delay| delay.newest > 0.001).collect();
        assert_eq!(late.len(), 1, "{late:?}");
        assert!((late[0].newest - 0.040).abs() < 1e-3 && (late[0].oldest - 0.052).abs() < 1e-3, "{late:?}");
        assert!(reported.iter().all(|delay| delay.packets == 4));
    }

    #[test]
    fn packets_that_were_miscounted_begin_it_anew() {
        let mut clock = Clock::new(250.0);
        let set = |burst: u64| if burst > 20_000 { -3600.0 } else { 0.0 };
        // An hour back is before the beginning; the rest is reported again in time.
        let reported = play(&mut clock, 0..40_000, 0.0, set);
        assert!(reported.iter().all(|delay| delay.newest < 0.01), "{reported:?}");
        assert!(clock.drift().unwrap().abs() < 3e-6);
    }
}
