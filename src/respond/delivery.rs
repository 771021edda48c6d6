//! How it goes with one server or receiver, and how long what is sent holds.

/// Milliseconds from one notice of an alert that fires to the next, as in Prometheus.
pub(super) const RESEND: i64 = 60_000;
/// How long a firing alert is valid without another notice: four times as long as from one notice to the next.
pub(super) const VALID: i64 = 4 * RESEND;

/// What waits, and what became of the rest, for one server or receiver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// What it is: `alertmanager`, `slack`.
    pub integration: &'static str,
    /// Which one, as it may be shown.
    pub receiver: String,
    /// Alerts that wait for a server, notifications that wait for a receiver.
    pub waiting: usize,
    /// Those that it took.
    pub sent: u64,
    /// Attempts that it did not take.
    pub failures: u64,
    /// Alerts that had no room.
    pub dropped: u64,
    /// Seconds from the change of an alert to the answer of a server, from the notification to that of a receiver; of the last one.
    pub latency: f64,
    /// Why the last attempt failed; nothing if it did not.
    pub failing: Option<String>,
}

impl Delivery {
    /// It took so many.
    pub(super) fn took(&mut self, count: u64) {
        self.sent += count;
        if self.failing.take().is_some() {
            tracing::info!("{} {} takes alerts again", self.integration, self.receiver);
        }
    }

    /// It did not take something.
    pub(super) fn refused(&mut self, why: &str) {
        self.failures += 1;
        if self.failing.as_deref() != Some(why) {
            let (integration, receiver) = (self.integration, &self.receiver);
            tracing::warn!("{integration} {receiver} takes no alerts, they wait: {why}");
        }
        self.failing = Some(why.to_owned());
    }
}
