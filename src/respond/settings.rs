//! Who is notified by the agent itself.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{hooks, incidents, tasks};
use crate::provision::Access;
use crate::secret::Link;

/// What the agent does when alerts fire that it evaluates itself. Nothing, unless you configure it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Respond")]
pub struct Settings {
    /// The Alertmanagers that are notified, each of all alerts; they deduplicate among themselves.
    pub alertmanagers: Vec<Alertmanager>,
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
