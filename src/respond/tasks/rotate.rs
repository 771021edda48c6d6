//! Another file of the agent's event log, whatever the size of the one that is written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Around, Job, Run};
use crate::source::aside::apart;

/// What it is called while it lasts.
const ROTATE: &str = "the rotation of the event log";

/// How many files are kept, and whether they are packed, is set in `events_log`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TaskRotate")]
pub struct Settings {}

impl Job for Settings {
    fn run<'a>(&'a self, around: &'a Around, patience: Duration) -> Run<'a> {
        let events = around.events.clone();
        Box::pin(async move {
            if !events.is_on() {
                return Err("there is no event log; name its file in events_log.path".to_owned());
            }
            apart(ROTATE, patience, move || events.rotate(patience)).await.flatten()
        })
    }
}
