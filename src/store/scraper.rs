//! The thread that scrapes the agent itself.

use std::time::Duration;

use super::{History, Options};
use crate::clock::now;
use crate::event::Timestamp;

/// Reads the text of a scrape.
pub(super) type Read<'r> = dyn FnMut(&str) + 'r;

/// Hands over the text of a scrape, whole, as Prometheus would get it.
pub type Scrape = dyn FnMut(&mut Read<'_>) + Send;

/// How late a scrape may be and still count as on time, ms. A regular time costs no bits; Prometheus allows 2 ms.
const LATE: i64 = 10;

pub(super) fn run(history: &History, options: &Options, mut scrape: Box<Scrape>) {
    let interval = i64::try_from(options.interval.as_millis()).unwrap_or(i64::MAX);
    let step = Duration::as_nanos(&options.interval) as u64;
    let mut next = now().steady;
    let mut last: Option<i64> = None;
    loop {
        let wall = wall(now());
        let time = match last.map(|last| last.saturating_add(interval)) {
            Some(due) if (wall - due).abs() <= LATE => due,
            _ => wall,
        };
        last = Some(time);
        take(history, time, &mut *scrape);
        history.watch_writer();
        // What was missed while the machine slept is a gap.
        next = (next + step).max(now().steady);
        if history.queue.stopped_until(next) {
            history.queue.end();
            return;
        }
    }
}

pub(super) fn take(history: &History, time: i64, scrape: &mut dyn FnMut(&mut Read<'_>)) {
    let began = now().steady;
    scrape(&mut |text| {
        let took = Duration::from_nanos(now().steady.saturating_sub(began));
        let mut head = history.head.lock();
        let mut taking = head.take(time);
        taking.text(text);
        let (samples, added) = taking.counts();
        taking.text(&of_target(took, samples, added));
        let changes = taking.end();
        // Without a file nothing waits for one.
        if history.options.file.is_some() && history.queue.push(changes) {
            history.queue.push_block(head.seal());
        }
    });
}

/// The series that a server adds of its own for each target.
fn of_target(took: Duration, samples: usize, added: usize) -> String {
    format!(
        "up 1\nscrape_duration_seconds {}\nscrape_samples_scraped {samples}\nscrape_samples_post_metric_relabeling {samples}\nscrape_series_added {added}\n",
        took.as_secs_f64()
    )
}

/// The wall clock, ms since the epoch.
pub(super) fn wall(now: Timestamp) -> i64 {
    i64::try_from(now.wall / 1_000_000).unwrap_or(i64::MAX)
}
