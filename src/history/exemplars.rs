//! Exemplars of the past: which trace an observation belonged to. In memory alone, as a Prometheus keeps them, a bounded number.

use std::collections::{HashMap, VecDeque};

use super::SeriesId;

/// Exemplars that are kept; the oldest goes first. They take 1 to 2 MB.
const MOST: usize = 10_000;
/// Bytes of one.
const LONGEST: usize = 256;

/// Exemplars in the order in which scrapes showed them.
#[derive(Debug, Default)]
pub(super) struct Exemplars {
    all: VecDeque<RingEntry>,
    /// How many went that were before the first of them.
    gone: u64,
    /// The time of the last one of each series: a scrape shows it until the next observation.
    last: HashMap<SeriesId, i64>,
    /// What was observed before is not kept, ms.
    since: i64,
}

#[derive(Debug)]
struct RingEntry {
    id: SeriesId,
    /// When it was observed, ms.
    time: i64,
    /// When a scrape showed it first, ms.
    shown: i64,
    text: Box<str>,
}

/// Exemplars for those who pass them on, each once and in order.
#[derive(Debug)]
pub struct ExemplarSlice<'e> {
    /// How many there were before the first that is here.
    pub gone: u64,
    /// From where to ask the next time.
    pub next: u64,
    /// The series and text of each.
    pub all: Vec<(SeriesId, &'e str)>,
}

impl Exemplars {
    /// Takes what stands behind the value of a series in the scrape of this time: `{trace_id="…"} value seconds`.
    pub(super) fn take(&mut self, id: SeriesId, text: &str, shown: i64) {
        let Some(time) = time(text).filter(|_| text.len() <= LONGEST) else { return };
        // A scrape shows it until the next observation, also when it is too old to be kept.
        if time < self.since || self.last.get(&id).is_some_and(|last| *last == time) {
            return;
        }
        if self.all.len() >= MOST {
            self.pop();
        }
        self.last.insert(id, time);
        self.all.push_back(RingEntry { id, time, shown, text: text.into() });
    }

    /// Says that the clock was set back to this time: what was shown before is not ahead of it.
    pub(super) fn set_back(&mut self, to: i64) {
        self.all.iter_mut().for_each(|one| one.shown = one.shown.min(to));
    }

    /// Those that were shown up to this time, from number `since` on: they are numbered as they came.
    pub(super) fn shown(&self, since: u64, to: i64) -> ExemplarSlice<'_> {
        let skipped = usize::try_from(since.saturating_sub(self.gone)).unwrap_or(usize::MAX);
        let shown = self.all.iter().skip(skipped).take_while(|one| one.shown <= to);
        let all: Vec<(SeriesId, &str)> = shown.map(|one| (one.id, &*one.text)).collect();
        ExemplarSlice { gone: self.gone, next: since.max(self.gone) + all.len() as u64, all }
    }

    /// Lets go what is older than this time.
    pub(super) fn forget(&mut self, before: i64) {
        self.since = before;
        while self.all.front().is_some_and(|one| one.time < before) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(one) = self.all.pop_front() else { return };
        self.gone += 1;
        if self.last.get(&one.id) == Some(&one.time) {
            self.last.remove(&one.id);
        }
    }

    /// Those between these times.
    pub(super) fn between(&self, from: i64, to: i64) -> impl Iterator<Item = (SeriesId, &str)> {
        let within = self.all.iter().filter(move |one| (from..=to).contains(&one.time));
        within.map(|one| (one.id, &*one.text))
    }
}

/// The time of an exemplar, ms since the epoch.
fn time(text: &str) -> Option<i64> {
    let (rest, seconds) = text.rsplit_once(' ')?;
    rest.strip_prefix('{')?.rsplit_once("} ")?;
    let seconds = seconds.parse::<f64>().ok()?;
    let ms = seconds * 1000.0;
    (ms.abs() < 9e15).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(all: &Exemplars) -> Vec<(SeriesId, String)> {
        all.between(i64::MIN, i64::MAX).map(|(id, text)| (id, text.to_owned())).collect()
    }

    #[test]
    fn each_is_kept_once_and_the_oldest_goes_first() {
        let mut all = Exemplars::default();
        for _ in 0..3 {
            all.take(1, r#"{trace_id="a"} 0.5 10.5"#, 0);
            all.take(2, r#"{trace_id="a"} 0.5 10.5"#, 0);
        }
        all.take(1, r#"{trace_id="b"} 0.7 12"#, 0);
        for wrong in
            ["", "{} 1", r#"{trace_id="a"} 0.5 noon"#, &format!("{{a=\"{}\"}} 1 13", "x".repeat(LONGEST))]
        {
            all.take(1, wrong, 0);
        }
        assert_eq!(found(&all).len(), 3);
        assert_eq!(all.between(11_000, 12_000).count(), 1);
        all.forget(11_000);
        all.take(2, r#"{trace_id="a"} 0.5 10.5"#, 0);
        assert_eq!(found(&all), [(1, r#"{trace_id="b"} 0.7 12"#.to_owned())]);
        for number in 11..11 + 2 * MOST as u32 {
            all.take(number, &format!("{{trace_id=\"c\"}} 1 {number}"), 0);
        }
        assert_eq!((all.all.len(), all.last.len()), (MOST, MOST));
        assert!(all.between(0, 9_000_000).next().is_none());
    }

    #[test]
    fn who_passes_them_on_gets_each_once_and_hears_how_many_went() {
        let mut all = Exemplars::default();
        let take = |all: &mut Exemplars, at: u32, shown: i64| {
            all.take(at, &format!("{{trace_id=\"{at}\"}} 1 {at}"), shown);
        };
        let shown = |all: &Exemplars, since: u64, to: i64| {
            let shown = all.shown(since, to);
            (shown.gone, shown.next, shown.all.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        };
        (0..5).for_each(|at| take(&mut all, at, 1_000 * i64::from(at)));
        assert_eq!(shown(&all, 0, 2_500), (0, 3, vec![0, 1, 2]));
        assert_eq!(shown(&all, 3, 2_500), (0, 3, vec![]));
        assert_eq!(shown(&all, 3, 9_000), (0, 5, vec![3, 4]));
        // The clock is set back: what it was shown before is not held back until it was there again.
        take(&mut all, 5, 9_000);
        all.set_back(500);
        take(&mut all, 6, 500);
        assert_eq!(shown(&all, 5, 500), (0, 7, vec![5, 6]));
        all.forget(6_000);
        assert_eq!(shown(&all, 3, 9_000), (6, 7, vec![6]));
    }
}
