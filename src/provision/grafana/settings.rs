//! A Grafana as it is configured.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provision::access::Access;
use crate::provision::agent::Agent;
use crate::provision::asked::{DashboardSource, DataSource};
use crate::provision::target::{Rules, TargetKind, TargetSettings};
use crate::render::{FOLDER, Source};
use crate::secret::{Exposed, Link};

/// Grafana.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grafana {
    /// The target's name.
    #[serde(default = "grafana")]
    pub name: String,
    /// Its root, with the sub-path if there is one: `https://lab/grafana`.
    pub url: Link,
    /// How it is reached.
    #[serde(default, rename = "access")]
    pub server: Access,
    /// The organisation, for a user who belongs to several. A token knows its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub org: Option<u64>,
    /// The title of the folder, when it is made. A title that was changed in Grafana stays.
    #[serde(default = "folder")]
    pub folder: String,
    /// The fixed id of the folder. A folder with another id than the default one is never removed.
    #[serde(default = "folder_uid")]
    pub folder_uid: String,
    /// The data source that is made, if one is wanted: `agent`, or a server; that of `provision` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasource: Option<DashboardSource>,
    /// Whether Grafana evaluates the alert rules.
    #[serde(default)]
    pub alerts: Alerts,
    /// The id of the data source that Grafana's rules query; that of `datasource` if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts_datasource: Option<String>,
    /// Whether a push that changed something is marked on the dashboards.
    #[serde(default)]
    pub annotate: bool,
    /// A JSON file with contact points as Grafana's API takes them, secrets included: a list of
    /// `{name, type, settings}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_points_file: Option<PathBuf>,
    /// A JSON file with the whole notification policy tree. There is one in an organisation, and it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies_file: Option<PathBuf>,
}

fn grafana() -> String {
    "grafana".to_owned()
}

fn folder() -> String {
    "Neural".to_owned()
}

fn folder_uid() -> String {
    FOLDER.to_owned()
}

/// Whether Grafana evaluates the alert rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Alerts {
    /// Prometheus does.
    #[default]
    None,
    /// It does, in the way that its version knows: `import` where it has that, else `rule_groups`. The other targets
    /// get the recording rules alone.
    Grafana,
    /// The alert rules go to the endpoint that takes those of Prometheus (11.6 and later).
    Import,
    /// The alert rules become Grafana's own, through its provisioning API.
    RuleGroups,
}

impl Grafana {
    /// The data source that is made, where it is a server; see [`TargetKind::settle`].
    pub(super) fn server_asked(&self) -> Option<&DataSource> {
        match &self.datasource {
            Some(DashboardSource::Server(source)) => Some(source),
            _ => None,
        }
    }
}

impl TargetKind for Grafana {
    fn name(&self) -> &str {
        &self.name
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.server.paths().chain(&mut self.contact_points_file).chain(&mut self.policies_file).collect()
    }

    fn rules(&self) -> Rules {
        if self.alerts == Alerts::None { Rules::Shown } else { Rules::Alerting }
    }

    fn dashboards(&self) -> Option<&Link> {
        Some(&self.url)
    }

    fn settle(&mut self, given: Option<&DashboardSource>, agent: &Agent) -> Result<(), String> {
        if let Some(asked) = self.datasource.as_ref().or(given) {
            self.datasource = Some(DashboardSource::Server(Box::new(asked.source(agent, Some(&self.url))?)));
        }
        Ok(())
    }

    fn source(&self) -> Option<Source> {
        self.server_asked().map(Source::from)
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        self.datasource.iter().for_each(|asked| asked.expose(found));
        self.server.expose(&self.url, found);
    }
}

impl TargetSettings for Grafana {
    type Connection = super::Connection;

    fn open(&self) -> Result<super::Connection, String> {
        super::Connection::open(self)
    }
}
