//! What the agent does with alerts by itself: it evaluates rules over its history, and notifies.
//!
//! [`Rules`] runs on the history's thread, after each scrape. What is to be sent goes to a task of its own for each Alertmanager, so
//! that a server that does not answer costs nothing but its own queue. Where there is no Alertmanager, a [`Desk`] does its work.

mod alert_log;
mod delivery;
mod desk;
pub mod event_log;
pub mod hooks;
pub mod incidents;
pub mod lines;
mod notify;
mod receivers;
mod rules;
mod saver;
pub mod sessions;
mod settings;
mod state;
pub mod tasks;
pub mod traces;
mod zones;

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::trace::TraceContext;

/// The trace of the session that is open, which belongs to what the agent does because of an alert. There is none while no session is
/// open, or where no spans are sent.
pub type OpenTrace = Arc<ArcSwapOption<TraceContext>>;

pub use delivery::Delivery;
pub use desk::{Desk, Left};
pub use notify::Notifier;
pub use receivers::wrong_address;
pub use rules::{Account, RuleSource, Rules, Shared};
pub use settings::{Alertmanager, Settings};
pub use state::States;

#[cfg(test)]
mod tests;
