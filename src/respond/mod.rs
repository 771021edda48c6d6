//! What the agent does with alerts by itself: it evaluates rules over its history, and notifies.
//!
//! [`Rules`] runs on the history's thread, after each scrape. What is to be sent goes to a task of its own for each Alertmanager, so
//! that a server that does not answer costs nothing but its own queue.

pub mod incidents;
mod notify;
mod rules;
mod settings;
mod state;

pub use notify::{Delivery, Notifier};
pub use rules::{Account, RuleSource, Rules, Shared};
pub use settings::{Alertmanager, Settings};
pub use state::States;

#[cfg(test)]
mod tests;
