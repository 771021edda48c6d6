//! Whether everything that is watched is well: the verdict of `/api/v1/health`, as a task that succeeds or fails.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Around, Job, Run};
use crate::source::aside::apart;

/// What the look is called while it lasts.
const LOOK: &str = "the verdict over everything";

/// It fails while something is unhealthy, or nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TaskHealth")]
pub struct Settings {}

impl Job for Settings {
    fn run<'a>(&'a self, around: &'a Around, patience: Duration) -> Run<'a> {
        let verdict = around.verdict.clone();
        Box::pin(async move { apart(LOOK, patience, move || verdict()).await.flatten() })
    }
}
