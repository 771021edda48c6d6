//! What the agent counts of remote write and of pushes, by target.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{DroppedSamples, PushResult, Pushed};

/// What became of samples, by target.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    pub(super) sent: Family<Pushed, Counter>,
    pub(super) dropped: Family<DroppedSamples, Counter>,
    pub(super) exemplars: Family<PushResult, Counter>,
    pub(super) retries: Family<Pushed, Counter>,
    pub(super) lost: Family<Pushed, Counter<f64, AtomicU64>>,
    pub(super) lag: Family<Pushed, Gauge<f64, AtomicU64>>,
    pub(super) pending: Family<Pushed, Gauge>,
}

fn of(target: &str) -> Pushed {
    Pushed { target: target.to_owned() }
}

impl Writes {
    /// A target that nothing was sent to yet.
    pub fn begin(&self, target: &str) {
        self.sent(target, 0, 0);
        drop(self.retries.get_or_create_owned(&of(target)));
        self.lost(target, 0.0);
        self.pending(target, 0);
        for reason in ["rejected", "not_written", "relabelled", "incomplete"] {
            self.dropped(target, reason, 0, 0);
        }
        self.forgotten(target, 0);
    }

    /// The target has so many more samples and exemplars.
    pub fn sent(&self, target: &str, samples: u64, exemplars: u64) {
        self.sent.get_or_create_owned(&of(target)).inc_by(samples);
        self.exemplars(target, "sent", exemplars);
    }

    /// It does not get so many samples and exemplars, for a reason that both have.
    pub fn dropped(&self, target: &str, reason: &'static str, samples: u64, exemplars: u64) {
        let of = DroppedSamples { target: target.to_owned(), reason };
        self.dropped.get_or_create_owned(&of).inc_by(samples);
        self.exemplars(target, reason, exemplars);
    }

    /// It does not get so many exemplars, because others took their room.
    pub fn forgotten(&self, target: &str, exemplars: u64) {
        self.exemplars(target, "forgotten", exemplars);
    }

    fn exemplars(&self, target: &str, result: &'static str, exemplars: u64) {
        self.exemplars
            .get_or_create_owned(&PushResult { target: target.to_owned(), result })
            .inc_by(exemplars);
    }

    /// A request failed and is sent again.
    pub fn retried(&self, target: &str) {
        self.retries.get_or_create_owned(&of(target)).inc();
    }

    /// The history does not have so many seconds any longer.
    pub fn lost(&self, target: &str, seconds: f64) {
        self.lost.get_or_create_owned(&of(target)).inc_by(seconds);
    }

    /// How old the newest scrape is that the target has, in seconds.
    pub fn lag(&self, target: &str, seconds: f64) {
        self.lag.get_or_create_owned(&of(target)).set(seconds);
    }

    /// How many samples wait for an answer.
    pub fn pending(&self, target: &str, samples: u64) {
        self.pending.get_or_create_owned(&of(target)).set(i64::try_from(samples).unwrap_or(i64::MAX));
    }
}

/// Pushes to gateways, by how they ended.
#[derive(Clone, Debug, Default)]
pub struct Pushes(pub(super) Family<PushResult, Counter>);

impl Pushes {
    fn add(&self, target: &str, result: &'static str, pushes: u64) {
        self.0.get_or_create_owned(&PushResult { target: target.to_owned(), result }).inc_by(pushes);
    }

    /// A gateway that nothing was pushed to yet.
    pub fn begin(&self, target: &str) {
        self.add(target, "success", 0);
        self.add(target, "failure", 0);
    }

    /// One push ended.
    pub fn pushed(&self, target: &str, succeeded: bool) {
        self.add(target, if succeeded { "success" } else { "failure" }, 1);
    }
}
