//! Settings of the kinds whose sources are being written; to be replaced by theirs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::listen::Bytes;
use crate::setting::Span;

pub(super) mod scrape {
    //! An endpoint that is asked.
    use super::*;

    /// An endpoint that is asked and passed on.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Settings {
        /// The name of the source.
        pub name: String,
        /// What is asked: `http://127.0.0.1:8000/metrics`.
        pub url: String,
        /// How often it is asked.
        #[serde(default = "interval")]
        pub interval: Span,
        /// How long an answer may take.
        #[serde(default = "timeout")]
        pub timeout: Span,
        /// Labels that every series gets.
        #[serde(default)]
        pub labels: BTreeMap<String, String>,
        /// How long an answer may be.
        #[serde(default = "body_limit")]
        pub body_limit: Bytes,
        /// A file that holds a bearer token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub bearer_token_file: Option<PathBuf>,
        /// A file with the certificates to trust, in PEM.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ca_file: Option<PathBuf>,
    }

    fn interval() -> Span {
        Span::seconds(5)
    }

    fn timeout() -> Span {
        Span::seconds(3)
    }

    fn body_limit() -> Bytes {
        Bytes(16 << 20)
    }
}

pub(super) mod textfile {
    //! A folder of files.
    use super::*;

    /// A folder of files in the text format.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Settings {
        /// The name of the source.
        pub name: String,
        /// The folder.
        pub directory: PathBuf,
        /// How often it is read.
        #[serde(default = "interval")]
        pub interval: Span,
    }

    fn interval() -> Span {
        Span::seconds(15)
    }
}

pub(super) mod exec {
    //! A command that is run.
    use super::*;

    /// A command whose output is in the text format.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct Settings {
        /// The name of the source.
        pub name: String,
        /// The program and its arguments.
        #[schemars(length(min = 1))]
        pub command: Vec<String>,
        /// How often it is run.
        #[serde(default = "interval")]
        pub interval: Span,
        /// How long it may take.
        #[serde(default = "timeout")]
        pub timeout: Span,
        /// Its environment.
        #[serde(default)]
        pub environment: BTreeMap<String, String>,
    }

    fn interval() -> Span {
        Span::seconds(60)
    }

    fn timeout() -> Span {
        Span::seconds(10)
    }
}

macro_rules! machine {
    ($($module:ident $name:literal { $($(#[$doc:meta])* $field:ident: $type:ty = $value:expr,)* })*) => { $(
        pub(super) mod $module {
            //! A part of the machine.
            use super::*;

            /// What is read of it.
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(default, deny_unknown_fields)]
            pub struct Settings {
                /// The name of the source.
                pub name: String,
                /// How often it is read.
                pub interval: Span,
                $($(#[$doc])* pub $field: $type,)*
            }

            impl Default for Settings {
                fn default() -> Self {
                    Self { name: $name.to_owned(), interval: Span::seconds(5), $($field: $value,)* }
                }
            }
        }
    )* };
}

machine! {
    host "host" {
        /// Time of the processors.
        cpu: bool = true,
        /// Memory and swap.
        memory: bool = true,
        /// Load averages.
        load: bool = true,
        /// Space of file systems.
        disks: bool = true,
        /// What disks read and write.
        disk_io: bool = true,
        /// Traffic of interfaces.
        network: bool = true,
        /// Sensors.
        temperatures: bool = true,
    }
    process "process" {
        /// What is watched.
        groups: Vec<Group> = Vec::new(),
    }
    gpu "gpu" {
        /// Whether NVIDIA's are read.
        nvidia: bool = true,
        /// Whether AMD's are read.
        amd: bool = true,
    }
}

/// Processes that are watched together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The value of their label.
    pub name: String,
    /// The systemd unit they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The program they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
}
