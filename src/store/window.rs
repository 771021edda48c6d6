//! What was remembered between two times, whole: for those who pass it on, each scrape once and in order.

use tokio::sync::watch;

use super::{History, covers};
use crate::promql::{Labels, Sample, Select, Selection, Storage};

/// All samples of some time.
#[derive(Debug, Default, PartialEq)]
pub struct Window {
    /// Up to when, ms: no later than was asked for.
    pub to: i64,
    /// The samples of each series, in the order of their times. A staleness mark where a series ended.
    pub series: Vec<(Labels, Vec<Sample>)>,
    /// Why samples of this time are missing that are on disk; nothing where none are.
    pub missing: Option<String>,
}

impl History {
    /// The time of the last scrape that is whole, ms, whenever there is another one; the least number before the first.
    #[must_use]
    pub fn taken(&self) -> watch::Receiver<i64> {
        self.taken.subscribe()
    }

    /// Whether the file is not open yet, so that what is in it cannot be read now but will be.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        self.options.file.is_some() && self.readers.lock().is_none() && self.status.lock().failing.is_none()
    }

    /// Whether memory has every scrape after this time, ms.
    #[must_use]
    pub fn holds(&self, after: i64) -> bool {
        self.head.lock().span().is_some_and(|(start, _)| start <= after.saturating_add(1))
    }

    /// From one regular scrape to the next, ms.
    #[must_use]
    pub fn step(&self) -> i64 {
        i64::try_from(self.options.interval.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    /// The time of the oldest sample, in memory or in the file, as far as it can be read.
    #[must_use]
    pub fn oldest(&self) -> Option<i64> {
        let memory = self.head.lock().blocks(i64::MIN, i64::MAX).map(|block| block.start()).min();
        let memory = memory.or_else(|| self.head.lock().open_span().map(|(first, _)| first));
        let readers = self.readers.lock().clone();
        let file = readers.and_then(|readers| {
            let read = readers.with(|db| {
                db.query_row("SELECT min(start) FROM chunk", [], |row| row.get::<_, Option<i64>>(0))
            });
            self.was_read(&read);
            read.ok().flatten()
        });
        memory.into_iter().chain(file).min()
    }

    /// The samples between these times, both included. A window that memory holds in its open block costs no more than its samples.
    #[must_use]
    pub fn window(&self, from: i64, to: i64) -> Window {
        let mut to = to;
        let whole = {
            let head = self.head.lock();
            let open = head.open_span();
            if covers(head.span(), from, to) && head.blocks(from, to).next().is_none() {
                let series = head.series(None).filter_map(|(id, labels)| {
                    let samples = head.open_within(id, from, to);
                    (!samples.is_empty()).then(|| (labels.clone(), samples))
                });
                return Window { to, series: series.collect(), missing: None };
            }
            // What is sealed comes first: the open block is then read as above.
            if let Some((first, _)) = open.filter(|(first, _)| *first > from) {
                to = to.min(first - 1);
            }
            covers(head.span(), from, to)
        };
        let mut series = Vec::new();
        let selection =
            Selection { matchers: &[], from, to, step: 0, width: to.saturating_sub(from).saturating_add(1) };
        // It answers with what can be read; what cannot is in the log and in the status.
        let _ = self.select(&selection, &mut |labels, samples| {
            let within: Vec<Sample> =
                samples.iter().filter(|sample| (from..=to).contains(&sample.t)).copied().collect();
            if !within.is_empty() {
                series.push((labels.clone(), within));
            }
            Ok(())
        });
        Window { to, series, missing: if whole { None } else { self.note() } }
    }
}
