//! What was remembered between two times, whole: for those who pass it on, each scrape once and in order.

use std::collections::HashMap;

use tokio::sync::watch;

use super::{History, covers};
use crate::history::{Head, SeriesId};
use crate::promql::{Exemplar, Labels, Sample, Select, Selection, Storage};

/// All samples of some time.
#[derive(Debug, Default, PartialEq)]
pub struct Window {
    /// Up to when, ms: no later than was asked for.
    pub to: i64,
    /// What each series has of it.
    pub series: Vec<Stretch>,
    /// The number of the first exemplar that a later window may have; those that went before it was asked for are passed over.
    pub next: u64,
    /// Exemplars that it lacks: they went before they were asked for, or their series has no sample here.
    pub gone: u64,
    /// Why samples of this time are missing that are on disk; nothing where none are.
    pub missing: Option<String>,
}

/// What one series has between two times.
#[derive(Debug, PartialEq)]
pub struct Stretch {
    /// Its labels.
    pub labels: Labels,
    /// In the order of their times. A staleness mark where the series ended.
    pub samples: Vec<Sample>,
    /// When it began to count, ms, where that is known: samples of that time and later are of this life.
    pub began: Option<i64>,
    /// Exemplars that scrapes of this time showed first, in that order.
    pub exemplars: Vec<Exemplar>,
}

impl History {
    /// The time of the last scrape that is whole, ms, whenever there is another one; the least number before the first.
    #[must_use]
    pub fn taken(&self) -> watch::Receiver<i64> {
        self.taken.subscribe()
    }

    /// The first scrape since the clock was set back the last time, or of all, and the scrape before it, ms; the least number where there
    /// was none.
    #[must_use]
    pub fn turn(&self) -> (i64, i64) {
        *self.turn.lock()
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

    /// The samples between these times, both included, and the exemplars from number `since` on that were shown up to then. A window that
    /// memory holds in its open block costs no more than its samples.
    #[must_use]
    pub fn window(&self, from: i64, to: i64, since: u64) -> Window {
        let mut window = Window { to, ..Window::default() };
        let whole = {
            let head = self.head.lock();
            let open = head.open_span();
            if covers(head.span(), from, to) && head.blocks(from, to).next().is_none() {
                let mut exemplars = window.exemplars_of(&head, since);
                window.series = (head.series(None))
                    .filter_map(|(id, labels)| {
                        let samples = head.open_within(id, from, to);
                        (!samples.is_empty()).then(|| Stretch {
                            labels: labels.clone(),
                            samples,
                            began: head.began(id),
                            exemplars: exemplars.remove(&id).unwrap_or_default(),
                        })
                    })
                    .collect();
                window.gone += exemplars.values().map(|all| all.len() as u64).sum::<u64>();
                return window;
            }
            // What is sealed comes first: the open block is then read as above.
            if let Some((first, _)) = open.filter(|(first, _)| *first > from) {
                window.to = to.min(first - 1);
            }
            covers(head.span(), from, to)
        };
        self.read_window(from, since, &mut window);
        window.missing = if whole { None } else { self.note() };
        window
    }

    /// Reads what memory alone, or its open block alone, does not have.
    fn read_window(&self, from: i64, since: u64, window: &mut Window) {
        let to = window.to;
        let selection =
            Selection { matchers: &[], from, to, step: 0, width: to.saturating_sub(from).saturating_add(1) };
        // It answers with what can be read; what cannot is in the log and in the status.
        let _ = self.select(&selection, &mut |labels, samples| {
            let within: Vec<Sample> =
                samples.iter().filter(|sample| (from..=to).contains(&sample.t)).copied().collect();
            if !within.is_empty() {
                let labels = labels.clone();
                window.series.push(Stretch { labels, samples: within, began: None, exemplars: Vec::new() });
            }
            Ok(())
        });
        let head = self.head.lock();
        let mut exemplars = window.exemplars_of(&head, since);
        let ids: HashMap<&Labels, SeriesId> = head.series(None).map(|(id, labels)| (labels, id)).collect();
        for stretch in &mut window.series {
            let Some(id) = ids.get(&stretch.labels) else { continue };
            stretch.began = head.began(*id);
            stretch.exemplars = exemplars.remove(id).unwrap_or_default();
        }
        window.gone += exemplars.values().map(|all| all.len() as u64).sum::<u64>();
    }
}

impl Window {
    /// The exemplars that belong to it, by series.
    fn exemplars_of(&mut self, head: &Head, since: u64) -> HashMap<SeriesId, Vec<Exemplar>> {
        let shown = head.shown_exemplars(since, self.to);
        (self.next, self.gone) = (shown.next, shown.gone.saturating_sub(since));
        let mut by_series: HashMap<SeriesId, Vec<Exemplar>> = HashMap::new();
        for (id, text) in shown.all {
            by_series.entry(id).or_default().extend(Exemplar::read(text));
        }
        by_series
    }
}
