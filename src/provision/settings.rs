//! Where the generated files are pushed to, as it is configured. Secrets are files; nothing is opened here.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::{Basic, Link};
use crate::setting::Span;

/// Where dashboards, rules and routes are pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the agent pushes when it starts, in the background.
    pub at_start: bool,
    /// How long a server may take until it is ready.
    pub wait: Span,
    /// Whether what is ours and no longer generated is removed when the agent pushes at start.
    pub prune: bool,
    /// The servers, each a mapping with one key: the kind.
    pub targets: Vec<Target>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { at_start: false, wait: Span::seconds(60), prune: false, targets: Vec::new() }
    }
}

/// One server or folder: its kind, and the settings of that kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Grafana 9 to 13.
    Grafana(Box<Grafana>),
    /// A Prometheus whose rule files can be written here.
    Prometheus(Prometheus),
    /// A ruler that takes rules of Prometheus over HTTP: Mimir, Cortex.
    Mimir(Ruler),
    /// The ruler of Loki, which gets the rules over the agent's log (`alerts.logs` says which log that is).
    Loki(Ruler),
    /// An Alertmanager whose configuration can be written here.
    Alertmanager(Alertmanager),
    /// A folder that gets every generated file.
    Directory(Directory),
}

impl Target {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Grafana(of) => &of.name,
            Self::Prometheus(of) => &of.name,
            Self::Mimir(of) | Self::Loki(of) => of.name.as_deref().unwrap_or_else(|| self.kind()),
            Self::Alertmanager(of) => &of.name,
            Self::Directory(of) => &of.name,
        }
    }

    /// The key of its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Grafana(_) => "grafana",
            Self::Prometheus(_) => "prometheus",
            Self::Mimir(_) => "mimir",
            Self::Loki(_) => "loki",
            Self::Alertmanager(_) => "alertmanager",
            Self::Directory(_) => "directory",
        }
    }

    /// The files and folders that it names.
    pub fn paths(&mut self) -> Vec<&mut PathBuf> {
        match self {
            Self::Grafana(of) => {
                of.server.paths().chain(&mut of.contact_points_file).chain(&mut of.policies_file).collect()
            }
            Self::Prometheus(of) => of.server.paths().chain([&mut of.rules_directory]).collect(),
            Self::Mimir(of) | Self::Loki(of) => of.server.paths().collect(),
            Self::Alertmanager(of) => of.server.paths().chain([&mut of.config_file]).collect(),
            Self::Directory(of) => vec![&mut of.path],
        }
    }
}

/// How a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// A file whose text is sent as bearer token; read again for each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A user and the file with its password, in place of a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// A PEM file with the certificates that are trusted, in place of those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A proxy, as `http://proxy:3128`; what the environment says (`HTTPS_PROXY`, `NO_PROXY`) if it is not set,
    /// for servers on other machines; none if empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Link>,
    /// A file that holds the proxy, where a password is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_file: Option<PathBuf>,
}

impl Access {
    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let password = self.basic.as_mut().map(|basic| &mut basic.password_file);
        self.token_file.iter_mut().chain(password).chain(&mut self.ca_file).chain(&mut self.proxy_file)
    }
}

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
    /// The id of the data source that Grafana's rules ask; that of `datasource` if it is not set.
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

/// The folder's id if none is configured.
pub(super) use crate::render::FOLDER;

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
    /// It does, in the way that its version knows: `import` where it has that, else `rule_groups`. The other targets get
    /// the recording rules alone.
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

/// A Prometheus whose rule files can be written here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// The target's name.
    #[serde(default = "prometheus")]
    pub name: String,
    /// Its root, with the sub-path if there is one.
    pub url: Link,
    /// How it is reached.
    #[serde(default, rename = "access")]
    pub server: Access,
    /// The folder that its `rule_files` names with `*.yml`.
    pub rules_directory: PathBuf,
    /// The program that checks rules before they are loaded.
    #[serde(default = "promtool")]
    pub promtool: String,
    /// How long rules may take to be evaluated for the first time. Those that take longer are not waited for.
    #[serde(default = "verify")]
    pub verify: Span,
}

fn prometheus() -> String {
    "prometheus".to_owned()
}

fn promtool() -> String {
    "promtool".to_owned()
}

fn verify() -> Span {
    Span::seconds(10)
}

/// A ruler that takes rules over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ruler {
    /// The target's name; its kind if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its root.
    pub url: Link,
    /// How it is reached.
    #[serde(default, rename = "access")]
    pub server: Access,
    /// Whose rules these are, where there are several tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Where its rules are: `/prometheus/config/v1/rules` in Mimir and `/loki/api/v1/rules` in Loki, if it is not set;
    /// `/api/v1/rules` in Cortex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The namespace. What stands in it is ours.
    #[serde(default = "folder_uid")]
    pub namespace: String,
}

/// An Alertmanager whose configuration can be written here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// The target's name.
    #[serde(default = "alertmanager")]
    pub name: String,
    /// Its root, with the sub-path if there is one.
    pub url: Link,
    /// How it is reached.
    #[serde(default, rename = "access")]
    pub server: Access,
    /// Its configuration. A file that is not ours is left alone, or with `--force` kept beside it under the
    /// name that ends with `.before-neural`, until `destroy` puts it back. A link is followed, and a file that is
    /// mounted is written where it stands.
    pub config_file: PathBuf,
    /// The program that checks the configuration before it is loaded.
    #[serde(default = "amtool")]
    pub amtool: String,
}

fn alertmanager() -> String {
    "alertmanager".to_owned()
}

fn amtool() -> String {
    "amtool".to_owned()
}

/// A folder that gets every generated file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The target's name.
    #[serde(default = "directory")]
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

fn directory() -> String {
    "directory".to_owned()
}
