//! What can be asked of incidents, and done about them, wherever they are held.

use super::{Incident, Refusal, Status};
use crate::catalog::alert::Priority;

/// Which incidents are asked for. What is empty restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// In one of these states.
    pub states: Vec<Status>,
    /// Of alerts with one of these names.
    pub alerts: Vec<String>,
    /// Of one of these severities.
    pub severities: Vec<String>,
    /// Of one of these priorities.
    pub priorities: Vec<Priority>,
    /// Whose alert fired at this time or later, ms.
    pub from: Option<i64>,
    /// Whose alert fired at this time or before, ms.
    pub to: Option<i64>,
}

impl IncidentFilter {
    /// Whether an incident is asked for.
    #[must_use]
    pub fn takes(&self, incident: &Incident) -> bool {
        fn one<T: PartialEq>(of: &[T], is: &T) -> bool {
            of.is_empty() || of.contains(is)
        }
        one(&self.states, &incident.status)
            && one(&self.alerts, &incident.alert)
            && one(&self.severities, &incident.severity)
            && one(&self.priorities, &incident.priority)
            && self.from.is_none_or(|from| incident.started >= from)
            && self.to.is_none_or(|to| incident.started <= to)
    }
}

/// What a person did about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// They take care of it.
    Acknowledge,
    /// They close it.
    Resolve,
}

/// An incident that was changed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// As it is now.
    pub incident: Incident,
    /// Whether that is on disk.
    pub kept: bool,
}

/// Why a message of an Alertmanager was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// It is not to be sent again.
    Wrong(String),
    /// It is to be sent again later.
    Later(String),
    /// It has no token, or another one.
    Stranger,
    /// No messages are taken.
    Off,
}

/// Who holds the incidents. It may wait for a disk.
pub trait Desk: Send + Sync {
    /// Shows the incidents that are asked for, the newest first, until `each` says that it has enough. Returns what is missing and why.
    fn list(&self, wanted: &IncidentFilter, each: &mut dyn FnMut(Incident) -> bool) -> Option<String>;

    /// The incident whose number is this or begins so.
    ///
    /// # Errors
    /// There is none, or several.
    fn find(&self, id: &str) -> Result<Incident, Refusal>;

    /// Changes an incident. Who did it, and why, is kept with it.
    ///
    /// # Errors
    /// None that is open has this number.
    fn change(&self, transition: Transition, id: &str, by: &str, why: &str) -> Result<Changed, Refusal>;

    /// Takes a message of an Alertmanager, which has to know the token if there is one. Returns what became of it.
    ///
    /// # Errors
    /// It was not taken.
    fn post(&self, token: Option<&str>, body: &[u8]) -> Result<String, Untaken>;

    /// Shows the incidents that are open, in no order. It waits for nothing.
    fn open(&self, each: &mut dyn FnMut(&Incident));

    /// Why incidents are not written now.
    fn failing(&self) -> Option<String>;
}
