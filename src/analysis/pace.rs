//! How fast packets come, measured. What a device should send may be a guess (a board that is built or set otherwise),
//! and a guess is never held against a counter that goes round.
//!
//! A window goes from the end of one read to the end of a later one, half a second or more: however seldom packets
//! are handed on, what is counted between two such moments is what was sent between them. The pace is that of the
//! window in the middle: a stall makes one slow and the next one fast, a gap makes one slow. Windows without a
//! pause are asked first, since nothing can be hidden in them; where bursts are all there is, all are.

/// A window is at least so long, nanoseconds.
const WINDOW: u64 = 500_000_000;
/// Windows that are remembered.
const WINDOWS: usize = 16;
/// From so many windows without a pause on they say something.
const ENOUGH: usize = 2;
/// Or else from so many of all.
const ENOUGH_ALL: usize = 4;

/// The pace of one device.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the open window began, and how many packets there had been; and whether there was a pause since.
    open: Option<(u64, u64)>,
    paused: bool,
    /// Packets a second, and whether there was a pause.
    windows: [(f64, bool); WINDOWS],
    closed: usize,
}

impl Pace {
    /// A read is over: when it was, and how many packets there were until its end. `pause` says that nothing came for
    /// long after it.
    pub(super) fn observe(&mut self, at: u64, packets: u64, pause: bool) {
        let (began, before) = *self.open.get_or_insert((at, packets));
        if at.saturating_sub(began) >= WINDOW {
            let rate = packets.saturating_sub(before) as f64 / super::seconds(at - began);
            let place = self.closed % WINDOWS;
            if let Some(window) = self.windows.get_mut(place) {
                *window = (rate, self.paused);
                // Beyond the last place it goes round, and stays more than all of them.
                self.closed = if self.closed + 1 == 2 * WINDOWS { WINDOWS } else { self.closed + 1 };
            }
            (self.open, self.paused) = (Some((at, packets)), false);
        }
        self.paused |= pause;
    }

    /// Packets were found of which the open window knew nothing.
    pub(super) fn skip(&mut self) {
        (self.open, self.paused) = (None, false);
    }

    /// Packets a second, once that is known.
    pub(super) fn rate(&self) -> Option<f64> {
        let windows = self.windows.get(..self.closed.min(WINDOWS)).unwrap_or_default();
        let whole = windows.iter().filter(|(_, paused)| !paused).count();
        let (also, enough) = if whole >= ENOUGH { (false, ENOUGH) } else { (true, ENOUGH_ALL) };
        let mut rates = [0.0; WINDOWS];
        let mut count = 0;
        let asked = windows.iter().filter(|(_, paused)| also || !paused);
        for ((rate, _), place) in asked.zip(&mut rates) {
            *place = *rate;
            count += 1;
        }
        let rates = rates.get_mut(..count).filter(|rates| rates.len() >= enough)?;
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().filter(|rate| *rate > 0.0)
    }
}
