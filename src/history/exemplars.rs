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
    all: VecDeque<(SeriesId, i64, Box<str>)>,
    /// The time of the last one of each series: a scrape shows it until the next observation.
    last: HashMap<SeriesId, i64>,
}

impl Exemplars {
    /// Takes what stands behind the value of a series: `{trace_id="…"} value seconds`.
    pub(super) fn take(&mut self, id: SeriesId, text: &str) {
        let Some(time) = time(text).filter(|_| text.len() <= LONGEST) else { return };
        if self.last.get(&id).is_some_and(|last| *last == time) {
            return;
        }
        if self.all.len() >= MOST {
            self.pop();
        }
        self.last.insert(id, time);
        self.all.push_back((id, time, text.into()));
    }

    /// Lets go what is older than this time.
    pub(super) fn forget(&mut self, before: i64) {
        while self.all.front().is_some_and(|(_, time, _)| *time < before) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((id, time, _)) = self.all.pop_front()
            && self.last.get(&id) == Some(&time)
        {
            self.last.remove(&id);
        }
    }

    /// Those between these times.
    pub(super) fn between(&self, from: i64, to: i64) -> impl Iterator<Item = (SeriesId, &str)> {
        let within = self.all.iter().filter(move |(_, time, _)| (from..=to).contains(time));
        within.map(|(id, _, text)| (*id, &**text))
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
            all.take(1, r#"{trace_id="a"} 0.5 10.5"#);
            all.take(2, r#"{trace_id="a"} 0.5 10.5"#);
        }
        all.take(1, r#"{trace_id="b"} 0.7 12"#);
        for wrong in
            ["", "{} 1", r#"{trace_id="a"} 0.5 noon"#, &format!("{{a=\"{}\"}} 1 13", "x".repeat(LONGEST))]
        {
            all.take(1, wrong);
        }
        assert_eq!(found(&all).len(), 3);
        assert_eq!(all.between(11_000, 12_000).count(), 1);
        all.forget(11_000);
        assert_eq!(found(&all), [(1, r#"{trace_id="b"} 0.7 12"#.to_owned())]);
        for number in 0..2 * MOST as u32 {
            all.take(number, &format!("{{trace_id=\"c\"}} 1 {number}"));
        }
        assert_eq!((all.all.len(), all.last.len()), (MOST, MOST));
        assert!(all.between(0, 9_000_000).next().is_none());
    }
}
