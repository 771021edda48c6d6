//! A program of the user's.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Around, Job, Run};
use crate::secret::{Command, Exposed, Value};
use crate::source::poller::exec::launch::{Run as Program, environment, said};

/// Bytes that it may print; one that prints more is ended.
const OUTPUT: usize = 1 << 20;
/// Bytes of that which are kept.
const KEPT: usize = 800;

/// A program that succeeded when it ends with 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TaskExec")]
pub struct Settings {
    /// The program and its arguments. No shell reads them.
    pub command: Command,
    /// Its environment, beside `PATH`: each a text, or `{value_file: /run/secrets/key}`.
    #[serde(default)]
    pub environment: BTreeMap<String, Value>,
}

impl Job for Settings {
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.environment.values_mut().filter_map(Value::path).collect()
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        found.program("do.exec.", &self.command, &self.environment);
    }

    fn problem(&self) -> Option<String> {
        let empty = self.command.expose().first().is_none_or(String::is_empty);
        empty.then(|| "the command is empty".to_owned())
    }

    fn run<'a>(&'a self, _: &'a Around, patience: Duration) -> Run<'a> {
        Box::pin(async move {
            let all = environment(&self.environment, patience).await?;
            let secrets: Vec<&str> = all.values().map(String::as_str).chain(self.command.secrets()).collect();
            let run = Program { command: &self.command, environment: &all, input: &[], patience };
            let printed = run.finish(Some(OUTPUT)).await?.success(&self.command, secrets.iter().copied())?;
            Ok(said(printed.get(..KEPT).unwrap_or(&printed), secrets))
        })
    }
}
