//! How a program's stream is: what its times and values showed since the last report.
//!
//! It counts nothing itself; decoders do.

use super::super::Feed;
use crate::decode::lsl::Stamps;
use crate::event::{Body, StreamName, StreamState};

/// Ages of samples that are reported in one second, at most.
const AGES: usize = 256;
/// Rates by the sender's time are those of so many seconds.
const RATED: u64 = 10;

/// What was reported for a stream, and what was not yet.
#[derive(Debug, Default)]
pub(super) struct State {
    stamps: Stamps,
    not_finite: u64,
    restarts: u64,
    passed: u64,
    ages: Vec<f64>,
}

impl State {
    /// Remembers how old the newest sample of a read was, seconds.
    pub(super) fn age(&mut self, seconds: f64) {
        if self.ages.len() < AGES {
            self.ages.push(seconds);
        }
    }

    /// Reports what happened since the last report.
    pub(super) fn report(
        &mut self,
        feed: &Feed,
        name: StreamName<'_>,
        stamps: &mut Stamps,
        [not_finite, restarts]: [u64; 2],
        nominal: f64,
    ) {
        self.passed += 1;
        let rate = if self.passed.is_multiple_of(RATED) { stamps.rate() } else { None };
        let before = std::mem::replace(&mut self.stamps, *stamps);
        let state = StreamState {
            name,
            reconnects: restarts - std::mem::replace(&mut self.restarts, restarts),
            gaps: stamps.gaps - before.gaps,
            missing: stamps.missing - before.missing,
            in_seconds: stamps.in_seconds(),
            irregular: stamps.irregular - before.irregular,
            backward: stamps.backward - before.backward,
            not_finite: not_finite - std::mem::replace(&mut self.not_finite, not_finite),
            ages: &self.ages,
            rate: rate.map(|rate| (rate, (nominal > 0.0).then(|| rate / nominal))),
            ..StreamState::default()
        };
        feed.send(Body::StreamState(&state));
        self.ages.clear();
    }
}
