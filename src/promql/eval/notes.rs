//! Annotations of an answer: warnings and infos, each once, with its position in the expression.
//!
//! Facts, and the words: `util/annotations` of Prometheus.

use std::fmt::Write;

use crate::promql::functions::Forced;
use crate::promql::parser::place;
use crate::promql::text;

/// The annotations of an evaluation.
#[derive(Debug, Default)]
pub(in crate::promql) struct Notes {
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Note {
    warning: bool,
    text: String,
    place: usize,
    /// What is added at the end, of all times it was noted.
    forced: Option<Spell>,
}

/// When counts of buckets had to be changed, and by how much.
#[derive(Clone, Copy, Debug)]
struct Spell {
    first: i64,
    last: i64,
    samples: u64,
    all: Forced,
}

impl Notes {
    fn note(&mut self, warning: bool, text: String, place: usize) {
        if !self.notes.iter().any(|note| note.warning == warning && note.text == text) {
            self.notes.push(Note { warning, text, place, forced: None });
        }
    }

    /// A quantile that is none.
    pub(in crate::promql) fn quantile(&mut self, q: f64, place: usize) {
        if !(0.0..=1.0).contains(&q) {
            let text = format!("quantile value should be between 0 and 1, got {}", text::short(q));
            self.note(true, text, place);
        }
    }

    pub(in crate::promql) fn sort_in_range(&mut self, place: usize) {
        let text = "sort is ineffective for range queries since results are always ordered by labels";
        self.note(true, text.into(), place);
    }

    pub(in crate::promql) fn bad_bucket(&mut self, bound: &str, place: usize) {
        let bound = text::quoted(bound.as_bytes());
        self.note(true, format!("bucket label \"le\" is missing or has a malformed value of {bound}"), place);
    }

    /// A metric whose name is not that of a counter.
    pub(super) fn no_counter(&mut self, name: &str, place: usize) {
        if name.is_empty() || ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end)) {
            return;
        }
        let why = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:";
        self.note(false, format!("{why} {}", text::quoted(name.as_bytes())), place);
    }

    pub(in crate::promql) fn forced_monotonicity(&mut self, place: usize, time: i64, forced: Forced) {
        const TEXT: &str = "input to histogram_quantile needed to be fixed for monotonicity (see \
            https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        let spell = Spell { first: time, last: time, samples: 1, all: forced };
        match self.notes.iter_mut().find(|note| note.text == TEXT).map(|note| &mut note.forced) {
            Some(Some(known)) => {
                known.first = known.first.min(time);
                known.last = known.last.max(time);
                known.samples += 1;
                known.all.low = known.all.low.min(forced.low);
                known.all.high = known.all.high.max(forced.high);
                known.all.most = known.all.most.max(forced.most);
            }
            _ => self.notes.push(Note { warning: false, text: TEXT.into(), place, forced: Some(spell) }),
        }
    }

    /// Warnings and infos in the words of Prometheus, with their positions in `query`.
    pub(super) fn texts(&self, query: &str) -> (Vec<String>, Vec<String>) {
        let texts = |warning: bool| {
            let notes = self.notes.iter().filter(|note| note.warning == warning);
            notes.map(|note| note.text(query)).collect()
        };
        (texts(true), texts(false))
    }
}

impl Note {
    fn text(&self, query: &str) -> String {
        let kind = if self.warning { "warning" } else { "info" };
        let mut text = format!("PromQL {kind}: {}", self.text);
        if let Some(Spell { first, last, samples, all }) = self.forced {
            let (low, high, most) = (text::short(all.low), text::short(all.high), text::digits(all.most, 2));
            let (first, last) = (text::moment(first), text::moment(last));
            let _ = write!(
                text,
                ", from buckets {low} to {high}, with a max diff of {most}, over {samples} samples from {first} to {last}"
            );
        }
        format!("{text} ({})", place(query, self.place))
    }
}
