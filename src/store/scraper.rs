//! The thread that scrapes the agent itself.

use std::cell::RefCell;
use std::time::Duration;

use super::writer::Wait;
use super::{History, Options};
use crate::alert;
use crate::clock::now;
use crate::history::Changes;
use crate::promql::{Each, Error, Labels, Sample, Select, Selection};

/// Reads the text of a scrape.
pub(super) type ReadScrape<'r> = dyn FnMut(&str) + 'r;

/// Hands over the text of a scrape, whole, as Prometheus would get it.
pub type Scrape = dyn FnMut(&mut ReadScrape<'_>) + Send;

/// How late a scrape may be and still count as on time, ms. A regular time costs no bits; Prometheus allows 2 ms.
const LATE: i64 = 10;

/// Scrapes out of turn in a row.
const BURST: u64 = 20;
/// How often one more is allowed, ns: what flaps is looked at twice a second.
const PRICE: u64 = 500_000_000;
/// Two scrapes are never nearer to each other, ns: what changes together is seen together.
const NEAREST: u64 = 2_000_000;

/// A scrape that was taken, for an observer that adds to it.
#[derive(Debug)]
pub struct Tick<'h> {
    history: &'h History,
    changes: RefCell<Changes>,
}

/// Looks at each scrape, on the thread that takes them.
pub trait Observer: Send {
    /// A scrape was taken at `at`, ms; `woken` if out of turn, because something changed.
    fn observe(&mut self, at: i64, tick: &Tick<'_>, woken: bool);

    /// When it wants to see a scrape before the next regular one, ms since the epoch.
    fn due(&self) -> Option<i64>;

    /// There is no further scrape.
    fn end(&mut self);
}

impl Select for Tick<'_> {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        self.history.select(selection, each)
    }
}

impl alert::Storage for Tick<'_> {
    fn append(&self, labels: &Labels, sample: Sample) {
        self.history.head.lock().append(labels, sample.v, &mut self.changes.borrow_mut());
    }
}

/// When scrapes are taken.
struct Clock {
    /// From one regular scrape to the next: ns, ms.
    step: (u64, i64),
    /// The next regular one, ns of the steady clock.
    next: u64,
    /// The time of the last regular one, and of the last of all, ms.
    last: Option<(i64, i64)>,
    /// When the last one was taken, ns of the steady clock, and up to when scrapes out of turn are paid.
    taken: u64,
    paid: u64,
}

impl Clock {
    /// The time of a scrape that is taken now.
    fn time(&mut self, regular: bool) -> i64 {
        let (now, last) = (now(), self.last);
        let wall = now.wall_milliseconds();
        let on_time = last.map(|(regular, _)| regular.saturating_add(self.step.1));
        let time = match (on_time, last) {
            // Never ahead of the clock: Alertmanager takes an end that is to come for none.
            (Some(due), Some((_, before)))
                if regular && (0..=LATE).contains(&wall.saturating_sub(due)) && due > before =>
            {
                due
            }
            _ => wall,
        };
        let grid = last.map_or(time, |(grid, _)| if regular { time } else { grid });
        self.last = Some((grid, time));
        self.taken = now.steady;
        time
    }

    /// When the next scrape is taken for an observer that wants one at `due`, ns of the steady clock, and whether it is a regular one.
    fn then(&self, due: Option<i64>) -> (u64, bool) {
        let now = now();
        let due = due.filter(|due| {
            // The next regular one is near enough.
            let regular = self.last.map(|(grid, _)| grid.saturating_add(self.step.1));
            regular.is_none_or(|regular| *due < regular.saturating_sub(LATE))
        });
        let due = due.map(|due| {
            let left = u64::try_from(due.saturating_sub(now.wall_milliseconds())).unwrap_or(0);
            now.steady.saturating_add(left.saturating_mul(1_000_000)).max(self.taken + NEAREST)
        });
        match due.filter(|due| *due < self.next) {
            Some(due) => (due, false),
            None => (self.next, true),
        }
    }

    /// Up to when scrapes out of turn are paid with one more.
    fn paid_with_next(&self) -> u64 {
        self.paid.max(now().steady.saturating_sub(BURST * PRICE)) + PRICE
    }

    /// When the next scrape out of turn is allowed, ns of the steady clock.
    fn allowed(&self) -> u64 {
        self.paid_with_next().max(self.taken + NEAREST)
    }
}

pub(super) fn run(
    history: &History,
    options: &Options,
    mut scrape: Box<Scrape>,
    mut observer: Option<Box<dyn Observer>>,
) {
    let step = options.interval;
    let step = (step.as_nanos() as u64, i64::try_from(step.as_millis()).unwrap_or(i64::MAX));
    let mut clock = Clock { step, next: now().steady, last: None, taken: 0, paid: 0 };
    let (mut regular, mut woken) = (true, false);
    loop {
        let time = clock.time(regular);
        if regular {
            // What was missed while the machine slept is a gap.
            clock.next = (clock.next + step.0).max(now().steady);
        }
        take(history, time, &mut *scrape, &mut |tick| {
            if let Some(observer) = &mut observer {
                observer.observe(time, tick, woken);
            }
        });
        history.watch_writer();
        let due = observer.as_ref().and_then(|observer| observer.due());
        let mut wanted = false;
        (regular, woken) = loop {
            let (mut then, regular) = clock.then(due);
            if wanted {
                then = then.min(clock.allowed());
            }
            match history.queue.wait_until(then, observer.is_some()) {
                Wait::Stopped => {
                    if let Some(observer) = &mut observer {
                        observer.end();
                    }
                    history.queue.end();
                    return;
                }
                Wait::Woken => wanted = true,
                Wait::Over if wanted && clock.next > now().steady => {
                    clock.paid = clock.paid_with_next();
                    break (false, true);
                }
                Wait::Over => break (regular, wanted),
            }
        };
    }
}

pub(super) fn take(
    history: &History,
    time: i64,
    scrape: &mut dyn FnMut(&mut ReadScrape<'_>),
    observe: &mut dyn FnMut(&Tick<'_>),
) {
    let began = now().steady;
    let mut changes = None;
    scrape(&mut |text| {
        let took = Duration::from_nanos(now().steady.saturating_sub(began));
        let mut head = history.head.lock();
        let mut taking = head.take(time);
        taking.text(text);
        let (samples, added) = taking.counts();
        taking.text(&of_target(took, samples, added));
        changes = Some(taking.end());
    });
    let Some(changes) = changes else { return };
    let tick = Tick { history, changes: RefCell::new(changes) };
    observe(&tick);
    let mut changes = tick.changes.into_inner();
    let mut head = history.head.lock();
    head.end_made(&mut changes);
    // Without a file nothing waits for one.
    if history.options.file.is_some() && history.queue.push(changes) {
        history.queue.push_block(head.seal());
    }
    drop(head);
    let before = *history.taken.borrow();
    if time <= before || before == i64::MIN {
        *history.turn.lock() = (time, before);
    }
    history.taken.send_replace(time);
}

/// The series that a server adds of its own for each target.
fn of_target(took: Duration, samples: usize, added: usize) -> String {
    format!(
        "up 1\nscrape_duration_seconds {}\nscrape_samples_scraped {samples}\nscrape_samples_post_metric_relabeling {samples}\nscrape_series_added {added}\n",
        took.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scrape_is_ahead_of_the_clock() {
        let wall = now().wall_milliseconds();
        // The one before was late, so that the next one is due a little after it is taken.
        for (ahead, on_time) in [(5, false), (0, true), (-8, true), (-50, false)] {
            let last = wall - 1_000 + ahead;
            let mut clock =
                Clock { step: (1_000_000_000, 1_000), next: 0, last: Some((last, last)), taken: 0, paid: 0 };
            let time = clock.time(true);
            assert!(time <= now().wall_milliseconds(), "{ahead}");
            assert!(!on_time || time == last + 1_000 || now().wall_milliseconds() > wall + 2, "{ahead}");
        }
    }
}
