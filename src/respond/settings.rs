//! Who is notified by the agent itself.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{hooks, incidents, tasks};
use crate::provision::Access;
use crate::secret::Link;
use crate::setting::Span;

/// What the agent does when alerts fire that it evaluates itself. Nothing, unless you configure it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Respond")]
pub struct Settings {
    /// The Alertmanagers that are notified, each of all alerts; they deduplicate among themselves.
    pub alertmanagers: Vec<Alertmanager>,
    /// From one notice of an alert that fires on to the next, as Prometheus' `--rules.alert.resend-delay`. An Alertmanager that hears nothing
    /// for four times as long, or for four intervals of a slower rule, takes it as resolved.
    pub resend_delay: Span,
    /// What is kept of alerts that fired.
    pub incidents: incidents::Settings,
    /// Whether the agent itself notifies `alerts.receivers`, for a box without an Alertmanager. Files that these name are then on
    /// this machine.
    pub notify: bool,
    /// What holds for all hooks.
    pub actions: hooks::Actions,
    /// What the agent does when an alert becomes an incident.
    pub hooks: Vec<hooks::Hook>,
    /// What the agent does from time to time.
    #[schemars(length(max = 64))]
    pub tasks: Vec<tasks::Task>,
}

/// An Alertmanager that is notified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NotifiedAlertmanager")]
pub struct Alertmanager {
    /// Where it is, with its path prefix if there is one: `http://127.0.0.1:9093`.
    pub url: Link,
    /// How it is reached.
    #[serde(default)]
    pub access: Access,
    /// How long it may take to answer; then it is tried again.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alertmanagers: Vec::new(),
            resend_delay: Span::seconds(60),
            incidents: incidents::Settings::default(),
            notify: false,
            actions: hooks::Actions::default(),
            hooks: Vec::new(),
            tasks: Vec::new(),
        }
    }
}

/// As in Prometheus.
fn timeout() -> Span {
    Span::seconds(10)
}

impl Settings {
    /// Files that are named, for those that resolve relative paths.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let token = self.incidents.webhook.token_file.iter_mut();
        self.alertmanagers
            .iter_mut()
            .flat_map(|server| server.access.paths())
            .chain(token)
            .chain(self.hooks.iter_mut().flat_map(hooks::Hook::paths))
            .chain(self.tasks.iter_mut().flat_map(tasks::Task::paths))
    }
}
