//! Where the generated files are pushed to, as it is configured: one row for each kind of target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Push;
use super::agent::Agent;
use super::alertmanager::Alertmanager;
use super::asked::DashboardSource;
use super::directory::Directory;
use super::grafana::Grafana;
use super::prometheus::Prometheus;
use super::ruler::{Loki, Mimir};
use super::target::{TargetKind, TargetSettings};
use crate::render::Source;
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
    /// What dashboards ask: `agent`, or a server. It stands in the generated files, and each Grafana below gets it that
    /// has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datasource: Option<DashboardSource>,
    /// The servers, each a mapping with one key: the kind.
    pub targets: Vec<Target>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { at_start: false, wait: Span::seconds(60), prune: false, datasource: None, targets: Vec::new() }
    }
}

impl Settings {
    /// The servers, each with what its dashboards ask.
    ///
    /// # Errors
    /// The address of the agent, which is to be asked, cannot be derived.
    pub fn settled(&self, agent: &Agent) -> Result<Vec<Target>, String> {
        let settled = |target: &Target| {
            let mut target = target.clone();
            target.settings_mut().settle(self.datasource.as_ref(), agent)?;
            Ok(target)
        };
        self.targets.iter().map(settled).collect()
    }

    /// What stands in the generated files: what the first Grafana asks.
    #[must_use]
    pub fn source(&self, agent: &Agent) -> Option<Source> {
        let given = || self.datasource.as_ref()?.source(agent, None).ok();
        let first = |target: &Target| target.settings().source();
        let pushed = self.settled(agent).ok()?.iter().find_map(first);
        pushed.or_else(|| given().as_ref().map(Source::from))
    }
}

macro_rules! targets {
    ($($(#[$about:meta])* $key:literal => $kind:ident($settings:ty),)*) => {
        /// One server or folder: its kind, and the settings of that kind.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Target {
            $($(#[$about])* #[serde(rename = $key)] $kind(Box<$settings>),)*
        }

        impl Target {
            /// The key of its kind.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $key,)*
                }
            }

            /// Its settings.
            #[must_use]
            pub fn settings(&self) -> &dyn TargetKind {
                match self {
                    $(Self::$kind(of) => &**of,)*
                }
            }

            /// Its settings, to be changed.
            pub fn settings_mut(&mut self) -> &mut dyn TargetKind {
                match self {
                    $(Self::$kind(of) => &mut **of,)*
                }
            }

            /// Reads it, and writes what is not yet there.
            pub(super) async fn push(&self, with: Push<'_, '_>) -> Result<(), String> {
                match self {
                    $(Self::$kind(of) => with.over(self, of.open()?).await,)*
                }
            }
        }
    };
}

targets! {
    /// Grafana 9 to 13.
    "grafana" => Grafana(Grafana),
    /// A Prometheus whose rule files can be written here.
    "prometheus" => Prometheus(Prometheus),
    /// A ruler that takes rules of Prometheus over HTTP: Mimir, Cortex.
    "mimir" => Mimir(Mimir),
    /// The ruler of Loki, which gets the rules over the agent's log (`alerts.logs` says which log that is).
    "loki" => Loki(Loki),
    /// An Alertmanager whose configuration can be written here.
    "alertmanager" => Alertmanager(Alertmanager),
    /// A folder that gets every generated file.
    "directory" => Directory(Directory),
}

impl Target {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.settings().name()
    }
}
