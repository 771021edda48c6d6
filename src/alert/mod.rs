//! Rules over answers: recording rules and alerts as Prometheus evaluates them. Pure: time and series are data.
//!
//! [`RuleFile`] reads what Prometheus reads, [`Group`] evaluates it, and the states of its alerts go from pending over firing to
//! resolved. Nothing is sent here. Facts: `rules/` of Prometheus, and its alert generator specification.

pub mod action;
pub mod dispatch;
mod file;
mod group;
pub mod health;
pub mod incident;
pub mod json;
mod rule;
pub mod silence;
mod state;
mod template;
mod unit_test;

pub use file::{Definition, RuleFile};
pub use group::{Context, Group, Live, Storage};
pub use rule::{Act, Health, Rule};
pub use state::{Alert, State};
pub use template::{Data, Template, table_link};
pub use unit_test::{Case, Mistake, Suite};

/// The label with the name of an alert.
pub const ALERT_NAME: &str = "alertname";
/// The series of alerts that are pending or firing.
pub const ALERTS: &str = "ALERTS";
/// The series that holds since when an alert is active, in seconds.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
