//! The kinds of checks: one row each. What a check is and does stands in its own file, behind [`Target`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::Http;
use super::net::{Dns, Tcp, Unix};
use super::process::Process;
use super::target::Target;
use super::unit::Unit;
use crate::secret::Command;

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
    /// A request over HTTP or HTTPS is answered with the expected status. No redirect is followed.
    "http" => Http(Http),
    /// A port accepts a connection: `127.0.0.1:1883`. It is closed at once.
    "tcp" => Tcp(Tcp),
    /// A Unix stream socket accepts a connection: the path of the socket.
    "unix" => Unix(Unix),
    /// A program runs: its file name, without the folder. A zombie does not.
    "process" => Process(Process),
    /// A unit of systemd is active: its name; `.service` may be left out. Unknown where systemd does not run.
    "unit" => Unit(Unit),
    /// A program and its arguments, without a shell, whose exit status says how it is, as with plugins of Nagios and
    /// Icinga: 0 healthy, 1 degraded, 2 unhealthy, any other unknown.
    "command" => Command(Command),
    /// A name resolves to at least one address: the name.
    "dns" => Dns(Dns),
}
