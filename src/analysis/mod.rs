//! Events in, further events out: one pass, no clock, no loops.
//!
//! An analyser observes every event that a source told and reports with each tick.

mod budget;
mod clock;
mod pace;
mod peaks;
pub mod quality;
mod rate;
mod stability;

pub use budget::{Budget, Day};
pub use peaks::Peaks;
pub use rate::Rates;

/// Nanoseconds as seconds.
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
