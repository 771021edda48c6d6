//! Events in, further events out: one pass, no clock, no loops.
//!
//! An [`Analyser`] observes every event that a source reported and reports with each tick.

mod budget;
mod clock;
mod envelope;
mod pace;
mod peaks;
pub mod quality;
mod rate;
mod stability;

pub use budget::{Budget, Day};
pub use envelope::{EnvelopeView, Envelopes, Extent, PIECES};
pub use peaks::Peaks;
pub use rate::Rates;

use crate::event::{Body, Event, SourceId, Timestamp};

/// Makes further events of those that sources tell.
pub trait Analyser {
    /// Sees one event.
    fn observe(&mut self, event: &Event<'_>);

    /// Tells what it makes of the events up to now, and of which source, if it is of one.
    fn report(&mut self, now: Timestamp, out: &mut Report<'_>);

    /// The source is no longer configured.
    fn retire(&mut self, _source: SourceId) {}
}

/// Takes the events of an analyser.
pub type Report<'r> = dyn FnMut(Option<SourceId>, Body<'_>) + 'r;

/// Nanoseconds as seconds.
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
