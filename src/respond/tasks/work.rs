//! What a task can do. A kind is a file beside this one, and one row here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::Job;
use super::{clean, compact, exec, health, report, rotate};

macro_rules! works {
    ($($(#[$doc:meta])* $name:ident: $settings:ty, $key:literal;)*) => {
        /// What a task does.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[schemars(rename = "TaskWork")]
        pub enum Work {
            $($(#[$doc])* $name($settings),)*
        }

        impl Work {
            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $key,)*
                }
            }

            pub(super) fn job(&self) -> &dyn Job {
                match self {
                    $(Self::$name(of) => of,)*
                }
            }

            pub(super) fn job_mut(&mut self) -> &mut dyn Job {
                match self {
                    $(Self::$name(of) => of,)*
                }
            }
        }
    };
}

works! {
    /// Make the agent's own databases as small as what they hold. What is too old is removed without a task.
    Compact: compact::Settings, "compact";
    /// Delete old files below folders.
    Clean: clean::Settings, "clean";
    /// Fail while something that is watched is unhealthy.
    Health: health::Settings, "health";
    /// Begin another file of the agent's event log.
    Rotate: rotate::Settings, "rotate";
    /// Make a report of the last days, for the folder of reports and their receivers.
    Report: report::Settings, "report";
    /// Run a program.
    Exec: exec::Settings, "exec";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_called_what_it_is_written_as() {
        for key in ["compact", "clean", "health", "report", "rotate", "exec"] {
            let more = match key {
                "clean" => "folders: [/tmp/x/y], older_than: 1d",
                "exec" => "command: [x]",
                _ => "",
            };
            let text = serde_yaml::from_str(&format!("{key}: {{{more}}}")).unwrap();
            let work: Work = serde_json::from_value(text).unwrap();
            assert_eq!(work.kind(), key);
        }
    }
}
