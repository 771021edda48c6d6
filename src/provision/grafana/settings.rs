//! A Grafana as it is configured.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provision::access::Access;
use crate::provision::target::{Open, Rules, TargetKind};
use crate::render::FOLDER;
use crate::secret::{Exposed, Link};
use crate::setting::Span;

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
    /// The data source that is made, if one is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasource: Option<DataSource>,
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

/// A Prometheus data source in Grafana.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Its fixed id.
    #[serde(default = "datasource")]
    pub uid: String,
    /// Its name.
    #[serde(default = "datasource_name")]
    pub name: String,
    /// Where Prometheus is, seen from Grafana.
    pub url: Link,
    /// How often Prometheus scrapes; panels of rates are empty if this is wrong.
    #[serde(default = "scrape_interval")]
    pub scrape_interval: Span,
    /// The id of the data source that has the traces (Tempo, Jaeger): exemplars lead to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_datasource: Option<String>,
    /// What stands before a trace's id where traces are looked at: `http://jaeger:16686/trace/`. In place of
    /// `traces_datasource`, or besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_url: Option<Link>,
}

fn datasource() -> String {
    "neural-prometheus".to_owned()
}

fn datasource_name() -> String {
    "Prometheus (neural)".to_owned()
}

fn scrape_interval() -> Span {
    Span::seconds(15)
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

    fn expose(&self, found: &mut Exposed<'_>) {
        if let Some(source) = &self.datasource {
            let hand = "Grafana shows it to every user: give it the password by hand, and write";
            found.plain("datasource.url", &source.url, hand);
            source.traces_url.iter().for_each(|url| found.plain("datasource.traces_url", url, hand));
        }
        self.server.expose(&self.url, found);
    }
}

impl Open for Grafana {
    type Connection = super::Connection;

    fn open(&self) -> Result<super::Connection, String> {
        super::Connection::open(self)
    }
}
