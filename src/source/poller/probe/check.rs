//! The kinds of checks: one row each. What a check is and does stands in its own file, behind [`Target`].

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::Http;
use super::net::{Dns, Tcp, Unix};
use super::process::Process;
use super::state::Outcome;
use super::unit::Unit;
use crate::secret::{Command, Exposed};

/// One attempt.
pub(super) type Asking = Pin<Box<dyn Future<Output = Outcome> + Send>>;
/// Makes one attempt each time. The caller keeps the time, by dropping what is not answered.
pub(super) type Ask = Box<dyn Fn() -> Asking + Send + Sync>;

/// What a check looks at.
pub(super) trait Target {
    /// What it is, as the landing page shows it.
    fn place(&self) -> String;

    /// The files that it names.
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }

    /// Says which secrets stand in its settings.
    fn expose(&self, _found: &mut Exposed<'_>) {}

    /// Reads what is needed before the first attempt, for the probe of this name.
    ///
    /// # Errors
    /// What is wrong with the settings.
    fn open(&self, name: &str, timeout: Duration) -> Result<Ask, String>;
}

macro_rules! checks {
    ($($(#[$about:meta])* $key:literal => $kind:ident($settings:ty),)*) => {
        /// What is looked at: its kind, and what that needs.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Check {
            $($(#[$about])* #[serde(rename = $key)] $kind($settings),)*
        }

        impl Check {
            /// What it looks at.
            pub(super) fn target(&self) -> &dyn Target {
                match self {
                    $(Self::$kind(of) => of,)*
                }
            }

            /// The same, to be changed.
            pub(super) fn target_mut(&mut self) -> &mut dyn Target {
                match self {
                    $(Self::$kind(of) => of,)*
                }
            }
        }
    };
}

checks! {
    /// A request over HTTP or HTTPS is answered with the expected status.
    "http" => Http(Http),
    /// A port accepts a connection.
    "tcp" => Tcp(Tcp),
    /// A Unix stream socket accepts a connection.
    "unix" => Unix(Unix),
    /// A program runs: the file name of a process that is alive.
    "process" => Process(Process),
    /// A unit of systemd is active; `.service` may be left out.
    "unit" => Unit(Unit),
    /// A program and its arguments, without a shell, whose exit status says how it is, as with plugins of Nagios and
    /// Icinga: 0 healthy, 1 degraded, 2 unhealthy, any other unknown.
    "command" => Command(Command),
    /// A name resolves to at least one address.
    "dns" => Dns(Dns),
}
