//! Where the generated files are pushed to, as it is configured: one row for each kind of target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Push;
use super::alertmanager::Alertmanager;
use super::directory::Directory;
use super::grafana::Grafana;
use super::prometheus::Prometheus;
use super::ruler::{Loki, Mimir};
use super::target::{Open, TargetKind};
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
